//! The end of a life: nothing goes wrong any more, and what must be true then.

use super::account::KEYS;
use super::office::Office;
use super::plan::{PLACES, Scale};
use super::reach::Tongue;
use super::reach::laws::{Laws, Plight};
use super::tally::{self, note};
use super::world::{Net, World};
use crate::support::pipe::Weather;
use crate::support::sites::Site;
use longlink::liveness::Activity;
use std::time::Duration;

/// When networks forget what is silent, in seconds: later than after the 30 s of a heartbeat that does not learn.
const LIVES: [u64; 6] = [45, 90, 240, 300, 600, 1_000_000];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

impl World<'_> {
    pub fn come_to_rest(&mut self) {
        let begin = self.now;
        self.be_calm();
        let resting = self.send_to_sleep();
        self.run(MINUTE);
        self.wait_until_online(&resting);
        self.wait_until_done(&resting);
        self.check_that_the_rest_is_dormant(&resting);
        note(self.now, || format!("all is done, {:?} after it became calm", self.now - begin));
        // The heartbeats learn.
        self.run(self.calm_time());
        self.check_that_it_is_quiet(&resting);
        self.wake_the_rest(&resting);
        self.check_the_books();
        let time = self.now - longlink::Instant::from_secs(1_000);
        tally::update(|run| run.time = time);
    }

    /// From now on nothing goes wrong. What was broken is not mended: dead connections have to be found out.
    fn be_calm(&mut self) {
        note(self.now, || "it is calm from now on".into());
        self.weather = Weather { delay: Duration::from_millis(20), ..Weather::FINE };
        for net in &mut self.nets {
            let life = LIVES[self.random.below(LIVES.len() as u64) as usize];
            *net = Net { life: Duration::from_secs(life), jitter_percent: 0, resets: false };
        }
        for wire in &mut self.wires {
            wire.flow();
            (wire.nat.lifetime, wire.nat.jitter_percent) = (self.nets[wire.network].life, 0);
        }
        let works = self.random.below(PLACES as u64) as usize;
        self.sites[works] = Site::Alive;
        if self.random.below(2) == 0 {
            self.sites = [Site::Alive; PLACES];
        }
        // One that answers, and does not greet, is moved to before that is known.
        self.sites.iter_mut().filter(|site| **site == Site::Mute).for_each(|site| *site = Site::Dead);
        let Office { dies, refusals, fails, rejects, releases, loses, .. } = &mut self.office;
        (*dies, *fails, *rejects, *releases, *loses) = (None, 0, 0, 0, 0);
        refusals.fill(None);
        for index in 0..self.devices.len() {
            let (now, device) = (self.now, &mut self.devices[index]);
            (device.app.dies.when, device.app.inbox.fails) = (None, false);
            device.rouse(now);
            let (network, mask) = (device.network.or(Some(0)), device.mask | 1 << works);
            self.enter_network(index, network, true);
            self.devices[index].name_addresses(now, mask);
        }
    }

    /// Some devices are to be dormant in the end, all others online.
    fn send_to_sleep(&mut self) -> Vec<bool> {
        let now = self.now;
        let mut rests = Vec::new();
        for device in &mut self.devices {
            let is_background = self.random.below(3) == 0;
            let activity = if is_background { Activity::Background } else { Activity::Foreground };
            device.set_activity(now, activity);
            rests.push(is_background && device.app.habits.linger.is_some());
            if is_background && device.app.habits.linger.is_none() {
                device.with(now, |client, clock| client.wake(clock));
            }
        }
        rests
    }

    /// Everybody who wants a link gets one in time.
    fn wait_until_online(&mut self, resting: &[bool]) {
        let begin = self.now;
        let bounds: Vec<_> = (0..self.devices.len()).map(|index| self.bound(index)).collect();
        loop {
            let is_missing = |index: &usize| !resting[*index] && !self.devices[*index].client().is_online();
            let Some(missing) = (0..self.devices.len()).find(is_missing) else { return };
            let (bound, waited) = (bounds[missing], self.now - begin);
            assert!(
                waited <= bound,
                "device {missing} is not online {waited:?} after all works again: {bound:?} at most"
            );
            self.run(Duration::from_secs(5));
        }
    }

    /// How long a device may take until it is online.
    fn bound(&mut self, index: usize) -> Duration {
        let device = &mut self.devices[index];
        let is_background = device.activity == Activity::Background;
        let plight = Plight {
            tongue: Tongue::Native,
            has_link: device.ear().is_up,
            silence: if device.app.habits.adaptive && is_background { 580 } else { 30 },
            window: if is_background { 600 } else { 120 },
            addresses: device.mask.count_ones().into(),
            mute: 0,
        };
        let clock = device.port.link.endpoint().clock(self.now);
        device.app.laws.bound(clock, &plight) + MINUTE
    }

    /// Every message ends, every payload arrives, and every mailbox is brought up to date.
    fn wait_until_done(&mut self, resting: &[bool]) {
        let begin = self.now;
        loop {
            let left =
                (0..self.devices.len()).filter(|index| !resting[*index]).find_map(|index| self.what_is_left(index));
            let Some(left) = left else { return };
            assert!(self.now - begin <= HOUR, "an hour after everybody was online {left}");
            self.run(Duration::from_secs(5));
        }
    }

    fn what_is_left(&self, index: usize) -> Option<String> {
        let device = &self.devices[index];
        let (client, app) = (device.client(), &device.app);
        if !client.is_online() {
            return Some(format!("device {index} is offline"));
        }
        if !client.is_settled() || !app.book.open.is_empty() || !app.uploads.is_idle() {
            return Some(format!("device {index} is not settled: {:?}", app.book.open));
        }
        let account = &self.office.accounts[app.habits.account];
        let cursor = &app.inbox.disk.cursor;
        let is_there = cursor.epoch == Some(account.epoch())
            && KEYS.iter().all(|key| cursor.val(*key) == account.shelf.head(*key));
        if !is_there || !client.is_caught_up() || !app.inbox.is_idle() {
            let heads = KEYS.map(|key| account.shelf.head(key));
            return Some(format!("device {index} is not up to date: {cursor:?}, and the heads are {heads:?}"));
        }
        None
    }

    fn check_that_the_rest_is_dormant(&mut self, resting: &[bool]) {
        let most = self.devices.iter().filter_map(|device| device.app.habits.linger).max().unwrap_or(0);
        self.run(Duration::from_secs(2 * (most + 60) + 40));
        for (index, device) in self.devices.iter().enumerate().filter(|(index, _)| resting[*index]) {
            Laws::the_background_comes_to_rest(device.client());
            let is_held = self.wires.iter().any(|wire| wire.device == index && wire.line.held);
            assert!(!is_held, "device {index} is dormant, and has a connection");
        }
    }

    /// How long it is watched whether it stays calm.
    const fn calm_time(&self) -> Duration {
        if matches!(self.plan.scale, Scale::Short) { Duration::from_secs(1_500) } else { HOUR }
    }

    /// Nothing but heartbeats, and a question to the mailbox now and then.
    fn check_that_it_is_quiet(&mut self, resting: &[bool]) {
        let before: Vec<_> = self.devices.iter().map(|device| device.app.traffic.counts()).collect();
        self.run(self.calm_time());
        let seconds = self.calm_time().as_secs();
        for (index, device) in self.devices.iter().enumerate() {
            let habits = device.app.habits;
            let now = device.app.traffic.counts().since(&before[index]);
            assert!(now.links <= 2, "device {index} lost {} links in {seconds} calm seconds", now.links);
            if resting[index] {
                assert_eq!(
                    now.links + now.heartbeats + now.syncs + now.others,
                    0,
                    "device {index} is not dormant: {now:?}"
                );
                continue;
            }
            let often = if habits.hold > 0 { habits.hold } else { habits.poll };
            let rounds = 2 * seconds / often + 2 + 2 * now.links;
            assert!(
                now.heartbeats <= seconds / 10,
                "device {index} wrote {} heartbeats in {seconds} calm seconds",
                now.heartbeats
            );
            assert!(
                now.syncs <= rounds,
                "device {index} asked its mailbox {} times in {seconds} calm seconds",
                now.syncs
            );
            assert!(now.others <= 3 * now.links, "device {index} is not quiet: {now:?}");
            let ours = self.wires.iter().filter(|wire| wire.device == index).count();
            // One that a network has just forgotten is there until it has been idle for long enough.
            assert!(ours as u64 <= 1 + now.links, "device {index} has {ours} connections, in the servers' eyes");
        }
    }

    /// Who is dormant is there at once when it is woken, and gets what came.
    fn wake_the_rest(&mut self, resting: &[bool]) {
        for index in (0..resting.len()).filter(|index| !resting[*index]) {
            self.send_one(index, 20, false);
        }
        self.run(MINUTE);
        let now = self.now;
        for (device, _) in self.devices.iter_mut().zip(resting).filter(|(_, rests)| **rests) {
            device.set_activity(now, Activity::Foreground);
            if device.client().is_dormant() || !device.client().wants_link() {
                device.with(now, |client, clock| client.wake(clock));
            }
        }
        self.wait_until_online(&vec![false; resting.len()]);
        self.wait_until_done(&vec![false; resting.len()]);
    }

    /// Each message is stored as often as it should be, in order, and what was told of it is so.
    fn check_the_books(&self) {
        for (device, kept) in self.devices.iter().zip(&self.office.kept) {
            device.app.book.check(&kept.messages, true);
        }
    }
}
