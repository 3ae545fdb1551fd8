//! One link through the proxy: a thread for each direction.

use super::{Close, Counts, Cut, Faults, Random, Shared, Side};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest time after which a thread looks whether there is something else to do.
const TICK: Duration = Duration::from_millis(20);

pub(super) struct Link<'p> {
    proxy: &'p Shared,
    number: u32,
    /// When it is to be cut, and how.
    cut_at: Option<Instant>,
    cut_after_bytes: Option<u64>,
    cut: Cut,
    /// How many bytes have passed.
    passed: AtomicU64,
    /// Of the two threads one at a time passes something on, so that it is told in order.
    turn: Mutex<()>,
    /// How it was cut.
    fate: Mutex<Option<Cut>>,
    to_client: Writer,
    to_server: Writer,
}

/// What one thread writes to and the other may take away. A socket is closed when its reader is dropped as well.
type Writer = Mutex<Option<TcpStream>>;

impl<'p> Link<'p> {
    /// Passes bytes on, both ways, until both have ended.
    pub(super) fn run(proxy: &'p Shared, number: u32, client: TcpStream, mut random: Random) -> Result<()> {
        let target = *proxy.target.lock().unwrap();
        let server = TcpStream::connect_timeout(&target, Duration::from_secs(1))?;
        for side in [&client, &server] {
            side.set_nodelay(true)?;
            side.set_read_timeout(Some(TICK))?;
            side.set_write_timeout(Some(TICK))?;
        }
        let Faults { cut_after, cut_after_bytes, cuts, .. } = &proxy.faults;
        let after = cut_after.start + random.time(cut_after.end.saturating_sub(cut_after.start));
        let bytes = !cut_after_bytes.is_empty();
        let link = Self {
            proxy,
            number,
            cut_at: (!cut_after.is_empty()).then(|| Instant::now() + after),
            cut_after_bytes: bytes.then(|| random.between(cut_after_bytes)),
            cut: cuts[random.below(cuts.len() as u64) as usize],
            passed: AtomicU64::new(0),
            turn: Mutex::new(()),
            fate: Mutex::new(None),
            to_client: Mutex::new(Some(client.try_clone()?)),
            to_server: Mutex::new(Some(server.try_clone()?)),
        };
        if let Some(tap) = &proxy.tap {
            tap.open(number);
        }
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
                ended => {
                    self.tell_end(Side::Client, &ended);
                    return if self.fate().is_none() {
                        shut(&self.to_server, Shutdown::Write)
                    };
                }
            };
            let mut passed = read;
            if self.fate().is_none() {
                self.proxy.wait(self.proxy.faults.delay);
                passed = self.pass(&chunk[..read], Side::Client, &mut random, || self.is_cut_now());
            }
            if passed < read {
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
                ended => {
                    self.tell_end(Side::Server, &ended);
                    return shut(&self.to_client, Shutdown::Write);
                }
            };
            if self.fate().is_none() {
                self.proxy.wait(self.proxy.faults.delay);
                let cut = || self.fate().is_some();
                let passed = self.pass(&chunk[..read], Side::Server, &mut random, cut);
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
    fn pass(&self, bytes: &[u8], from: Side, random: &mut Random, over: impl Fn() -> bool) -> usize {
        let Faults { split, stall_one_in, stall, .. } = self.proxy.faults;
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = bytes.len() - passed;
            let piece = if split > 0 { 1 + random.below(split as u64) as usize } else { rest };
            if stall_one_in > 0 && random.below(stall_one_in) == 0 && !self.proxy.is_calm() {
                self.proxy.wait(random.time(stall));
            }
            let end = passed + piece.min(rest);
            while passed < end {
                if over() || self.proxy.is_stopped() {
                    return passed;
                }
                let Some(written) = self.write(from, &bytes[passed..end]) else { return passed };
                passed += written;
            }
        }
        passed
    }

    /// How much was taken, if anybody takes anything any more.
    fn write(&self, from: Side, bytes: &[u8]) -> Option<usize> {
        let _turn = self.turn.lock().unwrap();
        let to = if from == Side::Client { &self.to_server } else { &self.to_client };
        let written = write(to, bytes)?;
        if written > 0 {
            self.passed.fetch_add(written as u64, Ordering::Relaxed);
            self.proxy.count(|Counts { up, down, .. }| {
                *(if from == Side::Client { up } else { down }) += written as u64;
            });
            if let Some(tap) = &self.proxy.tap {
                tap.carry(self.number, from, &bytes[..written]);
            }
        }
        Some(written)
    }

    fn tell_end(&self, from: Side, ended: &Result<usize>) {
        self.tell_close(from, if ended.is_ok() { Close::Fin } else { Close::Reset });
    }

    fn tell_close(&self, from: Side, how: Close) {
        let _turn = self.turn.lock().unwrap();
        if let Some(tap) = &self.proxy.tap {
            tap.close(self.number, from, how);
        }
    }

    /// Passes on to the server what came before the cut.
    fn pass_late(&self, rest: &[u8], random: &mut Random) {
        let passed = self.pass(rest, Side::Client, random, || false);
        if self.cut == Cut::Late && passed == rest.len() {
            self.proxy.count(|counts| counts.late += 1);
        }
    }

    fn is_due(&self) -> bool {
        let bytes = self.cut_after_bytes.is_some_and(|bytes| self.passed.load(Ordering::Relaxed) >= bytes);
        let is_due = bytes || self.cut_at.is_some_and(|at| Instant::now() >= at);
        is_due && !self.proxy.is_calm()
    }

    /// Decided once: a proxy that becomes calm in between would leave a link that is neither cut nor passed on.
    fn is_cut_now(&self) -> bool {
        if self.is_due() {
            self.set_fate();
        }
        self.fate().is_some()
    }

    fn fate(&self) -> Option<Cut> {
        *self.fate.lock().unwrap()
    }

    fn set_fate(&self) {
        if self.fate.lock().unwrap().replace(self.cut).is_none() {
            self.proxy.count(|counts| counts.cuts += 1);
            if let Some(tap) = &self.proxy.tap {
                tap.cut(self.number, self.cut);
            }
        }
    }

    /// Closes the client's side with bytes unread. Their `rest` comes late, or never.
    fn reset(&self, client: TcpStream, rest: &[u8], mut random: Random) {
        self.to_client.lock().unwrap().take();
        drop(client);
        self.tell_close(Side::Server, Close::Reset);
        if self.cut == Cut::Late {
            self.proxy.wait(random.time(Cut::LATE));
            self.pass_late(rest, &mut random);
        } else {
            self.to_server.lock().unwrap().take();
        }
    }

    fn end(&self) {
        self.tell_close(Side::Server, Close::Fin);
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
