use super::{Open, Place};
use core::{error::Error, fmt};

/// A request that the sender wants made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Step {
    /// [`OPEN`](super::OPEN) with the body of this.
    Open(Open),
    /// [`CHUNK`](super::CHUNK) with these bytes of the payload: [`Place::with`].
    Chunk(Place),
}

/// How it is with an [`Upload`](super::Upload).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum State {
    /// The server is to say what is missing.
    Asking,
    /// It did, and that is being sent.
    Sending,
    /// It said to come later.
    Waiting,
    /// All there and safe. Send the message that names the key.
    Complete,
    /// It will not succeed, at least not now.
    Failed(UploadError),
}

/// How much of a payload has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    /// About so many bytes are buffered by the server; all are when it is complete. Falls if the server dropped some.
    pub acknowledged: u32,
    /// Of so many.
    pub total: u32,
}

/// Why an [`Upload`](super::Upload) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UploadError {
    /// The payload is longer than the server ever takes.
    TooLarge {
        /// Its length.
        total: u32,
    },
    /// The server knows the key with another payload, or disagrees about where chunks begin: use a new key.
    Contradicts,
    /// The server cannot read a chunk.
    Malformed {
        /// Where the chunk begins.
        offset: u32,
    },
    /// All arrived, and the checksum was wrong, so often. The payload changed, or its checksum is not right.
    WrongCrc {
        /// [`PAYLOAD_ATTEMPTS`](super::limits::PAYLOAD_ATTEMPTS).
        attempts: u8,
    },
    /// The server went on asking for what it had acknowledged.
    NoProgress {
        /// [`ROUNDS`](super::limits::ROUNDS).
        rounds: u8,
    },
    /// Nothing was answered any more, or nothing that can be read, over a link that lived.
    NoAnswer {
        /// So many requests in a row, an open counted as a whole window.
        requests: usize,
    },
    /// The peer of this link takes shorter frames than the chunks of this transfer need. Their length is fixed while
    /// the key lives: open the payload under a new key.
    ChunkTooLong {
        /// The length of a chunk.
        chunk: u16,
        /// The longest that would fit; 0 if none does.
        longest: u16,
    },
}

impl State {
    /// `true` if nothing changes it any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Complete | Self::Failed(_))
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { total } => write!(f, "payload of {total} bytes is more than the server takes"),
            Self::Contradicts => f.write_str("the server knows this key with another payload"),
            Self::Malformed { offset } => write!(f, "the server cannot read the chunk at {offset}"),
            Self::WrongCrc { attempts } => write!(f, "checksum was wrong {attempts} times"),
            Self::NoProgress { rounds } => write!(f, "no progress in {rounds} rounds"),
            Self::NoAnswer { requests } => write!(f, "{requests} requests in a row were not answered"),
            Self::ChunkTooLong { chunk, longest } => {
                write!(f, "chunks of {chunk} bytes do not fit the peer's frames, {longest} would")
            }
        }
    }
}

impl Error for UploadError {}
