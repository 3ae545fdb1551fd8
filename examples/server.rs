//! Accepts links, stores each message once, and brings it to every device that it is for.
//!
//! ```text
//! cargo run --release --example server -- --listen 127.0.0.1:8080 --mailbox ./mail.redb
//! cargo run --release --example server -- --listen 127.0.0.1:8080 --store ./data
//! ```
//!
//! With `--mailbox PATH` links must greet, and each message is in the mailboxes of the account that it is for and of the one
//! that it is from, once, before it is acknowledged: what a client was told to be delivered is there after `kill -9`.
//! Every device of both accounts is brought up to date, whenever it comes, and the items go when all have them; a device
//! that is seen for the first time gets what is still there. What is kept where, and how long: `support/mailbox/mod.rs`.
//!
//! A message that says whom it is for is `{"to":"bob","text":"hi"}`. Any other is a note to the account itself, and is
//! also pushed to all other links as it is.
//!
//! With `--store DIR` links must greet as well, and each message is a line of `DIR/messages.jsonl`, once, before it is
//! acknowledged, and is pushed to all other links. Files that clients send are under `DIR/files/`. There are no mailboxes.
//!
//! Beside mailboxes files are taken with `--files DIR`, and are in there; the message that names one goes where others do.
//!
//! With neither, mailboxes are in memory and go with the process, and links that do not greet are served as well, as each
//! dialect does it: their messages are pushed to all other links.
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
#[path = "support/keeper.rs"]
mod keeper;
#[path = "support/mailbox/mod.rs"]
mod mailbox;
#[path = "support/mailing.rs"]
mod mailing;
#[path = "support/pool.rs"]
mod pool;
#[path = "support/random.rs"]
mod random;
#[path = "support/room.rs"]
mod room;
#[path = "support/store.rs"]
mod store;
#[path = "support/transfers.rs"]
mod transfers;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use dialect::DialectName;
use keeper::Keeper;
use longlink::io::std::{Driver, Waker};
use longlink::session::{Disconnect, Link, Server, ServerConfig};
use longlink::wire::Decoder;
use mailbox::{Limits, Mail};
use room::{Room, Shared};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Wake;
use std::thread;
use std::time::Duration;
use store::Store;

/// Accepts links, stores each message once, and brings it to every device that it is for.
#[derive(Parser)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,
    /// The file to keep mailboxes in, and with them what is acknowledged. Links must greet then; only in the longlink dialect.
    #[arg(long, value_name = "PATH", conflicts_with = "store")]
    mailbox: Option<PathBuf>,
    /// The directory to keep files in that clients send, beside mailboxes.
    #[arg(long, value_name = "DIR", requires = "mailbox")]
    files: Option<PathBuf>,
    /// How many items an account's mailbox keeps at most for devices that are away.
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.items, value_parser = clap::value_parser!(u64).range(1..))]
    keep: u64,
    /// The file was put back from a backup: its mailboxes begin anew for every device. What is in them stays.
    #[arg(long, requires = "mailbox")]
    new_epoch: bool,
    /// The directory to keep what is acknowledged in as plain files. Links must greet then; only in the longlink dialect.
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
        let needs_greeting = dialect.greeting.is_some_and(|greeting| !greeting.native || self.is_durable());
        let idle = Duration::from_secs(self.idle);
        let frame_interval = Duration::from_secs(1).checked_div(self.rate).unwrap_or_default();
        ServerConfig { dialect, idle, needs_greeting, frame_interval, ..ServerConfig::DEFAULT }
    }

    /// Whether what is acknowledged outlives the process.
    fn is_durable(&self) -> bool {
        self.store.is_some() || self.mailbox.is_some()
    }

    fn open_keeper(&self) -> Result<Keeper> {
        let native = self.dialect.dialect().greeting.is_some_and(|greeting| greeting.native);
        ensure!(native || !self.is_durable(), "only in the longlink dialect a device says who it is");
        let limits = Limits { items: self.keep, ..Limits::DEFAULT };
        Ok(match (&self.store, &self.mailbox) {
            (Some(dir), _) => Keeper::Files(Store::open(dir)?),
            (None, Some(path)) => Keeper::Mail(Mail::open(path, limits, self.new_epoch)?, self.files.clone()),
            (None, None) => Keeper::Mail(Mail::in_memory(limits)?, None),
        })
    }
}

fn main() -> Result<()> {
    run(&Args::parse())
}

/// Serves until the process ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (config, keeper) = (args.config(), args.open_keeper()?);
    config.check()?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;

    let shared = Arc::new(Shared::new(config, keeper));
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
    let Shared { config, clock, pool, .. } = shared;
    let decoder = Decoder::new(config.dialect, pool.take())?;
    let mut link = Link::new(decoder, Server::new(config, clock.now())?);
    let driver = Driver::new(stream)?;
    let mut room = Room::new(id, shared);
    room.listen(&Arc::new(Bell(driver.waker())).into());
    Ok(driver.run(&mut link, *clock, |now, server, event| room.handle(now, server, event)))
}

/// Wakes the thread of a link.
struct Bell(Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}
