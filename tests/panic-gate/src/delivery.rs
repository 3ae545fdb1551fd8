use crate::outside::{Fickle, any, body, buffer, dialect, duration, flag, keep, now, number, size};
use longlink::delivery::{Inflight, LAST_SEQUENCE, Outbox, Slot, Token};

pub fn call_all() {
    keep(LAST_SEQUENCE);
    inflight();
    outbox(buffer(), buffer());
    outbox(any([0; 64]), any([0; 64]));
    outbox(Fickle, Fickle);
}

fn inflight() {
    keep([Slot::FREE, Slot::default()]);
    let mut inflight = Inflight::new(any(&mut []));
    keep(any(&inflight).next());
    keep(any(&mut inflight).open(number(), number(), duration()).map(Token::sequence));
    keep(any(&mut inflight).take_sequence());
    any(&mut inflight).handle_written(now(), number());
    keep(any(&mut inflight).settle(number(), number()));
    any(&mut inflight).handle_skipped(number(), number());
    any(&mut inflight).handle_timeout(now());
    any(&mut inflight).rebase(now());
    any(&mut inflight).handle_disconnected();
    keep(any(&mut inflight).poll_ended());
    keep(any(&inflight).poll_timeout());
    keep(any(&inflight).is_empty());
    keep(any(&inflight).is_full());
}

fn outbox<B: AsRef<[u8]> + AsMut<[u8]>>(buffer: B, spare: B) {
    let mut outbox = Outbox::new(dialect(), any(Some(buffer)));
    keep(any(&mut outbox).lend(spare));
    keep(any(&mut outbox).reclaim());
    keep(any(&outbox).has_buffer());
    keep(any(&mut outbox).push(number(), number(), body));
    keep(any(&outbox).run(flag()));
    any(&mut outbox).sent(size(), keep);
    any(&mut outbox).clear();
    keep(any(&outbox).is_begun());
    keep(any(&outbox).is_empty());
    keep(any(&outbox).queued());
    keep(any(&outbox).capacity());
}
