//! Instructions per frame, counted under Callgrind, beside other crates doing the same work, and held to a limit; and that
//! none of it allocates.
//!
//! ```text
//! cargo bench --bench instructions              # all rows
//! cargo bench --bench instructions -- encode    # the rows whose name contains "encode"
//! ```
//!
//! It needs `valgrind` in the path and nothing else. Unlike times, the counts are the same on a busy machine, so a limit
//! can be exact: the exit status is not 0 if a row is above its `hold` figure, or, where that is not reached yet, above
//! what it has reached. How it counts: `work/valgrind.rs`. Some limits are relative to a copy of the same bytes, which is
//! counted in the same way.
//!
//! Run without `--bench`, as `cargo test --benches` does, it does every piece of work once and counts nothing. With `--json`
//! it prints a figure a line, for the report of all benches.
//!
//! # To add a row
//!
//! Write a [`Work`](rows::Work) and add a [`Row`](rows::Row) to [`ROWS`]. A peer that is not worth a dependency stands there
//! with a number.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::expect_used)]

mod contestants;
mod costs;
mod rows;
#[path = "../work/mod.rs"]
mod work;

use anyhow::Result;
use costs::Costs;
use rows::ROWS;
use std::env;
use std::process::ExitCode;
use work::figure::{Figure, Verdict};
use work::sync;
use work::valgrind::{self, Count};

/// The first argument of this program when it starts itself to do the work of one contestant, or ours of all rows.
const WORK: &str = "--work";
const ALL: &str = "--all";

/// So often the work of every row is done to see whether it allocates.
const FEW: usize = 64 * sync::PAGE;

fn main() -> Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args[..] {
        [first, row, contestant, n] if first == WORK => {
            let row = &ROWS[row.parse::<usize>()?];
            let work = row.contestants()[contestant.parse::<usize>()?];
            work(n.parse()?, 2 * row.n);
        }
        [first, n] if first == ALL => {
            let n = n.parse()?;
            ROWS.iter().for_each(|row| (row.ours)(n, 2 * FEW));
        }
        args if args.iter().any(|arg| arg == "--bench") => return print_table(args),
        _ => ROWS.iter().for_each(|row| row.contestants().iter().for_each(|work| work(row.n, row.n))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the rows that are asked for, and tells whether all are within their limits.
fn print_table(args: &[String]) -> Result<ExitCode> {
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    let json = args.iter().any(|arg| arg == "--json");
    if !json {
        println!(
            "{:42} {:>8} {:>14} {:>14} {:>8}  peers",
            "instructions per frame", "ours", "hold", "aim for", "memcpy"
        );
    }
    let mut status = ExitCode::SUCCESS;
    let mut show = |figure: &Figure, line: String| -> Result<()> {
        println!("{}", if json { serde_json::to_string(figure)? } else { line });
        if figure.verdict() == Verdict::Failed {
            status = ExitCode::FAILURE;
        }
        Ok(())
    };
    for (index, row) in ROWS.iter().enumerate() {
        if filter.is_none_or(|filter| row.name.contains(filter)) {
            let costs = Costs::count(index, row)?;
            show(&costs.figure(), costs.to_string())?;
        }
    }
    if filter.is_none() {
        let allocations = allocations()?;
        show(&allocations, format!("{:42} {:>8} {:>14}", allocations.name, allocations.ours, 0))?;
    }
    Ok(status)
}

/// Of all rows together.
fn allocations() -> Result<Figure> {
    let ours = valgrind::cost(Count::Allocations, FEW, |n| vec![ALL.into(), n.to_string()])?;
    let peers = [("mqttbytes", 1.0), ("mqttrs", 0.0), ("minimq", 0.0), ("rust-mqtt", 0.0)];
    let peers = peers.map(|(name, count)| (name.to_owned(), count)).into();
    Ok(Figure { name: "allocations, in all of these rows".into(), ours, hold: Some(0.0), peers, ..Figure::default() })
}
