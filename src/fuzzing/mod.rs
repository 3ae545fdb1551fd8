//! What must hold for any bytes: the bodies of the fuzz targets.
//!
//! They live here so that a plain test can run them over the seeds, and a debugger over a single input. A rule that is
//! broken panics, which is all that a fuzzer looks for.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "not part of the library: to panic is how a target tells what it found"
)]

mod input;
mod liveness_ops;
mod session;
mod sync;
mod sync_ops;
mod transfer;

pub use liveness_ops::liveness_ops;
pub use session::session_ops;
pub use sync::sync_body;
pub use sync_ops::sync_ops;
pub use transfer::transfer;

use crate::wire::{self, Batch, Decoded, Decoder, Dialect, Frame, FrameError};

const PRESETS: [&Dialect; 4] = [&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI];

/// Target `decode`: the bytes as a frame of every dialect and as a body of frames, and back.
pub fn decode(data: &[u8]) {
    for dialect in PRESETS {
        if let Some(frame) = decode_prefixes(dialect, data) {
            encode_again(dialect, &frame, &data[..frame.length()]);
        }
        walk_batch(dialect, data);
    }
}

/// The first frame of `data`, if it is all there. However little of it has come, what is said must not turn out wrong.
fn decode_prefixes<'d>(dialect: &Dialect, data: &'d [u8]) -> Option<Frame<'d>> {
    let mut whole_at = 0; // so many bytes the frame has at least
    let mut decided = None;
    for end in (0..=data.len().min(64)).chain([data.len()]) {
        let found = wire::decode(dialect, &data[..end]);
        match (decided, found) {
            (Some(before), _) => assert_eq!(found, before, "more bytes change nothing"),
            (None, Ok(Decoded::Incomplete { need })) => {
                assert!(need > 0);
                whole_at = whole_at.max(end + need);
                assert!(whole_at <= dialect.max_frame as usize);
            }
            (None, Ok(Decoded::Frame(frame))) => {
                assert_eq!(frame.length(), whole_at, "what was said to be missing made it whole");
                decided = Some(found);
            }
            (None, Err(error)) => {
                assert!(end <= dialect.header_len(), "{error} is known as soon as the header is there");
                decided = Some(found);
            }
        }
    }
    match decided {
        Some(Ok(Decoded::Frame(frame))) => Some(frame),
        _ => None,
    }
}

/// A frame is its fixed fields, its extension and its body, and nothing else; written again it has the same bytes.
fn encode_again(dialect: &Dialect, frame: &Frame<'_>, bytes: &[u8]) {
    let (fixed, header) = (dialect.header_len(), frame.header().header_len());
    assert_eq!((frame.extension(), frame.body()), (&bytes[fixed..header], &bytes[header..]));
    let (command, sequence) = (frame.command(), frame.sequence());
    let same_version = Dialect { version: frame.version(), ..*dialect };
    let mut out = [0; 4_096];
    let encoded =
        wire::encode_with_extension(&same_version, command, sequence, frame.extension(), frame.body(), &mut out);
    match encoded {
        Ok(length) => assert_eq!(&out[..length], bytes),
        Err(_) => assert!(bytes.len() > out.len(), "what was decoded is within the limits"),
    }
    if header == fixed {
        assert_eq!(wire::encode_header(&same_version, command, sequence, frame.body().len(), &mut out), Ok(fixed));
        assert_eq!(out[..fixed], bytes[..fixed]);
    }
}

/// A batch gives frame behind frame, and ends with the body or with one error.
fn walk_batch(dialect: &Dialect, body: &[u8]) {
    let mut batch = Batch::new(dialect, body);
    let mut rest = body;
    while let Some(item) = batch.next() {
        match (item, wire::decode(dialect, rest)) {
            (Ok(nested), Ok(Decoded::Frame(frame))) => {
                assert!(nested.is_nested());
                assert_eq!((nested.header(), nested.extension()), (frame.header(), frame.extension()));
                assert_eq!(nested.body(), frame.body());
                rest = &rest[frame.length()..];
                assert_eq!(batch.rest(), rest);
            }
            (Err(FrameError::Truncated { missing }), Ok(Decoded::Incomplete { need })) => {
                assert_eq!(missing as usize, need);
                rest = &[];
            }
            (Err(error), Err(expected)) => {
                assert_eq!(error, expected);
                rest = &[];
            }
            (item, decoded) => panic!("{item:?} of {decoded:?}"),
        }
    }
    assert!(rest.is_empty() && batch.rest().is_empty());
}

/// Target `decoder_chunks`: a stream in pieces gives what [`wire::decode`] finds in it as a whole.
///
/// The input starts with how it is fed: dialect (modulo 4), length of the buffer less 20, number of rounds, and a byte
/// for each `Round`; they are gone through again and again. The stream is the rest.
pub fn decoder_chunks(data: &[u8]) {
    let Some((&[dialect, room, rounds], data)) = data.split_first_chunk::<3>() else { return };
    let Some((rounds, stream)) = data.split_at_checked(usize::from(rounds)) else { return };
    let (dialect, room) = (PRESETS[usize::from(dialect % 4)], 20 + usize::from(room));
    let mut buffer = [0xEE; 20 + 255];
    let mut stream = Stream::new(dialect, &mut buffer[..room], stream);
    let all_that_fits = [0];
    let rounds = if rounds.is_empty() { &all_that_fits } else { rounds };
    for round in rounds.iter().map(|byte| Round::new(*byte)).cycle() {
        if round.pooled {
            stream.reclaim_and_lend();
        }
        let fed = stream.feed(round.most);
        let mut taken = false;
        while stream.take(round.in_place) {
            taken = true;
            if round.one_frame || stream.broken {
                break;
            }
        }
        assert!(fed || taken || stream.fed == stream.bytes.len(), "space is empty and nothing waits");
        if stream.broken || !fed && !taken {
            break;
        }
    }
    stream.reset();
}

/// What is done in one round, by the bits of a byte.
struct Round {
    /// 0 to 4: so many bytes are read at most; 0 for as many as fit.
    most: usize,
    /// 5: one frame is taken at most. Otherwise all that are there.
    one_frame: bool,
    /// 6: by `next_frame_mut`.
    in_place: bool,
    /// 7: the buffer is taken back and lent again first, if it is empty.
    pooled: bool,
}

impl Round {
    fn new(byte: u8) -> Self {
        let most = match usize::from(byte & 31) {
            0 => usize::MAX,
            most => most,
        };
        Self { most, one_frame: byte & 32 != 0, in_place: byte & 64 != 0, pooled: byte & 128 != 0 }
    }
}

/// A decoder and all the bytes that it is fed from.
struct Stream<'d> {
    decoder: Decoder<&'d mut [u8]>,
    /// The decoder's dialect with the decoder's limit.
    dialect: Dialect,
    bytes: &'d [u8],
    /// So many were fed.
    fed: usize,
    /// The next frame starts here; ahead of `fed` while a frame is skipped.
    at: usize,
    /// There was an error that is final.
    broken: bool,
}

impl<'d> Stream<'d> {
    fn new(dialect: &'static Dialect, buffer: &'d mut [u8], bytes: &'d [u8]) -> Self {
        let decoder = Decoder::new(dialect, buffer).unwrap();
        let dialect = Dialect { max_frame: decoder.limit(), ..*dialect };
        Self { decoder, dialect, bytes, fed: 0, at: 0, broken: false }
    }

    /// Feeds the decoder. `false` if there was no room or the stream is over.
    fn feed(&mut self, most: usize) -> bool {
        let rest = &self.bytes[self.fed..];
        let space = self.decoder.space();
        let n = rest.len().min(space.len()).min(most);
        space[..n].copy_from_slice(&rest[..n]);
        self.decoder.commit(n);
        self.fed += n;
        n > 0
    }

    /// Takes the next frame or error. `false` if there is none yet.
    fn take(&mut self, in_place: bool) -> bool {
        let held = self.bytes.get(self.at..self.fed);
        let expected = held.map(|held| wire::decode(&self.dialect, held));
        match expected {
            Some(Ok(Decoded::Frame(frame))) => {
                assert_eq!(self.decoder.need(), 0);
                if in_place {
                    let mut found = self.decoder.next_frame_mut().unwrap().unwrap();
                    assert_eq!((found.header(), found.extension()), (frame.header(), frame.extension()));
                    assert_eq!(found.body_mut(), frame.body());
                    found.body_mut().fill(0);
                    let half = frame.body().len() / 2;
                    assert_eq!(found.freeze(half).body().len(), half);
                } else {
                    assert_eq!(self.decoder.next_frame(), Ok(Some(frame)));
                }
                self.at += frame.length();
                true
            }
            Some(Err(error)) => {
                assert_eq!(self.decoder.need(), 0);
                assert_eq!(self.decoder.next_frame(), Err(error));
                match error {
                    FrameError::TooLong { length, limit, .. } if !error.is_fatal() => {
                        assert!(length > limit);
                        self.at += length as usize;
                    }
                    _ => {
                        self.broken = true;
                        assert_eq!(self.decoder.next_frame_mut(), Err(error), "it is repeated");
                    }
                }
                true
            }
            Some(Ok(Decoded::Incomplete { need })) => {
                assert_eq!(self.decoder.need(), need);
                self.check_between();
                false
            }
            None => {
                assert_eq!(self.decoder.skipping() as usize, self.at - self.fed);
                self.check_between();
                false
            }
        }
    }

    /// Nothing can be taken, so something can be read.
    fn check_between(&mut self) {
        assert_eq!(self.decoder.next_frame(), Ok(None));
        assert_eq!(self.decoder.buffered(), self.fed.saturating_sub(self.at));
        assert_eq!(self.decoder.is_empty(), self.fed == self.at);
        assert!(!self.decoder.space().is_empty());
    }

    fn reclaim_and_lend(&mut self) {
        let empty = self.decoder.buffered() == 0;
        let buffer = self.decoder.reclaim();
        assert_eq!(buffer.is_some(), empty);
        if let Some(buffer) = buffer {
            assert!(self.decoder.space().is_empty());
            assert!(self.decoder.lend(buffer).is_ok());
        }
    }

    /// Whatever came before, a new connection starts afresh.
    fn reset(mut self) {
        self.decoder.reset();
        assert!(self.decoder.is_empty());
        let mut heartbeat = [0; 20];
        let length = wire::encode(&self.dialect, self.dialect.heartbeat, 1, &[], &mut heartbeat).unwrap();
        self.decoder.space()[..length].copy_from_slice(&heartbeat[..length]);
        self.decoder.commit(length);
        let frame = self.decoder.next_frame().unwrap().unwrap();
        assert_eq!((frame.command(), frame.length()), (self.dialect.heartbeat, length));
    }
}
