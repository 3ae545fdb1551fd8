//! A disk that crashes when it is told to, in memory.

use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard};

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// What was there when it was synced last.
    synced: Vec<u8>,
    /// So many operations more, and nothing works any longer.
    left: Option<usize>,
    /// What was written since it was synced: at which offset how much.
    unsynced: BTreeMap<u64, usize>,
}

/// What is left of what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// All: the process was killed.
    Process,
    /// Nothing: the power went.
    Power,
    /// Every other write: the power went while the disk was at it.
    Torn,
}

impl Disk {
    /// It crashes after so many operations.
    pub fn crash_after(&self, operations: usize) {
        self.state().left = Some(operations);
    }

    pub fn has_crashed(&self) -> bool {
        self.state().left == Some(0)
    }

    /// What is found after a crash.
    pub fn reboot(&self, crash: Crash) -> Self {
        let state = self.state();
        let bytes = match crash {
            Crash::Process => state.bytes.clone(),
            Crash::Power => state.synced.clone(),
            Crash::Torn => {
                let mut bytes = state.synced.clone();
                bytes.resize(state.bytes.len(), 0);
                for (offset, length) in state.unsynced.iter().step_by(2) {
                    let place = *offset as usize..(*offset as usize + length).min(bytes.len());
                    bytes[place.clone()].copy_from_slice(&state.bytes[place]);
                }
                bytes
            }
        };
        Self(Arc::new(Mutex::new(State { synced: bytes.clone(), bytes, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// One operation that changes something.
    fn change(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.left {
            Some(0) => Err(Error::other("the disk has crashed")),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(Error::other("the disk crashes")) } else { Ok(state) }
            }
            None => Ok(state),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.state();
        let place = offset as usize..offset as usize + out.len();
        out.copy_from_slice(state.bytes.get(place).ok_or_else(|| Error::other("beyond the end"))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change()?.bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.change()?;
        state.synced = state.bytes.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.change()?;
        let place = offset as usize..offset as usize + data.len();
        state.bytes[place].copy_from_slice(data);
        let length = state.unsynced.entry(offset).or_default();
        *length = data.len().max(*length);
        Ok(())
    }
}
