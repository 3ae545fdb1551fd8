//! What makes a client ask: notifies, polls, wishes, and a request that the server holds.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::sync::{Config, SyncError, Told, Wanted};
use std::time::Duration;
use support::S;
use support::sync::{Answer, Bare, GAP, RESET, gaps, heads, quiet, serve, something};

const HOLDING: Config<'static> = Config { hold: Duration::from_secs(120), ..Config::DEFAULT };

// Hints.

#[test]
fn a_notify_above_the_cursor_asks_at_once_and_one_that_came_twice_asks_once() {
    let mut bare = quiet(Config::DEFAULT);
    bare.at(5).notify(&heads(1, &[(1, 11)]));
    bare.notify(&heads(1, &[(1, 11)]));
    let page = bare.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
    bare.notify(&heads(1, &[(1, 11)]));
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked(), None, "what it says is here");
}

#[test]
fn a_notify_that_overtakes_the_response_which_covers_it_makes_no_round() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let sequence = bare.asked().unwrap().sequence;
    bare.notify(&heads(1, &[(1, 12)]));
    let page = bare.reply(sequence, &Answer::of(1).key(1, 12).item(1, 12, b"a")).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked(), None);
    assert_eq!(bare.told(), [Told::CaughtUp]);
}

#[test]
fn a_notify_between_the_servers_read_and_its_answer_makes_one_more_round() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let sequence = bare.asked().unwrap().sequence;
    bare.notify(&heads(1, &[(1, 11)]));
    assert_eq!(bare.reply(sequence, &Answer::of(1)), None, "read before");
    assert_eq!(bare.told(), [], "not caught up");
    let page = bare.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!((bare.asked(), bare.told()), (None, vec![Told::CaughtUp]));
}

#[test]
fn of_two_heads_of_a_key_the_higher_counts_whichever_comes_first() {
    for order in [[12, 11], [11, 12]] {
        let mut bare = quiet(Config::DEFAULT);
        bare.want();
        let sequence = bare.asked().unwrap().sequence;
        order.iter().for_each(|head| bare.notify(&heads(1, &[(1, *head)])));
        let page = bare.reply(sequence, &Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
        bare.commit(&page).unwrap();
        assert!(bare.asked().is_some(), "12 is not here");
    }
}

#[test]
fn a_notify_while_a_page_is_out_makes_one_round_after_it() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
    bare.notify(&heads(1, &[(1, 12)]));
    bare.commit(&page).unwrap();
    assert_eq!(bare.answer(&Answer::of(1)), None);
    assert_eq!(bare.asked(), None);
}

#[test]
fn thousands_of_notifies_in_a_burst_make_one_more_round() {
    for page_is_out in [false, true] {
        let mut bare = quiet(Config::DEFAULT);
        bare.want();
        let sequence = bare.asked().unwrap().sequence;
        let answer = Answer::of(1).key(1, 11).item(1, 11, b"a");
        let out = page_is_out.then(|| bare.reply(sequence, &answer).unwrap());
        (0..5_000).for_each(|i| bare.notify(&heads(1, &[(1 + i % 7, 100 + u64::from(i))])));
        let page = out.unwrap_or_else(|| bare.reply(sequence, &answer).unwrap());
        bare.commit(&page).unwrap();
        assert_eq!(bare.answer(&Answer::of(1)), None);
        assert_eq!(bare.asked(), None);
    }
}

#[test]
fn a_lost_notify_costs_a_poll_interval_at_most() {
    let mut bare = quiet(Config::DEFAULT);
    assert_eq!(bare.until_due(10_000), 300_000, "while idle");
    assert_eq!(bare.answer(&Answer::of(1)), None);
    assert_eq!(bare.until_due(10_000), 300_000, "and again");
    let mut bare = quiet(Config { poll: Duration::from_secs(60), ..Config::DEFAULT });
    bare.want();
    assert_eq!(bare.answer(&Answer::of(1)), None, "lost while in flight");
    assert_eq!(bare.until_due(10_000), 60_000);
}

#[test]
fn a_stale_notify_makes_the_ack_be_said_again_once_a_minute() {
    let mut bare = quiet(Config::DEFAULT);
    let mut acks = Vec::new();
    for second in 0..=180 {
        bare.at(second);
        bare.notify(&heads(1, &[(1, 10 - second % 3)]));
        assert_eq!(bare.asked(), None, "it is here");
        if let Some(ack) = bare.acked() {
            assert_eq!(ack, (1, vec![(1, 10)]));
            acks.push(second);
        }
    }
    assert_eq!(acks, [0, 60, 120, 180]);
}

#[test]
fn the_notify_of_an_unknown_key_is_news_where_all_are_wanted_and_none_where_it_is_not_listed() {
    let mut bare = quiet(Config::DEFAULT);
    bare.notify(&heads(1, &[(77, 1)]));
    assert!(bare.asked().is_some());
    let mut bare = quiet(Config { keys: Wanted::Listed(&[1, 2]), ..Config::DEFAULT });
    bare.notify(&heads(1, &[(77, 1)]));
    assert_eq!(bare.asked(), None);
    bare.notify(&heads(1, &[(2, 1), (77, 1)]));
    assert_eq!(bare.asked().unwrap().keys, [(1, 10), (2, 0)]);
}

#[test]
fn a_notify_of_another_epoch_or_of_no_known_form_asks_once() {
    let odd = vec![1, 0, 0, 1, 0, 0, 0, 1];
    for body in [heads(9, &[(1, 3)]), something(1), heads(1, &[]), vec![0, 0, 0, 2], vec![], odd, vec![9; 20]] {
        let mut bare = quiet(Config::DEFAULT);
        bare.notify(&body);
        assert_eq!(bare.answer(&Answer::of(1)), None, "{body:?}");
        assert_eq!(bare.asked(), None, "{body:?}");
        assert_eq!(bare.until_due(10_000), 300_000, "{body:?}");
    }
}

#[test]
fn hints_that_lead_to_nothing_twice_are_followed_more_slowly() {
    let mut bare = quiet(Config::DEFAULT);
    let mut times = Vec::new();
    for _ in 0..12 {
        bare.notify(&something(1));
        bare.until_due(1_000);
        times.push(bare.now.as_micros() / 1_000);
        assert_eq!(bare.answer(&Answer::of(1)), None);
    }
    let waits = gaps(&times);
    assert_eq!(waits[0], 0, "the first is believed");
    for (i, wait) in waits[1..].iter().enumerate() {
        let longest = (1_000 << i).min(60_000);
        assert!((longest / 2..=longest).contains(wait), "wait {i} of {wait} ms: {waits:?}");
    }
    bare.notify(&something(1));
    bare.until_due(1_000);
    let page = bare.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
    bare.commit(&page).unwrap();
    bare.notify(&something(1));
    assert!(bare.asked().is_some(), "one that led to something ends it");
}

#[test]
fn what_leads_to_something_a_new_link_and_polls_leave_hints_as_good_as_ever() {
    let many_for_nothing = |bare: &mut Bare| {
        for _ in 0..6 {
            bare.notify(&something(1));
            bare.until_due(100);
            assert_eq!(bare.answer(&Answer::of(1)), None);
        }
        bare.now = bare.now + Duration::from_secs(100);
        bare.notify(&something(1));
    };
    let believed_twice = |bare: &mut Bare| {
        for _ in 0..2 {
            bare.notify(&something(1));
            assert_eq!(bare.answer(&Answer::of(1)), None);
        }
    };
    let mut bare = quiet(Config::DEFAULT);
    many_for_nothing(&mut bare);
    let page = bare.answer(&Answer::of(1).key(1, 11).more()).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.answer(&Answer::of(1)), None);
    bare.notify(&something(1));
    assert_eq!(bare.answer(&Answer::of(1)), None);
    let mut bare = quiet(Config::DEFAULT);
    many_for_nothing(&mut bare);
    bare.cut();
    bare.online();
    assert_eq!(bare.answer(&Answer::of(1)), None);
    believed_twice(&mut bare);
    let mut bare = quiet(Config::DEFAULT);
    for _ in 0..20 {
        bare.until_due(1_000);
        assert_eq!(bare.answer(&Answer::of(1)), None);
    }
    believed_twice(&mut bare);
}

#[test]
fn a_server_that_says_something_all_the_time_gets_a_bounded_number_of_requests() {
    let mut bare = quiet(Config::DEFAULT);
    let mut asked = 0;
    for millis in (0..3_600_000).step_by(500) {
        bare.at_millis(millis).notify(&something(1));
        if bare.asked().is_some() {
            asked += 1;
            let sequence = bare.sequence;
            assert_eq!(bare.reply(sequence, &Answer::of(1)), None);
        }
    }
    assert!((60..140).contains(&asked), "{asked} in an hour");
}

#[test]
fn hints_for_nothing_while_a_request_is_under_way_are_paced_too() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let mut asked = 0;
    while bare.now < S(3_600) {
        bare.until_due(3_600);
        let Some(request) = bare.asked() else { break };
        asked += 1;
        bare.notify(&something(1));
        assert_eq!(bare.reply(request.sequence, &Answer::of(1)), None);
    }
    assert!((60..140).contains(&asked), "{asked} in an hour");
}

#[test]
fn to_want_asks_now_and_without_a_link_waits_for_one() {
    let mut bare = Bare::new(Config::DEFAULT);
    bare.want();
    assert_eq!((bare.asked(), bare.client.poll_timeout()), (None, None));
    bare.prime(&Answer::of(1).key(1, 10));
    bare.want();
    let sequence = bare.asked().unwrap().sequence;
    bare.want();
    assert_eq!(bare.asked(), None, "one is under way");
    assert_eq!(bare.reply(sequence, &Answer::of(1)), None);
    assert_eq!(bare.answer(&Answer::of(1)), None, "the second wish");
    assert_eq!(bare.asked(), None);
}

// Hold.

#[test]
fn a_request_is_held_only_by_who_has_everything_and_asked_again_after_each_answer() {
    let mut bare = quiet(HOLDING);
    let asked = bare.asked().unwrap();
    assert_eq!((asked.hold, asked.keys), (120, vec![(1, 10)]), "the ack is in the request");
    assert!(bare.client.is_caught_up());
    bare.at(60);
    assert_eq!(bare.reply(asked.sequence, &Answer::of(1)), None, "a head moved");
    let asked = bare.asked().unwrap();
    let page = bare.reply(asked.sequence, &Answer::of(1).key(1, 11).item(1, 11, b"a").more()).unwrap();
    assert!(!bare.client.is_caught_up());
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().hold, 0, "there is more");
}

#[test]
fn a_held_request_is_overtaken_by_a_wish_and_by_a_notify() {
    for notified in [true, false] {
        let mut bare = quiet(HOLDING);
        let held = bare.asked().unwrap();
        bare.at(10);
        if notified {
            bare.notify(&heads(1, &[(1, 11)]))
        } else {
            bare.want()
        }
        let asked = bare.asked().unwrap();
        assert_eq!((asked.sequence, asked.hold), (held.sequence + 1, 0), "it is to be answered now");
        assert_eq!(bare.reply(held.sequence, &Answer::of(1).key(1, 12).item(1, 12, b"b")), None, "an older one");
        let page = bare.reply(asked.sequence, &Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
        bare.commit(&page).unwrap();
        assert_eq!(bare.asked().unwrap().hold, 120);
    }
}

#[test]
fn a_held_request_times_out_after_the_hold_and_the_usual_time() {
    let mut bare = quiet(HOLDING);
    let asked = bare.asked().unwrap();
    bare.at(154);
    assert_eq!(bare.told(), []);
    assert!(bare.expire(), "the link is to be asked");
    assert_eq!((bare.now, bare.told()), (S(155), vec![Told::Failed(SyncError::TimedOut)]));
    bare.until_due(60);
    let again = bare.asked().unwrap();
    assert_eq!((again.hold, again.max_bytes), (0, asked.max_bytes / 2));
}

#[test]
fn a_server_that_does_not_hold_is_not_asked_in_a_circle() {
    let mut bare = quiet(HOLDING);
    let times = serve(&mut bare, 3_600, |_| Answer::of(1));
    assert!((55..140).contains(&times.len()), "{} in an hour", times.len());
}

#[test]
fn pages_that_move_nothing_are_not_asked_for_in_a_circle() {
    for flags in [GAP, RESET] {
        for config in [HOLDING, Config::DEFAULT] {
            let mut bare = quiet(config);
            let times = serve(&mut bare, 3_600, |_| Answer::of(1).flagged(1, flags, 10));
            assert!(times.len() < 140, "{} in an hour", times.len());
        }
    }
}

#[test]
fn a_hold_of_less_than_a_second_is_none() {
    let mut bare = quiet(Config { hold: Duration::from_millis(999), ..Config::DEFAULT });
    assert_eq!(bare.asked(), None, "it is notified");
    assert_eq!(bare.until_due(10_000), 300_000);
}
