//! Numbers that nobody else has.

use std::hash::{BuildHasher, RandomState};

/// A random number, from what the standard library keys its hash maps with: good to tell things apart, no secret.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}
