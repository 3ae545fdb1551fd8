//! A device with all that a client does, and the service that it talks to, over one connection after the other.

use super::executor::Sleep;
use super::wire::{Habits, Wire};
use crate::support::native::DEVICE;
use crate::support::pair::Side;
use crate::support::pipe::Pipe;
use crate::support::sync::Kept;
use longlink::delivery::{Ledger, RequestPolicy, Slot, Token, Verdict};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Disconnect, Event, Identity, Link, Server, ServerConfig, ServerEvent, Work};
use longlink::sync::{self, Epoch, Memory, RingMailbox, RingStorage, Row};
use longlink::wire::{BufferTooSmall, Decoder, Dialect};
use longlink::{Instant, earliest};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

/// Messages, requests, and items that are in the mailbox before or come with a message.
const MESSAGES: usize = 6;
const REQUESTS: usize = 3;
const OLD_ITEMS: usize = 7;
const ITEMS: usize = OLD_ITEMS + MESSAGES / 2;

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long the device needs to store a page.
const STORING: Duration = Duration::from_millis(4);

const CONFIG: Config<'static> = Config {
    identity: Some(Identity::volatile(DEVICE)),
    hello: Some(b"token"),
    sync: Some(sync::Config { max_items: 3, ..sync::Config::DEFAULT }),
    heartbeat: HeartbeatPolicy::Fixed(HEARTBEAT),
    ..Config::DEFAULT
};

/// What the service keeps.
pub(crate) struct Service {
    ledger: Ledger,
    /// In the order in which they were stored.
    pub(crate) messages: Vec<Vec<u8>>,
    mailbox: RingMailbox<'static>,
    pub(crate) greeted: usize,
}

impl Service {
    fn new() -> Self {
        let storage = Box::leak(Box::new(RingStorage::<32, 4_096, 4, 2>::new()));
        let mut mailbox = storage.mailbox(Epoch::FIRST);
        for i in 0..OLD_ITEMS {
            mailbox.append(i as u16 % 2, 0, &[i as u8; 90]).unwrap();
        }
        Self { ledger: Ledger::default(), messages: Vec::new(), mailbox, greeted: 0 }
    }

    fn handle(&mut self, now: Instant, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>) {
        let device = DEVICE.get();
        match event {
            ServerEvent::Hello(hello) => {
                let greeted = self.ledger.greet(hello.epoch, hello.link).unwrap();
                self.greeted += 1;
                server.welcome(now, &self.ledger, greeted.resumed).unwrap();
            }
            ServerEvent::Message { id, frame } => {
                // Another link has the say by now.
                let Some(verdict) = self.ledger.accept(&id) else { return };
                if verdict == Verdict::Fresh {
                    self.messages.push(frame.body().to_vec());
                    if self.messages.len().is_multiple_of(2) {
                        let val = self.mailbox.append(3, 0, frame.body()).unwrap();
                        server.notify(now, self.mailbox.epoch(), 3, val);
                    }
                }
                server.accept(now, &id).unwrap();
            }
            ServerEvent::Request(frame) => {
                server.reply(now, frame.command(), frame.sequence(), frame.body()).unwrap();
            }
            ServerEvent::Sync { sequence, request } => {
                server.answer_sync(now, sequence, &request, &mut self.mailbox.device(device, now)).unwrap();
            }
            ServerEvent::SyncDone(ack) => {
                sync::acknowledge(&ack, &mut self.mailbox.device(device, now)).unwrap();
            }
            ServerEvent::GoAway(_) | ServerEvent::Offline(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

type Accepted = Side<Server<'static, Vec<u8>>, Vec<u8>>;

/// The service, its links, and the network between.
pub(crate) struct Home {
    pub(crate) wire: Wire,
    pub(crate) service: Rc<RefCell<Service>>,
    peer: Accepted,
    /// Links that the device has left, and what is on its way there.
    older: Vec<(Accepted, Pipe, Pipe)>,
    /// Later than this nothing should go on.
    pub(crate) until: Instant,
}

impl Home {
    pub(crate) fn new(habits: Habits) -> Self {
        let (wire, service) = (Wire::new(habits), Rc::new(RefCell::new(Service::new())));
        let peer = accept(&service, Instant::ZERO);
        Self { wire, service, peer, older: Vec::new(), until: Instant::from_secs(300) }
    }

    /// Another connection; `arrives` says whether what was written on the last one does.
    pub(crate) fn connect(&mut self, habits: Habits, arrives: bool) {
        let (up, down) = self.wire.connect(habits, arrives);
        let peer = accept(&self.service, self.wire.now());
        self.older.push((std::mem::replace(&mut self.peer, peer), up, down));
    }

    /// Does one thing, or lets the time pass until there is one. `false` if that is never, or too late.
    pub(crate) fn go_on(&mut self) -> bool {
        self.go_on_until(None)
    }

    /// The same, with somebody who looks at the clock at `alarm`.
    pub(crate) fn go_on_until(&mut self, alarm: Option<Instant>) -> bool {
        if self.step() {
            return true;
        }
        let now = self.wire.now();
        let links = self.older.iter().map(|(link, ..)| link.next());
        let next = earliest([self.peer.next(), self.wire.next(), links.flatten().min(), alarm]);
        let Some(next) = next.filter(|at| *at <= self.until) else { return false };
        self.wire.state().now = next.max(now);
        self.wire.notify();
        true
    }

    /// The service's turn. `true` if it did something.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for (peer, up, down) in &mut self.older {
            moved |= peer.step(self.wire.now(), up, down);
        }
        {
            let state = &mut *self.wire.state();
            moved |= self.peer.step(state.now, &mut state.up, &mut state.down);
        }
        self.wire.notify();
        moved
    }
}

fn accept(service: &Rc<RefCell<Service>>, now: Instant) -> Accepted {
    let mut server = Server::new(&ServerConfig::DEFAULT, now).unwrap();
    server.lend(vec![0; 2_048]).unwrap();
    let link = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 2_048]).unwrap(), server);
    let service = service.clone();
    Side::new(link, Box::new(move |now, server, event| service.borrow_mut().handle(now, server, event)))
}

/// What the application of the device has, and what it was told.
pub(crate) struct Device {
    wire: Wire,
    service: Rc<RefCell<Service>>,
    sent: Vec<Token>,
    requested: Vec<Token>,
    ends: Vec<(Token, &'static str)>,
    items: BTreeMap<(u16, u64), Vec<u8>>,
    /// Of the committed cursor.
    cursor: BTreeMap<u16, u64>,
    /// A page that is being stored.
    page: Option<(Kept, Pin<Box<Sleep>>)>,
    /// What it was told of its links.
    pub(crate) links: Vec<String>,
    /// When the last of all this was done.
    pub(crate) settled: Option<Instant>,
    /// A heartbeat was answered after that.
    has_rested: bool,
    /// It does not close before.
    pub(crate) stays: Instant,
}

pub(crate) type DeviceLink = Link<Client<'static>, Vec<u8>>;

impl Device {
    /// A device, connected to the service.
    fn new(home: &Home) -> (Self, DeviceLink) {
        let tx = Box::leak(vec![0; 700].into_boxed_slice());
        let slots = Box::leak(vec![Slot::FREE; 12].into_boxed_slice());
        let memory: &mut Memory = Box::leak(Box::new(Memory::<[Row; 4]>::new()));
        let client = Client::new(&CONFIG, Work { rx: 512, tx, slots, sync: Some(memory), dialer: None }).unwrap();
        let mut link = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 512]).unwrap(), client);
        link.handle_connected(home.wire.now());
        let device = Self {
            wire: home.wire.clone(),
            service: home.service.clone(),
            sent: Vec::new(),
            requested: Vec::new(),
            ends: Vec::new(),
            items: BTreeMap::new(),
            cursor: BTreeMap::new(),
            page: None,
            links: Vec::new(),
            settled: None,
            has_rested: false,
            stays: Instant::ZERO,
        };
        (device, link)
    }

    /// What it has to say at any time: half of its messages before there is a link, and a page once that is stored.
    pub(crate) fn act(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'static>) {
        while self.sent.len() < MESSAGES / 2 {
            self.send(now, client);
        }
        let stored = self.page.as_mut().is_some_and(|(_, storing)| storing.as_mut().poll(cx).is_ready());
        if let Some((page, _)) = self.page.take_if(|_| stored) {
            client.commit(now, &page.receipt()).unwrap();
            self.cursor.extend(page.entries.iter().map(|(key, .., val)| (*key, *val)));
        }
        if self.is_settled(client) && self.settled.is_none() {
            self.settled = Some(now);
        }
        if self.has_rested && now >= self.stays {
            client.close(now);
        }
    }

    fn is_settled(&self, client: &Client<'static>) -> bool {
        let tokens = self.ends.len() == MESSAGES + REQUESTS;
        tokens && self.items.len() == ITEMS && self.page.is_none() && client.is_caught_up()
    }

    fn send(&mut self, now: Instant, client: &mut Client<'static>) {
        let body = [self.sent.len() as u8; 41];
        self.sent.push(client.send(now, &body).unwrap());
    }

    fn request(&mut self, now: Instant, client: &mut Client<'static>) {
        let body = [0xA0 | self.requested.len() as u8; 70];
        let policy = RequestPolicy { asks_again: self.requested.len() == 1, ..RequestPolicy::DEFAULT };
        let token = client.request_with(now, 301, &policy, |room| {
            room.get_mut(..body.len()).ok_or(BufferTooSmall { required: body.len() })?.copy_from_slice(&body);
            Ok(body.len())
        });
        self.requested.push(token.unwrap());
    }

    pub(crate) fn hear(&mut self, now: Instant, client: &mut Client<'static>, event: Event<'_>) {
        match event {
            Event::Online { .. } => {
                self.links.push("online".into());
                while self.requested.len() < REQUESTS {
                    self.request(now, client);
                }
            }
            Event::Offline(why) => self.links.push(why.name().into()),
            Event::Delivered { token } => {
                let number = self.sent.iter().position(|sent| *sent == token).unwrap();
                let is_stored = self.service.borrow().messages.contains(&vec![number as u8; 41]);
                assert!(is_stored, "delivered, and not stored");
                self.ends.push((token, "delivered"));
                if self.sent.len() < MESSAGES {
                    self.send(now, client);
                }
            }
            Event::Reply { token, frame } => {
                let number = self.requested.iter().position(|asked| *asked == token).unwrap();
                assert_eq!(frame.body(), [0xA0 | number as u8; 70]);
                self.ends.push((token, "replied"));
            }
            Event::Failed { token, .. } => {
                assert!(self.requested.contains(&token), "a message failed");
                self.ends.push((token, "failed"));
            }
            Event::Page(page) => {
                let kept = Kept::of(&page);
                for item in &kept.items {
                    let before = self.cursor.get(&item.key).copied().unwrap_or(0);
                    assert!(item.val > before, "{}/{} lies before the cursor", item.key, item.val);
                    self.items.insert((item.key, item.val), item.bytes.clone());
                }
                let storing = Box::pin(Sleep::until(&self.wire, now + STORING));
                self.page = Some((kept, storing));
            }
            Event::Heartbeat { .. } => self.has_rested = self.settled.is_some(),
            Event::CaughtUp | Event::SyncFailed(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Whether all has happened, and each thing once. Tells how the requests ended.
    pub(crate) fn check(&self, link: &DeviceLink) -> Vec<&'static str> {
        let ended: BTreeSet<_> = self.ends.iter().map(|(token, _)| format!("{token:?}")).collect();
        assert_eq!((self.ends.len(), ended.len()), (MESSAGES + REQUESTS, MESSAGES + REQUESTS), "{:?}", self.ends);
        assert!(link.endpoint().is_settled());
        let service = self.service.borrow();
        let mut stored = service.messages.clone();
        stored.sort_unstable();
        assert_eq!(stored, (0..MESSAGES).map(|i| vec![i as u8; 41]).collect::<Vec<_>>(), "each message once");
        let old = (0..OLD_ITEMS).map(|i| ((i as u16 % 2, i as u64 + 1), vec![i as u8; 90]));
        let new = service
            .messages
            .iter()
            .skip(1)
            .step_by(2)
            .zip(OLD_ITEMS as u64 + 1..)
            .map(|(body, val)| ((3, val), body.clone()));
        assert!(self.items == old.chain(new).collect(), "each item: {:?}", self.items.keys());
        let mut ends: Vec<_> = self.requested.iter().map(|token| self.end_of(*token)).collect();
        ends.sort_unstable();
        ends
    }

    fn end_of(&self, token: Token) -> &'static str {
        self.ends.iter().find(|(ended, _)| *ended == token).unwrap().1
    }
}

/// A device that is connected for the first time.
pub(crate) fn begin(habits: Habits) -> (Home, RefCell<Device>, DeviceLink) {
    let home = Home::new(habits);
    let (device, link) = Device::new(&home);
    (home, RefCell::new(device), link)
}

/// Tells the link that its connection is gone, and that there is another.
pub(crate) fn reconnect(
    home: &mut Home,
    device: &RefCell<Device>,
    link: &mut DeviceLink,
    habits: Habits,
    arrives: bool,
) {
    let now = home.wire.now();
    link.handle_disconnected(now, Disconnect::Transport);
    link.process(now, |client, event| device.borrow_mut().hear(now, client, event));
    home.connect(habits, arrives);
    link.handle_connected(now);
}
