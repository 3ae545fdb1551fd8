//! The mailbox of a device: pages, parts of items that are longer than a page, and the cursor.

use super::account::{Account, contents};
use super::ear::Ear;
use super::office::Moment;
use super::plan::Habits;
use super::tally::{self, Fault, Work, note};
use crate::support::Random;
use longlink::Instant;
use longlink::delivery::Token;
use longlink::sync::{Entry, Epoch, FETCH, Fetch, FetchReply, FetchStatus, Page, Receipt};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far the device is. A key at 0 is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub epoch: Option<Epoch>,
    vals: BTreeMap<u16, u64>,
}

impl Cursor {
    pub fn val(&self, key: u16) -> u64 {
        self.vals.get(&key).copied().unwrap_or(0)
    }

    /// Where a page goes on from: in another epoch, and where the mailbox says so, from the beginning.
    fn from(&self, epoch: Epoch, entry: &Entry) -> u64 {
        if self.epoch == Some(epoch) && !entry.resets { self.val(entry.key) } else { 0 }
    }

    fn merge(&mut self, receipt: &Receipt<'_>) {
        if self.epoch != Some(receipt.epoch()) {
            *self = Self { epoch: Some(receipt.epoch()), vals: BTreeMap::new() };
        }
        self.vals.extend(receipt.vals().map(|entry| (entry.key, entry.val)));
        self.vals.retain(|_, val| *val > 0);
    }
}

/// What is on the disk: the items, of which their number is enough here, and the cursor after them, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub cursor: Cursor,
    /// As the client encoded it.
    pub bytes: Option<Vec<u8>>,
    items: u64,
}

struct Got {
    key: u16,
    val: u64,
    total: usize,
    bytes: Vec<u8>,
}

/// A page that is with the application.
struct Out {
    id: u32,
    receipt: Vec<u8>,
    items: Vec<Got>,
    /// A part of the item with this index is asked for.
    asked: Option<(Token, usize, Fetch)>,
    /// Nothing happens before.
    at: Instant,
}

pub struct Inbox {
    habits: Habits,
    /// The number of the device among all.
    device: usize,
    pub disk: Stored,
    /// What the client's cursor has to be: what was committed.
    memory: Cursor,
    page: Option<Out>,
    /// The next page cannot be stored.
    pub fails: bool,
    random: Random,
}

impl Inbox {
    pub fn new(device: usize, habits: Habits) -> Self {
        let random = Random(habits.seed ^ 1);
        let (disk, memory) = (Stored::default(), Cursor::default());
        Self { habits, device, disk, memory, page: None, fails: false, random }
    }

    /// A new process, with what is on the disk.
    pub fn restart(&mut self) {
        self.memory = self.disk.cursor.clone();
        (self.page, self.fails) = (None, false);
    }

    pub fn is_idle(&self) -> bool {
        self.page.is_none()
    }

    pub fn take(&mut self, now: Instant, account: &Account<'_>, page: &Page<'_>) {
        assert!(self.page.is_none(), "a page comes while another is with the application");
        let slow = Duration::from_millis(self.random.below(self.habits.disk_millis * 10 + 1));
        let items = page.items().map(|item| {
            let thing = account.between(page.epoch(), item.key, item.val - 1, item.val).first();
            let thing =
                thing.unwrap_or_else(|| panic!("an item that was never put in: key {}, {}", item.key, item.val));
            let whole = contents(thing.id);
            assert!(whole.starts_with(item.bytes), "item {} of key {} has other bytes", item.val, item.key);
            let total = item.total.map_or(item.bytes.len(), |total| total as usize);
            assert_eq!(total, whole.len(), "item {} of key {} has another length", item.val, item.key);
            Got { key: item.key, val: item.val, total, bytes: item.bytes.to_vec() }
        });
        let items = items.collect();
        self.page =
            Some(Out { id: page.id(), receipt: page.receipt().bytes().to_vec(), items, asked: None, at: now + slow });
    }

    /// Goes on with the page. `true` if it did something; the process may be dead then, as `dies` says.
    pub fn work(&mut self, now: Instant, ear: &mut Ear<'_>, account: &mut Account<'_>, dies: &mut Dies) -> bool {
        let Some(out) = self.page.as_mut().filter(|out| out.asked.is_none() && out.at <= now) else { return false };
        let wants = |got: &Got| got.bytes.len() < got.total && got.val % 100 < self.habits.fetches;
        if let Some(index) = out.items.iter().position(wants) {
            let (got, epoch) = (&out.items[index], Receipt::from_bytes(out.id, &out.receipt).unwrap().epoch());
            let fetch = Fetch::new(got.key, epoch, got.val, got.bytes.len() as u32, self.habits.rx as u32 - 16);
            match ear.with(now, |client, clock| client.request(clock, FETCH, &fetch.to_bytes())) {
                Ok(token) => out.asked = Some((token, index, fetch)),
                Err(_) => out.at = now + Duration::from_secs(2),
            }
            return true;
        }
        self.store(now, ear, account, dies);
        true
    }

    /// A reply to a request; `false` if it was another's.
    pub fn handle_reply(&mut self, now: Instant, token: Token, body: &[u8]) -> bool {
        let Some(out) = self.page.as_mut().filter(|out| out.asked.is_some_and(|(of, ..)| of == token)) else {
            return false;
        };
        let Some((_, index, fetch)) = out.asked.take() else { return false };
        let reply = FetchReply::decode(body, &fetch).unwrap();
        let got = &mut out.items[index];
        match reply.status {
            FetchStatus::Ok => {
                got.bytes.extend_from_slice(reply.bytes);
                tally::did(Work::Fetches);
            }
            FetchStatus::RetryLater => out.at = now + Duration::from_secs(1),
            // As much as there is.
            FetchStatus::Gone | FetchStatus::OtherEpoch => got.total = got.bytes.len(),
            status => panic!("a part of an item is refused: {status:?}"),
        }
        true
    }

    /// A request failed; `false` if it was another's.
    pub fn handle_failed(&mut self, now: Instant, token: Token) -> bool {
        let out = self.page.as_mut().filter(|out| out.asked.is_some_and(|(of, ..)| of == token));
        let Some(out) = out else { return false };
        (out.asked, out.at) = (None, now + Duration::from_secs(1));
        true
    }

    /// All is there: the items and the cursor in one transaction, and then the client is told.
    fn store(&mut self, now: Instant, ear: &mut Ear<'_>, account: &mut Account<'_>, dies: &mut Dies) {
        let Some(out) = self.page.take() else { return };
        if dies.at(now, self.device, Moment::Before) {
            return;
        }
        if std::mem::take(&mut self.fails) {
            tally::wrong(Fault::InboxFails);
            note(now, || format!("device {}: the page cannot be stored", self.device));
            return ear.with(now, |client, clock| client.abandon(clock));
        }
        let receipt = Receipt::from_bytes(out.id, &out.receipt).unwrap();
        let mut bytes = vec![0; 128];
        let length = ear.client.cursor_after(&receipt, &mut bytes).unwrap();
        bytes.truncate(length);
        self.check(now, account, &receipt, &out.items);
        self.disk.cursor.merge(&receipt);
        self.disk.bytes = Some(bytes);
        self.disk.items += out.items.len() as u64;
        for entry in receipt.vals() {
            account.reach(self.device, receipt.epoch(), entry.key, entry.val);
        }
        if dies.at(now, self.device, Moment::After) {
            return;
        }
        let committed = ear.with(now, |client, clock| client.commit(clock, &receipt));
        assert!(committed.is_ok(), "a page that was stored cannot be committed: {committed:?}");
        self.memory.merge(&receipt);
    }

    /// A page has all that the mailbox keeps after the cursor, in order; what is missing is gone, and told.
    fn check(&self, now: Instant, account: &Account<'_>, receipt: &Receipt<'_>, items: &[Got]) {
        let (epoch, begins) = (receipt.epoch(), self.disk.cursor.epoch.is_none());
        let (device, mut known) = (self.device, 0);
        note(now, || {
            format!("device {device}: stores {} items, {:?}", items.len(), receipt.vals().collect::<Vec<_>>())
        });
        for entry in receipt.vals() {
            let (key, from) = (entry.key, self.disk.cursor.from(epoch, &entry));
            assert!(entry.val >= from, "the cursor of device {device} falls from {from} to {entry:?}");
            let mut got = items.iter().filter(|got| got.key == key).map(|got| got.val).peekable();
            for thing in account.between(epoch, key, from, entry.val) {
                known += usize::from(got.peek() == Some(&thing.val));
                if got.next_if_eq(&thing.val).is_some() {
                    continue;
                }
                let is_gone = thing.val <= account.floor(epoch, key);
                assert!(is_gone, "device {device} is led past item {} of key {key}, which is kept", thing.val);
                let is_told = entry.has_gap || begins;
                assert!(is_told, "device {device} is led past item {} of key {key}, and no gap is told", thing.val);
            }
            assert!(got.peek().is_none(), "device {device}: key {key} repeats, or is out of order: {:?}", got.peek());
            if entry.has_gap {
                tally::did(Work::Gaps);
            }
        }
        assert_eq!(known, items.len(), "items of keys that the page does not speak of");
        items.iter().for_each(|_| tally::did(Work::Items));
    }

    /// The client's cursor is what was committed: it never moves by itself.
    pub fn check_cursor(&self, ear: &Ear<'_>) {
        let keys = ear.client.cursor().unwrap();
        let vals = keys.entries().filter(|entry| entry.val > 0).map(|entry| (entry.key, entry.val));
        let is_same =
            keys.epoch() == self.memory.epoch && vals.eq(self.memory.vals.iter().map(|(key, val)| (*key, *val)));
        assert!(
            is_same,
            "the cursor of device {} moved without a commit: {keys:?}, not {:?}",
            self.device, self.memory
        );
    }

    pub fn next(&self) -> Option<Instant> {
        self.page.as_ref().filter(|out| out.asked.is_none()).map(|out| out.at)
    }
}

/// Whether the process of a device dies at its next write to the disk, and whether it has.
#[derive(Default)]
pub struct Dies {
    pub when: Option<Moment>,
    pub is_dead: bool,
}

impl Dies {
    /// `true` if the process ends here.
    pub fn at(&mut self, now: Instant, device: usize, moment: Moment) -> bool {
        let dies = self.when == Some(moment);
        if dies {
            (self.when, self.is_dead) = (None, true);
            let before = moment == Moment::Before;
            tally::wrong(if before { Fault::DiedBeforeStoring } else { Fault::DiedAfterStoring });
            note(now, || format!("device {device}: dies {moment:?} a write"));
        }
        dies
    }
}
