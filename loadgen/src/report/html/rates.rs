//! Response time against the offered rate: one dot per held rate, with its interval and the target.
//!
//! In: a search's trials, or a run in steps. Out: a chart with the offered rate across, never the achieved one: a
//! server that falls behind would else seem to stand still on the left of its limit.

use super::scale::{Scale, tick_rate, tick_time};
use super::svg::Plot;
use super::time::add_bands;
use crate::model::{BANDS, Interval, Latency, Load, Piece, Run, Search, TrialResult, band_floor_ns};
use crate::quantile::quantile;
use crate::report::{interval, rate, seconds};
use crate::units::{format_ns, percentile_name};

const HEIGHT: u32 = 320;
/// The percentile that is drawn for a run in steps.
const STEP_QUANTILE: f64 = 0.99;
/// Places inside a band that its times are spread over.
const PARTS: u64 = 16;

/// A held rate.
struct Held {
    rate: f64,
    value: f64,
    low: f64,
    high: f64,
    class: &'static str,
    dot: &'static str,
    title: String,
}

/// Of a search: the ramp, the trials, the target, and what was found.
pub(super) fn of_search(search: &Search) -> Option<String> {
    let held: Vec<Held> = search
        .trials
        .iter()
        .map(|trial| {
            let (class, dot, said) = match trial.result {
                TrialResult::Met => ("c0", "dot", "met".to_owned()),
                TrialResult::Missed => ("bad", "ring", format!("missed: {}", trial.why)),
                TrialResult::Invalid => ("dim", "ring", format!("invalid: {}", trial.why)),
            };
            let [value, low, high] = [trial.response_ns, trial.low_ns, trial.high_ns];
            let title = format!(
                "{} for {}: {} {} ({} – {}), {said}",
                rate(trial.rate),
                seconds(trial.window_ns),
                percentile_name(search.quantile),
                format_ns(value),
                format_ns(low),
                format_ns(high)
            );
            Held {
                rate: trial.rate,
                value: value as f64,
                low: low as f64,
                high: high as f64,
                class,
                dot,
                title,
            }
        })
        .collect();
    let ramp: Vec<(f64, f64)> = search.ramp.iter().map(|&(rate, ns)| (rate, ns as f64)).collect();
    chart(&held, &ramp, Some(search), search.quantile)
}

/// Of a run in steps: its held rates, from the intervals that lie wholly in one.
pub(super) fn of_steps(run: &Run) -> Option<String> {
    let Load::Open { pieces, .. } = &run.setup.load else { return None };
    let flat: Vec<(u64, &Piece)> = steps(pieces);
    if flat.len() < 2 {
        return None;
    }
    let held: Vec<Held> = flat.into_iter().filter_map(|(begin, piece)| step(run, begin, piece)).collect();
    chart(&held, &[], None, STEP_QUANTILE)
}

fn chart(held: &[Held], ramp: &[(f64, f64)], search: Option<&Search>, q: f64) -> Option<String> {
    if held.is_empty() && ramp.is_empty() {
        return None;
    }
    let limit = search.map(|search| search.limit_ns as f64).filter(|limit| *limit > 0.0);
    let rates = held.iter().map(|held| held.rate).chain(ramp.iter().map(|(rate, _)| *rate));
    let times = held.iter().flat_map(|held| [held.value, held.low, held.high]);
    let times = times.chain(ramp.iter().map(|(_, ns)| *ns)).chain(limit);
    let (_, fastest) = ends(rates);
    let (least, most) = ends(times);
    let x = Scale::from_zero(fastest);
    let y = Scale::of_times(least, most);
    let mut plot = Plot::new(HEIGHT);
    if let Some(search) = search.filter(|search| search.answer.rate.is_some()) {
        plot.shade("shade", x.place(search.answer.low), x.place(search.answer.high));
    }
    plot.y_axis(y, 7, tick_time);
    for (index, tick) in x.ticks(8).into_iter().enumerate() {
        plot.x_tick(x.place(tick), &tick_rate(tick), index % 2 == 0);
    }
    plot.x_name("offered requests");
    // Without a ramp, what was held is joined: the eye looks for the bend.
    let held_line: Vec<(f64, f64)> = held.iter().map(|held| (held.rate, held.value)).collect();
    let line = if search.is_some() { ramp } else { &held_line };
    let line: Vec<_> = line.iter().map(|&(rate, ns)| (x.place(rate), y.place(ns))).collect();
    plot.line("thin service", &line);
    if let (Some(search), Some(limit)) = (search, limit) {
        plot.across("limit", y.place(limit));
        plot.note("bad", (0.0, y.place(limit)), &search.slos.join(", "));
    }
    if let Some(answer) = search.and_then(|search| search.answer.rate) {
        plot.upright("mid", x.place(answer));
        plot.note("c0", (x.place(answer), 1.0), &rate(answer));
    }
    for held in held {
        let at = (x.place(held.rate), y.place(held.value));
        plot.dot(held.class, held.dot, at, (y.place(held.low), y.place(held.high)), &held.title);
    }
    let name = percentile_name(q);
    Some(plot.finish("", &format!("{name} of response time against offered rate, {} held rates", held.len())))
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values = values.filter(|value| value.is_finite() && *value > 0.0);
    let (low, high) = values.fold((f64::MAX, 0f64), |(low, high), value| (low.min(value), high.max(value)));
    if low > high { (1.0, 1.0) } else { (low, high) }
}

/// The flat pieces, each with its begin.
fn steps(pieces: &[Piece]) -> Vec<(u64, &Piece)> {
    let mut begin = 0;
    let mut flat = Vec::new();
    for piece in pieces {
        if piece.from == piece.to {
            flat.push((begin, piece));
        }
        begin += piece.length_ns;
    }
    flat
}

fn step(run: &Run, begin: u64, piece: &Piece) -> Option<Held> {
    let end = begin + piece.length_ns;
    let inside = |part: &&Interval| part.at_ns >= begin && part.at_ns + part.length_ns <= end;
    let intervals: Vec<Interval> = run.intervals.iter().filter(inside).cloned().collect();
    let mut bands = Vec::new();
    intervals.iter().for_each(|part| add_bands(&mut bands, &part.bands));
    let times = spread(&bands);
    if times.count() == 0 {
        return None;
    }
    let found = quantile(&times, &intervals, STEP_QUANTILE);
    let (class, dot, few) =
        if found.is_enough { ("c0", "dot", "") } else { ("dim", "ring", ", too few samples") };
    let title = format!(
        "{} for {}: p99 {} ({}){few}",
        rate(piece.from),
        seconds(piece.length_ns),
        format_ns(found.value_ns),
        interval(&found)
    );
    let [value, low, high] = [found.value_ns, found.low_ns, found.high_ns].map(|ns| ns as f64);
    Some(Held { rate: piece.from, value, low, high, class, dot, title })
}

/// Times from their counts in bands: inside a band they are taken to be spread evenly over its factor, so that a
/// percentile is at most 7.5 % off.
fn spread(bands: &[u64]) -> Latency {
    let mut times = Latency::new();
    for (band, &count) in bands.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (floor, ceiling) = (band_floor_ns(band), band_floor_ns((band + 1).min(BANDS)));
        for part in 0..PARTS {
            let share = (part as f64 + 0.5) / PARTS as f64;
            let ns = if band == 0 { ceiling * share } else { floor * (ceiling / floor).powf(share) };
            // Together the parts hold all, whatever does not divide.
            times.record_n(ns as u64, count * (part + 1) / PARTS - count * part / PARTS);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn piece(length_ns: u64, from: f64, to: f64) -> Piece {
        Piece { length_ns, from, to }
    }

    #[test]
    fn a_quantile_of_bands_is_near_that_of_the_times() {
        let run = example::run();
        let mut bands = Vec::new();
        run.intervals.iter().for_each(|interval| add_bands(&mut bands, &interval.bands));
        let times = spread(&bands);
        assert_eq!(times.count(), run.response.count());
        for q in [0.1, 0.5, 0.9, 0.99, 0.999] {
            let (near, exact) = (times.at(q) as f64, run.response.at(q) as f64);
            assert!((near / exact - 1.0).abs() < 0.075, "{q}: {near} {exact}");
        }
        assert_eq!(spread(&[0, 3, 0, 1]).count(), 4);
    }

    #[test]
    fn a_step_counts_the_intervals_that_are_wholly_its_own() {
        let run = example::run();
        // Half an interval late: the 37th, with its pause, is the only one of the two that is inside.
        let held = step(&run, 18_250_000_000, &piece(1_000_000_000, 5.0, 5.0)).unwrap();
        let paused = run.intervals[37].response[2] as f64;
        assert!((held.value / paused - 1.0).abs() < 0.1, "{} {paused}", held.value);
        assert!(held.low <= held.value && held.value <= held.high);
        assert!(step(&run, 100_000_000, &piece(500_000_000, 5.0, 5.0)).is_none());
    }

    #[test]
    fn only_held_rates_are_steps() {
        let pieces = [piece(5, 1.0, 2.0), piece(7, 2.0, 2.0), piece(1, 2.0, 3.0), piece(7, 3.0, 3.0)];
        let begins: Vec<u64> = steps(&pieces).iter().map(|(begin, _)| *begin).collect();
        assert_eq!(begins, [5, 13]);
    }
}
