//! Where the frames of an outbox lie, and which of them may be written.

use super::{Flow, Outbox, PushError, Run};
use crate::Instant;
use crate::delivery::MessagePolicy;
use crate::delivery::rto::Millis;
use crate::delivery::sequence::{distance, is_newer};
use crate::delivery::slot::{Outcome, Slot, State, Token};
use crate::wire::{BufferTooSmall, EncodeError};

impl Outbox<'_> {
    /// `true` if there is something to write now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.run != Run::None || self.writes_again() || self.lingered()
    }

    /// `true` while a frame is partly written: nothing else may be written before its rest.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.begun > 0
    }

    /// The bytes that are due, or will be when they have waited for company.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.arena.due.saturating_sub(self.arena.cursor)
    }

    /// `true` if nothing waits for its answer.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.inflight.waiting().0 == 0
    }

    /// `true` if nothing is due on this link, and nothing that it wrote waits for its answer.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        !self.is_due() && self.inflight.slots().all(|slot| slot.state == State::Queued)
    }

    /// How many messages are neither delivered nor failed nor taken back.
    #[must_use]
    pub const fn unsettled(&self) -> usize {
        self.inflight.waiting().1
    }

    /// The length of the buffer.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.arena.capacity()
    }

    /// The longest frame that can be sent.
    pub(crate) fn longest(&self) -> usize {
        self.arena.capacity().min(self.max_frame as usize)
    }

    /// What is due has waited for company long enough, or has it.
    fn lingered(&self) -> bool {
        let queued = self.queued();
        queued > 0 && self.flow != Flow::Halted && (self.linger.until.is_none() || queued >= self.linger.bytes as usize)
    }

    fn writes_again(&self) -> bool {
        self.inflight.has_again() && self.flow == Flow::Open
    }

    /// Starts the wait for company of the first that is due.
    pub(super) fn linger(&mut self, now: Instant) {
        if self.linger.time != Millis::ZERO && self.queued() == 0 {
            self.linger.until = self.linger.time.after(now);
        }
    }

    /// What to write next: what timed out first, then what this link has not seen.
    pub(super) fn choose(&mut self) -> Run {
        if self.writes_again() {
            (self.arena.at, self.arena.end) = self.first_again();
            if self.arena.at < self.arena.end {
                return Run::Again;
            }
        }
        if self.lingered() { Run::Due } else { Run::None }
    }

    /// The first frames, in one piece, that are to be written again.
    fn first_again(&self) -> (usize, usize) {
        let (mut at, mut start, mut end) = (0, 0, 0);
        while at < self.arena.cursor {
            let Some((length, sequence)) = self.arena.frame(at) else { break };
            let next = at.saturating_add(length);
            if self.inflight.framed(sequence, at).is_some_and(|slot| slot.state == State::Again) {
                if start == end {
                    start = at;
                }
                end = next;
            } else if start < end {
                break;
            }
            at = next;
        }
        (start, end)
    }

    /// Where what is being written lies.
    pub(super) fn lent(&self) -> (usize, usize) {
        match self.run {
            Run::None => (0, 0),
            Run::Due => (self.arena.cursor, self.arena.due),
            Run::Again => (self.arena.at, self.arena.end),
        }
    }

    /// Encodes a frame behind all others, and returns where. Room is made first if there is less than asked for.
    pub(super) fn append(
        &mut self,
        header: (u32, u32),
        room: usize,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, EncodeError> {
        if self.arena.has_holes && !self.arena.has_room(room) {
            self.compact(false);
        }
        self.arena.append(header, self.max_frame, encode)
    }

    pub(super) fn open_message(
        &mut self,
        now: Instant,
        sequence: u32,
        policy: &MessagePolicy,
        sealed: bool,
        at: usize,
    ) -> Result<Token, PushError> {
        let reply = self.dialect.reply_to(self.dialect.message);
        if self.inflight.waiting().1 == 0 || is_newer(self.span.floor, sequence) {
            self.span.floor = sequence;
        }
        self.inflight.open(sequence, policy.class(now, sealed), reply, at).ok_or(PushError::TooMany)
    }

    /// Brings the messages into the order of their sequences. What was sent again lies behind later ones that were written
    /// before it. Only while nothing is lent or due.
    pub(super) fn sort(&mut self) {
        let (mut at, mut newest) = (0, None);
        while let Some((length, sequence)) = self.arena.frame(at) {
            if self.inflight.framed(sequence, at).is_some_and(Slot::is_message) {
                if newest.is_some_and(|newest| is_newer(newest, sequence)) {
                    self.insert(sequence, at, self.place_of(sequence));
                } else {
                    newest = Some(sequence);
                }
            }
            at = at.saturating_add(length);
        }
    }

    /// Moves the frame at `at` in front of the one at `place`.
    pub(super) fn insert(&mut self, sequence: u32, at: usize, place: usize) {
        if place >= at {
            return;
        }
        let length = self.arena.insert(at, place);
        for slot in self.inflight.slots_mut() {
            if slot.token.sequence == sequence && slot.offset == at {
                slot.offset = place;
            } else if slot.offset >= place && slot.offset < at {
                slot.offset = slot.offset.saturating_add(length);
            }
        }
        if place < self.arena.due {
            self.arena.due = self.arena.due.saturating_add(length);
        }
    }

    /// Where among what is not written yet a message belongs, by its sequence. What is lent stays as it is.
    pub(super) fn place_of(&self, sequence: u32) -> usize {
        let mut at = if self.run == Run::Due { self.arena.due } else { self.arena.cursor };
        while let Some((length, other)) = self.arena.frame(at) {
            let follows = self.inflight.framed(other, at).is_some_and(Slot::is_message) && is_newer(other, sequence);
            if follows {
                break;
            }
            at = at.saturating_add(length);
        }
        at
    }

    /// Lets what may be written be due.
    pub(super) fn extend(&mut self) {
        while self.flow == Flow::Open && self.arena.due < self.arena.tail {
            let at = self.arena.due;
            let Some((length, sequence)) = self.arena.frame(at) else { break };
            if !self.may_write(sequence, at) {
                break;
            }
            self.arena.due = at.saturating_add(length);
        }
    }

    fn may_write(&mut self, sequence: u32, at: usize) -> bool {
        let Some(slot) = self.inflight.framed(sequence, at) else { return true };
        if !slot.is_message() {
            return true;
        }
        // The state has to know it first, also if it comes from there: another epoch may be in force by now. What an earlier
        // process had counts as written, and may never have been: the window holds it like a new one.
        let was_here = slot.written && self.span.highest != 0 && !is_newer(sequence, self.span.highest);
        was_here && sequence < self.span.limit || self.is_in_span(sequence)
    }

    /// A message may be written for the first time.
    pub(super) fn is_in_span(&mut self, sequence: u32) -> bool {
        if sequence >= self.span.limit {
            return false;
        }
        if distance(self.span.floor, sequence) >= self.span.width {
            self.span.floor = self.inflight.lowest_message(self.span.floor).unwrap_or(sequence);
        }
        distance(self.span.floor, sequence) < self.span.width
    }

    /// The peer has answered what waits under `sequence`.
    pub(super) fn settle(&mut self, now: Instant, sequence: u32) -> Option<Token> {
        let token = self.inflight.settle(now, sequence);
        self.arena.has_holes = true;
        self.reset_if_empty();
        token
    }

    /// What waits under `sequence` ends; what is lent of it will be written all the same. [`tidy`](Self::tidy) comes next.
    pub(super) fn end(&mut self, sequence: u32, outcome: Outcome) {
        self.mark_lent(|slot| slot.token.sequence == sequence);
        self.inflight.end(sequence, outcome);
        self.arena.has_holes = true;
    }

    /// Marks as written what will be, of some that are about to end.
    pub(super) fn mark_lent(&mut self, ends: impl Fn(&Slot) -> bool) {
        if self.run != Run::Due {
            return;
        }
        let lent = self.arena.cursor..self.arena.due;
        for slot in self.inflight.slots_mut().filter(|slot| lent.contains(&slot.offset) && ends(slot)) {
            slot.written = true;
        }
    }

    /// Nothing that is over lies among what is to be written.
    pub(super) fn tidy(&mut self) {
        if self.arena.cursor < self.arena.tail {
            self.arena.has_holes = true;
            self.compact(false);
        }
        self.reset_if_empty();
        self.extend();
    }

    /// The whole buffer is free again once nothing of it is needed.
    pub(super) fn reset_if_empty(&mut self) {
        if self.run == Run::None && self.arena.cursor == self.arena.tail && !self.inflight.keeps_frames() {
            self.arena.clear();
        }
    }

    /// Moves the frames that are still needed together, in their order. What is lent is needed.
    pub(super) fn compact(&mut self, drops_one_way: bool) {
        let (cursor, due, tail, lent) = (self.arena.cursor, self.arena.due, self.arena.tail, self.lent());
        let (again, again_end) = (self.arena.at, self.arena.end);
        let (mut from, mut to) = (0, 0);
        loop {
            for (old, new) in [
                (cursor, &mut self.arena.cursor),
                (due, &mut self.arena.due),
                (again, &mut self.arena.at),
                (again_end, &mut self.arena.end),
            ] {
                if old == from {
                    *new = to;
                }
            }
            let Some((length, sequence)) = self.arena.frame(from) else { break };
            let waits = self.inflight.framed_mut(sequence, from);
            let is_lent = from >= lent.0 && from < lent.1;
            let stays = waits.is_some() || is_lent || (sequence == 0 && from >= cursor && !drops_one_way);
            if stays {
                if let Some(slot) = waits {
                    slot.offset = to;
                }
                self.arena.move_down(from, to, length);
                to = to.saturating_add(length);
            }
            from = from.saturating_add(length);
        }
        // Whatever is behind the last frame, whose end is `tail`.
        debug_assert_eq!(from, tail, "the arena holds whole frames");
        self.arena.tail = to;
        self.arena.has_holes = false;
    }
}
