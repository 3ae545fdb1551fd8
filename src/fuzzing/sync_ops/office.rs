use super::LONGEST;
use crate::Instant;
use crate::fuzzing::input::Input;
use crate::sync::{
    Ack, Epoch, Fetch, FetchReply, Mailbox, Notify, Page, Refusal, Request, Response, RingMailbox, acknowledge, answer,
    answer_fetch, refusal,
};
use core::ops::ControlFlow;
use core::time::Duration;

/// The device that is under test; others have other numbers.
const DEVICE: u64 = 7;

/// A body of at most the longest length.
#[derive(Clone, Copy)]
pub(super) struct Body {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Body {
    pub(super) const EMPTY: Self = Self { bytes: [0; LONGEST], length: 0 };

    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut body = Self::EMPTY;
        for part in parts {
            let end = body.length + part.len();
            body.bytes[body.length..end].copy_from_slice(part);
            body.length = end;
        }
        body
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// One bit of it is another, or its end is missing.
    pub(super) fn spoil(&mut self, which: u8, at: u8) {
        if which & 1 == 0 {
            self.length = self.length.min(at.into());
        } else if let Some(byte) = self.bytes[..self.length].get_mut(usize::from(at)) {
            *byte ^= 1 << (which >> 1);
        }
    }
}

/// The mailbox, what else is done to it, and what is under way from it.
pub(super) struct Office<'b> {
    pub(super) mailbox: RingMailbox<'b>,
    /// The answer that was made last, and of which request.
    pub(super) answer: Option<(u32, Body)>,
    pub(super) notify: Body,
    /// The key and the val that were drawn last.
    reserved: Option<(u16, u64)>,
}

impl<'b> Office<'b> {
    pub(super) const fn new(mailbox: RingMailbox<'b>) -> Self {
        Self { mailbox, answer: None, notify: Body::EMPTY, reserved: None }
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, input: &mut Input<'_>) {
        match op {
            20 | 21 => {
                let key = u16::from(input.number() % 16);
                if let Ok(val) = self.mailbox.append(key, which, input.bytes()) {
                    assert!(self.mailbox.head(key) <= val);
                }
                self.tell(key);
            }
            22 => {
                let (key, length) = (u16::from(input.number() % 16), input.number().into());
                let drawn = self.mailbox.reserve(key, 0, length).map(|val| (key, val));
                self.reserved = drawn.ok().or(self.reserved);
            }
            23 => {
                if which > 5 {
                    let val = input.number().into();
                    let _ = self.mailbox.finish(val, input.bytes());
                    return;
                }
                let Some((key, val)) = self.reserved.take() else { return };
                let before = self.mailbox.head(key);
                let was_reserved = match which & 1 {
                    0 => self.mailbox.finish(val, input.bytes()).is_ok(),
                    _ => self.mailbox.cancel(val),
                };
                assert!(!was_reserved || before < val, "what is not there was in sight");
            }
            24 => self.ask_as_other(u64::from(which), now, input),
            25 => {
                let ack = input.bytes();
                if let Ok(ack) = Ack::decode(ack) {
                    let _ = acknowledge(&ack, &mut self.mailbox.device(which.into(), now));
                }
            }
            26 => match which {
                0..4 => drop(self.mailbox.expire(now, Duration::from_secs(1 << (input.number() % 20)))),
                4 => drop(self.mailbox.remove_device(DEVICE)),
                _ => drop(self.mailbox.remove_device(which.into())),
            },
            27 => {
                let next = self.mailbox.epoch().get().wrapping_add(1);
                self.mailbox.begin(Epoch::new(next).unwrap_or(Epoch::FIRST));
                self.answer = None;
            }
            28 => self.fetch(which, now, input),
            29 => {
                let why = [Refusal::RetryLater(Duration::from_millis(input.wide().into())), Refusal::Bad];
                let why = why.get(usize::from(which)).copied().unwrap_or(Refusal::NotThisDevice);
                if let Some((_, body)) = &mut self.answer {
                    *body = Body::of(&[&refusal(why)]);
                }
            }
            30 => self.tell(u16::from(input.number())),
            _ => self.notify = Body::of(&[input.bytes()]),
        }
    }

    /// Answers a request of the device under test.
    pub(super) fn answer(&mut self, now: Instant, sequence: u32, request: &[u8], room: usize) {
        let request = Request::decode(request).unwrap();
        let mut body = Body::EMPTY;
        let mut view = self.mailbox.device(DEVICE, now);
        match answer(&request, &mut view, &mut body.bytes[..room.min(LONGEST)]) {
            Ok(answered) => {
                body.length = answered.length;
                assert!(answered.length <= request.max_bytes as usize && answered.error.is_none());
                let Response::Page(page) = Response::decode(body.as_bytes()).unwrap() else { panic!("no page") };
                assert!(!answered.is_empty || !answered.moves && page.items().len() == 0 && !page.has_more());
                assert!(answered.moves || !page.has_more(), "more, and nothing moves");
                assert!(page.items().len() <= request.items().into());
                self.look(&request, &page, now);
                self.answer = Some((sequence, body));
            }
            Err(_) => assert!(room < Request::MIN_BYTES as usize),
        }
    }

    /// Everything is in the page between what was asked with and what it returns.
    fn look(&mut self, request: &Request<'_>, page: &Page<'_>, now: Instant) {
        for entry in page.entries().filter(|_| request.epoch == Some(page.epoch())) {
            let asked = request.entries.into_iter().find(|asked| asked.key == entry.key && !entry.resets);
            let mut given = page.items().filter(|item| item.key == entry.key);
            let _ = self.mailbox.device(DEVICE, now).read(entry.key, asked.map_or(0, |asked| asked.val), &mut |item| {
                if item.val <= entry.val {
                    assert_eq!(given.next().map(|given| given.val), Some(item.val), "an item is left out");
                }
                ControlFlow::Continue(())
            });
            assert!(given.next().is_none());
        }
    }

    pub(super) fn acknowledge(&mut self, now: Instant, ack: &[u8]) {
        let ack = Ack::decode(ack).unwrap();
        let taken = acknowledge(&ack, &mut self.mailbox.device(DEVICE, now)).unwrap();
        assert_eq!(taken, ack.epoch == self.mailbox.epoch());
    }

    /// The newest of a key.
    fn tell(&mut self, key: u16) {
        self.notify = Body::of(&[&Notify::one(self.mailbox.epoch(), key, self.mailbox.head(key))]);
    }

    /// Another device has what it asks for.
    fn ask_as_other(&mut self, id: u64, now: Instant, input: &mut Input<'_>) {
        let bytes = input.bytes();
        let Ok(request) = Request::decode(bytes) else { return };
        let mut out = [0; LONGEST];
        let answered = answer(&request, &mut self.mailbox.device(id, now), &mut out).unwrap();
        assert!(Response::decode(&out[..answered.length]).is_ok());
    }

    fn fetch(&mut self, which: u8, now: Instant, input: &mut Input<'_>) {
        let (key, val) = (u16::from(input.number() % 16), u64::from(input.number()));
        let (offset, room) = (u32::from(input.number()), 2 * usize::from(input.number()));
        let fetch = Fetch::new(key, self.mailbox.epoch(), val, offset, Fetch::MIN_MAX + (u32::from(which) << 5));
        let mut out = [0; LONGEST];
        if let Ok(answered) = answer_fetch(&fetch, &mut self.mailbox.device(DEVICE, now), &mut out[..room]) {
            assert!(answered.length <= room);
            assert!(FetchReply::decode(&out[..answered.length], &fetch).is_ok());
        }
    }

    pub(super) fn check(&self) {
        for key in 0..16 {
            let (head, floor) = (self.mailbox.head(key), self.mailbox.floor(key));
            assert!(floor <= head, "key {key} is gone up to {floor} of {head}");
            assert!(self.mailbox.min_ack(key).is_none_or(|least| least <= head));
        }
    }
}
