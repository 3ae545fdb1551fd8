//! Times of the wire codec, beside other crates doing the same work and beside a plain copy of the same bytes.
//!
//! ```text
//! cargo bench --bench codec              # everything
//! cargo bench --bench codec -- encode    # one group
//! ```
//!
//! Each row is one pass over some 64 KiB of frames: its time, and beneath it bytes and frames a second. Beneath that are
//! the allocations of one pass, if there are any: a row without them allocates nothing, as no row of this crate does.
//! Compare the rows of one run only, and better by the fastest pass than by the mean; on a busy machine, the bench
//! `instructions` is the one to believe.
//!
//! Run without `--bench`, as `cargo test --benches` does, it does every pass once.

#![allow(clippy::arithmetic_side_effects)]

mod work;

use divan::{
    AllocProfiler, Bencher,
    counter::{BytesCount, ItemsCount},
};
use tokio_util::bytes::{Bytes, BytesMut};
use work::{SEGMENT, body, mqttbytes, mqttrs, ours, postcard, tokio};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// About so many bytes are decoded in a pass.
const STREAM: usize = 64 * 1_024;

/// How many of this crate's frames make a stream. Peers get as many of theirs.
const fn frames(body: usize) -> usize {
    STREAM.div_ceil(16 + body)
}

/// Has throughput shown in bytes and in frames.
fn counting<'a, 'b>(bencher: Bencher<'a, 'b>, bytes: usize, frames: usize) -> Bencher<'a, 'b> {
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(frames))
}

/// Frames that are all there.
mod decode_contiguous {
    use super::*;

    const BODIES: [usize; 3] = [0, 48, 1_024];

    #[divan::bench(args = BODIES)]
    fn longlink(bencher: Bencher<'_, '_>, body: usize) {
        let stream = ours::stream(body, frames(body));
        counting(bencher, stream.len(), frames(body)).bench(|| ours::contiguous(&stream));
    }

    #[divan::bench(args = BODIES)]
    fn tokio_util(bencher: Bencher<'_, '_>, body: usize) {
        let stream = ours::stream(body, frames(body));
        counting(bencher, stream.len(), frames(body))
            .with_inputs(|| BytesMut::from(&stream[..]))
            .bench_refs(tokio::contiguous);
    }

    #[divan::bench(args = BODIES)]
    fn mqttbytes(bencher: Bencher<'_, '_>, body: usize) {
        let stream = mqttbytes::stream(body, frames(body));
        counting(bencher, stream.len(), frames(body))
            .with_inputs(|| BytesMut::from(&stream[..]))
            .bench_refs(mqttbytes::contiguous);
    }

    #[divan::bench(args = BODIES)]
    fn mqttrs(bencher: Bencher<'_, '_>, body: usize) {
        let packet = mqttrs::packet(body);
        let stream = packet.repeat(frames(body));
        counting(bencher, stream.len(), frames(body)).bench(|| mqttrs::contiguous(&stream, packet.len()));
    }

    #[divan::bench(args = BODIES)]
    fn memcpy(bencher: Bencher<'_, '_>, body: usize) {
        let stream = ours::stream(body, frames(body));
        let mut buffer = vec![0; stream.len()];
        counting(bencher, stream.len(), frames(body))
            .bench_local(|| work::copy_segments(&stream, stream.len(), &mut buffer));
    }
}

/// A stream that comes as a TCP socket reads it.
mod decode_segments {
    use super::*;

    const BODIES: [usize; 2] = [48, 16_384];

    #[divan::bench(args = BODIES)]
    fn longlink(bencher: Bencher<'_, '_>, body: usize) {
        let (stream, mut buffer) = (ours::stream(body, frames(body)), vec![0; STREAM]);
        counting(bencher, stream.len(), frames(body)).bench_local(|| ours::segments(&stream, SEGMENT, &mut buffer));
    }

    #[divan::bench(args = BODIES)]
    fn tokio_util(bencher: Bencher<'_, '_>, body: usize) {
        let (stream, mut buffer) = (ours::stream(body, frames(body)), BytesMut::new());
        counting(bencher, stream.len(), frames(body)).bench_local(|| tokio::segments(&stream, SEGMENT, &mut buffer));
    }

    #[divan::bench(args = BODIES)]
    fn mqttbytes(bencher: Bencher<'_, '_>, body: usize) {
        let (stream, mut buffer) = (mqttbytes::stream(body, frames(body)), BytesMut::new());
        counting(bencher, stream.len(), frames(body))
            .bench_local(|| mqttbytes::segments(&stream, SEGMENT, &mut buffer));
    }

    #[divan::bench(args = BODIES)]
    fn memcpy(bencher: Bencher<'_, '_>, body: usize) {
        let (stream, mut buffer) = (ours::stream(body, frames(body)), vec![0; SEGMENT]);
        counting(bencher, stream.len(), frames(body))
            .bench_local(|| work::copy_segments(&stream, SEGMENT, &mut buffer));
    }
}

/// A stream that comes one byte at a time, with bodies of 48 bytes.
mod decode_bytewise {
    use super::*;

    const BODY: usize = 48;

    #[divan::bench]
    fn longlink(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (ours::stream(BODY, frames(BODY)), [0; 256]);
        counting(bencher, stream.len(), frames(BODY)).bench_local(|| ours::bytewise(&stream, &mut buffer));
    }

    #[divan::bench]
    fn tokio_util(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (ours::stream(BODY, frames(BODY)), BytesMut::new());
        counting(bencher, stream.len(), frames(BODY)).bench_local(|| tokio::segments(&stream, 1, &mut buffer));
    }

    #[divan::bench]
    fn mqttbytes(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (mqttbytes::stream(BODY, frames(BODY)), BytesMut::new());
        counting(bencher, stream.len(), frames(BODY)).bench_local(|| mqttbytes::segments(&stream, 1, &mut buffer));
    }

    #[divan::bench]
    fn postcard(bencher: Bencher<'_, '_>) {
        let stream = postcard::stream(BODY, frames(BODY));
        counting(bencher, stream.len(), frames(BODY)).bench(|| postcard::bytewise(&stream));
    }
}

/// Frames without a body, 64 KiB of them in one read: where a codec is slow that moves the rest after every frame.
mod decode_one_read_of_empty_frames {
    use super::*;

    #[divan::bench]
    fn longlink(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (ours::stream(0, frames(0)), vec![0; STREAM]);
        counting(bencher, stream.len(), frames(0)).bench_local(|| ours::segments(&stream, STREAM, &mut buffer));
    }

    #[divan::bench]
    fn tokio_util(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (ours::stream(0, frames(0)), BytesMut::new());
        counting(bencher, stream.len(), frames(0)).bench_local(|| tokio::segments(&stream, STREAM, &mut buffer));
    }

    #[divan::bench]
    fn mqttbytes(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (mqttbytes::stream(0, frames(0)), BytesMut::new());
        counting(bencher, stream.len(), frames(0)).bench_local(|| mqttbytes::segments(&stream, STREAM, &mut buffer));
    }

    #[divan::bench]
    fn memcpy(bencher: Bencher<'_, '_>) {
        let (stream, mut buffer) = (ours::stream(0, frames(0)), vec![0; STREAM]);
        counting(bencher, stream.len(), frames(0)).bench_local(|| work::copy_segments(&stream, STREAM, &mut buffer));
    }
}

/// Frames with bodies of 48 bytes, each to the start of the same output. Bytes are those of the bodies.
mod encode {
    use super::*;

    const BODY: usize = 48;
    const COUNT: usize = frames(BODY);

    #[divan::bench]
    fn longlink(bencher: Bencher<'_, '_>) {
        let (body, mut out) = (body(BODY), [0; 128]);
        counting(bencher, BODY * COUNT, COUNT).bench_local(|| ours::encoded(&body, COUNT, &mut out));
    }

    #[divan::bench]
    fn tokio_util(bencher: Bencher<'_, '_>) {
        let (body, mut out) = (Bytes::from(body(BODY)), BytesMut::with_capacity(128));
        counting(bencher, BODY * COUNT, COUNT).bench_local(|| tokio::encoded(&body, COUNT, &mut out));
    }

    #[divan::bench]
    fn mqttbytes(bencher: Bencher<'_, '_>) {
        let (body, mut out) = (Bytes::from(body(BODY)), BytesMut::with_capacity(128));
        counting(bencher, BODY * COUNT, COUNT).bench_local(|| mqttbytes::encoded(&body, COUNT, &mut out));
    }

    #[divan::bench]
    fn mqttrs(bencher: Bencher<'_, '_>) {
        let (body, mut out) = (body(BODY), [0; 128]);
        counting(bencher, BODY * COUNT, COUNT).bench_local(|| mqttrs::encoded(&body, COUNT, &mut out));
    }

    #[divan::bench]
    fn memcpy(bencher: Bencher<'_, '_>) {
        let (body, mut out) = (body(BODY), [0; 128]);
        counting(bencher, BODY * COUNT, COUNT).bench_local(|| work::copy_bodies(&body, COUNT, &mut out));
    }
}
