//! The large payloads of a device, one at a time: in chunks, over as many links as it takes.

use super::ear::Ear;
use super::office::Kept;
use super::tally::{self, Work, note};
use super::transfer::{open, payload};
use longlink::Instant;
use longlink::delivery::Token;
use longlink::delivery::transfer::{CHUNK, Chunk, OPEN, Open, Range, State, Step, Upload};

/// So many requests are under way at a time.
const WINDOW: usize = 2;

struct Sending {
    payload: Vec<u8>,
    upload: Upload<Vec<Range>>,
    asked: Vec<(Token, Step)>,
}

#[derive(Default)]
pub struct Uploads {
    sending: Option<Sending>,
    begun: u8,
    /// Requests of payloads that are over.
    late: Vec<Token>,
}

impl Uploads {
    pub fn is_idle(&self) -> bool {
        self.sending.is_none()
    }

    /// Begins with a payload of this length.
    pub fn begin(&mut self, length: usize) {
        self.begun = self.begun.wrapping_add(1);
        let payload = payload(length);
        let open = open(self.begun, &payload);
        self.sending = Some(Sending { upload: upload(open), payload, asked: Vec::new() });
    }

    /// A new process: all that is left is which payload it is.
    pub fn restart(&mut self) {
        self.late.clear();
        if let Some(sending) = &mut self.sending {
            sending.upload = upload(Open::decode(&sending.upload.open().to_bytes()).unwrap());
            sending.asked.clear();
        }
    }

    pub fn handle_disconnected(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.upload.handle_disconnected();
            assert!(sending.asked.is_empty(), "requests without an end, though their link is gone");
        }
    }

    /// The reply to a request, or its failure; `false` if it was another's.
    pub fn handle_end(&mut self, clock: Instant, token: Token, reply: Option<&[u8]>) -> bool {
        if let Some(index) = self.late.iter().position(|of| *of == token) {
            self.late.swap_remove(index);
            return true;
        }
        let Some(Sending { upload, asked, .. }) = &mut self.sending else { return false };
        let Some(index) = asked.iter().position(|(of, _)| *of == token) else { return false };
        let (_, step) = asked.swap_remove(index);
        match reply {
            Some(body) => upload.handle_reply(clock, step, body).unwrap(),
            None => upload.handle_failed(step),
        }
        true
    }

    /// Makes the next requests. `Some` once the payload is stored, with its length.
    pub fn work(&mut self, now: Instant, ear: &mut Ear<'_>, kept: &Kept) -> Option<usize> {
        let Sending { upload, payload, asked } = self.sending.as_mut()?;
        let clock = ear.clock(now);
        if upload.poll_timeout().is_some_and(|at| at <= clock) {
            upload.handle_timeout(clock);
        }
        while ear.client.is_online() && asked.len() < WINDOW {
            let Some(step) = upload.poll_step() else { break };
            let (command, body) = match step {
                Step::Open(open) => (OPEN, open.to_bytes().to_vec()),
                Step::Chunk(place) => {
                    let chunk = place.with(place.range().of(payload).unwrap()).unwrap();
                    let mut body = vec![0; Chunk::HEADER_LEN + chunk.bytes().len()];
                    chunk.encode_into(&mut body).unwrap();
                    (CHUNK, body)
                }
            };
            match ear.client.request(clock, command, &body) {
                Ok(token) => asked.push((token, step)),
                Err(_) => {
                    upload.put_back(step);
                    break;
                }
            }
        }
        self.finish(now, kept)
    }

    fn finish(&mut self, now: Instant, kept: &Kept) -> Option<usize> {
        let Sending { upload, payload, asked } = self.sending.as_ref()?;
        if upload.state().is_final() {
            self.late.extend(asked.iter().map(|(token, _)| token));
        }
        match upload.state() {
            State::Complete => {
                let held = kept.uploads.held.get(&upload.open().key());
                let is_there = held.is_some_and(|held| held.assembly.is_complete() && held.bytes == *payload);
                assert!(is_there, "a payload is said to be complete, and the server does not have it");
                let length = payload.len();
                tally::did(Work::Transfers);
                note(now, || format!("a payload of {length} bytes is stored"));
                self.sending = None;
                Some(length)
            }
            State::Failed(error) => {
                note(now, || format!("a payload fails: {error}"));
                self.sending = None;
                None
            }
            _ => None,
        }
    }

    pub fn next(&self, ear: &Ear<'_>) -> Option<Instant> {
        Some(self.sending.as_ref()?.upload.poll_timeout()? + ear.lag)
    }
}

fn upload(open: Open) -> Upload<Vec<Range>> {
    Upload::new(open, vec![Range::EMPTY; 32]).with_window(WINDOW)
}
