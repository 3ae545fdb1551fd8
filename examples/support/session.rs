//! What the client does on its links, and what it prints.
//!
//! Needs `hex.rs`, `lines.rs` and `state.rs` as its sibling modules.

use super::hex::Hex;
use super::lines::{Doorbell, Input, Line};
use super::state::StateFile;
use anyhow::{Result, bail};
use longlink::Instant;
use longlink::delivery::{Epoch, Token};
use longlink::io::std::Waker;
use longlink::session::{Client, Config, Disconnect, Endpoint, Event, SendError};
use longlink::wire::{Batch, Frame};
use serde_json::{Value, json};
use std::io::Write;
use std::thread;
use std::time::Duration;

/// What is to be done, and how far it got.
pub(crate) struct Session<'c> {
    address: String,
    config: Config<'c>,
    input: Input,
    state: Option<StateFile>,
    /// There are messages, or outcomes, that the stored state does not know of.
    has_new: bool,
    has_outcomes: bool,
    stay: Duration,
    /// Until when to stay, once online.
    until: Option<Instant>,
    bell: Doorbell,
    /// Something was settled since this was asked last.
    succeeded: bool,
    /// The first thing that went wrong.
    trouble: Option<String>,
}

impl<'c> Session<'c> {
    pub(crate) fn new(
        address: String,
        stay: Duration,
        config: Config<'c>,
        input: Input,
        state: Option<StateFile>,
        bell: Doorbell,
    ) -> Self {
        let (has_new, has_outcomes, succeeded) = (false, false, false);
        Self { address, config, input, state, has_new, has_outcomes, stay, until: None, bell, succeeded, trouble: None }
    }

    /// A link is there.
    pub(crate) fn connect(&mut self, waker: Waker) {
        self.bell.connect(waker);
    }

    pub(crate) fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>) {
        match event {
            None => self.act(now, client),
            Some(Event::Batch(batch)) => self.walk(now, client, batch),
            Some(event) => self.tell(now, event),
        }
    }

    /// Sends what is to be sent, stores what has to be, and closes once all is done.
    fn act(&mut self, now: Instant, client: &mut Client<'_>) {
        if self.until.is_some() || self.is_device() {
            self.send(now, client);
        }
        if self.has_new || client.needs_saving() {
            self.save(now, client);
        }
        if self.is_over(now, client) {
            client.close(now);
        }
    }

    /// As much as there is room for; the rest waits where it is.
    fn send(&mut self, now: Instant, client: &mut Client<'_>) {
        while let Some(line) = self.input.next() {
            let sent = match &line {
                Line::Text(text) if self.is_device() => client.send(now, text),
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
                Err(SendError::TooMany | SendError::Full { .. } | SendError::EpochSpent) => {
                    return self.input.put_back(line);
                }
                Err(error @ SendError::TooLong { .. }) if self.is_device() => self.fail(&error.to_string()),
                Err(error) => {
                    self.input.put_back(line);
                    self.trouble.get_or_insert(format!("cannot send: {error}"));
                    return client.close(now);
                }
            }
        }
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
        if let Err(error) = state.save(now, client, identity.device) {
            self.trouble.get_or_insert(format!("{error:#}"));
            client.close(now);
        }
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
        let line = match event {
            Event::Online { welcome, resumed } => {
                self.begin_stay(now);
                let (address, dialect) = (&self.address, self.config.dialect.name);
                if self.is_device() {
                    json!({"event": "online", "address": address, "dialect": dialect, "resumed": resumed})
                } else {
                    json!({"event": "online", "address": address, "dialect": dialect,
                        "greeting": welcome.map(|frame| text(frame.body()))})
                }
            }
            Event::Heartbeat { round_trip } => {
                json!({"event": "heartbeat", "round_trip_ms": round_trip.as_micros() as f64 / 1_000.0})
            }
            Event::Delivered { token } => {
                self.settle();
                json!({"event": "delivered", "sequence": token.sequence()})
            }
            Event::Reply { token, frame } => frame_line("reply", token.sequence(), &frame),
            Event::Push(frame) => frame_line("push", frame.sequence(), &frame),
            Event::Failed { token, why, written } => {
                self.settle();
                self.trouble.get_or_insert(format!("message {} failed: {why}", token.sequence()));
                failed(token, &why.to_string(), written)
            }
            Event::GoAway(goaway) => json!({"event": "goaway", "code": goaway.code().to_byte(),
                "why": goaway.to_string(), "retry_after_ms": goaway.retry_after().as_millis()}),
            Event::EpochLost { from, to } => {
                json!({"event": "epoch_lost", "from": from.map(Epoch::get), "to": to.get()})
            }
            Event::ServerRewound { from, to } => json!({"event": "server_rewound", "from": from, "to": to}),
            Event::Offline(why) => json!({"event": "disconnected", "why": why.name(), "detail": why.to_string()}),
            other => json!({"event": "other", "detail": format!("{other:?}")}),
        };
        print(&line);
    }

    /// From the first time that the link is up.
    fn begin_stay(&mut self, now: Instant) {
        if self.until.is_none() {
            self.until = Some(now + self.stay);
            let (bell, stay) = (self.bell.clone(), self.stay);
            thread::spawn(move || {
                thread::sleep(stay);
                bell.ring();
            });
        }
    }

    fn settle(&mut self) {
        (self.has_outcomes, self.succeeded) = (true, true);
    }

    /// Whether something was settled since the last call.
    pub(crate) fn take_success(&mut self) -> bool {
        std::mem::take(&mut self.succeeded)
    }

    /// Nothing is left to be done.
    pub(crate) fn is_over(&self, now: Instant, client: &Client<'_>) -> bool {
        let stays = self.until.is_none_or(|until| now < until);
        !stays && self.input.is_over() && client.is_settled() && !client.awaits_heartbeat()
    }

    fn is_device(&self) -> bool {
        self.config.identity.is_some()
    }

    /// What becomes of messages without an outcome: they wait in the stored state for the next time, or end here.
    pub(crate) fn finish(mut self, now: Instant, client: &mut Client<'_>, why: Disconnect) -> Result<()> {
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
            None if unsettled > 0 || !self.input.is_over() => bail!("not all was sent: {why}"),
            None if why != Disconnect::Closed && !(self.is_device() && self.is_over(now, client)) => {
                bail!("disconnected: {why}")
            }
            None => Ok(()),
        }
    }
}

fn failed(token: Token, why: &str, written: bool) -> Value {
    json!({"event": "failed", "sequence": token.sequence(), "why": why, "written": written})
}

/// What a frame carries: the bytes in hex, and the text if it is one.
fn frame_line(event: &str, sequence: u32, frame: &Frame<'_>) -> Value {
    json!({"event": event, "sequence": sequence, "command": frame.command(), "body": Hex(frame.body()),
        "text": text(frame.body())})
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Null, Value::from)
}

/// One line on standard output. Whoever reads it may have gone; the link goes on.
pub(crate) fn print(line: &Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
