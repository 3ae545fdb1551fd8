/// A place in the index of a [`RingMailbox`](super::RingMailbox), for one item. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RingItem {
    pub(super) val: u64,
    /// Where its bytes are, how many, and how many were reserved for it.
    pub(super) start: u32,
    pub(super) length: u32,
    pub(super) taken: u32,
    /// The slots of the items of the same key before and after it, or [`NONE`].
    pub(super) before: u32,
    pub(super) behind: u32,
    pub(super) key: u16,
    pub(super) op: u8,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum State {
    /// Not needed any more, and in no chain of a key.
    Gone,
    /// Its val is drawn, its bytes are not there yet.
    Reserved,
    Ready,
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

impl RingItem {
    /// None: what a table is filled with before it is lent.
    pub const FREE: Self =
        Self { val: 0, start: 0, length: 0, taken: 0, before: NONE, behind: NONE, key: 0, op: 0, state: State::Gone };
}

/// The items in the order of their vals, around a slice. A *slot* is a place in the slice, an *index* counts from the
/// oldest on.
#[derive(Debug)]
pub(super) struct Items<'b> {
    slots: &'b mut [RingItem],
    first: u32,
    len: u32,
    /// How many of them are gone.
    pub(super) gone: u32,
    /// How many bytes are taken for these, or were reserved in excess.
    pub(super) gone_bytes: u32,
}

impl<'b> Items<'b> {
    pub(super) fn new(slots: &'b mut [RingItem]) -> Self {
        Self { slots, first: 0, len: 0, gone: 0, gone_bytes: 0 }
    }

    pub(super) fn clear(&mut self) {
        (self.first, self.len, self.gone, self.gone_bytes) = (0, 0, 0, 0);
    }

    /// `NONE` is never a slot.
    pub(super) fn capacity(&self) -> u32 {
        crate::time::as_u32(self.slots.len()).min(NONE.wrapping_sub(1))
    }

    /// With those that are gone.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&RingItem> {
        self.slots.get(usize::try_from(slot).ok()?)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut RingItem> {
        self.slots.get_mut(usize::try_from(slot).ok()?)
    }

    /// The slot of the item with this index, if there is one.
    pub(super) fn slot(&self, index: u32) -> Option<u32> {
        let before_the_end = self.capacity().saturating_sub(self.first);
        let around = index.checked_sub(before_the_end);
        (index < self.len).then_some(around.unwrap_or(self.first.saturating_add(index)))
    }

    pub(super) fn at(&self, index: u32) -> Option<&RingItem> {
        self.get(self.slot(index)?)
    }

    /// Puts an item behind the newest, and tells its slot.
    pub(super) fn push(&mut self, item: RingItem) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        self.len = self.len.saturating_add(1);
        let slot = self.slot(self.len.saturating_sub(1))?;
        *self.get_mut(slot)? = item;
        Some(slot)
    }

    /// Drops the oldest, which is gone.
    pub(super) fn pop(&mut self) {
        let taken = self.at(0).map_or(0, |item| item.taken);
        self.gone = self.gone.saturating_sub(1);
        self.gone_bytes = self.gone_bytes.saturating_sub(taken);
        self.first = self.slot(1).unwrap_or_default();
        self.len = self.len.saturating_sub(1);
    }

    /// Only the oldest `len` are left.
    pub(super) fn truncate(&mut self, len: u32) {
        self.len = self.len.min(len);
        (self.gone, self.gone_bytes) = (0, 0);
    }

    /// The index of the first item whose val is above `val`; as many as there are if none is. Takes log n steps.
    pub(super) fn above(&self, val: u64) -> u32 {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle).is_some_and(|item| item.val <= val) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    /// The slot of the item with exactly this val, if it is not gone.
    pub(super) fn find(&self, val: u64) -> Option<u32> {
        let slot = self.slot(self.above(val.checked_sub(1)?))?;
        let item = self.get(slot)?;
        (item.val == val && item.state != State::Gone).then_some(slot)
    }

    /// The item is there, in so many of the bytes that were reserved for it.
    pub(super) fn mark_ready(&mut self, slot: u32, length: u32) {
        if let Some(item) = self.get_mut(slot) {
            (item.state, item.length) = (State::Ready, length);
            let in_excess = item.taken.saturating_sub(length);
            self.gone_bytes = self.gone_bytes.saturating_add(in_excess);
        }
    }

    pub(super) fn mark_gone(&mut self, slot: u32) {
        if let Some(item) = self.get_mut(slot) {
            item.state = State::Gone;
            let length = item.length;
            self.gone = self.gone.saturating_add(1);
            self.gone_bytes = self.gone_bytes.saturating_add(length);
        }
    }
}
