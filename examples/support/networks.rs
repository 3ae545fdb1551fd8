//! What was learned of the networks that the device was in: the last 20, the one that was learned of last at the end.
//!
//! | bytes | what |
//! |---|---|
//! | 16 each | what [`NetworkRecord::to_bytes`] encoded |
//! | 1 | how many there are |
//!
//! How many is behind them, so they can stand at the end of a file whatever is in front. Where there are none there is nothing.

use longlink::liveness::{Network, NetworkRecord};

/// The records, at most one of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(Vec<NetworkRecord>);

impl Networks {
    /// The one that was not heard of for longest goes when there are more.
    pub(crate) const MOST: usize = 20;

    /// Takes a record, in place of the one that there is of its network.
    pub(crate) fn put(&mut self, record: NetworkRecord) {
        self.0.retain(|other| other.network() != record.network());
        self.0.push(record);
        self.0.drain(..self.0.len().saturating_sub(Self::MOST));
    }

    pub(crate) fn get(&self, network: Network) -> Option<&NetworkRecord> {
        self.0.iter().find(|record| record.network() == network)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to stand at the end of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // At most 20.
        let count = (!self.is_empty()).then_some(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        self.0.iter().flat_map(|record| record.to_bytes()).chain(count).collect()
    }

    /// Reads what stands at the end of `bytes`, and returns what is in front of it. A record that is not understood is left
    /// out: it would be learned again.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], Self)> {
        let (count, rest) = bytes.split_last()?;
        let length = usize::from(*count).checked_mul(NetworkRecord::LEN)?;
        let (front, records) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        let mut networks = Self::default();
        let records = records.chunks(NetworkRecord::LEN).filter_map(|bytes| NetworkRecord::from_bytes(bytes).ok());
        records.for_each(|record| networks.put(record));
        Some((front, networks))
    }
}
