//! The guide says what the library does: its frames are read and written by the library, a link between two of its ends
//! exchanges those of the example, and its numbers are the library's.
#![allow(unreachable_pub)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod bodies;
mod exchange;
mod frames;
mod numbers;
mod shelf;

const PROTOCOL: &str = include_str!("../../src/guide/protocol.md");
const THREATS: &str = include_str!("../../src/guide/threats.md");
const MARS: &str = include_str!("../../src/guide/mars.md");
const MQTT: &str = include_str!("../../src/guide/mqtt.md");
