use super::entries::length_of;
use super::{BodyError, Entries, Entry, VERSION, join, known, only};
use crate::sync::Epoch;

/// "I have stored this": the body of the one-way frame [`SYNC_DONE`](crate::sync::SYNC_DONE), and what a
/// [cursor](crate::sync::SyncKeys::encode) is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ack<'a> {
    /// The epoch that the vals are of.
    pub epoch: Epoch,
    /// Everything of these keys up to these vals is stored.
    pub entries: Entries<'a>,
}

/// "Something is new": the body of the one-way frame [`NOTIFY`](crate::sync::NOTIFY). Only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Notify<'a> {
    /// The epoch that the vals are of; `None` if none are given.
    pub epoch: Option<Epoch>,
    /// Something is new that is not among the entries.
    pub something: bool,
    /// The newest vals of these keys.
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

    /// What comes before the entries.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; List::LEN] {
        List::head(0, self.entries.n(), Some(self.epoch))
    }
}

impl<'a> Notify<'a> {
    /// The length of what comes before the entries.
    pub const LEN: usize = List::LEN;
    /// "Something is new", and no more is said.
    const BARE: Self = Self { epoch: None, something: true, entries: Entries::EMPTY };

    /// Reads a body. One of another length than its fields say tells that something is new, and no more: servers of this
    /// family send such.
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

    /// What comes before the entries.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; List::LEN] {
        List::head(if self.something { SOMETHING } else { 0 }, self.entries.n(), self.epoch)
    }

    /// The body that tells the newest val of one key.
    #[must_use]
    pub fn one(epoch: Epoch, key: u16, head: u64) -> [u8; 20] {
        join([&List::head(0, 1, Some(epoch)), &Entry::new(key, head).to_row()])
    }

    /// The body that tells only that something is new.
    #[must_use]
    pub fn something(epoch: Epoch) -> [u8; 8] {
        List::head(SOMETHING, 0, Some(epoch))
    }
}
