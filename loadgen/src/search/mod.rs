//! The highest rate at which the targets are met, with an interval.
//!
//! In: what the closed loop and a ramp reached, and a way to hold a rate for a while and judge it. Out: an answer
//! such as `184k ± 3k req/s at p99 < 1 ms`. [`plan`] decides what is tried next; `fit` says what the trials so far
//! tell about the boundary; `words` puts it. Never: a socket or a clock; those are behind the caller's closure.

mod fit;
pub mod plan;
mod words;

use crate::model::{Answer, Trial};
use plan::{Plan, Step};
use std::time::Duration;

/// Holds what the plan asks for, trial by trial, until it is done.
///
/// `hold` offers a rate (requests per second) for a window of this length and says what came of it. Its error ends
/// the search; what the trials until then tell is in [`Plan::answer`].
pub fn search<E>(
    plan: &mut Plan,
    mut hold: impl FnMut(f64, Duration) -> Result<Trial, E>,
) -> Result<Answer, E> {
    loop {
        match plan.next() {
            Step::Hold { rate, length } => plan.record(hold(rate, length)?),
            Step::Done(answer) => return Ok(answer),
        }
    }
}

#[cfg(test)]
mod simulation_tests;
