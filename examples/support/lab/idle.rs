//! What a link costs on which nothing happens.

use super::mars;
use super::run::{Policy, Run};
use crate::nat::Nat;
use longlink::liveness::Heartbeat;
use std::io::{self, Write};
use std::time::Duration;

const LIFETIMES: [u64; 6] = [20, 45, 90, 200, 300, 600];

/// IPv4 and TCP without options, of the heartbeat, of its answer, and of the acknowledgement of the answer.
const HEADERS: f64 = 3.0 * (20.0 + 20.0);

/// The common default of clients, which no network changes.
const MQTT_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A heartbeat and its answer in bytes.
const OURS: f64 = 16.0 + 16.0;
const MARS: f64 = 20.0 + 20.0;
const MQTT: f64 = 2.0 + 2.0;

const NOTES: &str = "\
One wake-up is one heartbeat, whose answer comes before the device sleeps again. Bytes a day are those of the frames
(longlink 16 + 16, mars 20 + 20, MQTT 2 + 2), and in brackets with the headers of IPv4 and TCP, 40 each, of three packets:
heartbeat, answer, acknowledgement of the answer. \"dies\": the network forgets the link each time.";

pub(crate) fn print(out: &mut impl Write, seed: u64) -> io::Result<()> {
    writeln!(out, "{NOTES}\n")?;
    writeln!(out, "lifetime  state       policy    interval  wake-ups/h  bytes a day")?;
    for lifetime in LIFETIMES {
        let learned = |policy| Run::of(policy, Nat::new(Duration::from_secs(lifetime), seed)).settled();
        let ours = learned(Policy::Longlink);
        let looked_at = ours.map(|interval| interval.min(Heartbeat::FOREGROUND));
        let shortest = Duration::from_secs(mars::SHORTEST);
        for (state, name, interval, bytes) in [
            ("foreground", "longlink", looked_at, OURS),
            ("", "mars", Some(shortest), MARS),
            ("", "MQTT", Some(MQTT_KEEP_ALIVE), MQTT),
            ("background", "longlink", ours, OURS),
            ("", "mars", learned(Policy::Mars).or(Some(shortest)), MARS),
            ("", "MQTT", Some(MQTT_KEEP_ALIVE), MQTT),
        ] {
            let line = Line { lifetime, state, name, interval: interval.unwrap_or_default(), bytes };
            line.print(out)?;
        }
    }
    Ok(())
}

struct Line {
    lifetime: u64,
    state: &'static str,
    name: &'static str,
    interval: Duration,
    bytes: f64,
}

impl Line {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { lifetime, state, name, interval, bytes } = self;
        let interval = interval.as_secs_f64();
        let begin = format!("{lifetime:>6} s  {state:<10}  {name:<8}  {interval:>6.1} s");
        if interval >= *lifetime as f64 || interval == 0.0 {
            return writeln!(out, "{begin}  {:>10}", "dies");
        }
        let (an_hour, a_day) = (3_600.0 / interval, 86_400.0 / interval);
        writeln!(out, "{begin}  {an_hour:>10.1}  {:>6.0} ({:.0})", a_day * bytes, a_day * (bytes + HEADERS))
    }
}
