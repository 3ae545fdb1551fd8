//! Transports that split, fail, take nothing or never stop, in every place where they can.

use super::cancel::check_at_leisure;
use super::drive::Way;
use super::home::{begin, reconnect};
use super::wire::{Call, Habits};
use crate::support::pipe::Weather;
use crate::support::world::World;
use crate::support::{connected, frame, replies_within};
use embedded_io::ErrorKind;
use longlink::Instant;
use longlink::io::task;
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Event};
use longlink::wire::Dialect;
use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// All goes as over a perfect transport. Returns how many bytes went each way.
fn as_if_perfect(way: Way, habits: Habits, what: &str) -> (usize, usize) {
    let (mut home, device, mut link) = begin(habits);
    let (over, polls) = way.finish(&mut home, &device, &mut link);
    assert_eq!(over, Ok(Disconnect::Closed), "{way:?}, {what}");
    assert_eq!(check_at_leisure(&home, &device, &link, polls), ["replied"; 3], "{way:?}, {what}");
    home.wire.moved()
}

#[test]
fn a_split_at_any_byte_of_either_stream_changes_nothing() {
    for way in Way::ALL {
        let (written, read) = as_if_perfect(way, Habits::PERFECT, "perfect");
        assert!(written > 500 && read > 1_000, "{written} and {read} bytes are no test");
        // The ways differ little in what they do with a split.
        let step = if way == Way::Task { 1 } else { 7 };
        for at in (1..written).step_by(step) {
            as_if_perfect(way, Habits { split_write: Some(at), ..Habits::PERFECT }, &format!("written {at}"));
        }
        for at in (1..read).step_by(step) {
            as_if_perfect(way, Habits { split_read: Some(at), ..Habits::PERFECT }, &format!("read {at}"));
        }
    }
}

#[test]
fn one_byte_at_a_time_each_way_changes_nothing() {
    for way in Way::ALL {
        let bytewise = Habits { largest_write: 1, largest_read: 1, ..Habits::PERFECT };
        as_if_perfect(way, bytewise, "byte by byte");
        as_if_perfect(way, Habits { buffer: 1, drain: Duration::from_micros(100), ..bytewise }, "without a buffer");
    }
}

/// The run breaks in one place and goes on over another connection, for every place until the run does not get there. Returns
/// how many places there were.
fn break_everywhere(way: Way, faulty: impl Fn(usize) -> Habits, expected: &[Result<Disconnect, ErrorKind>]) -> usize {
    let mut place = 0;
    loop {
        let (mut home, device, mut link) = begin(faulty(place));
        let (over, polls) = way.finish(&mut home, &device, &mut link);
        if over == Ok(Disconnect::Closed) {
            check_at_leisure(&home, &device, &link, polls);
            return place;
        }
        assert!(expected.contains(&over), "{way:?}, place {place}: {over:?}");
        home.until = home.wire.now() + Duration::from_secs(300);
        reconnect(&mut home, &device, &mut link, Habits::PERFECT, place % 2 == 0);
        let (over, _) = way.finish(&mut home, &device, &mut link);
        assert_eq!(over, Ok(Disconnect::Closed), "{way:?}, place {place}");
        device.borrow().check(&link);
        place += 1;
    }
}

#[test]
fn a_transport_that_fails_at_any_call_ends_with_its_error_and_the_next_link_makes_up_for_it() {
    for way in Way::ALL {
        for call in [Call::Read, Call::Write, Call::Flush] {
            let faulty = |well| Habits { fails: Some((call, well)), ..Habits::ROUGH };
            let places = break_everywhere(way, faulty, &[Err(ErrorKind::ConnectionReset)]);
            assert!(places > 10, "{way:?}, {call:?}: {places} places are no test");
        }
    }
}

#[test]
fn a_transport_that_says_it_wrote_nothing_has_failed() {
    for way in Way::ALL {
        let faulty = |well| Habits { writes_nothing: Some(well), ..Habits::ROUGH };
        let places = break_everywhere(way, faulty, &[Ok(Disconnect::Transport)]);
        assert!(places > 10, "{way:?}: {places} places are no test");
    }
}

#[test]
fn a_transport_that_takes_nothing_any_more_ends_as_stalled() {
    for way in Way::ALL {
        // Inside the greeting it is that which does not come through in time; inside a frame the peer may give up first.
        let faulty = |place: usize| Habits { takes: place * 31, ..Habits::PERFECT };
        let late = [Disconnect::NoGreeting, Disconnect::Stalled, Disconnect::HeartbeatLost].map(Ok);
        let ends = [&late[..], &[Err(ErrorKind::ConnectionReset)]].concat();
        let places = break_everywhere(way, faulty, &ends);
        assert!(places > 10, "{way:?}: {places} places are no test");
    }
}

#[test]
fn a_reader_that_is_always_ready_starves_neither_timers_nor_the_application_nor_writes() {
    for way in Way::TASKS {
        let world = World::new(Weather::FINE, 1);
        world.0.borrow_mut().flood = frame(&Dialect::LONGLINK, 122, 0, &[0; 1_008]);
        world.0.borrow_mut().until_failure = Some(5_000);
        let heartbeat = HeartbeatPolicy::Fixed(Duration::from_secs(1));
        let mut link = connected(Config { heartbeat, request: replies_within(1), ..Config::DEFAULT });
        link.endpoint_mut().request(Instant::ZERO, 237, b"").unwrap();
        let (asked, pushes, late) = (RefCell::new(0), RefCell::new(0), RefCell::new(0));
        let on = |event: Event<'_>| match event {
            Event::Push(_) => *pushes.borrow_mut() += 1,
            Event::Failed { .. } => *late.borrow_mut() += 1,
            _ => {}
        };
        let app = |_: &mut Context<'_>, _, _: &mut Client<'static>, event: Option<Event<'_>>| match event {
            Some(event) => on(event),
            None => *asked.borrow_mut() += 1,
        };
        let (mut read, mut write, mut buffer) = (world.clone(), world.clone(), [0; 100]);
        let over = match way {
            Way::Task => poll(pin!(task::run(&mut link, &mut read, &mut write, &world, app))),
            Way::Buffered => poll(pin!(task::run_buffered(&mut link, &mut read, &mut write, &mut buffer, &world, app))),
            Way::Whole => poll(pin!(task::run_whole(&mut link, &mut write, &world, app))),
            Way::Steps => panic!("a step reads once"),
        };
        assert_eq!(over, Poll::Ready(Err(ErrorKind::ConnectionReset)), "{way:?}");
        assert!(*pushes.borrow() > 4_900 && *asked.borrow() >= *pushes.borrow(), "{way:?}: {pushes:?}, {asked:?}");
        let heartbeat = frame(&Dialect::LONGLINK, 6, 0xFFFF_FFFF, b"");
        assert_eq!(world.take(), [frame(&Dialect::LONGLINK, 237, 1, b""), heartbeat].concat(), "{way:?}");
        assert_eq!(*late.borrow(), 1, "{way:?}");
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
