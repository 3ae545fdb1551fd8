use super::ban::Standing;
use super::{Address, Candidate};
use crate::liveness::Network;
use crate::time::Instant;
use core::mem;

/// What decides who is next: the lowest. The parts in their order of weight, from the preferred one, which has the first
/// part `false`, and who is not banned, `None`, on.
pub(super) type Rank = (bool, Option<Instant>, [u8; 5]);

/// So long before and after a failure it is looked for that the network works.
const EVIDENCE: u64 = 30_000_000;

impl Candidate {
    /// A place of the table that is not in use.
    pub const FREE: Self = Self::new(Address::new(0, 0), Network::UNKNOWN);

    /// Nothing is known of `address`.
    pub(super) const fn new(address: Address, network: Network) -> Self {
        Self {
            address,
            place: 0,
            is_tried: false,
            here: Standing::new(network),
            elsewhere: Standing::new(Network::UNKNOWN),
            pending: None,
            heard: None,
        }
    }

    /// The device is in another network.
    pub(super) fn enter(&mut self, network: Network) {
        (self.pending, self.heard) = (None, None);
        let next = if self.elsewhere.is_of(network) { self.elsewhere } else { Standing::new(network) };
        let before = mem::replace(&mut self.here, next);
        if before.is_named() {
            self.elsewhere = before;
        }
    }

    /// Where it stands at `now`. `family` is that of the address started last, `is_v6`.
    pub(super) fn rank(&self, now: Instant, preferred: Option<Address>, family: Option<bool>) -> Rank {
        let Address { port, is_fallback, is_v6, .. } = self.address;
        let is_preferred = preferred.is_some_and(|preferred| preferred.is(self.address));
        let worse_port =
            Address::PORTS.iter().take_while(|known| **known != port).fold(0_u8, |n, _| n.saturating_add(1));
        let wrong_family = is_v6 == family.unwrap_or(false);
        let flags = [is_fallback, self.here.has_failed(), wrong_family].map(u8::from);
        let [is_fallback, has_failed, wrong_family] = flags;
        let rest = [is_fallback, has_failed, worse_port, wrong_family, self.place];
        (!is_preferred, self.here.banned_until(now), rest)
    }

    /// It works, or says no: whatever was not judged yet is out of date.
    pub(super) fn answer(&mut self, now: Instant, is_failure: Option<bool>) {
        if let Some(is_failure) = is_failure {
            self.here.record(now, is_failure);
        }
        (self.pending, self.heard) = (None, Some(now));
    }

    /// It does not answer. That counts at once if the network is known to work; otherwise it waits.
    pub(super) fn fail(&mut self, now: Instant, network_works: bool) {
        self.pending = Some(now);
        if network_works {
            self.confirm(now);
        }
    }

    /// The network works: a failure that waits for that counts, if it was not too long ago.
    pub(super) fn confirm(&mut self, now: Instant) {
        if let Some(at) = self.pending.take().filter(|at| is_close(now, *at)) {
            self.here.record(at, true);
        }
    }

    /// `true` if this one shows that the network works about now.
    pub(super) fn is_evidence(&self, now: Instant) -> bool {
        self.heard.is_some_and(|at| is_close(now, at))
    }
}

fn is_close(now: Instant, at: Instant) -> bool {
    now.micros_since(at) <= EVIDENCE
}
