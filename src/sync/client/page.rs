//! What an answer has to be to become a page, and what becomes of the page.

use super::memory::Phase;
use super::{Client, Rejected, StaleReceipt, SyncError};
use crate::Instant;
use crate::sync::body::List;
use crate::sync::{BodyError, Entry, Item, Page, Receipt, Response};
use crate::wire::{BufferTooSmall, fill};

impl Client<'_> {
    /// An answer to a sync request came. It is a page for the application if there is something in it to be stored; what
    /// else it may be is dealt with here. One that is not awaited is dropped.
    pub fn handle_response<'f>(&mut self, now: Instant, sequence: u32, body: &'f [u8]) -> Option<Page<'f>> {
        if !self.is_awaiting(sequence) {
            return None;
        }
        let error = match self.read(body) {
            Ok((Response::Page(page), moves)) => return self.take(now, page, moves),
            Ok((Response::RetryLater { after }, _)) => SyncError::Busy { after },
            Ok((Response::Refused, _)) => SyncError::Refused,
            Ok((Response::NotThisDevice, _)) => SyncError::NotThisDevice,
            Err(error) => error,
        };
        self.fail(now, error);
        None
    }

    /// An answer to a sync request was too long, and skipped. No-op if it is not awaited.
    pub fn handle_skipped(&mut self, now: Instant, sequence: u32) {
        if self.is_awaiting(sequence) {
            self.fail(now, SyncError::TooLarge);
        }
    }

    /// The page is stored, and so is the cursor after it: memory follows, the server is told, and what comes next is asked for.
    /// Of a receipt [up to an item](Receipt::up_to) only so much is.
    ///
    /// # Errors
    ///
    /// [`StaleReceipt`], and nothing has changed: the page is not with the application any more.
    pub fn commit(&mut self, now: Instant, receipt: &Receipt<'_>) -> Result<(), StaleReceipt> {
        self.judge_receipt(receipt)?;
        let moves = self.move_by(receipt);
        self.double();
        if receipt.is_reset() {
            self.follow_reset(now);
        } else if receipt.has_more() {
            let state = &mut self.memory.state;
            (state.continues, state.retries, state.failures, state.fruitless) = (true, false, 0, 0);
            self.go_on(now);
        } else {
            // A page for nothing, such as a gap that was told before, is paced as a hint that leads to nothing.
            self.memory.state.hinted |= !moves;
            self.finish(now, moves);
        }
        Ok(())
    }

    /// An item of the page cannot be applied. It is asked for again; after three times in single items, and one that cannot be
    /// applied when it comes alone is passed. What could be applied before it may be stored: it is known for what it is when
    /// it comes again.
    ///
    /// For what is wrong with the item only. If the store fails [`abandon`](Self::abandon) the page.
    ///
    /// # Errors
    ///
    /// [`StaleReceipt`], and nothing has changed.
    pub fn reject(&mut self, now: Instant, receipt: &Receipt<'_>, item: &Item<'_>) -> Result<Rejected, StaleReceipt> {
        self.judge_receipt(receipt)?;
        let state = &mut self.memory.state;
        let poison = (item.key, item.val);
        if state.isolates() {
            state.tells.hole = Some(poison);
            (state.continues, state.retries, state.failures, state.fruitless) = (true, false, 0, 0);
            self.move_by(&receipt.up_to(item));
            self.go_on(now);
            return Ok(Rejected::Passed);
        }
        (state.rejects, state.poison) = (state.rejects.saturating_add(1), Some(poison));
        self.ask_again(now);
        Ok(Rejected::AskedAgain)
    }

    /// The page cannot be stored just now. It is asked for again later, at the pace of failures. No-op if none is out.
    pub fn abandon(&mut self, now: Instant) {
        if self.is_applying() {
            self.ask_again(now);
        }
    }

    /// Writes the cursor as it will be after a commit, to be stored together with the items. Returns its length, 8 bytes and
    /// 12 for each key.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if `out` does not hold it; `out` is untouched then.
    pub fn cursor_after(&self, receipt: &Receipt<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut keys = 0_u16;
        self.moved(receipt, &mut |_, _| keys = keys.saturating_add(1));
        let required = List::LEN.saturating_add(Entry::LEN.saturating_mul(keys.into()));
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(List::LEN));
        let Some((head, mut rows)) = room else { return Err(BufferTooSmall { required }) };
        fill(head, &List::head(0, keys, Some(receipt.epoch())))?;
        self.moved(receipt, &mut |key, val| {
            if let Some((row, behind)) = core::mem::take(&mut rows).split_at_mut_checked(Entry::LEN) {
                // It has the length of a row.
                let _ = fill(row, &Entry::new(key, val).to_row());
                rows = behind;
            }
        });
        Ok(required)
    }

    /// The page is the one that is out.
    fn judge_receipt(&self, receipt: &Receipt<'_>) -> Result<(), StaleReceipt> {
        let is_out = self.is_applying() && receipt.id() == self.memory.state.page;
        if is_out { Ok(()) } else { Err(StaleReceipt) }
    }

    /// An answer has to make sense by itself, and to fit what was asked. `true` if it is a page that moves the cursor.
    fn read<'f>(&self, body: &'f [u8]) -> Result<(Response<'f>, bool), SyncError> {
        let keys = &self.memory.keys;
        let (mut moves, mut room) = (false, keys.capacity().saturating_sub(keys.len()));
        let response = Response::decode_after(body, &mut |entry| {
            let (key, val, asked) = (entry.key, entry.val, keys.val(entry.key));
            if !self.wants(key) {
                return Err(BodyError::Unasked { key });
            }
            if !entry.resets && val < asked {
                return Err(BodyError::ValFell { key, val });
            }
            if !keys.contains(key) && val > 0 {
                room = room.checked_sub(1).ok_or(BodyError::TooManyKeys { capacity: keys.capacity() })?;
            }
            moves |= val != asked;
            Ok(if entry.resets { 0 } else { asked })
        })?;
        let Response::Page(page) = response else { return Ok((response, false)) };
        let is_other = keys.epoch() != Some(page.epoch());
        if is_other && keys.epoch().is_some() && !page.is_reset() {
            return Err(SyncError::OtherEpoch { epoch: page.epoch() });
        }
        let (items, most) = (page.items().len(), self.max_items());
        if items > usize::from(most) {
            return Err(BodyError::Items { items: u16::try_from(items).unwrap_or(u16::MAX) }.into());
        }
        moves |= is_other;
        if page.has_more() && !moves { Err(BodyError::NoProgress.into()) } else { Ok((response, moves)) }
    }

    /// An answer that is in order: for the application, if there is something to be stored.
    fn take<'f>(&mut self, now: Instant, page: Page<'f>, moves: bool) -> Option<Page<'f>> {
        if !moves && page.items().len() == 0 && !page.entries().any(|entry| entry.has_gap || entry.resets) {
            self.finish(now, false);
            return None;
        }
        let state = &mut self.memory.state;
        (state.phase, state.at, state.held, state.caught_up) = (Phase::Applying, None, false, false);
        (state.page, state.not_before) = (state.page.wrapping_add(1), None);
        Some(page.with_id(state.page))
    }

    /// The cursor follows. `true` if it moves.
    fn move_by(&mut self, receipt: &Receipt<'_>) -> bool {
        let all = self.wants_all();
        let keys = &mut self.memory.keys;
        let mut moves = keys.epoch() != Some(receipt.epoch());
        if moves {
            keys.begin(Some(receipt.epoch()));
        }
        for entry in receipt.vals() {
            moves |= keys.val(entry.key) != entry.val;
            // There is room: that was judged when the page came, for keys that rise. One at 0 must not take a row from them.
            let _ = match (entry.resets, entry.val) {
                (true, 0) if all => {
                    keys.remove(entry.key);
                    Ok(())
                }
                (true, val) => keys.set(entry.key, val),
                (false, 0) if all => Ok(()),
                (false, val) => keys.merge(entry.key, val).map(|_| ()),
            };
        }
        self.list();
        let (keys, state) = (&self.memory.keys, &mut self.memory.state);
        let is_passed = state.poison.is_none_or(|(key, val)| keys.val(key) >= val);
        // A val of a key that begins anew names another item, or none.
        let begins = receipt.is_reset()
            || receipt.vals().any(|entry| entry.resets && state.poison.is_some_and(|(key, _)| key == entry.key));
        if is_passed || begins {
            (state.poison, state.rejects) = (None, 0);
        }
        state.owes_ack |= receipt.vals().any(|entry| entry.val > 0);
        moves
    }

    /// Every key and val of the cursor as [`move_by`](Self::move_by) will leave it.
    fn moved(&self, receipt: &Receipt<'_>, each: &mut dyn FnMut(u16, u64)) {
        let begins = self.memory.keys.epoch() != Some(receipt.epoch());
        let all = self.wants_all();
        let mut each = |key, val| {
            if val > 0 || !all {
                each(key, val)
            }
        };
        let (mut ours, mut theirs) = (self.memory.keys.entries(), receipt.vals());
        let (mut our, mut their) = (ours.next(), theirs.next());
        loop {
            let old = |entry: Entry| if begins { 0 } else { entry.val };
            match (our, their) {
                (None, None) => return,
                (Some(a), Some(b)) if a.key == b.key => {
                    each(a.key, if b.resets { b.val } else { old(a).max(b.val) });
                    (our, their) = (ours.next(), theirs.next());
                }
                (Some(a), b) if b.is_none_or(|b| a.key < b.key) => {
                    each(a.key, old(a));
                    our = ours.next();
                }
                (_, Some(b)) => {
                    each(b.key, b.val);
                    their = theirs.next();
                }
                (Some(_), None) => return,
            }
        }
    }
}
