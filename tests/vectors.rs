//! Known bytes and what must come of them: the rows of `data/frames.tsv`, and what peers have been seen to do wrong.
//!
//! Every case goes through [`decode`] and through a [`Decoder`] that is fed in pieces of every size.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

use longlink::wire::{Decoded, Decoder, Dialect, Frame, FrameError, decode, encode_with_extension};

const PRESETS: [&Dialect; 4] = [&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI];

/// What came of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    frames: Vec<Fields>,
    /// Frames that were too long, in order, and the error that ended it all, if one did.
    errors: Vec<FrameError>,
    /// What the last frame lacks, 0 if the bytes end with a frame.
    missing: usize,
}

#[derive(Debug, PartialEq)]
struct Fields {
    length: usize,
    header: usize,
    version: u32,
    command: u32,
    sequence: u32,
    extension: Vec<u8>,
    body: Vec<u8>,
}

impl From<Frame<'_>> for Fields {
    fn from(frame: Frame<'_>) -> Self {
        Self {
            length: frame.length(),
            header: frame.header().header_len(),
            version: frame.version(),
            command: frame.command(),
            sequence: frame.sequence(),
            extension: frame.extension().to_vec(),
            body: frame.body().to_vec(),
        }
    }
}

/// All frames that [`decode`] finds, one behind the other.
fn by_decode(dialect: &Dialect, mut bytes: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    while !bytes.is_empty() {
        match decode(dialect, bytes) {
            Ok(Decoded::Frame(frame)) => {
                outcome.frames.push(frame.into());
                bytes = &bytes[frame.length()..];
            }
            Ok(Decoded::Incomplete { need }) => {
                outcome.missing = need;
                break;
            }
            Err(error) => {
                outcome.errors.push(error);
                match error {
                    FrameError::TooLong { length, limit, .. } if !error.is_fatal() => {
                        assert!(length > limit);
                        let (length, there) = (length as usize, bytes.len());
                        outcome.missing = length.saturating_sub(there);
                        bytes = &bytes[length.min(there)..];
                    }
                    _ => break,
                }
            }
        }
    }
    outcome
}

/// All frames that a [`Decoder`] with a buffer of `room` bytes finds, fed `chunk` bytes at a time.
fn by_decoder(dialect: &'static Dialect, bytes: &[u8], chunk: usize, room: usize) -> Outcome {
    let mut decoder = Decoder::new(dialect, vec![0; room]).unwrap();
    let mut outcome = Outcome::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = feed(&mut decoder, &rest[..chunk.min(rest.len())]);
        rest = &rest[n..];
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => outcome.frames.push(frame.into()),
                Ok(None) => break,
                Err(error) => {
                    outcome.errors.push(error);
                    assert!(outcome.errors.len() <= bytes.len(), "{error} without end");
                    if error.is_fatal() {
                        assert_eq!(decoder.next_frame(), Err(error), "a fatal error is repeated");
                        return outcome;
                    }
                }
            }
        }
    }
    outcome.missing = match decoder.skipping() {
        0 if decoder.buffered() > 0 => decoder.need(),
        skipping => skipping as usize,
    };
    outcome
}

/// Gives the decoder as much of `bytes` as fits and returns how much that was.
fn feed(decoder: &mut Decoder<Vec<u8>>, bytes: &[u8]) -> usize {
    let space = decoder.space();
    let n = bytes.len().min(space.len());
    assert!(n > 0, "there is always space once all frames were taken");
    space[..n].copy_from_slice(&bytes[..n]);
    decoder.commit(n);
    n
}

/// Both ways, in pieces of every size, with the buffer that the dialect's limit asks for.
#[track_caller]
fn check(dialect: &'static Dialect, bytes: &[u8], expected: &Outcome, case: &str) {
    assert_eq!(by_decode(dialect, bytes), *expected, "{case}");
    for chunk in 1..=bytes.len() {
        assert_eq!(by_decoder(dialect, bytes, chunk, dialect.max_frame as usize), *expected, "{case} by {chunk}");
    }
}

#[track_caller]
fn check_error(dialect: &'static Dialect, bytes: &[u8], error: FrameError) {
    let expected = Outcome { errors: vec![error], ..Outcome::default() };
    check(dialect, bytes, &expected, &format!("{} {bytes:02x?}", dialect.name));
}

/// A header of either layout with any numbers in it, and nothing behind it.
fn header(dialect: &Dialect, length: u32, header: u32, version: u32) -> Vec<u8> {
    let fields: [&[u8]; 5] = if dialect.header_len() == 16 {
        let (header, version) = (u16::try_from(header).unwrap(), u16::try_from(version).unwrap());
        [&length.to_be_bytes(), &header.to_be_bytes(), &version.to_be_bytes(), &[0, 0, 0, 6], &[0, 0, 0, 1]]
    } else {
        let body = length.wrapping_sub(header);
        [&header.to_be_bytes(), &version.to_be_bytes(), &[0, 0, 0, 6], &[0, 0, 0, 1], &body.to_be_bytes()]
    };
    fields.concat()
}

/// The length of a header without extension.
fn fixed_len(dialect: &Dialect) -> u32 {
    u32::try_from(dialect.header_len()).unwrap()
}

mod rows {
    use super::*;

    struct Row {
        id: &'static str,
        dialect: &'static Dialect,
        bytes: Vec<u8>,
        expected: Outcome,
    }

    /// Every line that is not a comment. One that cannot be understood to the last word fails the test.
    fn rows() -> Vec<Row> {
        let lines = include_str!("data/frames.tsv").lines();
        lines.filter(|line| !line.starts_with('#')).map(row).collect()
    }

    fn row(line: &'static str) -> Row {
        let columns: Vec<_> = line.split('\t').collect();
        let [id, dialect, bytes, expected, _description, _origin] = columns[..] else {
            panic!("not six columns: {line}");
        };
        let dialect = PRESETS.into_iter().find(|preset| preset.name == dialect).unwrap();
        let mut outcome = Outcome::default();
        for part in expected.split(" | ") {
            match part.split_once(' ') {
                Some(("frame", fields)) => outcome.frames.push(frame(fields)),
                Some(("error", error)) => outcome.errors.push(frame_error(error)),
                _ => panic!("{id}: neither a frame nor an error: {part:?}"),
            }
        }
        Row { id, dialect, bytes: unhex(bytes), expected: outcome }
    }

    fn frame(text: &str) -> Fields {
        let [length, header, version, command, sequence, extension, body] =
            values(text, ["length", "header", "version", "command", "sequence", "extension", "body"]);
        Fields {
            length: length.parse().unwrap(),
            header: header.parse().unwrap(),
            version: version.parse().unwrap(),
            command: command.parse().unwrap(),
            sequence: sequence.parse().unwrap(),
            extension: unhex(extension),
            body: unhex(body),
        }
    }

    fn frame_error(text: &str) -> FrameError {
        let (name, fields) = text.split_once(' ').unwrap();
        match name {
            "HeaderTooShort" => {
                let [header, minimum] = numbers(fields, ["header", "minimum"]);
                FrameError::HeaderTooShort { header, minimum }
            }
            "LengthBelowHeader" => {
                let [length, header] = numbers(fields, ["length", "header"]);
                FrameError::LengthBelowHeader { length, header }
            }
            "LengthOverflow" => {
                let [header, body] = numbers(fields, ["header", "body"]);
                FrameError::LengthOverflow { header, body }
            }
            _ => panic!("no row had {name} so far: add it here"),
        }
    }

    /// The values of `text`, which must consist of exactly these names in this order, each as `name=value`.
    fn values<'t, const N: usize>(text: &'t str, names: [&str; N]) -> [&'t str; N] {
        let pairs: Vec<_> = text.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names, "{text}");
        pairs.iter().map(|(_, value)| *value).collect::<Vec<_>>().try_into().unwrap()
    }

    fn numbers<const N: usize>(text: &str, names: [&str; N]) -> [u32; N] {
        values(text, names).map(|value| value.parse().unwrap())
    }

    fn unhex(text: &str) -> Vec<u8> {
        assert!(text.len().is_multiple_of(2), "{text}");
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn ids_are_unique_and_no_row_got_lost() {
        let mut ids: Vec<_> = rows().iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rows().len());
        assert_eq!(ids.len(), 20);
    }

    #[test]
    fn every_row_gives_its_frames_or_its_error_in_pieces_of_any_size() {
        for Row { id, dialect, bytes, expected } in rows() {
            check(dialect, &bytes, &expected, id);
        }
    }

    #[test]
    fn every_row_of_frames_is_encoded_to_the_same_bytes() {
        for Row { id, dialect, bytes, expected } in rows().into_iter().filter(|row| row.expected.errors.is_empty()) {
            let mut encoded = vec![0; bytes.len()];
            let mut at = 0;
            for frame in expected.frames {
                let Fields { command, sequence, extension, body, .. } = frame;
                let out = &mut encoded[at..];
                at += encode_with_extension(dialect, command, sequence, &extension, &body, out).unwrap();
            }
            assert_eq!(encoded, bytes, "{id}");
        }
    }

    #[test]
    fn every_row_cut_anywhere_is_incomplete_or_named_early_but_never_another_frame() {
        for Row { id, dialect, bytes, expected } in rows() {
            for end in 0..bytes.len() {
                let cut = by_decode(dialect, &bytes[..end]);
                assert!(expected.frames.starts_with(&cut.frames), "{id} cut at {end}");
                assert!(expected.errors.starts_with(&cut.errors), "{id} cut at {end}");
                let whole: usize = cut.frames.iter().map(|frame| frame.length).sum();
                let at_least_missing = (cut.errors.is_empty() && end > whole).then_some(bytes.len() - end);
                assert!(cut.missing <= at_least_missing.unwrap_or(0), "{id} cut at {end}");
                assert_eq!(cut.missing > 0, at_least_missing.is_some(), "{id} cut at {end}");
            }
        }
    }
}

/// A test client in an old write-up of this protocol sends a heartbeat that says 16 bytes, then a line feed and "hello".
#[test]
fn what_is_behind_the_frame_of_the_classic_ping_client_is_named_after_its_first_six_bytes() {
    let heartbeat = b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\x0f";
    let bytes = [&heartbeat[..], b"\nhello"].concat();
    assert_eq!(bytes.len(), 22);
    let ping = || Fields {
        length: 16,
        header: 16,
        version: 1,
        command: 6,
        sequence: 15,
        extension: Vec::new(),
        body: Vec::new(),
    };
    let named = FrameError::HeaderTooLong { header: u32::from_be_bytes([0, 0, b'l', b'o']), maximum: 256 };
    check(&Dialect::LONGLINK, &bytes, &Outcome { frames: vec![ping()], errors: vec![named], missing: 0 }, "all of it");
    for end in 17..22 {
        let expected = Outcome { frames: vec![ping()], errors: Vec::new(), missing: 32 - end };
        check(&Dialect::LONGLINK, &bytes[..end], &expected, "one byte less");
    }
}

#[test]
fn sixty_four_kibibytes_of_empty_frames_in_one_read_are_all_given_without_another() {
    for dialect in PRESETS {
        let count = 65_536 / dialect.header_len();
        let mut bytes = Vec::new();
        for sequence in 0..count {
            let mut frame = header(dialect, fixed_len(dialect), fixed_len(dialect), dialect.version);
            frame[12..16].copy_from_slice(&u32::try_from(sequence).unwrap().to_be_bytes());
            bytes.extend_from_slice(&frame);
        }
        let mut decoder = Decoder::new(dialect, vec![0; 65_536]).unwrap();
        assert_eq!(feed(&mut decoder, &bytes), bytes.len(), "one read takes all");
        for sequence in 0..count {
            let frame = decoder.next_frame().unwrap().unwrap();
            assert_eq!((frame.length(), frame.body()), (dialect.header_len(), &[][..]));
            assert_eq!(frame.sequence() as usize, sequence, "{}", dialect.name);
        }
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.is_empty());
    }
}

#[test]
fn a_header_length_below_the_layout_s_is_refused_with_its_number() {
    for dialect in PRESETS {
        let minimum = fixed_len(dialect);
        for short in 0..minimum {
            let error = FrameError::HeaderTooShort { header: short, minimum };
            check_error(dialect, &header(dialect, 64, short, dialect.version), error);
            assert_eq!((error.field(), error.value(), error.is_fatal()), ("header", short, true));
        }
    }
}

#[test]
fn a_header_may_be_as_long_as_the_dialect_allows_and_no_longer() {
    for dialect in PRESETS {
        let maximum = dialect.max_header;
        let mut frame = header(dialect, maximum, maximum, dialect.version);
        let extension: Vec<u8> = (0..=255).skip(dialect.header_len()).collect();
        frame.extend_from_slice(&extension);
        let fields = Fields {
            length: 256,
            header: 256,
            version: dialect.version,
            command: 6,
            sequence: 1,
            extension,
            body: Vec::new(),
        };
        check(dialect, &frame, &Outcome { frames: vec![fields], ..Outcome::default() }, dialect.name);
        for long in [257, 0xFFFF] {
            let error = FrameError::HeaderTooLong { header: long, maximum };
            check_error(dialect, &header(dialect, 0xFFFF, long, dialect.version), error);
            assert_eq!((error.field(), error.value(), error.is_fatal()), ("header", long, true));
        }
    }
}

#[test]
fn a_total_length_below_the_header_length_is_refused_with_its_number() {
    for dialect in [&Dialect::LONGLINK, &Dialect::GOIM, &Dialect::BILIBILI] {
        for (length, header_len) in (0..16).map(|length| (length, 16)).chain([(16, 17), (255, 256), (0, 256)]) {
            let error = FrameError::LengthBelowHeader { length, header: header_len };
            check_error(dialect, &header(dialect, length, header_len, 1), error);
            assert_eq!((error.field(), error.value(), error.is_fatal()), ("length", length, true));
        }
    }
}

#[test]
fn a_total_length_of_0_is_refused_and_not_stepped_over() {
    check_error(
        &Dialect::LONGLINK,
        &header(&Dialect::LONGLINK, 0, 16, 1),
        FrameError::LengthBelowHeader { length: 0, header: 16 },
    );
    check_error(&Dialect::LONGLINK, &[0; 16], FrameError::HeaderTooShort { header: 0, minimum: 16 });
    check_error(&Dialect::MARS, &[0; 20], FrameError::HeaderTooShort { header: 0, minimum: 20 });
}

#[test]
fn lengths_that_add_up_to_more_than_32_bits_are_refused_and_not_wrapped() {
    for header_len in [20, 21, 255, 256] {
        // The last sum that fits is only too long by far; the first that does not would wrap to 0, the second to 1.
        let fits = FrameError::TooLong { length: u32::MAX, limit: 1_024 * 1_024, command: 6, sequence: 1 };
        check_error(&Dialect::MARS, &header(&Dialect::MARS, u32::MAX, header_len, 200), fits);
        for wrapped in [0, 1, 4, header_len - 1] {
            let body = wrapped.wrapping_sub(header_len);
            let error = FrameError::LengthOverflow { header: header_len, body };
            check_error(&Dialect::MARS, &header(&Dialect::MARS, wrapped, header_len, 200), error);
            assert_eq!((error.field(), error.value(), error.is_fatal()), ("body", body, true));
        }
    }
}

#[test]
fn versions_that_the_dialect_does_not_speak_are_refused_with_their_number() {
    let unknown: [(&Dialect, &[u32]); 4] = [
        (&Dialect::LONGLINK, &[0, 2, 200, 0xFFFF]),
        (&Dialect::MARS, &[0, 1, 199, 201, u32::MAX]),
        (&Dialect::GOIM, &[0, 2, 0xFFFF]),
        (&Dialect::BILIBILI, &[4, 0xFFFF]),
    ];
    for (dialect, versions) in unknown {
        for &version in versions {
            let (lowest, highest) = (dialect.lowest_version, dialect.highest_version);
            let error = FrameError::UnknownVersion { version, lowest, highest };
            check_error(dialect, &header(dialect, fixed_len(dialect), fixed_len(dialect), version), error);
            assert_eq!((error.field(), error.value(), error.is_fatal()), ("version", version, true));
        }
    }
}

#[test]
fn every_version_that_the_dialect_speaks_is_taken_and_told() {
    for version in 0..=3 {
        let bytes = header(&Dialect::BILIBILI, 16, 16, version);
        let Ok(Decoded::Frame(frame)) = decode(&Dialect::BILIBILI, &bytes) else { panic!("version {version}") };
        assert_eq!(frame.version(), version);
    }
}

#[test]
fn of_several_wrong_fields_header_length_is_named_first_then_total_then_version_then_over_long() {
    let d = &Dialect::LONGLINK;
    check_error(d, &header(d, 3, 15, 9), FrameError::HeaderTooShort { header: 15, minimum: 16 });
    check_error(d, &header(d, 3, 16, 9), FrameError::LengthBelowHeader { length: 3, header: 16 });
    let version = FrameError::UnknownVersion { version: 9, lowest: 1, highest: 1 };
    check_error(d, &header(d, u32::MAX, 16, 9), version);
    let too_long = FrameError::TooLong { length: u32::MAX, limit: 65_792, command: 6, sequence: 1 };
    check_error(d, &header(d, u32::MAX, 16, 1), too_long);
    let d = &Dialect::MARS;
    check_error(d, &header(d, 4, 19, 9), FrameError::HeaderTooShort { header: 19, minimum: 20 });
    let version = FrameError::UnknownVersion { version: 9, lowest: 200, highest: 200 };
    check_error(d, &header(d, 4, 20, 9), version);
    check_error(d, &header(d, 4, 20, 200), FrameError::LengthOverflow { header: 20, body: u32::MAX - 15 });
}

#[test]
fn one_byte_over_the_limit_is_skipped_and_the_frame_behind_it_taken() {
    const SMALL: Dialect = Dialect { max_frame: 64, ..Dialect::LONGLINK };
    const SMALL_MARS: Dialect = Dialect { max_frame: 64, ..Dialect::MARS };
    for dialect in [&SMALL, &SMALL_MARS] {
        let header_len = dialect.header_len();
        let body = vec![0xAB; 64 - header_len];
        let at_limit = [header(dialect, 64, fixed_len(dialect), dialect.version), body.clone()].concat();
        let over = [header(dialect, 65, fixed_len(dialect), dialect.version), body.clone(), vec![0xCD]].concat();
        let taken = || Fields {
            length: 64,
            header: header_len,
            version: dialect.version,
            command: 6,
            sequence: 1,
            extension: Vec::new(),
            body: body.clone(),
        };
        let too_long = FrameError::TooLong { length: 65, limit: 64, command: 6, sequence: 1 };
        assert!(!too_long.is_fatal());
        check(
            dialect,
            &[&at_limit[..], &over, &at_limit].concat(),
            &Outcome { frames: vec![taken(), taken()], errors: vec![too_long], missing: 0 },
            dialect.name,
        );
        check(
            dialect,
            &[&at_limit[..], &over[..40]].concat(),
            &Outcome { frames: vec![taken()], errors: vec![too_long], missing: 25 },
            "ends inside the frame that is skipped",
        );
        // A buffer that is shorter than the dialect's limit is a limit, too.
        let shorter = FrameError::TooLong { length: 64, limit: 63, command: 6, sequence: 1 };
        let expected = Outcome { errors: vec![shorter], ..Outcome::default() };
        assert_eq!(by_decoder(dialect, &at_limit, 7, 63), expected);
    }
}

#[test]
fn sixteen_times_the_limit_is_skipped_and_one_byte_more_is_final() {
    const SMALL: Dialect = Dialect { max_frame: 64, ..Dialect::LONGLINK };
    const SMALL_MARS: Dialect = Dialect { max_frame: 64, ..Dialect::MARS };
    for dialect in [&SMALL, &SMALL_MARS] {
        let announced = |length| header(dialect, length, fixed_len(dialect), dialect.version);
        let too_long = |length| FrameError::TooLong { length, limit: 64, command: 6, sequence: 1 };
        let behind = announced(fixed_len(dialect));
        for (length, frames) in [(1_024, 1), (1_025, 0), (u32::MAX, 0)] {
            let bytes = [announced(length), vec![7; 1_024 - dialect.header_len()], behind.clone()].concat();
            for outcome in [by_decode(dialect, &bytes), by_decoder(dialect, &bytes, 50, 64)] {
                assert_eq!((outcome.frames.len(), outcome.errors), (frames, vec![too_long(length)]), "{length}");
            }
            assert_eq!(too_long(length).is_fatal(), frames == 0);
        }
    }
}

#[test]
fn a_frame_that_announces_more_than_ever_arrives_is_waited_for_and_nothing_else() {
    for dialect in PRESETS {
        let announced = dialect.max_frame as usize;
        let begun = header(dialect, dialect.max_frame, fixed_len(dialect), dialect.version);
        let bytes = [begun, vec![7; 1_000]].concat();
        let mut decoder = Decoder::new(dialect, vec![0; announced]).unwrap();
        for (there, byte) in (1..).zip(&bytes) {
            assert_eq!(feed(&mut decoder, &[*byte]), 1);
            assert_eq!(decoder.next_frame(), Ok(None));
            let known = if there < dialect.header_len() { dialect.header_len() } else { announced };
            assert_eq!(decoder.need(), known - there, "{} after {there}", dialect.name);
            assert_eq!(decode(dialect, &bytes[..there]), Ok(Decoded::Incomplete { need: known - there }));
            assert!(!decoder.is_empty(), "a stream that ends here ended inside a frame");
        }
        assert_eq!((decoder.buffered(), decoder.skipping()), (bytes.len(), 0));
    }
}
