//! What the platform says late, twice or in between.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, home, secs};
use longlink::Instant;
use longlink::liveness::{Activity, Address, Fault, Network, Presence, Reconnect};
use longlink::session::Disconnect;

fn offlines(world: &World, start: Instant) -> usize {
    world.count_since(start, |told| matches!(told, Told::Offline(_)))
}

/// The network is back, a push or the user has the device connect, and only then the platform says that there is one.
fn online_before_the_platform_knows() -> World {
    let mut world = World::new(DIALING);
    world.place(addresses(1)[0], Site::Alive);
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.open(&addresses(1));
    world.run(60);
    world.command(|client, now| client.set_network(now, None, None));
    world.set_air(Air::Off);
    world.run(60);
    world.set_air(Air::Clear);
    world.command(|client, now| client.connect_now(now));
    world.run(5);
    assert!(world.link.endpoint().is_online());
    world
}

#[test]
fn a_link_of_this_network_stays_when_the_platform_notices_the_network() {
    let mut world = online_before_the_platform_knows();
    let start = world.now;
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.run(60);
    assert_eq!(offlines(&world, start), 0, "it is asked, not given up");
}

#[test]
fn a_platform_that_was_wrong_about_the_network_does_not_keep_the_device_off_for_minutes() {
    let mut world = online_before_the_platform_knows();
    world.run(3_600);
    let start = world.now;
    world.wire.as_mut().unwrap().down.reset();
    world.run(1);
    assert_eq!(offlines(&world, start), 1);
    assert!(world.run_online(secs(60)) < secs(30));
}

/// Wi-Fi goes, the carrier comes, and back: two changes, with nothing in between each time.
#[test]
fn three_changes_of_the_network_in_a_minute_are_followed_at_once() {
    let mut world = World::opened(DIALING, &[Site::Alive]);
    world.run(60);
    for label in [&b"carrier"[..], b"home", b"carrier"] {
        world.command(|client, now| client.set_network(now, None, None));
        world.run(2);
        world.command(|client, now| client.set_network(now, Some(Network::named(label)), None));
        let took = world.run_online(secs(600));
        assert!(took < secs(2), "{took:?}: three immediate attempts a minute, and none was made without a network");
        world.run(5);
    }
}

/// Android tells of a network again and again; where its name is not known it is told as unknown.
#[test]
fn a_link_in_an_unknown_network_survives_being_told_of_it_again() {
    let mut world = World::opened(DIALING, &[Site::Alive]);
    world.command(|client, now| client.set_network(now, Some(Network::UNKNOWN), None));
    world.run(60);
    let start = world.now;
    for _ in 0..10 {
        world.command(|client, now| client.set_network(now, Some(Network::UNKNOWN), None));
        world.run(60);
    }
    assert_eq!(offlines(&world, start), 0);
}

/// A check of the old network that the change of the network ended.
#[test]
fn a_check_that_ends_with_its_network_is_not_charged_in_the_next() {
    let mut world = World::new(DIALING);
    let list = [Address::new(0, 8_080), Address::new(1, 8_080), Address::new(2, 8_080).fallback()];
    world.place(list[2], Site::Alive);
    world.open(&list);
    world.run(155);
    let out = world.out();
    assert!(out.len() == 1 && out[0].is_check() && out[0].address() == list[0], "{out:?}");
    let (now, start) = (world.clock(), world.now);
    world.link.endpoint_mut().set_network(now, Some(home()), None);
    world.refuse(out[0], Fault::Refused);
    world.run(5);
    let first = world.tries_since(start).first().map(|(_, index)| *index);
    assert_eq!(first, Some(0), "in this network nothing is known of it");
}

/// The application connected by itself, and has the client take over while that link is up.
#[test]
fn a_crowd_of_links_that_were_up_when_the_client_was_opened_does_not_come_back_in_one_moment() {
    let mut world = World::new(DIALING);
    world.place(addresses(1)[0], Site::Alive);
    world.connect_by_hand();
    world.run(5);
    world.open(&addresses(1));
    world.run(3_600);
    assert!(world.link.endpoint().is_online());
    let start = world.now;
    world.wire.as_mut().unwrap().down.reset();
    world.settle();
    assert_eq!((offlines(&world, start), world.tries_since(start)), (1, vec![]), "somewhere within the window");
    assert!(world.wait() <= secs(20), "and it was no failure: {:?}", world.wait());
}

/// The contract of the crate: a clock that goes backwards stands still.
#[test]
fn a_clock_that_goes_backwards_grants_nothing() {
    let s = Instant::from_secs;
    let presence = Presence::new(Activity::Foreground, s(0));
    let mut reconnect = Reconnect::new(7);
    let mut granted = 0;
    for second in [1_000, 1_000, 1_000, 999, 998, 997] {
        reconnect.at_once(s(second), &presence);
        granted += usize::from(reconnect.poll_timeout() == Some(s(second)));
        reconnect.handle_attempt(s(second));
        reconnect.handle_closed(s(second));
    }
    assert_eq!(granted, 3);
}

/// An address that answers heartbeats and never a hello, as behind a balancer without a server, and a fallback that works.
#[test]
fn a_better_address_that_does_not_greet_costs_a_link_that_works_less_and_less() {
    let mut world = World::new(DIALING);
    let (better, fallback) = (Address::new(0, 8_080), Address::new(1, 8_080).fallback());
    world.place(better, Site::Mute);
    world.place(fallback, Site::Alive);
    world.open(&[better, fallback]);
    world.run(3_600);
    let start = world.now;
    world.run(4 * 3_600);
    let moved = world.count_since(start, |told| *told == Told::Offline(Disconnect::Moved));
    assert!(moved <= 10, "{moved} times in four hours a link that works was given up for ten seconds and more");
}
