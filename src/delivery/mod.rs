//! What is under way: frames that wait to be written, requests that wait for their reply.
//!
//! * [`Outbox`] keeps encoded frames in the order of their writing, one behind the other in one buffer, so that small
//!   ones travel together without a copy.
//! * [`Inflight`] matches replies to requests and tells which were not answered in time.

mod inflight;
mod outbox;

pub use inflight::{Failure, Inflight, Slot, Token};
pub use outbox::Outbox;

/// Sequences of requests and messages go from 1 to this; 0 is for one-way frames, the top 16 are reserved.
pub const LAST_SEQUENCE: u32 = 0xFFFF_FFEF;

/// The sequence after `sequence`: 1 follows [`LAST_SEQUENCE`].
pub(crate) const fn next_sequence(sequence: u32) -> u32 {
    if sequence < LAST_SEQUENCE { sequence.saturating_add(1) } else { 1 }
}
