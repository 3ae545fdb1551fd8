use super::server::Lent;
use crate::Instant;
use crate::fuzzing::input::Input;
use crate::session::{SendError, Server, ServerEvent};
use crate::sync::{Epoch, Refusal, Request, RingMailbox, acknowledge};
use core::time::Duration;

/// The device's number in its mailbox.
const DEVICE: u64 = 1;
const LONGEST_REQUEST: usize = 16 + 12 * super::inbox::KEYS;

/// The mailbox, and what the application of a server does with it.
pub(super) struct Mailbox<'b> {
    ring: RingMailbox<'b>,
    /// A request that is not answered yet.
    asked: Option<(u32, [u8; LONGEST_REQUEST], usize)>,
}

impl<'b> Mailbox<'b> {
    pub(super) const fn new(ring: RingMailbox<'b>) -> Self {
        Self { ring, asked: None }
    }

    /// Most requests are answered at once.
    pub(super) fn handle(&mut self, now: Instant, server: &mut Server<'_, Lent>, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Sync { sequence, request } => {
                let mut body = [0; LONGEST_REQUEST];
                let Ok(length) = request.encode(&mut body) else {
                    return server.refuse_sync(now, *sequence, Refusal::Bad);
                };
                self.asked = Some((*sequence, body, length));
                if sequence % 4 != 0 {
                    self.answer(now, server);
                }
            }
            ServerEvent::SyncDone(ack) => {
                let taken = acknowledge(ack, &mut self.ring.device(DEVICE, now)).unwrap();
                assert_eq!(taken, ack.epoch == self.ring.epoch());
            }
            ServerEvent::Fetch { sequence, fetch } => {
                let _ = server.answer_fetch(now, *sequence, fetch, &mut self.ring.device(DEVICE, now));
            }
            _ => {}
        }
    }

    pub(super) fn happen(&mut self, which: u8, now: Instant, server: &mut Server<'_, Lent>, input: &mut Input<'_>) {
        match which {
            1 | 2 => {
                let key = u16::from(input.number() % 8);
                let _ = self.ring.append(key, which, input.bytes());
                server.notify(now, self.ring.epoch(), key, self.ring.head(key));
            }
            3 => {
                let epoch = Epoch::new(input.number().into()).unwrap_or(Epoch::FIRST);
                server.notify(now, epoch, input.number().into(), input.sequence().into());
            }
            4 => {
                let later = Refusal::RetryLater(Duration::from_millis(input.sequence().into()));
                let why = [later, Refusal::Bad, Refusal::NotThisDevice][usize::from(input.number() % 3)];
                let sequence = self.asked.take().map_or(input.sequence(), |(sequence, ..)| sequence);
                server.refuse_sync(now, sequence, why);
            }
            5 => {
                let next = self.ring.epoch().get().wrapping_add(1);
                self.ring.begin(Epoch::new(next).unwrap_or(Epoch::FIRST));
            }
            6 => drop(self.ring.remove_device(DEVICE)),
            _ => self.answer(now, server),
        }
    }

    fn answer(&mut self, now: Instant, server: &mut Server<'_, Lent>) {
        let Some((sequence, body, length)) = self.asked.take() else { return };
        let request = Request::decode(&body[..length]).unwrap();
        match server.answer_sync(now, sequence, &request, &mut self.ring.device(DEVICE, now)) {
            Ok(answered) => assert!(answered.error.is_none() && answered.length <= request.max_bytes as usize),
            // Where there is no room for a page there is still room for a word.
            Err(SendError::Closing | SendError::Offline | SendError::NotGreeted) => {}
            Err(_) => server.refuse_sync(now, sequence, Refusal::RetryLater(Duration::from_secs(1))),
        }
    }
}
