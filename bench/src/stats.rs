//! Medians over rounds, ratios within a round. Small lists, so everything sorts.

/// The middle of some numbers, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` for no numbers.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (&min, &max) = (numbers.first()?, numbers.last()?);
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            1 => numbers[middle],
            _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
        };
        Some(Self { median, min, max })
    }

    /// Of the ratios `one/other`, each within its round: what slowed both in a round falls out. `None` where one of
    /// them has no ratio, as nothing was measured that it could be taken to.
    pub(crate) fn of_ratios(one: &[f64], other: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = one.iter().zip(other).map(|(one, other)| one / other).collect();
        Self::of(ratios).filter(|spread| spread.min.is_finite() && spread.max.is_finite())
    }
}

/// The value that `percent` of the numbers do not exceed. The list is sorted and not empty.
pub(crate) fn percentile(sorted: &[u32], percent: f64) -> u32 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0 });
    }

    #[test]
    fn one_number_is_its_own_median_and_none_has_no_spread() {
        assert_eq!(Spread::of([7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_slow_round_falls_out_of_a_ratio() {
        let spread = Spread::of_ratios(&[2.2, 8.8, 2.2], &[2.0, 8.0, 2.0]).unwrap();
        assert!((spread.max - 1.1).abs() < 1e-9 && (spread.min - 1.1).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_a_multiple_of_nothing() {
        assert_eq!(Spread::of_ratios(&[1.0, 2.0], &[1.0, 0.0]), None);
        assert_eq!(Spread::of_ratios(&[0.0], &[0.0]), None);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&sorted, 50.0), 100);
        assert_eq!(percentile(&sorted, 99.0), 198);
        assert_eq!(percentile(&sorted, 100.0), 200);
        assert_eq!(percentile(&[5], 50.0), 5);
    }
}
