//! What must hold whatever happens, each a function of its own.

use super::Tongue;
use longlink::Instant;
use longlink::liveness::Activity;
use longlink::session::limits::{ATTEMPT_STAGGER, ATTEMPT_TIMEOUT, ATTEMPTS};
use longlink::session::{Attempt, Client, Disconnect, Endpoint, GoAwayCode, HelloStatus, Timer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// So often an address is tried in a minute at most: three times because something called for it at once, and as often as
/// windows that double leave room for.
pub const TRIES_A_MINUTE: usize = 8;
/// So many steps at one instant are a loop.
const MOST_STEPS: u32 = 2_000;

/// An attempt that was told and has not ended.
#[derive(Clone, Copy, Debug)]
struct Told {
    attempt: Attempt,
    at: Instant,
}

/// What the laws remember.
#[derive(Debug, Default)]
pub struct Laws {
    out: BTreeMap<u32, Told>,
    /// Those that the application has reported, and has not been told to give up.
    reported: BTreeMap<u32, Attempt>,
    taken: Option<u32>,
    told: BTreeSet<u32>,
    /// A link is wanted as far as the application knows.
    pub wanted: bool,
    /// The server said not before.
    pub hold: Option<Instant>,
    /// Its spread is over by then. New addresses shorten that only for who waits.
    pub held: Option<Instant>,
    /// When each address was tried in the last minute.
    tries: BTreeMap<(u16, u16), VecDeque<Instant>>,
    /// When the last attempt was told, and how many have come to an end of late.
    begun: Option<Instant>,
    ends: usize,
    /// Nothing is pending in the client but events: at least one must come when they are fetched.
    pub owes_event: bool,
    steps: (Option<Instant>, u32),
}

impl Laws {
    /// An attempt is told: a new one, when a link is wanted and none is there, while fewer than three are out.
    pub fn attempt_is_told_in_its_place(&mut self, now: Instant, attempt: Attempt, client: &Client<'_>, is_up: bool) {
        assert!(self.wanted && client.wants_link(), "nobody wants a link");
        assert!(self.told.insert(attempt.number()), "{attempt:?} was told before");
        assert_eq!(attempt.is_check(), is_up, "an attempt beside a link, or a check without one");
        assert!(self.out.len() < ATTEMPTS, "{} are out", self.out.len());
        self.out.insert(attempt.number(), Told { attempt, at: now });
        if !attempt.is_check() {
            self.no_named_delay_is_undercut(now);
            self.no_address_is_tried_too_often(now, attempt);
            self.attempts_are_a_little_apart(now);
        }
    }

    fn no_named_delay_is_undercut(&self, now: Instant) {
        assert!(self.hold.is_none_or(|until| now >= until), "the server said {:?}", self.hold);
    }

    fn no_address_is_tried_too_often(&mut self, now: Instant, attempt: Attempt) {
        let tries = self.tries.entry((attempt.address().index, attempt.address().port)).or_default();
        tries.retain(|at| now - *at < Duration::from_secs(60));
        tries.push_back(now);
        assert!(tries.len() <= TRIES_A_MINUTE, "{attempt:?} at {tries:?}");
    }

    /// The next address has to wait for the one before, unless that has come to its end.
    fn attempts_are_a_little_apart(&mut self, now: Instant) {
        let before = self.begun.replace(now);
        if before.is_some_and(|at| now - at < ATTEMPT_STAGGER) {
            assert!(self.ends > 0, "{before:?}, and then {now:?}");
            self.ends -= 1;
        }
    }

    /// What is told now is not what happens now.
    pub const fn handle_gap(&mut self) {
        self.begun = None;
    }

    /// What was settled, or lasted, begins anew with short waits.
    pub fn handle_good_link(&mut self) {
        self.tries.clear();
    }

    /// Who gives up is told of something that was told to begin, and has not ended.
    pub fn only_what_is_out_is_abandoned(&mut self, attempt: Attempt) {
        self.ends = (self.ends + 1).min(ATTEMPTS);
        let was_out = self.out.remove(&attempt.number()).map(|told| told.attempt);
        let was_reported = self.reported.remove(&attempt.number());
        assert_eq!(was_out.or(was_reported), Some(attempt), "never told, or told twice");
        assert_ne!(self.taken, Some(attempt.number()), "it is the link");
    }

    /// The application says that an attempt failed. It may have been given up in the meantime.
    pub fn handle_report(&mut self, attempt: Attempt) {
        self.ends = (self.ends + 1).min(ATTEMPTS);
        if self.out.remove(&attempt.number()).is_some() {
            self.reported.insert(attempt.number(), attempt);
        }
    }

    /// One attempt wins, if it is still out, and only without a link.
    pub fn one_attempt_wins(&mut self, attempt: Attempt, taken: bool, is_up: bool) {
        let was_out = self.out.contains_key(&attempt.number());
        self.handle_report(attempt);
        if taken {
            assert!(was_out && !attempt.is_check() && !is_up, "{attempt:?} made a second link");
            assert!(self.reported.remove(&attempt.number()).is_some());
            self.taken = Some(attempt.number());
            // The others have their turn again in this round, should it not greet.
            for told in self.out.values() {
                let address = told.attempt.address();
                self.tries.entry((address.index, address.port)).or_default().pop_back();
            }
        }
    }

    /// All timers were served and all events are fetched: no attempt is out that is over, or that nobody needs.
    pub fn every_attempt_ends(&self, now: Instant, client: &Client<'_>, is_up: bool) {
        for told in self.out.values() {
            assert!(now - told.at < ATTEMPT_TIMEOUT, "{told:?} is still out");
            assert!(client.wants_link() && !client.is_dormant(), "{told:?}, and no link is wanted");
            assert_eq!(told.attempt.is_check(), is_up, "{told:?} beside a link");
        }
    }

    /// Whoever wants a link has a deadline, something to be told, or a connection.
    pub fn nobody_is_stuck(&mut self, client: &Client<'_>, is_up: bool, fetches: bool) {
        let waits = client.wants_link() && !client.is_dormant();
        let has_something = client.poll_timeout().is_some() || is_up;
        if fetches {
            assert!(!waits || has_something, "a link is wanted, and nothing is to come");
        } else {
            self.owes_event |= waits && !has_something;
        }
        assert!(!is_up || client.poll_timeout().is_some() || client.closing().is_some(), "a link without a timer");
    }

    /// A dormant device sleeps until something it sent has lived long enough.
    pub fn dormant_is_quiet(client: &Client<'_>) {
        if client.is_dormant() && client.unsettled() == 0 {
            assert_eq!(client.poll_timeout(), None, "{:?}", client.next_timer());
        }
    }

    /// Nothing is awaited of a link through a network that the device has left.
    pub fn a_link_of_another_network_is_given_up(client: &Client<'_>) {
        assert!(client.closing().is_some() && !client.is_online(), "still in use");
    }

    /// A link is kept for a while after somebody looked, or called for one.
    pub fn nobody_rests_too_soon(activity: Activity, lasted: Duration, linger: Option<u64>) {
        assert_eq!(activity, Activity::Background, "dormant while somebody looks");
        let Some(linger) = linger else { panic!("a link that is kept for ever") };
        assert!(lasted >= Duration::from_secs(linger), "dormant after {lasted:?} of {linger} s");
    }

    /// Nobody has looked for as long as a link is kept, and nothing called for one: there is none, and none is wanted.
    pub fn the_background_comes_to_rest(client: &Client<'_>) {
        assert!(client.is_dormant() || !client.wants_link(), "{:?}", client.next_timer());
    }

    /// After what is due was done nothing is; and it is not done twice.
    pub fn a_timeout_is_handled_once(now: Instant, client: &mut Client<'_>, looks_close: bool) {
        assert!(client.poll_timeout().is_none_or(|at| at > now), "{:?} at {now:?}", client.next_timer());
        let before = looks_close.then(|| format!("{client:?}"));
        let (timer, closing) = (client.next_timer(), client.closing());
        client.handle_timeout(now);
        client.handle_timeout(Instant::ZERO);
        assert_eq!((client.next_timer(), client.closing()), (timer, closing), "an early call is a no-op");
        assert_eq!(looks_close.then(|| format!("{client:?}")), before, "an early call is a no-op");
    }

    /// Questions change nothing, and agree.
    pub fn questions_agree(client: &Client<'_>) {
        let at = client.poll_timeout();
        assert_eq!((client.next_timer().map(|(_, at)| at), client.poll_timeout()), (at, at));
        if let Some((Timer::Reconnect | Timer::Attempt | Timer::Linger | Timer::Poll, _)) = client.next_timer() {
            assert!(client.wants_link());
        }
    }

    /// However short the deadlines are, time goes by.
    pub fn time_goes_by(&mut self, now: Instant) {
        let (at, steps) = self.steps;
        self.steps = if at == Some(now) { (at, steps + 1) } else { (Some(now), 0) };
        assert!(steps < MOST_STEPS, "a loop at {now:?}");
    }

    /// The link is gone: whether one is wanted still, and from when on.
    pub fn handle_down(&mut self, now: Instant, why: Disconnect, rests: bool) {
        self.taken = None;
        self.handle_gap();
        let named = match why {
            Disconnect::GoAway(goaway) => match goaway.code() {
                GoAwayCode::Blocked | GoAwayCode::TokenExpired => return self.wanted &= rests,
                GoAwayCode::Replaced => Some((Duration::from_secs(60), Duration::from_secs(5_400))),
                _ => spread(goaway.retry_after()),
            },
            Disconnect::Rejected(refusal) => match refusal.status() {
                HelloStatus::EpochTooOld | HelloStatus::LinkTooOld => None,
                status if status.is_permanent() || status == HelloStatus::TokenExpired => return self.wanted &= rests,
                _ => spread(refusal.retry_after()),
            },
            _ => None,
        };
        if let Some((least, most)) = named {
            self.hold = self.hold.max(Some(now + least));
            self.held = self.held.max(Some(now + most));
        }
    }

    /// How long somebody who was not there must wait at most, from now on, until there is a link, if one address works:
    /// however little was known of it.
    pub fn bound(&self, now: Instant, plight: &Plight) -> Duration {
        let secs = Duration::from_secs;
        let held = self.held.map_or(Duration::ZERO, |latest| latest - now);
        // A link that is dead and does not know it: the longest silence, an answer that does not come, an orderly end.
        let found_out = if plight.has_link { secs(plight.silence + 8 + 15) } else { Duration::ZERO };
        // All places are taken by addresses that do not answer, and each one behind has to wait for that.
        let greeting = if plight.tongue == Tongue::Mars { 0 } else { 25 * plight.mute };
        let round = secs(12 * (1 + plight.addresses / 3) + greeting);
        // One round may have gone by the address already.
        held + found_out + (secs(plight.window) + round) * 2
    }
}

/// What somebody who is not online has to cope with.
#[derive(Clone, Copy, Debug)]
pub struct Plight {
    pub tongue: Tongue,
    pub has_link: bool,
    /// The longest silence and the longest window, in seconds.
    pub silence: u64,
    pub window: u64,
    pub addresses: u64,
    /// So many of them can be connected to, and do not greet.
    pub mute: u64,
}

fn spread(delay: Duration) -> Option<(Duration, Duration)> {
    (!delay.is_zero()).then(|| (delay, delay + (delay / 2).max(Duration::from_secs(5))))
}
