//! When a device tries for its next link: every state and reason, whole fleets, servers and networks that do not behave.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/process.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod process;

use longlink::Instant;
use longlink::liveness::{Activity, Presence, Reason, Reconnect};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

const S: fn(u64) -> Instant = Instant::from_secs;
const SECS: fn(u64) -> Duration = Duration::from_secs;
const HOUR: Duration = Duration::from_secs(3_600);

/// The moment at which the tests begin: a link that was made at 0 has lasted.
const START: Instant = Instant::from_secs(100_000);

/// Since so many seconds before the start.
fn since(activity: Activity, secs: u64) -> Presence {
    Presence::new(activity, Instant::from_micros(START.as_micros() - secs * 1_000_000))
}

fn fresh() -> Presence {
    since(Activity::Foreground, 0)
}

fn hidden() -> Presence {
    since(Activity::Background, 3_600)
}

/// Each state with its window, in seconds, by failures in a row; those behind the last are as long as that.
fn states() -> [(Presence, [u64; 5]); 4] {
    [
        (fresh(), [5, 10, 20, 40, 60]),
        (since(Activity::Foreground, 60), [10, 20, 40, 80, 120]),
        (since(Activity::Foreground, 600), [20, 40, 80, 120, 120]),
        (hidden(), [60, 120, 240, 480, 600]),
    ]
}

/// A device whose link has lasted.
fn online(seed: u64) -> Reconnect {
    let mut reconnect = Reconnect::new(seed);
    reconnect.handle_attempt(S(0));
    reconnect.handle_online(S(0));
    reconnect
}

/// A device whose link has lasted, and which then failed so often; the last attempt began at the start, and is over.
fn failed(seed: u64, failures: u32, presence: &Presence) -> Reconnect {
    let mut reconnect = online(seed);
    for _ in 0..failures {
        reconnect.handle_down(START, Reason::Lost, presence);
        reconnect.handle_attempt(START);
    }
    reconnect.handle_down(START, Reason::Lost, presence);
    reconnect
}

fn wait(reconnect: &Reconnect, from: Instant) -> Duration {
    reconnect.poll_timeout().unwrap() - from
}

// Waits.

#[test]
fn the_first_wait_after_a_loss_is_within_the_window_of_state_and_reason() {
    for (presence, windows) in states() {
        let reasons = [
            (Reason::Lost, 0, windows[0]),
            (Reason::Named(Duration::ZERO), 0, windows[0]),
            (Reason::Silent, 0, 5),
            (Reason::Named(SECS(4)), 4, 9),
            (Reason::Named(SECS(60)), 60, 90),
            (Reason::Replaced, 60, 90),
            (Reason::Offline, 480, 960),
        ];
        for (reason, least, most) in reasons {
            for seed in 0..500 {
                let mut reconnect = online(seed);
                reconnect.handle_down(START, reason, &presence);
                let wait = wait(&reconnect, START);
                assert!(SECS(least) < wait && wait <= SECS(most), "{presence:?}, {reason:?}: {wait:?}");
            }
        }
        let mut reconnect = online(1);
        reconnect.handle_down(START, Reason::AtOnce, &presence);
        assert_eq!(reconnect.poll_timeout(), Some(START));
    }
}

#[test]
fn each_failure_doubles_the_window_up_to_a_limit_and_the_wait_is_in_its_second_half() {
    for (presence, windows) in states() {
        for failures in 1..9 {
            let window = SECS(windows[failures.min(4)]);
            for seed in 0..500 {
                let reconnect = failed(seed, failures as u32, &presence);
                assert_eq!(reconnect.failures(), failures as u32);
                let wait = wait(&reconnect, START);
                assert!(window / 2 < wait && wait <= window, "{presence:?}, {failures}: {wait:?}");
            }
        }
    }
}

#[test]
fn waits_are_spread_evenly_over_their_range_and_no_two_devices_wait_alike() {
    for (presence, failures) in [(fresh(), 0), (fresh(), 3), (hidden(), 0), (hidden(), 4)] {
        let full = presence.window(START, failures);
        let (least, range) = if failures == 0 { (Duration::ZERO, full) } else { (full / 2, full / 2) };
        // Numbers in a row, and numbers whose lower half is the same.
        for scale in [0, 32] {
            let mut bins = [0_i64; 20];
            let mut waits = HashSet::new();
            for seed in 0..10_000_u64 {
                let wait = wait(&failed(seed << scale, failures, &presence), START);
                waits.insert(wait);
                // Above the least and at most all.
                let place = (wait - least).as_micros() - 1;
                bins[(place * 20 / range.as_micros()) as usize] += 1;
            }
            // What chance exceeds once in a thousand times, with 19 degrees of freedom.
            let chi_square = bins.iter().map(|n| (n - 500) * (n - 500)).sum::<i64>() as f64 / 500.0;
            assert!(chi_square < 43.8, "{chi_square}: {bins:?}");
            assert!(waits.len() > 9_980, "{} different waits", waits.len());
        }
    }
}

#[test]
fn a_failed_attempt_counts_from_its_start_and_a_loss_from_the_loss() {
    for seed in 0..100 {
        let mut reconnect = failed(seed, 0, &fresh());
        reconnect.handle_attempt(START);
        reconnect.handle_attempt(START + SECS(1)); // the round's second
        reconnect.handle_down(START + SECS(3), Reason::Lost, &fresh());
        let wait = wait(&reconnect, START + SECS(1));
        assert!(SECS(5) < wait && wait <= SECS(10), "{wait:?}");
        // One that took longer than the wait is followed at once by the next.
        reconnect.handle_attempt(START);
        reconnect.handle_down(START + SECS(20), Reason::Lost, &fresh());
        assert_eq!(reconnect.poll_timeout(), Some(START + SECS(20)));
    }
}

#[test]
fn a_device_is_back_within_a_wait_after_its_network_is_and_at_once_if_told() {
    for (presence, windows) in states() {
        for seed in 0..200 {
            let mut reconnect = failed(seed, 0, &presence);
            let returns = START + SECS(600);
            while reconnect.poll_timeout().unwrap() < returns {
                let at = reconnect.poll_timeout().unwrap();
                reconnect.handle_attempt(at);
                reconnect.handle_down(at + SECS(20), Reason::Lost, &presence);
            }
            // The longest window at most; the states in between move on to the next.
            assert!(wait(&reconnect, returns) <= SECS(windows[4].max(120)));
            reconnect.at_once(returns, &presence);
            assert_eq!(reconnect.poll_timeout(), Some(returns));
        }
    }
}

#[test]
fn a_named_delay_beats_network_change_wake_and_foreground() {
    for seed in 0..100 {
        let mut reconnect = online(seed);
        reconnect.handle_down(START, Reason::Named(SECS(60)), &hidden());
        let at = reconnect.poll_timeout();
        for second in 0..60 {
            let now = START + SECS(second);
            let looked_at = Presence::new(Activity::Foreground, now);
            reconnect.at_once(now, &looked_at);
            reconnect.hasten(now, &looked_at);
            reconnect.handle_down(now, Reason::AtOnce, &looked_at);
            assert_eq!(reconnect.poll_timeout(), at);
        }
        // Once it is over it is over: what fails then waits as ever.
        let at = at.unwrap();
        reconnect.handle_attempt(at);
        reconnect.handle_down(at, Reason::AtOnce, &hidden());
        assert_eq!(reconnect.poll_timeout(), Some(at));
    }
}

#[test]
fn a_named_delay_beyond_an_hour_counts_as_an_hour() {
    for named in [u64::from(u32::MAX), 3_600_001, u64::MAX] {
        for seed in 0..100 {
            let mut reconnect = online(seed);
            reconnect.handle_down(START, Reason::Named(Duration::from_millis(named)), &fresh());
            let wait = wait(&reconnect, START);
            assert!(HOUR < wait && wait <= HOUR * 3 / 2, "{wait:?}");
        }
    }
}

// Peers and networks that do not behave. Each counts rounds in an hour.

/// The most rounds that began within a second's, a minute's or an hour's reach of one another.
fn most_within(mut times: Vec<Instant>, span: Duration) -> usize {
    times.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (i, at) in times.iter().enumerate() {
        while *at - times[first] >= span {
            first += 1;
        }
        most = most.max(i + 1 - first);
    }
    most
}

/// The rounds of one device with a server that greets it, and ends the link at once.
fn flaps(seed: u64, presence: &Presence, settles: bool) -> Vec<Instant> {
    let mut reconnect = failed(seed, 0, presence);
    let mut rounds = Vec::new();
    while let Some(at) = reconnect.poll_timeout().filter(|at| *at < START + HOUR) {
        rounds.push(at);
        reconnect.handle_attempt(at);
        reconnect.handle_online(at);
        if settles {
            reconnect.handle_settled();
        }
        reconnect.handle_down(at, Reason::Lost, presence);
    }
    rounds
}

#[test]
fn a_server_that_greets_and_ends_the_link_is_asked_70_times_an_hour_at_most() {
    for ((presence, _), most) in states().into_iter().zip([70, 70, 65, 15]) {
        let rounds = (0..1_000).map(|seed| flaps(seed, &presence, false).len()).max().unwrap();
        println!("{presence:?}: {rounds} rounds an hour");
        assert!(rounds <= most, "{presence:?}: {rounds}");
        assert!(rounds > most / 2, "it goes on: {rounds}");
    }
    assert!(flaps(1, &hidden(), true).len() > 60, "progress is no failure");
}

#[test]
fn a_network_that_changes_every_second_gets_three_rounds_at_once_in_a_minute_and_then_the_window() {
    for seed in 0..20 {
        for (presence, _) in states() {
            for connects in [true, false] {
                let mut reconnect = failed(seed, 0, &presence);
                let mut rounds = Vec::new();
                for millis in (0..3_600_000).step_by(100) {
                    let now = START + Duration::from_millis(millis);
                    if reconnect.poll_timeout().is_some_and(|at| at <= now) {
                        rounds.push(now);
                        reconnect.handle_attempt(now);
                        if connects {
                            reconnect.handle_online(now);
                        }
                    } else if millis % 1_000 == 0 {
                        reconnect.handle_down(now, Reason::AtOnce, &presence);
                    }
                }
                // Those within the window: the first two are short.
                let in_a_minute = most_within(rounds.clone(), SECS(60));
                assert!(in_a_minute <= 3 + 2, "{in_a_minute} in a minute");
                assert!(rounds.len() <= 3 * 60 + 2, "{}", rounds.len());
                assert!(rounds.len() >= 150, "the network may be good at any time: {}", rounds.len());
            }
        }
    }
}

/// The greetings of devices with one name, each of which ends the link of the one before, in six hours.
fn kick_war(devices: u64, is_hasty: bool) -> [usize; 6] {
    let mut war: Vec<_> = (0..devices).map(Reconnect::new).collect();
    war.iter_mut().for_each(|device| device.at_once(START, &fresh()));
    let mut holder = None;
    let mut greetings = [0; 6];
    for second in 0..6 * 3_600 {
        let now = START + SECS(second);
        for i in 0..war.len() {
            if is_hasty {
                war[i].at_once(now, &fresh());
                war[i].hasten(now, &fresh());
            }
            if war[i].poll_timeout().is_none_or(|at| at > now) {
                continue;
            }
            war[i].handle_attempt(now);
            war[i].handle_online(now);
            greetings[(second / 3_600) as usize] += 1;
            if let Some(other) = holder.replace(i) {
                war[other].handle_settled();
                war[other].handle_down(now, Reason::Replaced, &fresh());
            }
        }
    }
    greetings
}

#[test]
fn devices_with_one_name_greet_seldom_and_ever_more_so() {
    for (devices, is_hasty) in [(2, false), (2, true), (3, true), (5, true)] {
        let greetings = kick_war(devices, is_hasty);
        println!("{devices} devices, hasty {is_hasty}: {greetings:?} greetings an hour");
        let devices = devices as usize;
        assert!(greetings[0] <= 8 * devices, "{greetings:?}");
        assert!(greetings[1..].iter().all(|hour| *hour <= 2 * devices), "{greetings:?}");
        assert!(greetings[4..].iter().sum::<usize>() > 0, "one of them may be gone: {greetings:?}");
    }
}

// Fleets.

const FLEET: u32 = 100_000;

/// What a server does with an attempt.
enum Answer {
    /// Takes it, and keeps the link.
    Takes,
    /// Refuses it, or greets and ends it.
    Refuses(Reason),
}

/// When a fleet that lost its links for `reason` at the start tried again, up to a limit.
fn fleet(reason: Reason, presence: &Presence, until: Duration, answer: impl Fn(Duration) -> Answer) -> Vec<Instant> {
    let mut rounds = Vec::new();
    let mut due = BinaryHeap::new();
    let mut devices: Vec<_> = (0..FLEET).map(|seed| online(u64::from(seed))).collect();
    for (i, device) in devices.iter_mut().enumerate() {
        device.handle_down(START, reason, presence);
        due.extend(device.poll_timeout().map(|at| Reverse((at, i))));
    }
    while let Some(Reverse((now, i))) = due.pop().filter(|Reverse((now, _))| *now - START < until) {
        rounds.push(now);
        let device = &mut devices[i];
        device.handle_attempt(now);
        if let Answer::Refuses(reason) = answer(now - START) {
            device.handle_down(now, reason, presence);
            due.extend(device.poll_timeout().map(|at| Reverse((at, i))));
        }
    }
    rounds
}

/// As [`most_within`] a second, of the fleet in shares: so many of 1,000.
fn peak(rounds: Vec<Instant>) -> usize {
    most_within(rounds, SECS(1)) * 1_000 / FLEET as usize
}

#[test]
fn a_fleet_that_is_told_to_come_back_in_60_s_comes_over_30_s() {
    let rounds = fleet(Reason::Named(SECS(60)), &fresh(), HOUR, |_| Answer::Takes);
    assert_eq!(rounds.len(), FLEET as usize);
    assert!(rounds.iter().all(|at| (SECS(60)..=SECS(90)).contains(&(*at - START))));
    let peak = peak(rounds);
    println!("peak: {peak} of 1,000 in a second");
    assert!(peak <= 35, "one in 30 in a second: {peak} of 1,000");
}

#[test]
fn a_fleet_that_loses_its_server_never_sends_more_in_a_second_than_the_first_window_allows() {
    // It is away for longer than the first window, longer than the first three, and for a part of the first.
    for (presence, down, most) in [(fresh(), 8, 210), (fresh(), 36, 210), (hidden(), 12, 18)] {
        let rounds = fleet(Reason::Lost, &presence, HOUR, |after| {
            if after < SECS(down) { Answer::Refuses(Reason::Lost) } else { Answer::Takes }
        });
        let peak = peak(rounds);
        assert!(peak <= most, "{presence:?}, {down} s: {peak} of 1,000");
        assert!(peak > most * 9 / 10, "{presence:?}, {down} s: {peak} of 1,000");
    }
}

#[test]
fn the_lab_shows_that_a_crowd_comes_back_more_gently_than_with_the_waits_of_mars() {
    let output = process::example("storm_lab").args(["--clients", "20000", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(rows.len(), 2 * 5 * 3);
    for row in rows.chunks(3) {
        let peak = |i: usize| row[i]["attempts_per_second"].as_u64().unwrap();
        let [state, policy] = ["state", "policy"].map(|name| row[0][name].as_str().unwrap());
        assert_eq!(policy, "longlink");
        let most = match state {
            "fresh" => 20_000 / 5,
            "background" => 20_000 / 50,
            _ => 20_000 / 10,
        };
        // Chance makes one second busier than another.
        assert!(peak(0) <= most * 105 / 100, "{row:?}");
        assert!(peak(0) < peak(1) && peak(0) < peak(2), "{row:?}");
        let [half, nearly_all] = ["half_back", "most_back"].map(|name| row[0][name].as_f64().unwrap());
        assert!(0.0 < half && half < nearly_all && nearly_all <= 180.0, "{row:?}");
    }
}

// Any order of calls.

#[derive(Clone, Debug)]
enum Step {
    Attempt,
    Online,
    Settled,
    Down(Reason),
    Closed,
    Hasten,
    AtOnce,
    Force,
    Look(Activity),
}

fn steps() -> impl Strategy<Value = (Step, u64)> {
    let reason = prop_oneof![
        Just(Reason::Lost),
        Just(Reason::Silent),
        Just(Reason::AtOnce),
        (0..4_000_000_u64).prop_map(|millis| Reason::Named(Duration::from_millis(millis))),
        Just(Reason::Replaced),
        Just(Reason::Offline),
    ];
    let step = prop_oneof![
        4 => Just(Step::Attempt),
        2 => Just(Step::Online),
        1 => Just(Step::Settled),
        5 => reason.prop_map(Step::Down),
        1 => Just(Step::Closed),
        1 => Just(Step::Hasten),
        3 => Just(Step::AtOnce),
        1 => Just(Step::Force),
        1 => prop_oneof![Just(Activity::Foreground), Just(Activity::Background)].prop_map(Step::Look),
    ];
    // Milliseconds, and some leaps.
    (step, prop_oneof![4 => 0..20_000_u64, 1 => 0..40_000_000_u64, 1 => Just(0)])
}

/// What must be so, told in other words.
#[derive(Default)]
struct Model {
    /// Since when, if there is a link, and whether something was settled on it.
    link: Option<(Instant, bool)>,
    /// When the round under way began.
    round: Option<Instant>,
    is_wanted: bool,
    failures: u32,
    /// Nothing before, for what was imposed.
    imposed: Option<Instant>,
    /// The rounds that began less than 5 s after the last round or link, with failures.
    at_once: Vec<Instant>,
    last: Option<Instant>,
}

impl Model {
    fn end(&mut self, now: Instant) {
        match (self.link.take(), self.round.take()) {
            (Some((since, _)), _) if now - since >= SECS(30) => self.failures = 0,
            (Some((_, true)), _) => {}
            (Some(_), _) => self.failures += 1,
            (None, Some(_)) => self.failures += 1,
            (None, None) => {}
        }
    }

    fn apply(&mut self, now: Instant, step: &Step, due: bool) {
        match step {
            Step::Attempt if self.link.is_none() => {
                let is_soon = self.last.is_some_and(|last| now - last < SECS(5));
                if due && is_soon && self.failures > 0 && self.round.is_none() {
                    self.at_once.push(now);
                }
                (self.round, self.last, self.is_wanted) = (Some(now), Some(now), true);
            }
            Step::Online if self.link.is_none() => {
                (self.link, self.round, self.imposed, self.is_wanted) = (Some((now, false)), None, None, true);
            }
            Step::Settled if self.link.is_some() => {
                (self.failures, self.link) = (0, self.link.map(|(since, _)| (since, true)));
            }
            Step::Down(reason) => {
                if self.link.is_some() {
                    self.last = Some(now);
                }
                self.end(now);
                self.is_wanted = true;
                let imposed = match reason {
                    Reason::Named(delay) if !delay.is_zero() => Some(now + (*delay).min(HOUR)),
                    Reason::Replaced => Some(now + SECS(60)),
                    _ => None,
                };
                self.imposed = self.imposed.max(imposed);
            }
            Step::Closed => {
                self.end(now);
                self.is_wanted = false;
            }
            Step::Force => (self.imposed, self.is_wanted) = (None, true),
            Step::Hasten | Step::AtOnce => self.is_wanted = true,
            _ => {}
        }
    }

    fn waits(&self) -> bool {
        self.is_wanted && self.link.is_none() && self.round.is_none()
    }
}

proptest! {
    #[test]
    fn whatever_is_called_no_round_is_due_too_early_too_often_or_never(seed: u64, steps in vec(steps(), 0..100)) {
        let mut reconnect = Reconnect::new(seed);
        let mut presence = fresh();
        let mut model = Model::default();
        let mut now = START;
        for (step, millis) in steps {
            // As its owner: a round begins when it is due, no earlier.
            let next = now + Duration::from_millis(millis);
            let due = reconnect.poll_timeout().filter(|_| matches!(step, Step::Attempt));
            now = due.map_or(next, |at| at.max(now));
            let before = reconnect.clone();
            model.apply(now, &step, due.is_some());
            match step {
                Step::Attempt => reconnect.handle_attempt(now),
                Step::Online => reconnect.handle_online(now),
                Step::Settled => reconnect.handle_settled(),
                Step::Down(reason) => reconnect.handle_down(now, reason, &presence),
                Step::Closed => reconnect.handle_closed(now),
                Step::Hasten => reconnect.hasten(now, &presence),
                Step::AtOnce => reconnect.at_once(now, &presence),
                Step::Force => reconnect.force(now, &presence),
                Step::Look(activity) => { presence.set(now, activity); }
            }
            let at = reconnect.poll_timeout();
            prop_assert_eq!(at.is_some(), model.waits(), "{:?}", step);
            prop_assert_eq!(reconnect.failures(), model.failures, "{:?}", step);
            let has_changed = at != before.poll_timeout();
            prop_assert!(!has_changed || at.is_none_or(|at| at >= now), "{:?}: {:?} at {:?}", step, at, now);
            prop_assert!(at.is_none_or(|at| at - now <= 2 * HOUR), "{:?}: {:?} at {:?}", step, at, now);
            prop_assert!(at.is_none_or(|at| model.imposed.is_none_or(|imposed| at >= imposed)), "{:?}", step);
            if matches!(step, Step::Hasten | Step::AtOnce | Step::Force) {
                prop_assert!(before.poll_timeout().is_none_or(|was| at.is_some_and(|at| at <= was)), "sooner");
                let mut again = reconnect.clone();
                again.hasten(now, &presence);
                prop_assert_eq!(again.poll_timeout(), at, "asking again gains nothing");
            }
        }
        prop_assert!(most_within(model.at_once, SECS(60)) <= 3);
    }
}
