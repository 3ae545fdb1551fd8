use super::sequence::{distance, is_newer, is_sequence};
use super::{DedupWindow, Epoch, MessageId, RejectCode, Rejection, Verdict};
use core::{error::Error, fmt};

/// The messages that come over one link of a server: which are new and offered to the application, and what is owed to the
/// peer for them.
///
/// ```text
///                         ┌─ accept ──▶ owed: stored ──────┐
///   fresh ──▶ offered ────┼─ reject ──▶ owed: rejected ────┼──▶ written
///                         └─ release ─▶ may come again     │
///   stored before ─────────────────────▶ owed: stored ─────┤
///   too old, out of order, rejected before ▶ owed: rejected┘
/// ```
///
/// Copies of what is offered and not decided are dropped. The window in here is a copy of the one that is stored with the
/// messages; that one decides.
#[derive(Debug)]
pub(crate) struct Intake<const WORDS: usize> {
    epoch: Option<Epoch>,
    link: u32,
    window: DedupWindow<WORDS>,
    /// The highest sequence seen. The maps are of the sequences up to it, each at its number modulo their width.
    high: u32,
    /// The lowest that is offered, while any is.
    lowest: u32,
    offered: [u64; WORDS],
    rejected: [u64; WORDS],
    /// Those whose acknowledgement is owed.
    stored: [u64; WORDS],
    /// Rejections that are owed, oldest first; the sequence of none is 0.
    rejections: [(u32, Rejection); REJECTIONS],
}

/// A message came that is further ahead of one that is not decided than the window spans.
#[derive(Debug)]
pub(crate) struct Overrun;

/// Why the application's word on a message was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AcceptError {
    /// The message was not offered by this link, or was decided already: what is said of it is void.
    Stale,
    /// An earlier message is to be decided first.
    OutOfOrder {
        /// The sequence of that message.
        expected: u32,
    },
    /// Other rejections wait to be written first.
    Full,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the message is not offered by this link"),
            Self::OutOfOrder { expected } => write!(f, "message {expected} is to be decided first"),
            Self::Full => f.write_str("other rejections wait to be written"),
        }
    }
}

impl Error for AcceptError {}

/// So many rejections can be owed at a time.
const REJECTIONS: usize = 2;
const NO_REJECTION: (u32, Rejection) = (0, Rejection::new(RejectCode::Refused));

impl<const WORDS: usize> Intake<WORDS> {
    /// Of a link that is not greeted: takes nothing.
    pub(crate) const fn new() -> Self {
        Self {
            epoch: None,
            link: 0,
            window: DedupWindow::new(),
            high: 0,
            lowest: 0,
            offered: [0; WORDS],
            rejected: [0; WORDS],
            stored: [0; WORDS],
            rejections: [NO_REJECTION; REJECTIONS],
        }
    }

    /// The link is greeted: what it brings is of this epoch.
    pub(crate) fn greet(&mut self, epoch: Epoch, link: u32, window: &DedupWindow<WORDS>) {
        *self = Self { epoch: Some(epoch), link, window: *window, high: window.last(), ..Self::new() };
    }

    /// Nothing is offered any more: what the application says of it is void.
    pub(crate) fn withdraw(&mut self) {
        (self.offered, self.epoch) = ([0; WORDS], None);
    }

    /// `true` once the link is greeted, until it is about to close.
    pub(crate) const fn is_greeted(&self) -> bool {
        self.epoch.is_some()
    }

    /// `true` once the link is greeted, also while it is about to close.
    pub(crate) const fn was_greeted(&self) -> bool {
        self.link > 0
    }

    /// `true` if a message can have this sequence.
    pub(crate) const fn is_message(&self, sequence: u32) -> bool {
        is_sequence(sequence)
    }

    /// How many are offered and not decided.
    pub(crate) fn pending(&self) -> u32 {
        if !self.has_pending() {
            return 0;
        }
        self.offered.iter().map(|map| map.count_ones()).fold(0, u32::saturating_add)
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.offered.iter().any(|map| *map != 0)
    }

    /// A message came. Its identity, if it is to be offered to the application.
    ///
    /// # Errors
    ///
    /// [`Overrun`] if one that is not decided is so far behind that its sender must have given it up.
    pub(crate) fn handle_message(&mut self, sequence: u32, ordered: bool) -> Result<Option<MessageId>, Overrun> {
        let Some(epoch) = self.epoch.filter(|_| is_sequence(sequence)) else { return Ok(None) };
        if self.is_out_of_reach(sequence) {
            self.owe(sequence, Rejection::new(RejectCode::TooOld));
            return Ok(None);
        }
        match self.window.check(sequence) {
            Verdict::Duplicate => set(&mut self.stored, sequence),
            Verdict::TooOld => self.owe(sequence, Rejection::new(RejectCode::TooOld)),
            Verdict::Fresh if is_newer(sequence, self.high) || self.high == 0 => {
                self.reach(sequence, ordered)?;
                return Ok(Some(self.offer(epoch, sequence)));
            }
            Verdict::Fresh if is_set(&self.offered, sequence) => {}
            Verdict::Fresh if is_set(&self.rejected, sequence) => {
                self.owe(sequence, Rejection::new(RejectCode::Refused));
            }
            Verdict::Fresh if ordered && self.is_passed(sequence) => {
                self.owe(sequence, Rejection::new(RejectCode::OutOfOrder));
            }
            Verdict::Fresh => return Ok(Some(self.offer(epoch, sequence))),
        }
        Ok(None)
    }

    fn offer(&mut self, epoch: Epoch, sequence: u32) -> MessageId {
        if !self.has_pending() || is_newer(self.lowest, sequence) {
            self.lowest = sequence;
        }
        set(&mut self.offered, sequence);
        MessageId { epoch, link: self.link, sequence }
    }

    /// The maps end before it: its place in them is a later one's.
    fn is_out_of_reach(&self, sequence: u32) -> bool {
        let behind = self.high != 0 && !is_newer(sequence, self.high);
        behind && distance(sequence, self.high) >= DedupWindow::<WORDS>::WIDTH
    }

    /// A later one is stored, or offered.
    fn is_passed(&self, sequence: u32) -> bool {
        let stored = self.window.last() != 0 && !is_newer(sequence, self.window.last());
        stored || (self.has_pending() && is_newer(self.high, sequence))
    }

    /// Makes the maps reach up to `sequence`. What is not decided and falls out at their other end its sender has given up:
    /// what is said of it is void. Where messages are stored in order nothing may pass it.
    fn reach(&mut self, sequence: u32, ordered: bool) -> Result<(), Overrun> {
        let step = distance(self.high, sequence).min(DedupWindow::<WORDS>::WIDTH);
        let passes = self.has_pending() && distance(self.lowest, sequence) >= DedupWindow::<WORDS>::WIDTH;
        if passes && ordered {
            return Err(Overrun);
        }
        for behind in 0..step {
            let passed = sequence.wrapping_sub(behind);
            clear(&mut self.rejected, passed);
            clear(&mut self.stored, passed);
            clear(&mut self.offered, passed);
        }
        self.high = sequence;
        if passes {
            let first = sequence.wrapping_sub(DedupWindow::<WORDS>::WIDTH.wrapping_sub(1));
            let left = (0..DedupWindow::<WORDS>::WIDTH).map(|step| first.wrapping_add(step));
            self.lowest = left.into_iter().find(|sequence| is_set(&self.offered, *sequence)).unwrap_or(sequence);
        }
        Ok(())
    }

    /// The application has stored the message.
    pub(crate) fn accept(&mut self, id: &MessageId, ordered: bool) -> Result<(), AcceptError> {
        self.is_offered(id)?;
        if ordered && id.sequence != self.lowest {
            return Err(AcceptError::OutOfOrder { expected: self.lowest });
        }
        self.decide(id.sequence);
        self.window.accept(id.sequence);
        set(&mut self.stored, id.sequence);
        Ok(())
    }

    /// The application will not have the message. The peer is told, and is told again if another copy comes; the window does
    /// not learn of it.
    pub(crate) fn reject(&mut self, id: &MessageId, rejection: Rejection) -> Result<(), AcceptError> {
        self.is_offered(id)?;
        if self.is_full() {
            return Err(AcceptError::Full);
        }
        self.decide(id.sequence);
        set(&mut self.rejected, id.sequence);
        self.owe(id.sequence, rejection);
        Ok(())
    }

    /// The application has not stored the message: it may come again.
    pub(crate) fn release(&mut self, id: &MessageId) -> Result<(), AcceptError> {
        self.is_offered(id)?;
        self.decide(id.sequence);
        Ok(())
    }

    fn is_offered(&self, id: &MessageId) -> Result<(), AcceptError> {
        let here = Some(id.epoch) == self.epoch && id.link == self.link;
        let reached = !is_newer(id.sequence, self.high)
            && distance(id.sequence, self.high) < DedupWindow::<WORDS>::WIDTH
            && is_set(&self.offered, id.sequence);
        if here && reached { Ok(()) } else { Err(AcceptError::Stale) }
    }

    fn decide(&mut self, sequence: u32) {
        clear(&mut self.offered, sequence);
        if self.has_pending() && sequence == self.lowest {
            let ahead = distance(sequence, self.high);
            let next = (1..=ahead).map(|step| sequence.wrapping_add(step)).find(|next| is_set(&self.offered, *next));
            self.lowest = next.unwrap_or(self.high);
        }
    }

    /// Owes a rejection to a message that may not even be of this link. No-op if there is no place, and for sequence 0.
    pub(crate) fn owe(&mut self, sequence: u32, rejection: Rejection) {
        if let Some(place) = self.rejections.iter_mut().find(|(owed, _)| *owed == 0) {
            *place = (sequence, rejection);
        }
    }

    /// No other rejection can be owed before one is written.
    pub(crate) fn is_full(&self) -> bool {
        self.rejections.last().is_some_and(|(owed, _)| *owed != 0)
    }

    /// `true` while an answer is owed.
    pub(crate) fn is_owing(&self) -> bool {
        self.rejections.first().is_some_and(|(owed, _)| *owed != 0) || self.stored.iter().any(|map| *map != 0)
    }

    /// The next answer that is owed: to which message, and what.
    pub(crate) fn next_answer(&mut self) -> Option<(u32, Option<Rejection>)> {
        let [first, second] = self.rejections;
        if first.0 != 0 {
            self.rejections = [second, NO_REJECTION];
            return Some((first.0, Some(first.1)));
        }
        let (word, map) = (0_u32..).zip(self.stored.iter_mut()).find(|(_, map)| **map != 0)?;
        let place = word.saturating_mul(64).saturating_add(map.trailing_zeros());
        *map &= map.wrapping_sub(1);
        // The only sequence of those that the maps reach which has this place.
        let behind = self.high.wrapping_sub(place).checked_rem(DedupWindow::<WORDS>::WIDTH).unwrap_or_default();
        Some((self.high.wrapping_sub(behind), None))
    }
}

/// The place of a sequence in a map. Sequences do not wrap within an epoch, so no two in reach have the same.
fn place(sequence: u32, words: usize) -> (usize, u64) {
    let word = (sequence as usize / 64).checked_rem(words).unwrap_or_default();
    (word, 1_u64.wrapping_shl(sequence))
}

fn set(map: &mut [u64], sequence: u32) {
    let (word, bit) = place(sequence, map.len());
    if let Some(map) = map.get_mut(word) {
        *map |= bit;
    }
}

fn clear(map: &mut [u64], sequence: u32) {
    let (word, bit) = place(sequence, map.len());
    if let Some(map) = map.get_mut(word) {
        *map &= !bit;
    }
}

fn is_set(map: &[u64], sequence: u32) -> bool {
    let (word, bit) = place(sequence, map.len());
    map.get(word).is_some_and(|map| map & bit != 0)
}
