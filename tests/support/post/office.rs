//! The server's process: what it has stored, and what waits for its word.

use crate::support::Random;
use longlink::Instant;
use longlink::delivery::{AcceptError, DedupWindow, Epoch, Ledger, MessageId, RejectCode, Rejection, Verdict};
use longlink::session::{GoAway, GoAwayCode, HelloStatus, Refuse, Server, ServerEvent};
use std::collections::BTreeMap;

/// What outlives the server's process: the ledger of the device, and its messages in the order in which they were stored.
#[derive(Default)]
pub struct Store {
    pub ledger: Ledger,
    pub messages: Vec<(Epoch, u32, Vec<u8>)>,
}

impl Store {
    /// The transaction: the ledger that is stored decides.
    fn store(&mut self, id: &MessageId, body: &[u8]) -> Option<Verdict> {
        let verdict = self.ledger.accept(id);
        if verdict == Some(Verdict::Fresh) {
            self.messages.push((id.epoch, id.sequence, body.to_vec()));
        }
        verdict
    }
}

/// A message that was offered and is not decided. It stays when its link goes: then only the lease keeps it out.
pub struct Pending {
    pub line: usize,
    pub id: MessageId,
    pub body: Vec<u8>,
}

/// What the application says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Accept,
    /// Stored, and acknowledged later.
    Commit,
    Reject,
    Release,
}

type Link<'m> = Server<'m, Vec<u8>>;

pub struct Office {
    pub store: Store,
    pub pending: Vec<Pending>,
    /// Of a hundred messages so many are decided at once.
    pub eager: u64,
    /// Of a hundred greetings so many are refused for now.
    pub busy: u64,
    pub ordered: bool,
    pub random: Random,
    /// The connection that greeted last, if the others were not closed yet.
    pub newest: Option<usize>,
    /// The epoch and the window that each connection was greeted with.
    pub welcomed: BTreeMap<usize, (Epoch, DedupWindow)>,
}

impl Office {
    pub fn new(ordered: bool, eager: u64, seed: u64) -> Self {
        Self {
            store: Store::default(),
            pending: Vec::new(),
            eager,
            busy: 3,
            ordered,
            random: Random(seed),
            newest: None,
            welcomed: BTreeMap::new(),
        }
    }

    pub fn handle(&mut self, now: Instant, line: usize, server: &mut Link<'_>, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(_) if self.random.below(100) < self.busy => {
                server.refuse(now, &Refuse::new(HelloStatus::Busy)).unwrap();
            }
            ServerEvent::Hello(hello) => match self.store.ledger.greet(hello.epoch, hello.link) {
                Ok(greeted) => {
                    self.newest = Some(line);
                    self.welcomed.insert(line, (greeted.epoch, *self.store.ledger.window()));
                    server.welcome(now, &self.store.ledger, greeted.resumed).unwrap();
                }
                Err(stale) => server.refuse(now, &Refuse::from(stale)).unwrap(),
            },
            ServerEvent::Message { id, frame } => {
                self.pending.push(Pending { line, id: *id, body: frame.body().to_vec() });
                if self.random.below(100) < self.eager {
                    let word = if self.random.below(100) < 5 && self.busy > 0 { Word::Reject } else { Word::Accept };
                    self.say(now, self.pending.len() - 1, Some(server), word);
                }
            }
            _ => {}
        }
    }

    /// Says a word on a message; in order, on the first of its link instead. The link may be gone.
    pub fn say(&mut self, now: Instant, index: usize, server: Option<&mut Link<'_>>, word: Word) {
        let index = if self.ordered { self.first_of(index, word) } else { index };
        let Pending { line, id, body } = &self.pending[index];
        let (line, id) = (*line, *id);
        let word = match word {
            Word::Reject | Word::Release if self.store.ledger.check(&id) == Some(Verdict::Duplicate) => Word::Accept,
            word => word,
        };
        let verdict = match word {
            Word::Accept | Word::Commit => self.store.store(&id, body),
            _ => self.store.ledger.check(&id),
        };
        let Some(server) = server else {
            return self.forget(index, word != Word::Commit);
        };
        let told = match (word, verdict) {
            // The link does not have the say: nothing is stored, and nobody is told of the message.
            (_, None) => {
                server.close(now, GoAway::new(GoAwayCode::Replaced));
                Ok(())
            }
            (Word::Commit, _) => Ok(()),
            (_, Some(Verdict::TooOld)) => server.reject(now, &id, Rejection::new(RejectCode::TooOld)),
            (Word::Accept, _) => server.accept(now, &id),
            (Word::Reject, _) => server.reject(now, &id, Rejection::new(RejectCode::Quota)),
            (Word::Release, _) => server.release(now, &id),
        };
        assert!(!matches!(told, Err(AcceptError::OutOfOrder { .. })), "{id} was the first: {told:?}");
        self.forget(index, word != Word::Commit && told != Err(AcceptError::Full));
        if self.ordered && word == Word::Release {
            self.pending.retain(|pending| pending.line != line);
        }
    }

    /// Of the messages of the same link the one with the lowest sequence; of those that are not stored, if it is to be.
    fn first_of(&self, index: usize, word: Word) -> usize {
        let line = self.pending[index].line;
        let same = self.pending.iter().enumerate().filter(|(_, pending)| {
            let stored = self.store.ledger.check(&pending.id) == Some(Verdict::Duplicate);
            pending.line == line && (word != Word::Commit || !stored)
        });
        same.min_by_key(|(_, pending)| pending.id.sequence).map_or(index, |(index, _)| index)
    }

    fn forget(&mut self, index: usize, decided: bool) {
        if decided {
            self.pending.remove(index);
        }
    }
}
