//! What a server should not say, and does, to a client that came for nothing but to leave a message and fetch its mail.

use crate::peer::{GOAWAY, Got, HEARTBEAT, HELLO, Peer, REPLY, frame, header};
use longlink::session::{GoAway, GoAwayCode};
use longlink::sync;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon it is noticed that it is over.
const TICK: Duration = Duration::from_millis(50);

/// A hostile server.
pub(crate) struct HostileServer {
    pub(crate) name: &'static str,
    /// Besides the usual arguments of the client.
    pub(crate) args: &'static [&'static str],
    /// Whether a message of its own is among them, which it must still have afterwards.
    pub(crate) keeps: bool,
    /// The body of the answer to a greeting.
    greet: fn(&Got) -> Option<Vec<u8>>,
    /// Comes right behind that answer, again and again if it is a flood.
    behind: Vec<u8>,
    pub(crate) floods: bool,
    /// The link is ended then.
    leaves: bool,
    /// The bodies of answers to sync requests.
    page: fn(&Got) -> Option<Vec<u8>>,
    /// So often the client may connect, and so many frames may it write, in ten seconds.
    pub(crate) connects: usize,
    pub(crate) frames: u64,
}

/// Answers the greeting as it should, and a heartbeat, and nothing else.
fn plain(name: &'static str) -> HostileServer {
    HostileServer {
        name,
        args: &[],
        keeps: true,
        greet: |got| Some(welcome(got)),
        behind: Vec::new(),
        floods: false,
        leaves: false,
        page: |_| None,
        connects: 3,
        frames: 30,
    }
}

pub(crate) fn all() -> Vec<HostileServer> {
    let goaway = |code: GoAwayCode| goaway(code, u32::MAX);
    let message = |sequence| frame(237 + REPLY, sequence, b"");
    vec![
        HostileServer { greet: |got| changed(got, 4, &[0, 1]), ..plain("idle: 1 s") },
        HostileServer { greet: |got| changed(got, 16, &[0; 4]), connects: 12, ..plain("max_frame 0") },
        HostileServer {
            greet: |got| changed(got, 20, &[0, 0, 3, 0xE8]),
            connects: 12,
            keeps: false,
            ..plain("has more than was ever sent")
        },
        HostileServer { greet: |got| changed(got, 3, &[255]), connects: 12, ..plain("a bitmap of 255 bytes") },
        HostileServer { greet: |got| changed(got, 3, &[128]), connects: 12, ..plain("a bitmap longer than the body") },
        HostileServer { greet: |got| changed(got, 8, &[0; 4]), connects: 12, ..plain("epoch 0") },
        HostileServer { greet: |got| changed(got, 0, &[1]), connects: 12, ..plain("the hello comes back") },
        HostileServer { greet: |_| None, connects: 12, leaves: true, ..plain("ends instead of an answer") },
        HostileServer { greet: |got| refused(got, 8), ..plain("busy, come back in 2^32-1 ms") },
        HostileServer { greet: |got| refused(got, 5), connects: 12, ..plain("the epoch is always too old") },
        HostileServer { greet: |got| refused(got, 6), connects: 12, ..plain("the link is always too old") },
        HostileServer { greet: |got| refused(got, 200), connects: 3, ..plain("a status that nobody knows") },
        HostileServer {
            behind: goaway(GoAwayCode::Overload),
            leaves: true,
            ..plain("overload, come back in 2^32-1 ms")
        },
        HostileServer { behind: goaway(GoAwayCode::Replaced), leaves: true, ..plain("always replaced") },
        HostileServer { leaves: true, connects: 12, ..plain("greets, and ends") },
        HostileServer { behind: vec![0x5A; 4_096], connects: 12, ..plain("garbage behind the greeting") },
        HostileServer { behind: header(u32::MAX, 24, 0).to_vec(), connects: 12, ..plain("a frame of 4 GiB") },
        HostileServer { behind: frame(24, 0, &[1; 4]), floods: true, frames: 60, ..plain("notifies without end") },
        HostileServer { behind: frame(77, 0, &[7; 900]), floods: true, ..plain("pushes without end") },
        HostileServer { behind: message(9), floods: true, ..plain("replies that nobody asked for") },
        HostileServer {
            behind: [HELLO + REPLY, HELLO, HEARTBEAT, 121, 9].map(|command| frame(command, 7, b"?")).concat(),
            floods: true,
            ..plain("what only a client says")
        },
        HostileServer { page: |_| Some(vec![0xFF; 300]), ..plain("sync: garbage") },
        HostileServer { page: |_| Some(page(0, 1, 0)), frames: 60, ..plain("sync: more, and never any") },
        HostileServer { page: |_| Some(page(1, 0, 0)), frames: 60, ..plain("sync: always begins anew") },
        HostileServer { page: |_| Some(page(2, 0, u32::MAX)), ..plain("sync: come back in 2^32-1 ms") },
        HostileServer {
            page: |_| Some(page(4, 0, 0)),
            connects: 12,
            frames: 60,
            ..plain("sync: does not know the device")
        },
        HostileServer {
            args: &["--dialect", "goim", "--heartbeat", "1"],
            keeps: false,
            greet: |_| Some(Vec::new()),
            behind: (0..200).fold(frame(5, 0, b"push"), |inner, _| frame(9, 0, &inner)),
            floods: true,
            ..plain("goim: a batch in a batch in a batch ...")
        },
    ]
}

/// The right answer to a greeting: nothing is stored, and the epoch and the link are taken.
fn welcome(got: &Got) -> Vec<u8> {
    let mut body = vec![0; 28 + 8];
    body[..8].copy_from_slice(&[0x81, 0, 0, 8, 0x03, 0x84, 0, 0]);
    body[8..12].copy_from_slice(got.body.get(4..8).filter(|epoch| **epoch != [0; 4]).unwrap_or(&[0, 0, 0, 1]));
    body[12..16].copy_from_slice(got.body.get(16..20).unwrap_or(&[0, 0, 0, 1]));
    body[16..20].copy_from_slice(&[0, 1, 0, 0]);
    body
}

/// That, with other bytes in a place.
fn changed(got: &Got, at: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = welcome(got);
    body[at..at + bytes.len()].copy_from_slice(bytes);
    Some(body)
}

/// No, and a time to come back at that is as late as can be said. What it names as in force is as large as can be.
fn refused(got: &Got, status: u8) -> Option<Vec<u8>> {
    let mut body = welcome(got);
    body.truncate(28);
    (body[1], body[3]) = (status, 0);
    match status {
        5 => body[8..12].fill(0xFE),
        6 => body[12..16].fill(0xFE),
        _ => body[24..28].fill(0xFF),
    }
    Some(body)
}

fn goaway(code: GoAwayCode, retry_after_ms: u32) -> Vec<u8> {
    let mut body = GoAway::new(code).to_bytes();
    body[4..].copy_from_slice(&retry_after_ms.to_be_bytes());
    frame(GOAWAY, 0, &body)
}

/// The fixed part of a page: a status, epoch 1, whether there is more, and when to come back.
fn page(status: u8, more: u8, retry_after_ms: u32) -> Vec<u8> {
    let retry = retry_after_ms.to_be_bytes();
    [&[1, status, 0, 0, 0, 0, 0, 1, 0, 0, 0, more, 0, 0, 0, 0][..], &retry].concat()
}

impl HostileServer {
    /// Serves one connection, and returns how many frames came.
    pub(crate) fn serve(&self, mut peer: Peer, over: &AtomicBool) -> u64 {
        let mut frames = 0;
        let heartbeats = if self.args.is_empty() { HEARTBEAT } else { 2 };
        while peer.end.is_none() && !over.load(Ordering::Relaxed) {
            let Some(got) = peer.next(TICK) else { continue };
            frames += 1;
            let answer = match got.command {
                command if command == heartbeats && command == 2 => Some((3, vec![0; 4])),
                HEARTBEAT => Some((HEARTBEAT + REPLY, Vec::new())),
                sync::SYNC => (self.page)(&got).map(|body| (sync::SYNC + REPLY, body)),
                _ => None,
            };
            if let Some((command, body)) = answer {
                peer.send(&frame(command, got.sequence, &body));
            }
            if got.command == HELLO || (heartbeats == 2 && got.command == 7) {
                let reply = if heartbeats == 2 { 8 } else { HELLO + REPLY };
                if let Some(body) = (self.greet)(&got) {
                    peer.send(&frame(reply, got.sequence, &body));
                }
                let refuses = (self.greet)(&got).is_some_and(|body| body.get(1).is_some_and(|status| *status != 0));
                frames += self.follow(&mut peer, over);
                if self.leaves || refuses {
                    peer.shut();
                }
            }
        }
        frames
    }

    fn follow(&self, peer: &mut Peer, over: &AtomicBool) -> u64 {
        if self.floods {
            let (before, mut at) = (peer.received, 0);
            while peer.end.is_none() && !over.load(Ordering::Relaxed) {
                peer.pump(&self.behind, &mut at, Instant::now() + TICK, true);
            }
            // Every frame of a client that has nothing to say is one of 16 bytes, or some more.
            return (peer.received - before) / 60;
        }
        peer.send(&self.behind);
        0
    }
}
