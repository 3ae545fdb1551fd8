//! How often a driver wakes up where there is little to do, and that it sleeps through nothing.

use super::drive::Way;
use super::home::{HEARTBEAT, begin};
use super::wire::Habits;
use crate::support::pair::Side;
use crate::support::pipe::Weather;
use crate::support::world::World;
use crate::support::{Log, OPEN, S, answering, connected, frame, server};
use embedded_io::{ReadReady, WriteReady};
use longlink::io::blocking::{Progress, step};
use longlink::io::task::Clock as _;
use longlink::session::{Config, Disconnect, Endpoint, Link};
use longlink::wire::Dialect;
use longlink::{Instant, earliest};
use std::time::Duration;

/// How many polls or steps the run needs that stays for so many seconds more than it has to.
fn polls(way: Way, stays: u64) -> usize {
    let (mut home, device, mut link) = begin(Habits { drain: Duration::from_millis(2), ..Habits::PERFECT });
    device.borrow_mut().stays = S(stays);
    home.until = S(stays + 300);
    let (over, polls) = way.finish(&mut home, &device, &mut link);
    assert_eq!(over, Ok(Disconnect::Closed));
    assert!(home.wire.now() >= S(stays));
    polls
}

/// A heartbeat falls due, is written, leaves the transport, and is answered; what was written and what was read may each
/// take one more look.
#[test]
fn an_idle_hour_costs_six_polls_at_most_for_each_heartbeat() {
    for way in Way::ALL {
        let hour = polls(way, 3_600) - polls(way, 0);
        let heartbeats = 3_600 / HEARTBEAT.as_secs() as usize;
        assert!((heartbeats..=6 * heartbeats).contains(&hour), "{way:?}: {hour} polls for {heartbeats} heartbeats");
    }
}

/// Steps until the time is `end`; at `Idle` it sleeps until what that says, as the interrupts of a transport would have it:
/// as long as it is ready they come. Returns how many steps that took.
fn steps<E: Endpoint, B>(side: &mut Side<E, B>, world: &World, end: Instant, mut change: impl FnMut(Instant)) -> usize
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let mut io = world.clone();
    let mut steps = 0;
    while world.now() < end {
        steps += 1;
        assert!(steps < 10_000, "it spins");
        let now = world.now();
        match step(&mut side.link, &mut io, now, |endpoint, event| (side.on)(now, endpoint, event)).unwrap() {
            Progress::Over(why) => panic!("{why}"),
            Progress::Moved => continue,
            Progress::Idle => {}
        }
        while !is_awaited(&mut side.link, &mut io) && side.link.poll_timeout().is_none_or(|at| at > world.now()) {
            let arrival = world.0.borrow().down.next_arrival().filter(|at| *at > world.now());
            let tick = world.now() + Duration::from_secs(1);
            let next = earliest([side.link.poll_timeout(), arrival, Some(tick)]).unwrap();
            world.0.borrow_mut().now = next;
            change(next);
            if next >= end {
                return steps;
            }
        }
    }
    steps
}

/// What `Idle` says to wait for, besides the time.
fn is_awaited<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<E, B>, io: &mut World) -> bool {
    let reads = !link.space().is_empty() && io.read_ready().unwrap();
    reads || (link.poll_transmit().is_some() && io.write_ready().unwrap())
}

#[test]
fn a_transport_that_takes_nothing_for_a_minute_costs_a_step_for_each_deadline() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().up.stuck = true;
    let mut side = Side::new(connected(Config::DEFAULT), Box::new(|_, _, _| {}));
    side.link.endpoint_mut().send_one_way(S(0), 301, b"waits").unwrap();
    // Nothing but the heartbeat falls due, at 30 s.
    assert_eq!(steps(&mut side, &world, S(59), |_| {}), 2);
    world.0.borrow_mut().up.stuck = false;
    steps(&mut side, &world, S(60), |_| {});
    assert_eq!(world.take().len(), 21 + 16, "and then all is written");
}

#[test]
fn a_reader_that_is_held_back_costs_no_steps_though_there_is_something_to_read() {
    let world = World::new(Weather::FINE, 1);
    let log = Log::default();
    let mut side = Side::new(server(OPEN, S(0)), answering(&log));
    // The answers fill the buffer, and nobody takes them.
    world.0.borrow_mut().up.stuck = true;
    world.give(&(1..=20).flat_map(|i| frame(&Dialect::LONGLINK, 237, i, &[7; 1_000])).collect::<Vec<_>>());
    let held = steps(&mut side, &world, S(50), |_| {});
    assert!(world.0.borrow().down.on_its_way() > 10_000, "it is held back");
    assert!(held < 20, "{held} steps");
    // It goes on as soon as there is room, without anything else that wakes it.
    let taken = steps(&mut side, &world, S(55), |_| world.0.borrow_mut().up.stuck = false);
    assert_eq!(log.count("request"), 20);
    assert!(taken < 100, "{taken} steps");
}

#[test]
fn a_peer_that_is_ahead_of_its_rate_costs_a_step_for_each_frame_and_not_more() {
    let world = World::new(Weather::FINE, 1);
    let log = Log::default();
    let mut side = Side::new(server(OPEN, S(0)), answering(&log));
    world.give(&frame(&Dialect::LONGLINK, 301, 0, b"").repeat(400));
    let count = steps(&mut side, &world, S(10), |_| {});
    assert_eq!(log.count("one-way"), 400);
    assert!(count < 200, "{count} steps");
}

#[test]
fn the_end_of_the_stream_is_no_reason_to_step_while_a_decision_is_owed() {
    use crate::support::native::{DEVICE, Greets, MESSAGE};
    use longlink::delivery::Ledger;
    use longlink::session::{ServerConfig, ServerEvent};
    let world = World::new(Weather::FINE, 1);
    let mut side = Side::new(
        server(ServerConfig::DEFAULT, S(0)),
        Box::new(|now, server, event| {
            if let ServerEvent::Hello(hello) = event {
                let mut ledger: Ledger = Ledger::default();
                let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                server.welcome(now, &ledger, greeted.resumed).unwrap();
            }
        }),
    );
    world.give(&Greets { epoch: 1, link: 1, resume: false }.frame_of(DEVICE.get()));
    world.give(&frame(&Dialect::LONGLINK, MESSAGE, 1, b"hello"));
    world.end();
    let count = steps(&mut side, &world, S(60), |_| {});
    assert!(count < 10, "{count} steps");
}
