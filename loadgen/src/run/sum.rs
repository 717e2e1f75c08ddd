//! From what each lane has to one record.

use super::Collected;
use crate::job::Job;
use crate::machine;
use crate::model::{Arrivals, Counts, ErrorCount, Interval, LaneUse, Latency, Ledger, Run, Setup};
use crate::record::Totals;
use crate::schedule::{ArrivalKind, GapMeter};

/// Adds the lanes up.
pub(super) fn up(job: &Job, collected: &mut Collected) -> Run {
    let results = std::mem::take(&mut collected.results);
    let begin = results.iter().map(|lane| lane.window.begin).min().unwrap_or_default();
    let end = results.iter().map(|lane| lane.window.end).max().unwrap_or_default();
    let window_ns = end.since(begin).as_nanos() as u64;
    let lane_use = |(n, lane): (usize, &crate::program::LaneResult)| {
        let cpu = collected.cpu.get(n).copied().unwrap_or_default();
        LaneUse {
            core: job.cores[n],
            busy: cpu.busy,
            held_up: cpu.held_up,
            cpu_ns: cpu.cpu_ns,
            completed: lane.totals.counts.completed,
        }
    };
    let lanes = results.iter().enumerate().map(lane_use).collect();
    let mean = |part: fn(&Totals) -> u128| {
        let sum: u128 = results.iter().map(|lane| part(&lane.totals)).sum();
        if window_ns == 0 { 0.0 } else { sum as f64 / window_ns as f64 }
    };
    let all = |times: fn(&Totals) -> &crate::record::Times| {
        let mut latency = Latency::new();
        results.iter().for_each(|lane| times(&lane.totals).add_to(&mut latency));
        latency
    };
    let timeline = std::mem::replace(&mut collected.timeline, crate::timeline::Timeline::new(0, 1));
    let counts = counts(&results);
    let mut intervals = timeline.finish(window_ns);
    settle(&mut intervals, counts.offered);
    Run {
        setup: setup(job),
        machine: machine::read(),
        started_unix_ms: collected.started_unix_ms,
        window_ns,
        counts,
        errors: errors(&results),
        statuses: statuses(&results),
        response: all(|totals| &totals.response),
        service: all(|totals| &totals.service),
        own_lag: all(|totals| &totals.own_lag),
        connection_wait: all(|totals| &totals.connection_wait),
        connect: all(|totals| &totals.connect),
        intervals,
        lanes,
        target: collected.target.take(),
        arrivals: arrivals(job, &results),
        in_flight_mean: mean(|totals| totals.in_flight_ns),
        in_flight_by_times: mean(|totals| totals.in_window_ns),
        ledger: ledger(&results),
        interrupted: collected.interrupted,
        checks: Vec::new(),
        slos: Vec::new(),
    }
}

/// While a lane is behind, a slice holds about how many fell due in it. Of the whole their number is known: what was
/// too many is taken from the end.
fn settle(intervals: &mut [Interval], offered: u64) {
    let told: u64 = intervals.iter().map(|interval| interval.offered).sum();
    let mut over = told.saturating_sub(offered);
    for interval in intervals.iter_mut().rev() {
        let less = over.min(interval.offered);
        interval.offered -= less;
        over -= less;
    }
}

fn setup(job: &Job) -> Setup {
    Setup {
        command: job.command.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        urls: job.urls.iter().map(|url| (url.to_string(), url.weight)).collect(),
        address: job.address.to_string(),
        load: job.load(),
        workload: job.kind.name().to_owned(),
        connections: job.connections as u64,
        pipeline: job.pipeline as u64,
        requests_per_connection: job.requests_per_connection.unwrap_or(0),
        warmup_ns: job.warmup.as_nanos() as u64,
        timeout_ns: job.timeout.as_nanos() as u64,
        seed: job.seed,
        engine: job.probe.engine.to_string(),
        cores: job.cores.clone(),
    }
}

fn counts(results: &[crate::program::LaneResult]) -> Counts {
    results.iter().map(|lane| lane.totals.counts).fold(Counts::default(), |a, b| Counts {
        offered: a.offered + b.offered,
        sent: a.sent + b.sent,
        completed: a.completed + b.completed,
        completed_in_window: a.completed_in_window + b.completed_in_window,
        wrong: a.wrong + b.wrong,
        wrong_outside: a.wrong_outside + b.wrong_outside,
        failed: a.failed + b.failed,
        timeouts: a.timeouts + b.timeouts,
        sent_bytes: a.sent_bytes + b.sent_bytes,
        received_bytes: a.received_bytes + b.received_bytes,
        connections_opened: a.connections_opened + b.connections_opened,
    })
}

fn errors(results: &[crate::program::LaneResult]) -> Vec<ErrorCount> {
    let mut all: Vec<ErrorCount> = Vec::new();
    for error in results.iter().flat_map(|lane| &lane.totals.errors) {
        match all.iter_mut().find(|known| known.kind == error.kind) {
            Some(known) => known.count += error.count,
            None => all.push(error.clone()),
        }
    }
    all.sort_by_key(|error| std::cmp::Reverse(error.count));
    all
}

fn statuses(results: &[crate::program::LaneResult]) -> Vec<(u16, u64)> {
    let mut all = std::collections::BTreeMap::new();
    for (status, count) in results.iter().flat_map(|lane| &lane.totals.statuses) {
        *all.entry(*status).or_insert(0) += count;
    }
    all.into_iter().collect()
}

fn arrivals(job: &Job, results: &[crate::program::LaneResult]) -> Option<Arrivals> {
    let meters = results.iter().filter_map(|lane| lane.gaps.clone());
    let meter = meters.reduce(|mut all, lane| {
        GapMeter::merge(&mut all, &lane);
        all
    })?;
    let asked = match job.arrivals {
        ArrivalKind::Poisson => 1.0,
        ArrivalKind::Constant => 0.0,
    };
    Some(Arrivals { asked, sent: meter.cv(), gaps: meter.gaps() })
}

fn ledger(results: &[crate::program::LaneResult]) -> Option<Ledger> {
    let ledgers = results.iter().filter_map(|lane| lane.ledger);
    ledgers.reduce(|a, b| Ledger {
        swapped: a.swapped + b.swapped,
        duplicated: a.duplicated + b.duplicated,
        misrouted: a.misrouted + b.misrouted,
        corrupted: a.corrupted + b.corrupted,
        lost: a.lost + b.lost,
    })
}
