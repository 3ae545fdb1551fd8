//! Whole sessions of this crate, in memory: the decoder, the endpoint, and the bytes between them.

use longlink::Instant;
use longlink::delivery::Slot;
use longlink::session::{Client, Config, Endpoint, Event, Link, Server, ServerConfig, ServerEvent, Work};
use longlink::wire::{Decoder, Dialect, encode};
use std::hint::black_box;

const DIALECT: &Dialect = &Dialect::LONGLINK;
const NOW: Instant = Instant::from_secs(1);

/// Sends `count` messages, and takes the reply to each before the next is sent, while `waiting` others wait for theirs.
#[inline(never)]
pub(crate) fn requests(count: usize, waiting: usize) {
    let config = black_box(Config::DEFAULT);
    let (mut tx, mut slots) = (vec![0; 8 * 1_024], vec![Slot::FREE; 64]);
    let client = Client::new(&config, Work { rx: 1_024, tx: &mut tx, slots: &mut slots }).unwrap();
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
    let config = black_box(ServerConfig::DEFAULT);
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

/// Answers `count` heartbeats, spread over `links` links that share one buffer.
#[inline(never)]
pub(crate) fn heartbeats(count: usize, links: usize) {
    let config = black_box(ServerConfig::DEFAULT);
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
