//! A network that forgets a link which is silent for too long, and says so to nobody.

use longlink::Instant;
use std::time::Duration;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes,
    /// Nobody hears of it.
    Swallowed,
    /// The sender is told that there is no such link.
    Reset,
}

/// A network address translator with one link through it.
#[derive(Clone, Debug)]
pub struct Nat {
    /// A silence of so long, or longer, has the link forgotten.
    pub lifetime: Duration,
    /// Each silence has a lifetime of its own, by so many percent shorter or longer.
    pub jitter_percent: u64,
    /// Tells a sender that its link is forgotten.
    pub resets: bool,
    /// One packet in so many is lost for other reasons, none if 0.
    pub loss: u64,
    random: u64,
    /// The last packet in either direction, `None` once the link is forgotten.
    last: Option<Instant>,
}

impl Nat {
    pub fn new(lifetime: Duration, seed: u64) -> Self {
        Self { lifetime, jitter_percent: 0, resets: false, loss: 0, random: seed, last: None }
    }

    /// A new link.
    pub fn connect(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// A packet of the link, in either direction.
    pub fn packet(&mut self, now: Instant) -> Fate {
        let lifetime = self.next_lifetime();
        self.last = self.last.filter(|last| now - *last < lifetime);
        if self.last.is_none() {
            return if self.resets { Fate::Reset } else { Fate::Swallowed };
        }
        self.last = Some(now);
        let lost = self.loss > 0 && self.next() < u64::MAX / self.loss;
        if lost { Fate::Swallowed } else { Fate::Passes }
    }

    fn next_lifetime(&mut self) -> Duration {
        if self.jitter_percent == 0 {
            return self.lifetime;
        }
        let per_mille = self.jitter_percent * 10;
        let factor = 1_000 - per_mille + self.next() % (2 * per_mille + 1);
        self.lifetime.mul_f64(factor as f64 / 1_000.0)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
