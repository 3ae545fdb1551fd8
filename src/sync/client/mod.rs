//! The connecting side of sync.

mod config;
mod error;
mod hint;
mod memory;
mod pace;
mod page;

pub use config::{Config, ConfigError, Wanted};
pub use error::{CursorError, StaleReceipt, SyncError};
pub use memory::Memory;

use super::{Ack, Entry, Request, SyncKeys};
use crate::random::{mix, share};
use crate::time::{Instant, after, deadline, micros};
use crate::wire::BufferTooSmall;
use core::time::Duration;
use memory::{Pending, Phase};

/// Brings a device up to date with its mailbox, and keeps it there, over one link after the other.
///
/// ```text
///          notify, poll, want                written              page
///    Idle ────────────────────▶ Due ─────────────────▶ Asked ─────────────▶ Applying
///     ▲                        ▲ ▲ ▲                    │ │                  │ │ │
///     │                        │ │ └── error, time-out ─┘ │ nothing new      │ │ │
///     │                        │ └──── reject, abandon ───┼──────────────────┘ │ │
///     │                        └────── commit, there is more ──────────────────┘ │
///     └──────────────────────────────── commit, up to date ◀┴────────────────────┘
/// ```
///
/// * One request is under way at most, and its answer is taken if it has its sequence. Anything else that looks like one is
///   dropped.
/// * A [`Page`](super::Page) is with the application until it says [`commit`](Self::commit), [`reject`](Self::reject) or
///   [`abandon`](Self::abandon), for as long as it takes and whatever becomes of the link. Nothing is asked meanwhile.
/// * **Nothing moves the cursor but `commit`**: store the items, then the cursor, both in one transaction if there are such,
///   then commit. Only that lets the server forget them.
/// * A notify is a hint: it may be lost, come twice or late. What it says is compared with the cursor, and remembered while
///   something is under way.
/// * What fails is asked for again with the same cursor, later each time, up to 60 s.
///
/// A [session](crate::session::Client) does all this by itself, but for the calls that belong to the application. Who
/// composes it otherwise writes what [`poll_request`](Self::poll_request) and [`poll_ack`](Self::poll_ack) give, and
/// tells what came.
#[derive(Debug)]
pub struct Client<'b> {
    config: &'b Config<'b>,
    memory: &'b mut Memory,
}

/// What a client tells without a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Told {
    /// Everything that the mailbox had is here.
    CaughtUp,
    /// The item could not be applied, time and again, and was passed.
    Hole {
        /// Its key.
        key: u16,
        /// Its val.
        val: u64,
    },
    /// A sync did not succeed.
    Failed(SyncError),
}

/// What becomes of a page that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rejected {
    /// It is asked for again, a little later.
    AskedAgain,
    /// The item was alone, and it is passed: store the cursor as it is now. It is told as a hole, too.
    Passed,
}

impl<'b> Client<'b> {
    /// A client without a link. `seed` spreads what many clients would do at the same moment: the device's number does.
    /// `longest` is the longest body that can be received.
    ///
    /// The cursor is the one in `memory`, none in fresh memory; [`restore`](Self::restore) takes over a stored one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work.
    pub fn new(config: &'b Config<'b>, memory: &'b mut Memory, seed: u64, longest: usize) -> Result<Self, ConfigError> {
        config.check(memory.keys.capacity(), longest)?;
        let bytes = config.bytes(longest);
        let state = &mut memory.state;
        state.begin();
        (state.seed, state.most_bytes, state.max_bytes) = (seed, bytes, bytes);
        let mut client = Self { config, memory };
        client.list();
        Ok(client)
    }

    /// Takes over a cursor that was stored: bytes as [`cursor`](Self::cursor) and [`cursor_after`](Self::cursor_after) write
    /// them. A page that is with the application is void: it follows another cursor.
    ///
    /// # Errors
    ///
    /// [`CursorError`], and nothing has changed: the bytes are no cursor or name more keys than there is room for, or
    /// there is a link.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), CursorError> {
        if self.memory.state.is_online {
            return Err(CursorError::Online);
        }
        self.memory.keys.decode(bytes)?;
        self.memory.state.begin();
        self.list();
        Ok(())
    }

    /// The link is up: everything is asked for, as nobody knows what was missed.
    pub fn handle_online(&mut self, now: Instant) {
        let state = &mut self.memory.state;
        (state.is_online, state.caught_up, state.hinted) = (true, false, false);
        (state.rounds, state.fruitless) = (0, 0);
        match state.phase {
            // Once the page is committed: it was asked for on another link, and what moved since is not in it.
            Phase::Applying => state.pending = Pending::Something,
            _ => self.ask(now, None),
        }
    }

    /// The link is gone. A page that is with the application stays with it.
    pub fn handle_disconnected(&mut self) {
        let state = &mut self.memory.state;
        (state.is_online, state.at, state.pending) = (false, None, Pending::Nothing);
        if state.phase != Phase::Applying {
            state.phase = Phase::Idle;
        }
    }

    /// Asks now, as for a user who pulls the list down: [`Told::CaughtUp`] says when all is here. A server that has
    /// named a time to come back is not asked before. No-op without a link: it is asked anyway once there is one.
    pub fn want(&mut self, now: Instant) {
        let state = &mut self.memory.state;
        // The answer to this is not to be held, and is to be told.
        (state.rounds, state.caught_up) = (0, false);
        match state.phase {
            Phase::Idle | Phase::Due => self.ask(now, None),
            Phase::Asked if state.held => self.ask(now, None),
            Phase::Asking | Phase::Asked | Phase::Applying => state.pending = Pending::Something,
        }
    }

    /// The request to write, while one is due: its sequence, the fixed part of its body, and the [rows](Self::rows)
    /// that follow it. The same until [`handle_request_sent`](Self::handle_request_sent) or the end of the link.
    pub fn poll_request(&mut self) -> Option<(u32, [u8; Request::LEN])> {
        if !self.is_due() {
            return None;
        }
        let (config, all, max_items) = (self.config, self.wants_all(), self.max_items());
        let state = &mut self.memory.state;
        if state.phase == Phase::Due {
            state.sequence = if state.sequence >= Self::LAST_SEQUENCE { 1 } else { state.sequence.saturating_add(1) };
            (state.phase, state.owes_ack) = (Phase::Asking, false);
            state.rounds = state.rounds.saturating_add(1);
            // Only who has everything can wait for more.
            state.held = state.caught_up && !state.hinted && config.hold_secs() > 0;
        }
        let hold = if state.held { config.hold_secs() } else { 0 };
        let request = Request {
            all,
            continues: state.continues,
            retries: state.retries,
            epoch: self.memory.keys.epoch(),
            max_items,
            hold,
            max_bytes: state.max_bytes,
            entries: self.memory.keys.entries(),
        };
        Some((state.sequence, request.encode_fixed()))
    }

    /// The request is written, and has arrived by `arrival` as far as can be told.
    pub fn handle_request_sent(&mut self, arrival: Instant) {
        let timeout = self.timeout();
        let state = &mut self.memory.state;
        if state.phase == Phase::Asking {
            (state.phase, state.asked, state.at) = (Phase::Asked, arrival, deadline(arrival, timeout));
        }
    }

    /// The ack to write, while one is owed and no request will say the same: the fixed part of its body, and the
    /// [rows](Self::rows) that follow it.
    pub fn poll_ack(&self) -> Option<[u8; Ack::LEN]> {
        if self.owes_ack() { self.poll_last_ack() } else { None }
    }

    /// The ack to write on a link on which nothing is asked any more.
    pub(crate) fn poll_last_ack(&self) -> Option<[u8; Ack::LEN]> {
        let epoch = self.memory.keys.epoch()?;
        self.owes_last_ack().then(|| Ack { epoch, entries: self.memory.keys.entries() }.encode_fixed())
    }

    /// The ack is written.
    pub fn handle_ack_sent(&mut self) {
        self.memory.state.owes_ack = false;
    }

    /// What follows the fixed part of a request and of an ack: the keys of the cursor, as on the wire. They do not move
    /// while either is being written.
    #[must_use]
    pub fn rows(&self) -> &[u8] {
        self.memory.keys.rows()
    }

    /// Acts on what is due. While a frame is coming in, `heard` is when its last bytes came: a page takes as long as it
    /// takes on a slow link. `true` if the answer did not come in time, and the link is to be asked whether it lives.
    pub fn handle_timeout(&mut self, now: Instant, heard: Option<Instant>) -> bool {
        if self.memory.state.at.is_none_or(|at| at > now) {
            return false;
        }
        let timeout = self.timeout();
        let state = &mut self.memory.state;
        match state.phase {
            Phase::Idle => {
                (state.hinted, state.rounds) = (false, 0);
                self.ask(now, None);
            }
            Phase::Due => state.at = None,
            Phase::Asked => {
                let late = deadline(heard.unwrap_or(state.asked).max(state.asked), timeout);
                if late.is_some_and(|late| late > now) {
                    state.at = late;
                    return false;
                }
                self.halve();
                self.fail(now, SyncError::TimedOut);
                return true;
            }
            Phase::Asking | Phase::Applying => state.at = None,
        }
        false
    }

    /// Starts the clock of an answer again, after a wake-up that came late, in place of
    /// [`handle_timeout`](Self::handle_timeout). What else is due is due.
    pub fn rebase(&mut self, now: Instant) {
        let timeout = self.timeout();
        let state = &mut self.memory.state;
        if state.phase == Phase::Asked {
            (state.asked, state.at) = (now, deadline(now, timeout));
        } else {
            self.handle_timeout(now, None);
        }
    }

    /// What is to be told without a page, each once.
    pub fn poll_event(&mut self) -> Option<Told> {
        let tells = &mut self.memory.state.tells;
        if let Some((key, val)) = tells.hole.take() {
            return Some(Told::Hole { key, val });
        }
        if let Some(error) = tells.failed.take() {
            return Some(Told::Failed(error));
        }
        core::mem::take(&mut tells.caught_up).then_some(Told::CaughtUp)
    }

    /// When [`handle_timeout`](Self::handle_timeout) may have something to do; never later than that.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.memory.state.at
    }

    /// Writes the cursor, to be stored: what is committed. Returns its length, 8 bytes and 12 for each key.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if `out` does not hold it; `out` is untouched then.
    pub fn cursor(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.memory.keys.encode(out)
    }

    /// The cursor: what is committed.
    #[must_use]
    pub fn keys(&self) -> &SyncKeys {
        &self.memory.keys
    }

    /// `true` if a request is to be written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let state = &self.memory.state;
        match state.phase {
            Phase::Due => state.is_online && state.at.is_none(),
            Phase::Asking => state.is_online,
            _ => false,
        }
    }

    /// `true` if an ack is to be written, and no request instead of it.
    #[must_use]
    pub fn owes_ack(&self) -> bool {
        self.owes_last_ack() && !self.is_due()
    }

    pub(crate) fn owes_last_ack(&self) -> bool {
        let state = &self.memory.state;
        matches!(state.phase, Phase::Idle | Phase::Due) && state.owes_ack && state.is_online
    }

    /// `true` while the answer to the request with this sequence is awaited.
    #[must_use]
    pub fn is_awaiting(&self, sequence: u32) -> bool {
        let state = &self.memory.state;
        state.phase == Phase::Asked && state.sequence == sequence
    }

    /// `true` while a page is with the application.
    #[must_use]
    pub fn is_applying(&self) -> bool {
        self.memory.state.phase == Phase::Applying
    }

    /// `true` if everything that the mailbox had at the end of the last round is here, and nothing else has been heard
    /// since.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let state = &self.memory.state;
        state.caught_up && (state.phase == Phase::Idle || state.held)
    }

    /// Sequences of requests end far below those that the protocol keeps for itself. They go on from link to link, so
    /// that no answer is taken for that of another.
    const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;

    fn wants_all(&self) -> bool {
        self.config.keys == Wanted::All
    }

    /// How many items are asked for.
    fn max_items(&self) -> u16 {
        if self.memory.state.isolates() { 1 } else { self.config.max_items }
    }

    /// The server does not know the device. Once for each time that it said so.
    pub(crate) fn take_unknown(&mut self) -> bool {
        core::mem::take(&mut self.memory.state.greets_anew)
    }

    fn wants(&self, key: u16) -> bool {
        match self.config.keys {
            Wanted::All => true,
            Wanted::Listed(keys) => keys.binary_search(&key).is_ok(),
        }
    }

    /// The keys that are always named are in the table; those that nobody wants any more are not.
    fn list(&mut self) {
        let keys = &mut self.memory.keys;
        if keys.epoch().is_none() {
            // Vals of no epoch mean nothing here.
            keys.clear();
        }
        let wanted = self.config.keys;
        let unwanted = |entry: &Entry| match wanted {
            Wanted::All => entry.val == 0,
            Wanted::Listed(wanted) => wanted.binary_search(&entry.key).is_err(),
        };
        while let Some(entry) = keys.entries().find(unwanted) {
            keys.remove(entry.key);
        }
        let Wanted::Listed(wanted) = wanted else { return };
        for key in wanted {
            // There is room: that was judged when the client was made.
            let _ = keys.merge(*key, 0);
        }
    }

    /// From the last byte of the request to the answer.
    fn timeout(&self) -> Duration {
        let hold = if self.memory.state.held { self.config.hold } else { Duration::ZERO };
        hold.saturating_add(self.config.timeout)
    }

    /// Somewhere within `span` after `at`, as the seed and the time have it.
    fn spread(&self, at: Instant, span: Duration) -> Instant {
        let [a, b, c, d, ..] = mix(self.memory.state.seed ^ at.as_micros()).to_be_bytes();
        after(at, share(micros(span), u32::from_be_bytes([a, b, c, d])))
    }
}
