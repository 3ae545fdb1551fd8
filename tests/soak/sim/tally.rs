//! What is counted in a life, and the lines that tell of it.

use longlink::Instant;
use std::cell::{Cell, RefCell};
use std::time::Duration;

macro_rules! counted {
    ($(#[$about:meta])* $name:ident { $($one:ident = $words:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($one,)* }

        impl $name {
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$one, $words),)*];
        }
    };
}

counted! {
    /// What goes wrong.
    Fault {
        Reset = "connections reset",
        Ended = "connections ended, their last bytes lost",
        HalfOpen = "connections dead and nobody told",
        Stalled = "connections that stood still",
        Forgotten = "silent connections forgotten by a NAT",
        NatChanged = "NATs with another life time",
        Weather = "changes of delay and splitting",
        NetworkChanged = "networks changed",
        NetworkGone = "networks gone",
        AddressDead = "addresses gone silent",
        AddressRefuses = "addresses that refuse",
        AddressUnreachable = "addresses without a route",
        AddressForeign = "addresses with somebody else at them",
        AddressMute = "addresses that answer no greeting",
        Slept = "devices asleep",
        SleptWithoutClock = "devices asleep, their clock too",
        DeviceKilled = "device processes killed",
        DiedBeforeStoring = "... right before a write to disk",
        DiedAfterStoring = "... right after a write to disk",
        DeviceFromBackup = "devices put back from a backup",
        DeviceEmptied = "devices that lost their disk",
        InboxFails = "pages that could not be stored",
        ServerKilled = "server processes killed",
        ServerDiedBeforeStoring = "... right before a write to the store",
        ServerDiedAfterStoring = "... right after a write to the store",
        MailboxFromBackup = "mailboxes put back from a backup",
        StoreFails = "failures of the store in a sync",
        NotifyLost = "notifies lost",
        AckLost = "acknowledgements of pages lost",
        DeviceForgotten = "devices forgotten by their mailbox",
        GreetingRefused = "greetings refused",
        SentAway = "clients sent away",
        Rejected = "messages rejected",
        Released = "messages released",
    }
}

counted! {
    /// What gets done.
    Work {
        Sent = "messages sent",
        Delivered = "messages delivered",
        Resent = "messages written again",
        Failed = "messages that failed, or were taken back",
        Transfers = "payloads transferred",
        Items = "items stored by devices",
        Gaps = "gaps told to devices",
        Fetches = "parts of long items fetched",
        Attempts = "attempts to connect",
        Links = "links",
        Greetings = "greetings taken",
        Heartbeats = "heartbeats answered",
        Dormant = "times that a device went dormant",
    }
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Tally {
    faults: [u64; Fault::ALL.len()],
    work: [u64; Work::ALL.len()],
    pub time: Duration,
    /// The most greetings and attempts that one device made within an hour.
    pub most_greetings: u64,
    pub most_attempts: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let (faults, work) = ([0; Fault::ALL.len()], [0; Work::ALL.len()]);
        Self { faults, work, time: Duration::ZERO, most_greetings: 0, most_attempts: 0 }
    }
}

impl Tally {
    pub fn fault(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    pub fn work(&self, work: Work) -> u64 {
        self.work[work as usize]
    }

    pub fn faults(&self) -> u64 {
        self.faults.iter().sum()
    }

    pub fn add(&mut self, other: &Self) {
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, n)| *sum += n);
        self.work.iter_mut().zip(other.work).for_each(|(sum, n)| *sum += n);
        self.time += other.time;
        self.most_greetings = self.most_greetings.max(other.most_greetings);
        self.most_attempts = self.most_attempts.max(other.most_attempts);
    }
}

thread_local! {
    static RUN: RefCell<Tally> = RefCell::default();
    static IS_TRACED: Cell<bool> = const { Cell::new(false) };
}

pub fn begin() {
    RUN.take();
}

pub fn end() -> Tally {
    RUN.take()
}

pub fn wrong(fault: Fault) {
    RUN.with_borrow_mut(|run| run.faults[fault as usize] += 1);
}

pub fn did(work: Work) {
    RUN.with_borrow_mut(|run| run.work[work as usize] += 1);
}

pub fn update(change: impl FnOnce(&mut Tally)) {
    RUN.with_borrow_mut(change);
}

/// From now on every thing that happens in this thread is told.
pub fn trace() {
    IS_TRACED.set(true);
}

/// A line of the trace. `what` is only asked for if there is one.
pub fn note(now: Instant, what: impl FnOnce() -> String) {
    if IS_TRACED.get() {
        let micros = now.as_micros();
        println!("{:>12}.{:03} s  {}", micros / 1_000_000, micros / 1_000 % 1_000, what());
    }
}
