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
