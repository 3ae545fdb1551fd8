//! A device and its mailbox over sessions: what is asked, stored and acknowledged by itself.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic"
)]

mod support;

use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::session::{Client, Config, Event, Identity, Link, Server, ServerConfig, ServerEvent, Storage};
use longlink::sync::{self, Epoch, RingMailbox, RingStorage};
use longlink::wire::Decoder;
use support::native::DEVICE;
use support::{S, feed, written};

const CONFIG: Config<'static> =
    Config { identity: Some(Identity::volatile(DEVICE)), sync: Some(sync::Config::DEFAULT), ..Config::DEFAULT };

type Phone = Link<Client<'static>, &'static mut [u8]>;
type Gate = Link<Server<'static, Vec<u8>>, Vec<u8>>;

fn phone() -> Phone {
    let storage: &mut Storage = Box::leak(Box::new(Storage::new()));
    storage.client(&CONFIG).unwrap()
}

fn run(now: Instant, phone: &mut Phone, gate: &mut Gate, mailbox: &mut RingMailbox<'_>, log: &mut Vec<String>) {
    let mut ledger = Ledger::default();
    loop {
        phone.process(now, |client, event| tell(now, client, event, log));
        let up = written(phone, now);
        feed(gate, now, &up, |server, event| match event {
            ServerEvent::Hello(hello) => {
                let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                server.welcome(now, &ledger, greeted.resumed).unwrap();
            }
            ServerEvent::Sync { sequence, request } => {
                log.push(format!("asked {:?} {:?}", request.epoch, request.entries.collect::<Vec<_>>()));
                let _ = server.answer_sync(now, sequence, &request, &mut mailbox.device(7, now)).unwrap();
            }
            ServerEvent::SyncDone(ack) => {
                log.push(format!("acked {:?}", ack.entries.collect::<Vec<_>>()));
                sync::acknowledge(&ack, &mut mailbox.device(7, now)).unwrap();
            }
            other => log.push(format!("{other:?}")),
        });
        gate.process(now, |_, event| log.push(format!("{event:?}")));
        let down = written(gate, now);
        feed(phone, now, &down, |client, event| tell(now, client, event, log));
        if up.is_empty() && down.is_empty() {
            return;
        }
    }
}

fn tell(now: Instant, client: &mut Client<'static>, event: Event<'_>, log: &mut Vec<String>) {
    match event {
        Event::Page(page) => {
            for item in page.items() {
                log.push(format!("item {} {} {:?}", item.key, item.val, std::str::from_utf8(item.bytes).unwrap()));
            }
            let mut out = [0; 200];
            client.cursor_after(&page.receipt(), &mut out).unwrap();
            client.commit(now, &page.receipt()).unwrap();
        }
        other => log.push(format!("{other:?}")),
    }
}

#[test]
fn a_device_is_primed_and_then_gets_what_is_new() {
    let mut storage = Box::new(RingStorage::<32, 4096, 4, 4>::new());
    let mut mailbox = storage.mailbox(Epoch::FIRST);
    let mut log = Vec::new();
    let mut phone = phone();
    let config: &'static ServerConfig = &ServerConfig::DEFAULT;
    let mut gate = Link::new(Decoder::new(config.dialect, vec![0; 4096]).unwrap(), Server::new(config, S(0)).unwrap());
    gate.endpoint_mut().lend(vec![0; 4096]).unwrap();
    phone.handle_connected(S(0));
    run(S(0), &mut phone, &mut gate, &mut mailbox, &mut log);
    let val = mailbox.append(2, 0, b"hello").unwrap();
    gate.endpoint_mut().notify(S(1), Epoch::FIRST, 2, val);
    run(S(1), &mut phone, &mut gate, &mut mailbox, &mut log);
    println!("{log:#?}");
    assert!(log.iter().any(|line| line.contains("item 2 1 \"hello\"")), "{log:#?}");
}
