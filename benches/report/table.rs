//! Figures as a table, and how many of them hold.

use crate::work::figure::{Figure, Verdict};
use std::fmt;

/// How the figures of all tables stand.
#[derive(Default)]
pub(crate) struct Tally {
    held: usize,
    missed: usize,
    pub(crate) failed: usize,
}

pub(crate) fn print(title: &str, figures: &[Figure], tally: &mut Tally) {
    let (least, ours, hold, ratio) = ("least", "ours", "hold", "ratio");
    println!("{title:62} {least:>9} {hold:>10} {ours:>10}  {:27} {ratio:>6}", "best peer");
    for figure in figures {
        tally.count(figure);
        println!("{}", line(figure));
    }
    println!();
}

fn line(figure: &Figure) -> String {
    let Figure { name, ours, hold, least, upwards, .. } = figure;
    let sign = if *upwards { "≥ " } else { "" };
    let hold = hold.map_or_else(|| "-".into(), |hold| format!("{sign}{}", number(hold)));
    let least = least.map_or_else(|| "-".into(), number);
    let (peer, ratio) = match figure.best_peer() {
        Some((peer, theirs)) => (format!("{} {peer}", number(*theirs)), ratio(*ours, *theirs)),
        None => ("-".into(), "-".into()),
    };
    let (ours, verdict) = (number(*ours), verdict(figure));
    format!("{name:62} {least:>9} {hold:>10} {ours:>10}  {peer:27} {ratio:>6}  {verdict}")
}

fn verdict(figure: &Figure) -> String {
    let by = figure.hold.filter(|hold| *hold > 0.0).map(|hold| ratio(figure.ours, hold)).unwrap_or_default();
    let guard = figure.guard.map(|guard| format!(", guarded at {}", number(guard))).unwrap_or_default();
    match figure.verdict() {
        Verdict::Told => String::new(),
        Verdict::Held => "held".into(),
        Verdict::Reached => "held, and the aim".into(),
        Verdict::Missed => format!("missed: {by}{guard}"),
        Verdict::Failed => "ABOVE ITS LIMIT".into(),
    }
}

fn ratio(ours: f64, theirs: f64) -> String {
    if theirs == 0.0 { "-".into() } else { format!("x{:.2}", ours / theirs) }
}

/// With a fraction where that says something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Tally {
    fn count(&mut self, figure: &Figure) {
        match figure.verdict() {
            Verdict::Told => {}
            Verdict::Held | Verdict::Reached => self.held += 1,
            Verdict::Missed => self.missed += 1,
            Verdict::Failed => self.failed += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, missed, failed } = self;
        write!(f, "{held} figures hold, {missed} miss what they are to hold, {failed} are above what they have reached")
    }
}
