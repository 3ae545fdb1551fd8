//! Numbers that spread deadlines. They are for nothing that must not be guessed.

/// A sequence of numbers that follows from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 32 bits, all equally likely.
    pub(crate) const fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let [.., a, b, c, d] = mix(self.0).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Spreads the bits of a number over all of another, as the finaliser of SplitMix64 does.
pub(crate) const fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

/// The part of `span` that `fraction`, of 2³², stands for: 1 to `span`, which must be below 2³²; 0 for a `span` of 0.
pub(crate) const fn share(span: u64, fraction: u32) -> u64 {
    (span.saturating_mul(fraction as u64) >> 32).saturating_add((span > 0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The first output for seed 0 is 0xE220A8397B1DCDAF.
        assert_eq!(mix(0x9E37_79B9_7F4A_7C15), 0xE220_A839_7B1D_CDAF);
        let mut random = SplitMix64::new(0);
        // The second is 0x6E789E6AA1B965F4, the third 0x06C45D188009454F.
        assert_eq!([(); 3].map(|()| random.next_u32()), [0xE220_A839, 0x6E78_9E6A, 0x06C4_5D18]);
    }

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_all() {
        for span in [1, 2, 5_000_000, u64::from(u32::MAX)] {
            assert_eq!((share(span, 0), share(span, u32::MAX)), (1, span));
        }
        assert_eq!((share(0, 0), share(0, u32::MAX)), (0, 0));
    }
}
