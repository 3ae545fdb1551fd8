//! TI's (Stellaris) LM3S6965: a Cortex-M3. Runs what is built for ARMv6-M, too.
//!
//! The SysTick counts, the general-purpose timer 0 is the alarm, and UART 0 is where the modem is. Numbers from the data sheet.

use super::register::Register;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::Peripherals;
use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use longlink::Instant;

pub use cortex_m_rt::entry;

pub const NAME: &str = "lm3s6965evb";

/// 200 MHz by 16, as after a reset.
const NANOS_PER_TICK: u64 = 80;
/// The SysTick counts 24 bits.
const WRAP: u64 = 1 << 24;

struct Serial {
    data: Register<u32>,
    flags: Register<u32>,
    baud: Register<u32>,
    baud_fraction: Register<u32>,
    line: Register<u32>,
    control: Register<u32>,
    mask: Register<u32>,
}

// SAFETY: these are the addresses of UART 0, all of 32 bits; it moves no memory by itself.
const UART: Serial = unsafe {
    Serial {
        data: Register::at(0x4000_C000),
        flags: Register::at(0x4000_C018),
        baud: Register::at(0x4000_C024),
        baud_fraction: Register::at(0x4000_C028),
        line: Register::at(0x4000_C02C),
        control: Register::at(0x4000_C030),
        mask: Register::at(0x4000_C038),
    }
};

struct Timer {
    mode: Register<u32>,
    control: Register<u32>,
    mask: Register<u32>,
    clear: Register<u32>,
    load: Register<u32>,
}

// SAFETY: these are the addresses of timer 0, all of 32 bits; it moves no memory by itself.
const TIMER: Timer = unsafe {
    Timer {
        mode: Register::at(0x4003_0004),
        control: Register::at(0x4003_000C),
        mask: Register::at(0x4003_0018),
        clear: Register::at(0x4003_0024),
        load: Register::at(0x4003_0028),
    }
};

// SAFETY: the address of the clock gates, of 32 bits.
const CLOCK_GATES: Register<u32> = unsafe { Register::at(0x400F_E104) };

/// The line and the time-out of the receive FIFO.
const RECEIVES: u32 = 1 << 4 | 1 << 6;
const TRANSMITS: u32 = 1 << 5;

#[derive(Clone, Copy)]
#[repr(u16)]
enum Interrupt {
    Uart0 = 5,
    Timer0 = 19,
}

// SAFETY: these are their numbers.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// How often the SysTick has come round.
static WRAPS: AtomicU32 = AtomicU32::new(0);

/// Starts the clock, and opens the UART: 115,200 baud, 8N1.
pub fn start() -> Uart {
    cortex_m::interrupt::disable();
    if let Some(mut core) = Peripherals::take() {
        core.SYST.set_clock_source(SystClkSource::Core);
        core.SYST.set_reload(WRAP as u32 - 1);
        core.SYST.clear_current();
        core.SYST.enable_interrupt();
        core.SYST.enable_counter();
    }
    CLOCK_GATES.write(CLOCK_GATES.read() | 1 << 16 | 1); // clocks for timer 0 and UART 0
    TIMER.mode.write(1); // one shot, all 32 bits
    TIMER.mask.write(1);
    UART.control.write(0);
    UART.baud.write(6);
    UART.baud_fraction.write(50);
    UART.line.write(0x70); // 8N1, FIFOs
    UART.control.write(0x301); // both ways
    // SAFETY: interrupts stay off; these only end a sleep.
    unsafe {
        NVIC::unmask(Interrupt::Uart0);
        NVIC::unmask(Interrupt::Timer0);
    }
    Uart(())
}

/// The time since [`start`]. Must be asked for within every 1.3 s, which [`sleep`] sees to.
pub fn now() -> Instant {
    let (count, has_wrapped) = loop {
        let before = SCB::is_pendst_pending();
        let count = SYST::get_current();
        // At zero it is not known yet on which side of the wrap this is.
        if count != 0 && before == SCB::is_pendst_pending() {
            break (u64::from(count), before);
        }
    };
    // Not asked again: a wrap since then is none of this count's, and the next call's to see.
    if has_wrapped {
        SCB::clear_pendst();
        WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    let ticks = u64::from(WRAPS.load(Ordering::Relaxed)) * WRAP + (WRAP - count);
    Instant::from_micros(ticks * NANOS_PER_TICK / 1_000)
}

/// Sleeps until a byte has come, or `until`, or there is room to write, if that is wanted. May wake early: it does when the
/// SysTick comes round, every 1.3 s.
pub fn sleep(until: Option<Instant>, wants_room: bool) {
    UART.mask.write(RECEIVES | if wants_room { TRANSMITS } else { 0 });
    if let Some(until) = until {
        let micros = until.micros_since(now()).clamp(1, 2_000_000);
        TIMER.load.write((micros * 1_000 / NANOS_PER_TICK) as u32);
        TIMER.control.write(1);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::wfi();
    TIMER.control.write(0);
    TIMER.clear.write(1);
    UART.mask.write(RECEIVES);
    NVIC::unpend(Interrupt::Timer0);
    NVIC::unpend(Interrupt::Uart0); // pends again while the FIFO holds something
}

/// The UART that leads to the modem.
pub struct Uart(());

impl Uart {
    pub fn read(&mut self) -> Option<u8> {
        (UART.flags.read() & 1 << 4 == 0).then(|| UART.data.read() as u8)
    }

    pub fn has_room(&self) -> bool {
        UART.flags.read() & 1 << 5 == 0
    }

    /// Only while there [is room](Self::has_room).
    pub fn write(&mut self, byte: u8) {
        UART.data.write(byte.into());
    }
}
