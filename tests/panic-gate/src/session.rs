use crate::outside::{Fickle, any, body, buffer, bytes, dialect, duration, keep, now, number, size};
use longlink::session::{
    Client, Config, ConfigError, Disconnect, Endpoint, GoAway, GoAwayCode, Link, Server, ServerConfig, Storage, Work,
};
use longlink::wire::{BufferTooSmall, Decoded, Decoder, FrameError, decode};

pub fn call_all() {
    configs();
    reasons();
    storage(Storage::<1024, 1024, 8>::new());
    storage(Storage::<0, 0, 0>::default());
    clients();
    servers(buffer(), buffer());
    servers(any([0; 64]), any([0; 64]));
    servers(Fickle, Fickle);
}

fn configs() {
    keep(any(&Config::default()).check());
    keep(any(&ServerConfig::default()).check());
    keep(ConfigError::from(BufferTooSmall { required: size() }));
}

fn reasons() {
    let why: Disconnect = any(Disconnect::Closed);
    keep(why.is_orderly());
    keep(why.name());
    keep(any(why) == any(why));

    keep(GoAway::new(any(GoAwayCode::Done)).with_retry_after(duration()));
    keep((GoAway::LEN, GoAway::MAX_RETRY_AFTER));
    if let Some(goaway) = any(GoAway::from_bytes(bytes())) {
        keep(any(goaway).code().to_byte());
        keep(any(goaway).retry_after());
        keep(any(goaway).to_bytes());
    }
}

fn storage<const RX: usize, const TX: usize, const SLOTS: usize>(mut storage: Storage<RX, TX, SLOTS>) {
    keep(any(&mut storage).lend());
    if let Ok(mut held) = any(&mut storage).client(any(&Config::DEFAULT)) {
        any(&mut held).handle_connected(now());
        link(&mut held, client);
    }
}

fn clients() {
    let work = Work { rx: 1_024, tx: buffer(), slots: any(&mut []) };
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
    link(&mut held, server);
}

/// Commands and questions of the connecting side.
pub fn client(client: &mut Client<'_>) {
    any(&mut *client).handle_connected(now());
    keep(any(&mut *client).request(now(), number(), bytes()));
    keep(any(&mut *client).request_with(now(), number(), duration(), body));
    keep(any(&mut *client).send_one_way(now(), number(), bytes()));
    any(&mut *client).heartbeat(now());
    any(&mut *client).close(now());
    keep(any(&*client).is_online());
    keep(any(&*client).is_settled());
    keep(any(&*client).awaits_heartbeat());
    keep(any(&*client).stats());
}

/// Commands and questions of the accepting side.
pub fn server<B: AsRef<[u8]> + AsMut<[u8]>>(server: &mut Server<'_, B>) {
    keep(any(&mut *server).reclaim());
    keep(any(&*server).has_buffer());
    keep(any(&mut *server).welcome(now(), bytes()));
    keep(any(&mut *server).refuse(now(), bytes()));
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
