use crate::session::limits::FRAME_BURST;
use crate::time::{Instant, micros};
use core::time::Duration;

/// How many frames a peer may send: one per interval, and [`FRAME_BURST`] at once.
///
/// The generic cell rate algorithm (ITU-T I.371), which needs one instant: when the frames so far would have come at the
/// sustained rate.
#[derive(Debug)]
pub(super) struct Rate(Instant);

impl Rate {
    pub(super) const fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Something came that counts for so much time, a frame for the `interval`. `true` if the peer is too far ahead.
    pub(super) fn charge(&mut self, now: Instant, cost: Duration, interval: Duration) -> bool {
        if interval.is_zero() {
            return false;
        }
        self.0 = self.0.max(now) + cost;
        self.resumes(interval) > now
    }

    /// When a peer that was too far ahead is not any more.
    pub(super) fn resumes(&self, interval: Duration) -> Instant {
        let burst = micros(interval).saturating_mul(FRAME_BURST.into());
        Instant::from_micros(self.0.as_micros().saturating_sub(burst))
    }
}
