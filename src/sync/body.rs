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
mod smoke {
    use super::*;
    use crate::sync::{Epoch, Row, SyncKeys};
    #[test]
    fn quick() {
        let mut keys: SyncKeys<[Row; 4]> = SyncKeys::new();
        keys.read_text("1_5|3_9").unwrap();
        keys.merge(2, 7).unwrap();
        assert_eq!(std::format!("{keys}"), "1_5|2_7|3_9");
        keys.remove(1);
        assert_eq!(std::format!("{keys}"), "2_7|3_9");
        let e = Epoch::new(9).unwrap();
        let mut body = std::vec::Vec::from(Head { n: 2, items: 1, items_len: 19, ..Head::new(0, Some(e)) }.to_bytes());
        body.extend(keys.rows());
        body.extend(item_head(&crate::sync::Item::new(2, 6, 1, b"abc")));
        body.extend(b"abc");
        let Ok(Response::Page(p)) = Response::decode(&body) else { panic!() };
        assert_eq!(p.items().count(), 1);
        let unsized_keys: &mut SyncKeys = &mut keys;
        unsized_keys.begin(Some(e));
        assert!(unsized_keys.is_empty());
        assert_eq!(
            p.receipt().up_to(&p.items().next().unwrap()).vals().collect::<std::vec::Vec<_>>(),
            [Entry::new(2, 6)]
        );
    }
}
