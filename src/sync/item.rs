/// One thing that a device is to have: a message, a contact that changed, a group that is gone.
///
/// What is in it is the application's affair; here it is the bytes under a key, at a val.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Item<'a> {
    /// Which of the mailbox's sequences it belongs to.
    pub key: u16,
    /// Its place in that sequence, never 0. Together with the mailbox's epoch and the key it is the item's name.
    pub val: u64,
    /// What is done with it, as the application numbers it.
    pub op: u8,
    /// The bytes; of a stub only the first of them, perhaps none.
    pub bytes: &'a [u8],
    /// The whole length of an item of which only a stub is here, because it fits no page that was asked for.
    /// [`Fetch`](super::Fetch) gets the rest. `None` if `bytes` are all.
    pub total: Option<u32>,
}

impl<'a> Item<'a> {
    /// The item as a whole.
    #[must_use]
    pub const fn new(key: u16, val: u64, op: u8, bytes: &'a [u8]) -> Self {
        Self { key, val, op, bytes, total: None }
    }

    /// `true` if there is more of it than `bytes`.
    #[must_use]
    pub const fn is_stub(&self) -> bool {
        self.total.is_some()
    }
}
