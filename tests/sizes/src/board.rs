//! A board of registers, that of QEMU's `mps2-an386`: linked to be measured, not run.

use crate::app::Board;
use core::ptr::{read_volatile, write_volatile};
use longlink::Instant;

/// A UART as the transport, and a modem's line to dial with.
pub struct Registers;

const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *mut u32 = 0x4000_4004 as *mut u32;
const LINE: *mut u32 = 0x4000_5000 as *mut u32;
/// Milliseconds, as an interrupt counts them.
const CLOCK: *const u32 = 0x2000_0000 as *const u32;

impl Board for Registers {
    fn now(&self) -> Instant {
        // SAFETY: an aligned word of RAM.
        Instant::from_millis(u64::from(unsafe { read_volatile(CLOCK) }))
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        let mut n = 0;
        // SAFETY: registers of the board.
        while unsafe { read_volatile(STATE) } & 2 != 0 {
            let Some(byte) = into.get_mut(n) else { break };
            // SAFETY: as above.
            *byte = unsafe { read_volatile(DATA) } as u8;
            n += 1;
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut n = 0;
        // SAFETY: registers of the board.
        while unsafe { read_volatile(STATE) } & 1 == 0 {
            let Some(byte) = bytes.get(n) else { break };
            // SAFETY: as above.
            unsafe { write_volatile(DATA, u32::from(*byte)) };
            n += 1;
        }
        n
    }

    fn dial(&mut self, index: u16) -> bool {
        // SAFETY: a register of the board.
        unsafe {
            write_volatile(LINE, u32::from(index));
            read_volatile(LINE) != 0
        }
    }

    fn hang_up(&mut self) {
        // SAFETY: a register of the board.
        unsafe { write_volatile(LINE, u32::MAX) };
    }

    fn store(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }
}

/// What can panic does not link: [`crate`] is measured without any.
#[cfg(not(feature = "run"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn longlink_may_panic() -> !;
    }
    longlink_may_panic()
}
