use super::{BodyError, Response, VERSION, join, known, only};
use crate::sync::Epoch;
use core::time::Duration;

/// "The bytes of this item, from here on": the body of the request [`FETCH`](crate::sync::FETCH).
///
/// An item too large for a page comes as a [stub](crate::sync::Item::is_stub). Whoever wants the rest gets it range by range
/// before the page is committed: what is acknowledged may be dropped. It may be asked for any number of times.
///
/// ```
/// use longlink::sync::{Epoch, Fetch};
///
/// let fetch = Fetch::new(2, Epoch::FIRST, 651_995_969, 4_096, 1_024);
/// assert_eq!(Fetch::decode(&fetch.to_bytes()), Ok(fetch));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fetch {
    /// The item's key.
    pub key: u16,
    /// The epoch that the val is of.
    pub epoch: Epoch,
    /// The item's val, never 0.
    pub val: u64,
    /// From which of its bytes on.
    pub offset: u32,
    /// The body of the answer has so many bytes at most: [`MIN_MAX`](Self::MIN_MAX) or more.
    pub max: u32,
}

/// What the server says to a [`Fetch`]: the body of its reply, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FetchReply<'a> {
    /// Whether there are bytes, or why not.
    pub status: FetchStatus,
    /// The whole length of the item, if the status is [`Ok`](FetchStatus::Ok).
    pub total: u32,
    /// Which of its bytes is the first here.
    pub offset: u32,
    /// With [`RetryLater`](FetchStatus::RetryLater), not to ask again for so long: whole milliseconds,
    /// [`Response::MAX_RETRY_AFTER`] at most.
    pub retry_after: Duration,
    /// The bytes from there on. None only if that is the end of the item, or with another status.
    pub bytes: &'a [u8],
}

/// How it is with an item that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FetchStatus {
    /// 0: here are its bytes.
    Ok,
    /// 1: it is gone.
    Gone,
    /// 2, and each status that this version does not know: later.
    RetryLater,
    /// 3: the request cannot be read.
    Bad,
    /// 4: the server does not know the device, or no longer.
    NotThisDevice,
    /// 5: the mailbox has another epoch.
    OtherEpoch,
}

impl Fetch {
    /// The length of the body.
    pub const LEN: usize = 24;
    /// A device has room for an answer of so many bytes: a head of 16, and 48.
    pub const MIN_MAX: u32 = 64;

    /// Asks for the bytes of an item from `offset` on, in a body of `max` bytes at most.
    #[must_use]
    pub const fn new(key: u16, epoch: Epoch, val: u64, offset: u32, max: u32) -> Self {
        Self { key, epoch, val, offset, max }
    }

    /// The body: version u8, flags u8, key u16, epoch u32, val u64, offset u32, max u32.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        join([
            &[VERSION, 0],
            &self.key.to_be_bytes(),
            &self.epoch.get().to_be_bytes(),
            &self.val.to_be_bytes(),
            &self.offset.to_be_bytes(),
            &self.max.to_be_bytes(),
        ])
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let wrong_length = BodyError::Length { length: body.len(), expected: Self::LEN };
        let body = <&[u8; Self::LEN]>::try_from(body).map_err(|_| wrong_length)?;
        let [version, flags, k1, k0, e3, e2, e1, e0, v7, v6, v5, v4, v3, v2, v1, v0, o3, o2, o1, o0, max @ ..] = *body;
        known(version)?;
        only(flags, 0)?;
        let key = u16::from_be_bytes([k1, k0]);
        let epoch = Epoch::new(u32::from_be_bytes([e3, e2, e1, e0])).ok_or(BodyError::NoEpoch)?;
        let val = u64::from_be_bytes([v7, v6, v5, v4, v3, v2, v1, v0]);
        let (offset, max) = (u32::from_be_bytes([o3, o2, o1, o0]), u32::from_be_bytes(max));
        if val == 0 {
            return Err(BodyError::ItemVal { key, val });
        }
        if max < Self::MIN_MAX {
            return Err(BodyError::MaxBytes { max_bytes: max, least: Self::MIN_MAX });
        }
        Ok(Self { key, epoch, val, offset, max })
    }

    /// So many bytes of an item are an answer to this.
    fn check(&self, total: u32, offset: u32, length: usize) -> Result<(), BodyError> {
        let body = FetchReply::LEN.saturating_add(length);
        let left = total.checked_sub(offset).map(|left| left as usize);
        if offset != self.offset {
            Err(BodyError::Offset { offset })
        } else if body > self.max as usize {
            Err(BodyError::TooLong { length: body })
        } else if left.is_none_or(|left| length > left) {
            Err(BodyError::Beyond { total })
        } else if length == 0 && left > Some(0) {
            Err(BodyError::NoProgress)
        } else {
            Ok(())
        }
    }
}

impl<'a> FetchReply<'a> {
    /// The length of what comes before the bytes.
    pub const LEN: usize = 16;

    /// A reply without bytes and without a delay.
    #[must_use]
    pub const fn new(status: FetchStatus) -> Self {
        Self { status, total: 0, offset: 0, retry_after: Duration::ZERO, bytes: &[] }
    }

    /// What comes before the bytes: version u8, status u8, reserved u16, total u32, offset u32, retry-after in milliseconds
    /// u32.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; FetchReply::LEN] {
        join([
            &[VERSION, self.status.to_byte(), 0, 0],
            &self.total.to_be_bytes(),
            &self.offset.to_be_bytes(),
            &crate::time::millis(self.retry_after).to_be_bytes(),
        ])
    }

    /// Reads the body of the reply to `fetch`.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &'a [u8], fetch: &Fetch) -> Result<Self, BodyError> {
        let too_short = BodyError::Length { length: body.len(), expected: Self::LEN };
        let (head, bytes) = body.split_first_chunk::<{ FetchReply::LEN }>().ok_or(too_short)?;
        let [version, code, r1, r0, t3, t2, t1, t0, o3, o2, o1, o0, retry_after_ms @ ..] = *head;
        known(version)?;
        only(u16::from_be_bytes([r1, r0]), 0)?;
        let status = FetchStatus::from_byte(code);
        let (total, offset) = (u32::from_be_bytes([t3, t2, t1, t0]), u32::from_be_bytes([o3, o2, o1, o0]));
        let retry_after_ms = u32::from_be_bytes(retry_after_ms);
        if status != FetchStatus::RetryLater && retry_after_ms > 0 {
            return Err(BodyError::RetryAfter { retry_after_ms });
        }
        if status == FetchStatus::Ok {
            fetch.check(total, offset, bytes.len())?;
        } else if !bytes.is_empty() {
            return Err(BodyError::Length { length: body.len(), expected: Self::LEN });
        }
        // A status that is not known may mean something else by it.
        let delay = if code == FetchStatus::RetryLater.to_byte() { retry_after_ms } else { 0 };
        let retry_after = Duration::from_millis(delay.into()).min(Response::MAX_RETRY_AFTER);
        Ok(Self { status, total, offset, retry_after, bytes })
    }
}

impl FetchStatus {
    /// The status on the wire.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Gone => 1,
            Self::RetryLater => 2,
            Self::Bad => 3,
            Self::NotThisDevice => 4,
            Self::OtherEpoch => 5,
        }
    }

    const fn from_byte(status: u8) -> Self {
        match status {
            0 => Self::Ok,
            1 => Self::Gone,
            3 => Self::Bad,
            4 => Self::NotThisDevice,
            5 => Self::OtherEpoch,
            _ => Self::RetryLater,
        }
    }
}
