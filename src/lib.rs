//! The link layer of an always-on device, as a library without I/O: framed packets, heartbeats, messages that are stored
//! once, and a mailbox that every device of an account is up to date with, over one byte stream after the other.
//!
//! Bytes, frames and time go in; bytes, events and deadlines come out. Nothing here opens a socket, reads a clock,
//! allocates, blocks or panics, so the same code runs on threads, in an async runtime, in an interrupt-driven firmware and
//! under a fuzzer. The wire format is the 16-byte header of mobile messengers, which goim and Bilibili live speak too, and
//! the 20-byte one of Tencent Mars.
//!
//! ```text
//!              bytes              frames              events
//!   transport ───────▶ [Decoder] ───────▶ [Endpoint] ───────▶ your application
//!       ▲              wire::Decoder       session::Client         │
//!       │                                  session::Server         │ commands
//!       └──────────────── bytes ◀───────────────┘  ▲ ◀─────────────┘
//!                                                  └──── the time, when you call
//! ```
//!
//! # Decode a frame
//!
//! ```
//! use longlink::wire::{decode, Decoded, Dialect};
//!
//! // A heartbeat as a phone sent it: 16 bytes, command 6, sequence 15, no body.
//! let bytes = b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\x0f";
//! match decode(&Dialect::LONGLINK, bytes) {
//!     Ok(Decoded::Frame(frame)) => assert_eq!((frame.command(), frame.sequence()), (6, 15)),
//!     Ok(Decoded::Incomplete { need }) => println!("{need} bytes are missing"),
//!     Err(error) => println!("{error}"),
//! }
//! ```
//!
//! # Hold a link
//!
//! Every driver is this loop, here over a blocking socket with a read time-out; [`session::Link`] explains its steps. With
//! a feature it is written already: [`io`] has one for `std`, for async tasks and for bare metal.
//!
//! ```no_run
//! use longlink::session::{Config, Event, Storage};
//! use longlink::Instant;
//! use std::{io::{ErrorKind, Read, Write}, net::{Shutdown, TcpStream}, time::Duration};
//!
//! let start = std::time::Instant::now();
//! let now = || Instant::ZERO + start.elapsed();
//!
//! let config = Config::DEFAULT;
//! let mut storage: Storage = Storage::new(); // 1 KiB to receive, 1 KiB to send, 8 messages at a time
//! let mut link = storage.client(&config)?;
//! let mut socket = TcpStream::connect("127.0.0.1:8080")?;
//! link.handle_connected(now());
//!
//! let why = loop {
//!     // What was read, and what is due.
//!     link.process(now(), |client, event| match event {
//!         Event::Online { .. } => match client.send(now(), b"hello") {
//!             Ok(token) => println!("sent as number {}", token.sequence()),
//!             Err(error) => println!("not sent: {error}"),
//!         },
//!         event @ (Event::Delivered { .. } | Event::Failed { .. }) => {
//!             println!("{event:?}");
//!             client.close(now());
//!         }
//!         Event::Push(frame) => println!("command {}: {:?}", frame.command(), frame.body()),
//!         other => println!("{other:?}"),
//!     });
//!     // What is to be written.
//!     while let Some(bytes) = link.poll_transmit() {
//!         let n = socket.write(bytes)?;
//!         link.handle_sent(now(), n);
//!     }
//!     // Whether this was the end.
//!     if let Some(why) = link.over().or(link.closing()) {
//!         break why;
//!     }
//!     // Bytes, or the next deadline, whichever is first.
//!     let wait = link.poll_timeout().map(|at| (at - now()).max(Duration::from_millis(1)));
//!     socket.set_read_timeout(wait)?;
//!     match socket.read(link.space()) {
//!         Ok(0) => link.handle_end(),
//!         Ok(n) => link.handle_read(now(), n),
//!         Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
//!         Err(error) => return Err(error.into()),
//!     }
//! };
//! // All is written. What the peer still sends is read before the socket is closed, or that would destroy what it has not
//! // read yet.
//! socket.shutdown(Shutdown::Write)?;
//! socket.set_read_timeout(Some(Duration::from_secs(3)))?;
//! while socket.read(&mut [0; 256]).is_ok_and(|n| n > 0) {}
//! let why = link.handle_disconnected(now(), why);
//! link.process(now(), |_, event| println!("{event:?}"));
//! println!("{why}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server's link is the same loop; it may also ask to be held back, when [`space`](session::Link::space) is empty and
//! nothing is to be read.
//!
//! # Have a message stored once
//!
//! A message that is [sent](session::Client::send) has one outcome: delivered, failed, or taken back. It is written on one
//! link after the other until the peer has stored it, and it is stored once however often it arrives. That takes three
//! things, and without them it is stored once or more, as with anything that is tried again:
//!
//! * The client has an [`Identity`](session::Identity), so that its greeting names the device, and an epoch in which
//!   sequences do not repeat. If its messages are to outlive the process the application stores its state, and until it
//!   has [done so](session::Client::needs_saving) no message is written.
//! * The server keeps a [`Ledger`](delivery::Ledger) for every device, and writes it together with the message, in one
//!   transaction, before it [accepts](session::Server::accept) the message. The ledger's page has the recipe.
//! * The transport keeps the token secret, and everything else as it was sent: TLS, say.
//!
//! Large payloads go in chunks first, by [`delivery::transfer`], and then a message names them.
//!
//! # Be up to date
//!
//! What a device is to get waits for it in a mailbox, until all devices of the account have it. The client asks for it by
//! itself, on every link and whenever a notify says that there is something. Set [`Config::sync`](session::Config::sync) and
//! an identity; [`restore_cursor`](session::Client::restore_cursor) takes over the cursor that was stored, before the first
//! link. The application stores what comes:
//!
//! ```
//! use longlink::session::{Client, Event};
//! use longlink::{sync, Instant};
//!
//! # struct Database;
//! # impl Database {
//! #     fn store(&mut self, epoch: sync::Epoch, item: sync::Item<'_>) {}
//! #     fn drop_items(&mut self, key: u16) {}
//! #     fn finish(&mut self, cursor: &[u8]) -> bool { true }
//! # }
//! fn handle(now: Instant, client: &mut Client<'_>, event: Event<'_>, database: &mut Database) {
//!     if let Event::Page(page) = event {
//!         // One transaction: what is void, the items, and last the cursor.
//!         page.entries().filter(|entry| entry.resets).for_each(|entry| database.drop_items(entry.key));
//!         page.items().for_each(|item| database.store(page.epoch(), item));
//!         let mut cursor = [0; 8 + 12 * 8]; // 8 keys
//!         let length = client.cursor_after(&page.receipt(), &mut cursor);
//!         let stored = length.is_ok_and(|length| database.finish(&cursor[..length]));
//!         // Only then may the mailbox forget it.
//!         if stored && client.commit(now, &page.receipt()).is_ok() {
//!             return;
//!         }
//!         client.abandon(now); // it is asked for again
//!     }
//! }
//! ```
//!
//! The same item may come again after a crash, and is known by (epoch, key, val). The server's half is one call for each
//! request, [`answer_sync`](session::Server::answer_sync), over whatever store implements [`sync::Mailbox`].
//!
//! # Stay up
//!
//! With [`Config::dialer`](session::Config::dialer) the client says itself when to connect and where to: it races
//! addresses, waits longer after each failure and never in step with others, does what a server asks for when it sends
//! it away, goes dormant in the background, and comes back when it is woken. The application makes the connections
//! that it is asked for: [`session::Dialer`] has the loop.
//!
//! [`HeartbeatPolicy::Adaptive`](liveness::HeartbeatPolicy::Adaptive) finds out how long each network keeps a silent
//! link, and wakes the device no more often than that takes. What it learned comes as
//! [`Event::NetworkLearned`](session::Event::NetworkLearned), 16 bytes to store, and goes back in by
//! [`set_network`](session::Client::set_network). The platform is to say when somebody
//! [looks](session::Client::set_activity), and when the device was [woken](session::Client::wake).
//!
//! # Layers
//!
//! From the bytes up; each is of use alone, and none knows one further down this list.
//!
//! | module | what it is for |
//! |---|---|
//! | [`wire`] | bytes to frames and back; four protocols of the family, or your own |
//! | [`delivery`] | a message is stored once: outbox, retries, de-duplication, transfers |
//! | [`liveness`] | the link stays up: heartbeats that learn, reconnects that do not crowd, which address to try |
//! | [`sync`] | a device is up to date: cursors, pages, mailboxes |
//! | [`session`] | these composed: [`session::Client`], [`session::Server`] |
//! | [`io`] | drivers |
//!
//! Each module opens as a chapter: what it is for, how its parts fit, how to use it alone, what it does not do. Beside
//! them there is a [`guide`]: the native [`protocol`](guide::protocol) on one page, the terms of [`mqtt`](guide::mqtt) and
//! of Tencent [`mars`](guide::mars), and the [`threats`](guide::threats) that a deployment meets.
//!
//! # Features
//!
//! They only add. `sync` and `dialer`, on by default: the client's mailbox and the client that dials itself, some 11 KB of a
//! firmware each. `std`, `embedded-io-async`, `embedded-io`: a driver each in [`io`]. `log`,
//! `defmt`: log lines, and with the latter a `defmt::Format` on every public value; both may be on.
//!
//! # The contract
//!
//! * Methods named `handle_*` take an input, `poll_*` yield an output; what takes `&self` is a question; other verbs are
//!   commands.
//! * Time is an argument of `handle_*` and of commands. A clock that goes backwards stands still.
//! * Memory is the caller's; a full table is an ordinary error.
//! * Bad input gets a typed error with the offending number and costs the peer at most its own link.
//! * No input, order of calls or time panics: a firmware image that calls every function links without a panic handler,
//!   at two levels of optimisation. Outside of that are `Debug`, which `core` formats with panic paths, and
//!   the futures of `io::task`, into which the compiler puts one for who polls them after their end.

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod delivery;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod io;
pub mod liveness;
mod random;
pub mod session;
pub mod sync;
mod time;
mod trace;
pub mod wire;

pub use time::{Instant, earliest};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
