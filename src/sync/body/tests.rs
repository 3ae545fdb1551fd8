//! What only the parts of this module use; the bodies themselves are tested from outside.

use super::*;
use crate::sync::{Epoch, Item, Row, SyncKeys};
use core::time::Duration;
use std::vec::Vec;

const EPOCH: Epoch = Epoch::FIRST;

/// A page of these entries and items, nothing left out.
fn page(entries: &[Entry], items: &[Item<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        bytes.extend(item_head(item));
        bytes.extend(item.total.map(u32::to_be_bytes).iter().flatten());
        bytes.extend(item.bytes);
    }
    let (n, m) = (u16::try_from(entries.len()).unwrap(), u16::try_from(items.len()).unwrap());
    let items_len = u32::try_from(bytes.len()).unwrap();
    let head = Head { n, items: m, items_len, ..Head::new(Head::OK, Some(EPOCH)) };
    let mut body = Vec::from(head.to_bytes());
    body.extend(entries.iter().flat_map(|entry| entry.to_row()));
    body.extend(bytes);
    body
}

fn item(key: u16, val: u64) -> Item<'static> {
    Item::new(key, val, 1, b"abc")
}

#[test]
fn a_page_is_what_it_was_after_the_wire() {
    let entries = [
        Entry::new(1, 0),
        Entry { resets: true, ..Entry::new(2, 9) },
        Entry { has_gap: true, ..Entry::new(3, u64::MAX) },
        Entry { resets: true, has_gap: true, ..Entry::new(u16::MAX, 0) },
    ];
    let stub = Item { total: Some(4), ..item(3, u64::MAX) };
    let items = [item(2, 1), Item::new(2, 9, 255, b""), stub];
    let body = page(&entries, &items);
    let Ok(Response::Page(page)) = Response::decode(&body) else { panic!("no page") };
    assert!(page.entries().eq(entries));
    assert!(page.items().eq(items));
    assert_eq!((page.items().len(), page.entries().len()), (3, 4));
    assert_eq!((page.id(), page.epoch(), page.is_reset(), page.has_more()), (0, EPOCH, false, false));
    assert_eq!(page.with_id(7).receipt().id(), 7);
    assert!(page.receipt().vals().eq(entries));
}

#[test]
fn every_entry_is_judged_once_in_order_whether_it_has_items_or_not() {
    let entries = [1, 3, 5, 7].map(|key| Entry::new(key, 9));
    for items in [&[][..], &[item(1, 1)], &[item(3, 1), item(3, 2), item(7, 9)], &[item(7, 9)]] {
        let (body, mut judged) = (page(&entries, items), Vec::new());
        let page = Response::decode_after(&body, &mut |entry| {
            judged.push(*entry);
            Ok(0)
        });
        assert!(matches!(page, Ok(Response::Page(_))));
        assert_eq!(judged, entries);
    }
}

#[test]
fn items_are_above_what_was_asked_with() {
    let (entries, items) = ([Entry::new(1, 9), Entry::new(2, 9)], [item(1, 5), item(1, 6), item(2, 5)]);
    let body = page(&entries, &items);
    let with = |asked: [u64; 2]| {
        let mut asked = asked.into_iter();
        Response::decode_after(&body, &mut |_| Ok(asked.next().unwrap())).map(|_| ())
    };
    assert_eq!(with([4, 4]), Ok(()));
    assert_eq!(with([5, 0]), Err(BodyError::ItemVal { key: 1, val: 5 }));
    assert_eq!(with([0, 5]), Err(BodyError::ItemVal { key: 2, val: 5 }));
}

#[test]
fn what_the_judge_of_entries_says_is_the_answer() {
    let error = BodyError::Unasked { key: 2 };
    for items in [&[][..], &[item(1, 5)], &[item(2, 5)]] {
        let body = page(&[Entry::new(1, 9), Entry::new(2, 9)], items);
        let judged = Response::decode_after(&body, &mut |entry| if entry.key == 2 { Err(error) } else { Ok(0) });
        assert_eq!(judged, Err(error));
    }
}

#[test]
fn no_page_has_entries_to_judge_but_one() {
    for status in [1, 2, 3, 4, 99] {
        let body = Head::new(status, Some(EPOCH)).to_bytes();
        assert!(Response::decode_after(&body, &mut |_| panic!("there are none")).is_ok());
    }
}

#[test]
fn a_val_that_does_not_count_is_acknowledged_as_0() {
    let mut keys: SyncKeys<[Row; 64]> = SyncKeys::new();
    for key in 0..64 {
        keys.merge(key, 9).unwrap();
    }
    for valid in [0, 1 << 63 | 0b101, u64::MAX] {
        let counts = |key: u16| if valid >> key & 1 == 1 { 9 } else { 0 };
        let expected = (0..64).map(|key| (key, counts(key))).collect::<Vec<_>>();
        assert!(Acked::of_request(false, keys.entries(), valid).vals().eq(expected.iter().copied()));
        assert!(Acked::of_ack(keys.entries(), valid).vals().eq(expected));
    }
}

#[test]
fn only_a_request_says_what_is_wanted() {
    let all = Acked::of_request(true, Entries::EMPTY, 0);
    assert!(all.all() && all.is_selection());
    let ack = Acked::of_ack(Entries::EMPTY, 0);
    assert!(!ack.all() && !ack.is_selection());
}

#[test]
fn a_delay_is_an_hour_at_most() {
    let later = |retry_after_ms| {
        let body = Head { retry_after_ms, ..Head::new(Head::RETRY_LATER, None) }.to_bytes();
        match Response::decode(&body) {
            Ok(Response::RetryLater { after }) => after,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([0, 1, 3_600_001, u32::MAX].map(later), [0, 1, 3_600_000, 3_600_000].map(Duration::from_millis));
}
