//! How a client gets from one state to the next, and what it writes and understands in each.

use super::{Client, State};
use crate::Instant;
use crate::delivery::Answer;
use crate::session::limits::{CLOSE_TIMEOUT, GREETING_TIMEOUT};
use crate::session::transmit::Control;
use crate::session::{Disconnect, Event, GoAway, GoAwayCode};
use crate::time::deadline;
use crate::wire::{Batch, Frame};

impl Client<'_> {
    /// Goes from `Draining` to `Leaving` once nothing is owed. A peer that said goaway ends its side itself.
    pub(super) fn settle(&mut self, now: Instant) {
        let is_closing = self.state == State::Draining && self.connection.why.is_some_and(|why| why.is_own());
        if is_closing && self.outbox().is_quiet() && !self.owes_sync() {
            self.leave(now, Disconnect::Closed);
        }
    }

    /// Connected, to a peer that is not greeted natively, and so does not remember sequences.
    pub(super) fn go_online(&mut self, now: Instant) {
        (self.incarnation.anonymous, self.incarnation.wrote_anonymously) = (true, true);
        self.limit();
        self.outbox().handle_online(None);
        self.enter_online(now);
        (self.tells.online, self.tells.waits) = (true, true);
    }

    /// From now on heartbeats keep the link; before, the greeting's own time-out did.
    pub(super) fn enter_online(&mut self, now: Instant) {
        (self.state, self.connection.until) = (State::Online, None);
        self.heartbeat.handle_connected(now);
        self.with_dialer(now, |dialer, now| dialer.handle_online(now));
        self.meet_mailbox(now);
    }

    /// Nothing that waits for the answer to the greeting will be written.
    pub(super) fn withhold(&mut self) {
        if self.state == State::Greeting {
            self.owes_greeting = false;
            self.outbox().halt();
        }
    }

    /// Closes the link as soon as what is begun, and a goaway where the dialect has one, is written.
    pub(super) fn leave(&mut self, now: Instant, why: Disconnect) {
        self.withhold();
        self.outbox().freeze();
        self.state = State::Leaving;
        self.heartbeat.handle_disconnected();
        self.part_from_mailbox();
        if self.connection.leave(now, why).is_own() {
            self.owes_goaway = self.config.dialect.goaway.is_some();
        }
    }

    /// The link is dead: nothing more is written.
    pub(super) fn die(&mut self, why: Disconnect) {
        self.state = State::Leaving;
        (self.owes_greeting, self.owes_goaway) = (false, false);
        self.heartbeat.handle_disconnected();
        self.part_from_mailbox();
        self.connection.die(why);
    }

    /// Watches whether what is to be written moves.
    pub(super) fn watch(&mut self) {
        let owed = self.owes_control();
        self.connection.transmit.watch(owed, matches!(self.state, State::Greeting | State::Idle));
    }

    /// `true` while a control frame is to be written.
    pub(super) fn owes_control(&self) -> bool {
        self.owes_greeting || self.owes_goaway || self.heartbeat.is_wanted() || self.owes_sync()
    }

    /// Encodes the control frame that is due, if one may be written now.
    pub(super) fn make_control(&mut self) {
        if !self.connection.transmit.is_free() {
            return;
        }
        let dialect = self.config.dialect;
        match (dialect.greeting, dialect.goaway) {
            (Some(greeting), _) if self.owes_greeting => self.make_greeting(greeting),
            _ if self.heartbeat.is_wanted() => {
                let sequence = dialect.heartbeat_sequence.unwrap_or_else(|| self.outbox().take_sequence());
                self.connection.transmit.put(dialect, Control::Heartbeat, (dialect.heartbeat, sequence), &[], 0);
            }
            _ if self.owes_sync() => self.make_sync(),
            (_, Some(command)) if self.owes_goaway && !self.outbox().is_due() => {
                let body = GoAway::new(GoAwayCode::Done).to_bytes();
                self.connection.transmit.put(dialect, Control::GoAway, (command, 0), &body, 0);
            }
            _ => {}
        }
    }

    /// A timer so late that this device was asleep says nothing about the link: every clock starts again, and one
    /// heartbeat asks. `true` if that was done; not twice in a row.
    pub(super) fn rebase(&mut self, now: Instant, due: Instant) -> bool {
        let late = self.heartbeat.is_late(now, due);
        let rebases = late && !self.rebased && matches!(self.state, State::Greeting | State::Online);
        self.rebased = rebases;
        if rebases {
            if self.state == State::Greeting {
                self.connection.until = deadline(now, GREETING_TIMEOUT);
            }
            self.connection.transmit.rebase(now);
            self.connection.progress.rebase(now);
            self.outbox().rebase(now);
            self.rebase_sync(now);
            self.heartbeat.beat_late();
        }
        rebases
    }

    /// The end of a state that has one.
    pub(super) fn handle_until(&mut self, now: Instant) {
        if self.connection.until.is_none_or(|at| at > now) {
            return;
        }
        self.connection.until = None;
        match self.state {
            State::Greeting => self.handle_no_answer(now),
            State::Draining => self.leave(now, Disconnect::Closed),
            State::Leaving => self.die(Disconnect::Closed),
            State::Idle | State::Online => {}
        }
    }

    /// The peer does not answer the greeting.
    pub(super) fn handle_no_answer(&mut self, now: Instant) {
        if self.config.requires_greeting || self.config.identity.is_none() {
            return self.leave(now, Disconnect::NoGreeting);
        }
        self.owes_greeting = false;
        self.go_online(now);
    }

    pub(super) fn frame_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Idle | State::Leaving) { None } else { self.connection.progress.poll_timeout() }
    }

    fn handle_goaway(&mut self, now: Instant, body: &[u8]) -> Option<GoAway> {
        let goaway = GoAway::from_bytes(body)?;
        if matches!(self.state, State::Greeting | State::Online) {
            self.withhold();
            self.outbox().freeze();
            self.state = State::Draining;
            self.connection.until = deadline(now, CLOSE_TIMEOUT);
            self.connection.why = Some(Disconnect::GoAway(goaway));
        }
        Some(goaway)
    }

    /// What a frame means, in this order: exact one-way commands first, then replies, then pushes.
    pub(super) fn classify<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
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
            let greeting = dialect.greeting.filter(|_| !self.owes_greeting)?;
            if greeting.reply == command {
                return self.handle_welcome(now, frame);
            }
            if greeting.native && greeting.command == command {
                // Our own hello: nobody there knows it, and waiting for an answer is of no use.
                self.handle_no_answer(now);
            }
            return None;
        }
        if self.is_of_sync(command) {
            return self.handle_sync_frame(now, &frame);
        }
        if dialect.batch == Some(command) && !frame.is_nested() {
            return Some(Event::Batch(Batch::new(dialect, frame.body())));
        }
        if dialect.push_any_sequence && command == dialect.push {
            return Some(Event::Push(frame));
        }
        if let Some(answer) = self.outbox().handle_reply(now, command, sequence, frame.body()) {
            self.settle(now);
            self.tell_settled(now);
            return match answer {
                Answer::Reply(token) => Some(Event::Reply { token, frame }),
                Answer::Delivered(token) => {
                    self.incarnation.handle_acknowledged(token.sequence());
                    Some(Event::Delivered { token })
                }
                Answer::Failed(token, why) => Some(Event::Failed { token, why, written: true }),
            };
        }
        // An answer to a greeting that was given up is no push.
        let greets = dialect.greeting.is_some_and(|greeting| greeting.reply == command);
        (!greets && (sequence == 0 || dialect.push_any_sequence)).then_some(Event::Push(frame))
    }
}
