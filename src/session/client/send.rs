//! What a client sends: messages, requests, and frames that nobody answers.

use super::{Client, State};
use crate::Instant;
use crate::delivery::{Epoch, MessagePolicy, PushError, RequestPolicy, Token};
use crate::session::SendError;
use crate::sync::{SYNC, SYNC_DONE};
use crate::wire::{BufferTooSmall, fill};

impl Client<'_> {
    /// Sends a message: it is written on this link and the next ones until the peer has stored it. It may be queued before
    /// there is a link. Where the application [stores the client's state](Self::needs_saving), it is not written before that is
    /// done.
    ///
    /// Only an empty answer says that it is stored, four bytes reject it, and anything else is no answer to a message: where
    /// a peer of another family answers with a body use [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send(&mut self, now: Instant, body: &[u8]) -> Result<Token, SendError> {
        let config = self.config;
        self.push(now, &config.message, (body.len(), false), |_, room| fill(room, body))
    }

    /// As [`send`](Self::send), with a policy of its own, and a body that is written in place: `encode` gets the room
    /// there is and returns the length it used.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send_with(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        self.push(now, policy, (usize::MAX, false), |_, room| encode(room))
    }

    /// As [`send_with`](Self::send_with), for a body that is sealed with the message's epoch and sequence, which never
    /// repeat as long as no process starts from an older backup of the state, and a peer that is to name the epoch names
    /// none twice: together with the device they make a nonce. When an epoch is lost before the message was written it fails with
    /// [`Failure::EpochChanged`](crate::delivery::Failure::EpochChanged): seal it anew.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed; [`SendError::EpochUnknown`] before the first greeting of a client whose epoch
    /// the peer names, and without an identity.
    pub fn send_sealed(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        encode: impl FnOnce(Epoch, u32, &mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        let epoch = self.epoch().ok_or(SendError::EpochUnknown)?;
        self.push(now, policy, (usize::MAX, true), |sequence, room| encode(epoch, sequence, room))
    }

    /// Sends a message again under the `sequence` that it had, after it ended as failed or taken back: if the peer has it
    /// already it is not stored a second time. `epoch` and `sequence` are those of the token that came
    /// with its end: in another epoch the sequence is another message's.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed: [`SendError::EpochOver`] if another epoch is in force,
    /// [`SendError::TooOld`] if the peer may not know any more whether it has it, [`SendError::Unassigned`] if no
    /// message had that sequence, [`SendError::TooMany`] if its slot is taken.
    pub fn send_again(
        &mut self,
        now: Instant,
        epoch: Option<Epoch>,
        sequence: u32,
        body: &[u8],
    ) -> Result<Token, SendError> {
        if epoch != self.epoch() {
            return Err(SendError::EpochOver);
        }
        let (now, config) = (self.open_for_message(now, body.len())?, self.config);
        let outbox = self.outbox();
        let token = outbox.push_as(now, &config.message, sequence, body);
        let token = token.map_err(|error| SendError::from_push(error, outbox))?;
        self.need_link(now);
        Ok(token)
    }

    /// Sends a request; its end is one [`Event::Reply`](crate::session::Event::Reply) or
    /// [`Event::Failed`](crate::session::Event::Failed) with the token returned. A request ends with its link and is
    /// not sent again: it must do no harm if it arrives and its reply does not.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn request(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<Token, SendError> {
        let config = self.config;
        self.push_request(now, command, &config.request, body.len(), |room| fill(room, body))
    }

    /// As [`request`](Self::request), with a policy of its own, and a body that is written in place: `encode` gets the room
    /// there is and returns the length it used.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn request_with(
        &mut self,
        now: Instant,
        command: u32,
        policy: &RequestPolicy,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        self.push_request(now, command, policy, usize::MAX, encode)
    }

    /// Sends a frame with sequence 0, which nobody answers and nothing repeats.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send_one_way(&mut self, now: Instant, command: u32, body: &[u8]) -> Result<(), SendError> {
        let now = self.open_for_command(now, command)?;
        let outbox = self.outbox();
        let pushed = outbox.push_one_way(now, command, body);
        pushed.map_err(|error| SendError::from_push(error.into(), outbox))?;
        Ok(())
    }

    /// Takes a message or a request back. It ends as [`Event::Cancelled`](crate::session::Event::Cancelled), which says
    /// whether that came too late. No-op if it has ended.
    pub fn cancel(&mut self, now: Instant, token: Token) {
        let now = self.connection.clock(now);
        self.outbox().cancel(token);
        let all = self.is_settled();
        self.with_dialer(now, |dialer, now| dialer.handle_ended(now, all));
        self.settle(now);
    }

    /// Lets what is due wait no longer for others to travel with.
    pub fn flush(&mut self, now: Instant) {
        self.connection.clock(now);
        self.outbox().flush();
    }

    fn push(
        &mut self,
        now: Instant,
        policy: &MessagePolicy,
        (room, sealed): (usize, bool),
        encode: impl FnOnce(u32, &mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        let now = self.open_for_message(now, room)?;
        let refuses_empty = self.answers_alike();
        let mut is_empty = false;
        let encode = |sequence, room: &mut [u8]| {
            let length = encode(sequence, room)?;
            is_empty = refuses_empty && length == 0;
            if is_empty { Err(BufferTooSmall { required: 1 }) } else { Ok(length) }
        };
        let outbox = &mut self.connection.transmit.frames;
        match outbox.push(now, policy, (room, sealed), encode) {
            Err(_) if is_empty => Err(SendError::Empty),
            Ok(token) => {
                self.need_link(now);
                Ok(token)
            }
            Err(error) => {
                let sent = SendError::from_push(error, outbox);
                if error == PushError::EpochSpent {
                    self.renew_epoch(now);
                }
                Err(sent)
            }
        }
    }

    fn push_request(
        &mut self,
        now: Instant,
        command: u32,
        policy: &RequestPolicy,
        room: usize,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<Token, SendError> {
        self.open_for_command(now, command)?;
        let outbox = self.outbox();
        let token = outbox.push_request(command, policy, room, encode);
        let token = token.map_err(|error| SendError::from_push(error, outbox))?;
        Ok(token)
    }

    fn open_for(&mut self, now: Instant) -> Result<Instant, SendError> {
        match self.state {
            State::Idle => Err(SendError::Offline),
            State::Draining | State::Leaving => Err(SendError::Closing),
            State::Greeting | State::Online => Ok(self.connection.clock(now)),
        }
    }

    /// Messages may be queued in every state.
    fn open_for_message(&mut self, now: Instant, len: usize) -> Result<Instant, SendError> {
        if len == 0 && self.answers_alike() {
            return Err(SendError::Empty);
        }
        Ok(self.connection.clock(now))
    }

    /// A message and its answer have the same command, so that an empty one would look like its own answer.
    fn answers_alike(&self) -> bool {
        let dialect = self.config.dialect;
        dialect.reply_to(dialect.message) == dialect.message
    }

    /// Where messages are counted, a request under their command would be taken for one, and a message for its copy.
    fn open_for_command(&mut self, now: Instant, command: u32) -> Result<Instant, SendError> {
        if self.config.identity.is_some() && command == self.config.dialect.message {
            return Err(SendError::IsMessage);
        }
        if self.sync.is_some() && matches!(command, SYNC | SYNC_DONE) {
            return Err(SendError::IsSync);
        }
        self.open_for(now)
    }
}
