//! Holds a link to a server, sends messages and prints what happens, one JSON object a line.
//!
//! ```text
//! cargo run --release --example client -- --send hello --heartbeat 1 --stay 5
//! cargo run --release --example client -- --lines --state ./device.state < messages.txt
//! ```
//!
//! Every line has an `"event"`: `online`, `heartbeat`, `delivered`, `reply`, `push`, `failed`, `goaway` or `disconnected`.
//! The exit code is 0 when every message was delivered, or answered, and the link was closed from here; otherwise the
//! reason stands on standard error.
//!
//! # Two ways to send
//!
//! With one of `--lines`, `--state`, `--send-file`, `--device` and `--token` the client greets: it is a device, and what it
//! sends are messages. Each has one outcome, `delivered` or `failed`. `delivered` says that the server has stored it, once.
//! When the link breaks the client connects again, for as long as there is something to send or to wait for.
//!
//! Without them it does not greet, which any server of the family understands, an echo server too: what it sends are
//! requests, answered by `reply`, and its link is the only one.
//!
//! # What `--state` promises
//!
//! The state is stored before anything that needs it goes out, so a client that was killed goes on where it was when it is
//! started again with the same file: its messages are sent under the numbers that they had, and the server stores none
//! twice. A file goes on with what the server has not got. A line that was read from standard input, up to some 64 ahead, and not stored yet when the process was killed is
//! not sent. An outcome that was told and not stored yet is told once more. Without `--state` every start is a new life of
//! the device (the epoch is the clock's), and what was not delivered is lost with the process.

#[path = "support/backoff.rs"]
mod backoff;
#[path = "support/dialect.rs"]
mod dialect;
#[path = "support/hex.rs"]
mod hex;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/random.rs"]
mod random;
#[path = "support/sending.rs"]
mod sending;
#[path = "support/session.rs"]
mod session;
#[path = "support/state.rs"]
mod state;

use anyhow::{Context, Result, bail, ensure};
use backoff::{Backoff, Next};
use clap::Parser;
use dialect::DialectName;
use lines::{Doorbell, Input};
use longlink::delivery::{Epoch, MessagePolicy};
use longlink::io::std::{Clock, Driver};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Identity, Link, Storage};
use random::random;
use sending::Sending;
use serde_json::json;
use session::{Session, print};
use state::StateFile;
use std::io::BufReader;
use std::net::{TcpStream, ToSocketAddrs};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Holds a link to a server and prints what happens, one JSON object a line.
///
/// With one of --lines, --state, --send-file, --device and --token it greets and sends messages, which are stored once; it
/// connects again when the link breaks. Without them it sends requests over one link, which every server understands.
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
    /// How long the answer to a heartbeat may take before the link counts as dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    answer_timeout: u64,
    /// A message to send; may be given several times.
    #[arg(long, value_name = "TEXT")]
    send: Vec<String>,
    /// How often to send each of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// Greet, and send every line of standard input as a message.
    #[arg(long)]
    lines: bool,
    /// How often a message is tried on a link that lives and does not answer it.
    #[arg(long, value_name = "N", default_value_t = MessagePolicy::DEFAULT.attempts, value_parser = clap::value_parser!(u8).range(1..))]
    attempts: u8,
    /// How long the first try of a message waits for its answer, each further one twice as long; as the link has shown to
    /// need by default.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Greet, and keep in this file what a client needs that goes on where this one was killed.
    #[arg(long, value_name = "PATH")]
    state: Option<PathBuf>,
    /// Greet, send this file in chunks, and then a message that names it.
    #[arg(long, value_name = "FILE")]
    send_file: Option<PathBuf>,
    /// Greet as this device; by default as the one in the state, or a random one.
    #[arg(long, value_name = "N")]
    device: Option<NonZeroU64>,
    /// Greet with this proof of the account. Only over a transport that is encrypted, which this one is not.
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// How long to keep the link, at least, from when it is online.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    stay: u64,
    /// The body of the greeting in dialects whose greeting is the application's (goim, bilibili).
    #[arg(long, value_name = "TEXT", conflicts_with = "no_greeting")]
    greeting: Option<String>,
    /// Do not greet: connected is online.
    #[arg(long, conflicts_with_all = ["lines", "state", "send_file", "device", "token"])]
    no_greeting: bool,
}

impl Args {
    /// Whether this is a device, and what it sends are messages.
    fn is_device(&self) -> bool {
        let is_one = [self.state.is_some(), self.send_file.is_some(), self.device.is_some(), self.token.is_some()];
        self.lines || is_one.contains(&true)
    }

    /// What the application puts into the greeting: the token, or where the dialect leaves it to the application, all.
    fn hello(&self) -> Option<String> {
        if self.no_greeting {
            return None;
        }
        let default = match self.dialect {
            DialectName::Longlink | DialectName::Mars => None,
            DialectName::Goim => Some(r#"{"mid":1,"room_id":"live://1000","platform":"longlink","accepts":[1000]}"#),
            DialectName::Bilibili => Some(r#"{"uid":0,"roomid":1,"protover":0}"#),
        };
        self.token.clone().or(self.greeting.clone()).or(default.map(String::from))
    }

    /// Who greets. A life that keeps no state begins a new epoch: the seconds since 1970, which only grow.
    fn identity(&self, state: Option<&StateFile>) -> Option<Identity> {
        let device = self.device.or(state.and_then(StateFile::device));
        let device = device.unwrap_or(NonZeroU64::MIN.saturating_add(random() >> 1));
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let epoch = u32::try_from(seconds).ok().and_then(Epoch::new);
        let account = self.token.as_deref().map_or(0, |token| crc32c::crc32c(token.as_bytes()).into());
        self.is_device().then_some(Identity { account, device, epoch, keeps_state: state.is_some() })
    }

    fn policy(&self) -> MessagePolicy {
        let timeout = self.timeout.map(Duration::from_secs);
        MessagePolicy { attempts: self.attempts, timeout, ..MessagePolicy::DEFAULT }
    }

    fn input(&self, bell: &Doorbell, longest: usize) -> Input {
        let input = Input::new((0..self.count).flat_map(|_| self.send.iter().cloned()));
        if self.lines { input.and_lines(BufReader::new(std::io::stdin()), longest, bell.clone()) } else { input }
    }
}

type ClientLink<'b> = Link<Client<'b>, &'b mut [u8]>;

fn main() -> Result<()> {
    let args = Args::parse();
    let native = matches!(args.dialect, DialectName::Longlink);
    ensure!(native || !args.is_device(), "only in the longlink dialect there are messages and devices");
    let state = args.state.as_deref().map(StateFile::open).transpose()?;
    let (dialect, hello) = (args.dialect.dialect(), args.hello());
    let config = Config {
        dialect,
        identity: args.identity(state.as_ref()),
        hello: hello.as_deref().map(str::as_bytes),
        message: args.policy(),
        heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(args.heartbeat)),
        answer_timeout: Duration::from_secs(args.answer_timeout),
        ..Config::DEFAULT
    };
    let mut storage = Box::new(Storage::<65_792, 131_072, 96>::new());
    let mut link = storage.client(&config)?;
    let clock = Clock::start();
    if let Some(state) = &state {
        state.restore(clock.now(), link.endpoint_mut())?;
    }
    let bell = Doorbell::default();
    let longest = (dialect.max_frame as usize).saturating_sub(dialect.header_len());
    let input = args.input(&bell, longest);
    let record = state.as_ref().and_then(StateFile::record);
    let sending = args.send_file.as_deref().map(|path| Sending::new(path, record)).transpose()?;
    let session = Session::new(args.connect.clone(), config, input, bell)
        .with_file(sending)
        .with_state(state)
        .with_stay(Duration::from_secs(args.stay));
    if args.is_device() { deliver(&args, &mut link, clock, session) } else { talk(&args, &mut link, clock, session) }
}

/// Sends over one link, and ends with it.
fn talk(args: &Args, link: &mut ClientLink<'_>, clock: Clock, mut session: Session<'_>) -> Result<()> {
    let why = hold(&args.connect, link, clock, &mut session)?;
    session.finish(clock.now(), link.endpoint_mut(), why)
}

/// Sends over one link after the other, until all is settled.
fn deliver(args: &Args, link: &mut ClientLink<'_>, clock: Clock, mut session: Session<'_>) -> Result<()> {
    let mut backoff = Backoff::default();
    loop {
        let (why, next) = match hold(&args.connect, link, clock, &mut session) {
            Ok(why) => (why, Next::after(why)),
            Err(_) => (Disconnect::Transport, Next::After(Duration::ZERO)),
        };
        if session.take_success() {
            backoff.succeed();
        }
        let wait = if session.is_over(clock.now(), link.endpoint()) { None } else { backoff.wait(next) };
        match wait {
            Some(time) => thread::sleep(time),
            None => return session.finish(clock.now(), link.endpoint_mut(), why),
        }
    }
}

/// Connects, and holds the link until its end.
fn hold(server: &str, link: &mut ClientLink<'_>, clock: Clock, session: &mut Session<'_>) -> Result<Disconnect> {
    let stream = connect(server).inspect_err(|error| {
        print(&json!({"event": "disconnected", "why": "connect", "detail": format!("{error:#}")}));
    })?;
    let driver = Driver::new(stream)?;
    session.connect(driver.waker());
    link.handle_connected(clock.now());
    Ok(driver.run(link, clock, |now, client, event| session.handle(now, client, event)))
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
