//! Greetings that no client of this crate would send.

use crate::attacks::{Outcome, Target, soon};
use crate::peer::{HEARTBEAT, HELLO, Peer, REPLY, frame, hello};
use anyhow::Result;
use std::time::Duration;

/// A greeting with something in it changed, and the status that it is answered with.
type Case = (&'static str, fn(&mut Vec<u8>), u8);

const CASES: &[Case] = &[
    ("max_frame 0", |hello| hello[20..24].fill(0), 1),
    ("max_frame 271", |hello| hello[20..24].copy_from_slice(&271_u32.to_be_bytes()), 1),
    ("max_frame 272", |hello| hello[20..24].copy_from_slice(&272_u32.to_be_bytes()), 0),
    ("max_frame 2^32-1", |hello| hello[20..24].fill(0xFF), 0),
    ("heartbeat 1", |hello| hello[2..4].copy_from_slice(&[0, 1]), 0),
    ("heartbeat 65,535", |hello| hello[2..4].fill(0xFF), 0),
    ("version 0", |hello| hello[0] = 0, 2),
    ("version 255", |hello| hello[0] = 255, 2),
    ("device 0", |hello| hello[8..16].fill(0), 1),
    ("link 0", |hello| hello[16..20].fill(0), 1),
    ("link 2^32-1", |hello| hello[16..20].fill(0xFF), 0),
    ("epoch 2^32-1", |hello| hello[4..8].fill(0xFF), 0),
    (
        "reserved bits",
        |hello| {
            hello[1] |= 0xFE;
            hello[24..26].fill(0xFF);
        },
        0,
    ),
    ("bytes behind the token", |hello| hello.extend_from_slice(&[7; 4_096]), 0),
    ("a token of 1,024", |hello| set_token(hello, 1_024), 3),
    ("a token of 1,025", |hello| set_token(hello, 1_025), 1),
    ("a token of 65,535", |hello| set_token(hello, 65_535), 1),
    ("a token that ends early", |hello| hello.truncate(30), 1),
    ("no body", Vec::clear, 1),
];

/// Longer than these servers let an account's name be, so a token of any length is refused.
fn set_token(hello: &mut Vec<u8>, length: u16) {
    hello.truncate(28);
    hello[26..].copy_from_slice(&length.to_be_bytes());
    hello.resize(28 + usize::from(length), b'a');
}

pub(crate) fn extremes(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for (device, (name, change, status)) in (100..).zip(CASES) {
        let mut peer = Peer::connect(target.server)?;
        let mut body = hello(target.account.as_bytes(), device);
        change(&mut body);
        peer.send(&frame(HELLO, 0xFFFF_FFFE, &body));
        let reply = peer.next(Duration::from_secs(5)).filter(|got| got.command == HELLO + REPLY);
        let told = reply.and_then(|reply| reply.body.get(1).copied());
        if *status != 0 {
            peer.wait_for_end(soon());
        }
        let mut one = Outcome::of(&peer);
        one.hold(told == Some(*status), format!("{name}: status {told:?}, {status} is right"));
        one.hold(one.after.is_none() == (*status == 0), format!("{name}: {}", one.ending));
        outcome.add(one);
    }
    outcome.ending = "as each deserves".into();
    outcome.after = None;
    Ok(outcome)
}

/// The link was greeted for already.
pub(crate) fn twice(target: &Target) -> Result<Outcome> {
    let mut peer = target.greeted()?;
    peer.send(&frame(HELLO, 0xFFFF_FFFE, &hello(target.account.as_bytes(), 1)));
    peer.wait_for_end(soon());
    let mut outcome = Outcome::of(&peer);
    outcome.ended(0..4);
    Ok(outcome)
}

/// One account, and a new device each time, which the server is to remember something of.
pub(crate) fn many_devices(target: &Target) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while outcome.links < 2_000 && !target.rest().is_zero() {
        let device = 0x1000 + outcome.links as u64;
        let mut peer = Peer::greeted(target.server, &target.account, device)?;
        peer.send(&frame(HEARTBEAT, 7, b""));
        peer.shut();
        peer.wait_for_end(soon());
        let mut one = Outcome::of(&peer);
        one.ended(0..4);
        outcome.add(one);
    }
    Ok(outcome)
}
