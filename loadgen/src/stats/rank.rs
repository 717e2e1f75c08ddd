//! The rank test of Mann, Whitney and Wilcoxon: do two sides differ in place?
//!
//! In: samples of both sides. Out: how often sides that do not differ would look as different as these. Ties are
//! taken as they are, in the exact count as in the approximation.
//!
//! Ours, because of two crates: statrs 0.19.1 gives p = 1 for [1, 2, 3, 4] against [5, 6, 7, 8], where it is 2/70,
//! and counts by listing all C(n + m, n) choices; the other ones know the approximation alone.

use super::{EXACT_MAX, Z_LEVEL};

/// Two-sided p-value; 1 where a side is empty or all samples are alike. Not for samples that are NaN.
///
/// With up to 20 samples on each side: the exact share, among all ways to deal the pooled ranks to the sides, of
/// those whose rank sum is at least as far from its expectation. With more: the normal approximation with
/// corrections for ties and continuity (Lehmann, Nonparametrics, 1975, 1.4).
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if a.is_empty() {
        return 1.0;
    }
    let ranks = Ranks::of(a, b);
    if b.len() <= EXACT_MAX { ranks.exact() } else { ranks.approximate() }
}

/// How many of the ordered pairwise differences lie outside of the 95 % interval at either end: the largest count
/// that a rank statistic without ties reaches with a probability of at most 2.5 %. Zero where there is none.
pub(super) fn critical_rank(n: usize, m: usize) -> usize {
    let (n, m) = (n.min(m), n.max(m));
    if m > EXACT_MAX {
        let (pairs, all) = ((n * m) as f64, (n + m + 1) as f64);
        return (pairs / 2.0 - Z_LEVEL * (pairs * all / 12.0).sqrt()).max(0.0) as usize;
    }
    let untied: Vec<usize> = (1..=n + m).map(|rank| 2 * rank).collect();
    let ways = ways_to_sum(&untied, n);
    let total: f64 = ways.iter().sum();
    let smallest = n * (n + 1);
    let mut tail = 0.0;
    // Without ties every second doubled sum occurs.
    ways[smallest..]
        .iter()
        .step_by(2)
        .take_while(|&&ways| {
            tail += ways;
            tail <= 0.025 * total
        })
        .count()
}

/// The pooled samples' ranks. Doubled, since tied samples share the mean of their ranks, which may be a half.
struct Ranks {
    doubled: Vec<usize>,
    /// Sizes of the groups of equal samples.
    ties: Vec<usize>,
    /// Samples of the first side, the smaller one.
    first: usize,
    /// Doubled rank sum of the first side.
    first_sum: usize,
}

impl Ranks {
    fn of(a: &[f64], b: &[f64]) -> Ranks {
        let tagged = |side: &[f64], first: bool| side.iter().map(|&x| (x, first)).collect::<Vec<_>>();
        let mut pooled = [tagged(a, true), tagged(b, false)].concat();
        pooled.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut ranks =
            Ranks { doubled: Vec::with_capacity(pooled.len()), ties: vec![], first: a.len(), first_sum: 0 };
        for tied in pooled.chunk_by(|one, other| one.0 == other.0) {
            let before = ranks.doubled.len();
            let doubled = 2 * before + tied.len() + 1;
            ranks.doubled.extend(std::iter::repeat_n(doubled, tied.len()));
            ranks.ties.push(tied.len());
            ranks.first_sum += doubled * tied.iter().filter(|(_, first)| *first).count();
        }
        ranks
    }

    /// Doubled rank sum that the first side has on average.
    fn expected(&self) -> usize {
        self.first * (self.doubled.len() + 1)
    }

    fn exact(&self) -> f64 {
        let ways = ways_to_sum(&self.doubled, self.first);
        let seen = self.first_sum.abs_diff(self.expected());
        let as_far = |sum: usize| sum.abs_diff(self.expected()) >= seen;
        let far: f64 = ways.iter().enumerate().filter(|(sum, _)| as_far(*sum)).map(|(_, ways)| ways).sum();
        far / ways.iter().sum::<f64>()
    }

    fn approximate(&self) -> f64 {
        let all = self.doubled.len() as f64;
        let (n, m) = (self.first as f64, all - self.first as f64);
        let tied: f64 = self.ties.iter().map(|&tied| (tied as f64).powi(3) - tied as f64).sum();
        let variance = n * m / 12.0 * (all + 1.0 - tied / (all * (all - 1.0)));
        let distance = self.first_sum.abs_diff(self.expected()) as f64 / 2.0 - 0.5;
        if variance <= 0.0 || distance <= 0.0 {
            return 1.0;
        }
        libm::erfc(distance / (2.0 * variance).sqrt())
    }
}

/// At each sum: in how many ways `count` of the numbers add up to it. Exact below 2^53; 20 of 40 can be taken in
/// 1.4e11 ways.
fn ways_to_sum(numbers: &[usize], count: usize) -> Vec<f64> {
    let width = numbers.iter().sum::<usize>() + 1;
    let mut ways = vec![vec![0.0; width]; count + 1];
    ways[0][0] = 1.0;
    for &number in numbers {
        // Downwards, so that each number is taken once.
        for taken in (1..=count).rev() {
            let (fewer, this) = ways.split_at_mut(taken);
            for (to, from) in this[0][number..].iter_mut().zip(&fewer[taken - 1]) {
                *to += from;
            }
        }
    }
    ways.swap_remove(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt as _, SeedableRng};

    /// Hollander and Wolfe, Nonparametric Statistical Methods, 1999, table 4.1: water through the chorioamnion.
    const TERM: [f64; 10] = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    const EARLY: [f64; 5] = [1.15, 0.88, 0.90, 0.74, 1.21];

    fn near(ours: f64, theirs: f64, by: f64) {
        assert!((ours - theirs).abs() <= by, "{ours} against {theirs}");
    }

    #[test]
    fn hollander_and_wolfe_s_example_comes_out_as_published() {
        // As R's coin and SAS's NPAR1WAY print it: exact 0.2544, approximate with continuity correction 0.2446.
        near(mann_whitney(&TERM, &EARLY), 0.2544, 0.000_05);
        near(mann_whitney(&EARLY, &TERM), 0.2544, 0.000_05);
        near(Ranks::of(&EARLY, &TERM).approximate(), 0.2446, 0.000_05);
    }

    #[test]
    fn scipy_s_example_comes_out_as_published() {
        // scipy.stats.mannwhitneyu, "Examples": exact 0.1111, approximate 0.11134688653314041.
        let (males, females) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        near(mann_whitney(&males, &females), 1.0 / 9.0, 1e-12);
        near(Ranks::of(&females, &males).approximate(), 0.111_346_886_533_140_41, 1e-12);
    }

    #[test]
    fn ties_narrow_the_approximation_as_in_scipy() {
        // statrs' test of its mannwhitneyu, where the number is scipy's.
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        near(Ranks::of(&b, &a).approximate(), 0.010_411_098_147_110_422, 1e-12);
    }

    #[test]
    fn full_separation_is_one_way_of_all_at_either_end() {
        let low: Vec<f64> = (1..=4).map(f64::from).collect();
        let high: Vec<f64> = (5..=8).map(f64::from).collect();
        near(mann_whitney(&low, &high), 2.0 / 70.0, 1e-12);
        near(mann_whitney(&high, &low), 2.0 / 70.0, 1e-12);
        near(mann_whitney(&low, &high[..3]), 2.0 / 35.0, 1e-12);
    }

    #[test]
    fn nothing_and_all_alike_is_no_difference() {
        assert_eq!(mann_whitney(&[], &[1.0, 2.0]), 1.0);
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 7]), 1.0);
        assert_eq!(mann_whitney(&[1.0; 50], &[1.0; 70]), 1.0);
    }

    #[test]
    fn with_ties_the_exact_count_is_that_of_all_deals() {
        let a = [1.0, 2.0, 2.0, 5.0];
        let b = [2.0, 3.0, 3.0, 5.0, 5.0, 6.0];
        near(mann_whitney(&a, &b), by_dealing(&a, &b), 1e-12);
        near(mann_whitney(&b[..3], &a), by_dealing(&b[..3], &a), 1e-12);
    }

    #[test]
    fn the_approximation_joins_the_exact_count_where_it_takes_over() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        for shift in [0.0, 0.2, 0.3, 0.4] {
            let a: Vec<f64> = (0..20).map(|_| random.random()).collect();
            let b: Vec<f64> = (0..20).map(|_| random.random::<f64>() + shift).collect();
            let ranks = Ranks::of(&a, &b);
            near(ranks.exact(), ranks.approximate(), 0.003);
        }
    }

    #[test]
    fn the_critical_ranks_are_those_of_the_tables() {
        // Mann-Whitney tables, two-sided 5 %: U at most 0, 2, 5, 23, 127; one more differences lie outside.
        for (n, m, u_max) in [(4, 4, 0), (5, 5, 2), (6, 6, 5), (10, 10, 23), (20, 20, 127), (5, 8, 6)] {
            assert_eq!(critical_rank(n, m), u_max + 1, "{n}, {m}");
            assert_eq!(critical_rank(m, n), u_max + 1, "{m}, {n}");
        }
        assert_eq!(critical_rank(3, 3), 0);
    }

    #[test]
    fn sides_that_do_not_differ_are_told_apart_in_at_most_one_of_twenty() {
        for (n, m) in [(4, 4), (5, 7), (10, 10), (20, 20), (21, 21), (8, 60)] {
            let mut random = Xoshiro256PlusPlus::seed_from_u64((n * 100 + m) as u64);
            let rounds = 4_000;
            let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| random.random()).collect() };
            let called = (0..rounds).filter(|_| mann_whitney(&draw(n), &draw(m)) < 0.05).count();
            let most = 0.05 * f64::from(rounds) + 6.0 * (0.05 * 0.95 * f64::from(rounds)).sqrt();
            assert!((called as f64) < most, "{n} against {m}: {called} of {rounds}");
        }
    }

    /// By listing every deal, with the statistic counted pair by pair.
    fn by_dealing(a: &[f64], b: &[f64]) -> f64 {
        let pooled = [a, b].concat();
        let far = |deal: u32| -> f64 {
            let side =
                |first: bool| pooled.iter().enumerate().filter(move |(i, _)| (deal >> i & 1 == 1) == first);
            let mut above = 0.0;
            for (_, x) in side(true) {
                above += side(false)
                    .map(|(_, y)| {
                        if y > x {
                            1.0
                        } else if y == x {
                            0.5
                        } else {
                            0.0
                        }
                    })
                    .sum::<f64>();
            }
            (above - (a.len() * b.len()) as f64 / 2.0).abs()
        };
        let seen = far((1 << a.len()) - 1);
        let deals: Vec<u32> =
            (0..1u32 << pooled.len()).filter(|deal| deal.count_ones() as usize == a.len()).collect();
        deals.iter().filter(|&&deal| far(deal) >= seen - 1e-9).count() as f64 / deals.len() as f64
    }
}
