//! A page that is with the application: committed, in part or as a whole, rejected, abandoned, over links and threads.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::sync::{Config, Item, Rejected, StaleReceipt, SyncError, Told, Wanted};
use support::Random;
use support::sync::{Answer, Bare, GAP, Kept, Post, RESET, Thing, cursor, heads, something};

const LISTED: Config<'static> = Config { keys: Wanted::Listed(&[1, 2, 9]), ..Config::DEFAULT };

/// Online in epoch 1 with keys 1 and 2 at 10, and a page of four items out.
fn with_page(config: Config<'static>) -> (Bare, Kept) {
    let mut bare = Bare::new(config);
    bare.prime(&Answer::of(1).key(1, 10).key(2, 10));
    bare.notify(&heads(1, &[(1, 13)]));
    let answer = Answer::of(1).key(1, 13).key(2, 11).item(1, 11, b"a").item(1, 12, b"b").item(1, 13, b"c");
    let page = bare.answer(&answer.item(2, 11, b"d")).unwrap();
    (bare, page)
}

#[test]
fn nothing_but_a_commit_moves_the_cursor_and_nothing_is_acknowledged_before() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    assert_eq!((bare.cursor(), bare.client.poll_timeout()), ((1, vec![(1, 10), (2, 10)]), None));
    bare.want();
    bare.notify(&heads(1, &[(1, 99)]));
    bare.at(3_000);
    assert_eq!((bare.asked(), bare.acked()), (None, None), "nothing is asked while a page is out");
    assert_eq!(bare.commit(&page), Ok(()));
    assert_eq!(bare.cursor(), (1, vec![(1, 13), (2, 11)]));
    assert_eq!(bare.acked(), None, "a request is due");
    assert_eq!(bare.asked().unwrap().keys, [(1, 13), (2, 11)], "the request says it");
    assert_eq!(bare.acked(), None);
}

#[test]
fn the_last_commit_is_acknowledged_once_by_a_frame_of_its_own() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.commit(&page).unwrap();
    assert_eq!(bare.told(), [Told::CaughtUp]);
    assert_eq!(bare.asked(), None);
    assert_eq!(bare.acked(), Some((1, vec![(1, 13), (2, 11)])));
    assert_eq!(bare.acked(), None);
}

#[test]
fn a_page_is_committed_once_and_other_receipts_change_nothing() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    let other = Kept { id: page.id + 1, ..page.clone() };
    assert_eq!(bare.commit(&other), Err(StaleReceipt));
    assert_eq!(bare.reject(&other, 0), Err(StaleReceipt));
    bare.commit(&page).unwrap();
    assert_eq!(bare.commit(&page), Err(StaleReceipt), "a second time");
    assert_eq!(bare.reject(&page, 0), Err(StaleReceipt));
    let poll = bare.client.poll_timeout();
    bare.client.abandon(bare.now);
    assert_eq!((bare.asked(), bare.client.poll_timeout()), (None, poll), "there is nothing to abandon");
    assert_eq!(bare.cursor(), (1, vec![(1, 13), (2, 11)]));
}

#[test]
fn a_page_outlives_its_link_and_is_committed_on_the_next() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.cut();
    bare.at(5).online();
    assert_eq!((bare.asked(), bare.acked()), (None, None), "the page is out still");
    bare.commit(&page).unwrap();
    let asked = bare.asked().unwrap();
    assert_eq!(asked.keys, [(1, 13), (2, 11)]);
}

#[test]
fn a_page_is_committed_without_a_link_and_the_next_request_says_so() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.cut();
    bare.commit(&page).unwrap();
    assert_eq!((bare.asked(), bare.acked(), bare.client.poll_timeout()), (None, None, None));
    bare.at(5).online();
    assert_eq!(bare.asked().unwrap().keys, [(1, 13), (2, 11)]);
}

#[test]
fn a_page_that_is_rejected_without_a_link_arms_nothing() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.cut();
    bare.reject(&page, 0).unwrap();
    assert_eq!((bare.asked(), bare.client.poll_timeout()), (None, None));
    bare.online();
    assert_eq!(bare.asked().unwrap().keys, [(1, 10), (2, 10)]);
}

#[test]
fn a_page_that_is_never_committed_holds_everything_and_arms_nothing() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    for link in 1..50 {
        bare.cut();
        bare.at(link * 1_000).online();
        bare.notify(&something(1));
        bare.want();
        assert_eq!((bare.asked(), bare.acked(), bare.client.poll_timeout()), (None, None, None));
    }
    assert!(bare.client.is_applying());
    bare.client.abandon(bare.now);
    bare.until_due(60);
    assert_eq!(bare.asked().unwrap().keys, [(1, 10), (2, 10)]);
    assert_eq!(bare.commit(&page), Err(StaleReceipt));
}

#[test]
fn more_is_not_forgotten_over_a_link_that_breaks() {
    for committed_before in [true, false] {
        let mut bare = Bare::primed(Config::DEFAULT);
        bare.want();
        let page = bare.answer(&Answer::of(1).key(1, 1).item(1, 1, b"a").more()).unwrap();
        if committed_before {
            bare.commit(&page).unwrap();
        }
        bare.cut();
        bare.at(1).online();
        if !committed_before {
            bare.commit(&page).unwrap();
        }
        assert_eq!(bare.asked().unwrap().keys, [(1, 1)]);
        assert_eq!(bare.told(), [], "not caught up");
    }
}

#[test]
fn a_part_of_a_page_moves_the_cursor_to_that_item_and_the_rest_is_asked_for() {
    let places = [vec![(1, 11), (2, 10)], vec![(1, 12), (2, 10)], vec![(1, 13), (2, 10)], vec![(1, 13), (2, 11)]];
    for (item, expected) in places.into_iter().enumerate() {
        let (mut bare, page) = with_page(Config::DEFAULT);
        bare.commit_to(&page, item).unwrap();
        assert_eq!(bare.cursor(), (1, expected.clone()));
        assert_eq!(bare.commit(&page), Err(StaleReceipt));
        let is_whole = item == 3;
        assert_eq!(bare.asked().map(|asked| asked.keys), (!is_whole).then_some(expected));
        assert_eq!(bare.told(), if is_whole { vec![Told::CaughtUp] } else { vec![] });
    }
}

#[test]
fn what_moved_behind_the_last_item_is_not_committed_with_a_part() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).key(1, 20).key(2, 5).item(1, 7, b"a")).unwrap();
    bare.commit_to(&page, 0).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 7)]));
    assert_eq!(bare.asked().unwrap().keys, [(1, 7)]);
}

#[test]
fn a_page_without_items_moves_the_cursor_too() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).key(3, 1_000).more()).unwrap();
    assert_eq!((page.items.len(), page.more), (0, true));
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().keys, [(3, 1_000)]);
}

#[test]
fn a_receipt_goes_through_another_thread() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    let (to_store, work) = std::sync::mpsc::channel::<Kept>();
    let (to_commit, done) = std::sync::mpsc::channel::<Kept>();
    let store = std::thread::spawn(move || {
        for page in work {
            let vals: Vec<_> = page.receipt().vals().map(|entry| (entry.key, entry.val)).collect();
            assert_eq!((page.receipt().epoch().get(), vals), (1, vec![(1, 13), (2, 11)]));
            to_commit.send(page).unwrap();
        }
    });
    to_store.send(page).unwrap();
    drop(to_store);
    bare.commit(&done.recv().unwrap()).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 13), (2, 11)]));
    store.join().unwrap();
}

#[test]
fn a_reset_key_counts_from_zero_and_only_a_reset_lowers_a_val() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.commit(&page).unwrap();
    bare.want();
    let answer = Answer::of(1).flagged(1, RESET, 3).flagged(2, GAP, 40).item(1, 2, b"x").item(1, 3, b"y");
    let page = bare.answer(&answer).unwrap();
    assert_eq!(page.entries, [(1, true, false, 3), (2, false, true, 40)], "the application hears of both");
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(1, 3), (2, 40)]));
}

#[test]
fn a_key_that_is_reset_to_nothing_is_forgotten_or_stays_listed_at_zero() {
    for (config, expected) in [(Config::DEFAULT, vec![(2, 10)]), (LISTED, vec![(1, 0), (2, 10), (9, 0)])] {
        let mut bare = Bare::new(config);
        bare.prime(&Answer::of(1).key(1, 10).key(2, 10));
        bare.want();
        let page = bare.answer(&Answer::of(1).flagged(1, RESET, 0)).unwrap();
        assert_eq!(cursor(&bare.cursor_after(&page.receipt())), (1, expected.clone()));
        bare.commit(&page).unwrap();
        assert_eq!(bare.cursor(), (1, expected));
    }
}

#[test]
fn a_gap_is_told_with_the_page_even_where_no_item_is_left() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).flagged(5, GAP, 900)).unwrap();
    assert_eq!((page.entries.clone(), page.items.len()), (vec![(5, false, true, 900)], 0));
    bare.commit(&page).unwrap();
    assert_eq!(bare.cursor(), (1, vec![(5, 900)]));
}

#[test]
fn a_gap_or_a_reset_that_moves_nothing_is_told_all_the_same() {
    for flags in [GAP, RESET] {
        let mut bare = Bare::new(Config::DEFAULT);
        bare.prime(&Answer::of(1).key(1, 10));
        bare.want();
        let page = bare.answer(&Answer::of(1).flagged(1, flags, 10)).unwrap();
        bare.commit(&page).unwrap();
        assert_eq!(bare.cursor(), (1, vec![(1, 10)]));
    }
}

#[test]
fn a_mailbox_that_begins_anew_knows_nothing_of_a_bad_item() {
    let (mut bare, mut page) = with_page(Config::DEFAULT);
    while !page.is_reset {
        bare.reject(&page, 2).unwrap();
        bare.until_due(100);
        let asked = bare.asked().unwrap();
        let same = Answer::of(1).key(1, 13).item(1, 11, b"a").item(1, 12, b"b").item(1, 13, b"c");
        let answer = if asked.max_items == 1 { Answer::reset(2) } else { same };
        page = bare.reply(asked.sequence, &answer).unwrap();
    }
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().max_items, 100);
}

#[test]
fn three_rejects_ask_for_single_items_and_one_that_fails_alone_is_passed_and_told() {
    let post = Post::of(1, &[(1, 1), (1, 2), (1, 3), (2, 1)]);
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let (mut stored, mut sizes, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 {
        bare.until_due(100);
        let Some(asked) = bare.asked() else { break };
        sizes.push(asked.max_items);
        let Some(page) = bare.reply(asked.sequence, &post.answer(&asked)) else { break };
        match page.items.iter().position(|item| (item.key, item.val) == (1, 2)) {
            Some(at) => {
                let what = bare.reject(&page, at).unwrap();
                let is_alone = page.items.len() == 1;
                assert_eq!(what, if is_alone { Rejected::Passed } else { Rejected::AskedAgain });
            }
            None => {
                bare.commit(&page).unwrap();
                stored.extend(page.vals());
            }
        }
        told.extend(bare.told());
        if told.contains(&Told::CaughtUp) {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 100, 1, 1, 100], "once the item is passed, pages are as they were");
    assert_eq!(stored, [(1, 1), (1, 3), (2, 1)], "a bad item blocks no other");
    assert_eq!(told, [Told::Hole { key: 1, val: 2 }, Told::CaughtUp]);
    assert_eq!(bare.acked(), Some((1, vec![(1, 3), (2, 1)])));
}

#[test]
fn what_the_network_does_counts_for_no_reject() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.reject(&page, 1).unwrap();
    let answer = Answer::of(1).key(1, 13).item(1, 11, b"a").item(1, 12, b"b").item(1, 13, b"c");
    for _ in 0..5 {
        bare.until_due(100);
        bare.asked().unwrap();
        bare.expire();
        assert_eq!(bare.told(), [Told::Failed(SyncError::TimedOut)]);
    }
    bare.until_due(100);
    let page = bare.answer(&answer).unwrap();
    bare.client.abandon(bare.now);
    bare.until_due(100);
    assert_eq!(bare.asked().unwrap().max_items, 100, "one reject is no reason for single items");
    assert_eq!(bare.commit(&page), Err(StaleReceipt));
}

#[test]
fn a_healthy_item_before_the_poison_is_committed_and_the_poison_still_comes_alone() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    let mut page = page;
    for _ in 0..3 {
        assert_eq!(bare.reject(&page, 2), Ok(Rejected::AskedAgain));
        bare.until_due(100);
        if bare.told().is_empty() {
            let answer = Answer::of(1).key(1, 13).item(1, 11, b"a").item(1, 12, b"b").item(1, 13, b"c");
            let asked = bare.asked().unwrap();
            let single = Answer::of(1).key(1, 11).item(1, 11, b"a").more();
            page = bare.reply(asked.sequence, if asked.max_items == 1 { &single } else { &answer }).unwrap();
        }
    }
    assert_eq!(page.vals(), [(1, 11)]);
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().max_items, 1);
}

#[test]
fn a_cursor_is_taken_over_and_given_back_as_it_was() {
    let (bare, page) = with_page(Config::DEFAULT);
    let (before, after) = (bare.stored(), bare.cursor_after(&page.receipt()));
    for stored in [before, after] {
        let mut again = Bare::new(Config::DEFAULT);
        again.client.restore(&stored).unwrap();
        assert_eq!(again.stored(), stored);
        again.online();
        let asked = again.asked().unwrap();
        assert_eq!((asked.epoch, asked.keys), cursor(&stored));
        assert!(again.client.restore(&stored).is_err(), "there is a link");
    }
}

#[test]
fn a_cursor_that_was_stored_for_other_keys_is_fitted_to_those_that_are_wanted() {
    let (bare, _) = with_page(LISTED);
    let stored = bare.stored();
    assert_eq!(cursor(&stored), (1, vec![(1, 10), (2, 10), (9, 0)]));
    let mut other = Bare::new(Config { keys: Wanted::Listed(&[2, 3]), ..Config::DEFAULT });
    other.client.restore(&stored).unwrap();
    assert_eq!(other.cursor(), (1, vec![(2, 10), (3, 0)]));
    let mut all = Bare::new(Config::DEFAULT);
    all.client.restore(&stored).unwrap();
    assert_eq!(all.cursor(), (1, vec![(1, 10), (2, 10)]), "what is at 0 needs no row");
    all.online();
    let page = all.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a")).unwrap();
    let after = all.cursor_after(&page.receipt());
    all.commit(&page).unwrap();
    assert_eq!(all.stored(), after);
}

#[test]
fn a_restored_cursor_has_nothing_to_do_with_the_page_that_was_out() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    let mut older = Bare::new(Config::DEFAULT);
    older.prime(&Answer::of(1).key(1, 2));
    bare.cut();
    bare.client.restore(&older.stored()).unwrap();
    assert_eq!(bare.commit(&page), Err(StaleReceipt), "it would pass over 3 to 10");
    assert_eq!(bare.cursor(), (1, vec![(1, 2)]));
    bare.online();
    assert_eq!(bare.asked().unwrap().keys, [(1, 2)]);
}

#[test]
fn an_empty_cursor_that_is_restored_leaves_nothing_to_be_acknowledged() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.commit(&page).unwrap();
    for _ in 0..2 {
        bare.notify(&something(1));
        bare.answer(&Answer::of(1));
    }
    bare.notify(&heads(1, &[(1, 13)]));
    assert!(bare.client.owes_ack());
    bare.cut();
    bare.client.restore(&Bare::new(Config::DEFAULT).stored()).unwrap();
    bare.online();
    assert!(!bare.client.owes_ack(), "there is no epoch to acknowledge in");
    assert_eq!(bare.acked(), None);
}

#[test]
fn memory_that_was_in_use_keeps_its_cursor_and_nothing_else() {
    let (mut bare, page) = with_page(Config::DEFAULT);
    bare.commit(&page).unwrap();
    let config: &'static Config<'static> = Box::leak(Box::new(Config::DEFAULT));
    let mut memory = longlink::sync::Memory::<[longlink::sync::Row; 8]>::new();
    let mut client = longlink::sync::Client::new(config, &mut memory, 1, 4_096).unwrap();
    client.restore(&bare.stored()).unwrap();
    client.handle_online(bare.now);
    let (first, _) = client.poll_request().unwrap();
    client.handle_request_sent(bare.now);
    let mut client = longlink::sync::Client::new(config, &mut memory, 1, 4_096).unwrap();
    assert_eq!((client.poll_timeout(), client.is_due(), client.owes_ack()), (None, false, false), "there is no link");
    let late = Answer::of(1).key(1, 99).body();
    assert!(client.handle_response(bare.now, first, &late).is_none(), "what another one asked");
    assert_eq!(client.restore(&bare.stored()), Ok(()));
    client.handle_online(bare.now);
    assert!(client.poll_request().unwrap().0 > first);
}

#[test]
fn vals_without_an_epoch_are_none() {
    let mut bytes = vec![1, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend([0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let mut bare = Bare::new(Config::DEFAULT);
    let _ = bare.client.restore(&bytes);
    bare.online();
    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.keys), (0, vec![]));
}

#[test]
fn bytes_that_are_no_cursor_change_nothing() {
    let (bare, _) = with_page(Config::DEFAULT);
    let good = bare.stored();
    let mut more_than_fit = vec![1, 0, 0, 17, 0, 0, 0, 1];
    (0..17_u8).for_each(|key| more_than_fit.extend([0, key, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    let bad = [vec![], good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), more_than_fit];
    for bytes in bad {
        let mut again = Bare::new(Config::DEFAULT);
        again.client.restore(&good).unwrap();
        assert!(again.client.restore(&bytes).is_err());
        assert_eq!(again.stored(), good);
    }
}

#[test]
fn a_replaced_device_with_an_empty_store_asks_for_everything() {
    let mut bare = Bare::new(Config::DEFAULT);
    bare.online();
    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.all, asked.keys, asked.hold), (0, true, vec![], 0));
    let mut bare = Bare::new(LISTED);
    bare.online();
    let asked = bare.asked().unwrap();
    assert_eq!((asked.epoch, asked.all, asked.keys), (0, false, vec![(1, 0), (2, 0), (9, 0)]));
}

#[test]
fn the_cursor_after_a_page_is_what_a_commit_makes_of_it_for_any_page_and_any_part_of_it() {
    let listed: [u16; 5] = [1, 2, 4, 7, 8];
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let is_listed = random.below(2) == 0;
        let keys = if is_listed { Wanted::Listed(&[1, 2, 4, 7, 8]) } else { Wanted::All };
        let mut bare = Bare::with_keys::<8>(Config { keys, ..Config::DEFAULT });
        bare.online();
        for _ in 0..4 {
            bare.until_due(4_000);
            let Some(asked) = bare.asked() else { break };
            let page = bare.reply(asked.sequence, &any_answer(&mut random, &asked.keys, asked.epoch, &listed));
            let Some(page) = page else { continue };
            let part = page.items.get(random.below(page.items.len() as u64 + 1) as usize).cloned();
            let receipt = part.as_ref().map_or(page.receipt(), |part: &Thing| page.receipt().up_to(&part.item()));
            let after = bare.cursor_after(&receipt);
            bare.client.commit(bare.now, &receipt).unwrap();
            assert_eq!(bare.stored(), after, "seed {seed}: {page:?} up to {part:?}");
            let mut again = Bare::with_keys::<8>(Config { keys, ..Config::DEFAULT });
            again.client.restore(&after).unwrap();
            assert_eq!(again.stored(), after, "seed {seed}");
        }
    }
}

/// A page that a client in this state may be given, with resets, gaps, keys without items, and now and then another epoch.
fn any_answer(random: &mut Random, keys: &[(u16, u64)], epoch: u32, listed: &[u16]) -> Answer {
    if epoch != 0 && random.below(8) == 0 {
        return Answer::reset(epoch + 1);
    }
    let mut answer = Answer::of(epoch.max(1));
    for key in listed.iter().filter(|_| random.below(2) == 0).collect::<Vec<_>>() {
        let asked = keys.iter().find(|(k, _)| k == key).map_or(0, |(_, val)| *val);
        let flags = if random.below(4) == 0 { RESET } else { 0 } | if random.below(4) == 0 { GAP } else { 0 };
        let from = if flags & RESET != 0 { 0 } else { asked };
        let val = from + random.below(6);
        answer = answer.flagged(*key, flags, val);
        if epoch != 0 {
            let vals = (from + 1..=val).filter(|_| random.below(2) == 0).collect::<Vec<_>>();
            answer = vals.into_iter().fold(answer, |answer, val| answer.item(*key, val, b"x"));
        }
    }
    let rises = answer.entries.iter().any(|(key, flags, val)| {
        let asked = keys.iter().find(|(k, _)| k == key).map_or(0, |(_, val)| *val);
        *val > asked && *flags & RESET == 0
    });
    Answer { more: rises && random.below(2) == 0, ..answer }
}

#[test]
fn a_cursor_does_not_go_into_a_buffer_that_is_too_short() {
    let (bare, page) = with_page(Config::DEFAULT);
    let mut out = [0xEE; 31];
    let short = bare.client.cursor_after(&page.receipt(), &mut out).unwrap_err();
    assert_eq!((short.required, out), (32, [0xEE; 31]));
    assert_eq!(bare.client.cursor(&mut out).unwrap_err().required, 32);
}

#[test]
fn a_stub_says_how_long_the_item_is_and_committing_it_does_without() {
    let mut bare = Bare::primed(Config::DEFAULT);
    bare.want();
    let page = bare.answer(&Answer::of(1).key(1, 1).stub(1, 1, 4_000, b"first").more()).unwrap();
    let Item { total, bytes, .. } = page.items[0].item();
    assert_eq!((total, bytes), (Some(4_000), &b"first"[..]));
    bare.commit(&page).unwrap();
    assert_eq!(bare.asked().unwrap().keys, [(1, 1)]);
}
