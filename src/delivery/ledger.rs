use super::{DedupWindow, Epoch, MessageId, Verdict, WindowError};
use crate::wire::BufferTooSmall;
use core::{error::Error, fmt};

/// What a server keeps of one device of one account, so that each of its messages is stored once.
///
/// Two things: the *lease*, which is the epoch and the number of the link that greeted last, and the [`DedupWindow`] of
/// that epoch. Only the link that holds the lease may store; links of before it are closed, and what they still deliver
/// counts for nothing. The ledger belongs to the device, not to a link, and is stored together with the messages, for
/// as long as a client may send one again: 30 days. It is keyed by account *and* device, so that nobody can spoil
/// another's.
///
/// # Decide where you store
///
/// Two links of a device may be alive at a time, in two threads or on two machines. So the decision whether a message
/// is stored is taken inside the transaction that stores it, against the ledger as it is stored; what a link remembers
/// is no more than a cache.
///
/// * On a greeting: load the ledger, [`greet`](Self::greet), store it durably, close the older links of the device, and
///   only then answer.
/// * On a message: begin a transaction, load the ledger, [`accept`](Self::accept). If the message is fresh, write
///   message and ledger, commit, and acknowledge when that is durable. If it is a duplicate, acknowledge it. If it is
///   too old, reject it. If the link does not hold the lease, do nothing at all.
///
/// ```
/// use longlink::delivery::{Epoch, Greeted, Ledger, MessageId, Verdict};
/// use std::collections::HashMap;
///
/// type Failed = Box<dyn std::error::Error>;
///
/// /// Account and device.
/// type Key = (u32, u64);
///
/// /// `&mut` is the transaction: nobody else reads or writes meanwhile.
/// #[derive(Default)]
/// struct Database {
///     ledgers: HashMap<Key, [u8; <Ledger>::LEN]>,
///     messages: Vec<Vec<u8>>,
/// }
///
/// impl Database {
///     fn load(&self, key: Key) -> Result<Ledger, Failed> {
///         Ok(self.ledgers.get(&key).map_or(Ok(Ledger::new()), |bytes| Ledger::read(bytes))?)
///     }
///
///     fn save(&mut self, key: Key, ledger: &Ledger) -> Result<(), Failed> {
///         ledger.write(self.ledgers.entry(key).or_insert([0; <Ledger>::LEN]))?;
///         Ok(())
///     }
///
///     /// The answer goes out when this is durable and the older links are closed.
///     fn greet(&mut self, key: Key, epoch: Option<Epoch>, link: u32) -> Result<Greeted, Failed> {
///         let mut ledger = self.load(key)?;
///         let greeted = ledger.greet(epoch, link)?;
///         self.save(key, &ledger)?;
///         Ok(greeted)
///     }
///
///     /// Whether to acknowledge (fresh or a duplicate), to reject (too old) or to keep silent.
///     fn store(&mut self, key: Key, id: &MessageId, body: &[u8]) -> Result<Option<Verdict>, Failed> {
///         let mut ledger = self.load(key)?;
///         let verdict = ledger.accept(id);
///         if verdict == Some(Verdict::Fresh) {
///             self.messages.push(body.to_vec());
///             self.save(key, &ledger)?;
///         }
///         Ok(verdict)
///     }
/// }
///
/// let (mut database, alice) = (Database::default(), (7, 0xA11CE));
/// let Greeted { epoch, link, .. } = database.greet(alice, None, 1)?;
/// let old = MessageId { epoch, link, sequence: 5 };
/// assert_eq!(database.store(alice, &old, b"meet at 6")?, Some(Verdict::Fresh));
///
/// // The acknowledgement was lost; the client comes back and sends it again. The old link is still half alive.
/// assert!(database.greet(alice, Some(epoch), 2)?.resumed);
/// let new = MessageId { link: 2, ..old };
/// assert_eq!(database.store(alice, &new, b"meet at 6")?, Some(Verdict::Duplicate));
/// assert_eq!(database.store(alice, &MessageId { sequence: 6, ..old }, b"stale")?, None);
/// assert_eq!(database.messages, [b"meet at 6"]);
/// # Ok::<(), Failed>(())
/// ```
///
/// # In storage
///
/// [`LEN`](Self::LEN) bytes, integers big-endian: version u8 = 1, words u8, reserved u16, epoch u32 (0 = never
/// greeted), link u32, highest accepted sequence u32, bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ledger<const WORDS: usize = 1> {
    epoch: Option<Epoch>,
    link: u32,
    window: DedupWindow<WORDS>,
}

/// A greeting that was taken: this link holds the lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Greeted {
    /// The epoch in force.
    pub epoch: Epoch,
    /// The number of the link.
    pub link: u32,
    /// `true` if the epoch was in force before and its window was kept; `false` if it begins.
    pub resumed: bool,
}

impl<const WORDS: usize> Ledger<WORDS> {
    /// The length in storage.
    pub const LEN: usize = FIXED + DedupWindow::<WORDS>::BITMAP_LEN;
    const VERSION: u8 = 1;
    /// 16 at most, which [`DedupWindow`] sees to.
    const WORDS: u8 = {
        let [words, ..] = WORDS.to_le_bytes();
        words
    };

    /// That of a device never seen.
    #[must_use]
    pub const fn new() -> Self {
        Self { epoch: None, link: 0, window: DedupWindow::new() }
    }

    /// Gives the lease to a link that greets, if it is not late.
    ///
    /// An epoch greater than the one in force begins with an empty window; the same epoch keeps the window, and `link`
    /// must be greater than the last one greeted. `None` asks for a new epoch: the one after that in force, or
    /// [`Epoch::FIRST`]. Such a greeting is never late, so a copy of it takes the lease as well: only a transport that
    /// keeps out replays may carry it.
    ///
    /// Store the ledger before you answer. Otherwise a server that restarts names the same epoch a second time, and
    /// takes a new message for one that it has.
    ///
    /// # Errors
    ///
    /// [`Stale`]; nothing changes then.
    pub fn greet(&mut self, epoch: Option<Epoch>, link: u32) -> Result<Greeted, Stale> {
        if link == 0 {
            return Err(Stale::Link { current: self.link });
        }
        let asked = match (epoch, self.epoch) {
            (Some(epoch), _) => epoch,
            (None, None) => Epoch::FIRST,
            (None, Some(current)) => current.next().ok_or(Stale::Spent)?,
        };
        let resumed = match self.epoch {
            Some(current) if asked < current => return Err(Stale::Epoch { current }),
            Some(current) if asked == current && link <= self.link => return Err(Stale::Link { current: self.link }),
            current => current == Some(asked),
        };
        if !resumed {
            self.window = DedupWindow::new();
        }
        (self.epoch, self.link) = (Some(asked), link);
        Ok(Greeted { epoch: asked, link, resumed })
    }

    /// What is known of a message; `None` if it came over a link that does not hold the lease: store nothing,
    /// acknowledge nothing, and close that link.
    #[must_use]
    pub fn check(&self, id: &MessageId) -> Option<Verdict> {
        self.holds_lease(id).then(|| self.window.check(id.sequence))
    }

    /// As [`check`](Self::check), and records a fresh message as accepted. Otherwise nothing changes.
    #[must_use = "only a fresh message is to be stored"]
    pub fn accept(&mut self, id: &MessageId) -> Option<Verdict> {
        self.holds_lease(id).then(|| self.window.accept(id.sequence))
    }

    /// The epoch in force; `None` if the device never greeted.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The number of the link that greeted last, 0 if none did.
    #[must_use]
    pub const fn link(&self) -> u32 {
        self.link
    }

    /// What was accepted in this epoch.
    #[must_use]
    pub const fn window(&self) -> &DedupWindow<WORDS> {
        &self.window
    }

    /// Writes the ledger to the start of `out`, and returns its length, [`LEN`](Self::LEN).
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let required = Self::LEN;
        let parts = out.get_mut(..required).and_then(<[u8]>::split_first_chunk_mut);
        let (fixed, bitmap) = parts.ok_or(BufferTooSmall { required })?;
        let [e3, e2, e1, e0] = Epoch::to_wire(self.epoch).to_be_bytes();
        let [k3, k2, k1, k0] = self.link.to_be_bytes();
        let [l3, l2, l1, l0] = self.window.last().to_be_bytes();
        let head: [u8; FIXED] = [Self::VERSION, Self::WORDS, 0, 0, e3, e2, e1, e0, k3, k2, k1, k0, l3, l2, l1, l0];
        *fixed = head;
        self.window.write_bitmap(bitmap)?;
        Ok(required)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]. A ledger of another width is one: it cannot say which sequences it would have remembered.
    pub fn read(bytes: &[u8]) -> Result<Self, LedgerError> {
        let length = LedgerError::Length { length: bytes.len(), expected: Self::LEN };
        let (fixed, bitmap) = bytes.split_first_chunk::<FIXED>().ok_or(length)?;
        let [version, words, _, _, e3, e2, e1, e0, k3, k2, k1, k0, l3, l2, l1, l0] = *fixed;
        if version != Self::VERSION {
            return Err(LedgerError::Version { version });
        }
        if words != Self::WORDS {
            return Err(LedgerError::Width { words, expected: Self::WORDS });
        }
        if bytes.len() != Self::LEN {
            return Err(length);
        }
        let epoch = Epoch::new(u32::from_be_bytes([e3, e2, e1, e0]));
        let link = u32::from_be_bytes([k3, k2, k1, k0]);
        let last = u32::from_be_bytes([l3, l2, l1, l0]);
        if epoch.is_some() != (link != 0) || (epoch.is_none() && last != 0) {
            return Err(LedgerError::Lease { epoch: Epoch::to_wire(epoch), link });
        }
        Ok(Self { epoch, link, window: DedupWindow::from_bitmap(last, bitmap)? })
    }

    fn holds_lease(&self, id: &MessageId) -> bool {
        self.epoch == Some(id.epoch) && self.link == id.link
    }
}

impl<const WORDS: usize> Default for Ledger<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes before the bitmap.
const FIXED: usize = 16;

/// Why a greeting was not taken: a later one was, or it names numbers that lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Stale {
    /// A greater epoch is in force.
    Epoch {
        /// That epoch.
        current: Epoch,
    },
    /// In this epoch a link of this number or a greater one greeted before, or the number is 0.
    Link {
        /// The number of the link that greeted last, 0 if none did.
        current: u32,
    },
    /// A new epoch was asked for, and [`Epoch::MAX`] is in force. None can be named: the old one's window would swallow
    /// new messages. The device has to take another number.
    Spent,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch { current } => write!(f, "epoch is too old, {current} is in force"),
            Self::Link { current } => write!(f, "link number is too low, {current} greeted last"),
            Self::Spent => write!(f, "no epoch is left after {}", Epoch::MAX),
        }
    }
}

impl Error for Stale {}

/// Why bytes are not a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LedgerError {
    /// Too short or too long.
    Length {
        /// The length given.
        length: usize,
        /// [`Ledger::LEN`].
        expected: usize,
    },
    /// A version that is not known here.
    Version {
        /// The version given.
        version: u8,
    },
    /// The window is of another width.
    Width {
        /// Its width in words of 64 sequences.
        words: u8,
        /// The width of this type's window.
        expected: u8,
    },
    /// Epoch, link and highest sequence contradict one another: either the device never greeted and all are 0, or epoch
    /// and link are not.
    Lease {
        /// The epoch given, 0 for none.
        epoch: u32,
        /// The link given.
        link: u32,
    },
    /// The window contradicts itself.
    Window(WindowError),
}

impl From<WindowError> for LedgerError {
    fn from(error: WindowError) -> Self {
        Self::Window(error)
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length, expected } => write!(f, "ledger of {length} bytes, {expected} are expected"),
            Self::Version { version } => write!(f, "ledger of version {version}, which is unknown"),
            Self::Width { words, expected } => write!(f, "ledger of {words} words, {expected} are expected"),
            Self::Lease { epoch, link } => write!(f, "ledger contradicts itself: epoch {epoch}, link {link}"),
            Self::Window(error) => error.fmt(f),
        }
    }
}

impl Error for LedgerError {}

#[cfg(test)]
mod tests;
