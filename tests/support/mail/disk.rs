//! What outlives a process of the device.

use super::truth::Truth;
use longlink::sync::{Entries, Epoch, Receipt, Row, SyncKeys};
use std::collections::{BTreeMap, BTreeSet};

/// How far a device is. Keys at 0 are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub epoch: Option<Epoch>,
    pub vals: BTreeMap<u16, u64>,
}

impl Cursor {
    pub fn of(entries: Entries<'_>) -> Self {
        let vals = entries.filter(|entry| entry.val > 0).map(|entry| (entry.key, entry.val)).collect();
        Self { epoch: None, vals }
    }

    pub fn of_keys<R: ?Sized + AsRef<[Row]>>(keys: &SyncKeys<R>) -> Self {
        Self { epoch: keys.epoch(), ..Self::of(keys.entries()) }
    }

    pub fn is_of<R: ?Sized + AsRef<[Row]>>(&self, keys: &SyncKeys<R>) -> bool {
        let entries = keys.entries().filter(|entry| entry.val > 0).map(|entry| (entry.key, entry.val));
        self.epoch == keys.epoch() && entries.eq(self.vals.iter().map(|(key, val)| (*key, *val)))
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
        keys.decode(bytes).unwrap();
        Self::of_keys(&keys)
    }

    pub fn val(&self, key: u16) -> u64 {
        self.vals.get(&key).copied().unwrap_or(0)
    }

    /// What the rule of merging makes of it.
    pub fn merged(&self, receipt: &Receipt<'_>) -> Self {
        let mut merged = self.clone();
        if merged.epoch != Some(receipt.epoch()) {
            merged = Self { epoch: Some(receipt.epoch()), vals: BTreeMap::new() };
        }
        for entry in receipt.vals() {
            let before = merged.val(entry.key);
            assert!(entry.resets || entry.val >= before, "I3: key {} falls from {before}", entry.key);
            merged.vals.insert(entry.key, entry.val);
        }
        merged.vals.retain(|_, val| *val > 0);
        merged
    }

    pub fn assert_has(&self, other: &Self, what: &str) {
        let has = other.vals.iter().all(|(key, val)| self.val(*key) >= *val);
        assert!(other.epoch == self.epoch && has, "{what}: {other:?} and {self:?}");
    }

    pub fn covers(&self, (epoch, key, val): Name) -> bool {
        self.epoch == Some(epoch) && val <= self.val(key)
    }
}

/// What an item is called within the mailbox.
pub type Name = (Epoch, u16, u64);

#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// By what they are in every epoch.
    pub items: BTreeSet<u64>,
    /// Those that will not come, as the device was told, or that it does without.
    pub excused: BTreeSet<u64>,
    /// What was applied, as it came.
    pub names: BTreeSet<Name>,
    pub cursor: Option<Vec<u8>>,
}

impl Disk {
    pub fn cursor(&self) -> Cursor {
        self.cursor.as_deref().map(Cursor::decode).unwrap_or_default()
    }

    pub fn has(&self, id: u64) -> bool {
        self.items.contains(&id) || self.excused.contains(&id)
    }

    /// Nothing that the cursor has passed is missing, but what the device was told of.
    pub fn check(&self, truth: &Truth, device: usize) {
        let cursor = self.cursor();
        let Some(epoch) = cursor.epoch else { return };
        for (key, to) in &cursor.vals {
            for (val, record) in truth.between(epoch, *key, (0, *to), device) {
                assert!(self.has(record.id), "I1: device {device} has {cursor:?}, and not key {key} val {val}");
            }
        }
    }

    /// What was applied and is behind the cursor: it comes again.
    pub fn uncovered(&self) -> BTreeSet<Name> {
        let cursor = self.cursor();
        self.names.iter().copied().filter(|name| !cursor.covers(*name)).collect()
    }
}
