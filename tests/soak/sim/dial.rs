//! What becomes of attempts to connect: nobody is there, or somebody else, or a server, and then there may be a link.

use super::device::Device;
use super::nat::Nat;
use super::plan::{MACHINES, SERVER_ROOM};
use super::tally::{self, Work, note};
use super::wire::{Route, Wire};
use super::world::World;
use crate::support::post::Cut;
use crate::support::post::port::Port;
use crate::support::sites::Site;
use longlink::Instant;
use longlink::liveness::{self, Probe, Verdict};
use longlink::session::{Attempt, Link, Server};
use longlink::wire::{Decoder, Dialect};
use std::time::Duration;

impl World<'_> {
    /// What was asked for: connections are begun, and come to something a little later.
    pub(super) fn begin_attempts(&mut self, index: usize) {
        let Self { now, devices, sites, random, .. } = self;
        let Device { app, attempts, .. } = &mut devices[index];
        for attempt in app.begun.drain(..) {
            let takes = Duration::from_millis(20 + random.below(400));
            if !matches!(sites[place_of(attempt)], Site::Dead | Site::Deaf) {
                attempts.push((*now + takes, attempt));
            }
        }
        let excess = app.given_up.len().saturating_sub(32);
        app.given_up.drain(..excess);
    }

    /// Attempts come to something. `true` if any did.
    pub(super) fn report_attempts(&mut self, index: usize) -> bool {
        let mut moved = false;
        while let Some(due) = self.devices[index].attempts.iter().position(|(at, _)| *at <= self.now) {
            let (_, attempt) = self.devices[index].attempts.remove(due);
            let (now, device) = (self.now, &mut self.devices[index]);
            // Who was told to give up says nothing any more, or is late.
            if device.app.given_up.contains(&attempt.number()) && attempt.number() % 4 > 0 {
                continue;
            }
            moved = true;
            let fault = match self.sites[place_of(attempt)] {
                _ if device.network.is_none() => liveness::Fault::Unreachable,
                Site::Unreachable => liveness::Fault::Unreachable,
                Site::Refusing => liveness::Fault::Refused,
                Site::Foreign => probe_foreign(),
                Site::Dead | Site::Deaf => liveness::Fault::Silent,
                Site::Alive | Site::Mute | Site::Brief | Site::Busy => {
                    self.connect(index, attempt);
                    continue;
                }
            };
            note(now, || format!("device {index}: attempt {} fails, {fault:?}", attempt.number()));
            device.app.laws.handle_report(attempt);
            device.with(now, |client, clock| client.handle_refused(clock, attempt, fault));
        }
        moved
    }

    /// Somebody is there: a server is asked, and if it answers this may be the link.
    fn connect(&mut self, index: usize, attempt: Attempt) {
        let (now, place) = (self.now, place_of(attempt));
        let device = &mut self.devices[index];
        let network = device.network.unwrap_or(0);
        let mut server = Server::new(self.server, now).unwrap();
        server.lend(vec![0; SERVER_ROOM]).unwrap();
        let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; SERVER_ROOM]).unwrap();
        let mut port = Port::new(Link::new(decoder, server));
        assert_eq!(probe(now, &mut port.link), Verdict::Alive, "a server does not answer a probe");
        let net = self.nets[network];
        let mut nat = Nat::new(net.life, self.random.next());
        (nat.jitter_percent, nat.resets) = (net.jitter_percent, net.resets);
        let route = Route { device: index, place, machine: place % MACHINES, network };
        let mut wire = Wire::new(now, self.connections, route, port, self.weather, nat);
        self.connections += 1;
        wire.mute = self.sites[place] == Site::Mute;
        let was_up = device.ear().is_up;
        let is_taken = device.ear().handle_alive(now, attempt);
        device.app.laws.one_attempt_wins(attempt, is_taken, was_up);
        if is_taken {
            tally::did(Work::Links);
            device.port.link.split().0.reset();
            device.app.wished.clear();
            device.app.traffic.links += 1;
            note(now, || format!("device {index}: connection {} to server {}", wire.line.number, wire.machine));
        } else {
            wire.let_go(now, Cut::Ends(usize::MAX), "nobody needed it");
        }
        self.wires.push(wire);
    }
}

fn place_of(attempt: Attempt) -> usize {
    attempt.address().index.into()
}

/// Asks whether somebody is there, with the time that this takes being over already.
fn probe(now: Instant, link: &mut Link<Server<'_, Vec<u8>>, Vec<u8>>) -> Verdict {
    let mut probe = Probe::new(&Dialect::LONGLINK);
    while let Some(bytes) = probe.poll_transmit() {
        let n = bytes.len();
        link.space()[..n].copy_from_slice(bytes);
        probe.handle_sent(n);
        link.handle_read(now, n);
        link.process(now, |_, event| panic!("a probe is no reason for {event:?}"));
    }
    let answer = crate::support::written(link, now);
    probe.space()[..answer.len()].copy_from_slice(&answer);
    probe.commit(answer.len())
}

/// What answers speaks another protocol.
fn probe_foreign() -> liveness::Fault {
    let mut probe = Probe::new(&Dialect::LONGLINK);
    let space = probe.space();
    let n = space.len();
    space.copy_from_slice(&b"HTTP/1.1 302 Found: log in first"[..n]);
    assert_eq!(probe.commit(n), Verdict::Foreign, "somebody else is taken for a server");
    liveness::Fault::Foreign
}
