//! A connection between a device and a server: through a network that forgets it when it is silent, and why it may break.

use super::nat::{self, Nat};
use super::tally::{self, Fault};
use crate::support::pipe::Weather;
use crate::support::post::port::ServerPort;
use crate::support::post::{Cut, Line};
use longlink::Instant;
use longlink::session::{Disconnect, Endpoint};

pub struct Wire<'m> {
    pub device: usize,
    pub place: usize,
    pub machine: usize,
    pub network: usize,
    pub line: Line<'m>,
    pub nat: Nat,
    /// What may have broken it. A connection ends for a reason.
    pub wrong: Option<&'static str>,
    /// Nothing gets through any more.
    pub is_dark: bool,
    /// Bytes stand still until then.
    pub stuck_until: Option<Instant>,
    /// Bytes that were written when the NAT last looked: up, down.
    seen: (u64, u64),
    /// The server answers no greeting.
    pub mute: bool,
    /// When its server read something last.
    pub heard: Instant,
}

/// Where a connection goes through and to.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub device: usize,
    pub place: usize,
    pub machine: usize,
    pub network: usize,
}

impl<'m> Wire<'m> {
    pub fn new(now: Instant, number: usize, route: Route, server: ServerPort<'m>, weather: Weather, nat: Nat) -> Self {
        let Route { device, place, machine, network } = route;
        let seed = (number as u64) << 20 ^ now.as_micros();
        let mut wire = Self {
            device,
            place,
            machine,
            network,
            line: Line::new(number, server, weather, seed),
            nat,
            wrong: None,
            is_dark: false,
            stuck_until: None,
            seen: (0, 0),
            mute: false,
            heard: now,
        };
        wire.nat.connect(now);
        wire
    }

    /// What was written since the last look has gone through the NAT.
    pub fn pass_nat(&mut self, now: Instant) {
        let written = (self.line.up.written, self.line.down.written);
        let before = std::mem::replace(&mut self.seen, written);
        if written == before {
            return;
        }
        let fate = self.nat.packet(now);
        if fate == nat::Fate::Passes {
            return;
        }
        if self.wrong != Some("forgotten") {
            tally::wrong(Fault::Forgotten);
            tally::note(now, || format!("connection {}: forgotten by its NAT", self.line.number));
        }
        self.go_dark("forgotten");
        if fate == nat::Fate::Reset {
            if written.0 > before.0 { self.line.down.reset() } else { self.line.up.reset() }
        }
    }

    /// Nothing gets through any more, and nobody is told.
    pub fn go_dark(&mut self, why: &'static str) {
        (self.wrong, self.is_dark) = (Some(why), true);
        self.line.up.swallow();
        self.line.down.swallow();
    }

    /// The device has left it.
    pub fn let_go(&mut self, now: Instant, cut: Cut, why: &'static str) {
        self.wrong = Some(why);
        self.line.let_go(now, cut);
    }

    pub fn stall(&mut self, until: Instant, up: bool, down: bool) {
        (self.wrong, self.stuck_until) = (Some("stood still"), Some(until));
        (self.line.up.stuck, self.line.down.stuck) = (up, down);
    }

    pub fn flow(&mut self) {
        self.stuck_until = None;
        (self.line.up.stuck, self.line.down.stuck) = (false, false);
    }

    /// A link ends for a reason: one with which nothing is wrong is not given up.
    pub fn check_end(&self, side: &str, why: Disconnect) {
        let number = self.line.number;
        match why {
            Disconnect::Malformed(_)
            | Disconnect::Misbehaved
            | Disconnect::BadGreeting(_)
            | Disconnect::GreetedTwice
            | Disconnect::NotGreeted
            | Disconnect::UnknownDevice => panic!("{side} of connection {number} takes the other for broken: {why}"),
            Disconnect::Transport
            | Disconnect::Truncated { .. }
            | Disconnect::PeerClosed
            | Disconnect::HeartbeatLost
            | Disconnect::Idle
            | Disconnect::Stalled
            | Disconnect::SlowFrame
            | Disconnect::NoGreeting => {
                let has_reason = self.wrong.is_some() || self.mute;
                assert!(has_reason, "{side} gave up connection {number}, with which nothing is wrong: {why}");
            }
            _ => {}
        }
    }

    pub fn server_is_open(&self) -> bool {
        self.line.server.as_ref().is_some_and(|port| port.link.endpoint().is_open())
    }

    pub fn next(&self) -> impl Iterator<Item = Instant> {
        let timer = self.line.server.as_ref().and_then(|port| port.link.endpoint().poll_timeout());
        self.line.next().into_iter().chain([self.stuck_until, timer]).flatten()
    }
}
