//! How deep the stack has been: what lies below it is painted at the start, and what is not paint any more was used.

use core::ptr::addr_of;

const PAINT: u32 = 0x5AA5_C33C;
/// What the painter itself may use.
const MARGIN: usize = 256;

unsafe extern "C" {
    // The linker's, at the end of the statics and at the end of RAM.
    static __sheap: u32;
    static _stack_start: u32;
}

/// Paints what is not in use yet. Called once, first. As a function of its own its frame is the lowest.
#[inline(never)]
pub fn paint() {
    let here = 0_u32;
    let end = addr_of!(here) as usize - MARGIN;
    let mut at = addr_of!(__sheap) as *mut u32;
    while (at as usize) < end {
        // SAFETY: the linker reserves all from `__sheap` to the start of the stack for the stack, and below this frame
        // and its margin nothing of it is in use.
        unsafe {
            at.write_volatile(PAINT);
            at = at.add(1);
        }
    }
}

/// The most bytes of stack that were in use since [`paint`].
pub fn deepest() -> usize {
    let end = addr_of!(_stack_start) as usize;
    let mut at = addr_of!(__sheap);
    // SAFETY: all of it lies between two symbols of the linker, and is memory; what is in it does not matter.
    while (at as usize) < end && unsafe { at.read_volatile() } == PAINT {
        // SAFETY: as above.
        at = unsafe { at.add(1) };
    }
    end - at as usize
}
