//! QEMU's RISC-V machine `virt`, which stands for any part with a CLINT, a PLIC and a 16550: hart 0 in machine mode.

use super::register::Register;
use longlink::Instant;
use riscv::interrupt::Interrupt;
use riscv::register::mie;

pub use riscv_rt::entry;

pub const NAME: &str = "virt";

const TICKS_PER_MICRO: u64 = 10;
/// The UART's interrupt.
const UART_INTERRUPT: u32 = 10;

struct Serial {
    data: Register<u8>,
    enable: Register<u8>,
    fifo: Register<u8>,
    line: Register<u8>,
    status: Register<u8>,
}

// SAFETY: these are the addresses of the UART, all of 8 bits; it moves no memory by itself.
const UART: Serial = unsafe {
    Serial {
        data: Register::at(0x1000_0000),
        enable: Register::at(0x1000_0001),
        fifo: Register::at(0x1000_0002),
        line: Register::at(0x1000_0003),
        status: Register::at(0x1000_0005),
    }
};

/// The CLINT: two registers of 64 bits, in halves.
struct Timer {
    compare: [Register<u32>; 2],
    time: [Register<u32>; 2],
}

// SAFETY: these are the addresses of hart 0's alarm and of the time, which may be accessed in halves.
const TIMER: Timer = unsafe {
    Timer {
        compare: [Register::at(0x0200_4000), Register::at(0x0200_4004)],
        time: [Register::at(0x0200_BFF8), Register::at(0x0200_BFFC)],
    }
};

/// The PLIC, as far as the UART and hart 0 need it.
struct Interrupts {
    priority: Register<u32>,
    enable: Register<u32>,
    threshold: Register<u32>,
    claim: Register<u32>,
}

// SAFETY: these are the addresses of its registers, all of 32 bits.
const INTERRUPTS: Interrupts = unsafe {
    Interrupts {
        priority: Register::at(0x0C00_0000 + 4 * UART_INTERRUPT as usize),
        enable: Register::at(0x0C00_2000),
        threshold: Register::at(0x0C20_0000),
        claim: Register::at(0x0C20_0004),
    }
};

const RECEIVES: u8 = 1;
const TRANSMITS: u8 = 1 << 1;

/// Opens the UART. The clock runs already.
pub fn start() -> Uart {
    riscv::interrupt::disable();
    set_alarm(u64::MAX);
    UART.line.write(0x83); // the next two are the divisor
    UART.data.write(2); // 115,200 baud
    UART.enable.write(0);
    UART.line.write(3); // 8N1
    UART.fifo.write(0xC1); // 16 bytes; wakes at 14, or when no more come
    UART.enable.write(RECEIVES);
    INTERRUPTS.priority.write(1);
    INTERRUPTS.enable.write(1 << UART_INTERRUPT);
    INTERRUPTS.threshold.write(0);
    // SAFETY: interrupts stay off; these only end a sleep.
    unsafe {
        mie::enable(Interrupt::MachineTimer);
        mie::enable(Interrupt::MachineExternal);
    }
    Uart(())
}

/// The time since the board was switched on.
pub fn now() -> Instant {
    let ticks = loop {
        let [low, high] = &TIMER.time;
        let (before, low) = (high.read(), low.read());
        if before == high.read() {
            break u64::from(before) << 32 | u64::from(low);
        }
    };
    Instant::from_micros(ticks / TICKS_PER_MICRO)
}

/// Sleeps until a byte has come, or `until`, or there is room to write, if that is wanted. May wake early.
pub fn sleep(until: Option<Instant>, wants_room: bool) {
    UART.enable.write(RECEIVES | if wants_room { TRANSMITS } else { 0 });
    set_alarm(until.map_or(u64::MAX, |until| until.as_micros().saturating_mul(TICKS_PER_MICRO)));
    riscv::asm::wfi();
    set_alarm(u64::MAX);
    UART.enable.write(RECEIVES);
    let claimed = INTERRUPTS.claim.read();
    if claimed != 0 {
        INTERRUPTS.claim.write(claimed); // pends again while the FIFO holds something
    }
}

/// In an order in which it is never too early.
fn set_alarm(ticks: u64) {
    let [low, high] = &TIMER.compare;
    high.write(u32::MAX);
    low.write(ticks as u32);
    high.write((ticks >> 32) as u32);
}

/// The UART that leads to the modem.
pub struct Uart(());

impl Uart {
    pub fn read(&mut self) -> Option<u8> {
        (UART.status.read() & 1 != 0).then(|| UART.data.read())
    }

    pub fn has_room(&self) -> bool {
        UART.status.read() & 1 << 5 != 0
    }

    /// Only while there [is room](Self::has_room).
    pub fn write(&mut self, byte: u8) {
        UART.data.write(byte);
    }
}
