//! The mailbox of the device: what a client asks of it by itself, and what its application says to a page.

use super::{Client, SYNCS, State};
use crate::Instant;
use crate::session::transmit::Control;
use crate::session::{Config, ConfigError, Disconnect, Event};
use crate::sync::{
    self, CursorError, Item, Memory, NOTIFY, Receipt, Rejected, SYNC, SYNC_DONE, StaleReceipt, SyncKeys,
};
use crate::wire::{BufferTooSmall, Frame};

/// The part that syncs, where the configuration wants one. Bodies of up to `longest` bytes can be received.
pub(super) fn client<'b>(
    config: &'b Config<'b>,
    memory: Option<&'b mut Memory>,
    longest: usize,
) -> Result<Option<sync::Client<'b>>, ConfigError> {
    let (Some(sync), Some(identity)) = (&config.sync, config.identity) else { return Ok(None) };
    if !SYNCS {
        return Err(ConfigError::NotBuilt { feature: "sync" });
    }
    let memory = memory.filter(|memory| memory.capacity() > 0).ok_or(ConfigError::NoSyncMemory)?;
    Ok(Some(sync::Client::new(sync, memory, identity.device.get(), longest)?))
}

impl Client<'_> {
    /// Asks the mailbox now, as for a user who pulls the list down. It is asked by itself whenever a link is greeted, a notify
    /// comes, or too long a time has passed. No-op without [`Config::sync`], and without a link.
    pub fn sync(&mut self, now: Instant) {
        self.with_sync(now, |sync, now| sync.want(now));
    }

    /// The page is stored, and so is the [cursor after it](Self::cursor_after): the server is told, and what comes next is asked
    /// for. Of a receipt [up to an item](Receipt::up_to) only so much is.
    ///
    /// A page outlives its link: it may be committed on the next, or without one.
    ///
    /// # Errors
    ///
    /// [`StaleReceipt`], and nothing has changed: the page was committed, rejected or abandoned already.
    pub fn commit(&mut self, now: Instant, receipt: &Receipt<'_>) -> Result<(), StaleReceipt> {
        self.with_sync(now, |sync, now| sync.commit(now, receipt)).unwrap_or(Err(StaleReceipt))
    }

    /// An item of the page cannot be applied, for what is wrong with the item: as [`sync::Client::reject`].
    ///
    /// # Errors
    ///
    /// [`StaleReceipt`], and nothing has changed.
    pub fn reject(&mut self, now: Instant, receipt: &Receipt<'_>, item: &Item<'_>) -> Result<Rejected, StaleReceipt> {
        self.with_sync(now, |sync, now| sync.reject(now, receipt, item)).unwrap_or(Err(StaleReceipt))
    }

    /// The page cannot be stored just now: it is asked for again later. No-op if none is out.
    pub fn abandon(&mut self, now: Instant) {
        self.with_sync(now, |sync, now| sync.abandon(now));
    }

    /// Writes the cursor as it will be after a commit, to be stored together with the items. Returns its length, 8 bytes and
    /// 12 for each key; nothing is written without [`Config::sync`]. A receipt that is stale is not noticed: it gives a cursor
    /// that costs repeats, and no items.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] if `out` does not hold it; `out` is untouched then.
    pub fn cursor_after(&self, receipt: &Receipt<'_>, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.sync.as_ref().map_or(Ok(0), |sync| sync.cursor_after(receipt, out))
    }

    /// The cursor: what is committed, to be stored by [`encode`](SyncKeys::encode). `None` without [`Config::sync`].
    #[must_use]
    pub fn cursor(&self) -> Option<&SyncKeys> {
        self.sync.as_ref().map(sync::Client::keys)
    }

    /// Takes over a cursor that was stored, before the first link. No-op without [`Config::sync`].
    ///
    /// # Errors
    ///
    /// [`CursorError`], and nothing has changed.
    pub fn restore_cursor(&mut self, bytes: &[u8]) -> Result<(), CursorError> {
        match self.sync.as_mut() {
            Some(_) if self.state != State::Idle => Err(CursorError::Online),
            Some(sync) => sync.restore(bytes),
            None => Ok(()),
        }
    }

    /// `true` if everything that the mailbox had when it was asked last is here, and nothing else has been heard since.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.sync.as_ref().is_some_and(sync::Client::is_caught_up)
    }

    fn with_sync<T>(&mut self, now: Instant, act: impl FnOnce(&mut sync::Client<'_>, Instant) -> T) -> Option<T> {
        let now = self.connection.clock(now);
        self.sync.as_mut().map(|sync| act(sync, now))
    }

    /// A peer that was greeted has a mailbox.
    pub(super) fn meet_mailbox(&mut self, now: Instant) {
        if !self.incarnation.anonymous {
            self.with_sync(now, |sync, now| sync.handle_online(now));
        }
    }

    pub(super) fn part_from_mailbox(&mut self) {
        if let Some(sync) = self.sync.as_mut() {
            sync.handle_disconnected();
        }
    }

    pub(super) fn rebase_sync(&mut self, now: Instant) {
        if let Some(sync) = self.sync.as_mut() {
            sync.rebase(now);
        }
    }

    /// `true` while something is to be written: a link that is about to close still says what was stored.
    pub(super) fn owes_sync(&self) -> bool {
        let Some(sync) = self.sync.as_ref() else { return false };
        match self.state {
            State::Online => sync.is_due() || sync.owes_ack(),
            State::Draining => sync.owes_last_ack(),
            State::Idle | State::Greeting | State::Leaving => false,
        }
    }

    pub(super) fn make_sync(&mut self) {
        let dialect = self.config.dialect;
        let Some(sync) = self.sync.as_mut() else { return };
        let transmit = &mut self.connection.transmit;
        let request = if self.state == State::Online { sync.poll_request() } else { None };
        if let Some((sequence, body)) = request {
            transmit.put(dialect, Control::Sync, (SYNC, sequence), &body, sync.rows().len());
        } else if let Some(body) = sync.poll_last_ack() {
            transmit.put(dialect, Control::SyncNews, (SYNC_DONE, 0), &body, sync.rows().len());
        }
    }

    /// What is written has arrived by `arrival` as far as can be told.
    pub(super) fn handle_sync_sent(&mut self, arrival: Instant, control: Control) {
        let Some(sync) = self.sync.as_mut() else { return };
        if control == Control::Sync {
            sync.handle_request_sent(arrival);
        } else {
            sync.handle_ack_sent();
        }
    }

    pub(super) fn handle_sync_timeout(&mut self, now: Instant) {
        if !self.sync.is_some() {
            return;
        }
        // The answers to heartbeats do not count: they come whatever becomes of the request.
        let is_coming = self.connection.progress.poll_timeout().is_some();
        let heard = is_coming.then(|| self.heartbeat.last_received());
        let Some(sync) = self.sync.as_mut() else { return };
        let is_time = sync.poll_timeout().is_some_and(|at| at <= now);
        if sync.handle_timeout(now, heard) {
            self.heartbeat.beat();
        } else if is_time && sync.is_due() {
            // What is asked by the clock ends the silences that the heartbeat would try.
            self.heartbeat.beat_along();
        }
    }

    /// Its commands belong to sync, where there is a mailbox.
    pub(super) fn is_of_sync(&self, command: u32) -> bool {
        self.sync.is_some() && (command == NOTIFY || command == self.config.dialect.reply_to(SYNC))
    }

    pub(super) fn handle_sync_frame<'f>(&mut self, now: Instant, frame: &Frame<'f>) -> Option<Event<'f>> {
        let sync = self.sync.as_mut()?;
        if frame.command() == NOTIFY {
            sync.handle_notify(now, frame.body());
            return None;
        }
        if !sync.is_awaiting(frame.sequence()) {
            self.connection.count_dropped();
            return None;
        }
        let page = sync.handle_response(now, frame.sequence(), frame.body());
        if sync.take_unknown() {
            self.leave(now, Disconnect::UnknownDevice);
        }
        page.map(Event::Page)
    }

    pub(super) fn handle_skipped_page(&mut self, now: Instant, command: u32, sequence: u32) {
        let is_page = command == self.config.dialect.reply_to(SYNC);
        if let Some(sync) = self.sync.as_mut().filter(|_| is_page) {
            sync.handle_skipped(now, sequence);
        }
    }
}
