//! One link of a device at a time stores: greetings, leases, links that are late.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{AcceptError, Epoch, Ledger, MessageId, RejectCode, Rejection, Verdict};
use longlink::session::{Config, Disconnect, GoAway, GoAwayCode, HelloReplyError, HelloStatus, Identity, ServerConfig};
use std::time::Duration;
use support::native::{DEVICE, Device, Gate, Greets, HELLO, KEPT, REPLY, Service, VOLATILE, Welcome, epoch};
use support::{S, frame};

const DIALECT: &longlink::wire::Dialect = &longlink::wire::Dialect::LONGLINK;

fn hello(epoch: u32, link: u32) -> Vec<u8> {
    Greets { epoch, link, resume: false }.frame_of(DEVICE.get())
}

/// The status, epoch and link of the only frame that was written, a reply to a hello.
fn reply(gate: &mut Gate) -> (u8, u32, u32) {
    let frames = gate.frames();
    assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HELLO + REPLY]);
    let word = |at: usize| u32::from_be_bytes(frames[0].body[at..at + 4].try_into().unwrap());
    (frames[0].body[1], word(8), word(12))
}

#[test]
fn what_an_old_link_still_delivers_after_the_new_greeting_is_neither_stored_nor_acknowledged() {
    // The old link's pending messages are accepted before the new greeting, after it, or never.
    for accepted_before in [0, 1, 2, 3] {
        let mut ledger = Ledger::new();
        let mut old = Gate::greeted(&mut ledger, 1);
        for sequence in 1..=3 {
            old.message(&mut ledger, sequence, b"old");
        }
        for sequence in 1..=accepted_before {
            assert_eq!(ledger.accept(&old.id(sequence)), Some(Verdict::Fresh));
        }
        let mut new = Gate::greeted(&mut ledger, 2);
        // The old link goes on: what is pending there, and what still comes.
        old.message(&mut ledger, 4, b"late");
        for sequence in accepted_before + 1..=4 {
            assert_eq!(ledger.accept(&old.id(sequence)), None, "{sequence} came over a link without lease");
        }
        for sequence in 1..=4 {
            new.message(&mut ledger, sequence, b"again");
        }
        let offered: Vec<u32> = new.offered.iter().map(|(id, _)| id.sequence).collect();
        assert_eq!(offered, (accepted_before + 1..=4).collect::<Vec<_>>(), "the reply's bitmap was final");
        for (id, _) in new.offered.clone() {
            assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
            new.server().accept(S(0), &id).unwrap();
        }
        assert_eq!(new.answers().iter().filter(|(_, code)| code.is_none()).count(), 4);
    }
}

#[test]
fn an_older_link_that_is_closed_says_replaced_and_takes_no_further_message() {
    let mut ledger = Ledger::new();
    let mut old = Gate::greeted(&mut ledger, 1);
    old.message(&mut ledger, 1, b"pending");
    let pending = old.id(1);
    old.server().close(S(0), GoAway::new(GoAwayCode::Replaced));
    old.message(&mut ledger, 2, b"late");
    assert_eq!(old.offered.len(), 1);
    assert_eq!(old.server().accept(S(0), &pending), Err(AcceptError::Stale));
    let frames = old.frames();
    assert_eq!(frames.len(), 1, "a goaway and no answer: {frames:?}");
    assert_eq!((frames[0].command, frames[0].body[1]), (247, 3));
}

#[test]
fn a_word_on_a_message_of_another_link_or_epoch_changes_nothing() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 4);
    gate.message(&mut ledger, 5, b"body");
    let id = gate.id(5);
    let strangers = [
        MessageId { epoch: epoch(2), ..id },
        MessageId { link: 3, ..id },
        MessageId { link: 5, ..id },
        MessageId { sequence: 4, ..id },
        MessageId { sequence: 6, ..id },
        MessageId { sequence: 5 + 64, ..id },
        MessageId { sequence: 0, ..id },
        MessageId { sequence: u32::MAX, ..id },
    ];
    for stranger in strangers {
        assert_eq!(gate.server().accept(S(0), &stranger), Err(AcceptError::Stale), "{stranger}");
        let rejection = Rejection::new(RejectCode::Quota);
        assert_eq!(gate.server().reject(S(0), &stranger, rejection), Err(AcceptError::Stale), "{stranger}");
        assert_eq!(gate.server().release(S(0), &stranger), Err(AcceptError::Stale), "{stranger}");
        assert_eq!(
            ledger.accept(&MessageId { sequence: 5, ..stranger }).is_some(),
            stranger.epoch == id.epoch && stranger.link == id.link
        );
        ledger = Ledger::new();
        ledger.greet(Some(epoch(1)), 4).unwrap();
    }
    assert_eq!(gate.answers(), []);
    gate.server().accept(S(0), &id).unwrap();
    assert_eq!(gate.answers(), [(5, None)]);
    assert_eq!(gate.server().accept(S(0), &id), Err(AcceptError::Stale), "decided once");
}

#[test]
fn a_store_that_ends_after_a_new_epoch_began_marks_nothing_in_it() {
    let mut ledger = Ledger::new();
    let mut old = Gate::greeted(&mut ledger, 1);
    old.message(&mut ledger, 5, b"old");
    let mut new = Gate::new(ServerConfig::DEFAULT, S(0));
    new.feed(&mut ledger, &hello(2, 1));
    assert_eq!(reply(&mut new), (0, 2, 1));
    assert_eq!(ledger.accept(&old.id(5)), None);
    let stale = old.id(5);
    assert_eq!(new.server().accept(S(0), &stale), Err(AcceptError::Stale));
    new.message(&mut ledger, 5, b"new");
    assert_eq!(new.offered.len(), 1, "message 5 of the new epoch is another one");
    assert_eq!(ledger.accept(&new.id(5)), Some(Verdict::Fresh));
}

#[test]
fn a_greeting_of_an_older_link_or_epoch_is_refused_with_the_current_one() {
    let mut ledger = Ledger::new();
    Gate::new(ServerConfig::DEFAULT, S(0)).feed(&mut ledger, &hello(7, 3));
    let before = ledger;
    // Delayed, replayed, of an older epoch with any link.
    for (late, expected) in [((7, 2), (6, 0, 3)), ((7, 3), (6, 0, 3)), ((6, 9), (5, 7, 0)), ((1, u32::MAX), (5, 7, 0))]
    {
        let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
        gate.feed(&mut ledger, &hello(late.0, late.1));
        assert_eq!(reply(&mut gate), expected, "{late:?}");
        assert_eq!(gate.link.closing(), Some(Disconnect::Refused));
        assert_eq!(ledger, before);
    }
}

#[test]
fn a_second_hello_on_a_link_closes_it_and_is_not_told() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    let before = ledger;
    gate.feed(&mut ledger, &hello(1, 2));
    assert_eq!(gate.told, Vec::<String>::new());
    assert_eq!((gate.link.closing(), ledger), (Some(Disconnect::GreetedTwice), before));
    // Not even while the first waits for its answer.
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    let two = [hello(1, 2), hello(1, 3)].concat();
    support::feed(&mut gate.link, S(0), &two, |_, _| {});
    assert_eq!(gate.link.closing(), Some(Disconnect::GreetedTwice));
}

#[test]
fn a_hello_on_a_link_that_is_about_to_close_takes_no_lease() {
    let mut ledger = Ledger::new();
    Gate::new(ServerConfig::DEFAULT, S(0)).feed(&mut ledger, &hello(1, 1));
    let before = ledger;
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    gate.server().close(S(0), GoAway::new(GoAwayCode::Restart));
    gate.feed(&mut ledger, &hello(1, 2));
    assert_eq!((gate.told.clone(), ledger), (Vec::new(), before));
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    gate.now = S(10);
    gate.link.process(S(10), |_, _| {});
    assert_eq!(gate.link.closing(), Some(Disconnect::NoGreeting));
    gate.feed(&mut ledger, &hello(1, 2));
    assert_eq!((gate.told, ledger), (Vec::new(), before));
}

#[test]
fn epoch_zero_is_named_by_the_server_one_after_the_stored_one() {
    let mut ledger = Ledger::new();
    for expected in 1..=3 {
        let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
        gate.feed(&mut ledger, &hello(0, 1));
        assert_eq!(reply(&mut gate), (0, expected, 1));
        assert_eq!(ledger.epoch(), Epoch::new(expected), "stored before the reply");
    }
    let mut device = Device::new(VOLATILE);
    assert_eq!(device.client().epoch(), None);
    assert_eq!(device.connect(), Greets { epoch: 0, link: 1, resume: false });
    device.welcome(&Welcome::having(4, 1, &[]));
    assert_eq!((device.client().epoch(), device.told()), (Epoch::new(4), vec!["online".to_string()]));
    device.cut();
    assert_eq!(device.connect(), Greets { epoch: 4, link: 2, resume: false }, "it keeps the epoch that was named");
}

#[test]
fn an_epoch_far_in_the_future_gives_way_to_the_one_after_it_when_the_clock_is_right() {
    let wrong = Config {
        identity: Some(Identity { epoch: Epoch::new(4_000_000_000), ..Identity::volatile(DEVICE) }),
        ..VOLATILE
    };
    let right = Config {
        identity: Some(Identity { epoch: Epoch::new(1_700_000_000), ..Identity::volatile(DEVICE) }),
        ..VOLATILE
    };
    let mut service = Service::default();
    let mut device = Device::new(wrong);
    device.send(b"wrong clock");
    service.meet_until_online(1, &mut device);
    let mut device = Device::new(right);
    device.send(b"right clock");
    service.meet_until_online(1, &mut device);
    assert_eq!(service.bodies(), ["wrong clock", "right clock"]);
    assert_eq!(device.told(), ["epoch 4000000001", "offline rejected", "online", "delivered 1"]);
    // The last epoch that there is cannot be followed: the device has to take another number, and is told so.
    let mut ledger = Ledger::new();
    Gate::new(ServerConfig::DEFAULT, S(0)).feed(&mut ledger, &hello(u32::MAX, 1));
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    gate.feed(&mut ledger, &hello(0, 1));
    assert_eq!(reply(&mut gate).0, 7);
}

#[test]
fn a_refused_hello_says_what_to_do_next() {
    let statuses = [
        (1, HelloStatus::Malformed, true),
        (2, HelloStatus::Version, true),
        (3, HelloStatus::TokenRefused, true),
        (4, HelloStatus::TokenExpired, false),
        (5, HelloStatus::EpochTooOld, false),
        (6, HelloStatus::LinkTooOld, false),
        (7, HelloStatus::DeviceRefused, true),
        (8, HelloStatus::Busy, false),
        (9, HelloStatus::Moved, false),
        (10, HelloStatus::Busy, false),
        (255, HelloStatus::Busy, false),
    ];
    for (byte, status, permanent) in statuses {
        let mut device = Device::new(VOLATILE);
        device.send(b"waits");
        let hello = device.connect();
        device.welcome(&Welcome { retry_after: 60_000, ..Welcome::refusing(byte, 9, 8) });
        let Some(Disconnect::Rejected(refusal)) = device.link.closing() else { panic!("{byte}") };
        assert_eq!(refusal.status(), status, "{byte}");
        assert_eq!(refusal.retry_after(), Duration::from_secs(60), "{byte}");
        assert_eq!(status.is_permanent(), permanent, "{byte}");
        assert_eq!(device.bytes(), b"", "nothing is written after a refusal");
        device.cut();
        let told = device.told();
        let next = match byte {
            5 => Greets { epoch: 10, link: 1, resume: true },
            6 => Greets { epoch: 0, link: 9, resume: true },
            _ => Greets { link: 2, resume: true, ..hello },
        };
        let expected: &[&str] = if byte == 5 { &["epoch 10", "offline rejected"] } else { &["offline rejected"] };
        assert_eq!(told, expected, "{byte}: the message waits");
        assert_eq!(device.connect(), next, "{byte}");
        device.welcome(&Welcome::having(next.epoch.max(1), next.link, &[]));
        assert_eq!(device.messages(), [1], "{byte}");
    }
}

#[test]
fn a_forged_delay_is_an_hour_at_most() {
    let mut device = Device::new(VOLATILE);
    device.connect();
    device.welcome(&Welcome { retry_after: u32::MAX, ..Welcome::refusing(8, 0, 0) });
    let Some(Disconnect::Rejected(refusal)) = device.link.closing() else { panic!() };
    assert_eq!(refusal.retry_after(), Duration::from_secs(3_600));
}

#[test]
fn an_answer_to_the_hello_that_contradicts_itself_ends_the_link_and_settles_nothing() {
    let good = |device: &Greets| Welcome::having(1, device.link, &[1]);
    let bad: [fn(&mut Welcome); 9] = [
        |w| w.first = 0x82,
        |w| w.width = 7,
        |w| w.width = 255,
        |w| w.bitmap.truncate(7),
        |w| w.bitmap[0] = 0,
        |w| w.epoch = 0,
        |w| w.max_frame = 271,
        |w| w.last = 0xFFFF_FFF0,
        |w| w.last = 0,
    ];
    for (index, spoil) in bad.iter().enumerate() {
        let mut device = Device::new(VOLATILE);
        device.send(b"one");
        let hello = device.connect();
        let mut welcome = good(&hello);
        spoil(&mut welcome);
        device.welcome(&welcome);
        assert!(
            matches!(device.link.closing(), Some(Disconnect::BadGreeting(_))),
            "{index}: {:?}",
            device.link.closing()
        );
        assert_eq!(device.bytes(), b"");
        device.cut();
        assert_eq!(device.told(), ["offline bad_greeting"], "{index}");
        assert_eq!(device.client().unsettled(), 1);
    }
    // Of another epoch or link than was asked for.
    let mut device = Device::new(VOLATILE);
    device.greet(&[]);
    for (epoch, link, expected) in [
        (2, 2, HelloReplyError::OtherEpoch { epoch: Epoch::new(2).unwrap() }),
        (1, 2, HelloReplyError::OtherLink { link: 2 }),
        (1, 9, HelloReplyError::OtherLink { link: 9 }),
    ] {
        device.cut();
        device.connect();
        device.welcome(&Welcome::having(epoch, link, &[]));
        assert_eq!(device.link.closing(), Some(Disconnect::BadGreeting(expected)));
    }
}

#[test]
fn reserved_bits_and_what_trails_a_greeting_are_ignored() {
    let mut device = Device::new(VOLATILE);
    let greets = device.connect();
    let mut body = Welcome { flags: 0xFF, ..Welcome::having(1, greets.link, &[]) }.body();
    (body[6], body[7]) = (0xFF, 0xFF);
    body.extend(b"a later version says more");
    device.give(HELLO + REPLY, 0xFFFF_FFFE, &body);
    assert_eq!(device.told(), ["online"]);
    let mut ledger = Ledger::new();
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    let mut body = Greets { epoch: 1, link: 1, resume: true }.body(DEVICE.get(), b"t");
    (body[1], body[24], body[25]) = (0xFF, 0xFF, 0xFF);
    body.extend(b"and so does a client");
    gate.feed(&mut ledger, &frame(DIALECT, HELLO, 0xFFFF_FFFE, &body));
    assert_eq!(reply(&mut gate), (0, 1, 1));
}

#[test]
fn a_hello_of_another_version_is_told_the_highest_that_is_spoken() {
    for version in [0, 2, 3, 0x7F, 0x81, 0xFF] {
        let mut ledger = Ledger::new();
        let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
        let mut body = Greets { epoch: 1, link: 1, resume: false }.body(DEVICE.get(), b"");
        body[0] = version;
        gate.feed(&mut ledger, &frame(DIALECT, HELLO, 0xFFFF_FFFE, &body));
        assert_eq!(gate.told, Vec::<String>::new());
        let frames = gate.frames();
        assert_eq!(frames[0].body[..2], [0x81, 2], "version {version}");
        assert_eq!(ledger, Ledger::new());
    }
}

#[test]
fn another_account_with_the_same_device_number_changes_nothing_of_the_first() {
    let mut service = Service::default();
    let (mut alice, mut mallory) = (Device::new(VOLATILE), Device::new(VOLATILE));
    let mut link = service.meet(1, &mut alice);
    alice.send(b"first");
    service.talk(1, &mut alice, &mut link);
    let before = service.ledger(1);
    service.meet(2, &mut mallory);
    for i in 0..10 {
        mallory.send(&[i]);
    }
    mallory.cut();
    service.meet_until_online(2, &mut mallory);
    assert_eq!(service.ledger(1), before);
    alice.send(b"second");
    assert!(!service.talk(1, &mut alice, &mut link), "the first account's link lives on");
    let of_alice = service.stored.iter().filter(|(account, ..)| *account == 1).count();
    assert_eq!(of_alice, 2);
    assert_eq!(alice.told(), ["online", "delivered 1", "delivered 2"]);
}

#[test]
fn a_replaced_device_is_told_so_and_loses_nothing_to_the_other() {
    // Two processes of one device, each of which comes back when it is replaced.
    let mut service = Service::default();
    let mut devices = [Device::new(KEPT), Device::new(KEPT)];
    let mut sent = Vec::new();
    for round in 0..8_u64 {
        let device = &mut devices[round as usize % 2];
        device.at(round * 60);
        let body = format!("message {round}");
        let mut link = service.meet_until_online(1, device);
        device.save();
        device.send(body.as_bytes());
        sent.push(body);
        service.talk(1, device, &mut link);
        // The other process greets now; this link is closed by the server.
        device.feed(&support::goaway(GoAwayCode::Replaced));
        device.at(round * 60 + 3);
        assert_eq!(device.link.closing(), Some(Disconnect::GoAway(GoAway::new(GoAwayCode::Replaced))));
        device.cut();
        let told = device.told();
        assert!(told.iter().any(|line| line == "goaway Replaced"), "{told:?}");
        assert!(told.iter().any(|line| line.starts_with("delivered")), "{told:?}");
        assert!(!told.iter().any(|line| line.starts_with("failed")), "{told:?}");
    }
    assert_eq!(service.bodies(), sent, "each is stored once");
}
