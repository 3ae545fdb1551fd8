use super::entries::{GAP, RESET, length_of};
use super::{BodyError, Entries, Entry, Items, Page, Receipt, Request, VERSION, join, known, only};
use crate::sync::Epoch;
use core::time::Duration;

/// What the server says to a [`Request`]: the body of the reply to [`SYNC`](crate::sync::SYNC), read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Response<'a> {
    /// 0 and 1: what is new and how far it reaches, or that the mailbox begins anew.
    Page(Page<'a>),
    /// 2, and each status that this version does not know: later.
    RetryLater {
        /// Not before that: whole milliseconds, [`Response::MAX_RETRY_AFTER`] at most, 0 if nothing is said.
        after: Duration,
    },
    /// 3: the request cannot be read.
    Refused,
    /// 4: the server does not know the device, or no longer.
    NotThisDevice,
}

/// The fixed part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u8,
    /// How many entries.
    pub(crate) n: u16,
    pub(crate) epoch: Option<Epoch>,
    /// How many items.
    pub(crate) items: u16,
    pub(crate) more: bool,
    /// The bytes of the items.
    pub(crate) items_len: u32,
    pub(crate) retry_after_ms: u32,
}

/// A bit of the flags.
const MORE: u16 = 1 << 0;

impl Head {
    pub(crate) const LEN: usize = 20;
    /// What is new.
    pub(crate) const OK: u8 = 0;
    /// The mailbox begins anew.
    pub(crate) const RESET_ALL: u8 = 1;
    /// Later.
    pub(crate) const RETRY_LATER: u8 = 2;
    /// Not understood.
    pub(crate) const REFUSED: u8 = 3;
    /// Not known.
    pub(crate) const NOT_THIS_DEVICE: u8 = 4;

    /// A response of this status and nothing else.
    pub(crate) const fn new(status: u8, epoch: Option<Epoch>) -> Self {
        Self { status, n: 0, epoch, items: 0, more: false, items_len: 0, retry_after_ms: 0 }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let flags = if self.more { MORE } else { 0 };
        join([
            &[VERSION, self.status],
            &self.n.to_be_bytes(),
            &Epoch::to_wire(self.epoch).to_be_bytes(),
            &self.items.to_be_bytes(),
            &flags.to_be_bytes(),
            &self.items_len.to_be_bytes(),
            &self.retry_after_ms.to_be_bytes(),
        ])
    }

    /// The head, the bytes of the entries and what is behind them; whether the items take that is not known yet.
    pub(super) fn read(body: &[u8]) -> Result<(Self, &[u8], &[u8]), BodyError> {
        let too_short = BodyError::Length { length: body.len(), expected: Self::LEN };
        let (bytes, behind) = body.split_first_chunk::<{ Self::LEN }>().ok_or(too_short)?;
        let [version, status, n1, n0, e3, e2, e1, e0, m1, m0, f1, f0, l3, l2, l1, l0, retry_after_ms @ ..] = *bytes;
        known(version)?;
        let flags = u16::from_be_bytes([f1, f0]);
        only(flags, MORE.into())?;
        let head = Self {
            status,
            n: u16::from_be_bytes([n1, n0]),
            epoch: Epoch::new(u32::from_be_bytes([e3, e2, e1, e0])),
            items: u16::from_be_bytes([m1, m0]),
            more: flags & MORE != 0,
            items_len: u32::from_be_bytes([l3, l2, l1, l0]),
            retry_after_ms: u32::from_be_bytes(retry_after_ms),
        };
        if head.items > Request::MAX_ITEMS {
            return Err(BodyError::Items { items: head.items });
        }
        let rows = length_of(head.n)?;
        let expected = Self::LEN.saturating_add(rows);
        let too_short = BodyError::Length { length: body.len(), expected };
        let (rows, behind) = behind.split_at_checked(rows).ok_or(too_short)?;
        head.check()?;
        Ok((head, rows, behind))
    }

    /// What must hold of the numbers among themselves.
    fn check(&self) -> Result<(), BodyError> {
        let Self { status, epoch, retry_after_ms, .. } = *self;
        let more = self.more && status != Self::RESET_ALL;
        if status != Self::OK && (self.n > 0 || self.items > 0 || self.items_len > 0 || more) {
            return Err(BodyError::NotEmpty { status });
        }
        if status <= Self::RESET_ALL && epoch.is_none() {
            return Err(BodyError::NoEpoch);
        }
        let may_delay = status == Self::RETRY_LATER || status > Self::NOT_THIS_DEVICE;
        if retry_after_ms > 0 && !may_delay { Err(BodyError::RetryAfter { retry_after_ms }) } else { Ok(()) }
    }
}

impl<'a> Response<'a> {
    /// The longest that a server may ask to wait; more counts as this, so that no forged number stops a device.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

    /// Reads a body. What a [`Page`] says then is certain; whether it answers what was asked is not looked at.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong. Nothing of such a body may be used.
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        Self::decode_after(body, &mut |_| Ok(0))
    }

    /// As [`decode`](Self::decode), with the entries judged by `asked`. It gets each once, in order, and returns the val
    /// that all items of the key have to be above: the one that was asked with, or 0 if the entry resets it.
    pub(crate) fn decode_after(
        body: &'a [u8],
        asked: &mut dyn FnMut(&Entry) -> Result<u64, BodyError>,
    ) -> Result<Self, BodyError> {
        let (head, rows, behind) = Head::read(body)?;
        let before = Head::LEN.saturating_add(rows.len());
        if behind.len() != head.items_len as usize {
            let expected = before.saturating_add(head.items_len as usize);
            return Err(BodyError::Length { length: body.len(), expected });
        }
        match (head.status, head.epoch) {
            (Head::OK | Head::RESET_ALL, Some(epoch)) => {
                let entries = Entries::read(rows, RESET | GAP)?;
                let items = Items::read(behind, head.items, entries, asked)?;
                let (bytes, _) = body.split_at_checked(before).unwrap_or_default();
                Ok(Self::Page(Page::new(Receipt::new(&head, epoch, bytes), items)))
            }
            (Head::RETRY_LATER, _) => {
                let after = Duration::from_millis(head.retry_after_ms.into()).min(Self::MAX_RETRY_AFTER);
                Ok(Self::RetryLater { after })
            }
            (Head::REFUSED, _) => Ok(Self::Refused),
            (Head::NOT_THIS_DEVICE, _) => Ok(Self::NotThisDevice),
            _ => Ok(Self::RetryLater { after: Duration::ZERO }),
        }
    }
}
