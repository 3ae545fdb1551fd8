//! This crate.

use longlink::wire::{Decoded, Decoder, Dialect, Frame, decode, encode};
use std::hint::black_box;

/// A dialect that stands in the source where it is used, as in an application that speaks one.
pub(crate) const DIALECT: &Dialect = &Dialect::LONGLINK;

const COMMAND: u32 = 237;

/// `count` frames with bodies of `body_len` bytes, one after the other.
pub(crate) fn stream(body_len: usize, count: usize) -> Vec<u8> {
    let body = super::body(body_len);
    let mut stream = vec![0; (DIALECT.header_len() + body_len) * count];
    let mut rest = &mut stream[..];
    for sequence in (1..).take(count) {
        let written = encode(DIALECT, COMMAND, sequence, &body, rest).unwrap();
        rest = &mut rest[written..];
    }
    stream
}

/// Decodes frames that are all there.
#[inline(never)]
pub(crate) fn contiguous(stream: &[u8]) -> usize {
    walk(DIALECT, stream)
}

/// As [`contiguous`], with a dialect that is known only at run time.
#[inline(never)]
pub(crate) fn contiguous_any(stream: &[u8]) -> usize {
    walk(black_box(DIALECT), stream)
}

#[inline(always)]
fn walk(dialect: &Dialect, mut stream: &[u8]) -> usize {
    let mut count = 0;
    while let Ok(Decoded::Frame(frame)) = decode(dialect, stream) {
        see(&frame);
        stream = &stream[frame.length()..];
        count += 1;
    }
    count
}

/// Decodes a stream that comes `segment` bytes at a time, as a socket reads it into the decoder's space.
#[inline(never)]
pub(crate) fn segments(stream: &[u8], segment: usize, buffer: &mut [u8]) -> usize {
    let mut decoder = Decoder::new(black_box(DIALECT), buffer).unwrap();
    let mut count = 0;
    for read in stream.chunks(segment) {
        decoder.space()[..read.len()].copy_from_slice(read);
        decoder.commit(read.len());
        while let Some(frame) = decoder.next_frame().unwrap() {
            see(&frame);
            count += 1;
        }
    }
    count
}

/// Decodes a stream that comes one byte at a time, as from the interrupt of a serial port.
#[inline(never)]
pub(crate) fn bytewise(stream: &[u8], buffer: &mut [u8]) -> usize {
    let mut decoder = Decoder::new(black_box(DIALECT), buffer).unwrap();
    let mut count = 0;
    for byte in stream {
        decoder.space()[0] = *byte;
        decoder.commit(1);
        if let Some(frame) = decoder.next_frame().unwrap() {
            see(&frame);
            count += 1;
        }
    }
    count
}

/// Encodes `count` frames, each to the start of `out`.
#[inline(never)]
pub(crate) fn encoded(body: &[u8], count: usize, out: &mut [u8]) {
    send(DIALECT, body, count, out);
}

/// As [`encoded`], with a dialect that is known only at run time.
#[inline(never)]
pub(crate) fn encoded_any(body: &[u8], count: usize, out: &mut [u8]) {
    send(black_box(DIALECT), body, count, out);
}

#[inline(always)]
fn send(dialect: &Dialect, body: &[u8], count: usize, out: &mut [u8]) {
    for sequence in (1..).take(count) {
        let written = encode(dialect, COMMAND, sequence, black_box(body), black_box(&mut *out));
        assert!(written.is_ok());
    }
}

fn see(frame: &Frame<'_>) {
    black_box((frame.command(), frame.body()));
}
