//! Where the server puts the bytes of transfers, so that a crash costs only what came after the last save.
//!
//! | in the directory | what it holds |
//! |---|---|
//! | `<key>.part` | the bytes of an unfinished transfer, with holes |
//! | `<key>.state` | how the transfer was opened, 32 bytes, then its state as last saved: which ranges are there |
//! | `<key>` | a finished one; its `.state` stays and tells what it was |
//!
//! A state is replaced in one step, after the bytes that it speaks of are on the disk. Bytes that no state speaks of
//! count as missing and are asked for again. This module knows bytes only: what is in a state is the caller's business,
//! and so is that one transfer is open once at a time.
//!
//! Needs `hex.rs` as its sibling module.
// A program takes what it needs of this.
#![allow(dead_code)]

use super::hex::Hex;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What names a transfer.
pub(crate) type Key = [u8; 16];

/// How a transfer was opened: the body of the request.
pub(crate) type Opening = [u8; 32];

/// A directory of transfers.
#[derive(Clone, Debug)]
pub(crate) struct Files(PathBuf);

/// What there is under a key.
#[derive(Debug)]
pub(crate) enum Transfer {
    Unfinished(Upload),
    Finished(Finished),
}

/// The bytes that [`Files::sizes`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sizes {
    /// How many transfers are unfinished.
    pub(crate) uploads: u64,
    /// How long their files are in all.
    pub(crate) unfinished: u64,
    /// How long the files of the finished ones are in all.
    pub(crate) finished: u64,
}

impl Files {
    /// The transfers in `dir`, which is made if it is not there.
    pub(crate) fn new(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// Opens the transfer under a key, or begins it. One that is there already keeps the opening that it has: the
    /// caller compares.
    pub(crate) fn open(&self, key: &Key, opening: &Opening) -> Result<Transfer> {
        let path = self.0.join(Hex(key).to_string());
        let part = path.with_extension("part");
        let saved = load(&path)?;
        match saved {
            Some((opening, _)) if path.exists() => return Ok(Transfer::Finished(Finished { path, opening })),
            _ => {}
        }
        // Bytes without a state say nothing, and a state without bytes is not to vouch for those that come now.
        let resumed = saved.filter(|_| part.exists());
        if resumed.is_none() && path.with_extension("state").exists() {
            remove(&path)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(resumed.is_none()).open(&part)?;
        let (opening, state) = resumed.unwrap_or_else(|| (*opening, Vec::new()));
        Ok(Transfer::Unfinished(Upload { path, file, opening, state, failed: false }))
    }

    /// Whether there is a transfer under this key.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.0.join(Hex(key).to_string()).with_extension("state").exists()
    }

    /// Forgets the transfer under this key, if there is one.
    pub(crate) fn remove(&self, key: &Key) -> Result<()> {
        remove(&self.0.join(Hex(key).to_string()))
    }

    /// How those were opened that are unfinished. What was not written to for a `lifetime` is removed.
    pub(crate) fn unfinished(&self, lifetime: Duration) -> Result<Vec<Opening>> {
        let mut openings = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let (path, changed) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?.modified()?)))?;
            if path.extension().is_none_or(|extension| extension != "part") {
                continue;
            }
            let path = path.with_extension("");
            if changed.elapsed().is_ok_and(|age| age > lifetime) {
                remove(&path)?;
            } else if let Some((opening, _)) = load(&path)? {
                openings.push(opening);
            }
        }
        Ok(openings)
    }

    /// What is in the directory, to hold against a quota.
    pub(crate) fn sizes(&self) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let length = entry.metadata()?.len();
            match entry.path().extension() {
                None => sizes.finished = sizes.finished.saturating_add(length),
                Some(extension) if extension == "part" => {
                    sizes.uploads = sizes.uploads.saturating_add(1);
                    sizes.unfinished = sizes.unfinished.saturating_add(length);
                }
                Some(_) => {}
            }
        }
        Ok(sizes)
    }
}

/// A transfer of which bytes are missing.
///
/// After an error of [`save`](Self::save) nobody knows which bytes are on the disk: every further call fails, and the
/// transfer goes on from its last good state when it is opened again.
#[derive(Debug)]
pub(crate) struct Upload {
    path: PathBuf,
    file: File,
    opening: Opening,
    state: Vec<u8>,
    failed: bool,
}

impl Upload {
    /// How it was opened first.
    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The state as last saved; empty if it never was.
    pub(crate) fn state(&self) -> &[u8] {
        &self.state
    }

    /// Puts bytes where they belong. They are safe when the state that speaks of them is saved.
    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    /// Reads bytes back, to compute a checksum over all.
    pub(crate) fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(bytes)
    }

    /// Makes all that was written durable, then the state that says so.
    pub(crate) fn save(&mut self, state: &[u8]) -> Result<()> {
        if self.failed {
            return Err(Error::new(ErrorKind::BrokenPipe, "an earlier save failed: open the transfer again"));
        }
        self.failed = true;
        self.file.sync_data()?;
        let new = self.path.with_extension("state.new");
        let mut file = File::create(&new)?;
        file.write_all(&self.opening)?;
        file.write_all(state)?;
        file.sync_all()?;
        fs::rename(&new, self.path.with_extension("state"))?;
        sync_dir_of(&self.path)?;
        self.failed = false;
        self.state = state.to_vec();
        Ok(())
    }

    /// Saves the last state and gives the file its final name, durably. After an error it is unfinished, or finished,
    /// as it turns out when it is opened again.
    pub(crate) fn finish(mut self, state: &[u8]) -> Result<Finished> {
        self.save(state)?;
        fs::rename(self.path.with_extension("part"), &self.path)?;
        sync_dir_of(&self.path)?;
        Ok(Finished { path: self.path, opening: self.opening })
    }

    /// Forgets the transfer and its bytes.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.path)
    }
}

/// A transfer that is complete and durable.
#[derive(Debug)]
pub(crate) struct Finished {
    path: PathBuf,
    opening: Opening,
}

impl Finished {
    /// How it was opened.
    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets the transfer and its bytes.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.path)
    }
}

/// The opening and the state that were saved for the transfer at `path`.
fn load(path: &Path) -> Result<Option<(Opening, Vec<u8>)>> {
    match fs::read(path.with_extension("state")) {
        Ok(saved) => Ok(saved.split_first_chunk().map(|(opening, state)| (*opening, state.to_vec()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The state goes last: while it is there, whatever else is left will be found.
fn remove(path: &Path) -> Result<()> {
    for path in [path.to_path_buf(), path.with_extension("part"), path.with_extension("state")] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_dir_of(path)
}

/// Makes renames beside `path` durable, where directories are files.
fn sync_dir_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) if cfg!(unix) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}
