//! Where the boundary between met and missed lies, and how sure that is, from trials that met or missed.
//!
//! In: trials, each a rate, whether it met the targets, and a weight. Out: how likely the boundary is to lie below
//! any rate. Never: a jump on one odd trial; a small share of trials is taken to come out wrong for no reason.
//!
//! A trial at rate r meets the targets with probability ε + (1 − 2ε) / (1 + (r/b)^k), where b is the boundary (half
//! of the trials meet them there), k how steep it is, and ε the share of odd trials: the psychometric function, since
//! the question is that of finding a threshold of perception by yes and no (Watson and Pelli, QUEST, 1983; Kontsevich
//! and Tyler, 1999). The likelihood is kept on a grid of b and k, times a prior; the interval is that of b with k
//! summed out. It needs no trial on each side, no single boundary, and no root to be found.

/// The share of trials that come out wrong at any rate: a stall of the machine, a lucky window.
const ODD: f64 = 0.02;
/// Steepness: response times that cross the limit slowly (3: from 10 % to 90 % within a factor of 4), up to a cliff
/// (3,000: within 0.15 %).
const STEEP: (f64, f64) = (3.0, 3_000.0);
/// Points between the two, evenly on the logarithmic scale: each is about twice the one before.
const STEEPS: usize = 11;
/// The likeliest steepness beforehand (within 7 %), and how many e-foldings it may well be off.
const STEEP_GUESS: (f64, f64) = (60.0, 1.5);

/// What is known of the boundary before any trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// The boundary is looked for from here.
    pub(super) lowest: f64,
    /// To here.
    pub(super) highest: f64,
    /// Where it likely is.
    pub(super) guess: f64,
    /// How far off the guess is in half of the cases, as a share. Beyond, it may be off by any factor: the prior is
    /// Cauchy's, whose tails a few trials overcome.
    pub(super) spread: f64,
    /// Width of the grid's cells, as a share.
    pub(super) cell: f64,
}

/// The likelihood on the grid.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// Logarithms of the boundaries.
    boundaries: Vec<f64>,
    steeps: Vec<f64>,
    /// Logarithms, boundary by boundary for each steepness.
    likelihood: Vec<f64>,
    /// Share of likelihood up to and with each boundary.
    cumulated: Vec<f64>,
}

impl Fit {
    pub(super) fn new(prior: Prior) -> Fit {
        let range = (prior.highest / prior.lowest).ln();
        let cells = (range / prior.cell).ceil().max(1.0) as usize;
        let boundary = |at: usize| prior.lowest.ln() + range * at as f64 / cells as f64;
        let boundaries: Vec<f64> = (0..=cells).map(boundary).collect();
        let ratio = (STEEP.1 / STEEP.0).powf(1.0 / (STEEPS - 1) as f64);
        let steeps: Vec<f64> = (0..STEEPS).map(|n| STEEP.0 * ratio.powi(n as i32)).collect();
        let likelihood = steeps.iter().flat_map(|steep| {
            let off = (steep / STEEP_GUESS.0).ln() / STEEP_GUESS.1;
            boundaries.iter().map(move |boundary| {
                let away = (boundary - prior.guess.ln()) / prior.spread;
                -off * off / 2.0 - (away * away).ln_1p()
            })
        });
        let likelihood = likelihood.collect();
        let mut fit = Fit { boundaries, steeps, likelihood, cumulated: Vec::new() };
        fit.cumulate();
        fit
    }

    /// One more trial. A weight of 1 is a whole trial's. One at no rate says nothing.
    pub(super) fn add(&mut self, rate: f64, met: bool, weight: f64) {
        let rate = rate.ln();
        if !rate.is_finite() {
            return;
        }
        let rows = self.likelihood.chunks_exact_mut(self.boundaries.len());
        for (row, steep) in rows.zip(&self.steeps) {
            for (likelihood, boundary) in row.iter_mut().zip(&self.boundaries) {
                let away = steep * (rate - boundary);
                let share = 1.0 / (1.0 + if met { away.exp() } else { (-away).exp() });
                *likelihood += weight * (ODD + (1.0 - 2.0 * ODD) * share).ln();
            }
        }
        self.cumulate();
    }

    fn cumulate(&mut self) {
        let most = self.likelihood.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut shares = vec![0.0; self.boundaries.len()];
        for row in self.likelihood.chunks_exact(shares.len()) {
            shares.iter_mut().zip(row).for_each(|(share, likelihood)| *share += (likelihood - most).exp());
        }
        let total: f64 = shares.iter().sum();
        let mut below = 0.0;
        for share in &mut shares {
            below += *share / total;
            *share = below;
        }
        self.cumulated = shares;
    }

    /// How likely the boundary lies below this rate.
    pub(super) fn share_below(&self, rate: f64) -> f64 {
        match self.boundaries.partition_point(|boundary| *boundary < rate.ln()) {
            0 => 0.0,
            cells => self.cumulated[cells - 1],
        }
    }

    /// The rate that the boundary lies below with this probability.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let last = self.boundaries.len() - 1;
        let cell = self.cumulated.partition_point(|below| *below < share).min(last);
        if cell == 0 {
            return self.boundaries[0].exp();
        }
        let (from, to) = (self.cumulated[cell - 1], self.cumulated[cell]);
        let part = if to > from { ((share - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
        (self.boundaries[cell - 1] + part * (self.boundaries[cell] - self.boundaries[cell - 1])).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior =
        Prior { lowest: 1_000.0, highest: 1_000_000.0, guess: 100_000.0, spread: 0.5, cell: 0.0025 };

    fn fit(trials: &[(f64, bool)]) -> Fit {
        let mut fit = Fit::new(PRIOR);
        trials.iter().for_each(|&(rate, met)| fit.add(rate, met, 1.0));
        fit
    }

    #[test]
    fn without_trials_the_guess_is_all_there_is() {
        let fit = fit(&[]);
        assert!((fit.quantile(0.5) / 100_000.0 - 1.0).abs() < 0.05);
        assert!(fit.quantile(0.95) / fit.quantile(0.05) > 5.0);
        assert_eq!(
            (fit.share_below(999.0), fit.share_below(2e6)),
            (0.0, fit.cumulated[fit.cumulated.len() - 1])
        );
    }

    #[test]
    fn the_boundary_lies_between_what_met_and_what_missed() {
        let trials = [(50e3, true), (52e3, true), (53e3, true), (55e3, false), (56e3, false), (58e3, false)];
        let fit = fit(&trials.repeat(2));
        let middle = fit.quantile(0.5);
        assert!((53_000.0..55_000.0).contains(&middle), "{middle}");
        let (low, high) = (fit.quantile(0.025), fit.quantile(0.975));
        assert!(low > 45_000.0 && high < 62_000.0, "{low} to {high}");
    }

    #[test]
    fn a_wrong_guess_is_overcome() {
        let trials: Vec<(f64, bool)> =
            (0..5).flat_map(|_| [(4_000.0, true), (4_100.0, false), (4_050.0, true)]).collect();
        let fit = fit(&trials);
        assert!((fit.quantile(0.5) / 4_060.0 - 1.0).abs() < 0.01, "{}", fit.quantile(0.5));
    }

    #[test]
    fn one_odd_trial_does_not_move_it_far() {
        let mut trials = vec![];
        for _ in 0..4 {
            trials.extend([(98_000.0, true), (100_000.0, true), (104_000.0, false), (106_000.0, false)]);
        }
        let before = fit(&trials).quantile(0.5);
        trials.push((60_000.0, false));
        let after = fit(&trials).quantile(0.5);
        assert!((after / before - 1.0).abs() < 0.01, "{before}, {after}");
    }

    #[test]
    fn trials_that_come_out_both_ways_widen_the_interval() {
        let width = |fit: &Fit| fit.quantile(0.975) / fit.quantile(0.025);
        let sharp = fit(&[(95e3, true), (98e3, true), (102e3, false), (105e3, false)].repeat(3));
        let blurred = fit(&[(95e3, true), (98e3, false), (102e3, true), (105e3, false)].repeat(3));
        assert!(width(&blurred) > 1.2 * width(&sharp), "{} {}", width(&blurred), width(&sharp));
    }

    #[test]
    fn a_trial_of_less_weight_says_less() {
        let (mut light, mut heavy) = (fit(&[]), fit(&[]));
        light.add(100_000.0, true, 0.5);
        heavy.add(100_000.0, true, 1.0);
        assert!(heavy.share_below(90_000.0) < light.share_below(90_000.0));
        assert!(light.share_below(90_000.0) < fit(&[]).share_below(90_000.0));
    }

    #[test]
    fn quantiles_and_shares_are_each_other_turned_around() {
        let fit = fit(&[(50_000.0, true), (60_000.0, false)]);
        for share in [0.025, 0.2, 0.5, 0.8, 0.975] {
            let back = fit.share_below(fit.quantile(share));
            assert!((back - share).abs() < 0.02, "{share}: {back}");
        }
    }
}
