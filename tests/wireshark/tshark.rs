//! Captures of what was said, and what `tshark` shows of them.

use crate::capture::{Capture, Close, Side};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// Who says what, on one link after the other, a millisecond apart.
pub(crate) struct Talk {
    links: Vec<Vec<(Side, Vec<u8>)>>,
}

impl Talk {
    pub(crate) fn new() -> Self {
        Self { links: vec![] }
    }

    pub(crate) fn next_link(&mut self) {
        self.links.push(vec![]);
    }

    /// Bytes that are written in one go: one segment, if they fit.
    pub(crate) fn say(&mut self, from: Side, bytes: &[u8]) {
        if self.links.is_empty() {
            self.next_link();
        }
        self.links.last_mut().unwrap().push((from, bytes.to_vec()));
    }

    /// The capture file.
    pub(crate) fn done(self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut capture = Capture::new(&mut file).unwrap();
        let mut at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (link, said) in (1..).zip(self.links) {
            capture.open(at, link, 7).unwrap();
            for (from, bytes) in said {
                at += Duration::from_millis(1);
                capture.carry(at, link, from, &bytes).unwrap();
            }
            capture.close(at, link, Side::Device, Close::Reset).unwrap();
        }
        capture.finish().unwrap();
        file
    }
}

/// One frame, or what is none, as it is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) packet: u32,
    pub(crate) stream: u32,
    /// Without "longlink." before the names.
    fields: Vec<(String, String)>,
    experts: Vec<Expert>,
    /// Frames in its body.
    pub(crate) nested: Vec<Shown>,
}

#[derive(Debug)]
struct Expert {
    name: String,
    severity: u32,
    message: String,
}

const ERROR: u32 = 0x80_0000;

impl Shown {
    pub(crate) fn all(&self, field: &str) -> Vec<&str> {
        self.fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn one(&self, field: &str) -> Option<&str> {
        self.all(field).first().copied()
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.experts.iter().find(|expert| expert.severity >= ERROR).map(|expert| expert.message.as_str())
    }

    /// Errors, warnings and notes by name, such as "sent_again".
    pub(crate) fn remarks(&self) -> Vec<&str> {
        self.experts.iter().map(|expert| expert.name.as_str()).collect()
    }

    fn of(packet: u32, stream: u32, layer: &Value) -> Self {
        let mut shown = Self { packet, stream, fields: vec![], experts: vec![], nested: vec![] };
        shown.walk("", layer);
        shown
    }

    fn walk(&mut self, name: &str, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.walk(name, value)),
            Value::Object(_) if name == "longlink" => self.nested.push(Self::of(self.packet, self.stream, value)),
            Value::Object(_) if name == "_ws.expert" => self.remark(value),
            Value::Object(members) => members.iter().for_each(|(name, value)| self.walk(name, value)),
            Value::String(text) => self.field(name, text),
            other => self.field(name, &other.to_string()),
        }
    }

    fn field(&mut self, name: &str, text: &str) {
        let Some(name) = name.strip_prefix("longlink.") else { return };
        let text = match text {
            "True" | "true" => "1",
            "False" | "false" => "0",
            text => text,
        };
        self.fields.push((name.into(), text.into()));
    }

    fn remark(&mut self, expert: &Value) {
        let name = expert.as_object().unwrap().keys().find_map(|name| name.strip_prefix("longlink."));
        self.experts.push(Expert {
            name: name.unwrap_or_default().into(),
            severity: expert["_ws.expert.severity"].as_str().unwrap().parse().unwrap(),
            message: expert["_ws.expert.message"].as_str().unwrap_or_default().into(),
        });
    }
}

/// What is shown of a capture; `None` without `tshark`. Every other look at the packets is ruled out.
pub(crate) fn read(capture: &[u8], options: &[&str]) -> Option<Vec<Shown>> {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let n = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("wireshark-{}-{n}.pcap", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, capture).unwrap();
    let shown = read_file(&path, options);
    std::fs::remove_file(&path).unwrap();
    shown
}

pub(crate) fn read_file(path: &Path, options: &[&str]) -> Option<Vec<Shown>> {
    let filter = "longlink || http || _ws.malformed";
    let arguments = ["-Y", filter, "-T", "json", "--no-duplicate-keys", "-J", "frame tcp longlink"];
    let text = tshark(path, &[&arguments, options].concat())?;
    assert!(!text.contains("Lua Error"), "{}", text.split("Lua Error").nth(1).unwrap_or_default());
    let packets: Value = serde_json::from_str(&text).unwrap();
    let mut shown = Vec::new();
    for packet in packets.as_array().unwrap() {
        let layers = &packet["_source"]["layers"];
        let protocols = layers["frame"]["frame.protocols"].as_str().unwrap();
        assert!(!protocols.contains("http") && !protocols.contains("malformed"), "{protocols}");
        let number = |value: &Value| value.as_str().unwrap().parse().unwrap();
        let (packet, stream) = (number(&layers["frame"]["frame.number"]), number(&layers["tcp"]["tcp.stream"]));
        match &layers["longlink"] {
            Value::Array(frames) => shown.extend(frames.iter().map(|frame| Shown::of(packet, stream, frame))),
            frame => shown.push(Shown::of(packet, stream, frame)),
        }
    }
    Some(shown)
}

/// The output of `tshark` with the dissector; `None`, and a word about it, if there is no `tshark`.
pub(crate) fn tshark(path: &Path, arguments: &[&str]) -> Option<String> {
    let script = concat!("lua_script:", env!("CARGO_MANIFEST_DIR"), "/examples/wireshark/longlink.lua");
    let mut command = Command::new("tshark");
    // No settings of whoever runs this.
    command.env("WIRESHARK_CONFIG_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-settings"));
    let output = match command.args(["-n", "-X", script, "-r"]).arg(path).args(arguments).output() {
        Ok(output) => output,
        Err(error) if std::env::var_os("REQUIRE_TSHARK").is_none() => {
            // What `eprintln!` prints is shown only of tests that fail.
            let mut shown_always = std::io::stderr();
            writeln!(shown_always, "NOT TESTED: there is no tshark, which is Debian's package of that name: {error}")
                .unwrap();
            return None;
        }
        Err(error) => panic!("cannot run tshark: {error}"),
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = complaints.lines().filter(|line| !line.contains("could be dangerous")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{complaints:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
