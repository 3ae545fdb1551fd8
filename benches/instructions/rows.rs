//! The rows of the table: what is counted, what it may cost, and beside whom.

use super::contestants::*;
use crate::work::{session, sync};

/// Does a piece of work `n` times, after preparations that depend on the second number only, the most that `n` can be.
pub(crate) type Work = fn(usize, usize);

/// A line of the table. The figures in it hold for Rust 1.95, opt-level 3, fat LTO.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The `n` of the counts.
    pub(crate) n: usize,
    pub(crate) ours: Work,
    /// The copy of the same bytes.
    pub(crate) memcpy: Option<Work>,
    /// The row fails above it.
    pub(crate) hold: Option<Limit>,
    /// A row that does not reach `hold` yet fails above this instead, so that it gets no worse.
    pub(crate) guard: Option<f64>,
    /// Where more effort stops being worth it.
    pub(crate) aim: Option<Limit>,
    /// What hand-written code takes at least for the same work, if it checks nothing but lengths.
    pub(crate) least: Option<Limit>,
    pub(crate) peers: &'static [(&'static str, Work)],
    /// Peers that were counted elsewhere.
    pub(crate) known: &'static [(&'static str, f64)],
}

/// What a piece of work may cost.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// So many instructions.
    Instructions(f64),
    /// So many more than the copy.
    OverCopy(f64),
    /// So many times the copy.
    TimesCopy(f64),
}
use Limit::{Instructions, OverCopy, TimesCopy};

const BLANK: Row = Row {
    name: "",
    n: 10_000,
    ours: |_, _| {},
    memcpy: None,
    hold: None,
    guard: None,
    aim: None,
    least: None,
    peers: &[],
    known: &[],
};

const CONTIGUOUS: Row =
    Row { hold: Some(Instructions(40.0)), aim: Some(Instructions(30.0)), least: Some(Instructions(25.0)), ..BLANK };

/// A whole side, in memory, from the application's call to its event.
const EXCHANGE: Row = Row { hold: Some(Instructions(700.0)), aim: Some(Instructions(400.0)), ..BLANK };

const HEARTBEAT: Row =
    Row { hold: Some(Instructions(300.0)), guard: Some(745.0), aim: Some(Instructions(150.0)), ..BLANK };

/// What is not sent costs nothing, however much a mailbox keeps.
const ANSWER: Row = Row { n: 100 * sync::PAGE, guard: Some(165.0), ..BLANK };

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "decode, contiguous, empty body",
        ours: ours_contiguous::<0>,
        peers: &[
            ("tokio-util", tokio_contiguous::<0>),
            ("mqttrs", mqttrs_contiguous::<0>),
            ("mqttbytes", mqttbytes_contiguous::<0>),
        ],
        ..CONTIGUOUS
    },
    Row {
        name: "decode, contiguous, 48 B",
        ours: ours_contiguous::<48>,
        peers: &[
            ("tokio-util", tokio_contiguous::<48>),
            ("mqttrs", mqttrs_contiguous::<48>),
            ("mqttbytes", mqttbytes_contiguous::<48>),
        ],
        ..CONTIGUOUS
    },
    Row {
        name: "decode, contiguous, 1 KiB",
        ours: ours_contiguous::<1_024>,
        peers: &[
            ("tokio-util", tokio_contiguous::<1_024>),
            ("mqttrs", mqttrs_contiguous::<1_024>),
            ("mqttbytes", mqttbytes_contiguous::<1_024>),
        ],
        ..CONTIGUOUS
    },
    Row { name: "decode, contiguous, 48 B, run-time dialect", ours: ours_any_contiguous::<48>, ..CONTIGUOUS },
    Row {
        name: "decode, 1,460 B segments, 48 B",
        ours: ours_segments::<48>,
        memcpy: Some(copy_segments::<48>),
        hold: Some(Instructions(75.0)),
        aim: Some(Instructions(55.0)),
        least: Some(Instructions(44.0)),
        peers: &[("tokio-util", tokio_segments::<48>), ("mqttbytes", mqttbytes_segments::<48>)],
        ..BLANK
    },
    Row {
        name: "decode, 1,460 B segments, 16 KiB",
        n: 500,
        ours: ours_segments::<16_384>,
        memcpy: Some(copy_segments::<16_384>),
        hold: Some(TimesCopy(1.3)),
        aim: Some(TimesCopy(1.1)),
        least: Some(TimesCopy(1.08)),
        peers: &[("tokio-util", tokio_segments::<16_384>), ("mqttbytes", mqttbytes_segments::<16_384>)],
        ..BLANK
    },
    Row {
        name: "decode, byte by byte, 48 B, per byte",
        n: 64_000,
        ours: ours_bytewise,
        hold: Some(Instructions(40.0)),
        aim: Some(Instructions(25.0)),
        least: Some(Instructions(18.0)),
        peers: &[("postcard", postcard_bytewise), ("tokio-util", tokio_bytewise)],
        ..BLANK
    },
    Row {
        name: "encode, 48 B",
        ours: ours_encoded,
        memcpy: Some(copy_bodies),
        hold: Some(OverCopy(20.0)),
        aim: Some(OverCopy(10.0)),
        least: Some(OverCopy(7.0)),
        peers: &[("tokio-util", tokio_encoded), ("mqttrs", mqttrs_encoded), ("mqttbytes", mqttbytes_encoded)],
        ..BLANK
    },
    Row { name: "encode, 48 B, run-time dialect", ours: ours_any_encoded, memcpy: Some(copy_bodies), ..BLANK },
    Row {
        name: "message sent and acknowledged, 1 in flight",
        ours: |n, _| session::messages(n, 0),
        guard: Some(1_612.0),
        known: &[("rust-mqtt 0.6", 2_234.0), ("minimq 0.13", 2_605.0)],
        ..EXCHANGE
    },
    Row {
        name: "message sent and acknowledged, 32 in flight",
        ours: |n, _| session::messages(n, 31),
        guard: Some(1_730.0),
        ..EXCHANGE
    },
    Row {
        name: "message received and acknowledged",
        ours: |n, _| session::deliveries(n),
        guard: Some(1_110.0),
        known: &[("minimq 0.13", 2_075.0), ("rust-mqtt 0.6", 2_755.0)],
        ..EXCHANGE
    },
    Row {
        name: "request sent and answered, 1 in flight",
        ours: |n, _| session::requests(n, 0),
        guard: Some(1_480.0),
        ..EXCHANGE
    },
    Row {
        name: "request sent and answered, 32 in flight",
        ours: |n, _| session::requests(n, 31),
        guard: Some(1_498.0),
        ..EXCHANGE
    },
    Row { name: "request received and answered", ours: |n, _| session::answers(n), guard: Some(830.0), ..EXCHANGE },
    Row { name: "heartbeat answered, 1 link", ours: |n, _| session::heartbeats(n, 1), ..HEARTBEAT },
    Row { name: "heartbeat answered, 100,000 links", ours: |n, _| session::heartbeats(n, 100_000), ..HEARTBEAT },
    Row {
        name: "sync page read, per item of 48 B",
        n: 100 * sync::PAGE,
        ours: |n, _| sync::pages(n),
        hold: Some(Instructions(60.0)),
        aim: Some(Instructions(35.0)),
        ..BLANK
    },
    Row { name: "sync page written, per item, of 100", ours: |n, _| sync::answers(n, 100), ..ANSWER },
    Row { name: "sync page written, per item, of 10,000", ours: |n, _| sync::answers(n, 10_000), ..ANSWER },
    Row { name: "sync page written, per item, of 1,000,000", ours: |n, _| sync::answers(n, 1_000_000), ..ANSWER },
];

impl Row {
    /// All pieces of work of this row: ours, the copy if there is one, those of the peers.
    pub(crate) fn contestants(&self) -> Vec<Work> {
        [self.ours].into_iter().chain(self.memcpy).chain(self.peers.iter().map(|(_, work)| *work)).collect()
    }
}
