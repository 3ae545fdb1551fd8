//! Pieces of work, prepared: a stream of frames, and a receiver or a sender of this crate or of another.

use crate::work::{self, SEGMENT, body, mqttbytes, mqttrs, ours, postcard, tokio};
use std::hint::black_box;
use tokio_util::bytes::{Bytes, BytesMut};

pub(crate) fn ours_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::contiguous(part(&stream, n, most)), n);
}

pub(crate) fn ours_any_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::contiguous_any(part(&stream, n, most)), n);
}

pub(crate) fn tokio_contiguous<const BODY: usize>(n: usize, most: usize) {
    let stream = BytesMut::from(&ours::stream(BODY, most)[..]);
    assert_eq!(tokio::contiguous(&mut split(stream, n, most)), n);
}

pub(crate) fn mqttbytes_contiguous<const BODY: usize>(n: usize, most: usize) {
    assert_eq!(mqttbytes::contiguous(&mut split(mqttbytes::stream(BODY, most), n, most)), n);
}

pub(crate) fn mqttrs_contiguous<const BODY: usize>(n: usize, most: usize) {
    let packet = mqttrs::packet(BODY);
    let stream = packet.repeat(most);
    assert_eq!(mqttrs::contiguous(part(&stream, n, most), packet.len()), n);
}

pub(crate) fn ours_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(ours::segments(part(&stream, n, most), SEGMENT, &mut vec![0; 64 * 1_024]), n);
}

pub(crate) fn copy_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    work::copy_segments(part(&stream, n, most), SEGMENT, &mut [0; SEGMENT]);
}

pub(crate) fn tokio_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = ours::stream(BODY, most);
    assert_eq!(tokio::segments(part(&stream, n, most), SEGMENT, &mut BytesMut::new()), n);
}

pub(crate) fn mqttbytes_segments<const BODY: usize>(n: usize, most: usize) {
    let stream = mqttbytes::stream(BODY, most);
    assert_eq!(mqttbytes::segments(part(&stream, n, most), SEGMENT, &mut BytesMut::new()), n);
}

pub(crate) fn ours_bytewise(bytes: usize, most: usize) {
    let stream = ours::stream(48, most / 64);
    ours::bytewise(part(&stream, bytes, most), &mut [0; 256]);
}

pub(crate) fn postcard_bytewise(bytes: usize, most: usize) {
    let stream = postcard::stream(48, most / 48);
    postcard::bytewise(black_box(&stream[..bytes]));
}

pub(crate) fn tokio_bytewise(bytes: usize, most: usize) {
    let stream = ours::stream(48, most / 64);
    tokio::segments(part(&stream, bytes, most), 1, &mut BytesMut::new());
}

pub(crate) fn ours_encoded(n: usize, _: usize) {
    ours::encoded(&body(48), n, &mut [0; 64]);
}

pub(crate) fn ours_any_encoded(n: usize, _: usize) {
    ours::encoded_any(&body(48), n, &mut [0; 64]);
}

pub(crate) fn copy_bodies(n: usize, _: usize) {
    work::copy_bodies(&body(48), n, &mut [0; 64]);
}

pub(crate) fn tokio_encoded(n: usize, _: usize) {
    tokio::encoded(&Bytes::from(body(48)), n, &mut BytesMut::with_capacity(128));
}

pub(crate) fn mqttrs_encoded(n: usize, _: usize) {
    mqttrs::encoded(&body(48), n, &mut [0; 128]);
}

pub(crate) fn mqttbytes_encoded(n: usize, _: usize) {
    mqttbytes::encoded(&Bytes::from(body(48)), n, &mut BytesMut::with_capacity(128));
}

/// The first `n` of `most` equal parts.
fn part(stream: &[u8], n: usize, most: usize) -> &[u8] {
    black_box(&stream[..stream.len() / most * n])
}

/// As [`part`], without a copy.
fn split(mut stream: BytesMut, n: usize, most: usize) -> BytesMut {
    black_box(stream.split_to(stream.len() / most * n))
}
