//! What a link does before its greeting is answered.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Config, Disconnect, Endpoint, Event, GoAway, GoAwayCode, SendError, ServerConfig, Timer};
use longlink::wire::{Dialect, Greeting};
use std::time::Duration;
use support::{Log, S, client, feed, frame, goaway, listening, server, written};

/// Greets, has a goaway, and takes any sequence for a push: what no preset has together.
const GREETS: Dialect = Dialect {
    greeting: Some(Greeting { command: 205, reply: 1_000_000_205, sequence: Some(0xFFFF_FFFE), native: false }),
    push_any_sequence: true,
    ..Dialect::LONGLINK
};
const HELLO: Config<'_> = Config { dialect: &GREETS, hello: Some(b"token"), ..Config::DEFAULT };

fn hello() -> Vec<u8> {
    frame(&GREETS, 205, 0xFFFF_FFFE, b"token")
}

#[test]
fn nothing_but_the_hello_is_written_before_it_is_answered() {
    let dialect = &Dialect::GOIM;
    let config = Config { dialect, hello: Some(b"token"), ..Config::DEFAULT };
    let mut link = client(config);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 4, b"early").unwrap();
    link.endpoint_mut().heartbeat(S(0));
    // It counts only once the hello is out.
    feed(&mut link, S(0), &frame(dialect, 8, 2, b""), |_, event| panic!("{event:?}"));
    assert_eq!(written(&mut link, S(0)), frame(dialect, 7, 2, b"token"));
    feed(&mut link, S(1), &frame(dialect, 5, 0, b"too early"), |_, event| panic!("{event:?}"));
    assert!(!link.endpoint().is_online());
    feed(&mut link, S(1), &frame(dialect, 8, 2, b""), |_, event| assert!(matches!(event, Event::Online { .. })));
    assert_eq!(written(&mut link, S(1)), frame(dialect, 4, 1, b"early"));
}

#[test]
fn an_echo_of_the_greeting_is_no_answer_to_it() {
    let config = Config { dialect: &Dialect::GOIM, hello: Some(b"token"), ..Config::DEFAULT };
    let mut link = client(config);
    link.handle_connected(S(0));
    let echo = written(&mut link, S(0));
    feed(&mut link, S(0), &echo, |_, event| panic!("{event:?}"));
    link.endpoint_mut().handle_timeout(S(10));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::NoGreeting));
}

#[test]
fn a_greeting_is_wanted_in_time_once_and_before_all_else() {
    let config = ServerConfig { dialect: &Dialect::GOIM, ..ServerConfig::DEFAULT };
    // Nothing at all.
    let mut link = server(config, S(0));
    assert_eq!(link.endpoint().poll_timeout(), Some(S(10)));
    link.endpoint_mut().handle_timeout(S(10));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::NoGreeting));
    // Heartbeats are answered, three of them; requests are not; pushes wait.
    let mut link = server(config, S(0));
    assert_eq!(link.endpoint_mut().push(S(0), 5, b"x"), Err(SendError::NotGreeted));
    feed(&mut link, S(1), &frame(&Dialect::GOIM, 4, 1, b"message"), |_, event| panic!("{event:?}"));
    for sequence in 1..=3 {
        feed(&mut link, S(1), &frame(&Dialect::GOIM, 2, sequence, b""), |_, event| panic!("{event:?}"));
        assert_eq!(written(&mut link, S(1)), frame(&Dialect::GOIM, 3, sequence, &[0; 4]));
    }
    feed(&mut link, S(1), &frame(&Dialect::GOIM, 2, 4, b""), |_, event| panic!("{event:?}"));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::NotGreeted));
    // Twice.
    let mut link = server(config, S(0));
    let mut greetings = 0;
    for _ in 0..2 {
        feed(&mut link, S(1), &frame(&Dialect::GOIM, 7, 1, b"token"), |server, _| {
            server.welcome_with(S(1), b"").unwrap();
            greetings += 1;
        });
    }
    assert_eq!((greetings, link.endpoint().closing()), (1, Some(Disconnect::GreetedTwice)));
    assert_eq!(link.endpoint_mut().welcome_with(S(1), b""), Err(SendError::NotGreeted));
}

#[test]
fn a_refused_greeting_is_answered_before_the_link_ends() {
    let mut link = server(ServerConfig { dialect: &Dialect::BILIBILI, ..ServerConfig::DEFAULT }, S(0));
    feed(&mut link, S(1), &frame(&Dialect::BILIBILI, 7, 1, b"bad"), |server, _| {
        server.refuse_with(S(1), br#"{"code":-101}"#).unwrap();
    });
    assert_eq!(written(&mut link, S(1)), frame(&Dialect::BILIBILI, 8, 1, br#"{"code":-101}"#));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::Refused));
}

/// Whoever holds the links of a server gives a buffer to one that has something to say. For this the link is not asked.
#[test]
fn a_greeting_that_makes_no_sense_is_refused_without_a_buffer() {
    let config = ServerConfig::DEFAULT;
    let mut body = vec![0; 28];
    for (version, status) in [(1, 1), (255, 2)] {
        body[0] = version;
        let mut link = server(config, S(0));
        assert!(link.endpoint_mut().reclaim().is_some());
        feed(&mut link, S(1), &frame(config.dialect, 205, 0xFFFF_FFFE, &body), |_, event| panic!("{event:?}"));
        // Byte by byte, as a socket may take it.
        let mut all = Vec::new();
        while let Some(bytes) = link.endpoint_mut().poll_transmit() {
            all.push(bytes[0]);
            link.endpoint_mut().handle_sent(S(1), 1);
        }
        let mut reply = vec![0; 28];
        (reply[0], reply[1]) = (0x81, status);
        reply[16..20].copy_from_slice(&config.dialect.max_frame.to_be_bytes());
        assert_eq!(all, frame(config.dialect, 1_000_000_205, 0xFFFF_FFFE, &reply));
        assert_eq!(link.endpoint().closing(), Some(Disconnect::Refused));
        // Nothing of it is left for a link that is dead.
        let mut link = server(config, S(0));
        assert!(link.endpoint_mut().reclaim().is_some());
        feed(&mut link, S(1), &frame(config.dialect, 205, 1, &body), |_, event| panic!("{event:?}"));
        link.endpoint_mut().handle_disconnected(S(1), Disconnect::Transport);
        assert_eq!(link.endpoint_mut().poll_transmit(), None);
    }
}

#[test]
fn a_close_before_the_greeting_is_answered_is_at_once_and_writes_nothing_that_waited_for_it() {
    // Before the hello is written, in the middle of it, and behind it.
    for begun in [0, 10, hello().len()] {
        let mut link = client(HELLO);
        link.handle_connected(S(0));
        link.endpoint_mut().request(S(0), 237, b"secret").unwrap();
        if begun > 0 {
            assert_eq!(link.poll_transmit(), Some(&hello()[..16]));
            link.handle_sent(S(0), begun.min(16));
        }
        if begun > 16 {
            assert_eq!(link.poll_transmit(), Some(&b"token"[..]));
            link.handle_sent(S(0), begun - 16);
        }
        link.endpoint_mut().close(S(1));
        assert_eq!(link.closing(), Some(Disconnect::Closed), "{begun} bytes of the hello are written");
        let rest = if begun == 0 { Vec::new() } else { hello()[begun..].to_vec() };
        assert_eq!(written(&mut link, S(1)), [rest, goaway(GoAwayCode::Done)].concat());
    }
}

#[test]
fn a_greeting_that_is_not_answered_in_time_leaves_nothing_to_write() {
    let log = Log::default();
    let mut on = listening(&log);
    let mut link = client(HELLO);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, b"secret").unwrap();
    assert_eq!(written(&mut link, S(0)), hello());
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Greeting, S(10))));
    link.endpoint_mut().handle_timeout(S(10));
    assert_eq!(link.closing(), Some(Disconnect::NoGreeting));
    assert_eq!(written(&mut link, S(10)), b"");
    assert_eq!(link.handle_disconnected(S(10), Disconnect::Closed), Disconnect::NoGreeting);
    link.process(S(10), |client, event| on(S(10), client, event));
    assert_eq!(log.lines(), ["failed 1 LinkLost false", "offline no_greeting"]);
}

#[test]
fn after_a_goaway_before_the_greeting_is_answered_nothing_is_written() {
    let log = Log::default();
    let mut on = listening(&log);
    let mut link = client(HELLO);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, b"secret").unwrap();
    written(&mut link, S(0));
    feed(&mut link, S(1), &goaway(GoAwayCode::Blocked), |client, event| on(S(1), client, event));
    // Too late.
    let answer = frame(&GREETS, 1_000_000_205, 0xFFFF_FFFE, b"");
    feed(&mut link, S(2), &answer, |client, event| on(S(2), client, event));
    assert_eq!((log.lines(), link.endpoint().is_online()), (vec!["goaway Blocked".to_string()], false));
    assert_eq!(written(&mut link, S(2)), b"");
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(4))));
    link.endpoint_mut().handle_timeout(S(4));
    assert_eq!(link.closing(), Some(Disconnect::GoAway(GoAway::new(GoAwayCode::Blocked))));
    assert_eq!(written(&mut link, S(4)), b"");
}

#[test]
fn no_heartbeat_is_due_before_the_greeting_is_answered_however_long_that_takes() {
    let mut link = client(Config { heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(2)), ..HELLO });
    link.handle_connected(S(0));
    written(&mut link, S(0));
    for at in 1..10 {
        link.endpoint_mut().heartbeat(S(at));
        link.endpoint_mut().handle_timeout(S(at));
        assert_eq!(written(&mut link, S(at)), b"");
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Greeting, S(10))));
    }
    let answer = frame(&GREETS, 1_000_000_205, 0xFFFF_FFFE, b"");
    let mut welcomed = false;
    feed(&mut link, S(9), &answer, |_, event| welcomed = matches!(event, Event::Online { welcome: Some(_), .. }));
    assert!(welcomed);
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Heartbeat, S(11))));
}

#[test]
fn an_answer_that_comes_before_the_hello_is_written_is_none() {
    let mut link = client(HELLO);
    link.handle_connected(S(0));
    let answer = frame(&GREETS, 1_000_000_205, 0xFFFF_FFFE, b"");
    feed(&mut link, S(0), &answer, |_, event| panic!("{event:?}"));
    assert_eq!((link.endpoint().is_online(), link.endpoint().stats().dropped), (false, 1));
    assert_eq!(written(&mut link, S(0)), hello());
    feed(&mut link, S(0), &answer, |_, event| assert!(matches!(event, Event::Online { .. })));
    assert!(link.endpoint().is_online());
}

#[test]
fn a_greeting_that_sleep_kept_from_being_answered_gets_its_time_again_once_on_each_connection() {
    let mut link = client(HELLO);
    for start in [S(0), S(100_000)] {
        link.handle_connected(start);
        written(&mut link, start);
        let awake = start + Duration::from_secs(8 * 3_600);
        link.endpoint_mut().handle_timeout(awake);
        assert_eq!(link.closing(), None);
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Greeting, awake + Duration::from_secs(10))));
        link.endpoint_mut().handle_timeout(awake + Duration::from_secs(60));
        assert_eq!(link.closing(), Some(Disconnect::NoGreeting), "late twice in a row");
        link.handle_disconnected(awake, Disconnect::Transport);
    }
}

#[test]
fn a_server_that_wants_no_greeting_is_open_at_once_and_takes_one_all_the_same() {
    let config = ServerConfig { dialect: &GREETS, needs_greeting: false, ..ServerConfig::DEFAULT };
    let mut link = server(config, S(0));
    assert!(link.endpoint().is_open());
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Idle, S(900))));
    link.endpoint_mut().push(S(0), 122, b"news").unwrap();
    feed(&mut link, S(1), &hello(), |server, _| server.welcome_with(S(1), b"hi").unwrap());
    let answer = frame(&GREETS, 1_000_000_205, 0xFFFF_FFFE, b"hi");
    assert_eq!(written(&mut link, S(1)), [frame(&GREETS, 122, 0, b"news"), answer].concat());
}
