//! Who still needs what, and what goes.

use super::super::store::Name;
use super::item::ALL_KEYS;
use super::{ACCOUNTS, ACKS, ITEMS, KEYS, Mail, READERS};
use anyhow::Result;
use redb::{Durability, ReadableDatabase, ReadableTable, WriteTransaction};
use std::time::Duration;

/// A device that was silent for so long does not count any more, and its ledger goes: no client sends a message again after
/// so long.
pub(crate) const SILENCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// So many devices of an account count at most.
pub(crate) const READERS_MAX: usize = 32;
/// That a device is not silent is written so rarely, in seconds.
const SEEN_EVERY: u64 = 24 * 60 * 60;

/// What a device says that it has stored.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// It has nothing: what it said before does not count.
    pub(super) begins: bool,
    /// It wants every key.
    pub(super) all: bool,
    /// What is not named, and not all, is not wanted any more.
    pub(super) is_selection: bool,
    /// Up to where it has each.
    pub(super) vals: Vec<(u16, u64)>,
}

/// What a word changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Change {
    Nothing,
    /// What can be said again.
    Progress,
    /// For what the device counts: others rely on it at once.
    Standing,
}

impl Mail {
    /// Notes what a device has stored, and collects what nobody needs any more. Writes nothing when nothing has changed.
    pub(super) fn acknowledge(&self, name: &Name, word: &Word) -> Result<bool> {
        let now = self.now();
        let txn = self.0.db.begin_read()?;
        let change = compare(&txn.open_table(READERS)?, &txn.open_table(ACKS)?, name, word, now)?;
        drop(txn);
        if change == Change::Nothing {
            return Ok(false);
        }
        let mut txn = self.0.db.begin_write()?;
        // Another link of the device may have been here meanwhile; whatever it said, the maximum holds.
        let change = note(&txn, name, word, now)?.max(change);
        if change < Change::Standing {
            txn.set_durability(Durability::None)?;
        }
        dismiss(&txn, &name.0, now)?;
        collect(&txn, &name.0)?;
        txn.commit()?;
        Ok(true)
    }

    /// Drops the oldest items of an account until it keeps to its limits.
    pub(super) fn shed(&self, txn: &WriteTransaction, account: &str) -> Result<()> {
        let (mut items, mut keys) = (txn.open_table(ITEMS)?, txn.open_table(KEYS)?);
        let mut accounts = txn.open_table(ACCOUNTS)?;
        let stored = accounts.get(account)?.map(|account| account.value());
        let Some((last, mut count, mut length)) = stored else { return Ok(()) };
        while count > self.0.limits.items || length > self.0.limits.bytes {
            let mut oldest = None;
            for key in ALL_KEYS {
                let first = items.range((account, key, 0)..=(account, key, u64::MAX))?.next().transpose()?;
                let first = first.map(|(place, item)| (place.value().2, key, item.value().len() as u64));
                // One counter gives the vals of all keys.
                oldest = [oldest, first].into_iter().flatten().min();
            }
            let Some((val, key, bytes)) = oldest else { break };
            items.remove((account, key, val))?;
            let head = keys.get((account, key))?.map_or(val, |key| key.value().0);
            keys.insert((account, key), (head, val))?;
            (count, length) = (count.saturating_sub(1), length.saturating_sub(bytes));
        }
        accounts.insert(account, (last, count, length))?;
        Ok(())
    }
}

/// What this word would change.
fn compare(
    readers: &impl ReadableTable<(&'static str, u64), (u64, bool)>,
    acks: &impl ReadableTable<(&'static str, u64, u16), u64>,
    (account, device): &Name,
    word: &Word,
    now: u64,
) -> Result<Change> {
    let (account, device) = (account.as_str(), *device);
    let Some((seen, all)) = readers.get((account, device))?.map(|reader| reader.value()) else {
        return Ok(Change::Standing);
    };
    let wants_all = if word.is_selection { word.all } else { all || word.all };
    let mut change = match now.saturating_sub(seen) {
        _ if wants_all != all => Change::Standing,
        0..SEEN_EVERY => Change::Nothing,
        _ => Change::Progress,
    };
    for key in ALL_KEYS {
        let stored = acks.get((account, device, key))?.map(|val| val.value());
        let said = word.vals.iter().find(|(named, _)| *named == key).map(|(_, val)| *val);
        change = change.max(match (stored, said) {
            (Some(stored), said) if word.begins && stored > said.unwrap_or(0) => Change::Standing,
            (Some(stored), Some(said)) if said > stored => Change::Progress,
            (None, Some(_)) if wants_all => Change::Progress,
            (None, Some(_)) => Change::Standing,
            (Some(_), None) if word.is_selection && !wants_all => Change::Standing,
            _ => Change::Nothing,
        });
    }
    Ok(change)
}

fn note(txn: &WriteTransaction, name: &Name, word: &Word, now: u64) -> Result<Change> {
    let (mut readers, mut acks) = (txn.open_table(READERS)?, txn.open_table(ACKS)?);
    let change = compare(&readers, &acks, name, word, now)?;
    let (account, device) = (name.0.as_str(), name.1);
    let all = readers.get((account, device))?.is_some_and(|reader| reader.value().1);
    let wants_all = if word.is_selection { word.all } else { all || word.all };
    readers.insert((account, device), (now, wants_all))?;
    for key in ALL_KEYS {
        let said = word.vals.iter().find(|(named, _)| *named == key).map(|(_, val)| *val);
        let stored = acks.get((account, device, key))?.map(|val| val.value()).filter(|_| !word.begins);
        match said {
            Some(said) => drop(acks.insert((account, device, key), stored.map_or(said, |val| val.max(said)))?),
            None if word.begins || word.is_selection && !wants_all => drop(acks.remove((account, device, key))?),
            None => {}
        }
    }
    Ok(change)
}

/// Devices that do not count any more: silent ones, and the longest silent of too many.
fn dismiss(txn: &WriteTransaction, account: &str, now: u64) -> Result<()> {
    let mut readers = txn.open_table(READERS)?;
    let mut seen = Vec::new();
    for reader in readers.range((account, 0)..=(account, u64::MAX))? {
        let (place, reader) = reader?;
        seen.push((reader.value().0, place.value().1));
    }
    seen.sort_unstable();
    let surplus = seen.len().saturating_sub(READERS_MAX);
    let mut acks = txn.open_table(ACKS)?;
    for (rank, (seen, device)) in seen.into_iter().enumerate() {
        if rank < surplus || now.saturating_sub(seen) > SILENCE.as_secs() {
            readers.remove((account, device))?;
            acks.retain_in((account, device, 0)..=(account, device, u16::MAX), |_, _| false)?;
        }
    }
    Ok(())
}

/// Drops what every device that counts has. While none does, all stays.
fn collect(txn: &WriteTransaction, account: &str) -> Result<()> {
    let (readers, acks) = (txn.open_table(READERS)?, txn.open_table(ACKS)?);
    let (mut keys, mut accounts) = (txn.open_table(KEYS)?, txn.open_table(ACCOUNTS)?);
    let mut items = txn.open_table(ITEMS)?;
    for key in ALL_KEYS {
        let Some((head, floor)) = keys.get((account, key))?.map(|key| key.value()) else { continue };
        let mut least = None;
        for reader in readers.range((account, 0)..=(account, u64::MAX))? {
            let (place, reader) = reader?;
            let acked = acks.get((account, place.value().1, key))?.map(|val| val.value());
            let acked = acked.or(reader.value().1.then_some(0));
            least = [least, acked].into_iter().flatten().min();
        }
        let Some(least) = least.map(|least| least.min(head)).filter(|least| *least > floor) else { continue };
        let (mut count, mut length) = (0_u64, 0_u64);
        items.retain_in((account, key, 0)..=(account, key, least), |_, item| {
            count = count.saturating_add(1);
            length = length.saturating_add(item.len() as u64);
            false
        })?;
        keys.insert((account, key), (head, least))?;
        let stored = accounts.get(account)?.map(|account| account.value());
        if let Some((last, items, bytes)) = stored {
            accounts.insert(account, (last, items.saturating_sub(count), bytes.saturating_sub(length)))?;
        }
    }
    Ok(())
}
