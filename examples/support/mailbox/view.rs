//! An account's mailbox, as one of its devices sees it.

use super::super::store::Name;
use super::device::OP;
use super::retention::Word;
use super::{ITEMS, KEYS, Mail};
use anyhow::{Error, Result};
use longlink::sync::{Acked, Epoch, Item, Mailbox};
use redb::{ReadTransaction, ReadableDatabase};
use std::ops::ControlFlow;

/// One answer's view: what it reads is of one moment, so nothing is collected under its eyes. For the next answer there is
/// another.
pub(crate) struct View {
    mail: Mail,
    name: Name,
    /// That moment.
    moment: Option<ReadTransaction>,
}

impl View {
    pub(super) fn new(mail: Mail, name: Name) -> Self {
        Self { mail, name, moment: None }
    }

    fn moment(&mut self) -> Result<(&ReadTransaction, &str)> {
        let moment = match self.moment.take() {
            Some(moment) => moment,
            None => self.mail.0.db.begin_read()?,
        };
        Ok((self.moment.insert(moment), &self.name.0))
    }

    /// Head and floor of a key.
    fn key(&mut self, key: u16) -> Result<(u64, u64)> {
        let (moment, account) = self.moment()?;
        Ok(moment.open_table(KEYS)?.get((account, key))?.map_or((0, 0), |key| key.value()))
    }
}

impl Mailbox for View {
    type Error = Error;

    fn epoch(&mut self) -> Result<Epoch> {
        Ok(self.mail.epoch())
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>> {
        let Some(first) = after.map_or(Some(0), |after| after.checked_add(1)) else { return Ok(None) };
        let (moment, account) = self.moment()?;
        let next = moment.open_table(KEYS)?.range((account, first)..=(account, u16::MAX))?.next().transpose()?;
        Ok(next.map(|(place, _)| place.value().1))
    }

    fn head(&mut self, key: u16) -> Result<u64> {
        Ok(self.key(key)?.0)
    }

    fn floor(&mut self, key: u16) -> Result<u64> {
        Ok(self.key(key)?.1)
    }

    fn read(&mut self, key: u16, after: u64, each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Result<u64> {
        let (head, _) = self.key(key)?;
        let Some(first) = after.checked_add(1).filter(|first| *first <= head) else { return Ok(head) };
        let (moment, account) = self.moment()?;
        for item in moment.open_table(ITEMS)?.range((account, key, first)..=(account, key, head))? {
            let (place, bytes) = item?;
            let val = place.value().2;
            if each(Item::new(key, val, OP, bytes.value())).is_break() {
                return Ok(val);
            }
        }
        Ok(head)
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool> {
        let (moment, account) = self.moment()?;
        let item = moment.open_table(ITEMS)?.get((account, key, val))?;
        if let Some(bytes) = &item {
            each(Item::new(key, val, OP, bytes.value()));
        }
        Ok(item.is_some())
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<()> {
        let (begins, all, is_selection) = (acked.begins(), acked.all(), acked.is_selection());
        let word = Word { begins, all, is_selection, vals: acked.vals().collect() };
        if self.mail.acknowledge(&self.name, &word)? {
            // What it counts for is kept from here on: from here on it is to be read.
            self.moment = None;
        }
        Ok(())
    }
}
