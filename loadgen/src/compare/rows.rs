//! The rows of a comparison: each measure's middle on both sides, their ratio, and what may be said of it.
//!
//! In: the samples of both sides. Out: rows in the order of [`MEASURES`]. Never: a word on fewer than four samples
//! on each side, or an infinite number (JSON has none: [`UNKNOWN`]).

use super::samples::Samples;
use super::{MEASURES, ROUNDS_MIN, UNKNOWN};
use crate::model::{Load, Row, Run, Word};
use crate::stats::{Ratio, detectable, hodges_lehmann_ratio, mann_whitney, median};

/// Below this p-value a row is called.
const LEVEL: f64 = 0.05;
/// What a recorded time and a counted rate are known to: a thousandth, the histogram's digits.
const RESOLUTION: f64 = 0.001;

/// Who sets the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The server, on a side at least: its rate is a measure of it.
    Server,
    /// The schedule, on both sides: the rates differ as the schedules do, unless a server falls behind.
    Schedule,
}

pub(super) fn pace(a: &Run, b: &Run) -> Pace {
    let open = |run: &Run| matches!(run.setup.load, Load::Open { .. });
    if open(a) && open(b) { Pace::Schedule } else { Pace::Server }
}

/// Which way is good.
#[derive(Clone, Copy)]
enum Good {
    Low,
    High,
}

pub(super) fn rows(a: &Samples, b: &Samples, pace: Pace) -> Vec<Row> {
    let [p50, p90, p99, p999, max, rate, errors, cpu] = MEASURES;
    let mut rows = Vec::with_capacity(MEASURES.len());
    for (place, measure) in [p50, p90, p99, p999, max].into_iter().enumerate() {
        let mut row = row(measure, "ns", &a.times[place], &b.times[place], Good::Low);
        if !a.is_deep_enough(place) || !b.is_deep_enough(place) {
            row.word = Word::Unsaid;
        }
        rows.push(row);
    }
    rows.push(rate_row(rate, a, b, pace));
    rows.push(error_row(errors, a, b));
    if !a.cpu.is_empty() && !b.cpu.is_empty() {
        rows.push(row(cpu, "ns", &a.cpu, &b.cpu, Good::Low));
    }
    rows
}

fn row(measure: &str, unit: &str, a: &[f64], b: &[f64], good: Good) -> Row {
    let Ratio { ratio, low, high } = hodges_lehmann_ratio(a, b);
    let p_value = mann_whitney(a, b);
    let word = match good {
        _ if a.len().min(b.len()) < ROUNDS_MIN => Word::Unsaid,
        _ if p_value >= LEVEL || (low <= 1.0 && high >= 1.0) => Word::Same,
        Good::Low if low > 1.0 => Word::Worse,
        Good::High if high < 1.0 => Word::Worse,
        Good::Low | Good::High => Word::Better,
    };
    Row {
        measure: measure.into(),
        a: median(a).unwrap_or(0.0),
        b: median(b).unwrap_or(0.0),
        unit: unit.into(),
        ratio: finite(ratio),
        low: finite(low),
        high: finite(high),
        p_value,
        detectable: finite(detectable(a, b).max(RESOLUTION)),
        word,
    }
}

/// In open loop a rate is called only if it differs by more than what was offered does.
fn rate_row(measure: &str, a: &Samples, b: &Samples, pace: Pace) -> Row {
    let mut row = row(measure, "/s", &a.rate, &b.rate, Good::High);
    let called = matches!(row.word, Word::Better | Word::Worse);
    if called && pace == Pace::Schedule {
        let offered = hodges_lehmann_ratio(&a.offered, &b.offered).ratio;
        if (row.ratio - 1.0).abs() <= (offered - 1.0).abs() + RESOLUTION {
            row.word = Word::Same;
        }
    }
    row
}

/// The shares are those of all samples together: errors come in bursts, which a median does not see.
fn error_row(measure: &str, a: &Samples, b: &Samples) -> Row {
    let mut row = row(measure, "share", &a.errors, &b.errors, Good::Low);
    (row.a, row.b) = (a.error_share, b.error_share);
    row.ratio = match (row.a > 0.0, row.b > 0.0) {
        (false, false) => 1.0,
        (false, true) => UNKNOWN,
        _ => row.b / row.a,
    };
    row.low = row.low.min(row.ratio);
    row.high = row.high.max(row.ratio);
    row
}

fn finite(number: f64) -> f64 {
    number.min(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(middle: f64) -> Vec<f64> {
        [0.98, 1.01, 1.0, 0.99, 1.02, 1.03, 0.97, 1.0].map(|noise| middle * noise).to_vec()
    }

    fn samples(rate: f64, offered: f64) -> Samples {
        Samples {
            times: [1e5, 2e5, 3e5, 4e5, 5e5].map(noisy),
            ended: vec![1e6; 8],
            rate: noisy(rate),
            offered: noisy(offered),
            errors: vec![0.0; 8],
            ..Samples::default()
        }
    }

    fn find<'a>(rows: &'a [Row], measure: &str) -> &'a Row {
        rows.iter().find(|row| row.measure == measure).unwrap()
    }

    fn rate_word(a: &Samples, b: &Samples, pace: Pace) -> Word {
        find(&rows(a, b, pace), "rate").word
    }

    #[test]
    fn a_higher_rate_is_better_where_the_server_sets_it() {
        let (slow, fast) = (samples(1_000.0, 1_000.0), samples(1_200.0, 1_200.0));
        assert_eq!(rate_word(&slow, &fast, Pace::Server), Word::Better);
        assert_eq!(rate_word(&fast, &slow, Pace::Server), Word::Worse);
        assert_eq!(rate_word(&slow, &slow, Pace::Server), Word::Same);
    }

    #[test]
    fn a_rate_that_the_schedule_set_is_no_merit() {
        let (slow, fast) = (samples(1_000.0, 1_000.0), samples(1_200.0, 1_200.0));
        assert_eq!(rate_word(&slow, &fast, Pace::Schedule), Word::Same);
        assert_eq!(rate_word(&fast, &slow, Pace::Schedule), Word::Same);
        let behind = samples(900.0, 1_000.0);
        assert_eq!(rate_word(&slow, &behind, Pace::Schedule), Word::Worse);
        assert_eq!(rate_word(&behind, &slow, Pace::Schedule), Word::Better);
    }

    #[test]
    fn three_samples_say_nothing_and_detect_nothing() {
        let (mut few, many) = (samples(1.0, 1.0), samples(2.0, 1.0));
        few.rate.truncate(3);
        let rows = rows(&few, &many, Pace::Server);
        let rate = find(&rows, "rate");
        assert_eq!((rate.word, rate.detectable), (Word::Unsaid, UNKNOWN));
        assert!((rate.ratio - 2.0).abs() < 0.1);
    }

    #[test]
    fn a_percentile_on_few_requests_says_nothing() {
        let (few, many) = (Samples { ended: vec![5_000.0; 8], ..samples(1.0, 1.0) }, samples(1.0, 1.0));
        let rows = rows(&few, &many, Pace::Server);
        assert_eq!(find(&rows, "p99.9").word, Word::Unsaid);
        assert_eq!(find(&rows, "p99").word, Word::Same);
    }

    #[test]
    fn errors_where_there_were_none_are_worse_by_no_factor() {
        let none = samples(1.0, 1.0);
        let some = Samples { errors: noisy(0.01), error_share: 0.01, ..samples(1.0, 1.0) };
        let (there, back) = (rows(&none, &some, Pace::Server), rows(&some, &none, Pace::Server));
        let (there, back) = (find(&there, "errors"), find(&back, "errors"));
        assert_eq!((there.word, there.ratio, there.low), (Word::Worse, UNKNOWN, UNKNOWN));
        assert_eq!((back.word, back.ratio, back.high), (Word::Better, 0.0, 0.0));
        let same = rows(&none, &none, Pace::Server);
        assert_eq!((find(&same, "errors").word, find(&same, "errors").ratio), (Word::Same, 1.0));
    }

    #[test]
    fn a_burst_of_errors_is_shown_although_most_samples_have_none() {
        let mut burst = samples(1.0, 1.0);
        burst.errors[3] = 0.4;
        burst.error_share = 0.05;
        let rows = rows(&samples(1.0, 1.0), &burst, Pace::Server);
        let errors = find(&rows, "errors");
        assert_eq!((errors.a, errors.b, errors.word), (0.0, 0.05, Word::Same));
        assert!(errors.low <= errors.ratio && errors.ratio <= errors.high);
    }

    #[test]
    fn cpu_of_one_run_is_shown_but_not_judged() {
        let cpu = |ns: f64| Samples { cpu: vec![ns], ..samples(1.0, 1.0) };
        let rows = rows(&cpu(2_000.0), &cpu(3_000.0), Pace::Server);
        let row = find(&rows, "server CPU per request");
        assert_eq!((row.a, row.b, row.word), (2_000.0, 3_000.0, Word::Unsaid));
        assert_eq!(row.ratio, 1.5);
    }
}
