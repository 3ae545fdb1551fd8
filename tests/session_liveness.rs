//! What a link does with time: heartbeats, silence, slowness, sleep.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::liveness::HeartbeatPolicy;
use longlink::session::limits::FRAME_BURST;
use longlink::session::{Config, Disconnect, Endpoint, Link, ServerConfig, Timer};
use longlink::wire::{Decoder, Dialect};
use longlink::{Instant, session};
use std::time::Duration;
use support::pair::{Pair, Side};
use support::pipe::Weather;
use support::{DIALECTS, Log, OPEN, S, Talk, client, every, feed, frame, listening, server, written};

#[test]
fn an_idle_link_stays_up_for_a_day_with_one_heartbeat_an_interval_and_nothing_else() {
    for dialect in DIALECTS {
        let mut talk = Talk::in_dialect(dialect, Weather::FINE, 3);
        talk.run(24 * 3_600);
        let beats = talk.client.count("heartbeat");
        assert_eq!(beats, 24 * 3_600 / 30, "{}", dialect.name);
        assert_eq!(talk.client.lines().len(), beats + 1, "online, and nothing but heartbeats");
        let (_, client) = talk.client();
        assert_eq!(client.stats().bytes_sent as usize, beats * dialect.header_len() + greeting(dialect));
        // One round for the timer, one for the answer.
        assert!(talk.pair.left.wake_ups <= 2 * beats as u64 + 4, "{} wake-ups", talk.pair.left.wake_ups);
    }
}

fn greeting(dialect: &Dialect) -> usize {
    dialect.greeting.filter(|greeting| !greeting.native).map_or(0, |_| dialect.header_len() + b"hello".len())
}

#[test]
fn a_silent_death_is_noticed_within_the_interval_and_the_answer_time_out() {
    for died in [1, 29, 31, 59, 600] {
        let mut talk = Talk::fine();
        talk.run(died);
        talk.pair.down.swallow();
        talk.pair.up.swallow();
        let start = talk.pair.now;
        while talk.pair.left.over.is_none() {
            assert!(talk.pair.now - start <= Duration::from_secs(38), "died at {died} s, not noticed");
            talk.pair.step(Instant::MAX);
        }
        assert_eq!(talk.pair.left.over, Some(Disconnect::HeartbeatLost));
    }
}

/// A client that sends all the time and hears nothing must notice too.
#[test]
fn sending_does_not_stand_in_for_hearing() {
    let mut link = client(every(30));
    link.handle_connected(S(0));
    let mut at = 0;
    while link.endpoint().closing().is_none() {
        at += 1;
        assert!(at <= 38, "{at} s without a byte");
        link.endpoint_mut().handle_timeout(S(at));
        // The last one finds the link dead.
        let _ = link.endpoint_mut().send_one_way(S(at), 301, b"reading");
        written(&mut link, S(at));
    }
    assert_eq!(link.endpoint().closing(), Some(Disconnect::HeartbeatLost));
}

/// A server closes whoever does not send; pushes must not keep a client from it.
#[test]
fn hearing_does_not_stand_in_for_sending() {
    let idle = ServerConfig { idle: Duration::from_secs(60), ..OPEN };
    let mut talk = Talk::new(every(30), idle, Weather::FINE, 1);
    for _ in 0..600 {
        talk.run(1);
        let (now, server) = talk.server();
        server.push(now, 122, b"news").unwrap();
    }
    assert_eq!(talk.client.count("offline"), 0);
    assert_eq!(talk.client.count("push"), 599);
}

#[test]
fn a_server_closes_a_link_that_says_nothing_and_says_why() {
    let idle = ServerConfig { idle: Duration::from_secs(20), ..OPEN };
    let config = Config { heartbeat: HeartbeatPolicy::Passive, ..Config::DEFAULT };
    let mut talk = Talk::new(config, idle, Weather::FINE, 1);
    talk.pair.run_down(Duration::from_secs(24));
    assert_eq!(talk.server.lines(), ["offline idle"]);
    assert_eq!(talk.client.lines(), ["online", "goaway Idle", "offline goaway"]);
}

#[test]
fn a_slow_link_is_alive_while_bytes_move() {
    // A frame of 1 KB at 40 bytes a second takes longer than interval and answer time-out together.
    let slow = Weather { rate: 40, largest_write: 8, ..Weather::FINE };
    let mut talk = Talk::new(every(10), OPEN, slow, 4);
    talk.pair.right.link.endpoint_mut().push(S(0), 122, &[b'x'; 1_000]).unwrap();
    talk.run(29);
    assert_eq!(talk.client.count("offline"), 0, "{:?}", talk.client.lines());
    talk.run(600);
    assert_eq!(talk.client.count("push 122/0"), 1);
    assert_eq!(talk.client.count("offline"), 0);
    assert!(talk.client.count("heartbeat") > 40);
}

#[test]
fn an_upload_ahead_of_the_heartbeat_is_given_its_time() {
    // The heartbeat sits behind 40 KB in the network, which has taken them at once and passes on 2 KB a second.
    let mut talk = Talk::new(every(10), OPEN, Weather::FINE, 4);
    talk.pair.up.weather.rate = 2_048;
    talk.run(1);
    for _ in 0..40 {
        let (now, client) = talk.client();
        client.send_one_way(now, 301, &[0; 1_000]).unwrap();
        talk.pair.settle();
    }
    let (now, client) = talk.client();
    client.heartbeat(now);
    talk.run(15);
    assert_eq!(talk.client.lines(), ["online"], "later than the answer time-out, and not dead");
    talk.run(300);
    assert_eq!(talk.client.count("offline"), 0, "{:?}", talk.client.lines());
    assert!(talk.client.count("heartbeat") > 20);
}

#[test]
fn two_peers_cannot_keep_each_other_busy_with_heartbeats() {
    for dialect in DIALECTS {
        // Two that connect: each takes the other's heartbeat for an answer.
        let config = Config { dialect, ..every(5) };
        let (left, right) = (Log::default(), Log::default());
        let mut ends = [client(config), client(config)];
        ends.iter_mut().for_each(|link| link.handle_connected(S(0)));
        let [a, b] = ends;
        let (a, b) = (Side::new(a, listening(&left)), Side::new(b, listening(&right)));
        let mut pair = Pair::new(a, b, Weather::FINE, 1);
        pair.run(Duration::from_secs(3_600));
        for side in [&pair.left, &pair.right] {
            let beats = side.link.endpoint().stats().heartbeats;
            assert!((500..=720).contains(&beats), "{}: {beats} heartbeats in an hour", dialect.name);
        }
        // Two that accept, and one stray heartbeat between them.
        let config = ServerConfig { dialect, idle: Duration::from_secs(3_000), ..OPEN };
        let mut a = server(config, S(0));
        let stray = frame(dialect, dialect.heartbeat, 1, b"");
        feed(&mut a, S(0), &stray, |_, event| panic!("{event:?}"));
        let mut pair = Pair::new(
            Side::new(a, Box::new(|_, _, _| {})),
            Side::new(server(config, S(0)), Box::new(|_, _, _| {})),
            Weather { delay: Duration::from_millis(1), ..Weather::FINE },
            1,
        );
        pair.run(Duration::from_secs(60));
        let answers = pair.left.link.endpoint().stats().heartbeats;
        let most = if dialect.heartbeat == dialect.heartbeat_reply { 60 * 200 + FRAME_BURST } else { 1 };
        assert!(answers <= most + 2, "{}: {answers} answers", dialect.name);
    }
}

/// It returns every byte: an unchanged heartbeat counts as its answer, an unchanged message as no reply.
#[test]
fn an_echo_server_is_a_live_peer_and_answers_no_message() {
    for dialect in [&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI] {
        let log = Log::default();
        let mut on = listening(&log);
        let mut link = client(Config { dialect, ..every(1) });
        link.handle_connected(S(0));
        if *dialect == Dialect::LONGLINK {
            link.endpoint_mut().request(S(0), 237, b"hello").unwrap();
        }
        for half_second in 1..=12 {
            let now = Instant::from_millis(half_second * 500);
            link.endpoint_mut().handle_timeout(now);
            let echo = written(&mut link, now);
            feed(&mut link, now, &echo, |client, event| on(now, client, event));
        }
        assert_eq!(log.count("online"), 1);
        assert!((5..=6).contains(&log.count("heartbeat")), "{}: {:?}", dialect.name, log.lines());
        assert_eq!(log.count("reply"), 0);
        assert_eq!(link.endpoint().closing(), None);
    }
}

#[test]
fn after_eight_hours_of_sleep_the_answer_in_the_socket_counts() {
    let mut link = client(every(60));
    link.handle_connected(S(0));
    link.endpoint_mut().handle_timeout(S(60));
    written(&mut link, S(60));
    let awake = S(8 * 3_600);
    // A driver reads before it handles the time.
    feed(&mut link, awake, &frame(&Dialect::LONGLINK, 1_000_000_006, 0xFFFF_FFFF, b""), |_, _| {});
    link.endpoint_mut().handle_timeout(awake);
    assert_eq!(link.endpoint().closing(), None);
}

#[test]
fn after_sleep_the_link_is_asked_once_more_before_it_is_given_up() {
    let mut link = client(every(60));
    link.handle_connected(S(0));
    let token = link.endpoint_mut().request(S(1), 237, b"asked before").unwrap();
    written(&mut link, S(1));
    let awake = S(8 * 3_600);
    link.endpoint_mut().handle_timeout(awake);
    assert_eq!(link.endpoint().closing(), None);
    let mut told = Vec::new();
    link.process(awake, |_, event| told.push(format!("{event:?}")));
    assert_eq!(told.len(), 1, "no request has failed: {told:?}");
    assert_eq!(written(&mut link, awake), frame(&Dialect::LONGLINK, 6, 0xFFFF_FFFF, b""));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Answer, S(8 * 3_600 + 5))));
    // Alive: all goes on, and the request still gets its reply.
    let reply = frame(&Dialect::LONGLINK, 1_000_000_237, token.sequence(), b"");
    let mut replied = false;
    feed(&mut link, awake, &reply, |_, event| replied |= matches!(event, session::Event::Reply { .. }));
    assert!(replied);
    // Dead: five seconds later that is known, even if this device is late again.
    let mut link = client(every(60));
    link.handle_connected(S(0));
    link.endpoint_mut().handle_timeout(awake);
    written(&mut link, awake);
    link.endpoint_mut().handle_timeout(awake + Duration::from_secs(100));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::HeartbeatLost));
}

#[test]
fn a_clock_that_goes_backwards_stands_still() {
    let mut link = client(every(30));
    link.handle_connected(S(100));
    link.endpoint_mut().request(S(50), 237, b"").unwrap();
    written(&mut link, S(10));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Heartbeat, S(130))));
    feed(&mut link, S(20), &frame(&Dialect::LONGLINK, 1_000_000_237, 1, b""), |_, _| {});
    link.endpoint_mut().handle_timeout(S(90));
    assert_eq!(link.endpoint().closing(), None);
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Heartbeat, S(130))));
}

#[test]
fn at_the_end_of_time_nothing_is_armed_and_nothing_breaks() {
    let mut talk = Talk::fine();
    talk.run(1);
    talk.pair.now = Instant::MAX;
    let (now, client) = talk.client();
    client.request(now, 237, b"").unwrap();
    client.heartbeat(now);
    talk.pair.settle();
    talk.pair.settle();
    assert_eq!(talk.pair.left.link.endpoint().poll_timeout(), None);
}

#[test]
fn quiet_links_share_their_buffers() {
    let config: &'static ServerConfig = &OPEN;
    let mut link: Link<session::Server<'_, Box<[u8]>>, Box<[u8]>> =
        Link::new(Decoder::without_buffer(config.dialect), session::Server::new(config, S(0)).unwrap());
    let mut pool = vec![vec![0; 256].into_boxed_slice()];
    for beat in 1..=100 {
        let now = S(beat * 60);
        let (decoder, _) = link.split();
        decoder.lend(pool.pop().unwrap()).unwrap();
        feed(&mut link, now, &frame(config.dialect, 6, 7, b""), |_, event| panic!("{event:?}"));
        pool.push(link.split().0.reclaim().unwrap());
        let answer = written(&mut link, now);
        assert_eq!(answer, frame(config.dialect, 1_000_000_006, 7, b""), "needs no buffer");
        link.endpoint_mut().lend(pool.pop().unwrap()).unwrap();
        link.endpoint_mut().push(now, 122, b"news").unwrap();
        assert!(link.endpoint_mut().reclaim().is_none());
        assert_eq!(written(&mut link, now), frame(config.dialect, 122, 0, b"news"));
        pool.push(link.endpoint_mut().reclaim().unwrap());
    }
}

fn beaten(link: &mut Link<session::Client<'static>, &'static mut [u8]>, now: Instant) -> Option<(Timer, Instant)> {
    link.endpoint_mut().heartbeat(now);
    written(link, now);
    link.endpoint().next_timer()
}

#[test]
fn what_was_written_before_a_byte_came_has_arrived_and_needs_no_more_time() {
    let mut link = client(every(30));
    link.handle_connected(S(0));
    for _ in 0..40 {
        link.endpoint_mut().send_one_way(S(0), 301, &[0; 1_000]).unwrap();
        written(&mut link, S(0));
    }
    feed(&mut link, S(5), &frame(&Dialect::LONGLINK, 122, 0, b"")[..1], |_, _| {});
    assert_eq!(beaten(&mut link, S(5)), Some((Timer::Answer, S(13))));
    // Nor does what was written on the connection before.
    let mut link = client(every(30));
    link.handle_connected(S(0));
    for _ in 0..40 {
        link.endpoint_mut().send_one_way(S(0), 301, &[0; 1_000]).unwrap();
        written(&mut link, S(0));
    }
    link.handle_connected(S(5));
    assert_eq!(beaten(&mut link, S(5)), Some((Timer::Answer, S(13))));
}

#[test]
fn a_dead_link_is_noticed_in_bounded_time_however_much_was_written() {
    let mut link = client(every(30));
    link.handle_connected(S(0));
    for _ in 0..2_000 {
        link.endpoint_mut().send_one_way(S(1), 301, &[0; 1_000]).unwrap();
        written(&mut link, S(1));
    }
    let mut now = S(1);
    while link.closing().is_none() {
        now = link.poll_timeout().unwrap();
        link.process(now, |_, _| {});
        written(&mut link, now);
    }
    // Nothing was heard since 0; the interval, the time for the bytes, the answer's own.
    assert_eq!((now, link.closing()), (S(30 + 120 + 8), Some(Disconnect::HeartbeatLost)));
}

#[test]
fn each_sleep_is_forgiven_once_bytes_came_since_the_last_and_on_a_new_connection() {
    let sleep = Duration::from_secs(8 * 3_600);
    let asked_again = |link: &mut Link<session::Client<'static>, &'static mut [u8]>, now: Instant| {
        link.process(now, |_, _| {});
        written(link, now);
        (link.closing(), link.endpoint().next_timer())
    };
    let answer = frame(&Dialect::LONGLINK, 1_000_000_006, 0xFFFF_FFFF, b"");
    let mut link = client(every(60));
    link.handle_connected(S(0));
    let mut now = S(0);
    for _ in 0..3 {
        now = now + sleep;
        assert_eq!(asked_again(&mut link, now), (None, Some((Timer::Answer, now + Duration::from_secs(5)))));
        feed(&mut link, now, &answer, |_, _| {});
    }
    now = now + sleep;
    asked_again(&mut link, now);
    link.handle_disconnected(now, Disconnect::Transport);
    link.handle_connected(now);
    now = now + sleep;
    assert_eq!(asked_again(&mut link, now), (None, Some((Timer::Answer, now + Duration::from_secs(5)))));
}

#[test]
fn a_wake_up_is_late_from_a_tenth_of_the_interval_on_and_from_five_seconds() {
    for (interval, late) in [(580, 58), (60, 6), (30, 5)] {
        for (by, answer_timeout) in [(late - 1, 8), (late, 5)] {
            let mut link = client(every(interval));
            link.handle_connected(S(0));
            link.process(S(interval + by), |_, _| {});
            written(&mut link, S(interval + by));
            let expected = Some((Timer::Answer, S(interval + by + answer_timeout)));
            assert_eq!(link.endpoint().next_timer(), expected, "{by} s late, every {interval} s");
        }
    }
}

#[test]
fn an_answer_to_no_heartbeat_is_dropped_and_counted_on_either_side() {
    let answer = frame(&Dialect::LONGLINK, 1_000_000_006, 7, b"");
    let mut link = client(every(30));
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    feed(&mut link, S(1), &answer, |_, event| panic!("{event:?}"));
    assert_eq!(link.endpoint().stats().dropped, 1);
    let mut link = server(OPEN, S(0));
    feed(&mut link, S(1), &answer, |_, event| panic!("{event:?}"));
    assert_eq!((link.endpoint().stats().dropped, link.poll_transmit()), (1, None));
}

#[test]
fn of_heartbeats_that_came_together_the_newest_is_answered() {
    let mut link = server(OPEN, S(0));
    let three = (1..=3).flat_map(|i| frame(&Dialect::LONGLINK, 6, i, b"")).collect::<Vec<_>>();
    feed(&mut link, S(1), &three, |_, event| panic!("{event:?}"));
    assert_eq!(written(&mut link, S(1)), frame(&Dialect::LONGLINK, 1_000_000_006, 3, b""));
}
