mod dialing;
mod endpoint;
mod greeting;
mod incarnation;
mod keep;
mod life;
mod part;
mod send;
mod sync;

use super::connection::Connection;
use super::limits::GREETING_TIMEOUT;
use super::{Config, ConfigError, Dialer, Disconnect, Endpoint, Event, Hello, Stats, Work};
use crate::Instant;
use crate::delivery::{Epoch, Outbox};
use crate::liveness::{Activity, Heartbeat};
use crate::time::deadline;
use crate::wire::BufferTooSmall;
use core::num::NonZeroU32;
use incarnation::Incarnation;
pub use keep::RestoreError;
use part::Part;

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
/// | be up to date | [`sync`](Self::sync), [`commit`](Self::commit), [`reject`](Self::reject), [`abandon`](Self::abandon), [`cursor_after`](Self::cursor_after), [`restore_cursor`](Self::restore_cursor) |
/// | ask for life, end the link | [`heartbeat`](Self::heartbeat), [`close`](Self::close) |
/// | have links made | [`open`](Self::open), [`set_addresses`](Self::set_addresses), [`set_network`](Self::set_network), [`set_activity`](Self::set_activity), [`wake`](Self::wake), [`connect_now`](Self::connect_now) |
///
/// # One outcome for every token
///
/// A message ends as [`Event::Delivered`], [`Event::Failed`] or [`Event::Cancelled`], a request as [`Event::Reply`] or
/// one of the latter two, each exactly once. `Delivered` means that the peer has stored it. The other two say whether
/// it was written: then the peer may have it, and only [`send_again`](Self::send_again) makes sure that it is not
/// stored twice.
///
/// # A mailbox
///
/// With [`Config::sync`] the client brings the device up to date, whenever it is online. What is new comes as
/// [`Event::Page`]: store it, then [`commit`](Self::commit) it; when all is there, [`Event::CaughtUp`] says so. A cursor that
/// was stored is taken over by [`restore_cursor`](Self::restore_cursor) before the first link. It belongs to the
/// account: with another one start without. An item of which only a [stub](crate::sync::Item::is_stub) came is
/// [requested](Self::request) in parts, before the page is committed: with [`FETCH`](crate::sync::FETCH) and the bytes
/// of a [`Fetch`](crate::sync::Fetch).
///
/// # A state that is older than it should be
///
/// A client that was restored from an older backup is noticed at its greeting, and goes on in a new epoch. It loses
/// nothing that it reported as delivered; it may send a second time what the backup did not know to be settled: put an
/// identity of your own into the body if that matters. What nobody can notice is a device that lives twice: two processes
/// with one state, or a backup of a past that another backup had ended. Each of them may take for delivered what the peer
/// stored of the other. A state belongs to one process, and replaces the one before it.
///
/// Inputs, outputs and questions are those of [`Endpoint`], and
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
    sync: Part<crate::sync::Client<'b>, SYNCS>,
    dialer: Part<&'b mut Dialer, DIALS>,
    owes_greeting: bool,
    /// That it is done, where the dialect has a goaway.
    owes_goaway: bool,
    /// The last timer came late and everything started again; the next is taken as it comes.
    rebased: bool,
    tells: Tells,
}

/// Whether the build has the parts that it may leave out.
const SYNCS: bool = cfg!(feature = "sync");
const DIALS: bool = cfg!(feature = "dialer");

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
    /// The epoch has changed, from this one.
    epoch_lost: bool,
    epoch_before: Option<Epoch>,
    rewound: Option<(NonZeroU32, u32)>,
}

impl Tells {
    /// The next; `epoch` is the one in force.
    fn next(&mut self, epoch: Option<Epoch>) -> Option<Event<'static>> {
        if !self.waits {
            return None;
        }
        if let Some((from, to)) = self.rewound.take() {
            return Some(Event::ServerRewound { from: from.get(), to });
        }
        let changed = core::mem::take(&mut self.epoch_lost);
        if let Some(to) = epoch.filter(|_| changed) {
            return Some(Event::EpochLost { from: self.epoch_before, to });
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
        let body = (max_frame as usize).saturating_sub(required);
        let sync = Part::new(sync::client(config, work.sync, body)?);
        let dialer = Part::new(dialing::dialer(config, work.dialer)?);
        let outbox = Outbox::new(config.dialect, work.tx, work.slots).with_linger(config.linger, config.batch);
        let mut client = Self {
            config,
            state: State::Idle,
            max_frame,
            connection: Connection::new(outbox, Instant::ZERO),
            heartbeat: Heartbeat::new(config.heartbeat, config.answer_timeout),
            incarnation: Incarnation::new(epoch, keeps_state),
            sync,
            dialer,
            owes_greeting: false,
            owes_goaway: false,
            rebased: false,
            tells: Tells::default(),
        };
        client.heartbeat.set_foreground(config.dialer.is_some_and(|dialer| dialer.activity == Activity::Foreground));
        client.outbox().set_wraps(config.identity.is_none());
        client.limit();
        Ok(client)
    }

    /// A connection is there. One that was there before is taken for lost; [`Link::handle_connected`] also forgets what
    /// was half-read of it.
    ///
    /// [`Link::handle_connected`]: super::Link::handle_connected
    pub fn handle_connected(&mut self, now: Instant) {
        self.begin_link(now);
        self.with_dialer(now, |dialer, now| dialer.handle_connected(now));
    }

    fn begin_link(&mut self, now: Instant) {
        if self.state != State::Idle {
            // Not a network that forgot it: the application has another.
            self.heartbeat.handle_disconnected();
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
    }

    /// Sends a heartbeat as soon as possible. No-op unless the link is online, or while one is under way.
    pub fn heartbeat(&mut self, now: Instant) {
        self.connection.clock(now);
        self.heartbeat.beat();
    }

    /// Closes the link in good order: nothing new is sent, the answers that are owed are awaited for up to 10 s, then
    /// [`closing`](Endpoint::closing) says so. Messages that are not settled by then wait for the next link. No-op without a
    /// connection, or if it is closing already. With [`Config::dialer`] no other is wanted until [`open`](Self::open).
    pub fn close(&mut self, now: Instant) {
        self.with_dialer(now, |dialer, now| dialer.close(now));
        self.close_for(now, Disconnect::Closed);
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
}
