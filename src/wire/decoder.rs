use super::header::doubt;
use super::{BufferTooSmall, Dialect, Frame, FrameError, FrameMut, Header};
use crate::time::as_u32;
use core::cell::Cell;
use core::fmt;

/// Frames out of a byte stream that comes in pieces of any size.
///
/// The reader writes straight into the decoder's buffer, frames are lent from it in place:
///
/// ```
/// use longlink::wire::{Decoder, Dialect};
///
/// let mut buffer = [0; 256];
/// let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
///
/// let mut input: &[u8] = b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\x0f\0\0\0\x12\0\x10\0\x01\0\0\0\xed\0\0\0\x01hi";
/// let mut commands = Vec::new();
/// while !input.is_empty() {
///     // What `socket.read(decoder.space())` does, 7 bytes at a time.
///     let n = input.len().min(decoder.space().len()).min(7);
///     let (piece, rest) = input.split_at(n);
///     decoder.space()[..n].copy_from_slice(piece);
///     decoder.commit(n);
///     input = rest;
///
///     while let Some(frame) = decoder.next_frame().unwrap() {
///         commands.push((frame.command(), frame.body().to_vec()));
///     }
/// }
/// assert_eq!(commands, [(6, b"".to_vec()), (237, b"hi".to_vec())]);
/// ```
///
/// # Rules
///
/// * A frame may be as long as the buffer and [`Dialect::max_frame`] both allow ([`Decoder::limit`]). A longer one is
///   reported once as [`FrameError::TooLong`], its bytes are swallowed as they come, and the frame behind it is the next.
/// * After a fatal error [`next_frame`](Self::next_frame) repeats it, whatever else comes in, until
///   [`reset`](Self::reset).
/// * [`space`](Self::space) is empty only while `next_frame` has a frame or an error to give: never read into an empty
///   slice, `Ok(0)` would look like the end of the stream.
/// * A half-read frame is moved to the front of the buffer at most once per `space`, whole frames never are.
///
/// `B` is a byte slice, or any buffer that derefs to one, such as a box from a pool: it can be taken back by
/// [`reclaim`](Self::reclaim) while it is empty and be lent again, so that a million quiet links share a few buffers. It
/// must lend the same bytes every time; one that does not yields nonsense, but neither panics nor harms anything else.
pub struct Decoder<B> {
    dialect: &'static Dialect,
    buffer: Option<B>,
    /// `head..tail` are the bytes that were committed and not yet lent. A header that is fatally wrong stays at `head`, and
    /// is wrong whenever it is looked at.
    head: usize,
    tail: usize,
    /// Nothing new can be told about the frame at `head` before so many bytes of it have come.
    judge_from: u32,
    /// [`Decoder::limit`] of the buffer that is there.
    limit: u32,
    /// So many bytes of a frame that is too long are still to be swallowed.
    skipping: u32,
    /// Nothing more will come.
    ended: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Decoder<B> {
    /// A decoder of `dialect` with `buffer`.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if the buffer does not hold a header without extension.
    pub fn new(dialect: &'static Dialect, buffer: B) -> Result<Self, BufferTooSmall> {
        let mut decoder = Self::without_buffer(dialect);
        decoder.lend(buffer).map_err(|_| BufferTooSmall { required: dialect.header_len() })?;
        Ok(decoder)
    }

    /// A decoder that has no buffer yet; [`lend`](Self::lend) one before there is something to read. Until then
    /// [`space`](Self::space) is empty.
    #[must_use]
    pub const fn without_buffer(dialect: &'static Dialect) -> Self {
        Self { dialect, buffer: None, head: 0, tail: 0, judge_from: 0, limit: 0, skipping: 0, ended: false }
    }

    /// Where the next bytes of the stream belong: read into it, then [`commit`](Self::commit).
    #[must_use]
    pub fn space(&mut self) -> &mut [u8] {
        if self.head > 0 {
            self.compact();
        }
        let tail = self.tail;
        self.buffer.as_mut().and_then(|buffer| buffer.as_mut().get_mut(tail..)).unwrap_or_default()
    }

    /// The first `n` bytes of [`space`](Self::space) are now part of the stream. More than there was room for counts as
    /// that.
    pub fn commit(&mut self, n: usize) {
        let room = self.buffer.as_ref().map_or(0, |buffer| buffer.as_ref().len());
        self.tail = self.tail.saturating_add(n).min(room);
        if self.skipping > 0 {
            self.swallow();
        }
    }

    /// The next frame, `None` if more bytes are needed first.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: of a frame that is too long once, and the call after it goes on; any other again and again.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(header) = self.whole_frame()? else { return Ok(None) };
        let held = held(self.buffer.as_ref(), self.head, self.tail);
        (self.head, self.judge_from) = (self.behind(&header), 1);
        let whole = held.and_then(|held| held.get(..header.length()));
        Ok(whole.map(|whole| Frame::new(header, self.dialect.layout, whole)))
    }

    /// As [`next_frame`](Self::next_frame), with a body that may be changed in place.
    ///
    /// # Errors
    ///
    /// As [`next_frame`](Self::next_frame).
    pub fn next_frame_mut(&mut self) -> Result<Option<FrameMut<'_>>, FrameError> {
        let Some(header) = self.whole_frame()? else { return Ok(None) };
        let (layout, start) = (self.dialect.layout, self.head);
        (self.head, self.judge_from) = (self.behind(&header), 1);
        let whole = self.buffer.as_mut().and_then(|buffer| buffer.as_mut().get_mut(start..self.head));
        Ok(whole.map(|whole| FrameMut::new(header, layout, whole)))
    }

    /// Forgets the bytes of the old connection, before the first byte of a new one. The buffer stays.
    pub fn reset(&mut self) {
        (self.head, self.tail, self.judge_from, self.skipping, self.ended) = (0, 0, 0, 0, false);
    }

    /// Gives a buffer to a decoder that has none.
    ///
    /// # Errors
    ///
    /// The buffer comes back if there is one already, or if this one does not hold a header.
    pub fn lend(&mut self, buffer: B) -> Result<(), B> {
        if self.buffer.is_some() || buffer.as_ref().len() < self.dialect.header_len() {
            return Err(buffer);
        }
        self.limit = as_u32(buffer.as_ref().len()).min(self.dialect.max_frame);
        self.buffer = Some(buffer);
        Ok(())
    }

    /// Takes the buffer back while nothing is in it: no half-read frame, no frame that waits. `None` otherwise. A skip
    /// under way is remembered.
    pub fn reclaim(&mut self) -> Option<B> {
        if self.tail > self.head {
            return None;
        }
        (self.head, self.tail, self.judge_from, self.limit) = (0, 0, 0, 0);
        self.buffer.take()
    }

    /// `true` between two frames: nothing half-read, nothing that waits, nothing being skipped, no fatal error. A stream
    /// that ends here ended in good order.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tail <= self.head && self.skipping == 0
    }

    /// The bytes that were committed and not yet lent as a frame; of a frame in progress, its first ones.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        held(self.buffer.as_ref(), self.head, self.tail).unwrap_or_default()
    }

    /// How many bytes were committed and not yet lent as a frame.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.tail.saturating_sub(self.head)
    }

    /// How many bytes of a frame that was too long are still to come, 0 if none is being skipped.
    #[must_use]
    pub const fn skipping(&self) -> u32 {
        self.skipping
    }

    /// At least so many bytes are missing before the next frame is whole: what the fixed header lacks, or, once that is
    /// there, exactly the rest of the frame; what is being skipped counts. 0 if a frame or an error waits. For drivers
    /// that wait for a number of bytes; garbage may be named by [`next_frame`](Self::next_frame) before they are there.
    #[must_use]
    pub fn need(&self) -> usize {
        let header = self.dialect.header_len();
        if self.skipping > 0 {
            return (self.skipping as usize).saturating_add(header);
        }
        match Header::parse(self.dialect, self.limit, self.held()) {
            Some(frame) => frame.length().saturating_sub(self.buffered()),
            None if doubt(self.dialect, self.limit, self.held()).is_err() => 0,
            None => header.saturating_sub(self.buffered()),
        }
    }

    /// The longest frame taken: what the buffer holds, [`Dialect::max_frame`] at most.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The dialect that is decoded.
    #[must_use]
    pub const fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// The stream has ended, as its reader knows; kept here until [`reset`](Self::reset).
    pub(crate) const fn end(&mut self) {
        self.ended = true;
    }

    /// `true` after [`end`](Self::end).
    pub(crate) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The header of the frame at `head` if all of it is there.
    #[inline]
    fn whole_frame(&mut self) -> Result<Option<Header>, FrameError> {
        if self.buffered() < self.judge_from as usize {
            return Ok(None);
        }
        let Some(held) = held(self.buffer.as_ref(), self.head, self.tail) else {
            return self.hesitate().map(|()| None);
        };
        match Header::parse(self.dialect, self.limit, held) {
            Some(header) if header.length() <= held.len() => Ok(Some(header)),
            Some(header) => {
                self.judge_from = header.length;
                Ok(None)
            }
            None => self.hesitate().map(|()| None),
        }
    }

    /// Where the frame behind the one at `head` starts.
    #[inline]
    const fn behind(&self, header: &Header) -> usize {
        self.head.saturating_add(header.length())
    }

    /// There is no good header at `head`: finds out how much of it to wait for, or what is wrong with it. Kept apart, so
    /// that what happens for every frame is small enough to be inlined.
    #[cold]
    #[inline(never)]
    fn hesitate(&mut self) -> Result<(), FrameError> {
        match doubt(self.dialect, self.limit, self.held()) {
            Ok(needed) => {
                self.judge_from = as_u32(needed);
                Ok(())
            }
            Err(error) => Err(self.stumble(error)),
        }
    }

    /// Starts to skip the frame at `head`, unless it is fatally wrong.
    #[cold]
    fn stumble(&mut self, error: FrameError) -> FrameError {
        self.judge_from = 0;
        if let (FrameError::TooLong { length, .. }, false) = (error, error.is_fatal()) {
            self.skipping = length;
            self.swallow();
        }
        error
    }

    /// Drops the bytes of a frame that is being skipped.
    #[cold]
    fn swallow(&mut self) {
        let taken = self.skipping.min(as_u32(self.buffered()));
        self.head = self.head.saturating_add(taken as usize);
        self.skipping = self.skipping.saturating_sub(taken);
    }

    /// Moves what is held to the front of the buffer.
    fn compact(&mut self) {
        let (head, tail) = (self.head, self.tail);
        let held = tail.saturating_sub(head);
        if held > 0 {
            let used = self.buffer.as_mut().and_then(|buffer| buffer.as_mut().get_mut(..tail));
            let Some(used) = used else { return };
            shift(used, head);
        }
        (self.head, self.tail) = (0, held);
    }
}

/// A function of its own, so that it borrows nothing but the buffer.
fn held<B: AsRef<[u8]>>(buffer: Option<&B>, head: usize, tail: usize) -> Option<&[u8]> {
    buffer.and_then(|buffer| buffer.as_ref().get(head..tail))
}

/// Moves what is behind the first `by` bytes to the front; the only place that moves bytes.
///
/// `copy_within` has no panic path left where it is inlined into this check, and it is inlined at every level as long as it is
/// called once. Hence `inline(never)`: this itself stays the one call. A microcontroller moves them one by one, in cells, so
/// that its image needs no `memmove`, which takes 1.5 KB.
#[inline(never)]
pub(crate) fn shift(bytes: &mut [u8], by: usize) {
    if cfg!(target_pointer_width = "64") {
        if by <= bytes.len() {
            bytes.copy_within(by.., 0);
        }
        return;
    }
    shift_by_one(bytes, by);
}

fn shift_by_one(bytes: &mut [u8], by: usize) {
    let cells = Cell::from_mut(bytes).as_slice_of_cells();
    for (to, from) in cells.iter().zip(cells.get(by..).unwrap_or_default()) {
        to.set(from.get());
    }
}

impl<B> fmt::Debug for Decoder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("dialect", &self.dialect.name)
            .field("held", &(self.head..self.tail))
            .field("skipping", &self.skipping)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
