//! Everything together: some of the lives that `cargo bench --bench soak` lives by the ten thousand.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod sim;
#[path = "../support/mod.rs"]
mod support;

use sim::{Scale, Tally};

#[test]
fn nothing_is_lost_and_everybody_comes_to_rest_whatever_happens() {
    let mut all = Tally::default();
    for seed in 0..50 {
        match sim::run(seed, Scale::Short) {
            Ok(tally) => all.add(&tally),
            Err(broken) => panic!("seed {seed}: {} ({})", broken.rule, broken.place),
        }
    }
    println!("{all:?}");
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 0..10 {
        let life = || format!("{:?}", sim::run(seed, Scale::Short));
        assert_eq!(life(), life(), "seed {seed}");
    }
}
