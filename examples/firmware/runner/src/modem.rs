//! The modem at the other end of the UART: it dials over TCP. What it says and hears is in the firmware's `src/modem.rs`.

use crate::board::News;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const ESC: u8 = 0x10;
/// Nobody answers.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The modem, and the network that it is in.
pub struct Modem(Arc<Shared>);

struct Shared {
    addresses: Vec<SocketAddr>,
    /// To the firmware: the call and the modem itself write here, a whole sequence at a time.
    uart: Mutex<TcpStream>,
    call: Mutex<Option<Call>>,
    has_network: Mutex<bool>,
    is_back: Condvar,
    news: Sender<News>,
}

struct Call {
    stream: TcpStream,
    /// Nothing of it reaches the firmware any more.
    is_cut: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Modem {
    /// Serves the UART from now on. The firmware calls `addresses` by their numbers. When it sends `last`, it gets no answer,
    /// and that is told.
    pub fn start(
        uart: TcpStream,
        addresses: Vec<SocketAddr>,
        last: &'static [u8],
        news: Sender<News>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            addresses,
            uart: Mutex::new(uart.try_clone()?),
            call: Mutex::default(),
            has_network: Mutex::new(true),
            is_back: Condvar::new(),
            news,
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&serving, uart, Watch { last, recent: Vec::new() }));
        Ok(Self(shared))
    }

    /// The network is gone, and the call with it. What the firmware sent before has arrived when this returns: the server
    /// has read all, and left.
    pub fn cut(&self) {
        *lock(&self.0.has_network) = false;
        let call = lock(&self.0.call).take();
        if let Some(call) = call {
            call.is_cut.store(true, Ordering::SeqCst);
            let _ = call.stream.shutdown(Shutdown::Write);
            let _ = call.reader.join();
            self.0.tell(b'N');
        }
    }

    /// The network is back.
    pub fn mend(&self) {
        *lock(&self.0.has_network) = true;
        self.0.is_back.notify_all();
    }
}

/// Waits for what the firmware sends last, in pieces of any length.
struct Watch {
    last: &'static [u8],
    recent: Vec<u8>,
}

impl Watch {
    fn sees(&mut self, data: &[u8]) -> bool {
        self.recent.extend(data);
        let is_seen = self.recent.windows(self.last.len()).any(|bytes| bytes == self.last);
        let kept = if is_seen { 0 } else { self.last.len() - 1 };
        self.recent.drain(..self.recent.len().saturating_sub(kept));
        is_seen
    }
}

/// What has come of an escape sequence.
enum Escape {
    None,
    Begun,
    /// A number is to follow.
    Dial,
}

/// Does what the firmware says, until the UART is closed.
fn serve(shared: &Arc<Shared>, mut uart: TcpStream, mut watch: Watch) {
    let (mut bytes, mut data, mut escape) = ([0; 1_024], Vec::new(), Escape::None);
    loop {
        let n = match uart.read(&mut bytes) {
            Ok(0) => return shared.hang_up(),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return shared.hang_up(),
        };
        for &byte in &bytes[..n] {
            escape = match (escape, byte) {
                (Escape::None, ESC) => Escape::Begun,
                (Escape::None, byte) => {
                    data.push(byte);
                    Escape::None
                }
                (Escape::Begun, ESC) => {
                    data.push(ESC);
                    Escape::None
                }
                (Escape::Begun, letter) => {
                    shared.write(&mut data, &mut watch);
                    shared.obey(letter)
                }
                (Escape::Dial, number) => {
                    shared.dial(number);
                    Escape::None
                }
            };
        }
        shared.write(&mut data, &mut watch);
    }
}

impl Shared {
    fn obey(&self, letter: u8) -> Escape {
        match letter {
            b'D' => return Escape::Dial,
            b'E' => {
                if let Some(call) = &*lock(&self.call) {
                    let _ = call.stream.shutdown(Shutdown::Write);
                }
            }
            b'H' => {
                self.hang_up();
                self.tell(b'F');
            }
            letter => eprintln!("modem: nobody knows what {letter:#04x} means"),
        }
        Escape::None
    }

    /// Waits for a network, if there is none.
    fn dial(self: &Arc<Self>, number: u8) {
        let has_network = lock(&self.has_network);
        drop(self.is_back.wait_while(has_network, |has_network| !*has_network));
        let address = self.addresses.get(usize::from(number.wrapping_sub(b'0')));
        let stream = address.and_then(|address| TcpStream::connect_timeout(address, TIMEOUT).ok());
        let Some((stream, reading)) = stream.and_then(|stream| Some((stream.try_clone().ok()?, stream))) else {
            return self.tell(b'R');
        };
        let _ = stream.set_nodelay(true);
        let mut call = lock(&self.call);
        self.tell(b'C');
        let (shared, is_cut) = (Arc::clone(self), Arc::new(AtomicBool::new(false)));
        let cut = Arc::clone(&is_cut);
        let reader = thread::spawn(move || shared.listen(reading, &cut));
        *call = Some(Call { stream, is_cut, reader });
    }

    /// Nothing of the call comes after this.
    fn hang_up(&self) {
        let call = lock(&self.call).take();
        if let Some(call) = call {
            let _ = call.stream.shutdown(Shutdown::Both);
            let _ = call.reader.join();
        }
    }

    /// What goes into the call.
    fn write(&self, data: &mut Vec<u8>, watch: &mut Watch) {
        if let Some(call) = &mut *lock(&self.call) {
            if watch.sees(data) {
                call.is_cut.store(true, Ordering::SeqCst);
                let _ = self.news.send(News::Caught);
            }
            // That it is lost its reader tells.
            let _ = call.stream.write_all(data);
        }
        data.clear();
    }

    /// What comes out of the call.
    fn listen(&self, mut stream: TcpStream, is_cut: &AtomicBool) {
        let mut bytes = [0; 1_024];
        loop {
            let read = stream.read(&mut bytes);
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ if is_cut.load(Ordering::SeqCst) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                }
                Ok(0) => return self.tell(b'E'),
                Ok(n) => {
                    let stuffed: Vec<u8> = bytes[..n].iter().flat_map(|&byte| stuff(byte)).collect();
                    let _ = lock(&self.uart).write_all(&stuffed);
                }
                Err(_) => return self.tell(b'N'),
            }
        }
    }

    fn tell(&self, letter: u8) {
        // When the machine is off nobody listens.
        let _ = lock(&self.uart).write_all(&[ESC, letter]);
    }
}

fn stuff(byte: u8) -> impl Iterator<Item = u8> {
    std::iter::repeat_n(byte, if byte == ESC { 2 } else { 1 })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
