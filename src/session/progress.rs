use super::limits::{FRAME_RATE, FRAME_TIMEOUT};
use crate::time::{Instant, as_u64, deadline, transfer_time};

/// Watches that a frame which was begun also ends: slow is fine, endless is not.
///
/// It sees byte counts and whole frames only. While the bytes that came and the frames that they made differ, a frame is
/// in progress, or a too long one is being skipped; it must end within [`FRAME_TIMEOUT`] and the time that what came of it
/// takes at [`FRAME_RATE`].
#[derive(Debug)]
pub(super) struct Progress {
    /// All bytes that came.
    received: u64,
    /// The length of all frames that came. More than that while one is being skipped.
    framed: u64,
    /// When the frame in progress was begun, and how many bytes had come then.
    since: Instant,
    begun_at: u64,
}

impl Progress {
    pub(super) const fn new(now: Instant) -> Self {
        Self { received: 0, framed: 0, since: now, begun_at: 0 }
    }

    pub(super) fn handle_received(&mut self, now: Instant, n: usize) {
        if self.received == self.framed {
            self.since = now;
        }
        self.received = self.received.saturating_add(as_u64(n));
    }

    /// A frame of `length` bytes is over, or is being skipped.
    pub(super) fn handle_framed(&mut self, now: Instant, length: usize) {
        self.framed = self.framed.saturating_add(as_u64(length));
        (self.since, self.begun_at) = (now, self.framed.min(self.received));
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
        if self.received == self.framed {
            return None;
        }
        let came = self.received.saturating_sub(self.begun_at);
        deadline(self.since, FRAME_TIMEOUT.saturating_add(transfer_time(came, FRAME_RATE)))
    }
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
