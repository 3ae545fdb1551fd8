mod endpoint;
mod rate;

use super::connection::Connection;
use super::limits::{GREETING_TIMEOUT, UNGREETED_HEARTBEATS};
use super::transmit::Control;
use super::{ConfigError, Disconnect, Endpoint, GoAway, SendError, ServerConfig, ServerEvent, Stats};
use crate::Instant;
use crate::time::deadline;
use crate::wire::{BufferTooSmall, Frame, fill};
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
///   [`closing`](Endpoint::closing) is to be followed. A link found dead comes here too, with nothing left to write.
///
/// Heartbeats are answered until then, by this side only and never more than one at a time, so two peers cannot keep each
/// other busy.
#[derive(Debug)]
pub struct Server<'b, B> {
    config: &'b ServerConfig,
    state: State,
    /// Its `until` ends `Accepted` and `Leaving`.
    connection: Connection<'b, B>,
    last_received: Instant,
    /// The sequence of the newest heartbeat that is not answered.
    owes_answer: Option<u32>,
    owes_goaway: Option<GoAway>,
    /// The sequence of the greeting that waits for `welcome` or `refuse`.
    greeting: Option<u32>,
    greeted: bool,
    ungreeted_heartbeats: u8,
    /// What a heartbeat's answer carries in dialects that want a counter.
    counter: u32,
    rate: Rate,
    tells_offline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Accepted,
    Greeted,
    Leaving,
    Down,
}

impl<'b, B: AsRef<[u8]> + AsMut<[u8]>> Server<'b, B> {
    /// A link that was just accepted, without a buffer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work.
    pub fn new(config: &'b ServerConfig, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let waits = config.awaits_greeting();
        let mut connection = Connection::new(config.dialect, None, now);
        connection.until = if waits { deadline(now, GREETING_TIMEOUT) } else { None };
        Ok(Self {
            config,
            state: if waits { State::Accepted } else { State::Greeted },
            connection,
            last_received: now,
            owes_answer: None,
            owes_goaway: None,
            greeting: None,
            greeted: false,
            ungreeted_heartbeats: 0,
            counter: 0,
            rate: Rate::new(now),
            tells_offline: false,
        })
    }

    /// Gives a buffer for frames to send.
    ///
    /// # Errors
    ///
    /// The buffer comes back if there is one already.
    pub fn lend(&mut self, buffer: B) -> Result<(), B> {
        self.connection.transmit.outbox.lend(buffer)
    }

    /// Takes the buffer back, once all that was in it is written.
    pub fn reclaim(&mut self) -> Option<B> {
        self.connection.transmit.outbox.reclaim()
    }

    /// `true` while there is a buffer for frames to send.
    #[must_use]
    pub fn has_buffer(&self) -> bool {
        self.connection.transmit.outbox.has_buffer()
    }

    /// Answers the greeting: the link is open. `body` is what this family of protocols puts there.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed; [`SendError::NotGreeted`] if no greeting waits for an answer.
    pub fn welcome(&mut self, now: Instant, body: &[u8]) -> Result<(), SendError> {
        self.answer_greeting(now, body)?;
        (self.state, self.connection.until) = (State::Greeted, None);
        Ok(())
    }

    /// Answers the greeting with a `body` that says no, and closes the link.
    ///
    /// # Errors
    ///
    /// As [`welcome`](Self::welcome).
    pub fn refuse(&mut self, now: Instant, body: &[u8]) -> Result<(), SendError> {
        self.answer_greeting(now, body)?;
        self.leave(now, Disconnect::Refused, None);
        Ok(())
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
            State::Down => Err(SendError::Offline),
        }
    }

    /// Closes the link: what is queued is written, then `goaway` where the dialect has one. No-op if it is closing.
    pub fn close(&mut self, now: Instant, goaway: GoAway) {
        let now = self.connection.clock(now);
        self.leave(now, Disconnect::Closed, Some(goaway));
        self.watch(now);
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
        let now = self.connection.clock(now);
        self.connection.push(command, sequence, encode)?;
        self.watch(now);
        Ok(())
    }

    fn answer_greeting(&mut self, now: Instant, body: &[u8]) -> Result<(), SendError> {
        let (Some(sequence), Some(greeting)) = (self.greeting, self.config.dialect.greeting) else {
            return Err(SendError::NotGreeted);
        };
        if matches!(self.state, State::Leaving | State::Down) {
            return Err(SendError::Closing);
        }
        self.enqueue(now, greeting.reply, sequence, |room| fill(room, body))?;
        self.greeting = None;
        Ok(())
    }

    /// Closes the link as soon as what is queued, and a goaway where the dialect has one, is written. No-op if it is
    /// closing already.
    fn leave(&mut self, now: Instant, why: Disconnect, goaway: Option<GoAway>) {
        if !matches!(self.state, State::Accepted | State::Greeted) {
            return;
        }
        self.state = State::Leaving;
        self.connection.leave(now, why);
        self.owes_goaway = goaway.filter(|_| self.config.dialect.goaway.is_some());
    }

    /// The peer was held back, and is not any more: its clocks start again.
    fn resume(&mut self, now: Instant) {
        self.connection.progress.rebase(now);
        self.last_received = now;
    }

    /// The link is dead: nothing more is written.
    fn die(&mut self, why: Disconnect) {
        self.state = State::Leaving;
        (self.owes_answer, self.owes_goaway) = (None, None);
        self.connection.die(why);
    }

    /// Watches whether what is to be written moves.
    fn watch(&mut self, now: Instant) {
        let owed = self.owes_control();
        self.connection.transmit.watch(now, owed, false);
    }

    /// `true` while a control frame is to be written.
    const fn owes_control(&self) -> bool {
        self.owes_answer.is_some() || self.owes_goaway.is_some()
    }

    /// Encodes the control frame that is due, if one may be written now.
    fn make_control(&mut self) {
        if !self.owes_control() || !self.connection.transmit.is_free() {
            return;
        }
        let dialect = self.config.dialect;
        if let Some(sequence) = self.owes_answer.take() {
            let counter = self.counter.to_be_bytes();
            let body = if dialect.heartbeat_counter { &counter[..] } else { &[] };
            let header = (dialect.heartbeat_reply, sequence);
            return self.connection.transmit.put(dialect, Control::Heartbeat, header, body, &[]);
        }
        if !self.connection.transmit.outbox.is_empty() {
            return;
        }
        if let (Some(command), Some(goaway)) = (dialect.goaway, self.owes_goaway.take()) {
            self.connection.transmit.put(dialect, Control::GoAway, (command, 0), &goaway.to_bytes(), &[]);
        }
    }

    /// `true` while so much waits to be written that taking more would only add to it.
    fn is_backlogged(&self) -> bool {
        let outbox = &self.connection.transmit.outbox;
        !outbox.is_empty() && outbox.queued() >= outbox.capacity() / 2
    }

    #[inline]
    fn handle_heartbeat(&mut self, sequence: u32) {
        if self.state == State::Accepted {
            self.ungreeted_heartbeats = self.ungreeted_heartbeats.saturating_add(1);
            if self.ungreeted_heartbeats > UNGREETED_HEARTBEATS {
                return self.die(Disconnect::NotGreeted);
            }
        }
        if self.state != State::Leaving {
            self.owes_answer = Some(sequence);
        }
    }

    fn handle_greeting<'f>(&mut self, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        if core::mem::replace(&mut self.greeted, true) {
            self.die(Disconnect::GreetedTwice);
            return None;
        }
        self.greeting = Some(frame.sequence());
        Some(ServerEvent::Greeting(frame))
    }

    /// What a frame means; `None` if it is dealt with, or means nothing here and was counted.
    fn classify<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        let dialect = self.config.dialect;
        let command = frame.command();
        if command == dialect.heartbeat {
            self.handle_heartbeat(frame.sequence());
            return None;
        }
        let event = if dialect.goaway == Some(command) {
            GoAway::from_bytes(frame.body()).map(|goaway| {
                self.leave(now, Disconnect::GoAway(goaway), None);
                ServerEvent::GoAway(goaway)
            })
        } else if dialect.greeting.is_some_and(|greeting| greeting.command == command && !greeting.native) {
            self.handle_greeting(frame)
        } else if command == dialect.heartbeat_reply || self.state == State::Accepted {
            None
        } else if frame.sequence() == 0 && !dialect.push_any_sequence {
            Some(ServerEvent::OneWay(frame))
        } else {
            Some(ServerEvent::Request(frame))
        };
        if event.is_none() {
            self.connection.count_dropped();
        }
        event
    }

    /// Nobody is idle while it is held back.
    fn idle_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Accepted | State::Greeted if self.can_take() => deadline(self.last_received, self.config.idle),
            _ => None,
        }
    }

    /// The peer is not to blame while it is held back.
    fn frame_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Accepted | State::Greeted if self.can_take() => self.connection.progress.poll_timeout(),
            _ => None,
        }
    }
}
