//! mqttrs. It decodes only packets that are all there, and does not tell their length: they are cut here, at no cost to it.

use mqttrs::{Packet, Pid, Publish, QosPid, decode_slice, encode_slice};
use std::hint::black_box;

fn publish(body: &[u8]) -> Packet<'_> {
    let qospid = QosPid::AtLeastOnce(Pid::new());
    Packet::Publish(Publish { dup: false, qospid, retain: false, topic_name: "t", payload: body })
}

/// The packet with a payload of `body_len` bytes.
pub(crate) fn packet(body_len: usize) -> Vec<u8> {
    let mut packet = vec![0; body_len + 16];
    let length = encode_slice(&publish(&super::body(body_len)), &mut packet).unwrap();
    packet.truncate(length);
    packet
}

/// Decodes packets of `length` bytes each that are all there.
#[inline(never)]
pub(crate) fn contiguous(stream: &[u8], length: usize) -> usize {
    let packets = stream.chunks_exact(length);
    let count = packets.len();
    for packet in packets {
        let Ok(Some(Packet::Publish(publish))) = decode_slice(packet) else { panic!("not a packet") };
        black_box((publish.qospid, publish.payload));
    }
    count
}

/// Encodes `count` packets, each to the start of `out`.
#[inline(never)]
pub(crate) fn encoded(body: &[u8], count: usize, out: &mut [u8]) {
    for _ in 0..count {
        encode_slice(&publish(black_box(body)), black_box(&mut *out)).unwrap();
    }
}
