//! What the taps of all proxies saw, in one place: counts, the capture file, and what the picture is drawn from.

use super::capture::{self, Capture};
use super::cast::PARTS;
use super::meter::Meter;
use super::timeline::{Arrow, Moment, MomentKind, Span, SpanKind, Story};
use crate::proxy::{Close, Cut, Side, Tap};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// All that was seen. Clones are the same.
#[derive(Clone)]
pub(crate) struct Record(Arc<Mutex<Seen>>);

pub(crate) struct Seen {
    began: Instant,
    pub(crate) meters: Vec<Meter>,
    /// How many links were cut, by the ways in which one can be.
    pub(crate) cuts: BTreeMap<&'static str, u64>,
    capture: Option<Capture<BufWriter<File>>>,
    /// The first thing that went wrong with it.
    trouble: Option<std::io::Error>,
    story: Story,
    /// When each link began.
    links: BTreeMap<u32, Duration>,
}

/// The lane of the server, below those of the devices.
pub(crate) const SERVER: usize = PARTS.len();

impl Record {
    /// Writes a capture as well, if there is a path.
    pub(crate) fn new(began: Instant, pcap: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| -> std::io::Result<_> { Capture::new(BufWriter::new(File::create(path)?)) };
        let capture = pcap.map(|path| create(path).with_context(|| format!("cannot write {}", path.display())));
        let lanes = PARTS.iter().map(|part| part.name()).chain(["Server".into()]).collect();
        Ok(Self(Arc::new(Mutex::new(Seen {
            began,
            meters: PARTS.iter().map(|_| Meter::default()).collect(),
            cuts: BTreeMap::new(),
            capture: capture.transpose()?,
            trouble: None,
            story: Story { lanes, ..Story::default() },
            links: BTreeMap::new(),
        }))))
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What sees the links of this device.
    pub(crate) fn tap(&self, device: usize) -> Arc<dyn Tap> {
        Arc::new(DeviceTap { device, record: self.clone() })
    }

    /// A big moment.
    pub(crate) fn note(&self, lane: usize, kind: MomentKind, label: &str) {
        let mut seen = self.seen();
        let at = seen.began.elapsed();
        seen.story.moments.push(Moment { at, lane, kind, label: label.into() });
    }

    /// A process was not there from `since` until now.
    pub(crate) fn was_down(&self, lane: usize, since: Instant, label: &str) {
        let mut seen = self.seen();
        let (from, to) = (since - seen.began, seen.began.elapsed());
        seen.story.spans.push(Span { lane, from, to, kind: SpanKind::Down, label: label.into() });
    }

    /// Ends the capture, and returns what there is to draw.
    pub(crate) fn finish(&self, title: String) -> Result<Story> {
        let mut seen = self.seen();
        if let Some(capture) = seen.capture.take() {
            capture.finish().context("cannot write the capture")?;
        }
        if let Some(error) = seen.trouble.take() {
            return Err(error).context("cannot write the capture");
        }
        let open: Vec<_> = seen.links.keys().copied().collect();
        open.into_iter().for_each(|link| seen.end(link));
        let end = seen.began.elapsed();
        let spans = std::mem::take(&mut seen.story.spans);
        // Below all others: it is seen where there is no link, until there is to be none any more.
        let waits = |lane| {
            let to = spans.iter().filter(|span| span.lane == lane).map(|span| span.to).max().unwrap_or_default();
            Span { lane, from: Duration::ZERO, to, kind: SpanKind::Connecting, label: String::new() }
        };
        seen.story.spans = (0..SERVER).map(waits).collect();
        seen.story.spans.extend(spans);
        Ok(Story { title, begin: Duration::ZERO, end, ..std::mem::take(&mut seen.story) })
    }
}

impl Seen {
    /// Links of different devices have different numbers.
    fn lane(link: u32) -> usize {
        (link / LINKS) as usize - 1
    }

    fn end(&mut self, link: u32) {
        if let Some(from) = self.links.remove(&link) {
            let to = self.began.elapsed();
            let (lane, kind) = (Self::lane(link), SpanKind::Link);
            self.story.spans.push(Span { lane, from, to, kind, label: String::new() });
        }
    }

    fn capture(&mut self, write: impl FnOnce(&mut Capture<BufWriter<File>>) -> std::io::Result<()>) {
        match self.capture.as_mut().map(write) {
            // What is still under way when a link is reset may come to the server: on the device's side it is over.
            Some(Err(error)) if error.kind() != ErrorKind::NotConnected => {
                self.trouble.get_or_insert(error);
            }
            _ => {}
        }
    }
}

/// No device has as many links.
const LINKS: u32 = 10_000;

struct DeviceTap {
    device: usize,
    record: Record,
}

impl DeviceTap {
    fn number(&self, link: u32) -> u32 {
        (self.device as u32 + 1) * LINKS + link % LINKS
    }
}

impl Tap for DeviceTap {
    fn open(&self, link: u32) {
        let (mut seen, link, now) = (self.record.seen(), self.number(link), SystemTime::now());
        let at = seen.began.elapsed();
        seen.meters[self.device].open(link);
        seen.links.insert(link, at);
        seen.capture(|capture| capture.open(now, link, self.device as u8 + 1));
    }

    fn carry(&self, link: u32, from: Side, bytes: &[u8]) {
        let (mut seen, link, now) = (self.record.seen(), self.number(link), SystemTime::now());
        let at = seen.began.elapsed();
        let Seen { meters, story, .. } = &mut *seen;
        let (sender, receiver) = if from == Side::Client { (self.device, SERVER) } else { (SERVER, self.device) };
        let arrow = |kind| story.arrows.push(Arrow { at, from: sender, to: receiver, kind });
        meters[self.device].carry(link, from, bytes, arrow);
        let side = side(from);
        seen.capture(|capture| capture.carry(now, link, side, bytes));
    }

    fn close(&self, link: u32, from: Side, how: Close) {
        let (mut seen, link, now) = (self.record.seen(), self.number(link), SystemTime::now());
        seen.end(link);
        let how = if how == Close::Fin { capture::Close::Fin } else { capture::Close::Reset };
        seen.capture(|capture| capture.close(now, link, side(from), how));
    }

    fn cut(&self, link: u32, how: Cut) {
        let (mut seen, link) = (self.record.seen(), self.number(link));
        seen.end(link);
        let (at, lane, name) = (seen.began.elapsed(), self.device, cut_name(how));
        *seen.cuts.entry(name).or_default() += 1;
        seen.story.moments.push(Moment { at, lane, kind: MomentKind::Cut, label: name.into() });
    }
}

fn side(side: Side) -> capture::Side {
    if side == Side::Client { capture::Side::Device } else { capture::Side::Server }
}

fn cut_name(cut: Cut) -> &'static str {
    match cut {
        Cut::End => "closed",
        Cut::Reset => "reset",
        Cut::Silent => "gone silent",
        Cut::Late => "reset with late bytes",
    }
}
