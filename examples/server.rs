//! Accepts links, stores each message once, and passes it on to all other links as a push.
//!
//! ```text
//! cargo run --release --example server -- --listen 127.0.0.1:8080 --store ./data
//! ```
//!
//! With `--store DIR` links must greet, and each message is a line of `DIR/messages.jsonl`, once, before it is
//! acknowledged: what a client was told to be delivered is there after `kill -9`, and a server that is started again on the
//! same directory goes on from there. Files that clients send are under `DIR/files/`. Without it nothing is kept: a
//! device's messages are told apart for as long as the process lives, and links that do not greet are served as well, as
//! each dialect does it.
//!
//! A device belongs to the account that its token names. That is good enough for an example: a real server checks the token,
//! and takes it over TLS only, since whoever hears it can be that device.
//!
//! The first line on standard output is `listening on ADDR`; everything else is logged to standard error. A peer that
//! misbehaves loses its own link.

#[path = "support/dialect.rs"]
mod dialect;
#[path = "support/files.rs"]
mod files;
#[path = "support/hex.rs"]
mod hex;
#[path = "support/hub.rs"]
mod hub;
#[path = "support/room.rs"]
mod room;
#[path = "support/store.rs"]
mod store;
#[path = "support/transfers.rs"]
mod transfers;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use dialect::DialectName;
use hub::Hub;
use longlink::io::std::{Clock, Driver};
use longlink::session::{Disconnect, Link, Server, ServerConfig};
use longlink::wire::Decoder;
use room::{Room, Shared};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use store::Store;
use transfers::Transfers;

/// Accepts links, stores each message once, and passes it on to all other links.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,
    /// Where to keep what is acknowledged. Links must greet then; only in the longlink dialect.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// A link from which nothing came for so many seconds is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
    /// So many frames a second are taken from one link in the long run.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// How many links to hold at most; each takes two threads.
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    max_links: usize,
}

impl Args {
    fn config(&self) -> ServerConfig {
        let dialect = self.dialect.dialect();
        let needs_greeting = dialect.greeting.is_some_and(|greeting| !greeting.native || self.store.is_some());
        let idle = Duration::from_secs(self.idle);
        let frame_interval = Duration::from_secs(1).checked_div(self.rate).unwrap_or_default();
        ServerConfig { dialect, idle, needs_greeting, frame_interval, ..ServerConfig::DEFAULT }
    }

    fn open_store(&self) -> Result<Store> {
        let Some(dir) = &self.store else { return Ok(Store::in_memory()) };
        let native = self.dialect.dialect().greeting.is_some_and(|greeting| greeting.native);
        ensure!(native, "--store needs the longlink dialect: in others no device says who it is");
        Store::open(dir)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (config, store) = (args.config(), args.open_store()?);
    config.check()?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;

    let (hub, transfers) = (Hub::default(), Transfers::default());
    let shared = Arc::new(Shared { config, clock: Clock::start(), store, hub, transfers });
    for (id, accepted) in (1..).zip(listener.incoming()) {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("server: cannot accept: {error}");
                thread::sleep(Duration::from_millis(50)); // out of descriptors, most likely
                continue;
            }
        };
        if shared.hub.len() >= args.max_links {
            eprintln!("link {id}: refused, {} links are held already", args.max_links);
            continue;
        }
        let shared = Arc::clone(&shared);
        let spawned = thread::Builder::new().spawn(move || {
            let peer = stream.peer_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
            eprintln!("link {id}: connected from {peer}");
            match serve(id, stream, &shared) {
                Ok(why) => eprintln!("link {id}: {why}"),
                Err(error) => eprintln!("link {id}: {error:#}"),
            }
        });
        if let Err(error) = spawned {
            eprintln!("link {id}: no thread for it: {error}");
        }
    }
    Ok(())
}

/// Runs one link to its end.
fn serve(id: u64, stream: TcpStream, shared: &Shared) -> Result<Disconnect> {
    let Shared { config, clock, hub, .. } = shared;
    let decoder = Decoder::new(config.dialect, vec![0; config.dialect.max_frame as usize])?;
    let mut link = Link::new(decoder, Server::new(config, clock.now())?);
    let driver = Driver::new(stream)?;
    let mut room = Room::new(id, shared, hub.join(id, driver.waker()));
    Ok(driver.run(&mut link, *clock, |now, server, event| room.handle(now, server, event)))
}
