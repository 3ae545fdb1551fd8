//! The rules by which the adaptive heartbeat of Tencent Mars finds its interval, on Android, in the background.
//!
//! ```text
//!   210 s ──5 answers──▶ 270 s ── ... ──▶ 570 s ──▶ 580 s, stable
//!                          │ 2 failures
//!                          └──▶ 80 s less, 210 s at least, stable ──2 failures──▶ 210 s
//! ```
//!
//! The first heartbeat goes out at once when a link is there, and counts. The first three of a link are 210 s apart whatever
//! was learned, and answers to them do not count for the search.

use super::device::Point;
use super::run::Run;
use crate::nat::{Fate, Nat};
use longlink::Instant;
use std::time::Duration;

/// In seconds.
pub(crate) const SHORTEST: u64 = 210;
const LONGEST: u64 = 580;
const STEP: u64 = 60;
const STEP_BACK: u64 = 80;
const STEP_OF_CHECK: u64 = 20;
const CHECK: Duration = Duration::from_secs(7 * 24 * 3_600);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// So many answers on a link before the search goes on, at an interval before the next, failures before a decision.
const LINK_IS_STABLE: u32 = 3;
const ANSWERS: u32 = 5;
const FAILURES: u32 = 2;

struct Search {
    interval: u64,
    stable: bool,
    changed: Instant,
    /// On this link, at this interval.
    answered_on_link: u32,
    answered: u32,
    failed: u32,
    /// What was scheduled when the answer before came.
    scheduled: u64,
}

impl Search {
    /// The time from a heartbeat to the next, chosen when it is written.
    fn schedule(&self) -> u64 {
        if self.answered_on_link < LINK_IS_STABLE { SHORTEST } else { self.interval }
    }

    fn handle_answer(&mut self, now: Instant, scheduled: u64) {
        let before = std::mem::replace(&mut self.scheduled, scheduled);
        self.answered_on_link += 1;
        if self.answered_on_link <= LINK_IS_STABLE || scheduled != self.interval || before != self.interval {
            return;
        }
        if self.stable {
            if self.interval < LONGEST && now - self.changed >= CHECK {
                self.change(now, (self.interval + STEP_OF_CHECK).min(LONGEST), false);
            }
            return;
        }
        self.answered += 1;
        if self.answered >= ANSWERS {
            let stable = self.interval >= LONGEST;
            self.change(now, (self.interval + STEP).min(LONGEST), stable);
        }
    }

    /// Failures at the shortest interval change nothing: there is no way below.
    fn handle_failure(&mut self, now: Instant) {
        (self.answered_on_link, self.answered) = (0, 0);
        if self.interval == SHORTEST {
            return;
        }
        self.failed += 1;
        if self.failed >= FAILURES {
            let interval = if self.stable { SHORTEST } else { self.interval.saturating_sub(STEP_BACK).max(SHORTEST) };
            self.change(now, interval, !self.stable);
        }
    }

    fn change(&mut self, now: Instant, interval: u64, stable: bool) {
        (self.interval, self.stable, self.changed) = (interval, stable, now);
        (self.answered, self.failed) = (0, 0);
    }
}

/// A link after the other through `nat`, each begun when the last is found dead.
pub(crate) fn run(mut nat: Nat, time: Duration) -> Run {
    let start = Instant::ZERO;
    let mut search = Search {
        interval: SHORTEST,
        stable: false,
        changed: start,
        answered_on_link: 0,
        answered: 0,
        failed: 0,
        scheduled: SHORTEST,
    };
    let (mut now, mut run) = (start, Run::default());
    nat.connect(now);
    while now - start <= time {
        let scheduled = search.schedule();
        let fate = nat.packet(now);
        if fate == Fate::Passes {
            search.handle_answer(now, scheduled);
            run.note(point(now, &search, run.lost));
            now = now + Duration::from_secs(scheduled);
            continue;
        }
        if fate == Fate::Swallowed {
            now = now + ANSWER_TIMEOUT;
        }
        run.lost += 1;
        search.handle_failure(now);
        run.note(point(now, &search, run.lost));
        nat.connect(now);
    }
    run
}

fn point(now: Instant, search: &Search, lost: u32) -> Point {
    Point { at: now - Instant::ZERO, interval: Duration::from_secs(search.interval), settled: search.stable, lost }
}
