use crate::outside::{any, buffer, bytes, duration, flag, keep, now, number, short, size};
use core::ops::ControlFlow;
use longlink::sync::{
    Ack, Acked, Epoch, Fetch, Item, Mailbox, Refusal, Request, RingDevice, RingItem, RingKey, RingMailbox, RingMemory,
    RingStorage, acknowledge, answer, answer_fetch, refusal,
};

pub fn call_all() {
    ring();
    answers(any(&mut Outside));
    answers(any(&mut any(&mut mailbox()).device(val(), now())));
    let mut outside = Outside;
    let any_other: &mut dyn Mailbox<Error = ()> = any(&mut outside);
    answers(any_other);
    keep(refusal(any(Refusal::RetryLater(duration()))));
}

fn answers<M: Mailbox + ?Sized>(mailbox: &mut M) {
    if let Ok(request) = Request::decode(bytes()) {
        keep(answer(&any(request), any(&mut *mailbox), buffer()).map(|answered| (answered.length, answered.is_empty)));
        // As nobody would decode it.
        let request = Request { all: flag(), epoch: any(None), max_items: short(), max_bytes: number(), ..request };
        keep(answer(&any(request), any(&mut *mailbox), buffer()).map(|answered| (answered.length, answered.moves)));
    }
    if let Ok(ack) = Ack::decode(bytes()) {
        keep(acknowledge(&any(ack), any(&mut *mailbox)).is_ok());
    }
    let fetch = Fetch::new(short(), any(Epoch::FIRST), val(), number(), number());
    keep(answer_fetch(&any(fetch), any(&mut *mailbox), buffer()).map(|answered| answered.length));
}

fn mailbox() -> RingMailbox<'static> {
    let memory = RingMemory {
        items: any::<&mut [RingItem]>(&mut []),
        bytes: buffer(),
        keys: any::<&mut [RingKey]>(&mut []),
        devices: any::<&mut [RingDevice]>(&mut []),
        acks: any::<&mut [u64]>(&mut []),
    };
    any(RingMailbox::new(any(Epoch::FIRST), memory))
}

fn ring() {
    let mut storage = RingStorage::<4, 64, 2, 2>::new();
    keep(any(&mut storage).mailbox(any(Epoch::FIRST)));
    let mut ring = mailbox();
    keep(any(&mut ring).append(short(), any(0), bytes()));
    keep(any(&mut ring).reserve(short(), any(0), size()));
    keep(any(&mut ring).finish(val(), bytes()));
    keep(any(&mut ring).cancel(val()));
    keep(any(&mut ring).expire(now(), duration()));
    keep(any(&mut ring).remove_device(val()));
    any(&mut ring).begin(any(Epoch::FIRST));
    keep((any(&ring).epoch(), any(&ring).len(), any(&ring).is_empty(), any(&ring).devices()));
    keep((any(&ring).head(short()), any(&ring).floor(short()), any(&ring).min_ack(short())));
    let mut view = any(any(&mut ring).device(val(), now()));
    keep(any(&mut view).epoch());
    keep(any(&mut view).next_key(any(None)));
    keep((any(&mut view).head(short()), any(&mut view).floor(short())));
    keep(any(&mut view).read(short(), val(), &mut |item| given(&item)));
    keep(any(&mut view).find(short(), val(), &mut |item| keep(given(&item))));
}

fn val() -> u64 {
    any(0)
}

/// What an application does with an item, and whether it wants another.
fn given(item: &Item<'_>) -> ControlFlow<()> {
    keep((item.key, item.val, item.op, item.total, item.bytes.first()));
    if flag() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// A mailbox that does not keep its word.
struct Outside;

impl Mailbox for Outside {
    type Error = ();

    fn epoch(&mut self) -> Result<Epoch, ()> {
        any(Ok(Epoch::FIRST))
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, ()> {
        keep(after);
        any(Ok(None))
    }

    fn head(&mut self, key: u16) -> Result<u64, ()> {
        keep(key);
        any(Ok(0))
    }

    fn floor(&mut self, key: u16) -> Result<u64, ()> {
        keep(key);
        any(Ok(0))
    }

    fn read(&mut self, key: u16, after: u64, each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Result<u64, ()> {
        keep((key, after));
        while flag() {
            keep(each(item()).is_break());
        }
        any(Ok(0))
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, ()> {
        keep((key, val));
        each(item());
        any(Ok(false))
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), ()> {
        keep((acked.all(), acked.is_selection()));
        acked.vals().for_each(keep);
        any(Ok(()))
    }
}

fn item() -> Item<'static> {
    any(Item { total: any(None), ..Item::new(short(), val(), any(0), bytes()) })
}
