mod endpoint;
mod greeting;
mod life;
mod messages;
mod rate;
mod sync;

use super::connection::Connection;
use super::limits::GREETING_TIMEOUT;
use super::{ConfigError, Disconnect, GoAway, HelloStatus, SendError, ServerConfig, Stats};
use crate::Instant;
use crate::delivery::{Intake, Queue};
use crate::time::deadline;
use crate::wire::{BufferTooSmall, fill};
pub use greeting::Refuse;
use rate::Rate;

/// The accepting side of one link.
///
/// It is a value of a few hundred bytes, so that a server holds a million. The buffer `B`, a byte slice, a `Vec<u8>`, a
/// box from a pool, is needed only while there is something larger than a heartbeat's answer or a goaway to send:
/// [`lend`](Self::lend) it, and [`reclaim`](Self::reclaim) it once all is written.
///
/// ```text
///   greeting wanted ──▶ Accepted ──welcome──▶ Greeted ◀── none wanted
///                           │                    │
///                           │ refuse, time-out   │ close, idle, goaway
///                           ▼                    ▼
///                        Leaving ◀───────────────┘
///                           │
///                           └──disconnected──▶ Down
/// ```
///
/// * **Accepted**: the greeting is awaited, for 10 s. Three heartbeats are answered, all else is dropped.
/// * **Greeted**: everything.
/// * **Leaving**: nothing new; what is queued and a goaway, where the dialect has one, are written, then
///   [`closing`](super::Endpoint::closing) is to be followed. A link found dead comes here too, with nothing left to write.
///
/// Heartbeats are answered until then, by this side only and never more than one at a time, so two peers cannot keep each
/// other busy.
///
/// # Messages
///
/// A message is offered as [`ServerEvent::Message`](super::ServerEvent::Message) once, with its [`MessageId`](crate::delivery::MessageId). Store it
/// together with the device's [`Ledger`](crate::delivery::Ledger), as described there, then [`accept`](Self::accept) it: that
/// acknowledges it. The ledger that is stored decides whether a message is fresh; the window in here, of `WORDS` times 64
/// sequences, only saves the way to the store.
///
/// What cannot be stored just now stays undecided, and reading pauses once [`ServerConfig::pending`] are; or the link is
/// closed, as [`release`](Self::release) does. A client gives a message up after five time-outs of a live link, some three
/// minutes, so for longer close with [`GoAwayCode::Overload`](super::GoAwayCode::Overload) and a time to come back.
/// [`reject`](Self::reject) is for what will never be stored.
///
/// # Mailboxes
///
/// What a device asks of its mailbox comes as [`ServerEvent::Sync`](super::ServerEvent::Sync), and is answered from a
/// [`Mailbox`](crate::sync::Mailbox) by [`answer_sync`](Self::answer_sync). Call [`notify`](Self::notify) on all links of an
/// account when something comes in.
#[derive(Debug)]
pub struct Server<'b, B, const WORDS: usize = 1> {
    config: &'b ServerConfig,
    state: State,
    greeting: Greeting,
    /// The newest heartbeat is not answered.
    owes_answer: bool,
    /// Heartbeats before the link was open, bodies that made no sense afterwards.
    strikes: u8,
    /// Its `until` ends `Accepted` and `Leaving`.
    connection: Connection<Queue<B>, RESERVE>,
    intake: Intake<WORDS>,
    /// The longest frame that the peer takes.
    max_frame: u32,
    last_received: Instant,
    /// The sequence of the newest heartbeat.
    heartbeat: u32,
    /// What is written last.
    farewell: Option<Farewell>,
    /// What a heartbeat's answer carries in dialects that want a counter.
    counter: u32,
    rate: Rate,
    /// The peer is too far ahead of the rate; nothing is read until it is not.
    is_paused: bool,
    sync: crate::sync::Server,
}

/// A header of either layout and the answer to a sync request that says nothing, the longest frame that is made up from
/// state. That to a greeting that makes no sense is longer, by zeros.
const RESERVE: usize = 20 + 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Accepted,
    Greeted,
    Leaving,
    /// The link is down, and that is still to be told.
    Lost,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    None,
    /// It waits for `welcome` or `refuse`, which answer this sequence.
    Waits(u32),
    /// The peer may ask for more. So many bytes are to be written to the end of the last answer of sync.
    Answered {
        answering: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    GoAway(GoAway),
    /// The greeting that waits for an answer makes no sense.
    Refusal(HelloStatus),
}

impl<'b, B: AsRef<[u8]> + AsMut<[u8]>> Server<'b, B> {
    /// A link that was just accepted, without a buffer, with a window of 64 messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work.
    pub fn new(config: &'b ServerConfig, now: Instant) -> Result<Self, ConfigError> {
        Self::with_window(config, now)
    }
}

impl<'b, B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'b, B, WORDS> {
    /// As [`new`](Server::new), with a window of `WORDS` times 64 messages, 1 to 16: as wide as the device's ledger.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work.
    pub fn with_window(config: &'b ServerConfig, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let waits = config.awaits_greeting();
        let mut connection = Connection::new(Queue::new(config.dialect.layout, None), now);
        connection.until = if waits { deadline(now, GREETING_TIMEOUT) } else { None };
        Ok(Self {
            config,
            state: if waits { State::Accepted } else { State::Greeted },
            greeting: Greeting::None,
            owes_answer: false,
            strikes: 0,
            connection,
            intake: Intake::new(),
            max_frame: config.dialect.max_frame,
            last_received: now,
            heartbeat: 0,
            farewell: None,
            counter: 0,
            rate: Rate::new(now),
            is_paused: false,
            sync: crate::sync::Server::new(),
        })
    }

    /// Gives a buffer for frames to send.
    ///
    /// # Errors
    ///
    /// The buffer comes back if there is one already.
    pub fn lend(&mut self, buffer: B) -> Result<(), B> {
        self.connection.transmit.frames.lend(buffer)
    }

    /// Takes the buffer back, once all that was in it is written.
    pub fn reclaim(&mut self) -> Option<B> {
        self.connection.transmit.frames.reclaim()
    }

    /// `true` while there is a buffer for frames to send.
    #[must_use]
    pub fn has_buffer(&self) -> bool {
        self.connection.transmit.frames.has_buffer()
    }

    /// Answers a request, given by its command and sequence, as the dialect does.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn reply(&mut self, now: Instant, command: u32, sequence: u32, body: &[u8]) -> Result<(), SendError> {
        self.send(now, self.config.dialect.reply_to(command), sequence, |room| fill(room, body))
    }

    /// Sends something by itself: `command` is [`Dialect::push`](crate::wire::Dialect::push) as a rule.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn push(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<(), SendError> {
        self.send(now, command, 0, |room| fill(room, body))
    }

    /// Sends a frame with any command and sequence, its body written in place: `encode` gets the room there is and
    /// returns the length it used.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send(
        &mut self,
        now: Instant,
        command: u32,
        sequence: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), SendError> {
        match self.state {
            State::Accepted => Err(SendError::NotGreeted),
            State::Greeted => self.enqueue(now, command, sequence, encode),
            State::Leaving => Err(SendError::Closing),
            State::Lost | State::Down => Err(SendError::Offline),
        }
    }

    /// Closes the link: what is queued or owed is written, then `goaway` where the dialect has one. No more messages are
    /// taken, and what is undecided is void: it will come again over another link. No-op if the link is closing.
    pub fn close(&mut self, now: Instant, goaway: GoAway) {
        let now = self.connection.clock(now);
        self.leave(now, Disconnect::Closed, Some(goaway));
    }

    /// Sets what a heartbeat's answer carries in dialects that want a counter there, such as the people in a room.
    pub fn set_counter(&mut self, counter: u32) {
        self.counter = counter;
    }

    /// `true` once the link is open: greeted, where a greeting is wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Greeted
    }

    /// Counters of this link.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.connection.stats()
    }

    fn enqueue(
        &mut self,
        now: Instant,
        command: u32,
        sequence: u32,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), SendError> {
        self.connection.clock(now);
        let (dialect, limit) = (self.config.dialect, self.max_frame);
        let queue = &mut self.connection.transmit.frames;
        let pushed = queue.push(dialect, (command, sequence), limit, encode);
        let longest = queue.capacity().min(limit as usize);
        pushed.map_err(|error| SendError::from_encode(error, queue.capacity(), longest))?;
        Ok(())
    }
}
