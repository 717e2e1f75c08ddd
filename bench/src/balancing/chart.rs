//! The chart: what can happen to servers, and how slow one request of a hundred gets by each rule.
//!
//! In: rows. Out: an SVG, readable on light and dark pages: a field for each rule and trouble, at the highest
//! load, with the more colour the further it is from the best rule there. The number stands in the field, so
//! that nothing is said by colour alone.

use std::fmt::Write as _;

use super::cases::{HIGH, Question};
use super::tables::short;
use super::{OVERLOADED, RULES, Row};
use crate::chart;

const LEFT: usize = 190;
const TOP: usize = 74;
const WIDTH: usize = 116;
const HEIGHT: usize = 34;

/// So many times the best has all the colour there is.
const WORST: f64 = 10.0;

/// The share of failed requests, times this, has as much colour.
const FAILED: f64 = 2.5;

/// Besides what all charts have.
const STYLE: &str = "rect{fill:#c2410c}@media(prefers-color-scheme:dark){rect{fill:#fb923c}}";

/// What it shows.
pub(super) const TITLE: &str = "99 of 100 requests take no longer than so many mean service times";

const LEGEND: &str = "the more colour, the worse beside the best rule; (n %): so many requests failed";

/// The whole file.
pub(super) fn draw(rows: &[Row]) -> String {
    let columns: Vec<&Row> = rows
        .iter()
        .filter(|row| row.case.question == Question::Trouble && row.case.setup.load == HIGH)
        .collect();
    let (width, height) = (LEFT + WIDTH * columns.len() + 10, TOP + HEIGHT * RULES.len() + 34);
    let mut svg = String::new();
    for (rule, (_, name)) in RULES.iter().enumerate() {
        let y = TOP + HEIGHT * rule + 22;
        let _ = writeln!(svg, "<text class=\"r\" x=\"{}\" y=\"{y}\">{name}</text>", LEFT - 12);
    }
    for (column, row) in columns.iter().enumerate() {
        let x = LEFT + WIDTH * column;
        let middle = x + WIDTH / 2;
        let (one, two) = halves(row.case.setup.trouble.name());
        let _ = writeln!(svg, "<text class=\"c s\" x=\"{middle}\" y=\"{}\">{one}</text>", TOP - 24);
        let _ = writeln!(svg, "<text class=\"c s\" x=\"{middle}\" y=\"{}\">{two}</text>", TOP - 9);
        fields(&mut svg, row, x);
    }
    let _ = writeln!(
        svg,
        "<text class=\"s\" x=\"10\" y=\"{}\">16 servers, 16 lanes, load {HIGH}; {LEGEND}</text>",
        height - 10
    );
    chart::svg(width as f64, height as f64, TITLE, STYLE, &svg)
}

fn fields(svg: &mut String, row: &Row, x: usize) {
    let p99 = |rule: usize| row.outcomes[rule].quantiles[1];
    let best = (0..RULES.len()).map(p99).fold(f64::INFINITY, f64::min);
    for (rule, outcome) in row.outcomes.iter().enumerate() {
        let y = TOP + HEIGHT * rule;
        let is_overloaded = outcome.left > OVERLOADED;
        let times = if is_overloaded { WORST } else { p99(rule) / best };
        let slow = (times.max(1.0).ln() / WORST.ln()).min(1.0);
        // A failed request is no fast one.
        let shade = slow.max((outcome.failed * FAILED).min(1.0)) * 0.75;
        let text = match outcome.failed {
            _ if is_overloaded => "overload".to_owned(),
            0.0 => short(p99(rule)),
            failed => format!("{} ({} %)", short(p99(rule)), short(failed * 100.0)),
        };
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\" fill-opacity=\"{shade:.2}\"/>\
             <text class=\"c\" x=\"{}\" y=\"{}\">{text}</text>",
            x + 1,
            y + 1,
            WIDTH - 2,
            HEIGHT - 2,
            x + WIDTH / 2,
            y + 22
        );
    }
}

/// A name on two lines, cut at the blank nearest to its middle.
fn halves(name: &str) -> (&str, &str) {
    let distance = |at: &usize| at.abs_diff(name.len() / 2);
    let cut = name.match_indices(' ').map(|(at, _)| at).min_by_key(distance);
    cut.map_or((name, ""), |at| (&name[..at], &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::super::model::Outcome;
    use super::*;

    #[test]
    fn a_name_is_cut_near_its_middle() {
        assert_eq!(halves("1 of 8 is 5 × slower"), ("1 of 8 is", "5 × slower"));
        assert_eq!(halves("one"), ("one", ""));
    }

    #[test]
    fn every_rule_has_a_field_for_every_trouble() {
        let outcome = Outcome { quantiles: [1.0, 5.0, 7.0], most: 1.0, failed: 0.0, left: 0.0 };
        let rows: Vec<Row> = cases::all(true)
            .into_iter()
            .map(|case| Row { case, outcomes: vec![outcome; RULES.len()] })
            .collect();
        let svg = draw(&rows);
        assert_eq!(svg.matches("<rect ").count(), 7 * RULES.len());
        assert!(svg.ends_with("</svg>\n") && svg.contains("prefers-color-scheme:dark"));
    }
}
