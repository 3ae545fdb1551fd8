use super::entries::{GAP, RESET};
use super::response::Head;
use super::{BodyError, Entries, Entry};
use crate::sync::{Epoch, Item};

/// What it takes to commit a [`Page`](super::Page): how far it brings the device, without the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Receipt<'f> {
    id: u32,
    epoch: Epoch,
    resets: bool,
    more: bool,
    /// Head and entries.
    bytes: &'f [u8],
    entries: Entries<'f>,
    /// Up to this key at this val only.
    until: Option<(u16, u64)>,
}

impl<'f> Receipt<'f> {
    pub(super) fn new(head: &Head, epoch: Epoch, bytes: &'f [u8], entries: Entries<'f>) -> Self {
        let resets = head.status == Head::RESET_ALL;
        Self { id: 0, epoch, resets, more: head.more || resets, bytes, entries, until: None }
    }

    /// Rebuilds a receipt from its [`id`](Self::id) and its [`bytes`](Self::bytes), for instance in another thread.
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
        let entries = Entries::read(rows, RESET | GAP)?;
        match head.epoch {
            Some(epoch) if head.status <= Head::RESET_ALL => Ok(Self::new(&head, epoch, bytes, entries).with_id(id)),
            _ => Err(BodyError::NoPage { status: head.status }),
        }
    }

    pub(crate) const fn with_id(self, id: u32) -> Self {
        Self { id, ..self }
    }

    /// The same, but only up to `item`.
    #[must_use]
    pub fn up_to(self, item: &Item<'_>) -> Self {
        let until = self.until.unwrap_or((u16::MAX, u64::MAX)).min((item.key, item.val));
        let is_whole = self.entries.last_entry().is_none_or(|last| (last.key, last.val) <= until);
        Self { until: Some(until), more: self.more || !is_whole, ..self }
    }

    /// Which page it is of.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The page without its items.
    #[must_use]
    pub const fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    /// The epoch that the vals are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The mailbox begins anew.
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.resets
    }

    /// Something is left to be asked for.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.more
    }

    /// All entries of the page, whatever part of it this stands for.
    pub(super) const fn entries(&self) -> Entries<'f> {
        self.entries
    }

    /// Up to where each key comes by this.
    pub fn vals(&self) -> impl Iterator<Item = Entry> + Clone + use<'f> {
        let until = self.until.unwrap_or((u16::MAX, u64::MAX));
        self.entries.map_while(move |entry| {
            let val = if entry.key == until.0 { entry.val.min(until.1) } else { entry.val };
            (entry.key <= until.0).then_some(Entry { val, ..entry })
        })
    }
}
