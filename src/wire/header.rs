use super::{Dialect, FrameError};
use byteorder::{BigEndian, ByteOrder};
use core::fmt;

/// The order and width of the header fields; the [module](super) has a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// 16 bytes: total length, header length, version, command, sequence. WeChat's long link, goim, Bilibili live.
    Wire16,
    /// 20 bytes: header length, version, command, sequence, body length. Tencent Mars.
    Wire20,
}

impl Layout {
    /// Where the sequence lies, in either layout.
    pub(crate) const SEQUENCE_AT: usize = 12;

    /// The length of the fixed fields: 16 or 20.
    #[must_use]
    pub const fn header_len(self) -> usize {
        self.min_header() as usize
    }

    pub(super) const fn min_header(self) -> u32 {
        match self {
            Self::Wire16 => 16,
            Self::Wire20 => 20,
        }
    }

    /// So many bytes bring the header length, the first field that is judged.
    const fn judge_from(self) -> usize {
        match self {
            Self::Wire16 => 6,
            Self::Wire20 => 4,
        }
    }
}

/// The fields of a header that was found in order. There is no other way to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    pub(super) length: u32,
    header: u32,
    version: u32,
    command: u32,
    sequence: u32,
}

impl Header {
    /// The length of the whole frame, header and body.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// The length of the header: the layout's fixed fields and the extension.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header as usize
    }

    /// The version that the sender wrote, one that the dialect accepts.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What the frame is for.
    #[must_use]
    pub const fn command(&self) -> u32 {
        self.command
    }

    /// What ties a reply to its request; 0 in most pushes.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The header at the start of `bytes` if it is all there and in order, else `None`: [`doubt`] then says why.
    #[inline]
    pub(super) fn parse(dialect: &Dialect, limit: u32, bytes: &[u8]) -> Option<Self> {
        Self::read(dialect.layout, bytes).filter(|header| header.is_in_order(dialect, limit))
    }

    /// The fixed fields, whatever stands in them; `None` if they are not all there or add up to more than 32 bits. For
    /// what was written here, and so is in order; [`parse`](Self::parse) is for what came.
    #[inline]
    pub(crate) fn read(layout: Layout, bytes: &[u8]) -> Option<Self> {
        match layout {
            Layout::Wire16 => {
                let (fixed, _) = bytes.split_first_chunk::<16>()?;
                let header_and_version = BigEndian::read_u32(&fixed[4..8]);
                Some(Self {
                    length: BigEndian::read_u32(&fixed[..4]),
                    header: header_and_version >> 16,
                    version: header_and_version & 0xFFFF,
                    command: BigEndian::read_u32(&fixed[8..12]),
                    sequence: BigEndian::read_u32(&fixed[12..]),
                })
            }
            Layout::Wire20 => {
                let (fixed, _) = bytes.split_first_chunk::<20>()?;
                let header = BigEndian::read_u32(&fixed[..4]);
                Some(Self {
                    length: header.checked_add(BigEndian::read_u32(&fixed[16..]))?,
                    header,
                    version: BigEndian::read_u32(&fixed[4..8]),
                    command: BigEndian::read_u32(&fixed[8..12]),
                    sequence: BigEndian::read_u32(&fixed[12..16]),
                })
            }
        }
    }

    /// `true` if `dialect` allows every field, and `limit` the length.
    #[inline]
    fn is_in_order(&self, dialect: &Dialect, limit: u32) -> bool {
        (dialect.layout.min_header()..=dialect.max_header).contains(&self.header)
            && (dialect.lowest_version..=dialect.highest_version).contains(&self.version)
            && (self.header..=limit).contains(&self.length)
    }
}

/// Why there is no header to [parse](Header::parse): the first field that is wrong, over-long last; or, if nothing is
/// wrong yet, how many bytes of the frame must be there before there is more to tell.
#[cold]
pub(super) fn doubt(dialect: &Dialect, limit: u32, bytes: &[u8]) -> Result<usize, FrameError> {
    let (header, version, length, body) = match dialect.layout {
        Layout::Wire16 => (be16(bytes, 4), be16(bytes, 6), be32(bytes, 0), None),
        Layout::Wire20 => (be32(bytes, 0), be32(bytes, 4), None, be32(bytes, 16)),
    };
    let Some(header) = header else { return Ok(dialect.layout.judge_from()) };
    judge_fields(dialect, header, length, version)?;
    match (Header::read(dialect.layout, bytes), body) {
        (Some(Header { length, command, sequence, .. }), _) => {
            Err(FrameError::TooLong { length, limit, command, sequence })
        }
        (None, Some(body)) => Err(FrameError::LengthOverflow { header, body }),
        (None, None) if version.is_none() => Ok(8),
        (None, None) => Ok(dialect.header_len()),
    }
}

/// Judges the fields that are known, in the order in which they are named.
fn judge_fields(dialect: &Dialect, header: u32, length: Option<u32>, version: Option<u32>) -> Result<(), FrameError> {
    let (minimum, maximum) = (dialect.layout.min_header(), dialect.max_header);
    let (lowest, highest) = (dialect.lowest_version, dialect.highest_version);
    if header < minimum {
        return Err(FrameError::HeaderTooShort { header, minimum });
    }
    if header > maximum {
        return Err(FrameError::HeaderTooLong { header, maximum });
    }
    if let Some(length) = length.filter(|length| *length < header) {
        return Err(FrameError::LengthBelowHeader { length, header });
    }
    match version {
        Some(version) if version < lowest || version > highest => {
            Err(FrameError::UnknownVersion { version, lowest, highest })
        }
        _ => Ok(()),
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    let (field, _) = bytes.get(at..)?.split_first_chunk::<2>()?;
    Some(u32::from(BigEndian::read_u16(field)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let (field, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(BigEndian::read_u32(field))
}

/// A frame, lent from the buffer that it was received into.
///
/// `Copy`, and independent of the decoder's other state: an application may keep it while it sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'f> {
    header: Header,
    layout: Layout,
    nested: bool,
    bytes: &'f [u8],
}

impl<'f> Frame<'f> {
    /// `bytes` are the whole frame that `header` heads.
    pub(super) const fn new(header: Header, layout: Layout, bytes: &'f [u8]) -> Self {
        Self { header, layout, nested: false, bytes }
    }

    pub(super) const fn into_nested(self) -> Self {
        Self { nested: true, ..self }
    }

    /// The header's fields.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The length of the whole frame, header and body.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.header.length()
    }

    /// The version that the sender wrote, one that the dialect accepts.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.header.version
    }

    /// What the frame is for.
    #[must_use]
    pub const fn command(&self) -> u32 {
        self.header.command
    }

    /// What ties a reply to its request; 0 in most pushes.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.header.sequence
    }

    /// What the frame carries. Empty in a heartbeat.
    #[must_use]
    pub fn body(&self) -> &'f [u8] {
        self.bytes.get(self.header.header_len()..).unwrap_or_default()
    }

    /// The bytes of the header behind the layout's fixed fields. Empty in nearly all frames.
    #[must_use]
    pub fn extension(&self) -> &'f [u8] {
        self.bytes.get(self.layout.header_len()..self.header.header_len()).unwrap_or_default()
    }

    /// `true` if the frame came out of another frame's body ([`Batch`](super::Batch)).
    #[must_use]
    pub const fn is_nested(&self) -> bool {
        self.nested
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("header", &self.header).field("body", &self.body()).finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Frame<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Frame {{ header: {}, body: {=[u8]:02x} }}", self.header, self.body());
    }
}

/// A frame whose body may be changed in place, to open a sealed body without a second buffer.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameMut<'f> {
    header: Header,
    layout: Layout,
    bytes: &'f mut [u8],
}

impl<'f> FrameMut<'f> {
    pub(super) const fn new(header: Header, layout: Layout, bytes: &'f mut [u8]) -> Self {
        Self { header, layout, bytes }
    }

    /// The header's fields, as received.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The bytes of the header behind the layout's fixed fields.
    #[must_use]
    pub fn extension(&self) -> &[u8] {
        self.bytes.get(self.layout.header_len()..self.header.header_len()).unwrap_or_default()
    }

    /// The body, to be opened in place.
    #[must_use]
    pub fn body_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.header.header_len()..).unwrap_or_default()
    }

    /// The frame with the first `len` bytes of the body as it stands now; with all of it if `len` is more. The frame's
    /// length follows.
    #[must_use]
    pub fn freeze(self, len: usize) -> Frame<'f> {
        let bytes: &'f [u8] = self.bytes;
        let end = self.header.header_len().saturating_add(len);
        let bytes = bytes.get(..end).unwrap_or(bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(self.header.length);
        Frame::new(Header { length, ..self.header }, self.layout, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Decoder, decode};
    use super::*;

    fn error_of(dialect: &Dialect, bytes: &[u8]) -> FrameError {
        match decode(dialect, bytes) {
            Err(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn garbage_is_named_as_soon_as_the_field_is_there() {
        let hello = b"\nhello";
        assert!(matches!(decode(&Dialect::LONGLINK, &hello[..5]), Ok(Decoded::Incomplete { need: 11 })));
        assert_eq!(error_of(&Dialect::LONGLINK, hello), FrameError::HeaderTooLong { header: 0x6c6f, maximum: 256 });
        let version = [0, 0, 0, 16, 0, 16, 0, 9];
        assert!(matches!(decode(&Dialect::LONGLINK, &version[..7]), Ok(Decoded::Incomplete { need: 9 })));
        assert_eq!(
            error_of(&Dialect::LONGLINK, &version),
            FrameError::UnknownVersion { version: 9, lowest: 1, highest: 1 }
        );
        assert_eq!(error_of(&Dialect::MARS, &[0, 0, 0, 19]), FrameError::HeaderTooShort { header: 19, minimum: 20 });
        assert_eq!(
            error_of(&Dialect::MARS, &[0, 0, 0, 20, 0, 0, 0, 1]),
            FrameError::UnknownVersion { version: 1, lowest: 200, highest: 200 }
        );
    }

    #[test]
    fn a_prefix_and_the_whole_header_get_the_same_error() {
        let mars = [0, 0, 1, 1, 0, 0, 0, 200, 0, 0, 0, 6, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
        for end in 4..=20 {
            let expected = FrameError::HeaderTooLong { header: 257, maximum: 256 };
            assert_eq!(error_of(&Dialect::MARS, &mars[..end]), expected, "{end} bytes");
        }
        let native = [0, 0, 0, 15, 0, 16, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1];
        for end in 6..=16 {
            let expected = FrameError::LengthBelowHeader { length: 15, header: 16 };
            assert_eq!(error_of(&Dialect::LONGLINK, &native[..end]), expected, "{end} bytes");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_32_bits_are_not_wrapped() {
        let bytes = [0, 0, 0, 20, 0, 0, 0, 200, 0, 0, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xF0];
        assert_eq!(error_of(&Dialect::MARS, &bytes), FrameError::LengthOverflow { header: 20, body: 0xFFFF_FFF0 });
    }

    #[test]
    fn a_sealed_body_is_opened_in_place() {
        let mut buffer = [0; 64];
        let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
        let frame = b"\0\0\0\x1b\0\x12\0\x01\0\0\0\xed\0\0\0\x07xyVZW1234TT";
        decoder.space()[..frame.len()].copy_from_slice(frame);
        decoder.commit(frame.len());
        let mut sealed = decoder.next_frame_mut().unwrap().unwrap();
        assert_eq!(sealed.extension(), b"xy");
        let body = sealed.body_mut();
        body.iter_mut().for_each(|byte| *byte = byte.wrapping_sub(1));
        let frame = sealed.freeze(3);
        assert_eq!(frame.body(), b"UYV");
        assert_eq!(frame.extension(), b"xy");
        assert_eq!((frame.length(), frame.sequence()), (21, 7));
    }
}
