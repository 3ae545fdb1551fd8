//! The device: its process, which may end and begin again, and its disk.

use super::book::{self, Book, Told, body, number_of};
use super::port::Port;
use crate::support::Random;
use longlink::Instant;
use longlink::delivery::{Epoch, MessagePolicy, Outbox, Slot, Token};
use longlink::session::{Client, Config, Event, Identity, Link, Work};
use longlink::wire::{Decoder, Dialect};
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

/// How a process that starts without state gets its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The server names one.
    None,
    Good,
    /// It says the same each time.
    Stopped,
}

/// What a process starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The state as it was at the end of the process before.
    Exact,
    /// What the process before had stored.
    Disk,
    /// One of the backups of the disk.
    Backup(usize),
    Empty,
}

/// The memory of one process.
pub struct Process {
    config: Config<'static>,
    tx: Vec<u8>,
    slots: Vec<Slot>,
}

impl Process {
    pub fn new(number: usize, setup: &super::Setup) -> Self {
        let epoch = match setup.clock {
            Clock::None => None,
            Clock::Good => Epoch::new(1_000 * (number as u32 + 1)),
            Clock::Stopped => Epoch::new(3),
        };
        let device = NonZeroU64::new(7).unwrap();
        let identity = Identity { epoch, keeps_state: setup.keeps_state, ..Identity::volatile(device) };
        let message = MessagePolicy { timeout: setup.timeout, ..MessagePolicy::DEFAULT };
        let config = Config { identity: Some(identity), message, linger: setup.linger, ..Config::DEFAULT };
        Self { config, tx: vec![0; setup.tx], slots: vec![Slot::FREE; setup.slots] }
    }
}

/// A message that failed or was taken back, and may be sent again.
#[derive(Clone, Copy)]
pub struct Ended {
    pub number: usize,
    pub sequence: u32,
    seal: Option<(Epoch, u32)>,
    length: usize,
}

pub type ClientPort<'m> = Port<Client<'m>, Vec<u8>>;

pub struct Device<'m> {
    memory: std::slice::IterMut<'m, Process>,
    pub port: ClientPort<'m>,
    pub says: Diary,
    /// The state that is stored, and all that ever was backed up of it.
    disk: Option<Vec<u8>>,
    backups: Vec<Option<Vec<u8>>>,
    /// State that is being stored, and when it will be.
    storing: Option<(Instant, Vec<u8>)>,
    setup: super::Setup,
    random: Random,
    /// When to connect next.
    pub connect_at: Option<Instant>,
}

/// What the application of the client keeps in mind.
#[derive(Default)]
pub struct Diary {
    pub book: Book,
    pub again: Vec<Ended>,
    bodies: Vec<(Option<(Epoch, u32)>, usize)>,
    /// What the application wished to have sent again since the last connection came.
    pub wished: BTreeSet<u32>,
}

impl Diary {
    pub fn handle(&mut self, event: &Event<'_>, is_stored: &dyn Fn(usize) -> bool) {
        match *event {
            Event::Delivered { token } => {
                let number = self.book.ended(token, Told::Delivered);
                assert!(is_stored(number), "{number} was delivered, and is not stored");
            }
            Event::Failed { token, why, .. } => self.failed(token, book::told(why)),
            Event::Cancelled { token, .. } => self.failed(token, Told::Unknown),
            // Sequences mean something else from now on.
            Event::EpochLost { .. } => self.again.clear(),
            _ => {}
        }
    }

    fn failed(&mut self, token: Token, told: Told) {
        let number = self.book.ended(token, told);
        let (seal, length) = self.bodies[number];
        if told == Told::Unknown {
            self.again.push(Ended { number, sequence: token.sequence(), seal, length });
        }
    }
}

impl<'m> Device<'m> {
    pub fn new(setup: super::Setup, memory: &'m mut [Process]) -> Self {
        let mut memory = memory.iter_mut();
        let port = start(&mut memory);
        let (says, random) = (Diary::default(), Random(setup.seed ^ 0xDE_51CE));
        let connect_at = Some(Instant::ZERO);
        let (disk, backups, storing) = (None, Vec::new(), None);
        Self { memory, port, says, disk, backups, storing, setup, random, connect_at }
    }

    pub fn client(&mut self) -> &mut Client<'m> {
        self.port.link.endpoint_mut()
    }

    /// Sends a message with a body of about this length; its number, if it was taken.
    pub fn send(&mut self, now: Instant, length: usize, sealed: bool) -> Option<Token> {
        let number = self.says.book.next();
        let policy = self.policy();
        let (sent, seal) = book::send(self.port.link.endpoint_mut(), now, &policy, (number, length), sealed);
        self.says.bodies.push((seal, length));
        let token = sent.ok()?;
        self.says.book.opened(token, number);
        self.sent(now);
        Some(token)
    }

    fn policy(&self) -> MessagePolicy {
        MessagePolicy { timeout: self.setup.timeout, ..MessagePolicy::DEFAULT }
    }

    fn sent(&mut self, now: Instant) {
        if self.setup.saves_each && self.setup.keeps_state {
            self.save(now);
        }
    }

    pub fn cancel(&mut self, now: Instant, pick: usize) {
        let open = &self.says.book.open;
        if let Some((token, _)) = open.get(pick % open.len().max(1)) {
            let token = *token;
            self.client().cancel(now, token);
        }
    }

    /// Sends again what failed or was taken back.
    pub fn send_again(&mut self, now: Instant, pick: usize) {
        if self.says.again.is_empty() {
            return;
        }
        let ended = self.says.again.swap_remove(pick % self.says.again.len());
        let body = body(ended.number, ended.seal, ended.length);
        let epoch = self.client().epoch();
        if let Ok(token) = self.client().send_again(now, epoch, ended.sequence, &body) {
            self.says.book.opened(token, ended.number);
            self.says.wished.insert(ended.sequence);
            self.sent(now);
        }
    }

    /// Stores the state at once.
    pub fn save(&mut self, now: Instant) {
        let client = self.port.link.endpoint_mut();
        let mut state = vec![0; client.state_len()];
        assert_eq!(client.save(now, &mut state), Ok(state.len()));
        client.handle_saved(now);
        (self.disk, self.storing) = (Some(state), None);
    }

    /// Stores the state where it is needed; on a slow disk that takes a while.
    pub fn save_if_needed(&mut self, now: Instant) -> bool {
        if let Some((at, _)) = self.storing {
            let done = at <= now;
            if done {
                self.disk = self.storing.take().map(|(_, state)| state);
                self.client().handle_saved(now);
            }
            return done;
        }
        let client = self.port.link.endpoint_mut();
        if !client.needs_saving() {
            return false;
        }
        let mut state = vec![0; client.state_len()];
        assert_eq!(client.save(now, &mut state), Ok(state.len()));
        let wait = self.random.below(self.setup.disk_millis + 1);
        self.storing = Some((now + Duration::from_millis(wait), state));
        true
    }

    pub fn back_up(&mut self) {
        self.backups.push(self.disk.clone());
    }

    /// The process ends at any moment, and another one starts.
    pub fn restart(&mut self, now: Instant, from: Start) {
        if from == Start::Exact && self.setup.keeps_state {
            self.save(now);
        }
        if let Some((_, state)) = self.storing.take().filter(|_| self.random.below(2) == 0) {
            // It ended after the state was stored, and before it knew that.
            self.disk = Some(state);
        }
        let mut older = false;
        // An epoch that a clock has repeated and a backup of the first one look the same.
        let backups = !self.backups.is_empty() && self.setup.clock != Clock::Stopped;
        match from {
            Start::Backup(pick) if backups => {
                // The later ones are of a past that is given up: a device that goes back to them, too, is two devices.
                self.backups.truncate(pick % self.backups.len() + 1);
                let backup = self.backups.last().cloned().flatten();
                older = backup != self.disk;
                self.disk = backup;
            }
            Start::Empty => self.disk = None,
            _ => {}
        }
        self.says.book.killed();
        self.says.again.clear();
        self.says.book.repeats |= older;
        self.port = start(&mut self.memory);
        if let Some(state) = self.disk.clone() {
            self.client().restore(now, &state).unwrap();
        }
        let messages: Vec<_> = self.client().messages().map(|one| (one.token, number_of(one.body))).collect();
        for (token, number) in messages {
            self.says.book.restored(token, number, older);
        }
        self.connect_at = Some(now);
    }

    pub fn next(&self) -> [Option<Instant>; 3] {
        [self.port.next(), self.connect_at, self.storing.as_ref().map(|(at, _)| *at)]
    }
}

fn start<'m>(memory: &mut std::slice::IterMut<'m, Process>) -> ClientPort<'m> {
    let Process { config, tx, slots } = memory.next().unwrap();
    let work = Work { rx: 512, tx, slots, sync: None, dialer: None };
    let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; 512]).unwrap();
    Port::new(Link::new(decoder, Client::new(config, work).unwrap()))
}

/// The longest body of a message.
pub fn longest(tx: usize) -> usize {
    tx.min(Outbox::BATCH * 4) - 16
}
