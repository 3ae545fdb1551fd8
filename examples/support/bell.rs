//! What other threads have for the one that holds the links, and how they get its attention.
//!
//! Needs `refused.rs` as its sibling module.

use super::refused::Refused;
use longlink::io::std::Waker;
use longlink::session::Attempt;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What there is.
pub(crate) enum News {
    /// Something that is found out by looking.
    Rung,
    /// The addresses of each name; `None` for one that could not be resolved.
    Resolved(Vec<Option<Vec<SocketAddr>>>),
    /// What became of an attempt.
    Tried(Try, Result<TcpStream, Refused>),
}

/// Which attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    /// The library asked for it.
    Asked(Attempt),
    /// The client did not wait for that. They are numbered.
    Own(u32),
}

impl Try {
    pub(crate) fn asked(self) -> Option<Attempt> {
        if let Self::Asked(attempt) = self { Some(attempt) } else { None }
    }
}

/// Rings where the links are held, whether one is up or not.
#[derive(Clone)]
pub(crate) struct Doorbell {
    link: Arc<Mutex<Option<Waker>>>,
    news: Sender<News>,
}

impl Doorbell {
    /// A bell, and what is heard of it.
    pub(crate) fn new() -> (Self, Receiver<News>) {
        let (news, heard) = mpsc::channel();
        (Self { link: Arc::default(), news }, heard)
    }

    /// This is the link now.
    pub(crate) fn connect(&self, waker: Waker) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    pub(crate) fn ring(&self) {
        self.tell(News::Rung);
    }

    /// There first, then to be looked for: who is woken finds it.
    pub(crate) fn tell(&self, news: News) {
        // Who holds one link only does not listen to this.
        let _ = self.news.send(news);
        if let Some(waker) = &*self.link.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake();
        }
    }

    /// Rings after so long.
    pub(crate) fn ring_in(&self, time: Duration) {
        let bell = self.clone();
        thread::spawn(move || {
            thread::sleep(time);
            bell.ring();
        });
    }
}
