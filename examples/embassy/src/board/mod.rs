//! The LM3S6965 of TI's evaluation board, as QEMU has it: one UART, and two timers for the time.
//!
//! QEMU starts it at 12.5 MHz, and has neither pins nor baud rates. A chip wants all that set, which is what the crate of its
//! family is for.

mod clock;
mod registers;
mod uart;

use registers::RCGC1;
pub(crate) use uart::Uart;

/// Starts time and UART. Once, before anything else.
pub(crate) fn start() -> Uart {
    // The clocks of UART 0 and timer 0.
    RCGC1.write(RCGC1.read() | 1 << 16 | 1);
    clock::start();
    uart::start()
}
