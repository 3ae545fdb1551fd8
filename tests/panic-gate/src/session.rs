use crate::delivery::{epoch, id, message_policy, rejection, request_policy};
use crate::outside::{Fickle, any, body, buffer, bytes, dialect, duration, flag, keep, now, number, numbered, size};
use core::num::NonZeroU64;
use longlink::delivery::{Ledger, Stale, Token, WindowError};
use longlink::session::{
    Client, Config, ConfigError, Disconnect, Endpoint, GoAway, GoAwayCode, Hello, HelloError, HelloReply,
    HelloReplyError, HelloStatus, Identity, Link, Refuse, Server, ServerConfig, Storage, Work,
};
use longlink::wire::{BufferTooSmall, Decoded, Decoder, FrameError, decode};

pub fn call_all() {
    configs();
    reasons();
    greetings();
    storage(Storage::<1024, 1024, 8>::new());
    storage(Storage::<0, 0, 0>::default());
    clients();
    servers(buffer(), buffer());
    servers(any([0; 64]), any([0; 64]));
    servers(Fickle, Fickle);
    wide_servers::<3>();
    wide_servers::<16>();
}

fn configs() {
    keep(any(&Config::default()).check());
    keep(any(&ServerConfig::default()).check());
    keep(ConfigError::from(BufferTooSmall { required: size() }));
    keep(Identity::volatile(any(NonZeroU64::MIN)));
}

fn reasons() {
    let why: Disconnect = any(Disconnect::Closed);
    keep(why.is_orderly());
    keep(why.name());
    keep(any(why) == any(why));
    if let Disconnect::Rejected(refusal) = any(why) {
        keep(any(refusal).status());
        keep(any(refusal).retry_after());
    }

    keep(GoAway::new(any(GoAwayCode::Done)).with_retry_after(duration()));
    keep((GoAway::LEN, GoAway::MAX_RETRY_AFTER));
    if let Some(goaway) = any(GoAway::from_bytes(bytes())) {
        keep(any(goaway).code().to_byte());
        keep(any(goaway).retry_after());
        keep(any(goaway).to_bytes());
    }
}

fn greetings() {
    keep((Hello::VERSION, Hello::LEN, Hello::MAX_TOKEN, Hello::MIN_MAX_FRAME));
    if let Ok(hello) = any(Hello::decode(bytes())) {
        keep(any(&hello).encode_fixed());
        keep(any(hello) == any(hello));
    }
    keep((HelloReply::LEN, HelloReply::MIN_BITMAP, HelloReply::MAX_BITMAP, HelloReply::MIN_IDLE));
    if let Ok(reply) = any(HelloReply::decode(bytes())) {
        keep(any(&reply).encode_fixed());
        keep(any(reply) == any(reply));
    }
    let status = any(HelloStatus::from_byte(any(0)));
    keep((status.to_byte(), any(status).is_permanent()));
    let stale = any(Stale::Link { current: number() });
    keep((HelloStatus::from(stale), Refuse::from(any(stale)), Refuse::new(any(status))));
    keep(HelloStatus::from(any(HelloError::Truncated { length: size() })));
    keep(HelloReplyError::from(any(WindowError::Last { last: number() })));
}

fn storage<const RX: usize, const TX: usize, const SLOTS: usize>(mut storage: Storage<RX, TX, SLOTS>) {
    keep(any(&mut storage).lend());
    if let Ok(mut held) = any(&mut storage).client(any(&Config::DEFAULT)) {
        crate::dialing::link(&mut held);
        link(&mut held, client);
    }
}

fn clients() {
    let work = Work { rx: 1_024, tx: buffer(), slots: any(&mut []), sync: None, dialer: None };
    if let Ok(mut idle) = Client::new(any(&Config::DEFAULT), work) {
        client(&mut idle);
        endpoint(&mut idle);
    }
}

fn servers<B: AsRef<[u8]> + AsMut<[u8]>>(receive: B, transmit: B) {
    let (Ok(decoder), Ok(accepted)) =
        (Decoder::new(dialect(), receive), Server::new(any(&ServerConfig::DEFAULT), now()))
    else {
        return;
    };
    let mut held = Link::new(decoder, accepted);
    keep(any(&mut held).endpoint_mut().lend(transmit));
    link(&mut held, server::<B, 1>);
}

// What a client takes of a microcontroller, besides its buffers and slots.
const _: () = assert!(size_of::<Client<'_>>() <= 512);

/// Links that remember more than 64 messages.
fn wide_servers<const WORDS: usize>() {
    if let Ok(mut accepted) = Server::<_, WORDS>::with_window(any(&ServerConfig::DEFAULT), now()) {
        keep(any(&mut accepted).lend(buffer()));
        server(&mut accepted);
        endpoint(&mut accepted);
    }
}

/// Commands and questions of the connecting side.
pub fn client(client: &mut Client<'_>) {
    any(&mut *client).handle_connected(now());
    let sent = any(&mut *client).send(now(), bytes());
    keep(sent.map(Token::sequence));
    keep(any(sent).is_err_and(|error| any(&error).is_temporary()));
    keep(any(&mut *client).send_with(now(), &message_policy(), body));
    keep(any(&mut *client).send_sealed(now(), &message_policy(), |epoch, sequence, room| {
        keep(epoch);
        numbered(sequence, room)
    }));
    keep(any(&mut *client).send_again(now(), any(None), number(), bytes()));
    keep(any(&mut *client).request(now(), number(), bytes()));
    keep(any(&mut *client).request_with(now(), number(), &request_policy(), body));
    keep(any(&mut *client).send_one_way(now(), number(), bytes()));
    if let Ok(token) = any(sent) {
        any(&mut *client).cancel(now(), token);
    }
    any(&mut *client).flush(now());
    any(&mut *client).heartbeat(now());
    any(&mut *client).close(now());
    keep(any(&*client).is_online());
    keep(any(&*client).is_settled());
    keep(any(&*client).unsettled());
    keep(any(&*client).epoch());
    keep(any(&*client).awaits_heartbeat());
    keep(any(&*client).longest_frame());
    keep(any(&*client).stats());
    crate::sync_client::client(client);
    crate::dialing::client(client);
    state(client);
}

/// What outlives a client's process.
fn state(client: &mut Client<'_>) {
    keep(any(&*client).needs_saving());
    keep(any(&*client).state_len());
    any(&*client).messages().for_each(keep);
    keep(any(&mut *client).save(now(), buffer()));
    any(&mut *client).handle_saved(now());
    keep(any(&mut *client).restore(now(), bytes()));
}

/// Commands and questions of the accepting side.
pub fn server<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize>(server: &mut Server<'_, B, WORDS>) {
    keep(any(&mut *server).reclaim());
    keep(any(&*server).has_buffer());
    crate::sync_client::server(server);
    let mut ledger: Ledger<WORDS> = any(Ledger::new());
    keep(any(&mut ledger).greet(any(Some(epoch())), number()));
    keep(any(&mut *server).welcome(now(), &ledger, flag()));
    keep(any(&mut *server).refuse(now(), &any(Refuse::new(HelloStatus::Busy))));
    keep(any(&mut *server).welcome_with(now(), bytes()));
    keep(any(&mut *server).refuse_with(now(), bytes()));
    keep(any(&mut *server).accept(now(), &id()));
    keep(any(&mut *server).reject(now(), &id(), rejection()));
    keep(any(&mut *server).release(now(), &id()));
    keep(any(&*server).pending());
    any(&mut *server).misbehaves(now());
    keep(any(&mut *server).reply(now(), number(), number(), bytes()));
    keep(any(&mut *server).push(now(), number(), bytes()));
    keep(any(&mut *server).send(now(), number(), number(), body));
    any(&mut *server).close(now(), any(GoAway::new(GoAwayCode::Done)));
    any(&mut *server).set_counter(number());
    keep(any(&*server).is_open());
    keep(any(&*server).stats());
}

/// What both sides have in common.
fn endpoint<E: Endpoint>(endpoint: &mut E) {
    any(&mut *endpoint).handle_received(now(), size());
    if let Ok(Decoded::Frame(frame)) = decode(dialect(), bytes()) {
        keep(any(&mut *endpoint).handle_frame(now(), any(frame)));
    }
    any(&mut *endpoint).handle_malformed(now(), any(FrameError::Truncated { missing: 0 }));
    any(&mut *endpoint).handle_sent(now(), size());
    any(&mut *endpoint).handle_timeout(now());
    keep(any(&mut *endpoint).handle_disconnected(now(), any(Disconnect::Transport)));
    keep(any(&mut *endpoint).poll_transmit());
    keep(any(&mut *endpoint).poll_event());
    keep(any(&*endpoint).next_timer());
    keep(any(&*endpoint).poll_timeout());
    keep(any(&*endpoint).closing());
    keep(any(&*endpoint).can_take());
    keep(any(&*endpoint).is_undecided());
}

/// An endpoint and its decoder, with the endpoint's own `commands` given at any time.
fn link<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<E, B>, commands: fn(&mut E)) {
    commands(any(&mut *link).endpoint_mut());
    endpoint(any(&mut *link).endpoint_mut());
    keep(any(&mut *link).split());
    keep(any(&*link).decoder());
    keep(any(&*link).endpoint());
    keep(any(&mut *link).space());
    any(&mut *link).handle_read(now(), size());
    any(&mut *link).process(now(), |endpoint, event| {
        keep(event);
        commands(endpoint);
    });
    any(&mut *link).handle_end();
    keep(any(&*link).is_ended());
    keep(any(&mut *link).poll_transmit());
    any(&mut *link).handle_sent(now(), size());
    keep(any(&*link).poll_timeout());
    keep(any(&*link).closing());
    keep(any(&mut *link).over());
    keep(any(&mut *link).handle_disconnected(now(), any(Disconnect::Transport)));
}
