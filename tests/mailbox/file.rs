//! What only the mailboxes in a file have to hold to.

use super::bench::{Bench, LIMITS, Redb, SILENT, turn_clock};
use super::mailbox::{Accepted, Device, Limits, Mail, READERS_MAX, RECEIVED, SENT};
use super::phone::Phone;
use super::store::Outcome;
use super::texts;
use longlink::delivery::{Epoch, MessageId};
use longlink::sync::{self, Mailbox, Request};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A directory of its own for a test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mailbox-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("mail.redb")
    }

    fn open(&self) -> Mail {
        Mail::open(&self.path(), LIMITS, false).unwrap()
    }

    /// What a process finds that starts after this one was killed: the file as it is now, which nobody has closed.
    fn after_a_crash(&self) -> Mail {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let copy = self.0.join(format!("copy-{}.redb", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::copy(self.path(), &copy).unwrap();
        Mail::open(&copy, LIMITS, false).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn id(link: u32, sequence: u32) -> MessageId {
    MessageId { epoch: Epoch::FIRST, link, sequence }
}

pub fn greet(device: &Device, link: u32) {
    device.greet(Some(Epoch::FIRST), link).unwrap().unwrap();
}

/// What is in a mailbox under a key: val, id, from, to, text.
pub fn items(mail: &Mail, account: &str, key: u16) -> Vec<(u64, u64, String)> {
    let mut items = Vec::new();
    let mut mailbox = mail.device(account, 0).mailbox();
    mailbox
        .read(key, 0, &mut |item| {
            let content: serde_json::Value = serde_json::from_slice(item.bytes).unwrap();
            let name = |name: &str| content[name].as_str().unwrap_or("-").to_string();
            let line = format!("{}>{}:{}", name("from"), name("to"), name("text"));
            items.push((item.val, content["id"].as_u64().unwrap(), line));
            ControlFlow::Continue(())
        })
        .unwrap();
    items
}

fn lines(mail: &Mail, account: &str, key: u16) -> Vec<String> {
    items(mail, account, key).into_iter().map(|(_, _, line)| line).collect()
}

pub fn to_bob(text: &str) -> Vec<u8> {
    serde_json::json!({"to": "bob", "text": text}).to_string().into_bytes()
}

#[test]
fn a_message_is_an_item_for_both_sides_and_a_note_to_oneself_is_one() {
    let dir = Dir::new();
    let mail = dir.open();
    let ann = mail.device("ann", 7);
    greet(&ann, 1);
    let nobody = [br#"{"to":"","text":"x"}"#.to_vec(), format!(r#"{{"to":"{}","text":""}}"#, "b".repeat(65)).into()];
    let bodies = [to_bob("hi"), b"plain".to_vec(), b"\xff".to_vec(), nobody[0].clone(), nobody[1].clone(), to_bob("")];
    let messages: Vec<_> = (1..).zip(&bodies).map(|(n, body)| (id(1, n), body.as_slice())).collect();
    let Accepted { outcomes, heads } = ann.accept(&messages).unwrap();
    use Outcome::{Refused, Stored};
    assert_eq!(outcomes, [Stored, Stored, Stored, Refused, Refused, Stored]);
    let expected = [(("ann".to_string(), SENT), 4), (("bob".to_string(), RECEIVED), 2)];
    assert_eq!(heads, expected.into());
    assert_eq!(lines(&mail, "ann", SENT), ["ann>bob:hi", "ann>ann:plain", "ann>ann:-", "ann>bob:"]);
    assert_eq!(lines(&mail, "bob", RECEIVED), ["ann>bob:hi", "ann>bob:"]);
    assert!(lines(&mail, "ann", RECEIVED).is_empty() && lines(&mail, "bob", SENT).is_empty());
    // Both sides have the same id of it.
    assert_eq!(items(&mail, "ann", SENT)[0].1, items(&mail, "bob", RECEIVED)[0].1);
    // The counter is the account's, not the key's.
    let bob = mail.device("bob", 1);
    greet(&bob, 1);
    bob.accept(&[(id(1, 1), b"note")]).unwrap();
    assert_eq!(items(&mail, "bob", SENT)[0].0, 3);
}

#[test]
fn what_is_not_new_or_not_in_order_or_of_an_older_link_is_not_stored() {
    let dir = Dir::new();
    let mail = dir.open();
    let ann = mail.device("ann", 7);
    assert_eq!(ann.accept(&[(id(1, 1), b"not greeted")]).unwrap().outcomes, [Outcome::Stale]);
    greet(&ann, 1);
    let batch = [1, 2, 2, 90, 89, 2].map(|sequence| (id(1, sequence), &b"m"[..]));
    use Outcome::{Duplicate, OutOfOrder, Stale, Stored, TooOld};
    assert_eq!(ann.accept(&batch).unwrap().outcomes, [Stored, Stored, Duplicate, Stored, OutOfOrder, TooOld]);
    assert_eq!(items(&mail, "ann", SENT).len(), 3);
    let Accepted { outcomes, heads } = ann.accept(&[(id(1, 90), b"m")]).unwrap();
    assert_eq!((outcomes, heads.len()), (vec![Duplicate], 0));
    greet(&ann, 2);
    assert_eq!(ann.accept(&[(id(1, 91), b"m")]).unwrap().outcomes, [Stale]);
    // Nor after it was opened again.
    drop((ann, mail));
    let mail = dir.open();
    let ann = mail.device("ann", 7);
    assert!(ann.greet(Some(Epoch::FIRST), 2).unwrap().is_err(), "the lease is known");
    assert_eq!(ann.accept(&[(id(2, 90), b"m")]).unwrap().outcomes, [Duplicate]);
    assert_eq!(items(&mail, "ann", SENT).len(), 3);
    // Another account's device of that number is another device.
    let bob = mail.device("bob", 7);
    greet(&bob, 1);
    assert_eq!(bob.accept(&[(id(1, 90), b"m")]).unwrap().outcomes, [Stored]);
}

#[test]
fn after_a_crash_a_message_and_the_mark_that_it_was_accepted_are_both_there_or_neither() {
    let dir = Dir::new();
    let mail = dir.open();
    let ann = mail.device("ann", 7);
    greet(&ann, 1);
    for count in 1..=10 {
        let body = to_bob(&count.to_string());
        let batch = [2 * count - 1, 2 * count].map(|sequence| (id(1, sequence), body.as_slice()));
        ann.accept(&batch).unwrap();
        let found = dir.after_a_crash();
        let device = found.device("ann", 7);
        assert_eq!(device.ledger().unwrap(), ann.ledger().unwrap());
        assert_eq!(device.ledger().unwrap().window().last(), 2 * count);
        for (account, key) in [("ann", SENT), ("bob", RECEIVED)] {
            assert_eq!(items(&found, account, key), items(&mail, account, key));
            assert_eq!(items(&found, account, key).len() as u32, 2 * count);
        }
        assert_eq!(found.epoch(), mail.epoch());
    }
}

#[test]
fn an_ack_does_not_wait_for_the_disk_and_losing_one_costs_nothing() {
    let dir = Dir::new();
    let mut bench = Redb::with(dir.open());
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..5));
    one.sync(&mut bench);
    two.sync(&mut bench);
    one.acknowledge(&mut bench);
    two.acknowledge(&mut bench);
    assert_eq!(bench.floor(), one.val());
    let mut bench = Redb::with(dir.after_a_crash());
    assert_eq!(bench.floor(), 0, "the acks are lost");
    one.sync(&mut bench);
    two.sync(&mut bench);
    assert_eq!(bench.floor(), one.val(), "the cursor says the same");
    assert_eq!((one.texts(), two.texts(), two.gaps + two.resets), (texts(0..5), texts(0..5), 0));
}

#[test]
fn that_a_device_counts_is_durable_before_others_can_have_collected_anything() {
    let dir = Dir::new();
    let mut bench = Redb::with(dir.open());
    let mut one = Phone::new(1);
    one.sync(&mut bench);
    // Joins, and that is all that there is of it.
    let mut two = Phone::new(2);
    two.sync(&mut bench);
    let mut bench = Redb::with(dir.after_a_crash());
    bench.put_all(texts(0..5));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    two.sync(&mut bench);
    assert_eq!((two.texts(), two.gaps), (texts(0..5), 0));
}

#[test]
fn acks_and_items_are_as_they_were_when_the_file_is_opened_again() {
    let dir = Dir::new();
    let mut bench = Redb::with(dir.open());
    let (mut one, mut two) = (Phone::new(1), Phone { max_items: 3, ..Phone::new(2) });
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..10));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    two.round(&mut bench);
    two.acknowledge(&mut bench);
    bench.put_all(texts(10..11));
    let floor = bench.floor();
    assert!(floor > 0);
    drop(bench);
    let mut bench = Redb::with(dir.open());
    assert_eq!(bench.floor(), floor);
    two.sync(&mut bench);
    one.sync(&mut bench);
    assert_eq!((one.texts(), two.texts(), two.gaps, two.resets), (texts(0..11), texts(0..11), 0, 0));
}

#[test]
fn every_file_and_every_new_epoch_is_another_and_ids_are_never_given_twice() {
    let dir = Dir::new();
    let mut bench = Redb::with(dir.open());
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..3));
    one.sync(&mut bench);
    drop(bench);
    let backup = std::fs::read(dir.path()).unwrap();
    let mut bench = Redb::with(dir.open());
    bench.put_all(texts(3..4));
    one.sync(&mut bench);
    let lost = items(&dir.after_a_crash(), "ann", SENT).pop().unwrap();
    drop(bench);
    // Put back, and opened as what it is.
    std::fs::write(dir.path(), backup).unwrap();
    let mail = Mail::open(&dir.path(), LIMITS, true).unwrap();
    assert_ne!(mail.epoch().get(), one.epoch.unwrap().get());
    let mut bench = Redb::with(mail.clone());
    bench.put("another");
    let other = items(&mail, "ann", SENT).pop().unwrap();
    assert_eq!(lost.0, other.0, "the val is given a second time");
    let mut ids: Vec<_> = items(&mail, "ann", SENT).into_iter().map(|(_, id, _)| id).collect();
    ids.push(lost.1);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "the id is not");
    // Both begin anew, and each still counts for the other.
    one.items.clear();
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!((one.resets, one.texts()), (1, [texts(0..3), vec!["another".into()]].concat()));
    two.sync(&mut bench);
    assert_eq!((two.resets, two.gaps, two.texts()), (1, 0, [texts(0..3), vec!["another".into()]].concat()));
    drop((bench, mail));
    assert_eq!(dir.open().epoch(), two.epoch.unwrap(), "it stays when it is opened again");
    assert_ne!(Dir::new().open().epoch(), Dir::new().open().epoch());
}

#[test]
fn of_too_many_devices_the_one_that_was_silent_longest_does_not_count_any_more() {
    let mut bench = Redb::new();
    let mut phones: Vec<_> = (0..=READERS_MAX as u64).map(|number| Phone::new(100 - number)).collect();
    for phone in &mut phones {
        phone.sync(&mut bench);
        turn_clock(Duration::from_secs(1));
    }
    bench.put_all(texts(0..5));
    for phone in &mut phones[1..] {
        phone.sync(&mut bench);
        phone.acknowledge(&mut bench);
    }
    assert_eq!(bench.floor(), phones[1].val());
    bench.put_all(texts(5..6));
    phones[0].sync(&mut bench);
    assert_eq!((phones[0].texts(), phones[0].gaps), (texts(5..6), 1));
}

#[test]
fn a_device_that_only_greets_is_not_silent() {
    let mut bench = Redb::new();
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..3));
    turn_clock(SILENT - Duration::from_secs(60));
    greet(&bench.mail.device("ann", 2), 1);
    turn_clock(Duration::from_secs(120));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    two.sync(&mut bench);
    assert_eq!((two.texts(), two.gaps), (texts(0..3), 0));
}

#[test]
fn what_an_account_may_keep_is_counted_in_bytes_too() {
    let limits = Limits { bytes: 2_000, ..LIMITS };
    let mut bench = Redb::with(Mail::in_memory(limits).unwrap());
    let mut phone = Phone::new(1);
    phone.sync(&mut bench);
    let long: Vec<_> = (0..10).map(|number| format!("{number}{}", "x".repeat(400))).collect();
    bench.put_all(long.clone());
    phone.sync(&mut bench);
    assert_eq!((phone.texts(), phone.gaps), (long[6..].to_vec(), 1));
    // What was collected makes room.
    phone.acknowledge(&mut bench);
    bench.put_all(long[..4].to_vec());
    phone.sync(&mut bench);
    assert_eq!((phone.texts().len(), phone.gaps), (8, 1));
}

#[test]
fn the_ledger_of_a_device_that_was_silent_for_thirty_days_goes() {
    let dir = Dir::new();
    let mail = dir.open();
    for number in 1..=2 {
        let device = mail.device("ann", number);
        greet(&device, 1);
        turn_clock(SILENT);
        assert_eq!(mail.device("ann", 1).ledger().unwrap().link(), 2 - number as u32, "after {number} times 30 days");
        turn_clock(Duration::from_secs(1));
    }
}

#[test]
fn what_is_read_for_one_answer_is_of_one_moment() {
    let mut bench = Redb::new();
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..3));
    one.sync(&mut bench);
    two.sync(&mut bench);
    let mut view = bench.view(1);
    assert_eq!(view.floor(SENT).unwrap(), 0);
    one.acknowledge(&mut bench);
    two.acknowledge(&mut bench);
    bench.put("later");
    assert_eq!(bench.floor(), 3);
    let mut count = 0;
    let reached = view.read(SENT, 0, &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((reached.unwrap(), count, view.floor(SENT).unwrap()), (3, 3, 0));
    // A device that joins is told of the moment from which on it counts.
    let mut view = bench.view(3);
    assert_eq!(view.head(SENT).unwrap(), 4);
    one.sync(&mut bench);
    two.sync(&mut bench);
    one.acknowledge(&mut bench);
    two.acknowledge(&mut bench);
    let priming = [&[1, 1][..], &[0; 10], &65_536_u32.to_be_bytes()].concat();
    let mut out = vec![0; 65_536];
    sync::answer(&Request::decode(&priming).unwrap(), &mut view, &mut out).unwrap();
    assert_eq!(view.floor(SENT).unwrap(), 4);
}
