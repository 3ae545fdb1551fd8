use super::turn::{Written, turn};
use super::{Clock, conclude, note, take};
use crate::Instant;
use crate::session::limits::WRITE_TIMEOUT;
use crate::session::{Disconnect, Endpoint, Link};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};

/// As [`run`](super::run), for a transport in one piece, which cannot be read from and written to at the same time.
///
/// A read is dropped when there is something to write: the transport's `read` must lose nothing then. **A write is awaited
/// to its end, and all else waits for it**: a peer that does not read holds up reads, timers and the application, for
/// 60 s ([`WRITE_TIMEOUT`]) at most for each write, after which the link ends as [`Disconnect::Stalled`]. Where the transport
/// can be split, [`run`](super::run) and [`run_buffered`](super::run_buffered) do better. The future of `run_whole` may be
/// dropped while it reads; if it may have been writing, the connection is of no use, and [`Link::handle_disconnected`] is to
/// be told.
///
/// # Errors
///
/// As [`run`](super::run).
pub async fn run_whole<E, B, T>(
    link: &mut Link<E, B>,
    io: &mut T,
    clock: &impl Clock,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Disconnect, T::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    T: Read + Write,
{
    // A driver that was dropped before may have left something unflushed.
    let mut flushed = false;
    let mut has_read = false;
    let over = loop {
        if let Some(why) = take(link, clock, has_read, &mut app).await {
            break Ok(why);
        }
        has_read = true;
        let mut owes = |_: &mut Context<'_>, _, endpoint: &mut E| {
            let owes = !flushed || endpoint.poll_transmit().is_some();
            Ok(if owes { Written::Owed } else { Written::All })
        };
        let ended = match turn(link, io, clock, &mut owes, &mut None, &mut app).await {
            Ok(turn) => note(link, clock, turn, &mut app).await,
            Err(error) => Err(error),
        };
        let ended = match ended {
            Ok(None) => write_all(link, io, clock, &mut flushed).await,
            ended => ended,
        };
        if let Some(over) = ended.transpose() {
            // What was read before may say why.
            take(link, clock, true, &mut app).await;
            break over;
        }
    };
    conclude(link, clock, over, app).await
}

/// Writes and flushes all there is. `Some` if the peer does not take it in time, or never will.
async fn write_all<E, B, T>(
    link: &mut Link<E, B>,
    io: &mut T,
    clock: &impl Clock,
    flushed: &mut bool,
) -> Result<Option<Disconnect>, T::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    T: Write,
{
    if link.poll_transmit().is_none() && *flushed {
        return Ok(None);
    }
    loop {
        let closes = link.poll_timeout().filter(|_| link.closing().is_some());
        let until = closes.unwrap_or_else(|| clock.now() + WRITE_TIMEOUT);
        let Some(bytes) = link.poll_transmit() else { break };
        *flushed = false;
        match by(clock, until, io.write(bytes)).await {
            None => return Ok(Some(Disconnect::Stalled)),
            Some(n) => match n? {
                0 => return Ok(Some(Disconnect::Transport)),
                n => link.handle_sent(clock.now(), n),
            },
        }
        if link.poll_timeout().is_some_and(|at| at <= clock.now()) {
            // What is due comes before the rest: the peer may take hardly anything.
            return Ok(None);
        }
    }
    let Some(done) = by(clock, clock.now() + WRITE_TIMEOUT, io.flush()).await else {
        return Ok(Some(Disconnect::Stalled));
    };
    *flushed = true;
    done.map(|()| None)
}

/// What comes of a future, if it comes by then.
async fn by<F: Future>(clock: &impl Clock, until: Instant, future: F) -> Option<F::Output> {
    let (mut future, mut late) = (pin!(future), pin!(clock.sleep_until(until)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}
