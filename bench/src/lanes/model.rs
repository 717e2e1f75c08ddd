//! Lanes as queues: each connection belongs to one lane for its life, and what a lane gets too much of waits there.
//!
//! In: a [`Setup`] and a seed. Out: how uneven the lanes are, and how long requests take, in service times. Each lane serves one request
//! at a time, in order of arrival, for one service time each (what an answer costs hardly varies); requests come from each connection
//! as from many users (Poisson). There is no kernel and no network: what is seen is the spread alone.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::stats;

/// Connections that come and go, for each that is open, before anything is counted: what a dealt order is after a while.
const TURNOVER: usize = 4;

/// The share of the requests that a run begins with and that don't count.
const WARM_UP: f64 = 0.1;

/// To which lane a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// By a hash of its addresses: at random. What `cpu` comes to as well, where the network card spreads by a hash.
    Hash,
    /// To the lane that has the fewest.
    Deal,
}

/// How busy connections are, compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// All the same.
    Equally,
    /// One of ten makes half of the requests.
    Unequally,
}

impl Busy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Equally => "equally busy",
            Self::Unequally => "1 of 10 makes half",
        }
    }

    /// How often this connection asks; 1 on average.
    fn rate(self, connection: usize) -> f64 {
        match (self, connection % 10) {
            (Self::Equally, _) => 1.0,
            (Self::Unequally, 0) => 5.0,
            (Self::Unequally, _) => 5.0 / 9.0,
        }
    }
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) lanes: usize,
    /// On average.
    pub(super) connections_per_lane: usize,
    pub(super) busy: Busy,
    /// Requests that arrive, over what all lanes together can do.
    pub(super) load: f64,
    pub(super) requests: usize,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Connections of the lane that has the most, over the mean.
    pub(super) most: f64,
    /// The work of the lane that has the most, over what it can do; from 1 on its queue grows without end.
    pub(super) busiest: f64,
    /// Times that 50, 99 and 99.9 % of the requests did not exceed, in service times.
    pub(super) quantiles: [f64; 3],
}

impl Outcome {
    pub(super) fn json(&self) -> serde_json::Value {
        let [p50, p99, p999] = self.quantiles;
        json!({ "most": self.most, "busiest": self.busiest, "p50": p50, "p99": p99, "p99.9": p999 })
    }
}

/// Simulates one run.
pub(super) fn run(setup: &Setup, rule: Rule, seed: u64) -> Outcome {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
    let lane_of = place(setup, rule, &mut chance);
    let mut counts = vec![0usize; setup.lanes];
    let mut rates = vec![0.0; setup.lanes];
    let all: f64 = (0..lane_of.len()).map(|connection| setup.busy.rate(connection)).sum();
    for (connection, &lane) in lane_of.iter().enumerate() {
        counts[lane] += 1;
        rates[lane] += setup.busy.rate(connection) / all * setup.load * setup.lanes as f64;
    }
    let span = setup.requests as f64 / (setup.load * setup.lanes as f64);
    let mut took = Vec::with_capacity(setup.requests);
    rates.iter().for_each(|&rate| serve(rate, span, &mut chance, &mut took));
    took.sort_unstable();
    let quantile = |percent| f64::from(stats::percentile(&took, percent)) / 1e3;
    Outcome {
        most: counts.iter().copied().max().unwrap_or(0) as f64 / setup.connections_per_lane as f64,
        busiest: rates.iter().copied().fold(0.0, f64::max),
        quantiles: [50.0, 99.0, 99.9].map(quantile),
    }
}

/// The lane of each connection, after some have left and others have come.
fn place(setup: &Setup, rule: Rule, chance: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let connections = setup.lanes * setup.connections_per_lane;
    let mut counts = vec![0usize; setup.lanes];
    let choose = |counts: &mut [usize], chance: &mut Xoshiro256PlusPlus| {
        let hashed = chance.random_range(0..counts.len());
        let lane = match rule {
            Rule::Hash => hashed,
            // The lane that accepts keeps what it has no more of than others.
            Rule::Deal => {
                let fewest = counts.iter().copied().min().unwrap_or(0);
                let all = counts.len();
                let emptier = (0..all).map(|step| (hashed + step) % all).find(|&lane| counts[lane] == fewest);
                emptier.unwrap_or(hashed)
            }
        };
        counts[lane] += 1;
        lane
    };
    let mut lane_of: Vec<usize> = (0..connections).map(|_| choose(&mut counts, chance)).collect();
    for _ in 0..TURNOVER * connections {
        let leaver = chance.random_range(0..connections);
        counts[lane_of[leaver]] -= 1;
        lane_of[leaver] = choose(&mut counts, chance);
    }
    lane_of
}

/// One lane's queue for `span` service times; what requests took, in thousandths.
fn serve(rate: f64, span: f64, chance: &mut Xoshiro256PlusPlus, took: &mut Vec<u32>) {
    let (mut arrival, mut free_at) = (0.0f64, 0.0f64);
    if rate == 0.0 {
        return;
    }
    loop {
        arrival += -(1.0 - chance.random::<f64>()).ln() / rate;
        if arrival >= span {
            return;
        }
        free_at = free_at.max(arrival) + 1.0;
        if arrival >= span * WARM_UP {
            took.push(((free_at - arrival) * 1e3) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(lanes: usize, connections_per_lane: usize, load: f64) -> Setup {
        Setup { lanes, connections_per_lane, busy: Busy::Equally, load, requests: 400_000 }
    }

    #[test]
    fn one_lane_is_the_textbooks_queue() {
        // M/D/1 at 0.5: half of the requests find nobody, and the mean is 1.5 (Pollaczek and Khinchine).
        let outcome = run(&setup(1, 10, 0.5), Rule::Hash, 1);
        assert!((outcome.quantiles[0] - 1.0).abs() < 0.02, "{outcome:?}");
        let mut took = Vec::new();
        serve(0.5, 400_000.0, &mut Xoshiro256PlusPlus::seed_from_u64(1), &mut took);
        let mean = took.iter().map(|&t| f64::from(t)).sum::<f64>() / took.len() as f64 / 1e3;
        assert!((mean - 1.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn dealt_connections_are_even_and_hashed_ones_are_not() {
        let dealt = run(&setup(16, 8, 0.8), Rule::Deal, 1);
        let hashed = run(&setup(16, 8, 0.8), Rule::Hash, 1);
        // Some have just left, and nobody has come for them.
        assert!(dealt.most <= 9.0 / 8.0, "{dealt:?}");
        assert!(hashed.most > 1.5 && hashed.quantiles[1] > 2.0 * dealt.quantiles[1], "{hashed:?} {dealt:?}");
    }

    #[test]
    fn with_many_connections_the_difference_goes_away() {
        let dealt = run(&setup(4, 4096, 0.5), Rule::Deal, 1);
        let hashed = run(&setup(4, 4096, 0.5), Rule::Hash, 1);
        assert!(hashed.quantiles[1] / dealt.quantiles[1] < 1.1, "{hashed:?} {dealt:?}");
    }

    #[test]
    fn one_of_ten_makes_half() {
        let rates: Vec<f64> = (0..100).map(|connection| Busy::Unequally.rate(connection)).collect();
        let all: f64 = rates.iter().sum();
        let heavy: f64 = rates.iter().step_by(10).sum();
        assert!((all - 100.0).abs() < 1e-9 && (heavy / all - 0.5).abs() < 1e-9);
    }
}
