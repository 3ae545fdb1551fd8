//! From the attempt that the library asks for to the link, and to its end: one call at a time.
//!
//! ```text
//!           dial              connected            alive             over
//!   Free ──────────▶ Dialing ───────────▶ Probing ───────▶ Up ─────────────▶ Ending
//!    ▲                  │ refused, lost,    │ foreign,      │ lost             │ the peer's end, or time
//!    │ it is free       ▼ abandoned         ▼ abandoned     ▼                  ▼
//!    └──────────────────────────────── Clearing ◀──────────────────────────────┘
//! ```
//!
//! Up to three attempts may be out. Those that find the line busy wait their turn, and have it in time: nobody holds the
//! line for long while another waits.

use crate::modem::{self, Modem};
use core::time::Duration;
use embedded_io::{ErrorKind, Read, ReadReady, Write};
use heapless::Vec;
use longlink::Instant;
use longlink::liveness::{Fault, Probe, Verdict};
use longlink::session::{Attempt, Client, Disconnect, Link, limits};
use longlink::wire::Dialect;

/// What the one line is used for.
pub struct Calls {
    state: State,
    wanted: Vec<Attempt, { limits::ATTEMPTS }>,
    /// When the attempt that has the line must leave it to another.
    turn: Instant,
}

/// A third of the time that an attempt has.
const TURN: Duration = Duration::from_secs(3);

enum State {
    Free,
    Dialing(Attempt),
    Probing(Attempt, Probe),
    /// The call is the link's.
    Up,
    /// This side has ended its stream; the peer may take so long.
    Ending(Instant),
    Clearing,
}

impl Calls {
    pub fn new() -> Self {
        Self { state: State::Free, wanted: Vec::new(), turn: Instant::ZERO }
    }

    /// [`Event::Connect`](longlink::session::Event::Connect).
    pub fn want(&mut self, now: Instant, client: &mut Client<'_>, attempt: Attempt) {
        // While a link is up there is no line for another, nor, by the way, a place for more than three.
        if attempt.is_check() || self.wanted.push(attempt).is_err() {
            client.handle_refused(now, attempt, Fault::Unreachable);
        }
    }

    /// [`Event::Abandon`](longlink::session::Event::Abandon).
    pub fn abandon(&mut self, attempt: Attempt) {
        self.wanted.retain(|other| *other != attempt);
        if matches!(self.state, State::Dialing(other) | State::Probing(other, _) if other == attempt) {
            self.state = State::Clearing;
        }
    }

    /// The call is the link's, which is driven over the modem.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// There is no call, and none is wanted.
    pub fn is_free(&self) -> bool {
        matches!(self.state, State::Free) && self.wanted.is_empty()
    }

    /// When to call [`advance`](Self::advance) if nothing comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Ending(until) => Some(until),
            State::Dialing(_) | State::Probing(..) if !self.wanted.is_empty() => Some(self.turn),
            _ => None,
        }
    }

    /// The link is over: what it wrote last is to arrive, unless it is dead.
    pub fn end(&mut self, now: Instant, modem: &mut Modem, why: Disconnect) {
        self.state = State::Clearing;
        if why.is_orderly() {
            modem.end();
            self.state = State::Ending(now + limits::CLOSE_TIMEOUT);
        }
    }

    /// The call was lost under the link.
    pub fn lose(&mut self) {
        self.state = State::Clearing;
    }

    /// Goes on as far as it goes without waiting. `true` if it did: call again.
    pub fn advance(&mut self, now: Instant, modem: &mut Modem, link: &mut Link<Client<'_>, &mut [u8]>) -> bool {
        let call = modem.poll();
        let is_over = !self.wanted.is_empty() && self.turn <= now;
        let next = match &mut self.state {
            State::Free => self.dial(now, modem),
            State::Dialing(attempt) | State::Probing(attempt, _) if is_over => {
                Some(fail(now, link, *attempt, Fault::Silent))
            }
            State::Dialing(attempt) => match call {
                modem::State::Open => Some(State::Probing(*attempt, Probe::new(&Dialect::LONGLINK))),
                modem::State::Refused => Some(fail(now, link, *attempt, Fault::Refused)),
                modem::State::Lost => Some(fail(now, link, *attempt, Fault::Unreachable)),
                _ => None,
            },
            State::Probing(attempt, probe) => match ask(modem, probe) {
                Ok(Verdict::Pending) => None,
                Ok(Verdict::Alive) if link.handle_alive(now, *attempt) => Some(State::Up),
                Ok(Verdict::Alive) => Some(State::Clearing),
                Ok(Verdict::Foreign) => Some(fail(now, link, *attempt, Fault::Foreign)),
                Err(_) => Some(fail(now, link, *attempt, Fault::Unreachable)),
            },
            State::Up => None,
            State::Ending(until) => (*until <= now || has_ended(modem)).then_some(State::Clearing),
            State::Clearing => {
                modem.hang_up();
                (modem.poll() == modem::State::Free).then_some(State::Free)
            }
        };
        let moved = next.is_some();
        if let Some(next) = next {
            self.state = next;
        }
        moved
    }

    /// The attempt that has waited longest.
    fn dial(&mut self, now: Instant, modem: &mut Modem) -> Option<State> {
        let attempt = *self.wanted.first()?;
        self.wanted.retain(|other| *other != attempt);
        defmt::info!("dial address {=u16}", attempt.address().index);
        modem.dial(attempt.address().index);
        self.turn = now + TURN;
        Some(State::Dialing(attempt))
    }
}

fn fail(now: Instant, link: &mut Link<Client<'_>, &mut [u8]>, attempt: Attempt, fault: Fault) -> State {
    defmt::info!("address {=u16} failed: {}", attempt.address().index, fault);
    link.endpoint_mut().handle_refused(now, attempt, fault);
    State::Clearing
}

/// Has the probe ask whether the peer speaks the protocol.
fn ask(modem: &mut Modem, probe: &mut Probe) -> Result<Verdict, ErrorKind> {
    while let Some(bytes) = probe.poll_transmit() {
        let n = modem.write(bytes)?;
        probe.handle_sent(n);
    }
    while probe.verdict() == Verdict::Pending && modem.read_ready()? {
        match modem.read(probe.space())? {
            0 => return Ok(Verdict::Foreign),
            n => probe.commit(n),
        };
    }
    Ok(probe.verdict())
}

/// Drops what still comes. `true` once nothing does.
fn has_ended(modem: &mut Modem) -> bool {
    let mut rest = [0; 32];
    while modem.read_ready() == Ok(true) {
        if matches!(modem.read(&mut rest), Ok(0) | Err(_)) {
            return true;
        }
    }
    false
}
