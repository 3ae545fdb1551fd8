use crate::Instant;
use crate::fuzzing::input::Input;
use crate::session::{Client, Event};
use crate::sync::{Item, Receipt, Rejected, Row, SyncKeys};

/// As many keys as a device has room for.
pub(super) const KEYS: usize = 8;
const LONGEST_RECEIPT: usize = 20 + 12 * KEYS;
const LONGEST_CURSOR: usize = 8 + 12 * KEYS;

/// What the application of a device does with its mailbox.
#[derive(Default)]
pub(super) struct Inbox {
    page: Option<Held>,
    /// The cursor, which is stored.
    cursor: SyncKeys<[Row; KEYS]>,
}

/// A page that is out.
struct Held {
    id: u32,
    receipt: [u8; LONGEST_RECEIPT],
    length: usize,
    /// The key and val of its first item.
    first: Option<(u16, u64)>,
}

impl Held {
    fn receipt(&self) -> Receipt<'_> {
        Receipt::from_bytes(self.id, &self.receipt[..self.length]).unwrap()
    }
}

impl Inbox {
    /// Most pages are stored at once.
    pub(super) fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: &Event<'_>) {
        let Event::Page(page) = event else { return };
        assert!(self.page.is_none(), "two pages are out");
        let mut held = Held { id: page.id(), receipt: [0; LONGEST_RECEIPT], length: 0, first: None };
        let receipt = page.receipt();
        held.length = receipt.bytes().len();
        held.receipt[..held.length].copy_from_slice(receipt.bytes());
        held.first = page.items().next().map(|item| (item.key, item.val));
        self.page = Some(held);
        if page.id() % 4 != 0 {
            self.commit(now, client, false);
        }
    }

    pub(super) fn happen(&mut self, which: u8, now: Instant, client: &mut Client<'_>, input: &mut Input<'_>) {
        match which {
            0 | 1 => client.sync(now),
            2 => self.commit(now, client, false),
            3 => self.commit(now, client, true),
            4 => self.reject(now, client),
            5 => {
                self.page = None;
                client.abandon(now);
            }
            6 => {
                if client.restore_cursor(input.bytes()).is_ok() {
                    self.adopt(client);
                }
            }
            _ => {
                let receipt = input.bytes();
                if let Ok(receipt) = Receipt::from_bytes(input.wide(), receipt) {
                    let _ = client.cursor_after(&receipt, &mut [0; LONGEST_CURSOR]);
                    assert!(self.page.is_some() || client.commit(now, &receipt).is_err());
                }
            }
        }
    }

    /// All of the page is stored, or only its first item.
    fn commit(&mut self, now: Instant, client: &mut Client<'_>, part: bool) {
        let Some(held) = self.page.take() else { return };
        let first = held.first.filter(|_| part).map(|(key, val)| Item::new(key, val, 0, &[]));
        let receipt = first.map_or(held.receipt(), |first| held.receipt().up_to(&first));
        let mut after = [0; LONGEST_CURSOR];
        let length = client.cursor_after(&receipt, &mut after).unwrap();
        client.commit(now, &receipt).unwrap();
        assert!(client.commit(now, &receipt).is_err(), "a page is committed once");
        self.adopt(client);
        let mut said = SyncKeys::<[Row; KEYS]>::new();
        if client.cursor().is_some() {
            said.decode(&after[..length]).unwrap();
        }
        assert!(is_same(&said, &self.cursor), "the cursor is what was said that it would be");
    }

    fn reject(&mut self, now: Instant, client: &mut Client<'_>) {
        let Some(held) = self.page.take_if(|held| held.first.is_some()) else { return };
        let Some((key, val)) = held.first else { return };
        let rejected = client.reject(now, &held.receipt(), &Item::new(key, val, 0, &[])).unwrap();
        if rejected == Rejected::Passed {
            self.adopt(client);
        }
    }

    /// Another process goes on, with the cursor that is stored; a page that was out is forgotten.
    pub(super) fn restart(&mut self, client: &mut Client<'_>) {
        let mut bytes = [0; LONGEST_CURSOR];
        let length = self.cursor.encode(&mut bytes).unwrap();
        client.restore_cursor(&bytes[..length]).unwrap();
        self.adopt(client);
    }

    fn adopt(&mut self, client: &Client<'_>) {
        (self.page, self.cursor) = (None, cursor(client));
    }

    pub(super) fn check(&self, client: &Client<'_>) {
        assert!(is_same(&cursor(client), &self.cursor), "the cursor moved by itself");
        assert!(self.page.is_none() || !client.is_caught_up());
    }
}

fn cursor(client: &Client<'_>) -> SyncKeys<[Row; KEYS]> {
    let mut keys = SyncKeys::new();
    if let Some(now) = client.cursor() {
        let mut bytes = [0; LONGEST_CURSOR];
        let length = now.encode(&mut bytes).unwrap();
        keys.decode(&bytes[..length]).unwrap();
    }
    keys
}

fn is_same(one: &SyncKeys<[Row; KEYS]>, other: &SyncKeys<[Row; KEYS]>) -> bool {
    one.epoch() == other.epoch() && one.entries().eq(other.entries())
}
