//! One direction of a connection, with all that a network does to it.

use super::Random;
use longlink::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How a [`Pipe`] treats what is written into it.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// A write takes from 1 byte up to so many at a time.
    pub largest_write: usize,
    /// A read gives from 1 byte up to so many at a time.
    pub largest_read: usize,
    /// Each write takes from zero to so long to arrive, behind those before it.
    pub delay: Duration,
    /// Bytes on their way; more are not taken.
    pub capacity: usize,
    /// Bytes a second, 0 for no limit.
    pub rate: u64,
}

impl Weather {
    /// Whole writes, at once.
    pub const FINE: Self =
        Self { largest_write: usize::MAX, largest_read: usize::MAX, delay: Duration::ZERO, capacity: 65_536, rate: 0 };
    /// Small pieces, late.
    pub const ROUGH: Self =
        Self { largest_write: 9, largest_read: 7, delay: Duration::from_millis(300), capacity: 256, rate: 0 };
}

/// A seeded pipe that splits, delays, and can be cut.
#[derive(Debug)]
pub struct Pipe {
    pub weather: Weather,
    random: Random,
    /// Pieces with the time of their arrival, in order.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    /// Nothing arrives before what was written before it.
    last_arrival: Instant,
    state: State,
    /// All bytes that were ever written, also those that did not arrive.
    pub written: u64,
    /// The peer takes nothing.
    pub stuck: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// No more will be written; what is on its way arrives.
    Finished,
    /// What is written is lost, and nobody is told.
    Swallowing,
    Reset,
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    /// Nothing yet.
    Pending,
    End,
    Reset,
}

impl Pipe {
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            random: Random(seed),
            pieces: VecDeque::new(),
            last_arrival: Instant::ZERO,
            state: State::Open,
            written: 0,
            stuck: false,
        }
    }

    /// Takes some of `bytes`, 0 if there is no room.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let room = self.weather.capacity.saturating_sub(self.on_its_way());
        let most = bytes.len().min(room).min(self.weather.largest_write);
        if most == 0 || self.stuck {
            return 0;
        }
        let n =
            if self.weather.largest_write == usize::MAX { most } else { 1 + self.random.below(most as u64) as usize };
        self.written += n as u64;
        if self.state == State::Swallowing {
            return n;
        }
        let micros = self.random.below(self.weather.delay.as_micros() as u64 + 1);
        let start = (now + Duration::from_micros(micros)).max(self.last_arrival);
        let line = self.weather.rate.checked_sub(1).map_or(0, |rate| n as u64 * 1_000_000 / (rate + 1));
        self.last_arrival = start + Duration::from_micros(line);
        self.pieces.push_back((self.last_arrival, bytes[..n].to_vec()));
        n
    }

    /// Gives some of what has arrived.
    pub fn read(&mut self, now: Instant, space: &mut [u8]) -> Read {
        if self.state == State::Reset {
            return Read::Reset;
        }
        let Some((at, piece)) = self.pieces.front_mut() else {
            return if self.state == State::Finished { Read::End } else { Read::Pending };
        };
        if *at > now || space.is_empty() {
            return Read::Pending;
        }
        let most = piece.len().min(space.len()).min(self.weather.largest_read);
        let n =
            if self.weather.largest_read == usize::MAX { most } else { 1 + self.random.below(most as u64) as usize };
        space[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Read::Bytes(n)
    }

    /// When the next piece arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }

    /// `true` if a read would tell of the end.
    pub fn is_finished(&self) -> bool {
        self.state == State::Reset || (self.state == State::Finished && self.pieces.is_empty())
    }

    pub fn on_its_way(&self) -> usize {
        self.pieces.iter().map(|(_, piece)| piece.len()).sum()
    }

    /// The writer ends its side in good order.
    pub fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Finished;
        }
    }

    /// What is on its way after the next `keep` bytes is lost, and then the stream ends.
    pub fn cut(&mut self, keep: usize) {
        let mut bytes: Vec<u8> = self.pieces.drain(..).flat_map(|(_, piece)| piece).collect();
        bytes.truncate(keep);
        if !bytes.is_empty() {
            self.pieces.push_back((self.last_arrival, bytes));
        }
        self.state = State::Finished;
    }

    /// From now on all is lost without a sign.
    pub fn swallow(&mut self) {
        self.pieces.clear();
        self.state = State::Swallowing;
    }

    pub fn reset(&mut self) {
        self.pieces.clear();
        self.state = State::Reset;
    }
}
