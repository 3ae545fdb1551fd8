//! What a server answers to a cursor, rule by rule.
//!
//! Letters are those of the cases that any synchronisation has to survive: C pages, E the server, F several devices.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/mailbox.rs"]
mod support;

use longlink::sync::{
    Ack, Answered, Entry, Fetch, FetchReply, FetchStatus, Mailbox, Refusal, Request, Response, STORE_RETRY,
    acknowledge, answer, answer_fetch, refusal,
};
use longlink::wire::BufferTooSmall;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{
    Device, Down, E1, Memory, NOW, Store, all, answered, body, entries, epoch, items, keys, listed, names, page,
};

/// Items of so many bytes under one key, from val 1 on.
fn store(items: u64, length: usize) -> Store {
    let mut store = Store::new();
    for val in 1..=items {
        store.put(1, val, length);
    }
    store
}

fn entry(key: u16, val: u64) -> Entry {
    Entry::new(key, val)
}

fn reset(key: u16, val: u64) -> Entry {
    Entry { resets: true, ..entry(key, val) }
}

fn gap(key: u16, val: u64) -> Entry {
    Entry { has_gap: true, ..entry(key, val) }
}

// C: pages

#[test]
fn c1_with_a_window_of_one_every_item_arrives_once() {
    let mut store = store(5, 10);
    store.put(9, 3, 0);
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| Request { max_items: 1, ..request });
    let names: Vec<_> = device.items.iter().map(|item| (item.0, item.1)).collect();
    assert_eq!(names, [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (9, 3)]);
    assert_eq!(device.pages, 6);
}

#[test]
fn c2_a_page_is_cut_exactly_where_an_item_ends() {
    let mut store = store(4, 80); // 96 bytes each
    let cursor = keys(Some(E1), &[]);
    let bytes = |max_bytes| Request { max_bytes, ..all(&cursor) };
    let exact = body(&bytes(32 + 3 * 96), &mut store);
    assert_eq!((exact.len(), names(&exact)), (320, vec![(1, 1), (1, 2), (1, 3)]));
    assert!(page(&exact).has_more());
    let one_less = body(&bytes(319), &mut store);
    assert_eq!((one_less.len(), names(&one_less)), (224, vec![(1, 1), (1, 2)]));
    assert_eq!(entries(&one_less), [entry(1, 2)]);
}

#[test]
fn c3_a_last_page_that_is_exactly_full_says_that_nothing_is_left() {
    let mut store = store(3, 80);
    let cursor = keys(Some(E1), &[]);
    let by_bytes = body(&Request { max_bytes: 320, ..all(&cursor) }, &mut store);
    let by_items = body(&Request { max_items: 3, ..all(&cursor) }, &mut store);
    assert_eq!(by_bytes, by_items);
    assert_eq!((entries(&by_items), page(&by_items).has_more()), (vec![entry(1, 3)], false));
}

#[test]
fn c3_a_full_page_moves_over_what_cannot_be_seen_behind_it() {
    let mut store = store(3, 80);
    store.hide(1, 9);
    let cursor = keys(Some(E1), &[]);
    let full = body(&Request { max_items: 3, ..all(&cursor) }, &mut store);
    assert_eq!((entries(&full), page(&full).has_more()), (vec![entry(1, 9)], false));
}

#[test]
fn c4_items_that_come_between_two_pages_are_on_the_second() {
    let mut store = store(3, 10);
    let mut device = Device::at(E1, &[]);
    let cursor = device.cursor();
    let first = body(&Request { max_items: 2, ..all(&cursor) }, &mut store);
    device.take(&page(&first));
    store.put(1, 4, 10);
    store.put(0, 1, 10);
    let cursor = device.cursor();
    let second = body(&all(&cursor), &mut store);
    assert_eq!(names(&second), [(0, 1), (1, 3), (1, 4)]);
}

#[test]
fn c5_a_key_that_fills_the_window_leaves_the_other_for_later_and_says_so() {
    let mut store = store(3, 10);
    store.put(2, 1, 10);
    let cursor = keys(Some(E1), &[]);
    let full = body(&Request { max_items: 3, ..all(&cursor) }, &mut store);
    assert_eq!((entries(&full), page(&full).has_more()), (vec![entry(1, 3)], true), "of a key that is not named");
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| Request { max_items: 3, ..request });
    assert_eq!((device.items.len(), device.vals), (4, BTreeMap::from([(1, 3), (2, 1)])));
}

#[test]
fn c6_a_mailbox_that_comes_no_further_gets_no_more() {
    let cursor = keys(Some(E1), &[]);
    let (stuck, answered) = answered(&all(&cursor), &mut Stuck);
    assert_eq!((entries(&stuck), page(&stuck).has_more(), answered.moves), (vec![], false, false));
}

/// Has something, and never gives it.
struct Stuck;

impl Mailbox for Stuck {
    type Error = Down;

    fn epoch(&mut self) -> Result<longlink::sync::Epoch, Down> {
        Ok(E1)
    }
    fn next_key(&mut self, _: Option<u16>) -> Result<Option<u16>, Down> {
        Ok(Some(1))
    }
    fn head(&mut self, _: u16) -> Result<u64, Down> {
        Ok(5)
    }
    fn floor(&mut self, _: u16) -> Result<u64, Down> {
        Ok(0)
    }
    fn read(
        &mut self,
        _: u16,
        after: u64,
        _: &mut dyn FnMut(longlink::sync::Item<'_>) -> std::ops::ControlFlow<()>,
    ) -> Result<u64, Down> {
        Ok(after)
    }
    fn find(&mut self, _: u16, _: u64, _: &mut dyn FnMut(longlink::sync::Item<'_>)) -> Result<bool, Down> {
        Ok(true)
    }
    fn acked(&mut self, _: &longlink::sync::Acked<'_>) -> Result<(), Down> {
        Ok(())
    }
}

#[test]
fn c8_an_item_that_fits_no_page_is_a_stub_and_the_page_goes_on_behind_it() {
    for place in 1..=3 {
        let mut store = Store::new();
        for val in 1..=3 {
            store.put(1, val, if val == place { 5_000 } else { 30 });
        }
        let mut device = Device::at(E1, &[]);
        device.pull(&mut store, |request| Request { max_bytes: 256, ..request });
        assert_eq!(device.items.len(), 3);
        for (_, val, _, bytes, total) in &device.items {
            let is_stub = *val == place;
            assert_eq!(*total, is_stub.then_some(5_000));
            assert!(if is_stub { bytes.len() >= 16 } else { bytes.len() == 30 }, "{} bytes", bytes.len());
            assert!(bytes.iter().all(|byte| u64::from(*byte) == *val));
        }
    }
}

#[test]
fn c8_a_stub_has_as_many_bytes_as_fit_and_an_item_that_fits_alone_is_none() {
    let cursor = keys(Some(E1), &[]);
    let request = Request { max_bytes: 256, ..all(&cursor) };
    for (length, expected, total) in [(208, 208, None), (209, 204, Some(209)), (70_000, 204, Some(70_000))] {
        let mut store = store(1, length);
        let body = body(&request, &mut store);
        let item = page(&body).items().next().unwrap();
        assert_eq!((body.len(), item.bytes.len(), item.total), (256, expected, total));
        assert_eq!((entries(&body), page(&body).has_more()), (vec![entry(1, 1)], false));
    }
}

#[test]
fn c8_the_room_of_this_page_counts_and_not_what_was_asked_for() {
    let mut store = store(1, 1_000);
    let mut out = [0; 300];
    let cursor = keys(Some(E1), &[]);
    let length = answer(&all(&cursor), &mut store, &mut out).unwrap().length;
    assert_eq!((length, page(&out[..length]).items().next().unwrap().total), (300, Some(1_000)));
}

#[test]
fn c8_what_the_store_itself_has_only_in_part_is_a_stub() {
    let mut store = store(2, 20);
    store.put(1, 3, 20).total = Some(1_000_000);
    store.put(1, 4, 20).total = Some(20);
    store.put(1, 5, 2_000).total = Some(1_000_000);
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| Request { max_bytes: 256, ..request });
    let found: Vec<_> = device.items.iter().map(|(_, _, _, bytes, total)| (bytes.len(), *total)).collect();
    assert_eq!(found[..4], [(20, None), (20, None), (20, Some(1_000_000)), (20, None)], "all of the fourth is there");
    assert_eq!(found[4].1, Some(1_000_000));
}

#[test]
fn c9_a_page_that_holds_no_item_is_refused_before_the_mailbox_is_asked() {
    let mut asked = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255];
    assert!(Request::decode(&asked).is_err());
    asked[14..].copy_from_slice(&[1, 0]);
    let request = Request::decode(&asked).unwrap();
    let mut store = store(3, 10);
    store.calls = 0;
    assert_eq!(answer(&request, &mut store, &mut [0; 255]), Err(BufferTooSmall { required: 256 }));
    assert_eq!(answer(&request, &mut store, &mut [0; 256]).unwrap().error, Some(Down));
}

// E: the server

#[test]
fn e2_another_epoch_begins_all_again_and_gives_nothing_else() {
    let mut store = store(3, 10);
    store.epoch = epoch(8);
    for old in [7, 9] {
        let (body, answered) = answered(&all(&keys(Some(epoch(old)), &[(1, 2)])), &mut store);
        let page = page(&body);
        assert!(page.is_reset() && answered.moves && !answered.is_empty);
        assert_eq!((body.len(), page.epoch(), page.items().len()), (20, epoch(8), 0));
    }
    assert_eq!(store.acked, [], "vals of another epoch say nothing");
    let mut device = Device::at(epoch(7), &[(1, 2)]);
    device.pull(&mut store, |request| request);
    assert_eq!((device.items.len(), device.epoch, device.epochs), (3, Some(epoch(8)), 1));
}

#[test]
fn e3_a_val_that_the_mailbox_never_had_begins_the_key_again() {
    let mut store = store(3, 10);
    store.put(2, 7, 10);
    let body = body(&all(&keys(Some(E1), &[(1, 4), (2, 6), (3, 1)])), &mut store);
    assert_eq!(entries(&body), [reset(1, 3), entry(2, 7), reset(3, 0)]);
    assert_eq!(names(&body), [(1, 1), (1, 2), (1, 3), (2, 7)]);
    assert_eq!(store.acked, [(true, true, vec![(1, 0), (2, 6), (3, 0)])]);
}

#[test]
fn e4_what_is_drawn_and_not_committed_hides_what_is_behind_it() {
    let mut memory = Memory::new(10, 1_000, 4, 4);
    let mut mailbox = memory.mailbox();
    for _ in 1..=4 {
        mailbox.append(1, 0, b"there").unwrap();
    }
    assert_eq!(mailbox.reserve(1, 0, 9), Ok(5));
    assert_eq!(mailbox.append(1, 0, b"sixth"), Ok(6));
    assert_eq!(mailbox.append(2, 0, b"other key"), Ok(7));
    let mut device = Device::at(E1, &[(1, 4)]);
    device.pull(&mut mailbox.device(1, NOW), |request| request);
    assert_eq!(device.vals, BTreeMap::from([(1, 4), (2, 7)]));
    mailbox.finish(5, b"fifth").unwrap();
    device.pull(&mut mailbox.device(1, NOW), |request| request);
    let names: Vec<_> = device.items.iter().map(|item| (item.0, item.1, item.3.as_slice())).collect();
    assert_eq!(names, [(2, 7, &b"other key"[..]), (1, 5, b"fifth"), (1, 6, b"sixth")]);
}

#[test]
fn e5_a_cut_page_moves_over_the_gap_before_the_item_that_did_not_fit() {
    let mut store = Store::new();
    for val in [10, 20, 30] {
        store.put(1, val, 10);
    }
    let cursor = keys(Some(E1), &[(1, 3)]);
    let cut = body(&Request { max_items: 2, ..all(&cursor) }, &mut store);
    assert_eq!((entries(&cut), page(&cut).has_more()), (vec![entry(1, 29)], true));
    let cursor = keys(Some(E1), &[(1, 29)]);
    assert_eq!(names(&body(&all(&cursor), &mut store)), [(1, 30)]);
}

#[test]
fn e6_a_key_may_appear_and_disappear() {
    let mut store = store(2, 10);
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| request);
    store.put(7, 1, 10);
    device.pull(&mut store, |request| request);
    assert_eq!(device.vals, BTreeMap::from([(1, 2), (7, 1)]));
    store.heads.remove(&7);
    store.items.retain(|(key, _), _| *key != 7);
    device.pull(&mut store, |request| request);
    assert_eq!((&device.resets, &device.vals), (&vec![7], &BTreeMap::from([(1, 2), (7, 0)])));
    let before = device.clone();
    device.pull(&mut store, |request| request);
    assert_eq!(device, Device { pages: before.pages + 1, ..before }, "and then it is quiet");
}

#[test]
fn e7_a_cursor_below_the_floor_is_told_of_the_gap_once() {
    let mut store = store(20, 10);
    store.floors.insert(1, 15);
    let mut device = Device::at(E1, &[(1, 14)]);
    device.pull(&mut store, |request| Request { max_items: 1, ..request });
    assert_eq!((&device.gaps[..], device.items.len(), device.vals[&1]), (&[1][..], 5, 20));
    let at_the_floor = body(&all(&keys(Some(E1), &[(1, 15)])), &mut store);
    assert_eq!(entries(&at_the_floor), [entry(1, 20)], "nothing is missing");
    let nothing_left = body(&all(&keys(Some(E1), &[(1, 2)])), &mut {
        store.floors.insert(1, 20);
        store
    });
    assert_eq!((entries(&nothing_left), items(&nothing_left)), (vec![gap(1, 20)], vec![]));
}

#[test]
fn e7_what_goes_while_it_is_read_is_a_gap_too() {
    let mut store = store(20, 10);
    store.floors_after_read = Some(BTreeMap::from([(1, 12)]));
    let cut = body(&Request { max_items: 3, ..all(&keys(Some(E1), &[(1, 5)])) }, &mut store);
    assert_eq!(entries(&cut), [gap(1, 12)], "6 to 8 were seen, and 9 to 12 never will be");
}

#[test]
fn e8_of_a_state_that_changed_twice_the_newest_is_enough() {
    let mut store = Store::new();
    store.put(3, 11, 10);
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| request);
    store.items.clear();
    store.put(3, 12, 10);
    store.items.clear();
    store.put(3, 17, 10);
    device.pull(&mut store, |request| request);
    let vals: Vec<_> = device.items.iter().map(|item| item.1).collect();
    assert_eq!((vals, device.vals[&3], device.gaps.len()), (vec![11, 17], 17, 0));
}

#[test]
fn e9_a_val_that_stepped_back_begins_the_key_again() {
    let mut store = Store::new();
    store.put(201, 1_463_755_899, 10);
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| request);
    (store.items, store.heads) = Default::default();
    store.put(201, 1_463_755_000, 10);
    device.pull(&mut store, |request| request);
    assert_eq!((device.resets, device.vals[&201], device.items.len()), (vec![201], 1_463_755_000, 2));
}

#[test]
fn e10_a_store_that_fails_at_any_call_is_told_and_asks_the_device_to_come_back() {
    let cursor = keys(Some(E1), &[(1, 1), (2, 0)]);
    for (request, calls) in [(all(&cursor), 13), (all(&keys(None, &[])), 9)] {
        for call in 0..calls {
            let mut store = store(3, 10);
            store.put(2, 1, 10);
            store.calls = call;
            let (body, answered) = answered(&request, &mut store);
            assert_eq!(answered.error, Some(Down), "after {call} calls");
            assert_eq!((body.len(), answered.is_empty, answered.moves), (20, false, false));
            assert_eq!(Response::decode(&body), Ok(Response::RetryLater { after: STORE_RETRY }));
        }
        let mut store = store(3, 10);
        store.put(2, 1, 10);
        store.calls = calls;
        assert_eq!(answered(&request, &mut store).1.error, None, "each key is asked for once");
    }
}

// F: several devices

#[test]
fn f3_an_acknowledgement_of_one_device_frees_nothing_of_another() {
    let mut memory = Memory::new(100, 1_000, 4, 4);
    let mut mailbox = memory.mailbox();
    for _ in 0..20 {
        mailbox.append(1, 0, b"").unwrap();
    }
    let none = keys(Some(E1), &[]);
    for device in [1, 2] {
        body(&all(&none), &mut mailbox.device(device, NOW));
    }
    acknowledge(&ack(&keys(Some(E1), &[(1, 20)])), &mut mailbox.device(1, NOW)).unwrap();
    assert_eq!((mailbox.floor(1), mailbox.min_ack(1), mailbox.len()), (0, Some(0), 20));
    acknowledge(&ack(&keys(Some(E1), &[(1, 5)])), &mut mailbox.device(2, NOW)).unwrap();
    assert_eq!((mailbox.floor(1), mailbox.min_ack(1), mailbox.len()), (5, Some(5), 15));
    assert_eq!(names(&body(&all(&none), &mut mailbox.device(2, NOW))).len(), 15);
}

fn ack(cursor: &longlink::sync::SyncKeys<[longlink::sync::Row; 64]>) -> Ack<'_> {
    Ack { epoch: cursor.epoch().unwrap(), entries: cursor.entries() }
}

#[test]
fn f5_a_device_that_lost_its_store_gets_what_is_still_kept_without_an_alarm() {
    let mut memory = Memory::new(100, 1_000, 4, 4);
    let mut mailbox = memory.mailbox();
    for _ in 0..20 {
        mailbox.append(1, 0, b"").unwrap();
    }
    body(&all(&keys(Some(E1), &[(1, 10)])), &mut mailbox.device(1, NOW));
    let mut again = Device::default();
    again.pull(&mut mailbox.device(1, NOW), |request| request);
    assert_eq!((again.gaps.len(), again.items.len(), again.vals[&1]), (0, 10, 20));
}

#[test]
fn f6_an_acknowledgement_of_another_epoch_is_dropped() {
    let mut store = store(9, 10);
    assert_eq!(acknowledge(&ack(&keys(Some(epoch(2)), &[(1, 5)])), &mut store), Ok(false));
    assert_eq!(store.acked, []);
    assert_eq!(acknowledge(&ack(&keys(Some(E1), &[(1, 5)])), &mut store), Ok(true));
    assert_eq!(store.acked, [(false, false, vec![(1, 5)])]);
}

#[test]
fn f7_an_acknowledgement_above_the_head_acknowledges_nothing() {
    let mut store = store(9, 10);
    store.put(3, 4, 10);
    acknowledge(&ack(&keys(Some(E1), &[(1, 10), (2, 1), (3, 4)])), &mut store).unwrap();
    assert_eq!(store.acked, [(false, false, vec![(1, 0), (2, 0), (3, 4)])]);
}

#[test]
fn f8_acknowledgements_may_come_twice_and_in_any_order() {
    let mut memory = Memory::new(100, 1_000, 4, 4);
    let mut mailbox = memory.mailbox();
    for _ in 0..20 {
        mailbox.append(1, 0, b"").unwrap();
    }
    for val in [7, 12, 7, 12, 3] {
        acknowledge(&ack(&keys(Some(E1), &[(1, val)])), &mut mailbox.device(1, NOW)).unwrap();
    }
    assert_eq!((mailbox.min_ack(1), mailbox.floor(1), mailbox.len()), (Some(12), 12, 8));
    assert_eq!(acknowledge(&ack(&keys(Some(E1), &[(1, 1)])), &mut Store { calls: 0, ..store(1, 1) }), Err(Down));
}

// What is asked for

#[test]
fn a_listed_request_gets_the_listed_keys_only() {
    let mut store = Store::new();
    for key in 1..=31 {
        store.put(key, 100 + u64::from(key), 20);
    }
    let wanted: Vec<(u16, u64)> = [2, 3, 5, 7, 11, 13, 17, 40].map(|key| (key, 0)).into();
    let body = body(&listed(&keys(Some(E1), &wanted)), &mut store);
    let named: Vec<u16> = entries(&body).iter().map(|entry| entry.key).collect();
    assert_eq!((named, page(&body).has_more()), (vec![2, 3, 5, 7, 11, 13, 17], false), "40 has nothing");
    assert_eq!(store.acked, [(true, false, wanted)]);
}

#[test]
fn forty_keys_arrive_in_pages_of_256_bytes_whatever_their_items() {
    for length in [0, 1, 40, 112, 113, 150, 208, 209, 3_000] {
        let mut store = Store::new();
        for key in 0..40 {
            store.put(key * 3, 5 + u64::from(key), length);
        }
        let mut device = Device::at(E1, &[]);
        device.pull(&mut store, |request| Request { max_bytes: 256, ..request });
        assert_eq!((device.items.len(), device.vals.len()), (40, 40), "items of {length} bytes");
        assert!(device.items.iter().all(|item| if length <= 208 { item.3.len() == length } else { item.4.is_some() }));
        // Half of a page is for entries at most; a long item has the page for itself.
        assert!(device.pages <= if length <= 1 { 6 } else { 40 }, "{} pages of {length}", device.pages);
    }
}

#[test]
fn what_is_left_out_for_want_of_places_is_told_by_more() {
    let mut store = Store::new();
    for key in 0..70 {
        store.put(key, 9, 0);
    }
    let body = body(&all(&keys(Some(E1), &[])), &mut store);
    assert_eq!((entries(&body).len(), items(&body).len(), page(&body).has_more()), (64, 64, true));
}

#[test]
fn an_answer_with_nothing_in_it_may_be_held() {
    let mut store = store(3, 10);
    let (body, answered) = answered(&all(&keys(Some(E1), &[(1, 3)])), &mut store);
    assert_eq!(answered, Answered { length: 20, is_empty: true, moves: false, error: None });
    assert_eq!((entries(&body), page(&body).has_more()), (vec![], false));
}

// The beginning

#[test]
fn priming_gives_no_item_and_tells_of_no_gap() {
    let mut store = store(1_000, 10);
    store.floors.insert(1, 900);
    store.put(2, 5, 10);
    store.put(3, 7, 10);
    store.floors.insert(3, 7);
    let (primed, answered) = answered(&all(&keys(None, &[])), &mut store);
    assert_eq!(entries(&primed), [entry(1, 900), entry(3, 7)]);
    assert!(page(&primed).has_more() && answered.moves && !answered.is_empty);
    assert_eq!(items(&primed), []);
    assert_eq!(store.acked, [(true, true, vec![])], "the device counts from here on");
    let mut device = Device::default();
    device.pull(&mut store, |request| request);
    assert_eq!((device.gaps.len(), device.items.len()), (0, 101));
}

#[test]
fn priming_of_listed_keys_names_those_alone() {
    let mut store = store(1_000, 10);
    store.floors = BTreeMap::from([(1, 900), (2, 5)]);
    store.put(2, 5, 10);
    let primed = body(&listed(&keys(None, &[(2, 0), (8, 0)])), &mut store);
    assert_eq!((entries(&primed), page(&primed).has_more()), (vec![entry(2, 5)], false));
    assert_eq!(store.acked, [(true, false, vec![(2, 0), (8, 0)])]);
}

#[test]
fn priming_of_an_empty_mailbox_gives_the_epoch() {
    let (primed, answered) = answered(&all(&keys(None, &[])), &mut Store::new());
    assert_eq!((page(&primed).epoch(), page(&primed).has_more()), (E1, false));
    assert!(answered.moves && !answered.is_empty, "it is not to be held");
}

#[test]
fn a_device_counts_before_it_is_told_where_the_mailbox_begins() {
    let mut store = store(20, 10);
    store.floors_after_acked = Some(BTreeMap::from([(1, 12)]));
    let mut device = Device::default();
    device.pull(&mut store, |request| request);
    assert_eq!((device.gaps.len(), device.items.len()), (0, 8));
}

#[test]
fn a_reset_key_whose_oldest_items_are_gone_has_a_gap() {
    let mut store = store(1_000, 1);
    store.floors.insert(1, 900);
    let body = body(&all(&keys(Some(E1), &[(1, 1_001)])), &mut store);
    assert_eq!(entries(&body), [Entry { resets: true, ..gap(1, 1_000) }]);
    assert_eq!(names(&body).first(), Some(&(1, 901)));
}

// Progress

#[test]
fn ten_thousand_vals_that_cannot_be_seen_are_passed_over_hundred_by_hundred() {
    let mut store = Store::new();
    for val in 1..=10_000 {
        store.hide(1, val);
    }
    store.put(1, 10_001, 5);
    store.scan = 100;
    let mut device = Device::at(E1, &[]);
    device.pull(&mut store, |request| request);
    assert_eq!((device.items.len(), device.vals[&1], device.pages), (1, 10_001, 101));
}

#[test]
fn the_same_request_gets_the_same_answer() {
    let mut store = store(300, 100);
    store.put(2, 5, 10);
    for (entries, max_items, max_bytes) in [(&[][..], 10, 4_000), (&[(1, 7)], 0, 1_000), (&[(1, 400)], 512, 65_536)] {
        let cursor = keys(Some(E1), entries);
        let request = Request { max_items, max_bytes, ..all(&cursor) };
        assert_eq!(body(&request, &mut store), body(&request, &mut store));
    }
}

#[test]
fn ten_thousand_devices_do_not_make_a_mailbox_grow() {
    let mut memory = Memory::new(50, 1_000, 4, 32);
    let mut mailbox = memory.mailbox();
    let mut here = Device::default();
    for id in 0..10_000_u64 {
        let now = NOW + Duration::from_secs(id);
        mailbox.append(1, 0, &[0; 10]).unwrap();
        body(&all(&keys(None, &[])), &mut mailbox.device(1_000_000 + id, now));
        if id % 20 == 0 {
            here.pull(&mut mailbox.device(1, now), |request| request);
        }
    }
    assert_eq!((mailbox.devices(), mailbox.len()), (32, 50));
    here.pull(&mut mailbox.device(1, NOW), |request| request);
    assert_eq!((here.items.len(), here.gaps.len()), (10_000, 0), "who comes in time misses nothing");
}

// Fetch

fn fetched(fetch: &Fetch, mailbox: &mut impl Mailbox<Error = Down>, room: usize) -> (Vec<u8>, Option<Down>) {
    let mut out = vec![0xEE; room];
    let fetch = Fetch::decode(&fetch.to_bytes()).unwrap();
    let answered = answer_fetch(&fetch, mailbox, &mut out).unwrap();
    out.truncate(answered.length);
    FetchReply::decode(&out, &fetch).unwrap();
    (out, answered.error)
}

fn status(fetch: &Fetch, store: &mut Store) -> FetchStatus {
    let (body, _) = fetched(fetch, store, 1_000);
    FetchReply::decode(&body, fetch).unwrap().status
}

#[test]
fn an_item_is_fetched_in_ranges() {
    let mut store = store(3, 0);
    store.items.get_mut(&(1, 2)).unwrap().bytes = (0..=255).cycle().take(1_000).collect();
    let mut whole: Vec<u8> = Vec::new();
    for (max, room) in [(64, 1_000), (1_000, 100), (4_000, 4_000)] {
        let fetch = Fetch::new(1, E1, 2, whole.len() as u32, max);
        let (body, _) = fetched(&fetch, &mut store, room);
        let reply = FetchReply::decode(&body, &fetch).unwrap();
        assert_eq!((reply.total, body.len()), (1_000, room.min(max as usize).min(16 + 1_000 - whole.len())));
        whole.extend(reply.bytes);
    }
    assert_eq!(whole, store.items[&(1, 2)].bytes);
    let end = Fetch::new(1, E1, 2, 1_000, 64);
    assert_eq!((status(&end, &mut store), fetched(&end, &mut store, 64).0.len()), (FetchStatus::Ok, 16));
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let mut store = store(3, 100);
    let fetch = Fetch::new(1, E1, 2, 0, 200);
    assert_eq!(status(&fetch, &mut store), FetchStatus::Ok);
    assert_eq!(status(&Fetch { val: 4, ..fetch }, &mut store), FetchStatus::Gone);
    assert_eq!(status(&Fetch { key: 2, ..fetch }, &mut store), FetchStatus::Gone);
    assert_eq!(status(&Fetch { epoch: epoch(2), ..fetch }, &mut store), FetchStatus::OtherEpoch);
    assert_eq!(status(&Fetch { offset: 101, ..fetch }, &mut store), FetchStatus::Bad);
    assert_eq!(status(&Fetch { offset: 101, val: 4, ..fetch }, &mut store), FetchStatus::Gone);
    for calls in 0..2 {
        store.calls = calls;
        let (body, error) = fetched(&fetch, &mut store, 100);
        let reply = FetchReply::decode(&body, &fetch).unwrap();
        assert_eq!((reply.status, reply.retry_after, error), (FetchStatus::RetryLater, STORE_RETRY, Some(Down)));
    }
    assert_eq!(answer_fetch(&fetch, &mut store, &mut [0; 63]), Err(BufferTooSmall { required: 64 }));
}

#[test]
fn an_item_that_a_ring_collected_or_does_not_show_yet_cannot_be_fetched() {
    let mut memory = Memory::new(10, 1_000, 4, 4);
    let mut mailbox = memory.mailbox();
    let val = mailbox.append(1, 0, b"gone").unwrap();
    mailbox.reserve(1, 0, 9).unwrap();
    let hidden = mailbox.append(1, 0, b"hidden").unwrap();
    let finds = |mailbox: &mut longlink::sync::RingMailbox<'_>, val| {
        let found = mailbox.device(1, NOW).find(1, val, &mut |_| {});
        found.unwrap()
    };
    assert_eq!([val, val + 1, hidden].map(|val| finds(&mut mailbox, val)), [true, false, false]);
    acknowledge(&ack(&keys(Some(E1), &[(1, val)])), &mut mailbox.device(1, NOW)).unwrap();
    assert!(!finds(&mut mailbox, val));
}

#[test]
fn a_refusal_is_what_it_says() {
    let decode = |why| refusal(why);
    let later = |after| Ok(Response::RetryLater { after });
    let second = Duration::from_millis(1_500);
    assert_eq!(Response::decode(&decode(Refusal::RetryLater(second))), later(second));
    assert_eq!(Response::decode(&decode(Refusal::RetryLater(Duration::MAX))), later(Response::MAX_RETRY_AFTER));
    assert_eq!(decode(Refusal::RetryLater(Duration::MAX))[16..], 3_600_000_u32.to_be_bytes());
    assert_eq!(Response::decode(&decode(Refusal::Bad)), Ok(Response::Refused));
    assert_eq!(Response::decode(&decode(Refusal::NotThisDevice)), Ok(Response::NotThisDevice));
}
