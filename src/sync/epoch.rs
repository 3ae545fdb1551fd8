use core::{fmt, num::NonZeroU32};

/// One life of a mailbox's counters.
///
/// The mailbox's store chooses it, durably, and chooses another whenever its counters may give a val a second time: when
/// it was restored from an older snapshot, or begun anew. Vals of different epochs have nothing to do with one another.
/// Nor has this with the [epoch of a device's messages](crate::delivery::Epoch).
///
/// From 1 to `u32::MAX`; `Option<Epoch>` takes 4 bytes, and on the wire 0 is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch(NonZeroU32);

impl Epoch {
    /// The first one.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The epoch of this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number, never 0.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// As on the wire, where 0 stands for none.
    pub(crate) const fn to_wire(epoch: Option<Self>) -> u32 {
        match epoch {
            Some(epoch) => epoch.get(),
            None => 0,
        }
    }
}

/// The number.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
