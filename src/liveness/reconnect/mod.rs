use super::Presence;
use crate::random::{SplitMix64, share};
use crate::time::{Instant, deadline_in, earliest, micros, millionth};
use core::time::Duration;

#[cfg(test)]
mod tests;

/// Why there is no link: [`Reconnect::handle_down`] waits accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// The peer ended it, or nothing could be reached. Many others may have met with the same in the same moment.
    Lost,
    /// A heartbeat was not answered. Every device finds that out at a moment of its own, so it may be back soon.
    Silent,
    /// Another network, a wake-up, an orderly move: another link is likely to hold. At once, if that was not too often.
    AtOnce,
    /// The server said when to come back: not before that, an hour at most, and up to half as long again but 5 s at least.
    /// Zero counts as [`Lost`](Self::Lost).
    Named(Duration),
    /// Another link of this device took over, so there may be two with one name: after 60 s, twice as long each time up to
    /// an hour, and up to half as long again.
    Replaced,
    /// The platform says that there is no network: in 8 to 16 min, in case that it is wrong. The latter is what Tencent Mars
    /// waits.
    Offline,
}

/// When to try for the next link.
///
/// ```text
///         hasten, at_once, force           handle_attempt           handle_online
///   Idle ───────────────────────▶ Waiting ────────────────▶ Trying ───────────────▶ Online
///    ▲                             ▲   ▲                      │                       │
///    │                             │   └──── handle_down ─────┘                       │
///    │                             └──────────────── handle_down ─────────────────────┘
///    └── handle_closed, from any
/// ```
///
/// A crowd that loses its server in one moment must not come back in one moment, and not again after each failure.
///
/// * A link that had lasted is tried for again somewhere within the [window](Presence::window), counted from the loss.
/// * After a failure the window is twice as long, and the wait in its second half, counted from the start of the last
///   attempt. So a crowd's next wave is wider than the last, and does not begin before that is over.
/// * A failure is a round of attempts without a link, and a link that ended within [30 s](Self::STABLE_AFTER) and before
///   anything was [settled](Self::handle_settled) on it. A link that lasted longer, or settled something, clears them.
/// * What calls for a link at once gets it three times in any minute, then the window.
/// * What [the server](Reason::Named) or [another device](Reason::Replaced) imposed holds against all but
///   [`force`](Self::force), and until a link is there.
///
/// All is drawn from the seed. Devices must have different ones, and those may follow one another.
///
/// ```
/// use core::time::Duration;
/// use longlink::{Instant, liveness::{Activity, Presence, Reason, Reconnect}};
///
/// let s = Instant::from_secs;
/// let presence = Presence::new(Activity::Foreground, s(0));
/// let mut reconnect = Reconnect::new(0x5EED);
/// reconnect.at_once(s(0), &presence); // the first link: nothing to wait for
/// assert_eq!(reconnect.poll_timeout(), Some(s(0)));
///
/// reconnect.handle_attempt(s(0));
/// reconnect.handle_online(s(1));
/// assert_eq!(reconnect.poll_timeout(), None);
///
/// reconnect.handle_down(s(50), Reason::Lost, &presence);
/// assert!(reconnect.poll_timeout().is_some_and(|at| s(50) < at && at <= s(55)));
/// ```
#[derive(Clone, Debug)]
pub struct Reconnect {
    random: SplitMix64,
    /// When the next round begins. Only while waiting.
    at: Option<Instant>,
    /// Waiting: what the wait counts from. Trying: the start of the last attempt. Online: since when.
    since: Instant,
    /// Nothing begins before.
    hold: Option<Instant>,
    /// The whole seconds, modulo 2³², at which the last immediate rounds were granted, the oldest first.
    granted: [u32; 3],
    /// How many of these have been.
    grants: u8,
    /// How often in a row the link was taken over.
    replaced: u8,
    failures: u16,
    /// Where in its window the wait of now is, of 2³². Drawn once a wait, so that asking often does not shorten it.
    fraction: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Waiting,
    Trying,
    Online,
    /// Online, and something was settled on this link.
    Settled,
}

/// The window after a silent death, in every state.
const SILENT_WINDOW_SECS: u64 = 5;
/// In microseconds, as all below: the least that named delays are spread over.
const LEAST_SPREAD: u64 = 5_000_000;
/// Without a network it is tried this late, and up to twice that.
const OFFLINE: u64 = 480_000_000;
/// So many times its last wait a link must last before it counts as the only one of its name. More than twice, because
/// the other device may have been taken over once more often, and half as much again for the spread.
const PEACE: u64 = 4;

/// How long to wait when the link was taken over after so many times before.
fn replaced_wait(times: u8) -> u64 {
    const FIRST: u64 = 60_000_000;
    const MOST: u64 = 3_600_000_000;
    (FIRST << times.min(6)).min(MOST)
}

impl Reconnect {
    /// How long a link must have lasted to clear the failures, if nothing was settled on it.
    pub const STABLE_AFTER: Duration = Duration::from_secs(30);
    /// The longest delay that a server can impose; a longer one counts as this.
    pub const MOST_NAMED: Duration = Duration::from_secs(3_600);

    /// No link is there and none is wanted. `seed` tells this device from all others: a random number, or the device's
    /// own number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            random: SplitMix64::new(seed),
            at: None,
            since: Instant::ZERO,
            hold: None,
            granted: [0; 3],
            grants: 0,
            replaced: 0,
            failures: 0,
            fraction: 0,
            phase: Phase::Idle,
        }
    }

    /// A round of attempts begins, or within one another attempt: nothing is due until it is over. No-op while a link is
    /// there.
    pub fn handle_attempt(&mut self, now: Instant) {
        if !self.is_online() {
            (self.phase, self.since, self.at) = (Phase::Trying, now, None);
        }
    }

    /// There is a link, and the peer has greeted: nothing imposed holds any more. No-op if there was one already.
    pub fn handle_online(&mut self, now: Instant) {
        if !self.is_online() {
            (self.phase, self.since, self.at, self.hold) = (Phase::Online, now, None, None);
        }
    }

    /// The peer settled something that was sent on this link: the link is good for something, and the failures are
    /// forgotten. No-op without a link.
    pub fn handle_settled(&mut self) {
        if self.is_online() {
            (self.phase, self.failures) = (Phase::Settled, 0);
        }
    }

    /// The link was lost, or the round is over without one: decides when the next begins.
    ///
    /// Called while it waits already, it loses nothing again: `Named` and `Replaced` are imposed on the wait, `AtOnce` and
    /// `Offline` change it, `Lost` and `Silent` are no-ops.
    pub fn handle_down(&mut self, now: Instant, reason: Reason, presence: &Presence) {
        let is_waiting = self.phase == Phase::Waiting;
        if !is_waiting {
            self.count(now);
            self.wait(now, presence);
        }
        match reason {
            Reason::Silent if !is_waiting && self.failures == 0 => self.wait_at_most(now, SILENT_WINDOW_SECS),
            Reason::Lost | Reason::Silent => {}
            Reason::AtOnce => self.at_once(now, presence),
            Reason::Named(Duration::ZERO) => {}
            Reason::Named(delay) => {
                let delay = micros(delay.min(Self::MOST_NAMED));
                self.impose(now, delay, (delay / 2).max(LEAST_SPREAD));
            }
            Reason::Replaced => {
                let delay = replaced_wait(self.replaced);
                self.replaced = self.replaced.saturating_add(1);
                self.impose(now, delay, delay / 2);
            }
            Reason::Offline => {
                let wait = OFFLINE.saturating_add(share(OFFLINE, self.fraction));
                self.at = self.unless_held(deadline_in(now, wait));
            }
        }
    }

    /// The link was closed on purpose, or the round given up: nothing is due until one is asked for. It counts like any
    /// other end, and what was imposed still holds, so that nothing is gained by closing and opening again.
    pub fn handle_closed(&mut self, now: Instant) {
        self.count(now);
        (self.phase, self.at) = (Phase::Idle, None);
    }

    /// There is a reason for being quicker: the activity changed, or something is to be sent. Waits as if it had begun to
    /// wait in the state of now, if that is sooner, but not past what was imposed; when closed, as
    /// [`at_once`](Self::at_once). No-op while a round is under way or a link is there. The same call again changes nothing.
    pub fn hasten(&mut self, now: Instant, presence: &Presence) {
        match self.phase {
            Phase::Idle => self.at_once(now, presence),
            Phase::Waiting => self.wait_at_most(now, presence.window_secs(now, self.failures())),
            Phase::Trying | Phase::Online | Phase::Settled => {}
        }
    }

    /// There is another network, the device woke up, somebody looks at last: the next round is due now. If that was so
    /// three times in the last minute, or something imposed holds, as [`hasten`](Self::hasten). No-op while a round is under
    /// way or a link is there: when those end for it, [`Reason::AtOnce`] says so.
    pub fn at_once(&mut self, now: Instant, presence: &Presence) {
        if self.phase == Phase::Idle {
            self.since = now;
            self.wait(now, presence);
        }
        let is_due = self.at.is_some_and(|at| at <= now);
        if self.phase != Phase::Waiting || is_due {
            return;
        }
        let is_held = self.hold.is_some_and(|hold| hold > now);
        // What holds is not waited for longer than it does, either.
        if !is_held && self.grant(now) {
            self.at = Some(now);
        } else {
            self.wait_at_most(now, presence.window_secs(now, self.failures()));
        }
    }

    /// The application insists, or there are other addresses to try: forgets what was imposed, then as
    /// [`at_once`](Self::at_once), and as often.
    pub fn force(&mut self, now: Instant, presence: &Presence) {
        self.hold = None;
        self.at_once(now, presence);
    }

    /// When the next round is to begin. A time that is not later than now means: at once, with
    /// [`handle_attempt`](Self::handle_attempt). `None` while a round is under way, a link is there or none is wanted, and
    /// where the clock ends.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.at
    }

    /// `true` if the link that is there has lasted, or settled something: what ends it now is no failure.
    #[must_use]
    pub fn is_stable(&self, now: Instant) -> bool {
        let has_lasted = now.micros_since(self.since) >= micros(Self::STABLE_AFTER);
        self.phase == Phase::Settled || (self.phase == Phase::Online && has_lasted)
    }

    /// How many failures in a row there were. Those before a link are cleared when it is over at the latest, if it lasted.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures as u32
    }

    const fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online | Phase::Settled)
    }

    /// What the link or the round that is over was good for.
    fn count(&mut self, now: Instant) {
        let lasted = now.micros_since(self.since);
        let is_online = self.is_online();
        if is_online && lasted >= micros(Self::STABLE_AFTER) {
            self.failures = 0;
        } else if matches!(self.phase, Phase::Trying | Phase::Online) {
            self.failures = self.failures.saturating_add(1);
        }
        let last_wait = replaced_wait(self.replaced.saturating_sub(1));
        if is_online && lasted >= last_wait.saturating_mul(PEACE) {
            self.replaced = 0;
        }
        if self.phase != Phase::Trying {
            self.since = now;
        }
    }

    /// Waits as the state demands.
    fn wait(&mut self, now: Instant, presence: &Presence) {
        (self.phase, self.at) = (Phase::Waiting, None);
        self.fraction = self.random.next_u32();
        self.wait_at_most(now, presence.window_secs(now, self.failures()));
    }

    /// Waits within so many seconds, unless less is left, or something holds.
    fn wait_at_most(&mut self, now: Instant, window_secs: u64) {
        let window = window_secs.saturating_mul(1_000_000);
        let wait = if self.failures == 0 {
            share(window, self.fraction)
        } else {
            (window / 2).saturating_add(share(window / 2, self.fraction))
        };
        let at = deadline_in(self.since, wait).map(|at| at.max(now));
        self.at = earliest([self.at, self.unless_held(at)]);
    }

    fn unless_held(&self, at: Option<Instant>) -> Option<Instant> {
        at.map(|at| self.hold.map_or(at, |hold| at.max(hold)))
    }

    /// Nothing begins within `delay`, and it begins within `spread` after that; not before what was imposed already.
    fn impose(&mut self, now: Instant, delay: u64, spread: u64) {
        let until = deadline_in(now, delay.saturating_add(share(spread, self.fraction)));
        // A delay that is named again and again does not keep the wait from growing with the failures.
        let least = if self.failures > 0 { self.at } else { None };
        self.hold = self.unless_held(until);
        self.at = self.hold.max(least);
    }

    /// Whether a round may begin at once: three times in any minute.
    fn grant(&mut self, now: Instant) -> bool {
        let second = u32::try_from(millionth(now.as_micros()) % (1 << 32)).unwrap_or_default();
        let [oldest, middle, newest] = self.granted;
        // A whole second more, because the fractions are not known.
        if self.grants >= 3 && second.wrapping_sub(oldest).cast_signed() <= 60 {
            return false;
        }
        self.granted = [middle, newest, second];
        self.grants = self.grants.saturating_add(1);
        true
    }
}
