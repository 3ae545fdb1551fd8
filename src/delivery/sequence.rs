/// Sequences of requests and messages go from 1 to this; 0 is for one-way frames, the top 16 are reserved.
///
/// So there are as many sequences as this number says, and what counts them is modulo it: 1 follows it.
pub const LAST_SEQUENCE: u32 = 0xFFFF_FFEF;

/// `true` if a request or message may have this number.
pub(crate) const fn is_sequence(number: u32) -> bool {
    number.wrapping_sub(1) < LAST_SEQUENCE
}

/// The sequence after `sequence`: 1 follows [`LAST_SEQUENCE`].
pub(crate) const fn next_sequence(sequence: u32) -> u32 {
    if sequence < LAST_SEQUENCE { sequence.saturating_add(1) } else { 1 }
}

/// How many steps of [`next_sequence`] lead from one sequence to another, 0 to [`LAST_SEQUENCE`] − 1.
///
/// Means nothing, but ends well, for a number that is no sequence.
pub(crate) const fn distance(from: u32, to: u32) -> u32 {
    let steps = to.wrapping_sub(from);
    if to < from { steps.wrapping_add(LAST_SEQUENCE) } else { steps }
}

/// `true` if `a` comes after `b`: by one step at least, and by less than half of all.
///
/// The number of sequences is odd, so of two different ones exactly one is newer.
pub(crate) const fn is_newer(a: u32, b: u32) -> bool {
    distance(b, a).wrapping_sub(1) < LAST_SEQUENCE / 2
}

/// Where a sequence stands, seen from the highest accepted one.
pub(super) enum Place {
    /// Newer by so many steps; by any number if nothing was accepted yet.
    Ahead(u32),
    /// The highest accepted one itself, or older by so many steps.
    Behind(u32),
    /// No sequence.
    Nowhere,
}

impl Place {
    pub(super) const fn of(sequence: u32, last: u32) -> Self {
        if !is_sequence(sequence) {
            Self::Nowhere
        } else if last == 0 || is_newer(sequence, last) {
            Self::Ahead(distance(last, sequence))
        } else {
            Self::Behind(distance(sequence, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u32 = LAST_SEQUENCE / 2;

    /// Both ends, the middle and what is around them.
    fn samples() -> impl Iterator<Item = u32> + Clone {
        (1..=70).chain(HALF - 3..=HALF + 3).chain(LAST_SEQUENCE - 70..=LAST_SEQUENCE)
    }

    #[test]
    fn zero_and_the_top_16_are_no_sequences() {
        assert!(samples().all(is_sequence));
        assert!(!is_sequence(0));
        assert!((LAST_SEQUENCE + 1..=u32::MAX).all(|number| !is_sequence(number)));
        assert_eq!((LAST_SEQUENCE..u32::MAX).count(), 16);
    }

    #[test]
    fn from_the_last_sequence_to_the_first_is_one_step() {
        assert_eq!(next_sequence(LAST_SEQUENCE), 1);
        assert_eq!(distance(LAST_SEQUENCE, 1), 1);
        assert_eq!(distance(1, LAST_SEQUENCE), LAST_SEQUENCE - 1);
        assert!(is_newer(1, LAST_SEQUENCE) && !is_newer(LAST_SEQUENCE, 1));
        let mut sequence = LAST_SEQUENCE - 40;
        for steps in 0..80 {
            assert_eq!(distance(LAST_SEQUENCE - 40, sequence), steps);
            assert_eq!(is_newer(sequence, LAST_SEQUENCE - 40), steps > 0);
            sequence = next_sequence(sequence);
        }
    }

    #[test]
    fn there_and_back_is_once_around() {
        for (a, b) in samples().flat_map(|a| samples().map(move |b| (a, b))) {
            let wide = (u64::from(b) + u64::from(LAST_SEQUENCE) - u64::from(a)) % u64::from(LAST_SEQUENCE);
            assert_eq!(u64::from(distance(a, b)), wide);
            if a == b {
                assert!(distance(a, b) == 0 && !is_newer(a, b));
            } else {
                assert_eq!(distance(a, b) + distance(b, a), LAST_SEQUENCE);
                assert_ne!(is_newer(a, b), is_newer(b, a));
            }
        }
    }

    #[test]
    fn newer_ends_half_way_around() {
        assert!(is_newer(1 + HALF, 1) && !is_newer(2 + HALF, 1));
        assert!(is_newer(HALF, LAST_SEQUENCE) && !is_newer(HALF + 1, LAST_SEQUENCE));
    }

    #[test]
    fn a_number_that_is_no_sequence_ends_well() {
        for a in [0, 1, LAST_SEQUENCE, LAST_SEQUENCE + 1, u32::MAX] {
            for b in [0, 1, LAST_SEQUENCE, LAST_SEQUENCE + 1, u32::MAX] {
                let _ = (distance(a, b), is_newer(a, b), next_sequence(a));
            }
        }
    }
}
