//! A server process under attack, beside honest links, and what that does to its memory.

use crate::attacks::{Attack, Kind, Outcome, Target};
use crate::honest::{Fared, Honest};
use crate::process::Server;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// What one attack came to, or several at once.
pub(crate) struct Trial {
    pub(crate) outcomes: Vec<(&'static str, Outcome)>,
    pub(crate) used: Used,
    pub(crate) fared: Fared,
    /// What does not hold.
    pub(crate) broken: Vec<String>,
}

/// What a server took: resident memory, in KiB, and seconds of processor time.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) before: u64,
    pub(crate) peak: u64,
    pub(crate) after: u64,
    pub(crate) processor: f64,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Threads => "server",
            Self::Tasks => "tokio_server",
            Self::AnyRate => "server, any rate",
        }
    }

    fn start(self, number: usize) -> Server {
        match self {
            Self::Threads => {
                let path = format!("{}/hostile-{}-{number}.redb", env!("CARGO_TARGET_TMPDIR"), std::process::id());
                let server = Server::start(&["--mailbox", &path]);
                // It has it open, and nobody needs it afterwards.
                let _ = fs::remove_file(&path);
                server
            }
            Self::Tasks => Server::start_as("tokio_server", "127.0.0.1:0", &[]),
            Self::AnyRate => Server::start(&["--rate", "1000000"]),
        }
    }
}

/// Each of these attacks at the same time, for this long, on a server of its own.
pub(crate) fn run_attacks(
    kind: Kind,
    number: usize,
    attacks: &[&'static Attack],
    time: Duration,
    honest: usize,
) -> Result<Trial> {
    let server = kind.start(number);
    let honest = Honest::start(server.address, honest);
    honest.warm_up();
    // From here on the peak is counted.
    let _ = fs::write(format!("/proc/{}/clear_refs", server.id()), "5");
    let before = status(&server, "VmRSS:")?;
    let worked = processor(server.id()).unwrap_or_default();
    let target = |index: usize| Target {
        server: server.address,
        kind,
        account: format!("attacker{index}"),
        until: Instant::now() + time,
    };
    let outcomes = thread::scope(|scope| {
        let run = |(index, attack): (usize, &'static Attack)| {
            let target = target(index);
            scope.spawn(move || (attack.name, (attack.run)(&target)))
        };
        let threads: Vec<_> = attacks.iter().copied().enumerate().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let processor = processor(server.id()).unwrap_or_default() - worked;
    let used = Used { before, peak: status(&server, "VmHWM:")?, after: status(&server, "VmRSS:")?, processor };
    let mut trial = Trial { outcomes: Vec::new(), used, fared: honest.finish(), broken: Vec::new() };
    for (name, outcome) in outcomes {
        let outcome = outcome.with_context(|| format!("{name}, {}", kind.name()))?;
        for what in outcome.broken.iter().map(|what| format!("{name}: {what}")) {
            // Each once, of however many links.
            if !trial.broken.contains(&what) {
                trial.broken.push(what);
            }
        }
        trial.outcomes.push((name, outcome));
    }
    trial.judge(attacks.iter().map(|attack| attack.memory).sum());
    Ok(trial)
}

impl Trial {
    fn judge(&mut self, growth: u64) {
        let Used { before, peak, .. } = self.used;
        if peak > before + growth {
            self.broken.push(format!("{} KiB more memory, {growth} are allowed", peak - before));
        }
        self.broken.extend(self.fared.losses.iter().map(|loss| format!("an honest link: {loss}")));
        if self.fared.permille(1_000) > 5_000.0 {
            self.broken.push("an honest link waited for more than 5 s".into());
        }
    }
}

fn status(server: &Server, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("the server is gone")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Seconds of processor time that a process has taken.
pub(crate) fn processor(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Behind the name, which may hold anything: user and system time, in hundredths.
    let times = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
    Some(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() as f64 / 100.0)
}
