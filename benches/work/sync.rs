//! A mailbox and its device, in memory: pages read, and pages written.

use longlink::Instant;
use longlink::sync::{
    Epoch, Request, Response, RingDevice, RingItem, RingKey, RingMailbox, RingMemory, Row, SyncKeys, answer,
};
use std::hint::black_box;

const EPOCH: Epoch = Epoch::FIRST;
const NOW: Instant = Instant::from_secs(1);
/// Items in a page: as many as a device asks for that does not say how many.
pub(crate) const PAGE: usize = PAGE_ITEMS as usize;
const PAGE_ITEMS: u16 = 100;
/// The keys of a mailbox, written to in turn.
const KEYS: u16 = 4;

/// Reads pages of `count` items in all, and looks at each item.
#[inline(never)]
pub(crate) fn pages(count: usize) {
    let mut memory = Memory::new(PAGE);
    let mut out = vec![0; 8_192];
    let length = write(&mut memory.mailbox(), &[], &mut out);
    let mut walked = 0;
    for _ in 0..count / PAGE {
        let Ok(Response::Page(page)) = Response::decode(black_box(&out[..length])) else { panic!("no page") };
        for item in page.items() {
            black_box(item.bytes);
            black_box((item.key, item.val));
            walked += 1;
        }
    }
    assert_eq!(walked, count);
}

/// Writes pages of `count` items in all, the newest of a mailbox that keeps `kept`.
#[inline(never)]
pub(crate) fn answers(count: usize, kept: usize) {
    let mut memory = Memory::new(kept);
    let mut mailbox = memory.mailbox();
    let mut out = vec![0; 8_192];
    // Another device has nothing yet, so all of it is kept.
    write(&mut mailbox, &[], &mut out);
    let vals: Vec<(u16, u64)> = (0..KEYS).map(|key| (key, mailbox.head(key).saturating_sub(PAGE as u64))).collect();
    let mut walked = 0;
    for _ in 0..count / PAGE {
        let length = write(&mut mailbox, black_box(&vals), &mut out);
        assert_eq!(black_box(&out)[8..10], PAGE_ITEMS.to_be_bytes());
        assert!(length > PAGE * 64);
        walked += PAGE;
    }
    assert_eq!((walked, mailbox.len() as usize), (count, kept));
}

/// Answers a device that has so much, and returns the length.
fn write(mailbox: &mut RingMailbox<'_>, vals: &[(u16, u64)], out: &mut [u8]) -> usize {
    let mut keys: SyncKeys<[Row; KEYS as usize]> = SyncKeys::new();
    for (key, val) in vals {
        keys.merge(*key, *val).unwrap();
    }
    let request = Request {
        all: true,
        continues: false,
        retries: false,
        epoch: Some(EPOCH),
        max_items: PAGE_ITEMS,
        hold: 0,
        max_bytes: 8_192,
        entries: keys.entries(),
    };
    let device = 1 + u64::from(!vals.is_empty());
    answer(&request, &mut mailbox.device(device, NOW), out).unwrap().length
}

struct Memory {
    items: Vec<RingItem>,
    bytes: Vec<u8>,
    keys: [RingKey; KEYS as usize],
    devices: [RingDevice; 2],
    acks: [u64; 8],
}

impl Memory {
    fn new(items: usize) -> Self {
        Self {
            items: vec![RingItem::FREE; items],
            bytes: vec![0; items * 48],
            keys: [RingKey::FREE; KEYS as usize],
            devices: [RingDevice::FREE; 2],
            acks: [0; 8],
        }
    }

    /// Full of items of 48 bytes.
    fn mailbox(&mut self) -> RingMailbox<'_> {
        let Self { items, bytes, keys, devices, acks } = self;
        let (count, body) = (items.len(), super::body(48));
        let mut mailbox = RingMailbox::new(EPOCH, RingMemory { items, bytes, keys, devices, acks });
        for key in (0..KEYS).cycle().take(count) {
            mailbox.append(key, 0, &body).unwrap();
        }
        mailbox
    }
}
