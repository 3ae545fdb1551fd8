//! Drivers: what moves bytes between a transport and a [`Link`](crate::session::Link), and wakes it in time.
//!
//! A driver runs one connection and returns why it ended; waiting for the next attempt is the caller's loop. It keeps no
//! protocol state: half-read frames and half-written runs belong to the link.
//!
//! | module | feature | for | one call |
//! |---|---|---|---|
//! | `io::std` | `std` | TCP sockets and threads | `Driver::run`: the whole connection |
//! | `io::task` | `embedded-io-async` | async tasks, on whatever executor | `run`, `run_buffered`, `run_whole`: the whole connection |
//! | `io::blocking` | `embedded-io` | bare metal: a loop that never waits | `step`: once around |
//!
//! They are thin. Where none fits, such as for a callback in a browser, the loop is written by hand: the
//! [front page](crate#hold-a-link) has it, and [`Link`](crate::session::Link) explains its steps.
//!
//! No driver connects, encrypts, retries or closes the transport for good. TLS goes below: whatever reads and writes bytes will
//! do, but for `io::std`, which takes a `TcpStream`. Which address to connect to, and when, says the [dialer](crate::session::Dialer).

#[cfg(feature = "embedded-io")]
pub mod blocking;
#[cfg(feature = "std")]
pub mod std;
#[cfg(feature = "embedded-io-async")]
pub mod task;
