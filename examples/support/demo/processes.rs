//! The server and the devices as processes: this program started again, as the example server and the example client.

use super::cast::Part;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;

/// What a process has to say.
pub(crate) struct News {
    pub(crate) device: usize,
    /// Which of its lives.
    pub(crate) life: u32,
    /// An event that it printed; `None` when it is over.
    pub(crate) event: Option<Value>,
}

/// The server. It is killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts it over what is in this directory, or over nothing.
    pub(crate) fn start(dir: &Path, most: usize) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut command = program("server", &dir.join("server.log"))?;
        command.args(["--listen", "127.0.0.1:0", "--rate", "2000", "--keep", &(2 * most).max(10_000).to_string()]);
        command.arg("--mailbox").arg(dir.join("mail.redb")).arg("--files").arg(dir.join("files"));
        let mut child = command.stdin(Stdio::null()).spawn().context("cannot start the server")?;
        let first = child.stdout.take().and_then(|out| BufReader::new(out).lines().next()?.ok());
        let address = first.and_then(|line| line.strip_prefix("listening on ")?.parse().ok());
        let Some(address) = address else {
            end(&mut child);
            bail!("the server did not start: see {}", dir.join("server.log").display())
        };
        Ok(Self { address, child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A device. It is killed when dropped.
pub(crate) struct Device {
    child: Child,
    lines: Option<Sender<String>>,
}

/// Which process it is.
#[derive(Clone, Copy)]
pub(crate) struct Name<'p> {
    pub(crate) number: usize,
    pub(crate) life: u32,
    pub(crate) part: &'p Part,
}

/// What it has.
#[derive(Clone, Copy)]
pub(crate) struct Files<'p> {
    /// Where its own are.
    pub(crate) dir: &'p Path,
    /// The photo, if it sends one.
    pub(crate) photo: Option<&'p Path>,
}

impl Device {
    /// Starts it over its own files, to send what it is [given](Self::give).
    pub(crate) fn start(
        name: &Name<'_>,
        files: &Files<'_>,
        server: SocketAddr,
        is_eager: bool,
        news: &Sender<News>,
    ) -> Result<Self> {
        let (Name { number, life, part }, Files { dir, photo }) = (*name, *files);
        let mut command = program("client", &file(dir, part, "log"))?;
        command.args(["--connect", &server.to_string(), "--lines"]);
        command.args(["--account", part.account, "--device", part.device, "--to", part.to]);
        command.arg("--state").arg(file(dir, part, "state")).arg("--inbox").arg(file(dir, part, "inbox"));
        command.args(["--heartbeat", "1", "--answer-timeout", "4", "--timeout", "1", "--attempts", "9"]);
        if let Some(photo) = photo {
            command.arg("--send-file").arg(photo);
        }
        if is_eager {
            command.arg("--eager");
        }
        let mut child = command.stdin(Stdio::piped()).spawn().context("cannot start a device")?;
        let (Some(input), Some(out)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
        let news = news.clone();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::io::Result::ok) {
                let event = serde_json::from_str(&line).ok();
                if event.is_some() && news.send(News { device: number, life, event }).is_err() {
                    return;
                }
            }
            let _ = news.send(News { device: number, life, event: None });
        });
        Ok(Self { child, lines: Some(feed(input)) })
    }

    /// Has it send this.
    pub(crate) fn give(&self, text: &str) {
        if let Some(lines) = &self.lines {
            // If it is gone, that is noticed elsewhere.
            let _ = lines.send(text.into());
        }
    }

    /// It gets nothing more to send, and ends once all is sent and all is here.
    pub(crate) fn close(&mut self) {
        self.lines = None;
    }

    /// How it ended.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A file of a device.
pub(crate) fn file(dir: &Path, part: &Part, extension: &str) -> PathBuf {
    dir.join(format!("{}.{extension}", part.label()))
}

/// This program in another role. What it says on standard error goes to the end of a file.
fn program(role: &str, log: &Path) -> Result<Command> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    let path = std::env::current_exe()?;
    ensure!(path.exists(), "{} is not there any more", path.display());
    let mut command = Command::new(path);
    command.arg(role).stdout(Stdio::piped()).stderr(log);
    Ok(command)
}

/// A pipe takes no more than it can hold: whoever gives must not wait for it.
fn feed(mut input: ChildStdin) -> Sender<String> {
    let (sender, lines) = mpsc::channel::<String>();
    thread::spawn(move || {
        for line in lines {
            if writeln!(input, "{line}").is_err() {
                return;
            }
        }
    });
    sender
}

/// As `kill -9` does, whatever it was about to do.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
