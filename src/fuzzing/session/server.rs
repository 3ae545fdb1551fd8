use super::MOST;
use super::mailbox::Mailbox;
use super::stream::Stream;
use crate::Instant;
use crate::delivery::{Epoch, Ledger, MessageId, RejectCode, Rejection};
use crate::fuzzing::input::Input;
use crate::session::{
    Disconnect, Endpoint, GoAway, GoAwayCode, HelloStatus, Link, Refuse, Server, ServerConfig, ServerEvent,
};
use crate::sync::{RingMailbox, SYNC, SYNC_DONE};
use crate::wire::{Decoder, FrameError, encode};

type ServerLink<'b> = Link<Server<'b, Lent>, [u8; MOST]>;

/// The buffer that the server is lent: one in which a page has room, or a shorter one.
pub(super) struct Lent {
    bytes: [u8; MOST],
    length: usize,
}

impl Lent {
    const fn new(syncs: bool) -> Self {
        Self { bytes: [0; MOST], length: if syncs { 300 } else { 128 } }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

/// The accepting side, with the application and the transport that the input makes up.
pub(super) struct Host<'b> {
    config: &'b ServerConfig,
    link: ServerLink<'b>,
    clock: Instant,
    ledger: Ledger,
    /// What was offered last.
    offered: [Option<MessageId>; 4],
    stream: Stream,
    down: bool,
    mailbox: Mailbox<'b>,
    syncs: bool,
}

impl<'b> Host<'b> {
    pub(super) fn new(config: &'b ServerConfig, ring: RingMailbox<'b>, syncs: bool) -> Self {
        let link = Self::link(config, syncs, Instant::ZERO);
        let (stream, mailbox) = (Stream::new(config.dialect), Mailbox::new(ring));
        let (clock, ledger, offered) = (Instant::ZERO, Ledger::new(), [None; 4]);
        Self { config, link, clock, ledger, offered, stream, down: false, mailbox, syncs }
    }

    fn link(config: &'b ServerConfig, syncs: bool, now: Instant) -> ServerLink<'b> {
        let mut server = Server::new(config, now).unwrap();
        assert!(server.lend(Lent::new(syncs)).is_ok());
        Link::new(Decoder::new(config.dialect, [0; MOST]).unwrap(), server)
    }

    /// Another link is accepted in place of the one that was there.
    pub(super) fn accept_link(&mut self, config: &'b ServerConfig, now: Instant) {
        (self.link, self.clock, self.down) = (Self::link(config, self.syncs, now), now, false);
        self.stream.reset();
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, input: &mut Input<'_>) {
        let server = self.link.endpoint_mut();
        let code = GoAway::new(GoAwayCode::Restart);
        match op {
            8 => self.greet(which, now, input),
            9 | 10 => self.decide(which, now, input),
            11 => {
                let (command, sequence) = (u32::from(input.number()), input.sequence());
                let body = input.bytes();
                let _ = match which {
                    0 | 1 => server.reply(now, command, sequence, body),
                    2 | 3 => server.push(now, self.config.dialect.push, body),
                    _ => server.send(now, command, sequence, |_| Ok(body.len())),
                };
            }
            12 => match which {
                0 => server.close(now, code),
                1 => server.misbehaves(now),
                2 => server.set_counter(input.wide()),
                3 => self.link.handle_end(),
                4 => drop(server.reclaim()),
                5 => drop(server.lend(Lent::new(self.syncs))),
                6 => {
                    self.down = true;
                    self.stream.reset();
                    self.link.handle_disconnected(now, Disconnect::Transport);
                }
                _ => server.handle_received(now, input.number().into()),
            },
            13 | 14 => self.write(which, now, input),
            15 | 16 => self.peer(which, now, input),
            17 => self.feed_bytes(now, input.bytes()),
            18 => {
                let command = if self.syncs && which == 1 { SYNC } else { self.config.dialect.message };
                let sequence = input.sequence();
                let error = FrameError::TooLong { length: input.wide(), limit: 512, command, sequence };
                server.handle_malformed(now, error);
            }
            _ => self.handle_timeout(now),
        }
    }

    fn greet(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let server = self.link.endpoint_mut();
        let refuse = Refuse { epoch: self.ledger.epoch(), ..Refuse::new(HelloStatus::from_byte(input.number())) };
        let _ = match which {
            0 => server.refuse(now, &refuse),
            1 => server.welcome_with(now, input.bytes()),
            2 => server.refuse_with(now, input.bytes()),
            3 => {
                let _ = self.ledger.greet(Epoch::new(input.sequence()), input.sequence());
                Ok(())
            }
            _ => server.welcome(now, &self.ledger, which & 1 == 0),
        };
    }

    fn decide(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let offered = self.offered[usize::from(which % 4)];
        let made_up = input.number();
        let id = match (offered, self.ledger.epoch()) {
            (Some(id), _) if made_up < 192 => id,
            (_, Some(epoch)) => MessageId { epoch, link: self.ledger.link(), sequence: input.sequence() },
            _ => return,
        };
        let server = self.link.endpoint_mut();
        let pending = server.pending();
        let decided = match made_up % 4 {
            0 => server.reject(now, &id, Rejection::new(RejectCode::Quota)),
            1 => server.release(now, &id),
            _ => server.accept(now, &id),
        };
        match decided {
            Ok(()) => {
                if made_up % 4 > 1 {
                    let _ = self.ledger.accept(&id);
                }
                assert!(server.pending() < pending, "what is decided is not undecided any more");
            }
            Err(_) => assert_eq!(server.pending(), pending, "an error changes nothing"),
        }
    }

    fn write(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let server = self.link.endpoint_mut();
        let n = match which {
            0 => usize::MAX,
            7 => {
                self.stream.lie();
                return server.handle_sent(now, input.wide() as usize);
            }
            _ => usize::from(input.number()),
        };
        // All of it, which comes to an end; or a part of what is lent.
        for _ in 0..64 {
            self.stream.look(server, self.down);
            let written = self.stream.write(n);
            server.handle_sent(now, written);
            if n < usize::MAX || written == 0 {
                return;
            }
        }
        panic!("bytes without end");
    }

    /// A frame that a client may send, or not.
    fn peer(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let dialect = self.config.dialect;
        let command = match which {
            1 if self.syncs => SYNC,
            2 if self.syncs => SYNC_DONE,
            0..3 => dialect.message,
            3 => dialect.heartbeat,
            4 => dialect.greeting.map_or(dialect.push, |greeting| greeting.command),
            5 => dialect.goaway.unwrap_or(dialect.push),
            6 => input.number().into(),
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
        let (ledger, offered, mailbox) = (&mut self.ledger, &mut self.offered, &mut self.mailbox);
        self.link.process(now, |server, event| match event {
            ServerEvent::Message { id, .. } => {
                offered.rotate_right(1);
                offered[0] = Some(id);
            }
            // As a rule the application answers at once.
            ServerEvent::Hello(hello) if hello.link % 4 != 0 => {
                let _ = match ledger.greet(hello.epoch, hello.link) {
                    Ok(greeted) => server.welcome(now, ledger, greeted.resumed),
                    Err(stale) => server.refuse(now, &Refuse::from(stale)),
                };
            }
            event => mailbox.handle(now, server, &event),
        });
    }

    pub(super) fn handle_mailbox(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        self.mailbox.happen(which, now, self.link.endpoint_mut(), input);
    }

    /// What the client has written.
    pub(super) fn feed(&mut self, now: Instant, (bytes, n): ([u8; MOST], usize)) {
        self.feed_bytes(now, &bytes[..n]);
    }

    pub(super) fn outgoing(&mut self, which: u8) -> ([u8; MOST], usize) {
        let mut bytes = [0; MOST];
        let n = self.stream.take(if which == 0 { usize::MAX } else { usize::from(which) * 5 }, &mut bytes);
        (bytes, n)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        super::handle_timeout(self.link.endpoint_mut(), now, &mut self.clock);
    }

    pub(super) fn check(&mut self, now: Instant) {
        let _ = now;
        let server = self.link.endpoint_mut();
        self.stream.look(server, self.down);
        assert!(server.pending() <= self.config.pending.max(64), "more is undecided than the window holds");
        assert_eq!(server.next_timer().map(|(_, at)| at), server.poll_timeout());
    }
}
