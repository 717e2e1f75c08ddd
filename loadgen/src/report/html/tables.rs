//! What stands below the charts: every number once more, the errors, the lanes, and how to do it again.
//!
//! In: a run. Out: tables. An empty table says so in words.

use super::escape::{command, esc};
use crate::model::{Latency, Machine, Run, Search, Setup, TrialResult};
use crate::quantile::{quantiles, samples_needed};
use crate::report::{interval, load, quantile_name, rate, seconds, share, trimmed};
use crate::units::{format_count, format_ns};
use humantime::format_rfc3339_seconds;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Rows of what may come in any number.
const ROWS_MAX: usize = 40;
/// The last moment that has a date of the usual form: the end of the year 9999.
const UNIX_MS_MAX: u64 = 253_402_300_799_000;

/// Every percentile of every distribution.
pub(super) fn percentiles(run: &Run) -> String {
    let mut out = String::from("<h2>Percentiles</h2>");
    let count = run.response.count();
    if count == 0 {
        out.push_str(r#"<p class="note">No request ended in the window: there are no times to show.</p>"#);
        return out;
    }
    out.push_str(concat!(
        r#"<div class="scroll"><table><thead><tr><th></th><th class="num">response</th><th class="num">95 % interval</th>"#,
        r#"<th class="num">service</th><th class="num">own lag</th><th class="num">connection wait</th>"#,
        r#"<th class="num">samples beyond</th></tr></thead><tbody>"#
    ));
    let others = [&run.service, &run.own_lag, &run.connection_wait];
    for quantile in quantiles(&run.response, &run.intervals) {
        let name = quantile_name(quantile.q);
        if !quantile.is_enough {
            let _ = write!(
                out,
                r#"<tr class="dim"><td>{name}</td><td class="num" colspan="5">too few samples (needs {})</td><td class="num">{}</td></tr>"#,
                format_count(samples_needed(quantile.q)),
                format_count(quantile.tail)
            );
            continue;
        }
        let times = others.map(|times| time(times, times.at(quantile.q)));
        row(
            &mut out,
            &name,
            &format_ns(quantile.value_ns),
            &interval(&quantile),
            &times,
            &format_count(quantile.tail),
        );
    }
    let response = &run.response.0;
    let times = others.map(|times| time(times, times.0.mean() as u64));
    row(&mut out, "mean", &format_ns(response.mean() as u64), "", &times, "");
    let times = others.map(|times| time(times, times.0.max()));
    row(&mut out, "max", &format_ns(response.max()), "", &times, "");
    let _ = write!(
        out,
        r#"</tbody></table></div><p class="note">{} response times. Connecting took {} in the median, {} at most, {} times.</p>"#,
        format_count(count),
        time(&run.connect, run.connect.at(0.5)),
        time(&run.connect, run.connect.0.max()),
        format_count(run.connect.count())
    );
    out
}

fn time(times: &Latency, ns: u64) -> String {
    if times.count() == 0 { "–".into() } else { format_ns(ns) }
}

fn row(out: &mut String, name: &str, response: &str, interval: &str, others: &[String; 3], beyond: &str) {
    let cells = [response, interval, &others[0], &others[1], &others[2], beyond];
    let cells: String = cells.iter().map(|cell| format!(r#"<td class="num">{cell}</td>"#)).collect();
    let _ = write!(out, "<tr><td>{name}</td>{cells}</tr>");
}

/// Errors by kind, and answers by status.
pub(super) fn errors(run: &Run) -> String {
    let mut out = String::from("<h2>Errors and answers</h2>");
    if run.errors.is_empty() {
        let none = match run.counts.failed + run.counts.wrong {
            0 => "No errors: every answer that came was the one expected.",
            _ => "There were errors, but their kinds were not recorded.",
        };
        let _ = write!(out, "<p>{none}</p>");
    } else {
        out.push_str(concat!(
            r#"<div class="scroll"><table><thead><tr><th>kind</th><th class="num">count</th>"#,
            r#"<th class="num">of offered</th><th>one of them</th></tr></thead><tbody>"#
        ));
        for error in run.errors.iter().take(ROWS_MAX) {
            let of_offered = error.count as f64 / run.counts.offered.max(1) as f64;
            let _ = write!(
                out,
                r#"<tr><td class="nowrap">{}</td><td class="num">{}</td><td class="num">{}</td><td class="long">{}</td></tr>"#,
                esc(&error.kind),
                format_count(error.count),
                share(of_offered),
                esc(&error.example)
            );
        }
        out.push_str("</tbody></table></div>");
        more(&mut out, run.errors.len(), "kinds");
    }
    if !run.statuses.is_empty() {
        let all: Vec<String> = run
            .statuses
            .iter()
            .take(ROWS_MAX)
            .map(|(status, count)| format!("{} × {status}", format_count(*count)))
            .collect();
        let _ = write!(out, r#"<p class="note">Answers by status: {}.</p>"#, all.join(", "));
    }
    out
}

fn more(out: &mut String, all: usize, what: &str) {
    if all > ROWS_MAX {
        let _ = write!(out, r#"<p class="note">And {} more {what}.</p>"#, all - ROWS_MAX);
    }
}

/// How each lane fared.
pub(super) fn lanes(run: &Run) -> String {
    let mut out = String::from("<h2>Lanes of the generator</h2>");
    if run.lanes.is_empty() {
        out.push_str(r#"<p class="note">Nothing was recorded about the lanes.</p>"#);
        return out;
    }
    out.push_str(concat!(
        r#"<div class="scroll"><table class="narrow"><thead><tr><th>lane</th><th class="num">core</th><th class="num">at work</th>"#,
        r#"<th class="num">CPU, with spins</th><th class="num">completed</th></tr></thead><tbody>"#
    ));
    for (index, lane) in run.lanes.iter().take(ROWS_MAX).enumerate() {
        let cpu = lane.cpu_ns as f64 / run.window_ns.max(1) as f64;
        let busy = if lane.busy.is_finite() { lane.busy.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
        let _ = write!(
            out,
            r#"<tr><td>{index}</td><td class="num">{}</td><td class="num">{}<span class="meter"><b style="width:{busy:.0}%"></b></span></td><td class="num">{}</td><td class="num">{}</td></tr>"#,
            lane.core,
            share(lane.busy),
            share(cpu),
            format_count(lane.completed)
        );
    }
    out.push_str("</tbody></table></div>");
    more(&mut out, run.lanes.len(), "lanes");
    out
}

/// The trials of a search, in the order they ran.
pub(super) fn trials(search: &Search) -> String {
    let mut out = String::from("<h2>Trials</h2>");
    if search.trials.is_empty() {
        out.push_str(r#"<p class="note">No rate was held.</p>"#);
        return out;
    }
    let _ = write!(
        out,
        concat!(
            r#"<div class="scroll"><table><thead><tr><th class="num">offered</th><th class="num">completed</th>"#,
            r#"<th class="num">window</th><th class="num">{}</th><th class="num">95 % interval</th><th>result</th></tr></thead><tbody>"#
        ),
        quantile_name(search.quantile)
    );
    for trial in search.trials.iter().take(2 * ROWS_MAX) {
        let (class, word) = match trial.result {
            TrialResult::Met => ("good", "met"),
            TrialResult::Missed => ("bad", "missed"),
            TrialResult::Invalid => ("dim", "invalid"),
        };
        let why = if trial.why.is_empty() { String::new() } else { format!(": {}", trial.why) };
        let _ = write!(
            out,
            r#"<tr><td class="num">{}</td><td class="num">{}</td><td class="num">{}</td><td class="num">{}</td><td class="num">{} – {}</td><td><span class="{class}">{word}</span>{}</td></tr>"#,
            rate(trial.rate),
            rate(trial.completed),
            seconds(trial.window_ns),
            format_ns(trial.response_ns),
            format_ns(trial.low_ns),
            format_ns(trial.high_ns),
            esc(&why)
        );
    }
    out.push_str("</tbody></table></div>");
    out
}

/// How to do it again, and where it was done.
pub(super) fn setup(run: &Run) -> String {
    let setup = &run.setup;
    let mut out = String::from("<h2>Set-up</h2>");
    if !setup.command.is_empty() {
        let _ = write!(out, "<pre><code>{}</code></pre>", command(&setup.command));
    }
    out.push_str(r#"<dl class="facts">"#);
    for (name, value) in facts(run, setup, &run.machine) {
        let value = if value.is_empty() { "not known".into() } else { esc(&value) };
        let _ = write!(out, "<dt>{name}</dt><dd>{value}</dd>");
    }
    out.push_str("</dl>");
    out
}

fn facts(run: &Run, setup: &Setup, machine: &Machine) -> Vec<(&'static str, String)> {
    let cores: Vec<String> = setup.cores.iter().map(usize::to_string).collect();
    let reuse = match setup.requests_per_connection {
        0 => "kept open".into(),
        number => format!("closed after {} requests", format_count(number)),
    };
    let mut facts = vec![
        ("started", started(run.started_unix_ms)),
        ("version", setup.version.clone()),
        ("seed", setup.seed.to_string()),
        ("connected to", setup.address.clone()),
        ("load", load(&setup.load)),
        (
            "connections",
            format!("{}, {reuse}, {} in flight on each", format_count(setup.connections), setup.pipeline),
        ),
        ("timeout", seconds(setup.timeout_ns)),
        ("engine", setup.engine.clone()),
        ("cores of the lanes", cores.join(", ")),
        ("host", machine.host.clone()),
        ("CPU", format!("{} ({} usable)", machine.cpu, machine.cpus)),
        ("kernel", machine.kernel.clone()),
        ("governor", machine.governor.clone()),
        ("clock source", machine.clocksource.clone()),
        ("in flight, mean", trimmed(run.in_flight_mean, 2)),
    ];
    facts.extend(urls(setup));
    if let Some(arrivals) = &run.arrivals {
        let found = [arrivals.asked, arrivals.sent].map(|variation| trimmed(variation, 4));
        let text = format!(
            "variation of gaps {} asked, {} sent, {} gaps",
            found[0],
            found[1],
            format_count(arrivals.gaps)
        );
        facts.push(("arrivals", text));
    }
    if let Some(target) = &run.target {
        let cpus: Vec<String> = target.cpus.iter().map(usize::to_string).collect();
        let cpu = share(target.cpu_ns as f64 / run.window_ns.max(1) as f64);
        let text = format!(
            "{}; {cpu} of a CPU on CPUs {}; seen on a core of ours in {} of {} looks",
            target.name,
            cpus.join(", "),
            target.looks_on_our_cores,
            target.looks
        );
        facts.push(("server", text));
    }
    facts
}

/// Several URLs with their weights; one stands in the title.
fn urls(setup: &Setup) -> Option<(&'static str, String)> {
    let shown: Vec<String> = setup
        .urls
        .iter()
        .take(ROWS_MAX)
        .map(|(url, weight)| format!("{url} (weight {})", trimmed(*weight, 3)))
        .collect();
    (setup.urls.len() > 1).then(|| ("URLs", shown.join(", ")))
}

fn started(unix_ms: u64) -> String {
    format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms.min(UNIX_MS_MAX))).to_string()
}
