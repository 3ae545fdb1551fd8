//! Every body of the native dialect, as the library writes it, and what is to be seen of it.

use crate::capture::Side::{self, Device, Server};
use crate::{syncs, transfers};
use longlink::delivery::{Accepted, Epoch, RejectCode, Rejection};
use longlink::session::{GoAway, GoAwayCode, Hello, HelloReply, HelloStatus};
use std::num::NonZeroU64;
use std::time::Duration;

pub(crate) struct Body {
    pub(crate) name: &'static str,
    pub(crate) from: Side,
    pub(crate) command: u32,
    pub(crate) sequence: u32,
    pub(crate) bytes: Vec<u8>,
    /// Names of fields, and what they are, in order.
    pub(crate) fields: Vec<(&'static str, Vec<String>)>,
    /// What the library says against a body of this kind.
    pub(crate) judge: fn(&[u8]) -> Option<String>,
}

macro_rules! fields {
    ($($name:literal: $($value:expr),+;)*) => {
        vec![$(($name, vec![$($value.to_string()),+])),*]
    };
}

pub(crate) use fields;

pub(crate) fn error<T, E: ToString>(result: Result<T, E>) -> Option<String> {
    result.err().map(|error| error.to_string())
}

const TOKEN: &[u8] = b"GET / HTTP/1.1\n";

pub(crate) fn good() -> Vec<Body> {
    let mut all = vec![hello(), welcome(), refusal()];
    all.extend(messages());
    all.extend(transfers::transfers());
    all.extend(syncs::syncs());
    all.extend(syncs::notices());
    all.extend(syncs::fetches());
    for (n, (code, word)) in
        [(GoAwayCode::Done, 0), (GoAwayCode::Overload, 2), (GoAwayCode::Moved, 8)].iter().enumerate()
    {
        let from = if n == 0 { Device } else { Server };
        let goaway = GoAway::new(*code).with_retry_after(Duration::from_millis(1_234));
        all.push(Body {
            name: "goaway",
            from,
            command: 247,
            sequence: 0,
            bytes: goaway.to_bytes().to_vec(),
            fields: fields! { "goaway.version": 1; "goaway.code": word; "goaway.retry_after": 1_234; },
            judge: |body| match (GoAway::from_bytes(body), body) {
                (Some(_), _) => None,
                (None, [1, _, 0, 0, ..] | [1, _, 0] | [1, _] | [1] | []) => Some(of_length(body, 8)),
                (None, _) if body.len() != 8 => Some(of_length(body, 8)),
                (None, [1, _, r1, r0, ..]) => {
                    Some(format!("reserved bits {:#x} are set", u16::from_be_bytes([*r1, *r0])))
                }
                (None, [version, ..]) => Some(format!("version {version} is unknown")),
            },
        });
    }
    all
}

fn of_length(body: &[u8], expected: usize) -> String {
    format!("body of {} bytes where {expected} are expected", body.len())
}

fn hello() -> Body {
    let hello = Hello {
        version: Hello::VERSION,
        resume: true,
        heartbeat: 300,
        epoch: Epoch::new(9),
        device: NonZeroU64::new(0x0123_4567_89AB_CDEF).unwrap(),
        link: 70_000,
        max_frame: 65_792,
        token: TOKEN,
    };
    Body {
        name: "hello",
        from: Device,
        command: 205,
        sequence: 0xFFFF_FFFE,
        bytes: [&hello.encode_fixed()[..], TOKEN].concat(),
        fields: fields! {
            "hello.version": 1; "hello.resume": 1; "hello.heartbeat": 300; "hello.epoch": 9;
            "hello.device": 0x0123_4567_89AB_CDEF_u64; "hello.link": 70_000; "hello.max_frame": 65_792;
            "hello.token_length": TOKEN.len(); "hello.token": "47:45:54:20:2f:20:48:54:54:50:2f:31:2e:31:0a";
        },
        judge: |body| error(Hello::decode(body)),
    }
}

fn hello_reply(reply: HelloReply<'_>, bitmap: &[u8], fields: Vec<(&'static str, Vec<String>)>) -> Body {
    Body {
        name: "hello reply",
        from: Server,
        command: 1_000_000_205,
        sequence: 0xFFFF_FFFE,
        bytes: [&reply.encode_fixed()[..], bitmap].concat(),
        fields,
        judge: |body| error(HelloReply::decode(body)),
    }
}

fn welcome() -> Body {
    let bitmap = [0b1101_0111, 0b1000_0000, 1, 0, 0, 0, 0, 0];
    let reply = HelloReply {
        version: 1,
        status: HelloStatus::Ok,
        resumed: true,
        idle: 900,
        epoch: Epoch::new(9),
        link: 70_000,
        max_frame: 4_096,
        accepted: Accepted::new(20, &bitmap).unwrap(),
        retry_after: Duration::ZERO,
    };
    let fields = fields! {
        "hello_reply.version": 1; "hello_reply.mark": 1; "hello_reply.status": 0; "hello_reply.resumed": 1;
        "hello_reply.bitmap_length": 8; "hello_reply.idle": 900; "hello_reply.epoch": 9; "hello_reply.link": 70_000;
        "hello_reply.max_frame": 4_096; "hello_reply.last": 20; "hello_reply.retry_after": 0;
        "hello_reply.stored": "4-5, 13-14, 16, 18-20";
    };
    hello_reply(reply, &bitmap, fields)
}

fn refusal() -> Body {
    let reply = HelloReply {
        version: 1,
        status: HelloStatus::Busy,
        resumed: false,
        idle: 0,
        epoch: None,
        link: 0,
        max_frame: 0,
        accepted: Accepted::NONE,
        retry_after: Duration::from_secs(77),
    };
    hello_reply(reply, &[], fields! { "hello_reply.status": 8; "hello_reply.retry_after": 77_000; })
}

fn messages() -> Vec<Body> {
    let message = Body {
        name: "message",
        from: Device,
        command: 237,
        sequence: 21,
        bytes: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        fields: fields! { "text": "GET / HTTP/1.1\r\nHost: x\r\n\r\n"; },
        judge: |_| None,
    };
    let stored =
        Body { command: 1_000_000_237, from: Server, name: "message reply", bytes: vec![], fields: vec![], ..message };
    let rejection = Rejection { code: RejectCode::Quota, detail: 513 };
    let rejected = Body {
        sequence: 22,
        bytes: rejection.to_bytes().to_vec(),
        fields: fields! { "message_reply.code": 7; "message_reply.detail": 513; },
        judge: |body| match Rejection::from_bytes(body) {
            _ if body.is_empty() => None,
            None if body.len() == 4 => Some("0 is no reason for a rejection".into()),
            None => Some(format!("body of {} bytes where 0 or 4 are expected", body.len())),
            Some(_) => None,
        },
        ..stored
    };
    let again = || Body { sequence: 22, bytes: message.bytes.clone(), fields: vec![], ..message };
    let push = Body { name: "push", from: Server, command: 122, sequence: 0, ..again() };
    let request = Body { name: "request", command: 301, sequence: 5, ..again() };
    let reply = Body { name: "reply", from: Server, command: 1_000_000_301, sequence: 5, ..again() };
    let one_way = Body { name: "one-way", command: 303, sequence: 0, ..again() };
    let second = again();
    let heartbeat = Body { name: "heartbeat", command: 6, sequence: u32::MAX, bytes: vec![], ..again() };
    let answer = Body {
        name: "heartbeat reply",
        from: Server,
        command: 1_000_000_006,
        sequence: u32::MAX,
        bytes: vec![],
        ..again()
    };
    vec![message, stored, second, rejected, push, request, reply, one_way, heartbeat, answer]
}
