//! The dialects by their names on the command line.

use longlink::wire::Dialect;

/// A dialect's name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum DialectName {
    Longlink,
    Mars,
    Goim,
    Bilibili,
}

impl DialectName {
    pub(crate) const fn dialect(self) -> &'static Dialect {
        match self {
            Self::Longlink => &Dialect::LONGLINK,
            Self::Mars => &Dialect::MARS,
            Self::Goim => &Dialect::GOIM,
            Self::Bilibili => &Dialect::BILIBILI,
        }
    }
}
