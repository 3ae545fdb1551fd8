//! A mailbox to be tried, whatever it is made of: one account, and one key of it.

use super::mailbox::{Limits, Mail, SENT, View};
use longlink::Instant;
use longlink::delivery::{Epoch as DeviceEpoch, MessageId};
use longlink::sync::{self, Ack, Answered, Epoch, Fetch, Mailbox, Request, RingMailbox, RingStorage};
use std::cell::Cell;
use std::fmt::Debug;
use std::time::Duration;

/// The key of what is put in.
pub const KEY: u16 = SENT;
/// So many items are kept for a device that is away.
pub const CAPACITY: u32 = 300;
/// A device that was silent for longer does not count.
pub const SILENT: Duration = super::mailbox::SILENCE;

pub trait Bench: Sized {
    fn put(&mut self, text: &str);
    /// What is in an item, or at the start of one.
    fn text(&self, bytes: &[u8]) -> String;
    fn answer(&mut self, device: u64, request: &Request<'_>) -> Vec<u8>;
    fn acknowledge(&mut self, device: u64, ack: &Ack<'_>);
    fn fetch(&mut self, device: u64, fetch: &Fetch) -> Vec<u8>;
    fn floor(&mut self) -> u64;
    fn head(&mut self) -> u64;
    fn wait(&mut self, time: Duration);

    fn put_all(&mut self, texts: Vec<String>) {
        texts.iter().for_each(|text| self.put(text));
    }
}

fn answer(mailbox: &mut impl Mailbox<Error: Debug>, request: &Request<'_>) -> Vec<u8> {
    let mut out = vec![0; 65_536];
    let Answered { length, error, .. } = sync::answer(request, mailbox, &mut out).unwrap();
    assert!(error.is_none(), "{error:?}");
    out.truncate(length);
    out
}

fn fetch(mailbox: &mut impl Mailbox<Error: Debug>, fetch: &Fetch) -> Vec<u8> {
    let mut out = vec![0; 65_536];
    let Answered { length, error, .. } = sync::answer_fetch(fetch, mailbox, &mut out).unwrap();
    assert!(error.is_none(), "{error:?}");
    out.truncate(length);
    out
}

/// The one in the library.
pub struct Ring {
    mailbox: RingMailbox<'static>,
    now: Instant,
}

impl Ring {
    pub fn new() -> Self {
        let storage = Box::leak(Box::new(RingStorage::<{ CAPACITY as usize }, 65_536>::new()));
        Self { mailbox: storage.mailbox(Epoch::FIRST), now: Instant::ZERO }
    }
}

impl Bench for Ring {
    fn put(&mut self, text: &str) {
        self.mailbox.append(KEY, 0, text.as_bytes()).unwrap();
    }

    fn text(&self, bytes: &[u8]) -> String {
        String::from_utf8(bytes.into()).unwrap()
    }

    fn answer(&mut self, device: u64, request: &Request<'_>) -> Vec<u8> {
        answer(&mut self.mailbox.device(device, self.now), request)
    }

    fn acknowledge(&mut self, device: u64, ack: &Ack<'_>) {
        sync::acknowledge(ack, &mut self.mailbox.device(device, self.now)).unwrap();
    }

    fn fetch(&mut self, device: u64, asked: &Fetch) -> Vec<u8> {
        fetch(&mut self.mailbox.device(device, self.now), asked)
    }

    fn floor(&mut self) -> u64 {
        self.mailbox.floor(KEY)
    }

    fn head(&mut self) -> u64 {
        self.mailbox.head(KEY)
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.mailbox.expire(self.now, SILENT);
    }
}

/// The one of the example server.
pub struct Redb {
    pub mail: Mail,
    sequence: u32,
}

thread_local!(static CLOCK: Cell<u64> = const { Cell::new(1_700_000_000) });

/// A clock that a test turns, in its own thread.
pub const LIMITS: Limits = Limits { items: CAPACITY as u64, clock: || CLOCK.get(), ..Limits::DEFAULT };

pub fn turn_clock(time: Duration) {
    CLOCK.set(CLOCK.get() + time.as_secs());
}

impl Redb {
    pub fn new() -> Self {
        Self::with(Mail::in_memory(LIMITS).unwrap())
    }

    /// One that is there already.
    pub fn with(mail: Mail) -> Self {
        let sender = mail.device("ann", 99);
        let link = sender.ledger().unwrap().link() + 1;
        sender.greet(DeviceEpoch::new(1), link).unwrap().unwrap();
        let sequence = sender.ledger().unwrap().window().last();
        Self { mail, sequence }
    }

    pub fn view(&self, device: u64) -> View {
        self.mail.device("ann", device).mailbox()
    }
}

impl Bench for Redb {
    fn put(&mut self, text: &str) {
        let sender = self.mail.device("ann", 99);
        self.sequence += 1;
        let link = sender.ledger().unwrap().link();
        let id = MessageId { epoch: DeviceEpoch::FIRST, link, sequence: self.sequence };
        sender.accept(&[(id, text.as_bytes())]).unwrap();
    }

    fn text(&self, bytes: &[u8]) -> String {
        let item = serde_json::from_slice::<serde_json::Value>(bytes);
        item.map_or_else(|_| String::new(), |item| item["text"].as_str().unwrap().into())
    }

    fn answer(&mut self, device: u64, request: &Request<'_>) -> Vec<u8> {
        answer(&mut self.view(device), request)
    }

    fn acknowledge(&mut self, device: u64, ack: &Ack<'_>) {
        sync::acknowledge(ack, &mut self.view(device)).unwrap();
    }

    fn fetch(&mut self, device: u64, asked: &Fetch) -> Vec<u8> {
        fetch(&mut self.view(device), asked)
    }

    fn floor(&mut self) -> u64 {
        self.view(0).floor(KEY).unwrap()
    }

    fn head(&mut self) -> u64 {
        self.view(0).head(KEY).unwrap()
    }

    fn wait(&mut self, time: Duration) {
        turn_clock(time);
    }
}
