//! Whatever happened to a mailbox, and whatever a device says that it has: it gets what is kept after that, once, in order,
//! in pages that keep to what was asked for.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/mailbox.rs"]
mod support;

use longlink::sync::{Mailbox, Request, RingError, RingMailbox, answer};
use proptest::{collection::vec, prelude::*};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use support::{Device, E1, Memory, NOW, Store, all, body, entries, keys, listed, names, page};

const KEYS: u16 = 5;

/// What happens to a mailbox.
#[derive(Clone, Copy, Debug)]
enum Op {
    Append(u16, usize),
    Reserve(u16, usize),
    /// One of those that are reserved, with this part of its bytes in eighths.
    Finish(usize, usize),
    Cancel(usize),
    /// A device has stored this part of a key's vals, in eighths.
    Ack(u64, u16, u64),
    /// A device asks for all keys.
    Asks(u64),
    Remove(u64),
}

fn op(longest: usize) -> impl Strategy<Value = Op> {
    let (key, device) = (0..KEYS, 1_u64..4);
    prop_oneof![
        20 => (key.clone(), 0..=longest).prop_map(|(key, length)| Op::Append(key, length)),
        3 => (key.clone(), 0..=longest).prop_map(|(key, length)| Op::Reserve(key, length)),
        3 => (0_usize..8, 0_usize..9).prop_map(|(at, part)| Op::Finish(at, part)),
        1 => (0_usize..8).prop_map(Op::Cancel),
        6 => (device.clone(), key, 0_u64..10).prop_map(|(device, key, part)| Op::Ack(device, key, part)),
        1 => device.clone().prop_map(Op::Asks),
        1 => device.prop_map(Op::Remove),
    ]
}

/// What a mailbox should be, with all that was ever in it.
#[derive(Default)]
struct Model {
    drawn: u64,
    items: BTreeMap<(u16, u64), Vec<u8>>,
    reserved: BTreeMap<u64, (u16, usize)>,
    heads: BTreeMap<u16, u64>,
    /// Keys of which something was reserved and did not come.
    cancelled: BTreeSet<u16>,
    /// What each device has of each key.
    devices: BTreeMap<u64, BTreeMap<u16, u64>>,
}

/// The bytes of an item.
fn content(val: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (val * 31 + at) as u8).collect()
}

impl Model {
    fn head(&self, key: u16) -> u64 {
        self.heads.get(&key).copied().unwrap_or(0)
    }

    fn nth_reserved(&self, at: usize) -> Option<(u64, usize)> {
        let (val, (_, length)) = self.reserved.iter().nth(at % self.reserved.len().max(1))?;
        Some((*val, *length))
    }

    /// Who was crowded out, and how far each key is then.
    fn settle(&mut self, mailbox: &mut RingMailbox<'_>) {
        self.reserved.retain(|val, (key, length)| {
            // Too long on purpose: that changes nothing, and tells whether it is reserved still.
            let is_reserved = matches!(mailbox.finish(*val, &vec![0; *length + 1]), Err(RingError::TooLong { .. }));
            if !is_reserved {
                self.cancelled.insert(*key);
            }
            is_reserved
        });
        for key in 0..KEYS {
            let first = self.reserved.iter().find(|(_, (of, _))| *of == key).map_or(u64::MAX, |(val, _)| *val);
            let newest = self.items.range((key, 0)..(key, first)).next_back().map_or(0, |((_, val), _)| *val);
            let head = self.heads.entry(key).or_default();
            *head = newest.max(*head);
        }
    }

    /// The items of a key above `after`, up to `until`.
    fn between(&self, key: u16, after: u64, until: u64) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        let items = self.items.range((key, 0)..=(key, until)).map(|((_, val), bytes)| (*val, bytes));
        items.filter(move |(val, _)| *val > after)
    }

    /// Keys that something was appended to.
    fn keys(&self) -> BTreeSet<u16> {
        let reserved = self.reserved.values().map(|(key, _)| *key);
        self.items.keys().map(|(key, _)| *key).chain(reserved).chain(self.cancelled.iter().copied()).collect()
    }

    fn min_ack(&self, key: u16) -> Option<u64> {
        let acks = self.devices.values().filter_map(|vals| vals.get(&key).copied());
        acks.min().filter(|_| self.keys().contains(&key))
    }
}

struct World<'b> {
    mailbox: RingMailbox<'b>,
    model: Model,
    /// What an item and its bytes may take.
    slots: usize,
    bytes: usize,
    longest: usize,
}

impl World<'_> {
    fn draw(&mut self, key: u16) {
        self.model.drawn += 1;
        for vals in self.model.devices.values_mut() {
            vals.entry(key).or_insert(0);
        }
    }

    fn suffer(&mut self, op: Op) {
        let floors = [0, 1, 2, 3, 4].map(|key| self.mailbox.floor(key));
        let (live, live_bytes) = (self.mailbox.len() as usize, self.live_bytes());
        let mut may_crowd_out = None;
        match op {
            Op::Append(key, length) => {
                self.draw(key);
                let val = self.model.drawn;
                assert_eq!(self.mailbox.append(key, 1, &content(val, length)), Ok(val));
                self.model.items.insert((key, val), content(val, length));
                may_crowd_out = Some(length);
            }
            Op::Reserve(key, length) => {
                self.draw(key);
                assert_eq!(self.mailbox.reserve(key, 1, length), Ok(self.model.drawn));
                self.model.reserved.insert(self.model.drawn, (key, length));
                may_crowd_out = Some(length);
            }
            Op::Finish(at, part) => {
                let Some((val, length)) = self.model.nth_reserved(at) else { return };
                let bytes = content(val, length * part.min(8) / 8);
                self.mailbox.finish(val, &bytes).unwrap();
                let (key, _) = self.model.reserved.remove(&val).unwrap();
                self.model.items.insert((key, val), bytes);
            }
            Op::Cancel(at) => {
                let Some((val, _)) = self.model.nth_reserved(at) else { return };
                assert!(self.mailbox.cancel(val));
                let (key, _) = self.model.reserved.remove(&val).unwrap();
                self.model.cancelled.insert(key);
            }
            Op::Ack(device, key, part) => {
                let val = self.model.head(key) * part / 8;
                let cursor = keys(Some(E1), &[(key, val)]);
                body(&all(&cursor), &mut self.mailbox.device(device, NOW));
                self.counts(device);
                let head = self.model.head(key);
                let acked = self.model.devices.get_mut(&device).unwrap().entry(key).or_default();
                *acked = if val > head { *acked } else { val.max(*acked) };
            }
            Op::Asks(device) => {
                body(&all(&keys(None, &[])), &mut self.mailbox.device(device, NOW));
                // What it said before does not count.
                self.model.devices.remove(&device);
                self.counts(device);
            }
            Op::Remove(device) => {
                assert_eq!(self.mailbox.remove_device(device), self.model.devices.remove(&device).is_some());
            }
        }
        self.model.settle(&mut self.mailbox);
        for key in 0..KEYS {
            assert_eq!(self.mailbox.head(key), self.model.head(key), "the head of {key}");
            assert_eq!(self.mailbox.min_ack(key), self.model.min_ack(key), "what all have of {key}");
            let (before, floor) = (floors[usize::from(key)], self.mailbox.floor(key));
            assert!(before <= floor && floor <= self.model.head(key));
            if floor > before && self.model.min_ack(key).is_none_or(|acked| floor > acked) {
                let Some(length) = may_crowd_out else { panic!("something went that somebody needs") };
                let is_crowded = live >= self.slots - self.slots / 8 - 1
                    || live_bytes + length + 2 * self.longest >= self.bytes - self.bytes / 8 - 1;
                assert!(is_crowded, "{live} items with {live_bytes} bytes, and {length} more");
            }
            self.check_items(key);
        }
    }

    /// The device counts for every key that there is.
    fn counts(&mut self, device: u64) {
        let keys = self.model.keys();
        let vals = self.model.devices.entry(device).or_default();
        for key in keys {
            vals.entry(key).or_insert(0);
        }
    }

    /// Bytes that are needed, or reserved.
    fn live_bytes(&self) -> usize {
        let kept = self.model.items.iter().filter(|((key, val), _)| *val > self.mailbox.floor(*key));
        kept.map(|(_, bytes)| bytes.len()).sum::<usize>()
            + self.model.reserved.values().map(|(_, length)| length).sum::<usize>()
    }

    /// What is above the floor and in sight is there, as it came.
    fn check_items(&mut self, key: u16) {
        let (floor, head) = (self.mailbox.floor(key), self.model.head(key));
        let mut expected = self.model.between(key, floor, head);
        let mut view = self.mailbox.device(9, NOW);
        let reached = view.read(key, 0, &mut |item| {
            let (val, bytes) = expected.next().unwrap();
            assert_eq!((item.key, item.val, item.op, item.bytes, item.total), (key, val, 1, &bytes[..], None));
            ControlFlow::Continue(())
        });
        assert_eq!((reached, expected.next()), (Ok(head), None));
    }
}

/// What a device says that it has, and how it asks.
#[derive(Clone, Debug)]
struct Ask {
    wants_all: bool,
    has_epoch: bool,
    /// Which keys it names, and what part of the vals it has, in eighths of the newest.
    named: BTreeMap<u16, u64>,
    max_items: u16,
    max_bytes: u32,
}

fn ask() -> impl Strategy<Value = Ask> {
    let named = proptest::collection::btree_map(0..KEYS + 2, 0_u64..11, 0..7);
    let max_items = prop_oneof![Just(0_u16), 1_u16..5, Just(512)];
    let max_bytes = prop_oneof![3 => Just(256_u32), 3 => 257_u32..600, 1 => Just(65_536)];
    (any::<bool>(), prop::bool::weighted(0.9), named, max_items, max_bytes).prop_map(
        |(wants_all, has_epoch, named, max_items, max_bytes)| Ask { wants_all, has_epoch, named, max_items, max_bytes },
    )
}

/// A mailbox as a test sees it.
trait Known: Mailbox<Error: std::fmt::Debug + PartialEq> {
    /// The items of a key after `after` that are kept and that a device may see.
    fn kept(&self, key: u16, after: u64) -> Vec<(u64, Vec<u8>)>;
}

impl Known for Store {
    fn kept(&self, key: u16, after: u64) -> Vec<(u64, Vec<u8>)> {
        let after = after.max(self.floors.get(&key).copied().unwrap_or(0));
        let items = self.items.range((key, after + 1)..=(key, u64::MAX)).filter(|(_, stored)| stored.is_visible);
        items.map(|((_, val), stored)| (*val, stored.bytes.clone())).collect()
    }
}

struct Ring<'m, 'b>(&'m Model, &'m mut RingMailbox<'b>);

impl Mailbox for Ring<'_, '_> {
    type Error = std::convert::Infallible;

    fn epoch(&mut self) -> Result<longlink::sync::Epoch, Self::Error> {
        self.1.device(8, NOW).epoch()
    }
    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Self::Error> {
        self.1.device(8, NOW).next_key(after)
    }
    fn head(&mut self, key: u16) -> Result<u64, Self::Error> {
        self.1.device(8, NOW).head(key)
    }
    fn floor(&mut self, key: u16) -> Result<u64, Self::Error> {
        self.1.device(8, NOW).floor(key)
    }
    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(longlink::sync::Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Self::Error> {
        self.1.device(8, NOW).read(key, after, each)
    }
    fn find(
        &mut self,
        key: u16,
        val: u64,
        each: &mut dyn FnMut(longlink::sync::Item<'_>),
    ) -> Result<bool, Self::Error> {
        self.1.device(8, NOW).find(key, val, each)
    }
    fn acked(&mut self, acked: &longlink::sync::Acked<'_>) -> Result<(), Self::Error> {
        self.1.device(8, NOW).acked(acked)
    }
}

impl Known for Ring<'_, '_> {
    fn kept(&self, key: u16, after: u64) -> Vec<(u64, Vec<u8>)> {
        let after = after.max(self.1.floor(key));
        self.0.between(key, after, self.1.head(key)).map(|(val, bytes)| (val, bytes.clone())).collect()
    }
}

/// A device that has so much pulls all, page by page, and each page is what it should be.
fn pulls(mailbox: &mut impl Known, ask: &Ask) {
    let named = ask
        .named
        .iter()
        .map(|(key, part)| (*key, if ask.has_epoch { mailbox.head(*key).unwrap() * part / 8 + part / 9 } else { 0 }));
    let named: BTreeMap<u16, u64> = named.collect();
    let mut wanted: BTreeSet<u16> = named.keys().copied().collect();
    if ask.wants_all {
        wanted.extend(0..KEYS + 2);
    }
    let mut device = Device { epoch: ask.has_epoch.then_some(E1), vals: named.clone(), ..Device::default() };
    let change = |request: Request<'_>| -> (bool, u16, u32) { (request.all, ask.max_items, ask.max_bytes) };
    let mut expected = Vec::new();
    let (mut gaps, mut resets) = (Vec::new(), Vec::new());
    for key in &wanted {
        let asked = named.get(key).copied().unwrap_or(0);
        let (head, floor) = (mailbox.head(*key).unwrap(), mailbox.floor(*key).unwrap());
        let from = if asked > head { 0 } else { asked };
        if asked > head {
            resets.push(*key);
        }
        if floor > from && ask.has_epoch {
            gaps.push(*key);
        }
        for (val, bytes) in mailbox.kept(*key, from) {
            let is_stub = 48 + bytes.len() > ask.max_bytes as usize;
            expected.push((*key, val, bytes, is_stub));
        }
    }
    let mut pages = 0;
    loop {
        let cursor = device.cursor();
        let request = if ask.wants_all { all(&cursor) } else { listed(&cursor) };
        let (all, max_items, max_bytes) = change(request);
        let request = Request { all, max_items, max_bytes, ..request };
        let body = body(&request, mailbox);
        assert_eq!(support::body(&request, mailbox), body, "the same request gets the same answer");
        let page = page(&body);
        assert!(page.items().len() <= request.items().into());
        for entry in entries(&body) {
            let asked = if entry.resets { 0 } else { device.vals.get(&entry.key).copied().unwrap_or(0) };
            assert!(wanted.contains(&entry.key));
            let here: Vec<u64> =
                names(&body).into_iter().filter(|(key, _)| *key == entry.key).map(|(_, val)| val).collect();
            let kept = mailbox.kept(entry.key, asked).into_iter().map(|(val, _)| val);
            let due: Vec<u64> = kept.filter(|val| *val <= entry.val).collect();
            assert!(here == due || device.epoch.is_none(), "all up to {} of {}", entry.val, entry.key);
        }
        device.take(&page);
        pages += 1;
        assert!(pages < 5_000, "it never ends");
        if !page.has_more() {
            break;
        }
    }
    device.items.sort_by_key(|item| (item.0, item.1));
    assert_eq!(device.items.len(), expected.len());
    for ((key, val, _, bytes, total), (a_key, a_val, a_bytes, is_stub)) in device.items.iter().zip(&expected) {
        assert_eq!((key, val, total.is_some()), (a_key, a_val, *is_stub));
        assert!(a_bytes.starts_with(bytes) && (bytes.len() == a_bytes.len() || bytes.len() >= 16 && *is_stub));
        assert_eq!(total.unwrap_or(a_bytes.len() as u32), a_bytes.len() as u32);
    }
    gaps.retain(|key| wanted.contains(key));
    device.gaps.sort_unstable();
    device.gaps.dedup();
    assert_eq!((device.gaps, device.resets), (gaps, resets));
    for key in wanted {
        let (val, head) = (device.vals.get(&key).copied().unwrap_or(0), mailbox.head(key).unwrap());
        assert_eq!(val, head, "the device is up to date with {key}");
    }
}

/// Items: the key, how far the val is from the one before, the length, whether a device may see it.
fn store(items: &[(u16, u64, usize, bool)], floors: &[u64], scan: usize) -> Store {
    let mut store = Store::new();
    store.scan = scan;
    for (key, step, length, is_visible) in items {
        let val = store.heads.get(key).copied().unwrap_or(0) + step;
        store.put(*key, val, *length).is_visible = *is_visible;
    }
    for (key, part) in (0..).zip(floors) {
        let head = store.heads.get(&key).copied().unwrap_or(0);
        store.floors.insert(key, head * part / 8);
        store.items.retain(|(of, val), _| *of != key || *val > head * part / 8);
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_keeps_what_is_needed_and_hides_what_is_not_decided(
        ops in vec(op(40), 1..250), slots in 1_usize..40, bytes in 40_usize..600,
    ) {
        let mut memory = Memory::new(slots, bytes, usize::from(KEYS), 4);
        let mut world = World { mailbox: memory.mailbox(), model: Model::default(), slots, bytes, longest: 40 };
        for op in ops {
            world.suffer(op);
        }
    }

    #[test]
    fn a_device_gets_all_that_a_ring_has_after_its_cursor(
        ops in vec(op(300), 1..120), slots in 8_usize..60, bytes in 300_usize..4_000, ask in ask(),
    ) {
        let mut memory = Memory::new(slots, bytes, usize::from(KEYS), 4);
        let mut world = World { mailbox: memory.mailbox(), model: Model::default(), slots, bytes, longest: 300 };
        for op in ops {
            world.suffer(op);
        }
        let World { model, mut mailbox, .. } = world;
        pulls(&mut Ring(&model, &mut mailbox), &ask);
    }

    #[test]
    fn a_device_gets_all_that_it_may_see_of_a_store_after_its_cursor(
        items in vec((0..KEYS, 1_u64..6, 0_usize..320, prop::bool::weighted(0.7)), 0..100),
        floors in vec(0_u64..9, 0..7),
        scan in prop_oneof![Just(usize::MAX), 1_usize..5],
        ask in ask(),
    ) {
        let mut store = store(&items, &floors, scan);
        pulls(&mut store, &ask);
    }

    /// Nor does a mailbox that breaks its word make a page that cannot be read.
    #[test]
    fn a_page_can_be_read_whatever_the_mailbox_does(lies in vec(any::<u8>(), 200..400), ask in ask()) {
        let cursor = keys(ask.has_epoch.then_some(E1), &ask.named.iter().map(|(key, val)| (*key, if ask.has_epoch { *val } else { 0 })).collect::<Vec<_>>());
        let request = Request { all: ask.wants_all, max_items: ask.max_items, max_bytes: ask.max_bytes, ..all(&cursor) };
        let mut out = vec![0; 65_536];
        let answered = answer(&request, &mut Liar { lies: lies.into_iter().cycle().take(20_000).collect() }, &mut out).unwrap();
        let page = page(&out[..answered.length]);
        prop_assert!(!page.has_more() || answered.moves);
        for entry in page.entries() {
            let asked = ask.named.get(&entry.key).copied().unwrap_or(0);
            prop_assert!(entry.resets || !ask.has_epoch || entry.val >= asked);
        }
    }
}

/// A mailbox that says anything.
struct Liar {
    lies: Vec<u8>,
}

impl Liar {
    fn lie(&mut self) -> u64 {
        self.lies.pop().map_or(0, u64::from) % 20
    }
}

impl Mailbox for Liar {
    type Error = ();

    fn epoch(&mut self) -> Result<longlink::sync::Epoch, ()> {
        Ok(E1)
    }
    fn next_key(&mut self, _: Option<u16>) -> Result<Option<u16>, ()> {
        let key = self.lie() as u16;
        Ok((key > 2).then_some(key))
    }
    fn head(&mut self, _: u16) -> Result<u64, ()> {
        Ok(self.lie())
    }
    fn floor(&mut self, _: u16) -> Result<u64, ()> {
        Ok(self.lie())
    }
    fn read(
        &mut self,
        _: u16,
        _: u64,
        each: &mut dyn FnMut(longlink::sync::Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, ()> {
        for _ in 0..self.lie() {
            let (key, val, length, total) =
                (self.lie() as u16, self.lie(), self.lie() as usize * 20, self.lie() as u32);
            let item = longlink::sync::Item::new(key, val, 0, &[7; 400][..length]);
            // It does not stop when it is told to, either.
            let _ = each(longlink::sync::Item { total: (total > 15).then_some(total * 20), ..item });
        }
        Ok(self.lie())
    }
    fn find(&mut self, _: u16, _: u64, _: &mut dyn FnMut(longlink::sync::Item<'_>)) -> Result<bool, ()> {
        Ok(true)
    }
    fn acked(&mut self, _: &longlink::sync::Acked<'_>) -> Result<(), ()> {
        Ok(())
    }
}
