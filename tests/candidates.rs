//! Rules of `liveness::Candidates`: who is next, what counts against an address, and for how long.
//!
//! The last test compares it with a model that keeps every result in a list and sorts.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use core::{cmp::Reverse, iter, time::Duration};
use longlink::Instant;
use longlink::liveness::{Address, Candidate, Candidates, Fault, Network, TooManyAddresses};
use proptest::{collection::vec, prelude::*};

/// Seconds of a clock that has been running for a while.
fn s(secs: u64) -> Instant {
    Instant::from_secs(10_000 + secs)
}

const MICROSECOND: Duration = Duration::from_micros(1);

fn at(index: u16) -> Address {
    Address::new(index, 8_080)
}

/// A table of these addresses.
fn table(addresses: &[Address]) -> Candidates<[Candidate; 8]> {
    let mut table = Candidates::new();
    lent(&mut table).set(addresses).unwrap();
    table
}

fn lent(table: &mut Candidates<[Candidate; 8]>) -> &mut Candidates {
    table
}

/// The indices of a whole round, in their order.
fn round(candidates: &mut Candidates, now: Instant) -> Vec<u16> {
    candidates.begin_round();
    iter::from_fn(|| candidates.next(now)).map(|address| address.index).collect()
}

/// The address refuses `count` connections, one every 10 s from `from` on; the last one was then.
fn refuse(candidates: &mut Candidates, from: Instant, address: Address, count: u32) -> Instant {
    let times = (0..count).map(|n| from + Duration::from_secs(10) * n);
    times.inspect(|now| candidates.handle_failed(*now, address, Fault::Refused)).last().unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

// ---- order ----------------------------------------------------------------------------------------------------------

#[test]
fn resolved_come_before_fallbacks_then_ports_then_families_in_turn_then_the_list() {
    let mut table = table(&[
        Address::new(0, 8_080).fallback().v6(),
        Address::new(1, 5_222),
        Address::new(2, 443),
        Address::new(3, 80).v6(),
        Address::new(4, 80),
        Address::new(5, 80).v6(),
        Address::new(6, 8_080),
        Address::new(7, 80),
    ]);
    // 6 is IPv4, so the next is IPv6, and so on.
    assert_eq!(round(&mut table, s(0)), [6, 3, 4, 5, 7, 2, 1, 0]);
    assert_eq!(round(&mut table, s(0)), [6, 3, 4, 5, 7, 2, 1, 0]);
}

#[test]
fn a_round_begins_with_ipv6_and_families_alternate() {
    let mut table = table(&[at(0), at(1), at(2), at(3).v6(), at(4).v6()]);
    assert_eq!(round(&mut table, s(0)), [3, 0, 4, 1, 2]);
}

#[test]
fn a_ban_weighs_more_than_a_fallback_and_a_fallback_more_than_a_failure() {
    let mut table = table(&[at(0), at(1), at(2), at(3).fallback(), at(4).fallback()]);
    let candidates = lent(&mut table);
    refuse(candidates, s(0), at(0), 4);
    refuse(candidates, s(0), at(1), 3);
    refuse(candidates, s(0), at(2), 1);
    refuse(candidates, s(0), at(3), 1);
    // The ban of 1 ends at 380 s, that of 0 at 750 s.
    assert_eq!(round(candidates, s(40)), [2, 4, 3, 1, 0]);
    assert_eq!(round(candidates, s(380)), [1, 2, 4, 3, 0]);
}

#[test]
fn when_all_are_banned_the_one_whose_ban_ends_first_is_tried() {
    let mut table = table(&[at(0), at(1), at(2)]);
    let candidates = lent(&mut table);
    for (from, index) in [(20, 0), (0, 1), (10, 2)] {
        refuse(candidates, s(from), at(index), 3);
    }
    assert!((0..3).all(|index| candidates.is_banned(s(40), at(index))));
    assert_eq!(round(candidates, s(40)), [1, 2, 0]);
}

#[test]
fn in_a_round_each_is_tried_once_and_one_that_comes_in_between_too() {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    assert_eq!(candidates.next(s(0)), Some(at(0)));
    candidates.set(&[at(2), at(1), at(0)]).unwrap();
    assert_eq!(candidates.next(s(0)), Some(at(2)));
    assert!(candidates.has_untried());
    assert_eq!(candidates.next(s(0)), Some(at(1)));
    assert!(!candidates.has_untried());
    assert_eq!(candidates.next(s(0)), None);
    assert_eq!(round(candidates, s(0)), [2, 1, 0]);
}

#[test]
fn the_preferred_one_begins_the_next_round_even_if_it_is_a_banned_fallback_and_only_that_round() {
    let mut table = table(&[at(0), at(1), at(2).fallback()]);
    let candidates = lent(&mut table);
    refuse(candidates, s(0), at(2), 3);
    assert_eq!(round(candidates, s(30)), [0, 1, 2]);
    candidates.prefer(at(1));
    candidates.prefer(at(2));
    assert_eq!(candidates.next(s(30)), None, "it was tried in this round");
    assert_eq!(round(candidates, s(30)), [2, 0, 1]);
    assert_eq!(round(candidates, s(30)), [0, 1, 2]);
    candidates.prefer(at(7));
    assert_eq!(round(candidates, s(30)), [0, 1, 2]);
}

#[test]
fn a_better_one_is_resolved_and_not_banned_and_there_is_none_for_a_resolved_one() {
    let mut table = table(&[at(0).fallback(), Address::new(1, 80), at(2), at(3).fallback()]);
    let candidates = lent(&mut table);
    assert_eq!(candidates.next(s(0)), Some(at(2)));
    assert_eq!(candidates.better_than(s(0), at(0).fallback()), Some(at(2)), "tried or not");
    assert_eq!(candidates.better_than(s(0), at(2)), None);
    let end = refuse(candidates, s(0), at(2), 3) + 6 * MINUTE;
    assert_eq!(candidates.better_than(s(30), at(0).fallback()), Some(Address::new(1, 80)));
    refuse(candidates, s(10), Address::new(1, 80), 3);
    assert_eq!(candidates.better_than(s(40), at(0).fallback()), None);
    assert_eq!(candidates.better_than(end, at(0).fallback()), Some(at(2)));
    // The list says what is a fallback now; of one that left it only the caller knows.
    candidates.set(&[at(0), at(1)]).unwrap();
    assert_eq!(candidates.better_than(s(40), at(0).fallback()), None);
    assert_eq!(candidates.better_than(s(40), at(3).fallback()), Some(at(0)));
}

// ---- what counts ----------------------------------------------------------------------------------------------------

#[test]
fn ten_minutes_without_a_network_ban_nobody() {
    let addresses = [at(0).v6(), at(1), at(2), at(3), at(4).fallback()];
    let mut table = table(&addresses);
    let candidates = lent(&mut table);
    candidates.handle_alive(s(0), addresses[0]);
    let before = round(candidates, s(0));
    // From now on nothing works, whatever the platform calls it. For 30 s that may still be the addresses' fault.
    let faults = [Fault::Silent, Fault::Unreachable, Fault::Silent, Fault::Foreign];
    for (second, fault) in (5..600).step_by(5).zip(faults.into_iter().cycle()) {
        if !candidates.has_untried() {
            candidates.begin_round();
        }
        let address = candidates.next(s(second)).unwrap();
        candidates.handle_failed(s(second), address, fault);
        assert!(addresses.iter().all(|address| !candidates.is_banned(s(second), *address)), "after {second} s");
    }
    // It is back: the first attempt gets through, and what failed just before counts once at most.
    candidates.begin_round();
    let first = candidates.next(s(600)).unwrap();
    candidates.handle_alive(s(600), first);
    assert!(addresses.iter().all(|address| !candidates.is_banned(s(600), *address)));
    for address in addresses {
        candidates.handle_alive(s(720), address);
    }
    assert_eq!(round(candidates, s(720)), before);
}

/// Three failures of address 0, each with `also` done so long before or after, by its sign. Whether it is banned then.
fn is_banned_with(
    fault: Fault,
    also: impl Fn(&mut Candidates, Instant),
    before: Option<Duration>,
    after: Option<Duration>,
) -> bool {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    let mut last = s(0);
    for minute in 1..=3 {
        let failed = s(100 * minute);
        if let Some(before) = before {
            also(candidates, Instant::ZERO + ((failed - Instant::ZERO) - before));
        }
        candidates.handle_failed(failed, at(0), fault);
        last = failed;
        if let Some(after) = after {
            last = failed + after;
            also(candidates, last);
        }
    }
    candidates.is_banned(last, at(0))
}

#[test]
fn silence_counts_if_another_answers_within_30_s_before_or_after() {
    let (at_the_edge, beyond) = (Duration::from_secs(30), Duration::from_secs(30) + MICROSECOND);
    let alive = |candidates: &mut Candidates, now| candidates.handle_alive(now, at(1));
    let refused = |candidates: &mut Candidates, now| candidates.handle_failed(now, at(1), Fault::Refused);
    for fault in [Fault::Silent, Fault::Foreign] {
        assert!(is_banned_with(fault, alive, Some(at_the_edge), None));
        assert!(is_banned_with(fault, refused, Some(at_the_edge), None));
        assert!(is_banned_with(fault, alive, None, Some(at_the_edge)));
        assert!(is_banned_with(fault, refused, None, Some(at_the_edge)));
        assert!(!is_banned_with(fault, alive, Some(beyond), Some(beyond)));
        assert!(!is_banned_with(fault, refused, Some(beyond), Some(beyond)));
    }
    assert!(!is_banned_with(Fault::Unreachable, alive, Some(MICROSECOND), Some(MICROSECOND)));
}

#[test]
fn no_address_is_its_own_witness_and_silence_is_no_witness() {
    let own = |candidates: &mut Candidates, now| candidates.handle_alive(now, at(0));
    assert!(!is_banned_with(Fault::Silent, own, Some(Duration::from_secs(20)), None));
    for fault in [Fault::Silent, Fault::Foreign, Fault::Unreachable] {
        let silent = |candidates: &mut Candidates, now| candidates.handle_failed(now, at(1), fault);
        assert!(!is_banned_with(Fault::Silent, silent, Some(MICROSECOND), Some(MICROSECOND)));
    }
}

#[test]
fn an_address_that_left_the_list_still_shows_that_the_network_works() {
    let left = |candidates: &mut Candidates, now| candidates.handle_failed(now, at(7), Fault::Refused);
    assert!(is_banned_with(Fault::Silent, left, None, Some(Duration::from_secs(3))));
}

#[test]
fn a_failure_that_waits_is_forgotten_in_another_network() {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    refuse(candidates, s(0), at(0), 2);
    for network in [Network::UNKNOWN, Network::from_number(7)] {
        candidates.handle_failed(s(100), at(0), Fault::Silent);
        candidates.set_network(network);
        refuse(candidates, s(100), at(0), 2);
        candidates.handle_alive(s(110), at(1));
        assert!(!candidates.is_banned(s(110), at(0)));
    }
}

#[test]
fn an_address_alive_after_a_silence_is_not_blamed_for_it() {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    for minute in 0..5 {
        candidates.handle_failed(s(60 * minute), at(0), Fault::Silent);
        candidates.handle_alive(s(60 * minute + 1), at(0));
        candidates.handle_alive(s(60 * minute + 2), at(1));
    }
    assert_eq!(round(candidates, s(300)), [0, 1]);
    assert!(!candidates.is_banned(s(300), at(0)));
}

// ---- bans -----------------------------------------------------------------------------------------------------------

#[test]
fn a_ban_takes_6_minutes_and_6_more_for_each_failure_above_three_up_to_30() {
    for (failures, minutes) in [(3, 6), (4, 12), (5, 18), (6, 24), (7, 30), (8, 30), (300, 30)] {
        let mut table = table(&[at(0)]);
        let candidates = lent(&mut table);
        let end = refuse(candidates, s(0), at(0), failures) + minutes * MINUTE;
        let before = Instant::from_micros(end.as_micros() - 1);
        assert_eq!(candidates.banned_until(before, at(0)), Some(end), "{failures} failures");
        assert_eq!(candidates.banned_until(end, at(0)), None, "{failures} failures");
        assert_eq!(candidates.banned_until(before, at(1)), None);
    }
}

#[test]
fn two_failures_are_no_ban_and_two_within_10_s_are_one() {
    let mut table = table(&[at(0)]);
    let candidates = lent(&mut table);
    refuse(candidates, s(0), at(0), 2);
    let sooner = Instant::from_micros(s(20).as_micros() - 1);
    candidates.handle_failed(sooner, at(0), Fault::Refused);
    assert!(!candidates.is_banned(sooner, at(0)));
    candidates.handle_failed(s(20), at(0), Fault::Refused);
    assert_eq!(candidates.banned_until(s(20), at(0)), Some(s(380)));
}

#[test]
fn a_success_ends_the_ban_and_the_next_failure_is_the_first_in_a_row() {
    let mut table = table(&[at(0)]);
    let candidates = lent(&mut table);
    refuse(candidates, s(0), at(0), 7);
    candidates.handle_alive(s(70), at(0));
    assert!(!candidates.is_banned(s(70), at(0)));
    candidates.handle_failed(s(71), at(0), Fault::Refused);
    assert_eq!(candidates.banned_until(s(71), at(0)), Some(s(71 + 360)));
}

#[test]
fn what_was_before_the_last_8_results_does_not_count() {
    for (successes, is_banned) in [(5, true), (6, false)] {
        let mut table = table(&[at(0)]);
        let candidates = lent(&mut table);
        candidates.handle_failed(s(0), at(0), Fault::Refused);
        (1..=successes).for_each(|n| candidates.handle_alive(s(10 * n), at(0)));
        refuse(candidates, s(100), at(0), 2);
        assert_eq!(candidates.is_banned(s(110), at(0)), is_banned, "{successes} successes in between");
    }
}

// ---- networks and lists ---------------------------------------------------------------------------------------------

#[test]
fn a_ban_is_of_one_network_and_known_again_there_for_one_network_in_between() {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    let [home, work, train] = [1, 2, 3].map(Network::from_number);
    candidates.set_network(home);
    let now = refuse(candidates, s(0), at(0), 3);
    assert_eq!(round(candidates, now), [1, 0]);
    candidates.set_network(work);
    assert!(!candidates.is_banned(now, at(0)));
    assert_eq!(round(candidates, now), [0, 1]);
    candidates.set_network(home);
    candidates.set_network(home);
    assert!(candidates.is_banned(now, at(0)));
    // One that nobody can name takes no place.
    candidates.set_network(Network::UNKNOWN);
    assert!(!candidates.is_banned(now, at(0)));
    candidates.set_network(work);
    candidates.set_network(home);
    assert!(candidates.is_banned(now, at(0)));
    candidates.set_network(work);
    candidates.set_network(train);
    candidates.set_network(home);
    assert!(!candidates.is_banned(now, at(0)));
}

#[test]
fn an_unknown_network_bans_too_until_there_is_another_unknown_one() {
    let mut table = table(&[at(0)]);
    let candidates = lent(&mut table);
    let now = refuse(candidates, s(0), at(0), 3);
    assert!(candidates.is_banned(now, at(0)));
    candidates.set_network(Network::UNKNOWN);
    assert!(!candidates.is_banned(now, at(0)));
}

#[test]
fn a_new_list_keeps_what_is_known_of_those_that_stay() {
    let mut table = table(&[at(0), at(1), at(2)]);
    let candidates = lent(&mut table);
    let now = refuse(candidates, s(0), at(1), 3);
    candidates.set(&[at(3), at(1).fallback().v6(), at(3).v6(), at(0)]).unwrap();
    assert_eq!((candidates.len(), candidates.is_empty()), (3, false));
    assert!(candidates.contains(at(1)) && !candidates.contains(at(2)));
    assert!(candidates.is_banned(now, at(1)));
    candidates.begin_round();
    let all: Vec<_> = iter::from_fn(|| candidates.next(now)).collect();
    assert_eq!(all, [at(3), at(0), at(1).fallback().v6()], "the flags are those of the list");
    candidates.set(&[]).unwrap();
    assert_eq!((candidates.len(), candidates.is_empty(), candidates.next(now)), (0, true, None));
    candidates.set(&[at(1)]).unwrap();
    assert!(!candidates.is_banned(now, at(1)));
}

#[test]
fn a_list_too_long_is_refused_whole() {
    let mut table = table(&[at(0), at(1)]);
    let candidates = lent(&mut table);
    let list: Vec<_> = (1..=9).map(at).collect();
    assert_eq!(candidates.set(&list), Err(TooManyAddresses { limit: 8 }));
    assert_eq!(round(candidates, s(0)), [0, 1]);
    candidates.set(&list[..8]).unwrap();
    assert_eq!(round(candidates, s(0)), [1, 2, 3, 4, 5, 6, 7, 8]);
    let twice: Vec<_> = list[..8].iter().chain(&list[..8]).copied().collect();
    assert_eq!(candidates.set(&twice), Ok(()));
}

#[test]
fn a_table_ends_at_255_addresses() {
    let mut table = Candidates::<[Candidate; 300]>::new();
    let candidates: &mut Candidates = &mut table;
    let list: Vec<_> = (0..256).map(at).collect();
    assert_eq!(candidates.set(&list), Err(TooManyAddresses { limit: 255 }));
    candidates.set(&list[1..]).unwrap();
    assert!(round(candidates, s(0)).into_iter().eq(1..256));
}

#[test]
fn a_table_of_no_places_has_nobody() {
    const NONE: Candidates<[Candidate; 0]> = Candidates::new();
    let mut table = NONE;
    let candidates: &mut Candidates = &mut table;
    assert_eq!(candidates.set(&[at(0)]), Err(TooManyAddresses { limit: 0 }));
    candidates.handle_alive(s(0), at(0));
    assert_eq!((candidates.next(s(0)), candidates.has_untried()), (None, false));
}

// ---- against a model ------------------------------------------------------------------------------------------------

/// An address as the model sees it.
#[derive(Clone)]
struct Known {
    address: Address,
    is_tried: bool,
    /// Of each network it remembers, the latest last: the results that count, in their order.
    networks: Vec<(Network, Vec<(Instant, bool)>)>,
    waiting: Option<Instant>,
    answered: Vec<Instant>,
}

impl Known {
    fn results(&mut self) -> &mut Vec<(Instant, bool)> {
        &mut self.networks.last_mut().unwrap().1
    }

    fn add(&mut self, at: Instant, failed: bool) {
        let results = self.results();
        let again = results.last().is_some_and(|(last, kind)| *kind == failed && at - *last < Duration::from_secs(10));
        if !again {
            results.push((at, failed));
        }
    }

    fn judge(&mut self, now: Instant) {
        match self.waiting.take() {
            Some(at) if now - at <= Duration::from_secs(30) => self.add(at, true),
            _ => {}
        }
    }

    fn banned_until(&self, now: Instant) -> Option<Instant> {
        let results = &self.networks.last().unwrap().1;
        let in_a_row = results.iter().rev().take_while(|(_, failed)| *failed).count();
        let of_eight = results.iter().rev().take(8).filter(|(_, failed)| *failed).count();
        let minutes = [6, 6, 6, 6, 12, 18, 24].get(in_a_row).copied().unwrap_or(30);
        let end = results.last()?.0 + minutes * MINUTE;
        (in_a_row > 0 && of_eight >= 3 && end > now).then_some(end)
    }
}

#[derive(Default)]
struct Model {
    list: Vec<Known>,
    network: Option<Network>,
    preferred: Option<Address>,
    last_family: Option<bool>,
}

fn same(a: Address, b: Address) -> bool {
    (a.index, a.port) == (b.index, b.port)
}

impl Model {
    fn network(&self) -> Network {
        self.network.unwrap_or(Network::UNKNOWN)
    }

    fn get(&self, address: Address) -> Option<&Known> {
        self.list.iter().find(|known| same(known.address, address))
    }

    fn set(&mut self, addresses: &[Address], limit: usize) -> Result<(), TooManyAddresses> {
        let mut list: Vec<Known> = Vec::new();
        for address in addresses {
            if list.iter().any(|known| same(known.address, *address)) {
                continue;
            }
            let fresh = Known {
                address: *address,
                is_tried: false,
                networks: vec![(self.network(), Vec::new())],
                waiting: None,
                answered: Vec::new(),
            };
            let known = self.get(*address).cloned().unwrap_or(fresh);
            list.push(Known { address: *address, ..known });
        }
        if list.len() > limit {
            return Err(TooManyAddresses { limit });
        }
        self.list = list;
        Ok(())
    }

    fn set_network(&mut self, network: Network) {
        if self.network() == network && network != Network::UNKNOWN {
            return;
        }
        self.network = Some(network);
        for known in &mut self.list {
            (known.waiting, known.answered) = (None, Vec::new());
            known.networks.retain(|(network, _)| *network != Network::UNKNOWN);
            let before = known.networks.iter().position(|(named, _)| *named == network);
            let results = before.map(|before| known.networks.remove(before).1).unwrap_or_default();
            known.networks.push((network, results));
            // The present one and the named one before it.
            let surplus = known.networks.len().saturating_sub(2);
            known.networks.drain(..surplus);
        }
    }

    /// Best first.
    fn sorted(&self, now: Instant, preferred: Option<Address>, last_family: Option<bool>) -> Vec<&Known> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|known| {
            let Address { port, is_v6, is_fallback, .. } = known.address;
            let port = Address::PORTS.iter().position(|first| *first == port).unwrap_or(3);
            let is_preferred = preferred.is_some_and(|preferred| same(preferred, known.address));
            let ban = known.banned_until(now).unwrap_or(Instant::ZERO);
            let has_failed = known.networks.last().unwrap().1.last().is_some_and(|(_, failed)| *failed);
            let is_turn = last_family.map_or(is_v6, |last| last != is_v6);
            (Reverse(is_preferred), ban, is_fallback, has_failed, port, Reverse(is_turn))
        });
        list
    }

    fn next(&mut self, now: Instant) -> Option<Address> {
        let sorted = self.sorted(now, self.preferred, self.last_family);
        let address = sorted.into_iter().find(|known| !known.is_tried)?.address;
        self.list.iter_mut().find(|known| same(known.address, address))?.is_tried = true;
        self.last_family = Some(address.is_v6);
        if self.preferred.is_some_and(|preferred| same(preferred, address)) {
            self.preferred = None;
        }
        Some(address)
    }

    fn better_than(&self, now: Instant, address: Address) -> Option<Address> {
        let address = self.get(address).map_or(address, |known| known.address);
        let sorted = self.sorted(now, None, None);
        let mut usable = sorted.iter().filter(|known| !known.address.is_fallback && known.banned_until(now).is_none());
        usable.next().filter(|_| address.is_fallback).map(|known| known.address)
    }

    fn answer(&mut self, now: Instant, address: Address, failed: bool) {
        for known in &mut self.list {
            if same(known.address, address) {
                known.add(now, failed);
                known.answered.push(now);
                known.waiting = None;
            } else {
                known.judge(now);
            }
        }
    }

    fn silence(&mut self, now: Instant, address: Address) {
        let others = self.list.iter().filter(|known| !same(known.address, address));
        let works = others.flat_map(|known| &known.answered).any(|at| now - *at <= Duration::from_secs(30));
        if let Some(known) = self.list.iter_mut().find(|known| same(known.address, address)) {
            known.waiting = Some(now);
            if works {
                known.judge(now);
            }
        }
    }

    fn fail(&mut self, now: Instant, address: Address, fault: Fault) {
        match fault {
            Fault::Refused => self.answer(now, address, true),
            Fault::Silent | Fault::Foreign => self.silence(now, address),
            Fault::Unreachable => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Set(Vec<Address>),
    Network(u32),
    Begin,
    Next,
    Prefer(Address),
    Alive(Address),
    Failed(Address, Fault),
}

/// Seven different ones, with any flags.
fn address() -> impl Strategy<Value = Address> {
    let identity = prop::sample::select(vec![(0, 80), (0, 443), (1, 80), (1, 8_080), (2, 8_080), (2, 80), (3, 5_222)]);
    (identity, any::<bool>(), any::<bool>()).prop_map(|((index, port), is_fallback, is_v6)| Address {
        index,
        port,
        is_fallback,
        is_v6,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let fault =
        prop::sample::select(vec![Fault::Refused, Fault::Refused, Fault::Silent, Fault::Foreign, Fault::Unreachable]);
    prop_oneof![
        8 => prop::sample::select(vec![0, 1, 9_999_999, 10_000_000, 20_000_001, 30_000_000, 30_000_001, 100_000_000, 370_000_000])
            .prop_map(Op::Wait),
        2 => vec(address(), 0..9).prop_map(Op::Set),
        2 => (0..4_u32).prop_map(Op::Network),
        2 => Just(Op::Begin),
        5 => Just(Op::Next),
        1 => address().prop_map(Op::Prefer),
        3 => address().prop_map(Op::Alive),
        8 => (address(), fault).prop_map(|(address, fault)| Op::Failed(address, fault)),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_is_as_in_a_list_that_is_sorted(ops in vec(op(), 1..120)) {
        let mut table = Candidates::<[Candidate; 6]>::new();
        let candidates: &mut Candidates = &mut table;
        let mut model = Model::default();
        let mut now = s(0);
        for op in ops {
            match op.clone() {
                Op::Wait(micros) => now = now + Duration::from_micros(micros),
                Op::Set(list) => prop_assert_eq!(candidates.set(&list), model.set(&list, 6)),
                Op::Network(number) => {
                    candidates.set_network(Network::from_number(number));
                    model.set_network(Network::from_number(number));
                }
                Op::Begin => {
                    candidates.begin_round();
                    model.list.iter_mut().for_each(|known| known.is_tried = false);
                    model.last_family = None;
                }
                Op::Next => prop_assert_eq!(candidates.next(now), model.next(now)),
                Op::Prefer(address) => {
                    candidates.prefer(address);
                    model.preferred = Some(address);
                }
                Op::Alive(address) => {
                    candidates.handle_alive(now, address);
                    model.answer(now, address, false);
                }
                Op::Failed(address, fault) => {
                    candidates.handle_failed(now, address, fault);
                    model.fail(now, address, fault);
                }
            }
            for known in &model.list {
                prop_assert_eq!(candidates.banned_until(now, known.address), known.banned_until(now), "{:?}", op);
                prop_assert_eq!(candidates.better_than(now, known.address), model.better_than(now, known.address));
            }
            prop_assert_eq!(candidates.len(), model.list.len());
            prop_assert_eq!(candidates.has_untried(), model.list.iter().any(|known| !known.is_tried));
        }
    }
}
