use core::{error::Error, fmt};

/// Why bytes are not a frame, with the number that is wrong.
///
/// All but [`FrameError::TooLong`] within bounds are final for a stream: see [`FrameError::is_fatal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The header length is below that of the layout.
    HeaderTooShort {
        /// The length that the header gives itself.
        header: u32,
        /// The length of the layout's fixed fields, 16 or 20.
        minimum: u32,
    },
    /// The header length is above what the dialect allows.
    HeaderTooLong {
        /// The length that the header gives itself.
        header: u32,
        /// [`Dialect::max_header`](super::Dialect::max_header).
        maximum: u32,
    },
    /// The total length is below the header length: the body would have a negative length.
    LengthBelowHeader {
        /// The total length given.
        length: u32,
        /// The header length given, itself in order.
        header: u32,
    },
    /// Header length and body length add up to more than 32 bits hold.
    LengthOverflow {
        /// The header length given.
        header: u32,
        /// The body length given.
        body: u32,
    },
    /// A version that the dialect does not speak.
    UnknownVersion {
        /// The version given.
        version: u32,
        /// The lowest version that the dialect accepts.
        lowest: u32,
        /// The highest version that the dialect accepts.
        highest: u32,
    },
    /// The frame is longer than the limit; its header is otherwise in order. A [`Decoder`](super::Decoder) skips it.
    TooLong {
        /// The total length given.
        length: u32,
        /// The longest frame taken here.
        limit: u32,
        /// The command of the frame that is skipped.
        command: u32,
        /// The sequence of the frame that is skipped.
        sequence: u32,
    },
    /// A body that should hold whole frames ends inside one. Only [`Batch`](super::Batch) says this; a stream that
    /// stops is not wrong, merely not over.
    Truncated {
        /// At least so many bytes are missing.
        missing: u32,
    },
}

impl FrameError {
    /// A frame longer than this many times the limit is not skipped: the link is given up.
    pub const SKIP_FACTOR: u32 = 16;

    /// `true` if nothing behind this point can be understood any more. `false` only for a frame that is too long by at
    /// most [`FrameError::SKIP_FACTOR`] times, which a decoder skips.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        match *self {
            Self::TooLong { length, limit, .. } => length > limit.saturating_mul(Self::SKIP_FACTOR),
            _ => true,
        }
    }

    /// The header field that is wrong: `"header"`, `"length"`, `"version"` or `"body"`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::HeaderTooShort { .. } | Self::HeaderTooLong { .. } => "header",
            Self::LengthBelowHeader { .. } | Self::TooLong { .. } => "length",
            Self::UnknownVersion { .. } => "version",
            Self::LengthOverflow { .. } | Self::Truncated { .. } => "body",
        }
    }

    /// The number that stands in that field; for [`FrameError::Truncated`] what is missing.
    #[must_use]
    pub const fn value(&self) -> u32 {
        match *self {
            Self::HeaderTooShort { header, .. } | Self::HeaderTooLong { header, .. } => header,
            Self::LengthBelowHeader { length, .. } | Self::TooLong { length, .. } => length,
            Self::UnknownVersion { version, .. } => version,
            Self::LengthOverflow { body, .. } => body,
            Self::Truncated { missing } => missing,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderTooShort { header, minimum } => {
                write!(f, "header length {header} is below the {minimum} bytes of this layout")
            }
            Self::HeaderTooLong { header, maximum } => {
                write!(f, "header length {header} is above the limit of {maximum}")
            }
            Self::LengthBelowHeader { length, header } => {
                write!(f, "total length {length} is below the header length {header}")
            }
            Self::LengthOverflow { header, body } => {
                write!(f, "frame is too long: header length {header} and body length {body} do not fit in 32 bits")
            }
            Self::UnknownVersion { version, lowest, highest } => {
                write!(f, "version {version} is unknown, {lowest} to {highest} are spoken here")
            }
            Self::TooLong { length, limit, command, sequence } => {
                write!(
                    f,
                    "frame of {length} bytes (command {command}, sequence {sequence}) is above the limit of {limit}"
                )
            }
            Self::Truncated { missing } => write!(f, "body ends inside a frame, {missing} bytes are missing"),
        }
    }
}

impl Error for FrameError {}

/// The output does not fit; nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall {
    /// The length that would do.
    pub required: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer is too small, {} bytes are required", self.required)
    }
}

impl Error for BufferTooSmall {}

/// Why a frame was not encoded; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The output buffer is too small.
    Buffer(BufferTooSmall),
    /// The header would be longer than the dialect allows.
    HeaderTooLong {
        /// Fixed fields and extension together.
        header: usize,
        /// [`Dialect::max_header`](super::Dialect::max_header).
        maximum: u32,
    },
    /// The frame would be longer than the dialect allows.
    FrameTooLong {
        /// Header and body together.
        length: usize,
        /// [`Dialect::max_frame`](super::Dialect::max_frame).
        limit: u32,
    },
}

impl From<BufferTooSmall> for EncodeError {
    fn from(error: BufferTooSmall) -> Self {
        Self::Buffer(error)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffer(error) => error.fmt(f),
            Self::HeaderTooLong { header, maximum } => {
                write!(f, "header of {header} bytes is above the limit of {maximum}")
            }
            Self::FrameTooLong { length, limit } => write!(f, "frame of {length} bytes is above the limit of {limit}"),
        }
    }
}

impl Error for EncodeError {}
