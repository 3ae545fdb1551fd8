//! A clock and a transport for the drivers, on virtual time.

use super::pair::Side;
use super::pipe::{Pipe, Read, Weather};
use embedded_io::{ErrorKind, ErrorType, ReadReady, WriteReady};
use longlink::Instant;
use longlink::io::task::{self, Clock as _};
use longlink::session::Endpoint;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The clock and the network of a test, shared by all that is in it.
#[derive(Clone)]
pub struct World(pub Rc<RefCell<State>>);

pub struct State {
    pub now: Instant,
    /// From the driver, and to it.
    pub up: Pipe,
    pub down: Pipe,
    /// Reads and writes until one fails.
    pub until_failure: Option<usize>,
    /// What every read gives, each a millisecond after the last, if there is something.
    pub flood: Vec<u8>,
    /// Bytes that were written and not flushed.
    pub unflushed: usize,
    /// A flush does not end.
    pub flush_stuck: bool,
    /// What somebody sleeps until.
    pub sleeps_until: Option<Instant>,
}

impl World {
    pub fn new(weather: Weather, seed: u64) -> Self {
        let (up, down) = (Pipe::new(weather, seed), Pipe::new(weather, !seed));
        Self(Rc::new(RefCell::new(State {
            now: Instant::ZERO,
            up,
            down,
            until_failure: None,
            flood: Vec::new(),
            unflushed: 0,
            flush_stuck: false,
            sleeps_until: None,
        })))
    }

    pub fn pass(&self, millis: u64) {
        let now = self.now();
        self.0.borrow_mut().now = now + Duration::from_millis(millis);
    }

    /// Counts one call of the transport; fails when it is its turn.
    fn call(&self) -> Result<(), ErrorKind> {
        match &mut self.0.borrow_mut().until_failure {
            Some(0) => Err(ErrorKind::ConnectionReset),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `None` where it would have to wait.
    fn read_some(&self, space: &mut [u8]) -> Option<Result<usize, ErrorKind>> {
        let mut state = self.0.borrow_mut();
        if !state.flood.is_empty() {
            let n = space.len().min(state.flood.len());
            space[..n].copy_from_slice(&state.flood[..n]);
            state.flood.rotate_left(n);
            state.now = state.now + Duration::from_millis(1);
            return Some(Ok(n));
        }
        let now = state.now;
        match state.down.read(now, space) {
            Read::Bytes(n) => Some(Ok(n)),
            Read::Pending => None,
            Read::End => Some(Ok(0)),
            Read::Reset => Some(Err(ErrorKind::ConnectionReset)),
        }
    }

    /// Bytes come in, now.
    pub fn give(&self, bytes: &[u8]) {
        let state = &mut *self.0.borrow_mut();
        assert_eq!(state.down.write(state.now, bytes), bytes.len());
    }

    /// No more come after those that did.
    pub fn end(&self) {
        self.0.borrow_mut().down.finish();
    }

    /// Takes what has come out.
    pub fn take(&self) -> Vec<u8> {
        let state = &mut *self.0.borrow_mut();
        let (mut all, mut space) = (Vec::new(), [0; 4_096]);
        while let Read::Bytes(n) = state.up.read(state.now, &mut space) {
            all.extend_from_slice(&space[..n]);
        }
        all
    }

    /// Counts `n` bytes that were written.
    fn wrote(state: &mut State, n: usize) -> usize {
        state.unflushed += n;
        n
    }

    fn flushed(&self) -> bool {
        let mut state = self.0.borrow_mut();
        if !state.flush_stuck {
            state.unflushed = 0;
        }
        !state.flush_stuck
    }

    /// The server's turn.
    pub fn serve<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(&self, side: &mut Side<E, B>) {
        let state = &mut *self.0.borrow_mut();
        side.step(state.now, &mut state.up, &mut state.down);
    }
}

/// The application of a task: what it does at every wake-up, and with every event.
pub fn application<E: Endpoint>(
    mut poll: impl FnMut(&mut Context<'_>, Instant, &mut E),
    mut on: impl FnMut(Instant, &mut E, E::Event<'_>),
) -> impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>) {
    move |cx, now, endpoint, event| match event {
        Some(event) => on(now, endpoint, event),
        None => poll(cx, now, endpoint),
    }
}

impl ErrorType for World {
    type Error = ErrorKind;
}

impl embedded_io_async::Read for World {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        self.call()?;
        poll_fn(|_| self.read_some(space).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl embedded_io_async::Write for World {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.call()?;
        poll_fn(|_| {
            let mut state = self.0.borrow_mut();
            let now = state.now;
            match state.up.write(now, bytes) {
                0 => Poll::Pending,
                n => Poll::Ready(Ok(Self::wrote(&mut state, n))),
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        poll_fn(|_| if self.flushed() { Poll::Ready(Ok(())) } else { Poll::Pending }).await
    }
}

impl embedded_io::Read for World {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        self.call()?;
        self.read_some(space).unwrap()
    }
}

impl ReadReady for World {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        let state = self.0.borrow();
        let arrived = state.down.next_arrival().is_some_and(|at| at <= state.now);
        Ok(arrived || state.down.is_finished())
    }
}

impl embedded_io::Write for World {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.call()?;
        let mut state = self.0.borrow_mut();
        let now = state.now;
        let n = state.up.write(now, bytes);
        Ok(Self::wrote(&mut state, n))
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        assert!(self.flushed(), "a step does not wait");
        Ok(())
    }
}

impl WriteReady for World {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        let state = self.0.borrow();
        Ok(!state.up.stuck && state.up.on_its_way() < state.up.weather.capacity)
    }
}

impl task::Clock for World {
    fn now(&self) -> Instant {
        self.0.borrow().now
    }

    async fn sleep_until(&self, at: Instant) {
        poll_fn(|_| {
            self.0.borrow_mut().sleeps_until = Some(at);
            if self.now() >= at { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
