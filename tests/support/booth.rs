//! A server link with a mailbox behind it, to which the test plays the device.

use super::native::{DEVICE, Greets, HELLO, REPLY, Wire, frames_in};
use super::sync::acked;
use super::{feed, frame, written};
use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::session::{Disconnect, Link, SendError, Server, ServerConfig, ServerEvent};
use longlink::sync::{
    Acked, Answered, Epoch, FETCH, Fetch, Item, Mailbox, NOTIFY, Request, RingMailbox, RingStorage, Row, SYNC, SyncKeys,
};
use longlink::wire::{Decoder, Dialect};
use std::ops::ControlFlow;

/// What a link of a device that has greeted tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Sync(u32, Vec<u8>),
    Done(u32, Vec<(u16, u64)>),
    Fetch(u32, Fetch),
    Other(String),
}

pub struct Booth {
    pub link: Link<Server<'static, Vec<u8>>, Vec<u8>>,
    pub now: Instant,
    pub mailbox: RingMailbox<'static>,
    pub told: Vec<Told>,
}

impl Booth {
    pub fn new() -> Self {
        Self::with(ServerConfig::DEFAULT, 8_192)
    }

    /// Greeted at 0, with a buffer of `tx` bytes, or none.
    pub fn with(config: ServerConfig, tx: usize) -> Self {
        let mut booth = Self::accepted(config, 256);
        booth.greet();
        booth.server().reclaim().unwrap();
        if tx > 0 {
            booth.server().lend(vec![0; tx]).unwrap();
        }
        booth
    }

    /// A link on which nobody has greeted.
    pub fn accepted(config: ServerConfig, tx: usize) -> Self {
        let config = Box::leak(Box::new(config));
        let mut server = Server::new(config, Instant::ZERO).unwrap();
        if tx > 0 {
            server.lend(vec![0; tx]).unwrap();
        }
        let link = Link::new(Decoder::new(config.dialect, vec![0; 32_768]).unwrap(), server);
        let storage = Box::leak(Box::new(RingStorage::<256, 131_072, 64, 4>::new()));
        Self { link, now: Instant::ZERO, mailbox: storage.mailbox(Epoch::FIRST), told: Vec::new() }
    }

    pub fn greet(&mut self) {
        let hello = Greets { epoch: 1, link: 1, resume: false }.frame_of(DEVICE.get());
        self.feed(&hello);
        let frames = self.frames();
        assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HELLO + REPLY]);
    }

    pub fn server(&mut self) -> &mut Server<'static, Vec<u8>> {
        self.link.endpoint_mut()
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let (now, told) = (self.now, &mut self.told);
        feed(&mut self.link, now, bytes, |server, event| hear(now, told, server, event));
    }

    /// What may be handled now, is.
    pub fn process(&mut self) {
        let (now, told) = (self.now, &mut self.told);
        self.link.process(now, |server, event| hear(now, told, server, event));
    }

    pub fn at_millis(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self.process();
        assert!(self.link.poll_timeout().is_none_or(|at| at > self.now), "due still: {:?}", self.link.poll_timeout());
        self
    }

    pub fn at(&mut self, seconds: u64) -> &mut Self {
        self.at_millis(seconds * 1_000)
    }

    pub fn give(&mut self, command: u32, sequence: u32, body: &[u8]) {
        self.feed(&frame(&Dialect::LONGLINK, command, sequence, body));
    }

    /// A request of a device that has these keys, and takes all others too.
    pub fn ask(&mut self, sequence: u32, hold: u16, keys: &[(u16, u64)]) {
        self.give(SYNC, sequence, &request(1, hold, 4_096, keys));
    }

    /// The requests that it was told since this was asked last.
    pub fn requests(&mut self) -> Vec<(u32, Vec<u8>)> {
        let told = std::mem::take(&mut self.told);
        told.into_iter()
            .filter_map(|told| if let Told::Sync(sequence, body) = told { Some((sequence, body)) } else { None })
            .collect()
    }

    /// Answers what was asked last from the mailbox.
    pub fn answer(&mut self) -> Answered<std::convert::Infallible> {
        let (sequence, body) = self.requests().pop().unwrap();
        self.try_answer(sequence, &body).unwrap()
    }

    pub fn try_answer(&mut self, sequence: u32, body: &[u8]) -> Result<Answered<std::convert::Infallible>, SendError> {
        let (now, request) = (self.now, Request::decode(body).unwrap());
        let mut view = self.mailbox.device(DEVICE.get(), now);
        self.link.endpoint_mut().answer_sync(now, sequence, &request, &mut view)
    }

    /// Asks and is answered, written.
    pub fn round(&mut self, sequence: u32, hold: u16, keys: &[(u16, u64)]) -> Vec<Wire> {
        self.ask(sequence, hold, keys);
        self.answer();
        self.frames()
    }

    pub fn append(&mut self, key: u16, bytes: &[u8]) -> u64 {
        self.mailbox.append(key, 0, bytes).unwrap()
    }

    pub fn notify(&mut self, key: u16, head: u64) {
        let (now, epoch) = (self.now, self.mailbox.epoch());
        self.server().notify(now, epoch, key, head);
    }

    /// All that it writes now.
    pub fn frames(&mut self) -> Vec<Wire> {
        self.process();
        let bytes = written(&mut self.link, self.now);
        frames_in(&Dialect::LONGLINK, &bytes)
    }

    /// `n` bytes of what it wants to write, and no more, are written.
    pub fn write(&mut self, n: usize) -> Vec<u8> {
        let now = self.now;
        let mut all = Vec::new();
        while all.len() < n {
            let Some(bytes) = self.link.poll_transmit() else { break };
            let some = bytes[..bytes.len().min(n - all.len())].to_vec();
            self.link.handle_sent(now, some.len());
            all.extend(some);
        }
        all
    }

    pub fn cut(&mut self) {
        self.link.handle_disconnected(self.now, Disconnect::Transport);
        self.process();
    }
}

impl Default for Booth {
    fn default() -> Self {
        Self::new()
    }
}

fn hear(now: Instant, told: &mut Vec<Told>, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>) {
    told.push(match event {
        ServerEvent::Hello(hello) => {
            let mut ledger = Ledger::default();
            let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
            server.welcome(now, &ledger, greeted.resumed).unwrap();
            return;
        }
        ServerEvent::Sync { sequence, request } => {
            let mut body = vec![0; 1_024];
            let length = request.encode(&mut body).unwrap();
            body.truncate(length);
            Told::Sync(sequence, body)
        }
        ServerEvent::SyncDone(ack) => {
            Told::Done(ack.epoch.get(), ack.entries.map(|entry| (entry.key, entry.val)).collect())
        }
        ServerEvent::Fetch { sequence, fetch } => Told::Fetch(sequence, fetch),
        ServerEvent::Request(frame) => Told::Other(format!("request {}/{}", frame.command(), frame.sequence())),
        ServerEvent::OneWay(frame) => Told::Other(format!("one-way {}", frame.command())),
        ServerEvent::GoAway(goaway) => Told::Other(format!("goaway {:?}", goaway.code())),
        ServerEvent::Offline(why) => Told::Other(format!("offline {}", why.name())),
        other => Told::Other(format!("{other:?}")),
    });
}

/// The body of a request.
pub fn request(epoch: u32, hold: u16, max_bytes: u32, keys: &[(u16, u64)]) -> Vec<u8> {
    let mut table = SyncKeys::<[Row; 64]>::new();
    keys.iter().for_each(|(key, val)| assert!(table.merge(*key, *val).is_ok()));
    let request = Request {
        all: true,
        continues: false,
        retries: false,
        epoch: Epoch::new(epoch),
        max_items: 100,
        hold,
        max_bytes,
        entries: table.entries(),
    };
    let mut body = vec![0; 1_024];
    let length = request.encode(&mut body).unwrap();
    body.truncate(length);
    body
}

/// What a server wrote of sync, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// Sequence, status, and how many entries and items.
    Answer(u32, u8, u16, u16),
    /// Epoch and heads.
    Notify(u32, Vec<(u16, u64)>),
    Something(u32),
    /// Sequence, status and bytes.
    Fetched(u32, u8, Vec<u8>),
    Other(u32, u32),
}

pub fn wrote(frames: &[Wire]) -> Vec<Wrote> {
    frames.iter().map(read).collect()
}

fn read(frame: &Wire) -> Wrote {
    let body = &frame.body;
    match frame.command {
        command if command == SYNC + REPLY => {
            let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
            assert!(longlink::sync::Response::decode(body).is_ok(), "{body:?}");
            Wrote::Answer(frame.sequence, body[1], number(2), number(8))
        }
        command if command == FETCH + REPLY => Wrote::Fetched(frame.sequence, body[1], body[16..].to_vec()),
        NOTIFY if body[1] == 1 => {
            assert_eq!((frame.sequence, body.len()), (0, 8));
            Wrote::Something(u32::from_be_bytes(body[4..8].try_into().unwrap()))
        }
        NOTIFY => {
            assert_eq!(frame.sequence, 0);
            let (epoch, heads) = acked(body);
            Wrote::Notify(epoch, heads)
        }
        _ => Wrote::Other(frame.command, frame.sequence),
    }
}

/// A mailbox whose store fails.
#[derive(Debug)]
pub struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreError;

impl Mailbox for Broken {
    type Error = StoreError;

    fn epoch(&mut self) -> Result<Epoch, StoreError> {
        Err(StoreError)
    }

    fn next_key(&mut self, _: Option<u16>) -> Result<Option<u16>, StoreError> {
        Err(StoreError)
    }

    fn head(&mut self, _: u16) -> Result<u64, StoreError> {
        Err(StoreError)
    }

    fn floor(&mut self, _: u16) -> Result<u64, StoreError> {
        Err(StoreError)
    }

    fn read(&mut self, _: u16, _: u64, _: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Result<u64, StoreError> {
        Err(StoreError)
    }

    fn find(&mut self, _: u16, _: u64, _: &mut dyn FnMut(Item<'_>)) -> Result<bool, StoreError> {
        Err(StoreError)
    }

    fn acked(&mut self, _: &Acked<'_>) -> Result<(), StoreError> {
        Err(StoreError)
    }
}

/// The body of an ack.
pub fn done(epoch: u32, keys: &[(u16, u64)]) -> Vec<u8> {
    super::sync::heads(epoch, keys)
}
