use super::Request;
use crate::sync::MAX_KEYS;
use core::{error::Error, fmt};

/// Why bytes are not the body that they should be, with the number that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BodyError {
    /// Too short, or longer than its fields say.
    Length {
        /// The length of the body.
        length: usize,
        /// What it should be; of a body that is cut before its own length can be told, what it should be at least.
        expected: usize,
    },
    /// A version that is not spoken here.
    Version {
        /// The version given.
        version: u8,
    },
    /// Reserved bits are set.
    Reserved {
        /// The bits.
        bits: u32,
    },
    /// More than [`MAX_KEYS`] entries.
    Keys {
        /// The number given.
        keys: u16,
    },
    /// An entry whose key is not above the one before.
    KeyOrder {
        /// The key.
        key: u16,
    },
    /// An epoch of 0 where one is needed.
    NoEpoch,
    /// A val above 0 of a device that knows no epoch.
    ValWithoutEpoch {
        /// The key.
        key: u16,
        /// The val.
        val: u64,
    },
    /// More items wanted than [`Request::MAX_ITEMS`].
    MaxItems {
        /// The number given.
        max_items: u16,
    },
    /// Room for too few bytes of an answer.
    MaxBytes {
        /// The number given.
        max_bytes: u32,
        /// What it should be at least.
        least: u32,
    },
    /// Entries, items or a flag beside a status that has none.
    NotEmpty {
        /// The status.
        status: u8,
    },
    /// A status that is none of a page.
    NoPage {
        /// The status.
        status: u8,
    },
    /// A delay that only "later" may name.
    RetryAfter {
        /// The milliseconds given.
        retry_after_ms: u32,
    },
    /// More items than [`Request::MAX_ITEMS`].
    Items {
        /// The number given.
        items: u16,
    },
    /// So many items do not take so many bytes.
    ItemsLength {
        /// The number of items given.
        items: u16,
        /// The bytes that they should take.
        length: usize,
    },
    /// An item whose key is below that of the one before.
    ItemOrder {
        /// The key.
        key: u16,
    },
    /// An item whose key is not among the entries.
    ItemKey {
        /// The key.
        key: u16,
    },
    /// An item whose val is not above that of the one before, or, of the first, not above what the device has.
    ItemVal {
        /// The item's key.
        key: u16,
        /// Its val.
        val: u64,
    },
    /// An item whose val is above that of its key's entry.
    ItemBeyond {
        /// The item's key.
        key: u16,
        /// Its val.
        val: u64,
    },
    /// A stub that is too short to say the whole length.
    Stub {
        /// The bytes of the item.
        length: u32,
    },
    /// A stub of an item that is all there.
    StubTotal {
        /// The whole length that it gives.
        total: u32,
    },
    /// An entry of a key that was not asked for.
    Unasked {
        /// The key.
        key: u16,
    },
    /// A val below the one that the device has, without a reset.
    ValFell {
        /// The key.
        key: u16,
        /// The val given.
        val: u64,
    },
    /// "More", and nothing moves.
    NoProgress,
    /// More keys than the table has rows for.
    TooManyKeys {
        /// How many it has room for.
        capacity: usize,
    },
    /// Another place in the item than was asked for.
    Offset {
        /// The offset given.
        offset: u32,
    },
    /// Bytes beyond the end of the item.
    Beyond {
        /// The whole length that the reply gives.
        total: u32,
    },
    /// More bytes than were asked for.
    TooLong {
        /// The length of the body.
        length: usize,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { length, expected } => write!(f, "body of {length} bytes where {expected} are expected"),
            Self::Version { version } => write!(f, "version {version} is unknown"),
            Self::Reserved { bits } => write!(f, "reserved bits {bits:#x} are set"),
            Self::Keys { keys } => write!(f, "{keys} entries are above the limit of {MAX_KEYS}"),
            Self::KeyOrder { key } => write!(f, "key {key} is not above the one before"),
            Self::NoEpoch => f.write_str("epoch 0 is none"),
            Self::ValWithoutEpoch { key, val } => write!(f, "val {val} of key {key} belongs to no epoch"),
            Self::MaxItems { max_items } => {
                write!(f, "{max_items} items are above the limit of {}", Request::MAX_ITEMS)
            }
            Self::MaxBytes { max_bytes, least } => {
                write!(f, "room for {max_bytes} bytes is below the minimum of {least}")
            }
            Self::NotEmpty { status } => write!(f, "status {status} comes with nothing else"),
            Self::NoPage { status } => write!(f, "status {status} is no page"),
            Self::RetryAfter { retry_after_ms } => write!(f, "delay of {retry_after_ms} ms where there is none"),
            Self::Items { items } => write!(f, "{items} items are above the limit of {}", Request::MAX_ITEMS),
            Self::ItemsLength { items, length } => write!(f, "{items} items do not take {length} bytes"),
            Self::ItemOrder { key } => write!(f, "item of key {key} is below the one before"),
            Self::ItemKey { key } => write!(f, "item of key {key}, which has no entry"),
            Self::ItemVal { key, val } => write!(f, "item {val} of key {key} is not above the one before"),
            Self::ItemBeyond { key, val } => write!(f, "item {val} of key {key} is above its entry"),
            Self::Stub { length } => write!(f, "stub of {length} bytes is too short"),
            Self::StubTotal { total } => write!(f, "stub of an item of {total} bytes, which are all there"),
            Self::Unasked { key } => write!(f, "key {key} was not asked for"),
            Self::ValFell { key, val } => write!(f, "key {key} falls to {val} without a reset"),
            Self::NoProgress => f.write_str("more is said to come, and nothing moves"),
            Self::TooManyKeys { capacity } => write!(f, "more keys than the {capacity} that there is room for"),
            Self::Offset { offset } => write!(f, "offset {offset} was not asked for"),
            Self::Beyond { total } => write!(f, "bytes beyond the end of an item of {total}"),
            Self::TooLong { length } => write!(f, "body of {length} bytes is longer than was asked for"),
        }
    }
}

impl Error for BodyError {}
