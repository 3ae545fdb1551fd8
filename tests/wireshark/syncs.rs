//! The bodies that bring a device up to date.

use crate::bodies::{Body, error, fields};
use crate::capture::Side::{Device, Server};
use longlink::Instant;
use longlink::sync::{
    self, Ack, Fetch, FetchReply, FetchStatus, Notify, Request, Response, RingStorage, Row, SyncKeys,
};
use std::time::Duration;

pub(crate) fn syncs() -> Vec<Body> {
    let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
    keys.merge(2, 1).unwrap();
    keys.merge(5, u64::MAX).unwrap();
    let epoch = sync::Epoch::new(7).unwrap();
    let mut request = Request::DEFAULT;
    (request.all, request.retries, request.epoch) = (true, true, Some(epoch));
    (request.max_items, request.hold, request.max_bytes, request.entries) = (50, 30, 300, keys.entries());
    let mut asked = vec![0; 128];
    let length = request.encode(&mut asked).unwrap();
    asked.truncate(length);
    let ask = Body {
        name: "sync",
        from: Device,
        command: sync::SYNC,
        sequence: 6,
        bytes: asked,
        fields: fields! {
            "sync.version": 1; "sync.all": 1; "sync.continue": 0; "sync.retry": 1; "sync.keys": 2; "sync.epoch": 7;
            "sync.max_items": 50; "sync.hold": 30; "sync.max_bytes": 300; "entry.key": 2, 5; "entry.val": 1, u64::MAX;
        },
        judge: |body| error(Request::decode(body)),
    };
    let page = Body {
        name: "sync reply",
        from: Server,
        command: 1_000_000_121,
        bytes: answered(&request, epoch),
        fields: fields! {
            "sync_reply.version": 1; "sync_reply.status": 0; "sync_reply.epoch": 7; "sync_reply.items": 3;
            "sync_reply.more": 0; "sync_reply.keys": 3; "sync_reply.retry_after": 0; "entry.key": 2, 5, 9;
            "entry.val": 3, 0, 4; "entry.reset": 0, 1, 0; "entry.gap": 0, 0, 0; "item.key": 2, 2, 9; "item.val": 2, 3, 4;
            "item.op": 11, 12, 13; "item.stub": 0, 0, 1; "item.total": 300;
        },
        judge: |body| error(Response::decode(body)),
        ..ask
    };
    let later = Body {
        sequence: 7,
        fields: fields! { "sync_reply.status": 2; "sync_reply.retry_after": 1_500; },
        bytes: {
            let later = sync::Refusal::RetryLater(Duration::from_millis(1_500));
            sync::refusal(later).to_vec()
        },
        ..page
    };
    let again = Body { sequence: 7, bytes: ask.bytes.clone(), fields: vec![], ..ask };
    vec![ask, page, again, later]
}

/// A page of a mailbox: two items of key 2, of which there were three, an unknown key, and a stub.
fn answered(request: &Request<'_>, epoch: sync::Epoch) -> Vec<u8> {
    let mut storage: RingStorage<16, 4_096> = RingStorage::new();
    let mut mailbox = storage.mailbox(epoch);
    for (key, op, body) in [(2, 10, &b"seen"[..]), (2, 11, b"HTTP/1.1 200 OK\n"), (2, 12, b""), (9, 13, &[0xAB; 300])] {
        mailbox.append(key, op, body).unwrap();
    }
    let mut page = vec![0; 300];
    let answered = sync::answer(request, &mut mailbox.device(7, Instant::ZERO), &mut page).unwrap();
    page.truncate(answered.length);
    page
}

pub(crate) fn notices() -> Vec<Body> {
    let epoch = sync::Epoch::new(7).unwrap();
    let mut keys: SyncKeys<[Row; 8]> = SyncKeys::new();
    keys.merge(2, 3).unwrap();
    keys.merge(400, 1 << 40).unwrap();
    let write = |encode: &dyn Fn(&mut [u8]) -> usize| {
        let mut out = vec![0; 128];
        let length = encode(&mut out);
        out.truncate(length);
        out
    };
    let ack = Ack { epoch, entries: keys.entries() };
    let done = Body {
        name: "sync done",
        from: Device,
        command: sync::SYNC_DONE,
        sequence: 0,
        bytes: write(&|out| ack.encode(out).unwrap()),
        fields: fields! {
            "sync_done.version": 1; "sync_done.keys": 2; "sync_done.epoch": 7; "entry.key": 2, 400; "entry.val": 3, 1_u64 << 40;
        },
        judge: |body| error(Ack::decode(body)),
    };
    let notify = Body {
        name: "notify",
        from: Server,
        command: sync::NOTIFY,
        bytes: Notify::one(epoch, 400, u64::MAX).to_vec(),
        fields: fields! {
            "notify.version": 1; "notify.something": 0; "notify.keys": 1; "notify.epoch": 7; "entry.key": 400;
            "entry.val": u64::MAX;
        },
        judge: |body| error(Notify::decode(body)),
        ..done
    };
    let something = Body {
        bytes: Notify::something(epoch).to_vec(),
        fields: fields! { "notify.something": 1; "notify.keys": 0; "notify.epoch": 7; },
        ..notify
    };
    let bare = Body { bytes: vec![0, 0, 0, 6], fields: fields! { "body": "00:00:00:06"; }, ..notify };
    vec![done, notify, something, bare]
}

pub(crate) fn fetches() -> Vec<Body> {
    let epoch = sync::Epoch::new(7).unwrap();
    let fetch = Body {
        name: "fetch",
        from: Device,
        command: sync::FETCH,
        sequence: 8,
        bytes: Fetch::new(9, epoch, 1 << 33, 200, 1_024).to_bytes().to_vec(),
        fields: fields! {
            "fetch.version": 1; "fetch.key": 9; "fetch.epoch": 7; "fetch.val": 1_u64 << 33; "fetch.offset": 200;
            "fetch.max": 1_024;
        },
        judge: |body| error(Fetch::decode(body)),
    };
    let mut part = FetchReply::new(FetchStatus::Ok);
    (part.total, part.offset, part.bytes) = (205, 200, b"five.");
    let reply = Body {
        name: "fetch reply",
        from: Server,
        command: 1_000_000_125,
        bytes: [&part.encode_fixed()[..], part.bytes].concat(),
        fields: fields! {
            "fetch_reply.version": 1; "fetch_reply.status": 0; "fetch_reply.total": 205; "fetch_reply.offset": 200;
            "fetch_reply.retry_after": 0; "fetch_reply.bytes": "66:69:76:65:2e";
        },
        // Whatever was asked for: that only the request could tell.
        judge: |body| {
            let offset = body.get(8..12).map_or(0, |word| u32::from_be_bytes(word.try_into().unwrap()));
            error(FetchReply::decode(body, &Fetch::new(9, sync::Epoch::FIRST, 1, offset, u32::MAX)))
        },
        ..fetch
    };
    let again = Body { sequence: 9, bytes: fetch.bytes.clone(), fields: vec![], ..fetch };
    let mut later = FetchReply::new(FetchStatus::RetryLater);
    later.retry_after = Duration::from_millis(250);
    let wait = Body {
        sequence: 9,
        bytes: later.encode_fixed().to_vec(),
        fields: fields! { "fetch_reply.status": 2; "fetch_reply.retry_after": 250; },
        ..reply
    };
    vec![fetch, reply, again, wait]
}
