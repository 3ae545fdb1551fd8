//! The end of a run: what had to hold, and what it took, each with what it means.

use super::cast::PARTS;
use super::judge::Verdict;
use super::meter::{Meter, Tally};
use super::record::Seen;
use serde_json::{Map, Number, Value, json};

/// A number, and what it says.
#[derive(Clone)]
pub(crate) struct Figure {
    name: &'static str,
    title: &'static str,
    value: f64,
    /// How it is written.
    unit: &'static str,
    meaning: String,
}

/// What is not on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    pub(crate) messages: u64,
    pub(crate) photo: u64,
    /// On the wire when the quiet time began, and when it ended.
    pub(crate) quiet: (Tally, Tally),
    pub(crate) quiet_seconds: f64,
    /// Of messages that were told to be delivered, so many were not answered on any link.
    pub(crate) unanswered: u64,
}

/// The sums over all devices.
pub(crate) fn sum(meters: &[Meter]) -> Tally {
    meters.iter().map(|meter| meter.tally).fold(Tally::default(), Tally::plus)
}

/// All figures of a run.
pub(crate) fn figures(seen: &Seen, events: &Events) -> Vec<Figure> {
    let all = sum(&seen.meters);
    [of_messages(seen, events), of_links(seen, &all, events), of_bytes(&all, events)].concat()
}

/// What it took to have each message stored once.
fn of_messages(seen: &Seen, events: &Events) -> Vec<Figure> {
    let total = |count: fn(&Meter) -> u64| seen.meters.iter().map(count).sum::<u64>() as f64;
    let (resends, duplicates) = (total(Meter::resends), total(Meter::duplicates));
    let why = "a link broke, or the answer took too long";
    let what = "of the messages sent again: the server had them, and stored no second";
    let how = "answers lost with a link; the next greeting said what is stored";
    vec![
        Figure::new("resends", "messages sent again", resends, why),
        Figure::new("duplicates_suppressed", "duplicates suppressed", duplicates, what),
        Figure::new("settled_by_greeting", "settled by a greeting", events.unanswered as f64, how),
    ]
}

/// What became of the links.
fn of_links(seen: &Seen, all: &Tally, events: &Events) -> Vec<Figure> {
    let cuts: Vec<_> = seen.cuts.iter().map(|(how, count)| format!("{count} {how}")).collect();
    let cuts = if cuts.is_empty() { "by the proxy".into() } else { cuts.join(", ") };
    let count = seen.cuts.values().sum::<u64>() as f64;
    let (devices, (before, after)) = (PARTS.len() as u64, events.quiet);
    let again = all.greetings.saturating_sub(devices) as f64;
    let why = "each device's links after its first; it waits longer each time, at random";
    let beat = "\"are you there?\": in silence, and first of all on a new link";
    let idle = (after.bytes - before.bytes) as f64 / events.quiet_seconds.max(0.001) / devices as f64;
    let what = "of one link: a heartbeat of 16 bytes every second, and its answer";
    vec![
        Figure::new("links_cut", "links cut", count, &cuts),
        Figure::new("reconnects", "reconnects", again, why),
        Figure::new("heartbeats", "heartbeats", all.heartbeats as f64, beat),
        Figure::new("idle_bytes_per_second", "bytes a second, idle", idle, what),
    ]
}

/// What crossed the wire.
fn of_bytes(all: &Tally, events: &Events) -> Vec<Figure> {
    // The photo has a message as well.
    let messages = (events.messages + 1) as f64;
    let (needed, mean) = (events.photo.div_ceil(CHUNK), all.text_up as f64 / messages);
    let chunks = format!("{needed} are needed; a broken upload goes on from what is missing");
    let up = format!("a message: header, addressee, {mean:.0} bytes of text, answer, resends");
    let text = all.text_up + all.text_down + events.photo;
    let overhead = 100.0 * (1.0 - text as f64 / all.bytes.max(1) as f64);
    let asked = "\"what is new?\", each answered by a page of items";
    let items = "4 for each message, and again if a page was lost with its link";
    let down = "a message to one device: its share of pages, notifies and acks";
    let rest = "of all bytes: what is no text and no photo, or was sent before";
    vec![
        Figure::new("requests", "mailbox requests", all.requests as f64, asked),
        Figure::new("items", "items sent to devices", all.items as f64, items),
        Figure::new("chunks", "photo chunks sent", all.chunks as f64, &chunks),
        Figure::new("bytes", "bytes on the wire", all.bytes as f64, "both ways, without the headers of TCP and IP"),
        Figure::new("bytes_per_message", "bytes to store", all.message_bytes as f64 / messages, &up),
        Figure::new("bytes_per_item", "bytes to bring", all.mailbox_bytes as f64 / (4.0 * messages), down),
        Figure { unit: " %", ..Figure::new("overhead_percent", "overhead", overhead, rest) },
    ]
}

impl Figure {
    fn new(name: &'static str, title: &'static str, value: f64, meaning: &str) -> Self {
        Self { name, title, value, unit: "", meaning: meaning.into() }
    }
}

/// The example client sends files in chunks of this.
const CHUNK: u64 = 16 * 1_024;

/// The whole table as text.
pub(crate) fn text(verdicts: &[Verdict], figures: &[Figure]) -> String {
    let mut lines = vec![String::new(), "What had to hold".into()];
    for verdict in verdicts {
        let mark = match verdict.of {
            0 => "--  ", // there was nothing to judge
            _ if verdict.holds() => "ok  ",
            _ => "FAIL",
        };
        let value = match (verdict.held, verdict.of) {
            (held, 1) => if held == 1 { "yes" } else { "no" }.into(),
            (held, of) => format!("{} of {}", grouped(held as f64), grouped(of as f64)),
        };
        lines.push(format!("  {mark} {:22} {value:>22}  {}", verdict.title, verdict.meaning));
    }
    lines.extend([String::new(), "What it took".into()]);
    for figure in figures {
        let value = format!("{}{}", grouped(figure.value), figure.unit);
        lines.push(format!("       {:22} {value:>22}  {}", figure.title, figure.meaning));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The whole table as JSON: by name.
pub(crate) fn object(verdicts: &[Verdict], figures: &[Figure]) -> Value {
    let rules: Map<_, _> = verdicts
        .iter()
        .map(|verdict| {
            let Verdict { held, of, meaning, .. } = verdict;
            (verdict.name.into(), json!({"held": held, "of": of, "ok": verdict.holds(), "meaning": meaning}))
        })
        .collect();
    let figures: Map<_, _> = figures
        .iter()
        .map(|figure| (figure.name.into(), json!({"value": number(figure.value), "meaning": figure.meaning})))
        .collect();
    json!({"rules": rules, "figures": figures})
}

/// Whole if it is.
fn number(value: f64) -> Number {
    let rounded = (value * 10.0).round() / 10.0;
    let whole = (value.fract() == 0.0).then(|| Number::from(value as u64));
    whole.or_else(|| Number::from_f64(rounded)).unwrap_or_else(|| 0.into())
}

/// With a comma after every three digits.
fn grouped(value: f64) -> String {
    let whole = value.fract() == 0.0;
    let text = if whole || value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.1}") };
    let (digits, rest) = text.split_once('.').map_or((text.as_str(), None), |(digits, rest)| (digits, Some(rest)));
    let (minus, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = String::from(minus);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    rest.map_or(out.clone(), |rest| format!("{out}.{rest}"))
}
