mod client;
mod inbox;
mod mailbox;

mod server;
mod stream;

use super::PRESETS;
use super::input::Input;
use crate::Instant;
use crate::delivery::{MessagePolicy, Slot};
use crate::session::{Client, Config, Endpoint, Identity, Link, ServerConfig, Work};
use crate::sync::{self, Memory, RingStorage, Row};
use crate::wire::Decoder;
use client::Device;
use core::num::NonZeroU64;
use core::time::Duration;
use inbox::KEYS;
use server::Host;

/// The bytes that a process of the device works in.
const MOST: usize = 512;
const SLOTS: usize = 8;

/// Target `session_ops`: a client and a server whose applications, peers, transports and clocks do whatever the bytes say.
///
/// The input starts with three bytes: what the two are (see `Setup`), the client's transmit buffer (32 bytes and twice
/// this), and its slots (low 3 bits, one more) and what the server is like. Then comes one thing after the
/// other: a byte whose low 5 bits say what happens (see `happen`) and whose high ones say which, and what it needs.
///
/// In the end the link is lost, everything is taken back, and nothing may be left of it.
pub fn session_ops(data: &[u8]) {
    let mut input = Input(data);
    let setup = Setup::read(&mut input);
    let config = setup.client();
    let server_config = setup.server();
    let mut memory = [[0; MOST]; 3];
    let mut slots = [[Slot::FREE; SLOTS]; 3];
    let mut receive = [[0; MOST]; 3];
    let mut cursors = [(); 3].map(|()| Memory::<[Row; KEYS]>::new());
    let parts = memory.iter_mut().zip(&mut slots).zip(receive.iter_mut().zip(&mut cursors));
    let mut spare = parts.map(|((tx, slots), (rx, cursor))| {
        let (tx, slots) = (&mut tx[..setup.transmit], &mut slots[..setup.slots]);
        let work = Work { rx: MOST, tx, slots, sync: Some(cursor), dialer: None };
        Link::new(Decoder::new(config.dialect, &mut rx[..]).unwrap(), Client::new(&config, work).unwrap())
    });
    let mut device = Device::new(spare.next().unwrap(), config.dialect);
    let mut storage = RingStorage::<8, 200, 4, 2>::new();
    let mut host = Host::new(&server_config, storage.mailbox(sync::Epoch::FIRST), setup.syncs());
    let mut now = Instant::ZERO;
    while let Some(byte) = input.byte() {
        let which = byte >> 5;
        match byte & 31 {
            0 => now = now + Duration::from_millis(1 << (input.number() % 32)),
            1 => now = now + Duration::from_millis(u64::from(which)),
            2 => {
                // Whichever is due first, or that of one of them.
                let due = if which == 0 { host.poll_timeout() } else { device.link.poll_timeout() };
                now = due.map_or(now, |due| due.max(now));
                device.handle_timeout(now);
                host.handle_timeout(now);
            }
            // A clock that goes back stands still.
            3 if which == 0 => device.handle_timeout(Instant::ZERO),
            3 => host.handle_mailbox(which, now, &mut input),
            4 => {
                if let Some(link) = spare.next() {
                    device.restart(now, link, which, &mut input);
                }
            }
            5 => host.accept_link(&server_config, now),
            6 => host.feed(now, device.outgoing(which)),
            7 => device.feed(now, host.outgoing(which)),
            op @ 8..20 => host.happen(op, which, now, &mut input),
            op => device.happen(op, which, now, &mut input),
        }
        device.check(now);
        host.check(now);
    }
    device.end(now);
}

/// What the two are, by the bits of the first byte, the second, and the third.
struct Setup {
    /// 0 and 1: the dialect, longlink, mars, goim, bilibili. 2: the client greets, with an identity in the first. 3: it
    /// keeps its state. 4: messages are not sent again. 5: it goes on without an answer to its greeting. 6: messages
    /// linger, and answers of sync are held. 7: it names its epoch.
    bits: u8,
    transmit: usize,
    slots: usize,
    /// 3: the client syncs, if it has an identity. 4: the server takes messages in any order. 5: it wants no greeting.
    /// 6 and 7: how many may be undecided.
    host: u8,
}

impl Setup {
    fn read(input: &mut Input<'_>) -> Self {
        let [bits, transmit, more] = [(); 3].map(|()| input.number());
        let transmit = (32 + 2 * usize::from(transmit)).min(MOST);
        Self { bits, transmit, slots: usize::from(more % 8) + 1, host: more }
    }

    fn is(&self, bit: u8) -> bool {
        self.bits >> bit & 1 == 1
    }

    fn syncs(&self) -> bool {
        PRESETS[usize::from(self.bits % 4)].greets_natively() && self.is(2) && self.host & 8 != 0
    }

    fn client(&self) -> Config<'static> {
        let dialect = PRESETS[usize::from(self.bits % 4)];
        let native = dialect.greets_natively();
        let epoch = if self.is(7) { crate::delivery::Epoch::new(3) } else { None };
        let identity = Identity { account: 1, device: NonZeroU64::MIN, epoch, keeps_state: self.is(3) };
        let hold = Duration::from_secs(if self.is(6) { 60 } else { 0 });
        let config = Config {
            dialect,
            identity: (native && self.is(2)).then_some(identity),
            hello: (dialect.greeting.is_some() && self.is(2)).then_some(b"token"),
            resends: !self.is(4),
            requires_greeting: !self.is(5),
            linger: if self.is(6) { Duration::from_millis(200) } else { Duration::ZERO },
            batch: 100,
            sync: self.syncs().then_some(sync::Config { hold, ..sync::Config::DEFAULT }),
            message: MessagePolicy { lifetime: Duration::from_secs(3_600), ..MessagePolicy::DEFAULT },
            ..Config::DEFAULT
        };
        config.check().unwrap();
        config
    }

    fn server(&self) -> ServerConfig {
        let pending = [64, 4, 1, 0][usize::from(self.host >> 6)];
        ServerConfig {
            dialect: PRESETS[usize::from(self.bits % 4)],
            ordered: self.host & 16 == 0,
            needs_greeting: self.host & 32 == 0,
            max_frame: 512,
            pending,
            idle: Duration::from_secs(60),
            ..ServerConfig::DEFAULT
        }
    }
}

/// After what is due was done, nothing is.
fn handle_timeout(endpoint: &mut impl Endpoint, now: Instant, clock: &mut Instant) {
    *clock = now.max(*clock);
    endpoint.handle_timeout(now);
    assert!(endpoint.poll_timeout().is_none_or(|at| at > *clock), "{:?} at {clock:?}", endpoint.next_timer());
}
