use super::super::limits::{ATTEMPT_TIMEOUT, ATTEMPTS};
use crate::liveness::Address;
use crate::time::{Instant, deadline, earliest};

/// One try to reach an address: connect, and have a [`Probe`](crate::liveness::Probe) ask whether somebody is there.
///
/// It is told as [`Event::Connect`](super::super::Event::Connect), and ends by
/// [`handle_alive`](super::super::Client::handle_alive) or
/// [`handle_refused`](super::super::Client::handle_refused), or by [`Event::Abandon`](super::super::Event::Abandon).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Attempt {
    number: u32,
    address: Address,
    is_check: bool,
}

impl Attempt {
    /// Tells this attempt from all others of its client.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Where to.
    #[must_use]
    pub const fn address(self) -> Address {
        self.address
    }

    /// `true` if it only finds out whether a better address works while a link over another is up. Its connection is
    /// not used.
    #[must_use]
    pub const fn is_check(self) -> bool {
        self.is_check
    }
}

/// A place for an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trial {
    Free,
    /// To be told.
    New {
        attempt: Attempt,
        since: Instant,
    },
    Out {
        attempt: Attempt,
        since: Instant,
    },
    /// Its end is to be told.
    Over {
        attempt: Attempt,
    },
}

/// The attempts that are out, three at most.
#[derive(Debug)]
pub(super) struct Trials {
    places: [Trial; ATTEMPTS],
    number: u32,
    /// Some begin or end may have to be told.
    waits: bool,
}

impl Trials {
    pub(super) const NONE: Self = Self { places: [Trial::Free; ATTEMPTS], number: 0, waits: false };

    /// Takes a place, if there is one.
    pub(super) fn start(&mut self, now: Instant, address: Address, is_check: bool) {
        let number = self.number.wrapping_add(1);
        if let Some(place) = self.places.iter_mut().find(|place| matches!(place, Trial::Free)) {
            *place = Trial::New { attempt: Attempt { number, address, is_check }, since: now };
            (self.number, self.waits) = (number, true);
        }
    }

    pub(super) fn has_place(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Trial::Free))
    }

    /// `true` while there is one that may still succeed.
    pub(super) fn is_any_out(&self) -> bool {
        self.places.iter().any(|place| place.live().is_some())
    }

    /// Frees the place of an attempt that has ended: the address, and since when it was tried. `None` if it has ended
    /// before.
    pub(super) fn finish(&mut self, attempt: Attempt) -> Option<Instant> {
        let place = self.places.iter_mut().find(|place| place.live().is_some_and(|(other, _)| other == attempt))?;
        let (_, since) = place.live()?;
        *place = Trial::Free;
        Some(since)
    }

    /// Gives up the first attempt that `ends` says is to end, and returns it. Nobody who was not told of its begin is
    /// told of its end.
    pub(super) fn abandon(&mut self, mut ends: impl FnMut(Attempt, Instant) -> bool) -> Option<(Attempt, Instant)> {
        for place in &mut self.places {
            let Some((attempt, since)) = place.live().filter(|(attempt, since)| ends(*attempt, *since)) else {
                continue;
            };
            *place = if matches!(place, Trial::Out { .. }) { Trial::Over { attempt } } else { Trial::Free };
            self.waits = true;
            return Some((attempt, since));
        }
        None
    }

    pub(super) fn abandon_all(&mut self) {
        while self.abandon(|_, _| true).is_some() {}
    }

    /// The next attempt whose end is to be told.
    pub(super) fn poll_over(&mut self) -> Option<Attempt> {
        if !self.waits {
            return None;
        }
        self.places.iter_mut().find_map(|place| {
            let Trial::Over { attempt } = *place else { return None };
            *place = Trial::Free;
            Some(attempt)
        })
    }

    /// The next attempt whose begin is to be told, after all [that are over](Self::poll_over).
    pub(super) fn poll_new(&mut self) -> Option<Attempt> {
        if !self.waits {
            return None;
        }
        let new = self.places.iter_mut().find_map(|place| {
            let Trial::New { attempt, since } = *place else { return None };
            *place = Trial::Out { attempt, since };
            Some(attempt)
        });
        self.waits = new.is_some();
        new
    }

    /// When an attempt must have ended.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_any_out() {
            return None;
        }
        earliest(self.places.map(|place| deadline(place.live()?.1, ATTEMPT_TIMEOUT)))
    }
}

impl Trial {
    const fn live(&self) -> Option<(Attempt, Instant)> {
        match *self {
            Self::New { attempt, since } | Self::Out { attempt, since } => Some((attempt, since)),
            Self::Free | Self::Over { .. } => None,
        }
    }
}
