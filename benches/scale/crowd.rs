//! Many links of one server, each with a device at its other end, of which only the bytes are there.
//!
//! ```text
//!   created ──hello──▶ greeted ──sync, ack──▶ up to date ──heartbeat──▶ idle ──goaway, end──▶ closed
//! ```
//!
//! All links share one buffer to read into and one to write from, as those of the example `tokio_server` take turns with
//! a few: a link holds one only while something moves, and nothing of a frame is left in it here.

use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::session::{Disconnect, GoAway, GoAwayCode, Hello, Link, Server, ServerConfig, ServerEvent};
use longlink::sync::{self, Ack, Acked, Epoch, Item, Mailbox, Request, Row, SyncKeys};
use longlink::wire::{Decoder, Dialect, encode};
use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::time::Duration;

const DIALECT: &Dialect = &Dialect::LONGLINK;
const EPOCH: Epoch = Epoch::FIRST;
/// The key of every mailbox, and how many items it has.
const KEY: u16 = 1;
const HEAD: u64 = 1;
const BODY: &[u8] = &[7; 48];

pub(crate) static CONFIG: ServerConfig = ServerConfig::DEFAULT;

/// A link as a server holds it.
pub(crate) type Held = Link<Server<'static, Buffer>, Buffer>;

type Buffer = Box<[u8]>;

/// What happens to a link, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The device greets, and is welcomed.
    Greet,
    /// It asks for what is new, gets a page with an item, and says that it has stored it.
    Sync,
    /// It sends a heartbeat, and is answered.
    Beat,
    /// The server says goaway, and the device ends its stream.
    Close,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [Self::Greet, Self::Sync, Self::Beat, Self::Close];
}

/// The links, and what the devices send.
pub(crate) struct Crowd {
    links: Vec<Held>,
    desk: Desk,
    hello: Vec<u8>,
    sync: Vec<u8>,
    ack: Vec<u8>,
    heartbeat: Vec<u8>,
}

/// What all links share.
struct Desk {
    now: Instant,
    read: Option<Buffer>,
    write: Option<Buffer>,
    mailbox: OneItem,
}

impl Crowd {
    /// So many links, just accepted.
    pub(crate) fn new(links: usize) -> Self {
        let now = Instant::from_secs(1);
        let create = || Link::new(Decoder::without_buffer(DIALECT), Server::new(&CONFIG, now).unwrap());
        Self {
            links: std::iter::repeat_with(create).take(links).collect(),
            desk: Desk { now, read: buffer(), write: buffer(), mailbox: OneItem { acked: 0 } },
            hello: hello(),
            sync: frame(sync::SYNC, 1, |out| request(&keys(0)).encode(out).unwrap()),
            ack: frame(sync::SYNC_DONE, 0, |out| {
                Ack { epoch: EPOCH, entries: keys(HEAD).entries() }.encode(out).unwrap()
            }),
            heartbeat: frame(DIALECT.heartbeat, u32::MAX, |_| 0),
        }
    }

    /// Does this with link `index`.
    #[inline(never)]
    pub(crate) fn step(&mut self, step: Step, index: usize) {
        let (link, desk) = (&mut self.links[index], &mut self.desk);
        match step {
            Step::Greet => {
                // The device's own number: one above the link's.
                self.hello[24..32].copy_from_slice(&(index as u64 + 1).to_be_bytes());
                assert_eq!(desk.take(link, &self.hello), 16 + 28 + 8);
            }
            Step::Sync => {
                assert_eq!(desk.take(link, &self.sync), 16 + 20 + 12 + 16 + BODY.len());
                let before = desk.mailbox.acked;
                desk.take(link, &self.ack);
                assert_eq!(desk.mailbox.acked, before + 1);
            }
            Step::Beat => assert_eq!(desk.take(link, &self.heartbeat), 16),
            Step::Close => desk.close(link),
        }
    }

    /// The next step begins a minute later.
    pub(crate) fn wait(&mut self) {
        self.desk.now = self.desk.now + Duration::from_secs(60);
    }
}

impl Desk {
    /// Handles what came on a link, and writes what there is to say. Returns the bytes written.
    fn take(&mut self, link: &mut Held, bytes: &[u8]) -> usize {
        link.split().0.lend(self.read.take().unwrap()).unwrap();
        link.space()[..bytes.len()].copy_from_slice(black_box(bytes));
        link.handle_read(self.now, bytes.len());
        link.process(self.now, |server, event| self.handle(server, &event));
        self.read = link.split().0.reclaim();
        let written = self.write(link);
        if let Some(buffer) = link.endpoint_mut().reclaim() {
            self.write = Some(buffer);
        }
        written
    }

    fn handle(&mut self, server: &mut Server<'static, Buffer>, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(hello) => {
                server.lend(self.write.take().unwrap()).unwrap();
                // From the store of devices, which is not the link's.
                let mut ledger = Ledger::new();
                let greeted = ledger.greet(hello.epoch, hello.link).unwrap();
                server.welcome(self.now, &ledger, greeted.resumed).unwrap();
            }
            ServerEvent::Sync { sequence, request } => {
                server.lend(self.write.take().unwrap()).unwrap();
                server.answer_sync(self.now, *sequence, request, &mut self.mailbox).unwrap();
            }
            ServerEvent::SyncDone(ack) => assert_eq!(sync::acknowledge(ack, &mut self.mailbox), Ok(true)),
            ServerEvent::Offline(why) => assert_eq!(*why, Disconnect::Closed),
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, link: &mut Held) -> usize {
        let mut written = 0;
        while let Some(bytes) = link.poll_transmit() {
            let n = black_box(bytes).len();
            link.handle_sent(self.now, n);
            written += n;
        }
        written
    }

    fn close(&mut self, link: &mut Held) {
        link.endpoint_mut().close(self.now, GoAway::new(GoAwayCode::Restart));
        assert_eq!(self.write(link), 16 + 8);
        link.handle_end();
        link.process(self.now, |server, event| self.handle(server, &event));
        let why = link.over().unwrap();
        link.handle_disconnected(self.now, why);
        link.process(self.now, |server, event| self.handle(server, &event));
    }
}

fn buffer() -> Option<Buffer> {
    Some(vec![0; 2_048].into())
}

/// The mailbox of every account: one item that the device does not have.
struct OneItem {
    /// How often it was acknowledged.
    acked: usize,
}

impl Mailbox for OneItem {
    type Error = Infallible;

    fn epoch(&mut self) -> Result<Epoch, Infallible> {
        Ok(EPOCH)
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Infallible> {
        Ok(Some(KEY).filter(|key| after.is_none_or(|after| after < *key)))
    }

    fn head(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(if key == KEY { HEAD } else { 0 })
    }

    fn floor(&mut self, _: u16) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Infallible> {
        if after < HEAD {
            let _ = each(Item::new(key, HEAD, 0, BODY));
        }
        Ok(HEAD)
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Infallible> {
        each(Item::new(key, val, 0, BODY));
        Ok((key, val) == (KEY, HEAD))
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Infallible> {
        self.acked += usize::from(acked.vals().any(|(_, val)| val == HEAD));
        Ok(())
    }
}

fn hello() -> Vec<u8> {
    let hello = Hello {
        version: Hello::VERSION,
        resume: false,
        heartbeat: 30,
        epoch: None,
        device: NonZeroU64::MIN,
        link: 1,
        max_frame: 1_024,
        token: b"ann",
    };
    let body = [&hello.encode_fixed()[..], hello.token].concat();
    frame(205, 0xFFFF_FFFE, |out| {
        out[..body.len()].copy_from_slice(&body);
        body.len()
    })
}

fn keys(val: u64) -> SyncKeys<[Row; 1]> {
    let mut keys = SyncKeys::new();
    keys.merge(KEY, val).unwrap();
    keys
}

fn request(keys: &SyncKeys<[Row; 1]>) -> Request<'_> {
    Request { epoch: Some(EPOCH), max_bytes: 512, entries: keys.entries(), ..Request::DEFAULT }
}

/// A frame whose body is written by `body`.
fn frame(command: u32, sequence: u32, body: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let (mut out, mut frame) = ([0; 256], vec![0; 256]);
    let length = body(&mut out);
    let length = encode(DIALECT, command, sequence, &out[..length], &mut frame).unwrap();
    frame.truncate(length);
    frame
}
