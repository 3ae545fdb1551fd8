//! Messages, requests and one-way frames; rejections; peers that greet nobody, or send back what they get.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{Ledger, RejectCode, Rejection, RequestPolicy, Token, Verdict};
use longlink::session::{
    Client, Config, Disconnect, Endpoint, Event, GoAway, GoAwayCode, SendError, ServerConfig, ServerEvent,
};
use longlink::wire::{Batch, Dialect};
use std::time::Duration;
use support::native::{
    DEVICE, Device, Gate, Greets, HEARTBEAT, HELLO, MESSAGE, REPLY, Service, VOLATILE, Welcome, frames_in,
};
use support::{DIALECTS, S, frame};

const DIALECT: &Dialect = &Dialect::LONGLINK;
const ASKS_AGAIN: &RequestPolicy = &RequestPolicy { asks_again: true, ..RequestPolicy::DEFAULT };

fn request(device: &mut Device, command: u32, body: &[u8]) -> Token {
    let now = device.now;
    device.client().request(now, command, body).unwrap()
}

fn ask(device: &mut Device, command: u32, body: &[u8]) -> Token {
    let now = device.now;
    let copy = |room: &mut [u8]| {
        room[..body.len()].copy_from_slice(body);
        Ok(body.len())
    };
    device.client().request_with(now, command, ASKS_AGAIN, copy).unwrap()
}

fn online() -> Device {
    let mut device = Device::new(VOLATILE);
    device.greet(&[]);
    device.told();
    device
}

/// The identity of what is written, without its body.
fn heads(device: &mut Device) -> Vec<(u32, u32)> {
    device.frames().iter().map(|frame| (frame.command, frame.sequence)).collect()
}

#[test]
fn messages_and_requests_count_apart_and_requests_anew_with_each_link() {
    let mut device = online();
    request(&mut device, 501, b"a");
    device.send(b"m");
    request(&mut device, 501, b"b");
    let first = heads(&mut device);
    assert_eq!(first.iter().filter(|(command, _)| *command == MESSAGE).count(), 1);
    device.cut();
    device.told();
    device.greet(&[]);
    // The message keeps its number, and a request takes the first that is free.
    let token = request(&mut device, 501, b"c");
    assert!(token.sequence() <= 2, "{token:?}");
    let again = heads(&mut device);
    assert!(again.contains(first.iter().find(|(command, _)| *command == MESSAGE).unwrap()), "{again:?}");
}

#[test]
fn a_request_ends_with_its_link_unless_it_asks_again_under_a_sequence_of_the_next() {
    let mut device = online();
    let (one, two) = (request(&mut device, 501, b"1"), ask(&mut device, 502, b"2"));
    ask(&mut device, 503, b"3");
    heads(&mut device);
    device.give(502 + REPLY, two.sequence(), b"answered");
    device.cut();
    let told = device.told();
    let failed = format!("failed {} LinkLost true", one.sequence());
    assert_eq!(told, [&format!("reply {} answered", two.sequence()), &failed, "offline transport"]);
    device.greet(&[]);
    let again = device.frames();
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].command, again[0].body.as_slice()), (503, &b"3"[..]));
    // Late answers to what ended with the old link are nobody's.
    device.give(501 + REPLY, one.sequence(), b"late");
    device.give(502 + REPLY, two.sequence(), b"late");
    assert_eq!(device.told(), ["online"]);
    device.give(503 + REPLY, again[0].sequence, b"new");
    assert_eq!(device.told(), [format!("reply {} new", again[0].sequence)]);
}

#[test]
fn a_request_that_asks_again_is_the_same_token_over_many_links_and_can_be_taken_back() {
    let mut device = online();
    let token = ask(&mut device, 501, b"again");
    for _ in 0..5 {
        assert_eq!(device.frames().len(), 1);
        device.cut();
        device.greet(&[]);
    }
    assert_eq!(device.frames().len(), 1);
    device.told();
    device.cancel(token);
    assert_eq!(device.told().len(), 1);
    device.cut();
    device.greet(&[]);
    assert_eq!(device.frames(), []);
}

#[test]
fn a_reply_matches_by_sequence_and_exact_command_of_what_was_written() {
    let mut device = online();
    let message = device.send(b"message");
    let request = request(&mut device, 501, b"request");
    // Nothing of it is on the wire yet, so nothing can be its answer.
    device.give(MESSAGE + REPLY, message.sequence(), b"");
    device.give(501 + REPLY, request.sequence(), b"too early");
    assert_eq!(device.told(), Vec::<String>::new());
    device.frames();
    for (command, sequence) in [
        (501 + REPLY, message.sequence()),
        (MESSAGE + REPLY, request.sequence()),
        (MESSAGE, message.sequence()),
        (501, request.sequence()),
        (MESSAGE + REPLY, 0),
        (MESSAGE + REPLY, message.sequence() + 16),
        (1_000_000_190, message.sequence()),
        (HELLO + REPLY, message.sequence()),
    ] {
        let before = device.client().stats().dropped;
        device.give(command, sequence, b"");
        let (told, dropped) = (device.told(), device.client().stats().dropped - before);
        assert!(told.iter().all(|line| line.starts_with("push")), "{command}/{sequence}: {told:?}");
        assert_eq!(told.len() + dropped as usize, 1, "{command}/{sequence} is told or counted");
    }
    device.give(MESSAGE + REPLY, message.sequence(), b"");
    device.give(501 + REPLY, request.sequence(), b"");
    assert_eq!(device.told().len(), 2);
}

#[test]
fn a_push_with_the_sequence_of_one_in_flight_settles_nothing() {
    for dialect in [&Dialect::GOIM, &Dialect::BILIBILI] {
        let mut device = Device::new(Config { dialect, ..Config::DEFAULT });
        device.link.handle_connected(S(0));
        device.process();
        let token = device.send(b"message");
        assert_eq!(token.sequence(), 1);
        assert_eq!(heads(&mut device), [(4, 1)]);
        device.give(5, 1, b"push");
        device.give(5, 1, b"");
        assert_eq!(device.told(), ["online", "push 5/1 push", "push 5/1 "], "{}", dialect.name);
        // Its reply is command 4 with an empty body.
        device.give(4, 1, b"");
        assert_eq!(device.told(), ["delivered 1"], "{}", dialect.name);
    }
    let mut device = online();
    device.send(b"message");
    device.frames();
    device.give(122, 1, b"not a push with this sequence");
    device.give(122, 0, b"a push");
    assert_eq!(device.told(), ["push 122/0 a push"]);
}

#[test]
fn an_over_long_reply_ends_its_request_only_if_that_was_written() {
    let mut device = online();
    let (one, two) = (request(&mut device, 501, b"1"), ask(&mut device, 501, b"2"));
    let long = |sequence| {
        let mut bytes = frame(DIALECT, 501 + REPLY, sequence, b"");
        bytes[..4].copy_from_slice(&3_000_u32.to_be_bytes());
        bytes
    };
    // Before a byte of them is written.
    device.feed(&long(one.sequence()));
    assert_eq!(device.told(), Vec::<String>::new());
    device.link.handle_disconnected(S(0), Disconnect::Transport);
    device.told();
    device.greet(&[]);
    let frames = device.frames();
    assert_eq!(frames.len(), 1, "{two:?} asks again");
    device.feed(&long(frames[0].sequence));
    assert_eq!(device.told(), ["online".to_string(), format!("failed {} ReplyTooLong true", frames[0].sequence)]);
}

#[test]
fn a_request_cannot_have_the_command_of_messages_where_these_are_counted() {
    // Under the requests' counter it would be taken for message 1, and message 1 for its copy: acknowledged, not stored.
    let mut service = Service::default();
    let mut device = Device::new(VOLATILE);
    let mut link = service.meet(1, &mut device);
    let now = device.now;
    let request = device.client().request(now, MESSAGE, b"a request");
    if request.is_ok() {
        service.talk(1, &mut device, &mut link);
    }
    device.send(b"a message");
    service.talk(1, &mut device, &mut link);
    let told = device.told();
    let delivered = told.iter().any(|line| line.starts_with("delivered"));
    assert!(!delivered || service.bodies().contains(&"a message".to_string()), "{told:?} {:?}", service.bodies());
    assert!(request.is_err());
}

#[test]
fn requests_and_one_way_frames_pass_messages_that_are_held_back() {
    let mut device = Device::with_memory(VOLATILE, 8_192, 128);
    device.greet(&[]);
    for _ in 0..70 {
        device.send(b"body");
    }
    let request = request(&mut device, 501, b"passes");
    let now = device.now;
    device.client().send_one_way(now, 502, b"passes").unwrap();
    let written = heads(&mut device);
    assert_eq!(written.len(), 66);
    assert_eq!(written[64..], [(501, request.sequence()), (502, 0)]);
    (1..=64).for_each(|sequence| device.ack(sequence));
    assert_eq!(device.messages(), (65..=70).collect::<Vec<_>>());
}

#[test]
fn one_way_frames_have_sequence_0_and_are_gone_with_their_link() {
    let mut device = online();
    let now = device.now;
    device.client().send_one_way(now, 502, b"gone").unwrap();
    device.link.poll_transmit().unwrap();
    device.link.handle_sent(now, 7);
    device.cut();
    device.greet(&[]);
    assert_eq!(device.frames(), []);
    device.client().send_one_way(now, 502, b"here").unwrap();
    assert_eq!(heads(&mut device), [(502, 0)]);
    device.pass_until(29);
    assert_eq!(device.frames(), []);
}

#[test]
fn a_rejection_is_told_with_its_code_and_detail_and_what_is_none_is_dropped() {
    let cases: [(u16, RejectCode); 9] = [
        (1, RejectCode::Malformed),
        (2, RejectCode::TooLarge),
        (4, RejectCode::OutOfOrder),
        (5, RejectCode::NotGreeted),
        (6, RejectCode::Refused),
        (7, RejectCode::Quota),
        (8, RejectCode::Refused),
        (999, RejectCode::Refused),
        (65_535, RejectCode::Refused),
    ];
    for (code, expected) in cases {
        let mut device = online();
        device.send(b"no");
        device.frames();
        let [c1, c0] = code.to_be_bytes();
        device.give(MESSAGE + REPLY, 1, &[c1, c0, 0x12, 0x34]);
        let rejection = Rejection { code: expected, detail: 0x1234 };
        assert_eq!(device.told(), [format!("failed 1 Rejected({rejection:?}) true")]);
    }
    let mut device = online();
    device.send(b"no");
    device.frames();
    for body in [&[0, 0, 0, 0][..], &[0, 0, 9, 9], &[1], &[0, 1], &[0, 1, 0], &[0, 1, 0, 0, 0], &[0; 64]] {
        device.give(MESSAGE + REPLY, 1, body);
        assert_eq!(device.told(), Vec::<String>::new(), "{body:?}");
    }
    device.ack(1);
    assert_eq!(device.told(), ["delivered 1"]);
}

#[test]
fn a_rejection_is_final_for_its_link_and_forgotten_with_it() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    // Two copies on the link: the first is rejected, then the quota is free again.
    gate.message(&mut ledger, 5, b"first copy");
    gate.message(&mut ledger, 5, b"second copy");
    assert_eq!(gate.offered.len(), 1, "a copy of what is offered is dropped");
    let id = gate.id(5);
    let rejection = Rejection { code: RejectCode::Quota, detail: 0 };
    gate.server().reject(S(0), &id, rejection).unwrap();
    assert_eq!(gate.answers(), [(5, Some(7))]);
    gate.message(&mut ledger, 5, b"third copy");
    assert_eq!(gate.offered.len(), 1);
    let answers = gate.answers();
    assert!(matches!(answers[..], [(5, Some(_))]), "rejected again: {answers:?}");
    assert_eq!(ledger.window().check(5), Verdict::Fresh, "the window does not learn of it");
    // The next link, whose application has room.
    let mut gate = Gate::greeted(&mut ledger, 2);
    gate.message(&mut ledger, 5, b"once more");
    let id = gate.id(5);
    assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
    gate.server().accept(S(0), &id).unwrap();
    assert_eq!(gate.answers(), [(5, None)]);
}

#[test]
fn a_lost_rejection_is_decided_anew_and_the_sender_hears_only_that() {
    let mut ledger = Ledger::new();
    let mut device = Device::new(VOLATILE);
    device.greet(&[]);
    device.send(b"maybe");
    let mut gate = Gate::greeted(&mut ledger, 1);
    gate.message(&mut ledger, 1, b"maybe");
    let id = gate.id(1);
    gate.server().reject(S(0), &id, Rejection::new(RejectCode::Quota)).unwrap();
    assert_eq!(device.messages(), [1]);
    device.cut();
    let mut gate = Gate::greeted(&mut ledger, 2);
    assert!(!ledger.window().is_accepted(1));
    device.greet(&[]);
    assert_eq!(device.messages(), [1]);
    gate.message(&mut ledger, 1, b"maybe");
    let id = gate.id(1);
    assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
    gate.server().accept(S(0), &id).unwrap();
    for (sequence, code) in gate.answers() {
        assert_eq!(code, None);
        device.ack(sequence);
    }
    assert_eq!(device.told(), ["online", "offline transport", "online", "delivered 1"]);
}

#[test]
fn a_message_longer_than_the_receive_buffer_is_rejected_as_too_large_and_the_link_lives_on() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::with_memory(ServerConfig::DEFAULT, S(0), 512, 4_096);
    gate.feed(&mut ledger, &Greets { epoch: 1, link: 1, resume: false }.frame_of(DEVICE.get()));
    gate.frames();
    let long = frame(DIALECT, MESSAGE, 3, &[0; 600]);
    for piece in long.chunks(100) {
        gate.feed(&mut ledger, piece);
    }
    assert_eq!(gate.answers(), [(3, Some(2))]);
    gate.message(&mut ledger, 4, b"short");
    assert_eq!(gate.offered.len(), 1);
    assert_eq!(gate.link.closing(), None);
    // A request that is too long is nobody's business but its sender's.
    for piece in frame(DIALECT, 501, 3, &[0; 600]).chunks(100) {
        gate.feed(&mut ledger, piece);
    }
    assert_eq!(gate.frames(), []);
    // Beyond sixteen times the limit nothing is skipped.
    let mut bytes = frame(DIALECT, MESSAGE, 5, b"");
    bytes[..4].copy_from_slice(&(16 * 512 + 1_u32).to_be_bytes());
    gate.feed(&mut ledger, &bytes);
    assert!(matches!(gate.link.closing(), Some(Disconnect::Malformed(_))));
}

#[test]
fn both_greetings_name_the_longest_frame_that_their_side_takes() {
    let mut ledger = Ledger::new();
    let mut device = Device::new(VOLATILE);
    device.link.handle_connected(S(0));
    let hello = &device.frames()[0].body;
    assert_eq!(hello[20..24], 2_048_u32.to_be_bytes(), "the device's receive buffer");
    let mut gate = Gate::new(ServerConfig { max_frame: 1_000, ..ServerConfig::DEFAULT }, S(0));
    let mut small = Greets { epoch: 1, link: 1, resume: false }.body(DEVICE.get(), b"");
    small[20..24].copy_from_slice(&272_u32.to_be_bytes());
    gate.feed(&mut ledger, &frame(DIALECT, HELLO, 0xFFFF_FFFE, &small));
    assert_eq!(gate.frames()[0].body[16..20], 1_000_u32.to_be_bytes());
    let now = gate.now;
    assert_eq!(gate.server().push(now, 122, &[0; 257]), Err(SendError::TooLong { length: 273, limit: 272 }));
    gate.server().push(now, 122, &[0; 256]).unwrap();
}

#[test]
fn a_message_before_the_greeting_is_rejected_and_never_offered() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::new(ServerConfig::DEFAULT, S(0));
    gate.message(&mut ledger, 1, b"too early");
    assert_eq!(gate.answers(), [(1, Some(5))]);
    assert_eq!((gate.offered.len(), gate.told.len()), (0, 0));
}

#[test]
fn ten_bodies_that_make_no_sense_close_the_link_and_nine_do_not() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    for sequence in [0, 0xFFFF_FFF0, 0xFFFF_FFFE, u32::MAX, 0, 0, 0, 0, 0] {
        gate.message(&mut ledger, sequence, b"no message can have this sequence");
    }
    assert_eq!((gate.link.closing(), gate.frames(), gate.offered.len()), (None, vec![], 0));
    let now = gate.now;
    gate.server().misbehaves(now);
    assert_eq!(gate.link.closing(), Some(Disconnect::Misbehaved));
    let frames = gate.frames();
    assert_eq!((frames[0].command, frames[0].body[1]), (247, 6), "protocol error");
}

#[test]
fn commands_that_the_server_does_not_know_are_its_applications() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    for (command, sequence) in [(501, 7), (9_999, 1), (u32::MAX, 2)] {
        gate.feed(&mut ledger, &frame(DIALECT, command, sequence, b"?"));
    }
    gate.feed(&mut ledger, &frame(DIALECT, 24, 0, b"one-way"));
    gate.feed(&mut ledger, &frame(DIALECT, 1_000_000_191, 0, b""));
    let expected = ["request 501/7", "request 9999/1", "request 4294967295/2", "one-way 24", "one-way 1000000191"];
    assert_eq!(gate.told, expected);
    assert_eq!(gate.frames(), [], "no answer is the application's choice");
}

#[test]
fn an_echo_is_no_peer_that_stores_in_any_dialect() {
    for dialect in DIALECTS {
        let greets = dialect.greeting.is_some();
        let native = dialect.greeting.is_some_and(|greeting| greeting.native);
        let config = Config {
            dialect,
            identity: if native { VOLATILE.identity } else { None },
            hello: if greets { Some(b"hello") } else { None },
            ..Config::DEFAULT
        };
        let mut device = Device::new(config);
        device.send(b"a message that comes back");
        device.send(b"four");
        device.send(b"\0\0\0\0");
        device.link.handle_connected(S(0));
        for second in 0..60 {
            device.pass_until(second);
            let echo = device.bytes();
            device.feed(&echo);
        }
        let told = device.told();
        assert!(!told.iter().any(|line| line.starts_with("delivered")), "{}: {told:?}", dialect.name);
        let online = told.iter().any(|line| line.starts_with("online"));
        assert_eq!(online, !greets, "{}: {told:?}", dialect.name);
    }
    // Where nothing is greeted, connected is online, in the native dialect too.
    let mut device = Device::new(Config::DEFAULT);
    device.link.handle_connected(S(0));
    device.process();
    device.send(b"");
    let echo = device.bytes();
    device.feed(&echo);
    assert_eq!(device.told(), ["online"]);
}

#[test]
fn a_message_that_an_echo_would_answer_is_not_sent_empty_by_any_call() {
    for dialect in [&Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI] {
        let mut device = Device::new(Config { dialect, ..Config::DEFAULT });
        device.link.handle_connected(S(0));
        device.process();
        assert_eq!(device.try_send(b""), Err(SendError::Empty));
        let policy = &longlink::delivery::MessagePolicy::DEFAULT;
        assert_eq!(device.client().send_with(S(0), policy, |_| Ok(0)), Err(SendError::Empty), "{}", dialect.name);
        device.send(b"x");
        assert_eq!(device.messages_of(dialect), [1], "nothing was used up");
        device.cancel_all();
        assert_eq!(device.send_again(1, b""), Err(SendError::Empty));
    }
}

trait More {
    fn messages_of(&mut self, dialect: &Dialect) -> Vec<u32>;
    fn cancel_all(&mut self);
}

impl More for Device {
    fn messages_of(&mut self, dialect: &Dialect) -> Vec<u32> {
        self.frames().iter().filter(|frame| frame.command == dialect.message).map(|frame| frame.sequence).collect()
    }

    fn cancel_all(&mut self) {
        let tokens: Vec<Token> = self.client().messages().map(|message| message.token).collect();
        tokens.into_iter().for_each(|token| self.cancel(token));
    }
}

#[test]
fn clients_with_sequence_1_throughout_are_heard_every_time() {
    for dialect in [&Dialect::GOIM, &Dialect::BILIBILI] {
        let mut link = support::server(support::open(dialect), S(0));
        let mut heard = Vec::new();
        let mut feed = |bytes: &[u8], heard: &mut Vec<String>| {
            support::feed(&mut link, S(0), bytes, |server, event| match event {
                ServerEvent::Greeting(_) => server.welcome_with(S(0), b"{}").unwrap(),
                ServerEvent::Request(frame) => {
                    heard.push(String::from_utf8_lossy(frame.body()).into_owned());
                    server.reply(S(0), frame.command(), frame.sequence(), b"").unwrap();
                }
                other => panic!("{other:?}"),
            });
            frames_in(dialect, &support::written(&mut link, S(0)))
        };
        assert_eq!(feed(&frame(dialect, 7, 1, b"auth"), &mut heard)[0].command, 8);
        for i in 0..5 {
            let answers = feed(&frame(dialect, 4, 1, format!("{i}").as_bytes()), &mut heard);
            assert_eq!(answers.iter().map(|a| (a.command, a.sequence, a.body.len())).collect::<Vec<_>>(), [(4, 1, 0)]);
        }
        assert_eq!(heard, ["0", "1", "2", "3", "4"], "{}", dialect.name);
        let beat = feed(&frame(dialect, 2, 1, b""), &mut heard);
        assert_eq!((beat[0].command, beat[0].sequence), (3, 1));
    }
}

#[test]
fn without_a_greeting_what_a_broken_link_left_is_sent_again_or_fails_as_configured() {
    for (resends, expected) in [(true, vec![1, 2]), (false, vec![2])] {
        let mut device = Device::new(Config { resends, ..Config::DEFAULT });
        device.link.handle_connected(S(0));
        device.process();
        device.send(b"written");
        device.frames();
        device.send(b"not written");
        device.cut();
        device.link.handle_connected(S(0));
        device.process();
        assert_eq!(device.messages(), expected);
        let told = device.told();
        assert_eq!(told.contains(&"failed 1 LinkLost true".to_string()), !resends, "{told:?}");
    }
}

#[test]
fn a_server_without_the_greeting_consults_no_window() {
    let mut gate = Gate::new(support::OPEN, S(0));
    let mut ledger = Ledger::new();
    for _ in 0..3 {
        gate.message(&mut ledger, 1, b"each arrives");
    }
    assert_eq!(gate.told, vec!["request 237/1"; 3]);
    assert_eq!(gate.offered.len(), 0);
}

#[test]
fn messages_wait_for_company_so_long_or_until_there_are_bytes_enough_or_until_flushed() {
    let linger = Duration::from_millis(200);
    let config = Config { linger, batch: 100, ..VOLATILE };
    let start = || {
        let mut device = Device::new(config);
        device.greet(&[]);
        device.at(1);
        device
    };
    // So long, from the first of them.
    let mut device = start();
    device.send(b"one");
    device.at_millis(1_150).send(b"two");
    assert_eq!(device.bytes(), b"");
    assert_eq!(device.link.poll_timeout(), Some(longlink::Instant::from_millis(1_200)));
    device.at_millis(1_200);
    assert_eq!(device.link.poll_transmit().unwrap().len(), 2 * 16 + 6, "in one piece");
    // Bytes enough.
    let mut device = start();
    device.send(&[0; 40]);
    assert_eq!(device.bytes(), b"");
    device.send(&[0; 28]);
    assert_eq!(device.messages(), [1, 2], "100 bytes");
    // Flushed.
    let mut device = start();
    device.send(b"one");
    let now = device.now;
    device.client().flush(now);
    assert_eq!(device.messages(), [1]);
    // A request waits for nobody, and takes them with it.
    let mut device = start();
    device.send(b"one");
    request(&mut device, 501, b"now");
    assert_eq!(heads(&mut device).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [MESSAGE, 501]);
    // What is written again, and what waited for the link, does not wait once more.
    let mut device = start();
    device.send(b"one");
    device.cut();
    device.greet(&[]);
    assert_eq!(device.messages(), [1]);
    device.at(5).give(122, 0, b"");
    device.at(13);
    assert!(device.messages().contains(&1));
    // Closing waits for no company either.
    let mut device = start();
    device.send(b"one");
    let now = device.now;
    device.client().close(now);
    assert_eq!(device.messages(), [1]);
}

#[test]
fn a_heartbeat_goes_before_what_is_queued_and_after_what_is_begun() {
    let mut device = online();
    device.send(b"begun");
    device.send(b"queued");
    device.link.poll_transmit().unwrap();
    device.link.handle_sent(device.now, 3);
    let now = device.now;
    device.client().heartbeat(now);
    let rest = device.bytes();
    let whole = [&frame(DIALECT, MESSAGE, 1, b"begun")[..3], &rest].concat();
    let heads: Vec<u32> = frames_in(DIALECT, &whole).iter().map(|frame| frame.command).collect();
    assert_eq!(heads, [MESSAGE, HEARTBEAT, MESSAGE]);
}

#[test]
fn a_goaway_lets_owed_answers_settle_until_the_end_and_starts_nothing_new() {
    let mut device = online();
    device.send(b"one");
    device.frames();
    device.feed(&support::goaway(GoAwayCode::Restart));
    device.send(b"two");
    assert_eq!(device.bytes(), b"");
    device.ack(1);
    assert_eq!(device.told(), ["goaway Restart", "delivered 1"]);
    device.pass_until(3);
    assert_eq!(device.link.closing(), Some(Disconnect::GoAway(GoAway::new(GoAwayCode::Restart))));
    device.cut();
    device.greet(&[1]);
    assert_eq!(device.messages(), [2]);
}

#[test]
fn a_batch_within_a_batch_is_not_walked() {
    let mut device = Device::new(Config { dialect: &Dialect::GOIM, ..Config::DEFAULT });
    device.link.handle_connected(S(0));
    device.process();
    device.send(b"x");
    device.frames();
    let inner = frame(&Dialect::GOIM, 9, 0, &frame(&Dialect::GOIM, 4, 1, b""));
    let outer = frame(&Dialect::GOIM, 9, 0, &[inner, frame(&Dialect::GOIM, 5, 1, b"push")].concat());
    let mut kinds = Vec::new();
    support::feed(&mut device.link, S(0), &outer, |client: &mut Client<'_>, event| {
        let Event::Batch(batch) = event else { panic!("{event:?}") };
        walk(client, batch, &mut kinds);
    });
    assert_eq!(kinds, ["push 9", "push 5"]);
    let _ = Welcome::having;
}

fn walk(client: &mut Client<'_>, batch: Batch<'_>, kinds: &mut Vec<String>) {
    for frame in batch {
        match client.handle_frame(S(0), frame.unwrap()) {
            Some(Event::Push(frame)) => kinds.push(format!("push {}", frame.command())),
            other => panic!("{other:?}"),
        }
    }
}
