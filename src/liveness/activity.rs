use crate::time::{Instant, micros};
use core::time::Duration;

/// Whether a person is looking, as the platform says. A device without a screen is in the background unless somebody
/// waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activity {
    /// Somebody is looking.
    Foreground,
    /// Nobody is.
    Background,
}

/// How long the application has been in the foreground or in the background, and what follows from that.
///
/// ```text
///   Foreground, the window for a reconnect:  5 s ──1 min──▶ 10 s ──10 min──▶ 20 s
///      ▲ │ set
///      │ ▼
///   Background:  60 s
/// ```
///
/// ```
/// use core::time::Duration;
/// use longlink::{Instant, liveness::{Activity, Presence}};
///
/// let s = Instant::from_secs;
/// let mut presence = Presence::new(Activity::Foreground, s(0));
/// assert_eq!(presence.window(s(59), 0), Duration::from_secs(5));
/// assert_eq!(presence.window(s(60), 0), Duration::from_secs(10));
/// presence.set(s(100), Activity::Background);
/// assert_eq!(presence.window(s(100), 0), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Presence {
    activity: Activity,
    since: Instant,
}

const MINUTE: u64 = 60_000_000;

impl Presence {
    /// `activity` since `now`.
    #[must_use]
    pub const fn new(activity: Activity, now: Instant) -> Self {
        Self { activity, since: now }
    }

    /// The platform says `activity`: `true` if that is a change. What it was already goes on, and its time too.
    pub fn set(&mut self, now: Instant, activity: Activity) -> bool {
        let is_change = self.activity != activity;
        if is_change {
            *self = Self::new(activity, now);
        }
        is_change
    }

    /// What the platform said last.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        self.activity
    }

    /// Since when it has been so.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The longest that a reconnect waits after so many failures in a row. Without one: 5 s in the first minute of the
    /// foreground, 10 s in the first ten, then 20 s, and 60 s in the background. Every failure doubles it, up to 60 s,
    /// twice 120 s, and 600 s. The limits between the states are those of Tencent Mars, and so is the highest window.
    #[must_use]
    pub fn window(&self, now: Instant, failures: u32) -> Duration {
        Duration::from_secs(self.window_secs(now, failures))
    }

    /// As [`window`](Self::window), in whole seconds.
    pub(super) fn window_secs(&self, now: Instant, failures: u32) -> u64 {
        let (first, most): (u64, u64) = match (self.activity, now.micros_since(self.since)) {
            (Activity::Background, _) => (60, 600),
            (Activity::Foreground, ..MINUTE) => (5, 60),
            (Activity::Foreground, MINUTE..TEN_MINUTES) => (10, 120),
            (Activity::Foreground, TEN_MINUTES..) => (20, 120),
        };
        // At the fourth doubling each is at its most.
        (first << failures.min(4)).min(most)
    }

    /// How often to ask for news some other way while no link can be had: every 90 s in the foreground, every 4 min in the
    /// first ten of the background, then every 10 min, and a third as often without a network. These are the numbers of
    /// Tencent Mars, but that its second one is for a user who is not logged in.
    #[must_use]
    pub fn poll_interval(&self, now: Instant, has_network: bool) -> Duration {
        let secs: u64 = match (self.activity, now.micros_since(self.since)) {
            (Activity::Foreground, _) => 90,
            (Activity::Background, ..TEN_MINUTES) => 240,
            (Activity::Background, TEN_MINUTES..) => 600,
        };
        Duration::from_secs(if has_network { secs } else { secs.saturating_mul(3) })
    }
}

const TEN_MINUTES: u64 = micros(Duration::from_secs(600));

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Instant = Instant::from_secs;

    fn windows(presence: &Presence, now: Instant) -> [u64; 7] {
        [0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| presence.window(now, failures).as_secs())
    }

    #[test]
    fn the_window_depends_on_the_state_and_doubles_up_to_a_limit() {
        let presence = Presence::new(Activity::Foreground, S(100));
        assert_eq!(windows(&presence, S(0)), [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(windows(&presence, S(159)), [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(windows(&presence, S(160)), [10, 20, 40, 80, 120, 120, 120]);
        assert_eq!(windows(&presence, S(700)), [20, 40, 80, 120, 120, 120, 120]);
        let presence = Presence::new(Activity::Background, S(100));
        assert_eq!(windows(&presence, Instant::MAX), [60, 120, 240, 480, 600, 600, 600]);
    }

    #[test]
    fn only_a_change_starts_the_time_again() {
        let mut presence = Presence::new(Activity::Foreground, S(0));
        assert!(!presence.set(S(50), Activity::Foreground));
        assert_eq!(presence.since(), S(0));
        assert!(presence.set(S(60), Activity::Background));
        assert_eq!((presence.activity(), presence.since()), (Activity::Background, S(60)));
    }

    #[test]
    fn polls_come_seldom_in_the_background_and_more_so_without_a_network() {
        let of =
            |activity, now, has_network| Presence::new(activity, S(0)).poll_interval(S(now), has_network).as_secs();
        assert_eq!([of(Activity::Foreground, 9_999, true), of(Activity::Foreground, 0, false)], [90, 270]);
        assert_eq!([of(Activity::Background, 599, true), of(Activity::Background, 599, false)], [240, 720]);
        assert_eq!([of(Activity::Background, 600, true), of(Activity::Background, 600, false)], [600, 1_800]);
    }
}
