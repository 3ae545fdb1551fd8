use super::entries::length_of;
use super::{BodyError, Entries, Entry, VERSION, join, known, only};
use crate::sync::Epoch;
use crate::wire::{BufferTooSmall, fill};

/// "What is there after this?": the body of the request [`SYNC`](crate::sync::SYNC), read in place.
///
/// ```
/// use longlink::sync::{Epoch, Request, Row, SyncKeys};
///
/// let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
/// keys.read_text("1_651991553|2_651995902|1000_0")?;
/// let request = Request { all: true, epoch: Epoch::new(7), entries: keys.entries(), ..Request::DEFAULT };
/// let mut body = [0; 64];
/// let length = request.encode(&mut body)?;
/// assert_eq!(length, 16 + 2 * 12); // a key at 0 need not be told
/// assert_eq!(Request::decode(&body[..length])?.epoch, Epoch::new(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A device that has no cursor yet asks without an epoch, for all keys or for those it lists. The answer has no items: it
/// tells the epoch, and from where on they are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Keys that are not listed are wanted too, from 0. Otherwise the listed ones are all that is wanted, so that a device
    /// never gets more keys than it has room for.
    pub all: bool,
    /// The page before left something out, and this asks for it. For statistics only.
    pub continues: bool,
    /// The same was asked before, in vain. For statistics only.
    pub retries: bool,
    /// The epoch that the vals are of. `None` if the device has no cursor yet; then all vals count as 0.
    pub epoch: Option<Epoch>,
    /// So many items are taken at most, up to [`MAX_ITEMS`](Self::MAX_ITEMS); 0 counts as
    /// [`DEFAULT_ITEMS`](Self::DEFAULT_ITEMS).
    pub max_items: u16,
    /// For so many seconds an answer that would be empty may be held back. 0: it is wanted at once.
    pub hold: u16,
    /// The body of the answer has so many bytes at most: [`MIN_BYTES`](Self::MIN_BYTES) or more.
    pub max_bytes: u32,
    /// Up to where the device has everything. It may list a key at 0.
    pub entries: Entries<'a>,
}

/// Bits of the flags.
const ALL: u8 = 1 << 0;
const CONTINUE: u8 = 1 << 1;
const RETRY: u8 = 1 << 2;

impl<'a> Request<'a> {
    /// The length of what comes before the entries.
    pub const LEN: usize = 16;
    /// So many items are taken if no number is given.
    pub const DEFAULT_ITEMS: u16 = 100;
    /// No page has more items.
    pub const MAX_ITEMS: u16 = 512;
    /// A device has room for an answer of so many bytes: a head of 20, an entry of 12, and an item of 16 and 208.
    pub const MIN_BYTES: u32 = 256;
    /// Asks for no keys and without an epoch, as many items as usual in 64 KiB, at once.
    pub const DEFAULT: Self = Self {
        all: false,
        continues: false,
        retries: false,
        epoch: None,
        max_items: 0,
        hold: 0,
        max_bytes: 65_536,
        entries: Entries::EMPTY,
    };

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

    /// Writes the body to the start of `out` and returns its length.
    ///
    /// It always can be decoded: numbers beyond their limits are written as the limit, without an epoch every val as 0,
    /// and if all keys are wanted anyway those at 0 are left out.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let told = self.entries.map(|entry| Entry::new(entry.key, self.epoch.map_or(0, |_| entry.val)));
        let told = told.filter(|entry| entry.val > 0 || !self.all);
        let n = told.clone().fold(0_u16, |n, _| n.saturating_add(1));
        let required = Self::LEN.saturating_add(usize::from(n).saturating_mul(Entry::LEN));
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(Self::LEN));
        let Some((head, mut room)) = room else { return Err(BufferTooSmall { required }) };
        fill(head, &self.head(n))?;
        for entry in told {
            let Some((row, behind)) = room.split_first_chunk_mut() else { break };
            *row = entry.to_row();
            room = behind;
        }
        Ok(required)
    }

    /// What comes before the entries, if all of them follow as they are. For those who write a body in two parts.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; Request::LEN] {
        self.head(self.entries.n())
    }

    fn head(&self, n: u16) -> [u8; Request::LEN] {
        let bit = |set, bit| if set { bit } else { 0 };
        let flags = bit(self.all, ALL) | bit(self.continues, CONTINUE) | bit(self.retries, RETRY);
        join([
            &[VERSION, flags],
            &n.to_be_bytes(),
            &Epoch::to_wire(self.epoch).to_be_bytes(),
            &self.max_items.min(Self::MAX_ITEMS).to_be_bytes(),
            &self.hold.to_be_bytes(),
            &self.max_bytes.max(Self::MIN_BYTES).to_be_bytes(),
        ])
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

/// [`Request::DEFAULT`].
impl Default for Request<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}
