//! The client's side of its mailbox: each page goes into the inbox, with the items whole, and then counts as stored.
//!
//! ```text
//!   page ──▶ its stubs are fetched ──▶ inbox, durably ──▶ commit ──▶ told
//! ```
//!
//! A page that is not committed comes again, so nothing is lost wherever this ends; and what comes again is known. Needs
//! `inbox.rs` as its sibling module.

use super::inbox::{Inbox, Item};
use anyhow::{Context, Result, bail};
use longlink::Instant;
use longlink::delivery::Token;
use longlink::session::{Client, SendError};
use longlink::sync::{Entry, Epoch, FETCH, Fetch, FetchReply, FetchStatus, MAX_KEYS, Page, Receipt};
use serde_json::{Value, json};
use std::num::NonZeroU64;

/// Where the items go, and the page that is on its way there.
pub(crate) struct Syncing {
    inbox: Inbox,
    page: Option<Held>,
    /// The longest answer that can be received.
    longest: u32,
    /// The server has no mailbox.
    is_refused: bool,
}

/// No item is longer than the message that it was: a frame, and what makes JSON of it.
const LONGEST_ITEM: u32 = 1 << 20;

/// A page, copied out of the receive buffer.
struct Held {
    id: u32,
    receipt: Vec<u8>,
    items: Vec<Part>,
    /// What is under way.
    fetch: Option<(Token, Fetch)>,
    /// Nothing is asked for before then.
    not_before: Option<Instant>,
}

/// An item, and how long it is in all.
struct Part {
    item: Item,
    total: u32,
}

impl Syncing {
    pub(crate) fn new(inbox: Inbox, longest: u32) -> Self {
        Self { inbox, page: None, longest, is_refused: false }
    }

    /// Makes the inbox this device's, and has the client go on from there, if there is anything.
    pub(crate) fn restore(&self, client: &mut Client<'_>, account: &str, device: NonZeroU64) -> Result<()> {
        self.inbox.claim(account, device)?;
        if let Some(cursor) = self.inbox.cursor()? {
            client.restore_cursor(&cursor).context("cannot go on from the inbox")?;
        }
        Ok(())
    }

    /// The page is taken; what becomes of it is up to [`act`](Self::act).
    pub(crate) fn handle_page(&mut self, page: &Page<'_>) {
        let items = page.items().map(|item| {
            let total = item.total.unwrap_or_default();
            Part { item: Item { key: item.key, val: item.val, bytes: item.bytes.into() }, total }
        });
        let receipt = page.receipt().bytes().into();
        let held = Held { id: page.id(), receipt, items: items.collect(), fetch: None, not_before: None };
        self.page = Some(held);
    }

    /// Stores the page that is there once it is whole, and returns what there is to tell.
    pub(crate) fn act(&mut self, now: Instant, client: &mut Client<'_>) -> Result<Vec<Value>> {
        let Some(page) = &mut self.page else { return Ok(Vec::new()) };
        if let Some(stub) = page.items.iter().find(|part| part.is_stub()) {
            if page.fetch.is_none() && page.not_before.is_none_or(|at| at <= now) {
                let receipt = Receipt::from_bytes(page.id, &page.receipt)?;
                let fetch = stub.fetch(receipt.epoch(), self.longest);
                page.fetch = match client.request(now, FETCH, &fetch.to_bytes()) {
                    Ok(token) => Some((token, fetch)),
                    // Another time.
                    Err(SendError::Offline | SendError::TooMany | SendError::Full { .. } | SendError::Closing) => None,
                    Err(error) => bail!("cannot ask for the rest of an item: {error}"),
                };
            }
            return Ok(Vec::new());
        }
        match self.page.take() {
            Some(page) => self.store(now, client, page),
            None => Ok(Vec::new()),
        }
    }

    fn store(&self, now: Instant, client: &mut Client<'_>, page: Held) -> Result<Vec<Value>> {
        let receipt = Receipt::from_bytes(page.id, &page.receipt)?;
        let lines = receipt.vals().flat_map(|entry| tell(&entry, client)).collect::<Vec<_>>();
        let reset = receipt.is_reset().then(|| json!({"event": "reset", "epoch": receipt.epoch().get()}));
        let dropped: Vec<_> = receipt.vals().filter(|entry| entry.resets).map(|entry| entry.key).collect();
        let mut cursor = [0; 8 + 12 * MAX_KEYS];
        let length = client.cursor_after(&receipt, &mut cursor)?;
        let cursor = cursor.get(..length).unwrap_or_default();
        let items = page.items.into_iter().map(|part| part.item).collect();
        let new = match self.inbox.store(receipt.epoch(), &dropped, items, cursor) {
            Ok(new) => new,
            Err(error) => {
                client.abandon(now);
                return Err(error.context("cannot store what came"));
            }
        };
        client.commit(now, &receipt)?;
        Ok(reset.into_iter().chain(lines).chain(new.iter().map(Item::line)).collect())
    }

    /// A request was answered. `false` if it is none of these.
    pub(crate) fn handle_reply(&mut self, now: Instant, client: &mut Client<'_>, token: Token, body: &[u8]) -> bool {
        let Some(page) = &mut self.page else { return false };
        let Some((_, fetch)) = page.fetch.take_if(|(asked, _)| *asked == token) else { return false };
        match FetchReply::decode(body, &fetch) {
            Ok(reply) if reply.status == FetchStatus::RetryLater => page.not_before = Some(now + reply.retry_after),
            Ok(reply) if matches!(reply.status, FetchStatus::Ok | FetchStatus::Gone) => page.add(&fetch, &reply),
            other => {
                eprintln!("client: an item cannot be had: {other:?}");
                // The next page tells how things are.
                self.page = None;
                client.abandon(now);
            }
        }
        true
    }

    /// A request ended without an answer. `false` if it is none of these.
    pub(crate) fn handle_failed(&mut self, token: Token) -> bool {
        let fetch = self.page.as_mut().and_then(|page| page.fetch.take_if(|(asked, _)| *asked == token));
        fetch.is_some()
    }

    /// The server does not know what a mailbox is.
    pub(crate) fn handle_refused(&mut self) {
        self.is_refused = true;
    }

    /// When there is something to do again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.page.as_ref()?.not_before
    }

    /// All that can be had is here.
    pub(crate) fn is_over(&self, client: &Client<'_>) -> bool {
        self.is_refused || client.is_caught_up()
    }
}

impl Held {
    /// What is gone ends where it is.
    fn add(&mut self, fetch: &Fetch, reply: &FetchReply<'_>) {
        let is_it = |part: &&mut Part| (part.item.key, part.item.val) == (fetch.key, fetch.val);
        if let Some(part) = self.items.iter_mut().find(is_it) {
            part.item.bytes.extend(reply.bytes);
            part.total = reply.total;
        }
        self.not_before = None;
    }
}

impl Part {
    /// Of an item that claims to be longer than any here is, only so much is gathered.
    fn is_stub(&self) -> bool {
        self.length() < self.total.min(LONGEST_ITEM)
    }

    fn fetch(&self, epoch: Epoch, longest: u32) -> Fetch {
        Fetch::new(self.item.key, epoch, self.item.val, self.length(), longest)
    }

    fn length(&self) -> u32 {
        u32::try_from(self.item.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// What there is to say of a key: where things are gone for good, or all begin anew.
fn tell(entry: &Entry, client: &Client<'_>) -> Vec<Value> {
    let after = client.cursor().map_or(0, |cursor| cursor.val(entry.key));
    let reset = entry.resets.then(|| json!({"event": "reset", "key": entry.key}));
    let gap = entry.has_gap.then(|| json!({"event": "gap", "key": entry.key, "after": after}));
    reset.into_iter().chain(gap).collect()
}
