//! Crashes at every point at which the disk is written to: what belongs together is there, or none of it.

use super::bench::LIMITS;
use super::disk::{Crash, Disk};
use super::file::{greet, id, items, to_bob};
use super::inbox::{Inbox, Item};
use super::mailbox::{Mail, RECEIVED, SENT};
use longlink::sync::Epoch;

/// Does something to a disk that `prepare` has made ready, with a crash at each point, and hands what is found afterwards to
/// `judge`, with whether it was said to be done.
fn crash_everywhere(prepare: impl Fn(&Disk), act: impl Fn(&Disk) -> bool, judge: impl Fn(Disk, bool)) {
    for point in 1.. {
        let disk = Disk::default();
        prepare(&disk);
        disk.crash_after(point);
        let is_done = act(&disk);
        for crash in [Crash::Process, Crash::Power, Crash::Torn] {
            judge(disk.reboot(crash), is_done);
        }
        if !disk.has_crashed() {
            assert!(point > 5 && is_done, "something is written");
            return;
        }
    }
}

#[test]
fn a_message_its_items_and_its_mark_are_there_together_wherever_the_server_crashes() {
    let open = |disk: &Disk| Mail::on(disk.clone(), LIMITS).unwrap();
    let body = to_bob("hi");
    let store = |mail: &Mail, first: u32| {
        let batch = [first, first + 1].map(|sequence| (id(1, sequence), body.as_slice()));
        mail.device("ann", 7).accept(&batch).is_ok()
    };
    let prepare = |disk: &Disk| {
        let mail = open(disk);
        greet(&mail.device("ann", 7), 1);
        assert!(store(&mail, 1));
    };
    // Opened before it may crash: the points are those of the messages, and of closing.
    crash_everywhere(
        prepare,
        |disk| Mail::on(disk.clone(), LIMITS).is_ok_and(|mail| store(&mail, 3)),
        |disk, is_done| {
            let mail = open(&disk);
            let last = mail.device("ann", 7).ledger().unwrap().window().last();
            assert!(last == 4 || last == 2 && !is_done, "{last}");
            for (account, key) in [("ann", SENT), ("bob", RECEIVED)] {
                assert_eq!(items(&mail, account, key).len(), last as usize);
            }
            // And it goes on.
            assert!(store(&mail, last + 1));
            assert_eq!(items(&mail, "bob", RECEIVED).last().unwrap().0, u64::from(last) + 2);
        },
    );
}

#[test]
fn a_page_and_the_cursor_after_it_are_there_together_wherever_the_client_crashes() {
    let page = |first: u64| [first, first + 1].map(|val| Item { key: 1, val, bytes: vec![b'x'; 100] }).to_vec();
    let store = |inbox: &Inbox, first: u64| inbox.store(Epoch::FIRST, &[], page(first), &[first as u8 + 1]);
    crash_everywhere(
        |disk| assert_eq!(store(&Inbox::on(disk.clone()).unwrap(), 1).unwrap().len(), 2),
        |disk| Inbox::on(disk.clone()).is_ok_and(|inbox| store(&inbox, 3).is_ok()),
        |disk, is_done| {
            let inbox = Inbox::on(disk).unwrap();
            let mut vals = Vec::new();
            inbox.for_each(|item| vals.push(item.val)).unwrap();
            let last = *vals.last().unwrap();
            assert!(last == 4 || last == 2 && !is_done, "{last}");
            assert!(vals.iter().copied().eq(1..=last));
            assert_eq!(inbox.cursor().unwrap(), Some(vec![last as u8]));
            // It comes again, and is new if it is not there.
            let new = store(&inbox, 3).unwrap();
            assert_eq!(new.len(), if last == 4 { 0 } else { 2 });
        },
    );
}
