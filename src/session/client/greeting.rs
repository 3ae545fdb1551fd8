//! The greeting, and what a client learns from its answer.

use super::{Client, State};
use crate::Instant;
use crate::delivery::{Epoch, Peer};
use crate::session::transmit::Control;
use crate::session::{Disconnect, Event, Hello, HelloReply, HelloReplyError, HelloStatus, Refusal};
use crate::wire::{Frame, Greeting};
use core::num::NonZeroU32;

impl Client<'_> {
    /// `true` if a link begins with a greeting.
    pub(super) const fn greets(&self) -> bool {
        self.config.identity.is_some() || self.config.hello.is_some()
    }

    pub(super) fn make_greeting(&mut self, greeting: Greeting) {
        let dialect = self.config.dialect;
        let sequence = greeting.sequence.unwrap_or_else(|| self.outbox().take_sequence());
        let header = (greeting.command, sequence);
        let follow = self.config.hello.unwrap_or_default();
        let Some(identity) = self.config.identity else {
            return self.connection.transmit.put(dialect, Control::Greeting, header, &[], follow.len());
        };
        self.incarnation.link = self.incarnation.link.saturating_add(1);
        let hello = Hello {
            version: Hello::VERSION,
            resume: self.outbox().last_message() > 0,
            heartbeat: self.heartbeat.longest_silence(),
            epoch: self.incarnation.epoch,
            device: identity.device,
            link: self.incarnation.link,
            max_frame: self.max_frame,
            token: follow,
        };
        self.connection.transmit.put(dialect, Control::Greeting, header, &hello.encode_fixed(), follow.len());
    }

    /// The peer has answered the greeting.
    pub(super) fn handle_welcome<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        if self.config.identity.is_none() {
            self.outbox().handle_online(None);
            self.enter_online(now);
            return Some(Event::Online { welcome: Some(frame), resumed: false });
        }
        match HelloReply::decode(frame.body()) {
            // Our own hello, where an answer has its command.
            Err(HelloReplyError::Echo { .. }) => {
                self.handle_no_answer(now);
                None
            }
            Err(error) => {
                self.die(Disconnect::BadGreeting(error));
                None
            }
            Ok(reply) if reply.status == HelloStatus::Ok => self.handle_taken(now, &reply),
            Ok(reply) => {
                self.handle_refusal(now, &reply);
                None
            }
        }
    }

    fn handle_taken<'f>(&mut self, now: Instant, reply: &HelloReply<'_>) -> Option<Event<'f>> {
        let epoch = reply.epoch?;
        let other_epoch = self.incarnation.epoch.filter(|ours| *ours != epoch);
        let other_link = Some(reply.link).filter(|link| *link != self.incarnation.link);
        let other = match (other_epoch, other_link) {
            (Some(_), _) => Some(HelloReplyError::OtherEpoch { epoch }),
            (None, link) => link.map(|link| HelloReplyError::OtherLink { link }),
        };
        if let Some(error) = other {
            self.die(Disconnect::BadGreeting(error));
            return None;
        }
        self.incarnation.epoch = Some(epoch);
        let (last, mark) = (reply.accepted.last(), self.incarnation.mark);
        if last > self.outbox().last_message() || mark.is_some_and(|mark| last >= mark.get()) {
            self.handle_rollback(now, epoch, reply);
            return None;
        }
        self.tells.rewound = self.incarnation.confirm(last).or(self.tells.rewound);
        self.tells.waits = true;
        let (accepted, max_frame) = (reply.accepted, reply.max_frame);
        self.limit();
        self.outbox().handle_online(Some(Peer { accepted, max_frame }));
        self.heartbeat.handle_idle_limit(reply.idle);
        self.enter_online(now);
        Some(Event::Online { welcome: None, resumed: reply.resumed })
    }

    /// The peer knows more of this epoch than this client: its state is older than it should be. What it took from there is
    /// settled by the window; what it assigned since has sequences that mean something else to the peer.
    fn handle_rollback(&mut self, now: Instant, epoch: Epoch, reply: &HelloReply<'_>) {
        let Some(next) = epoch.next() else {
            return self.die(Disconnect::BadGreeting(HelloReplyError::OtherEpoch { epoch }));
        };
        let mark = self.incarnation.mark;
        self.outbox().settle_by(&reply.accepted, mark.map_or(0, NonZeroU32::get));
        // What was written without identity may be what the peer has, after a welcome that came late.
        let none_is_stored = mark.is_some() && !self.incarnation.wrote_anonymously;
        self.start_epoch(next, none_is_stored);
        self.leave(now, Disconnect::EpochChanged);
    }

    fn handle_refusal(&mut self, now: Instant, reply: &HelloReply<'_>) {
        match (reply.status, reply.epoch) {
            (HelloStatus::EpochTooOld, Some(current)) => {
                // What was used once is never used again, whatever a peer says is in force.
                let highest = self.incarnation.epoch.map_or(current, |ours| ours.max(current));
                let Some(next) = highest.next() else {
                    return self.die(Disconnect::BadGreeting(HelloReplyError::OtherEpoch { epoch: current }));
                };
                self.start_epoch(next, false);
            }
            (HelloStatus::LinkTooOld, _) if reply.link == u32::MAX => {
                let Some(next) = self.incarnation.epoch.and_then(Epoch::next) else {
                    return self.die(Disconnect::BadGreeting(HelloReplyError::OtherLink { link: reply.link }));
                };
                self.start_epoch(next, false);
            }
            (HelloStatus::LinkTooOld, _) => self.incarnation.link = self.incarnation.link.max(reply.link),
            _ => {}
        }
        self.leave(now, Disconnect::Rejected(Refusal::new(reply)));
    }

    /// All sequences of the epoch are used: the next begins as soon as all messages are settled.
    pub(super) fn renew_epoch(&mut self, now: Instant) {
        let Some(next) = self.incarnation.epoch.and_then(Epoch::next) else { return };
        if self.unsettled() == 0 {
            self.start_epoch(next, true);
            if matches!(self.state, State::Greeting | State::Online) {
                self.leave(now, Disconnect::EpochChanged);
            }
        }
    }

    /// Goes on in a later epoch. There is none after the last, and none is asked for: the peer might name one that was used.
    fn start_epoch(&mut self, epoch: Epoch, none_is_stored: bool) {
        let from = self.incarnation.epoch;
        self.outbox().start_epoch(none_is_stored);
        self.incarnation.begin(epoch);
        self.limit();
        (self.tells.epoch_lost, self.tells.epoch_before, self.tells.waits) = (true, from, true);
    }

    /// Which messages may be written follows from what is stored, and what they end as from the epoch.
    pub(super) fn limit(&mut self) {
        let waits = self.config.identity.is_some() && !self.incarnation.anonymous;
        let limit = if waits { self.incarnation.limit() } else { u32::MAX };
        let epoch = self.epoch();
        self.outbox().set_epoch(epoch);
        self.outbox().set_limit(limit);
    }
}
