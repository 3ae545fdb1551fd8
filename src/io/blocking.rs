//! [`step`] moves a link over an [`embedded_io`] transport as far as it goes without waiting.
//!
//! ```
//! use embedded_io::{Read, ReadReady, Write, WriteReady};
//! use longlink::Instant;
//! use longlink::io::blocking::{Progress, step};
//! use longlink::session::{Client, Disconnect, Link};
//!
//! /// `sleep` waits until a byte comes, or until then; with `true`, also until the transport takes bytes again.
//! fn hold_link<T: Read + Write + ReadReady + WriteReady>(
//!     link: &mut Link<Client<'_>, &mut [u8]>,
//!     mut uart: T,
//!     now: impl Fn() -> Instant,
//!     mut sleep: impl FnMut(Option<Instant>, bool),
//! ) -> Result<Disconnect, T::Error> {
//!     link.handle_connected(now());
//!     loop {
//!         match step(link, &mut uart, now(), |_client, event| println!("{event:?}"))? {
//!             Progress::Moved => {}
//!             Progress::Idle => {
//!                 let waits = link.poll_transmit().is_some();
//!                 sleep(link.poll_timeout(), waits);
//!             }
//!             Progress::Over(why) => return Ok(why),
//!         }
//!     }
//! }
//! ```

use crate::Instant;
use crate::session::{Disconnect, Endpoint, Link};
use embedded_io::{Read, ReadReady, Write, WriteReady};

/// What came of a [`step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// Bytes moved: call again soon.
    Moved,
    /// Nothing moved: sleep until the transport can be read, unless [`space`](Link::space) is empty; until it can be
    /// written, if [`poll_transmit`](Link::poll_transmit) has something; or until [`poll_timeout`](Link::poll_timeout).
    /// Who wakes up for a transport that is ready for what the link does not want now does not sleep at all.
    Idle,
    /// The connection is over; the link was told.
    Over(Disconnect),
}

/// Reads once, handles what came and what is due, writes and flushes once. Never waits, unless `flush` does: the transport is
/// asked first whether it is ready.
///
/// `on` is told each event, and may give the endpoint commands. Commands from elsewhere come before a step, not between an
/// [`Idle`](Progress::Idle) one and the sleep: the step writes them. The transport is not closed: after
/// [`Progress::Over`] end your side of the stream, read and drop what comes for up to 3 s, and close it.
///
/// # Errors
///
/// That of the transport; the link was told [`Disconnect::Transport`].
pub fn step<E, B, T>(
    link: &mut Link<E, B>,
    io: &mut T,
    now: Instant,
    mut on: impl FnMut(&mut E, E::Event<'_>),
) -> Result<Progress, T::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    T: Read + Write + ReadReady + WriteReady,
{
    let moved = transfer(link, io, now, &mut on);
    let over = match moved {
        Err(_) => Some(Disconnect::Transport),
        Ok(Progress::Over(why)) => Some(why),
        Ok(_) => link.over().or_else(|| link.closing().filter(|_| link.poll_transmit().is_none())),
    };
    let Some(why) = over else { return moved };
    let why = link.handle_disconnected(now, why);
    link.process(now, on);
    moved.map(|_| Progress::Over(why))
}

fn transfer<E, B, T>(
    link: &mut Link<E, B>,
    io: &mut T,
    now: Instant,
    on: &mut impl FnMut(&mut E, E::Event<'_>),
) -> Result<Progress, T::Error>
where
    E: Endpoint,
    B: AsRef<[u8]> + AsMut<[u8]>,
    T: Read + Write + ReadReady + WriteReady,
{
    let mut moved = Progress::Idle;
    let space = link.space();
    if !space.is_empty() && io.read_ready()? {
        match io.read(space)? {
            0 => link.handle_end(),
            n => link.handle_read(now, n),
        }
        moved = Progress::Moved;
    }
    link.process(now, on);
    if let Some(bytes) = link.poll_transmit() {
        if io.write_ready()? {
            let n = io.write(bytes)?;
            if n == 0 {
                // It is ready, and takes nothing: it never will.
                return Ok(Progress::Over(Disconnect::Transport));
            }
            link.handle_sent(now, n);
            io.flush()?;
            moved = Progress::Moved;
        }
    }
    Ok(moved)
}
