//! What a driver must not lose between two polls, or between two futures.

use super::executor::Woken;
use crate::support::native::{DEVICE, Greets, MESSAGE, REPLY};
use crate::support::pair::Side;
use crate::support::pipe::Weather;
use crate::support::world::{World, application};
use crate::support::{Log, OPEN, S, answering, connected, frame, server};
use embedded_io::{ErrorKind, ErrorType};
use embedded_io_async::{Read, Write};
use longlink::delivery::Ledger;
use longlink::io::task::{self, Clock as _};
use longlink::session::{Client, Config, Disconnect, Event, GoAway, GoAwayCode, Server, ServerConfig, ServerEvent};
use longlink::wire::Dialect;
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_a_dropped_task_wrote_and_did_not_flush_is_flushed_by_the_next() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().flush_stuck = true;
    let mut side = Side::new(server(OPEN, S(0)), answering(&Log::default()));
    world.give(&frame(&Dialect::LONGLINK, 237, 1, b""));
    for stuck in [true, false] {
        world.0.borrow_mut().flush_stuck = stuck;
        let (mut read, mut write) = (world.clone(), world.clone());
        let mut run =
            pin!(task::run(&mut side.link, &mut read, &mut write, &world, application(|_, _, _| {}, &mut side.on)));
        assert!(poll(run.as_mut()).is_pending());
        assert_eq!(world.0.borrow().unflushed, if stuck { 16 } else { 0 });
    }
}

#[test]
fn a_close_that_a_dropped_task_did_not_flush_is_flushed_before_the_next_is_over() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().flush_stuck = true;
    let mut link = connected(Config::DEFAULT);
    link.endpoint_mut().close(S(0));
    for _ in 0..3 {
        let (mut read, mut write) = (world.clone(), world.clone());
        let mut run = pin!(task::run(&mut link, &mut read, &mut write, &world, |_, _, _, _| {}));
        assert!(poll(run.as_mut()).is_pending(), "the goaway is written and not flushed");
    }
}

#[test]
fn a_close_that_is_never_flushed_ends_all_the_same() {
    for way in ["task", "buffered", "whole"] {
        let world = World::new(Weather::FINE, 1);
        world.0.borrow_mut().flush_stuck = true;
        let mut link = connected(Config::DEFAULT);
        link.endpoint_mut().close(S(0));
        let (mut read, mut write, mut buffer) = (world.clone(), world.clone(), [0; 100]);
        let mut io = world.clone();
        let app = |_: &mut Context<'_>, _, _: &mut Client<'static>, _: Option<Event<'_>>| {};
        let mut run: Pin<Box<dyn Future<Output = Result<Disconnect, ErrorKind>>>> = match way {
            "task" => Box::pin(task::run(&mut link, &mut read, &mut write, &world, app)),
            "buffered" => Box::pin(task::run_buffered(&mut link, &mut read, &mut write, &mut buffer, &world, app)),
            _ => Box::pin(task::run_whole(&mut link, &mut io, &world, app)),
        };
        let over = (0..100).find_map(|_| {
            let polled = poll(run.as_mut());
            world.pass(1_000);
            if let Poll::Ready(over) = polled { Some(over) } else { None }
        });
        assert_eq!(over, Some(Ok(Disconnect::Closed)), "{way}");
    }
}

/// Takes a byte in 20 s.
struct Trickle(World);

impl ErrorType for Trickle {
    type Error = ErrorKind;
}

impl Read for Trickle {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(space).await
    }
}

impl Write for Trickle {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.sleep_until(self.0.now() + Duration::from_secs(20)).await;
        Ok(bytes.len().min(1))
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_does_not_keep_the_link() {
    for way in ["buffered", "whole"] {
        let world = World::new(Weather::FINE, 1);
        let mut link = connected(Config::DEFAULT);
        link.endpoint_mut().send_one_way(S(0), 301, &[0; 84]).unwrap();
        let (mut read, mut write, mut buffer) = (world.clone(), Trickle(world.clone()), [0; 50]);
        let app = |_: &mut Context<'_>, _, _: &mut Client<'static>, _: Option<Event<'_>>| {};
        let mut run: Pin<Box<dyn Future<Output = Result<Disconnect, ErrorKind>>>> = match way {
            "buffered" => Box::pin(task::run_buffered(&mut link, &mut read, &mut write, &mut buffer, &world, app)),
            _ => Box::pin(task::run_whole(&mut link, &mut write, &world, app)),
        };
        // The first timer that comes so late is taken for a sleep.
        let over = (0..300).find_map(|_| {
            let polled = poll(run.as_mut());
            world.pass(1_000);
            if let Poll::Ready(over) = polled { Some(over) } else { None }
        });
        assert_eq!(over, Some(Ok(Disconnect::Stalled)), "{way}");
    }
}

#[test]
fn what_a_command_of_the_application_brings_about_is_told_without_another_wake_up() {
    let world = World::new(Weather::FINE, 1);
    world.0.borrow_mut().up.stuck = true;
    let mut link = connected(Config::DEFAULT);
    let (mut read, mut write, told) = (world.clone(), world.clone(), RefCell::new(0));
    let mut cancelled = false;
    let app = |_: &mut Context<'_>, now, client: &mut Client<'static>| {
        if !std::mem::replace(&mut cancelled, true) {
            let token = client.request(now, 501, b"never mind").unwrap();
            client.cancel(now, token);
        }
    };
    let on = |_, _: &mut _, event: Event<'_>| {
        if matches!(event, Event::Cancelled { .. }) {
            *told.borrow_mut() += 1;
        }
    };
    let woken = Arc::new(Woken(true.into()));
    let waker = Waker::from(woken.clone());
    let mut run = pin!(task::run(&mut link, &mut read, &mut write, &world, application(app, on)));
    while woken.0.swap(false, Ordering::SeqCst) {
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(*told.borrow(), 1);
}

/// Polled once, this must come back: who decides may be another task of the same thread.
#[test]
fn a_task_whose_peer_has_ended_waits_for_a_decision_and_does_not_spin() {
    let world = World::new(Weather::FINE, 1);
    world.give(&Greets { epoch: 1, link: 1, resume: false }.frame_of(DEVICE.get()));
    world.give(&frame(&Dialect::LONGLINK, MESSAGE, 1, b"hello"));
    world.end();
    let mut link = server(ServerConfig::DEFAULT, S(0));
    let (mut read, mut write) = (world.clone(), world.clone());
    let (undecided, calls, decides) = (RefCell::new(None), RefCell::new(0), RefCell::new(false));
    let app = |_: &mut Context<'_>, now, server: &mut Server<'static, Vec<u8>>| {
        *calls.borrow_mut() += 1;
        assert!(*calls.borrow() < 100, "it spins");
        if *decides.borrow() {
            server.accept(now, &undecided.borrow_mut().take().unwrap()).unwrap();
        }
    };
    let on = |now, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>| match event {
        ServerEvent::Hello(hello) => {
            let mut ledger: Ledger = Ledger::default();
            let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
            server.welcome(now, &ledger, greeted.resumed).unwrap();
        }
        ServerEvent::Message { id, .. } => *undecided.borrow_mut() = Some(id),
        _ => {}
    };
    let mut run = pin!(task::run(&mut link, &mut read, &mut write, &world, application(app, on)));
    for _ in 0..5 {
        assert!(poll(run.as_mut()).is_pending());
    }
    *decides.borrow_mut() = true;
    assert!(poll(run.as_mut()).is_pending());
    *decides.borrow_mut() = false;
    assert_eq!(poll(run.as_mut()), Poll::Ready(Ok(Disconnect::PeerClosed)));
    assert!(world.take().ends_with(&frame(&Dialect::LONGLINK, MESSAGE + REPLY, 1, b"")));
}

/// Bytes that came, and a peer that takes no more.
struct Reset(World);

impl ErrorType for Reset {
    type Error = ErrorKind;
}

impl Read for Reset {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(space).await
    }
}

impl Write for Reset {
    async fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
        Err(ErrorKind::ConnectionReset)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Err(ErrorKind::ConnectionReset)
    }
}

#[test]
fn a_goaway_that_came_before_a_write_failed_is_told_and_heeded() {
    for way in ["task", "buffered", "whole"] {
        let world = World::new(Weather::FINE, 1);
        let mut link = connected(Config::DEFAULT);
        link.endpoint_mut().send_one_way(S(0), 301, b"").unwrap();
        world.give(&frame(&Dialect::LONGLINK, 247, 0, &GoAway::new(GoAwayCode::Replaced).to_bytes()));
        let (mut read, mut write, mut told) = (world.clone(), Reset(world.clone()), Vec::new());
        let on = |_, _: &mut Client<'static>, event: Event<'_>| told.push(format!("{event:?}"));
        let app = application(|_, _, _| {}, on);
        let over = match way {
            "task" => poll(pin!(task::run(&mut link, &mut read, &mut write, &world, app))),
            "buffered" => poll(pin!(task::run_buffered(&mut link, &mut read, &mut write, &mut [0; 100], &world, app))),
            _ => poll(pin!(task::run_whole(&mut link, &mut write, &world, app))),
        };
        assert_eq!(over, Poll::Ready(Err(ErrorKind::ConnectionReset)), "{way}");
        assert!(told.iter().any(|event| event.starts_with("GoAway")), "{way}: {told:?}");
        assert!(told.last().unwrap().contains("GoAway"), "{way}: {told:?}");
    }
}
