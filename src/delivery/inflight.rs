use super::Epoch;
use super::rto::{Millis, Rto, backed_off};
use super::sequence::{distance, next_sequence};
use super::slot::{Class, Failure, Outcome, Slot, State, Token};
use crate::{Instant, earliest};

/// The retry rule: what waits for its answer, for how long, how often it is written, and how it ends.
///
/// ```text
///             ┌─────────────────── link lost: messages ───────────────────┐
///             ▼                                                           │
///   Free ──▶ Queued ──written──▶ Written ──time-out──▶ Again ──written──▶ Written ...
///             │                     │                    │
///             └── expired, taken ───┴── attempts spent ──┴──▶ Ended ──told──▶ Free
///                 back, link lost       (or answered: Free at once)
/// ```
///
/// The slot of a frame follows from its sequence, so finding one costs the same however many are under way. A sequence whose
/// slot is taken is left out: holes do no harm.
#[derive(Debug)]
pub(super) struct Inflight<'b> {
    slots: &'b mut [Slot],
    serial: u32,
    /// The epoch of messages that end now.
    pub(super) epoch: Option<Epoch>,
    /// How many slots wait for an answer, how many of them are messages, how many are to be written again, how many have
    /// ended and were not told yet, and how many have their frame in the arena.
    waiting: usize,
    messages: usize,
    again: usize,
    ended: usize,
    kept: usize,
    /// Not later than the earliest deadline of all.
    earliest: Option<Instant>,
    rto: Rto,
    /// Time-outs of messages since the last answer to one.
    timed_out: u8,
}

/// So many time-outs in a row call for a heartbeat.
const TIME_OUTS_IN_A_ROW: u8 = 3;

impl<'b> Inflight<'b> {
    pub(super) fn new(slots: &'b mut [Slot]) -> Self {
        slots.fill(Slot::FREE);
        let (waiting, messages, again, ended, kept) = (0, 0, 0, 0, 0);
        let rto = Rto::new();
        Self { slots, serial: 0, epoch: None, waiting, messages, again, ended, kept, earliest: None, rto, timed_out: 0 }
    }

    /// Frees every slot.
    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot::FREE);
        (self.waiting, self.messages, self.again, self.ended, self.kept) = (0, 0, 0, 0, 0);
        self.earliest = None;
    }

    /// The first sequence after `last` whose slot is free; `None` if every slot is taken.
    pub(super) fn next_free(&self, last: u32) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let mut sequence = last;
        // Twice round, because sequences jump at their end.
        for _ in 0..self.slots.len().saturating_mul(2) {
            sequence = next_sequence(sequence);
            if self.at(sequence)?.state == State::Free {
                return Some(sequence);
            }
        }
        None
    }

    /// Takes the slot of `sequence` for a frame at `offset`. `None`, and no change, if that slot is taken.
    pub(super) fn open(&mut self, sequence: u32, class: Class, reply: u32, offset: usize) -> Option<Token> {
        let token = Token { serial: self.serial.wrapping_add(1), sequence, epoch: None };
        let slot = self.at_mut(sequence).filter(|slot| slot.state == State::Free)?;
        *slot = Slot { token, state: State::Queued, class, offset, reply, ..Slot::FREE };
        let expires = slot.expires();
        self.serial = token.serial;
        self.count_open(class);
        self.earliest = earliest([self.earliest, expires]);
        Some(token)
    }

    /// Takes the slot of `sequence` for something that has ended already.
    pub(super) fn open_ended(&mut self, sequence: u32, class: Class, written: bool, outcome: Outcome) -> Option<Token> {
        let token = self.open(sequence, class, 0, 0)?;
        self.at_mut(sequence)?.written = written;
        self.end(sequence, outcome);
        Some(token)
    }

    fn count_open(&mut self, class: Class) {
        self.waiting = self.waiting.saturating_add(1);
        self.kept = self.kept.saturating_add(1);
        if matches!(class, Class::Message { .. }) {
            self.messages = self.messages.saturating_add(1);
        }
    }

    /// The slot of what waits under `sequence`.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn get(&self, sequence: u32) -> Option<&Slot> {
        self.at(sequence).filter(|slot| slot.is_waiting() && slot.token.sequence == sequence)
    }

    pub(super) fn get_mut(&mut self, sequence: u32) -> Option<&mut Slot> {
        self.at_mut(sequence).filter(|slot| slot.is_waiting() && slot.token.sequence == sequence)
    }

    /// The slot of the frame at `offset` of the arena.
    pub(super) fn framed(&self, sequence: u32, offset: usize) -> Option<&Slot> {
        self.get(sequence).filter(|slot| slot.offset == offset)
    }

    pub(super) fn framed_mut(&mut self, sequence: u32, offset: usize) -> Option<&mut Slot> {
        self.get_mut(sequence).filter(|slot| slot.offset == offset)
    }

    /// What a token stands for, if it waits.
    pub(super) fn find(&self, token: Token) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.is_waiting() && slot.token == token)
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.is_waiting())
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.is_waiting())
    }

    /// The last byte of the frame at `offset` was written, and has arrived by `arrival` as far as can be told: its clock
    /// starts. `true` if it is a message's.
    pub(super) fn handle_written(&mut self, arrival: Instant, sequence: u32, offset: usize) -> bool {
        let again = self.again;
        let rto = self.rto.first;
        let Some(slot) = self.framed_mut(sequence, offset) else { return false };
        let was_again = slot.state == State::Again;
        let mut drops = false;
        slot.timeout = match slot.class {
            Class::Message { timeout: Millis::ZERO, .. } => backed_off(rto, slot.spent),
            Class::Message { timeout, .. } => backed_off(timeout, slot.spent),
            Class::Request { timeout, asks_again } => {
                drops = !asks_again;
                timeout
            }
        };
        slot.samples = !slot.written && slot.is_message();
        (slot.state, slot.written, slot.since) = (State::Written, true, arrival);
        if drops {
            slot.offset = Slot::NOWHERE;
        }
        let (deadline, is_message) = (slot.deadline(), slot.is_message());
        self.again = again.saturating_sub(usize::from(was_again));
        self.kept = self.kept.saturating_sub(usize::from(drops));
        self.earliest = earliest([self.earliest, deadline]);
        is_message
    }

    /// Ends what waits under `sequence`, because its answer came.
    pub(super) fn settle(&mut self, now: Instant, sequence: u32) -> Option<Token> {
        let slot = self.get_mut(sequence)?;
        let Slot { token, state, samples, since, offset, .. } = *slot;
        let is_message = slot.is_message();
        slot.state = State::Free;
        if is_message {
            self.timed_out = 0;
            if samples && state == State::Written {
                self.rto.sample(now.micros_since(since));
            }
        }
        self.count_end(is_message, state, offset);
        Some(Token { epoch: self.epoch, ..token })
    }

    /// Ends what waits under `sequence` with an outcome, to be told by [`poll_ended`](Self::poll_ended).
    pub(super) fn end(&mut self, sequence: u32, outcome: Outcome) {
        let epoch = self.epoch;
        let Some(slot) = self.get_mut(sequence) else { return };
        let Slot { state, offset, .. } = *slot;
        let is_message = slot.is_message();
        slot.token.epoch = epoch;
        (slot.state, slot.offset) = (State::Ended(outcome), Slot::NOWHERE);
        self.ended = self.ended.saturating_add(1);
        self.count_end(is_message, state, offset);
    }

    fn count_end(&mut self, is_message: bool, state: State, offset: usize) {
        self.waiting = self.waiting.saturating_sub(1);
        self.messages = self.messages.saturating_sub(usize::from(is_message));
        self.again = self.again.saturating_sub(usize::from(state == State::Again));
        self.kept = self.kept.saturating_sub(usize::from(offset != Slot::NOWHERE));
        if self.waiting == 0 {
            self.earliest = None;
        }
    }

    /// Acts on what is due; early and repeated calls change nothing. Something came from the peer at `heard` the last time:
    /// what was written after that may not have arrived, so it is neither charged nor written again. `true` if a heartbeat
    /// is to ask whether the link is alive.
    pub(super) fn handle_timeout(&mut self, now: Instant, heard: Instant) -> bool {
        if self.earliest.is_none_or(|at| at > now) {
            return false;
        }
        let mut asks = false;
        let mut next = None;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.is_waiting()) else { continue };
            let sequence = slot.token.sequence;
            if slot.expires().is_some_and(|at| at <= now) {
                self.end(sequence, Outcome::Failed(Failure::Expired));
                continue;
            }
            if slot.deadline().is_some_and(|at| at <= now) {
                asks |= self.time_out(now, heard, sequence);
            }
            let left = self.get(sequence).map_or((None, None), |slot| (slot.deadline(), slot.expires()));
            next = earliest([next, left.0, left.1]);
        }
        self.earliest = next;
        asks
    }

    /// What was written under `sequence` was not answered in time.
    fn time_out(&mut self, now: Instant, heard: Instant, sequence: u32) -> bool {
        let Some(slot) = self.get_mut(sequence) else { return false };
        let attempts = match slot.class {
            Class::Request { .. } => {
                self.end(sequence, Outcome::Failed(Failure::TimedOut));
                return false;
            }
            Class::Message { attempts, .. } => attempts,
        };
        if heard <= slot.since {
            // Nobody knows whether the link still carries anything: that is asked first. Nothing had come by now, so what comes
            // at this instant, on a clock that does not see the time between, has come after it.
            let before = Instant::from_micros(now.as_micros().saturating_sub(1));
            (slot.since, slot.timeout, slot.samples) = (before, Rto::LEAST, false);
            return true;
        }
        slot.spent = slot.spent.saturating_add(1);
        if slot.spent >= attempts {
            self.end(sequence, Outcome::Failed(Failure::TimedOut));
        } else {
            slot.state = State::Again;
            self.again = self.again.saturating_add(1);
        }
        self.timed_out = self.timed_out.saturating_add(1);
        let asks = self.timed_out >= TIME_OUTS_IN_A_ROW;
        if asks {
            self.timed_out = 0;
        }
        asks
    }

    /// Spends an attempt of a message in whose company links keep breaking.
    pub(super) fn spend(&mut self, sequence: u32) {
        let Some(slot) = self.get_mut(sequence) else { return };
        let Class::Message { attempts, .. } = slot.class else { return };
        slot.spent = slot.spent.saturating_add(1);
        if slot.spent >= attempts {
            self.end(sequence, Outcome::Failed(Failure::TimedOut));
        }
    }

    /// Starts every clock of an answer again: after a wake-up that came late.
    pub(super) fn rebase(&mut self, now: Instant) {
        let mut next = None;
        for slot in self.slots_mut() {
            slot.samples = false;
            slot.since = slot.since.max(now);
            next = earliest([next, slot.deadline(), slot.expires()]);
        }
        self.earliest = next;
    }

    /// The link is gone: messages wait for the next one (unless not `resends`), and so do requests that ask again; all
    /// others end.
    pub(super) fn handle_disconnected(&mut self, resends: bool) {
        let mut next = None;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.is_waiting()) else { continue };
            let stays = match slot.class {
                Class::Message { .. } => resends || !slot.written,
                Class::Request { asks_again, .. } => asks_again,
            };
            let sequence = slot.token.sequence;
            if stays {
                (slot.state, slot.samples) = (State::Queued, false);
                next = earliest([next, slot.expires()]);
            } else {
                self.end(sequence, Outcome::Failed(Failure::LinkLost));
            }
        }
        (self.again, self.earliest, self.timed_out) = (0, next, 0);
    }

    /// Moves what waits under `sequence` to the first sequence after `last` that has the same slot, and returns it.
    pub(super) fn renumber(&mut self, sequence: u32, last: u32) -> Option<u32> {
        let count = self.slots.len();
        let mut next = last;
        for _ in 0..count.saturating_mul(2) {
            next = next_sequence(next);
            if self.index(next) == self.index(sequence) {
                self.get_mut(sequence)?.token.sequence = next;
                return Some(next);
            }
        }
        None
    }

    /// The next one that ended without its peer's answer, each once; and whether it was written as a whole, in which case
    /// the peer may have acted on it.
    pub(super) fn poll_ended(&mut self) -> Option<(Token, Outcome, bool)> {
        if self.ended == 0 {
            return None;
        }
        let (slot, outcome) = self.slots.iter_mut().find_map(|slot| match slot.state {
            State::Ended(outcome) => Some((slot, outcome)),
            _ => None,
        })?;
        slot.state = State::Free;
        self.ended = self.ended.saturating_sub(1);
        Some((slot.token, outcome, slot.written))
    }

    /// The lowest sequence of a message that waits, seen from `floor`, which is not above it.
    pub(super) fn lowest_message(&self, floor: u32) -> Option<u32> {
        let messages = self.slots().filter(|slot| slot.is_message()).map(|slot| slot.token.sequence);
        messages.min_by_key(|sequence| distance(floor, *sequence))
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }

    /// How many wait for their answer, and how many of them are messages.
    pub(super) const fn waiting(&self) -> (usize, usize) {
        (self.waiting, self.messages)
    }

    /// `true` while something is to be written again.
    pub(super) const fn has_again(&self) -> bool {
        self.again > 0
    }

    /// `true` while the arena holds the frame of something that waits.
    pub(super) const fn keeps_frames(&self) -> bool {
        self.kept > 0
    }

    /// `true` if the slot of this sequence is free.
    pub(super) fn is_free(&self, sequence: u32) -> bool {
        self.at(sequence).is_some_and(|slot| slot.state == State::Free)
    }

    /// `true` if every slot is free.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0 && self.ended == 0
    }

    /// `true` if every slot is taken, by what waits or by an end that was not told yet.
    pub(super) const fn is_full(&self) -> bool {
        self.waiting.saturating_add(self.ended) >= self.slots.len()
    }

    fn at(&self, sequence: u32) -> Option<&Slot> {
        self.slots.get(self.index(sequence)?)
    }

    fn at_mut(&mut self, sequence: u32) -> Option<&mut Slot> {
        let index = self.index(sequence)?;
        self.slots.get_mut(index)
    }

    fn index(&self, sequence: u32) -> Option<usize> {
        (sequence as usize).checked_rem(self.slots.len())
    }
}
