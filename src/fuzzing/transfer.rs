use crate::delivery::transfer::{
    Arrival, Assembly, Chunk, ChunkRefusal, ChunkReply, Handle, Key, Open, OpenReply, Range, State, Status, Step,
    Upload, limits,
};
use crate::time::Instant;
use core::time::Duration;

/// Target `transfer`: the bytes as each body of a transfer, and as what happens to one.
///
/// As a script the input starts with the total (16 bits, modulo 4,096; chunks have 256 bytes), the places in the tables
/// of the sender and the receiver (4 bits each, modulo 9) and the window. Then comes a byte for each thing that
/// happens, the number of which is in its low 4 bits: see `happen`. In the end nothing is lost any more.
pub fn transfer(data: &[u8]) {
    decode_bodies(data);
    let Some((&[t1, t0, places, window], script)) = data.split_first_chunk::<4>() else { return };
    let total = u32::from(u16::from_be_bytes([t1, t0]) % 4_096);
    let (listed, kept) = (usize::from(places >> 4) % 9, usize::from(places & 15) % 9);
    let mut tables = [[Range::EMPTY; 8]; 2];
    let [of_sender, of_receiver] = &mut tables;
    let mut world = World::new(total, usize::from(window), &mut of_sender[..listed], &mut of_receiver[..kept]);
    let mut script = script;
    while let Some((&byte, rest)) = script.split_first() {
        script = world.happen(byte, rest);
        world.check();
    }
    world.finish();
}

/// What is read is in order, and written again it has the same bytes.
fn decode_bodies(data: &[u8]) {
    let mut out = [0; 1_024];
    if let Ok(open) = Open::decode(data) {
        assert_eq!(open.to_bytes(), data);
        assert!(open.chunk() >= Open::SMALLEST_CHUNK);
    }
    if let Ok(chunk) = Chunk::decode(data) {
        assert!(chunk.range().end() <= chunk.total() && !chunk.range().is_empty());
        assert_eq!(chunk.range().length() as usize, chunk.bytes().len());
        if let Ok(length) = chunk.encode_into(&mut out) {
            assert_eq!(&out[..length], data);
        }
    }
    match ChunkReply::decode(data) {
        Ok(ChunkReply::Buffered) => assert!(data.is_empty()),
        Ok(ChunkReply::Refused(refusal)) => assert_eq!(refusal.to_bytes(), data),
        Err(_) => assert!(!data.is_empty()),
    }
    decode_reply(&Open::new(Key([0; 16]), 100_000, 0), data);
    // An open and its reply, or a snapshot.
    let (front, rest) = data.split_at(data.len().min(Open::LEN));
    if let Ok(open) = Open::decode(front) {
        decode_reply(&open, rest);
        restore(data);
    }
}

fn decode_reply(open: &Open, body: &[u8]) {
    let Ok(reply) = OpenReply::decode(body, open) else { return };
    let answer = reply.answer();
    assert_eq!(in_order(reply.ranges(), open) > 0, answer.status() == Status::Go && answer.missing() > 0);
    assert!(reply.ranges().count() <= OpenReply::MAX_RANGES);
    let mut out = [0; 272];
    assert_eq!(answer.encode(reply.ranges(), &mut out), Ok(body.len()));
    assert_eq!(&out[..body.len()], body);
}

fn restore(snapshot: &[u8]) {
    let Ok(assembly) = Assembly::restore(snapshot, [Range::EMPTY; 64]) else { return };
    assert_eq!(in_order(assembly.missing(), assembly.open()), assembly.missing_chunks());
    let mut out = [0; 32 + 64 * 8];
    let length = assembly.snapshot(&mut out).unwrap();
    assert!(length <= snapshot.len());
    let again = Assembly::restore(&out[..length], [Range::EMPTY; 64]).unwrap();
    assert!(again.missing().eq(assembly.missing()) && !again.contradicts(assembly.open()));
}

/// Ascending, disjoint, not empty, of whole chunks, within the payload. Returns of how many chunks.
fn in_order(ranges: impl Iterator<Item = Range>, open: &Open) -> u32 {
    let (mut chunks, mut behind) = (0, 0);
    for range in ranges {
        assert!(range.offset() >= behind && !range.is_empty() && range.end() <= open.total());
        assert_eq!(range.offset() % u32::from(open.chunk()), 0);
        assert!(range.end() == open.total() || range.end() % u32::from(open.chunk()) == 0);
        chunks += range.length().div_ceil(open.chunk().into());
        behind = range.end();
    }
    assert!(chunks <= open.chunks());
    chunks
}

/// What is stored where does not matter here, so all payloads are this.
static PAYLOAD: [u8; 4_096] = [0; 4_096];
const CRC: u32 = 0xC0DE;

struct World<'t> {
    now: Instant,
    upload: Upload<&'t mut [Range]>,
    assembly: Assembly<&'t mut [Range]>,
    handle: Handle,
    window: usize,
    /// Given out and not ended.
    steps: [Option<Step>; limits::MAX_WINDOW + 1],
    /// The chunks that the assembly has, by bits.
    present: u32,
}

impl<'t> World<'t> {
    fn new(total: u32, window: usize, of_sender: &'t mut [Range], of_receiver: &'t mut [Range]) -> Self {
        let open = Open::new(Key([7; 16]), total, CRC).with_chunk(256).unwrap();
        Self {
            now: Instant::ZERO,
            upload: Upload::new(open, of_sender).with_window(window),
            assembly: Assembly::new(&open, of_receiver),
            handle: Handle::FIRST,
            window: window.clamp(1, limits::MAX_WINDOW),
            steps: [None; limits::MAX_WINDOW + 1],
            present: 0,
        }
    }

    /// What the low 4 bits of `byte` say; the high ones say to which request, or how much. Returns what is left of
    /// `rest`.
    fn happen<'d>(&mut self, byte: u8, rest: &'d [u8]) -> &'d [u8] {
        let much = usize::from(byte >> 4); // 0 to 15
        match byte & 15 {
            0 => {
                self.poll();
            }
            1 => while self.poll() {},
            2 => self.answer(much),
            3 => {
                // Anything at all, of a length that comes first. Here it stays under way: it may be answered again.
                let Some((&length, rest)) = rest.split_first() else { return rest };
                let (body, rest) = rest.split_at(rest.len().min(length.into()));
                if let Some(step) = self.steps[much] {
                    let _ = self.upload.handle_reply(self.now, step, body);
                }
                return rest;
            }
            4 => self.with_step(much, |upload, step| upload.handle_failed(step)),
            5 => self.with_step(much, |upload, step| upload.put_back(step)),
            6 => {
                self.upload.handle_disconnected();
                self.steps.fill(None);
            }
            7 => self.wait(Duration::from_secs(1 << much)),
            8 => self.upload.handle_limit(u32::from(byte >> 4) + 284 - 15, 16),
            9 => self.clear(),
            10 => self.handle = self.handle.next(),
            11 => {
                let (n, rest) = rest.split_at(rest.len().min(3));
                let &[n2, n1, n0] = n else { return rest };
                self.odd_chunk(u32::from_be_bytes([0, n2, n1, n0]), much);
                return rest;
            }
            12 => self.conclude(if much < 8 { CRC } else { !CRC }),
            _ => {}
        }
        rest
    }

    /// Takes the next request. `false` if there is none.
    fn poll(&mut self) -> bool {
        let was_final = self.upload.state().is_final();
        let Some(step) = self.upload.poll_step() else { return false };
        assert!(!was_final);
        if let Step::Chunk(place) = step {
            let range = place.range();
            assert_eq!(in_order([range].into_iter(), self.upload.open()), 1);
            assert!(place.with(range.of(&PAYLOAD).unwrap()).is_some());
        }
        // What was answered with anything at all is forgotten when its place is needed.
        let free = self.steps.iter().position(Option::is_none).unwrap_or_default();
        self.steps[free] = Some(step);
        true
    }

    fn with_step(&mut self, at: usize, end: impl FnOnce(&mut Upload<&'t mut [Range]>, Step)) {
        if let Some(step) = self.steps[at].take() {
            end(&mut self.upload, step);
        }
    }

    /// The receiver answers a request.
    fn answer(&mut self, at: usize) {
        let Some(step) = self.steps[at].take() else { return };
        let mut out = [0; 272];
        let length = match step {
            Step::Open(open) => {
                assert!(!self.assembly.contradicts(&open));
                if self.assembly.is_whole() {
                    self.conclude(CRC);
                }
                self.assembly.answer(self.handle, &mut out).unwrap()
            }
            Step::Chunk(place) => {
                let chunk = place.with(place.range().of(&PAYLOAD).unwrap()).unwrap();
                let known =
                    if place.handle() == self.handle { self.record(&chunk) } else { Err(ChunkRefusal::UnknownHandle) };
                match known {
                    Ok(_) => 0,
                    Err(refusal) => {
                        out[..4].copy_from_slice(&refusal.to_bytes());
                        4
                    }
                }
            }
        };
        self.upload.handle_reply(self.now, step, &out[..length]).unwrap();
    }

    fn record(&mut self, chunk: &Chunk<'_>) -> Result<Arrival, ChunkRefusal> {
        let checked = self.assembly.check(chunk);
        assert_eq!(self.assembly.record(chunk), checked);
        let bit = 1_u32.checked_shl(chunk.range().offset() / 256).unwrap_or_default();
        match checked {
            Ok(Arrival::Fresh) => {
                assert_eq!(self.present & bit, 0);
                self.present |= bit;
            }
            Ok(Arrival::Again) => assert_ne!(self.present & bit, 0),
            Err(ChunkRefusal::Contradicts) => {}
            Err(refusal) => {
                assert_eq!((refusal, self.present & bit), (ChunkRefusal::Quota, 0));
                let first = self.assembly.missing().next().unwrap();
                let has_places = self.assembly.snapshot_len() > Open::LEN;
                assert!(first.offset() < chunk.range().offset() || !has_places, "the first is always taken");
            }
        }
        checked
    }

    /// A chunk that may belong to no payload, or not to this one.
    fn odd_chunk(&mut self, number: u32, length: usize) {
        let total = self.assembly.open().total() + (number & 1);
        let bytes = &PAYLOAD[..256 * (length % 3) + length / 3];
        if let Ok(chunk) = Chunk::new(self.handle, (number >> 1) % 4_096, total, bytes) {
            let _ = self.record(&chunk);
        }
    }

    fn conclude(&mut self, crc: u32) {
        let whole = self.assembly.is_whole();
        let expected = match (whole, crc == CRC) {
            (false, _) => Status::Go,
            (true, true) => Status::Complete,
            (true, false) => Status::WrongCrc,
        };
        assert_eq!(self.assembly.conclude(crc), expected);
        if expected == Status::WrongCrc {
            self.present = 0;
        }
    }

    fn clear(&mut self) {
        self.assembly.clear();
        self.present = 0;
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.upload.handle_timeout(self.now);
        assert!(self.upload.poll_timeout().is_none_or(|until| until > self.now));
    }

    /// What holds at any time.
    fn check(&self) {
        let progress = self.upload.progress();
        assert!(progress.acknowledged <= progress.total);
        assert_eq!(self.upload.poll_timeout().is_some(), self.upload.state() == State::Waiting);
        let open = self.assembly.open();
        assert_eq!(in_order(self.assembly.missing(), open), self.assembly.missing_chunks());
        assert_eq!(self.present.count_ones() + self.assembly.missing_chunks(), open.chunks());
        for gap in self.assembly.missing() {
            let chunks = gap.offset() / 256..gap.end().div_ceil(256);
            assert!(chunks.into_iter().all(|chunk| self.present & (1 << chunk) == 0));
        }
        assert!(!self.assembly.is_complete() || self.assembly.is_whole());
    }

    /// Whatever came before: in a world without faults it ends, and soon.
    fn finish(&mut self) {
        if self.upload.state().is_final() {
            return;
        }
        self.upload.handle_disconnected();
        self.steps.fill(None);
        for _ in 0..200 {
            if let Some(until) = self.upload.poll_timeout() {
                self.wait(until - self.now);
            }
            while self.poll() {
                let under_way = self.steps.iter().flatten().count();
                assert!(under_way <= self.window);
            }
            (0..self.steps.len()).for_each(|at| self.answer(at));
            self.check();
            if self.upload.state().is_final() {
                assert!(self.upload.state() != State::Complete || self.assembly.is_complete());
                return;
            }
        }
        panic!("no end of {:?}", self.upload);
    }
}
