//! How a server's link gets from one state to the next, and what it writes and understands in each.

use super::{Farewell, Greeting, Server, State};
use crate::Instant;
use crate::delivery::{Intake, Rejection};
use crate::session::limits::{MISBEHAVIOUR, UNGREETED_HEARTBEATS};
use crate::session::transmit::Control;
use crate::session::{Disconnect, Endpoint, GoAway, GoAwayCode, ServerEvent};
use crate::time::deadline;
use crate::wire::{Frame, fill};
use core::time::Duration;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'_, B, WORDS> {
    /// Closes the link as soon as what is queued, and a goaway where the dialect has one, is written. No-op if it is
    /// closing already.
    pub(super) fn leave(&mut self, now: Instant, why: Disconnect, goaway: Option<GoAway>) {
        if !matches!(self.state, State::Accepted | State::Greeted) {
            return;
        }
        self.state = State::Leaving;
        self.intake.withdraw();
        self.sync = crate::sync::Server::new();
        self.connection.leave(now, why);
        self.farewell = goaway.filter(|_| self.config.dialect.goaway.is_some()).map(Farewell::GoAway);
    }

    /// The peer was held back, and is not any more: its clocks start again.
    pub(super) fn resume(&mut self, now: Instant) {
        self.connection.progress.rebase(now);
        self.last_received = now;
    }

    /// The link is dead: nothing more is written.
    pub(super) fn die(&mut self, why: Disconnect) {
        self.state = State::Leaving;
        (self.owes_answer, self.farewell) = (false, None);
        self.intake = Intake::new();
        self.sync = crate::sync::Server::new();
        self.connection.die(why);
    }

    /// Watches whether what is to be written moves.
    pub(super) fn watch(&mut self) {
        let owed = self.owes_control();
        self.connection.transmit.watch(owed, false);
    }

    /// `true` while a control frame is to be written.
    pub(super) fn owes_control(&self) -> bool {
        self.owes_answer || self.farewell.is_some() || self.intake.is_owing() || self.owes_sync()
    }

    /// Encodes the control frame that is due, if one may be written now.
    pub(super) fn make_control(&mut self) {
        self.queue_answers();
        if !self.connection.transmit.is_free() {
            return;
        }
        let dialect = self.config.dialect;
        if core::mem::take(&mut self.owes_answer) {
            let counter = self.counter.to_be_bytes();
            let body = if dialect.heartbeat_counter { &counter[..] } else { &[] };
            let header = (dialect.heartbeat_reply, self.heartbeat);
            return self.connection.transmit.put(dialect, Control::Heartbeat, header, body, 0);
        }
        if let Some((sequence, rejection)) = self.intake.next_answer() {
            let header = (dialect.reply_to(dialect.message), sequence);
            let body = rejection.map(Rejection::to_bytes);
            return self.connection.transmit.put(dialect, Control::Answer, header, answer(&body), 0);
        }
        if self.owes_sync() {
            return self.make_sync();
        }
        if !self.connection.transmit.frames.is_empty() {
            return;
        }
        match (self.farewell.take(), dialect.goaway) {
            (Some(Farewell::GoAway(goaway)), Some(command)) => {
                self.connection.transmit.put(dialect, Control::GoAway, (command, 0), &goaway.to_bytes(), 0);
            }
            (Some(Farewell::Refusal(status)), _) => self.make_refusal(status),
            (Some(Farewell::GoAway(_)), None) | (None, _) => {}
        }
    }

    /// Where there is a buffer, the answers to messages travel together in it.
    fn queue_answers(&mut self) {
        let dialect = self.config.dialect;
        let command = dialect.reply_to(dialect.message);
        let longest = dialect.header_len().saturating_add(Rejection::LEN);
        let queue = &mut self.connection.transmit.frames;
        while self.intake.is_owing() && queue.room() >= longest {
            let Some((sequence, rejection)) = self.intake.next_answer() else { return };
            let body = rejection.map(Rejection::to_bytes);
            if queue.push(dialect, (command, sequence), u32::MAX, |room| fill(room, answer(&body))).is_err() {
                return;
            }
        }
    }

    /// `true` while the peer is to be held back for what it does not take, or the application does not decide.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_backlogged() || self.is_crowded() || self.is_answering()
    }

    /// `true` while so much waits to be written that taking more would only add to it.
    pub(super) fn is_backlogged(&self) -> bool {
        let outbox = &self.connection.transmit.frames;
        !outbox.is_empty() && outbox.queued() >= outbox.capacity() / 2
    }

    pub(super) fn handle_heartbeat(&mut self, sequence: u32) {
        if self.state == State::Accepted {
            self.strikes = self.strikes.saturating_add(1);
            if self.strikes > UNGREETED_HEARTBEATS {
                return self.die(Disconnect::NotGreeted);
            }
        }
        if self.state != State::Leaving {
            (self.owes_answer, self.heartbeat) = (true, sequence);
        }
    }

    /// `true` once nothing new is taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Leaving | State::Lost | State::Down)
    }

    /// `true` once the connection is gone.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Lost | State::Down)
    }

    /// Something came that counts for so much time. A peer that sends too much is not read for a while.
    pub(super) fn charge(&mut self, now: Instant, cost: Duration) {
        self.is_paused |= self.rate.charge(now, cost, self.config.frame_interval);
    }

    /// Until when the peer is not read.
    pub(super) fn paused(&self) -> Option<Instant> {
        self.is_paused.then(|| self.rate.resumes(self.config.frame_interval))
    }

    /// A body made no sense. A peer that sends too many of them is left.
    pub(super) fn count_misbehaviour(&mut self, now: Instant) {
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes >= MISBEHAVIOUR {
            self.leave(now, Disconnect::Misbehaved, Some(GoAway::new(GoAwayCode::ProtocolError)));
        }
    }

    /// What a frame means; `None` if it is dealt with, or means nothing here and was counted.
    pub(super) fn classify<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        let dialect = self.config.dialect;
        let command = frame.command();
        if command == dialect.heartbeat {
            self.handle_heartbeat(frame.sequence());
            return None;
        }
        if dialect.greets_natively()
            && command == dialect.message
            && (self.greeting != Greeting::None || self.state == State::Accepted)
        {
            return self.handle_message(now, frame);
        }
        let event = if dialect.goaway == Some(command) {
            GoAway::from_bytes(frame.body()).map(|goaway| {
                self.leave(now, Disconnect::GoAway(goaway), None);
                ServerEvent::GoAway(goaway)
            })
        } else if dialect.greeting.is_some_and(|greeting| greeting.command == command) {
            self.handle_greeting(now, frame)
        } else if command == dialect.heartbeat_reply || self.state == State::Accepted {
            None
        } else if self.is_of_sync(command) {
            self.handle_sync_frame(now, frame)
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

    /// When the peer was idle for too long, and when a frame of it came too slowly. It is not to blame while it is held back.
    pub(super) fn peer_timeouts(&self) -> [Option<Instant>; 2] {
        if !matches!(self.state, State::Accepted | State::Greeted) || !self.can_take() {
            return [None, None];
        }
        [deadline(self.last_received, self.config.idle), self.connection.progress.poll_timeout()]
    }
}

/// The body of the answer to a message: nothing if it is stored.
fn answer(rejection: &Option<[u8; Rejection::LEN]>) -> &[u8] {
    rejection.as_ref().map_or(&[], <[u8; Rejection::LEN]>::as_slice)
}
