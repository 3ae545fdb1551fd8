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
//! # Both ends
//!
//! Without a network in between: what one has to write the other reads. A driver is this with a transport, and waits
//! ([`Link`] has the steps).
//!
//! ```
//! use longlink::session::{Config, Endpoint, Event, Link, Server, ServerConfig, ServerEvent, Storage};
//! use longlink::wire::{Decoder, Dialect};
//! use longlink::Instant;
//!
//! /// What `from` has to write is read by `to`.
//! fn carry(now: Instant, from: &mut Link<impl Endpoint, &mut [u8]>, to: &mut Link<impl Endpoint, &mut [u8]>) {
//!     while let Some(bytes) = from.poll_transmit() {
//!         let n = bytes.len();
//!         to.space()[..n].copy_from_slice(bytes);
//!         from.handle_sent(now, n);
//!         to.handle_read(now, n);
//!     }
//! }
//!
//! let now = Instant::ZERO;
//! let (config, mut storage): (_, Storage) = (Config::DEFAULT, Storage::new());
//! let mut client = storage.client(&config)?;
//! let open = ServerConfig { needs_greeting: false, ..ServerConfig::DEFAULT };
//! let (mut receive, mut send) = ([0; 1_024], [0; 1_024]);
//! let mut server = Server::new(&open, now)?;
//! server.lend(&mut send[..]).unwrap();
//! let mut server = Link::new(Decoder::new(&Dialect::LONGLINK, &mut receive[..])?, server);
//!
//! client.handle_connected(now);
//! let token = client.endpoint_mut().request(now, 301, b"how warm?")?;
//! carry(now, &mut client, &mut server);
//! server.process(now, |server, event| {
//!     if let ServerEvent::Request(frame) = event {
//!         server.reply(now, frame.command(), frame.sequence(), b"21.5").unwrap();
//!     }
//! });
//! carry(now, &mut server, &mut client);
//! let mut reply = None;
//! client.process(now, |_, event| {
//!     if let Event::Reply { token, frame } = event {
//!         reply = Some((token, frame.body().to_vec()));
//!     }
//! });
//! assert_eq!(reply, Some((token, b"21.5".to_vec())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
//!
//! # What it does not do
//!
//! Open sockets, resolve names, encrypt, know accounts, store: the application does these, when an event says so. What a
//! stranger can do to it: [`guide::threats`](crate::guide::threats). What it writes: [`guide::protocol`](crate::guide::protocol).

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
