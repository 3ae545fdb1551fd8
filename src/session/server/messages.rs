//! The messages of a device that has greeted, and what the application says to them.

use super::{Server, State};
use crate::Instant;
use crate::delivery::{AcceptError, MessageId, Overrun, RejectCode, Rejection};
use crate::session::{Disconnect, GoAway, GoAwayCode, ServerEvent};
use crate::wire::Frame;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'_, B, WORDS> {
    /// The message is stored, together with the ledger that has accepted it, or was stored before: the peer is told.
    ///
    /// [`AcceptError::Stale`] afterwards is no reason to undo anything: the message is stored, and a copy will be known for one.
    /// When this is called outside of [`Link::process`](crate::session::Link::process) call that next: frames may wait for it.
    ///
    /// # Errors
    ///
    /// [`AcceptError`], and nothing has changed: [`AcceptError::Stale`] if the link was closed, or has greeted anew, since the
    /// message was offered; [`AcceptError::OutOfOrder`] if another one is to be decided first.
    pub fn accept(&mut self, now: Instant, id: &MessageId) -> Result<(), AcceptError> {
        let now = self.connection.clock(now);
        self.decide(now, |intake, ordered| intake.accept(id, ordered))
    }

    /// The message will not be stored, and the sender is told for good. For what is out of question only: what may be stored
    /// later is left undecided, or [released](Self::release).
    ///
    /// # Errors
    ///
    /// [`AcceptError`], and nothing has changed: as for [`accept`](Self::accept), and [`AcceptError::Full`] if other rejections
    /// wait to be written.
    pub fn reject(&mut self, now: Instant, id: &MessageId, rejection: Rejection) -> Result<(), AcceptError> {
        let now = self.connection.clock(now);
        self.decide(now, |intake, _| intake.reject(id, rejection))
    }

    /// The message is not stored, and may come again. Where messages are stored in order, none after it may be stored before,
    /// so the link is closed, and the peer comes back with all of them.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Stale`], and nothing has changed.
    pub fn release(&mut self, now: Instant, id: &MessageId) -> Result<(), AcceptError> {
        let now = self.connection.clock(now);
        self.decide(now, |intake, _| intake.release(id))?;
        if self.config.ordered {
            self.close(now, GoAway::new(GoAwayCode::Restart));
        }
        Ok(())
    }

    /// How many messages are offered and not decided.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.intake.pending()
    }

    /// The application could make no sense of a body. A peer of which this is said ten times is left.
    pub fn misbehaves(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.count_misbehaviour(now);
    }

    fn decide(
        &mut self,
        now: Instant,
        decide: impl FnOnce(&mut crate::delivery::Intake<WORDS>, bool) -> Result<(), AcceptError>,
    ) -> Result<(), AcceptError> {
        let held_back = self.is_crowded();
        decide(&mut self.intake, self.config.ordered)?;
        if held_back && !self.is_crowded() {
            self.resume(now);
        }
        Ok(())
    }

    /// No further message can be taken before one is decided, or its answer written.
    pub(super) fn is_crowded(&self) -> bool {
        self.intake.is_full() || (self.intake.has_pending() && self.intake.pending() >= self.config.pending)
    }

    pub(super) fn handle_message<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        if self.state == State::Accepted {
            self.intake.owe(frame.sequence(), Rejection::new(RejectCode::NotGreeted));
            return None;
        }
        if self.state != State::Greeted {
            self.connection.count_dropped();
            return None;
        }
        if !self.intake.is_message(frame.sequence()) {
            self.connection.count_dropped();
            self.count_misbehaviour(now);
            return None;
        }
        match self.intake.handle_message(frame.sequence(), self.config.ordered) {
            Ok(id) => id.map(|id| ServerEvent::Message { id, frame }),
            // The sender has given up one that is undecided here. Taking this one first would put them out of order.
            Err(Overrun) => {
                self.leave(now, Disconnect::Closed, Some(GoAway::new(GoAwayCode::Restart)));
                None
            }
        }
    }

    /// A message was too long and skipped: its sender is told.
    pub(super) fn handle_too_large(&mut self, command: u32, sequence: u32) {
        let greeted = self.state == State::Greeted && self.intake.is_greeted();
        if greeted && command == self.config.dialect.message && self.intake.is_message(sequence) {
            self.intake.owe(sequence, Rejection::new(RejectCode::TooLarge));
        }
    }
}
