//! Mailboxes, and all else that a server keeps of its accounts and devices, in one redb file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | `epoch`: of all mailboxes in the file; `items`: how many items this epoch has named |
//! | `accounts` | account | the newest val, how many items there are, and bytes |
//! | `keys` | account, key | head, floor |
//! | `items` | account, key, val | the item: JSON `{"id":N,"from":"ann","to":"bob","text":"hi"}` |
//! | `ledgers` | account, device | its [`Ledger`](longlink::delivery::Ledger), when it was seen last |
//! | `readers` | account, device | of a device that counts for retention: when it was seen last, whether it wants all keys |
//! | `acks` | account, device, key | up to where it has stored |
//!
//! A message is an item in two mailboxes: under [`RECEIVED`] in that of the account that it is for, under [`SENT`] in that
//! of the account that it is from; one to oneself is an item under `SENT`. An account has one counter for the vals of all
//! its keys, so each key has gaps. An item's id is the epoch and a number that the epoch gives once: whatever happens to
//! the file, no two items have the same.
//!
//! # What a crash leaves
//!
//! The items of a message and the mark that it was accepted become durable in one transaction, with one sync for all the
//! messages that came together. One write transaction runs at a time, so a val is visible only when every smaller one
//! is decided. An ack is not synced: it is durable with the next message. One that is lost costs nothing, since the
//! device's next request says as much, and until then its items merely stay. That a device begins to count *is* synced:
//! otherwise others could have collected what it has not got yet.
//!
//! A file that is put back from a backup must be opened with a new epoch: its vals are about to be given a second time. Whoever
//! counts goes on to count then, and what is in the file was acknowledged as it says there.
//!
//! # How long an item stays
//!
//! Until every device that counts has acknowledged it. A device counts from its first request on, for the keys that it
//! asks for, until it was silent for [`SILENCE`], or is the longest silent of more than [`READERS_MAX`]. The [`Limits`] of an
//! account are stronger: then the oldest go. Either way the floor of the key says so, and whoever was below is told.
//!
//! Needs `hex.rs`, `random.rs` and `store.rs` as modules of the program.
// A program takes what it needs of this.
#![allow(dead_code, unused_imports)]

mod device;
mod item;
mod retention;
mod view;

pub(crate) use device::{Accepted, Device};
pub(crate) use item::{LONGEST_NAME, RECEIVED, SENT, is_addressed};
pub(crate) use retention::{READERS_MAX, SILENCE};
pub(crate) use view::View;

use super::random::random;
use anyhow::{Context, Result};
use longlink::sync::Epoch;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableTable, StorageBackend, TableDefinition, WriteTransaction};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const ACCOUNTS: TableDefinition<&str, (u64, u64, u64)> = TableDefinition::new("accounts");
const KEYS: TableDefinition<(&str, u16), (u64, u64)> = TableDefinition::new("keys");
const ITEMS: TableDefinition<(&str, u16, u64), &[u8]> = TableDefinition::new("items");
const LEDGERS: TableDefinition<(&str, u64), (&[u8], u64)> = TableDefinition::new("ledgers");
const READERS: TableDefinition<(&str, u64), (u64, bool)> = TableDefinition::new("readers");
const ACKS: TableDefinition<(&str, u64, u16), u64> = TableDefinition::new("acks");

/// All mailboxes and devices. Clones are the same; every thread may have one.
#[derive(Clone)]
pub(crate) struct Mail(Arc<Shared>);

struct Shared {
    db: Database,
    epoch: Epoch,
    limits: Limits,
}

/// What an account may keep, whoever has not fetched it yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    /// The seconds since 1970, by which silence is measured.
    pub(crate) clock: fn() -> u64,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self { items: 10_000, bytes: 64 << 20, clock: unix_seconds };
}

impl Mail {
    /// Opens the file, or makes it. With `renew` its vals count for nothing any more: a new epoch begins.
    pub(crate) fn open(path: &Path, limits: Limits, renew: bool) -> Result<Self> {
        let open = || Self::new(Database::builder().set_cache_size(CACHE).create(path)?, limits, renew);
        open().with_context(|| format!("cannot open the mailboxes in {}", path.display()))
    }

    /// Mailboxes that last as long as the process.
    pub(crate) fn in_memory(limits: Limits) -> Result<Self> {
        Self::on(InMemoryBackend::new(), limits)
    }

    /// Mailboxes on whatever takes bytes.
    pub(crate) fn on(bytes: impl StorageBackend, limits: Limits) -> Result<Self> {
        Self::new(Database::builder().set_cache_size(CACHE).create_with_backend(bytes)?, limits, false)
    }

    fn new(db: Database, limits: Limits, renew: bool) -> Result<Self> {
        let txn = db.begin_write()?;
        txn.open_table(ACCOUNTS)?;
        txn.open_table(KEYS)?;
        txn.open_table(ITEMS)?;
        txn.open_table(LEDGERS)?;
        txn.open_table(READERS)?;
        txn.open_table(ACKS)?;
        let epoch = open_epoch(&txn, renew)?;
        txn.commit()?;
        Ok(Self(Arc::new(Shared { db, epoch, limits })))
    }

    /// One life of the counters, the same for all mailboxes.
    pub(crate) fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// The record of one device of an account, to greet it and to store its messages. An account may be without a name.
    pub(crate) fn device(&self, account: &str, device: u64) -> Device {
        Device::new(self.clone(), account, device)
    }

    fn now(&self) -> u64 {
        (self.0.limits.clock)()
    }
}

/// The epoch in force. A new one is drawn at random: it needs to be another, not a later one, and the clock may have been
/// set back.
fn open_epoch(txn: &WriteTransaction, renew: bool) -> Result<Epoch> {
    let mut meta = txn.open_table(META)?;
    let stored = meta.get("epoch")?.and_then(|number| Epoch::new(u32::try_from(number.value()).ok()?));
    if let Some(epoch) = stored.filter(|_| !renew) {
        return Ok(epoch);
    }
    let mut drawn = std::iter::repeat_with(random).map(|number| Epoch::new((number >> 32) as u32));
    let epoch = drawn.find_map(|epoch| epoch.filter(|epoch| Some(*epoch) != stored)).context("no epoch")?;
    meta.insert("epoch", u64::from(epoch.get()))?;
    meta.insert("items", 0)?;
    Ok(epoch)
}

/// The pages of the file that are kept in memory, in bytes.
const CACHE: usize = 32 << 20;

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
