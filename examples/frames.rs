//! Prints the frames of a byte stream, one JSON object a line: for captures, for fixtures, behind `nc` or `socat`.
//!
//! ```text
//! $ printf '0000001000100001000000060000000f' | cargo run -q --example frames -- --hex
//! {"offset":0,"length":16,"header":16,"version":1,"command":6,"sequence":15,"extension":"","body":""}
//! ```
//!
//! The input is read as it comes and never held as a whole, so a stream may be endless. What is wrong with it goes to
//! standard error, one line each, with the offset of the frame's first byte; the exit status sums it up (see `--help`).

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/dialect.rs"]
mod dialect;
#[path = "support/hex.rs"]
mod hex;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, error::ErrorKind};
use dialect::DialectName;
use hex::Hex;
use longlink::wire::{Decoder, Dialect, Frame, FrameError};
use serde::Serialize;
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The most bytes asked of the input at once. Holds the longest frame of every preset, so that only a limit above those
/// is filled in several reads.
const MOST_PER_READ: usize = 1_024 * 1_024;

/// The upper end of `--max-frame`. The buffer is as long as the limit; the system hands it out zeroed and untouched, so
/// memory is taken only as far as frames really reach.
const HIGHEST_MAX_FRAME: i64 = 1_024 * 1_024 * 1_024;

const WRITING: &str = "cannot write to standard output";

/// How many bytes of an unfinished frame are shown.
const SHOWN: usize = 32;

/// Prints the frames of a byte stream, one JSON object a line
#[derive(Parser)]
#[command(
    name = "frames",
    version,
    after_help = "Exit status: 0 if the input consists of whole frames; 1 if a frame is malformed or longer than the \
                  limit, the hex text is wrong or the input cannot be read; 2 if the input ends inside a frame, or if \
                  an option is wrong."
)]
struct Args {
    /// What to read; standard input if absent or "-"
    file: Option<PathBuf>,

    /// The input is text, two hex digits a byte, white space ignored
    #[arg(long)]
    hex: bool,

    /// The protocol that the frames belong to
    #[arg(long, value_enum, default_value = "longlink")]
    dialect: DialectName,

    /// Feed the decoder N bytes at a time [default: as many as fit]
    #[arg(long, value_name = "N")]
    chunk: Option<NonZeroUsize>,

    /// The longest frame taken, header included; a longer one is reported and skipped [default: the dialect's limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=HIGHEST_MAX_FRAME))]
    max_frame: Option<u32>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let dialect = args.dialect();
    match run(&args, dialect) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Args {
    /// The dialect with the limit asked for. Leaked, because a decoder borrows its dialect for good.
    fn dialect(&self) -> &'static Dialect {
        let preset = *self.dialect.dialect();
        let max_frame = self.max_frame.unwrap_or(preset.max_frame);
        if (max_frame as usize) < preset.header_len() {
            let text = format!("--max-frame {max_frame} does not hold the {}-byte header", preset.header_len());
            Self::command().error(ErrorKind::ValueValidation, text).exit();
        }
        Box::leak(Box::new(Dialect { max_frame, ..preset }))
    }

    fn input(&self) -> anyhow::Result<Box<dyn Read>> {
        let text: Box<dyn BufRead> = match self.file.as_deref() {
            Some(path) if path != Path::new("-") => {
                let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                Box::new(BufReader::new(file))
            }
            _ => Box::new(io::stdin().lock()),
        };
        Ok(if self.hex { Box::new(HexReader { text, at: 0, high: None }) } else { Box::new(text) })
    }
}

/// Reads, decodes and prints until the input ends.
fn run(args: &Args, dialect: &'static Dialect) -> anyhow::Result<ExitCode> {
    let mut input = args.input()?;
    let most = args.chunk.map_or(MOST_PER_READ, NonZeroUsize::get);
    let mut buffer = zeroed(dialect.max_frame as usize)?;
    let mut printer = Printer {
        decoder: Decoder::new(dialect, &mut buffer[..])?,
        out: BufWriter::new(io::stdout().lock()),
        received: 0,
        skipped: None,
    };
    while printer.fill(&mut input, most)? {
        printer.print_frames()?;
    }
    let Printer { decoder, received, skipped, .. } = printer;
    let (there, missing, skipping) = (decoder.buffered(), decoder.need(), decoder.skipping());
    if there > 0 {
        let offset = received - there as u64;
        let at_least = if there < dialect.header_len() { "at least " } else { "" };
        let begun = Hex(&decoder.held()[..there.min(SHOWN)]);
        let dots = if there > SHOWN { "..." } else { "" };
        complain(format_args!(
            "offset {offset}: input ends inside a frame: {there} bytes are there ({begun}{dots}), \
             {at_least}{missing} are missing"
        ));
    }
    Ok(match skipped {
        Some(offset) => {
            if skipping > 0 {
                complain(format_args!(
                    "offset {offset}: input ends inside the skipped frame: {skipping} bytes are missing"
                ));
            }
            ExitCode::FAILURE
        }
        None if there > 0 => ExitCode::from(2),
        None => ExitCode::SUCCESS,
    })
}

/// A buffer of zeros; an error where `vec!` alone would abort.
fn zeroed(length: usize) -> anyhow::Result<Vec<u8>> {
    Vec::<u8>::new().try_reserve_exact(length).with_context(|| format!("no memory for frames of {length} bytes"))?;
    Ok(vec![0; length])
}

struct Printer<'b, W> {
    decoder: Decoder<&'b mut [u8]>,
    out: W,
    /// How many bytes the decoder was given so far.
    received: u64,
    /// Where the last frame starts that was too long.
    skipped: Option<u64>,
}

impl<W: Write> Printer<'_, W> {
    /// Reads at most so many bytes into the decoder. `false` at the end of the input.
    fn fill(&mut self, input: &mut dyn Read, most: usize) -> anyhow::Result<bool> {
        let space = self.decoder.space();
        let most = most.min(space.len());
        let n = loop {
            match input.read(&mut space[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.context("cannot read the input")?,
            }
        };
        self.decoder.commit(n);
        self.received += n as u64;
        Ok(n > 0)
    }

    /// Prints the frames that are there, and brings them out before anything is said about the next.
    fn print_frames(&mut self) -> anyhow::Result<()> {
        loop {
            let offset = self.received - self.decoder.buffered() as u64;
            match self.decoder.next_frame() {
                Ok(Some(frame)) => print(&mut self.out, &Line::new(offset, &frame)).context(WRITING)?,
                Ok(None) => break,
                Err(error) => {
                    self.out.flush().context(WRITING)?;
                    let malformed = Malformed { offset, error };
                    if error.is_fatal() {
                        bail!(malformed);
                    }
                    complain(format_args!("{malformed}; skipped"));
                    self.skipped = Some(offset);
                }
            }
        }
        self.out.flush().context(WRITING)
    }
}

fn print(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What is printed of a frame, in this order.
#[derive(Serialize)]
struct Line<'f> {
    offset: u64,
    length: usize,
    header: usize,
    version: u32,
    command: u32,
    sequence: u32,
    extension: Hex<'f>,
    body: Hex<'f>,
}

impl<'f> Line<'f> {
    fn new(offset: u64, frame: &Frame<'f>) -> Self {
        Self {
            offset,
            length: frame.length(),
            header: frame.header().header_len(),
            version: frame.version(),
            command: frame.command(),
            sequence: frame.sequence(),
            extension: Hex(frame.extension()),
            body: Hex(frame.body()),
        }
    }
}

/// A frame that was not taken, and where it starts.
#[derive(Debug)]
struct Malformed {
    offset: u64,
    error: FrameError,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, error } = self;
        write!(f, "offset {offset}: {} = {}: {error}", error.field(), error.value())
    }
}

impl std::error::Error for Malformed {}

/// One line on standard error. Unlike `eprintln!` it does not mind if nobody listens any more.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "frames: {text}");
}

/// `true` if the reader of standard output has seen enough, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The bytes that hex text stands for. What comes before a mistake in the text is given out first.
struct HexReader<T> {
    text: T,
    /// How many bytes of the text were taken.
    at: u64,
    /// The first digit of a byte whose second has not come yet.
    high: Option<u8>,
}

impl<T: BufRead> Read for HexReader<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let text = self.text.fill_buf()?;
            if text.is_empty() {
                return match self.high {
                    Some(_) => Err(invalid(format!("hex text ends after {} characters with half a byte", self.at))),
                    None => Ok(0),
                };
            }
            let (taken, filled) = unhex(text, out, &mut self.high);
            let stopped_at = text.get(taken).copied();
            self.text.consume(taken);
            self.at += taken as u64;
            if filled > 0 || out.is_empty() {
                return Ok(filled);
            }
            if let Some(character) = stopped_at {
                let character = character.escape_ascii();
                return Err(invalid(format!("'{character}' at offset {} of the text is no hex digit", self.at)));
            }
        }
    }
}

/// Turns digits into bytes until `out` is full or something else comes: how much of the text was taken, and how many
/// bytes it gave. Half a byte stays in `high`.
fn unhex(text: &[u8], out: &mut [u8], high: &mut Option<u8>) -> (usize, usize) {
    let mut filled = 0;
    for (taken, &character) in text.iter().enumerate() {
        if filled == out.len() {
            return (taken, filled);
        }
        match nibble(character) {
            Some(digit) => match high.take() {
                None => *high = Some(digit),
                Some(high) => {
                    out[filled] = high << 4 | digit;
                    filled += 1;
                }
            },
            None if character.is_ascii_whitespace() => {}
            None => return (taken, filled),
        }
    }
    (text.len(), filled)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
