//! How evenly, or how randomly, requests were really sent.
//!
//! In: one lane's moments of sending, as they happen. Out: the gaps' coefficient of variation, in mass: 1 for
//! Poisson, 0 for constant arrivals, whatever the rate does. Never: keeps the moments.

use super::Profile;
use super::profile::Span;

/// The gaps of a lane, or of several after [`GapMeter::merge`].
///
/// A moment before the latest one counts as the latter: its gap is zero, and the next is measured from the latest. So
/// the gaps add up to the time that passed, and nothing has to be kept to be sorted. It is rare: moments come as due
/// plus own lag, and swap places only where one of two waited for a connection.
#[derive(Clone, Debug)]
pub struct GapMeter {
    profile: Profile,
    /// The piece of the latest moment.
    span: Span,
    latest: Option<Moment>,
    gaps: u64,
    sum: f64,
    squares: f64,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at_ns: u64,
    mass: f64,
}

impl GapMeter {
    /// For moments on this profile's axis.
    pub fn new(profile: &Profile) -> GapMeter {
        GapMeter {
            profile: profile.clone(),
            // Empty, so that the first moment looks its piece up.
            span: Span::default(),
            latest: None,
            gaps: 0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    /// A request was sent at this moment, in nanoseconds since time 0.
    #[inline]
    pub fn sent(&mut self, at_ns: u64) {
        let Some(latest) = self.latest else {
            self.latest = Some(Moment { at_ns, mass: self.mass_at(at_ns) });
            return;
        };
        let now = if at_ns > latest.at_ns { Moment { at_ns, mass: self.mass_at(at_ns) } } else { latest };
        let gap = now.mass - latest.mass;
        self.gaps += 1;
        self.sum += gap;
        self.squares += gap * gap;
        self.latest = Some(now);
    }

    #[inline]
    fn mass_at(&mut self, ns: u64) -> f64 {
        if ns < self.span.begin_ns || ns >= self.span.end_ns {
            match self.profile.spans().get(self.profile.index_of_time(ns)) {
                Some(span) => self.span = *span,
                // Sent behind the end: as if at it.
                None => return self.profile.mass(),
            }
        }
        self.span.mass_at(ns)
    }

    /// Adds another lane's gaps.
    pub fn merge(&mut self, other: &GapMeter) {
        self.gaps += other.gaps;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// How many gaps there are.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Standard deviation over mean; zero where there is no mean.
    pub fn cv(&self) -> f64 {
        if self.gaps == 0 || self.sum <= 0.0 {
            return 0.0;
        }
        let count = self.gaps as f64;
        let mean = self.sum / count;
        // Rounding may put an even stream's spread a hair below zero.
        (self.squares / count - mean * mean).max(0.0).sqrt() / mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Piece;
    use crate::schedule::{ArrivalKind, Schedule};

    const S: u64 = 1_000_000_000;

    fn profile(pieces: &[(u64, f64, f64)]) -> Profile {
        let piece = |&(seconds, from, to): &(u64, f64, f64)| Piece { length_ns: seconds * S, from, to };
        Profile::new(pieces.iter().map(piece).collect())
    }

    fn meter(profile: &Profile, moments: impl IntoIterator<Item = u64>) -> GapMeter {
        let mut meter = GapMeter::new(profile);
        moments.into_iter().for_each(|at| meter.sent(at));
        meter
    }

    #[test]
    fn a_schedule_measures_as_what_it_is_on_flats_ramps_and_steps() {
        for pieces in [
            &[(20, 1_000.0, 1_000.0)][..],
            &[(20, 0.0, 2_000.0)],
            &[(10, 100.0, 3_000.0), (10, 3_000.0, 0.0), (3, 0.0, 0.0), (10, 900.0, 900.0)],
        ] {
            let profile = profile(pieces);
            let even = meter(&profile, Schedule::new(&profile, ArrivalKind::Constant, 1, 0, 1));
            assert!(even.cv() < 1e-3, "{}", even.cv());
            let mut random = GapMeter::new(&profile);
            for lane in 0..4 {
                random.merge(&meter(&profile, Schedule::new(&profile, ArrivalKind::Poisson, 1, lane, 4)));
            }
            // The coefficient's own standard deviation is 1/√n for exponential gaps.
            let sigma = 1.0 / (random.gaps() as f64).sqrt();
            assert!((random.cv() - 1.0).abs() < 6.0 * sigma, "{} at {}", random.cv(), random.gaps());
        }
    }

    #[test]
    fn bursts_show() {
        let profile = profile(&[(10, 1_000.0, 1_000.0)]);
        // Ten at a time: nine gaps of zero, one of ten means; the coefficient is √(10 - 1).
        let moments = (0..1_000).flat_map(|n| std::iter::repeat_n(n * 10_000_000, 10));
        assert!((meter(&profile, moments).cv() - 3.0).abs() < 0.01);
    }

    #[test]
    fn a_known_answer() {
        let profile = profile(&[(10, 1.0, 1.0)]);
        // Gaps 1, 3, 2: mean 2, variance 2/3.
        let meter = meter(&profile, [0, S, 4 * S, 6 * S]);
        assert_eq!(meter.gaps(), 3);
        assert!((meter.cv() - (2.0f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_moment_out_of_order_is_a_gap_of_zero_and_lengthens_nothing() {
        let profile = profile(&[(10, 1.0, 1.0)]);
        let swapped = meter(&profile, [0, 3 * S, 2 * S, 4 * S]);
        let level = meter(&profile, [0, 3 * S, 3 * S, 4 * S]);
        assert_eq!(swapped.gaps(), 3);
        assert_eq!(swapped.cv(), level.cv());
    }

    #[test]
    fn without_gaps_there_is_no_variation() {
        let profile = profile(&[(1, 1.0, 1.0)]);
        assert_eq!(GapMeter::new(&profile).cv(), 0.0);
        assert_eq!(meter(&profile, [5]).gaps(), 0);
        // All behind the end, where no mass is.
        assert_eq!(meter(&profile, [2 * S, 3 * S]).cv(), 0.0);
    }
}
