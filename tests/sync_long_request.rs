//! A cursor whose request is longer than a frame may be.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic"
)]

mod support;

use longlink::delivery::Ledger;
use longlink::session::{Client, Config, Event, Identity, Link, Server, ServerConfig, ServerEvent, Storage};
use longlink::sync::{self, Epoch, Row, SyncError, SyncKeys};
use longlink::wire::{Decoder, Dialect};
use support::native::DEVICE;
use support::{S, feed, written};

/// What becomes of a device with 30 keys and a message, where the server takes frames of 300 bytes.
fn run(dialect: &'static Dialect) -> (Vec<SyncError>, bool) {
    let config: &'static Config<'static> = Box::leak(Box::new(Config {
        dialect,
        identity: Some(Identity::volatile(DEVICE)),
        sync: Some(sync::Config::DEFAULT),
        ..Config::DEFAULT
    }));
    let storage: &'static mut Storage<2048, 2048, 8, 30> = Box::leak(Box::new(Storage::new()));
    let mut phone: Link<Client<'static>, &'static mut [u8]> = storage.client(config).unwrap();
    let mut keys: SyncKeys<[Row; 64]> = SyncKeys::new();
    let mut bytes = [0; 800];
    // A cursor of an epoch, as it is stored.
    for key in 1..=30 {
        keys.merge(key, 5).unwrap();
    }
    let length = keys.encode(&mut bytes).unwrap();
    bytes[4..8].copy_from_slice(&Epoch::FIRST.get().to_be_bytes());
    phone.endpoint_mut().restore_cursor(&bytes[..length]).unwrap();

    let served: &'static ServerConfig =
        Box::leak(Box::new(ServerConfig { dialect, max_frame: 300, ..ServerConfig::DEFAULT }));
    let mut gate: Link<Server<'static, Vec<u8>>, Vec<u8>> =
        Link::new(Decoder::new(dialect, vec![0; 300]).unwrap(), Server::new(served, S(0)).unwrap());
    gate.endpoint_mut().lend(vec![0; 4096]).unwrap();
    phone.handle_connected(S(0));
    let (mut ledger, mut failed, mut stored) = (Ledger::default(), Vec::new(), false);
    for step in 0..200 {
        let now = S(step);
        phone.process(now, |client, event| match event {
            Event::Online { .. } => drop(client.send(now, b"hello").unwrap()),
            Event::SyncFailed(error) => failed.push(error),
            _ => {}
        });
        for byte in written(&mut phone, now) {
            feed(&mut gate, now, &[byte], |server, event| match event {
                ServerEvent::Hello(hello) => {
                    let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                    server.welcome(now, &ledger, greeted.resumed).unwrap();
                }
                ServerEvent::Message { id, .. } => {
                    stored = true;
                    server.accept(now, &id).unwrap();
                }
                _ => {}
            });
        }
        gate.process(now, |_, _| {});
        let down = written(&mut gate, now);
        feed(&mut phone, now, &down, |client, event| match event {
            Event::Online { .. } => drop(client.send(now, b"hello").unwrap()),
            Event::SyncFailed(error) => failed.push(error),
            _ => {}
        });
    }
    (failed, stored)
}

#[test]
fn a_request_that_the_server_does_not_take_is_refused_and_not_lost() {
    let (failed, stored) = run(&Dialect::LONGLINK);
    assert!(stored);
    assert_eq!(failed.first(), Some(&SyncError::Refused), "{failed:?}");
}
