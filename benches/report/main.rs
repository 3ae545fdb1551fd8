//! All that is measured and has a limit, in one report: what hand-written code takes at least, what is to be held, what this
//! crate takes, what the best other crate takes, and how far apart the two are.
//!
//! ```text
//! cargo bench --bench report
//! ```
//!
//! It runs the other benches and the check of the sizes, and needs what they need: `valgrind`, `qemu-system-arm`, GNU's
//! `size` and `nm`, and the target thumbv7em-none-eabihf. Some minutes. The exit status is not 0 if a figure is above its
//! limit, or, where that is not reached yet, above what it has reached; the same figures fail the benches they come from.
//! What depends on the machine, times and memory of a process, is told and does not fail.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "../../examples/support/lab/mod.rs"]
#[allow(dead_code)]
mod lab;
mod liveness;
#[path = "../../tests/support/nat.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod nat;
mod sources;
mod table;
#[path = "../work/mod.rs"]
mod work;

use anyhow::Result;
use std::process::ExitCode;
use table::Tally;

fn main() -> Result<ExitCode> {
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(ExitCode::SUCCESS); // `cargo test --benches` has the others for that
    }
    let mut tally = Tally::default();
    table::print("Host, instructions", &sources::bench("instructions")?, &mut tally);
    table::print("Host, time", &[sources::large_bodies()], &mut tally);
    table::print("Server, many links", &sources::bench("scale")?, &mut tally);
    table::print("Cortex-M4 at opt-level s and z, bytes and instructions", &sources::sizes()?, &mut tally);
    table::print("Heartbeat beside Mars' rules, virtual time", &liveness::figures(), &mut tally);
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
