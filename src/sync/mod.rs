//! A device is up to date: what is kept for it in a mailbox comes over, in order, and nothing is lost.
//!
//! A *mailbox* holds items under keys, one sequence of *vals* for each key. A device keeps a *cursor*: the epoch of the
//! mailbox, and for every key the val up to which it has everything ([`SyncKeys`]). With that it asks for what comes
//! after, and whatever goes wrong on the way it asks again with the same cursor:
//!
//! ```text
//!   device                                                                    mailbox
//!     │ ◀───────────────────────── 1  notify: key 2 has come to 69 ───────────── │   only a hint
//!     │ ── 2  request: epoch 7, key 1 up to 53, key 2 up to 52 ────────────────▶ │
//!     │ ◀──────── 3  page: the items of key 2 after 52, and that they reach 69 ─ │
//!     │       stores the items, then the cursor, in one transaction              │
//!     │ ── 4  done: epoch 7, key 1 up to 53, key 2 up to 69 ───────────────────▶ │   what all devices have may go
//! ```
//!
//! The bodies of the four are [`Notify`], [`Request`], [`Response`] and [`Ack`]; an item that fits no page comes as a stub,
//! and [`Fetch`] gets the rest. They go over a link as the commands [`NOTIFY`], [`SYNC`], [`SYNC_DONE`] and [`FETCH`].
//!
//! # What holds
//!
//! * **The cursor moves last.** First the items are stored, then the cursor, then it is acknowledged. Whoever breaks
//!   off between two of these gets items again, and knows them by (epoch, key, val); none is missing.
//! * **The same cursor gets the same answer.** The cursor is all that the mailbox goes by. To send something changes nothing,
//!   only an acknowledgement does.
//! * **A val says "everything up to here".** What a page returns for a key is the greatest val up to which every item that the
//!   device may see is in that page. It has no holes to remember, and vals may have gaps.
//! * **Keys are merged, never replaced.** A key that a page does not name stays where it is, and none goes back, unless
//!   the page says that it is reset.
//! * **A mailbox that cannot continue says so.** Another [epoch](Epoch), or a key that is reset, or one with a gap: nothing
//!   is passed over in silence.
//! * **A notify is a hint.** It may be lost, doubled or late. It makes a device ask earlier, and never decides what it
//!   gets.
//!
//! # Parts
//!
//! | | on the device | on the server |
//! |---|---|---|
//! | state | [`SyncKeys`], the cursor | a [`Mailbox`]: a trait, over whatever store; [`RingMailbox`] in memory that is lent |
//! | what to do | [`Client`]: when to ask, what of an answer to believe | [`answer`], [`acknowledge`], [`answer_fetch`]: from the mailbox alone |
//! | of one link | | [`Server`]: the request that is held, the notify that is owed |
//! | bodies | [`Request`], [`Ack`], [`Fetch`] | [`Response`] with its [`Page`], [`Notify`], [`FetchReply`] |
//!
//! # Alone
//!
//! A [session](crate::session) does all of this on its own links. The two halves in one place, without a network in between:
//!
//! ```
//! use longlink::Instant;
//! use longlink::sync::{self, Client, Config, Epoch, Memory, Request, RingStorage, Row};
//!
//! let now = Instant::ZERO;
//! let mut store: RingStorage<8, 256> = RingStorage::new();
//! let mut mailbox = store.mailbox(Epoch::FIRST);
//! mailbox.append(2, 0, b"hi")?;
//!
//! let mut memory: Memory<[Row; 8]> = Memory::new();
//! let mut device = Client::new(&Config::DEFAULT, &mut memory, 7, 1_000)?;
//! device.handle_online(now);
//! let mut stored = Vec::new();
//! while let Some((sequence, fixed)) = device.poll_request() {
//!     let body = [&fixed[..], device.rows()].concat();
//!     device.handle_request_sent(now);
//!     // At the server.
//!     let mut reply = [0; 1_000];
//!     let answered = sync::answer(&Request::decode(&body)?, &mut mailbox.device(7, now), &mut reply)?;
//!     // And back. Items and cursor go into one transaction; here both are only in memory.
//!     if let Some(page) = device.handle_response(now, sequence, &reply[..answered.length]) {
//!         stored.extend(page.items().map(|item| item.bytes.to_vec()));
//!         device.commit(now, &page.receipt())?;
//!     }
//! }
//! assert_eq!((stored, device.keys().to_string()), (vec![b"hi".to_vec()], "2_1".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! Decide who gets what: your server appends to mailboxes. Look into items, merge two versions of one, or send anything up:
//! that is [`delivery`](crate::delivery). On the wire: [sync](crate::guide::protocol#sync).

mod answer;
pub(crate) mod body;
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

/// The request for what is new: the body is a [`Request`], that of the reply a [`Response`].
pub const SYNC: u32 = 121;
/// The request for the rest of an item of which only a stub came: the body is a [`Fetch`], that of the reply a
/// [`FetchReply`].
pub const FETCH: u32 = 125;
/// What the device has stored: one-way, the body is an [`Ack`]. The number looks like that of a reply, and is none.
pub const SYNC_DONE: u32 = 1_000_000_190;
/// Something is new: one-way, from the server, the body is a [`Notify`].
pub const NOTIFY: u32 = 24;

/// One key of a cursor, as it is on the wire: key u16, flags u16, val u64. A table of [`SyncKeys`] is made of these; what
/// is in them at first does not matter.
pub type Row = [u8; 12];
