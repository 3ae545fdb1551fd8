//! The accepting side: its links, and the store, which outlives them.

use longlink::Instant;
use longlink::delivery::{Ledger, MessageId, RejectCode, Rejection, Verdict};
use longlink::session::{GoAway, GoAwayCode, Refuse, Server, ServerConfig, ServerEvent};

pub type ServerLink = longlink::session::Link<Server<'static, Vec<u8>>, Vec<u8>>;

pub static ORDERED: ServerConfig = ServerConfig { ordered: true, ..ServerConfig::DEFAULT };
pub static UNORDERED: ServerConfig = ServerConfig { ordered: false, ..ServerConfig::DEFAULT };

/// A message that a link offered and nobody has decided.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The wire that it came over.
    pub wire: u8,
    pub id: MessageId,
    pub message: u8,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    Store,
    Reject,
    /// The store fails.
    Fail,
}

/// What is durable.
#[derive(Debug, Default)]
pub struct Store {
    pub ledger: Ledger,
    /// Epoch, sequence and message, in the order in which they were stored.
    pub stored: Vec<(u32, u32, u8)>,
    pub offers: Vec<Offer>,
    /// A decision came when another link held the lease.
    pub fenced: bool,
    pub resumed: bool,
}

impl Store {
    pub fn handle(&mut self, now: Instant, wire: u8, server: &mut Server<'static, Vec<u8>>, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Hello(hello) => match self.ledger.greet(hello.epoch, hello.link) {
                Ok(greeted) => {
                    self.resumed |= greeted.resumed && self.ledger.window().last() > 0;
                    server.welcome(now, &self.ledger, greeted.resumed).unwrap();
                }
                Err(stale) => server.refuse(now, &Refuse::from(stale)).unwrap(),
            },
            ServerEvent::Message { id, frame } => self.offers.push(Offer { wire, id, message: frame.body()[0] }),
            _ => {}
        }
    }

    /// Decides an offer; `server` is the link that it came over, if that is still there.
    pub fn decide(
        &mut self,
        now: Instant,
        offer: Offer,
        decision: Decision,
        server: Option<&mut Server<'static, Vec<u8>>>,
    ) {
        let Offer { id, message, .. } = offer;
        let verdict = match decision {
            Decision::Store => self.ledger.accept(&id),
            Decision::Reject | Decision::Fail => self.ledger.check(&id),
        };
        let Some(verdict) = verdict else {
            self.fenced = true;
            if let Some(server) = server {
                server.close(now, GoAway::new(GoAwayCode::Replaced));
            }
            return;
        };
        if verdict == Verdict::Fresh && decision == Decision::Store {
            self.stored.push((id.epoch.get(), id.sequence, message));
        }
        // A link that is gone takes no word any more.
        let Some(server) = server else { return };
        let _ = match (verdict, decision) {
            (Verdict::Fresh, Decision::Reject) => server.reject(now, &id, Rejection::new(RejectCode::Refused)),
            (Verdict::Fresh, Decision::Fail) => server.release(now, &id),
            (Verdict::Fresh | Verdict::Duplicate, _) => server.accept(now, &id),
            (Verdict::TooOld, _) => server.reject(now, &id, Rejection::new(RejectCode::TooOld)),
        };
    }

    pub fn count(&self, message: u8) -> usize {
        self.stored.iter().filter(|(_, _, stored)| *stored == message).count()
    }
}
