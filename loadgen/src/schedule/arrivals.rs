//! One lane's due times.
//!
//! In: the profile of all lanes, the kind, the seed, which lane of how many. Out: due times, one after the other,
//! never decreasing. Never: allocates or loops per request; depends on anything but what went in.

use super::profile::Span;
use super::{ArrivalKind, Profile};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Keeps the arrivals apart from what else is drawn from the user's seed.
const STREAM: u64 = 0x6172_7269_7661_6c73;

/// The due times of a lane, each computed from the sum of all gaps so far: rounding doesn't add up.
///
/// Poisson arrivals that are dealt out at random are Poisson again, so that each lane draws its own, at its share of
/// the rate. Constant arrivals are dealt out in turn: lane 1 of 3 has the requests 1, 4, 7, … of the whole.
///
/// Equal seeds give equal arrivals, in mass: at another rate they are the same, stretched, and so two targets or two
/// rates can be compared under the same luck. The generator is a named one whose numbers don't change with versions.
#[derive(Clone, Debug)]
pub struct Schedule {
    profile: Profile,
    /// The piece that holds the next request, and its index.
    span: Span,
    index: usize,
    draw: Draw,
    lanes: f64,
    due: Option<u64>,
}

#[derive(Clone, Debug)]
enum Draw {
    /// The sum of the lane's gaps, in units of the lane's mean gap.
    Poisson { sum: f64, random: Xoshiro256PlusPlus },
    /// The lane's place in each round of lanes, and the number of rounds.
    Constant { lane: f64, round: u64 },
}

impl Schedule {
    /// The share of `lane` (from 0) out of `lanes`.
    pub fn new(profile: &Profile, kind: ArrivalKind, seed: u64, lane: usize, lanes: usize) -> Schedule {
        let draw = match kind {
            ArrivalKind::Poisson => Draw::Poisson { sum: 0.0, random: generator(seed, lane) },
            ArrivalKind::Constant => Draw::Constant { lane: lane as f64, round: 0 },
        };
        let span = profile.spans().first().copied().unwrap_or_default();
        let lanes = lanes.max(1) as f64;
        let mut schedule = Schedule { profile: profile.clone(), span, index: 0, draw, lanes, due: Some(0) };
        schedule.advance();
        schedule
    }

    /// When the next request is due: nanoseconds since time 0. `None`: there are no more.
    #[inline]
    pub fn peek(&self) -> Option<u64> {
        self.due
    }

    /// About how many of its requests are due by `ns` and not taken yet: none while the schedule is kept. Their number
    /// is known once they are drawn; this is what the rate lets expect.
    pub fn behind(&self, ns: u64) -> u64 {
        match self.due {
            Some(due) if due <= ns => {
                1 + ((self.profile.mass_at(ns) - self.profile.mass_at(due)) / self.lanes) as u64
            }
            _ => 0,
        }
    }

    fn advance(&mut self) {
        let Some(last) = self.due else { return };
        let mass = self.draw.mass(self.lanes);
        while self.span.end_mass <= mass {
            self.index += 1;
            match self.profile.spans().get(self.index) {
                Some(span) => self.span = *span,
                None => {
                    self.due = None;
                    return;
                }
            }
        }
        // Two equations next to each other may round either way.
        let due = self.span.time_of(mass).max(last);
        self.due = (due < self.profile.end_ns()).then_some(due);
    }
}

impl Iterator for Schedule {
    type Item = u64;

    /// Takes the next request's due time.
    #[inline]
    fn next(&mut self) -> Option<u64> {
        let due = self.due;
        self.advance();
        due
    }
}

impl Draw {
    /// The mass, of all lanes, of the next request.
    fn mass(&mut self, lanes: f64) -> f64 {
        match self {
            Draw::Poisson { sum, random } => {
                // 1 - u is never zero, so that the logarithm is finite.
                *sum -= (1.0 - random.random::<f64>()).ln();
                *sum * lanes
            }
            Draw::Constant { lane, round } => {
                let mass = *round as f64 * lanes + *lane;
                *round += 1;
                mass
            }
        }
    }
}

/// A generator of its own for each lane.
fn generator(seed: u64, lane: usize) -> Xoshiro256PlusPlus {
    let mut seeds = Xoshiro256PlusPlus::seed_from_u64(seed ^ STREAM);
    for _ in 0..lane {
        seeds.next_u64();
    }
    Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Piece;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn flat(seconds: u64, rate: f64) -> Profile {
        Profile::new(vec![Piece { length_ns: seconds * S, from: rate, to: rate }])
    }

    fn poisson(profile: &Profile, seed: u64) -> Vec<u64> {
        Schedule::new(profile, ArrivalKind::Poisson, seed, 0, 1).collect()
    }

    #[test]
    fn a_thousand_per_second_is_one_each_millisecond() {
        let due: Vec<u64> = Schedule::new(&flat(2, 1_000.0), ArrivalKind::Constant, 0, 0, 1).collect();
        let expected: Vec<u64> = (0..2_000).map(|n| n * 1_000_000).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn constant_lanes_interleave_to_one_even_stream() {
        let profile = flat(3, 999.0);
        let mut all: Vec<u64> =
            (0..7).flat_map(|lane| Schedule::new(&profile, ArrivalKind::Constant, 0, lane, 7)).collect();
        all.sort_unstable();
        let one: Vec<u64> = Schedule::new(&profile, ArrivalKind::Constant, 0, 0, 1).collect();
        assert_eq!(all, one);
        assert_eq!(one.len(), 2_997);
    }

    #[test]
    fn a_rate_that_divides_no_second_does_not_drift() {
        let due: Vec<u64> = Schedule::new(&flat(1_000, 3.0), ArrivalKind::Constant, 0, 0, 1).collect();
        assert_eq!(due.len(), 3_000);
        for (n, due) in due.iter().enumerate() {
            assert_eq!(*due, (n as f64 * 1e9 / 3.0).round() as u64);
        }
    }

    #[test]
    fn what_is_seen_is_what_is_taken() {
        let mut schedule = Schedule::new(&flat(1, 5_000.0), ArrivalKind::Poisson, 3, 0, 1);
        while let Some(due) = schedule.peek() {
            assert_eq!(schedule.next(), Some(due));
        }
        assert_eq!([schedule.next(), schedule.next()], [None, None]);
    }

    /// Kolmogorov and Smirnov's distance, in units at which 1.95 is passed by chance once in 1000.
    fn distance_to_exponential(mut gaps: Vec<f64>) -> f64 {
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let worst = gaps.iter().enumerate().fold(0.0f64, |worst, (n, gap)| {
            let expected = 1.0 - (-gap).exp();
            worst.max(expected - n as f64 / count).max((n as f64 + 1.0) / count - expected)
        });
        worst * count.sqrt()
    }

    #[test]
    fn poisson_gaps_are_exponential_in_time_and_on_a_ramp_in_mass() {
        let ramp = Profile::new(vec![Piece { length_ns: 20 * S, from: 0.0, to: 2_000.0 }]);
        for profile in [flat(20, 1_000.0), ramp] {
            let due = poisson(&profile, 42);
            let gaps =
                due.windows(2).map(|pair| profile.mass_at(pair[1]) - profile.mass_at(pair[0])).collect();
            assert!(distance_to_exponential(gaps) < 1.95);
        }
    }

    #[test]
    fn the_test_of_exponential_gaps_notices_even_ones() {
        assert!(distance_to_exponential(vec![1.0; 1_000]) > 10.0);
        assert!(distance_to_exponential((0..20_000).map(|n| f64::from(n) / 10_000.0).collect()) > 10.0);
    }

    #[test]
    fn poisson_gaps_do_not_depend_on_the_one_before() {
        let due = poisson(&flat(100, 1_000.0), 9);
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6 - 1.0).collect();
        let along: f64 = gaps.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let spread: f64 = gaps.iter().map(|gap| gap * gap).sum();
        let sigma = 1.0 / (gaps.len() as f64).sqrt();
        assert!((along / spread).abs() < 6.0 * sigma);
    }

    #[test]
    fn equal_seeds_are_equal_and_lanes_and_other_seeds_are_not() {
        let profile = flat(1, 10_000.0);
        assert_eq!(poisson(&profile, 7), poisson(&profile, 7));
        assert_ne!(poisson(&profile, 7), poisson(&profile, 8));
        let lanes: Vec<Vec<u64>> =
            (0..4).map(|lane| Schedule::new(&profile, ArrivalKind::Poisson, 7, lane, 4).collect()).collect();
        for one in 0..4 {
            for two in 0..one {
                let shared = lanes[one].iter().filter(|due| lanes[two].binary_search(due).is_ok()).count();
                assert!(shared < 10, "lanes {one} and {two} share {shared}");
            }
        }
    }

    #[test]
    fn the_numbers_of_a_seed_stay_those_of_recorded_runs() {
        let due: Vec<u64> = poisson(&flat(1, 1_000.0), 1).into_iter().take(4).collect();
        // Computed by a second program, from the generator's paper.
        assert_eq!(due, [3_397_171, 3_804_043, 4_148_102, 5_651_112]);
    }

    #[test]
    fn another_rate_is_the_same_arrivals_stretched() {
        let [slow, fast] = [1_000.0, 2_000.0].map(|rate| poisson(&flat(10, rate), 5));
        for (slow, fast) in slow.iter().zip(&fast) {
            assert!(slow.abs_diff(2 * fast) <= 2, "{slow} {fast}");
        }
    }

    #[test]
    fn lanes_together_are_poisson_again() {
        let profile = flat(20, 1_000.0);
        let mut all: Vec<u64> =
            (0..5).flat_map(|lane| Schedule::new(&profile, ArrivalKind::Poisson, 11, lane, 5)).collect();
        all.sort_unstable();
        assert!((all.len() as f64 - 20_000.0).abs() < 6.0 * 20_000f64.sqrt(), "{}", all.len());
        let gaps = all.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        assert!(distance_to_exponential(gaps) < 1.95);
    }

    #[test]
    fn each_step_gets_its_count_and_the_border_loses_nothing() {
        let steps = [500.0, 8_000.0, 0.0, 2_000.0];
        let pieces = steps.map(|rate| Piece { length_ns: 10 * S, from: rate, to: rate }).to_vec();
        let profile = Profile::new(pieces);
        for kind in [ArrivalKind::Constant, ArrivalKind::Poisson] {
            let due: Vec<u64> = Schedule::new(&profile, kind, 2, 0, 1).collect();
            for (n, rate) in steps.iter().enumerate() {
                let step = n as u64 * 10 * S..(n as u64 + 1) * 10 * S;
                let count = due.iter().filter(|due| step.contains(due)).count() as f64;
                let room = if kind == ArrivalKind::Constant { 0.0 } else { 6.0 * (10.0 * rate).sqrt() };
                assert!((count - 10.0 * rate).abs() <= room, "{kind} {rate}: {count}");
            }
        }
        // One more border in the midst of a flat stretch changes nothing at all.
        let cut = [3.3, 6.7].map(|s| Piece { length_ns: (s * S as f64) as u64, from: 777.0, to: 777.0 });
        assert_eq!(poisson(&Profile::new(cut.to_vec()), 4), poisson(&flat(10, 777.0), 4));
    }

    #[test]
    fn a_ramp_that_ends_at_zero_ends() {
        let profile = Profile::new(vec![
            Piece { length_ns: S, from: 0.0, to: 100.0 },
            Piece { length_ns: S, from: 100.0, to: 0.0 },
        ]);
        let due: Vec<u64> = Schedule::new(&profile, ArrivalKind::Constant, 0, 0, 1).collect();
        assert_eq!(due.len(), 100);
        assert!(due.iter().all(|due| *due < 2 * S));
        assert_eq!(Schedule::new(&flat(5, 0.0), ArrivalKind::Poisson, 0, 0, 1).count(), 0);
        assert_eq!(Schedule::new(&Profile::new(vec![]), ArrivalKind::Constant, 0, 0, 1).peek(), None);
    }

    proptest! {
        #[test]
        fn due_times_never_decrease_and_lie_before_the_end(
            from in 0.0..50_000.0, to in 0.0..50_000.0, length_ns in 1..S, seed: u64, lane in 0..3usize, even: bool,
        ) {
            let profile = Profile::new(vec![Piece { length_ns, from, to }, Piece { length_ns, from: to, to: from }]);
            let kind = if even { ArrivalKind::Constant } else { ArrivalKind::Poisson };
            let due: Vec<u64> = Schedule::new(&profile, kind, seed, lane, 3).collect();
            prop_assert!(due.is_sorted());
            prop_assert!(due.iter().all(|due| *due < profile.end_ns()));
            let share = profile.mass() / 3.0;
            let room = if even { 1.0 } else { 6.0 * share.sqrt() + 20.0 };
            prop_assert!((due.len() as f64 - share).abs() <= room, "{} {share}", due.len());
        }
    }
}
