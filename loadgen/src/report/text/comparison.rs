//! The report of a comparison: measure by measure, what may be said.
//!
//! In: a comparison. Out: its lines. Never: a word about a side whose runs were invalid.

use super::Lines;
use crate::model::{Comparison, Row, Side};
use crate::report::{conclusion, ends, load, means, measured, p_value, plural, said, share, trimmed};

const ROWS_MAX: usize = 18;
const NOTES_MAX: usize = 4;

pub(super) fn lines(lines: &mut Lines, comparison: &Comparison) -> (String, bool) {
    for (letter, side) in [("A", &comparison.a), ("B", &comparison.b)] {
        lines.named(letter, name(side));
    }
    lines.named(
        "Each",
        format!("{} · {}", load(&comparison.a.run.setup.load), means(&comparison.a.run.setup)),
    );
    lines.gap();
    rows(lines, &comparison.rows);
    lines.gap();
    notes(lines, "Differs", &comparison.differences);
    notes(lines, "Invalid", &comparison.invalid);
    (conclusion(comparison), comparison.invalid.is_empty())
}

fn name(side: &Side) -> String {
    format!("{} ({})", side.name, plural(side.samples, "sample", "samples"))
}

fn rows(lines: &mut Lines, rows: &[Row]) {
    if rows.is_empty() {
        lines.add("Nothing could be compared.");
        return;
    }
    lines.add(columns(["", "A", "B", "B/A", "95 %", "p", "detects", ""]));
    let shown = if rows.len() > ROWS_MAX { ROWS_MAX - 1 } else { rows.len() };
    for row in &rows[..shown] {
        lines.add(columns([
            &row.measure,
            &measured(row.a, &row.unit),
            &measured(row.b, &row.unit),
            &trimmed(row.ratio, 3),
            &ends(row.low, row.high),
            &p_value(row.p_value),
            &share(row.detectable),
            said(row.word),
        ]));
    }
    if let more @ 1.. = rows.len() - shown {
        lines.add(format!("and {more} more"));
    }
}

fn columns([measure, a, b, ratio, interval, p, detects, word]: [&str; 8]) -> String {
    format!("{measure:<22} {a:>8} {b:>8} {ratio:>5}  {interval:<11} {p:>5} {detects:>7}  {word}")
}

fn notes(lines: &mut Lines, name: &str, notes: &[String]) {
    let shown = if notes.len() > NOTES_MAX { NOTES_MAX - 1 } else { notes.len() };
    for note in &notes[..shown] {
        lines.named(name, note);
    }
    if let more @ 1.. = notes.len() - shown {
        lines.named("", format!("and {more} more"));
    }
}
