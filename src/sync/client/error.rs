use crate::sync::{BodyError, Epoch};
use core::{error::Error, fmt, time::Duration};

/// Why a sync did not bring the device up to date. The cursor is where it was, and the client asks again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SyncError {
    /// No answer came in time.
    TimedOut,
    /// The answer came, but is longer than the receive buffer; it was skipped. Half as much is asked for next.
    TooLarge,
    /// The server has no time, or its store failed.
    Busy {
        /// How long it wants to be left alone, at least; zero if it does not say.
        after: Duration,
    },
    /// The server does not understand the request. It is repeated at the poll interval.
    Refused,
    /// The server does not know the device: it has to greet anew.
    NotThisDevice,
    /// The answer makes no sense, by itself or as an answer to what was asked.
    Malformed(BodyError),
    /// Its epoch is not the one that was asked for, and it does not say that the mailbox begins anew.
    OtherEpoch {
        /// The epoch that it names.
        epoch: Epoch,
    },
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::TooLarge => f.write_str("the answer is longer than the receive buffer"),
            Self::Busy { after } => write!(f, "the server is busy for {} ms", after.as_millis()),
            Self::Refused => f.write_str("the server does not understand the request"),
            Self::NotThisDevice => f.write_str("the server does not know this device"),
            Self::Malformed(error) => error.fmt(f),
            Self::OtherEpoch { epoch } => write!(f, "the answer is of epoch {epoch}"),
        }
    }
}

impl Error for SyncError {}

impl From<BodyError> for SyncError {
    fn from(error: BodyError) -> Self {
        Self::Malformed(error)
    }
}

/// The page that a receipt is of is not with the application any more: it was committed, rejected or abandoned, or another one
/// is. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StaleReceipt;

impl fmt::Display for StaleReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the page is not with the application any more")
    }
}

impl Error for StaleReceipt {}

/// Why a stored cursor was not taken over. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CursorError {
    /// There is a link already, with another cursor.
    Online,
    /// The bytes are none, or there is no room for all of its keys.
    Body(BodyError),
}

impl From<BodyError> for CursorError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Online => f.write_str("there is a link already"),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl Error for CursorError {}
