use crate::time::as_u32;
use crate::wire::{BufferTooSmall, Dialect, EncodeError, Header, Layout, encode_in_place, shift};

/// Encoded frames on their way out, first in, first out.
///
/// The frames lie in one buffer in the order in which they are written, so a run of them is lent as one slice and
/// batching costs nothing. A write may end anywhere: [`handle_sent`](Self::handle_sent) keeps the place, and a
/// begun frame stays whole until its last byte is written.
///
/// `B` is a byte slice or any buffer that derefs to one; it can be taken back while the queue is empty.
#[derive(Debug)]
pub struct Queue<B> {
    layout: Layout,
    buffer: Option<B>,
    /// `head..tail` are the frames not wholly written; `written` bytes of the first are.
    head: u32,
    written: u32,
    tail: u32,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Queue<B> {
    /// An empty queue of frames in one layout; without a `buffer` nothing fits.
    pub const fn new(layout: Layout, buffer: Option<B>) -> Self {
        Self { layout, buffer, head: 0, written: 0, tail: 0 }
    }

    /// Gives a buffer to a queue that has none.
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

    /// Appends a frame of `limit` bytes at most, and returns its length. `encode` writes the body into the room that is left and returns how long
    /// it is.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] of `encode` or of the frame around it; the queue is unchanged then. A
    /// [`required`](BufferTooSmall::required) that comes back counts the whole frame.
    pub fn push(
        &mut self,
        dialect: &Dialect,
        (command, sequence): (u32, u32),
        limit: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, EncodeError> {
        self.compact();
        let (tail, end) = (self.tail as usize, u32::MAX as usize);
        let buffer = self.buffer.as_mut().map(AsMut::as_mut).unwrap_or_default();
        let end = buffer.len().min(end);
        let room = buffer.get_mut(tail..end).unwrap_or_default();
        let length = encode_in_place(dialect, (command, sequence), limit, room, encode)?;
        self.tail = as_u32(tail.saturating_add(length));
        Ok(length)
    }

    /// The bytes to write next: all frames, or, with `begun_only`, the rest of a frame whose first bytes are written.
    #[must_use]
    pub fn poll_transmit(&self, begun_only: bool) -> &[u8] {
        let start = self.head.saturating_add(self.written);
        let end = match (begun_only, self.written) {
            (false, _) => self.tail,
            (true, 0) => return &[],
            (true, _) => self.first().map_or(self.tail, |length| self.head.saturating_add(length)),
        };
        self.bytes().get(start as usize..end as usize).unwrap_or_default()
    }

    /// The first `n` bytes of [`poll_transmit`](Self::poll_transmit) are written.
    pub fn handle_sent(&mut self, n: usize) {
        self.written = self.written.saturating_add(as_u32(n));
        if self.written as usize >= self.queued() {
            return self.clear();
        }
        while let Some(length) = self.first().filter(|length| *length <= self.written) {
            self.head = self.head.saturating_add(length);
            self.written = self.written.saturating_sub(length);
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
        self.tail.saturating_sub(self.head) as usize
    }

    /// The bytes of them that are not written.
    pub(crate) const fn unwritten(&self) -> u32 {
        self.tail.saturating_sub(self.head).saturating_sub(self.written)
    }

    /// How much fits behind the frames that wait.
    pub(crate) fn room(&self) -> usize {
        self.capacity().saturating_sub(self.queued())
    }

    /// The length of the buffer.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes().len()
    }

    /// The length of the first frame. It was encoded here, so it is whole and in order.
    fn first(&self) -> Option<u32> {
        let header = Header::read(self.layout, self.bytes().get(self.head as usize..self.tail as usize)?)?;
        Some(as_u32(header.length()))
    }

    /// Moves what is left to the front of the buffer.
    fn compact(&mut self) {
        let (head, tail) = (self.head, self.tail);
        if head == 0 {
            return;
        }
        let buffer = self.buffer.as_mut().map(AsMut::as_mut).unwrap_or_default();
        let Some(used) = buffer.get_mut(..tail as usize) else { return };
        shift(used, head as usize);
        (self.head, self.tail) = (0, tail.saturating_sub(head));
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const DIALECT: &Dialect = &Dialect::LONGLINK;

    fn body(bytes: &'static [u8]) -> impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall> {
        move |room| {
            let required = bytes.len();
            room.get_mut(..required).ok_or(BufferTooSmall { required })?.copy_from_slice(bytes);
            Ok(required)
        }
    }

    fn queue(buffer: &mut [u8]) -> Queue<&mut [u8]> {
        Queue::new(Layout::Wire16, Some(buffer))
    }

    #[test]
    fn any_sequence_of_partial_writes_gives_the_same_bytes() {
        for step in 1..=40 {
            let mut buffer = [0; 64];
            let mut queue = queue(&mut buffer);
            queue.push(DIALECT, (237, 1), u32::MAX, body(b"one")).unwrap();
            queue.push(DIALECT, (237, 2), u32::MAX, body(b"")).unwrap();
            let whole = queue.poll_transmit(false).to_vec();
            let mut written = Vec::new();
            while !queue.is_empty() {
                let run = queue.poll_transmit(false);
                let n = run.len().min(step);
                written.extend_from_slice(&run[..n]);
                queue.handle_sent(n);
            }
            assert_eq!(written, whole, "{step} bytes at a time");
        }
    }

    #[test]
    fn a_begun_frame_is_lent_alone_up_to_its_end() {
        let mut buffer = [0; 64];
        let mut queue = queue(&mut buffer);
        queue.push(DIALECT, (237, 1), u32::MAX, body(b"one")).unwrap();
        queue.push(DIALECT, (237, 2), u32::MAX, body(b"two")).unwrap();
        assert_eq!(queue.poll_transmit(true), b"");
        queue.handle_sent(5);
        assert!(queue.is_begun());
        assert_eq!(queue.poll_transmit(true).len(), 14);
        assert_eq!(queue.poll_transmit(false).len(), 33);
    }

    #[test]
    fn room_behind_written_frames_is_used_again() {
        let mut buffer = [0; 40];
        let mut queue = queue(&mut buffer);
        queue.push(DIALECT, (237, 1), u32::MAX, body(b"first")).unwrap();
        queue.push(DIALECT, (237, 2), u32::MAX, body(b"")).unwrap();
        let full = EncodeError::Buffer(BufferTooSmall { required: 20 });
        assert_eq!(queue.push(DIALECT, (237, 3), u32::MAX, body(b"more")), Err(full));
        queue.handle_sent(22);
        assert_eq!(queue.push(DIALECT, (237, 3), u32::MAX, body(b"more")), Ok(20));
        assert_eq!(&queue.poll_transmit(false)[15 + 16..], b"more");
        queue.handle_sent(usize::MAX);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_encoder_that_claims_more_than_there_was_room_for_is_refused() {
        let mut buffer = [0; 20];
        let mut queue = queue(&mut buffer);
        let full = EncodeError::Buffer(BufferTooSmall { required: 21 });
        assert_eq!(queue.push(DIALECT, (237, 1), u32::MAX, |_| Ok(5)), Err(full));
        assert!(queue.is_empty());
    }

    #[test]
    fn without_a_buffer_nothing_fits_and_nothing_breaks() {
        let mut queue: Queue<Vec<u8>> = Queue::new(Layout::Wire20, None);
        let full = EncodeError::Buffer(BufferTooSmall { required: 20 });
        assert_eq!(queue.push(&Dialect::MARS, (6, 1), u32::MAX, body(b"")), Err(full));
        queue.handle_sent(7);
        assert_eq!(queue.poll_transmit(false), b"");
        assert_eq!(queue.lend(std::vec![0; 32]), Ok(()));
        assert_eq!(queue.push(&Dialect::MARS, (6, 1), u32::MAX, body(b"")), Ok(20));
        assert_eq!(queue.reclaim(), None, "a frame waits");
        queue.handle_sent(20);
        assert!(queue.reclaim().is_some());
    }
}
