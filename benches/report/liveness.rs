//! What the adaptive heartbeat makes of networks, beside the rules of Tencent Mars, in virtual time: the same runs as those
//! of the example `heartbeat_lab`.

use crate::lab::device::Device;
use crate::lab::run::{Policy, Run};
use crate::lab::table::Limit;
use crate::nat::Nat;
use crate::work::figure::Figure;
use longlink::Instant;
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Network};
use std::time::Duration;

const LIFETIMES: [u64; 10] = [20, 45, 90, 200, 240, 300, 360, 480, 600, 900];
const LOSSY: [u64; 6] = [45, 90, 200, 300, 480, 900];
/// Runs with losses, for each lifetime.
const SEEDS: u64 = 200;

pub(crate) fn figures() -> Vec<Figure> {
    let searches = LIFETIMES.into_iter().flat_map(search);
    searches.chain(LOSSY.into_iter().flat_map(with_losses)).chain([known_network()]).collect()
}

/// Where it settles, after how long, and what that costs.
fn search(lifetime: u64) -> Vec<Figure> {
    let run = |policy| Run::of(policy, Nat::new(Duration::from_secs(lifetime), 1));
    let [mars, ours] = [Policy::Mars, Policy::Longlink].map(run);
    let limit = Limit::of(lifetime);
    let settled = |run: &Run| run.settled().unwrap_or_default().as_secs_f64();
    let (minutes, lost) = (|run: &Run| run.found().0.as_secs_f64() / 60.0, |run: &Run| f64::from(run.found().1));
    let name = if settled(&mars) > 0.0 { "Mars" } else { "Mars, which never works" };
    let figure = |what: &str, of: &dyn Fn(&Run) -> f64, hold: Option<f64>| {
        let peers = vec![(name.into(), of(&mars))];
        Figure {
            name: format!("NAT forgets after {lifetime} s: {what}"),
            ours: of(&ours),
            hold,
            peers,
            ..Figure::default()
        }
    };
    vec![
        Figure { upwards: true, ..figure("settles at, s", &settled, limit.map(|limit| limit.settled)) },
        figure("after, min", &minutes, limit.map(|limit| limit.minutes).filter(|minutes| minutes.is_finite())),
        figure("links lost", &lost, limit.map(|limit| f64::from(limit.lost))),
    ]
}

/// One packet in 50 is lost for other reasons: what devices have after three days, in percent of what they would have.
fn with_losses(lifetime: u64) -> [Figure; 2] {
    let after = |loss, seed| {
        let mut nat = Nat::new(Duration::from_secs(lifetime), seed);
        nat.loss = loss;
        Run::of(Policy::Longlink, nat).settled().unwrap_or_default().as_secs_f64()
    };
    let clean = after(0, 1);
    let mut found: Vec<f64> = (0..SEEDS).map(|seed| 100.0 * after(50, seed) / clean).collect();
    found.sort_by(f64::total_cmp);
    let at = |part: usize| found.get(found.len() * part / 100).copied().unwrap_or_default();
    let figure = |what: &str, ours, hold| Figure {
        name: format!("  {lifetime} s, 1 of 50 lost: {what}, %"),
        ours,
        hold: Some(hold),
        upwards: true,
        ..Figure::default()
    };
    [figure("median", at(50), 90.0), figure("worst of 100", at(1), 55.0)]
}

/// Where the second connection begins in a network that was learned, in percent of what was settled.
fn known_network() -> Figure {
    let learn = |record: Option<_>| {
        let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
        heartbeat.set_network(Instant::ZERO, Network::named(b"home"), record.as_ref());
        Device::new(heartbeat, Nat::new(Duration::from_secs(300), 1))
    };
    let interval = |device: &Device| device.heartbeat.interval().unwrap_or_default().as_secs_f64();
    let mut device = learn(None);
    device.run(Duration::from_secs(12 * 3_600));
    let ours = 100.0 * interval(&learn(Some(device.heartbeat.record()))) / interval(&device);
    let name = "network known: the second connection begins at, %".into();
    Figure { name, ours, hold: Some(100.0), upwards: true, ..Figure::default() }
}
