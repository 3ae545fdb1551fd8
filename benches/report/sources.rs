//! Where the figures come from: other benches, the check of the sizes, and a clock.

use crate::work::figure::{Figure, Verdict};
use crate::work::{self, SEGMENT, mqttbytes, ours, tokio};
use anyhow::{Context, Result};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_util::bytes::BytesMut;

/// What another bench prints.
pub(crate) fn bench(name: &str) -> Result<Vec<Figure>> {
    figures(Command::new(env!("CARGO")).args(["bench", "--quiet", "--bench", name, "--", "--json"]))
}

/// What a firmware takes.
pub(crate) fn sizes() -> Result<Vec<Figure>> {
    figures(Command::new("tests/sizes/check").arg("--json"))
}

/// A figure a line.
fn figures(command: &mut Command) -> Result<Vec<Figure>> {
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let run = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?} does not start"))?;
    let lines = String::from_utf8(run.stdout)?;
    let figures: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Figure>(line).with_context(|| format!("{command:?} printed {line}")))
        .collect::<Result<_>>()?;
    // What is above its limit ends a bench with a failure; any other failure has left figures out.
    let is_told = figures.iter().any(|figure| figure.verdict() == Verdict::Failed);
    anyhow::ensure!(!figures.is_empty() && (run.status.success() || is_told), "{command:?} ended with {}", run.status);
    Ok(figures)
}

const BODY: usize = 16 * 1_024;
const FRAMES: usize = 64;
const PASSES: usize = 400;

/// The streaming decoder's time for large bodies, against a copy of the same bytes.
pub(crate) fn large_bodies() -> Figure {
    let stream = ours::stream(BODY, FRAMES);
    let (mut buffer, mut segment) = (vec![0; 64 * 1_024], [0; SEGMENT]);
    let packets = mqttbytes::stream(BODY, FRAMES);
    let [copy, ours, tokio, mqttbytes] = fastest([
        &mut || work::copy_segments(&stream, SEGMENT, &mut segment),
        &mut || {
            ours::segments(&stream, SEGMENT, &mut buffer);
        },
        &mut || {
            tokio::segments(&stream, SEGMENT, &mut BytesMut::new());
        },
        &mut || {
            mqttbytes::segments(&packets, SEGMENT, &mut BytesMut::new());
        },
    ]);
    let [ours, tokio, mqttbytes] = [ours, tokio, mqttbytes].map(|time| time.as_secs_f64() / copy.as_secs_f64());
    Figure {
        name: "decode, 1,460 B segments, 16 KiB, in times of a copy".into(),
        ours,
        hold: Some(1.3),
        aim: Some(1.1),
        least: Some(1.08),
        varies: true,
        peers: [("tokio-util", tokio), ("mqttbytes", mqttbytes)].map(|(name, time)| (name.into(), time)).into(),
        ..Figure::default()
    }
}

/// The fastest of some passes of each, taken in turns: what else the machine does hits all alike.
fn fastest<const N: usize>(mut contestants: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut times = [Duration::MAX; N];
    for _ in 0..PASSES {
        for (contestant, time) in contestants.iter_mut().zip(&mut times) {
            let began = Instant::now();
            contestant();
            *time = began.elapsed().min(*time);
        }
    }
    times
}
