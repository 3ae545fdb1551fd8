mod draft;
mod wanted;

use super::body::Head;
use super::{Ack, Acked, Entry, Epoch, Fetch, FetchReply, FetchStatus, Item, Mailbox, Request};
use crate::time::{as_u32, millis};
use crate::wire::{BufferTooSmall, fill};
use core::{ops::ControlFlow, time::Duration};
use draft::Draft;
use wanted::{Asked, Wanted};

/// So long a device is told to wait when the mailbox fails: 2 s. It adds a spread of its own.
pub const STORE_RETRY: Duration = Duration::from_secs(2);

/// An answer that was written, and what is to be known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answered<E> {
    /// The length of the body.
    pub length: usize,
    /// Nothing is in it and nothing is left out: it may be held back, if the device agrees, until there is something.
    pub is_empty: bool,
    /// The device's cursor changes by it.
    pub moves: bool,
    /// What the mailbox failed with. The body then says to come back [later](STORE_RETRY).
    pub error: Option<E>,
}

/// Why a [`Request`] gets no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// 2: not before so long; whole milliseconds, [`Response::MAX_RETRY_AFTER`](super::Response::MAX_RETRY_AFTER) at most.
    RetryLater(Duration),
    /// 3: the request is not understood.
    Bad,
    /// 4: there is no mailbox for this device.
    NotThisDevice,
}

/// The body that refuses a [`Request`].
#[must_use]
pub fn refusal(why: Refusal) -> [u8; Head::LEN] {
    let head = match why {
        Refusal::RetryLater(after) => Head {
            retry_after_ms: millis(after.min(super::Response::MAX_RETRY_AFTER)),
            ..Head::new(Head::RETRY_LATER, None)
        },
        Refusal::Bad => Head::new(Head::REFUSED, None),
        Refusal::NotThisDevice => Head::new(Head::NOT_THIS_DEVICE, None),
    };
    head.to_bytes()
}

/// Writes the answer to `request` into `out`: a page of what the mailbox has after the device's cursor, which is all that
/// goes in. Nothing is remembered of what was sent, so the same request gets the same answer again.
///
/// The vals that the request is made with count as stored by the device ([`Mailbox::acked`]). The page takes no more of
/// `out` than [`max_bytes`](Request::max_bytes) says. As long as something is left out it says so, and moves.
///
/// What cannot go on says so, key by key: a val that the mailbox never had begins again from 0, items that are gone make a
/// gap, another epoch begins all again. A device that has no cursor yet gets one that begins where the mailbox does.
///
/// It asks the mailbox once for the head of every key that is wanted, and reads from those that have something, as far as
/// the page has room.
///
/// # Errors
///
/// [`BufferTooSmall`] if `out` is shorter than [`Request::MIN_BYTES`]; the mailbox was not asked then. What goes wrong
/// in the mailbox is no error here: it is [told](Answered::error), and answered.
pub fn answer<M: Mailbox + ?Sized>(
    request: &Request<'_>,
    mailbox: &mut M,
    out: &mut [u8],
) -> Result<Answered<M::Error>, BufferTooSmall> {
    let least = as_usize(Request::MIN_BYTES);
    let limit = as_usize(request.max_bytes).max(least).min(out.len());
    if limit < least {
        return Err(BufferTooSmall { required: least });
    }
    let page = out.get_mut(..limit).ok_or(BufferTooSmall { required: least })?;
    match write_page(request, mailbox, page) {
        Ok(answered) => Ok(answered),
        Err(error) => {
            let length = fill(out, &refusal(Refusal::RetryLater(STORE_RETRY)))?;
            Ok(Answered { length, is_empty: false, moves: false, error: Some(error) })
        }
    }
}

/// Takes an acknowledgement: what the device has stored need not be kept for it. `false`, and a no-op, if it is of an epoch
/// that is not in force.
///
/// # Errors
///
/// What goes wrong in the mailbox. An acknowledgement may be lost: a later one says it all again.
pub fn acknowledge<M: Mailbox + ?Sized>(ack: &Ack<'_>, mailbox: &mut M) -> Result<bool, M::Error> {
    if mailbox.epoch()? != ack.epoch {
        return Ok(false);
    }
    let (mut valid, mut bit) = (0, 1_u64);
    for Entry { key, val, .. } in ack.entries {
        if val <= mailbox.head(key)? {
            valid |= bit;
        }
        bit <<= 1;
    }
    mailbox.acked(&Acked::of_ack(ack.entries, valid))?;
    Ok(true)
}

/// Writes the answer to `fetch` into `out`: the bytes of an item from some offset on, as many as both sides have room for.
///
/// # Errors
///
/// [`BufferTooSmall`] if `out` is shorter than [`Fetch::MIN_MAX`]; the mailbox was not asked then. What goes wrong in the
/// mailbox is no error here: it is [told](Answered::error), and answered.
pub fn answer_fetch<M: Mailbox + ?Sized>(
    fetch: &Fetch,
    mailbox: &mut M,
    out: &mut [u8],
) -> Result<Answered<M::Error>, BufferTooSmall> {
    let least = as_usize(Fetch::MIN_MAX);
    let limit = as_usize(fetch.max).max(least).min(out.len());
    if limit < least {
        return Err(BufferTooSmall { required: least });
    }
    let page = out.get_mut(..limit).and_then(|out| out.split_at_mut_checked(FetchReply::LEN));
    let Some((head, room)) = page else { return Err(BufferTooSmall { required: least }) };
    let mut taken = 0;
    let (reply, error) = match read_item(fetch, mailbox, room, &mut taken) {
        Ok(reply) => (reply, None),
        Err(error) => {
            (FetchReply { retry_after: STORE_RETRY, ..FetchReply::new(FetchStatus::RetryLater) }, Some(error))
        }
    };
    fill(head, &reply.encode_fixed())?;
    let length = if reply.status == FetchStatus::Ok { taken } else { 0 };
    Ok(Answered { length: FetchReply::LEN.saturating_add(length), is_empty: false, moves: false, error })
}

/// Copies of the item what fits into `room`, and counts it in `taken`.
fn read_item<M: Mailbox + ?Sized>(
    fetch: &Fetch,
    mailbox: &mut M,
    room: &mut [u8],
    taken: &mut usize,
) -> Result<FetchReply<'static>, M::Error> {
    if mailbox.epoch()? != fetch.epoch {
        return Ok(FetchReply::new(FetchStatus::OtherEpoch));
    }
    let mut reply = FetchReply::new(FetchStatus::Bad);
    let found = mailbox.find(fetch.key, fetch.val, &mut |item| {
        if let Some(behind) = item.bytes.get(as_usize(fetch.offset)..) {
            let bytes = behind.get(..room.len()).unwrap_or(behind);
            *taken = fill(room, bytes).unwrap_or_default();
            let total = as_u32(item.bytes.len());
            reply = FetchReply { total, offset: fetch.offset, ..FetchReply::new(FetchStatus::Ok) };
        }
    })?;
    Ok(if found { reply } else { FetchReply::new(FetchStatus::Gone) })
}

fn write_page<M: Mailbox + ?Sized>(
    request: &Request<'_>,
    mailbox: &mut M,
    page: &mut [u8],
) -> Result<Answered<M::Error>, M::Error> {
    let epoch = mailbox.epoch()?;
    let draft = Draft::new(page, request.items());
    match request.epoch {
        None => prime(request, mailbox, draft, epoch),
        Some(asked) if asked != epoch => Ok(draft.reset(epoch)),
        Some(_) => news(request, mailbox, draft, epoch),
    }
}

/// A device without a cursor: it begins where the mailbox does, and what is gone is no gap for it.
fn prime<M: Mailbox + ?Sized>(
    request: &Request<'_>,
    mailbox: &mut M,
    mut draft: Draft<'_>,
    epoch: Epoch,
) -> Result<Answered<M::Error>, M::Error> {
    // Before anything is looked at: what is there then stays for this device.
    mailbox.acked(&Acked::of_first_request(request.all, request.entries))?;
    let mut wanted = Wanted::of(request, mailbox)?;
    while let Some(Asked { key, .. }) = wanted.next(mailbox)? {
        let (floor, head) = (mailbox.floor(key)?, mailbox.head(key)?);
        if floor > 0 {
            draft.keep(Entry::new(key, floor));
        }
        if head > floor {
            draft.leave_out();
        }
    }
    Ok(draft.finish(epoch, true))
}

/// What is new after the cursor.
fn news<M: Mailbox + ?Sized>(
    request: &Request<'_>,
    mailbox: &mut M,
    mut draft: Draft<'_>,
    epoch: Epoch,
) -> Result<Answered<M::Error>, M::Error> {
    let mut valid = 0;
    let mut wanted = Wanted::of(request, mailbox)?;
    while let Some(asked) = wanted.next(mailbox)? {
        let head = mailbox.head(asked.key)?;
        if asked.val <= head {
            valid |= asked.bit;
        }
        if asked.val != head {
            draft.plan(Entry::new(asked.key, asked.val));
        }
    }
    mailbox.acked(&Acked::of_request(request.all, request.entries, valid))?;
    while let Some(asked) = draft.next_planned() {
        let (entry, head) = add_key(asked, mailbox, &mut draft)?;
        if entry != asked {
            draft.keep(entry);
        }
        if entry.val < head {
            draft.leave_out();
        }
    }
    Ok(draft.finish(epoch, false))
}

/// Adds the items of one key to the page. How far that brings the device, and the head.
fn add_key<M: Mailbox + ?Sized>(
    asked: Entry,
    mailbox: &mut M,
    draft: &mut Draft<'_>,
) -> Result<(Entry, u64), M::Error> {
    let key = asked.key;
    let head = mailbox.head(key)?;
    let resets = asked.val > head;
    let from = if resets { 0 } else { asked.val };
    let (mut last, mut is_cut) = (from, false);
    let mut reached = from;
    if head > from {
        reached = mailbox.read(key, from, &mut |item| {
            // What is out of order, or came into sight since, is not for this page.
            if item.val <= last || item.val > head {
                return ControlFlow::Continue(());
            }
            is_cut = !draft.add(&Item { key, ..item });
            last = if is_cut { item.val.saturating_sub(1) } else { item.val };
            if is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    // Only now: what goes while it is read makes a gap too.
    let floor = mailbox.floor(key)?;
    let reached = if is_cut { last } else { reached.min(head) };
    let val = reached.max(last).max(floor);
    Ok((Entry { key, val, resets, has_gap: floor > from }, head))
}

fn as_usize(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
