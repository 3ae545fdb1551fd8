//! A device that sleeps, with a clock that goes on or stands still.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, home, in_background, secs};
use longlink::liveness::Fault;
use longlink::session::{Config, Disconnect, Timer};
use std::time::Duration;

const NIGHT: Duration = secs(8 * 3_600);

/// Online with a server that puts up with a night's silence; `true` if a heartbeat is on its way.
fn before_the_night(is_asking: bool) -> World {
    let mut world = World::new(in_background(None));
    let list = addresses(2);
    list.iter().for_each(|address| world.place(*address, Site::Alive));
    world.server_config.idle = secs(60_000);
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.open(&list);
    world.run(60);
    if is_asking {
        world.command(|client, now| client.heartbeat(now));
    }
    world
}

fn heartbeats(world: &World) -> usize {
    world.count(|told| *told == Told::Heartbeat)
}

fn is_offline(told: &Told) -> bool {
    matches!(told, Told::Offline(_))
}

#[test]
fn the_answer_that_lies_in_the_socket_is_read_and_the_link_lives() {
    let mut world = before_the_night(true);
    world.sleep(NIGHT);
    let (start, beats) = (world.now, world.link.endpoint().stats().heartbeats);
    world.run(20);
    assert_eq!(world.link.endpoint().stats().heartbeats - beats, 1, "what was read is as old as the night");
    assert_eq!(world.count(is_offline), 0);
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Learned(_))), 0, "a night teaches nothing");
}

#[test]
fn a_link_that_died_after_the_answer_that_lies_in_the_socket_has_five_seconds() {
    let mut world = before_the_night(true);
    world.sleep(NIGHT);
    world.wire.as_mut().unwrap().up.swallow();
    let start = world.now;
    world.run(6);
    assert_eq!(world.last(is_offline), Some(start + secs(5)));
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Learned(_))), 0);
}

#[test]
fn after_a_night_a_live_link_is_asked_once() {
    let mut world = before_the_night(false);
    let before = heartbeats(&world);
    world.sleep(NIGHT);
    let wake_ups = world.wake_ups;
    world.run(20);
    assert_eq!((heartbeats(&world) - before, world.count(is_offline)), (1, 0));
    assert!(world.wake_ups - wake_ups <= 4, "{} wake-ups", world.wake_ups - wake_ups);
}

#[test]
fn after_a_night_a_dead_link_has_five_seconds() {
    for is_asking in [false, true] {
        let mut world = before_the_night(is_asking);
        world.wire.as_mut().unwrap().swallow();
        world.sleep(NIGHT);
        let start = world.now;
        world.run(1);
        assert_eq!((world.timer(), world.wait()), (Some(Timer::Answer), secs(4)));
        world.run_for(Duration::from_millis(4_001));
        assert_eq!(world.last(is_offline), Some(start + secs(5)));
        assert!(world.was_told(&Told::Offline(Disconnect::HeartbeatLost)));
        world.run_online(secs(6));
        world.run(20);
        assert_eq!(world.count_since(start, |told| matches!(told, Told::Learned(_))), 0, "that was the night's fault");
    }
}

#[test]
fn with_a_clock_that_stood_still_wake_asks_once_and_a_live_link_stays() {
    let mut world = before_the_night(false);
    let before = heartbeats(&world);
    world.sleep_without_clock(NIGHT);
    world.command(|client, now| client.wake(now));
    world.run(5);
    assert_eq!((heartbeats(&world) - before, world.count(is_offline)), (1, 0));
    world.run(2);
    assert_eq!(heartbeats(&world) - before, 1);
}

#[test]
fn with_a_clock_that_stood_still_wake_finds_a_dead_link_in_five_seconds() {
    let mut world = before_the_night(true);
    world.wire.as_mut().unwrap().swallow();
    world.sleep_without_clock(NIGHT);
    let start = world.now;
    world.command(|client, now| client.wake(now));
    world.run(6);
    assert_eq!(world.last(is_offline), Some(start + secs(5)));
    world.run_online(secs(6));
}

#[test]
fn the_answer_that_came_before_the_wake_up_does_not_stand_for_the_one_after_it() {
    let mut world = before_the_night(true);
    world.run_for(Duration::from_millis(1));
    world.sleep_without_clock(NIGHT);
    world.wire.as_mut().unwrap().up.swallow();
    let start = world.now;
    world.command(|client, now| client.wake(now));
    world.run(6);
    assert_eq!(world.last(is_offline), Some(start + secs(5)), "what was read was written before the night");
}

#[test]
fn attempts_that_slept_are_given_up_and_the_round_begins_again_at_once() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead]);
    world.run_for(Duration::from_millis(1_500));
    world.sleep(NIGHT);
    world.place(addresses(1)[0], Site::Alive);
    let start = world.now;
    assert!(world.run_online(secs(1)) < secs(1));
    assert_eq!(world.tries_since(start), [(0, 0)], "the same order: nothing was charged");
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Abandon(_))), 2);
}

/// It was connected before the night, and the server has long closed what nobody greeted on.
#[test]
fn an_attempt_that_is_told_to_have_succeeded_after_a_night_is_too_late() {
    let mut world = World::opened(DIALING, &[Site::Dead]);
    world.run_for(Duration::from_millis(500));
    let attempt = world.out()[0];
    world.sleep(NIGHT);
    world.place(addresses(1)[0], Site::Alive);
    assert!(!world.answer_late(attempt));
    assert!(world.run_online(secs(1)) < secs(1), "by another attempt");
}

/// The platform ends the attempt when the device wakes up, as it should have hours ago.
#[test]
fn an_attempt_that_is_told_to_have_failed_after_a_night_is_not_charged() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead]);
    world.run_for(Duration::from_millis(500));
    let attempt = world.out()[0];
    world.sleep(NIGHT);
    addresses(2).into_iter().for_each(|address| world.place(address, Site::Alive));
    world.refuse(attempt, Fault::Silent);
    world.run_online(secs(1));
    assert_eq!(world.place_of_link(), Some(0), "first in the list, and nothing is known against it");
}

#[test]
fn a_wait_that_was_slept_through_is_over() {
    let mut world = World::opened(DIALING, &[Site::Refusing; 2]);
    world.run(120);
    assert_eq!(world.timer(), Some(Timer::Reconnect));
    world.sleep(NIGHT);
    world.place(addresses(1)[0], Site::Alive);
    assert!(world.run_online(secs(1)) < secs(1));
}

#[test]
fn a_device_that_naps_all_the_time_does_not_try_all_the_time() {
    let mut world = World::opened(DIALING, &[Site::Dead; 3]);
    let start = world.now;
    for _ in 0..300 {
        world.run(2);
        world.sleep(secs(10));
    }
    let tries = world.tries_since(start).len();
    assert!(tries <= 60 * 3 * 4, "{tries} in an hour");
}

#[test]
fn messages_written_before_the_night_are_not_charged_for_it() {
    let mut world = before_the_night(false);
    world.office.borrow_mut().stalls = true;
    world.send(b"late").unwrap();
    for _ in 0..10 {
        world.sleep(secs(3_600));
        world.run(3);
    }
    world.wire.as_mut().unwrap().down.reset();
    world.office.borrow_mut().stalls = false;
    world.run(70);
    assert!(world.was_told(&Told::Delivered(1)), "{:?}", world.history);
}

#[test]
fn a_network_that_went_away_in_the_night_is_noticed_by_the_same_question() {
    let mut world = before_the_night(false);
    world.set_air(Air::Lost);
    world.sleep(NIGHT);
    let start = world.now;
    world.run(10);
    assert_eq!(world.last(is_offline), Some(start + secs(5)));
    world.set_air(Air::Clear);
    world.run_online(secs(125));
    assert_eq!(world.place_of_link(), Some(0));
}

#[test]
fn waking_a_thousand_times_asks_no_more_than_a_thousand_times() {
    let mut world = World::online(Config { ..DIALING }, &[Site::Alive]);
    let before = heartbeats(&world);
    for _ in 0..1_000 {
        world.command(|client, now| client.wake(now));
    }
    world.run(5);
    assert!(heartbeats(&world) - before <= 2, "one is under way at most: {}", heartbeats(&world) - before);
}
