//! What the client on tokio does: sends what other tasks give it, keeps what comes from the mailbox, and prints what happens.
//!
//! Needs `dialing.rs`, `events.rs`, `inbox.rs` and `syncing.rs` as its sibling modules.

use super::dialing::{Dialing, Stream};
use super::events::{failed, line, print, waiting};
use super::syncing::Syncing;
use anyhow::{Result, bail};
use longlink::session::{Client, Disconnect, Endpoint, Event, SendError, Timer};
use longlink::sync::SyncError;
use longlink::{Instant, earliest};
use serde_json::json;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Sleep, sleep};

/// What is to be done, and how far it got.
pub(crate) struct App {
    dialing: Dialing,
    /// Where the link is, or was last.
    address: Option<SocketAddr>,
    /// What other tasks want to be sent. It is over once all of them have dropped their ends.
    messages: Receiver<Vec<u8>>,
    has_all: bool,
    /// A message that there was no room for yet.
    held: Option<Vec<u8>>,
    syncing: Option<Syncing>,
    stay: Duration,
    /// Until when to stay, once online.
    until: Option<Instant>,
    /// For what is due here; what is due on the link is not this one's.
    alarm: Pin<Box<Sleep>>,
    alarm_at: Option<Instant>,
    is_eager: bool,
    /// What was told of the wait that goes on.
    told: Option<Option<(Timer, Instant)>>,
    /// The first thing that went wrong.
    trouble: Option<String>,
    gives_up: bool,
}

impl App {
    pub(crate) fn new(dialing: Dialing, messages: Receiver<Vec<u8>>, syncing: Option<Syncing>) -> Self {
        Self {
            dialing,
            address: None,
            messages,
            has_all: false,
            held: None,
            syncing,
            stay: Duration::ZERO,
            until: None,
            alarm: Box::pin(sleep(Duration::MAX)),
            alarm_at: None,
            is_eager: false,
            told: None,
            trouble: None,
            gives_up: false,
        }
    }

    /// Keeps the link for so long from when it is online.
    pub(crate) fn with_stay(self, stay: Duration) -> Self {
        Self { stay, ..self }
    }

    /// Does not wait before it tries again.
    pub(crate) fn with_eagerness(self, is_eager: bool) -> Self {
        Self { is_eager, ..self }
    }

    /// Wants links from now on.
    pub(crate) fn open(&mut self, now: Instant, client: &mut Client<'_>, seed: u64) {
        self.dialing.open(now, client, seed);
    }

    /// While a link is up.
    pub(crate) fn talk(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        client: &mut Client<'_>,
        event: Option<Event<'_>>,
    ) {
        match event {
            Some(event) => self.handle(now, client, event),
            None => self.poll(cx, now, client),
        }
    }

    /// Without a link, until there is one.
    pub(crate) fn dial(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        client: &mut Client<'_>,
        event: Option<Event<'_>>,
    ) -> Option<Stream> {
        let asked = event.is_none();
        self.talk(cx, now, client, event);
        if let Some((address, stream)) = self.dialing.won() {
            (self.address, self.told) = (Some(address), None);
            return Some(stream);
        }
        if asked && client.wants_link() {
            self.tell_wait(now, client.next_timer());
        }
        None
    }

    /// Does what there is to do by itself.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>) {
        self.dialing.poll(cx, now, client).iter().for_each(print);
        self.send(cx, now, client);
        self.sync(now, client);
        if self.is_over(now, client) {
            client.close(now);
        }
        self.arm(cx, now);
    }

    /// Takes what the library has to tell.
    fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Event<'_>) {
        if let Some(line) = self.dialing.handle(&event) {
            return print(&line);
        }
        match &event {
            Event::Online { .. } => self.until = self.until.or(Some(now + self.stay)),
            Event::Offline(why) if self.is_eager && !matches!(why, Disconnect::GoAway(_) | Disconnect::Rejected(_)) => {
                client.connect_now(now);
            }
            Event::Page(page) => {
                if let Some(syncing) = &mut self.syncing {
                    syncing.handle_page(page);
                    return self.sync(now, client);
                }
            }
            Event::Reply { token, frame } => {
                let syncing = self.syncing.as_mut();
                if syncing.is_some_and(|syncing| syncing.handle_reply(now, client, *token, frame.body())) {
                    return self.sync(now, client);
                }
            }
            Event::Failed { token, why, .. } => {
                if self.syncing.as_mut().is_some_and(|syncing| syncing.handle_failed(*token)) {
                    return;
                }
                self.trouble.get_or_insert(format!("message {} failed: {why}", token.sequence()));
            }
            Event::SyncFailed(SyncError::Refused) => {
                self.syncing.iter_mut().for_each(Syncing::handle_refused);
                self.trouble.get_or_insert("the server has no mailboxes".into());
            }
            _ => {}
        }
        let address = self.address.map(|address| address.to_string());
        print(&line(event, json!({"event": "online", "address": address, "dialect": "longlink"}), true));
    }

    /// As much as there is room for; the rest waits where it is.
    fn send(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>) {
        while let Some(message) = self.next(cx) {
            match client.send(now, &message) {
                Ok(_) => {}
                Err(error) if error.is_temporary() => {
                    self.held = Some(message);
                    return;
                }
                Err(error @ SendError::TooLong { .. }) => {
                    print(&json!({"event": "failed", "sequence": null, "why": error.to_string(), "written": false}));
                    self.trouble.get_or_insert(format!("a message failed: {error}"));
                }
                Err(error) => {
                    self.held = Some(message);
                    return self.give_up(now, client, format!("cannot send: {error}"));
                }
            }
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Option<Vec<u8>> {
        if self.held.is_some() || self.has_all {
            return self.held.take();
        }
        match self.messages.poll_recv(cx) {
            Poll::Ready(message) => {
                self.has_all = message.is_none();
                message
            }
            Poll::Pending => None,
        }
    }

    /// Brings what came into the inbox, and tells it. A page is stored by this task: it is one transaction.
    fn sync(&mut self, now: Instant, client: &mut Client<'_>) {
        let Some(syncing) = &mut self.syncing else { return };
        match syncing.act(now, client) {
            Ok(lines) => lines.iter().for_each(print),
            Err(error) => self.give_up(now, client, format!("{error:#}")),
        }
    }

    fn give_up(&mut self, now: Instant, client: &mut Client<'_>, why: String) {
        self.trouble.get_or_insert(why);
        self.gives_up = true;
        client.close(now);
    }

    /// Nothing is left to be done, or can be.
    fn is_over(&self, now: Instant, client: &Client<'_>) -> bool {
        let stays = self.until.is_none_or(|until| now < until);
        let has_mail = self.syncing.as_ref().is_some_and(|syncing| !syncing.is_over(client));
        self.gives_up || (!stays && !has_mail && self.is_settled(client) && !client.awaits_heartbeat())
    }

    fn is_settled(&self, client: &Client<'_>) -> bool {
        self.has_all && self.held.is_none() && client.is_settled()
    }

    /// Wakes the task when there is something to do here.
    fn arm(&mut self, cx: &mut Context<'_>, now: Instant) {
        let stay = self.until.filter(|until| now < *until);
        let due = earliest([stay, self.syncing.as_ref().and_then(Syncing::poll_timeout)]);
        if let Some(at) = due.filter(|_| due != self.alarm_at) {
            self.alarm.set(sleep(at - now));
        }
        self.alarm_at = due;
        if due.is_some() && self.alarm.as_mut().poll(cx).is_ready() {
            self.alarm_at = None;
            cx.waker().wake_by_ref();
        }
    }

    /// Tells what is waited for. Of attempts all is told already.
    fn tell_wait(&mut self, now: Instant, timer: Option<(Timer, Instant)>) {
        if self.dialing.is_idle() && self.told != Some(timer) {
            print(&waiting(now, timer));
            self.told = Some(timer);
        }
    }

    /// What becomes of messages without an outcome.
    pub(crate) fn finish(self, now: Instant, client: &Client<'_>, why: Disconnect) -> Result<()> {
        for message in client.messages() {
            print(&failed(message.token, &format!("the client gave up: {why}"), message.written));
        }
        match self.trouble {
            Some(ref trouble) => bail!("{trouble}"),
            None if !self.is_settled(client) => bail!("not all was sent: {why}"),
            None if why != Disconnect::Closed && !self.is_over(now, client) => bail!("disconnected: {why}"),
            None => Ok(()),
        }
    }
}
