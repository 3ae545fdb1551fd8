//! What a process has taken so far, from `/proc`.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

#[derive(Clone, Copy)]
pub(crate) struct Taken {
    /// Resident memory, in KiB.
    pub(crate) memory: u64,
    /// On a processor, by all threads.
    pub(crate) time: Duration,
}

impl Taken {
    pub(crate) fn by(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let mut time = 0;
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // In nanoseconds, first of three numbers.
            let spent = fs::read_to_string(thread?.path().join("schedstat"))?;
            time += spent.split_whitespace().next().context("no time")?.parse::<u64>()?;
        }
        let memory = memory.trim().trim_end_matches(" kB").parse()?;
        Ok(Self { memory, time: Duration::from_nanos(time) })
    }
}

/// How many files a process may have open.
pub(crate) fn most_files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit of files")?;
    Ok(line.split_whitespace().next().context("no limit of files")?.parse()?)
}
