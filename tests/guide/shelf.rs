//! A mailbox that is made up from a page, so that the library writes the page once more.

use longlink::sync::{self, Acked, Entries, Epoch, Item, Mailbox, Page, Request};
use std::convert::Infallible;
use std::ops::ControlFlow;

struct Key {
    key: u16,
    /// What the device asks with.
    asked: u64,
    floor: u64,
    head: u64,
}

struct Shelf<'f> {
    epoch: Epoch,
    keys: Vec<Key>,
    items: Vec<Item<'f>>,
}

/// The page as the library writes it, for a device that asked with what leads to it.
pub fn page(page: &Page<'_>) -> Vec<u8> {
    let keys = page.entries().map(|entry| {
        let first = page.items().find(|item| item.key == entry.key).map_or(entry.val, |item| item.val);
        let (asked, floor) = match (entry.resets, entry.has_gap) {
            (true, _) => (entry.val + 1, 0),
            (false, true) => (0, first - 1),
            (false, false) => (first.saturating_sub(1), 0),
        };
        Key { key: entry.key, asked, floor, head: entry.val }
    });
    let mut shelf = Shelf { epoch: page.epoch(), keys: keys.collect(), items: page.items().collect() };
    // What is left out comes behind all that is there.
    if page.has_more() && !page.is_reset() {
        shelf.keys.push(Key { key: u16::MAX, asked: 0, floor: 0, head: 1 });
        shelf.items.push(Item::new(u16::MAX, 1, 0, b""));
    }
    let rows: Vec<u8> = shelf.keys.iter().flat_map(row).collect();
    let body = [&[1, 0, 0, shelf.keys.len() as u8][..], &1_u32.to_be_bytes(), &rows].concat();
    let entries = sync::Ack::decode(&body).unwrap().entries;
    let asked = request(page, entries);
    let mut out = [0; 1_024];
    let answered = sync::answer(&asked, &mut shelf, &mut out).unwrap();
    out[..answered.length].to_vec()
}

fn row(key: &Key) -> Vec<u8> {
    [&key.key.to_be_bytes()[..], &[0, 0], &key.asked.to_be_bytes()].concat()
}

fn request<'a>(page: &Page<'_>, entries: Entries<'a>) -> Request<'a> {
    let epoch = match (page.is_reset(), page.has_more() && page.items().len() == 0) {
        (true, _) => page.epoch().get().checked_add(1).and_then(Epoch::new),
        (false, true) => None,
        (false, false) => Some(page.epoch()),
    };
    let items = u16::try_from(page.items().len()).unwrap().max(1);
    Request { epoch, max_items: items, entries, ..Request::DEFAULT }
}

impl Mailbox for Shelf<'_> {
    type Error = Infallible;

    fn epoch(&mut self) -> Result<Epoch, Infallible> {
        Ok(self.epoch)
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Infallible> {
        let keys = self.keys.iter().map(|key| key.key);
        Ok(keys.filter(|key| after.is_none_or(|after| *key > after)).min())
    }

    fn head(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(self.keys.iter().find(|known| known.key == key).map_or(0, |known| known.head))
    }

    fn floor(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(self.keys.iter().find(|known| known.key == key).map_or(0, |known| known.floor))
    }

    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Infallible> {
        let _ = self.items.iter().filter(|item| item.key == key && item.val > after).try_for_each(|item| each(*item));
        self.head(key)
    }

    fn find(&mut self, _: u16, _: u64, _: &mut dyn FnMut(Item<'_>)) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn acked(&mut self, _: &Acked<'_>) -> Result<(), Infallible> {
        Ok(())
    }
}
