//! The application of the servers: it greets devices, stores messages, answers syncs, and dies now and then.

use super::account::{Account, KEYS, id_of};
use super::plan::{Habits, Plan};
use super::shelf::Room;
use super::tally::{self, Fault, Work, note};
use super::transfer;
use crate::support::Random;
use crate::support::post::book::number_of;
use longlink::Instant;
use longlink::delivery::transfer::{CHUNK, OPEN};
use longlink::delivery::{AcceptError, DedupWindow, Epoch, Ledger, MessageId, RejectCode, Rejection, Verdict};
use longlink::session::{GoAway, GoAwayCode, Hello, Refuse, SendError, Server, ServerEvent};
use longlink::sync::{self, Ack, Refusal, Request};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

type Link<'m> = Server<'m, Vec<u8>>;

/// When a process dies: right before or right after what it wrote is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// What is stored of a device.
pub struct Kept {
    ledger: [u8; <Ledger>::LEN],
    /// In the order in which they were stored.
    pub messages: Vec<(Epoch, u32, Vec<u8>)>,
    stored: HashSet<usize>,
    pub uploads: transfer::Server,
    /// The connection that greeted last.
    line: usize,
}

impl Kept {
    fn new() -> Self {
        let mut ledger = [0; <Ledger>::LEN];
        Ledger::<1>::new().write(&mut ledger).unwrap();
        let uploads = transfer::Server::new(8);
        Self { ledger, messages: Vec::new(), stored: HashSet::new(), uploads, line: usize::MAX }
    }

    fn load(&self) -> Ledger {
        Ledger::read(&self.ledger).unwrap()
    }

    fn save(&mut self, ledger: &Ledger) {
        ledger.write(&mut self.ledger).unwrap();
    }

    pub fn is_stored(&self, number: usize) -> bool {
        self.stored.contains(&number)
    }
}

/// A connection, as its server's application knows it.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub line: usize,
    pub machine: usize,
    pub device: usize,
}

/// A message that is being stored.
struct Pending {
    line: usize,
    id: MessageId,
    body: Vec<u8>,
    at: Instant,
}

pub struct Office<'m> {
    plan: Plan,
    pub accounts: Vec<Account<'m>>,
    pub kept: Vec<Kept>,
    pending: VecDeque<Pending>,
    /// Connections that have just greeted: the older ones of the device are to be closed.
    pub greeted: Vec<Caller>,
    /// The epoch and the window that each connection was greeted with.
    pub welcomed: BTreeMap<usize, (Epoch, DedupWindow)>,
    /// The next write is the last of its process.
    pub dies: Option<Moment>,
    /// This process has died.
    pub dead: Option<usize>,
    /// What the next greeting of a device is told.
    pub refusals: Vec<Option<Refuse>>,
    /// Calls to a mailbox until one fails; 0 for never.
    pub fails: u32,
    /// Of a hundred messages so many are rejected, and so many released.
    pub rejects: u64,
    pub releases: u64,
    pub loses: u64,
    random: Random,
}

impl<'m> Office<'m> {
    pub fn new(plan: &Plan, rooms: &'m mut [Room]) -> Self {
        let accounts = rooms.iter_mut().zip(&plan.rings);
        Self {
            plan: plan.clone(),
            accounts: accounts.map(|(room, is_ring)| Account::new(room, *is_ring, plan.items)).collect(),
            kept: plan.devices.iter().map(|_| Kept::new()).collect(),
            pending: VecDeque::new(),
            greeted: Vec::new(),
            welcomed: BTreeMap::new(),
            dies: None,
            dead: None,
            refusals: vec![None; plan.devices.len()],
            fails: 0,
            rejects: 2,
            releases: 1,
            loses: plan.loses,
            random: Random(plan.seed ^ 0x0FF1CE),
        }
    }

    fn habits(&self, device: usize) -> Habits {
        self.plan.devices[device]
    }

    /// `true` if the process ends here.
    fn dies_at(&mut self, now: Instant, machine: usize, moment: Moment) -> bool {
        let dies = self.dies == Some(moment);
        if dies {
            (self.dies, self.dead) = (None, Some(machine));
            let before = moment == Moment::Before;
            tally::wrong(if before { Fault::ServerDiedBeforeStoring } else { Fault::ServerDiedAfterStoring });
            note(now, || format!("server {machine} dies {moment:?} a write"));
        }
        dies
    }

    pub fn handle(&mut self, now: Instant, caller: Caller, server: &mut Link<'m>, event: &ServerEvent<'_>) {
        if self.dead == Some(caller.machine) {
            return;
        }
        match event {
            ServerEvent::Hello(hello) => self.greet(now, caller, server, hello),
            ServerEvent::Message { id, frame } => {
                let wait = Duration::from_millis(self.random.below(self.plan.store_millis + 1));
                let last = self.pending.iter().rev().find(|pending| pending.line == caller.line);
                let at = last.map_or(now, |last| last.at).max(now + wait);
                self.pending.push_back(Pending { line: caller.line, id: *id, body: frame.body().to_vec(), at });
            }
            ServerEvent::Sync { sequence, request } => self.sync(now, caller, server, *sequence, request),
            ServerEvent::SyncDone(ack) => self.acknowledge(now, caller, ack),
            ServerEvent::Fetch { sequence, fetch } => {
                let mut fails = std::mem::take(&mut self.fails);
                let habits = self.habits(caller.device);
                let mut desk = self.accounts[habits.account].desk(now, habits.id.get(), &mut fails);
                // What cannot be answered just now is asked for again.
                let _ = server.answer_fetch(now, *sequence, fetch, &mut desk);
            }
            ServerEvent::Request(frame) if self.kept[caller.device].line == caller.line => {
                let uploads = &mut self.kept[caller.device].uploads;
                let reply = match frame.command() {
                    OPEN => uploads.open(frame.body()),
                    CHUNK => uploads.chunk(frame.body()).map_or_else(|no| no.to_bytes().to_vec(), |_| Vec::new()),
                    other => panic!("a server takes {other} for a request of its application"),
                };
                let _ = server.reply(now, frame.command(), frame.sequence(), &reply);
            }
            _ => {}
        }
    }

    fn greet(&mut self, now: Instant, caller: Caller, server: &mut Link<'m>, hello: &Hello<'_>) {
        let Caller { line, machine, device } = caller;
        assert_eq!(hello.device, self.habits(device).id, "another device greets");
        if let Some(refuse) = self.refusals[device].take() {
            tally::wrong(Fault::GreetingRefused);
            note(now, || format!("server {machine}: device {device} is refused, {:?}", refuse.status));
            return server.refuse(now, &refuse).unwrap();
        }
        if self.dies_at(now, machine, Moment::Before) {
            return;
        }
        let mut ledger = self.kept[device].load();
        let greeted = match ledger.greet(hello.epoch, hello.link) {
            Ok(greeted) => greeted,
            Err(stale) => {
                note(now, || format!("server {machine}: device {device} is behind, {stale:?}"));
                return server.refuse(now, &Refuse::from(stale)).unwrap();
            }
        };
        self.kept[device].save(&ledger);
        if self.dies_at(now, machine, Moment::After) {
            return;
        }
        tally::did(Work::Greetings);
        note(now, || format!("server {machine}: connection {line} is device {device}, {greeted:?}"));
        self.kept[device].line = line;
        self.kept[device].uploads.disconnect();
        self.welcomed.insert(line, (greeted.epoch, *ledger.window()));
        self.greeted.push(caller);
        server.welcome(now, &ledger, greeted.resumed).unwrap();
    }

    /// Decides about the messages of a connection whose time has come. `true` if there were any.
    pub fn decide(&mut self, now: Instant, caller: Caller, server: &mut Link<'m>) -> bool {
        let mut moved = false;
        while self.dead != Some(caller.machine) {
            let due = |pending: &Pending| pending.line == caller.line && pending.at <= now;
            let Some(index) = self.pending.iter().position(due) else { break };
            let Pending { id, body, .. } = self.pending.remove(index).unwrap();
            self.store(now, caller, server, &id, body);
            moved = true;
        }
        moved
    }

    fn store(&mut self, now: Instant, caller: Caller, server: &mut Link<'m>, id: &MessageId, body: Vec<u8>) {
        let Caller { machine, device, line } = caller;
        if self.dies_at(now, machine, Moment::Before) {
            return;
        }
        let mut ledger = self.kept[device].load();
        let verdict = ledger.accept(id);
        let roll = self.random.below(100);
        let is_refused = verdict == Some(Verdict::Fresh) && roll < self.rejects + self.releases;
        if is_refused && self.turn_down(now, line, server, id, roll < self.rejects) {
            return;
        }
        let told = match verdict {
            // The device has greeted since, over another connection.
            None => return server.close(now, GoAway::new(GoAwayCode::Replaced)),
            Some(Verdict::TooOld) => server.reject(now, id, Rejection::new(RejectCode::TooOld)),
            Some(Verdict::Duplicate) => server.accept(now, id),
            Some(Verdict::Fresh) => {
                let number = number_of(&body);
                self.kept[device].stored.insert(number);
                self.kept[device].messages.push((id.epoch, id.sequence, body));
                self.kept[device].save(&ledger);
                let (from, to) = (self.habits(device).account, number % self.accounts.len());
                self.accounts[from].append(KEYS[1], id_of(device, number));
                self.accounts[to].append(KEYS[0], id_of(device, number));
                note(now, || format!("server {machine}: message {number} of device {device} is stored as {id}"));
                if self.dies_at(now, machine, Moment::After) {
                    return;
                }
                server.accept(now, id)
            }
        };
        assert!(!matches!(told, Err(AcceptError::OutOfOrder { .. })), "{id} was the first of its connection: {told:?}");
    }

    /// A message is not stored, and that is said. `false` if that is not possible just now.
    fn turn_down(&mut self, now: Instant, line: usize, server: &mut Link<'m>, id: &MessageId, for_good: bool) -> bool {
        if for_good {
            let is_told = server.reject(now, id, Rejection::new(RejectCode::Quota)) != Err(AcceptError::Full);
            if is_told {
                tally::wrong(Fault::Rejected);
                note(now, || format!("{id} is rejected"));
            }
            return is_told;
        }
        if server.release(now, id).is_ok() {
            tally::wrong(Fault::Released);
            note(now, || format!("{id} is released, and its connection closed"));
        }
        self.pending.retain(|pending| pending.line != line);
        true
    }

    fn sync(&mut self, now: Instant, caller: Caller, server: &mut Link<'m>, sequence: u32, request: &Request<'_>) {
        let habits = self.habits(caller.device);
        let account = &mut self.accounts[habits.account];
        if let Some(epoch) = request.epoch {
            for entry in request.entries {
                let stored = account.reached(caller.device, epoch, entry.key);
                assert!(entry.val <= stored, "a device asks after {entry:?}, and has stored {stored}");
            }
        }
        let mut fails = std::mem::take(&mut self.fails);
        let was_to_fail = fails;
        let sent = server.answer_sync(now, sequence, request, &mut account.desk(now, habits.id.get(), &mut fails));
        self.fails = fails;
        account.check_what_went();
        match sent {
            Ok(answered) if answered.error.is_some() => {
                tally::wrong(Fault::StoreFails);
                note(now, || format!("server {}: the store fails", caller.machine));
            }
            Ok(_) => {
                if was_to_fail == 0 && request.epoch.is_none_or(|epoch| epoch == account.epoch()) {
                    account.counts(caller.device);
                }
            }
            Err(SendError::Full { .. }) => {
                server.refuse_sync(now, sequence, Refusal::RetryLater(Duration::from_millis(200)));
            }
            Err(SendError::Closing | SendError::Superseded) => {}
            Err(error) => panic!("a sync cannot be answered: {error}"),
        }
    }

    fn acknowledge(&mut self, now: Instant, caller: Caller, ack: &Ack<'_>) {
        let habits = self.habits(caller.device);
        let account = &mut self.accounts[habits.account];
        for entry in ack.entries {
            let stored = account.reached(caller.device, ack.epoch, entry.key);
            assert!(entry.val <= stored, "a device acknowledges {entry:?}, and has stored {stored}");
        }
        if self.random.below(100) < self.loses {
            return tally::wrong(Fault::AckLost);
        }
        let is_ours = ack.epoch == account.epoch();
        let taken = sync::acknowledge(ack, &mut account.desk(now, habits.id.get(), &mut 0));
        assert_eq!(taken.ok(), Some(is_ours), "an acknowledgement of another epoch is taken, or one of this is not");
        account.check_what_went();
    }

    /// A process of the servers ends, and another one starts.
    pub fn restart(&mut self, lines: &[usize]) {
        self.pending.retain(|pending| !lines.contains(&pending.line));
        for account in &mut self.accounts {
            account.restart();
        }
        let keeps = self.random.below(2) == 0;
        self.kept.iter_mut().for_each(|kept| kept.uploads.restart(keeps));
    }

    /// When the next message is decided.
    pub fn next(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.at).min()
    }
}
