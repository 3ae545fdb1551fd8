use crate::delivery::{Epoch, LAST_SEQUENCE};
use core::num::NonZeroU32;

/// Under which identity a device sends its messages: the epoch of their counter, and what of it is stored.
///
/// A sequence goes on the wire only if the stored state says already that it is used, so that a process which starts from
/// that state does not use it again. Blocks of [`Incarnation::BLOCK`] keep that cheap; what a block has left is a hole, and
/// holes do no harm. Nor does it before the stored state says that a greeting has confirmed it: a process which starts from
/// an unconfirmed one takes what the peer has above its mark for messages of another.
#[derive(Debug)]
pub(super) struct Incarnation {
    /// `None` until the peer has named one.
    pub(super) epoch: Option<Epoch>,
    /// The number of the link that greeted last. Grows within the epoch.
    pub(super) link: u32,
    /// The lowest sequence that was assigned since the state was taken from storage, until a greeting has confirmed that
    /// nothing higher was used: if something was, the state is older than the peer's.
    pub(super) mark: Option<NonZeroU32>,
    /// The highest sequence that the peer acknowledged in this epoch, 0 for none.
    pub(super) acknowledged: u32,
    /// The link that is up was not greeted: what happens on it says nothing about the epoch.
    pub(super) anonymous: bool,
    /// A link of this epoch was not.
    pub(super) wrote_anonymously: bool,
    /// What is stored, and what was last encoded to be; neither counts if nothing is to be stored.
    stored: Stored,
    encoded: Stored,
    keeps_state: bool,
}

/// Sequences of this epoch below `next` may be written; those from `mark` on only once a state without it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) epoch: Option<Epoch>,
    pub(super) next: u32,
    pub(super) mark: Option<NonZeroU32>,
}

impl Incarnation {
    /// So many sequences are written ahead.
    const BLOCK: u32 = 64;

    /// Of a device without a past. Without `keeps_state` nothing waits for being stored.
    pub(super) const fn new(epoch: Option<Epoch>, keeps_state: bool) -> Self {
        let nothing = Stored { epoch: None, next: 0, mark: None };
        Self {
            epoch,
            link: 0,
            mark: Some(NonZeroU32::MIN),
            acknowledged: 0,
            anonymous: false,
            wrote_anonymously: false,
            stored: nothing,
            encoded: nothing,
            keeps_state,
        }
    }

    /// From storage.
    pub(super) const fn restored(stored: Stored, link: u32, acknowledged: u32) -> Self {
        let mark = match stored.mark {
            Some(mark) => Some(mark),
            None => NonZeroU32::new(stored.next),
        };
        Self {
            epoch: stored.epoch,
            link,
            mark,
            acknowledged,
            anonymous: false,
            wrote_anonymously: false,
            stored,
            encoded: stored,
            keeps_state: true,
        }
    }

    /// The peer acknowledged this sequence.
    pub(super) fn handle_acknowledged(&mut self, sequence: u32) {
        if !self.anonymous {
            self.acknowledged = self.acknowledged.max(sequence);
        }
    }

    /// A greeting has confirmed that nothing higher than what is known here was used; the peer has up to `last`. What it
    /// has lost, if it acknowledged more before: from where to where.
    pub(super) fn confirm(&mut self, last: u32) -> Option<(NonZeroU32, u32)> {
        (self.mark, self.wrote_anonymously) = (None, false);
        let before = core::mem::replace(&mut self.acknowledged, last);
        NonZeroU32::new(before).filter(|before| last < before.get()).map(|before| (before, last))
    }

    /// A new epoch begins, after the one that is in force.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        (self.epoch, self.link, self.mark, self.acknowledged) = (Some(epoch), 0, Some(NonZeroU32::MIN), 0);
        self.wrote_anonymously = false;
    }

    /// The first sequence that may not be written yet.
    pub(super) fn limit(&self) -> u32 {
        if !self.keeps_state {
            return u32::MAX;
        }
        if self.stored.epoch.is_none() || self.stored.epoch != self.epoch {
            return 0;
        }
        self.stored.next.min(self.stale_mark().map_or(u32::MAX, NonZeroU32::get))
    }

    /// The mark of the stored state, if a greeting has cleared it since.
    fn stale_mark(&self) -> Option<NonZeroU32> {
        self.stored.mark.filter(|_| self.mark.is_none())
    }

    /// `true` if something cannot be written before the state is stored; `last` is the sequence assigned last.
    pub(super) fn needs_saving(&self, last: u32) -> bool {
        self.keeps_state && (self.stored.epoch != self.epoch || (self.epoch.is_some() && last >= self.limit()))
    }

    /// What is to be stored.
    pub(super) fn encode(&mut self, last: u32) -> Stored {
        let next = last.saturating_add(Self::BLOCK).min(LAST_SEQUENCE).saturating_add(1);
        self.encoded = Stored { epoch: self.epoch, next, mark: self.mark };
        self.encoded
    }

    /// What was encoded last is stored.
    pub(super) fn handle_saved(&mut self) {
        self.stored = self.encoded;
    }
}
