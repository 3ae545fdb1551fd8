//! A run, from its arguments to its exit status.
//!
//! | module | what it is for |
//! |---|---|
//! | `cast` | who takes part |
//! | `script` | what happens, and when |
//! | `actor` | one device, in all of its lives |
//! | `processes` | this program, started again |
//! | `record`, `meter` | what crossed the wire |
//! | `judge` | what must hold |
//! | `screen`, `table` | what is shown |
//! | `capture`, `timeline` | what is left behind, if it is asked for |
//!
//! Needs `client.rs` and `proxy` as modules of the program.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod actor;
mod capture;
mod cast;
mod judge;
mod meter;
mod processes;
mod record;
mod screen;
mod script;
mod table;
mod timeline;

use crate::proxy::Random;
use anyhow::{Context, Result};
use cast::{CAMERA, PARTS};
use judge::{Book, Payload, Verdict};
use record::Record;
use screen::Screen;
use script::{Plan, Script};
use serde_json::{Value, json};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Draw the same faults as the run that printed this number.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many messages they write in all, from 60 to 30000.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(60..=30_000))]
    messages: u32,
    /// Print nothing but the table, as one JSON object, on standard output; all else is on standard error.
    #[arg(long)]
    json: bool,
    /// Draw the run as a picture for a browser.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write what crossed the wire as a capture for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Give up when nothing has moved for so long though all was sent.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, hide = true)]
    patience: u64,
    /// The server comes back without what it had stored: the run has to fail.
    #[arg(long, hide = true)]
    lose_disk: bool,
    /// Devices connect again at once, as in a test that has no time.
    #[arg(long, hide = true)]
    eager: bool,
}

/// Runs it, and says how it ended.
pub(crate) fn run(args: &Options) -> Result<ExitCode> {
    let began = Instant::now();
    let record = Record::new(began, args.pcap.as_deref())?;
    if let Some(path) = &args.svg {
        // Not only after the run.
        File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let plan = plan(args, new_dir()?);
    remove_when_interrupted(&plan.dir)?;
    let screen = Screen::new(began, args.json)?;
    screen.say(&opening(&plan));
    let outcome = play(args, &plan, began, &record, screen);
    if matches!(outcome, Ok(ExitCode::SUCCESS)) {
        std::fs::remove_dir_all(&plan.dir).with_context(|| format!("cannot remove {}", plan.dir.display()))?;
    } else {
        eprintln!("The files of all processes stay in {}", plan.dir.display());
    }
    outcome
}

/// Another one each time: what was killed has left its own behind.
fn new_dir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("longlink-demo-{:016x}", unpredictable()));
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

fn unpredictable() -> u64 {
    RandomState::new().hash_one(())
}

/// Whoever interrupts it wants nothing of it any more. The processes end by themselves.
fn remove_when_interrupted(dir: &Path) -> Result<()> {
    /// As shells say it of SIGINT.
    const INTERRUPTED: i32 = 128 + 2;
    let (dir, runtime) = (dir.to_owned(), runtime::Builder::new_current_thread().enable_io().build()?);
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = std::fs::remove_dir_all(dir);
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

fn plan(args: &Options, dir: PathBuf) -> Plan {
    let seed = args.seed.unwrap_or_else(|| unpredictable() % 1_000_000);
    let mut random = Random(seed);
    // About a kibibyte for each message.
    let length = (args.messages as usize * 1_024).clamp(128 * 1_024, 3 << 20);
    let photo = std::iter::repeat_with(|| random.next().to_be_bytes()).flatten().take(length).collect();
    Plan {
        dir,
        seed,
        messages: args.messages as usize,
        photo,
        loses_disk: args.lose_disk,
        is_eager: args.eager,
        patience: Duration::from_secs(args.patience),
    }
}

fn opening(plan: &Plan) -> String {
    let (messages, kib, seed) = (plan.messages, plan.photo.len() / 1_024, plan.seed);
    format!(
        "Ann, Bob and Cat have two devices each and write {messages} messages to one another. One sends a photo of {kib} KiB
too, and a message that names it. Every message has to be on four devices in the end, once and in order: both of its sender
and both of its addressee. Meanwhile their network delays, splits, stalls and cuts all links, a tablet is killed and switched
on again later, and the server is killed and started again. All are processes of their own on this machine, joined by TCP.
What may happen to each link is drawn from a seed, --seed {seed}; when it strikes, and how often, depends on the machine too.
"
    )
}

/// The run, its judgement, and all that is left of it.
fn play(args: &Options, plan: &Plan, began: Instant, record: &Record, screen: Screen) -> Result<ExitCode> {
    let mut script = Script::begin(plan, record.clone(), screen)?;
    let mut trouble = script.run().err();
    script.stop();
    script.screen.clear();
    // What ended the run is why there is no inbox.
    let book = book(plan, &script).map_err(|error| trouble.take().unwrap_or(error))?;
    let mut verdicts = judge::judge(&book);
    verdicts.insert(0, judge::came_to_its_end(trouble.map(|trouble| format!("{trouble:#}"))));
    let events = script.events();
    let figures = table::figures(&record.seen(), &events);
    let seconds = began.elapsed().as_secs_f64();
    let holds = verdicts.iter().all(Verdict::holds);
    let title = format!("{} messages, six devices, seed {}", plan.messages, plan.seed);
    let story = record.finish(title)?;
    if let Some(path) = &args.svg {
        std::fs::write(path, timeline::draw(&story)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        let mut object = table::object(&verdicts, &figures);
        add(&mut object, "ok", json!(holds));
        add(&mut object, "seed", json!(plan.seed));
        add(&mut object, "messages", json!(plan.messages));
        add(&mut object, "seconds", json!((seconds * 10.0).round() / 10.0));
        add(&mut object, "faults", json!(faults(&verdicts, usize::MAX)));
        writeln!(std::io::stdout(), "{object}")?;
    }
    script.screen.say(&closing(args, &verdicts, &figures, seconds));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn add(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.into(), value);
    }
}

fn closing(args: &Options, verdicts: &[Verdict], figures: &[table::Figure], seconds: f64) -> String {
    let mut text = table::text(verdicts, figures);
    let faults = faults(verdicts, 10);
    for fault in &faults {
        text += &format!("FAILED: {fault}\n");
    }
    for (path, what) in [(&args.svg, "picture"), (&args.pcap, "capture")] {
        text += &path.as_ref().map(|path| format!("The {what} is {}.\n", path.display())).unwrap_or_default();
    }
    let holds = verdicts.iter().all(Verdict::holds);
    let end = if holds { "Every rule held" } else { "Not every rule held" };
    text + &format!("{end}, after {seconds:.0} s.")
}

/// What did not hold, in words: the first of each rule.
fn faults(verdicts: &[Verdict], most: usize) -> Vec<String> {
    verdicts.iter().flat_map(|verdict| verdict.faults.iter().take(most)).cloned().collect()
}

/// What was sent, and what is there.
fn book(plan: &Plan, script: &Script<'_>) -> Result<Book> {
    let actors = &script.actors;
    let mut senders: Vec<_> = actors.iter().map(|actor| actor.sender()).collect();
    let photo = actors[CAMERA].photo();
    let arrived = photo.texts.first().and_then(|text| stored_photo(&plan.dir, text));
    senders.push(photo);
    let from = |to: usize| {
        let parts = PARTS.iter().chain([&PARTS[CAMERA]]).enumerate();
        parts.filter(|(_, part)| PARTS[to].gets(part)).map(|(number, _)| number).collect()
    };
    let inboxes = actors.iter().map(|actor| actor.inbox(from(actor.number))).collect::<Result<_>>()?;
    Ok(Book { senders, inboxes, payload: Payload { sent: plan.photo.clone(), arrived } })
}

/// The file that the message names, in the directory of the device that sent it.
fn stored_photo(dir: &Path, message: &str) -> Option<Vec<u8>> {
    let message: Value = serde_json::from_str(message).ok()?;
    let key = message["key"].as_str()?;
    let devices = std::fs::read_dir(dir.join("server/files")).ok()?;
    devices.flatten().find_map(|device| std::fs::read(device.path().join(key)).ok())
}

/// A process of a run does not outlive it, however that ends.
pub(crate) fn end_with_parent() {
    #[cfg(unix)]
    std::thread::spawn(|| {
        use std::os::unix::process::parent_id;
        let parent = parent_id();
        while parent_id() == parent {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(1);
    });
}
