//! How often a client asks: pauses, back-off, delays that a server names, a mailbox that begins anew, sizes, late timers.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::Instant;
use longlink::sync::{BodyError, Client, Config, ConfigError, Memory, Request, Row, SyncError, Told, Wanted};
use std::time::Duration;
use support::S;
use support::sync::{Answer, Bare, LONGEST, RESET, gaps, heads, quiet, serve};

const HOLDING: Config<'static> = Config { hold: Duration::from_secs(120), ..Config::DEFAULT };

// Rounds.

#[test]
fn so_many_pages_in_a_row_make_a_pause_and_then_it_goes_on() {
    let mut bare = quiet(Config { rounds: 5, ..Config::DEFAULT });
    bare.want();
    let times = serve(&mut bare, 100, |round| {
        let val = 10 + round as u64;
        let answer = Answer::of(1).key(1, val).item(1, val, b"a");
        if round < 23 { answer.more() } else { answer }
    });
    let waits = gaps(&times);
    let pauses: Vec<_> =
        waits.iter().enumerate().filter(|(_, wait)| **wait > 0).map(|(i, wait)| (i + 1, *wait)).collect();
    assert_eq!(pauses, [(5, 100), (10, 100), (15, 100), (20, 100)]);
    assert_eq!(bare.cursor(), (1, vec![(1, 33)]), "nothing is dropped");
}

#[test]
fn a_pause_ends_at_once_where_somebody_waits() {
    let mut bare = quiet(Config { rounds: 1, ..Config::DEFAULT });
    bare.want();
    let page = bare.answer(&Answer::of(1).key(1, 11).more()).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked(), None, "a pause");
    bare.want();
    assert!(bare.asked().is_some());
}

#[test]
fn more_without_progress_is_an_error_and_asked_again_ever_more_slowly() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    assert_eq!(bare.answer(&Answer::of(1).more()), None);
    assert_eq!(bare.told(), [Told::Failed(SyncError::Malformed(BodyError::NoProgress))]);
    assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
    let times = serve(&mut bare, 3_600, |_| Answer::of(1).key(1, 10).more());
    assert!((60..140).contains(&times.len()), "{} in an hour", times.len());
}

// Back-off.

#[test]
fn what_fails_is_asked_again_ever_later_within_half_and_all_of_a_doubling_time() {
    let mut firsts = Vec::new();
    for seed in 0..40 {
        let config: &'static Config<'static> = Box::leak(Box::new(Config::DEFAULT));
        let memory: &mut Memory = Box::leak(Box::new(Memory::<[Row; 16]>::new()));
        let client = Client::new(config, memory, seed, LONGEST).unwrap();
        let mut bare = Bare { client, now: Instant::ZERO, sequence: 0 };
        bare.online();
        let times = serve(&mut bare, 700, |_| Answer::later(0));
        let waits = gaps(&times);
        for (i, wait) in waits.iter().enumerate() {
            let longest = (1_000_u64 << i.min(10)).min(60_000);
            assert!((longest / 2..=longest).contains(wait), "wait {i} of {wait} ms, seed {seed}");
        }
        assert!(waits.len() > 12);
        firsts.push(waits[0]);
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 30, "they do not come all at once: {firsts:?}");
    assert!(firsts[0] < 600 && firsts[firsts.len() - 1] > 900, "over the whole span: {firsts:?}");
}

#[test]
fn a_delay_that_the_server_names_is_kept_with_a_spread_behind_it_and_beats_every_wish() {
    for named in [1, 2_000, 60_000, 3_600_000, u32::MAX] {
        let mut longest = 0;
        for seed in 0..20 {
            let mut bare = quiet(Config::DEFAULT);
            bare.at_millis(seed * 7);
            bare.want();
            let began = bare.now;
            assert_eq!(bare.answer(&Answer::later(named)), None);
            let least = u64::from(named.min(3_600_000));
            let after = Duration::from_millis(least);
            assert_eq!(bare.told(), [Told::Failed(SyncError::Busy { after })]);
            bare.want();
            bare.notify(&heads(1, &[(1, 99)]));
            bare.cut();
            bare.want();
            bare.online();
            bare.want();
            bare.until_due(10_000);
            let waited = (bare.now - began).as_millis() as u64;
            let most = least + (least / 2).max(5_000);
            assert!((least..=most).contains(&waited), "{waited} ms for {named}");
            assert!(bare.asked().is_some());
            longest = longest.max(waited - least);
        }
        let span = (u64::from(named.min(3_600_000)) / 2).max(5_000);
        assert!(longest > span / 2, "{longest} ms of {span} for {named}: they would all come at once");
    }
}

#[test]
fn a_refusal_is_repeated_at_the_poll_interval() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let times = serve(&mut bare, 3_000, |_| Answer::status(3));
    assert!(gaps(&times).iter().all(|wait| *wait == 300_000), "{times:?}");
    assert!(times.len() >= 10);
}

#[test]
fn an_unknown_status_counts_as_later() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    assert_eq!(bare.answer(&Answer { retry_after: 9_000, ..Answer::status(77) }), None);
    assert_eq!(bare.told(), [Told::Failed(SyncError::Busy { after: Duration::ZERO })]);
    assert!((500..=1_000).contains(&bare.until_due(100)));
}

#[test]
fn a_status_without_a_page_needs_no_epoch_and_does_not_touch_the_cursor() {
    for answer in [Answer::later(0), Answer::status(3), Answer::status(4)] {
        for epoch in [0, 1, 9] {
            let mut bare = quiet(Config::DEFAULT);
            bare.want();
            assert_eq!(bare.answer(&Answer { epoch, ..answer.clone() }), None);
            assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
            assert!(matches!(
                bare.told()[..],
                [Told::Failed(SyncError::Busy { .. } | SyncError::Refused | SyncError::NotThisDevice)]
            ));
        }
    }
}

#[test]
fn a_failure_of_the_network_is_forgotten_on_a_new_link_and_one_of_the_server_is_not() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    bare.asked().unwrap();
    bare.expire();
    bare.cut();
    bare.online();
    assert!(bare.asked().is_some(), "at once");
    bare.cut();
    bare.online();
    bare.answer(&Answer::of(1).more());
    bare.cut();
    bare.online();
    assert_eq!(bare.asked(), None, "it would say the same");
    assert!(bare.until_due(100) > 0);
}

#[test]
fn after_a_success_the_next_failure_is_the_first() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    serve(&mut bare, 100, |_| Answer::later(0));
    bare.until_due(100);
    assert_eq!(bare.answer(&Answer::of(1)), None);
    bare.want();
    assert_eq!(bare.answer(&Answer::later(0)), None);
    assert!((500..=1_000).contains(&bare.until_due(100)));
    serve(&mut bare, 100, |_| Answer::later(0));
    bare.until_due(100);
    let page = bare.answer(&Answer::of(1).key(1, 11).more()).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.answer(&Answer::later(0)), None);
    assert!((500..=1_000).contains(&bare.until_due(100)), "a page that has more is one too");
}

// Reset.

#[test]
fn a_mailbox_that_begins_anew_is_followed_at_once_with_its_epoch_and_nothing_asked_for() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::reset(2)).unwrap();
    assert!(page.is_reset);
    assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (2, vec![]));
    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.keys, asked.all), (2, vec![], true), "never with epoch 0 again");
}

#[test]
fn a_second_reset_within_ten_minutes_waits_and_one_after_that_does_not() {
    let mut bare = quiet(Config::DEFAULT);
    let mut reset = |seconds, epoch| {
        bare.at(seconds).want();
        let page = bare.answer(&Answer::reset(epoch)).unwrap();
        bare.commit(&page).unwrap();
        let waited = bare.until_due(1_000);
        let page = bare.answer(&Answer::of(epoch).key(1, 1)).unwrap();
        bare.commit(&page).unwrap();
        waited
    };
    assert_eq!(reset(0, 2), 0);
    assert!((500..=1_000).contains(&reset(599, 3)));
    assert_eq!(reset(1_300, 4), 0);
}

#[test]
fn two_replicas_with_different_epochs_do_not_keep_a_device_running() {
    for cuts in [false, true] {
        let mut bare = quiet(Config::DEFAULT);
        bare.want();
        let times = serve(&mut bare, 3_600, |round| Answer::reset(2 + round as u32 % 2));
        assert!(times.len() < 200, "{} resets in an hour", times.len());
        let mut asked = 0;
        for second in 3_600..7_200 {
            bare.at(second);
            if cuts {
                bare.cut();
                bare.online();
            }
            bare.want();
            if let Some(request) = bare.asked() {
                asked += 1;
                let page = bare.reply(request.sequence, &Answer::reset(5 - request.epoch)).unwrap();
                bare.commit(&page).unwrap();
            }
        }
        assert!(asked < 200, "{asked} resets in an hour, cuts: {cuts}");
    }
}

#[test]
fn two_replicas_that_each_answer_in_their_epoch_now_and_then_are_asked_a_bounded_number_of_times() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let mut asked_in = 1;
    let times = serve(&mut bare, 3_600, |round| {
        let replica = 1 + (round as u32 / 3) % 2;
        if std::mem::replace(&mut asked_in, replica) == replica {
            Answer::of(replica).flagged(1, RESET, round as u64).more()
        } else {
            Answer::reset(replica)
        }
    });
    assert!(times.len() < 600, "{} requests in an hour", times.len());
}

#[test]
fn a_reset_to_the_same_epoch_is_no_progress() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    assert_eq!(bare.answer(&Answer::reset(1)), None);
    assert_eq!(bare.told(), [Told::Failed(SyncError::Malformed(BodyError::NoProgress))]);
    assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
}

#[test]
fn a_server_that_went_back_without_another_epoch_is_caught_by_its_reset() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).flagged(1, RESET, 4).item(1, 4, b"again")).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 4)]));
    bare.want();
    assert_eq!(bare.answer(&Answer::of(1).key(1, 3)), None, "without a reset no val falls");
    assert_eq!(bare.told(), [Told::Failed(SyncError::Malformed(BodyError::ValFell { key: 1, val: 3 }))]);
    assert_eq!(bare.cursor(), (1, vec![(1, 4)]));
}

// Sizes.

#[test]
fn a_page_that_does_not_come_or_does_not_fit_is_asked_for_in_half_and_grows_again() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let mut sizes = Vec::new();
    for round in 0..6 {
        let asked = bare.asked().unwrap();
        sizes.push(asked.max_bytes);
        if round == 0 {
            bare.expire();
            bare.until_due(10);
        } else {
            bare.client.handle_skipped(bare.now, asked.sequence);
            if round < 4 {
                assert!(bare.client.is_due(), "what is smaller is asked for at once");
            } else {
                assert!((500..=60_000).contains(&bare.until_due(100)), "and what cannot be is not");
            }
        }
    }
    assert_eq!(sizes, [4_096, 2_048, 1_024, 512, 256, 256]);
    for (round, expected) in [256, 512, 1_024, 2_048, 4_096, 4_096].into_iter().enumerate() {
        let asked = bare.asked().unwrap();
        assert_eq!(asked.max_bytes, expected);
        let page = bare.reply(asked.sequence, &Answer::of(1).key(1, 11 + round as u64).more()).unwrap();
        bare.commit(&page).unwrap();
    }
}

#[test]
fn a_skipped_frame_of_another_request_is_none_of_this() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let asked = bare.asked().unwrap();
    bare.client.handle_skipped(bare.now, asked.sequence - 1);
    assert_eq!(bare.told(), []);
    assert!(bare.client.is_awaiting(asked.sequence));
}

#[test]
fn the_first_answer_can_name_every_key_that_there_is_room_for() {
    let mut bare = Bare::with_keys::<40>(Config::DEFAULT);
    bare.online();
    for _ in 0..8 {
        let asked = bare.asked().unwrap();
        assert!(asked.max_bytes >= 20 + 40 * 12, "{}", asked.max_bytes);
        bare.client.handle_skipped(bare.now, asked.sequence);
        bare.until_due(100);
    }
}

// Timers.

#[test]
fn silence_for_longer_than_the_time_out_is_a_failure_of_the_network_and_the_late_answer_is_dropped() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    let asked = bare.asked().unwrap();
    bare.at(34);
    assert_eq!(bare.told(), []);
    assert!(bare.expire());
    assert_eq!((bare.now, bare.told()), (S(35), vec![Told::Failed(SyncError::TimedOut)]));
    assert_eq!(bare.reply(asked.sequence, &Answer::of(1).key(1, 11)), None, "it came late");
    assert!((500..=1_000).contains(&bare.until_due(100)));
    let again = bare.asked().unwrap();
    assert_eq!((again.keys, again.retries), (asked.keys, true));
    assert!(again.sequence > asked.sequence);
}

#[test]
fn bytes_of_a_frame_that_is_coming_in_start_the_clock_again() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    bare.asked().unwrap();
    for second in (30..600).step_by(30) {
        assert!(!bare.client.handle_timeout(S(second + 5), Some(S(second))));
        assert_eq!(bare.client.poll_timeout(), Some(S(second + 35)));
    }
    assert!(bare.client.handle_timeout(S(700), Some(S(600))));
}

#[test]
fn a_late_timer_starts_the_clock_of_an_answer_again() {
    let mut bare = quiet(Config::DEFAULT);
    bare.want();
    bare.asked().unwrap();
    bare.client.rebase(S(30_000));
    assert_eq!(bare.client.poll_timeout(), Some(S(30_035)));
    let mut bare = quiet(Config::DEFAULT);
    bare.now = S(30_000);
    bare.client.rebase(S(30_000));
    assert!(bare.client.poll_timeout().is_none_or(|at| at > S(30_000)), "what was due is not due still");
    assert!(bare.asked().is_some(), "the poll is");
}

#[test]
fn an_early_or_repeated_time_out_changes_nothing() {
    for config in [Config::DEFAULT, HOLDING] {
        let mut bare = quiet(config);
        let asked = bare.asked();
        let at = bare.client.poll_timeout().unwrap();
        for micros in 0..at.as_micros() / 1_000_000 {
            assert!(!bare.client.handle_timeout(S(micros), None));
            assert_eq!((bare.client.poll_timeout(), bare.client.is_due()), (Some(at), false), "{asked:?}");
        }
    }
}

// Configuration.

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let of = |config: Config<'static>, longest| config.check(8, longest).err();
    let good = Config::DEFAULT;
    assert_eq!(of(good, 1_008), None);
    assert_eq!(of(Config { keys: Wanted::Listed(&[]), ..good }, 1_008), None);
    let unsorted = Config { keys: Wanted::Listed(&[1, 3, 2]), ..good };
    assert_eq!(of(unsorted, 1_008), Some(ConfigError::KeysUnsorted { key: 2 }));
    assert_eq!(of(Config { keys: Wanted::Listed(&[1, 1]), ..good }, 1_008), Some(ConfigError::KeysUnsorted { key: 1 }));
    let nine = Config { keys: Wanted::Listed(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), ..good };
    assert_eq!(of(nine, 1_008), Some(ConfigError::TooManyKeys { keys: 9, capacity: 8 }));
    let bytes = |max_bytes, longest| of(Config { max_bytes, ..good }, longest);
    assert_eq!(bytes(Some(1_008), 1_008), None);
    assert!(matches!(bytes(Some(1_009), 1_008), Some(ConfigError::Bytes { given: 1_009, longest: 1_008, .. })));
    assert!(matches!(bytes(Some(255), 1_008), Some(ConfigError::Bytes { required: 256, .. })));
    assert!(matches!(bytes(None, 255), Some(ConfigError::Bytes { given: 255, .. })));
    assert_eq!(bytes(None, 256), None);
    for max_items in [0, Request::MAX_ITEMS + 1] {
        assert_eq!(of(Config { max_items, ..good }, 1_008), Some(ConfigError::Items { given: max_items }));
    }
    assert_eq!(of(Config { hold: Duration::from_secs(300), ..good }, 1_008), None);
    assert_eq!(of(Config { hold: Duration::from_millis(300_001), ..good }, 1_008), Some(ConfigError::HoldTooLong));
    for poll in [59_999, 3_540_001] {
        assert_eq!(of(Config { poll: Duration::from_millis(poll), ..good }, 1_008), Some(ConfigError::Poll));
    }
    assert_eq!(of(Config { timeout: Duration::ZERO, ..good }, 1_008), Some(ConfigError::Zero));
    assert_eq!(of(Config { rounds: 0, ..good }, 1_008), Some(ConfigError::Zero));
    let no_room_to_name_all = Config { max_bytes: Some(256), ..good };
    assert_eq!(
        no_room_to_name_all.check(31, 1_008),
        Err(ConfigError::Bytes { given: 256, required: 392, longest: 1_008 })
    );
}
