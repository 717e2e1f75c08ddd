//! One interval of one lane: small enough to be handed over many times a second.

use crate::model::{BANDS, BANDS_PER_DECADE, Interval, TIME_MAX_NS};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Digits kept of a time in a slice: 1 %, for drawings and the live view. The whole run has three.
const DIGITS: u8 = 2;

/// What happened in one interval.
#[derive(Debug)]
pub struct Slice {
    /// Requests that fell due.
    pub offered: u64,
    /// Requests handed to the kernel.
    pub sent: u64,
    /// Answered as expected.
    pub completed: u64,
    /// Failed or wrong.
    pub errors: u64,
    response: Histogram<u32>,
    own_lag: Histogram<u32>,
}

impl Slice {
    /// Nothing happened.
    pub fn new() -> Slice {
        let empty = || Histogram::new_with_bounds(1, TIME_MAX_NS, DIGITS);
        let proof = "the bounds are in order, the digits are few";
        Slice {
            offered: 0,
            sent: 0,
            completed: 0,
            errors: 0,
            response: empty().expect(proof),
            own_lag: empty().expect(proof),
        }
    }

    /// A measured request was handed over, so much later than it could have been.
    pub(super) fn own_lag(&mut self, lag: Duration) {
        self.own_lag.saturating_record(lag.as_nanos() as u64);
    }

    /// A measured request came to its end, for better or worse.
    pub(super) fn ended(&mut self, response: Duration, is_error: bool) {
        self.errors += u64::from(is_error);
        self.response.saturating_record(response.as_nanos() as u64);
    }

    /// Adds another lane's slice of the same interval.
    pub fn add(&mut self, other: &Slice) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.completed += other.completed;
        self.errors += other.errors;
        // Of the same bounds, so that nothing can be out of range.
        let _ = self.response.add(&other.response);
        let _ = self.own_lag.add(&other.own_lag);
    }

    /// Makes it as new.
    pub fn clear(&mut self) {
        self.response.reset();
        self.own_lag.reset();
        (self.offered, self.sent, self.completed, self.errors) = (0, 0, 0, 0);
    }

    /// As it is written down.
    pub fn interval(&self, at_ns: u64, length_ns: u64) -> Interval {
        let response = |q: f64| self.response.value_at_quantile(q);
        let own_lag = |q: f64| self.own_lag.value_at_quantile(q);
        Interval {
            at_ns,
            length_ns,
            offered: self.offered,
            sent: self.sent,
            completed: self.completed,
            errors: self.errors,
            response: [response(0.5), response(0.9), response(0.99), response(0.999), response(1.0)],
            own_lag: [own_lag(0.5), own_lag(0.99), own_lag(1.0)],
            bands: bands(&self.response),
        }
    }
}

impl Default for Slice {
    fn default() -> Slice {
        Slice::new()
    }
}

/// Counts in logarithmic bands, up to the last that is not empty.
fn bands(times: &Histogram<u32>) -> Vec<u64> {
    let mut bands = vec![0; BANDS];
    for value in times.iter_recorded() {
        bands[band_of(value.value_iterated_to())] += value.count_at_value() as u64;
    }
    let used = bands.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    bands.truncate(used);
    bands
}

/// The band that a time lies in. See [`crate::model::band_floor_ns`].
fn band_of(ns: u64) -> usize {
    if ns < 1_000 {
        return 0;
    }
    let decades = (ns as f64 / 1_000.0).log10();
    ((decades * f64::from(BANDS_PER_DECADE)) as usize + 1).min(BANDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::band_floor_ns;

    #[test]
    fn a_time_lies_in_the_band_whose_floor_is_below_it() {
        for ns in [0, 1, 999, 1_001, 50_000, 1_000_001, 123_456_789, 90_000_000_000, u64::MAX / 2] {
            let band = band_of(ns);
            assert!(band_floor_ns(band) <= ns as f64, "{ns} in {band}");
            assert!(band == BANDS - 1 || band_floor_ns(band + 1) > ns as f64, "{ns} in {band}");
        }
    }

    #[test]
    fn lanes_add_up_to_one_interval() {
        let (mut one, mut other) = (Slice::new(), Slice::new());
        for us in 1..=100 {
            one.ended(Duration::from_micros(us), false);
            other.ended(Duration::from_micros(1_000 + us), us == 1);
            other.own_lag(Duration::from_nanos(us));
            other.sent += 1;
        }
        one.add(&other);
        let interval = one.interval(7, 8);
        assert_eq!((interval.at_ns, interval.length_ns, interval.errors, interval.sent), (7, 8, 1, 100));
        assert_eq!(interval.bands.iter().sum::<u64>(), 200);
        assert!((99_000..102_000).contains(&interval.response[0]), "{:?}", interval.response);
        assert!((1_090_000..1_110_000).contains(&interval.response[4]), "{:?}", interval.response);
        one.clear();
        assert_eq!(one.interval(7, 8), Interval { at_ns: 7, length_ns: 8, ..Interval::default() });
    }
}
