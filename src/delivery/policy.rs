use super::rto::Millis;
use super::slot::Class;
use crate::time::{Instant, deadline};
use core::time::Duration;

/// How long, and how often, a message is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MessagePolicy {
    /// How often it is written at most while a live link does not answer it. Links that break are not counted, but for a
    /// message in whose company they break again and again. 5 by default; 0 counts as 1.
    pub attempts: u8,
    /// When it fails, whether there is a link or not. 7 days by default.
    pub lifetime: Duration,
    /// How long the first attempt waits for its answer, to the millisecond; every further one waits twice as long as the one
    /// before, up to a minute. `None`, the default, waits as the link has shown to need: between 5 s and a minute, and 12 s
    /// before it has shown anything.
    pub timeout: Option<Duration>,
}

impl MessagePolicy {
    /// The defaults, for `..MessagePolicy::DEFAULT`.
    pub const DEFAULT: Self = Self { attempts: 5, lifetime: Duration::from_secs(7 * 24 * 3_600), timeout: None };

    pub(super) fn class(&self, now: Instant, sealed: bool) -> Class {
        Class::Message {
            attempts: self.attempts.max(1),
            sealed,
            timeout: self.timeout.map_or(Millis::ZERO, Millis::new),
            expires: deadline(now, self.lifetime),
        }
    }
}

impl Default for MessagePolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a request waits for its reply, and what becomes of it when its link goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestPolicy {
    /// How long a reply may take from the last byte of its request, besides the time that bytes before it need. 30 s by
    /// default.
    pub timeout: Duration,
    /// Ask again on the next link, under a new sequence, instead of failing with this one, for as long as it takes to have
    /// one. `false` by default. Either way a request must do no harm if it arrives twice.
    pub asks_again: bool,
}

impl RequestPolicy {
    /// The defaults, for `..RequestPolicy::DEFAULT`.
    pub const DEFAULT: Self = Self { timeout: Duration::from_secs(30), asks_again: false };

    pub(super) fn class(&self) -> Class {
        Class::Request { asks_again: self.asks_again, timeout: Millis::new(self.timeout) }
    }
}

impl Default for RequestPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
