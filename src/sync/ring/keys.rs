use super::RingError;
use super::items::{Items, NONE, RingItem, State};

/// A place in the table of keys of a [`RingMailbox`](super::RingMailbox). 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RingKey {
    pub(super) key: u16,
    pub(super) head: u64,
    pub(super) floor: u64,
    /// The slots of its oldest and newest item, or [`NONE`]. From one to the next by [`RingItem::behind`].
    pub(super) first: u32,
    pub(super) last: u32,
}

impl RingKey {
    /// None: what a table is filled with before it is lent.
    pub const FREE: Self = Self::new(0);

    const fn new(key: u16) -> Self {
        Self { key, head: 0, floor: 0, first: NONE, last: NONE }
    }

    /// Puts an item behind the newest of this key.
    pub(super) fn link(&mut self, items: &mut Items<'_>, slot: u32) {
        let before = core::mem::replace(&mut self.last, slot);
        match items.get_mut(before) {
            Some(item) => item.behind = slot,
            None => self.first = slot,
        }
        if let Some(item) = items.get_mut(slot) {
            (item.before, item.behind) = (before, NONE);
        }
    }

    /// Takes an item out: the oldest, of which a device that does not have it yet will be told as a gap, or a reserved one.
    /// Items that were out of sight for it come into sight.
    pub(super) fn remove(&mut self, items: &mut Items<'_>, slot: u32) {
        let Some(&RingItem { val, before, behind, state, .. }) = items.get(slot) else { return };
        if state == State::Ready {
            self.floor = self.floor.max(val);
        }
        match items.get_mut(before) {
            Some(item) => item.behind = behind,
            None => self.first = behind,
        }
        match items.get_mut(behind) {
            Some(item) => item.before = before,
            None => self.last = before,
        }
        items.mark_gone(slot);
        self.advance(items, behind);
    }

    /// The item in this slot may be the first that is not in sight yet: then the head goes as far as all are ready.
    pub(super) fn advance(&mut self, items: &Items<'_>, slot: u32) {
        let mut next = items.get(slot);
        let before = next.and_then(|item| items.get(item.before));
        if before.is_some_and(|item| item.val > self.head) {
            return;
        }
        while let Some(item) = next.filter(|item| item.state == State::Ready) {
            self.head = self.head.max(item.val);
            next = items.get(item.behind);
        }
    }

    /// Drops what is not above `val`, which is not above the head.
    pub(super) fn collect(&mut self, items: &mut Items<'_>, val: u64) {
        while items.get(self.first).is_some_and(|item| item.val <= val) {
            self.remove(items, self.first);
        }
    }
}

/// The keys, in ascending order.
#[derive(Debug)]
pub(super) struct Keys<'b> {
    rows: &'b mut [RingKey],
    len: usize,
}

impl<'b> Keys<'b> {
    pub(super) fn new(rows: &'b mut [RingKey]) -> Self {
        Self { rows, len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn capacity(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn all(&self) -> &[RingKey] {
        self.rows.get(..self.len).unwrap_or_default()
    }

    pub(super) fn all_mut(&mut self) -> &mut [RingKey] {
        self.rows.get_mut(..self.len).unwrap_or_default()
    }

    /// Where the row of `key` is, or would be.
    pub(super) fn position(&self, key: u16) -> Result<usize, usize> {
        self.all().binary_search_by_key(&key, |row| row.key)
    }

    pub(super) fn get(&self, key: u16) -> Option<&RingKey> {
        self.all().get(self.position(key).ok()?)
    }

    pub(super) fn get_mut(&mut self, key: u16) -> Option<&mut RingKey> {
        let position = self.position(key).ok()?;
        self.all_mut().get_mut(position)
    }

    /// The first row whose key is above `after`.
    pub(super) fn above(&self, after: Option<u16>) -> Option<&RingKey> {
        let position = after.map_or(0, |after| match self.position(after) {
            Ok(position) => position.saturating_add(1),
            Err(position) => position,
        });
        self.all().get(position)
    }

    /// Whether `key` has a row, or could get one.
    pub(super) fn check(&self, key: u16) -> Result<(), RingError> {
        let is_full = self.len >= self.capacity() && self.position(key).is_err();
        if is_full { Err(RingError::TooManyKeys { capacity: self.capacity() }) } else { Ok(()) }
    }

    /// A row for a key that has none. Those behind it move by one.
    pub(super) fn insert(&mut self, position: usize, key: u16) {
        let Some(rows) = self.rows.get_mut(position..=self.len) else { return };
        let mut row = RingKey::new(key);
        for place in rows {
            core::mem::swap(place, &mut row);
        }
        self.len = self.len.saturating_add(1);
    }
}
