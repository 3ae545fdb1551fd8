mod epoch;
mod layout;
mod outcome;
mod span;

use super::arena::Arena;
use super::inflight::Inflight;
use super::rto::Millis;
use super::sequence::{distance, is_newer, is_sequence};
use super::slot::{Failure, Outcome, RejectCode, Rejection, Slot, State, Token};
use super::{MessagePolicy, RequestPolicy};
use crate::time::{Instant, as_u32, earliest};
use crate::wire::{BufferTooSmall, Dialect, EncodeError, fill};
use core::time::Duration;
pub(crate) use epoch::Peer;
pub use epoch::Unsettled;
pub use outcome::{Answer, PushError};
use span::{Blame, Span};

/// What the connecting side sends: messages until they are stored, requests until they are answered, and frames that
/// nobody answers, encoded one behind the other in one buffer.
///
/// * A **message** stays until the peer has stored it, over as many links as that takes. Each has one outcome.
/// * A **request** ends with its link, unless it asks again on the next.
/// * A **one-way** frame is written once, or not at all if its link goes first.
///
/// The frames lie in the order in which they are written, so that what is due is lent as one slice and batching costs no
/// copy. A message keeps its bytes until it is settled; after a time-out they are written once more from where they are.
///
/// ```text
///   0                        cursor               due                   tail
///   │ written, not answered  │ to be written now  │ held                │ free
///   │ (and what is over)     │ (begun by a bit)   │                     │
/// ```
///
/// A message is held while the peer's window, counted from the lowest one that is not settled, does not reach it, or while
/// the state that knows its sequence is not stored. What was written once is never held. Requests and one-way frames go in
/// front of what is held.
#[derive(Debug)]
pub struct Outbox<'b> {
    dialect: &'static Dialect,
    arena: Arena<'b>,
    inflight: Inflight<'b>,
    /// What is lent or begun, and how many bytes of its first frame are written.
    run: Run,
    begun: usize,
    /// The sequences assigned last.
    message: u32,
    request: u32,
    span: Span,
    /// The longest frame that the peer takes.
    max_frame: u32,
    flow: Flow,
    blame: Blame,
    linger: Linger,
}

/// What is being written: frames that this link has not seen yet, or some that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    None,
    Due,
    Again,
}

/// What may be written on this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// What is due, and nothing more.
    Frozen,
    Halted,
}

/// How long what is due may wait for company.
#[derive(Debug)]
struct Linger {
    time: Millis,
    bytes: u32,
    until: Option<Instant>,
}

impl<'b> Outbox<'b> {
    /// The window of a peer that has not named its own.
    pub const LEAST_WIDTH: u32 = 64;
    /// The bytes of a full segment on most paths: what lingers is due once there are so many.
    pub const BATCH: usize = 1_460;

    /// An empty outbox. How much fits is bounded by `buffer`, how much may be under way by `slots`.
    pub fn new(dialect: &'static Dialect, buffer: &'b mut [u8], slots: &'b mut [Slot]) -> Self {
        let width = Self::LEAST_WIDTH;
        Self {
            dialect,
            arena: Arena::new(dialect, buffer),
            inflight: Inflight::new(slots),
            run: Run::None,
            begun: 0,
            message: 0,
            request: 0,
            span: Span { floor: 0, highest: 0, width, limit: u32::MAX, wraps: true },
            max_frame: dialect.max_frame,
            flow: Flow::Open,
            blame: Blame { online: false, settled: false, suspect: None },
            linger: Linger { time: Millis::ZERO, bytes: as_u32(Self::BATCH), until: None },
        }
    }

    /// Lets messages wait up to `time`, in whole milliseconds, for others to travel with, unless `bytes` of them are due.
    #[must_use]
    pub fn with_linger(self, time: Duration, bytes: usize) -> Self {
        Self { linger: Linger { time: Millis::new(time), bytes: as_u32(bytes), until: None }, ..self }
    }

    /// Queues a message. `encode` is told its sequence, writes the body into the room there is, `room` bytes at least if
    /// they can be had, and returns its length. A `sealed` body holds for this sequence in this epoch only.
    ///
    /// # Errors
    ///
    /// [`PushError`], and nothing has changed.
    pub fn push(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        (room, sealed): (usize, bool),
        encode: impl FnOnce(u32, &mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, PushError> {
        let sequence = self.inflight.next_free(self.message).ok_or(PushError::TooMany)?;
        if !self.span.wraps && sequence <= self.message {
            return Err(PushError::EpochSpent);
        }
        let command = self.dialect.message;
        let at = self.append((command, sequence), room, |room| encode(sequence, room))?;
        let token = self.open_message(now, sequence, policy, sealed, at)?;
        self.message = sequence;
        self.linger(now);
        if self.arena.due == at && self.flow == Flow::Open && self.is_in_span(sequence) {
            self.arena.due = self.arena.tail;
        }
        Ok(token)
    }

    /// Queues a message once more under the `sequence` it had, for that sequence in this epoch only: what the peer has stored
    /// already it does not store again.
    ///
    /// # Errors
    ///
    /// [`PushError`], and nothing has changed.
    pub fn push_as(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        sequence: u32,
        body: &[u8],
    ) -> Result<Token, PushError> {
        if !is_sequence(sequence) || self.message == 0 || is_newer(sequence, self.message) {
            return Err(PushError::Unassigned);
        }
        if self.span.is_forgotten(sequence) {
            return Err(PushError::TooOld);
        }
        if !self.inflight.is_free(sequence) {
            return Err(PushError::TooMany);
        }
        let at = self.append((self.dialect.message, sequence), body.len(), |room| fill(room, body))?;
        // As one that is sealed it gets no other sequence: what it holds may be sealed for this one.
        let token = self.open_message(now, sequence, policy, true, at)?;
        if let Some(slot) = self.inflight.get_mut(sequence) {
            slot.written = true;
        }
        self.insert(sequence, at, self.place_of(sequence));
        self.extend();
        Ok(token)
    }

    /// Queues a request.
    ///
    /// # Errors
    ///
    /// [`PushError`], and nothing has changed.
    pub fn push_request(
        &mut self,
        command: u32,
        policy: &RequestPolicy,
        room: usize,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, PushError> {
        let sequence = self.inflight.next_free(self.request).ok_or(PushError::TooMany)?;
        let at = self.append((command, sequence), room, encode)?;
        let reply = self.dialect.reply_to(command);
        let token = self.inflight.open(sequence, policy.class(), reply, at).ok_or(PushError::TooMany)?;
        self.request = sequence;
        self.insert(sequence, at, self.arena.due);
        self.flush();
        self.extend();
        Ok(token)
    }

    /// Queues a frame with sequence 0.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], and nothing has changed.
    pub fn push_one_way(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<(), EncodeError> {
        let at = self.append((command, 0), body.len(), |room| fill(room, body))?;
        self.insert(0, at, self.arena.due);
        self.linger(now);
        self.extend();
        Ok(())
    }

    /// Takes a message or a request back. `true` if it was still waiting; it ends as [`Outcome::Cancelled`] then.
    pub fn cancel(&mut self, token: Token) -> bool {
        let Some(sequence) = self.inflight.find(token).map(|slot| slot.token.sequence) else { return false };
        self.end(sequence, Outcome::Cancelled);
        self.tidy();
        true
    }

    /// What is due waits for no company.
    pub fn flush(&mut self) {
        self.linger.until = None;
    }

    /// A sequence for a frame that is no request but draws from the same counter.
    pub fn take_sequence(&mut self) -> u32 {
        self.request = super::sequence::next_sequence(self.request);
        self.request
    }

    /// The bytes to write next. The same until [`handle_sent`](Self::handle_sent), perhaps with more behind them. With
    /// `begun_only` nothing but the rest of a frame whose first bytes are written.
    pub fn poll_transmit(&mut self, begun_only: bool) -> &[u8] {
        if self.run == Run::None && !begun_only {
            self.run = self.choose();
        }
        let (start, end) = self.lent();
        let end = match (begun_only, self.begun) {
            (false, _) => end,
            (true, 0) => start,
            (true, _) => self.arena.frame(start).map_or(start, |(length, _)| start.saturating_add(length)),
        };
        self.arena.bytes(start.saturating_add(self.begun), end)
    }

    /// The first `n` bytes that were lent last are written, and have arrived by `arrival` as far as can be told.
    pub fn handle_sent(&mut self, arrival: Instant, n: usize) {
        let mut n = n.saturating_add(self.begun);
        self.begun = 0;
        loop {
            let (at, end) = self.lent();
            let frame = if at < end { self.arena.frame(at) } else { None };
            let Some((length, sequence)) = frame.filter(|_| n > 0) else { break };
            let Some(rest) = n.checked_sub(length) else {
                self.begun = n;
                return;
            };
            n = rest;
            match self.run {
                Run::Again => self.arena.at = at.saturating_add(length),
                _ => self.arena.cursor = at.saturating_add(length),
            }
            if sequence != 0 && self.inflight.handle_written(arrival, sequence, at) {
                self.span.handle_written(sequence);
            }
        }
        self.run = Run::None;
        self.arena.has_holes = true;
        self.reset_if_empty();
    }

    /// What the frame answers, if it answers something that this link has written, by exact command and sequence.
    pub fn handle_reply(&mut self, now: Instant, command: u32, sequence: u32, body: &[u8]) -> Option<Answer> {
        let slot = self.inflight.get(sequence)?;
        if slot.reply != command || !matches!(slot.state, State::Written | State::Again) {
            return None;
        }
        if !slot.is_message() {
            return self.settle(now, sequence).map(Answer::Reply);
        }
        let rejection = match body {
            [] => None,
            // A peer that sends back what it gets says nothing.
            _ if command == self.dialect.message => return None,
            body => Some(Rejection::from_bytes(body)?),
        };
        let token = self.settle(now, sequence)?;
        self.blame.settled = true;
        self.extend();
        Some(match rejection.map(|rejection| (rejection.code, rejection)) {
            None => Answer::Delivered(token),
            Some((RejectCode::TooOld, _)) => Answer::Failed(token, Failure::Unknown),
            Some((_, rejection)) => Answer::Failed(token, Failure::Rejected(rejection)),
        })
    }

    /// A frame was too long and skipped: the request that it answers ends. No-op for any other.
    pub fn handle_skipped(&mut self, command: u32, sequence: u32) {
        let expected = self.inflight.get(sequence).filter(|slot| slot.reply == command && !slot.is_message());
        if expected.is_some_and(|slot| slot.state == State::Written) {
            self.end(sequence, Outcome::Failed(Failure::ReplyTooLong));
        }
    }

    /// Acts on what is due; early and repeated calls change nothing. `heard` is when something came from the peer last.
    /// `true` if a heartbeat is to ask whether the link is alive.
    pub fn handle_timeout(&mut self, now: Instant, heard: Instant) -> bool {
        self.linger.until = self.linger.until.filter(|at| *at > now);
        if self.inflight.poll_timeout().is_none_or(|at| at > now) {
            return false;
        }
        self.mark_lent(|slot| slot.expires().is_some_and(|at| at <= now));
        let asks = self.inflight.handle_timeout(now, heard);
        self.tidy();
        asks
    }

    /// Starts every clock of an answer again: after a wake-up that came late.
    pub fn rebase(&mut self, now: Instant) {
        self.inflight.rebase(now);
        // A lifetime that is over is over, and so is a wait for company.
        self.handle_timeout(now, now);
    }

    /// The link is up. A peer that keeps a window says in its greeting what it has; otherwise nothing is known of what was
    /// written before.
    pub(crate) fn handle_online(&mut self, peer: Option<Peer<'_>>) {
        let mut settled = false;
        if let Some(peer) = &peer {
            (self.span.width, self.max_frame) = (peer.accepted.width(), peer.max_frame.min(self.dialect.max_frame));
            settled = self.settle_by(&peer.accepted, u32::MAX);
            self.fail_longer();
        }
        if let Some(suspect) = self.blame.suspect.take().filter(|_| !settled) {
            self.inflight.spend(suspect);
        }
        self.blame = Blame { online: true, settled: false, suspect: None };
        self.flow = Flow::Open;
        self.arena.due = self.arena.cursor;
        self.tidy();
        self.extend();
    }

    /// The link ends in good order: no message is to blame.
    pub(crate) fn acquit(&mut self) {
        self.blame.settled = true;
    }

    /// The link is gone. Messages wait for the next one, in the order of their sequences, and so do requests that ask
    /// again; the rest ends. Without `resends` so does a message that was written.
    pub fn handle_disconnected(&mut self, resends: bool) {
        if self.blame.online && !self.blame.settled && self.blame.suspect.is_none() {
            let written = self.inflight.slots().filter(|slot| slot.is_message() && slot.state != State::Queued);
            let floor = self.span.floor;
            self.blame.suspect = written.map(|slot| slot.token.sequence).min_by_key(|s| distance(floor, *s));
        }
        if self.blame.settled {
            self.blame.suspect = None;
        }
        self.blame.online = false;
        self.inflight.handle_disconnected(resends);
        (self.run, self.begun, self.flow) = (Run::None, 0, Flow::Open);
        (self.arena.cursor, self.arena.due, self.arena.at, self.arena.end) = (0, 0, 0, 0);
        self.flush();
        self.compact(true);
        self.sort();
        self.request = 0;
        self.renumber(false);
    }

    /// Nothing more is begun on this link but what is due.
    pub fn freeze(&mut self) {
        if self.flow == Flow::Open {
            self.flow = Flow::Frozen;
        }
        self.flush();
    }

    /// Nothing more is written on this link, a begun frame neither.
    pub fn halt(&mut self) {
        self.flow = Flow::Halted;
        (self.run, self.begun) = (Run::None, 0);
    }

    /// The next one that ended without its peer's answer, each once; and whether it was written as a whole, in which case
    /// the peer may have acted on it.
    pub fn poll_ended(&mut self) -> Option<(Token, Outcome, bool)> {
        self.inflight.poll_ended()
    }

    /// When [`handle_timeout`](Self::handle_timeout) may have something to do; never later than that.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        // What lingered may be over.
        earliest([self.inflight.poll_timeout(), self.linger.until.filter(|_| self.queued() > 0)])
    }
}

#[cfg(test)]
mod tests;
