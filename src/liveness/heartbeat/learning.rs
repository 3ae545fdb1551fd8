//! What an adaptive heartbeat makes of the ends and the survivals of links.

use super::search::{Learned, Search, is_most_of};
use super::{ADAPTIVE, Cause, FLOOR, Heartbeat, Network, Phase, seconds};
use crate::liveness::NetworkRecord;
use crate::time::{Instant, micros, thousandth};
use core::time::Duration;

/// A connection later than this after a failure may well be because the network was gone.
const JUDGED_WITHIN: u64 = micros(Duration::from_secs(60));

impl Heartbeat {
    /// The device is in this network from now on. Adaptive intervals go on from `record`, or begin anew without one or with
    /// one of another network; a failure that is not judged yet is forgotten, and a link that is still up teaches nothing
    /// more. No-op if that is the network already and there is no record of it.
    pub fn set_network(&mut self, now: Instant, network: Network, record: Option<&NetworkRecord>) {
        let record = record.filter(|record| record.network() == network);
        if network != self.network {
            self.moved = true;
            self.handle_no_network();
        } else if record.is_none() {
            return;
        }
        let learned = record.map_or(Learned::NOTHING, |record| record.learned);
        (self.network, self.search, self.since) = (network, Search::new(learned), seconds(now));
        self.changed = false;
        self.refresh();
    }

    /// There is no network: a failure that is not judged yet is forgotten.
    pub fn handle_no_network(&mut self) {
        if self.phase == Phase::Off {
            self.at = None;
        }
    }

    /// What is known of the network, to be stored and handed to [`set_network`](Self::set_network) when the device is there
    /// again.
    #[must_use]
    pub const fn record(&self) -> NetworkRecord {
        NetworkRecord { network: self.network, learned: self.search.learned() }
    }

    /// `true` if [`take_learned`](Self::take_learned) has something to tell.
    #[must_use]
    pub const fn has_learned(&self) -> bool {
        self.changed
    }

    /// The [`record`](Self::record), if it changed since the last call. Never of [`Network::UNKNOWN`].
    pub fn take_learned(&mut self) -> Option<NetworkRecord> {
        let changed = core::mem::take(&mut self.changed) && self.network != Network::UNKNOWN;
        changed.then(|| self.record())
    }

    /// Whether an adaptive interval is found, and will be kept until a check finds a better one.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.search.learned().settled
    }

    /// The transport broke off, as by a reset, and not in good order: while an answer is awaited that may be a network
    /// that forgot the link and says so, and counts like no answer. Nothing is due until the next connection.
    pub fn handle_reset(&mut self, now: Instant) {
        if self.phase == Phase::Awaiting {
            // After a night nobody knows when it came.
            self.at = self.is_failure(now, self.at.unwrap_or(now)).then_some(now);
            self.phase = Phase::Off;
        }
    }

    /// `true` if the link that is over was lost to a silence longer than any that passed, as the search tries them. Two of
    /// these in a row at most: then it has settled.
    pub(crate) const fn was_tried(&self) -> bool {
        let Learned { settled, proven, .. } = self.search.learned();
        let is_failure = matches!(self.phase, Phase::Off) && self.at.is_some();
        is_failure && !settled && proven > 0 && self.silence > proven
    }

    /// The first byte since a heartbeat is wanted: here ends the silence that is tried. Bytes before the heartbeat count,
    /// because the network sees no difference.
    pub(super) fn observe(&mut self, now: Instant) {
        if self.policy == ADAPTIVE {
            let silence = thousandth(now.micros_since(self.last_sent.max(self.last_received)));
            let tenths = u32::try_from(silence).unwrap_or(u32::MAX) / 100;
            self.silence = self.silence.max(u16::try_from(tenths).unwrap_or(u16::MAX));
        }
    }

    /// The heartbeat was answered.
    pub(super) fn handle_survived(&mut self, now: Instant) {
        if self.cause == Cause::LateWake || self.moved {
            return;
        }
        self.learn(now, |search, silence| search.pass(silence));
        let hours = u16::try_from(seconds(now).saturating_sub(self.since) / 3_600).unwrap_or(u16::MAX);
        if hours > 0 {
            let since = self.since.saturating_add(u32::from(hours).saturating_mul(3_600));
            self.learn(now, |search, _| search.grow_older(hours));
            self.since = since;
        }
    }

    /// Whether the end of the link, seen at `now` and due at `due`, is the network's doing: nothing at all came, this device
    /// was awake all the time, and the silence was the one that was to be kept.
    pub(super) fn is_failure(&self, now: Instant, due: Instant) -> bool {
        let interval = u16::try_from(self.interval / 100).unwrap_or(u16::MAX);
        let taught = self.policy == ADAPTIVE && self.cause != Cause::LateWake && !self.heard && !self.moved;
        let kept = self.silence >= FLOOR && (self.cause == Cause::Company || is_most_of(self.silence, interval));
        taught && kept && !self.is_late(now, due)
    }

    /// The next connection is there: a failure counts if that was soon.
    pub(super) fn judge(&mut self, now: Instant) {
        let failed = if self.phase == Phase::Off { self.at } else { None };
        if failed.is_some_and(|failed| now.micros_since(failed) <= JUDGED_WITHIN) {
            self.learn(now, |search, silence| search.fail(silence));
        }
    }

    fn learn(&mut self, now: Instant, lesson: impl FnOnce(&mut Search, u16)) {
        if !self.is_settled() {
            self.since = seconds(now);
        }
        let known = self.search.learned();
        lesson(&mut self.search, self.silence);
        if self.search.learned() != known {
            self.changed = true;
            self.refresh();
        }
    }
}
