//! Whatever the network, the processes and the stores do: every device gets all that is kept for it, or is told what it
//! does not get; nothing goes that a device still needs; and when all is there it is quiet.
//!
//! What is checked, and where: nothing is asked or acknowledged beyond what is stored (`support/mail/tap.rs`,
//! `disk.rs`); the same request gets the same answer, all that is kept up to the val is in the page, "more" is said
//! exactly when something is left, resets and gaps are told exactly when there are such, nothing behind an unfinished
//! val, nothing is collected that a device which counts does not have, pages and stubs (`office.rs`); vals do not fall,
//! one request at a time and one answer to it, notifies are rare, pauses between so many rounds (`tap.rs`); an item
//! comes again for a reason, merging, a poisoned item is passed and told (`app.rs`); only a commit moves the cursor
//! (`device.rs`); in the end both devices have everything, and only polls go on.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/mail/mod.rs"]
mod mail;
mod support;

use longlink::sync::{Refusal, Wanted};
use mail::{Fate, Habits, KEYS, Mail, Memory, Setup, Start};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use support::pipe::Weather;
use support::post::Cut;

#[derive(Clone, Copy, Debug)]
enum Op {
    Write {
        key: usize,
        op: u8,
        length: usize,
        count: usize,
    },
    Reserve {
        key: usize,
        op: u8,
        length: usize,
    },
    Decide {
        pick: usize,
        comes: bool,
    },
    Pass(u64),
    /// Everybody sleeps.
    Jump(u64),
    Cut(usize, Cut),
    Away(usize, Cut, u64),
    Close(usize),
    Want(usize),
    Fate(usize, Fate),
    Restart(usize, Start, Cut),
    BackUp(usize),
    RestartServer,
    BackUpServer,
    RestoreServer(usize),
    Remove(usize),
    Expire(u64),
    Refuse(usize, Refusal),
    Fail(u32),
    RepeatAnswer(usize, usize),
    RepeatAck(usize),
    /// An acknowledgement of what there never was.
    ForgeAck(usize, usize, u64),
    /// A notify that says nothing true.
    Notify {
        device: usize,
        epoch: u32,
        key: u16,
        head: u64,
        count: usize,
    },
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        1 => Just(Cut::Reset),
        2 => (0..300_usize).prop_map(Cut::Ends),
        4 => (0..3_000_u64).prop_map(Cut::HalfOpen),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::BeforeApply),
        (0..6_usize).prop_map(Fate::Between),
        Just(Fate::BeforeCursor),
        Just(Fate::BeforeCommit),
        Just(Fate::AfterAck),
        Just(Fate::WhileContinuing),
        Just(Fate::CursorFails),
        Just(Fate::StoreFails),
        (0..4_usize).prop_map(Fate::RejectOnce),
        (0..200_000_u64).prop_map(Fate::Late),
        (0..4_usize).prop_map(Fate::UpTo),
        Just(Fate::Twice),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        6 => Just(Start::Disk),
        2 => any::<usize>().prop_map(Start::Backup),
        1 => any::<usize>().prop_map(Start::OlderCursor),
        1 => Just(Start::Empty),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![6 => 0..40_usize, 2 => 40..300_usize, 1 => 300..1_500_usize];
    let kind = || prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    let key = || 0..KEYS.len();
    let device = || 0..2_usize;
    let refusal = prop_oneof![
        (0..5_000_u64).prop_map(|millis| Refusal::RetryLater(Duration::from_millis(millis))),
        Just(Refusal::Bad),
        Just(Refusal::NotThisDevice),
    ];
    let count = || prop_oneof![4 => Just(1_usize), 2 => 2..6_usize, 1 => 6..40_usize];
    prop_oneof![
        14 => (key(), kind(), length(), count())
            .prop_map(|(key, op, length, count)| Op::Write { key, op, length, count }),
        6 => (key(), kind(), length()).prop_map(|(key, op, length)| Op::Reserve { key, op, length }),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(pick, comes)| Op::Decide { pick, comes }),
        18 => prop_oneof![4 => 0..1_000_u64, 2 => 0..10_000_u64, 1 => 0..120_000_u64].prop_map(Op::Pass),
        1 => (0..100_000_u64).prop_map(Op::Jump),
        4 => (device(), cut()).prop_map(|(device, cut)| Op::Cut(device, cut)),
        1 => (device(), cut(), 0..600_000_u64).prop_map(|(device, cut, away)| Op::Away(device, cut, away)),
        1 => device().prop_map(Op::Close),
        1 => device().prop_map(Op::Want),
        12 => (device(), fate()).prop_map(|(device, fate)| Op::Fate(device, fate)),
        3 => (device(), start(), cut()).prop_map(|(device, start, cut)| Op::Restart(device, start, cut)),
        2 => device().prop_map(Op::BackUp),
        1 => Just(Op::RestartServer),
        2 => Just(Op::BackUpServer),
        2 => any::<usize>().prop_map(Op::RestoreServer),
        1 => device().prop_map(Op::Remove),
        1 => (0..600_u64).prop_map(Op::Expire),
        1 => (device(), refusal).prop_map(|(device, refusal)| Op::Refuse(device, refusal)),
        2 => (1..30_u32).prop_map(Op::Fail),
        2 => (device(), any::<usize>()).prop_map(|(device, pick)| Op::RepeatAnswer(device, pick)),
        2 => any::<usize>().prop_map(Op::RepeatAck),
        1 => (device(), key(), 0..100_u64).prop_map(|(device, key, above)| Op::ForgeAck(device, key, above)),
        2 => (device(), 1..4_u32, prop_oneof![Just(1_u16), Just(7), Just(9)], 0..60_u64, count())
            .prop_map(|(device, epoch, key, head, count)| Op::Notify { device, epoch, key, head, count }),
    ]
}

const LISTS: [&[u16]; 3] = [&[1], &[7, 300], &[1, 5, 7]];

fn habits() -> impl Strategy<Value = Habits> {
    let keys = prop_oneof![
        4 => Just(Wanted::All),
        1 => (0..LISTS.len()).prop_map(|list| Wanted::Listed(LISTS[list])),
    ];
    let sizes = prop_oneof![
        2 => Just((1_024, None)),
        1 => Just((288, None)),
        1 => Just((512, Some(256))),
        1 => Just((2_048, Some(700))),
    ];
    let items = prop_oneof![3 => Just(100_u16), 2 => 1..6_u16, 1 => Just(512)];
    let times = (prop_oneof![3 => Just(0_u64), 1 => 5..60_u64], 60..200_u64, prop_oneof![Just(3_u64), Just(35)]);
    let slow = prop_oneof![2 => Just(0_u64), 1 => Just(500), 1 => Just(20_000)];
    let oddities = (prop_oneof![Just(0_u64), Just(50), Just(100)], prop::bool::weighted(0.3), 1..21_u8);
    (keys, sizes, items, times, slow, oddities).prop_map(
        |(keys, (rx, max_bytes), max_items, (hold, poll, timeout), slow_millis, (fetches, poison, rounds))| Habits {
            keys,
            rx,
            max_items,
            max_bytes,
            hold,
            poll,
            timeout,
            rounds,
            slow_millis,
            fetches,
            poison,
        },
    )
}

fn setup() -> impl Strategy<Value = Setup> {
    let store = prop_oneof![
        3 => Just((200, 32_768)),
        1 => Just((12, 4_096)),
        1 => Just((60, 2_048)),
        2 => Just((200, 0)),
        1 => Just((15, 0)),
    ];
    let server = (prop_oneof![Just(1_usize), Just(3), Just(1_000)], prop_oneof![Just(512_usize), Just(4_096)]);
    let faults = (prop_oneof![2 => Just(0_u64), 1 => Just(20)], prop_oneof![3 => Just(0_u64), 1 => Just(15)]);
    let weather = prop_oneof![
        2 => Just(Weather { delay: Duration::from_millis(50), ..Weather::FINE }),
        1 => Just(Weather { delay: Duration::from_millis(2_000), ..Weather::FINE }),
        2 => Just(Weather { largest_write: 99, largest_read: 99, ..Weather::ROUGH }),
    ];
    (any::<u64>(), [habits(), habits()], store, server, faults, any::<bool>(), weather).prop_map(
        |(seed, devices, (items, bytes), (scan, server_tx), (loses, late), closes_older, weather)| Setup {
            seed,
            devices,
            items,
            bytes,
            scan,
            server_tx,
            loses,
            late,
            closes_older,
            weather,
        },
    )
}

/// So often a process of either device may end; what comes later just breaks off.
const RESTARTS: usize = 10;

fn run(setup: Setup, ops: &[Op]) {
    let mut memory = Memory::new(setup, RESTARTS);
    let mut mail = Mail::new(&mut memory);
    for op in ops {
        apply(&mut mail, *op);
        mail.check_collected();
        mail.check();
    }
    mail.be_quiet();
    mail.run_until_up_to_date(Duration::from_secs(300));
    calm(&mut mail, &setup);
}

/// Everything is there: what still goes on is what keeps it so.
fn calm(mail: &mut Mail<'_>, setup: &Setup) {
    // What was said by mistake is corrected by the next request, and the last acks by that, too.
    mail.run(Duration::from_secs(201));
    mail.office.check_released();
    let counts = |mail: &Mail<'_>| {
        let devices = mail.devices.iter().map(|device| {
            let traffic = device.traffic();
            (traffic.requests, traffic.acks, traffic.notifies, device.app.applied)
        });
        devices.collect::<Vec<_>>()
    };
    let before = counts(mail);
    mail.run(Duration::from_secs(600));
    for (device, (before, after)) in before.into_iter().zip(counts(mail)).enumerate() {
        let Habits { hold, poll, .. } = setup.devices[device];
        let interval = if hold > 0 { hold } else { poll };
        let rounds = after.0 - before.0;
        let expected = 600 / interval;
        assert!((rounds as u64).abs_diff(expected) <= 1 + expected / 10, "{rounds} rounds, every {interval} s");
        assert_eq!((before.1, before.2, before.3), (after.1, after.2, after.3), "device {device} is not quiet");
    }
    mail.check();
}

fn apply(mail: &mut Mail<'_>, op: Op) {
    let now = mail.now;
    match op {
        Op::Write { key, op, length, count } => {
            for _ in 0..count {
                mail.office.write(KEYS[key], op, length, true);
            }
        }
        Op::Reserve { key, op, length } => mail.office.write(KEYS[key], op, length, false),
        Op::Decide { pick, comes } => {
            let undecided = mail.office.undecided();
            if let Some((key, val)) = undecided.get(pick % undecided.len().max(1)) {
                mail.office.decide(*key, *val, comes);
            }
        }
        Op::Pass(millis) => mail.run(Duration::from_millis(millis)),
        Op::Jump(millis) => {
            mail.now = now + Duration::from_millis(millis);
            mail.settle();
        }
        Op::Cut(device, cut) => mail.cut(device, cut),
        Op::Away(device, cut, millis) => mail.leave(device, cut, Duration::from_millis(millis)),
        Op::Close(device) => mail.devices[device].client().close(now),
        Op::Want(device) => mail.devices[device].want(now),
        Op::Fate(device, fate) => mail.strike(device, fate),
        Op::Restart(device, start, cut) => mail.restart(device, start, cut),
        Op::BackUp(device) => mail.devices[device].back_up(),
        Op::RestartServer => mail.restart_server(),
        Op::BackUpServer => mail.office.back_up(),
        Op::RestoreServer(pick) => {
            mail.restart_server();
            mail.office.restore(pick);
        }
        Op::Remove(device) => mail.office.remove_device(device),
        Op::Expire(seconds) => mail.office.expire(now, Duration::from_secs(seconds)),
        Op::Refuse(device, refusal) => mail.office.refuses[device] = Some(refusal),
        Op::Fail(calls) => mail.office.fails = calls,
        Op::RepeatAnswer(device, pick) => {
            mail.with_server(device, |office, line, server| office.repeat_answer(now, line, pick, server));
        }
        Op::ForgeAck(device, key, above) => mail.office.forge_ack(now, device, KEYS[key], above),
        Op::RepeatAck(pick) => mail.office.repeat_ack(now, pick),
        Op::Notify { device, epoch, key, head, count } => mail.with_server(device, |_, _, server| {
            for _ in 0..count {
                server.notify(now, longlink::sync::Epoch::new(epoch).unwrap(), key, head);
            }
        }),
    }
}

/// `PROPTEST_CASES` asks for more, and so does `LONGLINK_LONG`.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let usual = if std::env::var_os("LONGLINK_LONG").is_some() { 50_000 } else { 800 };
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_device_is_brought_up_to_date_whatever_happens(setup in setup(), ops in vec(op(), 0..60)) {
        run(setup, &ops);
    }
}
