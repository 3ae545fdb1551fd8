//! The server, and the other devices.

use crate::board::wait;
use anyhow::{Context, Result, anyhow, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::Instant;
use std::{env, fs};

/// The server that runs, with its mailboxes in a directory of its own. Both go when this is dropped.
pub struct Server {
    process: Child,
    address: SocketAddr,
    dir: PathBuf,
}

impl Server {
    pub fn start(program: &Path) -> Result<Self> {
        let dir = env::temp_dir().join(format!("longlink-firmware-{}", process::id()));
        fs::create_dir_all(&dir)?;
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--mailbox"])
            .arg(dir.join("mail.redb"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        let output = process.stdout.take().context("the server has no standard output")?;
        let mut server = Self { process, address: ([127, 0, 0, 1], 0).into(), dir };
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ");
        server.address = address.ok_or_else(|| anyhow!("the server says {line:?}"))?.parse()?;
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Other devices, one at a time.
pub struct Sender<'a> {
    pub client: &'a Path,
    pub server: SocketAddr,
    pub deadline: Instant,
}

impl Sender<'_> {
    /// Has a device of `account` send a message to Ann. It is in her mailbox when this returns.
    pub fn send(&self, account: &str, device: &str, text: &str) -> Result<()> {
        let mut client = Command::new(self.client)
            .args(["--connect", &self.server.to_string(), "--account", account, "--device", device])
            .args(["--to", "ann", "--send", text])
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.client.display()))?;
        let status = wait(&mut client, self.deadline).with_context(|| format!("sending {text:?}"))?;
        ensure!(status.success(), "the client could not send {text:?}");
        Ok(())
    }
}
