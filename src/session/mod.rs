//! The parts composed: one link, seen from either end.
//!
//! [`Client`] is the connecting side, [`Server`] the accepting one; both are an [`Endpoint`], which is what drivers and
//! test harnesses see. An endpoint takes frames and times and gives bytes, events and deadlines. The bytes of the stream
//! belong to a [`Decoder`](crate::wire::Decoder), a value of its own, so that an application may send while it holds a
//! frame that was lent to it; [`Link`] bundles the two, [`Storage`] holds the memory.
//!
//! ```text
//!              bytes            frames                    events
//!   transport ───────▶ Decoder ────────▶ Client / Server ────────▶ application
//!       ▲                                  │    ▲    ▲               │
//!       └──────────────────────────────────┘    │    └───────────────┘
//!                   poll_transmit            time      commands
//! ```
//!
//! # What a link holds to
//!
//! * One heartbeat is under way at most, and one timer owns its answer. Only the client sends them, only the server
//!   answers, so two peers cannot play ping-pong.
//! * A frame is a reply if a request of *this* link has its sequence and expects exactly its command. Everything else is a
//!   push, or is counted and dropped.
//! * One sync is under way at most. It is asked for on every link and by every hint, and what is owed of it is written however
//!   full the buffers are.
//! * Closing is orderly: nothing new is sent, what is owed is awaited, a goaway says why, and only then is the connection
//!   ended. [`Disconnect`] tells the reason, always the first one.
//! * A peer costs its own link at most: [`limits`] has the numbers.
//! * After `handle_timeout(now)` the next deadline is later than `now`, or there is none. Early and repeated calls do
//!   nothing.

mod client;
mod config;
mod connection;
mod dialer;
mod disconnect;
mod endpoint;
mod event;
mod hello;
pub mod limits;
mod link;
mod progress;
mod server;
mod storage;
mod transmit;

pub use client::{Client, RestoreError};
pub use config::{Config, ConfigError, Identity, ServerConfig};
pub use dialer::{Attempt, Dialer, DialerConfig};
pub use disconnect::{Disconnect, GoAway, GoAwayCode, Refusal};
pub use endpoint::Endpoint;
pub use event::{Event, SendError, ServerEvent, Stats, Timer};
pub use hello::{Hello, HelloError, HelloReply, HelloReplyError, HelloStatus};
pub use link::Link;
pub use server::{Refuse, Server};
pub use storage::{Storage, Work};
