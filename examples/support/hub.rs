//! The links of a server, each of which is another thread's or task's: who may still speak for a device, who gets a push, who
//! is told that there is mail, and who is to go.
//!
//! Needs `store.rs` as its sibling module.

use super::store::Name;
use longlink::delivery::Epoch;
use longlink::session::{GoAway, GoAwayCode};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// All links.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Links>);

#[derive(Default)]
struct Links {
    peers: BTreeMap<u64, Peer>,
    /// The link that greeted last for each device.
    speakers: BTreeMap<Name, (Lease, u64)>,
    /// All are to go.
    leave: Option<GoAway>,
}

struct Peer {
    seat: Arc<Seat>,
    /// Who has greeted.
    device: Option<Name>,
}

/// The newest vals of an account's keys that its links are to be told of. A later one of a key stands for the earlier.
pub(crate) type Heads = BTreeMap<u16, u64>;

/// Which of two links of a device greeted later: by epoch, then by number.
pub(crate) type Lease = (Epoch, u32);

/// Where a link finds what others have for it. It takes no memory while there is nothing.
#[derive(Default)]
pub(crate) struct Seat(Mutex<News>);

/// What others have for a link.
#[derive(Default)]
pub(crate) struct News {
    /// What others sent, to be pushed.
    pub(crate) pushes: VecDeque<Arc<[u8]>>,
    /// What is new in the mailbox.
    pub(crate) heads: Heads,
    /// The link is to close.
    pub(crate) leave: Option<GoAway>,
    /// What wakes whoever runs the link.
    waker: Option<Waker>,
}

impl Seat {
    pub(crate) fn news(&self) -> MutexGuard<'_, News> {
        lock(&self.0)
    }

    /// Has this woken when there is something, from now on.
    pub(crate) fn listen(&self, waker: &Waker) {
        let mut news = self.news();
        if !news.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            news.waker = Some(waker.clone());
        }
    }

    /// A later link speaks for the device.
    pub(crate) fn is_replaced(&self) -> bool {
        self.news().leave.is_some_and(|goaway| goaway.code() == GoAwayCode::Replaced)
    }

    fn tell(&self, what: impl FnOnce(&mut News)) {
        let mut news = self.news();
        what(&mut news);
        // Before there is one, the link has not looked for anything.
        news.waker.iter().for_each(Waker::wake_by_ref);
    }
}

impl Hub {
    /// So many messages may wait for a link that is slow; more are dropped for it.
    const BACKLOG: usize = 256;

    /// A link is there.
    pub(crate) fn join(&self, id: u64) -> Arc<Seat> {
        let mut links = lock(&self.0);
        let seat = Arc::<Seat>::default();
        seat.news().leave = links.leave;
        links.peers.insert(id, Peer { seat: Arc::clone(&seat), device: None });
        seat
    }

    /// It is gone.
    pub(crate) fn leave(&self, id: u64) {
        let mut links = lock(&self.0);
        let Some(device) = links.peers.remove(&id).and_then(|peer| peer.device) else { return };
        if links.speakers.get(&device).is_some_and(|(_, speaker)| *speaker == id) {
            links.speakers.remove(&device);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).peers.len()
    }

    /// All links are to close, also those that are still to come.
    #[allow(dead_code)] // a server of threads ends with its process
    pub(crate) fn dismiss(&self, goaway: GoAway) {
        let mut links = lock(&self.0);
        links.leave = Some(goaway);
        links.peers.values().for_each(|peer| peer.seat.tell(|news| news.leave = Some(goaway)));
    }

    /// A link has greeted for a device: an older one of that device is told to close. `false` if a later one is there
    /// already.
    pub(crate) fn take_over(&self, id: u64, device: &Name, lease: Lease) -> bool {
        let mut links = lock(&self.0);
        match links.speakers.get(device) {
            Some((later, _)) if *later > lease => return false,
            Some((_, older)) => {
                if let Some(peer) = links.peers.get(older) {
                    peer.seat.tell(|news| news.leave = Some(GoAway::new(GoAwayCode::Replaced)));
                }
            }
            None => {}
        }
        links.speakers.insert(device.clone(), (lease, id));
        if let Some(peer) = links.peers.get_mut(&id) {
            peer.device = Some(device.clone());
        }
        true
    }

    /// Passes a message on to every link but its sender's.
    pub(crate) fn pass_on(&self, from: u64, body: &[u8]) {
        let links = lock(&self.0);
        if links.peers.len() < 2 {
            return;
        }
        let body: Arc<[u8]> = body.into();
        for (id, peer) in links.peers.iter().filter(|(id, _)| **id != from) {
            peer.seat.tell(|news| {
                if news.pushes.len() < Self::BACKLOG {
                    news.pushes.push_back(Arc::clone(&body));
                } else {
                    eprintln!("link {id}: reads too slowly, a push was dropped");
                }
            });
        }
    }

    /// Tells the links of each account what is new in its mailbox.
    pub(crate) fn notify(&self, heads: &BTreeMap<(String, u16), u64>) {
        let links = lock(&self.0);
        for ((account, key), head) in heads {
            let devices = links.speakers.range((account.clone(), 0)..=(account.clone(), u64::MAX));
            for peer in devices.filter_map(|(_, (_, id))| links.peers.get(id)) {
                peer.seat.tell(|news| {
                    let known = news.heads.entry(*key).or_default();
                    *known = (*head).max(*known);
                });
            }
        }
    }
}

/// A thread that panicked has not left what it holds half-changed.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
