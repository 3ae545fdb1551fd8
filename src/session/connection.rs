use super::limits::{DRAIN_TIMEOUT, FRAME_RATE};
use super::progress::Progress;
use super::transmit::{Control, Frames, Transmit};
use super::{Disconnect, Stats};
use crate::time::{Instant, after, as_u64, deadline_in, micros, transfer_time};
use crate::wire::Frame;

/// What both sides keep of one connection: its clock, its bytes in and out, and why it ends.
#[derive(Debug)]
pub(super) struct Connection<F, const R: usize> {
    now: Instant,
    /// What this side decided or the peer announced; it outweighs what the transport says later.
    pub(super) why: Option<Disconnect>,
    /// The end of a state that lasts so long at most.
    pub(super) until: Option<Instant>,
    pub(super) transmit: Transmit<F, R>,
    pub(super) progress: Progress,
    /// How many bytes were written.
    sent: u64,
    counts: Counts,
}

/// What of [`Stats`] is counted nowhere else.
#[derive(Debug, Default)]
struct Counts {
    frames_received: u32,
    heartbeats: u32,
    skipped: u16,
    dropped: u16,
}

impl<F: Frames, const R: usize> Connection<F, R> {
    pub(super) fn new(frames: F, now: Instant) -> Self {
        Self {
            now,
            why: None,
            until: None,
            transmit: Transmit::new(frames),
            progress: Progress::new(now),
            sent: 0,
            counts: Counts::default(),
        }
    }

    /// The session's clock: never before an earlier instant.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// The latest instant that was seen.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// A new connection takes the place of the last.
    pub(super) fn handle_connected(&mut self, now: Instant) {
        self.progress = Progress::new(now);
        (self.sent, self.counts) = (0, Counts::default());
        (self.why, self.until) = (None, None);
    }

    pub(super) fn handle_received(&mut self, now: Instant, n: usize) {
        self.progress.handle_received(now, n);
        self.transmit.handle_received();
    }

    pub(super) fn handle_frame(&mut self, now: Instant, frame: &Frame<'_>) {
        self.counts.frames_received = self.counts.frames_received.saturating_add(1);
        if !frame.is_nested() {
            self.progress.handle_framed(now, frame.length());
        }
    }

    pub(super) fn handle_skipped(&mut self, now: Instant, length: u32) {
        self.counts.skipped = self.counts.skipped.saturating_add(1);
        self.progress.handle_framed(now, length as usize);
    }

    /// The frame just handled meant nothing.
    pub(super) fn count_dropped(&mut self) {
        self.counts.dropped = self.counts.dropped.saturating_add(1);
    }

    /// `n` bytes were written. Returns the control frame that this ended, and the time that what was written may still
    /// need to arrive, in microseconds.
    pub(super) fn handle_sent(&mut self, now: Instant, n: usize) -> (Option<Control>, u64) {
        self.sent = self.sent.saturating_add(as_u64(n));
        let transfer = self.transmit.count_sent(now, n);
        let control = self.transmit.handle_sent(after(now, transfer), n);
        if control == Some(Control::Heartbeat) {
            self.counts.heartbeats = self.counts.heartbeats.saturating_add(1);
        }
        (control, transfer)
    }

    pub(super) fn stats(&self) -> Stats {
        let Counts { frames_received, heartbeats, skipped, dropped } = self.counts;
        let (bytes_received, bytes_sent) = (self.progress.received(), self.sent);
        let (skipped, dropped) = (skipped.into(), dropped.into());
        Stats { bytes_received, bytes_sent, frames_received, heartbeats, skipped, dropped }
    }

    /// What is queued must be written by then: a while, and the time that it takes on a slow link.
    pub(super) fn leave(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        let queued = transfer_time(as_u64(self.transmit.frames.queued()), FRAME_RATE);
        self.until = deadline_in(now, micros(DRAIN_TIMEOUT).saturating_add(queued));
        *self.why.get_or_insert(why)
    }

    /// The link is dead: nothing more is written.
    pub(super) fn die(&mut self, why: Disconnect) {
        self.until = None;
        self.transmit.clear();
        self.why.get_or_insert(why);
    }
}
