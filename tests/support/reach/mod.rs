//! A device that dials, and the world that it dials in: addresses, networks, servers and an application that may all do what
//! they like. What must hold whatever they do is in `laws.rs`.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

pub mod device;
pub mod laws;
pub mod world;

use longlink::delivery::MessagePolicy;
use longlink::liveness::{Activity, Address, HeartbeatPolicy};
use longlink::session::{Config, DialerConfig, Identity, Storage};
use longlink::wire::Dialect;
use std::num::NonZeroU64;
use std::time::Duration;

pub use device::{Device, Manner};
pub use world::{Fate, Kind};

/// So many addresses there are in all.
pub const PLACES: usize = 6;

/// The memory that a device works in.
pub type Room = Storage<512, 512, 4, 1, PLACES>;

/// Which protocol, and so how life is proven and whether there is a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// A heartbeat proves life, then a hello with an identity.
    Native,
    /// A heartbeat proves life, and connected is online.
    Mars,
    /// The greeting is the only proof.
    Goim,
}

/// What a run starts from.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub tongue: Tongue,
    /// In seconds.
    pub linger: Option<u64>,
    pub activity: Activity,
    pub wakes: bool,
    pub adaptive: bool,
    /// What each address is like.
    pub kinds: [Kind; PLACES],
    /// Which addresses the application knows.
    pub mask: u8,
    pub seed: u64,
}

impl Setup {
    /// One address that works, in the foreground.
    pub const PLAIN: Self = Self {
        tongue: Tongue::Native,
        linger: Some(180),
        activity: Activity::Foreground,
        wakes: true,
        adaptive: false,
        kinds: [Kind::Alive; PLACES],
        mask: 0b11_1111,
        seed: 1,
    };

    pub fn config(&self) -> Config<'static> {
        let (dialect, identity, hello) = match self.tongue {
            Tongue::Native => (&Dialect::LONGLINK, Some(Identity::volatile(NonZeroU64::MIN)), None),
            Tongue::Mars => (&Dialect::MARS, None, None),
            Tongue::Goim => (&Dialect::GOIM, None, Some(&b"room"[..])),
        };
        let heartbeat =
            if self.adaptive { HeartbeatPolicy::Adaptive } else { HeartbeatPolicy::Fixed(Duration::from_secs(30)) };
        Config {
            dialect,
            identity,
            hello,
            heartbeat,
            message: MessagePolicy { lifetime: Duration::from_secs(7_200), ..MessagePolicy::DEFAULT },
            dialer: Some(DialerConfig {
                linger: self.linger.map(Duration::from_secs),
                activity: self.activity,
                wakes: self.wakes,
            }),
            ..Config::DEFAULT
        }
    }
}

/// The addresses of all places: two ports, two families, and two fallbacks.
pub fn address(place: usize) -> Address {
    let address = Address::new(place as u16, [8_080, 443, 80, 8_080, 9_000, 443][place]);
    let address = if place % 2 == 1 { address.v6() } else { address };
    if place >= 4 { address.fallback() } else { address }
}

/// Those of a mask.
pub fn addresses(mask: u8) -> Vec<Address> {
    (0..PLACES).filter(|place| mask >> place & 1 == 1).map(address).collect()
}

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// The device sleeps for so many seconds; its timers come late, and it may or may not be told to wake.
    Sleep(u64, bool),
    Kind(usize, Kind),
    Kinds(Kind),
    /// Another network, or none; the platform may fail to say so.
    Network(Option<u8>, bool),
    /// The network forgets links that are silent for longer, in seconds.
    Nat(Option<u64>),
    /// What becomes of the greetings from now on.
    Fate(Fate),
    /// Goaway: its code, and milliseconds.
    GoAway(u8, u32),
    Ends,
    Reset,
    Swallow,
    Push,
    /// Whether messages are answered.
    Answers(bool),
    Activity(Activity),
    Wake,
    Send,
    Close,
    Open,
    ConnectNow,
    Addresses(u8),
    /// Whether the application names its addresses when it is asked to.
    Resolves(bool),
    Signal,
    /// The application does not fetch events for so many milliseconds.
    Hold(u64),
    /// How it reports what became of attempts.
    Manner(Manner),
}

/// Runs `ops`, then has all that is needed for a link be there, and says what happened.
pub fn run(setup: &Setup, ops: &[Op]) -> Vec<String> {
    let config = setup.config();
    let mut room = Room::new();
    let mut device = Device::new(setup, room.client(&config).unwrap());
    device.start(setup.mask);
    for op in ops {
        device.apply(*op);
    }
    device.finish();
    device.trace
}
