//! The server's side of transfers: chunks go into files, and what is there is known again after a crash.
//!
//! Transfers belong to a device, not to a link: when it comes back over another one, what it was told to be missing is what
//! is missing. Needs `files.rs` as its sibling module.

use super::files::{Files, Transfer, Upload};
use longlink::delivery::transfer::{
    Answer, Arrival, Assembly, BodyError, Chunk, ChunkRefusal, Handle, Key, Op, Open, Quota, Range, Status, limits,
};
use std::collections::BTreeMap;
use std::io::Result;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The transfers of all devices.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<BTreeMap<PathBuf, Arc<Desk>>>);

impl Transfers {
    /// Those of the device that has this directory.
    pub(crate) fn of(&self, dir: PathBuf) -> Result<Arc<Desk>> {
        let mut desks = lock(&self.0);
        if let Some(desk) = desks.get(&dir) {
            return Ok(Arc::clone(desk));
        }
        let open = Opened { files: Files::new(dir.clone())?, held: BTreeMap::new(), next: Handle::FIRST };
        let desk = Arc::new(Desk(Mutex::new(open)));
        desks.insert(dir, Arc::clone(&desk));
        Ok(desk)
    }
}

/// The transfers of one device. Its links take turns.
pub(crate) struct Desk(Mutex<Opened>);

struct Opened {
    files: Files,
    held: BTreeMap<Handle, Held>,
    next: Handle,
}

/// A transfer that is under way.
struct Held {
    upload: Upload,
    assembly: Assembly<Vec<Range>>,
    /// So many bytes came since the state was saved.
    unsaved: u32,
}

impl Desk {
    /// The answer to a request to open a transfer.
    pub(crate) fn open(&self, body: &[u8]) -> std::result::Result<Vec<u8>, BodyError> {
        let open = Open::decode(body)?;
        Ok(lock(&self.0).open(&open).unwrap_or_else(|error| {
            eprintln!("transfer {:02x?}: {error}", open.key().0);
            say(Status::Busy)
        }))
    }

    /// The answer to a chunk.
    pub(crate) fn chunk(&self, body: &[u8]) -> Vec<u8> {
        match lock(&self.0).take(body) {
            Ok(()) => Vec::new(),
            Err(refusal) => refusal.to_bytes().to_vec(),
        }
    }

    /// The device is away: what is there is saved, and known again when it comes back.
    pub(crate) fn rest(&self) {
        for (_, mut held) in std::mem::take(&mut lock(&self.0).held) {
            if let Err(error) = held.save() {
                eprintln!("transfer {:02x?}: {error}", held.assembly.open().key().0);
            }
        }
    }
}

/// An answer without more.
fn say(status: Status) -> Vec<u8> {
    Answer::new(status).to_bytes().to_vec()
}

impl Opened {
    fn open(&mut self, open: &Open) -> Result<Vec<u8>> {
        if open.op() == Op::Abort {
            self.held.retain(|_, held| held.assembly.open().key() != open.key());
            self.files.remove(&open.key().0)?;
            return Ok(say(Status::UnknownKey));
        }
        let held = self.held.iter().find(|(_, held)| held.assembly.open().key() == open.key());
        match held.map(|(handle, _)| *handle) {
            Some(handle) => self.answer(handle, open),
            None => self.find(open),
        }
    }

    /// Goes on with what is in the files, or begins there.
    fn find(&mut self, open: &Open) -> Result<Vec<u8>> {
        let Key(key) = open.key();
        if !self.files.has(&key) {
            if open.op() == Op::Status {
                return Ok(say(Status::UnknownKey));
            }
            let others = self.files.unfinished(limits::LIFETIME)?;
            let others = others.iter().filter_map(|opening| Open::decode(opening).ok());
            if let Some(refused) = Quota::DEFAULT.refuses(open, others) {
                return Ok(say(refused));
            }
        }
        match self.files.open(&key, &open.with_op(Op::Open).to_bytes())? {
            Transfer::Finished(finished) => {
                let is_same = *finished.opening() == open.with_op(Op::Open).to_bytes();
                Ok(if is_same { Answer::complete(self.next).to_bytes().to_vec() } else { say(Status::Contradicts) })
            }
            Transfer::Unfinished(upload) => {
                let handle = self.next;
                self.next = self.next.next();
                self.held.insert(handle, Held::new(upload, open)?);
                self.answer(handle, open)
            }
        }
    }

    fn answer(&mut self, handle: Handle, open: &Open) -> Result<Vec<u8>> {
        let Some(held) = self.held.get_mut(&handle) else { return Ok(say(Status::Busy)) };
        if held.assembly.contradicts(open) {
            return Ok(say(Status::Contradicts));
        }
        if held.assembly.is_whole() {
            let crc = held.crc()?;
            match held.assembly.conclude(crc) {
                Status::WrongCrc => {
                    held.save()?;
                    return Ok(say(Status::WrongCrc));
                }
                _ => return self.finish(handle),
            }
        }
        let mut out = [0; 272];
        let length = held.assembly.answer(handle, &mut out).unwrap_or_default();
        Ok(out.get(..length).unwrap_or_default().to_vec())
    }

    /// All is there, and the checksum is right: "complete" is said once it is on the disk.
    fn finish(&mut self, handle: Handle) -> Result<Vec<u8>> {
        if let Some(held) = self.held.remove(&handle) {
            let state = held.snapshot();
            let finished = held.upload.finish(&state)?;
            eprintln!("transfer complete: {}", finished.path().display());
        }
        Ok(Answer::complete(handle).to_bytes().to_vec())
    }

    fn take(&mut self, body: &[u8]) -> std::result::Result<(), ChunkRefusal> {
        let chunk = Chunk::decode(body)?;
        let held = self.held.get_mut(&chunk.handle()).ok_or(ChunkRefusal::UnknownHandle)?;
        if held.assembly.check(&chunk)? == Arrival::Again {
            return Ok(());
        }
        if let Err(error) = held.store(&chunk) {
            eprintln!("transfer {:02x?}: {error}", held.assembly.open().key().0);
            // The device opens it again, and it goes on from what is certain.
            self.held.remove(&chunk.handle());
            return Err(ChunkRefusal::UnknownHandle);
        }
        Ok(())
    }
}

impl Held {
    /// So many runs of chunks may be there.
    const PLACES: usize = 64;
    /// After so many bytes what is there is made certain: a crash costs no more than that.
    const SAVE_EVERY: u32 = 1 << 20;

    fn new(upload: Upload, open: &Open) -> Result<Self> {
        let table = || vec![Range::EMPTY; Self::PLACES];
        let opened = Open::decode(upload.opening()).unwrap_or(*open);
        let restored = Assembly::restore(upload.state(), table());
        let assembly = restored.unwrap_or_else(|_| Assembly::new(&opened, table()));
        let mut held = Self { upload, assembly, unsaved: 0 };
        // From now on it counts against the quota, also after a crash.
        held.save()?;
        Ok(held)
    }

    fn store(&mut self, chunk: &Chunk<'_>) -> Result<()> {
        self.upload.write_at(chunk.range().offset().into(), chunk.bytes())?;
        // It was checked, so this notes it.
        let _ = self.assembly.record(chunk);
        self.unsaved = self.unsaved.saturating_add(chunk.range().length());
        if self.unsaved >= Self::SAVE_EVERY { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> Result<()> {
        self.unsaved = 0;
        self.upload.save(&self.snapshot())
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut state = vec![0; self.assembly.snapshot_len()];
        let length = self.assembly.snapshot(&mut state).unwrap_or_default();
        state.truncate(length);
        state
    }

    /// The checksum over what is in the file.
    fn crc(&mut self) -> Result<u32> {
        let (mut crc, mut at) = (0, 0);
        let total = u64::from(self.assembly.open().total());
        let mut buffer = vec![0; 64 * 1_024];
        while at < total {
            let rest = usize::try_from(total.saturating_sub(at)).unwrap_or(usize::MAX);
            let length = rest.min(buffer.len());
            let piece = buffer.get_mut(..length).unwrap_or_default();
            self.upload.read_at(at, piece)?;
            crc = crc32c::crc32c_append(crc, piece);
            at = at.saturating_add(length as u64);
        }
        Ok(crc)
    }
}

/// A thread that panicked has not left a transfer half-changed: chunks are noted after they were written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
