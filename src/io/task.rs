//! [`run`] drives a link over [`embedded_io_async`] halves, on whatever executor.

use crate::Instant;
use crate::session::{Disconnect, Endpoint, Link};
use crate::wire::Decoder;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};

/// The time, and a way to wait for it.
pub trait Clock {
    /// The time on a clock that never goes backwards.
    fn now(&self) -> Instant;

    /// Completes at `at` or a little later. May be dropped before.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// Runs the connection to its end, and returns why it ended. The transport is not closed: that is the caller's part.
///
/// `on` is told each event. `app` is called at every wake-up, so that other tasks have commands carried out: it polls a
/// channel of theirs with the context it is given, and does on the endpoint what comes out.
///
/// A read is awaited to its end. A write is polled, and dropped while it is pending, so that a peer which does not read
/// holds up neither reads nor timers nor the application: the transport's `write` and `flush` must lose nothing when they
/// are dropped. The future of `run` itself may be dropped at any time if the transport's `read` may, too: half-read frames
/// and half-written runs stay in the link.
///
/// # Errors
///
/// That of the transport; the link was told [`Disconnect::Transport`].
pub async fn run<E, B, R, W>(
    link: &mut Link<E, B>,
    read: &mut R,
    write: &mut W,
    clock: &impl Clock,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut E),
    mut on: impl FnMut(Instant, &mut E, E::Event<'_>),
) -> Result<Disconnect, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
    W: Write<Error = R::Error>,
{
    let over = loop {
        let now = clock.now();
        link.process(now, |endpoint, event| on(now, endpoint, event));
        let (decoder, endpoint) = link.split();
        match fill(decoder, endpoint, read, write, clock, &mut app, &mut on).await {
            Ok(Filled::Bytes(0)) => break Ok(link.end_of_stream()),
            Ok(Filled::Bytes(n)) => link.handle_read(clock.now(), n),
            Ok(Filled::Waiting) => {}
            Ok(Filled::Over(why)) => break Ok(why),
            Err(error) => break Err(error),
        }
    };
    let now = clock.now();
    let why = link.handle_disconnected(now, over.as_ref().map_or(Disconnect::Transport, |why| *why));
    link.process(now, |endpoint, event| on(now, endpoint, event));
    over.map(|_| why)
}

/// How a wait for bytes ended.
enum Filled {
    Bytes(usize),
    /// Bytes that were read before can be taken now.
    Waiting,
    Over(Disconnect),
}

/// Reads once, and does all else until that is done.
async fn fill<E, B, R, W>(
    decoder: &mut Decoder<B>,
    endpoint: &mut E,
    read: &mut R,
    write: &mut W,
    clock: &impl Clock,
    app: &mut impl FnMut(&mut Context<'_>, Instant, &mut E),
    on: &mut impl FnMut(Instant, &mut E, E::Event<'_>),
) -> Result<Filled, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
    W: Write<Error = R::Error>,
{
    let held_back = !endpoint.can_take();
    let mut reading = pin!((!held_back).then(|| read.read(decoder.space())));
    let mut sleep = pin!(None);
    let mut armed = None;
    let mut unflushed = false;
    poll_fn(|cx| {
        if let Some(Poll::Ready(n)) = reading.as_mut().as_pin_mut().map(|reading| reading.poll(cx)) {
            return Poll::Ready(n.map(Filled::Bytes));
        }
        let now = clock.now();
        endpoint.handle_timeout(now);
        while let Some(event) = endpoint.poll_event() {
            on(now, endpoint, event);
        }
        app(cx, now, endpoint);
        let written = write_some(endpoint, write, now, &mut unflushed, cx)?;
        if let Some(why) = endpoint.closing().filter(|why| written || !why.is_orderly()) {
            return Poll::Ready(Ok(Filled::Over(why)));
        }
        if held_back && endpoint.can_take() {
            return Poll::Ready(Ok(Filled::Waiting));
        }
        let due = endpoint.poll_timeout();
        if due != armed {
            sleep.set(due.map(|at| clock.sleep_until(at)));
            armed = due;
        }
        if sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            // Bytes first, in case they came at the same time: once more from the top.
            sleep.set(None);
            armed = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Writes and flushes what goes without waiting. `true` if all is out.
fn write_some<E: Endpoint, W: Write>(
    endpoint: &mut E,
    write: &mut W,
    now: Instant,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Result<bool, W::Error> {
    while let Some(bytes) = endpoint.poll_transmit() {
        let polled = pin!(write.write(bytes)).poll(cx);
        let Poll::Ready(n) = polled else { return Ok(false) };
        endpoint.handle_sent(now, n?);
        *unflushed = true;
    }
    if *unflushed {
        let Poll::Ready(flushed) = pin!(write.flush()).poll(cx) else { return Ok(false) };
        flushed?;
        *unflushed = false;
    }
    Ok(true)
}
