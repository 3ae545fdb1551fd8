use super::entries::{GAP, RESET};
use super::response::Head;
use super::{BodyError, Entries, Entry};
use crate::sync::{Epoch, Item};
use core::fmt;

/// What it takes to commit a [`Page`](super::Page) once it is stored: how far it brings the device, without the items.
///
/// Another thread, or another process, may store a page from a copy of its bytes: a receipt is its [`id`](Self::id) and its
/// [`bytes`](Self::bytes), and [can be rebuilt](Self::from_bytes).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Receipt<'f> {
    id: u32,
    epoch: Epoch,
    resets: bool,
    more: bool,
    /// Head and entries of the page.
    bytes: &'f [u8],
    /// Up to this key at this val, and not further.
    until: (u16, u64),
}

/// All of a page.
const TO_THE_END: (u16, u64) = (u16::MAX, u64::MAX);

impl<'f> Receipt<'f> {
    /// Of the page that begins with these bytes; the entries in them are in order.
    pub(super) const fn new(head: &Head, epoch: Epoch, bytes: &'f [u8]) -> Self {
        let resets = head.status == Head::RESET_ALL;
        Self { id: 0, epoch, resets, more: head.more || resets, bytes, until: TO_THE_END }
    }

    /// Rebuilds the receipt of a whole page from its [`id`](Self::id) and its [`bytes`](Self::bytes). If it was only
    /// [up to an item](Self::up_to), say so again.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn from_bytes(id: u32, bytes: &'f [u8]) -> Result<Self, BodyError> {
        let (head, rows, behind) = Head::read(bytes)?;
        if !behind.is_empty() {
            let expected = Head::LEN.saturating_add(rows.len());
            return Err(BodyError::Length { length: bytes.len(), expected });
        }
        Entries::read(rows, RESET | GAP)?;
        match head.epoch {
            Some(epoch) if head.status <= Head::RESET_ALL => Ok(Self::new(&head, epoch, bytes).with_id(id)),
            _ => Err(BodyError::NoPage { status: head.status }),
        }
    }

    pub(crate) const fn with_id(self, id: u32) -> Self {
        Self { id, ..self }
    }

    /// The same, but only up to and with `item`, one of the page's: keys before the item's as the page has them, the item's
    /// key up to its val, keys behind it not at all. The rest is asked for again.
    #[must_use]
    pub fn up_to(self, item: &Item<'_>) -> Self {
        let until = self.until.min((item.key, item.val));
        let is_whole = self.entries().highest().is_none_or(|highest| (highest.key, highest.val) <= until);
        Self { until, more: self.more || !is_whole, ..self }
    }

    /// Which of a client's pages it is of.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The page up to its items: 20 bytes, and 12 for each entry.
    #[must_use]
    pub const fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    /// The epoch that the vals are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// As [`Page::is_reset`](super::Page::is_reset).
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.resets
    }

    /// Something is left to be asked for: the page says so, or this stands for a part of it only.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.more
    }

    /// Up to where each key comes by this.
    pub fn vals(&self) -> impl Iterator<Item = Entry> + Clone + use<'f> {
        let (key, most) = self.until;
        self.entries().take_while(move |entry| entry.key <= key).map(move |entry| {
            let val = if entry.key == key { entry.val.min(most) } else { entry.val };
            Entry { val, ..entry }
        })
    }

    /// The entries of the page, whatever part of it this stands for.
    pub(super) const fn entries(&self) -> Entries<'f> {
        match self.bytes.split_at_checked(Head::LEN) {
            Some((_, rows)) => Entries::trusted(rows),
            None => Entries::EMPTY,
        }
    }
}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, epoch, resets, more, .. } = self;
        let mut f = f.debug_struct("Receipt");
        f.field("id", id).field("epoch", epoch).field("is_reset", resets).field("has_more", more);
        f.field("entries", &self.entries()).field("until", &self.until).finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Receipt<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        let Self { id, epoch, resets, more, .. } = self;
        defmt::write!(f, "Receipt({}, {}, reset: {}, more: {}, {})", id, epoch, resets, more, self.entries());
    }
}
