mod text;

pub use text::TextError;

use super::body::{List, only};
use super::{BodyError, Entries, Entry, Epoch, Row};
use crate::wire::{BufferTooSmall, fill};
use core::{error::Error, fmt, mem};

/// No cursor and no body has more keys: twice as many as were ever seen.
pub const MAX_KEYS: usize = 64;

/// A cursor: the epoch of a mailbox, and for every key the val up to which the device has everything.
///
/// Keys are kept in their order, each once, with vals that do not fall. A key that is not there counts as being at 0.
///
/// `R` is the table, a [`Row`] for each key there may be, up to [`MAX_KEYS`]: an array, a slice that is lent, or a `Vec`. A
/// `&mut SyncKeys<[Row; 8]>` is a `&mut SyncKeys` wherever one is wanted, so that code exists once whatever the size.
///
/// ```
/// use longlink::sync::{Row, SyncKeys};
///
/// let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
/// keys.read_text("1_651991553|2_651995902|3_651995504")?;
/// // Merged, an answer that does not name keys 1 and 3 leaves them where they are.
/// assert!(keys.merge(2, 651_995_969)?);
/// assert!(!keys.merge(2, 651_995_902)?); // no val falls
/// assert_eq!(keys.to_string(), "1_651991553|2_651995969|3_651995504");
///
/// let mut stored = [0; 64];
/// let length = keys.encode(&mut stored)?;
/// let mut restored = SyncKeys::with_rows(vec![Row::default(); 20]);
/// restored.decode(&stored[..length])?;
/// assert!(restored.entries().eq(keys.entries()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SyncKeys<R: ?Sized = [Row]> {
    epoch: Option<Epoch>,
    /// So many rows are used.
    len: u8,
    rows: R,
}

/// A table has no row left for another key.
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
    /// The epoch that the vals are of. `None` at first, and of a cursor that comes from its text.
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

    /// How many keys there is room for, [`MAX_KEYS`] at most.
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

    /// The keys with their vals.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries::trusted(self.rows())
    }

    /// The same as on the wire.
    pub(crate) fn rows(&self) -> &[u8] {
        self.used().as_flattened()
    }

    /// Writes the cursor, as it is to be stored, to the start of `out` and returns its length: 8 bytes, and 12 for each
    /// key. With an epoch it is the body of an [`Ack`](super::Ack).
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        List { flags: 0, epoch: self.epoch, rows: self.rows() }.encode(out)
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
    /// The device has everything of `key` up to `val`. `true` if the key rises by that; one that is further stays where it
    /// is.
    ///
    /// # Errors
    ///
    /// [`TooManyKeys`] if the key is not there and has no room; nothing is changed then.
    pub fn merge(&mut self, key: u16, val: u64) -> Result<bool, TooManyKeys> {
        match self.find(key) {
            (_, Some(before)) if before >= val => Ok(false),
            (at, before) => self.put(at, before.is_some(), Entry::new(key, val)).map(|()| val > 0),
        }
    }

    /// As [`merge`](Self::merge), but to exactly this val, further or not.
    pub(crate) fn set(&mut self, key: u16, val: u64) -> Result<(), TooManyKeys> {
        let (at, before) = self.find(key);
        self.put(at, before.is_some(), Entry::new(key, val))
    }

    /// Forgets `key`; without effect if it is not there.
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

    /// Reads what [`encode`](Self::encode) wrote, in place of the epoch and the keys that are here.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong; nothing is changed then.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let list = List::decode(bytes)?;
        only(list.flags, 0)?;
        let entries = Entries::read(list.rows, 0)?;
        let too_many = BodyError::TooManyKeys { capacity: self.capacity() };
        let len = u8::try_from(entries.len()).map_err(|_| too_many)?;
        fill(self.rows.as_mut().as_flattened_mut(), entries.as_bytes()).map_err(|_| too_many)?;
        (self.epoch, self.len) = (list.epoch, len);
        Ok(())
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

/// Epoch and text form.
impl<R: ?Sized + AsRef<[Row]>> fmt::Debug for SyncKeys<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncKeys").field("epoch", &self.epoch).field("keys", &format_args!("{self}")).finish()
    }
}

/// Epoch and number of keys.
#[cfg(feature = "defmt")]
impl<R: ?Sized + AsRef<[Row]>> defmt::Format for SyncKeys<R> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "SyncKeys({}, {=usize} keys)", self.epoch, self.len());
    }
}

/// The same epoch and the same keys at the same vals, in tables of any size.
impl<R: ?Sized + AsRef<[Row]>, S: ?Sized + AsRef<[Row]>> PartialEq<SyncKeys<S>> for SyncKeys<R> {
    fn eq(&self, other: &SyncKeys<S>) -> bool {
        (self.epoch, self.rows()) == (other.epoch, other.rows())
    }
}

impl fmt::Display for TooManyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more keys than the {} that there is room for", self.capacity)
    }
}

impl Error for TooManyKeys {}

#[cfg(test)]
mod tests;
