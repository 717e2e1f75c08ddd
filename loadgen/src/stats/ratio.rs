//! By what factor two sides differ: the estimator of Hodges and Lehmann, on a ratio scale.
//!
//! In: samples of both sides, times or rates. Out: the middle of all ratios of a sample of the second side to one
//! of the first, and the interval that belongs to the rank test: it holds 1 if the test sees no difference.

use super::rank::critical_rank;

/// The second side over the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The estimate: from zero to infinite. 1 is no difference.
    pub ratio: f64,
    /// Low end of the 95 % interval; zero where there are too few samples for one (less than 4 on each side).
    pub low: f64,
    /// High end; infinite where there are too few samples.
    pub high: f64,
}

/// The median of the ratios of all pairs (of their logarithms, which is the same but for the midpoint of two), with
/// the 95 % interval from the ordered ratios at the rank test's critical rank (Hollander and Wolfe, 1999, 4.2, 4.3).
///
/// Zero to zero is 1, zero to anything is infinite; numbers below zero, which no time or rate is, count as zero.
/// 1 between unknown ends where a side is empty.
pub fn hodges_lehmann_ratio(a: &[f64], b: &[f64]) -> Ratio {
    let mut logs: Vec<f64> = a.iter().flat_map(|&a| b.iter().map(move |&b| log_ratio(a, b))).collect();
    logs.sort_by(f64::total_cmp);
    let outside = critical_rank(a.len(), b.len());
    let (low, high) = match outside {
        0 => (0.0, f64::INFINITY),
        _ => (logs[outside - 1].exp(), logs[logs.len() - outside].exp()),
    };
    Ratio { ratio: middle(&logs).exp(), low, high }
}

fn log_ratio(a: f64, b: f64) -> f64 {
    match (a > 0.0, b > 0.0) {
        (true, true) => (b / a).ln(),
        (true, false) => f64::NEG_INFINITY,
        (false, true) => f64::INFINITY,
        (false, false) => 0.0,
    }
}

/// Between minus and plus infinity lies no difference.
fn middle(logs: &[f64]) -> f64 {
    match super::median(logs) {
        Some(middle) if !middle.is_nan() => middle,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::mann_whitney;
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand_distr::{Distribution, LogNormal};

    fn near(ours: f64, theirs: f64) {
        assert!((ours / theirs - 1.0).abs() < 1e-9, "{ours} against {theirs}");
    }

    #[test]
    fn hollander_and_wolfe_s_shift_comes_out_as_published() {
        // Their differences are our ratios once the samples are powers. 1999, table 4.1, as R's coin prints it:
        // estimate -0.305, 95 % interval -0.76 to 0.15.
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46].map(f64::exp);
        let early = [1.15, 0.88, 0.90, 0.74, 1.21].map(f64::exp);
        let ratio = hodges_lehmann_ratio(&term, &early);
        near(ratio.ratio.ln(), -0.305);
        near(ratio.low.ln(), -0.76);
        near(ratio.high.ln(), 0.15);
    }

    #[test]
    fn turned_around_it_is_the_reciprocal() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.5], [2.0, 2.5, 7.0, 9.0, 9.5]);
        let (there, back) = (hodges_lehmann_ratio(&a, &b), hodges_lehmann_ratio(&b, &a));
        near(there.ratio, 1.0 / back.ratio);
        near(there.low, 1.0 / back.high);
        near(there.high, 1.0 / back.low);
    }

    #[test]
    fn three_samples_have_a_ratio_but_no_interval() {
        let ratio = hodges_lehmann_ratio(&[1.0, 1.0, 1.0], &[2.0, 2.0, 2.0]);
        assert_eq!(ratio, Ratio { ratio: 2.0, low: 0.0, high: f64::INFINITY });
        assert_eq!(hodges_lehmann_ratio(&[], &[2.0]), Ratio { ratio: 1.0, low: 0.0, high: f64::INFINITY });
    }

    #[test]
    fn zeros_are_alike_and_infinitely_below_the_rest() {
        let none = [0.0; 6];
        assert_eq!(hodges_lehmann_ratio(&none, &none), Ratio { ratio: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(hodges_lehmann_ratio(&none, &[0.1; 6]).low, f64::INFINITY);
        assert_eq!(hodges_lehmann_ratio(&[0.1; 6], &none).high, 0.0);
        let half = [0.0, 0.0, 0.0, 5.0, 5.0, 5.0];
        assert_eq!(hodges_lehmann_ratio(&half, &half).ratio, 1.0);
        assert_eq!(hodges_lehmann_ratio(&[-1.0; 4], &[0.0; 4]).ratio, 1.0);
        assert_eq!(hodges_lehmann_ratio(&[0.0, 1.0], &[0.0, 1.0]).ratio, 1.0);
    }

    #[test]
    fn the_interval_holds_the_true_ratio_in_nineteen_of_twenty() {
        for (n, m) in [(4, 4), (6, 9), (20, 20), (30, 25)] {
            let mut random = Xoshiro256PlusPlus::seed_from_u64((n * 100 + m) as u64);
            let noise = LogNormal::new(0.0, 0.2).unwrap();
            let rounds = 3_000;
            let mut held = 0;
            for _ in 0..rounds {
                let a: Vec<f64> = (0..n).map(|_| noise.sample(&mut random)).collect();
                let b: Vec<f64> = (0..m).map(|_| 1.3 * noise.sample(&mut random)).collect();
                let ratio = hodges_lehmann_ratio(&a, &b);
                held += u32::from((ratio.low..=ratio.high).contains(&1.3));
            }
            let least = 0.95 * f64::from(rounds) - 6.0 * (0.05 * 0.95 * f64::from(rounds)).sqrt();
            assert!(f64::from(held) > least, "{n} against {m}: {held} of {rounds}");
            assert!(f64::from(held) < 0.985 * f64::from(rounds), "{n} against {m}: {held} is too wide");
        }
    }

    #[test]
    fn the_interval_and_the_test_agree() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        let noise = LogNormal::new(0.0, 0.2).unwrap();
        for round in 0..500 {
            let a: Vec<f64> = (0..8).map(|_| noise.sample(&mut random)).collect();
            let b: Vec<f64> = (0..7).map(|_| 1.2 * noise.sample(&mut random)).collect();
            let ratio = hodges_lehmann_ratio(&a, &b);
            assert_eq!(
                mann_whitney(&a, &b) > 0.05,
                (ratio.low..=ratio.high).contains(&1.0),
                "{round}: {ratio:?}"
            );
        }
    }
}
