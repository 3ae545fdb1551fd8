use crate::delivery::sequence::{distance, is_newer};

/// Which messages may be written for the first time.
#[derive(Debug)]
pub(super) struct Span {
    /// Not above the lowest message that waits.
    pub(super) floor: u32,
    /// The highest ever written, 0 for none.
    pub(super) highest: u32,
    /// What the peer's window spans.
    pub(super) width: u32,
    /// From here on none is.
    pub(super) limit: u32,
    /// After the last sequence the first follows.
    pub(super) wraps: bool,
}

impl Span {
    pub(super) fn handle_written(&mut self, sequence: u32) {
        if self.highest == 0 || is_newer(sequence, self.highest) {
            self.highest = sequence;
        }
    }

    /// `true` if the peer may not know any more whether it has the message.
    pub(super) fn is_forgotten(&self, sequence: u32) -> bool {
        self.highest != 0 && !is_newer(sequence, self.highest) && distance(sequence, self.highest) >= self.width
    }
}

/// Finds the message in whose company links break.
#[derive(Debug)]
pub(super) struct Blame {
    pub(super) online: bool,
    /// A message was settled since the link came up.
    pub(super) settled: bool,
    /// If none was when it went down: the lowest that had been written.
    pub(super) suspect: Option<u32>,
}
