//! Two endpoints, joined by a network, on a virtual clock.

use super::pipe::{Pipe, Read, Weather};
use longlink::session::{Disconnect, Endpoint, Link};
use longlink::{Instant, earliest};
use std::time::Duration;

/// What a test does with the events of a side, and what it has the endpoint do then.
pub type OnEvent<E> = Box<dyn FnMut(Instant, &mut E, <E as Endpoint>::Event<'_>)>;

/// One end: a link and its application.
pub struct Side<E: Endpoint, B> {
    pub link: Link<E, B>,
    pub on: OnEvent<E>,
    /// Why the connection ended, once it has.
    pub over: Option<Disconnect>,
    /// How often this side did something.
    pub wake_ups: u64,
    /// This side has ended its stream, and waits so long for the peer to end its own.
    linger: Option<Instant>,
}

impl<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>> Side<E, B> {
    pub fn new(link: Link<E, B>, on: OnEvent<E>) -> Self {
        Self { link, on, over: None, wake_ups: 0, linger: None }
    }

    /// Reads, handles and writes all that can be at `now`. `true` if something moved.
    pub fn step(&mut self, now: Instant, from: &mut Pipe, to: &mut Pipe) -> bool {
        if self.over.is_some() {
            return false;
        }
        let mut moved = false;
        let failed = loop {
            self.link.process(now, |endpoint, event| (self.on)(now, endpoint, event));
            let read = match self.link.space() {
                [] => Read::Pending,
                space => from.read(now, space),
            };
            match read {
                Read::Bytes(n) => self.link.handle_read(now, n),
                Read::End => self.link.handle_end(),
                Read::Pending => break None,
                Read::Reset => break Some(Disconnect::Transport),
            }
            moved = true;
        };
        assert!(
            self.link.poll_timeout().is_none_or(|at| at > now),
            "a deadline is due after it was handled at {now:?}"
        );
        while let Some(bytes) = self.link.poll_transmit() {
            let lent = bytes.to_vec();
            let n = to.write(now, bytes);
            if n == 0 {
                let again = self.link.poll_transmit().unwrap_or_default();
                assert!(again.starts_with(&lent), "bytes that were not written changed");
                break;
            }
            self.link.handle_sent(now, n);
            moved = true;
        }
        self.end(now, failed, to) || moved
    }

    /// Ends the connection when it is time to, in the way of a driver.
    fn end(&mut self, now: Instant, failed: Option<Disconnect>, to: &mut Pipe) -> bool {
        let closing = self.link.closing();
        let lingered = closing.filter(|_| self.linger.is_some_and(|at| at <= now));
        if let Some(why) = self.link.over().or(failed).or(lingered) {
            if why.is_orderly() {
                to.finish()
            } else {
                to.reset()
            }
            self.over = Some(self.link.handle_disconnected(now, why));
            self.link.process(now, |endpoint, event| (self.on)(now, endpoint, event));
            return true;
        }
        if closing.is_some() && self.linger.is_none() && self.link.poll_transmit().is_none() {
            to.finish();
            self.linger = Some(now + longlink::session::limits::CLOSE_TIMEOUT);
            return true;
        }
        false
    }

    pub fn next(&self) -> Option<Instant> {
        if self.over.is_some() {
            return None;
        }
        earliest([self.link.poll_timeout(), self.linger])
    }
}

/// A client and a server, or whatever two endpoints, and the two pipes between them.
pub struct Pair<A: Endpoint, AB, B: Endpoint, BB> {
    pub now: Instant,
    pub left: Side<A, AB>,
    pub right: Side<B, BB>,
    /// From left to right, and back.
    pub up: Pipe,
    pub down: Pipe,
}

impl<A, AB, B, BB> Pair<A, AB, B, BB>
where
    A: Endpoint,
    AB: AsRef<[u8]> + AsMut<[u8]>,
    B: Endpoint,
    BB: AsRef<[u8]> + AsMut<[u8]>,
{
    pub fn new(left: Side<A, AB>, right: Side<B, BB>, weather: Weather, seed: u64) -> Self {
        let (up, down) = (Pipe::new(weather, seed), Pipe::new(weather, !seed));
        Self { now: Instant::ZERO, left, right, up, down }
    }

    /// Does all that can be done now; fails if that never ends.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let left = self.left.step(self.now, &mut self.down, &mut self.up);
            let right = self.right.step(self.now, &mut self.up, &mut self.down);
            self.left.wake_ups += u64::from(left);
            self.right.wake_ups += u64::from(right);
            if !left && !right {
                return;
            }
        }
        panic!("no end of it at {:?}", self.now);
    }

    /// Goes to the next thing that happens, at `end` at the latest. `false` if that is the end.
    pub fn step(&mut self, end: Instant) -> bool {
        self.settle();
        let soon = [self.left.next(), self.right.next(), self.up.next_arrival(), self.down.next_arrival()];
        // What has arrived and is not read yet waits for its reader's timer.
        let next = soon.into_iter().flatten().filter(|at| *at > self.now).min();
        self.now = next.map_or(end, |at| at.min(end)).max(self.now);
        self.now < end
    }

    /// Runs for a while.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.settle();
    }

    /// Runs until both ends are down; fails if that takes longer than `most`.
    pub fn run_down(&mut self, most: Duration) {
        let end = self.now + most;
        while (self.left.over.is_none() || self.right.over.is_none()) && self.step(end) {}
        self.settle();
        assert!(self.left.over.is_some() && self.right.over.is_some(), "not down after {most:?}");
    }
}
