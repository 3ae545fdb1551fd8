//! What the client does on its links, and what it prints.
//!
//! Needs `bell.rs`, `dialing.rs`, `events.rs`, `lines.rs`, `random.rs`, `sending.rs`, `state.rs` and `syncing.rs` as its sibling
//! modules.

use super::bell::Doorbell;
use super::dialing::{Dialing, Won};
use super::events::{failed, line, print};
use super::lines::{Input, Line, addressed};
use super::random::random;
use super::sending::Sending;
use super::state::StateFile;
use super::syncing::Syncing;
use anyhow::bail;
use longlink::Instant;
use longlink::delivery::{Failure, RejectCode, Rejection, Token};
use longlink::io::std::{Clock, Waker};
use longlink::liveness::Activity;
use longlink::session::{Client, Config, Disconnect, Endpoint, Event, SendError};
use longlink::sync::SyncError;
use longlink::wire::{Batch, Frame};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::str::Utf8Error;
use std::time::Duration;

/// What is to be done, and how far it got.
pub(crate) struct Session<'c> {
    config: Config<'c>,
    /// Where the link is, or was last.
    address: Option<SocketAddr>,
    /// How it comes by its links, unless somebody else connects.
    dialing: Option<Dialing>,
    /// When nobody looks any more.
    background_at: Option<Instant>,
    input: Input,
    /// Whom the messages are for.
    to: Option<String>,
    sending: Option<Sending>,
    syncing: Option<Syncing>,
    state: Option<StateFile>,
    /// There are messages, or outcomes, that the stored state does not know of.
    has_new: bool,
    has_outcomes: bool,
    stay: Duration,
    /// Until when to stay, once online.
    until: Option<Instant>,
    bell: Doorbell,
    /// When it rings for the transfer or the mailbox.
    rings_at: Option<Instant>,
    /// The first thing that went wrong.
    trouble: Option<String>,
    /// It is of no use to go on.
    gives_up: bool,
}

impl<'c> Session<'c> {
    pub(crate) fn new(config: Config<'c>, input: Input, bell: Doorbell) -> Self {
        Self {
            config,
            address: None,
            dialing: None,
            background_at: None,
            input,
            to: None,
            sending: None,
            syncing: None,
            state: None,
            has_new: false,
            has_outcomes: false,
            stay: Duration::ZERO,
            until: None,
            bell,
            rings_at: None,
            trouble: None,
            gives_up: false,
        }
    }

    /// A file to send as well.
    pub(crate) fn with_file(self, sending: Option<Sending>) -> Self {
        // The transfer is in the state before it is on the wire.
        Self { has_new: sending.is_some(), sending, ..self }
    }

    /// Says in each message whom it is for.
    pub(crate) fn with_recipient(self, to: Option<String>) -> Self {
        Self { to, ..self }
    }

    /// Has a mailbox.
    pub(crate) fn with_mailbox(self, syncing: Option<Syncing>) -> Self {
        Self { syncing, ..self }
    }

    /// Where what outlives the process is kept.
    pub(crate) fn with_state(self, state: Option<StateFile>) -> Self {
        Self { state, ..self }
    }

    /// Keeps the link for so long from when it is online.
    pub(crate) fn with_stay(self, stay: Duration) -> Self {
        Self { stay, ..self }
    }

    /// Goes into the background so long after `now`.
    pub(crate) fn with_background(self, now: Instant, after: Option<Duration>) -> Self {
        if let Some(after) = after {
            self.bell.ring_in(after);
        }
        Self { background_at: after.map(|after| now + after), ..self }
    }

    /// Wants links from now on, and says where they may be.
    pub(crate) fn dial(&mut self, now: Instant, client: &mut Client<'_>, mut dialing: Dialing) {
        dialing.open(now, client, random());
        self.dialing = Some(dialing);
    }

    /// Without a link: waits for one, and for whatever else there is to do something about.
    pub(crate) fn wait(&mut self, clock: Clock, client: &mut Client<'_>) -> Option<Won> {
        let sending = self.sending.as_ref();
        self.dialing.as_mut()?.wait(clock, client, |line| show(sending, line))
    }

    /// A link is there.
    pub(crate) fn connect(&mut self, address: SocketAddr, waker: Waker) {
        self.address = Some(address);
        self.bell.connect(waker);
    }

    /// While a link is up; without one only what is told by an event.
    pub(crate) fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) {
        match event {
            None => {
                self.hear(now, client);
                self.act(now, client);
            }
            Some(Event::Batch(batch)) => self.walk(now, client, batch),
            Some(event) if self.is_of_dialing(&event) => {}
            Some(event) if self.is_of_transfer(now, &event) || self.is_of_mailbox(now, client, &event) => {}
            Some(event) => self.tell(now, event),
        }
    }

    /// Sends what is to be sent, stores what has to be, and closes once all is done.
    pub(crate) fn act(&mut self, now: Instant, client: &mut Client<'_>) {
        if self.background_at.take_if(|at| *at <= now).is_some() {
            client.set_activity(now, Activity::Background);
            self.print(&json!({"event": "background"}));
        }
        self.send_file(now, client);
        self.sync(now, client);
        if self.until.is_some() || self.is_device() {
            self.send(now, client);
        }
        // Outcomes too: the window is not to go on while the stored state still has what is behind it.
        if self.has_new || self.has_outcomes || client.needs_saving() {
            self.save(now, client);
        }
        if self.is_over(now, client) {
            client.close(now);
        }
    }

    /// What attempts found out that are under way while a link is up.
    fn hear(&mut self, now: Instant, client: &mut Client<'_>) {
        let lines = self.dialing.as_mut().map(|dialing| dialing.act(now, client));
        lines.iter().flatten().for_each(|line| self.print(line));
    }

    fn send_file(&mut self, now: Instant, client: &mut Client<'_>) {
        let Some(sending) = &mut self.sending else { return };
        let was_over = sending.is_over();
        if let Err(error) = sending.act(now, client, self.config.dialect.header_len()) {
            print(&json!({"event": "failed", "sequence": null, "why": format!("{error:#}"), "written": true}));
            self.trouble.get_or_insert(format!("{error:#}"));
        }
        self.has_new |= was_over != sending.is_over();
        let again = sending.poll_timeout();
        self.ring_at(now, again);
    }

    /// Brings what came into the inbox, and tells it.
    fn sync(&mut self, now: Instant, client: &mut Client<'_>) {
        let Some(syncing) = &mut self.syncing else { return };
        match syncing.act(now, client) {
            Ok(lines) => {
                let again = syncing.poll_timeout();
                lines.iter().for_each(|line| self.print(line));
                self.ring_at(now, again);
            }
            Err(error) => self.give_up(now, client, format!("{error:#}")),
        }
    }

    fn ring_at(&mut self, now: Instant, again: Option<Instant>) {
        if let Some(at) = again.filter(|_| self.rings_at != again) {
            self.rings_at = again;
            self.bell.ring_in(at - now);
        }
    }

    /// Does what is to be done for the next link.
    fn is_of_dialing(&mut self, event: &Event<'_>) -> bool {
        let line = self.dialing.as_mut().and_then(|dialing| dialing.handle(event));
        line.inspect(|line| self.print(line)).is_some()
    }

    /// Hands what became of a chunk to whom it belongs.
    fn is_of_transfer(&mut self, now: Instant, event: &Event<'_>) -> bool {
        let Some(sending) = &mut self.sending else { return false };
        match event {
            Event::Reply { token, frame } => sending.handle_reply(now, *token, frame.body()),
            Event::Failed { token, why, .. } => sending.handle_failed(*token, *why == Failure::LinkLost),
            Event::Offline(_) => {
                sending.handle_disconnected();
                false
            }
            _ => false,
        }
    }

    /// Takes what came of the mailbox.
    fn is_of_mailbox(&mut self, now: Instant, client: &mut Client<'_>, event: &Event<'_>) -> bool {
        let Some(syncing) = &mut self.syncing else { return false };
        match event {
            Event::Page(page) => {
                syncing.handle_page(page);
                self.sync(now, client);
                true
            }
            Event::SyncFailed(SyncError::Refused) => {
                syncing.handle_refused();
                self.trouble.get_or_insert("the server has no mailboxes".into());
                false
            }
            Event::Reply { token, frame } => {
                let is_its = syncing.handle_reply(now, client, *token, frame.body());
                if is_its {
                    self.sync(now, client);
                }
                is_its
            }
            Event::Failed { token, .. } => syncing.handle_failed(*token),
            _ => false,
        }
    }

    /// As much as there is room for; the rest waits where it is.
    fn send(&mut self, now: Instant, client: &mut Client<'_>) {
        while let Some(line) = self.input.next() {
            let sent = match &line {
                Line::Text(text) if self.is_device() => match self.message(text) {
                    Ok(message) => client.send(now, &message),
                    Err(_) => {
                        self.fail("a line is not UTF-8");
                        continue;
                    }
                },
                Line::Text(text) => client.request(now, self.config.dialect.message, text),
                Line::TooLong(length) => {
                    self.fail(&format!("a line of {length} bytes is longer than a message can be"));
                    continue;
                }
                Line::Broken(why) => {
                    self.trouble.get_or_insert(format!("cannot read: {why}"));
                    continue;
                }
            };
            match sent {
                Ok(Token { .. }) => self.has_new = true,
                Err(error) if error.is_temporary() => {
                    return self.input.put_back(line);
                }
                Err(error @ SendError::TooLong { .. }) if self.is_device() => self.fail(&error.to_string()),
                Err(error) => {
                    self.input.put_back(line);
                    return self.give_up(now, client, format!("cannot send: {error}"));
                }
            }
        }
    }

    /// A text, and whom it is for.
    fn message<'t>(&self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, Utf8Error> {
        let Some(to) = &self.to else { return Ok(text.into()) };
        let text = std::str::from_utf8(text)?;
        Ok(addressed(to, text).into())
    }

    /// A message ends that never had a number.
    fn fail(&mut self, why: &str) {
        print(&json!({"event": "failed", "sequence": null, "why": why, "written": false}));
        self.trouble.get_or_insert(format!("a message failed: {why}"));
    }

    /// What this turn sends is written after this.
    fn save(&mut self, now: Instant, client: &mut Client<'_>) {
        (self.has_new, self.has_outcomes) = (false, false);
        let (Some(state), Some(identity)) = (&mut self.state, self.config.identity) else { return };
        let record = self.sending.as_ref().map_or_else(|| state.record(), Sending::record);
        // What was named, and that is settled, may be forgotten.
        let record = record.filter(|record| !record.is_named || client.unsettled() > 0);
        if let Err(error) = state.save(now, client, identity.device, record) {
            self.give_up(now, client, format!("{error:#}"));
        }
    }

    fn give_up(&mut self, now: Instant, client: &mut Client<'_>, why: String) {
        self.trouble.get_or_insert(why);
        self.gives_up = true;
        client.close(now);
    }

    /// Walks a frame that holds frames.
    fn walk(&mut self, now: Instant, client: &mut Client<'_>, batch: Batch<'_>) {
        for frame in batch {
            match frame {
                Ok(frame) => {
                    if let Some(event) = client.handle_frame(now, frame) {
                        self.tell(now, event);
                    }
                }
                Err(error) => eprintln!("client: a batch holds what is no frame: {error}"),
            }
        }
    }

    fn tell(&mut self, now: Instant, event: Event<'_>) {
        match &event {
            Event::Online { .. } => self.begin_stay(now),
            Event::Delivered { .. } => self.has_outcomes = true,
            Event::Failed { token, why, .. } => {
                self.has_outcomes = true;
                self.trouble.get_or_insert(format!("message {} failed: {why}", token.sequence()));
            }
            Event::NetworkLearned(record) => {
                if let Some(state) = &mut self.state {
                    state.networks().put(*record);
                    self.has_new = true;
                }
            }
            Event::Reply { token, frame } if self.wants_greeting(frame) => {
                let why = "the server wants a greeting: try --device";
                self.trouble.get_or_insert(why.into());
                return self.print(&failed(*token, why, true));
            }
            _ => {}
        }
        let address = self.address.map(|address| address.to_string());
        let online = json!({"event": "online", "address": address, "dialect": self.config.dialect.name});
        self.print(&line(event, online, self.is_device()));
    }

    fn print(&self, line: &Value) {
        show(self.sending.as_ref(), line);
    }

    /// The answer of a server that takes messages of devices only.
    fn wants_greeting(&self, frame: &Frame<'_>) -> bool {
        let native = self.config.dialect.greeting.is_some_and(|greeting| greeting.native);
        native && Rejection::from_bytes(frame.body()) == Some(Rejection::new(RejectCode::NotGreeted))
    }

    /// From the first time that the link is up.
    fn begin_stay(&mut self, now: Instant) {
        if self.until.is_none() {
            self.until = Some(now + self.stay);
            self.bell.ring_in(self.stay);
        }
    }

    /// Nothing is left to be done, or can be.
    pub(crate) fn is_over(&self, now: Instant, client: &Client<'_>) -> bool {
        if self.gives_up {
            return true;
        }
        let stays = self.until.is_none_or(|until| now < until);
        let has_mail = self.syncing.as_ref().is_some_and(|syncing| !syncing.is_over(client));
        !stays
            && !has_mail
            && !self.sends_file()
            && self.input.is_over()
            && client.is_settled()
            && !client.awaits_heartbeat()
    }

    fn sends_file(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| !sending.is_over())
    }

    fn is_device(&self) -> bool {
        self.config.identity.is_some()
    }

    /// What becomes of messages without an outcome: they wait in the stored state for the next time, or end here.
    pub(crate) fn finish(mut self, now: Instant, client: &mut Client<'_>, why: Disconnect) -> anyhow::Result<()> {
        let unsettled = client.unsettled();
        if self.has_new || self.has_outcomes {
            self.save(now, client);
        }
        if self.state.is_none() {
            for message in client.messages() {
                print(&failed(message.token, &format!("the client gave up: {why}"), message.written));
            }
        }
        match self.trouble {
            Some(trouble) => bail!(trouble),
            None if unsettled > 0 || !self.input.is_over() || self.sends_file() => bail!("not all was sent: {why}"),
            None if why != Disconnect::Closed && !(self.is_device() && self.is_over(now, client)) => {
                bail!("disconnected: {why}")
            }
            None => Ok(()),
        }
    }
}

/// Prints, beside the bar if there is one.
fn show(sending: Option<&Sending>, line: &Value) {
    match sending {
        Some(sending) => sending.beside_bar(|| print(line)),
        None => print(line),
    }
}
