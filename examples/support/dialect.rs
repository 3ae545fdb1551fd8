//! The dialects by their names on the command line.

use longlink::wire::Dialect;

/// A dialect's name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum DialectName {
    /// 16-byte headers, version 1
    Longlink,
    /// Tencent Mars: 20-byte headers, version 200
    Mars,
    /// goim over TCP: 16-byte headers, version 1
    Goim,
    /// Bilibili's live rooms: 16-byte headers, versions 0 to 3
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
