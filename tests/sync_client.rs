//! What a sync client makes of answers: which it takes, which it refuses, and what it asks for then.
//!
//! `sync_page.rs` has a page that is with the application, `sync_pace.rs` how often it is asked, `sync_device.rs` a session's link,
//! `sync_link.rs` the other side, `sync_pair.rs` both ends.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::sync::{BodyError, Config, Epoch, SyncError, Told, Wanted};
use support::sync::{Answer, Asked, Bare, GAP, Kept, Post, RESET, heads};

/// Asks and commits until nothing is asked any more, and returns the items that came, page by page.
fn drain(bare: &mut Bare, post: &Post) -> Vec<Vec<(u16, u64)>> {
    let mut pages = Vec::new();
    for _ in 0..100 {
        bare.until_due(1);
        let Some(asked) = bare.asked() else { return pages };
        if let Some(page) = bare.reply(asked.sequence, &post.answer(&asked)) {
            pages.push(page.vals());
            bare.commit(&page).unwrap();
        }
    }
    panic!("it does not end: {pages:?}");
}

fn two(bare: &mut Bare) -> (Asked, Asked) {
    bare.want();
    let first = bare.asked().unwrap();
    bare.expire();
    bare.until_due(10);
    (first, bare.asked().unwrap())
}

#[test]
fn key_0_brings_a_key_and_nothing_else_then_data_then_a_key_without_data_then_data_again() {
    let mut bare = Bare::new(Config::DEFAULT);
    bare.online();
    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.keys, asked.continues), (0, vec![], false));
    let page = bare.reply(asked.sequence, &Answer::of(1).key(1, 100).more()).unwrap();
    assert_eq!((page.items.len(), page.more, page.is_reset), (0, true, false));
    bare.commit(&page).unwrap();

    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.keys, asked.continues), (1, vec![(1, 100)], true));
    let answer = Answer::of(1).key(1, 102).key(2, 1).item(1, 101, b"a").item(1, 102, b"b").item(2, 1, b"c");
    let page = bare.reply(asked.sequence, &answer).unwrap();
    assert_eq!(page.vals(), [(1, 101), (1, 102), (2, 1)]);
    bare.commit(&page).unwrap();
    assert_eq!(bare.told(), [Told::CaughtUp]);

    bare.notify(&heads(1, &[(1, 110)]));
    let asked = bare.asked().unwrap();
    assert_eq!((asked.keys, asked.continues), (vec![(1, 102), (2, 1)], false));
    let page = bare.reply(asked.sequence, &Answer::of(1).key(1, 110)).unwrap();
    assert_eq!(page.items, []);
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 110), (2, 1)]));

    bare.notify(&heads(1, &[(1, 111)]));
    let page = bare.answer(&Answer::of(1).key(1, 111).item(1, 111, b"d")).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.acked(), Some((1, vec![(1, 111), (2, 1)])));
}

// Lost, doubled, late.

#[test]
fn a_lost_request_or_response_is_asked_for_again_with_the_same_cursor_under_a_new_number() {
    let mut bare = Bare::primed(Config::DEFAULT);
    let (first, again) = two(&mut bare);
    assert_eq!((first.keys, first.epoch, first.retries), (again.keys.clone(), again.epoch, false));
    assert!(again.retries && again.sequence > first.sequence);
    let page = bare.reply(again.sequence, &Answer::of(1).key(1, 1).item(1, 1, b"a")).unwrap();
    assert_eq!(page.vals(), [(1, 1)]);
}

#[test]
fn a_doubled_response_is_taken_once() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let asked = bare.asked().unwrap();
    let answer = Answer::of(1).key(1, 1).item(1, 1, b"a");
    let page = bare.reply(asked.sequence, &answer).unwrap();
    assert_eq!(bare.reply(asked.sequence, &answer), None, "while the page is out");
    bare.commit(&page).unwrap();
    assert_eq!(bare.reply(asked.sequence, &answer), None, "and after it");
    assert_eq!((bare.cursor(), bare.told()), ((1, vec![(1, 1)]), vec![Told::CaughtUp]));
}

#[test]
fn the_response_to_an_older_request_is_dropped_whether_it_comes_first_or_last() {
    for late_first in [true, false] {
        let mut bare = Bare::primed(Config::DEFAULT);
        let (first, again) = two(&mut bare);
        bare.told();
        let late = Answer::of(1).key(1, 1).item(1, 1, b"a");
        if late_first {
            assert_eq!(bare.reply(first.sequence, &late), None);
        }
        let page = bare.reply(again.sequence, &Answer::of(1).key(1, 2).item(1, 1, b"a").item(1, 2, b"b")).unwrap();
        assert_eq!(bare.reply(first.sequence, &late), None);
        bare.commit(&page).unwrap();
        assert_eq!(bare.cursor(), (1, vec![(1, 2)]));
    }
}

#[test]
fn the_response_of_an_old_link_is_none_on_the_new_one() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let old = bare.asked().unwrap();
    bare.cut();
    assert_eq!(bare.reply(old.sequence, &Answer::of(1).key(1, 9)), None, "without a link");
    bare.online();
    assert_eq!(bare.reply(old.sequence, &Answer::of(1).key(1, 9)), None, "before it asked");
    let new = bare.asked().unwrap();
    assert_ne!(old.sequence, new.sequence);
    assert_eq!(bare.reply(old.sequence, &Answer::of(1).key(1, 9)), None);
    assert!(bare.client.is_awaiting(new.sequence));
    assert_eq!(bare.reply(0, &Answer::of(1).key(1, 9)), None);
}

#[test]
fn a_response_to_a_request_that_is_not_wholly_written_is_none() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let sequence = bare.client.poll_request().unwrap().0;
    assert_eq!(bare.reply(sequence, &Answer::of(1).key(1, 1)), None);
    assert_eq!(bare.asked().unwrap().sequence, sequence, "it is written on");
    assert!(bare.reply(sequence, &Answer::of(1).key(1, 1)).is_some());
}

#[test]
fn what_was_under_way_on_a_link_is_none_of_the_next() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    bare.asked().unwrap();
    bare.want();
    bare.cut();
    bare.online();
    assert_eq!(bare.answer(&Answer::of(1)), None);
    assert_eq!(bare.asked(), None, "the wish is fulfilled");
    bare.want();
    bare.client.poll_request().unwrap();
    bare.cut();
    bare.client.handle_request_sent(bare.now);
    assert_eq!(bare.client.poll_timeout(), None, "nothing is awaited without a link");
}

#[test]
fn after_every_reconnect_it_is_asked_without_a_notify() {
    let mut bare = Bare::primed(Config::DEFAULT);
    for _ in 0..5 {
        bare.cut();
        bare.online();
        assert_eq!(bare.answer(&Answer::of(1)), None);
        assert_eq!(bare.told(), [Told::CaughtUp], "on this link");
        assert_eq!(bare.asked(), None);
    }
}

// Answers that make no sense.

#[test]
fn an_answer_that_does_not_fit_what_was_asked_is_an_error_and_moves_nothing() {
    let ok = || Answer::of(1);
    let malformed = SyncError::Malformed;
    let cases = [
        (ok().key(1, 9), malformed(BodyError::ValFell { key: 1, val: 9 })),
        (ok().key(1, 12).item(1, 10, b""), malformed(BodyError::ItemVal { key: 1, val: 10 })),
        (ok().key(1, 12).item(1, 9, b""), malformed(BodyError::ItemVal { key: 1, val: 9 })),
        (ok().key(1, 12).item(1, 12, b"").item(1, 11, b""), malformed(BodyError::ItemVal { key: 1, val: 11 })),
        (ok().key(1, 12).item(1, 11, b"").item(1, 11, b""), malformed(BodyError::ItemVal { key: 1, val: 11 })),
        (ok().key(1, 12).item(1, 13, b""), malformed(BodyError::ItemBeyond { key: 1, val: 13 })),
        (ok().key(1, 12).item(2, 1, b""), malformed(BodyError::ItemKey { key: 2 })),
        (ok().key(2, 1).item(1, 11, b""), malformed(BodyError::ItemKey { key: 1 })),
        (ok().flagged(1, RESET, 5).item(1, 6, b""), malformed(BodyError::ItemBeyond { key: 1, val: 6 })),
        (ok().flagged(1, RESET, 5).item(1, 0, b""), malformed(BodyError::ItemVal { key: 1, val: 0 })),
        (ok().more(), malformed(BodyError::NoProgress)),
        (ok().key(1, 10).more(), malformed(BodyError::NoProgress)),
        (Answer::of(0).key(1, 11), malformed(BodyError::NoEpoch)),
        (Answer::of(2).key(1, 11), SyncError::OtherEpoch { epoch: Epoch::new(2).unwrap() }),
        (Answer { more: true, ..Answer::reset(1) }, malformed(BodyError::NoProgress)),
        (Answer { epoch: 0, ..Answer::reset(1) }, malformed(BodyError::NoEpoch)),
        (Answer::reset(2).key(1, 1), malformed(BodyError::NotEmpty { status: 1 })),
        (Answer::status(3).key(1, 20), malformed(BodyError::NotEmpty { status: 3 })),
        (Answer::later(5).key(1, 20).item(1, 20, b"x"), malformed(BodyError::NotEmpty { status: 2 })),
        (Answer { retry_after: 5, ..Answer::status(4) }, malformed(BodyError::RetryAfter { retry_after_ms: 5 })),
        (ok().key(1, 11).flagged(2, 1, 1), malformed(BodyError::Reserved { bits: 1 })),
        (ok().key(2, 1).key(1, 11), malformed(BodyError::KeyOrder { key: 1 })),
    ];
    for (answer, error) in cases {
        let mut bare = Bare::new(Config::DEFAULT);
        bare.prime(&Answer::of(1).key(1, 10));
        bare.want();
        assert_eq!(bare.answer(&answer), None, "{answer:?}");
        assert_eq!(bare.told(), [Told::Failed(error)], "{answer:?}");
        assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
        assert!((500..=1_000).contains(&bare.until_due(100)), "{answer:?}");
        assert_eq!(bare.asked().unwrap().keys, [(1, 10)]);
    }
}

#[test]
fn an_answer_that_is_cut_is_an_error_at_every_length() {
    let body = Answer::of(1).key(1, 12).item(1, 11, b"abc").stub(1, 12, 99, b"de").body();
    let mut bare = Bare::new(Config::DEFAULT);
    bare.prime(&Answer::of(1).key(1, 10));
    for length in 0..body.len() {
        bare.until_due(100);
        bare.want();
        bare.until_due(100);
        let sequence = bare.asked().unwrap().sequence;
        assert_eq!(bare.client.handle_response(bare.now, sequence, &body[..length]), None);
        let told = bare.told();
        assert!(matches!(told[..], [Told::Failed(SyncError::Malformed(_))]), "{length}: {told:?}");
    }
    bare.until_due(100);
    let sequence = bare.asked().unwrap().sequence;
    assert!(bare.client.handle_response(bare.now, sequence, &body).is_some());
}

#[test]
fn more_items_than_were_asked_for_are_refused() {
    let many = |count: u64| {
        let answer = (1..=count).fold(Answer::of(1).key(1, count), |answer, val| answer.item(1, val, b""));
        (answer, count as u16)
    };
    for (max_items, (answer, items), taken) in [(3, many(3), true), (3, many(4), false), (1, many(2), false)] {
        let mut bare = Bare::primed(Config { max_items, ..Config::DEFAULT });
        bare.want();
        assert_eq!(bare.answer(&answer).is_some(), taken);
        let expected = Told::Failed(SyncError::Malformed(BodyError::Items { items }));
        assert_eq!(bare.told(), if taken { vec![] } else { vec![expected] });
    }
}

// Devices.

#[test]
fn a_device_that_was_silent_for_too_long_is_told_of_the_gap_and_goes_on_behind_it() {
    let mut bare = Bare::new(Config::DEFAULT);
    bare.prime(&Answer::of(1).key(1, 10));
    bare.cut();
    bare.at(40 * 86_400).online();
    let page = bare.answer(&Answer::of(1).flagged(1, GAP, 901).item(1, 901, b"a").more()).unwrap();
    assert_eq!(page.entries, [(1, false, true, 901)]);
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().keys, [(1, 901)]);
}

#[test]
fn two_processes_of_one_device_each_get_everything() {
    let post = Post::of(1, &[(1, 1), (1, 2), (2, 7)]);
    let mut both = [Bare::new(Config::DEFAULT), Bare::new(Config::DEFAULT)];
    let mut got = [vec![], vec![]];
    for _ in 0..4 {
        for (bare, got) in both.iter_mut().zip(&mut got) {
            if !bare.client.is_due() && bare.sequence == 0 {
                bare.online();
            }
            let page = bare.asked().and_then(|asked| bare.reply(asked.sequence, &post.answer(&asked)));
            if let Some(page) = page {
                got.extend(page.vals());
                bare.commit(&page).unwrap();
            }
        }
    }
    assert_eq!(got[0], [(1, 1), (1, 2), (2, 7)]);
    assert_eq!(got[1], got[0]);
}

#[test]
fn a_store_that_went_back_to_an_older_backup_gets_again_what_it_lost() {
    let post = Post::of(1, &[(1, 1), (1, 2), (1, 3)]);
    let mut bare = Bare::new(Config { max_items: 1, ..Config::DEFAULT });
    bare.online();
    let mut backups = Vec::new();
    for _ in 0..6 {
        let Some(asked) = bare.asked() else { break };
        if let Some(page) = bare.reply(asked.sequence, &post.answer(&asked)) {
            bare.commit(&page).unwrap();
            backups.push(bare.stored());
        }
    }
    assert_eq!(bare.cursor(), (1, vec![(1, 3)]));
    for (backup, stored) in backups.iter().zip(0..) {
        let mut again = Bare::new(Config::DEFAULT);
        again.client.restore(backup).unwrap();
        again.online();
        let expected: Vec<_> = (stored + 1..=3).map(|val| (1, val)).collect();
        assert_eq!(drain(&mut again, &post).concat(), expected);
    }
}

#[test]
fn a_server_that_starts_again_goes_on_and_one_with_another_epoch_begins_again() {
    let mut post = Post::of(1, &[(1, 1), (1, 2)]);
    let mut bare = Bare::new(Config::DEFAULT);
    bare.online();
    assert_eq!(drain(&mut bare, &post).concat(), [(1, 1), (1, 2)]);
    bare.cut();
    bare.online();
    assert_eq!(drain(&mut bare, &post).concat(), [], "the same state");
    post = Post::of(2, &[(1, 1)]);
    bare.cut();
    bare.online();
    assert_eq!(drain(&mut bare, &post).concat(), [(1, 1)]);
    assert_eq!(bare.cursor(), (2, vec![(1, 1)]));
    post.put(1, 2);
    bare.notify(&heads(2, &[(1, 2)]));
    assert_eq!(drain(&mut bare, &post).concat(), [(1, 2)], "its vals have nothing to do with those before");
}

// Tables.

#[test]
fn a_small_table_with_listed_keys_gets_all_of_them_from_a_mailbox_of_31_and_never_asks_for_others() {
    let listed = &[1, 3, 9, 11, 13, 201, 1_000, 2_001];
    let post = Post::of(1, &[1, 2, 3, 4, 9, 11, 12, 13, 14, 201, 205, 1_000, 2_001, 3_000].map(|key| (key, 5)));
    let mut bare = Bare::with_keys::<8>(Config { keys: Wanted::Listed(listed), ..Config::DEFAULT });
    bare.online();
    let mut got = Vec::new();
    for _ in 0..10 {
        let Some(asked) = bare.asked() else { break };
        assert!(!asked.all);
        assert_eq!(asked.keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(), listed);
        if let Some(page) = bare.reply(asked.sequence, &post.answer(&asked)) {
            got.extend(page.vals());
            bare.commit(&page).unwrap();
        }
    }
    assert_eq!(got, listed.map(|key| (key, 5)));
    bare.want();
    assert_eq!(bare.answer(&Answer::of(1).key(2, 5)), None);
    assert_eq!(bare.told()[..], [Told::Failed(SyncError::Malformed(BodyError::Unasked { key: 2 }))]);
}

#[test]
fn more_keys_than_the_table_has_room_for_are_refused_as_a_whole_and_as_many_are_taken() {
    let of = |keys: u16| (1..=keys).fold(Answer::of(1), |answer, key| answer.key(key, 5));
    let mut bare = Bare::with_keys::<8>(Config::DEFAULT);
    bare.online();
    assert_eq!(bare.answer(&of(9)), None);
    assert_eq!(bare.told(), [Told::Failed(SyncError::Malformed(BodyError::TooManyKeys { capacity: 8 }))]);
    bare.until_due(10);
    let page = bare.answer(&of(8)).unwrap();
    bare.commit(&page).unwrap();
    bare.want();
    assert!(bare.answer(&of(8)).is_none(), "nothing new");
    bare.want();
    assert_eq!(bare.answer(&Answer::of(1).key(9, 1)), None);
    assert_eq!(bare.cursor().1.len(), 8);
    bare.until_due(10);
    assert!(bare.answer(&Answer::of(1).key(8, 6)).is_some(), "those that are there go on");
}

#[test]
fn a_page_that_names_some_of_the_keys_leaves_the_others_where_they_are() {
    let mut bare = Bare::new(Config::DEFAULT);
    bare.prime(&Answer::of(1).key(1, 10).key(2, 20).key(3, 30));
    bare.want();
    let page = bare.answer(&Answer::of(1).key(2, 21).more()).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 10), (2, 21), (3, 30)]));
}

#[test]
fn the_largest_vals_and_keys_go_through() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).key(0, 1).key(u16::MAX, u64::MAX).item(u16::MAX, u64::MAX, b"x")).unwrap();
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(0, 1), (u16::MAX, u64::MAX)]));
    bare.notify(&heads(1, &[(u16::MAX, u64::MAX)]));
    assert_eq!(bare.asked(), None);
}

#[test]
fn pages_have_numbers_of_their_own() {
    let mut bare = Bare::primed(Config::DEFAULT);
    let mut ids = Vec::new();
    for val in 1..20 {
        bare.want();
        let page: Kept = bare.answer(&Answer::of(1).key(1, val)).unwrap();
        ids.push(page.id);
        bare.commit(&page).unwrap();
        bare.cut();
        bare.online();
        bare.answer(&Answer::of(1));
    }
    ids.dedup();
    assert_eq!(ids.len(), 19);
}
