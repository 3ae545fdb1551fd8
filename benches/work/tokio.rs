//! tokio-util's `LengthDelimitedCodec`, set up for this crate's frames.

use std::hint::black_box;
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Decoder, Encoder, LengthDelimitedCodec},
};

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(0)
        .length_field_length(4)
        .num_skip(0)
        .max_frame_length(super::ours::DIALECT.max_frame as usize)
        .new_codec()
}

/// Decodes frames that are all there.
#[inline(never)]
pub(crate) fn contiguous(stream: &mut BytesMut) -> usize {
    drain(&mut codec(), stream)
}

/// Decodes a stream that comes `segment` bytes at a time; `buffer` grows as it is needed.
#[inline(never)]
pub(crate) fn segments(stream: &[u8], segment: usize, buffer: &mut BytesMut) -> usize {
    let mut codec = codec();
    let mut count = 0;
    for read in stream.chunks(segment) {
        buffer.extend_from_slice(read);
        count += drain(&mut codec, buffer);
    }
    count
}

/// Encodes `count` frames, each into an empty buffer.
#[inline(never)]
pub(crate) fn encoded(body: &Bytes, count: usize, out: &mut BytesMut) {
    let mut codec = codec();
    for _ in 0..count {
        out.clear();
        codec.encode(black_box(body).clone(), black_box(out)).unwrap();
    }
}

fn drain(codec: &mut LengthDelimitedCodec, stream: &mut BytesMut) -> usize {
    let mut count = 0;
    while let Some(frame) = codec.decode(stream).unwrap() {
        black_box(&frame[..]);
        count += 1;
    }
    count
}
