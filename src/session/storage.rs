use super::{Client, Config, ConfigError, Dialer, Link};
use crate::delivery::Slot;
use crate::liveness::Candidate;
use crate::sync::{Memory, Row};
use crate::wire::Decoder;
use heapless::Vec;

/// The memory of one client link: put it into a `static`, on a stack or in a box.
///
/// `RX` bounds the longest frame that can be received, `TX` what can wait to be written or be unsettled, `SLOTS` how
/// many messages and requests can be under way, `KEYS` how many keys of a mailbox the device can follow, `ADDRESSES`
/// how many addresses it can try.
///
/// ```
/// use longlink::session::{Config, Storage};
///
/// let mut storage: Storage = Storage::new();
/// let link = storage.client(&Config::DEFAULT).unwrap();
/// assert_eq!(link.decoder().limit(), 1_024);
/// ```
#[derive(Debug)]
pub struct Storage<
    const RX: usize = 1024,
    const TX: usize = 1024,
    const SLOTS: usize = 8,
    const KEYS: usize = 8,
    const ADDRESSES: usize = 4,
> {
    rx: Vec<u8, RX>,
    tx: Vec<u8, TX>,
    slots: Vec<Slot, SLOTS>,
    sync: Memory<[Row; KEYS]>,
    dialer: Dialer<[Candidate; ADDRESSES]>,
}

/// The memory that a [`Client`] works in: slices of any length, from wherever.
#[derive(Debug)]
pub struct Work<'b> {
    /// The length of the receive buffer, and so of the longest frame that the peer may send.
    pub rx: usize,
    /// Frames that wait to be written, and messages until they are settled.
    pub tx: &'b mut [u8],
    /// Messages and requests that wait for their answer.
    pub slots: &'b mut [Slot],
    /// How far the device is in its mailbox; not needed without [`Config::sync`](super::Config::sync).
    pub sync: Option<&'b mut Memory>,
    /// The addresses, and what is known of them; not needed without [`Config::dialer`](super::Config::dialer).
    pub dialer: Option<&'b mut Dialer>,
}

impl<const RX: usize, const TX: usize, const SLOTS: usize, const KEYS: usize, const ADDRESSES: usize>
    Storage<RX, TX, SLOTS, KEYS, ADDRESSES>
{
    /// Memory that is not in use. Made at run time, as by `StaticCell::init_with(Storage::new)`, it takes no room in a
    /// firmware's image; as the value of a `static` it does, because not all of it is zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { rx: Vec::new(), tx: Vec::new(), slots: Vec::new(), sync: Memory::new(), dialer: Dialer::new() }
    }

    /// Lends the memory as slices: the receive buffer, and what the client works in.
    pub fn lend(&mut self) -> (&mut [u8], Work<'_>) {
        // `resize` to the capacity cannot fail.
        let _ = self.rx.resize(RX, 0);
        let _ = self.tx.resize(TX, 0);
        let _ = self.slots.resize(SLOTS, Slot::FREE);
        let (sync, dialer) = (Some(&mut self.sync as &mut Memory), Some(&mut self.dialer as &mut Dialer));
        (&mut self.rx, Work { rx: RX, tx: &mut self.tx, slots: &mut self.slots, sync, dialer })
    }

    /// A client and its decoder in this memory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work, or a buffer does not hold a header.
    pub fn client<'b>(&'b mut self, config: &'b Config<'b>) -> Result<Link<Client<'b>, &'b mut [u8]>, ConfigError> {
        let (rx, work) = self.lend();
        Ok(Link::new(Decoder::new(config.dialect, rx)?, Client::new(config, work)?))
    }
}

impl<const RX: usize, const TX: usize, const SLOTS: usize, const KEYS: usize, const ADDRESSES: usize> Default
    for Storage<RX, TX, SLOTS, KEYS, ADDRESSES>
{
    fn default() -> Self {
        Self::new()
    }
}
