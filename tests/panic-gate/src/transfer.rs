use crate::outside::{any, buffer, bytes, duration, keep, now, number, size};
use longlink::delivery::transfer::{
    Answer, Assembly, CHUNK, Chunk, ChunkRefusal, ChunkReply, Handle, Key, OPEN, Op, Open, OpenReply, Quota, Range,
    Status, Step, Upload, limits,
};

pub fn call_all() {
    keep((OPEN, CHUNK, limits::LIFETIME));
    bodies();
    ranges(any(Range::EMPTY));
    upload(any(&mut []));
    upload(any([Range::EMPTY; 32]));
    upload(Fickle);
    assembly(any(&mut []));
    assembly(any([Range::EMPTY; 8]));
    assembly(Fickle);
}

fn open() -> Open {
    let open = Open::new(any(Key([0; 16])), number(), number()).with_op(any(Op::Status));
    any(Open::decode(bytes()).unwrap_or(open))
}

fn bodies() {
    keep(open().with_chunk(any(Open::DEFAULT_CHUNK)));
    keep(Open::longest_chunk(number(), size()));
    keep((open().key(), open().op(), open().chunk(), open().total(), open().crc(), open().chunks()));
    keep(open().to_bytes());
    keep((Open::LEN, Answer::LEN, Chunk::HEADER_LEN, ChunkRefusal::LEN, OpenReply::MAX_RANGES));

    if let Ok(reply) = any(OpenReply::decode(bytes(), &open())) {
        keep(any(&reply).answer());
        any(&reply).ranges().for_each(ranges);
    }
    if let Some(handle) = any(Handle::new(number())) {
        keep((handle.get(), handle.next()));
        answer(Answer::go(handle, number()));
        answer(Answer::complete(handle));
        keep(Chunk::new(handle, number(), number(), bytes()));
    }
    answer(Answer::new(any(Status::Busy)));
    if let Ok(part) = any(Chunk::decode(bytes())) {
        chunk(part);
    }
    keep(ChunkReply::decode(bytes()));
    keep(any(ChunkRefusal::Quota).to_bytes());
    keep(any(ChunkRefusal::Quota).code());
    keep(any(Quota::default()).refuses(&open(), any([open(), open()])));
}

fn answer(answer: Answer) {
    let answer = any(answer.with_retry_after(duration()));
    keep((answer.status(), answer.status().to_byte(), answer.handle(), answer.missing(), answer.retry_after()));
    keep(answer.to_bytes());
    keep(any(answer).encode(any([Range::EMPTY; 3]), buffer()));
}

fn chunk(chunk: Chunk<'_>) {
    keep((any(chunk).handle(), any(chunk).range(), any(chunk).total(), any(chunk).bytes()));
    keep(any(chunk).encode_into(buffer()));
}

fn ranges(range: Range) {
    keep(Range::new(number(), number()));
    let range = any(range);
    keep((range.offset(), range.end(), range.length(), range.is_empty()));
    keep(range.of(bytes()));
    keep(range.of_mut(buffer()));
}

fn upload<B: AsRef<[Range]> + AsMut<[Range]>>(table: B) {
    let mut upload = any(Upload::new(open(), table)).with_window(size());
    while let Some(step) = any(&mut upload).poll_step() {
        if let Step::Chunk(place) = any(step) {
            keep((place.handle(), place.range(), place.header()));
            keep(place.with(bytes()));
        }
        keep(any(&mut upload).handle_reply(now(), any(step), bytes()));
        any(&mut upload).handle_failed(any(step));
        any(&mut upload).put_back(any(step));
    }
    any(&mut upload).handle_timeout(now());
    any(&mut upload).handle_disconnected();
    any(&mut upload).handle_limit(number(), size());
    keep(any(&upload).poll_timeout());
    keep(any(&upload).state().is_final());
    keep(any(&upload).progress());
    keep(any(&upload).open());
}

fn assembly<B: AsRef<[Range]> + AsMut<[Range]>>(table: B) {
    let mut assembly = any(Assembly::new(&open(), table));
    if let Ok(part) = any(Chunk::decode(bytes())) {
        keep(any(&assembly).check(&part));
        keep(any(&mut assembly).record(&part));
    }
    keep(any(&mut assembly).conclude(number()));
    any(&mut assembly).clear();
    keep(any(&assembly).answer(any(Handle::FIRST), buffer()));
    keep(any(&assembly).snapshot(buffer()));
    keep(any(&assembly).snapshot_len());
    any(&assembly).missing().for_each(ranges);
    keep(any(&assembly).missing_chunks());
    keep(any(&assembly).is_whole());
    keep(any(&assembly).is_complete());
    keep(any(&assembly).contradicts(&open()));
    keep(any(&assembly).open());
    if let Ok(mut restored) = any(Assembly::restore(bytes(), any([Range::EMPTY; 4]))) {
        keep(any(&mut restored).conclude(number()));
    }
}

/// A table that does not keep its word: it is another one each time it is asked.
struct Fickle;

impl AsRef<[Range]> for Fickle {
    fn as_ref(&self) -> &[Range] {
        any(&[])
    }
}

impl AsMut<[Range]> for Fickle {
    fn as_mut(&mut self) -> &mut [Range] {
        any(&mut [])
    }
}
