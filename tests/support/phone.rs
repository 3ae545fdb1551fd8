//! A client link with a mailbox, to which the test plays the server.

use super::native::{DEVICE, Greets, HELLO, REPLY, Welcome, Wire, frames_in};
use super::sync::{Answer, Asked, Kept, acked};
use super::{feed, frame, written};
use longlink::Instant;
use longlink::delivery::Slot;
use longlink::session::{Client, Config, Disconnect, Event, Identity, Link, Work};
use longlink::sync::{self, Memory, NOTIFY, Rejected, Row, SYNC, SYNC_DONE, StaleReceipt};
use longlink::wire::{Decoder, Dialect};

/// A device with a mailbox.
pub const MAILBOX: Config<'static> = with(sync::Config::DEFAULT);

pub const fn with(sync: sync::Config<'static>) -> Config<'static> {
    Config { identity: Some(Identity::volatile(DEVICE)), sync: Some(sync), ..Config::DEFAULT }
}

pub struct Phone {
    pub link: Link<Client<'static>, Vec<u8>>,
    pub now: Instant,
    pub told: Vec<String>,
    /// The page that came last.
    pub page: Option<Kept>,
    /// The body of the reply that came last.
    pub reply: Option<Vec<u8>>,
}

impl Phone {
    pub fn new(config: Config<'static>) -> Self {
        Self::with_buffers::<16>(config, 2_048, 2_048)
    }

    pub fn with_buffers<const KEYS: usize>(config: Config<'static>, rx: usize, tx: usize) -> Self {
        let config: &'static Config<'static> = Box::leak(Box::new(config));
        let tx = Box::leak(vec![0; tx].into_boxed_slice());
        let slots = Box::leak(vec![Slot::FREE; 16].into_boxed_slice());
        let memory: &mut Memory = Box::leak(Box::new(Memory::<[Row; KEYS]>::new()));
        let client = Client::new(config, Work { rx, tx, slots, sync: Some(memory), dialer: None }).unwrap();
        let link = Link::new(Decoder::new(config.dialect, vec![0; rx]).unwrap(), client);
        Self { link, now: Instant::ZERO, told: Vec::new(), page: None, reply: None }
    }

    /// Online at 0, and up to date in epoch 1 by this answer.
    pub fn primed(config: Config<'static>, answer: &Answer) -> Self {
        let mut phone = Self::new(config);
        phone.prime(answer);
        phone
    }

    pub fn prime(&mut self, answer: &Answer) {
        self.greet();
        self.answer(answer);
        self.commit().unwrap();
        assert_eq!(self.lines(), ["online", "page", "caught up"]);
        self.page = None;
    }

    pub fn client(&mut self) -> &mut Client<'static> {
        self.link.endpoint_mut()
    }

    pub fn at(&mut self, seconds: u64) -> &mut Self {
        self.at_millis(seconds * 1_000)
    }

    pub fn at_millis(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self.process();
        let at = self.link.poll_timeout();
        assert!(at.is_none_or(|at| at > self.now), "{at:?} is due at {:?} still", self.now);
        self
    }

    /// Lets time pass from deadline to deadline, with every heartbeat answered, for so many seconds or until something else is
    /// written; that comes back.
    pub fn until_written(&mut self, seconds: u64) -> Vec<Wire> {
        let end = self.now + std::time::Duration::from_secs(seconds);
        loop {
            let mut frames = self.frames();
            let beats = frames.iter().filter(|frame| frame.command == super::native::HEARTBEAT).count();
            frames.retain(|frame| frame.command != super::native::HEARTBEAT);
            (0..beats).for_each(|_| self.give(super::native::HEARTBEAT + REPLY, 0xFFFF_FFFF, &[]));
            if !frames.is_empty() {
                return frames;
            }
            match self.link.poll_timeout().filter(|at| *at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.process();
                }
                None => {
                    self.now = end;
                    return frames;
                }
            }
        }
    }

    pub fn process(&mut self) {
        let (now, told, page, reply) = (self.now, &mut self.told, &mut self.page, &mut self.reply);
        self.link.process(now, |_, event| told.push(line(event, page, reply)));
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let (now, told, page, reply) = (self.now, &mut self.told, &mut self.page, &mut self.reply);
        feed(&mut self.link, now, bytes, |_, event| told.push(line(event, page, reply)));
    }

    pub fn give(&mut self, command: u32, sequence: u32, body: &[u8]) {
        self.feed(&frame(&Dialect::LONGLINK, command, sequence, body));
    }

    pub fn notify(&mut self, body: &[u8]) {
        self.give(NOTIFY, 0, body);
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        written(&mut self.link, self.now)
    }

    pub fn frames(&mut self) -> Vec<Wire> {
        let bytes = self.bytes();
        frames_in(&Dialect::LONGLINK, &bytes)
    }

    /// The first `n` bytes of what it wants to write are written.
    pub fn write(&mut self, n: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < n {
            let Some(bytes) = self.link.poll_transmit() else { break };
            let some = bytes[..bytes.len().min(n - all.len())].to_vec();
            self.link.handle_sent(self.now, some.len());
            all.extend(some);
        }
        all
    }

    pub fn connect(&mut self) -> Greets {
        self.link.handle_connected(self.now);
        self.process();
        let frames = self.frames();
        assert_eq!(frames.iter().map(|frame| frame.command).collect::<Vec<_>>(), [HELLO], "nothing precedes the reply");
        Greets::of(&frames[0].body)
    }

    pub fn welcome(&mut self, hello: Greets) {
        let welcome = Welcome::having(hello.epoch.max(1), hello.link, &[]);
        self.give(HELLO + REPLY, 0xFFFF_FFFE, &welcome.body());
    }

    pub fn greet(&mut self) {
        let hello = self.connect();
        self.welcome(hello);
    }

    pub fn cut(&mut self) -> &mut Self {
        self.link.handle_disconnected(self.now, Disconnect::Transport);
        self.process();
        self
    }

    /// The only thing that it writes now is a request.
    pub fn asked(&mut self) -> Asked {
        let frames = self.frames();
        let [Wire { command: SYNC, sequence, body }] = &frames[..] else { panic!("{frames:?}") };
        Asked::read(*sequence, body)
    }

    /// The only thing that it writes now is an ack.
    pub fn acked(&mut self) -> (u32, Vec<(u16, u64)>) {
        let frames = self.frames();
        let [Wire { command: SYNC_DONE, sequence: 0, body }] = &frames[..] else { panic!("{frames:?}") };
        acked(body)
    }

    pub fn reply(&mut self, sequence: u32, answer: &Answer) {
        self.give(SYNC + REPLY, sequence, &answer.body());
    }

    pub fn answer(&mut self, answer: &Answer) {
        let sequence = self.asked().sequence;
        self.reply(sequence, answer);
    }

    pub fn commit(&mut self) -> Result<(), StaleReceipt> {
        let (now, page) = (self.now, self.page.clone().unwrap());
        let done = self.client().commit(now, &page.receipt());
        self.process();
        done
    }

    pub fn reject(&mut self, item: usize) -> Result<Rejected, StaleReceipt> {
        let (now, page) = (self.now, self.page.clone().unwrap());
        let done = self.client().reject(now, &page.receipt(), &page.items[item].item());
        self.process();
        done
    }

    /// The committed cursor.
    pub fn cursor(&mut self) -> (u32, Vec<(u16, u64)>) {
        let mut out = [0; 8 + 64 * 12];
        let length = self.client().cursor().unwrap().encode(&mut out).unwrap();
        super::sync::cursor(&out[..length])
    }

    /// What it was told since this was asked last.
    pub fn lines(&mut self) -> Vec<String> {
        self.process();
        std::mem::take(&mut self.told)
    }
}

fn line(event: Event<'_>, page: &mut Option<Kept>, reply: &mut Option<Vec<u8>>) -> String {
    match event {
        Event::Online { .. } => "online".into(),
        Event::Offline(why) => format!("offline {}", why.name()),
        Event::Heartbeat { .. } => "heartbeat".into(),
        Event::CaughtUp => "caught up".into(),
        Event::Hole { key, val } => format!("hole {key} {val}"),
        Event::SyncFailed(error) => format!("failed {error:?}"),
        Event::Push(frame) => format!("push {}/{}", frame.command(), frame.sequence()),
        Event::GoAway(goaway) => format!("goaway {:?}", goaway.code()),
        Event::Delivered { token } => format!("delivered {}", token.sequence()),
        Event::Failed { token, why, .. } => format!("lost {} {why:?}", token.sequence()),
        Event::Page(new) => {
            *page = Some(Kept::of(&new));
            "page".into()
        }
        Event::Reply { token, frame } => {
            *reply = Some(frame.body().to_vec());
            format!("reply {}", token.sequence())
        }
        other => format!("{other:?}"),
    }
}
