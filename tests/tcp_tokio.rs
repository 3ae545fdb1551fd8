//! The examples on tokio, client and server, over real TCP and TLS: what holds for those on threads holds for them, and a link
//! that is quiet costs the server no buffer.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]
#![allow(clippy::expect_used)]
// They are sent signals.
#![cfg(unix)]

#[path = "support/device.rs"]
#[allow(unreachable_pub, missing_debug_implementations)]
mod device;
#[path = "support/process.rs"]
#[allow(unreachable_pub, missing_debug_implementations, dead_code)]
mod process;
#[path = "../examples/support/proxy/mod.rs"]
mod proxy;

use device::Device;
use longlink::Instant;
use longlink::session::{Config, Identity, Storage};
use longlink::wire::{Dialect, encode};
use process::{PATIENCE, Server, example};
use proxy::{Cut, Faults, Proxy};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use tokio::net::TcpSocket;

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/support/tls/localhost.pem");
const OTHER_CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/other.pem");

/// A client, and how it speaks to its server.
#[derive(Clone, Copy, Debug)]
struct Way {
    client: &'static str,
    tls: bool,
}

const WAYS: [Way; 3] = [THREADS, PLAIN, TLS];
const THREADS: Way = Way { client: "client", tls: false };
const PLAIN: Way = Way { client: "tokio_client", tls: false };
const TLS: Way = Way { client: "tokio_client", tls: true };

impl Way {
    fn server(self) -> Server {
        self.server_at("127.0.0.1:0", &[])
    }

    fn server_at(self, listen: &str, args: &[&str]) -> Server {
        let tls: &[&str] = if self.tls { &["--tls"] } else { &[] };
        Server::start_as("tokio_server", listen, &[tls, args].concat())
    }

    /// A device that sends what it is given.
    fn device(self, server: SocketAddr, args: &[&str]) -> (Device, Sender<String>) {
        let tls: &[&str] = if self.tls { &["--tls", "--ca", CA] } else { &[] };
        let (lines, input) = mpsc::channel();
        let args = [&["--lines", "--eager"], tls, args].concat();
        (Device::start_as(self.client, server, &args, input), lines)
    }
}

/// At the same time: they wait for each other's clocks otherwise.
fn each(ways: &[Way], test: impl Fn(Way) + Sync) {
    std::thread::scope(|scope| ways.iter().for_each(|way| drop(scope.spawn(|| test(*way)))));
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("text {number}")).collect()
}

/// The texts of the items that came from others, in the order in which they came.
fn received(device: &Device) -> Vec<&str> {
    let items = device.seen.iter().filter(|event| event["event"] == "item" && event["key"] == 1);
    items.map(|event| event["text"].as_str().unwrap()).collect()
}

fn wait_for_received(device: &mut Device, count: usize) {
    while received(device).len() < count {
        device.wait_for("item");
    }
}

/// What the server says of itself.
fn figures(server: &Server) -> Value {
    server.signal("USR1");
    serde_json::from_str(&server.next_line().unwrap()).unwrap()
}

/// Asks until it says so.
fn wait_for_figures(server: &Server, is_it: impl Fn(&Value) -> bool) -> Value {
    let began = std::time::Instant::now();
    loop {
        let figures = figures(server);
        if is_it(&figures) {
            return figures;
        }
        assert!(began.elapsed() < PATIENCE, "{figures}");
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn frame(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 16 + body.len()];
    encode(&Dialect::LONGLINK, command, sequence, body, &mut frame).unwrap();
    frame
}

const HEARTBEAT: u32 = 6;

#[test]
fn what_is_sent_is_stored_once_and_comes_to_every_device_of_both_sides() {
    each(&WAYS, |way| {
        let server = way.server();
        let (mut sender, lines) = way.device(server.address, &["--account", "bob", "--device", "1", "--to", "ann"]);
        let mut others = ["1", "2"].map(|name| way.device(server.address, &["--account", "ann", "--device", name]));
        others.iter_mut().for_each(|(device, _)| drop(device.wait_for("caught_up")));
        texts(0..100).into_iter().for_each(|text| lines.send(text).unwrap());
        drop(lines);
        assert!(sender.finish().success(), "{way:?}");
        let mut delivered = sender.sequences("delivered");
        delivered.sort_unstable();
        assert_eq!(delivered, (1..=100).collect::<Vec<_>>(), "{way:?}");
        for (device, _) in &mut others {
            wait_for_received(device, 100);
            assert_eq!(received(device), texts(0..100), "{way:?}");
        }
        // And nothing of it comes again to one that is new.
        let (mut late, lines) = way.device(server.address, &["--account", "ann", "--device", "3"]);
        drop(lines);
        assert!(late.finish().success());
        assert!(texts(0..100).ends_with(&received(&late).iter().map(ToString::to_string).collect::<Vec<_>>()));
    });
}

#[test]
fn a_client_that_does_not_greet_is_answered() {
    let server = PLAIN.server();
    let output = process::client(server.address, &["--send", "hello", "--heartbeat", "1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(process::names(&output), ["online", "reply", "disconnected"]);
}

#[test]
fn a_link_that_is_cut_is_resumed_and_each_message_arrives_once() {
    let faults = Faults {
        cut_after: Duration::from_millis(150)..Duration::from_millis(400),
        cuts: &[Cut::End, Cut::Reset, Cut::Late],
        split: 300,
        ..Faults::NONE
    };
    each(&[PLAIN, TLS], |way| {
        let server = way.server();
        let proxy = Proxy::start(server.address, faults.clone(), 5);
        let (mut receiver, _stays) = way.device(server.address, &["--account", "ann", "--device", "1"]);
        receiver.wait_for("caught_up");
        let (mut sender, lines) = way.device(proxy.addr(), &["--account", "bob", "--device", "1", "--to", "ann"]);
        let mut sent = 0;
        while proxy.counts().cuts < 3 {
            texts(sent..sent + 5).into_iter().for_each(|text| lines.send(text).unwrap());
            sent += 5;
            sender.wait_for_delivered(sent);
        }
        drop(lines);
        assert!(sender.finish().success(), "{way:?}");
        assert!(sender.seen.iter().any(|event| event["event"] == "online" && event["resumed"] == true), "{way:?}");
        wait_for_received(&mut receiver, sent);
        assert_eq!(received(&receiver), texts(0..sent), "{way:?}");
    });
}

#[test]
fn a_server_that_was_killed_and_knows_nothing_any_more_is_noticed() {
    each(&[PLAIN, TLS], |way| {
        let server = way.server();
        let address = server.address;
        let (mut device, lines) = way.device(address, &["--account", "ann", "--device", "1"]);
        lines.send("before".into()).unwrap();
        device.wait_for_delivered(1);
        device.wait_for("item");
        // It does not look until the server is there again: then it need not wait.
        device.signal("STOP");
        drop(server);
        let server = way.server_at(&address.to_string(), &[]);
        device.signal("CONT");
        assert_ne!(device.wait_for("online")["resumed"], true);
        lines.send("after".into()).unwrap();
        drop(lines);
        assert!(device.finish().success(), "{:?}", device.seen);
        assert_eq!(device.count("delivered"), 2);
        let reset = device.seen.iter().find(|event| event["event"] == "reset").expect("the mailbox began anew");
        assert!(reset["epoch"].is_number());
        let rewound = device.seen.iter().find(|event| event["event"] == "server_rewound").expect("it forgot a message");
        assert_eq!((&rewound["from"], &rewound["to"]), (&1.into(), &0.into()));
        assert_eq!(device.seen.iter().filter(|event| event["event"] == "item").count(), 2);
        drop(server);
    });
}

#[test]
fn a_peer_that_never_reads_holds_up_nobody_and_is_still_heard() {
    let server = PLAIN.server();
    // A small window, so that it is soon full.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(server.address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    // Without a mailbox, what it sends is pushed to all others.
    let [(mut sender, lines), (mut other, _stays)] =
        ["1", "2"].map(|device| PLAIN.device(server.address, &["--token", "ann", "--device", device]));
    other.wait_for("online");
    // Until something waits for it that the sockets do not take. What does is less than what it would be held back for.
    let waits = || (0..3).all(|_| figures(&server)["buffers"] == 1);
    for sent in 1.. {
        lines.send("x".repeat(30_000)).unwrap();
        sender.wait_for_delivered(sent);
        other.wait_for("push");
        if waits() {
            break;
        }
    }
    // What it writes is read still, and passed on.
    (&stream).write_all(&frame(Dialect::LONGLINK.message, 0, b"still here")).unwrap();
    assert_eq!(sender.wait_for("push")["text"], "still here");
    assert_eq!(other.wait_for("push")["text"], "still here");
    drop(stream);
    wait_for_figures(&server, |figures| figures["buffers"] == 0 && figures["links"] == 2);
}

#[test]
fn links_that_are_quiet_hold_no_buffers() {
    let server = PLAIN.server();
    let count = 2_000.min(most_files() - 100);
    // Some of them are devices, which takes the server longer.
    let link = |number| if number % 10 == 0 { greeted(server.address, number) } else { asked(server.address) };
    let mut links: Vec<_> = (1..=count).map(link).collect();
    let figures = wait_for_figures(&server, |figures| figures["buffers"] == 0);
    assert_eq!((&figures["links"], &figures["frames"]), (&count.into(), &count.into()));
    // Half a frame is kept, in one.
    let (whole, half) = (frame(HEARTBEAT, 2, b""), frame(HEARTBEAT, 3, b""));
    links[7].write_all(&[&whole, &half[..9]].concat()).unwrap();
    read_frame(&mut links[7]);
    wait_for_figures(&server, |figures| figures["buffers"] == 1);
    links[7].write_all(&half[9..]).unwrap();
    read_frame(&mut links[7]);
    wait_for_figures(&server, |figures| figures["buffers"] == 0);
    drop(links);
    wait_for_figures(&server, |figures| figures["links"] == 0);
}

/// More frames than a link may send, which bring nothing about: it is held back, and then has nothing to say that would have it
/// look at its socket again.
#[test]
fn a_peer_that_was_held_back_for_its_rate_is_heard_again() {
    let server = PLAIN.server();
    let mut stream = asked(server.address);
    stream.write_all(&frame(Dialect::LONGLINK.heartbeat_reply, 7, b"").repeat(300)).unwrap();
    wait_for_figures(&server, |figures| figures["frames"] == 301);
    stream.write_all(&frame(HEARTBEAT, 2, b"")).unwrap();
    assert_eq!(read_frame(&mut stream)[8..], 2_u32.to_be_bytes());
}

#[test]
fn a_link_from_which_nothing_comes_is_ended_whether_its_peer_does_its_part_or_not() {
    let mut server = PLAIN.server_at("127.0.0.1:0", &["--idle", "1"]);
    let mut stream = asked(server.address);
    let goaway = read_frame(&mut stream);
    assert_eq!(goaway[4..8], 247_u32.to_be_bytes());
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    // It does not end its own side.
    server.wait_for("link 1: nothing came");
    assert_eq!(figures(&server)["links"], 0);
}

/// How many files a process may have open here; the server may have as many.
fn most_files() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(256)
}

/// A link on which a heartbeat was answered, and then nothing.
fn asked(server: SocketAddr) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(&frame(HEARTBEAT, 1, b"")).unwrap();
    read_frame(&mut stream);
    stream
}

/// A link of a device that was greeted, and then nothing.
fn greeted(server: SocketAddr, device: u64) -> TcpStream {
    let identity = Some(Identity::volatile(NonZeroU64::new(device).unwrap()));
    let config = Config { identity, hello: Some(b"crowd"), ..Config::DEFAULT };
    let mut storage: Storage = Storage::new();
    let mut link = storage.client(&config).unwrap();
    link.handle_connected(Instant::ZERO);
    let mut stream = connect(server);
    while let Some(bytes) = link.poll_transmit() {
        let n = stream.write(bytes).unwrap();
        link.handle_sent(Instant::ZERO, n);
    }
    read_frame(&mut stream);
    stream
}

/// What follows its length.
fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut rest).unwrap();
    rest
}

#[test]
fn a_server_with_the_wrong_certificate_is_refused() {
    let server = TLS.server();
    for (args, why) in [
        (["--ca", OTHER_CA, "--server-name", "localhost"], "BadSignature"),
        (["--ca", CA, "--server-name", "example.org"], "not valid for name"),
    ] {
        let args = [&["--tls", "--send", "secret", "--token", "secret"], &args[..]].concat();
        let mut client = Device::start_as("tokio_client", server.address, &args, []);
        let refused = client.wait_for("refused");
        assert_eq!(refused["fault"], "foreign");
        assert!(refused["why"].as_str().unwrap().contains(why), "{refused}");
        assert_eq!(client.count("online"), 0);
    }
    assert_eq!(figures(&server)["frames"], 0);
}

#[test]
fn told_to_end_a_server_says_so_to_all_and_is_gone_when_they_are() {
    each(&[PLAIN, TLS], |way| {
        let server = way.server();
        let mut devices = ["1", "2"].map(|name| way.device(server.address, &["--account", "ann", "--device", name]));
        devices.iter_mut().for_each(|(device, _)| drop(device.wait_for("caught_up")));
        server.signal("INT");
        for (device, _) in &mut devices {
            assert_eq!(device.wait_for("goaway")["why"], "restart");
            assert_eq!(device.wait_for("disconnected")["why"], "goaway");
        }
        let last: Value = serde_json::from_str(&server.next_line().unwrap()).unwrap();
        assert_eq!((&last["links"], &last["accepted"], &last["buffers"]), (&0.into(), &2.into(), &0.into()));
        assert!(server.finish().success());
    });
}

#[test]
fn more_links_than_are_allowed_are_turned_away() {
    let server = PLAIN.server_at("127.0.0.1:0", &["--max-links", "2", "--workers", "1"]);
    let first = greeted(server.address, 1);
    let _second = greeted(server.address, 2);
    let mut third = connect(server.address);
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    drop(first);
    wait_for_figures(&server, |figures| figures["links"] == 1);
    // It is not counted any more as soon as its task has ended, which may be a little later.
    let is_served = |mut stream: TcpStream| {
        let is_asked = stream.write_all(&frame(HEARTBEAT, 1, b"")).is_ok();
        is_asked && stream.read(&mut [0]).is_ok_and(|n| n > 0)
    };
    assert!((0..100).any(|_| is_served(connect(server.address))));
}

#[test]
fn the_certificate_and_its_key_may_be_given() {
    let key = CA.replace(".pem", ".key");
    let server = PLAIN.server_at("127.0.0.1:0", &["--tls", "--cert", CA, "--key", &key]);
    let (mut device, lines) = TLS.device(server.address, &["--token", "ann"]);
    lines.send("hello".into()).unwrap();
    drop(lines);
    assert!(device.finish().success());
    // One without the other is of no use, and neither is one that is not there.
    let refused = |args: &[&str]| !example("tokio_server").args(args).output().unwrap().status.success();
    assert!(refused(&["--tls", "--cert", CA]));
    assert!(refused(&["--tls", "--cert", CA, "--key", "/nowhere"]));
}
