//! What stands below the charts: every number once more, the errors, the lanes, and how to do it again.
//!
//! In: a run. Out: tables. An empty table says so in words.

use super::escape::{command, esc};
use super::table::{Cell, Column, Table};
use crate::model::{Latency, Machine, Run, Search, Setup, TrialResult};
use crate::quantile::{Quantile, quantiles, samples_needed};
use crate::report::{interval, load, plural, rate, seconds, share, trimmed};
use crate::units::{format_count, format_ns, percentile_name};
use humantime::format_rfc3339_seconds;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Rows of what may come in any number.
const ROWS_MAX: usize = 40;
/// Trials of a search: more than any search makes.
const TRIALS_MAX: usize = 100;
/// The last moment that has a date of the usual form: the end of the year 9999.
const UNIX_MS_MAX: u64 = 253_402_300_799_000;

/// Every percentile of every distribution.
pub(super) fn percentiles(run: &Run) -> String {
    let title = "<h2>Percentiles</h2>";
    let count = run.response.count();
    if count == 0 {
        return format!(
            r#"{title}<p class="note">No request ended in the window: there are no times to show.</p>"#
        );
    }
    let columns = ["response", "95 % interval", "service", "own lag", "connection wait", "samples beyond"];
    let columns: Vec<Column> = std::iter::once(Column::Text("")).chain(columns.map(Column::Number)).collect();
    let mut table = Table::new("", &columns, "");
    for quantile in quantiles(&run.response, &run.intervals) {
        percentile(&mut table, run, &quantile);
    }
    let response = &run.response.0;
    let others = others(run, |times| times.0.mean() as u64);
    table.row("", row("mean", format_ns(response.mean() as u64), String::new(), others, String::new()));
    let others = self::others(run, |times| times.0.max());
    table.row("", row("max", format_ns(response.max()), String::new(), others, String::new()));
    format!(
        r#"{title}{}<p class="note">{} response times. Connecting took {} at p50, {} at most, {}.</p>"#,
        table.finish(),
        format_count(count),
        time(&run.connect, run.connect.at(0.5)),
        time(&run.connect, run.connect.0.max()),
        plural(run.connect.count(), "time", "times")
    )
}

fn percentile(table: &mut Table, run: &Run, quantile: &Quantile) {
    let name = percentile_name(quantile.q);
    let tail = format_count(quantile.tail);
    if quantile.is_enough {
        let others = others(run, |times| times.at(quantile.q));
        table.row("", row(&name, format_ns(quantile.value_ns), interval(quantile), others, tail));
    } else {
        let needs = format!("needs {}", format_count(samples_needed(quantile.q)));
        let others = [const { String::new() }; 3];
        table.row("dim", row(&name, "too few samples".into(), needs, others, tail));
    }
}

/// A time of each of the parts that make the response time.
fn others(run: &Run, ns: impl Fn(&Latency) -> u64) -> [String; 3] {
    [&run.service, &run.own_lag, &run.connection_wait].map(|times| time(times, ns(times)))
}

/// A dash where there is nothing to tell of.
fn time(times: &Latency, ns: u64) -> String {
    if times.count() == 0 { "–".into() } else { format_ns(ns) }
}

fn row(name: &str, response: String, interval: String, others: [String; 3], beyond: String) -> [Cell; 7] {
    let [service, own_lag, wait] = others;
    [name.to_owned(), response, interval, service, own_lag, wait, beyond].map(Cell::Text)
}

/// Errors by kind, and answers by status.
pub(super) fn errors(run: &Run) -> String {
    let mut out = String::from("<h2>Errors and answers</h2>");
    if run.errors.is_empty() {
        let none = match run.counts.failed + run.counts.wrong {
            0 if run.counts.completed == 0 => "No errors, and no answers either.",
            0 => "No errors: every answer that came was the one expected.",
            _ => "There were errors, but their kinds were not recorded.",
        };
        let _ = write!(out, "<p>{none}</p>");
    } else {
        let columns = [
            Column::Name("kind"),
            Column::Number("count"),
            Column::Number("of offered"),
            Column::Long("one of them"),
        ];
        let mut table = Table::new("", &columns, "");
        for error in run.errors.iter().take(ROWS_MAX) {
            let of_offered = share(error.count as f64 / run.counts.offered.max(1) as f64);
            let cells = [error.kind.clone(), format_count(error.count), of_offered, error.example.clone()];
            table.row("", cells.map(Cell::Text));
        }
        out += &table.finish();
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
    let columns = ["core", "at work", "CPU, with spins", "completed"].map(Column::Number);
    let columns: Vec<Column> = std::iter::once(Column::Text("lane")).chain(columns).collect();
    let mut table = Table::new("narrow", &columns, "");
    for (index, lane) in run.lanes.iter().take(ROWS_MAX).enumerate() {
        let cpu = lane.cpu_ns as f64 / run.window_ns.max(1) as f64;
        let busy = Cell::Markup(format!("{}{}", esc(&share(lane.busy)), meter(lane.busy)));
        let [index, core] = [index, lane.core].map(|number| number.to_string().into());
        table.row("", [index, core, busy, share(cpu).into(), format_count(lane.completed).into()]);
    }
    out += &table.finish();
    more(&mut out, run.lanes.len(), "lanes");
    out
}

/// A bar as long as the share.
fn meter(share: f64) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    format!(r#"<span class="meter"><b style="width:{:.0}%"></b></span>"#, share * 100.0)
}

/// The trials of a search, in the order they ran.
pub(super) fn trials(search: &Search) -> String {
    let mut out = String::from("<h2>Trials</h2>");
    if search.trials.is_empty() {
        out.push_str(r#"<p class="note">No rate was held.</p>"#);
        return out;
    }
    let columns = [
        Column::Number("offered"),
        Column::Text("result"),
        Column::Number("response"),
        Column::Number("95 % interval"),
        Column::Number("completed"),
        Column::Number("window"),
    ];
    let mut table = Table::new("trials", &columns, "");
    for trial in search.trials.iter().take(TRIALS_MAX) {
        let (class, word) = match trial.result {
            TrialResult::Met => ("good", "met"),
            TrialResult::Missed => ("bad", "missed"),
            TrialResult::Invalid => ("dim", "invalid"),
        };
        let why = if trial.why.is_empty() { String::new() } else { format!(": {}", esc(&trial.why)) };
        table.row(
            "",
            [
                rate(trial.rate).into(),
                Cell::Markup(format!(r#"<span class="{class}">{word}</span>{why}"#)),
                format_ns(trial.response_ns).into(),
                format!("{} – {}", format_ns(trial.low_ns), format_ns(trial.high_ns)).into(),
                rate(trial.completed).into(),
                seconds(trial.window_ns).into(),
            ],
        );
    }
    out += &table.finish();
    let _ = write!(out, r#"<p class="note">Response: {}.</p>"#, percentile_name(search.quantile));
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
    if let Some(target) = run.target.as_ref().filter(|target| !target.name.is_empty()) {
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
