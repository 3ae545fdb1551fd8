//! The client that comes by its links itself, in virtual time, with real servers at the other end.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod again;
mod background;
mod bustle;
mod greeting;
mod heartbeat;
mod life;
mod moving;
mod networks;
mod races;
mod resets;
mod rounds;
mod sleep;
#[path = "../support/mod.rs"]
mod support;
mod timers;
