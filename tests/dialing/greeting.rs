//! Who is greeted, and what happens if the greeting is not answered.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, dialing_in, secs};
use longlink::Instant;
use longlink::session::{Config, Disconnect, Timer};
use longlink::wire::Dialect;
use std::time::Duration;

const GREETED_FIRST: [&Dialect; 2] = [&Dialect::GOIM, &Dialect::BILIBILI];

/// Where it greeted or tried to: when in whole seconds, and where.
fn seconds(world: &World, start: Instant) -> Vec<(u64, u16)> {
    world.tries_since(start).iter().map(|(at, index)| (at / 1_000, *index)).collect()
}

#[test]
fn where_the_greeting_proves_life_who_connects_is_greeted_and_the_others_are_left_alone() {
    for dialect in GREETED_FIRST {
        let mut world = World::new(dialing_in(dialect));
        let list = addresses(3);
        world.place_at(list[0], Site::Alive, 1_500);
        world.place_at(list[1], Site::Alive, 1_500);
        world.place(list[2], Site::Alive);
        world.open(&list);
        world.run(10);
        assert_eq!((world.place_of_link(), world.office.borrow().greetings), (Some(0), 1), "{}", dialect.name);
        assert_eq!(world.count(|told| *told == Told::Online), 1);
    }
}

#[test]
fn who_does_not_answer_the_greeting_has_three_seconds_and_then_it_is_the_turn_of_the_next() {
    for dialect in GREETED_FIRST {
        for silent in [Site::Mute, Site::Deaf] {
            let mut world = World::opened(dialing_in(dialect), &[silent, Site::Alive, Site::Alive]);
            let start = world.now;
            let took = world.run_online(secs(5));
            assert!((secs(3)..secs(4)).contains(&took), "{}, {silent:?}: {took:?}", dialect.name);
            assert_eq!((seconds(&world, start), world.place_of_link()), (vec![(0, 0), (3, 1)], Some(1)), "{silent:?}");
        }
    }
}

#[test]
fn who_answers_the_greeting_with_something_else_is_passed_at_once() {
    for dialect in GREETED_FIRST {
        let mut world = World::opened(dialing_in(dialect), &[Site::Foreign, Site::Alive]);
        let took = world.run_online(secs(5));
        assert!(took < secs(1) && world.place_of_link() == Some(1), "{}: {took:?}", dialect.name);
    }
}

#[test]
fn two_that_do_not_answer_the_greeting_cost_six_seconds_and_the_last_one_has_ten() {
    for dialect in GREETED_FIRST {
        let mut world = World::opened(dialing_in(dialect), &[Site::Mute; 3]);
        let start = world.now;
        world.run(16);
        assert_eq!(seconds(&world, start), [(0, 0), (3, 1), (6, 2)]);
        assert!(!world.was_told(&Told::Resolve), "the last has more time, because there is nothing else to do");
        assert_eq!(world.office.borrow().greetings, 3, "one at a time, each once");
        world.run(1);
        assert!(world.was_told(&Told::Resolve), "all were tried: {:?}", world.history);
        assert_eq!(world.count(|told| *told == Told::Offline(Disconnect::NoGreeting)), 3);
    }
}

#[test]
fn who_ends_the_stream_instead_of_an_answer_is_passed_at_once() {
    for dialect in GREETED_FIRST {
        let mut world = World::opened(dialing_in(dialect), &[Site::Deaf, Site::Alive]);
        let start = world.now;
        world.run_for(Duration::from_millis(500));
        world.wire.as_mut().unwrap().down.finish();
        world.run_online(secs(1));
        assert_eq!((seconds(&world, start), world.place_of_link()), (vec![(0, 0), (0, 1)], Some(1)));
    }
}

#[test]
fn black_holes_and_refusals_are_passed_where_the_greeting_proves_life_too() {
    for dialect in GREETED_FIRST {
        let mut world = World::opened(dialing_in(dialect), &[Site::Dead, Site::Refusing, Site::Alive]);
        let took = world.run_online(secs(3));
        assert!(took < Duration::from_millis(1_500), "{}: {took:?}", dialect.name);
    }
}

#[test]
fn a_link_that_was_online_and_ends_does_not_go_on_with_the_round() {
    let mut world = World::online(dialing_in(&Dialect::GOIM), &[Site::Alive, Site::Alive]);
    world.run(60);
    world.wire.as_mut().unwrap().down.finish();
    let start = world.now;
    world.run_for(Duration::from_millis(1));
    assert_eq!((world.tries_since(start), world.timer()), (vec![], Some(Timer::Reconnect)));
}

#[test]
fn without_a_greeting_connected_is_online() {
    for sites in [[Site::Alive, Site::Alive, Site::Alive], [Site::Deaf, Site::Refusing, Site::Alive]] {
        let mut world = World::opened(dialing_in(&Dialect::MARS), &sites);
        world.run_online(secs(3));
        world.run(600);
        assert_eq!(world.count(|told| *told == Told::Online), 1);
        assert!(world.count(|told| *told == Told::Heartbeat) >= 19);
    }
}

/// It answers heartbeats, so it wins, and its store is stuck, so it never greets.
#[test]
fn an_address_that_is_alive_and_never_greets_does_not_keep_the_device_off_the_others() {
    let mut world = World::opened(DIALING, &[Site::Mute, Site::Alive, Site::Alive]);
    let took = world.run_online(secs(25));
    assert!(took >= secs(10), "{took:?}");
    assert_ne!(world.place_of_link(), Some(0));
    assert!(world.was_told(&Told::Offline(Disconnect::NoGreeting)));
}

#[test]
fn who_did_not_greet_comes_after_the_others_the_next_time() {
    for config in [DIALING, dialing_in(&Dialect::GOIM)] {
        let mut world = World::opened(config, &[Site::Mute, Site::Alive]);
        world.run_online(secs(25));
        world.run(60);
        world.wire.as_mut().unwrap().down.reset();
        let start = world.now;
        world.run_online(secs(10));
        assert_eq!(world.tries_since(start).iter().map(|(_, index)| *index).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn who_never_greets_is_not_asked_at_the_speed_of_the_network() {
    let mut world = World::opened(DIALING, &[Site::Mute; 3]);
    world.run(3_600);
    let greetings = world.office.borrow().greetings;
    assert!((60..=150).contains(&greetings), "{greetings} in an hour, three a round");
}

#[test]
fn the_greeting_of_the_native_dialect_has_ten_seconds_whoever_else_there_is() {
    let mut world = World::opened(DIALING, &[Site::Mute, Site::Alive]);
    world.run(1);
    assert_eq!(world.timer(), Some(Timer::Greeting));
    world.run(9);
    assert_eq!(world.count(|told| matches!(told, Told::Offline(_))), 0);
    world.run(1);
    assert!(world.was_told(&Told::Offline(Disconnect::NoGreeting)));
}

#[test]
fn a_peer_without_greetings_is_used_without_where_that_is_allowed() {
    let mut world = World::new(Config { requires_greeting: false, ..DIALING });
    world.server_config.needs_greeting = false;
    world.place(addresses(1)[0], Site::Mute);
    world.open(&addresses(1));
    let took = world.run_online(secs(11));
    assert!(took >= secs(10), "{took:?}");
}

#[test]
fn a_device_that_sleeps_during_the_greeting_starts_its_clock_again() {
    let mut world = World::opened(DIALING, &[Site::Mute]);
    world.run(1);
    world.sleep(secs(8 * 3_600));
    world.office.borrow_mut().greetings = 0;
    world.run(1);
    assert_eq!(world.count(|told| *told == Told::Offline(Disconnect::NoGreeting)), 0, "{:?}", world.history);
}

/// The network goes away between the connection and the greeting, and comes back.
#[test]
fn a_greeting_that_is_lost_is_given_up_and_the_round_goes_on_when_there_is_a_network() {
    let mut world = World::opened(dialing_in(&Dialect::GOIM), &[Site::Mute, Site::Alive, Site::Alive]);
    world.run(1);
    world.set_air(Air::Lost);
    world.run(30);
    assert_eq!(world.count(|told| *told == Told::Online), 0);
    world.set_air(Air::Clear);
    world.run_online(secs(60));
}
