//! The mailbox of a device that has greeted: what is asked of it, and what the link says by itself.

use super::{Greeting, Server, State};
use crate::Instant;
use crate::session::transmit::Control;
use crate::session::{SendError, ServerEvent};
use crate::sync::body::Head;
use crate::sync::{self, Ack, Answered, Epoch, FETCH, Fetch, Mailbox, NOTIFY, Owed, Refusal, Request, SYNC, SYNC_DONE};
use crate::wire::{BufferTooSmall, Frame};
use core::time::Duration;

/// A sync that brings nothing after a cursor, or takes the place of one that is held, counts as many frames: five of them a
/// second are taken in the long run. To begin, or to begin anew, is such a one: who does so time and again stores nothing.
const FRUITLESS_SYNC: Duration = Duration::from_millis(200);

impl<B: AsRef<[u8]> + AsMut<[u8]>, const WORDS: usize> Server<'_, B, WORDS> {
    /// Answers a sync request from the `mailbox` of the device's account: with a page in the buffer, or, where that would say
    /// nothing and the request allows it, later. Returns what [`sync::answer`] found; an error of the store is in it, and
    /// the device is told to come back.
    ///
    /// That may be later, from a copy of the request's body; notifies may be written meanwhile.
    ///
    /// The page is as long as the request, the peer's longest frame and the buffer allow, and takes
    /// [`Request::MIN_BYTES`] and a header at least. Reading pauses until it is written.
    ///
    /// # Errors
    ///
    /// [`SendError`], and the request is not answered: lend a larger buffer and call again, or [refuse](Self::refuse_sync) it.
    /// [`SendError::Superseded`] if it needs no answer any more.
    pub fn answer_sync<M: Mailbox + ?Sized>(
        &mut self,
        now: Instant,
        sequence: u32,
        request: &Request<'_>,
        mailbox: &mut M,
    ) -> Result<Answered<M::Error>, SendError> {
        let now = self.connection.clock(now);
        let most = self.longest_body();
        let link = &mut self.sync;
        let mut found = None;
        let mut is_held = false;
        let sent = match self.state {
            State::Greeted if !link.awaits(sequence) => Err(SendError::Superseded),
            State::Greeted => {
                let queue = &mut self.connection.transmit.frames;
                let header = (self.config.dialect.reply_to(SYNC), sequence);
                let pushed = queue.push(self.config.dialect, header, self.max_frame, |room| {
                    let most = most.min(room.len());
                    let answered = sync::answer(request, mailbox, room.get_mut(..most).unwrap_or_default())?;
                    is_held = answered.is_empty && link.hold(now, sequence, request);
                    let length = answered.length;
                    found = Some(answered);
                    // Nothing is to be sent then.
                    if is_held { Err(BufferTooSmall { required: 0 }) } else { Ok(length) }
                });
                let longest = queue.capacity().min(self.max_frame as usize);
                pushed.map(|_| ()).map_err(|error| SendError::from_encode(error, queue.capacity(), longest))
            }
            State::Accepted => Err(SendError::NotGreeted),
            State::Leaving => Err(SendError::Closing),
            State::Lost | State::Down => Err(SendError::Offline),
        };
        let Some(answered) = found else { return Err(sent.err().unwrap_or(SendError::Closing)) };
        if !is_held {
            sent?;
            self.hold_back();
            self.sync.handle_answered(now, answered.error.is_none());
        }
        let brings = answered.moves && request.epoch.is_some() && answered.length > Head::LEN;
        if !brings && !is_held {
            self.charge(now, FRUITLESS_SYNC);
        }
        Ok(answered)
    }

    /// Answers a sync request without a look into the mailbox. No-op unless the link is open, and the request the newest.
    pub fn refuse_sync(&mut self, now: Instant, sequence: u32, refusal: Refusal) {
        let now = self.connection.clock(now);
        if self.state == State::Greeted {
            self.sync.refuse(now, sequence, refusal);
        }
    }

    /// Answers a request for a part of an item from the `mailbox` of the device's account. As
    /// [`answer_sync`](Self::answer_sync) otherwise, but nothing is held.
    ///
    /// # Errors
    ///
    /// [`SendError`], and the request is not answered.
    pub fn answer_fetch<M: Mailbox + ?Sized>(
        &mut self,
        now: Instant,
        sequence: u32,
        fetch: &Fetch,
        mailbox: &mut M,
    ) -> Result<Answered<M::Error>, SendError> {
        let most = self.longest_body();
        let mut found = None;
        self.send(now, self.config.dialect.reply_to(FETCH), sequence, |room| {
            let most = most.min(room.len());
            let answered = sync::answer_fetch(fetch, mailbox, room.get_mut(..most).unwrap_or_default())?;
            let length = answered.length;
            found = Some(answered);
            Ok(length)
        })?;
        self.hold_back();
        found.ok_or(SendError::Closing)
    }

    /// Tells the device that `key` of its mailbox has the head `head` now, where nothing more may be known of it. Call it for every
    /// rise, on every link of the account: what comes closer than a second is told together. In place of a notify a request
    /// that is held is answered. No-op unless a device has greeted on this link.
    pub fn notify(&mut self, now: Instant, epoch: Epoch, key: u16, head: u64) {
        self.connection.clock(now);
        if self.state == State::Greeted && self.intake.is_greeted() {
            self.sync.notify(epoch, key, head);
        }
    }

    /// Nothing is read until what is queued now is written.
    fn hold_back(&mut self) {
        self.greeting = Greeting::Answered { answering: self.connection.transmit.frames.unwritten() };
    }

    /// `true` while an answer of sync is not wholly written.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.greeting, Greeting::Answered { answering: 1.. })
    }

    /// So many bytes of the queue are written.
    pub(super) fn count_written(&mut self, n: u32) {
        if let Greeting::Answered { answering } = &mut self.greeting {
            *answering = answering.saturating_sub(n);
        }
    }

    /// The longest body that the peer takes.
    fn longest_body(&self) -> usize {
        (self.max_frame as usize).saturating_sub(self.config.dialect.header_len())
    }

    /// `true` while a frame is to be made up from the state of sync.
    pub(super) fn owes_sync(&self) -> bool {
        self.sync.is_owing()
    }

    pub(super) fn make_sync(&mut self) {
        let dialect = self.config.dialect;
        let Some(owed) = self.sync.take_owed(self.connection.now()) else { return };
        let transmit = &mut self.connection.transmit;
        let mut put = |header, body: &[u8]| transmit.put(dialect, Control::Sync, header, body, 0);
        match &owed {
            Owed::Answer { sequence, body } => put((dialect.reply_to(SYNC), *sequence), body),
            Owed::FetchReply { sequence, body } => put((dialect.reply_to(FETCH), *sequence), body),
            Owed::Head(body) => put((NOTIFY, 0), body),
            Owed::Something(body) => put((NOTIFY, 0), body),
        }
    }

    /// Its commands belong to sync, once a device has greeted; also on a link that is dead, and has forgotten the device.
    pub(super) fn is_of_sync(&self, command: u32) -> bool {
        let greeted = self.intake.was_greeted()
            || self.is_over() && self.config.dialect.greets_natively() && self.greeting != Greeting::None;
        matches!(command, SYNC | SYNC_DONE | FETCH) && greeted
    }

    /// A request was too long and skipped: the device is told, or it would wait.
    pub(super) fn handle_long_request(&mut self, now: Instant, command: u32, sequence: u32) {
        if self.state == State::Greeted && command == SYNC && self.is_of_sync(command) && sequence != 0 {
            self.sync.handle_request(now, sequence);
            self.sync.refuse(now, sequence, Refusal::Bad);
        }
    }

    pub(super) fn handle_sync_frame<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<ServerEvent<'f>> {
        if self.state != State::Greeted {
            return None;
        }
        let (sequence, body) = (frame.sequence(), frame.body());
        let event = match (frame.command(), sequence) {
            (SYNC_DONE, _) => Ack::decode(body).map(ServerEvent::SyncDone).ok(),
            (_, 0) => None,
            (SYNC, _) => {
                if self.sync.handle_request(now, sequence) {
                    self.charge(now, FRUITLESS_SYNC);
                }
                let request = Request::decode(body).map(|request| ServerEvent::Sync { sequence, request }).ok();
                if request.is_none() {
                    self.sync.refuse(now, sequence, Refusal::Bad);
                }
                request
            }
            _ => {
                let fetch = Fetch::decode(body).map(|fetch| ServerEvent::Fetch { sequence, fetch }).ok();
                if fetch.is_none() {
                    self.sync.refuse_fetch(sequence);
                }
                fetch
            }
        };
        if event.is_none() {
            self.count_misbehaviour(now);
        }
        event
    }
}
