//! The bodies, byte by byte. Each is read in place and judged once, when it is decoded.

mod acked;
mod entries;
mod error;
mod fetch;
mod lists;
mod page;
mod receipt;
mod request;
mod response;

pub use acked::Acked;
pub use entries::{Entries, Entry};
pub use error::BodyError;
pub use fetch::{Fetch, FetchReply, FetchStatus};
pub(super) use lists::List;
pub use lists::{Ack, Notify};
pub(crate) use page::item_head; // for answer.rs
pub use page::{Items, Page};
pub use receipt::Receipt;
pub use request::Request;
pub(crate) use response::Head;
pub use response::Response;

/// The version of all these bodies.
const VERSION: u8 = 1;

/// The version is one that is spoken here.
fn known(version: u8) -> Result<(), BodyError> {
    if version == VERSION { Ok(()) } else { Err(BodyError::Version { version }) }
}

/// No bit is set but these.
pub(super) fn only(bits: impl Into<u32>, known: u32) -> Result<(), BodyError> {
    match bits.into() & !known {
        0 => Ok(()),
        bits => Err(BodyError::Reserved { bits }),
    }
}

/// Fields of `N` bytes in all, one behind the other.
fn join<const N: usize, const FIELDS: usize>(fields: [&[u8]; FIELDS]) -> [u8; N] {
    let mut body = [0; N];
    for (to, from) in body.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    body
}

#[cfg(test)]
mod tests;
