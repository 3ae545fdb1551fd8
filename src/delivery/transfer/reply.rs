use super::body::{join, words};
use super::{BodyError, Handle, Open, Range, Ranges};
use crate::wire::{BufferTooSmall, fill};
use core::time::Duration;

/// What the server says of a transfer: an [`Answer`] and the first ranges that are missing. The body of the reply to
/// [`OPEN`](super::OPEN), read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OpenReply<'a> {
    answer: Answer,
    ranges: Ranges<'a>,
}

/// The fixed part of an [`OpenReply`], and by itself the whole of one that lists nothing.
///
/// ```
/// use core::time::Duration;
/// use longlink::delivery::transfer::{Answer, Key, Open, OpenReply, Status};
///
/// let busy = Answer::new(Status::Busy).with_retry_after(Duration::from_secs(30));
/// let open = Open::new(Key([7; 16]), 10_000, 0x1234_5678);
/// let body = busy.to_bytes();
/// let reply = OpenReply::decode(&body, &open)?;
/// assert_eq!((reply.answer(), reply.ranges().count()), (busy, 0));
/// # Ok::<(), longlink::delivery::transfer::BodyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answer {
    status: Status,
    handle: Option<Handle>,
    missing: u32,
    retry_after_ms: u32,
}

/// How it is with a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Status {
    /// 0: send what is missing. If nothing is: it is all there, but not yet safe; ask again.
    Go,
    /// 1: all there, the checksum is right, and it is stored to stay.
    Complete,
    /// 2: longer than this server ever takes.
    TooLarge,
    /// 3: this device has too many open, or too many bytes in them: later.
    TooMany,
    /// 4: the key is known with another total, chunk length or checksum.
    Contradicts,
    /// 5: the key is not known, or no longer. Never said to [`Op::Open`](super::Op::Open).
    UnknownKey,
    /// 6: all came, and the checksum was wrong. All of it is dropped: start again.
    WrongCrc,
    /// 7: later.
    Busy,
    /// A status that this version does not know; counts as [`Busy`](Self::Busy).
    Unknown(u8),
}

impl<'a> OpenReply<'a> {
    /// A reply lists so many ranges at most.
    pub const MAX_RANGES: usize = 32;

    /// Reads the body of the reply to `open`. What its ranges say is certain then: they are ascending, disjoint, of
    /// whole chunks and within the payload, and there is one if a chunk is missing.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &'a [u8], open: &Open) -> Result<Self, BodyError> {
        let at_least = BodyError::Length { length: body.len(), expected: Answer::LEN };
        let ([first, handle, missing, retry_after_ms], bytes) = words(body).ok_or(at_least)?;
        let [version, status, n1, n0] = first.to_be_bytes();
        if version != Answer::VERSION {
            return Err(BodyError::Version { version });
        }
        let ranges = u16::from_be_bytes([n1, n0]);
        let listed = usize::from(ranges).saturating_mul(Ranges::ONE);
        if bytes.len() != listed {
            let expected = Answer::LEN.saturating_add(listed);
            return Err(BodyError::Length { length: body.len(), expected });
        }
        let answer = Answer { status: Status::from_byte(status), handle: Handle::new(handle), missing, retry_after_ms };
        let most = if answer.status == Status::Go { Self::MAX_RANGES } else { 0 };
        let some_are_missing = answer.status == Status::Go && missing > 0;
        if usize::from(ranges) > most || ranges == 0 && some_are_missing {
            return Err(BodyError::Count { ranges });
        }
        if answer.status == Status::Go && answer.handle.is_none() {
            return Err(BodyError::NoHandle);
        }
        let (ranges, chunks) = open.ranges(bytes)?;
        if answer.status == Status::Go && !(chunks..=open.chunks()).contains(&missing) {
            return Err(BodyError::Missing { missing });
        }
        Ok(Self { answer, ranges })
    }

    /// All but the ranges.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        self.answer
    }

    /// The first ranges that are missing.
    #[must_use]
    pub const fn ranges(&self) -> Ranges<'a> {
        self.ranges
    }
}

impl Answer {
    /// The length of the body without ranges.
    pub const LEN: usize = 16;
    /// The longest that a server may ask to wait; more counts as this, so that no forged number stops a transfer.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
    const VERSION: u8 = 1;

    /// An answer that names no transfer. For [`Status::Go`], which has to name one, see [`go`](Self::go).
    #[must_use]
    pub const fn new(status: Status) -> Self {
        Self { status, handle: None, missing: 0, retry_after_ms: 0 }
    }

    /// "Send what is missing": so many chunks in all, under this handle.
    #[must_use]
    pub const fn go(handle: Handle, missing: u32) -> Self {
        Self { status: Status::Go, handle: Some(handle), missing, retry_after_ms: 0 }
    }

    /// "It is all there": nothing is missing, and nothing will be asked for again.
    #[must_use]
    pub const fn complete(handle: Handle) -> Self {
        Self { status: Status::Complete, ..Self::go(handle, 0) }
    }

    /// The same, and not to ask again before `retry_after`: whole milliseconds,
    /// [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER) at most.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after_ms: crate::time::millis(retry_after.min(Self::MAX_RETRY_AFTER)), ..self }
    }

    /// How it is with the transfer.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What chunks have to name, on this link; there is one with [`Status::Go`].
    #[must_use]
    pub const fn handle(&self) -> Option<Handle> {
        self.handle
    }

    /// How many chunks are missing in all, listed or not.
    #[must_use]
    pub const fn missing(&self) -> u32 {
        self.missing
    }

    /// Not to ask again for so long: whole milliseconds, [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER) at most.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after_ms.into()).min(Self::MAX_RETRY_AFTER)
    }

    /// The body without ranges: version u8, status u8, number of ranges u16, handle u32, missing u32, retry-after in
    /// milliseconds u32.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        self.head(0)
    }

    /// Writes the body with the first of `ranges`: as many as `out` has room for, and 32 at most. Returns its length.
    /// Only a [`Status::Go`] has ranges; they have to be ascending, disjoint and of whole chunks.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if there is no room for the first of them; `out` is untouched then.
    pub fn encode(&self, ranges: impl IntoIterator<Item = Range>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let most = if self.status == Status::Go { OpenReply::MAX_RANGES } else { 0 };
        let mut ranges = ranges.into_iter().take(most).peekable();
        let least = if ranges.peek().is_some() { Ranges::ONE } else { 0 };
        let required = Self::LEN.saturating_add(least);
        if out.len() < required {
            return Err(BufferTooSmall { required });
        }
        let mut count = 0_u16;
        let (head, mut room) = out.split_at_mut_checked(Self::LEN).ok_or(BufferTooSmall { required })?;
        while let Some((place, behind)) = room.split_at_mut_checked(Ranges::ONE) {
            let Some(range) = ranges.next() else { break };
            fill(place, range.to_bytes().as_flattened())?;
            count = count.saturating_add(1);
            room = behind;
        }
        fill(head, &self.head(count))?;
        Ok(Self::LEN.saturating_add(usize::from(count).saturating_mul(Ranges::ONE)))
    }

    fn head(&self, ranges: u16) -> [u8; Self::LEN] {
        let [n1, n0] = ranges.to_be_bytes();
        let handle = self.handle.map_or(0, Handle::get).to_be_bytes();
        let (missing, retry_after) = (self.missing.to_be_bytes(), self.retry_after_ms.to_be_bytes());
        join([&[Self::VERSION, self.status.to_byte(), n1, n0], &handle, &missing, &retry_after])
    }
}

impl Status {
    /// The status on the wire.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::Complete => 1,
            Self::TooLarge => 2,
            Self::TooMany => 3,
            Self::Contradicts => 4,
            Self::UnknownKey => 5,
            Self::WrongCrc => 6,
            Self::Busy => 7,
            Self::Unknown(status) => status,
        }
    }

    const fn from_byte(status: u8) -> Self {
        match status {
            0 => Self::Go,
            1 => Self::Complete,
            2 => Self::TooLarge,
            3 => Self::TooMany,
            4 => Self::Contradicts,
            5 => Self::UnknownKey,
            6 => Self::WrongCrc,
            7 => Self::Busy,
            status => Self::Unknown(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::transfer::Key;
    use std::vec::Vec;

    const OPEN: Open = Open::new(Key([7; 16]), 100_000, 0); // 67 chunks
    const HANDLE: Handle = Handle::FIRST;

    /// The chunk `n`, alone.
    fn chunk(n: u32) -> Range {
        OPEN.chunk_at(1_500_u32.saturating_mul(n)).unwrap()
    }

    #[test]
    fn a_reply_is_what_it_was_after_the_wire() {
        let mut out = [0xEE; 40];
        let answer = Answer::go(HANDLE, 3).with_retry_after(Duration::from_micros(1_500_999));
        let length = answer.encode([chunk(0), chunk(66)], &mut out).unwrap();
        assert_eq!(out[..16], [1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 5, 0xDC]);
        assert_eq!(out[16..32], [0, 0, 0, 0, 0, 0, 5, 0xDC, 0, 1, 0x82, 0xB8, 0, 0, 3, 0xE8]);
        assert_eq!((length, out[32]), (32, 0xEE));
        let reply = OpenReply::decode(&out[..length], &OPEN).unwrap();
        assert_eq!(reply.answer(), answer);
        assert_eq!(reply.ranges().collect::<Vec<_>>(), [chunk(0), chunk(66)]);
        for status in 1..=u8::MAX {
            let answer = Answer::new(Status::from_byte(status));
            assert_eq!(OpenReply::decode(&answer.to_bytes(), &OPEN).map(|reply| reply.answer()), Ok(answer));
        }
    }

    #[test]
    fn as_many_ranges_are_written_as_fit_and_one_at_least() {
        let mut out = [0; 400];
        let go = Answer::go(HANDLE, 67);
        let every_other = || (0..67).step_by(2).map(chunk);
        assert_eq!(go.encode(every_other(), &mut out), Ok(16 + 32 * 8));
        assert_eq!(OpenReply::decode(&out[..272], &OPEN).unwrap().ranges().count(), 32);
        assert_eq!(go.encode(every_other(), &mut out[..47]), Ok(40));
        assert_eq!(go.encode(every_other(), &mut out[..23]), Err(BufferTooSmall { required: 24 }));
        assert_eq!(go.encode([], &mut out[..16]), Ok(16));
        assert_eq!(go.encode([], &mut out[..15]), Err(BufferTooSmall { required: 16 }));
        assert_eq!(Answer::new(Status::Complete).encode(every_other(), &mut out), Ok(16), "lists nothing");
    }

    #[track_caller]
    fn refused(answer: Answer, ranges: &[(u32, u32)], expected: BodyError) {
        let mut out = [0; 400];
        let ranges = ranges.iter().map(|&(offset, length)| Range::new(offset, length).unwrap());
        let length = answer.encode(ranges, &mut out).unwrap();
        assert_eq!(OpenReply::decode(&out[..length], &OPEN), Err(expected));
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let go = |missing| Answer::go(HANDLE, missing);
        for (offset, length) in [(0, 0), (1, 1_500), (1_500, 1_499), (99_000, 1_001), (100_500, 1_500), (1_500, 1_500)]
        {
            refused(go(67), &[(0, 3_000), (offset, length)], BodyError::Range { offset, length });
        }
        refused(go(1), &[(0, 3_000)], BodyError::Missing { missing: 1 });
        refused(go(68), &[(0, 3_000)], BodyError::Missing { missing: 68 });
        refused(go(1), &[], BodyError::Count { ranges: 0 });
        refused(Answer::new(Status::Go), &[], BodyError::NoHandle);
    }

    #[test]
    fn another_length_version_or_number_of_ranges_is_no_reply() {
        let mut body = [0; 16 + 33 * 8];
        body[..16].copy_from_slice(&Answer::new(Status::Complete).to_bytes());
        let length = |length, expected| Err(BodyError::Length { length, expected });
        assert_eq!(OpenReply::decode(&body[..15], &OPEN), length(15, 16));
        assert_eq!(OpenReply::decode(&body[..17], &OPEN), length(17, 16));
        body[3] = 1;
        assert_eq!(OpenReply::decode(&body[..16], &OPEN), length(16, 24));
        assert_eq!(OpenReply::decode(&body[..24], &OPEN), Err(BodyError::Count { ranges: 1 }), "of a complete one");
        (body[1], body[3]) = (0, 33);
        assert_eq!(OpenReply::decode(&body, &OPEN), Err(BodyError::Count { ranges: 33 }));
        body[0] = 2;
        assert_eq!(OpenReply::decode(&body, &OPEN), Err(BodyError::Version { version: 2 }));
    }

    #[test]
    fn a_forged_delay_stops_no_transfer_for_more_than_an_hour() {
        let mut body = Answer::new(Status::Busy).to_bytes();
        body[12..].fill(0xFF);
        let forged = OpenReply::decode(&body, &OPEN).unwrap().answer();
        assert_eq!(forged.retry_after(), Answer::MAX_RETRY_AFTER);
        let ours = Answer::new(Status::Busy).with_retry_after(Duration::MAX);
        assert_eq!(ours.retry_after(), Answer::MAX_RETRY_AFTER);
    }
}
