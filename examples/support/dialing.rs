//! How the client comes by its links. The library says when to connect and where to; what blocks is done by other threads,
//! whose results come back here.
//!
//! ```text
//!   Connect ──▶ Trial ─┐
//!                      ├─▶ bell ─▶ handle_alive, handle_refused, set_addresses
//!   Resolve ──▶ Names ─┘
//! ```
//!
//! Needs `bell.rs`, `events.rs`, `names.rs`, `refused.rs` and `trying.rs` as its sibling modules.

use super::bell::{Doorbell, News, Try};
use super::events::waiting;
use super::names::Names;
use super::refused::Refused;
use super::trying::Trial;
use longlink::io::std::{Clock, Driver};
use longlink::liveness::{Address, Fault};
use longlink::session::{Attempt, Client, Disconnect, Endpoint, Event, Timer};
use longlink::wire::Dialect;
use longlink::{Instant, earliest};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

/// What is under way.
pub(crate) struct Dialing {
    names: Names,
    dialect: &'static Dialect,
    bell: Doorbell,
    news: Receiver<News>,
    trials: Vec<Trial>,
    is_eager: bool,
    /// The number of the last attempt that the library did not ask for.
    own: u32,
    /// A server has said when to come back.
    is_sent_away: bool,
    /// What was told of the wait that goes on.
    told: Option<Option<(Timer, Instant)>>,
}

/// A connection that is alive, and that the library has not heard of yet.
pub(crate) struct Won {
    /// By which attempt, if the library asked for one.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) address: SocketAddr,
    pub(crate) driver: Driver,
}

impl Dialing {
    /// How long one that does not want to wait does.
    const EAGER: Duration = Duration::from_millis(20);

    pub(crate) fn new(names: Names, dialect: &'static Dialect, bell: Doorbell, news: Receiver<News>) -> Self {
        let (trials, is_eager, own, is_sent_away, told) = (Vec::new(), false, 0, false, None);
        Self { names, dialect, bell, news, trials, is_eager, own, is_sent_away, told }
    }

    /// Does not wait for the library to ask for an attempt, unless a server has asked for that.
    pub(crate) fn with_eagerness(self, is_eager: bool) -> Self {
        Self { is_eager, ..self }
    }

    /// Wants a link from now on.
    pub(crate) fn open(&mut self, now: Instant, client: &mut Client<'_>, seed: u64) {
        self.names.tell(now, client);
        client.open(now, seed);
    }

    /// Does what the library asks for, and returns what there is to tell; `None` if the event is another's.
    pub(crate) fn handle(&mut self, event: &Event<'_>) -> Option<Value> {
        match *event {
            Event::Connect(attempt) => self.begin(Try::Asked(attempt), attempt.address()),
            Event::Abandon(attempt) => {
                let trial = self.take(Try::Asked(attempt))?;
                trial.abandon();
                Some(trial.line("abandoned", json!({})))
            }
            Event::ResolveAddresses => {
                self.resolve();
                Some(json!({"event": "resolve"}))
            }
            Event::Offline(why) => {
                self.is_sent_away = matches!(why, Disconnect::GoAway(_) | Disconnect::Rejected(_));
                None
            }
            _ => None,
        }
    }

    /// Asks for the names that have to be asked for.
    fn resolve(&mut self) {
        let Some(texts) = self.names.resolve() else { return };
        let bell = self.bell.clone();
        thread::spawn(move || {
            let resolve = |text: &String| match text.to_socket_addrs() {
                Ok(addresses) => Some(addresses.collect()),
                Err(error) => {
                    eprintln!("client: cannot resolve {text}: {error}");
                    None
                }
            };
            bell.tell(News::Resolved(texts.iter().map(resolve).collect()));
        });
    }

    fn begin(&mut self, name: Try, address: Address) -> Option<Value> {
        let address = self.names.get(address)?;
        let trial = Trial::begin(name, address, self.dialect, &self.bell);
        let check = name.asked().is_some_and(Attempt::is_check);
        let line = trial.line("connect", json!({"check": check}));
        self.trials.push(trial);
        Some(line)
    }

    /// To the address that comes first.
    fn begin_own(&mut self) -> Option<Value> {
        let address = *self.names.addresses().first()?;
        self.own = self.own.wrapping_add(1);
        self.begin(Try::Own(self.own), address)
    }

    fn take(&mut self, name: Try) -> Option<Trial> {
        let at = self.trials.iter().position(|trial| trial.name == name)?;
        Some(self.trials.swap_remove(at))
    }

    /// While a link is up: hands on what has come, and returns what there is to tell.
    pub(crate) fn act(&mut self, now: Instant, client: &mut Client<'_>) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Ok(news) = self.news.try_recv() {
            let (alive, line) = self.hear(now, client, news);
            lines.extend(line);
            // Of a connection that comes now only that it is alive is of use.
            if let Some(attempt) = alive.and_then(|(name, _)| name.asked()) {
                let _ = client.handle_alive(now, attempt);
            }
        }
        lines
    }

    /// Without a link: tells what it waits for, waits for it, and returns the connection if that is what came.
    pub(crate) fn wait(&mut self, clock: Clock, client: &mut Client<'_>, print: impl Fn(&Value)) -> Option<Won> {
        let timer = client.next_timer();
        let hastens = self.is_eager && !self.is_sent_away && self.trials.is_empty() && !client.is_dormant();
        // Of attempts all is told already.
        if self.told != Some(timer) && !hastens && self.trials.is_empty() {
            print(&waiting(clock.now(), timer));
            self.told = Some(timer);
        }
        let haste = hastens.then(|| clock.now() + Self::EAGER);
        let news = match earliest([timer.map(|(_, at)| at), haste]) {
            Some(at) => self.news.recv_timeout(at - clock.now()).ok(),
            None => self.news.recv().ok(),
        };
        let Some(news) = news else {
            if haste.is_some_and(|at| at <= clock.now()) {
                self.begin_own().iter().for_each(print);
            }
            return None;
        };
        let (alive, line) = self.hear(clock.now(), client, news);
        line.iter().for_each(print);
        let (name, stream) = alive?;
        let attempt = name.asked();
        self.trials.retain(|trial| trial.name.asked().is_some());
        match stream.peer_addr().and_then(|address| Ok((address, Driver::new(stream)?))) {
            Ok((address, driver)) => Some(Won { attempt, address, driver }),
            Err(error) => {
                eprintln!("client: cannot use a connection: {error}");
                client.handle_refused(clock.now(), attempt?, Fault::Unreachable);
                None
            }
        }
    }

    /// Takes what another thread has found out: a connection that is wanted, or what there is to tell.
    fn hear(&mut self, now: Instant, client: &mut Client<'_>, news: News) -> (Option<(Try, TcpStream)>, Option<Value>) {
        match news {
            News::Rung => (None, None),
            News::Resolved(addresses) => {
                self.names.handle_resolved(addresses);
                self.names.tell(now, client);
                (None, None)
            }
            News::Tried(name, result) => match (self.take(name), result) {
                // That it was given up has been told.
                (None, _) => (None, None),
                (Some(_), Ok(stream)) => (Some((name, stream)), None),
                (Some(trial), Err(Refused { fault, why })) => {
                    if let Some(attempt) = name.asked() {
                        client.handle_refused(now, attempt, fault);
                    }
                    let fault = format!("{fault:?}").to_lowercase();
                    (None, Some(trial.line("refused", json!({"fault": fault, "why": why}))))
                }
            },
        }
    }
}
