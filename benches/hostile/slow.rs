//! Peers that are slow, or have nothing to say.

use crate::attacks::{Kind, Outcome, Target};
use crate::peer::{self, HEARTBEAT, MESSAGE, Peer, frame};
use anyhow::Result;
use std::time::Duration;

/// A header that never ends: it must within 30 s.
pub(crate) fn header(target: &Target) -> Result<Outcome> {
    drip(target, &peer::header(16, HEARTBEAT, 1), Duration::from_millis(2_500))
}

/// A body that never ends: it must within 30 s, and the time that what came takes at 1 KiB/s.
pub(crate) fn body(target: &Target) -> Result<Outcome> {
    let mut begun = peer::header(60_000, MESSAGE, 1).to_vec();
    begun.resize(100, b'x');
    drip(target, &begun, Duration::from_secs(1))
}

fn drip(target: &Target, bytes: &[u8], every: Duration) -> Result<Outcome> {
    let sees_end = target.has(Duration::from_secs(35));
    let mut peer = target.greeted()?;
    for byte in bytes {
        if target.rest().is_zero() || !peer.send(&[*byte]) {
            break;
        }
        peer.wait_for_end(std::time::Instant::now() + every.min(target.rest()));
    }
    let mut outcome = Outcome::of(&peer);
    if sees_end {
        outcome.ended(29..34);
    }
    Ok(outcome)
}

/// Where a greeting is wanted it must come within 10 s.
pub(crate) fn silent(target: &Target) -> Result<Outcome> {
    let sees_end = target.has(Duration::from_secs(13)) && target.kind == Kind::Threads;
    let mut peer = Peer::connect(target.server)?;
    peer.wait_for_end(target.until);
    let mut outcome = Outcome::of(&peer);
    if sees_end {
        outcome.ended(9..13);
    }
    Ok(outcome)
}

/// Where a greeting is wanted three heartbeats are answered without; elsewhere as many as the rate allows.
pub(crate) fn ungreeted(target: &Target) -> Result<Outcome> {
    let mut peer = Peer::connect(target.server)?;
    if target.kind == Kind::Threads {
        let answers = peer.pump(&frame(HEARTBEAT, 7, b""), &mut 0, target.until, true);
        let mut outcome = Outcome::of(&peer);
        outcome.hold(answers <= 3, format!("{answers} heartbeats were answered"));
        outcome.ended(0..2);
        return Ok(outcome);
    }
    crate::floods::beat(target, peer)
}
