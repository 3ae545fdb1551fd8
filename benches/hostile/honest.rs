//! Devices that do nothing wrong, beside whatever else goes on: each sends a note to its own account, waits until that is
//! stored, and gets it back from its mailbox, again and again. None of it may be lost, and none of it may take long.

use crate::peer::{DIALECT, Got, MESSAGE, Peer, frame};
use anyhow::{Context, Result, bail, ensure};
use longlink::sync::{self, Ack, Epoch, Request, Response, SyncKeys};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two rounds: 60 frames a second, well within what a link may send.
const PAUSE: Duration = Duration::from_millis(50);
/// Under this key are the notes that an account sent itself.
const SENT: u16 = 2;

/// Some of them, on threads of their own.
pub(crate) struct Honest {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    links: Vec<JoinHandle<(Vec<Duration>, Result<()>)>>,
}

/// How they fared.
#[derive(Default)]
pub(crate) struct Fared {
    /// From a message to its acknowledgement, and from a request to its page; sorted.
    round_trips: Vec<Duration>,
    /// What went wrong.
    pub(crate) losses: Vec<String>,
}

impl Honest {
    pub(crate) fn start(server: SocketAddr, links: usize) -> Self {
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let start = |index| {
            let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
            thread::spawn(move || {
                let mut round_trips = Vec::new();
                let fared = live(server, index, &over, &rounds, &mut round_trips);
                (round_trips, fared)
            })
        };
        let links = (0..links).map(start).collect();
        Self { over, rounds, links }
    }

    /// Waits until all of them are at work.
    pub(crate) fn warm_up(&self) {
        let began = Instant::now();
        while self.rounds.load(Ordering::Relaxed) < 5 * self.links.len() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Has them end, and tells how they fared.
    pub(crate) fn finish(self) -> Fared {
        self.over.store(true, Ordering::Relaxed);
        let mut fared = Fared::default();
        for link in self.links {
            match link.join() {
                Ok((round_trips, result)) => {
                    fared.round_trips.extend(round_trips);
                    fared.losses.extend(result.err().map(|error| format!("{error:#}")));
                }
                Err(_) => fared.losses.push("a link panicked".into()),
            }
        }
        fared.round_trips.sort_unstable();
        fared
    }
}

impl Fared {
    /// What so many of a thousand took at most, in milliseconds.
    pub(crate) fn permille(&self, of: usize) -> f64 {
        let index = (self.round_trips.len() * of / 1_000).min(self.round_trips.len().saturating_sub(1));
        self.round_trips.get(index).map_or(0.0, |spent| spent.as_secs_f64() * 1_000.0)
    }

    pub(crate) fn count(&self) -> usize {
        self.round_trips.len()
    }
}

/// One link, until it is told to end.
fn live(
    server: SocketAddr,
    index: usize,
    over: &AtomicBool,
    rounds: &AtomicUsize,
    round_trips: &mut Vec<Duration>,
) -> Result<()> {
    let account = format!("honest{index}");
    let mut device = Device { peer: Peer::greeted(server, &account, 1)?, epoch: None, cursor: 0, asked: 0 };
    // The first request of a device brings no items, only where they begin.
    device.sync()?;
    for sequence in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let note = format!("{{\"to\":\"{account}\",\"text\":\"note {sequence}\"}}");
        device.store(sequence, note.as_bytes())?;
        round_trips.push(began.elapsed());
        let began = Instant::now();
        let items = device.sync()?;
        round_trips.push(began.elapsed());
        ensure!(items.len() == 1, "{account}: {} items, and one is new", items.len());
        let whole = format!("note {sequence}");
        ensure!(String::from_utf8_lossy(&items[0]).contains(&whole), "{account}: {whole} is lost");
        rounds.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
    Ok(())
}

struct Device {
    peer: Peer,
    epoch: Option<Epoch>,
    /// It has everything up to here.
    cursor: u64,
    asked: u32,
}

impl Device {
    fn store(&mut self, sequence: u32, body: &[u8]) -> Result<()> {
        self.peer.send(&frame(MESSAGE, sequence, body));
        let reply = self.reply(MESSAGE, sequence)?;
        ensure!(reply.body.is_empty(), "a message is rejected: {:?}", reply.body);
        Ok(())
    }

    /// Asks for what is new, and says that it is stored.
    fn sync(&mut self) -> Result<Vec<Vec<u8>>> {
        self.asked += 1;
        let mut keys: SyncKeys<[_; 1]> = SyncKeys::new();
        keys.merge(SENT, self.cursor)?;
        let request = Request { epoch: self.epoch, entries: keys.entries(), ..Request::DEFAULT };
        let mut body = [0; 64];
        let length = request.encode(&mut body)?;
        self.peer.send(&frame(sync::SYNC, self.asked, &body[..length]));
        let reply = self.reply(sync::SYNC, self.asked)?;
        let Response::Page(page) = Response::decode(&reply.body)? else { bail!("no page: {:?}", reply.body) };
        self.epoch = Some(page.epoch());
        self.cursor = page.entries().map(|entry| entry.val).max().unwrap_or_default().max(self.cursor);
        let mut keys: SyncKeys<[_; 1]> = SyncKeys::new();
        keys.merge(SENT, self.cursor)?;
        let length = Ack { epoch: page.epoch(), entries: keys.entries() }.encode(&mut body)?;
        self.peer.send(&frame(sync::SYNC_DONE, 0, &body[..length]));
        Ok(page.items().map(|item| item.bytes.to_vec()).collect())
    }

    /// What answers it; pushes and notifies of others are passed over.
    fn reply(&mut self, command: u32, sequence: u32) -> Result<Got> {
        let until = Instant::now() + PATIENCE;
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            let got = self
                .peer
                .next(wait)
                .with_context(|| format!("no answer to {command}/{sequence}: {}", self.peer.ending().0))?;
            if (got.command, got.sequence) == (DIALECT.reply_to(command), sequence) {
                return Ok(got);
            }
        }
    }
}
