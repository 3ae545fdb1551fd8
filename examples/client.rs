//! Holds a link to a server, sends messages as requests and prints what happens, one JSON object a line.
//!
//! ```text
//! cargo run --release --example client -- --send hello --heartbeat 1 --stay 5
//! ```
//!
//! Every line has an `"event"`: `online`, `heartbeat`, `reply`, `push`, `failed`, `goaway` or `disconnected`. The exit
//! code is 0 when every message was answered and the link was closed from here; otherwise the reason stands on standard
//! error.

#[path = "support/dialect.rs"]
mod dialect;
#[path = "support/hex.rs"]
mod hex;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dialect::DialectName;
use hex::Hex;
use longlink::Instant;
use longlink::delivery::Token;
use longlink::io::std::{Clock, Driver, Waker};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Event, SendError, Storage};
use longlink::wire::{Batch, Dialect, Frame};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

/// Holds a link to a server and prints what happens, one JSON object a line.
#[derive(Parser)]
struct Args {
    /// Where the server listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    connect: String,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,
    /// A heartbeat whenever one direction was silent for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: u64,
    /// A message to send; may be given several times.
    #[arg(long, value_name = "TEXT")]
    send: Vec<String>,
    /// How often to send each of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// How long to keep the link, at least, from when it is online.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    stay: u64,
    /// The body of the greeting in dialects whose greeting is the application's (goim, bilibili).
    #[arg(long, value_name = "TEXT", conflicts_with = "no_greeting")]
    greeting: Option<String>,
    /// Do not greet: connected is online.
    #[arg(long)]
    no_greeting: bool,
}

impl Args {
    /// What the application puts into the greeting, where the dialect leaves that to it.
    fn hello(&self) -> Option<String> {
        if self.no_greeting {
            return None;
        }
        let default = match self.dialect {
            DialectName::Longlink | DialectName::Mars => None,
            DialectName::Goim => Some(r#"{"mid":1,"room_id":"live://1000","platform":"longlink","accepts":[1000]}"#),
            DialectName::Bilibili => Some(r#"{"uid":0,"roomid":1,"protover":0}"#),
        };
        self.greeting.clone().or(default.map(String::from))
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let stream = match connect(&args.connect) {
        Ok(stream) => stream,
        Err(error) => {
            print(&json!({"event": "disconnected", "why": "connect", "detail": format!("{error:#}")}));
            return Err(error);
        }
    };
    let hello = args.hello();
    let config = Config {
        dialect: args.dialect.dialect(),
        hello: hello.as_deref().map(str::as_bytes),
        heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(args.heartbeat)),
        ..Config::DEFAULT
    };
    let mut storage = Box::new(Storage::<65_792, 65_792, 32>::new());
    let mut link = storage.client(&config)?;
    let clock = Clock::start();
    let driver = Driver::new(stream)?;
    let mut session = Session::new(&args, driver.waker());
    link.handle_connected(clock.now());
    let why = driver.run(&mut link, clock, |now, client, event| session.handle(now, client, event));
    session.finish(why)
}

/// Connects to the first address of the name that answers.
fn connect(name: &str) -> Result<TcpStream> {
    let addresses = name.to_socket_addrs().with_context(|| format!("cannot resolve {name}"))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("cannot connect to {name}")),
        None => bail!("{name} has no address"),
    }
}

/// What is to be done on the link, and how far it got.
struct Session {
    dialect: &'static Dialect,
    address: String,
    to_send: VecDeque<String>,
    stay: Duration,
    /// Until when to stay, once online.
    until: Option<Instant>,
    waker: Waker,
    /// The first thing that went wrong.
    trouble: Option<String>,
}

impl Session {
    fn new(args: &Args, waker: Waker) -> Self {
        let to_send = (0..args.count).flat_map(|_| args.send.iter().cloned()).collect();
        Self {
            dialect: args.dialect.dialect(),
            address: args.connect.clone(),
            to_send,
            stay: Duration::from_secs(args.stay),
            until: None,
            waker,
            trouble: None,
        }
    }

    fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) {
        match event {
            None => self.act(now, client),
            Some(Event::Batch(batch)) => self.walk(now, client, batch),
            Some(event) => self.tell(now, event),
        }
    }

    /// Sends what is to be sent, and closes once all is done.
    fn act(&mut self, now: Instant, client: &mut Client<'_>) {
        let Some(until) = self.until else { return };
        while let Some(text) = self.to_send.front() {
            match client.request(now, self.dialect.message, text.as_bytes()) {
                Ok(Token { .. }) => drop(self.to_send.pop_front()),
                Err(SendError::TooMany | SendError::Full { .. }) => return,
                Err(error) => {
                    self.trouble.get_or_insert(format!("cannot send: {error}"));
                    return client.close(now);
                }
            }
        }
        if client.is_settled() && !client.awaits_heartbeat() && now >= until {
            client.close(now);
        }
    }

    /// Walks a frame that holds frames.
    fn walk(&mut self, now: Instant, client: &mut Client<'_>, batch: Batch<'_>) {
        use longlink::session::Endpoint;
        for frame in batch {
            match frame {
                Ok(frame) => {
                    if let Some(event) = client.handle_frame(now, frame) {
                        self.tell(now, event);
                    }
                }
                Err(error) => eprintln!("client: a batch holds what is no frame: {error}"),
            }
        }
    }

    fn tell(&mut self, now: Instant, event: Event<'_>) {
        let line = match event {
            Event::Online { welcome, .. } => {
                self.until = Some(now + self.stay);
                let (waker, stay) = (self.waker.clone(), self.stay);
                thread::spawn(move || {
                    thread::sleep(stay);
                    waker.wake();
                });
                json!({"event": "online", "address": self.address, "dialect": self.dialect.name,
                    "greeting": welcome.map(|frame| text(frame.body()))})
            }
            Event::Heartbeat { round_trip } => {
                json!({"event": "heartbeat", "round_trip_ms": round_trip.as_micros() as f64 / 1_000.0})
            }
            Event::Reply { token, frame } => frame_line("reply", token.sequence(), &frame),
            Event::Push(frame) => frame_line("push", frame.sequence(), &frame),
            Event::Failed { token, why, written } => {
                self.trouble.get_or_insert(format!("message {} failed: {why}", token.sequence()));
                json!({"event": "failed", "sequence": token.sequence(), "why": why.to_string(), "written": written})
            }
            Event::GoAway(goaway) => json!({"event": "goaway", "code": goaway.code().to_byte(),
                "why": goaway.to_string(), "retry_after_ms": goaway.retry_after().as_millis()}),
            Event::Offline(why) => json!({"event": "disconnected", "why": why.name(), "detail": why.to_string()}),
            other => json!({"event": "other", "detail": format!("{other:?}")}),
        };
        print(&line);
    }

    fn finish(self, why: Disconnect) -> Result<()> {
        match self.trouble {
            Some(trouble) => bail!(trouble),
            None if !self.to_send.is_empty() => bail!("{} messages were not sent: {why}", self.to_send.len()),
            None if why != Disconnect::Closed => bail!("disconnected: {why}"),
            None => Ok(()),
        }
    }
}

/// What a frame carries: the bytes in hex, and the text if it is one.
fn frame_line(event: &str, sequence: u32, frame: &Frame<'_>) -> Value {
    json!({"event": event, "sequence": sequence, "command": frame.command(), "body": Hex(frame.body()),
        "text": text(frame.body())})
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Null, Value::from)
}

/// One line on standard output. Whoever reads it may have gone; the link goes on.
fn print(line: &Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
