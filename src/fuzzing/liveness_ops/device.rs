use super::MOST;
use crate::Instant;
use crate::delivery::Accepted;
use crate::fuzzing::input::Input;
use crate::liveness::{Activity, Address, Fault, Network, NetworkRecord};
use crate::session::limits::ATTEMPTS;
use crate::session::{Attempt, Client, Disconnect, Endpoint, Event, Hello, HelloReply, HelloStatus, Link};
use crate::time::after;
use crate::wire::{Decoded, Dialect, decode, encode};
use core::time::Duration;

/// So many attempts are remembered after their end.
const PAST: usize = 8;
/// In the end there is a link after so many deadlines.
const PATIENCE: usize = 200;

/// A client that dials, with the application, the platform and the servers that the input makes up.
pub(super) struct Device<'b> {
    link: Link<Client<'b>, &'b mut [u8]>,
    dialect: &'static Dialect,
    clock: Instant,
    connected: bool,
    out: [Option<Attempt>; ATTEMPTS],
    past: [Option<Attempt>; PAST],
    /// A link that is wanted has nothing to come but what is to be told.
    owes_event: bool,
    /// What the last hello named.
    hello: (u32, u32),
}

impl<'b> Device<'b> {
    pub(super) fn new(link: Link<Client<'b>, &'b mut [u8]>, dialect: &'static Dialect) -> Self {
        let (clock, out, past) = (Instant::ZERO, [None; ATTEMPTS], [None; PAST]);
        Self { link, dialect, clock, connected: false, out, past, owes_event: false, hello: (1, 1) }
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, input: &mut Input<'_>) {
        self.clock = self.clock.max(now);
        let client = self.link.endpoint_mut();
        match op {
            4 if which < 6 => client.open(now, which.into()),
            4 => client.close(now),
            5 => {
                let mut addresses = [Address::new(0, 0); 8];
                addresses.fill_with(|| address(input.number()));
                let count = usize::from(which);
                let unique = unique(&addresses[..count]);
                assert_eq!(client.set_addresses(now, &addresses[..count]).is_ok(), unique <= super::ADDRESSES);
            }
            6 => self.report(which, now, None),
            7 => {
                let fault = [Fault::Refused, Fault::Silent, Fault::Foreign, Fault::Unreachable];
                self.report(which, now, Some(fault[usize::from(input.number() % 4)]));
            }
            8 => {
                // One that ended already.
                let late = self.past[usize::from(which) % PAST].filter(|late| !self.out.contains(&Some(*late)));
                if let Some(attempt) = late {
                    assert!(!self.link.handle_alive(now, attempt), "an attempt that was over is the link");
                    self.link.endpoint_mut().handle_refused(now, attempt, Fault::Refused);
                }
            }
            9 => {
                let network = (which > 0).then(|| Network::from_number(u32::from(which) - 1));
                let record = NetworkRecord::from_bytes(input.bytes()).ok();
                client.set_network(now, network, record.as_ref());
            }
            10 => {
                let activity = if which == 0 { Activity::Background } else { Activity::Foreground };
                client.set_activity(now, activity);
            }
            11 => client.wake(now),
            12 => client.connect_now(now),
            13 => client.signal(now),
            14 => {
                let _ = client.send(now, input.bytes());
            }
            15 => client.heartbeat(now),
            16 if which == 0 => {
                self.link.handle_connected(now);
                self.connected = true;
            }
            16 => self.link.handle_end(),
            17 => self.lose(now, if which == 0 { Disconnect::PeerClosed } else { Disconnect::Transport }),
            18 => self.write(now),
            19 => self.peer(which, now, input),
            20 => self.feed(now, input.bytes()),
            21 => self.drain(),
            _ => {
                let why = self.link.over().or_else(|| self.link.closing());
                if let Some(why) = why {
                    self.lose(now, why);
                }
            }
        }
    }

    /// Tells of the attempt in this place.
    fn report(&mut self, which: u8, now: Instant, fault: Option<Fault>) {
        let Some(attempt) = self.out[usize::from(which) % ATTEMPTS].take() else { return };
        match fault {
            Some(fault) => self.link.endpoint_mut().handle_refused(now, attempt, fault),
            None if self.link.handle_alive(now, attempt) => {
                assert!(!attempt.is_check() && !self.connected, "{attempt:?} is a second link");
                self.connected = true;
            }
            None => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
        let client = self.link.endpoint_mut();
        client.handle_timeout(now);
        assert!(client.poll_timeout().is_none_or(|at| at > now), "{:?} at {now:?}", client.next_timer());
        let timer = client.next_timer();
        client.handle_timeout(now);
        client.handle_timeout(Instant::ZERO);
        assert_eq!(client.next_timer(), timer, "the same time-out again");
    }

    fn lose(&mut self, now: Instant, why: Disconnect) {
        self.connected = false;
        self.link.handle_disconnected(now, why);
    }

    pub(super) fn check(&mut self) {
        let client = self.link.endpoint();
        assert_eq!(client.next_timer().map(|(_, at)| at), client.poll_timeout());
        assert!(self.connected || !client.is_online());
        assert!(!client.is_dormant() || client.wants_link() && !self.connected);
        let waits = client.wants_link() && !client.is_dormant() && !self.connected;
        self.owes_event |= waits && client.poll_timeout().is_none();
        if client.is_dormant() && client.unsettled() == 0 {
            assert_eq!(client.poll_timeout(), None);
        }
    }

    /// Tells all that is to be told; that comes to an end.
    fn drain(&mut self) {
        let mut count = 0;
        while let Some(event) = self.link.endpoint_mut().poll_event() {
            count += 1;
            assert!(count < 64, "events without end");
            self.handle(&event);
        }
        let is_owed = core::mem::take(&mut self.owes_event);
        assert!(count > 0 || !is_owed, "a link is wanted, and nothing was to come");
        let client = self.link.endpoint();
        let is_stuck = client.wants_link() && !client.is_dormant() && !self.connected;
        assert!(!is_stuck || client.poll_timeout().is_some(), "a link is wanted, and nothing is to come");
    }

    fn handle(&mut self, event: &Event<'_>) {
        match *event {
            Event::Connect(attempt) => {
                assert!(!self.past.contains(&Some(attempt)), "told before");
                assert_eq!(attempt.is_check(), self.connected, "{attempt:?}");
                let place = self.out.iter_mut().find(|place| place.is_none());
                *place.unwrap() = Some(attempt); // no more than there are places
                self.past[attempt.number() as usize % PAST] = Some(attempt);
            }
            Event::Abandon(attempt) => {
                assert!(self.past.contains(&Some(attempt)) || attempt.number() as usize > PAST, "never told");
                // One whose outcome was told too late is told to end all the same.
                self.out.iter_mut().filter(|place| **place == Some(attempt)).for_each(|place| *place = None);
            }
            Event::Dormant { unsettled } => {
                assert!(self.link.endpoint().is_dormant());
                assert!(unsettled >= self.link.endpoint().unsettled());
            }
            Event::Poll => assert!(!self.link.endpoint().is_online() && self.link.endpoint().wants_link()),
            Event::Online { .. } => assert!(self.connected),
            Event::NetworkLearned(record) => {
                assert_eq!(NetworkRecord::from_bytes(&record.to_bytes()), Ok(record));
                assert_ne!(record.network(), Network::UNKNOWN);
            }
            _ => {}
        }
    }

    /// All that is to be written is, and what hellos name is remembered.
    fn write(&mut self, now: Instant) {
        let mut written = [0; 2 * MOST];
        let mut length = 0;
        while let Some(bytes) = self.link.poll_transmit() {
            assert!(self.connected && !bytes.is_empty(), "something to write, and no link");
            let n = bytes.len();
            written[length..length + n].copy_from_slice(bytes);
            length += n;
            self.link.handle_sent(now, n);
        }
        let mut rest = &written[..length];
        while let Ok(Decoded::Frame(frame)) = decode(self.dialect, rest) {
            let is_hello = self.dialect.greeting.is_some_and(|greeting| greeting.command == frame.command());
            if let (true, Ok(hello)) = (is_hello, Hello::decode(frame.body())) {
                self.hello = (hello.epoch.map_or(1, crate::delivery::Epoch::get), hello.link);
            }
            rest = &rest[frame.length()..];
        }
    }

    /// A frame that a server may send. 0: a heartbeat's answer; 1: a welcome; 2: a refusal; 3: a goaway; 4: a message's
    /// answer; 5: a push; 6: any answer to a greeting; 7: any command.
    fn peer(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let dialect = self.dialect;
        let greeting = dialect.greeting.map_or(dialect.push, |greeting| greeting.reply);
        match which {
            0 => self.frame(now, dialect.heartbeat_reply, 0xFFFF_FFFF, &[]),
            1 => self.welcome(now),
            2 => {
                let (status, millis) = (input.number(), input.wide());
                self.refuse(now, HelloStatus::from_byte(status), Duration::from_millis(millis.into()));
            }
            3 => {
                let (code, [a, b, c, d]) = (input.number(), input.wide().to_be_bytes());
                self.frame(now, dialect.goaway.unwrap_or(dialect.push), 0, &[1, code, 0, 0, a, b, c, d]);
            }
            4 => {
                let sequence = input.sequence();
                self.frame(now, dialect.reply_to(dialect.message), sequence, &[]);
            }
            5 => self.frame(now, dialect.push, 0, b"news"),
            6 => self.frame(now, greeting, 0xFFFF_FFFE, input.bytes()),
            _ => {
                let (command, sequence) = (input.wide(), input.sequence());
                self.frame(now, command, sequence, input.bytes());
            }
        }
    }

    fn welcome(&mut self, now: Instant) {
        let Some(greeting) = self.dialect.greeting else { return };
        let sequence = greeting.sequence.unwrap_or(1);
        if !greeting.native {
            return self.frame(now, greeting.reply, sequence, b"ok");
        }
        self.reply(now, HelloStatus::Ok, Duration::ZERO);
    }

    fn refuse(&mut self, now: Instant, status: HelloStatus, retry_after: Duration) {
        if self.dialect.greets_natively() && status != HelloStatus::Ok {
            self.reply(now, status, retry_after);
        }
    }

    fn reply(&mut self, now: Instant, status: HelloStatus, retry_after: Duration) {
        let Some(greeting) = self.dialect.greeting else { return };
        let (epoch, link) = self.hello;
        let bitmap = [0; 8];
        let reply = HelloReply {
            version: Hello::VERSION,
            status,
            resumed: false,
            idle: 300,
            epoch: crate::delivery::Epoch::new(epoch),
            link,
            max_frame: 4_096,
            accepted: Accepted::new(0, &bitmap).unwrap(),
            retry_after,
        };
        let mut body = [0; HelloReply::LEN + 8];
        body[..HelloReply::LEN].copy_from_slice(&reply.encode_fixed());
        self.frame(now, greeting.reply, greeting.sequence.unwrap_or(1), &body);
    }

    fn frame(&mut self, now: Instant, command: u32, sequence: u32, body: &[u8]) {
        let mut frame = [0; MOST];
        if let Ok(length) = encode(self.dialect, command, sequence, body, &mut frame) {
            self.feed(now, &frame[..length]);
        }
    }

    /// Bytes come; what they mean is handled, and nothing else.
    fn feed(&mut self, now: Instant, bytes: &[u8]) {
        if !self.connected {
            return;
        }
        let space = self.link.space();
        let n = bytes.len().min(space.len());
        space[..n].copy_from_slice(&bytes[..n]);
        self.link.handle_read(now, n);
        let (decoder, client) = self.link.split();
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    client.handle_frame(now, frame);
                }
                Ok(None) => return,
                Err(error) => {
                    client.handle_malformed(now, error);
                    if error.is_fatal() {
                        return;
                    }
                }
            }
        }
    }

    /// Nothing goes wrong any more: the device is online before long, and a link that ends is followed by another.
    pub(super) fn finish(&mut self, now: Instant) {
        let mut now = self.clock.max(now);
        self.drain();
        self.lose(now, Disconnect::Transport);
        self.drain();
        let network = Network::named(b"home");
        let client = self.link.endpoint_mut();
        client.open(now, 1);
        client.set_network(now, Some(network), None);
        client.set_activity(now, Activity::Foreground);
        client.set_addresses(now, &[Address::new(9, 443)]).unwrap();
        client.wake(now);
        for _ in 0..PATIENCE {
            self.drain();
            for place in 0..ATTEMPTS {
                self.report(u8::try_from(place).unwrap(), now, None);
            }
            self.write(now);
            if self.connected && !self.link.endpoint().is_online() {
                self.welcome(now);
            }
            self.drain();
            if self.link.endpoint().is_online() {
                return;
            }
            if let Some(why) = self.link.closing() {
                self.lose(now, why);
            }
            now = self.poll_timeout().map_or(after(now, 1), |at| at.max(now));
            self.handle_timeout(now);
        }
        panic!("never online: {:?}", self.link.endpoint().next_timer());
    }
}

/// An address by a byte: its number, its port, its family, and whether it is a fallback.
fn address(byte: u8) -> Address {
    let address = Address::new((byte & 7).into(), [443, 8_080, 80, 9][usize::from(byte >> 3 & 3)]);
    let address = if byte & 32 == 0 { address } else { address.v6() };
    if byte & 64 == 0 { address } else { address.fallback() }
}

/// How many there are of different places.
pub(super) fn unique(addresses: &[Address]) -> usize {
    let mut count = 0;
    for (at, address) in addresses.iter().enumerate() {
        let is_other = |other: &Address| (other.index, other.port) != (address.index, address.port);
        count += usize::from(addresses[..at].iter().all(is_other));
    }
    count
}
