//! State that outlives a process: exact, older, copied, lost, spoilt; and servers that go back.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{Epoch, Failure, MessagePolicy};
use longlink::session::{Config, Disconnect, Identity, RestoreError, SendError};
use longlink::wire::Dialect;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;
use support::native::{DEVICE, Device, Gate, Greets, KEPT, MESSAGE, Service, VOLATILE, Welcome, frames_in};
use support::{Random, S};

const POLICY: &MessagePolicy = &MessagePolicy::DEFAULT;

/// A device that keeps its state and is online in epoch 1, all of which is stored.
fn kept() -> Device {
    let mut device = Device::new(KEPT);
    device.greet(&[]);
    device.save();
    device.told();
    device
}

fn seal(device: &mut Device) -> Result<(u32, u32), SendError> {
    let (now, mut nonce) = (device.now, (0, 0));
    device.client().send_sealed(now, POLICY, |epoch, sequence, room| {
        nonce = (epoch.get(), sequence);
        room[0] = b's';
        Ok(1)
    })?;
    Ok(nonce)
}

#[test]
fn no_message_is_on_the_wire_before_the_state_that_knows_it_is_stored() {
    let mut device = Device::new(KEPT);
    device.send(b"offline");
    device.greet(&[]);
    assert!(device.client().needs_saving());
    assert_eq!(device.messages(), []);
    device.state();
    assert_eq!(device.messages(), [], "encoded is not stored");
    let now = device.now;
    device.client().handle_saved(now);
    assert_eq!(device.messages(), [1]);
    device.ack(1);
    assert!(!device.client().needs_saving());
    // A block of them needs no further storing; then again.
    for sequence in 2..=64 {
        device.send(b"body");
        assert_eq!(device.messages(), [sequence]);
        device.ack(sequence);
    }
    device.send(b"body");
    assert!(!device.client().needs_saving(), "65 is the last that is reserved");
    assert_eq!(device.messages(), [65]);
    device.ack(65);
    device.send(b"body");
    assert!(device.client().needs_saving());
    assert_eq!(device.messages(), []);
    device.save();
    assert_eq!(device.messages(), [66]);
}

#[test]
fn requests_and_one_way_frames_wait_for_no_storing() {
    let mut device = Device::new(KEPT);
    device.send(b"waits");
    device.greet(&[]);
    let now = device.now;
    device.client().request(now, 501, b"now").unwrap();
    device.client().send_one_way(now, 502, b"now").unwrap();
    assert_eq!(device.frames().iter().map(|frame| frame.command).collect::<Vec<_>>(), [501, 502]);
    device.save();
    assert_eq!(device.messages(), [1]);
}

#[test]
fn a_sequence_that_is_not_stored_does_not_go_out_by_being_sent_again_either() {
    let mut device = kept();
    for sequence in 1..=63 {
        device.send(b"body");
        device.messages();
        device.ack(sequence);
    }
    let reserved = device.send(b"reserved");
    let beyond = device.send(b"beyond");
    device.messages();
    device.cancel(reserved);
    device.cancel(beyond);
    device.send_again(reserved.sequence(), b"reserved").unwrap();
    device.send_again(beyond.sequence(), b"beyond").unwrap();
    assert_eq!(device.messages(), [reserved.sequence()]);
    assert!(device.client().needs_saving());
    device.save();
    assert_eq!(device.messages(), [beyond.sequence()]);
}

#[test]
fn an_exact_restart_goes_on_under_the_same_sequences_and_stores_nothing_twice() {
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    let mut link = service.meet(1, &mut device);
    device.save();
    for body in [&b"one"[..], b"two", b"three"] {
        device.send(body);
    }
    let state = device.save();
    // One and two are stored; their answers are lost with the process.
    let up = device.bytes();
    let cut = up.len() - 5;
    support::feed(&mut link.link, S(0), &up[..cut], |server, event| service.handle(1, S(0), server, event));
    assert_eq!(service.bodies(), ["one", "two"]);
    let mut device = Device::restored(KEPT, &state);
    let tokens: Vec<u32> = device.client().messages().map(|message| message.token.sequence()).collect();
    assert_eq!(tokens, [1, 2, 3]);
    let before: Vec<_> = device.client().messages().map(|message| message.body.to_vec()).collect();
    assert_eq!(before, [&b"one"[..], b"two", b"three"]);
    device.send(b"four");
    device.save();
    let mut link = service.meet_until_online(1, &mut device);
    device.save();
    service.talk(1, &mut device, &mut link);
    assert_eq!(service.bodies(), ["one", "two", "three", "four"]);
    assert_eq!(device.told(), ["online", "delivered 1", "delivered 2", "delivered 3", "delivered 68"]);
    assert!(service.stored.iter().all(|(_, epoch, ..)| *epoch == 1), "no new epoch");
}

#[test]
fn what_is_stored_of_a_message_comes_back_with_it() {
    let mut device = Device::new(KEPT);
    let policy = MessagePolicy { attempts: 9, lifetime: Duration::from_secs(1_000), timeout: None };
    device.client().send_with(S(0), &policy, |_| Ok(0)).unwrap();
    device
        .client()
        .send_with(S(0), &policy, |room| {
            room[..3].fill(7);
            Ok(3)
        })
        .unwrap();
    device.at(400);
    let state = device.state();
    let mut restored = Device::restored(KEPT, &state);
    let all: Vec<_> = restored
        .client()
        .messages()
        .map(|m| (m.token.sequence(), m.attempts, m.sealed, m.expires, m.body.to_vec()))
        .collect();
    assert_eq!(all, [(1, (0, 9), false, Some(S(600)), vec![]), (2, (0, 9), false, Some(S(600)), vec![7; 3])]);
    assert_eq!(restored.state().len(), state.len());
    restored.pass_until(600);
    let told = restored.told();
    assert_eq!(told, ["failed 1 Expired false", "failed 2 Expired false"], "without an epoch nothing went out");
    // Of a state that let it go out nobody knows.
    let mut device = kept();
    device.send(b"maybe");
    let state = device.save();
    let mut restored = Device::restored(KEPT, &state);
    restored.pass_until(8 * 24 * 3_600);
    assert_eq!(restored.told(), ["failed 1 Expired true"]);
}

#[test]
fn an_older_backup_loses_nothing_that_it_reports_and_reuses_no_sequence() {
    // The backup knows message 1 only; the device went on to 80 after that.
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    let mut link = service.meet(1, &mut device);
    device.send(b"1");
    let backup = device.save();
    service.talk(1, &mut device, &mut link);
    for i in 2..=80 {
        device.send(i.to_string().as_bytes());
        device.save();
        service.talk(1, &mut device, &mut link);
    }
    assert_eq!(service.stored.len(), 80);
    let mut old = Device::restored(KEPT, &backup);
    old.send(b"meet at 6");
    old.save();
    let mut link = service.meet_until_online(1, &mut old);
    old.save();
    service.talk(1, &mut old, &mut link);
    let told = old.told();
    assert_eq!(service.bodies().iter().filter(|body| *body == "meet at 6").count(), 1, "{told:?}");
    assert!(told.contains(&"epoch 2".to_string()), "{told:?}");
    assert!(told.contains(&"failed 1 Unknown true".to_string()), "too old for the server to know: {told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("delivered")).count(), 1, "the new one: {told:?}");
    assert_eq!(service.stored.len(), 81, "message 1 is not stored again");
}

#[test]
fn a_message_pushed_on_an_older_backup_is_not_taken_for_another_after_a_second_restart() {
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    let mut link = service.meet(1, &mut device);
    let backup = device.save();
    // The backup reserves 1 to 64; 65 to 70 are used after it, and all are stored by the server.
    for i in 1..=70 {
        device.send(i.to_string().as_bytes());
        device.save();
        service.talk(1, &mut device, &mut link);
    }
    let mut once = Device::restored(KEPT, &backup);
    let token = once.send(b"meet at 6");
    assert_eq!(token.sequence(), 65, "a sequence that the server has");
    let state = once.save();
    let mut twice = Device::restored(KEPT, &state);
    let mut link = service.meet_until_online(1, &mut twice);
    twice.save();
    service.talk(1, &mut twice, &mut link);
    assert_eq!(service.bodies().iter().filter(|body| *body == "meet at 6").count(), 1, "{:?}", twice.told());
}

#[test]
fn messages_of_several_processes_that_never_were_online_are_each_stored_once() {
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    let mut link = service.meet(1, &mut device);
    let mut state = device.save();
    for i in 1..=70 {
        device.send(i.to_string().as_bytes());
        device.save();
        service.talk(1, &mut device, &mut link);
    }
    for _ in 0..4 {
        let mut device = Device::restored(KEPT, &state);
        device.send(b"meet at 7");
        state = device.save();
    }
    let mut last = Device::restored(KEPT, &state);
    let mut link = service.meet_until_online(1, &mut last);
    last.save();
    service.talk(1, &mut last, &mut link);
    let told = last.told();
    assert_eq!(service.bodies().iter().filter(|body| *body == "meet at 7").count(), 4, "{told:?}");
}

#[test]
fn a_device_without_its_state_begins_a_new_epoch_whatever_its_clock_says() {
    for clock in [None, Epoch::new(1), Epoch::new(999), Epoch::new(1_000), Epoch::new(1_001)] {
        let identity = |epoch| Config { identity: Some(Identity { epoch, ..Identity::volatile(DEVICE) }), ..VOLATILE };
        let mut service = Service::default();
        let mut first = Device::new(identity(Epoch::new(1_000)));
        let mut link = service.meet(1, &mut first);
        first.send(b"first");
        service.talk(1, &mut first, &mut link);
        let mut second = Device::new(identity(clock));
        second.send(b"second");
        service.meet_until_online(1, &mut second);
        assert_eq!(service.bodies(), ["first", "second"], "{clock:?}: {:?}", second.told());
        let epochs: Vec<u32> = service.stored.iter().map(|(_, epoch, ..)| *epoch).collect();
        assert!(epochs[1] > 1_000, "{clock:?}");
    }
}

#[test]
fn two_processes_that_run_from_one_state_lose_nothing_that_they_report() {
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    service.meet(1, &mut device);
    device.save();
    device.send(b"common");
    let state = device.save();
    let mut clones = [Device::restored(KEPT, &state), Device::restored(KEPT, &state)];
    let mut delivered = 0;
    for round in 0..12 {
        let which = round % 2;
        let clone = &mut clones[which];
        let body = format!("{which} says {round}");
        clone.send(body.as_bytes());
        clone.save();
        let mut link = service.meet_until_online(1, clone);
        clone.save();
        service.talk(1, clone, &mut link);
        let told = clone.told();
        delivered += told.iter().filter(|line| line.starts_with("delivered")).count();
        assert!(service.bodies().contains(&body), "{told:?}");
        clone.cut();
    }
    assert!(delivered >= 12);
    let mut bodies = service.bodies();
    bodies.sort();
    let all = bodies.len();
    bodies.dedup();
    assert_eq!(bodies.len(), all, "stored twice: {bodies:?}");
    assert_eq!(all, 13);
}

#[test]
fn a_state_without_an_epoch_cannot_have_its_messages_stored_in_two() {
    // The server names an epoch and stores the message; the process ends before that epoch is stored.
    let mut service = Service::default();
    let mut device = Device::new(KEPT);
    device.send(b"once");
    let state = device.save();
    for _ in 0..3 {
        let mut device = Device::restored(KEPT, &state);
        service.meet(1, &mut device);
    }
    assert!(service.stored.len() <= 1, "{:?}", service.stored);
}

#[test]
fn a_greeting_that_is_confirmed_but_not_stored_lets_nothing_new_out() {
    // A process from storage writes new messages only when the state says that they are not another's.
    let mut device = kept();
    let state = device.save();
    let mut device = Device::restored(KEPT, &state);
    device.send(b"new");
    device.save();
    device.greet(&[]);
    assert!(device.client().needs_saving());
    assert_eq!(device.messages(), []);
    device.save();
    assert_eq!(device.messages(), [65]);
}

#[test]
fn a_lost_epoch_renumbers_what_was_never_written_and_fails_what_may_be_stored() {
    let mut device = kept();
    device.send(b"written");
    assert_eq!(device.messages(), [1]);
    device.cut();
    device.send(b"unwritten");
    let sealed = seal(&mut device).unwrap();
    assert_eq!(sealed, (1, 3));
    device.connect();
    device.welcome(&Welcome::refusing(5, 8, 0));
    device.cut();
    let told = device.told();
    let expected = ["failed 1 Unknown true", "failed 3 EpochChanged false", "epoch 9", "offline rejected"];
    let mut sorted = [told[1].as_str(), told[2].as_str(), told[3].as_str(), told[4].as_str()];
    sorted[..2].sort_unstable();
    assert_eq!((told[0].as_str(), sorted), ("offline transport", expected));
    assert_eq!(device.connect(), Greets { epoch: 9, link: 1, resume: true });
    device.welcome(&Welcome::having(9, 1, &[]));
    assert_eq!(device.messages(), [], "the new epoch is not stored");
    device.save();
    let frames = device.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].command, frames[0].body.as_slice()), (MESSAGE, &b"unwritten"[..]));
}

#[test]
fn a_sealed_body_is_never_written_under_a_nonce_that_is_not_its_own_nor_two_under_one() {
    assert_eq!(seal(&mut Device::new(KEPT)), Err(SendError::EpochUnknown));
    assert_eq!(seal(&mut Device::new(Config::DEFAULT)), Err(SendError::EpochUnknown));
    let mut written = 0;
    for seed in 0..60 {
        let (mut random, mut service, mut wire) = (Random(seed), Service::default(), HashMap::new());
        let mut device = Device::new(KEPT);
        let (mut gate, mut states) = (service.meet(1, &mut device), vec![device.save()]);
        for serial in 0..200_u32 {
            match random.below(16) {
                0..=6 => drop(seal_with(&mut device, serial)),
                7 | 8 => states.push(device.save()),
                9 => {
                    // Another process, from any state that ever was.
                    let state = &states[random.below(states.len() as u64) as usize];
                    device = Device::restored(KEPT, state);
                }
                10 | 11 => {
                    device.cut();
                    gate = service.meet_until_online(1, &mut device);
                }
                _ => carry(&mut service, &mut device, &mut gate, &mut wire),
            }
        }
        written += wire.len();
    }
    assert!(written > 1_000, "{written} were written");
}

/// Sends a message whose body is its nonce and its number.
fn seal_with(device: &mut Device, serial: u32) -> Result<(), SendError> {
    let now = device.now;
    let token = device.client().send_sealed(now, POLICY, |epoch, sequence, room| {
        let body = [epoch.get(), sequence, serial].map(u32::to_be_bytes);
        room[..12].copy_from_slice(body.as_flattened());
        Ok(12)
    });
    token.map(drop)
}

/// Lets both sides talk, and looks at every message on its way.
fn carry(service: &mut Service, device: &mut Device, gate: &mut Gate, wire: &mut HashMap<(u32, u32), Vec<u8>>) {
    loop {
        let up = device.bytes();
        for frame in frames_in(&Dialect::LONGLINK, &up).iter().filter(|frame| frame.command == MESSAGE) {
            let word = |at: usize| u32::from_be_bytes(frame.body[at..at + 4].try_into().unwrap());
            let nonce = (device.client().epoch().unwrap().get(), frame.sequence);
            assert_eq!((word(0), word(4)), nonce, "sealed for another");
            let before = wire.entry(nonce).or_insert_with(|| frame.body.clone());
            assert_eq!(*before, frame.body, "two bodies under nonce {nonce:?}");
        }
        support::feed(&mut gate.link, S(0), &up, |server, event| service.handle(1, S(0), server, event));
        let down = support::written(&mut gate.link, S(0));
        if device.link.space().is_empty() || (up.is_empty() && down.is_empty()) {
            return;
        }
        device.feed(&down);
    }
}

#[test]
fn a_server_that_went_back_is_told_of_and_gets_nothing_twice_from_this_side() {
    let mut device = kept();
    for sequence in 1..=5 {
        device.send(b"body");
        device.messages();
        device.ack(sequence);
    }
    device.cut();
    device.told();
    device.greet(&[1, 2]);
    assert_eq!(device.told(), ["online", "rewound 5 2"]);
    assert_eq!(device.messages(), [], "what was acknowledged is not sent again");
    device.send(b"next");
    assert_eq!(device.messages(), [6]);
    device.ack(6);
    device.cut();
    device.told();
    device.greet(&[1, 2, 6]);
    assert_eq!(device.told(), ["online"], "once");
    // It forgot the device altogether.
    device.cut();
    device.greet(&[]);
    assert_eq!(device.told(), ["offline transport", "online", "rewound 6 0"]);
    // A stored state knows what was acknowledged.
    let mut device = kept();
    device.send(b"one");
    device.messages();
    device.ack(1);
    let state = device.save();
    let mut device = Device::restored(KEPT, &state);
    device.greet(&[]);
    assert_eq!(device.told(), ["online", "rewound 1 0"]);
}

#[test]
fn a_peer_that_knows_more_than_was_assigned_makes_a_new_epoch_and_settles_nothing_by_it() {
    let mut device = kept();
    device.send(b"mine");
    device.messages();
    device.cut();
    device.send(b"unwritten");
    device.told();
    let hello = device.connect();
    // Another process of this device has used 1 to 9.
    device.welcome(&Welcome::having(1, hello.link, &[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    assert_eq!(device.link.closing(), Some(Disconnect::EpochChanged));
    assert_eq!(device.bytes(), b"");
    device.cut();
    let told = device.told();
    assert!(!told.iter().any(|line| line.starts_with("delivered") || line == "online"), "{told:?}");
    assert_eq!(told, ["failed 1 Unknown true", "epoch 2", "offline epoch_changed"]);
    device.greet(&[]);
    device.save();
    let frames = device.frames();
    assert_eq!((frames.len(), frames[0].body.as_slice()), (1, &b"unwritten"[..]));
}

/// A peer that says that no epoch is left does not get the device to have one named, which might be one that it used.
#[test]
fn no_sequence_of_an_epoch_is_sealed_twice_where_a_peer_says_that_none_is_left() {
    let spent = [
        (1, Welcome::refusing(5, u32::MAX, 0)),
        (u32::MAX, Welcome::refusing(6, u32::MAX, u32::MAX)),
        (u32::MAX, Welcome::having(u32::MAX, 2, &[1, 2, 3])),
    ];
    for (epoch, welcome) in spent {
        let mut device = Device::new(KEPT);
        let hello = device.connect();
        device.welcome(&Welcome::having(epoch, hello.link, &[]));
        device.save();
        assert_eq!(seal(&mut device), Ok((epoch, 1)));
        device.messages();
        device.cut();
        device.connect();
        device.welcome(&welcome);
        assert!(matches!(device.link.closing(), Some(Disconnect::BadGreeting(_))), "{:?}", device.link.closing());
        device.cut();
        // It goes on where it was, with whoever has it.
        let hello = device.connect();
        assert_eq!((hello.epoch, hello.link), (epoch, 3));
        device.welcome(&Welcome::having(epoch, 3, &[]));
        assert_eq!(seal(&mut device), Ok((epoch, 2)));
    }
}

#[test]
fn the_state_of_another_account_or_device_fails_its_messages_and_begins_without_a_past() {
    let identity = KEPT.identity.unwrap();
    let others = [
        Identity { account: 2, ..identity },
        Identity { account: 1 << 40, ..identity },
        Identity { device: NonZeroU64::new(9).unwrap(), ..identity },
    ];
    let mut device = kept();
    device.send(b"alice's");
    device.messages();
    device.send(b"alice's too");
    let state = device.save();
    for other in others {
        let mut device = Device::restored(Config { identity: Some(other), ..KEPT }, &state);
        assert_eq!(device.told(), ["failed 1 AccountChanged true", "failed 2 AccountChanged true"]);
        assert!(device.client().is_settled());
        assert_eq!(device.client().epoch(), None);
        assert_eq!(device.connect(), Greets { epoch: 0, link: 1, resume: false });
        device.welcome(&Welcome::having(3, 1, &[]));
        device.save();
        device.send(b"mallory's");
        assert_eq!(device.messages(), [1]);
    }
}

#[test]
fn a_state_that_is_spoilt_anywhere_breaks_nothing() {
    let mut device = kept();
    device.send(b"first");
    device.messages();
    device.send(b"");
    seal(&mut device).unwrap();
    let state = device.save();
    let mut taken = 0;
    for at in 0..state.len() {
        for change in [1, 0x80, 0xFF] {
            let mut spoilt = state.clone();
            spoilt[at] ^= change;
            let mut device = Device::new(KEPT);
            match device.client().restore(S(0), &spoilt) {
                Ok(()) => taken += 1,
                Err(_) => assert_new(&mut device),
            }
            // Whatever was taken, it works on.
            device.told();
            let sent = device.try_send(b"new");
            assert!(sent.is_ok() || sent == Err(SendError::EpochSpent), "byte {at}: {sent:?}");
            let _ = device.state();
            let hello = device.connect();
            device.welcome(&Welcome::having(hello.epoch.max(1), hello.link, &[]));
            device.save();
            device.bytes();
            device.pass_until(200);
            device.cut();
            let _ = device.state();
        }
    }
    for length in 0..state.len() {
        let mut device = Device::new(KEPT);
        let error = device.client().restore(S(0), &state[..length]).unwrap_err();
        assert!(matches!(error, RestoreError::Truncated { .. }), "{length} bytes: {error:?}");
        assert_new(&mut device);
    }
    let mut device = Device::new(KEPT);
    let long = [&state[..], b"!"].concat();
    assert!(matches!(device.client().restore(S(0), &long), Err(RestoreError::TooLong { .. })));
    assert_new(&mut device);
    assert!(taken > 0, "what is spoilt in a body cannot be seen");
}

/// The client is as if nothing had been restored.
fn assert_new(device: &mut Device) {
    assert_eq!((device.client().unsettled(), device.client().epoch(), device.client().is_settled()), (0, None, true));
    assert_eq!(device.told(), Vec::<String>::new());
    assert_eq!(device.link.endpoint().messages().count(), 0);
    let fresh = Device::new(KEPT).state();
    assert_eq!(device.state(), fresh);
}

#[test]
fn a_state_is_restored_into_a_client_without_a_past_only() {
    let mut device = kept();
    device.send(b"one");
    let state = device.save();
    assert_eq!(Device::new(VOLATILE).client().restore(S(0), &state), Err(RestoreError::NoIdentity));
    assert_eq!(Device::new(Config::DEFAULT).client().restore(S(0), &state), Err(RestoreError::NoIdentity));
    let mut busy = Device::new(KEPT);
    busy.send(b"mine");
    assert_eq!(busy.client().restore(S(0), &state), Err(RestoreError::InUse));
    let mut connected = Device::new(KEPT);
    connected.connect();
    assert_eq!(connected.client().restore(S(0), &state), Err(RestoreError::InUse));
    let mut narrow = Device::with_memory(KEPT, 18, 4);
    assert_eq!(narrow.client().restore(S(0), &state), Err(RestoreError::NoRoom { sequence: 1 }));
    assert_new(&mut narrow);
    let mut full = kept();
    (0..3).for_each(|_| {
        full.send(b"x");
    });
    let state = full.save();
    let mut few = Device::with_memory(KEPT, 1_024, 2);
    assert_eq!(few.client().restore(S(0), &state), Err(RestoreError::NoSlot { sequence: 3 }));
    assert_new(&mut few);
    assert_eq!(Failure::AccountChanged.to_string(), "belongs to another account");
}

#[test]
fn a_buffer_too_small_for_the_state_changes_nothing() {
    let mut device = Device::new(KEPT);
    device.greet(&[]);
    device.send(b"one");
    let required = device.client().state_len();
    let mut out = vec![0xAA; required - 1];
    let error = device.client().save(S(0), &mut out).unwrap_err();
    assert_eq!(error.required, required);
    assert!(out.iter().all(|byte| *byte == 0xAA));
    device.client().handle_saved(S(0));
    assert_eq!(device.messages(), [], "nothing was encoded, so nothing can be stored");
}

#[test]
fn an_optional_greeting_that_nobody_answers_lets_messages_out_without_identity() {
    let config = Config { requires_greeting: false, ..KEPT };
    let mut device = Device::new(config);
    device.send(b"waits");
    device.connect();
    device.pass_until(10);
    assert_eq!(device.told(), ["online"]);
    assert_eq!(device.messages(), [1]);
    device.save();
    device.send(b"more");
    assert_eq!(device.messages(), [2], "storing the state changes nothing in that");
    device.ack(1);
    device.ack(2);
    assert_eq!(device.told(), ["delivered 1", "delivered 2"]);
    // The next link is greeted: what another server acknowledged is none of this one's.
    device.cut();
    device.greet(&[]);
    assert_eq!(device.told(), ["offline transport", "online"]);
}
