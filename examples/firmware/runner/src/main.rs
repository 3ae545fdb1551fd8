//! Runs the firmware in QEMU against the real server, and compares what it says with what it should.
//!
//! ```text
//! cargo run --manifest-path examples/firmware/runner/Cargo.toml -- --board lm3s6965evb
//! ```
//!
//! ```text
//!   firmware in QEMU ──UART──▶ modem ──TCP──▶ server ◀──TCP── client, for other devices
//!        │ semihosting
//!        └───────────▶ log, decoded
//! ```
//!
//! Of the three addresses that the modem knows one refuses every call, and one does not answer. A certain message of the
//! firmware arrives, and its acknowledgement does not: the network is gone by then, for as long as another device needs to
//! send something.
//!
//! Exit code 1, with what is wrong on standard error: the firmware said something else, failed, or did not come to an end.

mod board;
mod building;
mod modem;
mod others;

use anyhow::{Context, Result, bail, ensure};
use board::{Board, Line, Machine, News};
use building::Building;
use clap::Parser;
use modem::Modem;
use others::{Sender, Server};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Runs the firmware in QEMU against the real server.
#[derive(Parser)]
struct Args {
    /// The machine to run on.
    #[arg(long, value_enum)]
    board: Board,
    /// What to build for, if not what the board has: thumbv6m-none-eabi on the lm3s6965evb.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The firmware's image; built if it is not named, as are the next two.
    #[arg(long, value_name = "ELF")]
    firmware: Option<PathBuf>,
    /// The program of the example `server`.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// The program of the example `client`.
    #[arg(long, value_name = "PATH")]
    client: Option<PathBuf>,
    /// A run that takes longer is ended, and fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
    /// Takes what the firmware says for what it should say from now on.
    #[arg(long)]
    accept: bool,
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";
/// What the firmware sends when the link breaks.
const LAST: &[u8] = b"meter 5";

fn main() -> Result<()> {
    let args = Args::parse();
    let building = Building::new();
    let firmware = args
        .firmware
        .clone()
        .map_or_else(|| building.firmware(args.target.as_deref().unwrap_or(args.board.target())), Ok)?;
    let server = args.server.clone().map_or_else(|| building.example("server"), Ok)?;
    let client = args.client.clone().map_or_else(|| building.example("client"), Ok)?;

    let said = run(&args, &firmware, &server, &client)?;
    let expected = building.root().join("expected.txt");
    if args.accept {
        return fs::write(&expected, said.join("\n") + "\n").context("cannot write what is expected");
    }
    compare(&fs::read_to_string(&expected).context("cannot read what is expected")?, &said)
}

/// All that the firmware said and that is the same in every run.
fn run(args: &Args, firmware: &Path, server: &Path, client: &Path) -> Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(args.limit);
    let server = Server::start(server)?;
    let sender = Sender { client, server: server.address(), deadline };
    sender.send("bob", "phone", "hello from bob")?;
    sender.send("bob", "phone", "are you there?")?;
    sender.send("bob", "phone", "then read this some time")?;

    // Whoever calls there is connected, and hears nothing.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let (sender_of_news, news) = channel();
    let (mut machine, uart) = Machine::start(args.board, firmware, sender_of_news.clone(), deadline)?;
    let addresses = vec![NOBODY.parse()?, silent.local_addr()?, server.address()];
    let modem = Modem::start(uart, addresses, LAST, sender_of_news)?;
    let mut said = Vec::new();
    loop {
        let Ok(news) = news.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            bail!("the firmware did not come to an end within {} s", args.limit);
        };
        match news {
            News::Log(line) => said.extend(print(line?)),
            News::Over => break,
            News::Caught => {
                modem.cut();
                sender.send("ann", "tablet", "written meanwhile")?;
                sender.send("ann", "tablet", "this one, too")?;
                modem.mend();
            }
        }
    }
    let status = machine.wait(deadline)?;
    ensure!(status.success(), "the firmware failed: {status}");
    Ok(said)
}

/// Returns the line if it is to be the same in every run.
fn print(Line { time, level, text }: Line) -> Option<String> {
    println!("{time:>12} {level:<5} {text}");
    (level != "debug").then_some(text)
}

fn compare(expected: &str, said: &[String]) -> Result<()> {
    let expected: Vec<&str> = expected.lines().collect();
    if expected == said {
        println!("{} lines, all as expected", said.len());
        return Ok(());
    }
    for at in 0..expected.len().max(said.len()) {
        let (wanted, got) = (expected.get(at).copied(), said.get(at).map(String::as_str));
        if wanted == got {
            eprintln!("  {}", wanted.unwrap_or_default());
            continue;
        }
        wanted.iter().for_each(|line| eprintln!("- {line}"));
        got.iter().for_each(|line| eprintln!("+ {line}"));
    }
    bail!("the firmware said something else (+) than what is expected (-)")
}
