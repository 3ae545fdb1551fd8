//! Holds links to a server in a task of tokio, with TLS if it is wanted: the loop to write around [`task::run`] and
//! [`task::idle`], and how other tasks send through it. Prints what happens, one JSON object a line, as the example `client` does.
//!
//! ```text
//! cargo run --release --example tokio_client -- --account ann --device phone --to bob --send hi
//! cargo run --release --example tokio_client -- --tls --ca examples/support/tls/localhost.pem --lines < messages.txt
//! ```
//!
//! ```text
//!                  ┌─────────── hold ────────────┐
//!   stdin ─┐       │ read ──▶ task::run ──▶ write │
//!          ├─ mpsc ┼────────▶ App::talk           │
//!   --send ┘   │   └────▲───────────────────┬─────┘
//!              │  Stream│                   │ over
//!              └─▶ App::dial ◀── task::idle ◀┘
//!                        ▲
//!                        └─ attempts, a task each
//! ```
//!
//! It is a device without a stored state: what is not delivered is lost with the process. How a client outlives that shows
//! the example `client --state`.

#[path = "support/tokio/app.rs"]
mod app;
#[path = "support/tokio/dialing.rs"]
mod dialing;
#[path = "support/events.rs"]
mod events;
#[path = "support/hex.rs"]
mod hex;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/inbox.rs"]
#[allow(dead_code)]
mod inbox;
#[path = "support/names.rs"]
mod names;
#[path = "support/random.rs"]
mod random;
#[path = "support/refused.rs"]
mod refused;
#[path = "support/syncing.rs"]
mod syncing;
#[path = "support/tokio/tls.rs"]
mod tls;

use anyhow::{Context, Result};
use app::App;
use clap::Parser;
use dialing::{Dialing, Secure, Stream};
use embedded_io_adapters::tokio_1::FromTokio;
use identity::parse_device;
use inbox::Inbox;
use longlink::Instant;
use longlink::io::task::{self, Clock as _};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, DialerConfig, Disconnect, Identity, Link, Storage, limits};
use longlink::sync;
use names::Names;
use random::random;
use serde_json::json;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;
use syncing::Syncing;
use tokio::io::{AsyncWriteExt, copy, sink, split};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{sleep, timeout};

/// Holds links to a server in a task of tokio, and prints what happens, one JSON object a line.
#[derive(Parser)]
struct Args {
    /// Where the server listens; may be given several times.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    connect: Vec<String>,
    /// Where it may listen besides, if it does not there; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    fallback: Vec<String>,
    /// Speak TLS.
    #[arg(long, requires = "ca")]
    tls: bool,
    /// The certificates to trust, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Whose certificate is expected; by default that of the host to connect to, of the first one if there are several.
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    /// A message to send; may be given several times.
    #[arg(long, value_name = "TEXT")]
    send: Vec<String>,
    /// Send every line of standard input as a message.
    #[arg(long)]
    lines: bool,
    /// Greet as this device, a number or a name; by default a random one.
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    device: Option<NonZeroU64>,
    /// Greet as a device of this account, and bring it up to date with the account's mailbox.
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    account: Option<String>,
    /// The account that the messages are for; by default the own one.
    #[arg(long, value_name = "NAME", requires = "account")]
    to: Option<String>,
    /// Keep what comes from the mailbox in this file; `client --inbox PATH --dump` prints it.
    #[arg(long, value_name = "PATH", requires = "account")]
    inbox: Option<PathBuf>,
    /// Greet with this proof of the account, without a mailbox. Not without TLS, where anybody can read it.
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// A heartbeat whenever one direction was silent for so many seconds; by default as long as the network has shown to allow.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: Option<u64>,
    /// How long the answer to a heartbeat may take before the link counts as dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    answer_timeout: u64,
    /// How long to keep the link, at least, from when it is online.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    stay: u64,
    /// Connect again at once when a link is lost, as a test that has no time does. Many devices that did so would keep a server
    /// down.
    #[arg(long)]
    eager: bool,
}

type ClientLink<'b> = Link<Client<'b>, &'b mut [u8]>;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(talk(&Args::parse()))
}

/// Sends over one link after the other, until all is settled or no link is of use.
async fn talk(args: &Args) -> Result<()> {
    let clock = Clock(tokio::time::Instant::now());
    let token = args.account.as_ref().or(args.token.as_ref()).map(String::as_str);
    let config = args.config(token);
    let mut storage = Box::new(Storage::<65_792, 131_072, 96, 8, { Names::MOST }>::new());
    let mut link = storage.client(&config)?;
    let syncing = args.open_inbox(link.endpoint_mut(), &config)?;
    let dialing = Dialing::new(Names::new(&args.connect, &args.fallback), args.secure()?);
    let mut app = App::new(dialing, args.messages(), syncing)
        .with_stay(Duration::from_secs(args.stay))
        .with_eagerness(args.eager);
    app.open(clock.now(), link.endpoint_mut(), random());
    let mut why = Disconnect::Closed;
    while let Some(stream) =
        task::idle(&mut link, &clock, |cx, now, client, event| app.dial(cx, now, client, event)).await
    {
        why = hold(&mut link, stream, &clock, &mut app).await;
    }
    app.finish(clock.now(), link.endpoint(), why)
}

/// Runs one link to its end.
async fn hold(link: &mut ClientLink<'_>, stream: Stream, clock: &Clock, app: &mut App) -> Disconnect {
    let (read, write) = split(stream);
    let (mut read, mut write) = (FromTokio::new(read), FromTokio::new(write));
    let run = task::run(link, &mut read, &mut write, clock, |cx, now, client, event| app.talk(cx, now, client, event));
    let why = match run.await {
        Ok(why) => why,
        Err(error) => {
            eprintln!("client: {error}");
            Disconnect::Transport
        }
    };
    if why.is_orderly() {
        // What the peer has not read yet would be lost if the socket were closed with unread bytes in it.
        let end = async {
            write.inner_mut().shutdown().await?;
            copy(read.inner_mut(), &mut sink()).await
        };
        let _ = timeout(limits::CLOSE_TIMEOUT, end).await;
    }
    why
}

/// The time of tokio, from a start.
struct Clock(tokio::time::Instant);

impl task::Clock for Clock {
    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        sleep(at - self.now())
    }
}

impl Args {
    fn config<'a>(&self, token: Option<&'a str>) -> Config<'a> {
        let device = self.device.unwrap_or(NonZeroU64::MIN.saturating_add(random() >> 1));
        let (account, epoch) = (identity::account(token), identity::epoch());
        let heartbeat = self.heartbeat.map(Duration::from_secs);
        Config {
            identity: Some(Identity { account, device, epoch, keeps_state: false }),
            hello: token.map(str::as_bytes),
            sync: self.account.is_some().then_some(sync::Config::DEFAULT),
            dialer: Some(DialerConfig::DEFAULT),
            heartbeat: heartbeat.map_or(HeartbeatPolicy::Adaptive, HeartbeatPolicy::Fixed),
            answer_timeout: Duration::from_secs(self.answer_timeout),
            ..Config::DEFAULT
        }
    }

    /// Where what comes from the mailbox is kept; the client goes on from what is there.
    fn open_inbox(&self, client: &mut Client<'_>, config: &Config<'_>) -> Result<Option<Syncing>> {
        let (Some(account), Some(identity)) = (&self.account, config.identity) else { return Ok(None) };
        let inbox = self.inbox.as_deref().map_or_else(Inbox::in_memory, Inbox::open)?;
        let syncing = Syncing::new(inbox, sync::Config::MAX_BYTES);
        syncing.restore(client, account, identity.device)?;
        Ok(Some(syncing))
    }

    fn secure(&self) -> Result<Option<Secure>> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let host = self.connect.first().and_then(|name| name.rsplit_once(':')).map(|(host, _)| host);
        let name = self.server_name.as_deref().or(host).unwrap_or_default();
        // As an address in a name has them.
        let name = name.trim_start_matches('[').trim_end_matches(']').to_string();
        let server = name.clone().try_into().with_context(|| format!("no server can be called {name:?}"))?;
        Ok(Some((tls::connector(ca)?, server)))
    }

    /// The messages, sent by tasks of their own: what reads standard input blocks, so it has a thread.
    fn messages(&self) -> Receiver<Vec<u8>> {
        const AHEAD: usize = 64;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let to = self.to.as_ref().or(self.account.as_ref()).cloned();
        let message = move |text: String| match &to {
            Some(to) => json!({"to": to, "text": text}).to_string().into_bytes(),
            None => text.into_bytes(),
        };
        let (texts, has_lines) = (self.send.clone(), self.lines);
        std::thread::spawn(move || {
            let lines = has_lines.then(|| std::io::stdin().lines().map_while(Result::ok));
            for text in texts.into_iter().chain(lines.into_iter().flatten()) {
                // Waits for room.
                if sender.blocking_send(message(text)).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
