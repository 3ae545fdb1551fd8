//! What must hold of every run, held against what is in the inboxes in the end.
//!
//! The server numbers each message in the transaction that stores it, and the number travels with its items. So a message
//! that was stored twice would be in the inboxes under two numbers, and one that was not stored in none of them.

use std::collections::{BTreeMap, BTreeSet};

/// All that is to be judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) senders: Vec<Sender>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) payload: Payload,
}

/// Who sent what, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    pub(crate) name: String,
    pub(crate) texts: Vec<String>,
    /// What the library told this device to be delivered.
    pub(crate) delivered: BTreeSet<String>,
    /// What it told to have failed, and why.
    pub(crate) failed: Vec<String>,
}

/// What is on a device in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) name: String,
    /// The senders, by their place, whose messages have to be here.
    pub(crate) from: Vec<usize>,
    /// In the order of their places.
    pub(crate) items: Vec<Item>,
    /// The places in the order in which they were told.
    pub(crate) told: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its place: which list, and where in it.
    pub(crate) place: (u64, u64),
    /// The number that the server gave it.
    pub(crate) id: u64,
    pub(crate) text: String,
}

/// The photo: what was sent, and what the server has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    pub(crate) sent: Vec<u8>,
    pub(crate) arrived: Option<Vec<u8>>,
}

/// Whether a rule held.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) meaning: &'static str,
    /// So many of so many are as they must be.
    pub(crate) held: u64,
    pub(crate) of: u64,
    /// What is not, in words.
    pub(crate) faults: Vec<String>,
}

impl Verdict {
    fn new(name: &'static str, title: &'static str, meaning: &'static str) -> Self {
        Self { name, title, meaning, held: 0, of: 0, faults: Vec::new() }
    }

    pub(crate) fn holds(&self) -> bool {
        self.faults.is_empty() && self.held == self.of
    }

    fn count(&mut self, is_right: bool, fault: impl FnOnce() -> String) {
        self.of += 1;
        if is_right {
            self.held += 1;
        } else {
            self.faults.push(fault());
        }
    }
}

/// Judges all rules.
pub(crate) fn judge(book: &Book) -> Vec<Verdict> {
    vec![settled(book), told(book), stored_once(book), on_every_device(book), in_order(book), payload(book)]
}

/// Whether the run did, and if not, why.
pub(crate) fn came_to_its_end(trouble: Option<String>) -> Verdict {
    let mut verdict = Verdict::new("finished", "came to an end", "nothing was stuck, and no process gave up");
    verdict.count(trouble.is_none(), || trouble.unwrap_or_default());
    verdict
}

fn settled(book: &Book) -> Verdict {
    let meaning = "messages of which the sender was told that they are stored";
    let mut verdict = Verdict::new("delivered", "delivered", meaning);
    for sender in &book.senders {
        for text in &sender.texts {
            let is_told = sender.delivered.contains(text);
            verdict.count(is_told, || format!("{} was never told that it is delivered: {text}", sender.name));
        }
        verdict.faults.extend(sender.failed.iter().map(|why| format!("{}: {why}", sender.name)));
    }
    verdict
}

fn told(book: &Book) -> Verdict {
    let meaning = "of those told delivered, what the server has, though it was killed";
    let mut verdict = Verdict::new("delivered_and_stored", "told the truth", meaning);
    let ids = ids(book);
    for sender in &book.senders {
        for text in &sender.delivered {
            let is_stored = ids.contains_key(text.as_str());
            verdict
                .count(is_stored, || format!("{} was told that it is delivered, and it is lost: {text}", sender.name));
        }
    }
    verdict
}

fn stored_once(book: &Book) -> Verdict {
    let meaning = "under one number of the server's, however often they were sent";
    let mut verdict = Verdict::new("stored_once", "stored once", meaning);
    let ids = ids(book);
    for text in book.senders.iter().flat_map(|sender| &sender.texts) {
        let copies = ids.get(text.as_str()).map_or(0, BTreeSet::len);
        verdict.count(copies == 1, || format!("stored {copies} times: {text}"));
    }
    // Copies are told apart by their numbers only if no number is given twice.
    let (given, different) = (ids.values().flatten(), ids.values().flatten().collect::<BTreeSet<_>>());
    if given.count() != different.len() {
        verdict.faults.push("two messages have the same number".into());
    }
    verdict
}

/// The numbers that the server gave to each text.
fn ids(book: &Book) -> BTreeMap<&str, BTreeSet<u64>> {
    let mut ids = BTreeMap::<&str, BTreeSet<u64>>::new();
    for item in book.inboxes.iter().flat_map(|inbox| &inbox.items) {
        ids.entry(&item.text).or_default().insert(item.id);
    }
    ids
}

fn on_every_device(book: &Book) -> Verdict {
    let meaning = "on both devices of the sender and both of the addressee, once";
    let mut verdict = Verdict::new("on_every_device", "on every device once", meaning);
    for inbox in &book.inboxes {
        let mut here = BTreeMap::<&str, u64>::new();
        for item in &inbox.items {
            *here.entry(&item.text).or_default() += 1;
        }
        let senders = inbox.from.iter().filter_map(|from| book.senders.get(*from));
        for text in senders.flat_map(|sender| &sender.texts) {
            let count = here.remove(text.as_str()).unwrap_or_default();
            verdict.count(count == 1, || format!("{} has this {count} times: {text}", inbox.name));
        }
        verdict.faults.extend(here.keys().map(|text| format!("{} has what nobody sent it: {text}", inbox.name)));
    }
    verdict
}

fn in_order(book: &Book) -> Verdict {
    let meaning = "each behind what its sender sent before, and shown so";
    let mut verdict = Verdict::new("in_order", "in order", meaning);
    let mut order = BTreeMap::<&str, (usize, usize)>::new();
    for (from, sender) in book.senders.iter().enumerate() {
        order.extend(sender.texts.iter().enumerate().map(|(number, text)| (text.as_str(), (from, number))));
    }
    for inbox in &book.inboxes {
        // By list and sender.
        let mut last = BTreeMap::<(u64, usize), usize>::new();
        for item in &inbox.items {
            let Some((from, number)) = order.get(item.text.as_str()) else { continue };
            let before = last.insert((item.place.0, *from), *number);
            verdict.count(before.is_none_or(|before| before < *number), || {
                format!("{} has this behind a later one: {}", inbox.name, item.text)
            });
        }
        let mut shown = BTreeMap::new();
        for (list, place) in &inbox.told {
            if shown.insert(list, place).is_some_and(|before| before >= place) {
                verdict.faults.push(format!("{} showed place {place} of list {list} after a later one", inbox.name));
            }
        }
    }
    verdict
}

fn payload(book: &Book) -> Verdict {
    let meaning = "bytes that the server has as they were sent";
    let mut verdict = Verdict::new("payload", "photo", meaning);
    let Payload { sent, arrived } = &book.payload;
    verdict.of = sent.len() as u64;
    match arrived {
        None => verdict.faults.push("the server has no photo".into()),
        Some(arrived) => {
            verdict.held = sent.iter().zip(arrived).filter(|(sent, arrived)| sent == arrived).count() as u64;
            if sent != arrived {
                verdict.faults.push(format!("the server's photo of {} bytes is another one", arrived.len()));
            }
        }
    }
    verdict
}
