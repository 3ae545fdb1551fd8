//! Log lines through `log`, through `defmt`, through both or neither.

macro_rules! debug {
    ($($arg:tt)*) => {{
        #[cfg(feature = "log")]
        ::log::debug!($($arg)*);
        #[cfg(feature = "defmt")]
        ::defmt::debug!($($arg)*);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        let _ = || {
            let _ = ::core::format_args!($($arg)*);
        };
    }};
}

pub(crate) use debug;
