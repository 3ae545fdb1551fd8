//! What the session tests share: a virtual clock, a seeded network, and two endpoints joined by it.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

pub mod booth;
pub mod dialing;
#[path = "../../examples/support/proxy/draw.rs"]
pub mod draw;
pub mod home;
pub mod native;
pub mod pair;
pub mod phone;
pub mod pipe;
pub mod post;
pub mod sites;
pub mod sync;
pub mod world;

pub use draw::Random;
use longlink::Instant;
use longlink::delivery::RequestPolicy;
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{
    Client, Config, Endpoint, Event, GoAway, GoAwayCode, Link, Server, ServerConfig, ServerEvent, Storage,
};
use longlink::wire::{Decoder, Dialect, Frame, encode};
use pair::{OnEvent, Pair, Side};
use pipe::Weather;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Seconds on the virtual clock.
pub const S: fn(u64) -> Instant = Instant::from_secs;

/// A server that takes a link without the native greeting.
pub const OPEN: ServerConfig = ServerConfig { needs_greeting: false, ..ServerConfig::DEFAULT };

/// A server of `dialect` that takes a link without the native greeting; where the greeting is the application's it is
/// needed.
pub fn open(dialect: &'static Dialect) -> ServerConfig {
    let needs_greeting = dialect.greeting.is_some_and(|greeting| !greeting.native);
    ServerConfig { dialect, needs_greeting, ..ServerConfig::DEFAULT }
}

/// Requests that wait so many seconds for their reply.
pub const fn replies_within(seconds: u64) -> RequestPolicy {
    RequestPolicy { timeout: Duration::from_secs(seconds), asks_again: false }
}

/// All of them.
pub const DIALECTS: [&Dialect; 4] = [&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI];

/// The defaults, with a heartbeat so often.
pub const fn every(seconds: u64) -> Config<'static> {
    Config { heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(seconds)), ..Config::DEFAULT }
}

/// A client link in memory that lives as long as the test.
pub fn client(config: Config<'static>) -> Link<Client<'static>, &'static mut [u8]> {
    let config = Box::leak(Box::new(config));
    let storage: &mut Storage<1024, 1024, 8> = Box::leak(Box::new(Storage::new()));
    storage.client(config).unwrap()
}

/// The same, connected at 0, and what that brings told.
pub fn connected(config: Config<'static>) -> Link<Client<'static>, &'static mut [u8]> {
    let mut link = client(config);
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    link
}

/// A server link with a buffer for what it sends.
pub fn server(config: ServerConfig, now: Instant) -> Link<Server<'static, Vec<u8>>, Vec<u8>> {
    server_with(config, now, 2_048, 4_096)
}

/// A server link that receives into `rx` bytes and sends from `tx`.
pub fn server_with(
    config: ServerConfig,
    now: Instant,
    rx: usize,
    tx: usize,
) -> Link<Server<'static, Vec<u8>>, Vec<u8>> {
    let config = Box::leak(Box::new(config));
    let mut server = Server::new(config, now).unwrap();
    server.lend(vec![0; tx]).unwrap();
    Link::new(Decoder::new(config.dialect, vec![0; rx]).unwrap(), server)
}

/// What a side was told, one short line an event.
#[derive(Clone, Debug, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// How many lines begin with `start`.
    pub fn count(&self, start: &str) -> usize {
        self.0.borrow().iter().filter(|line| line.starts_with(start)).count()
    }

    pub fn push(&self, line: String) {
        self.0.borrow_mut().push(line);
    }
}

/// An application that writes down what its client tells.
pub fn listening(log: &Log) -> OnEvent<Client<'static>> {
    let log = log.clone();
    Box::new(move |now, client, event| tell(&log, now, client, event))
}

fn tell(log: &Log, now: Instant, client: &mut Client<'_>, event: Event<'_>) {
    let body = |frame: &Frame<'_>| String::from_utf8_lossy(frame.body()).into_owned();
    log.push(match event {
        Event::Online { welcome: None, .. } => "online".into(),
        Event::Online { welcome: Some(frame), .. } => format!("online {}", body(&frame)),
        Event::Heartbeat { .. } => "heartbeat".into(),
        Event::Push(frame) => format!("push {}/{} {}", frame.command(), frame.sequence(), body(&frame)),
        Event::Reply { token, frame } => format!("reply {} {}", token.sequence(), body(&frame)),
        Event::Failed { token, why, written } => format!("failed {} {why:?} {written}", token.sequence()),
        Event::GoAway(goaway) => format!("goaway {:?}", goaway.code()),
        Event::Offline(why) => format!("offline {}", why.name()),
        Event::Batch(batch) => {
            for frame in batch {
                if let Some(event) = client.handle_frame(now, frame.unwrap()) {
                    tell(log, now, client, event);
                }
            }
            return;
        }
        Event::Delivered { token } => format!("delivered {}", token.sequence()),
        Event::Cancelled { token, written } => format!("cancelled {} {written}", token.sequence()),
        Event::EpochLost { to, .. } => format!("epoch {to}"),
        Event::ServerRewound { from, to } => format!("rewound {from} {to}"),
        other => panic!("{other:?}"),
    });
}

/// A server's application: it welcomes, answers a request with its own body, and writes down what it was told.
pub fn answering(log: &Log) -> OnEvent<Server<'static, Vec<u8>>> {
    let log = log.clone();
    Box::new(move |now, server, event| {
        log.push(match event {
            ServerEvent::Greeting(frame) => {
                server.welcome_with(now, b"welcome").unwrap();
                format!("greeting {}", String::from_utf8_lossy(frame.body()))
            }
            ServerEvent::Request(frame) => {
                // A server that is closing does not answer any more.
                let _ = server.reply(now, frame.command(), frame.sequence(), frame.body());
                format!("request {}/{}", frame.command(), frame.sequence())
            }
            ServerEvent::OneWay(frame) => format!("one-way {}", frame.command()),
            ServerEvent::GoAway(goaway) => format!("goaway {:?}", goaway.code()),
            ServerEvent::Offline(why) => format!("offline {}", why.name()),
            other => panic!("{other:?}"),
        });
    })
}

/// A client and a server that talk, and what each was told.
pub struct Talk {
    pub pair: ClientAndServer,
    pub client: Log,
    pub server: Log,
}

pub type ClientAndServer = Pair<Client<'static>, &'static mut [u8], Server<'static, Vec<u8>>, Vec<u8>>;

impl Talk {
    pub fn new(config: Config<'static>, server_config: ServerConfig, weather: Weather, seed: u64) -> Self {
        let (client_log, server_log) = (Log::default(), Log::default());
        let mut left = Side::new(client(config), listening(&client_log));
        let right = Side::new(server(server_config, Instant::ZERO), answering(&server_log));
        left.link.handle_connected(Instant::ZERO);
        Self { pair: Pair::new(left, right, weather, seed), client: client_log, server: server_log }
    }

    /// Both with their defaults, over a network without faults.
    pub fn fine() -> Self {
        Self::new(Config::DEFAULT, OPEN, Weather::FINE, 1)
    }

    /// Both with their defaults in `dialect`; the client greets where it can.
    pub fn in_dialect(dialect: &'static Dialect, weather: Weather, seed: u64) -> Self {
        let greets = dialect.greeting.is_some_and(|greeting| !greeting.native);
        let hello = greets.then_some(&b"hello"[..]);
        let config = Config { dialect, hello, ..Config::DEFAULT };
        Self::new(config, open(dialect), weather, seed)
    }

    pub fn run(&mut self, seconds: u64) {
        self.pair.run(Duration::from_secs(seconds));
    }

    /// The client's commands.
    pub fn client(&mut self) -> (Instant, &mut Client<'static>) {
        (self.pair.now, self.pair.left.link.endpoint_mut())
    }

    /// The server's commands.
    pub fn server(&mut self) -> (Instant, &mut Server<'static, Vec<u8>>) {
        (self.pair.now, self.pair.right.link.endpoint_mut())
    }
}

/// A frame, as the peer would write it.
pub fn frame(dialect: &Dialect, command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 32 + body.len()];
    let length = encode(dialect, command, sequence, body, &mut out).unwrap();
    out.truncate(length);
    out
}

/// A goaway of the native dialect, and of those made from it.
pub fn goaway(code: GoAwayCode) -> Vec<u8> {
    frame(&Dialect::LONGLINK, 247, 0, &GoAway::new(code).to_bytes())
}

/// Gives a link bytes as if they had been read in one piece.
pub fn feed<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(
    link: &mut Link<E, B>,
    now: Instant,
    bytes: &[u8],
    mut on: impl FnMut(&mut E, E::Event<'_>),
) {
    let space = link.space();
    assert!(space.len() >= bytes.len(), "no space for {} bytes", bytes.len());
    space[..bytes.len()].copy_from_slice(bytes);
    link.handle_read(now, bytes.len());
    link.process(now, &mut on);
}

/// Takes all that a link wants to write.
pub fn written<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<E, B>, now: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = link.endpoint_mut().poll_transmit() {
        let n = bytes.len();
        all.extend_from_slice(bytes);
        link.endpoint_mut().handle_sent(now, n);
    }
    all
}
