//! Both sides of a transfer as applications would write them, and the requests between them.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]

use longlink::Instant;
use longlink::delivery::transfer::{
    Answer, Arrival, Assembly, Chunk, ChunkRefusal, Handle, Key, Op, Open, Quota, Range, State, Status, Step, Upload,
};
use std::collections::BTreeMap;

pub const S: fn(u64) -> Instant = Instant::from_secs;

pub fn payload(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
}

/// The key `key` for a payload, in chunks of 256 bytes.
pub fn open(key: u8, payload: &[u8]) -> Open {
    Open::new(Key([key; 16]), payload.len() as u32, crc32c(payload)).with_chunk(256).unwrap()
}

/// So many bytes, to a server with room for many holes.
pub fn world(length: usize) -> World {
    let payload = payload(length);
    World::new(open(1, &payload), payload, 32, 64)
}

/// A world where so many chunks of 40 are there.
pub fn in_the_middle(chunks: usize) -> World {
    let mut world = world(10_000);
    for _ in 0..=chunks {
        world.step();
    }
    assert_eq!((world.server.stored, world.upload.state()), (chunks, State::Sending));
    world
}

pub fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

/// A receiver as an application would write it.
pub struct Server {
    pub held: BTreeMap<Key, Held>,
    pub next: Handle,
    pub quota: Quota,
    /// Places in the table of each assembly.
    pub places: usize,
    /// Chunks taken, and those of them that were stored.
    pub chunks: usize,
    pub stored: usize,
    /// What is stored is not what came.
    pub corrupts: bool,
}

pub struct Held {
    /// On this link; none before it is opened there.
    pub handle: Option<Handle>,
    pub assembly: Assembly<Vec<Range>>,
    pub bytes: Vec<u8>,
}

impl Server {
    pub fn new(places: usize) -> Self {
        let held = BTreeMap::new();
        Self { held, next: Handle::FIRST, quota: Quota::DEFAULT, places, chunks: 0, stored: 0, corrupts: false }
    }

    pub fn open(&mut self, body: &[u8]) -> Vec<u8> {
        let open = Open::decode(body).unwrap();
        let say = |status| Answer::new(status).to_bytes().to_vec();
        if open.op() == Op::Abort {
            self.held.remove(&open.key());
        }
        if !self.held.contains_key(&open.key()) {
            let unfinished = self.held.values().filter(|held| !held.assembly.is_complete());
            if open.op() != Op::Open {
                return say(Status::UnknownKey);
            } else if let Some(refused) = self.quota.refuses(&open, unfinished.map(|held| *held.assembly.open())) {
                return say(refused);
            }
        }
        let new = || Held {
            handle: None,
            assembly: Assembly::new(&open, vec![Range::EMPTY; self.places]),
            bytes: vec![0xEE; open.total() as usize],
        };
        let held = self.held.entry(open.key()).or_insert_with(new);
        if held.assembly.contradicts(&open) {
            return say(Status::Contradicts);
        }
        if held.assembly.is_whole() && held.assembly.conclude(crc32c(&held.bytes)) == Status::WrongCrc {
            return say(Status::WrongCrc);
        }
        let handle = *held.handle.get_or_insert(self.next);
        self.next = self.next.next();
        let mut out = [0; 272];
        let length = held.assembly.answer(handle, &mut out).unwrap();
        out[..length].to_vec()
    }

    pub fn chunk(&mut self, body: &[u8]) -> Result<Arrival, ChunkRefusal> {
        let chunk = Chunk::decode(body)?;
        self.chunks += 1;
        let known = self.held.values_mut().find(|held| held.handle == Some(chunk.handle()));
        let held = known.ok_or(ChunkRefusal::UnknownHandle)?;
        if held.assembly.check(&chunk)? == Arrival::Fresh {
            self.stored += 1;
            let place = chunk.range().of_mut(&mut held.bytes).unwrap();
            place.copy_from_slice(chunk.bytes());
            place[0] ^= u8::from(self.corrupts);
        }
        held.assembly.record(&chunk)
    }

    pub fn take(&mut self, request: &Request) -> Vec<u8> {
        match (request.step, &request.body) {
            (Step::Open(_), body) => self.open(body),
            (Step::Chunk(_), body) => match self.chunk(body) {
                Ok(_) => Vec::new(),
                Err(refused) => refused.to_bytes().to_vec(),
            },
        }
    }

    /// All links are gone, and with them the handles.
    pub fn disconnect(&mut self) {
        self.held.values_mut().for_each(|held| held.handle = None);
        self.next = Handle::FIRST;
    }

    /// Makes room. What is complete is stored elsewhere, to stay.
    pub fn evict(&mut self) {
        self.held.retain(|_, held| held.assembly.is_complete());
    }

    pub fn restart(&mut self, has_snapshots: bool) {
        self.disconnect();
        if !has_snapshots {
            self.evict();
        }
        for held in self.held.values_mut().filter(|held| !held.assembly.is_complete()) {
            let mut snapshot = vec![0; held.assembly.snapshot_len()];
            held.assembly.snapshot(&mut snapshot).unwrap();
            held.assembly = Assembly::restore(&snapshot, vec![Range::EMPTY; self.places]).unwrap();
        }
    }
}

/// A sender, its receiver, and the requests between them.
pub struct World {
    pub now: Instant,
    pub payload: Vec<u8>,
    pub upload: Upload<Vec<Range>>,
    pub server: Server,
    pub under_way: Vec<Request>,
    /// Requests that were given up here, and may arrive yet.
    pub late: Vec<Request>,
    pub requests: usize,
}

#[derive(Clone)]
pub struct Request {
    pub step: Step,
    pub body: Vec<u8>,
    pub replies: Vec<Vec<u8>>,
}

impl World {
    pub fn new(open: Open, payload: Vec<u8>, listed: usize, places: usize) -> Self {
        let (upload, server) = (Upload::new(open, vec![Range::EMPTY; listed]), Server::new(places));
        Self { now: S(0), payload, upload, server, under_way: Vec::new(), late: Vec::new(), requests: 0 }
    }

    /// Makes the next request, if there is one.
    pub fn poll(&mut self) -> bool {
        let Some(step) = self.upload.poll_step() else { return false };
        let body = match step {
            Step::Open(open) => open.to_bytes().to_vec(),
            Step::Chunk(place) => {
                let chunk = place.with(place.range().of(&self.payload).unwrap()).unwrap();
                let mut body = vec![0; 12 + chunk.bytes().len()];
                assert_eq!(chunk.encode_into(&mut body), Ok(body.len()));
                body
            }
        };
        self.requests += 1;
        self.under_way.push(Request { step, body, replies: Vec::new() });
        true
    }

    /// The server takes a request; it stays under way until its reply is here.
    pub fn deliver(&mut self, at: usize) {
        let reply = self.server.take(&self.under_way[at]);
        self.under_way[at].replies.push(reply);
    }

    /// A reply arrives; the one that came last first.
    pub fn reply(&mut self, at: usize) {
        if let Some(reply) = self.under_way[at].replies.pop() {
            assert_eq!(self.upload.handle_reply(self.now, self.under_way[at].step, &reply), Ok(()));
        }
    }

    pub fn lose(&mut self, at: usize) {
        let lost = self.under_way.swap_remove(at);
        self.upload.handle_failed(lost.step);
        self.late.push(lost);
    }

    pub fn disconnect(&mut self) {
        self.under_way.clear();
        self.late.clear();
        self.server.disconnect();
        self.upload.handle_disconnected();
    }

    /// Only the 32 bytes of the open are left of the sender.
    pub fn restart_client(&mut self) {
        self.disconnect();
        let open = Open::decode(&self.upload.open().to_bytes()).unwrap();
        self.upload = Upload::new(open, vec![Range::EMPTY; 4]);
    }

    /// The end of a wait, and one request with its reply, without faults.
    pub fn step(&mut self) {
        if let Some(until) = self.upload.poll_timeout() {
            self.now = until;
            self.upload.handle_timeout(until);
        }
        self.poll();
        if !self.under_way.is_empty() {
            self.deliver(0);
            self.reply(0);
            self.under_way.remove(0);
        }
    }

    /// From now on nothing is lost.
    pub fn run(&mut self) -> State {
        let most = 40 + self.under_way.len() + 3 * self.upload.open().chunks() as usize;
        for _ in 0..most {
            if self.upload.state().is_final() {
                assert_eq!((self.upload.poll_step(), self.upload.poll_timeout()), (None, None));
                return self.upload.state();
            }
            self.step();
        }
        panic!("no end: {:?}", self.upload);
    }

    #[track_caller]
    pub fn arrived(&self) {
        assert_eq!(self.upload.state(), State::Complete);
        assert_eq!(self.upload.progress().acknowledged as usize, self.payload.len());
        let held = &self.server.held[&self.upload.open().key()];
        assert!(held.assembly.is_complete() && held.bytes == self.payload);
    }
}

pub type Sender = Upload<[Range; 32]>;

/// The sender of 16 chunks to a server that may say anything.
pub fn sender() -> Sender {
    Upload::new(open(1, &payload(4_096)), [Range::EMPTY; 32])
}

/// Takes the next step, which is an open, and answers it.
#[track_caller]
pub fn opened(upload: &mut Sender, now: u64, answer: Answer, missing: &[(u32, u32)]) {
    let step = upload.poll_step().unwrap();
    assert!(matches!(step, Step::Open(_)));
    let mut out = [0; 272];
    let ranges = missing.iter().map(|&(offset, length)| Range::new(offset, length).unwrap());
    let length = answer.encode(ranges, &mut out).unwrap();
    upload.handle_reply(S(now), step, &out[..length]).unwrap();
}

pub fn go(missing: u32) -> Answer {
    Answer::go(Handle::FIRST, missing)
}
