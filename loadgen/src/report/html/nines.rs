//! Percentile plot on the nines axis: every further nine takes the same width, so the tail has the room it needs.
//!
//! In: distributions, with the intervals of their runs. Out: a chart. Never: draws as known what too few samples stand for: there
//! the line is dotted.

use super::scale::{Scale, tick_time};
use super::svg::{Label, Plot, Point};
use crate::model::{Interval, Latency};
use crate::quantile::{TAIL_MIN, quantile, samples_needed};
use crate::report::trimmed;
use crate::units::{format_count, format_ns, percentile_name};

const HEIGHT: u32 = 340;
/// Points of a curve per nine.
const STEPS: u32 = 24;
/// The most nines that are drawn; a run of 10 million samples knows six.
const NINES_MAX: f64 = 6.0;
/// A colour of its own for each curve.
pub(super) const CLASSES: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];

/// A distribution.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) latency: &'a Latency,
    /// Of its run, for its confidence interval; `None` draws none.
    pub(super) intervals: Option<&'a [Interval]>,
}

/// Thin beside the first curve, to show where the time went.
pub(super) struct Part<'a> {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) latency: &'a Latency,
}

/// The chart; nothing if there are no times.
pub(super) fn chart(curves: &[Curve<'_>], parts: &[Part<'_>]) -> Option<String> {
    let curves: Vec<&Curve<'_>> = curves.iter().filter(|curve| curve.latency.count() > 0).collect();
    let parts: Vec<&Part<'_>> = parts.iter().filter(|part| part.latency.count() > 0).collect();
    let nines = curves.iter().map(|curve| nines_of(curve.latency)).reduce(f64::max)?;
    let scale = scale(&curves, &parts);
    let mut plot = Plot::new(HEIGHT);
    plot.y_axis(scale, 8, tick_time);
    for nine in 0..=nines as u32 {
        let text = format!("{} %", trimmed(share(f64::from(nine)) * 100.0, 4));
        // On a narrow page the last two of seven would touch.
        let always = nine != 5 || nines < 6.0;
        plot.x_tick(f64::from(nine) / nines, &text, always);
    }
    plot.x_name("share of requests that were not slower");
    let mut labels = Vec::new();
    for part in &parts {
        let points = points(part.latency, nines, scale);
        labels.extend(end(part.class, part.name, &points));
        plot.line(&format!("thin {}", part.class), &points);
    }
    // The first lies on top of the others: it is drawn last.
    for (index, curve) in curves.iter().enumerate().rev() {
        let class = CLASSES[index % CLASSES.len()];
        let points = points(curve.latency, nines, scale);
        if let (Some(class), Some(intervals)) = (["n0", "n1"].get(index), curve.intervals) {
            let (lower, upper) = bounds(curve.latency, intervals, nines, scale);
            plot.area(class, &upper, &lower);
        }
        labels.extend(end(class, curve.name, &points));
        let known = known(curve.latency, nines, points.len());
        plot.line(&format!("line {class}"), &points[..known]);
        plot.line(&format!("line few {class}"), &points[known.saturating_sub(1)..]);
    }
    plot.labels(labels);
    hovers(&mut plot, &curves, nines);
    Some(plot.finish("", &summary(&curves)))
}

/// So many nines has the last of all: log10 of the count. The axis ends there.
fn nines_of(latency: &Latency) -> f64 {
    (latency.count() as f64).log10().clamp(2.0, NINES_MAX)
}

/// Of the requests, at so many nines.
fn share(x: f64) -> f64 {
    1.0 - 10f64.powf(-x)
}

fn scale(curves: &[&Curve<'_>], parts: &[&Part<'_>]) -> Scale {
    let of = |latency: &Latency| (latency.at(0.01) as f64, latency.0.max() as f64);
    let all = curves.iter().map(|curve| of(curve.latency)).chain(parts.iter().map(|part| of(part.latency)));
    let (low, high) = all.fold((f64::MAX, 0f64), |(low, high), (min, max)| (low.min(min), high.max(max)));
    // A part that is next to nothing may leave the chart at the bottom: it is not what the chart is about.
    let least = curves.iter().map(|curve| curve.latency.at(0.01) as f64).fold(f64::MAX, f64::min);
    Scale::of_times(low.max(least / 300.0), high)
}

fn points(latency: &Latency, nines: f64, scale: Scale) -> Vec<Point> {
    let steps = (nines * f64::from(STEPS)) as u32;
    // Beyond the last sample there is nothing to draw.
    let last = (latency.count() as f64).log10();
    let shares = (0..=steps).map(|step| nines * f64::from(step) / f64::from(steps));
    shares
        .take_while(|x| *x <= last + 0.05)
        .map(|x| (x / nines, scale.place(latency.at(share(x)) as f64)))
        .collect()
}

/// How many of the points have ten samples beyond them.
fn known(latency: &Latency, nines: f64, points: usize) -> usize {
    let last = (latency.count() as f64 / TAIL_MIN as f64).log10();
    let steps = f64::from((nines * f64::from(STEPS)) as u32);
    ((last / nines * steps).floor().max(0.0) as usize + 1).min(points)
}

/// The interval's ends, as far as they are known.
fn bounds(latency: &Latency, intervals: &[Interval], nines: f64, scale: Scale) -> (Vec<Point>, Vec<Point>) {
    let shares = (0..=(nines * f64::from(STEPS)) as u32).map(|step| f64::from(step) / f64::from(STEPS));
    shares
        .map(|x| (x, quantile(latency, intervals, share(x))))
        .take_while(|(_, found)| found.is_enough && found.is_bounded)
        .map(|(x, found)| {
            let at = |ns: u64| (x / nines, scale.place(ns as f64));
            (at(found.low_ns), at(found.high_ns))
        })
        .unzip()
}

fn end(class: &'static str, name: &str, points: &[Point]) -> Option<Label> {
    points.last().map(|&(_, y)| Label { class, text: name.into(), y })
}

fn hovers(plot: &mut Plot, curves: &[&Curve<'_>], nines: f64) {
    let width = 0.25 / nines;
    for step in 0..=(nines * 4.0) as u32 {
        let x = f64::from(step) / 4.0;
        let q = share(x);
        let name = percentile_name((q * 1e6).round() / 1e6);
        let values = curves.iter().map(|curve| {
            let few = if curve.latency.count() < samples_needed(q) { " (few samples)" } else { "" };
            format!("{} {}{few}", curve.name, format_ns(curve.latency.at(q)))
        });
        let text = values.take(CLASSES.len()).collect::<Vec<_>>().join(", ");
        let middle = x / nines;
        plot.hover(
            (middle - width / 2.0).max(0.0),
            (middle + width / 2.0).min(1.0),
            &format!("{name}: {text}"),
        );
    }
}

fn summary(curves: &[&Curve<'_>]) -> String {
    let said = curves.iter().map(|curve| {
        let at = |q| format_ns(curve.latency.at(q));
        let count = format_count(curve.latency.count());
        format!("{}: p50 {}, p99 {}, p99.9 {} of {count} samples", curve.name, at(0.5), at(0.99), at(0.999))
    });
    format!("Percentile plot. {}", said.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_as_far_as_ten_samples_lie_beyond() {
        let mut latency = Latency::new();
        latency.0.record_n(1_000, 100_000).unwrap();
        let nines = nines_of(&latency);
        assert_eq!(nines, 5.0);
        let drawn = points(&latency, nines, Scale::from_zero(2_000.0));
        assert_eq!(drawn.len(), 5 * STEPS as usize + 1);
        assert_eq!(known(&latency, nines, drawn.len()), 4 * STEPS as usize + 1);
    }

    #[test]
    fn the_shade_ends_where_the_interval_has_no_bounds() {
        let mut latency = Latency::new();
        (0..10_000).for_each(|n| latency.record(100_000 + n * 10));
        let (lower, upper) = bounds(&latency, &[], 4.0, Scale::from_zero(200_000.0));
        // Ten samples lie beyond p99.9: three nines of the four.
        let &(end, _) = upper.last().unwrap();
        assert!((0.7..=0.75).contains(&end), "{end}");
        assert!(lower.iter().zip(&upper).all(|(low, high)| low.0 == high.0 && low.1 <= high.1));
    }

    #[test]
    fn of_no_times_there_is_no_chart() {
        let empty = Latency::new();
        assert!(chart(&[Curve { name: "response", latency: &empty, intervals: None }], &[]).is_none());
    }
}
