mod bytes;
mod devices;
mod items;
mod keys;
mod storage;
mod view;

pub use devices::RingDevice;
pub use items::RingItem;
pub use keys::RingKey;
pub use storage::{RingMemory, RingStorage};
pub use view::RingView;

use super::Epoch;
use crate::Instant;
use bytes::ByteRing;
use core::{error::Error, fmt, time::Duration};
use devices::Devices;
use items::{Items, NONE, State};
use keys::Keys;

/// The mailbox of one account in memory: for gateways and servers without a database, and for tests.
///
/// All keys draw their vals from one counter, as in the field, so within a key the vals have gaps. Its memory is the
/// caller's ([`RingStorage`], or [`RingMemory`] for sizes that come at run time).
///
/// # What it keeps
///
/// An item stays until every device that wants its key has acknowledged it. A device counts from the first time that it
/// asks or acknowledges, for the keys that it asks for; when a key appears, for that one too, until the device says
/// otherwise. While no device counts for a key, nothing of it goes. But memory is finite, and where it is full
///
/// * the oldest item of all goes, whoever still needs it: [`floor`](Self::floor) rises, and a device that was below is
///   told of the gap;
/// * the device goes that has been silent for longest.
///
/// [`expire`](Self::expire) is to be called now and then, with [`DEVICE_LIFETIME`](Self::DEVICE_LIFETIME).
///
/// What is not needed any more gives back its memory when it is the oldest, or, in one sweep over all items, when the memory
/// is full and more than an eighth of it is held so. An item lies in one piece, so where the memory ends some bytes are
/// left unused, fewer than the longest item has.
///
/// # Example
///
/// ```
/// use longlink::Instant;
/// use longlink::sync::{Epoch, Mailbox, RingStorage};
///
/// let mut storage: RingStorage<100, 4_096> = RingStorage::new();
/// let mut mailbox = storage.mailbox(Epoch::FIRST);
/// assert_eq!(mailbox.append(1, 0, b"hello")?, 1);
/// // A val is drawn now, and what belongs to it comes later. Until then nobody sees what is behind it.
/// let val = mailbox.reserve(1, 0, 100)?;
/// mailbox.append(1, 0, b"later")?;
/// assert_eq!(mailbox.head(1), 1);
/// mailbox.finish(val, b"earlier")?;
/// assert_eq!(mailbox.head(1), 3);
///
/// // As one device sees it, to be given to `answer`.
/// let mut view = mailbox.device(0xD1CE, Instant::ZERO);
/// assert_eq!(view.next_key(None), Ok(Some(1)));
/// # Ok::<(), longlink::sync::RingError>(())
/// ```
#[derive(Debug)]
pub struct RingMailbox<'b> {
    epoch: Epoch,
    /// The val that was drawn last.
    drawn: u64,
    items: Items<'b>,
    bytes: ByteRing<'b>,
    keys: Keys<'b>,
    devices: Devices<'b>,
}

/// Why an item was not taken. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RingError {
    /// The table of keys, of this size, is full, and this key is not in it. A key keeps its row until the mailbox begins
    /// anew.
    TooManyKeys {
        /// How many keys it holds.
        capacity: usize,
    },
    /// Longer than all the memory for bytes, or than what was reserved for it.
    TooLong {
        /// Its length.
        length: usize,
        /// The longest that would do.
        limit: usize,
    },
    /// There is no memory for items at all.
    NoItems,
    /// No such val was drawn, or it was finished, cancelled or crowded out meanwhile.
    NotReserved {
        /// The val.
        val: u64,
    },
    /// All vals of this epoch are used up: [`begin`](RingMailbox::begin) another.
    EpochSpent,
}

impl<'b> RingMailbox<'b> {
    /// A device that has been silent for so long does not count any more.
    pub const DEVICE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
    /// Steps back from the newest item of a key that [`Mailbox::read`](super::Mailbox::read) takes before it searches for
    /// the first item from the other end.
    const STEPS_BACK: u32 = 256;
    /// Items of other keys that one read passes over before it says how far it came.
    const SCAN: u32 = 1_024;

    /// An empty mailbox, in an epoch that this account never had before.
    ///
    /// What the memory holds does not matter. Beyond 4 GiB of bytes nothing is used, and of `devices` as many as `acks` has
    /// room for: see [`RingMemory`].
    #[must_use]
    pub fn new(epoch: Epoch, memory: RingMemory<'b>) -> Self {
        let width = memory.keys.len();
        Self {
            epoch,
            drawn: 0,
            items: Items::new(memory.items),
            bytes: ByteRing::new(memory.bytes),
            keys: Keys::new(memory.keys),
            devices: Devices::new(memory.devices, memory.acks, width),
        }
    }

    /// Begins anew, in an epoch that this account never had before: no items, no keys, and vals from 1 on. The devices
    /// still count, and have nothing. What was reserved is void, and its vals will name other items: finish or cancel first.
    pub fn begin(&mut self, epoch: Epoch) {
        (self.epoch, self.drawn) = (epoch, 0);
        self.items.clear();
        self.bytes.restart(0);
        self.keys.clear();
    }

    /// Puts an item behind all others, and returns its val.
    ///
    /// Takes a few steps, and one for each item that has to go for it.
    ///
    /// # Errors
    ///
    /// [`RingError`]; nothing has changed then.
    pub fn append(&mut self, key: u16, op: u8, bytes: &[u8]) -> Result<u64, RingError> {
        let slot = self.draw(key, op, bytes.len())?;
        self.fill(slot, bytes);
        Ok(self.drawn)
    }

    /// Draws the val of an item whose bytes come later, `longest` of them at most: for a writer that has to know the val
    /// before its transaction is through.
    ///
    /// Later items of the same key stay out of sight until it is [finished](Self::finish) or [cancelled](Self::cancel).
    ///
    /// # Errors
    ///
    /// [`RingError`]; nothing has changed then.
    pub fn reserve(&mut self, key: u16, op: u8, longest: usize) -> Result<u64, RingError> {
        self.draw(key, op, longest)?;
        Ok(self.drawn)
    }

    /// The bytes of the item whose val was reserved. It is in sight now, with those behind it.
    ///
    /// # Errors
    ///
    /// [`RingError::NotReserved`], [`RingError::TooLong`]; nothing has changed then.
    pub fn finish(&mut self, val: u64, bytes: &[u8]) -> Result<(), RingError> {
        let slot = self.reserved(val).ok_or(RingError::NotReserved { val })?;
        let limit = self.items.get(slot).map_or(0, |item| item.length);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if bytes.len() > limit {
            return Err(RingError::TooLong { length: bytes.len(), limit });
        }
        self.fill(slot, bytes);
        Ok(())
    }

    /// Nothing comes for this val. Those behind it are in sight now.
    ///
    /// `false`, and a no-op, if it is not reserved.
    pub fn cancel(&mut self, val: u64) -> bool {
        let Some(slot) = self.reserved(val) else { return false };
        self.drop_at(slot);
        true
    }

    /// The mailbox as the device `id` sees it: what [`answer`](super::answer), [`acknowledge`](super::acknowledge) and
    /// [`answer_fetch`](super::answer_fetch) take. The device counts once it has asked or acknowledged there.
    pub fn device(&mut self, id: u64, now: Instant) -> RingView<'_, 'b> {
        RingView { mailbox: self, id, now }
    }

    /// The devices that have been silent for `after` or longer do not count any more. Returns how many.
    ///
    /// Takes a step for every item that nobody needs then.
    pub fn expire(&mut self, now: Instant, after: Duration) -> usize {
        let expired = self.devices.expire(now, after);
        if expired > 0 {
            self.collect_all();
        }
        expired
    }

    /// The device does not count any more. `false`, and a no-op, if it did not.
    pub fn remove_device(&mut self, id: u64) -> bool {
        let did = self.devices.remove(id);
        if did {
            self.collect_all();
        }
        did
    }

    /// The epoch in force.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest val of `key` that is in sight; 0 if it never had one.
    #[must_use]
    pub fn head(&self, key: u16) -> u64 {
        self.keys.get(key).map_or(0, |row| row.head)
    }

    /// Items of `key` up to this val are gone; 0 if none are.
    #[must_use]
    pub fn floor(&self, key: u16) -> u64 {
        self.keys.get(key).map_or(0, |row| row.floor)
    }

    /// Every device that wants `key` has acknowledged everything up to this val; `None` if none wants it.
    #[must_use]
    pub fn min_ack(&self, key: u16) -> Option<u64> {
        self.devices.min(self.keys.position(key).ok()?)
    }

    /// How many items there are, with those that are reserved.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.items.len().saturating_sub(self.items.gone)
    }

    /// `true` if there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many devices count.
    #[must_use]
    pub const fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Makes room and draws a val for an item of `key`. Its slot.
    fn draw(&mut self, key: u16, op: u8, longest: usize) -> Result<u32, RingError> {
        let limit = self.bytes.capacity();
        let too_long = RingError::TooLong { length: longest, limit: usize::try_from(limit).unwrap_or(usize::MAX) };
        let length = u32::try_from(longest).ok().filter(|length| *length <= limit).ok_or(too_long)?;
        let val = self.drawn.checked_add(1).filter(|val| *val < u64::MAX).ok_or(RingError::EpochSpent)?;
        self.keys.check(key)?;
        if self.items.capacity() == 0 {
            return Err(RingError::NoItems);
        }
        self.make_room(length);
        let start = self.bytes.take(length).ok_or(too_long)?;
        let taken = length;
        let item = RingItem { val, start, length, taken, before: NONE, behind: NONE, key, op, state: State::Reserved };
        let slot = self.items.push(item).ok_or(RingError::NoItems)?;
        if let Err(position) = self.keys.position(key) {
            self.keys.insert(position, key);
            self.devices.insert_column(position);
        }
        if let Some(row) = self.keys.get_mut(key) {
            row.link(&mut self.items, slot);
        }
        self.drawn = val;
        Ok(slot)
    }

    /// The item in this slot is there, and in sight unless another is before it.
    fn fill(&mut self, slot: u32, bytes: &[u8]) {
        let Some(&RingItem { start, key, .. }) = self.items.get(slot) else { return };
        self.items.mark_ready(slot, crate::time::as_u32(bytes.len()));
        self.bytes.write(start, bytes);
        if let Some(row) = self.keys.get_mut(key) {
            row.advance(&self.items, slot);
        }
    }

    fn reserved(&self, val: u64) -> Option<u32> {
        let slot = self.items.find(val)?;
        self.items.get(slot).is_some_and(|item| item.state == State::Reserved).then_some(slot)
    }

    /// Makes room for one more item of `length` bytes.
    fn make_room(&mut self, length: u32) {
        loop {
            self.release_gone();
            let (lacks_items, lacks_bytes) = (self.items.is_full(), !self.bytes.fits(length));
            let Some(oldest) = self.items.slot(0).filter(|_| lacks_items || lacks_bytes) else { return };
            let is_an_eighth = |part: u32, whole: u32| part > whole / 8;
            let sweeps = lacks_items && is_an_eighth(self.items.gone, self.items.capacity())
                || lacks_bytes && is_an_eighth(self.items.gone_bytes, self.bytes.capacity());
            if sweeps { self.sweep() } else { self.drop_at(oldest) }
        }
    }

    /// Drops the oldest items as far as they are gone.
    fn release_gone(&mut self) {
        while let Some(&oldest) = self.items.at(0).filter(|item| item.state == State::Gone) {
            self.items.pop();
            self.bytes.release(oldest.start, self.items.at(0).map(|item| item.start));
        }
    }

    /// Moves all that is not gone together.
    fn sweep(&mut self) {
        self.bytes.restart(self.items.at(0).map_or(0, |item| item.start));
        for row in self.keys.all_mut() {
            (row.first, row.last) = (NONE, NONE);
        }
        let mut kept = 0;
        for index in 0..self.items.len() {
            let Some(&item) = self.items.at(index).filter(|item| item.state != State::Gone) else { continue };
            let start = self.bytes.take(item.length).unwrap_or(item.start);
            self.bytes.relocate(item.start, start, item.length);
            let Some(slot) = self.items.slot(kept) else { return };
            if let Some(place) = self.items.get_mut(slot) {
                *place = RingItem { start, taken: item.length, ..item };
            }
            if let Some(row) = self.keys.get_mut(item.key) {
                row.link(&mut self.items, slot);
            }
            kept = kept.saturating_add(1);
        }
        self.items.truncate(kept);
    }

    /// Drops an item: the oldest of its key, or one that is reserved.
    fn drop_at(&mut self, slot: u32) {
        let Some(&item) = self.items.get(slot) else { return };
        if let Some(row) = self.keys.get_mut(item.key) {
            row.remove(&mut self.items, slot);
        }
    }

    fn collect_all(&mut self) {
        for column in 0..self.keys.all().len() {
            self.collect(column);
        }
    }

    /// Drops what every device has of the key in this place.
    fn collect(&mut self, column: usize) {
        if let (Some(val), Some(row)) = (self.devices.min(column), self.keys.all_mut().get_mut(column)) {
            row.collect(&mut self.items, val);
        }
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyKeys { capacity } => write!(f, "all {capacity} keys of the mailbox are taken"),
            Self::TooLong { length, limit } => write!(f, "an item of {length} bytes, and {limit} is the limit"),
            Self::NoItems => f.write_str("the mailbox has no memory for items"),
            Self::NotReserved { val } => write!(f, "val {val} is not reserved"),
            Self::EpochSpent => f.write_str("all vals of the epoch are used up"),
        }
    }
}

impl Error for RingError {}

#[cfg(test)]
mod tests;
