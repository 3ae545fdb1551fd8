//! What letting messages wait for one another saves, and what it costs: writes and bytes for each message, and how long it
//! waits, at several rates.
//!
//! ```text
//! cargo bench --bench batch
//! ```
//!
//! A client and a server of this crate in memory, on a virtual clock: messages of 48 bytes come at random times, the network
//! takes 25 ms each way, the server stores a message at once. A write is what one call of a socket takes; on a radio each of
//! them wakes it up. Bytes are counted as TCP carries them over IPv4, with 40 bytes of headers for every write of up to 1,460
//! bytes and as many for its acknowledgement. The same seed gives the same figures everywhere.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use longlink::delivery::{Ledger, Slot};
use longlink::session::{
    Client, Config, Endpoint, Event, Identity, Link, Refuse, Server, ServerConfig, ServerEvent, Work,
};
use longlink::wire::Decoder;
use longlink::{Instant, earliest};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

const ONE_WAY: Duration = Duration::from_millis(25);
const BODY: [u8; 48] = [7; 48];
const RUN: Duration = Duration::from_secs(120);
/// Of TCP and IPv4, and of the segment that acknowledges.
const OVERHEAD: usize = 40 + 40;

fn main() {
    println!(
        "{:>10} {:>8} {:>16} {:>16} {:>14} {:>12}",
        "messages/s", "linger", "writes/message", "bytes/message", "wait", "acks/write"
    );
    for rate in [1, 10, 100] {
        for linger in [0, 5, 20, 100] {
            let run = Run::new(Duration::from_millis(linger), rate).finish();
            let each = |n: usize| n as f64 / run.delivered as f64;
            let wait = run.waited.as_secs_f64() * 1_000.0 / run.delivered as f64;
            println!(
                "{rate:>10} {:>5} ms {:>16.3} {:>16.1} {wait:>11.1} ms {:>12.2}",
                linger,
                each(run.writes),
                each(run.bytes),
                run.delivered as f64 / run.answers as f64,
            );
        }
    }
}

/// What was counted.
struct Run {
    now: Instant,
    interval: Duration,
    random: u64,
    due: VecDeque<Instant>,
    linger: Duration,
    writes: usize,
    answers: usize,
    bytes: usize,
    delivered: usize,
    /// From each message's call to its write.
    waited: Duration,
}

type Bytes = VecDeque<(Instant, Vec<u8>)>;

impl Run {
    fn new(linger: Duration, rate: u32) -> Self {
        let interval = Duration::from_secs(1) / rate;
        Self {
            now: Instant::ZERO,
            interval,
            random: u64::from(rate),
            due: VecDeque::new(),
            linger,
            writes: 0,
            answers: 0,
            bytes: 0,
            delivered: 0,
            waited: Duration::ZERO,
        }
    }

    /// Times between messages with the mean asked for: one to three halves of it (SplitMix64).
    fn pause(&mut self) -> Duration {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let part = u32::try_from((z ^ (z >> 27)) % 1_000).unwrap();
        self.interval / 2 + self.interval * part / 1_000
    }

    fn finish(mut self) -> Self {
        let identity = Some(Identity::volatile(NonZeroU64::MIN));
        let config = Config { identity, linger: self.linger, ..Config::DEFAULT };
        let (mut tx, mut slots) = (vec![0; 64 * 1_024], vec![Slot::FREE; 512]);
        let client =
            Client::new(&config, Work { rx: 4_096, tx: &mut tx, slots: &mut slots, sync: None, dialer: None }).unwrap();
        let mut client = Link::new(Decoder::new(config.dialect, vec![0; 4_096]).unwrap(), client);
        let served = ServerConfig { frame_interval: Duration::ZERO, ..ServerConfig::DEFAULT };
        let mut server = Server::new(&served, self.now).unwrap();
        server.lend(vec![0; 4_096]).unwrap();
        let mut server = Link::new(Decoder::new(served.dialect, vec![0; 65_536]).unwrap(), server);
        let (mut ledger, mut up, mut down) = (Ledger::new(), Bytes::new(), Bytes::new());
        client.handle_connected(self.now);
        let mut next = self.now + self.pause();
        let mut end = Instant::ZERO + RUN;
        while self.now < end {
            read(self.now, &mut server, &mut up, |now, server, event| store(&mut ledger, now, server, event));
            read(self.now, &mut client, &mut down, |_, _, event| {
                self.delivered += usize::from(matches!(event, Event::Delivered { .. }));
            });
            if next <= self.now && next < Instant::ZERO + (RUN - Duration::from_secs(1)) {
                client.endpoint_mut().send(self.now, &BODY).unwrap();
                self.due.push_back(self.now);
                next = next + self.pause();
            }
            let writes = write(self.now, &mut client, &mut up);
            let answers = write(self.now, &mut server, &mut down);
            self.count(&writes);
            self.answers += answers.len();
            self.bytes += answers.iter().map(|n| n + OVERHEAD).sum::<usize>();
            let arrival = |bytes: &Bytes| bytes.front().map(|(at, _)| *at);
            let soon = [Some(next), client.poll_timeout(), server.poll_timeout(), arrival(&up), arrival(&down)];
            let later = soon.map(|at| at.filter(|at| *at > self.now));
            self.now = earliest(later).unwrap_or(end).min(end);
            end = end.max(self.now);
        }
        self
    }

    /// Counts what the client wrote: every frame of a message ends a wait.
    fn count(&mut self, writes: &[usize]) {
        self.writes += writes.len();
        self.bytes += writes.iter().map(|n| n + OVERHEAD * n.div_ceil(1_460)).sum::<usize>();
        let frames: usize = writes.iter().map(|n| n / (16 + BODY.len())).sum();
        for _ in 0..frames {
            if let Some(since) = self.due.pop_front() {
                self.waited += self.now - since;
            }
        }
    }
}

fn store(ledger: &mut Ledger, now: Instant, server: &mut Server<'_, Vec<u8>>, event: ServerEvent<'_>) {
    match event {
        ServerEvent::Hello(hello) => match ledger.greet(hello.epoch, hello.link) {
            Ok(greeted) => server.welcome(now, ledger, greeted.resumed).unwrap(),
            Err(stale) => server.refuse(now, &Refuse::from(stale)).unwrap(),
        },
        ServerEvent::Message { id, .. } => {
            let _ = ledger.accept(&id);
            server.accept(now, &id).unwrap();
        }
        _ => {}
    }
}

fn read<E: Endpoint>(
    now: Instant,
    link: &mut Link<E, Vec<u8>>,
    from: &mut Bytes,
    mut on: impl FnMut(Instant, &mut E, E::Event<'_>),
) {
    while from.front().is_some_and(|(at, _)| *at <= now) {
        let (_, bytes) = from.pop_front().unwrap();
        link.space()[..bytes.len()].copy_from_slice(&bytes);
        link.handle_read(now, bytes.len());
        link.process(now, |endpoint, event| on(now, endpoint, event));
    }
    link.process(now, |endpoint, event| on(now, endpoint, event));
}

/// Writes all there is, and returns the length of each write.
fn write<E: Endpoint>(now: Instant, link: &mut Link<E, Vec<u8>>, to: &mut Bytes) -> Vec<usize> {
    let mut writes = Vec::new();
    while let Some(bytes) = link.poll_transmit() {
        let n = bytes.len();
        to.push_back((now + ONE_WAY, bytes.to_vec()));
        link.handle_sent(now, n);
        writes.push(n);
    }
    writes
}
