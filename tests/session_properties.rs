//! What holds for any order of calls, any times, any bytes and any network.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::Instant;
use longlink::delivery::Token;
use longlink::session::{Client, Config, Disconnect, Endpoint, Event, GoAway, GoAwayCode, Link};
use longlink::wire::{Decoded, Decoder, Dialect, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;
use support::pipe::Weather;
use support::{DIALECTS, Talk, client, frame, open, server};

#[derive(Clone, Debug)]
enum Op {
    Connect,
    Disconnect,
    Received(Vec<u8>),
    Process,
    Transmit,
    Sent(usize),
    Timeout,
    /// `handle_timeout` before anything is due.
    Early,
    Request(usize),
    OneWay(usize),
    Beat,
    Close,
    Pass(u64),
}

/// Bytes that a peer might send: frames that mean something, in pieces, and garbage.
fn bytes(dialect: &'static Dialect) -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![
        Just(dialect.heartbeat),
        Just(dialect.heartbeat_reply),
        Just(dialect.message),
        Just(dialect.reply_to(dialect.message)),
        Just(dialect.push),
        Just(dialect.goaway.unwrap_or(247)),
        Just(dialect.greeting.map_or(205, |greeting| greeting.command)),
        Just(dialect.greeting.map_or(205, |greeting| greeting.reply)),
        Just(dialect.batch.unwrap_or(9)),
        any::<u32>(),
    ];
    let sequence = prop_oneof![4 => 0_u32..5, 1 => any::<u32>()];
    let body = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(GoAway::new(GoAwayCode::Restart).to_bytes().to_vec()),
        Just(frame(dialect, dialect.push, 0, b"nested")),
        Just(vec![0; 1_100]),
    ];
    let whole =
        (command, sequence, body).prop_map(|(command, sequence, body)| frame(dialect, command, sequence, &body));
    prop_oneof![
        60 => whole.clone(),
        2 => (whole, any::<prop::sample::Index>()).prop_map(|(mut frame, end)| {
            frame.truncate(end.index(frame.len()));
            frame
        }),
        1 => vec(any::<u8>(), 0..30),
    ]
}

fn ops(dialect: &'static Dialect) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => Just(Op::Connect),
        1 => Just(Op::Disconnect),
        6 => bytes(dialect).prop_map(Op::Received),
        4 => Just(Op::Process),
        4 => Just(Op::Transmit),
        5 => (0..60_usize).prop_map(Op::Sent),
        6 => Just(Op::Timeout),
        2 => Just(Op::Early),
        4 => (0..300_usize).prop_map(Op::Request),
        1 => (0..300_usize).prop_map(Op::OneWay),
        1 => Just(Op::Beat),
        1 => Just(Op::Close),
        5 => prop_oneof![0..20_000_000_u64, 0..100_000_000_000_u64, Just(u64::MAX)].prop_map(Op::Pass),
    ];
    vec(op, 0..120)
}

/// What an application knows of its requests.
#[derive(Default)]
struct Tokens {
    open: BTreeSet<String>,
    ended: usize,
}

impl Tokens {
    fn opened(&mut self, token: Token) {
        assert!(self.open.insert(format!("{token:?}")), "{token:?} was used before");
    }

    fn ended(&mut self, token: Token) {
        assert!(self.open.remove(&format!("{token:?}")), "{token:?} ended twice, or never began");
        self.ended += 1;
    }

    fn told(&mut self, event: &Event<'_>) {
        match event {
            Event::Reply { token, .. } | Event::Failed { token, .. } => self.ended(*token),
            _ => {}
        }
    }
}

type ClientLink = Link<Client<'static>, &'static mut [u8]>;

/// Gives a link what fits of `bytes`.
fn receive<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<E, B>, now: Instant, bytes: &[u8]) {
    let space = link.space();
    let n = space.len().min(bytes.len());
    space[..n].copy_from_slice(&bytes[..n]);
    link.handle_read(now, n);
}

/// Lends bytes, then reports some of them as written; what is lent must stay the same until then.
fn transmit<E: Endpoint, B>(link: &mut Link<E, B>, now: Instant, n: usize, out: &mut Vec<u8>)
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let endpoint = link.endpoint_mut();
    let Some(first) = endpoint.poll_transmit().map(<[u8]>::to_vec) else { return };
    assert!(!first.is_empty());
    endpoint.handle_timeout(now);
    match endpoint.poll_transmit() {
        Some(again) => assert!(again.starts_with(&first), "what was lent has changed"),
        None => return assert!(endpoint.closing().is_some(), "what was lent is gone"),
    }
    let n = n.min(first.len());
    out.extend_from_slice(&first[..n]);
    endpoint.handle_sent(now, n);
}

fn handle_timeout<E: Endpoint>(endpoint: &mut E, now: Instant, latest: Instant) {
    endpoint.handle_timeout(now);
    let due = endpoint.poll_timeout();
    assert!(due.is_none_or(|at| at > latest), "{due:?} is due after handle_timeout({latest:?})");
    assert_eq!(endpoint.next_timer().map(|(_, at)| at), due);
}

/// `handle_timeout` before anything is due changes nothing but the clock.
fn handle_early<E: Endpoint + Debug>(endpoint: &mut E, now: Instant) {
    if endpoint.poll_timeout().is_none_or(|at| at > now) {
        let before = format!("{endpoint:?}");
        endpoint.handle_timeout(now);
        assert_eq!(without_clock(&before), without_clock(&format!("{endpoint:?}")));
    }
}

fn run_client(dialect: &'static Dialect, hello: bool, ops: Vec<Op>) {
    let greets = hello && dialect.greeting.is_some_and(|greeting| !greeting.native);
    let mut link: ClientLink = client(Config { dialect, hello: greets.then_some(b"token"), ..Config::DEFAULT });
    let mut now = Instant::ZERO;
    let mut tokens = Tokens::default();
    // What was written since the last connection.
    let mut out = Vec::new();
    for op in ops {
        match op {
            Op::Connect => {
                link.handle_disconnected(now, Disconnect::Transport);
                check_frames(dialect, &std::mem::take(&mut out));
                link.handle_connected(now);
            }
            Op::Disconnect => {
                link.handle_disconnected(now, Disconnect::PeerClosed);
                check_frames(dialect, &std::mem::take(&mut out));
            }
            Op::Received(bytes) => receive(&mut link, now, &bytes),
            Op::Process => link.process(now, |_, event| tokens.told(&event)),
            Op::Transmit => transmit(&mut link, now, usize::MAX, &mut out),
            Op::Sent(n) => transmit(&mut link, now, n, &mut out),
            Op::Timeout => handle_timeout(link.endpoint_mut(), now, now),
            Op::Early => handle_early(link.endpoint_mut(), now),
            Op::Request(len) => {
                if let Ok(token) = link.endpoint_mut().request(now, dialect.message, &[7; 300][..len]) {
                    tokens.opened(token);
                }
            }
            Op::OneWay(len) => drop(link.endpoint_mut().send_one_way(now, 301, &[8; 300][..len])),
            Op::Beat => link.endpoint_mut().heartbeat(now),
            Op::Close => link.endpoint_mut().close(now),
            Op::Pass(micros) => now = Instant::from_micros(now.as_micros().saturating_add(micros)),
        }
    }
    link.handle_disconnected(now, Disconnect::Transport);
    check_frames(dialect, &out);
    link.process(now, |_, event| tokens.told(&event));
    assert!(tokens.open.is_empty(), "{:?} never ended", tokens.open);
    assert!(link.endpoint().is_settled());
    assert_eq!((link.endpoint().poll_timeout(), link.endpoint_mut().poll_transmit()), (None, None));
}

fn without_clock(debug: &str) -> String {
    let (before, rest) = debug.split_once("now: ").unwrap();
    let (_, after) = rest.split_once(',').unwrap();
    [before, after].concat()
}

/// What was written is whole frames, and perhaps the start of one; requests in ascending order, each once.
fn check_frames(dialect: &Dialect, mut bytes: &[u8]) {
    let mut last = 0;
    while let Decoded::Frame(frame) = decode(dialect, bytes).unwrap() {
        if frame.command() == dialect.message {
            assert!(frame.sequence() > last, "{} after {last}", frame.sequence());
            assert!(frame.body().iter().all(|byte| *byte == 7));
            last = frame.sequence();
        }
        bytes = &bytes[frame.length()..];
    }
}

fn run_server(dialect: &'static Dialect, ops: Vec<Op>) {
    let mut now = Instant::ZERO;
    let mut link = server(open(dialect), now);
    let mut out = Vec::new();
    for op in ops {
        match op {
            Op::Connect | Op::Beat => link.process(now, |server, _| {
                let _ = server.welcome_with(now, b"ok");
            }),
            Op::Disconnect => {
                // Once is the end of a server's link; the rest must be no-ops.
                link.handle_disconnected(now, Disconnect::PeerClosed);
            }
            Op::Received(bytes) => receive(&mut link, now, &bytes),
            Op::Process => link.process(now, |server, event| {
                if let longlink::session::ServerEvent::Request(frame) = event {
                    let _ = server.reply(now, frame.command(), frame.sequence(), frame.body());
                }
            }),
            Op::Transmit => transmit(&mut link, now, usize::MAX, &mut out),
            Op::Sent(n) => transmit(&mut link, now, n, &mut out),
            Op::Timeout => handle_timeout(link.endpoint_mut(), now, now),
            Op::Early => handle_early(link.endpoint_mut(), now),
            Op::Request(len) | Op::OneWay(len) => {
                let _ = link.endpoint_mut().push(now, dialect.push, &[9; 300][..len]);
            }
            Op::Close => link.endpoint_mut().close(now, GoAway::new(GoAwayCode::Restart)),
            Op::Pass(micros) => now = Instant::from_micros(now.as_micros().saturating_add(micros)),
        }
    }
    let mut rest = out.as_slice();
    while let Decoded::Frame(frame) = decode(dialect, rest).unwrap() {
        rest = &rest[frame.length()..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_client_keeps_its_promises_whatever_it_is_called_with(
        (dialect, ops) in (0..4_usize).prop_flat_map(|i| (Just(DIALECTS[i]), ops(DIALECTS[i]))),
        hello: bool,
    ) {
        run_client(dialect, hello, ops);
    }

    #[test]
    fn a_server_keeps_its_promises_whatever_it_is_called_with(
        (dialect, ops) in (0..4_usize).prop_flat_map(|i| (Just(DIALECTS[i]), ops(DIALECTS[i]))),
    ) {
        run_server(dialect, ops);
    }

    /// Whatever the network splits, delays and cuts: both ends come down, every request ends once, and what was replied
    /// is what was asked.
    #[test]
    fn over_any_network_every_request_ends_once(
        seed: u64,
        kind in 0..4_usize,
        asked in vec((0..40_u64, 0..200_usize), 0..20),
        cut in prop::option::of((0..60_u64, 0..64_usize)),
    ) {
        let dialect = DIALECTS[kind];
        let mut talk = Talk::in_dialect(dialect, Weather::ROUGH, seed);
        let mut sent = 0;
        let mut times: Vec<_> = asked.iter().map(|(at, len)| (*at, Some(*len))).collect();
        times.extend(cut.map(|(at, _)| (at, None)));
        times.sort();
        for (at, what) in times {
            let wait = Instant::from_secs(at) - talk.pair.now;
            talk.pair.run(wait);
            match what {
                Some(len) => {
                    let (now, client) = talk.client();
                    sent += usize::from(client.request(now, dialect.message, &[b'x'; 200][..len]).is_ok());
                }
                None => {
                    let keep = cut.map_or(0, |(_, keep)| keep);
                    talk.pair.down.cut(keep);
                    talk.pair.up.cut(keep / 2);
                }
            }
        }
        // Long enough to be greeted; before that, closing gives up what waits for it.
        talk.run(10);
        let (now, client) = talk.client();
        client.close(now);
        talk.pair.run_down(Duration::from_secs(200));
        let (replies, failures) = (talk.client.count("reply"), talk.client.count("failed"));
        prop_assert_eq!(replies + failures, sent, "{:?}", talk.client.lines());
        if cut.is_none() {
            prop_assert_eq!(failures, 0, "{:?}", talk.client.lines());
        }
        prop_assert_eq!(talk.client.count("offline"), 1);
    }
}

/// A decoder and an endpoint side by side: what the property above feeds is really taken.
#[test]
fn the_generated_bytes_reach_every_kind_of_event() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let mut link = client(Config { dialect: &Dialect::GOIM, hello: Some(b"token"), ..Config::DEFAULT });
        link.handle_connected(Instant::ZERO);
        link.endpoint_mut().request(Instant::ZERO, Dialect::GOIM.message, b"").unwrap();
        let mut decoder = Decoder::new(&Dialect::GOIM, vec![0; 1_024]).unwrap();
        for _ in 0..40 {
            link.endpoint_mut().heartbeat(Instant::ZERO);
            for _ in 0..3 {
                transmit(&mut link, Instant::ZERO, usize::MAX, &mut Vec::new());
            }
            let bytes = bytes(&Dialect::GOIM).new_tree(&mut runner).unwrap().current();
            let n = decoder.space().len().min(bytes.len());
            decoder.space()[..n].copy_from_slice(&bytes[..n]);
            decoder.commit(n);
            while let Ok(Some(frame)) = decoder.next_frame() {
                if let Some(event) = link.endpoint_mut().handle_frame(Instant::ZERO, frame) {
                    let name = format!("{event:?}");
                    seen.insert(name.split([' ', '(', '{']).next().unwrap().to_string());
                }
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Batch", "Heartbeat", "Online", "Push", "Reply"]);
}
