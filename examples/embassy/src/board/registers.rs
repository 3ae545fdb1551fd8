//! The registers of the chip that are used: the one place with addresses in it.

/// A 32-bit register of a peripheral. There are none but those below.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    pub(super) fn read(self) -> u32 {
        // SAFETY: the address is one of those below, where the chip has a register at all times, and Rust has nothing.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(super) fn write(self, value: u32) {
        // SAFETY: as above. None of them has the chip write to memory.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// Which peripherals have a clock.
pub(super) const RCGC1: Register = Register(0x400F_E104);

/// UART 0.
pub(super) mod uart {
    use super::Register;

    pub(in super::super) const DATA: Register = Register(0x4000_C000);
    pub(in super::super) const FLAGS: Register = Register(0x4000_C018);
    pub(in super::super) const LINE: Register = Register(0x4000_C02C);
    pub(in super::super) const CONTROL: Register = Register(0x4000_C030);
    pub(in super::super) const MASK: Register = Register(0x4000_C038);
    pub(in super::super) const CLEAR: Register = Register(0x4000_C044);
}

/// Timer 0.
pub(super) mod timer {
    use super::Register;

    pub(in super::super) const MODE: Register = Register(0x4003_0004);
    pub(in super::super) const CONTROL: Register = Register(0x4003_000C);
    pub(in super::super) const MASK: Register = Register(0x4003_0018);
    pub(in super::super) const CLEAR: Register = Register(0x4003_0024);
    pub(in super::super) const LOAD: Register = Register(0x4003_0028);
}
