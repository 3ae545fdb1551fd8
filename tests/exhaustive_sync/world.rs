//! A mailbox, its devices and the wires between them, of which each action moves one thing.

use super::device::{Device, Frame, LONGEST, Point, Process, Stored};
use longlink::sync::{Ack, Config, Epoch, Notify, Request, RingMailbox, RingStorage, Wanted, acknowledge, answer};
use longlink::{Instant, earliest};
use std::fmt::Write;
use std::time::Duration;

/// The mailbox has room for everything: what goes from it goes since all have it.
pub type Storage = RingStorage<4, 16, 2, 2>;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub devices: u8,
    pub items: u8,
    /// How many of the actions that [cost](Action::cost) one may happen.
    pub faults: u8,
}

/// On what kind of devices and mailbox.
#[derive(Debug)]
pub struct Setup {
    pub config: Config<'static>,
    /// The val of the first item is drawn before it is there.
    pub reserves: bool,
}

/// One step of somebody. What has a number is that of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next item comes into the mailbox, and those who are online are told.
    Append,
    /// The item comes whose val was drawn before.
    Finish,
    Connect(u8),
    /// The next frame arrives at the mailbox.
    Up(u8),
    /// The next frame arrives at the client.
    Down(u8),
    /// The page is stored and committed.
    Apply(u8),
    /// The other device does all that it can, at once.
    Round(u8),
    /// The time comes at which the client does something by itself.
    Wake(u8),
    /// The next frame of a link that is gone arrives after all.
    LateUp(u8),
    LateDown(u8),
    Cut(u8),
    /// The time comes while an answer is awaited, or there is nothing to do.
    TimeOut(u8),
    Abandon(u8),
    /// The process ends, and starts again with what is stored.
    Crash(u8, Point),
    /// The same, with what was stored before the last page.
    RestoreBackup(u8),
    /// The same, with nothing.
    Replace(u8),
    /// The mailbox is as it was so many items ago, in a new epoch. Nobody is connected.
    RestoreMailbox(u8),
}

impl Action {
    /// Whether it is one of the faults that are counted.
    pub const fn cost(self) -> u8 {
        match self {
            Self::Append | Self::Finish | Self::Connect(_) | Self::Up(_) | Self::Down(_) | Self::Apply(_) => 0,
            Self::Round(_) | Self::Wake(_) | Self::LateUp(_) | Self::LateDown(_) => 0,
            _ => 1,
        }
    }
}

/// An item that was given a val.
#[derive(Clone, Copy, Debug)]
struct Item {
    number: u8,
    key: u16,
    val: u64,
    is_there: bool,
}

pub struct World<'m> {
    setup: &'static Setup,
    bound: Bound,
    now: Instant,
    spare: &'m mut [Process],
    pub devices: Vec<Device<'m>>,
    mailbox: RingMailbox<'m>,
    /// What this epoch has had.
    items: Vec<Item>,
    appended: u8,
    faults: u8,
    pub marks: Marks,
}

/// What has been reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    pub reset: bool,
    pub gap: bool,
    pub collected: bool,
    pub late_dropped: bool,
}

impl<'m> World<'m> {
    /// `processes` is memory for as many.
    pub fn new(setup: &'static Setup, bound: Bound, processes: &'m mut [Process], storage: &'m mut Storage) -> Self {
        let (first, spare) = processes.split_at_mut(bound.devices.into());
        let devices = first.iter_mut().zip(1..).map(|(process, id)| Device::new(id, &setup.config, process)).collect();
        Self {
            setup,
            bound,
            now: Instant::from_secs(1),
            spare,
            devices,
            mailbox: storage.mailbox(Epoch::FIRST),
            items: Vec::new(),
            appended: 0,
            faults: bound.faults,
            marks: Marks::default(),
        }
    }

    /// All that can happen next.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.appended < self.bound.items {
            actions.push(Action::Append);
        }
        if self.items.iter().any(|item| !item.is_there) {
            actions.push(Action::Finish);
        }
        self.actions_of(&self.devices[0], 0, &mut actions);
        // The others only count.
        let others = (1..self.bound.devices).filter(|d| self.next_good(*d).is_some());
        actions.extend(others.map(Action::Round));
        if self.appended > 0 {
            actions.extend((0..=1).map(Action::RestoreMailbox));
        }
        actions.retain(|action| action.cost() <= self.faults);
        actions
    }

    fn actions_of(&self, device: &Device<'_>, d: u8, actions: &mut Vec<Action>) {
        let mut when = |can: bool, action| {
            if can {
                actions.push(action);
            }
        };
        when(!device.is_online, Action::Connect(d));
        when(!device.up.is_empty(), Action::Up(d));
        when(!device.down.is_empty(), Action::Down(d));
        when(!device.late_up.is_empty(), Action::LateUp(d));
        when(!device.late_down.is_empty() && device.is_online, Action::LateDown(d));
        when(device.is_online, Action::Cut(d));
        let is_out = device.page.is_some();
        when(is_out, Action::Apply(d));
        when(is_out, Action::Abandon(d));
        if let Some(at) = device.client.poll_timeout() {
            let backs_off = at - self.now < Duration::from_secs(35);
            when(backs_off, Action::Wake(d));
            when(!backs_off, Action::TimeOut(d));
        }
        let items = u8::try_from(device.items_of_page()).unwrap();
        for stored in 0..=items {
            when(true, Action::Crash(d, Point::Items(stored)));
        }
        when(is_out, Action::Crash(d, Point::Cursor));
        when(device.stored.cursor.is_some(), Action::RestoreBackup(d));
        when(device.stored.cursor.is_some(), Action::Replace(d));
    }

    pub fn act(&mut self, action: Action) {
        self.faults -= action.cost();
        let (now, config) = (self.now, &self.setup.config);
        match action {
            Action::Append => self.append(),
            Action::Finish => self.finish(),
            Action::Connect(d) => self.device(d).connect(now),
            Action::Up(d) => {
                let frame = self.device(d).up.pop_front().unwrap();
                self.answer(d, frame, true);
            }
            Action::LateUp(d) => {
                let frame = self.device(d).late_up.pop_front().unwrap();
                self.answer(d, frame, false);
            }
            Action::Down(d) => {
                let frame = self.device(d).down.pop_front().unwrap();
                self.device(d).receive(now, frame);
            }
            Action::LateDown(d) => {
                let frame = self.device(d).late_down.pop_front().unwrap();
                let is_response = matches!(frame, Frame::Response(..));
                let was_out = self.device(d).page.is_some();
                self.device(d).receive(now, frame);
                if is_response && !was_out && self.device(d).page.is_some() {
                    self.device(d).broken = Some("an answer of another link was taken");
                }
                self.marks.late_dropped |= is_response;
            }
            Action::Apply(d) => self.device(d).apply(now, None),
            Action::Abandon(d) => {
                self.device(d).page = None;
                self.device(d).client.abandon(now);
            }
            Action::Round(d) => {
                while let Some(action) = self.next_good(d) {
                    self.act(action);
                }
            }
            Action::Wake(d) | Action::TimeOut(d) => self.wake(d),
            Action::Cut(d) => self.device(d).cut(),
            Action::Crash(d, point) => {
                self.device(d).apply(now, Some(point));
                let process = self.process();
                self.device(d).restart(config, process);
            }
            Action::RestoreBackup(d) => {
                let backup = self.device(d).backup.clone();
                self.device(d).forget(backup);
                let process = self.process();
                self.device(d).restart(config, process);
            }
            Action::Replace(d) => {
                self.device(d).forget(Stored::default());
                let process = self.process();
                self.device(d).restart(config, process);
            }
            Action::RestoreMailbox(ago) => self.restore(ago),
        }
        let now = self.now;
        for device in &mut self.devices {
            device.write(now);
        }
        self.mark();
    }

    fn device(&mut self, d: u8) -> &mut Device<'m> {
        &mut self.devices[usize::from(d)]
    }

    fn process(&mut self) -> &'m mut Process {
        let (process, spare) = std::mem::take(&mut self.spare).split_first_mut().unwrap();
        self.spare = spare;
        process
    }

    /// One key after the other.
    fn append(&mut self) {
        let number = self.appended;
        self.appended += 1;
        let is_there = !(self.setup.reserves && number == 0);
        self.put(number, is_there);
    }

    fn put(&mut self, number: u8, is_there: bool) {
        let key = self.key_of(number);
        let val = if is_there {
            self.mailbox.append(key, 0, &[number]).unwrap()
        } else {
            self.mailbox.reserve(key, 0, 1).unwrap()
        };
        self.items.push(Item { number, key, val, is_there });
        self.notify(key);
    }

    /// Where the first item comes late, the second has the same key.
    fn key_of(&self, number: u8) -> u16 {
        if self.setup.reserves { 1 + u16::from(number / 2) } else { 1 + u16::from(number % 2) }
    }

    fn finish(&mut self) {
        let item = self.items.iter_mut().find(|item| !item.is_there).unwrap();
        item.is_there = true;
        let Item { number, key, val, .. } = *item;
        self.mailbox.finish(val, &[number]).unwrap();
        self.notify(key);
    }

    fn notify(&mut self, key: u16) {
        let (epoch, head) = (self.mailbox.epoch(), self.mailbox.head(key));
        for device in self.devices.iter_mut().filter(|device| device.is_online && head > 0) {
            device.down.push_back(Frame::Notify(Notify::one(epoch, key, head).to_vec()));
        }
    }

    fn answer(&mut self, d: u8, frame: Frame, on_its_link: bool) {
        let (now, id) = (self.now, self.devices[usize::from(d)].id);
        let gone = self.items.iter().filter(|item| self.is_gone(item)).map(|item| item.number).collect();
        let mut view = self.mailbox.device(id, now);
        match frame {
            Frame::Request(sequence, body) => {
                let mut page = vec![0; LONGEST];
                let request = Request::decode(&body).unwrap();
                if request.epoch.is_none() {
                    self.devices[usize::from(d)].begin(gone);
                }
                let answered = answer(&request, &mut view, &mut page).unwrap();
                page.truncate(answered.length);
                if on_its_link {
                    self.device(d).down.push_back(Frame::Response(sequence, page));
                }
            }
            Frame::Ack(body) => {
                let _ = acknowledge(&Ack::decode(&body).unwrap(), &mut view).unwrap();
            }
            Frame::Response(..) | Frame::Notify(_) => unreachable!(),
        }
    }

    fn wake(&mut self, d: u8) {
        let at = self.device(d).client.poll_timeout().unwrap();
        self.now = self.now.max(at);
        let now = self.now;
        let client = &mut self.device(d).client;
        let _ = client.handle_timeout(now, None);
        if client.poll_timeout().is_some_and(|at| at <= now) {
            self.device(d).broken = Some("what is due stays due");
        }
    }

    fn restore(&mut self, ago: u8) {
        for device in &mut self.devices {
            device.cut();
        }
        let before: Vec<_> = self.items.drain(..).collect();
        let kept = before.len() - usize::from(ago).min(before.len());
        let epoch = Epoch::new(self.mailbox.epoch().get() + 1).unwrap();
        self.mailbox.begin(epoch);
        for Item { number, is_there, .. } in before.into_iter().take(kept) {
            self.put(number, is_there);
        }
    }

    fn mark(&mut self) {
        self.marks.collected |= self.items.iter().any(|item| self.is_gone(item));
        self.marks.gap |= self.devices.iter().any(|device| !device.gaps.is_empty());
        self.marks.reset |= self.devices.iter().any(|device| {
            let epoch = device.cursor().epoch();
            self.mailbox.epoch() != Epoch::FIRST && epoch == Some(self.mailbox.epoch())
        });
    }

    fn is_gone(&self, item: &Item) -> bool {
        item.is_there && item.val <= self.mailbox.floor(item.key)
    }

    /// The rule that does not hold, if there is one.
    pub fn broken(&self) -> Option<&'static str> {
        for device in &self.devices {
            if device.broken.is_some() {
                return device.broken;
            }
            let cursor = device.cursor();
            for item in &self.items {
                if self.is_gone(item) && !device.had.contains(&item.number) {
                    return Some("an item is gone that a device never had");
                }
                let is_covered = cursor.epoch() == Some(self.mailbox.epoch()) && cursor.val(item.key) >= item.val;
                let is_here = device.stored.items.contains(&item.number) || device.may_lack(item.number, item.key);
                if is_covered && !is_here {
                    return Some("a cursor is past an item that is not stored");
                }
            }
        }
        None
    }

    /// With a network and stores without faults everything comes everywhere, and then there is nothing left to do. The rule
    /// that does not hold, if there is one.
    pub fn ends(&mut self) -> Option<&'static str> {
        if self.items.iter().any(|item| !item.is_there) {
            self.act(Action::Finish);
        }
        let before: u32 = self.devices.iter().map(|device| device.requests).sum();
        for _ in 0..300 {
            if self.broken().is_some() {
                return self.broken();
            }
            if let Some(action) = (0..self.bound.devices).find_map(|d| self.next_good(d)) {
                self.act(action);
                continue;
            }
            if self.is_up_to_date() {
                let requests: u32 = self.devices.iter().map(|device| device.requests).sum();
                return (requests - before > 30).then_some("up to date after too many requests");
            }
            let timeouts = [0, 1].map(|d: usize| self.devices.get(d).and_then(|device| device.client.poll_timeout()));
            // No frame was lost but with its link, so nobody has to poll.
            let soon = earliest(timeouts).filter(|at| *at - self.now < Config::DEFAULT.poll / 2);
            let Some(at) = soon else { return Some("a device stays behind") };
            let d = timeouts.iter().position(|timeout| *timeout == Some(at)).unwrap();
            self.act(Action::Wake(u8::try_from(d).unwrap()));
        }
        Some("a device stays behind, and is busy all the time")
    }

    /// What a device does next if nothing goes wrong.
    fn next_good(&self, d: u8) -> Option<Action> {
        match &self.devices[usize::from(d)] {
            device if !device.is_online => Some(Action::Connect(d)),
            device if !device.up.is_empty() => Some(Action::Up(d)),
            device if !device.down.is_empty() => Some(Action::Down(d)),
            device if device.page.is_some() => Some(Action::Apply(d)),
            _ => None,
        }
    }

    /// Every device has everything, the mailbox knows it, and nobody does anything for a while.
    fn is_up_to_date(&self) -> bool {
        let soon = self.now + Duration::from_secs(60);
        let has = |device: &Device<'_>, item: &Item| {
            device.stored.items.contains(&item.number) || self.is_gone(item) && device.may_lack(item.number, item.key)
        };
        self.mailbox.is_empty()
            && self.devices.iter().all(|device| {
                device.client.is_caught_up()
                    && device.client.poll_timeout().is_none_or(|at| at >= soon)
                    && self.items.iter().all(|item| has(device, item))
            })
    }

    /// What is to tell two states apart.
    pub fn fingerprint(&self, text: &mut String) {
        let Self { now, mailbox, items, appended, faults, .. } = self;
        write!(text, "{now:?} {mailbox:?} {items:?} {appended} {faults}").unwrap();
        for device in &self.devices {
            device.fingerprint(text);
        }
    }
}

/// All keys in short pages, so that each item needs a page of its own.
pub const ONE_BY_ONE: Config<'static> = Config { max_items: 1, ..Config::DEFAULT };
/// The keys by name, in pages that hold all.
pub const LISTED: Config<'static> = Config { keys: Wanted::Listed(&[1, 2]), ..Config::DEFAULT };
