//! The durable store of an account: its mailbox, and what really was put into it.

use super::shelf::{Desk, Room, Shelf, Vault};
use super::tally::{self, Fault};
use longlink::Instant;
use longlink::sync::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// Messages for the account, and copies of what its own devices sent.
pub const KEYS: [u16; 2] = [1, 7];

/// What an item is called: the device that sent the message, and the message's number there.
pub const fn id_of(device: usize, number: usize) -> u64 {
    (device as u64) << 32 | number as u64
}

/// What is in an item: short as a rule, and sometimes longer than a page.
pub fn contents(id: u64) -> Vec<u8> {
    let mixed = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let length = match mixed % 16 {
        0 => 300 + mixed % 1_200,
        1 | 2 => 60 + mixed % 200,
        _ => 8 + mixed % 32,
    };
    (0..length).map(|at| (id.wrapping_mul(31) + at * 7 + mixed) as u8).collect()
}

/// An item that was put into the mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Thing {
    pub val: u64,
    pub id: u64,
    serial: u64,
}

type Things = BTreeMap<(Epoch, u16), Vec<Thing>>;

/// The mailbox as it once was.
struct Snapshot {
    vault: Option<Vault>,
    kept: Vec<(u16, Thing)>,
    counts: BTreeSet<usize>,
}

pub struct Account<'m> {
    pub shelf: Box<dyn Shelf + 'm>,
    is_ring: bool,
    things: Things,
    floors: BTreeMap<(Epoch, u16), u64>,
    /// The devices for which things are kept.
    counts: BTreeSet<usize>,
    /// How far each device has ever been, by what it stored.
    reached: BTreeMap<(usize, Epoch, u16), u64>,
    snapshot: Option<Snapshot>,
    epochs: u32,
    serial: u64,
    /// Heads that rose and were not told yet.
    pub risen: BTreeSet<u16>,
}

impl<'m> Account<'m> {
    pub fn new(room: &'m mut Room, is_ring: bool, items: usize) -> Self {
        let first = Epoch::FIRST;
        let shelf: Box<dyn Shelf + 'm> =
            if is_ring { Box::new(room.mailbox(first)) } else { Box::new(Vault::new(first, items)) };
        Self {
            shelf,
            is_ring,
            things: Things::new(),
            floors: BTreeMap::new(),
            counts: BTreeSet::new(),
            reached: BTreeMap::new(),
            snapshot: None,
            epochs: 1,
            serial: 0,
            risen: BTreeSet::new(),
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.shelf.epoch()
    }

    pub fn desk<'s>(&'s mut self, now: Instant, id: u64, fails: &'s mut u32) -> Desk<'s> {
        Desk { view: self.shelf.view(id, now), device: 0, scan: usize::MAX, fails }
    }

    /// Puts an item behind all others.
    pub fn append(&mut self, key: u16, id: u64) {
        let bytes = contents(id);
        let val = self.shelf.reserve(key, 0, bytes.len()).unwrap();
        assert!(self.shelf.finish(key, val, &bytes), "an item that was just reserved is gone");
        self.serial += 1;
        let things = self.things.entry((self.shelf.epoch(), key)).or_default();
        assert!(things.last().is_none_or(|last| last.val < val), "vals fall");
        things.push(Thing { val, id, serial: self.serial });
        assert_eq!(self.shelf.head(key), val, "what was put in is not in sight");
        self.risen.insert(key);
        self.look_what_went();
    }

    /// Things may have gone for want of room: that is told to who needs them.
    fn look_what_went(&mut self) {
        let epoch = self.epoch();
        for key in KEYS {
            self.floors.insert((epoch, key), self.shelf.floor(key));
        }
    }

    /// Things may have gone since everybody has them. Everybody who counts has to.
    pub fn check_what_went(&mut self) {
        let epoch = self.epoch();
        for key in KEYS {
            let before = self.floors.insert((epoch, key), self.shelf.floor(key)).unwrap_or(0);
            let gone = self.between(epoch, key, before, self.shelf.floor(key));
            let Some(last) = gone.last() else { continue };
            for device in &self.counts {
                let has = self.reached(*device, epoch, key);
                let val = last.val;
                assert!(has >= val, "item {val} of key {key} went, and device {device}, which counts, is at {has}");
            }
        }
    }

    /// What was put in above `after` and up to `to`.
    pub fn between(&self, epoch: Epoch, key: u16, after: u64, to: u64) -> &[Thing] {
        let things = self.things.get(&(epoch, key)).map_or(&[][..], Vec::as_slice);
        let place = |val| things.partition_point(|thing| thing.val <= val);
        things.get(place(after)..place(to)).unwrap_or_default()
    }

    /// Everything up to here may have gone.
    pub fn floor(&self, epoch: Epoch, key: u16) -> u64 {
        self.floors.get(&(epoch, key)).copied().unwrap_or(0)
    }

    pub fn counts(&mut self, device: usize) {
        self.counts.insert(device);
    }

    pub fn reached(&self, device: usize, epoch: Epoch, key: u16) -> u64 {
        self.reached.get(&(device, epoch, key)).copied().unwrap_or(0)
    }

    /// A device has stored how far it is.
    pub fn reach(&mut self, device: usize, epoch: Epoch, key: u16, val: u64) {
        let reached = self.reached.entry((device, epoch, key)).or_default();
        *reached = val.max(*reached);
    }

    /// Nobody waits for this device any more.
    pub fn forget_device(&mut self, device: usize, id: u64) {
        self.counts.remove(&device);
        self.shelf.remove_device(id);
        self.look_what_went();
    }

    pub fn back_up(&mut self) {
        let (vault, kept, counts) = (self.shelf.snapshot(), self.kept(), self.counts.clone());
        self.snapshot = Some(Snapshot { vault, kept, counts });
    }

    /// What has not gone, in the order in which it came.
    fn kept(&self) -> Vec<(u16, Thing)> {
        let epoch = self.epoch();
        let of =
            |key| self.between(epoch, key, self.floor(epoch, key), u64::MAX).iter().map(move |thing| (key, *thing));
        let mut kept: Vec<_> = KEYS.into_iter().flat_map(of).collect();
        kept.sort_unstable_by_key(|(_, thing)| thing.serial);
        kept
    }

    /// The mailbox goes back to its backup, in a new epoch; what came since is put in again.
    pub fn restore(&mut self) {
        let Some(Snapshot { vault, kept, counts }) = self.snapshot.take() else { return };
        tally::wrong(Fault::MailboxFromBackup);
        let since = kept.last().map_or(0, |(_, thing)| thing.serial);
        let newer: Vec<_> = self.kept().into_iter().filter(|(_, thing)| thing.serial > since).collect();
        let epoch = self.next_epoch();
        let is_back = self.shelf.restore(epoch, vault.as_ref());
        if is_back {
            self.counts = counts;
            for (key, thing) in &kept {
                self.things.entry((epoch, *key)).or_default().push(*thing);
            }
        }
        self.look_what_went();
        let again = if is_back { newer } else { [kept, newer].concat() };
        again.into_iter().for_each(|(key, thing)| self.append(key, thing.id));
    }

    /// The server starts again: a mailbox in memory begins anew, with what the messages say.
    pub fn restart(&mut self) {
        if self.is_ring {
            let kept = self.kept();
            let epoch = self.next_epoch();
            self.shelf.restore(epoch, None);
            self.look_what_went();
            kept.into_iter().for_each(|(key, thing)| self.append(key, thing.id));
        }
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::new(self.epochs).unwrap()
    }
}
