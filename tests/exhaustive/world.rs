//! A device, its server, and the wires between them, of which each action moves one thing.

use super::device::{ClientLink, Device, End, Memory, config};
use super::server::{Decision, ORDERED, ServerLink, Store, UNORDERED};
use longlink::session::{Disconnect, Endpoint, Link, Server, ServerConfig};
use longlink::wire::{Decoder, Dialect};
use longlink::{Instant, earliest};
use std::collections::VecDeque;
use std::fmt::Write;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub messages: u8,
    /// How many of the actions that [cost](Action::cost) one may happen.
    pub faults: u8,
}

/// On what kind of device and server.
#[derive(Debug)]
pub struct Setup {
    pub ordered: bool,
    pub keeps_state: bool,
    /// What the device takes for its epoch when it starts with nothing.
    pub epoch: Option<u32>,
}

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The application sends the next message, and stores the state where it keeps one.
    Send,
    Connect,
    /// The next frame arrives at the server, over the wire of this number.
    Up(u8),
    /// The next frame arrives at the client, or the end of the stream.
    Down,
    /// The application of the server decides the offer at this place.
    Decide(u8, Decision),
    /// The client loses its link. The server does not notice, and what is under way to it may still come.
    Cut,
    /// As before, in the middle of a frame either way.
    CutInFrame,
    /// Only a part of what is written next gets onto the wire, which is ...
    Block,
    /// ... free again.
    Unblock,
    /// The device starts anew, from the newest state, or one so many before, or from nothing.
    RestartClient(Option<u8>),
    /// The server starts anew, with its store.
    RestartServer,
    /// The first time-out of the client.
    TimeOut,
    Cancel(u8),
    /// Sends a message again that failed or was taken back.
    Again(u8),
}

impl Action {
    /// Whether it is one of the faults that are counted.
    pub fn cost(self) -> u8 {
        u8::from(!matches!(
            self,
            Self::Send | Self::Connect | Self::Up(_) | Self::Down | Self::Decide(_, Decision::Store) | Self::Unblock
        ))
    }
}

/// One connection.
struct Wire {
    number: u8,
    server: Option<ServerLink>,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    /// The server has ended its stream.
    ended: bool,
}

pub struct World<'m> {
    setup: &'static Setup,
    bound: Bound,
    now: Instant,
    spare: &'m mut [Memory],
    configs: &'m longlink::session::Config<'static>,
    client: ClientLink<'m>,
    /// The last of the wires is the client's.
    connected: bool,
    blocked: Option<usize>,
    wires: Vec<Wire>,
    opened: u8,
    faults: u8,
    pub device: Device,
    pub store: Store,
    again: bool,
}

impl<'m> World<'m> {
    /// `memory` is for as many processes.
    pub fn new(
        setup: &'static Setup,
        bound: Bound,
        configs: &'m longlink::session::Config<'static>,
        memory: &'m mut [Memory],
    ) -> Self {
        let (first, spare) = memory.split_first_mut().unwrap();
        Self {
            setup,
            bound,
            now: Instant::from_secs(1),
            spare,
            configs,
            client: first.client(configs).unwrap(),
            connected: false,
            blocked: None,
            wires: Vec::new(),
            opened: 0,
            faults: bound.faults,
            device: Device::default(),
            store: Store::default(),
            again: false,
        }
    }

    pub fn config(setup: &Setup) -> longlink::session::Config<'static> {
        config(setup.keeps_state, setup.epoch)
    }

    /// All that can happen next.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.device.sent < self.bound.messages {
            actions.push(Action::Send);
        }
        if !self.connected {
            actions.push(Action::Connect);
        }
        actions.extend(self.wires.iter().filter(|wire| has_frame(&wire.up)).map(|wire| Action::Up(wire.number)));
        if let Some(wire) = self.wire() {
            if has_frame(&wire.down) || wire.ended {
                actions.push(Action::Down);
            }
        }
        for place in self.decidable() {
            let decisions = [Decision::Store, Decision::Reject, Decision::Fail];
            actions.extend(decisions.map(|decision| Action::Decide(place, decision)));
        }
        if self.blocked.is_some() {
            actions.push(Action::Unblock);
        } else if self.connected {
            actions.push(Action::Block);
        }
        if let Some(wire) = self.wire() {
            actions.push(Action::Cut);
            if has_frame(&wire.up) || has_frame(&wire.down) {
                actions.push(Action::CutInFrame);
            }
        }
        if self.device.sent > 0 {
            actions.push(Action::RestartClient(None));
            let states = if self.setup.keeps_state { self.device.saved.len() as u8 } else { 0 };
            actions.extend((0..states).map(|older| Action::RestartClient(Some(older))));
        }
        if !self.wires.is_empty() {
            actions.push(Action::RestartServer);
        }
        if self.client.poll_timeout().is_some() {
            actions.push(Action::TimeOut);
        }
        actions.extend(self.device.waiting.iter().map(|(message, _)| Action::Cancel(*message)));
        actions.extend(self.sendable_again().map(|(message, _)| Action::Again(message)));
        actions.retain(|action| action.cost() <= self.faults);
        actions
    }

    /// The places of the offers that the application may decide: where the order counts, the first of each link.
    fn decidable(&self) -> Vec<u8> {
        let offers = &self.store.offers;
        let first = |place: usize| !offers[..place].iter().any(|before| before.wire == offers[place].wire);
        (0..offers.len()).filter(|place| !self.setup.ordered || first(*place)).map(|place| place as u8).collect()
    }

    /// What ended in this process and epoch without its being stored or refused, and under which sequence.
    fn sendable_again(&self) -> impl Iterator<Item = (u8, u32)> {
        let epoch = self.client.endpoint().epoch().map_or(0, longlink::delivery::Epoch::get);
        self.device.ended.iter().filter_map(move |(process, message, end, (ended_in, sequence))| {
            let open = matches!(end, End::Failed { .. } | End::Cancelled { .. });
            let here = *process == self.device.process && *ended_in == epoch && epoch > 0 && !self.again;
            (open && here).then_some((*message, *sequence))
        })
    }

    pub fn act(&mut self, action: Action) {
        self.faults -= action.cost();
        let now = self.now;
        match action {
            Action::Send => {
                self.device.send(now, self.client.endpoint_mut());
                self.save();
            }
            Action::Connect => self.connect(),
            Action::Up(number) => self.up(number),
            Action::Down => self.down(),
            Action::Decide(place, decision) => self.decide(place.into(), decision),
            Action::Cut => self.lose(Disconnect::Transport),
            Action::CutInFrame => self.cut_in_frame(),
            Action::Block => self.blocked = Some(8),
            Action::Unblock => self.blocked = None,
            Action::RestartClient(older) => self.restart(older.map(usize::from)),
            Action::RestartServer => self.restart_server(),
            Action::TimeOut => self.time_out(),
            Action::Cancel(message) => {
                let token = self.device.waiting.iter().find(|(waiting, _)| *waiting == message).unwrap().1;
                self.client.endpoint_mut().cancel(now, token);
            }
            Action::Again(message) => {
                let (_, sequence) = self.sendable_again().find(|(ended, _)| *ended == message).unwrap();
                self.again = true;
                let epoch = self.client.endpoint().epoch();
                if let Ok(token) = self.client.endpoint_mut().send_again(now, epoch, sequence, &[message]) {
                    self.device.waiting.push((message, token));
                }
            }
        }
        self.run_client();
        self.drop_wires();
    }

    fn connect(&mut self) {
        let config: &'static ServerConfig = if self.setup.ordered { &ORDERED } else { &UNORDERED };
        let mut server = Server::new(config, self.now).unwrap();
        server.lend(vec![0; 128]).unwrap();
        let server = Link::new(Decoder::new(&Dialect::LONGLINK, vec![0; 128]).unwrap(), server);
        self.opened += 1;
        let (up, down) = (VecDeque::new(), VecDeque::new());
        self.wires.push(Wire { number: self.opened, server: Some(server), up, down, ended: false });
        self.connected = true;
        self.client.handle_connected(self.now);
    }

    fn wire(&self) -> Option<&Wire> {
        self.wires.last().filter(|_| self.connected)
    }

    fn up(&mut self, number: u8) {
        let wire = self.wires.iter_mut().find(|wire| wire.number == number).unwrap();
        let frame = take_frame(&mut wire.up);
        let (now, store) = (self.now, &mut self.store);
        if let Some(server) = &mut wire.server {
            feed(server, now, &frame, |server, event| store.handle(now, number, server, event));
        }
        self.run_server(number);
    }

    fn down(&mut self) {
        let wire = self.wires.last_mut().unwrap();
        if wire.down.is_empty() {
            self.client.handle_end();
        } else {
            let frame = take_frame(&mut wire.down);
            let (now, device) = (self.now, &mut self.device);
            feed(&mut self.client, now, &frame, |client, event| device.handle(client, &event));
        }
    }

    fn decide(&mut self, place: usize, decision: Decision) {
        let offer = self.store.offers.remove(place);
        let link = self.wires.iter_mut().find(|wire| wire.number == offer.wire);
        let number = link.as_ref().map(|wire| wire.number);
        let server = link.and_then(|wire| wire.server.as_mut()).map(Link::endpoint_mut);
        self.store.decide(self.now, offer, decision, server);
        if decision == Decision::Fail && self.setup.ordered {
            // None after it may be stored before it.
            self.store.offers.retain(|other| other.wire != offer.wire);
        }
        if let Some(number) = number {
            self.run_server(number);
        }
    }

    /// The client's side of its connection is gone.
    fn lose(&mut self, why: Disconnect) {
        self.connected = false;
        self.blocked = None;
        if let Some(wire) = self.wires.last_mut() {
            wire.down.clear();
        }
        self.client.handle_disconnected(self.now, why);
    }

    fn cut_in_frame(&mut self) {
        let (now, device) = (self.now, &mut self.device);
        let wire = self.wires.last_mut().unwrap();
        if has_frame(&wire.up) {
            let half = take_half(&mut wire.up);
            let server = wire.server.as_mut().unwrap();
            feed(server, now, &half, |_, _| panic!("half a frame says something"));
            wire.up.clear();
        }
        if has_frame(&wire.down) {
            let half = take_half(&mut wire.down);
            feed(&mut self.client, now, &half, |client, event| device.handle(client, &event));
        }
        self.lose(Disconnect::Transport);
    }

    fn restart(&mut self, older: Option<usize>) {
        self.lose(Disconnect::Transport);
        let (memory, spare) = std::mem::take(&mut self.spare).split_first_mut().unwrap();
        self.spare = spare;
        self.client = memory.client(self.configs).unwrap();
        self.device.restart(self.now, self.client.endpoint_mut(), older);
    }

    fn restart_server(&mut self) {
        self.store.offers.clear();
        let connected = self.connected;
        self.wires.retain(|wire| connected && wire.number == self.opened);
        if let Some(wire) = self.wires.last_mut() {
            (wire.server, wire.ended) = (None, true);
            wire.up.clear();
        }
    }

    fn time_out(&mut self) {
        let due = self.client.poll_timeout().unwrap();
        let servers = self.wires.iter().filter_map(|wire| wire.server.as_ref()?.poll_timeout());
        self.now = servers.fold(due, |due, at| earliest([Some(due), Some(at)]).unwrap());
        for at in 0..self.wires.len() {
            let number = self.wires[at].number;
            self.run_server(number);
        }
    }

    /// What a link of the server has to say gets onto the wire, if the client is at its other end.
    fn run_server(&mut self, number: u8) {
        let (now, store) = (self.now, &mut self.store);
        let heard = self.connected && number == self.opened;
        let wire = self.wires.iter_mut().find(|wire| wire.number == number).unwrap();
        let Some(server) = &mut wire.server else { return };
        server.process(now, |server, event| store.handle(now, number, server, event));
        while let Some(bytes) = server.poll_transmit() {
            let n = bytes.len();
            if heard {
                wire.down.extend(bytes);
            }
            server.handle_sent(now, n);
        }
        if server.over().or(server.closing()).is_some() {
            (wire.server, wire.ended) = (None, true);
            wire.up.clear();
        }
    }

    /// The client's application and its driver do all that they can.
    fn run_client(&mut self) {
        loop {
            let (now, device) = (self.now, &mut self.device);
            self.client.process(now, |client, event| device.handle(client, &event));
            let saved = self.client.endpoint().needs_saving();
            if saved {
                self.save();
            }
            let moved = self.write();
            if !self.connected {
                return;
            }
            let waits = self.client.poll_transmit().is_some();
            match self.client.over().or(self.client.closing().filter(|_| !waits)) {
                Some(why) => self.lose(why),
                None if !moved && !saved => return,
                None => {}
            }
        }
    }

    fn save(&mut self) {
        if self.setup.keeps_state {
            self.device.save(self.now, self.client.endpoint_mut());
        }
    }

    fn write(&mut self) -> bool {
        if !self.connected {
            return false;
        }
        let mut moved = false;
        let wire = self.wires.last_mut().unwrap();
        while let Some(bytes) = self.client.poll_transmit() {
            let n = bytes.len().min(self.blocked.unwrap_or(usize::MAX));
            if n == 0 {
                break;
            }
            if wire.server.is_some() {
                wire.up.extend(&bytes[..n]);
            }
            self.blocked = self.blocked.map(|room| room - n);
            self.client.handle_sent(self.now, n);
            moved = true;
        }
        moved
    }

    /// Wires over which nothing can come any more.
    fn drop_wires(&mut self) {
        let (connected, opened) = (self.connected, self.opened);
        self.wires
            .retain(|wire| (connected && wire.number == opened) || (has_frame(&wire.up) && wire.server.is_some()));
    }

    /// A network and a store without faults, from here on: every message ends. `false` if one does not.
    pub fn ends_well(&mut self) -> bool {
        self.faults = 0;
        for _ in 0..100 {
            if self.device.waiting.is_empty() && self.client.endpoint().is_settled() {
                return true;
            }
            let next = if self.blocked.is_some() {
                Action::Unblock
            } else if !self.connected {
                Action::Connect
            } else {
                let actions = self.actions();
                actions.into_iter().find(|action| !matches!(action, Action::Send)).unwrap_or(Action::TimeOut)
            };
            self.faults = next.cost();
            self.act(next);
        }
        false
    }

    /// Whatever decides what can come of this state, and nothing that does not.
    pub fn fingerprint(&self, text: &mut String) {
        text.clear();
        let _ = write!(text, "{:?}", self.client.endpoint());
        for wire in &self.wires {
            let server = wire.server.as_ref().map(Link::endpoint);
            let _ = write!(text, "{} {:?} {:?} {} ", wire.number, wire.up, wire.down, wire.ended);
            let _ = write!(text, "{server:?}");
        }
        for (from, to) in [("counts: ", '}'), ("progress: ", '}'), ("reserve: ", ']'), ("config: ", '}')] {
            cut(text, from, to);
        }
        let (connected, blocked) = (self.connected, self.blocked);
        let _ = write!(text, "{} {connected} {blocked:?} {} {:?}", self.faults, self.opened, self.now);
        let _ = write!(text, "{} {:?} {:?}", self.again, self.device, self.store);
    }
}

/// Takes all that lies between `from` and `to` out.
fn cut(text: &mut String, from: &str, to: char) {
    let mut rest = 0;
    while let Some(at) = text[rest..].find(from).map(|at| rest + at) {
        let end = text[at..].find(to).unwrap() + at;
        text.replace_range(at..end, "");
        rest = at;
    }
}

fn has_frame(bytes: &VecDeque<u8>) -> bool {
    length(bytes).is_some_and(|length| bytes.len() >= length)
}

/// The length of the first frame.
fn length(bytes: &VecDeque<u8>) -> Option<usize> {
    (bytes.len() >= 16).then(|| usize::from(bytes[2]) << 8 | usize::from(bytes[3]))
}

fn take_frame(bytes: &mut VecDeque<u8>) -> Vec<u8> {
    let length = length(bytes).unwrap();
    bytes.drain(..length).collect()
}

fn take_half(bytes: &mut VecDeque<u8>) -> Vec<u8> {
    let length = length(bytes).unwrap();
    bytes.drain(..length / 2).collect()
}

fn feed<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(
    link: &mut Link<E, B>,
    now: Instant,
    bytes: &[u8],
    on: impl FnMut(&mut E, E::Event<'_>),
) {
    let space = link.space();
    space[..bytes.len()].copy_from_slice(bytes);
    link.handle_read(now, bytes.len());
    link.process(now, on);
}
