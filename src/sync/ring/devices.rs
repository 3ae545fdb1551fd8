use crate::Instant;
use crate::sync::Acked;
use core::mem::swap;
use core::time::Duration;

/// A place in the table of devices of a [`RingMailbox`](super::RingMailbox). 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RingDevice {
    id: u64,
    seen: Instant,
}

impl RingDevice {
    /// None: what a table is filled with before it is lent.
    pub const FREE: Self = Self { id: 0, seen: Instant::ZERO };
}

/// In place of an acknowledged val: the device does not want the key.
const UNWANTED: u64 = u64::MAX;

/// What each device has acknowledged, and when it did last. A row of vals for each, with a column for each key.
#[derive(Debug)]
pub(super) struct Devices<'b> {
    rows: &'b mut [RingDevice],
    vals: &'b mut [u64],
    /// Columns in a row.
    width: usize,
    len: usize,
}

impl<'b> Devices<'b> {
    /// So many rows are used as there are vals for.
    pub(super) fn new(rows: &'b mut [RingDevice], vals: &'b mut [u64], width: usize) -> Self {
        Self { rows, vals, width, len: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.vals.len().checked_div(self.width).unwrap_or_default().min(self.rows.len())
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn get(&self, device: usize) -> Option<&RingDevice> {
        self.rows.get(device)
    }

    /// The vals of a device.
    fn vals(&mut self, device: usize) -> &mut [u64] {
        let start = device.saturating_mul(self.width);
        self.vals.get_mut(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    /// A device is here. Where it is, and whether another had to go for it; `None` if there is no place for any.
    pub(super) fn see(&mut self, id: u64, now: Instant) -> Option<(usize, bool)> {
        let known = self.find(id);
        let (device, one_went) = match known {
            Some(device) => (device, false),
            None if self.len < self.capacity() => (self.len, false),
            None => (self.longest_silent()?, true),
        };
        let row = self.rows.get_mut(device)?;
        *row = RingDevice { id, seen: now.max(if known.is_some() { row.seen } else { now }) };
        if known.is_none() {
            self.vals(device).fill(UNWANTED);
            self.len = self.len.max(device.saturating_add(1));
        }
        Some((device, one_went))
    }

    fn find(&self, id: u64) -> Option<usize> {
        (0..self.len).find(|device| self.get(*device).is_some_and(|device| device.id == id))
    }

    fn longest_silent(&self) -> Option<usize> {
        (0..self.len).min_by_key(|device| self.get(*device).map(|device| device.seen))
    }

    /// Drops a device; `false` if it is not there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        self.find(id).is_some_and(|device| {
            self.drop_at(device);
            true
        })
    }

    /// Drops all that have been silent for `after`, and tells how many.
    pub(super) fn expire(&mut self, now: Instant, after: Duration) -> usize {
        let before = self.len;
        while let Some(device) = self.longest_silent() {
            if self.get(device).is_none_or(|device| now - device.seen < after) {
                break;
            }
            self.drop_at(device);
        }
        before.saturating_sub(self.len)
    }

    /// The last takes its place.
    fn drop_at(&mut self, device: usize) {
        let last = self.len.saturating_sub(1);
        if let Some((rows, [row, ..])) = self.rows.split_at_mut_checked(last) {
            if let Some(place) = rows.get_mut(device) {
                *place = *row;
            }
        }
        let (start, width) = (last.saturating_mul(self.width), self.width);
        if let Some((vals, behind)) = self.vals.split_at_mut_checked(start) {
            let from = device.saturating_mul(width);
            let places = vals.get_mut(from..from.saturating_add(width)).unwrap_or_default();
            for (place, val) in places.iter_mut().zip(behind) {
                *place = *val;
            }
        }
        self.len = last;
    }

    /// A key got the column `column`; those behind it move by one. No device has anything of it, and until one says that it
    /// does not want it, it does.
    pub(super) fn insert_column(&mut self, column: usize) {
        for device in 0..self.len {
            let mut new = 0;
            for val in self.vals(device).iter_mut().skip(column) {
                swap(val, &mut new);
            }
        }
    }

    /// Takes what a device says of one key: named at a val, or not named. `true` if what is kept of it changed.
    pub(super) fn acknowledge(&mut self, device: usize, column: usize, named: Option<u64>, acked: &Acked<'_>) -> bool {
        let Some(place) = self.vals(device).get_mut(column) else { return false };
        let before = *place;
        let counts = if before == UNWANTED || acked.begins() { 0 } else { before };
        *place = match named {
            Some(val) => counts.max(val),
            None if acked.all() => counts,
            None if acked.is_selection() => UNWANTED,
            None => before,
        };
        *place != before
    }

    /// The lowest val that the devices that want the key of this column have acknowledged; `None` if none does.
    pub(super) fn min(&self, column: usize) -> Option<u64> {
        let mut lowest = UNWANTED;
        for device in 0..self.len {
            let place = device.saturating_mul(self.width).saturating_add(column);
            lowest = lowest.min(self.vals.get(place).copied().unwrap_or(UNWANTED));
        }
        (lowest != UNWANTED).then_some(lowest)
    }
}
