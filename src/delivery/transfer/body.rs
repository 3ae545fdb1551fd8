use super::Range;
use super::ranges::Ranges;
use core::{error::Error, fmt};

/// Opens a transfer or resumes it, asks about it, or gives it up: the body of the request [`OPEN`](super::OPEN).
///
/// The same body does for a new transfer, for one that the server knows and for one that it forgot: the reply says what
/// is missing. It is also all that a sender has to keep to go on after a restart, beside the payload itself: write
/// [`to_bytes`](Self::to_bytes) down before the first chunk goes out.
///
/// ```
/// use longlink::delivery::transfer::{Key, Open};
///
/// let open = Open::new(Key([7; 16]), 10_000, 0x1234_5678).with_chunk(1_000)?;
/// assert_eq!(open.chunks(), 10);
/// assert_eq!(Open::decode(&open.to_bytes()), Ok(open));
/// # Ok::<(), longlink::delivery::transfer::BodyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Open {
    key: Key,
    op: Op,
    chunk: u16,
    total: u32,
    crc: u32,
}

/// The name of a transfer: 16 bytes, drawn at random by the sender and never used for another payload.
///
/// It means something only within the account and device that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Key(pub [u8; 16]);

/// What an [`Open`] asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Op {
    /// 0: go on with it; begin it if it is not known.
    #[default]
    Open,
    /// 1: how far is it? Begins nothing: a key that is not known is answered so.
    Status,
    /// 2: drop all of it.
    Abort,
}

impl Open {
    /// The length of the body.
    pub const LEN: usize = 32;
    /// A chunk of fewer bytes is refused: its headers would be the larger part of the work.
    pub const SMALLEST_CHUNK: u16 = 256;
    /// About one segment of TCP, as messengers send it.
    pub const DEFAULT_CHUNK: u16 = 1_500;
    const VERSION: u8 = 1;

    /// A payload of `total` bytes whose CRC-32C is `crc`, in chunks of [`DEFAULT_CHUNK`](Self::DEFAULT_CHUNK) bytes.
    ///
    /// The checksum is the application's to compute, on both sides. It finds accidents, not attacks.
    #[must_use]
    pub const fn new(key: Key, total: u32, crc: u32) -> Self {
        Self { key, op: Op::Open, chunk: Self::DEFAULT_CHUNK, total, crc }
    }

    /// The same in chunks of another length, for as long as the key lives. All but the last are as long.
    ///
    /// # Errors
    ///
    /// [`BodyError::ChunkLength`] below [`SMALLEST_CHUNK`](Self::SMALLEST_CHUNK).
    pub const fn with_chunk(self, chunk: u16) -> Result<Self, BodyError> {
        if chunk < Self::SMALLEST_CHUNK { Err(BodyError::ChunkLength { chunk }) } else { Ok(Self { chunk, ..self }) }
    }

    /// The same transfer, asked something else.
    #[must_use]
    pub const fn with_op(self, op: Op) -> Self {
        Self { op, ..self }
    }

    /// The longest chunk that fits a peer's frames of `max_frame` bytes with a header of `header_len`; `None` if not
    /// even the smallest does.
    #[must_use]
    pub fn longest_chunk(max_frame: u32, header_len: usize) -> Option<u16> {
        let around = header_len.saturating_add(super::Chunk::HEADER_LEN);
        let body = max_frame.saturating_sub(u32::try_from(around).unwrap_or(u32::MAX));
        Some(u16::try_from(body).unwrap_or(u16::MAX)).filter(|chunk| *chunk >= Self::SMALLEST_CHUNK)
    }

    /// The name of the transfer.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// What is asked for.
    #[must_use]
    pub const fn op(&self) -> Op {
        self.op
    }

    /// The length of every chunk but the last.
    #[must_use]
    pub const fn chunk(&self) -> u16 {
        self.chunk
    }

    /// The length of the payload.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// The CRC-32C of the payload.
    #[must_use]
    pub const fn crc(&self) -> u32 {
        self.crc
    }

    /// How many chunks the payload has; 0 for an empty one.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.chunks_in(self.total)
    }

    /// The body: version u8, op u8, chunk u16, total u32, CRC u32, reserved u32, key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let op = match self.op {
            Op::Open => 0,
            Op::Status => 1,
            Op::Abort => 2,
        };
        let [c1, c0] = self.chunk.to_be_bytes();
        let (total, crc) = (self.total.to_be_bytes(), self.crc.to_be_bytes());
        join([&[Self::VERSION, op, c1, c0], &total, &crc, &[0; 4], &self.key.0])
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        let wrong_length = BodyError::Length { length: body.len(), expected: Self::LEN };
        let ([first, total, crc, reserved], key) = words(body).ok_or(wrong_length)?;
        let key = <[u8; 16]>::try_from(key).map_err(|_| wrong_length)?;
        let [version, op, c1, c0] = first.to_be_bytes();
        if version != Self::VERSION {
            return Err(BodyError::Version { version });
        }
        let op = match op {
            0 => Op::Open,
            1 => Op::Status,
            2 => Op::Abort,
            op => return Err(BodyError::Op { op }),
        };
        if reserved != 0 {
            return Err(BodyError::Reserved { reserved });
        }
        Self { op, ..Self::new(Key(key), total, crc) }.with_chunk(u16::from_be_bytes([c1, c0]))
    }

    /// `true` if both say the same of the payload, whatever they ask for.
    pub(super) fn is_same_payload(&self, other: &Self) -> bool {
        *self == other.with_op(self.op)
    }

    /// The chunk that begins there.
    pub(super) fn chunk_at(&self, offset: u32) -> Option<Range> {
        let begins = offset.checked_rem(self.chunk.into()) == Some(0);
        let end = offset.saturating_add(self.chunk.into()).min(self.total);
        if begins { Range::between(offset, end) } else { None }
    }

    /// So many chunks are in so many bytes, if these are whole chunks.
    pub(super) fn chunks_in(&self, bytes: u32) -> u32 {
        let chunk = u32::from(self.chunk);
        let last = u32::from(bytes.checked_rem(chunk).is_some_and(|rest| rest > 0));
        bytes.checked_div(chunk).unwrap_or_default().saturating_add(last)
    }

    /// The ranges in `bytes`, and of how many chunks they are. Each begins where a chunk does, ends where one does, and
    /// is behind the one before.
    pub(super) fn ranges<'a>(&self, bytes: &'a [u8]) -> Result<(Ranges<'a>, u32), BodyError> {
        let (mut chunks, mut behind) = (0_u32, 0);
        let mut rest = bytes;
        while let Some(([offset, length], others)) = words(rest) {
            let wrong = BodyError::Range { offset, length };
            let range = Range::new(offset, length).ok_or(wrong)?;
            let begins = offset >= behind && self.chunk_at(offset).is_some();
            let ends = range.end() == self.total || self.chunk_at(range.end()).is_some();
            if range.is_empty() || !begins || !ends {
                return Err(wrong);
            }
            chunks = chunks.saturating_add(self.chunks_in(length));
            behind = range.end();
            rest = others;
        }
        Ok((Ranges::new(bytes), chunks))
    }
}

/// Why bytes are not the body that they should be, with the number that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BodyError {
    /// Too short, or longer than its fields say.
    Length {
        /// The length of the body.
        length: usize,
        /// What it should be; where the rest may be of any length, what it should be at least.
        expected: usize,
    },
    /// A version that is not spoken here.
    Version {
        /// The version given.
        version: u8,
    },
    /// Nothing that can be asked for.
    Op {
        /// The number given.
        op: u8,
    },
    /// Chunks that are too short.
    ChunkLength {
        /// The length given.
        chunk: u16,
    },
    /// Reserved bits are set.
    Reserved {
        /// The bits.
        reserved: u32,
    },
    /// A handle of 0 where one is needed.
    NoHandle,
    /// More ranges than may be listed, some where there may be none, or none where something is missing.
    Count {
        /// The number given.
        ranges: u16,
    },
    /// Fewer chunks are said to be missing than are listed, or more than there are.
    Missing {
        /// The number given.
        missing: u32,
    },
    /// A range that is empty, not of whole chunks, not behind the one before or not within the payload.
    Range {
        /// Where it begins.
        offset: u32,
        /// Its length.
        length: u32,
    },
    /// A chunk that ends beyond the payload.
    Beyond {
        /// Where the chunk begins.
        offset: u32,
        /// The length that it gives for the payload.
        total: u32,
    },
    /// A refusal without a reason.
    Code {
        /// The code given.
        code: u16,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { length, expected } => write!(f, "body of {length} bytes where {expected} are expected"),
            Self::Version { version } => write!(f, "version {version} is unknown"),
            Self::Op { op } => write!(f, "operation {op} is unknown"),
            Self::ChunkLength { chunk } => {
                write!(f, "chunks of {chunk} bytes are below the minimum of {}", Open::SMALLEST_CHUNK)
            }
            Self::Reserved { reserved } => write!(f, "reserved bits {reserved:#x} are set"),
            Self::NoHandle => f.write_str("handle 0 names no transfer"),
            Self::Count { ranges } => write!(f, "{ranges} ranges cannot be"),
            Self::Missing { missing } => write!(f, "{missing} missing chunks contradict the ranges"),
            Self::Range { offset, length } => write!(f, "range of {length} bytes at {offset} cannot be"),
            Self::Beyond { offset, total } => write!(f, "chunk at {offset} ends beyond the payload of {total} bytes"),
            Self::Code { code } => write!(f, "{code} is no reason for a refusal"),
        }
    }
}

impl Error for BodyError {}

/// The first words of a body, and what is behind them.
pub(super) fn words<const N: usize>(body: &[u8]) -> Option<([u32; N], &[u8])> {
    let (mut words, mut rest) = ([0; N], body);
    for word in &mut words {
        let (bytes, behind) = rest.split_first_chunk()?;
        *word = u32::from_be_bytes(*bytes);
        rest = behind;
    }
    Some((words, rest))
}

/// Fields of `N` bytes in all, one behind the other.
pub(super) fn join<const N: usize, const FIELDS: usize>(fields: [&[u8]; FIELDS]) -> [u8; N] {
    let mut body = [0; N];
    for (to, from) in body.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Open = Open::new(Key(*b"0123456789abcdef"), 0x0102_0304, 0xA0B0_C0D0);

    #[test]
    fn an_open_is_what_it_was_after_the_wire() {
        assert_eq!(OPEN.to_bytes(), *b"\x01\0\x05\xDC\x01\x02\x03\x04\xA0\xB0\xC0\xD0\0\0\0\x000123456789abcdef");
        for op in [Op::Open, Op::Status, Op::Abort] {
            let open = OPEN.with_op(op).with_chunk(u16::MAX).unwrap();
            assert_eq!(Open::decode(&open.to_bytes()), Ok(open));
            assert!(open.is_same_payload(&open.with_op(Op::Open)) && !open.is_same_payload(&OPEN));
        }
    }

    #[test]
    fn another_length_version_op_chunk_or_reserved_bit_is_no_open() {
        let wrong = |at: usize, byte: u8| {
            let mut body = OPEN.to_bytes();
            body[at] = byte;
            Open::decode(&body).unwrap_err()
        };
        assert_eq!(wrong(0, 2), BodyError::Version { version: 2 });
        assert_eq!(wrong(1, 3), BodyError::Op { op: 3 });
        assert_eq!(wrong(2, 0), BodyError::ChunkLength { chunk: 0xDC });
        assert_eq!(wrong(15, 1), BodyError::Reserved { reserved: 1 });
        let body = [OPEN.to_bytes(), OPEN.to_bytes()].concat();
        for length in (0..32).chain([33, 64]) {
            assert_eq!(Open::decode(&body[..length]), Err(BodyError::Length { length, expected: 32 }));
        }
    }

    #[test]
    fn chunks_begin_at_multiples_and_only_the_last_is_shorter() {
        let open = Open::new(Key([0; 16]), 3_100, 0);
        let ends = [0, 1_500, 3_000, 1, 3_100, 4_500].map(|offset| open.chunk_at(offset).map(Range::end));
        assert_eq!(ends, [Some(1_500), Some(3_000), Some(3_100), None, None, None]);
        assert_eq!([0, 1, 1_500, 1_501, 3_100].map(|bytes| open.chunks_in(bytes)), [0, 1, 1, 2, 3]);
        let longest = Open::new(Key([0; 16]), u32::MAX, 0).with_chunk(256).unwrap();
        assert_eq!(longest.chunks(), 1 << 24);
        assert_eq!(longest.chunk_at(u32::MAX - 255).map(Range::length), Some(255));
    }

    #[test]
    fn a_chunk_fits_the_frame_with_both_headers() {
        assert_eq!(Open::longest_chunk(1_528, 16), Some(1_500));
        assert_eq!(Open::longest_chunk(256 + 28, 16), Some(256));
        assert_eq!(Open::longest_chunk(255 + 28, 16), None);
        assert_eq!(Open::longest_chunk(u32::MAX, 20), Some(u16::MAX));
        assert_eq!(Open::longest_chunk(0, usize::MAX), None);
    }
}
