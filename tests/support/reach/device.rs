//! A client that dials, its driver and its application.

use super::laws::{Laws, Plight};
use super::world::{Connection, Fate, Kind, Outcome, Word, World};
use super::{Op, PLACES, Setup, Tongue, addresses};
use longlink::Instant;
use longlink::liveness::{Activity, Fault, Network, NetworkRecord};
use longlink::session::{Attempt, Client, Disconnect, Endpoint, Event, Link};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How the application reports what became of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Prompt,
    /// So many milliseconds late, and also what it was told to give up.
    Late(u64),
    Twice,
    Never,
}

#[derive(Debug)]
enum What {
    /// An attempt has come to something.
    Outcome(Attempt, Outcome),
    /// Of a connection.
    Word(u32, Word),
    /// The driver has waited long enough for the peer's end.
    Cut(u32),
    /// The application names its addresses.
    Names,
}

type Memory<'b> = Link<Client<'b>, &'b mut [u8]>;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Timers served.
    pub wake_ups: u64,
    pub attempts: u64,
    pub links: u64,
    pub polls: u64,
}

pub struct Device<'b> {
    pub link: Memory<'b>,
    pub now: Instant,
    pub world: World,
    pub laws: Laws,
    pub counts: Counts,
    pub trace: Vec<String>,
    pub online_at: Option<Instant>,
    tongue: Tongue,
    adaptive: bool,
    linger: Option<u64>,
    seed: u64,
    connection: Option<Connection>,
    connections: u32,
    queue: BTreeMap<(Instant, u64), What>,
    queued: u64,
    activity: Activity,
    mask: u8,
    known: u8,
    resolves: bool,
    manner: Manner,
    given_up: Vec<Attempt>,
    holds_until: Instant,
    /// What is fetched next may have happened long ago.
    was_held: bool,
    /// When somebody called for a link last, or stopped looking.
    called_at: Instant,
    /// The linger is over, and the link ends for it.
    rests: bool,
    /// The network that the platform has told last.
    told: Network,
    records: HashMap<Network, NetworkRecord>,
    steps: u64,
}

impl<'b> Device<'b> {
    pub fn new(setup: &Setup, link: Memory<'b>) -> Self {
        Self {
            link,
            now: Instant::from_secs(1_000),
            world: World::new(setup.tongue, setup.kinds, setup.seed),
            laws: Laws::default(),
            counts: Counts::default(),
            trace: Vec::new(),
            online_at: None,
            tongue: setup.tongue,
            adaptive: setup.adaptive,
            linger: setup.linger,
            seed: setup.seed,
            connection: None,
            connections: 0,
            queue: BTreeMap::new(),
            queued: 0,
            activity: setup.activity,
            mask: setup.mask,
            known: 0,
            resolves: true,
            manner: Manner::Prompt,
            given_up: Vec::new(),
            holds_until: Instant::ZERO,
            was_held: false,
            called_at: Instant::ZERO,
            rests: false,
            told: Network::UNKNOWN,
            records: HashMap::new(),
            steps: 0,
        }
    }

    pub fn start(&mut self, mask: u8) {
        self.name(mask);
        self.apply(Op::Open);
    }

    pub fn client(&mut self) -> &mut Client<'b> {
        self.link.endpoint_mut()
    }

    pub fn apply(&mut self, op: Op) {
        let now = self.now;
        self.note(format_args!("{op:?}"));
        match op {
            Op::Pass(millis) => return self.pass(Duration::from_millis(millis)),
            Op::Sleep(seconds, wakes) => {
                self.now = now + Duration::from_secs(seconds);
                if wakes {
                    self.client_now(|client, now| client.wake(now));
                }
            }
            Op::Kind(place, kind) => self.world.kinds[place] = kind,
            Op::Kinds(kind) => self.world.kinds = [kind; PLACES],
            Op::Network(network, is_told) => {
                self.world.network = network;
                if is_told {
                    self.tell_network();
                }
            }
            Op::Nat(seconds) => self.world.nat = seconds.map(Duration::from_secs),
            Op::Fate(fate) => self.world.fate = fate,
            Op::GoAway(code, millis) => {
                let bytes = self.world.goaway(code, millis);
                self.hear(Word::Bytes(bytes));
            }
            Op::Ends => self.hear(Word::End),
            Op::Reset => self.hear(Word::Reset),
            Op::Swallow => self.connection.iter_mut().for_each(|connection| connection.dead = true),
            Op::Push => {
                let bytes = self.world.push();
                self.hear(Word::Bytes(bytes));
            }
            Op::Answers(answers) => self.world.answers = answers,
            Op::Activity(activity) => {
                if self.activity != activity {
                    self.handle_call();
                }
                self.activity = activity;
                self.client_now(|client, now| client.set_activity(now, activity));
            }
            Op::Wake => {
                self.handle_call();
                self.client_now(|client, now| client.wake(now));
            }
            Op::Send => {
                let _ = self.client_now(|client, now| client.send(now, b"hello"));
            }
            Op::Close => {
                self.laws.wanted = false;
                self.client_now(|client, now| client.close(now));
            }
            Op::Open => {
                let seed = self.seed;
                self.laws.wanted = true;
                self.client_now(|client, now| client.open(now, seed));
            }
            Op::ConnectNow => {
                self.handle_call();
                if self.client().wants_link() {
                    self.laws.hold = None;
                }
                self.client_now(|client, now| client.connect_now(now));
            }
            Op::Addresses(mask) => self.name(mask),
            Op::Resolves(resolves) => self.resolves = resolves,
            Op::Signal => self.client_now(|client, now| client.signal(now)),
            Op::Hold(millis) => {
                self.was_held = true;
                self.holds_until = now + Duration::from_millis(millis);
            }
            Op::Manner(manner) => self.manner = manner,
        }
        self.turn();
    }

    /// Somebody wants a link, or wanted one until now.
    const fn handle_call(&mut self) {
        (self.rests, self.called_at) = (false, self.now);
    }

    fn client_now<T>(&mut self, act: impl FnOnce(&mut Client<'b>, Instant) -> T) -> T {
        let now = self.now;
        act(self.link.endpoint_mut(), now)
    }

    fn name(&mut self, mask: u8) {
        self.mask = mask;
        if mask & !self.known != 0 {
            self.laws.hold = None;
        }
        self.known = mask;
        // New ones are not waited for.
        self.laws.handle_gap();
        let list = addresses(mask);
        self.client_now(|client, now| client.set_addresses(now, &list)).unwrap();
    }

    fn tell_network(&mut self) {
        let network = self.world.network.map(|network| Network::from_number(network.into()));
        let record = network.and_then(|network| self.records.get(&network).copied());
        self.client_now(|client, now| client.set_network(now, network, record.as_ref()));
        // A network that was told of last, and so is still taken for that one, may be another by now.
        let is_other = network.is_none_or(|network| std::mem::replace(&mut self.told, network) != network);
        if is_other && self.connection.as_ref().is_some_and(|connection| !connection.is_through(self.world.network)) {
            Laws::a_link_of_another_network_is_given_up(self.link.endpoint());
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.push(format!("{:?} {what}", self.now));
    }

    fn later(&mut self, at: Instant, what: What) {
        self.queued += 1;
        self.queue.insert((at, self.queued), what);
    }

    /// Something comes from the server now, if it gets here.
    fn hear(&mut self, word: Word) {
        let (now, empty) = (self.now, word == Word::Bytes(Vec::new()));
        let Some(connection) = self.connection.as_mut().filter(|_| !empty) else { return };
        if self.world.passes(now, connection) {
            let number = connection.number;
            self.later(now, What::Word(number, word));
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let held = Some(self.holds_until).filter(|until| *until > self.now);
            let next = longlink::earliest([queued, held, self.link.poll_timeout(), Some(end)]).unwrap();
            self.now = self.now.max(next);
            let done = self.now >= end;
            self.turn();
            if done && self.link.poll_timeout().is_none_or(|at| at > end) {
                return;
            }
        }
    }

    /// What has come is read, what is due is done, what happened is told, what is to be written is written.
    fn turn(&mut self) {
        loop {
            self.steps += 1;
            self.laws.time_goes_by(self.now);
            self.read();
            self.serve_timers();
            self.fetch();
            self.write();
            self.end();
            let is_up = self.connection.is_some();
            let fetches = self.now >= self.holds_until;
            let (now, client) = (self.now, self.link.endpoint());
            self.laws.nobody_is_stuck(client, is_up, fetches);
            Laws::questions_agree(client);
            Laws::dormant_is_quiet(client);
            let comes = self.queue.keys().next().is_some_and(|(at, _)| *at <= now);
            let is_due = client.poll_timeout().is_some_and(|at| at <= now);
            if !comes && !is_due {
                if fetches && self.link.closing().is_none() {
                    self.fetch();
                    self.laws.every_attempt_ends(now, self.link.endpoint(), is_up);
                }
                return;
            }
        }
    }

    fn read(&mut self) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                What::Outcome(attempt, outcome) => self.report(attempt, outcome),
                What::Word(number, word) => self.take(number, word),
                What::Cut(number) => {
                    if self.connection.as_ref().is_some_and(|connection| connection.number == number) {
                        self.disconnect(Disconnect::Transport);
                    }
                }
                What::Names => {
                    let mask = self.mask;
                    self.name(mask);
                }
            }
        }
    }

    fn take(&mut self, number: u32, word: Word) {
        let now = self.now;
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.number == number) else {
            return;
        };
        // Nothing comes behind the end.
        if connection.dead || self.link.is_ended() {
            return;
        }
        match word {
            Word::Bytes(bytes) => {
                let space = self.link.space();
                assert!(space.len() >= bytes.len());
                space[..bytes.len()].copy_from_slice(&bytes);
                self.link.handle_read(now, bytes.len());
                self.frames();
            }
            Word::End => self.link.handle_end(),
            Word::Reset => self.disconnect(Disconnect::Transport),
        }
    }

    fn frames(&mut self) {
        let (now, mut told) = (self.now, Vec::new());
        let (decoder, client) = self.link.split();
        while let Some(frame) = decoder.next_frame().unwrap() {
            match client.handle_frame(now, frame) {
                Some(Event::Online { .. }) => told.push("Online"),
                Some(Event::Delivered { .. }) => told.push("Delivered"),
                _ => {}
            }
        }
        for what in told {
            if what == "Online" { self.handle_online() } else { self.laws.handle_good_link() }
        }
    }

    fn serve_timers(&mut self) {
        if self.link.poll_timeout().is_none_or(|at| at > self.now) {
            return;
        }
        self.counts.wake_ups += 1;
        let looks_close = self.steps.is_multiple_of(61);
        let timer = self.link.endpoint().next_timer();
        let was_closing = self.link.closing().is_some();
        self.client_now(|client, now| {
            client.handle_timeout(now);
            Laws::a_timeout_is_handled_once(now, client, looks_close);
        });
        // What else could have ended it.
        self.rests |= !was_closing && self.activity == Activity::Background && self.connection.is_some();
        if looks_close {
            self.note(format_args!("{timer:?}"));
        }
    }

    fn fetch(&mut self) {
        if self.now < self.holds_until {
            return;
        }
        let mut count = 0;
        while let Some(event) = self.link.endpoint_mut().poll_event() {
            count += 1;
            if self.was_held {
                self.laws.handle_gap();
            }
            self.handle_event(event);
        }
        if std::mem::take(&mut self.was_held) {
            self.laws.handle_gap();
        }
        assert!(count > 0 || !std::mem::take(&mut self.laws.owes_event), "there was nothing but events to wait for");
        self.laws.owes_event = false;
    }

    fn handle_event(&mut self, event: Event<'static>) {
        let now = self.now;
        self.note(format_args!("{event:?}"));
        let is_up = self.connection.is_some();
        match event {
            Event::Connect(attempt) => {
                self.counts.attempts += 1;
                self.laws.attempt_is_told_in_its_place(now, attempt, self.link.endpoint(), is_up);
                self.begin(attempt);
            }
            Event::Abandon(attempt) => {
                self.laws.only_what_is_out_is_abandoned(attempt);
                self.given_up.push(attempt);
            }
            Event::ResolveAddresses if self.resolves => self.later(now + Duration::from_millis(200), What::Names),
            Event::Online { .. } => self.handle_online(),
            Event::Delivered { .. } => self.laws.handle_good_link(),
            Event::Dormant { unsettled } => {
                assert!(self.link.endpoint().is_dormant() && !is_up, "dormant with a link, or not at all");
                assert_eq!(unsettled, self.link.endpoint().unsettled());
                let lasted = now - self.called_at;
                Laws::nobody_rests_too_soon(self.activity, lasted, self.linger);
            }
            Event::Poll => {
                self.counts.polls += 1;
                assert!(!self.link.endpoint().is_online(), "to be asked in another way, beside a link");
                assert!(self.laws.wanted);
            }
            Event::NetworkLearned(record) => {
                self.records.insert(record.network(), record);
            }
            _ => {}
        }
    }

    fn handle_online(&mut self) {
        let greeted = self.connection.as_ref().is_some_and(|connection| connection.greeted);
        assert!(greeted, "online, and nobody has greeted");
        (self.laws.hold, self.laws.held) = (None, None);
        self.online_at = Some(self.now);
        self.note(format_args!("online"));
    }

    /// The application connects and probes.
    fn begin(&mut self, attempt: Attempt) {
        let (outcome, after) = self.world.attempt(attempt.address().index.into());
        let at = self.now + after;
        match self.manner {
            _ if outcome == Outcome::Nothing => {}
            Manner::Prompt => self.later(at, What::Outcome(attempt, outcome)),
            Manner::Late(millis) => self.later(at + Duration::from_millis(millis), What::Outcome(attempt, outcome)),
            Manner::Twice => {
                self.later(at, What::Outcome(attempt, outcome));
                self.later(at + after, What::Outcome(attempt, outcome));
            }
            Manner::Never => {}
        }
    }

    fn report(&mut self, attempt: Attempt, outcome: Outcome) {
        if self.manner == Manner::Prompt && self.given_up.contains(&attempt) {
            return;
        }
        self.note(format_args!("{outcome:?} {}", attempt.number()));
        let fault = match outcome {
            Outcome::Alive => return self.handle_alive(attempt),
            Outcome::Refused => Fault::Refused,
            Outcome::Foreign => Fault::Foreign,
            Outcome::Unreachable | Outcome::Nothing => Fault::Unreachable,
        };
        self.laws.handle_report(attempt);
        self.client_now(|client, now| client.handle_refused(now, attempt, fault));
    }

    fn handle_alive(&mut self, attempt: Attempt) {
        let (now, is_up) = (self.now, self.connection.is_some());
        let taken = self.link.handle_alive(now, attempt);
        self.laws.one_attempt_wins(attempt, taken, is_up);
        if taken {
            self.connections += 1;
            self.counts.links += 1;
            let place = attempt.address().index.into();
            self.rests = false;
            self.connection = Some(self.world.connect(now, self.connections, place));
        }
    }

    fn write(&mut self) {
        let now = self.now;
        let mut written = Vec::new();
        while let Some(bytes) = self.link.poll_transmit() {
            written.extend_from_slice(bytes);
            let length = bytes.len();
            self.link.handle_sent(now, length);
        }
        if written.is_empty() {
            return;
        }
        let Some(connection) = self.connection.as_mut() else { panic!("something to write, and no link") };
        let number = connection.number;
        for (at, word) in self.world.answer(now, connection, &written) {
            self.later(at, What::Word(number, word));
        }
    }

    /// Ends what is to end, as a driver does.
    fn end(&mut self) {
        if let Some(why) = self.link.over() {
            return self.disconnect(why);
        }
        let (now, closing) = (self.now, self.link.closing().is_some());
        let Some(connection) = self.connection.as_mut().filter(|_| closing) else { return };
        let number = connection.number;
        if !self.queue.values().any(|what| matches!(what, What::Cut(other) if *other == number)) {
            let at = if self.world.passes(now, connection) { 50 } else { 3_000 };
            self.later(now + Duration::from_millis(at), What::Cut(number));
        }
    }

    fn disconnect(&mut self, why: Disconnect) {
        let now = self.now;
        let why = self.link.handle_disconnected(now, why);
        self.note(format_args!("down: {why:?}"));
        if self.online_at.take().is_some_and(|at| now - at >= Duration::from_secs(30)) {
            self.laws.handle_good_link();
        }
        self.connection = None;
        let rests = self.rests && self.link.endpoint().is_dormant();
        self.laws.handle_down(now, why, rests);
        assert!(self.laws.wanted || !self.link.endpoint().wants_link() || rests, "a link that was refused for good");
    }

    /// Where its link goes to.
    pub fn place(&self) -> Option<usize> {
        self.connection.as_ref().map(|connection| connection.place)
    }

    pub fn is_online(&self) -> bool {
        self.link.endpoint().is_online() && self.connection.as_ref().is_some_and(|connection| !connection.dead)
    }

    /// From now on an address works, and so do the network and the application: the link is there in time, and stays.
    pub fn finish(&mut self) {
        let place = self.world.random(PLACES as u64) as usize;
        self.world.kinds[place] = Kind::Alive;
        (self.world.fate, self.world.nat, self.world.answers) = (Fate::Taken, None, true);
        (self.resolves, self.manner, self.holds_until) = (true, Manner::Prompt, self.now);
        self.world.network = self.world.network.or(Some(1));
        self.note(format_args!("place {place} works"));
        self.tell_network();
        self.turn();
        self.come_to_rest();
        self.mask |= 1 << place;
        if self.known & 1 << place == 0 {
            let mask = self.mask;
            self.name(mask);
        }
        if self.linger.is_some() {
            self.apply(Op::Activity(Activity::Foreground));
        }
        self.let_what_is_under_way_come();
        if !self.link.endpoint().wants_link() {
            self.apply(Op::Open);
        }
        if self.link.endpoint().is_dormant() {
            self.apply(Op::Wake);
        }
        self.turn();
        self.laws.wanted = true;
        let plight = self.come_online();
        self.stay_online(&plight);
    }

    /// In the background, with nothing that calls for a link.
    fn come_to_rest(&mut self) {
        let Some(linger) = self.linger.filter(|_| self.activity == Activity::Background) else { return };
        // Until there is a link and from then on, a minute for what is unsettled each time, and an end in good order.
        self.pass(Duration::from_secs(2 * (linger.max(30) + 60) + 40));
        Laws::the_background_comes_to_rest(self.link.endpoint());
    }

    /// What was said before, and what attempts came to.
    fn let_what_is_under_way_come(&mut self) {
        for _ in 0..60 {
            self.pass(Duration::from_secs(1));
        }
    }

    fn last_lines(&self) -> String {
        self.trace[self.trace.len().saturating_sub(30)..].join("\n")
    }

    fn come_online(&mut self) -> Plight {
        let is_background = self.activity == Activity::Background;
        let count = |kinds: &[Kind; PLACES], mask: u8, kind| {
            (0..PLACES).filter(|place| mask >> place & 1 == 1 && kinds[*place] == kind).count() as u64
        };
        let is_mute = |kind| count(&self.world.kinds, self.mask, kind);
        let plight = Plight {
            tongue: self.tongue,
            has_link: self.connection.is_some(),
            silence: if self.adaptive && is_background { 580 } else { 30 },
            window: if is_background { 600 } else { 120 },
            addresses: self.mask.count_ones().into(),
            mute: is_mute(Kind::Mute) + if self.tongue == Tongue::Goim { is_mute(Kind::Foreign) } else { 0 },
        };
        let (start, bound) = (self.now, self.laws.bound(self.now, &plight));
        while !self.is_online() {
            assert!(self.now - start <= bound, "not online after {bound:?}: {plight:?}\n{}", self.last_lines());
            self.pass(Duration::from_secs(1));
        }
        let took = self.now - start;
        self.note(format_args!("took {took:?} of {bound:?}"));
        plight
    }

    fn stay_online(&mut self, plight: &Plight) {
        let before = self.counts;
        // An address that answers, but does not greet, has to be moved to before that is known.
        let is_tried = plight.mute > 0;
        self.pass(Duration::from_secs(600));
        let links = self.counts.links - before.links;
        assert!(links <= if is_tried { 4 * (1 + plight.mute) } else { 3 }, "{links} links");
        // It may be on its way to a better one just now.
        for _ in 0..30 {
            if !self.is_online() {
                self.pass(Duration::from_secs(1));
            }
        }
        assert!(is_tried || self.is_online(), "the link does not stay");
    }
}
