//! The `client` example as a process that is fed, watched and killed, and the store that its server leaves behind.
#![allow(dead_code)]

use super::process::{PATIENCE, example, signal};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A directory of its own for a test, removed at its end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in it, as an argument.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    /// What the server has stored there: device, epoch, sequence and text of each message.
    pub fn messages(&self) -> Vec<Stored> {
        let text = std::fs::read_to_string(self.0.join("store/messages.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        let number = |line: &Value, name: &str| line[name].as_u64().unwrap();
        lines
            .map(|line| Stored {
                epoch: number(&line, "epoch"),
                sequence: number(&line, "sequence"),
                text: line["text"].as_str().unwrap().to_string(),
            })
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub epoch: u64,
    pub sequence: u64,
    pub text: String,
}

/// A client, killed when dropped.
pub struct Device {
    child: Child,
    events: Receiver<Value>,
    /// Those that were waited for, or passed over.
    pub seen: Vec<Value>,
}

impl Device {
    /// A client whose standard input are these lines, as fast as it takes them.
    pub fn start(server: SocketAddr, args: &[&str], lines: impl IntoIterator<Item = String> + Send + 'static) -> Self {
        Self::start_as("client", server, args, lines)
    }

    /// The same of another example.
    pub fn start_as(
        name: &str,
        server: SocketAddr,
        args: &[&str],
        lines: impl IntoIterator<Item = String> + Send + 'static,
    ) -> Self {
        let (mut device, mut input) = Self::spawn(name, server, args);
        thread::spawn(move || {
            for line in lines {
                if writeln!(input, "{line}").is_err() {
                    return;
                }
            }
        });
        device.seen.clear();
        device
    }

    fn spawn(name: &str, server: SocketAddr, args: &[&str]) -> (Self, ChildStdin) {
        let mut command = example(name);
        command.args(["--connect", &server.to_string()]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).expect(&line)).is_err() {
                    return;
                }
            }
        });
        (Self { child, events, seen: Vec::new() }, input)
    }

    /// The next event; `None` once the client has ended.
    pub fn next(&mut self) -> Option<&Value> {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => self.seen.push(event),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing happens after {:?}", self.seen.last()),
        }
        self.seen.last()
    }

    /// Waits until so many messages in all were told to be delivered.
    pub fn wait_for_delivered(&mut self, count: usize) {
        let mut delivered = self.sequences("delivered").len();
        while delivered < count {
            let event = self.next().expect("the client goes on");
            delivered += usize::from(event["event"] == "delivered");
        }
    }

    /// Waits for an event of this name.
    pub fn wait_for(&mut self, name: &str) -> Value {
        loop {
            match self.next() {
                Some(event) if event["event"] == name => return event.clone(),
                Some(_) => {}
                None => panic!("no {name:?} in {:?}", self.seen),
            }
        }
    }

    /// Waits for its end.
    pub fn finish(&mut self) -> ExitStatus {
        while self.next().is_some() {}
        self.child.wait().unwrap()
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.next().is_some() {}
    }

    /// The sequences of all events of this name, in order.
    pub fn sequences(&self, name: &str) -> Vec<u64> {
        let events = self.seen.iter().filter(|event| event["event"] == name);
        events.map(|event| event["sequence"].as_u64().unwrap_or(0)).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.seen.iter().filter(|event| event["event"] == name).count()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
