//! Hostile peers against the running example servers, and hostile servers against the running example client.
//!
//! ```text
//! cargo bench --bench hostile              # everything, two minutes
//! cargo bench --bench hostile -- --quick   # all attacks at once, 15 s
//! cargo bench --bench hostile -- garbage   # the attacks whose name contains "garbage"
//! cargo bench --bench hostile -- client    # hostile servers only
//! ```
//!
//! The servers are the examples `server` and `tokio_server`, as processes of their own, on Linux. In a full run each attack has
//! a server to itself, with four honest links that store messages and fetch them from their mailboxes all the time; then all
//! of them have one together, with 32. What stands in the protocol's limits must hold, and the exit status is not 0 if any
//! of it does not:
//!
//! * the attacker's link ends as it should and when it should, or goes on where nothing forbids it;
//! * what the server writes to it is bounded;
//! * the server's memory grows by no more than some buffers;
//! * no honest link loses anything.
//!
//! *sent* is what the attacker wrote, *written* what the server wrote to it, each with what waits in the sockets. How long honest
//! links wait depends on the machine, and on whether its disk is busy: it is told, and only seconds count as a failure.
//!
//! Then the other way round (`servers.rs`): a server that says what none should. The client must not spin, not crash,
//! and still have its message when an honest server comes.
//!
//! Run without `--bench`, as `cargo test --bench hostile` does, it is the quick run, with the examples as `cargo test` builds
//! them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod attacks;
mod broken;
mod clients;
mod crowds;
mod floods;
mod greetings;
mod honest;
mod peer;
#[path = "../../tests/support/process.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod process;
mod servers;
mod silent;
mod slow;
mod trial;

use anyhow::{Result, anyhow};
use attacks::{ATTACKS, Attack, Kind, Outcome};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, thread};
use trial::{Trial, run_attacks};

/// Honest links beside one attack, and beside all.
const BESIDE_ONE: usize = 4;
const BESIDE_ALL: usize = 32;
/// How long all attacks at once take.
const TOGETHER: Duration = Duration::from_secs(3);
/// An attack that takes longer waits most of the time: all of them are begun at once.
const WAITS: u64 = 10;

fn main() -> Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    let is_full = has("--bench") && !has("--quick");
    if has("--bench") {
        ["server", "tokio_server", "client"].into_iter().for_each(process::build);
    }
    let mut broken = Vec::new();
    let names_attack = |filter: &String| ATTACKS.iter().any(|attack| attack.name.contains(filter.as_str()));
    if filter.map_or(is_full, names_attack) {
        println!("one attack at a time, {BESIDE_ONE} honest links beside it\n");
        broken.extend(one_by_one(filter.map_or("", String::as_str))?);
    }
    if filter.is_none() {
        println!("\nall attacks at once, {BESIDE_ALL} honest links beside them\n");
        broken.extend(together(if is_full { 3 * TOGETHER } else { TOGETHER })?);
    }
    if filter.is_none_or(|filter| "client".contains(filter)) {
        broken.extend(clients::run(if is_full { 2 * TOGETHER } else { TOGETHER })?);
    }
    broken.iter().for_each(|what| eprintln!("error: {what}"));
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each attack on a server of its own: those that wait at once, the others in two lines.
fn one_by_one(filter: &str) -> Result<Vec<String>> {
    print_head();
    let all: Vec<_> =
        ATTACKS.iter().flat_map(|attack| attack.on.iter().map(move |kind| (attack, *kind))).enumerate().collect();
    let all: Vec<_> = all.into_iter().filter(|(_, (attack, _))| attack.name.contains(filter)).collect();
    let (waiting, busy): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, (attack, _))| attack.takes > WAITS);
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let run = |(number, (attack, kind)): (usize, (&'static Attack, Kind))| -> Result<()> {
        let trial = run_attacks(kind, number, &[attack], Duration::from_secs(attack.takes), BESIDE_ONE)?;
        print_trial(kind, &trial);
        broken.lock().unwrap().extend(trial.broken.iter().map(|what| format!("{}: {what}", kind.name())));
        Ok(())
    };
    thread::scope(|scope| {
        let mut threads: Vec<_> = waiting.into_iter().map(|one| scope.spawn(move || run(one))).collect();
        let line = || (0..).map_while(|_| busy.get(next.fetch_add(1, Ordering::Relaxed))).try_for_each(|one| run(*one));
        threads.extend([0, 1].map(|_| scope.spawn(line)));
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("an attack panicked"))?)
    })?;
    Ok(broken.into_inner().unwrap())
}

/// All attacks of a server at the same time, on both servers.
fn together(time: Duration) -> Result<Vec<String>> {
    print_head();
    let mut broken = Vec::new();
    for (number, kind) in [Kind::Threads, Kind::Tasks].into_iter().enumerate() {
        let attacks: Vec<_> = ATTACKS.iter().filter(|attack| attack.on.contains(&kind)).collect();
        let trial = run_attacks(kind, 100 + number, &attacks, time, BESIDE_ALL)?;
        print_trial(kind, &trial);
        broken.extend(trial.broken.iter().map(|what| format!("{}, all at once: {what}", kind.name())));
    }
    Ok(broken)
}

fn print_head() {
    let [attack, server, links, sent, written, end] = ["attack", "server", "links", "sent", "written", "the link ends"];
    let [cpu, before, peak, after] = ["CPU", "MB before", "peak", "after"];
    println!(
        "{attack:35} {server:16} {links:>6} {sent:>9} {written:>9}  {end:32} {cpu:>7} {before:>9} {peak:>6} {after:>6}  \
         honest ms p50 / p99 / max, lost"
    );
}

fn print_trial(kind: Kind, trial: &Trial) {
    let Trial { used, fared, .. } = trial;
    let mb = |kib: u64| format!("{:.1}", kib as f64 / 1_024.0);
    let all = format!(
        "{:>5.2} s {:>9} {:>6} {:>6}  {:.1} / {:.1} / {:.0}, {} of {}",
        used.processor,
        mb(used.before),
        mb(used.peak),
        mb(used.after),
        fared.permille(500),
        fared.permille(990),
        fared.permille(1_000),
        fared.losses.len(),
        fared.count(),
    );
    let alone = trial.outcomes.len() == 1;
    for (name, outcome) in &trial.outcomes {
        let Outcome { links, sent, written, ending, after, .. } = outcome;
        let after = after.map_or(String::new(), |after| format!(" after {:.1} s", after.as_secs_f64()));
        let ending = format!("{ending}{after}");
        let bytes = |n: u64| if n < 100_000 { format!("{n} B") } else { format!("{:.1} MB", n as f64 / 1e6) };
        println!(
            "{name:35} {:16} {links:>6} {:>9} {:>9}  {ending:32} {}",
            kind.name(),
            bytes(*sent),
            bytes(*written),
            if alone { &all } else { "" }
        );
    }
    if !alone {
        println!("{:35} {:16} {:60} {all}", "all of these", kind.name(), "");
    }
}
