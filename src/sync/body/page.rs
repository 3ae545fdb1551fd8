use super::{BodyError, Entries, Entry, Receipt};
use crate::sync::{Epoch, Item};
use core::{fmt, iter::FusedIterator};

/// What is new and how far it reaches, read in place.
///
/// The items of a page are sorted by key, then by val, so that it may be stored in parts, from the front. What holds of
/// every page, and was checked when it was decoded: entries are ascending, each item's key is among them, and an item's
/// val is above 0, above that of the item before it and not above the val of its key's entry.
///
/// Store the items, and with them the cursor; then commit the [`receipt`](Self::receipt). Items that are stored already, by
/// epoch, key and val, are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Page<'f> {
    receipt: Receipt<'f>,
    items: Items<'f>,
}

/// The items of a page, read in place: ascending by key, and for each key by val.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Items<'f> {
    bytes: &'f [u8],
    left: u16,
}

/// An item as on the wire: key u16, op u8, flags u8, length u32, val u64, and bytes.
struct Raw<'f> {
    /// As it stands there: whether it is the one before takes no swapping of bytes.
    key: [u8; 2],
    op: u8,
    flags: u8,
    val: u64,
    bytes: &'f [u8],
}

/// The only flag.
const STUB: u8 = 1 << 0;

impl<'f> Page<'f> {
    pub(super) const fn new(receipt: Receipt<'f>, items: Items<'f>) -> Self {
        Self { receipt, items }
    }

    pub(crate) const fn with_id(self, id: u32) -> Self {
        Self { receipt: self.receipt.with_id(id), ..self }
    }

    /// Tells it from other pages of the same client. 0 if no client gave it one.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.receipt.id()
    }

    /// The epoch that the vals are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.receipt.epoch()
    }

    /// The mailbox begins anew, with this epoch: no val that the device has counts any more. The page has neither entries nor
    /// items. The device keeps what it has stored, and tells the items that come again by the application's own ids.
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.receipt.is_reset()
    }

    /// Something of a wanted key was left out, whether or not the key is named: ask on at once. Always so after a
    /// [reset](Self::is_reset).
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.receipt.has_more()
    }

    /// Up to where the device has everything, once the page is stored. Keys that are not named stay where they are.
    #[must_use]
    pub const fn entries(&self) -> Entries<'f> {
        self.receipt.entries()
    }

    /// What is new.
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

    /// Reads so many items, in one walk along the entries, which judges all of them. `asked` gets each entry once, in order,
    /// and returns the val that the items of its key have to be above.
    pub(super) fn read(
        bytes: &'f [u8],
        items: u16,
        mut entries: Entries<'_>,
        asked: &mut dyn FnMut(&Entry) -> Result<u64, BodyError>,
    ) -> Result<Self, BodyError> {
        let (mut found, mut rest, mut before) = (0_u32, bytes, None);
        while let Some((Raw { key, .. }, _)) = Raw::split(rest) {
            let between = next_key(&mut entries, before, key, asked)?;
            let read = read_key(rest, key, between, found)?;
            (rest, found, before) = (read.0, read.1, Some(key));
        }
        if found != items.into() || !rest.is_empty() {
            return Err(BodyError::ItemsLength { items, length: bytes.len() });
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
    before: Option<[u8; 2]>,
    key: [u8; 2],
    asked: &mut dyn FnMut(&Entry) -> Result<u64, BodyError>,
) -> Result<(u64, u64), BodyError> {
    let (before, key) = (before.map(u16::from_be_bytes), u16::from_be_bytes(key));
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

/// Judges items as far as they are of this key, and returns what is behind them, and `found` with them. By itself because
/// all of a page goes through this loop, and inlined it would not keep to the registers.
#[inline(never)]
fn read_key(bytes: &[u8], key: [u8; 2], (above, most): (u64, u64), found: u32) -> Result<(&[u8], u32), BodyError> {
    let (mut rest, mut last, mut found) = (bytes, above, found);
    while let Some((item, behind)) = Raw::split(rest) {
        if item.key != key {
            break;
        }
        if item.val <= last || item.val > most || item.flags != 0 {
            item.judge(last, most)?;
        }
        (last, rest, found) = (item.val, behind, found.wrapping_add(1));
    }
    Ok((rest, found))
}

impl<'f> Raw<'f> {
    fn split(bytes: &'f [u8]) -> Option<(Self, &'f [u8])> {
        let (fixed, behind) = bytes.split_first_chunk::<{ Items::HEAD_LEN }>()?;
        let [k1, k0, op, flags, l3, l2, l1, l0, val @ ..] = *fixed;
        let (bytes, behind) = behind.split_at_checked(u32::from_be_bytes([l3, l2, l1, l0]) as usize)?;
        Some((Self { key: [k1, k0], op, flags, val: u64::from_be_bytes(val), bytes }, behind))
    }

    /// Of one that is no plain item between these vals.
    #[cold]
    fn judge(&self, last: u64, most: u64) -> Result<(), BodyError> {
        let (key, val) = (u16::from_be_bytes(self.key), self.val);
        if val <= last {
            return Err(BodyError::ItemVal { key, val });
        }
        if val > most {
            return Err(BodyError::ItemBeyond { key, val });
        }
        super::only(self.flags, STUB.into())?;
        let length = crate::time::as_u32(self.bytes.len());
        let (total, bytes) = self.bytes.split_first_chunk().ok_or(BodyError::Stub { length })?;
        let total = u32::from_be_bytes(*total);
        if total as usize > bytes.len() { Ok(()) } else { Err(BodyError::StubTotal { total }) }
    }
}

impl<'f> Iterator for Items<'f> {
    type Item = Item<'f>;

    fn next(&mut self) -> Option<Item<'f>> {
        let (raw, behind) = Raw::split(self.bytes)?;
        (self.bytes, self.left) = (behind, self.left.saturating_sub(1));
        let item = Item::new(u16::from_be_bytes(raw.key), raw.val, raw.op, raw.bytes);
        if raw.flags == 0 {
            return Some(item);
        }
        let (total, bytes) = raw.bytes.split_first_chunk()?;
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

/// As a list.
impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// How many they are.
#[cfg(feature = "defmt")]
impl defmt::Format for Items<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u16} items", self.left);
    }
}

/// What comes before the bytes of an item. Those of a stub begin with its whole length, four bytes.
pub(crate) fn item_head(item: &Item<'_>) -> [u8; Items::HEAD_LEN] {
    let (more, flags) = if item.is_stub() { (Items::TOTAL_LEN, STUB) } else { (0, 0) };
    let length = crate::time::as_u32(item.bytes.len().saturating_add(more));
    let ([k1, k0], [l3, l2, l1, l0]) = (item.key.to_be_bytes(), length.to_be_bytes());
    let [v7, v6, v5, v4, v3, v2, v1, v0] = item.val.to_be_bytes();
    [k1, k0, item.op, flags, l3, l2, l1, l0, v7, v6, v5, v4, v3, v2, v1, v0]
}
