//! The greeting, and what a server says to it.

use super::{Farewell, Greeting, Server, State};
use crate::Instant;
use crate::delivery::{Accepted, Epoch, Ledger, Stale};
use crate::session::transmit::Control;
use crate::session::{Disconnect, Hello, HelloReply, HelloStatus, SendError, ServerEvent};
use crate::wire::{Frame, fill};
use core::time::Duration;

/// Why a greeting is refused, and what the peer is told beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refuse {
    /// Why; not [`HelloStatus::Ok`].
    pub status: HelloStatus,
    /// The epoch in force, which the peer takes the next of.
    pub epoch: Option<Epoch>,
    /// The link that greeted last, which the peer takes the next of; 0 if there is none.
    pub link: u32,
    /// Not to come back before so long: whole milliseconds, one hour at most.
    pub retry_after: Duration,
}

impl Refuse {
    /// A refusal that says nothing else.
    #[must_use]
    pub const fn new(status: HelloStatus) -> Self {
        Self { status, epoch: None, link: 0, retry_after: Duration::ZERO }
    }
}

/// As the ledger says.
impl From<Stale> for Refuse {
    fn from(stale: Stale) -> Self {
        let refuse = Self::new(HelloStatus::from(stale));
        match stale {
            Stale::Epoch { current } => Self { epoch: Some(current), ..refuse },
            Stale::Link { current } => Self { link: current, ..refuse },
            Stale::Spent => refuse,
        }
    }
}

/// What the answer to a greeting that makes no sense ends with: nothing is accepted, and there is no time to come back at.
pub(super) const REFUSAL_ZEROS: [u8; 8] = [0; 8];
/// The longest bitmap of a window.
const LONGEST_BITMAP: usize = HelloReply::MAX_BITMAP as usize;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'_, B, WORDS> {
    /// Answers the greeting of a device to which its `ledger` has just given the lease: the link is open. Store the ledger and
    /// close the older links of the device before. `resumed` is what the ledger said. Pass the very ledger that gave the
    /// lease, not one that was loaded again: another link may have greeted meanwhile.
    ///
    /// The answer takes a header and 28 bytes and 8 for each of the `WORDS` in the buffer: 52 as a rule, 172 at most. If that is
    /// missing lend a buffer and call this again; do not ask the ledger again, the link would be stale by its own word.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed: [`SendError::NotGreeted`] if no greeting waits for an answer, or the ledger was
    /// never greeted.
    pub fn welcome(&mut self, now: Instant, ledger: &Ledger<WORDS>, resumed: bool) -> Result<(), SendError> {
        let epoch = ledger.epoch().ok_or(SendError::NotGreeted)?;
        let mut bitmap = [0; LONGEST_BITMAP];
        let accepted = ledger.window().snapshot(&mut bitmap).unwrap_or(Accepted::NONE);
        let reply = HelloReply {
            version: Hello::VERSION,
            status: HelloStatus::Ok,
            resumed,
            idle: u16::try_from(self.config.idle.as_secs()).unwrap_or(u16::MAX),
            epoch: Some(epoch),
            link: ledger.link(),
            max_frame: self.config.max_frame.min(self.config.dialect.max_frame),
            accepted,
            retry_after: Duration::ZERO,
        };
        self.answer_hello(now, &reply)?;
        self.intake.greet(epoch, ledger.link(), ledger.window());
        (self.state, self.connection.until) = (State::Greeted, None);
        Ok(())
    }

    /// Answers the greeting of a device with no, and closes the link.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed; [`SendError::NotGreeted`] if no greeting waits for an answer.
    pub fn refuse(&mut self, now: Instant, refuse: &Refuse) -> Result<(), SendError> {
        self.answer_hello(now, &self.refusal(refuse))?;
        self.leave(now, Disconnect::Refused, None);
        Ok(())
    }

    fn refusal(&self, refuse: &Refuse) -> HelloReply<'static> {
        HelloReply {
            version: Hello::VERSION,
            status: refuse.status,
            resumed: false,
            idle: 0,
            epoch: refuse.epoch,
            link: refuse.link,
            max_frame: self.config.max_frame.min(self.config.dialect.max_frame),
            accepted: Accepted::NONE,
            retry_after: refuse.retry_after,
        }
    }

    /// Answers a greeting in another dialect: the link is open. `body` is what this family of protocols puts there.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed; [`SendError::NotGreeted`] if no greeting waits for an answer.
    pub fn welcome_with(&mut self, now: Instant, body: &[u8]) -> Result<(), SendError> {
        self.answer_greeting(now, body, &[])?;
        (self.state, self.connection.until) = (State::Greeted, None);
        Ok(())
    }

    /// Answers a greeting in another dialect with a `body` that says no, and closes the link.
    ///
    /// # Errors
    ///
    /// As [`welcome_with`](Self::welcome_with).
    pub fn refuse_with(&mut self, now: Instant, body: &[u8]) -> Result<(), SendError> {
        self.answer_greeting(now, body, &[])?;
        self.leave(now, Disconnect::Refused, None);
        Ok(())
    }

    fn answer_hello(&mut self, now: Instant, reply: &HelloReply<'_>) -> Result<(), SendError> {
        self.answer_greeting(now, &reply.encode_fixed(), reply.accepted.bitmap())
    }

    fn answer_greeting(&mut self, now: Instant, body: &[u8], behind: &[u8]) -> Result<(), SendError> {
        let (Some(greeting), Greeting::Waits(sequence)) = (self.config.dialect.greeting, self.greeting) else {
            return Err(SendError::NotGreeted);
        };
        if self.is_over() {
            return Err(SendError::Closing);
        }
        self.enqueue(now, greeting.reply, sequence, |room| {
            let used = fill(room, body)?;
            let behind = fill(room.get_mut(used..).unwrap_or_default(), behind);
            let whole = |n: usize| used.saturating_add(n);
            behind.map(whole).map_err(|error| crate::wire::BufferTooSmall { required: whole(error.required) })
        })?;
        (self.greeting, self.strikes) = (Greeting::Answered { answering: 0 }, 0);
        Ok(())
    }

    pub(super) fn handle_greeting<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        if self.is_over() {
            return None;
        }
        if self.greeting != Greeting::None {
            self.die(Disconnect::GreetedTwice);
            return None;
        }
        self.greeting = Greeting::Waits(frame.sequence());
        if !self.config.dialect.greets_natively() {
            return Some(ServerEvent::Greeting(frame));
        }
        match Hello::decode(frame.body()) {
            Ok(hello) => {
                self.max_frame = hello.max_frame.min(self.config.dialect.max_frame);
                Some(ServerEvent::Hello(hello))
            }
            Err(error) => {
                // Without asking the application, and without a buffer of its.
                self.leave(now, Disconnect::Refused, None);
                self.farewell = Some(Farewell::Refusal(HelloStatus::from(error)));
                None
            }
        }
    }

    /// Encodes the answer to a greeting that makes no sense. It ends with zeros, for which there is no room.
    pub(super) fn make_refusal(&mut self, status: HelloStatus) {
        let (Some(greeting), Greeting::Waits(sequence)) = (self.config.dialect.greeting, self.greeting) else { return };
        let reply = self.refusal(&Refuse::new(status)).encode_fixed();
        if let Some((body, zeros)) = reply.split_last_chunk::<{ REFUSAL_ZEROS.len() }>() {
            let (dialect, header) = (self.config.dialect, (greeting.reply, sequence));
            self.connection.transmit.put(dialect, Control::Greeting, header, body, zeros.len());
        }
    }
}
