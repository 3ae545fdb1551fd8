use super::office::{Body, Office};
use super::{KEYS, LONGEST};
use crate::Instant;
use crate::fuzzing::input::Input;
use crate::sync::{
    Ack, BodyError, Client, Config, Page, Receipt, Rejected, Request, Response, Row, SyncError, SyncKeys, Told, Wanted,
};
use core::time::Duration;

type Cursor = SyncKeys<[Row; KEYS]>;

/// What outlives a process.
#[derive(Default)]
pub(super) struct Store {
    cursor: Option<Body>,
}

impl Store {
    /// Another process takes over what is stored, or, with 0, goes on in the memory of the one before; or something else is
    /// stored by then.
    pub(super) fn restart(&mut self, which: u8, input: &mut Input<'_>) {
        match which {
            0 => self.cursor = None,
            1 | 2 => self.cursor = Some(Body::of(&[input.bytes()])),
            _ => {}
        }
    }
}

/// The connecting side, with the application and the link that the input makes up.
pub(super) struct Device<'b, 's> {
    client: Client<'b>,
    config: &'b Config<'b>,
    store: &'s mut Store,
    is_online: bool,
    /// A request that is being written: it must not move.
    asking: Option<(u32, Body)>,
    /// The request and the ack that were written last.
    asked: Option<(u32, Body)>,
    acked: Option<Body>,
    /// The page that is out.
    page: Option<(u32, Body)>,
    before: Cursor,
}

impl<'b, 's> Device<'b, 's> {
    pub(super) fn new(mut client: Client<'b>, config: &'b Config<'b>, store: &'s mut Store) -> Self {
        if let Some(cursor) = &store.cursor {
            let before = snapshot(&client);
            if client.restore(cursor.as_bytes()).is_err() {
                assert!(same(&before, &snapshot(&client)), "what cannot be read changes nothing");
            }
        }
        let before = snapshot(&client);
        let (asking, asked, acked, page) = (None, None, None, None);
        Self { client, config, store, is_online: false, asking, asked, acked, page, before }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, heard: Option<Instant>) {
        let _ = self.client.handle_timeout(now, heard);
        assert!(self.client.poll_timeout().is_none_or(|at| at > now), "what is due stays due");
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, office: &mut Office<'_>, input: &mut Input<'_>) {
        match op {
            5 => {
                if !self.is_online {
                    self.is_online = true;
                    self.client.handle_online(now);
                }
            }
            6 => {
                self.is_online = false;
                self.client.handle_disconnected();
                (self.asking, office.answer) = (None, None);
            }
            7 => self.write(now, which == 0),
            8 => self.write_ack(),
            9 => {
                if let Some((sequence, request)) = &self.asked {
                    let room = if which == 0 { 2 * usize::from(input.number()) } else { LONGEST };
                    office.answer(now, *sequence, request.as_bytes(), room);
                }
            }
            10 => {
                if let Some(ack) = &self.acked {
                    office.acknowledge(now, ack.as_bytes());
                }
            }
            11 => {
                let Some((sequence, body)) = office.answer else { return };
                self.receive(now, sequence, &body, true);
            }
            12 => {
                let Some((sequence, mut body)) = office.answer else { return };
                body.spoil(which, input.number());
                self.receive(now, sequence, &body, false);
            }
            13 => {
                let sequence = self.asked.as_ref().map_or(0, |(sequence, _)| *sequence);
                let sequence = sequence.wrapping_sub(u32::from(which > 3));
                self.receive(now, sequence, &Body::of(&[input.bytes()]), false);
            }
            14 => {
                let sequence = self.asked.as_ref().map_or(0, |(sequence, _)| *sequence);
                self.client.handle_skipped(now, sequence.wrapping_add(which.into()));
            }
            15 => match which {
                0 => self.client.rebase(now),
                1 => while self.client.poll_event().is_some() {},
                2 => drop(self.client.handle_timeout(Instant::ZERO, None)),
                _ => self.client.want(now),
            },
            16 => self.client.handle_notify(now, office.notify.as_bytes()),
            17 => self.commit(which, now, input),
            18 => self.reject(which, now, input),
            _ => {
                if which == 0 {
                    // Not while there is a link.
                    let restored = self.client.restore(input.bytes()).is_ok();
                    assert!(!(restored && self.is_online));
                    if restored {
                        (self.before, self.page) = (snapshot(&self.client), None);
                    }
                } else {
                    self.page = None;
                    self.client.abandon(now);
                }
            }
        }
    }

    /// The request that is due, if one is; only begun with `part`.
    fn write(&mut self, now: Instant, part: bool) {
        let Some((sequence, fixed)) = self.client.poll_request() else { return };
        assert!(self.is_online && self.page.is_none(), "a request without a link, or while a page is out");
        let body = Body::of(&[&fixed, self.client.rows()]);
        let request = Request::decode(body.as_bytes()).unwrap();
        assert_eq!(request.epoch, self.client.keys().epoch());
        assert!(request.max_bytes as usize <= LONGEST && request.items() <= self.config.max_items);
        assert!(sequence > 0 && !self.client.is_awaiting(sequence));
        if self.asking.is_none() {
            let last = self.asked.as_ref().map_or(0, |(last, _)| *last);
            assert!(sequence > last && !self.client.is_awaiting(last), "two requests under way");
        }
        self.asking = Some((sequence, body));
        if !part {
            self.client.handle_request_sent(now);
            assert!(self.client.is_awaiting(sequence) && self.client.poll_request().is_none());
            self.asked = self.asking.take();
        }
    }

    fn write_ack(&mut self) {
        let Some(fixed) = self.client.poll_ack() else { return };
        assert!(self.is_online && !self.client.is_due());
        let body = Body::of(&[&fixed, self.client.rows()]);
        let ack = Ack::decode(body.as_bytes()).unwrap();
        assert_eq!(Some(ack.epoch), self.client.keys().epoch());
        self.client.handle_ack_sent();
        assert!(self.client.poll_ack().is_none());
        self.acked = Some(body);
    }

    /// An answer comes. An `honest` one is what the mailbox says, and cannot be wrong.
    fn receive(&mut self, now: Instant, sequence: u32, body: &Body, honest: bool) {
        let (awaits, last) = (self.client.is_awaiting(sequence), self.page.as_ref().map(|(id, _)| *id));
        while self.client.poll_event().is_some() {}
        let page = self.client.handle_response(now, sequence, body.as_bytes());
        assert!(!self.client.is_awaiting(sequence));
        if let Some(page) = &page {
            let is_asked = self.asked.as_ref().is_some_and(|(asked, _)| *asked == sequence);
            assert!(is_asked && awaits && last.is_none() && self.client.is_applying());
            self.look(page, body.as_bytes());
        }
        let page = page.map(|page| page.id());
        if let Some(id) = page {
            self.page = Some((id, *body));
        }
        for _ in 0..3 {
            match self.client.poll_event() {
                Some(Told::Failed(SyncError::Malformed(BodyError::TooManyKeys { .. }))) => {
                    assert_eq!(self.config.keys, Wanted::All);
                }
                Some(Told::Failed(SyncError::Malformed(_) | SyncError::OtherEpoch { .. })) => {
                    assert!(!honest, "what the mailbox says is not understood");
                }
                _ => {}
            }
        }
        assert!(self.client.poll_event().is_none(), "events without end");
    }

    /// A page is of what was received, and of what is wanted.
    fn look(&self, page: &Page<'_>, body: &[u8]) {
        let (start, end) = (body.as_ptr_range().start, body.as_ptr_range().end);
        for item in page.items() {
            let place = item.bytes.as_ptr_range();
            assert!(start <= place.start && place.end <= end, "an item outside of what was received");
            assert!(page.entries().any(|entry| entry.key == item.key && item.val <= entry.val));
        }
        let wanted = |key| if let Wanted::Listed(keys) = self.config.keys { keys.contains(&key) } else { true };
        assert!(page.entries().all(|entry| wanted(entry.key)), "a key that is not wanted");
        let mut out = [0; 8 + 12 * KEYS];
        assert!(self.client.cursor_after(&page.receipt(), &mut out).is_ok(), "a cursor that there is no room for");
    }

    fn commit(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let Some((id, body)) = self.page else {
            let stale = Body::of(&[&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
            let receipt = Receipt::from_bytes(input.number().into(), stale.as_bytes()).unwrap();
            assert!(self.client.commit(now, &receipt).is_err());
            return;
        };
        let page = page_of(id, &body);
        let whole = page.receipt();
        let receipt = match which {
            0 => whole.with_id(id.wrapping_add(1)),
            1 | 2 => page.items().nth(usize::from(input.number() % 4)).map_or(whole, |item| whole.up_to(&item)),
            _ => whole,
        };
        let (mut after, mut moved) = ([0; 8 + 12 * KEYS], [0; 8 + 12 * KEYS]);
        let length = self.client.cursor_after(&receipt, &mut after).unwrap();
        assert!(self.client.cursor_after(&receipt, &mut moved[..length - 1]).is_err());
        let committed = self.client.commit(now, &receipt);
        assert_eq!(committed.is_ok(), which > 0);
        if committed.is_ok() {
            assert_eq!(self.client.cursor(&mut moved), Ok(length));
            assert_eq!(moved[..length], after[..length], "the cursor is what was said that it would be");
            self.store.cursor = Some(Body::of(&[&after[..length]]));
            self.move_by(&receipt);
        }
    }

    fn reject(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let Some((id, body)) = self.page else { return };
        let page = page_of(id, &body);
        let Some(item) = page.items().nth(usize::from(input.number() % 4)) else { return };
        let receipt = page.receipt();
        if which == 0 {
            assert!(self.client.reject(now, &receipt.with_id(id.wrapping_add(1)), &item).is_err());
            return;
        }
        match self.client.reject(now, &receipt, &item).unwrap() {
            Rejected::AskedAgain => self.page = None,
            Rejected::Passed => {
                let passed = core::iter::from_fn(|| self.client.poll_event())
                    .any(|told| told == Told::Hole { key: item.key, val: item.val });
                assert!(passed, "an item was passed in silence");
                self.move_by(&receipt.up_to(&item));
            }
        }
    }

    /// The page is over, and the cursor has moved by it: no key back, unless it was reset.
    fn move_by(&mut self, receipt: &Receipt<'_>) {
        assert!(!self.client.is_applying() && self.client.keys().epoch() == Some(receipt.epoch()));
        let after = snapshot(&self.client);
        if self.before.epoch() == after.epoch() {
            for entry in self.before.entries() {
                let resets = receipt.vals().any(|row| row.key == entry.key && row.resets);
                assert!(resets || after.val(entry.key) >= entry.val, "key {} went back", entry.key);
            }
        }
        for row in receipt.vals() {
            let kept = if row.resets { 0 } else { self.before.val(row.key) };
            assert!(after.val(row.key) == row.val.max(kept) || self.before.epoch() != after.epoch());
        }
        (self.before, self.page) = (after, None);
    }

    pub(super) fn check(&mut self) {
        assert!(same(&self.before, &snapshot(&self.client)), "the cursor moved by itself");
        assert_eq!(self.client.is_applying(), self.page.is_some());
        if let Some((sequence, body)) = &self.asking {
            let (again, fixed) = self.client.poll_request().unwrap(); // what was begun is ended
            let same = *sequence == again && body.as_bytes() == Body::of(&[&fixed, self.client.rows()]).as_bytes();
            assert!(same, "a request moves while it is written");
        }
        let client = &self.client;
        let waits = client.is_due() || client.is_applying() || client.poll_timeout().is_some();
        assert!(waits || !self.is_online, "nothing will happen any more");
        assert!(!client.is_caught_up() || !client.is_applying());
    }

    /// Nothing goes wrong any more: the device gets all that there is for it.
    pub(super) fn finish(&mut self, mut now: Instant, office: &mut Office<'_>) {
        let input = &mut Input(&[]);
        self.happen(6, 0, now, office, input);
        self.happen(5, 0, now, office, input);
        for _ in 0..400 {
            self.check();
            if self.page.is_some() {
                self.commit(7, now, input);
            } else if self.client.is_due() {
                self.write(now, false);
                if self.client.is_caught_up() {
                    // This one is for the mailbox to hold.
                    break;
                }
                self.happen(9, 1, now, office, input);
                self.happen(11, 0, now, office, input);
            } else if let Some(at) = self.client.poll_timeout().filter(|_| !self.client.is_caught_up()) {
                now = now.max(at) + Duration::from_millis(1);
                self.handle_timeout(now, None);
            } else {
                break;
            }
        }
        let keys = (0..16).filter(|key| office.mailbox.head(*key) > 0);
        // What is reset needs its row until then.
        let more = keys.clone().filter(|key| !self.client.keys().contains(*key)).count();
        let crowded = self.client.keys().len() + more > self.client.keys().capacity();
        let mut wanted = keys.filter(|key| match self.config.keys {
            Wanted::All => true,
            Wanted::Listed(listed) => listed.contains(key),
        });
        if !crowded || self.config.keys != Wanted::All {
            assert!(self.client.is_caught_up(), "never up to date");
            assert!(wanted.all(|key| self.client.keys().val(key) == office.mailbox.head(key)));
        }
    }
}

fn page_of(id: u32, body: &Body) -> Page<'_> {
    let Ok(Response::Page(page)) = Response::decode(body.as_bytes()) else { panic!("a page, and then none") };
    page.with_id(id)
}

fn snapshot(client: &Client<'_>) -> Cursor {
    let mut bytes = [0; 8 + 12 * KEYS];
    let length = client.cursor(&mut bytes).unwrap();
    let mut keys = Cursor::new();
    keys.decode(&bytes[..length]).unwrap();
    keys
}

fn same(one: &Cursor, other: &Cursor) -> bool {
    one.epoch() == other.epoch() && one.entries().eq(other.entries())
}
