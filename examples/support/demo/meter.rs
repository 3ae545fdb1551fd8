//! Counts what crossed the wire between a device and the server, from the frames alone: whatever the two say of
//! themselves, this is what they did.

use super::timeline::ArrowKind;
use crate::proxy::Side;
use longlink::delivery::transfer::{self, Chunk};
use longlink::session::Hello;
use longlink::sync::{FETCH, NOTIFY, Response, SYNC, SYNC_DONE};
use longlink::wire::{Decoder, Dialect, Frame};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

const DIALECT: &Dialect = &Dialect::LONGLINK;
/// What a frame has before its body.
const HEADER: u64 = 16;

/// What passed on all links of one device.
#[derive(Default)]
pub(crate) struct Meter {
    links: BTreeMap<u32, Link>,
    /// By epoch and sequence.
    pub(crate) messages: BTreeMap<(u32, u32), Message>,
    pub(crate) tally: Tally,
    /// The parts of the photo that have passed, by where they belong, and how long they are.
    parts: BTreeMap<u32, u32>,
}

/// One message, as it was seen.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) text: String,
    /// How often it was written to the server.
    pub(crate) written: u64,
    /// How often it certainly reached it: it answered that or something later on the same link.
    pub(crate) reached: u64,
    /// The answer to it reached the device.
    pub(crate) answered: bool,
}

/// Sums. Bytes are those of TCP's payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    /// Of messages and their answers, of the mailbox, and so on.
    pub(crate) message_bytes: u64,
    pub(crate) mailbox_bytes: u64,
    pub(crate) heartbeat_bytes: u64,
    pub(crate) greeting_bytes: u64,
    pub(crate) payload_bytes: u64,
    /// What people wrote, once for every time that it crossed for the first time: up in messages, down in items.
    pub(crate) text_up: u64,
    pub(crate) text_down: u64,
    pub(crate) heartbeats: u64,
    pub(crate) greetings: u64,
    pub(crate) requests: u64,
    pub(crate) notifies: u64,
    pub(crate) items: u64,
    pub(crate) chunks: u64,
    pub(crate) links: u64,
    /// What came is not what the protocol has.
    pub(crate) malformed: u64,
}

struct Link {
    epoch: u32,
    up: Decoder<Vec<u8>>,
    down: Decoder<Vec<u8>>,
    /// What the device wrote, and of which no answer says yet that the server has read it.
    unconfirmed: VecDeque<(u32, u32)>,
}

impl Meter {
    /// A link begins.
    pub(crate) fn open(&mut self, link: u32) {
        let decoder = || Decoder::new(DIALECT, vec![0; 2 * DIALECT.max_frame as usize]).expect("room for a frame");
        self.tally.links += 1;
        self.links.insert(link, Link { epoch: 0, up: decoder(), down: decoder(), unconfirmed: VecDeque::new() });
    }

    /// Bytes were passed on: `each` is told the kind of each frame that is complete now.
    pub(crate) fn carry(&mut self, link: u32, from: Side, mut bytes: &[u8], mut each: impl FnMut(ArrowKind)) {
        let Self { links, messages, tally, parts } = self;
        let Some(link) = links.get_mut(&link) else { return };
        let Link { epoch, up, down, unconfirmed } = link;
        tally.bytes += bytes.len() as u64;
        let decoder = if from == Side::Client { up } else { down };
        while !bytes.is_empty() {
            let space = decoder.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            decoder.commit(n);
            bytes = &bytes[n..];
            loop {
                let mut count = Count { epoch, unconfirmed, messages, tally, parts };
                match decoder.next_frame() {
                    Ok(Some(frame)) if from == Side::Client => each(count.up(&frame)),
                    Ok(Some(frame)) => each(count.down(&frame)),
                    Ok(None) => break,
                    Err(_) => {
                        tally.malformed += 1;
                        return;
                    }
                }
            }
        }
    }

    /// Messages that were written more than once, each time but the first.
    pub(crate) fn resends(&self) -> u64 {
        self.messages.values().map(|message| message.written.saturating_sub(1)).sum()
    }

    /// How many bytes of the photo have passed.
    pub(crate) fn photo(&self) -> u64 {
        self.parts.values().map(|length| u64::from(*length)).sum()
    }

    /// Of these the ones that certainly reached the server when it had the message already.
    pub(crate) fn duplicates(&self) -> u64 {
        self.messages.values().map(|message| message.reached.saturating_sub(1)).sum()
    }
}

impl Tally {
    /// Both together.
    pub(crate) fn plus(mut self, other: Self) -> Self {
        let Self { bytes, message_bytes, mailbox_bytes, heartbeat_bytes, greeting_bytes, payload_bytes, .. } = other;
        let Self { text_up, text_down, heartbeats, greetings, requests, notifies, items, chunks, .. } = other;
        self.bytes += bytes;
        self.message_bytes += message_bytes;
        self.mailbox_bytes += mailbox_bytes;
        self.heartbeat_bytes += heartbeat_bytes;
        self.greeting_bytes += greeting_bytes;
        self.payload_bytes += payload_bytes;
        self.text_up += text_up;
        self.text_down += text_down;
        self.heartbeats += heartbeats;
        self.greetings += greetings;
        self.requests += requests;
        self.notifies += notifies;
        self.items += items;
        self.chunks += chunks;
        self.links += other.links;
        self.malformed += other.malformed;
        self
    }
}

/// Counts one frame.
struct Count<'m> {
    epoch: &'m mut u32,
    unconfirmed: &'m mut VecDeque<(u32, u32)>,
    messages: &'m mut BTreeMap<(u32, u32), Message>,
    tally: &'m mut Tally,
    parts: &'m mut BTreeMap<u32, u32>,
}

impl Count<'_> {
    fn up(&mut self, frame: &Frame<'_>) -> ArrowKind {
        let (command, sequence, length) = (frame.command(), frame.sequence(), HEADER + frame.body().len() as u64);
        self.unconfirmed.push_back((command, sequence));
        match command {
            command if command == DIALECT.message => {
                self.tally.message_bytes += length;
                let message = self.messages.entry((*self.epoch, sequence)).or_default();
                message.written += 1;
                if message.written > 1 {
                    return ArrowKind::Copy;
                }
                message.text = text_of(frame.body());
                self.tally.text_up += message.text.len() as u64;
                ArrowKind::Message
            }
            SYNC | FETCH | SYNC_DONE => {
                self.tally.requests += u64::from(command != SYNC_DONE);
                self.tally.mailbox_bytes += length;
                ArrowKind::Page
            }
            transfer::OPEN | transfer::CHUNK => {
                if let Some(chunk) = Chunk::decode(frame.body()).ok().filter(|_| command == transfer::CHUNK) {
                    self.tally.chunks += 1;
                    self.parts.insert(chunk.range().offset(), chunk.range().length());
                }
                self.tally.payload_bytes += length;
                ArrowKind::Transfer
            }
            command if command == DIALECT.heartbeat => {
                self.tally.heartbeats += 1;
                self.tally.heartbeat_bytes += length;
                ArrowKind::Heartbeat
            }
            command if DIALECT.greeting.is_some_and(|greeting| greeting.command == command) => {
                self.tally.greetings += 1;
                self.tally.greeting_bytes += length;
                let epoch = Hello::decode(frame.body()).ok().and_then(|hello| hello.epoch);
                *self.epoch = epoch.map_or(0, |epoch| epoch.get());
                ArrowKind::Greeting
            }
            _ => ArrowKind::Other,
        }
    }

    fn down(&mut self, frame: &Frame<'_>) -> ArrowKind {
        let (command, sequence, length) = (frame.command(), frame.sequence(), HEADER + frame.body().len() as u64);
        if command == NOTIFY {
            self.tally.notifies += 1;
            self.tally.mailbox_bytes += length;
            return ArrowKind::Notify;
        }
        let request = [DIALECT.message, SYNC, FETCH, transfer::OPEN, transfer::CHUNK, DIALECT.heartbeat]
            .into_iter()
            .chain(DIALECT.greeting.map(|greeting| greeting.command))
            .find(|request| reply_to(*request) == command);
        let Some(request) = request else { return ArrowKind::Other };
        self.confirm(request, sequence);
        match request {
            SYNC => {
                self.page(frame.body());
                self.tally.mailbox_bytes += length;
                ArrowKind::Page
            }
            FETCH => {
                self.tally.mailbox_bytes += length;
                ArrowKind::Page
            }
            transfer::OPEN | transfer::CHUNK => {
                self.tally.payload_bytes += length;
                ArrowKind::Transfer
            }
            request if request == DIALECT.heartbeat => {
                self.tally.heartbeat_bytes += length;
                ArrowKind::Heartbeat
            }
            request if request == DIALECT.message => {
                self.tally.message_bytes += length;
                let message = self.messages.get_mut(&(*self.epoch, sequence));
                if let Some(message) = message.filter(|_| frame.body().is_empty()) {
                    message.answered = true;
                }
                ArrowKind::Ack
            }
            _ => {
                self.tally.greeting_bytes += length;
                ArrowKind::Greeting
            }
        }
    }

    /// The server reads a link in order: what it answers, and all before that, has reached it.
    fn confirm(&mut self, request: u32, sequence: u32) {
        let Some(at) = self.unconfirmed.iter().position(|asked| *asked == (request, sequence)) else { return };
        for (command, sequence) in self.unconfirmed.drain(..=at) {
            if command == DIALECT.message
                && let Some(message) = self.messages.get_mut(&(*self.epoch, sequence))
            {
                message.reached += 1;
            }
        }
    }

    fn page(&mut self, body: &[u8]) {
        let Ok(Response::Page(page)) = Response::decode(body) else { return };
        for item in page.items() {
            self.tally.items += 1;
            self.tally.text_down += text_of(item.bytes).len() as u64;
        }
    }
}

fn reply_to(command: u32) -> u32 {
    match DIALECT.greeting {
        Some(greeting) if greeting.command == command => greeting.reply,
        _ if command == DIALECT.heartbeat => DIALECT.heartbeat_reply,
        _ => DIALECT.reply_to(command),
    }
}

/// What a person wrote, in a message or an item.
fn text_of(body: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    parsed.and_then(|value| value["text"].as_str().map(String::from)).unwrap_or_default()
}
