//! How sure a percentile is.
//!
//! In: a distribution, and the run's intervals with their coarse distributions. Out: the value, a 95 % interval, and
//! whether there are samples enough to speak of it at all. Never: assumes a shape of the distribution.
//!
//! The interval is made of order statistics: how many of `count` samples lie beyond the true percentile is a binomial
//! number, whatever the distribution; its likely range, read as places in order, is the interval. That holds for
//! samples that know nothing of each other. Latencies do: a pause makes thousands late at once, and ten thousand late
//! ones of a single pause say little more than one. So the count is divided by the **design effect**: how much more
//! the share of late ones differs from one slice of the run to the next than it would if it were chance alone.
//!
//! What the interval does not do: it speaks of this run, not of the next one, after a restart or on another day (run
//! several times, and compare). What lasts longer than some thirtieth of the run, a slow drift above all, is seen in
//! part. With fewer than eight slices that hold samples, or where all times fall into one band, nothing is known of
//! how the samples hang together, and they count as independent: then the interval is too narrow, if anything.

use crate::model::{BANDS, Interval, Latency, band_floor_ns};

/// The percentiles that are reported, as shares.
pub const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999];
/// Samples that must lie beyond a percentile: with ten, its place in the tail is known to about a third.
pub const TAIL_MIN: u64 = 10;

/// Of the normal distribution: 95 % lie within.
const Z: f64 = 1.959_964;
/// Share on each side of the interval.
const OUTSIDE: f64 = 0.025;
/// Expected samples in the tail, from which on the binomial is as good as normal.
const NORMAL_FROM: f64 = 100.0;
/// Slices that are needed to tell chance from more than chance.
const BLOCKS_MIN: usize = 8;
/// Slices that are used: the fewer, the longer they are, and the more of what hangs together lies within one.
const BLOCKS_MAX: usize = 32;
/// Beyond this the samples are as good as one event, and the estimate is noise.
const DESIGN_EFFECT_MAX: f64 = 10_000.0;

/// A percentile of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// As a share: 0.99.
    pub q: f64,
    /// Measured; zero where there are no samples.
    pub value_ns: u64,
    /// Low end of the 95 % interval; the shortest time, where nothing bounds it.
    pub low_ns: u64,
    /// High end of the 95 % interval; the longest time, where nothing bounds it.
    pub high_ns: u64,
    /// The high end is a bound, not only the longest time there was.
    pub is_bounded: bool,
    /// Samples beyond it.
    pub tail: u64,
    /// At least [`TAIL_MIN`] samples lie beyond it. Says nothing of how they hang together: see `is_bounded`.
    pub is_enough: bool,
    /// How many samples say as much as one independent one: 1 to 10,000.
    pub design_effect: f64,
}

/// All of [`QUANTILES`].
pub fn quantiles(latency: &Latency, intervals: &[Interval]) -> Vec<Quantile> {
    QUANTILES.iter().map(|&q| quantile(latency, intervals, q)).collect()
}

/// The percentile `q`, a share between 0 and 1. The intervals are those of the same run and of the same kind of time;
/// without any, the samples count as independent.
pub fn quantile(latency: &Latency, intervals: &[Interval], q: f64) -> Quantile {
    let count = latency.count();
    let rank = rank(count, q);
    let value_ns = if count == 0 { 0 } else { latency.at_rank(rank) };
    let design_effect = design_effect(intervals, value_ns);
    let tail = count - rank;
    let (fewest, most) = beyond(count, 1.0 - q, design_effect);
    // With t samples beyond the true percentile, it lies between the (n-t)th and the one above it.
    let low = count.saturating_sub(most).max(1);
    let high = count.saturating_sub(fewest) + 1;
    Quantile {
        q,
        value_ns,
        low_ns: if count == 0 { 0 } else { latency.at_rank(low).min(value_ns) },
        high_ns: if count == 0 { 0 } else { latency.at_rank(high.min(count)).max(value_ns) },
        is_bounded: fewest > 0,
        tail,
        is_enough: tail >= TAIL_MIN,
        design_effect,
    }
}

/// The fewest samples of which `q` can be said: 1,000 for 0.99.
pub fn samples_needed(q: f64) -> u64 {
    // 1 - 0.99999 is off by rounding, which must not ask for one more.
    (TAIL_MIN as f64 / (1.0 - q) * (1.0 - 1e-9)).ceil() as u64
}

/// The place in order (1 is the shortest) of the sample that the share `q` is not over.
pub(crate) fn rank(count: u64, q: f64) -> u64 {
    // 0.999 is no binary number: what is off by rounding must not count as one more.
    ((count as f64 * q - 1e-6).ceil().max(0.0) as u64).clamp(count.min(1), count)
}

/// How few and how many samples are likely to lie beyond the true percentile; `share` of all are expected to. Zero
/// for the fewest: there may be none, so that nothing bounds the percentile from above.
fn beyond(count: u64, share: f64, design_effect: f64) -> (u64, u64) {
    let effective = count as f64 / design_effect;
    let (fewest, most) = if effective * share >= NORMAL_FROM {
        let half = Z * (effective * share * (1.0 - share)).sqrt();
        (effective * share - half, effective * share + half)
    } else {
        binomial_range(effective, share)
    };
    ((fewest * design_effect) as u64, ((most * design_effect).ceil() as u64).min(count))
}

/// The numbers of successes between which 95 % lie, at least. Summed up from zero, which is short, for few are
/// expected; `count` may be no whole number.
fn binomial_range(count: f64, share: f64) -> (f64, f64) {
    let odds = share / (1.0 - share);
    let mut probability = (count * (1.0 - share).ln()).exp();
    // Of fewer than `number`, and the last number for which that is unlikely.
    let mut below = 0.0;
    let mut fewest = 0.0;
    let mut number = 0.0;
    loop {
        if below <= OUTSIDE {
            fewest = number;
        }
        below += probability;
        if below >= 1.0 - OUTSIDE || number >= count {
            return (fewest, number);
        }
        probability *= (count - number) / (number + 1.0) * odds;
        number += 1.0;
    }
}

/// One slice's samples: all, and those beyond the value.
#[derive(Clone, Copy, Default)]
struct Block {
    all: f64,
    beyond: f64,
}

/// The variance of the share of samples beyond `value_ns` between slices of the run, over what it would be for
/// independent samples: at least 1.
fn design_effect(intervals: &[Interval], value_ns: u64) -> f64 {
    let per_block = intervals.len().div_ceil(BLOCKS_MAX).max(1);
    let Some(edge) = nearest_edge(intervals, value_ns) else { return 1.0 };
    let blocks: Vec<Block> =
        intervals.chunks(per_block).map(|chunk| block(chunk, edge)).filter(|block| block.all > 0.0).collect();
    if blocks.len() < BLOCKS_MIN {
        return 1.0;
    }
    let all: f64 = blocks.iter().map(|block| block.all).sum();
    let share = blocks.iter().map(|block| block.beyond).sum::<f64>() / all;
    // The slices hold as many samples as there happened to be, so the share is a ratio of two sums, and its variance
    // is that of what each slice has too many (Cochran, Sampling Techniques, 3rd edition, 11.3).
    let count = blocks.len() as f64;
    let squares: f64 = blocks.iter().map(|block| (block.beyond - share * block.all).powi(2)).sum();
    let effect = count / (count - 1.0) * squares / (all * share * (1.0 - share));
    // Few slices: the estimate itself is unsure, as Student's t is wider than the normal distribution.
    let student = 1.0 + (Z * Z + 1.0) / (4.0 * (count - 1.0));
    (effect * student * student).clamp(1.0, DESIGN_EFFECT_MAX)
}

fn block(intervals: &[Interval], edge: usize) -> Block {
    intervals.iter().flat_map(|interval| interval.bands.iter().enumerate()).fold(
        Block::default(),
        |block, (band, &count)| Block {
            all: block.all + count as f64,
            beyond: block.beyond + if band >= edge { count as f64 } else { 0.0 },
        },
    )
}

/// The first band beyond the value: of the edges that have samples on both sides, the nearest one by ratio.
fn nearest_edge(intervals: &[Interval], value_ns: u64) -> Option<usize> {
    let used =
        |band: usize| intervals.iter().any(|interval| interval.bands.get(band).is_some_and(|&n| n > 0));
    let first = (0..BANDS).find(|&band| used(band))?;
    let last = (0..BANDS).rfind(|&band| used(band))?;
    let distance = |band: &usize| (band_floor_ns(*band) / value_ns.max(1) as f64).ln().abs();
    (first + 1..=last).min_by(|one, two| distance(one).total_cmp(&distance(two)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand_distr::{Distribution, StandardNormal};

    /// 1 µs, 2 µs, … so that a time is its rank.
    fn ladder(count: u64) -> Latency {
        let mut latency = Latency::new();
        (1..=count).for_each(|n| latency.record(n * 1_000));
        latency
    }

    fn near(found: u64, expected: u64) -> bool {
        found.abs_diff(expected) as f64 <= 0.0011 * expected as f64
    }

    #[test]
    fn the_ends_are_the_ranks_that_order_statistics_give() {
        // n = 100,000, q = 0.9: √(n q (1-q)) is 94.9, times 1.96 is 185.9.
        let p90 = quantile(&ladder(100_000), &[], 0.9);
        assert!(near(p90.value_ns, 90_000_000), "{p90:?}");
        assert!(near(p90.low_ns, 89_814_000), "{p90:?}");
        assert!(near(p90.high_ns, 90_187_000), "{p90:?}");
        assert_eq!((p90.tail, p90.is_enough, p90.is_bounded, p90.design_effect), (10_000, true, true, 1.0));
    }

    #[test]
    fn near_the_end_the_binomial_is_exact() {
        // Of Bin(1000, 0.01): P(T <= 3) = 1.0 %, P(T <= 4) = 2.9 %, P(T <= 16) = 97.4 %, P(T <= 17) = 98.6 %.
        assert_eq!(beyond(1_000, 0.01, 1.0), (4, 17));
        // So the ends are the 983rd and, one above the 996th, the 997th.
        let p99 = quantile(&ladder(1_000), &[], 0.99);
        assert_eq!([p99.low_ns / 1_000, p99.high_ns / 1_000], [983, 997]);
        // 0.99^n falls to 2.5 % at n = 367.04, 0.999^n at 3687.03: the fewest samples for a bound from above.
        assert_eq!([beyond(367, 0.01, 1.0).0, beyond(368, 0.01, 1.0).0], [0, 1]);
        assert_eq!([beyond(3_687, 0.001, 1.0).0, beyond(3_688, 0.001, 1.0).0], [0, 1]);
        // A median of ten lies between the second and the ninth with 97.9 %.
        assert_eq!(beyond(10, 0.5, 1.0), (2, 8));
    }

    #[test]
    fn both_ways_to_a_range_meet() {
        for share in [0.5, 0.1, 0.01, 0.000_01] {
            let count = NORMAL_FROM / share;
            let (fewest, most) = binomial_range(count, share);
            let half = Z * (NORMAL_FROM * (1.0 - share)).sqrt();
            assert!((fewest - (NORMAL_FROM - half)).abs() < 2.0, "{share}: {fewest}");
            assert!((most - (NORMAL_FROM + half)).abs() < 2.0, "{share}: {most}");
        }
    }

    #[test]
    fn ten_samples_beyond_are_enough_and_nine_are_not() {
        for q in [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999] {
            let enough = samples_needed(q);
            assert_eq!(enough, (10.0 / (1.0 - q)).round() as u64);
            let mut latency = Latency::new();
            latency.0.record_n(1_000, enough - 1).unwrap();
            assert!(!quantile(&latency, &[], q).is_enough, "{q}");
            latency.record(1_000);
            let found = quantile(&latency, &[], q);
            assert!(found.is_enough && found.tail == 10, "{q}: {found:?}");
        }
    }

    #[test]
    fn a_percentile_without_samples_beyond_is_the_longest_time_and_not_bounded() {
        let found = quantile(&ladder(300), &[], 0.99);
        assert!(near(found.value_ns, 297_000), "{found:?}");
        assert!(near(found.high_ns, 300_000), "{found:?}");
        assert!(!found.is_bounded && !found.is_enough);
        for (count, tail) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            let found = quantile(&ladder(count), &[], 0.5);
            assert_eq!((found.tail, found.is_enough), (tail, false), "{count}");
            assert!(found.low_ns <= found.value_ns && found.value_ns <= found.high_ns);
        }
    }

    #[test]
    fn the_example_has_all_percentiles_in_order_and_within_their_intervals() {
        let run = example::run();
        let all = quantiles(&run.response, &run.intervals);
        assert_eq!(all.len(), QUANTILES.len());
        assert!(all.iter().all(|found| found.is_enough && found.low_ns <= found.value_ns));
        assert!(all.is_sorted_by_key(|found| found.value_ns));
        // The pause in one of its intervals holds half of what is beyond p99.9, but little of what is beyond p50.
        let [p50, p999] = [all[0], all[4]];
        assert!(p50.design_effect > 5.0, "it breathes: {p50:?}");
        assert!(p999.design_effect > 100.0, "{p999:?}");
    }

    #[test]
    fn one_event_of_many_samples_is_one_event() {
        let mut run = example::run();
        let slow = BANDS - 1;
        for interval in &mut run.intervals {
            interval.bands = vec![10_000, 0];
        }
        run.intervals[5].bands = vec![0; BANDS];
        run.intervals[5].bands[slow] = 10_000;
        let effect = design_effect(&run.intervals, band_floor_ns(slow) as u64);
        assert!(effect > 9_000.0, "{effect}");
    }

    #[test]
    fn slices_of_unequal_size_but_equal_share_are_independent() {
        let interval = |n: u64| Interval { bands: vec![900 * n, 100 * n], ..Interval::default() };
        let intervals: Vec<Interval> = (1..=20).map(interval).collect();
        assert_eq!(design_effect(&intervals, 1_000), 1.0);
    }

    #[test]
    fn too_few_slices_or_a_single_band_say_nothing() {
        let apart = |n: u64| Interval { bands: vec![1_000 * (n % 2), 1_000], ..Interval::default() };
        let intervals: Vec<Interval> = (0..8).map(apart).collect();
        // A share of 2/3, and 1000/3 too many or too few in each: 8/7 · 8 · (1000/3)² over 12000 · 2/9 is 380.95,
        // and 1.1729² for there being eight.
        let effect = design_effect(&intervals, 1_000);
        assert!((effect - 524.1).abs() < 0.1, "{effect}");
        assert_eq!(design_effect(&intervals[..7], 1_000), 1.0);
        let mut empty = intervals[..7].to_vec();
        empty.push(Interval::default());
        assert_eq!(design_effect(&empty, 1_000), 1.0, "an empty slice is none");
        let alike: Vec<Interval> =
            (0..20).map(|n| Interval { bands: vec![0, 7 + n], ..Interval::default() }).collect();
        assert_eq!(design_effect(&alike, 1_000), 1.0);
        assert_eq!(design_effect(&[], 1_000), 1.0);
    }

    /// A run whose times are log-normal about 100 µs; each of its intervals is shifted as a whole by `shift`.
    fn simulate(random: &mut Xoshiro256PlusPlus, per_interval: u64, shift: f64) -> (Latency, Vec<Interval>) {
        let mut all = Latency::new();
        let mut intervals = Vec::new();
        let mut normal = || -> f64 { StandardNormal.sample(random) };
        for _ in 0..60 {
            let shift = shift * normal();
            let mut bands = vec![0; BANDS];
            for _ in 0..per_interval {
                let ns = 100_000.0 * (shift + WIDTH * normal()).exp();
                all.record(ns as u64);
                bands[(1..BANDS).take_while(|&band| band_floor_ns(band) <= ns).count()] += 1;
            }
            intervals.push(Interval { bands, ..Interval::default() });
        }
        (all, intervals)
    }

    const WIDTH: f64 = 0.5;

    /// The share of runs whose interval holds the true percentile: with the design effect, and without.
    fn coverage(q: f64, sigmas: f64, per_interval: u64, shift: f64) -> (f64, f64) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(20);
        // A sum of normal numbers is normal: the true percentile is known.
        let truth = (100_000.0 * (sigmas * (shift * shift + WIDTH * WIDTH).sqrt()).exp()) as u64;
        let runs = 300;
        let mut held = [0.0; 2];
        for _ in 0..runs {
            let (latency, intervals) = simulate(&mut random, per_interval, shift);
            for (held, intervals) in held.iter_mut().zip([&intervals[..], &[]]) {
                let found = quantile(&latency, intervals, q);
                let holds = found.low_ns <= truth && truth <= found.high_ns;
                *held += if holds { 1.0 / f64::from(runs) } else { 0.0 };
            }
        }
        (held[0], held[1])
    }

    // Of 300 runs at 95 %, six sigma would be 7.5 %; the range is narrower, for the seed is fixed.
    #[test]
    fn nineteen_of_twenty_intervals_hold_the_truth() {
        for (q, sigmas) in [(0.5, 0.0), (0.9, 1.281_552), (0.99, 2.326_348)] {
            let (with, without) = coverage(q, sigmas, 25, 0.0);
            assert!((0.92..=0.995).contains(&without), "{q}: {without}");
            assert!((0.92..=1.0).contains(&with), "{q}: {with}");
        }
    }

    #[test]
    fn what_hangs_together_is_seen_and_without_that_most_intervals_miss() {
        for (q, sigmas) in [(0.5, 0.0), (0.9, 1.281_552), (0.99, 2.326_348)] {
            let (with, without) = coverage(q, sigmas, 100, 0.25);
            assert!(with >= 0.88, "{q}: {with}");
            assert!(without < with - 0.2, "{q}: {with} {without}");
        }
    }
}
