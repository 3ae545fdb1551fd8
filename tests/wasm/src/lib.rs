//! A client as a WebAssembly module that imports nothing: whoever loads it moves the bytes and tells the time.
//!
//! ```text
//! cargo build --release --target wasm32-unknown-unknown
//! node smoke.mjs target/wasm32-unknown-unknown/release/longlink_wasm.wasm [path of the example server]
//! ```
//!
//! Times are milliseconds as a JavaScript number. One instance is one client, and its memory is all static: it never grows.

#![no_std]

mod exports;

use core::num::NonZeroU64;
use core::time::Duration;
use heapless::Deque;
use longlink::Instant;
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Event, Identity, Link, Storage};

/// Frames of up to 1 KiB, 4 messages at a time.
pub(crate) type Memory = Storage<1_024, 1_024, 4>;

static CONFIG: Config = Config {
    identity: Some(Identity::volatile(NonZeroU64::MIN)),
    hello: Some(b"wasm"),
    heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)),
    ..Config::DEFAULT
};

/// What happened: a number that says what, and one more.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    /// 0 nothing, 1 online, 2 delivered, 3 failed, 4 a heartbeat was answered, 5 a push, 6 a goaway, 7 offline,
    /// 255 something else.
    pub(crate) what: u32,
    /// Of 2 and 3 the sequence, of 4 the round trip in milliseconds, of 5 the length of the body, of 7 whether it was in good
    /// order.
    pub(crate) value: u32,
}

/// A link, what it told, and what is to be sent.
pub(crate) struct Session {
    link: Link<Client<'static>, &'static mut [u8]>,
    told: Deque<Told, 32>,
    last: Told,
    pub(crate) body: [u8; 256],
}

impl Session {
    /// A client that is connected. `None` if the configuration cannot work.
    pub(crate) fn start(now: Instant, memory: &'static mut Memory) -> Option<Self> {
        let mut link = memory.client(&CONFIG).ok()?;
        link.handle_connected(now);
        Some(Self { link, told: Deque::new(), last: Told::default(), body: [0; 256] })
    }

    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.link.space()
    }

    pub(crate) fn handle_received(&mut self, now: Instant, n: usize) {
        self.link.handle_read(now, n);
        self.process(now);
    }

    pub(crate) fn handle_end(&mut self, now: Instant) {
        self.link.handle_end();
        self.process(now);
    }

    /// Handles what came and what is due. Call it at every [`next_timeout`](Self::next_timeout).
    pub(crate) fn process(&mut self, now: Instant) {
        let told = &mut self.told;
        self.link.process(now, |_, event| {
            // Whoever does not ask for 32 events loses the next: nothing but the news of them is lost.
            let _ = told.push_back(tell(event));
        });
    }

    pub(crate) fn transmit(&mut self) -> &[u8] {
        self.link.poll_transmit().unwrap_or_default()
    }

    pub(crate) fn handle_sent(&mut self, now: Instant, n: usize) {
        self.link.handle_sent(now, n);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    /// The next event; its value stays until the one after it.
    pub(crate) fn event(&mut self) -> Told {
        self.last = self.told.pop_front().unwrap_or_default();
        self.last
    }

    pub(crate) const fn last(&self) -> Told {
        self.last
    }

    /// Sends the first `n` bytes of `body`. Returns the sequence, 0 if it was not sent.
    pub(crate) fn send(&mut self, now: Instant, n: usize) -> u32 {
        let Some(body) = self.body.get(..n) else { return 0 };
        self.link.endpoint_mut().send(now, body).map_or(0, |token| token.sequence())
    }

    pub(crate) fn heartbeat(&mut self, now: Instant) {
        self.link.endpoint_mut().heartbeat(now);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.link.endpoint_mut().close(now);
    }

    /// `true` once the connection is to be ended: all is written, or it is of no use any more.
    pub(crate) fn is_over(&mut self) -> bool {
        let closes = self.link.closing().is_some() && self.link.poll_transmit().is_none();
        closes || self.link.over().is_some()
    }

    pub(crate) fn handle_disconnected(&mut self, now: Instant) {
        let why = self.link.over().or(self.link.closing()).unwrap_or(Disconnect::Transport);
        self.link.handle_disconnected(now, why);
        self.process(now);
    }
}

fn tell(event: Event<'_>) -> Told {
    let (what, value) = match event {
        Event::Online { .. } => (1, 0),
        Event::Delivered { token } => (2, token.sequence()),
        Event::Failed { token, .. } => (3, token.sequence()),
        Event::Heartbeat { round_trip } => (4, u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX)),
        Event::Push(frame) => (5, u32::try_from(frame.body().len()).unwrap_or(u32::MAX)),
        Event::GoAway(_) => (6, 0),
        Event::Offline(why) => (7, why.is_orderly().into()),
        _ => (255, 0),
    };
    Told { what, value }
}
