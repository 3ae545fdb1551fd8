use super::{Disconnect, GoAway};
use crate::Instant;
use crate::delivery::{Failure, Token};
use crate::wire::{Batch, EncodeError, Frame};
use core::{error::Error, fmt, time::Duration};

/// What a [`Client`](super::Client) tells its application.
///
/// The bodies in it are lent from the receive buffer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'f> {
    /// The link is up: connected, and greeted if there is a greeting.
    Online {
        /// The peer's answer to the hello, whose body only the application understands; `None` without a hello.
        welcome: Option<Frame<'f>>,
    },
    /// A heartbeat was answered.
    Heartbeat {
        /// From its last byte written to the answer.
        round_trip: Duration,
    },
    /// The peer sent something by itself.
    Push(Frame<'f>),
    /// The peer sent a body of whole frames: walk it, and give each to `handle_frame`.
    Batch(Batch<'f>),
    /// A request was answered.
    Reply {
        /// What the call that sent the request returned.
        token: Token,
        /// The reply.
        frame: Frame<'f>,
    },
    /// A request ended without its reply.
    Failed {
        /// What the call that sent the request returned.
        token: Token,
        /// Why.
        why: Failure,
        /// Whether the request was wholly written: then the peer may have acted on it.
        written: bool,
    },
    /// The peer will close the link; what it still owes is awaited.
    GoAway(GoAway),
    /// The link is down. Every request of it ends as [`Event::Failed`] before this.
    Offline(Disconnect),
}

/// What a [`Server`](super::Server) link tells its application.
///
/// The bodies in it are lent from the receive buffer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ServerEvent<'f> {
    /// The peer greets: answer with [`welcome`](super::Server::welcome) or [`refuse`](super::Server::refuse).
    Greeting(Frame<'f>),
    /// A frame that asks for a reply: [`reply`](super::Server::reply) to it, or leave it.
    Request(Frame<'f>),
    /// A frame with sequence 0, which asks for none.
    OneWay(Frame<'f>),
    /// The peer will close the link.
    GoAway(GoAway),
    /// The link is down.
    Offline(Disconnect),
}

/// Why something was not sent. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// There is no link.
    Offline,
    /// The peer's greeting has not come yet, or waits to be answered first.
    NotGreeted,
    /// The link is about to close.
    Closing,
    /// As many requests are under way as there are slots: wait for one to end.
    TooManyRequests,
    /// The link has no buffer to put it in: [`Server::lend`](super::Server::lend) one.
    NoBuffer,
    /// There is no room just now: wait until something is written.
    Full {
        /// The length of the frame.
        length: usize,
    },
    /// The frame is longer than the transmit buffer or the dialect's limit: it will never fit.
    TooLong {
        /// The length of the frame.
        length: usize,
        /// The longest frame that can be sent.
        limit: usize,
    },
}

impl SendError {
    /// `capacity` is the length of the transmit buffer, `max_frame` the dialect's limit.
    pub(super) fn from_encode(error: EncodeError, capacity: usize, max_frame: u32) -> Self {
        let limit = capacity.min(max_frame as usize);
        match error {
            EncodeError::Buffer(_) if capacity == 0 => Self::NoBuffer,
            EncodeError::Buffer(short) if short.required <= limit => Self::Full { length: short.required },
            EncodeError::Buffer(short) => Self::TooLong { length: short.required, limit },
            EncodeError::FrameTooLong { length, .. } => Self::TooLong { length, limit },
            EncodeError::HeaderTooLong { header, maximum } => Self::TooLong { length: header, limit: maximum as usize },
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("there is no link"),
            Self::NotGreeted => f.write_str("no greeting came yet, or it waits for its answer"),
            Self::Closing => f.write_str("the link is about to close"),
            Self::TooManyRequests => f.write_str("too many requests are under way"),
            Self::NoBuffer => f.write_str("the link has no buffer"),
            Self::Full { length } => write!(f, "no room for a frame of {length} bytes just now"),
            Self::TooLong { length, limit } => write!(f, "a frame of {length} bytes, {limit} can be sent"),
        }
    }
}

impl Error for SendError {}

/// Which timer is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Timer {
    /// The greeting must have come, or been answered.
    Greeting,
    /// A heartbeat is due.
    Heartbeat,
    /// The answer to a heartbeat must have come.
    Answer,
    /// A reply must have come.
    Reply,
    /// What waits to be written must have moved.
    Write,
    /// A frame that was begun must have ended.
    Frame,
    /// Something must have come.
    Idle,
    /// Reading, held back for a while, goes on.
    Resume,
    /// An orderly close must have got further.
    Close,
}

impl Timer {
    /// The timer that is due first, of those whose deadline, at the same place in `deadlines`, is armed.
    pub(super) fn first<const N: usize>(timers: [Self; N], deadlines: [Option<Instant>; N]) -> Option<(Self, Instant)> {
        timers.into_iter().zip(deadlines).filter_map(|(timer, at)| Some((timer, at?))).min_by_key(|(_, at)| *at)
    }
}

/// Counters of one link, from its connection on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Frames received, those that were too long not counted.
    pub frames_received: u32,
    /// Heartbeats written by a client, answered by a server.
    pub heartbeats: u32,
    /// Frames that were too long and were skipped.
    pub skipped: u32,
    /// Frames that were in order and meant nothing here: an answer to nothing, a malformed goaway, a late reply (which is a
    /// push where [`push_any_sequence`](crate::wire::Dialect::push_any_sequence) holds).
    pub dropped: u32,
}
