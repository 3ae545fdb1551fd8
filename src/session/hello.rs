use crate::delivery::Epoch;
use core::{error::Error, fmt, num::NonZeroU64};

mod reply;
#[cfg(test)]
mod tests;

pub use reply::{HelloReply, HelloReplyError, HelloStatus};

/// What a client says first on a link: who it is, and what it can take.
///
/// The body is [`Hello::LEN`] bytes and the token behind them, integers big-endian. Senders write 0 into reserved bits;
/// receivers ignore those and what trails the token, which is how the body may grow.
///
/// ```text
/// 0         1       2           4       8        16     20          24         26             28
/// | version | flags | heartbeat | epoch | device | link | max_frame | reserved | token length | token …
///   u8        u8      u16         u32     u64      u32    u32         u16        u16
/// ```
///
/// The greeting authenticates its link: send a token that a listener could use again only over a transport that is
/// encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version of the bodies that is spoken: [`Hello::VERSION`].
    pub version: u8,
    /// Bit 0 of the flags: the client holds state of this epoch.
    pub resume: bool,
    /// The longest silence that the client will ever keep, in seconds; 0 leaves it to the server.
    pub heartbeat: u16,
    /// The life of the message counter; `None`, 0 on the wire, asks the server to name one.
    pub epoch: Option<Epoch>,
    /// The device, unique within its account.
    pub device: NonZeroU64,
    /// The number of the link: from 1, and greater than those of all links before it in this epoch.
    pub link: u32,
    /// The longest frame that the client takes, [`Hello::MIN_MAX_FRAME`] at least.
    pub max_frame: u32,
    /// What proves the account, [`Hello::MAX_TOKEN`] bytes at most.
    pub token: &'a [u8],
}

impl<'a> Hello<'a> {
    /// The version that is spoken here.
    pub const VERSION: u8 = 1;
    /// The length of what precedes the token.
    pub const LEN: usize = 28;
    /// The longest token.
    pub const MAX_TOKEN: usize = 1_024;
    /// The shortest longest frame: a header of 16 bytes and a body of 256, in which a page of sync just fits.
    pub const MIN_MAX_FRAME: u32 = 272;
    const RESUME: u8 = 1;

    /// Reads a body.
    ///
    /// The version is judged first and alone, because another one may have another form.
    ///
    /// # Errors
    ///
    /// [`HelloError`] names the first field that is wrong.
    pub fn decode(body: &'a [u8]) -> Result<Self, HelloError> {
        let truncated = HelloError::Truncated { length: body.len() };
        let version = *body.first().ok_or(truncated)?;
        if version != Self::VERSION {
            return Err(HelloError::Version { version });
        }
        let (fixed, rest) = body.split_first_chunk::<{ Hello::LEN }>().ok_or(truncated)?;
        #[rustfmt::skip]
        let [
            _, flags, h1, h0, e3, e2, e1, e0, d7, d6, d5, d4, d3, d2, d1, d0,
            k3, k2, k1, k0, m3, m2, m1, m0, _, _, t1, t0,
        ] = *fixed;
        let device = u64::from_be_bytes([d7, d6, d5, d4, d3, d2, d1, d0]);
        let device = NonZeroU64::new(device).ok_or(HelloError::NoDevice)?;
        let link = u32::from_be_bytes([k3, k2, k1, k0]);
        if link == 0 {
            return Err(HelloError::NoLink);
        }
        let max_frame = u32::from_be_bytes([m3, m2, m1, m0]);
        if max_frame < Self::MIN_MAX_FRAME {
            return Err(HelloError::MaxFrame { max_frame });
        }
        let length = u16::from_be_bytes([t1, t0]);
        if usize::from(length) > Self::MAX_TOKEN {
            return Err(HelloError::TokenTooLong { length });
        }
        let token = rest.get(..usize::from(length));
        Ok(Self {
            version,
            resume: flags & Self::RESUME != 0,
            heartbeat: u16::from_be_bytes([h1, h0]),
            epoch: Epoch::new(u32::from_be_bytes([e3, e2, e1, e0])),
            device,
            link,
            max_frame,
            token: token.ok_or(HelloError::TokenTruncated { length, there: rest.len() })?,
        })
    }

    /// The body up to the token, which is to follow as it is. No peer takes a token longer than
    /// [`MAX_TOKEN`](Self::MAX_TOKEN).
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; Hello::LEN] {
        let flags = if self.resume { Self::RESUME } else { 0 };
        let [h1, h0] = self.heartbeat.to_be_bytes();
        let [e3, e2, e1, e0] = Epoch::to_wire(self.epoch).to_be_bytes();
        let [d7, d6, d5, d4, d3, d2, d1, d0] = self.device.get().to_be_bytes();
        let [k3, k2, k1, k0] = self.link.to_be_bytes();
        let [m3, m2, m1, m0] = self.max_frame.to_be_bytes();
        let [t1, t0] = u16::try_from(self.token.len()).unwrap_or(u16::MAX).to_be_bytes();
        #[rustfmt::skip]
        let fixed = [
            self.version, flags, h1, h0, e3, e2, e1, e0, d7, d6, d5, d4, d3, d2, d1, d0,
            k3, k2, k1, k0, m3, m2, m1, m0, 0, 0, t1, t0,
        ];
        fixed
    }
}

/// Without the token, so that no log tells it.
impl fmt::Debug for Hello<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version", &self.version)
            .field("resume", &self.resume)
            .field("heartbeat", &self.heartbeat)
            .field("epoch", &self.epoch)
            .field("device", &self.device)
            .field("link", &self.link)
            .field("max_frame", &self.max_frame)
            .field("token", &format_args!("{} bytes", self.token.len()))
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Hello<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Hello {{ version: {=u8}, resume: {=bool}, heartbeat: {=u16}, epoch: {=u32}, device: {=u64}, link: {=u32}, \
             max_frame: {=u32}, token: {=usize} bytes }}",
            self.version,
            self.resume,
            self.heartbeat,
            Epoch::to_wire(self.epoch),
            self.device.get(),
            self.link,
            self.max_frame,
            self.token.len()
        );
    }
}

/// Why a body is no [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HelloError {
    /// Shorter than [`Hello::LEN`].
    Truncated {
        /// The length given.
        length: usize,
    },
    /// A version that is not spoken here; nothing else of the body was looked at.
    Version {
        /// The version given.
        version: u8,
    },
    /// The device is 0.
    NoDevice,
    /// The link is 0.
    NoLink,
    /// The client takes only frames below [`Hello::MIN_MAX_FRAME`].
    MaxFrame {
        /// The longest frame given.
        max_frame: u32,
    },
    /// The token is longer than [`Hello::MAX_TOKEN`].
    TokenTooLong {
        /// The length given.
        length: u16,
    },
    /// The body ends inside the token.
    TokenTruncated {
        /// The length of the token.
        length: u16,
        /// How much of it is there.
        there: usize,
    },
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { length } => write!(f, "hello of {length} bytes, {} are the least", Hello::LEN),
            Self::Version { version } => write!(f, "hello of version {version}, {} is spoken here", Hello::VERSION),
            Self::NoDevice => f.write_str("hello of device 0"),
            Self::NoLink => f.write_str("hello of link 0"),
            Self::MaxFrame { max_frame } => {
                write!(f, "longest frame of {max_frame} bytes is below {}", Hello::MIN_MAX_FRAME)
            }
            Self::TokenTooLong { length } => write!(f, "token of {length} bytes is above {}", Hello::MAX_TOKEN),
            Self::TokenTruncated { length, there } => write!(f, "token of {length} bytes, {there} are there"),
        }
    }
}

impl Error for HelloError {}
