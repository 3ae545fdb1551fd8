//! A payload that is too long for one frame, in chunks.
//!
//! ```text
//!   sender                                                            receiver
//!     │ ── open: key, total, chunk length, checksum ──────────────────▶ │
//!     │ ◀─────────────────────── go on: handle, what is missing ─────── │
//!     │ ── chunk ─▶ ── chunk ─▶ ── chunk ─▶      (several at once)      │
//!     │ ◀─ buffered ─ ◀─ buffered ─ ◀─ buffered ────────────────────── │
//!     │ ── open, the same ────────────────────────────────────────────▶ │
//!     │ ◀─────────────── complete: all there, checksum right, durable ─ │
//!     │ ── message that names the key ────────────────────────────────▶ │
//! ```
//!
//! A transfer has a [`Key`] of 16 random bytes, which the sender draws. All its requests may be repeated: an [`Open`]
//! begins a transfer or goes on with it, and a [`Chunk`] that comes twice is acknowledged twice. So a lost link, a
//! restart on either side and a server that had to make room are one and the same case: open it again, and the reply
//! says what is missing.
//!
//! What arrives *once* is the message that names the key afterwards. An acknowledged chunk is buffered and may be gone
//! tomorrow; only [`Status::Complete`] says that the payload is there to stay. The checksum, a CRC-32C that the
//! application computes on both sides, finds accidents; against people a payload has to be sealed.
//!
//! * [`Upload`] is the sender's side: which request to make next.
//! * [`Assembly`] is the receiver's: what a chunk is, what is missing, what to answer. [`Quota`] is how much a device
//!   may have under way.
//!
//! Neither holds bytes of the payload or makes a request itself: with [`OPEN`] and [`CHUNK`] as commands that is for
//! [`Client::request`](crate::session::Client::request) and [`Server::reply`](crate::session::Server::reply).
//!
//! On the wire: [transfers](crate::guide::protocol#transfers). The other way, from the server, a long item of a mailbox is
//! [fetched](crate::sync::Fetch) in ranges.
//!
//! # Alone
//!
//! Both sides in one place, without a network in between:
//!
//! ```
//! use longlink::Instant;
//! use longlink::delivery::transfer::{Assembly, Chunk, Handle, Key, Open, Range, State, Step, Upload};
//!
//! # fn crc32c(bytes: &[u8]) -> u32 {
//! #     let step = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
//! #     !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
//! # }
//! let payload = [0x5A; 4_000];
//! let open = Open::new(Key(*b"drawn at random!"), 4_000, crc32c(&payload));
//! let mut upload = Upload::new(open, [Range::EMPTY; 32]);
//!
//! let mut stored = [0; 4_000];
//! let mut assembly = Assembly::new(upload.open(), [Range::EMPTY; 8]);
//!
//! while let Some(step) = upload.poll_step() {
//!     let mut reply = [0; 272];
//!     let length = match step {
//!         Step::Open(_) => {
//!             if assembly.is_whole() {
//!                 assembly.conclude(crc32c(&stored));
//!             }
//!             assembly.answer(Handle::FIRST, &mut reply)?
//!         }
//!         Step::Chunk(place) => {
//!             // The sender reads the bytes, and writes them into a request.
//!             let mut body = [0; 1_512];
//!             let bytes = place.range().of(&payload).unwrap();
//!             let length = place.with(bytes).unwrap().encode_into(&mut body)?;
//!             // The receiver puts them where they belong; an empty reply acknowledges them.
//!             let chunk = Chunk::decode(&body[..length])?;
//!             assembly.check(&chunk)?;
//!             chunk.range().of_mut(&mut stored).unwrap().copy_from_slice(chunk.bytes());
//!             assembly.record(&chunk)?;
//!             0
//!         }
//!     };
//!     upload.handle_reply(Instant::ZERO, step, &reply[..length])?;
//! }
//! assert_eq!((upload.state(), stored), (State::Complete, payload));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembly;
mod body;
mod chunk;
pub mod limits;
mod progress;
mod quota;
mod ranges;
mod reply;
mod upload;

pub use assembly::{Arrival, Assembly};
pub use body::{BodyError, Key, Op, Open};
pub use chunk::{Chunk, ChunkRefusal, ChunkReply, Handle, Place};
pub use progress::{Progress, State, Step, UploadError};
pub use quota::Quota;
pub use ranges::{Missing, Range, Ranges};
pub use reply::{Answer, OpenReply, Status};
pub use upload::Upload;

/// The request that opens a transfer, asks about it or ends it: the body is an [`Open`], that of the reply an
/// [`OpenReply`].
pub const OPEN: u32 = 241;
/// The request that brings a chunk: the body is a [`Chunk`], that of the reply a [`ChunkReply`].
pub const CHUNK: u32 = 239;
