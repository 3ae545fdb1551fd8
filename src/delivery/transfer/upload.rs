use super::chunk::{ChunkRefusal, ChunkReply, Place};
use super::limits::{ATTEMPTS, BUSY_PAUSE, MAX_WINDOW, PAUSE, PAYLOAD_ATTEMPTS, ROUNDS, WINDOW};
use super::ranges::RangeSet;
use super::{BodyError, Handle, Op, Open, OpenReply, Progress, Range, State, Status, Step, UploadError};
use crate::time::Instant;
use core::time::Duration;
use heapless::Vec;

/// The sender of a payload: says what to send next, and learns from the replies what is there.
///
/// ```text
///   new ──▶ Asking ─────────── go on, so much is missing ────────▶ Sending
///            │ ▲ ▲                                                 │ │
///            │ │ └── all acknowledged, link lost, handle unknown ──┘ │
///            │ │                                                     │ no room for a chunk
///            │ └──── the wait is over ────── Waiting ◀───────────────┘
///            │                                ▲
///            ├────── busy, too many ──────────┘
///            ├────── checksum wrong ──▶ Asking, from the start
///            ├────── complete ────────▶ Complete
///            └────── refused; or from any state: no progress, no answer ──▶ Failed
/// ```
///
/// | kind | methods |
/// |---|---|
/// | inputs | [`handle_reply`](Self::handle_reply), [`handle_failed`](Self::handle_failed), [`handle_timeout`](Self::handle_timeout), [`handle_disconnected`](Self::handle_disconnected), [`handle_limit`](Self::handle_limit) |
/// | outputs | [`poll_step`](Self::poll_step), [`poll_timeout`](Self::poll_timeout) |
/// | command | [`put_back`](Self::put_back) |
/// | questions | [`state`](Self::state), [`progress`](Self::progress), [`open`](Self::open) |
///
/// Each [`Step`] is one request. The application makes it, and keeps the step beside the request's token; when the
/// request ends it hands the step back with what became of it. While there is no link, nothing is polled.
///
/// An acknowledged chunk is buffered and may be dropped again at any time. So when all that the server listed is
/// acknowledged, the transfer is opened again; only a server that says "complete" ends it. What the server listed
/// beyond the table, and a lost chunk that found no room in it, turn up in that next list.
///
/// `B` is a table of ranges, such as `[Range; 32]` or a slice that is lent. One place is enough; a reply lists 32 at
/// most.
///
/// The work is bounded: see [`ROUNDS`](super::limits::ROUNDS), [`ATTEMPTS`](super::limits::ATTEMPTS) and
/// [`PAYLOAD_ATTEMPTS`](super::limits::PAYLOAD_ATTEMPTS). Two things are not counted, because others space them: lost
/// links, and a server that says "busy". A transfer that [failed](State::Failed) may be taken up by a new `Upload` of
/// the same [`Open`].
#[derive(Debug)]
pub struct Upload<B> {
    open: Open,
    phase: Phase,
    /// What the server listed, without what is under way.
    missing: RangeSet<B>,
    /// Where the chunks under way begin.
    under_way: Vec<u32, MAX_WINDOW>,
    window: usize,
    acknowledged: u32,
    /// The fewest chunks that were missing since the payload was begun.
    least_missing: u32,
    /// Replies in a row that brought no progress.
    rounds: u8,
    /// The link went down since the last list, so that there was little to progress.
    is_new_link: bool,
    /// Chunks in a row that were not answered; an open counts as a window of them.
    unanswered: usize,
    /// So often the checksum was wrong.
    wrong: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asking,
    /// The open is under way.
    Asked,
    Sending(Handle),
    Waiting(Instant),
    Complete,
    Failed(UploadError),
}

impl<B: AsRef<[Range]> + AsMut<[Range]>> Upload<B> {
    /// The sender of the payload that `open` describes, whatever of it the server has already. `table` holds what is
    /// missing; what is in it does not matter.
    #[must_use]
    pub const fn new(open: Open, table: B) -> Self {
        Self {
            open: open.with_op(Op::Open),
            phase: Phase::Asking,
            missing: RangeSet::new(table),
            under_way: Vec::new(),
            window: WINDOW,
            acknowledged: 0,
            least_missing: u32::MAX,
            rounds: 0,
            is_new_link: false,
            unanswered: 0,
            wrong: 0,
        }
    }

    /// So many chunks may be under way at once: 1 to [`MAX_WINDOW`](super::limits::MAX_WINDOW), else the nearest of
    /// these.
    #[must_use]
    pub fn with_window(self, window: usize) -> Self {
        Self { window: window.clamp(1, MAX_WINDOW), ..self }
    }

    /// The request that `step` stood for was answered with `body`. Of a step that is not under way, or no longer,
    /// nothing is believed.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if the reply cannot be read; it counts as none, so the step comes again.
    pub fn handle_reply(&mut self, now: Instant, step: Step, body: &[u8]) -> Result<(), BodyError> {
        if !self.end(step) {
            return Ok(());
        }
        let read = match step {
            Step::Open(_) => OpenReply::decode(body, &self.open).map(|reply| self.opened(now, &reply)),
            Step::Chunk(place) => ChunkReply::decode(body).map(|reply| self.answered(now, place.range, reply)),
        };
        match read {
            Ok(()) => self.unanswered = 0,
            Err(_) => self.fail(step),
        }
        read
    }

    /// The request that `step` stood for timed out, or ended otherwise without a reply, and the link lives on. It comes
    /// again.
    pub fn handle_failed(&mut self, step: Step) {
        if self.end(step) {
            self.fail(step);
        }
    }

    /// Ends a wait that is over. Does nothing before [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.phase = Phase::Asking;
        }
    }

    /// The link is gone, and with it all that was under way. On the next one the server is asked what it has.
    pub fn handle_disconnected(&mut self) {
        self.is_new_link = true;
        self.unanswered = 0;
        self.under_way.clear();
        if matches!(self.phase, Phase::Asked | Phase::Sending(_)) {
            self.phase = Phase::Asking;
        }
    }

    /// A link is up whose peer takes frames of `max_frame` bytes, of which `header_len` are the header. Call it whenever the
    /// client is online, with [`Client::longest_frame`](crate::session::Client::longest_frame), which knows its own buffer too.
    pub fn handle_limit(&mut self, max_frame: u32, header_len: usize) {
        let longest = Open::longest_chunk(max_frame, header_len).unwrap_or_default();
        if self.open.chunk() > longest && !self.state().is_final() {
            self.end_with(UploadError::ChunkTooLong { chunk: self.open.chunk(), longest });
        }
    }

    /// The next request to make; `None` if there is none now. Ask until then, and again after each input.
    pub fn poll_step(&mut self) -> Option<Step> {
        if let Phase::Sending(handle) = self.phase {
            if self.under_way.len() >= self.window {
                return None;
            }
            if let Some(range) = self.missing.take_first(self.open.chunk().into()) {
                let _ = self.under_way.push(range.offset());
                return Some(Step::Chunk(Place { handle, total: self.open.total(), range }));
            }
            if self.under_way.is_empty() {
                self.phase = Phase::Asking;
            }
        }
        if self.phase != Phase::Asking {
            return None;
        }
        self.phase = Phase::Asked;
        Some(Step::Open(self.open))
    }

    /// The request that `step` stands for could not be made, because there was no room for it, say. Polling gives it
    /// again, sooner or later, and nothing is counted: this is for want of room or of a slot, not for a chunk that is too
    /// long for the buffer, which [`handle_limit`](Self::handle_limit) finds out.
    pub fn put_back(&mut self, step: Step) {
        if self.end(step) {
            self.again(step);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Asking | Phase::Asked => State::Asking,
            Phase::Sending(_) => State::Sending,
            Phase::Waiting(_) => State::Waiting,
            Phase::Complete => State::Complete,
            Phase::Failed(why) => State::Failed(why),
        }
    }

    /// How much has arrived.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress { acknowledged: self.acknowledged, total: self.open.total() }
    }

    /// What is being sent: to be kept over a restart. With [`Op::Abort`] it is the request that gives the transfer up.
    #[must_use]
    pub const fn open(&self) -> &Open {
        &self.open
    }

    /// `true` if the step was under way; it is not any more.
    fn end(&mut self, step: Step) -> bool {
        match (step, self.phase) {
            (Step::Open(open), Phase::Asked) if open == self.open => {
                self.phase = Phase::Asking;
                true
            }
            (Step::Chunk(place), Phase::Sending(handle)) if place.handle == handle => {
                // The last one takes its place; their order is of no importance.
                let last = self.under_way.last().copied();
                let ended = self.under_way.iter_mut().find(|offset| **offset == place.range.offset());
                let (Some(ended), Some(last)) = (ended, last) else { return false };
                *ended = last;
                self.under_way.pop().is_some()
            }
            _ => false,
        }
    }

    /// What has ended is to be done again. An open is anyway, and so is a chunk for which there is no room: it is
    /// missing from the next list.
    fn again(&mut self, step: Step) {
        if let Step::Chunk(place) = step {
            self.missing.insert(place.range);
        }
    }

    /// What has ended was not answered.
    fn fail(&mut self, step: Step) {
        let requests = if matches!(step, Step::Open(_)) { self.window } else { 1 };
        self.unanswered = self.unanswered.saturating_add(requests);
        self.again(step);
        if self.unanswered >= self.window.saturating_mul(ATTEMPTS) {
            self.end_with(UploadError::NoAnswer { requests: self.unanswered });
        }
    }

    /// The server said how it is.
    fn opened(&mut self, now: Instant, reply: &OpenReply<'_>) {
        let answer = reply.answer();
        match (answer.status(), answer.handle()) {
            (Status::Go, Some(handle)) => self.listed(now, handle, reply),
            (Status::Complete, _) => {
                self.acknowledged = self.open.total();
                self.phase = Phase::Complete;
            }
            (Status::TooLarge, _) => self.end_with(UploadError::TooLarge { total: self.open.total() }),
            (Status::Contradicts, _) => self.end_with(UploadError::Contradicts),
            (Status::WrongCrc, _) => self.begin_again(),
            // It is no answer to what was asked, and to ask at once would bring the same.
            (Status::UnknownKey, _) => {
                self.wait(now, self.pause());
                self.count_round();
            }
            (Status::TooMany | Status::Busy | Status::Unknown(_) | Status::Go, _) => {
                let named = answer.retry_after();
                self.wait(now, if named.is_zero() { BUSY_PAUSE } else { named });
            }
        }
    }

    /// The server said what is missing.
    fn listed(&mut self, now: Instant, handle: Handle, reply: &OpenReply<'_>) {
        let missing = reply.answer().missing();
        let arrived = u64::from(self.open.chunks().saturating_sub(missing)).saturating_mul(self.open.chunk().into());
        self.acknowledged = u32::try_from(arrived).unwrap_or(u32::MAX).min(self.open.total());
        self.missing.clear();
        for range in reply.ranges() {
            if !self.missing.insert(range) {
                break;
            }
        }
        if missing == 0 {
            self.wait(now, self.pause().max(reply.answer().retry_after()));
        } else {
            self.phase = Phase::Sending(handle);
        }
        if missing < self.least_missing {
            (self.least_missing, self.rounds) = (missing, 0);
        } else if !self.is_new_link {
            self.count_round();
        }
        self.is_new_link = false;
    }

    /// The server said what became of a chunk.
    fn answered(&mut self, now: Instant, chunk: Range, reply: ChunkReply) {
        match reply {
            ChunkReply::Buffered => {
                self.acknowledged = self.acknowledged.saturating_add(chunk.length()).min(self.open.total());
            }
            ChunkReply::Refused(ChunkRefusal::UnknownHandle) => {
                self.under_way.clear();
                self.phase = Phase::Asking;
            }
            ChunkReply::Refused(ChunkRefusal::Quota | ChunkRefusal::Unknown(_)) => self.wait(now, self.pause()),
            ChunkReply::Refused(ChunkRefusal::Malformed) => {
                self.end_with(UploadError::Malformed { offset: chunk.offset() });
            }
            ChunkReply::Refused(ChunkRefusal::Contradicts) => self.end_with(UploadError::Contradicts),
        }
    }

    /// The server dropped all of it.
    fn begin_again(&mut self) {
        (self.acknowledged, self.least_missing, self.rounds) = (0, u32::MAX, 0);
        self.wrong = self.wrong.saturating_add(1);
        if self.wrong >= PAYLOAD_ATTEMPTS {
            self.end_with(UploadError::WrongCrc { attempts: self.wrong });
        }
    }

    fn count_round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds >= ROUNDS {
            self.end_with(UploadError::NoProgress { rounds: self.rounds });
        }
    }

    fn pause(&self) -> Duration {
        PAUSE.saturating_mul(1 << self.rounds.min(ROUNDS))
    }

    fn wait(&mut self, now: Instant, pause: Duration) {
        self.under_way.clear();
        self.phase = Phase::Waiting(now + pause.max(PAUSE));
    }

    fn end_with(&mut self, why: UploadError) {
        self.under_way.clear();
        self.phase = Phase::Failed(why);
    }
}
