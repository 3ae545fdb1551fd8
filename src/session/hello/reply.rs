use super::{Hello, HelloError};
use crate::delivery::{Accepted, Epoch, Stale, WindowError};
use crate::session::GoAway;
use crate::time::{as_u32, millis};
use core::{error::Error, fmt, time::Duration};

/// A server's answer to a [`Hello`]: whether the link is taken, and what of the client's messages is stored.
///
/// The body is [`HelloReply::LEN`] bytes and the bitmap behind them, integers big-endian. Senders write 0 into reserved
/// bits; receivers ignore those and what trails the bitmap, which is how the body may grow. The first byte has its top
/// bit set, so that a hello that comes back is not taken for its answer.
///
/// ```text
/// 0                1        2       3              4      6          8
/// | 0x80 | version | status | flags | bitmap bytes | idle | reserved |
///   u8               u8       u8      u8             u16    u16
/// 8       12     16          20     24            28
/// | epoch | link | max_frame | last | retry after | bitmap …
///   u32     u32    u32         u32    u32 ms
/// ```
///
/// A refusal has no bitmap; it may name the epoch in force and the link that greeted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HelloReply<'a> {
    /// The version of the bodies that is spoken; with [`HelloStatus::Version`] the highest that the server knows.
    pub version: u8,
    /// Whether the link is taken.
    pub status: HelloStatus,
    /// Bit 0 of the flags: the window is of this epoch and was kept.
    pub resumed: bool,
    /// After so many seconds of silence the server closes the link; 0 if it does not. Read as 20 at least, so that no
    /// forged number drains a battery.
    pub idle: u16,
    /// The epoch in force; always there if the link is taken.
    pub epoch: Option<Epoch>,
    /// The link that greeted last: this one if it is taken, else 0 if there is none.
    pub link: u32,
    /// The longest frame that the server takes; [`Hello::MIN_MAX_FRAME`] at least if the link is taken.
    pub max_frame: u32,
    /// Which messages the server has: 8 to 128 bytes of bitmap if the link is taken, else [`Accepted::NONE`].
    pub accepted: Accepted<'a>,
    /// Not to come back before so long: whole milliseconds, one hour at most, on the wire as when read.
    pub retry_after: Duration,
}

/// What a server says to a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HelloStatus {
    /// 0: the link is taken.
    Ok,
    /// 1: the hello makes no sense.
    Malformed,
    /// 2: the version is not spoken; the reply names the highest that is.
    Version,
    /// 3: the token is refused; another one may do.
    TokenRefused,
    /// 4: the token was good, and is no more: come back with another one at once.
    TokenExpired,
    /// 5: a greater epoch is in force: take the one after it.
    EpochTooOld,
    /// 6: a link of this number or a greater one greeted before: take the one after it.
    LinkTooOld,
    /// 7: this device is not wanted.
    DeviceRefused,
    /// 8: not now; come back after the time named. What this version does not know counts as this.
    Busy,
    /// 9: ask for the addresses again.
    Moved,
}

impl<'a> HelloReply<'a> {
    /// The length of what precedes the bitmap.
    pub const LEN: usize = 28;
    /// The shortest bitmap in bytes: 64 sequences.
    pub const MIN_BITMAP: u8 = 8;
    /// The longest bitmap in bytes: 1,024 sequences.
    pub const MAX_BITMAP: u8 = 128;
    /// The shortest idle time-out in seconds that a server can name.
    pub const MIN_IDLE: u16 = 20;
    const MARK: u8 = 0x80;
    const RESUMED: u8 = 1;

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`HelloReplyError`] names the first field that is wrong. A refusal is read whatever its version, epoch, link and
    /// longest frame are.
    pub fn decode(body: &'a [u8]) -> Result<Self, HelloReplyError> {
        let truncated = HelloReplyError::Truncated { length: as_u32(body.len()) };
        let first = *body.first().ok_or(truncated)?;
        if first & Self::MARK == 0 {
            return Err(HelloReplyError::Echo { first });
        }
        let (fixed, rest) = body.split_first_chunk::<{ HelloReply::LEN }>().ok_or(truncated)?;
        #[rustfmt::skip]
        let [
            _, status, flags, width, i1, i0, _, _, e3, e2, e1, e0, k3, k2, k1, k0,
            m3, m2, m1, m0, l3, l2, l1, l0, r3, r2, r1, r0,
        ] = *fixed;
        let reply = Self {
            version: first & !Self::MARK,
            status: HelloStatus::from_byte(status),
            resumed: flags & Self::RESUMED != 0,
            idle: match u16::from_be_bytes([i1, i0]) {
                0 => 0,
                idle => idle.max(Self::MIN_IDLE),
            },
            epoch: Epoch::new(u32::from_be_bytes([e3, e2, e1, e0])),
            link: u32::from_be_bytes([k3, k2, k1, k0]),
            max_frame: u32::from_be_bytes([m3, m2, m1, m0]),
            accepted: Accepted::NONE,
            retry_after: Duration::from_millis(u64::from(u32::from_be_bytes([r3, r2, r1, r0])))
                .min(GoAway::MAX_RETRY_AFTER),
        };
        match reply.status {
            HelloStatus::Ok => reply.taken(width, u32::from_be_bytes([l3, l2, l1, l0]), rest),
            _ => Ok(Self { resumed: false, ..reply }),
        }
    }

    /// What holds only for a link that is taken.
    fn taken(self, width: u8, last: u32, rest: &'a [u8]) -> Result<Self, HelloReplyError> {
        if self.version != Hello::VERSION {
            return Err(HelloReplyError::Version { version: self.version });
        }
        if !(Self::MIN_BITMAP..=Self::MAX_BITMAP).contains(&width) {
            return Err(HelloReplyError::Width { bytes: width });
        }
        if self.epoch.is_none() {
            return Err(HelloReplyError::NoEpoch);
        }
        if self.link == 0 {
            return Err(HelloReplyError::NoLink);
        }
        if self.max_frame < Hello::MIN_MAX_FRAME {
            return Err(HelloReplyError::MaxFrame { max_frame: self.max_frame });
        }
        let bitmap = rest.get(..usize::from(width));
        let bitmap = bitmap.ok_or(HelloReplyError::BitmapTruncated { bytes: width, there: as_u32(rest.len()) })?;
        Ok(Self { accepted: Accepted::new(last, bitmap)?, ..self })
    }

    /// The body up to the bitmap, which is to follow as it is. A refusal has none, and names no window.
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; HelloReply::LEN] {
        let (resumed, accepted) = match self.status {
            HelloStatus::Ok => (self.resumed, self.accepted),
            _ => (false, Accepted::NONE),
        };
        let flags = if resumed { Self::RESUMED } else { 0 };
        let width = u8::try_from(accepted.bitmap().len()).unwrap_or(u8::MAX);
        let [i1, i0] = self.idle.to_be_bytes();
        let [e3, e2, e1, e0] = Epoch::to_wire(self.epoch).to_be_bytes();
        let [k3, k2, k1, k0] = self.link.to_be_bytes();
        let [m3, m2, m1, m0] = self.max_frame.to_be_bytes();
        let [l3, l2, l1, l0] = accepted.last().to_be_bytes();
        let [r3, r2, r1, r0] = millis(self.retry_after.min(GoAway::MAX_RETRY_AFTER)).to_be_bytes();
        #[rustfmt::skip]
        let fixed = [
            Self::MARK | self.version, self.status.to_byte(), flags, width, i1, i0, 0, 0,
            e3, e2, e1, e0, k3, k2, k1, k0, m3, m2, m1, m0, l3, l2, l1, l0, r3, r2, r1, r0,
        ];
        fixed
    }
}

impl HelloStatus {
    /// The status on the wire.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Malformed => 1,
            Self::Version => 2,
            Self::TokenRefused => 3,
            Self::TokenExpired => 4,
            Self::EpochTooOld => 5,
            Self::LinkTooOld => 6,
            Self::DeviceRefused => 7,
            Self::Busy => 8,
            Self::Moved => 9,
        }
    }

    /// The status of this number; [`HelloStatus::Busy`] if it is not known.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Ok,
            1 => Self::Malformed,
            2 => Self::Version,
            3 => Self::TokenRefused,
            4 => Self::TokenExpired,
            5 => Self::EpochTooOld,
            6 => Self::LinkTooOld,
            7 => Self::DeviceRefused,
            9 => Self::Moved,
            _ => Self::Busy,
        }
    }

    /// `true` if the same greeting would be refused again: do not come back by yourself, and with
    /// [`HelloStatus::TokenRefused`] only with another token.
    ///
    /// [`HelloStatus::Version`] is permanent while there is only one version: there is no lower one to try.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Malformed | Self::Version | Self::TokenRefused | Self::DeviceRefused)
    }
}

/// What a server answers to a greeting that came too late.
impl From<Stale> for HelloStatus {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Epoch { .. } => Self::EpochTooOld,
            Stale::Link { .. } => Self::LinkTooOld,
            Stale::Spent => Self::DeviceRefused,
        }
    }
}

/// What a server answers to a body that is no hello.
impl From<HelloError> for HelloStatus {
    fn from(error: HelloError) -> Self {
        match error {
            HelloError::Version { .. } => Self::Version,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for HelloStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Malformed => "malformed",
            Self::Version => "version not spoken",
            Self::TokenRefused => "token refused",
            Self::TokenExpired => "token expired",
            Self::EpochTooOld => "epoch too old",
            Self::LinkTooOld => "link number too low",
            Self::DeviceRefused => "device refused",
            Self::Busy => "busy",
            Self::Moved => "moved",
        })
    }
}

/// Why a body is no [`HelloReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HelloReplyError {
    /// Shorter than [`HelloReply::LEN`].
    Truncated {
        /// The length given.
        length: u32,
    },
    /// The top bit of the first byte is not set: the peer sends back what it gets.
    Echo {
        /// The first byte.
        first: u8,
    },
    /// The link is taken in a version that was not asked for.
    Version {
        /// The version given.
        version: u8,
    },
    /// The bitmap is shorter than [`HelloReply::MIN_BITMAP`] or longer than [`HelloReply::MAX_BITMAP`].
    Width {
        /// Its length in bytes.
        bytes: u8,
    },
    /// The link is taken, and no epoch is in force.
    NoEpoch,
    /// The link is taken, and is number 0.
    NoLink,
    /// The link is taken in an epoch that was not asked for, or the reply calls for a later one than the last.
    OtherEpoch {
        /// The epoch given.
        epoch: Epoch,
    },
    /// Another link is taken than the one that greets, or no number is left and no epoch to begin anew in.
    OtherLink {
        /// The number given.
        link: u32,
    },
    /// The server takes only frames below [`Hello::MIN_MAX_FRAME`].
    MaxFrame {
        /// The longest frame given.
        max_frame: u32,
    },
    /// The body ends inside the bitmap.
    BitmapTruncated {
        /// The length of the bitmap.
        bytes: u8,
        /// How much of it is there.
        there: u32,
    },
    /// The bitmap contradicts the highest accepted sequence, or that is none.
    Window(WindowError),
}

impl From<WindowError> for HelloReplyError {
    fn from(error: WindowError) -> Self {
        Self::Window(error)
    }
}

impl fmt::Display for HelloReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { length } => write!(f, "hello reply of {length} bytes, {} are the least", HelloReply::LEN),
            Self::Echo { first } => write!(f, "hello came back as it was sent, it begins with {first}"),
            Self::Version { version } => write!(f, "hello reply of version {version}, {} was asked", Hello::VERSION),
            Self::Width { bytes } => {
                let (least, most) = (HelloReply::MIN_BITMAP, HelloReply::MAX_BITMAP);
                write!(f, "window of {bytes} bytes is not within {least} to {most}")
            }
            Self::NoEpoch => f.write_str("hello reply names no epoch"),
            Self::NoLink => f.write_str("hello reply names no link"),
            Self::OtherEpoch { epoch } => write!(f, "hello reply is of epoch {epoch}, which does not greet"),
            Self::OtherLink { link } => write!(f, "hello reply is of link {link}, which does not greet"),
            Self::MaxFrame { max_frame } => {
                write!(f, "longest frame of {max_frame} bytes is below {}", Hello::MIN_MAX_FRAME)
            }
            Self::BitmapTruncated { bytes, there } => write!(f, "window of {bytes} bytes, {there} are there"),
            Self::Window(error) => error.fmt(f),
        }
    }
}

impl Error for HelloReplyError {}
