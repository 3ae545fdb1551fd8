//! The Wireshark dissector reads what the library writes, and refuses what the library refuses, in the same words.
//!
//! It takes `tshark`. Without that these tests say so and pass, unless `REQUIRE_TSHARK` is set.
//! `CAPTURE=FILE cargo test --test wireshark given` judges a capture file, of the demo say, instead of a small one of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::string_slice)]

#[path = "wireshark/bodies.rs"]
mod bodies;
#[path = "../examples/support/demo/capture.rs"]
#[allow(dead_code)]
mod capture;
#[path = "wireshark/given.rs"]
mod given;
#[path = "wireshark/headers.rs"]
mod headers;
#[path = "wireshark/syncs.rs"]
mod syncs;
#[path = "wireshark/transfers.rs"]
mod transfers;
#[path = "wireshark/tshark.rs"]
mod tshark;

use bodies::{Body, good};
use capture::Side::{Device, Server};
use headers::port_option;
use longlink::wire::{Batch, Dialect, decode, encode};
use std::collections::BTreeMap;
use tshark::{Shown, Talk, read};

/// Their bodies are not looked into.
const OF_THE_APPLICATION: [&str; 5] = ["message", "push", "request", "reply", "one-way"];

/// Names of frames, or the errors of what is none.
fn names(shown: &[Shown]) -> Vec<&str> {
    shown.iter().map(|shown| shown.one("name").or(shown.error()).unwrap_or("nothing")).collect()
}

fn frame(dialect: &Dialect, command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 70_000];
    let length = encode(dialect, command, sequence, body, &mut out).unwrap();
    out.truncate(length);
    out
}

fn native(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    frame(&Dialect::LONGLINK, command, sequence, body)
}

#[test]
fn every_native_body_is_read_as_the_library_wrote_it() {
    let bodies = good();
    let mut talk = Talk::new();
    for body in &bodies {
        talk.say(body.from, &native(body.command, body.sequence, &body.bytes));
    }
    let Some(shown) = read(&talk.done(), &[]) else { return };
    assert_eq!(names(&shown), bodies.iter().map(|body| body.name).collect::<Vec<_>>());
    for (shown, body) in shown.iter().zip(&bodies) {
        assert_eq!(shown.error(), None, "{}", body.name);
        assert_eq!(shown.one("from"), Some(if body.from == Device { "device" } else { "server" }));
        assert_eq!(shown.all("command"), [body.command.to_string()]);
        assert_eq!(shown.all("sequence"), [body.sequence.to_string()]);
        assert_eq!(shown.all("length"), [(16 + body.bytes.len()).to_string()]);
        for (field, values) in &body.fields {
            assert_eq!(shown.all(field), *values, "{} of {}", field, body.name);
        }
    }
}

/// The body cut anywhere, each byte changed, and numbers put where some field may have its limit.
fn spoiled(body: &Body) -> Vec<Vec<u8>> {
    let (bytes, most) = (&body.bytes, body.bytes.len().min(128));
    let with = |at: usize, part: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + part.len()].copy_from_slice(part);
        bytes
    };
    let mut all: Vec<Vec<u8>> = (0..most).map(|n| bytes[..n].to_vec()).collect();
    all.push([&bytes[..], &[0]].concat());
    for (n, byte) in bytes[..most].iter().enumerate() {
        all.extend([0, 0xFF, byte.wrapping_add(1), byte.wrapping_sub(1)].map(|byte| with(n, &[byte])));
    }
    for n in (0..most.min(32)).step_by(2).filter(|n| n + 2 <= most) {
        all.extend([0, 1, 64, 65, 255, 256, 512, 513_u16].map(|number| with(n, &number.to_be_bytes())));
    }
    for n in (0..most).step_by(4).filter(|n| n + 4 <= most) {
        let rest = (bytes.len() - n - 4) as u32;
        all.extend([0, 63, 64, 271, 272, rest, rest + 1].map(|number| with(n, &number.to_be_bytes())));
        all.extend(n.checked_sub(12).map(|before| with(n, &bytes[before..before + 2])));
    }
    all.sort();
    all.dedup();
    all
}

/// Behind a hello, where a message's reply is the library's own. A body that is wrong does not spoil what follows.
#[test]
fn a_body_is_refused_when_the_library_refuses_it_and_in_its_words() {
    let mut talk = Talk::new();
    talk.say(Device, &native(205, 0xFFFF_FFFE, &good()[0].bytes));
    let mut cases = Vec::new();
    for body in good().iter().filter(|body| !body.bytes.is_empty() && !OF_THE_APPLICATION.contains(&body.name)) {
        for bytes in spoiled(body) {
            talk.say(body.from, &native(body.command, body.sequence, &bytes));
            cases.push((body.name, body.judge, bytes));
        }
    }
    let Some(shown) = read(&talk.done(), &[]) else { return };
    assert_eq!((shown.len(), shown[0].error()), (1 + cases.len(), None));
    let mut refused = 0;
    for (shown, (name, judge, bytes)) in shown[1..].iter().zip(&cases) {
        assert_eq!(shown.one("name"), Some(*name));
        let verdict = judge(bytes);
        assert_eq!(shown.error(), verdict.as_deref(), "{name} {bytes:02x?}");
        refused += usize::from(verdict.is_some());
    }
    assert!(refused > 500 && cases.len() - refused > 500, "{refused} of {} are refused", cases.len());
}

#[test]
fn a_reply_points_to_its_request_and_a_message_that_comes_again_to_the_first() {
    let bodies = good();
    let (hello, welcome) =
        (native(205, 0xFFFF_FFFE, &bodies[0].bytes), native(1_000_000_205, 0xFFFF_FFFE, &bodies[1].bytes));
    let mut talk = Talk::new();
    for _ in 0..2 {
        talk.next_link();
        talk.say(Device, &hello);
        talk.say(Server, &welcome);
        talk.say(Device, &[native(237, 21, b"one"), native(237, 22, b"two")].concat());
        talk.say(Server, &native(1_000_000_237, 22, b""));
        talk.say(Server, &native(1_000_000_237, 23, b""));
        for _ in 0..2 {
            talk.say(Device, &native(6, u32::MAX, b""));
            talk.say(Server, &native(1_000_000_006, u32::MAX, b""));
        }
    }
    // The same number of another body is another account's.
    talk.say(Device, &native(237, 22, b"TWO"));
    let Some(shown) = read(&talk.done(), &["-2"]) else { return };
    let (first, second) = shown.split_at(10);
    let links =
        |shown: &[Shown], field| -> Vec<_> { shown.iter().map(|shown| shown.one(field).map(String::from)).collect() };
    let packets: Vec<u32> = first.iter().map(|shown| shown.packet).collect();
    let to = |n: usize| Some(packets[n].to_string());
    assert_eq!(links(first, "request_in"), [None, to(0), None, None, to(3), None, None, to(6), None, to(8)]);
    assert_eq!(links(first, "response_in"), [to(1), None, None, to(4), None, None, to(7), None, to(9), None]);
    assert_eq!(links(first, "time")[4].as_deref(), Some("0.001000000"));
    assert_eq!(first[5].remarks(), ["unasked"]);
    let again: Vec<_> =
        second.iter().filter_map(|shown| Some((shown.one("sequence")?, shown.one("first_sent_in")?))).collect();
    assert_eq!(again, [("21", &*packets[2].to_string()), ("22", &packets[3].to_string())]);
    assert_eq!(second[2].remarks(), ["sent_again"]);
    assert!(first[..5].iter().all(|shown| shown.remarks().is_empty()));
}

/// Frames and their names.
type Opening = (Dialect, Vec<Vec<u8>>, Vec<&'static str>);

/// What a link of each dialect begins with, which tells it from the others.
fn openings() -> Vec<Opening> {
    let hello = &good()[0].bytes;
    let goim = br#"{"mid":1,"key":"k","room_id":"live://1","platform":"web","accepts":[1]}"#;
    let rooms = br#"{"uid":0,"roomid":6,"protover":3}"#;
    let of = |dialect: Dialect, frames: &[(u32, u32, &[u8])]| -> Vec<Vec<u8>> {
        frames.iter().map(|(command, sequence, body)| frame(&dialect, *command, *sequence, body)).collect()
    };
    let (native, mars, last) = (Dialect::LONGLINK, Dialect::MARS, u32::MAX);
    vec![
        (
            native,
            of(native, &[(205, last - 1, hello), (237, 1, b"GET / HTTP/1.1\r\n\r\n"), (6, last, b"")]),
            vec!["hello", "message", "heartbeat"],
        ),
        (
            mars,
            of(mars, &[(6, last, b""), (237, 1, b"HTTP/1.1 200 OK\n\n"), (301, 2, b"x")]),
            vec!["heartbeat", "message", "request"],
        ),
        (
            Dialect::GOIM,
            of(Dialect::GOIM, &[(7, 1, goim), (2, 2, b""), (12, 3, b"live://2")]),
            vec!["authentication", "heartbeat", "change room"],
        ),
        (
            Dialect::BILIBILI,
            of(Dialect::BILIBILI, &[(7, 1, rooms), (2, 1, b"[object Object]")]),
            vec!["authentication", "heartbeat"],
        ),
    ]
}

#[test]
fn frames_are_put_together_from_segments_cut_anywhere_and_tell_their_dialect() {
    let (mut talk, mut expected) = (Talk::new(), Vec::new());
    for (dialect, frames, names) in openings() {
        let bytes = frames.concat();
        for cut in 1..bytes.len() {
            talk.next_link();
            talk.say(Device, &bytes[..cut]);
            talk.say(Device, &bytes[cut..]);
            expected.push((dialect.name, names.clone()));
        }
        talk.next_link();
        bytes.iter().for_each(|byte| talk.say(Device, &[*byte]));
        expected.push((dialect.name, names));
    }
    let capture = talk.done();
    for options in [&[][..], &["-2"]] {
        let Some(shown) = read(&capture, options) else { return };
        let mut links = BTreeMap::<u32, Vec<&Shown>>::new();
        shown.iter().for_each(|shown| links.entry(shown.stream).or_default().push(shown));
        assert_eq!(links.len(), expected.len());
        for (link, (dialect, names)) in links.values().zip(&expected) {
            let seen: Vec<&str> = link.iter().filter_map(|shown| shown.one("name")).collect();
            assert_eq!((seen, link[0].one("dialect")), (names.clone(), Some(*dialect)));
            assert!(link.iter().all(|shown| shown.error().is_none()), "{link:?}");
        }
    }
}

#[test]
fn on_a_port_that_is_not_claimed_only_an_unmistakable_beginning_is_taken() {
    let mut talk = Talk::new();
    for (_, frames, _) in openings() {
        talk.next_link();
        talk.say(Device, &frames[0]);
        talk.say(Device, &frames[1]);
    }
    for foreign in [&b"\0\0\0\x10\0\x10\0\x01\0\0\0\x63\0\0\0\x01"[..], b"EHLO example.org\r\n\r\n", &[0; 64]] {
        talk.next_link();
        talk.say(Device, foreign);
    }
    let Some(shown) = read(&talk.done(), &["-o", "longlink.ports:9"]) else { return };
    let expected = openings().iter().flat_map(|(.., names)| names[..2].to_vec()).collect::<Vec<_>>();
    assert_eq!(names(&shown), expected);
}

#[test]
fn garbage_is_named_once_and_costs_only_its_own_direction_until_a_frame_begins_again() {
    let garbage = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let mut talk = Talk::new();
    talk.say(Device, &native(237, 1, b"x"));
    talk.say(Device, garbage);
    talk.say(Server, &native(1_000_000_237, 1, b""));
    talk.say(Device, garbage);
    talk.say(Device, &native(999, 1, b"no command that is known"));
    talk.say(Device, &native(6, 1, b""));
    let capture = talk.done();
    for options in [&[][..], &["-2"]] {
        let Some(shown) = read(&capture, options) else { return };
        let error = decode(&Dialect::LONGLINK, garbage).unwrap_err().to_string();
        let expected = ["message", &error, "message reply", "nothing", "nothing", "heartbeat"];
        assert_eq!(names(&shown), expected);
        assert_eq!(shown.iter().filter(|shown| shown.error().is_some()).count(), 1);
    }
}

/// The same capture with so many bytes of each packet.
fn cut_short(capture: &[u8], most: usize) -> Vec<u8> {
    let (head, mut rest) = capture.split_at(24);
    let mut short = head.to_vec();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let kept = length.min(most);
        short.extend([&rest[..8], &(kept as u32).to_le_bytes(), &rest[12..16], &rest[16..16 + kept]].concat());
        rest = &rest[16 + length..];
    }
    short
}

#[test]
fn a_capture_that_has_only_the_beginnings_of_packets_shows_no_errors() {
    let mut talk = Talk::new();
    talk.say(Device, &native(237, 1, &[0; 5_000]));
    talk.say(Server, &native(1_000_000_237, 1, b""));
    talk.say(Device, &[native(6, 1, b""), native(237, 2, b"what fits no more")].concat());
    talk.say(Device, &native(6, 2, b""));
    // 40 bytes are the headers of IP and TCP.
    let Some(shown) = read(&cut_short(&talk.done(), 40 + 30), &[]) else { return };
    assert!(shown.iter().all(|shown| shown.error().is_none()), "{shown:?}");
    let names: Vec<_> = names(&shown).into_iter().filter(|name| *name != "nothing").collect();
    assert_eq!(names, ["message reply", "heartbeat", "heartbeat"]);
}

#[test]
fn a_reply_to_a_message_without_a_greeting_is_the_application_s() {
    let mut talk = Talk::new();
    talk.say(Device, &native(237, 1, b"ping"));
    talk.say(Server, &native(1_000_000_237, 1, b"pong\n\n"));
    talk.say(Server, &native(237, 2, b"echo"));
    let Some(shown) = read(&talk.done(), &[]) else { return };
    assert_eq!(names(&shown), ["message", "message reply", "message"]);
    assert!(shown.iter().all(|shown| shown.error().is_none()));
    assert_eq!(shown[2].remarks(), ["odd"], "a message comes from a device");
}

#[test]
fn frames_in_a_body_are_frames_of_their_own() {
    let goim = |command, body: &[u8]| frame(&Dialect::GOIM, command, 0, body);
    let inner = [goim(5, b"one"), goim(5, b"two")].concat();
    let cut = &inner[..inner.len() - 2];
    let mut talk = Talk::new();
    talk.say(Device, &goim(2, b""));
    talk.say(Server, &goim(9, &inner));
    talk.say(Server, &goim(9, cut));
    talk.say(Server, &goim(9, &goim(9, &inner)));
    let Some(shown) = read(&talk.done(), &["-o", "longlink.goim_ports:8080"]) else { return };
    assert_eq!(names(&shown), ["heartbeat", "batch", "batch", "batch"]);
    assert_eq!(shown[1].nested.iter().map(|inner| inner.one("text")).collect::<Vec<_>>(), [Some("one"), Some("two")]);
    let error = Batch::new(&Dialect::GOIM, cut).find_map(Result::err).unwrap().to_string();
    assert_eq!((shown[1].error(), shown[2].error()), (None, Some(error.as_str())));
    assert_eq!(shown[2].nested.len(), 1);
    assert_eq!((names(&shown[3].nested), shown[3].nested[0].nested.len()), (vec!["batch"], 0), "only one level");
}

#[test]
fn a_compressed_body_is_called_so() {
    // Two frames, by zlib.
    let packed =
        "78da636060506610600001561051ad949c9ba264a5e4e2e8e71b1aef1becae54cb804349b0ab9f4bbcbba75b88522d004d0e0bbb";
    let packed: Vec<u8> =
        (0..packed.len()).step_by(2).map(|at| u8::from_str_radix(&packed[at..at + 2], 16).unwrap()).collect();
    let mut talk = Talk::new();
    talk.say(Device, &openings()[3].1[0]);
    for version in [2, 3] {
        talk.say(Server, &frame(&Dialect { version, ..Dialect::BILIBILI }, 5, 0, &packed));
    }
    talk.say(Server, &frame(&Dialect::BILIBILI, 3, 1, &5_251_u32.to_be_bytes()));
    let Some(shown) = read(&talk.done(), &[]) else { return };
    assert_eq!(names(&shown), ["authentication", "push", "push", "heartbeat reply"]);
    let compression = shown.iter().map(|shown| shown.one("compression")).collect::<Vec<_>>();
    assert_eq!(compression, [None, Some("zlib"), Some("brotli"), None]);
    let inner: Vec<_> = shown[1].nested.iter().map(|inner| inner.one("text").unwrap()).collect();
    assert_eq!(inner, [r#"{"cmd":"DANMU_MSG"}"#, r#"{"cmd":"SEND_GIFT"}"#]);
    assert_eq!(shown[3].one("online"), Some("5251"));
}

/// A recorded frame's fields, as `tests/data/frames.tsv` has them, under the dissector's names.
fn recorded(expectation: &str) -> Vec<(&'static str, String)> {
    let fields = expectation.strip_prefix("frame ").unwrap().split(' ').map(|field| field.split_once('=').unwrap());
    let fields = fields.map(|(name, value)| match name {
        "header" => ("header_length", value.into()),
        "length" => ("length", value.into()),
        "version" => ("version", value.into()),
        "command" => ("command", value.into()),
        "sequence" => ("sequence", value.into()),
        "extension" => ("extension", value.into()),
        "body" => ("body_length", (value.len() / 2).to_string()),
        other => panic!("{other}"),
    });
    fields.collect()
}

#[test]
fn recorded_frames_are_read_as_they_were_recorded() {
    for dialect in [Dialect::LONGLINK, Dialect::MARS, Dialect::GOIM, Dialect::BILIBILI] {
        let (mut talk, mut expected) = (Talk::new(), Vec::new());
        for line in include_str!("data/frames.tsv").lines().filter(|line| !line.starts_with('#')) {
            let [_, name, hex, expectation, ..] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            if name == dialect.name && (expectation.starts_with("frame ") || expectation.starts_with("error ")) {
                let bytes: Vec<u8> =
                    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
                talk.next_link();
                talk.say(Device, &bytes);
                expected.extend(expectation.split(" | ").map(|expectation| (expectation.to_owned(), bytes.clone())));
            }
        }
        let Some(shown) = read(&talk.done(), &["-o", &port_option(&dialect)]) else { return };
        assert!(!shown.is_empty() && shown.len() == expected.len(), "{}", dialect.name);
        for (shown, (expectation, bytes)) in shown.iter().zip(&expected) {
            if expectation.starts_with("error ") {
                assert_eq!(shown.error(), Some(decode(&dialect, bytes).unwrap_err().to_string().as_str()));
                continue;
            }
            for (name, value) in recorded(expectation) {
                assert_eq!(shown.one(name).unwrap_or_default().replace(':', ""), value, "{name} of {expectation}");
            }
        }
    }
}
