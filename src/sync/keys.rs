mod text;

pub use text::TextError;

use super::body::List;
use super::{BodyError, Entries, Entry, Epoch, Row};
use crate::wire::{BufferTooSmall, fill};
use core::{error::Error, fmt, mem};

/// A cursor never has more keys.
pub const MAX_KEYS: usize = 64;

/// A cursor: how far a device is, key by key, within an epoch of its mailbox.
pub struct SyncKeys<R: ?Sized = [Row]> {
    epoch: Option<Epoch>,
    /// So many rows are used, in the order of their keys.
    len: u8,
    rows: R,
}

/// The table has no row left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyKeys {
    /// How many keys it has room for.
    pub capacity: usize,
}

impl<const N: usize> SyncKeys<[Row; N]> {
    /// No epoch and no keys, with room for `N`.
    #[must_use]
    pub const fn new() -> Self {
        Self { epoch: None, len: 0, rows: [[0; 12]; N] }
    }
}

impl<const N: usize> Default for SyncKeys<[Row; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: AsRef<[Row]> + AsMut<[Row]>> SyncKeys<R> {
    /// No epoch and no keys, in these rows, whatever is in them.
    #[must_use]
    pub const fn with_rows(rows: R) -> Self {
        Self { epoch: None, len: 0, rows }
    }
}

impl<R: ?Sized + AsRef<[Row]>> SyncKeys<R> {
    /// The epoch that the vals are of.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used().len()
    }

    /// `true` for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used().is_empty()
    }

    /// How many keys there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.rows.as_ref().len().min(MAX_KEYS)
    }

    /// Up to where the device has everything of `key`; 0 for one that is not there.
    #[must_use]
    pub fn val(&self, key: u16) -> u64 {
        self.find(key).1.unwrap_or_default()
    }

    /// `true` if `key` is there, be it at 0.
    #[must_use]
    pub fn contains(&self, key: u16) -> bool {
        self.find(key).1.is_some()
    }

    /// All of them.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries::trusted(self.rows())
    }

    /// As on the wire.
    pub(crate) fn rows(&self) -> &[u8] {
        self.used().as_flattened()
    }

    /// Writes what is to be stored to the start of `out`, and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let rows = self.rows();
        let required = List::LEN.saturating_add(rows.len());
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(List::LEN));
        let Some((head, behind)) = room else { return Err(BufferTooSmall { required }) };
        fill(head, &List::head(0, self.len.into(), self.epoch))?;
        fill(behind, rows)?;
        Ok(required)
    }

    fn used(&self) -> &[Row] {
        self.rows.as_ref().get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Where `key` is or would be, and its val if it is there.
    fn find(&self, key: u16) -> (usize, Option<u64>) {
        let used = self.used();
        let at = used.partition_point(|row| Entry::from_row(row).key < key);
        let entry = used.get(at).map(Entry::from_row).filter(|entry| entry.key == key);
        (at, entry.map(|entry| entry.val))
    }
}

impl<R: ?Sized + AsRef<[Row]> + AsMut<[Row]>> SyncKeys<R> {
    /// The device has everything of `key` up to `val`. `true` if it had less.
    ///
    /// # Errors
    ///
    /// [`TooManyKeys`] if the key is new and there is no room; nothing is changed then.
    pub fn merge(&mut self, key: u16, val: u64) -> Result<bool, TooManyKeys> {
        match self.find(key) {
            (_, Some(before)) if before >= val => Ok(false),
            (at, before) => self.put(at, before.is_some(), Entry::new(key, val)).map(|()| val > 0),
        }
    }

    /// As [`merge`](Self::merge), but to exactly this val.
    pub(crate) fn set(&mut self, key: u16, val: u64) -> Result<(), TooManyKeys> {
        let (at, before) = self.find(key);
        self.put(at, before.is_some(), Entry::new(key, val))
    }

    /// Forgets `key`.
    pub(crate) fn remove(&mut self, key: u16) {
        let (at, before) = self.find(key);
        let used = self.rows.as_mut().get_mut(at..usize::from(self.len));
        if let (Some(_), Some(rows)) = (before, used) {
            let mut from_behind = [0; 12];
            rows.iter_mut().rev().for_each(|row| mem::swap(row, &mut from_behind));
            self.len = self.len.saturating_sub(1);
        }
    }

    /// The vals are of this epoch from now on. If it is another one, nothing that was there counts.
    pub(crate) fn begin(&mut self, epoch: Option<Epoch>) {
        if self.epoch != epoch {
            (self.epoch, self.len) = (epoch, 0);
        }
    }

    /// Forgets every key.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Reads what was stored, in place of what is here.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names what is wrong; nothing is changed then.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let list = List::decode(bytes)?;
        super::body::only(list.flags, 0)?;
        let entries = Entries::read(list.rows, 0)?;
        let capacity = self.capacity();
        let rows = self.rows.as_mut().as_flattened_mut();
        match (u8::try_from(entries.len()), fill(rows, entries.as_bytes())) {
            (Ok(len), Ok(_)) if usize::from(len) <= capacity => {
                (self.epoch, self.len) = (list.epoch, len);
                Ok(())
            }
            _ => Err(BodyError::TooManyKeys { capacity }),
        }
    }

    /// Writes the row `at`, over the one that is there or before it.
    fn put(&mut self, at: usize, over: bool, entry: Entry) -> Result<(), TooManyKeys> {
        let capacity = self.capacity();
        let len = usize::from(self.len);
        if !over && len >= capacity {
            return Err(TooManyKeys { capacity });
        }
        let end = if over { at } else { len };
        let mut carried = entry.to_row();
        let rows = self.rows.as_mut().get_mut(at..=end).unwrap_or_default();
        rows.iter_mut().for_each(|row| mem::swap(row, &mut carried));
        if !over {
            self.len = self.len.saturating_add(1);
        }
        Ok(())
    }
}

impl<R: ?Sized + AsRef<[Row]>> fmt::Debug for SyncKeys<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncKeys").field("epoch", &self.epoch).field("keys", &format_args!("{self}")).finish()
    }
}

impl fmt::Display for TooManyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more keys than the {} that there is room for", self.capacity)
    }
}

impl Error for TooManyKeys {}
