//! The accepting side of sync on one link: what is held, owed, refused, superseded, and how much a peer may ask.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::session::{Disconnect, Endpoint, GoAway, GoAwayCode, SendError, ServerConfig};
use longlink::sync::{Epoch, Refusal, Request, SYNC};
use longlink::wire::Dialect;
use std::time::Duration;
use support::booth::{Booth, Broken, StoreError, Wrote, request, wrote};
use support::native::{DEVICE, Greets, HEARTBEAT, HELLO, REPLY};
use support::{OPEN, frame};

const SYNCED: u32 = SYNC + REPLY;

// Hold.

#[test]
fn an_answer_that_says_nothing_is_held_until_a_head_moves_and_then_sent_empty() {
    let mut booth = Booth::new();
    assert_eq!(booth.round(1, 100, &[]), []);
    booth.at(99);
    assert_eq!(booth.frames(), []);
    let head = booth.append(3, b"news");
    booth.notify(3, head);
    booth.notify(3, head);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)], "in place of a notify");
    assert_eq!(wrote(&booth.round(2, 100, &[])), [Wrote::Answer(2, 0, 1, 1)], "what is there is not held");
    booth.at(500);
    assert_eq!(booth.frames(), [], "no notify comes after it");
}

#[test]
fn a_hold_ends_when_it_was_asked_to_and_after_five_minutes_at_the_latest() {
    for (asked, ends) in [(1, 1), (60, 60), (300, 300), (301, 300), (65_535, 300)] {
        let mut booth = Booth::new();
        booth.at(7);
        assert_eq!(booth.round(9, asked, &[]), []);
        booth.at_millis((7 + ends) * 1_000 - 1);
        assert_eq!(booth.frames(), []);
        booth.at(7 + ends);
        assert_eq!(wrote(&booth.frames()), [Wrote::Answer(9, 0, 0, 0)]);
    }
}

#[test]
fn without_a_hold_an_empty_answer_comes_at_once() {
    let mut booth = Booth::new();
    assert_eq!(wrote(&booth.round(1, 0, &[])), [Wrote::Answer(1, 0, 0, 0)]);
}

#[test]
fn the_first_answer_of_a_device_is_never_held_for_it_names_the_epoch() {
    let mut booth = Booth::new();
    booth.give(SYNC, 1, &request(0, 300, 4_096, &[]));
    booth.answer();
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
}

#[test]
fn another_epoch_is_told_at_once_also_to_who_would_wait() {
    let mut booth = Booth::new();
    booth.give(SYNC, 1, &request(77, 300, 4_096, &[(1, 5)]));
    booth.answer();
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 1, 0, 0)]);
}

#[test]
fn heartbeats_are_answered_while_a_request_is_held() {
    let mut booth = Booth::new();
    booth.round(1, 300, &[]);
    for second in (30..=270).step_by(30) {
        booth.at(second).give(HEARTBEAT, 0xFFFF_FFFF, &[]);
        assert_eq!(wrote(&booth.frames()), [Wrote::Other(HEARTBEAT + REPLY, 0xFFFF_FFFF)]);
    }
    booth.at(300);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
}

#[test]
fn a_hold_that_is_longer_than_the_idle_limit_does_not_keep_a_silent_peer() {
    let mut booth = Booth::with(ServerConfig { idle: Duration::from_secs(60), ..ServerConfig::DEFAULT }, 1_024);
    booth.round(1, 300, &[]);
    booth.at(59);
    assert_eq!(booth.link.closing(), None);
    booth.at(60);
    assert_eq!(booth.link.closing(), Some(Disconnect::Idle));
    let mut booth = Booth::with(ServerConfig { idle: Duration::from_secs(60), ..ServerConfig::DEFAULT }, 1_024);
    booth.round(1, 300, &[]);
    for second in (45..300).step_by(45) {
        booth.at(second).give(HEARTBEAT, 0xFFFF_FFFF, &[]);
        booth.frames();
    }
    booth.at(300);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
}

#[test]
fn a_newer_request_takes_the_place_of_one_that_is_held() {
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    assert_eq!(booth.round(2, 200, &[]), []);
    booth.at(150);
    assert_eq!(booth.frames(), [], "the end of the first hold is none of the second");
    booth.notify(1, 5);
    booth.notify(1, 6);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(2, 0, 0, 0)], "only the newest is answered");
    booth.at(400);
    assert_eq!(booth.frames(), []);
}

#[test]
fn a_request_that_comes_twice_while_it_is_held_is_answered_once() {
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    assert_eq!(booth.round(1, 100, &[]), []);
    booth.at(300);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
}

#[test]
fn what_is_held_ends_with_the_link_and_with_a_close() {
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    booth.cut();
    assert_eq!((booth.frames(), booth.link.poll_timeout()), (vec![], None));
    let mut booth = Booth::new();
    booth.round(1, 100, &[]);
    let now = booth.now;
    booth.server().close(now, GoAway::new(GoAwayCode::Restart));
    booth.notify(1, 1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Other(247, 0)]);
}

// Only the newest is answered, one after the other.

#[test]
fn an_application_that_answers_late_answers_only_the_newest() {
    let mut booth = Booth::new();
    booth.append(1, b"a");
    booth.ask(1, 0, &[]);
    booth.ask(2, 0, &[]);
    let requests = booth.requests();
    assert_eq!(requests.len(), 2);
    assert!(booth.try_answer(1, &requests[0].1).is_err(), "the device has given it up");
    booth.try_answer(2, &requests[1].1).unwrap();
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(2, 0, 1, 1)]);
}

#[test]
fn a_request_is_still_to_be_answered_when_a_notify_or_a_fetch_went_before() {
    let mut booth = Booth::new();
    booth.ask(1, 0, &[]);
    let (sequence, body) = booth.requests().pop().unwrap();
    booth.notify(9, 1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(9, 1)])]);
    booth.give(longlink::sync::FETCH, 2, &[]);
    booth.append(1, b"a");
    booth.try_answer(sequence, &body).unwrap();
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 1, 1)]);
}

#[test]
fn a_late_answer_or_refusal_of_an_older_request_does_not_end_the_hold_of_the_newer() {
    for refuses in [true, false] {
        let mut booth = Booth::new();
        booth.ask(1, 0, &[]);
        let older = booth.requests();
        assert_eq!(booth.round(2, 100, &[]), [], "held");
        let now = booth.now;
        if refuses {
            booth.server().refuse_sync(now, 1, Refusal::RetryLater(Duration::from_secs(1)));
        } else {
            let _ = booth.try_answer(1, &older[0].1);
        }
        assert_eq!(booth.frames(), []);
        booth.at(100);
        assert_eq!(wrote(&booth.frames()), [Wrote::Answer(2, 0, 0, 0)]);
    }
}

#[test]
fn nothing_is_read_before_an_answer_is_wholly_written() {
    let mut booth = Booth::new();
    booth.append(1, &[7; 3_000]);
    booth.ask(1, 0, &[]);
    booth.answer();
    assert!(booth.link.space().is_empty());
    let mut bytes = booth.write(2_000);
    assert!(booth.link.space().is_empty(), "one part is written");
    bytes.extend(booth.write(10_000));
    assert!(!booth.link.space().is_empty());
    assert_eq!(wrote(&support::native::frames_in(&Dialect::LONGLINK, &bytes)), [Wrote::Answer(1, 0, 1, 1)]);
}

#[test]
fn a_request_behind_another_in_one_read_waits_for_its_answer() {
    let mut booth = Booth::new();
    booth.append(1, b"a");
    let one = request(1, 0, 4_096, &[]);
    let both = [frame(&Dialect::LONGLINK, SYNC, 1, &one), frame(&Dialect::LONGLINK, SYNC, 2, &one)].concat();
    let now = booth.now;
    let space = booth.link.space();
    space[..both.len()].copy_from_slice(&both);
    booth.link.handle_read(now, both.len());
    let mailbox = &mut booth.mailbox;
    let mut answered = Vec::new();
    for _ in 0..3 {
        booth.link.process(now, |server, event| {
            let longlink::session::ServerEvent::Sync { sequence, request } = event else { panic!() };
            answered.push(sequence);
            server.answer_sync(now, sequence, &request, &mut mailbox.device(1, now)).unwrap();
        });
        assert_eq!(answered, [1]);
    }
    support::written(&mut booth.link, now);
    booth.process();
    assert_eq!(booth.requests().len(), 1, "now the second is read");
}

#[test]
fn reading_goes_on_once_the_answer_is_written_however_much_is_queued_behind_it() {
    let mut booth = Booth::with(ServerConfig::DEFAULT, 65_536);
    booth.append(1, &[7; 1_000]);
    booth.ask(1, 0, &[]);
    booth.answer();
    let length = 16 + 20 + 12 + 16 + 1_000;
    for _ in 0..20 {
        let now = booth.now;
        booth.server().push(now, 900, &[1; 100]).unwrap();
        booth.write(60);
    }
    assert!(20 * 60 > length);
    assert!(booth.server().can_take(), "what waits is not the answer any more");
}

#[test]
fn a_page_is_as_long_as_the_request_the_buffer_and_the_peer_allow() {
    for (max_bytes, tx, expected) in [(256, 8_192, 256), (1_000, 8_192, 1_000), (65_536, 600, 584), (4_096, 300, 284)] {
        let mut booth = Booth::with(ServerConfig::DEFAULT, tx);
        booth.append(1, &[7; 20_000]);
        booth.give(SYNC, 1, &request(1, 0, max_bytes, &[]));
        booth.answer();
        assert_eq!(booth.frames()[0].body.len(), expected);
    }
}

#[test]
fn a_page_is_no_longer_than_the_device_takes_frames() {
    let mut booth = Booth::accepted(ServerConfig::DEFAULT, 8_192);
    let mut hello = Greets { epoch: 1, link: 1, resume: false }.body(DEVICE.get(), b"");
    hello[20..24].copy_from_slice(&300_u32.to_be_bytes());
    booth.give(HELLO, 0xFFFF_FFFE, &hello);
    booth.frames();
    booth.append(1, &[7; 1_000]);
    booth.ask(1, 0, &[]);
    booth.answer();
    assert_eq!(booth.frames()[0].body.len(), 300 - 16);
}

// Without room.

#[test]
fn a_request_that_cannot_be_answered_for_want_of_room_can_be_refused_from_the_reserve() {
    for tx in [0, 40, 271] {
        let mut booth = Booth::with(ServerConfig::DEFAULT, tx);
        booth.append(1, b"a");
        booth.ask(1, 0, &[]);
        let (sequence, body) = booth.requests().pop().unwrap();
        let error = booth.try_answer(sequence, &body).unwrap_err();
        assert!(matches!((tx, error), (0, SendError::NoBuffer) | (_, SendError::TooLong { .. })), "{tx}: {error:?}");
        assert_eq!(booth.frames(), []);
        let now = booth.now;
        booth.server().refuse_sync(now, sequence, Refusal::RetryLater(Duration::from_millis(1_500)));
        let frames = booth.frames();
        assert_eq!((frames.len(), frames[0].command, frames[0].sequence), (1, SYNCED, 1));
        assert_eq!((frames[0].body[1], &frames[0].body[16..]), (2, &1_500_u32.to_be_bytes()[..]));
    }
}

#[test]
fn lending_a_buffer_later_answers_the_same_request() {
    let mut booth = Booth::with(ServerConfig::DEFAULT, 0);
    booth.append(1, b"a");
    booth.ask(1, 0, &[]);
    let (sequence, body) = booth.requests().pop().unwrap();
    assert_eq!(booth.try_answer(sequence, &body).unwrap_err(), SendError::NoBuffer);
    booth.server().lend(vec![0; 1_000]).unwrap();
    booth.try_answer(sequence, &body).unwrap();
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 1, 1)]);
}

#[test]
fn what_is_owed_passes_a_full_queue_between_two_frames() {
    let mut booth = Booth::with(ServerConfig::DEFAULT, 1_000);
    booth.round(1, 100, &[]);
    let now = booth.now;
    while booth.server().push(now, 900, &[1; 84]).is_ok() {}
    booth.write(30);
    booth.notify(1, 1);
    let rest = booth.write(100_000);
    let whole = [frame(&Dialect::LONGLINK, 900, 0, &[1; 84])[..30].to_vec(), rest].concat();
    let all = wrote(&support::native::frames_in(&Dialect::LONGLINK, &whole));
    let at = all.iter().position(|one| *one == Wrote::Answer(1, 0, 0, 0)).unwrap();
    assert!(at <= 10, "after what was lent at the latest: {all:?}");
    assert_eq!(all.len(), 11);
}

#[test]
fn a_held_request_and_a_notify_need_no_buffer() {
    let mut booth = Booth::with(ServerConfig::DEFAULT, 0);
    booth.server().lend(vec![0; 1_000]).unwrap();
    booth.round(1, 100, &[]);
    booth.server().reclaim().unwrap();
    booth.notify(1, 4);
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 0, 0, 0)]);
    booth.notify(1, 5);
    booth.at(1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(1, 5)])]);
}

// Notify.

#[test]
fn a_rise_is_notified_at_once_and_what_follows_within_a_second_together() {
    let mut booth = Booth::new();
    booth.notify(3, 10);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(3, 10)])]);
    for millis in [100, 300, 999] {
        booth.at_millis(millis).notify(3, 10 + millis);
        assert_eq!(booth.frames(), []);
    }
    booth.at_millis(1_000);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(3, 1_009)])]);
    booth.at_millis(1_500).notify(3, 2_000);
    booth.notify(4, 1);
    booth.at_millis(2_000);
    assert_eq!(wrote(&booth.frames()), [Wrote::Something(1)], "of several keys just that");
    assert_eq!(booth.link.endpoint().next_timer().map(|(timer, _)| timer), Some(longlink::session::Timer::Idle));
    booth.at(600);
    assert_eq!(booth.frames(), [], "never by a timer alone");
    booth.notify(4, 2);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(4, 2)])], "at once again");
}

#[test]
fn a_head_that_is_told_late_or_twice_does_not_fall() {
    let mut booth = Booth::new();
    booth.notify(3, 10);
    booth.frames();
    booth.notify(3, 12);
    booth.notify(3, 12);
    booth.notify(3, 11);
    booth.at(1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(3, 12)])]);
}

#[test]
fn a_head_of_another_epoch_has_nothing_to_do_with_the_one_before() {
    let mut booth = Booth::new();
    booth.notify(3, 1_000);
    booth.frames();
    let now = booth.at(10).now;
    booth.server().notify(now, Epoch::new(2).unwrap(), 3, 5);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(2, vec![(3, 5)])]);
    let now = booth.at(20).now;
    booth.server().notify(now, Epoch::new(2).unwrap(), 3, 6);
    booth.frames();
    booth.server().notify(now, Epoch::new(2).unwrap(), 3, 7);
    booth.server().notify(now, Epoch::new(3).unwrap(), 3, 1);
    booth.at(30);
    assert_eq!(wrote(&booth.frames()), [Wrote::Something(3)]);
}

#[test]
fn ten_thousand_rises_in_a_minute_are_sixty_notifies_at_most() {
    let mut booth = Booth::new();
    let mut times = Vec::new();
    for step in 0..10_000_u64 {
        booth.at_millis(step * 6).notify(step as u16 % 5, step);
        if !booth.frames().is_empty() {
            times.push(step * 6);
        }
    }
    assert!((55..=61).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{times:?}");
}

#[test]
fn what_a_page_brings_is_not_notified_after_it_and_what_comes_later_is() {
    let mut booth = Booth::new();
    booth.notify(9, 1);
    booth.frames();
    let head = booth.append(1, b"a");
    booth.notify(1, head);
    assert_eq!(wrote(&booth.round(1, 0, &[])), [Wrote::Answer(1, 0, 1, 1)]);
    booth.at(5);
    assert_eq!(booth.frames(), []);
    booth.ask(2, 0, &[(1, head)]);
    booth.answer();
    let head = booth.append(1, b"b");
    booth.notify(1, head);
    let frames = wrote(&booth.frames());
    assert_eq!(frames, [Wrote::Notify(1, vec![(1, head)]), Wrote::Answer(2, 0, 0, 0)], "it was read before");
}

#[test]
fn what_moved_before_a_store_failed_is_still_notified() {
    let mut booth = Booth::new();
    booth.notify(9, 1);
    booth.frames();
    booth.notify(9, 2);
    booth.ask(1, 0, &[]);
    let (sequence, body) = booth.requests().pop().unwrap();
    let (now, request) = (booth.now, Request::decode(&body).unwrap());
    let answered = booth.server().answer_sync(now, sequence, &request, &mut Broken).unwrap();
    assert_eq!(answered.error, Some(StoreError));
    assert_eq!(wrote(&booth.frames()), [Wrote::Answer(1, 2, 0, 0)]);
    booth.at(1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(9, 2)])]);
}

#[test]
fn what_moved_and_is_not_told_yet_is_answered_at_once_and_never_held() {
    let mut booth = Booth::new();
    booth.notify(9, 1);
    booth.frames();
    booth.notify(9, 2);
    assert_eq!(wrote(&booth.round(1, 100, &[])), [Wrote::Answer(1, 0, 0, 0)]);
    booth.at(200);
    assert_eq!(booth.frames(), []);
}

#[test]
fn notifies_keep_their_distance_also_where_a_hold_is_superseded() {
    let mut booth = Booth::new();
    booth.notify(9, 1);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(9, 1)])]);
    booth.at_millis(100).round(1, 100, &[]);
    booth.at_millis(200).append(1, b"a");
    assert_eq!(wrote(&booth.round(2, 100, &[])), [Wrote::Answer(2, 0, 1, 1)]);
    booth.notify(1, 2);
    assert_eq!(booth.frames(), []);
    booth.at_millis(1_200);
    assert_eq!(wrote(&booth.frames()), [Wrote::Notify(1, vec![(1, 2)])]);
}

#[test]
fn notifies_keep_their_distance_also_around_a_hold() {
    let mut booth = Booth::new();
    let mut times = Vec::new();
    for step in 0..200_u64 {
        booth.at_millis(step * 50);
        if step % 4 == 1 {
            booth.round(step as u32, 100, &[]);
        }
        booth.notify(1, step);
        if wrote(&booth.frames()).iter().any(|one| matches!(one, Wrote::Notify(..) | Wrote::Something(_))) {
            times.push(step * 50);
        }
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{times:?}");
}

#[test]
fn nobody_is_notified_before_the_greeting_nor_on_a_link_without_one() {
    let mut booth = Booth::accepted(ServerConfig::DEFAULT, 1_000);
    booth.notify(1, 1);
    assert_eq!(booth.frames(), []);
    booth.greet();
    assert_eq!(booth.frames(), []);
    let mut open = Booth::accepted(OPEN, 1_000);
    open.notify(1, 1);
    assert_eq!(open.frames(), []);
}
