//! One measured figure, beside what it is to hold and what others take: a row of a bench's table, and of the report of all.

use serde::{Deserialize, Serialize};

/// What was measured, in the unit that its name says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) ours: f64,
    /// What is to be held.
    pub(crate) hold: Option<f64>,
    /// A figure that does not hold yet fails above this, so that it gets no worse.
    pub(crate) guard: Option<f64>,
    /// Where more effort stops being worth it.
    pub(crate) aim: Option<f64>,
    /// What hand-written code takes at least for the same work, if it checks nothing but lengths.
    pub(crate) least: Option<f64>,
    /// More is better.
    pub(crate) upwards: bool,
    /// It depends on the machine, and is no reason to fail.
    pub(crate) varies: bool,
    pub(crate) peers: Vec<(String, f64)>,
}

/// How a figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is nothing to hold.
    Told,
    Held,
    /// As good as it is to become.
    Reached,
    /// Does not hold, and is no worse than it was.
    Missed,
    Failed,
}

impl Figure {
    pub(crate) fn verdict(&self) -> Verdict {
        let [aim, hold, guard] =
            [self.aim, self.hold, self.guard].map(|limit| limit.map(|limit| self.is_within(limit)));
        match (aim, hold, guard) {
            (_, None, None | Some(true)) => Verdict::Told,
            (Some(true), Some(true), _) => Verdict::Reached,
            (_, Some(true), _) => Verdict::Held,
            (_, Some(false), Some(true)) => Verdict::Missed,
            (_, Some(false), None) if self.varies => Verdict::Missed,
            (_, _, None | Some(false)) => Verdict::Failed,
        }
    }

    fn is_within(&self, limit: f64) -> bool {
        if self.upwards { self.ours >= limit } else { self.ours <= limit }
    }

    /// The peer that does best.
    pub(crate) fn best_peer(&self) -> Option<&(String, f64)> {
        let best = |one: &&(String, f64), other: &&(String, f64)| one.1.total_cmp(&other.1);
        if self.upwards { self.peers.iter().max_by(best) } else { self.peers.iter().min_by(best) }
    }
}
