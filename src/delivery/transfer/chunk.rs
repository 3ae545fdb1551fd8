use super::body::{join, words};
use super::{BodyError, Range};
use crate::wire::{BufferTooSmall, fill};
use core::{error::Error, fmt, num::NonZeroU32};

/// A part of a payload on its way: the body of the request [`CHUNK`](super::CHUNK), read in place.
///
/// It has a byte at least and ends within the payload that it gives the length of. Whether it is a chunk of an open
/// transfer is for [`Assembly::check`](super::Assembly::check) to say.
///
/// ```
/// use longlink::delivery::transfer::{Chunk, Handle};
///
/// let chunk = Chunk::new(Handle::FIRST, 1_500, 1_504, b"last")?;
/// let mut body = [0; 64];
/// let length = chunk.encode_into(&mut body).unwrap();
/// assert_eq!(Chunk::decode(&body[..length]), Ok(chunk));
/// # Ok::<(), longlink::delivery::transfer::BodyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    place: Place,
    bytes: &'a [u8],
}

/// Where a chunk belongs: all of it but the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    pub(super) handle: Handle,
    pub(super) total: u32,
    pub(super) range: Range,
}

/// The server's number for an open transfer. Good on the link on which it was said, so that a later server, or another
/// one, may count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handle(NonZeroU32);

/// What the server says to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChunkReply {
    /// An empty body: it is there, but perhaps not for long. Only [`Status::Complete`](super::Status::Complete) is.
    Buffered,
    /// 4 bytes: it was not taken.
    Refused(ChunkRefusal),
}

/// Why a chunk is not taken: the body of such a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ChunkRefusal {
    /// 1: the body is none of a chunk.
    Malformed,
    /// 2: no open transfer has this handle, or no longer: open it again.
    UnknownHandle,
    /// 3: another length, another total, or not where a chunk begins.
    Contradicts,
    /// 4: there is no room for it now.
    Quota,
    /// A code that this version does not know; counts as [`Quota`](Self::Quota).
    Unknown(u16),
}

impl<'a> Chunk<'a> {
    /// The length of what comes before the bytes.
    pub const HEADER_LEN: usize = 12;

    /// The bytes from `offset` on of a payload of `total` bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if there are none, or if they end beyond the payload.
    pub fn new(handle: Handle, offset: u32, total: u32, bytes: &'a [u8]) -> Result<Self, BodyError> {
        if bytes.is_empty() {
            return Err(BodyError::Length { length: Self::HEADER_LEN, expected: Self::HEADER_LEN.saturating_add(1) });
        }
        let range = u32::try_from(bytes.len()).ok().and_then(|length| Range::new(offset, length));
        let range = range.filter(|range| range.end() <= total).ok_or(BodyError::Beyond { offset, total })?;
        Ok(Self { place: Place { handle, total, range }, bytes })
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong. The answer is [`ChunkRefusal::Malformed`].
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let too_short = BodyError::Length { length: body.len(), expected: Self::HEADER_LEN.saturating_add(1) };
        let ([handle, offset, total], bytes) = words(body).ok_or(too_short)?;
        Self::new(Handle::new(handle).ok_or(BodyError::NoHandle)?, offset, total, bytes)
    }

    /// Writes the body to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let required = Self::HEADER_LEN.saturating_add(self.bytes.len());
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(Self::HEADER_LEN));
        let Some((header, bytes)) = room else { return Err(BufferTooSmall { required }) };
        fill(header, &self.place.header())?;
        fill(bytes, self.bytes)?;
        Ok(required)
    }

    /// Of which transfer.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.place.handle
    }

    /// Where in the payload.
    #[must_use]
    pub const fn range(&self) -> Range {
        self.place.range
    }

    /// The length of the payload, as the sender has it.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.place.total
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Chunk<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Chunk({})", self.place);
    }
}

impl Place {
    /// Of which transfer.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Where in the payload: which bytes to read.
    #[must_use]
    pub const fn range(&self) -> Range {
        self.range
    }

    /// The chunk with its bytes; `None` if they are not as many.
    #[must_use]
    pub fn with<'a>(&self, bytes: &'a [u8]) -> Option<Chunk<'a>> {
        (u32::try_from(bytes.len()) == Ok(self.range.length())).then_some(Chunk { place: *self, bytes })
    }

    /// What comes before the bytes: handle u32, offset u32, total u32. For those who write a body in two parts.
    #[must_use]
    pub fn header(&self) -> [u8; Chunk::HEADER_LEN] {
        let words = [self.handle.get(), self.range.offset(), self.total].map(u32::to_be_bytes);
        join([words.as_flattened()])
    }
}

impl Handle {
    /// 1.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0, which names nothing.
    #[must_use]
    pub const fn new(handle: u32) -> Option<Self> {
        match NonZeroU32::new(handle) {
            Some(handle) => Some(Self(handle)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after it; behind the last comes the first.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(next) => Self(next),
            None => Self::FIRST,
        }
    }
}

impl ChunkReply {
    /// Reads the body of a reply.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if it is neither empty nor a refusal.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        match *body {
            [] => Ok(Self::Buffered),
            [c1, c0, r1, r0] => match (u16::from_be_bytes([c1, c0]), u16::from_be_bytes([r1, r0])) {
                (0, _) => Err(BodyError::Code { code: 0 }),
                (code, 0) => Ok(Self::Refused(ChunkRefusal::from_code(code))),
                (_, reserved) => Err(BodyError::Reserved { reserved: reserved.into() }),
            },
            _ => Err(BodyError::Length { length: body.len(), expected: ChunkRefusal::LEN }),
        }
    }
}

impl ChunkRefusal {
    /// The length of the body.
    pub const LEN: usize = 4;

    /// The body: code u16, reserved u16.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [c1, c0] = self.code().to_be_bytes();
        [c1, c0, 0, 0]
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Malformed => 1,
            Self::UnknownHandle => 2,
            Self::Contradicts => 3,
            Self::Quota => 4,
            Self::Unknown(code) => code,
        }
    }

    const fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::UnknownHandle,
            3 => Self::Contradicts,
            4 => Self::Quota,
            code => Self::Unknown(code),
        }
    }
}

/// A body that cannot be read is refused as malformed.
impl From<BodyError> for ChunkRefusal {
    fn from(_: BodyError) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for ChunkRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("malformed chunk"),
            Self::UnknownHandle => f.write_str("no transfer has this handle"),
            Self::Contradicts => f.write_str("not a chunk of this transfer"),
            Self::Quota => f.write_str("no room for the chunk"),
            Self::Unknown(code) => write!(f, "chunk refused with code {code}"),
        }
    }
}

impl Error for ChunkRefusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_what_it_was_after_the_wire() {
        let mut out = [0xEE; 20];
        let chunk = Chunk::new(Handle::FIRST, 0x0102_0304, 0x0A0B_0C0D, b"bytes").unwrap();
        assert_eq!(chunk.encode_into(&mut out), Ok(17));
        assert_eq!(out, *b"\0\0\0\x01\x01\x02\x03\x04\x0A\x0B\x0C\x0Dbytes\xEE\xEE\xEE");
        assert_eq!(Chunk::decode(&out[..17]), Ok(chunk));
        assert_eq!(chunk.encode_into(&mut out[..16]), Err(BufferTooSmall { required: 17 }));
    }

    #[test]
    fn a_chunk_without_bytes_handle_or_end_within_its_payload_is_none() {
        let length = |length| Err(BodyError::Length { length, expected: 13 });
        assert_eq!(Chunk::decode(&[0; 11]), length(11));
        assert_eq!(Chunk::decode(b"\0\0\0\x01\0\0\0\0\0\0\0\x05"), length(12));
        assert_eq!(Chunk::decode(&[0; 13]), Err(BodyError::NoHandle));
        let beyond = |offset, total| Err(BodyError::Beyond { offset, total });
        assert_eq!(Chunk::new(Handle::FIRST, 5, 8, b"four"), beyond(5, 8));
        assert_eq!(Chunk::new(Handle::FIRST, u32::MAX, u32::MAX, b"x"), beyond(u32::MAX, u32::MAX));
        assert!(Chunk::new(Handle::FIRST, u32::MAX - 1, u32::MAX, b"x").is_ok());
    }

    #[test]
    fn a_reply_to_a_chunk_is_empty_or_a_refusal_with_a_reason() {
        assert_eq!(ChunkReply::decode(&[]), Ok(ChunkReply::Buffered));
        for code in 1..=u16::MAX {
            let refusal = ChunkRefusal::from_code(code);
            assert_eq!(ChunkReply::decode(&refusal.to_bytes()), Ok(ChunkReply::Refused(refusal)));
        }
        assert_eq!(ChunkReply::decode(&[0; 4]), Err(BodyError::Code { code: 0 }));
        assert_eq!(ChunkReply::decode(&[0, 2, 0, 1]), Err(BodyError::Reserved { reserved: 1 }));
        assert_eq!(ChunkReply::decode(&[0, 2]), Err(BodyError::Length { length: 2, expected: 4 }));
    }

    #[test]
    fn handles_never_reach_zero() {
        assert_eq!(Handle::new(0), None);
        assert_eq!(Handle::new(u32::MAX).map(Handle::next), Some(Handle::FIRST));
    }
}
