//! The `frames` example as its users meet it: arguments and bytes in, lines and an exit status out.
//!
//! `cargo test` builds the example before it runs this; after an edit, `cargo test --test frames_cli` alone would run
//! the old one.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/process.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod process;

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A heartbeat, its text form in hex, and what is printed of it at some offset.
const HEARTBEAT: &[u8] = b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\x0f";
const HEARTBEAT_HEX: &str = "0000001000100001000000060000000f";

fn heartbeat_line(offset: u64) -> String {
    format!(
        r#"{{"offset":{offset},"length":16,"header":16,"version":1,"command":6,"sequence":15,"extension":"","body":""}}"#
    ) + "\n"
}

/// A frame of the 16-byte layout: command 237, sequence 1.
fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    [&length.to_be_bytes()[..], &[0, 16, 0, 1, 0, 0, 0, 237, 0, 0, 0, 1], body].concat()
}

/// What is printed of [`message`].
fn message_line(offset: usize, body: &[u8]) -> String {
    let (length, hex) = (16 + body.len(), hex(body));
    format!(
        r#"{{"offset":{offset},"length":{length},"header":16,"version":1,"command":237,"sequence":1,"extension":"","body":"{hex}"}}"#
    ) + "\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frames() -> Command {
    let mut command = process::example("frames");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[derive(Debug, PartialEq)]
struct Output {
    stdout: String,
    stderr: String,
    status: Option<i32>,
}

impl Output {
    /// The only line on standard error, without the program's name in front.
    #[track_caller]
    fn complaint(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.strip_prefix("frames: ").unwrap().trim_end()
    }
}

fn run(args: &[&str], input: &[u8]) -> Output {
    let mut child = frames().args(args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // It may stop to read before the end: that is no mistake of the test.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    Output {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code(),
    }
}

#[track_caller]
fn assert_prints(args: &[&str], input: &[u8], expected: &str) {
    let output = run(args, input);
    assert_eq!(output, Output { stdout: expected.into(), stderr: String::new(), status: Some(0) });
}

/// A file that goes away with the value.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

// ---- frames ---------------------------------------------------------------------------------------------------------

#[test]
fn a_frame_in_hex_is_printed_as_one_json_object() {
    assert_prints(&["--hex"], HEARTBEAT_HEX.as_bytes(), &heartbeat_line(0));
}

#[test]
fn every_known_row_is_printed_field_by_field_or_refused() {
    let rows = include_str!("data/frames.tsv").lines().filter(|line| !line.starts_with('#'));
    for row in rows {
        let columns: Vec<_> = row.split('\t').collect();
        let output = run(&["--hex", "--dialect", columns[1]], columns[2].as_bytes());
        if columns[3].starts_with("error ") {
            assert_eq!((output.stdout.as_str(), output.status), ("", Some(1)), "{row}");
            assert!(output.complaint().starts_with("offset 0: "), "{output:?}");
        } else {
            let expected = json_lines(columns[3]);
            assert_eq!(output, Output { stdout: expected, stderr: String::new(), status: Some(0) }, "{row}");
        }
    }
}

/// `frame length=16 … body= | frame …` as it is printed.
fn json_lines(frames: &str) -> String {
    let (mut lines, mut offset) = (String::new(), 0);
    for frame in frames.split(" | ") {
        let mut fields = vec![format!(r#""offset":{offset}"#)];
        for pair in frame.split(' ').skip(1) {
            fields.push(match pair.split_once('=').unwrap() {
                (name @ ("extension" | "body"), value) => format!(r#""{name}":"{value}""#),
                (name, value) => format!(r#""{name}":{value}"#),
            });
        }
        let length = fields[1].trim_start_matches(r#""length":"#);
        offset += length.parse::<usize>().unwrap();
        lines += &format!("{{{}}}\n", fields.join(","));
    }
    lines
}

#[test]
fn bytes_are_printed_the_same_in_pieces_of_any_size() {
    let input = [&message(b"abc")[..], HEARTBEAT, &message(&[0xFF; 300]), HEARTBEAT].concat();
    let expected =
        [message_line(0, b"abc"), heartbeat_line(19), message_line(35, &[0xFF; 300]), heartbeat_line(351)].concat();
    assert_prints(&[], &input, &expected);
    for chunk in ["1", "2", "15", "16", "17", "1000", "18446744073709551615"] {
        assert_prints(&["--chunk", chunk], &input, &expected);
    }
}

#[test]
fn hex_text_may_be_of_either_case_and_spaced_in_any_way() {
    let text = "  00 00 00 1\n4 0010\t0001 000000ED\r\n00000001 DEad beEF\n\n";
    for chunk in ["1", "3", "100"] {
        assert_prints(&["--hex", "--chunk", chunk], text.as_bytes(), &message_line(0, &[0xDE, 0xAD, 0xBE, 0xEF]));
    }
}

#[test]
fn hex_text_longer_than_any_buffer_is_read_on() {
    let body = vec![0xA5; 60_000];
    let input = [message(&body), message(&body), message(&body)].concat();
    let expected = [0, 60_016, 120_032].map(|offset| message_line(offset, &body)).concat();
    assert_prints(&["--hex"], hex(&input).as_bytes(), &expected);
}

#[test]
fn a_file_is_read_as_standard_input_is() {
    let file = TempFile::new("a_file_is_read", &[HEARTBEAT, &message(b"hi")].concat());
    let expected = [heartbeat_line(0), message_line(16, b"hi")].concat();
    assert_prints(&[file.path()], b"", &expected);
    assert_prints(&[file.path(), "--chunk", "5"], b"", &expected);
    assert_prints(&["-"], HEARTBEAT, &heartbeat_line(0));
}

#[test]
fn no_input_is_no_frames_and_no_mistake() {
    assert_prints(&[], b"", "");
    assert_prints(&["--hex"], b" \n", "");
}

#[test]
fn a_version_is_taken_by_the_dialect_that_speaks_it_alone() {
    let compressed = "0000001200100003000000050000000078da";
    let line =
        r#"{"offset":0,"length":18,"header":16,"version":3,"command":5,"sequence":0,"extension":"","body":"78da"}"#;
    assert_prints(&["--hex", "--dialect", "bilibili"], compressed.as_bytes(), &format!("{line}\n"));
    for dialect in ["longlink", "goim"] {
        let output = run(&["--hex", "--dialect", dialect], compressed.as_bytes());
        assert_eq!((output.stdout.as_str(), output.status), ("", Some(1)));
        assert_eq!(output.complaint(), "offset 0: version = 3: version 3 is unknown, 1 to 1 are spoken here");
    }
}

// ---- malformed and over-long ----------------------------------------------------------------------------------------

#[test]
fn what_came_before_a_malformed_frame_is_printed_then_its_offset_field_and_value() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("longlink", b"\nhello", "offset 16: header = 27759: header length 27759 is above the limit of 256"),
        (
            "longlink",
            b"\0\0\0\x10\0\x0f\0\x01",
            "offset 16: header = 15: header length 15 is below the 16 bytes of this layout",
        ),
        ("longlink", b"\0\0\0\0\0\x10\0\x01", "offset 16: length = 0: total length 0 is below the header length 16"),
        ("goim", b"\0\0\0\x10\0\x10\0\x02", "offset 16: version = 2: version 2 is unknown, 1 to 1 are spoken here"),
        ("bilibili", b"\0\0\0\x10\0\x10\0\x04", "offset 16: version = 4: version 4 is unknown, 0 to 3 are spoken here"),
        (
            "longlink",
            b"\xff\xff\xff\xff\0\x10\0\x01\0\0\0\x06\0\0\0\x01",
            "offset 16: length = 4294967295: frame of 4294967295 bytes (command 6, sequence 1) is above the limit of 65792",
        ),
    ];
    for (dialect, garbage, complaint) in cases {
        for chunk in ["1", "7", "100"] {
            let input = [HEARTBEAT, garbage, HEARTBEAT].concat();
            let output = run(&["--dialect", dialect, "--chunk", chunk], &input);
            assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(0).as_str(), Some(1)), "{complaint}");
            assert_eq!(output.complaint(), complaint);
        }
    }
}

#[test]
fn lengths_that_wrap_are_told_by_the_body_length() {
    let input = "00000014000000c80000000100000001fffffff0";
    let output = run(&["--hex", "--dialect", "mars"], input.as_bytes());
    assert_eq!(output.status, Some(1));
    assert!(output.complaint().starts_with("offset 0: body = 4294967280: "), "{output:?}");
}

#[test]
fn an_over_long_frame_is_told_and_skipped_and_the_rest_is_printed() {
    let input = [HEARTBEAT, &message(&[1; 65]), &message(&[2; 64]), &message(&[3; 100]), HEARTBEAT].concat();
    let expected = [heartbeat_line(0), message_line(97, &[2; 64]), heartbeat_line(293)].concat();
    let complaints = "\
        frames: offset 16: length = 81: frame of 81 bytes (command 237, sequence 1) is above the limit of 80; skipped\n\
        frames: offset 177: length = 116: frame of 116 bytes (command 237, sequence 1) is above the limit of 80; skipped\n";
    for chunk in ["1", "50", "1000"] {
        let output = run(&["--max-frame", "80", "--chunk", chunk], &input);
        assert_eq!(output, Output { stdout: expected.clone(), stderr: complaints.into(), status: Some(1) });
    }
}

#[test]
fn the_limit_is_the_dialect_s_unless_another_is_given() {
    let long = message(&[7; 65_777]);
    let output = run(&[], &long);
    assert_eq!((output.stdout.as_str(), output.status), ("", Some(1)));
    assert!(output.complaint().starts_with("offset 0: length = 65793: "), "{output:?}");
    assert_prints(&["--max-frame", "65793"], &long, &message_line(0, &[7; 65_777]));
    let goim = run(&["--dialect", "goim"], &message(&[7; 4_097]));
    assert!(goim.complaint().contains("above the limit of 4112"), "{goim:?}");
    assert_prints(&["--dialect", "goim"], &message(&[7; 4_096]), &message_line(0, &[7; 4_096]));
}

#[test]
fn the_highest_limit_costs_nothing_as_long_as_the_frames_are_short() {
    assert_prints(&["--max-frame", "1073741824"], HEARTBEAT, &heartbeat_line(0));
}

// ---- the end of the input -------------------------------------------------------------------------------------------

#[test]
fn input_that_ends_inside_a_header_tells_what_is_there_and_the_least_that_is_missing() {
    for chunk in ["1", "100"] {
        let output = run(&["--chunk", chunk], &[HEARTBEAT, b"\0\0\0\x10\0"].concat());
        assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(0).as_str(), Some(2)));
        assert_eq!(
            output.complaint(),
            "offset 16: input ends inside a frame: 5 bytes are there (0000001000), at least 11 are missing"
        );
    }
    let output = run(&["--dialect", "mars"], &[0, 0, 0, 24]);
    assert!(output.complaint().ends_with("4 bytes are there (00000018), at least 16 are missing"), "{output:?}");
}

#[test]
fn input_that_ends_inside_a_body_tells_exactly_what_is_missing() {
    let whole = message(&[0xAB; 40]);
    let output = run(&[], &[&message(b"x")[..], &whole[..33]].concat());
    assert_eq!((output.stdout.as_str(), output.status), (message_line(0, b"x").as_str(), Some(2)));
    let begun = hex(&whole[..32]);
    let expected = format!("offset 17: input ends inside a frame: 33 bytes are there ({begun}...), 23 are missing");
    assert_eq!(output.complaint(), expected);
    let output = run(&[], &whole[..32]);
    let expected = format!("offset 0: input ends inside a frame: 32 bytes are there ({begun}), 24 are missing");
    assert_eq!((output.complaint(), output.status), (expected.as_str(), Some(2)));
}

#[test]
fn input_that_ends_inside_a_skipped_frame_counts_as_over_long() {
    let input = [HEARTBEAT, &message(&[7; 100])[..50]].concat();
    let output = run(&["--max-frame", "64"], &input);
    assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(0).as_str(), Some(1)));
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(lines[0].starts_with("frames: offset 16: length = 116: "), "{output:?}");
    assert_eq!(lines[1], "frames: offset 16: input ends inside the skipped frame: 66 bytes are missing");
}

#[test]
fn an_over_long_frame_outweighs_an_unfinished_one_behind_it() {
    let input = [&message(&[7; 100])[..], HEARTBEAT, &HEARTBEAT[..9]].concat();
    let output = run(&["--max-frame", "64"], &input);
    assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(116).as_str(), Some(1)));
    assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
    assert!(output.stderr.contains("offset 132: input ends inside a frame: 9 bytes are there"), "{output:?}");
}

// ---- other mistakes -------------------------------------------------------------------------------------------------

#[test]
fn a_mistake_in_hex_text_is_told_after_the_frames_before_it() {
    for chunk in ["1", "100"] {
        let wrong = format!("{HEARTBEAT_HEX}\n00x0");
        let output = run(&["--hex", "--chunk", chunk], wrong.as_bytes());
        assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(0).as_str(), Some(1)));
        assert_eq!(output.complaint(), "cannot read the input: 'x' at offset 35 of the text is no hex digit");
        let odd = format!("{HEARTBEAT_HEX}0\n");
        let output = run(&["--hex", "--chunk", chunk], odd.as_bytes());
        assert_eq!((output.stdout.as_str(), output.status), (heartbeat_line(0).as_str(), Some(1)));
        assert_eq!(output.complaint(), "cannot read the input: hex text ends after 34 characters with half a byte");
    }
}

#[test]
fn an_input_that_cannot_be_read_is_told_in_one_line() {
    let output = run(&["no/such/file"], b"");
    assert_eq!((output.stdout.as_str(), output.status), ("", Some(1)));
    assert!(output.complaint().starts_with("cannot open no/such/file: "), "{output:?}");
    let output = run(&[env!("CARGO_MANIFEST_DIR")], b"");
    assert_eq!((output.stdout.as_str(), output.status), ("", Some(1)));
    assert!(output.complaint().starts_with("cannot "), "{output:?}");
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_read() {
    let cases: [&[&str]; 7] = [
        &["--chunk", "0"],
        &["--chunk", "-1"],
        &["--max-frame", "0"],
        &["--max-frame", "15"],
        &["--max-frame", "19", "--dialect", "mars"],
        &["--max-frame", "4294967296"],
        &["--dialect", "http"],
    ];
    for args in cases {
        let output = run(args, HEARTBEAT);
        assert_eq!((output.stdout.as_str(), output.status), ("", Some(2)), "{args:?}");
        assert!(output.stderr.starts_with("error: ") && output.stderr.contains(args[1]), "{args:?}: {output:?}");
    }
    assert_prints(&["--max-frame", "16"], HEARTBEAT, &heartbeat_line(0));
}

// ---- streams without end --------------------------------------------------------------------------------------------

/// The first line that comes; the rest of what is printed is dropped unread.
fn first_line(child: &mut Child) -> String {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = sender.send(stdout.read_line(&mut line).map(|_| line));
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("nothing was printed while the input was open").unwrap()
}

#[test]
fn a_frame_is_printed_while_the_input_is_still_open() {
    let mut child = frames().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[HEARTBEAT, &HEARTBEAT[..3]].concat()).unwrap();
    assert_eq!(first_line(&mut child), heartbeat_line(0));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_without_a_word() {
    let mut child = frames().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than any pipe holds, until nobody takes it.
    let writer = thread::spawn(move || while stdin.write_all(HEARTBEAT).is_ok() {});
    assert_eq!(first_line(&mut child), heartbeat_line(0));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    writer.join().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}
