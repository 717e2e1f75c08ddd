//! `ab`: two live targets, measured in turns.

use super::run::worked;
use super::{Exit, compare as comparing, output};
use crate::compare::{self, AB};
use crate::job::{Failure, Job};
use crate::live::Live;
use crate::model::Content;
use crate::options::AbOptions;
use crate::run;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(super) fn act(options: &AbOptions, line: String, stop: &AtomicBool) -> Result<Exit, Failure> {
    output::check(&[&options.output.json, &options.output.html])?;
    let job = |url| Job::new(line.clone(), std::slice::from_ref(url), &options.load);
    let (a, b) = (job(&options.a)?, job(&options.b)?);
    let mut live = Live::new(options.output.quiet);
    let (mut runs_a, mut runs_b) = (Vec::new(), Vec::new());
    let turns = compare::order(usize::from(options.rounds));
    for (n, turn) in turns.iter().enumerate() {
        if stop.load(Relaxed) {
            break;
        }
        let (name, job, runs) = match turn {
            AB::A => ("A", &a, &mut runs_a),
            AB::B => ("B", &b, &mut runs_b),
        };
        live.label(format!("{name} {:>2}/{} ", n + 1, turns.len()));
        // The same arrivals for both sides of a round, and other ones in the next.
        let job = Job { seed: options.load.seed.wrapping_add((n / 2) as u64), ..job.clone() };
        let run = run::measure_undisturbed(&job, &[], stop, &mut live).and_then(|(run, _)| {
            worked(&run)?;
            Ok(run)
        });
        match run {
            // Half a round is no round.
            Ok(run) if run.interrupted => break,
            Ok(run) => runs.push(run),
            // What was measured so far is compared; with nothing to compare, this is the end.
            Err(failure) if runs_a.is_empty() || runs_b.is_empty() => return Err(failure),
            Err(failure) => {
                live.say(&format!("ended after {n} of {} measurements: {failure}", turns.len()));
                break;
            }
        }
    }
    let wrong = runs_a.iter().chain(&runs_b).any(|run| run.counts.wrong > 0);
    let comparison = compare::compare((options.a.to_string(), &runs_a), (options.b.to_string(), &runs_b));
    let stopped = || Failure::CannotRun("stopped before both targets were measured".to_owned());
    let comparison = comparison.ok_or_else(stopped)?;
    let exit = if wrong { Exit::WrongAnswers } else { comparing::exit(&comparison) };
    output::show(Content::Comparison(Box::new(comparison)), &options.output, false)?;
    Ok(exit)
}
