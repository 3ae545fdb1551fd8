//! Whatever addresses, networks, servers, the platform and the application do: who wants a link gets one.
//!
//! The laws, each a function in `support/reach/laws.rs`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/reach/mod.rs"]
mod reach;
mod support;

use longlink::liveness::Activity;
use longlink::session::Endpoint;
use proptest::collection::vec;
use proptest::prelude::*;
use reach::device::Counts;
use reach::laws::TRIES_A_MINUTE;
use reach::{Device, Fate, Kind, Manner, Op, PLACES, Room, Setup, Tongue, run};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{frame, native};

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Alive),
        3 => Just(Kind::Silent),
        2 => Just(Kind::Refusing),
        1 => Just(Kind::Foreign),
        1 => Just(Kind::Unreachable),
        1 => Just(Kind::Mute),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Taken),
        2 => (0..40_000_u64).prop_map(Fate::Flaps),
        2 => (1..12_u8, delay()).prop_map(|(status, after)| Fate::Refused(status, after)),
        1 => Just(Fate::Unanswered),
    ]
}

/// In milliseconds, as a server names it.
fn delay() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0), 3 => 1..120_000_u32, 1 => any::<u32>()]
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..2_000_u64, 4 => 2_000..40_000_u64, 2 => 40_000..400_000_u64, 1 => 400_000..4_000_000_u64]
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        2 => Just(Manner::Prompt),
        2 => (0..15_000_u64).prop_map(Manner::Late),
        1 => Just(Manner::Twice),
        1 => Just(Manner::Never),
    ]
}

fn activity() -> impl Strategy<Value = Activity> {
    prop_oneof![Just(Activity::Foreground), Just(Activity::Background)]
}

fn op() -> impl Strategy<Value = Op> {
    let place = || 0..PLACES;
    prop_oneof![
        12 => millis().prop_map(Op::Pass),
        2 => (1..20_000_u64, any::<bool>()).prop_map(|(seconds, wakes)| Op::Sleep(seconds, wakes)),
        4 => (place(), kind()).prop_map(|(place, kind)| Op::Kind(place, kind)),
        2 => kind().prop_map(Op::Kinds),
        3 => (prop::option::weighted(0.7, 0..4_u8), prop::bool::weighted(0.7))
            .prop_map(|(network, is_told)| Op::Network(network, is_told)),
        1 => prop::option::of(5..900_u64).prop_map(Op::Nat),
        3 => fate().prop_map(Op::Fate),
        3 => (0..11_u8, delay()).prop_map(|(code, after)| Op::GoAway(code, after)),
        2 => Just(Op::Ends),
        1 => Just(Op::Reset),
        2 => Just(Op::Swallow),
        1 => Just(Op::Push),
        1 => any::<bool>().prop_map(Op::Answers),
        3 => activity().prop_map(Op::Activity),
        2 => Just(Op::Wake),
        2 => Just(Op::Send),
        1 => Just(Op::Close),
        2 => Just(Op::Open),
        1 => Just(Op::ConnectNow),
        2 => any::<u8>().prop_map(|mask| Op::Addresses(mask & 0b11_1111)),
        1 => any::<bool>().prop_map(Op::Resolves),
        1 => Just(Op::Signal),
        1 => (0..30_000_u64).prop_map(Op::Hold),
        2 => manner().prop_map(Op::Manner),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let tongue = prop_oneof![2 => Just(Tongue::Native), 1 => Just(Tongue::Mars), 1 => Just(Tongue::Goim)];
    let kinds = prop::array::uniform6(kind());
    let linger = prop_oneof![1 => Just(None), 2 => (1..200_u64).prop_map(Some)];
    let mask = any::<u8>().prop_map(|mask| mask & 0b11_1111);
    (tongue, kinds, linger, activity(), any::<bool>(), any::<bool>(), mask, any::<u64>()).prop_map(
        |(tongue, kinds, linger, activity, wakes, adaptive, mask, seed)| Setup {
            tongue,
            linger,
            activity,
            wakes,
            adaptive,
            kinds,
            mask,
            seed,
        },
    )
}

/// `PROPTEST_CASES` asks for more, and so does `LONGLINK_LONG`.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let usual = if std::env::var_os("LONGLINK_LONG").is_some() { 50_000 } else { usual };
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn who_wants_a_link_gets_one_whatever_happens(setup in setup(), ops in vec(op(), 0..40)) {
        run(&setup, &ops);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn the_same_seed_gives_the_same_run(setup in setup(), ops in vec(op(), 0..40)) {
        assert_eq!(run(&setup, &ops), run(&setup, &ops));
    }
}

/// A device to which nothing happens but what `ops` say, an hour after that, and how often it woke up in that hour.
fn an_hour(setup: &Setup, ops: &[Op]) -> Counts {
    let config = setup.config();
    let mut room = Room::new();
    let mut device = Device::new(setup, room.client(&config).unwrap());
    device.start(setup.mask);
    for op in ops {
        device.apply(*op);
    }
    let before = device.counts;
    device.pass(Duration::from_secs(3_600));
    let Counts { wake_ups, attempts, links, polls } = device.counts;
    Counts {
        wake_ups: wake_ups - before.wake_ups,
        attempts: attempts - before.attempts,
        links: links - before.links,
        polls: polls - before.polls,
    }
}

/// How often a device wakes up in an hour in which nothing comes of it. `cargo test -- --nocapture` shows it.
#[test]
fn wake_ups_an_hour_are_few_in_every_state() {
    let setup =
        |activity, linger, kind| Setup { activity, linger, kinds: [kind; PLACES], mask: 0b1111, ..Setup::PLAIN };
    let (front, back) = (Activity::Foreground, Activity::Background);
    let settle = Op::Pass(700_000);
    let off_line = Op::Network(None, true);
    let rows = [
        // What, setup, what happens before the hour, wake-ups and attempts at most.
        ("online, foreground", setup(front, None, Kind::Alive), &[settle][..], 121, 0),
        ("online, background, every 30 s", setup(back, None, Kind::Alive), &[settle], 121, 0),
        (
            "online, background, adaptive and settled",
            Setup { adaptive: true, ..setup(back, None, Kind::Alive) },
            &[Op::Pass(12_000_000)],
            7,
            0,
        ),
        ("dialing, foreground, nobody answers", setup(front, None, Kind::Silent), &[settle], 480, 200),
        ("dialing, foreground, all refuse", setup(front, None, Kind::Refusing), &[settle], 90, 180),
        ("dialing, background, nobody answers", setup(back, None, Kind::Silent), &[settle], 100, 45),
        ("dialing, background, all refuse", setup(back, None, Kind::Refusing), &[settle], 20, 40),
        ("no network, foreground", setup(front, None, Kind::Alive), &[off_line, settle], 70, 32),
        ("no network, background", setup(back, None, Kind::Alive), &[off_line, settle], 30, 32),
        (
            "told to come back in an hour",
            setup(front, None, Kind::Alive),
            &[Op::Pass(2_000), Op::GoAway(2, 3_600_000)],
            50,
            0,
        ),
        ("greeted, then left at once", setup(front, None, Kind::Alive), &[Op::Fate(Fate::Flaps(0)), settle], 150, 60),
        ("dormant", setup(back, Some(180), Kind::Alive), &[settle], 0, 0),
        ("dormant, where nobody answers", setup(back, Some(180), Kind::Silent), &[settle], 0, 0),
        ("closed", setup(front, None, Kind::Alive), &[settle, Op::Close, settle], 0, 0),
    ];
    println!("{:<42} | wake-ups an hour | attempts | polls", "state");
    for (what, setup, ops, wake_ups, attempts) in rows {
        let counts = an_hour(&setup, ops);
        println!("{what:<42} | {:>16} | {:>8} | {:>5}", counts.wake_ups, counts.attempts, counts.polls);
        assert!(counts.wake_ups <= wake_ups && counts.attempts <= attempts, "{what}: {counts:?}");
    }
}

/// While somebody looks, every 150 s, unless it is banned just then: 6 min.
#[test]
fn a_link_over_a_fallback_moves_to_a_better_address_that_works_again() {
    let mut kinds = [Kind::Silent; PLACES];
    kinds[4] = Kind::Alive;
    let setup = Setup { kinds, mask: 0b01_0001, ..Setup::PLAIN };
    let config = setup.config();
    let mut room = Room::new();
    let mut device = Device::new(&setup, room.client(&config).unwrap());
    device.start(setup.mask);
    device.pass(Duration::from_secs(400));
    assert_eq!((device.place(), device.counts.links), (Some(4), 1), "a check that failed cost the link");
    device.apply(Op::Kind(0, Kind::Alive));
    device.pass(Duration::from_secs(360 + 150 + 10));
    assert_eq!((device.place(), device.counts.links), (Some(0), 2));
}

/// The law is in the device: what it is told of must be so.
#[test]
fn what_is_over_is_not_told() {
    let setup = Setup { activity: Activity::Background, ..Setup::PLAIN };
    let ops = [
        Op::Pass(170_000),
        // Dormant, and nobody hears of it.
        Op::Hold(40_000),
        Op::Pass(30_000),
        Op::Wake,
        Op::Pass(60_000),
        // The same again, and it is closed meanwhile.
        Op::Pass(110_000),
        Op::Hold(40_000),
        Op::Pass(30_000),
        Op::Close,
        Op::Pass(60_000),
    ];
    run(&setup, &ops);
}

/// Each link that is lost is followed by another, but not for longer than one would have been kept.
#[test]
fn links_that_come_and_go_do_not_keep_a_device_awake() {
    for flaps in [0, 1_000, 40_000, 100_000] {
        let setup = Setup { activity: Activity::Background, linger: Some(180), ..Setup::PLAIN };
        let config = setup.config();
        let mut room = Room::new();
        let mut device = Device::new(&setup, room.client(&config).unwrap());
        device.apply(Op::Fate(Fate::Flaps(flaps)));
        device.start(setup.mask);
        device.pass(Duration::from_secs(300));
        assert!(device.client().is_dormant(), "links that last {flaps} ms: {} of them", device.counts.links);
    }
}

/// Three times a minute, and then as if nobody had called.
#[test]
fn who_is_called_every_second_dials_no_more_often() {
    let networks = [Op::Network(Some(2), true), Op::Network(Some(3), true)];
    let visits = [Op::Activity(Activity::Background), Op::Activity(Activity::Foreground)];
    for calls in [[Op::Wake; 2], [Op::ConnectNow; 2], [Op::Send; 2], networks, visits] {
        let setup = Setup { kinds: [Kind::Refusing; PLACES], mask: 1, ..Setup::PLAIN };
        let config = setup.config();
        let mut room = Room::new();
        let mut device = Device::new(&setup, room.client(&config).unwrap());
        device.start(1);
        for minute in 0..10 {
            let before = device.counts.attempts;
            for call in calls.iter().cycle().take(60) {
                device.apply(*call);
                device.pass(Duration::from_secs(1));
            }
            let attempts = device.counts.attempts - before;
            assert!(attempts <= TRIES_A_MINUTE as u64, "{calls:?}: {attempts} attempts in minute {minute}");
        }
        assert!(device.counts.attempts >= 5, "{calls:?} comes to nothing");
    }
}

/// When devices that lost their server in one moment come back: each at its own time.
#[test]
fn devices_with_different_seeds_do_not_come_back_together() {
    let back = |seed| {
        let setup = Setup { seed, mask: 1, ..Setup::PLAIN };
        // The server's end, and what the client does then, depend on the seed of the client alone.
        let config = setup.config();
        let mut room = Room::new();
        let mut device = Device::new(&setup, room.client(&config).unwrap());
        device.start(1);
        device.pass(Duration::from_secs(60));
        device.apply(Op::Ends);
        device.client().poll_timeout().unwrap()
    };
    let times: BTreeSet<_> = (0..100).map(back).collect();
    assert_eq!(times.len(), 100, "two came back in the same microsecond");
    let spread = *times.last().unwrap() - *times.first().unwrap();
    assert!(spread > Duration::from_secs(7), "{spread:?} of a window of 10 s");
    assert_eq!(back(7), back(7));
}
