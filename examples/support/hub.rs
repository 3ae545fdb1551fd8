//! The links of a server, each of which is another thread's: who may still speak for a device, who gets a push, and who is
//! told that there is mail.
//!
//! Needs `store.rs` as its sibling module.

use super::store::Name;
use longlink::delivery::Epoch;
use longlink::io::std::Waker;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All links.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Links>);

#[derive(Default)]
struct Links {
    peers: BTreeMap<u64, Peer>,
    /// The link that greeted last for each device.
    speakers: BTreeMap<Name, (Lease, u64)>,
}

/// The newest vals of an account's keys that its links are to be told of. A later one of a key stands for the earlier.
pub(crate) type Heads = BTreeMap<u16, u64>;

/// Which of two links of a device greeted later: by epoch, then by number.
pub(crate) type Lease = (Epoch, u32);

/// How to reach one link from another's thread.
struct Peer {
    outbox: SyncSender<Arc<[u8]>>,
    heads: Arc<Mutex<Heads>>,
    replaced: Arc<AtomicBool>,
    waker: Waker,
}

/// What reaches a link.
pub(crate) struct Seat {
    /// What others sent, to be pushed.
    pub(crate) inbox: Receiver<Arc<[u8]>>,
    /// What is new in the mailbox.
    pub(crate) heads: Arc<Mutex<Heads>>,
    /// A later link speaks for the device.
    pub(crate) replaced: Arc<AtomicBool>,
}

impl Hub {
    /// So many messages may wait for a link that is slow; more are dropped for it.
    pub(crate) const BACKLOG: usize = 256;

    /// A link is there.
    pub(crate) fn join(&self, id: u64, waker: Waker) -> Seat {
        let (outbox, inbox) = mpsc::sync_channel(Self::BACKLOG);
        let (heads, replaced) = (Arc::<Mutex<Heads>>::default(), Arc::<AtomicBool>::default());
        let peer = Peer { outbox, heads: Arc::clone(&heads), replaced: Arc::clone(&replaced), waker };
        self.links().peers.insert(id, peer);
        Seat { inbox, heads, replaced }
    }

    /// It is gone.
    pub(crate) fn leave(&self, id: u64) {
        let mut links = self.links();
        links.peers.remove(&id);
        links.speakers.retain(|_, (_, speaker)| *speaker != id);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.links().peers.len()
    }

    /// A link has greeted for a device: an older one of that device is told to close. `false` if a later one is there
    /// already.
    pub(crate) fn take_over(&self, id: u64, device: &Name, lease: Lease) -> bool {
        let mut links = self.links();
        match links.speakers.get(device) {
            Some((later, _)) if *later > lease => return false,
            Some((_, older)) => {
                if let Some(peer) = links.peers.get(older) {
                    peer.replaced.store(true, Ordering::Release);
                    peer.waker.wake();
                }
            }
            None => {}
        }
        links.speakers.insert(device.clone(), (lease, id));
        true
    }

    /// Passes a message on to every link but its sender's.
    pub(crate) fn pass_on(&self, from: u64, body: &[u8]) {
        let links = self.links();
        if links.peers.len() < 2 {
            return;
        }
        let body: Arc<[u8]> = body.into();
        for (id, peer) in links.peers.iter().filter(|(id, _)| **id != from) {
            if peer.outbox.try_send(Arc::clone(&body)).is_err() {
                eprintln!("link {id}: reads too slowly, a push was dropped");
            }
            peer.waker.wake();
        }
    }

    /// Tells the links of each account what is new in its mailbox.
    pub(crate) fn notify(&self, heads: &BTreeMap<(String, u16), u64>) {
        let links = self.links();
        for ((account, key), head) in heads {
            let devices = links.speakers.range((account.clone(), 0)..=(account.clone(), u64::MAX));
            for peer in devices.filter_map(|(_, (_, id))| links.peers.get(id)) {
                let mut heads = peer.heads.lock().unwrap_or_else(PoisonError::into_inner);
                let known = heads.entry(*key).or_default();
                *known = (*head).max(*known);
                peer.waker.wake();
            }
        }
    }

    /// A thread that panicked has not left the maps half-changed.
    fn links(&self) -> MutexGuard<'_, Links> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
