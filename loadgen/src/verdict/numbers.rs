//! Whether the numbers hold together: the run was whole, they agree with each other, and there are enough of them.
//!
//! In: the window, what was in flight, the distributions. Out: checks. Never: compares two numbers of one source.

use super::{check, unknown};
use crate::model::{Check, Run};
use crate::quantile::{TAIL_MIN, quantile, samples_needed};
use crate::slo::Slo;
use crate::units::{format_count, format_ns, format_share, percentile_name};

pub(super) const SAMPLES: &str = "samples";
/// How far the two ways to count what is in flight may be apart: they are exact, but for a run that was cut off.
const LITTLE_SHARE_MAX: f64 = 0.01;
/// In requests: where few are in flight, a share of them is nothing.
const LITTLE_FLOOR: f64 = 0.05;
/// Without a p99 there is no tail to speak of.
const ALWAYS: f64 = 0.99;

pub(super) fn finished(run: &Run) -> Check {
    let length = format_ns(run.window_ns);
    let found =
        if run.interrupted { format!("interrupted after {length}") } else { format!("ran for {length}") };
    check("finished", !run.interrupted, found, "to its end".to_owned(), "let it run to its end")
}

/// In flight is integrated over time as it changes, from the hand-over of a request to its answer; service times are
/// recorded one by one. If requests are missed, counted twice or timed wrongly, the two part.
pub(super) fn littles_law(run: &Run) -> Check {
    const NAME: &str = "little's law";
    let share = format_share(LITTLE_SHARE_MAX);
    let wanted = format!("in flight = rate × time in flight, within {share} or {LITTLE_FLOOR}");
    if run.service.count() == 0 || run.window_ns == 0 {
        return unknown(NAME, "nothing was answered", wanted);
    }
    let (counted, expected) = (run.in_flight_mean, run.in_flight_by_times);
    let found = format!("{counted:.2} in flight, {expected:.2} by rate × time in flight");
    let help = "the generator's own numbers contradict each other: report this as a fault";
    let room = (LITTLE_SHARE_MAX * expected).max(LITTLE_FLOOR);
    check(NAME, (counted - expected).abs() <= room, found, wanted, help)
}

pub(super) fn samples(run: &Run, slos: &[Slo]) -> Check {
    let of_slos = slos.iter().filter_map(|slo| slo.quantile_and_limit().map(|(q, _)| q));
    let highest = of_slos.fold(ALWAYS, f64::max);
    let tail = quantile(&run.response, &[], highest).tail;
    let name = percentile_name(highest);
    let found = format!("{} beyond {name}", format_count(tail));
    let needed = samples_needed(highest);
    let help = format!("measure longer: {name} needs {} requests", format_count(needed));
    check(SAMPLES, tail >= TAIL_MIN, found, format!("at least {TAIL_MIN}"), &help)
}
