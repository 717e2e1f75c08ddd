//! Shows what was recorded: as text, as a page, as JSON, as an HdrHistogram table, as lines while it runs.
//!
//! In: `model` data, alone. Out: text of its kind. Never: measures, judges, or reads a clock; only [`json::read`]
//! touches a file. What several of them say, they say in the words below.

pub mod hgrm;
pub mod html;
pub mod intervals;
pub mod json;
pub mod text;

use crate::model::{Check, Comparison, Load, Outcome, Piece, Run, Setup, Word};
use crate::quantile::Quantile;
use crate::units::{format_count, format_ns, format_rate, format_share};

/// `2.27 ms – 2.40 ms`, or what alone bounds it.
fn interval(quantile: &Quantile) -> String {
    let low = format_ns(quantile.low_ns);
    if quantile.is_bounded {
        format!("{low} – {}", format_ns(quantile.high_ns))
    } else {
        format!("at least {low}")
    }
}

/// At most so many digits behind the point, without zeros at the end; a dash for what is no number.
fn trimmed(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// `30 s`, `1.5 s`, `250 ms`.
fn seconds(ns: u64) -> String {
    if ns != 0 && ns < 1_000_000_000 { format_ns(ns) } else { format!("{} s", trimmed(ns as f64 / 1e9, 1)) }
}

/// A share in percent; a dash for what is no number.
fn share(share: f64) -> String {
    // What is not known is written as the largest number, as JSON has no infinity.
    if share < 1e6 { format_share(share) } else { "–".into() }
}

/// `184k/s`; a dash for what is no number.
fn rate(rate: f64) -> String {
    if rate.is_finite() { format!("{}/s", format_rate(rate)) } else { "–".into() }
}

/// Two ends, or a dash where they are none.
fn ends(low: f64, high: f64) -> String {
    if low.is_finite() && high.is_finite() {
        format!("{}–{}", trimmed(low, 3), trimmed(high, 3))
    } else {
        "–".into()
    }
}

/// Whether the run's numbers may be quoted: it was judged, and no check failed.
fn is_believable(run: &Run) -> bool {
    !run.checks.is_empty() && run.is_valid()
}

/// `12.3 MB`.
fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = if count.is_finite() { count } else { 0.0 };
    let mut unit = 0;
    while size >= 1_000.0 && unit + 1 < UNITS.len() {
        size /= 1_000.0;
        unit += 1;
    }
    let digits = if unit == 0 || size >= 100.0 { 0 } else { 1 };
    format!("{size:.digits$} {}", UNITS[unit])
}

/// A value of a comparison's row, in its unit.
fn measured(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    match unit {
        "ns" => format_ns(value.max(0.0).round() as u64),
        "/s" => rate(value),
        "share" => share(value),
        _ => trimmed(value, 3),
    }
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", format_count(count), if count == 1 { one } else { many })
}

/// The first URL, and how many there are besides.
fn urls(setup: &Setup) -> String {
    match setup.urls.as_slice() {
        [] => "no URL".into(),
        [(url, _)] => url.clone(),
        [(url, _), rest @ ..] => format!("{url} and {} more", rest.len()),
    }
}

/// `open loop, 100k/s, Poisson arrivals`.
fn load(load: &Load) -> String {
    match load {
        Load::Closed => "closed loop".into(),
        Load::Open { arrivals, pieces } => {
            // A name keeps its capital.
            let arrivals = if arrivals == "poisson" { "Poisson" } else { arrivals };
            format!("open loop, {}, {arrivals} arrivals", rates(pieces))
        }
    }
}

fn rates(pieces: &[Piece]) -> String {
    match pieces {
        [] => "no rate".into(),
        [one] if one.from == one.to => rate(one.from),
        [one] => format!("{} to {}", rate(one.from), rate(one.to)),
        [first, .., last] => {
            format!("{} pieces from {} to {}", pieces.len(), rate(first.from), rate(last.to))
        }
    }
}

/// Lanes, connections, engine: what the requests came through.
fn means(setup: &Setup) -> String {
    let cores = setup.cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let lanes = plural(setup.cores.len() as u64, "lane", "lanes");
    let on = match setup.cores.len() {
        0 => String::new(),
        1 => format!(" on core {cores}"),
        _ => format!(" on cores {cores}"),
    };
    let engine = if setup.engine.is_empty() { String::new() } else { format!(" · {}", setup.engine) };
    format!("{} · {lanes}{on}{engine}", plural(setup.connections, "connection", "connections"))
}

fn window(run: &Run) -> String {
    let cut = if run.interrupted { ", interrupted" } else { "" };
    match run.setup.warmup_ns {
        0 => format!("{} window{cut}", seconds(run.window_ns)),
        warmup => format!("{} window behind {} of warm-up{cut}", seconds(run.window_ns), seconds(warmup)),
    }
}

/// CPU time of the target's threads over the answers in the window.
fn target_cpu_ns(run: &Run) -> Option<u64> {
    let target = run.target.as_ref().filter(|target| target.cpu_ns > 0)?;
    let answers = run.counts.completed_in_window + run.counts.wrong;
    target.cpu_ns.checked_div(answers)
}

fn checks_of(run: &Run, outcome: Outcome) -> impl Iterator<Item = &Check> {
    run.checks.iter().filter(move |check| check.outcome == outcome)
}

/// A word of the ledger's: how often each kind of wrong answer was seen.
fn ledger(run: &Run) -> Option<String> {
    let ledger = run.ledger?;
    let kinds = [
        (ledger.swapped, "swapped"),
        (ledger.duplicated, "duplicated"),
        (ledger.misrouted, "misrouted"),
        (ledger.corrupted, "corrupted"),
        (ledger.lost, "lost"),
    ];
    let seen: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", format_count(*count)))
        .collect();
    if seen.is_empty() { Some("every answer belongs to its request".into()) } else { Some(seen.join(", ")) }
}

/// A rank test's p; what is under a thousandth need not be known better.
fn p_value(p: f64) -> String {
    if (0.0..0.001).contains(&p) { "<.001".into() } else { trimmed(p, 3) }
}

/// What may be said of a comparison's second side.
fn said(word: Word) -> &'static str {
    match word {
        Word::Better => "B is better",
        Word::Worse => "B is worse",
        Word::Same => "no detectable difference",
        Word::Unsaid => "too few samples",
    }
}

/// One line about all measures.
fn conclusion(comparison: &Comparison) -> String {
    if !comparison.invalid.is_empty() {
        return "INVALID: a run of either side can't be trusted, so nothing is concluded".into();
    }
    let named = |word| {
        let rows = comparison.rows.iter().filter(move |row| row.word == word);
        rows.map(|row| row.measure.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (better, worse) = (named(Word::Better), named(Word::Worse));
    match (better.is_empty(), worse.is_empty()) {
        (false, false) => format!("B is better in {better}, worse in {worse}"),
        (false, true) => format!("B is better in {better}"),
        (true, false) => format!("B is worse in {worse}"),
        (true, true) if named(Word::Same).is_empty() => "too few samples to say anything".into(),
        (true, true) => "no detectable difference between A and B".into(),
    }
}

/// What is not ours, made harmless for a terminal and a page: no control characters, no more than `max` characters.
fn tame(text: &str, max: usize) -> String {
    let mut shown: String =
        text.chars().take(max).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::percentile_name;

    #[test]
    fn a_percentile_is_named_as_people_say_it() {
        let names: Vec<String> = [0.5, 0.99, 0.999, 0.9999, 0.99999].map(percentile_name).into();
        assert_eq!(names, ["p50", "p99", "p99.9", "p99.99", "p99.999"]);
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        assert_eq!(trimmed(f64::NAN, 2), "–");
        assert_eq!(measured(f64::INFINITY, "ns"), "–");
        assert_eq!([share(f64::NAN), rate(f64::INFINITY), ends(1.0, f64::NAN)], ["–", "–", "–"]);
        assert_eq!(ends(0.9, 1.25), "0.9–1.25");
        assert_eq!(bytes(f64::NAN), "0 B");
        assert_eq!(bytes(12_345_678.0), "12.3 MB");
    }

    #[test]
    fn text_that_is_not_ours_can_not_move_the_cursor() {
        assert_eq!(tame("a\u{1b}[2Jb\r\n", 99), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert_eq!(tame("abcdef", 4), "abc…");
        assert_eq!(tame("abcd", 4), "abcd");
    }
}
