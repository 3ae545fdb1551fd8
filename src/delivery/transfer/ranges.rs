use super::body::words;

/// A run of bytes within a payload: from [`offset`](Self::offset) up to, and without, [`end`](Self::end).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Range {
    start: u32,
    end: u32,
}

impl Range {
    /// No bytes: what a table of ranges is filled with before it is lent.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// So many bytes from `offset` on; `None` if they end beyond 4 GiB.
    #[must_use]
    pub const fn new(offset: u32, length: u32) -> Option<Self> {
        match offset.checked_add(length) {
            Some(end) => Some(Self { start: offset, end }),
            None => None,
        }
    }

    /// `None` if there is nothing between the two.
    pub(super) fn between(start: u32, end: u32) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Where it begins.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.start
    }

    /// The first byte behind it.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.end
    }

    /// How many bytes.
    #[must_use]
    pub const fn length(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// `true` for no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// These bytes of a payload that is in memory; `None` if it is shorter.
    #[must_use]
    pub fn of(self, payload: &[u8]) -> Option<&[u8]> {
        payload.get(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }

    /// As [`of`](Self::of), to write to.
    #[must_use]
    pub fn of_mut(self, payload: &mut [u8]) -> Option<&mut [u8]> {
        payload.get_mut(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }

    /// As on the wire: offset u32, length u32.
    pub(super) fn to_bytes(self) -> [[u8; 4]; 2] {
        [self.start, self.length()].map(u32::to_be_bytes)
    }
}

/// The ranges of a body, in place.
///
/// They were checked when the body was decoded: ascending, disjoint, of whole chunks, within the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ranges<'a> {
    bytes: &'a [u8],
}

impl<'a> Ranges<'a> {
    /// The length of one on the wire.
    pub(super) const ONE: usize = 8;

    /// Not checked yet.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl Iterator for Ranges<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        let ([offset, length], behind) = words(self.bytes)?;
        self.bytes = behind;
        Range::new(offset, length)
    }
}

/// What is missing of a payload, from front to back.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Missing<'a> {
    /// What is there from `at` on.
    behind: &'a [Range],
    at: u32,
    total: u32,
}

impl Iterator for Missing<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        loop {
            let (at, (next, behind)) = (self.at, self.behind.split_first().unzip());
            let there = next.copied().unwrap_or(Range { start: self.total, end: self.total });
            (self.at, self.behind) = (there.end, behind.unwrap_or_default());
            let gap = Range::between(at, there.start);
            if gap.is_some() || at >= self.total {
                return gap;
            }
        }
    }
}

impl core::iter::FusedIterator for Missing<'_> {}

/// Which bytes, as ranges in a table of the caller: ascending, disjoint, and those that touch joined.
#[derive(Clone, Debug)]
pub(super) struct RangeSet<B> {
    table: B,
    len: usize,
}

impl<B: AsRef<[Range]> + AsMut<[Range]>> RangeSet<B> {
    /// No bytes, whatever is in the table.
    pub(super) const fn new(table: B) -> Self {
        Self { table, len: 0 }
    }

    pub(super) fn as_slice(&self) -> &[Range] {
        self.table.as_ref().get(..self.len).unwrap_or_default()
    }

    /// How many ranges the table has room for beside those that are there.
    pub(super) fn room(&self) -> usize {
        self.table.as_ref().len().saturating_sub(self.len)
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds bytes. `false`, and nothing is changed, if they touch none that are there and the table is full.
    pub(super) fn insert(&mut self, range: Range) -> bool {
        let len = insert(self.table.as_mut(), self.len, range);
        self.len = len.unwrap_or(self.len);
        len.is_some()
    }

    /// Takes the first bytes away, `length` of them at most and none beyond a hole.
    pub(super) fn take_first(&mut self, length: u32) -> Option<Range> {
        let (taken, len) = take_first(self.table.as_mut(), self.len, length)?;
        self.len = len;
        Some(taken)
    }

    /// `true` if all bytes of `range` are there.
    pub(super) fn contains(&self, range: Range) -> bool {
        let held = self.as_slice();
        let at = held.partition_point(|held| held.end < range.end);
        held.get(at).is_some_and(|held| held.start <= range.start)
    }

    /// `true` if `range` can be added without a place of its own in the table.
    pub(super) fn touches(&self, range: Range) -> bool {
        let (first, last) = touched(self.as_slice(), range);
        first < last
    }

    /// What is missing of the bytes up to `total`.
    pub(super) fn gaps(&self, total: u32) -> Missing<'_> {
        Missing { behind: self.as_slice(), at: 0, total }
    }
}

// The work, once for all kinds of tables.

/// The first of the ranges that `range` overlaps or touches, and the one behind the last.
fn touched(held: &[Range], range: Range) -> (usize, usize) {
    let first = held.partition_point(|held| held.end < range.start);
    let last = held.partition_point(|held| held.start <= range.end);
    (first, last)
}

/// Returns the new number of ranges; `None` if the table is full.
fn insert(table: &mut [Range], len: usize, range: Range) -> Option<usize> {
    if range.is_empty() {
        return Some(len);
    }
    let held = table.get_mut(..len)?;
    let (first, last) = touched(held, range);
    let Some(joined) = held.get_mut(first..last).filter(|joined| !joined.is_empty()) else {
        // All behind it move up by one; there is no such slice in a full table.
        let longer = len.checked_add(1)?;
        let mut carried = range;
        for place in table.get_mut(first..longer)? {
            core::mem::swap(place, &mut carried);
        }
        return Some(longer);
    };
    let end = joined.last().map_or(range.end, |last| last.end.max(range.end));
    if let Some(place) = joined.first_mut() {
        *place = Range { start: place.start.min(range.start), end };
    }
    Some(close(held, first.saturating_add(1), last))
}

/// Moves what is from `from` on down to `to` and returns how many are left.
fn close(held: &mut [Range], to: usize, from: usize) -> usize {
    let mut to = to;
    for from in from..held.len() {
        let Some(range) = held.get(from).copied() else { break };
        if let Some(place) = held.get_mut(to) {
            *place = range;
        }
        to = to.saturating_add(1);
    }
    to
}

/// Returns what was taken and the new number of ranges.
fn take_first(table: &mut [Range], len: usize, length: u32) -> Option<(Range, usize)> {
    let held = table.get_mut(..len)?;
    let first = held.first_mut()?;
    let end = first.start.saturating_add(length).min(first.end);
    let taken = Range { end, ..*first };
    first.start = end;
    let left = if first.is_empty() { close(held, 0, 1) } else { len };
    Some((taken, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroUsize;
    use std::vec::Vec;

    fn range(start: u32, end: u32) -> Range {
        Range { start, end }
    }

    /// The piece `n` of 5 bytes.
    fn chunk(n: u32) -> Range {
        Range::new(n.saturating_mul(5), 5).unwrap()
    }

    fn set(table: &mut [Range], ranges: &[(u32, u32)]) -> bool {
        let mut set = RangeSet::new(table);
        ranges.iter().all(|&(start, end)| set.insert(range(start, end)))
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let mut table = [Range::EMPTY; 4];
        let mut set = RangeSet::new(&mut table[..]);
        for (start, end) in [(30, 40), (10, 20), (50, 60), (0, 5)] {
            assert!(set.insert(range(start, end)));
        }
        assert!(!set.insert(range(42, 44)), "the table is full");
        assert!(set.insert(range(20, 30)));
        assert_eq!(set.as_slice(), [range(0, 5), range(10, 40), range(50, 60)]);
        assert!(set.insert(range(3, 55)));
        assert_eq!(set.as_slice(), [range(0, 60)]);
        assert!(set.insert(range(7, 7)));
        assert_eq!(set.room(), 3);
    }

    #[test]
    fn the_table_is_what_a_set_of_bytes_would_be() {
        // Seven pieces of ten, in every order; under Miri, which takes a minute for a hundred, in some.
        let step = if cfg!(miri) { 211 } else { 1 };
        for order in (0_usize..5_040).step_by(step) {
            let mut table = [Range::EMPTY; 10];
            let mut set = RangeSet::new(&mut table[..]);
            let mut pieces: Vec<u32> = (0..10).filter(|piece| piece % 4 != 2).collect();
            let (mut there, mut order) = (Vec::new(), order);
            while let Some(left) = NonZeroUsize::new(pieces.len()) {
                let piece = pieces.remove(order % left);
                order = order.div_euclid(left.get());
                assert!(set.insert(chunk(piece)));
                there.push(piece);
                for piece in 0..10 {
                    let is_there = there.contains(&piece);
                    assert_eq!(set.contains(chunk(piece)), is_there);
                    assert_eq!(set.gaps(50).any(|gap| (gap.start..gap.end).contains(&chunk(piece).start)), !is_there);
                }
            }
        }
    }

    #[test]
    fn the_first_bytes_are_taken_and_no_hole_is_crossed() {
        let mut table = [Range::EMPTY; 2];
        assert!(set(&mut table, &[(0, 12), (20, 22)]));
        let mut set = RangeSet { table: &mut table[..], len: 2 };
        let taken: Vec<_> = core::iter::from_fn(|| set.take_first(5)).collect();
        assert_eq!(taken, [range(0, 5), range(5, 10), range(10, 12), range(20, 22)]);
        assert!(set.as_slice().is_empty());
    }

    #[test]
    fn a_table_without_places_holds_nothing_and_breaks_nothing() {
        assert!(!set(&mut [], &[(0, 1)]));
        assert!(set(&mut [], &[(1, 1)]));
        assert_eq!(RangeSet::new([]).gaps(0).count(), 0);
        assert_eq!(RangeSet::new([]).gaps(7).collect::<Vec<_>>(), [range(0, 7)]);
    }

    #[test]
    fn a_range_ends_within_four_gibibytes() {
        assert_eq!(Range::new(u32::MAX, 1), None);
        assert_eq!(Range::new(u32::MAX, 0).map(Range::is_empty), Some(true));
        assert_eq!(range(1, 3).of(b"abcd"), Some(&b"bc"[..]));
        assert_eq!(range(1, 5).of_mut(&mut [0; 4]), None);
    }
}
