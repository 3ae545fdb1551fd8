//! Measures, judges and prints.

use crate::deadlines::Way;
use crate::figure::{Figure, Verdict};
use crate::valgrind::{self, Count};
use crate::{LIVES, SIZE, child};
use anyhow::Result;
use serde_json::Value;
use std::process::ExitCode;
use std::thread;

/// The most that an idle link takes, in bytes, and what it is to take.
const BYTES: f64 = 384.0;
const FEWER_BYTES: f64 = 256.0;
/// A page of memory that is begun counts as a whole one: so much more may be resident.
const PAGES: f64 = 1.05;
/// The most that a heartbeat costs, in instructions; what it does now, with finding the link and lending it a buffer, which the
/// bench `instructions` leaves out; and what it is to cost.
const HEARTBEAT: f64 = 300.0;
const HEARTBEAT_NOW: f64 = 920.0;
const HEARTBEAT_AIM: f64 = 150.0;
/// From [`FEWEST`] links on no cost per link is more than this much of the first.
const FLAT: f64 = 1.10;
const FEWEST: usize = 1_000;
/// The next deadline costs O(log n): so much more than the logarithm grows is allowed.
const SLACK: f64 = 1.25;

/// What happens to a link.
const STEPS: [&str; 5] = ["create", "greet", "sync", "heartbeat", "close"];
const BEAT: usize = 3;

/// What a link costs while there are so many.
struct Links {
    links: usize,
    instructions: [f64; 5],
    nanoseconds: Vec<f64>,
    /// Resident bytes of one that is idle.
    bytes: f64,
}

/// What the next deadline costs.
struct Deadline {
    way: Way,
    links: usize,
    instructions: f64,
    nanoseconds: f64,
    bytes: f64,
}

/// Prints the tables for these numbers of links, or the figures alone, and tells whether all limits hold.
pub(crate) fn print(counts: &[usize], json: bool) -> Result<ExitCode> {
    let links = counts.iter().map(|links| Links::measure(*links)).collect::<Result<Vec<_>>>()?;
    let many = counts.iter().filter(|links| **links >= FEWEST);
    let pairs = Way::ALL.iter().flat_map(|way| many.clone().map(move |links| (*way, *links)));
    let deadlines = pairs.map(|(way, links)| Deadline::measure(way, links)).collect::<Result<Vec<_>>>()?;
    if !json {
        print_links(&links);
        print_deadlines(&deadlines);
    }
    let figures = [figures_of_links(&links), figures_of_deadlines(&deadlines)].concat();
    for figure in &figures {
        println!("{}", if json { serde_json::to_string(figure)? } else { line(figure) });
    }
    let failed = figures.iter().any(|figure| figure.verdict() == Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_links(all: &[Links]) {
    let steps = STEPS.map(|step| format!("{step:>9}")).join(" ");
    println!("instructions per link\n{:>9} {steps} {:>9}", "links", "all");
    for Links { links, instructions, .. } in all {
        println!("{:>9} {}", thousands(*links), columns(instructions));
    }
    println!("\nnanoseconds per link, visited in a scattered order\n{:>9} {steps} {:>9}   bytes", "links", "all");
    for Links { links, nanoseconds, bytes, .. } in all {
        // With few, what else the process does is more than they are.
        let bytes = if *links < 10 * FEWEST { "-".into() } else { format!("{bytes:.0}") };
        println!("{:>9} {} {bytes:>7}", thousands(*links), columns(nanoseconds));
    }
}

fn print_deadlines(all: &[Deadline]) {
    println!("\nthe next deadline: what moving one and asking for the first costs");
    println!("{:14} {:>9} {:>12} {:>11} {:>14}", "", "links", "instructions", "nanoseconds", "bytes per link");
    for Deadline { way, links, instructions, nanoseconds, bytes } in all {
        let (way, links) = (way.name(), thousands(*links));
        println!("{way:14} {links:>9} {instructions:>12.0} {nanoseconds:>11.0} {bytes:>14.0}");
    }
    println!();
}

fn figures_of_links(all: &[Links]) -> Vec<Figure> {
    let (Some(first), Some(last)) = (all.iter().find(|one| one.links >= FEWEST), all.last()) else { return Vec::new() };
    let count = thousands(last.links);
    let of = |name: String, ours: f64, hold: f64| Figure { name, ours, hold: Some(hold), ..Figure::default() };
    let size = of("bytes of an idle link".into(), SIZE as f64, BYTES);
    let resident = of(format!("the same, resident, of {count} links"), last.bytes, BYTES * PAGES);
    let beat = of(format!("heartbeat answered, {count} links, instructions"), last.instructions[BEAT], HEARTBEAT);
    let mut figures = vec![
        Figure { aim: Some(FEWER_BYTES), ..size },
        Figure { varies: true, ..resident },
        Figure { guard: Some(HEARTBEAT_NOW), aim: Some(HEARTBEAT_AIM), ..beat },
    ];
    for (index, step) in STEPS.iter().enumerate() {
        let growth = |one: &Links| one.instructions[index] / first.instructions[index];
        let most = all.iter().filter(|one| one.links >= FEWEST).map(growth).fold(0.0, f64::max);
        figures.push(of(format!("{step}, {} to {count} links, grows", thousands(FEWEST)), most, FLAT));
    }
    figures
}

fn figures_of_deadlines(all: &[Deadline]) -> Vec<Figure> {
    let figure = |way: Way| {
        let mut of = all.iter().filter(|one| one.way == way);
        let first = of.next()?;
        let beyond = |one: &Deadline| {
            let logarithm = (one.links as f64).log2() / (first.links as f64).log2();
            one.instructions / first.instructions / logarithm
        };
        let count = thousands(all.last()?.links);
        let name = format!("next deadline, {}, to {count} links, beyond log n", way.name());
        Some(Figure { name, ours: of.map(beyond).fold(0.0, f64::max), hold: Some(SLACK), ..Figure::default() })
    };
    Way::ALL.into_iter().filter_map(figure).collect()
}

impl Links {
    fn measure(links: usize) -> Result<Self> {
        let measured = child(&["--measure", &links.to_string()])?;
        Ok(Self {
            links,
            instructions: instructions(links)?,
            nanoseconds: measured["ns"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect(),
            bytes: measured["bytes"].as_f64().unwrap_or_default(),
        })
    }
}

impl Deadline {
    fn measure(way: Way, links: usize) -> Result<Self> {
        let (index, count) = (way.index(), links.to_string());
        let run = |moves: usize| vec!["--move".into(), index.clone(), count.clone(), moves.to_string()];
        let instructions = valgrind::cost(Count::Instructions, LIVES, run)?;
        let measured = child(&["--measure-moves", &index, &count])?;
        let [nanoseconds, bytes] = ["ns", "bytes"].map(|name| measured[name].as_f64().unwrap_or_default());
        Ok(Self { way, links, instructions, nanoseconds, bytes })
    }
}

/// What each step costs a link while there are so many: the difference of two runs, one of which takes one step more.
fn instructions(links: usize) -> Result<[f64; 5]> {
    let run = |steps: usize| Count::Instructions.of_run(&["--live".into(), links.to_string(), steps.to_string()]);
    let counted = thread::scope(|scope| {
        let threads = [0, 1, 2, 3, 4, 5].map(|steps| scope.spawn(move || run(steps)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<f64>>>()
    })?;
    let lives = LIVES.min(links);
    let crowds = LIVES / lives;
    let mut costs = [0.0; 5];
    for (index, (cost, pair)) in costs.iter_mut().zip(counted.windows(2)).enumerate() {
        // All are created, and only some of them followed.
        let times = crowds * if index == 0 { links } else { lives };
        *cost = (pair[1] - pair[0]) / times as f64;
    }
    Ok(costs)
}

fn line(figure: &Figure) -> String {
    let verdict = match figure.verdict() {
        Verdict::Failed => "  ABOVE ITS LIMIT",
        Verdict::Missed => "  does not hold yet",
        Verdict::Told | Verdict::Held | Verdict::Reached => "",
    };
    let number = |number: f64| if number < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") };
    let (ours, hold) = (number(figure.ours), figure.hold.map_or("-".into(), number));
    format!("{:62} {ours:>6}, {hold:>4} is to be held{verdict}", figure.name)
}

/// Each, and the sum.
fn columns(costs: &[f64]) -> String {
    let each: Vec<_> = costs.iter().map(|cost| format!("{cost:>9.0}")).collect();
    format!("{} {:>9.0}", each.join(" "), costs.iter().sum::<f64>())
}

/// With a comma between thousands.
fn thousands(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1_000), number % 1_000) }
}
