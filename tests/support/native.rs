//! The native dialect, frame by frame: a client and a server each against a peer that the test plays itself.

use super::pair::OnEvent;
use super::{Log, frame, listening, written};
use longlink::Instant;
use longlink::delivery::{Epoch, Ledger, MessageId, RejectCode, Rejection, Slot, Token, Verdict};
use longlink::session::{
    Client, Config, Disconnect, Identity, Link, Refuse, SendError, Server, ServerConfig, ServerEvent, Work,
};
use longlink::wire::{Decoded, Decoder, Dialect, decode};
use std::collections::HashMap;
use std::num::NonZeroU64;

pub const HELLO: u32 = 205;
pub const MESSAGE: u32 = 237;
pub const HEARTBEAT: u32 = 6;
pub const REPLY: u32 = 1_000_000_000;

pub const DEVICE: NonZeroU64 = NonZeroU64::new(0xD0_0D1E).unwrap();

/// A device that keeps no state.
pub const VOLATILE: Config<'static> = Config { identity: Some(Identity::volatile(DEVICE)), ..Config::DEFAULT };

/// A device that keeps its state, and has the peer name its first epoch.
pub const KEPT: Config<'static> =
    Config { identity: Some(Identity { keeps_state: true, ..Identity::volatile(DEVICE) }), ..Config::DEFAULT };

pub fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

/// A frame taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    pub command: u32,
    pub sequence: u32,
    pub body: Vec<u8>,
}

/// The whole frames that `bytes` consist of.
pub fn frames_in(dialect: &Dialect, mut bytes: &[u8]) -> Vec<Wire> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Ok(Decoded::Frame(frame)) = decode(dialect, bytes) else { panic!("not whole frames: {bytes:?}") };
        all.push(Wire { command: frame.command(), sequence: frame.sequence(), body: frame.body().to_vec() });
        bytes = &bytes[frame.length()..];
    }
    all
}

/// The sequences of the messages among some frames.
pub fn messages(frames: &[Wire]) -> Vec<u32> {
    frames.iter().filter(|frame| frame.command == MESSAGE).map(|frame| frame.sequence).collect()
}

/// A server's answer to a hello, field by field; nothing in it has to fit together.
#[derive(Clone, Debug)]
pub struct Welcome {
    pub first: u8,
    pub status: u8,
    pub flags: u8,
    pub width: u8,
    pub idle: u16,
    pub epoch: u32,
    pub link: u32,
    pub max_frame: u32,
    pub last: u32,
    pub retry_after: u32,
    pub bitmap: Vec<u8>,
}

impl Welcome {
    /// Of a server that has exactly these messages, under a window of 64.
    pub fn having(epoch: u32, link: u32, accepted: &[u32]) -> Self {
        Self::with_width(epoch, link, 8, accepted)
    }

    /// The same, under a window of `width` bytes.
    pub fn with_width(epoch: u32, link: u32, width: u8, accepted: &[u32]) -> Self {
        let last = accepted.iter().copied().max().unwrap_or(0);
        let mut bitmap = vec![0; width.into()];
        for behind in accepted.iter().map(|sequence| (last - sequence) as usize) {
            bitmap[behind / 8] |= 1 << (behind % 8);
        }
        let flags = u8::from(last > 0);
        let (first, idle, max_frame) = (0x81, 900, 65_792);
        Self { first, status: 0, flags, width, idle, epoch, link, max_frame, last, retry_after: 0, bitmap }
    }

    /// A no.
    pub fn refusing(status: u8, epoch: u32, link: u32) -> Self {
        Self { status, flags: 0, width: 0, bitmap: Vec::new(), ..Self::having(epoch, link, &[]) }
    }

    pub fn body(&self) -> Vec<u8> {
        let mut body = vec![self.first, self.status, self.flags, self.width];
        body.extend(self.idle.to_be_bytes());
        body.extend([0, 0]);
        for number in [self.epoch, self.link, self.max_frame, self.last, self.retry_after] {
            body.extend(number.to_be_bytes());
        }
        body.extend(&self.bitmap);
        body
    }
}

/// What a hello says, of whatever form it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greets {
    pub epoch: u32,
    pub link: u32,
    pub resume: bool,
}

impl Greets {
    /// Read from what a client wrote.
    pub fn of(body: &[u8]) -> Self {
        let word = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        Self { epoch: word(4), link: word(16), resume: body[1] & 1 == 1 }
    }

    /// The frame of a hello by a device.
    pub fn frame_of(self, device: u64) -> Vec<u8> {
        frame(&Dialect::LONGLINK, HELLO, 0xFFFF_FFFE, &self.body(device, b"token"))
    }

    pub fn body(self, device: u64, token: &[u8]) -> Vec<u8> {
        let mut body = vec![1, u8::from(self.resume), 0, 30];
        body.extend(self.epoch.to_be_bytes());
        body.extend(device.to_be_bytes());
        body.extend(self.link.to_be_bytes());
        body.extend(65_792_u32.to_be_bytes());
        body.extend([0, 0]);
        body.extend((token.len() as u16).to_be_bytes());
        body.extend(token);
        body
    }
}

/// A client, to which the test plays the server.
pub struct Device {
    pub link: Link<Client<'static>, Vec<u8>>,
    pub now: Instant,
    pub dialect: &'static Dialect,
    log: Log,
    told: usize,
    on: OnEvent<Client<'static>>,
}

impl Device {
    pub fn new(config: Config<'static>) -> Self {
        Self::with_memory(config, 4_096, 16)
    }

    pub fn with_memory(config: Config<'static>, tx: usize, slots: usize) -> Self {
        let config: &'static Config<'static> = Box::leak(Box::new(config));
        let rx = 2_048;
        let tx = Box::leak(vec![0; tx].into_boxed_slice());
        let slots = Box::leak(vec![Slot::FREE; slots].into_boxed_slice());
        let client = Client::new(config, Work { rx, tx, slots, sync: None, dialer: None }).unwrap();
        let link = Link::new(Decoder::new(config.dialect, vec![0; rx]).unwrap(), client);
        let log = Log::default();
        let on = listening(&log);
        Self { link, now: Instant::ZERO, dialect: config.dialect, log, told: 0, on }
    }

    /// The time is `seconds`; what is due is done.
    pub fn at(&mut self, seconds: u64) -> &mut Self {
        self.at_millis(seconds * 1_000)
    }

    pub fn at_millis(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self.process();
        self
    }

    /// Lets time pass from deadline to deadline, as a driver does.
    pub fn pass_until(&mut self, seconds: u64) -> &mut Self {
        let end = Instant::from_secs(seconds);
        while let Some(at) = self.link.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.process();
        }
        self.now = end;
        self
    }

    pub fn process(&mut self) {
        let (now, on) = (self.now, &mut self.on);
        self.link.process(now, |client, event| on(now, client, event));
    }

    pub fn client(&mut self) -> &mut Client<'static> {
        self.link.endpoint_mut()
    }

    /// All that it writes now.
    pub fn bytes(&mut self) -> Vec<u8> {
        written(&mut self.link, self.now)
    }

    /// The same, as frames.
    pub fn frames(&mut self) -> Vec<Wire> {
        let bytes = self.bytes();
        frames_in(self.dialect, &bytes)
    }

    /// The sequences of the messages that it writes now.
    pub fn messages(&mut self) -> Vec<u32> {
        messages(&self.frames())
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let (now, on) = (self.now, &mut self.on);
        super::feed(&mut self.link, now, bytes, |client, event| on(now, client, event));
    }

    pub fn give(&mut self, command: u32, sequence: u32, body: &[u8]) {
        let bytes = frame(self.dialect, command, sequence, body);
        self.feed(&bytes);
    }

    pub fn ack(&mut self, sequence: u32) {
        self.give(self.dialect.reply_to(self.dialect.message), sequence, &[]);
    }

    pub fn reject(&mut self, sequence: u32, code: RejectCode) {
        let body = Rejection::new(code).to_bytes();
        self.give(self.dialect.reply_to(self.dialect.message), sequence, &body);
    }

    /// A connection, and the hello that comes first on it.
    pub fn connect(&mut self) -> Greets {
        self.link.handle_connected(self.now);
        self.process();
        let frames = self.frames();
        assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HELLO], "nothing precedes the reply");
        Greets::of(&frames[0].body)
    }

    pub fn welcome(&mut self, welcome: &Welcome) {
        self.give(HELLO + REPLY, 0xFFFF_FFFE, &welcome.body());
    }

    /// Connects to a server that has these messages of the epoch that the device asks for, or of epoch 1.
    pub fn greet(&mut self, accepted: &[u32]) -> Greets {
        let hello = self.connect();
        self.welcome(&Welcome::having(hello.epoch.max(1), hello.link, accepted));
        hello
    }

    /// The connection breaks.
    pub fn cut(&mut self) -> &mut Self {
        self.link.handle_disconnected(self.now, Disconnect::Transport);
        self.process();
        self
    }

    pub fn send(&mut self, body: &[u8]) -> Token {
        self.try_send(body).unwrap()
    }

    pub fn try_send(&mut self, body: &[u8]) -> Result<Token, SendError> {
        let now = self.now;
        let token = self.client().send(now, body);
        self.process();
        token
    }

    pub fn send_again(&mut self, sequence: u32, body: &[u8]) -> Result<Token, SendError> {
        let now = self.now;
        let epoch = self.client().epoch();
        let token = self.client().send_again(now, epoch, sequence, body);
        self.process();
        token
    }

    pub fn cancel(&mut self, token: Token) {
        let now = self.now;
        self.client().cancel(now, token);
        self.process();
    }

    /// The state as it would be stored now. The client is not told that it is.
    pub fn state(&mut self) -> Vec<u8> {
        let now = self.now;
        let mut state = vec![0; self.client().state_len()];
        let length = self.client().save(now, &mut state).unwrap();
        assert_eq!(length, state.len());
        state
    }

    /// Stores the state.
    pub fn save(&mut self) -> Vec<u8> {
        let (state, now) = (self.state(), self.now);
        self.client().handle_saved(now);
        self.process();
        state
    }

    /// Another process of the same device, from stored state.
    pub fn restored(config: Config<'static>, state: &[u8]) -> Self {
        let mut device = Self::new(config);
        device.client().restore(Instant::ZERO, state).unwrap();
        device.process();
        device
    }

    /// What the application was told since this was asked last.
    pub fn told(&mut self) -> Vec<String> {
        self.process();
        let lines = self.log.lines();
        let new = lines[self.told..].to_vec();
        self.told = lines.len();
        new
    }
}

/// A server link, to which the test plays the client and the store.
pub struct Gate {
    pub link: Link<Server<'static, Vec<u8>>, Vec<u8>>,
    pub now: Instant,
    /// What was offered, in order.
    pub offered: Vec<(MessageId, Vec<u8>)>,
    /// Everything else that the application was told.
    pub told: Vec<String>,
}

impl Gate {
    pub fn new(config: ServerConfig, now: Instant) -> Self {
        Self::with_memory(config, now, 32_768, 8_192)
    }

    pub fn with_memory(config: ServerConfig, now: Instant, rx: usize, tx: usize) -> Self {
        Self { link: super::server_with(config, now, rx, tx), now, offered: Vec::new(), told: Vec::new() }
    }

    pub fn server(&mut self) -> &mut Server<'static, Vec<u8>> {
        self.link.endpoint_mut()
    }

    /// Feeds bytes; hellos are answered from `ledger`.
    pub fn feed(&mut self, ledger: &mut Ledger, bytes: &[u8]) {
        let (now, offered, told) = (self.now, &mut self.offered, &mut self.told);
        super::feed(&mut self.link, now, bytes, |server, event| match event {
            ServerEvent::Hello(hello) => {
                told.push(format!("hello {}", hello.link));
                greet(now, ledger, server, hello.epoch, hello.link);
            }
            ServerEvent::Message { id, frame } => offered.push((id, frame.body().to_vec())),
            ServerEvent::Request(frame) => told.push(format!("request {}/{}", frame.command(), frame.sequence())),
            ServerEvent::OneWay(frame) => told.push(format!("one-way {}", frame.command())),
            other => told.push(format!("{other:?}")),
        });
    }

    pub fn message(&mut self, ledger: &mut Ledger, sequence: u32, body: &[u8]) {
        self.feed(ledger, &frame(&Dialect::LONGLINK, MESSAGE, sequence, body));
    }

    /// A greeted link of epoch 1.
    pub fn greeted(ledger: &mut Ledger, number: u32) -> Self {
        Self::greeted_with(ServerConfig::DEFAULT, ledger, number)
    }

    pub fn greeted_with(config: ServerConfig, ledger: &mut Ledger, number: u32) -> Self {
        let mut gate = Self::new(config, Instant::ZERO);
        gate.feed(ledger, &Greets { epoch: 1, link: number, resume: false }.frame_of(DEVICE.get()));
        let frames = gate.frames();
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!((frames[0].command, frames[0].body[1]), (HELLO + REPLY, 0), "{frames:?}");
        gate.told.clear();
        gate
    }

    pub fn frames(&mut self) -> Vec<Wire> {
        let bytes = written(&mut self.link, self.now);
        frames_in(&Dialect::LONGLINK, &bytes)
    }

    /// The answers to messages that it writes now: the sequence, and the code of a rejection.
    pub fn answers(&mut self) -> Vec<(u32, Option<u16>)> {
        let answers = self.frames();
        let answers = answers.iter().filter(|frame| frame.command == MESSAGE + REPLY);
        answers.map(|frame| (frame.sequence, frame.body.first_chunk().map(|code| u16::from_be_bytes(*code)))).collect()
    }

    /// The identity of the message that was offered under `sequence` last.
    pub fn id(&self, sequence: u32) -> MessageId {
        let all = &mut self.offered.iter().rev().map(|(id, _)| *id);
        all.find(|id| id.sequence == sequence).unwrap()
    }
}

fn greet(
    now: Instant,
    ledger: &mut Ledger,
    server: &mut Server<'static, Vec<u8>>,
    epoch: Option<Epoch>,
    link: u32,
) -> bool {
    match ledger.greet(epoch, link) {
        Ok(greeted) => server.welcome(now, ledger, greeted.resumed).is_ok(),
        Err(stale) => server.refuse(now, &Refuse::from(stale)).is_err(),
    }
}

/// A service with a store: it takes each message once, keyed by account and device.
#[derive(Default)]
pub struct Service {
    pub ledgers: HashMap<(u64, u64), Ledger>,
    /// Account, epoch, sequence, body.
    pub stored: Vec<(u64, u32, u32, Vec<u8>)>,
    /// How many hellos were taken, and refused.
    pub greeted: usize,
    pub refused: usize,
}

impl Service {
    pub fn ledger(&self, account: u64) -> Ledger {
        self.ledgers.get(&(account, DEVICE.get())).copied().unwrap_or_default()
    }

    pub fn bodies(&self) -> Vec<String> {
        self.stored.iter().map(|(.., body)| String::from_utf8_lossy(body).into_owned()).collect()
    }

    /// What the service does with an event of a link whose token names `account`.
    pub fn handle(
        &mut self,
        account: u64,
        now: Instant,
        server: &mut Server<'static, Vec<u8>>,
        event: ServerEvent<'_>,
    ) {
        match event {
            ServerEvent::Hello(hello) => {
                let ledger = self.ledgers.entry((account, hello.device.get())).or_default();
                match ledger.greet(hello.epoch, hello.link) {
                    Ok(greeted) => {
                        self.greeted += 1;
                        server.welcome(now, ledger, greeted.resumed).unwrap();
                    }
                    Err(stale) => {
                        self.refused += 1;
                        server.refuse(now, &Refuse::from(stale)).unwrap();
                    }
                }
            }
            ServerEvent::Message { id, frame } => {
                let ledger = self.ledgers.entry((account, DEVICE.get())).or_default();
                let Some(verdict) = ledger.accept(&id) else { return };
                if verdict == Verdict::Fresh {
                    self.stored.push((account, id.epoch.get(), id.sequence, frame.body().to_vec()));
                }
                server.accept(now, &id).unwrap();
            }
            _ => {}
        }
    }

    /// Lets a device, connected just now, and a new link of this service talk until both are silent, and returns the link.
    pub fn meet(&mut self, account: u64, device: &mut Device) -> Gate {
        let mut gate = Gate::new(ServerConfig::DEFAULT, device.now);
        device.link.handle_connected(device.now);
        self.talk(account, device, &mut gate);
        gate
    }

    /// Lets both talk on. `true` if one of them wants to close.
    pub fn talk(&mut self, account: u64, device: &mut Device, gate: &mut Gate) -> bool {
        gate.now = device.now;
        loop {
            device.process();
            let up = device.bytes();
            let now = gate.now;
            super::feed(&mut gate.link, now, &up, |server, event| self.handle(account, now, server, event));
            let down = written(&mut gate.link, now);
            device.feed(&down);
            if up.is_empty() && down.is_empty() {
                return device.link.closing().is_some() || gate.link.closing().is_some();
            }
        }
    }

    /// Connects a device again and again until it stays, ten times at most. Returns the link that stayed.
    pub fn meet_until_online(&mut self, account: u64, device: &mut Device) -> Gate {
        for _ in 0..10 {
            let gate = self.meet(account, device);
            if device.link.closing().is_none() && device.client().is_online() {
                return gate;
            }
            let why = device.link.closing().unwrap_or(Disconnect::PeerClosed);
            device.link.handle_disconnected(device.now, why);
            device.process();
        }
        panic!("never online: {:?}", device.told());
    }
}
