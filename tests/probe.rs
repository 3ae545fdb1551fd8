//! Rules of `liveness::Probe`: what is proof that an address is alive, and that the connection is whole afterwards.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use longlink::liveness::{Probe, Verdict};
use longlink::wire::{Decoded, Dialect, Layout, Proof, decode, encode, encode_with_extension};
use proptest::{collection::vec, prelude::*};

/// A dialect of the 16-byte layout in which an address is proven by a heartbeat whose sequence is not fixed.
const COUNTED: Dialect = Dialect { name: "counted", heartbeat_sequence: None, ..Dialect::LONGLINK };
const PROVEN_BY_HEARTBEAT: [&Dialect; 3] = [&Dialect::LONGLINK, &Dialect::MARS, &COUNTED];

fn frame(dialect: &Dialect, command: u32, sequence: u32, extension: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; dialect.header_len() + extension.len() + body.len()];
    encode_with_extension(dialect, command, sequence, extension, body, &mut out).unwrap();
    out
}

fn answer(dialect: &Dialect) -> Vec<u8> {
    frame(dialect, dialect.heartbeat_reply, 0xFFFF_FFFF, &[], &[])
}

/// Writes all that there is, `step` bytes at a time.
fn write(probe: &mut Probe, step: usize) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(bytes) = probe.poll_transmit() {
        let n = bytes.len().min(step);
        written.extend_from_slice(&bytes[..n]);
        probe.handle_sent(n);
    }
    written
}

/// Reads from `stream`, `step` bytes at a time, until the probe wants no more, and returns what is left in it.
fn read<'s>(probe: &mut Probe, mut stream: &'s [u8], step: usize) -> &'s [u8] {
    loop {
        let space = probe.space();
        let n = space.len().min(stream.len()).min(step);
        if n == 0 {
            return stream;
        }
        let (now, later) = stream.split_at(n);
        space[..n].copy_from_slice(now);
        stream = later;
        let verdict = probe.commit(n);
        assert_eq!(verdict, probe.verdict());
    }
}

/// The verdict on a peer that says `stream`, and what is left of that.
fn verdict_on<'s>(dialect: &'static Dialect, stream: &'s [u8], step: usize) -> (Verdict, &'s [u8]) {
    let mut probe = Probe::new(dialect);
    write(&mut probe, usize::MAX);
    let rest = read(&mut probe, stream, step);
    (probe.verdict(), rest)
}

const STEPS: [usize; 5] = [usize::MAX, 1, 3, 7, 16];

#[test]
fn one_heartbeat_goes_out_whatever_a_write_takes() {
    for dialect in PROVEN_BY_HEARTBEAT {
        let mut expected = [0; 20];
        let sequence = dialect.heartbeat_sequence.unwrap_or(1);
        let length = encode(dialect, dialect.heartbeat, sequence, &[], &mut expected).unwrap();
        for step in STEPS {
            let mut probe = Probe::new(dialect);
            assert_eq!(write(&mut probe, step), expected[..length], "{}", dialect.name);
            assert_eq!((probe.verdict(), probe.poll_transmit()), (Verdict::Pending, None));
        }
    }
}

#[test]
fn the_heartbeat_of_captures_is_written_and_its_answer_taken() {
    let mut probe = Probe::new(&Dialect::LONGLINK);
    assert_eq!(write(&mut probe, 5), b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\xff\xff\xff\xff");
    let answer = b"\0\0\0\x10\0\x10\0\x01\x3b\x9a\xca\x06\xff\xff\xff\xff";
    assert!(read(&mut probe, answer, 5).is_empty());
    assert_eq!(probe.verdict(), Verdict::Alive);
}

#[test]
fn the_answer_proves_life_with_its_last_byte() {
    for dialect in PROVEN_BY_HEARTBEAT {
        let answer = answer(dialect);
        for step in STEPS {
            for end in 0..answer.len() {
                assert_eq!(verdict_on(dialect, &answer[..end], step), (Verdict::Pending, &[][..]), "{end} bytes");
            }
            assert_eq!(verdict_on(dialect, &answer, step), (Verdict::Alive, &[][..]), "{}", dialect.name);
        }
    }
}

#[test]
fn an_echo_is_a_live_peer() {
    for dialect in PROVEN_BY_HEARTBEAT {
        let mut probe = Probe::new(dialect);
        let echo = write(&mut probe, usize::MAX);
        assert!(read(&mut probe, &echo, usize::MAX).is_empty());
        assert_eq!(probe.verdict(), Verdict::Alive, "{}", dialect.name);
    }
}

#[test]
fn an_answer_may_have_any_sequence_an_extended_header_and_a_body() {
    let lengths = [0, 1, 4, 19, 20, 21, 200];
    for dialect in PROVEN_BY_HEARTBEAT {
        for (extension, body) in lengths.into_iter().flat_map(|e| lengths.map(|b| (e, b))) {
            let answer = frame(dialect, dialect.heartbeat_reply, 77, &vec![0xAA; extension], &vec![0; body]);
            for step in STEPS {
                let label = format!("{}: {extension} and {body} bytes, {step} at a time", dialect.name);
                assert_eq!(verdict_on(dialect, &answer, step), (Verdict::Alive, &[][..]), "{label}");
                let shorter = &answer[..answer.len() - 1];
                assert_eq!(verdict_on(dialect, shorter, step), (Verdict::Pending, &[][..]), "{label}");
            }
        }
    }
}

#[test]
fn what_is_behind_the_answer_stays_in_the_stream() {
    for dialect in PROVEN_BY_HEARTBEAT {
        for answer in
            [answer(dialect), frame(dialect, dialect.heartbeat_reply, 0, b"extension", b"and a body of some length")]
        {
            let behind = frame(dialect, dialect.push, 0, &[], b"the first push");
            let stream = [&answer[..], &behind].concat();
            for step in STEPS {
                assert_eq!(verdict_on(dialect, &stream, step), (Verdict::Alive, &behind[..]), "{}", dialect.name);
            }
        }
    }
}

#[test]
fn another_protocol_is_foreign_after_its_first_bytes() {
    let others: [&[u8]; 5] = [
        b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\0\x02\x02\x16 a TLS alert and more",
        &[0; 32],
    ];
    for dialect in PROVEN_BY_HEARTBEAT {
        for other in others {
            let (verdict, rest) = verdict_on(dialect, other, 1);
            assert_eq!(verdict, Verdict::Foreign, "{}: {other:?}", dialect.name);
            assert!(other.len() - rest.len() <= 8, "{}: {other:?}", dialect.name);
            assert_eq!(verdict_on(dialect, other, usize::MAX).0, Verdict::Foreign);
        }
    }
}

#[test]
fn the_other_layout_is_foreign() {
    assert_eq!(verdict_on(&Dialect::LONGLINK, &answer(&Dialect::MARS), 1).0, Verdict::Foreign);
    assert_eq!(verdict_on(&Dialect::MARS, &answer(&Dialect::LONGLINK), 1).0, Verdict::Foreign);
}

#[test]
fn a_frame_that_is_no_answer_is_foreign_once_its_header_is_there() {
    for dialect in PROVEN_BY_HEARTBEAT {
        let other = frame(dialect, dialect.push, 0, &[], b"nobody asked");
        for step in STEPS {
            assert_eq!(verdict_on(dialect, &other, step), (Verdict::Foreign, &b"nobody asked"[..]), "{}", dialect.name);
        }
        for command in [0, 1, dialect.heartbeat_reply + 1, dialect.heartbeat_reply - 1, u32::MAX] {
            let other = frame(dialect, command, 0xFFFF_FFFF, &[], &[]);
            assert_eq!(verdict_on(dialect, &other, 4).0, Verdict::Foreign, "{}: {command}", dialect.name);
        }
    }
}

#[test]
fn lengths_beyond_the_limits_are_foreign() {
    let mut long = answer(&Dialect::LONGLINK);
    long[..4].copy_from_slice(&(Dialect::LONGLINK.max_frame + 1).to_be_bytes());
    assert_eq!(verdict_on(&Dialect::LONGLINK, &long, 1).0, Verdict::Foreign);
    let mut overflow = answer(&Dialect::MARS);
    overflow[16..].copy_from_slice(&[0xFF; 4]);
    assert_eq!(verdict_on(&Dialect::MARS, &overflow, 1).0, Verdict::Foreign);
}

#[test]
fn what_is_decided_is_decided() {
    let mut probe = Probe::new(&Dialect::MARS);
    let half = probe.poll_transmit().unwrap().len() / 2;
    probe.handle_sent(half);
    read(&mut probe, b"HTTP", usize::MAX);
    assert_eq!((probe.verdict(), probe.poll_transmit()), (Verdict::Foreign, None));
    probe.handle_sent(100);
    assert!(probe.space().is_empty());
    assert_eq!(probe.commit(20), Verdict::Foreign);

    let mut probe = Probe::new(&Dialect::MARS);
    let echo = write(&mut probe, usize::MAX);
    read(&mut probe, &echo, usize::MAX);
    assert!(probe.space().is_empty());
    assert_eq!((probe.commit(20), probe.poll_transmit()), (Verdict::Alive, None));
}

#[test]
fn an_answer_proves_nothing_until_the_heartbeat_is_written() {
    for dialect in PROVEN_BY_HEARTBEAT {
        let mut probe = Probe::new(dialect);
        let length = probe.poll_transmit().unwrap().len();
        assert!(read(&mut probe, &answer(dialect), usize::MAX).is_empty());
        assert!(probe.space().is_empty());
        probe.handle_sent(length - 1);
        assert_eq!(probe.verdict(), Verdict::Pending);
        probe.handle_sent(1);
        assert_eq!(probe.verdict(), Verdict::Alive);
    }
}

#[test]
fn where_only_a_greeting_is_answered_three_addresses_are_alive_and_are_asked_nothing() {
    const GREETED: Dialect = Dialect { proof: Proof::Greeting, layout: Layout::Wire20, ..Dialect::MARS };
    for dialect in [&Dialect::GOIM, &Dialect::BILIBILI, &GREETED] {
        for mut probe in [(); 3].map(|()| Probe::new(dialect)) {
            assert_eq!((probe.verdict(), probe.poll_transmit()), (Verdict::Alive, None), "{}", dialect.name);
            assert_eq!(probe.space(), []);
            probe.handle_sent(16);
            assert_eq!(probe.commit(16), Verdict::Alive);
        }
    }
}

#[test]
fn a_dialect_that_contradicts_itself_finds_all_foreign() {
    const BROKEN: Dialect = Dialect { max_frame: 15, ..Dialect::LONGLINK };
    let mut probe = Probe::new(&BROKEN);
    assert_eq!((probe.verdict(), probe.poll_transmit()), (Verdict::Foreign, None));
    assert!(probe.space().is_empty());
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_get_the_verdict_that_the_decoder_and_the_command_give(
        which in 0..3_usize,
        command in prop::sample::select(vec![6, 1_000_000_006, 122, 0]),
        (extension, body, behind) in (vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..30)),
        flips in vec((0..20_usize, any::<u8>()), 0..2),
        steps in vec(1..25_usize, 1..8),
    ) {
        let dialect = PROVEN_BY_HEARTBEAT[which];
        let mut stream = frame(dialect, command, 0, &extension, &body);
        flips.into_iter().filter(|(at, _)| *at < dialect.header_len()).for_each(|(at, byte)| stream[at] = byte);
        stream.extend_from_slice(&behind);

        let mut probe = Probe::new(dialect);
        write(&mut probe, usize::MAX);
        let (mut rest, mut steps) = (&stream[..], steps.into_iter().cycle());
        while !rest.is_empty() && !probe.space().is_empty() {
            let step = steps.next().unwrap().min(rest.len());
            let left = read(&mut probe, &rest[..step], usize::MAX).len();
            rest = &rest[step - left..];
        }
        let is_answer = |command| command == dialect.heartbeat || command == dialect.heartbeat_reply;
        let taken = stream.len() - rest.len();
        match decode(dialect, &stream) {
            Ok(Decoded::Frame(whole)) if is_answer(whole.command()) => {
                prop_assert_eq!((probe.verdict(), taken), (Verdict::Alive, whole.length()));
            }
            Ok(Decoded::Frame(_)) | Err(_) => {
                prop_assert_eq!(probe.verdict(), Verdict::Foreign);
                prop_assert!(taken <= dialect.header_len());
            }
            Ok(Decoded::Incomplete { .. }) => {
                // Longer than what came; a foreign one is known by its header.
                let command = u32::from_be_bytes(stream[8..12].try_into().unwrap());
                let expected = if is_answer(command) { Verdict::Pending } else { Verdict::Foreign };
                prop_assert_eq!(probe.verdict(), expected);
            }
        }
    }
}
