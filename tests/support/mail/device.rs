//! The device: one process after the other, and what is on its disk.

use super::app::App;
use super::disk::Disk;
use super::office::device_id;
use super::tap::{Tap, Traffic};
use super::{Habits, Setup};
use crate::support::post::port::Port;
use longlink::Instant;
use longlink::delivery::Slot;
use longlink::session::{Client, Config, Identity, Link, Work};
use longlink::sync::{self, Memory, Row};
use longlink::wire::{Decoder, Dialect};
use std::num::NonZeroU64;
use std::time::Duration;

/// The memory of one process.
pub struct Process {
    config: Config<'static>,
    habits: Habits,
    tx: Vec<u8>,
    slots: Vec<Slot>,
    memory: Memory<[Row; 4]>,
}

impl Process {
    pub fn new(device: usize, setup: &Setup) -> Self {
        let habits = setup.devices[device];
        let sync = sync::Config {
            keys: habits.keys,
            max_items: habits.max_items,
            max_bytes: habits.max_bytes,
            hold: Duration::from_secs(habits.hold),
            poll: Duration::from_secs(habits.poll),
            timeout: Duration::from_secs(habits.timeout),
            rounds: habits.rounds,
        };
        let identity = Some(Identity::volatile(NonZeroU64::new(device_id(device)).unwrap()));
        let config = Config { identity, sync: Some(sync), ..Config::DEFAULT };
        Self { config, habits, tx: vec![0; 256], slots: vec![Slot::FREE; 2], memory: Memory::new() }
    }
}

/// What a process starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    Disk,
    /// D8: one of the backups.
    Backup(usize),
    /// The items are there, and the cursor is an older one.
    OlderCursor(usize),
    /// F5: another device with the same number.
    Empty,
}

pub struct Device<'m> {
    processes: std::slice::IterMut<'m, Process>,
    pub port: Port<Tap<'m>, Vec<u8>>,
    pub app: App,
    backups: Vec<Disk>,
    pub connect_at: Option<Instant>,
}

impl<'m> Device<'m> {
    pub fn new(device: usize, setup: &Setup, processes: &'m mut [Process]) -> Self {
        let mut processes = processes.iter_mut();
        let port = start(&mut processes, Traffic::default()).unwrap();
        let app = App::new(device, setup);
        Self { processes, port, app, backups: Vec::new(), connect_at: Some(Instant::ZERO) }
    }

    pub fn client(&mut self) -> &mut Client<'m> {
        &mut self.port.link.endpoint_mut().client
    }

    /// The user pulls the list down.
    pub fn want(&mut self, now: Instant) {
        let tap = self.port.link.endpoint_mut();
        tap.client.sync(now);
        tap.traffic.chain = 0;
    }

    pub fn traffic(&self) -> &Traffic {
        &self.port.link.endpoint().traffic
    }

    pub fn back_up(&mut self) {
        self.backups.push(self.app.disk.clone());
    }

    /// The process ends, and another one starts; no-op if there were too many.
    pub fn restart(&mut self, now: Instant, from: Start) -> bool {
        let traffic = std::mem::take(&mut self.port.link.endpoint_mut().traffic);
        let Some(port) = start(&mut self.processes, Traffic::of_all(traffic)) else { return false };
        self.port = port;
        let backup = |pick: usize| pick.checked_rem(self.backups.len());
        match from {
            Start::Disk => {}
            Start::Backup(pick) => {
                // The later ones are of a past that is given up.
                let pick = backup(pick);
                self.backups.truncate(pick.map_or(0, |pick| pick + 1));
                self.app.disk = self.backups.last().cloned().unwrap_or_default();
            }
            Start::OlderCursor(pick) => {
                self.app.disk.cursor = backup(pick).and_then(|pick| self.backups[pick].cursor.clone());
            }
            Start::Empty => {
                self.app.disk = Disk::default();
                self.backups.clear();
            }
        }
        self.app.restart();
        if let Some(cursor) = self.app.disk.cursor.clone() {
            self.client().restore_cursor(&cursor).unwrap();
        }
        self.connect_at = Some(now);
        true
    }

    /// The client's cursor is the one that was committed.
    pub fn check(&self) {
        let keys = self.port.link.endpoint().client.cursor().unwrap();
        assert!(self.app.memory.is_of(keys), "I13: {:?} moved by itself to {keys:?}", self.app.memory);
    }

    pub fn next(&self) -> [Option<Instant>; 3] {
        [self.port.next(), self.connect_at, self.app.next()]
    }
}

fn start<'m>(processes: &mut std::slice::IterMut<'m, Process>, traffic: Traffic) -> Option<Port<Tap<'m>, Vec<u8>>> {
    let Process { config, habits, tx, slots, memory } = processes.next()?;
    let work = Work { rx: habits.rx, tx, slots, sync: Some(memory), dialer: None };
    let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; habits.rx]).unwrap();
    let client = Client::new(config, work).unwrap();
    let timeout = Duration::from_secs(habits.timeout);
    Some(Port::new(Link::new(decoder, Tap { client, traffic, timeout, rounds: habits.rounds })))
}
