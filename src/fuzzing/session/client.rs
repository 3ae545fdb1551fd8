use super::inbox::Inbox;
use super::stream::Stream;
use super::{MOST, SLOTS};
use crate::Instant;
use crate::delivery::{Epoch, MessagePolicy, RequestPolicy, Token};
use crate::fuzzing::input::Input;
use crate::session::{Client, Disconnect, Endpoint, Event, Link};
use crate::sync::NOTIFY;
use crate::wire::{Dialect, FrameError, encode, fill};
use core::time::Duration;

type ClientLink<'b> = Link<Client<'b>, &'b mut [u8]>;

/// The connecting side, with the application and the transport that the input makes up.
pub(super) struct Device<'b> {
    pub(super) link: ClientLink<'b>,
    dialect: &'static Dialect,
    clock: Instant,
    connected: bool,
    tokens: Tokens,
    inbox: Inbox,
    stream: Stream,
    saved: [u8; 2 * MOST],
    saved_len: usize,
}

/// What was sent and has not ended. There are no more than slots.
#[derive(Default)]
struct Tokens([Option<Token>; SLOTS]);

impl Tokens {
    fn open(&mut self, token: Token) {
        assert!(!self.0.contains(&Some(token)), "a token twice");
        let place = self.0.iter_mut().find(|place| place.is_none());
        *place.unwrap() = Some(token); // no more than there are slots
    }

    fn end(&mut self, token: Token) {
        let place = self.0.iter_mut().find(|place| **place == Some(token));
        *place.unwrap() = None; // each ends once
    }

    fn handle(&mut self, event: &Event<'_>) {
        match *event {
            Event::Reply { token, .. }
            | Event::Delivered { token }
            | Event::Cancelled { token, .. }
            | Event::Failed { token, .. } => self.end(token),
            _ => {}
        }
    }
}

impl<'b> Device<'b> {
    pub(super) fn new(link: ClientLink<'b>, dialect: &'static Dialect) -> Self {
        let stream = Stream::new(dialect);
        let (connected, tokens, inbox) = (false, Tokens::default(), Inbox::default());
        let (clock, saved) = (Instant::ZERO, [0; 2 * MOST]);
        Self { link, dialect, clock, connected, tokens, inbox, stream, saved, saved_len: 0 }
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, input: &mut Input<'_>) {
        let client = self.link.endpoint_mut();
        match op {
            20 => {
                self.connected = true;
                self.link.handle_connected(now);
                self.stream.reset();
            }
            21 => self.lose(now),
            22 => self.send(which, now, input),
            23 => self.request(which, now, input),
            24 => match which {
                0 => client.flush(now),
                1 => client.heartbeat(now),
                2 => client.close(now),
                3 => self.link.handle_end(),
                which => {
                    if let Some(token) = self.tokens.0.get(usize::from(which)).copied().flatten() {
                        client.cancel(now, token);
                    }
                }
            },
            25 => self.write(which, now, input),
            26 | 27 => self.peer(which, now, input),
            28 => self.feed_bytes(now, input.bytes()),
            29 => self.save(which, now, input),
            30 => match which {
                0 => client.handle_received(now, input.number().into()),
                1 => client.handle_malformed(now, FrameError::Truncated { missing: input.wide() }),
                _ => {
                    let (command, sequence) = (self.dialect.reply_to(input.number().into()), input.sequence());
                    let error = FrameError::TooLong { length: input.wide(), limit: 512, command, sequence };
                    client.handle_malformed(now, error);
                }
            },
            _ if which == 0 => self.handle_timeout(now),
            _ => self.inbox.happen(which, now, client, input),
        }
    }

    fn send(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let client = self.link.endpoint_mut();
        let policy = MessagePolicy {
            attempts: which,
            lifetime: Duration::from_secs(input.number().into()),
            timeout: (which & 1 == 0).then_some(Duration::from_secs(1)),
        };
        let body = input.bytes();
        let sent = match which {
            0 | 1 => client.send(now, body),
            2 | 3 => client.send_with(now, &policy, |room| fill(room, body)),
            4 => client.send_sealed(now, &policy, |_, _, room| fill(room, body)),
            5 => client.send_with(now, &policy, |_| Ok(MOST * 2)),
            _ => {
                let epoch = if which == 6 { client.epoch() } else { Epoch::new(input.number().into()) };
                client.send_again(now, epoch, input.sequence(), body)
            }
        };
        if let Ok(token) = sent {
            self.tokens.open(token);
        }
    }

    fn request(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let client = self.link.endpoint_mut();
        let command = if which & 1 == 0 { u32::from(input.number()) } else { self.dialect.message };
        let policy = RequestPolicy { timeout: Duration::from_secs(which.into()), asks_again: which & 2 == 0 };
        let body = input.bytes();
        let sent = match which {
            0..4 => client.request_with(now, command, &policy, |room| fill(room, body)),
            4 | 5 => client.request(now, command, body),
            _ => {
                let _ = client.send_one_way(now, command, body);
                return;
            }
        };
        if let Ok(token) = sent {
            self.tokens.open(token);
        }
    }

    fn write(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let gone = !self.connected;
        let client = self.link.endpoint_mut();
        let n = match which {
            0 => usize::MAX,
            7 => {
                self.stream.lie();
                return client.handle_sent(now, input.wide() as usize);
            }
            _ => usize::from(input.number()),
        };
        // All of it, which comes to an end; or a part of what is lent.
        for _ in 0..64 {
            self.stream.look(client, gone);
            let written = self.stream.write(n);
            client.handle_sent(now, written);
            if n < usize::MAX || written == 0 {
                return;
            }
        }
        panic!("bytes without end");
    }

    /// A frame that the client may wait for, or not.
    fn peer(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let dialect = self.dialect;
        let command = match which {
            0 => dialect.reply_to(dialect.message),
            1 => dialect.reply_to(input.number().into()),
            2 => dialect.heartbeat_reply,
            3 => dialect.greeting.map_or(dialect.push, |greeting| greeting.reply),
            4 if self.link.endpoint().cursor().is_some() => NOTIFY,
            4 => dialect.push,
            5 => dialect.goaway.unwrap_or(dialect.push),
            6 => dialect.batch.unwrap_or(dialect.push),
            _ => input.wide(),
        };
        let (sequence, body) = (input.sequence(), input.bytes());
        let mut frame = [0; MOST];
        if let Ok(length) = encode(dialect, command, sequence, body, &mut frame) {
            self.feed_bytes(now, &frame[..length]);
        }
    }

    fn feed_bytes(&mut self, now: Instant, bytes: &[u8]) {
        let space = self.link.space();
        let n = bytes.len().min(space.len());
        space[..n].copy_from_slice(&bytes[..n]);
        self.link.handle_read(now, n);
        let (tokens, inbox) = (&mut self.tokens, &mut self.inbox);
        self.link.process(now, |client, event| {
            tokens.handle(&event);
            inbox.handle(now, client, &event);
            if let Event::Batch(batch) = event {
                for frame in batch.map_while(Result::ok) {
                    if let Some(event) = client.handle_frame(now, frame) {
                        tokens.handle(&event);
                    }
                }
            }
        });
    }

    /// What the server has written.
    pub(super) fn feed(&mut self, now: Instant, (bytes, n): ([u8; MOST], usize)) {
        self.feed_bytes(now, &bytes[..n]);
    }

    pub(super) fn outgoing(&mut self, which: u8) -> ([u8; MOST], usize) {
        let mut bytes = [0; MOST];
        let n = self.stream.take(if which == 0 { usize::MAX } else { usize::from(which) * 5 }, &mut bytes);
        (bytes, n)
    }

    fn save(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let client = self.link.endpoint_mut();
        match which {
            0 => client.handle_saved(now),
            // Of bytes that are nothing's: a client that is in use takes none.
            1 => {
                let settled = self.tokens.0 == [None; SLOTS];
                if client.restore(now, input.bytes()).is_ok() {
                    assert!(settled, "the state of a client in use was replaced");
                    self.adopt();
                }
            }
            _ => {
                let required = client.state_len();
                assert!(client.save(now, &mut self.saved[..required - 1]).is_err());
                assert_eq!(client.save(now, &mut self.saved), Ok(required));
                self.saved_len = required;
                if which > 4 {
                    client.handle_saved(now);
                }
            }
        }
    }

    /// Another process goes on from what was saved, from what is not a state, or from nothing.
    pub(super) fn restart(&mut self, now: Instant, link: ClientLink<'b>, which: u8, input: &mut Input<'_>) {
        (self.link, self.connected, self.tokens) = (link, false, Tokens::default());
        self.stream.reset();
        let client = self.link.endpoint_mut();
        let saved = &self.saved[..self.saved_len];
        match which {
            0 => {}
            1 => {
                let _ = client.restore(now, input.bytes());
            }
            _ => {
                let _ = client.restore(now, saved);
            }
        }
        self.adopt();
        self.inbox.restart(self.link.endpoint_mut());
    }

    /// What was restored.
    fn adopt(&mut self) {
        self.tokens = Tokens::default();
        self.link.endpoint().messages().for_each(|message| self.tokens.open(message.token));
        self.drain_restored();
    }

    /// The messages of another account end at once, and nobody has been told their tokens.
    fn drain_restored(&mut self) {
        for _ in 0..=SLOTS {
            match self.link.endpoint_mut().poll_event() {
                Some(Event::Failed { token, .. }) if !self.tokens.0.contains(&Some(token)) => {}
                Some(event) => self.tokens.handle(&event),
                None => break,
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        super::handle_timeout(self.link.endpoint_mut(), now, &mut self.clock);
    }

    fn lose(&mut self, now: Instant) {
        self.connected = false;
        self.stream.reset();
        self.link.handle_disconnected(now, Disconnect::Transport);
    }

    pub(super) fn check(&mut self, now: Instant) {
        let _ = now;
        let gone = !self.connected;
        let client = self.link.endpoint_mut();
        self.stream.look(client, gone);
        let waiting = self.tokens.0.iter().flatten().count();
        assert!(client.unsettled() <= waiting);
        assert_eq!(client.messages().count(), client.unsettled());
        assert!(client.is_settled() || waiting > 0);
        assert_eq!(client.next_timer().map(|(_, at)| at), client.poll_timeout());
        let required = client.state_len();
        assert!(required >= 44);
        self.inbox.check(client);
    }

    /// Tells all that is to be told; that comes to an end.
    fn drain(&mut self) {
        for _ in 0..SLOTS + 8 {
            let Some(event) = self.link.endpoint_mut().poll_event() else { return };
            self.tokens.handle(&event);
        }
        panic!("events without end");
    }

    /// The link is lost and everything taken back: nothing is left.
    pub(super) fn end(&mut self, now: Instant) {
        self.lose(now);
        self.drain();
        for token in self.tokens.0.iter().flatten() {
            self.link.endpoint_mut().cancel(now, *token);
        }
        self.drain();
        let client = self.link.endpoint_mut();
        assert!(self.tokens.0 == [None; SLOTS] && client.is_settled() && client.unsettled() == 0);
        assert!(client.poll_transmit().is_none());
        assert_eq!(client.messages().count(), 0);
        // A wait for company that nobody waits in is over with its own deadline, and is the last.
        if let Some(due) = client.poll_timeout() {
            super::handle_timeout(client, due, &mut self.clock);
            assert_eq!(client.poll_timeout(), None);
        }
    }
}
