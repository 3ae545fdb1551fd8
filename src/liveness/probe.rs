use crate::time::as_u32;
use crate::wire::{Decoded, Dialect, Header, Proof, decode, encode};

/// Checks that what listens at an address speaks the protocol: one heartbeat out, exactly its answer in.
///
/// A connection alone proves little: a captive portal, a load balancer without servers and another service accept one too.
///
/// ```text
///   Pending ──beat written and answered──▶ Alive
///      └─────anything else came──────────▶ Foreign
/// ```
///
/// Where only a [greeting](Proof::Greeting) is answered there is nothing to ask: the verdict is [`Verdict::Alive`] from the
/// start. Time is the caller's: a peer that stays silent is [`Verdict::Pending`] for ever.
///
/// The answer is a frame with the command of a heartbeat's answer, or of the heartbeat itself, so that an echo server is a
/// live peer. Its sequence may be any, its header extended, and it may have a body. Nothing behind it is taken from the
/// stream: the link goes on with the next frame.
///
/// ```
/// use longlink::{liveness::{Probe, Verdict}, wire::Dialect};
///
/// let mut probe = Probe::new(&Dialect::LONGLINK);
/// let mut echo = Vec::new();
/// while let Some(bytes) = probe.poll_transmit() {
///     echo.extend(bytes); // socket.write
///     let n = bytes.len();
///     probe.handle_sent(n);
/// }
/// let space = probe.space();
/// let n = space.len().min(echo.len());
/// space[..n].copy_from_slice(&echo[..n]); // socket.read
/// assert_eq!(probe.commit(n), Verdict::Alive);
/// ```
#[derive(Clone, Debug)]
pub struct Probe {
    dialect: &'static Dialect,
    beat: [u8; LONGEST_HEADER],
    /// The fixed header of the answer; room to drop the rest into when it is complete.
    answer: [u8; LONGEST_HEADER],
    /// So much of the beat is written; so much of the answer's fixed header is there.
    written: u8,
    held: u8,
    beat_len: u8,
    is_foreign: bool,
    /// So much of the answer is missing, as far as is known: more than nothing as long as something is.
    missing: u32,
}

/// That of the longer layout.
const LONGEST_HEADER: usize = 20;

/// What a [`Probe`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// Not known yet.
    Pending,
    /// It speaks the protocol. The connection is at the start of a frame, in both directions.
    Alive,
    /// It says something else. The connection is of no use.
    Foreign,
}

impl Probe {
    /// A probe of a connection on which nothing was written yet. A dialect that is not
    /// [consistent](Dialect::is_consistent) finds everything foreign.
    #[must_use]
    pub fn new(dialect: &'static Dialect) -> Self {
        let (mut beat, answer) = ([0; LONGEST_HEADER], [0; LONGEST_HEADER]);
        let (len, missing) = match dialect.proof {
            Proof::Greeting => (Some(0), 0),
            Proof::Heartbeat => {
                let sequence = dialect.heartbeat_sequence.unwrap_or(1);
                (encode(dialect, dialect.heartbeat, sequence, &[], &mut beat).ok(), as_u32(dialect.header_len()))
            }
        };
        let len = len.and_then(|len| u8::try_from(len).ok());
        let (beat_len, is_foreign) = (len.unwrap_or(0), len.is_none());
        Self { dialect, beat, answer, written: 0, held: 0, beat_len, is_foreign, missing }
    }

    /// What is to be written next, if anything is.
    #[must_use]
    pub fn poll_transmit(&self) -> Option<&[u8]> {
        let unwritten = self.beat.get(usize::from(self.written)..usize::from(self.beat_len))?;
        Some(unwritten).filter(|unwritten| !unwritten.is_empty() && !self.is_foreign)
    }

    /// The first `n` bytes of [`poll_transmit`](Self::poll_transmit) were written. More than there were counts as all.
    pub fn handle_sent(&mut self, n: usize) {
        self.written = u8::try_from(n).map_or(self.beat_len, |n| self.written.saturating_add(n).min(self.beat_len));
    }

    /// Where bytes of the connection are to be read to: never more than are missing of the answer. Empty if none are.
    #[must_use]
    pub fn space(&mut self) -> &mut [u8] {
        let held = usize::from(self.held);
        let start = if held < self.dialect.header_len() { held } else { 0 };
        let missing = if self.is_foreign { 0 } else { self.missing as usize };
        self.answer.get_mut(start..start.saturating_add(missing).min(LONGEST_HEADER)).unwrap_or_default()
    }

    /// The first `n` bytes of [`space`](Self::space) were read. More than there was room for counts as all of it.
    pub fn commit(&mut self, n: usize) -> Verdict {
        let n = n.min(self.space().len());
        self.missing = self.missing.saturating_sub(as_u32(n));
        if n > 0 && usize::from(self.held) < self.dialect.header_len() {
            self.held = self.held.saturating_add(u8::try_from(n).unwrap_or(u8::MAX));
            self.judge();
        }
        self.verdict()
    }

    /// What is known by now.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        if self.is_foreign {
            Verdict::Foreign
        } else if self.missing > 0 || self.written < self.beat_len {
            Verdict::Pending
        } else {
            Verdict::Alive
        }
    }

    /// Looks at what is there of the header.
    fn judge(&mut self) {
        let held = self.answer.get(..usize::from(self.held)).unwrap_or_default();
        let is_answer = |command| command == self.dialect.heartbeat_reply || command == self.dialect.heartbeat;
        let is_other = Header::read(self.dialect.layout, held).is_some_and(|header| !is_answer(header.command()));
        match decode(self.dialect, held) {
            _ if is_other => self.is_foreign = true,
            Ok(Decoded::Frame(_)) => self.missing = 0,
            Ok(Decoded::Incomplete { need }) => self.missing = as_u32(need),
            Err(_) => self.is_foreign = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `probe` read from `stream` until it wants no more, and says how much is left.
    fn read(probe: &mut Probe, mut stream: &[u8]) -> (Verdict, usize) {
        loop {
            let space = probe.space();
            let n = space.len().min(stream.len());
            if n == 0 {
                return (probe.verdict(), stream.len());
            }
            let (taken, rest) = stream.split_at(n);
            space[..n].copy_from_slice(taken);
            stream = rest;
            probe.commit(n);
        }
    }

    fn written(dialect: &'static Dialect) -> Probe {
        let mut probe = Probe::new(dialect);
        probe.handle_sent(probe.poll_transmit().map_or(0, <[u8]>::len));
        probe
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Probe>() <= 56);
    }

    #[test]
    fn the_answer_is_taken_and_nothing_behind_it() {
        let mut stream = [0; 64];
        let extended = b"an extension and more than fits";
        let header = crate::wire::encode_with_extension(&Dialect::MARS, 6, 9, extended, b"body", &mut stream).unwrap();
        assert_eq!(read(&mut written(&Dialect::MARS), &stream[..header + 3]), (Verdict::Alive, 3));
        assert_eq!(read(&mut written(&Dialect::MARS), &stream[..header - 1]), (Verdict::Pending, 0));
    }

    #[test]
    fn what_answers_something_else_is_foreign() {
        assert_eq!(read(&mut written(&Dialect::LONGLINK), b"HTTP/1.1 302 Found").0, Verdict::Foreign);
        let push = b"\0\0\0\x10\0\x10\0\x01\0\0\0\x7a\0\0\0\0";
        assert_eq!(read(&mut written(&Dialect::LONGLINK), push), (Verdict::Foreign, 0));
    }

    #[test]
    fn where_the_greeting_proves_life_nothing_is_asked() {
        let mut probe = Probe::new(&Dialect::GOIM);
        assert_eq!((probe.verdict(), probe.poll_transmit()), (Verdict::Alive, None));
        assert!(probe.space().is_empty());
    }

    #[test]
    fn an_answer_is_none_before_the_beat_is_written() {
        let mut probe = Probe::new(&Dialect::MARS);
        let echo = probe.beat;
        assert_eq!(read(&mut probe, &echo), (Verdict::Pending, 0));
        probe.handle_sent(19);
        assert_eq!(probe.verdict(), Verdict::Pending);
        probe.handle_sent(usize::MAX);
        assert_eq!(probe.verdict(), Verdict::Alive);
    }
}
