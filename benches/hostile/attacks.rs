//! All attacks, and what a server owes whom.

use crate::peer::Peer;
use crate::{broken, crowds, floods, greetings, silent, slow};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Something that a peer should not do.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// On which servers.
    pub(crate) on: &'static [Kind],
    /// So many seconds it takes until all of it was seen.
    pub(crate) takes: u64,
    /// So much more memory the server may take for it, in KiB.
    pub(crate) memory: u64,
    pub(crate) run: fn(&Target) -> Result<Outcome>,
}

/// A server, and how it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two threads for each link, a mailbox on the disk: links must greet.
    Threads,
    /// A task for each link, mailboxes in memory: links need not greet.
    Tasks,
    /// As `Threads`, in memory, links need not greet, and a million frames a second are taken from each.
    AnyRate,
}

use Kind::{AnyRate, Tasks, Threads};

/// Where an attack takes place.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    pub(crate) kind: Kind,
    /// One that no other attack uses.
    pub(crate) account: String,
    pub(crate) until: Instant,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) links: usize,
    /// By the attacker, in bytes.
    pub(crate) sent: u64,
    /// By the server, in bytes.
    pub(crate) written: u64,
    /// How the link ended, or most of them.
    pub(crate) ending: String,
    pub(crate) after: Option<Duration>,
    /// Which bounds do not hold.
    pub(crate) broken: Vec<String>,
}

const S: fn(u64) -> Duration = Duration::from_secs;
const MIB: u64 = 1_024;
const PLAIN: Attack =
    Attack { name: "", on: &[Threads, Tasks], takes: 2, memory: 4 * MIB, run: |_| Ok(Outcome::default()) };
/// Each ends by a limit of some length.
const LONG: Attack = Attack { takes: 36, ..PLAIN };
/// Until a write has stalled for long enough.
const STALLED: Attack = Attack { takes: 90, on: &[AnyRate], ..PLAIN };

pub(crate) const ATTACKS: &[Attack] = &[
    Attack { name: "a header, a byte in 2.5 s", run: slow::header, ..LONG },
    Attack { name: "a body, a byte a second", run: slow::body, ..LONG },
    Attack { name: "says nothing at all", takes: 14, run: slow::silent, ..PLAIN },
    Attack { name: "no greeting, heartbeats", run: slow::ungreeted, ..PLAIN },
    Attack { name: "never reads, heartbeats", run: silent::heartbeats, ..STALLED },
    Attack { name: "never reads, syncs", run: silent::syncs, ..STALLED },
    Attack { name: "never reads, messages", memory: 16 * MIB, run: silent::messages, ..STALLED },
    Attack { name: "never reads, 1,000,000 pushes to it", run: silent::pushes, ..STALLED },
    Attack { name: "never reads, heartbeats", run: silent::heartbeats, ..PLAIN },
    Attack { name: "never reads, syncs", takes: 72, run: silent::syncs, ..PLAIN },
    Attack { name: "heartbeats above the rate", run: floods::heartbeats, ..PLAIN },
    Attack { name: "messages above the rate", run: floods::messages, ..PLAIN },
    Attack { name: "syncs that bring nothing", run: floods::fruitless, ..PLAIN },
    Attack { name: "replies that nobody asked for", run: floods::unasked, ..PLAIN },
    Attack { name: "a batch within a batch", run: floods::nested, ..PLAIN },
    Attack { name: "empty bodies", run: broken::empty, ..PLAIN },
    Attack { name: "frames above the limit", run: broken::over_long, ..PLAIN },
    Attack { name: "frames above 16 times the limit", run: broken::far_too_long, ..PLAIN },
    Attack { name: "garbage", run: broken::garbage, ..PLAIN },
    Attack { name: "greetings at and beyond limits", run: greetings::extremes, ..PLAIN },
    Attack { name: "a second greeting", run: greetings::twice, ..PLAIN },
    Attack { name: "a device number for each link", memory: 8 * MIB, run: greetings::many_devices, ..PLAIN },
    Attack { name: "half-closed, 100 at a time", memory: 16 * MIB, run: crowds::half_closed, ..PLAIN },
    Attack { name: "connects and leaves", memory: 8 * MIB, run: crowds::churn, ..PLAIN },
];

/// What is to happen at once has happened by then, on a busy machine too.
pub(crate) fn soon() -> Instant {
    Instant::now() + S(3)
}

impl Target {
    /// A link that has greeted.
    pub(crate) fn greeted(&self) -> Result<Peer> {
        Peer::greeted(self.server, &self.account, 1)
    }

    /// Whether something that takes so long is seen.
    pub(crate) fn has(&self, time: Duration) -> bool {
        self.until.saturating_duration_since(Instant::now()) >= time
    }

    pub(crate) fn rest(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Outcome {
    pub(crate) fn of(peer: &Peer) -> Self {
        let (ending, after) = peer.ending();
        Self { links: 1, sent: peer.sent, written: peer.received, ending, after, broken: Vec::new() }
    }

    /// A bound of the protocol.
    pub(crate) fn hold(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.broken.push(what.into());
        }
    }

    /// The link must have ended within these seconds.
    pub(crate) fn ended(&mut self, within: std::ops::Range<u64>) {
        let (from, to) = (S(within.start), S(within.end));
        let ended = self.after;
        let holds = ended.is_some_and(|after| (from..to).contains(&after));
        self.hold(holds, format!("should end after {within:?} s: {} {ended:?}", self.ending));
    }

    /// Another link of the same attack.
    pub(crate) fn add(&mut self, other: Self) {
        self.links += other.links;
        self.sent += other.sent;
        self.written += other.written;
        (self.ending, self.after) = (other.ending, other.after);
        self.broken.extend(other.broken);
    }
}
