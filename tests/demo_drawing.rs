//! What the demo makes of a run: a capture whose packets are right, and a picture that a browser can read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::expect_used)]

#[path = "../examples/support/demo/capture.rs"]
mod capture;
#[path = "../examples/support/demo/timeline.rs"]
mod timeline;

use capture::{Capture, Close, MSS, Side, checksum};
use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use timeline::{Arrow, ArrowKind, Moment, MomentKind, Span, SpanKind, Story};

const NOON: Duration = Duration::new(1_700_000_000, 123_456_789);

fn noon() -> SystemTime {
    UNIX_EPOCH + NOON
}

/// A packet of a capture file, taken apart by what the fields of IPv4 and TCP say of themselves.
struct Packet {
    time: Duration,
    ip: Vec<u8>,
}

impl Packet {
    fn all(file: &[u8]) -> Vec<Self> {
        assert_eq!(file[..8], [0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0]);
        assert_eq!(file[16..24], [0xFF, 0xFF, 0, 0, 101, 0, 0, 0]);
        let (mut rest, mut packets) = (&file[24..], Vec::new());
        let word = |bytes: &[u8], n: usize| u32::from_le_bytes(bytes[4 * n..4 * n + 4].try_into().unwrap());
        while !rest.is_empty() {
            let length = word(rest, 2) as usize;
            assert_eq!(length, word(rest, 3) as usize);
            let time = Duration::new(word(rest, 0).into(), word(rest, 1));
            packets.push(Self { time, ip: rest[16..16 + length].to_vec() });
            rest = &rest[16 + length..];
        }
        packets
    }

    fn tcp(&self) -> &[u8] {
        &self.ip[20..]
    }

    fn payload(&self) -> &[u8] {
        &self.tcp()[usize::from(self.tcp()[12] >> 4) * 4..]
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.tcp()[at..at + 4].try_into().unwrap())
    }

    fn flags(&self) -> u8 {
        self.tcp()[13]
    }

    /// Device number and its port, and whether the device sent it.
    fn device(&self) -> (u8, u16, bool) {
        let port = |at| u16::from_be_bytes(self.tcp()[at..at + 2].try_into().unwrap());
        let server = |at: usize, port: u16| self.ip[at..at + 4] == [10, 0, 1, 1] && port == 8080;
        match (server(12, port(0)), server(16, port(2))) {
            (false, true) => (self.ip[15], port(0), true),
            (true, false) => (self.ip[19], port(2), false),
            other => panic!("{other:?}"),
        }
    }
}

/// A capture of two links, with writes of these lengths from both ends of the first.
fn written(lengths: &[usize]) -> Vec<Packet> {
    let mut file = Vec::new();
    let mut capture = Capture::new(&mut file).unwrap();
    capture.open(noon(), 1, 7).unwrap();
    capture.open(noon(), 2, 8).unwrap();
    for &length in lengths {
        let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
        capture.carry(noon() + Duration::from_millis(1), 1, Side::Device, &bytes).unwrap();
        capture.carry(noon(), 1, Side::Server, &bytes).unwrap();
    }
    capture.close(noon(), 1, Side::Server, Close::Fin).unwrap();
    capture.carry(noon(), 1, Side::Device, b"last").unwrap();
    capture.close(noon(), 1, Side::Device, Close::Fin).unwrap();
    capture.close(noon(), 2, Side::Device, Close::Reset).unwrap();
    capture.finish().unwrap();
    Packet::all(&file)
}

#[test]
fn every_packet_has_its_length_and_both_checksums() {
    for packet in written(&[0, 1, 2, 99, 1_459, 1_460, 1_461, 9_000, 65_537]) {
        let length = packet.ip.len() as u16;
        assert_eq!(packet.ip[2..4], length.to_be_bytes());
        assert_eq!(checksum(&[&packet.ip[..20]]), 0);
        let pseudo = [&packet.ip[12..20], &[0, 6], &(length - 20).to_be_bytes()].concat();
        assert_eq!(checksum(&[&pseudo, packet.tcp()]), 0);
        assert!(packet.payload().len() <= MSS.into());
    }
}

/// From RFC 1071, section 3, and a header whose checksum is in many textbooks.
#[test]
fn the_checksum_is_that_of_the_internet() {
    assert_eq!(checksum(&[&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]]), !0xDDF2);
    let header = b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\x00\x00\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
    assert_eq!(checksum(&[header]), 0xB861);
    assert_eq!(checksum(&[&[1, 2], &[3]]), !0x0402);
}

#[test]
fn each_end_s_bytes_follow_on_each_other_and_are_acknowledged() {
    let packets = written(&[1, 1_460, 10_000, 1_461, 3]);
    for device in [7, 8] {
        // What each end has to say next, the device first.
        let mut next = [None, None];
        for packet in packets.iter().filter(|packet| packet.device().0 == device) {
            let from = usize::from(!packet.device().2);
            let (syn, ack, fin) = (packet.flags() & 2, packet.flags() & 16, packet.flags() & 1);
            assert_eq!(packet.number(4), *next[from].get_or_insert(packet.number(4)));
            if ack != 0 {
                assert_eq!(Some(packet.number(8)), next[1 - from]);
            }
            let taken = packet.payload().len() as u32 + u32::from(syn != 0 || fin != 0);
            next[from] = next[from].map(|number: u32| number.wrapping_add(taken));
        }
    }
}

#[test]
fn what_was_written_is_what_is_read_from_the_segments() {
    let packets = written(&[0, 5_000, 12]);
    let said = |by_device| -> Vec<u8> {
        let packets = packets.iter().filter(|packet| packet.device().0 == 7 && packet.device().2 == by_device);
        packets.flat_map(|packet| packet.payload().to_vec()).collect()
    };
    let written: Vec<u8> = (0..5_000).chain(0..12).map(|n| n as u8).collect();
    assert_eq!(said(false), written);
    assert_eq!(said(true), [&written[..], b"last"].concat());
}

#[test]
fn no_end_has_more_under_way_than_the_other_one_takes() {
    let (mut unacknowledged, mut most) = (0, 0);
    for packet in written(&[500_000]).iter().filter(|packet| packet.device().0 == 7) {
        unacknowledged = if packet.device().2 { unacknowledged + packet.payload().len() } else { 0 };
        most = most.max(unacknowledged);
    }
    assert_eq!(most, 2 * 1_460);
}

#[test]
fn a_link_opens_with_a_handshake_and_ends_as_it_was_closed() {
    let packets = written(&[1]);
    let flags = |device| -> Vec<u8> {
        packets.iter().filter(|packet| packet.device().0 == device).map(|packet| packet.flags()).collect()
    };
    assert_eq!(flags(7), [0x02, 0x12, 0x10, 0x18, 0x18, 0x11, 0x10, 0x18, 0x11, 0x10]);
    assert_eq!(flags(8), [0x02, 0x12, 0x10, 0x14]);
    assert_eq!(packets[0].tcp()[20..24], [2, 4, 0x05, 0xB4], "the longest segment");
    assert_eq!((packets[0].device(), packets[3].device()), ((7, 10_001, true), (8, 10_002, true)));
}

#[test]
fn time_is_kept_to_the_nanosecond_and_never_goes_backwards() {
    let packets = written(&[1]);
    assert_eq!(packets[0].time, NOON);
    assert_eq!(packets.last().unwrap().time, NOON + Duration::from_millis(1));
    assert!(packets.is_sorted_by_key(|packet| packet.time));
}

#[test]
fn only_a_link_that_is_there_can_be_used() {
    let mut capture = Capture::new(Vec::new()).unwrap();
    let kind = |result: std::io::Result<()>| result.map_err(|error| error.kind());
    assert_eq!(kind(capture.carry(noon(), 1, Side::Device, b"x")), Err(ErrorKind::NotConnected));
    assert_eq!(kind(capture.close(noon(), 1, Side::Device, Close::Reset)), Err(ErrorKind::NotConnected));
    capture.open(noon(), 1, 7).unwrap();
    assert_eq!(kind(capture.open(noon(), 1, 7)), Err(ErrorKind::AlreadyExists));
    capture.close(noon(), 1, Side::Device, Close::Fin).unwrap();
    assert_eq!(kind(capture.carry(noon(), 1, Side::Device, b"x")), Err(ErrorKind::NotConnected));
    assert_eq!(kind(capture.close(noon(), 1, Side::Device, Close::Fin)), Err(ErrorKind::NotConnected));
    capture.carry(noon(), 1, Side::Server, b"x").unwrap();
    capture.close(noon(), 1, Side::Device, Close::Reset).unwrap();
    capture.open(noon(), 1, 7).unwrap();
}

fn story() -> Story {
    Story {
        title: "a < b & \"c\"".into(),
        lanes: vec!["phone".into(), "<server>".into()],
        end: Duration::from_secs(60),
        ..Story::default()
    }
}

fn arrow(ms: u64, from: usize, kind: ArrowKind) -> Arrow {
    Arrow { at: Duration::from_millis(ms), from, to: 1 - from, kind }
}

/// Tags open and close in order, and nothing but text is between them.
#[track_caller]
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("<{piece}"));
        assert!(!text.contains('>'), "{text}");
        for reference in text.split('&').chain(tag.split('&')).skip(1).filter(|part| !part.starts_with(tag)) {
            let name = reference.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name) || !text.contains('&'), "{reference}");
        }
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
            _ if tag.ends_with('/') => assert_eq!(tag.matches('"').count() % 2, 0),
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_text_from_outside_is_text_in_the_picture() {
    let mut story = story();
    let evil = "</text><script>&\u{0}\u{1b}\"";
    story.lanes[0] = evil.into();
    let (at, to) = (Duration::from_secs(30), Duration::from_secs(60));
    story.moments.push(Moment { at, lane: 0, kind: MomentKind::Kill, label: evil.into() });
    story.spans.push(Span { lane: 0, from: at, to, kind: SpanKind::Link, label: evil.into() });
    let svg = timeline::draw(&story);
    assert_well_formed(&svg);
    assert!(!svg.contains("script>"));
    assert_eq!(svg.matches("&lt;/text&gt;&lt;script&gt;&amp;\u{FFFD}\u{FFFD}&quot;").count(), 5);
}

#[test]
fn a_column_counts_what_was_sent_and_what_came() {
    let mut story = story();
    story.arrows.extend([1_000, 1_010, 1_020].map(|ms| arrow(ms, 0, ArrowKind::Message)));
    story.arrows.push(arrow(1_015, 0, ArrowKind::Copy));
    story.arrows.push(arrow(30_000, 1, ArrowKind::Ack));
    let svg = timeline::draw(&story);
    assert_well_formed(&svg);
    assert_eq!(svg.matches("sent, 3 × message, 1 × message again<").count(), 1);
    assert_eq!(svg.matches("received, 3 × message, 1 × message again<").count(), 1);
    assert_eq!(svg.matches("sent, 1 × stored<").count(), 1);
}

#[test]
fn the_legend_has_the_kinds_that_occur_and_no_others() {
    let mut story = story();
    story.arrows.push(arrow(5, 0, ArrowKind::Notify));
    story.moments.push(Moment { at: Duration::ZERO, lane: 0, kind: MomentKind::Kill, label: "x".into() });
    let svg = timeline::draw(&story);
    assert!(svg.contains(">there is news</text>") && svg.contains(">killed</text>"));
    assert!(!svg.contains(">message</text>") && !svg.contains(">started</text>"));
}

#[test]
fn what_is_outside_of_the_story_is_cut() {
    let mut story = Story { begin: Duration::from_secs(10), end: Duration::from_secs(20), ..story() };
    story.arrows.extend([arrow(9_999, 0, ArrowKind::Message), arrow(20_001, 0, ArrowKind::Message)]);
    let (from, to) = (Duration::from_secs(1), Duration::from_secs(90));
    story.spans.push(Span { lane: 0, from, to, kind: SpanKind::Link, label: String::new() });
    story.moments.push(Moment { at: Duration::from_secs(21), lane: 0, kind: MomentKind::Cut, label: "behind".into() });
    let svg = timeline::draw(&story);
    assert_well_formed(&svg);
    assert!(!svg.contains("× message") && !svg.contains("behind"));
    assert!(svg.contains("x=\"132.0\" y=\"118\" width=\"1048.0\""));
}

#[test]
fn a_story_without_length_or_lanes_is_drawn_too() {
    let nothing = Story::default();
    assert_well_formed(&timeline::draw(&nothing));
    for end in [1, 5] {
        let mut story = Story { begin: Duration::from_secs(5), end: Duration::from_secs(end), ..story() };
        story.arrows.push(arrow(5_000, 0, ArrowKind::Page));
        let (at, label) = (Duration::from_secs(5), String::new());
        story.moments.push(Moment { at, lane: 0, kind: MomentKind::Cut, label });
        let svg = timeline::draw(&story);
        assert_well_formed(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn a_hundred_thousand_frames_of_every_kind_make_less_than_a_megabyte() {
    let mut story = story();
    story.lanes = (0..6).map(|n| format!("device {n}")).collect();
    for n in 0..100_000_usize {
        let kind = ArrowKind::ALL[n % 3 + n / 4 % 2];
        let (from, to) = if n % 2 == 0 { (n / 2 % 5, 5) } else { (5, n / 3 % 5) };
        story.arrows.push(Arrow { at: Duration::from_micros(600 * n as u64), from, to, kind });
    }
    let svg = timeline::draw(&story);
    assert_well_formed(&svg);
    assert!(svg.len() < 1_000_000, "{} bytes", svg.len());
    if let Some(path) = std::env::var_os("TIMELINE") {
        std::fs::write(path, svg).unwrap();
    }
}
