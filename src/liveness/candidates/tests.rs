use super::*;
use std::vec::Vec;

fn s(secs: u64) -> Instant {
    Instant::from_secs(secs.saturating_add(1_000))
}

fn of(index: u16) -> Address {
    Address::new(index, 8_080)
}

/// What the rest of the round brings.
fn round(candidates: &mut Candidates, now: Instant) -> Vec<Address> {
    core::iter::from_fn(|| candidates.next(now)).collect()
}

/// Bans `address`.
fn ban(candidates: &mut Candidates, at: u64, address: Address) {
    for later in [0, 10, 20] {
        candidates.handle_failed(s(at.saturating_add(later)), address, Fault::Refused);
    }
}

#[test]
fn a_place_is_small() {
    assert!(size_of::<Candidate>() <= 56);
}

#[test]
fn the_order_is_ports_then_families_then_the_list() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 8]>::new();
    let list = [
        Address::new(0, 443),
        Address::new(1, 8_080).fallback(),
        Address::new(2, 8_080),
        Address::new(3, 8_080),
        Address::new(4, 8_080).v6(),
        Address::new(5, 8_080).v6(),
        Address::new(6, 9_999),
    ];
    table.set(&list).unwrap();
    let order: Vec<_> = round(table, s(0)).iter().map(|address| address.index).collect();
    assert_eq!(order, [4, 2, 5, 3, 0, 6, 1]);
    assert!(!table.has_untried());
    table.begin_round();
    table.prefer(of(3));
    assert_eq!(table.next(s(0)), Some(of(3)));
    assert_eq!(table.next(s(0)).map(|address| address.index), Some(4));
}

#[test]
fn a_banned_address_is_tried_last_and_never_left_out() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 3]>::new();
    let backup = Address::new(2, 443).fallback();
    table.set(&[of(0), of(1), backup]).unwrap();
    ban(table, 0, of(0));
    assert_eq!(table.banned_until(s(20), of(0)), Some(s(20 + 360)));
    assert_eq!(round(table, s(379)), [of(1), backup, of(0)]);
    table.begin_round();
    assert_eq!(round(table, s(380)), [of(1), of(0), backup]);
    table.handle_alive(s(381), of(0));
    ban(table, 390, of(1));
    ban(table, 400, backup);
    ban(table, 410, of(0));
    table.begin_round();
    assert_eq!(round(table, s(430)), [of(1), backup, of(0)]);
}

#[test]
fn without_evidence_no_failure_counts() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 5]>::new();
    table.set(&[of(0), of(1), of(2), of(3), of(4)]).unwrap();
    for at in (0..600).step_by(20) {
        for index in 0..5 {
            table.handle_failed(
                s(at),
                of(index),
                [Fault::Silent, Fault::Unreachable, Fault::Foreign][usize::from(index) % 3],
            );
        }
    }
    // What lies 30 s back still counts when one is alive, once each.
    table.handle_alive(s(610), of(0));
    assert!((0..5).all(|index| !table.is_banned(s(610), of(index))));
    table.begin_round();
    assert_eq!(round(table, s(610)), [of(0), of(1), of(4), of(2), of(3)]);
}

#[test]
fn bans_are_of_one_network() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 2]>::new();
    let [home, work, cafe] = [1, 2, 3].map(Network::from_number);
    table.set(&[of(0), of(1)]).unwrap();
    table.set_network(home);
    ban(table, 0, of(0));
    for (network, banned) in [(home, true), (work, false), (home, true), (Network::UNKNOWN, false), (home, true)] {
        table.set_network(network);
        assert_eq!(table.is_banned(s(30), of(0)), banned, "{network:?}");
    }
    table.set_network(work);
    table.set_network(cafe);
    table.set_network(home);
    assert!(!table.is_banned(s(30), of(0)));
}

#[test]
fn a_list_too_long_changes_nothing() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 2]>::new();
    table.set(&[of(0), of(0), of(1)]).unwrap();
    ban(table, 0, of(1));
    assert_eq!(table.set(&[of(2), of(1), of(0)]), Err(TooManyAddresses { limit: 2 }));
    assert_eq!(round(table, s(21)), [of(0), of(1)]);
    table.set(&[of(1), of(2), of(1)]).unwrap();
    assert_eq!(round(table, s(21)), [of(2)]);
    assert!(table.is_banned(s(21), of(1)));
    assert_eq!((table.len(), table.is_empty()), (2, false));
}

#[test]
fn only_a_fallback_has_a_better_one() {
    let table: &mut Candidates = &mut Candidates::<[Candidate; 3]>::new();
    let backup = Address::new(2, 443).fallback();
    table.set(&[of(0), of(1), backup]).unwrap();
    assert_eq!(table.better_than(s(0), of(1)), None);
    assert_eq!(table.better_than(s(0), backup), Some(of(0)));
    ban(table, 0, of(0));
    assert_eq!(table.better_than(s(20), backup), Some(of(1)));
    ban(table, 0, of(1));
    assert_eq!(table.better_than(s(20), backup), None);
}
