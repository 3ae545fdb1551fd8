//! Rules of `delivery::DedupWindow` that hold for all sequences and orders of calls.
//!
//! What must come out is found by a model that keeps every accepted sequence in a set and knows no bits.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use longlink::delivery::{Accepted, DedupWindow, LAST_SEQUENCE, Standing, Verdict};
use proptest::{collection::vec, prelude::*};
use std::collections::HashSet;

// ---- what must come out ---------------------------------------------------------------------------------------------

/// How many sequences there are.
const N: u64 = LAST_SEQUENCE as u64;
/// The same, to step back by.
const ALL: i64 = LAST_SEQUENCE as i64;

/// The sequence so many steps after `from`, or before it.
fn step(from: u32, steps: i64) -> u32 {
    let index = (i64::from(from) - 1 + steps).rem_euclid(ALL);
    u32::try_from(index).unwrap() + 1
}

/// Everything that was accepted.
#[derive(Default)]
struct Model {
    accepted: HashSet<u32>,
    last: Option<u32>,
}

impl Model {
    fn check(&self, sequence: u32, width: u64) -> Verdict {
        match self.last {
            Some(last) if is_ahead(sequence, last) => Verdict::Fresh,
            Some(last) if steps_between(sequence, last) >= width => Verdict::TooOld,
            _ if self.accepted.contains(&sequence) => Verdict::Duplicate,
            _ => Verdict::Fresh,
        }
    }

    fn accept(&mut self, sequence: u32, width: u64) -> Verdict {
        let verdict = self.check(sequence, width);
        if verdict == Verdict::Fresh {
            self.accepted.insert(sequence);
            if self.last.is_none_or(|last| is_ahead(sequence, last)) {
                self.last = Some(sequence);
                // What is too old now would be ahead again half way around.
                self.accepted.retain(|accepted| steps_between(*accepted, sequence) < width);
            }
        }
        verdict
    }
}

fn steps_between(from: u32, to: u32) -> u64 {
    (u64::from(to) + N - u64::from(from)) % N
}

fn is_ahead(sequence: u32, last: u32) -> bool {
    sequence != last && steps_between(last, sequence) < steps_between(sequence, last)
}

/// Steps from one message to the next: mostly small ones, and those around the edges of windows.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -3..=3_i64,
        3 => -70..=70_i64,
        2 => prop::sample::select(vec![63, 64, 65, 127, 128, 129, 191, 192, 1_023, 1_024, 1_025]),
        2 => prop::sample::select(vec![-63, -64, -65, -127, -128, -129, -191, -192, -1_023, -1_024, -1_025]),
        1 => -ALL..ALL,
        1 => prop::sample::select(vec![ALL / 2 - 1, ALL / 2, ALL / 2 + 1]),
    ]
}

/// Everywhere, and often around where the counter goes around.
fn start() -> impl Strategy<Value = u32> {
    prop_oneof![1..=LAST_SEQUENCE, 1..=200_u32, LAST_SEQUENCE - 200..=LAST_SEQUENCE]
}

fn agrees_with_a_set<const WORDS: usize>(start: u32, steps: &[i64]) -> Result<(), TestCaseError> {
    let width = u64::from(DedupWindow::<WORDS>::WIDTH);
    let (mut window, mut model) = (DedupWindow::<WORDS>::new(), Model::default());
    let mut at = start;
    for steps in steps {
        prop_assert_eq!(window.check(at), model.check(at, width));
        prop_assert_eq!(window.accept(at), model.accept(at, width));
        prop_assert_eq!(window.last(), model.last.unwrap());
        at = step(window.last(), *steps);
    }
    let mut out = [0; 128];
    let accepted = window.snapshot(&mut out).unwrap();
    prop_assert_eq!(DedupWindow::from_bitmap(accepted.last(), accepted.bitmap()), Ok(window));
    prop_assert_eq!(Accepted::new(window.last(), accepted.bitmap()), Ok(accepted));
    for behind in -5..i64::from(DedupWindow::<WORDS>::WIDTH) + 70 {
        let sequence = step(window.last(), -behind);
        let verdict = model.check(sequence, width);
        prop_assert_eq!(window.check(sequence), verdict);
        prop_assert_eq!(window.is_accepted(sequence), verdict == Verdict::Duplicate);
        let standing = match verdict {
            Verdict::Fresh => Standing::NotStored,
            Verdict::Duplicate => Standing::Stored,
            Verdict::TooOld => Standing::Unknown,
        };
        prop_assert_eq!(accepted.standing(sequence), standing);
    }
    Ok(())
}

// ---- rules ----------------------------------------------------------------------------------------------------------

proptest! {
    #[test]
    fn a_window_knows_what_a_set_of_all_accepted_sequences_knows(start in start(), steps in vec(steps(), 0..60)) {
        agrees_with_a_set::<1>(start, &steps)?;
        agrees_with_a_set::<2>(start, &steps)?;
        agrees_with_a_set::<3>(start, &steps)?;
        agrees_with_a_set::<16>(start, &steps)?;
    }

    #[test]
    fn bytes_are_a_window_or_refused_and_a_window_writes_them_again(last in any::<u32>(), bitmap in any::<[u8; 16]>()) {
        let (odd, few) = (bitmap.map(|byte| byte | 1), bitmap.map(|byte| byte & 2));
        for (last, bitmap) in [(last, bitmap), (last % 3, odd), (0, few), (0, [0; 16])] {
            if let Ok(window) = DedupWindow::<2>::from_bitmap(last, &bitmap) {
                let mut out = [0; 16];
                prop_assert_eq!(window.write_bitmap(&mut out), Ok(16));
                prop_assert_eq!((window.last(), out), (last, bitmap));
            }
        }
    }
}

fn jumps<const WORDS: usize>() {
    let width = DedupWindow::<WORDS>::WIDTH;
    assert_eq!(width as usize, 64 * WORDS);
    for start in [1, 500, LAST_SEQUENCE - width, LAST_SEQUENCE - 3, LAST_SEQUENCE] {
        for jump in [1, 2, width - 1, width, width + 1, width * 2, LAST_SEQUENCE / 2] {
            let mut window = DedupWindow::<WORDS>::new();
            assert_eq!(window.accept(start), Verdict::Fresh);
            let next = step(start, i64::from(jump));
            assert_eq!(window.accept(next), Verdict::Fresh);
            assert_eq!(window.accept(next), Verdict::Duplicate);
            let expected = if jump < width { Verdict::Duplicate } else { Verdict::TooOld };
            assert_eq!(window.check(start), expected, "{start} + {jump}");
            for behind in 1..width {
                let accepted = behind == jump;
                assert_eq!(window.is_accepted(step(next, -i64::from(behind))), accepted, "{start} + {jump} - {behind}");
            }
        }
    }
}

#[test]
fn a_jump_keeps_what_is_within_the_window_and_no_more() {
    jumps::<1>();
    jumps::<2>();
    jumps::<16>();
}

#[test]
fn around_the_end_of_the_counter_no_hole_opens() {
    let mut window: DedupWindow = DedupWindow::new();
    let order = [-3, -1, -2, 1, 0, 3];
    for steps in order {
        assert_eq!(window.accept(step(LAST_SEQUENCE, steps)), Verdict::Fresh);
    }
    assert_eq!(window.last(), 3);
    for sequence in [LAST_SEQUENCE - 3, LAST_SEQUENCE - 2, LAST_SEQUENCE - 1, LAST_SEQUENCE, 1, 3] {
        assert_eq!(window.accept(sequence), Verdict::Duplicate);
    }
    assert_eq!(window.check(2), Verdict::Fresh);
    assert_eq!(window.check(LAST_SEQUENCE - 60), Verdict::Fresh);
    assert_eq!(window.check(LAST_SEQUENCE - 61), Verdict::TooOld);
    let mut out = [0; 8];
    window.write_bitmap(&mut out).unwrap();
    assert_eq!(out, [0b0111_1101, 0, 0, 0, 0, 0, 0, 0]);
}
