use crate::sync::body::Head;
use crate::sync::{Entry, MAX_KEYS, Request};
use core::{error::Error, fmt, time::Duration};

/// What a [`Client`](super::Client) needs to know. The defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config<'b> {
    /// What this device is to have. All keys by default.
    pub keys: Wanted<'b>,
    /// How many items a page may have, 1 to [`Request::MAX_ITEMS`]; [`Request::DEFAULT_ITEMS`] by default.
    pub max_items: u16,
    /// How long the body of a page may be; [`Request::MIN_BYTES`] at least, and enough to name every key that there is room
    /// for. `None`, the default, is what the receive buffer takes, up to [`Config::MAX_BYTES`].
    pub max_bytes: Option<u32>,
    /// How long the server may hold an answer that would say nothing: whole seconds, [`Config::LONGEST_HOLD`] at most. A
    /// request is under way all the time then. It ends whenever any key moves, so a device that lists its keys does better
    /// without. Zero, the default, has the server send a notify instead.
    pub hold: Duration,
    /// How long after one sync the next begins, when no notify asks for it: one may have been lost. 300 s by default;
    /// [`Config::SHORTEST_POLL`] to [`Config::LONGEST_POLL`].
    pub poll: Duration,
    /// How long an answer may take, beside the hold, and beside the time in which the bytes of a frame come in. 35 s by default.
    pub timeout: Duration,
    /// So many pages are asked for, one right after the other, before there is a pause. 20 by default, 1 at least.
    pub rounds: u8,
}

/// What a device is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wanted<'b> {
    /// Every key of the mailbox. There must be room for as many as it has, and for those that a store has lost which went back
    /// without another epoch: a page that names more is refused.
    All,
    /// These keys, ascending. The choice of a device with little memory.
    Listed(&'b [u16]),
}

impl Config<'static> {
    /// The defaults, for `..Config::DEFAULT`.
    pub const DEFAULT: Self = Self {
        keys: Wanted::All,
        max_items: Request::DEFAULT_ITEMS,
        max_bytes: None,
        hold: Duration::ZERO,
        poll: Duration::from_secs(300),
        timeout: Duration::from_secs(35),
        rounds: 20,
    };
    /// The longest page that is asked for unless the configuration says otherwise: 64 KiB.
    pub const MAX_BYTES: u32 = 64 * 1_024;
    /// The longest that an answer is held: 5 min.
    pub const LONGEST_HOLD: Duration = Duration::from_secs(300);
    /// More often than every minute is for notifies.
    pub const SHORTEST_POLL: Duration = Duration::from_secs(60);
    /// Less often than every hour, and a lost notify is noticed too late: 59 min.
    pub const LONGEST_POLL: Duration = Duration::from_secs(3_540);
}

impl Default for Config<'static> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Config<'_> {
    /// Judges the values together, for a client with room for `capacity` keys that takes bodies of `longest` bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first that cannot work.
    pub fn check(&self, capacity: usize, longest: usize) -> Result<(), ConfigError> {
        if let Wanted::Listed(keys) = self.keys {
            if keys.len() > capacity.min(MAX_KEYS) {
                return Err(ConfigError::TooManyKeys { keys: keys.len(), capacity });
            }
            let unsorted = keys.iter().zip(keys.iter().skip(1)).find(|(one, next)| one >= next);
            if let Some((_, key)) = unsorted {
                return Err(ConfigError::KeysUnsorted { key: *key });
            }
        }
        let (required, given) = (self.least_bytes(capacity), self.bytes(longest));
        if given < required || given as usize > longest {
            return Err(ConfigError::Bytes { given, required, longest });
        }
        let poll = Config::SHORTEST_POLL..=Config::LONGEST_POLL;
        match self {
            _ if !(1..=Request::MAX_ITEMS).contains(&self.max_items) => {
                Err(ConfigError::Items { given: self.max_items })
            }
            _ if self.hold > Config::LONGEST_HOLD => Err(ConfigError::HoldTooLong),
            _ if !poll.contains(&self.poll) => Err(ConfigError::Poll),
            _ if self.timeout.is_zero() || self.rounds == 0 => Err(ConfigError::Zero),
            _ => Ok(()),
        }
    }

    /// The hold in seconds, as on the wire.
    pub(super) fn hold_secs(&self) -> u16 {
        u16::try_from(self.hold.as_secs()).unwrap_or(u16::MAX)
    }

    /// The longest page that is asked for by a client that takes bodies of `longest` bytes.
    pub(super) fn bytes(&self, longest: usize) -> u32 {
        let most = u32::try_from(longest).unwrap_or(u32::MAX).min(Config::MAX_BYTES);
        self.max_bytes.unwrap_or(most)
    }

    /// The shortest page that is asked for: it has room for every key, so that the first answer can name all of them.
    pub(super) fn least_bytes(&self, capacity: usize) -> u32 {
        let keys = match self.keys {
            Wanted::All => capacity.min(MAX_KEYS),
            Wanted::Listed(keys) => keys.len().min(MAX_KEYS),
        };
        let entries = Head::LEN.saturating_add(keys.saturating_mul(Entry::LEN));
        u32::try_from(entries).unwrap_or(u32::MAX).max(Request::MIN_BYTES)
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// More keys are listed than there is room for.
    TooManyKeys {
        /// How many are listed.
        keys: usize,
        /// How many there is room for.
        capacity: usize,
    },
    /// The list of keys is not ascending, or names one twice.
    KeysUnsorted {
        /// The first key that is not above the one before.
        key: u16,
    },
    /// The pages asked for would not fit the receive buffer, or are too short to be of use.
    Bytes {
        /// How long a page may be.
        given: u32,
        /// The least that works with so many keys.
        required: u32,
        /// What the receive buffer takes.
        longest: usize,
    },
    /// A number of items that no server grants.
    Items {
        /// The number given.
        given: u16,
    },
    /// A hold above [`Config::LONGEST_HOLD`].
    HoldTooLong,
    /// A poll interval that is too short or too long.
    Poll,
    /// A time-out or a number of rounds of zero.
    Zero,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyKeys { keys, capacity } => write!(f, "{keys} keys are listed, there is room for {capacity}"),
            Self::KeysUnsorted { key } => write!(f, "key {key} is not above the one before it"),
            Self::Bytes { given, required, longest } => {
                write!(f, "pages of {given} bytes: {required} are needed, {longest} can be received")
            }
            Self::Items { given } => write!(f, "{given} items a page"),
            Self::HoldTooLong => f.write_str("a hold of more than 5 min"),
            Self::Poll => f.write_str("a poll interval outside of 60 s to 59 min"),
            Self::Zero => f.write_str("a time-out or number of rounds of zero"),
        }
    }
}

impl Error for ConfigError {}
