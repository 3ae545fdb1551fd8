//! Time as an argument.
//!
//! Nothing in this crate reads a clock. The caller passes an [`Instant`] to every `handle_*` call and gets deadlines
//! back; what the instants count from is the caller's choice, as long as it stays the same for the life of a session.
//! Deadlines are merged by [`earliest`].

use core::{
    fmt,
    num::NonZeroU64,
    ops::{Add, Sub},
    time::Duration,
};

/// A point in time: whole microseconds since a start that the caller chose.
///
/// The range is 0 to [`Instant::MAX`], some 584,000 years. Arithmetic saturates at both ends and never panics.
/// `Option<Instant>` takes 8 bytes.
///
/// ```
/// use core::time::Duration;
/// use longlink::Instant;
///
/// let start = Instant::from_millis(1_500);
/// let deadline = start + Duration::from_secs(30);
/// assert_eq!(deadline - start, Duration::from_secs(30));
/// assert_eq!(start - deadline, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64); // microseconds + 1

impl Instant {
    /// The start of the caller's clock.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// The last instant that can be told.
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The instant `micros` microseconds after the start; `u64::MAX` counts as [`Instant::MAX`].
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// The instant `millis` milliseconds after the start, saturating.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// The instant `secs` seconds after the start, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get().saturating_sub(1)
    }

    /// Microseconds from `earlier` to `self`, 0 if `earlier` is later. Cheaper than a [`Duration`] on small targets,
    /// because it divides nothing.
    #[must_use]
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

/// Saturates at [`Instant::MAX`].
impl Add<Duration> for Instant {
    type Output = Self;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

/// The time from the right-hand side to the left, zero if it is negative.
impl Sub for Instant {
    type Output = Duration;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn sub(self, earlier: Self) -> Duration {
        duration(self.micros_since(earlier))
    }
}

/// Seconds with microseconds.
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.as_micros();
        write!(f, "{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Instant {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u64:us}", self.as_micros());
    }
}

/// The earliest of some deadlines; `None` stands for a timer that is not armed.
///
/// `Option::min` would get this wrong, because `None` sorts first.
///
/// ```
/// use longlink::{earliest, Instant};
///
/// let (soon, late) = (Instant::from_secs(1), Instant::from_secs(2));
/// assert_eq!(earliest([None, Some(late), Some(soon)]), Some(soon));
/// assert_eq!(earliest([None, None]), None);
/// ```
#[must_use]
pub fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    first(&deadlines)
}

/// Out of line, for deadlines of any number.
#[cfg_attr(target_pointer_width = "32", inline(never))]
fn first(deadlines: &[Option<Instant>]) -> Option<Instant> {
    // As numbers, with the absent one behind all others.
    let number = |at: &Option<Instant>| at.map_or(0, |at| at.0.get()).wrapping_sub(1);
    let first = deadlines.iter().map(number).fold(u64::MAX, u64::min);
    NonZeroU64::new(first.wrapping_add(1)).map(Instant)
}

/// The deadline `duration` after `now`, always later than `now`: a zero duration counts as 1 µs, and where the clock
/// ends there is none.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn deadline(now: Instant, duration: Duration) -> Option<Instant> {
    deadline_in(now, micros(duration))
}

/// As [`deadline`], so many microseconds after `now`.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn deadline_in(now: Instant, micros: u64) -> Option<Instant> {
    let at = Instant(now.0.saturating_add(micros.max(1)));
    (at > now).then_some(at)
}

/// So many microseconds after `now`, saturating.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) const fn after(now: Instant, micros: u64) -> Instant {
    Instant(now.0.saturating_add(micros))
}

/// A length as a number of bytes to count with.
pub(crate) fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A length as it is told in an error.
pub(crate) fn as_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Whole milliseconds of `duration`, saturating.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) const fn millis(duration: Duration) -> u32 {
    let millis = duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis() as u64);
    match millis.to_be_bytes() {
        [0, 0, 0, 0, a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => u32::MAX,
    }
}

/// A thousandth, rounded down. A division of 64 bits takes a microcontroller 900 bytes and hundreds of cycles; this takes
/// four of 32.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn thousandth(number: u64) -> u64 {
    if cfg!(target_pointer_width = "64") { number / 1_000 } else { thousandth_by_parts(number) }
}

fn thousandth_by_parts(number: u64) -> u64 {
    if let Ok(number) = u32::try_from(number) {
        return (number / 1_000).into();
    }
    let (mut quotient, mut rest) = (0_u64, 0_u32);
    for shift in [48_u32, 32, 16, 0] {
        let [.., a, b] = number.wrapping_shr(shift).to_be_bytes();
        // The rest is below 1,000, so this is below 2^26.
        let part = (rest << 16) | u32::from(u16::from_be_bytes([a, b]));
        quotient = (quotient << 16) | u64::from(part / 1_000);
        rest = part % 1_000;
    }
    quotient
}

/// As `Duration::from_micros`, without its division.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn duration(micros: u64) -> Duration {
    let secs = millionth(micros);
    let [.., a, b, c, d] = micros.wrapping_sub(secs.wrapping_mul(1_000_000)).to_be_bytes();
    let rest = Duration::from_micros(u32::from_be_bytes([a, b, c, d]).into());
    Duration::from_secs(secs).saturating_add(rest)
}

/// Of microseconds the seconds.
pub(crate) fn millionth(number: u64) -> u64 {
    thousandth(thousandth(number))
}

/// The whole seconds that `bytes` take at `rate` bytes a second, in microseconds.
#[inline(always)]
pub(crate) fn transfer_time(bytes: u64, rate: u64) -> u64 {
    bytes.checked_div(rate).unwrap_or_default().saturating_mul(1_000_000)
}

/// Whole microseconds of `duration`, saturating. Multiplies where `Duration::as_micros` would need 128 bits.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) const fn micros(duration: Duration) -> u64 {
    let (secs, rest) = (duration.as_secs(), duration.subsec_micros() as u64);
    if secs >> 32 == 0 {
        // Below 2^52: nothing to saturate, which costs a microcontroller as much as the rest.
        return secs.wrapping_mul(1_000_000).wrapping_add(rest);
    }
    secs.saturating_mul(1_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_deadline_takes_no_extra_room() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        assert_eq!(Instant::ZERO - Instant::MAX, Duration::ZERO);
        assert_eq!(Instant::MAX.micros_since(Instant::ZERO), u64::MAX - 1);
    }

    #[test]
    fn a_disarmed_timer_is_never_the_earliest() {
        let at = Instant::from_micros(7);
        assert_eq!(earliest([Some(at), None]), Some(at));
        assert_eq!(earliest([]), None);
        assert_eq!(earliest([None, Some(Instant::MAX)]), Some(Instant::MAX));
        assert_eq!(earliest([Some(Instant::MAX), Some(Instant::ZERO)]), Some(Instant::ZERO));
    }

    #[test]
    fn a_thousandth_is_rounded_down() {
        for number in [0, 1, 999, 1_000, 1_001, 65_535_999, 1 << 32, u64::MAX - 615, u64::MAX] {
            assert_eq!((thousandth(number), thousandth_by_parts(number)), (number / 1_000, number / 1_000));
        }
    }

    #[test]
    fn zero_is_an_instant_like_any_other() {
        assert_eq!(Instant::from_micros(0), Instant::ZERO);
        assert_eq!(Instant::ZERO.as_micros(), 0);
        assert_eq!(Instant::from_micros(41).as_micros(), 41);
    }
}
