//! What a seed chooses before anything happens, and the memory that it all works in.

use super::shelf::Room;
use crate::support::Random;
use longlink::delivery::{MessagePolicy, RequestPolicy, Slot};
use longlink::liveness::{Activity, Candidate, HeartbeatPolicy};
use longlink::session::{Config, Dialer, DialerConfig, Identity, ServerConfig};
use longlink::sync::{self, Row, Wanted};
use std::num::NonZeroU64;
use std::time::Duration;

/// How long a life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Some eighty things happen, then it is calm.
    Short,
    /// It goes on for so many days.
    Days(u64),
}

/// All addresses that there are.
pub const PLACES: usize = 6;
/// All networks that there are.
pub const NETWORKS: usize = 3;
/// Server processes. An address leads to one of them; they share the store.
pub const MACHINES: usize = 2;
/// The server's receive buffer, and what it sends from.
pub const SERVER_ROOM: usize = 2_048;

/// A device, as it is made and used.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub account: usize,
    pub id: NonZeroU64,
    pub rx: usize,
    pub tx: usize,
    pub slots: usize,
    pub keeps_state: bool,
    /// It stores its state after every message, too.
    pub saves_each: bool,
    /// Storing its state, and a page, takes up to so many milliseconds.
    pub disk_millis: u64,
    pub adaptive: bool,
    /// Messages wait so long for others to travel with.
    pub batch_millis: u64,
    /// In the background a link is kept for so many seconds; for ever if `None`.
    pub linger: Option<u64>,
    pub wakes: bool,
    /// Seconds.
    pub hold: u64,
    pub poll: u64,
    pub max_items: u16,
    /// Of a hundred long items so many are fetched whole.
    pub fetches: u64,
    pub seed: u64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub scale: Scale,
    pub devices: Vec<Habits>,
    /// Of each account: whether its mailbox is a ring in memory, which is empty when a server starts again.
    pub rings: Vec<bool>,
    /// A mailbox keeps so many items.
    pub items: usize,
    /// A server decides on a message within so many milliseconds.
    pub store_millis: u64,
    /// Of a hundred notifies and acknowledgements of pages so many are lost.
    pub loses: u64,
}

impl Plan {
    pub fn draw(seed: u64, scale: Scale) -> Self {
        let mut random = Random(seed ^ 0x50_AC);
        let rings: Vec<bool> = (0..1 + random.below(2)).map(|_| random.below(2) == 0).collect();
        let mut devices = Vec::new();
        for account in 0..rings.len() {
            for device in 0..=random.below(2) {
                devices.push(Habits::draw(&mut random, account, device));
            }
        }
        let items = [15, 60, 200][random.below(3) as usize];
        let store_millis = [0, 0, 50, 1_500][random.below(4) as usize];
        Self { seed, scale, devices, rings, items, store_millis, loses: [0, 20][random.below(2) as usize] }
    }

    pub fn server(&self) -> ServerConfig {
        ServerConfig { max_frame: SERVER_ROOM as u32, ..ServerConfig::DEFAULT }
    }
}

impl Habits {
    fn draw(random: &mut Random, account: usize, device: u64) -> Self {
        let mut pick = |of: &[u64]| of[random.below(of.len() as u64) as usize];
        let (slots, tx) = [(3, 400), (8, 1_024), (40, 4_096)][pick(&[0, 1, 1, 2]) as usize];
        Self {
            account,
            id: NonZeroU64::MIN.saturating_add(16 * account as u64 + device),
            rx: pick(&[400, 1_024, 1_024, 2_048]) as usize,
            tx,
            slots,
            keeps_state: pick(&[0, 1, 1, 1, 1]) == 1,
            saves_each: pick(&[0, 1]) == 1,
            disk_millis: pick(&[0, 0, 200]),
            adaptive: pick(&[0, 1, 1, 1]) == 1,
            batch_millis: pick(&[0, 0, 200]),
            linger: [None, Some(60), Some(180)][pick(&[0, 1, 2]) as usize],
            wakes: pick(&[0, 1]) == 1,
            hold: pick(&[0, 0, 50]),
            poll: pick(&[120, 300]),
            max_items: pick(&[3, 100, 100]) as u16,
            fetches: pick(&[0, 50, 100]),
            seed: random.next(),
        }
    }

    fn config(&self) -> Config<'static> {
        let sync = sync::Config {
            keys: Wanted::All,
            max_items: self.max_items,
            max_bytes: None,
            hold: Duration::from_secs(self.hold),
            poll: Duration::from_secs(self.poll),
            timeout: Duration::from_secs(35),
            rounds: 20,
        };
        let identity =
            Identity { account: self.account as u64 + 1, keeps_state: self.keeps_state, ..Identity::volatile(self.id) };
        let often = HeartbeatPolicy::Fixed(Duration::from_secs(30));
        Config {
            identity: Some(identity),
            sync: Some(sync),
            dialer: Some(DialerConfig {
                linger: self.linger.map(Duration::from_secs),
                activity: Activity::Foreground,
                wakes: self.wakes,
            }),
            heartbeat: if self.adaptive { HeartbeatPolicy::Adaptive } else { often },
            linger: Duration::from_millis(self.batch_millis),
            message: MessagePolicy { lifetime: Duration::from_secs(6 * 3_600), ..MessagePolicy::DEFAULT },
            request: RequestPolicy { timeout: Duration::from_secs(20), asks_again: false },
            ..Config::DEFAULT
        }
    }
}

/// What one process of a device works in.
pub struct Process {
    pub habits: Habits,
    pub config: Config<'static>,
    pub tx: Vec<u8>,
    pub slots: Vec<Slot>,
    pub cursor: sync::Memory<[Row; 4]>,
    pub dialer: Dialer<[Candidate; PLACES]>,
}

impl Process {
    fn new(habits: Habits) -> Self {
        Self {
            habits,
            config: habits.config(),
            tx: vec![0; habits.tx],
            slots: vec![Slot::FREE; habits.slots],
            cursor: sync::Memory::new(),
            dialer: Dialer::new(),
        }
    }
}

/// What all processes of a life work in. Places for processes are made at once, their memory when they start.
pub struct Memory {
    pub plan: Plan,
    pub server: ServerConfig,
    pub rooms: Vec<Room>,
    pub processes: Vec<Option<Box<Process>>>,
}

/// So many processes a day there may be; when they are used up nobody is killed any more.
const PROCESSES_A_DAY: usize = 1_000;

impl Memory {
    pub fn new(plan: Plan) -> Self {
        let days = if let Scale::Days(days) = plan.scale { days as usize } else { 0 };
        let processes = (0..200 + days * PROCESSES_A_DAY).map(|_| None).collect();
        let rooms = plan.rings.iter().map(|_| Room::new(plan.items, 16_384)).collect();
        Self { server: plan.server(), plan, rooms, processes }
    }
}

/// The places that are left for processes.
pub struct Processes<'m>(pub std::slice::IterMut<'m, Option<Box<Process>>>);

impl<'m> Processes<'m> {
    /// A new one; `None` if there were too many.
    pub fn start(&mut self, habits: Habits) -> Option<&'m mut Process> {
        Some(self.0.next()?.insert(Box::new(Process::new(habits))))
    }

    pub fn is_any_left(&self) -> bool {
        self.0.len() > 0
    }
}
