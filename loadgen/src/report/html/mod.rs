//! The report as one page that can be sent to a colleague.
//!
//! In: documents. Out: one HTML file with its style, its charts and its data inside. Never: loads anything, needs a
//! script, grows over [`BYTES_MAX`] (it leaves out, and says what), or lets foreign text become markup.

mod escape;
mod flow;
mod forest;
mod heat;
mod nines;
mod page;
mod rates;
mod svg;
mod tables;
mod time;

use crate::model::{Comparison, Content, Document, Run, Search, Side};
use crate::report::{conclusion, is_believable, load, means, plural, quantile_name, rate, tame, urls};
use crate::units::format_ns;
use escape::esc;
use nines::{Curve, Part};
use std::fmt::Write as _;

/// A page that still goes through any mail: 300 kB.
pub const BYTES_MAX: usize = 300_000;
/// Around the data inside a page. No other text in it can contain the first: `<` is escaped everywhere.
pub(super) const EMBEDDED_BEGIN: &str = r#"<script type="application/json" class="recorded">"#;
pub(super) const EMBEDDED_END: &str = "</script>";
/// Characters of a name beside a curve.
const NAME_MAX: usize = 32;
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
    let pages = DETAILS.map(|detail| move || whole(documents, detail));
    let mut last = String::new();
    for page in pages {
        last = page();
        if last.len() <= BYTES_MAX {
            break;
        }
    }
    last
}

fn whole(documents: &[Document], detail: Detail) -> String {
    let body = match documents {
        [] => page::header("corelane-loadgen", "Nothing was recorded", "There is no run to show.", ""),
        [one] => document(one, detail),
        several => overview(several, detail),
    };
    let data: String = documents.iter().filter_map(|document| embedded(document, detail)).collect();
    format!(
        concat!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>",
            "<title>{}</title><style>{}</style></head>\n<body><main>{}<footer>{}{}</footer></main>\n{}</body></html>\n"
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
            "<p>The recorded data are inside this page, but for the bands of the heat map, to keep it small.</p>"
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
        Content::Run(run) => page::run_header(run) + &run_body(run, detail),
        Content::Search(search) => search_body(search, detail),
        Content::Comparison(comparison) => comparison_body(comparison),
    }
}

fn run_body(run: &Run, detail: Detail) -> String {
    let mut out = page::banner(run) + &page::key_numbers(run) + &page::totals(run);
    out += &page::slos(run);
    out += &page::checks(run);
    out += &charts(run, detail);
    out += &tables::percentiles(run);
    out += &tables::errors(run);
    out += &tables::lanes(run);
    out += &tables::setup(run);
    out
}

fn charts(run: &Run, detail: Detail) -> String {
    let mut out = String::new();
    let parts = [
        Part { class: "service", name: "service", latency: &run.service },
        Part { class: "lag", name: "own lag", latency: &run.own_lag },
    ];
    let response = Curve { name: "response", latency: &run.response, intervals: Some(&run.intervals) };
    let text = "Each further nine has the same width. Shaded: 95 % interval of the response time. \
                Dotted: fewer than ten samples lie beyond.";
    figure(
        &mut out,
        "Response time by percentile",
        text,
        nines::chart(&[response], &parts),
        "No request ended in the window.",
    );
    if let Some(chart) = rates::of_steps(run) {
        let text = "One dot per held rate, read from the bands of the intervals inside it (to 7.5 %); \
                    bars are 95 % intervals.";
        figure(&mut out, "p99 against the offered rate", text, Some(chart), "");
    }
    let slices_max = if detail == Detail::Coarse { 60 } else { time::SLICES_MAX };
    let Some(time) = time::Time::of(run, time::SLICES_MAX) else {
        figure(&mut out, "Over time", "", None, "Nothing was recorded over time.");
        return out;
    };
    let text = format!(
        "Columns are slices of the window, rows are bands of response time; the lines are p50 and p99.{}",
        time.note()
    );
    let empty = "The bands that this is drawn from were not recorded.";
    figure(&mut out, "Response times over time", &text, heat::chart(run, slices_max), empty);
    figure(&mut out, "Requests over time", "", flow::chart(run), "");
    let text =
        "How late the generator was itself: handed to the kernel after it was due and a connection was free.";
    figure(&mut out, "Own lag over time", text, flow::lag_chart(run), "");
    out
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

fn search_body(search: &Search, detail: Detail) -> String {
    let run = &search.run;
    let badge = match search.answer.rate {
        Some(_) => page::badge("good", "FOUND"),
        None => page::badge("bad", "NOT FOUND"),
    };
    let sub = format!("{} · {}", urls(&run.setup), means(&run.setup));
    let mut out = page::header("corelane-loadgen search", &search.answer.words, &sub, &badge);
    if search.answer.limited_by_generator {
        let text = "The generator set the limit, not the server.";
        out += &page::warning("A lower bound.", text, "");
    }
    let name = quantile_name(search.quantile);
    let text = format!(
        "Filled: the rate met the target; rings: it missed (red) or the generator could not do it (grey). Bars are 95 % \
         intervals. Grey line: the ramp that brackets the answer. Shaded: the answer’s interval. The closed loop \
         reached {}.",
        rate(search.ceiling)
    );
    let title = format!("{name} against the offered rate");
    figure(&mut out, &title, &text, rates::of_search(search), "No rate was tried.");
    out += &tables::trials(search);
    let which = format!("The trial at {}", rate(run.offered_rate()));
    let _ =
        write!(out, r#"<section class="run">{}"#, page::header("in full", &which, "", &page::badges(run)));
    out += &run_body(run, detail);
    out += "</section>";
    out
}

fn comparison_body(comparison: &Comparison) -> String {
    let valid = comparison.invalid.is_empty();
    let badge = if valid { page::badge("good", "VALID") } else { page::badge("bad", "INVALID") };
    let (a, b) = (&comparison.a, &comparison.b);
    let sub = format!("A: {} · B: {}", side(a), side(b));
    let mut out = page::header("corelane-loadgen compare", &conclusion(comparison), &sub, &badge);
    if !valid {
        let reasons: String = comparison.invalid.iter().map(|why| format!("<p>{}</p>", esc(why))).collect();
        out += &page::warning("INVALID", "The numbers below must not be quoted.", &reasons);
    }
    out += "<h2>B against A</h2><p class=\"note\">Medians of the samples. Left of 1 the second side’s value is the smaller one.</p>";
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

/// Several documents: a line for each, their curves over each other, then each in full.
fn overview(documents: &[Document], detail: Detail) -> String {
    let count = plural(documents.len() as u64, "recorded run", "recorded runs");
    let mut out = page::header("corelane-loadgen report", &count, "", "");
    out += concat!(
        r#"<div class="scroll"><table><thead><tr><th></th><th>what</th><th>verdict</th><th class="num">offered</th>"#,
        r#"<th class="num">completed</th><th class="num">p50</th><th class="num">p99</th><th class="num">p99.9</th></tr></thead><tbody>"#
    );
    for (index, document) in documents.iter().enumerate() {
        overview_row(&mut out, index + 1, document, detail);
    }
    out += "</tbody></table></div>";
    let runs = documents.iter().enumerate().filter_map(|(index, document)| match &document.content {
        Content::Run(run) => Some((format!("{}  {}", index + 1, tame(&urls(&run.setup), NAME_MAX)), run)),
        Content::Search(_) | Content::Comparison(_) => None,
    });
    let runs: Vec<_> = runs.collect();
    let curves: Vec<Curve<'_>> = runs
        .iter()
        .map(|(name, run)| Curve { name, latency: &run.response, intervals: Some(&run.intervals) })
        .collect();
    if !curves.is_empty() {
        let text = "Each further nine has the same width. Shaded: 95 % intervals of the first two.";
        figure(
            &mut out,
            "Response time by percentile",
            text,
            nines::chart(&curves, &[]),
            "No request ended.",
        );
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

fn overview_row(out: &mut String, number: usize, document: &Document, detail: Detail) {
    let (what, verdict, run) = match &document.content {
        Content::Run(run) => {
            (format!("{} · {}", urls(&run.setup), load(&run.setup.load)), page::badges(run), Some(run))
        }
        Content::Search(search) => (format!("search: {}", search.answer.words), String::new(), None),
        Content::Comparison(comparison) => {
            (format!("comparison: {}", conclusion(comparison)), String::new(), None)
        }
    };
    let numbers = run.map_or_else(Default::default, |run| {
        let at = |q| if run.response.count() == 0 { "–".into() } else { format_ns(run.response.at(q)) };
        let [offered, completed] = [run.offered_rate(), run.rate()].map(rate);
        [offered, completed, at(0.5), at(0.99), at(0.999)]
    });
    let cells: String = numbers.iter().map(|cell| format!(r#"<td class="num">{cell}</td>"#)).collect();
    let number = match detail {
        Detail::Overview => number.to_string(),
        _ => format!(r##"<a href="#run-{number}">{number}</a>"##),
    };
    let _ = write!(
        out,
        r#"<tr><td>{number}</td><td class="long">{}</td><td class="nowrap">{verdict}</td>{cells}</tr>"#,
        esc(&what)
    );
}
