//! One turn of a driver: a read, and all that goes on until it is done.

use super::Clock;
use crate::session::limits::WRITE_TIMEOUT;
use crate::session::{Disconnect, Endpoint, Link};
use crate::{Instant, earliest};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};

/// How a [`turn`] ended.
pub(super) enum Turn<F> {
    /// So many were read; none at the end of the stream.
    Bytes(usize),
    /// The same, and nothing can be written any more.
    Last(usize, F),
    /// Bytes that were read before can be taken now, or something can be written.
    Taking,
    Over(Disconnect),
}

/// What came of writing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// There was nothing, and all before is flushed.
    All,
    /// All there was, or some of it.
    Moved,
    /// The transport takes nothing just now.
    Nothing,
    /// The transport will never take anything more.
    Failed,
    /// There is something, which can be written after this turn only.
    Owed,
}

/// Reads once, and does all else until that is done; `output` writes what goes without waiting. What is written when the
/// link closes must have left the transport before it is `late`.
pub(super) async fn turn<E, B, R>(
    link: &mut Link<E, B>,
    read: &mut R,
    clock: &impl Clock,
    output: &mut impl FnMut(&mut Context<'_>, Instant, &mut E) -> Result<Written, R::Error>,
    late: &mut Option<Instant>,
    app: &mut impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Turn<R::Error>, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
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
        ask(cx, now, endpoint, |cx, now, endpoint, event| {
            app(cx, now, endpoint, event);
            None::<()>
        });
        let written = output(cx, now, endpoint);
        if let Some(n) = bytes {
            return Poll::Ready(Ok(written.map_or_else(|error| Turn::Last(n, error), |_| Turn::Bytes(n))));
        }
        let written = written?;
        if let Some(end) = end_of_turn(endpoint, written, held_back, ended) {
            return Poll::Ready(Ok(end));
        }
        if endpoint.closing().is_some() && endpoint.poll_transmit().is_none() {
            // The link has nothing left to wait for: this is the transport's matter.
            let late = late.get_or_insert(now + WRITE_TIMEOUT);
            if *late <= now {
                return Poll::Ready(Ok(Turn::Over(Disconnect::Stalled)));
            }
        }
        if written == Written::Moved {
            // There is room again, which the application may have waited for.
            cx.waker().wake_by_ref();
        }
        let due = earliest([endpoint.poll_timeout(), *late]);
        wait(sleep.as_mut(), &mut armed, due, |at| clock.sleep_until(at), cx);
        Poll::Pending
    })
    .await
}

/// Has the task woken at a deadline, which is armed once. When it has come everything is done once more from the top: bytes
/// first, in case they came at the same time.
pub(super) fn wait<S: Future<Output = ()>>(
    mut sleep: Pin<&mut Option<S>>,
    armed: &mut Option<Instant>,
    due: Option<Instant>,
    sleep_until: impl FnOnce(Instant) -> S,
    cx: &mut Context<'_>,
) {
    if due != *armed {
        sleep.set(due.map(sleep_until));
        *armed = due;
    }
    if sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
        sleep.set(None);
        *armed = None;
        cx.waker().wake_by_ref();
    }
}

/// Tells the application what happened, and asks it what it wants, until it returns `Some`. What its commands bring about is
/// told at once, and may lead to others: then it is asked again soon.
pub(super) fn ask<E: Endpoint, T>(
    cx: &mut Context<'_>,
    now: Instant,
    endpoint: &mut E,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>) -> Option<T>,
) -> Option<T> {
    let mut asked = false;
    loop {
        let event = endpoint.poll_event();
        if asked {
            event.as_ref()?;
            cx.waker().wake_by_ref();
        }
        asked |= event.is_none();
        let answer = app(cx, now, endpoint, event);
        if answer.is_some() {
            return answer;
        }
    }
}

/// Whether a turn ends though nothing was read.
fn end_of_turn<F>(endpoint: &impl Endpoint, written: Written, held_back: bool, ended: bool) -> Option<Turn<F>> {
    if written == Written::Failed {
        return Some(Turn::Over(Disconnect::Transport));
    }
    if let Some(why) = endpoint.closing().filter(|why| written == Written::All || !why.is_orderly()) {
        return Some(Turn::Over(why));
    }
    let is_done = ended && written == Written::All && !endpoint.is_undecided();
    let goes_on = endpoint.can_take() && (held_back || is_done);
    (goes_on || written == Written::Owed).then_some(Turn::Taking)
}

/// Writes and flushes what goes without waiting.
pub(super) fn write_some<E: Endpoint, W: Write>(
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
        let n = n?;
        if n == 0 {
            return Ok(Written::Failed);
        }
        endpoint.handle_sent(now, n);
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
