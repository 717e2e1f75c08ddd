//! The answer of a search in words.
//!
//! In: the numbers. Out: one line that a reader may quote. Never: a rate without what it was searched for.

use crate::model::{Trial, TrialResult};
use crate::units::{format_ns, format_rate};

/// Why there is no upper end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AtLeast {
    /// The closed loop reached no more.
    Ceiling,
    /// The generator failed at this rate.
    Generator(f64),
    /// The budget ended before a rate missed.
    Budget,
}

/// `p99 < 1 ms and errors < 0.1%`.
pub(super) fn slos(slos: &[String]) -> String {
    if slos.is_empty() {
        return "no target".into();
    }
    slos.iter().map(|slo| spaced(slo)).collect::<Vec<_>>().join(" and ")
}

/// `p99<1ms` as `p99 < 1 ms`.
fn spaced(slo: &str) -> String {
    let Some(at) = slo.find(['<', '>']) else { return slo.trim().into() };
    let (name, rest) = slo.split_at(at);
    let value = rest.trim_start_matches(['<', '>', '=']);
    let (sign, value) = (&rest[..rest.len() - value.len()], value.trim());
    let unit_at = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_at);
    let unit = unit.trim();
    let gap = if matches!(unit, "ns" | "us" | "µs" | "ms" | "s") { " " } else { "" };
    format!("{} {sign} {number}{gap}{unit}", name.trim())
}

/// `184k ± 3k req/s at p99 < 1 ms`, with the precision that was wanted if it was not reached.
pub(super) fn between(slos: &str, rate: f64, half_width: f64, wanted: Option<f64>) -> String {
    let answer = format!("{} req/s at {slos}", plus_minus(rate, half_width));
    match wanted {
        None => answer,
        Some(wanted) => format!("{answer}; more trials would be needed for ± {} %", wanted * 100.0),
    }
}

/// `184k ± 3k`, `25.4k ± 0.3k`: both in the rate's unit, to the first digit of the half width.
fn plus_minus(rate: f64, half_width: f64) -> String {
    let (unit, suffix) = match rate {
        rate if rate >= 1e6 => (1e6, "M"),
        rate if rate >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    // Of a half width of zero the logarithm is minus infinity, which three digits bound.
    let digits = (-(half_width / unit).log10().floor()).clamp(0.0, 3.0) as usize;
    format!("{:.digits$}{suffix} ± {:.digits$}{suffix}", rate / unit, half_width / unit)
}

pub(super) fn at_least(slos: &str, rate: f64, why: AtLeast) -> String {
    let answer = format!("at least {} req/s at {slos}", format_rate(rate));
    match why {
        AtLeast::Ceiling => format!("{answer}: as much as the closed loop reached"),
        AtLeast::Generator(failed) => {
            format!("{answer}: the generator itself failed at {} req/s", format_rate(failed))
        }
        AtLeast::Budget => format!("{answer}: the time for trials ended before a rate missed"),
    }
}

/// No trial met the targets; this is the one with the lowest rate.
pub(super) fn none(slos: &str, lowest: &Trial, quantile: f64) -> String {
    let (rate, response) = (format_rate(lowest.rate), format_ns(lowest.response_ns));
    let percentile = (quantile * 1e6).round() / 1e4;
    format!("no rate was found that meets {slos}: at {rate} req/s p{percentile} was {response}")
}

/// No trial says anything about the server.
pub(super) fn nothing(trials: &[Trial]) -> String {
    match trials.iter().rev().find(|trial| trial.result == TrialResult::Invalid) {
        None => "no answer: there was no time for a trial".into(),
        Some(trial) => {
            let rate = format_rate(trial.rate);
            format!("no answer: no trial was valid; the last, at {rate} req/s: {}", trial.why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_spaced_for_reading() {
        let given = ["p99<1ms", "p99.9 <= 250us", "errors<0.1%", "rate>100k", "odd"];
        let read = ["p99 < 1 ms", "p99.9 <= 250 us", "errors < 0.1%", "rate > 100k", "odd"];
        for (given, read) in given.iter().zip(read) {
            assert_eq!(spaced(given), read);
        }
        assert_eq!(slos(&["p99<1ms".into(), "errors<1%".into()]), "p99 < 1 ms and errors < 1%");
    }

    #[test]
    fn a_precision_that_was_not_reached_is_said() {
        let answer = between("p99 < 1 ms", 184_213.0, 9_100.0, Some(0.02));
        assert_eq!(answer, "184k ± 9k req/s at p99 < 1 ms; more trials would be needed for ± 2 %");
        assert_eq!(between("p99 < 1 ms", 184_213.0, 2_810.0, None), "184k ± 3k req/s at p99 < 1 ms");
    }

    #[test]
    fn an_estimate_has_no_more_digits_than_its_interval_carries() {
        for (rate, half_width, words) in [
            (25_391.0, 312.0, "25.4k ± 0.3k"),
            (1_023_456.0, 18_000.0, "1.02M ± 0.02M"),
            (812.4, 11.0, "812 ± 11"),
            (3_001.0, 0.0, "3.001k ± 0.000k"),
            (0.0, 0.0, "0.000 ± 0.000"),
        ] {
            assert_eq!(plus_minus(rate, half_width), words);
        }
    }
}
