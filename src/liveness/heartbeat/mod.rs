mod interval;
mod learning;
mod search;
#[cfg(test)]
mod tests;

pub(super) use search::{CAP, FLOOR, Learned, MOST_MARGIN};

use super::Network;
use crate::time::{Instant, deadline_in, micros, millionth, millis};
use core::time::Duration;
use search::Search;

/// How the connecting side keeps a silent link alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeartbeatPolicy {
    /// No heartbeat but those that the application asks for.
    Passive,
    /// A heartbeat as soon as one direction was silent for so long, 1 s at least, in whole milliseconds. What was sent does
    /// not stand in for what was received, nor the other way round: the peer's idle clock sees only the one, this side only
    /// the other.
    Fixed(Duration),
    /// A heartbeat as seldom as the network allows, 10 to 580 s after something came last. Links are lost in the search for
    /// the limit, two of them as a rule, and what was found is [kept](Heartbeat::record) for each network.
    Adaptive,
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

/// The heartbeat of one connection after the other, the only owner of its answer time-out.
///
/// ```text
///   Off ──connected──▶ Quiet ──silence──▶ Wanted ──written──▶ Awaiting ──time-out──▶ Off, Pulse::Dead
///                        ▲                                       │  ▲ any byte starts
///                        └────────────────answer─────────────────┘  └ the time-out again
/// ```
///
/// Any received byte is proof of life, also one inside a frame: a link is not dead while something moves, however slow.
///
/// # What an adaptive heartbeat learns
///
/// A network forgets a link that is silent for too long, and says so to nobody. Each heartbeat tries one silence: the time
/// from the last byte in either direction to the first one written when the heartbeat was due, however that came about.
///
/// * Answered: the network keeps a link that long, and the next silence may be longer.
/// * No answer, not even a byte, or a [reset](Self::handle_reset): the network forgot the link. That counts if the next
///   connection is there within a minute, or else the network itself may have been gone; and not after a wake-up that came
///   late, which tells of this device.
/// * The end of a link in any other way teaches nothing: that was the peer's decision.
///
/// Silences are doubled until one fails, then raised by 8 % from what is proven, until a second fails before what
/// failed has passed. 2 % below the longest that passed it settles. A day later, and then every week, it tries 8 %
/// more, and begins to search again if that passes. A settled interval that fails twice in a row is given up: the
/// search begins anew.
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
    last_sent: Instant,
    last_received: Instant,
    /// When the heartbeat under way was written.
    beat_sent: Instant,
    /// In `Awaiting` the end of the answer time-out, in `Off` when a failure was seen that is not judged yet.
    at: Option<Instant>,
    /// In milliseconds: the interval of the policy, or [`PASSIVE`], or [`ADAPTIVE`]; the one that holds; the answer
    /// time-out.
    policy: u32,
    interval: u32,
    answer_timeout: u32,
    /// In seconds: the end of the signals, 0 for none, and when the settled interval was as old as its record says.
    signals_until: u32,
    since: u32,
    network: Network,
    /// The peer's limit in seconds, 0 for none.
    idle: u16,
    /// What the heartbeat under way tries, in tenths of a second.
    silence: u16,
    search: Search,
    phase: Phase,
    /// Why the heartbeat under way was wanted.
    cause: Cause,
    /// Something came since it was written.
    heard: bool,
    foreground: bool,
    /// The link began in a network before.
    moved: bool,
    /// The record is another than that taken last.
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Quiet,
    Wanted,
    Awaiting,
}

/// Why a heartbeat is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It was quiet for as long as the link is to be, or somebody wants to know.
    Silence,
    /// It was due while the device was asleep: its answer must come sooner.
    LateWake,
    /// Something else is written at this moment.
    Company,
}

/// As an interval: none, and the one that the search gives.
const PASSIVE: u32 = u32::MAX;
const ADAPTIVE: u32 = 0;

impl Heartbeat {
    /// The answer time-out by default: that of Tencent Mars.
    pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
    /// The answer time-out after a wake-up that came late, when the link is likely to be dead.
    pub const LATE_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
    /// A wake-up that is less late than this is on time, whatever the interval.
    pub const LEAST_LATE: Duration = Duration::from_secs(5);
    /// The shortest interval that is learned. Networks that forget sooner are not known.
    pub const SHORTEST: Duration = Duration::from_secs(10);
    /// The longest interval that is learned: that of Tencent Mars.
    pub const LONGEST: Duration = Duration::from_secs(580);
    /// The longest adaptive interval in the foreground, where somebody waits for what comes.
    pub const FOREGROUND: Duration = Duration::from_secs(30);
    /// The interval while [signals](Self::signal) are sent.
    pub const SIGNAL: Duration = Duration::from_secs(5);
    /// How long one call has [signals](Self::signal) sent.
    pub const SIGNALS: Duration = Duration::from_secs(20);

    /// A heartbeat of a link that is not connected yet. An answer must come within `answer_timeout`, in whole milliseconds,
    /// and within the time that the bytes before it need.
    #[must_use]
    pub const fn new(policy: HeartbeatPolicy, answer_timeout: Duration) -> Self {
        let policy = match policy {
            HeartbeatPolicy::Passive => PASSIVE,
            HeartbeatPolicy::Fixed(interval) => match millis(interval) {
                ADAPTIVE => 1,
                PASSIVE => PASSIVE - 1,
                interval => interval,
            },
            HeartbeatPolicy::Adaptive => ADAPTIVE,
        };
        let (last_sent, last_received, beat_sent) = (Instant::ZERO, Instant::ZERO, Instant::ZERO);
        Self {
            last_sent,
            last_received,
            beat_sent,
            at: None,
            policy,
            interval: if policy == ADAPTIVE { millis(Self::FOREGROUND) } else { policy },
            answer_timeout: millis(answer_timeout),
            signals_until: 0,
            since: 0,
            network: Network::UNKNOWN,
            idle: 0,
            silence: 0,
            search: Search::new(Learned::NOTHING),
            phase: Phase::Off,
            cause: Cause::Silence,
            heard: false,
            foreground: false,
            moved: false,
            changed: false,
        }
    }

    /// A connection is there, and the peer has answered what it is greeted with; both directions count as active now. This
    /// is where the failure of the one before is judged.
    pub fn handle_connected(&mut self, now: Instant) {
        self.judge(now);
        (self.last_sent, self.last_received, self.phase) = (now, now, Phase::Quiet);
        (self.at, self.moved) = (None, false);
    }

    /// The connection is gone. Nothing is due until the next, and no limit of the peer's holds.
    pub fn handle_disconnected(&mut self) {
        if self.phase != Phase::Off {
            (self.phase, self.at) = (Phase::Off, None);
        }
        (self.idle, self.signals_until) = (0, 0);
        self.refresh();
    }

    /// Bytes were written, of whatever frame.
    pub fn handle_sent(&mut self, now: Instant) {
        if self.phase == Phase::Wanted {
            self.observe(now);
        }
        self.last_sent = now;
    }

    /// Bytes came, of whatever frame: an answer time-out under way starts again.
    pub fn handle_received(&mut self, now: Instant) {
        self.last_received = now;
        if self.phase == Phase::Awaiting {
            self.heard = true;
            self.at = deadline_in(now, self.time_to_answer());
        }
    }

    /// The last byte of a heartbeat was written, which [`handle_sent`](Self::handle_sent) was told before; what is still
    /// under way before it needs `transfer`.
    pub fn handle_beat_sent(&mut self, now: Instant, transfer: Duration) {
        if self.phase == Phase::Wanted {
            self.at = deadline_in(now, self.time_to_answer().saturating_add(micros(transfer)));
            (self.phase, self.beat_sent, self.heard) = (Phase::Awaiting, now, false);
        }
    }

    /// An answer came: the time since its heartbeat was written. `None`, and no change, if none was awaited.
    pub fn handle_answer(&mut self, now: Instant) -> Option<Duration> {
        if self.phase != Phase::Awaiting {
            return None;
        }
        self.phase = Phase::Quiet;
        if self.policy == ADAPTIVE {
            self.handle_survived(now);
        }
        Some(now - self.beat_sent)
    }

    /// Acts on what is due; early and repeated calls change nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Pulse {
        let Some(due) = self.poll_timeout().filter(|due| *due <= now) else { return Pulse::Steady };
        match self.phase {
            Phase::Quiet => {
                if self.signals_until > 0 && self.signals_until <= seconds(now) {
                    self.signals_until = 0;
                    self.refresh();
                    if self.poll_timeout().is_none_or(|due| due > now) {
                        return Pulse::Steady;
                    }
                }
                self.beat();
                Pulse::Beat
            }
            Phase::Awaiting => {
                self.at = self.is_failure(now, due).then_some(now);
                self.phase = Phase::Off;
                Pulse::Dead
            }
            Phase::Off | Phase::Wanted => Pulse::Steady,
        }
    }

    /// As [`beat`](Self::beat), for who writes something else at this moment. An adaptive heartbeat learns from the silence that
    /// ends with that, however long it was: it would never try a longer one. No-op for the others, which learn nothing.
    pub fn beat_along(&mut self) {
        if self.phase == Phase::Quiet && self.policy == ADAPTIVE {
            self.want(Cause::Company);
        }
    }

    /// Asks for a heartbeat as soon as it can be written. No-op while one is wanted or awaited, or without a connection.
    pub fn beat(&mut self) {
        if self.phase == Phase::Quiet {
            self.want(Cause::Silence);
        }
    }

    /// After a wake-up that came late: nobody was there to see an answer, so the one awaited proves nothing. Asks for
    /// another heartbeat, which must be answered sooner.
    pub fn beat_late(&mut self) {
        if self.phase != Phase::Off {
            self.want(Cause::LateWake);
        }
    }

    fn want(&mut self, cause: Cause) {
        (self.phase, self.cause, self.silence) = (Phase::Wanted, cause, 0);
    }

    /// How long an answer may take, in microseconds; not as long after a late wake-up.
    fn time_to_answer(&self) -> u64 {
        let sooner = if self.cause == Cause::LateWake { millis(Self::LATE_ANSWER_TIMEOUT) } else { u32::MAX };
        u64::from(self.answer_timeout.min(sooner)).saturating_mul(1_000)
    }

    /// `true` while a heartbeat is to be written.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::Wanted)
    }

    /// `true` while an answer is awaited.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        matches!(self.phase, Phase::Awaiting)
    }

    /// How late a wake-up may come before it says more about this device than about the link: 5 s, or a tenth of the
    /// interval where that is more.
    #[must_use]
    pub fn late_after(&self) -> Duration {
        let interval = if self.policy == ADAPTIVE { self.interval } else { self.policy };
        let part = if interval == PASSIVE { 0 } else { interval / 10 };
        Self::LEAST_LATE.max(Duration::from_millis(part.into()))
    }

    /// `true` if the next deadline was [so long](Self::late_after) ago that the device must have been asleep.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|due| self.is_late(now, due))
    }

    /// The same of any deadline.
    pub(crate) fn is_late(&self, now: Instant, due: Instant) -> bool {
        now.micros_since(due) >= micros(self.late_after())
    }

    /// When something came last; when the connection came, if nothing did.
    #[must_use]
    pub const fn last_received(&self) -> Instant {
        self.last_received
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Quiet if self.policy == ADAPTIVE => self.next_adaptive(),
            Phase::Quiet if self.interval != PASSIVE => {
                deadline_in(self.last_sent.min(self.last_received), in_micros(self.interval))
            }
            Phase::Awaiting => self.at,
            _ => None,
        }
    }
}

fn in_micros(millis: u32) -> u64 {
    u64::from(millis).saturating_mul(1_000)
}

/// Whole seconds since the start of the clock, for what takes long.
fn seconds(now: Instant) -> u32 {
    u32::try_from(millionth(now.as_micros())).unwrap_or(u32::MAX)
}
