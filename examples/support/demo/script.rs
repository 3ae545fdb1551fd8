//! What happens in a run, and in which order.
//!
//! ```text
//!   Writing ──all is given──▶ Settling ──all has arrived──▶ Quiet ──3 s──▶ over
//! ```
//!
//! While they write: the tablet is killed, the server is killed and started again, and the tablet comes back, each once so
//! many messages were given. So a run of any length, on any machine, has them all.

use super::actor::Actor;
use super::cast::{CAMERA, PARTS, TABLET};
use super::meter::Tally;
use super::processes::{News, Server};
use super::record::{Record, SERVER};
use super::screen::{Progress, Screen};
use super::table::{Events, sum};
use super::timeline::MomentKind;
use crate::proxy::Random;
use anyhow::{Result, bail};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How a run goes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) dir: PathBuf,
    pub(crate) seed: u64,
    pub(crate) messages: usize,
    pub(crate) photo: Vec<u8>,
    /// What the server had stored is gone when it comes back.
    pub(crate) loses_disk: bool,
    /// Devices do not wait until the library wants another link.
    pub(crate) is_eager: bool,
    /// For so long nothing may move.
    pub(crate) patience: Duration,
}

pub(crate) struct Script<'p> {
    plan: &'p Plan,
    pub(crate) record: Record,
    pub(crate) screen: Screen,
    random: Random,
    pub(crate) actors: Vec<Actor>,
    server: Option<Server>,
    news: Receiver<News>,
    /// When they began to write.
    began: Instant,
    given: usize,
    /// What is still to happen, first things first.
    to_come: Vec<(f64, Act)>,
    /// When the server was killed.
    server_down: Option<Instant>,
    /// When it came back, until all devices have as well.
    server_back: Option<Instant>,
    tablet_down: Option<Instant>,
    moved: (Instant, Progress),
    photo_sent: bool,
    /// What was on the wire when the quiet time began, when it ended, and how long it was.
    quiet: (Tally, Tally, Duration),
}

#[derive(Clone, Copy)]
enum Act {
    TabletOff,
    ServerKilled,
    TabletOn,
}

impl<'p> Script<'p> {
    /// What happens, once which part of the messages was given.
    const ACTS: [(f64, Act); 3] = [(0.7, Act::TabletOn), (0.4, Act::ServerKilled), (0.2, Act::TabletOff)];
    /// As fast as they write, all together, and for how long at least, in seconds.
    const PER_SECOND: f64 = 180.0;
    const AT_LEAST: f64 = 4.0;
    /// How long a slow machine may take for a step in which nothing moves.
    const MACHINE: Duration = Duration::from_secs(120);
    /// How long nobody writes at the end.
    const QUIET: Duration = Duration::from_secs(3);
    const SERVER_DOWN: Duration = Duration::from_millis(700);
    /// The port that a killed server had may be that of another run's server a moment later. Nobody listens on port 0.
    const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// Starts the server, the proxies and the devices.
    pub(crate) fn begin(plan: &'p Plan, record: Record, screen: Screen) -> Result<Self> {
        let mut random = Random(plan.seed);
        let server = Server::start(&plan.dir.join("server"), plan.messages)?;
        let photo = plan.dir.join("photo.jpg");
        std::fs::write(&photo, &plan.photo)?;
        let (sender, news) = mpsc::channel();
        let mut actors = Vec::new();
        for (number, part) in PARTS.iter().enumerate() {
            let photo = (number == CAMERA).then(|| photo.clone());
            actors.push(Actor::new(number, part, plan, &record, server.address, random.next(), photo, sender.clone()));
        }
        let (now, server) = (Instant::now(), Some(server));
        let mut script = Self {
            plan,
            record,
            screen,
            random,
            actors,
            server,
            news,
            began: now,
            given: 0,
            to_come: Self::ACTS.into(),
            server_down: None,
            server_back: None,
            tablet_down: None,
            moved: (now, Progress::default()),
            photo_sent: false,
            quiet: Default::default(),
        };
        script.record.note(SERVER, MomentKind::Start, "started");
        script.actors.iter_mut().try_for_each(Actor::start)?;
        Ok(script)
    }

    /// Runs it to its end. An error says what was missing.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.until("a device was not online and up to date", Self::MACHINE, |script| {
            script.actors.iter().all(|actor| actor.is_caught_up)
        })?;
        self.screen.tell("The server is up and all six devices are online. They begin to write.");
        self.began = Instant::now();
        self.until("not all was written", Self::MACHINE, |script| {
            script.given == script.plan.messages && script.to_come.is_empty() && script.server.is_some()
        })?;
        self.actors.iter().for_each(Actor::calm);
        self.screen.tell("All is written, and the network is good from here on. What is still under way arrives.");
        self.until("not all has arrived", self.plan.patience, Self::has_all)?;
        self.screen.tell("All has arrived. Nobody writes for a moment: only heartbeats keep the links up.");
        let (quiet, before) = (Instant::now(), sum(&self.record.seen().meters));
        self.until("", Self::MACHINE, |_| quiet.elapsed() >= Self::QUIET)?;
        self.quiet = (before, sum(&self.record.seen().meters), quiet.elapsed());
        self.actors.iter_mut().for_each(Actor::close);
        self.until("a device did not end", Self::MACHINE, |script| script.actors.iter().all(Actor::is_over))
    }

    /// Does what is to be done until something holds, as long as something moves now and then.
    fn until(&mut self, missing: &str, patience: Duration, holds: impl Fn(&Self) -> bool) -> Result<()> {
        self.moved.0 = Instant::now();
        while !holds(self) {
            if let Ok(news) = self.news.recv_timeout(Duration::from_millis(20)) {
                self.hear(&news)?;
                while let Ok(news) = self.news.try_recv() {
                    self.hear(&news)?;
                }
            }
            self.act()?;
            let progress = self.progress();
            if progress != self.moved.1 {
                self.moved = (Instant::now(), progress);
            }
            self.screen.show(&progress);
            if self.moved.0.elapsed() > patience {
                bail!("{missing}, and nothing moved for {patience:?}: {}", self.missing());
            }
        }
        Ok(())
    }

    fn hear(&mut self, news: &News) -> Result<()> {
        let Some(actor) = self.actors.get_mut(news.device) else { return Ok(()) };
        let (name, was_gone) = (actor.name(), actor.is_fetching);
        actor.hear(news)?;
        if was_gone && !actor.is_fetching {
            let gained = actor.gained();
            self.screen.tell(&format!("{name} is up to date again: it fetched the {gained} that it had missed."));
        }
        if self.actors.iter().all(|actor| actor.has_come_back || !actor.is_running())
            && let Some(since) = self.server_back.take()
        {
            let seconds = since.elapsed().as_secs_f64();
            let all = "All devices are back, one after the other within";
            self.screen.tell(&format!("{all} {seconds:.1} s: a crowd must not come in one moment."));
        }
        if !self.photo_sent && self.actors[CAMERA].has_sent_photo() {
            self.photo_sent = true;
            let name = self.actors[CAMERA].name();
            self.screen.tell(&format!("The photo is complete at the server; {name} sends the message that names it."));
            self.record.note(CAMERA, MomentKind::Done, "photo sent");
        }
        Ok(())
    }

    /// What the time, and what was given, ask for.
    fn act(&mut self) -> Result<()> {
        if self.server_down.is_some_and(|since| since.elapsed() >= Self::SERVER_DOWN) {
            self.restart_server()?;
        }
        let rate = Self::PER_SECOND.min(self.plan.messages as f64 / Self::AT_LEAST);
        let due = self.began.elapsed().as_secs_f64() * rate;
        while self.is_writing() && self.given < self.plan.messages && (self.given as f64) < due {
            self.given += 1;
            let awake: Vec<_> =
                self.actors.iter().filter(|actor| actor.is_running()).map(|actor| actor.number).collect();
            let chosen = awake[self.random.below(awake.len() as u64) as usize];
            self.actors[chosen].give(&mut self.random);
        }
        let part = self.given as f64 / self.plan.messages as f64;
        while let Some((_, act)) = self.to_come.pop_if(|(at, _)| *at <= part) {
            match act {
                Act::TabletOff => self.switch_off(),
                Act::ServerKilled => self.kill_server(),
                Act::TabletOn => self.switch_on()?,
            }
        }
        Ok(())
    }

    fn is_writing(&self) -> bool {
        self.actors.iter().all(|actor| actor.is_caught_up)
    }

    fn switch_off(&mut self) {
        let tablet = &mut self.actors[TABLET];
        let open = tablet.unsettled();
        tablet.kill();
        self.tablet_down = Some(Instant::now());
        self.record.note(TABLET, MomentKind::Kill, "killed");
        let name = self.actors[TABLET].name();
        self.screen.tell(&format!(
            "{name} is killed, as if its battery were out. Of its messages {open} are still to be stored."
        ));
    }

    fn switch_on(&mut self) -> Result<()> {
        let tablet = &mut self.actors[TABLET];
        let here = tablet.come_back()?;
        if let Some(since) = self.tablet_down.take() {
            self.record.was_down(TABLET, since, "switched off");
        }
        self.record.note(TABLET, MomentKind::Start, "back");
        let name = self.actors[TABLET].name();
        self.screen.tell(&format!("{name} is switched on again. It has {here} messages, and goes on from there."));
        Ok(())
    }

    fn kill_server(&mut self) {
        self.actors.iter().for_each(|actor| actor.set_target(Self::NOWHERE));
        self.server = None;
        self.server_down = Some(Instant::now());
        self.record.note(SERVER, MomentKind::Kill, "killed");
        let open: usize = self.actors.iter().map(Actor::unsettled).sum();
        self.screen.tell(&format!("The server is killed, with {open} messages still to be stored. All links break."));
    }

    fn restart_server(&mut self) -> Result<()> {
        let name = if self.plan.loses_disk { "server-2" } else { "server" };
        let server = Server::start(&self.plan.dir.join(name), self.plan.messages)?;
        self.actors.iter().for_each(|actor| actor.set_target(server.address));
        self.server = Some(server);
        self.server_back = Some(Instant::now());
        self.actors.iter_mut().for_each(|actor| actor.has_come_back = false);
        if let Some(since) = self.server_down.take() {
            self.record.was_down(SERVER, since, "killed");
        }
        self.record.note(SERVER, MomentKind::Start, "back");
        let over = if self.plan.loses_disk { "over empty files" } else { "over the same files" };
        self.screen.tell(&format!("The server is back {over}. Each device decides by itself when to try again."));
        Ok(())
    }

    /// All processes end, however far they are.
    pub(crate) fn stop(&mut self) {
        self.actors.iter_mut().for_each(Actor::kill);
        self.server = None;
    }

    /// What is not to be seen on the wire.
    pub(crate) fn events(&self) -> Events {
        let (before, after, time) = self.quiet;
        Events {
            messages: self.plan.messages as u64,
            photo: self.plan.photo.len() as u64,
            quiet: (before, after),
            quiet_seconds: time.as_secs_f64(),
            unanswered: self.actors.iter().map(Actor::unanswered).sum(),
        }
    }

    /// Whether nothing is under way any more.
    fn has_all(&self) -> bool {
        let Progress { stored, messages, items, expected, .. } = self.progress();
        stored == messages && items >= expected
    }

    fn progress(&self) -> Progress {
        let stored = self.actors.iter().map(|actor| actor.delivered.len() as u64).sum();
        Progress {
            stored,
            // The photo has a message as well.
            messages: self.plan.messages as u64 + 1,
            items: self.actors.iter().map(|actor| actor.items).sum(),
            expected: 4 * (self.plan.messages as u64 + 1),
            photo: self.record.seen().meters[CAMERA].photo().min(self.plan.photo.len() as u64),
            photo_length: self.plan.photo.len() as u64,
        }
    }

    /// What has not come, in words.
    fn missing(&self) -> String {
        let lines = self.actors.iter().map(Actor::describe);
        lines.collect::<Vec<_>>().join("; ")
    }
}
