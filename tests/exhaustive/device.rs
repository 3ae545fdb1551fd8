//! The connecting side: the client, its application, and what they store.

use longlink::Instant;
use longlink::delivery::{Failure, MessagePolicy, Token};
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Event, Identity, Link, Storage};
use std::num::NonZeroU64;

/// The memory of one process.
pub type Memory = Storage<272, 96, 4>;
pub type ClientLink<'m> = Link<Client<'m>, &'m mut [u8]>;

pub fn config(keeps_state: bool, epoch: Option<u32>) -> Config<'static> {
    let device = NonZeroU64::MIN;
    let epoch = epoch.and_then(longlink::delivery::Epoch::new);
    Config {
        identity: Some(Identity { account: 1, device, epoch, keeps_state }),
        // Nothing but what is under test is due.
        heartbeat: HeartbeatPolicy::Passive,
        message: MessagePolicy { attempts: 2, ..MessagePolicy::DEFAULT },
        ..Config::DEFAULT
    }
}

/// How a message ended, as its application was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    Rejected,
    Failed { written: bool },
    Cancelled { written: bool },
}

/// What the application on the device knows.
#[derive(Debug, Default)]
pub struct Device {
    /// Which process it is: tokens are of one only.
    pub process: u8,
    /// How many messages were sent so far; the body of each is its number.
    pub sent: u8,
    pub waiting: Vec<(u8, Token)>,
    /// Of which process, which message, how it ended, and its sequence and epoch then.
    pub ended: Vec<(u8, u8, End, (u32, u32))>,
    /// Every state that was stored, oldest first.
    pub saved: Vec<Vec<u8>>,
    /// A state that was not the newest was restored: messages of before may come twice.
    pub repeats: bool,
    /// A rollback or a lost epoch was told.
    pub epoch_lost: bool,
    pub broken: Option<&'static str>,
}

impl Device {
    pub fn handle(&mut self, client: &Client<'_>, event: &Event<'_>) {
        match *event {
            Event::Delivered { token } => self.end(client, token, End::Delivered),
            Event::Cancelled { token, written } => self.end(client, token, End::Cancelled { written }),
            Event::Failed { token, why: Failure::Rejected(_), .. } => self.end(client, token, End::Rejected),
            Event::Failed { token, written, .. } => self.end(client, token, End::Failed { written }),
            Event::EpochLost { .. } => {
                self.epoch_lost = true;
                // What ended before had its sequence in another epoch.
                self.ended.iter_mut().for_each(|(_, _, _, under)| *under = (0, 0));
            }
            _ => {}
        }
    }

    fn end(&mut self, client: &Client<'_>, token: Token, end: End) {
        let Some(at) = self.waiting.iter().position(|(_, waiting)| *waiting == token) else {
            self.broken = Some("a message ended twice");
            return;
        };
        let (message, _) = self.waiting.remove(at);
        let epoch = client.epoch().map_or(0, longlink::delivery::Epoch::get);
        self.ended.push((self.process, message, end, (epoch, token.sequence())));
    }

    pub fn send(&mut self, now: Instant, client: &mut Client<'_>) {
        let message = self.sent;
        self.sent += 1;
        let token = client.send(now, &[message]).unwrap();
        self.waiting.push((message, token));
    }

    pub fn save(&mut self, now: Instant, client: &mut Client<'_>) {
        let mut state = [0; 256];
        let length = client.save(now, &mut state).unwrap();
        if self.saved.last().is_none_or(|last| *last != state[..length]) {
            self.saved.push(state[..length].to_vec());
        }
        client.handle_saved(now);
    }

    /// Another process goes on from what was stored, `older` states before the newest; from nothing if there is none.
    pub fn restart(&mut self, now: Instant, client: &mut Client<'_>, older: Option<usize>) {
        self.process += 1;
        self.waiting.clear();
        let kept = older.and_then(|older| self.saved.len().checked_sub(older + 1));
        self.saved.truncate(kept.map_or(0, |kept| kept + 1));
        if let Some(state) = self.saved.last() {
            client.restore(now, state).unwrap();
            self.repeats |= older > Some(0);
        }
        self.waiting.extend(client.messages().map(|message| (message.body[0], message.token)));
    }

    /// What has ended so, of a process that is not over, and how.
    pub fn told(&self) -> impl Iterator<Item = (u8, End)> {
        self.ended.iter().map(|(_, message, end, _)| (*message, *end))
    }
}
