//! A device and its mailbox, both real, over a network with faults: what is new arrives, in order, with nothing lost, and then it
//! is quiet.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::sync::{Config, Epoch};
use std::time::Duration;
use support::Random;
use support::home::{Home, desk};
use support::pipe::Weather;

const HOLDING: Config<'static> = Config { hold: Duration::from_secs(60), ..Config::DEFAULT };
/// Everything takes a while.
const LATE: Weather = Weather { delay: Duration::from_millis(200), ..Weather::FINE };

fn fine() -> Home {
    Home::new(Config::DEFAULT, 2_048, Weather::FINE, 1)
}

#[test]
fn a_device_is_primed_and_then_gets_what_is_new() {
    let mut home = fine();
    home.run(100);
    assert_eq!(home.store.borrow().lines, ["online", "page", "caught up"]);
    home.append(2, b"hello");
    home.run(100);
    assert_eq!(home.stored(), [(2, 1)]);
    assert_eq!(home.store.borrow().items[&(1, 2, 1)], b"hello");
    assert_eq!(home.desk.borrow().mailbox.len(), 0, "acknowledged, and gone");
    home.run(250_000);
    assert_eq!((home.desk.borrow().asked, home.desk.borrow().acked), (2, 1), "and then it is quiet");
}

#[test]
fn a_mailbox_that_has_something_already_gives_it_page_by_page() {
    let mut home = Home::new(Config { max_items: 7, ..Config::DEFAULT }, 2_048, LATE, 1);
    for i in 0..100_u32 {
        home.desk.borrow_mut().mailbox.append(i as u16 % 5, 0, &i.to_be_bytes()).unwrap();
    }
    home.run(60_000);
    assert_eq!(home.stored().len(), 100);
    let (stored, pages) = (home.store.borrow().repeats, home.count("page"));
    assert_eq!((stored, home.count("caught up")), (0, 1));
    assert!((15..=25).contains(&pages), "{pages} pages");
}

#[test]
fn with_a_hold_there_is_no_notify_and_nothing_waits() {
    let mut home = Home::new(HOLDING, 2_048, Weather::FINE, 1);
    home.run(1_000);
    for i in 0..20_u64 {
        home.run(7_000);
        home.append(1, b"x");
        home.run(1);
        assert_eq!(home.stored().len() as u64, i + 1, "at once");
    }
    assert_eq!(home.pair.left.link.endpoint().stats().dropped, 0);
    let before = home.desk.borrow().asked;
    home.run(3_600_000);
    let asked = home.desk.borrow().asked - before;
    assert!((55..=62).contains(&asked), "{asked} in a quiet hour");
}

#[test]
fn whatever_the_network_does_everything_arrives_in_order_and_then_it_is_quiet() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let weather = [Weather::FINE, LATE, Weather::ROUGH][seed as usize % 3];
        let config = if seed % 2 == 0 { Config::DEFAULT } else { HOLDING };
        let mut home = Home::new(Config { max_items: 3, ..config }, 600, weather, seed);
        let mut appended = Vec::new();
        for _ in 0..60 {
            match random.below(8) {
                0..=3 => {
                    let key = random.below(4) as u16;
                    let bytes = vec![key as u8; random.below(150) as usize];
                    let val = home.desk.borrow_mut().mailbox.append(key, 0, &bytes).unwrap();
                    appended.push((key, val));
                    // Now and then nobody says so.
                    if random.below(4) > 0 {
                        home.notify(key, val);
                    }
                }
                4 => home.cut(),
                5 => home.pair.down.stuck = random.below(2) == 0,
                6 => home.store.borrow_mut().fails = random.below(3) as usize,
                _ => {
                    let millis = random.below(20_000);
                    home.run(millis);
                }
            }
        }
        home.pair.down.stuck = false;
        home.store.borrow_mut().fails = 0;
        home.run(900_000);
        appended.sort_unstable();
        assert_eq!(home.stored(), appended, "seed {seed}: {:?}", home.store.borrow().lines);
        for key in 0..4 {
            let store = home.store.borrow();
            let vals: Vec<_> = store.order.iter().filter(|(_, k, _)| *k == key).map(|(.., val)| *val).collect();
            assert!(vals.is_sorted(), "seed {seed}, key {key}: {vals:?}");
        }
        assert_eq!((home.count("Hole"), home.desk.borrow().mailbox.len()), (0, 0), "seed {seed}");
        let before = home.desk.borrow().asked;
        home.run(3_500_000);
        let asked = home.desk.borrow().asked - before;
        assert!(asked <= 62, "seed {seed}: {asked} requests in a quiet hour");
    }
}

#[test]
fn items_that_fit_no_page_are_fetched_before_the_commit_also_over_broken_links() {
    for seed in 0..20 {
        let mut home = Home::new(Config { max_items: 4, ..Config::DEFAULT }, 512, LATE, seed);
        let bodies: Vec<Vec<u8>> = (0..6_usize).map(|i| (0..i * 700).map(|at| (at * 31 + i) as u8).collect()).collect();
        let vals: Vec<u64> = (1..).zip(&bodies).map(|(key, body)| home.append(key, body)).collect();
        let mut random = Random(seed);
        for _ in 0..random.below(6) {
            let millis = random.below(3_000);
            home.run(millis);
            home.cut();
        }
        home.run(300_000);
        for ((key, body), val) in (1_u16..).zip(&bodies).zip(vals) {
            let store = home.store.borrow();
            let is_there = store.items.get(&(1, key, val)) == Some(body);
            assert!(is_there, "seed {seed}, {} bytes: {:?}", body.len(), store.lines);
        }
        assert_eq!(home.desk.borrow().mailbox.len(), 0);
        assert!(home.count("fetched") > 30);
    }
}

#[test]
fn a_page_of_64_kib_arrives_over_a_link_of_1_kb_a_second() {
    let slow = Weather { rate: 1_000, capacity: 4_096, ..Weather::FINE };
    let mut home = Home::new(Config::DEFAULT, 66_000, slow, 1);
    home.run(10_000);
    home.append(1, &vec![7; 65_000]);
    home.run(120_000);
    assert_eq!(home.stored(), [(1, 1)]);
    assert_eq!(home.store.borrow().items[&(1, 1, 1)].len(), 65_000);
    assert_eq!((home.count("online"), home.count("SyncFailed"), home.count("fetched")), (1, 0, 0));
}

#[test]
fn acks_that_are_lost_keep_nobody_busy_and_the_next_request_makes_up_for_them() {
    let mut home = fine();
    home.desk.borrow_mut().loses_acks = true;
    home.run(100);
    home.append(1, b"x");
    home.run(100);
    let asked = home.desk.borrow().asked;
    assert_eq!(home.desk.borrow().mailbox.len(), 1, "nobody has said that it is stored");
    home.run(280_000);
    assert_eq!((home.desk.borrow().asked, home.desk.borrow().acked), (asked, 1));
    home.run(30_000);
    assert_eq!(home.desk.borrow().mailbox.len(), 0, "the poll says it");
    assert_eq!(home.store.borrow().repeats, 0);
}

#[test]
fn a_mailbox_with_another_epoch_is_taken_from_its_beginning_without_what_it_does_not_have() {
    let mut home = fine();
    home.run(100);
    for _ in 0..5 {
        home.append(1, b"old");
    }
    home.run(1_000);
    assert_eq!(home.stored().len(), 5);
    home.desk.borrow_mut().mailbox.begin(Epoch::new(2).unwrap());
    home.append(1, b"new");
    home.run(10_000);
    assert_eq!(home.stored(), [(1, 1)]);
    assert_eq!(home.store.borrow().items[&(2, 1, 1)], b"new");
    assert_eq!(home.store.borrow().repeats, 0);
}

#[test]
fn a_store_that_fails_on_either_side_delays_and_loses_nothing() {
    let mut home = fine();
    home.run(100);
    home.append(1, b"x");
    home.desk.borrow_mut().is_broken = true;
    home.run(30_000);
    assert_eq!(home.stored(), []);
    home.desk.borrow_mut().is_broken = false;
    home.store.borrow_mut().fails = 3;
    home.run(300_000);
    assert_eq!((home.stored(), home.count("abandoned")), (vec![(1, 1)], 3));
    assert!(home.count("SyncFailed(Busy") > 3);
}

#[test]
fn each_device_of_an_account_gets_everything_and_a_slow_one_keeps_it_there() {
    let shared = desk();
    let of = |device| Home::at(&shared, device, Config::DEFAULT, 2_048, Weather::FINE, device);
    let (mut quick, mut slow) = (of(7), of(8));
    quick.run(100);
    slow.run(100);
    slow.pair.left.link.handle_disconnected(slow.pair.now, longlink::session::Disconnect::Transport);
    for key in [0, 1, 2, 0, 1, 2, 0, 1, 2] {
        quick.append(key, b"x");
    }
    quick.run(10_000);
    assert_eq!((quick.stored().len(), shared.borrow().mailbox.len()), (9, 9));
    slow.cut();
    slow.run(10_000);
    assert_eq!((slow.stored().len(), shared.borrow().mailbox.len()), (9, 0));
}
