use super::WindowError;
use super::sequence::{Place, is_sequence};

/// What a server says it has accepted, in place: the highest sequence, and a bitmap of those before it.
///
/// It comes in the reply to a greeting, and is final: what is not in it will not be accepted unless it is sent again.
/// Settle exactly the messages that are [`Standing::Stored`]; never those below [`last`](Self::last) merely because they
/// are below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Accepted<'a> {
    last: u32,
    bitmap: &'a [u8],
}

/// What [`Accepted`] says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Standing {
    /// The server has it: it is delivered.
    Stored,
    /// The server does not have it: send it again.
    NotStored,
    /// Older than what the server remembers, or no sequence: it may have it or not.
    Unknown,
}

impl<'a> Accepted<'a> {
    /// Nothing was accepted, and nothing is remembered.
    pub const NONE: Self = Self { last: 0, bitmap: &[] };

    /// Reads a window of any length in whole bytes.
    ///
    /// # Errors
    ///
    /// [`WindowError`] if `last` is neither 0 nor a sequence, or the bitmap contradicts it: bit 0 is set exactly if
    /// `last` is not 0, and with 0 no bit is.
    pub fn new(last: u32, bitmap: &'a [u8]) -> Result<Self, WindowError> {
        if last != 0 && !is_sequence(last) {
            return Err(WindowError::Last { last });
        }
        let fits = match last {
            0 => bitmap.iter().all(|byte| *byte == 0),
            _ => bitmap.first().is_some_and(|byte| byte & 1 == 1),
        };
        if fits { Ok(Self { last, bitmap }) } else { Err(WindowError::Bitmap { last }) }
    }

    /// The highest accepted sequence, 0 if there is none.
    #[must_use]
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// Bit `i mod 8`, lowest first, of byte `i div 8` says that `last − i` was accepted.
    #[must_use]
    pub const fn bitmap(&self) -> &'a [u8] {
        self.bitmap
    }

    /// What a window wrote, so it is in order.
    pub(super) const fn of_window(last: u32, bitmap: &'a [u8]) -> Self {
        Self { last, bitmap }
    }

    /// How many sequences the server remembers, a multiple of 8.
    #[must_use]
    pub fn width(&self) -> u32 {
        u32::try_from(self.bitmap.len()).unwrap_or(u32::MAX).saturating_mul(8)
    }

    /// `true` if the server has `sequence`.
    #[must_use]
    pub fn contains(&self, sequence: u32) -> bool {
        self.standing(sequence) == Standing::Stored
    }

    /// What is to be done about the message of this sequence.
    #[must_use]
    pub fn standing(&self, sequence: u32) -> Standing {
        match Place::of(sequence, self.last) {
            Place::Ahead(_) => Standing::NotStored,
            Place::Behind(steps) => match self.bitmap.get((steps / 8) as usize) {
                Some(byte) if byte.wrapping_shr(steps % 8) & 1 == 0 => Standing::NotStored,
                Some(_) => Standing::Stored,
                None => Standing::Unknown,
            },
            Place::Nowhere => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LAST_SEQUENCE;
    use super::*;

    #[test]
    fn only_a_set_bit_is_stored_never_what_is_merely_below_the_highest() {
        let accepted = Accepted::new(6, &[0b0001_1011]).unwrap();
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(|s| accepted.contains(s)), [false, true, true, false, true, true, false]);
        assert_eq!(accepted.width(), 8);
        let standings = [0, LAST_SEQUENCE, LAST_SEQUENCE - 1, LAST_SEQUENCE - 2, 4, 7].map(|s| accepted.standing(s));
        let unknown = Standing::Unknown;
        assert_eq!(
            standings,
            [unknown, Standing::NotStored, Standing::NotStored, unknown, Standing::NotStored, Standing::NotStored]
        );
        assert_eq!([1, 5, LAST_SEQUENCE].map(|s| Accepted::NONE.standing(s)), [Standing::NotStored; 3]);
        assert_eq!(Accepted::new(6, &[]), Err(WindowError::Bitmap { last: 6 }));
    }
}
