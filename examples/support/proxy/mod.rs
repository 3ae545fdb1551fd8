//! A real TCP proxy on loopback that treats its links badly: it splits, stalls, delays and cuts them, from one seed.
//!
//! ```text
//!   client ──▶ [peek] ──▶ late, in pieces, with stalls ──▶ server
//!   client ◀── late, in pieces, with stalls ◀── [peek] ◀── server
//! ```
//!
//! Bytes stay in the kernel's buffer until they were passed on. A socket that is closed with bytes unread says RST, so
//! the cuts that reset come when bytes are under way: that is where they hurt, and no other way is open to `std`.
//!
//! A [`Tap`] is shown what was really passed on, in the order in which it happened.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

mod draw;
mod link;

pub use draw::Random;
use link::Link;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What happens to the links.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Each link is cut after a random time of these; an empty range never cuts.
    pub cut_after: Range<Duration>,
    /// Each link is cut once a random number of bytes of these has passed, in both directions together; an empty range never
    /// cuts.
    pub cut_after_bytes: Range<u64>,
    /// How it is cut: one of these, at random.
    pub cuts: &'static [Cut],
    /// Bytes are passed on in pieces of 1 to this many; 0 splits nothing.
    pub split: usize,
    /// One in so many pieces waits, for up to [`stall`](Self::stall); 0 is none.
    pub stall_one_in: u64,
    pub stall: Duration,
    /// Whatever is read waits so long before it is passed on.
    pub delay: Duration,
}

impl Faults {
    /// A proxy that only passes on.
    pub const NONE: Self = Self {
        cut_after: Duration::ZERO..Duration::ZERO,
        cut_after_bytes: 0..0,
        cuts: &Cut::ALL,
        split: 0,
        stall_one_in: 0,
        stall: Duration::ZERO,
        delay: Duration::ZERO,
    };
}

/// The ways to lose a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides are closed by FIN, what is under way is lost.
    End,
    /// Both sides are closed by RST at the next bytes from the client, and these are lost. The server's side is closed
    /// by FIN if no bytes of its own come.
    Reset,
    /// Both sides stay open, nothing passes any more. What came from the client before still reaches the server.
    Silent,
    /// The client's side is closed by RST at its next bytes; these reach the server up to 200 ms later, on a link that
    /// stays open there: meanwhile the client has come back on another one.
    Late,
}

impl Cut {
    pub const ALL: [Self; 4] = [Self::End, Self::Reset, Self::Silent, Self::Late];

    /// The longest time by which [`Cut::Late`] is late.
    pub const LATE: Duration = Duration::from_millis(200);
}

/// The two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// How one end of a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    Fin,
    Reset,
}

/// Sees what a proxy does with its links. They are numbered from 1, in the order in which they came.
pub trait Tap: Send + Sync {
    /// A link to the server is there.
    fn open(&self, link: u32);
    /// These bytes were passed on to the other end.
    fn carry(&self, link: u32, from: Side, bytes: &[u8]);
    /// No more comes from this end. What a [`Cut::Late`] holds back comes all the same.
    fn close(&self, link: u32, from: Side, how: Close);
    /// It was cut by the proxy.
    fn cut(&self, link: u32, how: Cut);
}

/// What a proxy has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub links: u64,
    pub cuts: u64,
    /// Those cuts of [`Cut::Late`] whose bytes have reached the server.
    pub late: u64,
    /// Bytes that the server was given.
    pub up: u64,
    /// Bytes that the client was given.
    pub down: u64,
}

/// The proxy. It closes all links and ends when it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    faults: Faults,
    tap: Option<Arc<dyn Tap>>,
    /// No more faults.
    calm: AtomicBool,
    target: Mutex<SocketAddr>,
    stopped: Mutex<bool>,
    /// The word that it is.
    stopping: Condvar,
    counts: Mutex<Counts>,
}

impl Proxy {
    pub fn start(target: SocketAddr, faults: Faults, seed: u64) -> Self {
        Self::start_with(target, faults, seed, None)
    }

    /// One that shows what it does.
    pub fn start_with(target: SocketAddr, faults: Faults, seed: u64, tap: Option<Arc<dyn Tap>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            faults,
            tap,
            calm: AtomicBool::new(false),
            target: Mutex::new(target),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
            counts: Mutex::default(),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener, Random(seed))
        });
        Self { addr, shared, accepting: Some(accepting) }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where links go that are accepted from now on: the server came back on another port.
    pub fn set_target(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// From now on it only passes on, late.
    pub fn calm(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap() = true;
        self.shared.stopping.notify_all();
        // The last thing to accept.
        if TcpStream::connect(self.addr).is_ok() {
            let _ = self.accepting.take().map(JoinHandle::join);
        }
    }
}

impl Shared {
    /// Accepts links and runs each to its end.
    fn accept(&self, listener: &TcpListener, mut random: Random) {
        thread::scope(|scope| {
            for (number, client) in (1..).zip(listener.incoming()) {
                if self.is_stopped() {
                    return;
                }
                self.count(|counts| counts.links += 1);
                let random = Random(random.next());
                // A client whose server is away is closed at once.
                scope.spawn(move || client.and_then(|client| Link::run(self, number, client, random)));
            }
        });
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.counts.lock().unwrap());
    }

    /// Waits so long, or for the end of the proxy.
    fn wait(&self, time: Duration) {
        let stopped = self.stopped.lock().unwrap();
        drop(self.stopping.wait_timeout_while(stopped, time, |stopped| !*stopped));
    }
}
