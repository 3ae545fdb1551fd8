use super::SyncKeys;
use crate::sync::Row;
use core::{error::Error, fmt};

/// Why a text is no cursor, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TextError {
    /// No number where one has to begin, or one that is too large: a key is at most 65,535, a val 2⁶⁴ − 1.
    Number {
        /// Where the number begins.
        at: usize,
    },
    /// Something else than `_` behind a key, or than `|` behind a val.
    Separator {
        /// Where it is.
        at: usize,
    },
    /// A key that is not above the one before.
    Order {
        /// Where the key begins.
        at: usize,
    },
    /// More keys than there is room for.
    TooManyKeys {
        /// Where the first begins that is too many.
        at: usize,
        /// How many there is room for.
        capacity: usize,
    },
}

/// What is left of a text.
#[derive(Clone, Copy)]
struct Text<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Text<'_> {
    /// The number that begins here.
    fn number(&mut self, most: u64) -> Result<u64, TextError> {
        let wrong = TextError::Number { at: self.at };
        let mut number = None;
        while let Some((digit @ b'0'..=b'9', behind)) = self.rest.split_first() {
            let digit = u64::from(digit.saturating_sub(b'0'));
            let tens = number.unwrap_or(0_u64).checked_mul(10);
            number = Some(tens.and_then(|tens| tens.checked_add(digit)).ok_or(wrong)?);
            (self.rest, self.at) = (behind, self.at.saturating_add(1));
        }
        number.filter(|number| *number <= most).ok_or(wrong)
    }

    /// Goes behind this byte.
    fn skip(&mut self, separator: u8) -> Result<(), TextError> {
        match self.rest.split_first() {
            Some((byte, behind)) if *byte == separator => {
                (self.rest, self.at) = (behind, self.at.saturating_add(1));
                Ok(())
            }
            _ => Err(TextError::Separator { at: self.at }),
        }
    }

    /// The entry that begins here, up to the next or the end; where its key begins is told with it.
    fn entry(&mut self) -> Result<(usize, u16, u64), TextError> {
        let at = self.at;
        let key = self.number(u16::MAX.into())?;
        let key = u16::try_from(key).map_err(|_| TextError::Number { at })?;
        self.skip(b'_')?;
        let val = self.number(u64::MAX)?;
        if !self.rest.is_empty() {
            self.skip(b'|')?;
            if self.rest.is_empty() {
                return Err(TextError::Number { at: self.at });
            }
        }
        Ok((at, key, val))
    }

    /// Walks to the end, and gives every entry to `each`.
    fn walk(mut self, mut each: impl FnMut(usize, u16, u64) -> Result<(), TextError>) -> Result<(), TextError> {
        while !self.rest.is_empty() {
            let (at, key, val) = self.entry()?;
            each(at, key, val)?;
        }
        Ok(())
    }
}

impl<R: ?Sized + AsRef<[Row]> + AsMut<[Row]>> SyncKeys<R> {
    /// Reads the text form, in place of the keys that are here: `1_620943725|2_620943769`, decimal and ascending by key.
    /// No text is no keys. It tells no epoch: the one that is here stays.
    ///
    /// # Errors
    ///
    /// [`TextError`] tells what is wrong and where; nothing is changed then.
    pub fn read_text(&mut self, text: &str) -> Result<(), TextError> {
        let text = Text { rest: text.as_bytes(), at: 0 };
        let capacity = self.capacity();
        let (mut least, mut keys) = (0_u32, 0_usize);
        text.walk(|at, key, _| {
            if u32::from(key) < least {
                return Err(TextError::Order { at });
            }
            if keys >= capacity {
                return Err(TextError::TooManyKeys { at, capacity });
            }
            (least, keys) = (u32::from(key).saturating_add(1), keys.saturating_add(1));
            Ok(())
        })?;
        self.len = 0;
        text.walk(|at, key, val| {
            self.set(key, val).map_err(|error| TextError::TooManyKeys { at, capacity: error.capacity })
        })
    }
}

/// The text form: key and val of each, as in `1_620943725|2_620943769`. Clients of web messengers keep and send it so.
impl<R: ?Sized + AsRef<[Row]>> fmt::Display for SyncKeys<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bar = "";
        for entry in self.entries() {
            write!(f, "{bar}{}_{}", entry.key, entry.val)?;
            bar = "|";
        }
        Ok(())
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { at } => write!(f, "no key or val at byte {at}"),
            Self::Separator { at } => write!(f, "no separator at byte {at}"),
            Self::Order { at } => write!(f, "key at byte {at} is not above the one before"),
            Self::TooManyKeys { at, capacity } => write!(f, "key at byte {at} is above the limit of {capacity}"),
        }
    }
}

impl Error for TextError {}
