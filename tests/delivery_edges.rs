//! Where two rules of delivery meet: late answers, messages taken back, refusals that contradict, configurations that
//! cannot work.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{Epoch, Ledger, MessagePolicy};
use longlink::session::{Config, ConfigError, Disconnect, Event, GoAwayCode, Identity, SendError, ServerConfig};
use longlink::wire::{Dialect, ReplyRule};
use std::time::Duration;
use support::native::{DEVICE, Device, Gate, Service, VOLATILE, Welcome};
use support::{S, feed, goaway, server, written};

const NAMED: Config<'static> =
    Config { identity: Some(Identity { epoch: Epoch::new(10), ..Identity::volatile(DEVICE) }), ..Config::DEFAULT };

/// Moves bytes between a device and a server's link until nothing moves.
fn swap(device: &mut Device, gate: &mut Gate, ledger: &mut Ledger) {
    for _ in 0..4 {
        let up = device.bytes();
        if !up.is_empty() {
            gate.feed(ledger, &up);
        }
        let down = written(&mut gate.link, gate.now);
        if !down.is_empty() {
            device.feed(&down);
        }
    }
}

fn greeted(config: ServerConfig) -> (Device, Gate, Ledger) {
    let (mut device, mut gate, mut ledger) = (Device::new(VOLATILE), Gate::new(config, S(0)), Ledger::new());
    device.link.handle_connected(S(0));
    device.process();
    swap(&mut device, &mut gate, &mut ledger);
    (device, gate, ledger)
}

#[test]
fn a_greeting_that_no_client_could_take_is_refused_as_a_configuration() {
    let server = ServerConfig { max_frame: 200, ..ServerConfig::DEFAULT };
    assert!(matches!(server.check(), Err(ConfigError::Buffer(short)) if short.required == 272));
    const SHORT: Dialect = Dialect { max_frame: 300, ..Dialect::LONGLINK };
    let client = Config { dialect: &SHORT, hello: Some(&[7; 400]), ..VOLATILE };
    assert_eq!(client.check(), Err(ConfigError::HelloTooLong { length: 16 + 28 + 400, limit: 300 }));
}

#[test]
fn no_refusal_takes_a_client_back_into_an_epoch_that_it_used() {
    let mut device = Device::new(NAMED);
    device.greet(&[]);
    device.send(b"one");
    device.messages();
    device.ack(1);
    device.cut();
    device.connect();
    // 9 is in force, says a replica that lags behind.
    device.welcome(&Welcome::refusing(5, 9, 0));
    assert_eq!(device.client().epoch(), Epoch::new(11));
}

#[test]
fn a_store_that_is_out_for_a_while_fails_no_message() {
    let mut device = Device::new(VOLATILE);
    device.send(b"precious");
    for _ in 0..2 * MessagePolicy::DEFAULT.attempts {
        device.connect();
        device.greet(&[]);
        assert_eq!(device.messages(), [1]);
        device.feed(&goaway(GoAwayCode::Restart));
        device.link.handle_disconnected(device.now, Disconnect::PeerClosed);
        assert!(!device.told().iter().any(|line| line.starts_with("failed")));
    }
    assert_eq!(device.client().unsettled(), 1);
}

#[test]
fn a_message_taken_back_while_it_is_undecided_holds_up_none_of_those_after_the_window() {
    let (mut device, mut gate, mut ledger) = greeted(ServerConfig { ordered: false, ..ServerConfig::DEFAULT });
    let slow = device.send(b"slow");
    swap(&mut device, &mut gate, &mut ledger);
    device.cancel(slow);
    let (undecided, _) = gate.offered.remove(0);
    for _ in 0..80 {
        device.send(b"x");
        swap(&mut device, &mut gate, &mut ledger);
        for (id, _) in std::mem::take(&mut gate.offered) {
            assert!(ledger.accept(&id).is_some());
            gate.server().accept(S(0), &id).unwrap();
        }
        swap(&mut device, &mut gate, &mut ledger);
    }
    assert_eq!((gate.link.closing(), device.client().unsettled()), (None, 0));
    assert!(gate.server().accept(S(0), &undecided).is_err(), "what fell out of the window is void");
    gate.now = gate.now + Duration::from_secs(1);
}

#[test]
fn an_echo_of_four_bytes_is_no_rejection() {
    const SAME: Dialect = Dialect { reply_rule: ReplyRule::Same, ..Dialect::LONGLINK };
    let mut device = Device::new(Config { dialect: &SAME, identity: None, ..Config::DEFAULT });
    device.link.handle_connected(S(0));
    device.process();
    device.send(b"ping");
    let echo = device.bytes();
    device.feed(&echo);
    assert_eq!(device.client().unsettled(), 1);
}

#[test]
fn what_went_out_without_identity_is_not_sent_again_after_a_welcome_that_came_late() {
    let (mut device, mut service) = (Device::new(Config { requires_greeting: false, ..NAMED }), Service::default());
    device.send(b"once");
    let mut late = server(ServerConfig::DEFAULT, S(0));
    device.link.handle_connected(S(0));
    let hello = device.bytes();
    feed(&mut late, S(9), &hello, |server, event| service.handle(1, S(9), server, event));
    let welcome = written(&mut late, S(9));
    device.pass_until(10);
    device.process();
    let message = device.bytes();
    feed(&mut late, S(10), &message, |server, event| service.handle(1, S(10), server, event));
    device.feed(&welcome);
    // The acknowledgement is lost with the link.
    device.now = S(11);
    for _ in 0..2 {
        let mut next = server(ServerConfig::DEFAULT, S(11));
        device.link.handle_connected(S(11));
        for _ in 0..4 {
            let up = device.bytes();
            if !up.is_empty() {
                feed(&mut next, S(11), &up, |server, event| service.handle(1, S(11), server, event));
            }
            let down = written(&mut next, S(11));
            if !down.is_empty() {
                device.feed(&down);
            }
        }
    }
    assert_eq!(service.stored.len(), 1, "{:?}", device.told());
}

#[test]
fn an_end_names_the_epoch_in_which_its_sequence_counts() {
    let mut device = Device::new(VOLATILE);
    let early = device.send(b"before the first greeting");
    assert_eq!(early.epoch(), None);
    device.greet(&[]);
    device.messages();
    let (epoch, now) = (device.client().epoch(), device.now);
    device.client().cancel(now, early);
    let mut ended = None;
    device.link.process(now, |_, event| {
        if let Event::Cancelled { token, written: true } = event {
            ended = Some(token);
        }
    });
    let ended = ended.unwrap();
    assert_eq!((ended, ended.epoch(), ended.sequence()), (early, epoch, 1));
    assert!(epoch.is_some());
    device.client().send_again(now, ended.epoch(), ended.sequence(), b"before the first greeting").unwrap();
    assert_eq!(device.client().send_again(now, Epoch::new(99), 1, b"x"), Err(SendError::EpochOver));
}
