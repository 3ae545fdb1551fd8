use crate::outside::{any, buffer, bytes, duration, flag, keep, number, short};
use longlink::sync::{
    Ack, Entries, Entry, Epoch, FETCH, Fetch, FetchReply, FetchStatus, Item, Items, MAX_KEYS, NOTIFY, Notify, Page,
    Receipt, Request, Response, Row, SYNC, SYNC_DONE, SyncKeys,
};

pub fn call_all() {
    keep((SYNC, FETCH, SYNC_DONE, NOTIFY, MAX_KEYS));
    epochs();
    cursors();
    requests();
    lists();
    responses();
    fetches();
}

pub fn epoch() -> Epoch {
    any(Epoch::FIRST)
}

/// Any val, from two numbers.
pub fn val() -> u64 {
    u64::from(number()) << 32 | u64::from(number())
}

pub fn item() -> Item<'static> {
    any(Item { total: any(Some(number())), ..Item::new(short(), val(), any(0), bytes()) })
}

fn epochs() {
    keep(Epoch::new(number()));
    keep(epoch().get());
    keep(epoch() < epoch());
    keep((item().is_stub(), item() == item()));
}

fn cursors() {
    cursor(any(&mut SyncKeys::<[Row; 0]>::new()));
    cursor(any(&mut SyncKeys::<[Row; 8]>::default()));
    cursor(any(&mut SyncKeys::<[Row; 100]>::new()));
    cursor(any(&mut SyncKeys::with_rows(rows())));
    cursor(any(&mut SyncKeys::with_rows(Fickle)));
    // Of a size that is not known here.
    let mut table: SyncKeys<[Row; 8]> = SyncKeys::new();
    let unsized_table: &mut SyncKeys = any(&mut table);
    cursor(unsized_table);
    keep(any(&table).clone() == table);
}

fn cursor<R: ?Sized + AsRef<[Row]> + AsMut<[Row]>>(keys: &mut SyncKeys<R>) {
    keep(any(&mut *keys).merge(short(), val()));
    keep(any(&mut *keys).decode(bytes()));
    keep(any(&mut *keys).read_text(any("")));
    let keys = any(&*keys);
    keep((keys.epoch(), keys.len(), keys.is_empty(), keys.capacity()));
    keep((any(keys).val(short()), any(keys).contains(short())));
    keep(any(keys).encode(buffer()));
    entries(any(keys).entries());
    keep(keys == any(keys));
}

fn entries(entries: Entries<'_>) {
    let mut entries = any(entries);
    keep((entries.len(), entries.is_empty(), entries.size_hint()));
    keep(entries.next());
    any(entries).for_each(keep);
    keep(Entries::EMPTY == Entries::default());
    keep(Entry::new(short(), val()) == Entry::default());
}

fn requests() {
    keep((Request::LEN, Request::DEFAULT_ITEMS, Request::MAX_ITEMS, Request::MIN_BYTES));
    keep([Request::DEFAULT, Request::default()]);
    if let Ok(request) = any(Request::decode(bytes())) {
        entries(request.entries);
    }
    let table = any(SyncKeys::<[Row; 8]>::new());
    let request = any(Request {
        all: flag(),
        continues: flag(),
        retries: flag(),
        epoch: Epoch::new(number()),
        max_items: short(),
        hold: short(),
        max_bytes: number(),
        entries: table.entries(),
    });
    keep(any(request).encode(buffer()));
    keep(any(request).encode_fixed());
    keep((request.items(), request == any(request)));
}

fn lists() {
    keep((Ack::LEN, Notify::LEN));
    if let Ok(ack) = any(Ack::decode(bytes())) {
        entries(ack.entries);
        keep(any(ack).encode(buffer()));
        keep(any(ack).encode_fixed());
        keep(ack == any(ack));
    }
    if let Ok(notify) = any(Notify::decode(bytes())) {
        entries(notify.entries);
        keep(any(notify).encode(buffer()));
        keep(notify == any(notify));
    }
    keep(Notify::one(epoch(), short(), val()));
    keep(Notify::something(epoch()));
}

fn responses() {
    keep(Response::MAX_RETRY_AFTER);
    if let Ok(Response::Page(page)) = any(Response::decode(bytes())) {
        self::page(page);
    }
    if let Ok(rebuilt) = any(Receipt::from_bytes(number(), bytes())) {
        receipt(rebuilt);
    }
}

pub fn page(page: Page<'_>) {
    let page = any(page);
    keep((page.id(), page.epoch(), page.is_reset(), page.has_more()));
    entries(page.entries());
    items(page.items());
    receipt(page.receipt());
    keep(page == any(page));
}

fn items(items: Items<'_>) {
    let mut items = any(items);
    keep((items.len(), items.size_hint(), items == any(items)));
    keep(items.next());
    any(items).for_each(keep);
}

fn receipt(receipt: Receipt<'_>) {
    let receipt = any(any(receipt).up_to(&item()));
    keep((receipt.id(), receipt.bytes(), receipt.epoch(), receipt.is_reset(), receipt.has_more()));
    any(receipt).vals().for_each(keep);
    keep(receipt == any(receipt));
}

fn fetches() {
    keep((Fetch::LEN, Fetch::MIN_MAX, FetchReply::LEN));
    let fetch = any(Fetch::new(short(), epoch(), val(), number(), number()));
    keep(fetch.to_bytes());
    keep(Fetch::decode(bytes()));
    keep(FetchReply::decode(bytes(), &fetch));
    let status = any(FetchStatus::Ok);
    keep(status.to_byte());
    let reply = any(FetchReply { retry_after: duration(), bytes: bytes(), ..FetchReply::new(status) });
    keep(reply.encode_fixed());
}

/// A table that is lent, of any length.
fn rows() -> &'static mut [Row] {
    any(&mut [])
}

/// A table that does not keep its word: it is another one each time it is asked.
struct Fickle;

impl AsRef<[Row]> for Fickle {
    fn as_ref(&self) -> &[Row] {
        rows()
    }
}

impl AsMut<[Row]> for Fickle {
    fn as_mut(&mut self) -> &mut [Row] {
        rows()
    }
}
