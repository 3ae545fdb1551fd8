//! What the device meets: addresses, a network between, and the servers behind them.

use super::super::frame;
use super::super::native::{Greets, Welcome, frames_in};
use super::{Kind as K, PLACES, Tongue};
use longlink::Instant;
use longlink::session::{GoAway, GoAwayCode};
use longlink::wire::Dialect;
use std::time::Duration;

/// What an address is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers everything.
    Alive,
    /// Nobody is there, and nobody says so.
    Silent,
    Refusing,
    /// Somebody else is there.
    Foreign,
    /// No route.
    Unreachable,
    /// It can be connected to, and answers heartbeats, but no greeting.
    Mute,
}

/// What becomes of a greeting, and of the link after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Taken,
    /// Taken, and the link ends so many milliseconds later.
    Flaps(u64),
    /// A status of the native dialect, and milliseconds.
    Refused(u8, u32),
    Unanswered,
}

/// What comes out of an attempt, and after how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Alive,
    Refused,
    Foreign,
    Unreachable,
    Nothing,
}

/// What comes from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// A connection, seen from the server and the network.
#[derive(Debug)]
pub struct Connection {
    pub number: u32,
    pub place: usize,
    network: u8,
    /// Nothing passes any more.
    pub dead: bool,
    /// When something passed last.
    last: Instant,
    /// The server has taken it.
    pub greeted: bool,
    round_trip: Duration,
}

impl Connection {
    pub fn is_through(&self, network: Option<u8>) -> bool {
        network == Some(self.network)
    }
}

#[derive(Debug)]
pub struct World {
    pub tongue: Tongue,
    pub kinds: [Kind; PLACES],
    pub network: Option<u8>,
    pub nat: Option<Duration>,
    pub fate: Fate,
    pub answers: bool,
    random: u64,
    /// The greatest epoch and link that a hello named.
    seen: (u32, u32),
}

impl World {
    pub const fn new(tongue: Tongue, kinds: [K; PLACES], seed: u64) -> Self {
        let (nat, fate, answers, seen) = (None, Fate::Taken, true, (7, 0));
        Self { tongue, kinds, network: Some(1), nat, fate, answers, random: seed, seen }
    }

    pub const fn dialect(&self) -> &'static Dialect {
        match self.tongue {
            Tongue::Native => &Dialect::LONGLINK,
            Tongue::Mars => &Dialect::MARS,
            Tongue::Goim => &Dialect::GOIM,
        }
    }

    /// The next of a sequence of numbers below `limit`.
    pub fn random(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 31)).wrapping_mul(0x7FB5_D329_728E_A185);
        (mixed ^ (mixed >> 27)) % limit
    }

    /// What an attempt on this place comes to, and when.
    pub fn attempt(&mut self, place: usize) -> (Outcome, Duration) {
        let soon = Duration::from_millis(20 + self.random(400));
        if self.network.is_none() {
            return (Outcome::Unreachable, soon);
        }
        match self.kinds[place] {
            // A handshake, and a probe.
            Kind::Alive | Kind::Mute => (Outcome::Alive, soon * 2),
            Kind::Foreign if self.tongue == Tongue::Goim => (Outcome::Alive, soon),
            Kind::Silent => (Outcome::Nothing, soon),
            Kind::Refusing => (Outcome::Refused, soon),
            Kind::Foreign => (Outcome::Foreign, soon * 2),
            Kind::Unreachable => (Outcome::Unreachable, soon),
        }
    }

    pub fn connect(&mut self, now: Instant, number: u32, place: usize) -> Connection {
        let round_trip = Duration::from_millis(20 + self.random(400));
        let network = self.network.unwrap_or(0);
        Connection { number, place, network, dead: false, last: now, greeted: self.tongue == Tongue::Mars, round_trip }
    }

    /// Whether something passes now.
    pub fn passes(&self, now: Instant, connection: &mut Connection) -> bool {
        let forgotten = self.nat.is_some_and(|nat| now - connection.last > nat);
        let elsewhere = self.network != Some(connection.network);
        let works = matches!(self.kinds[connection.place], Kind::Alive | Kind::Mute | Kind::Foreign);
        connection.dead |= forgotten || elsewhere || !works;
        if !connection.dead {
            connection.last = now;
        }
        !connection.dead
    }

    /// What a server says to what came, and when the device has it.
    pub fn answer(&mut self, now: Instant, connection: &mut Connection, bytes: &[u8]) -> Vec<(Instant, Word)> {
        if !self.passes(now, connection) {
            return Vec::new();
        }
        let dialect = self.dialect();
        let at = now + connection.round_trip;
        let mut words = Vec::new();
        for wire in frames_in(dialect, bytes) {
            let say = |body: &[u8]| frame(dialect, dialect.reply_to(wire.command), wire.sequence, body);
            if wire.command == dialect.heartbeat {
                words.push((at, Word::Bytes(say(if dialect.heartbeat_counter { &[0, 0, 0, 1] } else { &[] }))));
            } else if dialect.greeting.is_some_and(|greeting| greeting.command == wire.command) {
                self.greet(at, connection, &wire.body, &say, &mut words);
            } else if Some(wire.command) == dialect.goaway {
                words.push((at, Word::End));
            } else if self.answers && connection.greeted {
                words.push((at, Word::Bytes(say(&[]))));
            }
        }
        words
    }

    fn greet(
        &mut self,
        at: Instant,
        connection: &mut Connection,
        body: &[u8],
        say: &dyn Fn(&[u8]) -> Vec<u8>,
        words: &mut Vec<(Instant, Word)>,
    ) {
        if self.kinds[connection.place] != Kind::Alive {
            return;
        }
        let native = self.tongue == Tongue::Native;
        match self.fate {
            Fate::Unanswered => {}
            Fate::Refused(status, after) if native => {
                let refusal = Welcome { retry_after: after, ..Welcome::refusing(status, self.seen.0, self.seen.1) };
                words.push((at, Word::Bytes(say(&refusal.body()))));
            }
            Fate::Refused(..) => words.push((at, Word::End)),
            Fate::Taken | Fate::Flaps(_) => {
                connection.greeted = true;
                let reply = if native { self.welcome(body) } else { b"ok".to_vec() };
                words.push((at, Word::Bytes(say(&reply))));
                if let Fate::Flaps(after) = self.fate {
                    words.push((at + Duration::from_millis(after), Word::End));
                }
            }
        }
    }

    /// A server that forgets every message: nothing here is about them.
    fn welcome(&mut self, hello: &[u8]) -> Vec<u8> {
        let greets = Greets::of(hello);
        let epoch = if greets.epoch == 0 { self.seen.0 + 1 } else { greets.epoch };
        self.seen = (epoch.max(self.seen.0), greets.link);
        Welcome::having(epoch, greets.link, &[]).body()
    }

    pub fn goaway(&self, code: u8, after: u32) -> Vec<u8> {
        let Some(command) = self.dialect().goaway else { return Vec::new() };
        let mut body = GoAway::new(GoAwayCode::Done).with_retry_after(Duration::from_millis(after.into())).to_bytes();
        body[1] = code;
        frame(self.dialect(), command, 0, &body)
    }

    pub fn push(&self) -> Vec<u8> {
        frame(self.dialect(), self.dialect().push, 0, b"news")
    }
}
