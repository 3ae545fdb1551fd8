//! The driver for `TcpStream` over connections that break after any number of bytes. No test measures time; 20 s is when one
//! that hangs is given up.

use crate::support::native::VOLATILE;
use longlink::delivery::{Ledger, Slot, Verdict};
use longlink::io::std::{Clock, Driver};
use longlink::session::{Client, Config, Disconnect, Event, Link, Server, ServerConfig, ServerEvent, Work};
use longlink::wire::{Decoder, Dialect};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const MESSAGES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(20);

type Shared = Arc<Mutex<(Ledger, Vec<Vec<u8>>)>>;

/// Serves a connection in a thread, which ends with it.
fn serve(stream: TcpStream, store: &Shared) -> JoinHandle<Disconnect> {
    let store = store.clone();
    thread::spawn(move || {
        let clock = Clock::start();
        let mut server = Server::<Vec<u8>>::new(&ServerConfig::DEFAULT, clock.now()).unwrap();
        server.lend(vec![0; 2_048]).unwrap();
        let mut link = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 2_048]).unwrap(), server);
        Driver::new(stream).unwrap().run(&mut link, clock, |now, server, event| {
            let (ledger, messages) = &mut *store.lock().unwrap();
            match event {
                Some(ServerEvent::Hello(hello)) => {
                    let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                    server.welcome(now, ledger, greeted.resumed).unwrap();
                }
                Some(ServerEvent::Message { id, frame }) => {
                    if ledger.accept(&id).unwrap() == Verdict::Fresh {
                        messages.push(frame.body().to_vec());
                    }
                    server.accept(now, &id).unwrap();
                }
                _ => {}
            }
        })
    })
}

/// What a connection lets through: so many bytes to the server, and back, in pieces of so many.
#[derive(Clone, Copy, Debug)]
struct Passes {
    up: usize,
    down: usize,
    piece: usize,
}

impl Passes {
    const ALL: Self = Self { up: usize::MAX, down: usize::MAX, piece: 4_096 };
}

/// A connection to a server behind a relay, and what serves it.
fn connect(store: &Shared, passes: Passes) -> (TcpStream, JoinHandle<Disconnect>) {
    let pair = || {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    };
    let ((client, from_client), (to_server, server)) = (pair(), pair());
    let served = serve(server, store);
    let back = (to_server.try_clone().unwrap(), from_client.try_clone().unwrap());
    thread::spawn(move || pass(from_client, to_server, passes.up, passes.piece));
    thread::spawn(move || pass(back.0, back.1, passes.down, passes.piece));
    (client, served)
}

/// Passes on so many bytes, and then ends both connections, as it does when either ends.
fn pass(mut from: TcpStream, mut to: TcpStream, mut most: usize, piece: usize) {
    to.set_nodelay(true).unwrap();
    from.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = vec![0; piece];
    while most > 0 {
        let room = most.min(piece);
        match from.read(&mut bytes[..room]) {
            Ok(0) | Err(_) => break,
            Ok(n) if to.write_all(&bytes[..n]).is_err() => break,
            Ok(n) => most -= n,
        }
    }
    // The one that has ended its side may still read, unless this broke.
    let how = if most > 0 { Shutdown::Write } else { Shutdown::Both };
    let _ = to.shutdown(how);
    if most == 0 {
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// Sends all messages over such a connection and then over one that lets everything through; says how often it connected.
fn deliver(first: Passes) -> usize {
    let store = Shared::default();
    let config: Config<'_> = VOLATILE;
    let (mut tx, mut slots) = (vec![0; 1_024], [Slot::FREE; 8]);
    let work = Work { rx: 1_024, tx: &mut tx, slots: &mut slots, sync: None, dialer: None };
    let mut link =
        Link::new(Decoder::new(config.dialect, vec![0; 1_024]).unwrap(), Client::new(&config, work).unwrap());
    let clock = Clock::start();
    for i in 0..MESSAGES {
        link.endpoint_mut().send(clock.now(), &[i as u8; 50]).unwrap();
    }
    let (mut delivered, mut connections) = (0, 0);
    loop {
        let passes = if connections == 0 { first } else { Passes::ALL };
        connections += 1;
        let (stream, served) = connect(&store, passes);
        link.handle_connected(clock.now());
        let why = Driver::new(stream).unwrap().run(&mut link, clock, |now, client, event| {
            match event {
                Some(Event::Delivered { .. }) => delivered += 1,
                Some(Event::Failed { why, .. }) => panic!("{why:?}"),
                _ => {}
            }
            if delivered == MESSAGES {
                client.close(now);
            }
        });
        // Or its hello might come after that of the next.
        served.join().unwrap();
        if delivered == MESSAGES {
            break;
        }
        let broken = [Disconnect::Transport, Disconnect::PeerClosed];
        assert!(broken.contains(&why) || matches!(why, Disconnect::Truncated { .. }), "{first:?}: {why}");
        assert!(connections < 3, "{first:?}");
    }
    let expected: Vec<_> = (0..MESSAGES).map(|i| vec![i as u8; 50]).collect();
    assert_eq!(store.lock().unwrap().1, expected, "{first:?}");
    assert_eq!((delivered, link.endpoint().is_settled()), (MESSAGES, true));
    connections
}

#[test]
fn a_connection_that_breaks_after_any_number_of_bytes_loses_and_repeats_nothing() {
    assert_eq!(deliver(Passes::ALL), 1);
    let mut broken = 0;
    for most in (0..400).step_by(9) {
        broken += usize::from(deliver(Passes { up: most, ..Passes::ALL }) > 1);
        broken += usize::from(deliver(Passes { down: most, ..Passes::ALL }) > 1);
    }
    assert!(broken > 30, "{broken} broken connections are no test");
}

#[test]
fn a_connection_that_gives_a_byte_at_a_time_delivers_everything() {
    assert_eq!(deliver(Passes { piece: 1, ..Passes::ALL }), 1);
}
