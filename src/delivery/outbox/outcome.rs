use crate::delivery::{Failure, Token};
use crate::wire::EncodeError;

/// What a frame from the peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// The message is stored.
    Delivered(Token),
    /// The peer will not take the message, or does not know any more whether it has.
    Failed(Token, Failure),
    /// The frame is the reply to this request.
    Reply(Token),
}

/// Why nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PushError {
    /// Every slot is taken, or that of the sequence asked for.
    TooMany,
    /// Every sequence of this epoch was used.
    EpochSpent,
    /// The peer may not know any more whether it has the message.
    TooOld,
    /// No message had this sequence.
    Unassigned,
    /// The frame does not fit.
    Encode(EncodeError),
}

impl From<EncodeError> for PushError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
