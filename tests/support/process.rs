//! The example programs as processes of their own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// No step of these tests takes longer, unless it is stuck.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An example as a command. `cargo test` has built it beside this test; a narrower call has not, so then it is built here.
pub fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        build(name);
    }
    Command::new(path)
}

/// Brings an example up to date. What is measured should be what the sources say.
pub fn build(name: &str) {
    let program = std::env::current_exe().unwrap();
    let is_release = program.parent().and_then(Path::parent).is_some_and(|profile| profile.ends_with("release"));
    let release: &[&str] = if is_release { &["--release"] } else { &[] };
    let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).args(release).status();
    assert!(built.unwrap().success(), "the example {name} does not build");
}

/// An example that is a server, killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Server {
    /// The `server` example on a free port.
    pub fn start(args: &[&str]) -> Self {
        Self::start_as("server", "127.0.0.1:0", args)
    }

    pub fn start_as(name: &str, listen: &str, args: &[&str]) -> Self {
        let mut command = example(name);
        command.args(["--listen", listen]).args(args);
        Self::spawn(command)
    }

    /// Any program whose first line says where it listens.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let first = out.recv_timeout(PATIENCE).expect("the server says where it listens");
        let address = first.strip_prefix("listening on ").expect(&first).parse().unwrap();
        Self { address, child, out, log, seen: Vec::new() }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The next line of its standard output; `None` at the end.
    pub fn next_line(&self) -> Option<String> {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the server says nothing"),
        }
    }

    /// Waits for its end.
    pub fn finish(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits for a line of the log that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no {text:?} in the server's log: {:#?}", self.seen),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, by its name.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {}", child.id())]).status();
    assert!(sent.unwrap().success(), "the process is there");
}

/// The lines of a stream, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs the `client` example to its end.
pub fn client(address: SocketAddr, args: &[&str]) -> Output {
    example("client").arg("--connect").arg(address.to_string()).args(args).output().unwrap()
}

/// The events that a client printed.
pub fn events(output: &Output) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Their names, in order.
pub fn names(output: &Output) -> Vec<String> {
    events(output).iter().map(|event| event["event"].as_str().unwrap().to_string()).collect()
}
