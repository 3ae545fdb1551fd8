//! The demo keeps its word: its table is what happened, and it fails when something is lost. Small runs of the real thing,
//! its judge before books that were tampered with, and its meter before frames that are known.
//!
//! `LONGLINK_DEMO_PCAP=PATH` keeps the capture of the good run.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_debug_implementations,
    dead_code
)]

#[path = "support/device.rs"]
mod device;
#[path = "../examples/support/demo/judge.rs"]
mod judge;
#[path = "../examples/support/demo/meter.rs"]
mod meter;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/support/proxy/mod.rs"]
mod proxy;
#[path = "../examples/support/demo/timeline.rs"]
mod timeline;

use device::Dir;
use judge::{Book, Inbox, Item, Payload, Sender, Verdict, judge};
use longlink::wire::{Dialect, encode};
use meter::Meter;
use process::example;
use proxy::Side;
use serde_json::Value;
use std::process::Output;
use timeline::ArrowKind::{Ack, Copy, Heartbeat, Message};

/// A small run, with its temporary files in `dir`.
fn run(dir: &Dir, args: &[&str]) -> Output {
    example("demo").args(["--messages", "60", "--eager"]).args(args).env("TMPDIR", &dir.0).output().unwrap()
}

fn value(table: &Value, name: &str) -> f64 {
    table["figures"][name]["value"].as_f64().expect(name)
}

#[test]
fn a_run_ends_well_and_its_table_adds_up() {
    let dir = Dir::new("demo");
    let (svg, pcap) = (dir.path("run.svg"), dir.path("run.pcap"));
    // For whoever wants to look at it.
    let pcap = std::env::var("LONGLINK_DEMO_PCAP").unwrap_or(pcap);
    let output = run(&dir, &["--seed", "1", "--json", "--svg", &svg, "--pcap", &pcap]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&table["ok"], &table["faults"]), (&true.into(), &Value::Array(Vec::new())));
    // The photo has a message as well.
    for (rule, of) in [("delivered", 61), ("stored_once", 61), ("on_every_device", 4 * 61), ("in_order", 4 * 61)] {
        let rule = &table["rules"][rule];
        assert_eq!((&rule["of"], &rule["held"], &rule["ok"]), (&of.into(), &of.into(), &true.into()));
    }
    assert!(value(&table, "items") >= 4.0 * 61.0, "each was seen on its way to each device");
    assert!(value(&table, "duplicates_suppressed") <= value(&table, "resends"));
    // The server was killed with six links, one device was.
    assert!(value(&table, "reconnects") >= 6.0);
    assert!(value(&table, "heartbeats") > 6.0 && value(&table, "idle_bytes_per_second") > 0.0);
    let photo = table["rules"]["payload"]["of"].as_f64().unwrap();
    assert!(value(&table, "bytes") > photo && value(&table, "chunks") >= photo / 16_384.0);
    for moment in ["The server is killed", "The server is back", "tablet is killed", "tablet is switched on again"] {
        assert!(log.contains(moment), "{log}");
    }
    let (svg, pcap) = (std::fs::read_to_string(svg).unwrap(), std::fs::read(pcap).unwrap());
    let _ = std::fs::remove_file(dir.path("run.pcap"));
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert!(pcap.len() as f64 > value(&table, "bytes"), "all that crossed the wire is in it");
    let left: Vec<_> = std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "nothing stays behind: {left:?}");
}

#[test]
fn a_server_that_loses_what_it_stored_does_not_pass() {
    let dir = Dir::new("demo-loss");
    let output = run(&dir, &["--seed", "1", "--json", "--lose-disk", "--patience", "4"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&table["ok"], &table["rules"]["on_every_device"]["ok"]), (&false.into(), &false.into()));
    assert!(!table["faults"].as_array().unwrap().is_empty());
}

fn item(id: u64, text: &str) -> Item {
    Item { place: (1, id), id, text: text.into() }
}

/// One wrote "a" and "b", and two have it.
fn good() -> Book {
    let texts = vec!["a".to_string(), "b".to_string()];
    let delivered = texts.iter().cloned().collect();
    let items = vec![item(1, "a"), item(2, "b")];
    let told = items.iter().map(|item| item.place).collect();
    let inbox = Inbox { name: "one".into(), from: vec![0], items, told };
    let sender = Sender { name: "one".into(), texts, delivered, failed: Vec::new() };
    let payload = Payload { sent: vec![1, 2, 3], arrived: Some(vec![1, 2, 3]) };
    Book { senders: vec![sender], inboxes: vec![inbox.clone(), inbox], payload }
}

/// The rules that do not hold after this was done to a good book.
fn broken(tamper: impl FnOnce(&mut Book)) -> Vec<&'static str> {
    let mut book = good();
    tamper(&mut book);
    judge(&book).iter().filter(|verdict| !verdict.holds()).map(|verdict: &Verdict| verdict.name).collect()
}

#[test]
fn each_rule_is_seen_to_be_broken() {
    assert_eq!(broken(|_| {}), [""; 0]);
    let everywhere = |book: &mut Book, change: fn(&mut Vec<Item>)| {
        book.inboxes.iter_mut().for_each(|inbox| change(&mut inbox.items));
    };
    // Lost by the server, though it was told to be delivered.
    let lost = broken(|book| everywhere(book, |items| drop(items.pop())));
    assert_eq!(lost, ["delivered_and_stored", "stored_once", "on_every_device"]);
    let missing = broken(|book| drop(book.inboxes[0].items.pop()));
    assert_eq!(missing, ["on_every_device"]);
    // Under a second number: on some device the one, on another the other.
    assert_eq!(broken(|book| book.inboxes[0].items[1].id = 3), ["stored_once"]);
    assert_eq!(broken(|book| everywhere(book, |items| items[1].id = items[0].id)), ["stored_once"]);
    let twice = broken(|book| everywhere(book, |items| items.push(item(3, "b"))));
    assert_eq!(twice, ["stored_once", "on_every_device", "in_order"]);
    assert_eq!(broken(|book| book.inboxes[1].items.swap(0, 1)), ["in_order"]);
    assert_eq!(broken(|book| book.inboxes[1].told.swap(0, 1)), ["in_order"]);
    assert_eq!(broken(|book| book.inboxes[1].items.push(item(9, "c"))), ["on_every_device"]);
    assert_eq!(broken(|book| drop(book.senders[0].delivered.pop_last())), ["delivered"]);
    assert_eq!(broken(|book| book.senders[0].failed.push("too late".into())), ["delivered"]);
    assert_eq!(broken(|book| book.payload.arrived = None), ["payload"]);
    assert_eq!(broken(|book| book.payload.arrived = Some(vec![1, 2, 4])), ["payload"]);
    assert_eq!(broken(|book| book.payload.arrived = Some(vec![1, 2, 3, 4])), ["payload"]);
}

#[test]
fn a_run_that_was_stuck_does_not_pass() {
    assert!(judge::came_to_its_end(None).holds());
    assert!(!judge::came_to_its_end(Some("nothing moved".into())).holds());
}

/// A meter that sees frames pass, byte by byte.
struct Watched(Meter);

impl Watched {
    fn new() -> Self {
        let mut meter = Meter::default();
        meter.open(1);
        Self(meter)
    }

    fn pass(&mut self, link: u32, from: Side, command: u32, sequence: u32, body: &[u8]) -> Vec<timeline::ArrowKind> {
        let (mut frame, mut kinds) = ([0; 256], Vec::new());
        let length = encode(&Dialect::LONGLINK, command, sequence, body, &mut frame).unwrap();
        for byte in frame[..length].chunks(1) {
            self.0.carry(link, from, byte, |kind| kinds.push(kind));
        }
        kinds
    }

    fn send(&mut self, link: u32, sequence: u32) -> Vec<timeline::ArrowKind> {
        self.pass(link, Side::Client, 237, sequence, br#"{"to":"bob","text":"hi"}"#)
    }

    fn beat(&mut self, link: u32) {
        assert_eq!(self.pass(link, Side::Client, 6, u32::MAX, b""), [Heartbeat]);
        assert_eq!(self.pass(link, Side::Server, 1_000_000_006, u32::MAX, b""), [Heartbeat]);
    }

    /// Sent again, and of these suppressed.
    fn copies(&self) -> (u64, u64) {
        (self.0.resends(), self.0.duplicates())
    }
}

#[test]
fn a_copy_counts_as_suppressed_only_once_the_server_answered_what_came_behind_it() {
    let mut wire = Watched::new();
    assert_eq!(wire.send(1, 1), [Message]);
    assert_eq!(wire.send(1, 1), [Copy]);
    assert_eq!(wire.copies(), (1, 0), "nothing says that either has reached it");
    assert_eq!(wire.pass(1, Side::Server, 1_000_000_237, 1, b""), [Ack]);
    assert_eq!(wire.copies(), (1, 0), "one has");
    wire.beat(1);
    assert_eq!(wire.copies(), (1, 1), "and what came before the heartbeat");
    // Lost with its link.
    assert_eq!(wire.send(1, 2), [Message]);
    wire.0.open(2);
    assert_eq!(wire.send(2, 2), [Copy]);
    wire.beat(2);
    assert_eq!(wire.copies(), (2, 1), "the first of these may never have come");
    let tally = wire.0.tally;
    assert_eq!((tally.heartbeats, tally.heartbeat_bytes, tally.links, tally.text_up), (2, 64, 2, 4));
    assert_eq!(tally.bytes, tally.message_bytes + tally.heartbeat_bytes);
}
