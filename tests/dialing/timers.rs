//! Timers and events of a client that dials, call by call.

use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, in_background, secs};
use longlink::Instant;
use longlink::liveness::Activity;
use longlink::session::{Attempt, Client, Endpoint, Event, Timer};
use std::time::Duration;

/// What the client has to tell about attempts, without anything else being done.
fn told(client: &mut Client<'static>) -> (Vec<Attempt>, Vec<Attempt>) {
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    while let Some(event) = client.poll_event() {
        match event {
            Event::Connect(attempt) => begun.push(attempt),
            Event::Abandon(attempt) => ended.push(attempt),
            _ => {}
        }
    }
    (begun, ended)
}

/// A client that was opened with three addresses, and nobody who asks what it has to tell.
fn unheard() -> World {
    let mut world = World::new(DIALING);
    let client = world.link.endpoint_mut();
    client.set_addresses(world.now, &addresses(3)).unwrap();
    client.open(world.now, 1);
    client.handle_timeout(world.now);
    world
}

#[test]
fn who_was_not_told_of_an_attempt_is_not_told_of_its_end() {
    let mut world = unheard();
    let client = world.link.endpoint_mut();
    let (first, _) = told(client);
    assert_eq!(first.len(), 1);
    client.handle_timeout(world.now + secs(1));
    client.handle_timeout(world.now + secs(2));
    assert!(client.handle_alive(world.now + secs(2), first[0]));
    assert_eq!(told(client), (vec![], vec![]), "two attempts came and went in silence");
}

#[test]
fn an_attempt_that_was_given_up_unheard_is_never_told() {
    let mut world = unheard();
    let client = world.link.endpoint_mut();
    client.handle_timeout(world.now + secs(1));
    client.close(world.now + secs(1));
    assert_eq!(told(client), (vec![], vec![]));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn the_place_of_an_attempt_is_free_when_its_end_was_told() {
    let mut world = World::new(DIALING);
    let start = world.now;
    let at = |millis| start + Duration::from_millis(millis);
    let client = world.link.endpoint_mut();
    client.set_addresses(start, &addresses(4)).unwrap();
    client.open(start, 1);
    for millis in [0, 1_000, 2_000] {
        client.handle_timeout(at(millis));
        assert_eq!(told(client).0.len(), 1);
    }
    client.handle_timeout(at(10_000));
    assert!(client.poll_timeout() > Some(at(10_000)));
    let (begun, ended) = told(client);
    assert_eq!((begun[0].address().index, ended[0].address().index), (3, 0));
}

#[test]
fn calls_that_come_early_or_twice_change_nothing() {
    let mut world = unheard();
    let client = world.link.endpoint_mut();
    let (first, _) = told(client);
    for millis in [0, 1, 500, 999] {
        client.handle_timeout(world.now + Duration::from_millis(millis));
        assert_eq!(told(client), (vec![], vec![]));
        assert_eq!(client.next_timer(), Some((Timer::Attempt, world.now + secs(1))));
    }
    client.handle_refused(world.now + secs(1), first[0], longlink::liveness::Fault::Refused);
    assert_eq!(told(client).0.len(), 1);
    let timer = client.next_timer();
    client.handle_refused(world.now + secs(1), first[0], longlink::liveness::Fault::Refused);
    assert!(!client.handle_alive(world.now + secs(1), first[0]), "it has failed");
    assert_eq!((told(client), client.next_timer()), ((vec![], vec![]), timer));
}

#[test]
fn the_timer_says_in_every_phase_what_it_is_for() {
    let mut world = World::new(in_background(None));
    world.open(&[]);
    world.place(addresses(1)[0], Site::Dead);
    assert_eq!(world.timer(), Some(Timer::Reconnect), "no addresses");
    world.command(|client, now| client.set_addresses(now, &addresses(1)).unwrap());
    assert_eq!((world.timer(), world.wait()), (Some(Timer::Attempt), secs(10)));
    world.run(11);
    assert_eq!(world.timer(), Some(Timer::Reconnect));
    world.set_air(Air::Off);
    world.command(|client, now| client.set_network(now, None, None));
    assert_eq!(world.timer(), Some(Timer::Poll));
    world.run(240);
    assert!(world.was_told(&Told::Poll));
    world.place(addresses(1)[0], Site::Mute);
    world.set_air(Air::Clear);
    world.command(|client, now| client.set_network(now, Some(crate::support::dialing::home()), None));
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.timer(), Some(Timer::Greeting));
    world.place(addresses(1)[0], Site::Alive);
    world.run(11);
    world.command(|client, now| client.connect_now(now));
    world.run_online(secs(1));
    assert_eq!(world.timer(), Some(Timer::Heartbeat));
    world.wire.as_mut().unwrap().down.swallow();
    world.run(31);
    assert_eq!(world.timer(), Some(Timer::Answer));
    world.command(|client, now| client.close(now));
    world.run(30);
    world.command(|client, now| client.open(now, 1));
    world.run_online(secs(1));
    world.office.borrow_mut().stalls = true;
    world.send(b"?").unwrap();
    assert_eq!(world.timer(), Some(Timer::Delivery));
    world.command(|client, now| client.close(now));
    assert_eq!((world.timer(), world.wait()), (Some(Timer::Close), secs(10)));
}

#[test]
fn the_timer_of_a_poll_and_of_the_linger() {
    let mut world = World::opened(DIALING, &[Site::Refusing]);
    world.set_air(Air::Off);
    world.command(|client, now| client.set_network(now, None, None));
    let timers = [world.timer(), world.timer()];
    assert_eq!(timers, [Some(Timer::Poll); 2], "{:?}", world.wait());
    world.command(|client, now| client.set_activity(now, Activity::Background));
    let poll = world.wait();
    world.run_for(poll);
    assert_eq!(world.timer(), Some(Timer::Linger));
    world.run_for(world.wait());
    assert_eq!((world.timer(), world.link.endpoint().is_dormant()), (None, true));
}

#[test]
fn numbers_of_attempts_are_never_used_twice() {
    let mut world = World::opened(DIALING, &[Site::Refusing, Site::Dead, Site::Foreign]);
    world.run(1_800);
    world.command(|client, now| client.close(now));
    world.command(|client, now| client.open(now, 1));
    world.run(1_800);
    let numbers = world.history.iter().filter_map(|(_, told)| match told {
        Told::Connect(attempt) => Some(attempt.number()),
        _ => None,
    });
    let mut numbers: Vec<u32> = numbers.collect();
    let all = numbers.len();
    numbers.dedup();
    assert!(all > 50 && numbers.len() == all && numbers.is_sorted());
}

#[test]
fn where_the_clock_ends_nothing_is_due_and_nothing_breaks() {
    for at in [Instant::MAX, Instant::from_micros(u64::MAX - 5_000_000)] {
        let mut world = World::new(DIALING);
        let client = world.link.endpoint_mut();
        client.set_addresses(at, &addresses(3)).unwrap();
        client.open(at, 1);
        client.handle_timeout(at);
        let _ = told(client);
        client.set_activity(at, Activity::Background);
        client.handle_timeout(Instant::MAX);
        client.set_network(Instant::MAX, None, None);
        client.wake(Instant::MAX);
        client.close(Instant::MAX);
        assert_eq!(client.poll_timeout(), None);
    }
}
