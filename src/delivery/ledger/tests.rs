use super::*;
use crate::delivery::LAST_SEQUENCE;

fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

fn id(epoch: Epoch, link: u32, sequence: u32) -> MessageId {
    MessageId { epoch, link, sequence }
}

fn greeted(number: u32, link: u32) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.greet(Epoch::new(number), link).unwrap();
    ledger
}

#[test]
fn a_device_never_seen_has_nothing() {
    let ledger: Ledger = Ledger::default();
    assert_eq!((ledger.epoch(), ledger.link(), ledger.window().last()), (None, 0, 0));
    assert_eq!(ledger.check(&id(Epoch::FIRST, 0, 1)), None);
}

#[test]
fn the_same_epoch_on_a_later_link_keeps_the_window() {
    let mut ledger = greeted(3, 1);
    assert_eq!(ledger.accept(&id(epoch(3), 1, 5)), Some(Verdict::Fresh));
    assert_eq!(ledger.greet(Some(epoch(3)), 7), Ok(Greeted { epoch: epoch(3), link: 7, resumed: true }));
    assert_eq!(ledger.check(&id(epoch(3), 7, 5)), Some(Verdict::Duplicate));
    assert_eq!(ledger.accept(&id(epoch(3), 7, 5)), Some(Verdict::Duplicate));
}

#[test]
fn a_new_epoch_begins_with_an_empty_window_on_any_link() {
    for asked in [Some(epoch(4)), Some(Epoch::MAX), None] {
        let mut ledger = greeted(3, 9);
        assert_eq!(ledger.accept(&id(epoch(3), 9, 5)), Some(Verdict::Fresh));
        let now = asked.unwrap_or(epoch(4));
        assert_eq!(ledger.greet(asked, 1), Ok(Greeted { epoch: now, link: 1, resumed: false }));
        assert_eq!(*ledger.window(), DedupWindow::new());
        assert_eq!(ledger.check(&id(now, 1, 5)), Some(Verdict::Fresh));
    }
    let mut fresh: Ledger = Ledger::new();
    assert_eq!(fresh.greet(None, 8), Ok(Greeted { epoch: Epoch::FIRST, link: 8, resumed: false }));
}

#[test]
fn a_late_or_repeated_greeting_changes_nothing() {
    let mut ledger = greeted(3, 7);
    assert_eq!(ledger.accept(&id(epoch(3), 7, 5)), Some(Verdict::Fresh));
    let before = ledger;
    for link in [1, 7, 8, u32::MAX] {
        assert_eq!(ledger.greet(Some(epoch(2)), link), Err(Stale::Epoch { current: epoch(3) }));
    }
    for link in [0, 1, 6, 7] {
        assert_eq!(ledger.greet(Some(epoch(3)), link), Err(Stale::Link { current: 7 }));
    }
    assert_eq!(ledger.greet(Some(epoch(4)), 0), Err(Stale::Link { current: 7 }));
    assert_eq!(ledger.greet(None, 0), Err(Stale::Link { current: 7 }));
    assert_eq!(ledger, before);
}

#[test]
fn an_epoch_far_ahead_does_not_let_an_old_one_back_in() {
    let mut ledger = greeted(u32::MAX, 1);
    let before = ledger;
    assert_eq!(ledger.greet(Some(epoch(4)), 2), Err(Stale::Epoch { current: Epoch::MAX }));
    assert_eq!(ledger.greet(None, 2), Err(Stale::Spent));
    assert_eq!(ledger, before);
    assert!(ledger.greet(Some(Epoch::MAX), 2).unwrap().resumed);
}

#[test]
fn a_link_without_the_lease_stores_and_acknowledges_nothing() {
    let mut ledger = greeted(3, 7);
    assert_eq!(ledger.accept(&id(epoch(3), 7, 5)), Some(Verdict::Fresh));
    let before = ledger;
    for stale in [id(epoch(3), 6, 5), id(epoch(3), 8, 6), id(epoch(2), 7, 6), id(epoch(4), 7, 6)] {
        assert_eq!((ledger.check(&stale), ledger.accept(&stale)), (None, None));
    }
    assert_eq!(ledger, before);
}

#[test]
fn each_byte_is_at_its_place_in_storage() {
    let mut ledger = greeted(0x0102_0304, 0x0506_0708);
    for sequence in [0x090A_0B0B, 0x090A_0B0C] {
        assert_eq!(ledger.accept(&id(epoch(0x0102_0304), 0x0506_0708, sequence)), Some(Verdict::Fresh));
    }
    let mut out = [0xAA; 25];
    assert_eq!((ledger.write(&mut out), <Ledger>::LEN), (Ok(24), 24));
    let bytes = [1, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3, 0, 0, 0, 0, 0, 0, 0, 0xAA];
    assert_eq!(out, bytes);
    assert_eq!(Ledger::read(&bytes[..24]), Ok(ledger));
    let mut short = [0xAA; 23];
    assert_eq!(ledger.write(&mut short), Err(BufferTooSmall { required: 24 }));
    assert_eq!(short, [0xAA; 23]);
}

#[test]
fn a_ledger_is_what_it_was_after_storage() {
    let mut ledger: Ledger<16> = Ledger::new();
    let mut out = [0; <Ledger<16>>::LEN];
    let mut sequence = LAST_SEQUENCE - 900;
    for step in 0..300 {
        assert_eq!(ledger.write(&mut out), Ok(144));
        assert_eq!(Ledger::read(&out), Ok(ledger));
        let Greeted { epoch, link, .. } = ledger.greet(ledger.epoch(), step + 1).unwrap();
        assert_eq!(ledger.accept(&id(epoch, link, sequence)), Some(Verdict::Fresh));
        sequence = (0..step % 9 + 1).fold(sequence, |sequence, _| super::super::sequence::next_sequence(sequence));
    }
    assert!(sequence < 1_000);
}

#[test]
fn what_is_no_ledger_is_refused_with_its_number() {
    let read = |bytes: &[u8]| Ledger::<1>::read(bytes);
    let changed = |at: usize, byte: u8| {
        let mut bytes = [1, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 12, 3, 0, 0, 0, 0, 0, 0, 0];
        bytes[at] = byte;
        bytes
    };
    assert!(read(&changed(0, 1)).is_ok());
    for length in [0, 15, 16, 23, 25] {
        let error = LedgerError::Length { length, expected: 24 };
        assert_eq!(read(&[&changed(0, 1)[..], &[0]].concat()[..length]), Err(error));
    }
    assert_eq!(read(&changed(0, 2)), Err(LedgerError::Version { version: 2 }));
    assert_eq!(read(&changed(1, 16)), Err(LedgerError::Width { words: 16, expected: 1 }));
    assert_eq!(Ledger::<2>::read(&changed(0, 1)), Err(LedgerError::Width { words: 1, expected: 2 }));
    assert_eq!(read(&changed(7, 0)), Err(LedgerError::Lease { epoch: 0, link: 8 }));
    assert_eq!(read(&changed(11, 0)), Err(LedgerError::Lease { epoch: 4, link: 0 }));
    assert_eq!(read(&changed(16, 2)), Err(LedgerError::Window(WindowError::Bitmap { last: 12 })));
    assert_eq!(read(&changed(15, 0)), Err(LedgerError::Window(WindowError::Bitmap { last: 0 })));
    assert_eq!(read(&[&[1, 1][..], &[0; 22]].concat()), Ok(Ledger::new()));
    let mut never_greeted = [0; 24];
    (never_greeted[0], never_greeted[1], never_greeted[15], never_greeted[16]) = (1, 1, 1, 1);
    assert_eq!(read(&never_greeted), Err(LedgerError::Lease { epoch: 0, link: 0 }));
}
