//! Instructions per frame, counted under Callgrind, beside other crates doing the same work, and held to a limit.
//!
//! ```text
//! cargo bench --bench instructions              # all rows
//! cargo bench --bench instructions -- encode    # the rows whose name contains "encode"
//! ```
//!
//! It needs `valgrind` in the path and nothing else. Unlike times, the counts are the same on a busy machine, so a limit
//! can be exact: the exit status is not 0 if a row is above its `hold` figure, or, where that is not reached yet, above
//! what it has reached.
//!
//! # How it counts
//!
//! The program starts itself under Callgrind, twice for every figure: to do a piece of work `n` times, and `2 n` times,
//! after the same preparations. The difference, divided by `n`, is what doing it once costs. Starting up, preparing the
//! input and cleaning up cancel out, so nothing has to be marked as measured, and the optimiser may inline as it does in
//! any program. Some limits are relative to a copy of the same bytes, which is counted in the same way.
//!
//! Run without `--bench`, as `cargo test --benches` does, it does every piece of work once and counts nothing.
//!
//! # To add a row
//!
//! Write a [`Work`] and add a [`Row`] to [`ROWS`]. A peer that is not worth a dependency stands there with a number
//! ([`Row::known`]).

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::expect_used)]

mod work;

use anyhow::{Context, ensure};
use std::{
    env, fmt,
    hint::black_box,
    process::{Command, ExitCode},
    thread,
};
use tokio_util::bytes::{Bytes, BytesMut};
use work::{SEGMENT, body, mqttbytes, mqttrs, ours, postcard, session, sync, tokio};

/// Does a piece of work `n` times, after preparations that depend on the second number only, the most that `n` can be.
type Work = fn(usize, usize);

/// A line of the table. The figures in it hold for Rust 1.95, opt-level 3, fat LTO.
struct Row {
    name: &'static str,
    /// The `n` of the counts.
    n: usize,
    ours: Work,
    /// The copy of the same bytes.
    memcpy: Option<Work>,
    /// The row fails above it.
    hold: Option<Limit>,
    /// A row that does not reach `hold` yet fails above this instead, so that it gets no worse.
    guard: Option<f64>,
    /// Where more effort stops being worth it.
    aim: Option<Limit>,
    peers: &'static [(&'static str, Work)],
    /// Peers that were counted elsewhere.
    known: &'static [(&'static str, f64)],
}

/// What a piece of work may cost.
#[derive(Clone, Copy)]
enum Limit {
    /// So many instructions.
    Instructions(f64),
    /// So many more than the copy.
    OverCopy(f64),
    /// So many times the copy.
    TimesCopy(f64),
}
use Limit::{Instructions, OverCopy, TimesCopy};

/// The first argument of this program when it starts itself.
const WORK: &str = "--work";

/// Callgrind counts every step of `rep movsb` as an instruction: glibc is to copy by vector registers whatever the size.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824";

const BLANK: Row = Row {
    name: "",
    n: 10_000,
    ours: |_, _| {},
    memcpy: None,
    hold: None,
    guard: None,
    aim: None,
    peers: &[],
    known: &[],
};

const CONTIGUOUS: Row = Row { hold: Some(Instructions(40.0)), aim: Some(Instructions(30.0)), ..BLANK };

/// A whole side, in memory, from the application's call to its event.
const EXCHANGE: Row = Row { hold: Some(Instructions(700.0)), aim: Some(Instructions(400.0)), ..BLANK };

const HEARTBEAT: Row =
    Row { hold: Some(Instructions(300.0)), guard: Some(740.0), aim: Some(Instructions(150.0)), ..BLANK };

/// What is not sent costs nothing, however much a mailbox keeps.
const ANSWER: Row = Row { n: 100 * sync::PAGE, guard: Some(165.0), ..BLANK };

const ROWS: &[Row] = &[
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
        peers: &[("tokio-util", tokio_segments::<16_384>), ("mqttbytes", mqttbytes_segments::<16_384>)],
        ..BLANK
    },
    Row {
        name: "decode, byte by byte, 48 B, per byte",
        n: 64_000,
        ours: ours_bytewise,
        hold: Some(Instructions(40.0)),
        aim: Some(Instructions(25.0)),
        peers: &[("postcard", postcard_bytewise), ("tokio-util", tokio_bytewise)],
        ..BLANK
    },
    Row {
        name: "encode, 48 B",
        ours: ours_encoded,
        memcpy: Some(copy_bodies),
        hold: Some(OverCopy(20.0)),
        aim: Some(OverCopy(10.0)),
        peers: &[("tokio-util", tokio_encoded), ("mqttrs", mqttrs_encoded), ("mqttbytes", mqttbytes_encoded)],
        ..BLANK
    },
    Row { name: "encode, 48 B, run-time dialect", ours: ours_any_encoded, memcpy: Some(copy_bodies), ..BLANK },
    Row {
        name: "message sent and acknowledged, 1 in flight",
        ours: |n, _| session::messages(n, 0),
        guard: Some(1_605.0),
        known: &[("rust-mqtt 0.6", 2_234.0), ("minimq 0.13", 2_605.0)],
        ..EXCHANGE
    },
    Row {
        name: "message sent and acknowledged, 32 in flight",
        ours: |n, _| session::messages(n, 31),
        guard: Some(1_725.0),
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
        guard: Some(1_475.0),
        ..EXCHANGE
    },
    Row {
        name: "request sent and answered, 32 in flight",
        ours: |n, _| session::requests(n, 31),
        guard: Some(1_492.0),
        ..EXCHANGE
    },
    Row { name: "request received and answered", ours: |n, _| session::answers(n), guard: Some(825.0), ..EXCHANGE },
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

fn ours_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::contiguous(part(&stream, n, most)), n);
}

fn ours_any_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::contiguous_any(part(&stream, n, most)), n);
}

fn tokio_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = BytesMut::from(&ours::stream(BODY, most)[..]);
    assert_eq!(tokio::contiguous(&mut split(stream, n, most)), n);
}

fn mqttbytes_contiguous<const BODY: usize>(n: usize, most: usize) {
    assert_eq!(mqttbytes::contiguous(&mut split(mqttbytes::stream(BODY, most), n, most)), n);
}

fn mqttrs_contiguous<const BODY: usize>(n: usize, most: usize) {
    let packet = mqttrs::packet(BODY);
    let stream = packet.repeat(most);
    assert_eq!(mqttrs::contiguous(part(&stream, n, most), packet.len()), n);
}

fn ours_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::segments(part(&stream, n, most), SEGMENT, &mut vec![0; 64 * 1_024]), n);
}

fn copy_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    work::copy_segments(part(&stream, n, most), SEGMENT, &mut [0; SEGMENT]);
}

fn tokio_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(tokio::segments(part(&stream, n, most), SEGMENT, &mut BytesMut::new()), n);
}

fn mqttbytes_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = mqttbytes::stream(BODY, most);
    assert_eq!(mqttbytes::segments(part(&stream, n, most), SEGMENT, &mut BytesMut::new()), n);
}

fn ours_bytewise(bytes: usize, most: usize) {
    let stream = ours::stream(48, most / 64);
    ours::bytewise(part(&stream, bytes, most), &mut [0; 256]);
}

fn postcard_bytewise(bytes: usize, most: usize) {
    let stream = postcard::stream(48, most / 48);
    postcard::bytewise(black_box(&stream[..bytes]));
}

fn tokio_bytewise(bytes: usize, most: usize) {
    let stream = ours::stream(48, most / 64);
    tokio::segments(part(&stream, bytes, most), 1, &mut BytesMut::new());
}

fn ours_encoded(n: usize, _: usize) {
    ours::encoded(&body(48), n, &mut [0; 64]);
}

fn ours_any_encoded(n: usize, _: usize) {
    ours::encoded_any(&body(48), n, &mut [0; 64]);
}

fn copy_bodies(n: usize, _: usize) {
    work::copy_bodies(&body(48), n, &mut [0; 64]);
}

fn tokio_encoded(n: usize, _: usize) {
    tokio::encoded(&Bytes::from(body(48)), n, &mut BytesMut::with_capacity(128));
}

fn mqttrs_encoded(n: usize, _: usize) {
    mqttrs::encoded(&body(48), n, &mut [0; 128]);
}

fn mqttbytes_encoded(n: usize, _: usize) {
    mqttbytes::encoded(&Bytes::from(body(48)), n, &mut BytesMut::with_capacity(128));
}

/// The first `n` of `most` equal parts.
fn part(stream: &[u8], n: usize, most: usize) -> &[u8] {
    black_box(&stream[..stream.len() / most * n])
}

/// As [`part`], without a copy.
fn split(mut stream: BytesMut, n: usize, most: usize) -> BytesMut {
    black_box(stream.split_to(stream.len() / most * n))
}

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args[..] {
        [first, row, contestant, n] if first == WORK => {
            let row = &ROWS[row.parse::<usize>()?];
            let work = row.contestants()[contestant.parse::<usize>()?];
            work(n.parse()?, 2 * row.n);
            Ok(ExitCode::SUCCESS)
        }
        args if args.iter().any(|arg| arg == "--bench") => print_table(args.iter().find(|arg| !arg.starts_with('-'))),
        _ => {
            ROWS.iter().for_each(|row| row.contestants().iter().for_each(|work| work(row.n, row.n)));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Counts the rows whose name contains `filter`, and tells whether all are within their limits.
fn print_table(filter: Option<&String>) -> anyhow::Result<ExitCode> {
    println!("{:42} {:>8} {:>14} {:>14} {:>8}  peers", "instructions per frame", "ours", "hold", "aim for", "memcpy");
    let mut status = ExitCode::SUCCESS;
    for (index, row) in ROWS.iter().enumerate() {
        if filter.is_some_and(|filter| !row.name.contains(filter)) {
            continue;
        }
        let costs = Costs::count(index, row)?;
        println!("{costs}");
        if costs.are_too_high() {
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}

impl Row {
    /// All pieces of work of this row: ours, the copy if there is one, those of the peers.
    fn contestants(&self) -> Vec<Work> {
        [self.ours].into_iter().chain(self.memcpy).chain(self.peers.iter().map(|(_, work)| *work)).collect()
    }
}

/// What doing the work of a row once costs.
struct Costs<'r> {
    row: &'r Row,
    ours: f64,
    memcpy: Option<f64>,
    /// The best first.
    peers: Vec<(&'r str, f64)>,
}

impl<'r> Costs<'r> {
    /// Counts all contestants at the same time.
    fn count(index: usize, row: &'r Row) -> anyhow::Result<Self> {
        let mut costs = thread::scope(|scope| {
            let contestants = 0..row.contestants().len();
            let threads: Vec<_> =
                contestants.map(|contestant| scope.spawn(move || cost(index, contestant, row.n))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("counting does not panic"))
                .collect::<Result<Vec<f64>, _>>()
        })?
        .into_iter();
        let ours = costs.next().context("nothing was counted")?;
        let memcpy = row.memcpy.and_then(|_| costs.next());
        let mut peers: Vec<_> =
            row.peers.iter().map(|(name, _)| *name).zip(costs).chain(row.known.iter().copied()).collect();
        peers.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        Ok(Self { row, ours, memcpy, peers })
    }

    fn are_above_hold(&self) -> bool {
        self.row.hold.is_some_and(|hold| self.ours > self.allowed(hold))
    }

    /// Whether the row fails.
    fn are_too_high(&self) -> bool {
        self.row.guard.map_or(self.are_above_hold(), |guard| self.ours > guard)
    }

    /// `limit` in instructions.
    fn allowed(&self, limit: Limit) -> f64 {
        let memcpy = self.memcpy.unwrap_or_default();
        match limit {
            Instructions(most) => most,
            OverCopy(more) => memcpy + more,
            TimesCopy(factor) => memcpy * factor,
        }
    }

    fn column(&self, limit: Limit) -> String {
        let allowed = self.allowed(limit);
        match limit {
            Instructions(_) => format!("{allowed:.0}"),
            OverCopy(more) => format!("{allowed:.0} (+{more})"),
            TimesCopy(factor) => format!("{allowed:.0} (x{factor})"),
        }
    }
}

impl fmt::Display for Costs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hold, aim] =
            [self.row.hold, self.row.aim].map(|limit| limit.map_or("-".into(), |limit| self.column(limit)));
        let memcpy = self.memcpy.map_or("-".into(), |cost| format!("{cost:.1}"));
        let peers: Vec<String> = self.peers.iter().map(|(name, cost)| format!("{name} {cost:.0}")).collect();
        let verdict = match (self.are_too_high(), self.are_above_hold()) {
            (true, _) => "  ABOVE ITS LIMIT",
            (false, true) => "  does not hold yet",
            (false, false) => "",
        };
        let (name, ours, peers) = (self.row.name, self.ours, peers.join(", "));
        write!(f, "{name:42} {ours:>8.1} {hold:>14} {aim:>14} {memcpy:>8}  {peers}{verdict}")
    }
}

/// What doing a piece of work once costs.
fn cost(row: usize, contestant: usize, n: usize) -> anyhow::Result<f64> {
    let (once, twice) = (instructions(row, contestant, n)?, instructions(row, contestant, 2 * n)?);
    Ok((twice - once) / n as f64)
}

/// The instructions of a whole run of this program that does a piece of work `n` times.
fn instructions(row: usize, contestant: usize, n: usize) -> anyhow::Result<f64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([WORK, &row.to_string(), &contestant.to_string(), &n.to_string()])
        .env("GLIBC_TUNABLES", TUNABLES)
        .output()
        .context("valgrind does not start")?;
    let report = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "valgrind says: {report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.with_context(|| format!("no count in: {report}"))?;
    Ok(count.trim().parse()?)
}
