use crate::liveness::Network;
use crate::time::{Instant, after};

/// The same result again within 10 s counts once. This and the numbers of a ban are those of Tencent Mars.
const AGAIN: u64 = 10_000_000;
/// So many failures among the last 8 results are a ban, and so many in a row do not make it longer.
const FAILURES: u8 = 3;
/// A ban takes 6 min, as much more for each further failure in a row, and 30 min at most.
const BAN: u64 = 6 * 60_000_000;
const LONGEST_BAN: u64 = 30 * 60_000_000;

/// What is known against an address in one network.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Standing {
    network: Network,
    /// The last 8 results, the newest in the lowest bit; 1 is a failure.
    history: u8,
    /// Failures since the last success.
    consecutive: u8,
    /// When the newest result was.
    last: Instant,
}

impl Standing {
    /// Nothing.
    pub(super) const fn new(network: Network) -> Self {
        Self { network, history: 0, consecutive: 0, last: Instant::ZERO }
    }

    /// `true` if this was learned in `network`. What was learned in an unknown one is of no use anywhere else.
    pub(super) fn is_of(&self, network: Network) -> bool {
        self.is_named() && self.network == network
    }

    /// `true` if there is a way to know the network again.
    pub(super) fn is_named(&self) -> bool {
        self.network != Network::UNKNOWN
    }

    /// `true` if the newest result is a failure.
    pub(super) const fn has_failed(&self) -> bool {
        self.consecutive > 0
    }

    /// Takes a result. One that was before the newest must not come any more.
    pub(super) const fn record(&mut self, at: Instant, is_failure: bool) {
        if self.has_failed() == is_failure && at.micros_since(self.last) < AGAIN {
            return;
        }
        self.history = (self.history << 1) | is_failure as u8;
        self.consecutive = if is_failure { self.consecutive.saturating_add(1) } else { 0 };
        self.last = at;
    }

    /// When the ban that holds at `now` ends. A success has ended it.
    pub(super) fn banned_until(&self, now: Instant) -> Option<Instant> {
        if !self.has_failed() || self.history.count_ones() < u32::from(FAILURES) {
            return None;
        }
        let further = self.consecutive.saturating_sub(FAILURES);
        let length = BAN.saturating_mul(u64::from(further).saturating_add(1)).min(LONGEST_BAN);
        Some(after(self.last, length)).filter(|until| *until > now)
    }
}
