//! The weights of an `adaptive` pool: what its lanes counted, put to the rule at its interval.
//!
//! In: the servers' cells, as they stand. Out: a factor for each server's weight. The rule is [`Adaptive`]'s. Never: a server that is new to its
//! work judged by how little it has of it.

use crate::config::{Balance, Pool as Config};
use crate::control::{Admin, State};
use crate::fleet::{Pool, Server, ServerStats};
use crate::health;
use crate::pick::{ADAPTIVE_INTERVAL, Adaptive, Sample};
use net::stats::Cell;
use net::time::Time;
use std::time::Duration;

/// One pool's.
pub(super) struct Adapting {
    rule: Adaptive,
    factors: Vec<f64>,
    counts: Vec<Counted>,
    last: Time,
}

/// What a server's lanes had counted at the last step.
#[derive(Clone, Copy, Default)]
struct Counted {
    answers: u64,
    failures: u64,
    latency_ns: u64,
}

impl Counted {
    fn of(server: &Server) -> Counted {
        let sum = |cell: fn(&ServerStats) -> &Cell| server.sum(cell);
        let lost = sum(|lane| &lane.connect_failures)
            + sum(|lane| &lane.breaks)
            + sum(|lane| &lane.timeouts)
            + sum(|lane| &lane.malformed);
        let class = |n: usize| server.sum(|lane| &lane.responses[n]);
        let errors = class(4);
        Counted {
            answers: (0..4).map(class).sum(),
            failures: lost + errors,
            latency_ns: sum(|lane| &lane.latency_sum_ns),
        }
    }

    fn since(self, earlier: Counted) -> Counted {
        Counted {
            answers: self.answers.wrapping_sub(earlier.answers),
            failures: self.failures.wrapping_sub(earlier.failures),
            latency_ns: self.latency_ns.wrapping_sub(earlier.latency_ns),
        }
    }
}

impl Adapting {
    /// `None`: the pool's weights are what they are.
    pub(super) fn for_pool(config: &Config, pool: &Pool, now: Time) -> Option<Adapting> {
        (config.balance == Balance::Adaptive).then(|| Adapting {
            rule: Adaptive::new(pool.servers.len()),
            factors: vec![1.0; pool.servers.len()],
            counts: pool.servers.iter().map(|server| Counted::of(server)).collect(),
            last: now,
        })
    }

    /// Goes on with what another process has learned, where it has.
    pub(super) fn resume(&mut self, factors: &[Option<f64>]) {
        if factors.iter().any(Option::is_some) {
            self.rule.resume(factors);
            self.factors.clear();
            self.factors.extend_from_slice(self.rule.factors());
        }
    }

    /// What each server's weight is multiplied with.
    pub(super) fn factors(&self) -> &[f64] {
        &self.factors
    }

    /// When to step.
    pub(super) fn next_deadline(&self) -> Time {
        self.last + ADAPTIVE_INTERVAL
    }

    /// Steps: `health` says whose numbers mean something.
    pub(super) fn step(&mut self, pool: &Pool, health: &health::Pool, now: Time) {
        let new: Vec<Counted> = pool.servers.iter().map(|server| Counted::of(server)).collect();
        let since: Vec<Counted> = new.iter().zip(&self.counts).map(|(new, old)| new.since(*old)).collect();
        let answers: u64 = since.iter().map(|one| one.answers).sum();
        let mean_ns = since.iter().map(|one| one.latency_ns).sum::<u64>() / answers.max(1);
        let sample = |(n, (server, since)): (usize, (&health::Health, &Counted))| Sample {
            weight_configured: health.weight(n),
            completed: since.answers + since.failures,
            // A failure is soon over, which must not look like speed: it took what answers take, at least.
            latency_sum: Duration::from_nanos(since.latency_ns + since.failures.saturating_mul(mean_ns)),
            in_flight: pool.loads[n].in_flight(),
            failures: since.failures,
            // A server in its slow start has little to do because it gets little.
            is_up: server.state() == State::Up && server.admin() == Admin::Ready,
        };
        let samples: Vec<Sample> = health.servers().zip(&since).enumerate().map(sample).collect();
        let factors = self.rule.step(now.since(self.last), &samples);
        self.factors.clear();
        self.factors.extend_from_slice(factors);
        (self.counts, self.last) = (new, now);
    }
}
