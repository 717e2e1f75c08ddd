//! What the generator did: sent in time and as asked, with a core to spare, on cores of its own.
//!
//! In: own lag, arrivals, lanes, looks at the target. Out: checks. Never: takes the wait for a connection as own lag.

use super::{check, unknown};
use crate::model::{Check, Load, Run};
use crate::quantile::{TAIL_MIN, rank};
use crate::schedule::ArrivalKind;
use crate::slo::Slo;
use crate::units::{format_count, format_ns, format_share, percentile_name};

/// Share of a percentile that may be the generator's own lateness, at the same percentile.
const OWN_LAG_SHARE_MAX: f64 = 0.2;
/// Own lag that is never too much: the kernel's own cost of sending lies in it.
const OWN_LAG_FLOOR_NS: u64 = 20_000;
/// Percentiles at which own lag is looked at, besides those of the targets.
const OWN_LAG_AT: [f64; 2] = [0.5, 0.99];
/// How far the coefficient of variation may be from 1.
const POISSON_ROOM: f64 = 0.05;
/// Standard deviations of the coefficient itself, which is 1/√n for n exponential gaps.
const SIGMAS: f64 = 6.0;
/// How large the coefficient may be where gaps are meant to be equal.
const CONSTANT_MAX: f64 = 0.1;
/// By how much the gaps' standard deviation may be off in time, whatever the coefficient: as much as own lag may. At
/// 100,000 per second and lane the mean gap is 10 µs, and a lane that sends in turns of that length is off by 8 %.
const GAP_FLOOR_NS: f64 = OWN_LAG_FLOOR_NS as f64;
/// A lane that works more than this has no room for what comes in bunches.
const BUSY_MAX: f64 = 0.95;
pub(super) const CORE_TO_ITSELF: &str = "core to itself";
/// Share of the time that a lane may be kept from its core. What is answered then waits unseen, and that looks like
/// the server's time: it must stay well below the hundredth that p99 leaves out.
const HELD_UP_MAX: f64 = 0.005;
/// The same in a closed loop, which is asked how much a server can do: by so much it may be told too little.
const HELD_UP_MAX_CLOSED: f64 = 0.05;
/// Share of the looks at which the target was on a core of ours; a thread may stray for a moment.
const SHARED_LOOKS_MAX: f64 = 0.05;

pub(super) fn own_lag(run: &Run, slos: &[Slo]) -> Check {
    const NAME: &str = "own lag";
    let floor = format_ns(OWN_LAG_FLOOR_NS);
    let wanted = format!("at most {} of the response time, or {floor}", format_share(OWN_LAG_SHARE_MAX));
    if run.setup.load == Load::Closed {
        return unknown(NAME, "closed loop: nothing is due before it is sent", wanted);
    }
    if run.own_lag.count() == 0 || run.response.count() == 0 {
        return unknown(NAME, "nothing was sent", wanted);
    }
    let count = run.response.count();
    let of_slos = slos.iter().filter_map(|slo| slo.quantile_and_limit().map(|(q, _)| q));
    let has_enough = |q: &f64| count - rank(count, *q) >= TAIL_MIN;
    let lags = OWN_LAG_AT.into_iter().chain(of_slos.filter(has_enough)).map(|q| Lag {
        q,
        own_ns: run.own_lag.at(q),
        response_ns: run.response.at(q),
    });
    let worst =
        lags.max_by(|one, two| one.excess().total_cmp(&two.excess())).expect("two are always looked at");
    let found = format!(
        "{} {} of {}",
        percentile_name(worst.q),
        format_ns(worst.own_ns),
        format_ns(worst.response_ns)
    );
    let help = "the generator sent late: give it more --cores, a quiet machine, or lower --rate";
    check(NAME, worst.excess() <= 1.0, found, wanted, help)
}

/// Own lag beside the response time, both at one percentile.
struct Lag {
    q: f64,
    own_ns: u64,
    response_ns: u64,
}

impl Lag {
    /// Own lag over what is allowed.
    fn excess(&self) -> f64 {
        let allowed = (OWN_LAG_SHARE_MAX * self.response_ns as f64).max(OWN_LAG_FLOOR_NS as f64);
        self.own_ns as f64 / allowed
    }
}

pub(super) fn arrivals(run: &Run) -> Check {
    const NAME: &str = "arrivals";
    let Load::Open { arrivals, .. } = &run.setup.load else {
        return unknown(NAME, "closed loop: they follow the answers", "as asked for".to_owned());
    };
    let kind: ArrivalKind = match arrivals.parse() {
        Ok(kind) => kind,
        Err(why) => return unknown(NAME, &why, "as asked for".to_owned()),
    };
    let gaps = run.arrivals.map_or(0, |arrivals| arrivals.gaps);
    let floor = format_ns(OWN_LAG_FLOOR_NS);
    let (ideal, room) = match kind {
        ArrivalKind::Poisson => (1.0, POISSON_ROOM.max(SIGMAS / (gaps.max(1) as f64).sqrt())),
        ArrivalKind::Constant => (0.0, CONSTANT_MAX),
    };
    let wanted = format!("variation of gaps {ideal} ± {room:.2}, or {floor}");
    let Some(found) = run.arrivals.filter(|arrivals| arrivals.gaps > 1) else {
        return unknown(NAME, "too few gaps", wanted);
    };
    let off = (found.sent - ideal).abs();
    let off_ns = off * mean_gap_ns(run);
    let help = "requests were sent in bunches or late: give the generator more --cores, or lower --rate";
    let text =
        format!("{:.3} sent, {:.3} due, over {} gaps", found.sent, found.asked, format_count(found.gaps));
    if off > room && off_ns <= GAP_FLOOR_NS {
        return unknown(NAME, &format!("{text}: gaps shorter than can be told apart"), wanted);
    }
    check(NAME, off <= room, text, wanted, help)
}

/// Between two requests of a lane, on average.
fn mean_gap_ns(run: &Run) -> f64 {
    let lanes = run.lanes.len().max(1) as f64;
    lanes * run.window_ns as f64 / run.counts.offered.max(1) as f64
}

pub(super) fn generator_core(run: &Run) -> Check {
    const NAME: &str = "generator core";
    let wanted = format!("at most {} busy", format_share(BUSY_MAX));
    let Some(lane) = run.lanes.iter().max_by(|one, two| one.busy.total_cmp(&two.busy)) else {
        return unknown(NAME, "not measured", wanted);
    };
    let found = format!("core {} {} busy", lane.core, format_share(lane.busy));
    let help = "the generator is the limit: more --cores, or lower --rate";
    check(NAME, lane.busy <= BUSY_MAX, found, wanted, help)
}

pub(super) fn core_to_itself(run: &Run) -> Check {
    const NAME: &str = CORE_TO_ITSELF;
    let most = if run.setup.load == Load::Closed { HELD_UP_MAX_CLOSED } else { HELD_UP_MAX };
    let wanted = format!("held up by others at most {} of the time", format_share(most));
    let Some(lane) = run.lanes.iter().max_by(|one, two| one.held_up.total_cmp(&two.held_up)) else {
        return unknown(NAME, "not measured", wanted);
    };
    let found = format!("core {} taken {} of the time", lane.core, format_share(lane.held_up));
    let help = "other programs ran on the generator's core, and answers waited unseen: stop them, or choose other --cores";
    check(NAME, lane.held_up <= most, found, wanted, help)
}

pub(super) fn own_cores(run: &Run) -> Check {
    const NAME: &str = "own cores";
    let wanted =
        format!("target on the generator's cores in at most {} of looks", format_share(SHARED_LOOKS_MAX));
    let Some(target) = &run.target else {
        return unknown(NAME, "the target is not on this machine, or was not found", wanted);
    };
    if target.looks == 0 {
        return unknown(NAME, "the target was never seen at work", wanted);
    }
    let share = target.looks_on_our_cores as f64 / target.looks as f64;
    let found = format!("{} of {} looks", format_share(share), format_count(target.looks));
    let help =
        "generator and target take each other's time: keep them apart with --cores here and taskset -c there";
    check(NAME, share <= SHARED_LOOKS_MAX, found, wanted, help)
}
