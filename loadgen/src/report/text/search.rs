//! The report of a search: the answer first, then what it stands on.
//!
//! In: a search. Out: its lines. Never: more trials than a screen has room for; those nearest to the answer stay.

use super::Lines;
use crate::model::{Search, Trial, TrialResult};
use crate::report::{is_believable, load, means, rate, seconds, urls};
use crate::units::{format_ns, percentile_name};
use crate::verdict;

const TRIALS_MAX: usize = 24;

pub(super) fn lines(lines: &mut Lines, search: &Search) -> (String, bool) {
    let answer = &search.answer;
    lines.add(&answer.words);
    if answer.limited_by_generator {
        lines.add("The generator set the limit, not the server: the answer is a lower bound.");
    }
    lines.gap();
    let setup = &search.run.setup;
    lines.add(urls(setup));
    lines.add(format!("{} · last shown: {}", means(setup), load(&setup.load)));
    lines.named("Targets", search.slos.join(", "));
    lines.named("Ceiling", format!("{} in the closed loop", rate(search.ceiling)));
    lines.gap();
    trials(lines, search);
    lines.gap();
    match answer.rate {
        Some(_) => (verdict::words(&search.run), is_believable(&search.run)),
        None => ("NOT FOUND: no rate met the target".into(), false),
    }
}

fn trials(lines: &mut Lines, search: &Search) {
    if search.trials.is_empty() {
        lines.add("No rate was held.");
        return;
    }
    let measure = percentile_name(search.quantile);
    lines.add(row(["offered", "completed", "window", &measure, "95 % interval", "result"]));
    let shown = nearest(search);
    for trial in &shown {
        let result = match trial.result {
            TrialResult::Met => "met".into(),
            TrialResult::Missed => format!("missed: {}", trial.why),
            TrialResult::Invalid => format!("invalid: {}", trial.why),
        };
        lines.add(row([
            &rate(trial.rate),
            &rate(trial.completed),
            &seconds(trial.window_ns),
            &format_ns(trial.response_ns),
            &format!("{} – {}", format_ns(trial.low_ns), format_ns(trial.high_ns)),
            &result,
        ]));
    }
    if let more @ 1.. = search.trials.len() - shown.len() {
        lines.add(format!("and {more} more, further from the answer"));
    }
}

fn row([offered, completed, window, response, interval, result]: [&str; 6]) -> String {
    format!("{offered:>10} {completed:>12} {window:>8} {response:>11}   {interval:<22} {result}")
}

/// The trials nearest to the answer, in the order they ran.
fn nearest(search: &Search) -> Vec<&Trial> {
    let mut trials: Vec<(usize, &Trial)> = search.trials.iter().enumerate().collect();
    if let Some(answer) = search.answer.rate {
        trials.sort_by(|(_, a), (_, b)| (a.rate - answer).abs().total_cmp(&(b.rate - answer).abs()));
    }
    trials.truncate(TRIALS_MAX);
    trials.sort_by_key(|(order, _)| *order);
    trials.into_iter().map(|(_, trial)| trial).collect()
}
