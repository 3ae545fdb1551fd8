//! What the drivers owe a link, over transports that end, stall and flood, on a virtual clock.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use embedded_io::ErrorKind;
use longlink::io::task::Clock as _;
use longlink::io::{blocking, task};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Endpoint, Event, Link, Server};
use longlink::wire::{Decoder, Dialect};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::pair::Side;
use support::pipe::Weather;
use support::world::{World, application};
use support::{Log, OPEN, S, answering, client, frame, listening, replies_within, server};

type Over = Option<Result<Disconnect, ErrorKind>>;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a driver for so many turns, 10 ms apart. Tells how it ended, if it did, and what it wrote.
fn turns(
    mut run: Pin<&mut impl Future<Output = Result<Disconnect, ErrorKind>>>,
    world: &World,
    turns: usize,
) -> (Over, Vec<u8>) {
    let mut out = Vec::new();
    for _ in 0..turns {
        let polled = poll(run.as_mut());
        out.extend(world.take());
        if let Poll::Ready(over) = polled {
            return (Some(over), out);
        }
        world.pass(10);
    }
    (None, out)
}

/// Runs a link as a task.
fn by_task<E: Endpoint, B>(side: &mut Side<E, B>, world: &World, count: usize) -> (Over, Vec<u8>)
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let (mut read, mut write) = (world.clone(), world.clone());
    turns(
        pin!(task::run(&mut side.link, &mut read, &mut write, world, application(|_, _, _| {}, &mut side.on))),
        world,
        count,
    )
}

/// The same, with writes that are awaited beside it.
fn by_buffered_task<E: Endpoint, B>(side: &mut Side<E, B>, world: &World, count: usize) -> (Over, Vec<u8>)
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let (mut read, mut write, mut buffer) = (world.clone(), world.clone(), [0; 100]);
    let (link, on) = (&mut side.link, &mut side.on);
    turns(
        pin!(task::run_buffered(link, &mut read, &mut write, &mut buffer, world, application(|_, _, _| {}, on))),
        world,
        count,
    )
}

/// The same, over a transport in one piece.
fn by_whole_task<E: Endpoint, B>(side: &mut Side<E, B>, world: &World, count: usize) -> (Over, Vec<u8>)
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    turns(
        pin!(task::run_whole(&mut side.link, &mut world.clone(), world, application(|_, _, _| {}, &mut side.on))),
        world,
        count,
    )
}

/// The same by steps.
fn by_steps<E: Endpoint, B>(side: &mut Side<E, B>, world: &World, turns: usize) -> (Over, Vec<u8>)
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let (mut io, mut out) = (world.clone(), Vec::new());
    for _ in 0..turns {
        let now = world.now();
        let step = blocking::step(&mut side.link, &mut io, now, |endpoint, event| (side.on)(now, endpoint, event));
        out.extend(world.take());
        match step {
            Ok(blocking::Progress::Over(why)) => return (Some(Ok(why)), out),
            Ok(blocking::Progress::Moved) => {}
            Ok(blocking::Progress::Idle) => world.pass(10),
            Err(error) => return (Some(Err(error)), out),
        }
    }
    (None, out)
}

type ServerSide = Side<Server<'static, Vec<u8>>, Vec<u8>>;
type ClientSide = Side<Client<'static>, &'static mut [u8]>;
type Run<S> = (&'static str, fn(&mut S, &World, usize) -> (Over, Vec<u8>));

const SERVE: [Run<ServerSide>; 4] =
    [("task", by_task), ("buffered", by_buffered_task), ("whole", by_whole_task), ("steps", by_steps)];
// A driver that is made anew has lost what waited in the buffer of the one before it.
const CONNECT: [Run<ClientSide>; 3] = [("task", by_task), ("whole", by_whole_task), ("steps", by_steps)];

fn accepted() -> (ServerSide, Log) {
    let log = Log::default();
    (Side::new(server(OPEN, S(0)), answering(&log)), log)
}

fn connected(config: Config<'static>) -> (ClientSide, Log) {
    let log = Log::default();
    let mut side = Side::new(client(config), listening(&log));
    side.link.handle_connected(S(0));
    (side, log)
}

#[test]
fn all_that_came_before_the_end_of_the_stream_is_answered_before_the_link_ends() {
    // One; two that are read at once for a slow reader; more than the rate allows; more than the buffer holds answers.
    for (count, length, room) in [(1, 6, 65_536), (2, 900, 64), (300, 0, 65_536), (12, 1_000, 64)] {
        for (name, serve) in SERVE {
            let world = World::new(Weather::FINE, 1);
            world.0.borrow_mut().up.weather.capacity = room;
            let body = vec![7; length];
            let requests = (1..=count).flat_map(|i| frame(&Dialect::LONGLINK, 237, i, &body)).collect::<Vec<_>>();
            let replies = (1..=count).flat_map(|i| frame(&Dialect::LONGLINK, 1_000_000_237, i, &body));
            world.give(&requests);
            world.end();
            let (mut side, log) = accepted();
            let (over, out) = serve(&mut side, &world, 10_000);
            assert_eq!(over, Some(Ok(Disconnect::PeerClosed)), "{name}, {count} requests");
            assert!(out == replies.collect::<Vec<_>>(), "{name}, {count} requests, {} bytes", out.len());
            assert_eq!(log.lines().last().unwrap(), "offline peer_closed");
        }
    }
}

#[test]
fn what_was_held_back_is_taken_when_the_pause_ends_though_nothing_more_comes() {
    for (name, serve) in SERVE {
        let world = World::new(Weather::FINE, 1);
        world.give(&frame(&Dialect::LONGLINK, 301, 0, b"").repeat(300));
        let (mut side, log) = accepted();
        let (over, _) = serve(&mut side, &world, 500);
        assert_eq!((over, log.count("one-way")), (None, 300), "{name}");
    }
}

#[test]
fn what_was_held_back_is_taken_when_the_answers_before_it_are_written() {
    for (name, serve) in SERVE {
        let world = World::new(Weather::FINE, 1);
        world.0.borrow_mut().up.stuck = true;
        world.give(&(1..=8).flat_map(|i| frame(&Dialect::LONGLINK, 237, i, &[7; 1_000])).collect::<Vec<_>>());
        let (mut side, log) = accepted();
        serve(&mut side, &world, 100);
        assert!((2..=4).contains(&log.count("request")), "{name}: {:?}", log.lines());
        world.0.borrow_mut().up.stuck = false;
        let (over, _) = serve(&mut side, &world, 100);
        assert_eq!((over, log.count("request")), (None, 8), "{name}");
    }
}

#[test]
fn a_reader_that_is_always_ready_starves_neither_timers_nor_the_application_nor_writes() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().flood = frame(&Dialect::LONGLINK, 122, 0, &[0; 1_008]);
    world.0.borrow_mut().until_failure = Some(5_000);
    let second = Duration::from_secs(1);
    let heartbeat = HeartbeatPolicy::Fixed(second);
    let (mut side, log) = connected(Config { heartbeat, request: replies_within(1), ..Config::DEFAULT });
    side.link.endpoint_mut().request(S(0), 237, b"").unwrap();
    let (mut read, mut write, mut asked) = (world.clone(), world.clone(), 0);
    let run = task::run(&mut side.link, &mut read, &mut write, &world, application(|_, _, _| asked += 1, &mut side.on));
    assert_eq!(poll(pin!(run)), Poll::Ready(Err(ErrorKind::ConnectionReset)));
    let pushes = log.count("push");
    assert!(pushes > 4_900, "{pushes} pushes");
    assert!(asked >= pushes, "the application was called {asked} times in {pushes} reads");
    let heartbeat = frame(&Dialect::LONGLINK, 6, 0xFFFF_FFFF, b"");
    assert_eq!(world.take(), [frame(&Dialect::LONGLINK, 237, 1, b""), heartbeat].concat());
    assert_eq!(log.count("failed 1 TimedOut true"), 1);
}

/// Remembers that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn an_application_that_waits_for_room_is_woken_when_there_is_room_again() {
    let world = World::new(Weather::FINE, 1);
    let (mut side, _) = connected(Config::DEFAULT);
    let (mut read, mut write, mut sent) = (world.clone(), world.clone(), 0);
    let app = |_: &mut Context<'_>, now, client: &mut Client<'static>| {
        while sent < 100 && client.send_one_way(now, 301, &[0; 84]).is_ok() {
            sent += 1;
        }
    };
    let woken = Arc::new(Woken(true.into()));
    let waker = Waker::from(woken.clone());
    {
        let mut run = pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(app, &mut side.on)));
        // An executor polls what was woken, nothing else.
        while woken.0.swap(false, Ordering::SeqCst) {
            assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    assert_eq!((sent, world.take().len()), (100, 100 * 100));
}

#[test]
fn nothing_that_was_written_waits_unflushed() {
    for (name, serve) in SERVE {
        let world = World::new(Weather::FINE, 1);
        let (mut side, _) = accepted();
        for sequence in 1..=3 {
            world.give(&frame(&Dialect::LONGLINK, 237, sequence, b""));
            let (over, out) = serve(&mut side, &world, 4);
            assert_eq!((over, out.len(), world.0.borrow().unflushed), (None, 16, 0), "{name}");
        }
    }
}

#[test]
fn a_flush_that_does_not_end_holds_up_neither_reads_nor_the_time_and_is_taken_up_again() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().flush_stuck = true;
    let (mut side, log) = accepted();
    for sequence in 1..=3 {
        world.give(&frame(&Dialect::LONGLINK, 237, sequence, b""));
        assert_eq!(by_task(&mut side, &world, 2).0, None);
    }
    assert_eq!(log.count("request"), 3);
    assert_eq!(world.0.borrow().unflushed, 3 * 16);
    world.0.borrow_mut().flush_stuck = false;
    world.give(&frame(&Dialect::LONGLINK, 237, 4, b""));
    by_task(&mut side, &world, 2);
    assert_eq!(world.0.borrow().unflushed, 0);
}

#[test]
fn a_close_ends_the_connection_only_when_all_is_written() {
    for (name, connect) in CONNECT {
        let world = World::new(Weather::FINE, 1);
        world.0.borrow_mut().up.stuck = true;
        let (mut side, _) = connected(Config::DEFAULT);
        side.link.endpoint_mut().send_one_way(S(0), 301, b"last words").unwrap();
        side.link.endpoint_mut().close(S(0));
        assert_eq!(connect(&mut side, &world, 100), (None, vec![]), "{name}");
        world.0.borrow_mut().up.stuck = false;
        let goaway = frame(&Dialect::LONGLINK, 247, 0, &[1, 0, 0, 0, 0, 0, 0, 0]);
        let all = [frame(&Dialect::LONGLINK, 301, 0, b"last words"), goaway].concat();
        assert_eq!(connect(&mut side, &world, 100), (Some(Ok(Disconnect::Closed)), all), "{name}");
    }
}

#[test]
fn a_close_ends_a_task_only_when_all_is_flushed() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().flush_stuck = true;
    let (mut side, _) = connected(Config::DEFAULT);
    side.link.endpoint_mut().close(S(0));
    let (mut read, mut write) = (world.clone(), world.clone());
    let mut run =
        pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(|_, _, _| {}, &mut side.on)));
    for _ in 0..10 {
        assert!(poll(run.as_mut()).is_pending(), "the goaway is written and not flushed");
        world.pass(10);
    }
    world.0.borrow_mut().flush_stuck = false;
    while poll(run.as_mut()).is_pending() {
        assert!(world.now() < S(1), "flushed, and not over");
        world.pass(10);
    }
    assert_eq!(world.0.borrow().unflushed, 0);
}

#[test]
fn a_step_reads_before_it_handles_the_time() {
    let world = World::new(Weather::FINE, 1);
    let (mut side, log) = connected(Config::DEFAULT);
    for at in [0, 30, 38] {
        world.0.borrow_mut().now = S(at);
        if at == 38 {
            assert_eq!(side.link.poll_timeout(), Some(S(38)));
            world.give(&frame(&Dialect::LONGLINK, 1_000_000_006, 0xFFFF_FFFF, b""));
        }
        assert_eq!(by_steps(&mut side, &world, 1).0, None);
    }
    assert_eq!(log.lines(), ["online", "heartbeat"]);
}

#[test]
fn a_task_whose_read_waits_reads_before_it_handles_the_time() {
    let world = World::new(Weather::FINE, 1);
    let (mut side, log) = connected(Config::DEFAULT);
    let (mut read, mut write) = (world.clone(), world.clone());
    let mut run =
        pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(|_, _, _| {}, &mut side.on)));
    for at in [0, 30, 38] {
        world.0.borrow_mut().now = S(at);
        if at == 38 {
            world.give(&frame(&Dialect::LONGLINK, 1_000_000_006, 0xFFFF_FFFF, b""));
        }
        for _ in 0..3 {
            assert!(poll(run.as_mut()).is_pending(), "at {at} s: {:?}", log.lines());
        }
    }
    assert_eq!(log.lines(), ["online", "heartbeat"]);
}

#[test]
fn a_task_sleeps_until_the_next_deadline_whatever_has_set_it() {
    let world = World::new(Weather::FINE, 1);
    let (mut side, _) = connected(Config { request: replies_within(5), ..Config::DEFAULT });
    let (mut read, mut write) = (world.clone(), world.clone());
    let mut asked = false;
    let app = |_: &mut Context<'_>, now, client: &mut Client<'static>| {
        if now == S(10) && !asked {
            asked = true;
            client.request(now, 237, b"").unwrap();
        }
    };
    let mut run = pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(app, &mut side.on)));
    // The heartbeat's, then the request's, then the heartbeat's again.
    for (at, until) in [(0, 30), (10, 15), (15, 30), (30, 38)] {
        world.0.borrow_mut().now = S(at);
        for _ in 0..3 {
            assert!(poll(run.as_mut()).is_pending());
        }
        assert_eq!(world.0.borrow().sleeps_until, Some(S(until)), "at {at} s");
    }
}

#[test]
fn a_link_without_a_receive_buffer_reads_nothing_and_waits() {
    let world = World::new(Weather::FINE, 1);
    world.give(&frame(&Dialect::LONGLINK, 6, 1, b""));
    let config = &OPEN;
    let link = Link::new(Decoder::without_buffer(config.dialect), Server::new(config, S(0)).unwrap());
    let mut side: ServerSide = Side::new(link, Box::new(|_, _, event| panic!("{event:?}")));
    for (name, serve) in SERVE {
        assert_eq!(serve(&mut side, &world, 10), (None, vec![]), "{name}");
        assert_eq!(world.0.borrow().down.on_its_way(), 16, "{name}");
    }
}

#[test]
fn what_the_application_does_in_a_step_is_written_in_that_step() {
    let mut world = World::new(Weather::FINE, 1);
    let (mut side, _) = connected(Config { request: replies_within(5), ..Config::DEFAULT });
    side.link.endpoint_mut().request(S(0), 237, b"").unwrap();
    blocking::step(&mut side.link, &mut world, S(0), |_, _| {}).unwrap();
    world.take();
    world.pass(5_000);
    let step = blocking::step(&mut side.link, &mut world, S(5), |client, event| {
        if let Event::Failed { .. } = event {
            client.request(S(5), 239, b"again").unwrap();
        }
    });
    assert_eq!(step, Ok(blocking::Progress::Moved));
    assert_eq!(world.take(), frame(&Dialect::LONGLINK, 239, 2, b"again"));
}

#[test]
fn a_slow_reader_with_something_always_on_its_way_is_read_on_when_the_pause_ends() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().up.weather.capacity = 64;
    world.give(&frame(&Dialect::LONGLINK, 301, 0, b"").repeat(300));
    let (mut side, log) = accepted();
    let (mut read, mut write) = (world.clone(), world.clone());
    let (taken, mut pushed) = (std::cell::Cell::new(0), 0);
    // Never more than 500 bytes and a frame wait, never nothing.
    let app = |_: &mut Context<'_>, now, server: &mut Server<'static, Vec<u8>>| {
        while pushed < taken.get() + 500 && server.push(now, 122, &[0; 84]).is_ok() {
            pushed += 100;
        }
    };
    let mut run = pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(app, &mut side.on)));
    for _ in 0..1_000 {
        assert!(poll(run.as_mut()).is_pending(), "{} of 300 taken", log.count("one-way"));
        taken.set(taken.get() + world.take().len());
        world.pass(100);
    }
    assert_eq!(log.count("one-way"), 300);
}

#[test]
fn a_task_that_was_dropped_and_made_again_reads_before_it_handles_the_time() {
    let world = World::new(Weather::FINE, 1);
    let (mut side, log) = connected(Config::DEFAULT);
    for at in [0, 30, 38] {
        world.0.borrow_mut().now = S(at);
        if at == 38 {
            world.give(&frame(&Dialect::LONGLINK, 1_000_000_006, 0xFFFF_FFFF, b""));
        }
        let (mut read, mut write) = (world.clone(), world.clone());
        let mut run =
            pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(|_, _, _| {}, &mut side.on)));
        for _ in 0..3 {
            assert!(poll(run.as_mut()).is_pending(), "at {at} s: {:?}", log.lines());
        }
    }
    assert_eq!(log.lines(), ["online", "heartbeat"]);
}
