use super::Answered;
use crate::sync::body::{Head, item_head};
use crate::sync::{Entry, Epoch, Item, Items, MAX_KEYS, Row};
use crate::time::as_u32;
use crate::wire::{fill, shift};

/// A page that is being written.
///
/// ```text
///   head │ entries kept │ keys planned, not read yet │ items …      │ room
///        │              │                            │              │
///       20         20 + 12 kept              20 + 12 planned       end
/// ```
///
/// A key that has something gets a place for its entry before the first item is written; at the end the places of those
/// that did not move are closed. If the first item does not fit for these places, all but the first of them go.
pub(super) struct Draft<'o> {
    page: &'o mut [u8],
    /// Places for entries.
    planned: usize,
    /// So many of them were read.
    read: usize,
    kept: usize,
    /// Behind the last item, once there is one.
    end: usize,
    items: u16,
    max_items: u16,
    /// An item did not fit.
    is_full: bool,
    /// Something is left out.
    more: bool,
}

/// A stub is only begun where so many bytes of the item fit.
const LEAST_OF_STUB: usize = 16;
/// All of a page but the bytes of its only item.
const AROUND_ITEM: usize = Head::LEN + Entry::LEN + Items::HEAD_LEN;

impl<'o> Draft<'o> {
    pub(super) fn new(page: &'o mut [u8], max_items: u16) -> Self {
        Self { page, planned: 0, read: 0, kept: 0, end: 0, items: 0, max_items, is_full: false, more: false }
    }

    /// This key has something: a place for its entry, while less than half of the page is taken for such.
    pub(super) fn plan(&mut self, asked: Entry) {
        let half = self.page.len().saturating_sub(Head::LEN) / 2;
        let most = (half / Entry::LEN).min(MAX_KEYS);
        if self.planned < most {
            self.put(self.planned, asked);
            self.planned = self.planned.saturating_add(1);
        } else {
            self.more = true;
        }
    }

    /// The next key that was planned, if there is room for anything of it.
    pub(super) fn next_planned(&mut self) -> Option<Entry> {
        if self.is_full || self.read >= self.planned {
            return None;
        }
        let row = self.page.get(place(self.read)..)?.first_chunk::<{ Entry::LEN }>()?;
        self.read = self.read.saturating_add(1);
        Some(Entry::from_row(row))
    }

    /// This entry is in the page, behind those that are; left out if there is no room for it.
    pub(super) fn keep(&mut self, entry: Entry) {
        let places = if self.items > 0 { self.planned } else { MAX_KEYS };
        let end = place(self.kept.saturating_add(1));
        if self.kept < places && end <= self.page.len() {
            self.put(self.kept, entry);
            self.kept = self.kept.saturating_add(1);
        } else {
            self.more = true;
        }
    }

    /// Something is not in the page.
    pub(super) fn leave_out(&mut self) {
        self.more = true;
    }

    /// Adds an item of the key that is read now, or a stub of it. `false` if the page is full.
    pub(super) fn add(&mut self, item: &Item<'_>) -> bool {
        let stub = item.total.filter(|total| *total > as_u32(item.bytes.len()));
        let item = Item { total: stub, ..*item };
        if self.items >= self.max_items || !self.add_to_room(&item) {
            self.is_full = true;
            return false;
        }
        self.items = self.items.saturating_add(1);
        true
    }

    fn add_to_room(&mut self, item: &Item<'_>) -> bool {
        let stub = Item { total: Some(item.total.unwrap_or(as_u32(item.bytes.len()))), ..*item };
        let overhead = if item.is_stub() { Items::TOTAL_LEN } else { 0 };
        let alone = self.page.len().saturating_sub(AROUND_ITEM).saturating_sub(overhead);
        let is_too_long = item.bytes.len() > alone;
        let least = if is_too_long {
            LEAST_OF_STUB.saturating_add(Items::TOTAL_LEN)
        } else {
            item.bytes.len().saturating_add(overhead)
        };
        if self.items == 0 {
            self.end = place(self.planned);
            if self.room() < least {
                // Later keys have to wait.
                let only_this = self.kept.saturating_add(1);
                self.more |= self.read < self.planned;
                (self.planned, self.read) = (only_this, only_this);
                self.end = place(only_this);
            }
        }
        let room = self.room();
        if room < least {
            return false;
        }
        if is_too_long {
            let bytes = item.bytes.get(..room.saturating_sub(Items::TOTAL_LEN)).unwrap_or(item.bytes);
            self.append(&Item { bytes, ..stub }).is_some()
        } else {
            self.append(item).is_some()
        }
    }

    /// For the bytes of an item that comes next.
    fn room(&self) -> usize {
        self.page.len().saturating_sub(self.end).saturating_sub(Items::HEAD_LEN)
    }

    /// Writes an item behind the last. `None`, and nothing is taken, if it does not fit.
    fn append(&mut self, item: &Item<'_>) -> Option<()> {
        let room = self.page.get_mut(self.end..)?;
        let (head, mut room) = room.split_first_chunk_mut()?;
        *head = item_head(item);
        let mut length = Items::HEAD_LEN;
        if let Some(total) = item.total {
            let (field, behind) = room.split_first_chunk_mut()?;
            *field = total.to_be_bytes();
            room = behind;
            length = length.saturating_add(Items::TOTAL_LEN);
        }
        length = length.saturating_add(fill(room, item.bytes).ok()?);
        self.end = self.end.saturating_add(length);
        Some(())
    }

    /// The mailbox begins anew, and the page says only that.
    pub(super) fn reset<E>(self, epoch: Epoch) -> Answered<E> {
        let head = Head { more: true, ..Head::new(Head::RESET_ALL, Some(epoch)) };
        let length = fill(self.page, &head.to_bytes()).unwrap_or_default();
        Answered { length, is_empty: false, moves: true, error: None }
    }

    /// The page as it is. The device's cursor moves by what was kept, or by this.
    pub(super) fn finish<E>(self, epoch: Epoch, moves: bool) -> Answered<E> {
        let (to, from) = (place(self.kept), place(self.planned));
        let mut length = to;
        let mut items_len = 0;
        if self.items > 0 {
            items_len = self.end.saturating_sub(from);
            length = to.saturating_add(items_len);
            if let Some(bytes) = self.page.get_mut(to..self.end) {
                shift(bytes, from.saturating_sub(to));
            }
        }
        let moves = moves || self.kept > 0;
        let head = Head {
            n: u16::try_from(self.kept).unwrap_or_default(),
            items: self.items,
            more: self.more && moves,
            items_len: as_u32(items_len),
            ..Head::new(Head::OK, Some(epoch))
        };
        let _ = fill(self.page, &head.to_bytes());
        Answered { length, is_empty: !moves, moves, error: None }
    }

    fn put(&mut self, index: usize, entry: Entry) {
        if let Some(room) = self.page.get_mut(place(index)..) {
            let _ = fill(room, &Row::from(entry.to_row()));
        }
    }
}

/// Where the entry with this index begins.
fn place(index: usize) -> usize {
    Head::LEN.saturating_add(index.saturating_mul(Entry::LEN))
}
