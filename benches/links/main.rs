//! What many quiet links cost a running server, over real TCP: the example `tokio_server`, and beside it the same server as one
//! would write it on tokio-util's `LengthDelimitedCodec` (`codec.rs`), with the same load, one after the other.
//!
//! ```text
//! cargo bench --bench links                              # as many links as the file limit allows
//! cargo bench --bench links -- --links 5000 --seconds 30
//! ```
//!
//! Each link connects and greets; then each sends a heartbeat, evenly spread over the seconds, and is answered; then there is
//! nothing for half as long. What is told is what the server's process took, from `/proc`, so it runs on Linux only: resident
//! memory, and time on a processor, the kernel's part for its sockets included. What the kernel keeps for a socket, some
//! kilobytes, is no process's memory, and the same for both.
//!
//! # Where the difference comes from
//!
//! * **Memory.** `Framed` has a buffer to read into and one to write from for each link, of 8 KiB each as it begins, and
//!   keeps them: who has to read from a socket at any time needs room for it. Here a link that is quiet has none. When bytes
//!   wait it takes one from a pool of some that all links share, and gives it back unless a part of a frame is left. What
//!   remains is the task: the socket's registration, a timer, the session.
//! * **Time for a heartbeat** is mostly that of a wake-up, a read and a write in the kernel, for both.
//! * **Greeting** does more here: the device is written to a database in memory, with what is known of its messages, the
//!   device's older links are looked for, and there is a mailbox. The other server keeps a row in a map.
//!
//! Both write a line to their log when a link comes.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod codec;
#[path = "../work/figure.rs"]
#[allow(dead_code)]
mod figure;
mod load;
#[path = "../../tests/support/process.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod process;
mod taken;

use anyhow::{Result, ensure};
use clap::Parser;
use figure::Figure;
use load::Load;
use process::Server;
use std::env;
use std::process::Command;
use std::time::Duration;
use taken::Taken;

/// What many quiet links cost a running server.
#[derive(Parser)]
struct Args {
    /// How many links; by default as many as a process may have files, less some.
    #[arg(long, value_name = "N")]
    links: Option<usize>,
    /// In how many seconds each link sends a heartbeat.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Prints figures, one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`; without it, as by `cargo test --benches`, there are few links.
    #[arg(long, hide = true)]
    bench: bool,
    /// Is the other server.
    #[arg(long, hide = true, exclusive = true)]
    codec: bool,
}

/// So many files each process needs besides.
const OTHER_FILES: usize = 200;
/// So many links come and go first, so that what is done once is not counted.
const WARM_UP: usize = 200;

fn main() -> Result<()> {
    let args = Args::parse();
    if args.codec {
        return codec::serve();
    }
    let most = taken::most_files()?.saturating_sub(OTHER_FILES);
    let links = args.links.unwrap_or(if args.bench { most } else { 50 });
    ensure!(links > 0 && links <= most, "a process may have {most} links here, `ulimit -n` says");
    let seconds = if args.bench { Duration::from_secs(args.seconds) } else { Duration::from_millis(100) };
    if args.bench {
        process::build("tokio_server");
    }
    let ours = {
        let server = Server::start_as("tokio_server", "127.0.0.1:0", &["--max-links", &(links + WARM_UP).to_string()]);
        Costs::measure(&Load::new(server.address), server.id(), links, seconds)?
    };
    let theirs = {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--codec");
        let server = Server::spawn(command);
        Costs::measure(&Load::new(server.address), server.id(), links, seconds)?
    };
    print(&args, links, &ours, &theirs)
}

/// What a link costs.
struct Costs {
    /// KiB of resident memory while it is quiet.
    memory: f64,
    /// Microseconds on a processor: to connect and greet, for a heartbeat, for a second in which nothing happens.
    greeted: f64,
    heartbeat: f64,
    quiet: f64,
}

impl Costs {
    fn measure(load: &Load, server: u32, links: usize, time: Duration) -> Result<Self> {
        drop(load.greet(WARM_UP.min(links))?);
        let before = Taken::by(server)?;
        let mut crowd = load.greet(links)?;
        let greeted = Taken::by(server)?;
        crowd.beat(time)?;
        let beaten = Taken::by(server)?;
        std::thread::sleep(time / 2);
        let quiet = Taken::by(server)?;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / links as f64;
        Ok(Self {
            memory: (quiet.memory as f64 - before.memory as f64) / links as f64,
            greeted: each(greeted.time - before.time),
            heartbeat: each(beaten.time - greeted.time),
            quiet: each(quiet.time - beaten.time) / (time / 2).as_secs_f64(),
        })
    }
}

fn print(args: &Args, links: usize, ours: &Costs, theirs: &Costs) -> Result<()> {
    let rows = [
        ("resident memory of a quiet link, KiB", ours.memory, theirs.memory),
        ("to connect and greet, us on a processor", ours.greeted, theirs.greeted),
        ("a heartbeat, us on a processor", ours.heartbeat, theirs.heartbeat),
        ("a quiet second, us on a processor", ours.quiet, theirs.quiet),
    ];
    if !args.json {
        println!("{:42} {:>12} {:>12} {:>8}", format!("{links} links, each"), "tokio_server", "tokio-util", "ratio");
    }
    for (name, ours, theirs) in rows {
        if args.json {
            let peers = vec![("tokio-util".to_owned(), theirs)];
            let figure = Figure { name: name.into(), ours, varies: true, peers, ..Figure::default() };
            println!("{}", serde_json::to_string(&figure)?);
        } else {
            let ratio = if theirs < 0.01 { "-".into() } else { format!("{:.2}", ours / theirs) };
            println!("{name:42} {ours:>12.2} {theirs:>12.2} {ratio:>8}");
        }
    }
    Ok(())
}
