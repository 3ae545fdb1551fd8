//! What a client has received: items and cursor in one redb file, so that it goes on where it was.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | `account` and `device` that it belongs to, `cursor`, `epoch`, `life` |
//! | `items` | key, life, val | the item's bytes |
//! | `places` | item id | key, life, val |
//!
//! A page is one transaction: its items, and the cursor last. Until that is durable the page is not committed, so after a crash
//! it comes again, and is known again: by key and val within an epoch of the mailbox, and by the item's own id after the
//! mailbox began anew. Each epoch is another *life*, numbered from 0, since epochs themselves have no order; an item that comes
//! again in a later life moves there.
//!
//! One process at a time may have the file open.

use anyhow::{Context, Result, ensure};
use longlink::sync::Epoch;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, Table, TableDefinition, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::Path;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const ITEMS: TableDefinition<(u16, u32, u64), &[u8]> = TableDefinition::new("items");
const PLACES: TableDefinition<u64, (u16, u32, u64)> = TableDefinition::new("places");

/// Items and cursor of one device.
pub(crate) struct Inbox(Database);

/// One item, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: u16,
    pub(crate) val: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What is in an item, as far as it is what this server's items are.
#[derive(Deserialize)]
struct Content {
    id: u64,
    from: String,
    to: String,
    text: Option<String>,
}

impl Inbox {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let open = || Self::new(Database::builder().set_cache_size(CACHE).create(path)?);
        open().with_context(|| format!("cannot open the inbox {}", path.display()))
    }

    /// Opens the file, which is there.
    pub(crate) fn open_existing(path: &Path) -> Result<Self> {
        let open = || Self::new(Database::builder().set_cache_size(CACHE).open(path)?);
        open().with_context(|| format!("cannot open the inbox {}", path.display()))
    }

    /// An inbox that lasts as long as the process.
    pub(crate) fn in_memory() -> Result<Self> {
        Self::on(InMemoryBackend::new())
    }

    /// An inbox on whatever takes bytes.
    pub(crate) fn on(bytes: impl StorageBackend) -> Result<Self> {
        Self::new(Database::builder().set_cache_size(CACHE).create_with_backend(bytes)?)
    }

    fn new(db: Database) -> Result<Self> {
        let txn = db.begin_write()?;
        txn.open_table(META)?;
        txn.open_table(ITEMS)?;
        txn.open_table(PLACES)?;
        txn.commit()?;
        Ok(Self(db))
    }

    /// The device that it belongs to, if it does to any.
    pub(crate) fn device(&self) -> Result<Option<NonZeroU64>> {
        let bytes = self.meta("device")?;
        Ok(bytes.and_then(|bytes| NonZeroU64::new(u64::from_be_bytes(*bytes.first_chunk()?))))
    }

    /// It belongs to this device from here on. Another's would get what that one acknowledged, which is nothing.
    pub(crate) fn claim(&self, account: &str, device: NonZeroU64) -> Result<()> {
        let owner = (self.meta("account")?, self.device()?);
        if owner == (None, None) {
            let txn = self.0.begin_write()?;
            let mut meta = txn.open_table(META)?;
            meta.insert("account", account.as_bytes())?;
            meta.insert("device", &device.get().to_be_bytes()[..])?;
            drop(meta);
            return Ok(txn.commit()?);
        }
        let is_its = owner == (Some(account.into()), Some(device));
        let account = owner.0.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let number = owner.1.map_or(0, NonZeroU64::get);
        ensure!(
            is_its,
            "the inbox belongs to device {number} of account {account:?}: give --account and --device as then"
        );
        Ok(())
    }

    /// How far the items go.
    pub(crate) fn cursor(&self) -> Result<Option<Vec<u8>>> {
        self.meta("cursor")
    }

    /// Stores a page durably, and returns those of its items that were not there already. `dropped` are the keys whose items
    /// count for nothing any more.
    pub(crate) fn store(&self, epoch: Epoch, dropped: &[u16], items: Vec<Item>, cursor: &[u8]) -> Result<Vec<Item>> {
        let txn = self.0.begin_write()?;
        let mut page = Page::open(&txn, epoch)?;
        for key in dropped {
            page.forget(*key)?;
        }
        let mut new = Vec::new();
        for item in items {
            if page.add(&item)? {
                new.push(item);
            }
        }
        page.meta.insert("cursor", cursor)?;
        drop(page);
        txn.commit()?;
        Ok(new)
    }

    /// Gives `each` all items, in the order of key, life of the mailbox, and val.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Item)) -> Result<()> {
        for item in self.0.begin_read()?.open_table(ITEMS)?.iter()? {
            let (place, bytes) = item?;
            let (key, _, val) = place.value();
            each(&Item { key, val, bytes: bytes.value().into() });
        }
        Ok(())
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.begin_read()?.open_table(META)?.get(name)?.map(|bytes| bytes.value().into()))
    }
}

impl Item {
    /// The line that tells of it.
    pub(crate) fn line(&self) -> Value {
        let (key, val) = (self.key, self.val);
        match self.content() {
            Some(Content { id, from, to, text }) => json!({"event": "item", "key": key, "val": val, "id": id,
                "from": from, "to": to, "text": text}),
            None => json!({"event": "item", "key": key, "val": val, "from": null, "text": null}),
        }
    }

    fn content(&self) -> Option<Content> {
        serde_json::from_slice(&self.bytes).ok()
    }
}

/// The tables, while a page goes in.
struct Page<'t> {
    life: u32,
    meta: Table<'t, &'static str, &'static [u8]>,
    items: Table<'t, (u16, u32, u64), &'static [u8]>,
    places: Table<'t, u64, (u16, u32, u64)>,
}

impl<'t> Page<'t> {
    fn open(txn: &'t WriteTransaction, epoch: Epoch) -> Result<Self> {
        let mut meta = txn.open_table(META)?;
        let known = meta.get("epoch")?.map(|epoch| epoch.value().to_vec());
        let life = meta.get("life")?.and_then(|life| Some(u32::from_be_bytes(*life.value().first_chunk()?)));
        let number = epoch.get().to_be_bytes();
        let life = match (known, life) {
            (Some(known), Some(life)) if known == number => life,
            (Some(_), Some(life)) => life.saturating_add(1),
            _ => 0,
        };
        meta.insert("epoch", &number[..])?;
        meta.insert("life", &life.to_be_bytes()[..])?;
        Ok(Self { life, meta, items: txn.open_table(ITEMS)?, places: txn.open_table(PLACES)? })
    }

    /// `false` if the item is there already.
    fn add(&mut self, item: &Item) -> Result<bool> {
        let place = (item.key, self.life, item.val);
        if self.items.get(place)?.is_some() {
            return Ok(false);
        }
        let mut is_new = true;
        if let Some(Content { id, .. }) = item.content() {
            let earlier = self.places.insert(id, place)?.map(|place| place.value());
            if let Some(earlier) = earlier {
                is_new = self.items.remove(earlier)?.is_none();
            }
        }
        self.items.insert(place, item.bytes.as_slice())?;
        Ok(is_new)
    }

    fn forget(&mut self, key: u16) -> Result<()> {
        self.items.retain_in((key, 0, 0)..=(key, u32::MAX, u64::MAX), |_, _| false)?;
        self.places.retain(|_, (other, ..)| other != key)?;
        Ok(())
    }
}

/// The pages of the file that are kept in memory, in bytes.
const CACHE: usize = 16 << 20;
