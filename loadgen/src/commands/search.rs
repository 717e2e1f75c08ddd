//! `search`: the highest rate that meets the targets.

use super::{Exit, output};
use crate::job::{Failure, Job};
use crate::live::Live;
use crate::model::{Content, Interval, Outcome, Run, Search, Trial, TrialResult};
use crate::options::SearchOptions;
use crate::quantile::quantile;
use crate::run;
use crate::search::plan::{Plan, Settings};
use crate::slo::Slo;
use crate::units::{format_ns, format_rate};
use crate::verdict::{self, Fault};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// The closed loop that finds the upper end runs for so long at most: its throughput settles at once.
const CEILING_FOR: Duration = Duration::from_secs(3);
/// Where the ramp begins, as a share of the ceiling.
const RAMP_FROM: f64 = 0.05;
/// Requests beyond the percentile that a trial needs to say something about it.
const TAIL_MIN: f64 = 20.0;

pub(super) fn act(options: &SearchOptions, line: String, stop: &AtomicBool) -> Result<Exit, Failure> {
    output::check(&[&options.output.json, &options.output.html])?;
    let Some((quantile, limit_ns)) = options.slo.iter().find_map(Slo::quantile_and_limit) else {
        return Err(Failure::Usage(
            "a search needs a --slo about a percentile, as in --slo 'p99<1ms'".to_owned(),
        ));
    };
    let job = Job::new(line, &options.urls, &options.load)?;
    let quantiles = options.slo.iter().filter_map(Slo::quantile_and_limit).map(|(quantile, _)| quantile);
    let deepest = quantiles.fold(quantile, f64::max);
    let mut hunt = Hunt {
        job,
        slos: &options.slo,
        quantile,
        deepest,
        stop,
        live: Live::new(options.output.quiet),
        best: None,
    };
    let ceiling = hunt.ceiling()?;
    let ramp = hunt.ramp(ceiling)?;
    let mut plan = Plan::new(Settings {
        slos: options.slo.iter().map(Slo::to_string).collect(),
        quantile,
        limit_ns,
        ceiling,
        ramp: ramp.clone(),
        precision: options.precision,
        trial: options.load.duration.0,
        budget: options.budget.0,
    });
    let answer = crate::search::search(&mut plan, |rate, length| hunt.hold(rate, length));
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) if stop.load(Relaxed) => plan.answer(),
        Err(failure) => return Err(failure),
    };
    let Some((_, run)) = hunt.best else {
        return Err(Failure::CannotRun("stopped before the first trial was over".to_owned()));
    };
    let exit = match answer.rate {
        _ if run.counts.wrong > 0 => Exit::WrongAnswers,
        _ if stop.load(Relaxed) => Exit::Invalid,
        Some(_) => Exit::Fine,
        None if plan.trials().iter().all(|trial| trial.result == TrialResult::Invalid) => Exit::Invalid,
        None => Exit::Missed,
    };
    let slos = options.slo.iter().map(Slo::to_string).collect();
    let trials = plan.trials().to_vec();
    let search = Search { slos, quantile, limit_ns, ceiling, ramp, trials, answer, run };
    output::show(Content::Search(Box::new(search)), &options.output, false)?;
    Ok(exit)
}

/// A search under way.
struct Hunt<'a> {
    job: Job,
    slos: &'a [Slo],
    quantile: f64,
    /// The highest percentile of a target: a trial must be long enough to know it.
    deepest: f64,
    stop: &'a AtomicBool,
    live: Live,
    /// The trial to show: the highest rate that met the targets, else the last; with whether it met them.
    best: Option<(bool, Run)>,
}

impl Hunt<'_> {
    /// What a closed loop reaches: no search needs to go higher.
    fn ceiling(&mut self) -> Result<f64, Failure> {
        self.live.label("ceiling ");
        let duration = CEILING_FOR.min(self.job.duration);
        let job = Job { duration, requests: None, ..self.job.closed() };
        let run = self.measure(&job)?;
        super::run::worked(&run)?;
        self.live.say(&format!("ceiling: a closed loop reaches {} req/s", format_rate(run.rate())));
        Ok(run.rate())
    }

    /// Rates and what they do to the percentile, each held for a moment only: where to begin.
    fn ramp(&mut self, ceiling: f64) -> Result<Vec<(f64, u64)>, Failure> {
        self.live.label("ramp ");
        let job = self.job.ramp(ceiling * RAMP_FROM, ceiling, self.job.duration);
        let run = self.measure(&job)?;
        let rate = |interval: &Interval| interval.offered as f64 * 1e9 / interval.length_ns.max(1) as f64;
        let points = run.intervals.iter().filter(|interval| interval.completed > 0);
        Ok(points.map(|interval| (rate(interval), near(interval, self.quantile))).collect())
    }

    /// One trial.
    fn hold(&mut self, rate: f64, length: Duration) -> Result<Trial, Failure> {
        let needed = Duration::from_secs_f64((TAIL_MIN / (1.0 - self.deepest) / rate).min(3600.0));
        self.live.label(format!("{} ", format_rate(rate)));
        // Other arrivals for each trial: the same ones would repeat their luck.
        self.job.seed = self.job.seed.wrapping_add(1);
        let job = self.job.held(rate, length.max(needed));
        let (run, tries) = run::measure_undisturbed(&job, self.slos, self.stop, &mut self.live)?;
        self.go_on()?;
        let (result, why) = judge(&run);
        let seen = quantile(&run.response, &run.intervals, self.quantile);
        let word = match result {
            TrialResult::Met => "met",
            TrialResult::Missed => "missed",
            TrialResult::Invalid => "invalid",
        };
        let because = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.live.say(&format!("{:>6}/s  {}  {word}{because}", format_rate(rate), format_ns(seen.value_ns)));
        let trial = Trial {
            rate,
            completed: run.rate(),
            // With those that were repeated, so that the budget holds.
            window_ns: run.window_ns * tries,
            response_ns: seen.value_ns,
            low_ns: seen.low_ns,
            high_ns: seen.high_ns,
            result,
            why,
        };
        self.keep(result == TrialResult::Met, run);
        Ok(trial)
    }

    fn keep(&mut self, met: bool, run: Run) {
        let is_better = match &self.best {
            Some((true, best)) => met && run.offered_rate() > best.offered_rate(),
            _ => true,
        };
        if is_better {
            self.best = Some((met, run));
        }
    }

    fn measure(&mut self, job: &Job) -> Result<Run, Failure> {
        let run = run::measure(job, self.slos, self.stop, &mut self.live)?;
        self.go_on()?;
        Ok(run)
    }

    /// Unless the user has had enough.
    fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Relaxed) { Err(Failure::CannotRun("stopped".to_owned())) } else { Ok(()) }
    }
}

/// What a run says about its rate, and why.
fn judge(run: &Run) -> (TrialResult, String) {
    let failed = run.checks.iter().filter(|check| check.outcome == Outcome::Fail);
    let missed = run.slos.iter().filter(|slo| !slo.met).map(|slo| format!("{}: {}", slo.slo, slo.found));
    let why: Vec<String> = failed.map(|check| check.name.clone()).chain(missed).collect();
    let result = match verdict::fault(run) {
        _ if verdict::is_met_in_spite_of_noise(run) => TrialResult::Met,
        Fault::Generator => TrialResult::Invalid,
        Fault::Nobody if run.slos.iter().all(|slo| slo.met) => TrialResult::Met,
        Fault::Nobody | Fault::Target => TrialResult::Missed,
    };
    let why = if result == TrialResult::Met { String::new() } else { why.join(", ") };
    (result, why)
}

/// An interval's response time at the percentile that is nearest.
fn near(interval: &Interval, quantile: f64) -> u64 {
    let [p50, p90, p99, p999, max] = interval.response;
    match quantile {
        q if q < 0.7 => p50,
        q if q < 0.95 => p90,
        q if q < 0.995 => p99,
        q if q < 0.9995 => p999,
        _ => max,
    }
}
