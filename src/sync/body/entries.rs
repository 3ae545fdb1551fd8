use super::{BodyError, only};
use crate::sync::{MAX_KEYS, Row};
use core::{fmt, iter::FusedIterator};

/// How far one key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry {
    /// The key.
    pub key: u16,
    /// In a request and an acknowledgement: the device has everything up to here. In a [`Page`](super::Page): it has
    /// everything up to here once the page is stored. In a notify: the newest there is. 0 is before the first.
    ///
    /// A page may name a key that stays where it was, at 0 too; that moves nothing.
    pub val: u64,
    /// Only in a page: the device drops what it has of this key, and counts from 0. The items of the page are the first
    /// of what it is to have; a key that is reset to 0 has none any more.
    pub resets: bool,
    /// Only in a page: something after what the device has is gone for good.
    pub has_gap: bool,
}

/// Keys and how far they are, read in place: ascending by key, each key once, 64 at most.
///
/// Of a body that was decoded, or [of a cursor](crate::sync::SyncKeys::entries).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Entries<'a> {
    /// Whole rows.
    rows: &'a [u8],
}

/// Bits of an entry's flags.
pub(super) const RESET: u16 = 1 << 1;
pub(super) const GAP: u16 = 1 << 2;

impl Entry {
    /// On the wire.
    pub(crate) const LEN: usize = size_of::<Row>();

    /// An entry without flags.
    #[must_use]
    pub const fn new(key: u16, val: u64) -> Self {
        Self { key, val, resets: false, has_gap: false }
    }

    /// As on the wire.
    pub(crate) const fn to_row(self) -> Row {
        let flags = if self.resets { RESET } else { 0 } | if self.has_gap { GAP } else { 0 };
        let ([k1, k0], [f1, f0]) = (self.key.to_be_bytes(), flags.to_be_bytes());
        let [v7, v6, v5, v4, v3, v2, v1, v0] = self.val.to_be_bytes();
        [k1, k0, f1, f0, v7, v6, v5, v4, v3, v2, v1, v0]
    }

    pub(crate) const fn from_row(row: &Row) -> Self {
        let [k1, k0, f1, f0, val @ ..] = *row;
        let flags = u16::from_be_bytes([f1, f0]);
        Self {
            key: u16::from_be_bytes([k1, k0]),
            val: u64::from_be_bytes(val),
            resets: flags & RESET != 0,
            has_gap: flags & GAP != 0,
        }
    }
}

impl<'a> Entries<'a> {
    /// None.
    pub const EMPTY: Self = Self { rows: &[] };

    /// Whole rows that are known to be in order.
    pub(crate) const fn trusted(rows: &'a [u8]) -> Self {
        Self { rows }
    }

    /// Whole rows, which are checked; no flags may be set but these.
    pub(in crate::sync) fn read(rows: &'a [u8], flags: u16) -> Result<Self, BodyError> {
        let mut least = 0_u32; // the next key is this or above
        let mut rest = rows;
        while let Some((&[k1, k0, f1, f0, ..], behind)) = rest.split_first_chunk::<{ Entry::LEN }>() {
            let key = u16::from_be_bytes([k1, k0]);
            if u32::from(key) < least {
                return Err(BodyError::KeyOrder { key });
            }
            only(u16::from_be_bytes([f1, f0]), flags.into())?;
            least = u32::from(key).saturating_add(1);
            rest = behind;
        }
        Ok(Self { rows })
    }

    /// `true` for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    pub(crate) const fn as_bytes(&self) -> &'a [u8] {
        self.rows
    }

    /// How many, as a body says it.
    pub(super) fn n(&self) -> u16 {
        u16::try_from(self.len()).unwrap_or(u16::MAX)
    }

    /// The one with the highest key.
    pub(super) fn highest(&self) -> Option<Entry> {
        self.rows.last_chunk().map(Entry::from_row)
    }
}

/// The bytes of so many entries, if a body may have as many.
pub(super) fn length_of(entries: u16) -> Result<usize, BodyError> {
    let n = usize::from(entries);
    if n > MAX_KEYS { Err(BodyError::Keys { keys: entries }) } else { Ok(n.saturating_mul(Entry::LEN)) }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn next(&mut self) -> Option<Entry> {
        let (row, behind) = self.rows.split_first_chunk()?;
        self.rows = behind;
        Some(Entry::from_row(row))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl ExactSizeIterator for Entries<'_> {
    fn len(&self) -> usize {
        self.rows.len() / Entry::LEN
    }
}

impl FusedIterator for Entries<'_> {}

/// As a list.
impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// How many they are.
#[cfg(feature = "defmt")]
impl defmt::Format for Entries<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=usize} entries", self.len());
    }
}
