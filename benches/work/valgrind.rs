//! Counts instead of times: a bench starts itself under Valgrind.
//!
//! A piece of work is done `n` times and, after the same preparations, `2 n` times. The difference, divided by `n`, is what
//! doing it once costs. Starting up, preparing the input and cleaning up cancel out, so nothing has to be marked as measured,
//! and the optimiser may inline as it does in any program.

use anyhow::{Context, Result, ensure};
use std::{env, process::Command};

/// Callgrind counts every step of `rep movsb` as an instruction: glibc is to copy by vector registers whatever the size.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824";

/// What can be counted of a whole run of this program.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    /// Instructions that it executes.
    Instructions,
    /// Calls of the allocator.
    Allocations,
}
use Count::{Allocations, Instructions};

/// What doing a piece of work once costs; `args(n)` are the arguments with which this program does it `n` times.
pub(crate) fn cost(what: Count, n: usize, args: impl Fn(usize) -> Vec<String>) -> Result<f64> {
    let (once, twice) = (what.of_run(&args(n))?, what.of_run(&args(2 * n))?);
    Ok((twice - once) / n as f64)
}

impl Count {
    /// Of a run of this program with these arguments.
    pub(crate) fn of_run(self, args: &[String]) -> Result<f64> {
        let tool: &[&str] = match self {
            Instructions => &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
            Allocations => &["--tool=memcheck", "--leak-check=no"],
        };
        let run = Command::new("valgrind")
            .args(tool)
            .arg(env::current_exe()?)
            .args(args)
            .env("GLIBC_TUNABLES", TUNABLES)
            .output()
            .context("valgrind does not start")?;
        let report = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "valgrind says: {report}");
        let (before, after) = match self {
            Instructions => ("Collected : ", "\n"),
            Allocations => ("total heap usage: ", " allocs"),
        };
        let count = report.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        let (count, _) = count.with_context(|| format!("no count in: {report}"))?;
        Ok(count.trim().replace(',', "").parse()?)
    }
}
