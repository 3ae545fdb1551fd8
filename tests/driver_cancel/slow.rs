//! A transport whose writes need their time and must not be dropped meanwhile.

use super::wire::Wire;
use embedded_io::{ErrorKind, ErrorType};

/// The same [`Wire`], in one piece or not.
pub(crate) struct Slow(pub(crate) Wire);

/// A write or a flush. Tears the stream when it is dropped before it is done.
struct Unfinished<'w>(&'w Wire);

impl<'w> Unfinished<'w> {
    fn new(wire: &'w Wire) -> Self {
        wire.state().is_writing = true;
        Self(wire)
    }

    fn done(self) {
        self.0.state().is_writing = false;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_torn |= state.is_writing;
    }
}

impl ErrorType for Slow {
    type Error = ErrorKind;
}

impl embedded_io_async::Read for Slow {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(space).await
    }
}

impl embedded_io_async::Write for Slow {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let unfinished = Unfinished::new(&self.0);
        let written = self.0.write_some(bytes, true).await;
        unfinished.done();
        written
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        let unfinished = Unfinished::new(&self.0);
        let flushed = self.0.clone().flush().await;
        unfinished.done();
        flushed
    }
}
