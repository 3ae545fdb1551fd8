//! The `heartbeat_lab` example as its users meet it: what it prints must hold.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/process.rs"]
#[allow(dead_code, unreachable_pub, missing_debug_implementations)]
mod process;

use serde::Deserialize;
use std::process::Output;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    lifetime: u64,
    policy: String,
    settled: f64,
    minutes: f64,
    lost: u32,
}

fn lab(args: &[&str]) -> Output {
    process::example("heartbeat_lab").args(args).output().unwrap()
}

fn rows(args: &[&str]) -> Vec<Row> {
    let output = lab(&[&["--json"], args].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Interval, minutes and lost links that are held, and interval and minutes that the rules of Mars come to, 0 for never.
type Held = (f64, f64, u32);
type Theirs = (f64, f64);

const TABLE: [(u64, Held, Theirs); 12] = [
    (20, (16.0, f64::MAX, 4), (0.0, 4_320.0)),
    (45, (36.0, f64::MAX, 4), (0.0, 4_320.0)),
    (90, (72.0, f64::MAX, 4), (0.0, 4_320.0)),
    (200, (160.0, f64::MAX, 4), (0.0, 4_320.0)),
    (240, (215.0, 48.0, 2), (210.0, 2_866.0 / 60.0)),
    (290, (250.0, 77.0, 2), (250.0, 4_606.0 / 60.0)),
    (300, (270.0, 60.0, 2), (250.0, 4_606.0 / 60.0)),
    (305, (250.0, 77.0, 2), (250.0, 4_606.0 / 60.0)),
    (360, (320.0, 90.0, 2), (310.0, 6_706.0 / 60.0)),
    (480, (440.0, 120.0, 2), (430.0, 11_986.0 / 60.0)),
    (600, (580.0, 150.0, 0), (580.0, 19_700.0 / 60.0)),
    (900, (580.0, 150.0, 0), (580.0, 19_700.0 / 60.0)),
];

#[test]
fn every_row_of_the_table_holds_beside_the_one_of_mars() {
    let rows = rows(&[]);
    assert_eq!(rows.len(), 2 * TABLE.len());
    for ((lifetime, (settled, minutes, lost), theirs), pair) in TABLE.into_iter().zip(rows.chunks(2)) {
        let [mars, ours] = pair else { panic!() };
        assert_eq!((mars.policy.as_str(), ours.policy.as_str()), ("mars", "longlink"));
        assert_eq!((mars.lifetime, ours.lifetime), (lifetime, lifetime));
        assert!(ours.settled >= settled && ours.settled < lifetime as f64, "{ours:?}");
        assert!(ours.minutes <= minutes && ours.lost <= lost, "{ours:?}");
        assert!((mars.settled - theirs.0).abs() <= 1.0 && (mars.minutes - theirs.1).abs() <= 0.1, "{mars:?}");
        match theirs.0 {
            0.0 => assert!(mars.lost > 1_000, "{mars:?}"),
            580.0 => assert_eq!(mars.lost, 0),
            _ => assert_eq!(mars.lost, 2),
        }
    }
}

#[test]
fn the_table_for_people_has_no_miss() {
    let output = lab(&[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !table.contains("MISS"), "{table}");
    assert_eq!(table.matches("  ok  ").count(), TABLE.len());
    let line = table.lines().find(|line| line.contains("300 s  longlink")).unwrap();
    assert!(line.ends_with("≥ 270 s ≤ 60 min ≤ 2"), "{line}");
}

#[test]
fn a_seed_draws_the_same_losses_again() {
    let drawn = |seed| {
        let rows = rows(&["--lifetime", "100", "--lifetime", "15", "--loss", "20", "--jitter", "15", "--seed", seed]);
        rows.into_iter().map(|row| (row.lifetime, row.policy, row.settled, row.minutes, row.lost)).collect::<Vec<_>>()
    };
    assert_eq!(drawn("7").len(), 4);
    assert_eq!(drawn("7"), drawn("7"));
    assert_ne!(drawn("7"), drawn("8"));
}

#[test]
fn the_plot_has_a_panel_for_every_network() {
    let path = std::env::temp_dir().join(format!("heartbeat-lab-{}.svg", std::process::id()));
    rows(&["--svg", path.to_str().unwrap()]);
    let plot = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(plot.starts_with("<svg"));
    for (lifetime, ..) in TABLE {
        assert!(plot.contains(&format!("{lifetime} s: longlink blue, Mars grey")));
    }
    assert!(plot.matches("<polyline").count() >= 2 * TABLE.len());
    assert_eq!(lab(&["--svg", "/nowhere/at/all.svg"]).status.code(), Some(1));
}

#[test]
fn what_an_idle_link_costs_is_told_for_all_three() {
    let output = lab(&["--idle"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    // Of six networks, in two states: Mars works in the two above 210 s, MQTT in the four above 60 s, ours in all.
    let lines = |name: &str, dies: bool| {
        let lines = table.lines().filter(|line| line.contains(&format!("  {name}  ")));
        lines.filter(|line| line.ends_with("dies") == dies).count()
    };
    assert_eq!([lines("longlink", false), lines("mars    ", false), lines("MQTT    ", false)], [12, 4, 8]);
    assert_eq!([lines("longlink", true), lines("mars    ", true), lines("MQTT    ", true)], [0, 8, 4]);
    // 86,400 s / 580 s × 32 bytes, and × (32 + 120).
    assert!(table.lines().any(|line| line.contains("580.0 s         6.2    4767 (22643)")), "{table}");
}

#[test]
fn wrong_options_are_refused() {
    for args in [&["--lifetime", "0"][..], &["--loss", "0"], &["--jitter", "91"], &["--idle", "--json"], &["now"]] {
        assert_eq!(lab(args).status.code(), Some(2), "{args:?}");
    }
}
