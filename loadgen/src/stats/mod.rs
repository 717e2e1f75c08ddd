//! Statistics between runs: few samples on two sides, of no known distribution.
//!
//! In: one number per round or slice. Out: whether the sides differ (a rank test), by what factor (with an
//! interval), and which difference would have been seen. Never: a mean, an assumed normal distribution of the
//! samples, or a single request's time; millions of correlated times would make every difference significant.

mod rank;
mod ratio;

pub use rank::mann_whitney;
pub use ratio::{Ratio, hodges_lehmann_ratio};

/// Up to so many samples on each side the ranks' distribution is counted out, in under a millisecond; above, the
/// normal approximation is off by less than 0.003.
const EXACT_MAX: usize = 20;

/// Quantile of the normal distribution at 0.975: two-sided 5 %.
const Z_LEVEL: f64 = 1.959_963_984_540_054;
/// Quantile of the normal distribution at 0.8: the power that [`detectable`] speaks of.
const Z_POWER: f64 = 0.841_621_233_572_914_3;
/// Efficiency of the rank test against the t-test on normal samples, 3/π (Lehmann, Nonparametrics, 1975, 2.4).
const RANK_EFFICIENCY: f64 = 0.954_929_658_551_372;
/// The median distance from the median, times this, is a normal distribution's standard deviation.
const NORMAL_PER_MEDIAN_DISTANCE: f64 = 1.482_602_218_505_602;
/// The same of the mean distance: √(π/2).
const NORMAL_PER_MEAN_DISTANCE: f64 = 1.253_314_137_315_500_3;

/// The middle; of an even number the midpoint of the middle two. `None` of none.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// The smallest relative difference between the sides that so many samples of such spread would have shown, in four
/// of five comparisons (power 80 %), at two-sided 5 %: 0.04 is 4 %. Infinite where nothing could have been shown:
/// less than four samples on a side, or samples that are not positive.
///
/// `exp((t(0.975) + t(0.8)) · s · √((1/n + 1/m) / (3/π))) − 1`, with Student's t at n + m − 2 degrees of freedom
/// and s the standard deviation of the logarithms, estimated from their median distance to their own side's median.
/// (Four samples against four differ only when wholly apart: there it is two of three comparisons.)
pub fn detectable(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len(), b.len());
    if n.min(m) < 4 || a.iter().chain(b).any(|&x| x <= 0.0 || !x.is_finite()) {
        return f64::INFINITY;
    }
    let freedom = (n + m - 2) as f64;
    let quantiles = student(Z_LEVEL, freedom) + student(Z_POWER, freedom);
    let samples = (1.0 / n as f64 + 1.0 / m as f64) / RANK_EFFICIENCY;
    (quantiles * log_spread(a, b) * samples.sqrt()).exp_m1()
}

/// Standard deviation of the logarithms of positive numbers around their own side's median: the root of the mean of
/// both sides' squares.
fn log_spread(a: &[f64], b: &[f64]) -> f64 {
    let variance = |side: &[f64]| log_spread_of_side(side).powi(2);
    f64::midpoint(variance(a), variance(b)).sqrt()
}

fn log_spread_of_side(side: &[f64]) -> f64 {
    let logs: Vec<f64> = side.iter().map(|x| x.ln()).collect();
    let middle = median(&logs).unwrap_or(0.0);
    let distances: Vec<f64> = logs.iter().map(|x| (x - middle).abs()).collect();
    let spread = NORMAL_PER_MEDIAN_DISTANCE * median(&distances).unwrap_or(0.0);
    // Where half of the samples are alike the median distance is zero although there is a spread.
    let mean_distance = distances.iter().sum::<f64>() / distances.len() as f64;
    let spread = if spread > 0.0 { spread } else { NORMAL_PER_MEAN_DISTANCE * mean_distance };
    spread * few_samples(side.len())
}

/// The median distance of few samples is too short by this factor, since their median lies among themselves
/// (Croux and Rousseeuw, Time-efficient algorithms for two highly robust estimators of scale, 1992).
fn few_samples(count: usize) -> f64 {
    match count {
        0..=4 => 1.363,
        5 => 1.206,
        6 => 1.200,
        7 => 1.140,
        8 => 1.129,
        9 => 1.107,
        _ => count as f64 / (count as f64 - 0.8),
    }
}

/// Student's t from the normal quantile (Abramowitz and Stegun, 26.7.5): within 1 % from 6 degrees of freedom on.
fn student(z: f64, freedom: f64) -> f64 {
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / freedom + second / freedom.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand_distr::{Distribution, LogNormal};

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn student_s_quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.10: t(0.975) at 6, 18 and 120 degrees of freedom.
        for (freedom, t) in [(6.0, 2.447), (18.0, 2.101), (120.0, 1.980)] {
            let ours = student(Z_LEVEL, freedom);
            assert!((ours / t - 1.0).abs() < 0.006, "{freedom}: {ours} against {t}");
        }
    }

    #[test]
    fn a_difference_that_is_called_detectable_is_found_in_four_of_five() {
        for samples in [4, 6, 10, 20, 40] {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(samples as u64);
            let spread = 0.05;
            let noise = LogNormal::new(0.0, spread).unwrap();
            let mut draw =
                |by: f64| -> Vec<f64> { (0..samples).map(|_| by * noise.sample(&mut random)).collect() };
            let called: Vec<f64> = (0..400).map(|_| detectable(&draw(1.0), &draw(1.0))).collect();
            let called = median(&called).unwrap();
            let found = (0..1_000).filter(|_| mann_whitney(&draw(1.0), &draw(1.0 + called)) < 0.05).count();
            // Four against four differ only when wholly apart, which is more than the formula asks for.
            let expected = if samples == 4 { 620..720 } else { 750..850 };
            assert!(expected.contains(&found), "{samples} samples: {called}, found {found} of 1000");
        }
    }

    #[test]
    fn too_few_samples_detect_nothing() {
        assert_eq!(detectable(&[1.0, 1.1, 1.2], &[1.0, 1.1, 1.2, 1.3]), f64::INFINITY);
        assert_eq!(detectable(&[], &[]), f64::INFINITY);
        assert_eq!(detectable(&[0.0; 8], &[0.0; 8]), f64::INFINITY);
    }

    #[test]
    fn one_wild_sample_does_not_blind_the_others() {
        let calm: Vec<f64> = (0..20).map(|n| 100.0 + f64::from(n % 5)).collect();
        let mut wild = calm.clone();
        wild[7] = 10_000.0;
        assert!(detectable(&calm, &wild) < 1.3 * detectable(&calm, &calm));
    }

    #[test]
    fn samples_that_are_mostly_alike_still_have_a_spread() {
        let alike = [100.0, 100.0, 100.0, 100.0, 100.0, 101.0];
        assert!(detectable(&alike, &alike) > 0.001);
        assert_eq!(detectable(&[100.0; 6], &[100.0; 6]), 0.0);
    }
}
