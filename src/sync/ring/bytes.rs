use crate::time::as_u32;
use crate::wire::{fill, shift};

/// The bytes of the items, one behind the other around a slice, none of them cut at its end.
#[derive(Debug)]
pub(super) struct ByteRing<'b> {
    room: &'b mut [u8],
    /// Where the next item begins if it fits there.
    tail: u32,
    /// From the first byte of the oldest item to `tail`, with what is left unused at the end of the slice.
    span: u32,
}

impl<'b> ByteRing<'b> {
    /// Beyond 4 GiB nothing is used.
    pub(super) fn new(room: &'b mut [u8]) -> Self {
        Self { room, tail: 0, span: 0 }
    }

    pub(super) fn capacity(&self) -> u32 {
        as_u32(self.room.len())
    }

    /// Where so many bytes would begin, and how many before that stay unused.
    fn place(&self, length: u32) -> Option<(u32, u32)> {
        let capacity = self.capacity();
        let to_the_end = capacity.saturating_sub(self.tail);
        let free = capacity.saturating_sub(self.span);
        if length <= to_the_end.min(free) {
            Some((self.tail, 0))
        } else {
            (length <= free.saturating_sub(to_the_end)).then_some((0, to_the_end))
        }
    }

    pub(super) fn fits(&self, length: u32) -> bool {
        self.place(length).is_some()
    }

    /// Takes so many bytes behind the newest, and tells where they begin.
    pub(super) fn take(&mut self, length: u32) -> Option<u32> {
        let (start, unused) = self.place(length)?;
        self.tail = start.saturating_add(length);
        self.span = self.span.saturating_add(unused).saturating_add(length);
        Some(start)
    }

    /// The oldest item, which began at `from`, is gone; the oldest now begins at `to`, or there is none.
    pub(super) fn release(&mut self, from: u32, to: Option<u32>) {
        let Some(to) = to else { return self.restart(0) };
        let around = if to < from { self.capacity() } else { 0 };
        self.span = self.span.saturating_sub(to.saturating_add(around).saturating_sub(from));
    }

    /// Nothing is taken any more, and the next goes to `start`.
    pub(super) fn restart(&mut self, start: u32) {
        (self.tail, self.span) = (start, 0);
    }

    pub(super) fn get(&self, start: u32, length: u32) -> &[u8] {
        self.room.get(index(start)..index(start.saturating_add(length))).unwrap_or_default()
    }

    pub(super) fn write(&mut self, start: u32, bytes: &[u8]) {
        if let Some(room) = self.room.get_mut(index(start)..) {
            let _ = fill(room, bytes);
        }
    }

    /// Moves an item towards the oldest end, to where nothing is needed any more. It may overlap itself.
    pub(super) fn relocate(&mut self, from: u32, to: u32, length: u32) {
        if to < from {
            // Both on the same side of the slice's end.
            if let Some(both) = self.room.get_mut(index(to)..index(from.saturating_add(length))) {
                shift(both, index(from.saturating_sub(to)));
            }
        } else if to > from {
            // From behind the slice's end to before it.
            if let Some((low, high)) = self.room.split_at_mut_checked(index(to)) {
                let item = low.get(index(from)..index(from.saturating_add(length))).unwrap_or_default();
                let _ = fill(high, item);
            }
        }
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
