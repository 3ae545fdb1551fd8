//! How long a network lets a link be silent.
//!
//! ```text
//!              ┌────────── passed: twice as long; through what failed before, by 8 % ───────┐
//!              ▼                                                                            │
//!   ┌──────▶ Search ──────────────────────────────────────────────────────────────────▶ (a beat)
//!   │          │ ▲                                                                          │
//!   │          │ │    failed once: from what is proven on by 8 %, into what failed as well ◀┤
//!   │          │ └── failed, and nothing is proven: half as long ◀──────────────────────────┤
//!   │          ▼                                                                            │
//!   │       Settled ◀── 580 s passed, or the climb failed twice without passing what failed ┘
//!   │          │  └── a day later, then every week: 8 % more than proven; one failure settles again
//!   └──────────┘ failed twice in a row: nothing is proven any more, and a wider margin the next time
//! ```
//!
//! One failure alone never ends the search: a heartbeat may be lost for other reasons. That is why the climb goes through
//! the silence that failed, and forgets the failure when that silence passes.

/// Silences in tenths of a second: where the search begins, its ends, and the settled margin in percent.
pub(in crate::liveness) const START: u16 = 300;
pub(in crate::liveness) const FLOOR: u16 = 100;
pub(in crate::liveness) const CAP: u16 = 5_800;
pub(in crate::liveness) const MOST_MARGIN: u8 = 32;
const MARGIN: u8 = 2;
/// A network that lets the settled interval down has a limit that varies.
const MORE_MARGIN: u8 = 10;
/// Of what is proven, in percent: the next silence in a climb.
const STEP: u32 = 108;
/// So many failures in a row at the settled interval, and at an interval much shorter than what was learned.
const STRIKES: u8 = 2;
const DOUBTS: u8 = 3;
/// A settled interval that was kept so many times was no luck: what ends it is a change, or two losses by accident.
const HELD: u8 = 200;
/// Hours from settling to a check, the first time and later on.
const FIRST_CHECK: u16 = 24;
const CHECK: u16 = 7 * 24;

/// What is known of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(in crate::liveness) struct Learned {
    pub(in crate::liveness) settled: bool,
    /// Was settled for a day and then checked.
    pub(in crate::liveness) checked: bool,
    /// Failures in a row: of the climb, or of the settled interval.
    pub(in crate::liveness) strikes: u8,
    /// By how many percent a settled interval is below what is proven.
    pub(in crate::liveness) margin: u8,
    /// The longest silence that passed, and the one that failed last, 0 for none.
    pub(in crate::liveness) proven: u16,
    pub(in crate::liveness) suspect: u16,
    /// The interval in use.
    pub(in crate::liveness) current: u16,
    /// Hours since it settled.
    pub(in crate::liveness) age: u16,
}

impl Learned {
    pub(in crate::liveness) const NOTHING: Self = Self {
        settled: false,
        checked: false,
        strikes: 0,
        margin: MARGIN,
        proven: 0,
        suspect: 0,
        current: START,
        age: 0,
    };
}

/// The search in one network, from one tried silence to the next.
#[derive(Clone, Debug)]
pub(super) struct Search {
    learned: Learned,
    /// Failures in a row at silences much shorter than what was learned, as the foreground or a server's limit has them.
    doubts: u8,
    /// How often the settled interval was kept.
    held: u8,
}

impl Search {
    pub(super) const fn new(learned: Learned) -> Self {
        Self { learned, doubts: 0, held: 0 }
    }

    pub(super) const fn learned(&self) -> Learned {
        self.learned
    }

    /// A link survived `silence`. No link need be silent for less than the floor, so less teaches nothing.
    pub(super) fn pass(&mut self, silence: u16) {
        let silence = silence.min(CAP);
        if silence < FLOOR {
            return;
        }
        self.doubts = 0;
        self.learned.proven = self.learned.proven.max(silence);
        if !self.learned.settled {
            self.climb(silence);
        } else if self.is_full(silence) {
            self.learned.strikes = 0;
            self.held = self.held.saturating_add(1);
        }
    }

    fn climb(&mut self, silence: u16) {
        let learned = &mut self.learned;
        if silence >= learned.suspect {
            if learned.checked && learned.strikes > 0 {
                learned.margin = MARGIN;
            }
            (learned.suspect, learned.strikes) = (0, 0);
        }
        // A little less than what was to be tried, because something else was written meanwhile, will do.
        if silence < learned.current.saturating_sub(learned.current / 32) {
            return;
        }
        let doubled = learned.proven.saturating_mul(2);
        if learned.proven >= CAP {
            self.settle();
        } else if learned.suspect == 0 || doubled < learned.suspect {
            learned.current = doubled.clamp(FLOOR, CAP);
        } else {
            learned.current = stepped(learned.proven);
        }
    }

    /// No link survived `silence`, which it had to keep.
    pub(super) fn fail(&mut self, silence: u16) {
        let silence = silence.min(CAP);
        let Learned { settled, proven, .. } = self.learned;
        if !settled && silence > proven {
            self.miss(silence);
        } else if settled && self.is_full(silence) {
            self.strike(silence);
        } else {
            self.doubts = self.doubts.saturating_add(1);
            if self.doubts >= DOUBTS {
                self.fall_back(silence);
            }
        }
    }

    /// The settled interval failed.
    fn strike(&mut self, silence: u16) {
        let learned = &mut self.learned;
        learned.strikes = learned.strikes.saturating_add(1);
        if learned.strikes >= STRIKES {
            if self.held < HELD {
                learned.margin = learned.margin.saturating_add(MORE_MARGIN).min(MOST_MARGIN);
            }
            self.fall_back(silence);
        }
    }

    /// A silence that was not proven yet failed.
    fn miss(&mut self, silence: u16) {
        let learned = &mut self.learned;
        learned.suspect = silence;
        learned.strikes = learned.strikes.saturating_add(1);
        if learned.proven == 0 {
            (learned.strikes, learned.current) = (1, (silence / 2).max(FLOOR));
        } else if learned.strikes < STRIKES {
            learned.current = stepped(learned.proven);
        } else {
            self.settle();
        }
    }

    /// What failed was proven, so the network is another now, or its limit varies.
    fn fall_back(&mut self, silence: u16) {
        let current = START.min(silence / 2).max(FLOOR);
        self.learned = Learned { suspect: silence, current, margin: self.learned.margin, ..Learned::NOTHING };
        (self.doubts, self.held) = (0, 0);
    }

    fn settle(&mut self) {
        let learned = &mut self.learned;
        let margin = if learned.proven >= CAP && learned.margin <= MARGIN { 0 } else { learned.margin };
        learned.current = percent(learned.proven, 100_u32.saturating_sub(margin.into()));
        (learned.settled, learned.strikes, learned.suspect, learned.age) = (true, 0, 0, 0);
        self.held = 0;
    }

    /// So many hours went by since it settled or since the last call. One run of luck is thin evidence, so the first check
    /// comes soon.
    pub(super) fn grow_older(&mut self, hours: u16) {
        let learned = &mut self.learned;
        learned.age = learned.age.saturating_add(hours);
        let due = if learned.checked { CHECK } else { FIRST_CHECK };
        if learned.settled && learned.current < CAP && learned.age >= due {
            learned.current = stepped(learned.proven);
            (learned.settled, learned.checked, learned.strikes, learned.suspect) = (false, true, 1, learned.current);
        }
    }

    /// Whether `silence` is about as long as what was learned.
    const fn is_full(&self, silence: u16) -> bool {
        is_most_of(silence, self.learned.current)
    }
}

/// Three quarters or more.
pub(super) const fn is_most_of(silence: u16, interval: u16) -> bool {
    (silence as u32).saturating_mul(4) >= (interval as u32).saturating_mul(3)
}

fn stepped(proven: u16) -> u16 {
    percent(proven, STEP)
}

/// Within the ends of the search.
fn percent(silence: u16, percent: u32) -> u16 {
    let part = u32::from(silence).saturating_mul(percent) / 100;
    u16::try_from(part).unwrap_or(CAP).clamp(FLOOR, CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries what the search asks for in a network of this lifetime until it settles: (interval, failures).
    fn settled(search: &mut Search, lifetime: u16) -> (u16, u32) {
        let mut failures = 0;
        for _ in 0..200 {
            let Learned { current, settled, .. } = search.learned();
            if settled {
                return (current, failures);
            }
            if current < lifetime {
                search.pass(current);
            } else {
                search.fail(current);
                failures = failures.saturating_add(1);
            }
        }
        panic!("not settled in a network of {lifetime}");
    }

    #[test]
    fn the_search_settles_closely_below_the_lifetime_of_any_network() {
        for lifetime in (150..12_000).step_by(if cfg!(miri) { 1_111 } else { 7 }) {
            let (interval, failures) = settled(&mut Search::new(Learned::NOTHING), lifetime);
            let best = lifetime.min(CAP + 1);
            assert!(interval < best && u32::from(interval) * 100 >= u32::from(best) * 89, "{interval} of {lifetime}");
            assert!(failures <= 4, "{failures} at {lifetime}");
        }
    }

    #[test]
    fn a_single_failure_at_the_settled_interval_changes_nothing_and_the_second_in_a_row_falls_back() {
        let mut search = Search::new(Learned::NOTHING);
        let (interval, _) = settled(&mut search, 3_000);
        let known = search.learned();
        search.fail(interval);
        search.pass(interval);
        assert_eq!(search.learned(), known);
        search.fail(interval);
        search.fail(interval);
        let now = search.learned();
        assert_eq!((now.settled, now.proven, now.current, now.margin), (false, 0, START, 12));
    }

    #[test]
    fn failures_at_short_silences_count_only_three_in_a_row() {
        let mut search = Search::new(Learned::NOTHING);
        settled(&mut search, 3_000);
        for _ in 0..10 {
            search.fail(300);
            search.fail(300);
            search.pass(300);
        }
        assert!(search.learned().settled);
        (0..3).for_each(|_| search.fail(300));
        assert_eq!(search.learned().current, 150);
    }

    #[test]
    fn a_check_costs_one_failure_or_finds_the_better_network() {
        let mut search = Search::new(Learned::NOTHING);
        let (interval, _) = settled(&mut search, 1_000);
        search.grow_older(23);
        assert!(search.learned().settled);
        search.grow_older(1);
        assert_eq!(settled(&mut search, 1_000), (interval, 1));
        search.grow_older(CHECK - 1);
        assert!(search.learned().settled, "checked once, so the next is in a week");
        search.grow_older(1);
        assert_eq!(settled(&mut search, 9_000), (CAP, 0));
        search.grow_older(u16::MAX);
        assert!(search.learned().settled, "there is nothing above");
    }
}
