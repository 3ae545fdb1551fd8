use super::limits::{FRAME_RATE, FRAME_TIMEOUT};
use crate::time::{Instant, as_u32, as_u64, deadline_in, micros, transfer_time};

/// Watches that a frame which was begun also ends: slow is fine, endless is not.
///
/// It sees byte counts and whole frames only. While the bytes that came and the frames that they made differ, a frame is
/// in progress, or a too long one is being skipped; it must end within [`FRAME_TIMEOUT`] and the time that what came of it
/// takes at [`FRAME_RATE`].
#[derive(Debug)]
pub(super) struct Progress {
    /// All bytes that came.
    received: u64,
    /// When the frame in progress was begun.
    since: Instant,
    /// The length of all frames that came, more than `received` while one is being skipped; and how many bytes had come when
    /// the frame in progress was begun. Both modulo 2³²: no frame is nearly as long.
    framed: u32,
    begun_at: u32,
}

impl Progress {
    pub(super) const fn new(now: Instant) -> Self {
        Self { received: 0, since: now, framed: 0, begun_at: 0 }
    }

    pub(super) fn handle_received(&mut self, now: Instant, n: usize) {
        if self.ahead() == 0 {
            self.since = now;
        }
        self.received = self.received.saturating_add(as_u64(n));
    }

    /// A frame of `length` bytes is over, or is being skipped.
    pub(super) fn handle_framed(&mut self, now: Instant, length: usize) {
        self.framed = self.framed.wrapping_add(as_u32(length));
        let skips = self.ahead() > u32::MAX / 2;
        (self.since, self.begun_at) = (now, if skips { low(self.received) } else { self.framed });
    }

    /// Starts the clock again: this side was not looking.
    pub(super) fn rebase(&mut self, now: Instant) {
        self.since = now;
    }

    /// All bytes that came.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.ahead() == 0 {
            return None;
        }
        let came = low(self.received).wrapping_sub(self.begun_at);
        deadline_in(self.since, micros(FRAME_TIMEOUT).saturating_add(transfer_time(came.into(), FRAME_RATE)))
    }

    /// How many bytes of a frame in progress have come; as a negative number, how many are still to be skipped.
    const fn ahead(&self) -> u32 {
        low(self.received).wrapping_sub(self.framed)
    }
}

/// A count modulo 2³².
const fn low(count: u64) -> u32 {
    let [.., a, b, c, d] = count.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Instant = Instant::from_secs;

    #[test]
    fn between_frames_nothing_is_due() {
        let mut progress = Progress::new(S(0));
        progress.handle_received(S(1), 48);
        progress.handle_framed(S(1), 16);
        progress.handle_framed(S(1), 32);
        assert_eq!(progress.poll_timeout(), None);
    }

    #[test]
    fn a_byte_a_second_does_not_keep_a_frame_open_for_ever() {
        let mut progress = Progress::new(S(0));
        let mut at = 0;
        while progress.poll_timeout().is_none_or(|end| end > S(at)) {
            progress.handle_received(S(at), 1);
            at += 1;
        }
        assert_eq!(at, 30);
    }

    #[test]
    fn a_kilobyte_a_second_is_fast_enough_for_any_frame() {
        let mut progress = Progress::new(S(0));
        for at in 0..1_000 {
            progress.handle_received(S(at), 1_024);
            assert!(progress.poll_timeout() > Some(S(at)), "at {at} s");
        }
    }

    #[test]
    fn a_skipped_frame_must_end_too() {
        let mut progress = Progress::new(S(0));
        progress.handle_received(S(0), 16);
        progress.handle_framed(S(0), 5_016);
        assert_eq!(progress.poll_timeout(), Some(S(30)));
        progress.handle_received(S(10), 2_500);
        assert_eq!(progress.poll_timeout(), Some(S(32)));
        progress.handle_received(S(20), 2_500);
        assert_eq!(progress.poll_timeout(), None);
    }
}
