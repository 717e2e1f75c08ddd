//! The report as one page that can be sent to a colleague.
//!
//! In: documents. Out: one HTML file with its style, its charts and its data inside. Never: loads anything, needs a
//! script, grows over [`BYTES_MAX`] (it leaves out, and says what), or lets foreign text become markup.

mod comparison;
mod escape;
mod flow;
mod forest;
mod heat;
mod nines;
mod overview;
mod page;
mod rates;
mod run;
mod scale;
mod search;
mod svg;
mod table;
mod tables;
mod time;

use crate::model::{Content, Document, Run};
use crate::report::{conclusion, is_believable, plural, urls};
use escape::esc;
use std::fmt::Write as _;

/// A page that still goes through any mail: 300 kB.
pub const BYTES_MAX: usize = 300_000;
/// Around the data inside a page. No other text in it can contain the first: `<` is escaped everywhere.
pub(super) const EMBEDDED_BEGIN: &str = r#"<script type="application/json" class="recorded">"#;
pub(super) const EMBEDDED_END: &str = "</script>";
const STYLE: &str = include_str!("style.css");

/// How much a page holds. The first whose page is small enough is taken.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// Overview alone, where there are too many documents for more.
    Overview,
    /// Without the data and with a coarse heat map.
    Coarse,
    /// Without the data.
    Charts,
    /// The data without what the heat map is drawn from.
    NoBands,
    /// Everything.
    Whole,
}

const DETAILS: [Detail; 5] =
    [Detail::Whole, Detail::NoBands, Detail::Charts, Detail::Coarse, Detail::Overview];

/// The page about one document, or about several beside each other.
pub fn html(documents: &[Document]) -> String {
    let mut page = String::new();
    for detail in DETAILS {
        page = whole(documents, detail);
        if page.len() <= BYTES_MAX {
            break;
        }
    }
    page
}

fn whole(documents: &[Document], detail: Detail) -> String {
    let body = match documents {
        [] => page::header("corelane-loadgen", "Nothing was recorded", "There is no run to show.", ""),
        [one] => document(one, detail),
        several => overview::body(several, detail),
    };
    let data: String = documents.iter().filter_map(|document| embedded(document, detail)).collect();
    format!(
        concat!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>",
            "<title>{}</title><style>{}</style></head>\n",
            "<body><main>{}<footer>{}{}</footer></main>\n{}</body></html>\n"
        ),
        esc(&title(documents)),
        STYLE,
        body,
        page::HOW_TO_READ,
        left_out(detail),
        data
    )
}

fn title(documents: &[Document]) -> String {
    match documents {
        [one] => match &one.content {
            Content::Run(run) => {
                format!("{}: {}", if is_believable(run) { "VALID" } else { "INVALID" }, urls(&run.setup))
            }
            Content::Search(search) => search.answer.words.clone(),
            Content::Comparison(comparison) => conclusion(comparison),
        },
        several => plural(several.len() as u64, "recorded run", "recorded runs"),
    }
}

fn left_out(detail: Detail) -> &'static str {
    match detail {
        Detail::Whole => {
            "<p>The recorded data are inside this page: corelane-loadgen report reads it again.</p>"
        }
        Detail::NoBands => {
            "<p>To keep the page small, the recorded data are inside but for the bands of the heat map.</p>"
        }
        Detail::Charts | Detail::Coarse => "<p>To keep the page small, the recorded data are not inside.</p>",
        Detail::Overview => {
            "<p>To keep the page small, it shows no run by itself, and the recorded data are not inside.</p>"
        }
    }
}

fn embedded(document: &Document, detail: Detail) -> Option<String> {
    if detail < Detail::NoBands {
        return None;
    }
    let mut document = document.clone();
    if detail == Detail::NoBands {
        without_bands(&mut document);
    }
    let json = serde_json::to_string(&document).expect("plain data under names of ours is always JSON");
    Some(format!("{EMBEDDED_BEGIN}{}{EMBEDDED_END}", escape::script(&json)))
}

fn without_bands(document: &mut Document) {
    let runs: Vec<&mut Run> = match &mut document.content {
        Content::Run(run) => vec![run],
        Content::Search(search) => vec![&mut search.run],
        Content::Comparison(comparison) => vec![&mut comparison.a.run, &mut comparison.b.run],
    };
    for run in runs {
        run.intervals.iter_mut().for_each(|interval| interval.bands.clear());
    }
}

fn document(document: &Document, detail: Detail) -> String {
    match &document.content {
        Content::Run(run) => page::run_header(run) + &run::body(run, detail),
        Content::Search(search) => search::body(search, detail),
        Content::Comparison(comparison) => comparison::body(comparison),
    }
}

/// A chart with its title and what to know of it, or why there is none.
fn figure(out: &mut String, title: &str, text: &str, chart: Option<String>, empty: &str) {
    let _ = match chart {
        Some(chart) => {
            write!(out, "<figure><h2>{title}</h2><figcaption>{text}</figcaption>{chart}</figure>")
        }
        None => write!(out, r#"<h2>{title}</h2><p class="note">{empty}</p>"#),
    };
}
