//! What is proved: each a run whose outcome is known by arithmetic.

use super::{Bench, Finding, Result};
use crate::job::Failure;
use crate::model::{Piece, Run};
use crate::schedule::{ArrivalKind, GapMeter, Profile, Schedule};
use crate::selftest::target::Behaviour;
use crate::units::{format_count, format_ns, format_rate};
use std::time::Duration;

pub(super) type Check = fn(&Bench<'_>) -> std::result::Result<Finding, Failure>;
type Found = std::result::Result<Finding, Failure>;

/// Have a known answer.
pub(super) const PROVING: [Check; 11] =
    [poisson, constant, delay, stall, overload, swapped, duplicated, corrupted, dropped, cut, not_http];

/// Say what this machine can do.
pub(super) const MEASURING: [Check; 2] = [ceiling, own_lag];

/// An answer may be so much later than known: a stall of a shared machine, and what queues behind it.
const LATE: u64 = 500_000_000;

fn finding(name: &'static str, passed: bool, found: String) -> Found {
    Ok(Finding { name, result: if passed { Result::Pass } else { Result::Fail }, found })
}

/// Independent users: the gaps' standard deviation is their mean, in the schedule and as sent. A busy machine sends
/// some together; then only the schedule can be proved.
fn poisson(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::Right, "-r 2000 -d 3s --warmup 0s")?;
    let sent = run.arrivals.map_or(0.0, |arrivals| arrivals.sent);
    let due = due_variation();
    let found =
        format!("variation of {} gaps {due:.3} due, {sent:.3} sent, known 1", format_count(run.counts.sent));
    // Six times the standard error of 6000 gaps is 0.08.
    let proved = (0.92..=1.08).contains(&due) && counted(&run);
    let is_busy = run.own_lag.at(0.999) > 500_000;
    match (0.9..=1.1).contains(&sent) {
        false if proved && is_busy => Ok(Finding {
            name: "random arrivals",
            result: Result::Pass,
            found: format!("{found}; this machine is too busy to send them so"),
        }),
        as_sent => finding("random arrivals", proved && as_sent, found),
    }
}

/// The coefficient of variation of the gaps of 3 s at 2000/s, as the schedule has them.
fn due_variation() -> f64 {
    let profile = Profile::new(vec![Piece { length_ns: 3_000_000_000, from: 2000.0, to: 2000.0 }]);
    let mut meter = GapMeter::new(&profile);
    Schedule::new(&profile, ArrivalKind::Poisson, 1, 0, 1).for_each(|due| meter.sent(due));
    meter.cv()
}

/// Evenly spaced: the count is exact, and half of the gaps are too.
fn constant(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::Right, "-r 2000 --arrivals constant -d 3s --warmup 0s")?;
    let found = format!("{} requests in 3 s, known 6,000", format_count(run.counts.offered));
    finding("constant arrivals", run.counts.offered == 6000 && counted(&run), found)
}

/// Every answer takes 5 ms: none is faster, and the median is little more.
fn delay(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::Delay(Duration::from_millis(5)), "-r 1000 -d 2s --warmup 0s")?;
    let (min, p50) = (run.service.0.min(), run.service.at(0.5));
    let found = format!("fastest {}, median {}, known 5 ms", format_ns(min), format_ns(p50));
    // The histogram's error is 0.1 %.
    finding("a fixed delay", min >= 4_990_000 && p50 < 5_000_000 + LATE / 50 && counted(&run), found)
}

/// Frozen for 1 s of 4 s at 2000/s: of 8000 requests the longest 80 waited from 0.96 s to 1 s. Eight connections see
/// eight slow answers: who measures from the sending sees a hundredth of it.
fn stall(bench: &Bench<'_>) -> Found {
    let behaviour = Behaviour::Stall { at: Duration::from_secs(1), length: Duration::from_secs(1) };
    let (run, _) = bench.run(behaviour, "-r 2000 --arrivals constant -c 8 -d 4s --warmup 0s")?;
    let (response, service) = (run.response.at(0.99), run.service.at(0.99));
    let found = format!(
        "p99 {}, known 960 ms; from the sending on it would be {}",
        format_ns(response),
        format_ns(service)
    );
    let passed = (950_000_000..960_000_000 + LATE).contains(&response) && service < response / 2;
    finding("a stall", passed && counted(&run), found)
}

/// One connection and 10 ms for an answer can't do 1000/s: the run must say that it is invalid.
fn overload(bench: &Bench<'_>) -> Found {
    let behaviour = Behaviour::Delay(Duration::from_millis(10));
    let (run, _) = bench.run(behaviour, "-r 1000 -c 1 -d 1s --warmup 0s --timeout 100ms")?;
    let found = format!(
        "{} of {} sent, verdict {}",
        run.counts.sent,
        run.counts.offered,
        crate::verdict::words(&run)
    );
    finding("too high a rate", !run.is_valid() && run.counts.completed_in_window <= 101, found)
}

fn swapped(bench: &Bench<'_>) -> Found {
    let (run, did) = bench.run(Behaviour::Swap { every: 50 }, LEDGER)?;
    let ledger = run.ledger.unwrap_or_default();
    let caught = ledger.swapped + ledger.duplicated;
    let found = format!("{} exchanged, {caught} caught", did.swapped);
    finding(
        "swapped answers",
        did.swapped > 0 && caught == did.swapped && run.counts.wrong == did.swapped,
        found,
    )
}

fn duplicated(bench: &Bench<'_>) -> Found {
    let (run, did) = bench.run(Behaviour::Duplicate { every: 50 }, LEDGER)?;
    let caught = run.ledger.unwrap_or_default().duplicated;
    let found = format!("{} given twice, {caught} caught", did.duplicated);
    finding("duplicated answers", did.duplicated > 0 && caught == did.duplicated, found)
}

fn corrupted(bench: &Bench<'_>) -> Found {
    let (run, did) = bench.run(Behaviour::Corrupt { every: 50 }, "-r 2000 -d 1s --warmup 0s")?;
    let found = format!("{} with a changed digit, {} caught", did.corrupted, run.counts.wrong);
    finding("wrong answers", did.corrupted > 0 && run.counts.wrong == did.corrupted, found)
}

/// What is never answered counts in the tail, with at least the time limit.
fn dropped(bench: &Bench<'_>) -> Found {
    let options = "-r 1000 -d 1s --warmup 0s --timeout 300ms --workload ledger";
    let (run, did) = bench.run(Behaviour::Drop { every: 20 }, options)?;
    let (timeouts, lost) = (run.counts.timeouts, run.ledger.unwrap_or_default().lost);
    let p99 = run.response.at(0.99);
    let found =
        format!("{} dropped, {timeouts} timed out, p99 {} of a limit of 300 ms", did.dropped, format_ns(p99));
    let passed = did.dropped > 0 && timeouts == did.dropped && lost == did.dropped && p99 >= 299_000_000;
    finding("dropped answers", passed && counted(&run), found)
}

fn cut(bench: &Bench<'_>) -> Found {
    let (run, did) = bench.run(Behaviour::CloseMidAnswer { every: 50 }, "-r 1000 -d 1s --warmup 0s")?;
    let found = format!("{} cut short, {} failed", did.cut, run.counts.failed);
    finding("answers cut short", did.cut > 0 && run.counts.failed == did.cut && counted(&run), found)
}

fn not_http(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::NotHttp, "-c 4 -d 500ms --warmup 0s")?;
    let kind = run.errors.first().map_or("nothing", |error| error.kind.as_str());
    let passed = run.counts.completed == 0 && kind == "the answer is not HTTP";
    finding("another protocol", passed, format!("told as: {kind}"))
}

/// What a closed loop reaches on one core each side, with the target of this self-test.
fn ceiling(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::Right, "-d 2s")?;
    let busy = run.lanes.first().map_or(0.0, |lane| lane.busy);
    let found = format!("{} req/s, lane {:.0} % busy", format_rate(run.rate()), busy * 100.0);
    Ok(Finding { name: "closed loop", result: Result::Measured, found })
}

/// How late this machine lets the generator be where it has the time.
fn own_lag(bench: &Bench<'_>) -> Found {
    let (run, _) = bench.run(Behaviour::Right, "-r 20k -d 3s")?;
    let lag = |q| format_ns(run.own_lag.at(q));
    let held_up = run.lanes.first().map_or(0.0, |lane| lane.held_up);
    let found = format!(
        "at 20k/s p50 {}, p99 {}, p99.9 {}; others had its core for {:.2} % of the time",
        lag(0.5),
        lag(0.99),
        lag(0.999),
        held_up * 100.0
    );
    Ok(Finding { name: "own lag", result: Result::Measured, found })
}

const LEDGER: &str = "-r 2000 -d 1s --warmup 0s --workload ledger";

/// Whether every request that was due came to one end.
fn counted(run: &Run) -> bool {
    let counts = run.counts;
    counts.offered == counts.completed + counts.wrong + counts.failed
        && run.response.count() == counts.offered
}
