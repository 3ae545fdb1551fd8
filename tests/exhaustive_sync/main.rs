//! Every order in which devices, their links and their mailbox can act, up to a number of faults, with the real client,
//! answers and mailbox and the real bodies.
//!
//! At any time no item is gone that a device never had, and no cursor is past an item that is not stored. From every state
//! that is reached, a network and stores without faults must bring every item to every device, and the devices to rest. The
//! bound is in [`Bound`]; `LONGLINK_FAULTS` and `LONGLINK_ITEMS` set a wider one.
#![allow(unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod device;
mod model;
mod world;

use model::{COLLECTED, DONE, GAP, LATE, REPEATED, RESET, Sync, explore};
use std::env;
use world::{Action, Bound, LISTED, ONE_BY_ONE, Setup};

static SHORT_PAGES: Setup = Setup { config: ONE_BY_ONE, reserves: false };
static LISTED_KEYS: Setup = Setup { config: LISTED, reserves: false };
/// The second val is there before the first.
static OUT_OF_ORDER: Setup = Setup { config: LISTED, reserves: true };

/// Every device has its first cursor, and rests.
const ALONE: &[Action] = &[Action::Round(0)];
const TOGETHER: &[Action] = &[Action::Round(0), Action::Round(1)];

fn check(setup: &'static Setup, bound: Bound, before: &'static [Action], reached: &[&str]) {
    let asked = |name| env::var(name).ok().map(|text| text.parse().unwrap());
    let wider = asked("LONGLINK_ITEMS").zip(asked("LONGLINK_FAULTS"));
    let bound = wider.map_or(bound, |(items, faults)| Bound { items, faults, ..bound });
    explore(Sync { setup, bound, before }, reached);
}

#[test]
fn every_item_comes_to_a_device_that_starts_with_nothing() {
    check(&SHORT_PAGES, Bound { devices: 1, items: 2, faults: 1 }, &[], &[RESET, COLLECTED, REPEATED, DONE]);
}

#[test]
fn every_item_comes_to_a_device_in_pages_of_one() {
    check(&SHORT_PAGES, Bound { devices: 1, items: 2, faults: 1 }, ALONE, &[RESET, COLLECTED, REPEATED, DONE]);
    check(&SHORT_PAGES, Bound { devices: 1, items: 1, faults: 2 }, ALONE, &[RESET, COLLECTED, LATE, REPEATED, DONE]);
}

#[test]
fn every_item_comes_to_two_devices() {
    check(&LISTED_KEYS, Bound { devices: 2, items: 2, faults: 1 }, TOGETHER, &[RESET, GAP, COLLECTED, REPEATED, DONE]);
}

#[test]
fn an_item_that_is_finished_late_comes_too() {
    check(&OUT_OF_ORDER, Bound { devices: 1, items: 2, faults: 1 }, ALONE, &[RESET, COLLECTED, REPEATED, DONE]);
}
