//! Buffers that all links of a server take turns with: one that is quiet has none.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The buffers. Each link has it, all share it.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    length: usize,
    spare: Mutex<Vec<Box<[u8]>>>,
    out: AtomicUsize,
}

/// A buffer of the pool, which goes back there when it is dropped. What others had in it is still there.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    pool: Pool,
}

impl Pool {
    /// So many wait for the next link; more are freed when they come back.
    const SPARE: usize = 64;

    /// A pool of buffers of this length.
    pub(crate) fn new(length: usize) -> Self {
        Self(Arc::new(Shared { length, spare: Mutex::default(), out: AtomicUsize::new(0) }))
    }

    /// A buffer, a new one if none waits: what bounds their number is that of the links.
    pub(crate) fn take(&self) -> Buffer {
        self.0.out.fetch_add(1, Ordering::Relaxed);
        let spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: spare.unwrap_or_else(|| vec![0; self.0.length].into()), pool: self.clone() }
    }

    /// How many are with links.
    #[allow(dead_code)] // not every server tells
    pub(crate) fn out(&self) -> usize {
        self.0.out.load(Ordering::Relaxed)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Shared { spare, out, .. } = &*self.pool.0;
        out.fetch_sub(1, Ordering::Relaxed);
        let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < Pool::SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}
