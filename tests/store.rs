//! The store of the example server: what it says is stored, is there after a crash, once; what is torn or failed is
//! not.
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../examples/support/hex.rs"]
mod hex;
#[path = "../examples/support/store.rs"]
mod store;

use longlink::delivery::{Epoch, MessageId};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use store::{Device, Outcome, Store};

/// A directory of its own for a test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn messages(&self) -> PathBuf {
        self.0.join("messages.jsonl")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn count(&self, name: &str) -> usize {
        self.text(name).lines().count()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id(epoch: u32, link: u32, sequence: u32) -> MessageId {
    MessageId { epoch: Epoch::new(epoch).unwrap(), link, sequence }
}

fn greet(device: &Device, number: u32, link: u32) -> bool {
    device.greet(Epoch::new(number), link).unwrap().is_ok()
}

fn accept(device: &Device, id: MessageId, body: &[u8]) -> Outcome {
    device.accept(&[(id, body)]).unwrap()[0]
}

#[test]
fn a_message_is_one_line_of_json() {
    let dir = Dir::new();
    let store = dir.open();
    assert!(store.device("", 7).files().starts_with(dir.0.join("files")));
    let device = store.device("", u64::MAX);
    assert!(greet(&device, 3, 1));
    let bodies: [&[u8]; 4] = [b"hi", b"line\n\"\xc3\xa9\"", b"", b"\xff\x00\x80"];
    let messages: Vec<_> = (1..).zip(bodies).map(|(sequence, body)| (id(3, 1, sequence), body)).collect();
    assert_eq!(device.accept(&messages).unwrap(), [Outcome::Stored; 4]);
    let named = store.device("ann \"a\"", 7);
    assert!(greet(&named, 1, 1));
    assert_eq!(accept(&named, id(1, 1, 9), b"x"), Outcome::Stored);
    let expected = "{\"device\":18446744073709551615,\"epoch\":3,\"sequence\":1,\"text\":\"hi\"}\n\
        {\"device\":18446744073709551615,\"epoch\":3,\"sequence\":2,\"text\":\"line\\n\\\"\u{e9}\\\"\"}\n\
        {\"device\":18446744073709551615,\"epoch\":3,\"sequence\":3,\"text\":\"\"}\n\
        {\"device\":18446744073709551615,\"epoch\":3,\"sequence\":4,\"text\":null,\"body\":\"ff0080\"}\n\
        {\"account\":\"ann \\\"a\\\"\",\"device\":7,\"epoch\":1,\"sequence\":9,\"text\":\"x\"}\n";
    assert_eq!(dir.text("messages.jsonl"), expected);
    assert_eq!(
        dir.text("devices.jsonl"),
        "{\"device\":18446744073709551615,\"epoch\":3,\"link\":1}\n\
        {\"account\":\"ann \\\"a\\\"\",\"device\":7,\"epoch\":1,\"link\":1}\n"
    );
}

#[test]
fn what_is_not_new_or_not_in_order_is_not_stored() {
    let dir = Dir::new();
    let store = dir.open();
    let device = store.device("", 7);
    assert_eq!(accept(&device, id(1, 1, 1), b"not greeted"), Outcome::Stale);
    assert!(greet(&device, 1, 1));
    let batch = [1, 2, 2, 90, 90, 89, 2, 1, 91].map(|sequence| (id(1, 1, sequence), &b"m"[..]));
    use Outcome::{Duplicate, OutOfOrder, Stored, TooOld};
    let expected = [Stored, Stored, Duplicate, Stored, Duplicate, OutOfOrder, TooOld, TooOld, Stored];
    assert_eq!(device.accept(&batch).unwrap(), expected);
    assert_eq!(dir.count("messages.jsonl"), 4);
    // Nor after the store was opened again, or by another handle.
    drop(store);
    let store = dir.open();
    let device = store.device("", 7);
    assert!(greet(&device, 1, 2));
    assert_eq!(accept(&device, id(1, 2, 90), b"m"), Duplicate);
    assert_eq!(accept(&store.clone().device("", 7), id(1, 2, 91), b"m"), Duplicate);
    assert_eq!(accept(&device, id(1, 2, 89), b"m"), OutOfOrder);
    assert_eq!(accept(&device, id(1, 2, 1), b"m"), TooOld);
    // Another account's device of that number is another device.
    let other = store.device("bob", 7);
    assert!(greet(&other, 1, 1));
    assert_eq!(accept(&other, id(1, 1, 90), b"m"), Stored);
    assert_eq!(dir.count("messages.jsonl"), 5);
}

#[test]
fn a_link_that_lost_its_lease_stores_nothing() {
    let dir = Dir::new();
    let device = dir.open().device("", 7);
    assert!(greet(&device, 1, 1));
    assert_eq!(accept(&device, id(1, 1, 1), b"a"), Outcome::Stored);
    assert!(greet(&device, 1, 2));
    assert_eq!(accept(&device, id(1, 1, 2), b"late"), Outcome::Stale);
    assert_eq!(accept(&device, id(1, 2, 2), b"b"), Outcome::Stored);
    assert!(greet(&device, 2, 1));
    assert_eq!(accept(&device, id(1, 2, 3), b"late"), Outcome::Stale);
    assert_eq!(accept(&device, id(2, 1, 1), b"c"), Outcome::Stored);
    assert!(!greet(&device, 2, 1) && !greet(&device, 1, 9));
    assert_eq!(dir.count("messages.jsonl"), 3);
}

#[test]
fn a_lease_without_messages_survives() {
    let dir = Dir::new();
    {
        let store = dir.open();
        let device = store.device("", 7);
        assert!(greet(&device, 1, 1));
        assert_eq!(accept(&device, id(1, 1, 5), b"old"), Outcome::Stored);
        assert!(greet(&device, 4, 9));
        // One that is given its epoch.
        let device = store.device("", 8);
        let given = device.greet(None, 1).unwrap().unwrap();
        assert_eq!(device.greet(None, 1).unwrap().unwrap().epoch.get(), given.epoch.get() + 1);
    }
    assert_eq!(dir.count("devices.jsonl"), 4);
    let store = dir.open();
    assert_eq!(dir.count("devices.jsonl"), 2);
    let device = store.device("", 7);
    assert!(!greet(&device, 1, 2) && !greet(&device, 4, 9));
    let greeted = device.greet(Epoch::new(4), 10).unwrap().unwrap();
    assert!(greeted.resumed);
    assert_eq!(accept(&device, id(4, 10, 5), b"new"), Outcome::Stored);
    // The file of the leases is lost: the messages name the epoch.
    drop(store);
    fs::remove_file(dir.0.join("devices.jsonl")).unwrap();
    let device = dir.open().device("", 7);
    assert!(!greet(&device, 3, 99));
    assert!(greet(&device, 4, 11));
    assert_eq!(accept(&device, id(4, 11, 5), b"new"), Outcome::Duplicate);
}

#[test]
fn a_last_line_torn_at_any_byte_was_never_stored() {
    let dir = Dir::new();
    let device = dir.open().device("ann", 7);
    assert!(greet(&device, 1, 1));
    let first = (id(1, 1, 1), &b"first"[..]);
    assert_eq!(device.accept(&[first, (id(1, 1, 2), b"\"second\"")]).unwrap(), [Outcome::Stored; 2]);
    let whole = fs::read(dir.messages()).unwrap();
    let leases = fs::read(dir.0.join("devices.jsonl")).unwrap();
    let start = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    // Cut short, and as a disk may leave it whose block was never written.
    let torn = (start..whole.len()).flat_map(|end| {
        let zeros = [&whole[..end], &vec![0; whole.len() - end]].concat();
        [whole[..end].to_vec(), zeros]
    });
    for torn in torn {
        fs::write(dir.messages(), torn).unwrap();
        fs::write(dir.0.join("devices.jsonl"), &leases).unwrap();
        let device = dir.open().device("ann", 7);
        assert_eq!(fs::read(dir.messages()).unwrap(), whole[..start]);
        assert!(greet(&device, 1, 2));
        assert_eq!(accept(&device, id(1, 2, 1), b"first"), Outcome::Duplicate);
        assert_eq!(accept(&device, id(1, 2, 2), b"\"second\""), Outcome::Stored);
        assert_eq!(fs::read(dir.messages()).unwrap(), whole);
    }
    // A torn lease was not granted.
    for end in 0..leases.len() {
        fs::write(dir.0.join("devices.jsonl"), &leases[..end]).unwrap();
        fs::write(dir.messages(), b"").unwrap();
        assert!(greet(&dir.open().device("ann", 7), 1, 1));
    }
}

#[test]
fn a_line_that_is_wrong_before_others_is_no_torn_one() {
    let dir = Dir::new();
    fs::write(dir.messages(), "{\"device\":1,\"epoch\":1,\"sequence\":1,\"text\":\"a\"}\n{\"dev\n{}\n").unwrap();
    let error = format!("{:#}", Store::open(&dir.0).err().unwrap());
    assert!(error.contains("messages.jsonl, line 2"), "{error}");
    assert_eq!(dir.count("messages.jsonl"), 3);
}

#[test]
fn many_threads_store_every_message_once() {
    const THREADS: u64 = 8;
    const ROUNDS: u32 = 25;
    let dir = Dir::new();
    let store = dir.open();
    let shared = store.device("all", 1);
    assert!(greet(&shared, 1, 1));
    let stored = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (store, shared, stored) = (store.clone(), shared.clone(), &stored);
            scope.spawn(move || {
                let own = store.device("", number);
                assert!(greet(&own, 1, 1));
                for round in 1..=ROUNDS {
                    let batch = [2 * round - 1, 2 * round].map(|sequence| (id(1, 1, sequence), &b"own"[..]));
                    assert_eq!(own.accept(&batch).unwrap(), [Outcome::Stored; 2]);
                    // All threads have the same ones of this.
                    match accept(&shared, id(1, 1, round), b"shared") {
                        Outcome::Stored => drop(stored.fetch_add(1, Ordering::Relaxed)),
                        Outcome::Duplicate | Outcome::OutOfOrder => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let text = dir.text("messages.jsonl");
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!(lines.len(), text.lines().count(), "a message is there twice");
    assert_eq!(lines.len(), THREADS as usize * 2 * ROUNDS as usize + stored.load(Ordering::Relaxed));
    drop(store);
    let store = dir.open();
    assert!((0..THREADS).all(|number| store.device("", number).ledger().window().last() == 2 * ROUNDS));
}

#[test]
fn twenty_thousand_messages_are_read_back_within_seconds() {
    let dir = Dir::new();
    let store = dir.open();
    for number in 0..20 {
        let device = store.device("", number);
        assert!(greet(&device, 1, 1));
        let messages: Vec<_> = (1..=1_000).map(|sequence| (id(1, 1, sequence), &b"some text"[..])).collect();
        assert!(device.accept(&messages).unwrap().iter().all(|outcome| *outcome == Outcome::Stored));
    }
    drop(store);
    let start = Instant::now();
    let store = dir.open();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!((0..20).all(|number| store.device("", number).ledger().window().last() == 1_000));
}

/// Not a test: stores messages until it is killed or fails, and says which, when another test starts it as a process.
#[test]
fn a_process_that_stores() {
    let Some(dir) = std::env::var_os("LONGLINK_TEST_STORE") else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let device = store.device("", 7);
    let link = device.ledger().link() + 1;
    assert!(greet(&device, 1, link));
    let mut out = std::io::stdout();
    for sequence in device.ledger().window().last() + 1.. {
        let body = vec![b'x'; sequence as usize % 700];
        match device.accept(&[(id(1, link, sequence), &body)]) {
            Ok(outcomes) => assert_eq!(outcomes, [Outcome::Stored]),
            Err(error) => {
                writeln!(out, "\nfailed {error:#}").unwrap();
                let again = device.accept(&[(id(1, link, sequence + 1), b"")]).unwrap_err();
                writeln!(out, "refused {again:#}").unwrap();
                assert_eq!(accept(&device, id(1, link, sequence - 1), b""), Outcome::Duplicate);
                return;
            }
        }
        writeln!(out, "\nstored {sequence}").unwrap();
    }
}

/// That process, in a shell that may limit it.
fn storing(dir: &Dir, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit} exec \"$0\" --exact --nocapture a_process_that_stores")]);
    command.arg(std::env::current_exe().unwrap()).env("LONGLINK_TEST_STORE", &dir.0).stdout(Stdio::piped());
    command
}

/// The sequences in the file.
fn sequences(dir: &Dir) -> Vec<u64> {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap();
    dir.text("messages.jsonl").lines().map(line).collect()
}

#[cfg(unix)]
#[test]
fn what_was_stored_before_a_kill_is_there_once() {
    let dir = Dir::new();
    let mut stored = 0;
    for round in 1..=10 {
        let mut child = storing(&dir, "").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut told =
            lines.filter_map(|line| line.strip_prefix("stored ").map(|number| number.parse::<u64>().unwrap()));
        let enough = stored + 3 * round;
        stored = told.find(|number| *number >= enough).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        stored = told.last().unwrap_or(stored);
        drop(dir.open());
        let there = sequences(&dir);
        // One more may be there that the process did not live to tell of.
        assert!(there.len() as u64 == stored || there.len() as u64 == stored + 1);
        assert!(there.iter().copied().eq(1..=there.len() as u64));
        stored = there.len() as u64;
    }
}

/// The file may not grow over a limit: a write is short, the next one fails.
#[cfg(unix)]
#[test]
fn a_write_that_fails_stores_nothing_and_the_store_takes_no_more_until_it_is_opened_again() {
    let dir = Dir::new();
    let output = storing(&dir, "trap '' XFSZ; ulimit -f 8;").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let stored = text.lines().filter(|line| line.starts_with("stored ")).count() as u64;
    assert!(stored > 3);
    assert!(text.contains("\nfailed ") && text.contains("\nrefused "), "{text}");
    assert!(text.contains("takes nothing until it is opened again"), "{text}");
    // Cut back before it was opened.
    assert!(sequences(&dir).iter().copied().eq(1..=stored));
    let device = dir.open().device("", 7);
    assert!(greet(&device, 1, 2));
    let next = stored as u32 + 1;
    assert_eq!(accept(&device, id(1, 2, next - 1), b"again"), Outcome::Duplicate);
    assert_eq!(accept(&device, id(1, 2, next), b"again"), Outcome::Stored);
}

/// A device that takes bytes and cannot sync them.
#[cfg(target_os = "linux")]
#[test]
fn a_sync_that_fails_stores_nothing() {
    let dir = Dir::new();
    std::os::unix::fs::symlink("/dev/null", dir.messages()).unwrap();
    let store = dir.open();
    let device = store.device("", 7);
    assert!(greet(&device, 1, 1));
    thread::scope(|scope| {
        for number in 10..18 {
            let other = store.device("", number);
            scope.spawn(move || {
                assert!(greet(&other, 1, 1));
                other.accept(&[(id(1, 1, 1), b"a")]).unwrap_err();
            });
        }
    });
    device.accept(&[(id(1, 1, 1), b"a")]).unwrap_err();
    assert_eq!(device.ledger().window().last(), 0);
}
