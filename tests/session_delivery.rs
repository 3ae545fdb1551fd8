//! A message is stored once: client and server over one link after the other.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::Instant;
use longlink::delivery::{Ledger, Slot, Verdict};
use longlink::session::{
    Client, Config, Disconnect, Event, Identity, Link, Refuse, Server, ServerConfig, ServerEvent, Work,
};
use longlink::wire::Decoder;
use std::num::NonZeroU64;
use support::{S, client, feed, server, written};

type ClientLink = Link<Client<'static>, &'static mut [u8]>;
type ServerLink = Link<Server<'static, Vec<u8>>, Vec<u8>>;

const DEVICE: NonZeroU64 = NonZeroU64::new(7).unwrap();
const GREETS: Config<'static> = Config { identity: Some(Identity::volatile(DEVICE)), ..Config::DEFAULT };

#[derive(Default)]
struct Store {
    ledger: Ledger,
    messages: Vec<(u32, u32, Vec<u8>)>,
}

impl Store {
    fn handle(&mut self, now: Instant, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(hello) => match self.ledger.greet(hello.epoch, hello.link) {
                Ok(greeted) => server.welcome(now, &self.ledger, greeted.resumed).unwrap(),
                Err(stale) => server.refuse(now, &Refuse::from(stale)).unwrap(),
            },
            ServerEvent::Message { id, frame } => match self.ledger.accept(&id) {
                Some(verdict) => {
                    if verdict == Verdict::Fresh {
                        self.messages.push((id.epoch.get(), id.sequence, frame.body().to_vec()));
                    }
                    server.accept(now, &id).unwrap();
                }
                None => panic!("not the lease"),
            },
            other => println!("{other:?}"),
        }
    }
}

fn exchange(now: Instant, client: &mut ClientLink, server: &mut ServerLink, store: &mut Store) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        client.process(now, |_, event| told.push(format!("{event:?}")));
        let up = written(client, now);
        feed(server, now, &up, |server, event| store.handle(now, server, event));
        let down = written(server, now);
        feed(client, now, &down, |_, event| told.push(format!("{event:?}")));
        if up.is_empty() && down.is_empty() {
            return told;
        }
    }
}

#[test]
fn a_message_is_stored_once_over_two_links() {
    let (mut client, mut store) = (client(GREETS), Store::default());
    client.endpoint_mut().send(S(0), b"offline").unwrap();
    client.handle_connected(S(1));
    let mut one = server(ServerConfig::DEFAULT, S(1));
    let told = exchange(S(1), &mut client, &mut one, &mut store);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("Online"), "{told:?}");
    assert!(told[1].starts_with("Delivered"), "{told:?}");
    client.endpoint_mut().send(S(2), b"two").unwrap();
    let up = written(&mut client, S(2));
    feed(&mut one, S(2), &up, |server, event| store.handle(S(2), server, event));
    // The answer is lost with the link.
    client.handle_connected(S(3));
    let mut two = server(ServerConfig::DEFAULT, S(3));
    let told = exchange(S(3), &mut client, &mut two, &mut store);
    println!("{told:?}");
    assert!(told.iter().any(|line| line.starts_with("Delivered")), "{told:?}");
    assert_eq!(store.messages, [(1, 1, b"offline".to_vec()), (1, 2, b"two".to_vec())]);
    assert!(client.endpoint().is_settled());
}

#[test]
fn messages_from_storage_keep_to_the_window_too() {
    const KEEPS: Config<'static> =
        Config { identity: Some(Identity { keeps_state: true, ..Identity::volatile(DEVICE) }), ..Config::DEFAULT };
    let link = || -> ClientLink {
        let (rx, tx, slots) = (vec![0; 1_024].leak(), vec![0; 4_096].leak(), vec![Slot::FREE; 128].leak());
        let client = Client::new(&KEEPS, Work { rx: rx.len(), tx, slots, sync: None, dialer: None }).unwrap();
        Link::new(Decoder::new(KEEPS.dialect, rx).unwrap(), client)
    };
    let (mut ledger, mut offered, mut stored) = (<Ledger>::new(), 0, [0; 4_096]);
    // Greets, and stores the state. The server has nothing to say of messages.
    let mut greet = |now: Instant, client: &mut ClientLink| {
        client.handle_connected(now);
        let mut server = server(ServerConfig { pending: 128, ..ServerConfig::DEFAULT }, now);
        for _ in 0..3 {
            let up = written(client, now);
            feed(&mut server, now, &up, |server, event| match event {
                ServerEvent::Hello(hello) => {
                    let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                    server.welcome(now, &ledger, greeted.resumed).unwrap();
                }
                ServerEvent::Message { .. } => offered += 1,
                other => panic!("{other:?}"),
            });
            let down = written(&mut server, now);
            feed(client, now, &down, |_, _| {});
            client.endpoint_mut().save(now, &mut stored).unwrap();
            client.endpoint_mut().handle_saved(now);
        }
        server.endpoint().stats().frames_received
    };
    let mut before = link();
    greet(S(1), &mut before);
    for _ in 0..100 {
        before.endpoint_mut().send(S(1), b"").unwrap();
    }
    let mut state = vec![0; before.endpoint().state_len()];
    before.endpoint_mut().save(S(1), &mut state).unwrap();
    let mut after = link();
    after.endpoint_mut().restore(S(2), &state).unwrap();
    assert_eq!(greet(S(2), &mut after), 1 + 64, "a hello, and what the window spans");
    assert_eq!(offered, 64);
}

#[test]
fn a_hello_that_comes_back_ends_the_wait_for_its_answer_at_once() {
    let mut link = client(GREETS);
    link.handle_connected(S(0));
    let hello = written(&mut link, S(0));
    feed(&mut link, S(1), &hello, |_, event| panic!("{event:?}"));
    assert_eq!(link.closing(), Some(Disconnect::NoGreeting));

    let mut link = client(Config { requires_greeting: false, ..GREETS });
    link.endpoint_mut().send(S(0), b"to whomever").unwrap();
    link.handle_connected(S(0));
    let hello = written(&mut link, S(0));
    let mut online = 0;
    feed(&mut link, S(1), &hello, |_, event| {
        online += usize::from(matches!(event, Event::Online { resumed: false, .. }))
    });
    assert_eq!((online, link.closing()), (1, None));
    assert_eq!(written(&mut link, S(1)).len(), 16 + 11, "the message");
}
