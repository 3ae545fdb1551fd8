//! How soon an adaptive heartbeat finds the interval of a network, beside that of Tencent Mars, in virtual time.
//!
//! ```text
//! $ cargo run -q --release --example heartbeat_lab -- --lifetime 300
//! lifetime  policy     settled   minutes  lost
//!    300 s  mars         250 s      76.8     2
//!    300 s  longlink   274.3 s      29.8     2  ok    ≥ 270 s ≤ 60 min ≤ 2
//! ```
//!
//! Each run is three days in the background with no traffic but heartbeats, through a network that forgets a link after
//! its lifetime. Ours is the `Heartbeat` of this crate itself; that of Mars is written after its rules.

#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "../tests/support/nat.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod nat;

use anyhow::Result;
use clap::Parser;
use lab::run::{Policy, Run};
use lab::table::{self, Row};
use lab::{idle, plot};
use nat::Nat;
use std::{
    io::{self, ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

const LIFETIMES: [u64; 12] = [20, 45, 90, 200, 240, 290, 300, 305, 360, 480, 600, 900];

/// Finds the heartbeat interval of simulated networks, as this crate does and as Tencent Mars does
#[derive(Parser)]
#[command(
    name = "heartbeat_lab",
    version,
    after_help = "\"settled\" is the interval in force after three days, \"minutes\" when the first was found, and \"lost\" how \
                  many links that had cost. Exit status: 1 if a row of this crate is a MISS, in a run without \
                  --lifetime, --jitter and --loss."
)]
struct Args {
    /// The network forgets a link after a silence of so long; may be given several times
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    lifetime: Vec<u64>,

    /// Every silence has a lifetime of its own, by up to so much shorter or longer
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=90))]
    jitter: u64,

    /// One heartbeat in so many is lost for other reasons
    #[arg(long, value_name = "ONE_IN_N", value_parser = clap::value_parser!(u64).range(1..))]
    loss: Option<u64>,

    /// Another seed draws other jitter and losses
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// One JSON object a row, and nothing else
    #[arg(long)]
    json: bool,

    /// Draws the intervals over the first six hours
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// What an idle link costs instead: wake-ups and bytes, in foreground and background
    #[arg(long, conflicts_with_all = ["lifetime", "jitter", "loss", "json", "svg"])]
    idle: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut out = Vec::new();
    let missed = if args.idle {
        idle::print(&mut out, args.seed)?;
        false
    } else {
        search(&args, &mut out)?
    };
    match io::stdout().write_all(&out) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(ExitCode::from(u8::from(missed)))
}

/// Runs both policies through all networks; whether a row of ours misses what is promised without further options.
fn search(args: &Args, out: &mut Vec<u8>) -> Result<bool> {
    let lifetimes = if args.lifetime.is_empty() { &LIFETIMES } else { &args.lifetime[..] };
    let mut runs = Vec::new();
    for &lifetime in lifetimes {
        for policy in [Policy::Mars, Policy::Longlink] {
            let mut nat = Nat::new(Duration::from_secs(lifetime), args.seed);
            (nat.jitter_percent, nat.loss) = (args.jitter, args.loss.unwrap_or(0));
            runs.push((lifetime, policy, Run::of(policy, nat)));
        }
    }
    let rows: Vec<_> = runs.iter().map(|(lifetime, policy, run)| Row::new(*lifetime, *policy, run)).collect();
    let plain = args.jitter == 0 && args.loss.is_none();
    if args.json {
        for row in &rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
    } else {
        table::print(out, &rows, plain)?;
    }
    if let Some(path) = &args.svg {
        plot::draw(path, &runs)?;
    }
    Ok(plain && args.lifetime.is_empty() && rows.iter().any(|row| row.holds() == Some(false)))
}
