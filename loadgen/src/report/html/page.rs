//! What stands above the charts: what was run, whether it may be believed, and the numbers that are asked for first.
//!
//! In: a run. Out: parts of a page, in the order in which a reader should meet them. Never: a number of an invalid
//! run without its banner above it.

use super::escape::esc;
use crate::model::{Check, Outcome, Run};
use crate::quantile::{quantiles, samples_needed};
use crate::report::{
    bytes, checks_of, interval, is_believable, ledger, load, means, plural, rate, share, target_cpu_ns, urls,
    window,
};
use crate::units::{format_count, format_ns, percentile_name};
use crate::verdict;
use std::fmt::Write as _;

/// Percentiles among the key numbers.
const KEY: [f64; 3] = [0.5, 0.99, 0.999];
/// Reasons in a banner; all of them stand among the checks.
const REASONS_MAX: usize = 5;

/// Title, set-up in a line, and badges.
pub(super) fn header(over: &str, title: &str, sub: &str, badges: &str) -> String {
    let [over, title, sub] = [over, title, sub].map(esc);
    let words = format!(r#"<p class="over">{over}</p><h1>{title}</h1><p class="sub">{sub}</p>"#);
    format!(r#"<header><div>{words}</div><div class="badges">{badges}</div></header>"#)
}

/// The header of a run.
pub(super) fn run_header(run: &Run) -> String {
    let setup = &run.setup;
    let sub =
        format!("{} · {} · {} · workload {}", load(&setup.load), means(setup), window(run), setup.workload);
    header("corelane-loadgen", &urls(setup), &sub, &badges(run))
}

/// The verdict, and whether the targets were met.
pub(super) fn badges(run: &Run) -> String {
    let verdict = if is_believable(run) { badge("good", "VALID") } else { badge("bad", "INVALID") };
    let slo = match (run.slos.is_empty(), is_believable(run), run.slos.iter().all(|slo| slo.met)) {
        (true, _, _) => String::new(),
        (_, false, _) => badge("dim", "SLO not judged"),
        (_, _, true) => badge("good", "SLO PASS"),
        (_, _, false) => badge("bad", "SLO FAIL"),
    };
    verdict + &slo
}

pub(super) fn badge(class: &str, text: &str) -> String {
    format!(r#"<span class="badge {class}">{text}</span>"#)
}

/// Above the numbers of a run that can't be believed.
pub(super) fn banner(run: &Run) -> String {
    if is_believable(run) {
        return String::new();
    }
    let failed = checks_of(run, Outcome::Fail).count();
    let mut reasons: String = checks_of(run, Outcome::Fail)
        .take(REASONS_MAX)
        .map(|check| {
            format!("<p>{}: {}; wanted {}.</p>", esc(&check.name), esc(&check.found), esc(&check.wanted))
        })
        .collect();
    if failed > REASONS_MAX {
        let _ = write!(reasons, "<p>And {} more, below.</p>", failed - REASONS_MAX);
    }
    warning(&verdict::words(run), "The numbers below must not be quoted.", &reasons)
}

/// A box that is seen first.
pub(super) fn warning(title: &str, text: &str, more: &str) -> String {
    format!(r#"<div class="banner" role="alert"><strong>{}</strong> {}{more}</div>"#, esc(title), esc(text))
}

/// The numbers that are asked for first.
pub(super) fn key_numbers(run: &Run) -> String {
    let mut out = String::from(r#"<dl class="tiles">"#);
    let quantiles = quantiles(&run.response, &run.intervals);
    for q in KEY {
        let name = format!("{} response", percentile_name(q));
        match quantiles.iter().find(|quantile| (quantile.q - q).abs() < 1e-9) {
            Some(found) if found.is_enough => {
                tile(
                    &mut out,
                    &name,
                    &format_ns(found.value_ns),
                    &format!("95 %: {}", unbroken(&interval(found))),
                );
            }
            _ => {
                let needed = format!(
                    "of {}; needs {}",
                    format_count(run.response.count()),
                    format_count(samples_needed(q))
                );
                let _ = write!(
                    out,
                    r#"<div><dt>{}</dt><dd class="few">too few samples</dd><dd>{}</dd></div>"#,
                    esc(&name),
                    esc(&needed)
                );
            }
        }
    }
    let offered = format!("of {} offered", rate(run.offered_rate()));
    tile(&mut out, "completed", &rate(run.rate()), &offered);
    let bad = run.counts.failed + run.counts.wrong;
    let of = format!("{} of {}", share(run.error_share()), plural(run.counts.offered, "request", "requests"));
    tile(&mut out, "errors", &if bad == 0 { "none".into() } else { format_count(bad) }, &of);
    if let Some(each) = target_cpu_ns(run) {
        tile(&mut out, "server CPU", &format_ns(each), "per request");
    }
    out.push_str("</dl>");
    out
}

fn tile(out: &mut String, name: &str, value: &str, below: &str) {
    let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd><dd>{}</dd></div>", esc(name), esc(value), esc(below));
}

/// A number stays with its unit; a line may end behind the dash.
fn unbroken(interval: &str) -> String {
    interval.replace(' ', "\u{a0}").replace("–\u{a0}", "– ")
}

/// Whether the run may be believed, point by point; the failed ones first.
pub(super) fn checks(run: &Run) -> String {
    let mut out = String::from("<h2>May this be believed?</h2>");
    if run.checks.is_empty() {
        out.push_str(r#"<p class="note">No checks were recorded.</p>"#);
        return out;
    }
    out.push_str(r#"<ul class="checks">"#);
    for outcome in [Outcome::Fail, Outcome::Unknown, Outcome::Pass] {
        checks_of(run, outcome).for_each(|check| item(&mut out, check));
    }
    out.push_str("</ul>");
    out
}

fn item(out: &mut String, check: &Check) {
    let (class, word) = match check.outcome {
        Outcome::Pass => ("good", "✓ pass"),
        Outcome::Fail => ("bad", "✗ FAIL"),
        Outcome::Unknown => ("dim", "– n/a"),
    };
    let _ = write!(
        out,
        r#"<li><span class="mark {class}">{word}</span><span>{}</span><span class="said">{}"#,
        esc(&check.name),
        esc(&check.found)
    );
    if !check.wanted.is_empty() {
        let _ = write!(out, r#" <span class="wanted">· wanted {}</span>"#, esc(&check.wanted));
    }
    out.push_str("</span>");
    if check.outcome != Outcome::Pass && !check.help.is_empty() {
        let _ = write!(out, r#"<span class="help">{}</span>"#, esc(&check.help));
    }
    out.push_str("</li>");
}

/// The targets, each with what was found; nothing where none were given.
pub(super) fn slos(run: &Run) -> String {
    if run.slos.is_empty() {
        return String::new();
    }
    let mut out = String::from(r#"<h2>Targets</h2><ul class="checks">"#);
    for slo in &run.slos {
        let (class, word) = match (is_believable(run), slo.met) {
            (false, _) => ("dim", "not judged"),
            (true, true) => ("good", "✓ met"),
            (true, false) => ("bad", "✗ MISSED"),
        };
        let _ = write!(
            out,
            r#"<li><span class="mark {class}">{word}</span><span>{}</span><span class="said">{}</span></li>"#,
            esc(&slo.slo),
            esc(&slo.found)
        );
    }
    out.push_str("</ul>");
    out
}

/// Requests and bytes in a line, and what the ledger found.
pub(super) fn totals(run: &Run) -> String {
    let counts = &run.counts;
    let mut out = format!(
        concat!(
            r#"<p class="note">{} offered, {} sent, {} completed, {} wrong, {} failed, "#,
            "{} of these timed out. {} sent, {} received, {}.</p>"
        ),
        plural(counts.offered, "request", "requests"),
        format_count(counts.sent),
        format_count(counts.completed),
        format_count(counts.wrong),
        format_count(counts.failed),
        format_count(counts.timeouts),
        bytes(counts.sent_bytes as f64),
        bytes(counts.received_bytes as f64),
        plural(counts.connections_opened, "connection opened", "connections opened"),
    );
    if let Some(found) = ledger(run) {
        let _ = write!(out, r#"<p class="note">Ledger: {}.</p>"#, esc(&found));
    }
    out
}

/// At the bottom: what the words mean.
pub(super) const HOW_TO_READ: &str = concat!(
    "<h2>How to read this</h2><ol>",
    "<li>Every request has four instants: it is due, a connection is free, it is handed to the kernel, ",
    "its answer is complete.</li>",
    "<li>Response time is complete − due: what a user sees, with every wait that the server caused.</li>",
    "<li>Service time is complete − handed: what the server and the wires took.</li>",
    "<li>Own lag is handed − max(due, free): the generator’s own lateness; if it is not small beside the ",
    "response, the run is invalid.</li>",
    "<li>Connection wait is free − due: the time in which all connections were busy.</li>",
    "</ol>"
);
