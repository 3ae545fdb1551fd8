//! Every order in which a device, its links and its server can act, up to a number of faults, with the real client, server
//! and ledger and the real bytes.
//!
//! From every state that is reached, a network and a store without faults must bring every message to its end. The bound is
//! in [`Bound`]; `LONGLINK_FAULTS` and `LONGLINK_MESSAGES` set a wider one.
#![allow(unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::panic
)]

mod device;
mod model;
mod server;
mod world;

use model::{DONE, Delivery, FENCED, NOTICED, REJECTED, RESUMED, explore};
use std::env;
use world::{Action, Bound, Setup};

/// The device keeps its state, and the server names the epoch.
const KEEPS: Setup = Setup { ordered: true, keeps_state: true, epoch: None };
const IN_ANY_ORDER: Setup = Setup { ordered: false, ..KEEPS };
const FORGETS: Setup = Setup { keeps_state: false, ..KEEPS };
/// The device names its epoch, and takes the same whenever it starts with nothing.
const STANDS_STILL: Setup = Setup { epoch: Some(1), ..KEEPS };

/// One message with two faults, and two messages with one, unless more is asked for. In the widest, all of `reached` must be.
fn check(setup: &'static Setup, reached: &[&str]) {
    let asked = |name| env::var(name).ok().map(|text| text.parse().unwrap());
    if let (Some(messages), Some(faults)) = (asked("LONGLINK_MESSAGES"), asked("LONGLINK_FAULTS")) {
        return explore(Delivery { setup, bound: Bound { messages, faults }, before: &[] }, &[]);
    }
    explore(Delivery { setup, bound: Bound { messages: 2, faults: 1 }, before: &[] }, &[DONE]);
    explore(Delivery { setup, bound: Bound { messages: 1, faults: 2 }, before: &[] }, reached);
}

#[test]
fn every_message_of_a_device_that_keeps_its_state_is_stored_once() {
    check(&KEEPS, &[FENCED, RESUMED, NOTICED, REJECTED, DONE]);
}

#[test]
fn every_message_is_stored_once_where_any_order_will_do() {
    check(&IN_ANY_ORDER, &[FENCED, RESUMED, NOTICED, REJECTED, DONE]);
}

#[test]
fn every_message_of_a_device_without_state_is_stored_once() {
    check(&FORGETS, &[FENCED, RESUMED, NOTICED, REJECTED, DONE]);
}

#[test]
fn every_message_of_a_device_whose_clock_stands_still_is_stored_once() {
    check(&STANDS_STILL, &[FENCED, RESUMED, NOTICED, REJECTED, DONE]);
}

/// A process that goes on from a stored state leaves out the sequences that the one before may have used.
#[test]
fn every_message_is_stored_once_where_their_sequences_are_a_window_apart() {
    const BEFORE: &[Action] = &[
        Action::Send,
        Action::RestartClient(Some(0)),
        Action::Send,
        Action::Connect,
        Action::Up(1),
        Action::Down,
        Action::Up(1),
    ];
    let bound = Bound { messages: 2, faults: 2 };
    explore(Delivery { setup: &IN_ANY_ORDER, bound, before: BEFORE }, &[RESUMED, REJECTED, DONE]);
}
