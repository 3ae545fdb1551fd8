//! Shows what the library does: three accounts with two devices each send thousands of messages through a bad network, one
//! device and the server are killed on the way, and in the end every message has to be everywhere, once and in order.
//!
//! ```text
//! cargo run --release --example demo
//! cargo run --release --example demo -- --seed 7 --svg run.svg --pcap run.pcap --json
//! ```
//!
//! ```text
//!   this program ─┬─▶ demo server   the example server: mailboxes in one file, files in a directory
//!                 ├─▶ demo client   × 6: the example client, with a state and an inbox
//!                 └── × 6 proxies between them, which delay, split, stall and cut, and count what passes
//! ```
//!
//! Server and devices are processes: this program, started again, as `examples/server.rs` and `examples/client.rs`. So a
//! kill is a kill. What the network does to each link is drawn from the seed; when it strikes depends on the machine.
//!
//! What is counted is counted from the frames that the proxies passed on, and what is judged is what the devices' inboxes
//! and the server's files hold in the end. The exit status is 0 if every rule held, 1 if not, and then the files of all
//! processes stay and are named.
#![allow(clippy::duplicate_mod)] // client and server are programs of their own, with what each needs

#[path = "client.rs"]
#[allow(dead_code)] // it has a `main` of its own
mod client;
#[path = "support/demo/mod.rs"]
mod demo;
#[path = "support/proxy/mod.rs"]
mod proxy;
#[path = "server.rs"]
#[allow(dead_code)]
mod server;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Sends thousands of messages between six devices over a bad network, kills a device and the server on the way, and checks
/// that every message arrived everywhere, once and in order.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Demo {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: demo::Options,
}

/// What this program is when it starts itself again.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    Server(Box<server::Args>),
    #[command(hide = true)]
    Client(Box<client::Args>),
}

fn main() -> Result<ExitCode> {
    let args = Demo::parse();
    if args.role.is_some() {
        demo::end_with_parent();
    }
    match args.role {
        Some(Role::Server(args)) => server::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Role::Client(args)) => client::run(&args).map(|()| ExitCode::SUCCESS),
        None => demo::run(&args.run),
    }
}
