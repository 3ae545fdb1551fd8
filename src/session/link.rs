use super::{Attempt, Client, Disconnect, Endpoint};
use crate::Instant;
use crate::wire::Decoder;

/// A decoder and an endpoint: all that one connection needs besides its transport.
///
/// What it adds is the order of calls that both expect. A driver, or a loop of one's own, is this, again and again:
///
/// 1. [`process`](Self::process): what was read is handled, then what is due.
/// 2. Write what [`poll_transmit`](Self::poll_transmit) gives, tell [`handle_sent`](Self::handle_sent).
/// 3. [`over`](Self::over) says whether this was the end. [`closing`](Self::closing), once all is written, says that it is
///    time to end this side's stream, and to read on for a little while: what the peer sends until it ends its own is
///    still handled, and a socket closed with unread bytes in it destroys what was written.
/// 4. Wait for bytes, for the application, or until [`poll_timeout`](Self::poll_timeout). Read into
///    [`space`](Self::space), unless it is empty, and tell [`handle_read`](Self::handle_read), or
///    [`handle_end`](Self::handle_end) at the end of the stream.
///
/// Whoever wants it in another way may [`split`](Self::split) it.
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
    /// held back, and at the end of the stream: do not read then, `Ok(0)` would look like the end.
    pub fn space(&mut self) -> &mut [u8] {
        if self.endpoint.can_take() && !self.is_ended() { self.decoder.space() } else { &mut [] }
    }

    /// The first `n` bytes of [`space`](Self::space) were read. [`process`](Self::process) comes next.
    pub fn handle_read(&mut self, now: Instant, n: usize) {
        self.decoder.commit(n);
        self.endpoint.handle_received(now, n);
    }

    /// The peer has ended its stream: nothing more will be read. What it sent is still handled, and answered.
    pub const fn handle_end(&mut self) {
        self.decoder.end();
    }

    /// `true` after [`handle_end`](Self::handle_end).
    pub const fn is_ended(&self) -> bool {
        self.decoder.is_ended()
    }

    /// Handles every whole frame that the endpoint will take, then what is due, then what that set free. `on` is told each
    /// event, and may give the endpoint commands.
    pub fn process(&mut self, now: Instant, on: impl FnMut(&mut E, E::Event<'_>)) {
        self.handle_all(now, true, on);
    }

    /// As [`process`](Self::process), without what is due unless `timers`: for a driver that has not read yet.
    pub(crate) fn handle_all(&mut self, now: Instant, timers: bool, mut on: impl FnMut(&mut E, E::Event<'_>)) {
        let mut timed = !timers;
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                on(&mut self.endpoint, event);
            }
            let next = if self.endpoint.can_take() { self.decoder.next_frame() } else { Ok(None) };
            let more = match next {
                Ok(Some(frame)) => {
                    if let Some(event) = self.endpoint.handle_frame(now, frame) {
                        on(&mut self.endpoint, event);
                    }
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    self.endpoint.handle_malformed(now, error);
                    !error.is_fatal()
                }
            };
            if more {
                continue;
            }
            if timed || self.endpoint.poll_timeout().is_none_or(|at| at > now) {
                return;
            }
            timed = true;
            self.endpoint.handle_timeout(now);
        }
    }

    /// As [`Endpoint::poll_transmit`].
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        self.endpoint.poll_transmit()
    }

    /// As [`Endpoint::handle_sent`].
    pub fn handle_sent(&mut self, now: Instant, n: usize) {
        self.endpoint.handle_sent(now, n);
    }

    /// As [`Endpoint::poll_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    /// As [`Endpoint::closing`].
    pub fn closing(&self) -> Option<Disconnect> {
        self.endpoint.closing()
    }

    /// `Some` once the connection is over, with the reason: it is dead, or the peer has ended its stream and all that it
    /// sent is handled, decided and answered. Then [`handle_disconnected`](Self::handle_disconnected).
    pub fn over(&mut self) -> Option<Disconnect> {
        let closing = self.endpoint.closing();
        if closing.is_some_and(|why| !why.is_orderly()) {
            return closing;
        }
        let waits = !self.endpoint.can_take() || self.endpoint.is_undecided();
        if !self.is_ended() || waits || self.endpoint.poll_transmit().is_some() {
            return None;
        }
        Some(closing.unwrap_or_else(|| self.end_of_stream()))
    }

    /// What the end of the stream means here: in good order between frames, a loss inside one.
    fn end_of_stream(&self) -> Disconnect {
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

impl<B: AsRef<[u8]> + AsMut<[u8]>> Link<Client<'_>, B> {
    /// A connection is there. One that was there before is taken for lost.
    pub fn handle_connected(&mut self, now: Instant) {
        self.decoder.reset();
        self.endpoint.handle_connected(now);
    }

    /// An attempt succeeded: as [`Client::handle_alive`].
    #[must_use = "a connection that came too late is to be dropped"]
    pub fn handle_alive(&mut self, now: Instant, attempt: Attempt) -> bool {
        let taken = self.endpoint.handle_alive(now, attempt);
        if taken {
            self.decoder.reset();
        }
        taken
    }
}
