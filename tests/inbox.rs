//! The inbox of the example client: whose it is, and what a hostile server can put into it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub
)]

#[path = "../examples/support/inbox.rs"]
#[allow(dead_code)]
mod inbox;
mod support;
#[path = "../examples/support/syncing.rs"]
#[allow(dead_code)]
mod syncing;

use longlink::delivery::Ledger;
use longlink::session::{Client, Config, Event, Identity, Link, Server, ServerConfig, ServerEvent, Storage};
use longlink::sync::{self, FETCH, FetchReply, FetchStatus, SYNC};
use longlink::wire::Decoder;
use support::native::{DEVICE, REPLY};
use support::{S, feed, written};

const CONFIG: Config<'static> =
    Config { identity: Some(Identity::volatile(DEVICE)), sync: Some(sync::Config::DEFAULT), ..Config::DEFAULT };

/// Epoch 1, key 1 at val 1, of which the first byte is there, and 4 GiB are to be had.
const PAGE: &[u8] = b"\x01\0\0\x01\0\0\0\x01\0\x01\0\0\0\0\0\x15\0\0\0\0\
    \0\x01\0\0\0\0\0\0\0\0\0\x01\
    \0\x01\x01\x01\0\0\0\x05\0\0\0\0\0\0\0\x01\xFF\xFF\xFF\xFFx";

#[test]
fn an_endless_item_is_not_gathered_for_ever() {
    let mut syncing = syncing::Syncing::new(inbox::Inbox::in_memory().unwrap(), 60_000);
    let mut storage = Box::new(Storage::<65_792, 4_096, 8>::new());
    let mut phone: Link<Client<'_>, &mut [u8]> = storage.client(&CONFIG).unwrap();
    let config = ServerConfig { frame_interval: std::time::Duration::ZERO, ..ServerConfig::DEFAULT };
    let mut gate: Link<Server<'_, Vec<u8>>, Vec<u8>> =
        Link::new(Decoder::new(config.dialect, vec![0; 4_096]).unwrap(), Server::new(&config, S(0)).unwrap());
    gate.endpoint_mut().lend(vec![0; 70_000]).unwrap();
    phone.handle_connected(S(0));
    let (mut ledger, mut gathered) = (Ledger::default(), 0_usize);
    for _ in 0..2_000 {
        let up = written(&mut phone, S(1));
        feed(&mut gate, S(1), &up, |server, event| match event {
            ServerEvent::Hello(hello) => {
                let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                server.welcome(S(1), &ledger, greeted.resumed).unwrap();
            }
            ServerEvent::Sync { sequence, .. } => server
                .send(S(1), SYNC + REPLY, sequence, |room| {
                    room[..PAGE.len()].copy_from_slice(PAGE);
                    Ok(PAGE.len())
                })
                .unwrap(),
            ServerEvent::Fetch { sequence, fetch } => {
                let reply = FetchReply { total: u32::MAX, offset: fetch.offset, ..FetchReply::new(FetchStatus::Ok) };
                let length = fetch.max as usize;
                gathered += length - FetchReply::LEN;
                server
                    .send(S(1), FETCH + REPLY, sequence, |room| {
                        room[..FetchReply::LEN].copy_from_slice(&reply.encode_fixed());
                        Ok(length)
                    })
                    .unwrap();
            }
            _ => {}
        });
        let down = written(&mut gate, S(1));
        feed(&mut phone, S(1), &down, |client, event| {
            match event {
                Event::Page(page) => syncing.handle_page(&page),
                Event::Reply { token, frame } => assert!(syncing.handle_reply(S(1), client, token, frame.body())),
                _ => {}
            }
            syncing.act(S(1), client).unwrap();
        });
    }
    assert!(gathered < 40 << 20, "{} MiB in memory, and no end", gathered >> 20);
}

#[test]
fn whose_an_inbox_is_can_be_read() {
    let (inbox, five) = (inbox::Inbox::in_memory().unwrap(), std::num::NonZeroU64::new(5).unwrap());
    inbox.claim("ann", five).unwrap();
    let error = inbox.claim("", five).unwrap_err().to_string();
    assert!(error.contains("\"ann\""), "{error}");
}
