mod endpoint;

use super::connection::Connection;
use super::limits::{CLOSE_TIMEOUT, DRAIN_TIMEOUT, GREETING_TIMEOUT};
use super::transmit::Control;
use super::{Config, ConfigError, Disconnect, Endpoint, Event, GoAway, GoAwayCode, SendError, Stats, Work};
use crate::Instant;
use crate::delivery::{Inflight, Token};
use crate::liveness::Heartbeat;
use crate::time::deadline;
use crate::wire::{Batch, BufferTooSmall, Frame, fill};
use core::time::Duration;

/// The connecting side of a link, over as many connections as it takes, one at a time.
///
/// ```text
///              hello                  welcome
///     Idle ────────────▶ Greeting ────────────▶ Online
///      ▲ │                  │  │                 ▲  │ close, goaway
///      │ └──── no hello ────┼──┼─────────────────┘  ▼
///      │          close,    │  └──── goaway ────▶ Draining
///      │          time-out  ▼                       │ settled, or late
///      └─disconnected── Leaving ◀───────────────────┘
/// ```
///
/// * **Idle**: no connection; nothing can be sent.
/// * **Greeting**: the hello is written, and nothing else; what is sent waits for its answer.
/// * **Online**: everything.
/// * **Draining**: nothing new; the replies that are owed are awaited, up to 10 s, or 3 s after the peer's goaway.
/// * **Leaving**: this side's goaway, if the dialect has one, is written, then [`closing`](Endpoint::closing) is to be
///   followed. A link found dead comes here too, with nothing left to write.
///
/// # Commands
///
/// [`request`](Self::request), [`request_with`](Self::request_with), [`send_one_way`](Self::send_one_way),
/// [`heartbeat`](Self::heartbeat), [`close`](Self::close). Inputs, outputs and questions are those of [`Endpoint`], and
/// [`handle_connected`](Self::handle_connected).
#[derive(Debug)]
pub struct Client<'b> {
    config: &'b Config<'b>,
    state: State,
    /// Its `until` ends `Greeting`, `Draining` and `Leaving`.
    connection: Connection<'b, &'b mut [u8]>,
    requests: Inflight<'b>,
    heartbeat: Heartbeat,
    owes_greeting: bool,
    owes_goaway: Option<GoAwayCode>,
    /// The last timer came late and everything started again; the next is taken as it comes.
    rebased: bool,
    tells_online: bool,
    tells_offline: Option<Disconnect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Greeting,
    Online,
    Draining,
    Leaving,
}

impl<'b> Client<'b> {
    /// A client without a connection, with the memory it works in.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work, or the transmit buffer does not hold a header.
    pub fn new(config: &'b Config<'b>, work: Work<'b>) -> Result<Self, ConfigError> {
        config.check()?;
        let required = config.dialect.header_len();
        if work.tx.len() < required {
            return Err(BufferTooSmall { required }.into());
        }
        Ok(Self {
            config,
            state: State::Idle,
            connection: Connection::new(config.dialect, Some(work.tx), Instant::ZERO),
            requests: Inflight::new(work.slots),
            heartbeat: Heartbeat::new(config.heartbeat, config.answer_timeout),
            owes_greeting: false,
            owes_goaway: None,
            rebased: false,
            tells_online: false,
            tells_offline: None,
        })
    }

    /// A connection is there. One that was there before is taken for lost; [`Link::handle_connected`] also forgets what
    /// was half-read of it.
    ///
    /// [`Link::handle_connected`]: super::Link::handle_connected
    pub fn handle_connected(&mut self, now: Instant) {
        if self.state != State::Idle {
            self.handle_disconnected(now, Disconnect::Transport);
        }
        let now = self.connection.clock(now);
        self.connection.handle_connected(now);
        self.rebased = false;
        if self.config.hello.is_some() {
            self.state = State::Greeting;
            self.connection.until = deadline(now, GREETING_TIMEOUT);
            self.owes_greeting = true;
        } else {
            self.go_online(now);
            self.tells_online = true;
        }
        self.watch(now);
    }

    /// Sends a request; its end is one [`Event::Reply`] or [`Event::Failed`] with the token returned. A request ends with
    /// its link and is not sent again: it must do no harm if it arrives and its reply does not.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn request(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<Token, SendError> {
        self.request_with(now, command, self.config.request_timeout, |room| fill(room, body))
    }

    /// As [`request`](Self::request), with a reply time-out of its own, and a body that is written in place: `encode` gets
    /// the room there is and returns the length it used.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn request_with(
        &mut self,
        now: Instant,
        command: u32,
        timeout: Duration,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        let now = self.open_for(now)?;
        let sequence = self.requests.next().ok_or(SendError::TooManyRequests)?;
        self.connection.push(command, sequence, encode)?;
        let reply = self.config.dialect.reply_to(command);
        let token = self.requests.open(sequence, reply, timeout).ok_or(SendError::TooManyRequests)?;
        self.watch(now);
        Ok(token)
    }

    /// Sends a frame with sequence 0, which nobody answers and nothing repeats.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send_one_way(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<(), SendError> {
        let now = self.open_for(now)?;
        self.connection.push(command, 0, |room| fill(room, body))?;
        self.watch(now);
        Ok(())
    }

    /// Sends a heartbeat as soon as possible. No-op unless the link is online, or while one is under way.
    pub fn heartbeat(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.heartbeat.beat();
        self.watch(now);
    }

    /// Closes the link in good order: nothing new is sent, the replies that are owed are awaited for up to 10 s, then
    /// [`closing`](Endpoint::closing) says so. No-op without a connection, or if it is closing already.
    pub fn close(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        match self.state {
            State::Idle | State::Draining | State::Leaving => {}
            State::Greeting => self.leave(now, Disconnect::Closed),
            State::Online => {
                self.state = State::Draining;
                self.connection.until = deadline(now, DRAIN_TIMEOUT);
                self.connection.why = Some(Disconnect::Closed);
                self.settle(now);
            }
        }
        self.watch(now);
    }

    /// `true` while requests can be sent and are written at once.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.state == State::Online
    }

    /// `true` if no request waits for its reply.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.requests.is_empty()
    }

    /// `true` while a heartbeat is under way: due and not written, or written and not answered.
    #[must_use]
    pub fn awaits_heartbeat(&self) -> bool {
        self.heartbeat.is_wanted() || self.heartbeat.is_awaited()
    }

    /// Counters of the connection that is there, or was last.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.connection.stats()
    }

    fn open_for(&mut self, now: Instant) -> Result<Instant, SendError> {
        match self.state {
            State::Idle => Err(SendError::Offline),
            State::Draining | State::Leaving => Err(SendError::Closing),
            State::Greeting | State::Online => Ok(self.connection.clock(now)),
        }
    }

    /// Goes from `Draining` to `Leaving` once nothing is owed. A peer that said goaway ends its side itself.
    fn settle(&mut self, now: Instant) {
        if self.state == State::Draining && self.requests.is_empty() && self.connection.why == Some(Disconnect::Closed)
        {
            self.leave(now, Disconnect::Closed);
        }
    }

    /// From now on heartbeats keep the link; before, the greeting's own time-out did.
    fn go_online(&mut self, now: Instant) {
        (self.state, self.connection.until) = (State::Online, None);
        self.heartbeat.handle_connected(now);
    }

    /// Nothing that waits for the answer to the greeting will be written.
    fn give_up_greeting(&mut self) {
        if self.state == State::Greeting {
            self.owes_greeting = false;
            self.connection.transmit.outbox.clear();
        }
    }

    /// Closes the link as soon as what is begun, and a goaway where the dialect has one, is written.
    fn leave(&mut self, now: Instant, why: Disconnect) {
        self.give_up_greeting();
        self.state = State::Leaving;
        self.heartbeat.handle_disconnected();
        if self.connection.leave(now, why) == Disconnect::Closed {
            self.owes_goaway = self.config.dialect.goaway.map(|_| GoAwayCode::Done);
        }
    }

    /// The link is dead: nothing more is written.
    fn die(&mut self, why: Disconnect) {
        self.state = State::Leaving;
        (self.owes_greeting, self.owes_goaway) = (false, None);
        self.heartbeat.handle_disconnected();
        self.connection.die(why);
    }

    /// Watches whether what is to be written moves.
    fn watch(&mut self, now: Instant) {
        let owed = self.owes_control();
        self.connection.transmit.watch(now, owed, self.state == State::Greeting);
    }

    /// `true` while a control frame is to be written.
    const fn owes_control(&self) -> bool {
        self.owes_greeting || self.owes_goaway.is_some() || self.heartbeat.is_wanted()
    }

    /// Encodes the control frame that is due, if one may be written now.
    fn make_control(&mut self) {
        if !self.owes_control() || !self.connection.transmit.is_free() {
            return;
        }
        let dialect = self.config.dialect;
        match (dialect.greeting, dialect.goaway, self.owes_goaway) {
            (Some(greeting), ..) if self.owes_greeting => {
                let sequence = greeting.sequence.unwrap_or_else(|| self.requests.take_sequence());
                let hello = self.config.hello.unwrap_or_default();
                self.connection.transmit.put(dialect, Control::Greeting, (greeting.command, sequence), &[], hello);
            }
            _ if self.heartbeat.is_wanted() => {
                let sequence = dialect.heartbeat_sequence.unwrap_or_else(|| self.requests.take_sequence());
                self.connection.transmit.put(dialect, Control::Heartbeat, (dialect.heartbeat, sequence), &[], &[]);
            }
            (_, Some(command), Some(code)) if self.connection.transmit.outbox.is_empty() => {
                let body = GoAway::new(code).to_bytes();
                self.connection.transmit.put(dialect, Control::GoAway, (command, 0), &body, &[]);
            }
            _ => {}
        }
    }

    /// A timer so late that this device was asleep says nothing about the link: every clock starts again, and one
    /// heartbeat asks. `true` if that was done; not twice in a row.
    fn rebase(&mut self, now: Instant, due: Instant) -> bool {
        let late = now - due >= self.heartbeat.late_after();
        let rebases = late && !self.rebased && matches!(self.state, State::Greeting | State::Online);
        self.rebased = rebases;
        if rebases {
            if self.state == State::Greeting {
                self.connection.until = deadline(now, GREETING_TIMEOUT);
            }
            self.connection.transmit.rebase(now);
            self.connection.progress.rebase(now);
            self.requests.rebase(now);
            self.heartbeat.beat_late();
        }
        rebases
    }

    /// The end of a state that has one.
    fn handle_until(&mut self, now: Instant) {
        if self.connection.until.is_none_or(|at| at > now) {
            return;
        }
        self.connection.until = None;
        match self.state {
            State::Greeting => self.leave(now, Disconnect::NoGreeting),
            State::Draining => self.leave(now, Disconnect::Closed),
            State::Leaving => self.die(Disconnect::Closed),
            State::Idle | State::Online => {}
        }
    }

    fn frame_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Idle | State::Leaving) { None } else { self.connection.progress.poll_timeout() }
    }

    fn handle_goaway(&mut self, now: Instant, body: &[u8]) -> Option<GoAway> {
        let goaway = GoAway::from_bytes(body)?;
        if matches!(self.state, State::Greeting | State::Online) {
            self.give_up_greeting();
            self.state = State::Draining;
            self.connection.until = deadline(now, CLOSE_TIMEOUT);
            self.connection.why = Some(Disconnect::GoAway(goaway));
        }
        Some(goaway)
    }

    /// What a frame means, in the order of the rules: exact one-way commands first, then replies, then pushes.
    fn classify<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        let dialect = self.config.dialect;
        let (command, sequence) = (frame.command(), frame.sequence());
        if command == dialect.heartbeat_reply || command == dialect.heartbeat {
            let round_trip = self.heartbeat.handle_answer(now)?;
            return Some(Event::Heartbeat { round_trip });
        }
        if dialect.goaway == Some(command) {
            return self.handle_goaway(now, frame.body()).map(Event::GoAway);
        }
        if self.state == State::Greeting {
            dialect.greeting.filter(|greeting| greeting.reply == command && !self.owes_greeting)?;
            self.go_online(now);
            return Some(Event::Online { welcome: Some(frame) });
        }
        if dialect.batch == Some(command) && !frame.is_nested() {
            return Some(Event::Batch(Batch::new(dialect, frame.body())));
        }
        if dialect.push_any_sequence && command == dialect.push {
            return Some(Event::Push(frame));
        }
        if let Some(token) = self.requests.settle(command, sequence) {
            self.settle(now);
            return Some(Event::Reply { token, frame });
        }
        // An answer to a greeting that was given up is no push.
        let greets = dialect.greeting.is_some_and(|greeting| greeting.reply == command);
        (!greets && (sequence == 0 || dialect.push_any_sequence)).then_some(Event::Push(frame))
    }
}
