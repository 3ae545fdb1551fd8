//! The device: the client, its application, what they store, and the wire to the mailbox.

use longlink::Instant;
use longlink::sync::{Client, Config, Memory, Receipt, Response, Row, SyncKeys};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

/// The memory of one process.
pub type Process = Memory<[Row; 2]>;

/// The longest body that is received.
pub const LONGEST: usize = 256;

/// A frame of sync, without its header.
#[derive(Clone, Debug)]
pub enum Frame {
    Request(u32, Vec<u8>),
    Ack(Vec<u8>),
    Response(u32, Vec<u8>),
    Notify(Vec<u8>),
}

/// What outlives a process.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The items, by the number that each has for good.
    pub items: BTreeSet<u8>,
    /// None at first.
    pub cursor: Option<Vec<u8>>,
}

/// Where the application is when its process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// So many items of the page are stored; without a page there are none.
    Items(u8),
    /// All items and the cursor are stored, and the page is not committed.
    Cursor,
}

pub struct Device<'m> {
    pub id: u64,
    pub client: Client<'m>,
    pub is_online: bool,
    pub up: VecDeque<Frame>,
    pub down: VecDeque<Frame>,
    /// What was under way on links that are gone.
    pub late_up: VecDeque<Frame>,
    pub late_down: VecDeque<Frame>,
    /// The page that is out: its number and its body.
    pub page: Option<(u32, Vec<u8>)>,
    pub stored: Stored,
    /// What was stored before the last page.
    pub backup: Stored,
    /// The items that were ever stored, or were gone when the mailbox came to know the device.
    pub had: BTreeSet<u8>,
    /// The keys of which something was said to be gone.
    pub gaps: BTreeSet<u16>,
    /// What was had when an older store took its place.
    pub forgot: BTreeSet<u8>,
    /// What was gone when the mailbox came to know the device.
    pub missed: BTreeSet<u8>,
    pub broken: Option<&'static str>,
    pub repeated: bool,
    pub requests: u32,
}

impl<'m> Device<'m> {
    pub fn new(id: u64, config: &'m Config<'m>, process: &'m mut Process) -> Self {
        Self {
            id,
            client: Client::new(config, process, id, LONGEST).unwrap(),
            is_online: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            late_up: VecDeque::new(),
            late_down: VecDeque::new(),
            page: None,
            stored: Stored::default(),
            backup: Stored::default(),
            had: BTreeSet::new(),
            gaps: BTreeSet::new(),
            forgot: BTreeSet::new(),
            missed: BTreeSet::new(),
            broken: None,
            repeated: false,
            requests: 0,
        }
    }

    pub fn connect(&mut self, now: Instant) {
        self.is_online = true;
        // The server that greets a device handles no frame of its older links any more.
        self.late_up.clear();
        self.client.handle_online(now);
    }

    /// The link is gone. What is under way may still come, when it must not matter any more.
    pub fn cut(&mut self) {
        if self.is_online {
            self.is_online = false;
            self.client.handle_disconnected();
            self.late_up.append(&mut self.up);
            self.late_down.append(&mut self.down);
        }
    }

    /// What the client wants to write is written.
    pub fn write(&mut self, now: Instant) {
        if let Some((sequence, fixed)) = self.client.poll_request() {
            if self.page.is_some() || !self.is_online {
                self.broken = Some("a request while a page is out, or without a link");
            }
            let body = [&fixed, self.client.rows()].concat();
            self.client.handle_request_sent(now);
            self.up.push_back(Frame::Request(sequence, body));
            self.requests += 1;
        }
        if let Some(fixed) = self.client.poll_ack() {
            let body = [&fixed, self.client.rows()].concat();
            self.client.handle_ack_sent();
            self.up.push_back(Frame::Ack(body));
        }
        if self.client.poll_request().is_some() || self.client.poll_ack().is_some() {
            self.broken = Some("more to be written than there was");
        }
    }

    pub fn receive(&mut self, now: Instant, frame: Frame) {
        match frame {
            Frame::Notify(body) => self.client.handle_notify(now, &body),
            Frame::Response(sequence, body) => {
                let was_out = self.page.is_some();
                let id = self.client.handle_response(now, sequence, &body).map(|page| page.id());
                if let Some(id) = id {
                    if was_out {
                        self.broken = Some("two pages are out");
                    }
                    self.page = Some((id, body));
                }
            }
            Frame::Request(..) | Frame::Ack(_) => unreachable!(),
        }
        while self.client.poll_event().is_some() {}
    }

    /// The application stores the page, its items first, up to `point`; and commits it, if it comes to that.
    pub fn apply(&mut self, now: Instant, point: Option<Point>) {
        let Some((id, body)) = self.page.take() else { return };
        let Ok(Response::Page(page)) = Response::decode(&body) else { unreachable!() };
        let receipt = Receipt::from_bytes(id, page.receipt().bytes()).unwrap();
        self.backup = self.stored.clone();
        let most = if let Some(Point::Items(most)) = point { most } else { u8::MAX };
        for item in page.items().take(most.into()) {
            self.repeated |= !self.stored.items.insert(item.bytes[0]);
            self.had.insert(item.bytes[0]);
        }
        if matches!(point, Some(Point::Items(_))) {
            return;
        }
        self.gaps.extend(page.entries().filter(|entry| entry.has_gap).map(|entry| entry.key));
        let mut cursor = vec![0; 64];
        cursor.truncate(self.client.cursor_after(&receipt, &mut cursor.clone()).unwrap());
        self.client.cursor_after(&receipt, &mut cursor).unwrap();
        self.stored.cursor = Some(cursor.clone());
        if point.is_none() {
            self.client.commit(now, &receipt).unwrap();
            let mut moved = vec![0; cursor.len()];
            if self.client.cursor(&mut moved) != Ok(cursor.len()) || moved != cursor {
                self.broken = Some("the cursor is not what was said that it would be");
            }
        }
    }

    /// How many items the page has that is out.
    pub fn items_of_page(&self) -> usize {
        let response = self.page.as_ref().map(|(_, body)| Response::decode(body));
        if let Some(Ok(Response::Page(page))) = response { page.items().count() } else { 0 }
    }

    /// The process ends, and another begins with what is stored.
    pub fn restart(&mut self, config: &'m Config<'m>, process: &'m mut Process) {
        self.cut();
        // Its links went with the process.
        self.late_down.clear();
        self.page = None;
        self.client = Client::new(config, process, self.id, LONGEST).unwrap();
        if let Some(cursor) = &self.stored.cursor {
            self.client.restore(cursor).unwrap();
        }
    }

    /// Another store takes the place of the one there was.
    pub fn forget(&mut self, stored: Stored) {
        self.stored = stored;
        self.forgot = self.had.clone();
    }

    /// The mailbox is asked for the first time, or again with nothing: these items are gone.
    pub fn begin(&mut self, gone: BTreeSet<u8>) {
        self.had = &self.stored.items | &gone;
        (self.forgot, self.missed) = (self.stored.items.clone(), gone);
    }

    /// The cursor that is stored.
    pub fn cursor(&self) -> SyncKeys<[Row; 2]> {
        let mut keys = SyncKeys::new();
        if let Some(cursor) = &self.stored.cursor {
            keys.decode(cursor).unwrap();
        }
        keys
    }

    /// What is to tell two states apart.
    pub fn fingerprint(&self, text: &mut String) {
        let Self { client, up, down, late_up, late_down, page, stored, backup, had, gaps, forgot, missed, .. } = self;
        write!(text, "{client:?} {up:?} {down:?} {late_up:?} {late_down:?} {page:?}").unwrap();
        write!(text, "{stored:?} {backup:?} {had:?} {gaps:?} {forgot:?} {missed:?} {}", self.broken.is_some()).unwrap();
    }

    /// Whether an item need not be here: it was gone before the device came, or went while it had it, and the device was told.
    pub fn may_lack(&self, item: u8, key: u16) -> bool {
        self.missed.contains(&item) || self.forgot.contains(&item) && self.gaps.contains(&key)
    }
}
