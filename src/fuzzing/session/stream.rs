use super::MOST;
use crate::session::Endpoint;
use crate::wire::{Decoder, Dialect};

/// What one side writes over one link, of which its peer must be able to make frames.
pub(super) struct Stream {
    decoder: Decoder<[u8; 2 * MOST]>,
    /// What was lent last and not told to be written.
    lent: [u8; 2 * MOST],
    lent_len: usize,
    /// What was written and is still under way.
    wire: [u8; MOST],
    wire_len: usize,
    /// The transport told that more was written than there was: nothing is known any more.
    lied: bool,
}

impl Stream {
    pub(super) fn new(dialect: &'static Dialect) -> Self {
        Self {
            decoder: Decoder::new(dialect, [0; 2 * MOST]).unwrap(),
            lent: [0; 2 * MOST],
            lent_len: 0,
            wire: [0; MOST],
            wire_len: 0,
            lied: false,
        }
    }

    /// Another connection.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
        (self.lent_len, self.wire_len, self.lied) = (0, 0, false);
    }

    /// Looks at what is lent now: what was lent before, and perhaps more. Nothing, only if the link is closing or gone.
    pub(super) fn look(&mut self, endpoint: &mut impl Endpoint, gone: bool) {
        let ends = gone || endpoint.closing().is_some();
        let before = &self.lent[..self.lent_len];
        let now = endpoint.poll_transmit().unwrap_or_default();
        assert!(now.starts_with(before) || ends && now.is_empty(), "what was lent has changed");
        let len = now.len();
        self.lent[..len].copy_from_slice(now);
        self.lent_len = len;
        let again = endpoint.poll_transmit();
        assert!(again.is_none_or(|again| !again.is_empty() && again.starts_with(&self.lent[..len])));
        if len == 0 && !ends && !self.lied {
            assert!(self.decoder.is_empty(), "a frame that was begun is not ended");
        }
    }

    /// `n` bytes of what is lent are written, so many there are.
    pub(super) fn write(&mut self, n: usize) -> usize {
        let n = n.min(self.lent_len);
        let bytes = &self.lent[..n];
        let mut rest = bytes;
        while !rest.is_empty() && !self.lied {
            let space = self.decoder.space();
            let part = rest.len().min(space.len());
            space[..part].copy_from_slice(&rest[..part]);
            self.decoder.commit(part);
            while self.decoder.next_frame().unwrap().is_some() {}
            rest = &rest[part..];
        }
        let kept = n.min(MOST - self.wire_len);
        self.wire[self.wire_len..][..kept].copy_from_slice(&bytes[..kept]);
        self.wire_len += kept;
        self.lent_len = 0;
        n
    }

    /// The transport says anything.
    pub(super) fn lie(&mut self) {
        (self.lied, self.lent_len) = (true, 0);
    }

    /// What is under way, or its first bytes.
    pub(super) fn take(&mut self, most: usize, out: &mut [u8; MOST]) -> usize {
        let n = self.wire_len.min(most);
        out[..n].copy_from_slice(&self.wire[..n]);
        self.wire.copy_within(n.., 0);
        self.wire_len -= n;
        n
    }
}
