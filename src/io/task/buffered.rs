//! Writes that must not be dropped, beside a driver that waits for nothing.

use super::turn::Written;
use crate::Instant;
use crate::session::Endpoint;
use crate::wire::fill;
use core::cell::Cell;
use core::future::{Future, pending, poll_fn};
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

/// The buffer, and how much of it was written.
type Done<'w, F> = (&'w mut [u8], Result<usize, F>);

impl<'w, F> Handover<'w, F> {
    pub(super) const fn new(buffer: &'w mut [u8]) -> Self {
        Self { job: Cell::new(None), done: Cell::new(Some((buffer, Ok(0)))) }
    }

    /// Writes one job after the other. Never ends.
    pub(super) async fn write_all(&self, write: &mut impl Write<Error = F>) {
        loop {
            // Polled after a job is there, so nobody needs to be woken.
            let (buffer, n) = poll_fn(|_| self.job.take().map_or(Poll::Pending, Poll::Ready)).await;
            let written = write_one(write, buffer.get(..n).unwrap_or_default()).await;
            self.done.set(Some((buffer, written.map(|()| n))));
        }
    }

    /// Tells the endpoint what was written, and has the `writer`, which is [`write_all`](Self::write_all), go on.
    pub(super) fn write_some<E: Endpoint>(
        &self,
        endpoint: &mut E,
        now: Instant,
        mut writer: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Result<Written, F> {
        let mut moved = false;
        loop {
            if writer.as_mut().poll(cx).is_ready() {
                return Ok(Written::Nothing);
            }
            let Some((buffer, written)) = self.done.take() else {
                return Ok(if moved { Written::Moved } else { Written::Nothing });
            };
            let n = written?;
            endpoint.handle_sent(now, n);
            moved |= n > 0;
            let copied = endpoint.poll_transmit().map(|bytes| {
                let n = bytes.len().min(buffer.len());
                fill(buffer, bytes.get(..n).unwrap_or_default()).unwrap_or(0)
            });
            match copied {
                None | Some(0) => {
                    self.done.set(Some((buffer, Ok(0))));
                    let nothing = if copied.is_none() { Written::All } else { Written::Nothing };
                    return Ok(if moved { Written::Moved } else { nothing });
                }
                Some(n) => self.job.set(Some((buffer, n))),
            }
        }
    }
}

/// Not `Write::write_all`, which panics where a transport takes nothing: the link's own timer gives such a one up.
async fn write_one<W: Write>(write: &mut W, mut bytes: &[u8]) -> Result<(), W::Error> {
    while !bytes.is_empty() {
        bytes = match write.write(bytes).await? {
            0 => pending().await,
            n => bytes.get(n..).unwrap_or_default(),
        };
    }
    write.flush().await
}
