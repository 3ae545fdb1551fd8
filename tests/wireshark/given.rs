//! A capture without anything wrong in it is understood to its last byte: what `tshark` says of it is what the library reads
//! from the same bytes.

use crate::bodies::good;
use crate::capture::Side::Device;
use crate::native;
use crate::tshark::{Talk, read_file, tshark};
use longlink::wire::{Decoded, Dialect, FrameError, decode};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What the library makes of a stream: commands, or the error that ends it.
pub(crate) fn understood(dialect: &Dialect, mut bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        match decode(dialect, bytes) {
            Ok(Decoded::Frame(frame)) => {
                all.push(frame.command().to_string());
                bytes = &bytes[frame.length()..];
            }
            Ok(Decoded::Incomplete { .. }) => break,
            Err(error @ FrameError::TooLong { length, .. }) if !error.is_fatal() => {
                let Some(behind) = bytes.get(length as usize..) else { break };
                all.push(error.to_string());
                bytes = behind;
            }
            Err(error) => {
                all.push(error.to_string());
                break;
            }
        }
    }
    all
}

/// The bytes of each direction of each stream: stream, whether the server said them.
fn payloads(path: &Path) -> BTreeMap<(u32, bool), Vec<u8>> {
    let fields = ["-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.srcport", "-e", "tcp.payload"];
    let mut all = BTreeMap::<_, Vec<u8>>::new();
    for line in tshark(path, &fields).unwrap().lines() {
        let [stream, port, hex] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        all.entry((stream.parse().unwrap(), port == "8080")).or_default().extend(bytes);
    }
    all
}

/// A capture without anything wrong in it: of the demo, or a small one.
#[test]
fn a_capture_given_is_understood_to_its_last_byte() {
    let path = std::env::var_os("CAPTURE").map(PathBuf::from);
    let own = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wireshark-{}-own.pcap", std::process::id()));
    if path.is_none() {
        let mut talk = Talk::new();
        let known = good().into_iter().filter(|body| !["request", "reply", "one-way"].contains(&body.name));
        known
            .filter(|body| body.bytes.len() != 28)
            .for_each(|body| talk.say(body.from, &native(body.command, body.sequence, &body.bytes)));
        talk.say(Device, &native(237, 30, b"cut off")[..20]);
        std::fs::write(&own, talk.done()).unwrap();
    }
    let path = path.unwrap_or_else(|| own.clone());
    let Some(shown) = read_file(&path, &[]) else { return };
    let mut seen = BTreeMap::<(u32, bool), Vec<String>>::new();
    let mut kinds = BTreeMap::<&str, u32>::new();
    for shown in &shown {
        let name = shown.one("name").unwrap_or_else(|| panic!("no frame: {shown:?}"));
        assert!(shown.error().is_none() && !["request", "reply", "one-way"].contains(&name), "{shown:?}");
        assert!(!shown.remarks().iter().any(|remark| ["unasked", "odd"].contains(remark)), "{shown:?}");
        let from_server = shown.one("from") == Some("server");
        seen.entry((shown.stream, from_server)).or_default().push(shown.one("command").unwrap().into());
        *kinds.entry(name).or_default() += 1;
    }
    let payloads = payloads(&path);
    assert!(!payloads.is_empty());
    for (direction, bytes) in payloads {
        let expected = understood(&Dialect::LONGLINK, &bytes);
        assert_eq!(seen.remove(&direction).unwrap_or_default(), expected, "{direction:?}");
    }
    assert!(seen.is_empty());
    let _ = std::fs::remove_file(own);
    let mut told = format!("{} frames", shown.len());
    kinds.iter().for_each(|(name, count)| write!(told, ", {count} × {name}").unwrap());
    println!("{told}");
}
