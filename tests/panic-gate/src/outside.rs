//! Values that the optimizer cannot foresee, and uses that it cannot do without.

use core::{hint::black_box, ptr, time::Duration};
use longlink::Instant;
use longlink::wire::{BufferTooSmall, Dialect};

/// The same value, but anything of its type as far as the optimizer knows. Of a reference: to anything.
pub fn any<T>(value: T) -> T {
    black_box(value)
}

/// Uses a value.
pub fn keep<T>(value: T) {
    black_box(value);
}

/// A number, as it would come out of a peripheral.
pub fn number() -> u32 {
    // SAFETY: the image is never run.
    unsafe { ptr::without_provenance::<u32>(0x4000_0000).read_volatile() }
}

pub fn size() -> usize {
    number() as usize
}

pub fn short() -> u16 {
    any(0)
}

pub fn flag() -> bool {
    number() != 0
}

pub fn now() -> Instant {
    any(Instant::ZERO)
}

pub fn duration() -> Duration {
    any(Duration::ZERO)
}

pub fn bytes() -> &'static [u8] {
    any(&[])
}

pub fn buffer() -> &'static mut [u8] {
    any(&mut [])
}

pub fn dialect() -> &'static Dialect {
    any(&Dialect::LONGLINK)
}

/// What an application that writes a body in place may do: anything.
pub fn body(room: &mut [u8]) -> Result<usize, BufferTooSmall> {
    keep(room);
    any(Ok(0))
}

/// The same, told its sequence.
pub fn numbered(sequence: u32, room: &mut [u8]) -> Result<usize, BufferTooSmall> {
    keep(sequence);
    body(room)
}

/// A buffer that does not keep its word: it is another one each time it is asked.
pub struct Fickle;

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        bytes()
    }
}

impl AsMut<[u8]> for Fickle {
    fn as_mut(&mut self) -> &mut [u8] {
        buffer()
    }
}
