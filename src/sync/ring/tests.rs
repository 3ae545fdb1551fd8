use super::*;
use crate::sync::{Acked, Entries, Entry, Mailbox};
use std::{vec, vec::Vec};

type Storage = RingStorage<16, 256, 4, 3>;
const NOW: Instant = Instant::from_secs(1);

fn rows(entries: &[(u16, u64)]) -> Vec<u8> {
    entries.iter().flat_map(|(key, val)| Entry::new(*key, *val).to_row()).collect()
}

/// The device asks for these keys, and has stored so much of them.
fn wants(mailbox: &mut RingMailbox<'_>, id: u64, now: u64, entries: &[(u16, u64)]) {
    let rows = rows(entries);
    let acked = Acked::of_request(false, Entries::trusted(&rows), u64::MAX);
    mailbox.device(id, Instant::from_secs(now)).acked(&acked).unwrap();
}

fn wants_all(mailbox: &mut RingMailbox<'_>, id: u64, now: u64, entries: &[(u16, u64)]) {
    let rows = rows(entries);
    let acked = Acked::of_request(true, Entries::trusted(&rows), u64::MAX);
    mailbox.device(id, Instant::from_secs(now)).acked(&acked).unwrap();
}

fn acknowledges(mailbox: &mut RingMailbox<'_>, id: u64, now: u64, entries: &[(u16, u64)]) {
    let rows = rows(entries);
    let acked = Acked::of_ack(Entries::trusted(&rows), u64::MAX);
    mailbox.device(id, Instant::from_secs(now)).acked(&acked).unwrap();
}

fn read(mailbox: &mut RingMailbox<'_>, key: u16, after: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
    let mut items = vec![];
    let each = &mut |item: crate::sync::Item<'_>| {
        assert_eq!(item.key, key);
        items.push((item.val, item.bytes.to_vec()));
        core::ops::ControlFlow::Continue(())
    };
    let came = mailbox.device(9, NOW).read(key, after, each).unwrap();
    (items, came)
}

fn vals(mailbox: &mut RingMailbox<'_>, key: u16) -> Vec<u64> {
    read(mailbox, key, 0).0.into_iter().map(|(val, _)| val).collect()
}

#[test]
fn keys_share_one_sequence() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    for key in [3, 1, 3, 2, 1] {
        mailbox.append(key, 0, &[key.to_le_bytes()[0]]).unwrap();
    }
    assert_eq!([1, 2, 3].map(|key| vals(&mut mailbox, key)), [vec![2, 5], vec![4], vec![1, 3]]);
    assert_eq!([1, 2, 3, 4].map(|key| mailbox.head(key)), [5, 4, 3, 0]);
    assert_eq!(read(&mut mailbox, 1, 2), (vec![(5, vec![1])], 5));
    let mut device = mailbox.device(1, NOW);
    let next = [None, Some(1), Some(2), Some(3), Some(u16::MAX)].map(|after| device.next_key(after).unwrap());
    assert_eq!(next, [Some(1), Some(2), Some(3), None, None]);
}

#[test]
fn what_has_no_place_changes_nothing() {
    let mut storage = RingStorage::<2, 10, 1>::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.append(7, 0, b"one").unwrap();
    assert_eq!(mailbox.append(8, 0, b""), Err(RingError::TooManyKeys { capacity: 1 }));
    assert_eq!(mailbox.append(7, 0, &[0; 11]), Err(RingError::TooLong { length: 11, limit: 10 }));
    assert_eq!((mailbox.append(7, 0, &[1; 10]), mailbox.len()), (Ok(2), 1), "all the bytes there are");
    let mut none = RingStorage::<0, 10>::new();
    assert_eq!(none.mailbox(Epoch::FIRST).append(1, 0, b""), Err(RingError::NoItems));
    let mut no_bytes = RingStorage::<2, 0>::new();
    assert_eq!(no_bytes.mailbox(Epoch::FIRST).append(1, 0, b""), Ok(1));
}

#[test]
fn the_last_val_is_the_end_of_the_epoch() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.drawn = u64::MAX - 2;
    assert_eq!(mailbox.append(1, 0, b""), Ok(u64::MAX - 1));
    assert_eq!(mailbox.append(1, 0, b""), Err(RingError::EpochSpent));
    mailbox.begin(Epoch::new(2).unwrap());
    assert_eq!((mailbox.append(1, 0, b""), mailbox.epoch()), (Ok(1), Epoch::new(2).unwrap()));
}

#[test]
fn an_unfinished_val_hides_what_is_behind_it_until_it_is_finished_or_cancelled() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.append(1, 0, b"").unwrap();
    let [two, three] = [(); 2].map(|()| mailbox.reserve(1, 0, 8).unwrap());
    mailbox.append(1, 0, b"").unwrap();
    assert_eq!((mailbox.head(1), vals(&mut mailbox, 1)), (1, vec![1]));
    mailbox.finish(three, b"three").unwrap();
    assert_eq!(mailbox.head(1), 1, "two comes before it");
    assert!(mailbox.cancel(two) && !mailbox.cancel(two));
    assert_eq!((mailbox.head(1), vals(&mut mailbox, 1)), (4, vec![1, 3, 4]));
    assert_eq!(read(&mut mailbox, 1, 1).0[0], (3, b"three".to_vec()), "of 8 bytes it took 5");
    let last = mailbox.reserve(1, 0, 0).unwrap();
    assert!(mailbox.cancel(last));
    assert_eq!(mailbox.head(1), 4);
}

#[test]
fn only_what_is_reserved_is_finished_and_only_with_so_many_bytes() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.append(1, 0, b"").unwrap();
    let val = mailbox.reserve(1, 0, 2).unwrap();
    assert_eq!(mailbox.finish(val, b"abc"), Err(RingError::TooLong { length: 3, limit: 2 }));
    for other in [0, 1, 3, u64::MAX] {
        assert_eq!(mailbox.finish(other, b""), Err(RingError::NotReserved { val: other }));
        assert!(!mailbox.cancel(other));
    }
    mailbox.finish(val, b"ab").unwrap();
    assert_eq!(mailbox.finish(val, b"ab"), Err(RingError::NotReserved { val }));
}

#[test]
fn a_writer_that_never_finishes_is_crowded_out() {
    let mut storage = RingStorage::<4, 64>::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    let val = mailbox.reserve(1, 0, 8).unwrap();
    for _ in 0..3 {
        mailbox.append(1, 0, b"waits").unwrap();
    }
    assert_eq!(mailbox.head(1), 0);
    mailbox.append(1, 0, b"pushes").unwrap();
    assert_eq!((mailbox.head(1), mailbox.floor(1)), (5, 0), "nobody has seen it, so nothing is missing");
    assert_eq!(mailbox.finish(val, b""), Err(RingError::NotReserved { val }));
}

#[test]
fn full_memory_is_stronger_than_a_device() {
    let mut storage = RingStorage::<4, 64>::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    wants_all(&mut mailbox, 1, 1, &[]);
    for _ in 0..10 {
        mailbox.append(1, 0, b"item").unwrap();
    }
    assert_eq!((mailbox.floor(1), vals(&mut mailbox, 1)), (6, vec![7, 8, 9, 10]));
    mailbox.append(2, 0, &[0; 30]).unwrap();
    assert_eq!((mailbox.floor(1), vals(&mut mailbox, 1)), (8, vec![9, 10]), "by bytes too");
}

#[test]
fn what_nobody_needs_goes_before_what_somebody_does() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    wants_all(&mut mailbox, 1, 1, &[]);
    mailbox.append(1, 0, b"needed").unwrap();
    for n in 0..100_u8 {
        let val = mailbox.append(2, 0, &[n; 40]).unwrap();
        wants_all(&mut mailbox, 1, 1, &[(2, val)]);
        assert_eq!(read(&mut mailbox, 1, 0), (vec![(1, b"needed".to_vec())], 1));
    }
    assert_eq!((mailbox.floor(1), mailbox.floor(2), mailbox.len()), (0, 101, 1));
}

#[test]
fn what_was_reserved_and_is_not_used_is_given_back() {
    let mut storage = RingStorage::<64, 512>::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    wants_all(&mut mailbox, 1, 1, &[]);
    for n in 1..=200 {
        let val = mailbox.reserve(1, 0, 100).unwrap();
        mailbox.finish(val, &[0; 10]).unwrap();
        assert_eq!(mailbox.floor(1), n.max(20) - 20, "all of the newest 20 are kept");
        if n >= 20 {
            acknowledges(&mut mailbox, 1, 1, &[(1, n - 19)]);
        }
    }
}

#[test]
fn a_device_counts_for_the_keys_that_it_wants() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    for key in [1, 2, 3] {
        mailbox.append(key, 0, b"").unwrap();
    }
    assert_eq!(mailbox.min_ack(1), None);
    wants(&mut mailbox, 1, 1, &[(1, 1), (2, 0)]);
    assert_eq!([1, 2, 3].map(|key| mailbox.min_ack(key)), [Some(1), Some(0), None]);
    acknowledges(&mut mailbox, 1, 1, &[(2, 2)]);
    assert_eq!(
        [1, 2, 3].map(|key| mailbox.min_ack(key)),
        [Some(1), Some(2), None],
        "an acknowledgement names, no more"
    );
    wants(&mut mailbox, 1, 1, &[(2, 0)]);
    assert_eq!([1, 2, 3].map(|key| mailbox.min_ack(key)), [None, Some(2), None], "it has said 2 before");
    wants_all(&mut mailbox, 1, 1, &[]);
    assert_eq!([1, 2, 3].map(|key| mailbox.min_ack(key)), [Some(0), Some(2), Some(0)]);
}

#[test]
fn a_key_that_appears_is_kept_until_a_device_says_that_it_does_not_want_it() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.append(5, 0, b"").unwrap();
    wants(&mut mailbox, 1, 1, &[(5, 0), (7, 0)]);
    wants(&mut mailbox, 2, 1, &[(5, 0)]);
    let (three, seven) = (mailbox.append(3, 0, b"").unwrap(), mailbox.append(7, 0, b"").unwrap());
    assert_eq!([3, 5, 7].map(|key| mailbox.min_ack(key)), [Some(0); 3]);
    wants(&mut mailbox, 2, 1, &[(5, 0)]);
    wants(&mut mailbox, 1, 1, &[(5, 0), (7, seven)]);
    assert_eq!([3, 5, 7].map(|key| mailbox.min_ack(key)), [None, Some(0), Some(seven)]);
    assert_eq!(
        (mailbox.floor(7), vals(&mut mailbox, 3)),
        (seven, vec![three]),
        "of a key that nobody wants nothing goes"
    );
}

#[test]
fn the_device_that_was_silent_for_longest_makes_room_for_another() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    let val = mailbox.append(1, 0, b"").unwrap();
    for (now, id) in [(1, 1), (2, 2), (3, 3)] {
        wants_all(&mut mailbox, id, now, &[(1, if id == 2 { 0 } else { val })]);
    }
    wants_all(&mut mailbox, 1, 4, &[]);
    assert_eq!((mailbox.devices(), mailbox.min_ack(1)), (3, Some(0)));
    wants_all(&mut mailbox, 4, 5, &[(1, val)]);
    assert_eq!((mailbox.devices(), mailbox.min_ack(1), mailbox.floor(1)), (3, Some(val), val), "2 went");
    let next = mailbox.append(1, 0, b"").unwrap();
    for (now, id) in [(6, 1), (7, 4)] {
        wants_all(&mut mailbox, id, now, &[(1, next)]);
    }
    wants(&mut mailbox, 5, 8, &[]);
    assert_eq!((mailbox.min_ack(1), mailbox.floor(1)), (Some(next), next), "3 went, for one that wants nothing");
}

#[test]
fn a_device_that_is_silent_for_too_long_does_not_count_any_more() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    for _ in 0..3 {
        mailbox.append(1, 0, b"").unwrap();
    }
    for (now, id, val) in [(10, 1, 1), (20, 2, 2), (30, 3, 3)] {
        wants_all(&mut mailbox, id, now, &[(1, val)]);
    }
    let expire = |mailbox: &mut RingMailbox<'_>, now| mailbox.expire(Instant::from_secs(now), Duration::from_secs(100));
    assert_eq!((expire(&mut mailbox, 109), mailbox.floor(1)), (0, 1));
    assert_eq!((expire(&mut mailbox, 110), mailbox.floor(1)), (1, 2));
    assert!(mailbox.remove_device(2) && !mailbox.remove_device(2));
    assert_eq!((mailbox.floor(1), mailbox.devices()), (3, 1));
    wants_all(&mut mailbox, 3, 5, &[]);
    assert_eq!(expire(&mut mailbox, 129), 0, "a clock that goes back makes nobody silent");
    assert_eq!((expire(&mut mailbox, 130), mailbox.devices(), mailbox.min_ack(1)), (1, 0, None));
}

#[test]
fn devices_still_count_when_another_epoch_begins() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    let val = mailbox.append(1, 0, b"old").unwrap();
    for id in [1, 2] {
        wants_all(&mut mailbox, id, 1, &[(1, val)]);
    }
    mailbox.append(1, 0, b"older").unwrap();
    mailbox.begin(Epoch::new(2).unwrap());
    assert_eq!((mailbox.is_empty(), mailbox.head(1), mailbox.floor(1)), (true, 0, 0));
    let val = mailbox.append(1, 0, b"new").unwrap();
    wants_all(&mut mailbox, 1, 1, &[(1, val)]);
    assert_eq!((mailbox.min_ack(1), vals(&mut mailbox, 1)), (Some(0), vec![1]), "2 has nothing of it yet");
}

#[test]
fn a_val_above_the_head_acknowledges_nothing() {
    let mut storage = Storage::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    mailbox.append(1, 0, b"").unwrap();
    mailbox.reserve(1, 0, 1).unwrap();
    wants_all(&mut mailbox, 1, 1, &[(1, 2)]);
    assert_eq!((mailbox.min_ack(1), mailbox.len()), (Some(0), 2));
}

#[test]
fn without_places_for_devices_nothing_is_collected() {
    let mut storage = RingStorage::<4, 64, 4, 0>::new();
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    let val = mailbox.append(1, 0, b"").unwrap();
    wants_all(&mut mailbox, 1, 1, &[(1, val)]);
    assert_eq!((mailbox.devices(), mailbox.min_ack(1), mailbox.len()), (0, None, 1));
}

/// A quiet key among a flood of another.
fn flooded(memory: &mut (Vec<RingItem>, Vec<RingKey>), quiet: usize, flood: usize) -> RingMailbox<'_> {
    let (items, keys) = memory;
    let memory = RingMemory { items, bytes: &mut [], keys, devices: &mut [], acks: &mut [] };
    let mut mailbox = RingMailbox::new(Epoch::FIRST, memory);
    mailbox.append(1, 0, b"").unwrap();
    for _ in 0..flood {
        mailbox.append(2, 0, b"").unwrap();
    }
    for _ in 0..quiet {
        mailbox.append(1, 0, b"").unwrap();
    }
    mailbox
}

#[test]
fn a_few_new_items_of_a_quiet_key_are_found_at_once() {
    let mut memory = (vec![RingItem::FREE; 5_000], vec![RingKey::FREE; 2]);
    let mut mailbox = flooded(&mut memory, 200, 4_000);
    let (items, came) = read(&mut mailbox, 1, 1);
    assert_eq!((items.len(), came), (200, 4_201));
}

#[test]
fn a_read_that_passes_over_too_much_says_how_far_it_came() {
    let mut memory = (vec![RingItem::FREE; 5_000], vec![RingKey::FREE; 2]);
    let mut mailbox = flooded(&mut memory, 300, 4_000);
    assert_eq!(read(&mut mailbox, 1, 1), (vec![], 1_025));
    let (mut after, mut reads) = (1, 0);
    let items = loop {
        let (items, came) = read(&mut mailbox, 1, after);
        (after, reads) = (came, reads + 1);
        if !items.is_empty() {
            break items;
        }
    };
    assert_eq!((items.len(), after, reads), (300, 4_301, 4));
}
