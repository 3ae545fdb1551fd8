use super::limits::{LONGEST_TRANSFER, TRANSFER_RATE, WRITE_RATE, WRITE_TIMEOUT};
use crate::delivery::{Outbox, Queue};
use crate::time::{Instant, after, as_u32, as_u64, deadline, micros, transfer_time};
use crate::wire::{Dialect, encode_header, fill};

/// The frames that a session makes up itself, from its state, when they can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Greeting,
    Heartbeat,
    Answer,
    /// A sync request, and what it is answered from a link's state.
    Sync,
    /// What was stored of a page, or on the other side that there is one.
    SyncNews,
    GoAway,
}

/// The frames of an application that wait to be written.
pub(super) trait Frames {
    /// The bytes to write next; with `begun_only` nothing but the rest of a begun frame.
    fn poll_transmit(&mut self, begun_only: bool) -> &[u8];
    /// The first `n` bytes of the last run are written, and have arrived by `arrival` as far as can be told.
    fn handle_sent(&mut self, arrival: Instant, n: usize);
    /// Nothing more is written on this link, a begun frame neither.
    fn halt(&mut self);
    fn is_begun(&self) -> bool;
    fn is_due(&self) -> bool;
    /// The length of what is due.
    fn queued(&self) -> usize;
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Frames for Queue<B> {
    fn poll_transmit(&mut self, begun_only: bool) -> &[u8] {
        Self::poll_transmit(self, begun_only)
    }

    fn handle_sent(&mut self, _: Instant, n: usize) {
        Self::handle_sent(self, n);
    }

    fn halt(&mut self) {
        self.clear();
    }

    fn is_begun(&self) -> bool {
        Self::is_begun(self)
    }

    fn is_due(&self) -> bool {
        !self.is_empty()
    }

    fn queued(&self) -> usize {
        Self::queued(self)
    }
}

impl Frames for Outbox<'_> {
    fn poll_transmit(&mut self, begun_only: bool) -> &[u8] {
        Self::poll_transmit(self, begun_only)
    }

    fn handle_sent(&mut self, arrival: Instant, n: usize) {
        Self::handle_sent(self, arrival, n);
    }

    fn halt(&mut self) {
        Self::halt(self);
    }

    fn is_begun(&self) -> bool {
        Self::is_begun(self)
    }

    fn is_due(&self) -> bool {
        Self::is_due(self)
    }

    fn queued(&self) -> usize {
        Self::queued(self)
    }
}

/// What one side writes: control frames first, then those of the application; a begun frame before either.
///
/// Control frames are encoded into a reserve of `R` bytes, one at a time, so that full buffers cannot starve them.
#[derive(Debug)]
pub(super) struct Transmit<F, const R: usize> {
    pub(super) frames: F,
    /// The control frame lies at the end. `from` on it is to be written, and then the last `follow` bytes of what follows in
    /// the same frame.
    reserve: [u8; R],
    from: u8,
    source: Source,
    follow: u16,
    /// When what waits must have moved.
    stalled: Option<Instant>,
    /// Bytes written since the last one came: they may still be on their way.
    unheard: u32,
}

/// Where the next bytes come from. What was lent once is lent again until it is written, and a begun frame is ended before
/// another is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Wherever there is something: no frame is begun, none is lent.
    Any,
    /// The reserve.
    Control(Control),
    /// The application's frames, the first of which is begun.
    Begun,
    /// The application's frames, some of which are lent.
    Lent,
}

impl<F: Frames, const R: usize> Transmit<F, R> {
    pub(super) const fn new(frames: F) -> Self {
        Self { frames, reserve: [0; R], from: 0, source: Source::Any, follow: 0, stalled: None, unheard: 0 }
    }

    /// Forgets all that was to be written: its connection is gone.
    pub(super) fn clear(&mut self) {
        self.frames.halt();
        (self.follow, self.source) = (0, Source::Any);
        (self.stalled, self.unheard) = (None, 0);
    }

    /// `true` if a control frame may be put in front: no frame is begun or lent.
    pub(super) fn is_free(&self) -> bool {
        self.source == Source::Any
    }

    /// The control frame that is being written.
    pub(super) fn control(&self) -> Option<Control> {
        match self.source {
            Source::Control(control) => Some(control),
            Source::Any | Source::Begun | Source::Lent => None,
        }
    }

    /// Encodes a control frame to be written next, if [`is_free`](Self::is_free). `follow` bytes come behind `body`.
    pub(super) fn put(
        &mut self,
        dialect: &Dialect,
        control: Control,
        (command, sequence): (u32, u32),
        body: &[u8],
        follow: usize,
    ) {
        let len = body.len().saturating_add(follow);
        let from = R.saturating_sub(dialect.header_len().saturating_add(body.len()));
        let frame = self.reserve.get_mut(from..).unwrap_or_default();
        let Ok(header_len) = encode_header(dialect, command, sequence, len, frame) else { return };
        if fill(frame.get_mut(header_len..).unwrap_or_default(), body).is_err() {
            return;
        }
        if let (Ok(from), Ok(follow)) = (u8::try_from(from), u16::try_from(follow)) {
            (self.from, self.follow, self.source) = (from, follow, Source::Control(control));
        }
    }

    /// The bytes to write next, which have to move from `now` on. With `begun_only` no frame of the application is begun.
    /// `follow` ends the control frame for which it was announced.
    pub(super) fn run<'a>(&'a mut self, now: Instant, begun_only: bool, follow: &'a [u8]) -> Option<&'a [u8]> {
        if self.source == Source::Any && (begun_only || !self.frames.is_due()) {
            return None;
        }
        if self.stalled.is_none() {
            self.stalled = deadline(now, WRITE_TIMEOUT);
        }
        let begun_only = match self.source {
            Source::Control(_) => {
                let reserve = self.reserve.get(self.from.into()..).unwrap_or_default();
                let rest = follow.len().saturating_sub(self.follow.into());
                return Some(if reserve.is_empty() { follow.get(rest..).unwrap_or_default() } else { reserve });
            }
            Source::Any => false,
            Source::Begun => begun_only,
            Source::Lent => false,
        };
        self.source = Source::Lent;
        Some(self.frames.poll_transmit(begun_only))
    }

    /// The first `n` bytes of the last [`run`](Self::run) are written, and have arrived by `arrival` as far as can be told.
    /// Returns the control frame that this ended.
    pub(super) fn handle_sent(&mut self, arrival: Instant, n: usize) -> Option<Control> {
        match self.source {
            Source::Any => None,
            Source::Begun | Source::Lent => {
                self.frames.handle_sent(arrival, n);
                self.source = if self.frames.is_begun() { Source::Begun } else { Source::Any };
                None
            }
            Source::Control(control) => {
                let reserved = R.saturating_sub(self.from.into());
                if reserved > 0 {
                    self.from = self.from.saturating_add(u8::try_from(n.min(reserved)).unwrap_or(u8::MAX));
                } else {
                    self.follow = self.follow.saturating_sub(u16::try_from(n).unwrap_or(u16::MAX));
                }
                if n < reserved || self.follow > 0 {
                    return None;
                }
                self.source = Source::Any;
                Some(control)
            }
        }
    }

    /// Bytes came: what was written before has arrived, as far as can be told.
    pub(super) fn handle_received(&mut self) {
        self.unheard = 0;
    }

    /// Counts `n` bytes more that were written; returns the time that all that were since one came may still need, in
    /// microseconds.
    pub(super) fn count_sent(&mut self, now: Instant, n: usize) -> u64 {
        self.unheard = self.unheard.saturating_add(as_u32(n));
        if let Some(at) = self.stalled {
            // Each byte buys time, up to a full time-out: a trickle does not.
            let credit = as_u64(n).saturating_mul(1_000_000 / WRITE_RATE);
            self.stalled = Some(after(at, credit).min(after(now, micros(WRITE_TIMEOUT))));
        }
        transfer_time(self.unheard.into(), TRANSFER_RATE).min(micros(LONGEST_TRANSFER))
    }

    /// Stops the clock of a write if nothing waits any more. `owed` is a control frame that is still to be encoded, `held` the
    /// application's frames if they must wait.
    pub(super) fn watch(&mut self, owed: bool, held: bool) {
        let waits = owed || !self.is_free() || (!held && self.frames.is_due());
        if !waits {
            self.stalled = None;
        }
    }

    /// Starts the clock of a write again: this side was not looking.
    pub(super) fn rebase(&mut self, now: Instant) {
        if self.stalled.is_some() {
            self.stalled = deadline(now, WRITE_TIMEOUT);
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.stalled
    }
}
