use super::limits;
use crate::liveness::{Heartbeat, HeartbeatPolicy};
use crate::wire::{BufferTooSmall, Dialect};
use core::{error::Error, fmt, time::Duration};

/// What a [`Client`](super::Client) needs to know. The defaults need no tuning.
///
/// ```
/// use core::time::Duration;
/// use longlink::{liveness::HeartbeatPolicy, session::Config, wire::Dialect};
///
/// const CONFIG: Config = Config {
///     dialect: &Dialect::GOIM,
///     hello: Some(br#"{"mid":1,"room_id":"live://1000","platform":"web"}"#),
///     heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(60)),
///     ..Config::DEFAULT
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config<'b> {
    /// The numbers of the protocol. [`Dialect::LONGLINK`] by default.
    pub dialect: &'static Dialect,
    /// What the application puts into the greeting, the first frame of a link; nothing else is written before its
    /// answer. `None`, the default, greets nobody: connected is online.
    pub hello: Option<&'b [u8]>,
    /// How a silent link is kept. Every 30 s by default, which every server and nearly every network accepts.
    pub heartbeat: HeartbeatPolicy,
    /// How long an answer to a heartbeat may take, besides the time that bytes before it need. 8 s by default.
    pub answer_timeout: Duration,
    /// How long a reply may take from the last byte of its request, besides the time that bytes before it need. 30 s by
    /// default.
    pub request_timeout: Duration,
}

impl Config<'static> {
    /// The defaults, for `..Config::DEFAULT`.
    pub const DEFAULT: Self = Self {
        dialect: &Dialect::LONGLINK,
        hello: None,
        heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)),
        answer_timeout: Heartbeat::ANSWER_TIMEOUT,
        request_timeout: Duration::from_secs(30),
    };
}

impl Default for Config<'static> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Config<'_> {
    /// Judges the values together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_dialect(self.dialect)?;
        match (self.hello, self.dialect.greeting) {
            (None, _) => {}
            (Some(_), None) => return Err(ConfigError::NoGreetingInDialect),
            (Some(_), Some(greeting)) if greeting.native => return Err(ConfigError::NativeGreeting),
            (Some(hello), Some(_)) => {
                let length = self.dialect.header_len().saturating_add(hello.len());
                if length > self.dialect.max_frame as usize {
                    return Err(ConfigError::HelloTooLong { length, limit: self.dialect.max_frame });
                }
            }
        }
        match self.heartbeat {
            HeartbeatPolicy::Fixed(interval) if interval < limits::SHORTEST_HEARTBEAT => {
                Err(ConfigError::HeartbeatTooShort)
            }
            _ if self.answer_timeout.is_zero() || self.request_timeout.is_zero() => Err(ConfigError::ZeroTimeout),
            _ => Ok(()),
        }
    }
}

/// What a [`Server`](super::Server) link needs to know. The defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerConfig {
    /// The numbers of the protocol. [`Dialect::LONGLINK`] by default.
    pub dialect: &'static Dialect,
    /// Whether a link must begin with the dialect's greeting, where the dialect has one whose body is the application's.
    /// `true` by default: until the application has answered it, heartbeats are answered and all else is dropped.
    pub needs_greeting: bool,
    /// A link from which nothing came for so long is closed. 900 s by default, one and a half times the longest interval
    /// of an adaptive heartbeat (580 s) and some; 1 s at least.
    pub idle: Duration,
}

impl ServerConfig {
    /// The defaults, for `..ServerConfig::DEFAULT`.
    pub const DEFAULT: Self =
        Self { dialect: &Dialect::LONGLINK, needs_greeting: true, idle: Duration::from_secs(900) };

    /// Judges the values together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_dialect(self.dialect)?;
        if self.idle < limits::SHORTEST_IDLE { Err(ConfigError::IdleTooShort) } else { Ok(()) }
    }

    pub(super) fn awaits_greeting(&self) -> bool {
        self.needs_greeting && self.dialect.greeting.is_some_and(|greeting| !greeting.native)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

fn check_dialect(dialect: &Dialect) -> Result<(), ConfigError> {
    if dialect.is_consistent() { Ok(()) } else { Err(ConfigError::Dialect) }
}

/// Why a configuration cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The dialect contradicts itself: see [`Dialect::is_consistent`].
    Dialect,
    /// A hello for a dialect that has no greeting.
    NoGreetingInDialect,
    /// The dialect's greeting has a body of this crate's own, which this version does not write yet.
    NativeGreeting,
    /// The greeting would be longer than a frame may be.
    HelloTooLong {
        /// The length of the greeting's frame.
        length: usize,
        /// [`Dialect::max_frame`].
        limit: u32,
    },
    /// A heartbeat more often than every second.
    HeartbeatTooShort,
    /// An idle time-out below a second.
    IdleTooShort,
    /// A time-out of zero.
    ZeroTimeout,
    /// The receive or the transmit buffer does not hold a header.
    Buffer(BufferTooSmall),
}

impl From<BufferTooSmall> for ConfigError {
    fn from(error: BufferTooSmall) -> Self {
        Self::Buffer(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialect => f.write_str("the dialect contradicts itself"),
            Self::NoGreetingInDialect => f.write_str("a hello for a dialect that has no greeting"),
            Self::NativeGreeting => f.write_str("the native greeting is not supported yet, leave hello out"),
            Self::HelloTooLong { length, limit } => write!(f, "a greeting of {length} bytes, {limit} are allowed"),
            Self::HeartbeatTooShort => f.write_str("a heartbeat more often than every second"),
            Self::IdleTooShort => f.write_str("an idle time-out below a second"),
            Self::ZeroTimeout => f.write_str("a time-out of zero"),
            Self::Buffer(error) => error.fmt(f),
        }
    }
}

impl Error for ConfigError {}
