//! What happens to this world.

use super::device::{Sleep, Start};
use super::office::Moment;
use super::plan::{MACHINES, NETWORKS, PLACES, Scale};
use super::tally::{self, Fault, note};
use super::world::World;
use crate::support::pipe::Weather;
use crate::support::sites::Site;
use longlink::liveness::Activity;
use longlink::session::{GoAway, GoAwayCode, HelloStatus, Refuse};
use std::time::Duration;

type Happening = fn(&mut World<'_>);

/// All that happens, and how often each.
const HAPPENINGS: &[(u64, Happening)] = &[
    // What people do.
    (30, |world| world.send()),
    (2, |world| world.cancel()),
    (3, |world| world.send_again()),
    (3, |world| world.upload()),
    (4, |world| world.look_or_not()),
    (1, |world| world.insist()),
    // Networks and connections.
    (12, |world| world.cut_one()),
    (5, |world| world.stall()),
    (5, |world| world.change_network()),
    (2, |world| world.change_nat()),
    (2, |world| world.change_weather()),
    (5, |world| world.change_address()),
    (1, |world| world.name_addresses()),
    // Devices.
    (3, |world| world.sleep()),
    (4, |world| world.kill_one()),
    (4, |world| world.kill_one_at_a_write()),
    (2, |world| world.back_up_one()),
    (3, |world| world.fail_inbox()),
    // Servers.
    (3, |world| world.kill_one_server()),
    (3, |world| world.kill_server_at_a_write()),
    (2, |world| world.back_up_mailbox()),
    (1, |world| world.restore_mailbox()),
    (3, |world| world.fail_store()),
    (1, |world| world.forget_device()),
    (3, |world| world.refuse()),
    (3, |world| world.send_away()),
];

impl World<'_> {
    /// Lives until it is old enough.
    pub fn live(&mut self) {
        match self.plan.scale {
            Scale::Short => (0..80).for_each(|_| self.let_something_happen()),
            Scale::Days(days) => {
                let end = self.now + Duration::from_secs(days * 86_400);
                while self.now < end {
                    self.let_something_happen();
                    if self.random.below(1_200) == 0 {
                        // A long quiet time, in which heartbeats learn and links grow old.
                        let hours = 1 + self.random.below(4);
                        self.run(Duration::from_secs(hours * 3_600));
                    }
                }
            }
        }
    }

    fn let_something_happen(&mut self) {
        let all: u64 = HAPPENINGS.iter().map(|(weight, _)| weight).sum();
        let mut roll = self.random.below(all);
        for (weight, happening) in HAPPENINGS {
            if roll < *weight {
                happening(self);
                break;
            }
            roll -= weight;
        }
        let most = [300, 3_000, 3_000, 20_000, 20_000][self.random.below(5) as usize];
        let wait = self.random.below(most);
        self.run(Duration::from_millis(wait));
    }

    fn any_device(&mut self) -> usize {
        self.random.below(self.devices.len() as u64) as usize
    }

    /// One that is awake.
    fn any_awake(&mut self) -> Option<usize> {
        Some(self.any_device()).filter(|index| self.devices[*index].asleep.is_none())
    }

    fn send(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let count = [1, 1, 1, 4, 12][self.random.below(5) as usize];
        for _ in 0..count {
            let (length, sealed) = (12 + self.random.below(60) as usize, self.random.below(4) == 0);
            self.send_one(index, length, sealed);
        }
    }

    pub fn send_one(&mut self, index: usize, length: usize, sealed: bool) -> bool {
        let (now, device) = (self.now, &mut self.devices[index]);
        let is_taken = device.app.send(now, device.port.link.endpoint_mut(), length, sealed);
        if is_taken {
            device.save_after_message(now);
        }
        is_taken
    }

    fn cancel(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let (pick, device) = (self.random.next() as usize, &mut self.devices[index]);
        device.app.cancel(self.now, device.port.link.endpoint_mut(), pick);
    }

    fn send_again(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let (pick, device) = (self.random.next() as usize, &mut self.devices[index]);
        if device.app.send_again(self.now, device.port.link.endpoint_mut(), pick) {
            device.save_after_message(self.now);
        }
    }

    fn upload(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let length = 300 + self.random.below(3_000) as usize;
        let uploads = &mut self.devices[index].app.uploads;
        if uploads.is_idle() {
            uploads.begin(length);
        }
    }

    fn look_or_not(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let looks = self.random.below(2) == 0;
        let activity = if looks { Activity::Foreground } else { Activity::Background };
        self.devices[index].set_activity(self.now, activity);
        if self.random.below(4) == 0 {
            self.devices[index].with(self.now, |client, clock| client.wake(clock));
        }
    }

    fn insist(&mut self) {
        let Some(index) = self.any_awake() else { return };
        self.devices[index].insist(self.now);
    }

    fn cut_one(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let cut = self.any_cut();
        self.cut(index, cut);
    }

    fn stall(&mut self) {
        let index = self.any_device();
        let most = [2_000, 30_000, 120_000][self.random.below(3) as usize];
        let (millis, way) = (self.random.below(most), self.random.below(3));
        let until = self.now + Duration::from_millis(millis);
        if let Some(wire) = self.wires.iter_mut().find(|wire| wire.device == index && wire.line.held) {
            tally::wrong(Fault::Stalled);
            note(self.now, || format!("connection {}: stands still for {millis} ms", wire.line.number));
            wire.stall(until, way != 0, way != 1);
        }
    }

    fn change_network(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let network = Some(self.random.below(NETWORKS as u64) as usize).filter(|_| self.random.below(4) > 0);
        let is_told = self.random.below(4) > 0;
        self.enter_network(index, network, is_told);
    }

    /// A device comes into another network, or has none; what went through the one before is lost.
    pub fn enter_network(&mut self, index: usize, network: Option<usize>, is_told: bool) {
        let (now, device) = (self.now, &mut self.devices[index]);
        if device.network != network {
            tally::wrong(if network.is_some() { Fault::NetworkChanged } else { Fault::NetworkGone });
            note(now, || format!("device {index}: in network {network:?}, told {is_told}"));
            let wires = self.wires.iter_mut().filter(|wire| wire.device == index);
            wires.for_each(|wire| wire.go_dark("its network is gone"));
            device.network = network;
        }
        if is_told {
            device.tell_network(now);
        }
    }

    fn change_nat(&mut self) {
        let which = self.random.below(NETWORKS as u64) as usize;
        let life = [20, 45, 90, 240, 300, 600, 1_000_000][self.random.below(7) as usize];
        let net = &mut self.nets[which];
        net.life = Duration::from_secs(life);
        (net.jitter_percent, net.resets) = ([0, 10][self.random.below(2) as usize], self.random.below(3) == 0);
        tally::wrong(Fault::NatChanged);
        note(self.now, || format!("network {which}: {net:?}"));
        let net = *net;
        for wire in self.wires.iter_mut().filter(|wire| wire.network == which) {
            (wire.nat.lifetime, wire.nat.jitter_percent, wire.nat.resets) = (net.life, net.jitter_percent, net.resets);
        }
    }

    /// For the connections from now on.
    fn change_weather(&mut self) {
        let (fine, rough) = (Weather::FINE, Weather::ROUGH);
        let slow = Weather { delay: Duration::from_millis(2_000), ..fine };
        let split = Weather { largest_write: 99, largest_read: 99, ..rough };
        self.weather = [fine, Weather { delay: Duration::from_millis(50), ..fine }, slow, split, rough]
            [self.random.below(5) as usize];
        tally::wrong(Fault::Weather);
        note(self.now, || format!("{:?}", self.weather));
    }

    fn change_address(&mut self) {
        let place = self.random.below(PLACES as u64) as usize;
        let (site, fault) = match self.random.below(10) {
            0 | 1 => (Site::Dead, Fault::AddressDead),
            2 => (Site::Refusing, Fault::AddressRefuses),
            3 => (Site::Unreachable, Fault::AddressUnreachable),
            4 => (Site::Foreign, Fault::AddressForeign),
            5 => (Site::Mute, Fault::AddressMute),
            _ => {
                self.sites[place] = Site::Alive;
                return note(self.now, || format!("address {place}: works"));
            }
        };
        self.sites[place] = site;
        tally::wrong(fault);
        note(self.now, || format!("address {place}: {site:?}"));
        if site == Site::Dead {
            let wires = self.wires.iter_mut().filter(|wire| wire.place == place);
            wires.for_each(|wire| wire.go_dark("its address is gone"));
        }
    }

    fn name_addresses(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let mask = 1 + self.random.below(63) as u8;
        self.devices[index].name_addresses(self.now, mask);
    }

    fn sleep(&mut self) {
        let Some(index) = self.any_awake() else { return };
        let most = [60, 1_800, 20_000][self.random.below(3) as usize];
        let (seconds, clock_stands) = (1 + self.random.below(most), self.random.below(2) == 0);
        let is_told = self.random.below(4) > 0;
        tally::wrong(if clock_stands { Fault::SleptWithoutClock } else { Fault::Slept });
        note(self.now, || format!("device {index}: asleep for {seconds} s, its clock stands {clock_stands}"));
        let until = self.now + Duration::from_secs(seconds);
        self.devices[index].asleep = Some(Sleep { since: self.now, until, clock_stands, is_told });
        // Nobody answers for it meanwhile.
        let wires = self.wires.iter_mut().filter(|wire| wire.device == index);
        wires.for_each(|wire| wire.wrong = wire.wrong.or(Some("its device slept")));
    }

    fn kill_one(&mut self) {
        let index = self.any_device();
        let from = match self.random.below(12) {
            0 => Start::Empty,
            1..4 => Start::Backup,
            _ => Start::Disk,
        };
        let cut = self.any_cut();
        self.kill_device(index, from, cut);
    }

    fn kill_one_at_a_write(&mut self) {
        let moment = self.any_moment();
        let index = self.any_device();
        self.devices[index].app.dies.when = Some(moment);
    }

    fn any_moment(&mut self) -> Moment {
        if self.random.below(2) == 0 { Moment::Before } else { Moment::After }
    }

    fn back_up_one(&mut self) {
        let index = self.any_device();
        self.devices[index].back_up();
    }

    fn fail_inbox(&mut self) {
        let index = self.any_device();
        self.devices[index].app.inbox.fails = true;
    }

    fn kill_one_server(&mut self) {
        let machine = self.random.below(MACHINES as u64) as usize;
        self.kill_server(machine);
    }

    fn kill_server_at_a_write(&mut self) {
        self.office.dies = Some(self.any_moment());
    }

    fn back_up_mailbox(&mut self) {
        let which = self.random.below(self.office.accounts.len() as u64) as usize;
        self.office.accounts[which].back_up();
    }

    fn restore_mailbox(&mut self) {
        let which = self.random.below(self.office.accounts.len() as u64) as usize;
        self.office.accounts[which].restore();
    }

    fn fail_store(&mut self) {
        self.office.fails = 1 + self.random.below(12) as u32;
    }

    fn forget_device(&mut self) {
        let index = self.any_device();
        let habits = self.plan.devices[index];
        tally::wrong(Fault::DeviceForgotten);
        self.office.accounts[habits.account].forget_device(index, habits.id.get());
    }

    fn refuse(&mut self) {
        let index = self.any_device();
        let status = [HelloStatus::Busy, HelloStatus::Moved, HelloStatus::TokenExpired][self.random.below(3) as usize];
        let retry_after = Duration::from_secs([0, 1, 20, 90][self.random.below(4) as usize]);
        self.office.refusals[index] = Some(Refuse { retry_after, ..Refuse::new(status) });
    }

    /// A server has too much to do, restarts, moves, or wants a new token.
    fn send_away(&mut self) {
        let index = self.any_device();
        let codes =
            [GoAwayCode::Done, GoAwayCode::Restart, GoAwayCode::Overload, GoAwayCode::Moved, GoAwayCode::TokenExpired];
        let code = codes[self.random.below(5) as usize];
        let delay = Duration::from_secs([0, 0, 5, 60][self.random.below(4) as usize]);
        let wires = self.wires.iter_mut().filter(|wire| wire.device == index && wire.line.held);
        for port in wires.filter_map(|wire| wire.line.server.as_mut()) {
            note(self.now, || format!("device {index}: sent away, {code:?}, for {delay:?}"));
            port.link.endpoint_mut().close(self.now, GoAway::new(code).with_retry_after(delay));
        }
    }
}
