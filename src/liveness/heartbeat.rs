use crate::time::{Instant, deadline_in, micros};
use core::time::Duration;

/// How the connecting side keeps a silent link alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeartbeatPolicy {
    /// No heartbeat but those that the application asks for.
    Passive,
    /// A heartbeat as soon as one direction was silent for so long, 1 s at least. What was sent does not stand in for
    /// what was received, nor the other way round: the peer's idle clock sees only the one, this side only the other.
    Fixed(Duration),
}

/// What [`Heartbeat::handle_timeout`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pulse {
    /// Nothing is due.
    Steady,
    /// A heartbeat is to be written now.
    Beat,
    /// The last one was not answered, and nothing else came either: the link is dead.
    Dead,
}

/// The heartbeat of one connection, the only owner of its answer time-out.
///
/// ```text
///   Off ──connected──▶ Quiet ──silence──▶ Wanted ──written──▶ Awaiting ──time-out──▶ Off, Pulse::Dead
///                        ▲                                       │  ▲ any byte starts
///                        └────────────────answer─────────────────┘  └ the time-out again
/// ```
///
/// Any received byte is proof of life, also one inside a frame: a link is not dead while something moves, however slow.
///
/// ```
/// use core::time::Duration;
/// use longlink::{Instant, liveness::{Heartbeat, HeartbeatPolicy, Pulse}};
///
/// let s = Instant::from_secs;
/// let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Fixed(Duration::from_secs(60)), Duration::from_secs(8));
/// heartbeat.handle_connected(s(0));
/// assert_eq!(heartbeat.poll_timeout(), Some(s(60)));
/// assert_eq!(heartbeat.handle_timeout(s(60)), Pulse::Beat);
/// heartbeat.handle_beat_sent(s(60), Duration::ZERO);
/// assert_eq!(heartbeat.handle_timeout(s(68)), Pulse::Dead);
/// ```
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// In microseconds: the interval of the policy, the one that holds, and the answer time-out. No interval is `u64::MAX`.
    policy: u64,
    interval: u64,
    answer_timeout: u64,
    last_sent: Instant,
    last_received: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Quiet,
    /// `late`: its answer must come sooner.
    Wanted {
        late: bool,
    },
    Awaiting {
        sent: Instant,
        late: bool,
        deadline: Option<Instant>,
    },
}

impl Heartbeat {
    /// The answer time-out by default: that of Tencent Mars.
    pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
    /// The answer time-out after a wake-up that came late, when the link is likely to be dead.
    pub const LATE_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

    /// A heartbeat of a link that is not connected yet. An answer must come within `answer_timeout`, and within the time
    /// that the bytes before it need.
    #[must_use]
    pub const fn new(policy: HeartbeatPolicy, answer_timeout: Duration) -> Self {
        let (last_sent, last_received) = (Instant::ZERO, Instant::ZERO);
        let (policy, answer_timeout) = (policy.micros(), micros(answer_timeout));
        Self { policy, interval: policy, answer_timeout, last_sent, last_received, phase: Phase::Off }
    }

    /// A connection is there; both directions count as active now.
    pub fn handle_connected(&mut self, now: Instant) {
        (self.last_sent, self.last_received, self.phase) = (now, now, Phase::Quiet);
    }

    /// The connection is gone. Nothing is due until the next.
    pub fn handle_disconnected(&mut self) {
        (self.phase, self.interval) = (Phase::Off, self.policy);
    }

    /// Bytes were written, of whatever frame.
    pub fn handle_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Bytes came, of whatever frame: an answer time-out under way starts again.
    pub fn handle_received(&mut self, now: Instant) {
        self.last_received = now;
        let [usual, sooner] = self.answer_timeouts();
        if let Phase::Awaiting { late, deadline: at, .. } = &mut self.phase {
            *at = deadline_in(now, if *late { sooner } else { usual });
        }
    }

    /// The last byte of a heartbeat was written; what is still under way before it needs `transfer`.
    pub fn handle_beat_sent(&mut self, now: Instant, transfer: Duration) {
        if let Phase::Wanted { late } = self.phase {
            let [usual, sooner] = self.answer_timeouts();
            let deadline = deadline_in(now, if late { sooner } else { usual }.saturating_add(micros(transfer)));
            self.phase = Phase::Awaiting { sent: now, late, deadline };
        }
    }

    /// An answer came: the time since its heartbeat was written. `None`, and no change, if none was awaited.
    pub fn handle_answer(&mut self, now: Instant) -> Option<Duration> {
        let Phase::Awaiting { sent, .. } = self.phase else { return None };
        self.phase = Phase::Quiet;
        Some(now - sent)
    }

    /// Acts on what is due; early and repeated calls change nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Pulse {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return Pulse::Steady;
        }
        match self.phase {
            Phase::Quiet => {
                self.beat();
                Pulse::Beat
            }
            Phase::Awaiting { .. } => {
                self.phase = Phase::Off;
                Pulse::Dead
            }
            Phase::Off | Phase::Wanted { .. } => Pulse::Steady,
        }
    }

    /// Asks for a heartbeat as soon as it can be written. No-op while one is wanted or awaited, or without a connection.
    pub fn beat(&mut self) {
        if self.phase == Phase::Quiet {
            self.phase = Phase::Wanted { late: false };
        }
    }

    /// After a wake-up that came late: nobody was there to see an answer, so the one awaited proves nothing. Asks for
    /// another heartbeat, which must be answered sooner.
    pub fn beat_late(&mut self) {
        if self.phase != Phase::Off {
            self.phase = Phase::Wanted { late: true };
        }
    }

    /// How long an answer may take, and how long after a late wake-up.
    fn answer_timeouts(&self) -> [u64; 2] {
        [self.answer_timeout, self.answer_timeout.min(micros(Self::LATE_ANSWER_TIMEOUT))]
    }

    /// `true` while a heartbeat is to be written.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::Wanted { .. })
    }

    /// `true` while an answer is awaited.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        matches!(self.phase, Phase::Awaiting { .. })
    }

    /// How late a wake-up may come before it says more about this device than about the link: 5 s, or a tenth of the
    /// interval where that is more.
    #[must_use]
    pub fn late_after(&self) -> Duration {
        const LEAST: Duration = Duration::from_secs(5);
        match self.policy {
            u64::MAX => LEAST,
            interval => LEAST.max(Duration::from_micros(interval / 10)),
        }
    }

    /// When something came last; when the connection came, if nothing did.
    #[must_use]
    pub const fn last_received(&self) -> Instant {
        self.last_received
    }

    /// The longest silence of this side in whole seconds, rounded up, as a greeting names it; 0 if it promises nothing.
    #[must_use]
    pub fn longest_silence(&self) -> u16 {
        match self.policy {
            u64::MAX => 0,
            interval => u16::try_from(interval.div_ceil(1_000_000)).unwrap_or(u16::MAX),
        }
    }

    /// The peer closes a link from which nothing came for `idle` seconds; 0 if it does not. Until the next connection the
    /// interval is three quarters of that at most, but no shorter than 15 s for it.
    pub fn handle_idle_limit(&mut self, idle: u16) {
        const LEAST: u64 = 15_000_000;
        let three_quarters = u64::from(idle).saturating_mul(750_000);
        let most = if idle == 0 { u64::MAX } else { three_quarters.max(LEAST) };
        if self.policy != u64::MAX {
            self.interval = self.policy.min(most);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Quiet if self.interval < u64::MAX => {
                deadline_in(self.last_sent.min(self.last_received), self.interval)
            }
            Phase::Awaiting { deadline, .. } => deadline,
            _ => None,
        }
    }
}

impl HeartbeatPolicy {
    /// The interval in microseconds; none is `u64::MAX`.
    const fn micros(self) -> u64 {
        match self {
            Self::Passive => u64::MAX,
            Self::Fixed(interval) => micros(interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Instant = Instant::from_secs;

    fn connected() -> Heartbeat {
        let fixed = HeartbeatPolicy::Fixed(Duration::from_secs(60));
        let mut heartbeat = Heartbeat::new(fixed, Heartbeat::ANSWER_TIMEOUT);
        heartbeat.handle_connected(S(0));
        heartbeat
    }

    fn awaiting() -> Heartbeat {
        let mut heartbeat = connected();
        assert_eq!(heartbeat.handle_timeout(S(60)), Pulse::Beat);
        heartbeat.handle_sent(S(60));
        heartbeat.handle_beat_sent(S(60), Duration::ZERO);
        heartbeat
    }

    #[test]
    fn silence_in_either_direction_calls_for_a_heartbeat() {
        let mut heartbeat = connected();
        heartbeat.handle_received(S(50));
        assert_eq!(heartbeat.poll_timeout(), Some(S(60)), "nothing was sent since 0");
        let mut heartbeat = connected();
        heartbeat.handle_sent(S(50));
        assert_eq!(heartbeat.poll_timeout(), Some(S(60)), "nothing came since 0");
        heartbeat.handle_received(S(55));
        assert_eq!(heartbeat.poll_timeout(), Some(S(110)));
    }

    #[test]
    fn any_byte_restarts_the_answer_time_out_and_only_an_answer_ends_it() {
        let mut heartbeat = awaiting();
        heartbeat.handle_received(S(67));
        assert_eq!(heartbeat.handle_timeout(S(68)), Pulse::Steady);
        assert_eq!(heartbeat.handle_timeout(S(75)), Pulse::Dead);
        let mut heartbeat = awaiting();
        assert_eq!(heartbeat.handle_answer(S(61)), Some(Duration::from_secs(1)));
        assert_eq!(heartbeat.handle_answer(S(61)), None, "answered once");
        assert_eq!(heartbeat.handle_timeout(S(68)), Pulse::Beat, "nothing came since 0");
    }

    #[test]
    fn an_answer_is_given_the_time_that_the_bytes_before_it_need() {
        let mut heartbeat = connected();
        heartbeat.beat();
        heartbeat.handle_beat_sent(S(10), Duration::from_secs(100));
        assert_eq!(heartbeat.poll_timeout(), Some(S(118)));
    }

    #[test]
    fn a_late_wake_up_asks_again_and_waits_less() {
        let mut heartbeat = awaiting();
        heartbeat.beat_late();
        assert!(heartbeat.is_wanted());
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.handle_beat_sent(S(5_000), Duration::ZERO);
        assert_eq!(heartbeat.poll_timeout(), Some(S(5_005)));
    }

    #[test]
    fn nothing_is_due_without_a_connection() {
        let mut heartbeat = awaiting();
        heartbeat.handle_disconnected();
        heartbeat.beat();
        heartbeat.beat_late();
        assert_eq!((heartbeat.is_wanted(), heartbeat.poll_timeout()), (false, None));
        assert_eq!(heartbeat.handle_timeout(Instant::MAX), Pulse::Steady);
    }

    #[test]
    fn a_passive_heartbeat_beats_on_request_only() {
        let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Passive, Heartbeat::ANSWER_TIMEOUT);
        heartbeat.handle_connected(S(0));
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.beat();
        assert!(heartbeat.is_wanted());
    }
}
