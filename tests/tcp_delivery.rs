//! Each message is stored once, whatever happens to the link, the server and the client: the example programs over real
//! TCP, with a proxy in between that treats links badly.
//!
//! `LONGLINK_LONG=1` makes the long one ten times as long.
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

use device::{Device, Dir, Stored};
use longlink::delivery::Ledger;
use longlink::io::std::{Clock, Driver};
use longlink::session::{GoAwayCode, Link, Server as ServerLink, ServerConfig, ServerEvent};
use longlink::wire::Decoder;
use process::Server;
use proxy::{Cut, Faults, Proxy};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Cuts in every way, and whatever else can happen to bytes.
const BAD: Faults = Faults {
    cut_after: ms(100)..ms(400),
    // A silent one costs the client two seconds each time, so there are fewer.
    cut_after_bytes: 0..0,
    cuts: &[Cut::End, Cut::Reset, Cut::Late, Cut::End, Cut::Reset, Cut::Late, Cut::Silent],
    split: 200,
    stall_one_in: 200,
    stall: ms(30),
    delay: ms(1),
};

/// A dead link is noticed in two seconds, and the next one is wanted at once.
const IMPATIENT: [&str; 5] = ["--heartbeat", "1", "--answer-timeout", "1", "--eager"];

fn line(number: usize) -> String {
    format!("message {number}")
}

/// All lines are stored, once each and in order, under growing sequences of one epoch.
fn assert_stored(stored: &[Stored], count: usize) {
    let order = stored.windows(2).all(|two| two[0].epoch == two[1].epoch && two[0].sequence < two[1].sequence);
    assert!(order, "sequences grow");
    for (number, message) in stored.iter().enumerate() {
        assert_eq!(message.text, line(number), "each once and in order");
    }
    assert_eq!(stored.len(), count);
}

fn assert_told_once(sequences: &[u64], stored: &[Stored]) {
    let told: BTreeSet<_> = sequences.iter().copied().collect();
    assert_eq!(told.len(), sequences.len(), "no outcome twice");
    assert_eq!(told, stored.iter().map(|message| message.sequence).collect(), "each that is stored, and no other");
}

#[test]
fn ten_thousand_messages_are_stored_once_through_cuts_and_server_crashes() {
    const CRASHES: usize = 15;
    let count = if std::env::var_os("LONGLINK_LONG").is_some() { 100_000 } else { 10_000 };
    let dir = Dir::new("cuts");
    let store = dir.path("store");
    // Fast enough to have something under way whenever it dies.
    let start = || Server::start(&["--store", &store, "--rate", "400"]);
    let mut server = start();
    let proxy = Proxy::start(server.address, BAD, 1);
    let mut client = Device::start(proxy.addr(), &[&["--lines"], &IMPATIENT[..]].concat(), (0..count).map(line));
    let began = Instant::now();
    for crash in 1..=CRASHES {
        client.wait_for_delivered(count / (CRASHES + 1) * crash);
        // SIGKILL, then another process on the same directory.
        drop(server);
        server = start();
        proxy.set_target(server.address);
    }
    assert!(client.finish().success(), "{:?}", client.seen.last());
    let counts = proxy.counts();
    println!("{count} messages in {:?}: {counts:?}, {} times online", began.elapsed(), client.count("online"));
    assert!(counts.cuts >= 10, "{counts:?}");
    let stored = dir.messages();
    assert_stored(&stored, count);
    assert_told_once(&client.sequences("delivered"), &stored);
}

#[test]
fn a_client_that_is_killed_goes_on_from_its_state_and_nothing_is_stored_twice() {
    const COUNT: usize = 3_000;
    let dir = Dir::new("killed");
    let server = Server::start(&["--store", &dir.path("store")]);
    let proxy = Proxy::start(server.address, BAD, 2);
    let state = dir.path("state");
    let args = [&["--lines", "--state", &state], &IMPATIENT[..]].concat();
    let mut stored = 0;
    let mut told = Vec::new();
    for _ in 0..3 {
        let least = stored + 500;
        let mut client = Device::start(proxy.addr(), &args, (stored..COUNT).map(line));
        client.wait_for_delivered(500);
        client.kill();
        told.extend(client.sequences("delivered"));
        // What it had in its state is sent, and nothing else: lines that it had not stored yet are not.
        let mut client = Device::start(proxy.addr(), &args, []);
        assert!(client.finish().success(), "{:?}", client.seen.last());
        told.extend(client.sequences("delivered"));
        stored = dir.messages().len();
        assert!((least..COUNT).contains(&stored), "{stored} of {least}");
    }
    let mut client = Device::start(proxy.addr(), &args, (stored..COUNT).map(line));
    assert!(client.finish().success(), "{:?}", client.seen.last());
    told.extend(client.sequences("delivered"));
    let stored = dir.messages();
    assert_stored(&stored, COUNT);
    // An outcome may have been told before the kill and again after it.
    told.sort_unstable();
    told.dedup();
    assert_told_once(&told, &stored);
}

/// A server that greets and stores, but never has anything to say of message 3.
fn server_that_keeps_silent_on_three() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let config = ServerConfig { ordered: false, ..ServerConfig::DEFAULT };
        let (clock, mut ledger) = (Clock::start(), <Ledger>::new());
        for stream in listener.incoming().map_while(Result::ok) {
            let server = ServerLink::new(&config, clock.now()).unwrap();
            let mut link = Link::new(Decoder::new(config.dialect, vec![0; 65_792]).unwrap(), server);
            Driver::new(stream).unwrap().run(&mut link, clock, |now, server, event| match event {
                Some(ServerEvent::Hello(hello)) => {
                    let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                    server.lend(vec![0; 4_096]).unwrap();
                    server.welcome(now, &ledger, greeted.resumed).unwrap();
                }
                Some(ServerEvent::Message { id, .. }) if id.sequence == 3 => server.release(now, &id).unwrap(),
                Some(ServerEvent::Message { id, .. }) => server.accept(now, &id).unwrap(),
                _ => {}
            });
        }
    });
    address
}

#[test]
fn a_message_that_a_live_server_never_answers_fails_after_its_attempts_and_holds_up_nobody() {
    let server = server_that_keeps_silent_on_three();
    let args = ["--lines", "--attempts", "2", "--timeout", "1", "--heartbeat", "1"];
    let mut client = Device::start(server, &args, (1..=200).map(line));
    // The window of 64 reaches past the silent one as soon as it has failed.
    client.wait_for_delivered(65);
    assert_eq!(client.count("failed"), 0, "the others do not wait for it");
    let failed = client.wait_for("failed");
    assert_eq!(
        (&failed["sequence"], &failed["written"], &failed["why"]),
        (&3.into(), &true.into(), &"no reply in time".into())
    );
    assert_eq!(client.finish().code(), Some(1));
    let delivered: BTreeSet<_> = client.sequences("delivered").into_iter().collect();
    assert_eq!((delivered.len(), client.count("delivered"), delivered.contains(&3)), (199, 199, false));
    assert_eq!((client.count("online"), client.count("failed")), (1, 1), "the link stays");
}

#[test]
fn a_line_that_is_too_long_fails_alone() {
    let dir = Dir::new("too-long");
    let server = Server::start(&["--store", &dir.path("store")]);
    let lines = [65_776, 65_777, 1 << 20, 0].map(|length| "x".repeat(length));
    let mut client = Device::start(server.address, &["--lines"], lines.clone());
    assert_eq!(client.finish().code(), Some(1));
    assert_eq!((client.count("delivered"), client.sequences("failed")), (2, vec![0, 0]));
    let texts: Vec<_> = dir.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, [lines[0].as_str(), ""]);
}

#[test]
fn a_refusal_for_good_ends_the_client_and_its_messages() {
    let dir = Dir::new("refused");
    let server = Server::start(&["--store", &dir.path("store")]);
    let mut client = Device::start(server.address, &["--token", &"x".repeat(65), "--send", "hello"], []);
    assert_eq!(client.finish().code(), Some(1));
    assert_eq!((client.count("online"), client.count("delivered"), client.sequences("failed")), (0, 0, vec![1]));
    assert_eq!(client.seen.iter().find(|event| event["event"] == "disconnected").unwrap()["why"], "rejected");
}

#[test]
fn a_client_that_does_not_greet_is_told_to() {
    let dir = Dir::new("ungreeted");
    let server = Server::start(&["--store", &dir.path("store")]);
    let mut client = Device::start(server.address, &["--send", "hello"], []);
    assert!(client.wait_for("failed")["why"].as_str().unwrap().contains("wants a greeting"));
    assert_eq!(client.finish().code(), Some(1));
    assert_eq!(dir.messages(), []);
}

#[test]
fn a_later_link_of_a_device_replaces_the_earlier_one() {
    let mut server = Server::start(&[]);
    let args = ["--device", "7", "--stay", "60"];
    let mut one = Device::start(server.address, &args, []);
    one.wait_for("online");
    // Of another account: another device.
    let mut other = Device::start(server.address, &["--device", "7", "--token", "ann", "--send", "hello"], []);
    assert!(other.finish().success());
    assert_eq!(one.wait_for("push")["text"], "hello");
    let mut two = Device::start(server.address, &args, []);
    assert_eq!(one.wait_for("goaway")["code"], GoAwayCode::Replaced.to_byte());
    server.wait_for("closed in good order");
    two.wait_for("online");
    assert_eq!(two.count("goaway"), 0);
}

#[test]
fn a_server_without_a_store_tells_messages_from_their_copies_too() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.address, BAD, 3);
    let mut watching = Device::start(server.address, &["--device", "9", "--stay", "60"], []);
    watching.wait_for("online");
    let args = [&["--lines"], &IMPATIENT[..]].concat();
    let mut client = Device::start(proxy.addr(), &args, (0..200).map(line));
    assert!(client.finish().success(), "{:?}", client.seen.last());
    for number in 0..200 {
        assert_eq!(watching.wait_for("push")["text"], line(number));
    }
}
