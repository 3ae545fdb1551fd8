use super::Entries;

/// What a device has stored, as its [mailbox](crate::sync::Mailbox::acked) is told: a val that the epoch in force never had
/// is not believed, and counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Acked<'a> {
    begins: bool,
    selects: bool,
    all: bool,
    entries: Entries<'a>,
    /// Bit `i`, lowest first, is set if the val of entry `i` counts.
    valid: u64,
}

impl<'a> Acked<'a> {
    /// By the first request of a device that has nothing yet.
    pub(crate) const fn of_first_request(all: bool, entries: Entries<'a>) -> Self {
        Self { begins: true, ..Self::of_request(all, entries, 0) }
    }

    /// By a request, which says besides which keys the device wants.
    pub(crate) const fn of_request(all: bool, entries: Entries<'a>, valid: u64) -> Self {
        Self { begins: false, selects: true, all, entries, valid }
    }

    /// By an acknowledgement.
    pub(crate) const fn of_ack(entries: Entries<'a>, valid: u64) -> Self {
        Self { begins: false, selects: false, all: false, entries, valid }
    }

    /// `true` if the device has nothing: what it said before does not count any more. It is new, or its store was lost.
    #[must_use]
    pub const fn begins(&self) -> bool {
        self.begins
    }

    /// `true` if the device asks for every key, not only for those that it names.
    #[must_use]
    pub const fn all(&self) -> bool {
        self.all
    }

    /// `true` if this is all that the device wants: it was said with a request. A key that is neither named then nor one of
    /// [all](Self::all) is not wanted any longer, and need not be kept for this device.
    #[must_use]
    pub const fn is_selection(&self) -> bool {
        self.selects
    }

    /// The keys that the device names, ascending, with the vals up to which it has stored everything. A val that this epoch
    /// never had is given as 0.
    pub fn vals(&self) -> impl Iterator<Item = (u16, u64)> + Clone + use<'a> {
        let mut valid = self.valid;
        self.entries.map(move |entry| {
            let counts = valid & 1 != 0;
            valid >>= 1;
            (entry.key, if counts { entry.val } else { 0 })
        })
    }
}
