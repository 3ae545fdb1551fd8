use super::Accepted;
use super::sequence::{LAST_SEQUENCE, Place};
use crate::time::as_u32;
use crate::wire::BufferTooSmall;
use core::{error::Error, fmt};

/// Which messages of one epoch were accepted: the highest, and of those before it each by itself.
///
/// So a copy is told from a message that is new, in any order and with any holes. `64 * WORDS` sequences are
/// remembered, the highest accepted one ([`last`](Self::last)) and those right before it; `WORDS` is 1 to 16, so the
/// window is 64 to 1,024 wide. What is older is [`Verdict::TooOld`]: nobody knows any more, and it must not be
/// acknowledged. The counter goes around from [`LAST_SEQUENCE`] to 1; what is ahead of `last` by less than half of all
/// sequences is newer.
///
/// ```
/// use longlink::delivery::{DedupWindow, Verdict};
///
/// let mut window: DedupWindow = DedupWindow::new();
/// assert_eq!(window.accept(5), Verdict::Fresh);
/// assert_eq!(window.accept(5), Verdict::Duplicate);
/// assert_eq!(window.accept(4), Verdict::Fresh); // late, and not known so far
/// assert_eq!(window.accept(100), Verdict::Fresh);
/// assert_eq!(window.check(100 - 63), Verdict::Fresh);
/// assert_eq!(window.check(100 - 64), Verdict::TooOld);
/// ```
///
/// On the wire and in storage it is `last`, and a bitmap whose bit `i mod 8`, lowest first, of byte `i div 8` says that
/// `last − i` was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DedupWindow<const WORDS: usize = 1> {
    /// The highest accepted sequence, 0 if there is none.
    last: u32,
    /// Bit `i`, lowest first, is set if `last − i` was accepted: bit 0 always, unless `last` is 0; then none is.
    words: [u64; WORDS],
}

/// What a [`DedupWindow`] says of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// Not accepted so far: store it, then acknowledge it.
    Fresh,
    /// Accepted before: acknowledge it again, and no more.
    Duplicate,
    /// Older than the window, or no sequence at all: not known. Reject it, never acknowledge it.
    TooOld,
}

impl<const WORDS: usize> DedupWindow<WORDS> {
    /// The length of the bitmap in bytes.
    pub const BITMAP_LEN: usize = {
        assert!(WORDS >= 1 && WORDS <= 16, "a window has 1 to 16 words");
        8 * WORDS
    };
    /// How many sequences are remembered, 64 to 1,024.
    pub const WIDTH: u32 = {
        let [low, high, ..] = (8 * Self::BITMAP_LEN).to_le_bytes();
        u16::from_le_bytes([low, high]) as u32
    };

    /// A window in which nothing was accepted: everything is fresh.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(Self::BITMAP_LEN > 0) };
        Self { last: 0, words: [0; WORDS] }
    }

    /// Restores a window from what [`last`](Self::last) and [`write_bitmap`](Self::write_bitmap) gave.
    ///
    /// # Errors
    ///
    /// [`WindowError`] if the bitmap has another length than [`BITMAP_LEN`](Self::BITMAP_LEN), or it contradicts
    /// `last`.
    pub fn from_bitmap(last: u32, bitmap: &[u8]) -> Result<Self, WindowError> {
        let mut window = Self::new();
        if bitmap.len() != Self::BITMAP_LEN {
            return Err(WindowError::Length { length: as_u32(bitmap.len()), expected: as_u32(Self::BITMAP_LEN) });
        }
        Accepted::new(last, bitmap)?;
        let mut rest = bitmap;
        for word in &mut window.words {
            // Always, with this length.
            if let Some((bytes, behind)) = rest.split_first_chunk() {
                (*word, rest) = (u64::from_le_bytes(*bytes), behind);
            }
        }
        window.last = last;
        Ok(window)
    }

    /// Writes the bitmap to the start of `out`, and returns its length, [`BITMAP_LEN`](Self::BITMAP_LEN).
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn write_bitmap(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        self.snapshot(out).map(|accepted| accepted.bitmap().len())
    }

    /// As [`write_bitmap`](Self::write_bitmap), and lends what was written, as a reply to a greeting carries it.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn snapshot<'a>(&self, out: &'a mut [u8]) -> Result<Accepted<'a>, BufferTooSmall> {
        let required = Self::BITMAP_LEN;
        let bitmap = out.get_mut(..required).ok_or(BufferTooSmall { required })?;
        let mut rest = &mut *bitmap;
        for word in &self.words {
            // Always, with this length.
            if let Some((bytes, behind)) = core::mem::take(&mut rest).split_first_chunk_mut() {
                (*bytes, rest) = (word.to_le_bytes(), behind);
            }
        }
        Ok(Accepted::of_window(self.last, bitmap))
    }

    /// The highest accepted sequence, 0 if there is none.
    #[must_use]
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// What is known of `sequence`.
    #[must_use]
    pub fn check(&self, sequence: u32) -> Verdict {
        match Place::of(sequence, self.last) {
            Place::Ahead(_) => Verdict::Fresh,
            Place::Behind(steps) => match self.words.get(word(steps)) {
                Some(word) if word & bit(steps) == 0 => Verdict::Fresh,
                Some(_) => Verdict::Duplicate,
                None => Verdict::TooOld,
            },
            Place::Nowhere => Verdict::TooOld,
        }
    }

    /// `true` if `sequence` was accepted and the window still knows.
    #[must_use]
    pub fn is_accepted(&self, sequence: u32) -> bool {
        self.check(sequence) == Verdict::Duplicate
    }

    /// Records `sequence` as accepted if it is fresh; otherwise nothing changes. Returns what [`check`](Self::check)
    /// said before.
    pub fn accept(&mut self, sequence: u32) -> Verdict {
        match Place::of(sequence, self.last) {
            Place::Ahead(steps) => {
                self.advance(steps);
                self.last = sequence;
                Verdict::Fresh
            }
            Place::Behind(steps) => match self.words.get_mut(word(steps)) {
                Some(word) if *word & bit(steps) == 0 => {
                    *word |= bit(steps);
                    Verdict::Fresh
                }
                Some(_) => Verdict::Duplicate,
                None => Verdict::TooOld,
            },
            Place::Nowhere => Verdict::TooOld,
        }
    }

    /// Moves the bits by so many steps, and sets that of the new highest sequence.
    fn advance(&mut self, steps: u32) {
        // Whole words first: once each at most, which clears them all.
        for _ in 0..word(steps).min(WORDS) {
            let mut carry = 0;
            for word in &mut self.words {
                carry = core::mem::replace(word, carry);
            }
        }
        let steps = steps % 64;
        let mut carry = 0;
        for word in &mut self.words {
            // In two shifts, because a shift by 64 is none.
            let next = word.wrapping_shr(1).wrapping_shr(63_u32.wrapping_sub(steps));
            *word = word.wrapping_shl(steps) | carry;
            carry = next;
        }
        if let Some(word) = self.words.first_mut() {
            *word |= 1;
        }
    }
}

impl<const WORDS: usize> Default for DedupWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a bitmap is not a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WindowError {
    /// The bitmap is of another width.
    Length {
        /// Its length in bytes.
        length: u32,
        /// The length of this window's bitmap.
        expected: u32,
    },
    /// The highest accepted sequence is none.
    Last {
        /// The number given, above [`LAST_SEQUENCE`].
        last: u32,
    },
    /// The bitmap contradicts the highest accepted sequence: that is missing in it, or there is none and bits are set.
    Bitmap {
        /// The highest accepted sequence given.
        last: u32,
    },
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length, expected } => write!(f, "window of {length} bytes, {expected} are expected"),
            Self::Last { last } => write!(f, "highest sequence {last} of a window is above {LAST_SEQUENCE}"),
            Self::Bitmap { last: 0 } => f.write_str("window has bits, but no highest sequence"),
            Self::Bitmap { last } => write!(f, "window lacks its highest sequence {last}"),
        }
    }
}

impl Error for WindowError {}

/// The word of bit `steps`.
const fn word(steps: u32) -> usize {
    (steps / 64) as usize
}

/// The bit of `steps` in its word.
const fn bit(steps: u32) -> u64 {
    1_u64.wrapping_shl(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<const WORDS: usize>(accepted: &[u32]) -> DedupWindow<WORDS> {
        let mut window = DedupWindow::new();
        accepted.iter().for_each(|sequence| assert_eq!(window.accept(*sequence), Verdict::Fresh));
        window
    }

    #[test]
    fn each_bit_is_at_its_place_on_the_wire() {
        let mut out = [0xAA; 9];
        assert_eq!(window::<1>(&[100]).write_bitmap(&mut out), Ok(8));
        assert_eq!(out, [1, 0, 0, 0, 0, 0, 0, 0, 0xAA]);
        let window = window::<1>(&[100, 99, 97, 92, 37]);
        assert_eq!(window.write_bitmap(&mut out), Ok(8));
        assert_eq!(out, [0b1011, 1, 0, 0, 0, 0, 0, 0x80, 0xAA]);
        let mut short = [0xAA; 7];
        assert_eq!(window.write_bitmap(&mut short), Err(BufferTooSmall { required: 8 }));
        assert_eq!(short, [0xAA; 7]);
    }

    #[test]
    fn what_is_no_sequence_is_too_old_and_changes_nothing() {
        for mut window in [window::<2>(&[]), window(&[7]), window(&[LAST_SEQUENCE, 1])] {
            let before = window;
            for sequence in [0, LAST_SEQUENCE + 1, u32::MAX] {
                assert_eq!((window.check(sequence), window.accept(sequence)), (Verdict::TooOld, Verdict::TooOld));
            }
            assert_eq!(window, before);
        }
    }

    #[test]
    fn a_bitmap_that_contradicts_the_highest_sequence_is_refused() {
        let read = |last, bitmap: &[u8]| DedupWindow::<1>::from_bitmap(last, bitmap);
        assert_eq!(read(0, &[0; 8]), Ok(DedupWindow::new()));
        assert_eq!(read(9, &[1, 0, 0, 0, 0, 0, 0, 0]), Ok(window(&[9])));
        assert_eq!(read(9, &[0, 1, 0, 0, 0, 0, 0, 0]), Err(WindowError::Bitmap { last: 9 }));
        assert_eq!(read(0, &[0, 0, 0, 0, 0, 0, 0, 0x80]), Err(WindowError::Bitmap { last: 0 }));
        assert_eq!(read(LAST_SEQUENCE + 1, &[1; 8]), Err(WindowError::Last { last: LAST_SEQUENCE + 1 }));
        for length in [0, 7, 9, 16] {
            assert_eq!(read(1, &[1; 16][..length]), Err(WindowError::Length { length: as_u32(length), expected: 8 }));
        }
    }
}
