use super::next_sequence;
use crate::time::{Instant, deadline_in, micros};
use core::time::Duration;

/// One request, from the call that sends it to the event that ends it. Unique over the life of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Token {
    serial: u32,
    sequence: u32,
}

impl Token {
    /// The sequence of the request's frame on its link.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        self.sequence
    }
}

/// Why a request ended without its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// No reply came in time. The link lives on.
    TimedOut,
    /// The link went down first.
    LinkLost,
    /// The reply came, but is longer than the receive buffer; it was skipped.
    ReplyTooLong,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no reply in time",
            Self::LinkLost => "link lost before the reply",
            Self::ReplyTooLong => "reply is too long",
        })
    }
}

/// Room for one request; an array of them is lent to [`Inflight`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot(State);

impl Slot {
    /// A free slot.
    pub const FREE: Self = Self(State::Free);
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Free,
    /// Waits to be written; the answer's clock has not started.
    Queued(Request),
    /// Written; `None` for a deadline beyond the end of the clock.
    Written(Request, Option<Instant>),
    /// Ended without a reply, not told yet.
    Ended { token: Token, why: Failure, written: bool },
}

#[derive(Clone, Copy, Debug)]
struct Request {
    token: Token,
    /// The command of its reply.
    reply: u32,
    timeout: Millis,
}

/// A time-out in a slot: 4 bytes instead of 16, up to 49 days.
#[derive(Clone, Copy, Debug)]
struct Millis(u32);

impl Millis {
    fn new(duration: Duration) -> Self {
        Self(u32::try_from(micros(duration) / 1_000).unwrap_or(u32::MAX))
    }

    fn after(self, now: Instant) -> Option<Instant> {
        deadline_in(now, u64::from(self.0).saturating_mul(1_000))
    }
}

/// The requests of one link that wait for their reply.
///
/// A frame is a reply if a request that was written has its sequence *and* expects exactly its command; nothing else is.
///
/// ```text
///   Free ──open──▶ Queued ──written──▶ Written ──settle──▶ Free
///                     │                   ├──time-out──▶ Ended ──poll_ended──▶ Free
///                     └─────link lost─────┘                ▲
///                                └─────────────────────────┘
/// ```
///
/// A request's slot follows from its sequence, so settling one costs the same however many are under way. A sequence whose
/// slot is taken is left out.
#[derive(Debug)]
pub struct Inflight<'b> {
    slots: &'b mut [Slot],
    serial: u32,
    /// The sequence used last on this link, 0 for none.
    sequence: u32,
    /// How many slots are `Queued` or `Written`, and how many are `Ended`.
    waiting: usize,
    ended: usize,
    /// Not later than the earliest deadline of all.
    earliest: Option<Instant>,
}

impl<'b> Inflight<'b> {
    /// A tracker with as many requests at a time as there are `slots`.
    pub fn new(slots: &'b mut [Slot]) -> Self {
        slots.fill(Slot::FREE);
        Self { slots, serial: 0, sequence: 0, waiting: 0, ended: 0, earliest: None }
    }

    /// The sequence that the next request gets; `None` if every slot is taken.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let mut sequence = self.sequence;
        // Twice round, because sequences jump at their end.
        for _ in 0..self.slots.len().saturating_mul(2) {
            sequence = next_sequence(sequence);
            if let Some(Slot(State::Free)) = self.slot(sequence) {
                return Some(sequence);
            }
        }
        None
    }

    /// Takes the slot of `sequence`, one that [`next`](Self::next) gave, for a request whose reply has the command
    /// `reply`, due `timeout` after it was written. `None`, and no change, if that slot is taken.
    pub fn open(&mut self, sequence: u32, reply: u32, timeout: Duration) -> Option<Token> {
        let token = Token { serial: self.serial.wrapping_add(1), sequence };
        let slot = self.slot_mut(sequence).filter(|slot| matches!(slot.0, State::Free))?;
        slot.0 = State::Queued(Request { token, reply, timeout: Millis::new(timeout) });
        (self.serial, self.sequence) = (token.serial, sequence);
        self.waiting = self.waiting.saturating_add(1);
        Some(token)
    }

    /// A sequence for a frame that is no request but draws from the same counter.
    pub fn take_sequence(&mut self) -> u32 {
        self.sequence = next_sequence(self.sequence);
        self.sequence
    }

    /// The last byte of the request was written, and has arrived by `arrival` as far as can be told: its clock starts
    /// then. No-op if there is no such request.
    pub fn handle_written(&mut self, arrival: Instant, sequence: u32) {
        let Some(slot) = self.slot_mut(sequence) else { return };
        let State::Queued(request) = slot.0 else { return };
        if request.token.sequence != sequence {
            return;
        }
        let at = request.timeout.after(arrival);
        slot.0 = State::Written(request, at);
        self.earliest = crate::earliest([self.earliest, at]);
    }

    /// Ends the request that the frame answers, if there is one.
    pub fn settle(&mut self, command: u32, sequence: u32) -> Option<Token> {
        let token = self.expected(command, sequence)?;
        self.slot_mut(sequence)?.0 = State::Free;
        self.one_less();
        Some(token)
    }

    /// Ends the request whose reply was skipped because it is too long. No-op for any other frame.
    pub fn handle_skipped(&mut self, command: u32, sequence: u32) {
        let Some(token) = self.expected(command, sequence) else { return };
        let Some(slot) = self.slot_mut(sequence) else { return };
        slot.0 = State::Ended { token, why: Failure::ReplyTooLong, written: true };
        self.ended = self.ended.saturating_add(1);
        self.one_less();
    }

    /// Ends the requests whose time is over; early and repeated calls change nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.earliest.is_none_or(|at| at > now) {
            return;
        }
        self.earliest = None;
        for slot in self.slots.iter_mut() {
            let State::Written(request, Some(at)) = slot.0 else { continue };
            if at <= now {
                slot.0 = State::Ended { token: request.token, why: Failure::TimedOut, written: true };
                self.waiting = self.waiting.saturating_sub(1);
                self.ended = self.ended.saturating_add(1);
            } else {
                self.earliest = crate::earliest([self.earliest, Some(at)]);
            }
        }
    }

    /// Starts every clock again: after a wake-up that came late.
    pub fn rebase(&mut self, now: Instant) {
        self.earliest = None;
        for slot in self.slots.iter_mut() {
            let State::Written(request, at) = &mut slot.0 else { continue };
            *at = request.timeout.after(now);
            self.earliest = crate::earliest([self.earliest, *at]);
        }
    }

    /// The link is gone: every request ends, and the next link counts from 1.
    pub fn handle_disconnected(&mut self) {
        for slot in self.slots.iter_mut() {
            let (request, written) = match slot.0 {
                State::Queued(request) => (request, false),
                State::Written(request, _) => (request, true),
                State::Free | State::Ended { .. } => continue,
            };
            slot.0 = State::Ended { token: request.token, why: Failure::LinkLost, written };
            self.ended = self.ended.saturating_add(1);
        }
        (self.waiting, self.sequence, self.earliest) = (0, 0, None);
    }

    /// The next request that ended without a reply, each once: its token, why, and whether it was wholly written, in
    /// which case the peer may have acted on it.
    pub fn poll_ended(&mut self) -> Option<(Token, Failure, bool)> {
        if self.ended == 0 {
            return None;
        }
        let (slot, told) = self.slots.iter_mut().find_map(|slot| match slot.0 {
            State::Ended { token, why, written } => Some((slot, (token, why, written))),
            _ => None,
        })?;
        slot.0 = State::Free;
        self.ended = self.ended.saturating_sub(1);
        Some(told)
    }

    /// When [`handle_timeout`](Self::handle_timeout) may have something to do; never later than that.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }

    /// `true` if no request waits for a reply.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// `true` if every slot is taken, by a request or by an end that was not told yet.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.waiting.saturating_add(self.ended) >= self.slots.len()
    }

    fn expected(&self, command: u32, sequence: u32) -> Option<Token> {
        match self.slot(sequence)?.0 {
            State::Written(request, _) if request.token.sequence == sequence && request.reply == command => {
                Some(request.token)
            }
            _ => None,
        }
    }

    fn one_less(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.earliest = None;
        }
    }

    fn slot(&self, sequence: u32) -> Option<&Slot> {
        self.slots.get(self.index(sequence)?)
    }

    fn slot_mut(&mut self, sequence: u32) -> Option<&mut Slot> {
        let index = self.index(sequence)?;
        self.slots.get_mut(index)
    }

    fn index(&self, sequence: u32) -> Option<usize> {
        (sequence as usize).checked_rem(self.slots.len())
    }
}

#[cfg(test)]
mod tests;
