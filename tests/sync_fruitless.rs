//! What a device may ask in a second that gets it nowhere.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic"
)]

mod support;

use longlink::delivery::Ledger;
use longlink::session::{Client, Config, Endpoint, Identity, Link, Server, ServerConfig, ServerEvent, Storage};
use longlink::sync::{Epoch, Request, RingStorage, SYNC};
use longlink::wire::{Decoder, Dialect, encode};
use std::time::Duration;
use support::native::DEVICE;
use support::{S, feed, written};

/// How many of the requests that a device makes for 10 s, one right after the other, are answered.
fn answered(epoch: Option<Epoch>) -> u32 {
    const CONFIG: Config<'static> = Config { identity: Some(Identity::volatile(DEVICE)), ..Config::DEFAULT };
    let mut mailboxes = Box::new(RingStorage::<32, 4096, 4, 4>::new());
    let mut mailbox = mailboxes.mailbox(Epoch::FIRST);
    let storage: &'static mut Storage = Box::leak(Box::new(Storage::new()));
    let mut phone: Link<Client<'static>, &'static mut [u8]> = storage.client(&CONFIG).unwrap();
    let config: &'static ServerConfig = &ServerConfig::DEFAULT;
    let mut gate: Link<Server<'static, Vec<u8>>, Vec<u8>> =
        Link::new(Decoder::new(config.dialect, vec![0; 4096]).unwrap(), Server::new(config, S(0)).unwrap());
    gate.endpoint_mut().lend(vec![0; 4096]).unwrap();
    phone.handle_connected(S(0));
    let hello = written(&mut phone, S(0));
    let mut ledger = Ledger::default();
    feed(&mut gate, S(0), &hello, |server, event| {
        let ServerEvent::Hello(hello) = event else { return };
        let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
        server.welcome(S(0), &ledger, greeted.resumed).unwrap();
    });
    written(&mut gate, S(0));

    let request = Request { epoch, ..Request::DEFAULT };
    let mut body = [0; 64];
    let length = request.encode(&mut body).unwrap();
    let (mut answers, mut now) = (0, S(0));
    for sequence in 1..=u32::MAX {
        now = now + Duration::from_millis(5);
        if now > S(10) {
            return answers;
        }
        gate.process(now, |_, _| {});
        if !gate.endpoint().can_take() {
            continue;
        }
        let mut frame = [0; 128];
        let n = encode(&Dialect::LONGLINK, SYNC, sequence, &body[..length], &mut frame).unwrap();
        feed(&mut gate, now, &frame[..n], |server, event| {
            let ServerEvent::Sync { sequence, request } = event else { return };
            server.answer_sync(now, sequence, &request, &mut mailbox.device(7, now)).unwrap();
            answers += 1;
        });
        written(&mut gate, now);
    }
    answers
}

#[test]
fn a_device_that_gets_nowhere_is_answered_five_times_a_second() {
    let most = 5 * 10 + 10;
    assert!(answered(Some(Epoch::FIRST)) <= most, "nothing new");
    let begins = answered(None);
    let elsewhere = answered(Epoch::new(9));
    assert!(begins <= most && elsewhere <= most, "begins {begins} times, is of another epoch {elsewhere} times");
}
