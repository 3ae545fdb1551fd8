//! One connection of somebody who does as he likes: bytes and frames of any kind, read or not.

use anyhow::{Context, Result, ensure};
use longlink::session::{GoAway, Hello};
use longlink::wire::{Decoded, Dialect, decode};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

pub(crate) const DIALECT: &Dialect = &Dialect::LONGLINK;
pub(crate) const HEARTBEAT: u32 = 6;
pub(crate) const HELLO: u32 = 205;
pub(crate) const MESSAGE: u32 = 237;
pub(crate) const GOAWAY: u32 = 247;
/// What a reply has more than its request.
pub(crate) const REPLY: u32 = 1_000_000_000;

/// A frame that came.
pub(crate) struct Got {
    pub(crate) command: u32,
    pub(crate) sequence: u32,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Peer {
    stream: TcpStream,
    began: Instant,
    inbox: Vec<u8>,
    /// So much of it is taken.
    taken: usize,
    /// Bytes written, and read.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// How the connection ended, and when; not yet, if `None`.
    pub(crate) end: Option<(&'static str, Duration)>,
    /// What the server said last that was a reason to end.
    word: Option<String>,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::new(TcpStream::connect(address)?))
    }

    /// One whose socket takes a few kilobytes before they are read.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4_096)?;
            socket.connect(address).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        Ok(Self::new(stream))
    }

    /// The other side of somebody who connected.
    pub(crate) fn accepted(stream: TcpStream) -> Self {
        Self::new(stream)
    }

    fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, began: Instant::now(), inbox: Vec::new(), taken: 0, sent: 0, received: 0, end: None, word: None }
    }

    /// One that has greeted as this device of this account.
    pub(crate) fn greeted(address: SocketAddr, account: &str, device: u64) -> Result<Self> {
        let mut peer = Self::connect(address)?;
        peer.greet(account, device)?;
        Ok(peer)
    }

    pub(crate) fn greet(&mut self, account: &str, device: u64) -> Result<Got> {
        self.send(&frame(HELLO, 0xFFFF_FFFE, &hello(account.as_bytes(), device)));
        let reply = self.next(Duration::from_secs(10)).context("no answer to the greeting")?;
        ensure!(reply.command == HELLO + REPLY && reply.body.get(1) == Some(&0), "the greeting is refused");
        Ok(reply)
    }

    /// Writes all of it, however long that takes. `false` once the connection is over.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let _ = self.stream.set_nonblocking(false);
        if self.end.is_some() {
            return false;
        }
        match self.stream.write_all(bytes) {
            Ok(()) => self.sent += bytes.len() as u64,
            Err(_) => self.over("reset"),
        }
        self.end.is_none()
    }

    /// Writes `stream` again and again as fast as it is taken, from `at` on, until then, and reads what comes, if it does.
    /// Returns how many replies that were.
    pub(crate) fn pump(&mut self, stream: &[u8], at: &mut usize, until: Instant, reads: bool) -> u64 {
        let mut replies = 0;
        while self.end.is_none() && Instant::now() < until {
            let _ = self.stream.set_nonblocking(true);
            let mut moved = false;
            match self.stream.write(&stream[*at..]) {
                Ok(n) => {
                    (*at, moved) = ((*at + n) % stream.len(), n > 0);
                    self.sent += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.over("reset"),
            }
            while let Some(got) = reads.then(|| self.next(Duration::ZERO)).flatten() {
                (replies, moved) = (replies + u64::from(got.command > REPLY), true);
            }
            if !moved {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        replies
    }

    /// The next frame, if it comes within this time.
    pub(crate) fn next(&mut self, wait: Duration) -> Option<Got> {
        let until = Instant::now() + wait;
        loop {
            if let Ok(Decoded::Frame(frame)) = decode(DIALECT, &self.inbox[self.taken..]) {
                let got = Got { command: frame.command(), sequence: frame.sequence(), body: frame.body().to_vec() };
                self.taken += frame.length();
                self.listen(&got);
                return Some(got);
            }
            if self.end.is_some() || !self.read(until.saturating_duration_since(Instant::now())) {
                return None;
            }
        }
    }

    /// Reads once. `false` if nothing comes within this time.
    fn read(&mut self, wait: Duration) -> bool {
        let _ = self.stream.set_nonblocking(wait.is_zero());
        let _ = self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))));
        let mut bytes = [0; 16 * 1_024];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.over("end"),
            Ok(n) => {
                self.received += n as u64;
                self.inbox.drain(..std::mem::take(&mut self.taken));
                self.inbox.extend_from_slice(&bytes[..n]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(_) => self.over("reset"),
        }
        true
    }

    /// Reads until the connection ends, or until then.
    pub(crate) fn wait_for_end(&mut self, until: Instant) {
        while self.end.is_none() && Instant::now() < until {
            let _ = self.next(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
        }
    }

    /// Ends this side's stream.
    pub(crate) fn shut(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// How it ended, and after how long.
    pub(crate) fn ending(&self) -> (String, Option<Duration>) {
        let Some((end, after)) = self.end else { return ("open".into(), None) };
        (self.word.as_ref().map_or(end.to_string(), |word| format!("{word}, {end}")), Some(after))
    }

    /// Bytes that wait in the sockets of this connection, on both sides.
    pub(crate) fn unread(&self) -> u64 {
        let Ok(local) = self.stream.local_addr() else { return 0 };
        let port = format!(":{:04X}", local.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let queue = |row: &[&str], half: usize| u64::from_str_radix(row[4].split(':').nth(half)?, 16).ok();
        let of_row = |row: Vec<&str>| match &row[..] {
            row if row.len() < 5 => None,
            row if row[1].ends_with(&port) => queue(row, 1),
            row if row[2].ends_with(&port) => queue(row, 0),
            _ => None,
        };
        rows.filter_map(of_row).sum()
    }

    fn over(&mut self, how: &'static str) {
        self.end.get_or_insert((how, self.began.elapsed()));
    }

    fn listen(&mut self, got: &Got) {
        let status = got.body.get(1).copied().unwrap_or_default();
        if let Some(goaway) = GoAway::from_bytes(&got.body).filter(|_| got.command == GOAWAY) {
            self.word = Some(format!("{goaway}"));
        } else if got.command == HELLO + REPLY && status != 0 {
            self.word = Some(format!("hello refused, status {status}"));
        }
    }
}

/// The body of a greeting.
pub(crate) fn hello(token: &[u8], device: u64) -> Vec<u8> {
    let hello = Hello {
        version: Hello::VERSION,
        resume: false,
        heartbeat: 30,
        epoch: None,
        device: NonZeroU64::new(device).unwrap_or(NonZeroU64::MIN),
        link: 1,
        max_frame: DIALECT.max_frame,
        token,
    };
    [&hello.encode_fixed()[..], token].concat()
}

/// A message of an account to itself, which is in its mailbox and nowhere else.
pub(crate) fn note(account: &str, sequence: u32, length: usize) -> Vec<u8> {
    let body = format!("{{\"to\":\"{account}\",\"text\":\"{:x<length$}\"}}", sequence);
    frame(MESSAGE, sequence, body.as_bytes())
}

/// A frame, also one that is longer than any may be.
pub(crate) fn frame(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let total = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    [&header(total, command, sequence), body].concat()
}

/// A header that says that a frame of this length follows.
pub(crate) fn header(total: u32, command: u32, sequence: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&total.to_be_bytes());
    header[4..8].copy_from_slice(&[0, 16, 0, 1]);
    header[8..12].copy_from_slice(&command.to_be_bytes());
    header[12..].copy_from_slice(&sequence.to_be_bytes());
    header
}
