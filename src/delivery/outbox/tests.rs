#![allow(clippy::cast_possible_truncation, clippy::arithmetic_side_effects)]

use super::*;
use crate::delivery::Accepted;
use crate::delivery::Standing;
use crate::wire::{Decoded, decode};
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;
use std::{format, string::String, vec};

const DIALECT: &Dialect = &Dialect::LONGLINK;
const MESSAGE: u32 = DIALECT.message;
const POLICY: &MessagePolicy = &MessagePolicy::DEFAULT;
const REQUEST: &RequestPolicy = &RequestPolicy::DEFAULT;
const ASKS_AGAIN: &RequestPolicy = &RequestPolicy { asks_again: true, ..RequestPolicy::DEFAULT };
const S: fn(u64) -> Instant = Instant::from_secs;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn push(outbox: &mut Outbox<'_>, body: &[u8]) -> Result<Token, PushError> {
    outbox.push(S(0), POLICY, (body.len(), false), |_, room| fill(room, body))
}

fn request(outbox: &mut Outbox<'_>, policy: &RequestPolicy, body: &[u8]) -> Result<Token, PushError> {
    outbox.push_request(501, policy, body.len(), |room| fill(room, body))
}

/// Command, sequence and body of whole frames.
fn frames(mut bytes: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Ok(Decoded::Frame(frame)) = decode(DIALECT, bytes) else { panic!("not whole frames: {bytes:?}") };
        all.push((frame.command(), frame.sequence(), frame.body().to_vec()));
        bytes = &bytes[frame.length()..];
    }
    all
}

fn sequences(bytes: &[u8]) -> Vec<u32> {
    frames(bytes).into_iter().map(|(_, sequence, _)| sequence).collect()
}

/// Writes all that is due.
fn write(outbox: &mut Outbox<'_>, now: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    while outbox.is_due() {
        let run = outbox.poll_transmit(false).to_vec();
        assert!(!run.is_empty(), "due, and nothing to write");
        outbox.handle_sent(now, run.len());
        all.extend(run);
    }
    all
}

fn ack(outbox: &mut Outbox<'_>, now: Instant, sequence: u32) -> Option<Answer> {
    outbox.handle_reply(now, MESSAGE + 1_000_000_000, sequence, &[])
}

#[test]
fn partial_writes_of_any_size_give_the_same_stream() {
    for step in 1..=80 {
        let (mut buffer, mut slots) = ([0; 256], [Slot::FREE; 8]);
        let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
        push(&mut outbox, b"").unwrap();
        push(&mut outbox, b"two").unwrap();
        request(&mut outbox, REQUEST, b"three").unwrap();
        outbox.push_one_way(S(0), 502, b"").unwrap();
        push(&mut outbox, b"five").unwrap();
        let whole = outbox.poll_transmit(false).to_vec();
        let mut written = Vec::new();
        while outbox.is_due() {
            let run = outbox.poll_transmit(false).to_vec();
            let n = run.len().min(step);
            written.extend_from_slice(&run[..n]);
            outbox.handle_sent(S(0), n);
            let rest = outbox.poll_transmit(true).len();
            assert_eq!(rest > 0, outbox.is_begun(), "{step} bytes at a time");
        }
        assert_eq!(written, whole);
    }
}

#[test]
fn what_is_lent_stays_the_same_while_everything_else_happens_to_it() {
    let (mut buffer, mut slots) = ([0; 160], [Slot::FREE; 8]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    let gone = push(&mut outbox, b"gone").unwrap();
    write(&mut outbox, S(0));
    let tokens: Vec<Token> = (0..4_u8).map(|i| push(&mut outbox, &[i; 3]).unwrap()).collect();
    let lent = outbox.poll_transmit(false).to_vec();
    outbox.handle_sent(S(0), 5);
    // A hole in front, ends inside the lent frames, more behind, and room made by moving all of it.
    assert!(ack(&mut outbox, S(0), gone.sequence()).is_some());
    for token in &tokens {
        assert!(outbox.cancel(*token));
        assert_eq!(outbox.poll_ended(), Some((*token, Outcome::Cancelled, true)));
        assert_eq!(outbox.poll_transmit(false)[..lent.len() - 5], lent[5..]);
    }
    push(&mut outbox, &[9; 20]).unwrap();
    request(&mut outbox, REQUEST, b"r").unwrap();
    outbox.push_as(S(0), POLICY, 3, &[1; 3]).unwrap();
    assert_eq!(outbox.poll_transmit(false)[..lent.len() - 5], lent[5..]);
    let rest = outbox.poll_transmit(false).to_vec();
    outbox.handle_sent(S(0), rest.len());
    let all = [&lent[..5], &rest].concat();
    assert_eq!(sequences(&all)[..4], [2, 3, 4, 5]);
    assert_eq!(sequences(&write(&mut outbox, S(0))), Vec::<u32>::new());
}

#[test]
fn room_behind_settled_frames_is_used_again_down_to_the_last_byte() {
    let (mut buffer, mut slots) = ([0; 100], [Slot::FREE; 4]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    for round in 0..50_u8 {
        let (a, b) = (push(&mut outbox, &[round; 20]).unwrap(), push(&mut outbox, &[round; 48]).unwrap());
        assert!(matches!(push(&mut outbox, b""), Err(PushError::Encode(EncodeError::Buffer(_)))), "100 bytes are full");
        let bytes = write(&mut outbox, S(0));
        assert_eq!(bytes.len(), 100);
        // The first goes, the second stays: 36 bytes are free, in front.
        assert!(ack(&mut outbox, S(0), a.sequence()).is_some());
        let c = push(&mut outbox, &[round; 20]).unwrap();
        assert_eq!(frames(&write(&mut outbox, S(0))), [(MESSAGE, c.sequence(), vec![round; 20])]);
        assert_eq!(outbox.messages().map(|message| message.body.len()).collect::<Vec<_>>(), [48, 20]);
        assert!(ack(&mut outbox, S(0), b.sequence()).is_some());
        assert!(ack(&mut outbox, S(0), c.sequence()).is_some());
        assert!(outbox.is_settled());
    }
    assert!(push(&mut outbox, &[0; 84]).is_ok(), "all of it is free again");
}

#[test]
fn what_timed_out_is_written_again_from_the_middle_while_newer_ones_are_queued() {
    let (mut buffer, mut slots) = ([0; 512], [Slot::FREE; 8]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    for i in 1..=5 {
        push(&mut outbox, &[i]).unwrap();
    }
    write(&mut outbox, S(0));
    for sequence in [1, 4] {
        assert!(ack(&mut outbox, S(1), sequence).is_some());
    }
    push(&mut outbox, b"new").unwrap();
    outbox.handle_timeout(S(13), S(2));
    let again = outbox.poll_transmit(false).to_vec();
    assert_eq!(sequences(&again), [2, 3, 5], "in one piece");
    outbox.handle_sent(S(13), 3);
    // Answered, taken back and pushed over while it is half written.
    assert!(ack(&mut outbox, S(13), 2).is_some());
    push(&mut outbox, b"newer").unwrap();
    assert_eq!(outbox.poll_transmit(false), &again[3..]);
    assert_eq!(outbox.poll_transmit(true), &again[3..17]);
    outbox.handle_sent(S(13), 14);
    assert_eq!(sequences(&write(&mut outbox, S(13))), [3, 5, 6, 7]);
    assert!(!outbox.is_due());
}

#[test]
fn what_lingered_and_is_over_leaves_no_timer() {
    let (mut buffer, mut slots) = ([0; 64], [Slot::FREE; 1]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots).with_linger(Duration::from_secs(9), 100);
    let short = &MessagePolicy { lifetime: Duration::from_secs(2), ..MessagePolicy::DEFAULT };
    outbox.push(S(0), short, (3, false), |_, room| fill(room, b"one")).unwrap();
    assert_eq!(outbox.poll_timeout(), Some(S(2)));
    outbox.handle_timeout(S(2), S(0));
    assert_eq!(outbox.poll_timeout(), None);
}

#[test]
fn a_link_that_breaks_inside_a_frame_begins_it_anew_on_the_next() {
    for cut in 0..60 {
        let (mut buffer, mut slots) = ([0; 256], [Slot::FREE; 8]);
        let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
        push(&mut outbox, b"one").unwrap();
        outbox.push_one_way(S(0), 502, b"gone").unwrap();
        push(&mut outbox, b"two").unwrap();
        request(&mut outbox, ASKS_AGAIN, b"asks").unwrap();
        let length = outbox.poll_transmit(false).len();
        outbox.handle_sent(S(0), cut.min(length));
        outbox.handle_disconnected(true);
        outbox.handle_online(None);
        let frames = frames(&write(&mut outbox, S(1)));
        let bodies: Vec<&[u8]> = frames.iter().map(|(.., body)| body.as_slice()).collect();
        assert_eq!(bodies, [&b"one"[..], b"two", b"asks"], "cut after {cut} bytes");
    }
}

#[test]
fn a_run_that_is_half_written_a_second_time_ends_before_anything_else() {
    let (mut buffer, mut slots) = ([0; 256], [Slot::FREE; 8]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    let one = push(&mut outbox, b"one").unwrap();
    write(&mut outbox, S(0));
    outbox.handle_timeout(S(12), S(1));
    let again = outbox.poll_transmit(false).to_vec();
    outbox.handle_sent(S(12), 4);
    request(&mut outbox, REQUEST, b"now").unwrap();
    assert!(outbox.cancel(one));
    assert_eq!(outbox.poll_ended(), Some((one, Outcome::Cancelled, true)));
    outbox.freeze();
    assert_eq!(outbox.poll_transmit(false), &again[4..]);
    outbox.handle_sent(S(12), again.len() - 4);
    assert_eq!(frames(&write(&mut outbox, S(12))), [(501, 2, b"now".to_vec())]);
}

#[test]
fn frozen_nothing_new_gets_due_and_halted_nothing_is() {
    let (mut buffer, mut slots) = ([0; 256], [Slot::FREE; 8]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    push(&mut outbox, b"due").unwrap();
    outbox.freeze();
    push(&mut outbox, b"waits").unwrap();
    assert_eq!(sequences(&write(&mut outbox, S(0))), [1]);
    outbox.handle_timeout(S(12), S(1));
    assert!(!outbox.is_due(), "nothing is written again either");
    outbox.halt();
    assert!(!outbox.is_due());
    assert_eq!(outbox.poll_transmit(false), b"");
    outbox.handle_sent(S(12), 100);
    outbox.handle_disconnected(true);
    outbox.handle_online(None);
    assert_eq!(sequences(&write(&mut outbox, S(13))), [1, 2]);
}

#[test]
fn slots_of_what_ended_are_taken_until_that_was_told() {
    let (mut buffer, mut slots) = ([0; 256], [Slot::FREE; 3]);
    let mut outbox = Outbox::new(DIALECT, &mut buffer, &mut slots);
    let tokens: Vec<Token> = (0..3).map(|_| push(&mut outbox, b"x").unwrap()).collect();
    tokens.iter().for_each(|token| assert!(outbox.cancel(*token)));
    assert!(outbox.is_settled());
    for _ in 0..3 {
        assert_eq!(push(&mut outbox, b"x"), Err(PushError::TooMany));
        assert_eq!(request(&mut outbox, REQUEST, b"x"), Err(PushError::TooMany));
        assert_eq!(outbox.push_as(S(0), POLICY, 2, b"x"), Err(PushError::TooMany));
        outbox.poll_ended().unwrap();
        assert!(push(&mut outbox, b"x").is_ok());
    }
    assert_eq!(outbox.poll_ended(), None);
}

#[test]
fn without_memory_nothing_fits_and_nothing_breaks() {
    let mut outbox = Outbox::new(DIALECT, &mut [], &mut []);
    assert_eq!(push(&mut outbox, b""), Err(PushError::TooMany));
    assert!(outbox.push_one_way(S(0), 1, b"").is_err());
    let mut slots = [Slot::FREE; 2];
    let mut outbox = Outbox::new(DIALECT, &mut [], &mut slots);
    assert!(matches!(push(&mut outbox, b""), Err(PushError::Encode(_))));
    outbox.handle_disconnected(true);
    outbox.handle_online(None);
    outbox.handle_sent(Instant::MAX, usize::MAX);
    assert!(!outbox.is_due() && !outbox.handle_timeout(Instant::MAX, Instant::MAX));
}

/// What a test knows of something that it pushed.
#[derive(Clone, Debug)]
struct Item {
    token: Token,
    message: bool,
    asks_again: bool,
    body: Vec<u8>,
    /// Wholly written, ever, and on this link.
    written: bool,
    here: bool,
    ended: bool,
}

/// An outbox beside a plain record of what was done to it.
struct Model<'b> {
    outbox: Outbox<'b>,
    random: Random,
    now: Instant,
    heard: Instant,
    items: Vec<Item>,
    serial: u32,
    /// What this link carried, and what is lent and not written yet.
    stream: Vec<u8>,
    lent: Vec<u8>,
    stored: BTreeSet<u32>,
    /// Since the link came up something was sent again that is older than what was written on it.
    disordered: bool,
    steps: Vec<String>,
}

impl<'b> Model<'b> {
    fn new(buffer: &'b mut [u8], slots: &'b mut [Slot], seed: u64) -> Self {
        let mut outbox = Outbox::new(DIALECT, buffer, slots);
        outbox.set_wraps(false);
        let (now, random) = (S(1), Random(seed));
        let (items, stream, lent, steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let stored = BTreeSet::new();
        Self { outbox, random, now, heard: now, items, serial: 0, stream, lent, stored, disordered: false, steps }
    }

    /// A body that nothing else has.
    fn body(&mut self) -> Vec<u8> {
        self.serial += 1;
        let mut body = self.serial.to_be_bytes().to_vec();
        body.resize(4 + self.random.below(24), 0x55);
        body
    }

    fn step(&mut self) {
        let kind = self.random.below(23);
        self.steps.push(format!("{kind}"));
        match kind {
            0..=4 => self.push(),
            5 | 6 => self.push_request(),
            7 => {
                let body = self.body();
                let _ = self.outbox.push_one_way(self.now, 502, &body);
            }
            8..=11 => self.write(),
            12..=15 => self.answer(),
            16 => self.cancel(),
            17 => self.push_again(),
            18 | 19 => self.pass(),
            20 => self.poll(),
            21 => {
                self.outbox.flush();
                if self.random.below(4) == 0 {
                    self.outbox.freeze();
                }
            }
            _ => self.reconnect(),
        }
        self.check();
    }

    fn push(&mut self) {
        let body = self.body();
        let pushed = self.outbox.push(self.now, POLICY, (body.len(), false), |_, room| fill(room, &body));
        if let Ok(token) = pushed {
            self.open(token, true, false, body, false);
        }
    }

    fn push_request(&mut self) {
        let (body, asks_again) = (self.body(), self.random.below(2) == 0);
        let policy = if asks_again { ASKS_AGAIN } else { REQUEST };
        if let Ok(token) = request(&mut self.outbox, policy, &body) {
            self.open(token, false, asks_again, body, false);
        }
    }

    fn open(&mut self, token: Token, message: bool, asks_again: bool, body: Vec<u8>, written: bool) {
        self.items.push(Item { token, message, asks_again, body, written, here: false, ended: false });
    }

    fn write(&mut self) {
        if !self.outbox.is_due() {
            assert!(self.lent.is_empty());
            return;
        }
        let run = self.outbox.poll_transmit(false).to_vec();
        assert!(!run.is_empty(), "due, and nothing to write");
        assert_eq!(run[..self.lent.len()], self.lent, "what was lent has changed");
        let n = match self.random.below(3) {
            0 => 0,
            1 => run.len(),
            _ => self.random.below(run.len()),
        };
        if n == 0 {
            self.lent = run;
            return;
        }
        self.outbox.handle_sent(self.now, n);
        self.stream.extend_from_slice(&run[..n]);
        // After a write only the frame that is begun is promised.
        self.lent = self.outbox.poll_transmit(true).to_vec();
        self.note_written();
    }

    /// Takes the whole frames from the stream.
    fn note_written(&mut self) {
        while let Ok(Decoded::Frame(frame)) = decode(DIALECT, &self.stream) {
            let (length, command, sequence) = (frame.length(), frame.command(), frame.sequence());
            let body = frame.body().to_vec();
            self.stream.drain(..length);
            self.handle_written(command, sequence, &body);
        }
    }

    fn handle_written(&mut self, command: u32, sequence: u32, body: &[u8]) {
        if command == 502 {
            return;
        }
        let latest = self.items.iter().filter(|item| item.message && item.here).map(|item| item.token.sequence()).max();
        let disordered = self.disordered;
        let lowest =
            self.outbox.inflight.slots().filter(|slot| slot.is_message()).map(|slot| slot.token.sequence).min();
        let steps = &self.steps;
        let item = self.items.iter_mut().rev().find(|item| item.body == body);
        let item = item.unwrap_or_else(|| panic!("nobody sent {command}/{sequence} {body:?}: {steps:?}"));
        if item.message {
            assert_eq!((command, sequence), (MESSAGE, item.token.sequence()));
            if !item.here && !disordered {
                assert!(latest.is_none_or(|latest| latest < sequence), "{sequence} behind {latest:?}: {steps:?}");
                let reached = lowest.is_none_or(|lowest| item.written || sequence < lowest.saturating_add(64));
                assert!(reached, "{sequence} is beyond the window from {lowest:?}: {steps:?}");
            }
            if self.random.below(2) == 0 {
                self.stored.insert(sequence);
            }
        } else {
            item.token.sequence = sequence;
        }
        (item.written, item.here) = (true, true);
    }

    fn answer(&mut self) {
        let waiting: Vec<usize> = (0..self.items.len()).filter(|i| !self.items[*i].ended).collect();
        let Some(&index) = waiting.get(self.random.below(waiting.len())) else { return };
        let item = self.items[index].clone();
        self.heard = self.now;
        let sequence = item.token.sequence();
        let command = if item.message { MESSAGE } else { 501 } + 1_000_000_000;
        let over = self.is_over(item.token);
        let answer = self.outbox.handle_reply(self.now, command, sequence, &[]);
        match answer {
            // Of a message sent again a copy may be on the link that was lent before.
            None => {
                let copied = item.message && self.disordered;
                assert!(over || !item.here || copied, "{item:?} was not answered: {:?}", self.steps);
            }
            Some(Answer::Delivered(token)) => assert!(item.message && item.here && token == item.token),
            Some(Answer::Reply(token)) => assert!(!item.message && item.here && token == item.token),
            Some(other) => panic!("{other:?}"),
        }
        if answer.is_some() {
            self.items[index].ended = true;
            if item.message {
                self.stored.insert(sequence);
            }
        }
    }

    fn cancel(&mut self) {
        let index = self.random.below(self.items.len());
        if let Some(item) = self.items.get(index) {
            let waits = !item.ended && !self.is_over(item.token);
            assert_eq!(self.outbox.cancel(item.token), waits);
        }
    }

    /// It has ended, which was not told yet.
    fn is_over(&self, token: Token) -> bool {
        self.outbox.inflight.find(token).is_none()
    }

    fn push_again(&mut self) {
        let ended: Vec<usize> =
            (0..self.items.len()).filter(|i| self.items[*i].message && self.items[*i].ended).collect();
        let Some(&index) = ended.get(self.random.below(ended.len())) else { return };
        let Item { token, body, written, .. } = self.items[index].clone();
        let sequence = token.sequence();
        if self.items.iter().any(|item| item.message && !item.ended && item.token.sequence() == sequence) {
            return;
        }
        if let Ok(token) = self.outbox.push_as(self.now, POLICY, sequence, &body) {
            assert_eq!(token.sequence(), sequence);
            // One record for each sequence: the newest.
            self.items.retain(|item| !(item.message && item.token.sequence() == sequence));
            self.open(token, true, false, body, written);
            self.disordered = true;
        }
    }

    fn pass(&mut self) {
        self.now = self.now + Duration::from_secs(self.random.below(20) as u64);
        if self.random.below(2) == 0 {
            self.heard = self.now;
        }
        self.outbox.handle_timeout(self.now, self.heard);
        assert!(self.outbox.poll_timeout().is_none_or(|at| at > self.now), "a deadline stays behind: {:?}", self.steps);
    }

    fn poll(&mut self) {
        while let Some((token, outcome, written)) = self.outbox.poll_ended() {
            let steps = &self.steps;
            let item = self.items.iter_mut().find(|item| item.token == token).unwrap();
            assert!(!core::mem::replace(&mut item.ended, true), "{item:?} ended twice: {steps:?}");
            assert!(written || !item.written, "{item:?} was written: {steps:?}");
            if outcome == Outcome::Delivered {
                assert!(self.stored.contains(&token.sequence()), "{item:?} is not stored: {steps:?}");
            }
        }
    }

    fn reconnect(&mut self) {
        self.outbox.handle_disconnected(true);
        self.poll();
        self.stream.clear();
        self.lent.clear();
        self.disordered = false;
        for item in &mut self.items {
            item.here = false;
            assert!(item.message || item.asks_again || item.ended, "{item:?} outlived its link");
        }
        // Requests have the sequences of the new link now.
        for slot in self.outbox.inflight.slots() {
            if let Some(item) = self.items.iter_mut().find(|item| item.token == slot.token) {
                item.token = slot.token;
            }
        }
        let last = self.stored.last().copied().unwrap_or_default();
        let mut bitmap = [0; 8];
        for behind in self.stored.iter().map(|sequence| last - sequence).filter(|behind| *behind < 64) {
            bitmap[behind as usize / 8] |= 1 << (behind % 8);
        }
        let accepted = Accepted::new(last, &bitmap).unwrap();
        self.outbox.handle_online(Some(Peer { accepted, max_frame: u32::MAX }));
        for item in self.items.iter().filter(|item| item.message && !item.ended) {
            let settled = accepted.standing(item.token.sequence()) != Standing::NotStored;
            assert!(!settled || self.is_over(item.token), "{item:?} is not settled: {:?}", self.steps);
        }
        self.poll();
    }

    /// The counts agree with the slots, and the arena with both.
    fn check(&self) {
        let inflight = &self.outbox.inflight;
        let waiting = inflight.slots().count();
        let messages = inflight.slots().filter(|slot| slot.is_message()).count();
        assert_eq!(inflight.waiting(), (waiting, messages));
        assert_eq!(inflight.has_again(), inflight.slots().any(|slot| slot.state == State::Again));
        assert_eq!(inflight.keeps_frames(), inflight.slots().any(|slot| slot.offset != Slot::NOWHERE));
        let mut framed = BTreeMap::new();
        let mut at = 0;
        while let Some((length, sequence)) = self.outbox.arena.frame(at) {
            assert!(length >= 16 && at + length <= self.outbox.arena.tail);
            framed.insert(at, sequence);
            at += length;
        }
        assert_eq!(at, self.outbox.arena.tail, "whole frames: {:?}", self.steps);
        for slot in inflight.slots().filter(|slot| slot.offset != Slot::NOWHERE) {
            assert_eq!(framed.get(&slot.offset), Some(&slot.token.sequence), "{slot:?}: {:?}", self.steps);
            let queued = slot.state == State::Queued;
            assert_eq!(queued, slot.offset >= self.outbox.arena.cursor, "{slot:?}: {:?}", self.steps);
        }
        let Arena { cursor, due, tail, .. } = self.outbox.arena;
        assert!(cursor <= due && due <= tail);
        for mark in [cursor, due].into_iter().filter(|mark| *mark < tail) {
            assert!(framed.contains_key(&mark), "a mark inside a frame: {:?}", self.steps);
        }
        for (index, slot) in inflight.slots().filter(|slot| slot.is_message()).enumerate() {
            let twins = inflight.slots().skip(index + 1).filter(|other| other.token.sequence == slot.token.sequence);
            assert!(twins.filter(|other| other.is_message()).count() <= 1);
        }
    }

    /// Everything is answered: all memory is free again.
    fn finish(mut self, slots: usize) {
        self.reconnect();
        for _ in 0..2_000 {
            self.write();
            self.answer();
            self.poll();
            self.check();
            if self.outbox.is_settled() && !self.outbox.is_due() {
                break;
            }
            if self.random.below(50) == 0 {
                self.reconnect();
            }
        }
        assert!(self.outbox.is_settled() && !self.outbox.is_due(), "{:?}", self.steps);
        assert_eq!(self.outbox.poll_timeout(), None);
        let most = self.outbox.capacity() - 16;
        assert!(self.outbox.push_one_way(self.now, 502, &vec![0; most]).is_ok(), "{:?}", self.steps);
        self.outbox.flush();
        write(&mut self.outbox, self.now);
        for _ in 0..slots {
            let pushed = push(&mut self.outbox, b"");
            assert!(pushed.is_ok() || self.outbox.capacity() < slots * 16, "{pushed:?}");
        }
    }
}

#[test]
fn any_order_of_calls_keeps_the_promises() {
    let (runs, length) = if cfg!(miri) { (4, 60) } else { (500, 400) };
    for seed in 0..runs {
        let mut random = Random(seed);
        let (bytes, count) = (64 + random.below(600), 1 + random.below(12));
        let (mut buffer, mut slots) = (vec![0; bytes], vec![Slot::FREE; count]);
        let mut model = Model::new(&mut buffer, &mut slots, seed);
        if random.below(3) == 0 {
            model.outbox = model.outbox.with_linger(Duration::from_secs(2), 100);
        }
        for _ in 0..length {
            model.step();
        }
        model.now = model.now + Duration::from_secs(3);
        model.outbox.handle_timeout(model.now, model.now);
        model.finish(count);
    }
}
