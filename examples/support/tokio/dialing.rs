//! How the client comes by its links: the library says when to connect and where to, each attempt is a task, and what comes of
//! it is polled here.
//!
//! ```text
//!   Connect ──▶ reach ────────┐
//!                             ├─▶ poll ─▶ handle_alive, handle_refused, set_addresses
//!   Resolve ──▶ lookup_host ──┘
//! ```
//!
//! Needs `names.rs` and `refused.rs` as its sibling modules.

use super::names::Names;
use super::refused::Refused;
use longlink::Instant;
use longlink::liveness::{Probe, Verdict};
use longlink::session::{Attempt, Client, Event};
use longlink::wire::Dialect;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection, with TLS or without.
pub(crate) type Stream = Box<dyn Duplex>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// How to speak TLS, and whose certificate is expected.
pub(crate) type Secure = (TlsConnector, ServerName<'static>);

/// What is under way.
pub(crate) struct Dialing {
    names: Names,
    secure: Option<Secure>,
    trials: Vec<Trial>,
    tasks: JoinSet<News>,
    /// The connection that is the link from now on.
    won: Option<(SocketAddr, Stream)>,
}

/// An attempt.
struct Trial {
    attempt: Attempt,
    address: SocketAddr,
    task: AbortHandle,
}

/// What tasks find out.
enum News {
    Tried(Attempt, Result<Stream, Refused>),
    /// The addresses of each name; `None` for one that could not be resolved.
    Resolved(Vec<Option<Vec<SocketAddr>>>),
}

impl Dialing {
    pub(crate) fn new(names: Names, secure: Option<Secure>) -> Self {
        Self { names, secure, trials: Vec::new(), tasks: JoinSet::new(), won: None }
    }

    /// Wants a link from now on.
    pub(crate) fn open(&mut self, now: Instant, client: &mut Client<'_>, seed: u64) {
        self.names.tell(now, client);
        client.open(now, seed);
    }

    /// Does what the library asks for, and returns what there is to tell; `None` if the event is another's.
    pub(crate) fn handle(&mut self, event: &Event<'_>) -> Option<Value> {
        match *event {
            Event::Connect(attempt) => {
                let address = self.names.get(attempt.address())?;
                let secure = self.secure.clone();
                let task = self.tasks.spawn(async move { News::Tried(attempt, reach(address, secure).await) });
                let trial = Trial { attempt, address, task };
                let line = trial.line("connect", json!({"check": attempt.is_check()}));
                self.trials.push(trial);
                Some(line)
            }
            Event::Abandon(attempt) => {
                let trial = self.take(attempt)?;
                trial.task.abort();
                Some(trial.line("abandoned", json!({})))
            }
            Event::ResolveAddresses => {
                if let Some(names) = self.names.resolve() {
                    self.tasks.spawn(resolve(names));
                }
                Some(json!({"event": "resolve"}))
            }
            _ => None,
        }
    }

    fn take(&mut self, attempt: Attempt) -> Option<Trial> {
        let at = self.trials.iter().position(|trial| trial.attempt == attempt)?;
        Some(self.trials.swap_remove(at))
    }

    /// Hands on what tasks have found out, whether a link is up or not, and returns what there is to tell. What comes later
    /// wakes the task that asked.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(cx) {
            match ended {
                Ok(News::Tried(attempt, result)) => lines.extend(self.hear(now, client, attempt, result)),
                Ok(News::Resolved(addresses)) => {
                    self.names.handle_resolved(addresses);
                    self.names.tell(now, client);
                }
                Err(_aborted) => {}
            }
        }
        lines
    }

    fn hear(
        &mut self,
        now: Instant,
        client: &mut Client<'_>,
        attempt: Attempt,
        result: Result<Stream, Refused>,
    ) -> Option<Value> {
        // That it was given up has been told.
        let trial = self.take(attempt)?;
        match result {
            Ok(stream) => {
                // Of one that comes too late, or that was a check, only that it is alive was of use.
                if client.handle_alive(now, attempt) {
                    self.won = Some((trial.address, stream));
                }
                None
            }
            Err(Refused { fault, why }) => {
                client.handle_refused(now, attempt, fault);
                let fault = format!("{fault:?}").to_lowercase();
                Some(trial.line("refused", json!({"fault": fault, "why": why})))
            }
        }
    }

    /// The connection that is the link from now on, if it is there.
    pub(crate) fn won(&mut self) -> Option<(SocketAddr, Stream)> {
        self.won.take()
    }

    /// No attempt is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.trials.is_empty()
    }
}

impl Trial {
    /// What happens to it, as a line of JSON, and what else there is to say.
    fn line(&self, event: &str, mut more: Value) -> Value {
        let mut line = json!({"event": event, "attempt": self.attempt.number(), "address": self.address.to_string()});
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object_mut()) {
            line.append(more);
        }
        line
    }
}

/// Connects, and asks whether somebody is there who speaks the protocol. The library gives it up if it takes too long.
async fn reach(address: SocketAddr, secure: Option<Secure>) -> Result<Stream, Refused> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream: Stream = match secure {
        None => Box::new(stream),
        Some((tls, name)) => Box::new(tls.connect(name, stream).await?),
    };
    let mut probe = Probe::new(&Dialect::LONGLINK);
    while let Some(bytes) = probe.poll_transmit() {
        let n = stream.write(bytes).await?;
        probe.handle_sent(n);
    }
    stream.flush().await?;
    // Nothing is read behind the answer: that is the link's.
    while probe.verdict() == Verdict::Pending {
        match stream.read(probe.space()).await? {
            0 => return Err(Refused::foreign("closed without an answer")),
            n => probe.commit(n),
        };
    }
    match probe.verdict() {
        Verdict::Alive => Ok(stream),
        _ => Err(Refused::foreign("speaks another protocol")),
    }
}

async fn resolve(names: Vec<String>) -> News {
    let mut resolved = Vec::new();
    for name in names {
        resolved.push(match lookup_host(&name).await {
            Ok(addresses) => Some(addresses.collect()),
            Err(error) => {
                eprintln!("client: cannot resolve {name}: {error}");
                None
            }
        });
    }
    News::Resolved(resolved)
}
