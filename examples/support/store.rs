//! Where the server keeps what it has acknowledged: plain files that survive `kill -9`, a power cut and a torn write.
//!
//! | in the directory | what it holds |
//! |---|---|
//! | `messages.jsonl` | one line per message: `{"device":7,"epoch":1,"sequence":3,"text":"hi"}` |
//! | `devices.jsonl` | one line per greeting: `{"device":7,"epoch":1,"link":2}`; the last one of a device counts |
//! | `files/<device>/` | finished and unfinished transfers of a device |
//!
//! A body that is not UTF-8 is `"text":null,"body":"<hex>"`; an account that has a name comes first, as
//! `"account":"ann"`.
//!
//! The line of a message carries its identity, so the message and the mark that it was accepted become durable in one
//! write and one sync: no second file could tell another story. What was accepted is read back from the lines when the
//! store opens. A last line that is torn was never acknowledged, and is cut off.
//!
//! Once a write or a sync has failed, nobody knows what of the file is on the disk. Nothing more is taken into it then,
//! until the store is opened again; what was stored before is still known. One process at a time may have a directory
//! open.
//!
//! Needs `hex.rs` as its sibling module.

use super::hex::Hex;
use anyhow::{Context, Result, bail};
use longlink::delivery::{Epoch, Greeted, Ledger, MessageId, Stale, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// All devices and their messages. Clones are the same store; every thread may have one.
#[derive(Clone)]
pub(crate) struct Store(Arc<Shared>);

struct Shared {
    disk: Disk,
    devices: Mutex<BTreeMap<Name, Arc<Mutex<Ledger>>>>,
}

struct Disk {
    files: PathBuf,
    messages: Log,
    leases: Log,
}

/// An account and the number of one of its devices.
pub(crate) type Name = (String, u64);

impl Store {
    /// Opens the store in `dir`, or makes one there.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        Self::read(dir).with_context(|| format!("cannot open the store in {}", dir.display()))
    }

    fn read(dir: &Path) -> Result<Self> {
        let files = dir.join("files");
        fs::create_dir_all(&files)?;
        let mut devices = read_leases(&dir.join("devices.jsonl"))?;
        let messages = read_messages(&dir.join("messages.jsonl"), &mut devices)?;
        let leases = rewrite_leases(dir, &devices)?;
        sync_dir(dir)?;
        let devices = devices.into_iter().map(|(name, ledger)| (name, Arc::new(Mutex::new(ledger)))).collect();
        Ok(Self(Arc::new(Shared { disk: Disk { files, messages, leases }, devices: Mutex::new(devices) })))
    }

    /// The record of one device of an account, to greet it and to store its messages. An account may be without a name.
    pub(crate) fn device(&self, account: &str, device: u64) -> Device {
        let name = (account.to_string(), device);
        let ledger = Arc::clone(lock(&self.0.devices).entry(name.clone()).or_default());
        Device { store: Arc::clone(&self.0), name, ledger }
    }
}

/// One device's record. Whoever works on it is alone with it; other devices go on meanwhile.
#[derive(Clone)]
pub(crate) struct Device {
    store: Arc<Shared>,
    name: Name,
    ledger: Arc<Mutex<Ledger>>,
}

/// The directory of a device among those of all.
pub(crate) fn directory((account, device): &Name) -> String {
    if account.is_empty() { device.to_string() } else { format!("{device}-{}", Hex(account.as_bytes())) }
}

/// What became of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It is durable: acknowledge it.
    Stored,
    /// It is durable since earlier: acknowledge it.
    Duplicate,
    /// It may have been stored, too long ago to know.
    TooOld,
    /// Another link, or another epoch, has the lease now: there is nobody to answer.
    Stale,
    /// A later message of the epoch was stored before; this one was not.
    OutOfOrder,
    /// It is for nobody who can be; it was not stored.
    #[allow(dead_code)]
    Refused,
}

impl Device {
    /// Whose it is.
    #[allow(dead_code)]
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The directory for the transfers of this device.
    #[allow(dead_code)]
    pub(crate) fn files(&self) -> PathBuf {
        self.store.disk.files.join(directory(&self.name))
    }

    /// Takes the lease for a link, durably: no older link of the device stores anything from here on. With `None` for
    /// the epoch, the device is given one. The inner error is the device's, the outer one the disk's.
    pub(crate) fn greet(&self, epoch: Option<Epoch>, link: u32) -> Result<Result<Greeted, Stale>> {
        let mut ledger = lock(&self.ledger);
        let mut next = *ledger;
        let greeted = match next.greet(epoch, link) {
            Ok(greeted) => greeted,
            Err(stale) => return Ok(Err(stale)),
        };
        self.store.disk.leases.append(&lease_line(&self.name, greeted.epoch, greeted.link)?)?;
        *ledger = next;
        Ok(Ok(greeted))
    }

    /// Stores those of the messages that are new, in one write and one sync, and says what became of each. They are in
    /// the order in which they came. After an error none of them is accepted.
    pub(crate) fn accept(&self, messages: &[(MessageId, &[u8])]) -> Result<Vec<Outcome>> {
        let mut ledger = lock(&self.ledger);
        let mut next = *ledger;
        let mut lines = Vec::new();
        let mut outcomes = Vec::with_capacity(messages.len());
        for (id, body) in messages {
            let outcome = judge(&mut next, id);
            if outcome == Outcome::Stored {
                message_line(&mut lines, &self.name, id, body)?;
            }
            outcomes.push(outcome);
        }
        if !lines.is_empty() {
            self.store.disk.messages.append(&lines)?;
        }
        *ledger = next;
        Ok(outcomes)
    }

    /// The lease and the accepted sequences as they are now, for the answer to a greeting.
    pub(crate) fn ledger(&self) -> Ledger {
        *lock(&self.ledger)
    }
}

/// What becomes of a message if nothing fails. Within an epoch the sequences of messages only grow.
pub(crate) fn judge(ledger: &mut Ledger, id: &MessageId) -> Outcome {
    if ledger.check(id) == Some(Verdict::Fresh) && id.sequence < ledger.window().last() {
        return Outcome::OutOfOrder;
    }
    match ledger.accept(id) {
        None => Outcome::Stale,
        Some(Verdict::Fresh) => Outcome::Stored,
        Some(Verdict::Duplicate) => Outcome::Duplicate,
        Some(Verdict::TooOld) => Outcome::TooOld,
    }
}

/// A file of lines that only grows. Threads that append while a sync is under way share the next one.
struct Log {
    file: File,
    name: String,
    state: Mutex<LogState>,
    /// A sync has ended.
    ended: Condvar,
}

struct LogState {
    /// What the next sync takes with it.
    gathered: Vec<u8>,
    /// The number of that sync.
    next: u64,
    /// The number of the last one that succeeded.
    done: u64,
    running: bool,
    /// The length of the file that is known to be on the disk.
    length: u64,
    broken: Option<String>,
}

impl Log {
    /// A file whose `length` bytes are on the disk already.
    fn new(file: File, path: &Path, length: u64) -> Self {
        let state = LogState { gathered: Vec::new(), next: 1, done: 0, running: false, length, broken: None };
        Self { file, name: path.display().to_string(), state: Mutex::new(state), ended: Condvar::new() }
    }

    /// Appends whole lines, and returns when they are on the disk.
    fn append(&self, lines: &[u8]) -> Result<()> {
        let mut state = lock(&self.state);
        if state.broken.is_none() {
            state.gathered.extend_from_slice(lines);
        }
        let mine = state.next;
        loop {
            if state.done >= mine {
                return Ok(());
            }
            if let Some(why) = &state.broken {
                bail!("{} takes nothing until it is opened again: {why}", self.name);
            }
            if !state.running {
                state = self.sync(state);
            } else {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Writes and syncs what was gathered, for all who wait for it.
    fn sync<'s>(&'s self, mut state: MutexGuard<'s, LogState>) -> MutexGuard<'s, LogState> {
        let lines = std::mem::take(&mut state.gathered);
        let length = state.length;
        state.next = state.next.saturating_add(1);
        state.running = true;
        drop(state);
        let written = (&self.file).write_all(&lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // What may not be on the disk must not be read back as accepted when the store is opened again.
            let _ = self.file.set_len(length);
        }
        let mut state = lock(&self.state);
        state.running = false;
        match written {
            Ok(()) => {
                state.done = state.done.saturating_add(1);
                state.length = length.saturating_add(lines.len() as u64);
            }
            Err(error) => state.broken = Some(error.to_string()),
        }
        self.ended.notify_all();
        state
    }
}

/// The line of a message, to be written.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    device: u64,
    epoch: u32,
    sequence: u32,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Hex<'a>>,
}

/// The same line, as far as it is read.
#[derive(Deserialize)]
struct Accepted {
    #[serde(default)]
    account: String,
    device: u64,
    epoch: u32,
    sequence: u32,
}

/// The line of a greeting.
#[derive(Serialize, Deserialize)]
struct Lease {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    device: u64,
    epoch: u32,
    link: u32,
}

fn message_line(out: &mut Vec<u8>, (account, device): &Name, id: &MessageId, body: &[u8]) -> Result<()> {
    let text = str::from_utf8(body).ok();
    let hex = text.is_none().then_some(Hex(body));
    let (epoch, sequence) = (id.epoch.get(), id.sequence);
    serde_json::to_writer(&mut *out, &Message { account, device: *device, epoch, sequence, text, body: hex })?;
    out.push(b'\n');
    Ok(())
}

fn lease_line((account, device): &Name, epoch: Epoch, link: u32) -> Result<Vec<u8>> {
    let lease = Lease { account: account.clone(), device: *device, epoch: epoch.get(), link };
    let mut line = serde_json::to_vec(&lease)?;
    line.push(b'\n');
    Ok(line)
}

/// Each device with the lease that it was last given.
fn read_leases(path: &Path) -> Result<BTreeMap<Name, Ledger>> {
    let mut devices = BTreeMap::new();
    if path.exists() {
        read_lines(&File::open(path)?, path, |lease: Lease| {
            let mut ledger = Ledger::new();
            ledger.greet(Some(Epoch::new(lease.epoch)?), lease.link).ok()?;
            devices.insert((lease.account, lease.device), ledger);
            Some(())
        })?;
    }
    Ok(devices)
}

/// Puts only the last lease of each device into the file, and opens it for more.
fn rewrite_leases(dir: &Path, devices: &BTreeMap<Name, Ledger>) -> Result<Log> {
    let (path, new) = (dir.join("devices.jsonl"), dir.join("devices.jsonl.new"));
    let mut file = BufWriter::new(File::create(&new)?);
    for (name, ledger) in devices {
        if let Some(epoch) = ledger.epoch() {
            file.write_all(&lease_line(name, epoch, ledger.link())?)?;
        }
    }
    file.into_inner()?.sync_all()?;
    fs::rename(&new, &path)?;
    let file = OpenOptions::new().append(true).open(&path)?;
    let length = file.metadata()?.len();
    Ok(Log::new(file, &path, length))
}

/// Marks what each device has sent in its epoch, and opens the file for more.
fn read_messages(path: &Path, devices: &mut BTreeMap<Name, Ledger>) -> Result<Log> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = read_lines(&file, path, |line: Accepted| {
        let epoch = Epoch::new(line.epoch)?;
        let ledger = devices.entry((line.account, line.device)).or_default();
        // A newer epoch than the lease's: the file of the leases was lost.
        if ledger.epoch() < Some(epoch) {
            ledger.greet(Some(epoch), 1).ok()?;
        }
        // Nothing happens to the message of an epoch that is over.
        let _ = ledger.accept(&MessageId { epoch, link: ledger.link(), sequence: line.sequence });
        Some(())
    })?;
    let torn = file.metadata()?.len().saturating_sub(length);
    if torn > 0 {
        eprintln!("store: {}: a torn line of {torn} bytes was cut off", path.display());
        file.set_len(length)?;
    }
    if length > 0 {
        // Lines that another process wrote and did not live to sync are about to count as accepted.
        file.sync_all()?;
    }
    Ok(Log::new(file, path, length))
}

/// Reads a file of JSON lines and says how long its good part is: all of it, or all but a last line that is torn.
/// `take` refuses a line with `None`.
fn read_lines<T: for<'l> Deserialize<'l>>(
    file: &File,
    path: &Path,
    mut take: impl FnMut(T) -> Option<()>,
) -> Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut good, mut number, mut line) = (0_u64, 0_u64, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        number = number.saturating_add(1);
        let parsed = if line.ends_with(b"\n") { serde_json::from_slice(&line).ok() } else { None };
        if parsed.and_then(&mut take).is_some() {
            good = good.saturating_add(length);
        } else if reader.fill_buf()?.is_empty() {
            return Ok(good);
        } else {
            bail!("{}, line {number}: not as the store writes it", path.display());
        }
    }
}

/// Makes what was created and renamed in a directory durable, where directories are files.
fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// A thread that panicked has not left anything half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
