//! The mailboxes of the example server, in a redb file, beside the ring that the library has: what a device may rely on,
//! they both hold to. And what only a file can: it is opened again, after a crash too; and so is the inbox of the example
//! client.
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_debug_implementations)]

#[path = "../../examples/support/hex.rs"]
mod hex;
#[path = "../../examples/support/inbox.rs"]
#[allow(dead_code)]
mod inbox;
#[path = "../../examples/support/mailbox/mod.rs"]
mod mailbox;
#[path = "../../examples/support/random.rs"]
mod random;
#[path = "../../examples/support/store.rs"]
#[allow(dead_code)]
mod store;

mod bench;
mod crash;
mod disk;
mod file;
mod phone;

use bench::{Bench, Redb, Ring, SILENT};
use phone::Phone;
use std::time::Duration;

/// Each rule, in a ring and in a file.
macro_rules! both {
    ($($rule:ident)*) => {
        mod ring { $(#[test] fn $rule() { super::$rule(super::Ring::new()) })* }
        mod redb { $(#[test] fn $rule() { super::$rule(super::Redb::new()) })* }
    };
}

both! {
    a_device_gets_what_comes_after_it_joined_and_all_that_is_still_there
    a_page_is_cut_and_goes_on_where_it_was_cut
    the_same_request_gets_the_same_answer
    an_item_stays_until_every_device_has_acknowledged_it
    an_ack_of_what_never_was_or_of_another_epoch_frees_nothing
    a_later_device_gets_what_is_retained_and_no_gap
    a_device_that_lost_its_store_counts_from_where_it_begins_again
    a_device_that_was_silent_for_thirty_days_holds_nothing_up_and_is_told_of_the_gap
    what_an_account_may_keep_beats_retention_and_makes_a_gap
    a_device_holds_only_the_keys_that_it_asks_for
    an_item_that_fits_no_page_is_fetched_in_ranges
}

fn texts(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("text {number}")).collect()
}

fn a_device_gets_what_comes_after_it_joined_and_all_that_is_still_there(mut bench: impl Bench) {
    bench.put_all(texts(0..3));
    let mut phone = Phone::new(1);
    phone.sync(&mut bench);
    assert_eq!(phone.texts(), texts(0..3), "nobody has acknowledged anything");
    bench.put_all(texts(3..250));
    phone.sync(&mut bench);
    assert_eq!((phone.texts(), phone.gaps), (texts(0..250), 0));
    assert!(phone.items.windows(2).all(|two| two[0].val < two[1].val));
}

fn a_page_is_cut_and_goes_on_where_it_was_cut(mut bench: impl Bench) {
    bench.put_all(texts(0..20));
    let mut phone = Phone { max_items: 7, ..Phone::new(1) };
    assert!(phone.round(&mut bench), "the epoch");
    assert!(phone.items.is_empty());
    for count in [7, 14] {
        assert!(phone.round(&mut bench));
        assert_eq!(phone.texts(), texts(0..count));
    }
    assert!(!phone.round(&mut bench));
    assert_eq!(phone.texts(), texts(0..20));
    // By bytes.
    let mut small = Phone { max_bytes: 256, ..Phone::new(2) };
    bench.put_all(texts(20..40));
    small.sync(&mut bench);
    assert!(small.texts().ends_with(&texts(20..40)) && small.rounds > 2);
}

fn the_same_request_gets_the_same_answer(mut bench: impl Bench) {
    bench.put_all(texts(0..20));
    let mut phone = Phone { max_items: 7, ..Phone::new(1) };
    phone.round(&mut bench);
    let first = phone.ask(&mut bench);
    bench.put_all(texts(20..21));
    let again = phone.ask(&mut bench);
    assert_eq!(first, again);
    // What the request itself acknowledges does not change that.
    phone.round(&mut bench);
    assert_eq!(phone.ask(&mut bench), phone.ask(&mut bench));
}

fn an_item_stays_until_every_device_has_acknowledged_it(mut bench: impl Bench) {
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    two.sync(&mut bench);
    bench.put_all(texts(0..10));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!(bench.floor(), 0, "the other one has nothing yet");
    two.max_items = 4;
    two.round(&mut bench);
    two.acknowledge(&mut bench);
    assert_eq!(bench.floor(), two.val(), "what both have goes");
    assert!(two.val() > 0);
    // An ack that was overtaken changes nothing.
    Phone { vals: [(bench::KEY, 1)].into(), ..two.clone() }.acknowledge(&mut bench);
    assert_eq!(bench.floor(), two.val());
    two.sync(&mut bench);
    assert_eq!((two.texts(), two.gaps), (texts(0..10), 0));
    two.acknowledge(&mut bench);
    assert_eq!(bench.floor(), one.val());
    one.sync(&mut bench);
    assert_eq!((one.texts(), one.gaps), (texts(0..10), 0));
}

fn an_ack_of_what_never_was_or_of_another_epoch_frees_nothing(mut bench: impl Bench) {
    let mut phone = Phone::new(1);
    phone.sync(&mut bench);
    bench.put_all(texts(0..3));
    let head = bench.head();
    Phone { vals: [(bench::KEY, head + 1)].into(), ..phone.clone() }.acknowledge(&mut bench);
    let other = phone.epoch.unwrap().get().wrapping_add(1).max(1);
    Phone { epoch: longlink::sync::Epoch::new(other), vals: [(bench::KEY, head)].into(), ..phone.clone() }
        .acknowledge(&mut bench);
    assert_eq!(bench.floor(), 0);
    phone.sync(&mut bench);
    assert_eq!(phone.texts(), texts(0..3));
}

fn a_later_device_gets_what_is_retained_and_no_gap(mut bench: impl Bench) {
    let mut one = Phone::new(1);
    one.sync(&mut bench);
    bench.put_all(texts(0..5));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    bench.put_all(texts(5..8));
    let mut later = Phone::new(2);
    later.sync(&mut bench);
    assert_eq!((later.texts(), later.gaps), (texts(5..8), 0));
    // From here on it counts.
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert!(bench.floor() <= later.val());
    bench.put_all(texts(8..9));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    later.sync(&mut bench);
    assert_eq!((later.texts(), later.gaps), (texts(5..9), 0));
}

fn a_device_that_lost_its_store_counts_from_where_it_begins_again(mut bench: impl Bench) {
    let (mut one, mut slow) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    slow.sync(&mut bench);
    bench.put_all(texts(0..5));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    let mut replaced = Phone::new(1);
    replaced.max_items = 1;
    replaced.round(&mut bench);
    // Were it still taken at its word, all of this could go now.
    slow.sync(&mut bench);
    slow.acknowledge(&mut bench);
    replaced.sync(&mut bench);
    assert_eq!((replaced.texts(), replaced.gaps), (texts(0..5), 0));
}

fn a_device_that_was_silent_for_thirty_days_holds_nothing_up_and_is_told_of_the_gap(mut bench: impl Bench) {
    let (mut one, mut away) = (Phone::new(1), Phone::new(2));
    one.sync(&mut bench);
    away.sync(&mut bench);
    for _ in 0..2 {
        bench.wait(SILENT - Duration::from_secs(60));
        one.sync(&mut bench);
        away.sync(&mut bench);
    }
    bench.put_all(texts(0..5));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!(bench.floor(), 0, "it was seen within the time");
    bench.wait(SILENT / 2);
    one.sync(&mut bench);
    bench.wait(SILENT / 2 + Duration::from_secs(60));
    bench.put_all(texts(5..6));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!(bench.floor(), one.val());
    bench.put_all(texts(6..7));
    away.sync(&mut bench);
    assert_eq!((away.texts(), away.gaps), (texts(6..7), 1));
    // It counts again.
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    bench.put_all(texts(7..8));
    away.sync(&mut bench);
    assert_eq!((away.texts(), away.gaps), (texts(6..8), 1));
}

fn what_an_account_may_keep_beats_retention_and_makes_a_gap(mut bench: impl Bench) {
    let mut phone = Phone::new(1);
    phone.sync(&mut bench);
    let count = bench::CAPACITY + 10;
    bench.put_all(texts(0..count));
    phone.sync(&mut bench);
    assert_eq!((phone.texts(), phone.gaps), (texts(10..count), 1));
    bench.put_all(texts(count..count + 5));
    phone.sync(&mut bench);
    assert_eq!((phone.texts(), phone.gaps), (texts(10..count + 5), 1));
}

fn a_device_holds_only_the_keys_that_it_asks_for(mut bench: impl Bench) {
    let (mut one, mut other) = (Phone::new(1), Phone { wants: Some(vec![1]), ..Phone::new(2) });
    one.sync(&mut bench);
    other.sync(&mut bench);
    bench.put_all(texts(0..5));
    // Now that the key is there, it says that it does not want it.
    other.sync(&mut bench);
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!(bench.floor(), one.val());
    // Until it asks for more.
    other.wants = None;
    other.sync(&mut bench);
    bench.put_all(texts(5..9));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    other.sync(&mut bench);
    assert_eq!(other.texts(), texts(5..9));
    // And when it asks for less again.
    other.wants = Some(vec![1]);
    other.vals.clear();
    other.round(&mut bench);
    bench.put_all(texts(9..10));
    one.sync(&mut bench);
    one.acknowledge(&mut bench);
    assert_eq!(bench.floor(), one.val());
}

fn an_item_that_fits_no_page_is_fetched_in_ranges(mut bench: impl Bench) {
    let long: String = texts(0..200).concat();
    let mut phone = Phone { max_bytes: 256, ..Phone::new(1) };
    bench.put_all(vec!["a".into()]);
    phone.sync(&mut bench);
    bench.put_all(vec![long.clone(), "b".into()]);
    // Not until it asks on does it do without the rest.
    phone.round(&mut bench);
    let [whole, stub] = &phone.items[..] else { panic!("{:?}", phone.items) };
    assert!(stub.total as usize >= long.len() && stub.bytes.len() < 256 && !stub.bytes.is_empty());
    assert_eq!((whole.total, whole.text.as_str()), (0, "a"));
    let mut whole = stub.bytes.clone();
    while whole.len() < stub.total as usize {
        whole.extend(phone.fetch(&mut bench, stub.val, whole.len() as u32).expect("it is there"));
    }
    assert_eq!(bench.text(&whole), long);
    assert_eq!(phone.fetch(&mut bench, stub.val + 2, 0), None, "none there");
    phone.sync(&mut bench);
    assert_eq!(phone.texts().last().unwrap(), "b");
}
