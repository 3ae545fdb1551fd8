//! The driver for `TcpStream`, over real sockets. No test measures time; 20 s is when a test that hangs is given up.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::io::std::{Clock, Driver, Waker};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Event, GoAway, GoAwayCode, Link, Server, ServerEvent, Work};
use longlink::wire::{Decoder, Dialect};
use longlink::{Instant, delivery::Slot};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use support::{OPEN, frame};

const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends of a connection. The first gives up after a while.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    (peer, listener.accept().unwrap().0)
}

type Accepted = Server<'static, Vec<u8>>;

/// Serves a stream in a thread, with a transmit buffer of `room` bytes. Tells why it ended, when it has.
fn serve(
    stream: TcpStream,
    room: usize,
    mut app: impl FnMut(Instant, &mut Accepted, Option<ServerEvent<'_>>) + Send + 'static,
) -> Receiver<Disconnect> {
    let (sender, over) = mpsc::channel();
    thread::spawn(move || {
        let (config, clock) = (&OPEN, Clock::start());
        let mut server: Accepted = Server::new(config, clock.now()).unwrap();
        server.lend(vec![0; room]).unwrap();
        let mut link = Link::new(Decoder::new(config.dialect, vec![0; 65_536]).unwrap(), server);
        let why = Driver::new(stream).unwrap().run(&mut link, clock, |now, server, event| app(now, server, event));
        // A test that has failed does not listen any more.
        let _ = sender.send(why);
    });
    over
}

fn echo(now: Instant, server: &mut Accepted, event: Option<ServerEvent<'_>>) {
    if let Some(ServerEvent::Request(frame)) = event {
        server.reply(now, frame.command(), frame.sequence(), frame.body()).unwrap();
    }
}

/// Connects over a stream in a thread, with a transmit buffer of `room` bytes and no heartbeat.
fn connect(
    stream: TcpStream,
    room: usize,
    mut app: impl FnMut(Instant, &mut Client<'_>, Option<Event<'_>>) + Send + 'static,
) -> (Waker, Receiver<Disconnect>) {
    let (sender, over) = mpsc::channel();
    let driver = Driver::new(stream).unwrap();
    let waker = driver.waker();
    thread::spawn(move || {
        let (config, clock) = (Config { heartbeat: HeartbeatPolicy::Passive, ..Config::DEFAULT }, Clock::start());
        let (mut tx, mut slots) = (vec![0; room], [Slot::FREE; 8]);
        let client =
            Client::new(&config, Work { rx: 1_024, tx: &mut tx, slots: &mut slots, sync: None, dialer: None }).unwrap();
        let mut link = Link::new(Decoder::new(config.dialect, vec![0; 65_536]).unwrap(), client);
        link.handle_connected(clock.now());
        // A test that has failed does not listen any more.
        let _ = sender.send(driver.run(&mut link, clock, |now, client, event| app(now, client, event)));
    });
    (waker, over)
}

fn ask(peer: &mut TcpStream, sequence: u32, body: &[u8]) {
    peer.write_all(&frame(&Dialect::LONGLINK, 237, sequence, body)).unwrap();
    let expected = frame(&Dialect::LONGLINK, 1_000_000_237, sequence, body);
    let mut reply = vec![0; expected.len()];
    peer.read_exact(&mut reply).unwrap_or_else(|error| panic!("no reply to {sequence}: {error}"));
    assert_eq!(reply, expected);
}

fn read_all(peer: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn requests_one_at_a_time_are_all_answered_past_the_pause_for_the_rate() {
    let (mut peer, stream) = sockets();
    let over = serve(stream, 65_536, echo);
    for sequence in 1..=600 {
        ask(&mut peer, sequence, b"hello");
    }
    drop(peer);
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::PeerClosed));
}

#[test]
fn all_that_came_before_the_end_of_the_stream_is_answered_before_the_link_ends() {
    // More frames than the rate allows at once; more answers than the buffer holds.
    for (count, length, room) in [(1, 0, 4_096), (500, 0, 65_536), (40, 1_000, 4_096)] {
        let (mut peer, stream) = sockets();
        let over = serve(stream, room, echo);
        let body = vec![7; length];
        let all = (1..=count).flat_map(|i| frame(&Dialect::LONGLINK, 237, i, &body)).collect::<Vec<_>>();
        peer.write_all(&all).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let answers = (1..=count).flat_map(|i| frame(&Dialect::LONGLINK, 1_000_000_237, i, &body));
        assert!(read_all(&mut peer) == answers.collect::<Vec<_>>(), "{count} requests of {length} bytes");
        assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::PeerClosed));
    }
}

#[test]
fn the_end_of_the_stream_inside_a_frame_is_a_loss_after_what_came_whole() {
    let (mut peer, stream) = sockets();
    let over = serve(stream, 4_096, echo);
    let whole = frame(&Dialect::LONGLINK, 237, 1, b"whole");
    peer.write_all(&[&whole[..], &whole[..19]].concat()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut peer), frame(&Dialect::LONGLINK, 1_000_000_237, 1, b"whole"));
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Truncated { missing: 2 }));
}

#[test]
fn a_stream_that_does_not_block_is_taken_as_any_other() {
    let (mut peer, stream) = sockets();
    stream.set_nonblocking(true).unwrap();
    let over = serve(stream, 4_096, echo);
    for sequence in 1..=3 {
        ask(&mut peer, sequence, b"hello");
    }
    drop(peer);
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::PeerClosed));
}

/// Reads to the end in a thread, and tells how many bytes came.
fn drain(mut peer: TcpStream) -> Receiver<usize> {
    let (sender, drained) = mpsc::channel();
    thread::spawn(move || {
        let (mut chunk, mut all) = (vec![0; 65_536], 0);
        loop {
            match peer.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => all += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
        // A test that has failed does not listen any more.
        let _ = sender.send(all);
    });
    drained
}

/// Sends 5,000 frames through a transmit buffer of `room` bytes, and tells how long that took.
fn send_5000(room: usize) -> Duration {
    let (peer, stream) = sockets();
    let (drained, start) = (drain(peer), std::time::Instant::now());
    let mut sent = 0;
    let (_, over) = connect(stream, room, move |now, client, event| {
        while event.is_none() && sent < 5_000 && client.send_one_way(now, 301, &[0; 484]).is_ok() {
            sent += 1;
        }
        if sent == 5_000 {
            client.close(now);
        }
    });
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(5_000 * 500 + 24));
    let took = start.elapsed();
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Closed));
    took
}

/// A wait of only 1 ms after each would be 5 s.
#[test]
fn many_writes_take_the_time_of_one_and_no_waits_between_them() {
    let (at_once, one_by_one) = (send_5000(3 * 1_024 * 1_024), send_5000(512));
    assert!(one_by_one < at_once * 10 + Duration::from_secs(4), "{at_once:?} in one go, {one_by_one:?} one by one");
}

#[test]
fn frames_of_a_peer_that_does_not_read_wait_and_are_all_taken_when_it_does() {
    let (mut peer, stream) = sockets();
    let (sender, seen) = mpsc::channel();
    // More than the sockets buffer.
    const QUEUED: usize = 16 * 1_024 * 1_024;
    let mut queued = 0;
    let over = serve(stream, QUEUED, move |now, server, event| match event {
        None => {
            while queued + 60_016 <= QUEUED && server.push(now, 122, &[0; 60_000]).is_ok() {
                queued += 60_016;
            }
        }
        Some(ServerEvent::OneWay(frame)) => sender.send(frame.command()).unwrap(),
        Some(_) => {}
    });
    let mut first = [0];
    peer.read_exact(&mut first).unwrap();
    // None of these is taken before the peer reads again.
    for command in 301..=310 {
        peer.write_all(&frame(&Dialect::LONGLINK, command, 0, b"")).unwrap();
    }
    let drained = drain(peer.try_clone().unwrap());
    for command in 301..=310 {
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(command));
    }
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::PeerClosed));
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(QUEUED / 60_016 * 60_016 - 1));
}

#[test]
fn a_peer_that_does_not_read_is_heard_all_the_same() {
    let (mut peer, stream) = sockets();
    let (sender, seen) = mpsc::channel();
    let mut queued = 0;
    let (_, over) = connect(stream, 16 * 1_024 * 1_024, move |now, client, event| match event {
        None => {
            while queued < 250 && client.send_one_way(now, 301, &[0; 60_000]).is_ok() {
                queued += 1;
            }
        }
        Some(Event::Push(frame)) => sender.send(frame.body().to_vec()).unwrap(),
        Some(_) => {}
    });
    for i in 0..10 {
        peer.write_all(&frame(&Dialect::LONGLINK, 122, 0, &[i])).unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(vec![i]));
    }
    let drained = drain(peer.try_clone().unwrap());
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::PeerClosed));
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(250 * 60_016));
}

#[test]
fn a_waker_has_the_application_called_where_nothing_else_would() {
    let (peer, stream) = sockets();
    let (sender, asked) = mpsc::channel();
    let (waker, over) = connect(stream, 1_024, move |now, client, event| {
        if event.is_none() && sender.send(()).is_err() {
            client.close(now);
        }
    });
    asked.recv_timeout(PATIENCE).unwrap();
    for _ in 0..3 {
        waker.wake();
        asked.recv_timeout(PATIENCE).unwrap();
    }
    // From now on the application closes.
    drop(asked);
    waker.wake();
    let drained = drain(peer);
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(24), "a goaway");
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Closed));
}

#[test]
fn a_close_destroys_nothing_that_was_written_before_it_nor_what_the_peer_still_sends() {
    let (mut peer, stream) = sockets();
    let (sender, seen) = mpsc::channel();
    let mut closed = false;
    let over = serve(stream, 65_536, move |now, server, event| {
        let Some(ServerEvent::OneWay(frame)) = event else { return };
        sender.send(frame.command()).unwrap();
        if !closed {
            closed = true;
            for i in 0..10 {
                server.push(now, 122, &[i; 1_000]).unwrap();
            }
            server.close(now, GoAway::new(GoAwayCode::Restart));
        }
    });
    peer.write_all(&frame(&Dialect::LONGLINK, 301, 0, &[0; 100]).repeat(100)).unwrap();
    let mut expected = (0..10).flat_map(|i| frame(&Dialect::LONGLINK, 122, 0, &[i; 1_000])).collect::<Vec<_>>();
    expected.extend(frame(&Dialect::LONGLINK, 247, 0, &GoAway::new(GoAwayCode::Restart).to_bytes()));
    assert!(read_all(&mut peer) == expected);
    // The other side has ended its stream; this one has not.
    peer.write_all(&frame(&Dialect::LONGLINK, 302, 0, b"last words")).unwrap();
    drop(peer);
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Closed));
    assert_eq!(seen.iter().skip(100).collect::<Vec<_>>(), [302]);
}

#[test]
fn a_peer_that_never_ends_its_stream_does_not_keep_a_link_that_closed() {
    let (mut peer, stream) = sockets();
    let over = serve(stream, 4_096, |now, server, event| {
        if event.is_some() {
            server.close(now, GoAway::new(GoAwayCode::Done));
        }
    });
    peer.write_all(&frame(&Dialect::LONGLINK, 301, 0, b"")).unwrap();
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Closed));
}

#[test]
fn what_a_command_of_the_application_brings_about_is_told_without_another_wake_up() {
    let (_peer, stream) = sockets();
    let mut is_asked = false;
    let (_waker, over) = connect(stream, 1_024, move |now, client, event| match event {
        None if !std::mem::replace(&mut is_asked, true) => {
            let token = client.request(now, 501, b"never mind").unwrap();
            client.cancel(now, token);
        }
        Some(Event::Cancelled { written: false, .. }) => client.close(now),
        _ => {}
    });
    assert_eq!(over.recv_timeout(PATIENCE), Ok(Disconnect::Closed));
}
