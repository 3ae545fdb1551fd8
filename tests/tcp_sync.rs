//! Every device of an account has every message once, whatever happens to the links, the server and the devices: the
//! example programs over real TCP, with their mailboxes and inboxes in files.
//!
//! `LONGLINK_LONG=1` makes the long one last for a minute and more.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]
#![allow(clippy::expect_used)]

#[path = "support/device.rs"]
#[allow(unreachable_pub, missing_debug_implementations)]
mod device;
#[path = "support/process.rs"]
#[allow(unreachable_pub, missing_debug_implementations, dead_code)]
mod process;
#[path = "../examples/support/proxy/mod.rs"]
mod proxy;

use device::{Device, Dir};
use process::{Server, example};
use proxy::{Cut, Faults, Proxy, Random};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// A device, whether it is running or not: its account, its name, and where its files are.
#[derive(Clone)]
struct Owner<'d> {
    dir: &'d Dir,
    account: &'static str,
    name: &'static str,
}

/// What is in an inbox: key, val, id, from, to and text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    key: u64,
    val: u64,
    id: u64,
    from: String,
    to: String,
    text: String,
}

const RECEIVED: u64 = 1;
const SENT: u64 = 2;

impl Item {
    fn read(line: &Value) -> Self {
        let number = |name: &str| line[name].as_u64().unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_string();
        let (key, val, id) = (number("key"), number("val"), number("id"));
        Self { key, val, id, from: text("from"), to: text("to"), text: text("text") }
    }
}

impl<'d> Owner<'d> {
    fn new(dir: &'d Dir, account: &'static str, name: &'static str) -> Self {
        Self { dir, account, name }
    }

    fn path(&self, what: &str) -> String {
        self.dir.path(&format!("{}-{}.{what}", self.account, self.name))
    }

    fn start(
        &self,
        server: SocketAddr,
        args: &[&str],
        lines: impl IntoIterator<Item = String> + Send + 'static,
    ) -> Device {
        let (state, inbox) = (self.path("state"), self.path("inbox"));
        let own = ["--account", self.account, "--device", self.name, "--state", &state, "--inbox", &inbox];
        Device::start(server, &[&own, args].concat(), lines)
    }

    /// Brings it up to date, and sends what it had not sent. What it told.
    fn run(&self, server: SocketAddr, args: &[&str]) -> Device {
        let mut device = self.start(server, args, []);
        assert!(device.finish().success(), "{:?}", device.seen);
        assert_ne!(device.count("caught_up"), 0);
        device
    }

    /// Sends messages, and waits until all are delivered.
    fn send(&self, server: SocketAddr, to: &str, texts: &[String]) {
        let args = ["--lines", "--to", to];
        let mut device = self.start(server, &args, texts.to_vec());
        assert!(device.finish().success(), "{:?}", device.seen.last());
        assert_eq!(device.count("delivered"), texts.len());
    }

    /// What is in its inbox.
    fn items(&self) -> Vec<Item> {
        let output = example("client").args(["--inbox", &self.path("inbox"), "--dump"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| Item::read(&serde_json::from_str(line).expect(line))).collect()
    }

    fn texts(&self, key: u64) -> Vec<String> {
        self.items().into_iter().filter(|item| item.key == key).map(|item| item.text).collect()
    }
}

/// The texts of the items that a client told.
fn told(device: &Device) -> Vec<String> {
    let items = device.seen.iter().filter(|event| event["event"] == "item");
    items.map(|event| Item::read(event).text).collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("text {number}")).collect()
}

fn start(dir: &Dir, args: &[&str]) -> Server {
    Server::start(&[&["--mailbox", &dir.path("mail.redb")], args].concat())
}

#[test]
fn a_device_that_was_away_gets_exactly_what_it_missed() {
    let dir = Dir::new("missed");
    let server = start(&dir, &[]);
    let [phone, tablet, sender] =
        [("ann", "phone"), ("ann", "tablet"), ("bob", "1")].map(|(account, name)| Owner::new(&dir, account, name));
    for owner in [&phone, &tablet, &sender] {
        owner.run(server.address, &[]);
    }
    sender.send(server.address, "ann", &texts(0..5));
    assert_eq!(told(&phone.run(server.address, &[])), texts(0..5));
    sender.send(server.address, "ann", &texts(5..150));
    assert_eq!(told(&phone.run(server.address, &[])), texts(5..150));
    assert_eq!(told(&phone.run(server.address, &[])), texts(0..0));
    assert_eq!(told(&tablet.run(server.address, &[])), texts(0..150));
    assert_eq!(tablet.items(), phone.items());
    assert_eq!((phone.texts(RECEIVED), phone.texts(SENT)), (texts(0..150), texts(0..0)));
    // The sender has its own.
    sender.run(server.address, &[]);
    assert_eq!((sender.texts(RECEIVED), sender.texts(SENT)), (texts(0..0), texts(0..150)));
}

#[test]
fn what_comes_while_a_device_is_connected_comes_to_all_of_both_sides_at_once() {
    let dir = Dir::new("at-once");
    let server = start(&dir, &[]);
    let names = [("ann", "phone"), ("ann", "tablet"), ("bob", "phone"), ("bob", "tablet")];
    let owners = names.map(|(account, name)| Owner::new(&dir, account, name));
    let (lines, input) = mpsc::channel();
    let mut sender = owners[0].start(server.address, &["--lines", "--to", "bob"], input);
    let mut others: Vec<_> = owners[1..].iter().map(|o| o.start(server.address, &["--stay", "60"], [])).collect();
    sender.wait_for("caught_up");
    others.iter_mut().for_each(|device| drop(device.wait_for("caught_up")));
    for text in texts(0..3) {
        lines.send(text.clone()).unwrap();
        sender.wait_for("delivered");
        for device in &mut others {
            assert_eq!(device.wait_for("item")["text"], text);
        }
    }
    assert_eq!(told(&sender).len().min(3), told(&sender).len());
    drop(lines);
    assert!(sender.finish().success());
    assert_eq!(others[0].count("push"), 0, "what is for one account is for nobody else");
}

#[test]
fn a_device_that_joins_later_gets_what_is_retained_and_counts_from_then_on() {
    let dir = Dir::new("later");
    let server = start(&dir, &[]);
    let [one, later, sender] =
        [("ann", "1"), ("ann", "2"), ("bob", "1")].map(|(account, name)| Owner::new(&dir, account, name));
    one.run(server.address, &[]);
    sender.send(server.address, "ann", &texts(0..5));
    one.run(server.address, &[]);
    // What it says with its next request, it has said for certain.
    one.run(server.address, &[]);
    sender.send(server.address, "ann", &texts(5..8));
    let device = later.run(server.address, &[]);
    assert_eq!((told(&device), device.count("gap")), (texts(5..8), 0));
    sender.send(server.address, "ann", &texts(8..10));
    assert_eq!(told(&one.run(server.address, &[])), texts(5..10));
    one.run(server.address, &[]);
    let device = later.run(server.address, &[]);
    assert_eq!((told(&device), device.count("gap")), (texts(8..10), 0));
}

#[test]
fn a_device_that_fell_behind_what_is_kept_is_told_so_once() {
    let dir = Dir::new("behind");
    let server = start(&dir, &["--keep", "10"]);
    let [away, sender] = [("ann", "1"), ("bob", "1")].map(|(account, name)| Owner::new(&dir, account, name));
    away.run(server.address, &[]);
    sender.send(server.address, "ann", &texts(0..2));
    away.run(server.address, &[]);
    sender.send(server.address, "ann", &texts(2..25));
    let device = away.run(server.address, &[]);
    assert_eq!((told(&device), device.count("gap")), (texts(15..25), 1));
    let gap = device.seen.iter().find(|event| event["event"] == "gap").unwrap();
    assert_eq!((&gap["key"], &gap["after"]), (&RECEIVED.into(), &2.into()));
    assert_eq!(away.run(server.address, &[]).count("gap"), 0);
}

#[test]
fn a_text_that_is_longer_than_a_page_arrives_whole() {
    let dir = Dir::new("long-text");
    let server = start(&dir, &[]);
    let [small, sender] = [("ann", "1"), ("bob", "1")].map(|(account, name)| Owner::new(&dir, account, name));
    small.run(server.address, &["--page", "256"]);
    let long = ["a".into(), "x\u{e9}\"".repeat(5_000), "b".into(), "y".repeat(300), "c".into()];
    sender.send(server.address, "ann", &long);
    assert_eq!(told(&small.run(server.address, &["--page", "256"])), long);
    assert_eq!(small.texts(RECEIVED), long);
}

#[test]
fn mailboxes_that_begin_anew_bring_nothing_twice() {
    let dir = Dir::new("anew");
    let mut server = start(&dir, &[]);
    let [one, other, sender] =
        [("ann", "1"), ("ann", "2"), ("bob", "1")].map(|(account, name)| Owner::new(&dir, account, name));
    one.run(server.address, &[]);
    other.run(server.address, &[]);
    sender.send(server.address, "ann", &texts(0..3));
    one.run(server.address, &[]);
    drop(server);
    // A copy of the file as a crash leaves it is put back later.
    let backup = std::fs::read(dir.path("mail.redb")).unwrap();
    server = start(&dir, &[]);
    sender.send(server.address, "ann", &texts(3..5));
    one.run(server.address, &[]);
    drop(server);
    std::fs::write(dir.path("mail.redb"), backup).unwrap();
    server = start(&dir, &["--new-epoch"]);
    // The restored one has not seen these two; the sender has been told that they are stored, and does not send them again.
    sender.send(server.address, "ann", &texts(5..7));
    let device = one.run(server.address, &[]);
    assert_eq!((told(&device), device.count("reset")), (texts(5..7), 1));
    let device = other.run(server.address, &[]);
    assert_eq!((told(&device), device.count("gap")), ([texts(0..3), texts(5..7)].concat(), 0));
    assert_eq!(one.texts(RECEIVED).iter().collect::<BTreeSet<_>>().len(), 7);
    assert_eq!(one.texts(RECEIVED).len(), 7);
}

#[test]
fn a_server_without_mailboxes_says_so() {
    let dir = Dir::new("no-mailboxes");
    let server = Server::start(&["--store", &dir.path("store")]);
    let mut device = Owner::new(&dir, "ann", "1").start(server.address, &["--send", "hello"], []);
    assert_eq!(device.finish().code(), Some(1));
    assert_eq!((device.count("sync_failed"), device.count("delivered")), (1, 1));
}

#[test]
fn an_inbox_is_one_device_s() {
    let dir = Dir::new("one-device");
    let server = start(&dir, &[]);
    let inbox = dir.path("inbox");
    let run = |args: &[&str]| {
        let args = [&["--inbox", &inbox], args].concat();
        process::client(server.address, &args).status.success()
    };
    assert!(run(&["--account", "ann", "--device", "phone"]));
    assert!(run(&["--account", "ann"]), "it says whose it is");
    assert!(!run(&["--account", "ann", "--device", "tablet"]));
    assert!(!run(&["--account", "bob"]));
    assert!(run(&["--account", "ann", "--device", "phone"]));
}

/// The devices of the long test: three accounts of two.
const DEVICES: [(&str, &str); 6] =
    [("ann", "a1"), ("ann", "a2"), ("bob", "b1"), ("bob", "b2"), ("cat", "c1"), ("cat", "c2")];
const ACCOUNTS: [&str; 3] = ["ann", "bob", "cat"];

/// Links that break now and then, in ways that show.
const BAD: Faults = Faults {
    cut_after: Duration::from_millis(150)..Duration::from_millis(900),
    cut_after_bytes: 0..0,
    cuts: &[Cut::End, Cut::Reset, Cut::Late],
    split: 400,
    stall_one_in: 200,
    stall: Duration::from_millis(20),
    delay: Duration::from_millis(1),
};

/// One device of the long test, in all of its lives.
struct Life<'d> {
    owner: Owner<'d>,
    device: Device,
    lines: Sender<String>,
    /// How many lines it was given.
    given: usize,
    /// The sequences of the messages that it was told to be delivered.
    delivered: BTreeSet<u64>,
}

impl<'d> Life<'d> {
    fn begin(owner: Owner<'d>, server: SocketAddr, random: &mut Random) -> Self {
        let (device, lines) = Self::spawn(&owner, server, random);
        Self { owner, device, lines, given: 0, delivered: BTreeSet::new() }
    }

    /// In each life it writes to another account, or to its own.
    fn spawn(owner: &Owner<'_>, server: SocketAddr, random: &mut Random) -> (Device, Sender<String>) {
        let (lines, input) = mpsc::channel();
        let to = ACCOUNTS[random.below(3) as usize];
        let args = ["--lines", "--to", to, "--heartbeat", "1", "--answer-timeout", "1", "--eager"];
        (owner.start(server, &args, input), lines)
    }

    /// Gives it so many messages to send.
    fn give(&mut self, count: usize) {
        for _ in 0..count {
            let text = format!("{} {}", self.owner.name, self.given);
            self.given += 1;
            self.lines.send(text).expect("it runs");
        }
    }

    fn kill(&mut self) {
        self.device.kill();
        self.note();
    }

    /// What this life was told.
    fn note(&mut self) {
        self.delivered.extend(self.device.sequences("delivered"));
        let bad = |event: &&Value| ["failed", "gap", "reset", "epoch_lost"].iter().any(|name| event["event"] == *name);
        assert_eq!(self.device.seen.iter().find(bad), None);
    }

    fn kill_and_restart(&mut self, server: SocketAddr, random: &mut Random) {
        self.kill();
        (self.device, self.lines) = Self::spawn(&self.owner, server, random);
    }

    /// Runs once more, to send what was not sent and to get what is there.
    fn settle(&mut self, server: SocketAddr) {
        self.device = self.owner.run(server, &[]);
        self.note();
    }
}

/// All devices of an account have the same, once each, in order.
fn assert_same(one: &[Item], other: &[Item]) {
    assert_eq!(one, other);
    let order = one.windows(2).all(|two| (two[0].key, two[0].val) < (two[1].key, two[1].val));
    assert!(order, "vals grow with every item of a key");
    for (what, count) in [
        ("id", one.iter().map(|item| item.id.to_string()).collect::<BTreeSet<_>>().len()),
        ("text", one.iter().map(|item| item.text.clone()).collect::<BTreeSet<_>>().len()),
    ] {
        assert_eq!(count, one.len(), "no {what} is there twice");
    }
}

/// The numbers of the messages that a device sent, in the order in which they lie.
fn numbers<'i>(items: impl Iterator<Item = &'i Item>, device: &str) -> Vec<usize> {
    let texts = items.filter_map(|item| item.text.split_once(' ').filter(|(name, _)| *name == device));
    texts.map(|(_, number)| number.parse().unwrap()).collect()
}

#[test]
fn every_device_has_every_message_once_after_clients_and_server_were_killed_at_random() {
    let kills = if std::env::var_os("LONGLINK_LONG").is_some() { 500 } else { 30 };
    let dir = Dir::new("storm");
    let mut random = Random(7);
    let mut server = start(&dir, &[]);
    let proxy = Proxy::start(server.address, BAD, 7);
    let began = Instant::now();
    let owners = DEVICES.map(|(account, name)| Owner::new(&dir, account, name));
    owners.iter().for_each(|owner| drop(owner.run(server.address, &[])));
    let mut lives = owners.map(|owner| Life::begin(owner, proxy.addr(), &mut random));
    let mut crashes = 0;
    // On a fast machine it takes more to see the network break too.
    let goes_on = |kill| kill < kills || (kill < 10 * kills && proxy.counts().cuts <= 3);
    for _ in (0..).take_while(|kill| goes_on(*kill)) {
        lives.iter_mut().for_each(|life| life.give(1 + random.below(20) as usize));
        // Somewhere in the middle of that.
        let watched = &mut lives[random.below(6) as usize].device;
        let delivered = watched.count("delivered");
        watched.wait_for_delivered(delivered + 1);
        if random.below(4) == 0 {
            crashes += 1;
            drop(server);
            server = start(&dir, &[]);
            proxy.set_target(server.address);
        } else {
            lives[random.below(6) as usize].kill_and_restart(proxy.addr(), &mut random);
        }
    }
    lives.iter_mut().for_each(Life::kill);
    drop(server);
    server = start(&dir, &[]);
    // Once to send what was not sent, once more to get what others sent thereby.
    for _ in 0..2 {
        lives.iter_mut().for_each(|life| life.settle(server.address));
    }
    let counts = proxy.counts();
    let inboxes: BTreeMap<_, _> = lives.iter().map(|life| (life.owner.name, life.owner.items())).collect();
    let stored: usize = lives.iter().map(|life| life.delivered.len()).sum();
    println!("{stored} messages, {crashes} crashes of the server, {counts:?}, {:?}", began.elapsed());
    assert!(stored > 3 * kills && crashes > 3 && counts.cuts > 3, "something happened");
    for pair in lives.chunks(2) {
        assert_same(&inboxes[pair[0].owner.name], &inboxes[pair[1].owner.name]);
    }
    for life in &lives {
        let own = inboxes[life.owner.name].iter().filter(|item| item.key == SENT);
        let sent = numbers(own.clone(), life.owner.name);
        assert!(sent.is_sorted(), "in the order in which they were sent: {sent:?}");
        assert_eq!(sent.len(), life.delivered.len(), "each that was told to be delivered, and no other");
        // And so each account that it wrote to has them, in that order.
        for (to, device) in ACCOUNTS.into_iter().zip(["a1", "b1", "c1"]).filter(|(to, _)| *to != life.owner.account) {
            let here = numbers(own.clone().filter(|item| item.to == to), life.owner.name);
            let there = inboxes[device].iter().filter(|item| item.key == RECEIVED && item.from == life.owner.account);
            assert_eq!(numbers(there, life.owner.name), here, "{} to {to}", life.owner.name);
        }
    }
}
