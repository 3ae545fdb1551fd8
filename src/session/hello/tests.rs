use super::*;
use crate::delivery::{Accepted, DedupWindow, LAST_SEQUENCE, Stale, Standing, WindowError};
use crate::session::GoAway;
use core::time::Duration;
use std::{format, vec::Vec};

const HELLO: [u8; 31] = [
    1, 1, 0x01, 0x2C, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, // up to the device
    0x31, 0x32, 0x33, 0x34, 0x00, 0x01, 0x01, 0x00, 0, 0, 0, 3, b'k', b'e', b'y',
];

const REPLY: [u8; 36] = [
    0x81, 0, 1, 8, 0x02, 0x58, 0, 0, 0x11, 0x12, 0x13, 0x14, 0x31, 0x32, 0x33, 0x34, // up to the link
    0x00, 0x01, 0x01, 0x00, 0, 0, 0x01, 0x05, 0, 0, 0x04, 0xD2, 0b101, 0, 0, 0, 0, 0, 0, 0x80,
];

fn hello() -> Hello<'static> {
    Hello {
        version: 1,
        resume: true,
        heartbeat: 300,
        epoch: Epoch::new(0x1112_1314),
        device: NonZeroU64::new(0x2122_2324_2526_2728).unwrap(),
        link: 0x3132_3334,
        max_frame: 65_792,
        token: b"key",
    }
}

fn reply(bitmap: &[u8]) -> HelloReply<'_> {
    HelloReply {
        version: 1,
        status: HelloStatus::Ok,
        resumed: true,
        idle: 600,
        epoch: Epoch::new(0x1112_1314),
        link: 0x3132_3334,
        max_frame: 65_792,
        accepted: Accepted::new(0x105, bitmap).unwrap(),
        retry_after: Duration::from_millis(1_234),
    }
}

/// `bytes`, with those at `at` replaced.
fn with<const N: usize>(mut bytes: [u8; N], at: usize, new: &[u8]) -> [u8; N] {
    bytes[at..].iter_mut().zip(new).for_each(|(to, from)| *to = *from);
    bytes
}

#[test]
fn each_byte_of_a_hello_is_at_its_place() {
    assert_eq!(Hello::decode(&HELLO), Ok(hello()));
    assert_eq!(hello().encode_fixed(), HELLO[..28]);
    let plain = Hello { resume: false, epoch: None, token: &[], ..hello() };
    let bytes = with(with(with(HELLO, 1, &[0]), 4, &[0; 4]), 27, &[0]);
    assert_eq!(Hello::decode(&bytes[..28]), Ok(plain));
    assert_eq!(plain.encode_fixed(), bytes[..28]);
}

#[test]
fn each_byte_of_a_hello_reply_is_at_its_place() {
    assert_eq!(HelloReply::decode(&REPLY), Ok(reply(&REPLY[28..])));
    assert_eq!(reply(&REPLY[28..]).encode_fixed(), REPLY[..28]);
    let accepted = HelloReply::decode(&REPLY).unwrap().accepted;
    assert_eq!([0x106, 0x105, 0x104, 0x103].map(|s| accepted.contains(s)), [false, true, false, true]);
    assert_eq!(
        [0xC7, 0xC6, 0xC5].map(|s| accepted.standing(s)),
        [Standing::NotStored, Standing::Stored, Standing::Unknown]
    );
    assert_eq!(accepted.width(), 64);
}

#[test]
fn reserved_bits_and_trailing_bytes_are_how_a_greeting_grows() {
    let mut longer = [&with(with(HELLO, 1, &[0xFF]), 24, &[0xFF; 2])[..], b"more"].concat();
    assert_eq!(Hello::decode(&longer), Ok(hello()));
    longer[1] = 0xFE;
    assert!(!Hello::decode(&longer).unwrap().resume);
    let longer = [&with(with(REPLY, 2, &[0xFF]), 6, &[0xFF; 2])[..], b"more"].concat();
    assert_eq!(HelloReply::decode(&longer), Ok(reply(&REPLY[28..])));
    let refused = [&with(REPLY, 1, &[8])[..], b"more"].concat();
    assert!(HelloReply::decode(&refused).is_ok());
}

#[test]
fn a_hello_that_is_none_is_refused_with_its_number() {
    for length in [0, 1, 27] {
        assert_eq!(Hello::decode(&HELLO[..length]), Err(HelloError::Truncated { length }));
    }
    for version in [0, 2, 0x81, 0xFF] {
        assert_eq!(Hello::decode(&with(HELLO, 0, &[version])), Err(HelloError::Version { version }));
        assert_eq!(Hello::decode(&[version]), Err(HelloError::Version { version }));
    }
    assert_eq!(Hello::decode(&with(HELLO, 8, &[0; 8])), Err(HelloError::NoDevice));
    assert_eq!(Hello::decode(&with(HELLO, 16, &[0; 4])), Err(HelloError::NoLink));
    for max_frame in [0, 271] {
        let bytes = with(HELLO, 20, &u32::to_be_bytes(max_frame));
        assert_eq!(Hello::decode(&bytes), Err(HelloError::MaxFrame { max_frame }));
    }
    assert!(Hello::decode(&with(HELLO, 20, &[0, 0, 1, 16])).is_ok());
    for length in [1_025, u16::MAX] {
        let bytes = with(HELLO, 26, &length.to_be_bytes());
        assert_eq!(Hello::decode(&bytes), Err(HelloError::TokenTooLong { length }));
    }
    let cut = Err(HelloError::TokenTruncated { length: 3, there: 2 });
    assert_eq!(Hello::decode(&HELLO[..30]), cut);
    let cut = Err(HelloError::TokenTruncated { length: 1_024, there: 3 });
    assert_eq!(Hello::decode(&with(HELLO, 26, &[4, 0])), cut);
}

#[test]
fn the_longest_token_fits_and_no_longer_one() {
    let token = [7; 70_000];
    for length in [1_024, 1_025, 65_536, 70_000] {
        let long = Hello { token: &token[..length], ..hello() };
        let body: Vec<u8> = [&long.encode_fixed()[..], long.token].concat();
        assert_eq!(Hello::decode(&body).is_ok_and(|read| read == long), length == 1_024);
    }
}

#[test]
fn an_echo_is_no_reply() {
    assert_eq!(HelloReply::decode(&HELLO), Err(HelloReplyError::Echo { first: 1 }));
    assert_eq!(HelloReply::decode(&hello().encode_fixed()), Err(HelloReplyError::Echo { first: 1 }));
    assert_eq!(HelloReply::decode(&[0x7F]), Err(HelloReplyError::Echo { first: 0x7F }));
}

#[test]
fn a_reply_that_is_none_is_refused_with_its_number() {
    for length in [0, 1, 27] {
        assert_eq!(
            HelloReply::decode(&REPLY[..length]),
            Err(HelloReplyError::Truncated { length: crate::time::as_u32(length) })
        );
    }
    for version in [0, 2, 0x7F] {
        let bytes = with(REPLY, 0, &[0x80 | version]);
        assert_eq!(HelloReply::decode(&bytes), Err(HelloReplyError::Version { version }));
    }
    for bytes in [0, 7, 129, 255] {
        assert_eq!(HelloReply::decode(&with(REPLY, 3, &[bytes])), Err(HelloReplyError::Width { bytes }));
    }
    for bytes in [9, 128] {
        let cut = HelloReplyError::BitmapTruncated { bytes, there: 8 };
        assert_eq!(HelloReply::decode(&with(REPLY, 3, &[bytes])), Err(cut));
    }
    assert_eq!(HelloReply::decode(&with(REPLY, 8, &[0; 4])), Err(HelloReplyError::NoEpoch));
    assert_eq!(HelloReply::decode(&with(REPLY, 12, &[0; 4])), Err(HelloReplyError::NoLink));
    for max_frame in [0, 271] {
        let bytes = with(REPLY, 16, &u32::to_be_bytes(max_frame));
        assert_eq!(HelloReply::decode(&bytes), Err(HelloReplyError::MaxFrame { max_frame }));
    }
    for last in [LAST_SEQUENCE + 1, u32::MAX] {
        let bytes = with(REPLY, 20, &last.to_be_bytes());
        assert_eq!(HelloReply::decode(&bytes), Err(HelloReplyError::Window(WindowError::Last { last })));
    }
    let without_last = HelloReply::decode(&with(REPLY, 20, &[0; 4])).unwrap_err();
    assert_eq!(without_last, HelloReplyError::Window(WindowError::Bitmap { last: 0 }));
    let without_bit = HelloReply::decode(&with(REPLY, 28, &[0b100])).unwrap_err();
    assert_eq!(without_bit, HelloReplyError::Window(WindowError::Bitmap { last: 0x105 }));
}

#[test]
fn no_forged_number_drains_a_battery_or_keeps_a_device_away() {
    for (given, read) in [(0, 0), (1, 20), (19, 20), (20, 20), (21, 21), (u16::MAX, u16::MAX)] {
        assert_eq!(HelloReply::decode(&with(REPLY, 4, &given.to_be_bytes())).unwrap().idle, read);
    }
    for status in [0, 8] {
        let forged = with(with(REPLY, 1, &[status]), 24, &[0xFF; 4]);
        assert_eq!(HelloReply::decode(&forged).unwrap().retry_after, GoAway::MAX_RETRY_AFTER);
    }
    let ours = HelloReply { retry_after: Duration::MAX, ..reply(&REPLY[28..]) };
    assert_eq!(ours.encode_fixed()[24..], 3_600_000_u32.to_be_bytes());
}

#[test]
fn a_refusal_needs_no_window_and_shows_none() {
    let nothing = with([0; 28], 0, &[0x81, 1]);
    let read = HelloReply::decode(&nothing).unwrap();
    assert_eq!((read.status, read.epoch, read.link), (HelloStatus::Malformed, None, 0));
    assert_eq!(read.encode_fixed(), nothing);
    // Of another version, with a window that it should not have.
    let read = with(with(REPLY, 0, &[0x83, 5]), 3, &[255]);
    let read = HelloReply::decode(&read).unwrap();
    assert_eq!((read.version, read.status, read.resumed), (3, HelloStatus::EpochTooOld, false));
    assert_eq!((read.epoch, read.link, read.accepted), (Epoch::new(0x1112_1314), 0x3132_3334, Accepted::NONE));
    let refused = HelloReply { status: HelloStatus::LinkTooOld, ..reply(&REPLY[28..]) }.encode_fixed();
    assert_eq!((refused[1], refused[2], refused[3], &refused[20..24]), (6, 0, 0, &[0; 4][..]));
}

#[test]
fn every_status_is_its_number_and_an_unknown_one_is_busy() {
    for byte in 0..=9 {
        assert_eq!(HelloStatus::from_byte(byte).to_byte(), byte);
    }
    for byte in 10..=u8::MAX {
        assert_eq!(HelloStatus::from_byte(byte), HelloStatus::Busy);
    }
    let permanent: Vec<u8> = (0..=u8::MAX).filter(|byte| HelloStatus::from_byte(*byte).is_permanent()).collect();
    assert_eq!(permanent, [1, 2, 3, 7]);
}

#[test]
fn a_server_answers_each_fault_with_its_status() {
    assert_eq!(HelloStatus::from(HelloError::Version { version: 2 }), HelloStatus::Version);
    assert_eq!(HelloStatus::from(HelloError::NoLink), HelloStatus::Malformed);
    assert_eq!(HelloStatus::from(Stale::Epoch { current: Epoch::MAX }), HelloStatus::EpochTooOld);
    assert_eq!(HelloStatus::from(Stale::Link { current: 1 }), HelloStatus::LinkTooOld);
    assert_eq!(HelloStatus::from(Stale::Spent), HelloStatus::DeviceRefused);
}

#[test]
fn a_window_is_what_it_was_after_the_wire() {
    let mut window: DedupWindow<16> = DedupWindow::new();
    // Miri takes a second for ten of them.
    let last = if cfg!(miri) { 100 } else { 2_000 };
    for sequence in (1..last).step_by(3) {
        window.accept(sequence);
        let mut room = [0; 128];
        let accepted = window.snapshot(&mut room).unwrap();
        let sent = HelloReply { accepted, ..reply(&REPLY[28..]) };
        let body = [&sent.encode_fixed()[..], accepted.bitmap()].concat();
        let read = HelloReply::decode(&body).unwrap();
        assert_eq!((body.len(), read), (156, sent));
        assert_eq!(DedupWindow::from_bitmap(read.accepted.last(), read.accepted.bitmap()), Ok(window));
    }
}

#[test]
fn no_log_tells_the_token() {
    let told = format!("{:?}", hello());
    assert!(told.contains("3 bytes") && !told.contains("key") && !told.contains("107"), "{told}");
}
