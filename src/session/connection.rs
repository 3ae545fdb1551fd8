use super::progress::Progress;
use super::transmit::{Control, Transmit};
use super::{Disconnect, SendError, Stats};
use crate::Instant;
use crate::wire::{BufferTooSmall, Dialect, Frame};
use core::time::Duration;

/// What both sides keep of one connection: its clock, its bytes in and out, and why it ends.
#[derive(Debug)]
pub(super) struct Connection<'b, B> {
    now: Instant,
    /// What this side decided or the peer announced; it outweighs what the transport says later.
    pub(super) why: Option<Disconnect>,
    /// The end of a state that lasts so long at most.
    pub(super) until: Option<Instant>,
    pub(super) transmit: Transmit<'b, B>,
    pub(super) progress: Progress,
    pub(super) stats: Stats,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Connection<'_, B> {
    pub(super) fn new(dialect: &'static Dialect, buffer: Option<B>, now: Instant) -> Self {
        Self {
            now,
            why: None,
            until: None,
            transmit: Transmit::new(dialect, buffer),
            progress: Progress::new(now),
            stats: Stats::default(),
        }
    }

    /// The session's clock: never before an earlier instant.
    pub(super) fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// A new connection takes the place of the last.
    pub(super) fn handle_connected(&mut self, now: Instant) {
        self.progress = Progress::new(now);
        self.stats = Stats::default();
        (self.why, self.until) = (None, None);
    }

    pub(super) fn handle_received(&mut self, now: Instant, n: usize) {
        self.stats.bytes_received = self.stats.bytes_received.saturating_add(as_u64(n));
        self.progress.handle_received(now, n);
        self.transmit.handle_received();
    }

    pub(super) fn handle_frame(&mut self, now: Instant, frame: &Frame<'_>) {
        self.stats.frames_received = self.stats.frames_received.saturating_add(1);
        if !frame.is_nested() {
            self.progress.handle_framed(now, frame.length());
        }
    }

    pub(super) fn handle_skipped(&mut self, now: Instant, length: u32) {
        self.stats.skipped = self.stats.skipped.saturating_add(1);
        self.progress.handle_framed(now, length as usize);
    }

    /// The frame just handled meant nothing.
    pub(super) fn count_dropped(&mut self) {
        self.stats.dropped = self.stats.dropped.saturating_add(1);
    }

    /// `n` bytes were written. Returns the control frame that this ended and the time that what was written may still
    /// need to arrive; `done` is told both for each frame of the outbox that it ended.
    pub(super) fn handle_sent(&mut self, n: usize, mut done: impl FnMut(u32, Duration)) -> (Option<Control>, Duration) {
        self.stats.bytes_sent = self.stats.bytes_sent.saturating_add(as_u64(n));
        let transfer = self.transmit.count_sent(n);
        let control = self.transmit.handle_sent(n, |sequence| done(sequence, transfer));
        if control == Some(Control::Heartbeat) {
            self.stats.heartbeats = self.stats.heartbeats.saturating_add(1);
        }
        (control, transfer)
    }

    /// Queues a frame.
    pub(super) fn push(
        &mut self,
        command: u32,
        sequence: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), SendError> {
        let capacity = self.transmit.outbox.capacity();
        let pushed = self.transmit.outbox.push(command, sequence, encode);
        pushed.map(drop).map_err(|error| SendError::from_encode(error, capacity))
    }

    /// The link is dead: nothing more is written.
    pub(super) fn die(&mut self, why: Disconnect) {
        self.until = None;
        self.transmit.clear();
        self.why.get_or_insert(why);
    }
}

pub(super) fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
