//! A client with an ear on its link: what is written and heard is compared with what may be.

use super::disk::Cursor;
use longlink::Instant;
use longlink::session::{Client, Disconnect, Endpoint, Event, Timer};
use longlink::sync::{Ack, NOTIFY, Request, Response, SYNC, SYNC_DONE};
use longlink::wire::{Decoded, Dialect, Frame, FrameError, decode};
use std::time::Duration;

const ANSWER: u32 = 1_000_000_000 + SYNC;

/// The request that is under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    sequence: u32,
    written: Instant,
    held: bool,
    max_bytes: u32,
    max_items: u16,
    answered: bool,
}

/// What was written and heard on the link, and on all of them together.
#[derive(Debug, Default)]
pub struct Traffic {
    flight: Option<Flight>,
    /// Whole frames that were written.
    begun: Vec<u8>,
    /// Requests one right after the other, and when the last page was committed.
    pub chain: u8,
    pub committed: Option<Instant>,
    /// When the link came.
    since: Option<Instant>,
    pub notifies_on_link: u64,
    pub requests: usize,
    pub acks: usize,
    pub notifies: usize,
    /// Answers that were not awaited any more.
    pub stale: usize,
}

impl Traffic {
    /// The counters go on with the next process.
    pub fn of_all(before: Self) -> Self {
        let Self { requests, acks, notifies, stale, .. } = before;
        Self { requests, acks, notifies, stale, ..Self::default() }
    }
}

pub struct Tap<'m> {
    pub client: Client<'m>,
    pub traffic: Traffic,
    pub timeout: Duration,
    /// So many requests in a row.
    pub rounds: u8,
}

/// Between so many rounds and the next.
const PAUSE: Duration = Duration::from_millis(100);

impl Tap<'_> {
    pub fn connect(&mut self, now: Instant) {
        let traffic = &mut self.traffic;
        (traffic.flight, traffic.since, traffic.notifies_on_link, traffic.chain) = (None, Some(now), 0, 0);
        traffic.begun.clear();
        self.client.handle_connected(now);
    }

    /// These bytes were written, with this cursor on the disk. `true` if they said how far the device is.
    pub fn wrote(&mut self, now: Instant, bytes: &[u8], disk: &Cursor) -> bool {
        let mut said = false;
        self.traffic.begun.extend_from_slice(bytes);
        let mut at = 0;
        let begun = std::mem::take(&mut self.traffic.begun);
        while let Ok(Decoded::Frame(frame)) = decode(&Dialect::LONGLINK, &begun[at..]) {
            at += frame.length();
            match frame.command() {
                SYNC => {
                    let request = Request::decode(frame.body()).unwrap();
                    let cursor = Cursor { epoch: request.epoch, ..Cursor::of(request.entries) };
                    disk.assert_has(&cursor, "I1: asked with more than is stored");
                    self.fly(now, frame.sequence(), &request);
                    said = true;
                }
                SYNC_DONE => {
                    let ack = Ack::decode(frame.body()).unwrap();
                    let cursor = Cursor { epoch: Some(ack.epoch), ..Cursor::of(ack.entries) };
                    disk.assert_has(&cursor, "I1: acknowledged more than is stored");
                    self.traffic.acks += 1;
                    said = true;
                }
                _ => {}
            }
        }
        self.traffic.begun = begun[at..].to_vec();
        said
    }

    fn fly(&mut self, now: Instant, sequence: u32, request: &Request<'_>) {
        if let Some(before) = self.traffic.flight {
            let over = before.answered || before.held || now - before.written >= self.timeout;
            assert!(over, "I6: {sequence} is written while {before:?} is under way at {now:?}");
        }
        let goes_on = request.continues && self.traffic.committed.is_some_and(|at| now - at < PAUSE);
        self.traffic.chain = if goes_on { self.traffic.chain + 1 } else { 1 };
        assert!(self.traffic.chain <= self.rounds, "I21: {} rounds without a pause", self.traffic.chain);
        self.traffic.requests += 1;
        self.traffic.flight = Some(Flight {
            sequence,
            written: now,
            held: request.hold > 0,
            max_bytes: request.max_bytes,
            max_items: request.items(),
            answered: false,
        });
    }

    fn hear(&mut self, now: Instant, frame: &Frame<'_>) -> bool {
        let traffic = &mut self.traffic;
        if frame.command() == NOTIFY {
            (traffic.notifies, traffic.notifies_on_link) = (traffic.notifies + 1, traffic.notifies_on_link + 1);
            let seconds = traffic.since.map_or(0, |since| (now - since).as_secs());
            assert!(traffic.notifies_on_link <= seconds + 1, "I20: more than one notify a second");
        }
        if frame.command() != ANSWER {
            return true;
        }
        let flight = traffic.flight.as_mut().filter(|flight| flight.sequence == frame.sequence() && !flight.answered);
        let Some(flight) = flight else {
            traffic.stale += 1;
            return false;
        };
        flight.answered = true;
        assert!(frame.body().len() <= flight.max_bytes as usize, "I22: {} of {flight:?}", frame.body().len());
        if let Response::Page(page) = Response::decode(frame.body()).unwrap() {
            assert!(page.items().len() <= usize::from(flight.max_items), "{flight:?}");
        }
        true
    }
}

impl Endpoint for Tap<'_> {
    type Event<'f> = Event<'f>;

    fn handle_received(&mut self, now: Instant, n: usize) {
        self.client.handle_received(now, n);
    }

    fn handle_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        let is_awaited = self.hear(now, &frame);
        let event = self.client.handle_frame(now, frame);
        assert!(is_awaited || event.is_none(), "I6: an answer that is not awaited gives {event:?}");
        event
    }

    fn handle_malformed(&mut self, now: Instant, error: FrameError) {
        panic!("{error:?} at {now:?}");
    }

    fn handle_sent(&mut self, now: Instant, n: usize) {
        self.client.handle_sent(now, n);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    fn handle_disconnected(&mut self, now: Instant, why: Disconnect) -> Disconnect {
        self.client.handle_disconnected(now, why)
    }

    fn poll_transmit(&mut self) -> Option<&[u8]> {
        self.client.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<Event<'static>> {
        self.client.poll_event()
    }

    fn next_timer(&self) -> Option<(Timer, Instant)> {
        self.client.next_timer()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn closing(&self) -> Option<Disconnect> {
        self.client.closing()
    }

    fn can_take(&self) -> bool {
        self.client.can_take()
    }

    fn is_undecided(&self) -> bool {
        self.client.is_undecided()
    }
}
