//! [`run`] drives a link over [`embedded_io_async`] halves, on whatever executor.

use crate::Instant;
use crate::session::{Disconnect, Endpoint, Link};
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

/// Runs the connection to its end, and returns why it ended. The transport is not closed: end your side of the stream then,
/// read and drop what comes for up to 3 s, and close it.
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
    let mut flushed = true;
    // Bytes first: this may be a link whose driver was dropped a while ago.
    let mut has_read = false;
    let over = loop {
        let now = clock.now();
        link.handle_all(now, has_read, |endpoint, event| on(now, endpoint, event));
        has_read = true;
        if let Some(why) = link.over() {
            break Ok(why);
        }
        match turn(link, read, write, clock, &mut flushed, &mut app, &mut on).await {
            Ok(Turn::Bytes(0)) => link.handle_end(),
            Ok(Turn::Bytes(n)) => link.handle_read(clock.now(), n),
            Ok(Turn::Taking) => {}
            Ok(Turn::Over(why)) => break Ok(why),
            Err(error) => break Err(error),
        }
    };
    let now = clock.now();
    let why = link.handle_disconnected(now, over.as_ref().map_or(Disconnect::Transport, |why| *why));
    link.process(now, |endpoint, event| on(now, endpoint, event));
    over.map(|_| why)
}

/// How a [`turn`] ended.
enum Turn {
    /// So many were read; none at the end of the stream.
    Bytes(usize),
    /// Bytes that were read before can be taken now.
    Taking,
    Over(Disconnect),
}

/// Reads once, and does all else until that is done.
async fn turn<E, B, R, W>(
    link: &mut Link<E, B>,
    read: &mut R,
    write: &mut W,
    clock: &impl Clock,
    flushed: &mut bool,
    app: &mut impl FnMut(&mut Context<'_>, Instant, &mut E),
    on: &mut impl FnMut(Instant, &mut E, E::Event<'_>),
) -> Result<Turn, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
    W: Write<Error = R::Error>,
{
    // Nothing is read while the peer is held back, nor after its end: what ends the turn then is that this is over.
    let (reads, ended, held_back) = (!link.space().is_empty(), link.is_ended(), !link.endpoint().can_take());
    let (decoder, endpoint) = link.split();
    let mut reading = pin!(reads.then(|| read.read(decoder.space())));
    let mut sleep = pin!(None);
    let mut armed = None;
    poll_fn(|cx| {
        let now = clock.now();
        let bytes = match reading.as_mut().as_pin_mut().map(|reading| reading.poll(cx)) {
            Some(Poll::Ready(n)) => Some(n?),
            _ => None,
        };
        if bytes.is_none() {
            // Nothing has come that a timer could be waiting for.
            endpoint.handle_timeout(now);
        }
        while let Some(event) = endpoint.poll_event() {
            on(now, endpoint, event);
        }
        app(cx, now, endpoint);
        let written = write_some(endpoint, write, now, flushed, cx)?;
        if let Some(n) = bytes {
            return Poll::Ready(Ok(Turn::Bytes(n)));
        }
        if let Some(end) = end_of_turn(endpoint, written, held_back, ended) {
            return Poll::Ready(Ok(end));
        }
        if written == Written::Moved {
            // There is room again, which the application may have waited for.
            cx.waker().wake_by_ref();
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

/// Whether a turn ends though nothing was read.
fn end_of_turn(endpoint: &impl Endpoint, written: Written, held_back: bool, ended: bool) -> Option<Turn> {
    if let Some(why) = endpoint.closing().filter(|why| written == Written::All || !why.is_orderly()) {
        return Some(Turn::Over(why));
    }
    let goes_on = endpoint.can_take() && (held_back || (ended && written == Written::All));
    goes_on.then_some(Turn::Taking)
}

/// What came of writing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// There was nothing, and all before is flushed.
    All,
    /// All there was, or some of it.
    Moved,
    /// The transport takes nothing just now.
    Nothing,
}

/// Writes and flushes what goes without waiting.
fn write_some<E: Endpoint, W: Write>(
    endpoint: &mut E,
    write: &mut W,
    now: Instant,
    flushed: &mut bool,
    cx: &mut Context<'_>,
) -> Result<Written, W::Error> {
    let mut written = Written::All;
    while let Some(bytes) = endpoint.poll_transmit() {
        let polled = pin!(write.write(bytes)).poll(cx);
        let Poll::Ready(n) = polled else {
            return Ok(if written == Written::All { Written::Nothing } else { written });
        };
        endpoint.handle_sent(now, n?);
        (*flushed, written) = (false, Written::Moved);
    }
    if !*flushed {
        let Poll::Ready(done) = pin!(write.flush()).poll(cx) else {
            return Ok(if written == Written::All { Written::Nothing } else { written });
        };
        done?;
        *flushed = true;
    }
    Ok(written)
}
