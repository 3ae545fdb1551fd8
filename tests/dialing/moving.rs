//! An orderly move from a fallback to an address that is better.

use crate::support::dialing::{DIALING, Site, Told, World, dialing_in, secs};
use longlink::Instant;
use longlink::liveness::{Activity, Address};
use longlink::session::limits::CHECK_INTERVAL;
use longlink::session::{Disconnect, GoAwayCode, Timer};
use longlink::wire::Dialect;
use std::time::Duration;

const BETTER: Address = Address::new(0, 8_080);
const OTHER: Address = Address::new(1, 80);
const FALLBACK: Address = Address::new(9, 443).fallback();

/// Online over the fallback; what was resolved does not answer.
fn on_fallback() -> World {
    let mut world = World::new(DIALING);
    world.place(FALLBACK, Site::Alive);
    world.open(&[BETTER, FALLBACK]);
    world.run_online(secs(3));
    assert_eq!(world.place_of_link(), Some(9));
    world
}

/// When it checked, in whole seconds since `start`, and where.
fn checks(world: &World, start: Instant) -> Vec<(u64, u16)> {
    let all = world.history.iter().filter(|(at, _)| *at >= start);
    let checks = all.filter_map(|(at, told)| match told {
        Told::Connect(attempt) if attempt.is_check() => Some(((*at - start).as_secs(), attempt.address().index)),
        _ => None,
    });
    checks.collect()
}

#[test]
fn a_better_address_is_looked_for_every_150_seconds_while_somebody_looks() {
    let mut world = on_fallback();
    let start = world.now;
    let before = world.count(|told| *told == Told::Resolve);
    world.run(800);
    // It did not answer before the link was up, either: three times are a ban of six minutes.
    assert_eq!(checks(&world, start), [(150, 0), (300, 0), (750, 0)]);
    assert_eq!(world.count(|told| *told == Told::Resolve), before + 5, "perhaps there are better ones by now");
    assert_eq!(world.count(|told| matches!(told, Told::Offline(_))), 0);
}

#[test]
fn nobody_looks_for_a_better_address_in_the_background() {
    let mut world = on_fallback();
    let start = world.now;
    world.run(140);
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.run(170);
    assert_eq!(checks(&world, start), []);
    world.command(|client, now| client.set_activity(now, Activity::Foreground));
    world.run(151);
    assert_eq!(checks(&world, start), [(460, 0)]);
}

#[test]
fn nothing_better_than_a_resolved_address_is_looked_for() {
    let mut world = World::new(DIALING);
    world.place(OTHER, Site::Alive);
    world.open(&[BETTER, OTHER, FALLBACK]);
    world.run_online(secs(3));
    let start = world.now;
    world.run(3_600);
    assert_eq!((checks(&world, start), world.place_of_link()), (vec![], Some(1)));
    assert_eq!(world.count_since(start, |told| *told == Told::Resolve), 0, "nor are there names to resolve");
}

#[test]
fn the_timer_of_a_check_says_so() {
    let mut world = on_fallback();
    let end = world.now + CHECK_INTERVAL;
    world.run_for(CHECK_INTERVAL - Duration::from_millis(1));
    assert_eq!((world.timer(), world.link.poll_timeout()), (Some(Timer::Check), Some(end)));
}

#[test]
fn the_link_moves_in_good_order_to_a_better_address() {
    let mut world = on_fallback();
    world.run(100);
    world.place(BETTER, Site::Alive);
    let start = world.now;
    world.run(52);
    assert_eq!(world.place_of_link(), Some(0));
    assert!(world.link.endpoint().is_online());
    assert!(world.was_told(&Told::Offline(Disconnect::Moved)));
    let office = world.office.borrow();
    assert_eq!((&office.goaways[..], office.greetings), (&[GoAwayCode::Done][..], 2));
    assert_eq!(world.dropped, [BETTER], "the check's connection is not used");
    // The check, and the round that begins with the same address.
    assert_eq!(world.tries_since(start).iter().map(|(_, index)| *index).collect::<Vec<_>>(), [0, 0]);
    drop(office);
    let gone = world.last(|told| matches!(told, Told::Offline(_))).unwrap();
    let back = world.last(|told| *told == Told::Online).unwrap();
    assert!(back - gone < secs(1), "at once");
}

#[test]
fn a_move_loses_nothing_that_is_in_flight_and_stores_nothing_twice() {
    let mut world = on_fallback();
    world.run(149);
    world.place(BETTER, Site::Alive);
    let mut sent = Vec::new();
    for n in 0..100 {
        let body = format!("message {n}");
        if world.send(body.as_bytes()).is_ok() {
            sent.push(body);
        }
        world.run_for(Duration::from_millis(37));
    }
    world.run(30);
    assert!(sent.len() > 50 && world.place_of_link() == Some(0));
    assert_eq!(world.office.borrow().service.bodies(), sent);
    assert_eq!(world.count(|told| matches!(told, Told::Delivered(_))), sent.len());
}

#[test]
fn a_move_waits_ten_seconds_for_what_is_not_decided() {
    let mut world = on_fallback();
    world.place(BETTER, Site::Alive);
    world.office.borrow_mut().stalls = true;
    world.send(b"undecided").unwrap();
    let start = world.now;
    world.run(155);
    assert!(world.wire.is_some() && !world.link.endpoint().is_online() && world.place_of_link() == Some(9));
    world.office.borrow_mut().stalls = false;
    world.run(10);
    let took = world.last(|told| *told == Told::Offline(Disconnect::Moved)).unwrap() - start;
    assert!((secs(160)..secs(162)).contains(&took), "{took:?}");
    assert_eq!(world.office.borrow().service.bodies(), ["undecided"]);
    assert!(world.was_told(&Told::Delivered(1)));
}

#[test]
fn checks_that_fail_change_nothing_and_after_three_failures_it_is_the_turn_of_another_address() {
    let mut world = World::new(DIALING);
    world.place(FALLBACK, Site::Alive);
    world.place(BETTER, Site::Refusing);
    world.place(OTHER, Site::Refusing);
    world.open(&[BETTER, OTHER, FALLBACK]);
    world.run_online(secs(3));
    let start = world.now;
    world.place(OTHER, Site::Alive);
    world.run(449);
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Offline(_))), 0);
    world.run(11);
    assert_eq!(checks(&world, start).iter().map(|(_, index)| *index).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(world.place_of_link(), Some(1));
}

#[test]
fn the_round_after_a_check_begins_with_the_address_that_was_found_alive() {
    let mut world = World::new(DIALING);
    world.place(FALLBACK, Site::Alive);
    world.open(&[OTHER, FALLBACK]);
    world.run_online(secs(3));
    world.place(OTHER, Site::Alive);
    world.office.borrow_mut().stalls = true;
    world.send(b"keeps the link draining").unwrap();
    world.run(155);
    // Its port would come first.
    world.command(|client, now| client.set_addresses(now, &[BETTER, OTHER, FALLBACK]).unwrap());
    world.office.borrow_mut().stalls = false;
    let start = world.now;
    world.run_online(secs(10));
    assert_eq!(world.tries_since(start).iter().map(|(_, index)| *index).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_better_address_that_vanishes_before_the_move_costs_one_attempt() {
    let mut world = on_fallback();
    world.place(BETTER, Site::Alive);
    world.office.borrow_mut().stalls = true;
    world.send(b"keeps the link draining").unwrap();
    world.run(155);
    world.place(BETTER, Site::Dead);
    world.office.borrow_mut().stalls = false;
    world.run_online(secs(10));
    assert_eq!(world.place_of_link(), Some(9));
}

#[test]
fn a_check_is_given_up_with_the_link() {
    let mut world = on_fallback();
    world.run_for(CHECK_INTERVAL + secs(1));
    let check = world.out()[0];
    assert!(check.is_check());
    world.wire.as_mut().unwrap().down.reset();
    world.run(1);
    assert!(world.history.iter().any(|(_, told)| *told == Told::Abandon(check)));
    assert!(!world.answer_late(check));
    world.run_online(secs(20));
}

#[test]
fn a_check_that_slept_says_nothing_of_its_address() {
    let mut world = World::new(DIALING);
    world.server_config.idle = secs(50_000);
    world.place(FALLBACK, Site::Alive);
    world.command(|client, now| client.set_addresses(now, &[BETTER, FALLBACK]).unwrap());
    for _ in 0..4 {
        world.place(BETTER, Site::Unreachable);
        world.command(|client, now| client.open(now, 1));
        world.run(100);
        world.place(BETTER, Site::Dead);
        world.run(55);
        assert!(world.out().iter().any(|attempt| attempt.is_check()));
        world.sleep(secs(8 * 3_600));
        world.run(5);
        world.command(|client, now| client.close(now));
        world.run(60);
    }
    world.place(BETTER, Site::Alive);
    world.command(|client, now| client.open(now, 1));
    world.run_online(secs(3));
    assert_eq!(world.place_of_link(), Some(0), "it is not banned");
}

#[test]
fn who_closes_during_a_move_stays_closed() {
    let mut world = on_fallback();
    world.place(BETTER, Site::Alive);
    world.office.borrow_mut().stalls = true;
    world.send(b"undecided").unwrap();
    world.run(155);
    world.command(|client, now| client.close(now));
    let start = world.now;
    world.run(3_600);
    assert!(world.tries_since(start).is_empty() && !world.link.endpoint().is_online());
}

#[test]
fn an_address_that_becomes_resolved_is_as_good_as_any() {
    let mut world = on_fallback();
    world.run(10);
    let start = world.now;
    let resolved = Address { is_fallback: false, ..FALLBACK };
    world.command(|client, now| client.set_addresses(now, &[BETTER, resolved]).unwrap());
    world.run(3_600);
    assert_eq!(checks(&world, start), []);
}

/// Connected is all that a check could find out.
#[test]
fn where_the_greeting_proves_life_a_link_that_works_is_not_left() {
    let mut world = World::new(dialing_in(&Dialect::GOIM));
    world.place(FALLBACK, Site::Alive);
    world.place(BETTER, Site::Deaf);
    world.open(&[BETTER, FALLBACK]);
    world.run_online(secs(10));
    let start = world.now;
    world.run(3_600);
    assert_eq!((checks(&world, start), world.place_of_link()), (vec![], Some(9)));
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Offline(_))), 0);
}
