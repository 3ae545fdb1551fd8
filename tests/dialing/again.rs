//! When a client connects again, after what: delays that a server names, back-off, networks, sleep.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, home, in_background, secs};
use longlink::liveness::Activity;
use longlink::session::{Disconnect, GoAway, GoAwayCode, HelloStatus, Refuse, Timer};
use longlink::wire::Dialect;
use std::time::Duration;

fn goaway(code: GoAwayCode, seconds: u64) -> GoAway {
    GoAway::new(code).with_retry_after(secs(seconds))
}

/// Online, and then told to go away.
fn sent_away(goaway: GoAway) -> World {
    let mut world = World::online(DIALING, &[Site::Alive; 2]);
    world.serve(|server, now| server.close(now, goaway));
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.count(|told| matches!(told, Told::Offline(Disconnect::GoAway(_)))), 1, "{:?}", world.history);
    world
}

/// What the platform and the user do all the time.
fn bustle(world: &mut World) {
    world.command(|client, now| client.wake(now));
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.command(|client, now| client.set_activity(now, Activity::Foreground));
    world.command(|client, now| client.set_network(now, None, None));
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.command(|client, now| client.close(now));
    world.command(|client, now| client.open(now, 7));
    let _ = world.send(b"now, please");
}

#[test]
fn nothing_but_force_and_new_addresses_beats_the_delay_of_a_goaway() {
    let mut world = sent_away(goaway(GoAwayCode::Restart, 60));
    let start = world.now;
    for _ in 0..58 {
        bustle(&mut world);
        world.run(1);
    }
    assert_eq!(world.tries_since(start), [], "not before");
    let took = world.run_online(secs(33));
    assert!(took > secs(1), "{took:?}");
}

#[test]
fn a_refused_greeting_with_a_delay_is_not_repeated_before_that() {
    let mut world = World::opened(DIALING, &[Site::Alive; 2]);
    let busy = Refuse { retry_after: secs(60), ..Refuse::new(HelloStatus::Busy) };
    world.office.borrow_mut().refuse = Some(busy);
    world.run(1);
    assert_eq!(world.office.borrow().greetings, 1);
    world.office.borrow_mut().refuse = None;
    let start = world.now;
    for _ in 0..58 {
        bustle(&mut world);
        world.run(1);
    }
    assert_eq!(world.tries_since(start), []);
    world.run_online(secs(33));
}

/// The server says goaway, and its stream does not end yet.
fn say_goaway(world: &mut World, seconds: u64) {
    let wire = world.wire.as_mut().unwrap();
    wire.server = None;
    let body = goaway(GoAwayCode::Restart, seconds).to_bytes();
    wire.down.write(world.now, &crate::support::frame(&Dialect::LONGLINK, 247, 0, &body));
    world.run_for(Duration::from_millis(100));
    assert!(world.was_told(&Told::GoAway(GoAwayCode::Restart)) && world.wire.is_some());
}

#[test]
fn the_delay_holds_for_who_closes_before_the_link_has_ended() {
    let mut world = World::online(DIALING, &[Site::Alive; 2]);
    say_goaway(&mut world, 60);
    world.command(|client, now| client.close(now));
    let start = world.now;
    world.run(10);
    world.command(|client, now| client.open(now, 1));
    world.run(49);
    assert_eq!(world.tries_since(start), []);
    world.run_online(secs(32));
}

#[test]
fn the_delay_holds_for_a_device_that_rests_before_the_link_has_ended() {
    let mut world = World::online(in_background(Some(secs(10))), &[Site::Alive]);
    world.run_for(Duration::from_millis(4_500));
    say_goaway(&mut world, 60);
    world.run(7);
    assert!(world.link.endpoint().is_dormant(), "{:?}", world.history);
    let start = world.now;
    world.send(b"wakes it").unwrap();
    world.run(50);
    assert_eq!(world.tries_since(start), []);
}

#[test]
fn who_insists_does_not_wait_for_the_delay() {
    let mut world = sent_away(goaway(GoAwayCode::Overload, 60));
    world.command(|client, now| client.connect_now(now));
    assert!(world.run_online(secs(1)) < secs(1));
}

#[test]
fn a_new_address_does_not_wait_for_the_delay_and_the_same_list_does() {
    let mut world = sent_away(goaway(GoAwayCode::Overload, 60));
    let start = world.now;
    world.command(|client, now| client.set_addresses(now, &addresses(2)).unwrap());
    world.command(|client, now| client.set_addresses(now, &addresses(1)).unwrap());
    world.run(10);
    assert_eq!(world.tries_since(start), [], "nothing new in it");
    world.command(|client, now| client.set_addresses(now, &addresses(3)).unwrap());
    assert!(world.run_online(secs(1)) < secs(1));
}

#[test]
fn a_forged_delay_keeps_nobody_away_for_more_than_an_hour_and_a_half() {
    let mut world = sent_away(goaway(GoAwayCode::Overload, 1 << 40));
    let took = world.run_online(secs(5_400));
    assert!(took >= secs(3_599), "{took:?}");
}

#[test]
fn the_delay_is_over_with_the_next_link() {
    let mut world = sent_away(goaway(GoAwayCode::Restart, 600));
    world.command(|client, now| client.connect_now(now));
    world.run_online(secs(1));
    world.run(31);
    world.serve(|server, now| server.close(now, GoAway::new(GoAwayCode::Restart)));
    assert!(world.run_online(secs(20)) < secs(20));
}

#[test]
fn devices_with_other_seeds_come_back_at_other_times() {
    let mut times: Vec<u64> = (0..200)
        .map(|seed| {
            let mut world = World::new(DIALING);
            let list = addresses(1);
            world.place(list[0], Site::Alive);
            world.command(|client, now| {
                client.set_addresses(now, &list).unwrap();
                client.open(now, seed);
            });
            world.run(5);
            world.serve(|server, now| server.close(now, goaway(GoAwayCode::Restart, 60)));
            let start = world.now;
            world.run(100);
            world.tries_since(start)[0].0
        })
        .collect();
    times.sort_unstable();
    assert!(times[0] >= 60_000 && times[199] <= 90_100, "{} to {}", times[0], times[199]);
    let most =
        (0..30).map(|n| times.iter().filter(|at| (60_000 + n * 1_000..61_000 + n * 1_000).contains(*at)).count());
    assert!(most.max().unwrap() <= 20, "spread over the half minute: {times:?}");
}

#[test]
fn another_device_of_the_same_name_is_given_way_for_a_minute_and_twice_as_long_each_time() {
    let mut world = World::online(DIALING, &[Site::Alive]);
    let mut last = 0;
    for wait in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
        world.serve(|server, now| server.close(now, GoAway::new(GoAwayCode::Replaced)));
        world.run(1);
        bustle(&mut world);
        let took = world.run_online(secs(wait * 3 / 2)).as_secs() + 1;
        assert!(took >= wait && took > last / 2, "{took} s after {last} s, at least {wait}");
        last = took;
    }
}

#[test]
fn two_devices_of_one_name_greet_a_few_times_an_hour() {
    let mut world = World::opened(DIALING, &[Site::Alive]);
    let start = world.now;
    while world.now < start + secs(3_600) {
        world.run(1);
        if world.link.endpoint().is_online() {
            world.serve(|server, now| server.close(now, GoAway::new(GoAwayCode::Replaced)));
        }
    }
    let greetings = world.office.borrow().greetings;
    assert!((3..=7).contains(&greetings), "{greetings}");
}

#[test]
fn a_device_that_is_not_wanted_says_so_and_stops() {
    for code in [GoAwayCode::Blocked, GoAwayCode::TokenExpired] {
        let mut world = sent_away(goaway(code, 0));
        let start = world.now;
        assert!(!world.link.endpoint().wants_link());
        world.command(|client, now| client.wake(now));
        world.command(|client, now| client.set_network(now, Some(home()), None));
        world.command(|client, now| client.set_activity(now, Activity::Background));
        world.command(|client, now| client.set_activity(now, Activity::Foreground));
        world.command(|client, now| client.set_addresses(now, &addresses(4)).unwrap());
        world.send(b"nobody takes it").unwrap();
        world.run(24 * 3_600);
        assert_eq!((world.tries_since(start), world.timer()), (vec![], Some(Timer::Delivery)));
        world.command(|client, now| client.open(now, 1));
        world.run_online(secs(1));
    }
}

#[test]
fn a_device_that_is_refused_for_good_says_so_and_stops() {
    for status in
        [HelloStatus::TokenRefused, HelloStatus::TokenExpired, HelloStatus::DeviceRefused, HelloStatus::Version]
    {
        let mut world = World::opened(DIALING, &[Site::Alive; 3]);
        world.office.borrow_mut().refuse = Some(Refuse::new(status));
        world.run(3_600);
        assert_eq!(world.office.borrow().greetings, 1, "{status:?}");
        assert_eq!(world.count(|told| matches!(told, Told::Offline(Disconnect::Rejected(_)))), 1);
        assert!(!world.link.endpoint().wants_link());
        assert_eq!(world.timer(), None);
    }
}

#[test]
fn a_server_that_says_moved_has_the_addresses_resolved() {
    let world = sent_away(goaway(GoAwayCode::Moved, 10));
    assert!(world.was_told(&Told::Resolve));
}

#[test]
fn a_server_that_greets_and_ends_is_met_ever_more_seldom() {
    let mut world = World::opened(DIALING, &[Site::Brief]);
    world.run(3_600);
    let start = world.now;
    world.run(3_600);
    let tries = world.tries_since(start).len();
    assert!((20..=70).contains(&tries), "{tries} in an hour");
    assert!(world.count(|told| *told == Told::Online) < 200);
}

#[test]
fn a_server_that_greets_and_ends_does_not_keep_the_device_off_the_others() {
    let mut world = World::opened(DIALING, &[Site::Brief, Site::Alive]);
    world.run(60);
    assert!(world.link.endpoint().is_online() && world.place_of_link() == Some(1), "{:?}", world.history);
    assert!(world.count(|told| *told == Told::Online) <= 3);
}

#[test]
fn a_server_that_is_busy_does_not_keep_the_device_off_the_others() {
    let mut world = World::opened(DIALING, &[Site::Busy, Site::Alive]);
    let took = world.run_online(secs(92));
    assert!(took >= secs(60) && world.place_of_link() == Some(1), "{took:?}");
}

#[test]
fn a_link_that_settled_something_makes_up_for_all_failures_and_a_short_one_that_did_not_is_one_more() {
    for settles in [true, false] {
        let mut world = World::opened(DIALING, &[Site::Refusing]);
        world.run(300);
        world.place(addresses(1)[0], Site::Alive);
        world.command(|client, now| client.connect_now(now));
        world.run_online(secs(1));
        if settles {
            world.send(b"stored").unwrap();
        }
        world.run(2);
        world.wire.as_mut().unwrap().down.reset();
        let took = world.run_online(secs(125));
        assert_eq!(took <= secs(11), settles, "{took:?}");
    }
}

#[test]
fn a_device_whose_network_comes_and_goes_each_second_tries_a_few_times_a_minute() {
    let mut world = World::opened(DIALING, &[Site::Alive; 3]);
    for second in 0..3_600 {
        let network = (second % 2 == 1).then(home);
        world.set_air(if network.is_some() { Air::Clear } else { Air::Off });
        world.command(|client, now| client.set_network(now, network, None));
        world.run(1);
    }
    let tries =
        world.tries_since(world.now + Duration::ZERO).len() + world.count(|told| matches!(told, Told::Connect(_)));
    assert!((60..=60 * 8).contains(&tries), "{tries} in an hour");
}

#[test]
fn a_network_that_was_down_for_ten_minutes_leaves_no_bans_and_costs_one_attempt() {
    let mut world = World::online(DIALING, &[Site::Alive; 5]);
    world.set_air(Air::Lost);
    world.run(600);
    world.set_air(Air::Clear);
    let start = world.now;
    // Nobody told of it, so that is the next round.
    let took = world.run_online(secs(125));
    let tries = world.tries_since(start);
    assert!(tries.len() == 1 && world.place_of_link() == Some(0), "{took:?}: {tries:?}");
}

#[test]
fn a_network_that_is_known_to_be_back_is_used_at_once() {
    let mut world = World::new(DIALING);
    let list = addresses(5);
    list.iter().for_each(|address| world.place(*address, Site::Alive));
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.open(&list);
    world.run(60);
    world.set_air(Air::Off);
    world.command(|client, now| client.set_network(now, None, None));
    let start = world.now;
    world.run(470);
    assert_eq!(world.tries_since(start), [], "there is nowhere to go");
    world.run(130);
    world.set_air(Air::Clear);
    let start = world.now;
    world.command(|client, now| client.set_network(now, Some(home()), None));
    assert!(world.run_online(secs(1)) < secs(1));
    assert_eq!(world.tries_since(start), [(0, 0)]);
}

#[test]
fn without_a_network_it_is_tried_twice_an_hour_or_a_little_more() {
    let mut world = World::online(DIALING, &[Site::Alive; 3]);
    world.set_air(Air::Off);
    world.command(|client, now| client.set_network(now, None, None));
    let start = world.now;
    world.run(4 * 3_600);
    let rounds = world.tries_since(start).len() / 3;
    assert!((12..=30).contains(&rounds), "{rounds} in four hours");
}

/// Online for a while in a network that is named.
fn at_home() -> World {
    let mut world = World::new(DIALING);
    let list = addresses(1);
    world.place(list[0], Site::Alive);
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.open(&list);
    world.run(100);
    world
}

#[test]
fn another_network_ends_the_link_and_the_next_begins_at_once() {
    let mut world = at_home();
    let start = world.now;
    world.command(|client, now| client.set_network(now, Some(longlink::liveness::Network::named(b"lte")), None));
    assert!(world.run_online(secs(1)) < secs(1));
    assert!(world.was_told(&Told::Offline(Disconnect::NetworkChanged)));
    assert_eq!(world.tries_since(start), [(0, 0)]);
}

#[test]
fn the_same_network_again_is_no_reason_to_connect_again() {
    let mut world = at_home();
    for _ in 0..10 {
        world.command(|client, now| client.set_network(now, Some(home()), None));
        world.run(2);
    }
    assert_eq!(world.count(|told| *told == Told::Online), 1);
    assert_eq!(world.count(|told| matches!(told, Told::Offline(_))), 0);
}

#[test]
fn what_cannot_be_had_for_long_is_asked_for_in_another_way() {
    let mut world = World::opened(DIALING, &[Site::Refusing]);
    let start = world.now;
    world.run(901);
    assert_eq!(world.count(|told| *told == Told::Poll), 10);
    assert_eq!(world.last(|told| *told == Told::Poll), Some(start + secs(900)));
    world.place(addresses(1)[0], Site::Alive);
    world.run_online(secs(121));
    let online = world.now;
    world.run(600);
    assert_eq!(world.count_since(online, |told| *told == Told::Poll), 0, "not while there is a link");
}
