//! Sync on a server's link before the greeting and at the end, bodies without sense, and how much a peer may ask.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::session::{Disconnect, GoAway, GoAwayCode, SendError, ServerConfig};
use longlink::sync::{Epoch, FETCH, Fetch, Refusal, Request, SYNC, SYNC_DONE};
use std::time::Duration;
use support::OPEN;
use support::booth::{Booth, Told, Wrote, done, request, wrote};

// Before the greeting, at the end.

#[test]
fn before_the_greeting_nothing_of_sync_is_heard_or_said() {
    let mut booth = Booth::accepted(ServerConfig::DEFAULT, 1_000);
    booth.ask(1, 100, &[]);
    booth.give(SYNC_DONE, 0, &done(1, &[(1, 1)]));
    booth.give(FETCH, 2, &Fetch::new(1, Epoch::FIRST, 1, 0, 64).to_bytes());
    let (now, body) = (booth.now, request(1, 0, 256, &[]));
    assert_eq!(booth.try_answer(1, &body).unwrap_err(), SendError::NotGreeted);
    booth.server().refuse_sync(now, 1, Refusal::Bad);
    assert_eq!((booth.frames(), booth.told.len()), (vec![], 0));
    booth.greet();
    assert_eq!((booth.frames(), booth.told.len()), (vec![], 0));
}

#[test]
fn where_nobody_greets_its_commands_are_the_applications() {
    let mut open = Booth::accepted(OPEN, 1_000);
    open.ask(5, 0, &[]);
    open.give(SYNC_DONE, 0, &done(1, &[]));
    assert_eq!(open.told, [Told::Other("request 121/5".into()), Told::Other("one-way 1000000190".into())]);
}

#[test]
fn a_link_that_closes_hears_no_sync_and_tells_it_as_nothing_else() {
    let mut booth = Booth::new();
    booth.ask(1, 0, &[]);
    let (_, body) = booth.requests().pop().unwrap();
    let now = booth.now;
    booth.server().close(now, GoAway::new(GoAwayCode::Restart));
    assert_eq!(booth.try_answer(1, &body).unwrap_err(), SendError::Closing);
    booth.server().refuse_sync(now, 1, Refusal::Bad);
    booth.ask(2, 0, &[]);
    booth.give(SYNC_DONE, 0, &done(1, &[(1, 7)]));
    assert_eq!(wrote(&booth.frames()), [Wrote::Other(247, 0)]);
    assert_eq!(booth.told, []);
}

#[test]
fn nothing_is_answered_after_the_link_is_down() {
    let mut booth = Booth::new();
    booth.ask(1, 0, &[]);
    let (_, body) = booth.requests().pop().unwrap();
    booth.cut();
    assert_eq!(booth.try_answer(1, &body).unwrap_err(), SendError::Offline);
}

// Acks and fetches.

#[test]
fn an_ack_is_told_whatever_else_is_under_way() {
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    booth.give(SYNC_DONE, 0, &done(1, &[(1, 4), (2, 9)]));
    assert_eq!(booth.told, [Told::Done(1, vec![(1, 4), (2, 9)])]);
    assert_eq!(booth.frames(), [], "it has no answer, and the hold goes on");
}

#[test]
fn an_item_is_fetched_in_parts_while_a_request_is_held() {
    let mut booth = Booth::new();
    let bytes: Vec<u8> = (0..1_000_u32).map(|i| i as u8).collect();
    let val = booth.append(1, &bytes);
    let (now, of_another) = (booth.now, request(0, 0, 256, &[]));
    let mut out = [0; 256];
    let primes = Request::decode(&of_another).unwrap();
    longlink::sync::answer(&primes, &mut booth.mailbox.device(2, now), &mut out).unwrap();
    assert_eq!(booth.round(1, 300, &[(1, val)]), [], "held; the item stays for another device");
    let mut got: Vec<u8> = Vec::new();
    for sequence in 2..100 {
        let fetch = Fetch::new(1, Epoch::FIRST, val, got.len() as u32, 116);
        booth.told.clear();
        booth.give(FETCH, sequence, &fetch.to_bytes());
        assert_eq!(booth.told, [Told::Fetch(sequence, fetch)]);
        let (now, mut view) = (booth.now, booth.mailbox.device(1, booth.now));
        booth.link.endpoint_mut().answer_fetch(now, sequence, &fetch, &mut view).unwrap();
        let frames = wrote(&booth.frames());
        let [Wrote::Fetched(answered, 0, part)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(*answered, sequence);
        if part.is_empty() {
            break;
        }
        got.extend(part);
    }
    assert_eq!(got, bytes);
    booth.notify(1, val + 1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)], "it is held still");
}

// Nonsense, and too much.

#[test]
fn bodies_that_make_no_sense_are_answered_so_and_the_tenth_closes_the_link() {
    let good = request(1, 0, 4_096, &[(1, 1)]);
    let mut unknown_version = good.clone();
    unknown_version[0] = 2;
    let mut reserved = good.clone();
    reserved[1] = 0x80;
    let bad = [vec![], good[..15].to_vec(), good[..27].to_vec(), [&good[..], &[0]].concat(), unknown_version, reserved];
    let mut booth = Booth::new();
    for (sequence, body) in (1..).zip(&bad) {
        booth.give(SYNC, sequence, body);
        assert_eq!(booth.requests(), []);
        assert_eq!(wrote(&booth.frames()), [Wrote::Answer(sequence, 3, 0, 0)]);
    }
    booth.give(FETCH, 7, &[1; 23]);
    assert_eq!(wrote(&booth.frames()), [Wrote::Fetched(7, 3, vec![])]);
    booth.give(SYNC_DONE, 0, &[1; 9]);
    booth.give(SYNC, 0, &good);
    assert_eq!((booth.frames(), booth.link.closing()), (vec![], None), "one-way, or with no number to answer under");
    booth.give(SYNC_DONE, 0, &done(0, &[]));
    assert_eq!(booth.link.closing(), Some(Disconnect::Misbehaved), "the tenth");
    assert_eq!(wrote(&booth.frames()), [Wrote::Other(247, 0)]);
}

#[test]
fn a_request_without_sense_supersedes_too() {
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    booth.give(SYNC, 2, &[]);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(2, 3, 0, 0)]);
    booth.at(200);
    assert_eq!(booth.frames(), []);
}

#[test]
fn the_refusals_are_what_the_application_says() {
    let cases = [
        (Refusal::Bad, 3, 0),
        (Refusal::NotThisDevice, 4, 0),
        (Refusal::RetryLater(Duration::from_secs(9_999)), 2, 3_600_000),
    ];
    for (refusal, status, millis) in cases {
        let mut booth = Booth::new();
        booth.ask(1, 100, &[]);
        let now = booth.now;
        booth.server().refuse_sync(now, 1, refusal);
        let frames = booth.frames();
        assert_eq!((frames.len(), frames[0].sequence, frames[0].body.len()), (1, 1, 20));
        assert_eq!((frames[0].body[1], &frames[0].body[4..8]), (status, &[0; 4][..]), "it needs no epoch");
        assert_eq!(frames[0].body[16..], u32::to_be_bytes(millis));
    }
}

#[test]
fn five_fruitless_syncs_a_second_are_taken_in_the_long_run() {
    for hold in [0, 300] {
        let mut booth = Booth::new();
        let mut asked = 0;
        for millis in (0..60_000).step_by(10) {
            booth.at_millis(millis);
            if booth.link.space().is_empty() {
                continue;
            }
            asked += 1;
            booth.round(asked, hold, &[]);
        }
        assert!((290..=320).contains(&asked), "{asked} in a minute, hold {hold}");
        assert_eq!(booth.link.closing(), None);
    }
}

#[test]
fn syncs_that_bring_something_are_not_slowed_down() {
    let mut booth = Booth::new();
    for round in 0..250_u32 {
        booth.append(1, b"a");
        assert!(!booth.link.space().is_empty(), "round {round}");
        let keys = [(1, u64::from(round))];
        let keys = if round == 0 { &[][..] } else { &keys };
        assert_eq!(wrote(&booth.round(round + 1, 0, keys)), [Wrote::Answer(round + 1, 0, 1, 1)]);
        booth.give(SYNC_DONE, 0, &done(1, &[(1, u64::from(round) + 1)]));
        booth.told.clear();
        let now = booth.now;
        let ack = done(1, &[(1, u64::from(round) + 1)]);
        let ack = longlink::sync::Ack::decode(&ack).unwrap();
        longlink::sync::acknowledge(&ack, &mut booth.mailbox.device(support::native::DEVICE.get(), now)).unwrap();
        let now = booth.now + Duration::from_millis(10);
        booth.now = now;
    }
}

#[test]
fn nothing_of_it_is_lost_to_the_messages_of_the_same_link() {
    let mut booth = Booth::new();
    booth.round(1, 300, &[]);
    booth.give(support::native::MESSAGE, 1, b"hi");
    assert!(matches!(&booth.told[..], [Told::Other(told)] if told.starts_with("Message")), "{:?}", booth.told);
    booth.notify(2, 2);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
}
