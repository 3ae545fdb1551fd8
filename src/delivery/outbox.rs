use crate::wire::{BufferTooSmall, Dialect, EncodeError, Header, encode_header, shift};

/// Encoded frames on their way out, first in, first out.
///
/// The frames lie in one buffer in the order in which they are written, so a run of them is lent as one slice and
/// batching costs nothing. A write may end anywhere: [`sent`](Self::sent) keeps the place, and a begun frame stays
/// whole until its last byte is written.
///
/// `B` is a byte slice or any buffer that derefs to one; it can be taken back while the outbox is empty.
#[derive(Debug)]
pub struct Outbox<B> {
    dialect: &'static Dialect,
    buffer: Option<B>,
    /// `head..tail` are the frames not wholly written; `written` bytes of the first are.
    head: usize,
    written: usize,
    tail: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Outbox<B> {
    /// An empty outbox; without a `buffer` nothing fits.
    pub const fn new(dialect: &'static Dialect, buffer: Option<B>) -> Self {
        Self { dialect, buffer, head: 0, written: 0, tail: 0 }
    }

    /// Gives a buffer to an outbox that has none.
    ///
    /// # Errors
    ///
    /// The buffer comes back if there is one already.
    pub fn lend(&mut self, buffer: B) -> Result<(), B> {
        if self.buffer.is_some() {
            return Err(buffer);
        }
        self.buffer = Some(buffer);
        Ok(())
    }

    /// Takes the buffer back while nothing is in it.
    pub fn reclaim(&mut self) -> Option<B> {
        if self.is_empty() { self.buffer.take() } else { None }
    }

    /// `true` while there is a buffer.
    pub const fn has_buffer(&self) -> bool {
        self.buffer.is_some()
    }

    /// Appends a frame and returns its length. `encode` writes the body into the room that is left and returns how long
    /// it is.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] of `encode` or of the frame around it; the outbox is unchanged then. A
    /// [`required`](BufferTooSmall::required) that comes back counts the whole frame.
    pub fn push(
        &mut self,
        command: u32,
        sequence: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, EncodeError> {
        self.compact();
        let header_len = self.dialect.header_len();
        let whole = |body: usize| BufferTooSmall { required: header_len.saturating_add(body) };
        let tail = self.tail;
        let room = self.buffer.as_mut().and_then(|buffer| buffer.as_mut().get_mut(tail..)).unwrap_or_default();
        let (header, body) = room.split_at_mut_checked(header_len).unwrap_or_default();
        let len = encode(body).map_err(|error| whole(error.required))?;
        if len > body.len() {
            return Err(whole(len).into());
        }
        encode_header(self.dialect, command, sequence, len, header).map_err(|error| match error {
            EncodeError::Buffer(_) => whole(len).into(),
            error => error,
        })?;
        let length = header_len.saturating_add(len);
        self.tail = tail.saturating_add(length);
        Ok(length)
    }

    /// The bytes to write next: all frames, or, with `begun_only`, the rest of a frame whose first bytes are written.
    #[must_use]
    pub fn run(&self, begun_only: bool) -> &[u8] {
        let start = self.head.saturating_add(self.written);
        let end = match (begun_only, self.written) {
            (false, _) => self.tail,
            (true, 0) => return &[],
            (true, _) => self.first().map_or(self.tail, |(length, _)| self.head.saturating_add(length)),
        };
        self.bytes().get(start..end).unwrap_or_default()
    }

    /// The first `n` bytes of [`run`](Self::run) are written; `done` is told the sequence of each frame that this ended.
    pub fn sent(&mut self, n: usize, mut done: impl FnMut(u32)) {
        self.written = self.written.saturating_add(n).min(self.queued());
        while let Some((length, sequence)) = self.first().filter(|(length, _)| *length <= self.written) {
            self.head = self.head.saturating_add(length);
            self.written = self.written.saturating_sub(length);
            done(sequence);
        }
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops everything, also a begun frame: the connection it was begun on is gone.
    pub fn clear(&mut self) {
        (self.head, self.written, self.tail) = (0, 0, 0);
    }

    /// `true` while a frame is partly written: nothing else may be written before its rest.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.written > 0
    }

    /// `true` if there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.queued() == 0
    }

    /// The length of all frames not wholly written.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.tail.saturating_sub(self.head)
    }

    /// The length of the buffer.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes().len()
    }

    /// The longest frame that the dialect allows.
    pub(crate) const fn max_frame(&self) -> u32 {
        self.dialect.max_frame
    }

    /// Length and sequence of the first frame. It was encoded here, so it is whole and in order.
    fn first(&self) -> Option<(usize, u32)> {
        let header = Header::read(self.dialect.layout, self.bytes().get(self.head..self.tail)?)?;
        Some((header.length(), header.sequence()))
    }

    /// Moves what is left to the front of the buffer.
    fn compact(&mut self) {
        let (head, tail, queued) = (self.head, self.tail, self.queued());
        if head == 0 {
            return;
        }
        let Some(used) = self.buffer.as_mut().and_then(|buffer| buffer.as_mut().get_mut(..tail)) else { return };
        shift(used, head);
        (self.head, self.tail) = (0, queued);
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn body(bytes: &'static [u8]) -> impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall> {
        move |room| {
            let required = bytes.len();
            room.get_mut(..required).ok_or(BufferTooSmall { required })?.copy_from_slice(bytes);
            Ok(required)
        }
    }

    fn outbox(buffer: &mut [u8]) -> Outbox<&mut [u8]> {
        Outbox::new(&Dialect::LONGLINK, Some(buffer))
    }

    #[test]
    fn any_sequence_of_partial_writes_gives_the_same_bytes() {
        for step in 1..=40 {
            let mut buffer = [0; 64];
            let mut outbox = outbox(&mut buffer);
            outbox.push(237, 1, body(b"one")).unwrap();
            outbox.push(237, 2, body(b"")).unwrap();
            let whole = outbox.run(false).to_vec();
            let (mut written, mut done) = (Vec::new(), Vec::new());
            while !outbox.is_empty() {
                let run = outbox.run(false);
                let n = run.len().min(step);
                written.extend_from_slice(&run[..n]);
                outbox.sent(n, |sequence| done.push(sequence));
            }
            assert_eq!((written, done), (whole, std::vec![1, 2]), "{step} bytes at a time");
        }
    }

    #[test]
    fn a_begun_frame_is_lent_alone_up_to_its_end() {
        let mut buffer = [0; 64];
        let mut outbox = outbox(&mut buffer);
        outbox.push(237, 1, body(b"one")).unwrap();
        outbox.push(237, 2, body(b"two")).unwrap();
        assert_eq!(outbox.run(true), b"");
        outbox.sent(5, |_| {});
        assert!(outbox.is_begun());
        assert_eq!(outbox.run(true).len(), 14);
        assert_eq!(outbox.run(false).len(), 33);
    }

    #[test]
    fn room_behind_written_frames_is_used_again() {
        let mut buffer = [0; 40];
        let mut outbox = outbox(&mut buffer);
        outbox.push(237, 1, body(b"first")).unwrap();
        outbox.push(237, 2, body(b"")).unwrap();
        let full = EncodeError::Buffer(BufferTooSmall { required: 20 });
        assert_eq!(outbox.push(237, 3, body(b"more")), Err(full));
        outbox.sent(22, |_| {});
        assert_eq!(outbox.push(237, 3, body(b"more")), Ok(20));
        assert_eq!(&outbox.run(false)[15 + 16..], b"more");
        let mut order = Vec::new();
        outbox.sent(usize::MAX, |sequence| order.push(sequence));
        assert_eq!(order, [2, 3]);
    }

    #[test]
    fn an_encoder_that_claims_more_than_there_was_room_for_is_refused() {
        let mut buffer = [0; 20];
        let mut outbox = outbox(&mut buffer);
        let full = EncodeError::Buffer(BufferTooSmall { required: 21 });
        assert_eq!(outbox.push(237, 1, |_| Ok(5)), Err(full));
        assert!(outbox.is_empty());
    }

    #[test]
    fn without_a_buffer_nothing_fits_and_nothing_breaks() {
        let mut outbox: Outbox<Vec<u8>> = Outbox::new(&Dialect::MARS, None);
        let full = EncodeError::Buffer(BufferTooSmall { required: 20 });
        assert_eq!(outbox.push(6, 1, body(b"")), Err(full));
        outbox.sent(7, |_| panic!("nothing was written"));
        assert_eq!(outbox.run(false), b"");
        assert_eq!(outbox.lend(std::vec![0; 32]), Ok(()));
        assert_eq!(outbox.push(6, 1, body(b"")), Ok(20));
        assert_eq!(outbox.reclaim(), None, "a frame waits");
        outbox.sent(20, |_| {});
        assert!(outbox.reclaim().is_some());
    }
}
