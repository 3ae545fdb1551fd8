//! Writes that must not be dropped, beside a driver that waits for nothing.

use super::turn::Written;
use crate::Instant;
use crate::session::Endpoint;
use crate::wire::fill;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use embedded_io_async::Write;

/// The transport and the buffer. A write that is under way has them; it gives them back when all is written and flushed, and
/// nobody has them once the transport takes nothing.
///
/// ```text
///              the endpoint's bytes are copied into the buffer
///   [Some] ────────────────────────────────────────────────▶ [None, a write under way]
///      ▲                                                        │              │
///      └────────────────── written and flushed ─────────────────┘              ▼
///                                                               [None, and none: failed]
/// ```
pub(super) type Idle<'w, W> = Option<(&'w mut W, &'w mut [u8])>;

/// What a write gives back, and whether all of it was written and flushed: `false` where the transport takes nothing.
type Done<'w, W, F> = (&'w mut W, &'w mut [u8], Result<bool, F>);

/// Writes the first `n` bytes of the buffer, and flushes.
pub(super) async fn write_all<'w, W: Write>(write: &'w mut W, buffer: &'w mut [u8], n: usize) -> Done<'w, W, W::Error> {
    let written = write_one(write, buffer.get(..n).unwrap_or_default()).await;
    (write, buffer, written)
}

/// Goes on with the write that is under way, and takes what fits the buffer from the endpoint. `begin` is [`write_all`].
pub(super) fn write_some<'w, E: Endpoint, W: Write, P: Future<Output = Done<'w, W, W::Error>>>(
    endpoint: &mut E,
    now: Instant,
    idle: &mut Idle<'w, W>,
    (mut under_way, begin): (Pin<&mut Option<P>>, impl Fn(&'w mut W, &'w mut [u8], usize) -> P),
    cx: &mut Context<'_>,
) -> Result<Written, W::Error> {
    let mut nothing = Written::Nothing;
    loop {
        if let Some(write) = under_way.as_mut().as_pin_mut() {
            let Poll::Ready((write, buffer, written)) = write.poll(cx) else {
                // What waits is looked at: its time begins then.
                endpoint.poll_transmit();
                return Ok(nothing);
            };
            under_way.set(None);
            *idle = if written? { Some((write, buffer)) } else { None };
        }
        let Some((write, buffer)) = idle.take() else { return Ok(Written::Failed) };
        let Some(bytes) = endpoint.poll_transmit() else {
            *idle = Some((write, buffer));
            return Ok(if nothing == Written::Moved { nothing } else { Written::All });
        };
        let n = bytes.len().min(buffer.len());
        let n = fill(buffer, bytes.get(..n).unwrap_or_default()).unwrap_or(0);
        if n == 0 {
            return Ok(Written::Failed);
        }
        // Now and not when the write has ended: the peer may answer the first frame while the last is on its way.
        endpoint.handle_sent(now, n);
        nothing = Written::Moved;
        under_way.set(Some(begin(write, buffer, n)));
    }
}

/// `true` when all is written and flushed, `false` if the transport takes nothing: `Write::write_all` panics then.
async fn write_one<W: Write>(write: &mut W, mut bytes: &[u8]) -> Result<bool, W::Error> {
    while !bytes.is_empty() {
        bytes = match write.write(bytes).await? {
            0 => return Ok(false),
            n => bytes.get(n..).unwrap_or_default(),
        };
    }
    write.flush().await.map(|()| true)
}
