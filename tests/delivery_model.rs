//! Whatever the network, both processes and the application do: a message is stored once, and told to be so.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use support::pipe::Weather;
use support::post::{Clock, Cut, Memory, Post, Setup, Start, Word};

#[derive(Clone, Copy, Debug)]
enum Op {
    Send {
        count: usize,
        length: usize,
        sealed: bool,
    },
    Cancel(usize),
    SendAgain(usize),
    Cut(Cut),
    Close,
    Say(usize, Word),
    BackUp,
    Restart(Start, Cut),
    RestartServer,
    Pass(u64),
    /// The device and the server sleep.
    Jump(u64),
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        1 => Just(Cut::Reset),
        2 => (0..200_usize).prop_map(Cut::Ends),
        4 => (0..3_000_u64).prop_map(Cut::HalfOpen),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let start = prop_oneof![
        4 => Just(Start::Disk),
        2 => Just(Start::Exact),
        3 => any::<usize>().prop_map(Start::Backup),
        1 => Just(Start::Empty),
    ];
    let word = prop_oneof![
        8 => Just(Word::Accept),
        2 => Just(Word::Commit),
        2 => Just(Word::Reject),
        1 => Just(Word::Release),
    ];
    let count = prop_oneof![4 => Just(1), 2 => 2..6_usize, 1 => 6..90_usize];
    prop_oneof![
        12 => (count, 0..60_usize, any::<bool>()).prop_map(|(count, length, sealed)| Op::Send { count, length, sealed }),
        1 => any::<usize>().prop_map(Op::Cancel),
        2 => any::<usize>().prop_map(Op::SendAgain),
        4 => cut().prop_map(Op::Cut),
        1 => Just(Op::Close),
        24 => (any::<usize>(), word).prop_map(|(pick, word)| Op::Say(pick, word)),
        2 => Just(Op::BackUp),
        3 => (start, cut()).prop_map(|(start, cut)| Op::Restart(start, cut)),
        1 => Just(Op::RestartServer),
        16 => prop_oneof![4 => 0..1_000_u64, 2 => 0..10_000_u64, 1 => 0..120_000_u64].prop_map(Op::Pass),
        1 => (0..100_000_u64).prop_map(Op::Jump),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let memory = prop_oneof![Just((3, 300)), Just((8, 1_024)), Just((100, 4_096))];
    let clock = prop_oneof![4 => Just(Clock::None), 3 => Just(Clock::Good), 1 => Just(Clock::Stopped)];
    let state = (prop::bool::weighted(0.85), any::<bool>(), prop_oneof![Just(0), 0..500_u64]);
    let timeout = prop_oneof![Just(None), Just(Some(Duration::from_secs(2)))];
    let linger = prop_oneof![3 => Just(Duration::ZERO), 1 => Just(Duration::from_millis(200))];
    let server = (any::<bool>(), prop_oneof![Just(64), Just(3)], 0..100_u64, any::<bool>());
    let weather = prop_oneof![
        Just(Weather { delay: Duration::from_millis(50), ..Weather::FINE }),
        Just(Weather { delay: Duration::from_millis(2_000), ..Weather::FINE }),
        Just(Weather::ROUGH),
    ];
    (any::<u64>(), memory, clock, state, timeout, linger, server, weather).prop_map(
        |(seed, (slots, tx), clock, (keeps_state, saves_each, disk_millis), timeout, linger, server, weather)| {
            let (ordered, most_pending, eager, closes_older) = server;
            Setup {
                seed,
                slots,
                tx,
                clock,
                keeps_state,
                saves_each,
                disk_millis,
                timeout,
                linger,
                ordered,
                most_pending,
                eager,
                closes_older,
                weather,
            }
        },
    )
}

fn run(setup: Setup, ops: &[Op]) {
    let restarts = ops.iter().filter(|op| matches!(op, Op::Restart(..))).count();
    let mut memory = Memory::new(setup, restarts);
    let mut post = Post::new(&mut memory);
    for op in ops {
        apply(&mut post, *op);
        post.check();
    }
    post.run_quiet(Duration::from_secs(7_200));
    let client = post.device.client();
    assert!(client.is_settled());
    // Nothing is left in the memory: the longest message fits, and arrives.
    let longest = setup.tx - 16;
    assert!(post.device.send(post.now, longest, false).is_some(), "{longest} bytes do not fit");
    post.run_quiet(Duration::from_secs(600));
    post.run(Duration::from_secs(60));
    let (connections, written) = (post.connections, post.written);
    let before = post.device.client().stats();
    post.run(Duration::from_secs(3_600));
    let after = post.device.client().stats();
    assert_eq!((connections, written), (post.connections, post.written), "a settled device is silent");
    let heartbeats = u64::from(after.heartbeats - before.heartbeats);
    assert_eq!(after.bytes_sent - before.bytes_sent, 16 * heartbeats);
    // The last answer may be under way.
    assert!((after.bytes_received - before.bytes_received).abs_diff(16 * heartbeats) <= 16);
    assert!((100..=121).contains(&heartbeats), "{heartbeats}");
    post.check();
}

fn apply(post: &mut Post<'_>, op: Op) {
    let now = post.now;
    match op {
        Op::Send { count, length, sealed } => {
            for _ in 0..count {
                post.device.send(now, length, sealed);
            }
        }
        Op::Cancel(pick) => post.device.cancel(now, pick),
        Op::SendAgain(pick) => post.device.send_again(now, pick),
        Op::Cut(cut) => post.cut(cut),
        Op::Close => post.device.client().close(now),
        Op::Say(pick, word) => post.say(pick, word),
        Op::BackUp => post.device.back_up(),
        Op::Restart(start, cut) => post.restart(start, cut),
        Op::RestartServer => post.restart_server(),
        Op::Pass(millis) => post.run(Duration::from_millis(millis)),
        Op::Jump(millis) => {
            post.now = now + Duration::from_millis(millis);
            post.settle();
        }
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(1_000), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_message_is_stored_once_whatever_happens(setup in setup(), ops in vec(op(), 0..80)) {
        run(setup, &ops);
    }
}
