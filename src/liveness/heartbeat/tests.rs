use super::*;

const S: fn(u64) -> Instant = Instant::from_secs;

fn connected() -> Heartbeat {
    let fixed = HeartbeatPolicy::Fixed(Duration::from_secs(60));
    let mut heartbeat = Heartbeat::new(fixed, Heartbeat::ANSWER_TIMEOUT);
    heartbeat.handle_connected(S(0));
    heartbeat
}

fn awaiting() -> Heartbeat {
    let mut heartbeat = connected();
    assert_eq!(heartbeat.handle_timeout(S(60)), Pulse::Beat);
    heartbeat.handle_sent(S(60));
    heartbeat.handle_beat_sent(S(60), Duration::ZERO);
    heartbeat
}

#[test]
fn silence_in_either_direction_calls_for_a_heartbeat() {
    let mut heartbeat = connected();
    heartbeat.handle_received(S(50));
    assert_eq!(heartbeat.poll_timeout(), Some(S(60)), "nothing was sent since 0");
    let mut heartbeat = connected();
    heartbeat.handle_sent(S(50));
    assert_eq!(heartbeat.poll_timeout(), Some(S(60)), "nothing came since 0");
    heartbeat.handle_received(S(55));
    assert_eq!(heartbeat.poll_timeout(), Some(S(110)));
}

#[test]
fn any_byte_restarts_the_answer_time_out_and_only_an_answer_ends_it() {
    let mut heartbeat = awaiting();
    heartbeat.handle_received(S(67));
    assert_eq!(heartbeat.handle_timeout(S(68)), Pulse::Steady);
    assert_eq!(heartbeat.handle_timeout(S(75)), Pulse::Dead);
    let mut heartbeat = awaiting();
    assert_eq!(heartbeat.handle_answer(S(61)), Some(Duration::from_secs(1)));
    assert_eq!(heartbeat.handle_answer(S(61)), None, "answered once");
    assert_eq!(heartbeat.handle_timeout(S(68)), Pulse::Beat, "nothing came since 0");
}

#[test]
fn an_answer_is_given_the_time_that_the_bytes_before_it_need() {
    let mut heartbeat = connected();
    heartbeat.beat();
    heartbeat.handle_beat_sent(S(10), Duration::from_secs(100));
    assert_eq!(heartbeat.poll_timeout(), Some(S(118)));
}

#[test]
fn a_late_wake_up_asks_again_and_waits_less() {
    let mut heartbeat = awaiting();
    heartbeat.beat_late();
    assert!(heartbeat.is_wanted());
    assert_eq!(heartbeat.poll_timeout(), None);
    heartbeat.handle_beat_sent(S(5_000), Duration::ZERO);
    assert_eq!(heartbeat.poll_timeout(), Some(S(5_005)));
}

#[test]
fn nothing_is_due_without_a_connection() {
    let mut heartbeat = awaiting();
    heartbeat.handle_disconnected();
    heartbeat.beat();
    heartbeat.beat_late();
    assert_eq!((heartbeat.is_wanted(), heartbeat.poll_timeout()), (false, None));
    assert_eq!(heartbeat.handle_timeout(Instant::MAX), Pulse::Steady);
}

#[test]
fn a_passive_heartbeat_beats_on_request_only() {
    let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Passive, Heartbeat::ANSWER_TIMEOUT);
    heartbeat.handle_connected(S(0));
    assert_eq!(heartbeat.poll_timeout(), None);
    heartbeat.beat_along();
    assert!(!heartbeat.is_wanted());
    heartbeat.beat();
    assert!(heartbeat.is_wanted());
}

fn adaptive() -> Heartbeat {
    let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
    heartbeat.set_network(S(0), Network::named(b"home"), None);
    heartbeat.handle_connected(S(0));
    heartbeat
}

/// The next heartbeat goes out when it is due.
fn beaten(heartbeat: &mut Heartbeat) -> Instant {
    let at = heartbeat.poll_timeout().unwrap();
    assert_eq!(heartbeat.handle_timeout(at), Pulse::Beat);
    heartbeat.handle_sent(at);
    heartbeat.handle_beat_sent(at, Duration::ZERO);
    at
}

fn interval(heartbeat: &Heartbeat) -> u64 {
    heartbeat.interval().unwrap().as_secs()
}

#[test]
fn a_heartbeat_takes_80_bytes() {
    assert!(size_of::<Heartbeat>() <= 80, "{}", size_of::<Heartbeat>());
}

#[test]
fn an_answered_silence_is_doubled_and_one_without_answer_is_halved() {
    let mut heartbeat = adaptive();
    let at = beaten(&mut heartbeat);
    heartbeat.handle_received(at);
    heartbeat.handle_answer(at);
    assert_eq!(interval(&heartbeat), 60);
    assert!(heartbeat.take_learned().is_some_and(|record| record.proven().as_secs() == 30));
    assert_eq!(heartbeat.take_learned(), None);
    let mut heartbeat = adaptive();
    beaten(&mut heartbeat);
    assert_eq!(heartbeat.handle_timeout(S(38)), Pulse::Dead);
    heartbeat.handle_disconnected();
    assert_eq!(interval(&heartbeat), 30, "not judged yet");
    heartbeat.handle_connected(S(98));
    assert_eq!(interval(&heartbeat), 15);
}

#[test]
fn a_failure_teaches_nothing_when_more_than_the_network_may_have_caused_it() {
    let dead = |heartbeat: &mut Heartbeat, at| assert_eq!(heartbeat.handle_timeout(at), Pulse::Dead);
    for cause in 0..7 {
        let mut heartbeat = adaptive();
        beaten(&mut heartbeat);
        let mut back = S(50);
        match cause {
            0 => dead(&mut heartbeat, S(38)),
            1 => {
                dead(&mut heartbeat, S(38));
                back = S(99); // The network was gone.
            }
            2 => {
                dead(&mut heartbeat, S(38));
                heartbeat.set_network(S(39), Network::UNKNOWN, None);
            }
            3 => {}                           // The peer closed.
            4 => dead(&mut heartbeat, S(43)), // Noticed too late.
            5 => {
                heartbeat.handle_received(S(31));
                dead(&mut heartbeat, S(39));
            }
            _ => {
                heartbeat.beat_late();
                heartbeat.handle_sent(S(5_000));
                heartbeat.handle_beat_sent(S(5_000), Duration::ZERO);
                dead(&mut heartbeat, S(5_005));
                back = S(5_006);
            }
        }
        heartbeat.handle_disconnected();
        heartbeat.handle_connected(back);
        let expected = if cause == 0 { 15 } else { 30 };
        assert_eq!(interval(&heartbeat), expected, "cause {cause}");
    }
}

#[test]
fn a_reset_is_no_answer_only_while_one_is_awaited() {
    let mut heartbeat = adaptive();
    heartbeat.handle_reset(S(1));
    heartbeat.handle_disconnected();
    heartbeat.handle_connected(S(2));
    assert_eq!(interval(&heartbeat), 30);
    beaten(&mut heartbeat);
    heartbeat.handle_reset(S(32));
    heartbeat.handle_disconnected();
    heartbeat.handle_connected(S(33));
    assert_eq!(interval(&heartbeat), 15);
}

#[test]
fn the_silence_that_counts_is_the_observed_one() {
    let mut heartbeat = adaptive();
    heartbeat.handle_sent(S(25));
    let at = beaten(&mut heartbeat);
    heartbeat.handle_answer(at);
    assert_eq!((at, interval(&heartbeat)), (S(30), 30), "5 s of silence say nothing about 30");
}

/// The next link after a trial comes soon, whatever became of links before: that must not be so of each that is lost.
#[test]
fn a_silence_that_passed_before_is_no_trial() {
    for (foreground, is_trial) in [(false, true), (true, false)] {
        let mut heartbeat = adaptive();
        let at = beaten(&mut heartbeat);
        heartbeat.handle_received(at);
        heartbeat.handle_answer(at);
        heartbeat.set_foreground(foreground);
        let at = beaten(&mut heartbeat);
        assert_eq!(at, if foreground { S(60) } else { S(90) });
        assert_eq!(heartbeat.handle_timeout(at + Heartbeat::ANSWER_TIMEOUT), Pulse::Dead);
        heartbeat.handle_disconnected();
        assert_eq!(heartbeat.was_tried(), is_trial);
        heartbeat.handle_connected(S(100));
        assert!(!heartbeat.was_tried());
    }
}

#[test]
fn foreground_and_the_limit_of_the_peer_hold_the_interval_down() {
    let mut heartbeat = adaptive();
    for _ in 0..4 {
        let at = beaten(&mut heartbeat);
        heartbeat.handle_received(at);
        heartbeat.handle_answer(at);
    }
    assert_eq!(interval(&heartbeat), 480);
    heartbeat.handle_idle_limit(400);
    assert_eq!(interval(&heartbeat), 300);
    heartbeat.handle_received(heartbeat.last_received() + Duration::from_secs(200));
    let sent = heartbeat.last_received() - S(200);
    assert_eq!(
        heartbeat.poll_timeout(),
        Some(Instant::ZERO + sent + Duration::from_secs(300)),
        "the peer heard nothing"
    );
    heartbeat.set_foreground(true);
    assert_eq!(interval(&heartbeat), 30);
    heartbeat.handle_idle_limit(1);
    assert_eq!(interval(&heartbeat), 15);
    heartbeat.set_foreground(false);
    heartbeat.handle_disconnected();
    assert_eq!((interval(&heartbeat), heartbeat.longest_silence()), (480, 580));
}

#[test]
fn signals_go_out_every_5_s_for_20_s() {
    for policy in [HeartbeatPolicy::Passive, HeartbeatPolicy::Fixed(Heartbeat::LONGEST), HeartbeatPolicy::Adaptive] {
        let mut heartbeat = Heartbeat::new(policy, Heartbeat::ANSWER_TIMEOUT);
        let usual = heartbeat.interval();
        heartbeat.signal(S(0));
        assert_eq!(heartbeat.interval(), usual, "no connection");
        heartbeat.handle_connected(S(0));
        heartbeat.signal(S(0));
        for beat in 1..=3 {
            let at = beaten(&mut heartbeat);
            assert_eq!(at, S(5 * beat), "{policy:?}");
            heartbeat.handle_received(at);
            heartbeat.handle_answer(at);
        }
        assert_eq!(heartbeat.handle_timeout(S(20)), Pulse::Steady);
        assert_eq!(heartbeat.interval(), usual);
    }
}

#[test]
fn what_was_learned_of_a_network_is_taken_up_there_again() {
    let mut heartbeat = adaptive();
    let at = beaten(&mut heartbeat);
    heartbeat.handle_answer(at);
    let record = heartbeat.record();
    heartbeat.set_network(at, Network::UNKNOWN, None);
    assert_eq!(interval(&heartbeat), 30);
    let at = beaten(&mut heartbeat);
    heartbeat.handle_answer(at);
    assert_eq!(interval(&heartbeat), 30, "the link is of the network before");
    heartbeat.set_network(at, record.network(), Some(&record));
    assert_eq!((interval(&heartbeat), heartbeat.take_learned()), (60, None));
    heartbeat.set_network(at, Network::UNKNOWN, Some(&record));
    assert_eq!(interval(&heartbeat), 30, "a record of another network");
}
