//! A device that holds one link after the other through a network, in virtual time.

use crate::nat::{Fate, Nat};
use longlink::Instant;
use longlink::liveness::{Heartbeat, Pulse};
use std::time::Duration;

/// The heartbeat of this crate, and what a session would do around it. An answer comes at once; a link that is found dead
/// is replaced at once, or later if [`back_after`](Self::back_after) says so.
pub(crate) struct Device {
    pub heartbeat: Heartbeat,
    pub nat: Nat,
    pub now: Instant,
    /// The server closes a link from which nothing came for so many seconds, and whether its greeting says so.
    pub server_idle: Option<u16>,
    pub names_idle: bool,
    pub back_after: Duration,
    /// So late every wake-up comes.
    pub wakes_late: Duration,
    /// Pushes are acknowledged.
    pub acks: bool,
    /// Links that were found dead, and those that the server closed.
    pub lost: u32,
    pub closed: u32,
    pub beats: u32,
    /// Every change of the interval, and whether it is settled.
    pub trace: Vec<Point>,
    last_sent: Instant,
    /// The last wake-up was late, and nothing came since.
    asleep: bool,
}

/// From now on this interval holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub at: Duration,
    pub interval: Duration,
    pub settled: bool,
    /// Links lost until then.
    pub lost: u32,
}

impl Device {
    /// Connected at the start of the clock.
    pub(crate) fn new(heartbeat: Heartbeat, nat: Nat) -> Self {
        let mut device = Self {
            heartbeat,
            nat,
            now: Instant::ZERO,
            server_idle: None,
            names_idle: false,
            back_after: Duration::ZERO,
            wakes_late: Duration::ZERO,
            acks: true,
            asleep: false,
            lost: 0,
            closed: 0,
            beats: 0,
            trace: Vec::new(),
            last_sent: Instant::ZERO,
        };
        device.connect();
        device
    }

    /// So much time goes by, and the device does what is due.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.heartbeat.poll_timeout().map(|at| at + self.wakes_late);
            let closes = self.server_idle.map(|idle| self.last_sent + Duration::from_secs(idle.into()));
            match (due, closes) {
                (due, Some(at)) if at <= end && due.is_none_or(|due| at < due) => {
                    self.now = at;
                    self.closed += 1;
                    self.reconnect();
                }
                (Some(at), _) if at <= end => {
                    self.now = self.now.max(at);
                    self.wake();
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    /// The peer sends a frame.
    pub(crate) fn push(&mut self) {
        if self.nat.packet(self.now) == Fate::Passes {
            self.hear();
            if self.acks {
                self.heartbeat.handle_sent(self.now);
                self.last_sent = self.now;
            }
        }
    }

    /// Has the link replaced, in whatever way it came to its end.
    pub(crate) fn reconnect(&mut self) {
        self.heartbeat.handle_disconnected();
        self.now = self.now + self.back_after;
        self.connect();
    }

    fn connect(&mut self) {
        self.nat.connect(self.now);
        self.last_sent = self.now;
        if self.names_idle {
            self.heartbeat.handle_idle_limit(self.server_idle.unwrap_or(0));
        }
        self.heartbeat.handle_connected(self.now);
        self.note();
    }

    fn hear(&mut self) {
        self.asleep = false;
        self.heartbeat.handle_received(self.now);
    }

    fn wake(&mut self) {
        if self.wakes_late >= self.heartbeat.late_after() && !self.asleep {
            self.asleep = true;
            self.heartbeat.beat_late();
            return self.beat();
        }
        match self.heartbeat.handle_timeout(self.now) {
            Pulse::Steady => {}
            Pulse::Beat => self.beat(),
            Pulse::Dead => {
                self.lost += 1;
                self.reconnect();
            }
        }
    }

    fn beat(&mut self) {
        self.beats += 1;
        self.heartbeat.handle_sent(self.now);
        self.heartbeat.handle_beat_sent(self.now, Duration::ZERO);
        match self.nat.packet(self.now) {
            Fate::Passes => {
                self.last_sent = self.now;
                self.hear();
                self.heartbeat.handle_answer(self.now);
                self.note();
            }
            Fate::Swallowed => {}
            Fate::Reset => {
                self.lost += 1;
                self.heartbeat.handle_reset(self.now);
                self.reconnect();
            }
        }
    }

    fn note(&mut self) {
        let (interval, settled) = (self.heartbeat.interval().unwrap_or_default(), self.heartbeat.is_settled());
        if self.trace.last().is_none_or(|last| (last.interval, last.settled) != (interval, settled)) {
            self.trace.push(Point { at: self.now - Instant::ZERO, interval, settled, lost: self.lost });
        }
    }
}
