//! A run in full: whether it may be believed, its numbers, its charts, its tables.
//!
//! In: a run. Out: the part of a page below its title.

use super::nines::{Curve, Part};
use super::{Detail, figure, flow, heat, nines, page, rates, tables, time};
use crate::model::Run;

/// Slices of a heat map where room is short.
const COARSE_SLICES: usize = 60;

pub(super) fn body(run: &Run, detail: Detail) -> String {
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
    let text = "Each further nine has the same width. Shaded: 95 % interval of the response time, as far as \
                it has bounds. Dotted: fewer than ten samples lie beyond.";
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
    let slices_max = if detail == Detail::Coarse { COARSE_SLICES } else { time::SLICES_MAX };
    if run.intervals.is_empty() {
        figure(&mut out, "Over time", "", None, "Nothing was recorded over time.");
        return out;
    }
    let text =
        "Columns are slices of the window, rows are bands of response time; the lines are p50 and p99.";
    let empty = "The bands that this is drawn from were not recorded.";
    figure(&mut out, "Response times over time", text, heat::chart(run, slices_max), empty);
    figure(&mut out, "Requests over time", "", flow::chart(run), "");
    let text =
        "How late the generator was itself: handed to the kernel after it was due and a connection was free.";
    figure(&mut out, "Own lag over time", text, flow::lag_chart(run), "Nothing was sent.");
    out
}
