//! A transport with nobody at the other end but an echo, which answers one request.

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use longlink::wire::{Decoded, Dialect, decode, encode};

pub struct Wire {
    dialect: &'static Dialect,
    reply: [u8; 64],
    /// So much of it is there, and so much was read.
    length: usize,
    read: usize,
}

impl Wire {
    pub const fn new(dialect: &'static Dialect) -> Self {
        Self { dialect, reply: [0; 64], length: 0, read: 0 }
    }
}

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        let rest = self.reply.get(self.read..self.length).unwrap_or_default();
        let n = rest.len().min(space.len());
        space[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        Ok(n)
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.read < self.length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let Ok(Decoded::Frame(frame)) = decode(self.dialect, bytes) else { return Err(ErrorKind::InvalidData) };
        if frame.command() != self.dialect.heartbeat {
            let reply = self.dialect.reply_to(frame.command());
            let length = encode(self.dialect, reply, frame.sequence(), frame.body(), &mut self.reply);
            self.length = length.map_err(|_| ErrorKind::OutOfMemory)?;
        }
        Ok(frame.length())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl WriteReady for Wire {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(true)
    }
}
