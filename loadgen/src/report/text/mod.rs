//! The report for a terminal: one screen, at most [`LINES_MAX`] lines of [`COLUMNS_MAX`] columns.
//!
//! In: a document. Out: text that ends with the verdict. Never: longer than a screen, whatever was recorded; what
//! has no room is counted. Never: a control character that came from outside.

mod comparison;
mod search;

use super::{
    bytes, checks_of, interval, is_believable, ledger, load, means, plural, rate, share, tame, target_cpu_ns,
    urls, window,
};
use crate::model::{Check, Content, Document, Latency, Outcome, Run};
use crate::quantile::{Quantile, quantiles, samples_needed};
use crate::units::{format_count, format_ns, percentile_name};
use crate::verdict;

/// Lines that a terminal of usual size shows at once.
pub const LINES_MAX: usize = 40;
/// Columns that fit beside each other without a wrap.
pub const COLUMNS_MAX: usize = 100;
/// Of each, so that all together stay within [`LINES_MAX`].
const ERRORS_MAX: usize = 4;
const SLOS_MAX: usize = 3;

const GREEN: &str = "\u{1b}[1;32m";
const RED: &str = "\u{1b}[1;31m";
const PLAIN: &str = "\u{1b}[0m";

/// The report. With `colour` the verdict is green or red, by ANSI codes; whether that is wanted, the caller knows.
pub fn text(document: &Document, colour: bool) -> String {
    let mut lines = Lines::default();
    let (verdict, is_good) = match &document.content {
        Content::Run(run) => run_lines(&mut lines, run),
        Content::Search(found) => search::lines(&mut lines, found),
        Content::Comparison(compared) => comparison::lines(&mut lines, compared),
    };
    lines.finish(&verdict, colour.then_some(if is_good { GREEN } else { RED }))
}

/// Lines of the report, each within the columns.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, line: impl AsRef<str>) {
        self.0.push(tame(line.as_ref(), COLUMNS_MAX).trim_end().to_owned());
    }

    fn gap(&mut self) {
        if self.0.last().is_some_and(|line| !line.is_empty()) {
            self.0.push(String::new());
        }
    }

    /// What is named on the left, at the same column everywhere.
    fn named(&mut self, name: &str, what: impl AsRef<str>) {
        self.add(format!("{name:<11} {}", what.as_ref()));
    }

    /// Like `named`, as many lines as it takes, up to `max`.
    fn wrapped(&mut self, name: &str, what: &str, max: usize) {
        let width = COLUMNS_MAX - 12;
        let mut rest: Vec<&str> = what.split(' ').collect();
        for at in 0..max {
            let (mut taken, mut length) = (0, 0);
            while taken < rest.len() && (taken == 0 || length + 1 + rest[taken].chars().count() <= width) {
                length += rest[taken].chars().count() + usize::from(taken > 0);
                taken += 1;
            }
            if at + 1 == max {
                taken = rest.len();
            }
            self.named(if at == 0 { name } else { "" }, rest[..taken].join(" "));
            rest.drain(..taken);
            if rest.is_empty() {
                return;
            }
        }
    }

    fn finish(mut self, verdict: &str, code: Option<&str>) -> String {
        self.gap();
        self.add(verdict);
        if let (Some(code), Some(last)) = (code, self.0.last_mut()) {
            *last = format!("{code}{last}{PLAIN}");
        }
        let mut text = self.0.join("\n");
        text.push('\n');
        text
    }
}

fn run_lines(lines: &mut Lines, run: &Run) -> (String, bool) {
    head(lines, run);
    lines.gap();
    throughput(lines, run);
    lines.gap();
    percentiles(lines, run);
    lines.gap();
    errors(lines, run);
    target(lines, run);
    if let Some(found) = ledger(run) {
        lines.named("Ledger", found);
    }
    checks(lines, run);
    failed(lines, run);
    slos(lines, run);
    (verdict::words(run), is_believable(run))
}

fn head(lines: &mut Lines, run: &Run) {
    let setup = &run.setup;
    lines.add(urls(setup));
    lines.add(format!("{} · workload {} · {}", load(&setup.load), setup.workload, window(run)));
    lines.add(format!("{} · seed {}", means(setup), setup.seed));
}

fn throughput(lines: &mut Lines, run: &Run) {
    let counts = &run.counts;
    lines.named("Rate", format!("offered {}, completed {}", rate(run.offered_rate()), rate(run.rate())));
    lines.named(
        "Requests",
        format!(
            "offered {}, sent {}, completed {}",
            format_count(counts.offered),
            format_count(counts.sent),
            format_count(counts.completed)
        ),
    );
    let seconds = (run.window_ns as f64 / 1e9).max(1e-9);
    lines.named(
        "Bytes",
        format!(
            "sent {}/s, received {}/s",
            bytes(counts.sent_bytes as f64 / seconds),
            bytes(counts.received_bytes as f64 / seconds)
        ),
    );
}

fn percentiles(lines: &mut Lines, run: &Run) {
    if run.response.count() == 0 {
        lines.add("No request ended in the window: there are no times to show.");
        return;
    }
    lines.add(row(["", "response", "95 % interval", "service", "own lag", "connection wait"]));
    let others = [&run.service, &run.own_lag, &run.connection_wait];
    for quantile in quantiles(&run.response, &run.intervals) {
        lines.add(percentile(&quantile, others));
    }
    let means = others.map(|times| time(times, times.0.mean() as u64));
    let longest = others.map(|times| time(times, times.0.max()));
    let response = &run.response.0;
    lines.add(row(["mean", &format_ns(response.mean() as u64), "", &means[0], &means[1], &means[2]]));
    lines.add(row(["max", &format_ns(response.max()), "", &longest[0], &longest[1], &longest[2]]));
}

fn percentile(quantile: &Quantile, others: [&Latency; 3]) -> String {
    let name = percentile_name(quantile.q);
    if !quantile.is_enough {
        let needed = format_count(samples_needed(quantile.q));
        return format!("{name:<8} too few samples (needs {needed})");
    }
    let others = others.map(|times| time(times, times.at(quantile.q)));
    row([&name, &format_ns(quantile.value_ns), &interval(quantile), &others[0], &others[1], &others[2]])
}

/// A time of a distribution, or a dash where it holds none.
fn time(times: &Latency, ns: u64) -> String {
    if times.count() == 0 { "–".into() } else { format_ns(ns) }
}

fn row([name, response, interval, service, own_lag, wait]: [&str; 6]) -> String {
    format!("{name:<8} {response:>11}   {interval:<22} {service:>11}   {own_lag:>11}   {wait:>15}")
}

fn errors(lines: &mut Lines, run: &Run) {
    let counts = &run.counts;
    let bad = counts.failed + counts.wrong;
    if bad == 0 && run.errors.is_empty() {
        lines.named("Errors", "none");
        return;
    }
    lines.named(
        "Errors",
        format!(
            "{} ({}): {} failed, of these {} timed out; {} wrong",
            format_count(bad),
            share(run.error_share()),
            format_count(counts.failed),
            format_count(counts.timeouts),
            format_count(counts.wrong)
        ),
    );
    let shown = if run.errors.len() > ERRORS_MAX { ERRORS_MAX - 1 } else { run.errors.len() };
    for error in &run.errors[..shown] {
        lines.add(format!("{:>11} {}: {}", format_count(error.count), error.kind, error.example));
    }
    if let more @ 1.. = run.errors.len() - shown {
        lines.named("", format!("and {more} more kinds"));
    }
}

fn target(lines: &mut Lines, run: &Run) {
    let (Some(target), Some(each)) = (&run.target, target_cpu_ns(run)) else { return };
    let cpus = target.cpu_ns as f64 / run.window_ns.max(1) as f64;
    lines
        .named("Server", format!("{} of CPU per request, {cpus:.2} CPUs ({})", format_ns(each), target.name));
}

fn checks(lines: &mut Lines, run: &Run) {
    let named = |outcome| {
        let names: Vec<&str> = checks_of(run, outcome).map(|check| check.name.as_str()).collect();
        names.join(", ")
    };
    let (passed, unknown) = (named(Outcome::Pass), named(Outcome::Unknown));
    if run.checks.is_empty() {
        lines.named("Checks", "none were made");
    }
    if !passed.is_empty() {
        let all = checks_of(run, Outcome::Pass).count() == run.checks.len();
        lines.wrapped("Checks", &format!("{}passed: {passed}", if all { "all " } else { "" }), 2);
    }
    if !unknown.is_empty() {
        lines.wrapped("", &format!("not known: {unknown}"), 2);
    }
}

/// What failed, each with what helps; what has no room is named.
fn failed(lines: &mut Lines, run: &Run) {
    let failed: Vec<&Check> = checks_of(run, Outcome::Fail).collect();
    let below = 2 + run.slos.len().min(SLOS_MAX);
    for (index, check) in failed.iter().enumerate() {
        let mut block = Lines::default();
        block.wrapped("FAILED", &format!("{}: {}; wanted {}", check.name, check.found, check.wanted), 3);
        block.wrapped("", &check.help, 2);
        block.0.retain(|line| !line.is_empty());
        let rest = usize::from(index + 1 < failed.len());
        if lines.0.len() + block.0.len() + rest + below > LINES_MAX {
            let more: Vec<&str> = failed[index..].iter().map(|check| check.name.as_str()).collect();
            lines.named("FAILED", format!("and {} more: {}", more.len(), more.join(", ")));
            return;
        }
        lines.0.append(&mut block.0);
    }
}

fn slos(lines: &mut Lines, run: &Run) {
    // The missed ones first: they decide the exit code, and not all may have room.
    let mut slos: Vec<_> = run.slos.iter().collect();
    slos.sort_by_key(|slo| slo.met);
    let shown = if slos.len() > SLOS_MAX { SLOS_MAX - 1 } else { slos.len() };
    for slo in &slos[..shown] {
        let word = match (is_believable(run), slo.met) {
            (false, _) => "not judged",
            (true, true) => "met",
            (true, false) => "MISSED",
        };
        lines.named("Target", format!("{word}: {} (found {})", slo.slo, slo.found));
    }
    if let more @ 1.. = slos.len() - shown {
        let missed = slos[shown..].iter().filter(|slo| !slo.met).count();
        lines.named(
            "",
            format!("{}, {missed} of them missed", plural(more as u64, "more target", "more targets")),
        );
    }
}
