//! What outlives a link or a process: the messages, their sequences, and the epoch these belong to.

use super::{Outbox, Run};
use crate::Instant;
use crate::delivery::slot::{Class, Failure, Outcome, Slot, Token};
use crate::delivery::{Accepted, Epoch, MessagePolicy, PushError, Standing};

/// A message that is neither delivered nor failed nor taken back.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unsettled<'a> {
    /// What stands for it.
    pub token: Token,
    /// It was written as a whole at some time: the peer may have it.
    pub written: bool,
    /// Its body holds for its sequence in this epoch only.
    pub sealed: bool,
    /// Attempts spent, and allowed.
    pub attempts: (u8, u8),
    /// When it fails.
    pub expires: Option<Instant>,
    /// The body.
    pub body: &'a [u8],
}

/// What the greeting of a peer with a window says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<'a> {
    /// What it has stored.
    pub(crate) accepted: Accepted<'a>,
    /// The longest frame that it takes.
    pub(crate) max_frame: u32,
}

impl Outbox<'_> {
    /// The messages that are neither delivered nor failed nor taken back, lowest sequence first as a rule.
    pub fn messages(&self) -> impl Iterator<Item = Unsettled<'_>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            loop {
                let (length, sequence) = self.arena.frame(at)?;
                let (frame, slot) = (at, self.inflight.framed(sequence, at));
                at = at.saturating_add(length);
                let Some(&Slot { token, written, spent, class, .. }) = slot else { continue };
                if let Class::Message { attempts, sealed, expires, .. } = class {
                    let body = self.arena.body(frame);
                    return Some(Unsettled { token, written, sealed, attempts: (spent, attempts), expires, body });
                }
            }
        })
    }

    /// Puts a message back that an earlier process had, under its sequence.
    ///
    /// # Errors
    ///
    /// [`PushError`], and nothing has changed.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        sequence: u32,
        (spent, written, sealed): (u8, bool, bool),
        body: &[u8],
    ) -> Result<Token, PushError> {
        let token = self.push_as(now, policy, sequence, body)?;
        if let Some(slot) = self.inflight.get_mut(sequence) {
            (slot.spent, slot.written) = (spent, written);
            if let Class::Message { sealed: is_sealed, .. } = &mut slot.class {
                *is_sealed = sealed;
            }
        }
        Ok(token)
    }

    /// A message of an earlier process that cannot go on.
    pub(crate) fn restore_ended(
        &mut self,
        now: Instant,
        sequence: u32,
        written: bool,
        failure: Failure,
    ) -> Option<Token> {
        let class = MessagePolicy::DEFAULT.class(now, false);
        self.inflight.open_ended(sequence, class, written, Outcome::Failed(failure))
    }

    /// `true` if it holds nothing, and no message was sent yet.
    pub(crate) fn is_unused(&self) -> bool {
        self.message == 0 && self.arena.tail == 0 && self.inflight.is_empty()
    }

    /// Forgets every message, as if none had been there.
    pub(crate) fn forget_all(&mut self) {
        self.inflight.clear();
        self.arena.clear();
        (self.message, self.span.floor, self.span.highest) = (0, 0, 0);
    }

    /// The sequence assigned last, 0 for none.
    pub(crate) const fn last_message(&self) -> u32 {
        self.message
    }

    /// Sequences up to this one were assigned before.
    pub(crate) fn set_last_message(&mut self, sequence: u32) {
        (self.message, self.span.floor) = (sequence, sequence);
    }

    /// Messages do not start again after the last sequence: their peer keeps a window.
    pub(crate) fn set_wraps(&mut self, wraps: bool) {
        self.span.wraps = wraps;
    }

    /// Messages that end from now on are of this epoch.
    pub(crate) fn set_epoch(&mut self, epoch: Option<Epoch>) {
        self.inflight.epoch = epoch;
    }

    /// No message with this sequence or a higher one is written yet.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.span.limit = limit;
        self.extend();
    }

    /// Ends the messages below `below` that the peer has, and those of which it cannot say. `true` if there was one that it
    /// has.
    pub(crate) fn settle_by(&mut self, accepted: &Accepted<'_>, below: u32) -> bool {
        let mut settled = false;
        self.judge(|slot, _| {
            let standing = accepted.standing(slot.token.sequence);
            match standing {
                _ if slot.token.sequence >= below => None,
                Standing::Stored => {
                    settled = true;
                    Some(Outcome::Delivered)
                }
                Standing::NotStored => None,
                Standing::Unknown => Some(Outcome::Failed(Failure::Unknown)),
            }
        });
        settled
    }

    /// Ends the messages that are longer than the peer takes.
    pub(super) fn fail_longer(&mut self) {
        let limit = self.max_frame as usize;
        self.judge(|_, length| (length > limit).then_some(Outcome::Failed(Failure::TooLarge)));
    }

    /// Goes on in a new epoch, from sequence 1. What an old epoch's peer may have is not sent again, unless the peer has
    /// said that it has none of it; what was sealed for the old epoch must be sealed anew.
    pub(crate) fn start_epoch(&mut self, none_is_stored: bool) {
        if none_is_stored {
            self.forget_written();
        }
        self.judge(|slot, _| match slot.class {
            _ if slot.written => Some(Outcome::Failed(Failure::Unknown)),
            Class::Message { sealed: true, .. } => Some(Outcome::Failed(Failure::EpochChanged)),
            _ => None,
        });
        self.tidy();
        (self.message, self.span.highest, self.blame.suspect) = (0, 0, None);
        self.renumber(true);
        self.span.floor = self.inflight.lowest_message(0).unwrap_or_default();
        // What is lent is written to its end.
        if self.run != Run::Due {
            self.arena.due = self.arena.cursor;
        }
        self.extend();
    }

    fn forget_written(&mut self) {
        for slot in self.inflight.slots_mut().filter(|slot| slot.is_message()) {
            slot.written = false;
        }
    }

    /// Ends the messages of which `judge`, told the length of the frame, says so. [`tidy`](Self::tidy) comes later.
    fn judge(&mut self, mut judge: impl FnMut(&Slot, usize) -> Option<Outcome>) {
        let mut at = 0;
        while let Some((length, sequence)) = self.arena.frame(at) {
            let slot = self.inflight.framed(sequence, at).filter(|slot| slot.is_message());
            if let Some(outcome) = slot.and_then(|slot| judge(slot, length)) {
                self.end(sequence, outcome);
            }
            at = at.saturating_add(length);
        }
    }

    /// Gives the messages, or the requests, new sequences in the order of their frames. Each keeps its slot.
    pub(super) fn renumber(&mut self, messages: bool) {
        let mut at = 0;
        while let Some((length, sequence)) = self.arena.frame(at) {
            let is_one = self.inflight.framed(sequence, at).is_some_and(|slot| slot.is_message() == messages);
            let last = if messages { self.message } else { self.request };
            let renumbered = if is_one { self.inflight.renumber(sequence, last) } else { None };
            if let Some(next) = renumbered {
                self.arena.set_sequence(at, next);
                let counter = if messages { &mut self.message } else { &mut self.request };
                *counter = next;
            }
            at = at.saturating_add(length);
        }
    }
}
