//! Everything together for a long time: clients, servers, networks and stores in a simulated world in which all that can go
//! wrong does, and what must hold nevertheless. `tests/soak/sim` is that world.
//!
//! ```text
//! cargo bench --bench soak                             # 10,000 lives, each of half an hour and a calm end
//! cargo bench --bench soak -- --year                   # a year of it, and a million faults at least
//! cargo bench --bench soak -- --seed 7 --trace         # one life, line by line
//! ```
//!
//! A life is made from its seed alone. When one breaks a rule the rule is told, and the command that lives it again.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "../tests/soak/sim/mod.rs"]
mod sim;
#[path = "../tests/support/mod.rs"]
mod support;

use clap::Parser;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sim::tally::{Fault, Work};
use sim::{Broken, Scale, Tally};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Simulates clients, servers and everything that goes wrong between them, and checks what must hold.
#[derive(Parser)]
struct Options {
    /// How many lives.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The seed of the first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One life only.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell every thing that happens in it, a line each.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Each life takes so many days.
    #[arg(long)]
    days: Option<u64>,
    /// A year and some days, in 54 lives of a week.
    #[arg(long, conflicts_with_all = ["seed", "days"])]
    year: bool,
    /// Lives at the same time; as many as there are cores by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let days = if options.year { Some(7) } else { options.days };
    let scale = days.map_or(Scale::Short, Scale::Days);
    if let Some(seed) = options.seed {
        return one(seed, scale, options.trace);
    }
    let seeds = if options.year { 54 } else { options.seeds };
    let soak = Soak::new(options.from, seeds, scale);
    let began = Instant::now();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..options.jobs.unwrap_or(cores) {
            scope.spawn(|| soak.work());
        }
    });
    soak.bar.finish_and_clear();
    let sum = soak.sum.into_inner().unwrap();
    report(&sum, seeds, began.elapsed().as_secs_f64());
    if let Some(broken) = soak.broken.into_inner().unwrap() {
        return tell(&broken, scale);
    }
    let missing: Vec<_> = Fault::ALL.iter().filter(|(fault, _)| sum.fault(*fault) == 0).collect();
    if seeds >= 1_000 && !missing.is_empty() || options.year && sum.faults() < 1_000_000 {
        println!("not enough went wrong: {} faults; never: {missing:?}", sum.faults());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Many lives.
struct Soak {
    next: AtomicU64,
    end: u64,
    scale: Scale,
    sum: Mutex<Tally>,
    broken: Mutex<Option<Broken>>,
    is_over: AtomicBool,
    bar: ProgressBar,
}

impl Soak {
    fn new(from: u64, seeds: u64, scale: Scale) -> Self {
        let style = "{elapsed_precise} {bar:30} {human_pos} of {human_len} lives, {msg}";
        let bar = ProgressBar::new(seeds).with_style(ProgressStyle::with_template(style).unwrap());
        Self {
            next: AtomicU64::new(from),
            end: from + seeds,
            scale,
            sum: Mutex::default(),
            broken: Mutex::default(),
            is_over: AtomicBool::new(false),
            bar,
        }
    }

    fn work(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            match sim::run(seed, self.scale) {
                Ok(tally) => {
                    let mut sum = self.sum.lock().unwrap();
                    sum.add(&tally);
                    self.bar.set_message(format!("{}, {} faults", time(&sum), HumanCount(sum.faults())));
                    self.bar.inc(1);
                }
                Err(broken) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    let mut first = self.broken.lock().unwrap();
                    if first.as_ref().is_none_or(|first| broken.seed < first.seed) {
                        *first = Some(broken);
                    }
                }
            }
        }
    }
}

fn one(seed: u64, scale: Scale, traced: bool) -> ExitCode {
    if traced {
        sim::tally::trace();
    }
    let began = Instant::now();
    match sim::run(seed, scale) {
        Ok(tally) => {
            report(&tally, 1, began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(broken) => tell(&broken, scale),
    }
}

fn tell(broken: &Broken, scale: Scale) -> ExitCode {
    let days = if let Scale::Days(days) = scale { format!(" --days {days}") } else { String::new() };
    println!("A rule is broken: {}", broken.rule);
    println!("    checked in {}", broken.place);
    println!("Live it again: cargo bench --bench soak -- --seed {}{days} --trace", broken.seed);
    ExitCode::FAILURE
}

fn report(sum: &Tally, lives: u64, seconds: f64) {
    println!("What went wrong:");
    for (fault, words) in Fault::ALL {
        println!("{:>14}  {words}", HumanCount(sum.fault(*fault)).to_string());
    }
    println!("{:>14}  in all", HumanCount(sum.faults()).to_string());
    println!("What got done:");
    for (work, words) in Work::ALL {
        println!("{:>14}  {words}", HumanCount(sum.work(*work)).to_string());
    }
    println!("At most {} attempts of one device within an hour.", sum.most_attempts);
    println!("{} in {} lives; that took {seconds:.1} s.", time(sum), HumanCount(lives));
}

/// Simulated time.
fn time(sum: &Tally) -> String {
    let days = sum.time.as_secs_f64() / 86_400.0;
    if days < 700.0 { format!("{days:.1} days") } else { format!("{:.1} years", days / 365.25) }
}
