//! The board: a UART, a clock, sleep, and what the runner is told. All that is `unsafe` is below here.
//!
//! Another board is another file with these:
//!
//! | | |
//! |---|---|
//! | `NAME` | for the log |
//! | `entry` | the attribute of `main` |
//! | `start() -> Uart` | called once, first |
//! | `now() -> Instant` | a clock that never goes backwards |
//! | `sleep(until, wants_room)` | until a byte has come, or `until`, or there is room to write if that is wanted; may wake early |
//! | `Uart::read`, `has_room`, `write` | one byte, without waiting |
//!
//! No interrupt is ever taken: one that is pending ends the sleep, and the loop finds out what there is to do. A UART that
//! loses bytes while the loop is busy, because it has neither flow control nor a deep FIFO, wants one that fills a ring.

#![allow(clippy::arithmetic_side_effects, reason = "the hardware bounds these numbers")]

#[cfg_attr(target_arch = "arm", path = "lm3s6965evb.rs")]
#[cfg_attr(target_arch = "riscv32", path = "virt.rs")]
mod part;
mod register;
pub mod stack;

use core::panic::PanicInfo;
use defmt_semihosting as _;
pub use part::{NAME, Uart, entry, now, sleep, start};

defmt::timestamp!("{=u64:us}", now().as_micros());

/// Ends QEMU, with an exit code.
pub fn exit(is_good: bool) -> ! {
    semihosting::process::exit(if is_good { 0 } else { 1 })
}

/// Not by anything in the library: that has no path to here.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(at) = info.location() {
        defmt::error!("panic at {=str}:{=u32}", at.file(), at.line());
    }
    exit(false)
}
