//! The link stays up: when to ask whether it is alive, when to try for another, and where.
//!
//! ```text
//!                dead                  due                     next                     alive
//!   Heartbeat ─────────▶ Reconnect ─────────▶ Candidates ─────────────▶ connect, Probe ─────────▶ link
//!    ▲ Network            ▲ Presence           ▲ Network                    │
//!    (record)             (who looks)          (bans)                       └─ refused: the next
//! ```
//!
//! | | says |
//! |---|---|
//! | [`Heartbeat`] | when to send one and when a link is dead, for a connection seen from the connecting side. It learns how long each [`Network`] keeps a silent link |
//! | [`Reconnect`] | when to try for the next link; [`Presence`] what it has to do with that whether somebody looks |
//! | [`Candidates`] | which address to try next |
//! | [`Probe`] | whether what listens there speaks the protocol |
//!
//! [`session::Dialer`](crate::session::Dialer) has them work together. They keep time and count; but for the probe they see no
//! bytes and no frames.
//!
//! # Alone
//!
//! So they do for other protocols as well:
//!
//! ```
//! use core::time::Duration;
//! use longlink::Instant;
//! use longlink::liveness::{Activity, Heartbeat, HeartbeatPolicy, Presence, Pulse, Reason, Reconnect};
//!
//! let s = Instant::from_secs;
//! let presence = Presence::new(Activity::Background, s(0));
//! let mut reconnect = Reconnect::new(0x5EED); // a number that no other device has
//! let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
//!
//! // Connected, in your own way.
//! reconnect.handle_online(s(0));
//! heartbeat.handle_connected(s(0));
//!
//! // After 30 s of silence your protocol's ping is written.
//! assert_eq!(heartbeat.handle_timeout(s(30)), Pulse::Beat);
//! heartbeat.handle_sent(s(30));
//! heartbeat.handle_beat_sent(s(30), Duration::ZERO);
//!
//! // Nothing comes for 8 s. The next attempt is within the 5 s after that, where in them is this device's own.
//! assert_eq!(heartbeat.handle_timeout(s(38)), Pulse::Dead);
//! reconnect.handle_down(s(38), Reason::Silent, &presence);
//! assert!(reconnect.poll_timeout().is_some_and(|at| at <= s(43)));
//! ```
//!
//! # What it does not do
//!
//! Connect, resolve names, ask the platform which network there is or whether somebody looks, store what was learned: the
//! application says and does these. How the rules compare with those of Tencent Mars: [`guide::mars`](crate::guide::mars).

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
