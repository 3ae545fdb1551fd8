//! A client whose clock may stand still while its device sleeps, and what it reads and how its links end.

use longlink::Instant;
use longlink::session::{Attempt, Client, Disconnect, Endpoint, Event, Timer};
use longlink::wire::{Frame, FrameError};
use std::time::Duration;

pub struct Ear<'m> {
    pub client: Client<'m>,
    /// Its clock is so far behind.
    pub lag: Duration,
    /// There is a connection.
    pub is_up: bool,
    /// When a byte was read last.
    pub heard: Instant,
    /// How the last link ended, for who asks first.
    pub down: Option<Disconnect>,
}

impl<'m> Ear<'m> {
    pub const fn new(client: Client<'m>, lag: Duration) -> Self {
        Self { client, lag, is_up: false, heard: Instant::ZERO, down: None }
    }

    /// What its clock says.
    pub fn clock(&self, now: Instant) -> Instant {
        Instant::ZERO + (now - Instant::ZERO).saturating_sub(self.lag)
    }

    /// What the world's clock says when its own says `at`.
    fn world(&self, at: Instant) -> Instant {
        at + self.lag
    }

    pub fn handle_alive(&mut self, now: Instant, attempt: Attempt) -> bool {
        let clock = self.clock(now);
        let is_taken = self.client.handle_alive(clock, attempt);
        if is_taken {
            (self.is_up, self.heard) = (true, now);
        }
        is_taken
    }

    /// Has the client do something, by its own clock.
    pub fn with<T>(&mut self, now: Instant, act: impl FnOnce(&mut Client<'m>, Instant) -> T) -> T {
        let clock = self.clock(now);
        act(&mut self.client, clock)
    }
}

impl Endpoint for Ear<'_> {
    type Event<'f> = Event<'f>;

    fn handle_received(&mut self, now: Instant, n: usize) {
        self.heard = now;
        self.with(now, |client, clock| client.handle_received(clock, n));
    }

    fn handle_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        self.with(now, |client, clock| client.handle_frame(clock, frame))
    }

    fn handle_malformed(&mut self, _: Instant, error: FrameError) {
        panic!("a server wrote what is no frame: {error}");
    }

    fn handle_sent(&mut self, now: Instant, n: usize) {
        self.with(now, |client, clock| client.handle_sent(clock, n));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.with(now, |client, clock| client.handle_timeout(clock));
    }

    fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        let why = self.with(now, |client, clock| client.handle_disconnected(clock, why));
        (self.is_up, self.down) = (false, Some(why));
        why
    }

    fn poll_transmit(&mut self) -> Option<&[u8]> {
        self.client.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<Event<'static>> {
        self.client.poll_event()
    }

    fn next_timer(&self) -> Option<(Timer, Instant)> {
        self.client.next_timer().map(|(timer, at)| (timer, self.world(at)))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout().map(|at| self.world(at))
    }

    fn closing(&self) -> Option<Disconnect> {
        self.client.closing()
    }

    fn can_take(&self) -> bool {
        self.client.can_take()
    }

    fn is_undecided(&self) -> bool {
        self.client.is_undecided()
    }
}
