//! Whether a run may be believed.
//!
//! In: a run as it was recorded, and the targets. Out: the run's checks, each with what was found, what was wanted
//! and what helps, and the results of the targets. Never: measures anything, or lets a doubt pass as a yes.
//!
//! A check that fails makes the run invalid: its numbers are shown, and prove nothing.

mod answers;
mod generator;
mod numbers;

use crate::model::{Check, Outcome, Run};
use crate::slo::Slo;

/// Fills the run's checks and the results of its targets.
pub fn judge(run: &mut Run, slos: &[Slo]) {
    run.checks = vec![
        numbers::finished(run),
        answers::rate_reached(run),
        generator::own_lag(run, slos),
        generator::arrivals(run),
        numbers::littles_law(run),
        numbers::samples(run, slos),
        answers::errors(run, slos),
        answers::wrong_answers(run),
        generator::generator_core(run),
        generator::core_to_itself(run),
        generator::own_cores(run),
    ];
    run.slos = slos.iter().map(|slo| slo.judge(run)).collect();
}

/// Answers that were wrong, in the warm-up too.
pub fn wrong_answers(run: &Run) -> u64 {
    answers::count_wrong(run)
}

/// `VALID`, or `INVALID: own lag, errors`.
pub fn words(run: &Run) -> String {
    if run.checks.is_empty() {
        return "INVALID: not judged".to_owned();
    }
    let failed: Vec<&str> = failed(run).map(|check| check.name.as_str()).collect();
    if failed.is_empty() { "VALID".to_owned() } else { format!("INVALID: {}", failed.join(", ")) }
}

/// Who has to answer for an invalid run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The run is valid, or too short.
    Nobody,
    /// The target fell behind, or answered with errors: the run says something about it.
    Target,
    /// The generator, or the way it was run: the run says nothing about the target.
    Generator,
}

/// Who has to answer for what failed; the generator, if both have, or if the run wasn't judged.
pub fn fault(run: &Run) -> Fault {
    if run.checks.is_empty() {
        return Fault::Generator;
    }
    failed(run).fold(Fault::Nobody, |so_far, check| match (so_far, check.name.as_str()) {
        (Fault::Generator, _) => Fault::Generator,
        // A run can be too short for one thing and long enough for another: a target says itself whether it is.
        (_, numbers::SAMPLES) => so_far,
        (_, answers::ERRORS | answers::WRONG_ANSWERS) => Fault::Target,
        (_, answers::RATE_REACHED) if answers::is_targets_fault(run) => Fault::Target,
        _ => Fault::Generator,
    })
}

/// Whether others took the lanes' cores: a neighbour's noise, that may be gone the next time.
pub fn is_disturbed(run: &Run) -> bool {
    failed(run).any(|check| check.name == generator::CORE_TO_ITSELF)
}

/// Whether a run, though disturbed, met its targets: noise can make it slower only.
pub fn is_met_in_spite_of_noise(run: &Run) -> bool {
    let matters = |name: &str| name != generator::CORE_TO_ITSELF && name != numbers::SAMPLES;
    let others = failed(run).any(|check| matters(&check.name));
    !others && !run.checks.is_empty() && run.slos.iter().all(|slo| slo.met)
}

fn failed(run: &Run) -> impl Iterator<Item = &Check> {
    run.checks.iter().filter(|check| check.outcome == Outcome::Fail)
}

/// Help is for those who need it: it is left out where the check passed.
fn check(name: &str, passed: bool, found: String, wanted: String, help: &str) -> Check {
    let (outcome, help) = if passed { (Outcome::Pass, "") } else { (Outcome::Fail, help) };
    Check { name: name.to_owned(), outcome, found, wanted, help: help.to_owned() }
}

/// `why` it can't be known here, or doesn't apply.
fn unknown(name: &str, why: &str, wanted: String) -> Check {
    let found = why.to_owned();
    Check { name: name.to_owned(), outcome: Outcome::Unknown, found, wanted, help: String::new() }
}

#[cfg(test)]
mod tests;
