//! Accepts links, answers heartbeats, greetings and messages as each dialect does, and passes a message on to all other
//! links as a push.
//!
//! ```text
//! cargo run --release --example server -- --listen 127.0.0.1:8080
//! ```
//!
//! The first line on standard output is `listening on ADDR`; everything else is logged to standard error. A peer that
//! misbehaves loses its own link.

#[path = "support/dialect.rs"]
mod dialect;

use anyhow::{Context, Result};
use clap::Parser;
use dialect::DialectName;
use longlink::Instant;
use longlink::io::std::{Clock, Driver, Waker};
use longlink::session::{Disconnect, GoAway, GoAwayCode, Link, SendError, Server, ServerConfig, ServerEvent};
use longlink::wire::{Decoder, Dialect, Frame, ReplyRule};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Accepts links and passes each message on to all other links.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,
    /// A link from which nothing came for so many seconds is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
    /// How many links to hold at most; each takes two threads.
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    max_links: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dialect = args.dialect.dialect();
    let needs_greeting = dialect.greeting.is_some_and(|greeting| !greeting.native);
    let idle = Duration::from_secs(args.idle);
    let config = ServerConfig { dialect, idle, needs_greeting, ..ServerConfig::DEFAULT };
    config.check()?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;

    let hub = Arc::new(Hub::default());
    let clock = Clock::start();
    for (id, accepted) in (1..).zip(listener.incoming()) {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("server: cannot accept: {error}");
                thread::sleep(Duration::from_millis(50)); // out of descriptors, most likely
                continue;
            }
        };
        if hub.len() >= args.max_links {
            eprintln!("link {id}: refused, {} links are held already", args.max_links);
            continue;
        }
        let hub = Arc::clone(&hub);
        let spawned = thread::Builder::new().spawn(move || {
            let peer = stream.peer_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
            eprintln!("link {id}: connected from {peer}");
            match serve(id, stream, &config, clock, &hub) {
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
fn serve(id: u64, stream: TcpStream, config: &ServerConfig, clock: Clock, hub: &Hub) -> Result<Disconnect> {
    let decoder = Decoder::new(config.dialect, vec![0; config.dialect.max_frame as usize])?;
    let mut link = Link::new(decoder, Server::new(config, clock.now())?);
    let driver = Driver::new(stream)?;
    let mut room =
        Room { id, dialect: config.dialect, hub, inbox: hub.join(id, driver.waker()), late: VecDeque::new() };
    Ok(driver.run(&mut link, clock, |now, server, event| room.handle(now, server, event)))
}

/// All links, to pass messages between them.
#[derive(Default)]
struct Hub(Mutex<BTreeMap<u64, Peer>>);

/// How to reach one link from another's thread.
struct Peer {
    outbox: SyncSender<Arc<[u8]>>,
    waker: Waker,
}

impl Hub {
    /// So many messages may wait for a link that is slow; more are dropped for it.
    const BACKLOG: usize = 256;

    fn join(&self, id: u64, waker: Waker) -> Receiver<Arc<[u8]>> {
        let (outbox, inbox) = mpsc::sync_channel(Self::BACKLOG);
        self.peers().insert(id, Peer { outbox, waker });
        inbox
    }

    fn leave(&self, id: u64) {
        self.peers().remove(&id);
    }

    fn len(&self) -> usize {
        self.peers().len()
    }

    /// Passes a message on to every link but its sender's.
    fn pass_on(&self, from: u64, body: &[u8]) {
        let body: Arc<[u8]> = body.into();
        for (id, peer) in self.peers().iter().filter(|(id, _)| **id != from) {
            if peer.outbox.try_send(Arc::clone(&body)).is_err() {
                eprintln!("link {id}: reads too slowly, a push was dropped");
            }
            peer.waker.wake();
        }
    }

    /// A thread that panicked has not left the map half-changed.
    fn peers(&self) -> MutexGuard<'_, BTreeMap<u64, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link's application.
struct Room<'h> {
    id: u64,
    dialect: &'static Dialect,
    hub: &'h Hub,
    inbox: Receiver<Arc<[u8]>>,
    /// Pushes that there was no room for yet.
    late: VecDeque<Arc<[u8]>>,
}

type Session<'b> = Server<'b, Vec<u8>>;

impl Room<'_> {
    fn handle(&mut self, now: Instant, server: &mut Session<'_>, event: Option<ServerEvent<'_>>) {
        match event {
            Some(ServerEvent::Greeting(_)) => self.welcome(now, server),
            Some(ServerEvent::Request(frame)) => self.answer(now, server, &frame),
            Some(ServerEvent::OneWay(frame)) => self.take(&frame),
            Some(ServerEvent::GoAway(goaway)) => eprintln!("link {}: the peer says goaway: {goaway}", self.id),
            Some(_) => {}
            None => self.push(now, server),
        }
    }

    /// Completes the greeting in the family's own form.
    fn welcome(&self, now: Instant, server: &mut Session<'_>) {
        let body: &[u8] = if *self.dialect == Dialect::BILIBILI { br#"{"code":0}"# } else { b"" };
        self.lend(server, body.len());
        if let Err(error) = server.welcome_with(now, body) {
            eprintln!("link {}: cannot answer the greeting: {error}", self.id);
        }
    }

    /// Answers a message; in families where every request has an answer of the same command, all of them.
    fn answer(&self, now: Instant, server: &mut Session<'_>, frame: &Frame<'_>) {
        if frame.command() != self.dialect.message && self.dialect.reply_rule != ReplyRule::Same {
            eprintln!("link {}: request {} is not known here", self.id, frame.command());
            return;
        }
        self.lend(server, 0);
        match server.reply(now, frame.command(), frame.sequence(), b"") {
            Ok(()) => self.take(frame),
            Err(SendError::Closing) => {}
            Err(error) => {
                eprintln!("link {}: cannot answer: {error}", self.id);
                server.close(now, GoAway::new(GoAwayCode::Overload));
            }
        }
    }

    /// Passes a message on.
    fn take(&self, frame: &Frame<'_>) {
        if frame.command() == self.dialect.message {
            self.hub.pass_on(self.id, frame.body());
        }
    }

    /// Pushes what other links sent, as far as there is room.
    fn push(&mut self, now: Instant, server: &mut Session<'_>) {
        server.set_counter(u32::try_from(self.hub.len()).unwrap_or(u32::MAX));
        if !server.is_open() {
            return;
        }
        self.late.extend(self.inbox.try_iter().take(Hub::BACKLOG.saturating_sub(self.late.len())));
        while let Some(body) = self.late.front() {
            self.lend(server, body.len());
            match server.push(now, self.dialect.push, body) {
                Err(SendError::Full { .. }) => return,
                Err(error) => eprintln!("link {}: a push was dropped: {error}", self.id),
                Ok(()) => {}
            }
            self.late.pop_front();
        }
        // Quiet links hold no buffer.
        drop(server.reclaim());
    }

    /// Gives the link a buffer if it has none, for a body of `len` bytes and some more.
    fn lend(&self, server: &mut Session<'_>, len: usize) {
        const ROOM: usize = 64 * 1_024;
        if !server.has_buffer() {
            let length = self.dialect.header_len().saturating_add(len);
            drop(server.lend(vec![0; length.max(ROOM)]));
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}
