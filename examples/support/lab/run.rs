//! What both policies make of a network.

use super::device::{Device, Point};
use super::mars;
use crate::nat::Nat;
use longlink::Instant;
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Network};
use serde::Serialize;
use std::time::Duration;

/// So long each run is.
pub(crate) const TIME: Duration = Duration::from_secs(3 * 24 * 3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    Mars,
    Longlink,
}

/// The intervals of a run, one point a change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) trace: Vec<Point>,
    pub(crate) lost: u32,
}

impl Run {
    pub(crate) fn note(&mut self, point: Point) {
        let key = |point: &Point| (point.interval, point.settled);
        if self.trace.last().is_none_or(|last| key(last) != key(&point)) {
            self.trace.push(point);
        }
    }

    /// Both kinds of devices in the same network.
    pub(crate) fn of(policy: Policy, nat: Nat) -> Self {
        if policy == Policy::Mars {
            return mars::run(nat, TIME);
        }
        let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
        heartbeat.set_network(Instant::ZERO, Network::named(b"lab"), None);
        let mut device = Device::new(heartbeat, nat);
        device.run(TIME);
        Self { trace: device.trace, lost: device.lost }
    }

    /// The interval that was settled last, if one ever was.
    pub(crate) fn settled(&self) -> Option<Duration> {
        self.trace.iter().rev().find(|point| point.settled).map(|point| point.interval)
    }

    /// When an interval was settled first, and how many links had been lost by then; the end of the run if none was.
    pub(crate) fn found(&self) -> (Duration, u32) {
        let first = self.trace.iter().find(|point| point.settled);
        first.map_or((TIME, self.lost), |point| (point.at, point.lost))
    }
}
