//! When the server is asked, and when it is left alone.

use super::memory::{Pending, Phase, State};
use super::{Client, SyncError};
use crate::time::{Instant, deadline, micros};
use core::time::Duration;

/// After the first failure, doubling up to the longest, and half of that as chance will have it.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The longest that a server may ask to be left alone; more counts as this, so that no forged number stops a device.
const LONGEST_DELAY: Duration = Duration::from_secs(3_600);
/// What a server names is not taken to the second, or all who were told come at once.
const LEAST_SPREAD: Duration = Duration::from_secs(5);
/// Between so many rounds and the next.
const PAUSE: Duration = Duration::from_millis(100);
/// A mailbox that begins anew a second time within so long is asked at the pace of failures.
const RESET_INTERVAL: Duration = Duration::from_secs(600);
/// An answer that says nothing was not held if it came within so long.
const AT_ONCE: Duration = Duration::from_secs(1);
/// So many rounds for nothing in a row are an accident.
const FRUITLESS: u8 = 2;
/// A page that could not be applied so often is asked for in single items.
const REJECTS: u8 = 3;

impl State {
    /// `true` while single items are asked for, because one of a page cannot be applied.
    pub(super) const fn isolates(&self) -> bool {
        self.rejects >= REJECTS
    }
}

impl Client<'_> {
    /// A request is due: not before `at`, nor before what a server has named.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn ask(&mut self, now: Instant, at: Option<Instant>) {
        let state = &mut self.memory.state;
        let at = at.max(state.not_before).filter(|at| *at > now);
        (state.phase, state.held) = (Phase::Due, false);
        state.at = at.filter(|_| state.is_online);
    }

    /// The round has brought all that it could. `moved` if that was anything.
    pub(super) fn finish(&mut self, now: Instant, moved: bool) {
        let pending = core::mem::replace(&mut self.memory.state.pending, Pending::Nothing);
        let more = match pending {
            Pending::Nothing => false,
            Pending::Something => true,
            Pending::Head(key, head) => head > self.memory.keys.val(key),
        };
        self.judge(now, moved);
        let state = &mut self.memory.state;
        (state.continues, state.retries, state.failures) = (false, false, 0);
        if more {
            state.hinted = true;
            return self.go_on(now);
        }
        state.tells.caught_up |= moved || !state.caught_up;
        (state.rounds, state.caught_up) = (0, true);
        if self.config.hold_secs() > 0 {
            return self.ask(now, None);
        }
        (state.phase, state.held) = (Phase::Idle, false);
        state.at = deadline(now, self.config.poll).filter(|_| state.is_online);
    }

    /// Hints that lead to nothing, twice in a row, are followed more slowly.
    fn judge(&mut self, now: Instant, moved: bool) {
        let state = &mut self.memory.state;
        let early = state.held && now.micros_since(state.asked) < micros(AT_ONCE);
        if moved {
            state.fruitless = 0;
        } else if state.hinted || early {
            state.fruitless = state.fruitless.saturating_add(1);
        }
        state.hinted = false;
        let fruitless = state.fruitless;
        if fruitless >= FRUITLESS {
            self.memory.state.not_before = Some(self.backoff(now, fruitless.saturating_sub(1)));
        }
    }

    /// The next page, right away or after a pause.
    pub(super) fn go_on(&mut self, now: Instant) {
        let state = &mut self.memory.state;
        if state.rounds < self.config.rounds {
            return self.ask(now, None);
        }
        state.rounds = 0;
        self.ask(now, deadline(now, PAUSE));
    }

    /// A sync did not succeed.
    pub(super) fn fail(&mut self, now: Instant, error: SyncError) {
        let state = &mut self.memory.state;
        (state.failures, state.retries) = (state.failures.saturating_add(1), true);
        (state.tells.failed, state.tells.caught_up, state.caught_up) = (Some(error), false, false);
        let failures = state.failures;
        let at = match error {
            SyncError::Busy { after } if !after.is_zero() => {
                let named = after.min(LONGEST_DELAY);
                Some(self.spread(now + named, half(named).max(LEAST_SPREAD)))
            }
            SyncError::Refused => deadline(now, self.config.poll),
            SyncError::TooLarge if self.halve() => None,
            _ => Some(self.backoff(now, failures)),
        };
        // What the network may have done is tried at once on a new link; the rest would happen there again.
        let is_network = matches!(error, SyncError::TimedOut | SyncError::TooLarge);
        let state = &mut self.memory.state;
        if !is_network {
            state.not_before = at;
        }
        state.greets_anew = error == SyncError::NotThisDevice;
        self.ask(now, at);
    }

    /// The page is asked for again, a little later.
    pub(super) fn ask_again(&mut self, now: Instant) {
        let state = &mut self.memory.state;
        (state.failures, state.retries) = (state.failures.saturating_add(1), true);
        let failures = state.failures;
        let at = Some(self.backoff(now, failures));
        self.ask(now, at);
    }

    /// The mailbox begins anew; the first time this is followed at once, and then ever more slowly, on whatever link.
    pub(super) fn follow_reset(&mut self, now: Instant) {
        let state = &mut self.memory.state;
        let again = state.reset.is_some_and(|until| until > now);
        state.resets = if again { state.resets.saturating_add(1) } else { 0 };
        (state.reset, state.failures) = (deadline(now, RESET_INTERVAL), 0);
        let resets = state.resets;
        if resets > 0 {
            self.memory.state.not_before = Some(self.backoff(now, resets));
        }
        self.go_on(now);
    }

    /// Half as much is asked for next; `false` if less is of no use.
    pub(super) fn halve(&mut self) -> bool {
        let least = self.config.least_bytes(self.memory.keys.capacity());
        let state = &mut self.memory.state;
        let was = state.max_bytes;
        state.max_bytes = (was / 2).max(least);
        state.max_bytes < was
    }

    /// Twice as much, up to what was configured.
    pub(super) fn double(&mut self) {
        let state = &mut self.memory.state;
        state.max_bytes = state.max_bytes.saturating_mul(2).min(state.most_bytes);
    }

    fn backoff(&self, now: Instant, failures: u8) -> Instant {
        let doubled = 1_u32.checked_shl(u32::from(failures).saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF);
        self.spread(now + half(longest), half(longest))
    }
}

fn half(duration: Duration) -> Duration {
    duration.checked_div(2).unwrap_or_default()
}
