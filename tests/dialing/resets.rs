//! Ends of links that say nothing of how long a network keeps a silent one.

use crate::support::dialing::{DIALING, Site, Told, World, addresses, home, secs};
use crate::support::{S, connected, written};
use longlink::Instant;
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Pulse};
use longlink::session::{Config, Endpoint};
use std::time::Duration;

/// A heartbeat is under way since 30 s.
fn asking() -> Heartbeat {
    let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
    heartbeat.handle_connected(S(0));
    assert_eq!(heartbeat.handle_timeout(S(30)), Pulse::Beat);
    heartbeat.handle_sent(S(30));
    heartbeat.handle_beat_sent(S(30), Duration::ZERO);
    heartbeat
}

/// An alarm wakes the device for the heartbeat, and it sleeps again before the answer. In the morning the driver reads first:
/// a reset. Only a reset within the answer time-out counts, and only if the timer was on time.
#[test]
fn a_reset_that_is_read_after_a_night_is_no_failure_of_the_silence_before_it() {
    for (reset, interval) in [(31, 15), (8 * 3_600, 30)] {
        let mut heartbeat = asking();
        heartbeat.handle_reset(S(reset));
        heartbeat.handle_disconnected();
        heartbeat.handle_connected(S(reset + 2));
        assert_eq!(heartbeat.interval(), Some(Duration::from_secs(interval)), "reset at {reset} s");
    }
}

/// The application replaces a link by another. The old one did not break.
#[test]
fn a_link_that_the_application_replaces_is_no_failure() {
    let mut link = connected(Config { heartbeat: HeartbeatPolicy::Adaptive, ..Config::DEFAULT });
    link.process(S(30), |_, _| {});
    assert!(!written(&mut link, S(30)).is_empty());
    link.handle_connected(S(31));
    link.process(S(31), |_, _| {});
    assert_eq!(link.poll_timeout(), Some(S(61)));
}

/// The platform says what the heartbeat found out a moment before: there was no network.
#[test]
fn a_network_that_was_gone_says_nothing_of_the_silence_before() {
    let mut world = World::new(DIALING);
    world.place(addresses(1)[0], Site::Alive);
    world.command(|client, now| {
        client.set_network(now, Some(home()), None);
        client.set_activity(now, longlink::liveness::Activity::Background);
    });
    world.open(&addresses(1));
    world.run(40);
    // 30 s passed, 60 s are tried next, and the lift goes down.
    world.set_air(crate::support::dialing::Air::Lost);
    let start = world.now;
    while world.count_since(start, |told| matches!(told, Told::Offline(_))) == 0 {
        world.step(Instant::MAX);
    }
    world.command(|client, now| client.set_network(now, None, None));
    world.run(10);
    world.set_air(crate::support::dialing::Air::Clear);
    let start = world.now;
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.run_online(secs(20));
    world.run(2);
    let learned = world.count_since(start, |told| matches!(told, Told::Learned(_)));
    assert_eq!(learned, 0, "{:?}", world.history.last());
    assert!(world.link.endpoint().next_timer().is_some());
}
