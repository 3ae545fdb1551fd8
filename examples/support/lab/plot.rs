//! The intervals of all runs over time, one panel a network.

use super::run::{Policy, Run};
use anyhow::{Context, Result};
use plotters::prelude::*;
use std::path::Path;

/// Hours that are shown: in the first ones everything happens.
const HOURS: f64 = 6.0;
const COLUMNS: usize = 4;
const PANEL: (u32, u32) = (320, 220);
const OURS: RGBColor = RGBColor(0, 92, 184);
const THEIRS: RGBColor = RGBColor(150, 150, 150);
const LIFETIME: RGBColor = RGBColor(200, 60, 60);

pub(crate) fn draw(path: &Path, runs: &[(u64, Policy, Run)]) -> Result<()> {
    let panels: Vec<_> = runs.chunk_by(|(a, ..), (b, ..)| a == b).collect();
    let (columns, rows) = (panels.len().clamp(1, COLUMNS), panels.len().div_ceil(COLUMNS).max(1));
    let size = (PANEL.0 * u32::try_from(columns)?, PANEL.1 * u32::try_from(rows)?);
    let root = SVGBackend::new(path, size).into_drawing_area();
    // Its errors cannot be sent between threads, so only their text is kept.
    let drawn = (|| {
        root.fill(&WHITE).map_err(|error| error.to_string())?;
        for (area, runs) in root.split_evenly((rows, columns)).iter().zip(panels) {
            panel(area, runs).map_err(|error| error.to_string())?;
        }
        root.present().map_err(|error| error.to_string())
    })();
    drawn.map_err(anyhow::Error::msg).with_context(|| format!("cannot write {}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn panel(area: &Area<'_>, runs: &[(u64, Policy, Run)]) -> Result<(), Box<dyn std::error::Error>> {
    let lifetime = runs.first().map_or(0, |(lifetime, ..)| *lifetime);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{lifetime} s: longlink blue, Mars grey"), ("sans-serif", 13))
        .margin(6)
        .x_label_area_size(28)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..HOURS, 0.0..620.0)?;
    let whole = |value: &f64| format!("{value:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("hours").y_desc("interval, s").x_labels(7).y_labels(7).max_light_lines(1);
    mesh.x_label_formatter(&whole).y_label_formatter(&whole).draw()?;
    if lifetime <= 620 {
        let limit = [(0.0, lifetime as f64), (HOURS, lifetime as f64)];
        chart.draw_series(LineSeries::new(limit, &LIFETIME))?;
    }
    for (_, policy, run) in runs {
        let colour = if *policy == Policy::Mars { THEIRS } else { OURS };
        chart.draw_series(LineSeries::new(steps(run), colour.stroke_width(2)))?;
    }
    Ok(())
}

/// Each interval holds until the next.
fn steps(run: &Run) -> Vec<(f64, f64)> {
    let mut line = Vec::new();
    let mut held = 0.0;
    for point in &run.trace {
        let hours = point.at.as_secs_f64() / 3_600.0;
        if hours > HOURS {
            break;
        }
        if !line.is_empty() {
            line.push((hours, held));
        }
        held = point.interval.as_secs_f64();
        line.push((hours, held));
    }
    line.push((HOURS, held));
    line
}
