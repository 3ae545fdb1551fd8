//! The client's side of a transfer: one file in chunks, then the message that names it.
//!
//! Needs `hex.rs`, `lines.rs` and `random.rs` as its sibling modules.

use super::hex::Hex;
use super::lines::addressed;
use super::random::random;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use longlink::Instant;
use longlink::delivery::transfer::{self, Chunk, Key, Open, Place, Range, State, Step, Upload, UploadError};
use longlink::delivery::{RequestPolicy, Token};
use longlink::session::{Client, SendError};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What of a transfer outlives the process, beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) open: Open,
    /// The message that names it is among those of the client.
    pub(crate) is_named: bool,
}

/// A file on its way.
pub(crate) struct Sending {
    file: File,
    name: String,
    /// Whom the message is for that names it.
    to: Option<String>,
    upload: Upload<[Range; 32]>,
    /// The requests under way.
    asked: Vec<(Token, Step)>,
    is_named: bool,
    has_failed: bool,
    bar: ProgressBar,
}

impl Sending {
    /// The length of a chunk: few enough for the frames that a server takes a second, and short enough that a link which
    /// breaks does not cost much.
    const CHUNK: u16 = 16 * 1_024;

    /// Begins with a file, or goes on where the `record` of it ends.
    pub(crate) fn new(path: &Path, to: Option<String>, record: Option<Record>) -> Result<Self> {
        let read = || -> Result<(File, u32, u32)> {
            let mut file = File::open(path)?;
            let (total, crc) = measure(&mut file)?;
            Ok((file, total, crc))
        };
        let (file, total, crc) = read().with_context(|| format!("cannot send {}", path.display()))?;
        let (high, low) = (random().to_be_bytes(), random().to_be_bytes());
        let mut key = [0; 16];
        key.iter_mut().zip(high.into_iter().chain(low)).for_each(|(to, from)| *to = from);
        let new = Record { open: Open::new(Key(key), total, crc).with_chunk(Self::CHUNK)?, is_named: false };
        // The record of another file, or of one that has changed, is of no use.
        let is_same = |record: &Record| (record.open.total(), record.open.crc()) == (total, crc);
        let Record { open, is_named } = record.filter(is_same).unwrap_or(new);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // It is drawn on a terminal only.
        let style =
            ProgressStyle::with_template("{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}")?;
        let bar = ProgressBar::new(total.into()).with_style(style);
        let upload = Upload::new(open, [Range::EMPTY; 32]);
        Ok(Self { file, name, to, upload, asked: Vec::new(), is_named, has_failed: false, bar })
    }

    /// What to keep, unless it is of no more use.
    pub(crate) fn record(&self) -> Option<Record> {
        let is_over = matches!(self.upload.state(), State::Failed(why) if !may_go_on(why));
        (!is_over).then_some(Record { open: *self.upload.open(), is_named: self.is_named })
    }

    /// Makes the requests that are due. An error, told once, ends it.
    pub(crate) fn act(&mut self, now: Instant, client: &mut Client<'_>, header_len: usize) -> Result<()> {
        self.bar.set_position(self.upload.progress().acknowledged.into());
        if self.is_over() || !client.is_online() {
            return Ok(());
        }
        self.advance(now, client, header_len).inspect_err(|_| self.has_failed = true)
    }

    fn advance(&mut self, now: Instant, client: &mut Client<'_>, header_len: usize) -> Result<()> {
        self.upload.handle_limit(u32::try_from(client.longest_frame()).unwrap_or(u32::MAX), header_len);
        self.upload.handle_timeout(now);
        while let Some(step) = self.upload.poll_step() {
            match self.ask(now, client, step)? {
                Ok(token) => self.asked.push((token, step)),
                Err(SendError::TooMany | SendError::Full { .. } | SendError::Closing) => {
                    self.upload.put_back(step);
                    break;
                }
                Err(error) => bail!("cannot send a chunk: {error}"),
            }
        }
        match self.upload.state() {
            State::Complete => self.name(now, client),
            State::Failed(why) => bail!("the file was not sent: {why}"),
            _ => Ok(()),
        }
    }

    fn ask(&mut self, now: Instant, client: &mut Client<'_>, step: Step) -> Result<Result<Token, SendError>> {
        let place = match step {
            Step::Open(open) => return Ok(client.request(now, transfer::OPEN, &open.to_bytes())),
            Step::Chunk(place) => place,
        };
        let bytes = self.read(place).context("cannot read the file")?;
        let chunk = place.with(&bytes).context("a chunk of another length")?;
        let policy = RequestPolicy::DEFAULT;
        Ok(client.request_with(now, transfer::CHUNK, &policy, |room| Chunk::encode_into(&chunk, room)))
    }

    fn read(&mut self, place: Place) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; place.range().length() as usize];
        self.file.seek(SeekFrom::Start(place.range().offset().into()))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// All is there to stay: the message that says so is what arrives once.
    fn name(&mut self, now: Instant, client: &mut Client<'_>) -> Result<()> {
        let open = self.upload.open();
        let text = json!({"file": self.name, "key": Hex(&open.key().0), "length": open.total(), "crc32c": open.crc()});
        let text = text.to_string();
        let message = self.to.as_ref().map_or_else(|| text.clone().into_bytes(), |to| addressed(to, &text));
        match client.send(now, &message) {
            Ok(Token { .. }) => {
                self.is_named = true;
                self.bar.finish();
                Ok(())
            }
            Err(SendError::TooMany | SendError::Full { .. }) => Ok(()),
            Err(error) => bail!("cannot name the file: {error}"),
        }
    }

    /// A request was answered. `false` if it is none of these.
    pub(crate) fn handle_reply(&mut self, now: Instant, token: Token, body: &[u8]) -> bool {
        let Some(step) = self.take(token) else { return false };
        if let Err(error) = self.upload.handle_reply(now, step, body) {
            eprintln!("client: the answer to a transfer makes no sense: {error}");
        }
        true
    }

    /// A request ended without an answer. `false` if it is none of these.
    pub(crate) fn handle_failed(&mut self, token: Token, is_link_lost: bool) -> bool {
        let Some(step) = self.take(token) else { return false };
        if !is_link_lost {
            self.upload.handle_failed(step);
        }
        true
    }

    /// The link is gone.
    pub(crate) fn handle_disconnected(&mut self) {
        self.asked.clear();
        self.upload.handle_disconnected();
    }

    fn take(&mut self, token: Token) -> Option<Step> {
        let at = self.asked.iter().position(|(asked, _)| *asked == token)?;
        Some(self.asked.swap_remove(at).1)
    }

    /// Prints something where the bar is drawn.
    pub(crate) fn beside_bar(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// When there is something to do again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.upload.poll_timeout()
    }

    /// The message that names the file is among those of the client, or there will be none.
    pub(crate) fn is_over(&self) -> bool {
        self.is_named || self.has_failed
    }
}

/// Whether the same transfer may succeed another time.
fn may_go_on(why: UploadError) -> bool {
    matches!(why, UploadError::NoAnswer { .. } | UploadError::NoProgress { .. })
}

/// The length and the checksum of a file.
fn measure(file: &mut File) -> Result<(u32, u32)> {
    let (mut total, mut crc, mut buffer) = (0_u64, 0, vec![0; 64 * 1_024]);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok((u32::try_from(total).context("more than 4 GiB")?, crc));
        }
        total = total.saturating_add(length as u64);
        crc = crc32c::crc32c_append(crc, buffer.get(..length).unwrap_or_default());
    }
}
