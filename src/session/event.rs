use super::{Attempt, Disconnect, GoAway, Hello};
use crate::Instant;
use crate::delivery::{Epoch, Failure, MessageId, Outbox, PushError, Token};
use crate::liveness::NetworkRecord;
use crate::sync::{Ack, Fetch, Page, Request, SyncError, Told};
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
        /// The peer's answer to the hello, whose body only the application understands; `None` without a hello, and in the
        /// native dialect.
        welcome: Option<Frame<'f>>,
        /// The peer knows this device's epoch, and what it has stored of it.
        resumed: bool,
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
    /// A message was stored.
    Delivered {
        /// What the call that sent the message returned.
        token: Token,
    },
    /// A message or a request was taken back by [`Client::cancel`](super::Client::cancel).
    Cancelled {
        /// What the call that sent it returned.
        token: Token,
        /// Whether it was wholly written: then the peer may have acted on it.
        written: bool,
    },
    /// A message was not stored, as far as is known, or a request ended without its reply.
    Failed {
        /// What the call that sent it returned.
        token: Token,
        /// Why.
        why: Failure,
        /// Whether it was wholly written: then the peer may have acted on it.
        written: bool,
    },
    /// The peer will close the link; what it still owes is awaited.
    GoAway(GoAway),
    /// The device goes on in a new epoch, because the peer knows a later one, or more of this one than the state that this
    /// client started from. Messages that were never written have new sequences now.
    EpochLost {
        /// The epoch that is over.
        from: Option<Epoch>,
        /// The one that begins.
        to: Epoch,
    },
    /// The peer has lost messages that it had acknowledged: it went back to an older state.
    ServerRewound {
        /// The highest sequence that it acknowledged.
        from: u32,
        /// The highest that it has.
        to: u32,
    },
    /// Something new is in the mailbox: store its items, then the [cursor after it](super::Client::cursor_after), then
    /// [`commit`](super::Client::commit) it. Until then, or until it is rejected or
    /// [abandoned](super::Client::abandon), nothing else is asked for: who drops it gets nothing more.
    Page(Page<'f>),
    /// Everything that the mailbox had is here.
    CaughtUp,
    /// An item could not be applied, time and again, and was passed.
    Hole {
        /// Its key.
        key: u16,
        /// Its val.
        val: u64,
    },
    /// The device could not be brought up to date; it is tried again by itself.
    SyncFailed(SyncError),
    /// The link is down. Every request of it that does not ask again ends as [`Event::Failed`] before this; messages wait
    /// for the next.
    Offline(Disconnect),
    /// Connect to this address, and [probe](crate::liveness::Probe) it; then
    /// [`handle_alive`](super::Client::handle_alive) or [`handle_refused`](super::Client::handle_refused). Up to three
    /// are out at the same time.
    ///
    /// A device with one line, such as a modem, has the others wait their turn: while any does, it gives an attempt a third
    /// of the [time](super::limits::ATTEMPT_TIMEOUT) and then refuses it as [silent](crate::liveness::Fault::Silent); it
    /// takes those that are [abandoned](Self::Abandon) out of its queue; and it refuses a
    /// [check](Attempt::is_check) at once as [unreachable](crate::liveness::Fault::Unreachable), which says nothing
    /// against the address.
    Connect(Attempt),
    /// Give up this attempt: another was faster, it took too long, or no link is wanted any more.
    Abandon(Attempt),
    /// The addresses did not work, or may have changed: resolve the names again, and
    /// [`set_addresses`](super::Client::set_addresses). Until then the ones that are known are tried again.
    ResolveAddresses,
    /// There has been no link for a while: if there is another way to ask for what is new, take it.
    Poll,
    /// The device is in the background and its link is closed; what is unsettled waits, and ends when its lifetime does.
    Dormant {
        /// How many messages are unsettled.
        unsettled: usize,
    },
    /// More is known of how long this network keeps a silent link: store it, and give it to
    /// [`set_network`](super::Client::set_network) the next time.
    NetworkLearned(NetworkRecord),
}

impl From<Told> for Event<'_> {
    fn from(told: Told) -> Self {
        match told {
            Told::CaughtUp => Self::CaughtUp,
            Told::Hole { key, val } => Self::Hole { key, val },
            Told::Failed(error) => Self::SyncFailed(error),
        }
    }
}

/// What a [`Server`](super::Server) link tells its application.
///
/// The bodies in it are lent from the receive buffer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ServerEvent<'f> {
    /// A device greets: find its [`Ledger`](crate::delivery::Ledger), and answer with
    /// [`welcome`](super::Server::welcome) or [`refuse`](super::Server::refuse).
    Hello(Hello<'f>),
    /// The peer greets in another dialect: answer with [`welcome_with`](super::Server::welcome_with) or
    /// [`refuse_with`](super::Server::refuse_with).
    Greeting(Frame<'f>),
    /// A message of a device that has greeted: store it, and then [`accept`](super::Server::accept) it; or
    /// [`reject`](super::Server::reject) it, or [`release`](super::Server::release) it.
    Message {
        /// Which.
        id: MessageId,
        /// The frame.
        frame: Frame<'f>,
    },
    /// A device that has greeted wants what is new in its mailbox: [`answer_sync`](super::Server::answer_sync).
    Sync {
        /// To be answered under this number.
        sequence: u32,
        /// How far the device is, and how much it takes.
        request: Request<'f>,
    },
    /// A device has stored what it was sent: [`acknowledge`](crate::sync::acknowledge) it in its mailbox.
    SyncDone(Ack<'f>),
    /// A device wants a part of an item: [`answer_fetch`](super::Server::answer_fetch).
    Fetch {
        /// To be answered under this number.
        sequence: u32,
        /// Which part of which.
        fetch: Fetch,
    },
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
    /// As much is under way as there are slots: wait for an end.
    TooMany,
    /// Every sequence of this epoch was used: wait until all messages are settled.
    EpochSpent,
    /// The peer has not named the epoch yet that the body is to be sealed for: wait until the link is online.
    EpochUnknown,
    /// The message was sent in an epoch that is over.
    EpochOver,
    /// The peer may not know any more whether it has the message.
    TooOld,
    /// No message had this sequence.
    Unassigned,
    /// A request or one-way frame with the command of messages, which a peer that was greeted counts: use
    /// [`Client::send`](super::Client::send).
    IsMessage,
    /// The command of sync, which this client speaks by itself.
    IsSync,
    /// An empty message, which this dialect's peer would answer with the same bytes as an echo.
    Empty,
    /// A newer request took the place of the one that this would answer, or it is answered.
    Superseded,
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
    /// `true` if the same may be sent later: when something is written, settled or lent, or the link is online. Otherwise it
    /// never will.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Offline
            | Self::NotGreeted
            | Self::Closing
            | Self::TooMany
            | Self::EpochSpent
            | Self::EpochUnknown
            | Self::NoBuffer
            | Self::Full { .. } => true,
            Self::EpochOver
            | Self::TooOld
            | Self::Unassigned
            | Self::IsMessage
            | Self::IsSync
            | Self::Empty
            | Self::Superseded
            | Self::TooLong { .. } => false,
        }
    }

    /// `capacity` is the length of the transmit buffer, `limit` the longest frame that can be sent.
    pub(super) fn from_encode(error: EncodeError, capacity: usize, limit: usize) -> Self {
        match error {
            EncodeError::Buffer(_) if capacity == 0 => Self::NoBuffer,
            EncodeError::Buffer(short) if short.required <= limit => Self::Full { length: short.required },
            EncodeError::Buffer(short) => Self::TooLong { length: short.required, limit },
            EncodeError::FrameTooLong { length, .. } => Self::TooLong { length, limit },
            EncodeError::HeaderTooLong { header, maximum } => Self::TooLong { length: header, limit: maximum as usize },
        }
    }

    pub(super) fn from_push(error: PushError, outbox: &Outbox<'_>) -> Self {
        match error {
            PushError::TooMany => Self::TooMany,
            PushError::EpochSpent => Self::EpochSpent,
            PushError::TooOld => Self::TooOld,
            PushError::Unassigned => Self::Unassigned,
            PushError::Encode(error) => Self::from_encode(error, outbox.capacity(), outbox.longest()),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("there is no link"),
            Self::NotGreeted => f.write_str("no greeting came yet, or it waits for its answer"),
            Self::Closing => f.write_str("the link is about to close"),
            Self::TooMany => f.write_str("too much is under way"),
            Self::EpochSpent => f.write_str("every sequence of this epoch was used"),
            Self::EpochUnknown => f.write_str("the epoch is not named yet"),
            Self::EpochOver => f.write_str("the message was sent in an epoch that is over"),
            Self::TooOld => f.write_str("the peer may not know the message any more"),
            Self::Unassigned => f.write_str("no message had this sequence"),
            Self::IsMessage => f.write_str("the command is that of messages"),
            Self::IsSync => f.write_str("the command is that of sync"),
            Self::Empty => f.write_str("an empty message cannot be told from its answer"),
            Self::Superseded => f.write_str("the request is not to be answered any more"),
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
    /// A reply must have come, a message is due, or has lived long enough.
    Delivery,
    /// The mailbox is to be asked, must have answered, or is to be.
    Sync,
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
    /// The next round of attempts begins.
    Reconnect,
    /// The next address is to be tried, or one must have answered.
    Attempt,
    /// The background has lasted long enough for the link to be closed.
    Linger,
    /// What is new is to be asked for in another way.
    Poll,
    /// A better address is looked for.
    Check,
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
#[non_exhaustive]
pub struct Stats {
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Frames received, those that were too long not counted.
    pub frames_received: u32,
    /// Heartbeats written by a client, answered by a server.
    pub heartbeats: u32,
    /// Frames that were too long and were skipped; 65,535 are counted.
    pub skipped: u32,
    /// Frames that were in order and meant nothing here: an answer to nothing, a malformed goaway, a late reply (which is a
    /// push where [`push_any_sequence`](crate::wire::Dialect::push_any_sequence) holds); 65,535 are counted.
    pub dropped: u32,
}
