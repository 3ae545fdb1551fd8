//! The runs as lines, and what must hold of them.

use super::run::{Policy, Run};
use serde::Serialize;
use serde_json::Number;
use std::fmt;
use std::io::{self, Write};

/// One run, as it is printed.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) lifetime: u64,
    pub(crate) policy: Policy,
    /// The interval that was settled, in seconds; 0 if none was.
    settled: Number,
    /// Until the first one was.
    minutes: Number,
    /// Links lost until then.
    lost: u32,
}

impl Row {
    pub(crate) fn new(lifetime: u64, policy: Policy, run: &Run) -> Self {
        let (time, lost) = run.found();
        let settled = number(run.settled().unwrap_or_default().as_secs_f64());
        Self { lifetime, policy, settled, minutes: number(time.as_secs_f64() / 60.0), lost }
    }

    /// Whether the row is as good as it must be; `None` where nothing is promised.
    pub(crate) fn holds(&self) -> Option<bool> {
        let limit = Limit::of(self.lifetime).filter(|_| self.policy == Policy::Longlink)?;
        let (settled, minutes) = (self.settled.as_f64()?, self.minutes.as_f64()?);
        Some(settled >= limit.settled && minutes <= limit.minutes && self.lost <= limit.lost)
    }
}

/// To a tenth, without a fraction where there is none.
fn number(value: f64) -> Number {
    let tenths = (value * 10.0).round();
    let whole = tenths % 10.0 == 0.0;
    if whole { Number::from((tenths / 10.0) as u64) } else { Number::from_f64(tenths / 10.0).unwrap_or(0.into()) }
}

/// At least this interval, after so many minutes and lost links at most.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) settled: f64,
    pub(crate) minutes: f64,
    pub(crate) lost: u32,
}

impl Limit {
    /// Where Mars never works four fifths of the lifetime are asked for, elsewhere more than Mars gets.
    pub(crate) fn of(lifetime: u64) -> Option<Self> {
        let (settled, minutes, lost) = match lifetime {
            20 | 45 | 90 | 200 => (0.8 * lifetime as f64, f64::INFINITY, 4),
            240 => (215.0, 48.0, 2),
            290 | 305 => (250.0, 77.0, 2),
            300 => (270.0, 60.0, 2),
            360 => (320.0, 90.0, 2),
            480 => (440.0, 120.0, 2),
            600.. => (580.0, 150.0, 0),
            _ => return None,
        };
        Some(Self { settled, minutes, lost })
    }
}

/// `≥ 270 s ≤ 60 min ≤ 2`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settled, minutes, lost } = self;
        let minutes = if minutes.is_finite() { format!(" ≤ {minutes} min") } else { String::new() };
        write!(f, "≥ {settled} s{minutes} ≤ {lost}")
    }
}

pub(crate) fn print(out: &mut impl Write, rows: &[Row], judges: bool) -> io::Result<()> {
    writeln!(out, "{:>8}  {:<8}  {:>8}  {:>8}  {:>4}", "lifetime", "policy", "settled", "minutes", "lost")?;
    for row in rows {
        let policy = if row.policy == Policy::Mars { "mars" } else { "longlink" };
        let settled = if row.settled.as_f64() == Some(0.0) { "never".into() } else { format!("{} s", row.settled) };
        let line = format!(
            "{:>6} s  {policy:<8}  {settled:>8}  {:>8}  {:>4}",
            row.lifetime,
            row.minutes.to_string(),
            row.lost
        );
        let verdict = match (row.holds().filter(|_| judges), Limit::of(row.lifetime)) {
            (Some(holds), Some(limit)) => format!("  {}  {limit}", if holds { "ok  " } else { "MISS" }),
            _ => String::new(),
        };
        writeln!(out, "{line}{verdict}")?;
    }
    Ok(())
}
