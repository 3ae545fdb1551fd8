//! Who a client of the examples is.

use longlink::delivery::Epoch;
use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of a device: the one that it is, or one made of the name (64-bit FNV-1a).
pub(crate) fn parse_device(name: &str) -> Result<NonZeroU64, String> {
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let number = name.parse().unwrap_or_else(|_| name.bytes().fold(0xCBF2_9CE4_8422_2325, hash));
    NonZeroU64::new(number).ok_or_else(|| "no device has the number 0".into())
}

/// The epoch of a life that keeps no state: the seconds since 1970, which only grow.
pub(crate) fn epoch() -> Option<Epoch> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    u32::try_from(seconds).ok().and_then(Epoch::new)
}

/// The number by which this side tells accounts apart.
pub(crate) fn account(token: Option<&str>) -> u64 {
    token.map_or(0, |token| crc32c::crc32c(token.as_bytes()).into())
}
