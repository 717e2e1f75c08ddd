//! A comparison: what may be said, measure by measure, the curves over each other, and how each side was run.
//!
//! In: a comparison. Out: its page, with its title. Never: an interval drawn from all samples together: those of one
//! round hang together, and how sure a difference is, the rounds alone can tell.

use super::escape::esc;
use super::nines::Curve;
use super::{figure, forest, nines, page, tables};
use crate::model::{Comparison, Side};
use crate::report::{conclusion, plural};
use std::fmt::Write as _;

pub(super) fn body(comparison: &Comparison) -> String {
    let valid = comparison.invalid.is_empty();
    let badge = if valid { page::badge("good", "VALID") } else { page::badge("bad", "INVALID") };
    let (a, b) = (&comparison.a, &comparison.b);
    let sub = format!("A: {} · B: {}", side(a), side(b));
    let mut out = page::header("corelane-loadgen compare", &conclusion(comparison), &sub, &badge);
    if !valid {
        let reasons: String = comparison.invalid.iter().map(|why| format!("<p>{}</p>", esc(why))).collect();
        out += &page::warning("INVALID", "The numbers below must not be quoted.", &reasons);
    }
    out += r#"<h2>B against A</h2><p class="note">Medians of the samples. Left of 1, B has less.</p>"#;
    out += &forest::table(comparison);
    let curves =
        [("A", a), ("B", b)].map(|(name, side)| Curve { name, latency: &side.response, intervals: None });
    let text = "All samples of each side together; how sure a difference is, the table says.";
    figure(&mut out, "Response time by percentile", text, nines::chart(&curves, &[]), "No request ended.");
    out += "<h2>Differences of the set-up</h2>";
    if comparison.differences.is_empty() {
        out += "<p>None: the sides differ in the target alone.</p>";
    } else {
        let items: String =
            comparison.differences.iter().map(|text| format!("<li>{}</li>", esc(text))).collect();
        let _ = write!(out, "<ul>{items}</ul>");
    }
    for (name, side) in [("A", a), ("B", b)] {
        let _ = write!(
            out,
            r#"<section class="run">{}"#,
            page::header(name, &side.name, "", &page::badges(&side.run))
        );
        out += &page::banner(&side.run);
        out += &tables::percentiles(&side.run);
        out += &tables::errors(&side.run);
        out += &tables::setup(&side.run);
        out += "</section>";
    }
    out
}

fn side(side: &Side) -> String {
    format!("{} ({})", side.name, plural(side.samples, "sample", "samples"))
}
