//! UART 0, a PL011, moved by its interrupt: bytes wait in two pipes, one for each way.
//!
//! ```text
//!              interrupt                 Read
//!    FIFO ───────────────▶ RECEIVED ────────────▶ task
//!    FIFO ◀─────────────── SENDING  ◀──────────── task
//!           interrupt, and Write
//! ```
//!
//! Read and write lose nothing when they are dropped: nothing is taken from a pipe before there is somebody to have it.
//! While `RECEIVED` is full the interrupt is off and bytes stay in the FIFO; a peer that goes on then needs to be told by
//! RTS, or bytes are lost, and the read says so: a stream with a hole in it is over.

use super::registers::uart::{CLEAR, CONTROL, DATA, FLAGS, LINE, MASK};
use core::sync::atomic::{AtomicBool, Ordering};
use cortex_m::peripheral::NVIC;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use lm3s6965::{Interrupt, interrupt};

/// In `DATA`: bytes before this one found no room.
const OVERRUN: u32 = 1 << 11;
/// In `FLAGS`.
const FIFO_EMPTY: u32 = 1 << 4;
const FIFO_FULL: u32 = 1 << 5;
/// In `LINE`: 8 bits, and FIFOs.
const EIGHT_BITS: u32 = 3 << 5 | 1 << 4;
/// In `CONTROL`: on, both ways.
const ENABLED: u32 = 1 << 9 | 1 << 8 | 1;
/// In `MASK` and `CLEAR`: there is something in the FIFO, for a while; there is room in it.
const CAN_RECEIVE: u32 = 1 << 6 | 1 << 4;
const CAN_SEND: u32 = 1 << 5;

static RECEIVED: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();
static SENDING: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();
static LOST: AtomicBool = AtomicBool::new(false);

/// Both ways of the UART, for one task at a time.
#[derive(Clone, Copy)]
pub(crate) struct Uart(());

pub(super) fn start() -> Uart {
    LINE.write(EIGHT_BITS);
    CONTROL.write(ENABLED);
    MASK.write(CAN_RECEIVE);
    // SAFETY: no critical section is made of masked interrupts here.
    unsafe { NVIC::unmask(Interrupt::UART0) };
    Uart(())
}

#[interrupt]
fn UART0() {
    CLEAR.write(CAN_RECEIVE | CAN_SEND);
    critical_section::with(|_| {
        receive();
        send();
    });
}

/// Takes out of the FIFO what there is room for.
fn receive() {
    let mut mask = MASK.read() | CAN_RECEIVE;
    while FLAGS.read() & FIFO_EMPTY == 0 {
        if RECEIVED.is_full() {
            mask &= !CAN_RECEIVE;
            break;
        }
        let data = DATA.read();
        if data & OVERRUN != 0 {
            LOST.store(true, Ordering::Relaxed);
        }
        // There is room, as was just seen.
        let _ = RECEIVED.try_write(&[data as u8]);
    }
    MASK.write(mask);
}

/// Puts into the FIFO what it takes.
fn send() {
    let mut byte = [0];
    while FLAGS.read() & FIFO_FULL == 0 {
        if SENDING.try_read(&mut byte).is_err() {
            return MASK.write(MASK.read() & !CAN_SEND);
        }
        DATA.write(byte[0].into());
    }
    MASK.write(MASK.read() | CAN_SEND);
}

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl Read for Uart {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        let n = RECEIVED.read(space).await;
        // There is room again.
        critical_section::with(|_| receive());
        if LOST.load(Ordering::Relaxed) { Err(ErrorKind::Other) } else { Ok(n) }
    }
}

impl Write for Uart {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let n = SENDING.write(bytes).await;
        critical_section::with(|_| send());
        Ok(n)
    }

    /// Nothing to do: it is on its way.
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
