//! The reference: what was sent, what was told of it, and what must be true of both.

use longlink::Instant;
use longlink::delivery::{DedupWindow, Epoch, Failure, MessagePolicy, RejectCode, Token, Verdict};
use longlink::session::{Client, SendError};
use longlink::wire::BufferTooSmall;
use std::collections::{BTreeMap, BTreeSet};

/// Every message has a number of its own in its body, whatever becomes of its sequence.
pub type Number = usize;

/// What a message is told to have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Delivered,
    /// The peer has said that it will not store it.
    Rejected,
    /// Failed in another way, or taken back.
    Unknown,
}

/// One message: all that was told of it by all processes, and what excuses it.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub told: Vec<Told>,
    /// It came back from stored state, or by the application's wish, after it had been rejected.
    revived: bool,
    /// It came back from an older backup.
    backed_up: bool,
}

#[derive(Default)]
pub struct Book {
    pub fates: Vec<Fate>,
    /// The messages of this process that have not ended.
    pub open: Vec<(Token, Number)>,
    /// What went over the wire: the longest start of a body for every epoch and sequence.
    wire: BTreeMap<(Epoch, u32), Vec<u8>>,
    /// Numbers may be used twice: a process began with an older backup, or with an epoch that a clock repeated.
    pub repeats: bool,
}

impl Book {
    /// A message is about to be sent.
    pub fn next(&mut self) -> Number {
        self.fates.push(Fate::default());
        self.fates.len() - 1
    }

    pub fn opened(&mut self, token: Token, number: Number) {
        assert!(self.open.iter().all(|(open, _)| *open != token), "{token:?} was used before");
        if self.fates[number].told.contains(&Told::Rejected) {
            self.fates[number].revived = true;
        }
        self.open.push((token, number));
    }

    /// A message that stored state has brought back.
    pub fn restored(&mut self, token: Token, number: Number, older: bool) {
        self.opened(token, number);
        self.fates[number].backed_up |= older;
    }

    /// The process is gone, and its tokens with it.
    pub fn killed(&mut self) {
        self.open.clear();
    }

    /// A message has ended. Fails if it had before.
    pub fn ended(&mut self, token: Token, told: Told) -> Number {
        let at = self.open.iter().position(|(open, _)| *open == token);
        let (_, number) = self.open.swap_remove(at.unwrap_or_else(|| panic!("{token:?} ended twice: {told:?}")));
        self.fates[number].told.push(told);
        number
    }

    /// A message was written, as far as `body` goes.
    fn wrote(&mut self, epoch: Epoch, sequence: u32, body: &[u8]) {
        let before = self.wire.entry((epoch, sequence)).or_default();
        let common = before.len().min(body.len());
        let same = before[..common] == body[..common];
        assert!(same || self.repeats, "message {sequence} of epoch {epoch} was written with two contents");
        if before.len() < body.len() || !same {
            *before = body.to_vec();
        }
    }

    /// A message was written on a link that was welcomed with this epoch and window: not before that, not one that the window
    /// has unless it was wished for, and as it was sealed. Its epoch.
    pub fn check_written(
        &mut self,
        welcomed: Option<&(Epoch, DedupWindow)>,
        wished: &BTreeSet<u32>,
        sequence: u32,
        body: &[u8],
    ) -> Epoch {
        let Some((epoch, window)) = welcomed else { panic!("message {sequence} is written before the welcome") };
        let is_known = window.check(sequence) == Verdict::Duplicate && !wished.contains(&sequence);
        assert!(!is_known, "message {sequence} of epoch {epoch} is known to be stored, and written again");
        self.wrote(*epoch, sequence, body);
        if body.len() >= 12 {
            check_seal(*epoch, sequence, body);
        }
        *epoch
    }

    /// What must be true of the store at any time.
    pub fn check(&self, messages: &[(Epoch, u32, Vec<u8>)], ordered: bool) {
        let mut stored = vec![0; self.fates.len()];
        for (_, _, body) in messages {
            stored[number_of(body)] += 1;
        }
        for (number, (fate, stored)) in self.fates.iter().zip(stored).enumerate() {
            let told = &fate.told;
            assert!(stored > 0 || !told.contains(&Told::Delivered), "{number} was delivered, and is not stored");
            assert!(stored < 2 || fate.backed_up, "{number} is stored {stored} times: {fate:?}");
            let rejected = told.contains(&Told::Rejected) && stored > 0;
            assert!(!rejected || fate.revived || fate.backed_up, "{number} was rejected, and is stored: {fate:?}");
        }
        let mut places: Vec<_> = messages.iter().map(|(epoch, sequence, _)| (*epoch, *sequence)).collect();
        assert!(!ordered || places.is_sorted(), "stored in another order: {places:?}");
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), messages.len(), "one sequence of an epoch was stored twice");
    }
}

/// Has the client send the message of this number with a body of about this length, sealed if that is asked for and an epoch
/// is known; and what it is sealed for.
pub fn send(
    client: &mut Client<'_>,
    now: Instant,
    policy: &MessagePolicy,
    (number, length): (Number, usize),
    sealed: bool,
) -> (Result<Token, SendError>, Option<(Epoch, u32)>) {
    let mut seal = None;
    let mut sent = Err(SendError::EpochUnknown);
    if sealed {
        sent = client.send_sealed(now, policy, |epoch, sequence, room| {
            seal = Some((epoch, sequence));
            let body = body(number, seal, length);
            let required = body.len();
            room.get_mut(..required).ok_or(BufferTooSmall { required })?.copy_from_slice(&body);
            Ok(required)
        });
    }
    if sent == Err(SendError::EpochUnknown) {
        sent = client.send(now, &body(number, None, length));
    }
    (sent, seal.filter(|_| sent.is_ok()))
}

/// A body: the number of the message, its epoch and sequence if it is sealed for them, and as much behind as is asked for.
pub fn body(number: Number, seal: Option<(Epoch, u32)>, length: usize) -> Vec<u8> {
    let (epoch, sequence) = seal.map_or((0, 0), |(epoch, sequence)| (epoch.get(), sequence));
    let head = [number as u32, epoch, sequence].map(u32::to_be_bytes).concat();
    let length = length.max(head.len());
    head.into_iter().chain(std::iter::repeat(7)).take(length).collect()
}

fn word(body: &[u8], at: usize) -> u32 {
    body[4 * at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

/// The number of the message with this body.
pub fn number_of(body: &[u8]) -> Number {
    word(body, 0) as Number
}

/// Fails if the body was sealed for another epoch or sequence.
pub fn check_seal(epoch: Epoch, sequence: u32, body: &[u8]) {
    let seal = (word(body, 1), word(body, 2));
    assert!(
        seal == (0, 0) || seal == (epoch.get(), sequence),
        "message {sequence} of epoch {epoch} was sealed as {seal:?}"
    );
}

/// What a failure says of whether the message is stored.
pub fn told(failure: Failure) -> Told {
    match failure {
        Failure::Rejected(rejection) if rejection.code != RejectCode::TooOld => Told::Rejected,
        _ => Told::Unknown,
    }
}
