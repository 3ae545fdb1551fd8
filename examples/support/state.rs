//! The file in which a client's state outlives its process.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the device, big-endian |
//! | 1 | of a transfer: 0 there is none, 1 it is on its way, 2 the message that names it is among the client's; and 128 more if there are networks |
//! | 32 | how the transfer was opened, or zeros |
//! | any | what [`Client::save`](longlink::session::Client::save) encoded |
//! | 16 each | of networks, if there are: what was learned of each, 20 at most, as [`NetworkRecord::to_bytes`](longlink::liveness::NetworkRecord::to_bytes) encoded it |
//! | 1 | of networks, if there are: how many |
//!
//! It is replaced in one step: after a crash there is the one before or the new one, so a file is named once. One process at
//! a time may use it. Needs `networks.rs` and `sending.rs` as its sibling modules.

use super::networks::Networks;
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
    /// What was read, without the networks, or is to be written.
    bytes: Vec<u8>,
    networks: Networks,
}

/// What is in front of the client's own state.
const HEAD: usize = 8 + 1 + Open::LEN;
/// Where it says how far the transfer is, and in the highest bit that there are networks behind the client's own state.
const STAGE: usize = 8;
const HAS_NETWORKS: u8 = 128;

impl StateFile {
    /// Reads the file, if it is there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mut networks = Networks::default();
        if bytes.get(STAGE).is_some_and(|stage| stage & HAS_NETWORKS != 0) {
            let (front, known) = Networks::split(&bytes).with_context(|| format!("{} is cut off", path.display()))?;
            (bytes, networks) = (front.to_vec(), known);
        }
        Ok(Self { path: path.to_path_buf(), bytes, networks })
    }

    /// What was learned of networks. It is stored with the rest.
    pub(crate) fn networks(&mut self) -> &mut Networks {
        &mut self.networks
    }

    /// Whose state is in it.
    pub(crate) fn device(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(u64::from_be_bytes(*self.bytes.first_chunk()?))
    }

    /// The transfer that is in it.
    pub(crate) fn record(&self) -> Option<Record> {
        let (stage, open) = self.bytes.get(STAGE..HEAD)?.split_first()?;
        let (open, stage) = (Open::decode(open).ok()?, stage & !HAS_NETWORKS);
        (stage > 0).then_some(Record { open, is_named: stage > 1 })
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
        let has_networks = if self.networks.is_empty() { 0 } else { HAS_NETWORKS };
        self.bytes.clear();
        self.bytes.extend(device.get().to_be_bytes());
        self.bytes.push(stage | has_networks);
        self.bytes.extend(open);
        self.bytes.resize(HEAD.saturating_add(client.state_len()), 0);
        client.save(now, self.bytes.get_mut(HEAD..).unwrap_or_default())?;
        self.bytes.extend(self.networks.to_bytes());
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
