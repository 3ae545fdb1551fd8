//! The example server and client over real TCP: every dialect, an echo server, and peers that misbehave.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]
#![allow(clippy::expect_used)]

#[path = "support/process.rs"]
#[allow(unreachable_pub, missing_debug_implementations, dead_code)]
mod process;

use longlink::wire::{Decoded, Dialect, decode, encode};
use process::{PATIENCE, Server, client, events, example, names};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

const DIALECTS: [&Dialect; 4] = [&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI];

/// A peer written by hand.
struct Peer {
    stream: TcpStream,
    dialect: &'static Dialect,
    received: Vec<u8>,
}

impl Peer {
    fn connect(address: SocketAddr, dialect: &'static Dialect) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, dialect, received: Vec::new() }
    }

    fn send(&mut self, command: u32, sequence: u32, body: &[u8]) {
        let mut out = vec![0; 32 + body.len()];
        let length = encode(self.dialect, command, sequence, body, &mut out).unwrap();
        self.stream.write_all(&out[..length]).unwrap();
    }

    /// The next frame: command, sequence, body. `None` at the end of the stream.
    fn next(&mut self) -> Option<(u32, u32, Vec<u8>)> {
        loop {
            if let Decoded::Frame(frame) = decode(self.dialect, &self.received).unwrap() {
                let (length, told) = (frame.length(), (frame.command(), frame.sequence(), frame.body().to_vec()));
                self.received.drain(..length);
                return Some(told);
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.received.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }
}

/// Shows that a server still serves others.
fn assert_serves(server: &Server, dialect: &'static Dialect) {
    let output = client(server.address, &["--dialect", dialect.name, "--send", "still there?"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn client_and_server_talk_in_all_four_dialects() {
    let talks = DIALECTS.map(|dialect| {
        thread::spawn(move || {
            let server = Server::start(&["--dialect", dialect.name]);
            let args = ["--dialect", dialect.name, "--heartbeat", "1", "--stay", "3", "--send", "a", "--send", "b"];
            let output = client(server.address, &[&args[..], &["--count", "2"]].concat());
            assert!(output.status.success(), "{}: {output:?}", dialect.name);
            let names = names(&output);
            assert_eq!(names.first().unwrap(), "online");
            assert_eq!(names.last().unwrap(), "disconnected");
            assert_eq!(names.iter().filter(|name| *name == "reply").count(), 4);
            assert!(names.iter().filter(|name| *name == "heartbeat").count() >= 2, "{names:?}");
            let events = events(&output);
            assert_eq!(events.last().unwrap()["why"], "closed");
            let greeting = if *dialect == Dialect::BILIBILI { "{\"code\":0}" } else { "" };
            assert_eq!(events[0]["greeting"].as_str().unwrap_or(""), greeting);
        })
    });
    talks.into_iter().for_each(|talk| talk.join().unwrap());
}

#[test]
fn messages_are_answered_and_passed_on_in_the_family_s_own_form() {
    for dialect in DIALECTS {
        let server = Server::start(&["--dialect", dialect.name]);
        let mut peers = [(); 3].map(|()| Peer::connect(server.address, dialect));
        for peer in &mut peers {
            if let Some(greeting) = dialect.greeting.filter(|greeting| !greeting.native) {
                peer.send(greeting.command, 1, b"anybody");
                let body: &[u8] = if *dialect == Dialect::BILIBILI { b"{\"code\":0}" } else { b"" };
                assert_eq!(peer.next(), Some((greeting.reply, 1, body.to_vec())));
            }
            peer.send(dialect.heartbeat, 9, b"");
            let (command, sequence, body) = peer.next().unwrap();
            assert_eq!((command, sequence), (dialect.heartbeat_reply, 9));
            assert_eq!(body.len(), if dialect.heartbeat_counter { 4 } else { 0 });
        }
        peers[0].send(dialect.message, 7, b"to all others");
        assert_eq!(peers[0].next(), Some((dialect.reply_to(dialect.message), 7, Vec::new())));
        for peer in &mut peers[1..] {
            assert_eq!(peer.next(), Some((dialect.push, 0, b"to all others".to_vec())), "{}", dialect.name);
        }
        peers[0].send(dialect.heartbeat, 1, b"");
        assert_eq!(peers[0].next().unwrap().0, dialect.heartbeat_reply, "its own message does not come back");
    }
}

#[test]
fn a_plain_echo_server_counts_as_a_live_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut echo = stream.try_clone().unwrap();
                // It ends when the client does.
                let _ = std::io::copy(&mut stream, &mut echo);
            });
        }
    });
    let talks = DIALECTS.map(|dialect| {
        thread::spawn(move || {
            let args = ["--dialect", dialect.name, "--no-greeting", "--heartbeat", "1", "--stay", "3"];
            let output = client(address, &args);
            assert!(output.status.success(), "{}: {output:?}", dialect.name);
            assert!(names(&output).iter().filter(|name| *name == "heartbeat").count() >= 2, "{output:?}");
        })
    });
    talks.into_iter().for_each(|talk| talk.join().unwrap());
}

#[test]
fn a_ping_client_that_sends_garbage_behind_its_header_is_named_after_six_bytes() {
    let mut server = Server::start(&[]);
    let mut peer = Peer::connect(server.address, &Dialect::LONGLINK);
    peer.stream.write_all(b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\x0f\nhello").unwrap();
    let line = server.wait_for("malformed");
    assert!(line.contains("header length 27759"), "{line}");
    while peer.next().is_some() {}
    assert_serves(&server, &Dialect::LONGLINK);
}

#[test]
fn a_peer_costs_its_own_link_and_the_others_notice_nothing() {
    let mut server = Server::start(&["--idle", "2"]);
    let mut good = Peer::connect(server.address, &Dialect::LONGLINK);
    let mut beat = |round: u32| {
        good.send(6, round, b"");
        assert_eq!(good.next(), Some((1_000_000_006, round, Vec::new())));
    };
    beat(1);
    // Garbage, and headers of each malformed kind.
    let malformed: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", "header length"),
        (b"\0\0\0\x0f\0\x10\0\x01\0\0\0\x06\0\0\0\x01", "total length 15"),
        (b"\0\0\0\0\0\x10\0\x01\0\0\0\x06\0\0\0\x01", "total length 0"),
        (b"\0\0\0\x10\0\x10\0\x02\0\0\0\x06\0\0\0\x01", "version 2"),
        (b"\xff\xff\xff\xff\0\x10\0\x01\0\0\0\x06\0\0\0\x01", "4294967295 bytes"),
    ];
    for (bytes, reason) in malformed {
        let mut bad = Peer::connect(server.address, &Dialect::LONGLINK);
        bad.stream.write_all(bytes).unwrap();
        server.wait_for(reason);
        assert_eq!(bad.next(), None);
        beat(2);
    }
    // One that ends inside a frame.
    let bad = Peer::connect(server.address, &Dialect::LONGLINK);
    (&bad.stream).write_all(b"\0\0\0\x10\0\x10").unwrap();
    bad.stream.shutdown(Shutdown::Write).unwrap();
    server.wait_for("10 bytes are missing");
    beat(3);
    // One that is a byte over the limit: skipped, and the link lives on.
    let mut long = Peer::connect(server.address, &Dialect::LONGLINK);
    let mut bytes = vec![0; 65_793];
    bytes[..16].copy_from_slice(b"\0\x01\x01\x01\0\x10\0\x01\0\0\0\xed\0\0\0\x01");
    long.stream.write_all(&bytes).unwrap();
    long.send(6, 8, b"");
    assert_eq!(long.next(), Some((1_000_000_006, 8, Vec::new())));
    beat(4);
    // One that says nothing: closed when it was idle, with a word why.
    let mut silent = Peer::connect(server.address, &Dialect::LONGLINK);
    let start = Instant::now();
    assert_eq!(silent.next(), Some((247, 0, vec![1, 5, 0, 0, 0, 0, 0, 0])));
    assert!(start.elapsed() >= Duration::from_millis(1_900));
    assert_eq!(silent.next(), None);
}

#[test]
fn a_peer_that_never_reads_is_held_back_and_the_others_notice_nothing() {
    let mut server = Server::start(&[]);
    let mut stuck = Peer::connect(server.address, &Dialect::LONGLINK);
    stuck.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // A 64 KiB read of empty frames at a time, until the server takes no more.
    let beats = b"\0\0\0\x10\0\x10\0\x01\0\0\0\xed\0\0\0\x01".repeat(4_096);
    let mut taken = 0;
    while let Ok(n) = stuck.stream.write(&beats) {
        taken += n;
        assert!(taken < 256 << 20, "the server reads without end");
    }
    let mut good = Peer::connect(server.address, &Dialect::LONGLINK);
    for round in 1..=100 {
        good.send(237, round, b"hello");
        loop {
            match good.next() {
                Some((1_000_000_237, sequence, _)) => break assert_eq!(sequence, round),
                // What the other one sent before it was held back.
                Some((122, 0, _)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    drop(stuck);
    server.wait_for("link 1:");
}

#[test]
fn a_burst_of_empty_frames_in_one_write_is_answered_to_the_last() {
    let server = Server::start(&[]);
    let mut peer = Peer::connect(server.address, &Dialect::LONGLINK);
    let burst: Vec<u8> = (1..=264_u32)
        .flat_map(|sequence| {
            let mut frame = *b"\0\0\0\x10\0\x10\0\x01\0\0\0\xed\0\0\0\0";
            frame[12..].copy_from_slice(&sequence.to_be_bytes());
            frame
        })
        .collect();
    peer.stream.write_all(&burst).unwrap();
    for sequence in 1..=264 {
        assert_eq!(peer.next(), Some((1_000_000_237, sequence, Vec::new())));
    }
}

#[test]
fn the_client_says_why_it_failed() {
    // Nobody listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = client(address, &[]);
    assert!(!output.status.success());
    assert_eq!(names(&output), ["disconnected"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{output:?}");
    // A server that closes at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = thread::spawn(move || {
        drop(listener.accept().unwrap());
        listener
    });
    let output = client(address, &["--stay", "60"]);
    assert!(!output.status.success());
    assert_eq!(names(&output), ["online", "disconnected"]);
    // A server that takes the message, says goaway and no more.
    let listener = accepting.join().unwrap();
    let accepting = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut message = [0; 18];
        stream.read_exact(&mut message).unwrap();
        stream.write_all(b"\0\0\0\x18\0\x10\0\x01\0\0\0\xf7\0\0\0\0\x01\x01\0\0\0\0\0\x05").unwrap();
    });
    let output = client(address, &["--send", "hi", "--stay", "60"]);
    accepting.join().unwrap();
    assert!(!output.status.success());
    assert_eq!(names(&output), ["online", "goaway", "failed", "disconnected"]);
    let events = events(&output);
    assert_eq!((&events[1]["why"], &events[1]["retry_after_ms"]), (&"restart".into(), &5.into()));
    assert_eq!(events[2]["written"], true);
}

#[test]
fn the_client_does_not_call_it_a_success_before_its_last_heartbeat_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        // Reads all, answers nothing.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let output = client(address, &["--heartbeat", "1", "--stay", "2"]);
    assert!(!output.status.success());
    assert_eq!(events(&output).last().unwrap()["why"], "heartbeat_lost");
}

/// Two clients at once: what one sends, the other sees.
#[test]
fn two_clients_see_each_other_s_messages() {
    let server = Server::start(&[]);
    let mut watching = example("client");
    watching.args(["--connect", &server.address.to_string(), "--stay", "60"]).stdout(Stdio::piped());
    let mut watching = watching.spawn().unwrap();
    let mut out = std::io::BufReader::new(watching.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.contains("online"), "{line}");
    assert!(client(server.address, &["--send", "hello"]).status.success());
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event"], &event["text"]), (&"push".into(), &"hello".into()));
    watching.kill().unwrap();
    watching.wait().unwrap();
}
