//! What a link of a server costs, in memory and instructions, when there is one and when there are a million.
//!
//! ```text
//! cargo bench --bench scale              # up to a million links: half a minute, 3 GB
//! cargo bench --bench scale -- --quick   # up to 10,000
//! ```
//!
//! All links are in one process, without sockets: each is created, greeted, answered one sync request and one heartbeat, and
//! closed (`crowd.rs`). Needs `valgrind` in the path, and Linux for the memory.
//!
//! # What is counted
//!
//! * **bytes**: `size_of` a link, and how much the resident memory of a fresh process grew, per link, once all of them are
//!   idle.
//! * **instructions**, under Callgrind, on 1,000 of the links that are spread over all (creating: on all). They are the same
//!   on every run, so they are held to limits; the exit status is not 0 when one is broken.
//! * **time**, with every link visited in a scattered order. It grows with their number although the work does not: of a
//!   million links, 300 MB, hardly one is in a cache when its bytes come, so each step waits for memory some times. That is
//!   a matter of the machine, and no limit.
//!
//! Run without `--bench`, as `cargo test --benches` does, it does everything with a few links and counts nothing.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod crowd;
mod deadlines;
#[path = "../work/figure.rs"]
#[allow(dead_code)]
mod figure;
mod table;
#[path = "../work/valgrind.rs"]
#[allow(dead_code)]
mod valgrind;

use crowd::{Crowd, Held, Step};
use deadlines::Way;
use serde_json::{Value, json};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, fs};

/// How many links there are.
const LINKS: &[usize] = &[1, 1_000, 10_000, 100_000, 1_000_000];
/// In a quick run, so many at most.
const QUICK: usize = 10_000;
/// So many are followed through their lives, one after the other if there are not as many at once.
const LIVES: usize = 1_000;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |text: &String| text.parse::<usize>();
    match &args[..] {
        // When it starts itself.
        [mode, links, steps] if mode == "--live" => live(number(links)?, number(steps)?),
        [mode, links] if mode == "--measure" => println!("{}", measure(number(links)?)),
        [mode, way, links, moves] if mode == "--move" => {
            Way::ALL[number(way)?].run(number(links)?, number(moves)?, |_| {});
        }
        [mode, way, links] if mode == "--measure-moves" => {
            println!("{}", measure_moves(Way::ALL[number(way)?], number(links)?));
        }
        args if args.iter().any(|arg| arg == "--bench") => {
            let most = if args.iter().any(|arg| arg == "--quick") { QUICK } else { usize::MAX };
            let counts: Vec<_> = LINKS.iter().copied().filter(|links| *links <= most).collect();
            return table::print(&counts, args.iter().any(|arg| arg == "--json"));
        }
        _ => {
            live(100, 1 + Step::ALL.len());
            Way::ALL.iter().for_each(|way| way.run(100, 100, |_| {}));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The link that is visited at this step of a walk through all of them in a scattered order.
fn scattered(step: usize, links: usize) -> usize {
    // It shares no factor with a power of ten, so each comes once. Far apart, so no cache guesses the next.
    step * 618_033_987 % links
}

/// [`LIVES`] links go through the first steps of their lives while there are so many. The first step is to be created: without it
/// there are none.
fn live(links: usize, steps: usize) {
    let lives = LIVES.min(links);
    for _ in 0..LIVES / lives {
        let mut crowd = Crowd::new(if steps == 0 { 0 } else { links });
        for step in Step::ALL.iter().take(steps.saturating_sub(1)) {
            crowd.wait();
            (0..lives).for_each(|life| crowd.step(*step, scattered(life, links)));
        }
    }
}

/// Nanoseconds per link for each step, and bytes per link when all are idle.
fn measure(links: usize) -> Value {
    let mut nanoseconds = [0; 5];
    let rounds = 100_000_usize.div_ceil(links);
    live(LIVES, 1 + Step::ALL.len()); // what it takes by itself
    let (mut bytes, before) = (0, resident());
    for _ in 0..rounds {
        let began = Instant::now();
        let mut crowd = Crowd::new(links);
        nanoseconds[0] += began.elapsed().as_nanos();
        for (step, spent) in Step::ALL.iter().zip(&mut nanoseconds[1..]) {
            if *step == Step::Close {
                bytes = resident() - before;
            }
            crowd.wait();
            let began = Instant::now();
            (0..links).for_each(|link| crowd.step(*step, scattered(link, links)));
            *spent += began.elapsed().as_nanos();
        }
    }
    let visits = (rounds * links) as f64;
    json!({"bytes": bytes as f64 / links as f64, "ns": nanoseconds.map(|spent| spent as f64 / visits)})
}

/// Nanoseconds per move, and bytes per link.
fn measure_moves(way: Way, links: usize) -> Value {
    let (moves, before) = (links.max(100_000), resident());
    let (mut bytes, mut began, mut spent) = (0, Instant::now(), Duration::ZERO);
    way.run(links, moves, |is_end| {
        if is_end { spent = began.elapsed() } else { (bytes, began) = (resident() - before, Instant::now()) }
    });
    json!({"bytes": bytes as f64 / links as f64, "ns": spent.as_nanos() as f64 / moves as f64})
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

/// What this program prints when it is started with these arguments.
fn child(args: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(env::current_exe()?).args(args).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Bytes of a link.
const SIZE: usize = size_of::<Held>();
