//! Peers that never read: what is written to them stays in the sockets, and when these are full the server gives up after a
//! minute. Until then it keeps one answer to a heartbeat, acknowledgements as bits, one page, some pushes, however much they send.

use crate::attacks::{Kind, Outcome, Target};
use crate::floods::{Asks, allowed};
use crate::peer::{HEARTBEAT, MESSAGE, Peer, frame, note};
use anyhow::Result;
use std::time::{Duration, Instant};

/// So many are pushed.
const MANY: u64 = 1_000_000;
/// After so long at the latest a link that takes nothing has ended.
const STALLS: Duration = Duration::from_secs(68);
/// Where the sockets have to be filled first.
const FILLS: Duration = Duration::from_secs(85);
/// More than both sockets of a connection take by default.
const SOCKETS: u64 = 8 << 20;

pub(crate) fn heartbeats(target: &Target) -> Result<Outcome> {
    let mut peer = Peer::connect_narrow(target.server)?;
    peer.greet(&target.account, 1)?;
    watch(target, peer, &frame(HEARTBEAT, 7, b"").repeat(256))
}

/// Pages as long as they may be, each of which brings something: all of the mailbox again and again.
pub(crate) fn syncs(target: &Target) -> Result<Outcome> {
    let mut peer = Peer::connect_narrow(target.server)?;
    peer.greet(&target.account, 1)?;
    let mut asks = Asks::new(peer, &target.account, 40)?;
    let stream = asks.stream(1_000, 0);
    let sees_end = target.has(STALLS);
    let mut outcome = watch(target, asks.peer, &stream)?;
    if sees_end {
        // All that fits into the sockets is there at once.
        outcome.ended(59..72);
    }
    Ok(outcome)
}

pub(crate) fn messages(target: &Target) -> Result<Outcome> {
    let mut peer = Peer::connect_narrow(target.server)?;
    peer.greet(&target.account, 1)?;
    let stream: Vec<u8> = (1..=1_000_000).flat_map(|sequence| note(&target.account, sequence, 32)).collect();
    let sees_end = target.has(FILLS);
    let mut outcome = watch(target, peer, &stream)?;
    if sees_end {
        outcome.ended(59..88);
    }
    Ok(outcome)
}

/// A million times another link sends what the server passes on to all that have not greeted. This one does not read it.
pub(crate) fn pushes(target: &Target) -> Result<Outcome> {
    let mut peer = Peer::connect_narrow(target.server)?;
    peer.send(&frame(HEARTBEAT, 7, b""));
    let sees_end = target.has(FILLS);
    let mut other = Peer::connect(target.server)?;
    let one = frame(MESSAGE, 0, &[b'x'; 64]);
    let (stream, mut at) = (one.repeat(1_000), 0);
    while other.sent < MANY * one.len() as u64 && !target.rest().is_zero() {
        other.pump(&stream, &mut at, Instant::now() + Duration::from_millis(10), true);
    }
    let pushed = other.sent / one.len() as u64;
    drop(other);
    let mut outcome = watch(target, peer, &frame(HEARTBEAT, 7, b""))?;
    outcome.sent = pushed * one.len() as u64;
    if sees_end {
        outcome.ended(59..88);
    }
    outcome.hold(pushed >= MANY || cfg!(debug_assertions), format!("{pushed} pushes only"));
    Ok(outcome)
}

/// Sends that for as long as there is time, and reads nothing. Answers to heartbeats take each other's place, so they may not fill
/// the sockets in that time: then the link is open, and rightly so.
fn watch(target: &Target, mut peer: Peer, stream: &[u8]) -> Result<Outcome> {
    let began = Instant::now();
    let (mut unread, mut at) = (0, 0);
    while peer.end.is_none() && !target.rest().is_zero() {
        peer.pump(stream, &mut at, Instant::now() + target.rest().min(Duration::from_millis(200)), false);
        unread = peer.unread().max(unread);
    }
    let mut outcome = Outcome::of(&peer);
    outcome.written = peer.received + unread;
    outcome.hold(unread <= SOCKETS, format!("{unread} bytes wait for it"));
    if target.kind != Kind::AnyRate {
        let most = allowed(began.elapsed()) * 66_000;
        outcome.hold(outcome.written <= most, format!("{} bytes are more than the rate allows", outcome.written));
    }
    Ok(outcome)
}
