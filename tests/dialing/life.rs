//! What the application may do at any time: open, close, connect by itself, name other addresses.

use crate::support::dialing::{DIALING, Site, Told, World, addresses, dialing_in, home, secs};
use longlink::Instant;
use longlink::liveness::{Activity, Address, TooManyAddresses};
use longlink::session::{Client, Config, ConfigError, Dialer, Disconnect, Timer, Work};
use longlink::wire::Dialect;
use std::time::Duration;

type Call = fn(&mut Client<'static>, Instant);

/// Everything but `open`.
const CALLS: [(&str, Call); 8] = [
    ("wake", |client, now| client.wake(now)),
    ("connect_now", |client, now| client.connect_now(now)),
    ("background", |client, now| client.set_activity(now, Activity::Background)),
    ("foreground", |client, now| client.set_activity(now, Activity::Foreground)),
    ("no network", |client, now| client.set_network(now, None, None)),
    ("network", |client, now| client.set_network(now, Some(home()), None)),
    ("addresses", |client, now| client.set_addresses(now, &addresses(5)).unwrap()),
    ("send", |client, now| {
        client.send(now, b"later").unwrap();
    }),
];

fn stays_closed(world: &mut World, when: &str) {
    let start = world.now;
    world.command(|client, now| client.close(now));
    world.run(20);
    assert!(!world.link.endpoint().wants_link() && !world.link.endpoint().is_dormant());
    for (name, call) in CALLS {
        world.command(call);
        world.run(600);
        assert_eq!(world.tries_since(start), [], "{name}, closed {when}");
    }
    assert_eq!(world.timer(), Some(Timer::Delivery), "the message's lifetime");
    assert!(world.out().is_empty() && world.wire.is_none());
    world.command(|client, now| client.open(now, 1));
    world.run_online(secs(5));
}

#[test]
fn after_close_nothing_leads_online_but_open() {
    let mut world = World::online(DIALING, &[Site::Alive; 2]);
    stays_closed(&mut world, "online");
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead, Site::Alive]);
    world.run_for(Duration::from_millis(1_500));
    stays_closed(&mut world, "dialing");
    let mut world = World::opened(DIALING, &[Site::Refusing, Site::Refusing]);
    world.run(1);
    world.place(addresses(1)[0], Site::Alive);
    assert_eq!(world.timer(), Some(Timer::Reconnect));
    stays_closed(&mut world, "waiting");
    let mut world = World::opened(DIALING, &[Site::Mute, Site::Alive]);
    world.run(1);
    assert_eq!(world.timer(), Some(Timer::Greeting));
    world.place(addresses(1)[0], Site::Alive);
    stays_closed(&mut world, "greeting");
    let mut world = World::online(DIALING, &[Site::Alive]);
    world.command(|client, now| client.set_activity(now, Activity::Background));
    world.run(300);
    assert!(world.link.endpoint().is_dormant());
    stays_closed(&mut world, "dormant");
}

#[test]
fn an_attempt_that_succeeds_after_close_is_too_late() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead]);
    world.run(2);
    let out = world.out();
    world.command(|client, now| client.close(now));
    assert!(out.iter().all(|attempt| !world.answer_late(*attempt)));
    assert_eq!(world.count(|told| matches!(told, Told::Abandon(_))), 2);
    world.run(60);
    assert!(!world.link.endpoint().is_online() && world.timer().is_none());
}

#[test]
fn whoever_opens_again_while_the_link_is_closing_gets_another_after_it() {
    let mut world = World::online(DIALING, &[Site::Alive]);
    world.office.borrow_mut().stalls = true;
    world.send(b"undecided").unwrap();
    world.run(1);
    world.command(|client, now| client.close(now));
    world.run(2);
    assert!(world.wire.is_some() && !world.link.endpoint().is_online());
    world.office.borrow_mut().stalls = false;
    world.command(|client, now| client.open(now, 1));
    let start = world.now;
    world.run(5);
    assert_eq!(world.tries_since(start), [], "one link at a time");
    let took = world.run_online(secs(10)) + secs(5);
    assert!(took < secs(9), "{took:?}");
    world.run(1);
    assert_eq!(world.office.borrow().service.bodies(), ["undecided"]);
}

#[test]
fn opening_twice_changes_nothing() {
    let mut world = World::online(DIALING, &[Site::Alive]);
    for _ in 0..10 {
        world.command(|client, now| client.open(now, 2));
        world.run(10);
    }
    assert_eq!((world.count(|told| *told == Told::Online), world.tries_since(Instant::ZERO).len()), (1, 1));
}

#[test]
fn opening_and_closing_all_the_time_is_not_a_way_around_the_wait() {
    let mut world = World::opened(DIALING, &[Site::Refusing]);
    let start = world.now;
    for _ in 0..600 {
        world.run(1);
        world.command(|client, now| client.close(now));
        world.command(|client, now| client.open(now, 2));
    }
    let tries = world.tries_since(start).len();
    assert!(tries <= 10 * 8, "{tries} in ten minutes");
}

#[test]
fn a_connection_made_by_the_application_is_the_link_and_the_attempts_are_given_up() {
    for config in [DIALING, dialing_in(&Dialect::MARS), dialing_in(&Dialect::GOIM)] {
        let mut world = World::opened(config, &[Site::Dead, Site::Dead, Site::Alive]);
        world.run_for(Duration::from_millis(1_500));
        world.connect_by_hand();
        assert!(world.out().is_empty());
        world.run(600);
        assert!(world.link.endpoint().is_online());
        assert_eq!(world.count(|told| matches!(told, Told::Offline(_))), 0);
        assert_eq!(world.tries_since(Instant::from_secs(1_002)), [], "no attempt while there is a link");
        world.wire.as_mut().unwrap().down.finish();
        world.run_online(secs(60));
        assert!(world.place_of_link().is_some(), "the next is dialed");
    }
}

#[test]
fn a_connection_made_by_the_application_takes_the_place_of_the_link_that_is_there() {
    let mut world = World::online(DIALING, &[Site::Alive]);
    world.connect_by_hand();
    world.run(60);
    assert_eq!(world.count(|told| *told == Told::Offline(Disconnect::Transport)), 1);
    assert_eq!((world.count(|told| *told == Told::Online), world.place_of_link()), (2, None));
    assert_eq!(world.tries_since(Instant::ZERO).len(), 1);
}

/// A client that was never opened has no seed, and nobody asked it to dial.
#[test]
fn who_never_opened_or_has_closed_connects_by_himself_and_nothing_is_dialed_after_that() {
    for closes in [false, true] {
        let mut world = World::new(DIALING);
        world.place(addresses(1)[0], Site::Alive);
        world.command(|client, now| client.set_addresses(now, &addresses(1)).unwrap());
        if closes {
            world.command(|client, now| client.open(now, 1));
            world.run(5);
            world.command(|client, now| client.close(now));
            world.run(5);
        }
        let start = world.now;
        world.connect_by_hand();
        world.run(60);
        assert!(world.link.endpoint().is_online() && !world.link.endpoint().wants_link());
        world.wire.as_mut().unwrap().down.finish();
        world.run(3_600);
        assert_eq!((world.tries_since(start), world.timer()), (vec![], None));
    }
}

#[test]
fn opening_with_a_link_that_was_made_by_hand_keeps_it() {
    let mut world = World::new(DIALING);
    world.place(addresses(1)[0], Site::Alive);
    world.connect_by_hand();
    world.run(5);
    world.open(&addresses(1));
    world.run(600);
    assert_eq!((world.count(|told| *told == Told::Online), world.tries_since(Instant::ZERO).len()), (1, 0));
    world.wire.as_mut().unwrap().down.finish();
    world.run_online(secs(30));
    assert_eq!(world.place_of_link(), Some(0));
}

#[test]
fn more_addresses_than_there_is_room_for_change_nothing() {
    let mut world = World::opened(DIALING, &[Site::Refusing; 8]);
    world.run(1);
    let refused = world.command(|client, now| client.set_addresses(now, &addresses(9)));
    assert_eq!(refused, Err(TooManyAddresses { limit: 8 }));
    let start = world.now;
    world.run(12);
    let tries = world.tries_since(start);
    assert!(tries.len() == 8 && tries.iter().all(|(_, index)| *index < 8), "{tries:?}");
}

#[test]
fn without_a_dialer_in_the_configuration_its_calls_do_nothing() {
    let mut world = World::new(Config { dialer: None, ..DIALING });
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    for (_, call) in CALLS {
        world.command(call);
    }
    world.run(600);
    assert_eq!(world.tries_since(Instant::ZERO), []);
    world.connect_by_hand();
    world.run(60);
    assert!(world.link.endpoint().is_online() && !world.link.endpoint().wants_link());
}

#[test]
fn a_dialer_needs_memory() {
    let (mut tx, mut slots) = ([0; 512], []);
    let work = Work { rx: 512, tx: &mut tx, slots: &mut slots, sync: None, dialer: None };
    assert_eq!(Client::new(&DIALING, work).map(|_| ()), Err(ConfigError::NoDialerMemory));
    let mut memory = Dialer::<[_; 0]>::new();
    let work = Work { rx: 512, tx: &mut tx, slots: &mut slots, sync: None, dialer: Some(&mut memory) };
    assert_eq!(Client::new(&DIALING, work).map(|_| ()), Err(ConfigError::NoDialerMemory), "for no address");
    let mut memory = Dialer::<[_; 1]>::new();
    let work = Work { rx: 512, tx: &mut tx, slots: &mut slots, sync: None, dialer: Some(&mut memory) };
    assert_eq!(Client::new(&DIALING, work).map(|_| ()), Ok(()));
}

#[test]
fn a_list_that_becomes_empty_ends_the_round_with_the_attempts_that_are_out() {
    let mut world = World::opened(DIALING, &[Site::Dead; 4]);
    world.run_for(Duration::from_millis(1_500));
    world.command(|client, now| client.set_addresses(now, &[]).unwrap());
    let start = world.now;
    world.run(11);
    assert_eq!(world.tries_since(start), []);
    assert!(world.was_told(&Told::Resolve) && world.out().is_empty());
}

#[test]
fn an_empty_list_is_asked_for_ever_more_seldom() {
    let mut world = World::opened(DIALING, &[]);
    world.run(3_600);
    let start = world.now;
    let before = world.count(|told| *told == Told::Resolve);
    world.run(3_600);
    let asked = world.count(|told| *told == Told::Resolve) - before;
    assert!((25..=70).contains(&asked), "{asked} in an hour after {start:?}");
}

#[test]
fn a_link_stays_where_it_is_when_its_address_leaves_the_list() {
    let mut world = World::online(DIALING, &[Site::Alive, Site::Dead]);
    world.command(|client, now| client.set_addresses(now, &[Address::new(7, 8_080)]).unwrap());
    world.run(600);
    assert!(world.link.endpoint().is_online() && world.place_of_link() == Some(0));
    assert_eq!(world.count(|told| *told == Told::Online), 1);
}

#[test]
fn a_new_address_joins_the_round_that_is_under_way() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead]);
    let list = addresses(3);
    world.place(list[2], Site::Alive);
    world.run(3);
    world.command(|client, now| client.set_addresses(now, &list).unwrap());
    let took = world.run_online(secs(8));
    assert!(took < secs(1), "{took:?}: there is a place");
}

#[test]
fn new_addresses_may_wait_for_a_place_but_not_for_another_round() {
    let mut world = World::opened(DIALING, &[Site::Dead, Site::Dead, Site::Dead]);
    let list = addresses(4);
    world.place(list[3], Site::Alive);
    let start = world.now;
    world.run(3);
    world.command(|client, now| client.set_addresses(now, &list).unwrap());
    world.run_online(secs(8));
    assert_eq!(world.tries_since(start).last(), Some(&(10_000, 3)));
}
