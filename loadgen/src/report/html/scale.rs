//! From values to places on a chart, and the round values that its axes name.
//!
//! In: values of any kind. Out: shares of a width or height, from 0 to 1. Never: a place beside the chart, or one that
//! is no number.

use crate::report::trimmed;

/// From values to shares of a chart's width or height.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear { from: f64, to: f64 },
    Log { from: f64, to: f64 },
}

impl Scale {
    /// From zero to a bit over `max`.
    pub(super) fn from_zero(max: f64) -> Scale {
        Scale::Linear { from: 0.0, to: if max > 0.0 && max.is_finite() { max * 1.12 } else { 1.0 } }
    }

    /// For times in nanoseconds: by factors where they differ much, from zero where not.
    pub(super) fn of_times(min: f64, max: f64) -> Scale {
        let (min, max) = (min.max(100.0), max.max(200.0));
        if max / min < 8.0 {
            return Scale::from_zero(max);
        }
        // Room for a name above the highest line.
        Scale::Log { from: min / 1.1, to: max * (max / min).powf(0.14) }
    }

    /// Where a value is, between 0 and 1; beyond the ends it is at the end.
    pub(super) fn place(self, value: f64) -> f64 {
        let share = match self {
            Scale::Linear { from, to } => (value - from) / (to - from),
            Scale::Log { from, to } => (value / from).ln() / (to / from).ln(),
        };
        // NaN is what comes of a logarithm of less than nothing: the low end.
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// The value at a share of the way.
    pub(super) fn value(self, share: f64) -> f64 {
        match self {
            Scale::Linear { from, to } => from + (to - from) * share,
            Scale::Log { from, to } => from * (to / from).powf(share),
        }
    }

    /// Round values on it, some `about` of them.
    pub(super) fn ticks(self, about: usize) -> Vec<f64> {
        match self {
            Scale::Linear { from, to } => linear_ticks(from, to, about),
            Scale::Log { from, to } => log_ticks(from, to, about),
        }
    }
}

fn linear_ticks(from: f64, to: f64, about: usize) -> Vec<f64> {
    let rough = (to - from) / about.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&step| step >= rough * 0.99);
    let step = step.unwrap_or(power * 10.0);
    let first = (from / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|&tick| tick <= to * (1.0 + 1e-9)).take(50).collect()
}

fn log_ticks(from: f64, to: f64, about: usize) -> Vec<f64> {
    let decades = (to / from).log10();
    let steps: &[f64] = match decades {
        d if d * 3.0 <= about as f64 => &[1.0, 2.0, 5.0],
        d if d * 2.0 <= about as f64 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let powers = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let ticks = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
    ticks.filter(|&tick| tick >= from * 0.999 && tick <= to * 1.001).take(50).collect()
}

/// A tick's time, without digits that say nothing: `500 µs`, `2 ms`.
pub(super) fn tick_time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.0 => (ns, "ns"),
        ns if ns < 999_000.0 => (ns / 1e3, "µs"),
        ns if ns < 999_000_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    if ns == 0.0 { "0".into() } else { format!("{} {unit}", trimmed(value, 2)) }
}

/// A tick's rate: `50k/s`, `1.5M/s`.
pub(super) fn tick_rate(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate < 999.0 => (rate, ""),
        rate if rate < 999_000.0 => (rate / 1e3, "k"),
        rate => (rate / 1e6, "M"),
    };
    if rate == 0.0 { "0".into() } else { format!("{}{unit}/s", trimmed(value, 2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Scale::Linear { from: 0.0, to: 30.0 }.ticks(6), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        let log = Scale::Log { from: 800.0, to: 20_000.0 }.ticks(6);
        let text: Vec<String> = log.into_iter().map(tick_time).collect();
        assert_eq!(text, ["1 µs", "2 µs", "5 µs", "10 µs", "20 µs"]);
        assert!(Scale::Linear { from: 5.0, to: 5.0 }.ticks(5).is_empty());
    }

    #[test]
    fn a_place_is_always_on_the_chart() {
        for scale in [
            Scale::from_zero(0.0),
            Scale::from_zero(f64::NAN),
            Scale::of_times(0.0, 0.0),
            Scale::of_times(1.0, 1e9),
        ] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e30] {
                assert!((0.0..=1.0).contains(&scale.place(value)), "{value}");
            }
        }
        assert_eq!(Scale::Log { from: 1.0, to: 100.0 }.place(10.0), 0.5);
    }
}
