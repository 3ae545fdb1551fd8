//! What an adaptive heartbeat learns of a network, and what it must not learn.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "../examples/support/lab/device.rs"]
mod device;
#[path = "support/nat.rs"]
#[allow(unreachable_pub, missing_debug_implementations)]
mod nat;

use device::{Device, Point};
use longlink::Instant;
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Network, NetworkRecord, Pulse, RecordError};
use nat::Nat;
use proptest::prelude::*;
use std::time::Duration;

const HOME: Network = Network::named(b"home");
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn heartbeat() -> Heartbeat {
    let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
    heartbeat.set_network(Instant::ZERO, HOME, None);
    heartbeat
}

fn device(lifetime: u64) -> Device {
    Device::new(heartbeat(), Nat::new(SECONDS(lifetime), 1))
}

/// A device that has found the interval of its network.
fn settled(lifetime: u64) -> Device {
    let mut device = device(lifetime);
    device.run(12 * HOUR);
    assert!(device.heartbeat.is_settled());
    device
}

fn interval(device: &Device) -> f64 {
    device.heartbeat.interval().unwrap().as_secs_f64()
}

fn until_lost(device: &mut Device, lost: u32) {
    while device.lost < lost {
        device.run(SECONDS(1));
    }
}

fn first_settled(device: &Device) -> Point {
    *device.trace.iter().find(|point| point.settled).unwrap()
}

/// A network's lifetime, what is to be settled at, in how many minutes, for how many lost links.
const TABLE: [(u64, f64, u64, u32); 14] = [
    (20, 16.0, 60, 4),
    (45, 36.0, 60, 4),
    (90, 72.0, 60, 4),
    (200, 160.0, 60, 4),
    (240, 215.0, 48, 2),
    (290, 250.0, 77, 2),
    (300, 270.0, 60, 2),
    (305, 250.0, 77, 2),
    (360, 320.0, 90, 2),
    (480, 440.0, 120, 2),
    (581, 580.0, 150, 0),
    (600, 580.0, 150, 0),
    (900, 580.0, 150, 0),
    (7_200, 580.0, 150, 0),
];

#[test]
fn the_interval_of_any_common_network_is_found_soon_and_costs_few_links() {
    for (lifetime, least, minutes, lost) in TABLE {
        let device = settled(lifetime);
        let found = first_settled(&device);
        let held = interval(&device) >= least && found.at <= SECONDS(minutes * 60) && found.lost <= lost;
        assert!(held, "{lifetime} s: {found:?}");
        assert!(interval(&device) < lifetime as f64);
    }
}

#[test]
fn no_network_keeps_a_device_from_settling_below_its_limit() {
    for lifetime in 15..=1_200 {
        let mut device = device(lifetime);
        device.run(4 * HOUR);
        let (interval, best) = (interval(&device), (lifetime as f64).min(580.1));
        assert!(device.heartbeat.is_settled(), "{lifetime} s");
        assert!(interval >= 0.85 * best && interval < best, "{interval} s of {lifetime} s");
        assert!(device.lost <= 4, "{} links lost at {lifetime} s", device.lost);
    }
}

#[test]
fn a_network_that_tells_of_links_it_forgot_teaches_the_same() {
    for (lifetime, ..) in TABLE {
        let mut nat = Nat::new(SECONDS(lifetime), 1);
        nat.resets = true;
        let mut device = Device::new(heartbeat(), nat);
        device.run(12 * HOUR);
        assert_eq!(interval(&device), interval(&settled(lifetime)), "{lifetime} s");
    }
}

/// What devices have after three days in a network that loses one packet in 50, sorted, each in percent of what it would
/// have without.
fn after_losses(lifetime: u64, seeds: u64) -> Vec<f64> {
    let clean = interval(&settled(lifetime));
    let run = |seed| {
        let mut nat = Nat::new(SECONDS(lifetime), seed);
        nat.loss = 50;
        let mut device = Device::new(heartbeat(), nat);
        device.run(3 * DAY);
        100.0 * interval(&device) / clean
    };
    let mut found: Vec<_> = (0..seeds).map(run).collect();
    found.sort_by(f64::total_cmp);
    found
}

#[test]
fn losses_for_other_reasons_do_not_hold_the_interval_down() {
    for lifetime in [45, 90, 200, 300, 480, 900] {
        let found = after_losses(lifetime, 200);
        assert!((90.0..=110.0).contains(&found[100]), "{lifetime} s: {} % in the median", found[100]);
        assert!(found[2] >= 55.0, "{lifetime} s: {:?} %", &found[..3]);
    }
}

/// The climb goes through the silence that failed, and what failed is forgotten when it passes.
#[test]
fn losses_far_from_one_another_do_not_end_the_search() {
    for beats in [[1, 14], [2, 13], [2, 14], [3, 14]] {
        let mut device = device(900);
        for (lost, beat) in (1..).zip(beats) {
            while device.beats + 1 < beat {
                device.run(SECONDS(1));
            }
            device.nat.lifetime = SECONDS(1);
            until_lost(&mut device, lost);
            device.nat.lifetime = SECONDS(900);
            assert!(!device.heartbeat.is_settled(), "{lost} lost of {beats:?}");
        }
        device.run(12 * HOUR);
        assert_eq!((interval(&device), device.lost), (580.0, 2), "{beats:?}");
    }
}

/// Each silence has another limit, and what was settled at the luckiest is lost again and again unless the margin grows.
#[test]
fn a_limit_that_varies_is_not_run_into_for_ever() {
    for (lifetime, jitter) in [(45, 10), (45, 20), (120, 20), (300, 10), (300, 20), (600, 20)] {
        let run = |seed| {
            let mut nat = Nat::new(SECONDS(lifetime), seed);
            (nat.jitter_percent, nat.resets) = (jitter, seed % 2 == 0);
            let mut device = Device::new(heartbeat(), nat);
            device.run(2 * DAY);
            let (lost, beats) = (device.lost, device.beats);
            device.run(2 * DAY);
            assert!(interval(&device) >= 0.5 * lifetime as f64, "{lifetime} s, {jitter} %: {} s", interval(&device));
            (device.lost - lost, device.beats - beats)
        };
        let runs: Vec<_> = (0..20).map(run).collect();
        let (lost, beats): (u32, u32) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
        assert!(lost * 25 <= beats, "{lifetime} s, {jitter} %: {lost} links lost in {beats} heartbeats");
    }
}

#[test]
fn a_week_costs_one_link_for_the_check_whether_the_limit_has_risen() {
    let mut device = settled(200);
    let (lost, found) = (device.lost, interval(&device));
    device.run(29 * DAY);
    assert_eq!(device.lost - lost, 1 + 4, "one after a day, and one a week");
    assert_eq!(interval(&device), found);
    device.nat.lifetime = SECONDS(400);
    device.run(7 * DAY);
    assert!(interval(&device) >= 360.0, "{} s", interval(&device));
    device.nat.lifetime = SECONDS(1_000);
    device.run(8 * DAY);
    assert_eq!(interval(&device), 580.0);
}

#[test]
fn a_device_that_starts_every_day_checks_its_networks_all_the_same() {
    let mut device = settled(200);
    device.run(2 * DAY);
    let mut record = device.heartbeat.take_learned().unwrap();
    for _ in 0..8 {
        let mut heartbeat = heartbeat();
        heartbeat.set_network(Instant::ZERO, HOME, Some(&record));
        let mut device = Device::new(heartbeat, Nat::new(SECONDS(400), 1));
        device.run(DAY);
        record = device.heartbeat.take_learned().unwrap_or(record);
    }
    assert!(record.interval() >= SECONDS(360), "{:?}", record.interval());
}

#[test]
fn a_settled_interval_outlives_one_failure_and_falls_with_the_second_in_a_row() {
    let mut device = settled(300);
    let found = interval(&device);
    for _ in 0..3 {
        device.nat.lifetime = SECONDS(100);
        let lost = device.lost;
        until_lost(&mut device, lost + 1);
        assert_eq!(interval(&device), found);
        device.nat.lifetime = SECONDS(300);
        device.run(HOUR);
        assert_eq!((interval(&device), device.lost), (found, lost + 1));
    }
    device.nat.lifetime = SECONDS(100);
    let lost = device.lost;
    until_lost(&mut device, lost + 2);
    assert_eq!(interval(&device), 30.0);
    device.run(HOUR);
    assert!(interval(&device) < 100.0 && interval(&device) > 80.0 && device.heartbeat.is_settled());
}

/// In the foreground or under a server's limit all silences are shorter than what was learned elsewhere.
#[test]
fn a_shorter_limit_is_noticed_though_no_long_silence_is_tried() {
    let mut held = settled(300);
    (held.server_idle, held.names_idle) = (Some(60), true);
    held.reconnect();
    let mut looked_at = settled(300);
    looked_at.heartbeat.set_foreground(true);
    for device in [&mut held, &mut looked_at] {
        device.nat.lifetime = SECONDS(20);
        device.run(HOUR);
        let lost = device.lost;
        device.run(HOUR);
        assert!(interval(device) < 20.0, "{} s", interval(device));
        assert_eq!(device.lost, lost);
    }
}

#[test]
fn a_failure_counts_only_if_the_network_is_there_within_a_minute() {
    for (away, counts) in [(60, true), (61, false)] {
        let mut device = device(20);
        device.back_after = SECONDS(away);
        device.run(HOUR);
        assert_eq!(device.heartbeat.is_settled(), counts, "back after {away} s");
        assert_eq!(interval(&device) == 30.0, !counts);
    }
}

#[test]
fn a_failure_in_one_network_is_not_counted_in_another() {
    let mut device = device(20);
    for n in 0..20 {
        // The beat after 30 s is not answered, and found to be that at 38 s.
        device.run(SECONDS(32));
        device.heartbeat.set_network(device.now, Network::from_number(n + 1), None);
        device.run(SECONDS(10));
        assert_eq!((device.lost, interval(&device)), (n + 1, 30.0));
        device.reconnect();
    }
}

#[test]
fn a_device_that_wakes_up_late_learns_nothing_of_the_network() {
    for (late, counts) in [(4, true), (5, false)] {
        let mut device = device(20);
        device.wakes_late = SECONDS(late);
        device.run(HOUR);
        assert_eq!(device.heartbeat.is_settled(), counts, "{late} s late");
        assert_eq!(interval(&device) == 30.0, !counts);
        assert!(device.lost > 0);
    }
}

#[test]
fn the_end_of_a_link_that_the_peer_closed_teaches_nothing_even_while_an_answer_is_awaited() {
    let mut heartbeat = settled(300).heartbeat;
    let found = heartbeat.interval();
    for day in 10..20 {
        let now = Instant::ZERO + day * DAY;
        heartbeat.handle_connected(now);
        let at = heartbeat.poll_timeout().unwrap();
        assert_eq!(heartbeat.handle_timeout(at), Pulse::Beat);
        heartbeat.handle_sent(at);
        heartbeat.handle_beat_sent(at, Duration::ZERO);
        heartbeat.handle_disconnected();
        heartbeat.handle_connected(at);
        assert_eq!(heartbeat.interval(), found);
    }
}

#[test]
fn what_pushes_kept_open_is_not_taken_for_proven() {
    let mut device = device(120);
    // Pushes hold the beats back until the server's idle clock, which does not see them, asks for one: after 300 s.
    (device.server_idle, device.names_idle, device.acks) = (Some(400), true, false);
    device.reconnect();
    for _ in 0..24 * 60 {
        device.run(SECONDS(60));
        device.push();
    }
    assert!(device.beats >= 24 * 10, "{} beats", device.beats);
    assert!(device.heartbeat.record().proven() < SECONDS(120));
    device.run(DAY);
    assert!(device.lost <= 3, "{} lost once it is quiet", device.lost);
    assert!(interval(&device) >= 96.0 && device.heartbeat.record().proven() < SECONDS(120));
}

#[test]
fn a_server_that_closes_idle_links_is_not_taken_for_the_network() {
    // It does not say so: no beat is ever due before it closes, and no longer silence than before is proven.
    let mut device = device(600);
    device.server_idle = Some(60);
    device.run(DAY);
    assert!(device.closed > 1_000 && device.lost == 0);
    assert!(device.heartbeat.record().proven() <= SECONDS(60));
    let before = interval(&device);
    // It says so: three quarters of it, and what was learned stays.
    device.names_idle = true;
    device.reconnect();
    let closed = device.closed;
    device.run(DAY);
    assert_eq!((interval(&device), device.closed), (45.0, closed));
    device.server_idle = None;
    device.reconnect();
    assert_eq!(interval(&device), before);
    device.run(6 * HOUR);
    assert_eq!((interval(&device), device.lost), (580.0, 0));
}

#[test]
fn in_the_foreground_no_silence_is_longer_than_30_s_and_nothing_is_forgotten() {
    let mut device = settled(300);
    let found = interval(&device);
    device.heartbeat.set_foreground(true);
    device.run(SECONDS(10)); // What is due at once.
    let beats = device.beats;
    device.run(HOUR);
    assert_eq!((device.beats - beats, interval(&device)), (120, 30.0));
    device.heartbeat.set_foreground(false);
    assert_eq!(interval(&device), found);
}

#[test]
fn signals_keep_the_radio_awake_and_teach_nothing() {
    let mut device = settled(300);
    let (record, beats) = (device.heartbeat.record(), device.beats);
    device.push();
    device.heartbeat.signal(device.now);
    device.run(SECONDS(60));
    assert_eq!(device.beats - beats, 3);
    assert_eq!(device.heartbeat.record(), record);
}

#[test]
fn a_known_network_begins_with_what_was_learned_there() {
    let mut device = settled(300);
    let stored = device.heartbeat.record().to_bytes();
    assert_eq!(device.heartbeat.take_learned().map(NetworkRecord::to_bytes), Some(stored));
    let found = interval(&device);
    for elsewhere in [Network::UNKNOWN, Network::named(b"train")] {
        device.heartbeat.set_network(device.now, elsewhere, None);
        device.reconnect();
        device.nat.lifetime = SECONDS(40);
        device.run(HOUR);
        assert!(interval(&device) < 40.0);
        assert_eq!(device.heartbeat.take_learned().is_some(), elsewhere != Network::UNKNOWN);
        let record = NetworkRecord::from_bytes(&stored).unwrap();
        device.heartbeat.set_network(device.now, record.network(), Some(&record));
        device.reconnect();
        (device.nat.lifetime, device.lost) = (SECONDS(300), 0);
        assert_eq!(interval(&device), found);
        device.run(12 * HOUR);
        assert_eq!((interval(&device), device.lost), (found, 0));
    }
}

#[test]
fn the_greeting_names_the_longest_silence_that_may_ever_be_kept() {
    let mut device = device(45);
    assert_eq!(device.heartbeat.longest_silence(), 580);
    device.run(HOUR);
    assert_eq!(device.heartbeat.longest_silence(), 580);
}

/// What may happen to a device besides time.
#[derive(Clone, Copy, Debug)]
enum Step {
    Run(u64),
    Push,
    Foreground(bool),
    Closed,
    Idle(u16),
    Signal,
    Late(u64),
    Away(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..2_000).prop_map(Step::Run),
        3 => Just(Step::Push),
        1 => any::<bool>().prop_map(Step::Foreground),
        1 => Just(Step::Closed),
        1 => prop_oneof![Just(0), 1_u16..700].prop_map(Step::Idle),
        1 => Just(Step::Signal),
        1 => prop_oneof![Just(0), 0_u64..100].prop_map(Step::Late),
        1 => (0_u64..120).prop_map(Step::Away),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens: nothing is proven that the network would not keep, and a quiet day later the interval is good.
    #[test]
    fn nothing_is_proven_that_did_not_pass(lifetime in 15_u64..900, steps in proptest::collection::vec(step(), 0..200)) {
        let mut device = device(lifetime);
        for step in steps {
            match step {
                Step::Run(time) => device.run(SECONDS(time)),
                Step::Push => device.push(),
                Step::Foreground(is) => device.heartbeat.set_foreground(is),
                Step::Closed => device.reconnect(),
                Step::Idle(idle) => device.heartbeat.handle_idle_limit(idle),
                Step::Signal => device.heartbeat.signal(device.now),
                Step::Late(late) => device.wakes_late = SECONDS(late),
                Step::Away(away) => device.back_after = SECONDS(away),
            }
            prop_assert!(device.heartbeat.record().proven() < SECONDS(lifetime));
            prop_assert!(device.heartbeat.interval().unwrap() >= SECONDS(5));
            prop_assert!(device.heartbeat.interval().unwrap() <= SECONDS(580));
        }
        device.heartbeat.set_foreground(false);
        (device.wakes_late, device.back_after) = (Duration::ZERO, Duration::ZERO);
        device.reconnect();
        device.run(2 * DAY);
        let (found, best) = (interval(&device), (lifetime as f64).min(580.1));
        prop_assert!(found >= 0.6 * best && found < 1.08 * best, "{} s of {} s", found, lifetime);
        let lost = device.lost;
        device.run(DAY);
        prop_assert!(device.lost - lost <= 4);
    }

    #[test]
    fn a_record_is_refused_or_works(bytes in proptest::array::uniform16(any::<u8>()), lifetime in 15_u64..900) {
        // Few random bytes are a record, so most of those here are made to look like one.
        let mut likely = bytes;
        (likely[0], likely[1], likely[2], likely[3]) = (1, bytes[1] & 3, bytes[2] & 1, bytes[3] & 31);
        for at in [4, 6, 8] {
            likely[at] &= 15;
        }
        for bytes in [bytes, likely] {
            let Ok(record) = NetworkRecord::from_bytes(&bytes) else { continue };
            prop_assert_eq!(record.to_bytes(), bytes);
            let mut heartbeat = heartbeat();
            heartbeat.set_network(Instant::ZERO, record.network(), Some(&record));
            prop_assert_eq!(heartbeat.record(), record);
            let mut device = Device::new(heartbeat, Nat::new(SECONDS(lifetime), 1));
            device.run(2 * DAY);
            prop_assert!(interval(&device) < 1.1 * lifetime as f64, "{} s of {} s", interval(&device), lifetime);
            let lost = device.lost;
            device.run(DAY);
            prop_assert!(device.lost - lost <= 4, "{} lost in a day", device.lost - lost);
        }
    }
}

#[test]
fn a_record_of_another_length_or_version_is_refused() {
    let bytes = settled(100).heartbeat.record().to_bytes();
    for length in 0..16 {
        assert_eq!(NetworkRecord::from_bytes(&bytes[..length]), Err(RecordError::Length { length }));
    }
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(NetworkRecord::from_bytes(&other), Err(RecordError::Version { version: 2 }));
}
