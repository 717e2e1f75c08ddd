//! A pool of servers as a queueing model, balanced by the balancer's own code: requests arrive, a lane's
//! `Picker` chooses, a server's workers serve in order of arrival.
//!
//! In: a [`Setup`] and a seed. Out: how long requests took, in mean service times, and who got how many.
//! There is no network: a lane sees at once what all lanes have in flight. Requests come as from many users
//! who know nothing of each other (Poisson), each to any lane.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balancer::config::Balance;
use balancer::pick::{ADAPTIVE_INTERVAL, Adaptive, Load, Picker, Sample, WEIGHT_ONE};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::trouble::{Pauses, Trouble};
use crate::stats::{self, Spread};

/// The mean service time of a server of speed 1, in nanoseconds of the model: an interval of `adaptive` is 25
/// of them.
pub(super) const SERVICE_NS: f64 = 10e6;

/// Requests that a server works on at a time; the others wait there.
const WORKERS: usize = 4;

/// What a failure is told to have taken, in mean service times.
const FAILURE_TOOK: f64 = 20.0;

/// The part of the requests that a run begins with and that don't count.
const WARM_UP: f64 = 0.3;

/// What is simulated.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) servers: usize,
    pub(super) lanes: usize,
    /// Requests that arrive, over what all servers can do.
    pub(super) load: f64,
    pub(super) trouble: Trouble,
    pub(super) requests: usize,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Times that 50, 99 and 99.9 % of the requests did not exceed, in mean service times.
    pub(super) quantiles: [f64; 3],
    /// What the server that got the most requests got, over an equal share.
    pub(super) most: f64,
    /// The share of requests that failed.
    pub(super) failed: f64,
    /// Requests in flight at the end, over all workers.
    pub(super) left: f64,
}

impl Outcome {
    /// Of several runs, each number's median.
    pub(super) fn median(runs: &[Outcome]) -> Outcome {
        let of = |number: &dyn Fn(&Outcome) -> f64| {
            Spread::of(runs.iter().map(number)).map_or(f64::NAN, |spread| spread.median)
        };
        Outcome {
            quantiles: [0, 1, 2].map(|n| of(&|run| run.quantiles[n])),
            most: of(&|run| run.most),
            failed: of(&|run| run.failed),
            left: of(&|run| run.left),
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let [p50, p99, p999] = self.quantiles;
        let (most, failed, left) = (self.most, self.failed, self.left);
        json!({ "p50": p50, "p99": p99, "p99.9": p999, "most": most, "failed": failed, "left": left })
    }
}

/// Simulates one run.
pub(super) fn run(setup: &Setup, balance: Balance, seed: u64) -> Outcome {
    let mut pool = Pool::new(setup, balance, seed);
    let rate = setup.load * setup.trouble.capacity(setup.servers) * WORKERS as f64 / SERVICE_NS;
    let (mut arrival, mut interval) = (0.0, ADAPTIVE_INTERVAL.as_nanos() as u64);
    for request in 0..setup.requests {
        arrival += -(1.0 - pool.chance.random::<f64>()).ln() / rate;
        let now = arrival as u64;
        while balance == Balance::Adaptive && interval <= now {
            pool.end_until(interval);
            pool.adapt();
            interval += ADAPTIVE_INTERVAL.as_nanos() as u64;
        }
        pool.end_until(now);
        if request == (setup.requests as f64 * WARM_UP) as usize {
            pool.begin_counting();
        }
        pool.arrive(now);
    }
    let left = pool.loads.iter().map(|load| load.in_flight()).sum::<u32>();
    pool.end_until(u64::MAX);
    pool.outcome(f64::from(left) / (WORKERS * setup.servers) as f64)
}

struct Pool {
    trouble: Trouble,
    loads: Vec<Arc<Load>>,
    lanes: Vec<Picker>,
    servers: Vec<Server>,
    /// Requests under way, the next to end first.
    ends: BinaryHeap<Reverse<(u64, u32, u64)>>,
    chance: Xoshiro256PlusPlus,
    adaptive: Adaptive,
    /// How long requests took, in thousandths of a mean service time.
    took: Vec<u32>,
    is_counting: bool,
}

struct Server {
    /// When those arrived that wait.
    queue: VecDeque<u64>,
    idle: usize,
    pauses: Pauses,
    picked: u64,
    failed: u64,
    /// Since the last interval of `adaptive`.
    sample: Sample,
}

impl Pool {
    fn new(setup: &Setup, balance: Balance, seed: u64) -> Pool {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
        let server = |n| Server {
            queue: VecDeque::new(),
            idle: WORKERS,
            pauses: setup.trouble.pauses(n, seed),
            picked: 0,
            failed: 0,
            sample: Sample::default(),
        };
        let load = |n| Arc::new(Load::new(setup.trouble.weight(n) * WEIGHT_ONE, u32::MAX));
        Pool {
            trouble: setup.trouble,
            loads: (0..setup.servers).map(load).collect(),
            lanes: (0..setup.lanes).map(|_| Picker::new(balance, chance.random())).collect(),
            servers: (0..setup.servers).map(server).collect(),
            ends: BinaryHeap::new(),
            chance,
            adaptive: Adaptive::new(setup.servers),
            took: Vec::with_capacity(setup.requests),
            is_counting: false,
        }
    }

    fn begin_counting(&mut self) {
        self.is_counting = true;
        self.servers.iter_mut().for_each(|server| (server.picked, server.failed) = (0, 0));
    }

    fn arrive(&mut self, now: u64) {
        let lane = self.chance.random_range(0..self.lanes.len());
        let server =
            self.lanes[lane].pick(&self.loads, &[]).expect("no server has a limit, and all have weight");
        self.servers[server].picked += 1;
        if self.servers[server].idle == 0 {
            self.servers[server].queue.push_back(now);
        } else {
            self.servers[server].idle -= 1;
            self.serve(server, now, now);
        }
    }

    fn serve(&mut self, server: usize, arrived: u64, now: u64) {
        let work = self.trouble.work(server, &mut self.chance) * SERVICE_NS;
        let end = self.servers[server].pauses.end_of(now, work as u64);
        self.ends.push(Reverse((end, server as u32, arrived)));
    }

    /// Ends what ends until then.
    fn end_until(&mut self, until: u64) {
        while let Some(&Reverse((now, server, arrived))) = self.ends.peek() {
            if now > until {
                return;
            }
            self.ends.pop();
            self.end(server as usize, arrived, now);
        }
    }

    fn end(&mut self, server: usize, arrived: u64, now: u64) {
        let is_failure = self.trouble.is_failing(server);
        let told = if is_failure { (FAILURE_TOOK * SERVICE_NS) as u64 } else { now - arrived };
        self.loads[server].leave();
        self.loads[server].took(Duration::from_nanos(told));
        let at = &mut self.servers[server];
        at.sample.completed += 1;
        at.sample.latency_sum += Duration::from_nanos(told);
        at.sample.failures += u64::from(is_failure);
        at.failed += u64::from(is_failure);
        if self.is_counting && !is_failure {
            self.took.push(((now - arrived) as f64 / SERVICE_NS * 1e3) as u32);
        }
        match at.queue.pop_front() {
            Some(next) => self.serve(server, next, now),
            None => at.idle += 1,
        }
    }

    /// What the balancer's control does in each interval.
    fn adapt(&mut self) {
        let samples: Vec<Sample> = (0..self.servers.len())
            .map(|n| Sample {
                weight_configured: self.trouble.weight(n),
                in_flight: self.loads[n].in_flight(),
                is_up: true,
                ..std::mem::take(&mut self.servers[n].sample)
            })
            .collect();
        let factors = self.adaptive.step(ADAPTIVE_INTERVAL, &samples);
        for (n, (load, factor)) in self.loads.iter().zip(factors).enumerate() {
            load.set_weight((f64::from(self.trouble.weight(n) * WEIGHT_ONE) * factor).round() as u32);
        }
    }

    fn outcome(mut self, left: f64) -> Outcome {
        self.took.sort_unstable();
        let quantile = |percent| match self.took.is_empty() {
            true => f64::NAN,
            false => f64::from(stats::percentile(&self.took, percent)) / 1e3,
        };
        let picked: u64 = self.servers.iter().map(|server| server.picked).sum();
        let most = self.servers.iter().map(|server| server.picked).max().unwrap_or(0);
        let failed: u64 = self.servers.iter().map(|server| server.failed).sum();
        Outcome {
            quantiles: [50.0, 99.0, 99.9].map(quantile),
            most: (most * self.servers.len() as u64) as f64 / picked as f64,
            failed: failed as f64 / picked as f64,
            left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(servers: usize, load: f64, trouble: Trouble) -> Setup {
        Setup { servers, lanes: 4, load, trouble, requests: 200_000 }
    }

    fn assert_near(outcome: &Outcome, p50: f64, p99: f64) {
        let [seen_p50, seen_p99, _] = outcome.quantiles;
        assert!((seen_p50 / p50 - 1.0).abs() < 0.04 && (seen_p99 / p99 - 1.0).abs() < 0.04, "{outcome:?}");
    }

    #[test]
    fn one_server_is_the_textbooks_queue() {
        // M/M/4 at 0.5: P(T > t) = exp(-t) (1 + C (1 - exp(-t))), and C, by Erlang's formula, is 4/23.
        assert_near(&run(&setup(1, 0.5, Trouble::None), Balance::RoundRobin, 1), 0.78, 4.76);
    }

    #[test]
    fn many_servers_give_what_another_simulator_gave() {
        // 16 servers of 4 workers at 0.9, with counts that all lanes share.
        assert_near(&run(&setup(16, 0.9, Trouble::None), Balance::LeastRequests, 1), 0.77, 4.7);
    }

    #[test]
    fn a_slow_server_that_gets_an_equal_share_drowns() {
        assert!(run(&setup(16, 0.5, Trouble::Slow), Balance::RoundRobin, 1).left > 100.0);
        assert!(run(&setup(16, 0.5, Trouble::Slow), Balance::LeastRequests, 1).left < 2.0);
    }

    #[test]
    fn failures_are_counted_and_are_no_times() {
        let outcome = run(&setup(4, 0.5, Trouble::FastFailures), Balance::RoundRobin, 1);
        assert!((outcome.failed - 0.25).abs() < 0.01 && outcome.quantiles[0] > 0.5, "{outcome:?}");
    }

    #[test]
    fn a_seed_gives_the_same_run_again() {
        let times = |seed| run(&setup(4, 0.9, Trouble::LongRequests), Balance::Adaptive, seed).quantiles;
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
    }
}
