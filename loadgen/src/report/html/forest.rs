//! A comparison as a table with a forest plot: every measure's ratio with its interval, on one scale, around 1.
//!
//! In: the rows of a comparison. Out: a table. A ratio that is twice as high lies as far from 1 as one half.

use super::escape::esc;
use super::svg::{Scale, percent};
use crate::model::{Comparison, Row, Word};
use crate::report::{ends, measured, p_value, said, share, trimmed};
use std::fmt::Write as _;

/// The scale reaches at least this far to both sides, so that noise doesn't look like a difference.
const REACH_MIN: f64 = 1.25;
/// And at most so far: what lies beyond is drawn at the edge, and its numbers stand beside it.
const REACH_MAX: f64 = 20.0;

/// The table.
pub(super) fn table(comparison: &Comparison) -> String {
    if comparison.rows.is_empty() {
        return r#"<p class="note">Nothing could be compared.</p>"#.into();
    }
    let scale = scale(&comparison.rows);
    let mut out = format!(
        concat!(
            r#"<div class="scroll"><table><thead><tr><th>measure</th><th class="num">A</th><th class="num">B</th>"#,
            r#"<th class="num">B / A</th><th class="num">95 % interval</th><th class="forest">{}</th>"#,
            r#"<th class="num">p</th><th>in words</th></tr></thead><tbody>"#
        ),
        axis(scale)
    );
    for row in &comparison.rows {
        let _ = write!(
            out,
            r#"<tr><td class="nowrap">{}</td><td class="num">{}</td><td class="num">{}</td><td class="num">{}</td><td class="num">{}</td><td class="forest">{}</td><td class="num">{}</td><td>{}</td></tr>"#,
            esc(&row.measure),
            measured(row.a, &row.unit),
            measured(row.b, &row.unit),
            trimmed(row.ratio, 3),
            ends(row.low, row.high),
            whisker(row, scale),
            esc(&p_value(row.p_value)),
            words(row),
        );
    }
    out.push_str("</tbody></table></div>");
    out
}

fn scale(rows: &[Row]) -> Scale {
    let ends = rows.iter().flat_map(|row| [row.low, row.high, row.ratio]);
    let reach = ends
        .filter(|end| end.is_finite() && *end > 0.0)
        .map(|end| end.max(1.0 / end))
        .fold(REACH_MIN, f64::max);
    let reach = (reach * 1.05).min(REACH_MAX);
    Scale::Log { from: 1.0 / reach, to: reach }
}

/// The plot's scale, in the table's head.
fn axis(scale: Scale) -> String {
    let ends = [scale.value(0.0), scale.value(1.0)].map(|end| trimmed(end, 2));
    format!(
        concat!(
            r#"<svg class="mini" height="22" role="img" aria-label="ratio, from {0} to {1}">"#,
            r#"<text x="0" y="17">{0}</text><text class="x" x="50%" y="17">1</text>"#,
            r#"<text class="last" x="100%" y="17">{1}</text></svg>"#
        ),
        ends[0], ends[1]
    )
}

fn whisker(row: &Row, scale: Scale) -> String {
    if ![row.ratio, row.low, row.high].iter().all(|end| end.is_finite() && *end > 0.0) {
        return "–".into();
    }
    let [ratio, low, high] = [row.ratio, row.low, row.high].map(|end| percent(scale.place(end)));
    let class = class(row.word);
    format!(
        concat!(
            r#"<svg class="mini {}" height="22" role="img" aria-label="ratio {}"><line class="one" x1="50%" x2="50%" y2="22"/>"#,
            r#"<line class="bar" x1="{}" x2="{}" y1="11" y2="11"/><circle class="dot" cx="{}" cy="11" r="4"/></svg>"#
        ),
        class,
        trimmed(row.ratio, 3),
        low,
        high,
        ratio
    )
}

fn class(word: Word) -> &'static str {
    match word {
        Word::Better => "good",
        Word::Worse => "bad",
        Word::Same => "service",
        Word::Unsaid => "dim",
    }
}

fn words(row: &Row) -> String {
    let more = match row.word {
        Word::Same => format!(r#" <span class="note">(would have seen {})</span>"#, share(row.detectable)),
        _ => String::new(),
    };
    format!(r#"<span class="{}">{}</span>{more}"#, class(row.word), said(row.word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: f64, low: f64, high: f64) -> Row {
        let measure = "p99".to_owned();
        Row {
            measure,
            a: 1.0,
            b: 1.0,
            unit: "ns".into(),
            ratio,
            low,
            high,
            p_value: 0.01,
            detectable: 0.03,
            word: Word::Same,
        }
    }

    #[test]
    fn twice_and_half_are_as_far_from_one() {
        let scale = scale(&[row(2.0, 1.5, 2.5)]);
        let [half, one, twice] = [0.5, 1.0, 2.0].map(|ratio| scale.place(ratio));
        assert!((one - 0.5).abs() < 1e-9);
        assert!((twice - one - (one - half)).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_of_nothing_has_no_place() {
        assert_eq!(whisker(&row(f64::NAN, 0.0, f64::INFINITY), Scale::from_zero(1.0)), "–");
        assert_eq!(whisker(&row(0.0, 0.0, 0.0), Scale::from_zero(1.0)), "–");
    }
}
