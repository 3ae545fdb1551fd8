//! One link of a server as a task of tokio, made for many links that are quiet.
//!
//! ```text
//!            bytes, a deadline, news from other links
//!   Quiet ───────────────────────────────────────────▶ Busy ──over──▶ dropped
//!     ▲   no buffers: a socket, a timer, the session    │ ▲ │
//!     └──────────── nothing moves any more ─────────────┘ └─┘ read · handle · write
//! ```
//!
//! While it is quiet a link has no buffer: one is taken to ask the socket for bytes, and goes back to the pool unless a part of
//! a frame is in it. The read is polled, not awaited, so this holds for whatever is read from, TLS as well. A write is polled too: a
//! peer that never reads holds up neither reads nor timers, and is left when nothing has moved for long enough.
//!
//! Needs `pool.rs` and `room.rs` as modules of the program.

use crate::pool::Buffer;
use crate::room::{Room, Session, Shared};
use anyhow::Result;
use longlink::session::{Disconnect, Endpoint, Link, Server, limits};
use longlink::wire::Decoder;
use longlink::{Instant, earliest};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::Sender;
use tokio::time::{Sleep, sleep};

/// Frames received on all links.
pub(crate) static FRAMES: AtomicU64 = AtomicU64::new(0);

/// One link on its way to its end. It is a future by hand, because one that is made of `async` blocks would have room for
/// each of the steps that lead here, for as long as the link lasts.
pub(crate) struct Serving<S> {
    id: u64,
    shared: &'static Shared,
    stream: S,
    link: Link<Session<'static>, Buffer>,
    room: Room<'static>,
    /// The one timer of this link, moved to wherever its next deadline is.
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    is_flushed: bool,
    /// Nothing can be written any more.
    is_broken: bool,
    /// Nothing can be read any more, though the stream has not ended.
    failed: Option<Disconnect>,
    /// This side ends its stream; until then the peer may end its own.
    linger: Option<Instant>,
    is_shut: bool,
    /// So many are among [`FRAMES`].
    frames: u32,
    /// Says to the end of the server that this link is still there.
    _alive: Sender<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving<S> {
    /// A link that was just accepted.
    pub(crate) fn new(id: u64, stream: S, shared: &'static Shared, alive: Sender<()>) -> Result<Self> {
        let server = Server::new(&shared.config, shared.clock.now())?;
        Ok(Self {
            id,
            shared,
            stream,
            link: Link::new(Decoder::without_buffer(shared.config.dialect), server),
            room: Room::new(id, shared),
            timer: Box::pin(sleep(Duration::MAX)),
            armed: None,
            is_flushed: true,
            is_broken: false,
            failed: None,
            linger: None,
            is_shut: false,
            frames: 0,
            _alive: alive,
        })
    }
}

/// Until it is over.
impl<S: AsyncRead + AsyncWrite + Unpin> Future for Serving<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.room.listen(cx.waker());
        loop {
            if let Some(why) = this.work(cx) {
                eprintln!("link {}: {why}", this.id);
                return Poll::Ready(());
            }
            if !this.is_due(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving<S> {
    /// Goes on until nothing moves any more, or it is over.
    fn work(&mut self, cx: &mut Context<'_>) -> Option<Disconnect> {
        loop {
            let held_back = !self.link.endpoint().can_take();
            // Bytes first: they may be what a timer waits for.
            let mut moved = self.read(cx);
            let now = self.shared.clock.now();
            moved |= self.process(now);
            self.room.handle(now, self.link.endpoint_mut(), None);
            // What a command brought about is told at once, and may lead to another.
            moved |= self.process(now);
            // The socket was not asked then, and would wake nobody.
            moved |= held_back && self.link.endpoint().can_take();
            let (written, has_written) = self.write(cx);
            if moved || has_written {
                continue;
            }
            self.count();
            if let Some(why) = self.is_over(cx, now, written) {
                let why = self.link.handle_disconnected(now, why);
                self.process(now);
                return Some(why);
            }
            drop(self.link.split().0.reclaim());
            return None;
        }
    }

    /// Reads once, unless the peer is held back, and tells whether that brought anything.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.failed.is_some() || self.link.is_ended() {
            return false;
        }
        let decoder = self.link.split().0;
        if decoder.limit() == 0 {
            drop(decoder.lend(self.shared.pool.take()));
        }
        let space = self.link.space();
        if space.is_empty() {
            return false;
        }
        let mut room = ReadBuf::new(space);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let n = room.filled().len();
        match polled {
            Poll::Pending => return false,
            Poll::Ready(Err(_)) => self.failed = Some(Disconnect::Transport),
            Poll::Ready(Ok(())) if n == 0 => self.link.handle_end(),
            Poll::Ready(Ok(())) => self.link.handle_read(self.shared.clock.now(), n),
        }
        true
    }

    /// Handles what was read and what is due, and tells whether there was an event.
    fn process(&mut self, now: Instant) -> bool {
        let mut told = false;
        self.link.process(now, |server, event| {
            told = true;
            self.room.handle(now, server, Some(event));
        });
        told
    }

    /// Writes what goes without waiting, and tells whether any of it moved.
    fn write(&mut self, cx: &mut Context<'_>) -> (Written, bool) {
        let mut moved = false;
        while let Some(bytes) = self.link.poll_transmit().filter(|_| !self.is_broken) {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Pending => return (Written::Some, moved),
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.link.handle_sent(self.shared.clock.now(), n);
                    (self.is_flushed, moved) = (false, true);
                }
                Poll::Ready(_) => self.is_broken = true,
            }
        }
        if !self.is_flushed && !self.is_broken {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => return (Written::Some, moved),
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => self.is_broken = true,
            }
        }
        (if self.is_broken { Written::Failed } else { Written::All }, moved)
    }

    /// Whether the connection ends now. Ends this side's stream when it is time to.
    fn is_over(&mut self, cx: &mut Context<'_>, now: Instant, written: Written) -> Option<Disconnect> {
        if let Some(why) = self.link.over().or(self.failed) {
            return Some(why);
        }
        let closing = self.link.closing();
        if written == Written::Failed || (closing.is_some() && written == Written::All) {
            // What the peer sent before is still to be read; it may have closed already.
            self.linger = self.linger.or(Some(now + limits::CLOSE_TIMEOUT));
            self.is_shut = self.is_shut || Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
        }
        self.linger.filter(|at| *at <= now).map(|_| closing.unwrap_or(Disconnect::Transport))
    }

    /// Moves the timer to the next deadline. `true` if that is over.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let due = earliest([self.link.poll_timeout(), self.linger]);
        if let Some(at) = due.filter(|_| due != self.armed) {
            let wait = at - self.shared.clock.now();
            // No deadline is so far away that there is no such time.
            tokio::time::Instant::now().checked_add(wait).into_iter().for_each(|at| self.timer.as_mut().reset(at));
        }
        self.armed = due;
        let is_due = due.is_some() && self.timer.as_mut().poll(cx).is_ready();
        if is_due {
            self.armed = None;
        }
        is_due
    }

    fn count(&mut self) {
        let frames = self.link.endpoint().stats().frames_received;
        let new = frames.wrapping_sub(std::mem::replace(&mut self.frames, frames));
        FRAMES.fetch_add(new.into(), Ordering::Relaxed);
    }
}

/// What came of writing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    All,
    /// The peer does not take more just now.
    Some,
    Failed,
}
