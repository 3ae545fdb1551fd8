//! Writes that must not be dropped, beside a driver that waits for nothing.

use super::turn::Written;
use crate::Instant;
use crate::session::Endpoint;
use crate::wire::fill;
use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use embedded_io_async::Write;

/// Where a driver and the [future that writes](Self::write_all) hand each other the buffer:
///
/// ```text
///            the driver copies bytes into it
///   [done] ──────────────────────────────────▶ [job]
///      ▲                                         │
///      └──────────────── written and flushed ────┘
/// ```
pub(super) struct Handover<'w, F> {
    /// The buffer, to be written up to this length.
    job: Cell<Option<(&'w mut [u8], usize)>>,
    done: Cell<Option<Done<'w, F>>>,
}

/// The buffer, and whether all of it was written and flushed: `false` where the transport takes nothing.
type Done<'w, F> = (&'w mut [u8], Result<bool, F>);

impl<'w, F> Handover<'w, F> {
    pub(super) const fn new(buffer: &'w mut [u8]) -> Self {
        Self { job: Cell::new(None), done: Cell::new(Some((buffer, Ok(true)))) }
    }

    /// Writes one job after the other. Never ends.
    pub(super) async fn write_all(&self, write: &mut impl Write<Error = F>) {
        loop {
            // Polled after a job is there, so nobody needs to be woken.
            let (buffer, n) = poll_fn(|_| self.job.take().map_or(Poll::Pending, Poll::Ready)).await;
            let written = write_one(write, buffer.get(..n).unwrap_or_default()).await;
            self.done.set(Some((buffer, written)));
        }
    }

    /// Takes what fits the buffer from the endpoint, and has the `writer`, which is [`write_all`](Self::write_all), go on.
    pub(super) fn write_some<E: Endpoint>(
        &self,
        endpoint: &mut E,
        now: Instant,
        mut writer: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Result<Written, F> {
        let mut nothing = Written::Nothing;
        loop {
            if writer.as_mut().poll(cx).is_ready() {
                return Ok(Written::Failed);
            }
            let Some((buffer, written)) = self.done.take() else {
                // What waits is looked at: its time begins then.
                endpoint.poll_transmit();
                return Ok(nothing);
            };
            if !written? {
                return Ok(Written::Failed);
            }
            let Some(bytes) = endpoint.poll_transmit() else {
                self.done.set(Some((buffer, Ok(true))));
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
            self.job.set(Some((buffer, n)));
        }
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
