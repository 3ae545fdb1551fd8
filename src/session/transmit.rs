use super::connection::as_u64;
use super::limits::{TRANSFER_RATE, WRITE_TIMEOUT};
use crate::delivery::Outbox;
use crate::time::{Instant, deadline, transfer_time};
use crate::wire::{Dialect, encode_with_extension};
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
    control: Option<Control>,
    lent: Lent,
    /// When what waits must have moved.
    stalled: Option<Instant>,
    /// Bytes written since the last one came: they may still be on their way.
    unheard: u64,
}

/// Where the bytes that were lent last come from. They are lent again until they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lent {
    Nothing,
    Control,
    Outbox,
}

impl<'b, B: AsRef<[u8]> + AsMut<[u8]>> Transmit<'b, B> {
    pub(super) const fn new(dialect: &'static Dialect, buffer: Option<B>) -> Self {
        Self {
            outbox: Outbox::new(dialect, buffer),
            reserve: [0; RESERVE],
            from: 0,
            to: 0,
            follow: &[],
            control: None,
            lent: Lent::Nothing,
            stalled: None,
            unheard: 0,
        }
    }

    /// Forgets all that was to be written: its connection is gone.
    pub(super) fn clear(&mut self) {
        self.outbox.clear();
        (self.from, self.to, self.follow, self.control, self.lent) = (0, 0, &[], None, Lent::Nothing);
        (self.stalled, self.unheard) = (None, 0);
    }

    /// `true` if a control frame may be put in front: no frame is begun or lent.
    pub(super) fn is_free(&self) -> bool {
        self.lent == Lent::Nothing && self.control.is_none() && !self.outbox.is_begun()
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
        let encoded = if follow.is_empty() {
            encode_with_extension(dialect, command, sequence, &[], body, &mut self.reserve)
        } else {
            crate::wire::encode_header(dialect, command, sequence, follow.len(), &mut self.reserve)
        };
        if let Some(to) = encoded.ok().and_then(|to| u8::try_from(to).ok()) {
            (self.from, self.to, self.follow, self.control) = (0, to, follow, Some(control));
        }
    }

    /// The bytes to write next. With `begun_only` no frame of the outbox is begun.
    pub(super) fn run(&mut self, begun_only: bool) -> Option<&[u8]> {
        if self.control.is_some() && !self.outbox.is_begun() && self.lent != Lent::Outbox {
            self.lent = Lent::Control;
            let reserve = self.reserve.get(self.from.into()..self.to.into()).unwrap_or_default();
            return Some(if reserve.is_empty() { self.follow } else { reserve });
        }
        let run = self.outbox.run(begun_only && self.lent != Lent::Outbox);
        if run.is_empty() {
            return None;
        }
        self.lent = Lent::Outbox;
        Some(run)
    }

    /// The first `n` bytes of the last [`run`](Self::run) are written. Returns the control frame that this ended; `done`
    /// is told the sequence of each frame of the outbox that it ended.
    pub(super) fn handle_sent(&mut self, n: usize, done: impl FnMut(u32)) -> Option<Control> {
        let lent = core::mem::replace(&mut self.lent, Lent::Nothing);
        self.stalled = None;
        match lent {
            Lent::Nothing => None,
            Lent::Outbox => {
                self.outbox.sent(n, done);
                None
            }
            Lent::Control => {
                if self.from < self.to {
                    self.from = self.from.saturating_add(u8::try_from(n).unwrap_or(u8::MAX)).min(self.to);
                } else {
                    self.follow = self.follow.get(n..).unwrap_or_default();
                }
                if self.from == self.to && self.follow.is_empty() { self.control.take() } else { None }
            }
        }
    }

    /// Bytes came: what was written before has arrived, as far as can be told.
    pub(super) fn handle_received(&mut self) {
        self.unheard = 0;
    }

    /// Counts `n` bytes more that were written; returns the time that all that were since one came may still need.
    pub(super) fn count_sent(&mut self, n: usize) -> Duration {
        self.unheard = self.unheard.saturating_add(as_u64(n));
        transfer_time(self.unheard, TRANSFER_RATE)
    }

    /// Starts the clock of a write if something waits and none runs; stops it if nothing does.
    pub(super) fn watch(&mut self, now: Instant, waits: bool) {
        self.stalled = match (waits, self.stalled) {
            (false, _) => None,
            (true, None) => deadline(now, WRITE_TIMEOUT),
            (true, running) => running,
        };
    }

    /// Starts the clock of a write again: this side was not looking.
    pub(super) fn rebase(&mut self, now: Instant) {
        if self.stalled.is_some() {
            self.stalled = deadline(now, WRITE_TIMEOUT);
        }
    }

    /// `true` if part of a frame is written, or a control frame is encoded.
    pub(super) const fn is_begun(&self) -> bool {
        self.control.is_some() || self.outbox.is_begun()
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.stalled
    }
}
