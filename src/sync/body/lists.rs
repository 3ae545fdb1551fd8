use super::entries::length_of;
use super::{BodyError, Entries, Entry, VERSION, join, known, only};
use crate::sync::Epoch;
use crate::wire::{BufferTooSmall, fill};

/// "I have stored everything up to here": the body of the one-way frame [`SYNC_DONE`](crate::sync::SYNC_DONE), read in
/// place.
///
/// It holds for all that came before, too: one that is lost is made good by the next. Nobody answers it.
/// [`SyncKeys::encode`](crate::sync::SyncKeys::encode) writes the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ack<'a> {
    /// The epoch that the vals are of.
    pub epoch: Epoch,
    /// Up to where everything is stored. Keys that are not listed stay as they were.
    pub entries: Entries<'a>,
}

/// "Something is new": the body of the one-way frame [`NOTIFY`](crate::sync::NOTIFY), read in place.
///
/// Only a hint to ask earlier: it may be lost, doubled, late, or of another epoch.
///
/// ```
/// use longlink::sync::{Epoch, Notify};
///
/// let body = Notify::one(Epoch::FIRST, 2, 651_995_969);
/// let notify = Notify::decode(&body)?;
/// assert_eq!(notify.entries.map(|entry| (entry.key, entry.val)).next(), Some((2, 651_995_969)));
/// # Ok::<(), longlink::sync::BodyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Notify<'a> {
    /// The epoch that the vals are of. `None` says nothing of it; then there are no entries.
    pub epoch: Option<Epoch>,
    /// Something is new, and not all of it is among the entries.
    pub something: bool,
    /// The newest val of some keys.
    pub entries: Entries<'a>,
}

/// What both are: version u8, flags u8, n u16, epoch u32, n entries.
pub(crate) struct List<'a> {
    pub(crate) flags: u8,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) rows: &'a [u8],
}

/// A bit of a notify's flags.
const SOMETHING: u8 = 1 << 0;

impl<'a> List<'a> {
    /// The length of what comes before the entries.
    pub(crate) const LEN: usize = 8;

    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let too_short = BodyError::Length { length: body.len(), expected: Self::LEN };
        let (head, rows) = body.split_first_chunk::<{ List::LEN }>().ok_or(too_short)?;
        let [version, flags, n1, n0, epoch @ ..] = *head;
        known(version)?;
        let length = length_of(u16::from_be_bytes([n1, n0]))?;
        if rows.len() != length {
            return Err(BodyError::Length { length: body.len(), expected: Self::LEN.saturating_add(length) });
        }
        Ok(Self { flags, epoch: Epoch::new(u32::from_be_bytes(epoch)), rows })
    }

    /// What comes before `n` entries.
    pub(crate) fn head(flags: u8, n: u16, epoch: Option<Epoch>) -> [u8; List::LEN] {
        join([&[VERSION, flags], &n.to_be_bytes(), &Epoch::to_wire(epoch).to_be_bytes()])
    }

    /// Writes the body to the start of `out` and returns its length.
    pub(crate) fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let entries = Entries::trusted(self.rows);
        let required = Self::LEN.saturating_add(self.rows.len());
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(Self::LEN));
        let Some((head, behind)) = room else { return Err(BufferTooSmall { required }) };
        fill(head, &Self::head(self.flags, entries.n(), self.epoch))?;
        fill(behind, self.rows)?;
        Ok(required)
    }
}

impl<'a> Ack<'a> {
    /// The length of what comes before the entries.
    pub const LEN: usize = List::LEN;

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let list = List::decode(body)?;
        only(list.flags, 0)?;
        Ok(Self { epoch: list.epoch.ok_or(BodyError::NoEpoch)?, entries: Entries::read(list.rows, 0)? })
    }

    /// Writes the body to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.list().encode(out)
    }

    /// What comes before the entries. For those who write a body in two parts.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; Ack::LEN] {
        List::head(0, self.entries.n(), Some(self.epoch))
    }

    const fn list(&self) -> List<'a> {
        List { flags: 0, epoch: Some(self.epoch), rows: self.entries.as_bytes() }
    }
}

impl<'a> Notify<'a> {
    /// The length of what comes before the entries.
    pub const LEN: usize = List::LEN;
    /// "Something is new", and no more is said.
    const BARE: Self = Self { epoch: None, something: true, entries: Entries::EMPTY };

    /// Reads a body. One of another length than it says itself tells that something is new, and no more: servers of this
    /// family send such, of 4 bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong, in a body of the right length.
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let list = match List::decode(body) {
            Err(BodyError::Length { .. }) => return Ok(Self::BARE),
            list => list?,
        };
        only(list.flags, SOMETHING.into())?;
        let entries = Entries::read(list.rows, 0)?;
        if list.epoch.is_none() && !entries.is_empty() {
            return Err(BodyError::NoEpoch);
        }
        Ok(Self { epoch: list.epoch, something: list.flags & SOMETHING != 0, entries })
    }

    /// Writes the body to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.list().encode(out)
    }

    const fn list(&self) -> List<'a> {
        let flags = if self.something { SOMETHING } else { 0 };
        List { flags, epoch: self.epoch, rows: self.entries.as_bytes() }
    }

    /// The body that tells the newest val of one key.
    #[must_use]
    pub fn one(epoch: Epoch, key: u16, head: u64) -> [u8; 20] {
        join([&List::head(0, 1, Some(epoch)), &Entry::new(key, head).to_row()])
    }

    /// The body that tells only that something is new.
    #[must_use]
    pub fn something(epoch: Epoch) -> [u8; List::LEN] {
        List::head(SOMETHING, 0, Some(epoch))
    }
}
