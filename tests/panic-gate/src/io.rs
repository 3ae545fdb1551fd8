//! The blocking driver. That for tasks is left out: the compiler puts a panic into every `async fn`, for a future that is
//! polled again after its end.

use crate::outside::{Fickle, any, dialect, keep, now};
use crate::session::{client, server};
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use longlink::io::blocking::step;
use longlink::session::{Config, Endpoint, Link, Server, ServerConfig, Storage};
use longlink::wire::Decoder;

pub fn call_all() {
    let mut storage: Storage = Storage::new();
    if let Ok(mut link) = storage.client(any(&Config::DEFAULT)) {
        blocking(&mut link, client);
    }
    if let (Ok(decoder), Ok(accepted)) =
        (Decoder::new(dialect(), Fickle), Server::new(any(&ServerConfig::DEFAULT), now()))
    {
        blocking(&mut Link::new(decoder, accepted), server::<Fickle, 1>);
    }
}

fn blocking<E: Endpoint, B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<E, B>, commands: fn(&mut E)) {
    let moved = step(any(link), &mut Uart, now(), |endpoint, event| {
        keep(event);
        commands(endpoint);
    });
    keep(moved);
}

/// A transport that may say anything, also that it moved more bytes than there were.
struct Uart;

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        any(Ok(true))
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        any(Ok(true))
    }
}

impl Read for Uart {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        keep(space);
        any(Ok(0))
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        keep(bytes);
        any(Ok(0))
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        any(Ok(()))
    }
}
