//! Whole sessions of this crate, in memory: the decoder, the endpoint, and the bytes between them.

use longlink::Instant;
use longlink::delivery::{Ledger, Slot};
use longlink::session::{
    Client, Config, Endpoint, Event, Hello, HelloReply, HelloStatus, Identity, Link, Server, ServerConfig, ServerEvent,
    Work,
};
use longlink::wire::{Decoder, Dialect, encode};
use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::Duration;

const DIALECT: &Dialect = &Dialect::LONGLINK;
const NOW: Instant = Instant::from_secs(1);
/// Takes links that do not greet.
const OPEN: ServerConfig = ServerConfig { needs_greeting: false, ..ServerConfig::DEFAULT };

/// Sends `count` messages, and takes the reply to each before the next is sent, while `waiting` others wait for theirs.
#[inline(never)]
pub(crate) fn requests(count: usize, waiting: usize) {
    let config = black_box(Config::DEFAULT);
    let (mut tx, mut slots) = (vec![0; 8 * 1_024], vec![Slot::FREE; 64]);
    let client =
        Client::new(&config, Work { rx: 1_024, tx: &mut tx, slots: &mut slots, sync: None, dialer: None }).unwrap();
    let mut link = Link::new(Decoder::new(DIALECT, vec![0; 1_024]).unwrap(), client);
    link.handle_connected(NOW);
    for _ in 0..waiting {
        link.endpoint_mut().request(NOW, DIALECT.message, b"waits").unwrap();
    }
    write(&mut link);
    let body = super::body(48);
    let mut reply = [0; 16];
    encode(DIALECT, DIALECT.reply_to(DIALECT.message), 0, &[], &mut reply).unwrap();
    let mut replies = 0;
    for _ in 0..count {
        let token = link.endpoint_mut().request(NOW, DIALECT.message, black_box(&body)).unwrap();
        write(&mut link);
        reply[12..].copy_from_slice(&token.sequence().to_be_bytes());
        read(&mut link, &reply);
        link.process(NOW, |_, event| replies += usize::from(matches!(event, Event::Reply { .. })));
    }
    assert_eq!(replies, count);
}

/// Takes `count` messages, tells the application of each, and writes its answer.
#[inline(never)]
pub(crate) fn answers(count: usize) {
    let config = black_box(OPEN);
    let mut server = Server::new(&config, NOW).unwrap();
    server.lend(vec![0; 1_024]).unwrap();
    let mut link = Link::new(Decoder::new(DIALECT, vec![0; 1_024]).unwrap(), server);
    let mut message = [0; 64];
    encode(DIALECT, DIALECT.message, 7, &super::body(48), &mut message).unwrap();
    // As many a second as a link is allowed.
    let mut now = NOW;
    for _ in 0..count {
        now = now + longlink::session::limits::FRAME_INTERVAL;
        link.space()[..64].copy_from_slice(black_box(&message));
        link.handle_read(now, 64);
        link.process(now, |server, event| {
            if let ServerEvent::Request(frame) = event {
                black_box(frame.body());
                server.reply(now, frame.command(), frame.sequence(), b"").unwrap();
            }
        });
        write(&mut link);
    }
    assert_eq!(link.endpoint().stats().frames_received as usize, count);
}

/// Sends `count` messages, and takes the acknowledgement of each before the next is sent, while `waiting` others wait for
/// theirs.
#[inline(never)]
pub(crate) fn messages(count: usize, waiting: usize) {
    let config = black_box(Config { identity: Some(Identity::volatile(NonZeroU64::MIN)), ..Config::DEFAULT });
    let (mut tx, mut slots) = (vec![0; 8 * 1_024], vec![Slot::FREE; 64]);
    let client =
        Client::new(&config, Work { rx: 1_024, tx: &mut tx, slots: &mut slots, sync: None, dialer: None }).unwrap();
    let mut link = Link::new(Decoder::new(DIALECT, vec![0; 1_024]).unwrap(), client);
    link.handle_connected(NOW);
    write(&mut link);
    read(&mut link, &greet_reply());
    link.process(NOW, |client, _| assert!(client.is_online()));
    let body = super::body(48);
    let mut oldest = 1;
    for _ in 0..waiting {
        link.endpoint_mut().send(NOW, &body).unwrap();
    }
    write(&mut link);
    let mut acknowledgement = [0; 16];
    encode(DIALECT, DIALECT.reply_to(DIALECT.message), 0, &[], &mut acknowledgement).unwrap();
    let mut delivered = 0;
    for _ in 0..count {
        link.endpoint_mut().send(NOW, black_box(&body)).unwrap();
        write(&mut link);
        acknowledgement[12..].copy_from_slice(&u32::to_be_bytes(oldest));
        oldest += 1;
        read(&mut link, &acknowledgement);
        link.process(NOW, |_, event| delivered += usize::from(matches!(event, Event::Delivered { .. })));
    }
    assert_eq!(delivered, count);
}

/// What a server that has nothing of the device answers to its greeting.
fn greet_reply() -> Vec<u8> {
    let mut ledger = Ledger::<1>::new();
    ledger.greet(None, 1).unwrap();
    let mut bitmap = [0; 8];
    let reply = HelloReply {
        version: Hello::VERSION,
        status: HelloStatus::Ok,
        resumed: false,
        idle: 900,
        epoch: ledger.epoch(),
        link: 1,
        max_frame: 65_536,
        accepted: ledger.window().snapshot(&mut bitmap).unwrap(),
        retry_after: Duration::ZERO,
    };
    let body = [&reply.encode_fixed()[..], reply.accepted.bitmap()].concat();
    let mut frame = vec![0; 64];
    let length = encode(DIALECT, 1_000_000_205, 0xFFFF_FFFE, &body, &mut frame).unwrap();
    frame.truncate(length);
    frame
}

/// Takes `count` messages, tells the application of each, has them accepted, and acknowledges them.
#[inline(never)]
pub(crate) fn deliveries(count: usize) {
    let config = black_box(ServerConfig { frame_interval: Duration::ZERO, ..ServerConfig::DEFAULT });
    let mut server = Server::new(&config, NOW).unwrap();
    server.lend(vec![0; 1_024]).unwrap();
    let mut link = Link::new(Decoder::new(DIALECT, vec![0; 1_024]).unwrap(), server);
    let hello = Hello {
        version: Hello::VERSION,
        resume: false,
        heartbeat: 30,
        epoch: None,
        device: NonZeroU64::MIN,
        link: 1,
        max_frame: 1_024,
        token: &[],
    };
    let mut frame = [0; 64];
    let length = encode(DIALECT, 205, 0xFFFF_FFFE, &hello.encode_fixed(), &mut frame).unwrap();
    read(&mut link, &frame[..length]);
    let mut ledger = Ledger::new();
    link.process(NOW, |server, event| {
        if let ServerEvent::Hello(hello) = event {
            let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
            server.welcome(NOW, &ledger, greeted.resumed).unwrap();
        }
    });
    write(&mut link);
    let mut message = [0; 64];
    encode(DIALECT, DIALECT.message, 0, &super::body(48), &mut message).unwrap();
    let mut delivered = 0;
    for sequence in 1..=u32::try_from(count).unwrap() {
        message[12..16].copy_from_slice(&sequence.to_be_bytes());
        read(&mut link, black_box(&message));
        link.process(NOW, |server, event| {
            if let ServerEvent::Message { id, frame } = event {
                black_box(frame.body());
                server.accept(NOW, &id).unwrap();
                delivered += 1;
            }
        });
        assert_eq!(write(&mut link), 16);
    }
    assert_eq!(delivered, count);
}

/// Answers `count` heartbeats, spread over `links` links that share one buffer.
#[inline(never)]
pub(crate) fn heartbeats(count: usize, links: usize) {
    let config = black_box(OPEN);
    let mut all: Vec<Link<Server<'_, Vec<u8>>, Vec<u8>>> = Vec::new();
    all.resize_with(links, || Link::new(Decoder::without_buffer(DIALECT), Server::new(&config, NOW).unwrap()));
    let mut heartbeat = [0; 16];
    encode(DIALECT, DIALECT.heartbeat, u32::MAX, &[], &mut heartbeat).unwrap();
    let mut shared = Some(vec![0; 256]);
    let mut now = NOW;
    for beat in 0..count {
        now = now + longlink::session::limits::FRAME_INTERVAL;
        let link = &mut all[beat % links];
        link.split().0.lend(shared.take().unwrap()).unwrap();
        link.space()[..16].copy_from_slice(black_box(&heartbeat));
        link.handle_read(now, 16);
        link.process(now, |_, event| panic!("{event:?}"));
        shared = link.split().0.reclaim();
        assert_eq!(write(link), 16);
    }
}

fn read<E: Endpoint>(link: &mut Link<E, Vec<u8>>, bytes: &[u8]) {
    link.space()[..bytes.len()].copy_from_slice(bytes);
    link.handle_read(NOW, bytes.len());
}

/// Writes all there is, and returns how much that was.
fn write<E: Endpoint>(link: &mut Link<E, Vec<u8>>) -> usize {
    let mut written = 0;
    while let Some(bytes) = link.endpoint_mut().poll_transmit() {
        let n = black_box(bytes).len();
        link.endpoint_mut().handle_sent(NOW, n);
        written += n;
    }
    written
}
