//! The background: how long a link is kept, how it ends, and what a dormant device still does.

use crate::support::dialing::{DIALING, Site, Told, World, addresses, in_background, secs};
use longlink::Instant;
use longlink::delivery::Failure;
use longlink::liveness::Activity;
use longlink::session::{Client, Config, DialerConfig, Disconnect, GoAwayCode, Timer};
use std::time::Duration;

const LINGER: Duration = secs(180);

fn is_dormant(told: &Told) -> bool {
    matches!(told, Told::Dormant(_))
}

/// Online for ten seconds, and then nobody looks any more.
fn left() -> World {
    let mut world = World::online(DIALING, &[Site::Alive]);
    world.run(5);
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world
}

/// A device that rests with two messages, of which one lives for `short` seconds and the other for twice that.
fn dormant_with_two(config: Config<'static>, short: u64) -> World {
    let mut world = World::online(config, &[Site::Alive]);
    world.office.borrow_mut().stalls = true;
    world.send_for(secs(short), b"one");
    world.send_for(secs(2 * short), b"two");
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.run(260);
    assert!(world.link.endpoint().is_dormant(), "{:?}", world.history);
    world
}

#[test]
fn in_the_background_a_link_is_kept_for_three_minutes_and_then_closed_in_good_order() {
    let mut world = left();
    world.run_for(LINGER - Duration::from_millis(1));
    assert!(world.link.endpoint().is_online());
    world.run(1);
    assert!(!world.link.endpoint().is_online());
    world.run(5);
    assert_eq!(world.office.borrow().goaways, [GoAwayCode::Done], "the server is told");
    let told: Vec<_> = world.history.iter().rev().take(2).map(|(_, told)| told.clone()).collect();
    assert_eq!(told, [Told::Dormant(0), Told::Offline(Disconnect::Closed)]);
    assert!(world.link.endpoint().is_dormant() && world.link.endpoint().wants_link());
}

#[test]
fn a_dormant_device_has_no_timer_and_does_nothing() {
    let mut world = left();
    world.run(200);
    let (start, wake_ups) = (world.now, world.wake_ups);
    assert_eq!(world.timer(), None);
    world.run(30 * 24 * 3_600);
    assert_eq!((world.tries_since(start).len(), world.wake_ups), (0, wake_ups));
}

#[test]
fn whatever_calls_for_a_link_wakes_a_dormant_device() {
    type Call = fn(&mut Client<'static>, Instant);
    let calls: [(&str, Call); 4] = [
        ("wake", |client, now| client.wake(now)),
        ("foreground", |client, now| client.set_activity(now, Activity::Foreground)),
        ("connect_now", |client, now| client.connect_now(now)),
        ("send", |client, now| {
            client.send(now, b"hello").unwrap();
        }),
    ];
    for (name, call) in calls {
        let mut world = left();
        world.run(3_600);
        world.command(call);
        assert!(world.run_online(secs(1)) < secs(1), "{name}");
        assert_eq!(world.count(is_dormant), 1);
    }
}

#[test]
fn a_device_that_was_woken_in_the_background_rests_again_after_as_long() {
    let mut world = left();
    world.run(3_600);
    world.send(b"from the background").unwrap();
    world.run_for(LINGER - secs(1));
    assert!(world.link.endpoint().is_online());
    world.run(10);
    assert!(world.link.endpoint().is_dormant());
    assert_eq!(world.office.borrow().service.bodies(), ["from the background"]);
}

#[test]
fn another_network_does_not_wake_a_dormant_device() {
    let mut world = left();
    world.run(3_600);
    let start = world.now;
    world.command(|client, now| client.set_network(now, None, None));
    world.command(|client, now| client.set_network(now, Some(crate::support::dialing::home()), None));
    world.command(|client, now| client.set_addresses(now, &addresses(3)).unwrap());
    world.run(3_600);
    assert_eq!((world.tries_since(start), world.timer()), (vec![], None));
}

#[test]
fn a_message_wakes_nobody_where_that_is_not_wanted() {
    let dialer = Some(DialerConfig { wakes: false, ..DialerConfig::DEFAULT });
    let mut world = World::online(Config { dialer, ..DIALING }, &[Site::Alive]);
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.run(300);
    let start = world.now;
    world.send(b"later").unwrap();
    world.run(24 * 3_600);
    assert_eq!((world.tries_since(start), world.timer()), (vec![], Some(Timer::Delivery)));
    world.command(|client, now| client.set_activity(now, Activity::Foreground));
    world.run(5);
    assert_eq!(world.office.borrow().service.bodies(), ["later"]);
}

#[test]
fn a_link_is_kept_a_minute_longer_while_something_is_unsettled() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(10));
    world.send(b"not decided").unwrap();
    world.run(69);
    assert!(world.link.endpoint().is_online(), "a minute has not passed");
    let start = world.now;
    world.run(15);
    assert!(world.was_told(&Told::Dormant(1)));
    // The answers that are owed are awaited for ten seconds.
    let took = world.last(is_dormant).unwrap() - start;
    assert!((secs(10)..secs(12)).contains(&took), "{took:?}");
}

#[test]
fn the_link_is_closed_as_soon_as_the_last_is_settled() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(10));
    world.send(b"decided late").unwrap();
    world.run(30);
    assert!(world.link.endpoint().is_online());
    let id = |world: &World| world.office.borrow().undecided.last().copied().unwrap();
    let id = id(&world);
    world.serve(|server, now| server.accept(now, &id).unwrap());
    world.run_for(Duration::from_millis(200));
    assert!(!world.link.endpoint().is_online(), "at once");
    world.run(1);
    assert!(world.was_told(&Told::Dormant(0)) && world.was_told(&Told::Delivered(1)));
}

#[test]
fn the_link_is_closed_as_soon_as_the_last_is_taken_back_or_has_expired() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(10));
    let token = world.send(b"taken back").unwrap();
    world.run(30);
    world.command(|client, now| client.cancel(now, token));
    world.run(5);
    assert!(world.link.endpoint().is_dormant(), "nothing is unsettled any more: {:?}", world.timer());
}

#[test]
fn a_dormant_device_says_how_much_is_unsettled_and_each_message_ends_by_its_lifetime() {
    let mut world = dormant_with_two(DIALING, 3_600);
    let start = Instant::from_secs(1_005);
    assert!(world.was_told(&Told::Dormant(2)));
    assert_eq!(world.timer(), Some(Timer::Delivery));
    assert_eq!(world.link.poll_timeout(), Some(start + secs(3_600)));
    world.run_for(start + secs(3_600) - world.now);
    assert!(world.was_told(&Told::Failed(1, Failure::Expired)));
    assert_eq!(world.link.poll_timeout(), Some(start + secs(7_200)));
    world.run_for(secs(3_600));
    assert!(world.was_told(&Told::Failed(2, Failure::Expired)));
    assert_eq!(world.timer(), None);
    assert_eq!(world.count(|told| matches!(told, Told::Failed(..))), 2, "each once");
}

#[test]
fn lifetimes_run_while_waiting_for_a_link_too() {
    let mut world = World::opened(DIALING, &[Site::Refusing]);
    world.run(30);
    world.send_for(secs(100), b"too late");
    let sent = world.now;
    world.run(200);
    assert_eq!(world.last(|told| *told == Told::Failed(1, Failure::Expired)), Some(sent + secs(100)));
}

#[test]
fn what_waited_for_a_dormant_device_arrives_once_it_is_awake() {
    let mut world = dormant_with_two(DIALING, 360_000);
    world.office.borrow_mut().stalls = false;
    world.run(3_600);
    world.command(|client, now| client.wake(now));
    world.run(60);
    assert_eq!(world.office.borrow().service.bodies(), ["one", "two"]);
    assert!(world.was_told(&Told::Delivered(1)) && world.was_told(&Told::Delivered(2)));
}

#[test]
fn who_looks_again_while_the_link_is_closing_gets_another_and_no_rest() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(10));
    world.send(b"not decided").unwrap();
    world.run(71);
    assert!(!world.link.endpoint().is_online() && world.wire.is_some(), "closing");
    world.command(|client, now| client.set_activity(now, Activity::Foreground));
    world.run(30);
    assert!(world.link.endpoint().is_online());
    assert_eq!(world.count(is_dormant), 0);
}

#[test]
fn a_message_for_a_link_that_is_closing_gets_another() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(10));
    world.send(b"one").unwrap();
    world.run(71);
    assert!(!world.link.endpoint().is_online() && world.wire.is_some(), "closing");
    world.office.borrow_mut().stalls = false;
    world.send(b"two").unwrap();
    world.run(30);
    assert_eq!(world.office.borrow().service.bodies(), ["one", "two"]);
    assert_eq!(world.count(is_dormant), 0);
}

#[test]
fn looking_for_a_moment_starts_the_linger_again() {
    let mut world = left();
    world.run(170);
    world.command(|client, now| client.set_activity(now, Activity::Foreground));
    world.run(1);
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.run_for(LINGER - secs(1));
    assert!(world.link.endpoint().is_online());
    assert_eq!(world.timer(), Some(Timer::Linger));
    world.run(5);
    assert!(world.link.endpoint().is_dormant());
}

#[test]
fn saying_again_what_is_known_does_not_keep_the_link() {
    let mut world = left();
    for _ in 0..20 {
        world.command(|client, now| client.set_activity(now, Activity::Background));
        world.run(10);
    }
    assert!(world.link.endpoint().is_dormant());
}

#[test]
fn a_device_that_nobody_looks_at_keeps_its_link_for_ever() {
    let mut world = World::online(in_background(None), &[Site::Alive]);
    world.run(3 * 24 * 3_600);
    assert_eq!(world.count(is_dormant) + world.count(|told| matches!(told, Told::Offline(_))), 0);
}

#[test]
fn a_device_that_starts_in_the_background_lingers_from_its_start() {
    let mut world = World::online(in_background(Some(LINGER)), &[Site::Alive]);
    world.run(170);
    assert!(world.link.endpoint().is_online());
    world.run(10);
    assert!(world.link.endpoint().is_dormant());
}

#[test]
fn a_device_that_finds_no_link_in_the_background_stops_trying_after_the_linger() {
    let mut world = World::opened(in_background(Some(LINGER)), &[Site::Refusing; 2]);
    world.run(181);
    assert!(world.link.endpoint().is_dormant() && world.was_told(&Told::Dormant(0)));
    let start = world.now;
    world.run(24 * 3_600);
    assert_eq!((world.tries_since(start), world.timer()), (vec![], None));
}

#[test]
fn in_the_background_it_is_tried_seldom() {
    let mut world = World::opened(in_background(None), &[Site::Refusing]);
    world.run(3_600);
    let start = world.now;
    world.run(24 * 3_600);
    let tries = world.tries_since(start).len();
    assert!((140..=290).contains(&tries), "{tries} a day, every 5 to 10 min");
}

#[test]
fn a_device_that_slept_through_the_end_of_its_linger_closes_when_it_wakes() {
    let mut world = left();
    world.sleep(secs(8 * 3_600));
    world.run(20);
    assert!(world.link.endpoint().is_dormant(), "{:?}", world.history);
}

#[test]
fn attempts_are_abandoned_when_the_linger_is_over() {
    let mut world = World::opened(in_background(Some(secs(200))), &[Site::Dead; 3]);
    world.run(195);
    assert!(world.out().is_empty());
    let start = world.now;
    world.command(|client, now| client.set_addresses(now, &addresses(4)).unwrap());
    world.run(4);
    let out = world.out();
    assert_eq!(out.len(), 3, "a new address begins a round");
    world.run(2);
    assert!(world.link.endpoint().is_dormant() && world.out().is_empty());
    assert_eq!(world.count_since(start, |told| matches!(told, Told::Abandon(_))), 3);
    assert!(!world.answer_late(out[0]));
    world.run(60);
    assert!(world.wire.is_none() && !world.link.endpoint().is_online());
}

#[test]
fn a_link_is_tried_for_half_a_minute_however_short_it_is_to_be_kept() {
    let mut world = World::opened(in_background(Some(secs(5))), &[Site::Dead; 4]);
    world.place(addresses(4)[3], Site::Alive);
    world.run_online(secs(11));
    world.run(4);
    assert!(world.link.endpoint().is_online());
    world.run(2);
    assert!(!world.link.endpoint().is_online());
    let mut world = World::opened(in_background(Some(secs(5))), &[Site::Dead; 4]);
    world.run(31);
    assert!(world.link.endpoint().is_dormant() && world.timer().is_none());
}

#[test]
fn links_that_break_again_and_again_do_not_keep_a_device_awake_in_the_background() {
    let mut world = left();
    for _ in 0..6 {
        world.run(100);
        if let Some(wire) = &mut world.wire {
            wire.down.reset();
        }
    }
    assert!(world.link.endpoint().is_dormant(), "{:?}", world.history);
}

/// The linger is no reason to break off what is being asked for: requests count as unsettled.
#[test]
fn a_request_keeps_the_link_like_a_message() {
    let mut world = left();
    world.office.borrow_mut().stalls = true;
    world.run_for(LINGER - secs(1));
    world.command(|client, now| client.request(now, 1_000, b"?").unwrap());
    world.run(10);
    assert!(world.link.endpoint().is_online());
    world.run(21);
    assert!(world.link.endpoint().is_dormant(), "its time is up");
}
