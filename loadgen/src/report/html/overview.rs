//! Several documents beside each other: a line for each, their curves over each other, then each in full.
//!
//! In: documents. Out: a page, with its title. Never: more lines than a page can carry.

use super::nines::Curve;
use super::table::{Cell, Column, Table};
use super::{Detail, document, figure, nines, page};
use crate::model::{Content, Document};
use crate::report::{conclusion, load, plural, rate, tame, urls};
use crate::units::format_ns;
use std::fmt::Write as _;

/// Characters of a name beside a curve.
const NAME_MAX: usize = 32;
/// Documents with a line of their own: of a hundred bytes to a thousand each.
const ROWS_MAX: usize = 200;

/// Several documents: a line for each, their curves over each other, then each in full.
pub(super) fn body(documents: &[Document], detail: Detail) -> String {
    let count = plural(documents.len() as u64, "recorded run", "recorded runs");
    let mut out = page::header("corelane-loadgen report", &count, "", "");
    let numbers = ["offered", "completed", "p50", "p99", "p99.9"].map(Column::Number);
    let columns = [Column::Text(""), Column::Long("what"), Column::Text("verdict")];
    let columns: Vec<Column> = columns.into_iter().chain(numbers).collect();
    let mut table = Table::new("", &columns, "");
    for (index, document) in documents.iter().take(ROWS_MAX).enumerate() {
        row(&mut table, index + 1, document, detail);
    }
    out += &table.finish();
    if documents.len() > ROWS_MAX {
        let _ = write!(out, r#"<p class="note">And {} more.</p>"#, documents.len() - ROWS_MAX);
    }
    let runs = documents.iter().enumerate().filter_map(|(index, document)| match &document.content {
        Content::Run(run) => Some((format!("{}  {}", index + 1, tame(&urls(&run.setup), NAME_MAX)), run)),
        Content::Search(_) | Content::Comparison(_) => None,
    });
    let runs: Vec<_> = runs.take(nines::CLASSES.len()).collect();
    let curves: Vec<Curve<'_>> = runs
        .iter()
        .map(|(name, run)| Curve { name, latency: &run.response, intervals: Some(&run.intervals) })
        .collect();
    if !curves.is_empty() {
        let text = "Each further nine has the same width. Shaded: 95 % intervals of the first two, as far \
                    as they have bounds. At most six runs are drawn.";
        let chart = nines::chart(&curves, &[]);
        figure(&mut out, "Response time by percentile", text, chart, "No request ended.");
    }
    if detail > Detail::Overview {
        for (index, one) in documents.iter().enumerate() {
            let _ = write!(
                out,
                r#"<section class="run" id="run-{}">{}</section>"#,
                index + 1,
                document(one, detail)
            );
        }
    }
    out
}

fn row(table: &mut Table, number: usize, document: &Document, detail: Detail) {
    let (what, verdict, run) = match &document.content {
        Content::Run(run) => {
            (format!("{} · {}", urls(&run.setup), load(&run.setup.load)), page::badges(run), Some(run))
        }
        Content::Search(search) => (format!("search: {}", search.answer.words), String::new(), None),
        Content::Comparison(comparison) => {
            (format!("comparison: {}", conclusion(comparison)), String::new(), None)
        }
    };
    let numbers: [String; 5] = run.map_or_else(Default::default, |run| {
        let at = |q| if run.response.count() == 0 { "–".into() } else { format_ns(run.response.at(q)) };
        let [offered, completed] = [run.offered_rate(), run.rate()].map(rate);
        [offered, completed, at(0.5), at(0.99), at(0.999)]
    });
    let number = match detail {
        Detail::Overview => number.to_string(),
        _ => format!(r##"<a href="#run-{number}">{number}</a>"##),
    };
    let verdict = format!(r#"<div class="badges">{verdict}</div>"#);
    let [offered, completed, p50, p99, p99_9] = numbers.map(Cell::Text);
    let [number, verdict] = [number, verdict].map(Cell::Markup);
    table.row("", [number, what.into(), verdict, offered, completed, p50, p99, p99_9]);
}
