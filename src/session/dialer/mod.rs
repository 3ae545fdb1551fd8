//! How a client comes by its links: which address, when, and whether it wants one at all.

mod attempt;
mod commands;
mod round;

use super::{Event, Timer};
use crate::Instant;
use crate::liveness::{Activity, Address, Candidate, Candidates, Network, Presence, Reconnect};
use crate::time::earliest;
use crate::wire::Proof;
pub use attempt::Attempt;
use attempt::Trials;
pub(super) use commands::Next;
use core::fmt;
use core::time::Duration;
pub(super) use round::Alive;

/// How a client comes by its links, and when it does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DialerConfig {
    /// In the background a link is kept for so long, from when it is online or something woke the device, and up to a
    /// minute more while something is unsettled; then it is closed in good order, and the device is dormant until
    /// something wakes it. It is tried for 30 s at least. 180 s by default, as phones do. `None` keeps it for ever, for
    /// a device that hears of nothing in another way.
    pub linger: Option<Duration>,
    /// Where the application is when it starts: in the foreground by default. A device that nobody looks at is in the
    /// background.
    pub activity: Activity,
    /// Whether a message that is sent by a dormant device wakes it. `true` by default; otherwise the message waits.
    pub wakes: bool,
}

impl DialerConfig {
    /// The defaults, for `..DialerConfig::DEFAULT`.
    pub const DEFAULT: Self =
        Self { linger: Some(Duration::from_secs(180)), activity: Activity::Foreground, wakes: true };
}

impl Default for DialerConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a [`Client`](super::Client) dials with, lent by the caller: the addresses, as many as there are places, what is
/// known against each, and how far it is.
///
/// ```text
///            open                due                 first alive
///     Off ─────────▶ Waiting ──────────▶ Dialing ───────────────────▶ Up
///      ▲               ▲ ▲ │                │  ▲ greeting failed,      │ │
///      │ close,        │ │ │   all failed   │  │ others untried        │ │
///      │ refused for   │ │ └◀───────────────┘  └───────────────────────┘ │
///      │ good          │ └──────────────────── link down ────────────────┤
///      │               │ wake                                            │
///      └───────────────┴─── Dormant ◀─── linger over, closed in order ───┘
/// ```
///
/// The application makes the connections that it is asked for:
///
/// ```no_run
/// use longlink::liveness::{Address, Fault, HeartbeatPolicy, Probe, Verdict};
/// use longlink::session::{limits, Config, DialerConfig, Event, Storage};
/// use longlink::wire::Dialect;
/// use longlink::Instant;
/// use std::io::{ErrorKind, Read, Write};
/// use std::net::{SocketAddr, TcpStream};
///
/// /// Connects, and asks whether somebody is there.
/// fn reach(address: SocketAddr) -> Result<TcpStream, Fault> {
///     let fault = |error: std::io::Error| match error.kind() {
///         ErrorKind::ConnectionRefused => Fault::Refused,
///         ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::Silent,
///         _ => Fault::Unreachable,
///     };
///     let half = limits::ATTEMPT_TIMEOUT / 2; // for all of it
///     let mut socket = TcpStream::connect_timeout(&address, half).map_err(fault)?;
///     socket.set_read_timeout(Some(half)).map_err(fault)?;
///     let mut probe = Probe::new(&Dialect::LONGLINK);
///     while let Some(bytes) = probe.poll_transmit() {
///         let n = socket.write(bytes).map_err(fault)?;
///         probe.handle_sent(n);
///     }
///     while probe.verdict() == Verdict::Pending {
///         match socket.read(probe.space()).map_err(fault)? {
///             0 => return Err(Fault::Foreign),
///             n => probe.commit(n),
///         };
///     }
///     if probe.verdict() == Verdict::Alive { Ok(socket) } else { Err(Fault::Foreign) }
/// }
///
/// let start = std::time::Instant::now();
/// let now = || Instant::ZERO + start.elapsed();
/// let servers: [SocketAddr; 2] = ["192.0.2.1:8080".parse()?, "192.0.2.2:443".parse()?];
///
/// let config = Config {
///     dialer: Some(DialerConfig::DEFAULT),
///     heartbeat: HeartbeatPolicy::Adaptive,
///     ..Config::DEFAULT
/// };
/// let mut storage: Storage = Storage::new();
/// let mut link = storage.client(&config)?;
/// let seed = 0x5EED; // a number that no other device has
/// link.endpoint_mut().set_addresses(now(), &[Address::new(0, 8080), Address::new(1, 443)])?;
/// link.endpoint_mut().open(now(), seed);
///
/// let socket = loop {
///     let mut asked = Vec::new();
///     link.process(now(), |_, event| match event {
///         Event::Connect(attempt) => asked.push(attempt),
///         other => println!("{other:?}"),
///     });
///     // Here one after the other; on a thread or a task each, the first that answers wins.
///     let mut won = None;
///     for attempt in asked {
///         match reach(servers[usize::from(attempt.address().index)]) {
///             Ok(socket) if link.handle_alive(now(), attempt) => won = Some(socket),
///             Ok(_) => {} // too late, or only a check
///             Err(fault) => link.endpoint_mut().handle_refused(now(), attempt, fault),
///         }
///     }
///     if let Some(socket) = won {
///         break socket; // and now the loop from above; after its end, this one again
///     }
///     let Some(at) = link.poll_timeout() else { return Ok(()) }; // nobody wants a link
///     std::thread::sleep(at - now());
/// };
/// # let _ = socket;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Lent by hand, where [`Storage`](super::Storage) does not:
///
/// ```
/// use longlink::{liveness::Candidate, session::Dialer};
///
/// let mut memory = Dialer::<[Candidate; 4]>::new();
/// let lent: &mut Dialer = &mut memory; // whatever the number of places
/// # let _ = lent;
/// ```
pub struct Dialer<C: ?Sized = [Candidate]> {
    state: State,
    candidates: Candidates<C>,
}

impl<C: ?Sized> fmt::Debug for Dialer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<const N: usize> Dialer<[Candidate; N]> {
    /// Memory that is not in use.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::NEW, candidates: Candidates::new() }
    }
}

impl<const N: usize> Default for Dialer<[Candidate; N]> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody wants a link, or it is of no use to ask for one.
    Off,
    /// Pushes come by another channel, if any do.
    Dormant,
    /// The next round of attempts begins when the reconnect timer says so.
    Waiting,
    Dialing,
    /// A connection is there, greeted or not.
    Up,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    config: DialerConfig,
    proof: Proof,
    reconnect: Reconnect,
    presence: Presence,
    trials: Trials,
    /// The next attempt of this round begins then.
    stagger: Option<Instant>,
    /// The address of the connection that is up; `None` if the application made it by itself.
    up: Option<Address>,
    is_online: bool,
    has_network: bool,
    network: Network,
    is_seeded: bool,
    /// In the background: the link is closed then.
    linger: Option<Instant>,
    /// There was no link yet since that was set: it counts from the first.
    is_called: bool,
    /// That is put off already, because something is unsettled.
    extended: bool,
    /// The link is closing for it.
    rests: bool,
    /// What is new is to be asked for in another way then.
    poll: Option<Instant>,
    /// A better address is tried then.
    check: Option<Instant>,
    tells: Tells,
}

/// What is to be told.
#[derive(Clone, Copy, Debug)]
struct Tells {
    resolve: bool,
    poll: bool,
    dormant: bool,
}

impl State {
    const NEW: Self = Self {
        phase: Phase::Off,
        config: DialerConfig::DEFAULT,
        proof: Proof::Heartbeat,
        reconnect: Reconnect::new(0),
        presence: Presence::new(Activity::Foreground, Instant::ZERO),
        trials: Trials::NONE,
        stagger: None,
        up: None,
        is_online: false,
        has_network: true,
        network: Network::UNKNOWN,
        is_seeded: false,
        linger: None,
        is_called: false,
        extended: false,
        rests: false,
        poll: None,
        check: None,
        tells: Tells { resolve: false, poll: false, dormant: false },
    };
}

impl Dialer {
    /// For so many addresses there is room.
    pub(super) fn capacity(&self) -> usize {
        self.candidates.capacity()
    }

    /// For a new client.
    pub(super) fn begin(&mut self, config: DialerConfig, proof: Proof) {
        let presence = Presence::new(config.activity, Instant::ZERO);
        self.state = State { config, proof, presence, ..State::NEW };
        // There is room for none.
        let _ = self.candidates.set(&[]);
    }

    /// Something to tell; of a dormant device, how much of what it sent is `unsettled`.
    pub(super) fn poll_event(&mut self, now: Instant, unsettled: usize) -> Option<Event<'static>> {
        if let Some(attempt) = self.state.trials.poll_over() {
            self.use_place(now);
            return Some(Event::Abandon(attempt));
        }
        let State { trials, tells, .. } = &mut self.state;
        if core::mem::take(&mut tells.resolve) {
            return Some(Event::ResolveAddresses);
        }
        if let Some(attempt) = trials.poll_new() {
            return Some(Event::Connect(attempt));
        }
        if core::mem::take(&mut tells.poll) {
            return Some(Event::Poll);
        }
        core::mem::take(&mut tells.dormant).then_some(Event::Dormant { unsettled })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.deadlines())
    }

    pub(super) fn next_timer(&self) -> Option<(Timer, Instant)> {
        let timers = [Timer::Reconnect, Timer::Attempt, Timer::Attempt, Timer::Linger, Timer::Poll, Timer::Check];
        Timer::first(timers, self.deadlines())
    }

    fn deadlines(&self) -> [Option<Instant>; 6] {
        let State { reconnect, trials, stagger, linger, poll, check, .. } = &self.state;
        let reconnect = if self.state.phase == Phase::Waiting { reconnect.poll_timeout() } else { None };
        let stagger = stagger.filter(|_| trials.has_place());
        [reconnect, stagger, trials.poll_timeout(), *linger, *poll, *check]
    }

    pub(super) fn is_dormant(&self) -> bool {
        self.state.phase == Phase::Dormant
    }

    /// `true` unless nobody wants a link, or it is of no use to ask for one.
    pub(super) fn wants_link(&self) -> bool {
        self.state.phase != Phase::Off
    }
}
