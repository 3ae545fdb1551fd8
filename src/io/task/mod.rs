//! [`run`] drives a link over [`embedded_io_async`] halves, on whatever executor.
//!
//! Which entry point a transport needs depends on what it loses when a future of its is dropped while pending:
//!
//! | | may drop | what else |
//! |---|---|---|
//! | [`run`] | `write` and `flush` | sockets, serial ports, most things with two halves |
//! | [`run_buffered`] | neither | takes a buffer of yours: TLS, and other layers that encode what they are given |
//! | [`run_whole`] | `read` | a transport in one piece: it does not read while it writes |
//!
//! [`idle`] is for the time between two links.
//!
//! ```
//! use embedded_io_async::{Read, Write};
//! use longlink::io::task::{self, Clock};
//! use longlink::session::{Client, Disconnect, Event, Link};
//!
//! async fn hold_link<R: Read, W: Write<Error = R::Error>>(
//!     link: &mut Link<Client<'_>, &mut [u8]>,
//!     (mut read, mut write): (R, W),
//!     time: impl Clock,
//! ) -> Result<Disconnect, R::Error> {
//!     link.handle_connected(time.now());
//!     task::run(link, &mut read, &mut write, &time, |cx, now, client, event| match event {
//!         Some(Event::Push(frame)) => println!("{:?}", frame.body()),
//!         Some(event) => println!("{event:?}"),
//!         None => {} // woken: poll here, with `cx`, what other tasks want sent
//!     })
//!     .await
//! }
//! ```
//!
//! The closure stands in the call: given a name first, it is not general enough for the compiler.

mod buffered;
mod idle;
mod turn;
mod whole;

pub use idle::idle;
pub use whole::run_whole;

use crate::Instant;
use crate::session::{Disconnect, Endpoint, Link};
use buffered::write_all;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use embedded_io_async::{Read, Write};
use turn::{Turn, Written, turn, write_some};

/// The time, and a way to wait for it.
pub trait Clock {
    /// The time on a clock that never goes backwards.
    fn now(&self) -> Instant;

    /// Completes at `at` or a little later: a timer that counts more coarsely than the clock rounds up. May be dropped
    /// before.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// Runs the connection to its end, and returns why it ended. A client was told of the connection before, by
/// [`handle_connected`](Link::handle_connected) or [`handle_alive`](Link::handle_alive). The transport is not closed: end
/// your side of the stream then, read and drop what comes for up to 3 s, and close it.
///
/// `app` is called with every event, and with `None` at every wake-up, for whatever reason; either way it may give the
/// endpoint commands. At a wake-up it polls, with the context it is given, a channel by which other tasks send, and does on
/// the endpoint what comes out.
///
/// A read is awaited to its end. A write is polled, and dropped while it is pending, so that a peer which does not read
/// holds up neither reads nor timers nor the application: the transport's `write` and `flush` must lose nothing when they
/// are dropped, and still wake the task when they could go on; for others there is [`run_buffered`]. The future of `run`
/// itself may be dropped at any time if the transport's `read` may, too: half-read frames and half-written runs stay in the
/// link.
///
/// # Errors
///
/// That of the transport; the link was told [`Disconnect::Transport`]. A better reason may have come before it: `Offline`
/// tells the one that counts.
pub async fn run<E, B, R, W>(
    link: &mut Link<E, B>,
    read: &mut R,
    write: &mut W,
    clock: &impl Clock,
    app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Disconnect, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
    W: Write<Error = R::Error>,
{
    // A driver that was dropped before may have left something unflushed.
    let mut flushed = false;
    let output = |cx: &mut Context<'_>, now, endpoint: &mut E| write_some(endpoint, write, now, &mut flushed, cx);
    drive(link, read, clock, output, app).await
}

/// As [`run`], for a transport whose `write` and `flush` lose something when they are dropped: an encrypting one, say.
///
/// What is to be written is copied into `buffer` first, as much as it takes, and counts as written then, as what is in a
/// socket's buffer does. The write of it is awaited to its end, while reads, timers and the application go on. Only the end
/// of the connection drops it, and dropping the future of `run_buffered`: after that the connection is of no use, so
/// [`Link::handle_disconnected`] is to be told.
///
/// # Errors
///
/// As [`run`]. With an empty `buffer` nothing can be written: the link ends as [`Disconnect::Transport`].
pub async fn run_buffered<E, B, R, W>(
    link: &mut Link<E, B>,
    read: &mut R,
    write: &mut W,
    buffer: &mut [u8],
    clock: &impl Clock,
    app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Disconnect, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
    W: Write<Error = R::Error>,
{
    let (mut idle, mut under_way) = (Some((write, buffer)), pin!(None));
    let output = |cx: &mut Context<'_>, now, endpoint: &mut E| {
        buffered::write_some(endpoint, now, &mut idle, (under_way.as_mut(), write_all), cx)
    };
    drive(link, read, clock, output, app).await
}

/// Turn after turn, for halves.
async fn drive<E, B, R>(
    link: &mut Link<E, B>,
    read: &mut R,
    clock: &impl Clock,
    mut output: impl FnMut(&mut Context<'_>, Instant, &mut E) -> Result<Written, R::Error>,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Disconnect, R::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    R: Read,
{
    // Bytes first: this may be a link whose driver was dropped a while ago.
    let mut has_read = false;
    let mut late = None;
    let over = loop {
        if let Some(why) = take(link, clock, has_read, &mut app).await {
            break Ok(why);
        }
        has_read = true;
        let ended = match turn(link, read, clock, &mut output, &mut late, &mut app).await {
            Ok(turn) => note(link, clock, turn, &mut app).await,
            Err(error) => Err(error),
        };
        if let Some(over) = ended.transpose() {
            break over;
        }
    };
    conclude(link, clock, over, app).await
}

/// Handles what was read, and what is due if anything could be read since the driver began. `Some` at the end.
async fn take<E, B>(
    link: &mut Link<E, B>,
    clock: &impl Clock,
    has_read: bool,
    app: &mut impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Option<Disconnect>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    poll_fn(|cx| {
        let now = clock.now();
        link.handle_all(now, has_read, |endpoint, event| app(cx, now, endpoint, Some(event)));
        Poll::Ready(link.over())
    })
    .await
}

/// Tells the link what came of a turn. `Some` at the end.
async fn note<E, B, F>(
    link: &mut Link<E, B>,
    clock: &impl Clock,
    turn: Turn<F>,
    app: &mut impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Option<Disconnect>, F>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    match turn {
        Turn::Bytes(0) => link.handle_end(),
        Turn::Bytes(n) => link.handle_read(clock.now(), n),
        Turn::Taking => {}
        Turn::Over(why) => return Ok(Some(why)),
        // What came before the transport failed may say why it did.
        Turn::Last(n, error) => {
            link.handle_read(clock.now(), n);
            take(link, clock, true, app).await;
            return Err(error);
        }
    }
    Ok(None)
}

/// Tells the link and the application that this was the end.
async fn conclude<E, B, F>(
    link: &mut Link<E, B>,
    clock: &impl Clock,
    over: Result<Disconnect, F>,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut E, Option<E::Event<'_>>),
) -> Result<Disconnect, F>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let why = poll_fn(|cx| {
        let now = clock.now();
        let why = link.handle_disconnected(now, over.as_ref().map_or(Disconnect::Transport, |why| *why));
        link.process(now, |endpoint, event| app(cx, now, endpoint, Some(event)));
        Poll::Ready(why)
    })
    .await;
    over.map(|_| why)
}
