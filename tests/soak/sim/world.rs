//! The clock, and who does something next: devices, connections, servers.

use super::device::{Device, Start};
use super::ear::Ear;
use super::office::{Caller, Office};
use super::plan::{Memory, NETWORKS, PLACES, Plan, Processes};
use super::tally::{self, Fault, Work, note};
use super::wire::Wire;
use crate::support::Random;
use crate::support::pipe::{Pipe, Read, Weather};
use crate::support::post::Cut;
use crate::support::post::port::frames;
use crate::support::sites::Site;
use longlink::Instant;
use longlink::session::{Disconnect, Endpoint, GoAway, GoAwayCode, Link, ServerConfig, ServerEvent};
use longlink::wire::Dialect;
use std::time::Duration;

/// So many rounds at one instant are a loop.
const MOST_ROUNDS: usize = 5_000;
/// So many instants within a second, too.
const MOST_INSTANTS: usize = 20_000;

/// A network, as it treats the connections through it.
#[derive(Clone, Copy, Debug)]
pub struct Net {
    /// It forgets a connection that is silent for so long.
    pub life: Duration,
    pub jitter_percent: u64,
    pub resets: bool,
}

pub struct World<'m> {
    pub now: Instant,
    pub plan: Plan,
    pub(super) server: &'m ServerConfig,
    processes: Processes<'m>,
    pub devices: Vec<Device<'m>>,
    pub wires: Vec<Wire<'m>>,
    pub office: Office<'m>,
    pub sites: [Site; PLACES],
    pub nets: [Net; NETWORKS],
    pub weather: Weather,
    pub random: Random,
    pub(super) connections: usize,
    /// The instants of this second.
    instants: (u64, usize),
}

impl<'m> World<'m> {
    pub fn new(memory: &'m mut Memory) -> Self {
        let Memory { plan, server, rooms, processes } = memory;
        let now = Instant::from_secs(1_000);
        let mut processes = Processes(processes.iter_mut());
        let devices = plan.devices.iter().enumerate();
        let devices = devices.map(|(number, habits)| Device::new(now, number, *habits, &mut processes)).collect();
        Self {
            now,
            plan: plan.clone(),
            server,
            processes,
            devices,
            wires: Vec::new(),
            office: Office::new(plan, rooms),
            sites: [Site::Alive; PLACES],
            nets: [300, 90, 1_000_000].map(|life| Net {
                life: Duration::from_secs(life),
                jitter_percent: 0,
                resets: false,
            }),
            weather: Weather { delay: Duration::from_millis(50), ..Weather::FINE },
            random: Random(plan.seed),
            connections: 0,
            instants: (0, 0),
        }
    }

    /// Runs for a while.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            if self.now >= end {
                return;
            }
            let devices = self.devices.iter().flat_map(Device::next);
            let soon = devices.chain(self.wires.iter().flat_map(Wire::next)).chain(self.office.next());
            self.now = soon.filter(|at| *at > self.now).fold(end, Instant::min);
            self.check_that_time_goes_by();
        }
    }

    fn check_that_time_goes_by(&mut self) {
        let second = self.now.as_micros() / 1_000_000;
        let (of, count) = self.instants;
        self.instants = if of == second { (of, count + 1) } else { (second, 0) };
        assert!(count < MOST_INSTANTS, "timers without end: {count} instants within one second");
    }

    /// Does all that can be done now.
    pub fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            if !self.step() {
                let now = self.now;
                self.devices
                    .iter_mut()
                    .filter(|device| device.asleep.is_none())
                    .for_each(|device| device.check_at_rest(now));
                return;
            }
        }
        panic!("there is no end of what is to be done at one instant");
    }

    fn step(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.devices.len() {
            moved |= self.step_device(index);
        }
        moved |= self.step_servers();
        self.wires.retain(|wire| wire.line.held || wire.line.server.is_some());
        moved
    }

    fn step_device(&mut self, index: usize) -> bool {
        let now = self.now;
        let mut moved = self.devices[index].wakes_up(now);
        if self.devices[index].asleep.is_some() {
            return false;
        }
        moved |= self.report_attempts(index);
        moved |= self.devices[index].work(now, &mut self.office);
        if !self.devices[index].app.dies.is_dead {
            moved |= self.turn(index);
        }
        self.begin_attempts(index);
        if self.devices[index].app.dies.is_dead {
            let cut = self.any_cut();
            self.kill_device(index, Start::Disk, cut);
            moved = true;
        }
        moved
    }

    /// A device reads, handles and writes what it can.
    fn turn(&mut self, index: usize) -> bool {
        let Self { now, devices, office, wires, .. } = self;
        let now = *now;
        let Device { port, app, .. } = &mut devices[index];
        let Some(wire) = wires.iter_mut().find(|wire| wire.device == index && wire.line.held) else {
            port.idle(now, &mut |ear, event| app.handle(now, ear, office, event));
            return false;
        };
        read_first(now, &mut port.link, &mut wire.line.down);
        let mut bytes = Vec::new();
        let ends = (&mut wire.line.down, &mut wire.line.up);
        let mut on = |ear: &mut _, event: longlink::session::Event<'_>| app.handle(now, ear, office, event);
        let (moved, over) = port.step(now, ends, &mut on, &mut |run| bytes.extend_from_slice(run));
        let ear = port.link.endpoint_mut();
        app.notice_end(now, ear);
        if let Some(why) = over.or(ear.closing()) {
            wire.check_end("a device", why);
            let silent = now - ear.heard;
            let is_late = why != Disconnect::HeartbeatLost || silent >= Duration::from_secs(5);
            assert!(is_late, "a link is given up for dead {silent:?} after bytes came");
            wire.wrong.get_or_insert("its device left");
        }
        self.watch(index, &bytes);
        if over.is_some() {
            self.leave(index);
        }
        moved
    }

    /// What a device has written.
    fn watch(&mut self, index: usize, bytes: &[u8]) {
        let Self { devices, office, wires, .. } = self;
        let app = &mut devices[index].app;
        let Some(wire) = wires.iter_mut().find(|wire| wire.device == index && wire.line.held) else { return };
        wire.pass_nat(self.now);
        let line = wire.line.number;
        let welcomed = office.welcomed.get(&line);
        frames(&mut wire.line.begun, bytes, |command, sequence, body| {
            app.traffic.count(command);
            if command != Dialect::LONGLINK.message {
                return;
            }
            let epoch = app.book.check_written(welcomed, &app.wished, sequence, body);
            if app.traffic.lines.insert((epoch, sequence), line).is_some_and(|before| before != line) {
                tally::did(Work::Resent);
            }
        });
    }

    fn leave(&mut self, index: usize) {
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.device == index && wire.line.held) else { return };
        wire.line.held = false;
        wire.line.down.swallow();
        if wire.is_dark {
            wire.line.up.swallow();
        }
    }

    pub fn any_cut(&mut self) -> Cut {
        match self.random.below(3) {
            0 => Cut::Reset,
            1 => Cut::Ends(self.random.below(300) as usize),
            _ => Cut::HalfOpen(self.random.below(3_000)),
        }
    }

    /// The network ends the connection of a device.
    pub fn cut(&mut self, index: usize, cut: Cut) {
        let (now, office) = (self.now, &self.office);
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.device == index && wire.line.held) else { return };
        let fault = match cut {
            Cut::Reset => Fault::Reset,
            Cut::Ends(_) => Fault::Ended,
            Cut::HalfOpen(_) => Fault::HalfOpen,
        };
        tally::wrong(fault);
        note(now, || format!("connection {} of device {index}: {cut:?}", wire.line.number));
        wire.let_go(now, cut, "cut");
        let Device { port, app, .. } = &mut self.devices[index];
        port.link.handle_disconnected(now, Disconnect::Transport);
        port.idle(now, &mut |ear, event| app.handle(now, ear, office, event));
    }

    /// The process of a device ends, and another one starts; unless there were too many.
    pub fn kill_device(&mut self, index: usize, from: Start, cut: Cut) {
        let now = self.now;
        let habits = self.devices[index].app.habits;
        self.devices[index].rouse(now);
        let Some(process) = self.processes.start(habits) else {
            self.devices[index].app.dies = Default::default();
            return self.cut(index, cut);
        };
        if let Some(wire) = self.wires.iter_mut().find(|wire| wire.device == index && wire.line.held) {
            wire.let_go(now, cut, "its device was killed");
        }
        self.devices[index].restart(now, from, process);
    }

    /// A process of the servers ends, and another one starts.
    pub fn kill_server(&mut self, machine: usize) {
        tally::wrong(Fault::ServerKilled);
        note(self.now, || format!("server {machine}: killed"));
        let mut lines = Vec::new();
        for wire in self.wires.iter_mut().filter(|wire| wire.machine == machine) {
            wire.wrong.get_or_insert("its server was killed");
            wire.line.server = None;
            if !wire.is_dark {
                wire.line.down.reset();
            }
            wire.line.up.swallow();
            lines.push(wire.line.number);
        }
        self.office.dead = None;
        self.office.restart(&lines);
    }

    fn step_servers(&mut self) -> bool {
        let Self { now, office, wires, .. } = self;
        let now = *now;
        let mut moved = false;
        for wire in &mut *wires {
            if wire.stuck_until.is_some_and(|at| at <= now) {
                wire.flow();
            }
            moved |= serve(now, office, wire);
        }
        office.welcomed.retain(|line, _| wires.iter().any(|wire| wire.line.number == *line));
        moved |= self.notify();
        self.close_older();
        if let Some(machine) = self.office.dead {
            self.kill_server(machine);
            moved = true;
        }
        moved
    }

    /// Heads have risen: every connection of the account is told, unless that is lost.
    fn notify(&mut self) -> bool {
        let Self { now, office, wires, random, plan, .. } = self;
        let mut moved = false;
        for (number, account) in office.accounts.iter_mut().enumerate() {
            for key in std::mem::take(&mut account.risen) {
                let (epoch, head) = (account.epoch(), account.shelf.head(key));
                let ours = wires.iter_mut().filter(|wire| plan.devices[wire.device].account == number);
                for port in ours.filter_map(|wire| wire.line.server.as_mut()) {
                    if random.below(100) < office.loses {
                        tally::wrong(Fault::NotifyLost);
                        continue;
                    }
                    port.link.endpoint_mut().notify(*now, epoch, key, head);
                    moved = true;
                }
            }
        }
        moved
    }

    /// A server closes the older connections of a device that greets; those to another one it cannot.
    fn close_older(&mut self) {
        for newest in std::mem::take(&mut self.office.greeted) {
            let same = |wire: &&mut Wire<'m>| wire.device == newest.device && wire.machine == newest.machine;
            let older = self.wires.iter_mut().filter(same).filter(|wire| wire.line.number < newest.line);
            for port in older.filter(|wire| wire.server_is_open()).filter_map(|wire| wire.line.server.as_mut()) {
                port.link.endpoint_mut().close(self.now, GoAway::new(GoAwayCode::Replaced));
            }
        }
    }
}

/// What waits to be read may be the proof of life that a timer misses.
fn read_first(now: Instant, link: &mut Link<Ear<'_>, Vec<u8>>, down: &mut Pipe) {
    loop {
        let read = match link.space() {
            [] => return,
            space => down.read(now, space),
        };
        match read {
            Read::Bytes(n) => link.handle_read(now, n),
            // The end is for the driver.
            _ => return,
        }
    }
}

/// The server of a connection reads, handles and writes what it can. `true` if something moved.
fn serve<'m>(now: Instant, office: &mut Office<'m>, wire: &mut Wire<'m>) -> bool {
    let caller = Caller { line: wire.line.number, machine: wire.machine, device: wire.device };
    let (is_mute, mut over) = (wire.mute, None);
    let mut moved = wire.line.serve(now, &mut |server, event| match event {
        ServerEvent::Offline(why) => over = Some(why),
        ServerEvent::Hello(_) if is_mute => {}
        event => office.handle(now, caller, server, &event),
    });
    if let Some(port) = &mut wire.line.server {
        moved |= office.decide(now, caller, port.link.endpoint_mut());
        over = over.or(port.link.closing());
    }
    if let Some(why) = over {
        wire.check_end("a server", why);
        wire.wrong.get_or_insert("its server left");
    }
    wire.pass_nat(now);
    moved
}
