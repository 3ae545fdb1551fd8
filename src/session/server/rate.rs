use crate::session::limits::FRAME_BURST;
use crate::time::{Instant, deadline, micros};
use core::time::Duration;

/// How many frames a peer may send: one per interval, and [`FRAME_BURST`] at once.
///
/// The generic cell rate algorithm (ITU-T I.371), which needs one instant: when the frames so far would have come at the
/// sustained rate.
#[derive(Debug)]
pub(super) struct Rate {
    expected: Instant,
    paused: Option<Instant>,
}

impl Rate {
    pub(super) const fn new(now: Instant) -> Self {
        Self { expected: now, paused: None }
    }

    pub(super) fn handle_frame(&mut self, now: Instant, interval: Duration) {
        self.charge(now, interval, interval);
    }

    /// Something came that counts for more than a frame: for so much time.
    pub(super) fn charge(&mut self, now: Instant, cost: Duration, interval: Duration) {
        if interval.is_zero() {
            return;
        }
        self.expected = self.expected.max(now) + cost;
        let ahead = self.expected.micros_since(now);
        let allowed = micros(interval).saturating_mul(FRAME_BURST.into());
        if let Some(excess) = ahead.checked_sub(allowed).filter(|excess| *excess > 0) {
            self.paused = deadline(now, Duration::from_micros(excess));
        }
    }

    /// `true` if a pause ends.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.paused.take_if(|at| *at <= now).is_some()
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.paused
    }
}
