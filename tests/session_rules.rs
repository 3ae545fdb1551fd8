//! What a link does with frames: greeting, requests and replies, pushes, closing.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Config, ConfigError, Disconnect, Endpoint, Event, SendError, ServerConfig, Storage, Timer};
use longlink::wire::Dialect;
use std::time::Duration;
use support::pipe::Weather;
use support::{DIALECTS, Log, OPEN, S, Talk, client, feed, frame, open, server, written};

#[test]
fn each_dialect_greets_and_answers_in_its_own_form_whatever_the_network_does_to_the_bytes() {
    for dialect in DIALECTS {
        for seed in 0..40 {
            let weather = if seed == 0 { Weather::FINE } else { Weather::ROUGH };
            let mut talk = Talk::in_dialect(dialect, weather, seed);
            talk.run(8);
            let sequences: Vec<u32> = (0..3)
                .map(|i| {
                    let (now, client) = talk.client();
                    client.request(now, dialect.message, &[b'a' + i; 40]).unwrap().sequence()
                })
                .collect();
            talk.run(35);
            let (now, client) = talk.client();
            client.close(now);
            talk.run(10);
            let online = if dialect.greeting.is_some_and(|g| !g.native) { "online welcome" } else { "online" };
            let mut expected = vec![online.to_string()];
            for (sequence, body) in sequences.iter().zip(["a", "b", "c"]) {
                expected.push(format!("reply {sequence} {}", body.repeat(40)));
            }
            expected.extend(["heartbeat".into(), "offline closed".into()]);
            assert_eq!(talk.client.lines(), expected, "{} with seed {seed}", dialect.name);
        }
    }
}

#[test]
fn a_reply_matches_by_sequence_and_exact_command_of_this_link() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    let token = link.endpoint_mut().request(S(0), 237, b"one").unwrap();
    written(&mut link, S(0));
    let mut told = Vec::new();
    let foreign = [(1_000_000_237, 2), (237, 1), (1_000_000_190, 1), (1_000_000_121, 1)];
    for (command, sequence) in foreign {
        let bytes = frame(&Dialect::LONGLINK, command, sequence, b"no");
        feed(&mut link, S(1), &bytes, |_, event| told.push(format!("{event:?}")));
    }
    assert_eq!(told.len(), 1, "only that it is online: {told:?}");
    assert_eq!(link.endpoint().stats().dropped, 4);
    let mut replied = None;
    let bytes = frame(&Dialect::LONGLINK, 1_000_000_237, 1, b"");
    feed(&mut link, S(1), &bytes, |_, event| {
        if let Event::Reply { token, .. } = event {
            replied = Some(token);
        }
    });
    assert_eq!(replied, Some(token));
}

#[test]
fn what_can_be_sent_later_is_told_from_what_never_can() {
    let mut link = client(Config::DEFAULT);
    let offline = link.endpoint_mut().request(S(0), 237, b"").unwrap_err();
    assert!(offline.is_temporary(), "{offline}");
    let too_long = link.endpoint_mut().send(S(0), &[0; 70_000]).unwrap_err();
    assert!(!too_long.is_temporary(), "{too_long}");
    let full = (0..100_000).find_map(|_| link.endpoint_mut().send(S(0), &[0; 100]).err()).unwrap();
    assert!(full.is_temporary(), "{full}");
    // All are written, and the first is acknowledged.
    link.handle_connected(S(1));
    written(&mut link, S(1));
    feed(&mut link, S(2), &frame(&Dialect::LONGLINK, 1_000_000_237, 1, b""), |_, _| {});
    assert_eq!(link.endpoint_mut().send(S(2), &[0; 100]).err(), None);
}

#[test]
fn a_late_reply_of_the_old_link_does_not_settle_a_request_of_the_new() {
    let log = Log::default();
    let mut link = client(Config { dialect: &Dialect::MARS, ..Config::DEFAULT });
    let mut on = support::listening(&log);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, b"old").unwrap();
    link.endpoint_mut().request(S(0), 238, b"old").unwrap();
    written(&mut link, S(0));
    link.handle_disconnected(S(1), Disconnect::Transport);
    link.handle_connected(S(2));
    let new = link.endpoint_mut().request(S(2), 241, b"new").unwrap();
    written(&mut link, S(2));
    for (command, sequence) in [(237, 1), (238, 2), (241, new.sequence())] {
        let bytes = frame(&Dialect::MARS, command, sequence, b"x");
        feed(&mut link, S(2), &bytes, |client, event| on(S(2), client, event));
    }
    let expected = [
        "failed 1 LinkLost true",
        "failed 2 LinkLost true",
        "offline transport",
        "online",
        &format!("reply {} x", new.sequence()),
    ];
    let mut lines = log.lines();
    lines[..2].sort();
    assert_eq!(lines, expected);
}

#[test]
fn a_push_whose_sequence_equals_one_in_flight_is_a_push() {
    for dialect in [&Dialect::GOIM, &Dialect::BILIBILI] {
        let log = Log::default();
        let mut on = support::listening(&log);
        let mut link = client(Config { dialect, ..Config::DEFAULT });
        link.handle_connected(S(0));
        let token = link.endpoint_mut().request(S(0), 4, b"message").unwrap();
        assert_eq!(token.sequence(), 1);
        written(&mut link, S(0));
        for bytes in [frame(dialect, 5, 1, b"push"), frame(dialect, 4, 7, b"odd"), frame(dialect, 4, 1, b"")] {
            feed(&mut link, S(0), &bytes, |client, event| on(S(0), client, event));
        }
        assert_eq!(log.lines(), ["online", "push 5/1 push", "push 4/7 odd", "reply 1 "], "{}", dialect.name);
    }
}

#[test]
fn a_late_reply_is_dropped_and_counted_but_a_push_where_any_sequence_is_one() {
    for (dialect, reply, told, dropped) in
        [(&Dialect::LONGLINK, 1_000_000_237, None, 1), (&Dialect::GOIM, 237, Some("push 237/1 late"), 0)]
    {
        let log = Log::default();
        let mut on = support::listening(&log);
        let mut link = client(Config { dialect, ..Config::DEFAULT });
        link.handle_connected(S(0));
        link.endpoint_mut().request(S(0), 237, b"").unwrap();
        written(&mut link, S(0));
        link.process(S(30), |client, event| on(S(30), client, event));
        feed(&mut link, S(31), &frame(dialect, reply, 1, b"late"), |client, event| on(S(31), client, event));
        let expected = ["online", "failed 1 TimedOut true"].into_iter().chain(told);
        assert_eq!(log.lines(), expected.collect::<Vec<_>>());
        assert_eq!(link.endpoint().stats().dropped, dropped);
    }
}

#[test]
fn what_was_not_wholly_written_cannot_be_answered() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    link.endpoint_mut().request(S(0), 237, b"body").unwrap();
    let reply = frame(&Dialect::LONGLINK, 1_000_000_237, 1, b"");
    for n in [0, 19, 1] {
        assert!(link.poll_transmit().is_some());
        link.handle_sent(S(0), n);
        let mut replies = 0;
        feed(&mut link, S(0), &reply, |_, event| replies += usize::from(matches!(event, Event::Reply { .. })));
        assert_eq!(replies, n % 19);
    }
}

#[test]
fn bytes_once_lent_are_lent_again_until_they_are_written() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, b"first").unwrap();
    let lent = link.poll_transmit().unwrap().to_vec();
    link.process(S(30), |_, _| {});
    link.endpoint_mut().heartbeat(S(30));
    link.endpoint_mut().send_one_way(S(30), 301, b"second").unwrap();
    link.endpoint_mut().close(S(30));
    assert!(link.poll_transmit().unwrap().starts_with(&lent));
}

#[test]
fn frames_inside_a_frame_are_walked_one_level_deep() {
    let dialect = &Dialect::GOIM;
    let inner = [frame(dialect, 5, 0, b"one"), frame(dialect, 9, 0, b"not walked"), frame(dialect, 5, 0, b"two")];
    let bytes = frame(dialect, 9, 0, &inner.concat());
    let log = Log::default();
    let mut on = support::listening(&log);
    let heartbeat = HeartbeatPolicy::Fixed(Duration::from_secs(60));
    let mut link = client(Config { dialect, heartbeat, ..Config::DEFAULT });
    link.handle_connected(S(0));
    feed(&mut link, S(0), &bytes, |client, event| on(S(0), client, event));
    assert_eq!(log.lines(), ["online", "push 5/0 one", "push 9/0 not walked", "push 5/0 two"]);
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Heartbeat, S(60))), "no frame is in progress");
}

#[test]
fn the_application_may_send_while_it_holds_a_frame() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    let (decoder, client) = link.split();
    let bytes = frame(&Dialect::LONGLINK, 122, 0, b"lent");
    decoder.space()[..bytes.len()].copy_from_slice(&bytes);
    decoder.commit(bytes.len());
    let frame = decoder.next_frame().unwrap().unwrap();
    let Some(Event::Push(push)) = client.handle_frame(S(0), frame) else { panic!("not a push") };
    client.request(S(0), 237, push.body()).unwrap();
    client.send_one_way(S(0), 301, push.body()).unwrap();
    assert_eq!(push.body(), b"lent");
}

#[test]
fn heartbeats_are_answered_in_the_family_s_form_with_the_peer_s_sequence() {
    let cases: [(&'static Dialect, Vec<u8>); 4] = [
        (&Dialect::LONGLINK, frame(&Dialect::LONGLINK, 1_000_000_006, 77, b"")),
        (&Dialect::MARS, frame(&Dialect::MARS, 6, 77, b"")),
        (&Dialect::GOIM, frame(&Dialect::GOIM, 3, 77, &[0, 0, 0x14, 0x83])),
        (&Dialect::BILIBILI, frame(&Dialect::BILIBILI, 3, 77, &[0, 0, 0x14, 0x83])),
    ];
    for (dialect, answer) in cases {
        let mut link = server(open(dialect), S(0));
        link.endpoint_mut().set_counter(5_251);
        feed(&mut link, S(1), &frame(dialect, dialect.heartbeat, 77, b""), |_, event| panic!("{event:?}"));
        assert_eq!(written(&mut link, S(1)), answer, "{}", dialect.name);
    }
}

#[test]
fn a_full_outbox_does_not_starve_heartbeats_and_a_begun_frame_is_ended_first() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, &[1; 400]).unwrap();
    link.endpoint_mut().request(S(0), 237, &[2; 400]).unwrap();
    assert!(matches!(link.endpoint_mut().request(S(0), 237, &[3; 400]), Err(SendError::Full { length: 416 })));
    link.endpoint_mut().poll_transmit().unwrap();
    link.endpoint_mut().handle_sent(S(1), 100);
    link.endpoint_mut().heartbeat(S(1));
    let rest = [
        frame(&Dialect::LONGLINK, 237, 1, &[1; 400])[100..].to_vec(),
        frame(&Dialect::LONGLINK, 6, 0xFFFF_FFFF, b""),
        frame(&Dialect::LONGLINK, 237, 2, &[2; 400]),
    ];
    assert_eq!(written(&mut link, S(1)), rest.concat());
}

#[test]
fn what_can_never_be_sent_is_told_apart_from_what_cannot_be_sent_now() {
    let mut link = client(Config::DEFAULT);
    assert_eq!(link.endpoint_mut().request(S(0), 237, b""), Err(SendError::Offline));
    link.handle_connected(S(0));
    let never = SendError::TooLong { length: 1_025, limit: 1_024 };
    assert_eq!(link.endpoint_mut().request(S(0), 237, &[0; 1_009]), Err(never));
    for _ in 0..8 {
        link.endpoint_mut().request(S(0), 237, b"").unwrap();
    }
    assert_eq!(link.endpoint_mut().request(S(0), 237, b""), Err(SendError::TooMany));
    assert!(link.endpoint_mut().send_one_way(S(0), 301, b"needs no slot").is_ok());
    link.endpoint_mut().close(S(0));
    assert_eq!(link.endpoint_mut().request(S(0), 237, b""), Err(SendError::Closing));
}

#[test]
fn a_request_without_a_reply_fails_alone() {
    let mut talk = Talk::fine();
    talk.pair.right.on = Box::new(|now, server, event| {
        if let longlink::session::ServerEvent::Request(frame) = event
            && frame.body() != b"ignored"
        {
            server.reply(now, frame.command(), frame.sequence(), b"").unwrap();
        }
    });
    talk.run(1);
    let (now, client) = talk.client();
    client.request(now, 237, b"ignored").unwrap();
    client.request(now, 237, b"answered").unwrap();
    talk.run(60);
    assert_eq!(talk.client.count("failed 1 TimedOut true"), 1);
    assert_eq!(talk.client.count("reply 2"), 1);
    assert_eq!(talk.client.count("offline"), 0, "the link lives on");
}

#[test]
fn a_reply_that_is_too_long_fails_its_request_at_once_and_nothing_else() {
    let mut talk = Talk::fine();
    talk.pair.right.on = Box::new(|now, server, event| {
        if let longlink::session::ServerEvent::Request(frame) = event {
            let length = if frame.body() == b"long" { 1_100 } else { 10 };
            server.reply(now, frame.command(), frame.sequence(), &[7; 2_000][..length]).unwrap();
        }
    });
    talk.run(1);
    let (now, client) = talk.client();
    client.request(now, 237, b"long").unwrap();
    client.request(now, 237, b"short").unwrap();
    talk.run(1);
    let lines = talk.client.lines();
    assert!(lines.contains(&"failed 1 ReplyTooLong true".to_string()), "{lines:?}");
    assert_eq!(talk.client.count("reply 2"), 1);
    let (_, client) = talk.client();
    assert_eq!(client.stats().skipped, 1);
}

#[test]
fn malformed_bytes_cost_the_peer_its_own_link_with_the_number_that_is_wrong() {
    let mut link = server(OPEN, S(0));
    let ping = [frame(&Dialect::LONGLINK, 6, 15, b""), b"\nhello".to_vec()].concat();
    feed(&mut link, S(1), &ping, |_, event| panic!("{event:?}"));
    let error = longlink::wire::FrameError::HeaderTooLong { header: 0x6c6f, maximum: 256 };
    assert_eq!(link.endpoint().closing(), Some(Disconnect::Malformed(error)));
    assert_eq!(written(&mut link, S(1)), b"", "nothing more is written on a dead link");
}

#[test]
fn a_malformed_goaway_is_dropped_and_counted() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    feed(&mut link, S(0), &frame(&Dialect::LONGLINK, 247, 0, &[1, 0, 0, 1, 0, 0, 0, 0]), |_, event| {
        assert!(matches!(event, Event::Online { .. }));
    });
    assert_eq!(link.endpoint().stats().dropped, 1);
    assert!(link.endpoint().is_online());
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_name() {
    let refused = |config: Config<'_>| config.check().unwrap_err();
    assert_eq!(refused(Config { hello: Some(b""), ..Config::DEFAULT }), ConfigError::NoIdentity);
    let mars = Config { dialect: &Dialect::MARS, hello: Some(b""), ..Config::DEFAULT };
    assert_eq!(refused(mars), ConfigError::NoGreetingInDialect);
    let long = Config { dialect: &Dialect::GOIM, hello: Some(&[0; 4_097]), ..Config::DEFAULT };
    assert_eq!(refused(long), ConfigError::HelloTooLong { length: 4_113, limit: 4_112 });
    let often = HeartbeatPolicy::Fixed(Duration::from_millis(999));
    assert_eq!(refused(Config { heartbeat: often, ..Config::DEFAULT }), ConfigError::HeartbeatTooShort);
    assert_eq!(refused(Config { answer_timeout: Duration::ZERO, ..Config::DEFAULT }), ConfigError::ZeroTimeout);
    const ODD: Dialect = Dialect { version: 7, ..Dialect::LONGLINK };
    assert_eq!(refused(Config { dialect: &ODD, ..Config::DEFAULT }), ConfigError::Dialect);
    let server = ServerConfig { idle: Duration::ZERO, ..OPEN };
    assert_eq!(server.check(), Err(ConfigError::IdleTooShort));
    let mut small: Storage<15, 1024, 8> = Storage::new();
    assert!(matches!(small.client(&Config::DEFAULT), Err(ConfigError::Buffer(short)) if short.required == 16));
}

/// What a server holds for a quiet link, besides its slots: the budget is 384 bytes.
#[test]
fn an_idle_server_link_is_small() {
    let size = size_of::<longlink::session::Link<longlink::session::Server<'_, Box<[u8]>>, Box<[u8]>>>();
    assert!(size <= 384, "{size} bytes");
}
