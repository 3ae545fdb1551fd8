//! Which links there are to be: what the application and the platform say, and what the end of a link means for the next.

use super::{Client, DIALS, State};
use crate::Instant;
use crate::liveness::{Activity, Address, Fault, Network, NetworkRecord, Reason, TooManyAddresses};
use crate::session::dialer::{Alive, Next};
use crate::session::limits::{DRAIN_TIMEOUT, GREETING_TURN};
use crate::session::{
    Attempt, Config, ConfigError, Dialer, Disconnect, Event, GoAway, GoAwayCode, HelloStatus, Refusal, Timer,
};
use crate::time::deadline;
use crate::wire::Proof;
use core::time::Duration;

/// The part that dials, where the configuration wants one.
pub(super) fn dialer<'b>(
    config: &'b Config<'b>,
    memory: Option<&'b mut Dialer>,
) -> Result<Option<&'b mut Dialer>, ConfigError> {
    let Some(dialing) = config.dialer else { return Ok(None) };
    if !DIALS {
        return Err(ConfigError::NotBuilt { feature: "dialer" });
    }
    let dialer = memory.filter(|dialer| dialer.capacity() > 0).ok_or(ConfigError::NoDialerMemory)?;
    dialer.begin(dialing, config.dialect.proof);
    Ok(Some(dialer))
}

/// With [`Config::dialer`] the client says when to connect, and where to: see [`Dialer`] for its states.
impl Client<'_> {
    /// Wants a link from now on: [`Event::Connect`] follows, as soon as there are [addresses](Self::set_addresses), and
    /// again whenever the link is lost. `seed` is any number that other clients do not have, so that they do not all
    /// come back in the same moment: draw it at random, or take a serial number. Name [network](Self::set_network),
    /// [activity](Self::set_activity) and addresses before, so that the first round is the right one. No-op without
    /// [`Config::dialer`], and if one is wanted already.
    pub fn open(&mut self, now: Instant, seed: u64) {
        let (has_link, is_online) = (self.state != State::Idle, self.is_online());
        self.with_dialer(now, |dialer, now| dialer.open(now, seed, has_link, is_online));
    }

    /// Names the addresses, the most preferred first; what is known of those that stay is kept. New ones are tried at
    /// once, if not too often, whatever delay a server has asked for. No-op without [`Config::dialer`].
    ///
    /// # Errors
    ///
    /// [`TooManyAddresses`] if there is no room for them; nothing has changed.
    pub fn set_addresses(&mut self, now: Instant, addresses: &[Address]) -> Result<(), TooManyAddresses> {
        self.with_dialer(now, |dialer, now| dialer.set_addresses(now, addresses)).unwrap_or(Ok(()))
    }

    /// An attempt succeeded: connected, and its [`Probe`](crate::liveness::Probe) says that somebody is there. `true` if
    /// this connection is the link now; `false` if it came too late, or was a [check](Attempt::is_check): drop it.
    /// [`Link::handle_alive`] also forgets what was half-read of the link before.
    ///
    /// [`Link::handle_alive`]: crate::session::Link::handle_alive
    #[must_use = "a connection that came too late is to be dropped"]
    pub fn handle_alive(&mut self, now: Instant, attempt: Attempt) -> bool {
        match self.with_dialer(now, |dialer, now| dialer.handle_alive(now, attempt)) {
            Some(Alive::Taken { has_others }) => {
                self.begin_link(now);
                let takes_turns = self.config.dialect.proof == Proof::Greeting;
                if has_others && takes_turns && self.state == State::Greeting {
                    self.connection.until = deadline(self.connection.now(), GREETING_TURN);
                }
                true
            }
            Some(Alive::Better) => {
                self.close_for(now, Disconnect::Moved);
                false
            }
            Some(Alive::Late) | None => false,
        }
    }

    /// An attempt failed. The next address is tried at once. No-op if the attempt was given up already.
    pub fn handle_refused(&mut self, now: Instant, attempt: Attempt, fault: Fault) {
        self.with_dialer(now, |dialer, now| dialer.handle_refused(now, attempt, fault));
    }

    /// Says which network the device is in, and what was [learned](Event::NetworkLearned) of it; `None` if it is in
    /// none. A link of another network is given up, and a new one is wanted at once, if not too often; one of the same
    /// network is asked whether it is still alive.
    pub fn set_network(&mut self, now: Instant, network: Option<Network>, record: Option<&NetworkRecord>) {
        let now = self.connection.clock(now);
        let before = self.heartbeat.record().network();
        match network {
            Some(network) => self.heartbeat.set_network(now, network, record),
            None => self.heartbeat.handle_no_network(),
        }
        let dials_anew = self.with_dialer(now, |dialer, now| dialer.set_network(now, network)).unwrap_or(false);
        match self.state {
            State::Idle => {}
            State::Leaving if self.connection.why.is_some_and(|why| !why.is_orderly()) => {}
            _ if dials_anew || network.is_none_or(|network| network != before) => self.die(Disconnect::NetworkChanged),
            _ => self.ask_again(),
        }
    }

    /// Says whether somebody looks. In the foreground a link is wanted at once, if not too often, and kept by a
    /// heartbeat every 30 s at least; in the background it is kept by what was learned of the network, for as long as
    /// [`linger`](crate::session::DialerConfig::linger) says.
    pub fn set_activity(&mut self, now: Instant, activity: Activity) {
        self.heartbeat.set_foreground(activity == Activity::Foreground);
        self.with_dialer(now, |dialer, now| dialer.set_activity(now, activity));
    }

    /// Something happened that calls for a link: a push came by another channel, or the device has slept, perhaps with
    /// a clock that stood still: when the platform says that the application came to the foreground, say both. A
    /// dormant device wants a link again, a wait for one ends, if that is not too often, and a link that is up must
    /// answer a heartbeat within 5 s.
    pub fn wake(&mut self, now: Instant) {
        self.with_dialer(now, |dialer, now| dialer.wake(now));
        self.ask_again();
    }

    /// Insists on an attempt now, also before the time that a server has named. Not for timers: it is for people. No-op
    /// without [`Config::dialer`].
    pub fn connect_now(&mut self, now: Instant) {
        self.with_dialer(now, |dialer, now| dialer.force(now));
    }

    /// Keeps the radio awake for what is about to come: for 20 s, a heartbeat every 5 s. No-op unless online.
    pub fn signal(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.heartbeat.signal(now);
    }

    /// `true` while nothing is wanted but that messages wait: the link was closed because the device is in the background.
    #[must_use]
    pub fn is_dormant(&self) -> bool {
        self.dialer.as_ref().is_some_and(|dialer| dialer.is_dormant())
    }

    /// `true` unless no link is wanted: before [`open`](Self::open), after [`close`](Self::close), and after a refusal
    /// that time does not cure, of which [`Event::Offline`] has told: open it again once the cause is gone. Another
    /// token takes another client, which goes on from the [state](Self::save) of this one. `false` without
    /// [`Config::dialer`].
    #[must_use]
    pub fn wants_link(&self) -> bool {
        self.dialer.as_ref().is_some_and(|dialer| dialer.wants_link())
    }

    pub(super) fn with_dialer<T>(&mut self, now: Instant, act: impl FnOnce(&mut Dialer, Instant) -> T) -> Option<T> {
        let now = self.connection.clock(now);
        self.dialer.as_mut().map(|dialer| act(dialer, now))
    }

    /// A link that may have died unnoticed is asked, and must answer soon.
    fn ask_again(&mut self) {
        if self.state == State::Online {
            self.heartbeat.beat_late();
        }
    }

    /// Closes an online link in good order.
    pub(super) fn close_for(&mut self, now: Instant, why: Disconnect) {
        let now = self.connection.clock(now);
        match self.state {
            State::Idle | State::Draining | State::Leaving => {}
            State::Greeting => self.leave(now, why),
            State::Online => {
                self.state = State::Draining;
                self.outbox().freeze();
                self.connection.until = deadline(now, DRAIN_TIMEOUT);
                self.connection.why = Some(why);
                self.settle(now);
            }
        }
    }

    pub(super) fn handle_dialer_timeout(&mut self, now: Instant) {
        let Some(dialer) = self.dialer.as_mut() else { return };
        let is_settled = self.connection.transmit.frames.is_settled();
        if dialer.handle_timeout(now, is_settled) {
            self.close_for(now, Disconnect::Closed);
        }
    }

    /// A message waits for a link.
    pub(super) fn need_link(&mut self, now: Instant) {
        if self.state != State::Online {
            self.with_dialer(now, |dialer, now| dialer.need(now));
        }
    }

    /// Something was settled on this link.
    pub(super) fn tell_settled(&mut self, now: Instant) {
        if let Some(dialer) = self.dialer.as_mut() {
            dialer.handle_settled(now, self.connection.transmit.frames.is_settled());
        }
    }

    /// The link is down: when the next is wanted follows from why.
    pub(super) fn look_for_next(&mut self, now: Instant, why: Disconnect) {
        let (next, resolves) = after(why);
        let was_tried = self.heartbeat.was_tried();
        self.with_dialer(now, |dialer, now| {
            if was_tried {
                dialer.handle_tried();
            }
            dialer.handle_down(now, next, resolves);
        });
    }

    /// `false` if [`poll_liveness`](Self::poll_liveness) has nothing to tell.
    pub(super) fn may_tell_of_links(&self) -> bool {
        self.dialer.is_some() || self.heartbeat.has_learned()
    }

    #[cold]
    pub(super) fn poll_liveness(&mut self) -> Option<Event<'static>> {
        if let Some(record) = self.heartbeat.take_learned() {
            return Some(Event::NetworkLearned(record));
        }
        let (now, unsettled) = (self.connection.now(), self.unsettled());
        self.dialer.as_mut()?.poll_event(now, unsettled)
    }

    pub(super) fn dialer_timeout(&self) -> Option<Instant> {
        self.dialer.as_ref().and_then(|dialer| dialer.poll_timeout())
    }

    pub(super) fn dialer_timer(&self) -> Option<(Timer, Instant)> {
        self.dialer.as_ref()?.next_timer()
    }
}

/// What the end of a link means for the next, and whether the addresses are to be resolved anew.
fn after(why: Disconnect) -> (Next, bool) {
    match why {
        Disconnect::Closed
        | Disconnect::Moved
        | Disconnect::NetworkChanged
        | Disconnect::EpochChanged
        | Disconnect::UnknownDevice => (Next::After(Reason::AtOnce), false),
        Disconnect::HeartbeatLost | Disconnect::Stalled | Disconnect::SlowFrame => (Next::After(Reason::Silent), false),
        Disconnect::GoAway(goaway) => (after_goaway(goaway), goaway.code() == GoAwayCode::Moved),
        Disconnect::Rejected(refusal) => (after_refusal(refusal), refusal.status() == HelloStatus::Moved),
        _ => (Next::After(Reason::Lost), false),
    }
}

fn after_goaway(goaway: GoAway) -> Next {
    match goaway.code() {
        GoAwayCode::Blocked | GoAwayCode::TokenExpired => Next::Never,
        GoAwayCode::Replaced => Next::After(Reason::Replaced),
        _ => named(goaway.retry_after()),
    }
}

fn after_refusal(refusal: Refusal) -> Next {
    match refusal.status() {
        HelloStatus::EpochTooOld | HelloStatus::LinkTooOld => Next::After(Reason::AtOnce),
        HelloStatus::TokenExpired => Next::Never,
        status if status.is_permanent() => Next::Never,
        _ => named(refusal.retry_after()),
    }
}

fn named(delay: Duration) -> Next {
    Next::After(if delay.is_zero() { Reason::Lost } else { Reason::Named(delay) })
}
