//! A device that pulls from a mailbox, and bodies built as a client builds them.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, clippy::new_without_default)]

use longlink::Instant;
use longlink::sync::{
    Acked, Answered, Entry, Epoch, Item, Mailbox, Page, Request, Response, RingDevice, RingItem, RingKey, RingMailbox,
    RingMemory, Row, SyncKeys, answer,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

pub const E1: Epoch = Epoch::FIRST;
pub const NOW: Instant = Instant::from_secs(1);

pub fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

/// The memory of a mailbox.
pub struct Memory {
    pub items: Vec<RingItem>,
    pub bytes: Vec<u8>,
    pub keys: Vec<RingKey>,
    pub devices: Vec<RingDevice>,
    pub acks: Vec<u64>,
}

impl Memory {
    pub fn new(items: usize, bytes: usize, keys: usize, devices: usize) -> Self {
        Self {
            items: vec![RingItem::FREE; items],
            bytes: vec![0; bytes],
            keys: vec![RingKey::FREE; keys],
            devices: vec![RingDevice::FREE; devices],
            acks: vec![0; keys * devices],
        }
    }

    pub fn mailbox(&mut self) -> RingMailbox<'_> {
        let Self { items, bytes, keys, devices, acks } = self;
        RingMailbox::new(E1, RingMemory { items, bytes, keys, devices, acks })
    }
}

/// A cursor of these entries.
pub fn keys(epoch: Option<Epoch>, entries: &[(u16, u64)]) -> SyncKeys<[Row; 64]> {
    let mut stored = vec![1, 0, 0, u8::try_from(entries.len()).unwrap()];
    stored.extend(epoch.map_or(0, Epoch::get).to_be_bytes());
    for (key, val) in entries {
        stored.extend(key.to_be_bytes());
        stored.extend([0, 0]);
        stored.extend(val.to_be_bytes());
    }
    let mut keys = SyncKeys::new();
    keys.decode(&stored).unwrap();
    keys
}

/// "Everything after this, whatever the key."
pub fn all(cursor: &SyncKeys<[Row; 64]>) -> Request<'_> {
    Request {
        all: true,
        continues: false,
        retries: false,
        epoch: cursor.epoch(),
        max_items: 0,
        hold: 0,
        max_bytes: 65_536,
        entries: cursor.entries(),
    }
}

/// "What these keys have after this."
pub fn listed(cursor: &SyncKeys<[Row; 64]>) -> Request<'_> {
    Request { all: false, ..all(cursor) }
}

/// The body of the answer.
pub fn body<M: Mailbox + ?Sized>(request: &Request<'_>, mailbox: &mut M) -> Vec<u8> {
    answered(request, mailbox).0
}

pub fn answered<M: Mailbox + ?Sized>(request: &Request<'_>, mailbox: &mut M) -> (Vec<u8>, Answered<M::Error>) {
    // Over the wire and back.
    let mut asked = vec![0; 1_024];
    let length = request.encode(&mut asked).unwrap();
    let request = Request::decode(&asked[..length]).unwrap();
    let mut out = vec![0xEE; 70_000];
    let answered = answer(&request, mailbox, &mut out).unwrap();
    assert!(answered.length <= usize::try_from(request.max_bytes).unwrap());
    assert!(out[answered.length..].iter().skip(65_536).all(|byte| *byte == 0xEE));
    out.truncate(answered.length);
    (out, answered)
}

pub fn page(body: &[u8]) -> Page<'_> {
    match Response::decode(body) {
        Ok(Response::Page(page)) => page,
        other => panic!("{other:?}"),
    }
}

pub fn entries(body: &[u8]) -> Vec<Entry> {
    page(body).entries().collect()
}

pub fn items(body: &[u8]) -> Vec<(u16, u64, Vec<u8>)> {
    page(body).items().map(|item| (item.key, item.val, item.bytes.to_vec())).collect()
}

/// Key and val of the items.
pub fn names(body: &[u8]) -> Vec<(u16, u64)> {
    page(body).items().map(|item| (item.key, item.val)).collect()
}

/// An item that arrived: key, val, op, bytes, and the whole length of a stub.
pub type Arrived = (u16, u64, u8, Vec<u8>, Option<u32>);

/// What was acknowledged: whether as all that is wanted, whether all is wanted, the vals.
pub type Said = (bool, bool, Vec<(u16, u64)>);

/// What a device has of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    pub epoch: Option<Epoch>,
    pub vals: BTreeMap<u16, u64>,
    pub items: Vec<Arrived>,
    pub gaps: Vec<u16>,
    pub resets: Vec<u16>,
    pub epochs: usize,
    pub pages: usize,
}

impl Device {
    pub fn at(epoch: Epoch, vals: &[(u16, u64)]) -> Self {
        Self { epoch: Some(epoch), vals: vals.iter().copied().collect(), ..Self::default() }
    }

    pub fn cursor(&self) -> SyncKeys<[Row; 64]> {
        keys(self.epoch, &self.vals.iter().map(|(key, val)| (*key, *val)).collect::<Vec<_>>())
    }

    /// Takes a page as a client has to, and looks at what must hold of each.
    pub fn take(&mut self, page: &Page<'_>) {
        self.pages += 1;
        let mut moves = self.epoch != Some(page.epoch());
        if page.is_reset() {
            self.vals.clear();
            self.epochs += 1;
        }
        self.epoch = Some(page.epoch());
        for entry in page.entries() {
            let asked = self.vals.get(&entry.key).copied().unwrap_or(0);
            assert!(entry.val > asked || entry.resets, "key {} went from {asked} to {}", entry.key, entry.val);
            moves = true;
            let after = if entry.resets { 0 } else { asked };
            if entry.resets {
                self.resets.push(entry.key);
            }
            if entry.has_gap {
                self.gaps.push(entry.key);
            }
            for item in page.items().filter(|item| item.key == entry.key) {
                assert!(after < item.val && item.val <= entry.val);
                self.items.push((item.key, item.val, item.op, item.bytes.to_vec(), item.total));
            }
            self.vals.insert(entry.key, entry.val);
        }
        assert!(moves || !page.has_more(), "more, and nothing moves");
    }

    /// Asks until nothing is left out. `change` makes a request out of that for everything.
    pub fn pull<M: Mailbox + ?Sized>(&mut self, mailbox: &mut M, change: impl Fn(Request<'_>) -> Request<'_>) {
        for _ in 0..20_000 {
            let cursor = self.cursor();
            let body = body(&change(all(&cursor)), mailbox);
            let page = page(&body);
            self.take(&page);
            if !page.has_more() {
                return;
            }
        }
        panic!("it never ends");
    }
}

/// Another mailbox, as plain as can be: a database that sees every device alike, and whatever may be wrong with one.
#[derive(Clone, Debug)]
pub struct Store {
    pub epoch: Epoch,
    pub items: BTreeMap<(u16, u64), Stored>,
    pub heads: BTreeMap<u16, u64>,
    pub floors: BTreeMap<u16, u64>,
    /// A read passes over so many vals at most.
    pub scan: usize,
    /// How many calls are still answered; then each is an error.
    pub calls: usize,
    pub acked: Vec<Said>,
    /// The floors after the next read, as if another connection to the database were at work meanwhile.
    pub floors_after_read: Option<BTreeMap<u16, u64>>,
    /// The same after the next acknowledgement.
    pub floors_after_acked: Option<BTreeMap<u16, u64>>,
}

#[derive(Clone, Debug)]
pub struct Stored {
    pub bytes: Vec<u8>,
    /// The store has only these bytes at hand, of so many.
    pub total: Option<u32>,
    pub is_visible: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down;

impl Store {
    pub fn new() -> Self {
        Self {
            epoch: E1,
            items: BTreeMap::new(),
            heads: BTreeMap::new(),
            floors: BTreeMap::new(),
            scan: usize::MAX,
            calls: usize::MAX,
            acked: Vec::new(),
            floors_after_read: None,
            floors_after_acked: None,
        }
    }

    /// An item of so many bytes, each the low byte of the val.
    pub fn put(&mut self, key: u16, val: u64, length: usize) -> &mut Stored {
        let head = self.heads.entry(key).or_default();
        *head = val.max(*head);
        let bytes = vec![val.to_le_bytes()[0]; length];
        self.items.entry((key, val)).or_insert(Stored { bytes, total: None, is_visible: true })
    }

    /// An item that the device may not see.
    pub fn hide(&mut self, key: u16, val: u64) {
        self.put(key, val, 1).is_visible = false;
    }

    fn call(&mut self) -> Result<(), Down> {
        self.calls = self.calls.checked_sub(1).ok_or(Down)?;
        Ok(())
    }
}

impl Mailbox for Store {
    type Error = Down;

    fn epoch(&mut self) -> Result<Epoch, Down> {
        self.call()?;
        Ok(self.epoch)
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Down> {
        self.call()?;
        Ok(self.heads.keys().copied().find(|key| after.is_none_or(|after| *key > after)))
    }

    fn head(&mut self, key: u16) -> Result<u64, Down> {
        self.call()?;
        Ok(self.heads.get(&key).copied().unwrap_or(0))
    }

    fn floor(&mut self, key: u16) -> Result<u64, Down> {
        self.call()?;
        Ok(self.floors.get(&key).copied().unwrap_or(0))
    }

    fn read(&mut self, key: u16, after: u64, each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Result<u64, Down> {
        self.call()?;
        let floor = self.floors.get(&key).copied().unwrap_or(0);
        if let Some(floors) = self.floors_after_read.take() {
            self.floors = floors;
        }
        let mut scanned = 0;
        for ((_, val), stored) in self.items.range((key, after.max(floor) + 1)..=(key, u64::MAX)) {
            scanned += 1;
            let item = Item { total: stored.total, ..Item::new(key, *val, 7, &stored.bytes) };
            if stored.is_visible && each(item).is_break() {
                break;
            }
            if scanned == self.scan {
                return Ok(*val);
            }
        }
        Ok(self.heads.get(&key).copied().unwrap_or(0))
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Down> {
        self.call()?;
        let found = self.items.get(&(key, val)).filter(|stored| stored.is_visible);
        if let Some(stored) = found {
            each(Item::new(key, val, 7, &stored.bytes));
        }
        Ok(found.is_some())
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Down> {
        self.call()?;
        self.acked.push((acked.is_selection(), acked.all(), acked.vals().collect()));
        if let Some(floors) = self.floors_after_acked.take() {
            self.floors = floors;
        }
        Ok(())
    }
}
