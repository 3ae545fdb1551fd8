use super::{BodyError, Entries, Entry, Receipt};
use crate::sync::{Epoch, Item};
use core::iter::FusedIterator;

/// What is new, and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Page<'f> {
    receipt: Receipt<'f>,
    items: Items<'f>,
}

/// The items of a page, in place, ascending by key and val.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Items<'f> {
    bytes: &'f [u8],
    left: u16,
}

/// An item as on the wire: key u16, op u8, flags u8, length u32, val u64, and bytes.
struct Raw<'f> {
    key: u16,
    op: u8,
    flags: u8,
    val: u64,
    bytes: &'f [u8],
}

/// The bit of an item's flags.
const STUB: u8 = 1 << 0;

impl<'f> Page<'f> {
    pub(super) const fn new(receipt: Receipt<'f>, items: Items<'f>) -> Self {
        Self { receipt, items }
    }

    pub(crate) const fn with_id(self, id: u32) -> Self {
        Self { receipt: self.receipt.with_id(id), ..self }
    }

    /// Tells it from other pages of the same client.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.receipt.id()
    }

    /// The epoch that the vals are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.receipt.epoch()
    }

    /// The mailbox begins anew.
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.receipt.is_reset()
    }

    /// Something is left to be asked for.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.receipt.has_more()
    }

    /// How far each key comes by this page.
    #[must_use]
    pub const fn entries(&self) -> Entries<'f> {
        self.receipt.entries()
    }

    /// The items.
    #[must_use]
    pub const fn items(&self) -> Items<'f> {
        self.items
    }

    /// What it takes to commit the page.
    #[must_use]
    pub const fn receipt(&self) -> Receipt<'f> {
        self.receipt
    }
}

impl<'f> Items<'f> {
    /// The length of what comes before an item's bytes.
    pub(crate) const HEAD_LEN: usize = 16;
    /// The length of what comes before a stub's bytes, beside that.
    pub(crate) const TOTAL_LEN: usize = 4;

    /// Reads so many items and checks them, so that nothing has to be judged again.
    pub(super) fn read(
        bytes: &'f [u8],
        items: u16,
        mut entries: Entries<'_>,
        asked: &mut dyn FnMut(&Entry) -> Result<u64, BodyError>,
    ) -> Result<Self, BodyError> {
        let wrong_length = BodyError::ItemsLength { items, length: bytes.len() };
        let mut at: Option<u16> = None; // the key that is walked
        let (mut last, mut most) = (0, 0); // its vals so far, and at most
        let mut rest = bytes;
        for _ in 0..items {
            let (item, behind) = Raw::split(rest).ok_or(wrong_length)?;
            if at != Some(item.key) {
                let entry = next_key(&mut entries, at, item.key, asked)?;
                (at, last, most) = (Some(item.key), entry.0, entry.1);
            }
            if item.val <= last {
                return Err(BodyError::ItemVal { key: item.key, val: item.val });
            }
            if item.val > most {
                return Err(BodyError::ItemBeyond { key: item.key, val: item.val });
            }
            if item.flags != 0 {
                item.check_stub()?;
            }
            last = item.val;
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(wrong_length);
        }
        for entry in entries {
            asked(&entry)?;
        }
        Ok(Self { bytes, left: items })
    }
}

/// Goes on to the entry of `key`, and returns between which vals its items are.
fn next_key(
    entries: &mut Entries<'_>,
    before: Option<u16>,
    key: u16,
    asked: &mut dyn FnMut(&Entry) -> Result<u64, BodyError>,
) -> Result<(u64, u64), BodyError> {
    if before.is_some_and(|before| key < before) {
        return Err(BodyError::ItemOrder { key });
    }
    for entry in entries.by_ref() {
        let above = asked(&entry)?;
        if entry.key == key {
            return Ok((above, entry.val));
        }
        if entry.key > key {
            break;
        }
    }
    Err(BodyError::ItemKey { key })
}

impl<'f> Raw<'f> {
    #[inline]
    fn split(bytes: &'f [u8]) -> Option<(Self, &'f [u8])> {
        let (head, behind) = bytes.split_first_chunk::<{ Items::HEAD_LEN }>()?;
        let [k1, k0, op, flags, l3, l2, l1, l0, val @ ..] = *head;
        let (bytes, behind) = behind.split_at_checked(u32::from_be_bytes([l3, l2, l1, l0]) as usize)?;
        Some((Self { key: u16::from_be_bytes([k1, k0]), op, flags, val: u64::from_be_bytes(val), bytes }, behind))
    }

    /// Of an item with flags.
    fn check_stub(&self) -> Result<(), BodyError> {
        super::only(self.flags, STUB.into())?;
        let length = crate::time::as_u32(self.bytes.len());
        let (total, bytes) = self.bytes.split_first_chunk().ok_or(BodyError::Stub { length })?;
        let total = u32::from_be_bytes(*total);
        if total as usize > bytes.len() { Ok(()) } else { Err(BodyError::StubTotal { total }) }
    }
}

impl<'f> Iterator for Items<'f> {
    type Item = Item<'f>;

    #[inline]
    fn next(&mut self) -> Option<Item<'f>> {
        let (Raw { key, op, flags, val, bytes }, behind) = Raw::split(self.bytes)?;
        (self.bytes, self.left) = (behind, self.left.saturating_sub(1));
        let item = Item::new(key, val, op, bytes);
        if flags == 0 {
            return Some(item);
        }
        let (total, bytes) = bytes.split_first_chunk()?;
        Some(Item { total: Some(u32::from_be_bytes(*total)), bytes, ..item })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl ExactSizeIterator for Items<'_> {
    fn len(&self) -> usize {
        self.left.into()
    }
}

impl FusedIterator for Items<'_> {}

/// What comes before an item's bytes; of a stub, before the four bytes of its whole length and its bytes.
pub(crate) fn item_head(item: &Item<'_>) -> [u8; Items::HEAD_LEN] {
    let more = if item.is_stub() { Items::TOTAL_LEN } else { 0 };
    let length = crate::time::as_u32(item.bytes.len().saturating_add(more));
    super::join([
        &item.key.to_be_bytes(),
        &[item.op, if item.is_stub() { STUB } else { 0 }],
        &length.to_be_bytes(),
        &item.val.to_be_bytes(),
    ])
}
