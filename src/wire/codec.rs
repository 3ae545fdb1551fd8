use super::header::doubt;
use super::{BufferTooSmall, Dialect, EncodeError, Frame, FrameError, Header, Layout};

/// What [`decode`] found at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decoded<'a> {
    /// A whole frame, which takes the first [`Frame::length`] bytes.
    Frame(Frame<'a>),
    /// The start of a frame that is in order so far.
    Incomplete {
        /// At least so many bytes are missing: what the fixed header lacks, or, once that is there, exactly the rest of
        /// the frame. Never 0.
        need: usize,
    },
}

/// Decodes the frame at the start of `bytes`, in place.
///
/// Bytes behind the frame are not looked at. A frame longer than [`Dialect::max_frame`] is an error even if it is all
/// there; its length in the error tells where the next one starts.
///
/// ```
/// use longlink::wire::{decode, Decoded, Dialect};
///
/// // A heartbeat, as a phone sent it in 2014.
/// let bytes = [0, 0, 0, 16, 0, 16, 0, 1, 0, 0, 0, 6, 0, 0, 0, 15];
/// let Ok(Decoded::Frame(frame)) = decode(&Dialect::LONGLINK, &bytes) else { panic!() };
/// assert_eq!((frame.command(), frame.sequence(), frame.body()), (6, 15, &[][..]));
/// assert_eq!(decode(&Dialect::LONGLINK, &bytes[..9]), Ok(Decoded::Incomplete { need: 7 }));
/// ```
///
/// # Errors
///
/// [`FrameError`] names the first field that is wrong.
#[inline]
pub fn decode<'a>(dialect: &Dialect, bytes: &'a [u8]) -> Result<Decoded<'a>, FrameError> {
    let need = match Header::parse(dialect, dialect.max_frame, bytes) {
        Some(header) => match bytes.get(..header.length()) {
            Some(whole) => return Ok(Decoded::Frame(Frame::new(header, dialect.layout, whole))),
            None => header.length(),
        },
        None => {
            doubt(dialect, dialect.max_frame, bytes)?;
            dialect.header_len()
        }
    };
    Ok(Decoded::Incomplete { need: need.saturating_sub(bytes.len()) })
}

/// Writes a frame to the start of `out` and returns its length.
///
/// ```
/// use longlink::wire::{encode, Dialect};
///
/// let mut out = [0; 64];
/// let length = encode(&Dialect::MARS, 10_001, 0, b"abc", &mut out).unwrap();
/// assert_eq!(out[..length], *b"\0\0\0\x14\0\0\0\xc8\0\0\x27\x11\0\0\0\0\0\0\0\x03abc");
/// ```
///
/// # Errors
///
/// [`EncodeError`] if `out` is too short or the frame longer than [`Dialect::max_frame`]; `out` is untouched then.
#[inline]
pub fn encode(
    dialect: &Dialect,
    command: u32,
    sequence: u32,
    body: &[u8],
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    encode_with_extension(dialect, command, sequence, &[], body, out)
}

/// As [`encode`], with bytes that extend the header. Peers of these protocols skip what they do not know there.
///
/// # Errors
///
/// As [`encode`], and [`EncodeError::HeaderTooLong`] above [`Dialect::max_header`].
#[inline]
pub fn encode_with_extension(
    dialect: &Dialect,
    command: u32,
    sequence: u32,
    extension: &[u8],
    body: &[u8],
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let head = Head::new(dialect, command, sequence, extension.len(), body.len())?;
    let required = head.length as usize;
    let parts = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(head.header as usize));
    let Some((header, rest)) = parts else { return Err(BufferTooSmall { required }.into()) };
    if let Some(extended) = head.write(dialect, header) {
        copy(extended, extension);
    }
    copy(rest, body);
    Ok(required)
}

/// Writes only the header of a frame whose body of `body_len` bytes follows from elsewhere; returns the header's length.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_header(
    dialect: &Dialect,
    command: u32,
    sequence: u32,
    body_len: usize,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let head = Head::new(dialect, command, sequence, 0, body_len)?;
    match head.write(dialect, out) {
        Some(_) => Ok(dialect.header_len()),
        None => Err(BufferTooSmall { required: dialect.header_len() }.into()),
    }
}

/// Writes a frame to the start of `out` whose body `encode` writes into the room there is, and returns its length. `limit` is
/// the longest frame that may be sent, if below [`Dialect::max_frame`]. A [`required`](BufferTooSmall::required) that comes
/// back counts the whole frame.
#[inline]
pub(crate) fn encode_in_place(
    dialect: &Dialect,
    (command, sequence): (u32, u32),
    limit: u32,
    out: &mut [u8],
    encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
) -> Result<usize, EncodeError> {
    let header_len = dialect.header_len();
    let whole = |body: usize| BufferTooSmall { required: header_len.saturating_add(body) };
    let (header, room) = out.split_at_mut_checked(header_len).unwrap_or_default();
    let len = encode(room).map_err(|error| whole(error.required))?;
    if len > room.len() {
        return Err(whole(len).into());
    }
    let head = Head::new(dialect, command, sequence, 0, len)?;
    if head.length > limit {
        return Err(EncodeError::FrameTooLong { length: head.length as usize, limit });
    }
    match head.write(dialect, header) {
        Some(_) => Ok(head.length as usize),
        None => Err(whole(len).into()),
    }
}

/// The numbers of a header about to be written, known to fit their fields.
struct Head {
    length: u32,
    header: u32,
    command: u32,
    sequence: u32,
}

impl Head {
    /// The one place where lengths to be sent are added.
    #[inline]
    fn new(dialect: &Dialect, command: u32, sequence: u32, extension: usize, body: usize) -> Result<Self, EncodeError> {
        let header = dialect.header_len().saturating_add(extension);
        let length = header.saturating_add(body);
        let header_too_long = EncodeError::HeaderTooLong { header, maximum: dialect.max_header };
        let frame_too_long = EncodeError::FrameTooLong { length, limit: dialect.max_frame };
        let header = at_most(header, dialect.max_header).ok_or(header_too_long)?;
        let length = at_most(length, dialect.max_frame).ok_or(frame_too_long)?;
        Ok(Self { length, header, command, sequence })
    }

    /// Writes the fixed fields and returns what of `out` is behind them; `None` if they do not fit.
    #[inline]
    fn write<'o>(&self, dialect: &Dialect, out: &'o mut [u8]) -> Option<&'o mut [u8]> {
        match dialect.layout {
            Layout::Wire16 => {
                let header_and_version = (self.header << 16) | (dialect.version & 0xFFFF);
                put(out, [self.length, header_and_version, self.command, self.sequence])
            }
            Layout::Wire20 => {
                let body = self.length.saturating_sub(self.header);
                put(out, [self.header, dialect.version, self.command, self.sequence, body])
            }
        }
    }
}

/// Writes `words` and returns what of `out` is behind them; `None`, and nothing is written, if they do not fit. Not
/// `BigEndian::write_u32`, which keeps a panic path where it is not inlined.
#[inline]
fn put<const N: usize>(out: &mut [u8], words: [u32; N]) -> Option<&mut [u8]> {
    let words = words.map(u32::to_be_bytes);
    let bytes = words.as_flattened();
    let (fields, behind) = out.split_at_mut_checked(bytes.len())?;
    copy(fields, bytes);
    Some(behind)
}

/// `length` as it is written into a header, if it does not exceed `limit`.
#[inline]
fn at_most(length: usize, limit: u32) -> Option<u32> {
    if length > limit as usize { None } else { u32::try_from(length).ok() }
}

/// Copies as many bytes as both slices hold. Not `copy_from_slice`, which keeps a panic path where it is not inlined;
/// this becomes the same `memcpy`.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Writes `body` to the start of `room`, and returns its length.
pub(crate) fn fill(room: &mut [u8], body: &[u8]) -> Result<usize, BufferTooSmall> {
    let required = body.len();
    copy(room.get_mut(..required).ok_or(BufferTooSmall { required })?, body);
    Ok(required)
}

/// The frames of a body that consists of whole frames, one after the other.
///
/// goim packs pushes so ([`Dialect::batch`]), and Bilibili's compressed bodies inflate to it. The frames are marked
/// ([`Frame::is_nested`]), so that a batch within a batch is not walked again. The first error ends the walk.
///
/// ```
/// use longlink::wire::{encode, Batch, Dialect};
///
/// let mut body = [0; 64];
/// let first = encode(&Dialect::GOIM, 5, 0, b"one", &mut body).unwrap();
/// let second = encode(&Dialect::GOIM, 5, 0, b"two", &mut body[first..]).unwrap();
///
/// let mut batch = Batch::new(&Dialect::GOIM, &body[..first + second]);
/// assert_eq!(batch.next().unwrap().unwrap().body(), b"one");
/// assert_eq!(batch.next().unwrap().unwrap().body(), b"two");
/// assert!(batch.next().is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    dialect: &'a Dialect,
    rest: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Walks `body`.
    #[must_use]
    pub const fn new(dialect: &'a Dialect, body: &'a [u8]) -> Self {
        Self { dialect, rest: body }
    }

    /// The bytes not walked yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        match decode(self.dialect, rest) {
            Ok(Decoded::Frame(frame)) => {
                self.rest = rest.get(frame.length()..).unwrap_or_default();
                Some(Ok(frame.into_nested()))
            }
            Ok(Decoded::Incomplete { need }) => {
                Some(Err(FrameError::Truncated { missing: u32::try_from(need).unwrap_or(u32::MAX) }))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl core::iter::FusedIterator for Batch<'_> {}

#[cfg(feature = "defmt")]
impl defmt::Format for Batch<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Batch({=usize} bytes)", self.rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_encode_leaves_the_output_untouched_and_says_what_is_needed() {
        let mut out = [0xAA; 19];
        let error = encode(&Dialect::LONGLINK, 237, 1, b"four", &mut out);
        assert_eq!(error, Err(EncodeError::Buffer(BufferTooSmall { required: 20 })));
        assert_eq!(out, [0xAA; 19]);
    }

    #[test]
    fn a_frame_above_the_limit_is_not_encoded() {
        let small = Dialect { max_frame: 256, ..Dialect::LONGLINK };
        let mut out = [0; 512];
        assert_eq!(encode(&small, 237, 1, &[1; 240], &mut out), Ok(256));
        let too_long = EncodeError::FrameTooLong { length: 257, limit: 256 };
        assert_eq!(encode(&small, 237, 1, &[1; 241], &mut out), Err(too_long));
        let header = EncodeError::HeaderTooLong { header: 257, maximum: 256 };
        assert_eq!(encode_with_extension(&small, 237, 1, &[2; 241], &[], &mut out), Err(header));
    }

    #[test]
    fn a_header_alone_announces_the_body_that_follows() {
        let mut out = [0; 20];
        assert_eq!(encode_header(&Dialect::LONGLINK, 237, 5, 100, &mut out), Ok(16));
        assert_eq!(decode(&Dialect::LONGLINK, &out[..16]), Ok(Decoded::Incomplete { need: 100 }));
        assert!(encode_header(&Dialect::MARS, 237, 5, 100, &mut out[..19]).is_err());
    }

    #[test]
    fn a_batch_that_ends_inside_a_frame_says_so_once() {
        let mut body = [0; 64];
        let whole = encode(&Dialect::GOIM, 5, 0, b"one", &mut body).unwrap();
        let mut batch = Batch::new(&Dialect::GOIM, &body[..whole + 5]);
        let first = batch.next().unwrap().unwrap();
        assert!(first.is_nested());
        assert_eq!(batch.next(), Some(Err(FrameError::Truncated { missing: 11 })));
        assert_eq!(batch.next(), None);
    }
}
