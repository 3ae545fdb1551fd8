use super::body::Head;
use super::{Entry, Epoch, FetchReply, FetchStatus, Notify, Refusal, Request};
use crate::time::{Instant, deadline, millis};
use core::time::Duration;

/// The accepting side of sync on one link: the request that is held, and the notify that is owed.
///
/// What a request is answered follows from the request and the mailbox alone, see [`answer`](super::answer); this is all that a
/// link remembers beside. A [session](crate::session::Server) has one.
///
/// * An answer that would say nothing is held, if the request asks for that, until a head moves or the time is over: then it
///   is sent as it is, and the device asks again. A newer request takes the place of one that is held.
/// * A notify is owed when a head rises. There is one a second at most: it names the key and its head, or, when several keys
///   have moved, just says that something did.
#[derive(Debug)]
pub struct Server {
    /// The sequence of the newest request, until it is answered; 0 for none.
    asked: u32,
    /// `Held`: the end of the hold. Otherwise: no notify before then.
    at: Option<Instant>,
    head: u64,
    epoch: Option<Epoch>,
    /// `RetryLater`: how long, in milliseconds.
    retry_after: u32,
    key: u16,
    state: State,
    news: News,
}

/// What becomes of the request `asked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    None,
    Held,
    /// It is to be answered with nothing.
    Empty,
    /// It is refused.
    RetryLater,
    Malformed,
    NotThisDevice,
    /// It is a fetch, and makes no sense.
    BadFetch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    /// `key` has `head`.
    Head,
    Something,
}

/// A frame that a link makes up from its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// The answer to a sync request.
    Answer { sequence: u32, body: [u8; Head::LEN] },
    /// The answer to a fetch request.
    FetchReply { sequence: u32, body: [u8; FetchReply::LEN] },
    /// A notify of one head.
    Head([u8; Notify::LEN + Entry::LEN]),
    /// A notify that does not say of what.
    Something([u8; Notify::LEN]),
}

impl Server {
    /// Notifies come no closer than this.
    pub const NOTIFY_INTERVAL: Duration = Duration::from_secs(1);
    /// An answer is held no longer than this, whatever the request says.
    pub const LONGEST_HOLD: Duration = Duration::from_secs(300);

    /// Of a link on which nothing was asked.
    #[must_use]
    pub const fn new() -> Self {
        Self { asked: 0, at: None, head: 0, epoch: None, retry_after: 0, key: 0, state: State::None, news: News::None }
    }

    /// A request with this sequence came: none before it is answered any more. `true` if one was held.
    pub fn handle_request(&mut self, now: Instant, sequence: u32) -> bool {
        let was_held = self.state == State::Held;
        if was_held {
            self.at = deadline(now, Self::NOTIFY_INTERVAL);
        }
        (self.state, self.asked) = (State::None, sequence);
        was_held
    }

    /// `true` if the request with this sequence is to be answered: it is the newest, and was not answered yet.
    #[must_use]
    pub const fn awaits(&self, sequence: u32) -> bool {
        sequence != 0 && self.asked == sequence
    }

    /// What was found for a request says nothing: it is held if it asks for that. `false` if it is to be answered.
    pub fn hold(&mut self, now: Instant, sequence: u32, request: &Request<'_>) -> bool {
        let hold = Duration::from_secs(request.hold.into()).min(Self::LONGEST_HOLD);
        // What moved meanwhile is not in it.
        if hold.is_zero() || self.news != News::None {
            return false;
        }
        (self.state, self.asked, self.at) = (State::Held, sequence, deadline(now, hold));
        self.epoch = request.epoch;
        true
    }

    /// The request is not answered with a page. No-op if it is not [to be answered](Self::awaits).
    pub fn refuse(&mut self, now: Instant, sequence: u32, refusal: Refusal) {
        if !self.awaits(sequence) {
            return;
        }
        self.handle_request(now, sequence);
        self.state = match refusal {
            Refusal::RetryLater(after) => {
                self.retry_after = millis(after);
                State::RetryLater
            }
            Refusal::Bad => State::Malformed,
            Refusal::NotThisDevice => State::NotThisDevice,
        };
    }

    /// The fetch makes no sense.
    pub fn refuse_fetch(&mut self, sequence: u32) {
        if self.state == State::None && self.asked == 0 {
            (self.state, self.asked) = (State::BadFetch, sequence);
        }
    }

    /// `key` of the mailbox has the head `head` now.
    pub fn notify(&mut self, epoch: Epoch, key: u16, head: u64) {
        if matches!(self.state, State::Held | State::Empty) {
            // The device asks again, and what it gets then is newer than any notify.
            (self.state, self.at) = (State::Empty, None);
            return;
        }
        self.news = match self.news {
            News::None => News::Head,
            News::Head if self.key == key && self.epoch == Some(epoch) => News::Head,
            News::Head | News::Something => News::Something,
        };
        // What another epoch had says nothing of this one.
        let is_same = self.key == key && self.epoch == Some(epoch);
        self.head = if is_same { self.head.max(head) } else { head };
        (self.key, self.epoch) = (key, Some(epoch));
    }

    /// An answer is made. What moved before is in the page, or comes when the device goes on; unless it `is_page`, it is still to
    /// be told.
    pub(crate) fn handle_answered(&mut self, now: Instant, is_page: bool) {
        self.handle_request(now, 0);
        if is_page {
            self.news = News::None;
        }
    }

    /// `true` while a frame is to be written.
    pub(crate) fn is_owing(&self) -> bool {
        match self.state {
            State::None => self.news != News::None && self.at.is_none(),
            State::Held => false,
            State::Empty | State::RetryLater | State::Malformed | State::NotThisDevice | State::BadFetch => true,
        }
    }

    /// The frame that is to be written next; it is not owed any more.
    pub(crate) fn take_owed(&mut self, now: Instant) -> Option<Owed> {
        let owed = self.owed().filter(|_| self.is_owing())?;
        if matches!(self.state, State::None | State::Empty) {
            // An answer that says nothing is as good as a notify.
            self.at = deadline(now, Self::NOTIFY_INTERVAL);
        }
        if self.state == State::None {
            // A request may be with the application.
            self.news = News::None;
        } else {
            (self.state, self.asked) = (State::None, 0);
        }
        Some(owed)
    }

    fn owed(&self) -> Option<Owed> {
        let sequence = self.asked;
        let answer = |body| Some(Owed::Answer { sequence, body });
        match (self.state, self.news, self.epoch) {
            (State::Empty, _, epoch) => answer(Head::new(Head::OK, epoch).to_bytes()),
            (State::RetryLater, ..) => {
                let after = Duration::from_millis(self.retry_after.into());
                answer(super::refusal(Refusal::RetryLater(after)))
            }
            (State::Malformed, ..) => answer(super::refusal(Refusal::Bad)),
            (State::NotThisDevice, ..) => answer(super::refusal(Refusal::NotThisDevice)),
            (State::BadFetch, ..) => {
                Some(Owed::FetchReply { sequence, body: FetchReply::new(FetchStatus::Bad).encode_fixed() })
            }
            (State::None, News::Head, Some(epoch)) => Some(Owed::Head(Notify::one(epoch, self.key, self.head))),
            (State::None, News::Something, Some(epoch)) => Some(Owed::Something(Notify::something(epoch))),
            (State::None | State::Held, ..) => None,
        }
    }

    /// Acts on what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.at.take_if(|at| *at <= now).is_some() && self.state == State::Held {
            self.state = State::Empty;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.state == State::Held || self.news != News::None;
        self.at.filter(|_| waits)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}
