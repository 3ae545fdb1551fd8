//! The link stays up.
//!
//! * [`Heartbeat`] says when to send one and when a link is dead, for a connection seen from the connecting side. It learns how
//!   long each [`Network`] keeps a silent link.
//! * [`Reconnect`] says when to try for the next link, and [`Presence`] what the state of the application has to do with it.
//! * [`Candidates`] says which address to try next, and [`Probe`] finds out whether what listens there speaks the protocol.
//!
//! Pieces of this layer keep time and count, and but for the probe they see no bytes and no frames.
//! [`session::Dialer`](crate::session::Dialer) has them work together.

mod activity;
mod candidates;
mod heartbeat;
mod network;
mod probe;
mod reconnect;

pub use activity::{Activity, Presence};
pub use candidates::{Address, Candidate, Candidates, Fault, TooManyAddresses};
pub use heartbeat::{Heartbeat, HeartbeatPolicy, Pulse};
pub use network::{Network, NetworkRecord, RecordError};
pub use probe::{Probe, Verdict};
pub use reconnect::{Reason, Reconnect};
