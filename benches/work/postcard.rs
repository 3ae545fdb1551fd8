//! postcard's `CobsAccumulator`, which is made for bytes that come one by one.

use postcard::{
    accumulator::{CobsAccumulator, FeedResult},
    to_slice_cobs,
};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

#[derive(Serialize, Deserialize)]
struct Message<'m> {
    command: u32,
    sequence: u32,
    body: &'m [u8],
}

/// `count` messages with bodies of `body_len` bytes, one after the other.
pub(crate) fn stream(body_len: usize, count: usize) -> Vec<u8> {
    let body = super::body(body_len);
    let mut one = vec![0; body_len * 2 + 32];
    let message = to_slice_cobs(&Message { command: 237, sequence: 1, body: &body }, &mut one).unwrap();
    message.repeat(count)
}

/// Decodes a stream that comes one byte at a time.
#[inline(never)]
pub(crate) fn bytewise(stream: &[u8]) -> usize {
    let mut accumulator = CobsAccumulator::<256>::new();
    let mut count = 0;
    for byte in stream.chunks(1) {
        if let FeedResult::Success { data, .. } = accumulator.feed_ref::<Message<'_>>(byte) {
            black_box((data.command, data.body));
            count += 1;
        }
    }
    count
}
