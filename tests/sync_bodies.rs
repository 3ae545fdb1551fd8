//! The bodies of sync: what goes through, and what is refused with which error.
//!
//! The hostile cases have letters:
//!
//! | | case |
//! |---|---|
//! | G1 | 0, 1, 64, 65 entries |
//! | G2 | a count that is larger or smaller than the bytes |
//! | G3 | a key twice, keys out of order |
//! | G4 | each reserved bit |
//! | G5 | val 0 and 2⁶⁴ − 1 |
//! | G6 | bytes behind the end |
//! | G7 | an item whose key is not listed |
//! | G8 | an item whose val is above what the page returns |
//! | G9 | 32 keys |
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use longlink::sync::{
    Ack, BodyError, Entries, Entry, Epoch, Fetch, FetchReply, FetchStatus, Item, Notify, Page, Receipt, Request,
    Response, Row, SyncKeys,
};
use longlink::wire::BufferTooSmall;
use proptest::{collection, option, prelude::*, sample::Index};
use std::time::Duration;

const RESET: u16 = 2;
const GAP: u16 = 4;

/// Rows as they are on the wire: key, flags, val.
fn rows(rows: &[(u16, u16, u64)]) -> Vec<u8> {
    let bytes = |(key, flags, val): &(u16, u16, u64)| {
        [&key.to_be_bytes()[..], &flags.to_be_bytes(), &val.to_be_bytes()].concat()
    };
    rows.iter().flat_map(bytes).collect()
}

/// The rows 0 to `n`, at these vals.
fn counted(n: u16, val: u64) -> Vec<(u16, u16, u64)> {
    (0..n).map(|key| (key, 0, val)).collect()
}

/// What all bodies begin with: version, a byte, how many rows, epoch.
fn begin(second: u8, n: usize, epoch: u32) -> Vec<u8> {
    [&[1, second][..], &u16::try_from(n).unwrap().to_be_bytes(), &epoch.to_be_bytes()].concat()
}

fn request(flags: u8, epoch: u32, listed: &[(u16, u16, u64)]) -> Vec<u8> {
    [begin(flags, listed.len(), epoch), vec![0, 100, 0, 30, 0, 0, 4, 0], rows(listed)].concat()
}

/// An acknowledgement without flags, a notify or a stored cursor.
fn list(flags: u8, epoch: u32, listed: &[(u16, u16, u64)]) -> Vec<u8> {
    [begin(flags, listed.len(), epoch), rows(listed)].concat()
}

/// An item as it is on the wire.
fn item(key: u16, op: u8, flags: u8, val: u64, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&key.to_be_bytes()[..], &[op, flags], &length.to_be_bytes(), &val.to_be_bytes(), bytes].concat()
}

fn stub(key: u16, val: u64, total: u32, bytes: &[u8]) -> Vec<u8> {
    item(key, 1, 1, val, &[&total.to_be_bytes(), bytes].concat())
}

/// A response of epoch 7.
fn response(status: u8, more: u16, listed: &[(u16, u16, u64)], items: &[Vec<u8>]) -> Vec<u8> {
    let bytes = items.concat();
    let (m, length) = (u16::try_from(items.len()).unwrap(), u32::try_from(bytes.len()).unwrap());
    let head = [&m.to_be_bytes()[..], &more.to_be_bytes(), &length.to_be_bytes(), &[0; 4]].concat();
    [begin(status, listed.len(), 7), head, rows(listed), bytes].concat()
}

fn page(body: &[u8]) -> Page<'_> {
    match Response::decode(body) {
        Ok(Response::Page(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn refused(body: &[u8]) -> BodyError {
    Response::decode(body).unwrap_err()
}

/// The body with other bytes from here on.
fn with(body: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body[at..at + bytes.len()].copy_from_slice(bytes);
    body
}

fn pairs(entries: Entries<'_>) -> Vec<(u16, u64)> {
    entries.map(|entry| (entry.key, entry.val)).collect()
}

// One page that most cases are made from: two keys, three items, the last of them a stub.
fn good() -> Vec<u8> {
    let items = [item(2, 1, 0, 5, b"one"), item(2, 2, 0, 9, b""), stub(300, 1, 5, b"abcd")];
    response(0, 1, &[(2, 0, 9), (300, RESET | GAP, u64::MAX)], &items)
}

#[test]
fn a_page_is_read_in_place() {
    let body = good();
    let page = page(&body);
    assert_eq!((page.epoch(), page.has_more(), page.is_reset()), (Epoch::new(7).unwrap(), true, false));
    let entries = [Entry::new(2, 9), Entry { key: 300, val: u64::MAX, resets: true, has_gap: true }];
    assert!(page.entries().eq(entries));
    let stub = Item { total: Some(5), ..Item::new(300, 1, 1, b"abcd") };
    assert!(page.items().eq([Item::new(2, 5, 1, b"one"), Item::new(2, 9, 2, b""), stub]));
    assert_eq!(page.items().map(|item| item.is_stub()).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((page.items().len(), page.items().count()), (3, 3));
    let inside = body.as_ptr_range();
    assert!(page.items().all(|item| inside.contains(&item.bytes.as_ptr()) || item.bytes.is_empty()));
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let body = response(0, 0, &[], &[]);
    let page = page(&body);
    assert_eq!((page.entries().len(), page.items().len(), page.has_more()), (0, 0, false));
    assert_eq!(body.len(), 20);
}

#[test]
fn a_key_that_stays_at_0_moves_nothing_and_is_no_error() {
    for flags in [0, RESET, GAP, RESET | GAP] {
        let body = response(0, 0, &[(1, flags, 0)], &[]);
        assert_eq!(pairs(page(&body).entries()), [(1, 0)]);
    }
}

#[test]
fn g1_a_body_has_64_entries_at_most() {
    for n in [0, 1, 64] {
        let listed = counted(n, 3);
        assert_eq!(Request::decode(&request(0, 7, &listed)).unwrap().entries.len(), usize::from(n));
        assert_eq!(Ack::decode(&list(0, 7, &listed)).unwrap().entries.len(), usize::from(n));
        assert_eq!(Notify::decode(&list(0, 7, &listed)).unwrap().entries.len(), usize::from(n));
        assert_eq!(page(&response(0, 0, &listed, &[])).entries().len(), usize::from(n));
    }
    let (listed, error) = (counted(65, 3), BodyError::Keys { keys: 65 });
    assert_eq!(Request::decode(&request(0, 7, &listed)), Err(error));
    assert_eq!(Ack::decode(&list(0, 7, &listed)), Err(error));
    assert_eq!(Notify::decode(&list(0, 7, &listed)), Err(error));
    assert_eq!(refused(&response(0, 0, &listed, &[])), error);
}

#[test]
fn g2_the_count_of_entries_is_that_of_the_bytes() {
    let listed = counted(2, 3);
    for (n, expected) in [(1, 12), (3, 36), (64, 768)] {
        let count = [0, n];
        let body = with(&request(0, 7, &listed), 2, &count);
        assert_eq!(Request::decode(&body), Err(BodyError::Length { length: 40, expected: 16 + expected }));
        let body = with(&list(0, 7, &listed), 2, &count);
        assert_eq!(Ack::decode(&body), Err(BodyError::Length { length: 32, expected: 8 + expected }));
    }
    // In a page what the count leaves over is taken for items, and the other way round.
    let body = response(0, 0, &listed, &[]);
    assert_eq!(refused(&with(&body, 2, &[0, 1])), BodyError::Length { length: 44, expected: 32 });
    assert_eq!(refused(&with(&body, 2, &[0, 3])), BodyError::Length { length: 44, expected: 56 });
}

#[test]
fn g2_the_items_take_the_bytes_that_are_theirs() {
    let body = good(); // items from 44 on, 19 + 16 + 24
    assert_eq!(body.len(), 44 + 59);
    for m in [0, 1, 2, 4, 512] {
        let error = BodyError::ItemsLength { items: m, length: 59 };
        assert_eq!(refused(&with(&body, 8, &m.to_be_bytes())), error);
    }
    assert_eq!(refused(&with(&body, 8, &513_u16.to_be_bytes())), BodyError::Items { items: 513 });
    // The length of the items is that of the rest.
    for items_len in [0, 58, 60, u32::MAX] {
        let expected = 44 + items_len as usize;
        let body = with(&body, 12, &items_len.to_be_bytes());
        assert_eq!(refused(&body), BodyError::Length { length: 103, expected });
    }
    // So is the length of each.
    for length in [1, 2, 4, 43, 44, u32::MAX] {
        let error = refused(&with(&body, 44 + 4, &length.to_be_bytes()));
        assert!(matches!(error, BodyError::ItemsLength { .. } | BodyError::ItemKey { .. }), "{length}: {error}");
    }
}

#[test]
fn g3_keys_ascend() {
    for (one, other) in [(5, 5), (5, 4), (u16::MAX, 0), (0, 0), (u16::MAX, u16::MAX)] {
        let listed = [(one, 0, 3), (other, 0, 3)];
        let error = BodyError::KeyOrder { key: other };
        assert_eq!(Request::decode(&request(0, 7, &listed)), Err(error));
        assert_eq!(Ack::decode(&list(0, 7, &listed)), Err(error));
        assert_eq!(Notify::decode(&list(0, 7, &listed)), Err(error));
        assert_eq!(refused(&response(0, 0, &listed, &[])), error);
        let receipt = response(0, 0, &listed, &[]);
        assert_eq!(Receipt::from_bytes(0, &receipt), Err(error));
    }
}

#[test]
fn g4_no_reserved_bit_is_set() {
    let set = |bit: u32| Err::<(), _>(BodyError::Reserved { bits: 1 << bit });
    let listed = [(5, 0, 3)];
    let known = |bits: &[u32], bit| bits.contains(&bit);
    for bit in 0..8 {
        let flags = 1_u8 << bit;
        if !known(&[0, 1, 2], bit) {
            assert_eq!(Request::decode(&request(flags, 7, &listed)).map(|_| ()), set(bit));
        }
        if !known(&[0], bit) {
            assert_eq!(Notify::decode(&list(flags, 7, &listed)).map(|_| ()), set(bit));
            let body = response(0, 0, &listed, &[item(5, 1, flags, 1, b"abcd")]);
            assert_eq!(Response::decode(&body).map(|_| ()), set(bit));
        }
        assert_eq!(Ack::decode(&list(flags, 7, &listed)).map(|_| ()), set(bit));
        let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64).to_bytes();
        assert_eq!(Fetch::decode(&with(&fetch, 1, &[flags])).map(|_| ()), set(bit));
    }
    for bit in 0..16 {
        let flags = 1_u16 << bit;
        if !known(&[0], bit) {
            assert_eq!(Response::decode(&response(0, flags, &listed, &[])).map(|_| ()), set(bit));
        }
        let listed = [(5, flags, 3)];
        if !known(&[1, 2], bit) {
            assert_eq!(Response::decode(&response(0, 0, &listed, &[])).map(|_| ()), set(bit));
        }
        assert_eq!(Request::decode(&request(0, 7, &listed)).map(|_| ()), set(bit));
        assert_eq!(Ack::decode(&list(0, 7, &listed)).map(|_| ()), set(bit));
        assert_eq!(Notify::decode(&list(0, 7, &listed)).map(|_| ()), set(bit));
        let reply = [&[1, 0][..], &flags.to_be_bytes(), &[0; 12]].concat();
        let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64);
        assert_eq!(FetchReply::decode(&reply, &fetch).map(|_| ()), set(bit));
    }
}

#[test]
fn g5_vals_reach_from_0_to_the_last_of_64_bits() {
    let listed = [(0, 0, 0), (u16::MAX, 0, u64::MAX)];
    let expected = [(0, 0), (u16::MAX, u64::MAX)];
    assert_eq!(pairs(Request::decode(&request(0, 7, &listed)).unwrap().entries), expected);
    assert_eq!(pairs(Ack::decode(&list(0, 7, &listed)).unwrap().entries), expected);
    assert_eq!(pairs(Notify::decode(&list(0, 7, &listed)).unwrap().entries), expected);
    let body = response(0, 0, &listed, &[item(u16::MAX, 0, 0, u64::MAX, b"")]);
    assert_eq!(pairs(page(&body).entries()), expected);
    assert_eq!(page(&body).items().next().unwrap().val, u64::MAX);
    // An item has a val.
    let error = BodyError::ItemVal { key: 5, val: 0 };
    assert_eq!(refused(&response(0, 0, &[(5, 0, 3)], &[item(5, 0, 0, 0, b"")])), error);
    assert_eq!(Fetch::decode(&Fetch::new(5, Epoch::FIRST, 0, 0, 64).to_bytes()), Err(error));
}

#[test]
fn g6_there_is_nothing_behind_the_end() {
    let behind = |body: Vec<u8>| [body, vec![0]].concat();
    let length = |length| BodyError::Length { length, expected: length - 1 };
    let listed = [(5, 0, 3)];
    assert_eq!(Request::decode(&behind(request(0, 7, &listed))), Err(length(29)));
    assert_eq!(Ack::decode(&behind(list(0, 7, &listed))), Err(length(21)));
    assert_eq!(refused(&behind(good())), length(104));
    let receipt = behind(response(0, 0, &listed, &[]));
    assert_eq!(Receipt::from_bytes(0, &receipt), Err(length(33)));
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64);
    assert_eq!(Fetch::decode(&behind(fetch.to_bytes().to_vec())), Err(length(25)));
    for status in 1..=5 {
        assert_eq!(refused(&behind(response(status, 0, &[], &[]))), length(21));
        let reply = [&[1, status][..], &[0; 14]].concat();
        assert_eq!(FetchReply::decode(&behind(reply), &fetch), Err(length(17)));
    }
    // What is behind the items' bytes belongs to none of them.
    let inside = behind(with(&good(), 12, &60_u32.to_be_bytes()));
    assert_eq!(refused(&inside), BodyError::ItemsLength { items: 3, length: 60 });
}

#[test]
fn g7_an_items_key_is_listed() {
    let listed = [(2, 0, 9), (5, 0, 9)];
    for key in [0, 1, 3, 4, 6, u16::MAX] {
        let alone = [item(key, 0, 0, 1, b"")];
        assert_eq!(refused(&response(0, 0, &listed, &alone)), BodyError::ItemKey { key });
    }
    assert_eq!(refused(&response(0, 0, &[], &[item(0, 0, 0, 1, b"")])), BodyError::ItemKey { key: 0 });
    let behind = [item(2, 0, 0, 1, b""), item(4, 0, 0, 1, b"")];
    assert_eq!(refused(&response(0, 0, &listed, &behind)), BodyError::ItemKey { key: 4 });
}

#[test]
fn g8_an_items_val_is_not_above_what_is_returned() {
    for (returned, val) in [(8, 9), (0, 1), (u64::MAX - 1, u64::MAX)] {
        let body = response(0, 0, &[(5, RESET, returned)], &[item(5, 0, 0, val, b"")]);
        assert_eq!(refused(&body), BodyError::ItemBeyond { key: 5, val });
    }
    // Of its own key, not of another.
    let items = [item(1, 0, 0, 9, b""), item(2, 0, 0, 9, b"")];
    assert_eq!(refused(&response(0, 0, &[(1, 0, 9), (2, 0, 8)], &items)), BodyError::ItemBeyond { key: 2, val: 9 });
    assert_eq!(page(&response(0, 0, &[(1, 0, 9), (2, 0, 9)], &items)).items().len(), 2);
}

#[test]
fn g9_a_list_of_32_keys_goes_through_every_body() {
    let listed = counted(32, 685_921_744);
    let expected = listed.iter().map(|(key, _, val)| (*key, *val)).collect::<Vec<_>>();
    assert_eq!(pairs(Request::decode(&request(1, 7, &listed)).unwrap().entries), expected);
    assert_eq!(pairs(Ack::decode(&list(0, 7, &listed)).unwrap().entries), expected);
    assert_eq!(pairs(Notify::decode(&list(1, 7, &listed)).unwrap().entries), expected);
    let items = listed.iter().map(|(key, _, val)| item(*key, 1, 0, *val, b"x")).collect::<Vec<_>>();
    let body = response(0, 0, &listed, &items);
    assert_eq!(pairs(page(&body).entries()), expected);
    assert_eq!(page(&body).items().map(|item| (item.key, item.val)).collect::<Vec<_>>(), expected);
}

#[test]
fn items_are_sorted_by_key_and_then_by_val() {
    let listed = [(2, 0, 9), (5, 0, 9)];
    let order = |items: [(u16, u64); 3]| {
        let items = items.map(|(key, val)| item(key, 0, 0, val, b""));
        Response::decode(&response(0, 0, &listed, &items)).map(|_| ())
    };
    assert_eq!(order([(2, 3), (2, 4), (5, 1)]), Ok(()));
    assert_eq!(order([(5, 1), (5, 2), (5, 9)]), Ok(()));
    assert_eq!(order([(2, 3), (2, 3), (5, 1)]), Err(BodyError::ItemVal { key: 2, val: 3 }));
    assert_eq!(order([(2, 3), (2, 2), (5, 1)]), Err(BodyError::ItemVal { key: 2, val: 2 }));
    assert_eq!(order([(2, 3), (5, 1), (2, 4)]), Err(BodyError::ItemOrder { key: 2 }));
}

#[test]
fn a_stub_tells_a_length_that_it_has_not() {
    let of = |bytes: &[u8]| Response::decode(&response(0, 0, &[(5, 0, 9)], &[item(5, 1, 1, 1, bytes)])).map(|_| ());
    for length in 0..4 {
        assert_eq!(of(&[0; 3][..length]), Err(BodyError::Stub { length: u32::try_from(length).unwrap() }));
    }
    assert_eq!(of(&[0, 0, 0, 0]), Err(BodyError::StubTotal { total: 0 }));
    assert_eq!(of(&[0, 0, 0, 1]), Ok(()), "none of the bytes is there");
    assert_eq!(of(&[0, 0, 0, 2, 1, 1]), Err(BodyError::StubTotal { total: 2 }));
    assert_eq!(of(&[0, 0, 0, 3, 1, 1]), Ok(()));
    // A stub is judged as any other item.
    let body = response(0, 0, &[(5, 0, 9)], &[stub(5, 10, 5, b"")]);
    assert_eq!(refused(&body), BodyError::ItemBeyond { key: 5, val: 10 });
}

#[test]
fn other_versions_are_not_spoken_here() {
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64);
    for version in [0, 2, 0x81, 255] {
        let error = BodyError::Version { version };
        let other = |body: &[u8]| with(body, 0, &[version]);
        assert_eq!(Request::decode(&other(&request(0, 7, &[]))), Err(error));
        assert_eq!(Ack::decode(&other(&list(0, 7, &[]))), Err(error));
        assert_eq!(Notify::decode(&other(&list(0, 7, &[]))), Err(error));
        assert_eq!(refused(&other(&good())), error);
        assert_eq!(Fetch::decode(&other(&fetch.to_bytes())), Err(error));
        let reply = FetchReply::new(FetchStatus::Gone).encode_fixed();
        assert_eq!(FetchReply::decode(&other(&reply), &fetch), Err(error));
        assert_eq!(SyncKeys::with_rows(Vec::<Row>::new()).decode(&other(&list(0, 7, &[]))), Err(error));
    }
}

#[test]
fn only_a_page_has_to_have_an_epoch() {
    let none = |body: &[u8]| with(body, 4, &[0; 4]);
    assert_eq!(refused(&none(&response(0, 0, &[], &[]))), BodyError::NoEpoch);
    assert_eq!(refused(&none(&response(1, 0, &[], &[]))), BodyError::NoEpoch);
    for status in [2, 3, 4, 5, 255] {
        assert!(Response::decode(&none(&response(status, 0, &[], &[]))).is_ok());
        assert!(Response::decode(&response(status, 0, &[], &[])).is_ok());
    }
    assert_eq!(Ack::decode(&list(0, 0, &[])), Err(BodyError::NoEpoch));
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64).to_bytes();
    assert_eq!(Fetch::decode(&none(&fetch)), Err(BodyError::NoEpoch));
    // Newest vals without an epoch mean nothing; that there is something does.
    assert_eq!(Notify::decode(&list(1, 0, &[(5, 0, 3)])), Err(BodyError::NoEpoch));
    assert!(Notify::decode(&list(1, 0, &[])).unwrap().something);
}

#[test]
fn a_device_without_a_cursor_asks_from_0() {
    assert!(Request::decode(&request(1, 0, &[])).unwrap().all);
    assert_eq!(pairs(Request::decode(&request(0, 0, &counted(2, 0))).unwrap().entries), [(0, 0), (1, 0)]);
    let error = BodyError::ValWithoutEpoch { key: 6, val: 1 };
    assert_eq!(Request::decode(&request(1, 0, &[(5, 0, 0), (6, 0, 1)])), Err(error));
}

#[test]
fn a_request_keeps_to_the_limits() {
    let body = request(0, 7, &[]);
    for (given, items) in [(0, 100), (1, 1), (512, 512)] {
        let request = with(&body, 8, &u16::to_be_bytes(given));
        assert_eq!(Request::decode(&request).unwrap().items(), items);
    }
    for max_items in [513, u16::MAX] {
        let request = with(&body, 8, &max_items.to_be_bytes());
        assert_eq!(Request::decode(&request), Err(BodyError::MaxItems { max_items }));
    }
    for max_bytes in [0, 255] {
        let request = with(&body, 12, &u32::to_be_bytes(max_bytes));
        assert_eq!(Request::decode(&request), Err(BodyError::MaxBytes { max_bytes, least: 256 }));
    }
    assert_eq!(Request::decode(&with(&body, 12, &[0, 0, 1, 0])).unwrap().max_bytes, 256);
    assert_eq!(Request { max_items: u16::MAX, ..Request::DEFAULT }.items(), 512);
}

#[test]
fn a_request_beyond_the_limits_is_written_at_the_limits() {
    let (mut out, beyond) = ([0; 16], Request { max_items: 513, max_bytes: 255, ..Request::DEFAULT });
    beyond.encode(&mut out).unwrap();
    assert_eq!(Request::decode(&out), Ok(Request { max_items: 512, max_bytes: 256, ..Request::DEFAULT }));
}

#[test]
fn each_bit_of_a_request_means_one_thing() {
    for bits in 0..8 {
        let body = request(bits, 7, &[]);
        let request = Request::decode(&body).unwrap();
        let set = [request.all, request.continues, request.retries];
        assert_eq!(set, [bits & 1, bits & 2, bits & 4].map(|bit| bit != 0));
        let mut out = [0; 16];
        request.encode(&mut out).unwrap();
        assert_eq!(out, body[..]);
    }
}

#[test]
fn another_status_comes_with_nothing_else() {
    for status in [1, 2, 3, 4, 5, 255] {
        let error = BodyError::NotEmpty { status };
        assert_eq!(refused(&response(status, 0, &[(5, 0, 3)], &[])), error);
        let empty = response(status, 0, &[], &[]);
        assert_eq!(refused(&with(&empty, 8, &[0, 1])), error, "an item");
        assert_eq!(refused(&with(&empty, 12, &[0, 0, 0, 1])), error, "bytes of items");
        if status > 1 {
            assert_eq!(refused(&response(status, 1, &[], &[])), error, "more");
        }
    }
}

#[test]
fn every_status_has_its_meaning() {
    let of = |status, retry_after_ms: u32| {
        let body = with(&response(status, 0, &[], &[]), 16, &retry_after_ms.to_be_bytes());
        Response::decode(&body).map(|response| format!("{response:?}"))
    };
    let later = |millis| Ok(format!("{:?}", Response::RetryLater { after: Duration::from_millis(millis) }));
    assert_eq!(of(2, 0), later(0));
    assert_eq!(of(2, 1_500), later(1_500));
    assert_eq!(of(2, u32::MAX), later(3_600_000));
    assert_eq!(of(3, 0), Ok("Refused".into()));
    assert_eq!(of(4, 0), Ok("NotThisDevice".into()));
    // What is not known is "later", and what its fields mean is not known either.
    assert_eq!((of(5, 0), of(255, 1_500)), (later(0), later(0)));
    for status in [0, 1, 3, 4] {
        assert_eq!(of(status, 1), Err(BodyError::RetryAfter { retry_after_ms: 1 }));
    }
}

#[test]
fn a_mailbox_that_begins_anew_is_asked_again_whatever_it_says() {
    for more in [0, 1] {
        let body = response(1, more, &[], &[]);
        let page = page(&body);
        assert!(page.is_reset() && page.has_more() && page.receipt().is_reset() && page.receipt().has_more());
        assert_eq!((page.entries().len(), page.items().len()), (0, 0));
    }
}

#[test]
fn a_notify_of_another_length_tells_that_there_is_something() {
    let bare = Notify { epoch: None, something: true, entries: Entries::EMPTY };
    let whole = list(0, 7, &[(5, 0, 3)]);
    let doubled = [&whole[..], &whole].concat();
    for length in (0..whole.len()).chain([21, 32, 40]) {
        assert_eq!(Notify::decode(&doubled[..length]), Ok(bare), "{length}");
    }
    assert_eq!(Notify::decode(b"\0\0\0\x02"), Ok(bare), "as it was recorded");
}

#[test]
fn a_notify_is_what_it_was_after_the_wire() {
    let epoch = Epoch::new(7).unwrap();
    assert_eq!(Notify::one(epoch, 5, 3)[..], list(0, 7, &[(5, 0, 3)]));
    assert_eq!(Notify::something(epoch)[..], list(1, 7, &[]));
    for flags in [0, 1] {
        for (epoch, n) in [(0, 0), (7, 0), (7, 3)] {
            let body = list(flags, epoch, &counted(n, 3));
            let notify = Notify::decode(&body).unwrap();
            assert_eq!((notify.something, notify.epoch), (flags == 1, Epoch::new(epoch)));
            let mut out = [0; 44];
            assert_eq!(notify.encode(&mut out), Ok(body.len()));
            assert_eq!(out[..body.len()], body);
        }
    }
}

#[test]
fn a_receipt_is_rebuilt_from_its_bytes() {
    let body = good();
    let receipt = page(&body).receipt();
    assert_eq!(receipt.bytes(), &body[..44]);
    let copy = receipt.bytes().to_vec();
    let rebuilt = Receipt::from_bytes(receipt.id(), &copy).unwrap();
    assert_eq!(rebuilt, receipt);
    assert!(rebuilt.vals().eq(page(&body).entries()));
    assert_eq!(Receipt::from_bytes(9, &copy).unwrap().id(), 9);
    let anew = response(1, 0, &[], &[]);
    assert_eq!(Receipt::from_bytes(0, &anew), Ok(page(&anew).receipt()));
    for status in [2, 3, 4, 5] {
        assert_eq!(Receipt::from_bytes(0, &response(status, 0, &[], &[])), Err(BodyError::NoPage { status }));
    }
    for length in 0..44 {
        assert!(matches!(Receipt::from_bytes(0, &copy[..length]), Err(BodyError::Length { .. })), "{length}");
    }
}

#[test]
fn a_receipt_up_to_an_item_moves_no_key_beyond_it() {
    let items = [item(2, 0, 0, 5, b""), item(2, 0, 0, 7, b""), item(4, 0, 0, 1, b"")];
    let body = response(0, 0, &[(1, 0, 3), (2, RESET, 9), (3, GAP, 4), (4, 0, 1)], &items);
    let page = page(&body);
    let up_to = |n: usize| {
        let receipt = page.receipt().up_to(&page.items().nth(n).unwrap());
        (receipt.vals().map(|entry| (entry.key, entry.val)).collect::<Vec<_>>(), receipt.has_more())
    };
    assert_eq!(up_to(0), (vec![(1, 3), (2, 5)], true));
    assert_eq!(up_to(1), (vec![(1, 3), (2, 7)], true), "not 9: that is said of the whole page");
    assert_eq!(up_to(2), (vec![(1, 3), (2, 9), (3, 4), (4, 1)], false), "which is all of it");
    // The flags are those of the page, and the smaller part of two counts.
    let [first, second] = [0, 1].map(|n| page.items().nth(n).unwrap());
    assert!(page.receipt().up_to(&first).vals().nth(1).unwrap().resets);
    for receipt in [page.receipt().up_to(&first).up_to(&second), page.receipt().up_to(&second).up_to(&first)] {
        assert!(receipt.vals().eq(page.receipt().up_to(&first).vals()));
    }
    assert_eq!(page.receipt().up_to(&first).bytes(), page.receipt().bytes());
}

#[test]
fn a_receipt_up_to_the_last_item_leaves_what_the_page_left() {
    for more in [0, 1] {
        let body = response(0, more, &[(2, 0, 5)], &[item(2, 0, 0, 5, b"")]);
        let page = page(&body);
        assert_eq!(page.receipt().up_to(&page.items().last().unwrap()).has_more(), more == 1);
    }
    // A key behind the item's is left, though it has no items.
    let body = response(0, 0, &[(2, 0, 5), (3, 0, 1)], &[item(2, 0, 0, 5, b"")]);
    assert!(page(&body).receipt().up_to(&page(&body).items().last().unwrap()).has_more());
}

#[test]
fn an_item_of_another_page_brings_no_key_further_than_the_page() {
    let body = response(0, 0, &[(2, 0, 5), (4, 0, 6)], &[]);
    let vals = |key, val| {
        let receipt = page(&body).receipt().up_to(&Item::new(key, val, 0, b""));
        receipt.vals().map(|entry| (entry.key, entry.val)).collect::<Vec<_>>()
    };
    assert_eq!(vals(1, 9), []);
    assert_eq!(vals(2, 9), [(2, 5)]);
    assert_eq!(vals(3, 9), [(2, 5)]);
    assert_eq!(vals(9, 9), [(2, 5), (4, 6)]);
}

#[test]
fn a_fetch_is_what_it_was_after_the_wire() {
    let fetch = Fetch::new(0x0102, Epoch::new(0x0304_0506).unwrap(), 0x0708_090A_0B0C_0D0E, 0x0F10_1112, 0x1314_1516);
    let bytes = *b"\x01\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\x13\x14\x15\x16";
    assert_eq!(fetch.to_bytes(), bytes);
    assert_eq!(Fetch::decode(&bytes), Ok(fetch));
    for max in [0, 63] {
        let error = BodyError::MaxBytes { max_bytes: max, least: 64 };
        assert_eq!(Fetch::decode(&Fetch { max, ..fetch }.to_bytes()), Err(error));
    }
    assert!(Fetch::decode(&Fetch { max: 64, ..fetch }.to_bytes()).is_ok());
}

#[test]
fn a_fetch_gets_the_bytes_that_it_asked_for() {
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 100, 64);
    let reply = |total: u32, offset: u32, length: usize| {
        let reply = FetchReply { total, offset, ..FetchReply::new(FetchStatus::Ok) };
        let body = [&reply.encode_fixed()[..], &vec![7; length]].concat();
        FetchReply::decode(&body, &fetch).map(|reply| (reply.total, reply.offset, reply.bytes.len()))
    };
    assert_eq!(reply(1_000, 100, 48), Ok((1_000, 100, 48)));
    assert_eq!(reply(101, 100, 1), Ok((101, 100, 1)));
    assert_eq!(reply(100, 100, 0), Ok((100, 100, 0)), "the end of the item");
    assert_eq!(reply(1_000, 99, 1), Err(BodyError::Offset { offset: 99 }));
    assert_eq!(reply(1_000, 100, 49), Err(BodyError::TooLong { length: 65 }));
    assert_eq!(reply(101, 100, 2), Err(BodyError::Beyond { total: 101 }));
    assert_eq!(reply(99, 100, 0), Err(BodyError::Beyond { total: 99 }));
    assert_eq!(reply(1_000, 100, 0), Err(BodyError::NoProgress));
}

#[test]
fn a_fetch_that_is_refused_gets_no_bytes() {
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 100, 64);
    let statuses = [
        (1, FetchStatus::Gone),
        (2, FetchStatus::RetryLater),
        (3, FetchStatus::Bad),
        (4, FetchStatus::NotThisDevice),
        (5, FetchStatus::OtherEpoch),
    ];
    for (byte, status) in statuses {
        let reply = FetchReply::new(status).encode_fixed();
        assert_eq!(reply[1], byte);
        assert_eq!(FetchReply::decode(&reply, &fetch), Ok(FetchReply::new(status)));
    }
    let decode = |status: u8, retry_after_ms: u32| {
        let body = [&[1, status][..], &[0; 10], &retry_after_ms.to_be_bytes()].concat();
        FetchReply::decode(&body, &fetch).map(|reply| (reply.status, reply.retry_after))
    };
    let later = |millis| Ok((FetchStatus::RetryLater, Duration::from_millis(millis)));
    assert_eq!((decode(2, 1_500), decode(2, u32::MAX)), (later(1_500), later(3_600_000)));
    assert_eq!((decode(6, 0), decode(255, 1_500)), (later(0), later(0)), "a status that is not known");
    for status in [0, 1, 3, 4, 5] {
        assert_eq!(decode(status, 1), Err(BodyError::RetryAfter { retry_after_ms: 1 }));
    }
}

#[test]
fn every_body_that_is_cut_is_an_error() {
    let cut = |whole: &[u8], decode: &dyn Fn(&[u8]) -> Result<(), BodyError>| {
        assert_eq!(decode(whole), Ok(()));
        for length in 0..whole.len() {
            let error = decode(&whole[..length]).unwrap_err();
            let BodyError::Length { length: told, expected } = error else { panic!("{error}") };
            assert!(told == length && expected > length && expected <= whole.len());
        }
    };
    let listed = counted(3, 5);
    cut(&request(1, 7, &listed), &|body| Request::decode(body).map(|_| ()));
    cut(&list(0, 7, &listed), &|body| Ack::decode(body).map(|_| ()));
    cut(&list(0, 7, &listed), &|body| SyncKeys::with_rows([Row::default(); 3]).decode(body));
    cut(&good(), &|body| Response::decode(body).map(|_| ()));
    cut(&response(3, 0, &[], &[]), &|body| Response::decode(body).map(|_| ()));
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64);
    cut(&fetch.to_bytes(), &|body| Fetch::decode(body).map(|_| ()));
    cut(&FetchReply::new(FetchStatus::Gone).encode_fixed(), &|body| FetchReply::decode(body, &fetch).map(|_| ()));
}

#[test]
fn nothing_is_written_where_there_is_no_room() {
    let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
    keys.read_text("1_5|2_6").unwrap();
    let epoch = Epoch::FIRST;
    let request = Request { epoch: Some(epoch), entries: keys.entries(), ..Request::DEFAULT };
    let ack = Ack { epoch, entries: keys.entries() };
    let notify = Notify { epoch: Some(epoch), something: false, entries: keys.entries() };
    let mut out = [0xEE; 40];
    for length in 0..32 {
        let room = &mut out[..length];
        assert_eq!(request.encode(room), Err(BufferTooSmall { required: 40 }));
        assert_eq!(ack.encode(room), Err(BufferTooSmall { required: 32 }));
        assert_eq!(notify.encode(room), Err(BufferTooSmall { required: 32 }));
        assert_eq!(keys.encode(room), Err(BufferTooSmall { required: 32 }));
    }
    assert_eq!(out, [0xEE; 40]);
}

/// A cursor of any keys.
fn cursor() -> impl Strategy<Value = SyncKeys<Vec<Row>>> {
    let val = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 1..9_u64];
    let keys = collection::btree_map(prop_oneof![0..9_u16, any::<u16>()], val, 0..=64);
    keys.prop_map(|keys| {
        let mut cursor = SyncKeys::with_rows(vec![Row::default(); 64]);
        keys.into_iter().for_each(|(key, val)| assert!(cursor.merge(key, val).is_ok()));
        cursor
    })
}

/// An item: key, op, val, bytes, and the whole length of a stub.
type Owned = (u16, u8, u64, Vec<u8>, Option<u32>);

/// What is in a page, of its own.
#[derive(Clone, Debug)]
struct Content {
    /// Key, flags and val.
    listed: Vec<(u16, u16, u64)>,
    items: Vec<Owned>,
    more: u16,
}

impl Content {
    fn encode(&self) -> Vec<u8> {
        let items = self.items.iter().map(|(key, op, val, bytes, total)| match total {
            None => item(*key, *op, 0, *val, bytes),
            Some(total) => item(*key, *op, 1, *val, &[&total.to_be_bytes(), &bytes[..]].concat()),
        });
        response(0, self.more, &self.listed, &items.collect::<Vec<_>>())
    }
}

fn content() -> impl Strategy<Value = Content> {
    // For each key: how far the vals of its items are apart, what is left up to the entry's val, and its flags.
    let items = collection::vec(
        (1..u64::MAX / 8, any::<u8>(), collection::vec(any::<u8>(), 0..9), option::of(1..99_u32)),
        0..4,
    );
    let keys = collection::btree_map(0..400_u16, (items, 0..9_u64, 0..4_u16), 0..12);
    (keys, 0..2_u16).prop_map(|(keys, more)| {
        let mut content = Content { listed: vec![], items: vec![], more };
        for (key, (items, above, flags)) in keys {
            let mut val = 0;
            for (step, op, bytes, stub) in items {
                val += step;
                let total = stub.map(|behind| u32::try_from(bytes.len()).unwrap() + behind);
                content.items.push((key, op, val, bytes, total));
            }
            content.listed.push((key, flags << 1, val + above));
        }
        content
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_what_is_decoded(
        keys in cursor(),
        epoch in any::<u32>().prop_map(Epoch::new),
        (all, continues, retries, something) in any::<(bool, bool, bool, bool)>(),
        (max_items, hold, max_bytes) in any::<(u16, u16, u32)>(),
    ) {
        let entries = keys.entries();
        let request = Request { all, continues, retries, epoch, max_items, hold, max_bytes, entries };
        let mut out = [0; 784];
        let length = request.encode(&mut out).unwrap();
        let decoded = Request::decode(&out[..length]).unwrap();
        let told = entries.map(|entry| Entry::new(entry.key, if epoch.is_some() { entry.val } else { 0 }));
        prop_assert!(decoded.entries.eq(told.filter(|entry| entry.val > 0 || !all)));
        let (max_items, max_bytes) = (max_items.min(512), max_bytes.max(256));
        prop_assert_eq!(Request { entries, ..decoded }, Request { max_items, max_bytes, ..request });

        let notify = Notify { epoch, something, entries };
        let length = notify.encode(&mut out).unwrap();
        if epoch.is_some() || entries.is_empty() {
            prop_assert_eq!(Notify::decode(&out[..length]), Ok(notify));
        }
        if let Some(epoch) = epoch {
            let ack = Ack { epoch, entries };
            let length = ack.encode(&mut out).unwrap();
            prop_assert_eq!(Ack::decode(&out[..length]), Ok(ack));
            let mut restored = SyncKeys::with_rows([Row::default(); 64]);
            restored.decode(&out[..length]).unwrap();
            prop_assert!(restored.epoch() == Some(epoch) && restored.entries().eq(entries));
        }
        let mut read = SyncKeys::with_rows([Row::default(); 64]);
        read.read_text(&keys.to_string()).unwrap();
        prop_assert_eq!(read, keys);
    }

    #[test]
    fn a_page_gives_what_was_put_in(content in content()) {
        let body = content.encode();
        let page = page(&body);
        prop_assert_eq!(page.has_more(), content.more == 1);
        let listed = page.entries().map(|entry| {
            let flags = if entry.resets { RESET } else { 0 } | if entry.has_gap { GAP } else { 0 };
            (entry.key, flags, entry.val)
        });
        prop_assert_eq!(listed.collect::<Vec<_>>(), content.listed);
        let mut left = page.items();
        for n in (0..=content.items.len()).rev() {
            prop_assert_eq!((left.len(), left.size_hint()), (n, (n, Some(n))));
            left.next();
        }
        let items = page.items().map(|item| (item.key, item.op, item.val, item.bytes.to_vec(), item.total));
        prop_assert_eq!(items.collect::<Vec<_>>(), content.items);
    }

    #[test]
    fn a_page_that_is_cut_is_an_error(content in content()) {
        let body = content.encode();
        for length in 0..body.len() {
            let error = refused(&body[..length]);
            prop_assert!(matches!(error, BodyError::Length { length: told, .. } if told == length), "{}", error);
        }
    }

    /// As if a page had been cut, and its head made to fit again: what is left ends within an item, or lacks some.
    #[test]
    fn items_that_are_cut_are_an_error(content in content(), at in any::<Index>()) {
        let mut body = content.encode();
        let before = 20 + 12 * content.listed.len();
        let items_len = body.len() - before;
        prop_assume!(items_len > 0);
        let left = at.index(items_len);
        body.truncate(before + left);
        body[12..16].copy_from_slice(&u32::try_from(left).unwrap().to_be_bytes());
        let items = u16::try_from(content.items.len()).unwrap();
        prop_assert_eq!(refused(&body), BodyError::ItemsLength { items, length: left });
    }

    #[test]
    fn a_receipt_up_to_each_item_names_exactly_the_items_before(content in content()) {
        let body = content.encode();
        let page = page(&body);
        for (n, item) in page.items().enumerate() {
            let receipt = page.receipt().up_to(&item);
            let vals = receipt.vals().collect::<Vec<_>>();
            let reached = |item: &Item<'_>| vals.iter().any(|entry| entry.key == item.key && item.val <= entry.val);
            prop_assert_eq!(page.items().filter(reached).count(), n + 1);
            // With the rest nothing is left.
            prop_assert!(receipt.has_more() || page.items().len() == n + 1);
            prop_assert!(vals.iter().zip(page.entries()).all(|(part, whole)| part.key == whole.key && part.val <= whole.val));
        }
    }

    /// One byte that is wrong is found, or makes another page that holds to the rules.
    #[test]
    fn a_byte_that_is_wrong_breaks_no_rule(content in content(), at in any::<Index>(), byte in any::<u8>()) {
        let mut body = content.encode();
        let at = at.index(body.len());
        body[at] = byte;
        let Ok(Response::Page(page)) = Response::decode(&body) else { return Ok(()) };
        prop_assert!(page.entries().map(|entry| entry.key).is_sorted_by(|one, other| one < other));
        prop_assert!(page.items().map(|item| (item.key, item.val)).is_sorted_by(|one, other| one < other));
        let entry = |key| page.entries().find(|entry| entry.key == key);
        prop_assert!(page.items().all(|item| item.val > 0 && entry(item.key).is_some_and(|entry| item.val <= entry.val)));
        prop_assert!(page.items().all(|item| item.total.is_none_or(|total| total as usize > item.bytes.len())));
        prop_assert_eq!(page.items().len(), page.items().count());
    }
}
