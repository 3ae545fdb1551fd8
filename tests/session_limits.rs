//! What a peer may cost: frames a second, unread answers, frames that do not end, writes that do not move.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::session::limits::{FRAME_BURST, WRITE_TIMEOUT};
use longlink::session::{Config, Disconnect, Endpoint, SendError, ServerConfig, Timer};
use longlink::wire::Dialect;
use longlink::{Instant, earliest};
use std::time::Duration;
use support::pipe::Weather;
use support::{OPEN, S, Talk, connected, every, feed, frame, server, server_with, written};

fn one_way() -> Vec<u8> {
    frame(&Dialect::LONGLINK, 301, 0, b"")
}

#[test]
fn a_frame_begun_and_not_ended_closes_the_link() {
    // One byte a second, for ever.
    let mut link = server(OPEN, S(0));
    let bytes = frame(&Dialect::LONGLINK, 237, 1, &[0; 1_000]);
    let mut at = 0;
    while link.endpoint().closing().is_none() {
        feed(&mut link, S(at), &bytes[at as usize..][..1], |_, event| panic!("{event:?}"));
        at += 1;
        link.endpoint_mut().handle_timeout(S(at));
    }
    assert_eq!((at, link.endpoint().closing()), (30, Some(Disconnect::SlowFrame)));
    // A frame that announces more than ever comes.
    let mut link = server(OPEN, S(0));
    feed(&mut link, S(5), &bytes[..16], |_, event| panic!("{event:?}"));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Frame, S(35))));
    link.endpoint_mut().handle_timeout(S(35));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::SlowFrame));
    // The same for one that is being skipped.
    let mut link = server(OPEN, S(0));
    let mut long = bytes;
    long[2] = 0x20;
    feed(&mut link, S(5), &long[..16], |_, event| panic!("{event:?}"));
    link.endpoint_mut().handle_timeout(S(35));
    assert_eq!(link.endpoint().closing(), Some(Disconnect::SlowFrame));
}

#[test]
fn a_peer_that_never_reads_is_given_up_and_costs_no_more_than_the_buffer() {
    let mut talk = Talk::new(every(30), OPEN, Weather { capacity: 64, ..Weather::FINE }, 1);
    talk.run(1);
    talk.pair.down.stuck = true;
    for sequence in 0..10_000_u32 {
        let (now, client) = talk.client();
        client.heartbeat(now);
        // A full table, or a link that is down by now.
        let _ = client.request(now, 237, &[0; 100]);
        let (now, server) = talk.server();
        match server.push(now, 122, &sequence.to_be_bytes()) {
            Ok(()) | Err(SendError::Full { .. } | SendError::Closing | SendError::Offline) => {}
            Err(error) => panic!("{error}"),
        }
        talk.pair.run(Duration::from_millis(20));
    }
    assert_eq!(talk.pair.right.over, Some(Disconnect::Stalled));
    assert!(WRITE_TIMEOUT <= Duration::from_secs(60));
    assert!(talk.pair.up.on_its_way() <= 64);
}

#[test]
fn reading_pauses_while_answers_pile_up_and_goes_on_when_they_are_written() {
    let mut talk = Talk::fine();
    talk.run(1);
    talk.pair.down.stuck = true;
    let mut asked = 0;
    for _ in 0..64 {
        talk.run(1);
        let (now, client) = talk.client();
        if client.request(now, 237, &[1; 900]).is_ok() {
            asked += 1;
        }
        if talk.pair.right.over.is_some() {
            break;
        }
    }
    assert!(!talk.pair.right.link.endpoint().can_take() || talk.pair.right.over.is_some());
    assert!(asked >= 3, "{asked}");
    // The same with a peer that reads again in time.
    let mut talk = Talk::fine();
    talk.run(1);
    talk.pair.down.stuck = true;
    for _ in 0..8 {
        let (now, client) = talk.client();
        client.request(now, 237, &[1; 900]).unwrap();
        talk.run(2);
    }
    assert!(!talk.pair.right.link.endpoint().can_take());
    assert!(talk.server.count("request") < 8);
    talk.pair.down.stuck = false;
    talk.run(100);
    assert_eq!(talk.server.count("request"), 8);
    assert_eq!(talk.client.count("reply"), 8, "{:?}", talk.client.lines());
}

#[test]
fn a_flood_of_frames_is_held_back_to_200_a_second() {
    let mut link = server(OPEN, S(0));
    let one_way = frame(&Dialect::LONGLINK, 301, 0, b"");
    let mut seen = 0_u32;
    let mut now = S(0);
    while now < S(60) {
        while link.endpoint().can_take() {
            feed(&mut link, now, &one_way, |_, _| seen += 1);
        }
        let Some((Timer::Resume, at)) = link.endpoint().next_timer() else { panic!("nothing to wait for") };
        assert!(link.space().is_empty());
        now = at;
        link.endpoint_mut().handle_timeout(now);
    }
    let allowed = 60 * 200 + FRAME_BURST;
    assert!((allowed - 2..=allowed + 2).contains(&seen), "{seen} frames in a minute, {allowed} are allowed");
    assert_eq!(link.endpoint().closing(), None, "holding back is not closing");
}

#[test]
fn the_burst_is_exact_and_rest_saves_up_no_more_than_it() {
    let mut link = server(ServerConfig { idle: Duration::from_secs(86_400), ..OPEN }, S(0));
    for start in [S(0), S(3_600), S(7_200)] {
        link.process(start, |_, _| {});
        for i in 1..=FRAME_BURST {
            feed(&mut link, start, &one_way(), |_, _| {});
            assert!(link.endpoint().can_take(), "after frame {i} of {FRAME_BURST}");
        }
        // The next is early by one interval.
        let mut now = start;
        for _ in 0..3 {
            feed(&mut link, now, &one_way(), |_, _| {});
            assert!(!link.endpoint().can_take());
            now = now + Duration::from_millis(5);
            assert_eq!(link.endpoint().next_timer(), Some((Timer::Resume, now)));
            link.process(now, |_, _| {});
            assert!(link.endpoint().can_take());
        }
    }
}

#[test]
fn a_burst_that_came_in_one_read_is_taken_as_far_as_the_rate_allows() {
    let mut link = server_with(OPEN, S(0), 8_192, 4_096);
    let mut seen = 0;
    feed(&mut link, S(0), &one_way().repeat(300), |_, _| seen += 1);
    assert_eq!(seen, FRAME_BURST + 1);
    link.process(Instant::from_millis(4), |_, _| seen += 1);
    assert_eq!(seen, FRAME_BURST + 1);
    link.process(Instant::from_millis(5), |_, _| seen += 1);
    assert_eq!(seen, FRAME_BURST + 2, "the end of a pause lets the next through, without a read");
}

#[test]
fn frames_that_are_too_long_count_in_the_rate() {
    let mut link = server_with(OPEN, S(0), 16, 4_096);
    let long = frame(&Dialect::LONGLINK, 237, 1, b"x");
    for i in 1..=FRAME_BURST + 1 {
        assert!(link.endpoint().can_take(), "before frame {i}");
        feed(&mut link, S(0), &long[..16], |_, event| panic!("{event:?}"));
        link.split().0.space()[0] = b'x';
        link.handle_read(S(0), 1);
    }
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Resume, Instant::from_millis(5))));
    assert_eq!(link.endpoint().stats().skipped, FRAME_BURST + 1);
}

#[test]
fn a_peer_held_back_for_its_rate_is_neither_idle_nor_slow() {
    let mut link = server_with(ServerConfig { idle: Duration::from_secs(20), ..OPEN }, S(0), 8_192, 4_096);
    let burst = [one_way().repeat(FRAME_BURST as usize + 1), one_way()[..8].to_vec()].concat();
    feed(&mut link, S(0), &burst, |_, _| {});
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Resume, Instant::from_millis(5))));
    // This side was busy elsewhere.
    link.process(S(40), |_, event| panic!("{event:?}"));
    assert_eq!((link.closing(), link.endpoint().can_take()), (None, true));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Idle, S(60))));
    feed(&mut link, S(59), &one_way()[8..], |_, _| {});
    assert_eq!(link.closing(), None);
    // The rest of a frame has its time from the end of the pause on.
    let mut link = server_with(OPEN, S(0), 8_192, 4_096);
    feed(&mut link, S(0), &burst, |_, _| {});
    link.process(S(40), |_, _| {});
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Frame, S(70))));
}

#[test]
fn a_peer_held_back_for_its_unread_answers_is_neither_idle_nor_slow() {
    let config = ServerConfig { idle: Duration::from_secs(20), ..OPEN };
    for (config, next) in [(config, (Timer::Idle, S(70))), (OPEN, (Timer::Frame, S(80)))] {
        let mut link = server(config, S(0));
        let bytes = [frame(&Dialect::LONGLINK, 237, 1, &[7; 1_000]), one_way()[..8].to_vec()].concat();
        feed(&mut link, S(0), &bytes, |server, _| {
            for _ in 0..3 {
                server.reply(S(0), 237, 1, &[7; 1_000]).unwrap();
            }
        });
        assert!(!link.endpoint().can_take());
        assert!(link.poll_transmit().is_some());
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Write, S(60))), "only the write has its time");
        link.process(S(50), |_, event| panic!("{event:?}"));
        assert_eq!(link.closing(), None);
        written(&mut link, S(50));
        assert_eq!((link.endpoint().can_take(), link.endpoint().next_timer()), (true, Some(next)));
    }
}

#[test]
fn a_peer_whose_heartbeats_wait_unread_is_not_idle() {
    let idle = ServerConfig { idle: Duration::from_secs(20), ..OPEN };
    let mut talk = Talk::new(every(5), idle, Weather::FINE, 3);
    talk.pair.down.weather = Weather { rate: 50, capacity: 100, largest_write: 50, ..Weather::FINE };
    talk.run(1);
    let (now, server) = talk.server();
    for i in 0..8 {
        server.push(now, 122, &[i; 480]).unwrap();
    }
    talk.run(60);
    assert!(!talk.pair.right.link.endpoint().can_take() || talk.client.count("push") > 4);
    assert_eq!((talk.pair.left.over, talk.pair.right.over), (None, None));
}

#[test]
fn a_frame_has_its_time_from_the_end_of_the_one_before_and_for_its_own_bytes() {
    let long = frame(&Dialect::LONGLINK, 301, 0, &[0; 1_900]);
    let mut link = server_with(ServerConfig { idle: Duration::from_secs(300), ..OPEN }, S(0), 4_096, 64);
    feed(&mut link, S(0), &[&long[..], &long[..100]].concat(), |_, _| {});
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Frame, S(30))), "100 bytes, no matter what came before");
    // The rest of that frame, and the first 1,100 bytes of the next.
    feed(&mut link, S(20), &[&long[100..], &long[..1_100]].concat(), |_, _| {});
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Frame, S(20 + 30 + 1))));
    feed(&mut link, S(40), &long[1_100..], |_, _| {});
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Idle, S(340))), "between frames none is slow");
}

#[test]
fn a_peer_that_reads_a_byte_a_minute_does_not_read() {
    let mut link = connected(Config::DEFAULT);
    link.endpoint_mut().request(S(0), 237, &[0; 1_000]).unwrap();
    let (mut now, mut reads_at) = (S(0), S(0));
    while link.closing().is_none() {
        assert!(now < S(300), "nothing came for 300 s");
        if now >= reads_at && link.poll_transmit().is_some() {
            link.handle_sent(now, 1);
            reads_at = now + Duration::from_secs(59);
        }
        link.process(now, |_, _| {});
        now = earliest([link.poll_timeout(), Some(reads_at)]).unwrap();
    }
    assert_eq!(link.closing(), Some(Disconnect::Stalled));
}

#[test]
fn a_peer_reads_if_it_takes_128_bytes_a_second_in_the_long_run() {
    // Half of that eats up the minute that a write may stand still.
    for (every_5_seconds, end) in [(640, None), (320, Some((115, Disconnect::Stalled)))] {
        let mut link = server_with(OPEN, S(0), 64, 65_536);
        for _ in 0..25 {
            link.endpoint_mut().push(S(0), 122, &[0; 2_000]).unwrap();
        }
        let mut ended = None;
        for at in (0..300).step_by(5) {
            link.process(S(at), |_, event| panic!("{event:?}"));
            if let Some(why) = link.closing() {
                ended = ended.or(Some((at, why)));
                continue;
            }
            assert!(link.poll_transmit().is_some());
            link.handle_sent(S(at), every_5_seconds);
            assert!(link.poll_timeout() <= Some(S(at + 60)), "no more than a minute is saved up");
        }
        assert_eq!(ended, end);
    }
}

#[test]
fn a_heartbeat_that_the_transport_does_not_take_is_a_stalled_write() {
    let mut link = connected(every(30));
    link.process(S(30), |_, _| {});
    assert!(link.poll_transmit().is_some());
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Write, S(90))));
    link.process(S(90), |_, _| {});
    assert_eq!((link.closing(), link.poll_transmit()), (Some(Disconnect::Stalled), None));
    // The same for the answer.
    let mut link = server(OPEN, S(0));
    feed(&mut link, S(30), &frame(&Dialect::LONGLINK, 6, 1, b""), |_, event| panic!("{event:?}"));
    assert!(link.poll_transmit().is_some());
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Write, S(90))));
    link.process(S(90), |_, _| {});
    assert_eq!((link.closing(), link.poll_transmit()), (Some(Disconnect::Stalled), None));
}

#[test]
fn no_room_now_is_told_apart_from_no_room_ever_and_from_no_buffer() {
    let (full, long) =
        (|length| Err(SendError::Full { length }), |length, limit| Err(SendError::TooLong { length, limit }));
    let mut link = server_with(OPEN, S(0), 2_048, 1_000);
    let endpoint = link.endpoint_mut();
    // A frame of exactly the buffer fits, but for what is in it.
    endpoint.push(S(0), 122, b"").unwrap();
    assert_eq!(endpoint.push(S(0), 122, &[0; 984]), full(1_000));
    assert_eq!(endpoint.push(S(0), 122, &[0; 985]), long(1_001, 1_000));
    written(&mut link, S(0));
    link.endpoint_mut().push(S(0), 122, &[0; 984]).unwrap();
    // What the dialect does not allow will never fit, however full the buffer is.
    let goim = ServerConfig { dialect: &Dialect::GOIM, needs_greeting: false, ..OPEN };
    let mut link = server_with(goim, S(0), 2_048, 8_192);
    for queued in [0, 4_096] {
        if queued > 0 {
            link.endpoint_mut().push(S(0), 5, &vec![0; queued]).unwrap();
        }
        assert_eq!(link.endpoint_mut().push(S(0), 5, &[0; 4_097]), long(4_113, 4_112));
    }
    assert_eq!(link.endpoint_mut().push(S(0), 5, &[0; 4_096]), full(4_112));
    // Without a buffer nothing fits, and a buffer helps.
    let mut link = server(OPEN, S(0));
    let buffer = link.endpoint_mut().reclaim().unwrap();
    assert_eq!(link.endpoint_mut().push(S(0), 122, b"x"), Err(SendError::NoBuffer));
    link.endpoint_mut().lend(buffer).unwrap();
    assert_eq!(link.endpoint_mut().push(S(0), 122, b"x"), Ok(()));
}
