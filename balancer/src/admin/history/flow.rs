//! Counts at a moment, and what was between two.
//!
//! In: the cells of servers and lanes. Out: sums, differences of sums, and rates and shares of those. Never: a number that is
//! less than zero, as a count may be read a moment before another that belongs to it.

use crate::fleet::{Counts, Fault, Fleet, LaneStats, Server};
use net::time::Time;
use std::time::Duration;

/// A rate over less than this says little.
const RATE_OVER_MIN: Duration = Duration::from_secs(1);

/// The counts of one server, at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    at: Time,
    pub(super) latencies: Counts,
    tries: u64,
    connect_failures: u64,
    failed: u64,
    reuses: u64,
}

/// What was between two moments, of one server.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Flow {
    over: Duration,
    /// Answers, by latency.
    pub(in crate::admin) latencies: Counts,
    /// Tries, and connects that never became one.
    attempts: u64,
    /// Of those, without an answer or with one of 500 to 599.
    pub(in crate::admin) failed: u64,
    reuses: u64,
    tries: u64,
}

impl Moment {
    pub(super) fn of(server: &Server, at: Time) -> Moment {
        let connect_failures = server.sum(|lane| &lane.connect_failures);
        let cut = server.sum(|lane| &lane.breaks)
            + server.sum(|lane| &lane.timeouts)
            + server.sum(|lane| &lane.malformed);
        let errors = server.sum(|lane| &lane.responses[4]);
        Moment {
            at,
            latencies: server.latencies(),
            tries: server.sum(|lane| &lane.tries),
            connect_failures,
            failed: connect_failures + cut + errors,
            reuses: server.sum(|lane| &lane.reuses),
        }
    }

    /// What was between `then` and this.
    pub(super) fn since(&self, then: &Moment) -> Flow {
        let tries = self.tries.wrapping_sub(then.tries);
        Flow {
            over: self.at.since(then.at),
            latencies: self.latencies.since(&then.latencies),
            attempts: tries + self.connect_failures.wrapping_sub(then.connect_failures),
            failed: self.failed.wrapping_sub(then.failed),
            reuses: self.reuses.wrapping_sub(then.reuses),
            tries,
        }
    }
}

impl Flow {
    /// `count` per second; `None` while that says little.
    fn rate(&self, count: u64) -> Option<f64> {
        (self.over >= RATE_OVER_MIN).then(|| count as f64 / self.over.as_secs_f64())
    }

    /// Tries per second.
    pub(in crate::admin) fn tries_per_second(&self) -> Option<f64> {
        self.rate(self.tries)
    }

    /// Failures per second.
    pub(in crate::admin) fn failed_per_second(&self) -> Option<f64> {
        self.rate(self.failed)
    }

    /// The share of attempts that failed, 0 to 1.
    pub(in crate::admin) fn failed_share(&self) -> Option<f64> {
        share(self.failed, self.attempts)
    }

    /// The share of tries that went over a connection that was there, 0 to 1.
    pub(in crate::admin) fn reuse_share(&self) -> Option<f64> {
        share(self.reuses, self.tries)
    }

    /// Another server's beside this, for a pool's shares and quantiles.
    pub(in crate::admin) fn add(&mut self, other: &Flow) {
        let sums = self.latencies.0.iter_mut();
        sums.zip(&other.latencies.0).for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
        self.attempts += other.attempts;
        self.failed += other.failed;
    }
}

/// Counts may be read while lanes write: one may be a moment ahead of the other.
fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| (part as f64 / of as f64).min(1.0))
}

/// The counts of all lanes, at a moment.
#[derive(Clone, Debug)]
pub(super) struct LanesMoment {
    at: Time,
    requests: Vec<u64>,
    faults: [u64; Fault::ALL.len()],
    retries: u64,
    retries_refused: u64,
}

/// What the lanes did of late.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct LanesFlow {
    /// Requests per second, of each lane; `None` until that is known.
    pub(in crate::admin) rates: Option<Vec<f64>>,
    /// In the last minute, by [`Fault`].
    pub(in crate::admin) faults: [u64; Fault::ALL.len()],
    /// In the last minute.
    pub(in crate::admin) retries: u64,
    /// In the last minute.
    pub(in crate::admin) retries_refused: u64,
}

impl LanesMoment {
    pub(super) fn of(fleet: &Fleet, at: Time) -> LanesMoment {
        let sum = |cell: &dyn Fn(&LaneStats) -> u64| fleet.lanes.iter().map(cell).sum();
        LanesMoment {
            at,
            requests: fleet.lanes.iter().map(|lane| lane.requests.get()).collect(),
            faults: std::array::from_fn(|n| sum(&|lane| lane.faults[n].get())),
            retries: sum(&|lane| lane.retries.get()),
            retries_refused: sum(&|lane| lane.retries_refused.get()),
        }
    }

    /// Requests per second of each lane since `then`; `None` while that says little.
    pub(super) fn rates(&self, then: &LanesMoment) -> Option<Vec<f64>> {
        let over = self.at.since(then.at);
        let rate = |(here, then): (&u64, &u64)| here.wrapping_sub(*then) as f64 / over.as_secs_f64();
        (over >= RATE_OVER_MIN).then(|| self.requests.iter().zip(&then.requests).map(rate).collect())
    }

    /// What was between `then` and this, without the rates.
    pub(super) fn since(&self, then: &LanesMoment) -> LanesFlow {
        LanesFlow {
            rates: None,
            faults: std::array::from_fn(|n| self.faults[n].wrapping_sub(then.faults[n])),
            retries: self.retries.wrapping_sub(then.retries),
            retries_refused: self.retries_refused.wrapping_sub(then.retries_refused),
        }
    }
}
