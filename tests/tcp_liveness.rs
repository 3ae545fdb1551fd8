//! The client finds a server among addresses that are of no use, notices when it has lost it, and comes back: the example
//! programs over real TCP.
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
#[path = "../examples/support/networks.rs"]
#[allow(dead_code)]
mod networks;
#[path = "support/process.rs"]
#[allow(unreachable_pub, missing_debug_implementations, dead_code)]
mod process;
#[path = "../examples/support/proxy/mod.rs"]
mod proxy;

use device::{Device, Dir};
use longlink::liveness::{Network, NetworkRecord};
use networks::Networks;
use process::Server;
use proxy::{Cut, Faults, Proxy};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody listens here.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A client that sends a line whenever it is given one.
fn client(server: SocketAddr, args: &[&str]) -> (Device, Sender<String>) {
    let (lines, input) = mpsc::channel();
    (Device::start(server, &[&["--lines"], args].concat(), input), lines)
}

/// What was told of the attempts, and when it was online: the event, the number of the attempt, and where.
fn tried(device: &Device) -> Vec<(String, u64, String)> {
    let names = ["connect", "refused", "abandoned", "online"];
    let events = device.seen.iter().filter(|event| names.iter().any(|name| event["event"] == *name));
    let text = |value: &Value| value.as_str().unwrap().to_string();
    events
        .map(|event| (text(&event["event"]), event["attempt"].as_u64().unwrap_or(0), text(&event["address"])))
        .collect()
}

#[test]
fn of_a_silent_a_closed_and_a_good_address_the_good_one_is_online_at_once() {
    let server = Server::start(&[]);
    // It accepts, and nobody is there.
    let (_listener, silent) = bind();
    let (closed, good) = (closed_port(), server.address);
    let began = Instant::now();
    let args = ["--connect", &closed.to_string(), "--connect", &good.to_string(), "--send", "hello"];
    let mut client = Device::start(silent, &[&["--device", "1"], &args[..]].concat(), []);
    client.wait_for("online");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let told = |event: &str, attempt, address: SocketAddr| (event.to_string(), attempt, address.to_string());
    let expected = [
        told("connect", 1, silent),
        told("connect", 2, closed),
        told("refused", 2, closed),
        told("connect", 3, good),
        told("abandoned", 1, silent),
        told("online", 0, good),
    ];
    assert_eq!(tried(&client), expected);
    let refused = client.seen.iter().find(|event| event["event"] == "refused").unwrap();
    assert_eq!(refused["fault"], "refused");
    assert!(client.finish().success());
    assert_eq!(client.count("delivered"), 1);
}

#[test]
fn a_fallback_is_used_when_what_answers_at_the_name_is_another_service() {
    let server = Server::start(&[]);
    let (listener, portal) = bind();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.write_all(b"HTTP/1.1 302 Found\r\n\r\n").unwrap();
        }
    });
    let args = ["--device", "1", "--fallback", &server.address.to_string(), "--send", "hello"];
    let mut client = Device::start(portal, &args, []);
    assert_eq!(client.wait_for("refused")["fault"], "foreign");
    assert_eq!(client.wait_for("online")["address"], server.address.to_string());
    assert!(client.finish().success());
}

#[test]
fn a_name_is_resolved_before_it_is_tried() {
    let server = Server::start(&[]);
    let name = format!("localhost:{}", server.address.port());
    let mut command = process::example("client");
    let output = command.args(["--connect", &name, "--device", "1", "--send", "hello"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = process::names(&output);
    let at = |name: &str| names.iter().position(|other| other == name).expect(name);
    assert!(at("resolve") < at("connect") && at("connect") < at("online"), "{names:?}");
    assert_eq!(process::events(&output)[at("online")]["address"], server.address.to_string());
}

#[test]
fn a_server_that_is_killed_is_found_again_and_has_each_message_once() {
    let dir = Dir::new("restarted");
    let store = dir.path("store");
    let server = Server::start(&["--store", &store]);
    let proxy = Proxy::start(server.address, Faults::NONE, 1);
    let (mut client, lines) = client(proxy.addr(), &[]);
    lines.send("message 0".into()).unwrap();
    client.wait_for_delivered(1);
    drop(server);
    client.wait_for("disconnected");
    assert_eq!(client.wait_for("waiting")["timer"], "reconnect");
    lines.send("message 1".into()).unwrap();
    let server = Server::start(&["--store", &store]);
    proxy.set_target(server.address);
    client.wait_for("online");
    drop(lines);
    assert!(client.finish().success(), "{:?}", client.seen.last());
    assert_eq!((client.sequences("delivered"), client.count("online")), (vec![1, 2], 2));
    let texts: Vec<_> = dir.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["message 0", "message 1"]);
}

#[test]
fn a_link_that_dies_in_silence_is_noticed_by_its_heartbeat_and_replaced() {
    let server = Server::start(&[]);
    let at = Duration::from_millis(500);
    let faults = Faults { cut_after: at..at + Duration::from_millis(1), cuts: &[Cut::Silent], ..Faults::NONE };
    let proxy = Proxy::start(server.address, faults, 1);
    let (mut client, lines) = client(proxy.addr(), &["--heartbeat", "1", "--answer-timeout", "1"]);
    // A link over which something got through is no failure.
    lines.send("hello".into()).unwrap();
    client.wait_for_delivered(1);
    let began = Instant::now();
    assert_eq!(client.wait_for("disconnected")["why"], "heartbeat_lost");
    // The interval, the time for an answer, and some to be late.
    assert!(began.elapsed() < at + Duration::from_millis(3_500), "{:?}", began.elapsed());
    assert!(proxy.counts().cuts > 0);
    client.wait_for("online");
}

#[test]
fn in_the_background_the_link_is_closed_in_order_and_a_message_wakes_the_device() {
    let mut server = Server::start(&[]);
    let (mut client, lines) = client(server.address, &["--background-after", "1", "--linger", "1"]);
    client.wait_for("online");
    client.wait_for("background");
    assert_eq!(client.wait_for("disconnected")["why"], "closed");
    assert_eq!(client.wait_for("dormant")["unsettled"], 0);
    // Its goaway, and then the end of its stream.
    server.wait_for("the peer said goaway: done");
    assert_eq!(client.count("online"), 1);
    lines.send("hello".into()).unwrap();
    client.wait_for_delivered(1);
    assert_eq!(client.count("online"), 2);
    client.wait_for("dormant");
    drop(lines);
    assert!(client.finish().success());
    assert_eq!((client.count("online"), client.count("poll")), (2, 0));
}

/// What was learned at home: 20 s are too long, and nothing is proven.
fn learned(label: &str) -> NetworkRecord {
    let mut bytes = [1, 0, 0, 2, 0, 0, 0, 200, 0, 100, 0, 0, 0, 0, 0, 0];
    bytes[12..].copy_from_slice(&Network::named(label.as_bytes()).number().to_be_bytes());
    NetworkRecord::from_bytes(&bytes).unwrap()
}

#[test]
fn what_is_learned_of_a_network_is_used_and_stored_behind_a_state_of_before() {
    let dir = Dir::new("networks");
    let state = dir.path("state");
    let server = Server::start(&[]);
    let run = |args: &[&str]| {
        let output = process::client(server.address, &[&["--state", &state], args].concat());
        assert!(output.status.success(), "{output:?}");
        process::events(&output)
    };
    // Nothing was learned, and the file is as it was before networks were known.
    run(&["--send", "hello"]);
    let mut bytes = fs::read(&state).unwrap();
    assert_eq!(bytes[8], 0);
    let length = bytes.len();
    bytes[8] = 128;
    for label in ["abroad", "home"] {
        bytes.extend(learned(label).to_bytes());
    }
    bytes.push(2);
    fs::write(&state, bytes).unwrap();
    // The first silence of ten seconds is proven by that.
    let events = run(&["--network", "home", "--stay", "11"]);
    let learned_now = events.iter().find(|event| event["event"] == "network_learned").expect("something is learned");
    assert_eq!(learned_now["network"], Network::named(b"home").number());
    assert!(learned_now["proven_s"].as_f64().unwrap() >= 10.0, "{learned_now}");
    let bytes = fs::read(&state).unwrap();
    let (front, networks) = Networks::split(&bytes).unwrap();
    assert_eq!(front.len(), length);
    assert!(networks.get(Network::named(b"home")).unwrap().proven() >= Duration::from_secs(10));
    assert_eq!(networks.get(Network::named(b"abroad")), Some(&learned("abroad")));
    // Without a name for the network nothing is learned, and nothing forgotten.
    run(&["--send", "hello"]);
    assert_eq!(Networks::split(&fs::read(&state).unwrap()).unwrap().1, networks);
}

#[test]
fn twenty_networks_are_remembered_and_the_oldest_is_forgotten() {
    let names: Vec<_> = (0..25).map(|number| format!("network {number}")).collect();
    let mut networks = Networks::default();
    assert!(networks.to_bytes().is_empty());
    for name in &names {
        networks.put(learned(name));
        // As if it was learned of just now.
        networks.put(learned(&names[0]));
    }
    let mut bytes = b"front".to_vec();
    bytes.extend(networks.to_bytes());
    assert_eq!(bytes.len(), 5 + 20 * 16 + 1);
    let (front, read) = Networks::split(&bytes).unwrap();
    assert_eq!((front, &read), (&b"front"[..], &networks));
    let known = |name: &String| read.get(Network::named(name.as_bytes())).is_some();
    let remembered: Vec<_> = names.iter().filter(|name| known(name)).collect();
    assert_eq!(remembered, names[..1].iter().chain(&names[6..]).collect::<Vec<_>>());
    // A record of a later version is left out, and a file that was cut off is noticed.
    bytes[5] = 9;
    assert_eq!(Networks::split(&bytes).unwrap().1.to_bytes().len(), 19 * 16 + 1);
    assert_eq!(Networks::split(&[1, 2, 3, 20]), None);
}
