//! What the client prints: events as lines of JSON.
//!
//! Needs `hex.rs` as its sibling module.

use super::hex::Hex;
use longlink::Instant;
use longlink::delivery::{Epoch, Token};
use longlink::session::{Event, Timer};
use longlink::wire::Frame;
use serde_json::{Value, json};
use std::io::Write;

/// What an event says. Of a link that is `online` something is known already.
pub(crate) fn line(event: Event<'_>, mut online: Value, is_device: bool) -> Value {
    match event {
        Event::Online { welcome, resumed } => {
            if let Some(line) = online.as_object_mut() {
                let greeting = || welcome.map_or(Value::Null, |frame| text(frame.body()));
                match is_device {
                    true => line.insert("resumed".into(), resumed.into()),
                    false => line.insert("greeting".into(), greeting()),
                };
            }
            online
        }
        Event::Heartbeat { round_trip } => {
            json!({"event": "heartbeat", "round_trip_ms": round_trip.as_micros() as f64 / 1_000.0})
        }
        Event::Delivered { token } => json!({"event": "delivered", "sequence": token.sequence()}),
        Event::Reply { token, frame } => frame_line("reply", token.sequence(), &frame),
        Event::Push(frame) => frame_line("push", frame.sequence(), &frame),
        Event::Failed { token, why, written } => failed(token, &why.to_string(), written),
        Event::GoAway(goaway) => json!({"event": "goaway", "code": goaway.code().to_byte(),
            "why": goaway.to_string(), "retry_after_ms": goaway.retry_after().as_millis()}),
        Event::EpochLost { from, to } => {
            json!({"event": "epoch_lost", "from": from.map(Epoch::get), "to": to.get()})
        }
        Event::ServerRewound { from, to } => json!({"event": "server_rewound", "from": from, "to": to}),
        Event::CaughtUp => json!({"event": "caught_up"}),
        Event::Hole { key, val } => json!({"event": "hole", "key": key, "val": val}),
        Event::SyncFailed(why) => json!({"event": "sync_failed", "why": why.to_string()}),
        Event::Dormant { unsettled } => json!({"event": "dormant", "unsettled": unsettled}),
        Event::Poll => json!({"event": "poll"}),
        Event::NetworkLearned(record) => json!({"event": "network_learned", "network": record.network().number(),
            "interval_s": record.interval().as_secs_f64(), "proven_s": record.proven().as_secs_f64(),
            "settled": record.is_settled()}),
        Event::Offline(why) => json!({"event": "disconnected", "why": why.name(), "detail": why.to_string()}),
        other => json!({"event": "other", "detail": format!("{other:?}")}),
    }
}

/// What there is to wait for, unless it is for something from outside only.
pub(crate) fn waiting(now: Instant, timer: Option<(Timer, Instant)>) -> Value {
    let name = timer.map(|(timer, _)| format!("{timer:?}").to_lowercase());
    let time = timer.map(|(_, at)| u64::try_from((at - now).as_millis()).unwrap_or(u64::MAX));
    json!({"event": "waiting", "timer": name, "ms": time})
}

/// A message or a request that failed.
pub(crate) fn failed(token: Token, why: &str, written: bool) -> Value {
    json!({"event": "failed", "sequence": token.sequence(), "why": why, "written": written})
}

/// What a frame carries: the bytes in hex, and the text if it is one.
fn frame_line(event: &str, sequence: u32, frame: &Frame<'_>) -> Value {
    json!({"event": event, "sequence": sequence, "command": frame.command(), "body": Hex(frame.body()),
        "text": text(frame.body())})
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Null, Value::from)
}

/// One line on standard output. Whoever reads it may have gone; the link goes on.
pub(crate) fn print(line: &Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
