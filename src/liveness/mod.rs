//! The link stays up.
//!
//! * [`Heartbeat`] says when to send one and when a link is dead, for a connection seen from the connecting side.
//!
//! Pieces of this layer keep time and nothing else: they see no bytes and no frames.

mod heartbeat;

pub use heartbeat::{Heartbeat, HeartbeatPolicy, Pulse};
