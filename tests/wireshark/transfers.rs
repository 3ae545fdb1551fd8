//! The bodies of transfers.

use crate::bodies::{Body, error, fields};
use crate::capture::Side::{Device, Server};
use longlink::delivery::transfer::{
    self, Answer, Chunk, ChunkRefusal, ChunkReply, Handle, Key, Open, OpenReply, Range, Status,
};
use std::time::Duration;

const OPEN: Open = Open::new(Key(*b"drawn at random!"), 10_000, 0x1234_5678);

/// Ranges that could not be of any transfer; the others only the request could tell.
fn judge_ranges(body: &[u8]) -> Option<String> {
    let mut behind = 0;
    for row in body[16..].chunks_exact(8) {
        let [offset, length] = [&row[..4], &row[4..]].map(|word| u32::from_be_bytes(word.try_into().unwrap()));
        match Range::new(offset, length).filter(|range| offset >= behind && !range.is_empty()) {
            Some(range) => behind = range.end(),
            None => return Some(format!("range of {length} bytes at {offset} cannot be")),
        }
    }
    None
}

pub(crate) fn transfers() -> Vec<Body> {
    let open = Body {
        name: "transfer",
        from: Device,
        command: transfer::OPEN,
        sequence: 1,
        bytes: OPEN.to_bytes().to_vec(),
        fields: fields! {
            "transfer.version": 1; "transfer.op": 0; "transfer.chunk": 1_500; "transfer.total": 10_000;
            "transfer.crc": "0x12345678"; "transfer.key": "64:72:61:77:6e:20:61:74:20:72:61:6e:64:6f:6d:21";
        },
        judge: |body| error(Open::decode(body)),
    };
    let mut listed = vec![0; 64];
    let handle = Handle::new(3).unwrap();
    let missing = [(1_500, 3_000), (9_000, 1_000)].map(|(offset, length)| Range::new(offset, length).unwrap());
    let length =
        Answer::go(handle, 3).with_retry_after(Duration::from_millis(20)).encode(missing, &mut listed).unwrap();
    listed.truncate(length);
    let go = Body {
        name: "transfer reply",
        from: Server,
        command: 1_000_000_241,
        bytes: listed,
        fields: fields! {
            "transfer_reply.version": 1; "transfer_reply.status": 0; "transfer_reply.ranges": 2; "transfer_reply.handle": 3;
            "transfer_reply.missing": 3; "transfer_reply.retry_after": 20;
            "transfer_reply.range.offset": 1_500, 9_000; "transfer_reply.range.length": 3_000, 1_000;
        },
        judge: |body| match OpenReply::decode(body, &OPEN) {
            Err(transfer::BodyError::Range { .. } | transfer::BodyError::Missing { .. }) => judge_ranges(body),
            result => error(result),
        },
        ..open
    };
    let status = Body {
        sequence: 2,
        bytes: OPEN.with_op(transfer::Op::Status).to_bytes().to_vec(),
        fields: fields! { "transfer.op": 1; },
        ..open
    };
    let wrong = Body {
        sequence: 2,
        bytes: Answer::new(Status::WrongCrc).to_bytes().to_vec(),
        fields: fields! { "transfer_reply.status": 6; },
        ..go
    };
    let mut written = vec![0; 64];
    let length = Chunk::new(handle, 9_000, 9_008, b"\n\n\0bytes").unwrap().encode_into(&mut written).unwrap();
    written.truncate(length);
    let chunk = Body {
        name: "chunk",
        from: Device,
        command: transfer::CHUNK,
        sequence: 3,
        bytes: written,
        fields: fields! {
            "chunk.handle": 3; "chunk.offset": 9_000; "chunk.total": 9_008; "chunk.bytes": "0a:0a:00:62:79:74:65:73";
        },
        judge: |body| error(Chunk::decode(body)),
    };
    let buffered = Body {
        name: "chunk reply",
        from: Server,
        command: 1_000_000_239,
        bytes: vec![],
        fields: vec![],
        judge: |body| match ChunkReply::decode(body) {
            Err(transfer::BodyError::Length { .. }) => {
                Some(format!("body of {} bytes where 0 or 4 are expected", body.len()))
            }
            result => error(result),
        },
        ..chunk
    };
    let another = Body { sequence: 4, bytes: chunk.bytes.clone(), fields: vec![], ..chunk };
    let refused = Body {
        sequence: 4,
        bytes: ChunkRefusal::UnknownHandle.to_bytes().to_vec(),
        fields: fields! { "chunk_reply.code": 2; },
        ..buffered
    };
    vec![open, go, status, wrong, chunk, buffered, another, refused]
}
