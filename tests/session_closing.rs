//! How a link ends.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::session::{
    Client, Config, Disconnect, Endpoint, Event, GoAway, GoAwayCode, Link, SendError, ServerEvent, Timer,
};
use longlink::wire::Dialect;
use std::time::Duration;
use support::pipe::Weather;
use support::{Log, OPEN, S, Talk, answering, client, connected, feed, frame, goaway, server, server_with, written};

/// A client with one request written and not answered.
fn waiting() -> Link<Client<'static>, &'static mut [u8]> {
    let mut link = connected(Config::DEFAULT);
    link.endpoint_mut().request(S(0), 237, b"").unwrap();
    written(&mut link, S(0));
    link
}

#[test]
fn closing_awaits_the_replies_that_are_owed_then_says_goaway() {
    let mut talk = Talk::new(Config::DEFAULT, OPEN, Weather::ROUGH, 5);
    talk.run(2);
    let (now, client) = talk.client();
    client.request(now, 237, b"last words").unwrap();
    client.close(now);
    assert_eq!(client.request(now, 237, b"more"), Err(SendError::Closing));
    talk.pair.run_down(Duration::from_secs(20));
    assert_eq!(talk.client.lines(), ["online", "reply 1 last words", "offline closed"]);
    assert_eq!(talk.server.lines(), ["request 237/1", "goaway Done", "offline goaway"]);
}

#[test]
fn closing_does_not_wait_for_ever_for_a_reply() {
    let mut talk = Talk::fine();
    talk.pair.right.on = Box::new(|_, _, _| {});
    talk.run(1);
    let (now, client) = talk.client();
    client.request(now, 237, b"nobody answers").unwrap();
    client.close(now);
    talk.pair.run_down(Duration::from_secs(14));
    assert_eq!(talk.client.lines(), ["online", "failed 1 LinkLost true", "offline closed"]);
}

#[test]
fn a_goaway_of_the_server_is_the_reason_and_owed_replies_still_count() {
    let mut talk = Talk::new(Config::DEFAULT, OPEN, Weather::ROUGH, 9);
    talk.run(2);
    let (now, client) = talk.client();
    client.request(now, 237, b"owed").unwrap();
    while talk.server.count("request") == 0 {
        talk.pair.run(Duration::from_millis(50));
    }
    let goaway = GoAway::new(GoAwayCode::Restart).with_retry_after(Duration::from_secs(5));
    let (now, server) = talk.server();
    server.close(now, goaway);
    talk.pair.run_down(Duration::from_secs(20));
    assert_eq!(talk.client.lines(), ["online", "reply 1 owed", "goaway Restart", "offline goaway"]);
    assert_eq!(talk.pair.left.over, Some(Disconnect::GoAway(goaway)));
    assert_eq!(talk.server.count("offline closed"), 1);
}

#[test]
fn the_end_of_stream_is_orderly_between_frames_and_a_loss_inside_one() {
    let bytes = frame(&Dialect::LONGLINK, 122, 0, b"body");
    for keep in 0..=bytes.len() {
        let mut link = client(Config::DEFAULT);
        link.handle_connected(S(0));
        feed(&mut link, S(1), &bytes[..keep], |_, _| {});
        let expected = match keep {
            0 | 20 => Disconnect::PeerClosed,
            1..16 => Disconnect::Truncated { missing: 16 - keep as u32 },
            _ => Disconnect::Truncated { missing: 20 - keep as u32 },
        };
        link.handle_end();
        assert_eq!(link.over(), Some(expected));
        assert_eq!(link.handle_disconnected(S(1), expected), expected);
    }
}

#[test]
fn a_connection_that_replaces_another_ends_it_first() {
    let log = Log::default();
    let mut on = support::listening(&log);
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().request(S(0), 237, b"x").unwrap();
    link.handle_connected(S(1));
    link.process(S(1), |client, event| on(S(1), client, event));
    assert_eq!(log.lines(), ["failed 1 LinkLost false", "offline transport", "online"]);
    assert_eq!(written(&mut link, S(1)), b"", "nothing of the old link is written on the new");
}

#[test]
fn a_goaway_while_draining_changes_neither_the_reason_nor_the_deadline() {
    let mut link = waiting();
    link.endpoint_mut().close(S(0));
    for at in 1..10 {
        feed(&mut link, S(at), &goaway(GoAwayCode::Restart), |_, event| assert!(matches!(event, Event::GoAway(_))));
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(10))));
        assert_eq!(link.closing(), None, "a reply is owed");
    }
    link.endpoint_mut().handle_timeout(S(10));
    assert_eq!(link.closing(), Some(Disconnect::Closed));
    assert_eq!(written(&mut link, S(10)), goaway(GoAwayCode::Done));
    assert_eq!(link.handle_disconnected(S(11), Disconnect::PeerClosed), Disconnect::Closed);
}

#[test]
fn a_goaway_while_leaving_changes_neither_the_reason_nor_the_deadline() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().close(S(0));
    for at in 1..3 {
        feed(&mut link, S(at), &goaway(GoAwayCode::Restart), |_, _| {});
        assert_eq!(link.closing(), Some(Disconnect::Closed));
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(10))));
    }
    assert!(link.poll_transmit().is_some(), "its own goaway is still to be written");
    link.endpoint_mut().handle_timeout(S(10));
    assert_eq!((link.closing(), link.poll_transmit()), (Some(Disconnect::Closed), None));
}

#[test]
fn neither_another_goaway_nor_a_close_changes_what_the_first_goaway_said() {
    let mut link = waiting();
    feed(&mut link, S(1), &goaway(GoAwayCode::Restart), |_, _| {});
    feed(&mut link, S(2), &goaway(GoAwayCode::Done), |_, _| {});
    link.endpoint_mut().close(S(3));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(4))));
    assert_eq!(link.closing(), None);
    link.endpoint_mut().handle_timeout(S(4));
    assert_eq!(link.closing(), Some(Disconnect::GoAway(GoAway::new(GoAwayCode::Restart))));
    assert_eq!(written(&mut link, S(4)), b"", "it need not be told that this side goes");
}

#[test]
fn after_the_peer_s_goaway_it_is_the_peer_that_ends_the_link_or_the_time() {
    let mut link = waiting();
    feed(&mut link, S(1), &goaway(GoAwayCode::Restart), |_, _| {});
    feed(&mut link, S(2), &frame(&Dialect::LONGLINK, 1_000_000_237, 1, b""), |_, _| {});
    assert_eq!(link.closing(), None, "nothing is owed, and a push may still come");
    let mut pushes = 0;
    feed(&mut link, S(3), &frame(&Dialect::LONGLINK, 122, 0, b""), |_, _| pushes += 1);
    assert_eq!((pushes, link.endpoint().next_timer()), (1, Some((Timer::Close, S(4)))));
    link.handle_end();
    assert_eq!(link.over(), Some(Disconnect::PeerClosed));
    let why = Disconnect::GoAway(GoAway::new(GoAwayCode::Restart));
    assert_eq!(link.handle_disconnected(S(3), Disconnect::PeerClosed), why);
}

#[test]
fn a_link_that_leaves_neither_sends_heartbeats_nor_answers_them() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().heartbeat(S(0));
    link.endpoint_mut().close(S(0));
    assert_eq!(written(&mut link, S(0)), goaway(GoAwayCode::Done));
    let mut link = server(OPEN, S(0));
    link.endpoint_mut().close(S(0), GoAway::new(GoAwayCode::Done));
    feed(&mut link, S(1), &frame(&Dialect::LONGLINK, 6, 1, b""), |_, event| panic!("{event:?}"));
    assert_eq!(written(&mut link, S(1)), goaway(GoAwayCode::Done));
}

#[test]
fn a_goaway_of_the_peer_leaves_a_close_under_way_as_it_is() {
    let ours = GoAway::new(GoAwayCode::Restart).with_retry_after(Duration::from_secs(60));
    let mut link = server(OPEN, S(0));
    link.endpoint_mut().push(S(0), 122, &[0; 500]).unwrap();
    link.endpoint_mut().close(S(0), ours);
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(10))));
    for at in 1..10 {
        feed(&mut link, S(at), &goaway(GoAwayCode::Done), |_, _| {});
        link.endpoint_mut().close(S(at), GoAway::new(GoAwayCode::Overload));
        assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(10))));
    }
    let rest = [frame(&Dialect::LONGLINK, 122, 0, &[0; 500]), frame(&Dialect::LONGLINK, 247, 0, &ours.to_bytes())];
    assert_eq!(written(&mut link, S(9)), rest.concat());
    assert_eq!(link.closing(), Some(Disconnect::Closed));
}

#[test]
fn a_peer_that_never_reads_does_not_keep_a_link_that_closes() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().send_one_way(S(0), 301, b"queued").unwrap();
    link.endpoint_mut().close(S(0));
    while link.poll_transmit().is_some() {
        let at = link.poll_timeout().unwrap();
        assert!(at <= S(20), "until {at:?}");
        link.endpoint_mut().handle_timeout(at);
    }
    assert_eq!(link.closing(), Some(Disconnect::Closed));
    // A server gives what it has queued its time, 3 s for 3 KB here, and no more.
    let mut link = server(OPEN, S(0));
    for _ in 0..4 {
        link.endpoint_mut().push(S(0), 122, &[0; 768]).unwrap();
    }
    link.endpoint_mut().close(S(0), GoAway::new(GoAwayCode::Restart));
    assert_eq!(link.endpoint().next_timer(), Some((Timer::Close, S(13))));
    link.endpoint_mut().handle_timeout(S(13));
    assert_eq!((link.closing(), link.poll_transmit()), (Some(Disconnect::Closed), None));
}

#[test]
fn a_server_s_close_over_a_slow_link_writes_what_is_queued_and_says_why() {
    let slow = Weather { rate: 512, capacity: 512, largest_write: 256, ..Weather::FINE };
    let mut talk = Talk::new(Config::DEFAULT, OPEN, slow, 3);
    talk.run(1);
    let (now, server) = talk.server();
    for i in 0..8 {
        server.push(now, 122, &[b'0' + i; 480]).unwrap();
    }
    let why = GoAway::new(GoAwayCode::Restart);
    server.close(now, why);
    talk.pair.run_down(Duration::from_secs(120));
    assert_eq!(talk.client.count("push"), 8);
    assert_eq!(talk.pair.left.over, Some(Disconnect::GoAway(why)));
    assert_eq!(talk.pair.right.over, Some(Disconnect::Closed));
}

#[test]
fn what_was_queued_before_a_close_is_written_before_the_goaway() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().send_one_way(S(0), 301, b"first").unwrap();
    link.endpoint_mut().close(S(0));
    let all = [frame(&Dialect::LONGLINK, 301, 0, b"first"), goaway(GoAwayCode::Done)].concat();
    assert_eq!(written(&mut link, S(0)), all);
    let mut link = server(OPEN, S(0));
    link.endpoint_mut().push(S(0), 122, b"first").unwrap();
    link.endpoint_mut().close(S(0), GoAway::new(GoAwayCode::Moved));
    let all = [frame(&Dialect::LONGLINK, 122, 0, b"first"), goaway(GoAwayCode::Moved)].concat();
    assert_eq!(written(&mut link, S(0)), all);
}

#[test]
fn a_close_goes_on_when_the_last_request_ends_in_whatever_way() {
    let reply = frame(&Dialect::LONGLINK, 1_000_000_237, 1, &[0; 2_000]);
    for (way, at, bytes) in [
        ("its reply", S(1), frame(&Dialect::LONGLINK, 1_000_000_237, 1, b"")),
        ("a reply that is too long", S(1), reply[..16].to_vec()),
        ("a time-out", S(30), Vec::new()),
    ] {
        let mut link = waiting();
        if at == S(30) {
            feed(&mut link, S(20), b"", |_, _| {});
        }
        link.endpoint_mut().close(if at == S(30) { S(25) } else { S(0) });
        assert_eq!(link.closing(), None, "{way}");
        feed(&mut link, at, &bytes, |_, _| {});
        assert_eq!(link.closing(), Some(Disconnect::Closed), "{way}");
    }
}

#[test]
fn a_link_that_went_down_before_it_was_told_to_be_online_is_only_told_to_be_offline() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.handle_disconnected(S(0), Disconnect::Transport);
    let mut told = Vec::new();
    link.process(S(0), |_, event| told.push(format!("{event:?}")));
    assert_eq!(told, ["Offline(Transport)"]);
}

#[test]
fn half_a_frame_of_one_connection_is_no_part_of_the_next() {
    let push = frame(&Dialect::LONGLINK, 122, 0, b"abc");
    for told in [true, false] {
        let mut link = client(Config::DEFAULT);
        link.handle_connected(S(0));
        link.process(S(0), |_, _| {});
        feed(&mut link, S(0), &push[..10], |_, event| panic!("{event:?}"));
        link.handle_end();
        if told {
            link.handle_disconnected(S(1), Disconnect::Transport);
            assert!(link.decoder().is_empty() && !link.is_ended());
        }
        link.handle_connected(S(1));
        assert!(link.decoder().is_empty() && !link.is_ended());
        let mut pushes = 0;
        feed(&mut link, S(1), &push, |_, event| pushes += usize::from(matches!(event, Event::Push(_))));
        assert_eq!((pushes, link.closing()), (1, None));
    }
}

#[test]
fn the_end_of_the_stream_is_the_end_of_the_link_once_all_before_it_is_handled_and_answered() {
    let log = Log::default();
    let mut on = answering(&log);
    // 300 requests in one read, more than the rate allows at once.
    let mut link = server_with(OPEN, S(0), 8_192, 65_536);
    let requests = (1..=300).flat_map(|i| frame(&Dialect::LONGLINK, 237, i, b"")).collect::<Vec<_>>();
    feed(&mut link, S(0), &requests, |server, event| on(S(0), server, event));
    link.handle_end();
    let (mut now, mut out) = (S(0), Vec::new());
    while log.count("request") < 300 {
        assert!(link.space().is_empty(), "a read into nothing would look like an end");
        out.extend(written(&mut link, now));
        assert_eq!(link.over(), None, "{} of 300", log.count("request"));
        now = link.poll_timeout().unwrap();
        link.process(now, |server, event| on(now, server, event));
    }
    assert_eq!(link.over(), None, "an answer is not written");
    out.extend(written(&mut link, now));
    while !link.endpoint().can_take() {
        assert_eq!(link.over(), None, "held back still");
        now = link.poll_timeout().unwrap();
        link.process(now, |_, event| panic!("{event:?}"));
    }
    assert!(link.space().is_empty());
    assert_eq!((out.len(), link.over()), (300 * 16, Some(Disconnect::PeerClosed)));
}

#[test]
fn a_link_that_is_closing_when_the_stream_ends_ends_with_its_own_reason() {
    let mut link = client(Config::DEFAULT);
    link.handle_connected(S(0));
    link.endpoint_mut().close(S(0));
    link.handle_end();
    assert_eq!(link.over(), None, "a goaway is to be written");
    written(&mut link, S(0));
    assert_eq!(link.over(), Some(Disconnect::Closed));
    // A dead one need not wait for anything.
    let mut link = server(OPEN, S(0));
    link.endpoint_mut().push(S(0), 122, b"never written").unwrap();
    feed(&mut link, S(0), b"garbage!", |_, event: ServerEvent<'_>| panic!("{event:?}"));
    assert!(matches!(link.over(), Some(Disconnect::Malformed(_))));
}

#[test]
fn a_client_s_close_over_a_slow_link_writes_what_is_queued() {
    let slow = Weather { rate: 100, capacity: 64, largest_write: 64, ..Weather::FINE };
    let mut talk = Talk::new(Config::DEFAULT, OPEN, slow, 3);
    talk.run(1);
    let (now, client) = talk.client();
    for _ in 0..4 {
        client.send_one_way(now, 301, &[7; 200]).unwrap();
    }
    client.close(now);
    talk.pair.run_down(Duration::from_secs(120));
    assert_eq!(talk.server.count("one-way"), 4);
    assert_eq!(talk.pair.right.over, Some(Disconnect::GoAway(GoAway::new(GoAwayCode::Done))));
}
