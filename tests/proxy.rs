//! The proxy that other tests use does what it says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]

#[path = "../examples/support/proxy/mod.rs"]
mod proxy;

use proxy::{Counts, Cut, Faults, Proxy};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

const MS: fn(u64) -> Duration = Duration::from_millis;
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server read: the number of the link, the bytes, where none are the end, and when.
type Told = (usize, Result<Vec<u8>, ErrorKind>, Instant);

/// A server that tells what it read on each link, and answers every byte with itself.
fn echo() -> (SocketAddr, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for (link, stream) in listener.incoming().enumerate() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let mut chunk = [0; 4_096];
                loop {
                    match stream.read(&mut chunk) {
                        Ok(0) => break drop(sender.send((link, Ok(Vec::new()), Instant::now()))),
                        Ok(n) => {
                            drop(sender.send((link, Ok(chunk[..n].to_vec()), Instant::now())));
                            if stream.write_all(&chunk[..n]).is_err() {
                                break;
                            }
                        }
                        Err(error) => break drop(sender.send((link, Err(error.kind()), Instant::now()))),
                    }
                }
            });
        }
    });
    (addr, receiver)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Writes and reads back until that fails: with which error, or the end.
fn talk(stream: &mut TcpStream) -> Option<ErrorKind> {
    let mut chunk = [0; 64];
    loop {
        if let Err(error) = stream.write_all(&[7; 64]) {
            break Some(error.kind());
        }
        match stream.read(&mut chunk) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    }
}

#[test]
fn without_faults_all_bytes_pass_and_an_end_does_too() {
    let (addr, server) = echo();
    let proxy = Proxy::start(addr, Faults::NONE, 1);
    let mut client = connect(&proxy);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut writer = client.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent);
    let got: Vec<u8> =
        server.iter().map(|(_, read, _)| read.unwrap()).take_while(|read| !read.is_empty()).flatten().collect();
    assert!(got == sent);
    assert_eq!(proxy.counts(), Counts { links: 1, cuts: 0, late: 0, up: 100_000, down: 100_000 });
}

#[test]
fn split_and_stalled_bytes_arrive_whole() {
    let (addr, server) = echo();
    let faults = Faults { split: 7, stall_one_in: 20, stall: MS(5), delay: MS(10), ..Faults::NONE };
    let proxy = Proxy::start(addr, faults, 2);
    let mut client = connect(&proxy);
    let start = Instant::now();
    client.write_all(&[3; 2_000]).unwrap();
    let mut back = [0; 2_000];
    client.read_exact(&mut back).unwrap();
    assert_eq!(back, [3; 2_000]);
    assert!(start.elapsed() >= MS(20));
    assert!(server.try_iter().count() > 20);
}

#[test]
fn an_end_is_read_as_an_end_by_both() {
    let (addr, server) = echo();
    let faults = Faults { cut_after: MS(50)..MS(100), cuts: &[Cut::End], ..Faults::NONE };
    let proxy = Proxy::start(addr, faults, 3);
    let mut client = connect(&proxy);
    client.write_all(b"x").unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"x");
    assert_eq!(server.recv_timeout(PATIENCE).unwrap().1, Ok(b"x".to_vec()));
    assert_eq!(server.recv_timeout(PATIENCE).unwrap().1, Ok(Vec::new()));
    assert_eq!(proxy.counts().cuts, 1);
}

#[test]
fn a_reset_is_read_as_a_reset() {
    let (addr, _server) = echo();
    let faults = Faults { cut_after: MS(50)..MS(100), cuts: &[Cut::Reset], ..Faults::NONE };
    let proxy = Proxy::start(addr, faults, 4);
    for _ in 0..10 {
        let mut client = connect(&proxy);
        assert!(matches!(talk(&mut client), Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)));
    }
    assert_eq!(proxy.counts().cuts, 10);
}

#[test]
fn on_a_silent_link_nothing_passes_and_neither_side_hears_of_it() {
    let (addr, server) = echo();
    let faults = Faults { cut_after: MS(1)..MS(2), cuts: &[Cut::Silent], ..Faults::NONE };
    let proxy = Proxy::start(addr, faults, 5);
    let mut client = connect(&proxy);
    client.set_read_timeout(Some(MS(200))).unwrap();
    assert!(matches!(talk(&mut client), Some(ErrorKind::WouldBlock)));
    assert!(matches!(talk(&mut client), Some(ErrorKind::WouldBlock)));
    drop(client);
    let last = loop {
        match server.recv_timeout(MS(300)) {
            Ok((_, read, _)) => assert!(!read.unwrap().is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!(last, mpsc::RecvTimeoutError::Timeout);
    drop(proxy);
    let (_, end, _) = server.recv_timeout(PATIENCE).unwrap();
    assert!(end.is_err() || end.unwrap().is_empty());
}

/// The old link still delivers when the client is on its new one.
#[test]
fn a_late_cut_delivers_after_the_client_saw_a_reset() {
    let (addr, server) = echo();
    let faults = Faults { cut_after: MS(1)..MS(30), cuts: &[Cut::Late], split: 16, ..Faults::NONE };
    let proxy = Proxy::start(addr, faults, 6);
    let reset: Vec<Instant> = (0..20)
        .map(|_| {
            let why = talk(&mut connect(&proxy));
            assert!(matches!(why, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{why:?}");
            Instant::now()
        })
        .collect();
    let mut late = BTreeSet::new();
    while let Ok((link, read, at)) = server.recv_timeout(MS(500)) {
        assert!(!read.unwrap().is_empty(), "the server's side stays open");
        if at > reset[link] + MS(20) {
            late.insert(link);
        }
    }
    assert!(late.len() >= 10, "{late:?}");
    let counts = proxy.counts();
    assert_eq!((counts.links, counts.cuts, counts.late), (20, 20, 20));
}

#[test]
fn a_new_target_is_for_new_links() {
    let (first, _) = echo();
    let (second, server) = echo();
    let proxy = Proxy::start(first, Faults::NONE, 7);
    let mut old = connect(&proxy);
    old.write_all(b"o").unwrap();
    old.read_exact(&mut [0]).unwrap();
    proxy.set_target(second);
    let mut new = connect(&proxy);
    new.write_all(b"n").unwrap();
    new.read_exact(&mut [0]).unwrap();
    old.write_all(b"o").unwrap();
    old.read_exact(&mut [0]).unwrap();
    assert_eq!(server.try_iter().map(|told| told.1).collect::<Vec<_>>(), [Ok(b"n".to_vec())]);
    // Nobody listens.
    proxy.set_target(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    assert_eq!(connect(&proxy).read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_proxy_that_is_dropped_ends_with_all_its_links() {
    let (addr, _server) = echo();
    let faults = Faults {
        cut_after: MS(10)..MS(400),
        split: 100,
        stall_one_in: 5,
        stall: MS(9_000),
        delay: MS(1),
        ..Faults::NONE
    };
    let proxy = Proxy::start(addr, faults, 8);
    let clients: Vec<_> = (0..30)
        .map(|_| {
            let mut client = connect(&proxy);
            thread::spawn(move || talk(&mut client))
        })
        .collect();
    let start = Instant::now();
    drop(proxy);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for client in clients {
        client.join().unwrap();
    }
}
