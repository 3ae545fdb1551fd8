//! mqttbytes, which copies the topic of every packet into a `String`.

use mqttbytes::{
    Error, QoS,
    v4::{Packet, Publish, read},
};
use std::hint::black_box;
use tokio_util::bytes::{Bytes, BytesMut};

const LONGEST: usize = 64 * 1_024;

fn publish(body: Bytes) -> Publish {
    Publish { pkid: 1, ..Publish::from_bytes("t", QoS::AtLeastOnce, body) }
}

/// `count` packets with payloads of `body_len` bytes, one after the other.
pub(crate) fn stream(body_len: usize, count: usize) -> BytesMut {
    let publish = publish(super::body(body_len).into());
    let mut stream = BytesMut::new();
    for _ in 0..count {
        publish.write(&mut stream).unwrap();
    }
    stream
}

/// Decodes packets that are all there.
#[inline(never)]
pub(crate) fn contiguous(stream: &mut BytesMut) -> usize {
    drain(stream)
}

/// Decodes a stream that comes `segment` bytes at a time; `buffer` grows as it is needed.
#[inline(never)]
pub(crate) fn segments(stream: &[u8], segment: usize, buffer: &mut BytesMut) -> usize {
    let mut count = 0;
    for read in stream.chunks(segment) {
        buffer.extend_from_slice(read);
        count += drain(buffer);
    }
    count
}

/// Encodes `count` packets, each into an empty buffer.
#[inline(never)]
pub(crate) fn encoded(body: &Bytes, count: usize, out: &mut BytesMut) {
    let mut publish = publish(body.clone());
    for _ in 0..count {
        out.clear();
        publish.pkid = black_box(1);
        publish.write(black_box(out)).unwrap();
    }
}

fn drain(stream: &mut BytesMut) -> usize {
    let mut count = 0;
    loop {
        match read(stream, LONGEST) {
            Ok(Packet::Publish(publish)) => black_box((publish.pkid, &publish.payload[..])),
            Err(Error::InsufficientBytes(_)) => return count,
            other => panic!("{other:?}"),
        };
        count += 1;
    }
}
