//! How often, when and for how long a message is tried.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{MessagePolicy, RejectCode, RequestPolicy};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Config, Endpoint, SendError};
use std::time::Duration;
use support::native::{Device, HEARTBEAT, MESSAGE, REPLY, Service, VOLATILE, Welcome, messages};

/// A heartbeat only where one is asked for.
const QUIET: Config<'static> = Config { heartbeat: HeartbeatPolicy::Passive, ..VOLATILE };

fn quiet(message: MessagePolicy) -> Config<'static> {
    Config { message, ..QUIET }
}

/// A device that is online, without anything that came after that.
fn online(config: Config<'static>) -> Device {
    let mut device = Device::new(config);
    device.greet(&[]);
    device.told();
    device
}

/// Lets time pass with a peer that answers heartbeats and sends a push every second, and no message; returns when which
/// message was written.
fn on_a_live_link(device: &mut Device, until: u64) -> Vec<(u64, u32)> {
    let mut written = Vec::new();
    let start = device.now.as_micros() / 1_000_000;
    for second in start..=until {
        device.pass_until(second);
        let frames = device.frames();
        written.extend(messages(&frames).into_iter().map(|sequence| (second, sequence)));
        for frame in frames.iter().filter(|frame| frame.command == HEARTBEAT) {
            device.give(HEARTBEAT + REPLY, frame.sequence, b"");
        }
        device.give(122, 0, b"push");
    }
    written
}

#[test]
fn attempts_are_finite_and_each_waits_twice_as_long() {
    let mut device = online(QUIET);
    device.send(b"never answered");
    let written = on_a_live_link(&mut device, 400);
    let times: Vec<u64> = written.iter().map(|(second, _)| *second).collect();
    // 12, 24, 48, 60 and 60 s: the first time-out, doubled, a minute at most.
    assert_eq!(times, [0, 12, 36, 84, 144]);
    assert_eq!(
        device.told().iter().filter(|line| line.starts_with("failed")).collect::<Vec<_>>(),
        ["failed 1 TimedOut true"]
    );
    assert!(device.link.closing().is_none(), "the link lives on");
}

#[test]
fn a_policy_of_its_own_sets_attempts_and_the_first_time_out() {
    for (attempts, expected) in [(0, vec![0]), (1, vec![0]), (3, vec![0, 2, 6])] {
        let timeout = Some(Duration::from_secs(2));
        let mut device = online(quiet(MessagePolicy { attempts, timeout, ..MessagePolicy::DEFAULT }));
        device.send(b"never answered");
        let written = on_a_live_link(&mut device, 60);
        assert_eq!(written.iter().map(|(second, _)| *second).collect::<Vec<_>>(), expected, "{attempts} attempts");
    }
}

#[test]
fn nothing_is_written_again_on_a_link_from_which_nothing_came_since_and_a_heartbeat_asks() {
    let mut device = online(QUIET);
    device.at(1).send(b"into the void");
    assert_eq!(device.messages(), [1]);
    device.pass_until(13);
    let frames = device.frames();
    assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HEARTBEAT]);
    device.pass_until(22);
    assert_eq!(device.bytes(), b"");
    assert_eq!(device.link.closing().map(|why| why.name()), Some("heartbeat_lost"));
    device.cut();
    assert_eq!(device.told(), ["offline heartbeat_lost"]);
    let spent: Vec<_> = device.client().messages().map(|message| message.attempts).collect();
    assert_eq!(spent, [(0, 5)], "no attempt was charged");
}

#[test]
fn the_clock_of_an_answer_starts_with_the_last_byte_written() {
    let mut device = online(QUIET);
    device.send(b"slowly");
    let whole = device.link.poll_transmit().unwrap().len();
    for second in 1..whole as u64 {
        device.at(second);
        device.link.handle_sent(device.now, 1);
        device.give(122, 0, b"");
    }
    device.at(100);
    assert_eq!(device.link.poll_transmit().unwrap().len(), 1);
    device.link.handle_sent(device.now, 1);
    device.give(122, 0, b"");
    let again = on_a_live_link(&mut device, 113);
    assert_eq!(again, [(112, 1)]);
}

#[test]
fn bytes_that_may_still_be_on_their_way_put_off_the_time_out() {
    let mut device = Device::with_memory(QUIET, 32_768, 16);
    device.greet(&[]);
    // 20 KiB and some at 2 KiB/s take ten seconds, before which the last of them is not missed.
    for _ in 0..10 {
        device.send(&[0; 2_048 - 16]);
    }
    device.send(b"last");
    assert_eq!(device.messages().len(), 11);
    for second in 1..=21 {
        device.pass_until(second);
        assert_eq!(device.frames(), [], "at {second} s");
    }
    device.pass_until(23);
    assert_eq!(device.frames().iter().map(|frame| frame.command).collect::<Vec<_>>(), [HEARTBEAT]);
}

#[test]
fn three_time_outs_in_a_row_ask_for_a_heartbeat_and_a_live_peer_keeps_the_link() {
    let mut device = online(QUIET);
    for _ in 0..3 {
        device.send(b"the store is stuck");
    }
    device.frames();
    device.at(6).give(122, 0, b"push");
    device.at(12);
    let frames = device.frames();
    assert_eq!(frames[0].command, HEARTBEAT, "first of all");
    assert_eq!(messages(&frames), [1, 2, 3]);
    device.give(HEARTBEAT + REPLY, frames[0].sequence, b"");
    device.pass_until(35);
    assert_eq!(device.link.closing(), None);
    // Two do not.
    let mut device = online(QUIET);
    device.send(b"the store is stuck");
    device.send(b"the store is stuck");
    device.frames();
    device.at(6).give(122, 0, b"push");
    device.at(12);
    assert!(device.frames().iter().all(|frame| frame.command == MESSAGE));
    // Nor do three with an answer in between.
    device.send(b"another");
    device.frames();
    device.at(13).ack(1);
    device.at(24);
    assert!(device.frames().iter().all(|frame| frame.command == MESSAGE));
}

#[test]
fn requests_that_are_not_answered_say_nothing_about_the_link() {
    let mut device = online(QUIET);
    for _ in 0..8 {
        let now = device.now;
        device.client().request(now, 501, b"held").unwrap();
    }
    device.frames();
    device.at(1).give(122, 0, b"push");
    device.pass_until(60);
    assert_eq!(device.bytes(), b"", "no heartbeat, and nothing again");
    assert_eq!(device.link.closing(), None);
    assert_eq!(device.told().iter().filter(|line| line.ends_with("TimedOut true")).count(), 8);
}

#[test]
fn a_link_cut_at_half_the_round_trip_for_an_hour_fails_no_message() {
    let mut device = Device::new(QUIET);
    for i in 0..5 {
        device.send(&[i]);
    }
    // The hello is on its way; the link breaks before its answer could come.
    for link in 0..3_600 * 8 {
        device.at_millis(link * 125);
        device.connect();
        device.cut();
    }
    assert!(!device.told().iter().any(|line| line.starts_with("failed")));
    let mut service = Service::default();
    service.meet_until_online(1, &mut device);
    assert_eq!(service.stored.len(), 5);
}

#[test]
fn links_that_break_cost_the_others_nothing_while_something_is_settled_on_each() {
    let mut device = Device::new(QUIET);
    for _ in 0..8 {
        device.send(b"body");
    }
    for done in 1..=7 {
        device.greet(&(1..done).collect::<Vec<_>>());
        device.messages();
        device.ack(done);
        device.cut();
    }
    let attempts: Vec<_> = device.client().messages().map(|message| message.attempts.0).collect();
    assert_eq!(attempts, [0], "message 8 was written on seven links");
}

#[test]
fn a_message_that_kills_the_server_each_time_fails_after_its_attempts_and_the_next_are_delivered() {
    let mut device = Device::new(QUIET);
    for i in 0..4 {
        device.send(&[i]);
    }
    let mut accepted: Vec<u32> = Vec::new();
    let mut links = 0;
    while device.client().unsettled() > 0 {
        links += 1;
        assert!(links < 20, "{:?}", device.told());
        device.greet(&accepted);
        for sequence in device.messages() {
            if sequence == 1 {
                break; // It crashes here, and has answered none.
            }
            accepted.push(sequence);
            device.ack(sequence);
        }
        device.cut();
    }
    assert_eq!(links, 6, "five with it, one without");
    let told = device.told();
    assert_eq!(told.iter().filter(|line| line.starts_with("failed")).collect::<Vec<_>>(), ["failed 1 TimedOut true"]);
    assert_eq!(told.iter().filter(|line| line.starts_with("delivered")).count(), 3);
}

#[test]
fn a_bitmap_that_settles_something_clears_the_suspicion() {
    let mut device = Device::new(QUIET);
    for i in 0..10 {
        device.send(&[i]);
    }
    // The server stores one message a link and always loses the answer.
    for link in 0..10_u32 {
        let accepted: Vec<u32> = (2..2 + link.min(9)).collect();
        device.greet(&accepted);
        device.messages();
        device.cut();
    }
    let attempts: Vec<_> =
        device.client().messages().map(|message| (message.token.sequence(), message.attempts.0)).collect();
    assert_eq!(attempts, [(1, 0)], "on each link something had been settled");
}

#[test]
fn the_lifetime_ends_a_message_in_every_state() {
    let lifetime = Duration::from_secs(100);
    let config = quiet(MessagePolicy { lifetime, timeout: Some(Duration::from_secs(90)), ..MessagePolicy::DEFAULT });
    // Never connected.
    let mut device = Device::new(config);
    device.send(b"old");
    device.pass_until(99);
    assert_eq!(device.told(), Vec::<String>::new());
    device.pass_until(100);
    assert_eq!(device.told(), ["failed 1 Expired false"]);
    assert_eq!(device.link.poll_timeout(), None);
    // While the greeting waits.
    let mut device = Device::new(config);
    device.send(b"old");
    device.pass_until(95).connect();
    device.pass_until(100);
    assert_eq!(device.told(), ["failed 1 Expired false"]);
    // Written, and not answered.
    let mut device = online(config);
    device.send(b"old");
    device.messages();
    device.pass_until(60).give(122, 0, b"push");
    assert!(device.told().iter().all(|line| line.starts_with("push")));
    device.pass_until(100);
    assert_eq!(device.told().last().map(String::as_str), Some("failed 1 Expired true"));
    assert_eq!(device.messages(), []);
    // Between links.
    let mut device = online(config);
    device.send(b"old");
    device.messages();
    device.at(50).cut();
    device.pass_until(100);
    assert_eq!(device.told(), ["offline transport", "failed 1 Expired true"]);
    // About to close.
    let mut device = online(config);
    device.send(b"old");
    device.messages();
    device.pass_until(95);
    let now = device.now;
    device.client().close(now);
    device.pass_until(100);
    assert_eq!(device.told(), ["failed 1 Expired true"]);
    // Lent, and partly written: it will be written, so the peer may have it.
    let message = MessagePolicy { lifetime: Duration::from_secs(20), ..MessagePolicy::DEFAULT };
    let mut device = online(quiet(message));
    device.send(b"old");
    device.link.poll_transmit().unwrap();
    device.link.handle_sent(device.now, 3);
    device.pass_until(20);
    assert_eq!(device.told(), ["failed 1 Expired true"]);
    assert_eq!(device.bytes().len(), 16, "the rest of the frame, so that the stream stays whole");
}

#[test]
fn a_lifetime_that_ends_during_a_sleep_leaves_no_deadline_behind() {
    let lifetime = Duration::from_secs(100);
    let mut device = online(Config {
        linger: Duration::from_millis(50),
        ..quiet(MessagePolicy { lifetime, ..MessagePolicy::DEFAULT })
    });
    device.send(b"old");
    device.at(8 * 3_600);
    assert!(device.link.poll_timeout().is_none_or(|at| at > device.now), "{:?}", device.link.endpoint().next_timer());
    device.pass_until(8 * 3_600 + 1);
    assert_eq!(device.told(), ["failed 1 Expired false"]);
}

#[test]
fn the_clock_of_the_attempts_stands_while_there_is_no_link() {
    let mut device = online(QUIET);
    device.send(b"body");
    device.messages();
    device.at(1).give(122, 0, b"push");
    device.at(2).cut();
    device.pass_until(24 * 3_600);
    assert_eq!(device.told(), ["push 122/0 push", "offline transport"]);
    device.connect();
    device.pass_until(24 * 3_600 + 9);
    let spent: Vec<_> = device.client().messages().map(|message| message.attempts.0).collect();
    assert_eq!(spent, [0], "nor while the greeting waits");
}

#[test]
fn a_failed_message_says_that_it_was_written_and_sent_again_under_its_sequence_is_stored_once() {
    let mut service = Service::default();
    let mut device = Device::new(QUIET);
    let mut link = service.meet(1, &mut device);
    device.told();
    device.send(b"once");
    // The server stores it, and every answer is lost.
    for second in 0..300 {
        device.pass_until(second);
        let up = device.bytes();
        let now = device.now;
        link.now = now;
        support::feed(&mut link.link, now, &up, |server, event| service.handle(1, now, server, event));
        link.frames();
        device.give(HEARTBEAT + REPLY, u32::MAX, b"");
        device.give(122, 0, b"push");
    }
    let told = device.told();
    assert_eq!(told.iter().filter(|line| line.starts_with("failed")).collect::<Vec<_>>(), ["failed 1 TimedOut true"]);
    let token = device.send_again(1, b"once").unwrap();
    assert_eq!(token.sequence(), 1);
    service.talk(1, &mut device, &mut link);
    assert_eq!(device.told(), ["delivered 1"]);
    assert_eq!(service.bodies(), ["once"]);
}

#[test]
fn what_is_sent_again_must_have_been_assigned_and_not_be_too_old() {
    let mut device = Device::with_memory(QUIET, 8_192, 80);
    assert_eq!(device.send_again(1, b"x"), Err(SendError::Unassigned));
    device.greet(&[]);
    for sequence in 1..=70 {
        device.send(b"body");
        device.messages();
        device.ack(sequence);
    }
    for sequence in [0, 71, 100, 0xFFFF_FFF0, u32::MAX] {
        assert_eq!(device.send_again(sequence, b"x"), Err(SendError::Unassigned), "{sequence}");
    }
    for sequence in [1, 5, 6] {
        assert_eq!(device.send_again(sequence, b"x"), Err(SendError::TooOld), "{sequence}");
    }
    device.send_again(7, b"x").unwrap();
    assert_eq!(device.send_again(7, b"x"), Err(SendError::TooMany), "it is under way");
    assert_eq!(device.messages(), [7]);
}

#[test]
fn a_cancelled_message_says_whether_that_came_too_late() {
    // Still queued.
    let mut device = online(QUIET);
    let token = device.send(b"one");
    device.cancel(token);
    assert_eq!((device.told(), device.bytes()), (vec!["cancelled 1 false".to_string()], vec![]));
    // Lent: it is being written.
    let token = device.send(b"two");
    device.link.poll_transmit().unwrap();
    device.cancel(token);
    assert_eq!(device.told(), ["cancelled 2 true"]);
    assert_eq!(device.messages(), [2]);
    // Written.
    let token = device.send(b"three");
    device.messages();
    device.cancel(token);
    assert_eq!(device.told(), ["cancelled 3 true"]);
    // Written on a link before.
    let token = device.send(b"four");
    device.messages();
    device.cut();
    device.cancel(token);
    assert_eq!(device.told(), ["offline transport", "cancelled 4 true"]);
    // A second time, and after its end: nothing.
    device.cancel(token);
    device.greet(&[]);
    assert_eq!(device.messages(), []);
    assert_eq!(device.told(), ["online"]);
}

#[test]
fn an_answer_that_comes_after_the_end_is_counted_and_not_told() {
    let mut device = online(QUIET);
    let token = device.send(b"one");
    device.messages();
    device.cancel(token);
    assert_eq!(device.told(), ["cancelled 1 true"]);
    let dropped = device.link.endpoint().stats().dropped;
    device.ack(1);
    device.reject(1, RejectCode::Quota);
    device.ack(2);
    assert_eq!(device.told(), Vec::<String>::new());
    assert_eq!(device.link.endpoint().stats().dropped, dropped + 3);
    // An answer in the middle of the next attempt is one.
    device.send(b"two");
    device.messages();
    device.at(6).give(122, 0, b"");
    device.at(12);
    device.link.poll_transmit().unwrap();
    device.link.handle_sent(device.now, 4);
    device.ack(2);
    assert_eq!(device.told(), ["push 122/0 ", "delivered 2"]);
    assert_eq!(device.bytes().len(), 15, "the frame that is begun is ended");
    assert!(device.client().is_settled());
}

#[test]
fn what_waits_is_written_oldest_first_and_all_of_it_before_anything_new() {
    let mut device = online(QUIET);
    for i in 0..3 {
        device.send(&[i]);
    }
    device.messages();
    device.at(6).give(122, 0, b"");
    device.at(12).send(b"new");
    let frames = device.frames();
    assert_eq!(messages(&frames), [1, 2, 3, 4], "what timed out, then what is new");
    device.cut();
    device.send(b"newer");
    device.greet(&[2]);
    assert_eq!(device.messages(), [1, 3, 4, 5]);
}

#[test]
fn a_late_timer_charges_no_attempt_and_writes_nothing_again() {
    let mut device = online(Config { heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(30)), ..QUIET });
    device.send(b"body");
    device.messages();
    device.at(6).give(122, 0, b"");
    // Asleep for eight hours, with the answer in the socket.
    device.at(8 * 3_600);
    let frames = device.frames();
    assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HEARTBEAT]);
    let spent: Vec<_> = device.client().messages().map(|message| message.attempts.0).collect();
    assert_eq!(spent, [0]);
    device.ack(1);
    assert_eq!(device.told().last().map(String::as_str), Some("delivered 1"));
}

#[test]
fn one_message_expires_once_a_call_however_late() {
    let timeout = Some(Duration::from_secs(1));
    let mut device = online(quiet(MessagePolicy { timeout, attempts: 3, ..MessagePolicy::DEFAULT }));
    device.send(b"body");
    device.messages();
    device.at_millis(500).give(122, 0, b"");
    device.at_millis(5_500);
    assert_eq!(device.messages(), [1], "one attempt, not three");
    assert_eq!(device.told(), ["push 122/0 "]);
}

#[test]
fn at_the_end_of_the_clock_nothing_times_out_and_nothing_breaks() {
    let mut device = online(QUIET);
    device.now = longlink::Instant::MAX;
    device.process();
    device.send(b"body");
    let now = device.now;
    device
        .client()
        .request_with(now, 501, &RequestPolicy { asks_again: true, ..RequestPolicy::DEFAULT }, |_| Ok(0))
        .unwrap();
    assert_eq!(device.frames().len(), 2);
    device.process();
    device.cut();
    let hello = device.connect();
    device.welcome(&Welcome::having(1, hello.link, &[1]));
    assert!(device.told().contains(&"delivered 1".to_string()));
}
