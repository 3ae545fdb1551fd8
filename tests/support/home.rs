//! A device with a store and a service with a mailbox, both real, joined by a network.

use super::Random;
use super::pair::{Pair, Side};
use super::phone::with;
use super::pipe::{Pipe, Weather};
use super::sync::Kept;
use longlink::Instant;
use longlink::delivery::{Ledger, Slot};
use longlink::session::{Client, Event, Link, Server, ServerConfig, ServerEvent, Work};
use longlink::sync::{self, Epoch, FETCH, Fetch, FetchReply, FetchStatus, Memory, RingMailbox, RingStorage, Row};
use longlink::wire::{Decoder, Dialect};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The service: its mailbox, and what it was asked.
pub struct Desk {
    pub mailbox: RingMailbox<'static>,
    ledger: Ledger,
    pub asked: usize,
    pub acked: usize,
    /// Acknowledgements are lost.
    pub loses_acks: bool,
    /// Its store fails.
    pub is_broken: bool,
}

/// The device's store, and what its application was told.
#[derive(Default)]
pub struct Store {
    pub items: BTreeMap<(u32, u16, u64), Vec<u8>>,
    /// In the order in which they were stored.
    pub order: Vec<(u32, u16, u64)>,
    pub repeats: usize,
    pub cursor: Vec<u8>,
    pub lines: Vec<String>,
    /// So many pages cannot be stored.
    pub fails: usize,
    /// What is still to be fetched of a page that is out, before it is committed.
    fetching: Option<(Kept, usize)>,
}

pub type Shared<T> = Rc<RefCell<T>>;

pub struct Home {
    pub pair: Pair<Client<'static>, Vec<u8>, Server<'static, Vec<u8>>, Vec<u8>>,
    pub desk: Shared<Desk>,
    pub store: Shared<Store>,
    weather: Weather,
    random: Random,
    device: u64,
}

pub fn desk() -> Shared<Desk> {
    let storage = Box::leak(Box::new(RingStorage::<512, 262_144, 32, 4>::new()));
    Rc::new(RefCell::new(Desk {
        mailbox: storage.mailbox(Epoch::FIRST),
        ledger: Ledger::default(),
        asked: 0,
        acked: 0,
        loses_acks: false,
        is_broken: false,
    }))
}

impl Home {
    pub fn new(config: sync::Config<'static>, rx: usize, weather: Weather, seed: u64) -> Self {
        Self::at(&desk(), 7, config, rx, weather, seed)
    }

    /// With a mailbox that others have too; connected at 0.
    pub fn at(
        desk: &Shared<Desk>,
        device: u64,
        config: sync::Config<'static>,
        rx: usize,
        weather: Weather,
        seed: u64,
    ) -> Self {
        let store = Rc::new(RefCell::new(Store::default()));
        let config = Box::leak(Box::new(with(config)));
        let tx = Box::leak(vec![0; 2_048].into_boxed_slice());
        let slots = Box::leak(vec![Slot::FREE; 16].into_boxed_slice());
        let memory: &mut Memory = Box::leak(Box::new(Memory::<[Row; 32]>::new()));
        let client = Client::new(config, Work { rx, tx, slots, sync: Some(memory), dialer: None }).unwrap();
        let mut link = Link::new(Decoder::new(config.dialect, vec![0; rx]).unwrap(), client);
        link.handle_connected(Instant::ZERO);
        let kept = store.clone();
        let left = Side::new(link, Box::new(move |now, client, event| kept.borrow_mut().hear(now, client, event)));
        let right = accepting(desk, device, Instant::ZERO);
        let pair = Pair::new(left, right, weather, seed);
        Self { pair, desk: desk.clone(), store, weather, random: Random(seed), device }
    }

    pub fn run(&mut self, millis: u64) {
        let end = self.pair.now + Duration::from_millis(millis);
        loop {
            let left = end - self.pair.now;
            while self.pair.left.over.is_none() && self.pair.step(end) {}
            self.pair.settle();
            if self.pair.left.over.is_none() {
                return;
            }
            if left.is_zero() {
                return;
            }
            self.connect();
        }
    }

    /// The connection is lost, and the next one is there.
    pub fn cut(&mut self) {
        let now = self.pair.now;
        self.pair.left.link.handle_disconnected(now, longlink::session::Disconnect::Transport);
        self.connect();
    }

    fn connect(&mut self) {
        let now = self.pair.now;
        let seed = self.random.next();
        (self.pair.up, self.pair.down) = (Pipe::new(self.weather, seed), Pipe::new(self.weather, !seed));
        self.pair.right = accepting(&self.desk, self.device, now);
        self.pair.left.over = None;
        self.pair.left.link.handle_connected(now);
    }

    pub fn append(&mut self, key: u16, bytes: &[u8]) -> u64 {
        let val = self.desk.borrow_mut().mailbox.append(key, 0, bytes).unwrap();
        self.notify(key, val);
        val
    }

    pub fn notify(&mut self, key: u16, val: u64) {
        let (now, epoch) = (self.pair.now, self.desk.borrow().mailbox.epoch());
        self.pair.right.link.endpoint_mut().notify(now, epoch, key, val);
    }

    /// What is stored of the epoch that is in force.
    pub fn stored(&self) -> Vec<(u16, u64)> {
        let epoch = self.desk.borrow().mailbox.epoch().get();
        let store = self.store.borrow();
        store.items.keys().filter(|(e, ..)| *e == epoch).map(|(_, key, val)| (*key, *val)).collect()
    }

    pub fn count(&self, line: &str) -> usize {
        self.store.borrow().lines.iter().filter(|told| told.starts_with(line)).count()
    }
}

fn accepting(desk: &Shared<Desk>, device: u64, now: Instant) -> Side<Server<'static, Vec<u8>>, Vec<u8>> {
    let config: &'static ServerConfig = &ServerConfig::DEFAULT;
    let mut server = Server::new(config, now).unwrap();
    server.lend(vec![0; 70_000]).unwrap();
    let link = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 4_096]).unwrap(), server);
    let desk = desk.clone();
    Side::new(link, Box::new(move |now, server, event| desk.borrow_mut().hear(device, now, server, event)))
}

impl Desk {
    fn hear(&mut self, device: u64, now: Instant, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(hello) => {
                let mut one_of_many = Ledger::default();
                let ledger = if device == 7 { &mut self.ledger } else { &mut one_of_many };
                let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                server.welcome(now, ledger, greeted.resumed).unwrap();
            }
            ServerEvent::Sync { sequence, request } => {
                self.asked += 1;
                if self.is_broken {
                    let answered = server.answer_sync(now, sequence, &request, &mut super::booth::Broken).unwrap();
                    assert!(answered.error.is_some());
                } else {
                    server.answer_sync(now, sequence, &request, &mut self.mailbox.device(device, now)).unwrap();
                }
            }
            ServerEvent::SyncDone(ack) => {
                self.acked += 1;
                if !self.loses_acks {
                    sync::acknowledge(&ack, &mut self.mailbox.device(device, now)).unwrap();
                }
            }
            ServerEvent::Fetch { sequence, fetch } => {
                server.answer_fetch(now, sequence, &fetch, &mut self.mailbox.device(device, now)).unwrap();
            }
            ServerEvent::Offline(_) | ServerEvent::GoAway(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

impl Store {
    fn hear(&mut self, now: Instant, client: &mut Client<'static>, event: Event<'_>) {
        let line = match event {
            Event::Page(page) => {
                let kept = Kept::of(&page);
                if self.fails > 0 {
                    self.fails -= 1;
                    client.abandon(now);
                    "abandoned".into()
                } else {
                    self.go_on(now, client, kept, 0);
                    "page".into()
                }
            }
            Event::Reply { frame, .. } => {
                if let Some((mut page, at)) = self.fetching.take() {
                    let item = &mut page.items[at];
                    let fetch = fetch_of(&page.receipt, item);
                    let reply = FetchReply::decode(frame.body(), &fetch).unwrap();
                    assert_eq!(reply.status, FetchStatus::Ok);
                    item.bytes.extend(reply.bytes);
                    self.go_on(now, client, page, at);
                }
                "fetched".into()
            }
            Event::Online { .. } => {
                if let Some((page, at)) = self.fetching.take() {
                    self.go_on(now, client, page, at);
                }
                "online".into()
            }
            Event::CaughtUp => "caught up".into(),
            other => format!("{other:?}"),
        };
        self.lines.push(line);
    }

    /// Fetches what is missing of the page from this item on; when all is there the page is stored, and committed.
    fn go_on(&mut self, now: Instant, client: &mut Client<'static>, page: Kept, from: usize) {
        let missing = |item: &super::sync::Thing| item.total.is_some_and(|total| item.bytes.len() < total as usize);
        if let Some(at) = (from..page.items.len()).find(|at| missing(&page.items[*at])) {
            let fetch = fetch_of(&page.receipt, &page.items[at]);
            if client.is_online() {
                client.request(now, FETCH, &fetch.to_bytes()).unwrap();
            }
            self.fetching = Some((page, at));
            return;
        }
        let receipt = page.receipt();
        let epoch = receipt.epoch().get();
        for item in &page.items {
            let name = (epoch, item.key, item.val);
            match self.items.insert(name, item.bytes.clone()) {
                None => self.order.push(name),
                Some(before) => {
                    self.repeats += 1;
                    assert_eq!(before, item.bytes, "{name:?} came in another form");
                }
            }
        }
        let mut cursor = vec![0; 1_000];
        let length = client.cursor_after(&receipt, &mut cursor).unwrap();
        cursor.truncate(length);
        self.cursor = cursor;
        client.commit(now, &receipt).unwrap();
        let mut committed = vec![0; 1_000];
        let length = client.cursor().unwrap().encode(&mut committed).unwrap();
        assert_eq!(self.cursor, committed[..length]);
    }
}

fn fetch_of(receipt: &[u8], item: &super::sync::Thing) -> Fetch {
    let epoch = u32::from_be_bytes(receipt[4..8].try_into().unwrap());
    Fetch::new(item.key, Epoch::new(epoch).unwrap(), item.val, item.bytes.len() as u32, 256)
}
