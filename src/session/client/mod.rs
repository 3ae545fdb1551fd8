mod endpoint;
mod greeting;
mod incarnation;
mod keep;
mod life;

use super::connection::Connection;
use super::limits::{DRAIN_TIMEOUT, GREETING_TIMEOUT};
use super::{Config, ConfigError, Disconnect, Endpoint, Event, GoAwayCode, Hello, SendError, Stats, Work};
use crate::Instant;
use crate::delivery::{Epoch, MessagePolicy, Outbox, PushError, RequestPolicy, Token};
use crate::liveness::Heartbeat;
use crate::time::deadline;
use crate::wire::{BufferTooSmall, fill};
use incarnation::Incarnation;
pub use keep::RestoreError;

/// The connecting side of a link, over as many connections as it takes, one at a time.
///
/// ```text
///              hello                  welcome
///     Idle ────────────▶ Greeting ────────────▶ Online
///      ▲ │                  │  │                 ▲  │ close, goaway
///      │ └──── no hello ────┼──┼─────────────────┘  ▼
///      │          close,    │  └──── goaway ────▶ Draining
///      │          time-out  ▼                       │ settled, or late
///      └─disconnected── Leaving ◀───────────────────┘
/// ```
///
/// * **Idle**: no connection. Messages may be queued; they are written on the next.
/// * **Greeting**: the hello is written, and nothing else; what is sent waits for its answer.
/// * **Online**: everything.
/// * **Draining**: nothing new; the answers that are owed are awaited, up to 10 s, or 3 s after the peer's goaway.
/// * **Leaving**: this side's goaway, if the dialect has one, is written, then [`closing`](Endpoint::closing) is to be
///   followed. A link found dead comes here too, with nothing left to write.
///
/// # Commands
///
/// | to | call |
/// |---|---|
/// | have a message stored | [`send`](Self::send), [`send_with`](Self::send_with), [`send_sealed`](Self::send_sealed), [`send_again`](Self::send_again) |
/// | ask for a reply | [`request`](Self::request), [`request_with`](Self::request_with) |
/// | send without an answer | [`send_one_way`](Self::send_one_way) |
/// | take one back, let none linger | [`cancel`](Self::cancel), [`flush`](Self::flush) |
/// | outlive this process | [`save`](Self::save), [`handle_saved`](Self::handle_saved), [`restore`](Self::restore) |
/// | ask for life, end the link | [`heartbeat`](Self::heartbeat), [`close`](Self::close) |
///
/// # One outcome for every token
///
/// A message ends as [`Event::Delivered`], [`Event::Failed`] or [`Event::Cancelled`], a request as [`Event::Reply`] or one of
/// the latter two, each exactly once. `Delivered` means that the peer has stored it. The other two say whether it was
/// written: then the peer may have it, and only [`send_again`](Self::send_again) makes sure that it is not stored twice.
///
/// # A state that is older than it should be
///
/// A client that was restored from an older backup is noticed at its greeting, and goes on in a new epoch. It loses
/// nothing that it reported as delivered; it may send a second time what the backup did not know to be settled: put an
/// identity of your own into the body if that matters.
///
///  Inputs, outputs and questions are those of [`Endpoint`], and
/// [`handle_connected`](Self::handle_connected).
#[derive(Debug)]
pub struct Client<'b> {
    config: &'b Config<'b>,
    state: State,
    /// The longest frame that the peer may send.
    max_frame: u32,
    /// Its `until` ends `Greeting`, `Draining` and `Leaving`.
    connection: Connection<Outbox<'b>, RESERVE>,
    heartbeat: Heartbeat,
    incarnation: Incarnation,
    owes_greeting: bool,
    owes_goaway: Option<GoAwayCode>,
    /// The last timer came late and everything started again; the next is taken as it comes.
    rebased: bool,
    tells: Tells,
}

/// A header of either layout and the fixed part of a hello.
const RESERVE: usize = 20 + Hello::LEN;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Greeting,
    Online,
    Draining,
    Leaving,
}

/// What is to be told without a frame.
#[derive(Debug, Default)]
struct Tells {
    /// There may be something.
    waits: bool,
    online: bool,
    offline: Option<Disconnect>,
    /// From the epoch before to this one's.
    epoch_lost: Option<(Option<Epoch>, Epoch)>,
    rewound: Option<(u32, u32)>,
}

impl Tells {
    fn next(&mut self) -> Option<Event<'static>> {
        if !self.waits {
            return None;
        }
        if let Some((from, to)) = self.rewound.take() {
            return Some(Event::ServerRewound { from, to });
        }
        if let Some((from, to)) = self.epoch_lost.take() {
            return Some(Event::EpochLost { from, to });
        }
        if let Some(why) = self.offline.take() {
            return Some(Event::Offline(why));
        }
        self.waits = false;
        core::mem::take(&mut self.online).then_some(Event::Online { welcome: None, resumed: false })
    }
}

impl<'b> Client<'b> {
    /// A client without a connection, with the memory it works in.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work, or the transmit buffer does not hold a header.
    pub fn new(config: &'b Config<'b>, work: Work<'b>) -> Result<Self, ConfigError> {
        config.check()?;
        let required = config.dialect.header_len();
        if work.tx.len() < required {
            return Err(BufferTooSmall { required }.into());
        }
        let max_frame = u32::try_from(work.rx).unwrap_or(u32::MAX).min(config.dialect.max_frame);
        if config.identity.is_some() && max_frame < Hello::MIN_MAX_FRAME {
            return Err(BufferTooSmall { required: Hello::MIN_MAX_FRAME as usize }.into());
        }
        let (epoch, keeps_state) = config.identity.map_or((None, false), |who| (who.epoch, who.keeps_state));
        let outbox = Outbox::new(config.dialect, work.tx, work.slots).with_linger(config.linger, config.batch);
        let mut client = Self {
            config,
            state: State::Idle,
            max_frame,
            connection: Connection::new(outbox, Instant::ZERO),
            heartbeat: Heartbeat::new(config.heartbeat, config.answer_timeout),
            incarnation: Incarnation::new(epoch, keeps_state),
            owes_greeting: false,
            owes_goaway: None,
            rebased: false,
            tells: Tells::default(),
        };
        client.outbox().set_wraps(config.identity.is_none());
        client.limit();
        Ok(client)
    }

    /// A connection is there. One that was there before is taken for lost; [`Link::handle_connected`] also forgets what
    /// was half-read of it.
    ///
    /// [`Link::handle_connected`]: super::Link::handle_connected
    pub fn handle_connected(&mut self, now: Instant) {
        if self.state != State::Idle {
            self.handle_disconnected(now, Disconnect::Transport);
        }
        let now = self.connection.clock(now);
        self.connection.handle_connected(now);
        self.rebased = false;
        self.incarnation.anonymous = false;
        self.limit();
        if self.greets() {
            self.state = State::Greeting;
            self.connection.until = deadline(now, GREETING_TIMEOUT);
            self.owes_greeting = true;
        } else {
            self.go_online(now);
        }
        self.watch(now);
    }

    /// Sends a message: it is written on this link and the next ones until the peer has stored it. It may be queued before
    /// there is a link.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed.
    pub fn send(&mut self, now: Instant, body: &[u8]) -> Result<Token, SendError> {
        let config = self.config;
        self.push(now, &config.message, (body.len(), false), |_, room| fill(room, body))
    }

    /// As [`send`](Self::send), with a policy of its own, and a body that is written in place: `encode` gets the room there is
    /// and returns the length it used.
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

    /// As [`send_with`](Self::send_with), for a body that is sealed with the message's epoch and sequence, which never repeat:
    /// together with the device they make a nonce. When an epoch is lost before the message was written it fails with
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

    /// Sends a message again under the `sequence` that it had in this epoch, after it ended as failed or taken back: if the
    /// peer has it already it is not stored a second time.
    ///
    /// # Errors
    ///
    /// [`SendError`], and nothing has changed: [`SendError::TooOld`] if the peer may not know any more whether it has it,
    /// [`SendError::Unassigned`] if no message had that sequence, [`SendError::TooMany`] if its slot is taken.
    pub fn send_again(&mut self, now: Instant, sequence: u32, body: &[u8]) -> Result<Token, SendError> {
        let (now, config) = (self.open_for_message(now, body.len())?, self.config);
        let outbox = self.outbox();
        let token = outbox.push_as(now, &config.message, sequence, body);
        let token = token.map_err(|error| SendError::from_push(error, outbox))?;
        self.watch(now);
        Ok(token)
    }

    /// Sends a request; its end is one [`Event::Reply`] or [`Event::Failed`] with the token returned. A request ends with
    /// its link and is not sent again: it must do no harm if it arrives and its reply does not.
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
        self.watch(now);
        Ok(())
    }

    /// Takes a message or a request back. It ends as [`Event::Cancelled`], which says whether that came too late. No-op if
    /// it has ended.
    pub fn cancel(&mut self, now: Instant, token: Token) {
        let now = self.connection.clock(now);
        self.outbox().cancel(token);
        self.settle(now);
        self.watch(now);
    }

    /// Lets what is due wait no longer for others to travel with.
    pub fn flush(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.outbox().flush();
        self.watch(now);
    }

    /// Sends a heartbeat as soon as possible. No-op unless the link is online, or while one is under way.
    pub fn heartbeat(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        self.heartbeat.beat();
        self.watch(now);
    }

    /// Closes the link in good order: nothing new is sent, the answers that are owed are awaited for up to 10 s, then
    /// [`closing`](Endpoint::closing) says so. Messages that are not settled by then wait for the next link. No-op without a
    /// connection, or if it is closing already.
    pub fn close(&mut self, now: Instant) {
        let now = self.connection.clock(now);
        match self.state {
            State::Idle | State::Draining | State::Leaving => {}
            State::Greeting => self.leave(now, Disconnect::Closed),
            State::Online => {
                self.state = State::Draining;
                self.outbox().freeze();
                self.connection.until = deadline(now, DRAIN_TIMEOUT);
                self.connection.why = Some(Disconnect::Closed);
                self.settle(now);
            }
        }
        self.watch(now);
    }

    /// `true` while what is sent is written at once.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.state == State::Online
    }

    /// `true` if no message and no request waits for its answer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.connection.transmit.frames.is_settled()
    }

    /// How many messages are neither delivered nor failed nor taken back.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.connection.transmit.frames.unsettled()
    }

    /// The longest frame that can be sent: what the transmit buffer, the dialect and the peer that greeted last allow.
    #[must_use]
    pub fn longest_frame(&self) -> usize {
        self.connection.transmit.frames.longest()
    }

    /// The epoch of this device's messages; `None` without an identity, and until the peer has named one.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match self.config.identity {
            Some(_) => self.incarnation.epoch,
            None => None,
        }
    }

    /// `true` while a heartbeat is under way: due and not written, or written and not answered.
    #[must_use]
    pub fn awaits_heartbeat(&self) -> bool {
        self.heartbeat.is_wanted() || self.heartbeat.is_awaited()
    }

    /// Counters of the connection that is there, or was last.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.connection.stats()
    }

    const fn outbox(&mut self) -> &mut Outbox<'b> {
        &mut self.connection.transmit.frames
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
                self.watch(now);
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
        let now = self.open_for_command(now, command)?;
        let outbox = self.outbox();
        let token = outbox.push_request(command, policy, room, encode);
        let token = token.map_err(|error| SendError::from_push(error, outbox))?;
        self.watch(now);
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
        self.open_for(now)
    }
}
