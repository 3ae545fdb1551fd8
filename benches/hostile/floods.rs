//! Peers that send more than a link may: 200 frames a second and 264 at once, and 5 requests for nothing a second. They are not
//! read for a while, and nothing else happens to them.

use crate::attacks::{Kind, Outcome, Target};
use crate::peer::{HEARTBEAT, HELLO, MESSAGE, Peer, REPLY, frame, note};
use anyhow::{Context, Result, bail};
use longlink::sync::{self, Epoch, Request, Response, SyncKeys};
use std::time::{Duration, Instant};

/// What a link may send in this time, and somewhat more.
pub(crate) fn allowed(time: Duration) -> u64 {
    264 + 220 * (1 + time.as_secs())
}

pub(crate) fn heartbeats(target: &Target) -> Result<Outcome> {
    beat(target, target.greeted()?)
}

/// Heartbeats as fast as they are taken.
pub(crate) fn beat(target: &Target, mut peer: Peer) -> Result<Outcome> {
    let began = Instant::now();
    let answers = peer.pump(&frame(HEARTBEAT, 7, b"").repeat(64), &mut 0, target.until, true);
    let mut outcome = Outcome::of(&peer);
    let most = allowed(began.elapsed());
    if target.kind != Kind::AnyRate {
        outcome.hold(answers <= most, format!("{answers} heartbeats were answered, {most} are allowed"));
    }
    stays_open(&mut outcome);
    Ok(outcome)
}

pub(crate) fn messages(target: &Target) -> Result<Outcome> {
    let mut peer = target.greeted()?;
    let stream: Vec<u8> = (1..=50_000).flat_map(|sequence| note(&target.account, sequence, 32)).collect();
    let began = Instant::now();
    let answers = peer.pump(&stream, &mut 0, target.until, true);
    let mut outcome = Outcome::of(&peer);
    let most = allowed(began.elapsed());
    outcome.hold(answers <= most, format!("{answers} messages were answered, {most} are allowed"));
    stays_open(&mut outcome);
    Ok(outcome)
}

/// Asks for what comes after the newest, as if that could be anything.
pub(crate) fn fruitless(target: &Target) -> Result<Outcome> {
    let mut asks = Asks::new(target.greeted()?, &target.account, 1)?;
    let stream = asks.stream(10_000, asks.head);
    let began = Instant::now();
    let answers = asks.peer.pump(&stream, &mut 0, target.until, true);
    let mut outcome = Outcome::of(&asks.peer);
    // Five a second, and as many at once as 264 frames count for.
    let most = 8 + 6 * (1 + began.elapsed().as_secs());
    outcome.hold(answers <= most, format!("{answers} syncs were answered, {most} are allowed"));
    stays_open(&mut outcome);
    Ok(outcome)
}

/// Replies to what the server never asked, which it cannot match with anything.
pub(crate) fn unasked(target: &Target) -> Result<Outcome> {
    let commands = [HEARTBEAT, HELLO, MESSAGE, sync::SYNC, sync::FETCH, 0].map(|command| command + REPLY);
    unanswered(target, &commands.map(|command| frame(command, 7, b"unasked")).concat())
}

/// A frame of the command that means a batch in other dialects, with one in it, with one in it.
pub(crate) fn nested(target: &Target) -> Result<Outcome> {
    let batch = (0..100).fold(frame(HEARTBEAT, 7, b""), |inner, _| frame(9, 0, &inner));
    unanswered(target, &batch)
}

fn unanswered(target: &Target, stream: &[u8]) -> Result<Outcome> {
    let mut peer = target.greeted()?;
    let replies = peer.pump(stream, &mut 0, target.until, true);
    let mut outcome = Outcome::of(&peer);
    outcome.hold(replies == 0, format!("{replies} were answered"));
    stays_open(&mut outcome);
    Ok(outcome)
}

fn stays_open(outcome: &mut Outcome) {
    outcome.hold(outcome.after.is_none(), format!("ends: {}", outcome.ending));
}

/// A device with something in its mailbox.
pub(crate) struct Asks {
    pub(crate) peer: Peer,
    epoch: Option<Epoch>,
    pub(crate) head: u64,
    asked: u32,
}

/// Notes of the account to itself.
const KEY: u16 = 2;

impl Asks {
    /// Puts so many notes into the mailbox first, 60 KB if they are 40.
    pub(crate) fn new(mut peer: Peer, account: &str, notes: u32) -> Result<Self> {
        for sequence in 1..=notes {
            peer.send(&note(account, sequence, 1_500));
            answer(&mut peer, MESSAGE)?;
        }
        let mut asks = Self { peer, epoch: None, head: 0, asked: 0 };
        // First where it begins, then what is there.
        for _ in 0..2 {
            let ask = asks.ask(0);
            asks.peer.send(&ask);
            let body = answer(&mut asks.peer, sync::SYNC)?;
            let Response::Page(page) = Response::decode(&body)? else { bail!("no page: {body:?}") };
            asks.epoch = Some(page.epoch());
            asks.head = page.entries().map(|entry| entry.val).max().unwrap_or_default();
        }
        Ok(asks)
    }

    /// So many requests, one after the other, for what comes after `val`.
    pub(crate) fn stream(&mut self, count: usize, val: u64) -> Vec<u8> {
        (0..count).flat_map(|_| self.ask(val)).collect()
    }

    fn ask(&mut self, val: u64) -> Vec<u8> {
        self.asked += 1;
        let mut keys: SyncKeys<[_; 1]> = SyncKeys::new();
        let _ = keys.merge(KEY, val);
        let request = Request { epoch: self.epoch, entries: keys.entries(), ..Request::DEFAULT };
        let mut body = [0; 64];
        let length = request.encode(&mut body).unwrap_or_default();
        frame(sync::SYNC, self.asked, &body[..length])
    }
}

/// The answer to such a command; all else that comes is passed over.
fn answer(peer: &mut Peer, command: u32) -> Result<Vec<u8>> {
    loop {
        let got = peer.next(Duration::from_secs(10)).with_context(|| format!("no answer to {command}"))?;
        if got.command == command + REPLY {
            return Ok(got.body);
        }
    }
}
