//! The example `client`, and a hostile server that it comes to: it must not spin, and still have its message afterwards.

use crate::peer::Peer;
use crate::process::{Server, example};
use crate::servers::{self, HostileServer};
use crate::trial::processor;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// More than that is a client that spins, in seconds of processor time; what it is flooded with takes longer.
const PROCESSOR: f64 = 0.5;
/// More resident memory than any client needs, in KiB.
const MEMORY: u64 = 24 * 1_024;

/// All of them at the same time, each with a client of its own. Returns what does not hold.
pub(crate) fn run(time: Duration) -> Result<Vec<String>> {
    println!("\nhostile servers, a client each, for {} s\n", time.as_secs());
    println!(
        "{:40} {:>8} {:>7} {:>12} {:>9}  {:30} its message, at an honest server",
        "what the server does", "connects", "frames", "processor s", "memory MB", "the client"
    );
    let honest = Server::start(&[]);
    let address = honest.address;
    thread::scope(|scope| {
        let run = |(number, server): (usize, HostileServer)| {
            meet(number, &server, time, address).with_context(|| server.name)
        };
        let threads: Vec<_> = servers::all().into_iter().enumerate().map(|one| scope.spawn(move || run(one))).collect();
        let mut broken = Vec::new();
        for thread in threads {
            let (line, complaints) = thread.join().unwrap()?;
            println!("{line}");
            broken.extend(complaints);
        }
        Ok(broken)
    })
}

/// One client at one server, and then at an honest one. Returns a line of the table, and what does not hold.
fn meet(number: usize, server: &HostileServer, time: Duration, honest: SocketAddr) -> Result<(String, Vec<String>)> {
    let path = |what: &str| format!("{}/client-{}-{number}.{what}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let (state, out, account) = (path("state"), path("out"), format!("client{number}"));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut client = start(address, server, &account, &state, &out)?;
    let (connects, frames) = serve(&listener, server, time, &state)?;
    let used = used(&client);
    let ended = client.0.try_wait()?;
    drop(client);
    let events = read(&out)?;
    let last = events.last().and_then(|event| event["event"].as_str()).unwrap_or("says nothing").to_string();

    let mut broken = Vec::new();
    let mut hold = |holds: bool, what: String| {
        if !holds {
            broken.push(format!("client, {}: {what}", server.name))
        }
    };
    hold(connects <= server.connects, format!("{connects} connections, {} are allowed", server.connects));
    hold(frames <= server.frames, format!("{frames} frames, {} are allowed", server.frames));
    let (processor, memory) = used.unwrap_or_default();
    let most = if server.floods { time.as_secs_f64() } else { PROCESSOR };
    hold(processor <= most, format!("{processor} s of processor time"));
    hold(memory <= MEMORY, format!("{memory} KiB of memory"));
    hold(ended.is_none_or(|status| matches!(status.code(), Some(0 | 1))), format!("it crashed: {ended:?}"));
    let told = events.iter().any(|event| event["event"] == "delivered" || event["event"] == "failed");
    let fate = if !server.keeps {
        "-".to_string()
    } else if told {
        "was told before".to_string()
    } else {
        deliver(honest, &account, &state, &path("again"))?
    };
    hold(fate != "lost", "its message is lost".into());
    let ending = ended.map_or_else(|| format!("goes on, last {last}"), |status| format!("ended, {status}"));
    let line = format!(
        "{:40} {connects:>8} {frames:>7} {processor:>12.2} {:>9.1}  {ending:30} {fate}",
        server.name,
        memory as f64 / 1_024.0
    );
    [state, out, path("again")].iter().for_each(|path| drop(fs::remove_file(path)));
    Ok((line, broken))
}

/// It is killed when dropped.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(address: SocketAddr, server: &HostileServer, account: &str, state: &str, out: &str) -> Result<Client> {
    let mut client = example("client");
    client.args(["--connect", &address.to_string(), "--send", "hello", "--stay", "3600"]).args(server.args);
    if server.args.is_empty() {
        client.args(["--account", account, "--device", "1", "--state", state]);
    }
    Ok(Client(client.stdin(Stdio::null()).stdout(File::create(out)?).stderr(Stdio::null()).spawn()?))
}

/// Takes whatever connects, for so long, and until the client has stored its state. Returns how many came, and the frames of all.
fn serve(listener: &TcpListener, server: &HostileServer, time: Duration, state: &str) -> Result<(usize, u64)> {
    listener.set_nonblocking(true)?;
    let (began, over) = (Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        let mut links = Vec::new();
        let has_stored = || !server.keeps || fs::exists(state).unwrap_or(false) || began.elapsed() > 4 * time;
        while began.elapsed() < time || !has_stored() {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    links.push(scope.spawn(|| server.serve(Peer::accepted(stream), &over)));
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        over.store(true, Ordering::Relaxed);
        let count = links.len();
        Ok((count, links.into_iter().map(|link| link.join().unwrap()).sum()))
    })
}

/// Starts again from the same state, at a server that does its part.
fn deliver(server: SocketAddr, account: &str, state: &str, out: &str) -> Result<String> {
    if !fs::exists(state)? {
        return Ok("lost".into());
    }
    let mut again: Command = example("client");
    again
        .args(["--connect", &server.to_string(), "--account", account, "--device", "1", "--state", state])
        .stdin(Stdio::null())
        .stdout(File::create(out)?)
        .stderr(Stdio::null());
    let mut again = Client(again.spawn()?);
    let until = Instant::now() + Duration::from_secs(10);
    while again.0.try_wait()?.is_none() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    drop(again);
    let outcome = |event: &&Value| event["event"] == "delivered" || event["event"] == "failed";
    let events = read(out)?;
    Ok(events
        .iter()
        .find(outcome)
        .map_or("lost".into(), |event| event["event"].as_str().unwrap_or_default().to_string()))
}

/// The lines that a client printed, as far as they are whole.
fn read(path: &str) -> Result<Vec<Value>> {
    Ok(fs::read_to_string(path)?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Seconds of processor time, and the most memory in KiB; `None` once it has ended.
fn used(client: &Client) -> Option<(f64, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", client.0.id())).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some((processor(client.0.id())?, memory.trim().trim_end_matches(" kB").parse().ok()?))
}
