use super::*;
use crate::liveness::Activity;

const S: fn(u64) -> Instant = Instant::from_secs;
const FRESH: Presence = Presence::new(Activity::Foreground, Instant::from_secs(1_000));
const HIDDEN: Presence = Presence::new(Activity::Background, Instant::ZERO);

/// Online since 1,000 s, and lost at `now` for `reason`.
fn lost(now: Instant, reason: Reason) -> Reconnect {
    let mut reconnect = Reconnect::new(7);
    reconnect.handle_attempt(S(999));
    reconnect.handle_online(S(1_000));
    reconnect.handle_down(now, reason, &HIDDEN);
    reconnect
}

/// Tried again when due, without success.
fn fail(reconnect: &mut Reconnect) -> Instant {
    let at = reconnect.poll_timeout().unwrap();
    reconnect.handle_attempt(at);
    reconnect.handle_down(at, Reason::Lost, &HIDDEN);
    at
}

#[track_caller]
fn assert_within(reconnect: &Reconnect, from: Instant, to: Instant) {
    let at = reconnect.poll_timeout();
    assert!(at.is_some_and(|at| from < at && at <= to), "{at:?} is not in {from:?}..={to:?}");
}

#[test]
fn it_is_small() {
    assert!(size_of::<Reconnect>() <= 64, "{}", size_of::<Reconnect>());
}

#[test]
fn a_failure_doubles_the_window_and_waits_for_its_second_half() {
    let mut reconnect = lost(S(2_000), Reason::Lost);
    assert_eq!(reconnect.failures(), 0);
    assert_within(&reconnect, S(2_000), S(2_060));
    for window in [120, 240, 480, 600, 600] {
        let at = fail(&mut reconnect);
        assert_within(&reconnect, at + Duration::from_secs(window / 2), at + Duration::from_secs(window));
    }
    assert_eq!(reconnect.failures(), 5);
}

#[test]
fn a_link_that_ends_early_is_a_failure_unless_something_was_settled() {
    assert_eq!(lost(S(1_029), Reason::Lost).failures(), 1);
    assert_eq!(lost(S(1_030), Reason::Lost).failures(), 0);
    let mut reconnect = lost(S(1_001), Reason::Lost);
    reconnect.handle_attempt(S(1_100));
    reconnect.handle_online(S(1_100));
    assert_eq!(reconnect.failures(), 1, "not cleared by being online");
    reconnect.handle_settled();
    reconnect.handle_down(S(1_101), Reason::Lost, &HIDDEN);
    assert_eq!(reconnect.failures(), 0);
}

#[test]
fn a_silent_death_is_mended_soon_in_every_state() {
    assert_within(&lost(S(2_000), Reason::Silent), S(2_000), S(2_005));
    assert_within(&lost(S(1_001), Reason::Silent), S(1_061), S(1_121));
}

#[test]
fn a_named_delay_holds_against_all_but_force() {
    let mut reconnect = lost(S(2_000), Reason::Named(Duration::from_secs(100)));
    assert_within(&reconnect, S(2_100), S(2_150));
    let at = reconnect.poll_timeout();
    reconnect.at_once(S(2_050), &FRESH);
    reconnect.hasten(S(2_050), &FRESH);
    for reason in [Reason::Lost, Reason::AtOnce, Reason::Named(Duration::from_secs(1))] {
        reconnect.handle_down(S(2_050), reason, &FRESH);
        assert_eq!(reconnect.poll_timeout(), at);
    }
    reconnect.handle_attempt(S(2_060));
    reconnect.handle_down(S(2_060), Reason::AtOnce, &FRESH);
    assert_eq!(reconnect.poll_timeout(), at, "not even an attempt before its time ends it");
    reconnect.handle_closed(S(2_070));
    reconnect.at_once(S(2_071), &FRESH);
    assert_eq!(reconnect.poll_timeout(), at);
    reconnect.force(S(2_080), &FRESH);
    assert_eq!(reconnect.poll_timeout(), Some(S(2_080)));
}

#[test]
fn a_named_delay_is_an_hour_at_most_and_none_is_no_delay() {
    assert_within(&lost(S(2_000), Reason::Named(Duration::MAX)), S(5_600), S(7_400));
    assert_within(&lost(S(2_000), Reason::Named(Duration::from_millis(1))), S(2_000), S(2_006));
    assert_within(&lost(S(2_000), Reason::Named(Duration::ZERO)), S(2_000), S(2_060));
}

#[test]
fn two_devices_with_one_name_leave_each_other_alone_more_and_more() {
    let mut reconnect = lost(S(2_000), Reason::Replaced);
    for wait in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
        let now = reconnect.since;
        assert_within(&reconnect, now + Duration::from_secs(wait), now + Duration::from_secs(wait * 3 / 2));
        reconnect.at_once(now, &FRESH);
        let at = reconnect.poll_timeout().unwrap();
        assert!(at - now >= Duration::from_secs(wait), "nothing makes it sooner");
        reconnect.handle_attempt(at);
        reconnect.handle_online(at);
        reconnect.handle_down(at + Duration::from_secs(4 * wait - 1), Reason::Replaced, &FRESH);
    }
    let at = reconnect.poll_timeout().unwrap();
    reconnect.handle_online(at);
    reconnect.handle_down(at + Duration::from_secs(4 * 3_600), Reason::Replaced, &FRESH);
    assert_within(&reconnect, reconnect.since + Duration::from_secs(60), reconnect.since + Duration::from_secs(90));
}

#[test]
fn what_calls_for_a_link_at_once_gets_it_three_times_in_any_minute() {
    let mut reconnect = lost(S(1_100), Reason::AtOnce);
    for now in [1_100, 1_101, 1_102] {
        assert_eq!(reconnect.poll_timeout(), Some(S(now)));
        reconnect.at_once(S(now), &HIDDEN); // it is due: nothing is granted again
        reconnect.handle_attempt(S(now));
        reconnect.handle_down(S(now + 1), Reason::AtOnce, &HIDDEN);
    }
    assert_within(&reconnect, S(1_102 + 300), S(1_102 + 600));
    reconnect.at_once(S(1_160), &HIDDEN);
    assert_within(&reconnect, S(1_102 + 300), S(1_102 + 600));
    reconnect.at_once(S(1_161), &HIDDEN);
    assert_eq!(reconnect.poll_timeout(), Some(S(1_161)));
}

#[test]
fn to_hasten_takes_the_window_of_now_once() {
    let mut reconnect = lost(S(1_000), Reason::Lost);
    let presence = Presence::new(Activity::Foreground, S(1_001));
    reconnect.hasten(S(1_001), &presence);
    assert_within(&reconnect, S(1_000), S(1_010));
    let at = reconnect.poll_timeout();
    reconnect.hasten(S(1_002), &presence);
    reconnect.hasten(S(1_003), &HIDDEN);
    assert_eq!(reconnect.poll_timeout(), at);
}

#[test]
fn without_a_network_it_is_tried_seldom_until_there_is_one() {
    let mut reconnect = lost(S(2_000), Reason::Lost);
    reconnect.handle_down(S(2_001), Reason::Offline, &FRESH);
    assert_within(&reconnect, S(2_001 + 480), S(2_001 + 960));
    reconnect.at_once(S(2_010), &FRESH);
    assert_eq!(reconnect.poll_timeout(), Some(S(2_010)));
}

#[test]
fn nothing_is_due_where_the_clock_ends_but_what_is_at_once() {
    for reason in [Reason::Lost, Reason::Silent, Reason::Named(Duration::MAX), Reason::Replaced, Reason::Offline] {
        assert_eq!(lost(Instant::MAX, reason).poll_timeout(), None);
    }
    let mut reconnect = lost(Instant::MAX, Reason::AtOnce);
    for _ in 0..3 {
        assert_eq!(reconnect.poll_timeout(), Some(Instant::MAX));
        reconnect.handle_attempt(Instant::MAX);
        reconnect.handle_down(Instant::MAX, Reason::AtOnce, &HIDDEN);
    }
    assert_eq!(reconnect.poll_timeout(), None);
}

#[test]
fn nothing_is_due_when_closed() {
    let mut reconnect = lost(S(1_001), Reason::Lost);
    reconnect.handle_closed(S(1_002));
    assert_eq!(reconnect.poll_timeout(), None);
    assert_eq!(reconnect.failures(), 1);
    reconnect.hasten(S(1_003), &HIDDEN);
    assert_eq!(reconnect.poll_timeout(), Some(S(1_003)));
}
