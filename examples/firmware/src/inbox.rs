//! What came from the mailbox: items of a fixed number and length, and the cursor behind them, in RAM. On flash it is the
//! same: the items, then the cursor, and a page that was not finished does not count.

use heapless::Vec;
use longlink::session::Client;
use longlink::sync::{self, Epoch, Page};

/// How many items there is room for, and how long each may be.
const ITEMS: usize = 16;
const LONGEST: usize = 96;
/// A cursor of 8 keys.
const CURSOR: usize = 8 + 12 * 8;

pub struct Inbox {
    items: Vec<Item, ITEMS>,
    cursor: Vec<u8, CURSOR>,
}

/// Its name is epoch, key and val. Of one that is longer than a page only the start is here; `sync::Fetch` gets the rest.
pub struct Item {
    epoch: Epoch,
    pub key: u16,
    pub val: u64,
    /// The application has seen it.
    pub is_shown: bool,
    bytes: Vec<u8, LONGEST>,
}

impl Inbox {
    pub const fn new() -> Self {
        Self { items: Vec::new(), cursor: Vec::new() }
    }

    /// Everything in it, the oldest first.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn items_mut(&mut self) -> &mut [Item] {
        &mut self.items
    }

    /// For [`Client::restore_cursor`], after a restart, if it were on flash.
    pub fn cursor(&self) -> &[u8] {
        &self.cursor
    }

    /// Stores all items of the page, or none of them; what is void goes in any case. `false` if there is no room.
    pub fn store(&mut self, page: &Page<'_>, client: &Client<'_>) -> bool {
        for void in page.entries().filter(|entry| entry.resets) {
            self.items.retain(|item| item.key != void.key);
        }
        let before = self.items.len();
        let has_room = page.items().all(|item| self.put(page.epoch(), &item));
        // The cursor comes last.
        let mut cursor = [0; CURSOR];
        let written = client.cursor_after(&page.receipt(), &mut cursor);
        let cursor = written.ok().and_then(|length| Vec::from_slice(cursor.get(..length)?).ok());
        if let Some(cursor) = cursor.filter(|_| has_room) {
            self.cursor = cursor;
            return true;
        }
        self.items.truncate(before);
        false
    }

    /// An item that came before, in a page that was not committed, is known.
    fn put(&mut self, epoch: Epoch, item: &sync::Item<'_>) -> bool {
        let name = (epoch, item.key, item.val);
        if self.items.iter().any(|known| (known.epoch, known.key, known.val) == name) {
            return true;
        }
        let Ok(bytes) = Vec::from_slice(item.bytes) else { return false };
        self.items.push(Item { epoch, key: item.key, val: item.val, is_shown: false, bytes }).is_ok()
    }
}

impl Item {
    /// What stands behind `"text":`, in which there are no quotes here.
    pub fn text(&self) -> &str {
        let name = br#""text":""#;
        let at = self.bytes.windows(name.len()).position(|bytes| bytes == name).unwrap_or_default();
        let text = self.bytes.get(at.saturating_add(name.len())..).unwrap_or_default();
        let text = text.split(|byte| *byte == b'"').next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}
