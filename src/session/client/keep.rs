//! The state of a client that outlives its process: encoded here, stored by the application.

use super::incarnation::{Incarnation, Stored};
use super::{Client, State};
use crate::Instant;
use crate::delivery::{Epoch, Failure, MessagePolicy, PushError, Token, Unsettled};
use crate::time::millionth;
use crate::wire::{BufferTooSmall, fill};
use core::num::NonZeroU32;
use core::time::Duration;
use core::{error::Error, fmt};

/// What precedes the messages: magic u32 · account u64 · device u64 · epoch u32 · link u32 · next u32 · mark u32 (0: none) ·
/// acknowledged u32 · messages u32.
const HEAD: usize = 44;
/// What precedes the body of each: sequence u32 · lifetime left in seconds u32 · attempts u8 · spent u8 · flags u8 · 0 u8 ·
/// length u32.
const ITEM: usize = 16;
/// "LLS" and the version.
const MAGIC: u32 = 0x4C4C_5301;
const SEALED: u8 = 1;

/// Why stored state cannot be taken. The client is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are not a client's state, or of another version.
    Magic {
        /// The first four bytes.
        magic: u32,
    },
    /// The bytes end before the state does.
    Truncated {
        /// How many there are.
        length: usize,
    },
    /// The bytes do not end where the state does.
    TooLong {
        /// How many there are.
        length: usize,
    },
    /// The configuration has no identity that keeps state.
    NoIdentity,
    /// The client has messages or a connection already: restore first.
    InUse,
    /// There is no slot for a message, or none that fits beside the others: lend as many as before.
    NoSlot {
        /// The sequence of the message.
        sequence: u32,
    },
    /// A message does not fit into the transmit buffer.
    NoRoom {
        /// The sequence of the message.
        sequence: u32,
    },
    /// A sequence that no message can have.
    Sequence {
        /// It.
        sequence: u32,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic { magic } => write!(f, "{magic:#010x} does not begin a client's state"),
            Self::Truncated { length } => write!(f, "the state does not end within {length} bytes"),
            Self::TooLong { length } => write!(f, "the state ends before {length} bytes"),
            Self::NoIdentity => f.write_str("there is no identity that keeps state"),
            Self::InUse => f.write_str("the client is in use already"),
            Self::NoSlot { sequence } => write!(f, "no slot for message {sequence}"),
            Self::NoRoom { sequence } => write!(f, "no room for message {sequence}"),
            Self::Sequence { sequence } => write!(f, "no message has sequence {sequence}"),
        }
    }
}

impl Error for RestoreError {}

impl Client<'_> {
    /// `true` if messages wait until the state is stored: [`save`](Self::save) it, store it, then tell
    /// [`handle_saved`](Self::handle_saved). Never without an identity that keeps state.
    ///
    /// It is so once for every epoch and every 64 messages, and after the first greeting of a process. What is stored then knows the sequences that may be used; it has
    /// to know the messages as well if they are to outlive this process, so whoever wants that stores the state after every
    /// message, or every few, before they are written; and after a message has ended, before anything is made of that and before
    /// more is sent: a state that still holds it sends it again, and once the peer's window has gone past it, tells it as
    /// [unknown](crate::delivery::Failure::Unknown).
    #[must_use]
    pub fn needs_saving(&self) -> bool {
        let last = self.connection.transmit.frames.last_message();
        self.config.identity.is_some() && self.incarnation.needs_saving(last)
    }

    /// How many bytes [`save`](Self::save) needs.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.messages().map(|message| ITEM.saturating_add(message.body.len())).fold(HEAD, usize::saturating_add)
    }

    /// The messages that are neither delivered nor failed nor taken back.
    pub fn messages(&self) -> impl Iterator<Item = Unsettled<'_>> {
        self.connection.transmit.frames.messages()
    }

    /// Encodes the state into `out`, and returns its length. Replace what was stored before in one piece: a state that is half
    /// old and half new is worse than either.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] says how much is needed.
    pub fn save(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let required = self.state_len();
        let out = out.get_mut(..required).ok_or(BufferTooSmall { required })?;
        let now = self.connection.clock(now);
        let Stored { epoch, next, mark } = self.incarnation.encode(self.connection.transmit.frames.last_message());
        let (account, device) = self.config.identity.map_or((0, 0), |who| (who.account, who.device.get()));
        let [account, device] = [account, device].map(|number| [high(number), low(number)]);
        let count = self.messages().fold(0_u32, |count, _| count.saturating_add(1));
        let Incarnation { link, acknowledged, .. } = self.incarnation;
        let (epoch, mark) = (epoch.map_or(0, Epoch::get), mark.map_or(0, NonZeroU32::get));
        let mut rest = put(out, [MAGIC])?;
        for number in [account, device] {
            rest = put(rest, number)?;
        }
        rest = put(rest, [epoch, link, next, mark, acknowledged, count])?;
        for message in self.messages() {
            rest = put_message(rest, now, &message)?;
        }
        Ok(required)
    }

    /// What [`save`](Self::save) encoded last is stored: messages that waited for it are written. One at a time: do not encode
    /// another state before this one is stored.
    pub fn handle_saved(&mut self, now: Instant) {
        self.connection.clock(now);
        self.incarnation.handle_saved();
        self.limit();
    }

    /// Goes on from stored state, before the first connection: the messages in it are tried again under their sequences.
    /// [`messages`](Self::messages) tells their tokens. The state of another account or device is not taken: its messages
    /// fail with [`Failure::AccountChanged`], which is the first that is heard of their tokens, and this client begins without a
    /// past.
    ///
    /// They count as written if the process that stored them may have done so afterwards. Time that went by since the
    /// state was stored does not count towards their lifetime.
    ///
    /// # Errors
    ///
    /// [`RestoreError`], and nothing has changed.
    pub fn restore(&mut self, now: Instant, bytes: &[u8]) -> Result<(), RestoreError> {
        let identity = self.config.identity.filter(|identity| identity.keeps_state).ok_or(RestoreError::NoIdentity)?;
        if self.state != State::Idle || !self.outbox().is_unused() {
            return Err(RestoreError::InUse);
        }
        let now = self.connection.clock(now);
        let state = Saved::read(bytes)?;
        let ours = state.account == identity.account && state.device == identity.device.get();
        self.outbox().set_last_message(state.next.saturating_sub(1));
        for item in state.items() {
            if let Err(error) = item.and_then(|item| self.restore_message(now, &state, &item, ours)) {
                self.outbox().forget_all();
                return Err(error);
            }
        }
        if ours {
            let mark = NonZeroU32::new(state.mark);
            let stored = Stored { epoch: Epoch::new(state.epoch), next: state.next, mark };
            self.incarnation = Incarnation::restored(stored, state.link, state.acknowledged);
        } else {
            self.outbox().set_last_message(0);
        }
        self.limit();
        Ok(())
    }

    fn restore_message(
        &mut self,
        now: Instant,
        state: &Saved<'_>,
        item: &Item<'_>,
        ours: bool,
    ) -> Result<(), RestoreError> {
        let sequence = item.sequence;
        // It may have been written after the state was stored, if that allowed it: one without an epoch did not, nor did a mark,
        // but on a link without identity.
        let allowed = state.epoch != 0 && (state.mark == 0 || sequence < state.mark);
        let written = allowed || !self.config.requires_greeting;
        let policy = MessagePolicy {
            attempts: item.attempts,
            lifetime: Duration::from_secs(item.seconds.into()),
            timeout: self.config.message.timeout,
        };
        let outbox = self.outbox();
        if !ours {
            let ended = outbox.restore_ended(now, sequence, written, Failure::AccountChanged);
            return ended.map(drop).ok_or(RestoreError::NoSlot { sequence });
        }
        let marks = (item.spent, written, item.flags & SEALED != 0);
        let restored: Result<Token, PushError> = outbox.restore(now, &policy, sequence, marks, item.body);
        restored.map(drop).map_err(|error| match error {
            PushError::TooMany => RestoreError::NoSlot { sequence },
            PushError::Encode(_) => RestoreError::NoRoom { sequence },
            _ => RestoreError::Sequence { sequence },
        })
    }
}

/// Stored state as it is read.
struct Saved<'a> {
    account: u64,
    device: u64,
    epoch: u32,
    link: u32,
    next: u32,
    mark: u32,
    acknowledged: u32,
    count: u32,
    items: &'a [u8],
}

struct Item<'a> {
    sequence: u32,
    seconds: u32,
    attempts: u8,
    spent: u8,
    flags: u8,
    body: &'a [u8],
}

impl<'a> Saved<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, RestoreError> {
        let truncated = RestoreError::Truncated { length: bytes.len() };
        let (head, items) = bytes.split_first_chunk::<HEAD>().ok_or(truncated)?;
        let word = |at: usize| {
            let bytes = head.get(at.saturating_mul(4)..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        let [magic, epoch, link, next, mark, acknowledged, count] = [0, 5, 6, 7, 8, 9, 10].map(word);
        let [account, device] = [1, 3].map(|at| u64::from(word(at)) << 32 | u64::from(word(at.saturating_add(1))));
        if magic != MAGIC {
            return Err(RestoreError::Magic { magic });
        }
        let saved = Self { account, device, epoch, link, next, mark, acknowledged, count, items };
        let mut rest = saved.items;
        for _ in 0..count {
            (_, rest) = Item::read(rest).ok_or(truncated)?;
        }
        if rest.is_empty() { Ok(saved) } else { Err(RestoreError::TooLong { length: bytes.len() }) }
    }

    fn items(&self) -> impl Iterator<Item = Result<Item<'a>, RestoreError>> {
        let mut rest = self.items;
        (0..self.count).map(move |_| {
            let (item, behind) = Item::read(rest).ok_or(RestoreError::Truncated { length: rest.len() })?;
            rest = behind;
            Ok(item)
        })
    }
}

impl<'a> Item<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&head, rest) = bytes.split_first_chunk::<ITEM>()?;
        let [s3, s2, s1, s0, t3, t2, t1, t0, attempts, spent, flags, _, l3, l2, l1, l0] = head;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes([l3, l2, l1, l0]) as usize)?;
        let sequence = u32::from_be_bytes([s3, s2, s1, s0]);
        let seconds = u32::from_be_bytes([t3, t2, t1, t0]);
        Some((Self { sequence, seconds, attempts, spent, flags, body }, rest))
    }
}

fn put_message<'o>(out: &'o mut [u8], now: Instant, message: &Unsettled<'_>) -> Result<&'o mut [u8], BufferTooSmall> {
    let left = message.expires.map_or(u64::MAX, |at| millionth(at.micros_since(now)));
    let [left, length] = [left, crate::time::as_u64(message.body.len())].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let sealed = if message.sealed { SEALED } else { 0 };
    let (spent, attempts) = message.attempts;
    let marks = u32::from_be_bytes([attempts, spent, sealed, 0]);
    let rest = put(out, [message.token.sequence(), left, marks, length])?;
    let used = fill(rest, message.body)?;
    Ok(rest.get_mut(used..).unwrap_or_default())
}

fn put<const N: usize>(out: &mut [u8], words: [u32; N]) -> Result<&mut [u8], BufferTooSmall> {
    let words = words.map(u32::to_be_bytes);
    let used = fill(out, words.as_flattened())?;
    Ok(out.get_mut(used..).unwrap_or_default())
}

const fn high(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

const fn low(number: u64) -> u32 {
    let [.., a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
