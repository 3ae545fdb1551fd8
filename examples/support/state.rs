//! The file in which a client's state outlives its process.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the device, big-endian |
//! | 1 | of a transfer: 0 there is none, 1 it is on its way, 2 the message that names it is among the client's |
//! | 32 | how the transfer was opened, or zeros |
//! | rest | what [`Client::save`](longlink::session::Client::save) encoded |
//!
//! It is replaced in one step: after a crash there is the one before or the new one, so a file is named once. One process at
//! a time may use it. Needs `sending.rs` as its sibling module.

use super::sending::Record;
use anyhow::{Context, Result, anyhow};
use longlink::Instant;
use longlink::delivery::transfer::Open;
use longlink::session::Client;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

pub(crate) struct StateFile {
    path: PathBuf,
    /// What was read, or is to be written.
    bytes: Vec<u8>,
}

/// What is in front of the client's own state.
const HEAD: usize = 8 + 1 + Open::LEN;

impl StateFile {
    /// Reads the file, if it is there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// Whose state is in it.
    pub(crate) fn device(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(u64::from_be_bytes(*self.bytes.first_chunk()?))
    }

    /// The transfer that is in it.
    pub(crate) fn record(&self) -> Option<Record> {
        let (stage, open) = self.bytes.get(8..HEAD)?.split_first()?;
        let open = Open::decode(open).ok()?;
        (*stage > 0).then_some(Record { open, is_named: *stage > 1 })
    }

    /// Has the client go on from there, if there is anything.
    pub(crate) fn restore(&self, now: Instant, client: &mut Client<'_>) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let state = self.bytes.get(HEAD..).unwrap_or_default();
        client.restore(now, state).map_err(|error| anyhow!("cannot go on from {}: {error}", self.path.display()))
    }

    /// Stores the client's state durably, and tells it.
    pub(crate) fn save(
        &mut self,
        now: Instant,
        client: &mut Client<'_>,
        device: NonZeroU64,
        record: Option<Record>,
    ) -> Result<()> {
        let open = record.map_or([0; Open::LEN], |record| record.open.to_bytes());
        let stage = record.map_or(0, |record| if record.is_named { 2 } else { 1 });
        self.bytes.clear();
        self.bytes.extend(device.get().to_be_bytes());
        self.bytes.push(stage);
        self.bytes.extend(open);
        self.bytes.resize(HEAD.saturating_add(client.state_len()), 0);
        client.save(now, self.bytes.get_mut(HEAD..).unwrap_or_default())?;
        replace(&self.path, &self.bytes).with_context(|| format!("cannot write {}", self.path.display()))?;
        client.handle_saved(now);
        Ok(())
    }
}

/// Writes a file durably: all of it, or nothing of it is seen.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where directories are files, a rename is on the disk once its directory is.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
