//! embassy's time driver: SysTick tells the time, timer 0 wakes.
//!
//! SysTick counts 24 bits of processor cycles down, again and again, and its interrupt counts the rounds, one every 1.3 s.
//! Timer 0 runs once, for as long as it is to the next deadline: no tick wakes a processor that has nothing to do.

use super::registers::timer::{CLEAR, CONTROL, LOAD, MASK, MODE};
use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use lm3s6965::{Interrupt, interrupt};

/// Two microseconds are so many cycles.
const CYCLES: u64 = 25;
/// The last count of a round of SysTick.
const LAST: u32 = 0x00FF_FFFF;

/// In the timer's registers.
const ONCE: u32 = 1;
const ENABLED: u32 = 1;
const TIMED_OUT: u32 = 1;

struct Time {
    rounds: AtomicU32,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static TIME: Time = Time {
    rounds: AtomicU32::new(0),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Time {
    /// Microseconds; for 180 years.
    fn now(&self) -> u64 {
        let (rounds, left) = critical_section::with(|_| {
            let (rounds, first) = (self.rounds.load(Ordering::Relaxed), left());
            // A round that has ended, and was not counted yet: what was read may be of either.
            if SCB::is_pendst_pending() { (rounds.wrapping_add(1), left()) } else { (rounds, first) }
        });
        let cycles = u64::from(rounds) << 24 | u64::from(LAST - left);
        cycles * 2 / CYCLES
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if self.queue.borrow_ref_mut(cs).schedule_wake(at, waker) {
                self.arm(cs);
            }
        });
    }
}

impl Time {
    /// Wakes whoever is due, and sets the alarm for the next.
    fn arm(&self, cs: CriticalSection<'_>) {
        let now = self.now();
        let next = self.queue.borrow_ref_mut(cs).next_expiration(now);
        CONTROL.write(0);
        if next < u64::MAX {
            // An alarm that is further away than the timer reaches, 343 s, is early, and finds nobody due.
            let cycles = next.saturating_sub(now).saturating_mul(CYCLES).div_ceil(2);
            LOAD.write(u32::try_from(cycles).unwrap_or(u32::MAX).max(1));
            CONTROL.write(ENABLED);
        }
    }
}

/// What is left of the round. Not 0: that may be of the round that ends or of the one that begins, and lasts for a cycle.
fn left() -> u32 {
    loop {
        let left = SYST::get_current();
        if left > 0 {
            return left;
        }
    }
}

pub(super) fn start() {
    // SAFETY: nobody else has the core's peripherals.
    let mut core = unsafe { cortex_m::Peripherals::steal() };
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(LAST);
    core.SYST.clear_current();
    core.SYST.enable_interrupt();
    core.SYST.enable_counter();
    MODE.write(ONCE);
    MASK.write(TIMED_OUT);
    // SAFETY: no critical section is made of masked interrupts here.
    unsafe { NVIC::unmask(Interrupt::TIMER_0A) };
}

#[exception]
fn SysTick() {
    TIME.rounds.fetch_add(1, Ordering::Relaxed);
}

#[interrupt]
fn TIMER_0A() {
    CLEAR.write(TIMED_OUT);
    critical_section::with(|cs| TIME.arm(cs));
}
