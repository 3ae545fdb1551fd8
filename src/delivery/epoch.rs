use core::{fmt, num::NonZeroU32};

/// One life of a device's message counter.
///
/// The client chooses it, and each is greater than all before: a device that lost its state starts another, so that its
/// new message 1 is not taken for the old one. From 1 to `u32::MAX`; `Option<Epoch>` takes 4 bytes, and on the wire 0
/// is `None`. A clock may choose it, as seconds since 1970, if there is one.
///
/// ```
/// use longlink::delivery::Epoch;
///
/// let epoch = Epoch::new(7).unwrap();
/// assert!(epoch.next() > Some(epoch));
/// assert_eq!((Epoch::new(0), Epoch::MAX.next()), (None, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch(NonZeroU32);

impl Epoch {
    /// The first one.
    pub const FIRST: Self = Self(NonZeroU32::MIN);
    /// The last one: none comes after it.
    pub const MAX: Self = Self(NonZeroU32::MAX);

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

    /// The one after it; `None` after [`Epoch::MAX`].
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
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

/// One message as a server was offered it.
///
/// What is said of a message names all three numbers, so that a word on one link or epoch never touches another:
/// message 5 of a new epoch is not message 5 of the old one, and a copy that came over a link which is over is nobody's
/// any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MessageId {
    /// The life of the counter that `sequence` is from.
    pub epoch: Epoch,
    /// The link it came over, as its greeting numbered it.
    pub link: u32,
    /// Its number within the epoch, 1 to [`LAST_SEQUENCE`](super::LAST_SEQUENCE).
    pub sequence: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of epoch {}, link {}", self.sequence, self.epoch, self.link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn no_epoch_takes_no_extra_room() {
        assert_eq!(size_of::<Option<Epoch>>(), 4);
        assert_eq!((Epoch::to_wire(None), Epoch::to_wire(Some(Epoch::FIRST))), (0, 1));
    }

    #[test]
    fn epochs_grow_and_end() {
        assert_eq!(Epoch::FIRST.next(), Epoch::new(2));
        assert!(Epoch::FIRST < Epoch::MAX && None < Some(Epoch::FIRST));
        assert_eq!(Epoch::new(u32::MAX), Some(Epoch::MAX));
        assert_eq!(Epoch::MAX.next(), None);
    }

    #[test]
    fn an_id_reads_as_its_numbers() {
        let id = MessageId { epoch: Epoch::FIRST, link: 2, sequence: 3 };
        assert_eq!(id.to_string(), "message 3 of epoch 1, link 2");
    }
}
