//! When to connect again.

use super::random::random;
use longlink::session::{Disconnect, GoAwayCode, HelloStatus};
use std::time::Duration;

/// What the end of a link means for the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Greet in another way, now.
    AtOnce,
    /// Not before so long.
    After(Duration),
    /// It will not help.
    Never,
}

/// The waits between attempts, at random up to 50 ms, then up to twice as long each time, up to 5 s: clients that lost
/// their server together do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    at_once: u32,
}

impl Backoff {
    const BASE: Duration = Duration::from_millis(50);
    const CAP: Duration = Duration::from_secs(5);
    /// So many attempts in a row need no wait.
    const AT_ONCE: u32 = 3;

    /// Something got through: the next loss is the first one.
    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// How long to wait; `None` to give up.
    pub(crate) fn wait(&mut self, next: Next) -> Option<Duration> {
        let least = match next {
            Next::Never => return None,
            Next::AtOnce if self.at_once < Self::AT_ONCE => {
                self.at_once = self.at_once.saturating_add(1);
                return Some(Duration::ZERO);
            }
            Next::AtOnce => Duration::ZERO,
            Next::After(least) => least,
        };
        let most = Self::BASE.saturating_mul(1 << self.failures.min(10)).min(Self::CAP);
        self.failures = self.failures.saturating_add(1);
        Some(least.saturating_add(jitter(most.max(least))))
    }
}

impl Next {
    pub(crate) fn after(why: Disconnect) -> Self {
        match why {
            Disconnect::EpochChanged => Self::AtOnce,
            Disconnect::Rejected(refusal) => match refusal.status() {
                HelloStatus::EpochTooOld | HelloStatus::LinkTooOld => Self::AtOnce,
                HelloStatus::Busy | HelloStatus::Moved => Self::After(refusal.retry_after()),
                _ => Self::Never,
            },
            Disconnect::GoAway(goaway) => match goaway.code() {
                GoAwayCode::Blocked | GoAwayCode::TokenExpired => Self::Never,
                // Somebody else is this device: that both come back at once helps neither.
                GoAwayCode::Replaced => Self::After(goaway.retry_after().max(Duration::from_secs(60))),
                _ => Self::After(goaway.retry_after()),
            },
            _ => Self::After(Duration::ZERO),
        }
    }
}

/// Up to `most`.
fn jitter(most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_micros(random().checked_rem(micros).unwrap_or_default())
}
