//! Rounds of attempts: addresses in their order, a little apart, until one is alive or all have failed.

use super::{Attempt, Dialer, Phase, State};
use crate::Instant;
use crate::liveness::{Activity, Address, Fault, Heartbeat, Reason};
use crate::session::limits::{ATTEMPT_STAGGER, ATTEMPT_TIMEOUT, CHECK_INTERVAL};
use crate::time::{deadline, earliest, micros};
use crate::wire::Proof;

/// What becomes of an attempt that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Alive {
    /// It is the link. Others are still untried, should it fail.
    Taken { has_others: bool },
    /// Too late, or given up.
    Late,
    /// A better address than the one in use works.
    Better,
}

/// An attempt that is reported so late was overslept, whatever is said of it.
const OVERSLEPT: u64 = micros(ATTEMPT_TIMEOUT.saturating_add(Heartbeat::LEAST_LATE));

impl Dialer {
    /// All addresses may be tried, the best one now.
    pub(super) fn begin_round(&mut self, now: Instant) {
        let State { phase, reconnect, tells, .. } = &mut self.state;
        *phase = Phase::Dialing;
        reconnect.handle_attempt(now);
        self.candidates.begin_round();
        tells.resolve |= self.candidates.is_empty();
        self.start_next(now);
    }

    /// Tries the next address, if there is one and a place for it. The round is over when none is left and none is out.
    fn start_next(&mut self, now: Instant) {
        let State { trials, stagger, reconnect, .. } = &mut self.state;
        let next = if trials.has_place() { self.candidates.next(now) } else { None };
        if let Some(address) = next {
            trials.start(now, address, false);
            reconnect.handle_attempt(now);
        }
        // Without a place it is due as soon as there is one.
        let pause = if next.is_some() { deadline(now, ATTEMPT_STAGGER) } else { Some(now) };
        *stagger = pause.filter(|_| self.candidates.has_untried());
        if !self.candidates.has_untried() && !trials.is_any_out() {
            self.fail_round(now);
        }
    }

    /// A place has become free, for which the next attempt may have waited.
    pub(super) fn use_place(&mut self, now: Instant) {
        if self.state.stagger.is_some_and(|at| at <= now) {
            self.start_next(now);
        }
    }

    fn fail_round(&mut self, now: Instant) {
        self.state.tells.resolve = true;
        self.wait(now, Reason::Lost);
    }

    /// The next round begins when the reason allows.
    pub(super) fn wait(&mut self, now: Instant, reason: Reason) {
        let State { phase, reconnect, presence, stagger, poll, has_network, .. } = &mut self.state;
        (*phase, *stagger) = (Phase::Waiting, None);
        // Whatever was lost, without a network there is nowhere to go, and nothing is granted at once.
        let is_pointless = !*has_network && reason == Reason::AtOnce;
        reconnect.handle_down(now, if is_pointless { Reason::Offline } else { reason }, presence);
        if !*has_network {
            reconnect.handle_down(now, Reason::Offline, presence);
        }
        if poll.is_none() {
            *poll = deadline(now, presence.poll_interval(now, *has_network));
        }
    }

    pub(in crate::session) fn handle_alive(&mut self, now: Instant, attempt: Attempt) -> Alive {
        let Some(since) = self.state.trials.finish(attempt) else { return Alive::Late };
        if now.micros_since(since) >= OVERSLEPT {
            self.oversleep(now);
            return Alive::Late;
        }
        let address = attempt.address();
        if attempt.is_check() {
            if self.state.phase != Phase::Up || !self.state.is_online {
                return Alive::Late;
            }
            self.candidates.handle_reached(now, address);
            self.candidates.prefer(address);
            return Alive::Better;
        }
        if self.state.phase != Phase::Dialing {
            return Alive::Late;
        }
        if self.state.proof == Proof::Heartbeat {
            // Whether it greets as well will be seen.
            self.candidates.handle_reached(now, address);
        }
        while let Some((other, begun)) = self.state.trials.abandon(|_, _| true) {
            // Who had more time than the winner, and a stagger besides, does not answer.
            if !other.is_check() && since - begun >= ATTEMPT_STAGGER {
                self.candidates.handle_failed(now, other.address(), Fault::Silent);
            }
            // Should the winner not greet, all of them have their turn.
            self.candidates.put_back(other.address());
        }
        self.take_up(Some(address));
        Alive::Taken { has_others: self.candidates.has_untried() }
    }

    /// A connection is there.
    pub(super) fn take_up(&mut self, address: Option<Address>) {
        let State { phase, up, stagger, is_online, tells, .. } = &mut self.state;
        (*phase, *up, *stagger, *is_online) = (Phase::Up, address, None, false);
        tells.dormant = false;
    }

    pub(in crate::session) fn handle_refused(&mut self, now: Instant, attempt: Attempt, fault: Fault) {
        match self.state.trials.finish(attempt) {
            Some(since) if now.micros_since(since) >= OVERSLEPT => self.oversleep(now),
            Some(_) => self.handle_failed(now, attempt, fault),
            None => {}
        }
    }

    /// The device was asleep, and its attempts with it: they say nothing. Another round, if not too often.
    fn oversleep(&mut self, now: Instant) {
        self.state.trials.abandon_all();
        if self.state.phase == Phase::Dialing {
            self.wait(now, Reason::AtOnce);
        }
    }

    fn handle_failed(&mut self, now: Instant, attempt: Attempt, fault: Fault) {
        if let Some(address) = self.state.up.filter(|_| attempt.is_check() && self.state.is_online) {
            // The link in use shows that the network works.
            self.candidates.handle_alive(now, address);
        }
        if self.state.has_network {
            self.candidates.handle_failed(now, attempt.address(), fault);
        }
        if !attempt.is_check() && self.state.phase == Phase::Dialing {
            self.start_next(now);
        }
    }

    /// The connection came to nothing before it was greeted: the round goes on. `false` if there is no other address.
    pub(super) fn go_on(&mut self, now: Instant) -> bool {
        let State { phase, up, is_online, .. } = &mut self.state;
        if up.is_none() || *is_online {
            return false;
        }
        *phase = Phase::Dialing;
        if !self.candidates.has_untried() {
            self.state.tells.resolve = true;
            return false;
        }
        self.start_next(now);
        true
    }

    /// Acts on what is due of the attempts.
    pub(super) fn handle_attempts(&mut self, now: Instant) {
        let stagger = self.state.stagger.filter(|_| self.state.trials.has_place());
        let due = earliest([self.state.trials.poll_timeout(), stagger]).filter(|at| *at <= now);
        let Some(due) = due else { return };
        if now.micros_since(due) >= micros(Heartbeat::LEAST_LATE) {
            return self.oversleep(now);
        }
        let over = |_: Attempt, since: Instant| deadline(since, ATTEMPT_TIMEOUT).is_some_and(|at| at <= now);
        while let Some((attempt, _)) = self.state.trials.abandon(over) {
            self.handle_failed(now, attempt, Fault::Silent);
        }
        self.use_place(now);
    }

    /// Looks for a better address than the one in use, while somebody looks.
    pub(super) fn handle_check(&mut self, now: Instant) {
        if self.state.check.is_none_or(|at| at > now) {
            return;
        }
        self.arm_check(now);
        let better = self.state.up.and_then(|address| self.candidates.better_than(now, address));
        self.state.tells.resolve = true;
        if let Some(address) = better {
            self.state.trials.start(now, address, true);
        }
    }

    /// In the foreground, on a fallback; unless only a greeting would show that another address is any better.
    pub(super) fn arm_check(&mut self, now: Instant) {
        let State { check, up, is_online, presence, proof, .. } = &mut self.state;
        let can_check = *is_online && *proof == Proof::Heartbeat;
        let checks = can_check && up.is_some_and(|address| address.is_fallback);
        *check =
            if checks && presence.activity() == Activity::Foreground { deadline(now, CHECK_INTERVAL) } else { None };
    }
}
