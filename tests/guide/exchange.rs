//! The example of a link, as a client and a server of the library exchange it.

use crate::frames::{Block, under};
use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{
    Client, Config, Endpoint, Event, GoAway, GoAwayCode, Identity, Link, Server, ServerConfig, ServerEvent, Storage,
};
use longlink::sync::{self, Epoch, RingMailbox, RingStorage};
use longlink::wire::{Decoded, Decoder, Dialect, decode};
use std::num::NonZeroU64;
use std::time::Duration;

const CONFIG: Config<'static> = Config {
    identity: Some(Identity {
        epoch: longlink::delivery::Epoch::new(1_700_000_000),
        ..Identity::volatile(NonZeroU64::new(0xA11CE).unwrap())
    }),
    hello: Some(b"secret"),
    sync: Some(sync::Config::DEFAULT),
    heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)),
    ..Config::DEFAULT
};
const SERVER: ServerConfig = ServerConfig { max_frame: 4_096, ..ServerConfig::DEFAULT };
const EPOCH: Epoch = Epoch::new(7).unwrap();

#[test]
fn a_client_and_a_server_exchange_the_frames_of_the_example() {
    let blocks: Vec<Block> = under("An example").collect();
    let (mut storage, mut store): (Storage, RingStorage<8, 256>) = (Storage::new(), RingStorage::new());
    let mut mailbox = store.mailbox(EPOCH);
    mailbox.append(2, 1, b"hi").unwrap();
    let client = storage.client(&CONFIG).unwrap();
    let mut server = Server::new(&SERVER, Instant::ZERO).unwrap();
    server.lend(vec![0; 1_024]).unwrap();
    let server = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 4_096]).unwrap(), server);
    let mut both = Both { client, server, mailbox, now: Instant::ZERO, seen: Vec::new() };

    both.client.handle_connected(both.now);
    both.settle();
    both.client.endpoint_mut().send(both.now, b"hello").unwrap();
    both.settle();
    both.now = Instant::from_secs(30);
    both.settle();
    both.server
        .endpoint_mut()
        .close(both.now, GoAway::new(GoAwayCode::Restart).with_retry_after(Duration::from_secs(60)));
    both.settle();

    let expected: Vec<(bool, Vec<u8>)> = blocks.iter().map(|block| (block.is_from_client(), block.bytes())).collect();
    assert_eq!(both.seen, expected);
}

struct Both<'b> {
    client: Link<Client<'b>, &'b mut [u8]>,
    server: Link<Server<'static, Vec<u8>>, Vec<u8>>,
    mailbox: RingMailbox<'b>,
    now: Instant,
    /// Every frame, and whether it is the client's.
    seen: Vec<(bool, Vec<u8>)>,
}

impl Both<'_> {
    /// Until neither has anything to say.
    fn settle(&mut self) {
        loop {
            let Self { client, server, mailbox, now, seen } = self;
            client.process(*now, |client, event| commit(*now, client, event));
            server.process(*now, |server, event| answer(*now, server, mailbox, event));
            let before = seen.len();
            carry(*now, true, client, server, seen);
            carry(*now, false, server, client, seen);
            if seen.len() == before {
                return;
            }
        }
    }
}

fn commit(now: Instant, client: &mut Client<'_>, event: Event<'_>) {
    if let Event::Page(page) = event {
        client.commit(now, &page.receipt()).unwrap();
    }
}

fn answer(now: Instant, server: &mut Server<'_, Vec<u8>>, mailbox: &mut RingMailbox<'_>, event: ServerEvent<'_>) {
    match event {
        ServerEvent::Hello(hello) => {
            let mut ledger: Ledger = Ledger::new();
            let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
            server.welcome(now, &ledger, greeted.resumed).unwrap();
        }
        ServerEvent::Message { id, .. } => server.accept(now, &id).unwrap(),
        ServerEvent::Sync { sequence, request } => {
            server.answer_sync(now, sequence, &request, &mut mailbox.device(0xA11CE, now)).unwrap();
        }
        ServerEvent::SyncDone(ack) => {
            sync::acknowledge(&ack, &mut mailbox.device(0xA11CE, now)).unwrap();
        }
        _ => {}
    }
}

/// What one end has to write goes to the other, and is noted frame by frame.
fn carry<A: Endpoint, B: Endpoint>(
    now: Instant,
    is_from_client: bool,
    from: &mut Link<A, impl AsRef<[u8]> + AsMut<[u8]>>,
    to: &mut Link<B, impl AsRef<[u8]> + AsMut<[u8]>>,
    seen: &mut Vec<(bool, Vec<u8>)>,
) {
    let mut all = Vec::new();
    while let Some(bytes) = from.poll_transmit() {
        let n = bytes.len();
        all.extend_from_slice(bytes);
        to.space()[..n].copy_from_slice(bytes);
        from.handle_sent(now, n);
        to.handle_read(now, n);
    }
    let mut rest = &all[..];
    while let Ok(Decoded::Frame(frame)) = decode(&Dialect::LONGLINK, rest) {
        let (whole, behind) = rest.split_at(frame.length());
        seen.push((is_from_client, whole.to_vec()));
        rest = behind;
    }
    assert!(rest.is_empty());
}
