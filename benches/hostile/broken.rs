//! Bytes that are no frames, frames that are too long, bodies that make no sense.

use crate::attacks::{Outcome, Target, soon};
use crate::peer::{DIALECT, HEARTBEAT, MESSAGE, Peer, REPLY, frame, header};
use anyhow::Result;
use longlink::sync;
use std::time::Duration;

/// Requests without the body that they must have: after ten of them the link is closed.
pub(crate) fn empty(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for command in [sync::SYNC, sync::FETCH, sync::SYNC_DONE] {
        let mut peer = target.greeted()?;
        let sequence = u32::from(command != sync::SYNC_DONE);
        peer.pump(&frame(command, sequence, b"").repeat(16), &mut 0, soon(), true);
        peer.wait_for_end(soon());
        let mut one = Outcome::of(&peer);
        one.ended(0..4);
        one.hold(one.ending.contains("protocol error"), format!("{command}: {}", one.ending));
        outcome.add(one);
    }
    Ok(outcome)
}

/// Such a frame is passed over, and the next is understood.
pub(crate) fn over_long(target: &Target) -> Result<Outcome> {
    let mut peer = target.greeted()?;
    let body = vec![b'x'; DIALECT.max_frame as usize];
    let long = [frame(MESSAGE, 1, &body), frame(HEARTBEAT, 7, b"")].concat();
    let (mut sent, mut answered, mut rejected) = (0, 0, 0);
    while !target.rest().is_zero() && sent == answered && peer.send(&long) {
        sent += 1;
        while answered < sent {
            let Some(got) = peer.next(Duration::from_secs(5)) else { break };
            answered += u64::from(got.command == HEARTBEAT + REPLY);
            rejected += u64::from(got.command == MESSAGE + REPLY && got.body == [0, 2, 0, 0]);
        }
    }
    let mut outcome = Outcome::of(&peer);
    outcome.hold(outcome.after.is_none(), format!("ends: {}", outcome.ending));
    outcome.hold(answered == sent, format!("{answered} heartbeats are answered behind {sent} of them"));
    outcome.hold(rejected + 2 > sent, format!("{rejected} of {sent} are rejected"));
    Ok(outcome)
}

/// Sixteen times the limit is more than is passed over.
pub(crate) fn far_too_long(target: &Target) -> Result<Outcome> {
    ends_at_once(target, &header(16 * DIALECT.max_frame + 17, MESSAGE, 1))
}

pub(crate) fn garbage(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut random = 0x5EED_u64;
    while outcome.links < 50 && !target.rest().is_zero() {
        let bytes: Vec<u8> = (0..4_096)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        outcome.add(ends_at_once(target, &bytes)?);
    }
    Ok(outcome)
}

/// Sends that without a greeting.
fn ends_at_once(target: &Target, bytes: &[u8]) -> Result<Outcome> {
    let mut peer = Peer::connect(target.server)?;
    peer.send(bytes);
    peer.wait_for_end(soon());
    let mut outcome = Outcome::of(&peer);
    outcome.ended(0..4);
    outcome.hold(outcome.written == 0, "something was written to it");
    Ok(outcome)
}
