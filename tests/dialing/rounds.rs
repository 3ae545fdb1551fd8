//! A round of attempts: which addresses, in which order, how far apart, and who wins.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, secs};
use longlink::Instant;
use longlink::liveness::Address;
use longlink::session::Timer;
use std::time::Duration;

/// Three seconds and the way to the third.
const SOON: Duration = Duration::from_millis(2_500);

/// How long it took to be online, and the attempts: when in milliseconds, and where.
fn met(sites: &[Site]) -> (World, Duration, Vec<(u64, u16)>) {
    let mut world = World::opened(DIALING, sites);
    let start = world.now;
    let took = world.run_online(secs(60));
    let tries = world.tries_since(start);
    (world, took, tries)
}

#[test]
fn the_first_address_is_tried_at_once() {
    let (world, took, tries) = met(&[Site::Alive, Site::Alive]);
    assert_eq!((tries, world.place_of_link()), (vec![(0, 0)], Some(0)));
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_black_hole_costs_a_second_and_a_refusal_nothing() {
    let (world, took, tries) = met(&[Site::Dead, Site::Refusing, Site::Alive]);
    assert_eq!((tries, world.place_of_link()), (vec![(0, 0), (1_000, 1), (1_100, 2)], Some(2)));
    assert!(took < SOON, "{took:?}");
}

#[test]
fn two_black_holes_cost_two_seconds() {
    let (_, took, tries) = met(&[Site::Dead, Site::Dead, Site::Alive]);
    assert_eq!(tries, [(0, 0), (1_000, 1), (2_000, 2)]);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn two_refusals_cost_nothing() {
    let (_, took, tries) = met(&[Site::Refusing, Site::Refusing, Site::Alive]);
    assert_eq!(tries, [(0, 0), (100, 1), (200, 2)]);
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn what_answers_something_else_or_cannot_be_reached_is_passed_at_once() {
    let (_, took, tries) = met(&[Site::Foreign, Site::Unreachable, Site::Alive]);
    assert_eq!(tries, [(0, 0), (100, 1), (200, 2)]);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn who_takes_the_connection_and_says_nothing_is_as_good_as_dead() {
    let (_, took, tries) = met(&[Site::Deaf, Site::Deaf, Site::Alive]);
    assert_eq!(tries, [(0, 0), (1_000, 1), (2_000, 2)]);
    assert!(took < SOON, "{took:?}");
}

/// Two of three dead, in every place: the promise of the whole.
#[test]
fn one_living_address_of_three_is_enough_for_three_seconds() {
    let dead = [Site::Dead, Site::Refusing, Site::Unreachable, Site::Foreign, Site::Deaf];
    for (one, other) in dead.into_iter().flat_map(|one| dead.map(|other| (one, other))) {
        for sites in [[one, other, Site::Alive], [one, Site::Alive, other], [Site::Alive, one, other]] {
            let (_, took, _) = met(&sites);
            assert!(took < SOON, "{sites:?}: {took:?}");
        }
    }
}

#[test]
fn three_black_holes_before_the_fourth_address_cost_ten_seconds() {
    let (world, took, tries) = met(&[Site::Dead, Site::Dead, Site::Dead, Site::Alive]);
    assert_eq!(tries, [(0, 0), (1_000, 1), (2_000, 2), (10_000, 3)]);
    assert!(took < secs(11), "{took:?}");
    assert_eq!(world.most_out, 3);
}

#[test]
fn five_silent_addresses_are_tried_three_at_a_time_for_ten_seconds_each() {
    let mut world = World::opened(DIALING, &[Site::Dead; 5]);
    let start = world.now;
    world.run_for(Duration::from_millis(20_999));
    assert_eq!(world.tries_since(start), [(0, 0), (1_000, 1), (2_000, 2), (10_000, 3), (11_000, 4)]);
    assert_eq!(world.most_out, 3);
    let ends = world.history.iter().filter(|(_, told)| matches!(told, Told::Abandon(_)));
    let ends: Vec<u64> = ends.map(|(at, _)| (*at - start).as_secs()).collect();
    assert_eq!(ends, [10, 11, 12, 20]);
    assert!(!world.was_told(&Told::Resolve));
    world.run_for(Duration::from_millis(1));
    assert!(world.was_told(&Told::Resolve), "all were tried");
}

#[test]
fn the_next_round_counts_from_the_last_attempt_of_the_one_before() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead, Site::Dead, Site::Refusing]);
    let start = world.now;
    world.run(60);
    let tries = world.tries_since(start);
    assert_eq!(tries[3], (10_000, 3));
    assert!((15_000..=20_000).contains(&tries[4].0), "{tries:?}");
}

#[test]
fn a_round_that_fails_is_followed_by_others_ever_more_seldom() {
    let mut world = World::opened(DIALING, &[Site::Refusing; 3]);
    world.run(600);
    let early = world.tries_since(Instant::ZERO).len() / 3;
    let later = world.now;
    world.run(3_600);
    let late = world.tries_since(later).len() / 3;
    assert!((10..=30).contains(&early), "{early} rounds in ten minutes");
    assert!((30..=65).contains(&late), "{late} rounds in an hour");
}

#[test]
fn the_losers_are_abandoned_as_soon_as_one_is_alive() {
    let mut world = World::new(DIALING);
    let list = addresses(3);
    world.place_at(list[0], Site::Alive, 2_500);
    world.place_at(list[1], Site::Alive, 5_000);
    world.place_at(list[2], Site::Dead, 0);
    world.open(&list);
    let start = world.now;
    world.run_online(secs(3));
    let ends: Vec<u16> = world
        .history
        .iter()
        .filter_map(|(_, told)| match told {
            Told::Abandon(attempt) => Some(attempt.address().index),
            _ => None,
        })
        .collect();
    assert_eq!((world.place_of_link(), ends), (Some(0), vec![1, 2]));
    assert_eq!(world.tries_since(start).len(), 3);
    assert!(world.out().is_empty());
}

#[test]
fn a_loser_that_reports_after_all_is_told_that_it_is_too_late() {
    let mut world = World::new(DIALING);
    let list = addresses(2);
    world.place_at(list[0], Site::Alive, 1_500);
    world.place(list[1], Site::Dead);
    world.open(&list);
    world.run_for(Duration::from_millis(1_200));
    let loser = world.out()[1];
    world.run_online(secs(1));
    assert!(!world.answer_late(loser));
    world.run(10);
    assert!(world.link.endpoint().is_online() && world.place_of_link() == Some(0));
}

/// Both answer in the same moment: the one that is told first is the link, and the other is dropped without harm.
#[test]
fn of_two_that_are_alive_in_the_same_moment_one_is_the_link() {
    let mut world = World::new(DIALING);
    let list = addresses(2);
    world.place_at(list[0], Site::Alive, 1_500);
    world.place_at(list[1], Site::Alive, 500);
    world.open(&list);
    world.run_online(secs(3));
    world.run(100);
    assert_eq!(world.count(|told| *told == Told::Online), 1);
    assert_eq!(world.office.borrow().greetings, 1, "only the winner is greeted");
}

#[test]
fn ports_are_tried_in_their_order_and_resolved_addresses_before_fallbacks() {
    let mut world = World::new(DIALING);
    let list = [
        Address::new(0, 443).fallback(),
        Address::new(1, 443),
        Address::new(2, 9_000),
        Address::new(3, 80),
        Address::new(4, 8_080).fallback(),
        Address::new(5, 8_080),
    ];
    list.iter().for_each(|address| world.place(*address, Site::Refusing));
    world.open(&list);
    let start = world.now;
    world.run(1);
    let order: Vec<u16> = world.tries_since(start).iter().map(|(_, index)| *index).collect();
    assert_eq!(order, [5, 3, 1, 2, 4, 0]);
}

#[test]
fn families_alternate_and_ipv6_comes_first() {
    let mut world = World::new(DIALING);
    let list = [0, 1, 2, 3].map(|index| Address::new(index, 8_080));
    let list = [list[0], list[1], list[2].v6(), list[3].v6()];
    list.iter().for_each(|address| world.place(*address, Site::Dead));
    world.open(&list);
    let start = world.now;
    world.run(11);
    let order: Vec<u16> = world.tries_since(start).iter().map(|(_, index)| *index).collect();
    assert_eq!(order, [2, 0, 3, 1]);
}

#[test]
fn an_address_that_vanishes_while_it_is_tried_is_given_up_after_ten_seconds() {
    let mut world = World::new(DIALING);
    let list = addresses(1);
    world.place_at(list[0], Site::Alive, 500);
    world.open(&list);
    let start = world.now;
    world.run_for(Duration::from_millis(400));
    world.place(list[0], Site::Dead);
    world.run(9);
    world.place(list[0], Site::Alive);
    assert_eq!(world.count(|told| matches!(told, Told::Abandon(_))), 0);
    world.run_online(secs(20));
    assert_eq!(world.count(|told| matches!(told, Told::Abandon(_))), 1);
    assert_eq!(world.tries_since(start).len(), 2);
}

#[test]
fn the_timer_in_a_round_is_that_of_attempts_and_between_rounds_that_of_the_next() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead]);
    assert_eq!((world.timer(), world.wait()), (Some(Timer::Attempt), secs(1)));
    world.run(1);
    assert_eq!((world.timer(), world.wait()), (Some(Timer::Attempt), secs(9)), "the first is given up then");
    let mut world = World::opened(DIALING, &[Site::Refusing, Site::Refusing]);
    world.run(1);
    assert_eq!(world.timer(), Some(Timer::Reconnect));
    world.run_for(world.wait());
    assert_eq!(world.timer(), Some(Timer::Attempt));
}

#[test]
fn a_client_that_never_opens_tries_nothing_and_has_no_timer() {
    let mut world = World::new(DIALING);
    world.place(addresses(1)[0], Site::Alive);
    world.command(|client, now| client.set_addresses(now, &addresses(1)).unwrap());
    world.command(|client, now| client.wake(now));
    world.send(b"later").unwrap();
    world.run(3_600);
    assert!(world.history.is_empty());
    assert!(!world.link.endpoint().wants_link());
    assert_eq!(world.timer(), Some(Timer::Delivery), "the message's lifetime, and nothing else");
}

#[test]
fn without_addresses_they_are_asked_for_and_tried_as_soon_as_they_are_known() {
    let mut world = World::new(DIALING);
    let list = addresses(1);
    world.place(list[0], Site::Alive);
    world.open(&[]);
    assert!(world.was_told(&Told::Resolve));
    world.run(3);
    world.command(|client, now| client.set_addresses(now, &list).unwrap());
    assert!(world.run_online(secs(1)) < secs(1));
}

#[test]
fn while_packets_are_lost_nothing_wins_and_nothing_is_left_over() {
    let mut world = World::new(DIALING);
    let list = addresses(3);
    list.iter().for_each(|address| world.place(*address, Site::Alive));
    world.set_air(Air::Lost);
    world.open(&list);
    world.run(600);
    assert_eq!(world.count(|told| *told == Told::Online), 0);
    let (begun, ended) =
        (world.count(|told| matches!(told, Told::Connect(_))), world.count(|told| matches!(told, Told::Abandon(_))));
    assert_eq!(begun, ended + world.out().len());
}
