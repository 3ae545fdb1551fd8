//! Which address to try next, and what is known against each.

mod address;
mod ban;
mod order;

pub use address::{Address, Fault};

use super::Network;
use crate::time::Instant;
use ban::Standing;
use core::{error::Error, fmt};

/// Which address to try next, and what is known against each in the networks that the device is in.
///
/// A round tries every address once, until one is alive. What comes first:
///
/// 1. The one that is [preferred](Self::prefer).
/// 2. Not banned before banned, and of those the one whose ban ends first. A ban orders, it excludes nobody.
/// 3. Resolved before fallback.
/// 4. The last result was not a failure, before those where it was one.
/// 5. The port, by its place in [`Address::PORTS`]; others behind them.
/// 6. The other family than that of the one before it in this round; IPv6 to begin with.
/// 7. The place in the list.
///
/// # Failures and bans
///
/// Without a network everything fails, and nothing is learned by that. A failure counts against an address only if the
/// network is known to work: another one was alive or refused a connection within 30 s before or after. A
/// [refusal](Fault::Refused) is that knowledge itself.
///
/// An address with 3 failures among its last 8 results is banned, for 6 min from the last failure and 6 min more for every
/// failure in a row above three, 30 min at most, unless it is alive again before that. The same result within 10 s counts
/// once. The numbers are those of Tencent Mars.
///
/// All this is kept for each network of its own: for the one that the device is in and the one that it was in before. An
/// [unknown](Network::UNKNOWN) network is another one each time.
///
/// # Table
///
/// `C` is the table, a [`Candidate`] for each address there may be, up to 255. A `&mut Candidates<[Candidate; 8]>` is a
/// `&mut Candidates`, on which everything is called, so that code exists once whatever the size. A call takes time in
/// proportion to the number of addresses.
///
/// ```
/// use longlink::{Instant, liveness::{Address, Candidate, Candidates, Fault}};
///
/// let mut table = Candidates::<[Candidate; 8]>::new();
/// let candidates: &mut Candidates = &mut table;
/// let [far, near] = [Address::new(0, 443), Address::new(1, 8_080)];
/// candidates.set(&[far, near])?;
///
/// let now = Instant::from_secs(100);
/// assert_eq!(candidates.next(now), Some(near));
/// candidates.handle_failed(now, near, Fault::Refused);
/// assert_eq!(candidates.next(now), Some(far));
/// candidates.handle_alive(now, far);
///
/// candidates.begin_round();
/// assert_eq!(candidates.next(now), Some(far));
/// # Ok::<(), longlink::liveness::TooManyAddresses>(())
/// ```
#[derive(Clone, Debug)]
pub struct Candidates<C: ?Sized = [Candidate]> {
    network: Network,
    /// Comes first as soon as it may be tried.
    preferred: Option<Address>,
    /// The address that was started last in this round is IPv6; `None` before the first.
    family: Option<bool>,
    /// So many places are used.
    len: u8,
    list: C,
}

/// One place of a table of [`Candidates`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Candidate {
    address: Address,
    /// Its place in the application's list.
    place: u8,
    /// It was started in this round.
    is_tried: bool,
    here: Standing,
    /// The same of the network before.
    elsewhere: Standing,
    /// The last attempt failed then, and it is not known whether the network worked.
    pending: Option<Instant>,
    /// It was alive or refused then, in this network.
    heard: Option<Instant>,
}

/// A list has more addresses than the table has places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyAddresses {
    /// How many it has.
    pub limit: usize,
}

impl<const N: usize> Candidates<[Candidate; N]> {
    /// No addresses yet, in an unknown network, with room for `N`, 255 at most.
    #[must_use]
    pub const fn new() -> Self {
        Self { network: Network::UNKNOWN, preferred: None, family: None, len: 0, list: [Candidate::FREE; N] }
    }
}

impl<const N: usize> Default for Candidates<[Candidate; N]> {
    fn default() -> Self {
        Self::new()
    }
}

impl Candidates {
    /// Takes the addresses there are from now on, best first within the order above. What is known of those that stay is
    /// kept, also that they were tried in this round. One that is there twice is taken once, where it comes first.
    ///
    /// # Errors
    ///
    /// [`TooManyAddresses`]; nothing is changed then.
    pub fn set(&mut self, addresses: &[Address]) -> Result<(), TooManyAddresses> {
        let limit = self.capacity();
        if unique(addresses).nth(limit).is_some() {
            return Err(TooManyAddresses { limit });
        }
        self.retain(addresses);
        let mut place = 0_u8;
        for address in unique(addresses) {
            self.put(address, place);
            place = place.saturating_add(1);
        }
        Ok(())
    }

    /// The device is in this network from now on: what is known of the addresses in it, if it is the one before the last,
    /// or else nothing. Failures that were not judged yet are forgotten. Without effect if the network is the same and not
    /// [unknown](Network::UNKNOWN).
    pub fn set_network(&mut self, network: Network) {
        if self.network != network || network == Network::UNKNOWN {
            self.network = network;
            self.used_mut().iter_mut().for_each(|candidate| candidate.enter(network));
        }
    }

    /// All addresses may be tried again.
    pub fn begin_round(&mut self) {
        self.family = None;
        self.used_mut().iter_mut().for_each(|candidate| candidate.is_tried = false);
    }

    /// The best that was not tried in this round, which counts as tried by that. `None` if there is none left.
    pub fn next(&mut self, now: Instant) -> Option<Address> {
        let (preferred, family) = (self.preferred, self.family);
        let untried = self.used_mut().iter_mut().filter(|candidate| !candidate.is_tried);
        let best = untried.min_by_key(|candidate| candidate.rank(now, preferred, family))?;
        best.is_tried = true;
        let address = best.address;
        self.family = Some(address.is_v6);
        self.preferred = preferred.filter(|preferred| !preferred.is(address));
        Some(address)
    }

    /// The attempt on `address` was given up before it could end: it may be tried again in this round.
    pub fn put_back(&mut self, address: Address) {
        if let Some(candidate) = self.used_mut().iter_mut().find(|candidate| candidate.address.is(address)) {
            candidate.is_tried = false;
        }
    }

    /// `true` if [`next`](Self::next) has another one in this round.
    #[must_use]
    pub fn has_untried(&self) -> bool {
        self.used().iter().any(|candidate| !candidate.is_tried)
    }

    /// `true` if this address is one of them.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        self.find(address).is_some()
    }

    /// How many addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used().len()
    }

    /// For how many there is room: 255 at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.list.len().min(usize::from(u8::MAX))
    }

    /// `true` for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used().is_empty()
    }

    /// What to move to from `address`: if that is a fallback, the best resolved one that is not banned, tried or not.
    #[must_use]
    pub fn better_than(&self, now: Instant, address: Address) -> Option<Address> {
        let is_fallback = self.find(address).map_or(address, |candidate| candidate.address).is_fallback;
        let resolved = self.used().iter().filter(|candidate| is_fallback && !candidate.address.is_fallback);
        let better = resolved.filter(|candidate| candidate.here.banned_until(now).is_none());
        Some(better.min_by_key(|candidate| candidate.rank(now, None, None))?.address)
    }

    /// Puts `address` before all others as soon as it may be tried: in this round if it was not tried in it, else at the
    /// start of the next. Once, and in place of an earlier preference; without effect while the list has no such address.
    pub fn prefer(&mut self, address: Address) {
        self.preferred = Some(address);
    }

    /// `address` works. That clears its failures in a row, and makes those of the others in the last 30 s count.
    pub fn handle_alive(&mut self, now: Instant, address: Address) {
        self.handle_answer(now, address, Some(false));
    }

    /// Somebody answered at `address`, so the network works; whether the address is of use is not known yet. Makes
    /// failures of the others in the last 30 s count, and leaves its own as they are.
    pub fn handle_reached(&mut self, now: Instant, address: Address) {
        self.handle_answer(now, address, None);
    }

    /// An attempt on `address` failed. An address that is not in the list has nothing to lose, but its refusal too shows
    /// that the network works.
    pub fn handle_failed(&mut self, now: Instant, address: Address, fault: Fault) {
        match fault {
            Fault::Refused => self.handle_answer(now, address, Some(true)),
            Fault::Unreachable => {}
            Fault::Silent | Fault::Foreign => self.handle_silence(now, address),
        }
    }

    /// `true` if `address` is banned in this network.
    #[must_use]
    pub fn is_banned(&self, now: Instant, address: Address) -> bool {
        self.banned_until(now, address).is_some()
    }

    /// When the ban of `address` in this network ends; `None` if none holds at `now`.
    #[must_use]
    pub fn banned_until(&self, now: Instant, address: Address) -> Option<Instant> {
        self.find(address)?.here.banned_until(now)
    }

    /// `address` said something, be it no: so the network works.
    fn handle_answer(&mut self, now: Instant, address: Address, is_failure: Option<bool>) {
        for candidate in self.used_mut() {
            if candidate.address.is(address) {
                candidate.answer(now, is_failure);
            } else {
                candidate.confirm(now);
            }
        }
    }

    /// Nothing of use came from `address`. Only others can tell whether that was the network.
    fn handle_silence(&mut self, now: Instant, address: Address) {
        let mut others = self.used().iter().filter(|candidate| !candidate.address.is(address));
        let network_works = others.any(|candidate| candidate.is_evidence(now));
        if let Some(candidate) = self.used_mut().iter_mut().find(|candidate| candidate.address.is(address)) {
            candidate.fail(now, network_works);
        }
    }

    /// Keeps those that are among `addresses`, at the start of the table.
    fn retain(&mut self, addresses: &[Address]) {
        let mut kept = 0_u8;
        for at in 0..self.len() {
            let Some(candidate) = self.list.get(at) else { break };
            if !addresses.iter().any(|address| address.is(candidate.address)) {
                continue;
            }
            // Into another place, if it is another; what was there goes.
            if let Ok([place, candidate]) = self.list.get_disjoint_mut([usize::from(kept), at]) {
                core::mem::swap(place, candidate);
            }
            kept = kept.saturating_add(1);
        }
        self.len = kept;
    }

    /// The address at this place of the application's list, known or new.
    fn put(&mut self, address: Address, place: u8) {
        let (len, network) = (usize::from(self.len), self.network);
        if self.find(address).is_none() {
            if let Some(free) = self.list.get_mut(len) {
                *free = Candidate::new(address, network);
                self.len = self.len.saturating_add(1);
            }
        }
        if let Some(candidate) = self.used_mut().iter_mut().find(|candidate| candidate.address.is(address)) {
            (candidate.address, candidate.place) = (address, place);
        }
    }

    fn find(&self, address: Address) -> Option<&Candidate> {
        self.used().iter().find(|candidate| candidate.address.is(address))
    }

    fn used(&self) -> &[Candidate] {
        self.list.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn used_mut(&mut self) -> &mut [Candidate] {
        self.list.get_mut(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Each address once, where it comes first.
fn unique(addresses: &[Address]) -> impl Iterator<Item = Address> {
    (0..addresses.len()).filter_map(|at| {
        let (before, from) = addresses.split_at_checked(at)?;
        let address = *from.first()?;
        (!before.iter().any(|earlier| earlier.is(address))).then_some(address)
    })
}

/// Network and number of addresses.
#[cfg(feature = "defmt")]
impl<C: ?Sized> defmt::Format for Candidates<C> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Candidates({}, {=u8} addresses)", self.network, self.len);
    }
}

impl fmt::Display for TooManyAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more addresses than the {} that there is room for", self.limit)
    }
}

impl Error for TooManyAddresses {}

#[cfg(test)]
mod tests;
