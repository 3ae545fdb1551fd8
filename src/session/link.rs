use super::{Disconnect, Endpoint};
use crate::Instant;
use crate::wire::Decoder;

/// A decoder and an endpoint: all that one connection needs besides its transport.
///
/// It adds no state. What it adds is the order of calls that both expect, for drivers and hand-written loops; whoever
/// wants to call them in another way may [`split`](Self::split) it.
#[derive(Debug)]
pub struct Link<E, B> {
    decoder: Decoder<B>,
    endpoint: E,
}

impl<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>> Link<E, B> {
    /// Bundles the two.
    pub const fn new(decoder: Decoder<B>, endpoint: E) -> Self {
        Self { decoder, endpoint }
    }

    /// The decoder and the endpoint, to be borrowed apart from one another.
    pub const fn split(&mut self) -> (&mut Decoder<B>, &mut E) {
        (&mut self.decoder, &mut self.endpoint)
    }

    /// The decoder.
    pub const fn decoder(&self) -> &Decoder<B> {
        &self.decoder
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &E {
        &self.endpoint
    }

    /// The endpoint, to give it commands.
    pub const fn endpoint_mut(&mut self) -> &mut E {
        &mut self.endpoint
    }

    /// Where the next bytes belong: read into it, then [`handle_read`](Self::handle_read). Empty while the peer is to be
    /// held back: do not read then.
    pub fn space(&mut self) -> &mut [u8] {
        if self.endpoint.can_take() { self.decoder.space() } else { &mut [] }
    }

    /// The first `n` bytes of [`space`](Self::space) were read. [`process`](Self::process) comes next.
    pub fn handle_read(&mut self, now: Instant, n: usize) {
        self.decoder.commit(n);
        self.endpoint.handle_received(now, n);
    }

    /// Handles what there is: every event, and every whole frame that the endpoint will take. `on` is told each event, and
    /// may give the endpoint commands.
    pub fn process(&mut self, now: Instant, mut on: impl FnMut(&mut E, E::Event<'_>)) {
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                on(&mut self.endpoint, event);
            }
            if !self.endpoint.can_take() {
                return;
            }
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Some(event) = self.endpoint.handle_frame(now, frame) {
                        on(&mut self.endpoint, event);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.endpoint.handle_malformed(now, error);
                    if error.is_fatal() {
                        return;
                    }
                }
            }
        }
    }

    /// Why the peer's end of stream means the end: in good order between frames, a loss inside one.
    #[must_use]
    pub fn end_of_stream(&self) -> Disconnect {
        if self.decoder.is_empty() {
            return Disconnect::PeerClosed;
        }
        let missing = match self.decoder.skipping() {
            0 => u32::try_from(self.decoder.need()).unwrap_or(u32::MAX),
            skipping => skipping,
        };
        Disconnect::Truncated { missing }
    }

    /// The connection is gone, and with it whatever of it was not handled. Returns the reason that counts;
    /// [`process`](Self::process) tells the rest.
    pub fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        self.decoder.reset();
        self.endpoint.handle_disconnected(now, why)
    }
}
