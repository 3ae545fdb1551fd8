//! The application of a device: the messages that it sends, and what it makes of what it is told.

use super::ear::Ear;
use super::inbox::{Dies, Inbox};
use super::office::Office;
use super::plan::Habits;
use super::reach::laws::Laws;
use super::tally::{self, Fault, Work, note};
use super::upload::Uploads;
use crate::support::post::book::{self, Book, Told, body};
use longlink::Instant;
use longlink::delivery::{Epoch, MessagePolicy, Token};
use longlink::liveness::{Network, NetworkRecord};
use longlink::session::{Attempt, Disconnect, Event};
use longlink::sync::{SYNC, SYNC_DONE};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// A message that failed or was taken back, and may be sent again.
struct Ended {
    number: usize,
    sequence: u32,
}

pub struct App {
    pub number: usize,
    pub habits: Habits,
    pub book: Book,
    again: Vec<Ended>,
    /// Of each message: what it was sealed for, and its length.
    bodies: Vec<(Option<(Epoch, u32)>, usize)>,
    /// What was wished to be sent again since the last link came.
    pub wished: BTreeSet<u32>,
    pub inbox: Inbox,
    pub uploads: Uploads,
    pub laws: Laws,
    /// Attempts to begin with, and those that were given up.
    pub begun: Vec<Attempt>,
    pub given_up: Vec<u32>,
    /// The addresses are to be named again.
    pub resolves: bool,
    pub records: BTreeMap<u32, NetworkRecord>,
    online_at: Option<Instant>,
    /// Why the last link ended, until the world has asked.
    pub ended: Option<Disconnect>,
    pub dies: Dies,
    /// The attempts of the last hour.
    attempts: VecDeque<Instant>,
    pub traffic: Traffic,
}

/// What a device wrote.
#[derive(Default)]
pub struct Traffic {
    counts: Counts,
    pub links: u64,
    /// By epoch and sequence of a message: the connection that it was written on last.
    pub lines: HashMap<(Epoch, u32), usize>,
}

/// Frames by what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub links: u64,
    pub heartbeats: u64,
    pub syncs: u64,
    pub others: u64,
}

impl Traffic {
    pub const fn count(&mut self, command: u32) {
        match command {
            6 => self.counts.heartbeats += 1,
            SYNC | SYNC_DONE => self.counts.syncs += 1,
            _ => self.counts.others += 1,
        }
    }

    pub const fn counts(&self) -> Counts {
        Counts { links: self.links, ..self.counts }
    }
}

impl Counts {
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            links: self.links - before.links,
            heartbeats: self.heartbeats - before.heartbeats,
            syncs: self.syncs - before.syncs,
            others: self.others - before.others,
        }
    }
}

impl App {
    pub fn new(number: usize, habits: Habits) -> Self {
        Self {
            number,
            habits,
            book: Book::default(),
            again: Vec::new(),
            bodies: Vec::new(),
            wished: BTreeSet::new(),
            inbox: Inbox::new(number, habits),
            uploads: Uploads::default(),
            laws: Laws::default(),
            begun: Vec::new(),
            given_up: Vec::new(),
            resolves: false,
            records: BTreeMap::new(),
            online_at: None,
            ended: None,
            dies: Dies::default(),
            attempts: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    /// Another process begins. `older`: with a state that is older than it should be.
    pub fn restart(&mut self, older: bool) {
        self.book.killed();
        self.book.repeats |= older;
        self.again.clear();
        self.inbox.restart();
        self.uploads.restart();
        self.laws = Laws::default();
        self.laws.wanted = true;
        (self.begun, self.given_up, self.resolves) = (Vec::new(), Vec::new(), false);
        (self.online_at, self.ended, self.dies) = (None, None, Dies::default());
    }

    /// Sends a message with a body of about this length; `false` if there is no room.
    pub fn send(&mut self, now: Instant, ear: &mut Ear<'_>, length: usize, sealed: bool) -> bool {
        let number = self.book.next();
        let policy = MessagePolicy { lifetime: Duration::from_secs(6 * 3_600), ..MessagePolicy::DEFAULT };
        let clock = Instant::ZERO + (now - Instant::ZERO).saturating_sub(ear.lag);
        let (sent, seal) = book::send(&mut ear.client, clock, &policy, (number, length), sealed);
        self.bodies.push((seal, length));
        match sent {
            Ok(token) => {
                tally::did(Work::Sent);
                note(now, || format!("device {}: sends message {number} as {}", self.number, token.sequence()));
                self.book.opened(token, number);
                true
            }
            Err(error) => {
                assert!(error.is_temporary(), "a message of {length} bytes is not taken: {error}");
                false
            }
        }
    }

    pub fn cancel(&mut self, now: Instant, ear: &mut Ear<'_>, pick: usize) {
        let open = &self.book.open;
        let Some((token, number)) = open.get(pick % open.len().max(1)).copied() else { return };
        note(now, || format!("device {}: takes message {number} back", self.number));
        ear.with(now, |client, clock| client.cancel(clock, token));
    }

    /// Sends again what failed or was taken back. `true` if that was possible.
    pub fn send_again(&mut self, now: Instant, ear: &mut Ear<'_>, pick: usize) -> bool {
        if self.again.is_empty() {
            return false;
        }
        let Ended { number, sequence } = self.again.swap_remove(pick % self.again.len());
        let (seal, length) = self.bodies[number];
        let body = body(number, seal, length);
        let epoch = ear.client.epoch();
        let Ok(token) = ear.with(now, |client, clock| client.send_again(clock, epoch, sequence, &body)) else {
            return false;
        };
        note(now, || format!("device {}: sends message {number} again", self.number));
        self.book.opened(token, number);
        self.wished.insert(sequence);
        true
    }

    pub fn handle(&mut self, now: Instant, ear: &mut Ear<'_>, office: &Office<'_>, event: Event<'_>) {
        if self.dies.is_dead {
            return;
        }
        self.notice_end(now, ear);
        let clock = ear.clock(now);
        let name = self.number;
        match event {
            Event::Connect(attempt) => {
                self.count_attempt(now);
                note(now, || {
                    format!("device {name}: attempt {} on address {}", attempt.number(), attempt.address().index)
                });
                self.laws.attempt_is_told_in_its_place(clock, attempt, &ear.client, ear.is_up);
                self.begun.push(attempt);
            }
            Event::Abandon(attempt) => {
                self.laws.only_what_is_out_is_abandoned(attempt);
                self.given_up.push(attempt.number());
            }
            Event::ResolveAddresses => self.resolves = true,
            Event::Online { resumed, .. } => {
                note(now, || format!("device {name}: online, resumed {resumed}"));
                (self.laws.hold, self.laws.held) = (None, None);
                self.online_at = Some(clock);
            }
            Event::Delivered { token } => {
                let number = self.book.ended(token, Told::Delivered);
                note(now, || format!("device {name}: message {number} is delivered"));
                let is_stored = office.kept[name].is_stored(number);
                assert!(is_stored, "message {number} of device {name} is told to be delivered, and is not stored");
                tally::did(Work::Delivered);
                self.laws.handle_good_link();
            }
            Event::Failed { token, why, .. } => {
                let is_request = self.uploads.handle_end(clock, token, None) || self.inbox.handle_failed(now, token);
                if !is_request {
                    self.fail(now, token, book::told(why), &why.to_string());
                }
            }
            Event::Cancelled { token, .. } => self.fail(now, token, Told::Unknown, "taken back"),
            Event::Reply { token, frame } => {
                let is_ours = self.uploads.handle_end(clock, token, Some(frame.body()))
                    || self.inbox.handle_reply(now, token, frame.body());
                assert!(is_ours, "a reply to what was not asked");
            }
            // Sequences mean something else from now on.
            Event::EpochLost { .. } => self.again.clear(),
            Event::Offline(why) => {
                note(now, || format!("device {name}: offline, {why}"));
                self.uploads.handle_disconnected();
            }
            Event::Page(page) => self.inbox.take(now, &office.accounts[self.habits.account], &page),
            Event::CaughtUp => assert!(self.inbox.is_idle(), "caught up while a page is with the application"),
            Event::Hole { key, val } => panic!("item {val} of key {key} is passed, and nobody rejected it"),
            Event::ServerRewound { from, to } => {
                panic!("the server has gone back from {from} to {to}, which it did not")
            }
            Event::NetworkLearned(record) => {
                note(now, || format!("device {name}: {record:?}"));
                self.records.insert(record.network().number(), record);
            }
            Event::Dormant { unsettled } => {
                note(now, || format!("device {name}: dormant, {unsettled} unsettled"));
                tally::did(Work::Dormant);
                assert!(ear.client.is_dormant() && !ear.is_up, "dormant with a link, or not at all");
            }
            Event::Poll => assert!(!ear.client.is_online(), "to be asked in another way, beside a link"),
            Event::Heartbeat { .. } => tally::did(Work::Heartbeats),
            _ => {}
        }
    }

    fn fail(&mut self, now: Instant, token: Token, told: Told, why: &str) {
        let number = self.book.ended(token, told);
        note(now, || format!("device {}: message {number} is over, {why}", self.number));
        tally::did(Work::Failed);
        if told == Told::Unknown {
            self.again.push(Ended { number, sequence: token.sequence() });
        }
    }

    /// A link has ended.
    pub fn notice_end(&mut self, now: Instant, ear: &mut Ear<'_>) {
        let Some(why) = ear.down.take() else { return };
        let clock = ear.clock(now);
        if self.online_at.take().is_some_and(|at| clock - at >= Duration::from_secs(30)) {
            self.laws.handle_good_link();
        }
        let rests = ear.client.is_dormant();
        self.laws.handle_down(clock, why, rests);
        self.ended = Some(why);
        if matches!(why, Disconnect::GoAway(_)) {
            tally::wrong(Fault::SentAway);
        }
    }

    fn count_attempt(&mut self, now: Instant) {
        tally::did(Work::Attempts);
        self.attempts.retain(|at| now - *at < Duration::from_secs(3_600));
        self.attempts.push_back(now);
        let count = self.attempts.len() as u64;
        tally::update(|run| run.most_attempts = run.most_attempts.max(count));
    }

    pub fn record(&self, network: Network) -> Option<NetworkRecord> {
        self.records.get(&network.number()).copied()
    }
}
