use super::Epoch;
use super::rto::Millis;
use crate::Instant;
use core::fmt;
use core::hash::{Hash, Hasher};

/// One message or request, from the call that sends it to the event that ends it. Unique over the life of its session.
///
/// Two tokens are equal if they stand for the same one; its sequence may change when the device starts a new epoch.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Token {
    pub(super) serial: u32,
    pub(super) sequence: u32,
    pub(super) epoch: Option<Epoch>,
}

impl Token {
    /// The sequence that its frame has.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        self.sequence
    }

    /// The epoch that its sequence is of, where messages have one, in the event that tells its end; `None` before that.
    #[must_use]
    pub const fn epoch(self) -> Option<Epoch> {
        self.epoch
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.serial.hash(state);
    }
}

/// How a message or a request ended without its peer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// A message was stored: the peer's greeting says so.
    Delivered,
    /// It failed.
    Failed(Failure),
    /// The application took it back.
    Cancelled,
}

/// Why a message or a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// No reply came in time; to a message, not after its last attempt either. The link lives on.
    TimedOut,
    /// The link went down first.
    LinkLost,
    /// The reply came, but is longer than the receive buffer; it was skipped.
    ReplyTooLong,
    /// The message's lifetime is over.
    Expired,
    /// The peer will not take the message.
    Rejected(Rejection),
    /// The peer cannot say any more whether it has the message.
    Unknown,
    /// The message is longer than the peer that was greeted takes.
    TooLarge,
    /// The stored state belongs to another account or device.
    AccountChanged,
    /// The message was sealed, or sent again, for the sequence it had in an epoch that is over, and the peer does not have it: seal it
    /// anew, and send it.
    EpochChanged,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no reply in time",
            Self::LinkLost => "link lost before the reply",
            Self::ReplyTooLong => "reply is too long",
            Self::Expired => "lifetime is over",
            Self::Rejected(rejection) => return rejection.fmt(f),
            Self::Unknown => "too old for the peer to know",
            Self::TooLarge => "longer than the peer takes",
            Self::AccountChanged => "belongs to another account",
            Self::EpochChanged => "holds for an epoch that is over",
        })
    }
}

/// A peer's word that it has not stored a message and will not: final for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rejection {
    /// Why.
    pub code: RejectCode,
    /// What the application says beside it; 0 if nothing.
    pub detail: u16,
}

/// Why a message is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RejectCode {
    /// 1: its body makes no sense.
    Malformed,
    /// 2: it is too long.
    TooLarge,
    /// 3: it is older than the window; it may have been stored or not.
    TooOld,
    /// 4: a later one was stored already.
    OutOfOrder,
    /// 5: the link was not greeted.
    NotGreeted,
    /// 6, or a code that this version does not know: the application will not have it.
    Refused,
    /// 7: the device has stored enough.
    Quota,
}

impl Rejection {
    /// The length of the body.
    pub const LEN: usize = 4;

    /// A rejection without detail.
    #[must_use]
    pub const fn new(code: RejectCode) -> Self {
        Self { code, detail: 0 }
    }

    /// The body of the reply: code u16, detail u16.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [d1, d0] = self.detail.to_be_bytes();
        [0, self.code.to_byte(), d1, d0]
    }

    /// Reads a body; `None` if it has another length, or the code is 0.
    #[must_use]
    pub fn from_bytes(body: &[u8]) -> Option<Self> {
        let &[c1, c0, d1, d0] = body else { return None };
        let code = match u16::from_be_bytes([c1, c0]) {
            0 => return None,
            1 => RejectCode::Malformed,
            2 => RejectCode::TooLarge,
            3 => RejectCode::TooOld,
            4 => RejectCode::OutOfOrder,
            5 => RejectCode::NotGreeted,
            7 => RejectCode::Quota,
            _ => RejectCode::Refused,
        };
        Some(Self { code, detail: u16::from_be_bytes([d1, d0]) })
    }
}

impl RejectCode {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::TooLarge => 2,
            Self::TooOld => 3,
            Self::OutOfOrder => 4,
            Self::NotGreeted => 5,
            Self::Refused => 6,
            Self::Quota => 7,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.code {
            RejectCode::Malformed => "malformed",
            RejectCode::TooLarge => "too large",
            RejectCode::TooOld => "too old",
            RejectCode::OutOfOrder => "out of order",
            RejectCode::NotGreeted => "not greeted",
            RejectCode::Refused => "refused",
            RejectCode::Quota => "quota used up",
        };
        write!(f, "rejected: {reason} ({})", self.detail)
    }
}

/// Room for one message or request; an array of them is lent to an [`Outbox`](super::Outbox).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot {
    pub(super) token: Token,
    pub(super) state: State,
    pub(super) class: Class,
    /// Attempts spent.
    pub(super) spent: u8,
    /// It was written as a whole at some time, by this process or one before: the peer may have acted on it.
    pub(super) written: bool,
    /// Its time to the answer says something about the link: it was written once.
    pub(super) samples: bool,
    /// Where its frame begins in the arena; [`Slot::NOWHERE`] if it is not kept.
    pub(super) offset: usize,
    /// The command of its reply.
    pub(super) reply: u32,
    /// When its last byte had arrived, as far as can be told, and how long its answer may take from then on.
    pub(super) since: Instant,
    pub(super) timeout: Millis,
}

/// What a slot holds, and so which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Class {
    /// A `timeout` of zero is the estimator's.
    Message {
        attempts: u8,
        sealed: bool,
        timeout: Millis,
        expires: Option<Instant>,
    },
    Request {
        asks_again: bool,
        timeout: Millis,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum State {
    Free,
    /// Waits to be written on this link.
    Queued,
    /// Written on this link; its answer is awaited.
    Written,
    /// Not answered in time; waits to be written once more on this link.
    Again,
    /// Over, and not told yet.
    Ended(Outcome),
}

impl Slot {
    /// A free slot.
    pub const FREE: Self = Self {
        token: Token { serial: 0, sequence: 0, epoch: None },
        state: State::Free,
        class: Class::Request { asks_again: false, timeout: Millis::ZERO },
        spent: 0,
        written: false,
        samples: false,
        offset: Self::NOWHERE,
        reply: 0,
        since: Instant::ZERO,
        timeout: Millis::ZERO,
    };
    pub(super) const NOWHERE: usize = usize::MAX;

    pub(super) const fn is_message(&self) -> bool {
        matches!(self.class, Class::Message { .. })
    }

    /// `true` until it has ended.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Queued | State::Written | State::Again)
    }

    /// When its answer must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.state == State::Written { self.timeout.after(self.since) } else { None }
    }

    /// When it has lived long enough.
    pub(super) const fn expires(&self) -> Option<Instant> {
        match self.class {
            Class::Message { expires, .. } if self.is_waiting() => expires,
            _ => None,
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::FREE
    }
}
