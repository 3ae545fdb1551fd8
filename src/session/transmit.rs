use super::limits::{LONGEST_TRANSFER, TRANSFER_RATE, WRITE_RATE, WRITE_TIMEOUT};
use crate::delivery::Outbox;
use crate::time::{Instant, as_u64, deadline, transfer_time};
use crate::wire::{Dialect, encode_header, fill};
use core::time::Duration;

/// The frames that a session makes up itself, from its state, when they can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Greeting,
    Heartbeat,
    GoAway,
}

/// A header of either layout and the body of a goaway or a heartbeat's answer fit.
const RESERVE: usize = 48;

/// What one side writes: control frames first, then the outbox; a begun frame before either.
///
/// Control frames are encoded into a reserve of their own, one at a time, so a full outbox cannot starve them.
#[derive(Debug)]
pub(super) struct Transmit<'b, B> {
    pub(super) outbox: Outbox<B>,
    reserve: [u8; RESERVE],
    /// `from..to` of the reserve are to be written, and then `follow`, the rest of the same frame.
    from: u8,
    to: u8,
    follow: &'b [u8],
    source: Source,
    /// When what waits must have moved.
    stalled: Option<Instant>,
    /// Bytes written since the last one came: they may still be on their way.
    unheard: u64,
}

/// Where the next bytes come from. What was lent once is lent again until it is written, and a begun frame is ended before
/// another is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Wherever there is something: no frame is begun, none is lent.
    Any,
    /// The reserve.
    Control(Control),
    /// The outbox: frames of it are lent, or the first is begun.
    Outbox { lent: bool },
}

impl<'b, B: AsRef<[u8]> + AsMut<[u8]>> Transmit<'b, B> {
    pub(super) const fn new(dialect: &'static Dialect, buffer: Option<B>) -> Self {
        Self {
            outbox: Outbox::new(dialect, buffer),
            reserve: [0; RESERVE],
            from: 0,
            to: 0,
            follow: &[],
            source: Source::Any,
            stalled: None,
            unheard: 0,
        }
    }

    /// Forgets all that was to be written: its connection is gone.
    pub(super) fn clear(&mut self) {
        self.outbox.clear();
        (self.from, self.to, self.follow, self.source) = (0, 0, &[], Source::Any);
        (self.stalled, self.unheard) = (None, 0);
    }

    /// `true` if a control frame may be put in front: no frame is begun or lent.
    pub(super) fn is_free(&self) -> bool {
        self.source == Source::Any
    }

    /// Encodes a control frame to be written next, if [`is_free`](Self::is_free). `follow` is lent behind `body`.
    pub(super) fn put(
        &mut self,
        dialect: &Dialect,
        control: Control,
        (command, sequence): (u32, u32),
        body: &[u8],
        follow: &'b [u8],
    ) {
        let len = body.len().saturating_add(follow.len());
        let Ok(header_len) = encode_header(dialect, command, sequence, len, &mut self.reserve) else { return };
        let behind = self.reserve.get_mut(header_len..).unwrap_or_default();
        let Ok(body_len) = fill(behind, body) else { return };
        if let Ok(to) = u8::try_from(header_len.saturating_add(body_len)) {
            (self.from, self.to, self.follow, self.source) = (0, to, follow, Source::Control(control));
        }
    }

    /// The bytes to write next. With `begun_only` no frame of the outbox is begun.
    pub(super) fn run(&mut self, begun_only: bool) -> Option<&[u8]> {
        let begun_only = match self.source {
            Source::Control(_) => {
                let reserve = self.reserve.get(self.from.into()..self.to.into()).unwrap_or_default();
                return Some(if reserve.is_empty() { self.follow } else { reserve });
            }
            Source::Any if begun_only || self.outbox.is_empty() => return None,
            Source::Any => false,
            Source::Outbox { lent } => begun_only && !lent,
        };
        self.source = Source::Outbox { lent: true };
        Some(self.outbox.run(begun_only))
    }

    /// The first `n` bytes of the last [`run`](Self::run) are written. Returns the control frame that this ended; `done`
    /// is told the sequence of each frame of the outbox that it ended.
    pub(super) fn handle_sent(&mut self, n: usize, done: impl FnMut(u32)) -> Option<Control> {
        match self.source {
            Source::Any => None,
            Source::Outbox { .. } => {
                self.outbox.sent(n, done);
                self.source = if self.outbox.is_begun() { Source::Outbox { lent: false } } else { Source::Any };
                None
            }
            Source::Control(control) => {
                if self.from < self.to {
                    self.from = self.from.saturating_add(u8::try_from(n).unwrap_or(u8::MAX)).min(self.to);
                } else {
                    self.follow = self.follow.get(n..).unwrap_or_default();
                }
                if self.from < self.to || !self.follow.is_empty() {
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

    /// Counts `n` bytes more that were written; returns the time that all that were since one came may still need.
    pub(super) fn count_sent(&mut self, now: Instant, n: usize) -> Duration {
        self.unheard = self.unheard.saturating_add(as_u64(n));
        // Each byte buys time, up to a full time-out: a trickle does not.
        let credit = Duration::from_micros(as_u64(n).saturating_mul(1_000_000 / WRITE_RATE));
        self.stalled = self.stalled.map(|at| (at + credit).min(now + WRITE_TIMEOUT));
        transfer_time(self.unheard, TRANSFER_RATE).min(LONGEST_TRANSFER)
    }

    /// Starts the clock of a write if something waits and none runs; stops it if nothing does. `owed` is a control frame
    /// that is still to be encoded, `held` the outbox if it must wait.
    pub(super) fn watch(&mut self, now: Instant, owed: bool, held: bool) {
        let waits = owed || !self.is_free() || (!held && !self.outbox.is_empty());
        if !waits {
            self.stalled = None;
        } else if self.stalled.is_none() {
            self.stalled = deadline(now, WRITE_TIMEOUT);
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
