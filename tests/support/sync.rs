//! The bodies of sync as a test writes and reads them, and a sync client that the test plays the server to.

use longlink::Instant;
use longlink::sync::{Client, Config, Item, Memory, Notify, Page, Receipt, Rejected, Request, Row, StaleReceipt, Told};
use std::collections::BTreeMap;

/// What a server answers, field by field; nothing in it has to fit together.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u8,
    pub epoch: u32,
    pub more: bool,
    pub retry_after: u32,
    pub entries: Vec<(u16, u16, u64)>,
    pub items: Vec<Vec<u8>>,
}

pub const RESET: u16 = 2;
pub const GAP: u16 = 4;

impl Answer {
    /// Nothing new in this epoch.
    pub fn of(epoch: u32) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// Of a status that comes with nothing else.
    pub fn status(status: u8) -> Self {
        Self { status, ..Self::default() }
    }

    /// The mailbox begins anew.
    pub fn reset(epoch: u32) -> Self {
        Self { status: 1, epoch, more: true, ..Self::default() }
    }

    /// Later.
    pub fn later(millis: u32) -> Self {
        Self { status: 2, retry_after: millis, ..Self::default() }
    }

    pub fn key(self, key: u16, val: u64) -> Self {
        self.flagged(key, 0, val)
    }

    pub fn flagged(mut self, key: u16, flags: u16, val: u64) -> Self {
        self.entries.push((key, flags, val));
        self
    }

    pub fn item(mut self, key: u16, val: u64, bytes: &[u8]) -> Self {
        self.items.push(raw_item(key, val, 0, bytes));
        self
    }

    pub fn stub(mut self, key: u16, val: u64, total: u32, bytes: &[u8]) -> Self {
        self.items.push(raw_item(key, val, 1, &[&total.to_be_bytes(), bytes].concat()));
        self
    }

    pub fn more(self) -> Self {
        Self { more: true, ..self }
    }

    pub fn body(&self) -> Vec<u8> {
        let items = self.items.concat();
        let mut body = vec![1, self.status];
        body.extend((self.entries.len() as u16).to_be_bytes());
        body.extend(self.epoch.to_be_bytes());
        body.extend((self.items.len() as u16).to_be_bytes());
        body.extend(u16::from(self.more).to_be_bytes());
        body.extend((items.len() as u32).to_be_bytes());
        body.extend(self.retry_after.to_be_bytes());
        for (key, flags, val) in &self.entries {
            body.extend(key.to_be_bytes());
            body.extend(flags.to_be_bytes());
            body.extend(val.to_be_bytes());
        }
        body.extend(items);
        body
    }
}

fn raw_item(key: u16, val: u64, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut item = key.to_be_bytes().to_vec();
    item.extend([7, flags]);
    item.extend((bytes.len() as u32).to_be_bytes());
    item.extend(val.to_be_bytes());
    item.extend(bytes);
    item
}

/// A notify of these heads.
pub fn heads(epoch: u32, entries: &[(u16, u64)]) -> Vec<u8> {
    let mut body = vec![1, 0];
    body.extend((entries.len() as u16).to_be_bytes());
    body.extend(epoch.to_be_bytes());
    for (key, val) in entries {
        body.extend(key.to_be_bytes());
        body.extend([0, 0]);
        body.extend(val.to_be_bytes());
    }
    body
}

/// A notify that does not say of what.
pub fn something(epoch: u32) -> Vec<u8> {
    Notify::something(longlink::sync::Epoch::new(epoch).unwrap()).to_vec()
}

/// A request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub sequence: u32,
    pub all: bool,
    pub continues: bool,
    pub retries: bool,
    pub epoch: u32,
    pub max_items: u16,
    pub hold: u16,
    pub max_bytes: u32,
    pub keys: Vec<(u16, u64)>,
}

impl Asked {
    pub fn read(sequence: u32, body: &[u8]) -> Self {
        let request = Request::decode(body).unwrap();
        Self {
            sequence,
            all: request.all,
            continues: request.continues,
            retries: request.retries,
            epoch: request.epoch.map_or(0, longlink::sync::Epoch::get),
            max_items: request.max_items,
            hold: request.hold,
            max_bytes: request.max_bytes,
            keys: request.entries.map(|entry| (entry.key, entry.val)).collect(),
        }
    }
}

/// The keys and vals of an ack, and its epoch.
pub fn acked(body: &[u8]) -> (u32, Vec<(u16, u64)>) {
    let ack = longlink::sync::Ack::decode(body).unwrap();
    (ack.epoch.get(), ack.entries.map(|entry| (entry.key, entry.val)).collect())
}

/// The keys and vals of a cursor as it is stored, and its epoch.
pub fn cursor(bytes: &[u8]) -> (u32, Vec<(u16, u64)>) {
    if bytes.get(4..8) == Some(&[0; 4]) {
        assert_eq!(bytes.len(), 8, "no epoch, and vals");
        return (0, Vec::new());
    }
    acked(bytes)
}

/// A page as an application keeps it, to be stored in another thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: u32,
    pub receipt: Vec<u8>,
    pub is_reset: bool,
    pub more: bool,
    pub entries: Vec<(u16, bool, bool, u64)>,
    pub items: Vec<Thing>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub key: u16,
    pub val: u64,
    pub op: u8,
    pub bytes: Vec<u8>,
    pub total: Option<u32>,
}

impl Thing {
    pub fn item(&self) -> Item<'_> {
        Item { total: self.total, ..Item::new(self.key, self.val, self.op, &self.bytes) }
    }
}

impl Kept {
    pub fn of(page: &Page<'_>) -> Self {
        let entries = page.entries().map(|entry| (entry.key, entry.resets, entry.has_gap, entry.val));
        let items = page.items().map(|item| Thing {
            key: item.key,
            val: item.val,
            op: item.op,
            bytes: item.bytes.to_vec(),
            total: item.total,
        });
        Self {
            id: page.id(),
            receipt: page.receipt().bytes().to_vec(),
            is_reset: page.is_reset(),
            more: page.has_more(),
            entries: entries.collect(),
            items: items.collect(),
        }
    }

    /// Built anew from the bytes that were kept.
    pub fn receipt(&self) -> Receipt<'_> {
        Receipt::from_bytes(self.id, &self.receipt).unwrap()
    }

    pub fn vals(&self) -> Vec<(u16, u64)> {
        self.items.iter().map(|item| (item.key, item.val)).collect()
    }
}

/// A sync client alone, to which the test plays the link and the server.
pub struct Bare {
    pub client: Client<'static>,
    pub now: Instant,
    /// Of the last request.
    pub sequence: u32,
}

/// How long the bodies are that it can receive.
pub const LONGEST: usize = 4_096;

impl Bare {
    pub fn new(config: Config<'static>) -> Self {
        Self::with_keys::<16>(config)
    }

    pub fn with_keys<const N: usize>(config: Config<'static>) -> Self {
        let config = Box::leak(Box::new(config));
        let memory: &mut Memory = Box::leak(Box::new(Memory::<[Row; N]>::new()));
        Self { client: Client::new(config, memory, 0xD0_0D1E, LONGEST).unwrap(), now: Instant::ZERO, sequence: 0 }
    }

    /// Online at 0, and primed in epoch 1: nothing is there yet, and that is told.
    pub fn primed(config: Config<'static>) -> Self {
        let mut bare = Self::new(config);
        bare.prime(&Answer::of(1));
        bare
    }

    /// Online, asked for the first time, and up to date by that answer.
    pub fn prime(&mut self, answer: &Answer) {
        self.online();
        let page = self.answer(answer).unwrap();
        self.commit(&page).unwrap();
        assert_eq!(self.told(), [Told::CaughtUp]);
    }

    pub fn at(&mut self, seconds: u64) -> &mut Self {
        self.at_millis(seconds * 1_000)
    }

    pub fn at_millis(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self.timeout();
        self
    }

    /// What is awaited does not come. `true` if the link is to be asked whether it lives.
    pub fn expire(&mut self) -> bool {
        self.now = self.client.poll_timeout().unwrap();
        self.timeout()
    }

    fn timeout(&mut self) -> bool {
        let asks = self.client.handle_timeout(self.now, None);
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "{next:?} is due at {:?} still", self.now);
        asks
    }

    /// Lets time pass until something is to be written, or for so many seconds. Returns how many milliseconds passed.
    pub fn until_due(&mut self, seconds: u64) -> u64 {
        let (begin, end) = (self.now, self.now + std::time::Duration::from_secs(seconds));
        while !self.client.is_due() {
            match self.client.poll_timeout().filter(|at| *at <= end) {
                Some(at) => self.now = at,
                None => {
                    self.now = end;
                    break;
                }
            }
            self.timeout();
        }
        (self.now - begin).as_millis() as u64
    }

    pub fn online(&mut self) {
        self.client.handle_online(self.now);
    }

    pub fn cut(&mut self) {
        self.client.handle_disconnected();
    }

    /// The request that it writes now.
    pub fn asked(&mut self) -> Option<Asked> {
        let (sequence, fixed) = self.client.poll_request()?;
        assert_eq!(self.client.poll_request(), Some((sequence, fixed)), "the same until it is written");
        let body = [&fixed[..], self.client.rows()].concat();
        self.client.handle_request_sent(self.now);
        self.sequence = sequence;
        Some(Asked::read(sequence, &body))
    }

    /// The ack that it writes now.
    pub fn acked(&mut self) -> Option<(u32, Vec<(u16, u64)>)> {
        assert_eq!(self.client.poll_ack().is_some(), self.client.owes_ack());
        let fixed = self.client.poll_ack()?;
        let body = [&fixed[..], self.client.rows()].concat();
        self.client.handle_ack_sent();
        Some(acked(&body))
    }

    /// The server answers what was asked last.
    pub fn reply(&mut self, sequence: u32, answer: &Answer) -> Option<Kept> {
        let body = answer.body();
        self.client.handle_response(self.now, sequence, &body).map(|page| Kept::of(&page))
    }

    /// It asks now, and is answered at once.
    pub fn answer(&mut self, answer: &Answer) -> Option<Kept> {
        let sequence = self.asked().unwrap().sequence;
        self.reply(sequence, answer)
    }

    pub fn notify(&mut self, body: &[u8]) {
        self.client.handle_notify(self.now, body);
    }

    pub fn want(&mut self) {
        self.client.want(self.now);
    }

    pub fn commit(&mut self, page: &Kept) -> Result<(), StaleReceipt> {
        self.client.commit(self.now, &page.receipt())
    }

    pub fn commit_to(&mut self, page: &Kept, item: usize) -> Result<(), StaleReceipt> {
        let receipt = page.receipt().up_to(&page.items[item].item());
        self.client.commit(self.now, &receipt)
    }

    pub fn reject(&mut self, page: &Kept, item: usize) -> Result<Rejected, StaleReceipt> {
        self.client.reject(self.now, &page.receipt(), &page.items[item].item())
    }

    /// The cursor as it would be stored now.
    pub fn stored(&self) -> Vec<u8> {
        let mut out = [0; 8 + 64 * 12];
        let length = self.client.cursor(&mut out).unwrap();
        out[..length].to_vec()
    }

    pub fn cursor(&self) -> (u32, Vec<(u16, u64)>) {
        cursor(&self.stored())
    }

    /// What a commit of the page would make of the cursor.
    pub fn cursor_after(&self, receipt: &Receipt<'_>) -> Vec<u8> {
        let mut out = [0; 8 + 64 * 12];
        let length = self.client.cursor_after(receipt, &mut out).unwrap();
        out[..length].to_vec()
    }

    /// What it told since this was asked last.
    pub fn told(&mut self) -> Vec<Told> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }
}

/// A mailbox that answers as a server does, from items in memory, as many of them at once as a page may have.
#[derive(Clone, Debug, Default)]
pub struct Post {
    pub epoch: u32,
    pub items: BTreeMap<(u16, u64), Vec<u8>>,
    pub floors: BTreeMap<u16, u64>,
}

impl Post {
    pub fn of(epoch: u32, items: &[(u16, u64)]) -> Self {
        let items = items.iter().map(|(key, val)| ((*key, *val), format!("{key}/{val}").into_bytes())).collect();
        Self { epoch, items, floors: BTreeMap::new() }
    }

    pub fn put(&mut self, key: u16, val: u64) {
        self.items.insert((key, val), format!("{key}/{val}").into_bytes());
    }

    /// The answer to a request, key by key.
    pub fn answer(&self, asked: &Asked) -> Answer {
        if asked.epoch == 0 {
            let answer = Answer::of(self.epoch);
            return if self.items.is_empty() { answer } else { answer.more() };
        }
        if asked.epoch != self.epoch {
            return Answer::reset(self.epoch);
        }
        let val = |key| asked.keys.iter().find(|(k, _)| *k == key).map(|(_, val)| *val);
        let mut answer = Answer::of(self.epoch);
        for ((key, at), bytes) in &self.items {
            let after = val(*key).or(asked.all.then_some(0));
            if after.is_none_or(|after| *at <= after) {
                continue;
            }
            if answer.items.len() >= asked.max_items.into() {
                return answer.more();
            }
            answer.items.push(raw_item(*key, *at, 0, bytes));
            match answer.entries.last_mut().filter(|last| last.0 == *key) {
                Some(last) => last.2 = *at,
                None => answer.entries.push((*key, 0, *at)),
            }
        }
        answer
    }
}

/// Up to date in epoch 1 with key 1 at 10; the ack is written.
pub fn quiet(config: Config<'static>) -> Bare {
    let mut bare = Bare::new(config);
    bare.prime(&Answer::of(1).key(1, 10));
    if config.hold.is_zero() {
        bare.acked().unwrap();
    }
    bare
}

/// Answers one round after the other with what `answer` makes, for so many seconds. Returns when each was asked for, in
/// milliseconds.
pub fn serve(bare: &mut Bare, seconds: u64, mut answer: impl FnMut(usize) -> Answer) -> Vec<u64> {
    let end = bare.now + std::time::Duration::from_secs(seconds);
    let mut times = Vec::new();
    while bare.now < end && times.len() < 100_000 {
        bare.until_due((end - bare.now).as_secs() + 1);
        if bare.now >= end {
            break;
        }
        let Some(asked) = bare.asked() else { break };
        times.push(bare.now.as_micros() / 1_000);
        if let Some(page) = bare.reply(asked.sequence, &answer(times.len())) {
            bare.commit(&page).unwrap();
        }
        bare.told();
    }
    times
}

/// The time from each to the next.
pub fn gaps(times: &[u64]) -> Vec<u64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
