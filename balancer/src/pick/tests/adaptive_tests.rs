//! The weights of `adaptive`: they find what servers can do, and don't swing.

use super::*;
use rand::RngExt as _;

const WORKERS: f64 = 4.0;
/// Of a server of speed 1.
const SERVICE: f64 = 0.01;

/// Servers as fluids: what is in flight rises by what comes and falls by what its workers do.
struct Fluid {
    speeds: Vec<f64>,
    in_flight: Vec<f64>,
    adaptive: Adaptive,
    factors: Vec<f64>,
    chance: Xoshiro256PlusPlus,
    /// Samples are off by up to this share.
    noise: f64,
}

impl Fluid {
    fn new(speeds: &[f64]) -> Fluid {
        Fluid {
            speeds: speeds.to_vec(),
            in_flight: vec![0.0; speeds.len()],
            adaptive: Adaptive::new(speeds.len()),
            factors: vec![1.0; speeds.len()],
            chance: Xoshiro256PlusPlus::seed_from_u64(1),
            noise: 0.0,
        }
    }

    /// One interval at a load; the factors after it.
    fn step(&mut self, load: f64) -> &[f64] {
        const MOMENTS: usize = 250;
        let rate = load * self.speeds.iter().sum::<f64>() * WORKERS / SERVICE;
        let weights: f64 = self.factors.iter().sum();
        let moment = ADAPTIVE_INTERVAL.as_secs_f64() / MOMENTS as f64;
        let mut samples = Vec::new();
        for (server, speed) in self.speeds.iter().enumerate() {
            let (mut completed, mut sum) = (0.0, 0.0);
            for _ in 0..MOMENTS {
                self.in_flight[server] += rate * self.factors[server] / weights * moment;
                let done = self.in_flight[server].min(WORKERS) * speed / SERVICE * moment;
                self.in_flight[server] -= done;
                completed += done;
                sum += self.in_flight[server] * moment;
            }
            let mut noisy = |number: f64| number * (1.0 + self.noise * self.chance.random_range(-1.0..1.0));
            samples.push(Sample {
                weight_configured: 1,
                completed: completed as u64,
                latency_sum: Duration::from_secs_f64(noisy(sum)),
                in_flight: noisy(self.in_flight[server]).round() as u32,
                failures: 0,
                is_up: true,
            });
        }
        self.factors = self.adaptive.step(ADAPTIVE_INTERVAL, &samples).to_vec();
        &self.factors
    }

    /// The first server's factor over the others' after each of so many intervals.
    fn course(&mut self, load: f64, steps: usize) -> Vec<f64> {
        let relative =
            |factors: &[f64]| factors[0] * (factors.len() - 1) as f64 / factors[1..].iter().sum::<f64>();
        (0..steps).map(|_| relative(self.step(load))).collect()
    }
}

#[test]
fn a_server_that_is_five_times_slower_gets_about_a_fifth_at_any_load() {
    for load in [0.2, 0.5, 0.8, 0.9] {
        let course = Fluid::new(&[0.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).course(load, 400);
        for (step, factor) in course.iter().enumerate().skip(100) {
            assert!((0.15..0.27).contains(factor), "load {load}, step {step}: {factor}");
        }
    }
}

#[test]
fn a_step_of_a_servers_speed_is_followed_without_ringing() {
    for load in [0.3, 0.6, 0.9] {
        let mut fluid = Fluid::new(&[1.0; 8]);
        fluid.course(load, 50);
        fluid.speeds[0] = 0.25;
        let down = fluid.course(load, 300);
        fluid.speeds[0] = 1.0;
        let up = fluid.course(load, 300);
        // Down, below the aim while its queue empties, up to the aim, and there it rests; then up for good.
        assert!(turns(&down) <= 2, "load {load}: {down:.2?}");
        assert!(turns(&up) <= 1, "load {load}: {up:.2?}");
        assert!(up[299] > 0.7 && up.iter().all(|&factor| factor < 1.1), "load {load}: {up:.2?}");
    }
}

/// How often a course changed its direction by more than a tenth.
fn turns(course: &[f64]) -> usize {
    let (mut extreme, mut is_rising, mut turns) = (course[0], false, 0);
    for &now in course {
        let has_turned = if is_rising { now < extreme * 0.9 } else { now > extreme * 1.1 };
        if has_turned {
            (turns, is_rising, extreme) = (turns + 1, !is_rising, now);
        } else {
            extreme = if is_rising { now.max(extreme) } else { now.min(extreme) };
        }
    }
    turns
}

#[test]
fn equal_servers_with_noise_stay_near_their_weights() {
    for load in [0.3, 0.9] {
        let mut fluid = Fluid::new(&[1.0; 16]);
        fluid.noise = 0.4;
        for step in 0..2_000 {
            let factors = fluid.step(load);
            assert!(factors.iter().all(|factor| (0.8..1.25).contains(factor)), "{step}: {factors:.2?}");
        }
    }
}

#[test]
fn more_in_flight_by_a_larger_weight_is_as_it_should_be() {
    let mut adaptive = Adaptive::new(3);
    let samples = [1, 3, 9].map(|weight| sample(weight, 2 * weight));
    (0..100).for_each(|_| assert_eq!(step(&mut adaptive, &samples), [1.0, 1.0, 1.0]));
}

#[test]
fn what_fails_fast_is_no_fast_server() {
    let mut adaptive = Adaptive::new(3);
    let failing = Sample { failures: 100, ..sample(1, 1) };
    let last = (0..20).map(|_| step(&mut adaptive, &[failing, sample(1, 3), sample(1, 3)])).last().unwrap();
    assert!(last[0] < 0.5 && last[1] > 1.0, "{last:?}");
}

#[test]
fn a_server_that_answers_nothing_any_more_falls_by_bounded_steps() {
    let mut adaptive = Adaptive::new(4);
    let mut before = 1.0;
    for round in 1..=20 {
        let stuck =
            Sample { completed: 0, latency_sum: Duration::ZERO, in_flight: 20 * round, ..sample(1, 0) };
        let factor = step(&mut adaptive, &[stuck, sample(1, 3), sample(1, 3), sample(1, 3)])[0];
        assert!(factor > before * 0.66 && (factor < before || factor < 0.11), "{before} to {factor}");
        before = factor;
    }
    assert!((0.0999..0.11).contains(&before), "{before}");
}

#[test]
fn a_queue_that_shrinks_gives_weight_back_before_it_is_gone() {
    let mut adaptive = Adaptive::new(4);
    let mut at =
        |queue| step(&mut adaptive, &[sample(1, queue), sample(1, 3), sample(1, 3), sample(1, 3)])[0];
    assert_eq!(at(3), 1.0);
    let (grown, shrinking) = (at(30), [at(15), at(7)]);
    assert!(grown < 0.8 && shrinking[0] > grown && shrinking[1] > shrinking[0], "{grown} {shrinking:?}");
    // But a smaller one of thousands is still one of thousands.
    let drowned = [3_000_000, 1_000_000, 300_000].map(&mut at);
    assert!(drowned.is_sorted_by(|before, after| after < before), "{drowned:?}");
}

#[test]
fn hardly_anything_in_flight_is_no_reason_for_more() {
    let mut adaptive = Adaptive::new(3);
    let idle = |ns| Sample { latency_sum: Duration::from_nanos(ns), in_flight: 0, ..sample(1, 0) };
    (0..50).for_each(|_| assert_eq!(step(&mut adaptive, &[idle(0), idle(1_000), idle(1_000_000)]), [1.0; 3]));
}

#[test]
fn a_handful_of_requests_moves_little() {
    let first = |completed| {
        let slow = Sample { completed, ..sample(1, 9) };
        step(&mut Adaptive::new(2), &[slow, sample(1, 1)])[0]
    };
    assert!(first(1_000) < 0.82 && first(0) > 0.85, "{} {}", first(1_000), first(0));
}

#[test]
fn what_is_not_known_keeps_its_factor_and_drifts_to_one() {
    let mut adaptive = Adaptive::new(3);
    (0..100).for_each(|_| drop(step(&mut adaptive, &[sample(1, 20), sample(1, 2), sample(1, 2)])));
    let low = step(&mut adaptive, &[sample(1, 20), sample(1, 2), sample(1, 2)])[0];
    let silent = [
        Sample { completed: 0, latency_sum: Duration::ZERO, in_flight: 0, ..sample(1, 0) },
        Sample { is_up: false, ..sample(1, 20) },
    ];
    for unknown in silent {
        let mut adaptive = adaptive.clone();
        let mut next = || step(&mut adaptive, &[unknown, sample(1, 2), sample(1, 2)])[0];
        let first = next();
        assert!(low < 0.2 && first > low && first < low * 1.02, "{low} to {first}");
        let last = (0..1_500).map(|_| next()).last().unwrap();
        assert!((0.95..1.0).contains(&last), "{last}");
    }
}

#[test]
fn one_server_alone_is_left_alone() {
    let mut adaptive = Adaptive::new(1);
    (0..50).for_each(|round| assert_eq!(step(&mut adaptive, &[sample(1, round)]), [1.0]));
    assert_eq!(step(&mut adaptive, &[]), [0.0; 0]);
    assert_eq!(step(&mut adaptive, &[sample(1, 3), sample(1, 3)]), [1.0, 1.0]);
}

#[test]
fn factors_are_bounded_whatever_is_sampled() {
    type One = (u32, u64, u32, u32, u64, bool);
    let one = (0..4u32, 0..1_000_000u64, any::<u32>(), any::<u32>(), 0..2_000_000u64, any::<bool>());
    let round = prop::collection::vec(one, 0..6);
    proptest!(|(rounds in prop::collection::vec(round, 1..40), elapsed_ms in 0..2_000u64)| {
        let mut adaptive = Adaptive::new(4);
        for round in rounds {
            let sample = |&(weight, completed, ms, in_flight, failures, is_up): &One| {
                let latency_sum = Duration::from_millis(u64::from(ms));
                Sample { weight_configured: weight, completed, latency_sum, in_flight, failures, is_up }
            };
            let samples: Vec<Sample> = round.iter().map(sample).collect();
            let factors = adaptive.step(Duration::from_millis(elapsed_ms), &samples);
            prop_assert_eq!(factors.len(), samples.len());
            prop_assert!(factors.iter().all(|factor| (0.0999..=4.0001).contains(factor)), "{:?}", factors);
        }
    });
}

#[test]
fn what_was_learned_before_goes_on_within_its_bounds() {
    let mut adaptive = Adaptive::new(4);
    adaptive.resume(&[Some(0.5), None, Some(f64::NAN), Some(100.0)]);
    assert_eq!(adaptive.factors(), [0.5, 1.0, 1.0, 4.0]);
    // Alike in flight: nothing to mend, so that it goes on from there.
    let factors = step(&mut adaptive, &[sample(1, 10); 4]);
    assert!(factors[0] < factors[1] && factors[3] > factors[1], "{factors:?}");
}

/// A hundred answers in an interval, with so many in flight on average and at its end.
fn sample(weight_configured: u32, in_flight: u32) -> Sample {
    let latency_sum = ADAPTIVE_INTERVAL * in_flight;
    Sample { weight_configured, completed: 100, latency_sum, in_flight, failures: 0, is_up: true }
}

fn step(adaptive: &mut Adaptive, samples: &[Sample]) -> Vec<f64> {
    adaptive.step(ADAPTIVE_INTERVAL, samples).to_vec()
}
