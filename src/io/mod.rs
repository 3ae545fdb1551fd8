//! Drivers: what moves bytes between a transport and a [`Link`](crate::session::Link), and wakes it in time.
//!
//! A driver runs one connection and returns why it ended; waiting for the next attempt is the caller's loop. It keeps no
//! protocol state: half-read frames and half-written runs belong to the link.
//!
//! * `io::std`, with the feature `std`: TCP sockets and threads.
//! * `io::task`, with the feature `embedded-io-async`: async tasks, on whatever executor.
//! * `io::blocking`, with the feature `embedded-io`: one step of a loop that never waits, for bare metal.

#[cfg(feature = "embedded-io")]
pub mod blocking;
#[cfg(feature = "std")]
pub mod std;
#[cfg(feature = "embedded-io-async")]
pub mod task;
