//! Bytes to frames and back.
//!
//! A *frame* is the unit on the wire: a fixed header, perhaps an extension of it, and a body that this layer does not
//! look into. All integers are big-endian.
//!
//! ```text
//! Layout::Wire16   0        4        6        8        12       16
//!                  | length | header | version| command| sequence | extension … | body …
//!                    u32      u16      u16      u32      u32        header − 16    length − header
//!
//! Layout::Wire20   0        4        8        12       16         20
//!                  | header | version| command| sequence | body length | extension … | body …
//!                    u32      u32      u32      u32        u32           header − 20
//! ```
//!
//! Which layout, which numbers and which limits are in force is written down in a [`Dialect`], a plain constant.
//!
//! * [`decode`] and [`encode`] hold no state: bytes that are all there, in and out.
//! * [`Decoder`] takes a stream in pieces of any size, straight from the socket into its buffer, and lends out the
//!   frames in place.
//! * [`Batch`] walks a body that consists of whole frames.
//!
//! # Alone
//!
//! For a protocol of one's own with this header nothing else is needed:
//!
//! ```
//! use longlink::wire::{Decoded, Dialect, decode, encode};
//!
//! const SENSOR: Dialect = Dialect { name: "sensor", max_frame: 512, ..Dialect::LONGLINK };
//!
//! let mut out = [0; 64];
//! let length = encode(&SENSOR, 301, 1, b"21.5", &mut out)?;
//! let Decoded::Frame(frame) = decode(&SENSOR, &out[..length])? else { panic!("all of it is there") };
//! assert_eq!((frame.command(), frame.sequence(), frame.body()), (301, 1, &b"21.5"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What commands and sequences mean, and whether anybody answers, is not known here: that begins with
//! [`session`](crate::session). Bodies are neither compressed nor encrypted nor checked by a sum.
//!
//! # What is refused
//!
//! A header is judged field by field as soon as the bytes are there, so a peer that speaks another protocol is named
//! after its first four to eight bytes: header length, then total length, then version. Whether the frame is longer
//! than the limit comes last, when the rest of the header is known to be good: such a frame is skipped exactly and the
//! stream goes on. Every other [`FrameError`] is final, because what follows cannot be told apart any more.
//!
//! # Panics
//!
//! None, on any input. Functions here index nothing and add lengths with checks; an image that calls all of them links
//! without a panic handler.

mod codec;
mod decoder;
mod dialect;
mod error;
mod header;

pub use codec::{Batch, Decoded, decode, encode, encode_header, encode_with_extension};
pub(crate) use codec::{encode_in_place, fill};
pub use decoder::Decoder;
pub(crate) use decoder::shift;
pub use dialect::{Dialect, Greeting, Proof, ReplyRule};
pub use error::{BufferTooSmall, EncodeError, FrameError};
pub use header::{Frame, FrameMut, Header, Layout};
