use super::heartbeat::{CAP, FLOOR, Learned, MOST_MARGIN};
use core::{error::Error, fmt, time::Duration};

/// Which network the device is in, as a number: what was learned of one network says nothing of another.
///
/// ```
/// use longlink::liveness::Network;
///
/// let home = Network::named(b"wifi:home");
/// assert_eq!(home, Network::named(b"wifi:home"));
/// assert_ne!(home, Network::named(b"carrier:310-260"));
/// assert_eq!(Network::from_number(home.number()), home);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Network(u32);

impl Network {
    /// There is a network, and nobody knows which. Nothing is recorded for it, and what is known of addresses in it is
    /// forgotten whenever it is named again, for it may be another.
    pub const UNKNOWN: Self = Self(0);

    /// The network of this label, such as the name of a Wi-Fi or a carrier: its 32-bit FNV-1a hash. Never
    /// [`Network::UNKNOWN`].
    #[must_use]
    pub const fn named(label: &[u8]) -> Self {
        const OFFSET: u32 = 0x811C_9DC5;
        const PRIME: u32 = 0x0100_0193;
        let (mut hash, mut rest) = (OFFSET, label);
        while let [byte, tail @ ..] = rest {
            hash = (hash ^ *byte as u32).wrapping_mul(PRIME);
            rest = tail;
        }
        Self(if hash == Self::UNKNOWN.0 { OFFSET } else { hash })
    }

    /// The network of this number, which another [`number`](Self::number) gave; 0 is [`Network::UNKNOWN`].
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number, to be stored.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What a [`Heartbeat`](super::Heartbeat) learned of one network, to be stored under the network's number.
///
/// In bytes, big-endian:
///
/// ```text
///   0         1        2         3        4        6         8         10      12
///   | version | flags  | strikes | margin | proven | suspect | current | age   | network |
///   | u8 = 1  | 2 bits | u8      | u8, %  | u16, tenths of a second    | u16 h | u32     |
/// ```
///
/// ```
/// use core::time::Duration;
/// use longlink::liveness::{Heartbeat, HeartbeatPolicy, Network, NetworkRecord};
/// use longlink::Instant;
///
/// let (now, home) = (Instant::ZERO, Network::named(b"home"));
/// let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
/// heartbeat.set_network(now, home, None);
/// let stored = heartbeat.record().to_bytes();
/// // ... and when the device is there again:
/// let record = NetworkRecord::from_bytes(&stored)?;
/// assert_eq!((record.network(), record.is_settled()), (home, false));
/// heartbeat.set_network(now, record.network(), Some(&record));
/// # Ok::<(), longlink::liveness::RecordError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NetworkRecord {
    pub(super) network: Network,
    pub(super) learned: Learned,
}

impl NetworkRecord {
    /// The length in bytes.
    pub const LEN: usize = 16;

    const VERSION: u8 = 1;
    const SETTLED: u8 = 1;
    const CHECKED: u8 = 2;

    /// The bytes to store.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let Learned { settled, checked, strikes, margin, proven, suspect, current, age } = self.learned;
        let flags = if settled { Self::SETTLED } else { 0 } | if checked { Self::CHECKED } else { 0 };
        let ([p1, p0], [s1, s0]) = (proven.to_be_bytes(), suspect.to_be_bytes());
        let ([c1, c0], [a1, a0]) = (current.to_be_bytes(), age.to_be_bytes());
        let [n3, n2, n1, n0] = self.network.number().to_be_bytes();
        [Self::VERSION, flags, strikes, margin, p1, p0, s1, s0, c1, c0, a1, a0, n3, n2, n1, n0]
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`RecordError`], if it did not write that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let [version, flags, strikes, margin, p1, p0, s1, s0, c1, c0, a1, a0, n3, n2, n1, n0] = *bytes else {
            return Err(RecordError::Length { length: bytes.len() });
        };
        if version != Self::VERSION {
            return Err(RecordError::Version { version });
        }
        if flags & !(Self::SETTLED | Self::CHECKED) != 0 {
            return Err(RecordError::Reserved { flags });
        }
        let (proven, suspect) = (u16::from_be_bytes([p1, p0]), u16::from_be_bytes([s1, s0]));
        let (current, age) = (u16::from_be_bytes([c1, c0]), u16::from_be_bytes([a1, a0]));
        for (value, least, most) in [
            (u16::from(strikes), 0, 1),
            (u16::from(margin), 0, u16::from(MOST_MARGIN)),
            (proven, 0, CAP),
            (suspect, 0, CAP),
            (current, FLOOR, CAP),
        ] {
            if value < least || value > most {
                return Err(RecordError::Range { value, least, most });
            }
        }
        let (settled, checked) = (flags & Self::SETTLED != 0, flags & Self::CHECKED != 0);
        let learned = Learned { settled, checked, strikes, margin, proven, suspect, current, age };
        Ok(Self { network: Network(u32::from_be_bytes([n3, n2, n1, n0])), learned })
    }

    /// The network that this was learned of.
    #[must_use]
    pub const fn network(self) -> Network {
        self.network
    }

    /// The longest silence that a link survived, 580 s at most; zero if none was tried.
    #[must_use]
    pub const fn proven(self) -> Duration {
        tenths(self.learned.proven)
    }

    /// The interval that was in use, 10 to 580 s.
    #[must_use]
    pub const fn interval(self) -> Duration {
        tenths(self.learned.current)
    }

    /// Whether the search has come to its end, so that the interval stays.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.learned.settled
    }
}

const fn tenths(n: u16) -> Duration {
    Duration::from_millis((n as u64).saturating_mul(100))
}

/// Why bytes are not a [`NetworkRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecordError {
    /// Not [`NetworkRecord::LEN`] bytes.
    Length {
        /// How many there are.
        length: usize,
    },
    /// Written by a later version of this crate.
    Version {
        /// The version given.
        version: u8,
    },
    /// Flags that mean nothing here.
    Reserved {
        /// All flags.
        flags: u8,
    },
    /// A value that was never learned.
    Range {
        /// The value.
        value: u16,
        /// What it may be at least.
        least: u16,
        /// What it may be at most.
        most: u16,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { length } => {
                write!(f, "{length} bytes, a network's record has {}", NetworkRecord::LEN)
            }
            Self::Version { version } => write!(f, "a network's record of the unknown version {version}"),
            Self::Reserved { flags } => write!(f, "a network's record with the unknown flags {flags:#04x}"),
            Self::Range { value, least, most } => {
                write!(f, "{value} in a network's record, where {least} to {most} may be")
            }
        }
    }
}

impl Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_told_by_its_fnv_1a_hash() {
        assert_eq!(Network::named(b"foobar").number(), 0xBF9C_F968);
        assert_ne!(Network::named(b""), Network::UNKNOWN);
    }

    #[test]
    fn a_record_survives_its_bytes_and_others_are_refused() {
        let learned = Learned { settled: true, margin: 12, proven: 3_020, age: 70, ..Learned::NOTHING };
        let record = NetworkRecord { network: Network::named(b"home"), learned };
        let bytes = record.to_bytes();
        assert_eq!(NetworkRecord::from_bytes(&bytes), Ok(record));
        assert_eq!(NetworkRecord::from_bytes(&bytes[1..]), Err(RecordError::Length { length: 15 }));
        for (at, byte) in [(0, 2), (1, 4), (2, 2), (3, 33), (4, 0xFF), (6, 0xFF), (8, 0), (8, 0xFF)] {
            let mut hostile = bytes;
            hostile[at] = byte;
            assert!(NetworkRecord::from_bytes(&hostile).is_err(), "byte {at} is {byte}");
        }
    }
}
