use super::greeting::REFUSAL_ZEROS;
use super::{Server, State};
use crate::session::{Disconnect, Endpoint, GoAway, GoAwayCode, ServerEvent, Timer};
use crate::time::{Instant, earliest};
use crate::wire::{Frame, FrameError};

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Endpoint for Server<'_, B, WORDS> {
    type Event<'f> = ServerEvent<'f>;

    fn handle_received(&mut self, now: Instant, n: usize) {
        let now = self.connection.clock(now);
        if n == 0 {
            return;
        }
        self.last_received = now;
        self.connection.handle_received(now, n);
    }

    fn handle_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        let now = self.connection.clock(now);
        if self.is_down() {
            return None;
        }
        self.connection.handle_frame(now, &frame);
        self.charge(now, self.config.frame_interval);
        self.classify(now, frame)
    }

    fn handle_malformed(&mut self, now: Instant, error: FrameError) {
        let now = self.connection.clock(now);
        match error {
            _ if self.is_down() => {}
            FrameError::TooLong { length, command, sequence, .. } if !error.is_fatal() => {
                self.connection.handle_skipped(now, length);
                self.charge(now, self.config.frame_interval);
                self.handle_too_large(command, sequence);
                self.handle_long_request(now, command, sequence);
            }
            error => self.die(Disconnect::Malformed(error)),
        }
    }

    fn handle_sent(&mut self, now: Instant, n: usize) {
        let now = self.connection.clock(now);
        if self.is_down() || n == 0 {
            return;
        }
        let held_back = self.is_held_back();
        let before = self.connection.transmit.frames.unwritten();
        self.connection.handle_sent(now, n);
        if held_back {
            self.count_written(before.saturating_sub(self.connection.transmit.frames.unwritten()));
            if !self.is_held_back() {
                self.resume(now);
            }
        }
        self.watch();
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.watch();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.paused()) {
            self.is_paused = false;
            self.resume(now);
        }
        if due(self.connection.until) {
            self.connection.until = None;
            match self.state {
                State::Accepted => self.leave(now, Disconnect::NoGreeting, None),
                _ => self.die(Disconnect::Closed),
            }
        }
        self.sync.handle_timeout(now);
        if due(self.connection.transmit.poll_timeout()) {
            self.die(Disconnect::Stalled);
        }
        let [idle, frame] = self.peer_timeouts();
        if due(frame) {
            self.die(Disconnect::SlowFrame);
        } else if due(idle) {
            self.leave(now, Disconnect::Idle, Some(GoAway::new(GoAwayCode::Idle)));
        }
    }

    fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        self.connection.clock(now);
        if !self.is_down() {
            self.die(why);
            crate::trace::debug!("link down: {}", self.connection.why.unwrap_or(why));
            self.state = State::Lost;
        }
        self.connection.why.unwrap_or(why)
    }

    fn poll_transmit(&mut self) -> Option<&[u8]> {
        let mut waits = self.owes_control();
        if waits {
            self.make_control();
            waits = self.owes_answer || self.intake.is_owing() || self.owes_sync();
        }
        let now = self.connection.now();
        self.connection.transmit.run(now, waits, &REFUSAL_ZEROS)
    }

    fn poll_event(&mut self) -> Option<ServerEvent<'static>> {
        if self.state != State::Lost {
            return None;
        }
        self.state = State::Down;
        self.connection.why.map(ServerEvent::Offline)
    }

    fn next_timer(&self) -> Option<(Timer, Instant)> {
        let until = if self.state == State::Accepted { Timer::Greeting } else { Timer::Close };
        Timer::first([until, Timer::Idle, Timer::Write, Timer::Frame, Timer::Resume, Timer::Sync], self.deadlines())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.deadlines())
    }

    fn closing(&self) -> Option<Disconnect> {
        if self.state == State::Leaving { self.connection.why } else { None }
    }

    fn is_undecided(&self) -> bool {
        self.intake.has_pending()
    }

    fn can_take(&self) -> bool {
        !self.is_paused && !self.is_held_back()
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'_, B, WORDS> {
    /// In the order in which [`next_timer`](Endpoint::next_timer) names them.
    fn deadlines(&self) -> [Option<Instant>; 6] {
        let [idle, frame] = self.peer_timeouts();
        let write = self.connection.transmit.poll_timeout();
        [self.connection.until, idle, write, frame, self.paused(), self.sync.poll_timeout()]
    }
}
