//! What the application, the platform and the link tell, and what that means for the next link.

use super::{Dialer, Phase, State};
use crate::Instant;
use crate::liveness::{Activity, Address, Fault, Network, Presence, Reason, Reconnect, TooManyAddresses};
use crate::session::limits::LINGER_EXTENSION;
use crate::time::{deadline, earliest};
use crate::wire::Proof;
use core::time::Duration;

/// However short a link is kept in the background, it is tried for so long: a round or two.
const LEAST_TRY: Duration = Duration::from_secs(30);

/// What the end of a link means for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Next {
    /// It is wanted, when the reason allows.
    After(Reason),
    /// It is of no use.
    Never,
}

impl Dialer {
    /// A link is wanted from now on. The one before may still be closing.
    pub(in crate::session) fn open(&mut self, now: Instant, seed: u64, has_link: bool, is_online: bool) {
        if self.state.phase != Phase::Off {
            return;
        }
        // What a server imposed holds, also for who closes and opens again.
        if !core::mem::replace(&mut self.state.is_seeded, true) {
            self.state.reconnect = Reconnect::new(seed);
        }
        self.state.presence = Presence::new(self.state.presence.activity(), now);
        if has_link {
            self.state.reconnect.handle_attempt(now);
            self.take_up(None);
            self.arm_linger(now);
            if is_online {
                self.handle_online(now);
            }
        } else {
            self.rise(now);
        }
    }

    /// None is wanted any more.
    pub(in crate::session) fn close(&mut self, now: Instant) {
        self.fall(now, Phase::Off);
    }

    /// Comes out of a state in which no link is wanted.
    fn rise(&mut self, now: Instant) {
        self.state.tells.dormant = false;
        self.wait(now, Reason::AtOnce);
        self.arm_linger(now);
    }

    /// Goes into a state in which no link is wanted.
    fn fall(&mut self, now: Instant, phase: Phase) {
        let State { reconnect, trials, stagger, linger, extended, rests, poll, check, tells, .. } = &mut self.state;
        reconnect.handle_closed(now);
        trials.abandon_all();
        (*stagger, *linger, *poll, *check) = (None, None, None, None);
        (*extended, *rests) = (false, false);
        (tells.poll, tells.dormant) = (false, false);
        (self.state.phase, self.state.is_online, self.state.up) = (phase, false, None);
    }

    /// Something has happened that may need a link, or the device has slept.
    pub(in crate::session) fn wake(&mut self, now: Instant) {
        // Also a link that was about to rest.
        self.state.rests = false;
        self.arm_linger(now);
        match self.state.phase {
            Phase::Dormant => self.rise(now),
            Phase::Waiting => self.state.reconnect.at_once(now, &self.state.presence),
            Phase::Off | Phase::Dialing | Phase::Up => {}
        }
    }

    /// The application insists, whatever a server has asked for.
    pub(in crate::session) fn force(&mut self, now: Instant) {
        self.wake(now);
        if self.state.phase == Phase::Waiting {
            self.state.reconnect.force(now, &self.state.presence);
        }
    }

    /// A message waits for a link.
    pub(in crate::session) fn need(&mut self, now: Instant) {
        match self.state.phase {
            Phase::Dormant if self.state.config.wakes => self.rise(now),
            Phase::Up if self.state.rests && self.state.config.wakes => self.wake(now),
            // Once or often is the same.
            Phase::Waiting => self.state.reconnect.hasten(now, &self.state.presence),
            _ => {}
        }
    }

    pub(in crate::session) fn set_activity(&mut self, now: Instant, activity: Activity) {
        if !self.state.presence.set(now, activity) {
            return;
        }
        if activity == Activity::Foreground {
            self.wake(now);
        }
        self.arm_linger(now);
        self.arm_check(now);
        let State { poll, presence, has_network, .. } = &mut self.state;
        if poll.is_some() {
            *poll = earliest([*poll, deadline(now, presence.poll_interval(now, *has_network))]);
        }
    }

    /// Counts from now on how long a link is kept in the background, or tried for.
    fn arm_linger(&mut self, now: Instant) {
        let State { phase, linger, extended, presence, config, rests, is_online, is_called, .. } = &mut self.state;
        let lingers = presence.activity() == Activity::Background && !matches!(phase, Phase::Off);
        let least = if *is_online { Duration::ZERO } else { LEAST_TRY };
        *linger = config.linger.filter(|_| lingers && !*rests).and_then(|linger| deadline(now, linger.max(least)));
        (*extended, *is_called) = (false, !*is_online);
    }

    /// The addresses, in the order of preference.
    pub(in crate::session) fn set_addresses(
        &mut self,
        now: Instant,
        addresses: &[Address],
    ) -> Result<(), TooManyAddresses> {
        let is_new = addresses.iter().any(|address| !self.candidates.contains(*address));
        self.candidates.set(addresses)?;
        match self.state.phase {
            Phase::Waiting if is_new => self.state.reconnect.force(now, &self.state.presence),
            // The round under way had none left.
            Phase::Dialing if is_new => self.state.stagger = self.state.stagger.or(Some(now)),
            _ => {}
        }
        Ok(())
    }

    /// Another network, or none. `false` if it is the one before, as far as is known.
    pub(in crate::session) fn set_network(&mut self, now: Instant, network: Option<Network>) -> bool {
        let had = core::mem::replace(&mut self.state.has_network, network.is_some());
        let is_other = network.is_some_and(|network| self.enter(network));
        let is_new = had != network.is_some() || is_other;
        if !is_new && network != Some(Network::UNKNOWN) {
            return false;
        }
        if is_new {
            // Also a check: it belongs to the network before.
            self.state.trials.abandon_all();
        }
        if is_new && self.state.phase == Phase::Dialing {
            self.wait(now, Reason::Lost);
        }
        match (self.state.phase, network) {
            (Phase::Waiting, Some(_)) => {
                self.state.tells.resolve = true;
                self.state.reconnect.at_once(now, &self.state.presence);
            }
            (Phase::Waiting, None) => self.wait(now, Reason::Lost),
            _ => {}
        }
        is_new
    }

    /// `true` if it is another network. One that nobody knows may be: nothing that was known of addresses holds.
    fn enter(&mut self, network: Network) -> bool {
        let before = core::mem::replace(&mut self.state.network, network);
        self.candidates.set_network(network);
        before != network
    }

    /// The application made a connection by itself. That asks for no other.
    pub(in crate::session) fn handle_connected(&mut self, now: Instant) {
        if !matches!(self.state.phase, Phase::Up | Phase::Off) {
            self.state.trials.abandon_all();
            self.state.reconnect.handle_attempt(now);
            self.take_up(None);
            self.arm_linger(now);
        }
    }

    pub(in crate::session) fn handle_online(&mut self, now: Instant) {
        self.state.reconnect.handle_online(now);
        if let Some(address) = self.state.up {
            self.candidates.handle_alive(now, address);
        }
        // Whatever the platform says, there is a network.
        (self.state.is_online, self.state.poll, self.state.has_network) = (true, None, true);
        self.state.tells.poll = false;
        // Not each link anew: one that comes and goes would keep a device awake for ever.
        if self.state.is_called {
            self.arm_linger(now);
        }
        self.arm_check(now);
    }

    /// The peer settled something.
    pub(in crate::session) fn handle_settled(&mut self, now: Instant, all: bool) {
        self.state.reconnect.handle_settled();
        self.handle_ended(now, all);
    }

    /// The link was lost to a silence that it was to find out about: no fault of whoever is there. What it taught counts only
    /// if the next link comes soon.
    pub(in crate::session) fn handle_tried(&mut self) {
        self.state.reconnect.handle_settled();
    }

    /// Something has ended; perhaps the last thing for which a link is still kept.
    pub(in crate::session) fn handle_ended(&mut self, now: Instant, all: bool) {
        if all && self.state.extended {
            self.state.linger = Some(now);
        }
    }

    /// The connection is gone.
    pub(in crate::session) fn handle_down(&mut self, now: Instant, next: Next, resolves: bool) {
        let was_up = self.state.phase == Phase::Up;
        self.state.trials.abandon_all();
        self.state.tells.resolve |= resolves;
        if self.state.phase == Phase::Off || was_up && self.state.rests {
            self.impose(now, next);
        }
        if was_up && self.state.rests && next != Next::Never {
            return self.fall_asleep(now);
        }
        let is_stable = self.state.reconnect.is_stable(now);
        let is_theirs = matches!(next, Next::After(Reason::Lost | Reason::Named(_)));
        if let Some(address) = self.state.up.filter(|_| is_theirs && !is_stable) {
            // Somebody answered the probe and does not greet, or does and is gone: others come first the next time.
            let fault = if self.state.proof == Proof::Heartbeat { Fault::Refused } else { Fault::Silent };
            self.candidates.handle_failed(now, address, fault);
        }
        let goes_on = was_up && matches!(next, Next::After(Reason::Lost)) && self.go_on(now);
        (self.state.is_online, self.state.up, self.state.check) = (false, None, None);
        match next {
            _ if !was_up || goes_on => {}
            Next::Never => self.fall(now, Phase::Off),
            Next::After(reason) => self.wait(now, reason),
        }
    }

    /// What the peer imposed holds, also for who wants no other link just now.
    fn impose(&mut self, now: Instant, next: Next) {
        let State { reconnect, presence, .. } = &mut self.state;
        if let Next::After(reason @ (Reason::Named(_) | Reason::Replaced)) = next {
            reconnect.handle_down(now, reason, presence);
            reconnect.handle_closed(now);
        }
    }

    fn fall_asleep(&mut self, now: Instant) {
        self.fall(now, Phase::Dormant);
        self.state.tells.dormant = true;
    }

    /// Acts on what is due. `true` if the link is to be closed in good order, for it has lingered long enough.
    pub(in crate::session) fn handle_timeout(&mut self, now: Instant, is_settled: bool) -> bool {
        self.handle_attempts(now);
        self.handle_check(now);
        self.handle_poll(now);
        if self.state.phase == Phase::Waiting && self.state.reconnect.poll_timeout().is_some_and(|at| at <= now) {
            self.begin_round(now);
        }
        self.handle_ended(now, is_settled);
        self.handle_linger(now, is_settled)
    }

    fn handle_poll(&mut self, now: Instant) {
        if self.state.poll.is_some_and(|at| at <= now) {
            self.state.tells.poll = true;
            let interval = self.state.presence.poll_interval(now, self.state.has_network);
            self.state.poll = deadline(now, interval);
        }
    }

    fn handle_linger(&mut self, now: Instant, is_settled: bool) -> bool {
        let State { phase, linger, extended, rests, .. } = &mut self.state;
        if linger.is_none_or(|at| at > now) {
            return false;
        }
        if !is_settled && !core::mem::replace(extended, true) {
            *linger = deadline(now, LINGER_EXTENSION);
            return false;
        }
        *linger = None;
        if *phase == Phase::Up {
            *rests = true;
            return true;
        }
        self.fall_asleep(now);
        false
    }
}
