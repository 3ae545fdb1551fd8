//! Many connections, each of which does little.

use crate::attacks::{Outcome, Target, soon};
use crate::peer::{HEARTBEAT, HELLO, Peer, REPLY, frame, hello};
use anyhow::Result;
use std::time::Duration;

/// Half of them end their stream behind a heartbeat, which is answered, the others inside a frame.
pub(crate) fn half_closed(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while outcome.links < 1_000 && !target.rest().is_zero() {
        let peers = (0..100).map(|_| Peer::connect(target.server)).collect::<Result<Vec<_>>>()?;
        for (index, mut peer) in peers.into_iter().enumerate() {
            let whole = index % 2 == 0;
            let heartbeat = frame(HEARTBEAT, 7, b"");
            peer.send(if whole { &heartbeat } else { &heartbeat[..9] });
            peer.shut();
            let answer = peer.next(Duration::from_secs(3));
            peer.wait_for_end(soon());
            let mut one = Outcome::of(&peer);
            let is_right = answer.is_some_and(|got| got.command == HEARTBEAT + REPLY) == whole;
            one.hold(is_right, if whole { "no answer" } else { "an answer to half a frame" });
            one.hold(one.after.is_some(), "stays open");
            outcome.add(one);
        }
    }
    Ok(outcome)
}

/// Connections that go as soon as they are there, some after a greeting, some inside it.
pub(crate) fn churn(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while outcome.links < 3_000 && !target.rest().is_zero() {
        let mut peer = Peer::connect(target.server)?;
        let greeting = frame(HELLO, 0xFFFF_FFFE, &hello(target.account.as_bytes(), 2 + outcome.links as u64 % 4));
        match outcome.links % 3 {
            0 => drop(peer.send(&greeting)),
            1 => drop(peer.send(&greeting[..20])),
            _ => {}
        }
        outcome.add(Outcome::of(&peer));
    }
    outcome.ending = "by themselves".into();
    Ok(outcome)
}
