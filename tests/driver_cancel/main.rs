//! The drivers that may be dropped at any moment, over transports that do whatever a transport may.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod drive;
mod executor;
mod faults;
mod home;
mod idle;
mod lost;
mod slow;
mod spin;
mod tcp;
mod wire;
