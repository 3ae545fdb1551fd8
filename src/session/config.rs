use super::{DialerConfig, Hello, limits};
use crate::delivery::{Epoch, MessagePolicy, Outbox, RequestPolicy};
use crate::liveness::{Heartbeat, HeartbeatPolicy};
use crate::sync;
use crate::wire::{BufferTooSmall, Dialect};
use core::num::NonZeroU64;
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
    /// Who greets in the native dialect, where the peer keeps track of what it has stored of this device. `None`, the
    /// default, greets nobody: connected is online, and what was not answered when a link broke may arrive twice.
    pub identity: Option<Identity>,
    /// What the application puts into the greeting, the first frame of a link; nothing else is written before its
    /// answer. In the native dialect it is the token by which the peer knows the account, empty if `None`, and the
    /// transport must keep it secret. In others it is the whole body, and `None`, the default, greets nobody.
    pub hello: Option<&'b [u8]>,
    /// Whether a peer that does not answer the native greeting within 10 s, or sends it back, is left. `true` by default;
    /// otherwise the link is used without identity.
    pub requires_greeting: bool,
    /// Whether messages that a broken link left without answer are sent again to a peer that keeps no track of them: they
    /// may arrive twice. `true` by default; otherwise they fail.
    pub resends: bool,
    /// How a message is tried unless the call that sends it says otherwise.
    pub message: MessagePolicy,
    /// How long a request waits unless the call that sends it says otherwise.
    pub request: RequestPolicy,
    /// How long a message may wait for others to travel with. Not at all by default.
    pub linger: Duration,
    /// So many bytes wait for no more. 1,460 by default, a full segment on most paths.
    pub batch: usize,
    /// Whether the device has a mailbox, and how it is brought up to date: on every link and by itself. Not by default.
    /// It takes an identity, and [memory](super::Work::sync).
    pub sync: Option<sync::Config<'b>>,
    /// Whether the client says itself when to connect, and to which address. Not by default: then the application does.
    /// It takes [memory](super::Work::dialer).
    pub dialer: Option<DialerConfig>,
    /// How a silent link is kept. Every 30 s by default, which every server and nearly every network accepts.
    pub heartbeat: HeartbeatPolicy,
    /// How long an answer to a heartbeat may take, besides the time that bytes before it need. 8 s by default.
    pub answer_timeout: Duration,
}

impl Config<'static> {
    /// The defaults, for `..Config::DEFAULT`.
    pub const DEFAULT: Self = Self {
        dialect: &Dialect::LONGLINK,
        identity: None,
        hello: None,
        requires_greeting: true,
        resends: true,
        message: MessagePolicy::DEFAULT,
        request: RequestPolicy::DEFAULT,
        linger: Duration::ZERO,
        batch: Outbox::BATCH,
        sync: None,
        dialer: None,
        heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)),
        answer_timeout: Heartbeat::ANSWER_TIMEOUT,
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
        let native = self.dialect.greets_natively();
        let limit = self.dialect.max_frame.min(limits::LONGEST_GREETING);
        match (self.hello, self.identity) {
            (_, Some(_)) if !native => return Err(ConfigError::NoNativeGreeting),
            (Some(token), Some(_)) if token.len() > Hello::MAX_TOKEN => {
                return Err(ConfigError::TokenTooLong { length: token.len() });
            }
            (Some(_), None) if native => return Err(ConfigError::NoIdentity),
            (_, None) if self.sync.is_some() => return Err(ConfigError::NoIdentity),
            (Some(_), _) if self.dialect.greeting.is_none() => return Err(ConfigError::NoGreetingInDialect),
            _ => {}
        }
        let fixed = if self.identity.is_some() { Hello::LEN } else { 0 };
        let greeting = fixed.saturating_add(self.hello.unwrap_or_default().len());
        let length = self.dialect.header_len().saturating_add(greeting);
        if length > limit as usize {
            return Err(ConfigError::HelloTooLong { length, limit });
        }
        match self.heartbeat {
            HeartbeatPolicy::Fixed(interval) if interval < limits::SHORTEST_HEARTBEAT => {
                Err(ConfigError::HeartbeatTooShort)
            }
            _ if self.answer_timeout.is_zero() || self.request.timeout.is_zero() => Err(ConfigError::ZeroTimeout),
            _ => Ok(()),
        }
    }
}

/// Who a client is to a peer that keeps track of what it has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Identity {
    /// What this side calls the account: it tells stored state of one from that of another, and is never sent. The peer
    /// learns the account from the token.
    pub account: u64,
    /// The device, one number for its whole life. Two devices of one account must differ.
    pub device: NonZeroU64,
    /// The epoch of a client that starts without stored state: greater than any before, so seconds since 1970 where they
    /// are known. `None` has the peer name one.
    pub epoch: Option<Epoch>,
    /// Whether the application stores the client's state, and hands it to [`Client::restore`](super::Client::restore) when
    /// it starts again. Then no message is written before the state that knows it is
    /// [stored](super::Client::needs_saving); otherwise every start begins a new epoch.
    pub keeps_state: bool,
}

impl Identity {
    /// A device that keeps no state, of an account without a number.
    #[must_use]
    pub const fn volatile(device: NonZeroU64) -> Self {
        Self { account: 0, device, epoch: None, keeps_state: false }
    }
}

/// What a [`Server`](super::Server) link needs to know. The defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerConfig {
    /// The numbers of the protocol. [`Dialect::LONGLINK`] by default.
    pub dialect: &'static Dialect,
    /// Whether a link must begin with the dialect's greeting, where the dialect has one. `true` by default: until the
    /// application has answered it, heartbeats are answered, messages are rejected as
    /// [`NotGreeted`](crate::delivery::RejectCode::NotGreeted) and all else is dropped.
    pub needs_greeting: bool,
    /// Whether messages are stored in the order of their sequences only. `true` by default: a message is accepted only if
    /// none before it is undecided, and what comes late is rejected.
    pub ordered: bool,
    /// The longest frame that the receive buffer takes, as a device is told when it greets: [`Hello::MIN_MAX_FRAME`] at
    /// least where the greeting is this crate's own; where devices sync, 804 bytes take every request of theirs. The
    /// dialect's limit by default, so set it to the length of a shorter buffer: what devices were told they may send is
    /// skipped otherwise.
    pub max_frame: u32,
    /// How many messages may be offered to the application and not decided; reading pauses at so many. 64 by default,
    /// which is all that a window of 64 lets a peer send. While reading pauses heartbeats are not answered either, so with a
    /// smaller number a store that is slower than they are looks like a dead link.
    pub pending: u32,
    /// A peer may send one frame per this time in the long run, and [`limits::FRAME_BURST`] at once, before reading pauses.
    /// [`limits::FRAME_INTERVAL`] by default, which is 200 a second; zero sets no limit.
    pub frame_interval: Duration,
    /// A link from which nothing came for so long is closed. 900 s by default, one and a half times the longest
    /// interval of an adaptive heartbeat (580 s) and some; 1 s at least. A device that greets is told, in whole
    /// seconds, and takes less than 20 for 20.
    pub idle: Duration,
}

impl ServerConfig {
    /// The defaults, for `..ServerConfig::DEFAULT`.
    pub const DEFAULT: Self = Self {
        dialect: &Dialect::LONGLINK,
        needs_greeting: true,
        ordered: true,
        max_frame: u32::MAX,
        pending: 64,
        frame_interval: limits::FRAME_INTERVAL,
        idle: Duration::from_secs(900),
    };

    /// Judges the values together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_dialect(self.dialect)?;
        let native = self.dialect.greets_natively();
        if native && self.max_frame.min(self.dialect.max_frame) < Hello::MIN_MAX_FRAME {
            return Err(BufferTooSmall { required: Hello::MIN_MAX_FRAME as usize }.into());
        }
        if self.idle < limits::SHORTEST_IDLE { Err(ConfigError::IdleTooShort) } else { Ok(()) }
    }

    pub(super) fn awaits_greeting(&self) -> bool {
        self.needs_greeting && self.dialect.greeting.is_some()
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
    /// An identity for a dialect that has no greeting of this crate's own.
    NoNativeGreeting,
    /// A token, or a mailbox, and no identity that greets for it.
    NoIdentity,
    /// A mailbox or a dialer, in a build without this feature of the crate.
    NotBuilt {
        /// Its name.
        feature: &'static str,
    },
    /// A mailbox, and no memory to keep track of it, or for no key.
    NoSyncMemory,
    /// A dialer, and no memory for its addresses, or for none.
    NoDialerMemory,
    /// The configuration of sync cannot work.
    Sync(sync::ConfigError),
    /// A token longer than [`Hello::MAX_TOKEN`].
    TokenTooLong {
        /// The length of the token.
        length: usize,
    },
    /// The greeting would be longer than a frame may be.
    HelloTooLong {
        /// The length of the greeting's frame.
        length: usize,
        /// [`Dialect::max_frame`], [`LONGEST_GREETING`](limits::LONGEST_GREETING) at most.
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

impl From<sync::ConfigError> for ConfigError {
    fn from(error: sync::ConfigError) -> Self {
        Self::Sync(error)
    }
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
            Self::NoNativeGreeting => f.write_str("an identity for a dialect without a native greeting"),
            Self::NoIdentity => f.write_str("a token or a mailbox, and no identity that greets for it"),
            Self::NoSyncMemory => f.write_str("a mailbox, and no memory to keep track of it"),
            Self::NotBuilt { feature } => write!(f, "the crate was built without the feature {feature}"),
            Self::NoDialerMemory => f.write_str("a dialer, and no memory for its addresses"),
            Self::Sync(error) => error.fmt(f),
            Self::TokenTooLong { length } => write!(f, "a token of {length} bytes, {} are allowed", Hello::MAX_TOKEN),
            Self::HelloTooLong { length, limit } => write!(f, "a greeting of {length} bytes, {limit} are allowed"),
            Self::HeartbeatTooShort => f.write_str("a heartbeat more often than every second"),
            Self::IdleTooShort => f.write_str("an idle time-out below a second"),
            Self::ZeroTimeout => f.write_str("a time-out of zero"),
            Self::Buffer(error) => error.fmt(f),
        }
    }
}

impl Error for ConfigError {}
