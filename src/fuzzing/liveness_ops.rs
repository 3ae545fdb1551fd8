mod device;
mod parts;

use super::PRESETS;
use super::input::Input;
use crate::Instant;
use crate::delivery::Slot;
use crate::liveness::{Activity, Candidate, HeartbeatPolicy};
use crate::session::{Client, Config, Dialer, DialerConfig, Identity, Link, Work};
use crate::wire::Decoder;
use core::num::NonZeroU64;
use core::time::Duration;
use device::Device;
use parts::Parts;

/// The bytes that a device works in, its messages, and its addresses.
const MOST: usize = 512;
const SLOTS: usize = 4;
const ADDRESSES: usize = 4;

/// Target `liveness_ops`: a client that dials, and beside it each part of liveness alone, to which the platform, addresses,
/// servers, the application and its clock do whatever the bytes say.
///
/// The input starts with a byte: what the client is like (see `config`). Then comes one thing after the other: a byte
/// whose low 5 bits say what happens (see `Device::happen` and `Parts::happen`) and whose high ones say which, and what
/// it needs.
///
/// In the end an address works, and the device has its link.
pub fn liveness_ops(data: &[u8]) {
    let mut input = Input(data);
    let config = config(input.number());
    let (mut tx, mut slots, mut rx) = ([0; MOST], [Slot::FREE; SLOTS], [0; MOST]);
    let mut dialer = Dialer::<[Candidate; ADDRESSES]>::new();
    let work = Work { rx: MOST, tx: &mut tx, slots: &mut slots, sync: None, dialer: Some(&mut dialer) };
    let client = Client::new(&config, work).unwrap();
    let link = Link::new(Decoder::new(config.dialect, &mut rx[..]).unwrap(), client);
    let mut device = Device::new(link, config.dialect);
    let mut parts = Parts::new(config.dialect);
    let mut now = Instant::ZERO;
    while let Some(byte) = input.byte() {
        let which = byte >> 5;
        match byte & 31 {
            0 => now = now + Duration::from_millis(1 << (input.number() % 32)),
            1 => now = now + Duration::from_millis(which.into()),
            2 => {
                now = device.poll_timeout().map_or(now, |due| due.max(now));
                device.handle_timeout(now);
            }
            // A time-out of any time, also one that is over.
            3 => device.handle_timeout(Instant::from_micros(now.as_micros() >> which)),
            op @ 4..23 => device.happen(op, which, now, &mut input),
            // Nothing keeps the parts from a clock that goes back.
            op => parts.happen(op, which, Instant::from_micros(now.as_micros() >> (which & 1)), &mut input),
        }
        device.check();
    }
    device.finish(now);
}

/// What the client is like. Bits 0 and 1: the dialect; 2: it greets; 3: it is never dormant; 4: it begins in the
/// background; 5: messages do not wake it; 6 and 7: its heartbeat, adaptive, every 30 s, none, adaptive.
fn config(bits: u8) -> Config<'static> {
    let is = |bit: u8| bits >> bit & 1 == 1;
    let dialect = PRESETS[usize::from(bits & 3)];
    let native = dialect.greets_natively();
    let heartbeat = match bits >> 6 {
        1 => HeartbeatPolicy::Fixed(Duration::from_secs(30)),
        2 => HeartbeatPolicy::Passive,
        _ => HeartbeatPolicy::Adaptive,
    };
    let config = Config {
        dialect,
        identity: (native && is(2)).then_some(Identity::volatile(NonZeroU64::MIN)),
        hello: (!native && dialect.greeting.is_some() && is(2)).then_some(b"token"),
        heartbeat,
        dialer: Some(DialerConfig {
            linger: (!is(3)).then_some(Duration::from_secs(180)),
            activity: if is(4) { Activity::Background } else { Activity::Foreground },
            wakes: !is(5),
        }),
        ..Config::DEFAULT
    };
    config.check().unwrap();
    config
}
