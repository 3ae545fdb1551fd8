//! The work that the benches run: what is measured, apart from how.
//!
//! One module per contestant, with the same functions as far as its interface allows them, none of them inlined, so that
//! every contestant is compiled as if it were alone and the same for all benches. A function takes a stream that
//! was made beforehand, does what a receiver or a sender does with it, and returns the number of frames. Every frame's
//! body, and what the frame is for or its number, is shown to [`black_box`], so that nothing is optimised away.
//!
//! The frames of all contestants carry the same bodies, each in the contestant's own format. tokio-util's codec finds
//! the ends of this crate's frames and judges nothing else in them; the MQTT crates read and write PUBLISH packets with
//! quality of service 1, which have a number as messages here have.

// Each bench uses a part of it.
#![allow(dead_code)]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub(crate) mod figure;
pub(crate) mod mqttbytes;
pub(crate) mod mqttrs;
pub(crate) mod ours;
pub(crate) mod postcard;
pub(crate) mod session;
pub(crate) mod sync;
pub(crate) mod tokio;
pub(crate) mod valgrind;

use std::hint::black_box;

/// What one read from a TCP socket brings: an Ethernet frame less the IP and TCP headers.
pub(crate) const SEGMENT: usize = 1_460;

/// A body of `len` bytes without a zero, so that no format has to escape anything.
pub(crate) fn body(len: usize) -> Vec<u8> {
    (1..=250).cycle().take(len).collect()
}

/// What any receiver does at least: copies the stream to where it is read from, `segment` bytes at a time.
#[inline(never)]
pub(crate) fn copy_segments(stream: &[u8], segment: usize, buffer: &mut [u8]) {
    for read in stream.chunks(segment) {
        black_box(&mut buffer[..read.len()]).copy_from_slice(read);
    }
}

/// What any sender does at least: copies `count` bodies to where they are sent from.
#[inline(never)]
pub(crate) fn copy_bodies(body: &[u8], count: usize, out: &mut [u8]) {
    for _ in 0..count {
        black_box(&mut out[..body.len()]).copy_from_slice(black_box(body));
    }
}
