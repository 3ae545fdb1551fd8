use super::RingMailbox;
use super::items::{RingItem, State};
use super::keys::RingKey;
use crate::Instant;
use crate::sync::{Acked, Epoch, Item, Mailbox};
use core::convert::Infallible;
use core::ops::ControlFlow;

/// A [`RingMailbox`] as one of its devices sees it.
///
/// Every method takes a few steps, but for these: [`read`](Mailbox::read) takes one for each item that it gives, 256 to find
/// the first, and passes over 1,024 items of other keys at most; [`acked`](Mailbox::acked) takes one for each key, for each device where a
/// val rose, and for each item that nobody needs any more.
#[derive(Debug)]
pub struct RingView<'m, 'b> {
    pub(super) mailbox: &'m mut RingMailbox<'b>,
    pub(super) id: u64,
    pub(super) now: Instant,
}

/// Where the items after a val begin.
enum Start {
    At(u32),
    /// Further than this val.
    Beyond(u64),
}

impl Mailbox for RingView<'_, '_> {
    type Error = Infallible;

    fn epoch(&mut self) -> Result<Epoch, Infallible> {
        Ok(self.mailbox.epoch())
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Infallible> {
        Ok(self.mailbox.keys.above(after).map(|row| row.key))
    }

    fn head(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(self.mailbox.head(key))
    }

    fn floor(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(self.mailbox.floor(key))
    }

    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Infallible> {
        let Some(row) = self.mailbox.keys.get(key).filter(|row| row.head > after) else { return Ok(after) };
        let mut slot = match self.mailbox.start(row, after) {
            Start::At(slot) => slot,
            Start::Beyond(val) => return Ok(val.min(row.head)),
        };
        while let Some(item) = self.mailbox.items.get(slot).filter(|item| item.val <= row.head) {
            if each(self.mailbox.item(item)).is_break() {
                break;
            }
            slot = item.behind;
        }
        Ok(row.head)
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Infallible> {
        let found = self.mailbox.items.find(val).and_then(|slot| self.mailbox.items.get(slot));
        let head = self.mailbox.head(key);
        let found = found.filter(|item| item.key == key && item.val <= head);
        if let Some(item) = found {
            each(self.mailbox.item(item));
        }
        Ok(found.is_some())
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Infallible> {
        let Some((device, one_went)) = self.mailbox.devices.see(self.id, self.now) else { return Ok(()) };
        let mut vals = acked.vals().peekable();
        for column in 0..self.mailbox.keys.all().len() {
            let Some(&RingKey { key, head, .. }) = self.mailbox.keys.all().get(column) else { break };
            while vals.peek().is_some_and(|(named, _)| *named < key) {
                vals.next();
            }
            let named = vals.peek().filter(|(named, _)| *named == key).map(|(_, val)| *val);
            let named = named.map(|val| if val > head { 0 } else { val });
            if self.mailbox.devices.acknowledge(device, column, named, acked) || one_went {
                self.mailbox.collect(column);
            }
        }
        Ok(())
    }
}

impl RingMailbox<'_> {
    fn item(&self, item: &RingItem) -> Item<'_> {
        Item::new(item.key, item.val, item.op, self.bytes.get(item.start, item.length))
    }

    /// Finds the first item of a key behind `after`, where there is one: from either end of the key, or in the order of all
    /// vals and then past those of other keys.
    fn start(&self, row: &RingKey, after: u64) -> Start {
        if self.items.get(row.first).is_none_or(|item| item.val > after) {
            return Start::At(row.first);
        }
        let mut slot = row.last;
        for _ in 0..Self::STEPS_BACK {
            let Some(item) = self.items.get(slot) else { break };
            if item.val <= after {
                return Start::At(item.behind);
            }
            slot = item.before;
        }
        let first = self.items.above(after);
        let mut beyond = after;
        for index in first..first.saturating_add(Self::SCAN) {
            let Some((slot, item)) = self.items.slot(index).and_then(|slot| Some((slot, self.items.get(slot)?))) else {
                break;
            };
            if item.key == row.key && item.state != State::Gone {
                return Start::At(slot);
            }
            beyond = item.val;
        }
        Start::Beyond(beyond)
    }
}
