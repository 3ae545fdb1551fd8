//! The numbers that bound what a transfer can cost. None is on the wire; each side may choose its own.

use core::time::Duration;

/// So many chunks are under way at once: enough to fill a round trip of 100 ms at 60 KB/s, and no more than a session
/// has slots for beside its messages.
pub const WINDOW: usize = 4;
/// The most that may be chosen instead.
pub const MAX_WINDOW: usize = 16;
/// So many lists in a row may show no progress, which is no fewer chunks missing than ever before: a server that drops
/// as fast as it takes. The first list on a new link does not count.
pub const ROUNDS: u8 = 8;
/// So many windows of requests in a row may remain unanswered on a link that lives.
pub const ATTEMPTS: usize = 5;
/// A payload whose checksum turns out wrong is sent so many times in all.
pub const PAYLOAD_ATTEMPTS: u8 = 3;
/// The shortest wait before the server is asked again; doubled with each round without progress.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The wait when a server is busy and does not say for how long.
pub const BUSY_PAUSE: Duration = Duration::from_secs(5);
/// A server keeps an unfinished transfer for so long after its last chunk, unless it needs the room: a phone that was
/// out of reach over night goes on where it was. A finished one it keeps as long, or until a message named its key, so
/// that a sender that did not hear of its end need not begin again.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3_600);
