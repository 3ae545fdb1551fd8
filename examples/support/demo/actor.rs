//! A device in all of its lives: its process, its proxy, what it was given to send, and what it said.

use super::cast::Part;
use super::judge::{Inbox, Item, Sender};
use super::processes::{Device, Files, Name, News, file};
use super::record::Record;
use super::script::Plan;
use crate::client::inbox;
use crate::proxy::{Cut, Faults, Proxy, Random};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

pub(crate) struct Actor {
    pub(crate) number: usize,
    part: Part,
    dir: PathBuf,
    photo: Option<PathBuf>,
    proxy: Proxy,
    record: Record,
    sender: mpsc::Sender<News>,
    process: Option<Device>,
    life: u32,
    is_eager: bool,
    /// What it is to send, in order, and whether its process gets that as it comes.
    given: Vec<String>,
    is_fed: bool,
    is_closing: bool,
    is_over: bool,
    /// The sequences of what it was told to be delivered, and in which life that was.
    pub(crate) delivered: BTreeMap<u32, u32>,
    failed: Vec<String>,
    /// The last message that an earlier life left in the state.
    restored: u32,
    /// So many items are in its inbox.
    pub(crate) items: u64,
    /// So many there were when it was switched on.
    had: u64,
    told: Vec<(u64, u64)>,
    /// It has all that there was when it came online.
    pub(crate) is_caught_up: bool,
    /// It is back, and gets what it had missed.
    pub(crate) is_fetching: bool,
    /// It was online since the server came back.
    pub(crate) has_come_back: bool,
}

impl Actor {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        number: usize,
        part: &Part,
        plan: &Plan,
        record: &Record,
        server: SocketAddr,
        seed: u64,
        photo: Option<PathBuf>,
        sender: mpsc::Sender<News>,
    ) -> Self {
        let mut random = Random(seed);
        let faults = faults(&mut random, plan, photo.is_some());
        let proxy = Proxy::start_with(server, faults, random.next(), Some(record.tap(number)));
        Self {
            number,
            part: *part,
            dir: plan.dir.clone(),
            photo,
            proxy,
            record: record.clone(),
            sender,
            process: None,
            life: 0,
            is_eager: plan.is_eager,
            given: Vec::new(),
            is_fed: true,
            is_closing: false,
            is_over: false,
            delivered: BTreeMap::new(),
            failed: Vec::new(),
            restored: 0,
            items: 0,
            had: 0,
            told: Vec::new(),
            is_caught_up: false,
            is_fetching: false,
            has_come_back: false,
        }
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.life += 1;
        let (address, photo) = (self.proxy.addr(), self.photo.as_deref());
        let files = Files { dir: &self.dir, photo };
        let name = Name { number: self.number, life: self.life, part: &self.part };
        self.process = Some(Device::start(&name, &files, address, self.is_eager, &self.sender)?);
        Ok(())
    }

    /// Has it send one more message.
    pub(crate) fn give(&mut self, random: &mut Random) {
        let text = self.part.text(self.given.len(), random);
        if let Some(process) = self.process.as_ref().filter(|_| self.is_fed) {
            process.give(&text);
        }
        self.given.push(text);
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
        self.is_fed = false;
    }

    /// Starts it again over its own files, and says how many items these have.
    pub(crate) fn come_back(&mut self) -> Result<u64> {
        // What it stored and did not live to tell is there as well.
        self.items = self.items()?.len() as u64;
        self.had = self.items;
        self.is_fetching = true;
        self.start()?;
        Ok(self.had)
    }

    /// It gets nothing more to send, and ends.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
        self.process.iter_mut().for_each(Device::close);
    }

    /// Its links are left alone.
    pub(crate) fn calm(&self) {
        self.proxy.calm();
    }

    /// The server is somewhere else.
    pub(crate) fn set_target(&self, server: SocketAddr) {
        self.proxy.set_target(server);
    }

    /// Takes what its process said. What an earlier one said comes late, and counts all the same.
    pub(crate) fn hear(&mut self, news: &News) -> Result<()> {
        let Some(event) = &news.event else {
            return if news.life == self.life { self.end() } else { Ok(()) };
        };
        let number = |name: &str| event[name].as_u64().unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "restored" => self.restored = number("last") as u32,
            "online" => {
                self.has_come_back = true;
                self.feed();
            }
            "caught_up" => (self.is_caught_up, self.is_fetching) = (true, false),
            "delivered" => {
                let before = self.delivered.insert(number("sequence") as u32, news.life);
                // What a life did not live to store is told again in the next.
                self.failed.extend((before == Some(news.life)).then(|| format!("told twice: {}", plain(event))));
            }
            "item" => {
                self.items += u64::from(news.life == self.life);
                self.told.push((number("key"), number("val")));
            }
            "failed" | "gap" | "reset" | "epoch_lost" | "server_rewound" => self.failed.push(plain(event)),
            _ => {}
        }
        Ok(())
    }

    /// After it was killed: what it had taken is in its state, or was on the wire and is settled. It gets the rest.
    fn feed(&mut self) {
        let Some(process) = self.process.as_ref().filter(|_| !self.is_fed) else { return };
        let seen = self.record.seen();
        let sent = seen.meters[self.number].messages.keys().map(|(_, sequence)| *sequence).max();
        let taken = self.restored.max(sent.unwrap_or_default()) as usize;
        self.given.iter().skip(taken).for_each(|text| process.give(text));
        self.is_fed = true;
    }

    fn end(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let (status, name) = (process.wait()?, self.name());
        self.is_over = true;
        if !self.is_closing || !status.success() {
            bail!("{name} ended by itself, with {status}: see {}", file(&self.dir, &self.part, "log").display());
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> String {
        self.part.name()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many messages have no outcome yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.given.len().saturating_sub(self.delivered.len())
    }

    /// How many items it got since it was switched on.
    pub(crate) fn gained(&self) -> u64 {
        self.items - self.had
    }

    /// The message that names the photo is among what was delivered.
    pub(crate) fn has_sent_photo(&self) -> bool {
        let seen = self.record.seen();
        seen.meters[self.number].messages.values().any(|message| is_photo(&message.text))
    }

    /// How many messages were delivered of which no link brought the answer.
    pub(crate) fn unanswered(&self) -> u64 {
        let seen = self.record.seen();
        let messages = seen.meters[self.number].messages.iter();
        let told = messages.filter(|((_, sequence), _)| self.delivered.contains_key(sequence));
        told.filter(|(_, message)| !message.answered).count() as u64
    }

    /// How far it is, in words.
    pub(crate) fn describe(&self) -> String {
        let (name, given, delivered, items) = (self.name(), self.given.len(), self.delivered.len(), self.items);
        format!("{name}: {delivered} of {given} delivered, {items} items here")
    }

    /// What it sent, and was told of that.
    pub(crate) fn sender(&self) -> Sender {
        let seen = self.record.seen();
        let messages = &seen.meters[self.number].messages;
        let text_of = |sequence: &u32| {
            let message = messages.iter().rfind(|((_, known), _)| known == sequence);
            message.map_or_else(|| format!("number {sequence}, which was never on the wire"), |(_, m)| m.text.clone())
        };
        let delivered = self.delivered.keys().map(text_of).filter(|text| !is_photo(text)).collect();
        Sender { name: self.name(), texts: self.given.clone(), delivered, failed: self.failed.clone() }
    }

    /// The message that names the photo, as one of a sender of its own: where it is among the others is not said.
    pub(crate) fn photo(&self) -> Sender {
        let seen = self.record.seen();
        let messages = seen.meters[self.number].messages.iter().filter(|(_, message)| is_photo(&message.text));
        let (mut texts, mut delivered) = (Vec::new(), BTreeSet::new());
        for ((_, sequence), message) in messages {
            texts.push(message.text.clone());
            if self.delivered.contains_key(sequence) {
                delivered.insert(message.text.clone());
            }
        }
        Sender { name: format!("{}, of its photo", self.name()), texts, delivered, failed: Vec::new() }
    }

    /// What is on it, once its process is over; `from` are the senders whose messages have to be.
    pub(crate) fn inbox(&self, from: Vec<usize>) -> Result<Inbox> {
        Ok(Inbox { name: self.name(), from, items: self.items()?, told: self.told.clone() })
    }

    fn items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        inbox::Inbox::open_existing(&file(&self.dir, &self.part, "inbox"))?
            .for_each(|item| {
                let line = item.line();
                let number = |name: &str| line[name].as_u64().unwrap_or_default();
                let text = line["text"].as_str().unwrap_or_default().into();
                items.push(Item { place: (number("key"), number("val")), id: number("id"), text });
            })
            .with_context(|| format!("cannot read what {} has", self.name()))?;
        Ok(items)
    }
}

/// The message that names a file is JSON itself.
fn is_photo(text: &str) -> bool {
    text.starts_with("{\"file\"")
}

/// An event in words, more or less.
fn plain(event: &Value) -> String {
    event.to_string()
}

/// What this device's network is like: each has its own, drawn from the seed, and each of its links another fate.
fn faults(random: &mut Random, plan: &Plan, sends_photo: bool) -> Faults {
    const MS: fn(u64) -> Duration = Duration::from_millis;
    // What passes in all is about this, so each device loses some links: in a short run one.
    let bytes = plan.messages as u64 * 110 + if sends_photo { plan.photo.len() as u64 } else { 0 };
    let cuts = (plan.messages as u64 / 500).clamp(1, 6);
    Faults {
        cut_after_bytes: bytes / cuts / 6..bytes / cuts,
        cuts: &[Cut::End, Cut::Reset, Cut::Late, Cut::Reset, Cut::Late, Cut::Silent],
        split: if sends_photo { 4_096 } else { 200 },
        stall_one_in: if sends_photo { 400 } else { 200 },
        stall: MS(2_200),
        delay: MS(10 + random.below(50)),
        ..Faults::NONE
    }
}
