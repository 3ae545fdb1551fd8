//! What the server does on one link for the mailbox of the device's account.
//!
//! Needs `hub.rs`, `keeper.rs`, `mailbox` and `room.rs` as its sibling modules.

use super::hub::Seat;
use super::keeper::Record;
use super::mailbox::View;
use super::room::Session;
use longlink::Instant;
use longlink::session::SendError;
use longlink::sync::{self, Ack, Answered, Epoch, Fetch, Mailbox, Refusal, Request, STORE_RETRY};
use std::fmt::Display;

/// A device that has greeted, and its link.
pub(crate) struct Mailing<'a> {
    pub(crate) id: u64,
    pub(crate) device: &'a Record,
}

impl Mailing<'_> {
    /// Answers "what is new?" as things are now.
    pub(crate) fn answer(&self, now: Instant, server: &mut Session<'_>, sequence: u32, request: &Request<'_>) {
        let Some(mut mailbox) = self.device.mailbox() else {
            return server.refuse_sync(now, sequence, Refusal::Bad);
        };
        let answered = server.answer_sync(now, sequence, request, &mut mailbox);
        if self.note("sync", answered).is_none() {
            server.refuse_sync(now, sequence, Refusal::RetryLater(STORE_RETRY));
        }
    }

    /// Answers a request for a part of an item.
    pub(crate) fn fetch(&self, now: Instant, server: &mut Session<'_>, sequence: u32, fetch: &Fetch) {
        if let Some(mut mailbox) = self.device.mailbox() {
            // Without an answer the device asks again.
            self.note("fetch", server.answer_fetch(now, sequence, fetch, &mut mailbox));
        }
    }

    /// The device has stored what it was sent.
    pub(crate) fn acknowledge(&self, ack: &Ack<'_>) {
        let Some(mut mailbox) = self.device.mailbox() else { return };
        if let Err(error) = sync::acknowledge(ack, &mut mailbox) {
            eprintln!("link {}: cannot note an ack: {error:#}", self.id);
        }
    }

    /// Tells the device what is new, wherever it came from.
    pub(crate) fn notify(&self, now: Instant, server: &mut Session<'_>, seat: &Seat) {
        let heads = std::mem::take(&mut seat.news().heads);
        if heads.is_empty() {
            return;
        }
        if let Some(epoch) = self.device.mailbox().and_then(epoch) {
            heads.into_iter().for_each(|(key, head)| server.notify(now, epoch, key, head));
        }
    }

    fn note<E: Display>(&self, what: &str, answered: Result<Answered<E>, SendError>) -> Option<Answered<E>> {
        match &answered {
            Ok(Answered { error: Some(error), .. }) => eprintln!("link {}: {what}: {error:#}", self.id),
            Err(error) => eprintln!("link {}: cannot answer a {what}: {error}", self.id),
            Ok(_) => {}
        }
        answered.ok()
    }
}

fn epoch(mut mailbox: View) -> Option<Epoch> {
    mailbox.epoch().ok()
}
