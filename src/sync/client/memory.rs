use super::SyncError;
use crate::Instant;
use crate::sync::{Row, SyncKeys};
use core::fmt;

/// What a [`Client`](super::Client) works in, lent by the caller: its cursor, with room for as many keys as there are rows, and
/// how far the present sync is.
///
/// ```
/// use longlink::sync::{Memory, Row};
///
/// let mut memory = Memory::<[Row; 8]>::new();
/// let lent: &mut Memory = &mut memory; // whatever the number of rows
/// # let _ = lent;
/// ```
pub struct Memory<R: ?Sized = [Row]> {
    pub(super) state: State,
    pub(super) keys: SyncKeys<R>,
}

impl<R: ?Sized + AsRef<[Row]>> fmt::Debug for Memory<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("state", &self.state).field("keys", &&self.keys).finish()
    }
}

impl Memory {
    /// For how many keys there is room: 64 at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.keys.capacity()
    }
}

impl<const N: usize> Memory<[Row; N]> {
    /// Memory that is not in use.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::NEW, keys: SyncKeys::new() }
    }
}

impl<const N: usize> Default for Memory<[Row; N]> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Up to date, as far as is known.
    Idle,
    /// A request is to be written.
    Due,
    /// It is being written: the rows must not move.
    Asking,
    /// Its answer is awaited.
    Asked,
    /// A page is with the application.
    Applying,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) is_online: bool,
    /// `Idle`: the next poll. `Due`: not before then; `None` is at once. `Asked`: the answer must have come.
    pub(super) at: Option<Instant>,
    /// Nothing is asked before then, whatever happens: the server has said so, or answers without sense.
    pub(super) not_before: Option<Instant>,
    /// When the last request was written.
    pub(super) asked: Instant,
    /// After the last reset, the next is not followed at once before then.
    pub(super) reset: Option<Instant>,
    /// Resets in a row that came before that.
    pub(super) resets: u8,
    /// The ack that a stale notify asks for is not repeated before then.
    pub(super) repeat_ack: Option<Instant>,
    /// The sequence of the last request.
    pub(super) sequence: u32,
    /// The number of the last page.
    pub(super) page: u32,
    /// Spreads what many clients would do at once.
    pub(super) seed: u64,
    /// The longest page that is ever asked for, and at present.
    pub(super) most_bytes: u32,
    pub(super) max_bytes: u32,
    pub(super) pending: Pending,
    /// The item that could not be applied, and how often one could not: from a number on, single items are asked for until
    /// it is passed.
    pub(super) poison: Option<(u16, u64)>,
    pub(super) rejects: u8,
    /// Requests since the last pause, and failures and rounds for nothing since the last one that was not.
    pub(super) rounds: u8,
    pub(super) failures: u8,
    pub(super) fruitless: u8,
    /// The cursor has moved, and the server has not been told.
    pub(super) owes_ack: bool,
    /// The next request goes on where a page ended; the next one is made since an earlier one failed.
    pub(super) continues: bool,
    pub(super) retries: bool,
    /// What is asked for is asked for because of a hint, and should bring something.
    pub(super) hinted: bool,
    /// The server does not know the device, and that is still to be acted on.
    pub(super) greets_anew: bool,
    /// The last request may be held by the server, and no hint has overtaken it yet.
    pub(super) held: bool,
    /// All was there at the end of the last round on this link.
    pub(super) caught_up: bool,
    pub(super) tells: Tells,
}

/// What was heard while something was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Nothing,
    /// This key has this head.
    Head(u16, u64),
    /// Something moved.
    Something,
}

/// What is to be told.
#[derive(Debug)]
pub(super) struct Tells {
    pub(super) caught_up: bool,
    pub(super) hole: Option<(u16, u64)>,
    pub(super) failed: Option<SyncError>,
}

impl State {
    /// No link, and nothing under way. What follows goes on with other numbers, so that nothing is taken for what was before.
    pub(super) fn begin(&mut self) {
        let Self { sequence, page, seed, most_bytes, max_bytes, .. } = *self;
        *self = Self { sequence, page, seed, most_bytes, max_bytes, ..Self::NEW };
    }

    const NEW: Self = Self {
        phase: Phase::Idle,
        is_online: false,
        at: None,
        not_before: None,
        asked: Instant::ZERO,
        reset: None,
        resets: 0,
        repeat_ack: None,
        sequence: 0,
        page: 0,
        seed: 0,
        most_bytes: 0,
        max_bytes: 0,
        pending: Pending::Nothing,
        poison: None,
        rejects: 0,
        rounds: 0,
        failures: 0,
        fruitless: 0,
        owes_ack: false,
        continues: false,
        retries: false,
        hinted: false,
        greets_anew: false,
        held: false,
        caught_up: false,
        tells: Tells { caught_up: false, hole: None, failed: None },
    };
}
