use super::{Disconnect, Timer};
use crate::Instant;
use crate::wire::{Frame, FrameError};

/// One established connection, seen from either end: what a driver, a test harness or a foreign binding is written
/// against.
///
/// # Inputs, outputs, questions
///
/// | call | kind | |
/// |---|---|---|
/// | [`handle_received`](Self::handle_received) | input | for every read, before its frames |
/// | [`handle_frame`](Self::handle_frame) | input | for every frame, perhaps with an event |
/// | [`handle_malformed`](Self::handle_malformed) | input | for every error of the decoder |
/// | [`handle_sent`](Self::handle_sent) | input | for every write |
/// | [`handle_timeout`](Self::handle_timeout) | input | when [`poll_timeout`](Self::poll_timeout) says so; early and repeated calls are no-ops |
/// | [`handle_disconnected`](Self::handle_disconnected) | input | once, when the connection is gone |
/// | [`poll_transmit`](Self::poll_transmit) | output | bytes to write; any input or command may change it |
/// | [`poll_event`](Self::poll_event) | output | what happened without a frame; any input may change it |
/// | [`poll_timeout`](Self::poll_timeout), [`closing`](Self::closing), [`can_take`](Self::can_take), [`is_undecided`](Self::is_undecided) | question | pure; any input or command may change them |
///
/// # Order
///
/// Read before you call `handle_timeout`: bytes that wait in the socket may be the proof of life that the timer misses.
/// Time may stand still between calls; an instant that lies before an earlier one counts as that.
pub trait Endpoint {
    /// What the application is told. `'f` is the life of the receive slice, nothing else: an event may be kept while the
    /// endpoint is used.
    type Event<'f>;

    /// `n` bytes came. Proof of life, also inside a frame. No-op for 0.
    fn handle_received(&mut self, now: Instant, n: usize);

    /// A frame came. At most one event for it.
    fn handle_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Self::Event<'f>>;

    /// Bytes came that are no frame. A fatal error closes the link ([`closing`](Self::closing) says so); a frame that was
    /// too long costs nothing but itself.
    fn handle_malformed(&mut self, now: Instant, error: FrameError);

    /// The first `n` bytes of the last [`poll_transmit`](Self::poll_transmit) are written. No-op for 0.
    fn handle_sent(&mut self, now: Instant, n: usize);

    /// Acts on what is due. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// The connection is gone. Returns the reason that counts: what this side decided, or the peer announced, before `why`.
    fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect;

    /// The bytes to write next, `None` if there are none. The same bytes until [`handle_sent`](Self::handle_sent), perhaps
    /// with more behind them.
    fn poll_transmit(&mut self) -> Option<&[u8]>;

    /// What happened without a frame, one at a time.
    fn poll_event(&mut self) -> Option<Self::Event<'static>>;

    /// The timer that is due next, and when.
    fn next_timer(&self) -> Option<(Timer, Instant)>;

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if nothing is armed.
    fn poll_timeout(&self) -> Option<Instant>;

    /// `Some` once this side has decided to close, with the reason: close the connection as soon as
    /// [`poll_transmit`](Self::poll_transmit) is empty, which it is at once if the link is dead.
    fn closing(&self) -> Option<Disconnect>;

    /// `false` while the peer is to be held back: leave frames in the decoder and bytes in the socket.
    /// [`handle_timeout`](Self::handle_timeout) or [`handle_sent`](Self::handle_sent) ends it.
    fn can_take(&self) -> bool {
        true
    }

    /// `true` while the application is still to decide about something that came, whose answer is owed to the peer: the end
    /// of the peer's stream does not end the connection before that.
    fn is_undecided(&self) -> bool {
        false
    }
}
