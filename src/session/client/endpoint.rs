use super::{Client, State};
use crate::delivery::Outcome;
use crate::liveness::{Heartbeat, Pulse};
use crate::session::transmit::Control;
use crate::session::{Disconnect, Endpoint, Event, Timer};
use crate::time::{Instant, after, duration, earliest, micros};
use crate::wire::{Frame, FrameError};

/// In microseconds.
const LEAST_LATE: u64 = micros(Heartbeat::LEAST_LATE);

impl Endpoint for Client<'_> {
    type Event<'f> = Event<'f>;

    fn handle_received(&mut self, now: Instant, n: usize) {
        let before = self.connection.now();
        let now = self.connection.clock(now);
        if self.state == State::Idle || n == 0 {
            return;
        }
        self.rebased = false;
        self.connection.handle_received(now, n);
        // What is read first after a sleep may be as old as that.
        let slept = now.micros_since(before) >= LEAST_LATE && self.heartbeat.is_overdue(now);
        self.heartbeat.handle_received(now);
        if slept {
            self.heartbeat.beat_late();
        }
    }

    fn handle_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        let now = self.connection.clock(now);
        if self.state == State::Idle {
            return None;
        }
        self.connection.handle_frame(now, &frame);
        let is_known = self.is_of_sync(frame.command());
        let event = self.classify(now, frame);
        if event.is_none() && !is_known {
            self.connection.count_dropped();
        }
        event
    }

    fn handle_malformed(&mut self, now: Instant, error: FrameError) {
        let now = self.connection.clock(now);
        match error {
            _ if self.state == State::Idle => {}
            FrameError::TooLong { length, command, sequence, .. } if !error.is_fatal() => {
                self.connection.handle_skipped(now, length);
                self.outbox().handle_skipped(command, sequence);
                self.handle_skipped_page(now, command, sequence);
                self.settle(now);
            }
            error => self.die(Disconnect::Malformed(error)),
        }
    }

    fn handle_sent(&mut self, now: Instant, n: usize) {
        let now = self.connection.clock(now);
        if self.state == State::Idle || n == 0 {
            return;
        }
        self.heartbeat.handle_sent(now);
        match self.connection.handle_sent(now, n) {
            (Some(Control::Greeting), _) => self.owes_greeting = false,
            (Some(Control::Heartbeat), transfer) => self.heartbeat.handle_beat_sent(now, duration(transfer)),
            (Some(control @ (Control::Sync | Control::SyncNews)), transfer) => {
                self.handle_sync_sent(after(now, transfer), control);
            }
            (Some(Control::GoAway), _) => self.owes_goaway = false,
            (Some(Control::Answer) | None, _) => {}
        }
        self.settle(now);
        self.watch();
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        let Some(due) = self.poll_timeout().filter(|due| *due <= now) else { return };
        self.watch();
        if !self.rebase(now, due) {
            self.handle_until(now);
            if self.connection.transmit.poll_timeout().is_some_and(|at| at <= now) {
                self.die(Disconnect::Stalled);
            }
            if self.frame_timeout().is_some_and(|at| at <= now) {
                self.die(Disconnect::SlowFrame);
            }
            if self.heartbeat.handle_timeout(now) == Pulse::Dead {
                self.die(Disconnect::HeartbeatLost);
            }
            let heard = self.heartbeat.last_received();
            if self.outbox().handle_timeout(now, heard) {
                self.heartbeat.beat();
            }
        }
        // After a sleep its clocks are new, too; what else is due of it is due however late.
        self.handle_sync_timeout(now);
        self.handle_dialer_timeout(now);
        self.settle(now);
    }

    fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        let now = self.connection.clock(now);
        if self.state == State::Idle {
            return why;
        }
        if why == Disconnect::Transport {
            self.heartbeat.handle_reset(now);
        }
        self.die(why);
        let why = self.connection.why.take().unwrap_or(why);
        crate::trace::debug!("link down: {}", why);
        let resends = self.config.resends || self.config.identity.is_some();
        // A peer that goes away for a while, or this side: only what breaks off may be a message's fault.
        if why.is_own() || matches!(why, Disconnect::GoAway(_)) {
            self.outbox().acquit();
        }
        self.outbox().handle_disconnected(resends);
        self.part_from_mailbox();
        (self.state, self.tells.online) = (State::Idle, false);
        (self.tells.offline, self.tells.waits) = (Some(why), true);
        self.look_for_next(now, why);
        why
    }

    fn poll_transmit(&mut self) -> Option<&[u8]> {
        if self.state == State::Idle {
            return None;
        }
        let mut waits = self.owes_control();
        if waits {
            self.make_control();
            waits = self.heartbeat.is_wanted() || self.owes_sync();
        }
        let (now, begun_only) = (self.connection.now(), waits || self.state == State::Greeting);
        let follow = match (self.connection.transmit.control(), self.sync.as_ref()) {
            (Some(Control::Sync | Control::SyncNews), Some(sync)) => sync.rows(),
            _ => self.config.hello.unwrap_or_default(),
        };
        self.connection.transmit.run(now, begun_only, follow)
    }

    fn poll_event(&mut self) -> Option<Event<'static>> {
        // What was not fetched belongs to the connection before the one that is up now.
        if let Some((token, outcome, written)) = self.outbox().poll_ended() {
            return Some(match outcome {
                Outcome::Delivered => Event::Delivered { token },
                Outcome::Failed(why) => Event::Failed { token, why, written },
                Outcome::Cancelled => Event::Cancelled { token, written },
            });
        }
        let told = self.tells.next(self.incarnation.epoch);
        let told = told.or_else(|| self.sync.as_mut()?.poll_event().map(Event::from));
        if told.is_some() || !self.may_tell_of_links() {
            return told;
        }
        self.poll_liveness()
    }

    fn next_timer(&self) -> Option<(Timer, Instant)> {
        let until = if self.state == State::Greeting { Timer::Greeting } else { Timer::Close };
        let pulse = if self.heartbeat.is_awaited() { Timer::Answer } else { Timer::Heartbeat };
        let timers = [until, pulse, Timer::Delivery, Timer::Write, Timer::Frame, Timer::Sync];
        let first = Timer::first(timers, self.deadlines());
        first.into_iter().chain(self.dialer_timer()).min_by_key(|(_, at)| *at)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let of_link = earliest(self.deadlines());
        if self.dialer.is_some() { earliest([of_link, self.dialer_timeout()]) } else { of_link }
    }

    fn closing(&self) -> Option<Disconnect> {
        if self.state == State::Leaving { self.connection.why } else { None }
    }
}

impl Client<'_> {
    /// In the order in which [`next_timer`](Endpoint::next_timer) names them.
    fn deadlines(&self) -> [Option<Instant>; 6] {
        [
            self.connection.until,
            self.heartbeat.poll_timeout(),
            self.connection.transmit.frames.poll_timeout(),
            self.connection.transmit.poll_timeout(),
            self.frame_timeout(),
            self.sync.as_ref().and_then(crate::sync::Client::poll_timeout),
        ]
    }
}
