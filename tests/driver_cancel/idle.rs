//! The time between two links, and futures that others run.

use super::executor::Woken;
use crate::support::pipe::Weather;
use crate::support::world::World;
use crate::support::{OPEN, S, frame, server};
use longlink::Instant;
use longlink::io::task::{self, Clock as _};
use longlink::liveness::{Activity, Address, Fault};
use longlink::session::{Client, Config, DialerConfig, Disconnect, Event, Link, Storage};
use longlink::wire::Dialect;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

const DIALS: Config<'static> = Config { dialer: Some(DialerConfig::DEFAULT), ..Config::DEFAULT };

type DialingLink<'b> = Link<Client<'b>, &'b mut [u8]>;

/// A client that wants a link to either of two addresses.
fn dialing(storage: &mut Storage) -> DialingLink<'_> {
    let mut link = storage.client(&DIALS).unwrap();
    link.endpoint_mut().set_addresses(S(0), &[Address::new(0, 80), Address::new(1, 80)]).unwrap();
    link.endpoint_mut().open(S(0), 7);
    link
}

/// Polls `idle` when it was woken, and otherwise has it sleep until it wants to wake. `None` if it does not end before `limit`;
/// and how often it was polled.
fn wait<'b, T>(
    world: &World,
    link: &mut DialingLink<'b>,
    limit: Instant,
    mut app: impl FnMut(Instant, &mut Client<'b>, Option<Event<'_>>) -> Option<T>,
) -> (Option<Option<T>>, usize) {
    let woken = Arc::new(Woken(true.into()));
    let waker = Waker::from(woken.clone());
    let mut idle = pin!(task::idle(link, world, |_, now, client, event| app(now, client, event)));
    for polls in 1..100_000 {
        if !woken.0.swap(false, Ordering::SeqCst) {
            let mut state = world.0.borrow_mut();
            match state.sleeps_until {
                Some(at) if at <= limit => state.now = at,
                _ => return (None, polls),
            }
        }
        world.0.borrow_mut().sleeps_until = None;
        if let Poll::Ready(won) = idle.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (Some(won), polls);
        }
    }
    panic!("it spins");
}

/// Every attempt succeeds.
fn win(now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) -> Option<u16> {
    match event {
        Some(Event::Connect(attempt)) if client.handle_alive(now, attempt) => Some(attempt.address().index),
        _ => None,
    }
}

#[test]
fn what_was_won_ends_the_wait() {
    let (world, mut storage) = (World::new(Weather::FINE, 1), Storage::new());
    let mut link = dialing(&mut storage);
    assert_eq!(wait(&world, &mut link, S(60), win).0, Some(Some(0)));
    assert!(link.endpoint().is_online());
}

#[test]
fn an_hour_without_a_link_is_slept_through_but_for_the_attempts() {
    for fault in [Some(Fault::Refused), None] {
        let (world, mut storage) = (World::new(Weather::FINE, 1), Storage::new());
        let (mut link, mut attempts) = (dialing(&mut storage), 0);
        let (won, polls) = wait(&world, &mut link, S(3_600), |now, client, event| {
            if let Some(Event::Connect(attempt)) = event {
                attempts += 1;
                fault.into_iter().for_each(|fault| client.handle_refused(now, attempt, fault));
            }
            None::<()>
        });
        assert_eq!(won, None);
        assert!(attempts > 10 && polls < 6 * attempts, "{polls} polls, {attempts} attempts, {fault:?}");
    }
}

#[test]
fn who_wants_no_link_does_not_wait_for_one() {
    let world = World::new(Weather::FINE, 1);
    for config in [&DIALS, &Config::DEFAULT] {
        // Nobody has opened it, or nobody can.
        let mut storage: Storage = Storage::new();
        let mut link = storage.client(config).unwrap();
        assert_eq!(wait(&world, &mut link, S(1), |_, _, _| None::<()>).0, Some(None));
    }
    let mut storage = Storage::new();
    let mut link = dialing(&mut storage);
    let won = wait(&world, &mut link, S(60), |now, client, event| {
        if matches!(event, Some(Event::Connect(_))) {
            client.close(now);
        }
        None::<()>
    });
    assert_eq!(won.0, Some(None), "closed meanwhile");
}

#[test]
fn a_dormant_client_is_waited_for_until_somebody_looks() {
    let (world, mut storage) = (World::new(Weather::FINE, 1), Storage::new());
    let mut link = dialing(&mut storage);
    link.endpoint_mut().set_activity(S(0), Activity::Background);
    let mut is_dormant = false;
    let (won, _) = wait(&world, &mut link, S(36_000), |now, client, event| {
        if matches!(event, Some(Event::Dormant { .. })) {
            is_dormant = true;
            client.set_activity(now, Activity::Foreground);
        }
        if is_dormant { win(now, client, event) } else { None }
    });
    assert!(is_dormant && matches!(won, Some(Some(_))), "{won:?}");
}

#[test]
fn a_link_whose_driver_was_dropped_is_lost_and_half_a_frame_of_it_with_it() {
    let (world, mut storage) = (World::new(Weather::FINE, 1), Storage::new());
    let mut link = dialing(&mut storage);
    wait(&world, &mut link, S(60), win);
    world.give(&frame(&Dialect::LONGLINK, 122, 0, b"a push")[..18]);
    {
        let (mut read, mut write) = (world.clone(), world.clone());
        let mut run = pin!(task::run(&mut link, &mut read, &mut write, &world, |_, _, _, _| {}));
        for _ in 0..5 {
            assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }
    assert!(!link.decoder().is_empty());
    let mut lost = None;
    let (won, _) = wait(&world, &mut link, S(600), |now, client, event| {
        if let Some(Event::Offline(why)) = event {
            lost = Some(why);
        }
        win(now, client, event)
    });
    assert!(matches!(won, Some(Some(_))), "{won:?}");
    assert_eq!((lost, link.decoder().is_empty()), (Some(Disconnect::Transport), true));
}

/// A transport that gives one push and takes nothing.
struct Deaf(bool);

impl embedded_io_async::ErrorType for Deaf {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io_async::Read for Deaf {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, Self::Error> {
        if std::mem::replace(&mut self.0, true) {
            std::future::pending::<()>().await;
        }
        let push = frame(&Dialect::LONGLINK, 122, 0, b"hi");
        space[..push.len()].copy_from_slice(&push);
        Ok(push.len())
    }
}

impl embedded_io_async::Write for Deaf {
    async fn write(&mut self, _: &[u8]) -> Result<usize, Self::Error> {
        Ok(0)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[test]
fn a_transport_that_takes_nothing_has_failed_also_when_something_is_read_at_that_moment() {
    for mut buffer in [vec![0; 64], vec![]] {
        let world = World::new(Weather::FINE, 1);
        let mut link = crate::support::connected(Config::DEFAULT);
        link.endpoint_mut().send(S(0), b"hello").unwrap();
        let (mut read, mut write) = (Deaf(false), Deaf(false));
        let mut run = pin!(task::run_buffered(&mut link, &mut read, &mut write, &mut buffer, &world, |_, _, _, _| {}));
        let polled = (0..5).find_map(|_| match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(over) => Some(over),
            Poll::Pending => None,
        });
        assert_eq!(polled, Some(Ok(Disconnect::Transport)));
    }
}

/// A clock that any thread may ask.
struct Stopped;

impl task::Clock for Stopped {
    fn now(&self) -> Instant {
        S(0)
    }

    async fn sleep_until(&self, _: Instant) {
        std::future::pending().await
    }
}

/// A task that is spawned on several threads is `Send`. That this compiles is the test.
#[test]
fn every_driver_may_be_spawned_on_several_threads() {
    const fn is_send<F: Future + Send>(_: &F) {}
    let config: &'static Config<'static> = &DIALS;
    let mut storage: Storage = Storage::new();
    let mut link = storage.client(config).unwrap();
    let (mut read, mut write, mut buffer) = (Deaf(false), Deaf(false), [0; 9]);
    is_send(&task::run(&mut link, &mut read, &mut write, &Stopped, |_, _, _, _| {}));
    is_send(&task::run_buffered(&mut link, &mut read, &mut write, &mut buffer, &Stopped, |_, _, _, _| {}));
    is_send(&task::run_whole(&mut link, &mut write, &Stopped, |_, _, _, _| {}));
    is_send(&task::idle(&mut link, &Stopped, |_, _, _, _| Some(())));
    let mut link = server(OPEN, S(0));
    is_send(&task::run(&mut link, &mut read, &mut write, &Stopped, |_, _, _, _| {}));
    assert_eq!(Stopped.now(), S(0));
}
