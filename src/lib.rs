//! longlink
#![no_std]

#[cfg(test)]
extern crate std;
mod time;
pub mod wire;
pub use time::{Instant, earliest};
