//! A comparison as a table with a forest plot: every measure's ratio with its interval, on one scale, around 1.
//!
//! In: the rows of a comparison. Out: a table. A ratio that is twice as high lies as far from 1 as one half.

use super::escape::esc;
use super::scale::Scale;
use super::svg::percent;
use super::table::{Cell, Column, Table};
use crate::model::{Comparison, Row, Word};
use crate::report::{ends, measured, p_value, said, share, trimmed};

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
    let columns = [
        Column::Name("measure"),
        Column::Number("A"),
        Column::Number("B"),
        Column::Number("B / A"),
        Column::Number("95 % interval"),
        Column::Drawing("forest"),
        Column::Number("p"),
        Column::Text("in words"),
    ];
    let mut table = Table::new("compare", &columns, &axis(scale));
    for row in &comparison.rows {
        table.row(
            "",
            [
                row.measure.clone().into(),
                measured(row.a, &row.unit).into(),
                measured(row.b, &row.unit).into(),
                trimmed(row.ratio, 3).into(),
                ends(row.low, row.high).into(),
                Cell::Markup(whisker(row, scale)),
                p_value(row.p_value).into(),
                Cell::Markup(words(row)),
            ],
        );
    }
    table.finish()
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
    format!(
        concat!(
            r#"<svg class="mini {}" height="22" role="img" aria-label="ratio {}">"#,
            r#"<line class="one" x1="50%" x2="50%" y2="22"/>"#,
            r#"<line class="bar" x1="{}" x2="{}" y1="11" y2="11"/>"#,
            r#"<circle class="dot" cx="{}" cy="11" r="4"/></svg>"#
        ),
        class(row.word),
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
        Word::Same => {
            format!(r#" <span class="note more">(would have seen {})</span>"#, esc(&share(row.detectable)))
        }
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
        assert_eq!(whisker(&row(f64::NAN, 0.9, 1.1), Scale::from_zero(1.0)), "–");
        assert_eq!(whisker(&row(0.0, 0.0, 0.0), Scale::from_zero(1.0)), "–");
    }
}
