//! What the server says by itself, and what of it is news.

use super::Client;
use super::memory::{Pending, Phase};
use crate::sync::Notify;
use crate::time::{Instant, deadline};
use core::time::Duration;

/// A server that lost the last ack sends notifies for nothing; the ack is repeated after so long at most.
const REPEAT_ACK: Duration = Duration::from_secs(60);

impl Client<'_> {
    /// The server says that something has moved, in the body of a notify; one that cannot be read says just that.
    pub fn handle_notify(&mut self, now: Instant, body: &[u8]) {
        let Some(hint) = self.hint(body) else {
            // It does not know yet that this is here: the last ack was lost.
            let state = &mut self.memory.state;
            if state.phase == Phase::Idle && state.repeat_ack.is_none_or(|at| at <= now) {
                (state.owes_ack, state.repeat_ack) = (true, deadline(now, REPEAT_ACK));
            }
            return;
        };
        let state = &mut self.memory.state;
        match state.phase {
            Phase::Idle => {
                (state.hinted, state.rounds) = (true, 0);
                self.ask(now, None);
            }
            Phase::Due => {}
            Phase::Asked if state.held => {
                state.hinted = true;
                self.ask(now, None);
            }
            Phase::Asking | Phase::Asked | Phase::Applying => state.pending = state.pending.and(hint),
        }
    }

    /// What a notify says that is not known yet.
    fn hint(&self, body: &[u8]) -> Option<Pending> {
        let keys = &self.memory.keys;
        let Ok(notify) = Notify::decode(body) else { return Some(Pending::Something) };
        let says_nothing = notify.entries.is_empty();
        if notify.something || says_nothing || notify.epoch != keys.epoch() {
            return Some(Pending::Something);
        }
        let news = notify.entries.filter(|entry| self.wants(entry.key) && entry.val > keys.val(entry.key));
        news.map(|entry| Pending::Head(entry.key, entry.val)).reduce(Pending::and)
    }
}

impl Pending {
    /// Both: the higher head of one key; of two keys just that there is something.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Head(key, head), Self::Head(other, higher)) if key == other => Self::Head(key, head.max(higher)),
            _ => Self::Something,
        }
    }
}
