//! Which messages are written when, and which are settled by what a server says it has.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{AcceptError, Accepted};
use longlink::delivery::{
    DedupWindow, Failure, LAST_SEQUENCE, Ledger, MessagePolicy, RejectCode, Rejection, Standing, Verdict,
};
use longlink::session::{Config, Disconnect, GoAwayCode, SendError, ServerConfig};
use std::collections::HashSet;
use std::time::Duration;
use support::S;
use support::native::{Device, Gate, KEPT, MESSAGE, REPLY, Service, VOLATILE, Welcome, messages};

/// A device that has written messages 1 to `count` to a server that answered none, and lost that link.
fn unanswered(count: usize) -> Device {
    let mut device = Device::with_memory(VOLATILE, 8_192, 128);
    device.greet(&[]);
    for _ in 0..count {
        device.send(b"body");
    }
    assert_eq!(device.messages().len(), count);
    device.cut();
    device.told();
    device
}

#[test]
fn exactly_the_messages_whose_bit_is_set_are_settled_and_the_others_are_written_again_in_ascending_order() {
    // Every subset of six: accepted out of order, with the link cut in between.
    for set in 0..64_u32 {
        let accepted: Vec<u32> = (1..=6).filter(|sequence| set >> (sequence - 1) & 1 == 1).collect();
        let mut device = unanswered(6);
        device.greet(&accepted);
        let rest: Vec<u32> = (1..=6).filter(|sequence| !accepted.contains(sequence)).collect();
        assert_eq!(device.messages(), rest, "the server has {accepted:?}");
        let mut told = device.told();
        assert_eq!(told.remove(0), "online");
        assert_eq!(told, accepted.iter().map(|sequence| format!("delivered {sequence}")).collect::<Vec<_>>());
    }
}

#[test]
fn every_width_of_window_is_read_bit_by_bit() {
    for width in [8, 9, 16, 127, 128] {
        let mut device = unanswered(64);
        let hello = device.connect();
        // Each third, and the last.
        let accepted: Vec<u32> = (1..=64).filter(|sequence| sequence % 3 == 1).collect();
        device.welcome(&Welcome::with_width(1, hello.link, width, &accepted));
        let rest: Vec<u32> = (1..=64).filter(|sequence| sequence % 3 != 1).collect();
        assert_eq!(device.messages(), rest, "{width} bytes");
        assert_eq!(device.client().unsettled(), rest.len());
    }
}

#[test]
fn what_is_older_than_the_window_ends_as_unknown_and_is_not_written_again() {
    let mut device = Device::with_memory(VOLATILE, 8_192, 128);
    let hello = device.connect();
    device.welcome(&Welcome::with_width(1, hello.link, 16, &[]));
    for _ in 0..100 {
        device.send(b"body");
    }
    assert_eq!(device.messages().len(), 100);
    device.cut();
    let hello = device.connect();
    // A server with a narrower window, which has 100 and 40 and nothing else that it remembers.
    device.told();
    device.welcome(&Welcome::with_width(1, hello.link, 8, &[100, 40]));
    assert_eq!(device.messages(), (37..100).filter(|sequence| *sequence != 40).collect::<Vec<_>>());
    let told = device.told();
    assert_eq!(told.iter().filter(|line| line.ends_with("Unknown true")).count(), 36, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("delivered")).count(), 2, "{told:?}");
}

#[test]
fn holes_left_by_taken_back_and_failed_messages_cost_no_further_writing() {
    let mut service = Service::default();
    let mut device = Device::new(VOLATILE);
    let mut link = service.meet(1, &mut device);
    let tokens: Vec<_> = (0..9).map(|i| device.send(&[i])).collect();
    device.cancel(tokens[3]);
    service.talk(1, &mut device, &mut link);
    for round in 0..20 {
        device.cut();
        device.link.handle_connected(device.now);
        link = Gate::new(ServerConfig::DEFAULT, device.now);
        service.talk(1, &mut device, &mut link);
        assert_eq!(link.link.endpoint().stats().frames_received, 1, "round {round}: the hello, and no message");
    }
    assert_eq!(service.stored.len(), 8);
    assert!(device.client().is_settled());
}

#[test]
fn a_message_is_first_written_within_the_window_that_begins_at_the_lowest_unsettled() {
    let mut device = Device::with_memory(VOLATILE, 8_192, 128);
    device.greet(&[]);
    for _ in 0..100 {
        device.send(b"body");
    }
    assert_eq!(device.messages(), (1..=64).collect::<Vec<_>>());
    // All but the lowest: nothing more may go.
    (2..=64).for_each(|sequence| device.ack(sequence));
    assert_eq!(device.messages(), []);
    // The lowest timed out on a link that works: what was written once is never held back.
    device.pass_until(13).frames();
    device.at(14).give(1_000_000_006, u32::MAX, b"");
    device.pass_until(20);
    assert_eq!(device.messages(), [1]);
    device.ack(1);
    assert_eq!(device.messages(), (65..=100).collect::<Vec<_>>());
}

#[test]
fn what_was_written_under_a_wider_window_is_not_held_back_by_a_narrower_one() {
    let mut device = Device::with_memory(VOLATILE, 16_384, 128);
    let hello = device.connect();
    device.welcome(&Welcome::with_width(1, hello.link, 16, &[]));
    for _ in 0..100 {
        device.send(b"body");
    }
    assert_eq!(device.messages().len(), 100);
    device.send(b"new");
    device.cut();
    device.greet(&[]);
    assert_eq!(device.messages(), (1..=100).collect::<Vec<_>>(), "all that was written, and nothing new");
}

#[test]
fn the_window_is_64_until_a_greeting_names_another() {
    for (width, most) in [(8_u8, 64), (16, 128), (128, 150)] {
        let mut device = Device::with_memory(VOLATILE, 16_384, 256);
        for _ in 0..150 {
            device.send(b"body");
        }
        let hello = device.connect();
        device.welcome(&Welcome::with_width(1, hello.link, width, &[]));
        assert_eq!(device.messages(), (1..=most).collect::<Vec<_>>());
    }
    let mut device = Device::with_memory(Config::DEFAULT, 16_384, 256);
    for _ in 0..150 {
        device.send(b"body");
    }
    device.link.handle_connected(S(0));
    device.process();
    assert_eq!(device.messages(), (1..=64).collect::<Vec<_>>(), "also where nobody greets");
}

#[test]
fn the_store_of_the_lowest_fails_again_and_again_while_all_others_pass_and_nothing_gets_too_old() {
    let config = ServerConfig { ordered: false, ..ServerConfig::DEFAULT };
    let mut ledger = Ledger::new();
    let message = MessagePolicy { attempts: 100, ..MessagePolicy::DEFAULT };
    let mut device = Device::with_memory(Config { message, ..VOLATILE }, 16_384, 128);
    let (mut stored, mut answers) = (Vec::new(), Vec::new());
    for link in 1..=70 {
        device.send(b"body");
        device.send(b"body");
        let mut gate = Gate::greeted_with(config, &mut ledger, link);
        let snapshot: Vec<u32> = (1..=200).filter(|sequence| ledger.window().is_accepted(*sequence)).collect();
        let hello = device.connect();
        device.welcome(&Welcome::having(1, hello.link, &snapshot));
        for sequence in device.messages() {
            gate.message(&mut ledger, sequence, b"body");
        }
        for (id, _) in gate.offered.clone() {
            if id.sequence == 1 && link < 70 {
                gate.server().release(S(0), &id).unwrap();
            } else {
                assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
                stored.push(id.sequence);
                gate.server().accept(S(0), &id).unwrap();
            }
        }
        for (sequence, code) in gate.answers() {
            answers.push(code);
            device.ack(sequence);
        }
        device.cut();
    }
    assert!(answers.iter().all(Option::is_none), "none is rejected: {answers:?}");
    assert!(stored.contains(&1) && stored.len() >= 64, "{stored:?}");
    let told = device.told();
    assert!(!told.iter().any(|line| line.starts_with("failed")), "{told:?}");
}

#[test]
fn what_is_too_old_for_the_window_is_rejected_never_acknowledged_and_its_sender_hears_unknown() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted_with(ServerConfig { ordered: false, ..ServerConfig::DEFAULT }, &mut ledger, 1);
    gate.message(&mut ledger, 100, b"high");
    assert_eq!(ledger.accept(&gate.id(100)), Some(Verdict::Fresh));
    let id = gate.id(100);
    gate.server().accept(S(0), &id).unwrap();
    gate.answers();
    for old in [1, 35, 36] {
        gate.message(&mut ledger, old, b"old");
        assert_eq!(gate.answers(), [(old, Some(3))]);
    }
    gate.message(&mut ledger, 37, b"just within");
    assert_eq!(gate.id(37).sequence, 37);
    let mut device = Device::new(VOLATILE);
    device.greet(&[]);
    device.send(b"old");
    device.messages();
    device.reject(1, RejectCode::TooOld);
    assert_eq!(device.told(), ["online", "failed 1 Unknown true"]);
}

#[test]
fn an_answer_that_is_owed_never_goes_to_another_message_with_the_same_place_in_the_map() {
    for ordered in [true, false] {
        let mut ledger = Ledger::new();
        let config = ServerConfig { ordered, ..ServerConfig::DEFAULT };
        let mut gate = Gate::greeted_with(config, &mut ledger, 1);
        for sequence in 1..=64 {
            gate.message(&mut ledger, sequence, b"stored");
            let id = gate.id(sequence);
            assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
            gate.server().accept(S(0), &id).unwrap();
        }
        gate.answers();
        // 65 to 100 are offered and not stored; then copies of 1 to 36 come, each with the place of one of them.
        for sequence in 65..=100 {
            gate.message(&mut ledger, sequence, b"pending");
        }
        for sequence in 1..=36 {
            gate.message(&mut ledger, sequence, b"copy");
            let answers = gate.answers();
            assert_eq!(answers.len(), 1, "copy of {sequence}");
            assert_eq!(answers[0].0, sequence, "what is answered is what came, not what is pending");
        }
        assert_eq!(gate.offered.len(), 100);
    }
}

#[test]
fn a_fresh_message_far_behind_what_is_offered_blocks_nothing() {
    let mut ledger = Ledger::new();
    let config = ServerConfig { ordered: false, ..ServerConfig::DEFAULT };
    let mut gate = Gate::greeted_with(config, &mut ledger, 1);
    gate.message(&mut ledger, 60, b"stored");
    let id = gate.id(60);
    assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
    gate.server().accept(S(0), &id).unwrap();
    gate.message(&mut ledger, 100, b"pending");
    // Fresh, within the window behind 60, but out of the reach of the maps, which end at 100.
    gate.message(&mut ledger, 10, b"far behind");
    gate.message(&mut ledger, 36, b"with the place of 100");
    let offered: Vec<_> = gate.offered.iter().map(|(id, _)| *id).skip(1).collect();
    for id in offered {
        gate.server().accept(S(0), &id).unwrap();
    }
    assert_eq!(gate.server().pending(), 0, "whatever is offered can be decided");
}

#[test]
fn a_later_message_is_not_accepted_before_an_earlier_one_is_decided() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    (1..=4).for_each(|sequence| gate.message(&mut ledger, sequence, b"body"));
    let (one, two, three, four) = (gate.id(1), gate.id(2), gate.id(3), gate.id(4));
    let early = Err(AcceptError::OutOfOrder { expected: 1 });
    assert_eq!(gate.server().accept(S(0), &two), early);
    assert_eq!(gate.server().accept(S(0), &four), early);
    gate.server().reject(S(0), &one, Rejection { code: RejectCode::Quota, detail: 9 }).unwrap();
    gate.server().accept(S(0), &two).unwrap();
    assert_eq!(gate.server().accept(S(0), &four), Err(AcceptError::OutOfOrder { expected: 3 }));
    gate.server().accept(S(0), &three).unwrap();
    gate.server().accept(S(0), &four).unwrap();
    let mut answers = gate.answers();
    answers.sort_unstable();
    assert_eq!(answers, [(1, Some(7)), (2, None), (3, None), (4, None)]);
}

#[test]
fn a_store_that_fails_closes_the_link_and_the_order_is_kept_over_links() {
    let mut ledger = Ledger::new();
    let mut order = Vec::new();
    for link in 1..=5 {
        let mut gate = Gate::greeted(&mut ledger, link);
        for sequence in 1..=10 {
            if ledger.window().check(sequence) == Verdict::Fresh {
                gate.message(&mut ledger, sequence, b"body");
            }
        }
        for (index, (id, _)) in gate.offered.clone().into_iter().enumerate() {
            if index == 2 && link < 5 {
                gate.server().release(S(0), &id).unwrap();
                continue;
            }
            if gate.server().accept(S(0), &id).is_ok() {
                assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
                order.push(id.sequence);
            }
        }
        let frames = gate.frames();
        let closes = frames.iter().any(|frame| frame.command == 247 && frame.body[1] == 1);
        assert_eq!(closes, link < 5, "goaway restart: {frames:?}");
    }
    assert_eq!(order, (1..=10).collect::<Vec<_>>(), "strictly ascending, over five links");
}

#[test]
fn a_full_table_of_pending_messages_stops_the_reading_and_skips_none() {
    let config = ServerConfig { pending: 2, ..ServerConfig::DEFAULT };
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted_with(config, &mut ledger, 1);
    let five: Vec<u8> = (1..=5)
        .flat_map(|sequence| support::frame(&longlink::wire::Dialect::LONGLINK, MESSAGE, sequence, b"x"))
        .collect();
    gate.feed(&mut ledger, &five);
    assert_eq!(gate.offered.len(), 2);
    assert!(gate.link.space().is_empty(), "reading pauses");
    for expected in 1..=5 {
        let id = gate.offered[expected as usize - 1].0;
        assert_eq!(id.sequence, expected);
        gate.server().accept(S(0), &id).unwrap();
        let (now, offered) = (gate.now, &mut gate.offered);
        gate.link.process(now, |_, event| {
            if let longlink::session::ServerEvent::Message { id, frame } = event {
                offered.push((id, frame.body().to_vec()));
            }
        });
    }
    assert_eq!(gate.offered.len(), 5);
}

#[test]
fn what_comes_behind_a_later_one_that_was_taken_is_rejected_as_out_of_order() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    gate.message(&mut ledger, 5, b"later");
    gate.message(&mut ledger, 4, b"while the later is pending");
    assert_eq!(gate.answers(), [(4, Some(4))]);
    let five = gate.id(5);
    assert_eq!(ledger.accept(&five), Some(Verdict::Fresh));
    gate.server().accept(S(0), &five).unwrap();
    gate.message(&mut ledger, 3, b"after it was stored");
    assert_eq!(gate.answers(), [(3, Some(4)), (5, None)]);
    assert_eq!(gate.offered.len(), 1);
    let mut next = Gate::greeted(&mut ledger, 2);
    next.message(&mut ledger, 2, b"on a later link too");
    assert_eq!(next.answers(), [(2, Some(4))]);
    // With a server that keeps no order it is taken.
    let mut free = Gate::greeted_with(ServerConfig { ordered: false, ..ServerConfig::DEFAULT }, &mut ledger, 3);
    free.message(&mut ledger, 2, b"taken");
    assert_eq!(free.offered.len(), 1);
}

#[test]
fn all_that_is_unsettled_is_written_in_ascending_order_on_every_link_whatever_was_sent_again() {
    let mut device = Device::new(VOLATILE);
    device.greet(&[]);
    let tokens: Vec<_> = (0..6).map(|i| device.send(&[i])).collect();
    assert_eq!(device.messages(), [1, 2, 3, 4, 5, 6]);
    device.cancel(tokens[1]);
    device.cancel(tokens[3]);
    device.send_again(4, &[3]).unwrap();
    device.send_again(2, &[1]).unwrap();
    assert_eq!(device.messages(), [2, 4], "what waits is in ascending order");
    device.send(&[6]);
    device.cut();
    device.greet(&[]);
    assert_eq!(device.messages(), [1, 2, 3, 4, 5, 6, 7], "and so is everything on the next link");
}

#[test]
fn a_message_counter_does_not_wrap_and_the_next_epoch_begins_when_all_is_settled() {
    let mut device = Device::new(KEPT);
    // A device at the end of its epoch: the reserved block ends with the last sequence.
    device.greet(&[]);
    let mut state = device.save();
    state[28..32].copy_from_slice(&(LAST_SEQUENCE - 2).to_be_bytes());
    let mut device = Device::restored(KEPT, &state);
    let mut nonces = HashSet::new();
    let mut seal = |device: &mut Device| {
        let (now, mut nonce) = (device.now, None);
        let token = device.client().send_sealed(now, &MessagePolicy::DEFAULT, |epoch, sequence, room| {
            nonce = Some((epoch, sequence));
            room[0] = 1;
            Ok(1)
        });
        if token.is_ok() {
            assert!(nonces.insert(nonce.unwrap()), "{nonce:?} was used before");
        }
        token
    };
    device.greet(&[]);
    for _ in 0..3 {
        seal(&mut device).unwrap();
    }
    device.save();
    assert_eq!(device.messages(), [LAST_SEQUENCE - 2, LAST_SEQUENCE - 1, LAST_SEQUENCE]);
    assert_eq!(seal(&mut device), Err(SendError::EpochSpent));
    device.ack(LAST_SEQUENCE - 2);
    device.ack(LAST_SEQUENCE);
    assert_eq!(seal(&mut device), Err(SendError::EpochSpent));
    assert_eq!(device.link.closing(), None, "one message is not settled");
    device.ack(LAST_SEQUENCE - 1);
    assert_eq!(seal(&mut device), Err(SendError::EpochSpent));
    assert_eq!(device.link.closing(), Some(Disconnect::EpochChanged));
    assert_eq!(seal(&mut device).unwrap().sequence(), 1);
    device.cut();
    let hello = device.greet(&[]);
    assert_eq!((hello.epoch, hello.link), (2, 1));
    device.save();
    assert_eq!(messages(&device.frames()), [1]);
}

#[test]
fn an_epoch_that_is_spent_while_the_link_drains_leaves_the_frame_that_is_begun_whole() {
    let mut device = Device::new(KEPT);
    device.greet(&[]);
    let mut state = device.save();
    state[28..32].copy_from_slice(&(LAST_SEQUENCE.wrapping_add(1)).to_be_bytes());
    let mut device = Device::restored(KEPT, &state);
    device.greet(&[]);
    let now = device.now;
    device.client().request(now, 501, b"a request that is partly written").unwrap();
    let whole = device.link.poll_transmit().unwrap().to_vec();
    device.link.handle_sent(now, 5);
    device.client().close(now);
    assert_eq!(device.try_send(b"no more"), Err(SendError::EpochSpent));
    assert_eq!(device.link.poll_transmit(), Some(&whole[5..]));
}

#[test]
fn an_epoch_that_is_spent_while_the_greeting_waits_begins_the_next_without_breaking_the_link() {
    let mut device = Device::new(KEPT);
    device.greet(&[]);
    let mut state = device.save();
    state[28..32].copy_from_slice(&(LAST_SEQUENCE.wrapping_add(1)).to_be_bytes());
    let mut device = Device::restored(KEPT, &state);
    let hello = device.connect();
    assert_eq!(device.try_send(b"no more"), Err(SendError::EpochSpent));
    device.welcome(&Welcome::having(hello.epoch, hello.link, &[]));
    let why = device.link.closing();
    assert!(!matches!(why, Some(Disconnect::BadGreeting(_))), "the server is not to blame: {why:?}");
}

#[test]
fn the_window_goes_over_the_end_of_the_sequences_with_bits_on_both_sides() {
    let mut window: DedupWindow = DedupWindow::new();
    let around = [LAST_SEQUENCE - 3, LAST_SEQUENCE - 1, LAST_SEQUENCE, 1, 3];
    for sequence in around {
        assert_eq!(window.accept(sequence), Verdict::Fresh);
    }
    let mut bitmap = [0; 8];
    window.write_bitmap(&mut bitmap).unwrap();
    assert_eq!((window.last(), bitmap[0]), (3, 0b0101_1101));
    let accepted = Accepted::new(window.last(), &bitmap).unwrap();
    for sequence in (LAST_SEQUENCE - 5..=LAST_SEQUENCE).chain(1..=5) {
        let expected = if around.contains(&sequence) { Standing::Stored } else { Standing::NotStored };
        assert_eq!(accepted.standing(sequence), expected, "{sequence}");
    }
}

#[test]
fn a_thousand_messages_through_a_window_of_64_and_16_slots_arrive_in_order() {
    for slots in [1, 2, 3, 16, 17, 64, 65, 200] {
        let mut service = Service::default();
        let mut device = Device::with_memory(VOLATILE, 16_384, slots);
        let mut link = service.meet(1, &mut device);
        let mut sent = 0_u32;
        for second in 0..5_000 {
            device.at(second);
            while sent < 1_000 && device.try_send(format!("{sent}").as_bytes()).is_ok() {
                sent += 1;
            }
            service.talk(1, &mut device, &mut link);
            if device.client().is_settled() && sent == 1_000 {
                break;
            }
        }
        let expected: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
        assert_eq!(service.bodies(), expected, "{slots} slots");
        assert!(device.client().is_settled());
        let sequences: Vec<u32> = service.stored.iter().map(|(_, _, sequence, _)| *sequence).collect();
        assert!(sequences.is_sorted());
    }
}

#[test]
fn a_thousand_messages_sent_offline_in_portions_that_fit_go_out_over_breaking_links_in_order() {
    let mut service = Service::default();
    let mut device = Device::with_memory(VOLATILE, 1_024, 16);
    let mut sent = 0_u32;
    while service.stored.len() < 1_000 {
        while sent < 1_000 && device.try_send(format!("{sent}").as_bytes()).is_ok() {
            sent += 1;
        }
        let mut link = service.meet(1, &mut device);
        service.talk(1, &mut device, &mut link);
        device.cut();
    }
    let expected: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
    assert_eq!(service.bodies(), expected);
    assert_eq!(device.told().iter().filter(|line| line.starts_with("delivered")).count(), 1_000);
}

#[test]
fn a_message_longer_than_the_peer_takes_fails_at_the_greeting_and_cannot_be_sent_after() {
    let mut device = Device::new(VOLATILE);
    device.send(&[1; 256]);
    device.send(&[2; 257]);
    device.send(b"short");
    let hello = device.connect();
    device.welcome(&Welcome { max_frame: 272, ..Welcome::having(1, hello.link, &[]) });
    assert_eq!(device.messages(), [1, 3]);
    assert_eq!(device.told(), ["online", "failed 2 TooLarge false"]);
    assert_eq!(device.try_send(&[0; 257]), Err(SendError::TooLong { length: 273, limit: 272 }));
    device.send(&[0; 256]);
    assert_eq!(device.messages(), [4]);
    // The next peer takes more.
    device.cut();
    device.greet(&[1, 3, 4]);
    device.send(&[0; 600]);
    assert_eq!(device.messages(), [5]);
    let _ = (REPLY, Failure::TooLarge, GoAwayCode::Restart, Duration::ZERO);
}
