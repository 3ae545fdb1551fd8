use super::{HelloReply, HelloReplyError, HelloStatus};
use crate::wire::FrameError;
use core::{error::Error, fmt, time::Duration};

/// Why a link went down, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Disconnect {
    /// This side closed it in good order.
    Closed,
    /// The peer closed it between two frames.
    PeerClosed,
    /// The peer closed it inside a frame.
    Truncated {
        /// At least so many bytes of that frame are missing.
        missing: u32,
    },
    /// The peer said goaway.
    GoAway(GoAway),
    /// The transport failed: reset, unreachable, time-out.
    Transport,
    /// The peer sent bytes that are no frame.
    Malformed(FrameError),
    /// A heartbeat was not answered, and nothing else came either.
    HeartbeatLost,
    /// Nothing came for the idle time-out.
    Idle,
    /// The peer did not take what waits to be written for [`WRITE_TIMEOUT`](super::limits::WRITE_TIMEOUT).
    Stalled,
    /// A frame was begun and came too slowly: see [`FRAME_TIMEOUT`](super::limits::FRAME_TIMEOUT).
    SlowFrame,
    /// The greeting was not answered, or did not come, in time.
    NoGreeting,
    /// The peer greeted twice on one link.
    GreetedTwice,
    /// More heartbeats than [`UNGREETED_HEARTBEATS`](super::limits::UNGREETED_HEARTBEATS) came before the greeting.
    NotGreeted,
    /// The application refused the greeting.
    Refused,
    /// The peer refused the greeting.
    Rejected(Refusal),
    /// The peer's answer to the greeting makes no sense.
    BadGreeting(HelloReplyError),
    /// The device's messages go on in a new epoch, which the next link greets with: connect again at once.
    EpochChanged,
    /// So many bodies that make no sense came that the peer cannot be understood.
    Misbehaved,
    /// The peer's mailbox does not know the device, which greets anew with the next link.
    UnknownDevice,
    /// This side closed it in good order, for an address that is better.
    Moved,
    /// The network that it was made in is gone.
    NetworkChanged,
}

impl Disconnect {
    /// `true` if what is queued may still be written and the peer gets a chance to end in good order; `false` if the link
    /// is dead or cannot be understood: drop it.
    #[must_use]
    pub const fn is_orderly(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::PeerClosed
                | Self::GoAway(_)
                | Self::Idle
                | Self::Refused
                | Self::Rejected(_)
                | Self::EpochChanged
                | Self::Misbehaved
                | Self::UnknownDevice
                | Self::Moved
        )
    }

    /// `true` if this side closed it in good order, of its own accord.
    pub(super) const fn is_own(&self) -> bool {
        matches!(self, Self::Closed | Self::Moved)
    }

    /// One word for logs and statistics, such as `"idle"` or `"heartbeat_lost"`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::PeerClosed => "peer_closed",
            Self::Truncated { .. } => "truncated",
            Self::GoAway(_) => "goaway",
            Self::Transport => "transport",
            Self::Malformed(_) => "malformed",
            Self::HeartbeatLost => "heartbeat_lost",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::SlowFrame => "slow_frame",
            Self::NoGreeting => "no_greeting",
            Self::GreetedTwice => "greeted_twice",
            Self::NotGreeted => "not_greeted",
            Self::Refused => "refused",
            Self::Rejected(_) => "rejected",
            Self::BadGreeting(_) => "bad_greeting",
            Self::EpochChanged => "epoch_changed",
            Self::Misbehaved => "misbehaved",
            Self::UnknownDevice => "unknown_device",
            Self::Moved => "moved",
            Self::NetworkChanged => "network_changed",
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed in good order"),
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::Truncated { missing } => write!(f, "closed by the peer inside a frame, {missing} bytes are missing"),
            Self::GoAway(goaway) => write!(f, "the peer said goaway: {goaway}"),
            Self::Transport => f.write_str("the transport failed"),
            Self::Malformed(error) => write!(f, "malformed frame: {error}"),
            Self::HeartbeatLost => f.write_str("a heartbeat was not answered"),
            Self::Idle => f.write_str("nothing came for the idle time-out"),
            Self::Stalled => f.write_str("the peer does not read"),
            Self::SlowFrame => f.write_str("a frame was begun and not ended in time"),
            Self::NoGreeting => f.write_str("no greeting in time"),
            Self::GreetedTwice => f.write_str("the peer greeted twice"),
            Self::NotGreeted => f.write_str("too many heartbeats before the greeting"),
            Self::Refused => f.write_str("the greeting was refused"),
            Self::Rejected(refusal) => write!(f, "the peer refused the greeting: {}", refusal.status()),
            Self::BadGreeting(error) => write!(f, "bad answer to the greeting: {error}"),
            Self::EpochChanged => f.write_str("a new epoch begins with the next link"),
            Self::Misbehaved => f.write_str("too many bodies made no sense"),
            Self::UnknownDevice => f.write_str("the mailbox does not know this device"),
            Self::Moved => f.write_str("closed in good order for a better address"),
            Self::NetworkChanged => f.write_str("the network has changed"),
        }
    }
}

impl Error for Disconnect {}

/// Why, and until when, a peer does not want this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refusal {
    status: HelloStatus,
    retry_after_ms: u32,
}

impl Refusal {
    pub(super) fn new(reply: &HelloReply<'_>) -> Self {
        Self { status: reply.status, retry_after_ms: crate::time::millis(reply.retry_after) }
    }

    /// Why.
    #[must_use]
    pub const fn status(self) -> HelloStatus {
        self.status
    }

    /// Not before so long: whole milliseconds, one hour at most.
    #[must_use]
    pub const fn retry_after(self) -> Duration {
        Duration::from_millis(self.retry_after_ms as u64)
    }
}

/// A peer's word that it will send nothing more, with its reason and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GoAway {
    code: GoAwayCode,
    retry_after_ms: u32,
}

/// The reason of a [`GoAway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GoAwayCode {
    /// 0: nothing more to say; to a client in the background: pushes come by another channel.
    Done,
    /// 1: the server restarts.
    Restart,
    /// 2: the server has too much to do.
    Overload,
    /// 3: another link of the same device took over.
    Replaced,
    /// 4: the token is no longer valid.
    TokenExpired,
    /// 5: nothing came for the idle time-out.
    Idle,
    /// 6: what came makes no sense.
    ProtocolError,
    /// 7: this device is not wanted.
    Blocked,
    /// 8: ask for the addresses again.
    Moved,
    /// A code that this version does not know.
    Unknown(u8),
}

impl GoAway {
    /// The longest that a peer may ask to wait; more counts as this, so that no forged number keeps a device away.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_millis(Self::MAX_RETRY_AFTER_MS as u64);
    /// The length of the body.
    pub const LEN: usize = 8;
    const MAX_RETRY_AFTER_MS: u32 = 3_600_000;
    const VERSION: u8 = 1;

    /// A goaway that names no time.
    #[must_use]
    pub const fn new(code: GoAwayCode) -> Self {
        Self { code, retry_after_ms: 0 }
    }

    /// The same, and not to come back before `retry_after`: whole milliseconds, [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER)
    /// at most.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        let retry_after_ms = crate::time::millis(retry_after).min(Self::MAX_RETRY_AFTER_MS);
        Self { retry_after_ms, ..self }
    }

    /// Why.
    #[must_use]
    pub const fn code(self) -> GoAwayCode {
        self.code
    }

    /// Not before so long: whole milliseconds, [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER) at most.
    #[must_use]
    pub const fn retry_after(self) -> Duration {
        Duration::from_millis(self.retry_after_ms as u64)
    }

    /// The body: version u8, code u8, reserved u16, retry-after in milliseconds u32.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [m3, m2, m1, m0] = self.retry_after_ms.to_be_bytes();
        [Self::VERSION, self.code.to_byte(), 0, 0, m3, m2, m1, m0]
    }

    /// Reads a body; `None` if it has another length or version, or reserved bits are set.
    #[must_use]
    pub fn from_bytes(body: &[u8]) -> Option<Self> {
        let &[Self::VERSION, code, 0, 0, m3, m2, m1, m0] = body else { return None };
        let retry_after_ms = u32::from_be_bytes([m3, m2, m1, m0]).min(Self::MAX_RETRY_AFTER_MS);
        Some(Self { code: GoAwayCode::from_byte(code), retry_after_ms })
    }
}

impl GoAwayCode {
    /// The code on the wire.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Restart => 1,
            Self::Overload => 2,
            Self::Replaced => 3,
            Self::TokenExpired => 4,
            Self::Idle => 5,
            Self::ProtocolError => 6,
            Self::Blocked => 7,
            Self::Moved => 8,
            Self::Unknown(code) => code,
        }
    }

    const fn from_byte(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Restart,
            2 => Self::Overload,
            3 => Self::Replaced,
            4 => Self::TokenExpired,
            5 => Self::Idle,
            6 => Self::ProtocolError,
            7 => Self::Blocked,
            8 => Self::Moved,
            code => Self::Unknown(code),
        }
    }
}

impl fmt::Display for GoAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.code {
            GoAwayCode::Done => "done",
            GoAwayCode::Restart => "restart",
            GoAwayCode::Overload => "overload",
            GoAwayCode::Replaced => "replaced by another link",
            GoAwayCode::TokenExpired => "token expired",
            GoAwayCode::Idle => "idle",
            GoAwayCode::ProtocolError => "protocol error",
            GoAwayCode::Blocked => "blocked",
            GoAwayCode::Moved => "moved",
            GoAwayCode::Unknown(code) => return write!(f, "code {code}"),
        };
        f.write_str(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goaway_is_what_it_was_after_the_wire() {
        for code in 0..=u8::MAX {
            let goaway = GoAway::new(GoAwayCode::from_byte(code)).with_retry_after(Duration::from_micros(1_234_567));
            assert_eq!((goaway.code().to_byte(), goaway.retry_after()), (code, Duration::from_millis(1_234)));
            assert_eq!(GoAway::from_bytes(&goaway.to_bytes()), Some(goaway));
        }
        assert_eq!(GoAway::new(GoAwayCode::Overload).to_bytes(), [1, 2, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_forged_delay_keeps_nobody_away_for_more_than_an_hour() {
        let forged = GoAway::from_bytes(&[1, 2, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap();
        assert_eq!(forged.retry_after(), GoAway::MAX_RETRY_AFTER);
        let ours = GoAway::new(GoAwayCode::Done).with_retry_after(Duration::MAX);
        assert_eq!(ours.retry_after(), GoAway::MAX_RETRY_AFTER);
    }

    #[test]
    fn another_length_version_or_reserved_bit_is_no_goaway() {
        for body in [&[1, 0, 0, 0, 0, 0, 0][..], &[1; 9], &[2, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 1, 0, 0, 0, 0]] {
            assert_eq!(GoAway::from_bytes(body), None);
        }
    }
}
