//! A device that sends messages, and a server that stores them: over one connection after the other, through ends of either
//! process, on virtual time.

pub mod book;
pub mod device;
pub mod office;
pub mod port;

use super::Random;
use super::pipe::Weather;
use book::{check_seal, number_of};
pub use device::{Clock, Device, Process, Start};
use longlink::Instant;
use longlink::session::{Disconnect, GoAway, GoAwayCode, Link, Server, ServerConfig};
use longlink::wire::{Decoder, Dialect};
pub use office::{Office, Word};
pub use port::{Cut, Line};
use port::{Port, frames};
use std::time::Duration;

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub seed: u64,
    /// Of the device.
    pub slots: usize,
    pub tx: usize,
    pub clock: Clock,
    pub keeps_state: bool,
    /// It stores its state after every message, too.
    pub saves_each: bool,
    /// Storing what must be stored takes so long.
    pub disk_millis: u64,
    pub timeout: Option<Duration>,
    pub linger: Duration,
    /// Of the server.
    pub ordered: bool,
    pub most_pending: u32,
    /// Of a hundred messages it decides so many at once.
    pub eager: u64,
    /// It closes the older links of the device when a new one greets; another machine cannot.
    pub closes_older: bool,
    pub weather: Weather,
}

impl Setup {
    /// Nothing goes wrong by itself.
    pub const FINE: Self = Self {
        seed: 1,
        slots: 8,
        tx: 1_024,
        clock: Clock::None,
        keeps_state: true,
        saves_each: true,
        disk_millis: 0,
        timeout: None,
        linger: Duration::ZERO,
        ordered: true,
        most_pending: 64,
        eager: 0,
        closes_older: true,
        weather: Weather::FINE,
    };
}

/// What all processes of a run work in.
pub struct Memory {
    setup: Setup,
    server: ServerConfig,
    processes: Vec<Process>,
}

impl Memory {
    /// For a first process of the device and so many restarts of it.
    pub fn new(setup: Setup, restarts: usize) -> Self {
        let server = ServerConfig {
            ordered: setup.ordered,
            pending: setup.most_pending,
            max_frame: RECEIVES as u32,
            ..ServerConfig::DEFAULT
        };
        Self { setup, server, processes: (0..=restarts).map(|number| Process::new(number, &setup)).collect() }
    }
}

/// The server's receive buffer.
const RECEIVES: usize = 8_192;

pub struct Post<'m> {
    pub now: Instant,
    setup: Setup,
    server: &'m ServerConfig,
    pub device: Device<'m>,
    pub office: Office,
    pub lines: Vec<Line<'m>>,
    /// How many connections there were.
    pub connections: usize,
    /// How often the device has written a message, or a part of one.
    pub written: usize,
    random: Random,
    /// The device connects again by itself.
    pub connects: bool,
}

impl<'m> Post<'m> {
    pub fn new(memory: &'m mut Memory) -> Self {
        let Memory { setup, server, processes } = memory;
        let mut device = Device::new(*setup, processes);
        device.says.book.repeats = setup.clock == Clock::Stopped;
        Self {
            now: Instant::ZERO,
            setup: *setup,
            server,
            device,
            office: Office::new(setup.ordered, setup.eager, setup.seed ^ 0x0FF1CE),
            lines: Vec::new(),
            connections: 0,
            written: 0,
            random: Random(setup.seed),
            connects: true,
        }
    }

    /// The device connects.
    pub fn connect(&mut self) {
        self.device.connect_at = None;
        self.cut(Cut::Ends(usize::MAX));
        let mut server = Server::new(self.server, self.now).unwrap();
        server.lend(vec![0; 256]).unwrap();
        let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; RECEIVES]).unwrap();
        let port = Port::new(Link::new(decoder, server));
        self.lines.push(Line::new(self.connections, port, self.setup.weather, self.random.next()));
        self.connections += 1;
        self.device.says.wished.clear();
        self.device.port.link.handle_connected(self.now);
    }

    /// The network or the device ends the connection.
    pub fn cut(&mut self, cut: Cut) {
        let now = self.now;
        let Some(line) = self.lines.iter_mut().find(|line| line.held) else { return };
        line.let_go(now, cut);
        self.device.port.link.handle_disconnected(now, Disconnect::Transport);
        self.tell_device();
        self.come_back();
    }

    fn come_back(&mut self) {
        let wait = Duration::from_millis(self.random.below(2_000));
        self.device.connect_at = Some(self.now + wait);
    }

    /// The process of the device ends, and another one starts.
    pub fn restart(&mut self, from: Start, cut: Cut) {
        let now = self.now;
        if let Some(line) = self.lines.iter_mut().find(|line| line.held) {
            line.let_go(now, cut);
        }
        self.device.restart(now, from);
    }

    /// The process of the server ends, and another one starts.
    pub fn restart_server(&mut self) {
        for line in &mut self.lines {
            line.server = None;
            line.down.reset();
            line.up.swallow();
        }
        self.office.pending.clear();
        self.office.newest = None;
    }

    /// The application of the server says a word on one of the messages that it was offered.
    pub fn say(&mut self, pick: usize, word: Word) {
        let Some(index) = pick.checked_rem(self.office.pending.len()) else { return };
        let number = self.office.pending[index].line;
        let line = self.lines.iter_mut().find(|line| line.number == number);
        let server = line.and_then(|line| line.server.as_mut()).map(|port| port.link.endpoint_mut());
        self.office.say(self.now, index, server, word);
    }

    /// Does all that can be done now.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("no end of it at {:?}", self.now);
    }

    fn step(&mut self) -> bool {
        let mut moved = self.device.save_if_needed(self.now);
        if self.connects && self.device.connect_at.is_some_and(|at| at <= self.now) {
            self.connect();
            moved = true;
        }
        moved |= self.step_device();
        let (now, office) = (self.now, &mut self.office);
        for line in &mut self.lines {
            let number = line.number;
            moved |= line.serve(now, &mut |server, event| office.handle(now, number, server, &event));
        }
        self.close_older();
        self.lines.retain(|line| line.held || line.server.is_some());
        moved
    }

    fn close_older(&mut self) {
        let Some(newest) = self.office.newest.take().filter(|_| self.setup.closes_older) else { return };
        for line in self.lines.iter_mut().filter(|line| line.number != newest) {
            let greeted = self.office.welcomed.contains_key(&line.number);
            if let Some(server) = line.server.as_mut().filter(|_| greeted) {
                server.link.endpoint_mut().close(self.now, GoAway::new(GoAwayCode::Replaced));
            }
        }
    }

    fn step_device(&mut self) -> bool {
        let Self { now, device, office, lines, written, .. } = self;
        let Device { port, says, .. } = device;
        let Some(line) = lines.iter_mut().find(|line| line.held) else {
            self.tell_device();
            return false;
        };
        let is_stored = |number| office.store.messages.iter().any(|(.., body)| number_of(body) == number);
        let mut bytes = Vec::new();
        let mut on = |_: &mut _, event: longlink::session::Event<'_>| says.handle(&event, &is_stored);
        let ends = (&mut line.down, &mut line.up);
        let (moved, over) = port.step(*now, ends, &mut on, &mut |run| bytes.extend_from_slice(run));
        let welcomed = office.welcomed.get(&line.number);
        frames(&mut line.begun, &bytes, |command, sequence, body| {
            if command != Dialect::LONGLINK.message {
                return;
            }
            says.book.check_written(welcomed, &says.wished, sequence, body);
            *written += 1;
        });
        if over.is_some() {
            line.held = false;
            line.down.swallow();
            self.come_back();
        }
        moved
    }

    /// What the device has to tell while there is no connection.
    fn tell_device(&mut self) {
        let store = &self.office.store;
        let is_stored = |number| store.messages.iter().any(|(.., body)| number_of(body) == number);
        let says = &mut self.device.says;
        self.device.port.idle(self.now, &mut |_, event| says.handle(&event, &is_stored));
    }

    /// Runs for a while.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            if self.now >= end {
                return;
            }
            // What has arrived and is not read waits for something else.
            let soon = self.lines.iter().flat_map(Line::next).chain(self.device.next()).flatten();
            self.now = soon.filter(|at| *at > self.now).fold(end, Instant::min);
        }
    }

    /// Runs in good weather, with a server that takes everything, until nothing is left to do. Fails if that takes longer
    /// than `most`.
    pub fn run_quiet(&mut self, most: Duration) {
        let end = self.now + most;
        (self.office.eager, self.office.busy, self.connects) = (100, 0, true);
        self.setup.weather = Weather { delay: Duration::from_millis(20), ..Weather::FINE };
        self.cut(Cut::Ends(usize::MAX));
        while !(self.device.client().unsettled() == 0 && self.device.says.book.open.is_empty()) {
            while !self.office.pending.is_empty() {
                self.say(0, Word::Accept);
            }
            assert!(self.now < end, "no end of {:?}", self.device.says.book.open);
            self.run(Duration::from_secs(1));
        }
        self.check();
    }

    /// What must be true at any time.
    pub fn check(&self) {
        self.device.says.book.check(&self.office.store.messages, self.setup.ordered);
        for (epoch, sequence, body) in &self.office.store.messages {
            check_seal(*epoch, *sequence, body);
        }
    }

    pub fn is_online(&self) -> bool {
        self.device.port.link.endpoint().is_online()
    }
}
