//! A device that dials by itself, in a world of addresses that are dead or alive, on virtual time.
#![allow(clippy::expect_used)]

use super::native::VOLATILE;
use super::pair::Side;
use super::pipe::{Pipe, Read, Weather};
use super::sites::{Office, Wire, told};
pub use super::sites::{Site, Told};
use longlink::Instant;
use longlink::delivery::{MessagePolicy, Token};
use longlink::liveness::{Address, Fault, HeartbeatPolicy, Network, Verdict};
use longlink::session::{
    Attempt, Client, Config, DialerConfig, Disconnect, Endpoint, Link, SendError, Server, ServerConfig, Storage, Timer,
};
use longlink::wire::Dialect;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Air {
    Clear,
    /// They are lost.
    Lost,
    /// The platform knows that there is nowhere to send them.
    Off,
}

struct Out {
    attempt: Attempt,
    site: Site,
    at: Option<Instant>,
}

/// The native dialect, an adaptive heartbeat, a dialer.
pub const DIALING: Config<'static> =
    Config { heartbeat: HeartbeatPolicy::Adaptive, dialer: Some(DialerConfig::DEFAULT), ..VOLATILE };

/// The same in a dialect whose link begins with an application's greeting, or with none.
pub fn dialing_in(dialect: &'static Dialect) -> Config<'static> {
    let greets = dialect.greeting.is_some_and(|greeting| !greeting.native);
    Config { dialect, identity: None, hello: greets.then_some(&b"hello"[..]), ..DIALING }
}

/// The same in the background, with this linger.
pub const fn in_background(linger: Option<Duration>) -> Config<'static> {
    let activity = longlink::liveness::Activity::Background;
    Config { dialer: Some(DialerConfig { linger, activity, ..DialerConfig::DEFAULT }), ..DIALING }
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn home() -> Network {
    Network::named(b"home")
}

/// So many addresses, with numbers from 0 on.
pub fn addresses(n: u16) -> Vec<Address> {
    (0..n).map(|index| Address::new(index, 8_080)).collect()
}

pub struct World {
    pub now: Instant,
    pub link: Link<Client<'static>, &'static mut [u8]>,
    pub office: Rc<RefCell<Office>>,
    pub server_config: ServerConfig,
    pub weather: Weather,
    /// Connections that are silent for longer are forgotten.
    pub nat: Option<Duration>,
    pub history: Vec<(Instant, Told)>,
    pub wake_ups: usize,
    /// Connections that came too late, and were dropped.
    pub dropped: Vec<Address>,
    /// Attempts out at the same time, at most.
    pub most_out: usize,
    pub wire: Option<Wire>,
    dialect: &'static Dialect,
    sites: HashMap<(u16, u16), (Site, Duration)>,
    air: Air,
    out: Vec<Out>,
    /// Attempts that ended by an answer.
    answered: HashSet<u32>,
    old: Vec<Wire>,
    asleep: bool,
    /// By how much the device's clock is late, because it stood still.
    lag: Duration,
}

impl World {
    pub fn new(config: Config<'static>) -> Self {
        let storage: &mut Storage<2_048, 4_096, 16, 8, 8> = Box::leak(Box::new(Storage::new()));
        let config = Box::leak(Box::new(config));
        let needs_greeting = config.identity.is_some() || config.hello.is_some();
        Self {
            now: Instant::from_secs(1_000),
            link: storage.client(config).unwrap(),
            office: Rc::default(),
            server_config: ServerConfig { dialect: config.dialect, needs_greeting, ..ServerConfig::DEFAULT },
            weather: Weather { delay: Duration::from_millis(20), ..Weather::FINE },
            nat: None,
            history: Vec::new(),
            wake_ups: 0,
            dropped: Vec::new(),
            most_out: 0,
            wire: None,
            dialect: config.dialect,
            sites: HashMap::new(),
            air: Air::Clear,
            out: Vec::new(),
            answered: HashSet::new(),
            old: Vec::new(),
            asleep: false,
            lag: Duration::ZERO,
        }
    }

    /// Addresses with these sites behind them, known to the client, which opens.
    pub fn opened(config: Config<'static>, sites: &[Site]) -> Self {
        let mut world = Self::new(config);
        let list = addresses(sites.len() as u16);
        list.iter().zip(sites).for_each(|(address, site)| world.place(*address, *site));
        world.open(&list);
        world
    }

    /// The same, with the first of them online.
    pub fn online(config: Config<'static>, sites: &[Site]) -> Self {
        let mut world = Self::opened(config, sites);
        world.run(5);
        assert!(world.link.endpoint().is_online(), "{:?}", world.history);
        world
    }

    /// From now on this is what listens there, a tenth of a second away.
    pub fn place(&mut self, address: Address, site: Site) {
        self.place_at(address, site, 100);
    }

    pub fn place_at(&mut self, address: Address, site: Site, millis: u64) {
        self.sites.insert((address.index, address.port), (site, Duration::from_millis(millis)));
    }

    pub fn open(&mut self, list: &[Address]) {
        self.open_with(list, 0x5EED);
    }

    /// As a device with this seed.
    pub fn open_with(&mut self, list: &[Address], seed: u64) {
        let list = list.to_vec();
        self.command(|client, now| {
            client.set_addresses(now, &list).unwrap();
            client.open(now, seed);
        });
    }

    /// Packets fare like this from now on; what was connected is gone with the first that is lost.
    pub fn set_air(&mut self, air: Air) {
        self.air = air;
        if air != Air::Clear {
            self.wire.iter_mut().for_each(Wire::swallow);
            self.out.iter_mut().for_each(|out| out.at = None);
        }
    }

    pub fn command<T>(&mut self, command: impl FnOnce(&mut Client<'static>, Instant) -> T) -> T {
        let now = self.clock();
        let result = command(self.link.endpoint_mut(), now);
        self.settle();
        result
    }

    pub fn send(&mut self, body: &[u8]) -> Result<Token, SendError> {
        self.command(|client, now| client.send(now, body))
    }

    /// A message that ends after `lifetime`.
    pub fn send_for(&mut self, lifetime: Duration, body: &[u8]) -> Token {
        let policy = MessagePolicy { lifetime, attempts: u8::MAX, ..MessagePolicy::DEFAULT };
        let fill = |room: &mut [u8]| {
            room[..body.len()].copy_from_slice(body);
            Ok(body.len())
        };
        self.command(|client, now| client.send_with(now, &policy, fill).unwrap())
    }

    /// The server of the link that is up.
    pub fn serve(&mut self, command: impl FnOnce(&mut Server<'static, Vec<u8>>, Instant)) {
        let now = self.now;
        let side = self.wire.as_mut().expect("a link").server.as_mut().expect("a server");
        command(side.link.endpoint_mut(), now);
        self.settle();
    }

    /// Messages are decided again; those that were not may come again.
    pub fn decide_again(&mut self) {
        let undecided = {
            let mut office = self.office.borrow_mut();
            office.stalls = false;
            std::mem::take(&mut office.undecided)
        };
        if self.wire.as_ref().is_some_and(|wire| wire.server.is_some()) {
            self.serve(|server, now| undecided.iter().for_each(|id| server.release(now, id).unwrap_or_default()));
        }
    }

    /// The application connects by itself.
    pub fn connect_by_hand(&mut self) {
        if let Some(mut wire) = self.wire.take() {
            wire.up.reset();
            self.old.push(wire);
        }
        let wire = self.wire_to(None, Site::Alive);
        self.wire = Some(wire);
        self.link.handle_connected(self.clock());
        self.settle();
    }

    /// What the device's clock shows.
    pub fn clock(&self) -> Instant {
        Instant::from_micros(self.now.as_micros() - self.lag.as_micros() as u64)
    }

    pub fn run(&mut self, seconds: u64) {
        self.run_for(secs(seconds));
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.settle();
    }

    /// Runs until the client is online, or for `most`. How long that took.
    pub fn run_online(&mut self, most: Duration) -> Duration {
        let start = self.now;
        self.settle();
        while !self.link.endpoint().is_online() {
            assert!(self.advance(start + most), "not online within {most:?}: {:?}", self.history);
            self.settle();
        }
        self.now - start
    }

    /// The device sleeps, the world does not.
    pub fn sleep(&mut self, duration: Duration) {
        self.settle();
        self.asleep = true;
        self.run_for(duration);
        self.asleep = false;
    }

    /// The same, with a clock that stands still.
    pub fn sleep_without_clock(&mut self, duration: Duration) {
        self.sleep(duration);
        self.lag += duration;
    }

    /// Goes to the next thing that happens, at `end` at the latest. `false` if that is the end.
    pub fn step(&mut self, end: Instant) -> bool {
        self.settle();
        self.advance(end)
    }

    fn advance(&mut self, end: Instant) -> bool {
        let timer = self.link.poll_timeout().filter(|_| !self.asleep).map(|at| at + self.lag);
        let mut next: Vec<Instant> = timer.into_iter().chain(self.out.iter().filter_map(|out| out.at)).collect();
        for wire in self.wire.iter().chain(&self.old) {
            next.extend(wire.linger.filter(|_| !self.asleep));
            next.extend(wire.server.as_ref().and_then(Side::next));
            next.extend([&wire.up, &wire.down].into_iter().filter_map(Pipe::next_arrival));
        }
        let next = next.into_iter().filter(|at| *at > self.now).min();
        self.now = next.map_or(end, |at| at.min(end)).max(self.now);
        self.now < end
    }

    /// Does all that can be done now.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let moved = !self.asleep && self.step_client();
            if moved {
                self.wake_ups += 1;
            }
            if !(self.step_servers() || moved) {
                return;
            }
        }
        panic!("no end of it at {:?}: {:?}", self.now, self.history.last());
    }

    fn step_client(&mut self) -> bool {
        // What came while the device slept is there before its timers.
        let mut moved = self.answer_attempts();
        let failed = loop {
            let read = self.read();
            let events = self.process();
            let moves = events || matches!(read, Read::Bytes(_));
            match read {
                Read::End => self.link.handle_end(),
                Read::Reset => break Some(Disconnect::Transport),
                _ if !moves => break None,
                _ => {}
            }
            moved = true;
        };
        self.check_timers();
        let now = self.clock();
        while let Some(bytes) = self.link.poll_transmit() {
            let wire = self.wire.as_mut().expect("nothing is written without a connection");
            let n = wire.up.write(self.now, bytes);
            if n == 0 {
                break;
            }
            self.link.handle_sent(now, n);
            moved = true;
        }
        self.end_wire(failed) || moved
    }

    fn read(&mut self) -> Read {
        let now = self.clock();
        let Some(wire) = &mut self.wire else { return Read::Pending };
        let read = match self.link.space() {
            [] => Read::Pending,
            space => wire.down.read(self.now, space),
        };
        if let Read::Bytes(n) = read {
            self.link.handle_read(now, n);
        }
        read
    }

    fn process(&mut self) -> bool {
        let mut events = Vec::new();
        let now = self.clock();
        self.link.process(now, |_, event| events.push(told(event)));
        let any = !events.is_empty();
        for event in events {
            match event {
                Told::Connect(attempt) => self.begin(attempt),
                Told::Abandon(attempt) => {
                    // One that was answered in the same moment may still be abandoned.
                    match self.out.iter().position(|out| out.attempt == attempt) {
                        Some(at) => drop(self.out.remove(at)),
                        None => assert!(self.answered.remove(&attempt.number()), "nobody was told of {attempt:?}"),
                    }
                }
                _ => {}
            }
            self.history.push((self.now, event));
        }
        any
    }

    fn check_timers(&mut self) {
        let (now, at) = (self.clock(), self.link.poll_timeout());
        assert!(at.is_none_or(|at| at > now), "{:?} is due after it was handled at {now:?}", self.timer());
        assert_eq!(self.link.poll_timeout(), at);
        assert_eq!(self.link.endpoint().next_timer().map(|(_, at)| at), at);
        self.link.endpoint_mut().handle_timeout(now);
        assert_eq!(self.link.poll_timeout(), at, "a second call changes nothing");
        assert!(self.link.endpoint_mut().poll_event().is_none(), "nor does it tell anything");
    }

    fn begin(&mut self, attempt: Attempt) {
        let address = attempt.address();
        assert!(self.out.iter().all(|out| out.attempt.address() != address), "{address:?} is tried twice at a time");
        let (site, delay) =
            self.sites.get(&(address.index, address.port)).copied().unwrap_or((Site::Dead, Duration::ZERO));
        let at = match self.air {
            Air::Clear if site == Site::Dead => None,
            Air::Clear => Some(self.now + delay),
            Air::Lost => None,
            Air::Off => Some(self.now),
        };
        let site = if self.air == Air::Off { Site::Unreachable } else { site };
        self.out.push(Out { attempt, site, at });
        self.most_out = self.most_out.max(self.out.len());
    }

    fn answer_attempts(&mut self) -> bool {
        let mut moved = false;
        while let Some(due) = self.out.iter().position(|out| out.at.is_some_and(|at| at <= self.now)) {
            let Out { attempt, site, .. } = self.out.remove(due);
            self.answered.insert(attempt.number());
            self.answer(attempt, site);
            moved = true;
        }
        moved
    }

    fn answer(&mut self, attempt: Attempt, site: Site) {
        let (now, address) = (self.clock(), attempt.address());
        let is_there = site == Site::Unreachable
            || self.sites.get(&(address.index, address.port)).is_some_and(|(other, _)| *other == site);
        let fault = match site {
            _ if !is_there => None,
            Site::Refusing => Some(Fault::Refused),
            Site::Unreachable => Some(Fault::Unreachable),
            _ => {
                let mut wire = self.wire_to(Some(address), site);
                match wire.probe(self.now, self.dialect, site) {
                    Verdict::Pending => None,
                    Verdict::Foreign => Some(Fault::Foreign),
                    Verdict::Alive => return self.hand_over(attempt, wire),
                }
            }
        };
        match fault {
            Some(fault) => self.link.endpoint_mut().handle_refused(now, attempt, fault),
            // It is out, and nothing comes.
            None => {
                self.answered.remove(&attempt.number());
                self.out.push(Out { attempt, site, at: None });
            }
        }
    }

    fn hand_over(&mut self, attempt: Attempt, mut wire: Wire) {
        if self.link.handle_alive(self.clock(), attempt) {
            assert!(self.wire.is_none(), "two links at a time");
            self.wire = Some(wire);
        } else {
            self.dropped.push(attempt.address());
            wire.up.finish();
            self.old.push(wire);
        }
    }

    /// Gives an attempt that is long over an answer: what the client says to that.
    pub fn answer_late(&mut self, attempt: Attempt) -> bool {
        self.out.retain(|out| out.attempt != attempt);
        self.answered.insert(attempt.number());
        self.link.handle_alive(self.clock(), attempt)
    }

    /// Tells of an attempt that it failed, before anything else is done.
    pub fn refuse(&mut self, attempt: Attempt, fault: Fault) {
        self.out.retain(|out| out.attempt != attempt);
        self.answered.insert(attempt.number());
        let now = self.clock();
        self.link.endpoint_mut().handle_refused(now, attempt, fault);
        self.settle();
    }

    fn wire_to(&self, address: Option<Address>, site: Site) -> Wire {
        Wire::new(self.now, address, site, self.weather, self.server_config, &self.office)
    }

    /// Ends the connection when it is time to, in the way of a driver.
    fn end_wire(&mut self, failed: Option<Disconnect>) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        let closing = self.link.closing();
        let lingered = closing.filter(|_| wire.linger.is_some_and(|at| at <= self.now));
        if let Some(why) = self.link.over().or(failed).or(lingered) {
            if why.is_orderly() {
                wire.up.finish();
            } else {
                wire.up.reset();
            }
            self.old.extend(self.wire.take());
            self.link.handle_disconnected(self.clock(), why);
            self.process();
            return true;
        }
        if closing.is_some() && wire.linger.is_none() && self.link.poll_transmit().is_none() {
            wire.up.finish();
            wire.linger = Some(self.now + longlink::session::limits::CLOSE_TIMEOUT);
            return true;
        }
        false
    }

    fn step_servers(&mut self) -> bool {
        let (now, nat) = (self.now, self.nat);
        let mut moved = false;
        for wire in self.wire.iter_mut().chain(&mut self.old) {
            moved |= wire.step(now, nat);
        }
        self.old.retain(|wire| wire.server.as_ref().is_some_and(|server| server.over.is_none()));
        moved
    }

    /// The timer that is due next.
    pub fn timer(&self) -> Option<Timer> {
        self.link.endpoint().next_timer().map(|(timer, _)| timer)
    }

    /// How long until then.
    pub fn wait(&self) -> Duration {
        self.link.poll_timeout().expect("a timer") - self.clock()
    }

    /// When and where it tried to connect, in milliseconds from `start`.
    pub fn tries_since(&self, start: Instant) -> Vec<(u64, u16)> {
        let after = self.history.iter().filter(|(at, _)| *at >= start);
        let tries = after.filter_map(|(at, told)| match told {
            Told::Connect(attempt) => Some(((*at - start).as_millis() as u64, attempt.address().index)),
            _ => None,
        });
        tries.collect()
    }

    /// How often the client told such a thing since `start`.
    pub fn count_since(&self, start: Instant, is_such: impl Fn(&Told) -> bool) -> usize {
        self.history.iter().filter(|(at, told)| *at >= start && is_such(told)).count()
    }

    pub fn count(&self, is_such: impl Fn(&Told) -> bool) -> usize {
        self.count_since(Instant::ZERO, is_such)
    }

    pub fn was_told(&self, what: &Told) -> bool {
        self.history.iter().any(|(_, told)| told == what)
    }

    /// When that was told last.
    pub fn last(&self, is_such: impl Fn(&Told) -> bool) -> Option<Instant> {
        self.history.iter().rev().find(|(_, told)| is_such(told)).map(|(at, _)| *at)
    }

    /// Where the link is.
    pub fn place_of_link(&self) -> Option<u16> {
        self.wire.as_ref()?.address.map(|address| address.index)
    }

    /// The attempts that are out.
    pub fn out(&self) -> Vec<Attempt> {
        self.out.iter().map(|out| out.attempt).collect()
    }
}
