//! Two devices and the mailbox of their account: over one connection after the other, through ends of any process, on
//! virtual time.

#![allow(dead_code, unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod app;
pub mod device;
pub mod disk;
pub mod office;
pub mod shelf;
pub mod tap;
pub mod truth;

use crate::support::Random;
use crate::support::pipe::Weather;
use crate::support::post::port::{Cut, Line, Port};
pub use app::Fate;
pub use device::Start;
use device::{Device, Process};
use longlink::Instant;
use longlink::session::{Disconnect, Link, Server, ServerConfig};
use longlink::sync::{Epoch, Wanted};
use longlink::wire::{Decoder, Dialect};
use office::Office;
use shelf::{Room, Shelf, Vault};
use std::time::Duration;

/// The keys of the mailbox.
pub const KEYS: [u16; 3] = [1, 7, 300];

/// What a device is like.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub keys: Wanted<'static>,
    pub rx: usize,
    pub max_items: u16,
    pub max_bytes: Option<u32>,
    /// Seconds.
    pub hold: u64,
    pub poll: u64,
    pub timeout: u64,
    pub rounds: u8,
    /// Storing a page takes up to so long.
    pub slow_millis: u64,
    /// Of a hundred stubs so many are fetched.
    pub fetches: u64,
    /// Some items can never be applied.
    pub poison: bool,
}

impl Habits {
    pub const FINE: Self = Self {
        keys: Wanted::All,
        rx: 1_024,
        max_items: 100,
        max_bytes: None,
        hold: 0,
        poll: 300,
        timeout: 35,
        rounds: 20,
        slow_millis: 0,
        fetches: 100,
        poison: false,
    };
}

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub seed: u64,
    pub devices: [Habits; 2],
    /// The mailbox is a ring of so many items and bytes, or, without bytes, one that survives the server.
    pub items: usize,
    pub bytes: usize,
    /// Of what is not for the device, so many items are passed over in one read.
    pub scan: usize,
    /// The server's buffer.
    pub server_tx: usize,
    /// Of a hundred acks and notifies so many are lost, and of a hundred requests so many answered late.
    pub loses: u64,
    pub late: u64,
    /// It closes the older links of a device when a new one greets; another machine cannot.
    pub closes_older: bool,
    pub weather: Weather,
}

impl Setup {
    /// Nothing goes wrong by itself.
    pub const FINE: Self = Self {
        seed: 1,
        devices: [Habits::FINE; 2],
        items: 200,
        bytes: 32_768,
        scan: 100,
        server_tx: 4_096,
        loses: 0,
        late: 0,
        closes_older: true,
        weather: Weather::FINE,
    };
}

/// What all processes of a run work in.
pub struct Memory {
    setup: Setup,
    server: ServerConfig,
    processes: [Vec<Process>; 2],
    room: Room,
}

impl Memory {
    /// For a first process of each device and so many restarts of it.
    pub fn new(setup: Setup, restarts: usize) -> Self {
        let server = ServerConfig { max_frame: RECEIVES as u32, ..ServerConfig::DEFAULT };
        let processes = [0, 1].map(|device| (0..=restarts).map(|_| Process::new(device, &setup)).collect());
        Self { setup, server, processes, room: Room::new(setup.items, setup.bytes) }
    }
}

/// The server's receive buffer.
const RECEIVES: usize = 1_024;

/// A connection, and whose it is.
struct Wire<'m> {
    device: usize,
    line: Line<'m>,
}

pub struct Mail<'m> {
    pub now: Instant,
    setup: Setup,
    server: &'m ServerConfig,
    pub devices: Vec<Device<'m>>,
    pub office: Office<'m>,
    wires: Vec<Wire<'m>>,
    connections: usize,
    random: Random,
    quiet: bool,
}

impl<'m> Mail<'m> {
    pub fn new(memory: &'m mut Memory) -> Self {
        let Memory { setup, server, processes, room } = memory;
        let first = Epoch::FIRST;
        let shelf: Box<dyn Shelf + 'm> =
            if setup.bytes > 0 { Box::new(room.mailbox(first)) } else { Box::new(Vault::new(first, setup.items)) };
        let devices = processes.iter_mut().enumerate();
        Self {
            now: Instant::ZERO,
            setup: *setup,
            server,
            devices: devices.map(|(device, processes)| Device::new(device, setup, processes)).collect(),
            office: Office::new(*setup, shelf),
            wires: Vec::new(),
            connections: 0,
            random: Random(setup.seed),
            quiet: false,
        }
    }

    fn connect(&mut self, device: usize) {
        self.devices[device].connect_at = None;
        self.cut(device, Cut::Ends(usize::MAX));
        let mut server = Server::new(self.server, self.now).unwrap();
        server.lend(vec![0; self.setup.server_tx]).unwrap();
        let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; RECEIVES]).unwrap();
        let port = Port::new(Link::new(decoder, server));
        let line = Line::new(self.connections, port, self.setup.weather, self.random.next());
        self.wires.push(Wire { device, line });
        self.connections += 1;
        self.devices[device].connect_at = None;
        let now = self.now;
        self.devices[device].port.link.endpoint_mut().connect(now);
    }

    fn held(&mut self, device: usize) -> Option<&mut Line<'m>> {
        self.wires.iter_mut().find(|wire| wire.device == device && wire.line.held).map(|wire| &mut wire.line)
    }

    /// The network or the device ends the connection.
    pub fn cut(&mut self, device: usize, cut: Cut) {
        let now = self.now;
        let Some(line) = self.held(device) else { return };
        line.let_go(now, cut);
        self.devices[device].port.link.handle_disconnected(now, Disconnect::Transport);
        self.idle(device);
        self.come_back(device, 2_000);
    }

    /// It connects again within so many milliseconds.
    fn come_back(&mut self, device: usize, millis: u64) {
        let wait = Duration::from_millis(self.random.below(millis));
        self.devices[device].connect_at = Some(self.now + wait);
    }

    /// The device is away for a while.
    pub fn leave(&mut self, device: usize, cut: Cut, away: Duration) {
        self.cut(device, cut);
        self.devices[device].connect_at = Some(self.now + away);
    }

    /// The process of the device ends, and another one starts.
    pub fn restart(&mut self, device: usize, from: Start, cut: Cut) {
        let now = self.now;
        if self.devices[device].restart(now, from) {
            if let Some(line) = self.held(device) {
                line.let_go(now, cut);
            }
        } else {
            // There were too many: this one goes on, without what it had begun.
            self.cut(device, cut);
            let Device { port, app, .. } = &mut self.devices[device];
            port.link.endpoint_mut().client.abandon(now);
            app.restart();
        }
    }

    /// The process of the server ends, and another one starts.
    pub fn restart_server(&mut self) {
        for wire in &mut self.wires {
            wire.line.server = None;
            wire.line.down.reset();
            wire.line.up.swallow();
        }
        self.office.waiting.clear();
        self.office.newest = [None; 2];
    }

    /// A device whose link is open at the server, too.
    pub fn with_server(&mut self, device: usize, act: impl FnOnce(&mut Office<'m>, usize, &mut Server<'m, Vec<u8>>)) {
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.device == device && wire.line.held) else { return };
        if let Some(port) = &mut wire.line.server {
            act(&mut self.office, wire.line.number, port.link.endpoint_mut());
        }
    }

    /// The next page of the device meets this.
    pub fn strike(&mut self, device: usize, fate: Fate) {
        self.devices[device].app.fate = Some(fate);
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
        let now = self.now;
        let mut moved = false;
        for device in 0..self.devices.len() {
            if self.devices[device].connect_at.is_some_and(|at| at <= now) {
                self.connect(device);
                moved = true;
            }
            moved |= self.step_device(device);
            if self.devices[device].app.crashes {
                let cut = self.any_cut();
                self.restart(device, Start::Disk, cut);
                moved = true;
            }
            self.devices[device].check();
        }
        moved |= self.step_server();
        self.wires.retain(|wire| wire.line.held || wire.line.server.is_some());
        moved
    }

    fn any_cut(&mut self) -> Cut {
        match self.random.below(3) {
            0 => Cut::Reset,
            1 => Cut::Ends(self.random.below(200) as usize),
            _ => Cut::HalfOpen(self.random.below(3_000)),
        }
    }

    fn step_server(&mut self) -> bool {
        let Self { now, office, wires, random, setup, .. } = self;
        let now = *now;
        let mut moved = false;
        for Wire { device, line } in &mut *wires {
            let number = line.number;
            moved |= line.serve(now, &mut |server, event| office.handle(now, number, *device, server, &event));
            while let Some(due) = office.waiting.iter().position(|waiting| waiting.line == number && waiting.at <= now)
            {
                let waiting = office.waiting.remove(due);
                if let Some(port) = &mut line.server {
                    office.answer_waiting(now, &waiting, port.link.endpoint_mut());
                }
                moved = true;
            }
        }
        for (key, head) in office.risen() {
            let epoch = office.shelf.epoch();
            for port in wires.iter_mut().filter_map(|wire| wire.line.server.as_mut()) {
                if random.below(100) >= setup.loses {
                    port.link.endpoint_mut().notify(now, epoch, key, head);
                    moved = true;
                }
            }
        }
        self.close_older();
        self.check_collected();
        moved
    }

    fn close_older(&mut self) {
        for device in 0..self.devices.len() {
            let Some(newest) = self.office.newest[device].take().filter(|_| self.setup.closes_older) else { continue };
            let older = self.wires.iter_mut().filter(|wire| wire.device == device && wire.line.number < newest);
            for port in older.filter_map(|wire| wire.line.server.as_mut()) {
                self.office.replaces(self.now, port.link.endpoint_mut());
            }
        }
    }

    /// What went is with everybody for whom it was kept.
    pub fn check_collected(&mut self) {
        for (device, primed) in self.office.primed.iter_mut().enumerate() {
            if std::mem::take(primed) {
                self.devices[device].app.begin();
            }
        }
        for (device, epoch, key, to) in self.office.claims.drain(..) {
            self.devices[device].app.is_said_to_have(&self.office.truth, epoch, key, to);
        }
        for one in self.office.collected.drain(..) {
            let has = self.devices[one.device].app.ever.contains(&one.id);
            assert!(has, "I15: {:?} went, and device {} does not have it", one.what, one.device);
        }
    }

    fn step_device(&mut self, number: usize) -> bool {
        let Self { now, devices, office, wires, .. } = self;
        let now = *now;
        let Device { port, app, .. } = &mut devices[number];
        let Some(wire) = wires.iter_mut().find(|wire| wire.device == number && wire.line.held) else {
            self.idle(number);
            return false;
        };
        let truth = &office.truth;
        let mut bytes = Vec::new();
        let ends = (&mut wire.line.down, &mut wire.line.up);
        let mut on = |tap: &mut tap::Tap<'m>, event: longlink::session::Event<'_>| app.handle(now, tap, truth, event);
        let (mut moved, over) = port.step(now, ends, &mut on, &mut |run| bytes.extend_from_slice(run));
        if app.crashes {
            // What it was about to do is not done.
            return true;
        }
        let tap = port.link.endpoint_mut();
        if !bytes.is_empty() && tap.wrote(now, &bytes, &app.disk.cursor()) && app.crashes_on_ack {
            app.crashes = true;
        }
        moved |= app.work(now, tap, truth);
        if over.is_some() {
            if let Some(line) = self.held(number) {
                line.held = false;
                line.down.swallow();
            }
            self.come_back(number, 2_000);
        }
        moved
    }

    /// The device works without a connection.
    fn idle(&mut self, number: usize) {
        let Self { now, devices, office, .. } = self;
        let Device { port, app, .. } = &mut devices[number];
        let truth = &office.truth;
        port.idle(*now, &mut |tap, event| app.handle(*now, tap, truth, event));
        app.work(*now, port.link.endpoint_mut(), truth);
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
            let lines = self.wires.iter().flat_map(|wire| wire.line.next());
            let devices = self.devices.iter().flat_map(Device::next);
            let waiting = self.office.waiting.iter().map(|waiting| Some(waiting.at));
            let soon = lines.chain(devices).chain(waiting).flatten();
            self.now = soon.filter(|at| *at > self.now).fold(end, Instant::min);
        }
    }

    /// From now on nothing goes wrong, and nothing new comes.
    pub fn be_quiet(&mut self) {
        self.quiet = true;
        self.setup.weather = Weather { delay: Duration::from_millis(20), ..Weather::FINE };
        (self.setup.loses, self.office.setup.loses, self.office.setup.late) = (0, 0, 0);
        (self.office.fails, self.office.refuses) = (0, [None; 2]);
        for (key, val) in self.office.undecided() {
            let comes = self.random.below(3) > 0;
            self.office.decide(key, val, comes);
        }
        for device in 0..self.devices.len() {
            let app = &mut self.devices[device].app;
            (app.quiet, app.fate, app.crashes_on_ack) = (true, None, false);
            self.cut(device, Cut::Ends(usize::MAX));
            self.come_back(device, 2_000);
        }
    }

    /// `true` if the device has all that is kept for it.
    pub fn is_up_to_date(&self, device: usize) -> bool {
        let Device { app, port, .. } = &self.devices[device];
        let client = &port.link.endpoint().client;
        let wanted = |key: u16| match self.setup.devices[device].keys {
            Wanted::All => true,
            Wanted::Listed(keys) => keys.contains(&key),
        };
        let epoch = self.office.shelf.epoch();
        let up = |key: u16| app.memory.val(key) == self.office.head(key);
        let all = self.office.truth.keys(epoch).filter(|key| wanted(*key)).all(up);
        client.is_online() && client.is_caught_up() && app.is_done() && app.memory.epoch == Some(epoch) && all
    }

    /// Runs until every device has all that is kept for it, `most` at the longest, and tells how long that took.
    pub fn run_until_up_to_date(&mut self, most: Duration) -> Duration {
        let start = self.now;
        while !(0..self.devices.len()).all(|device| self.is_up_to_date(device)) {
            assert!(self.now - start < most, "no end of it: {}", self.describe());
            self.run(Duration::from_secs(1));
        }
        self.check();
        self.now - start
    }

    fn describe(&self) -> String {
        let heads: Vec<_> = KEYS.iter().map(|key| (*key, self.office.head(*key))).collect();
        let devices = self.devices.iter().map(|device| {
            let client = &device.port.link.endpoint().client;
            let is_idle = (client.is_online(), client.is_caught_up(), device.app.is_done());
            format!("{:?}, {is_idle:?}, next {:?}", device.app.memory, device.port.link.poll_timeout())
        });
        format!("{heads:?} in {} at {:?}; {:#?}", self.office.shelf.epoch(), self.now, devices.collect::<Vec<_>>())
    }

    /// What must be true at any time.
    pub fn check(&self) {
        for (number, device) in self.devices.iter().enumerate() {
            device.app.disk.check(&self.office.truth, number);
            device.check();
        }
    }
}
