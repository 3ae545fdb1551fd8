//! What the device does with its link, step by step, and what it tells of it. A line of level "info" is the same in every
//! run; the runner compares them.
//!
//! ```text
//!   CatchUp ─────────▶ Beat ─────────▶ Report ────────▶ Endure ───────▶ Recover ────────▶ Leave ───────▶ Over
//!            caught up       answered         all back         offline          all back         offline
//! ```

use crate::inbox::Inbox;
use heapless::Vec;
use longlink::Instant;
use longlink::session::{Client, Disconnect, Event, SendError};

/// How many messages are sent over the first link, how many just before the link breaks, and how many while there is none.
const REPORTS: u8 = 4;
const LAST: u8 = 1;
const QUEUED: u8 = 2;
/// What each of them begins with.
const NAME: &str = "meter ";

pub struct App {
    step: Step,
    inbox: Inbox,
    sent: u8,
    delivered: u8,
    beats: u8,
    links: u8,
    events: u32,
    trouble: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What is in the mailbox comes.
    CatchUp,
    /// Nothing happens, for as long as it takes for a heartbeat to be due.
    Beat,
    /// Messages are delivered, and come back: the mailbox has what the device itself sent, too.
    Report,
    /// A message is stored, and the link breaks before the answer is here.
    Endure,
    /// There is another; what was sent meanwhile is delivered.
    Recover,
    /// The link is closed in good order.
    Leave,
    Over,
}

impl App {
    pub const fn new() -> Self {
        Self {
            step: Step::CatchUp,
            inbox: Inbox::new(),
            sent: 0,
            delivered: 0,
            beats: 0,
            links: 0,
            events: 0,
            trouble: None,
        }
    }

    pub fn is_over(&self) -> bool {
        self.step == Step::Over || self.trouble.is_some()
    }

    /// What went wrong, if anything did.
    pub fn finish(&self) -> Result<(), &'static str> {
        defmt::debug!("{=u32} events", self.events);
        let (items, stored) = (self.inbox.items().len(), self.inbox.cursor().len());
        defmt::info!("{=u8} links, {=u8} delivered, {=usize} items", self.links, self.delivered, items);
        defmt::debug!("a cursor of {=usize} bytes", stored);
        match self.trouble {
            Some(trouble) => Err(trouble),
            None => {
                defmt::info!("done");
                Ok(())
            }
        }
    }

    pub fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Event<'_>) {
        self.events = self.events.saturating_add(1);
        match event {
            Event::Online { resumed, .. } => {
                self.links = self.links.saturating_add(1);
                defmt::info!("online, link {=u8}, resumed: {=bool}", self.links, resumed);
            }
            Event::Heartbeat { .. } => self.beats = self.beats.saturating_add(1),
            Event::Delivered { token } => {
                self.delivered = self.delivered.saturating_add(1);
                defmt::info!("delivered {=u32}", token.sequence());
            }
            Event::Page(page) => {
                for gap in page.entries().filter(|entry| entry.has_gap) {
                    defmt::warn!("the device was away for too long: key {=u16} has a gap", gap.key);
                }
                // First it is stored, then the mailbox may forget it.
                if !self.inbox.store(&page, client) {
                    self.trouble = Some("no room for what came");
                    client.abandon(now);
                } else if client.commit(now, &page.receipt()).is_err() {
                    self.trouble = Some("a page was committed twice");
                }
            }
            Event::Offline(why) => self.handle_offline(now, client, why),
            Event::CaughtUp | Event::ResolveAddresses | Event::Push(_) => {}
            Event::Failed { .. } => self.trouble = Some("a message was not delivered"),
            other => defmt::warn!("unexpected: {}", other),
        }
        self.go_on(now, client);
        if self.trouble.is_some() {
            client.close(now);
        }
    }

    fn handle_offline(&mut self, now: Instant, client: &mut Client<'_>, why: Disconnect) {
        defmt::info!("offline: {=str}", why.name());
        match self.step {
            Step::Endure => {
                self.step = Step::Recover;
                self.send(now, client, QUEUED);
            }
            Step::Leave => self.step = Step::Over,
            _ => {}
        }
    }

    /// The next step, once this one is done.
    fn go_on(&mut self, now: Instant, client: &mut Client<'_>) {
        match self.step {
            Step::CatchUp if client.is_caught_up() => {
                self.show();
                (self.step, self.beats) = (Step::Beat, 0);
            }
            Step::Beat if self.beats > 0 => {
                defmt::info!("a heartbeat was answered");
                self.step = Step::Report;
                self.send(now, client, REPORTS);
            }
            Step::Report if self.is_all_back() => {
                self.show();
                self.step = Step::Endure;
                self.send(now, client, LAST);
            }
            Step::Recover if self.is_all_back() => {
                self.show();
                self.step = Step::Leave;
                client.close(now);
            }
            _ => {}
        }
    }

    /// Without a link they wait for one.
    fn send(&mut self, now: Instant, client: &mut Client<'_>, count: u8) {
        for _ in 0..count {
            let number = self.sent.saturating_add(1);
            let mut text: Vec<u8, 8> = Vec::new();
            let _ = text.extend_from_slice(NAME.as_bytes());
            let _ = text.push(b'0'.saturating_add(number));
            match client.send(now, &text) {
                Ok(_) => {
                    defmt::info!("send {=str}{=u8}", NAME, number);
                    self.sent = number;
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: SendError) {
        defmt::error!("not sent: {}", error);
        self.trouble = Some("a message could not be sent");
    }

    /// All that was sent is delivered, and is in the mailbox.
    fn is_all_back(&self) -> bool {
        let back = self.inbox.items().iter().filter(|item| item.text().starts_with(NAME)).count();
        self.delivered == self.sent && back >= usize::from(self.sent)
    }

    /// Tells of the items that came since the last time.
    fn show(&mut self) {
        for item in self.inbox.items_mut().iter_mut().filter(|item| !item.is_shown) {
            defmt::info!("item {=u16}_{=u64}: {=str}", item.key, item.val, item.text());
            item.is_shown = true;
        }
    }
}
