//! The link stays up.
//!
//! * [`Heartbeat`] says when to send one and when a link is dead, for a connection seen from the connecting side.
//! * [`Reconnect`] says when to try for the next link, and [`Presence`] what the state of the application has to do with it.
//!
//! Pieces of this layer keep time and nothing else: they see no bytes and no frames.

mod activity;
mod heartbeat;
mod reconnect;

pub use activity::{Activity, Presence};
pub use heartbeat::{Heartbeat, HeartbeatPolicy, Pulse};
pub use reconnect::{Reason, Reconnect};
