//! A transport that wakes whom something has changed for, and nobody else.

use crate::support::pipe::{Pipe, Read, Weather};
use embedded_io::{ErrorKind, ErrorType, ReadReady, WriteReady};
use longlink::{Instant, earliest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a transport does to what goes through it. Positions are those in the stream of this connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// So many bytes at most in one call, from one on.
    pub(crate) largest_write: usize,
    pub(crate) largest_read: usize,
    /// What was written waits in a buffer of so many bytes until it is full or flushed ...
    pub(crate) buffer: usize,
    /// ... and needs so long to leave it.
    pub(crate) drain: Duration,
    /// No call goes past this position, and for a moment none after it does anything.
    pub(crate) split_write: Option<usize>,
    pub(crate) split_read: Option<usize>,
    /// So many calls of a kind go well; then the connection is broken.
    pub(crate) fails: Option<(Call, usize)>,
    /// So many writes go well; then they take nothing and say so.
    pub(crate) writes_nothing: Option<usize>,
    /// So many bytes are taken, and then none.
    pub(crate) takes: usize,
    /// A read is never done at once, nor a write that is awaited to its end.
    pub(crate) hesitates: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    Flush,
}

impl Habits {
    /// Everything at once.
    pub(crate) const PERFECT: Self = Self {
        largest_write: usize::MAX,
        largest_read: usize::MAX,
        buffer: 4_096,
        drain: Duration::ZERO,
        split_write: None,
        split_read: None,
        fails: None,
        writes_nothing: None,
        takes: usize::MAX,
        hesitates: false,
    };
    /// Small pieces, late.
    pub(crate) const ROUGH: Self = Self {
        largest_write: 23,
        largest_read: 19,
        buffer: 60,
        drain: Duration::from_millis(2),
        hesitates: true,
        ..Self::PERFECT
    };
}

/// How long a split lasts.
const PAUSE: Duration = Duration::from_millis(3);

/// One connection at a time, and the time.
#[derive(Clone)]
pub(crate) struct Wire(Rc<RefCell<State>>);

pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) habits: Habits,
    /// From the driver, and to it.
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    buffer: Vec<u8>,
    /// When what is in the buffer has left it.
    leaves: Option<Instant>,
    /// Nothing is read, or written, before.
    pauses: [Option<Instant>; 2],
    calls: [usize; 3],
    written: usize,
    read: usize,
    is_broken: bool,
    wakers: [Option<Waker>; 3],
    pub(crate) sleeps: BTreeMap<u64, (Instant, Waker)>,
    /// How many there ever were.
    pub(crate) slept: u64,
    /// A write or a flush is under way that must not be dropped.
    pub(crate) is_writing: bool,
    /// One was: the stream is torn.
    pub(crate) is_torn: bool,
}

impl Wire {
    pub(crate) fn new(habits: Habits) -> Self {
        let pipe = || Pipe::new(Weather::FINE, 1);
        Self(Rc::new(RefCell::new(State {
            now: Instant::ZERO,
            habits,
            up: pipe(),
            down: pipe(),
            buffer: Vec::new(),
            leaves: None,
            pauses: [None; 2],
            calls: [0; 3],
            written: 0,
            read: 0,
            is_broken: false,
            wakers: [const { None }; 3],
            sleeps: BTreeMap::new(),
            slept: 0,
            is_writing: false,
            is_torn: false,
        })))
    }

    pub(crate) fn state(&self) -> std::cell::RefMut<'_, State> {
        self.0.borrow_mut()
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.borrow().now
    }

    /// Another connection. What the driver had written is with the peer, or lost; the peer hears of the end.
    pub(crate) fn connect(&self, habits: Habits, arrives: bool) -> (Pipe, Pipe) {
        let mut state = self.state();
        let state = &mut *state;
        let pipe = || Pipe::new(Weather::FINE, 1);
        let (mut up, mut down) = (std::mem::replace(&mut state.up, pipe()), std::mem::replace(&mut state.down, pipe()));
        if arrives {
            up.write(state.now, &state.buffer);
            up.finish();
        } else {
            up.reset();
        }
        down.swallow();
        state.buffer.clear();
        (state.habits, state.leaves, state.pauses) = (habits, None, [None; 2]);
        (state.calls, state.written, state.read) = ([0; 3], 0, 0);
        (state.is_broken, state.wakers) = (false, [const { None }; 3]);
        (state.is_writing, state.is_torn) = (false, false);
        (up, down)
    }

    /// How many bytes went through: from the driver, and to it.
    pub(crate) fn moved(&self) -> (usize, usize) {
        let state = self.0.borrow();
        (state.written, state.read)
    }

    /// When something changes by itself.
    pub(crate) fn next(&self) -> Option<Instant> {
        let state = self.0.borrow();
        let sleep = state.sleeps.values().map(|(at, _)| *at).min();
        let next =
            [state.leaves, state.pauses[0], state.pauses[1], state.up.next_arrival(), state.down.next_arrival(), sleep];
        // What has arrived waits for its reader.
        earliest(next.map(|at| at.filter(|at| *at > state.now)))
    }

    /// Wakes whom something has changed for.
    pub(crate) fn notify(&self) {
        let mut state = self.state();
        state.settle();
        let woken = [state.is_readable(), state.is_writable(), state.is_flushed() || state.is_broken];
        for (waker, woken) in state.wakers.iter_mut().zip(woken) {
            if woken {
                waker.take().into_iter().for_each(Waker::wake);
            }
        }
        let now = state.now;
        state.sleeps.retain(|_, (at, waker)| {
            let is_due = *at <= now;
            if is_due {
                waker.wake_by_ref();
            }
            !is_due
        });
    }

    pub(crate) async fn write_some(&self, bytes: &[u8], hesitates: bool) -> Result<usize, ErrorKind> {
        let mut begun = false;
        poll_fn(|cx| {
            std::task::ready!(self.begin(Call::Write, &mut begun, hesitates, cx))?;
            let written = self.state().try_write(bytes);
            if written.is_none() {
                self.wait(Call::Write, cx);
            }
            written.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn wait(&self, call: Call, cx: &Context<'_>) {
        self.state().wakers[call as usize] = Some(cx.waker().clone());
    }

    /// Counts a call, on the first poll of its future, which does nothing else where the transport hesitates.
    fn begin(&self, call: Call, begun: &mut bool, hesitates: bool, cx: &Context<'_>) -> Poll<Result<(), ErrorKind>> {
        if std::mem::replace(begun, true) {
            return Poll::Ready(if self.0.borrow().is_broken { Err(ErrorKind::ConnectionReset) } else { Ok(()) });
        }
        assert!(!self.0.borrow().is_torn, "it is of no use any more");
        self.state().call(call)?;
        if hesitates && self.0.borrow().habits.hesitates {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl State {
    /// What is due happens.
    fn settle(&mut self) {
        for pause in &mut self.pauses {
            *pause = pause.filter(|at| *at > self.now);
        }
        if self.leaves.is_some_and(|at| at <= self.now) {
            self.leaves = None;
            let taken = self.up.write(self.now, &self.buffer);
            assert_eq!(taken, self.buffer.len());
            self.buffer.clear();
        }
    }

    fn call(&mut self, call: Call) -> Result<(), ErrorKind> {
        self.settle();
        let count = &mut self.calls[call as usize];
        *count += 1;
        self.is_broken |= self.habits.fails.is_some_and(|(kind, well)| kind == call && *count > well);
        if self.is_broken { Err(ErrorKind::ConnectionReset) } else { Ok(()) }
    }

    fn is_readable(&self) -> bool {
        let arrived = self.down.next_arrival().is_some_and(|at| at <= self.now) || self.down.is_finished();
        self.is_broken || (arrived && self.pauses[0].is_none())
    }

    fn is_writable(&self) -> bool {
        let room = self.leaves.is_none() && self.buffer.len() < self.habits.buffer;
        self.is_broken || (room && self.pauses[1].is_none() && self.written < self.habits.takes)
    }

    fn is_flushed(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How much of `most` may move, with a split at `at` and so many bytes before.
    fn split(&mut self, pipe: usize, most: usize, at: Option<usize>, before: usize) -> usize {
        let most = at.filter(|at| *at > before).map_or(most, |at| most.min(at - before));
        if at == Some(before + most) {
            self.pauses[pipe] = Some(self.now + PAUSE);
        }
        most
    }

    /// `None` where it would have to wait.
    fn try_read(&mut self, space: &mut [u8]) -> Option<Result<usize, ErrorKind>> {
        self.settle();
        if !self.is_readable() {
            return None;
        }
        if self.is_broken {
            return Some(Err(ErrorKind::ConnectionReset));
        }
        let there = space.len().min(self.habits.largest_read).min(self.down.on_its_way());
        let most = if there == 0 { 1 } else { self.split(0, there, self.habits.split_read, self.read) };
        match self.down.read(self.now, &mut space[..most]) {
            Read::Bytes(n) => {
                self.read += n;
                Some(Ok(n))
            }
            Read::End => Some(Ok(0)),
            Read::Reset => Some(Err(ErrorKind::ConnectionReset)),
            Read::Pending => panic!("it was readable"),
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> Option<Result<usize, ErrorKind>> {
        self.settle();
        if !self.is_writable() {
            return None;
        }
        if self.habits.writes_nothing.is_some_and(|well| self.calls[Call::Write as usize] > well) {
            return Some(Ok(0));
        }
        let room = (self.habits.buffer - self.buffer.len()).min(self.habits.takes - self.written);
        let most = bytes.len().min(self.habits.largest_write).min(room);
        let n = self.split(1, most, self.habits.split_write, self.written);
        self.buffer.extend_from_slice(&bytes[..n]);
        self.written += n;
        if self.buffer.len() == self.habits.buffer {
            self.drain();
        }
        Some(Ok(n))
    }

    /// The buffer begins to empty, whoever waits for that or not.
    fn drain(&mut self) {
        if !self.buffer.is_empty() && self.leaves.is_none() {
            self.leaves = Some(self.now + self.habits.drain);
        }
        self.settle();
    }
}

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl embedded_io_async::Read for Wire {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!space.is_empty(), "this reads as the end");
        let mut begun = false;
        poll_fn(|cx| {
            std::task::ready!(self.begin(Call::Read, &mut begun, true, cx))?;
            let read = self.state().try_read(space);
            if read.is_none() {
                self.wait(Call::Read, cx);
            }
            read.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl embedded_io_async::Write for Wire {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.write_some(bytes, false).await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        let mut begun = false;
        poll_fn(|cx| {
            std::task::ready!(self.begin(Call::Flush, &mut begun, false, cx))?;
            self.state().drain();
            if self.state().is_flushed() {
                return Poll::Ready(Ok(()));
            }
            self.wait(Call::Flush, cx);
            Poll::Pending
        })
        .await
    }
}

impl embedded_io::Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!space.is_empty(), "this reads as the end");
        self.state().call(Call::Read)?;
        self.state().try_read(space).unwrap_or_else(|| panic!("it would wait"))
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        self.state().settle();
        Ok(self.0.borrow().is_readable())
    }
}

impl embedded_io::Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.state().call(Call::Write)?;
        self.state().try_write(bytes).unwrap_or_else(|| panic!("it would wait"))
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.state().call(Call::Flush)?;
        self.state().drain();
        Ok(())
    }
}

impl WriteReady for Wire {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        self.state().settle();
        Ok(self.0.borrow().is_writable())
    }
}
