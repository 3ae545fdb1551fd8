//! One attempt to reach an address: connect, and ask whether somebody is there who speaks the protocol. It blocks, so it
//! has a thread of its own.
//!
//! Needs `bell.rs` and `refused.rs` as its sibling modules.

use super::bell::{Doorbell, News, Try};
use super::refused::Refused;
use longlink::liveness::{Probe, Verdict};
use longlink::session::Attempt;
use longlink::wire::Dialect;
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// An attempt that is under way.
pub(crate) struct Trial {
    pub(crate) name: Try,
    address: SocketAddr,
    stream: Arc<Mutex<Option<TcpStream>>>,
}

/// The library gives an attempt up after as long.
const LIMIT: Duration = Duration::from_secs(10);

impl Trial {
    /// Begins. How it ends comes by the bell.
    pub(crate) fn begin(name: Try, address: SocketAddr, dialect: &'static Dialect, bell: &Doorbell) -> Self {
        let (stream, bell) = (Arc::default(), bell.clone());
        let (trial, slot) = (Self { name, address, stream: Arc::clone(&stream) }, stream);
        thread::spawn(move || {
            let result = connect(address, &slot).and_then(|stream| probe(stream, dialect));
            slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            bell.tell(News::Tried(name, result));
        });
        trial
    }

    /// What happens to it, as a line of JSON, and what else there is to say.
    pub(crate) fn line(&self, event: &str, mut more: Value) -> Value {
        let number = self.name.asked().map(Attempt::number);
        let mut line = json!({"event": event, "attempt": number, "address": self.address.to_string()});
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object_mut()) {
            line.append(more);
        }
        line
    }

    /// Ends what was begun. While it connects nothing can be done; nobody is waiting for it.
    pub(crate) fn abandon(&self) {
        if let Some(stream) = &*self.stream.lock().unwrap_or_else(PoisonError::into_inner) {
            // The other side may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn connect(address: SocketAddr, slot: &Mutex<Option<TcpStream>>) -> Result<TcpStream, Refused> {
    let connected = || -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?);
        Ok(stream)
    };
    Ok(connected()?)
}

/// Nothing is read behind the answer: that is the link's.
fn probe(mut stream: TcpStream, dialect: &'static Dialect) -> Result<TcpStream, Refused> {
    let mut probe = Probe::new(dialect);
    let mut exchange = || -> io::Result<Verdict> {
        while let Some(bytes) = probe.poll_transmit() {
            let n = stream.write(bytes)?;
            probe.handle_sent(n);
        }
        while probe.verdict() == Verdict::Pending {
            match stream.read(probe.space()) {
                Ok(0) => return Ok(Verdict::Pending),
                Ok(n) => probe.commit(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(probe.verdict())
    };
    match exchange()? {
        Verdict::Alive => Ok(stream),
        Verdict::Foreign => Err(Refused::foreign("speaks another protocol")),
        Verdict::Pending => Err(Refused::foreign("closed without an answer")),
    }
}
