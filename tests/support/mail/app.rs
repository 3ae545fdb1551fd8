//! The application of the device: it stores pages, and is struck by what may happen meanwhile.

use super::Habits;
use super::disk::{Cursor, Disk, Name};
use super::shelf::is_for;
use super::tap::Tap;
use super::truth::{Truth, contents};
use crate::support::Random;
use longlink::Instant;
use longlink::delivery::Token;
use longlink::session::Event;
use longlink::sync::{Epoch, FETCH, Fetch, FetchReply, FetchStatus, Item, Page, Receipt, Rejected, SyncError};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What becomes of the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// D1: the process ends before anything is applied.
    BeforeApply,
    /// D2: after so many items.
    Between(usize),
    /// D3: before the cursor is stored.
    BeforeCursor,
    /// D4: before the commit, and so before the ack.
    BeforeCommit,
    /// D5: after the ack was written.
    AfterAck,
    /// D6: after the commit, before what it leads to.
    WhileContinuing,
    /// D7: the items are stored, and the cursor cannot be.
    CursorFails,
    /// Nothing can be stored just now.
    StoreFails,
    /// The item with this index cannot be applied this time.
    RejectOnce(usize),
    /// It is stored so many milliseconds later.
    Late(u64),
    /// Only up to the item with this index.
    UpTo(usize),
    /// It is committed a second time.
    Twice,
}

/// A stub whose bytes are being fetched.
struct Stub {
    name: Name,
    id: u64,
    total: u32,
    got: Vec<u8>,
}

/// A page that is with the application.
struct Out {
    id: u32,
    receipt: Vec<u8>,
    /// Only up to this item.
    until: Option<(u16, u64)>,
    stubs: VecDeque<Stub>,
    asked: Option<(Token, Fetch)>,
    /// Nothing happens before.
    at: Instant,
}

pub struct App {
    pub device: usize,
    habits: Habits,
    pub disk: Disk,
    /// What the client's cursor has to be.
    pub memory: Cursor,
    /// All that was ever stored, or given up, by a device with this number.
    pub ever: BTreeSet<u64>,
    page: Option<Out>,
    /// What the page before was committed with.
    before: Option<(u32, Vec<u8>)>,
    pub fate: Option<Fate>,
    /// The process ends now.
    pub crashes: bool,
    /// It ends when it has said how far it is.
    pub crashes_on_ack: bool,
    /// What may come once more.
    again: BTreeSet<Name>,
    holes: VecDeque<(u16, u64)>,
    pub quiet: bool,
    pub applied: usize,
    pub repeated: usize,
    pub caught_up: usize,
    pub random: Random,
}

impl App {
    pub fn new(device: usize, setup: &super::Setup) -> Self {
        Self {
            device,
            habits: setup.devices[device],
            disk: Disk::default(),
            memory: Cursor::default(),
            ever: BTreeSet::new(),
            page: None,
            before: None,
            fate: None,
            crashes: false,
            crashes_on_ack: false,
            again: BTreeSet::new(),
            holes: VecDeque::new(),
            quiet: false,
            applied: 0,
            repeated: 0,
            caught_up: 0,
            random: Random(setup.seed ^ (0xA44 + device as u64)),
        }
    }

    /// A new process, with what is on the disk.
    pub fn restart(&mut self) {
        self.memory = self.disk.cursor();
        (self.page, self.before, self.fate) = (None, None, None);
        (self.crashes, self.crashes_on_ack) = (false, false);
        self.again = self.disk.uncovered();
        self.holes.clear();
    }

    /// What another store had does not count any more.
    pub fn begin(&mut self) {
        self.ever = self.disk.items.union(&self.disk.excused).copied().collect();
    }

    /// A word of another store with the same number is believed: nobody can tell the two apart.
    pub fn is_said_to_have(&mut self, truth: &Truth, epoch: Epoch, key: u16, to: u64) {
        if !self.disk.cursor().covers((epoch, key, to)) {
            self.ever.extend(truth.between(epoch, key, (0, to), self.device).map(|(_, record)| record.id));
        }
    }

    pub fn has_page(&self) -> bool {
        self.page.is_some()
    }

    pub fn is_done(&self) -> bool {
        self.page.is_none() && self.holes.is_empty()
    }

    /// When it goes on with the page.
    pub fn next(&self) -> Option<Instant> {
        self.page.as_ref().filter(|page| page.asked.is_none()).map(|page| page.at)
    }

    pub fn handle(&mut self, now: Instant, tap: &mut Tap<'_>, truth: &Truth, event: Event<'_>) {
        if self.crashes {
            return;
        }
        match event {
            Event::Page(page) => self.take(now, tap, truth, &page),
            Event::SyncFailed(error) => {
                let is_said = matches!(
                    error,
                    SyncError::TimedOut | SyncError::Busy { .. } | SyncError::Refused | SyncError::NotThisDevice
                );
                assert!(is_said, "no server says this: {error}");
            }
            Event::Hole { key, val } => assert_eq!(self.holes.pop_front(), Some((key, val)), "I18"),
            Event::CaughtUp => {
                assert!(self.page.is_none());
                self.caught_up += 1;
            }
            Event::Reply { token, frame } => self.fetched(now, truth, token, frame.body()),
            Event::Failed { token, .. } => {
                if let Some(page) = self.page.as_mut().filter(|page| page.asked.is_some_and(|(of, _)| of == token)) {
                    (page.asked, page.at) = (None, now + Duration::from_millis(100));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, now: Instant, tap: &mut Tap<'_>, truth: &Truth, page: &Page<'_>) {
        assert!(self.page.is_none(), "a page while another is out");
        let bytes = page.receipt().bytes().to_vec();
        if let Some((id, bytes)) = self.before.replace((page.id(), bytes.clone())) {
            let receipt = Receipt::from_bytes(id, &bytes).unwrap();
            assert!(tap.client.commit(now, &receipt).is_err(), "a page that is not out any more is committed");
        }
        let fate = self.fate.take();
        let mut out = Out { id: page.id(), receipt: bytes, until: None, stubs: VecDeque::new(), asked: None, at: now };
        match fate {
            Some(Fate::BeforeApply) => return self.crashes = true,
            Some(Fate::StoreFails) => return self.abandon(now, tap),
            Some(Fate::Late(millis)) => out.at = now + Duration::from_millis(millis),
            Some(
                fate @ (Fate::BeforeCursor
                | Fate::BeforeCommit
                | Fate::AfterAck
                | Fate::WhileContinuing
                | Fate::CursorFails
                | Fate::Twice),
            ) => self.fate = Some(fate),
            _ if !self.quiet => out.at = now + Duration::from_millis(self.random.below(self.habits.slow_millis + 1)),
            _ => {}
        }
        for (index, item) in page.items().enumerate() {
            if fate == Some(Fate::Between(index)) {
                return self.crashes = true;
            }
            let name = (page.epoch(), item.key, item.val);
            let record = truth.get(page.epoch(), item.key, item.val).unwrap();
            assert!(is_for(record.op, self.device));
            let poison = self.habits.poison && record.id % 11 == 3;
            if poison || fate == Some(Fate::RejectOnce(index)) {
                return self.reject(now, tap, truth, &page.receipt(), &item);
            }
            self.apply(name);
            let whole = contents(record.id, record.length);
            if let Some(total) = item.total {
                assert_eq!((total as usize, item.bytes), (whole.len(), &whole[..item.bytes.len()]));
                if self.random.below(100) < self.habits.fetches {
                    out.stubs.push_back(Stub { name, id: record.id, total, got: item.bytes.to_vec() });
                    continue;
                }
            } else {
                assert_eq!(item.bytes, whole);
            }
            self.store(record.id);
            if fate == Some(Fate::UpTo(index)) {
                out.until = Some((item.key, item.val));
                break;
            }
        }
        if out.until.is_some() {
            // What it does without is not in its way.
            out.stubs.retain(|stub| (stub.name.1, stub.name.2) <= out.until.unwrap());
        }
        let waits = out.at > now || !out.stubs.is_empty();
        self.page = Some(out);
        if !waits {
            self.finish(now, tap, truth);
        }
    }

    /// The items are counted as they come.
    fn apply(&mut self, name: Name) {
        self.applied += 1;
        if !self.disk.names.insert(name) {
            self.repeated += 1;
            assert!(self.again.remove(&name), "I9: {name:?} comes again for no reason");
        }
    }

    fn store(&mut self, id: u64) {
        self.disk.items.insert(id);
        self.ever.insert(id);
    }

    fn excuse(&mut self, id: u64) {
        self.disk.excused.insert(id);
        self.ever.insert(id);
    }

    fn reject(&mut self, now: Instant, tap: &mut Tap<'_>, truth: &Truth, receipt: &Receipt<'_>, item: &Item<'_>) {
        match tap.client.reject(now, receipt, item).unwrap() {
            Rejected::AskedAgain => self.again = self.disk.uncovered(),
            Rejected::Passed => {
                let part = receipt.up_to(item);
                self.told(truth, &part);
                self.memory = self.memory.merged(&part);
                self.excuse(truth.get(receipt.epoch(), item.key, item.val).unwrap().id);
                let mut cursor = vec![0; 128];
                let length = tap.client.cursor().unwrap().encode(&mut cursor).unwrap();
                cursor.truncate(length);
                self.disk.cursor = Some(cursor);
                self.holes.push_back((item.key, item.val));
            }
        }
    }

    fn abandon(&mut self, now: Instant, tap: &mut Tap<'_>) {
        tap.client.abandon(now);
        self.again = self.disk.uncovered();
    }

    /// Goes on with what is with the application. `true` if it did something.
    pub fn work(&mut self, now: Instant, tap: &mut Tap<'_>, truth: &Truth) -> bool {
        if self.crashes {
            return false;
        }
        let quiet = self.quiet;
        let Some(out) = self.page.as_mut().filter(|page| page.asked.is_none() && (page.at <= now || quiet)) else {
            return false;
        };
        if let Some(stub) = out.stubs.front() {
            if out.at > now {
                return false;
            }
            let (epoch, key, val) = stub.name;
            let most = self.habits.rx as u64 - 16;
            let max = 64 + self.random.below(most - 63);
            let fetch = Fetch::new(key, epoch, val, stub.got.len() as u32, max as u32);
            match tap.client.request(now, FETCH, &fetch.to_bytes()) {
                Ok(token) => out.asked = Some((token, fetch)),
                Err(_) => out.at = now + Duration::from_secs(1),
            }
            return true;
        }
        self.finish(now, tap, truth);
        true
    }

    fn fetched(&mut self, now: Instant, truth: &Truth, token: Token, body: &[u8]) {
        let Some(out) = self.page.as_mut().filter(|page| page.asked.is_some_and(|(of, _)| of == token)) else { return };
        let (_, fetch) = out.asked.take().unwrap();
        let reply = FetchReply::decode(body, &fetch).unwrap();
        assert!(body.len() <= fetch.max as usize);
        out.at = now;
        let stub = out.stubs.front_mut().unwrap();
        let record = truth.get(stub.name.0, stub.name.1, stub.name.2).unwrap();
        match reply.status {
            FetchStatus::Ok => {
                assert_eq!((reply.total, reply.offset), (stub.total, stub.got.len() as u32));
                stub.got.extend_from_slice(reply.bytes);
                if stub.got.len() < stub.total as usize {
                    return;
                }
                assert_eq!(stub.got, contents(stub.id, record.length));
            }
            FetchStatus::RetryLater => return out.at = now + Duration::from_secs(1),
            FetchStatus::Gone => {
                assert_ne!(record.state, super::truth::State::Ready, "{:?} is gone, and nobody has it", stub.name)
            }
            FetchStatus::OtherEpoch => {}
            status => panic!("{status:?}"),
        }
        // Whole, or as much as there is.
        let id = stub.id;
        out.stubs.pop_front();
        self.store(id);
    }

    /// All items are there: the cursor follows, then the client.
    fn finish(&mut self, now: Instant, tap: &mut Tap<'_>, truth: &Truth) {
        let Some(out) = self.page.take() else { return };
        let fate = self.fate.take();
        match fate {
            Some(Fate::BeforeCursor) => return self.crashes = true,
            Some(Fate::CursorFails) => return self.abandon(now, tap),
            _ => {}
        }
        let mut receipt = Receipt::from_bytes(out.id, &out.receipt).unwrap();
        if let Some((key, val)) = out.until {
            receipt = receipt.up_to(&Item::new(key, val, 0, &[]));
        }
        let mut cursor = vec![0; 128];
        let length = tap.client.cursor_after(&receipt, &mut cursor).unwrap();
        cursor.truncate(length);
        let after = Cursor::decode(&cursor);
        assert_eq!(after, self.memory.merged(&receipt), "I10: the cursor after the page");
        self.told(truth, &receipt);
        self.disk.cursor = Some(cursor);
        self.disk.check(truth, self.device);
        if fate == Some(Fate::BeforeCommit) {
            return self.crashes = true;
        }
        tap.client.commit(now, &receipt).unwrap();
        tap.traffic.committed = Some(now);
        self.memory = after;
        self.again = self.disk.uncovered();
        if fate == Some(Fate::Twice) {
            assert!(tap.client.commit(now, &receipt).is_err(), "a page is committed twice");
        }
        self.crashes_on_ack = fate == Some(Fate::AfterAck);
        self.crashes = fate == Some(Fate::WhileContinuing);
    }

    /// What is gone, as the page says, will not come.
    fn told(&mut self, truth: &Truth, receipt: &Receipt<'_>) {
        let epoch = receipt.epoch();
        let primes = self.memory.epoch.is_none();
        for entry in receipt.vals().filter(|entry| entry.has_gap || primes) {
            let goes_on = self.memory.epoch == Some(epoch) && !entry.resets;
            let from = if goes_on { self.memory.val(entry.key) } else { 0 };
            let gone: Vec<u64> =
                truth.between(epoch, entry.key, (from, entry.val), self.device).map(|(_, record)| record.id).collect();
            for id in gone.into_iter().filter(|id| !self.disk.items.contains(id)).collect::<Vec<_>>() {
                self.excuse(id);
            }
        }
    }
}
