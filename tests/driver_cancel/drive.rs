//! The ways to drive a link, over the same transport.

use super::executor::{Woken, execute};
use super::home::{Device, DeviceLink, Home};
use super::slow::Slow;
use super::wire::Wire;
use embedded_io::{ErrorKind, ReadReady, WriteReady};
use longlink::io::{blocking, task};
use longlink::session::{Client, Disconnect, Event};
use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

/// How a connection ended.
pub(crate) type Over = Result<Disconnect, ErrorKind>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Task,
    Buffered,
    Whole,
    Steps,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Task, Self::Buffered, Self::Whole, Self::Steps];
    /// Those whose futures can be dropped.
    pub(crate) const TASKS: [Self; 3] = [Self::Task, Self::Buffered, Self::Whole];

    /// Drives the connection to its end, or for so many polls or steps, which are counted; whether a write that must not be
    /// dropped is spared then.
    pub(crate) fn drive(
        self,
        home: &mut Home,
        device: &RefCell<Device>,
        link: &mut DeviceLink,
        patience: (usize, bool),
        polls: &mut usize,
    ) -> Option<Over> {
        let wire = home.wire.clone();
        let app = |cx: &mut Context<'_>, now, client: &mut Client<'static>, event: Option<Event<'_>>| match event {
            Some(event) => device.borrow_mut().hear(now, client, event),
            None => device.borrow_mut().act(cx, now, client),
        };
        let (mut read, mut write, mut slow, mut buffer) = (wire.clone(), wire.clone(), Slow(wire.clone()), [0; 50]);
        match self {
            Self::Task => {
                let run = pin!(task::run(link, &mut read, &mut write, &wire, app));
                execute(&wire, run, patience, polls, || home.go_on())
            }
            Self::Buffered => {
                let run = pin!(task::run_buffered(link, &mut read, &mut slow, &mut buffer, &wire, app));
                execute(&wire, run, patience, polls, || home.go_on())
            }
            Self::Whole => {
                let run = pin!(task::run_whole(link, &mut slow, &wire, app));
                execute(&wire, run, patience, polls, || home.go_on())
            }
            Self::Steps => step_on(home, device, link, patience.0, polls),
        }
    }

    /// Drives it to its end.
    pub(crate) fn finish(self, home: &mut Home, device: &RefCell<Device>, link: &mut DeviceLink) -> (Over, usize) {
        let mut polls = 0;
        let over = self.drive(home, device, link, (usize::MAX, false), &mut polls);
        (over.unwrap(), polls)
    }
}

/// Step after step; at [`Idle`](blocking::Progress::Idle) it sleeps until what that says.
fn step_on(
    home: &mut Home,
    device: &RefCell<Device>,
    link: &mut DeviceLink,
    patience: usize,
    steps: &mut usize,
) -> Option<Over> {
    let mut io = home.wire.clone();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    for _ in 0..patience {
        let now = io.now();
        *steps += 1;
        device.borrow_mut().act(&mut Context::from_waker(&waker), now, link.endpoint_mut());
        let step = blocking::step(link, &mut io, now, |client, event| device.borrow_mut().hear(now, client, event));
        match step {
            Ok(blocking::Progress::Over(why)) => return Some(Ok(why)),
            Ok(blocking::Progress::Moved) => continue,
            Ok(blocking::Progress::Idle) => {}
            Err(error) => return Some(Err(error)),
        }
        while !woken.0.swap(false, Ordering::SeqCst) && !is_awaited(link, &mut io) {
            // Something that wakes at the time that the link names.
            let deadline = link.poll_timeout();
            if deadline.is_some_and(|at| at <= io.now()) {
                break;
            }
            assert!(home.go_on_until(deadline), "nothing will wake it");
        }
    }
    None
}

/// Whether there is something to read or to be written that a step would read or write.
fn is_awaited(link: &mut DeviceLink, io: &mut Wire) -> bool {
    let reads = !link.space().is_empty() && io.read_ready().unwrap();
    reads || (link.poll_transmit().is_some() && io.write_ready().unwrap())
}
