use super::entries::length_of;
use super::{BodyError, Entries, VERSION, join, known, only};
use crate::sync::Epoch;
use crate::wire::{BufferTooSmall, fill};

/// "What is there after this?": the body of the request [`SYNC`](crate::sync::SYNC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Keys that are not listed are wanted too, from 0. Otherwise only those that are listed.
    pub all: bool,
    /// The page before said that there is more. For statistics only.
    pub continues: bool,
    /// The same was asked before, in vain. For statistics only.
    pub retries: bool,
    /// The epoch that the vals are of. `None` if the device has no cursor yet; all vals are 0 then.
    pub epoch: Option<Epoch>,
    /// So many items are taken at most, up to [`MAX_ITEMS`](Self::MAX_ITEMS); 0 counts as
    /// [`DEFAULT_ITEMS`](Self::DEFAULT_ITEMS).
    pub max_items: u16,
    /// So many seconds an answer may wait that would be empty. 0: answer at once.
    pub hold: u16,
    /// The body of the answer is no longer, [`MIN_BYTES`](Self::MIN_BYTES) at least.
    pub max_bytes: u32,
    /// The keys with the vals up to which the device has everything. With [`all`](Self::all), those at 0 may be left
    /// out.
    pub entries: Entries<'a>,
}

/// Bits of the flags.
const ALL: u8 = 1 << 0;
const CONTINUE: u8 = 1 << 1;
const RETRY: u8 = 1 << 2;

impl<'a> Request<'a> {
    /// The length of what comes before the entries.
    pub const LEN: usize = 16;
    /// How many items are taken if nothing is said.
    pub const DEFAULT_ITEMS: u16 = 100;
    /// More items are in no answer.
    pub const MAX_ITEMS: u16 = 512;
    /// A device has room for an answer of so many bytes: its head, an entry, and an item of 208 bytes.
    pub const MIN_BYTES: u32 = 256;

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let too_short = BodyError::Length { length: body.len(), expected: Self::LEN };
        let (head, rows) = body.split_first_chunk::<{ Request::LEN }>().ok_or(too_short)?;
        let [version, flags, n1, n0, e3, e2, e1, e0, m1, m0, h1, h0, max_bytes @ ..] = *head;
        known(version)?;
        only(flags, (ALL | CONTINUE | RETRY).into())?;
        let length = length_of(u16::from_be_bytes([n1, n0]))?;
        if rows.len() != length {
            return Err(BodyError::Length { length: body.len(), expected: Self::LEN.saturating_add(length) });
        }
        let request = Self {
            all: flags & ALL != 0,
            continues: flags & CONTINUE != 0,
            retries: flags & RETRY != 0,
            epoch: Epoch::new(u32::from_be_bytes([e3, e2, e1, e0])),
            max_items: u16::from_be_bytes([m1, m0]),
            hold: u16::from_be_bytes([h1, h0]),
            max_bytes: u32::from_be_bytes(max_bytes),
            entries: Entries::read(rows, 0)?,
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), BodyError> {
        if self.max_items > Self::MAX_ITEMS {
            return Err(BodyError::MaxItems { max_items: self.max_items });
        }
        if self.max_bytes < Self::MIN_BYTES {
            return Err(BodyError::MaxBytes { max_bytes: self.max_bytes, least: Self::MIN_BYTES });
        }
        let mut entries = self.entries;
        match entries.find(|entry| entry.val > 0) {
            Some(entry) if self.epoch.is_none() => Err(BodyError::ValWithoutEpoch { key: entry.key, val: entry.val }),
            _ => Ok(()),
        }
    }

    /// What comes before the entries.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; Request::LEN] {
        let bit = |set, bit| if set { bit } else { 0 };
        let flags = bit(self.all, ALL) | bit(self.continues, CONTINUE) | bit(self.retries, RETRY);
        join([
            &[VERSION, flags],
            &self.entries.n().to_be_bytes(),
            &Epoch::to_wire(self.epoch).to_be_bytes(),
            &self.max_items.to_be_bytes(),
            &self.hold.to_be_bytes(),
            &self.max_bytes.to_be_bytes(),
        ])
    }

    /// Writes the body to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let rows = self.entries.as_bytes();
        let required = Self::LEN.saturating_add(rows.len());
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(Self::LEN));
        let Some((head, behind)) = room else { return Err(BufferTooSmall { required }) };
        fill(head, &self.encode_fixed())?;
        fill(behind, rows)?;
        Ok(required)
    }

    /// How many items are taken at most, from 1 to [`MAX_ITEMS`](Self::MAX_ITEMS).
    #[must_use]
    pub const fn items(&self) -> u16 {
        match self.max_items {
            0 => Self::DEFAULT_ITEMS,
            items if items > Self::MAX_ITEMS => Self::MAX_ITEMS,
            items => items,
        }
    }
}
