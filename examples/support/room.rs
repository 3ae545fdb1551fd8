//! What the server does on one link: greets the device, stores its messages before it acknowledges them, answers what it
//! asks of its mailbox, and pushes what others sent.
//!
//! Needs `hub.rs`, `keeper.rs`, `mailbox`, `mailing.rs`, `pool.rs`, `store.rs` and `transfers.rs` as its sibling modules.

use super::hub::{Hub, Seat};
use super::keeper::{Keeper, Record};
use super::mailbox::{Accepted, LONGEST_NAME, is_addressed};
use super::mailing::Mailing;
use super::pool::{Buffer, Pool};
use super::store::Outcome;
use super::transfers::{Desk, Transfers};
use longlink::Instant;
use longlink::delivery::transfer::{self, Answer, ChunkRefusal, Status};
use longlink::delivery::{AcceptError, MessageId, RejectCode, Rejection};
use longlink::io::std::Clock;
use longlink::session::{GoAway, GoAwayCode, Hello, HelloStatus, Refuse, SendError, Server, ServerConfig, ServerEvent};
use longlink::wire::{Dialect, Frame, ReplyRule};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// After something failed to be stored, the device may come back in so long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What all links share.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) clock: Clock,
    pub(crate) keeper: Keeper,
    pub(crate) hub: Hub,
    pub(crate) transfers: Transfers,
    pub(crate) pool: Pool,
}

impl Shared {
    /// What all links of a server with this configuration share.
    pub(crate) fn new(config: ServerConfig, keeper: Keeper) -> Self {
        let (hub, transfers) = (Hub::default(), Transfers::default());
        // A whole frame, or some.
        let length = config.dialect.max_frame.max(64 * 1_024);
        Self { config, clock: Clock::start(), keeper, hub, transfers, pool: Pool::new(length as usize) }
    }
}

/// One link's application.
pub(crate) struct Room<'h> {
    id: u64,
    dialect: &'static Dialect,
    hub: &'h Hub,
    keeper: &'h Keeper,
    transfers: &'h Transfers,
    pool: &'h Pool,
    seat: Arc<Seat>,
    /// Who has greeted.
    device: Option<Record>,
    /// The device asks its mailbox: it knows what a notify is.
    syncs: bool,
    /// What came since the last turn and is to be stored, in the order in which it came.
    offered: Vec<(MessageId, Vec<u8>)>,
    /// What became of it, to be told in the same order.
    decided: VecDeque<(MessageId, Outcome)>,
    /// Where its transfers go, if they are stored.
    desk: Option<Arc<Desk>>,
}

pub(crate) type Session<'b> = Server<'b, Buffer>;

impl<'h> Room<'h> {
    pub(crate) fn new(id: u64, shared: &'h Shared) -> Self {
        let Shared { config, keeper, hub, transfers, pool, .. } = shared;
        let seat = hub.join(id);
        let (device, offered, decided, desk) = (None, Vec::new(), VecDeque::new(), None);
        let (dialect, syncs) = (config.dialect, false);
        Self { id, dialect, hub, keeper, transfers, pool, seat, device, syncs, offered, decided, desk }
    }

    /// Has this woken when there is something to do that other links have brought about.
    pub(crate) fn listen(&self, waker: &Waker) {
        self.seat.listen(waker);
    }

    pub(crate) fn handle(&mut self, now: Instant, server: &mut Session<'_>, event: Option<ServerEvent<'_>>) {
        match event {
            Some(ServerEvent::Hello(hello)) => self.greet(now, server, &hello),
            Some(ServerEvent::Greeting(_)) => self.welcome(now, server),
            Some(ServerEvent::Message { id, frame }) => self.offered.push((id, frame.body().to_vec())),
            Some(ServerEvent::Sync { sequence, request }) => {
                self.syncs = true;
                self.lend(server);
                self.mailing(|mailing| mailing.answer(now, server, sequence, &request));
            }
            Some(ServerEvent::SyncDone(ack)) => self.mailing(|mailing| mailing.acknowledge(&ack)),
            Some(ServerEvent::Fetch { sequence, fetch }) => {
                self.lend(server);
                self.mailing(|mailing| mailing.fetch(now, server, sequence, &fetch));
            }
            Some(ServerEvent::Request(frame)) => self.answer(now, server, &frame),
            Some(ServerEvent::OneWay(frame)) => self.take(&frame),
            Some(ServerEvent::GoAway(goaway)) => eprintln!("link {}: the peer says goaway: {goaway}", self.id),
            Some(_) => {}
            None => self.act(now, server),
        }
    }

    /// All that came was handed over: what is to be done with it together.
    fn act(&mut self, now: Instant, server: &mut Session<'_>) {
        self.keep(now, server);
        let told = self.tell(now, server);
        let leave = self.seat.news().leave;
        if let Some(goaway) = leave {
            server.close(now, goaway);
        }
        self.push(now, server);
        if self.syncs {
            self.mailing(|mailing| mailing.notify(now, server, &self.seat));
        }
        if !told {
            // Quiet links hold no buffer.
            drop(server.reclaim());
        }
    }

    /// What is of the device's mailbox is dealt with there.
    fn mailing(&self, act: impl FnOnce(Mailing<'_>)) {
        if let Some(device) = &self.device {
            act(Mailing { id: self.id, device });
        }
    }

    /// Gives the device's lease to this link: durably, and before the answer. The account is whatever the token says. A real
    /// server checks it, and takes it over an encrypted transport only.
    fn greet(&mut self, now: Instant, server: &mut Session<'_>, hello: &Hello<'_>) {
        let account = str::from_utf8(hello.token).ok().filter(|account| account.len() <= LONGEST_NAME);
        let Some(account) = account else {
            return self.refuse(now, server, &Refuse::new(HelloStatus::TokenRefused));
        };
        let device = self.keeper.device(account, hello.device.get());
        let greeted = device.greet(hello.epoch, hello.link).and_then(|greeted| Ok((greeted, device.ledger()?)));
        // What the answer says of the device's messages is final: no older link stores any from here on.
        let (greeted, ledger) = match greeted {
            Ok((Ok(greeted), ledger)) => (greeted, ledger),
            Ok((Err(stale), _)) => return self.refuse(now, server, &Refuse::from(stale)),
            Err(error) => {
                eprintln!("link {}: cannot store the greeting: {error:#}", self.id);
                let busy = Refuse { retry_after: RETRY_AFTER, ..Refuse::new(HelloStatus::Busy) };
                return self.refuse(now, server, &busy);
            }
        };
        let lease = (greeted.epoch, greeted.link);
        if !self.hub.take_over(self.id, device.name(), lease)
            || (ledger.epoch(), ledger.link()) != (Some(lease.0), lease.1)
        {
            let late = Refuse { link: ledger.link(), ..Refuse::new(HelloStatus::LinkTooOld) };
            return self.refuse(now, server, &late);
        }
        self.lend(server);
        match server.welcome(now, &ledger, greeted.resumed) {
            Ok(()) => self.sit_down(device),
            Err(error) => eprintln!("link {}: cannot answer the greeting: {error}", self.id),
        }
    }

    fn sit_down(&mut self, device: Record) {
        self.desk = device.files().and_then(|dir| {
            let desk = self.transfers.of(dir);
            desk.inspect_err(|error| eprintln!("link {}: no transfers: {error}", self.id)).ok()
        });
        self.device = Some(device);
    }

    fn refuse(&self, now: Instant, server: &mut Session<'_>, refuse: &Refuse) {
        eprintln!("link {}: the greeting is refused: {}", self.id, refuse.status);
        self.lend(server);
        if let Err(error) = server.refuse(now, refuse) {
            eprintln!("link {}: cannot answer the greeting: {error}", self.id);
        }
    }

    /// Completes the greeting in the family's own form.
    fn welcome(&self, now: Instant, server: &mut Session<'_>) {
        let body: &[u8] = if *self.dialect == Dialect::BILIBILI { br#"{"code":0}"# } else { b"" };
        self.lend(server);
        if let Err(error) = server.welcome_with(now, body) {
            eprintln!("link {}: cannot answer the greeting: {error}", self.id);
        }
    }

    /// Stores all that was offered in one go, and passes on what is new. What is for one account is in its mailbox.
    fn keep(&mut self, now: Instant, server: &mut Session<'_>) {
        let offered = std::mem::take(&mut self.offered);
        let Some(device) = self.device.as_ref().filter(|_| !offered.is_empty()) else { return };
        let messages: Vec<_> = offered.iter().map(|(id, body)| (*id, body.as_slice())).collect();
        match device.accept(&messages) {
            Ok(Accepted { outcomes, heads }) => {
                self.hub.notify(&heads);
                for ((id, body), outcome) in offered.into_iter().zip(outcomes) {
                    if outcome == Outcome::Stored && (heads.is_empty() || !is_addressed(&body)) {
                        self.hub.pass_on(self.id, &body);
                    }
                    self.decided.push_back((id, outcome));
                }
            }
            Err(error) => {
                eprintln!("link {}: cannot store {} messages: {error:#}", self.id, messages.len());
                server.close(now, GoAway::new(GoAwayCode::Restart).with_retry_after(RETRY_AFTER));
            }
        }
    }

    /// Tells the peer what became of its messages, as far as there is room. `true` if there was something to tell.
    fn tell(&mut self, now: Instant, server: &mut Session<'_>) -> bool {
        if !self.decided.is_empty() {
            // With a buffer the answers travel together.
            self.lend(server);
        }
        let mut told = false;
        while let Some((id, outcome)) = self.decided.front() {
            let said = match outcome {
                Outcome::Stored | Outcome::Duplicate => server.accept(now, id),
                Outcome::TooOld => server.reject(now, id, Rejection::new(RejectCode::TooOld)),
                Outcome::Refused => server.reject(now, id, Rejection::new(RejectCode::Refused)),
                Outcome::OutOfOrder => server.reject(now, id, Rejection::new(RejectCode::OutOfOrder)),
                Outcome::Stale => {
                    server.close(now, GoAway::new(GoAwayCode::Replaced));
                    Err(AcceptError::Stale)
                }
            };
            if said == Err(AcceptError::Full) {
                break;
            }
            told = true;
            self.decided.pop_front();
        }
        told
    }

    /// Answers a request; in families where every request has an answer of the same command, all of them.
    fn answer(&mut self, now: Instant, server: &mut Session<'_>, frame: &Frame<'_>) {
        let body = match (frame.command(), &self.desk) {
            (command, _) if command == self.dialect.message || self.dialect.reply_rule == ReplyRule::Same => Vec::new(),
            (transfer::OPEN, None) if self.device.is_some() => Answer::new(Status::TooLarge).to_bytes().to_vec(),
            (transfer::OPEN, Some(desk)) => match desk.open(frame.body()) {
                Ok(answer) => answer,
                Err(error) => {
                    eprintln!("link {}: cannot open a transfer: {error}", self.id);
                    return server.misbehaves(now);
                }
            },
            (transfer::CHUNK, Some(desk)) => desk.chunk(frame.body()),
            (command, _) => return eprintln!("link {}: request {command} is not known here", self.id),
        };
        if frame.command() == transfer::CHUNK && body == ChunkRefusal::Malformed.to_bytes() {
            server.misbehaves(now);
        }
        self.lend(server);
        match server.reply(now, frame.command(), frame.sequence(), &body) {
            Ok(()) => self.take(frame),
            Err(SendError::Closing) => {}
            Err(error) => {
                eprintln!("link {}: cannot answer: {error}", self.id);
                server.close(now, GoAway::new(GoAwayCode::Overload));
            }
        }
    }

    /// Passes on a message that came without a greeting.
    fn take(&self, frame: &Frame<'_>) {
        if frame.command() == self.dialect.message {
            self.hub.pass_on(self.id, frame.body());
        }
    }

    /// Pushes what other links sent, as far as there is room.
    fn push(&mut self, now: Instant, server: &mut Session<'_>) {
        server.set_counter(u32::try_from(self.hub.len()).unwrap_or(u32::MAX));
        if !server.is_open() {
            return;
        }
        let mut news = self.seat.news();
        while let Some(body) = news.pushes.front() {
            self.lend(server);
            match server.push(now, self.dialect.push, body) {
                Err(SendError::Full { .. }) => return,
                Err(error) => eprintln!("link {}: a push was dropped: {error}", self.id),
                Ok(()) => {}
            }
            news.pushes.pop_front();
        }
    }

    /// Gives the link a buffer if it has none.
    fn lend(&self, server: &mut Session<'_>) {
        if !server.has_buffer() {
            drop(server.lend(self.pool.take()));
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // Whoever replaced this link goes on with the transfers.
        if let Some(desk) = self.desk.take().filter(|_| !self.seat.is_replaced()) {
            desk.rest();
        }
        self.hub.leave(self.id);
    }
}
