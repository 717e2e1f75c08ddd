//! Searches on servers that never were, with known boundaries.
//!
//! In: a response time as a function of the rate, times noise from a seed. Out: whether the search finds the rate
//! at which it crosses the limit, in time. Never: a clock; a simulated trial takes what it was asked to take.

use super::plan::{Plan, Settings, Step, TRIALS_MAX};
use super::search;
use crate::model::{Answer, Trial, TrialResult};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, StandardNormal};
use std::convert::Infallible;
use std::time::Duration;

const LIMIT_NS: u64 = 1_000_000;
const TRIAL: Duration = Duration::from_secs(10);
const BUDGET: Duration = Duration::from_secs(400);
/// Searches of the plain case.
const SEEDS: u64 = 200;
/// Searches of each other case.
const SEEDS_FEW: u64 = 60;

#[test]
fn a_queue_s_boundary_is_found_and_held_by_the_interval() {
    // At utilisations from 0.54 to 0.98, so from a slope of about 1 to one of 42.
    for (capacity, noise) in [(10_000.0, 0.02), (30_000.0, 0.1), (200_000.0, 0.3)] {
        let truth = mm1_boundary(capacity);
        let outcome = outcome(truth, SEEDS, |seed| {
            Simulated::new(mm1(capacity), noise, seed).search(settings(0.995 * capacity, vec![]))
        });
        assert!(outcome.holds(85), "{capacity}, {noise}: {outcome:?}");
        assert!(
            outcome.error <= 0.02 && outcome.narrow * 10 >= outcome.searches * 9,
            "{capacity}, {noise}: {outcome:?}"
        );
        assert!(outcome.trials <= 30, "{capacity}, {noise}: {outcome:?}");
    }
}

#[test]
fn a_ramp_saves_trials_even_though_it_holds_no_rate() {
    let truth = mm1_boundary(30_000.0);
    // What a ramp sees lags behind: it crosses the limit a tenth too late.
    let ramp: Vec<(f64, u64)> =
        (1..40).map(|n| f64::from(n) * 750.0).map(|rate| (rate, mm1(30_000.0)(rate * 0.9) as u64)).collect();
    let of = |ramp: &[(f64, u64)]| {
        outcome(truth, SEEDS_FEW, |seed| {
            Simulated::new(mm1(30_000.0), 0.1, seed).search(settings(200_000.0, ramp.to_vec()))
        })
    };
    let (with, without) = (of(&ramp), of(&[]));
    assert!(with.holds(85) && with.error <= 0.02, "{with:?}");
    assert!(without.holds(85) && without.error <= 0.02, "{without:?}");
    assert!(with.trials + 3 <= without.trials, "{with:?} {without:?}");
}

#[test]
fn a_ramp_that_lies_costs_trials_and_not_the_answer() {
    let truth = mm1_boundary(30_000.0);
    let always_slow = vec![(1_000.0, 5_000_000), (2_000.0, 5_000_000)];
    let always_fast = vec![(1_000.0, 1_000), (29_500.0, 1_000)];
    let backwards = vec![(1_000.0, 5_000_000), (15_000.0, 500_000), (29_000.0, 5_000_000)];
    for ramp in [always_slow, always_fast, backwards] {
        let outcome = outcome(truth, SEEDS_FEW, |seed| {
            Simulated::new(mm1(30_000.0), 0.1, seed).search(settings(29_850.0, ramp.clone()))
        });
        assert!(outcome.holds(85) && outcome.error <= 0.02, "{ramp:?}: {outcome:?}");
    }
}

#[test]
fn a_cliff_is_found_to_the_wanted_precision() {
    for cliff in [150_123.0, 3_000.0] {
        let step = |rate: f64| if rate < cliff { 200_000.0 } else { 1e10 };
        let outcome = outcome(cliff, SEEDS_FEW, |seed| {
            Simulated::new(step, 0.2, seed).search(settings(200_000.0, vec![]))
        });
        assert!(outcome.holds(95) && outcome.error <= 0.01, "{outcome:?}");
        assert!(outcome.narrow == outcome.searches && outcome.trials <= 30, "{outcome:?}");
    }
}

#[test]
fn a_bump_below_the_boundary_gives_one_of_the_boundaries() {
    // Met up to 60,000, missed up to 70,000, met again up to 150,000.
    let bump = |rate: f64| if (60e3..70e3).contains(&rate) || rate > 150e3 { 1e10 } else { 200_000.0 };
    let mut found = 0;
    for seed in 0..SEEDS_FEW {
        let (answer, _) = Simulated::new(bump, 0.2, seed).search(settings(200_000.0, vec![]));
        found += usize::from([60e3, 150e3].iter().any(|at| (answer.low..=answer.high).contains(at)));
    }
    assert!(found * 100 >= SEEDS_FEW as usize * 90, "{found}");
}

#[test]
fn odd_stalls_do_not_spoil_a_search() {
    // One trial of twenty is slow at any rate, for reasons of the machine.
    let outcome = outcome(mm1_boundary(30_000.0), SEEDS_FEW, |seed| {
        let mut trial = seed * 7;
        let stalling = move |rate: f64| {
            trial += 1;
            if trial % 20 == 3 { 1e9 } else { mm1(30_000.0)(rate) }
        };
        Simulated::new(stalling, 0.1, seed).search(settings(29_850.0, vec![]))
    });
    assert!(outcome.holds(85) && outcome.error <= 0.02, "{outcome:?}");
}

#[test]
fn a_server_that_never_misses_is_at_least_as_fast_as_the_ceiling() {
    for seed in 0..20 {
        let (answer, trials) = Simulated::new(|_| 200_000.0, 0.2, seed).search(settings(100_000.0, vec![]));
        let rate = answer.rate.unwrap();
        assert!(
            (97_000.0..=100_000.0).contains(&rate) && answer.high == rate && answer.low <= rate,
            "{answer:?}"
        );
        assert!(
            answer.words.starts_with("at least ") && answer.words.contains("closed loop"),
            "{}",
            answer.words
        );
        assert!(!answer.limited_by_generator && trials.len() <= 15, "{answer:?}, {} trials", trials.len());
    }
}

#[test]
fn a_server_that_always_misses_has_no_rate_and_says_what_it_did() {
    for seed in 0..20 {
        let (answer, trials) = Simulated::new(|_| 5_000_000.0, 0.2, seed).search(settings(100_000.0, vec![]));
        assert_eq!((answer.rate, answer.low), (None, 0.0));
        assert!(answer.words.starts_with("no rate was found that meets p99 < 1 ms: at "), "{}", answer.words);
        assert!(trials.len() <= 20 && !answer.limited_by_generator, "{} trials", trials.len());
        // 2,000 requests in a short trial are 20 beyond the percentile.
        let lowest = trials.iter().map(|trial| trial.rate).fold(f64::INFINITY, f64::min);
        assert_eq!(lowest, 800.0);
    }
}

#[test]
fn a_generator_that_fails_bounds_the_answer_from_above() {
    for seed in 0..20 {
        let mut server = Simulated::new(|_| 200_000.0, 0.2, seed);
        server.generator_max = 60_000.0;
        let (answer, trials) = server.search(settings(200_000.0, vec![]));
        let rate = answer.rate.unwrap();
        assert!((57_000.0..=60_000.0).contains(&rate) && answer.limited_by_generator, "{answer:?}");
        assert!(answer.words.contains("the generator itself failed at "), "{}", answer.words);
        assert!(trials.len() <= 20, "{} trials", trials.len());
        // Each failure was given a second chance, at the same rate.
        let failed: Vec<f64> = trials
            .iter()
            .filter(|trial| trial.result == TrialResult::Invalid)
            .map(|trial| trial.rate)
            .collect();
        assert!(failed.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]), "{failed:?}");
    }
}

#[test]
fn a_generator_that_fails_far_above_the_boundary_changes_nothing() {
    let outcome = outcome(mm1_boundary(30_000.0), SEEDS_FEW, |seed| {
        let mut server = Simulated::new(mm1(30_000.0), 0.1, seed);
        server.generator_max = 60_000.0;
        let (answer, trials) = server.search(settings(200_000.0, vec![]));
        assert!(!answer.limited_by_generator, "{answer:?}");
        (answer, trials)
    });
    assert!(outcome.holds(85) && outcome.error <= 0.02, "{outcome:?}");
}

#[test]
fn a_generator_that_always_fails_gives_no_answer_but_an_end() {
    let mut server = Simulated::new(|_| 200_000.0, 0.2, 1);
    server.generator_max = 0.0;
    let (answer, trials) = server.search(settings(200_000.0, vec![]));
    assert_eq!((answer.rate, answer.limited_by_generator), (None, true));
    assert!(answer.words.starts_with("no answer: no trial was valid"), "{}", answer.words);
    assert!(trials.len() <= 30, "{} trials", trials.len());
}

#[test]
fn one_failure_of_the_generator_is_forgiven() {
    let mut plan = Plan::new(settings(100_000.0, vec![]));
    let mut server = Simulated::new(|_| 200_000.0, 0.2, 1);
    let mut count = 0;
    let answer = search(&mut plan, |rate, length| {
        count += 1;
        server.generator_max = if count == 3 { 0.0 } else { f64::INFINITY };
        Ok::<_, Infallible>(server.hold(rate, length))
    });
    assert!(answer.unwrap().rate.unwrap() > 97_000.0);
    assert_eq!(plan.trials()[2].rate, plan.trials()[3].rate);
}

#[test]
fn a_budget_that_ends_early_gives_what_there_is() {
    let with = |seconds, generator_max| {
        let mut server = Simulated::new(mm1(30_000.0), 0.1, 5);
        server.generator_max = generator_max;
        server.search(Settings { budget: Duration::from_secs(seconds), ..settings(29_850.0, vec![]) })
    };
    let (answer, trials) = with(1, f64::INFINITY);
    assert_eq!((answer.rate, trials.len()), (None, 0));
    assert!(answer.words.contains("no time"), "{}", answer.words);
    let (answer, trials) = with(30, f64::INFINITY);
    assert!(trials.len() >= 3 && (answer.low..=answer.high).contains(&mm1_boundary(30_000.0)), "{answer:?}");
    assert!(answer.words.contains("more trials would be needed for ± 2 %"), "{}", answer.words);
}

#[test]
fn trials_that_take_no_time_come_to_an_end() {
    let mut plan = Plan::new(settings(200_000.0, vec![]));
    let mut server = Simulated::new(mm1(30_000.0), 2.0, 1);
    let answer = search(&mut plan, |rate, length| {
        Ok::<_, Infallible>(Trial { window_ns: 0, ..server.hold(rate, length) })
    });
    assert!(answer.is_ok());
    assert_eq!(plan.trials().len(), TRIALS_MAX);
}

#[test]
fn settings_that_make_no_sense_are_done_at_once() {
    for ceiling in [0.0, -5.0, f64::NAN, f64::INFINITY] {
        let step = Plan::new(settings(ceiling, vec![])).next();
        assert!(matches!(step, Step::Done(Answer { rate: None, .. })), "{ceiling}: {step:?}");
    }
    for (precision, trial) in [(0.0, TRIAL), (0.02, Duration::ZERO)] {
        let settings =
            Settings { precision, trial, ..settings(30_000.0, vec![(f64::NAN, u64::MAX), (0.0, u64::MAX)]) };
        let mut server = Simulated::new(mm1(30_000.0), 0.1, 1);
        let mut plan = Plan::new(settings);
        let answer = search(&mut plan, |rate, _| Ok::<_, Infallible>(server.hold(rate, TRIAL))).unwrap();
        assert!(plan.trials().len() <= TRIALS_MAX);
        assert!(answer.low < mm1_boundary(30_000.0) && mm1_boundary(30_000.0) < answer.high, "{answer:?}");
    }
    let mut plan = Plan::new(settings(30_000.0, vec![]));
    let mut server = Simulated::new(mm1(30_000.0), 0.1, 1);
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        plan.record(Trial { rate, ..server.hold(1_000.0, TRIAL) });
        assert!(matches!(plan.next(), Step::Hold { rate, .. } if rate.is_finite()));
    }
}

#[test]
fn an_error_ends_the_search_and_keeps_its_trials() {
    let mut plan = Plan::new(settings(30_000.0, vec![]));
    let mut server = Simulated::new(mm1(30_000.0), 0.1, 1);
    let mut left = 8;
    let answer = search(&mut plan, |rate, length| {
        left -= 1;
        if left > 0 { Ok(server.hold(rate, length)) } else { Err("interrupted") }
    });
    assert_eq!(answer, Err("interrupted"));
    assert_eq!(plan.trials().len(), 7);
    assert!(plan.answer().rate.is_some());
}

/// A server's percentile, and what its generator can do.
struct Simulated<F> {
    response_ns: F,
    /// Standard deviation of the logarithm of a whole trial's response time.
    noise: f64,
    generator_max: f64,
    random: Xoshiro256PlusPlus,
}

impl<F: FnMut(f64) -> f64> Simulated<F> {
    fn new(response_ns: F, noise: f64, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Simulated { response_ns, noise, generator_max: f64::INFINITY, random }
    }

    fn hold(&mut self, rate: f64, length: Duration) -> Trial {
        let noise = self.noise * (TRIAL.as_secs_f64() / length.as_secs_f64()).sqrt();
        let normal: f64 = StandardNormal.sample(&mut self.random);
        let response_ns = ((self.response_ns)(rate) * (noise * normal).exp()) as u64;
        let result = match () {
            _ if rate > self.generator_max => TrialResult::Invalid,
            _ if response_ns < LIMIT_NS => TrialResult::Met,
            _ => TrialResult::Missed,
        };
        Trial {
            rate,
            completed: rate,
            window_ns: length.as_nanos() as u64,
            response_ns,
            low_ns: response_ns,
            high_ns: response_ns,
            result,
            why: "simulated".into(),
        }
    }

    fn search(&mut self, settings: Settings) -> (Answer, Vec<Trial>) {
        let mut plan = Plan::new(settings);
        let answer = search(&mut plan, |rate, length| Ok::<_, Infallible>(self.hold(rate, length)));
        let spent: u64 = plan.trials().iter().map(|trial| trial.window_ns).sum();
        assert!(spent <= BUDGET.as_nanos() as u64, "{spent} ns were spent");
        (answer.unwrap(), plan.trials().to_vec())
    }
}

fn settings(ceiling: f64, ramp: Vec<(f64, u64)>) -> Settings {
    Settings {
        slos: vec!["p99<1ms".into()],
        quantile: 0.99,
        limit_ns: LIMIT_NS,
        ceiling,
        ramp,
        precision: 0.02,
        trial: TRIAL,
        budget: BUDGET,
    }
}

/// p99 of a queue with one server, exponential service, in ns: ln(100) / (μ − λ).
fn mm1(capacity: f64) -> impl Fn(f64) -> f64 {
    move |rate| if rate < capacity { 100f64.ln() / (capacity - rate) * 1e9 } else { 1e10 }
}

/// Where [`mm1`] crosses the limit.
fn mm1_boundary(capacity: f64) -> f64 {
    capacity - 100f64.ln() / (LIMIT_NS as f64 / 1e9)
}

/// Many searches: how the answers lie around the truth.
#[derive(Debug)]
struct Outcome {
    searches: usize,
    /// Answers whose interval holds the truth.
    held: usize,
    /// Median relative distance of the estimate.
    error: f64,
    /// Median trials.
    trials: usize,
    /// Searches that reached the wanted precision.
    narrow: usize,
}

impl Outcome {
    /// In so many of a hundred searches the interval held the truth.
    fn holds(&self, percent: usize) -> bool {
        self.held * 100 >= self.searches * percent
    }
}

fn outcome(truth: f64, seeds: u64, mut one: impl FnMut(u64) -> (Answer, Vec<Trial>)) -> Outcome {
    let (mut held, mut narrow) = (0, 0);
    let (mut errors, mut counts) = (vec![], vec![]);
    for seed in 0..seeds {
        let (answer, trials) = one(seed);
        let rate = answer.rate.unwrap_or(0.0);
        held += usize::from((answer.low..=answer.high).contains(&truth));
        narrow += usize::from((answer.high - answer.low) / 2.0 / rate <= 0.0205);
        errors.push((rate / truth - 1.0).abs());
        counts.push(trials.len() as f64);
    }
    let middle = |numbers: &[f64]| crate::stats::median(numbers).unwrap();
    Outcome {
        searches: seeds as usize,
        held,
        narrow,
        error: middle(&errors),
        trials: middle(&counts) as usize,
    }
}
