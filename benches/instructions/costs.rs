//! What the work of a row costs, counted, as a line of the table.

use super::WORK;
use super::rows::Limit::{self, Instructions, OverCopy, TimesCopy};
use super::rows::Row;
use crate::work::figure::{Figure, Verdict};
use crate::work::valgrind::{self, Count};
use anyhow::{Context, Result};
use std::{fmt, thread};

/// What doing the work of a row once costs.
pub(crate) struct Costs<'r> {
    row: &'r Row,
    ours: f64,
    memcpy: Option<f64>,
    /// The best first.
    peers: Vec<(&'r str, f64)>,
}

impl<'r> Costs<'r> {
    /// Counts all contestants at the same time.
    pub(crate) fn count(index: usize, row: &'r Row) -> Result<Self> {
        let mut costs = thread::scope(|scope| {
            let contestants = 0..row.contestants().len();
            let threads: Vec<_> =
                contestants.map(|contestant| scope.spawn(move || cost(index, contestant, row.n))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("counting does not panic"))
                .collect::<Result<Vec<_>>>()
        })?
        .into_iter();
        let ours = costs.next().context("nothing was counted")?;
        let memcpy = row.memcpy.and_then(|_| costs.next());
        let mut peers: Vec<_> =
            row.peers.iter().map(|(name, _)| *name).zip(costs).chain(row.known.iter().copied()).collect();
        peers.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        Ok(Self { row, ours, memcpy, peers })
    }

    pub(crate) fn figure(&self) -> Figure {
        let Row { name, hold, guard, aim, least, .. } = *self.row;
        let [hold, aim, least] = [hold, aim, least].map(|limit| limit.map(|limit| self.allowed(limit)));
        let peers = self.peers.iter().map(|(name, cost)| (name.to_string(), *cost)).collect();
        Figure { name: name.into(), ours: self.ours, hold, guard, aim, least, peers, ..Figure::default() }
    }

    /// `limit` in instructions.
    fn allowed(&self, limit: Limit) -> f64 {
        let memcpy = self.memcpy.unwrap_or_default();
        match limit {
            Instructions(most) => most,
            OverCopy(more) => memcpy + more,
            TimesCopy(factor) => memcpy * factor,
        }
    }

    fn column(&self, limit: Limit) -> String {
        let allowed = self.allowed(limit);
        match limit {
            Instructions(_) => format!("{allowed:.0}"),
            OverCopy(more) => format!("{allowed:.0} (+{more})"),
            TimesCopy(factor) => format!("{allowed:.0} (x{factor})"),
        }
    }
}

impl fmt::Display for Costs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hold, aim] =
            [self.row.hold, self.row.aim].map(|limit| limit.map_or("-".into(), |limit| self.column(limit)));
        let memcpy = self.memcpy.map_or("-".into(), |cost| format!("{cost:.1}"));
        let peers: Vec<String> = self.peers.iter().map(|(name, cost)| format!("{name} {cost:.0}")).collect();
        let verdict = match self.figure().verdict() {
            Verdict::Failed => "  ABOVE ITS LIMIT",
            Verdict::Missed => "  does not hold yet",
            Verdict::Told | Verdict::Held | Verdict::Reached => "",
        };
        let (name, ours, peers) = (self.row.name, self.ours, peers.join(", "));
        write!(f, "{name:42} {ours:>8.1} {hold:>14} {aim:>14} {memcpy:>8}  {peers}{verdict}")
    }
}

/// The instructions of a contestant's work.
fn cost(row: usize, contestant: usize, n: usize) -> Result<f64> {
    let args = |n: usize| [WORK.into(), row.to_string(), contestant.to_string(), n.to_string()].into();
    valgrind::cost(Count::Instructions, n, args)
}
