//! The server's process, and the mailbox.

use super::shelf::{Desk, Shelf, Vault, View, is_for};
use super::truth::{Record, State, Truth, contents};
use crate::support::Random;
use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::session::{GoAway, GoAwayCode, Refuse, SendError, Server, ServerEvent};
use longlink::sync::{self, Ack, Epoch, Page, Refusal, Request, Response, SYNC};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type Link<'m> = Server<'m, Vec<u8>>;

/// For which keys a device counts in what has to be kept.
#[derive(Clone, Debug)]
struct Counts {
    all: bool,
    keys: BTreeSet<u16>,
    seen: Instant,
}

/// An item that went since every device had said that it has it: a device that counted then.
pub struct Collected {
    pub device: usize,
    pub id: u64,
    pub what: (Epoch, u16, u64),
}

/// A request that is answered later.
pub struct Waiting {
    pub line: usize,
    device: usize,
    sequence: u32,
    body: Vec<u8>,
    pub at: Instant,
}

/// The mailbox as it once was.
struct Snapshot {
    vault: Option<Vault>,
    books: Vec<(u16, BTreeMap<u64, Record>)>,
    counts: BTreeMap<usize, Counts>,
}

pub struct Office<'m> {
    pub shelf: Box<dyn Shelf + 'm>,
    pub truth: Truth,
    pub setup: super::Setup,
    ledgers: [Ledger; 2],
    random: Random,
    /// Calls to the mailbox until one fails, 0 for never.
    pub fails: u32,
    pub refuses: [Option<Refusal>; 2],
    counts: BTreeMap<usize, Counts>,
    pub collected: Vec<Collected>,
    /// What a device is believed to have: by a word of one that had its number before, more than it has.
    pub claims: Vec<(usize, Epoch, u16, u64)>,
    told: BTreeMap<u16, u64>,
    pub waiting: Vec<Waiting>,
    /// By line: the newest request, and what was answered.
    asked: BTreeMap<usize, u32>,
    answers: BTreeMap<usize, Vec<(u32, Vec<u8>)>>,
    /// A device without a cursor was told where the mailbox begins: from now on it counts as it is.
    pub primed: [bool; 2],
    acks: Vec<(usize, Vec<u8>)>,
    snapshots: Vec<Snapshot>,
    epochs: u32,
    /// Of each device, the line that greeted last, if the others were not closed yet.
    pub newest: [Option<usize>; 2],
}

pub fn device_id(device: usize) -> u64 {
    device as u64 + 0xD1CE
}

impl<'m> Office<'m> {
    pub fn new(setup: super::Setup, shelf: Box<dyn Shelf + 'm>) -> Self {
        Self {
            shelf,
            truth: Truth::default(),
            setup,
            ledgers: [Ledger::new(), Ledger::new()],
            random: Random(setup.seed ^ 0x0FF1CE),
            fails: 0,
            refuses: [None; 2],
            counts: BTreeMap::new(),
            collected: Vec::new(),
            claims: Vec::new(),
            told: BTreeMap::new(),
            waiting: Vec::new(),
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            primed: [false; 2],
            acks: Vec::new(),
            snapshots: Vec::new(),
            epochs: 1,
            newest: [None; 2],
        }
    }

    pub fn handle(&mut self, now: Instant, line: usize, device: usize, server: &mut Link<'_>, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(hello) => {
                assert_eq!(hello.device.get(), device_id(device));
                match self.ledgers[device].greet(hello.epoch, hello.link) {
                    Ok(greeted) => {
                        self.newest[device] = Some(line);
                        server.welcome(now, &self.ledgers[device], greeted.resumed).unwrap();
                    }
                    Err(stale) => server.refuse(now, &Refuse::from(stale)).unwrap(),
                }
            }
            ServerEvent::Sync { sequence, request } => {
                self.asked.insert(line, *sequence);
                if let Some(refusal) = self.refuses[device].take() {
                    return server.refuse_sync(now, *sequence, refusal);
                }
                if self.random.below(100) < self.setup.late {
                    let wait = Duration::from_millis(self.random.below(60_000));
                    return self.wait(line, device, *sequence, request, now + wait);
                }
                self.answer(now, line, device, server, *sequence, request);
            }
            ServerEvent::SyncDone(ack) => {
                let mut body = ack.encode_fixed().to_vec();
                for entry in ack.entries {
                    body.extend([&entry.key.to_be_bytes()[..], &[0; 2], &entry.val.to_be_bytes()].concat());
                }
                if self.random.below(100) >= self.setup.loses {
                    self.take_ack(now, device, &body);
                }
                self.acks.push((device, body));
            }
            ServerEvent::Fetch { sequence, fetch } => {
                let mut fails = std::mem::take(&mut self.fails);
                let answered = server.answer_fetch(now, *sequence, fetch, &mut self.desk(now, device, &mut fails));
                self.fails = fails;
                let _ = answered;
            }
            _ => {}
        }
    }

    fn wait(&mut self, line: usize, device: usize, sequence: u32, request: &Request<'_>, at: Instant) {
        let mut body = vec![0; 256];
        let length = request.encode(&mut body).unwrap();
        body.truncate(length);
        self.waiting.push(Waiting { line, device, sequence, body, at });
    }

    /// A request that waits is answered, late.
    pub fn answer_waiting(&mut self, now: Instant, waiting: &Waiting, server: &mut Link<'_>) {
        let request = Request::decode(&waiting.body).unwrap();
        self.answer(now, waiting.line, waiting.device, server, waiting.sequence, &request);
    }

    fn desk<'s>(&'s mut self, now: Instant, device: usize, fails: &'s mut u32) -> Desk<'s> {
        let view: View<'s> = self.shelf.view(device_id(device), now);
        Desk { view, device, scan: self.setup.scan, fails }
    }

    fn answer(
        &mut self,
        now: Instant,
        line: usize,
        device: usize,
        server: &mut Link<'_>,
        sequence: u32,
        request: &Request<'_>,
    ) {
        // First on paper.
        let room = self.setup.server_tx.min(self.setup.devices[device].rx) - 16;
        let mut page = vec![0; room];
        self.count_request(now, device, request);
        let answered = sync::answer(request, &mut self.desk(now, device, &mut 0), &mut page).unwrap();
        page.truncate(answered.length);
        self.reconcile();
        self.check_page(device, request, &page, room.min(request.max_bytes as usize));
        if self.random.below(4) == 0 {
            let mut again = vec![0; room];
            let answered = sync::answer(request, &mut self.desk(now, device, &mut 0), &mut again).unwrap();
            assert_eq!(page, again[..answered.length], "I2: another answer to the same request");
        }
        let mut fails = std::mem::take(&mut self.fails);
        let sent = server.answer_sync(now, sequence, request, &mut self.desk(now, device, &mut fails));
        self.fails = fails;
        self.reconcile();
        match sent {
            Ok(answered) if answered.error.is_none() => {
                // Behind another answer there is less room.
                assert!(answered.length <= page.len(), "I22: {} bytes, {} on paper", answered.length, page.len());
                if answered.length == page.len() {
                    self.answers.entry(line).or_default().push((sequence, page));
                }
            }
            Ok(_) | Err(SendError::Closing | SendError::Offline) => {}
            Err(SendError::Superseded) => {
                assert_ne!(self.asked.get(&line), Some(&sequence), "the newest request cannot be answered");
            }
            Err(SendError::Full { .. }) => self.wait(line, device, sequence, request, now + Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }

    /// Says once more what was answered on this line.
    pub fn repeat_answer(&mut self, now: Instant, line: usize, pick: usize, server: &mut Link<'_>) {
        let Some(answers) = self.answers.get(&line).filter(|answers| !answers.is_empty()) else { return };
        let (sequence, body) = &answers[pick % answers.len()];
        let _ = server.reply(now, SYNC, *sequence, body);
    }

    /// An acknowledgement comes again, or late.
    pub fn repeat_ack(&mut self, now: Instant, pick: usize) {
        if let Some((device, body)) = self.acks.get(pick % self.acks.len().max(1)).cloned() {
            self.take_ack(now, device, &body);
        }
    }

    /// A device says that it has more than there ever was.
    pub fn forge_ack(&mut self, now: Instant, device: usize, key: u16, above: u64) {
        let val = self.shelf.head(key) + 1 + above;
        let epoch = self.shelf.epoch().get().to_be_bytes();
        let body = [&[1, 0, 0, 1][..], &epoch, &key.to_be_bytes(), &[0; 2], &val.to_be_bytes()].concat();
        self.take_ack(now, device, &body);
    }

    fn take_ack(&mut self, now: Instant, device: usize, body: &[u8]) {
        let ack = Ack::decode(body).unwrap();
        let mut fails = std::mem::take(&mut self.fails);
        let taken = sync::acknowledge(&ack, &mut self.desk(now, device, &mut fails));
        self.fails = fails;
        if taken.is_ok() {
            assert_eq!(taken == Ok(true), ack.epoch == self.shelf.epoch(), "I15: an ack of another epoch");
        }
        if taken == Ok(true) {
            let new = Counts { all: false, keys: BTreeSet::new(), seen: now };
            let counts = self.counts.entry(device).or_insert(new);
            counts.seen = now;
            let known = ack.entries.filter(|entry| entry.val <= self.shelf.head(entry.key));
            self.claims.extend(known.map(|entry| (device, ack.epoch, entry.key, entry.val)));
            counts.keys.extend(ack.entries.map(|entry| entry.key));
        }
        self.reconcile();
    }

    fn count_request(&mut self, now: Instant, device: usize, request: &Request<'_>) {
        if request.epoch.is_none_or(|epoch| epoch == self.shelf.epoch()) {
            self.primed[device] |= request.epoch.is_none();
            let epoch = self.shelf.epoch();
            self.claims.extend(request.entries.map(|entry| (device, epoch, entry.key, entry.val)));
            let keys = request.entries.map(|entry| entry.key).collect();
            self.counts.insert(device, Counts { all: request.all, keys, seen: now });
        }
    }

    /// Draws a val, and puts the item there if it `is_ready`.
    pub fn write(&mut self, key: u16, op: u8, length: usize, is_ready: bool) {
        let id = self.truth.new_id();
        if let Some(val) = self.put(key, id, op, length) {
            if is_ready {
                self.decide(key, val, true);
            }
        }
    }

    fn put(&mut self, key: u16, id: u64, op: u8, length: usize) -> Option<u64> {
        let epoch = self.shelf.epoch();
        let before = self.shelf.len();
        let val = self.shelf.reserve(key, op, length)?;
        for _ in self.shelf.len()..=before {
            self.truth.crowd_out_oldest(epoch);
        }
        if !self.truth.keys(epoch).any(|known| known == key) {
            for counts in self.counts.values_mut() {
                counts.keys.insert(key);
            }
        }
        let book = self.truth.book_mut(epoch, key);
        assert!(book.last_key_value().is_none_or(|(last, _)| *last < val), "I3: val {val} of key {key}");
        book.insert(val, Record { id, op, length, state: State::Reserved });
        self.reconcile();
        Some(val)
    }

    /// The bytes of an item come, or nothing does.
    pub fn decide(&mut self, key: u16, val: u64, comes: bool) {
        let epoch = self.shelf.epoch();
        let Some(record) = self.truth.book_mut(epoch, key).get_mut(&val) else { return };
        let waits = record.state == State::Reserved;
        let done = if comes {
            record.state = if waits { State::Ready } else { record.state };
            let bytes = contents(record.id, record.length);
            waits.then(|| self.shelf.finish(key, val, &bytes))
        } else {
            record.state = if waits { State::Cancelled } else { record.state };
            waits.then(|| self.shelf.cancel(key, val))
        };
        assert_ne!(done, Some(false), "key {key} val {val}");
        self.reconcile();
    }

    /// The vals that are drawn and undecided.
    pub fn undecided(&self) -> Vec<(u16, u64)> {
        let all = self.truth.all(self.shelf.epoch());
        all.filter(|(.., record)| record.state == State::Reserved).map(|(key, val, _)| (key, val)).collect()
    }

    pub fn remove_device(&mut self, device: usize) {
        self.counts.remove(&device);
        self.shelf.remove_device(device_id(device));
        self.reconcile();
    }

    pub fn expire(&mut self, now: Instant, after: Duration) {
        self.counts.retain(|_, counts| now - counts.seen < after);
        self.shelf.expire(now, after);
        self.reconcile();
    }

    pub fn back_up(&mut self) {
        let epoch = self.shelf.epoch();
        let keys: Vec<u16> = self.truth.keys(epoch).collect();
        let books = keys.into_iter().map(|key| (key, self.truth.book_mut(epoch, key).clone())).collect();
        let (vault, counts) = (self.shelf.snapshot(), self.counts.clone());
        self.snapshots.push(Snapshot { vault, books, counts });
    }

    /// The mailbox goes back to one of its snapshots, in a new epoch.
    pub fn restore(&mut self, pick: usize) {
        let Some(index) = pick.checked_rem(self.snapshots.len()) else { return };
        let Snapshot { vault, books, counts } = self.snapshots.swap_remove(index);
        self.epochs += 1 + self.random.below(2) as u32;
        let epoch = Epoch::new(self.epochs).unwrap();
        self.told.clear();
        if self.shelf.restore(epoch, vault.as_ref()) {
            for (key, mut book) in books {
                book.values_mut()
                    .filter(|one| one.state == State::Reserved)
                    .for_each(|one| one.state = State::Cancelled);
                *self.truth.book_mut(epoch, key) = book;
            }
            self.counts = counts;
        } else {
            self.counts.values_mut().for_each(|counts| counts.keys.clear());
            let records = books.iter().flat_map(|(key, book)| book.values().map(|record| (record.id, *key, *record)));
            let mut kept: Vec<_> = records.filter(|(.., record)| record.state == State::Ready).collect();
            kept.sort_unstable_by_key(|(id, ..)| *id);
            for (id, key, Record { op, length, .. }) in kept {
                let val = self.put(key, id, op, length).unwrap();
                self.decide(key, val, true);
            }
        }
        self.reconcile();
    }

    /// What is kept, and in sight, is what should be. What went beside that went since everybody has it.
    fn reconcile(&mut self) {
        let epoch = self.shelf.epoch();
        let keys: Vec<u16> = self.truth.keys(epoch).collect();
        for key in keys {
            let floor = self.shelf.floor(key);
            for (val, record) in self.truth.book_mut(epoch, key).range_mut(..=floor) {
                if record.state != State::Ready {
                    continue;
                }
                record.state = State::Gone;
                let counting = self.counts.iter().filter(|(_, counts)| counts.all || counts.keys.contains(&key));
                for (device, _) in counting.filter(|(device, _)| is_for(record.op, **device)) {
                    self.collected.push(Collected { device: *device, id: record.id, what: (epoch, key, *val) });
                }
            }
            let gone = self.truth.book_mut(epoch, key).iter().filter(|(_, record)| record.state == State::Gone);
            assert_eq!(floor, gone.map(|(val, _)| *val).max().unwrap_or(0), "floor of key {key}");
            assert_eq!(self.shelf.head(key), self.truth.head(epoch, key), "I12: head of key {key}");
        }
        assert_eq!(self.shelf.len(), self.truth.kept(epoch), "items");
    }

    /// Keys whose head has risen since this was asked last.
    pub fn risen(&mut self) -> Vec<(u16, u64)> {
        let epoch = self.shelf.epoch();
        let heads: Vec<_> = self.truth.keys(epoch).map(|key| (key, self.truth.head(epoch, key))).collect();
        heads.into_iter().filter(|(key, head)| self.told.insert(*key, *head).unwrap_or(0) < *head).collect()
    }

    /// The older links of a device that has just greeted again are to be closed.
    pub fn replaces(&self, now: Instant, server: &mut Link<'_>) {
        if server.is_open() {
            server.close(now, GoAway::new(GoAwayCode::Replaced));
        }
    }

    fn check_page(&mut self, device: usize, request: &Request<'_>, body: &[u8], limit: usize) {
        assert!(body.len() <= limit, "I22: {} bytes of {limit}", body.len());
        let Response::Page(page) = Response::decode(body).unwrap() else { panic!("no page") };
        let epoch = self.shelf.epoch();
        assert_eq!(page.epoch(), epoch);
        if request.epoch.is_some_and(|asked| asked != epoch) {
            assert!(page.is_reset(), "I11: asked in {:?}, and the epoch is {epoch}", request.epoch);
            return;
        }
        assert!(!page.is_reset(), "I11: a reset for nothing");
        assert!(page.items().len() <= usize::from(request.items()));
        let mut reached: BTreeMap<u16, u64> = request.entries.map(|entry| (entry.key, entry.val)).collect();
        if request.all {
            for key in self.truth.keys(epoch) {
                reached.entry(key).or_insert(0);
            }
        }
        for entry in page.entries() {
            let asked = *reached.get(&entry.key).expect("a key that is not wanted");
            let (head, floor) = (self.shelf.head(entry.key), self.shelf.floor(entry.key));
            assert_eq!(entry.resets, asked > head, "I11: {entry:?} after {asked}, and the head is {head}");
            let from = if entry.resets { 0 } else { asked };
            assert!((from..=head).contains(&entry.val), "I3, I12: {entry:?} after {from}, and the head is {head}");
            reached.insert(entry.key, entry.val);
            if request.epoch.is_none() {
                assert!(entry.val == floor && !entry.has_gap && page.items().len() == 0, "priming: {entry:?}");
                continue;
            }
            assert_eq!(entry.has_gap, floor > from, "I11: {entry:?} after {from}, and the floor is {floor}");
            self.check_key(&page, entry.key, (from, entry.val), device);
        }
        self.check_items(&page, device, limit);
        let left = reached.iter().any(|(key, val)| *val != self.shelf.head(*key));
        assert_eq!(page.has_more(), left, "I5: {reached:?}");
    }

    /// All that is kept between the two vals is in the page.
    fn check_key(&self, page: &Page<'_>, key: u16, (from, to): (u64, u64), device: usize) {
        let vals: BTreeSet<u64> = page.items().filter(|item| item.key == key).map(|item| item.val).collect();
        let between = self.truth.between(page.epoch(), key, (from, to), device);
        let kept = between.filter(|(_, record)| record.state == State::Ready).map(|(val, _)| val);
        assert_eq!(vals, kept.collect(), "I4: of key {key} after {from} up to {to}");
    }

    fn check_items(&self, page: &Page<'_>, device: usize, limit: usize) {
        for item in page.items() {
            let record = self.truth.get(page.epoch(), item.key, item.val).unwrap();
            assert!(is_for(record.op, device) && record.op == item.op, "{item:?}");
            let bytes = contents(record.id, record.length);
            if let Some(total) = item.total {
                assert_eq!(total as usize, bytes.len());
                assert!(bytes.len() + 48 > limit, "I22: a stub of {total} bytes, and there is room for {limit}");
                assert_eq!(item.bytes, &bytes[..item.bytes.len()]);
            } else {
                assert_eq!(item.bytes, bytes);
            }
        }
    }

    /// Nothing is kept that all who count have.
    pub fn check_released(&self) {
        let epoch = self.shelf.epoch();
        for (key, val, record) in self.truth.all(epoch) {
            let waits = self.counts.values().any(|counts| counts.all || counts.keys.contains(&key));
            assert!(!waits || record.state != State::Ready, "I15: key {key} val {val} is kept, and everybody has it");
        }
    }

    /// Something is kept of the key.
    pub fn is_kept(&self, epoch: Epoch, key: u16) -> bool {
        self.truth.all(epoch).any(|(of, _, record)| of == key && record.state == State::Ready)
    }

    /// What everybody who looks at the mailbox sees of a key.
    pub fn head(&self, key: u16) -> u64 {
        self.shelf.head(key)
    }
}
