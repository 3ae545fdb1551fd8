use crate::outside::{Fickle, any, body, buffer, bytes, dialect, duration, flag, keep, now, number, numbered, size};
use longlink::delivery::{
    Accepted, DedupWindow, Epoch, LAST_SEQUENCE, Ledger, LedgerError, MessageId, MessagePolicy, Outbox, PushError,
    Queue, RejectCode, Rejection, RequestPolicy, Slot, Token, WindowError,
};
use longlink::wire::{BufferTooSmall, EncodeError};

pub fn call_all() {
    keep(LAST_SEQUENCE);
    keep([MessagePolicy::DEFAULT, MessagePolicy::default()]);
    keep([RequestPolicy::DEFAULT, RequestPolicy::default()]);
    epochs();
    window::<1>();
    window::<3>();
    window::<16>();
    ledger::<1>();
    ledger::<3>();
    ledger::<16>();
    accepted();
    rejections();
    outbox();
    queue(buffer(), buffer());
    queue(any([0; 64]), any([0; 64]));
    queue(Fickle, Fickle);
}

pub fn epoch() -> Epoch {
    any(Epoch::FIRST)
}

pub fn id() -> MessageId {
    any(MessageId { epoch: epoch(), link: number(), sequence: number() })
}

pub fn message_policy() -> MessagePolicy {
    any(MessagePolicy { attempts: 5, lifetime: duration(), timeout: Some(duration()) })
}

pub fn request_policy() -> RequestPolicy {
    any(RequestPolicy { timeout: duration(), asks_again: flag() })
}

pub fn rejection() -> Rejection {
    any(Rejection::new(any(RejectCode::Refused)))
}

fn epochs() {
    keep((Epoch::FIRST, Epoch::MAX));
    keep(Epoch::new(number()));
    keep(epoch().get());
    keep(epoch().next());
    keep(epoch() < epoch());
    keep(id() == id());
}

fn window<const WORDS: usize>() {
    let mut window = DedupWindow::<WORDS>::new();
    keep(DedupWindow::<WORDS>::default());
    keep((DedupWindow::<WORDS>::WIDTH, DedupWindow::<WORDS>::BITMAP_LEN));
    if let Ok(restored) = any(DedupWindow::<WORDS>::from_bitmap(number(), bytes())) {
        window = restored;
    }
    keep(any(&window).write_bitmap(buffer()));
    keep(any(&window).snapshot(buffer()));
    keep(any(&window).last());
    keep(any(&window).check(number()));
    keep(any(&window).is_accepted(number()));
    keep(any(&mut window).accept(number()));
    keep(any(&window) == any(&window));
}

fn ledger<const WORDS: usize>() {
    let mut ledger = Ledger::<WORDS>::new();
    keep(Ledger::<WORDS>::default());
    keep(Ledger::<WORDS>::LEN);
    if let Ok(restored) = any(Ledger::<WORDS>::read(bytes())) {
        ledger = restored;
    }
    keep(any(&mut ledger).greet(any(Some(epoch())), number()));
    keep(any(&ledger).check(&id()));
    keep(any(&mut ledger).accept(&id()));
    keep(any(&ledger).epoch());
    keep(any(&ledger).link());
    keep(any(&ledger).window());
    keep(any(&ledger).write(buffer()));
    keep(LedgerError::from(any(WindowError::Last { last: number() })));
}

fn accepted() {
    keep(Accepted::NONE);
    if let Ok(accepted) = any(Accepted::new(number(), bytes())) {
        keep(any(&accepted).last());
        keep(any(&accepted).bitmap());
        keep(any(&accepted).width());
        keep(any(&accepted).contains(number()));
        keep(any(&accepted).standing(number()));
    }
}

fn rejections() {
    keep(Rejection::LEN);
    keep(rejection().to_bytes());
    keep(Rejection::from_bytes(bytes()));
}

fn outbox() {
    keep([Slot::FREE, Slot::default()]);
    keep((Outbox::LEAST_WIDTH, Outbox::BATCH));
    let mut outbox = Outbox::new(dialect(), buffer(), any(&mut [])).with_linger(duration(), size());
    let pushed = any(&mut outbox).push(now(), &message_policy(), (size(), flag()), numbered);
    keep(pushed.map(Token::sequence));
    keep(any(&mut outbox).push_as(now(), &message_policy(), number(), bytes()));
    keep(any(&mut outbox).push_request(number(), &request_policy(), size(), body));
    keep(any(&mut outbox).push_one_way(now(), number(), bytes()));
    if let Ok(token) = any(pushed) {
        keep(any(&mut outbox).cancel(token));
        keep(any(token) == any(token));
    }
    any(&mut outbox).flush();
    keep(any(&mut outbox).take_sequence());
    keep(any(&mut outbox).poll_transmit(flag()));
    any(&mut outbox).handle_sent(now(), size());
    keep(any(&mut outbox).handle_reply(now(), number(), number(), bytes()));
    any(&mut outbox).handle_skipped(number(), number());
    keep(any(&mut outbox).handle_timeout(now(), now()));
    any(&mut outbox).rebase(now());
    any(&mut outbox).handle_disconnected(flag());
    any(&mut outbox).freeze();
    any(&mut outbox).halt();
    keep(any(&mut outbox).poll_ended());
    keep(any(&outbox).poll_timeout());
    keep(any(&outbox).is_due());
    keep(any(&outbox).is_begun());
    keep(any(&outbox).queued());
    keep(any(&outbox).is_settled());
    keep(any(&outbox).is_quiet());
    keep(any(&outbox).unsettled());
    keep(any(&outbox).capacity());
    any(&outbox).messages().for_each(keep);
    keep(PushError::from(any(EncodeError::Buffer(BufferTooSmall { required: size() }))));
}

fn queue<B: AsRef<[u8]> + AsMut<[u8]>>(buffer: B, spare: B) {
    let mut queue = Queue::new(dialect().layout, any(Some(buffer)));
    keep(any(&mut queue).lend(spare));
    keep(any(&mut queue).reclaim());
    keep(any(&queue).has_buffer());
    keep(any(&mut queue).push(dialect(), (number(), number()), number(), body));
    keep(any(&queue).poll_transmit(flag()));
    any(&mut queue).handle_sent(size());
    any(&mut queue).clear();
    keep(any(&queue).is_begun());
    keep(any(&queue).is_empty());
    keep(any(&queue).queued());
    keep(any(&queue).capacity());
}
