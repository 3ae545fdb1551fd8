use crate::time::{Instant, deadline_in, millis, thousandth};
use core::time::Duration;

/// A time in a slot: 4 bytes instead of 16, up to 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Millis(u32);

impl Millis {
    pub(super) const ZERO: Self = Self(0);

    pub(super) fn new(duration: Duration) -> Self {
        Self(millis(duration))
    }

    pub(super) fn after(self, now: Instant) -> Option<Instant> {
        deadline_in(now, u64::from(self.0).saturating_mul(1_000))
    }
}

/// How long the answer to a message may take: the estimator of RFC 6298, which the caller feeds with messages that were
/// written once (Karn's rule), and whose result doubles with every attempt (section 5.5 there).
#[derive(Debug)]
pub(super) struct Rto {
    /// Smoothed round-trip time and its variation, in milliseconds; `None` before the first sample.
    smoothed: Option<(u32, u32)>,
    /// The time-out of a first attempt.
    pub(super) first: Millis,
}

impl Rto {
    /// Before the first sample. Tencent Mars waits as long for the first packet of an answer.
    const INITIAL: u32 = 12_000;
    /// Less than this would write again what a slow store is busy with.
    pub(super) const LEAST: Millis = Millis(5_000);
    const MOST: u32 = 60_000;

    pub(super) const fn new() -> Self {
        Self { smoothed: None, first: Millis(Self::INITIAL) }
    }

    /// An answer came so long after its message.
    pub(super) fn sample(&mut self, micros: u64) {
        let sample = u32::try_from(thousandth(micros)).unwrap_or(u32::MAX).min(Self::MOST);
        let (smoothed, variation) = match self.smoothed {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(sample);
                // 7/8 and 1/8, 3/4 and 1/4. All are below 2^16, so no sum overflows.
                let smoothed = smoothed.wrapping_mul(7).wrapping_add(sample) / 8;
                (smoothed, variation.wrapping_mul(3).wrapping_add(off) / 4)
            }
        };
        self.smoothed = Some((smoothed, variation));
        let timeout = smoothed.wrapping_add(variation.wrapping_mul(4));
        self.first = Millis(timeout.clamp(Self::LEAST.0, Self::MOST));
    }
}

/// `timeout`, doubled for every attempt spent, a minute at most unless it was longer.
pub(super) fn backed_off(timeout: Millis, spent: u8) -> Millis {
    if spent == 0 {
        return timeout;
    }
    let factor = 1_u32.checked_shl(spent.into()).unwrap_or(u32::MAX);
    Millis(timeout.0.saturating_mul(factor).min(Rto::MOST.max(timeout.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_out_is_that_of_no_sample_and_doubles_up_to_a_minute() {
        let rto = Rto::new();
        assert_eq!(
            [0, 1, 2, 3, 200].map(|spent| backed_off(rto.first, spent).0),
            [12_000, 24_000, 48_000, 60_000, 60_000]
        );
        assert_eq!(backed_off(Millis(90_000), 3), Millis(90_000), "what is asked for is not cut");
    }

    #[test]
    fn a_fast_link_is_not_hurried_and_a_slow_one_is_waited_for() {
        let mut rto = Rto::new();
        rto.sample(1_000);
        assert_eq!(rto.first, Rto::LEAST);
        let mut rto = Rto::new();
        rto.sample(4_000_000);
        assert_eq!(rto.first, Millis(12_000), "4 s and four times 2 s");
        rto.sample(4_000_000);
        assert_eq!(rto.first, Millis(10_000), "4 s and four times 1.5 s");
        for _ in 0..50 {
            rto.sample(u64::MAX);
        }
        assert_eq!(rto.first, Millis(60_000));
    }
}
