//! Sync on a client's link, frame by frame: what is written when, what a slow, sleeping, closing or full link makes of it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Config, Disconnect, Endpoint, Timer};
use longlink::sync::{SYNC, SYNC_DONE, StaleReceipt};
use longlink::wire::Dialect;
use std::time::Duration;
use support::native::{HEARTBEAT, MESSAGE, REPLY, frames_in};
use support::phone::{MAILBOX, Phone};
use support::sync::{Answer, Asked, acked, heads, something};
use support::{Random, S, frame};

/// Up to date in epoch 1 with key 1 at 10, the ack written.
fn quiet() -> Phone {
    let mut phone = Phone::primed(MAILBOX, &Answer::of(1).key(1, 10));
    assert_eq!(phone.acked(), (1, vec![(1, 10)]));
    phone
}

fn commands(phone: &mut Phone) -> Vec<u32> {
    phone.frames().iter().map(|frame| frame.command).collect()
}

// What is written, and when.

#[test]
fn nothing_of_sync_is_written_before_the_greeting_is_answered_and_a_request_right_after() {
    let mut phone = Phone::new(MAILBOX);
    let now = phone.now;
    phone.client().sync(now);
    let hello = phone.connect();
    phone.client().sync(now);
    phone.notify(&something(1));
    assert_eq!(phone.frames(), []);
    phone.welcome(hello);
    assert_eq!(phone.asked().epoch, 0);
}

#[test]
fn to_want_without_a_link_waits_for_one() {
    let mut phone = quiet();
    phone.cut();
    let now = phone.now;
    phone.client().sync(now);
    assert_eq!((phone.frames(), phone.link.poll_timeout()), (vec![], None));
    phone.greet();
    phone.answer(&Answer::of(1));
    assert_eq!(phone.frames(), [], "asked once");
}

#[test]
fn a_full_outbox_starves_neither_request_nor_ack() {
    let mut phone = quiet();
    let now = phone.now;
    for i in 0..16 {
        phone.client().send(now, &[i; 100]).unwrap();
    }
    assert!(phone.client().send(now, b"more").is_err());
    phone.write(50);
    phone.notify(&heads(1, &[(1, 11)]));
    let bytes = [frame(&Dialect::LONGLINK, MESSAGE, 1, &[0; 100])[..50].to_vec(), phone.bytes()].concat();
    let all: Vec<_> = frames_in(&Dialect::LONGLINK, &bytes).iter().map(|frame| frame.command).collect();
    assert_eq!(all.iter().filter(|command| **command == SYNC).count(), 1, "{all:?}");
    assert_eq!((all.len(), all[1]), (17, SYNC), "right behind the frame that was begun");
    let mut phone = quiet();
    phone.notify(&heads(1, &[(1, 11)]));
    phone.answer(&Answer::of(1).key(1, 11));
    for i in 0..16 {
        phone.client().send(now, &[i; 100]).unwrap();
    }
    phone.commit().unwrap();
    assert_eq!(commands(&mut phone)[0], SYNC_DONE, "in front of what is not begun");
}

#[test]
fn a_request_and_an_ack_are_the_same_bytes_in_whatever_pieces_they_are_written() {
    let answer = (1..=16).fold(Answer::of(1), |answer, key| answer.key(key, 1_000 + u64::from(key)));
    let (mut whole, mut pieces) = (Phone::primed(MAILBOX, &answer), Phone::primed(MAILBOX, &answer));
    let ack = whole.bytes();
    assert_eq!(ack.len(), 16 + 8 + 16 * 12);
    let mut random = Random(7);
    let mut in_pieces = |phone: &mut Phone| {
        let mut bytes = Vec::new();
        loop {
            let some = phone.write(1 + random.below(20) as usize);
            if some.is_empty() {
                return bytes;
            }
            bytes.extend(some);
        }
    };
    assert_eq!(in_pieces(&mut pieces), ack);
    for phone in [&mut whole, &mut pieces] {
        phone.notify(&something(1));
    }
    let request = whole.bytes();
    assert_eq!(request.len(), 16 + 16 + 16 * 12);
    assert_eq!(in_pieces(&mut pieces), request);
}

#[test]
fn a_request_that_is_half_written_at_a_cut_begins_anew_on_the_next_link() {
    for written in [1, 10, 16, 20, 32, 40, 43] {
        let mut phone = quiet();
        phone.notify(&something(1));
        assert_eq!(phone.write(written).len(), written);
        phone.cut();
        phone.greet();
        let asked = phone.asked();
        assert_eq!((asked.keys, asked.sequence), (vec![(1, 10)], 3), "after {written} bytes");
        phone.reply(2, &Answer::of(1).key(1, 11));
        assert_eq!(phone.page, None);
        phone.reply(3, &Answer::of(1).key(1, 11));
        phone.commit().unwrap();
    }
}

#[test]
fn an_ack_that_is_half_written_at_a_cut_is_in_the_next_request() {
    let mut phone = Phone::primed(MAILBOX, &Answer::of(1).key(1, 10));
    phone.write(30);
    phone.cut();
    phone.greet();
    assert_eq!(phone.asked().keys, [(1, 10)]);
    assert_eq!(phone.frames(), []);
}

#[test]
fn what_comes_while_an_ack_is_half_written_does_not_break_it() {
    let mut phone = Phone::primed(MAILBOX, &Answer::of(1).key(1, 10));
    let begun = phone.write(28);
    phone.notify(&heads(1, &[(1, 11)]));
    let now = phone.now;
    phone.client().sync(now);
    let frames = frames_in(&Dialect::LONGLINK, &[begun, phone.bytes()].concat());
    assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [SYNC_DONE, SYNC]);
    assert_eq!(acked(&frames[0].body), (1, vec![(1, 10)]));
}

// Over links.

#[test]
fn a_page_over_a_disconnect_is_committed_after_online_once() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a"));
    phone.cut();
    phone.greet();
    assert_eq!(phone.frames(), []);
    phone.commit().unwrap();
    assert_eq!(phone.commit(), Err(StaleReceipt));
    assert_eq!(phone.asked().keys, [(1, 11)], "what came between the links");
}

#[test]
fn a_page_is_committed_while_there_is_no_link_or_one_that_greets() {
    for greets in [false, true] {
        let mut phone = quiet();
        phone.notify(&something(1));
        phone.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a"));
        phone.cut();
        let hello = greets.then(|| phone.connect());
        phone.commit().unwrap();
        assert_eq!(phone.frames(), []);
        match hello {
            Some(hello) => phone.welcome(hello),
            None => phone.greet(),
        }
        assert_eq!(phone.asked().keys, [(1, 11)]);
    }
}

#[test]
fn a_peer_that_is_not_greeted_has_no_mailbox() {
    let mut phone = Phone::new(Config { requires_greeting: false, ..MAILBOX });
    phone.connect();
    phone.at(10);
    assert_eq!(phone.lines(), ["online"]);
    assert_eq!(phone.frames(), []);
    let now = phone.now;
    phone.client().sync(now);
    phone.notify(&something(1));
    assert_eq!(phone.frames(), []);
    phone.cut();
    phone.greet();
    assert_eq!(phone.asked().epoch, 0);
}

#[test]
fn a_device_that_the_mailbox_does_not_know_greets_anew_and_asks_after_its_back_off() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::status(4));
    assert_eq!(phone.link.closing(), Some(Disconnect::UnknownDevice));
    let mut waits = Vec::new();
    for _ in 0..4 {
        phone.cut();
        let began = phone.now;
        phone.greet();
        assert_eq!(phone.frames(), []);
        let frames = phone.until_written(100);
        waits.push((phone.now - began).as_millis());
        phone.reply(frames[0].sequence, &Answer::status(4));
        assert_eq!(phone.link.closing(), Some(Disconnect::UnknownDevice));
    }
    assert!(
        waits.iter().zip([500, 1_000, 2_000, 4_000]).all(|(wait, least)| (least..=2 * least).contains(wait)),
        "{waits:?}"
    );
}

// Answers.

#[test]
fn the_four_bytes_of_an_older_server_mean_something_and_make_one_round() {
    let mut phone = quiet();
    phone.notify(&[0, 0, 0, 2]);
    phone.answer(&Answer::of(1));
    assert_eq!((phone.frames(), phone.lines()), (vec![], vec![]));
    assert_eq!(phone.client().stats().dropped, 0, "it was understood");
}

#[test]
fn a_response_is_of_sync_alone_and_one_that_is_not_awaited_is_counted_as_dropped() {
    let mut phone = quiet();
    let now = phone.now;
    let token = phone.client().request(now, 9_001, b"?").unwrap();
    phone.notify(&something(1));
    let frames = phone.frames();
    let sequence = frames.iter().find(|frame| frame.command == SYNC).unwrap().sequence;
    phone.give(9_001 + REPLY, sequence + 50, b"!");
    phone.reply(sequence + 1, &Answer::of(1).key(1, 11));
    assert_eq!((phone.lines(), phone.client().stats().dropped), (vec![], 2));
    phone.reply(sequence, &Answer::of(1).key(1, 11));
    phone.give(9_001 + REPLY, token.sequence(), b"!");
    assert_eq!(phone.lines(), ["page".to_string(), format!("reply {}", token.sequence())]);
}

#[test]
fn a_page_that_is_longer_than_the_receive_buffer_is_asked_for_in_half_at_once() {
    let mut phone = Phone::with_buffers::<8>(MAILBOX, 1_024, 1_024);
    phone.greet();
    let asked = phone.asked();
    assert_eq!(asked.max_bytes, 1_008, "a frame of 1,024 with its header");
    let long = frame(&Dialect::LONGLINK, SYNC + REPLY, asked.sequence, &[0; 1_009]);
    let (first, rest) = long.split_at(600);
    phone.feed(first);
    assert_eq!(phone.lines(), ["online", "failed TooLarge"]);
    let again = phone.asked();
    assert_eq!((again.max_bytes, again.retries), (504, true));
    phone.feed(rest);
    phone.reply(again.sequence, &Answer::of(1).key(1, 1));
    phone.commit().unwrap();
    phone.notify(&something(1));
    let frames = phone.frames();
    let asked = frames.iter().find(|frame| frame.command == SYNC).unwrap();
    assert_eq!(Asked::read(asked.sequence, &asked.body).max_bytes, 1_008, "it grows again");
}

#[test]
fn another_over_long_frame_fails_no_sync() {
    let mut phone = quiet();
    phone.notify(&something(1));
    let sequence = phone.asked().sequence;
    phone.feed(&frame(&Dialect::LONGLINK, 9_001, 0, &[0; 2_040])[..1_000]);
    phone.feed(&frame(&Dialect::LONGLINK, 9_001, 0, &[0; 2_040])[1_000..]);
    assert!(phone.lines().is_empty());
    let of_another_command = frame(&Dialect::LONGLINK, 9_001 + REPLY, sequence, &[0; 2_040]);
    of_another_command.chunks(1_500).for_each(|part| phone.feed(part));
    assert!(phone.lines().is_empty());
    phone.reply(sequence, &Answer::of(1).key(1, 11));
    assert_eq!(phone.lines(), ["page"]);
}

#[test]
fn a_page_of_64_kib_at_1_kb_a_second_arrives_and_nothing_times_out() {
    let config = Config { heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)), ..MAILBOX };
    let mut phone = Phone::with_buffers::<16>(config, 66_000, 2_048);
    phone.prime(&Answer::of(1).key(1, 10));
    phone.frames();
    phone.notify(&something(1));
    let asked = phone.asked();
    assert_eq!(asked.max_bytes, 65_536);
    let answer = Answer::of(1).key(1, 11).item(1, 11, &vec![7; 65_536 - 48]);
    let bytes = frame(&Dialect::LONGLINK, SYNC + REPLY, asked.sequence, &answer.body());
    for (second, part) in (20..).zip(bytes.chunks(1_000)) {
        phone.until_written(0);
        phone.now = S(second);
        phone.feed(part);
        phone.frames();
        assert_eq!(phone.link.closing(), None, "at {second} s");
    }
    assert_eq!(phone.lines(), ["page"]);
    assert_eq!(phone.page.as_ref().unwrap().items[0].bytes.len(), 65_488);
}

#[test]
fn an_answer_that_does_not_come_has_the_link_asked_and_a_link_that_lives_stays() {
    let mut phone = Phone::primed(
        Config { heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(1_000)), ..MAILBOX },
        &Answer::of(1).key(1, 10),
    );
    phone.frames();
    phone.notify(&something(1));
    let asked = phone.asked();
    assert_eq!(phone.link.endpoint().next_timer(), Some((Timer::Sync, S(35))));
    phone.at(35);
    assert_eq!(phone.lines(), ["failed TimedOut"]);
    assert_eq!(commands(&mut phone), [HEARTBEAT]);
    phone.give(HEARTBEAT + REPLY, 0xFFFF_FFFF, &[]);
    let frames = phone.until_written(10);
    let again = Asked::read(frames[0].sequence, &frames[0].body);
    assert_eq!((again.keys, again.max_bytes), (asked.keys, asked.max_bytes / 2));
    assert_eq!(phone.link.closing(), None);
}
