use crate::sync::body::{Head, item_head};
use crate::sync::{
    Ack, BodyError, Entry, Fetch, FetchReply, FetchStatus, MAX_KEYS, Notify, Page, Receipt, Request, Response, Row,
    SyncKeys,
};
use core::{fmt::Write, time::Duration};
use heapless::{String, Vec};

type Keys = SyncKeys<[Row; MAX_KEYS]>;
/// Room for the longest text: 5 and 20 digits and two separators for each key.
type Text = String<{ MAX_KEYS * 27 }>;

/// Target `sync_body`: the bytes as each body of sync, as a cursor and as its text.
///
/// A reply to a fetch comes behind its request.
pub fn sync_body(data: &[u8]) {
    request(data);
    lists(data);
    cursor(data);
    text(data);
    response(data);
    fetch(data);
}

/// Written again a request is the same, but for what need not be said.
fn request(data: &[u8]) {
    let Ok(request) = Request::decode(data) else { return };
    in_order(request.entries);
    assert!((1..=Request::MAX_ITEMS).contains(&request.items()) && request.max_bytes >= Request::MIN_BYTES);
    assert!(request.epoch.is_some() || request.entries.map(|entry| entry.val).all(|val| val == 0));
    let mut out = [0; 784];
    let length = request.encode(&mut out).unwrap();
    let said = |entry: &Entry| entry.val > 0 || !request.all;
    if request.entries.into_iter().all(|entry| said(&entry)) {
        assert_eq!(&out[..length], data);
    }
    let again = Request::decode(&out[..length]).unwrap();
    assert!(again.entries.eq(request.entries.filter(said)));
    assert_eq!(Request { entries: request.entries, ..again }, request);
    assert_eq!(request.encode_fixed(), data[..Request::LEN]);
}

/// Written again an acknowledgement and a notify are the same.
fn lists(data: &[u8]) {
    let mut out = [0; 776];
    if let Ok(ack) = Ack::decode(data) {
        in_order(ack.entries);
        assert_eq!(ack.encode(&mut out), Ok(data.len()));
        assert_eq!(&out[..data.len()], data);
        assert_eq!(ack.encode_fixed(), data[..Ack::LEN]);
    }
    let Ok(notify) = Notify::decode(data) else { return };
    in_order(notify.entries);
    assert!(notify.epoch.is_some() || notify.entries.is_empty());
    let length = notify.encode(&mut out).unwrap();
    // One that could not be read any further says only that there is something.
    let bare = notify.something && notify.epoch.is_none() && notify.entries.is_empty();
    assert!(bare || out[..length] == *data);
}

/// A cursor is read whole or not at all, and written the same.
fn cursor(data: &[u8]) {
    let mut keys = Keys::new();
    keys.read_text("1_2|3_4").unwrap();
    let before = keys.clone();
    if let Err(error) = keys.decode(data) {
        assert_eq!(keys, before, "{error}");
        return;
    }
    in_order(keys.entries());
    let mut out = [0; 776];
    assert_eq!(keys.encode(&mut out), Ok(data.len()));
    assert_eq!(&out[..data.len()], data);
    assert_eq!(Ack::decode(data).is_ok(), keys.epoch().is_some());

    // Key by key it becomes the same, from either end.
    let mut merged = Keys::new();
    merged.begin(keys.epoch());
    let entries = keys.entries().collect::<Vec<_, MAX_KEYS>>();
    for entry in entries.iter().rev() {
        assert_eq!(merged.merge(entry.key, entry.val), Ok(entry.val > 0));
        assert_eq!(merged.merge(entry.key, 0), Ok(false));
    }
    assert_eq!(merged, keys);
    for entry in &entries {
        assert_eq!(merged.val(entry.key), entry.val);
        merged.remove(entry.key);
        assert!(!merged.contains(entry.key));
    }
    assert!(merged.is_empty());

    // A smaller table takes it if it has the room.
    let mut small: SyncKeys<[Row; 8]> = SyncKeys::new();
    let too_many = Err(BodyError::TooManyKeys { capacity: 8 });
    assert_eq!(small.decode(data), if keys.len() > 8 { too_many } else { Ok(()) });
    text(written(&keys).as_bytes());
}

/// A text is read whole or not at all, and what is written is read as the same.
fn text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let mut keys = Keys::new();
    keys.merge(1, 2).unwrap();
    let before = keys.clone();
    if keys.read_text(text).is_err() {
        assert_eq!(keys, before);
        return;
    }
    in_order(keys.entries());
    let written = written(&keys);
    let mut again = Keys::new();
    again.read_text(&written).unwrap();
    assert_eq!(again, keys);
    // All that may differ are zeros in front of a number.
    let is_no_zero = |byte: &&u8| **byte != b'0';
    assert!(written.as_bytes().iter().filter(is_no_zero).eq(data.iter().filter(is_no_zero)));
}

fn written(keys: &Keys) -> Text {
    let mut text = Text::new();
    write!(text, "{keys}").unwrap();
    text
}

fn response(data: &[u8]) {
    let delay = |data: &[u8]| u32::from_be_bytes(*data.last_chunk().unwrap());
    match Response::decode(data) {
        Ok(Response::Page(page)) => check_page(&page, data),
        Ok(Response::RetryLater { after }) => {
            assert!(data.len() == Head::LEN && after <= Response::MAX_RETRY_AFTER);
            let named = if data[1] == Head::RETRY_LATER { delay(data) } else { 0 };
            assert_eq!(after, Duration::from_millis(named.into()).min(Response::MAX_RETRY_AFTER));
        }
        Ok(Response::Refused) => assert!(data.len() == Head::LEN && data[1] == Head::REFUSED && delay(data) == 0),
        Ok(Response::NotThisDevice) => {
            assert!(data.len() == Head::LEN && data[1] == Head::NOT_THIS_DEVICE && delay(data) == 0);
        }
        Err(_) => assert!(Receipt::from_bytes(0, data).is_err() || data[8..16] != [0; 8]),
    }
}

/// A page is what its parts are, in order, and no part of it is a page.
fn check_page(page: &Page<'_>, data: &[u8]) {
    in_order(page.entries());
    let (_, mut rest) = data.split_at(page.receipt().bytes().len());
    let (items_len, mut count, mut before) = (u32::try_from(rest.len()).unwrap(), 0, (0, 0));
    for item in page.items() {
        assert!(item.val > 0 && (count == 0 || (item.key, item.val) > before));
        let entry = page.entries().find(|entry| entry.key == item.key).unwrap();
        assert!(item.val <= entry.val);
        assert!(item.total.is_none_or(|total| total as usize > item.bytes.len()));
        before = (item.key, item.val);
        count += 1;
        rest = rest.strip_prefix(&item_head(&item)).unwrap();
        rest = item.total.map_or(rest, |total| rest.strip_prefix(&total.to_be_bytes()).unwrap());
        rest = rest.strip_prefix(item.bytes).unwrap();
    }
    assert!(rest.is_empty());
    assert_eq!(page.items().len(), usize::from(count));

    let status = if page.is_reset() { Head::RESET_ALL } else { Head::OK };
    let n = u16::try_from(page.entries().len()).unwrap();
    // A reset always has more, whatever it says.
    let more = page.has_more() && !(page.is_reset() && data[11] == 0);
    let head = Head { status, n, epoch: Some(page.epoch()), items: count, more, items_len, retry_after_ms: 0 };
    let mut rest = page.receipt().bytes().strip_prefix(&head.to_bytes()).unwrap();
    for entry in page.entries() {
        rest = rest.strip_prefix(&entry.to_row()).unwrap();
    }
    assert!(rest.is_empty());

    for length in 0..data.len().min(256) {
        assert!(matches!(Response::decode(&data[..length]), Err(BodyError::Length { .. })));
    }
    // Every entry is shown to who asked, once, and an item that is not new is found.
    let mut shown = page.entries();
    let judged = Response::decode_after(data, &mut |entry| {
        assert_eq!(shown.next(), Some(*entry));
        Ok(entry.val)
    });
    assert_eq!(judged.is_ok(), count == 0);
    assert!(judged.is_err() || shown.next().is_none());
    receipts(page);
}

/// A receipt is its bytes, and a part of it moves a part of the keys.
fn receipts(page: &Page<'_>) {
    let receipt = page.with_id(7).receipt();
    assert_eq!(Receipt::from_bytes(7, receipt.bytes()), Ok(receipt));
    assert!(receipt.vals().eq(page.entries()));
    for (n, item) in page.items().enumerate().take(40) {
        let part = receipt.up_to(&item);
        let reached = |key, val| part.vals().any(|entry| entry.key == key && val <= entry.val);
        assert_eq!(page.items().filter(|item| reached(item.key, item.val)).count(), n + 1);
        assert_eq!(part.vals().last().map(|entry| (entry.key, entry.val)), Some((item.key, item.val)));
        let is_whole = receipt.vals().eq(part.vals());
        assert_eq!(part.has_more(), page.has_more() || !is_whole);
        assert_eq!(part.up_to(&item), part);
    }
}

fn fetch(data: &[u8]) {
    let Some((front, reply)) = data.split_at_checked(Fetch::LEN) else { return };
    let Ok(fetch) = Fetch::decode(front) else { return };
    assert_eq!(fetch.to_bytes(), front);
    assert!(fetch.val > 0 && fetch.max >= Fetch::MIN_MAX);
    let Ok(answer) = FetchReply::decode(reply, &fetch) else { return };
    assert!(answer.retry_after <= Response::MAX_RETRY_AFTER);
    if answer.status == FetchStatus::Ok {
        let end = u64::from(answer.offset) + answer.bytes.len() as u64;
        assert!(answer.offset == fetch.offset && end <= answer.total.into());
        assert!(!answer.bytes.is_empty() || end == answer.total.into());
        assert!(reply.len() <= fetch.max as usize);
    } else {
        assert!(answer.bytes.is_empty());
    }
    if answer.status != FetchStatus::RetryLater {
        assert_eq!(reply.strip_prefix(&answer.encode_fixed()), Some(answer.bytes));
    }
}

/// Ascending, each key once, and not more than there may be.
fn in_order(entries: impl ExactSizeIterator<Item = Entry>) {
    assert!(entries.len() <= MAX_KEYS);
    assert!(entries.map(|entry| entry.key).is_sorted_by(|key, next| key < next));
}
