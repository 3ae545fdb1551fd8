//! A device: one process after the other, its disk, and what the platform tells it.

use super::app::App;
use super::ear::Ear;
use super::inbox::Stored;
use super::office::{Moment, Office};
use super::plan::{Habits, Process, Processes};
use super::reach::addresses;
use super::reach::laws::Laws;
use super::tally::{self, Fault, note};
use crate::support::Random;
use crate::support::post::book::number_of;
use crate::support::post::port::Port;
use longlink::Instant;
use longlink::liveness::{Activity, Network};
use longlink::session::{Attempt, Client, Endpoint, Link, Work};
use longlink::wire::{Decoder, Dialect};
use std::time::Duration;

/// What a process starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Disk,
    Backup,
    Empty,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    state: Option<Vec<u8>>,
    inbox: Stored,
}

pub struct Device<'m> {
    pub port: Port<Ear<'m>, Vec<u8>>,
    pub app: App,
    state: Option<Vec<u8>>,
    backups: Vec<Disk>,
    /// State that is being stored, and when it will be.
    storing: Option<(Instant, Vec<u8>)>,
    pub network: Option<usize>,
    pub activity: Activity,
    /// The addresses that it knows, a bit each.
    pub mask: u8,
    /// It does nothing until then; whether its clock goes on; and whether it is told when it wakes.
    pub asleep: Option<Sleep>,
    /// What attempts come to, and when.
    pub attempts: Vec<(Instant, Attempt)>,
    /// It names its addresses again, and wants a link again.
    resolve_at: Option<Instant>,
    reopen_at: Option<Instant>,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    pub since: Instant,
    pub until: Instant,
    pub clock_stands: bool,
    pub is_told: bool,
}

impl<'m> Device<'m> {
    pub fn new(now: Instant, number: usize, habits: Habits, processes: &mut Processes<'m>) -> Self {
        let port = start(processes.start(habits).unwrap(), Duration::ZERO);
        let mut device = Self {
            port,
            app: App::new(number, habits),
            state: None,
            backups: Vec::new(),
            storing: None,
            network: Some(0),
            activity: Activity::Foreground,
            mask: 0b11_1111,
            asleep: None,
            attempts: Vec::new(),
            resolve_at: None,
            reopen_at: None,
            random: Random(habits.seed ^ 2),
        };
        device.app.laws.wanted = true;
        device.open(now);
        device
    }

    pub fn ear(&mut self) -> &mut Ear<'m> {
        self.port.link.endpoint_mut()
    }

    pub const fn client(&self) -> &Client<'m> {
        &self.port.link.endpoint().client
    }

    pub fn with<T>(&mut self, now: Instant, act: impl FnOnce(&mut Client<'m>, Instant) -> T) -> T {
        self.ear().with(now, act)
    }

    /// What a process does first.
    fn open(&mut self, now: Instant) {
        let seed = self.random.next();
        self.tell_network(now);
        let (activity, list) = (self.activity, addresses(self.mask));
        self.with(now, |client, clock| {
            client.set_activity(clock, activity);
            client.set_addresses(clock, &list).unwrap();
            client.open(clock, seed);
        });
    }

    /// The platform says in which network the device is.
    pub fn tell_network(&mut self, now: Instant) {
        let network = self.network.map(|network| Network::from_number(network as u32 + 1));
        let record = network.and_then(|network| self.app.record(network));
        self.with(now, |client, clock| client.set_network(clock, network, record.as_ref()));
    }

    pub fn set_activity(&mut self, now: Instant, activity: Activity) {
        self.activity = activity;
        note(now, || format!("device {}: {activity:?}", self.app.number));
        self.with(now, |client, clock| client.set_activity(clock, activity));
    }

    pub fn name_addresses(&mut self, now: Instant, mask: u8) {
        if mask & !self.mask != 0 {
            self.app.laws.hold = None;
        }
        self.mask = mask;
        self.app.laws.handle_gap();
        let list = addresses(mask);
        self.with(now, |client, clock| client.set_addresses(clock, &list)).unwrap();
    }

    pub fn insist(&mut self, now: Instant) {
        if self.client().wants_link() {
            self.app.laws.hold = None;
        }
        self.with(now, |client, clock| client.connect_now(clock));
    }

    /// What the application has to do besides what it is told. `true` if it did something.
    pub fn work(&mut self, now: Instant, office: &mut Office<'m>) -> bool {
        let mut moved = self.save_if_needed(now);
        let Self { port, app, .. } = self;
        if app.dies.is_dead {
            return true;
        }
        let ear = port.link.endpoint_mut();
        let account = &mut office.accounts[app.habits.account];
        moved |= app.inbox.work(now, ear, account, &mut app.dies);
        if let Some(length) = app.uploads.work(now, ear, &office.kept[app.number]) {
            app.send(now, ear, 12 + length % 40, false);
            moved = true;
        }
        moved | self.come_back(now)
    }

    /// Names addresses, and wants a link again, when it is time to.
    fn come_back(&mut self, now: Instant) -> bool {
        if std::mem::take(&mut self.app.resolves) {
            self.resolve_at = Some(now + Duration::from_millis(200));
        }
        if !self.client().wants_link() && self.reopen_at.is_none() {
            // There is a new token by then.
            self.reopen_at = Some(now + Duration::from_secs(10));
        }
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        let (resolves, reopens) = (due(&mut self.resolve_at), due(&mut self.reopen_at));
        if resolves {
            self.name_addresses(now, self.mask);
        }
        if reopens && !self.client().wants_link() {
            self.app.laws.wanted = true;
            let seed = self.random.next();
            self.with(now, |client, clock| client.open(clock, seed));
        }
        resolves || reopens
    }

    /// Stores the state where it is needed; on a slow disk that takes a while. `true` if it did something.
    fn save_if_needed(&mut self, now: Instant) -> bool {
        if let Some((at, _)) = self.storing {
            if at <= now {
                let state = self.storing.take().map(|(_, state)| state);
                self.store(now, state);
            }
            return at <= now;
        }
        if !self.client().needs_saving() {
            return false;
        }
        let state = self.encode(now);
        let wait = self.random.below(self.app.habits.disk_millis + 1);
        self.storing = Some((now + Duration::from_millis(wait), state));
        true
    }

    fn encode(&mut self, now: Instant) -> Vec<u8> {
        self.with(now, |client, clock| {
            let mut state = vec![0; client.state_len()];
            assert_eq!(client.save(clock, &mut state), Ok(state.len()), "the state has another length than it says");
            state
        })
    }

    fn store(&mut self, now: Instant, state: Option<Vec<u8>>) {
        let number = self.app.number;
        if self.app.dies.at(now, number, Moment::Before) {
            return;
        }
        self.state = state;
        if !self.app.dies.at(now, number, Moment::After) {
            self.with(now, |client, clock| client.handle_saved(clock));
        }
    }

    /// After a message: its state is stored at once, if that is its habit.
    pub fn save_after_message(&mut self, now: Instant) {
        if self.app.habits.saves_each && self.app.habits.keeps_state {
            self.storing = None;
            let state = self.encode(now);
            self.store(now, Some(state));
        }
    }

    pub fn back_up(&mut self) {
        self.backups.push(Disk { state: self.state.clone(), inbox: self.app.inbox.disk.clone() });
    }

    /// The process ends, and another one starts.
    pub fn restart(&mut self, now: Instant, from: Start, process: &'m mut Process) {
        tally::wrong(Fault::DeviceKilled);
        note(now, || format!("device {}: killed, starts from {from:?}", self.app.number));
        if let Some((_, state)) = self.storing.take().filter(|_| self.random.below(2) == 0) {
            // It ended after the state was stored, and before it knew that.
            self.state = Some(state);
        }
        let mut older = false;
        match from {
            Start::Backup if !self.backups.is_empty() => {
                tally::wrong(Fault::DeviceFromBackup);
                // The later ones are of a past that is given up: a device that goes back to them, too, is two devices.
                let pick = self.random.below(self.backups.len() as u64) as usize;
                self.backups.truncate(pick + 1);
                let Disk { state, inbox } = self.backups[pick].clone();
                older = state != self.state;
                (self.state, self.app.inbox.disk) = (state, inbox);
            }
            Start::Empty => {
                tally::wrong(Fault::DeviceEmptied);
                (self.state, self.app.inbox.disk) = (None, Stored::default());
                self.backups.clear();
            }
            _ => {}
        }
        self.app.restart(older);
        let lag = self.ear().lag;
        self.port = start(process, lag);
        (self.attempts, self.resolve_at, self.reopen_at) = (Vec::new(), None, None);
        self.begin(now, older);
    }

    fn begin(&mut self, now: Instant, older: bool) {
        if let Some(state) = self.state.clone() {
            self.with(now, |client, clock| client.restore(clock, &state)).unwrap();
        }
        if let Some(cursor) = self.app.inbox.disk.bytes.clone() {
            self.with(now, |client, _| client.restore_cursor(&cursor)).unwrap();
        }
        let messages: Vec<_> = self.client().messages().map(|one| (one.token, number_of(one.body))).collect();
        for (token, number) in messages {
            self.app.book.restored(token, number, older);
        }
        self.open(now);
    }

    /// It sleeps, or goes on with that. `true` if it has just woken up.
    pub fn wakes_up(&mut self, now: Instant) -> bool {
        let Some(sleep) = self.asleep.take_if(|sleep| sleep.until <= now) else { return false };
        note(now, || format!("device {}: awake after {:?}", self.app.number, now - sleep.since));
        if sleep.clock_stands {
            self.ear().lag += now - sleep.since;
        }
        self.app.laws.handle_gap();
        if sleep.is_told {
            self.with(now, |client, clock| client.wake(clock));
        }
        true
    }

    /// Somebody wakes it.
    pub fn rouse(&mut self, now: Instant) {
        if let Some(sleep) = &mut self.asleep {
            sleep.until = now;
        }
        self.wakes_up(now);
    }

    /// Nothing is due, and all is told: what must be true of a client then.
    pub fn check_at_rest(&mut self, now: Instant) {
        let Self { port, app, .. } = self;
        let ear = port.link.endpoint_mut();
        let clock = ear.clock(now);
        let due = ear.poll_timeout();
        assert!(
            due.is_none_or(|at| at > now),
            "{:?} of device {} is due after it was handled",
            ear.next_timer(),
            app.number
        );
        app.laws.nobody_is_stuck(&ear.client, ear.is_up, true);
        if ear.closing().is_none() {
            app.laws.every_attempt_ends(clock, &ear.client, ear.is_up);
        }
        Laws::dormant_is_quiet(&ear.client);
        Laws::questions_agree(&ear.client);
        app.inbox.check_cursor(ear);
        assert!(ear.client.unsettled() <= app.habits.slots, "more messages than slots");
    }

    pub fn next(&self) -> impl Iterator<Item = Instant> {
        let awake = self.asleep.is_none();
        let attempts = self.attempts.iter().map(|(at, _)| Some(*at));
        let storing = self.storing.as_ref().map(|(at, _)| *at);
        let uploads = self.app.uploads.next(self.port.link.endpoint());
        let timers = [self.port.next(), self.resolve_at, self.reopen_at, storing, self.app.inbox.next(), uploads];
        let all = attempts.chain(timers).filter(move |_| awake).chain([self.asleep.map(|sleep| sleep.until)]);
        all.flatten()
    }
}

fn start<'m>(process: &'m mut Process, lag: Duration) -> Port<Ear<'m>, Vec<u8>> {
    let Process { habits, config, tx, slots, cursor, dialer } = process;
    let work = Work { rx: habits.rx, tx, slots, sync: Some(cursor), dialer: Some(dialer) };
    let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; habits.rx]).unwrap();
    Port::new(Link::new(decoder, Ear::new(Client::new(config, work).unwrap(), lag)))
}
