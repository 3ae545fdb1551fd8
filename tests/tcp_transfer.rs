//! A file arrives whole, whatever happens to the link, the server and the client, and little of it is sent twice: the
//! example programs over real TCP, with a proxy in between that treats links badly.
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
use process::Server;
use proxy::{Cut, Faults, Proxy, Random};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const LENGTH: usize = 10 << 20;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Cuts in most ways, and whatever else can happen to bytes. About 4 MB a second get through.
const BAD: Faults = Faults {
    cut_after: ms(200)..ms(600),
    cut_after_bytes: 0..0,
    cuts: &[Cut::End, Cut::Reset, Cut::Late],
    split: 8_192,
    stall_one_in: 100,
    stall: ms(30),
    delay: ms(3),
};

/// A file to send, and where the server keeps files.
struct Transfer {
    dir: Dir,
    bytes: Vec<u8>,
}

impl Transfer {
    fn new(name: &str, length: usize) -> Self {
        let dir = Dir::new(name);
        let mut random = Random(length as u64);
        let bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| random.next().to_be_bytes()).take(length).collect();
        fs::write(dir.path("photo"), &bytes).unwrap();
        Self { dir, bytes }
    }

    fn server(&self) -> Server {
        Server::start(&["--store", &self.dir.path("store")])
    }

    fn client(&self, server: SocketAddr) -> Device {
        self.client_with(server, &[])
    }

    fn client_with(&self, server: SocketAddr, more: &[&str]) -> Device {
        let (file, state) = (self.dir.path("photo"), self.dir.path("state"));
        let args = ["--send-file", &file, "--state", &state, "--heartbeat", "1", "--answer-timeout", "1", "--eager"];
        Device::start(server, &[&args, more].concat(), [])
    }

    /// The files of the only device that the server knows, without their states.
    fn files(&self) -> Vec<PathBuf> {
        let device = fs::read_dir(self.dir.0.join("store/files")).unwrap().next().unwrap().unwrap();
        let files = fs::read_dir(device.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_none()).collect()
    }

    /// The file is there, and one message names it.
    fn assert_arrived(&self) {
        let messages = self.dir.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        let named: serde_json::Value = serde_json::from_str(&messages[0].text).unwrap();
        let crc = crc32c::crc32c(&self.bytes);
        assert_eq!((&named["file"], &named["length"]), (&"photo".into(), &self.bytes.len().into()));
        assert_eq!(named["crc32c"], crc);
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(files[0].file_name().unwrap().to_str(), named["key"].as_str());
        assert!(fs::read(&files[0]).unwrap() == self.bytes, "the bytes are others");
    }
}

/// Waits until the server was given so many bytes.
fn wait_for_bytes(proxy: &Proxy, bytes: u64) {
    let end = Instant::now() + process::PATIENCE;
    while proxy.counts().up < bytes {
        assert!(Instant::now() < end, "{:?}", proxy.counts());
        thread::park_timeout(ms(2));
    }
}

#[test]
fn a_file_of_ten_mebibytes_arrives_through_cuts() {
    let transfer = Transfer::new("through-cuts", LENGTH);
    let server = transfer.server();
    let proxy = Proxy::start(server.address, BAD, 1);
    let began = Instant::now();
    let mut client = transfer.client(proxy.addr());
    assert!(client.finish().success(), "{:?}", client.seen.last());
    println!("{:?}: {:?}", began.elapsed(), proxy.counts());
    assert!(proxy.counts().cuts >= 3, "{:?}", proxy.counts());
    assert_eq!((client.count("delivered"), client.count("failed")), (1, 0));
    transfer.assert_arrived();
}

#[test]
fn killing_either_side_in_the_middle_costs_little_of_what_arrived() {
    let transfer = Transfer::new("either-side", LENGTH);
    let mut server = transfer.server();
    // Slow enough to be in the middle of it.
    let proxy = Proxy::start(server.address, Faults { delay: ms(4), split: 4_096, ..Faults::NONE }, 2);
    let mut client = transfer.client(proxy.addr());
    wait_for_bytes(&proxy, LENGTH as u64 / 3);
    client.kill();
    assert_eq!(client.count("delivered"), 0);
    let mut client = transfer.client(proxy.addr());
    wait_for_bytes(&proxy, LENGTH as u64 * 2 / 3);
    drop(server);
    server = transfer.server();
    proxy.set_target(server.address);
    assert!(client.finish().success(), "{:?}", client.seen.last());
    transfer.assert_arrived();
    // A killed server has lost what it had not saved, a mebibyte at most, and each side what was under way.
    let up = proxy.counts().up as usize;
    println!("{up} bytes for {LENGTH}");
    assert!((LENGTH..LENGTH + LENGTH / 4).contains(&up), "{up} bytes for {LENGTH}");
}

#[test]
fn a_client_that_is_killed_after_it_named_its_file_does_not_name_it_again() {
    let transfer = Transfer::new("names-once", 300_000);
    let server = transfer.server();
    for _ in 0..2 {
        // It lives on, so that it does not store how it ended.
        let mut client = transfer.client_with(server.address, &["--stay", "60"]);
        client.wait_for("delivered");
        client.kill();
        transfer.assert_arrived();
    }
    assert!(transfer.client(server.address).finish().success());
    transfer.assert_arrived();
}

#[test]
fn an_empty_file_arrives_and_the_same_file_may_be_sent_again() {
    let transfer = Transfer::new("empty", 0);
    let server = transfer.server();
    for count in 1..=2 {
        assert!(transfer.client(server.address).finish().success());
        assert_eq!((transfer.dir.messages().len(), transfer.files().len()), (count, count));
    }
}

#[test]
fn a_server_that_takes_no_files_says_so() {
    let transfer = Transfer::new("no-files", 1_000);
    let server = Server::start(&[]);
    let mut client = transfer.client(server.address);
    assert_eq!(client.finish().code(), Some(1));
    assert!(
        client
            .seen
            .iter()
            .any(|event| event["why"].as_str().is_some_and(|why| why.contains("more than the server takes")))
    );
}
