use super::Clock;
use super::turn::{ask, wait};
use crate::Instant;
use crate::session::{Client, Disconnect, Endpoint, Event, Link};
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};

/// Does what there is to do without a link, for a client that [dials](crate::session::Config::dialer): waits and tells
/// events until `app` returns `Some`, which is what it has won, or until no link is wanted any more.
///
/// As for [`run`](super::run), `app` is called with every event, [`Event::Connect`] among them, and with `None` at every
/// wake-up. It starts the attempts, polls them with the context that it is given, and reports each by
/// [`handle_alive`](Client::handle_alive) or [`handle_refused`](Client::handle_refused); the connection for which the
/// former says `true` is the one to return. May be dropped at any time. A link that is still up, because
/// [`run`](super::run) was dropped, is lost.
///
/// ```
/// # use longlink::io::task::{self, Clock};
/// # use longlink::session::{Client, Event, Link};
/// # use longlink::Instant;
/// # use core::task::{Context, Poll};
/// # struct Socket;
/// # impl Socket { fn halves(&mut self) -> (&[u8], Vec<u8>) { (&[], Vec::new()) } }
/// # struct App;
/// # impl App {
/// #     fn dial(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) -> Option<Socket> { None }
/// #     fn talk(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) {}
/// # }
/// # async fn hold(link: &mut Link<Client<'_>, &mut [u8]>, clock: impl Clock, mut app: App) {
/// while let Some(mut socket) = task::idle(link, &clock, |cx, now, client, event| app.dial(cx, now, client, event)).await {
///     let (mut read, mut write) = socket.halves();
///     # let (mut read, mut write): (&[u8], Sink) = (read, Sink);
///     // Why it ended, the application has been told; what comes next, the client knows.
///     let _ = task::run(link, &mut read, &mut write, &clock, |cx, now, client, event| app.talk(cx, now, client, event)).await;
/// }
/// # }
/// # struct Sink;
/// # impl embedded_io_async::ErrorType for Sink { type Error = core::convert::Infallible; }
/// # impl embedded_io_async::Write for Sink {
/// #     async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> { Ok(bytes.len()) }
/// #     async fn flush(&mut self) -> Result<(), Self::Error> { Ok(()) }
/// # }
/// ```
pub async fn idle<'b, B, T>(
    link: &mut Link<Client<'b>, B>,
    clock: &impl Clock,
    mut app: impl FnMut(&mut Context<'_>, Instant, &mut Client<'b>, Option<Event<'_>>) -> Option<T>,
) -> Option<T>
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let mut sleep = pin!(None);
    let mut armed = None;
    // Nobody drives a link that is still up: what drove it was dropped. Half a frame of it may be in the decoder.
    link.handle_disconnected(clock.now(), Disconnect::Transport);
    poll_fn(|cx| {
        let now = clock.now();
        let client = link.endpoint_mut();
        client.handle_timeout(now);
        let won = ask(cx, now, client, &mut app);
        if won.is_some() || !client.wants_link() {
            return Poll::Ready(won);
        }
        wait(sleep.as_mut(), &mut armed, client.poll_timeout(), |at| clock.sleep_until(at), cx);
        Poll::Pending
    })
    .await
}
