//! A real TCP proxy on loopback that treats its links badly: it splits, stalls, delays and cuts them, from one seed.
//!
//! ```text
//!   client ──▶ [peek] ──▶ late, in pieces, with stalls ──▶ server
//!   client ◀── late, in pieces, with stalls ◀── [peek] ◀── server
//! ```
//!
//! Bytes stay in the kernel's buffer until they were passed on. A socket that is closed with bytes unread says RST, so
//! the cuts that reset come when bytes are under way: that is where they hurt, and no other way is open to `std`.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What happens to the links.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Each link is cut after a random time of these; an empty range never cuts.
    pub cut_after: Range<Duration>,
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
    target: Mutex<SocketAddr>,
    stopped: Mutex<bool>,
    /// The word that it is.
    stopping: Condvar,
    counts: Mutex<Counts>,
}

impl Proxy {
    pub fn start(target: SocketAddr, faults: Faults, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            faults,
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
            for client in listener.incoming() {
                if self.is_stopped() {
                    return;
                }
                self.count(|counts| counts.links += 1);
                let random = Random(random.next());
                // A client whose server is away is closed at once.
                scope.spawn(move || client.and_then(|client| Link::run(self, client, random)));
            }
        });
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
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

/// The longest time after which a thread looks whether there is something else to do.
const TICK: Duration = Duration::from_millis(20);

/// Which of the counts a direction adds to.
type Direction = fn(&mut Counts) -> &mut u64;
const UP: Direction = |counts| &mut counts.up;
const DOWN: Direction = |counts| &mut counts.down;

struct Link<'p> {
    proxy: &'p Shared,
    /// When it is to be cut, and how.
    cut_at: Option<Instant>,
    cut: Cut,
    /// How it was cut.
    fate: Mutex<Option<Cut>>,
    to_client: Writer,
    to_server: Writer,
}

/// What one thread writes to and the other may take away. A socket is closed when its reader is dropped as well.
type Writer = Mutex<Option<TcpStream>>;

impl<'p> Link<'p> {
    /// Passes bytes on, both ways, until both have ended.
    fn run(proxy: &'p Shared, client: TcpStream, mut random: Random) -> Result<()> {
        let target = *proxy.target.lock().unwrap();
        let server = TcpStream::connect_timeout(&target, Duration::from_secs(1))?;
        for side in [&client, &server] {
            side.set_nodelay(true)?;
            side.set_read_timeout(Some(TICK))?;
            side.set_write_timeout(Some(TICK))?;
        }
        let Faults { cut_after, cuts, .. } = &proxy.faults;
        let after = cut_after.start + random.time(cut_after.end.saturating_sub(cut_after.start));
        let link = Self {
            proxy,
            cut_at: (!cut_after.is_empty()).then(|| Instant::now() + after),
            cut: cuts[random.below(cuts.len() as u64) as usize],
            fate: Mutex::new(None),
            to_client: Mutex::new(Some(client.try_clone()?)),
            to_server: Mutex::new(Some(server.try_clone()?)),
        };
        let up = Random(random.next());
        thread::scope(|scope| {
            scope.spawn(|| link.up(client, up));
            link.down(server, random);
        });
        Ok(())
    }

    /// From the client to the server. This thread cuts.
    fn up(&self, client: TcpStream, mut random: Random) {
        let mut chunk = [0; 16 * 1_024];
        while !self.proxy.is_stopped() {
            if self.is_due() && matches!(self.cut, Cut::End | Cut::Silent) {
                self.set_fate();
            }
            if self.fate() == Some(Cut::End) {
                return self.end();
            }
            let read = match client.peek(&mut chunk) {
                Err(error) if is_quiet(error.kind()) => continue,
                Ok(n) if n > 0 => n,
                // The client has ended. Where nothing passes, this does not either.
                _ if self.fate().is_some() => return,
                _ => return shut(&self.to_server, Shutdown::Write),
            };
            let mut passed = read;
            if self.fate().is_none() {
                self.proxy.wait(self.proxy.faults.delay);
                passed = self.pass(&chunk[..read], &self.to_server, &mut random, UP, || self.is_due());
            }
            if passed < read {
                if self.is_due() {
                    self.set_fate();
                }
                match self.fate() {
                    Some(Cut::Silent) => self.pass_late(&chunk[passed..read], &mut random),
                    Some(Cut::Reset | Cut::Late) => return self.reset(client, &chunk[passed..read], random),
                    Some(Cut::End) => return self.end(),
                    None => return, // the server has ended
                }
            }
            let _ = (&client).read_exact(&mut chunk[..read]);
        }
    }

    /// From the server to the client.
    fn down(&self, server: TcpStream, mut random: Random) {
        let mut chunk = [0; 16 * 1_024];
        while !self.proxy.is_stopped() {
            let read = match server.peek(&mut chunk) {
                Err(error) if is_quiet(error.kind()) => match self.fate() {
                    Some(Cut::End | Cut::Reset) => return,
                    _ => continue,
                },
                Ok(n) if n > 0 => n,
                _ if self.fate().is_some() => return,
                _ => return shut(&self.to_client, Shutdown::Write),
            };
            if self.fate().is_none() {
                self.proxy.wait(self.proxy.faults.delay);
                let cut = || self.fate().is_some();
                let passed = self.pass(&chunk[..read], &self.to_client, &mut random, DOWN, cut);
                if passed < read && !cut() {
                    return; // the client has ended
                }
            }
            if matches!(self.fate(), Some(Cut::End | Cut::Reset)) {
                return; // with bytes unread
            }
            let _ = (&server).read_exact(&mut chunk[..read]);
        }
    }

    /// Passes bytes on with all faults until it is over, and says how many were passed.
    fn pass(&self, bytes: &[u8], to: &Writer, random: &mut Random, way: Direction, over: impl Fn() -> bool) -> usize {
        let faults = &self.proxy.faults;
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = bytes.len() - passed;
            let piece = if faults.split > 0 { 1 + random.below(faults.split as u64) as usize } else { rest };
            if faults.stall_one_in > 0 && random.below(faults.stall_one_in) == 0 {
                self.proxy.wait(random.time(faults.stall));
            }
            let end = passed + piece.min(rest);
            while passed < end {
                if over() || self.proxy.is_stopped() {
                    return passed;
                }
                let Some(written) = write(to, &bytes[passed..end]) else { return passed };
                self.proxy.count(|counts| *way(counts) += written as u64);
                passed += written;
            }
        }
        passed
    }

    /// Passes on to the server what came before the cut.
    fn pass_late(&self, rest: &[u8], random: &mut Random) {
        let passed = self.pass(rest, &self.to_server, random, UP, || false);
        if self.cut == Cut::Late && passed == rest.len() {
            self.proxy.count(|counts| counts.late += 1);
        }
    }

    fn is_due(&self) -> bool {
        self.cut_at.is_some_and(|at| Instant::now() >= at)
    }

    fn fate(&self) -> Option<Cut> {
        *self.fate.lock().unwrap()
    }

    fn set_fate(&self) {
        if self.fate.lock().unwrap().replace(self.cut).is_none() {
            self.proxy.count(|counts| counts.cuts += 1);
        }
    }

    /// Closes the client's side with bytes unread. Their `rest` comes late, or never.
    fn reset(&self, client: TcpStream, rest: &[u8], mut random: Random) {
        self.to_client.lock().unwrap().take();
        drop(client);
        if self.cut == Cut::Late {
            self.proxy.wait(random.time(Cut::LATE));
            self.pass_late(rest, &mut random);
        } else {
            self.to_server.lock().unwrap().take();
        }
    }

    fn end(&self) {
        shut(&self.to_client, Shutdown::Both);
        shut(&self.to_server, Shutdown::Both);
    }
}

/// Nothing to read, or no room to write, for the time of a tick.
fn is_quiet(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// How much was taken, if anybody takes anything any more.
fn write(to: &Writer, bytes: &[u8]) -> Option<usize> {
    match to.lock().unwrap().as_ref()?.write(bytes) {
        Err(error) if is_quiet(error.kind()) => Some(0),
        written => written.ok().filter(|n| *n > 0),
    }
}

fn shut(side: &Writer, how: Shutdown) {
    let _ = side.lock().unwrap().as_ref().map(|stream| stream.shutdown(how));
}

/// A small generator of test inputs (SplitMix64): the same seed gives the same run everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A time below `end`.
    pub fn time(&mut self, end: Duration) -> Duration {
        Duration::from_nanos(self.below(end.as_nanos() as u64))
    }
}
