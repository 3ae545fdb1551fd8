//! [`Driver`] runs a link over a [`TcpStream`], with one thread that reads and the caller's that does all else.
//!
//! ```no_run
//! use longlink::io::std::{Clock, Driver};
//! use longlink::session::{Config, Event, Storage};
//! use std::net::TcpStream;
//!
//! let clock = Clock::start();
//! let config = Config::DEFAULT;
//! let mut storage: Storage = Storage::new();
//! let mut link = storage.client(&config)?;
//!
//! let driver = Driver::new(TcpStream::connect("127.0.0.1:8080")?)?;
//! link.handle_connected(clock.now());
//! let why = driver.run(&mut link, clock, |now, client, event| match event {
//!     Some(Event::Push(frame)) => println!("{:?}", frame.body()),
//!     Some(Event::Online { .. }) => client.close(now),
//!     _ => {}
//! });
//! println!("{why}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::session::{Disconnect, Endpoint, Link, limits};
use crate::{Instant, earliest};
use ::std::collections::VecDeque;
use ::std::io::{self, ErrorKind, Read, Write};
use ::std::net::{Shutdown, TcpStream};
use ::std::sync::Arc;
use ::std::sync::atomic::{AtomicBool, Ordering};
use ::std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use ::std::time::Duration;
use ::std::vec::Vec;
use ::std::{thread, vec};

/// The monotonic clock of the process, counted from [`Clock::start`]. On some systems it stands still while the device
/// sleeps: then [`Client::wake`](crate::session::Client::wake) is to be told of it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(::std::time::Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(::std::time::Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}

/// One connection on its way through [`run`](Self::run).
///
/// A peer that does not read holds up neither reads nor timers nor the application: a write that would block is given up
/// after [`Driver::WRITE_SLICE`] and tried again.
#[derive(Debug)]
pub struct Driver {
    stream: TcpStream,
    inbox: Receiver<Wake>,
    waker: Waker,
    /// Chunks that were read and not yet taken by the link, and how much of the first was.
    chunks: VecDeque<Chunk>,
    taken: usize,
    /// Buffers on their way back to the reader.
    spare: Sender<Vec<u8>>,
    /// The peer will send nothing more, and why.
    ended: Option<Disconnect>,
    /// This side ended its stream; until then the peer may end its own.
    linger: Option<Instant>,
}

#[derive(Debug)]
enum Wake {
    Chunk(Chunk),
    End(Disconnect),
    Application,
}

/// The first bytes of a buffer, as read.
#[derive(Debug)]
struct Chunk {
    buffer: Vec<u8>,
    len: usize,
}

/// Wakes a [`Driver`] from another thread, so that its application is asked what it wants to do.
#[derive(Clone, Debug)]
pub struct Waker {
    inbox: Sender<Wake>,
    raised: Arc<AtomicBool>,
}

impl Waker {
    /// Has the application called once, soon. Calls before that count as one.
    pub fn wake(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // An error means that the driver is gone, and with it the need.
            let _ = self.inbox.send(Wake::Application);
        }
    }
}

impl Driver {
    /// How long a write may hold up the rest.
    pub const WRITE_SLICE: Duration = Duration::from_millis(10);
    /// How soon a write that would have blocked is tried again.
    const WRITE_RETRY: Duration = Duration::from_millis(40);
    /// The reader may be so far behind the socket; a timer waits for it.
    const READ_GRACE: Duration = Duration::from_millis(2);
    const BUFFERS: usize = 2;
    const BUFFER_LEN: usize = 16 * 1_024;

    /// A driver for a connected stream. Starts the thread that reads from it.
    ///
    /// # Errors
    ///
    /// Those of the socket's options, and of starting a thread.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        // An accepted socket may inherit this from its listener.
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(Some(Self::WRITE_SLICE))?;
        let reader = stream.try_clone()?;
        let (inbox_in, inbox) = mpsc::channel();
        let (spare, spares) = mpsc::channel();
        for _ in 0..Self::BUFFERS {
            // The receiver lives in this function still.
            let _ = spare.send(vec![0; Self::BUFFER_LEN]);
        }
        let waker = Waker { inbox: inbox_in.clone(), raised: Arc::default() };
        thread::Builder::new().spawn(move || read_all(reader, &spares, &inbox_in))?;
        Ok(Self { stream, inbox, waker, chunks: VecDeque::new(), taken: 0, spare, ended: None, linger: None })
    }

    /// What wakes this driver from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Runs the connection to its end, and returns why it ended.
    ///
    /// `app` is called with every event, and with `None` at every wake-up, for whatever reason: after bytes came, after some
    /// were written, at a deadline, after [`Waker::wake`]. Either way it may give the endpoint commands.
    pub fn run<E, B>(
        mut self,
        link: &mut Link<E, B>,
        clock: Clock,
        mut app: impl FnMut(Instant, &mut E, Option<E::Event<'_>>),
    ) -> Disconnect
    where
        E: Endpoint,
        B: AsRef<[u8]> + AsMut<[u8]>,
    {
        loop {
            let now = clock.now();
            self.feed(link, now, &mut app);
            self.waker.raised.store(false, Ordering::Release);
            app(now, link.endpoint_mut(), None);
            // What a command brought about is told at once, and may lead to another.
            let mut told = false;
            link.process(now, |endpoint, event| {
                told = true;
                app(now, endpoint, Some(event));
            });
            let (written, moved) = self.write(link, &clock);
            // What was written made room, which the application or the peer may have waited for.
            if !moved && !told {
                if let Some(why) = self.is_over(link, clock.now(), written) {
                    let why = link.handle_disconnected(clock.now(), why);
                    link.process(clock.now(), |endpoint, event| app(clock.now(), endpoint, Some(event)));
                    return why;
                }
                let retry = (written == Written::Some).then(|| clock.now() + Self::WRITE_RETRY);
                self.wait(earliest([link.poll_timeout(), self.linger, retry]), &clock);
            }
            while let Ok(wake) = self.inbox.try_recv() {
                self.note(wake);
            }
        }
    }

    /// Gives the link what was read, as far as it will take it, and the application the events.
    fn feed<E, B>(
        &mut self,
        link: &mut Link<E, B>,
        now: Instant,
        app: &mut impl FnMut(Instant, &mut E, Option<E::Event<'_>>),
    ) where
        E: Endpoint,
        B: AsRef<[u8]> + AsMut<[u8]>,
    {
        loop {
            link.process(now, |endpoint, event| app(now, endpoint, Some(event)));
            let Some(chunk) = self.chunks.front() else {
                return if self.ended == Some(Disconnect::PeerClosed) {
                    link.handle_end()
                };
            };
            let rest = chunk.buffer.get(self.taken..chunk.len).unwrap_or_default();
            let n = (&mut *link.space()).write(rest).unwrap_or(0);
            if n == 0 && !rest.is_empty() {
                return;
            }
            link.handle_read(now, n);
            self.taken = self.taken.saturating_add(n);
            if n == rest.len() {
                self.taken = 0;
                if let Some(chunk) = self.chunks.pop_front() {
                    // The reader may have ended.
                    let _ = self.spare.send(chunk.buffer);
                }
            }
        }
    }

    /// Writes what there is, and tells whether any of it moved.
    fn write<E, B>(&mut self, link: &mut Link<E, B>, clock: &Clock) -> (Written, bool)
    where
        E: Endpoint,
        B: AsRef<[u8]> + AsMut<[u8]>,
    {
        let mut moved = false;
        while let Some(bytes) = link.poll_transmit() {
            match self.stream.write(bytes) {
                Ok(0) => return (Written::Failed, moved),
                Ok(n) => {
                    link.handle_sent(clock.now(), n);
                    moved = true;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return (Written::Some, moved),
                    _ => return (Written::Failed, moved),
                },
            }
        }
        (Written::All, moved)
    }

    /// Whether the connection ends now. Ends this side's stream when it is time to.
    fn is_over<E, B>(&mut self, link: &mut Link<E, B>, now: Instant, written: Written) -> Option<Disconnect>
    where
        E: Endpoint,
        B: AsRef<[u8]> + AsMut<[u8]>,
    {
        let failed = self.ended.filter(|why| *why != Disconnect::PeerClosed && self.chunks.is_empty());
        if let Some(why) = link.over().or(failed) {
            return Some(why);
        }
        let closing = link.closing();
        let silent = written == Written::Failed || (closing.is_some() && written == Written::All);
        if silent && self.linger.is_none() {
            // What the peer sent before is still to be read; it may have closed already.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.linger = Some(now + limits::CLOSE_TIMEOUT);
        }
        self.linger.filter(|at| *at <= now).map(|_| closing.unwrap_or(Disconnect::Transport))
    }

    /// Waits for bytes or for the application, up to the `deadline`.
    fn wait(&mut self, deadline: Option<Instant>, clock: &Clock) {
        let wake = match deadline {
            Some(at) => self.inbox.recv_timeout(at - clock.now()),
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        // Bytes first: they may be what a timer waits for.
        if let Ok(wake) = wake.or_else(|_| self.inbox.recv_timeout(Self::READ_GRACE)) {
            self.note(wake);
        }
    }

    fn note(&mut self, wake: Wake) {
        match wake {
            Wake::Chunk(chunk) => self.chunks.push_back(chunk),
            Wake::End(why) => self.ended = Some(why),
            Wake::Application => {}
        }
    }
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    All,
    /// The peer does not take more just now.
    Some,
    Failed,
}

/// Ends the connection, also for the thread that reads.
impl Drop for Driver {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The reader: as many chunks at a time as there are buffers.
fn read_all(mut stream: TcpStream, spares: &Receiver<Vec<u8>>, inbox: &Sender<Wake>) {
    while let Ok(mut buffer) = spares.recv() {
        let wake = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break Wake::End(Disconnect::PeerClosed),
                Ok(len) => break Wake::Chunk(Chunk { buffer, len }),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break Wake::End(Disconnect::Transport),
            }
        };
        let over = matches!(wake, Wake::End(_));
        if inbox.send(wake).is_err() || over {
            return;
        }
    }
}
