//! One end of a connection, and the connection.

use crate::support::pipe::{Pipe, Read, Weather};
use longlink::session::{Disconnect, Endpoint, Link, Server};
use longlink::wire::{Decoded, Dialect, decode};
use longlink::{Instant, earliest};
use std::time::Duration;

/// A link, driven in the way of a driver.
pub struct Port<E, B> {
    pub link: Link<E, B>,
    /// This side has ended its stream, and waits so long for the peer to end its own.
    linger: Option<Instant>,
}

impl<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>> Port<E, B> {
    pub fn new(link: Link<E, B>) -> Self {
        Self { link, linger: None }
    }

    /// Handles what is due, without a connection.
    pub fn idle(&mut self, now: Instant, on: &mut dyn FnMut(&mut E, E::Event<'_>)) {
        self.linger = None;
        self.link.process(now, |endpoint, event| on(endpoint, event));
    }

    /// Reads, handles and writes what can be. `wrote` is told the bytes that were written. `true` if something moved, and why
    /// the connection is over, once it is.
    pub fn step(
        &mut self,
        now: Instant,
        (from, to): (&mut Pipe, &mut Pipe),
        on: &mut dyn FnMut(&mut E, E::Event<'_>),
        wrote: &mut dyn FnMut(&[u8]),
    ) -> (bool, Option<Disconnect>) {
        let mut moved = false;
        let failed = loop {
            self.link.process(now, |endpoint, event| on(endpoint, event));
            let read = match self.link.space() {
                [] => Read::Pending,
                space => from.read(now, space),
            };
            match read {
                Read::Bytes(n) => self.link.handle_read(now, n),
                Read::End => self.link.handle_end(),
                Read::Pending => break None,
                Read::Reset => break Some(Disconnect::Transport),
            }
            moved = true;
        };
        let due = self.link.poll_timeout();
        assert!(due.is_none_or(|at| at > now), "a deadline is due after it was handled at {now:?}");
        while let Some(bytes) = self.link.poll_transmit() {
            let n = to.write(now, bytes);
            if n == 0 {
                break;
            }
            wrote(&bytes[..n]);
            self.link.handle_sent(now, n);
            moved = true;
        }
        let closing = self.link.closing();
        let lingered = closing.filter(|_| self.linger.is_some_and(|at| at <= now));
        if let Some(why) = self.link.over().or(failed).or(lingered) {
            if why.is_orderly() {
                to.finish()
            } else {
                to.reset()
            }
            let why = self.link.handle_disconnected(now, why);
            self.idle(now, on);
            return (true, Some(why));
        }
        if closing.is_some() && self.linger.is_none() && self.link.poll_transmit().is_none() {
            to.finish();
            self.linger = Some(now + longlink::session::limits::CLOSE_TIMEOUT);
            moved = true;
        }
        (moved, None)
    }

    pub fn next(&self) -> Option<Instant> {
        earliest([self.link.poll_timeout(), self.linger])
    }
}

pub type ServerPort<'m> = Port<Server<'m, Vec<u8>>, Vec<u8>>;

/// How a connection ends without either side's doing.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Both ends are told at once, and what was under way is lost.
    Reset,
    /// So many bytes more arrive, and then the end.
    Ends(usize),
    /// The server is not told. What comes to it within so many milliseconds still does.
    HalfOpen(u64),
}

/// One connection: two pipes, and the server's end of it.
pub struct Line<'m> {
    pub number: usize,
    /// From the device to the server, and back.
    pub up: Pipe,
    pub down: Pipe,
    /// Until the server knows that it is over.
    pub server: Option<ServerPort<'m>>,
    /// The device has this end of it.
    pub held: bool,
    /// From then on nothing arrives any more.
    silent: Option<Instant>,
    /// What was begun of the next frame by the device.
    pub begun: Vec<u8>,
}

impl<'m> Line<'m> {
    pub fn new(number: usize, server: ServerPort<'m>, weather: Weather, seed: u64) -> Self {
        let (up, down) = (Pipe::new(weather, seed), Pipe::new(weather, !seed));
        Self { number, up, down, server: Some(server), held: true, silent: None, begun: Vec::new() }
    }

    /// The device is gone.
    pub fn let_go(&mut self, now: Instant, cut: Cut) {
        self.held = false;
        self.down.swallow();
        match cut {
            Cut::Reset => self.up.reset(),
            Cut::Ends(keep) => self.up.cut(keep),
            Cut::HalfOpen(millis) => self.silent = Some(now + Duration::from_millis(millis)),
        }
    }

    /// The server's turn. Its application is told of the end of the link.
    pub fn serve(
        &mut self,
        now: Instant,
        on: &mut dyn FnMut(&mut Server<'m, Vec<u8>>, longlink::session::ServerEvent<'_>),
    ) -> bool {
        if self.silent.is_some_and(|at| at <= now) {
            self.up = Pipe::new(self.up.weather, 0);
        }
        let Some(server) = &mut self.server else { return false };
        let (moved, over) = server.step(now, (&mut self.up, &mut self.down), on, &mut |_| {});
        if over.is_some() {
            self.server = None;
            self.up.swallow();
        }
        moved
    }

    /// When something comes to either end.
    pub fn next(&self) -> [Option<Instant>; 3] {
        let port = self.server.as_ref().and_then(Port::next);
        let up = self.up.next_arrival().filter(|_| self.server.is_some());
        [port, up, self.down.next_arrival().filter(|_| self.held)]
    }
}

/// Tells of each whole frame in a stream that comes in pieces, and of what is there of the next: its command, its sequence
/// and its body.
pub fn frames(begun: &mut Vec<u8>, bytes: &[u8], mut on: impl FnMut(u32, u32, &[u8])) {
    begun.extend_from_slice(bytes);
    let mut at = 0;
    while let Ok(Decoded::Frame(frame)) = decode(&Dialect::LONGLINK, &begun[at..]) {
        on(frame.command(), frame.sequence(), frame.body());
        at += frame.length();
    }
    begun.drain(..at);
    if let Some((head, body)) = begun.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        on(word(8), word(12), body);
    }
}
