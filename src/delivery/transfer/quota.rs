use super::{Open, Status};

/// How much one device may have under way, judged when it opens a transfer.
///
/// ```
/// use longlink::delivery::transfer::{Key, Open, Quota, Status};
///
/// let first = Open::new(Key([1; 16]), 6_000_000, 0);
/// let second = Open::new(Key([2; 16]), 6_000_000, 0);
/// let quota = Quota { transfers: 4, bytes: 10_000_000 };
/// assert_eq!(quota.refuses(&first, []), None);
/// assert_eq!(quota.refuses(&second, [first]), Some(Status::TooMany));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    /// So many unfinished transfers.
    pub transfers: usize,
    /// So many bytes in all of them together, counted in full from the start.
    pub bytes: u64,
}

impl Quota {
    /// 4 transfers, with 16 MiB for each of them.
    pub const DEFAULT: Self = Self { transfers: 4, bytes: 4 << 24 };

    /// Why `open` is refused, if it is, while `others` are unfinished: [`Status::TooLarge`] if it never fits,
    /// [`Status::TooMany`] if it will when others are done. One of `others` with the same key is the transfer itself.
    #[must_use]
    pub fn refuses(&self, open: &Open, others: impl IntoIterator<Item = Open>) -> Option<Status> {
        let (mut transfers, mut bytes) = (1_usize, u64::from(open.total()));
        if bytes > self.bytes {
            return Some(Status::TooLarge);
        }
        for other in others.into_iter().filter(|other| other.key() != open.key()) {
            transfers = transfers.saturating_add(1);
            bytes = bytes.saturating_add(other.total().into());
        }
        (transfers > self.transfers || bytes > self.bytes).then_some(Status::TooMany)
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::transfer::Key;

    #[test]
    fn transfers_and_bytes_are_counted_without_the_one_that_is_asked_about() {
        let quota = Quota { transfers: 2, bytes: 1_000 };
        let open = |key, total| Open::new(Key([key; 16]), total, 0);
        assert_eq!(quota.refuses(&open(1, 1_001), []), Some(Status::TooLarge));
        assert_eq!(quota.refuses(&open(1, 600), [open(2, 400)]), None);
        assert_eq!(quota.refuses(&open(1, 601), [open(2, 400)]), Some(Status::TooMany));
        assert_eq!(quota.refuses(&open(1, 1), [open(2, 1), open(3, 1)]), Some(Status::TooMany));
        assert_eq!(quota.refuses(&open(1, 1), [open(2, 1), open(1, 1_000)]), None);
        assert_eq!(quota.refuses(&open(1, u32::MAX), [open(2, u32::MAX)]), Some(Status::TooLarge));
    }
}
