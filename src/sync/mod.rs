//! A device is brought up to date, with nothing lost.

mod answer;
mod body;
mod client;
mod epoch;
mod item;
mod keys;
mod mailbox;
mod ring;
mod server;

pub use answer::{Answered, Refusal, STORE_RETRY, acknowledge, answer, answer_fetch, refusal};
pub use body::{
    Ack, Acked, BodyError, Entries, Entry, Fetch, FetchReply, FetchStatus, Items, Notify, Page, Receipt, Request,
    Response,
};
pub use client::{Client, Config, ConfigError, CursorError, Memory, Rejected, StaleReceipt, SyncError, Told, Wanted};
pub use epoch::Epoch;
pub use item::Item;
pub use keys::{MAX_KEYS, SyncKeys, TextError, TooManyKeys};
pub use mailbox::Mailbox;
pub use ring::{RingDevice, RingError, RingItem, RingKey, RingMailbox, RingMemory, RingStorage, RingView};
pub(crate) use server::Owed;
pub use server::Server;

/// The request that asks for what is new: the body is a [`Request`], that of the reply a [`Response`].
pub const SYNC: u32 = 121;
/// The request for the rest of an item of which only a stub came: the body is a [`Fetch`], that of the reply a
/// [`FetchReply`].
pub const FETCH: u32 = 125;
/// What the client has stored: one-way, the body is an [`Ack`].
pub const SYNC_DONE: u32 = 1_000_000_190;
/// Something is new: one-way, from the server, the body is a [`Notify`].
pub const NOTIFY: u32 = 24;

/// An entry as on the wire: key u16, flags u16, val u64. What a table of [`SyncKeys`] is made of.
pub type Row = [u8; 12];
