//! The numbers that bound what a peer can cost, from the protocol's table of limits.

use core::time::Duration;

/// A greeting must come, or be answered, within this time.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// So many heartbeats are answered before the greeting; the next closes the link.
pub const UNGREETED_HEARTBEATS: u8 = 3;
/// A frame that was begun must end within this time, and the time that its bytes take at [`FRAME_RATE`].
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest that a long frame may come, in bytes a second.
pub const FRAME_RATE: u64 = 1_024;
/// What waits to be written must move within this time ...
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// ... and at this rate, in bytes a second, in the long run: a peer that takes a byte a minute does not read.
pub const WRITE_RATE: u64 = 128;
/// The slowest link, in bytes a second, that is not taken for dead while bytes written before a heartbeat or a request
/// are still on their way.
pub const TRANSFER_RATE: u64 = 2_048;
/// The most time that such bytes are given, whatever their number.
pub const LONGEST_TRANSFER: Duration = Duration::from_secs(120);
/// A client that closes waits so long for the replies that it is owed. Either side then gives what is queued so long to be
/// written, and the time that it takes at [`FRAME_RATE`].
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// After the last byte was written, or after its goaway, the peer has so long to end its side.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer may send one frame per this time in the long run (200 a second) ...
pub const FRAME_INTERVAL: Duration = Duration::from_millis(5);
/// ... and so many at once, a window of 64 messages and 200 more, before reading pauses.
pub const FRAME_BURST: u32 = 264;
/// The longest greeting, in bytes.
pub const LONGEST_GREETING: u32 = 65_535;
/// A heartbeat more often than this only costs.
pub const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);
/// An idle time-out below this closes links that are alive.
pub const SHORTEST_IDLE: Duration = Duration::from_secs(1);
/// So many bodies that make no sense close the link.
pub const MISBEHAVIOUR: u8 = 10;
/// So many addresses are tried at the same time.
pub const ATTEMPTS: usize = 3;
/// The next address is tried so long after the one before, and at once after one that was refused.
pub const ATTEMPT_STAGGER: Duration = Duration::from_secs(1);
/// An address must have been connected to, and have answered, within this time.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where only the greeting shows that an address is alive, it must be answered within this time while there are others.
pub const GREETING_TURN: Duration = Duration::from_secs(3);
/// So often a better address than a fallback is looked for.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(150);
/// A link in the background is kept so much longer while something is unsettled.
pub const LINGER_EXTENSION: Duration = Duration::from_secs(60);
