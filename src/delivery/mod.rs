//! A message is stored once: what is under way, and what has arrived.
//!
//! Three classes of frames travel from the connecting side to the accepting one.
//!
//! | class | sequence | answer | ends with its link |
//! |---|---|---|---|
//! | message | of the device's epoch, over all links | empty: stored; 4 bytes: rejected | no |
//! | request | of the link | a body | yes, unless it asks again |
//! | one-way | 0 | none | yes |
//!
//! On the connecting side:
//!
//! * [`Outbox`] keeps encoded frames in the order of their writing, one behind the other in one buffer, so that small
//!   ones travel together without a copy; it writes messages again that were not answered, and tells how each ended.
//! * [`transfer::Upload`] sends what is too long for a frame, in chunks.
//!
//! On the accepting side:
//!
//! * [`DedupWindow`] knows which sequences were accepted, and so which message is fresh.
//! * [`Ledger`] is what is stored of a device beside its messages: whose turn it is, and the window.
//! * [`transfer::Assembly`] puts chunks together.
//! * [`Queue`] holds frames until they are written, first in, first out.
//!
//! # Alone
//!
//! A [session](crate::session) has these work together, and greets. Without it, in protocols that bring messages and
//! acknowledgements in their own way:
//!
//! ```
//! use longlink::delivery::{Answer, Ledger, MessageId, MessagePolicy, Outbox, Slot, Verdict};
//! use longlink::wire::{Decoded, Dialect, decode};
//! use longlink::Instant;
//!
//! const NATIVE: &Dialect = &Dialect::LONGLINK;
//! let (mut buffer, mut slots, now) = ([0; 256], [Slot::FREE; 4], Instant::ZERO);
//! let mut outbox = Outbox::new(NATIVE, &mut buffer, &mut slots);
//! let encode = |_sequence, room: &mut [u8]| {
//!     room[..2].copy_from_slice(b"hi");
//!     Ok(2)
//! };
//! let token = outbox.push(now, &MessagePolicy::DEFAULT, (2, false), encode).unwrap();
//! let Decoded::Frame(frame) = decode(NATIVE, outbox.poll_transmit(false))? else { panic!("a whole frame is lent") };
//! let (sequence, length) = (frame.sequence(), frame.length());
//! outbox.handle_sent(now, length); // from now on its answer is awaited
//!
//! // At the other end. The first copy is stored, together with the ledger; each is acknowledged.
//! let mut ledger: Ledger = Ledger::new();
//! let lease = ledger.greet(None, 1)?;
//! let id = MessageId { epoch: lease.epoch, link: lease.link, sequence };
//! assert_eq!(ledger.accept(&id), Some(Verdict::Fresh));
//! assert_eq!(ledger.accept(&id), Some(Verdict::Duplicate));
//!
//! let acknowledged = outbox.handle_reply(now, NATIVE.reply_to(NATIVE.message), sequence, b"");
//! assert_eq!(acknowledged, Some(Answer::Delivered(token)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! * Store. What outlives a process, [`Client::save`](crate::session::Client::save) and [`Ledger`] give as bytes; the
//!   application puts them away.
//! * Messages from the server to the client. What must arrive there goes into a [mailbox](crate::sync).
//! * Encrypt or authenticate: [what that means](crate::guide::threats).
//!
//! On the wire: [messages](crate::guide::protocol#messages), [transfers](crate::guide::protocol#transfers).

mod accepted;
mod arena;
mod epoch;
mod inflight;
mod intake;
mod ledger;
mod outbox;
mod policy;
mod queue;
mod rto;
mod sequence;
mod slot;
pub mod transfer;
mod window;

pub use accepted::{Accepted, Standing};
pub use epoch::{Epoch, MessageId};
pub use intake::AcceptError;
pub(crate) use intake::{Intake, Overrun};
pub use ledger::{Greeted, Ledger, LedgerError, Stale};
pub(crate) use outbox::Peer;
pub use outbox::{Answer, Outbox, PushError, Unsettled};
pub use policy::{MessagePolicy, RequestPolicy};
pub use queue::Queue;
pub use sequence::LAST_SEQUENCE;
pub use slot::{Failure, Outcome, RejectCode, Rejection, Slot, Token};
pub use window::{DedupWindow, Verdict, WindowError};
