//! Cursors as messengers had them: the recordings in `data/sync`.
//!
//! | recording | what it shows |
//! |---|---|
//! | 01 | a list of 4 keys at first, of 10 after one answer |
//! | 03 | an answer that leaves out keys which the client has |
//! | 05 | "something is new", and then an answer without anything |
//! | 07 | lists of 31 and 32 keys, half of them at 0 |
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use longlink::sync::{Ack, BodyError, Epoch, Request, Response, Row, SyncKeys, TextError, TooManyKeys};
use serde_json::Value;
use std::{fs, path::Path};

type Keys = SyncKeys<[Row; 64]>;
/// Key and val.
type List = Vec<(u16, u64)>;

const EPOCH: Epoch = Epoch::FIRST;

fn recording(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sync").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The keys of a list, which a recording has at this place.
fn list(recording: &Value, at: &str) -> List {
    let of = |entry: &Value, name: &str| entry[name].as_u64().unwrap();
    let entries = recording.pointer(at).unwrap().as_array().unwrap();
    entries.iter().map(|entry| (u16::try_from(of(entry, "Key")).unwrap(), of(entry, "Val"))).collect()
}

/// 01: at first, and after the answer.
fn growing() -> [List; 2] {
    let recording = recording("01_wechat4u_init_then_sync.json");
    ["/webwxinit/SyncKey/List", "/webwxsync/SyncKey/List"].map(|at| list(&recording, at))
}

/// 07: both.
fn mobile() -> [List; 2] {
    let recording = recording("07_mobile_newsync_request_keybufs.json");
    ["/requests/0/keys", "/requests/1/keys"].map(|at| list(&recording, at))
}

/// As the text of such clients.
fn text(list: &List) -> String {
    list.iter().map(|(key, val)| format!("{key}_{val}")).collect::<Vec<_>>().join("|")
}

fn cursor(list: &List) -> Keys {
    let mut keys = Keys::new();
    for (key, val) in list {
        keys.merge(*key, *val).unwrap();
    }
    keys
}

/// The body of an answer that names these keys, by hand. Nothing is left out.
fn answer(list: &List) -> Vec<u8> {
    let n = u16::try_from(list.len()).unwrap().to_be_bytes();
    let mut body = [&[1, 0][..], &n, &EPOCH.get().to_be_bytes(), &[0; 12]].concat();
    for (key, val) in list {
        body.extend([&key.to_be_bytes()[..], &[0, 0], &val.to_be_bytes()].concat());
    }
    body
}

/// Merges the answer into the cursor.
fn apply(keys: &mut Keys, body: &[u8]) {
    let Ok(Response::Page(page)) = Response::decode(body) else { panic!("no page") };
    for entry in page.receipt().vals() {
        keys.merge(entry.key, entry.val).unwrap();
    }
}

fn pairs(keys: &Keys) -> List {
    keys.entries().map(|entry| (entry.key, entry.val)).collect()
}

#[test]
fn a_list_grows_from_4_keys_to_10() {
    let [first, then] = growing();
    assert_eq!((first.len(), then.len()), (4, 10));
    let mut keys = cursor(&first);
    assert_eq!(pairs(&keys), first);
    apply(&mut keys, &answer(&then));
    assert_eq!(pairs(&keys), then, "every val is as far or further");
    assert_eq!(keys.val(2) - first[1].1, 2, "a val may pass over others");
}

#[test]
fn keys_that_an_answer_leaves_out_stay() {
    let recording = recording("03_request_count_smaller_than_list.json");
    let asked = list(&recording, "/webwxsync_request/SyncKey/List");
    let answered = list(&recording, "/webwxsync_response/SyncKey/List");
    assert!(!answered.iter().any(|(key, _)| [1, 3].contains(key)));
    let mut keys = cursor(&asked);
    apply(&mut keys, &answer(&answered));
    assert_eq!((keys.val(1), keys.val(3)), (651_991_553, 651_995_504));
    for (key, val) in &answered {
        assert_eq!(keys.val(*key), *val);
    }
    assert_eq!(keys.len(), 7);
    assert_eq!(recording["webwxsync_request"]["SyncKey"]["Count"], 1, "its count is not believed: there are 4");
}

#[test]
fn an_answer_without_anything_new_keeps_all() {
    let recording = recording("05_itchat536_selector2_but_empty_sync.json");
    let answered = list(&recording, "/webwxsync_response/SyncKey/List");
    let mut keys = cursor(&answered);
    apply(&mut keys, &answer(&answered));
    assert_eq!(pairs(&keys), answered);
    // Nor does one that names no key at all.
    apply(&mut keys, &answer(&Vec::new()));
    assert_eq!(pairs(&keys), answered);
}

#[test]
fn both_keys_of_a_web_client_are_one_cursor() {
    for name in ["03_request_count_smaller_than_list.json", "05_itchat536_selector2_but_empty_sync.json"] {
        let recording = recording(name);
        let [sync, check] = ["SyncKey", "SyncCheckKey"].map(|key| format!("/webwxsync_response/{key}/List"));
        assert_eq!(list(&recording, &sync), list(&recording, &check));
    }
}

#[test]
fn the_text_form_goes_both_ways() {
    let [first, then] = growing();
    let [phone, pad] = mobile();
    // The lengths of the text form are known from the recordings, too.
    for (list, length) in [(first, 51), (then, 139), (phone, 302), (pad, 283)] {
        let (mut keys, text) = (Keys::new(), text(&list));
        assert_eq!(text.len(), length);
        keys.read_text(&text).unwrap();
        assert_eq!(pairs(&keys), list);
        assert_eq!(keys.to_string(), text);
    }
}

#[test]
fn lists_take_12_bytes_a_key_and_none_for_those_at_0() {
    let [first, then] = growing();
    let [phone, pad] = mobile();
    for (list, keys, all, not_at_0) in
        [(first, 4, 48, 48), (then, 10, 120, 120), (phone, 31, 372, 192), (pad, 32, 384, 156)]
    {
        let cursor = cursor(&list);
        assert_eq!(cursor.len(), keys);
        let mut out = [0; 784];
        assert_eq!(cursor.encode(&mut out), Ok(8 + all));
        let listed = Request { epoch: Some(EPOCH), entries: cursor.entries(), ..Request::DEFAULT };
        assert_eq!(listed.encode(&mut out), Ok(16 + all));
        assert_eq!(Request { all: true, ..listed }.encode(&mut out), Ok(16 + not_at_0));
    }
}

#[test]
fn lists_of_31_and_32_keys_go_through_request_ack_and_store() {
    for (list, zeros) in mobile().into_iter().zip([15, 19]) {
        let mut keys = cursor(&list);
        assert_eq!(list.iter().filter(|(_, val)| *val == 0).count(), zeros);
        // From a store, where the bytes are as in an acknowledgement.
        let mut stored = [0; 776];
        let length = keys.encode(&mut stored).unwrap();
        assert_eq!(Ack::decode(&stored[..length]), Err(BodyError::NoEpoch), "there is no epoch yet");
        stored[4..8].copy_from_slice(&EPOCH.get().to_be_bytes());
        keys.decode(&stored[..length]).unwrap();
        assert_eq!((keys.epoch(), pairs(&keys)), (Some(EPOCH), list.clone()));

        let ack = Ack::decode(&stored[..length]).unwrap();
        assert!(ack.epoch == EPOCH && ack.entries.eq(keys.entries()));
        let mut out = [0; 784];
        assert_eq!(ack.encode(&mut out), Ok(length));
        assert_eq!(out[..length], stored[..length]);

        let request = Request { epoch: keys.epoch(), entries: keys.entries(), ..Request::DEFAULT };
        let length = request.encode(&mut out).unwrap();
        let decoded = Request::decode(&out[..length]).unwrap();
        assert!(decoded == request && decoded.entries.eq(keys.entries()));
        // If all keys are wanted anyway, those at 0 need not be told.
        let length = Request { all: true, ..request }.encode(&mut out).unwrap();
        let told = Request::decode(&out[..length]).unwrap().entries;
        assert!(told.eq(keys.entries().filter(|entry| entry.val > 0)));
        assert_eq!(told.len(), list.len() - zeros);
    }
}

#[test]
fn a_list_from_another_client_has_no_epoch_and_is_asked_for_from_0() {
    let [list, _] = mobile();
    let keys = cursor(&list);
    let mut out = [0; 784];
    let request = Request { entries: keys.entries(), ..Request::DEFAULT };
    let length = request.encode(&mut out).unwrap();
    let decoded = Request::decode(&out[..length]).unwrap();
    assert_eq!(decoded.epoch, None);
    assert!(decoded.entries.map(|entry| (entry.key, entry.val)).eq(list.iter().map(|(key, _)| (*key, 0))));
    // All keys from 0: there is nothing to list.
    assert_eq!(Request { all: true, ..request }.encode(&mut out), Ok(16));
}

#[test]
fn a_table_of_8_keys_does_not_take_31() {
    let [list, _] = mobile();
    let mut small: SyncKeys<[Row; 8]> = SyncKeys::new();
    let at = text(&list[..8].to_vec()).len() + 1;
    assert_eq!(small.read_text(&text(&list)), Err(TextError::TooManyKeys { at, capacity: 8 }));
    let mut out = [0; 776];
    let length = cursor(&list).encode(&mut out).unwrap();
    assert_eq!(small.decode(&out[..length]), Err(BodyError::TooManyKeys { capacity: 8 }));
    assert!(small.is_empty());
    let merged = list.iter().map(|(key, val)| small.merge(*key, *val)).collect::<Vec<_>>();
    assert_eq!(merged[8..], vec![Err(TooManyKeys { capacity: 8 }); 23]);
    assert!(small.entries().map(|entry| (entry.key, entry.val)).eq(list[..8].iter().copied()));
}
