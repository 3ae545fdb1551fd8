//! Which interval holds: of policy, network, foreground, the peer's limit and signals the shortest.

use super::{ADAPTIVE, Heartbeat, PASSIVE, Phase, in_micros, millis, seconds};
use crate::time::{Instant, deadline_in, earliest};
use core::time::Duration;

impl Heartbeat {
    /// The interval that holds now: of policy, network and foreground, and no longer than the peer's limit lets it be.
    /// `None` if no heartbeat goes out by itself.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        match self.interval {
            PASSIVE => None,
            interval => Some(Duration::from_millis(interval as u64)),
        }
    }

    /// The longest silence of this side in whole seconds, rounded up, as a greeting names it; 0 if it promises nothing.
    /// Of an adaptive one the longest that it may come to.
    #[must_use]
    pub fn longest_silence(&self) -> u16 {
        let interval = match self.policy {
            PASSIVE => return 0,
            ADAPTIVE => millis(Self::LONGEST),
            interval => interval,
        };
        u16::try_from(interval.div_ceil(1_000)).unwrap_or(u16::MAX)
    }

    /// The peer closes a link from which nothing came for `idle` seconds; 0 if it does not. Until the next connection the
    /// interval is three quarters of that at most, but no shorter than 15 s for it.
    pub fn handle_idle_limit(&mut self, idle: u16) {
        const LEAST: u16 = 20;
        self.idle = if idle == 0 { 0 } else { idle.max(LEAST) };
        self.refresh();
    }

    /// Whether somebody looks at the device. An adaptive interval is 30 s at most then, whatever was learned.
    pub fn set_foreground(&mut self, foreground: bool) {
        self.foreground = foreground;
        self.refresh();
    }

    /// For 20 s from now a heartbeat after every 5 s without one, whatever the policy: while something urgent is expected,
    /// this has the network keep its radio and its timers awake, as in Tencent Mars. Until a later call's end, if there is
    /// one. No-op without a connection.
    pub fn signal(&mut self, now: Instant) {
        if self.phase != Phase::Off {
            self.signals_until = seconds(now + Self::SIGNALS);
            self.refresh();
        }
    }

    /// The interval follows from all that limits it.
    pub(super) fn refresh(&mut self) {
        let own = match self.policy {
            PASSIVE => PASSIVE,
            ADAPTIVE => self.learned_interval().min(self.idle_limit()),
            interval => interval.min(self.idle_limit()),
        };
        let signals = if self.signals_until > 0 { millis(Self::SIGNAL) } else { PASSIVE };
        self.interval = own.min(signals);
    }

    /// When an adaptive heartbeat is due: by what came last, for what was only sent may have gone nowhere; and by what was
    /// sent last, which is all that the peer's idle clock sees.
    #[inline(never)]
    pub(super) fn next_adaptive(&self) -> Option<Instant> {
        let limit = self.idle_limit();
        let kept = if limit == PASSIVE { None } else { deadline_in(self.last_sent, in_micros(limit)) };
        earliest([deadline_in(self.last_received, in_micros(self.interval)), kept])
    }

    /// In milliseconds, before the peer's limit.
    fn learned_interval(&self) -> u32 {
        let most = if self.foreground { millis(Self::FOREGROUND) } else { u32::MAX };
        u32::from(self.search.learned().current).saturating_mul(100).min(most)
    }

    /// Three quarters of the peer's limit in milliseconds, [`PASSIVE`] if there is none.
    pub(super) fn idle_limit(&self) -> u32 {
        if self.idle == 0 { PASSIVE } else { u32::from(self.idle).saturating_mul(750) }
    }
}
