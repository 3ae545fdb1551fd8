//! Holds a link to a server, sends messages and prints what happens, one JSON object a line.
//!
//! ```text
//! cargo run --release --example client -- --send hello --heartbeat 1 --stay 5
//! cargo run --release --example client -- --lines --state ./device.state < messages.txt
//! cargo run --release --example client -- --account ann --device phone --to bob --send hi --inbox ./ann.redb
//! ```
//!
//! Every line has an `"event"`: `online`, `heartbeat`, `delivered`, `reply`, `push`, `failed`, `goaway` or `disconnected`,
//! and those of a device that dials, and of a mailbox, below. The exit code is 0 when every message was delivered, or
//! answered, and the link was closed from here; otherwise the reason stands on standard error.
//!
//! # Two ways to send
//!
//! With one of `--lines`, `--state`, `--send-file`, `--device`, `--account`, `--inbox`, `--token`, `--network` and
//! `--background-after` the client greets: it is a device, and what it sends are messages. Each has one outcome, `delivered`
//! or `failed`. `delivered` says that the server has stored it, once. When the link breaks the client connects again, for as
//! long as there is something to send or to wait for.
//!
//! Without them it does not greet, which any server of the family understands, an echo server too: what it sends are
//! requests, answered by `reply`, and its link is the only one.
//!
//! # How a device comes by its links
//!
//! The library says when to connect, and to which address: one of `--connect`, which may be names and may be several, and if
//! none works of `--fallback`. Of either those come first whose last attempt did not fail, then those with the ports 8080, 80
//! and 443, then in their order, IPv6 and IPv4 by turns. An address that does not answer within a second has another one
//! tried beside it, and the first at which a heartbeat is answered is the link.
//!
//! | event | what it says |
//! |---|---|
//! | `connect` | an attempt begins: its number, the address, and whether it only checks if that is better than the one in use |
//! | `refused` | it failed: `fault` is `refused`, `unreachable`, `silent` or `foreign` (what answers is another service) |
//! | `abandoned` | it was given up: another was faster, or it took too long |
//! | `resolve` | the names are resolved anew |
//! | `waiting` | without a link, and without an attempt: for which timer, and how long at most; `null` if only something from outside ends it |
//! | `poll` | there has been no link for long enough to ask for what is new in another way, which this client has not |
//! | `background` | `--background-after` is over |
//! | `dormant` | the link was closed in the background, `--linger` after that. A message that is sent wakes the device |
//! | `network_learned` | how long a silence the network allows: the interval of heartbeats, what was proven, and whether the search is over |
//!
//! Without `--heartbeat` a device finds out how rarely it may send one. What it learns is of use another time if the network
//! has a name, `--network LABEL`, and there is a `--state` to keep it in.
//!
//! # What `--state` promises
//!
//! The state is stored before anything that needs it goes out, so a client that was killed goes on where it was when it is
//! started again with the same file: its messages are sent under the numbers that they had, and the server stores none
//! twice. A file goes on with what the server has not got. A line that was read from standard input, up to some 64 ahead, and
//! not stored yet when the process was killed is not sent; `restored` says how many messages in the state have no outcome yet,
//! and the `first` and the `last` of their sequences, so that whoever feeds the client knows what it had taken. An outcome
//! that was told and not stored yet is told once more. Without `--state` every start is a new life of the device (the epoch is
//! the clock's), and what was not delivered is lost with the process.
//!
//! # The mailbox
//!
//! With `--account`, or `--inbox`, the device is brought up to date on every link: with what others sent to its account, and
//! with what the account's devices sent, itself included. Messages go to the account `--to`, which is its own by default.
//!
//! | event | what it says |
//! |---|---|
//! | `item` | something new is stored: `key` (1 from others, 2 the account's own) and `val`, `id`, `from`, `to`, `text` |
//! | `caught_up` | all that the mailbox had is here |
//! | `gap` | what came behind `after` under `key` is gone for good: the device was away for too long |
//! | `reset` | the mailbox begins anew: as a whole (`epoch`), and what is here stays and is not told when it comes again; or under one `key`, and what is here of it goes |
//! | `sync_failed` | why it did not work; it is tried again |
//!
//! With `--inbox PATH` the items and the cursor are in one redb file, a page and the cursor after it in one transaction:
//! however often the client is killed, each item is in it once (`support/inbox.rs`). An item is told once it is stored, so what was
//! stored when the process died is in the file and was perhaps not told; `--inbox PATH --dump` prints all that is there. An
//! inbox belongs to one device: without `--device` it is the one whose inbox it is. Without `--inbox` the items last as long
//! as the process.

#[path = "support/bell.rs"]
mod bell;
#[path = "support/dialect.rs"]
mod dialect;
#[path = "support/dialing.rs"]
mod dialing;
#[path = "support/events.rs"]
mod events;
#[path = "support/hex.rs"]
mod hex;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/inbox.rs"]
pub(crate) mod inbox;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/names.rs"]
mod names;
#[path = "support/networks.rs"]
mod networks;
#[path = "support/random.rs"]
mod random;
#[path = "support/refused.rs"]
mod refused;
#[path = "support/sending.rs"]
mod sending;
#[path = "support/session.rs"]
mod session;
#[path = "support/state.rs"]
mod state;
#[path = "support/syncing.rs"]
mod syncing;
#[path = "support/trying.rs"]
mod trying;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bell::Doorbell;
use clap::Parser;
use dialect::DialectName;
use dialing::Dialing;
use events::print;
use identity::parse_device;
use inbox::Inbox;
use lines::Input;
use longlink::delivery::MessagePolicy;
use longlink::io::std::{Clock, Driver};
use longlink::liveness::{HeartbeatPolicy, Network};
use longlink::session::{Client, Config, DialerConfig, Disconnect, Identity, Link, Storage};
use longlink::sync;
use names::Names;
use random::random;
use sending::Sending;
use serde_json::json;
use session::Session;
use state::StateFile;
use std::io::BufReader;
use std::net::{TcpStream, ToSocketAddrs};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;
use syncing::Syncing;

/// Holds a link to a server and prints what happens, one JSON object a line.
///
/// With one of --lines, --state, --send-file, --device, --account, --inbox and --token it greets and sends messages, which are
/// stored once; it connects again when the link breaks. Without them it sends requests over one link, which every server
/// understands.
#[derive(Parser)]
pub(crate) struct Args {
    /// Where the server listens; may be given several times.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    connect: Vec<String>,
    /// Where it may listen besides, if it does not there; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    fallback: Vec<String>,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,
    /// A heartbeat whenever one direction was silent for so many seconds; without greeting 30 by default, and else as long
    /// as the network has shown to allow.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: Option<u64>,
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
    /// Greet as this device, a number or a name; by default as the one in the state or the inbox, or a random one.
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    device: Option<NonZeroU64>,
    /// Greet as a device of this account, and bring it up to date with the account's mailbox.
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    account: Option<String>,
    /// The account that the messages are for; by default the own one.
    #[arg(long, value_name = "NAME", requires = "account")]
    to: Option<String>,
    /// Greet, and keep what comes from the mailbox in this file.
    #[arg(long, value_name = "PATH")]
    inbox: Option<PathBuf>,
    /// Print what is in the inbox, and nothing else.
    #[arg(long, requires = "inbox")]
    dump: bool,
    /// How many bytes a page of the mailbox may have; of an item that is longer the rest is fetched by itself.
    #[arg(long, value_name = "BYTES", requires = "account", value_parser = clap::value_parser!(u32).range(256..=65_536))]
    page: Option<u32>,
    /// Greet with this proof of the account. Only over a transport that is encrypted, which this one is not.
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// How long to keep the link, at least, from when it is online.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    stay: u64,
    /// Greet, and remember what is learned of the network under this name of it, in the state.
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    /// Greet, and be in the background after so long.
    #[arg(long, value_name = "SECONDS")]
    background_after: Option<u64>,
    /// How long the link is kept in the background.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, requires = "background_after")]
    linger: u64,
    /// Connect to the first address again and again when a link is lost, as a test that has no time does. Many devices that
    /// did so would keep a server down.
    #[arg(long)]
    eager: bool,
    /// The body of the greeting in dialects whose greeting is the application's (goim, bilibili).
    #[arg(long, value_name = "TEXT", conflicts_with = "no_greeting")]
    greeting: Option<String>,
    /// Do not greet: connected is online.
    #[arg(long, conflicts_with_all = ["lines", "state", "send_file", "device", "account", "inbox", "token", "network", "background_after"])]
    no_greeting: bool,
}

impl Args {
    /// Whether this is a device, and what it sends are messages.
    fn is_device(&self) -> bool {
        let has_files = self.state.is_some() || self.send_file.is_some();
        let has_name = self.device.is_some() || self.token.is_some();
        let is_around = self.network.is_some() || self.background_after.is_some();
        self.lines || self.has_mailbox() || has_files || has_name || is_around
    }

    /// Whether it is brought up to date.
    fn has_mailbox(&self) -> bool {
        self.account.is_some() || self.inbox.is_some()
    }

    /// What names the account.
    fn token(&self) -> Option<&String> {
        self.account.as_ref().or(self.token.as_ref())
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
        self.token().or(self.greeting.as_ref()).cloned().or(default.map(String::from))
    }

    /// Who greets. A life that keeps no state begins a new epoch.
    fn identity(&self, state: Option<&StateFile>, inbox: Option<NonZeroU64>) -> Option<Identity> {
        let device = self.device.or(state.and_then(StateFile::device)).or(inbox);
        let device = device.unwrap_or(NonZeroU64::MIN.saturating_add(random() >> 1));
        let (account, epoch) = (identity::account(self.token().map(String::as_str)), identity::epoch());
        self.is_device().then_some(Identity { account, device, epoch, keeps_state: state.is_some() })
    }

    fn heartbeat(&self) -> HeartbeatPolicy {
        match self.heartbeat {
            None if self.is_device() => HeartbeatPolicy::Adaptive,
            seconds => HeartbeatPolicy::Fixed(Duration::from_secs(seconds.unwrap_or(30))),
        }
    }

    /// A device has the library say when to connect.
    fn dialer(&self) -> Option<DialerConfig> {
        let linger = Some(Duration::from_secs(self.linger));
        self.is_device().then_some(DialerConfig { linger, ..DialerConfig::DEFAULT })
    }

    fn policy(&self) -> MessagePolicy {
        let timeout = self.timeout.map(Duration::from_secs);
        MessagePolicy { attempts: self.attempts, timeout, ..MessagePolicy::DEFAULT }
    }

    fn open_inbox(&self) -> Result<Option<Inbox>> {
        if !self.has_mailbox() {
            return Ok(None);
        }
        self.inbox.as_deref().map_or_else(Inbox::in_memory, Inbox::open).map(Some)
    }

    fn sync(&self) -> Option<sync::Config<'static>> {
        self.has_mailbox().then_some(sync::Config { max_bytes: self.page, ..sync::Config::DEFAULT })
    }

    /// What each message says of whom it is for.
    fn recipient(&self) -> Option<String> {
        self.to.as_ref().or(self.account.as_ref()).cloned()
    }

    fn input(&self, bell: &Doorbell, longest: usize) -> Input {
        let input = Input::new((0..self.count).flat_map(|_| self.send.iter().cloned()));
        if self.lines { input.and_lines(BufReader::new(std::io::stdin()), longest, bell.clone()) } else { input }
    }
}

type ClientLink<'b> = Link<Client<'b>, &'b mut [u8]>;

fn main() -> Result<()> {
    run(&Args::parse())
}

/// Does what the arguments say, to its end.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(path) = args.inbox.as_deref().filter(|_| args.dump) {
        return Inbox::open_existing(path)?.for_each(|item| print(&item.line()));
    }
    let native = matches!(args.dialect, DialectName::Longlink);
    ensure!(native || !args.is_device(), "only in the longlink dialect there are messages and devices");
    let mut state = args.state.as_deref().map(StateFile::open).transpose()?;
    let inbox = args.open_inbox()?;
    let owner = inbox.as_ref().map_or(Ok(None), Inbox::device)?;
    let (dialect, hello) = (args.dialect.dialect(), args.hello());
    let config = Config {
        dialect,
        identity: args.identity(state.as_ref(), owner),
        sync: args.sync(),
        hello: hello.as_deref().map(str::as_bytes),
        message: args.policy(),
        heartbeat: args.heartbeat(),
        dialer: args.dialer(),
        answer_timeout: Duration::from_secs(args.answer_timeout),
        ..Config::DEFAULT
    };
    let mut storage = Box::new(Storage::<65_792, 131_072, 96, 8, { Names::MOST }>::new());
    let mut link = storage.client(&config)?;
    let clock = Clock::start();
    if let Some(state) = &state {
        state.restore(clock.now(), link.endpoint_mut())?;
        tell_restored(link.endpoint());
    }
    if let Some(network) = args.network.as_ref().map(|label| Network::named(label.as_bytes())) {
        let record = state.as_mut().and_then(|state| state.networks().get(network).copied());
        link.endpoint_mut().set_network(clock.now(), Some(network), record.as_ref());
    }
    let (bell, news) = Doorbell::new();
    let longest = (dialect.max_frame as usize).saturating_sub(dialect.header_len());
    let input = args.input(&bell, longest);
    let record = state.as_ref().and_then(StateFile::record);
    let syncing = inbox.map(|inbox| Syncing::new(inbox, args.page.unwrap_or(sync::Config::MAX_BYTES)));
    if let (Some(syncing), Some(identity)) = (&syncing, config.identity) {
        syncing.restore(link.endpoint_mut(), args.token().map_or("", String::as_str), identity.device)?;
    }
    let sending = args.send_file.as_deref().map(|path| Sending::new(path, args.recipient(), record)).transpose()?;
    let mut session = Session::new(config, input, bell.clone())
        .with_recipient(args.recipient())
        .with_mailbox(syncing)
        .with_file(sending)
        .with_state(state)
        .with_stay(Duration::from_secs(args.stay))
        .with_background(clock.now(), args.background_after.map(Duration::from_secs));
    if !args.is_device() {
        return talk(args, &mut link, clock, session);
    }
    let dialing = Dialing::new(Names::new(&args.connect, &args.fallback), dialect, bell, news);
    session.dial(clock.now(), link.endpoint_mut(), dialing.with_eagerness(args.eager));
    deliver(&mut link, clock, session)
}

/// Says which messages an earlier life left to this one.
fn tell_restored(client: &Client<'_>) {
    let sequences: Vec<_> = client.messages().map(|message| message.token.sequence()).collect();
    if let (Some(first), Some(last)) = (sequences.iter().min(), sequences.iter().max()) {
        print(&json!({"event": "restored", "unsettled": sequences.len(), "first": first, "last": last}));
    }
}

/// Sends over one link, and ends with it.
fn talk(args: &Args, link: &mut ClientLink<'_>, clock: Clock, mut session: Session<'_>) -> Result<()> {
    let stream = connect(args.connect.iter().chain(&args.fallback)).inspect_err(|error| {
        print(&json!({"event": "disconnected", "why": "connect", "detail": format!("{error:#}")}));
    })?;
    let (address, driver) = (stream.peer_addr()?, Driver::new(stream)?);
    session.connect(address, driver.waker());
    link.handle_connected(clock.now());
    let why = driver.run(link, clock, |now, client, event| session.handle(now, client, event));
    session.finish(clock.now(), link.endpoint_mut(), why)
}

/// Connects to the first address that answers.
fn connect<'n>(names: impl Iterator<Item = &'n String>) -> Result<TcpStream> {
    let mut last = None;
    for name in names {
        match connect_to(name) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow!("nowhere to connect to")))
}

fn connect_to(name: &str) -> Result<TcpStream> {
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

/// Sends over one link after the other, until all is settled or no link is of use.
fn deliver(link: &mut ClientLink<'_>, clock: Clock, mut session: Session<'_>) -> Result<()> {
    let mut why = Disconnect::Closed;
    while let Some(driver) = next_link(link, clock, &mut session) {
        why = driver.run(link, clock, |now, client, event| session.handle(now, client, event));
    }
    session.finish(clock.now(), link.endpoint_mut(), why)
}

/// Does without a link what there is to do, until there is one. `None` if none is wanted any more.
fn next_link(link: &mut ClientLink<'_>, clock: Clock, session: &mut Session<'_>) -> Option<Driver> {
    loop {
        let now = clock.now();
        link.process(now, |client, event| session.handle(now, client, Some(event)));
        session.act(now, link.endpoint_mut());
        // What that brought about.
        link.process(now, |client, event| session.handle(now, client, Some(event)));
        if !link.endpoint().wants_link() {
            return None;
        }
        let Some(won) = session.wait(clock, link.endpoint_mut()) else { continue };
        let is_link = match won.attempt {
            Some(attempt) => link.handle_alive(clock.now(), attempt),
            None => {
                link.handle_connected(clock.now());
                true
            }
        };
        if is_link {
            session.connect(won.address, won.driver.waker());
            return Some(won.driver);
        }
    }
}
