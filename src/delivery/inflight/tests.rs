use super::super::LAST_SEQUENCE;
use super::*;
use std::vec;

const S: fn(u64) -> Instant = Instant::from_secs;
const TIMEOUT: Duration = Duration::from_secs(30);

fn open(inflight: &mut Inflight<'_>) -> Token {
    let sequence = inflight.next().unwrap();
    inflight.open(sequence, sequence.wrapping_add(1_000), TIMEOUT).unwrap()
}

fn open_and_write(inflight: &mut Inflight<'_>) -> Token {
    let token = open(inflight);
    inflight.handle_written(S(0), token.sequence());
    token
}

#[test]
fn a_reply_has_exactly_the_sequence_and_the_command_expected() {
    let mut slots = [Slot::FREE; 4];
    let mut inflight = Inflight::new(&mut slots);
    let token = open_and_write(&mut inflight);
    assert_eq!(token.sequence(), 1);
    assert_eq!(inflight.settle(1_002, 1), None, "another command");
    assert_eq!(inflight.settle(1_001, 5), None, "the same slot, another sequence");
    assert_eq!(inflight.settle(1_001, 0), None, "a push");
    assert_eq!(inflight.settle(1_001, 1), Some(token));
    assert_eq!(inflight.settle(1_001, 1), None, "twice");
}

#[test]
fn what_is_not_written_cannot_be_answered_and_its_slot_is_not_written_by_another() {
    let mut slots = [Slot::FREE; 2];
    let mut inflight = Inflight::new(&mut slots);
    let token = open(&mut inflight);
    assert_eq!(inflight.settle(1_001, 1), None, "answered before it was asked");
    inflight.handle_written(S(0), 3);
    assert_eq!(inflight.poll_timeout(), None, "another sequence in the same slot");
    inflight.handle_written(S(0), 1);
    assert_eq!(inflight.settle(1_001, 1), Some(token));
}

#[test]
fn after_a_late_wake_up_every_clock_runs_its_own_length_again() {
    let mut slots = [Slot::FREE; 4];
    let mut inflight = Inflight::new(&mut slots);
    for (sequence, seconds) in [(1, 40), (2, 10)] {
        inflight.open(sequence, 0, Duration::from_secs(seconds)).unwrap();
        inflight.handle_written(S(0), sequence);
    }
    inflight.rebase(S(1_000));
    assert_eq!(inflight.poll_timeout(), Some(S(1_010)));
    inflight.handle_timeout(S(1_010));
    assert_eq!(inflight.poll_ended().map(|(token, ..)| token.sequence()), Some(2));
    assert_eq!(inflight.poll_timeout(), Some(S(1_040)));
}

#[test]
fn at_the_end_of_the_sequences_no_free_slot_is_missed() {
    for len in 1..=9 {
        let mut slots = vec![Slot::FREE; len];
        let mut inflight = Inflight::new(&mut slots);
        inflight.sequence = LAST_SEQUENCE - 3;
        for _ in 0..len {
            open(&mut inflight);
        }
        assert!(inflight.is_full());
    }
}

#[test]
fn a_sequence_whose_slot_is_taken_is_left_out() {
    let mut slots = [Slot::FREE; 2];
    let mut inflight = Inflight::new(&mut slots);
    let slow = open_and_write(&mut inflight);
    for expected in [2, 4, 6] {
        let quick = open_and_write(&mut inflight);
        assert_eq!(quick.sequence(), expected);
        assert!(inflight.is_full());
        assert_eq!(inflight.next(), None);
        assert_eq!(inflight.settle(expected + 1_000, expected), Some(quick));
    }
    assert_eq!(inflight.settle(1_001, 1), Some(slow));
}

#[test]
fn the_clock_starts_when_the_last_byte_is_written() {
    let mut slots = [Slot::FREE; 2];
    let mut inflight = Inflight::new(&mut slots);
    let token = open(&mut inflight);
    assert_eq!(inflight.poll_timeout(), None);
    inflight.handle_written(S(105), 1);
    assert_eq!(inflight.poll_timeout(), Some(S(135)));
    inflight.handle_timeout(S(134));
    assert_eq!(inflight.poll_ended(), None);
    inflight.handle_timeout(S(135));
    assert_eq!(inflight.poll_ended(), Some((token, Failure::TimedOut, true)));
    assert_eq!(inflight.poll_ended(), None);
    assert!(inflight.is_empty());
    assert_eq!(inflight.settle(1_001, 1), None, "a reply after the end is none");
}

#[test]
fn every_request_ends_once_when_the_link_is_lost() {
    let mut slots = [Slot::FREE; 3];
    let mut inflight = Inflight::new(&mut slots);
    let (first, second) = (open(&mut inflight), open(&mut inflight));
    inflight.handle_written(S(0), 1);
    inflight.handle_disconnected();
    inflight.handle_disconnected();
    let mut ends = [inflight.poll_ended(), inflight.poll_ended()];
    ends.sort_by_key(|end| end.unwrap().0.sequence());
    assert_eq!(ends[0], Some((first, Failure::LinkLost, true)));
    assert_eq!(ends[1], Some((second, Failure::LinkLost, false)));
    assert_eq!(inflight.poll_ended(), None);
    let again = open(&mut inflight);
    assert_eq!(again.sequence(), 1, "each link counts from 1");
    assert_ne!(again, first, "and a token is never used twice");
}

#[test]
fn ends_that_are_not_fetched_keep_their_slot_and_nothing_else() {
    let mut slots = [Slot::FREE; 2];
    let mut inflight = Inflight::new(&mut slots);
    open(&mut inflight);
    inflight.handle_disconnected();
    let token = open_and_write(&mut inflight);
    assert!(inflight.is_full());
    assert_eq!(inflight.settle(token.sequence() + 1_000, token.sequence()), Some(token));
}

#[test]
fn sequences_skip_zero_and_the_reserved_ones() {
    let mut slots = [Slot::FREE; 4];
    let mut inflight = Inflight::new(&mut slots);
    inflight.sequence = LAST_SEQUENCE - 1;
    assert_eq!(open(&mut inflight).sequence(), LAST_SEQUENCE);
    assert_eq!(open(&mut inflight).sequence(), 1);
}

#[test]
fn without_slots_there_are_no_requests() {
    let mut inflight = Inflight::new(&mut []);
    assert_eq!(inflight.next(), None);
    assert_eq!(inflight.open(1, 1, TIMEOUT), None);
    assert_eq!(inflight.settle(1, 1), None);
    inflight.handle_timeout(Instant::MAX);
    inflight.handle_disconnected();
    assert_eq!(inflight.poll_ended(), None);
}

#[test]
fn a_slot_is_small() {
    assert!(size_of::<Slot>() <= 40, "{}", size_of::<Slot>());
}
