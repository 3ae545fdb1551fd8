use crate::wire::{BufferTooSmall, Dialect, EncodeError, Header, Layout, encode_in_place, shift};

/// The bytes of an outbox: whole frames, one behind the other, in the order in which they are written.
///
/// ```text
///   0          at    end     cursor          due            tail
///   │ written  │ again │     │ to be written │ held         │ free
/// ```
#[derive(Debug)]
pub(super) struct Arena<'b> {
    dialect: &'static Dialect,
    buffer: &'b mut [u8],
    pub(super) cursor: usize,
    pub(super) due: usize,
    pub(super) tail: usize,
    /// Frames that are being written once more.
    pub(super) at: usize,
    pub(super) end: usize,
    /// Some frames may be over.
    pub(super) has_holes: bool,
}

impl<'b> Arena<'b> {
    pub(super) fn new(dialect: &'static Dialect, buffer: &'b mut [u8]) -> Self {
        Self { dialect, buffer, cursor: 0, due: 0, tail: 0, at: 0, end: 0, has_holes: false }
    }

    /// Forgets all frames.
    pub(super) fn clear(&mut self) {
        (self.cursor, self.due, self.tail, self.at, self.end) = (0, 0, 0, 0, 0);
        self.has_holes = false;
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// `true` if a frame with a body of `len` bytes fits behind the others.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.tail.saturating_add(self.dialect.header_len()).saturating_add(len) <= self.buffer.len()
    }

    /// Encodes a frame of `limit` bytes at most behind all others, and returns where.
    pub(super) fn append(
        &mut self,
        header: (u32, u32),
        limit: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, EncodeError> {
        let at = self.tail;
        let room = self.buffer.get_mut(at..).unwrap_or_default();
        let length = encode_in_place(self.dialect, header, limit, room, encode)?;
        self.tail = at.saturating_add(length);
        Ok(at)
    }

    /// The frame at `at`: its length and sequence. It was encoded here, so it is whole.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn frame(&self, at: usize) -> Option<(usize, u32)> {
        let header = Header::read(self.dialect.layout, self.buffer.get(at..self.tail)?)?;
        Some((header.length(), header.sequence()))
    }

    /// The body of the frame at `at`.
    pub(super) fn body(&self, at: usize) -> &[u8] {
        let Some((length, _)) = self.frame(at) else { return &[] };
        let body = at.saturating_add(self.dialect.header_len());
        self.buffer.get(body..at.saturating_add(length)).unwrap_or_default()
    }

    pub(super) fn bytes(&self, start: usize, end: usize) -> &[u8] {
        self.buffer.get(start..end).unwrap_or_default()
    }

    /// Gives the frame at `at` another sequence.
    pub(super) fn set_sequence(&mut self, at: usize, sequence: u32) {
        let start = at.saturating_add(Layout::SEQUENCE_AT);
        let field = self.buffer.get_mut(start..).and_then(<[u8]>::first_chunk_mut);
        if let Some(field) = field {
            *field = sequence.to_be_bytes();
        }
    }

    /// Moves the frame at `at` in front of the one at `place`, which is before it. Returns its length.
    pub(super) fn insert(&mut self, at: usize, place: usize) -> usize {
        let length = self.frame(at).map_or(0, |(length, _)| length);
        let moved = self.buffer.get_mut(place..at.saturating_add(length)).unwrap_or_default();
        rotate(moved, length);
        length
    }

    /// Moves the frame of `length` bytes at `from` down to `to`.
    pub(super) fn move_down(&mut self, from: usize, to: usize, length: usize) {
        let frame = self.buffer.get_mut(to..from.saturating_add(length)).unwrap_or_default();
        shift(frame, from.saturating_sub(to));
    }
}

/// Brings the last `by` bytes to the front: turning both parts, and then the whole, round.
fn rotate(bytes: &mut [u8], by: usize) {
    let Some((front, back)) = bytes.split_at_mut_checked(bytes.len().saturating_sub(by)) else { return };
    reverse(front);
    reverse(back);
    reverse(bytes);
}

/// That of slices has a panic path where it is not inlined.
fn reverse(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let [first, middle @ .., last] = rest {
        core::mem::swap(first, last);
        rest = middle;
    }
}
