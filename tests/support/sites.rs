//! What is at the other end of a connection that was dialed: sites, the service behind them, and what a client tells.

use super::native::{DEVICE, Service};
use super::pair::Side;
use super::pipe::{Pipe, Weather};
use super::server;
use longlink::Instant;
use longlink::delivery::{Failure, MessageId};
use longlink::liveness::{Address, NetworkRecord, Probe, Verdict};
use longlink::session::{
    Attempt, Disconnect, Event, GoAwayCode, HelloStatus, Refuse, Server, ServerConfig, ServerEvent,
};
use longlink::wire::Dialect;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What listens at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Nothing comes back.
    Dead,
    /// A reset comes back.
    Refusing,
    /// There is no way there.
    Unreachable,
    /// Something else answers.
    Foreign,
    /// A server session.
    Alive,
    /// The same, whose application never answers the greeting.
    Mute,
    /// It takes the connection and says nothing at all.
    Deaf,
    /// It answers the greeting and ends the stream.
    Brief,
    /// It refuses the greeting, and wants to be left alone for a minute.
    Busy,
}

/// What the client told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Online,
    Offline(Disconnect),
    Connect(Attempt),
    Abandon(Attempt),
    Resolve,
    Poll,
    Dormant(usize),
    Learned(NetworkRecord),
    Heartbeat,
    Delivered(u32),
    Failed(u32, Failure),
    GoAway(GoAwayCode),
    Other(String),
}

/// The service behind all addresses.
#[derive(Default)]
pub struct Office {
    pub service: Service,
    /// It refuses every greeting.
    pub refuse: Option<Refuse>,
    /// Messages are not decided.
    pub stalls: bool,
    pub undecided: Vec<MessageId>,
    pub greetings: usize,
    pub goaways: Vec<GoAwayCode>,
}

type ServerSide = Side<Server<'static, Vec<u8>>, Vec<u8>>;

/// A connection, with what is at its other end.
pub struct Wire {
    pub address: Option<Address>,
    pub up: Pipe,
    pub down: Pipe,
    pub server: Option<ServerSide>,
    /// It greeted, and ends the stream then.
    ends: Option<Rc<Cell<bool>>>,
    /// The client has ended its stream, and waits so long for the server to end its own.
    pub linger: Option<Instant>,
    active: (Instant, u64),
}

impl Wire {
    pub fn new(
        now: Instant,
        address: Option<Address>,
        site: Site,
        weather: Weather,
        config: ServerConfig,
        office: &Rc<RefCell<Office>>,
    ) -> Self {
        let seed = now.as_micros();
        let (up, down) = (Pipe::new(weather, seed), Pipe::new(weather, !seed));
        let welcomed = Rc::new(Cell::new(false));
        let (office, greeted) = (Rc::clone(office), Rc::clone(&welcomed));
        let on = Box::new(move |now: Instant, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>| {
            greeted.set(greeted.get() | office.borrow_mut().handle(now, server, event, site));
        });
        let is_served = !matches!(site, Site::Foreign | Site::Deaf);
        let server = is_served.then(|| Side::new(server(config, now), on));
        let ends = (site == Site::Brief).then_some(welcomed);
        Self { address, up, down, server, ends, linger: None, active: (now, 0) }
    }

    pub fn swallow(&mut self) {
        self.up.swallow();
        self.down.swallow();
    }

    /// Asks whether somebody is there, with the time that this takes being over already.
    pub fn probe(&mut self, now: Instant, dialect: &'static Dialect, site: Site) -> Verdict {
        let mut probe = Probe::new(dialect);
        let Some(side) = &mut self.server else {
            let page = if site == Site::Foreign { &b"HTTP/1.1 400 Bad Request"[..] } else { &[] };
            let space = probe.space();
            let n = space.len().min(page.len());
            space[..n].copy_from_slice(&page[..n]);
            self.down.write(now, &page[n..]);
            return probe.commit(n);
        };
        while let Some(bytes) = probe.poll_transmit() {
            let n = bytes.len();
            side.link.space()[..n].copy_from_slice(bytes);
            probe.handle_sent(n);
            side.link.handle_read(now, n);
            side.link.process(now, |server, event| (side.on)(now, server, event));
        }
        let answer = super::written(&mut side.link, now);
        let space = probe.space();
        assert_eq!(space.len(), answer.len(), "the probe reads the answer and nothing else");
        space.copy_from_slice(&answer);
        probe.commit(answer.len())
    }

    pub fn step(&mut self, now: Instant, nat: Option<Duration>) -> bool {
        self.forget(now, nat);
        let Some(side) = &mut self.server else { return false };
        let moved = side.step(now, &mut self.up, &mut self.down);
        self.forget(now, nat);
        let Some(side) = &mut self.server else { return moved };
        if self.ends.as_ref().is_some_and(|ends| ends.get()) && side.over.is_none() {
            self.down.finish();
            side.over = Some(Disconnect::Closed);
        }
        moved
    }

    /// What the network forgot is lost from then on.
    fn forget(&mut self, now: Instant, nat: Option<Duration>) {
        let (since, bytes) = self.active;
        let moved = self.up.written + self.down.written;
        if moved != bytes {
            self.active = (now, moved);
            if nat.is_some_and(|nat| now - since >= nat) {
                self.swallow();
            }
        }
    }
}

impl Office {
    /// `true` if that was a greeting, and it is answered with yes.
    fn handle(
        &mut self,
        now: Instant,
        server: &mut Server<'static, Vec<u8>>,
        event: ServerEvent<'_>,
        site: Site,
    ) -> bool {
        let is_greeting = matches!(event, ServerEvent::Hello(_) | ServerEvent::Greeting(_));
        self.greetings += usize::from(is_greeting);
        match event {
            _ if is_greeting && site == Site::Mute => return false,
            ServerEvent::Hello(_) if site == Site::Busy => {
                let refuse = Refuse { retry_after: Duration::from_secs(60), ..Refuse::new(HelloStatus::Busy) };
                server.refuse(now, &refuse).unwrap();
                return false;
            }
            ServerEvent::Hello(_) if self.refuse.is_some() => {
                server.refuse(now, &self.refuse.unwrap()).unwrap();
                return false;
            }
            ServerEvent::Greeting(_) => server.welcome_with(now, b"welcome").unwrap(),
            ServerEvent::Message { id, .. } if self.stalls => self.undecided.push(id),
            ServerEvent::Request(frame) if !self.stalls => {
                let _ = server.reply(now, frame.command(), frame.sequence(), &[]);
            }
            ServerEvent::GoAway(goaway) => self.goaways.push(goaway.code()),
            event => self.service.handle(DEVICE.get(), now, server, event),
        }
        is_greeting
    }
}

pub fn told(event: Event<'_>) -> Told {
    match event {
        Event::Online { .. } => Told::Online,
        Event::Offline(why) => Told::Offline(why),
        Event::Connect(attempt) => Told::Connect(attempt),
        Event::Abandon(attempt) => Told::Abandon(attempt),
        Event::ResolveAddresses => Told::Resolve,
        Event::Poll => Told::Poll,
        Event::Dormant { unsettled } => Told::Dormant(unsettled),
        Event::NetworkLearned(record) => Told::Learned(record),
        Event::Heartbeat { .. } => Told::Heartbeat,
        Event::Delivered { token } => Told::Delivered(token.sequence()),
        Event::Failed { token, why, .. } => Told::Failed(token.sequence(), why),
        Event::GoAway(goaway) => Told::GoAway(goaway.code()),
        other => Told::Other(format!("{other:?}")),
    }
}
