//! Weights that follow how servers do: the rule behind `adaptive`, without a clock.
//!
//! In: for each interval what each server completed, how long that took, and what it has in flight. Out: a
//! factor for each configured weight. The aim is that all servers have as much in flight for their configured
//! weight as the fleet has on average (geometrically, so that one that drowns does not move the aim). A
//! server that is five times slower gets there with a fifth of the requests, at any load. Never: a jump, or a
//! factor beyond its bounds.
//!
//! What keeps it from swinging: near saturation a weight that is a percent too high makes a queue that is ten
//! percent longer, and that takes a while to show. So errors within a band are left alone, steps are bounded,
//! and a step follows the error's change more than the error itself (a PI controller in its incremental
//! form), which slows it down before the aim is reached. Within the band, factors drift back to 1, so that no
//! old reason counts for ever.

use std::time::Duration;

/// How often to step: some tens of requests' times where those are 5 to 25 ms. More seldom leaves a queue too
/// long at a server that turned slow; more often sees little but chance.
pub const ADAPTIVE_INTERVAL: Duration = Duration::from_millis(250);

/// Errors up to this (as a logarithm: a fifth more or less in flight) are chance: left alone.
const BAND: f64 = 0.2;

/// The part of an error that a step mends.
const GAIN: f64 = 0.1;

/// The part of an error's change that a step mends.
const GAIN_OF_CHANGE: f64 = 0.25;

/// A step's bounds, as logarithms: a weight falls by a third at most, and grows by an eighth, but for what is
/// common to all.
const STEP_DOWN: f64 = -0.4;
const STEP_UP: f64 = 0.12;

/// The part of the way back to the configured weight that a factor within the band goes with each step: half
/// in 35 s.
const DRIFT: f64 = 0.005;

/// A factor's bounds.
const FACTOR_MIN: f64 = 0.1;
const FACTOR_MAX: f64 = 4.0;

/// A server that fails all it gets counts as having so many times more in flight than it has.
const FAILURE: f64 = 10.0;

/// With so many requests behind it, a sample counts half.
const FEW: f64 = 8.0;

/// Fewer requests in flight than this, on average, are as good as none.
const IDLE: f64 = 0.01;

/// What happened at one server since the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// In any unit that is the same for all servers.
    pub weight_configured: u32,
    /// Requests that ended, well or not.
    pub completed: u64,
    /// How long those took, in all. A failure is to be counted as slow, whatever it took.
    pub latency_sum: Duration,
    /// Requests under way now.
    pub in_flight: u32,
    /// Those of `completed` that failed.
    pub failures: u64,
    /// It may get work.
    pub is_up: bool,
}

/// The factors of a pool's servers.
#[derive(Clone, Debug)]
pub struct Adaptive {
    /// As logarithms.
    logs: Vec<f64>,
    /// The last errors beyond the band.
    errors: Vec<f64>,
    /// The last steps, as logarithms.
    steps: Vec<f64>,
    factors: Vec<f64>,
}

impl Adaptive {
    /// For so many servers, all with the factor 1.
    pub fn new(servers: usize) -> Adaptive {
        let none = vec![0.0; servers];
        Adaptive { logs: none.clone(), errors: none.clone(), steps: none, factors: vec![1.0; servers] }
    }

    /// Goes on with factors that were found before; `None`: with 1.
    pub fn resume(&mut self, factors: &[Option<f64>]) {
        for ((log, factor), before) in self.logs.iter_mut().zip(&mut self.factors).zip(factors) {
            *factor = before.filter(|before| before.is_finite()).unwrap_or(1.0).clamp(FACTOR_MIN, FACTOR_MAX);
            *log = factor.ln();
        }
    }

    /// What each configured weight is multiplied with.
    pub fn factors(&self) -> &[f64] {
        &self.factors
    }

    /// What to multiply each configured weight with from now on: 0.1 to 4. `elapsed` is the time since the
    /// last step, over which the samples were taken. A server without samples keeps its factor, but for the
    /// drift.
    pub fn step(&mut self, elapsed: Duration, samples: &[Sample]) -> &[f64] {
        self.logs.resize(samples.len(), 0.0);
        self.errors.resize(samples.len(), 0.0);
        self.steps.resize(samples.len(), 0.0);
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let loads: Vec<Option<f64>> = samples.iter().map(|sample| sample.load(seconds)).collect();
        let known = loads.iter().flatten().count().max(1) as f64;
        let aim = loads.iter().flatten().sum::<f64>() / known;
        for (server, sample) in samples.iter().enumerate() {
            let Some(load) = loads[server] else {
                (self.errors[server], self.steps[server]) = (0.0, 0.0);
                continue;
            };
            let error = beyond_band(load - aim);
            let change = error - self.errors[server];
            let step = -(GAIN * error + GAIN_OF_CHANGE * change) * sample.weight_of_evidence();
            self.steps[server] = step.clamp(STEP_DOWN, STEP_UP);
            self.errors[server] = error;
        }
        // Weights mean something only beside each other: what all steps have in common would lead to the
        // bounds, for nothing.
        let common = self.steps.iter().sum::<f64>() / known;
        for (server, load) in loads.iter().enumerate() {
            let common = load.map_or(0.0, |_| common);
            let drift = if self.errors[server] == 0.0 { self.logs[server] * DRIFT } else { 0.0 };
            let log = self.logs[server] + self.steps[server] - common - drift;
            self.logs[server] = log.clamp(FACTOR_MIN.ln(), FACTOR_MAX.ln());
        }
        self.factors.clear();
        self.factors.extend(self.logs.iter().map(|log| log.exp()));
        &self.factors
    }
}

impl Sample {
    /// The logarithm of the requests in flight for its weight; `None`: nothing is known.
    fn load(&self, seconds: f64) -> Option<f64> {
        if !self.is_up || self.weight_configured == 0 || self.requests() == 0.0 {
            return None;
        }
        // By Little's law, the average over the interval. What is stuck shows only in what is under way now.
        let average = self.latency_sum.as_secs_f64() / seconds;
        let in_flight = 0.75 * average + 0.25 * f64::from(self.in_flight);
        let failed = self.failures.min(self.completed) as f64 / self.completed.max(1) as f64;
        let load = in_flight.max(IDLE) * (1.0 + FAILURE * failed) / f64::from(self.weight_configured);
        Some(load.ln())
    }

    fn requests(&self) -> f64 {
        self.completed as f64 + f64::from(self.in_flight)
    }

    /// 0 to 1.
    fn weight_of_evidence(&self) -> f64 {
        self.requests() / (self.requests() + FEW)
    }
}

fn beyond_band(error: f64) -> f64 {
    (error.abs() - BAND).max(0.0).copysign(error)
}
