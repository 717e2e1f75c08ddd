//! Two sides, each measured once or several times: better, worse, or no detectable difference.
//!
//! In: the recorded runs of both sides. Out: a [`Comparison`] with a row for each measure, and whether it passes a
//! gate. Never: concludes anything from an invalid run, or calls a difference that the rank test does not carry.
//!
//! Four runs and more on each side are compared as rounds, one number each. Fewer are cut into slices; these are
//! not independent, and what differs from one start of a server to the next isn't in them: a note says so.
//!
//! A row is called better or worse if p < 0.05 and the ratio's 95 % interval excludes 1. Each row is judged for
//! itself, without a correction for there being several: such a correction would take from four or five rounds the
//! chance to say anything at all. Of many comparisons without a difference a row is therefore called wrongly in up
//! to one of twenty, and a gate, which looks at two rows and one direction, fails in up to one of twenty.

mod differences;
mod rows;
mod samples;

use crate::model::{Check, Comparison, Latency, Outcome, Row, Run, Side, Word};
use samples::Samples;

/// What is compared, in the order of the rows.
pub const MEASURES: [&str; 8] =
    ["p50", "p90", "p99", "p99.9", "max", "rate", "errors", "server CPU per request"];
/// The measures that fail a gate if the user names no others.
pub const GATE_MEASURES: [&str; 2] = ["p99", "rate"];
/// Runs of each side that can be compared as rounds; with fewer no rank test reaches p < 0.05.
pub const ROUNDS_MIN: usize = 4;
/// Stands in a [`Row`] for infinite, which JSON can't say: no upper end, nothing detectable, something over zero.
pub const UNKNOWN: f64 = f64::MAX;

/// The second side against the first, the baseline: a name and the runs of each, at least one. `None` if a side
/// has no run.
pub fn compare(a: (String, &[Run]), b: (String, &[Run])) -> Option<Comparison> {
    let first_runs = (a.1.first()?, b.1.first()?);
    let (samples, note) = Samples::of_both(a.1, b.1);
    let invalid = [why_invalid(&a.0, a.1), why_invalid(&b.0, b.1)].concat();
    let mut rows = rows::rows(&samples.0, &samples.1, rows::pace(first_runs.0, first_runs.1));
    if !invalid.is_empty() {
        rows.iter_mut().for_each(|row| row.word = Word::Unsaid);
    }
    let mut differences: Vec<String> = note.into_iter().collect();
    differences.extend(differences::between(first_runs.0, first_runs.1));
    Some(Comparison { a: side(a, &samples.0)?, b: side(b, &samples.1)?, rows, differences, invalid })
}

fn side((name, runs): (String, &[Run]), samples: &Samples) -> Option<Side> {
    let run = runs.first()?.clone();
    Some(Side { name, samples: samples.rate.len() as u64, response: merge_latency(runs), run })
}

/// A line for each failed check of each run, and for each run that ended before its time.
fn why_invalid(name: &str, runs: &[Run]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let which = if runs.len() == 1 { name.to_string() } else { format!("{name}, run {}", index + 1) };
        let failed = run.checks.iter().filter(|check| check.outcome == Outcome::Fail);
        lines.extend(failed.map(|Check { name, found, wanted, .. }| {
            format!("{which}: {name}: found {found}, wanted {wanted}")
        }));
        if run.interrupted {
            lines.push(format!("{which}: interrupted"));
        }
    }
    lines
}

/// All response times of the runs in one distribution: percentiles are never averaged.
pub fn merge_latency(runs: &[Run]) -> Latency {
    let mut merged = Latency::new();
    for value in runs.iter().flat_map(|run| run.response.0.iter_recorded()) {
        merged.0.saturating_record_n(value.value_iterated_to(), value.count_at_value());
    }
    merged
}

/// What a comparison says to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// None of the rows is worse.
    Fine,
    /// At least one is.
    Worse,
    /// Nothing can be concluded of at least one: a run was invalid, samples were too few, or there is no such row.
    Invalid,
}

/// Looks at the rows of these measures: names out of [`MEASURES`], by default [`GATE_MEASURES`].
pub fn exit_word(comparison: &Comparison, measures: &[&str]) -> Exit {
    if !comparison.invalid.is_empty() {
        return Exit::Invalid;
    }
    let row = |measure: &&str| comparison.rows.iter().find(|row: &&Row| row.measure == **measure);
    let words: Vec<Word> =
        measures.iter().map(|measure| row(measure).map_or(Word::Unsaid, |row| row.word)).collect();
    match () {
        _ if words.contains(&Word::Worse) => Exit::Worse,
        _ if words.contains(&Word::Unsaid) => Exit::Invalid,
        _ => Exit::Fine,
    }
}

/// A side of an interleaved comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AB {
    /// The first, the baseline.
    A,
    /// The second.
    B,
}

/// The order in which so many rounds of both sides run: A B, B A, A B, … so that what drifts meets both alike.
pub fn order(rounds: usize) -> Vec<AB> {
    (0..rounds).flat_map(|round| if round % 2 == 0 { [AB::A, AB::B] } else { [AB::B, AB::A] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn sides(a: &[Run], b: &[Run]) -> Comparison {
        compare(("one".into(), a), ("other".into(), b)).unwrap()
    }

    /// The example, with all times so much longer, and so many requests.
    fn run(times: f64, rate: f64) -> Run {
        let mut run = example::run();
        let mut response = Latency::new();
        for value in run.response.0.iter_recorded() {
            let ns = (value.value_iterated_to() as f64 * times) as u64;
            response.0.saturating_record_n(ns, value.count_at_value());
        }
        run.response = response;
        run.counts.completed_in_window = (run.counts.completed_in_window as f64 * rate) as u64;
        run
    }

    fn rounds(times: f64, rate: f64) -> Vec<Run> {
        [0.99, 1.0, 1.02, 1.01, 0.98].iter().map(|noise| run(times * noise, rate * noise)).collect()
    }

    fn word(comparison: &Comparison, measure: &str) -> Word {
        comparison.rows.iter().find(|row| row.measure == measure).unwrap().word
    }

    #[test]
    fn rounds_that_are_slower_are_worse_and_fail_the_gate() {
        let comparison = sides(&rounds(1.0, 1.0), &rounds(1.2, 1.0));
        let p99 = comparison.rows.iter().find(|row| row.measure == "p99").unwrap();
        assert_eq!((p99.word, p99.unit.as_str()), (Word::Worse, "ns"));
        assert!((p99.ratio - 1.2).abs() < 0.01 && p99.low > 1.15 && p99.high < 1.25, "{p99:?}");
        assert!((p99.p_value - 2.0 / 252.0).abs() < 1e-9);
        assert!((0.02..0.08).contains(&p99.detectable), "{p99:?}");
        assert_eq!(comparison.a.samples, 5);
        assert_eq!(exit_word(&comparison, &GATE_MEASURES), Exit::Worse);
        assert_eq!(exit_word(&comparison, &["rate"]), Exit::Fine);
        let turned = sides(&rounds(1.2, 1.0), &rounds(1.0, 1.0));
        assert_eq!(word(&turned, "p99"), Word::Better);
        assert_eq!(exit_word(&turned, &GATE_MEASURES), Exit::Fine);
    }

    #[test]
    fn rounds_that_do_not_differ_are_said_not_to_with_what_would_have_shown() {
        let comparison = sides(&rounds(1.0, 1.0), &rounds(1.0, 1.0));
        for row in &comparison.rows {
            assert_eq!(row.word, Word::Same, "{row:?}");
        }
        assert_eq!(exit_word(&comparison, &GATE_MEASURES), Exit::Fine);
        assert_eq!(comparison.rows.iter().map(|row| row.measure.as_str()).collect::<Vec<_>>(), MEASURES);
        assert_eq!(comparison.differences, Vec::<String>::new());
    }

    #[test]
    fn an_invalid_run_says_why_and_nothing_else_is_said() {
        let mut bad = rounds(1.2, 1.0);
        bad[2].checks.push(Check {
            name: "own lag".into(),
            outcome: Outcome::Fail,
            found: "340 µs".into(),
            wanted: "under 50 µs".into(),
            help: String::new(),
        });
        bad[3].interrupted = true;
        let comparison = sides(&rounds(1.0, 1.0), &bad);
        let lines = ["other, run 3: own lag: found 340 µs, wanted under 50 µs", "other, run 4: interrupted"];
        assert_eq!(comparison.invalid, lines);
        assert!(comparison.rows.iter().all(|row| row.word == Word::Unsaid));
        assert_eq!(exit_word(&comparison, &GATE_MEASURES), Exit::Invalid);
    }

    #[test]
    fn a_gate_on_what_cannot_be_said_does_not_pass() {
        let (mut a, mut b) = (rounds(1.0, 1.0), rounds(1.0, 1.0));
        a.iter_mut().chain(&mut b).for_each(|run| run.target = None);
        let comparison = sides(&a, &b);
        assert_eq!(comparison.rows.len(), MEASURES.len() - 1);
        assert_eq!(exit_word(&comparison, &["server CPU per request"]), Exit::Invalid);
        assert_eq!(exit_word(&sides(&a[..1], &b[..1]), &["p99"]), Exit::Fine);
    }

    #[test]
    fn no_run_is_no_comparison() {
        assert!(compare(("one".into(), &[]), ("other".into(), &[example::run()])).is_none());
    }

    #[test]
    fn every_comparison_survives_json() {
        let runs = rounds(1.0, 1.0);
        assert_eq!(sides(&runs, &runs).rows[6].detectable, UNKNOWN);
        for (a, b) in [(&runs[..], &runs[..]), (&runs[..1], &runs[..1])] {
            let comparison = sides(a, b);
            let text = serde_json::to_string(&comparison).unwrap();
            let read: Comparison = serde_json::from_str(&text).unwrap();
            for (read, row) in read.rows.iter().zip(&comparison.rows) {
                assert_eq!((read.word, &read.measure), (row.word, &row.measure));
                assert_eq!(read.detectable == UNKNOWN, row.detectable == UNKNOWN);
                assert!((read.low - row.low).abs() <= 1e-12 * row.low);
            }
        }
    }

    #[test]
    fn merged_runs_have_the_percentiles_of_all_requests() {
        let merged = merge_latency(&[run(1.0, 1.0), run(100.0, 1.0)]);
        assert_eq!(merged.count(), 2 * example::run().response.count());
        assert!(merged.at(0.5) <= example::run().response.at(1.0));
        assert!(merged.at(0.75) > 50 * example::run().response.at(0.4));
    }

    #[test]
    fn drift_meets_both_sides_alike() {
        use AB::{A, B};
        assert_eq!(order(3), [A, B, B, A, A, B]);
        let place = |side| (0..).zip(order(4)).filter(|(_, at)| *at == side).map(|(n, _)| n).sum::<i32>();
        assert_eq!(place(A), place(B));
        assert_eq!(order(0), []);
    }
}
