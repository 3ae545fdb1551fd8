//! How a crowd of clients comes back after it lost its server in one moment, in virtual time.
//!
//! ```text
//! cargo run --release --example storm_lab [-- --clients 100000 --down 5 --accepts-per-second 20000]
//! ```
//!
//! A row says how many attempts the server sees in the worst second, and after how long half of the clients, and 99 in 100,
//! are back. It is told for this crate's [`Reconnect`] and, beside it, for the waits of Tencent Mars and for those that an
//! MQTT client makes by default: 1 s, then twice as long each time up to 120 s, all alike.

#![allow(clippy::arithmetic_side_effects)]

use anyhow::{Context, ensure};
use clap::Parser;
use longlink::Instant;
use longlink::liveness::{Activity, Presence, Reason, Reconnect};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::{self, BufWriter, Write},
    time::Duration,
};

/// How a crowd of clients comes back after it lost its server in one moment
#[derive(Parser)]
#[command(name = "storm_lab", version)]
struct Args {
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    clients: u32,

    /// How long the server is away; that it is back at once is shown as well
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=86_400))]
    down: u64,

    /// How many links the server takes in a second; it refuses the others [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    accepts_per_second: Option<u32>,

    /// What the crowd's chances are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON object a row
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let downs: &[u64] = if args.down == 0 { &[0] } else { &[0, args.down] };
    for &down in downs {
        if !args.json {
            print_head(&mut out, &args, down)?;
        }
        for state in State::ALL {
            for policy in Policy::ALL {
                let row = Crowd::new(&args, down, state, policy).run()?;
                if args.json { writeln!(out, "{}", serde_json::to_string(&row)?)? } else { row.print(&mut out)? }
            }
        }
    }
    out.flush().context("cannot write to standard output")
}

fn print_head(out: &mut impl Write, args: &Args, down: u64) -> io::Result<()> {
    let back = if down == 0 { "at once".into() } else { format!("after {down} s") };
    let takes = args.accepts_per_second.map_or("all".into(), |n| format!("{n} a second"));
    writeln!(out, "{} clients; the server is back {back} and takes {takes}", args.clients)?;
    writeln!(out, "{:34}{:10}{:>16}{:>10}{:>10}", "state", "waits of", "attempts/s, most", "50 % back", "99 % back")
}

/// What the clients are doing when it happens.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Fresh,
    Settled,
    Long,
    Background,
    Mixed,
}

impl State {
    const ALL: [Self; 5] = [Self::Fresh, Self::Settled, Self::Long, Self::Background, Self::Mixed];

    const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "foreground for some seconds",
            Self::Settled => "foreground for 5 min",
            Self::Long => "foreground for an hour",
            Self::Background => "background for an hour",
            Self::Mixed => "one in ten foreground for an hour",
        }
    }

    /// What client number `index` does, and since how many seconds.
    const fn of(self, index: u32) -> (Activity, u64) {
        match self {
            Self::Fresh => (Activity::Foreground, 5),
            Self::Settled => (Activity::Foreground, 300),
            Self::Long => (Activity::Foreground, 3_600),
            Self::Mixed if index.is_multiple_of(10) => (Activity::Foreground, 3_600),
            Self::Background | Self::Mixed => (Activity::Background, 3_600),
        }
    }
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    Longlink,
    Mars,
    Mqtt,
}

impl Policy {
    const ALL: [Self; 3] = [Self::Longlink, Self::Mars, Self::Mqtt];

    const fn name(self) -> &'static str {
        match self {
            Self::Longlink => "longlink",
            Self::Mars => "Mars",
            Self::Mqtt => "MQTT",
        }
    }
}

/// One client. Its last attempt was the one that led to the link, an hour ago.
enum Client {
    Longlink(Reconnect, Presence),
    Mars { presence: Presence, attempt: Instant, step: usize },
    Mqtt { wait: Duration },
}

impl Client {
    fn new(policy: Policy, presence: Presence, seed: u64) -> Self {
        match policy {
            Policy::Longlink => {
                let mut reconnect = Reconnect::new(seed);
                reconnect.handle_online(CONNECTED);
                Self::Longlink(reconnect, presence)
            }
            Policy::Mars => Self::Mars { presence, attempt: CONNECTED, step: 0 },
            Policy::Mqtt => Self::Mqtt { wait: Duration::from_secs(1) },
        }
    }

    fn handle_attempt(&mut self, now: Instant) {
        match self {
            Self::Longlink(reconnect, _) => reconnect.handle_attempt(now),
            Self::Mars { attempt, .. } => *attempt = now,
            Self::Mqtt { .. } => {}
        }
    }

    /// The link is lost, or the attempt failed: when the next one begins.
    fn handle_down(&mut self, now: Instant, random: &mut Random) -> Option<Instant> {
        match self {
            Self::Longlink(reconnect, presence) => {
                reconnect.handle_down(now, Reason::Lost, presence);
                reconnect.poll_timeout()
            }
            Self::Mars { presence, attempt, step } => Some(mars(now, presence, *attempt, step, random)),
            Self::Mqtt { wait } => {
                let at = now + *wait;
                *wait = (*wait * 2).min(Duration::from_secs(120));
                Some(at)
            }
        }
    }
}

/// When Mars tries next. It looks 500 ms after a loss, and waits for what is left of an interval that began with the attempt
/// before; in the background a failure soon after that attempt leads to the next longer interval.
fn mars(now: Instant, presence: &Presence, attempt: Instant, step: &mut usize, random: &mut Random) -> Instant {
    const BACKGROUND: [u64; 7] = [0, 60, 120, 240, 360, 480, 600];
    const MOST: usize = BACKGROUND.len() - 1;
    let looks = now + Duration::from_millis(500);
    let wait = match (presence.activity(), (looks - presence.since()).as_secs()) {
        (Activity::Foreground, ..60) => 15,
        (Activity::Foreground, 60..600) => 30,
        (Activity::Foreground, 600..) => 120 + random.below(20),
        (Activity::Background, ..600) => 300,
        (Activity::Background, 600..) => {
            let is_soon = now - attempt < Duration::from_secs(600);
            *step = if is_soon { (*step + 1).min(MOST) } else { step.saturating_sub(1) };
            BACKGROUND.get(*step).copied().unwrap_or(600)
        }
    };
    looks.max(attempt + Duration::from_secs(wait))
}

/// When the links began, and when all are lost.
const CONNECTED: Instant = Instant::from_secs(10_000);
const LOST: Instant = Instant::from_secs(20_000);

struct Crowd {
    state: State,
    policy: Policy,
    down: u64,
    /// Links that the server takes in a second.
    takes: u32,
    random: Random,
    clients: Vec<Client>,
    /// Who tries when, the next first.
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The attempts of the last second.
    recent: VecDeque<Instant>,
    peak: usize,
    attempts: u64,
    /// When they were back.
    back: Vec<Instant>,
    /// The second of the server's, and how many it took in it.
    taken: (u64, u32),
}

#[derive(Serialize)]
struct Row {
    state: State,
    policy: Policy,
    clients: u32,
    down: u64,
    /// In the worst second, wherever it begins.
    attempts_per_second: usize,
    attempts: u64,
    half_back: f64,
    most_back: f64,
}

impl Crowd {
    fn new(args: &Args, down: u64, state: State, policy: Policy) -> Self {
        let mut crowd = Self {
            state,
            policy,
            down,
            takes: args.accepts_per_second.unwrap_or(u32::MAX),
            random: Random(args.seed),
            clients: Vec::new(),
            due: BinaryHeap::new(),
            recent: VecDeque::new(),
            peak: 0,
            attempts: 0,
            back: Vec::new(),
            taken: (0, 0),
        };
        for index in 0..args.clients {
            let (activity, age) = state.of(index);
            let presence = Presence::new(activity, Instant::from_micros(LOST.as_micros() - age * 1_000_000));
            let mut client = Client::new(policy, presence, args.seed.wrapping_mul(1 << 32) + u64::from(index));
            // The news travels.
            let heard = LOST + Duration::from_millis(10 + crowd.random.below(90));
            let at = client.handle_down(heard, &mut crowd.random);
            crowd.due.extend(at.map(|at| Reverse((at, index))));
            crowd.clients.push(client);
        }
        crowd
    }

    fn run(mut self) -> anyhow::Result<Row> {
        let returns = LOST + Duration::from_secs(self.down);
        while let Some(Reverse((now, index))) = self.due.pop() {
            ensure!(now - LOST < Duration::from_secs(30 * 86_400), "not all are back after a month");
            self.note_attempt(now);
            let is_taken = now >= returns && self.take(now);
            let client = self.clients.get_mut(index as usize).context("no such client")?;
            client.handle_attempt(now);
            if is_taken {
                self.back.push(now);
            } else {
                let at = client.handle_down(now, &mut self.random);
                self.due.extend(at.map(|at| Reverse((at, index))));
            }
        }
        self.row()
    }

    fn note_attempt(&mut self, now: Instant) {
        self.attempts += 1;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now - *first >= Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        self.peak = self.peak.max(self.recent.len());
    }

    fn take(&mut self, now: Instant) -> bool {
        let second = (now - LOST).as_secs();
        if self.taken.0 != second {
            self.taken = (second, 0);
        }
        self.taken.1 = self.taken.1.saturating_add(1);
        self.taken.1 <= self.takes
    }

    fn row(&self) -> anyhow::Result<Row> {
        let clients = u32::try_from(self.clients.len())?;
        ensure!(self.back.len() == self.clients.len(), "somebody gave up");
        // They came back in this order.
        let after = |percent: usize| -> anyhow::Result<f64> {
            let place = (self.back.len() * percent).div_ceil(100).saturating_sub(1);
            let at = *self.back.get(place).context("nobody is back")?;
            Ok((at - LOST).as_millis() as f64 / 1_000.0)
        };
        Ok(Row {
            state: self.state,
            policy: self.policy,
            clients,
            down: self.down,
            attempts_per_second: self.peak,
            attempts: self.attempts,
            half_back: after(50)?,
            most_back: after(99)?,
        })
    }
}

impl Row {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let state = if matches!(self.policy, Policy::Longlink) { self.state.name() } else { "" };
        let (policy, peak) = (self.policy.name(), self.attempts_per_second);
        writeln!(out, "{state:34}{policy:10}{peak:>16}{:>8.1} s{:>8.1} s", self.half_back, self.most_back)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (b ^ (b >> 31)).checked_rem(limit).unwrap_or_default()
    }
}
