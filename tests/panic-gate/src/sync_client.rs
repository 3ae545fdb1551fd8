use crate::outside::{any, buffer, bytes, duration, keep, now, number, short, size};
use longlink::session::{Client as Session, Server as Link};
use longlink::sync::{
    Client, Config, Epoch, Fetch, Memory, Page, Receipt, Refusal, Request, Response, RingStorage, Row, Server, Wanted,
};

pub fn call_all() {
    const CONFIG: Config<'_> = Config { keys: Wanted::Listed(&[1, 2]), ..Config::DEFAULT };
    keep(any(&CONFIG).check(size(), size()));
    keep(any(&Config::default()).check(size(), size()));
    let mut memory = Memory::<[Row; 8]>::new();
    keep(any(&memory as &Memory).capacity());
    if let Ok(mut client) = Client::new(any(&Config::DEFAULT), any(&mut memory), val(), size()) {
        device(&mut client);
    }
    // Without room for a key.
    if let Ok(mut client) = Client::new(any(&CONFIG), any(&mut Memory::<[Row; 0]>::default()), val(), size()) {
        device(&mut client);
    }
    keep(Server::default());
    let mut link = any(Server::new());
    keep(any(&mut link).handle_request(now(), number()));
    keep(any(&link).awaits(number()));
    if let Ok(request) = Request::decode(bytes()) {
        keep(any(&mut link).hold(now(), number(), &any(request)));
    }
    any(&mut link).refuse(now(), number(), any(Refusal::RetryLater(duration())));
    any(&mut link).refuse_fetch(number());
    any(&mut link).notify(any(Epoch::FIRST), short(), val());
}

fn device(client: &mut Client<'_>) {
    keep(any(&mut *client).restore(bytes()).is_ok());
    any(&mut *client).handle_online(now());
    any(&mut *client).handle_disconnected();
    any(&mut *client).want(now());
    any(&mut *client).handle_notify(now(), bytes());
    keep(any(&mut *client).poll_request());
    any(&mut *client).handle_request_sent(now());
    keep(any(&*client).poll_ack());
    any(&mut *client).handle_ack_sent();
    keep(any(&mut *client).handle_response(now(), number(), bytes()));
    any(&mut *client).handle_skipped(now(), number());
    keep(any(&mut *client).handle_timeout(now(), any(None)));
    any(&mut *client).rebase(now());
    keep(any(&mut *client).poll_event());
    keep((any(&*client).poll_timeout(), any(&*client).rows().len(), any(&*client).keys().len()));
    keep(any(&*client).cursor(buffer()));
    keep((any(&*client).is_due(), any(&*client).owes_ack(), any(&*client).is_awaiting(number())));
    keep((any(&*client).is_applying(), any(&*client).is_caught_up()));
    any(&mut *client).abandon(now());
    if let (Some(page), Ok(receipt)) = (page(), Receipt::from_bytes(number(), bytes())) {
        keep(any(&*client).cursor_after(&any(receipt), buffer()));
        keep(any(&mut *client).commit(now(), &any(receipt)).is_ok());
        for item in page.items() {
            keep(any(&mut *client).reject(now(), &any(receipt), &any(item)).is_ok());
        }
    }
}

/// The mailbox of a session.
pub fn client(client: &mut Session<'_>) {
    any(&mut *client).sync(now());
    any(&mut *client).abandon(now());
    keep(any(&*client).cursor().map(|keys| keys.len()));
    keep(any(&mut *client).restore_cursor(bytes()).is_ok());
    keep(any(&*client).is_caught_up());
    if let (Some(page), Ok(receipt)) = (page(), Receipt::from_bytes(number(), bytes())) {
        keep(any(&*client).cursor_after(&any(receipt), buffer()));
        keep(any(&mut *client).commit(now(), &any(receipt)).is_ok());
        for item in page.items() {
            keep(any(&mut *client).reject(now(), &any(receipt), &any(item)).is_ok());
        }
    }
}

/// What a link says of mailboxes.
pub fn server<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize>(server: &mut Link<'_, B, WORDS>) {
    let mut storage = RingStorage::<4, 64, 2, 2>::new();
    let mut ring = any(&mut storage).mailbox(any(Epoch::FIRST));
    if let Ok(request) = Request::decode(bytes()) {
        let mut mailbox = any(&mut ring).device(val(), now());
        let answered = any(&mut *server).answer_sync(now(), number(), &any(request), &mut mailbox);
        keep(answered.map(|answered| answered.length));
    }
    let fetch = Fetch::new(short(), any(Epoch::FIRST), val(), number(), number());
    let mut mailbox = any(&mut ring).device(val(), now());
    let answered = any(&mut *server).answer_fetch(now(), number(), &any(fetch), &mut mailbox);
    keep(answered.map(|answered| answered.length));
    any(&mut *server).refuse_sync(now(), number(), any(Refusal::Bad));
    any(&mut *server).notify(now(), any(Epoch::FIRST), short(), val());
}

fn page() -> Option<Page<'static>> {
    match Response::decode(bytes()) {
        Ok(Response::Page(page)) => Some(any(page)),
        _ => None,
    }
}

fn val() -> u64 {
    any(0)
}
