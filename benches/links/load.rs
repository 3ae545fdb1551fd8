//! The devices: links that greet, and then send a heartbeat now and then.

use anyhow::{Result, ensure};
use longlink::session::Hello;
use longlink::wire::{Dialect, encode};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

const DIALECT: &Dialect = &Dialect::LONGLINK;
const HEARTBEAT: u32 = 6;
const HELLO: u32 = 205;
const REPLY: u32 = 1_000_000_000;
/// So many connect at the same time.
const AT_ONCE: usize = 4;

/// A server to be loaded.
pub(crate) struct Load(SocketAddr);

/// Links that have greeted.
pub(crate) struct Crowd(Vec<TcpStream>);

impl Load {
    pub(crate) const fn new(server: SocketAddr) -> Self {
        Self(server)
    }

    /// So many links, each of a device of its own.
    pub(crate) fn greet(&self, links: usize) -> Result<Crowd> {
        let part =
            |first: usize| (first..links).step_by(AT_ONCE).map(|device| self.link(device)).collect::<Result<Vec<_>>>();
        let parts = thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(move || part(first))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>>>()
        })?;
        Ok(Crowd(parts.into_iter().flatten().collect()))
    }

    fn link(&self, device: usize) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.0)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let token = format!("account {}", device / 2);
        let hello = Hello {
            version: Hello::VERSION,
            resume: false,
            heartbeat: 300,
            epoch: None,
            device: NonZeroU64::MIN.saturating_add(device as u64),
            link: 1,
            max_frame: 1_024,
            token: token.as_bytes(),
        };
        let body = [&hello.encode_fixed()[..], hello.token].concat();
        stream.write_all(&frame(HELLO, 0xFFFF_FFFE, &body))?;
        let reply = read_frame(&mut stream)?;
        ensure!(reply[8..12] == u32::to_be_bytes(HELLO + REPLY) && reply[17] == 0, "the greeting is refused");
        Ok(stream)
    }
}

impl Crowd {
    /// Each link sends a heartbeat within this time, and is answered.
    pub(crate) fn beat(&mut self, time: Duration) -> Result<()> {
        let (began, links) = (Instant::now(), self.0.len());
        let heartbeat = frame(HEARTBEAT, u32::MAX, b"");
        let mut answered = 0;
        for sent in 0..links {
            self.0[sent].write_all(&heartbeat)?;
            let due = time.mul_f64((sent + 1) as f64 / links as f64);
            if let Some(wait) = due.checked_sub(began.elapsed()).filter(|wait| *wait > Duration::from_millis(5)) {
                // Meanwhile the answers have come.
                thread::sleep(wait);
                self.take(&mut answered, sent + 1)?;
            }
        }
        self.take(&mut answered, links)
    }

    fn take(&mut self, answered: &mut usize, sent: usize) -> Result<()> {
        for stream in &mut self.0[*answered..sent] {
            let answer = read_frame(stream)?;
            ensure!(answer[8..12] == u32::to_be_bytes(HEARTBEAT + REPLY), "that is no answer to a heartbeat");
        }
        *answered = sent;
        Ok(())
    }
}

fn frame(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 16 + body.len()];
    encode(DIALECT, command, sequence, body, &mut frame).unwrap();
    frame
}

fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}
