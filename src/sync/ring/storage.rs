use super::{RingDevice, RingItem, RingKey, RingMailbox};
use crate::sync::Epoch;

/// The memory of a [`RingMailbox`], lent by the caller. What is in it does not matter.
#[derive(Debug)]
pub struct RingMemory<'b> {
    /// A place for each item, [`RingItem::FREE`] to begin with.
    pub items: &'b mut [RingItem],
    /// The bytes of the items.
    pub bytes: &'b mut [u8],
    /// A place for each key, [`RingKey::FREE`] to begin with.
    pub keys: &'b mut [RingKey],
    /// A place for each device that counts, [`RingDevice::FREE`] to begin with. 32 are plenty for an account; with none, no
    /// item goes before the memory is full.
    pub devices: &'b mut [RingDevice],
    /// A number for each device and key: as long as `devices` times `keys`. If it is shorter, fewer devices count.
    pub acks: &'b mut [u64],
}

/// The memory of a [`RingMailbox`] whose sizes are known beforehand.
///
/// In bytes: 32 for each item, the bytes themselves, 32 for each key, 16 for each device, and 8 for each device and key.
///
/// ```
/// use longlink::sync::{Epoch, RingStorage};
///
/// let mut storage: RingStorage<1_000, 65_536> = RingStorage::new();
/// let mut mailbox = storage.mailbox(Epoch::FIRST);
/// mailbox.append(2, 0, b"the contact's new name")?;
/// # Ok::<(), longlink::sync::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RingStorage<const ITEMS: usize, const BYTES: usize, const KEYS: usize = 16, const DEVICES: usize = 8> {
    items: [RingItem; ITEMS],
    bytes: [u8; BYTES],
    keys: [RingKey; KEYS],
    devices: [RingDevice; DEVICES],
    acks: [[u64; KEYS]; DEVICES],
}

impl<const ITEMS: usize, const BYTES: usize, const KEYS: usize, const DEVICES: usize>
    RingStorage<ITEMS, BYTES, KEYS, DEVICES>
{
    /// Memory that nobody uses yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            items: [RingItem::FREE; ITEMS],
            bytes: [0; BYTES],
            keys: [RingKey::FREE; KEYS],
            devices: [RingDevice::FREE; DEVICES],
            acks: [[0; KEYS]; DEVICES],
        }
    }

    /// An empty mailbox in this memory, in an epoch that the account never had before.
    #[must_use]
    pub fn mailbox(&mut self, epoch: Epoch) -> RingMailbox<'_> {
        let memory = RingMemory {
            items: &mut self.items,
            bytes: &mut self.bytes,
            keys: &mut self.keys,
            devices: &mut self.devices,
            acks: self.acks.as_flattened_mut(),
        };
        RingMailbox::new(epoch, memory)
    }
}

impl<const ITEMS: usize, const BYTES: usize, const KEYS: usize, const DEVICES: usize> Default
    for RingStorage<ITEMS, BYTES, KEYS, DEVICES>
{
    fn default() -> Self {
        Self::new()
    }
}
