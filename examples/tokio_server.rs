//! Accepts links as tasks of tokio, with TLS if it is wanted, and brings messages to every device that they are for. Made to
//! hold many links that are quiet: such a link has no buffer (`support/tokio/serving.rs`).
//!
//! ```text
//! cargo run --release --example tokio_server -- --listen 127.0.0.1:8443 --tls
//! cargo run --release --example tokio_client -- --connect 127.0.0.1:8443 --tls --ca examples/support/tls/localhost.pem --send hello
//! ```
//!
//! What it does on a link is what the example `server` does without `--store` and `--mailbox`: the mailboxes are in memory and go
//! with the process. A store on a disk blocks; here it would have threads of its own, and the answers would come back as
//! news do (`Hub`). A mailbox is bounded, but whoever names an account makes one: it is for tests, not for strangers.
//!
//! The first line on standard output is `listening on ADDR`. SIGUSR1, and the end, print a line of figures, as JSON:
//!
//! | | |
//! |---|---|
//! | `links` | how many there are |
//! | `accepted` | how many there were in all |
//! | `frames` | received on all of them |
//! | `buffers` | how many are with links |
//!
//! Ctrl-C and SIGTERM close all links in good order, and end it once they are, or after some seconds.

#[path = "support/files.rs"]
mod files;
#[path = "support/hex.rs"]
mod hex;
#[path = "support/hub.rs"]
mod hub;
#[path = "support/keeper.rs"]
#[allow(dead_code)]
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
#[path = "support/tokio/serving.rs"]
mod serving;
#[path = "support/store.rs"]
#[allow(dead_code)]
mod store;
#[path = "support/tokio/tls.rs"]
mod tls;
#[path = "support/transfers.rs"]
mod transfers;

use anyhow::{Context, Result};
use clap::Parser;
use keeper::Keeper;
use longlink::session::{GoAway, GoAwayCode, ServerConfig, limits};
use mailbox::{Limits, Mail};
use room::Shared;
use serde_json::json;
use serving::{FRAMES, Serving};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Accepts links as tasks of tokio, and brings messages to every device that they are for.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Speak TLS; without a certificate with the one for tests, whose key everybody has.
    #[arg(long)]
    tls: bool,
    /// The certificate, and those that lead to its authority, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// A link from which nothing came for so many seconds is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
    /// How many links to hold at most.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    max_links: usize,
    /// How many threads run the links; by default one for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // Links that do not greet are served as well.
    let idle = Duration::from_secs(args.idle);
    let config = ServerConfig { idle, needs_greeting: false, ..ServerConfig::DEFAULT };
    config.check()?;
    let tls = args.tls.then(|| tls::acceptor(args.cert.as_deref(), args.key.as_deref())).transpose()?;
    let keeper = Keeper::Mail(Mail::in_memory(Limits::DEFAULT)?, None);
    // It lives as long as the process, and so do the links that borrow it.
    let shared: &'static Shared = Box::leak(Box::new(Shared::new(config, keeper)));
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = args.workers {
        builder.worker_threads(workers.into());
    }
    builder.enable_all().build()?.block_on(run(&args, tls, shared))
}

/// Accepts links until it is told to end, and ends them.
async fn run(args: &Args, tls: Option<TlsAcceptor>, shared: &'static Shared) -> Result<()> {
    let listener = listen(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    print(format_args!("listening on {}", listener.local_addr()?));
    tokio::spawn(tell_when_asked(shared));
    // Each link holds an end of this channel: it is closed when the last one has ended.
    let (alive, mut all_ended) = mpsc::channel(1);
    let left = alive.downgrade();
    let accepting = tokio::spawn(accept(listener, tls, args.max_links, shared, alive));
    told_to_end().await?;
    accepting.abort();
    shared.hub.dismiss(GoAway::new(GoAwayCode::Restart));
    // Somewhat longer than a link gives its peer.
    let patience = limits::CLOSE_TIMEOUT.saturating_add(Duration::from_secs(2));
    if timeout(patience, all_ended.recv()).await.is_err() {
        eprintln!("server: {} links did not end", left.strong_count());
    }
    tell(shared);
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    /// A crowd that comes back at once waits here, as far as the system allows.
    const BACKLOG: u32 = 65_535;
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // Also while links of the server before are still closing.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// All links that there were.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    most: usize,
    shared: &'static Shared,
    alive: Sender<()>,
) {
    for id in 1.. {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("server: cannot accept: {error}");
                sleep(Duration::from_millis(50)).await; // out of descriptors, most likely
                continue;
            }
        };
        // Those that have not greeted TLS yet count as well.
        let links = alive.strong_count().saturating_sub(1);
        if links >= most {
            eprintln!("link {id}: refused, {links} links are held already");
            continue;
        }
        ACCEPTED.fetch_add(1, Ordering::Relaxed);
        // It fails only for a socket that is gone.
        let _ = stream.set_nodelay(true);
        eprintln!("link {id}: connected from {peer}");
        let (tls, alive) = (tls.clone(), alive.clone());
        let begun = match tls {
            None => begin(id, stream, shared, alive),
            Some(tls) => {
                tokio::spawn(greet(id, stream, tls, shared, alive));
                Ok(())
            }
        };
        begun.unwrap_or_else(|error| eprintln!("link {id}: {error:#}"));
    }
}

/// Begins a link, as a task of its own.
fn begin<S>(id: u64, stream: S, shared: &'static Shared, alive: Sender<()>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    tokio::spawn(Serving::new(id, stream, shared, alive)?);
    Ok(())
}

/// Agrees on a key first. That takes memory that the task of the link would keep, so it is another one.
async fn greet(id: u64, stream: TcpStream, tls: TlsAcceptor, shared: &'static Shared, alive: Sender<()>) {
    let begun = match timeout(limits::GREETING_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => begin(id, stream, shared, alive),
        Ok(Err(error)) => Err(error).context("no TLS"),
        Err(late) => Err(late).context("no TLS"),
    };
    begun.unwrap_or_else(|error| eprintln!("link {id}: {error:#}"));
}

#[cfg(unix)]
async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    std::future::poll_fn(|cx| {
        let (interrupted, terminated) = (interrupt.poll_recv(cx), terminate.poll_recv(cx));
        if interrupted.is_ready() { interrupted } else { terminated }
    })
    .await;
    Ok(())
}

#[cfg(not(unix))]
async fn told_to_end() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}

#[cfg(unix)]
async fn tell_when_asked(shared: &'static Shared) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else { return };
    while asked.recv().await.is_some() {
        tell(shared);
    }
}

#[cfg(not(unix))]
async fn tell_when_asked(_: &'static Shared) {}

/// Prints the figures.
fn tell(shared: &Shared) {
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    print(json!({"links": shared.hub.len(), "accepted": count(&ACCEPTED), "frames": count(&FRAMES),
        "buffers": shared.pool.out()}));
}

/// A line on standard output. Whoever reads it may have gone; the links go on.
fn print(line: impl std::fmt::Display) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
