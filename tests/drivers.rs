//! The drivers over transports that split, stall and fail, on a virtual clock.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use embedded_io::ErrorKind;
use longlink::Instant;
use longlink::io::task::Clock as _;
use longlink::io::{blocking, task};
use longlink::session::{Config, Disconnect, Event};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use support::pair::Side;
use support::pipe::Weather;
use support::world::{World, application};
use support::{Log, OPEN, answering, client, server};

/// What the application of these tests does: five requests, then a close once they are answered.
fn act(now: Instant, client: &mut longlink::session::Client<'_>, sent: &mut u8) {
    while *sent < 5 && client.is_online() && client.request(now, 237, &[b'0' + *sent; 60]).is_ok() {
        *sent += 1;
    }
    if *sent == 5 && client.is_settled() {
        client.close(now);
    }
}

fn note(log: &Log, event: Event<'_>) {
    match event {
        Event::Reply { token, frame } => log.push(format!("reply {} {}", token.sequence(), frame.body().len())),
        Event::Failed { token, .. } => log.push(format!("failed {}", token.sequence())),
        Event::Offline(why) => log.push(format!("offline {}", why.name())),
        _ => {}
    }
}

const ALL_ANSWERED: [&str; 6] =
    ["reply 1 60", "reply 2 60", "reply 3 60", "reply 4 60", "reply 5 60", "offline closed"];

/// Runs a client as a task, its future dropped and made again after each `patience` polls.
fn run_task(world: &World, patience: usize) -> (Result<Disconnect, ErrorKind>, Log, Log) {
    let (client_log, server_log) = (Log::default(), Log::default());
    let told = client_log.clone();
    let mut side = Side::new(server(OPEN, Instant::ZERO), answering(&server_log));
    let mut link = client(Config::DEFAULT);
    link.handle_connected(world.now());
    let mut sent = 0;
    for _ in 0..20_000 {
        let (mut read, mut write) = (world.clone(), world.clone());
        let mut future = pin!(task::run(
            &mut link,
            &mut read,
            &mut write,
            world,
            application(|_, now, client| act(now, client, &mut sent), |_, _, event| note(&told, event)),
        ));
        for _ in 0..patience {
            if let Poll::Ready(over) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return (over, client_log, server_log);
            }
            world.serve(&mut side);
            world.pass(10);
        }
    }
    panic!("no end of it: {:?}", client_log.lines());
}

#[test]
fn a_task_may_be_dropped_after_any_number_of_polls_and_nothing_is_lost_or_repeated() {
    for patience in (1..40).chain([10_000]) {
        let world = World::new(Weather { capacity: 64, ..Weather::ROUGH }, patience as u64);
        let (over, client, server) = run_task(&world, patience);
        assert_eq!(over, Ok(Disconnect::Closed));
        assert_eq!(client.lines(), ALL_ANSWERED, "dropped after {patience} polls");
        assert_eq!(server.count("request"), 5);
    }
}

#[test]
fn a_transport_that_fails_at_any_call_ends_the_task_with_its_error() {
    for calls in 0..60 {
        let world = World::new(Weather { largest_write: 40, largest_read: 40, ..Weather::FINE }, 1);
        world.0.borrow_mut().until_failure = Some(calls);
        let (over, client, _) = run_task(&world, 10_000);
        let lines = client.lines();
        if over == Ok(Disconnect::Closed) {
            assert_eq!(lines, ALL_ANSWERED);
            continue;
        }
        assert_eq!(over, Err(ErrorKind::ConnectionReset), "at call {calls}");
        let last = lines.last().unwrap();
        // A client that was closing anyway says so.
        assert!(["offline transport", "offline closed"].contains(&last.as_str()), "{last}");
    }
}

#[test]
fn a_peer_that_does_not_read_does_not_stop_a_task_from_reading_and_waking() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().up.stuck = true;
    let log = Log::default();
    let mut link = client(Config::DEFAULT);
    link.handle_connected(Instant::ZERO);
    let push = support::frame(&longlink::wire::Dialect::LONGLINK, 122, 0, b"news");
    let (mut read, mut write) = (world.clone(), world.clone());
    let mut wakes = 0;
    let (events, told) = (log.clone(), log.clone());
    let mut future = pin!(task::run(&mut link, &mut read, &mut write, &world, |_, now, client, event| match event {
        Some(Event::Push(_)) => events.push("push".into()),
        Some(Event::Offline(why)) => told.push(why.name().into()),
        Some(_) => {}
        None => {
            wakes += 1;
            // A full table is no trouble here.
            let _ = client.request(now, 237, b"never written");
        }
    },));
    let mut over = None;
    for second in 0..80 {
        if let Poll::Ready(why) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            over = Some(why);
            break;
        }
        if second % 10 == 0 {
            let mut state = world.0.borrow_mut();
            let now = state.now;
            state.down.write(now, &push);
        }
        world.pass(1_000);
    }
    assert_eq!(over, Some(Ok(Disconnect::Stalled)));
    assert_eq!(log.count("push"), 6);
    assert!(log.lines().ends_with(&["stalled".into()]));
}

/// Runs a client by steps.
fn run_steps(world: &mut World) -> (Result<Disconnect, ErrorKind>, Log, u8) {
    let log = Log::default();
    let mut side = Side::new(server(OPEN, Instant::ZERO), answering(&Log::default()));
    let mut link = client(Config::DEFAULT);
    link.handle_connected(Instant::ZERO);
    let mut sent = 0;
    loop {
        let now = world.now();
        assert!(now < Instant::from_secs(600), "no end of it: {:?}", log.lines());
        act(now, link.endpoint_mut(), &mut sent);
        match blocking::step(&mut link, world, now, |_, event| note(&log, event)) {
            Ok(blocking::Progress::Over(why)) => return (Ok(why), log, sent),
            Ok(blocking::Progress::Moved) => {}
            Ok(blocking::Progress::Idle) => world.pass(10),
            Err(error) => return (Err(error), log, sent),
        }
        world.serve(&mut side);
    }
}

#[test]
fn a_step_never_waits_and_gets_there_all_the_same() {
    for seed in 0..50 {
        let mut world = World::new(Weather { capacity: 64, ..Weather::ROUGH }, seed);
        let (over, log, _) = run_steps(&mut world);
        assert_eq!(over, Ok(Disconnect::Closed));
        assert_eq!(log.lines(), ALL_ANSWERED);
    }
}

#[test]
fn a_step_over_a_transport_that_fails_tells_the_link() {
    for calls in 0..30 {
        let mut world = World::new(Weather { largest_write: 40, largest_read: 40, ..Weather::FINE }, 1);
        world.0.borrow_mut().until_failure = Some(calls);
        let (over, log, sent) = run_steps(&mut world);
        assert!([Ok(Disconnect::Closed), Err(ErrorKind::ConnectionReset)].contains(&over), "{over:?}");
        assert_eq!(log.count("offline"), 1);
        assert_eq!(log.count("reply") + log.count("failed"), usize::from(sent));
    }
}
