//! The offered rate over time, as straight pieces, and its integral both ways.
//!
//! In: pieces. Out: mass of a time, time of a mass, both in closed form. Never: a rate below zero or over one
//! request per nanosecond.

use crate::model::Piece;
use crate::units::RATE_MAX;
use std::sync::Arc;

const NS_PER_S: f64 = 1e9;

/// The rate of all lanes together. Clones share the pieces.
#[derive(Clone, Debug)]
pub struct Profile {
    spans: Arc<[Span]>,
    end_ns: u64,
}

/// A piece at its place. Rates are per nanosecond here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    /// Mass at its begin and end.
    pub(super) begin_mass: f64,
    pub(super) end_mass: f64,
    /// Rate at its begin.
    from: f64,
    /// Half of what the rate gains per nanosecond.
    half_slope: f64,
}

impl Profile {
    /// The pieces one behind the other, from time 0. A piece without length is left out; a rate that is no number
    /// counts as zero, one out of bounds as the bound (the options have refused both).
    pub fn new(pieces: Vec<Piece>) -> Profile {
        let mut spans = Vec::with_capacity(pieces.len());
        let mut end_ns = 0;
        let mut mass = 0.0;
        for piece in pieces.iter().filter(|piece| piece.length_ns > 0) {
            let span = Span::new(piece, end_ns, mass);
            (end_ns, mass) = (span.end_ns, span.end_mass);
            spans.push(span);
        }
        Profile { spans: spans.into(), end_ns }
    }

    /// The number of requests that are expected to be due before this time. Past the end: all.
    pub fn mass_at(&self, ns: u64) -> f64 {
        match self.spans.get(self.index_of_time(ns)) {
            Some(span) => span.mass_at(ns),
            None => self.mass(),
        }
    }

    /// The number of requests that are expected in all.
    pub fn mass(&self) -> f64 {
        self.spans.last().map_or(0.0, |span| span.end_mass)
    }

    /// When this mass is reached. `None`: not before the end, at which no request is due any more. A mass on the
    /// border of two pieces belongs to the second, so that nothing is due within a pause.
    pub fn time_of(&self, mass: f64) -> Option<u64> {
        let index = self.spans.partition_point(|span| span.end_mass <= mass);
        let time = self.spans.get(index)?.time_of(mass);
        (time < self.end_ns).then_some(time)
    }

    /// Requests per second at this time; zero past the end.
    pub fn rate_at(&self, ns: u64) -> f64 {
        self.spans.get(self.index_of_time(ns)).map_or(0.0, |span| span.rate_at(ns) * NS_PER_S)
    }

    /// The end of the last piece.
    pub fn end_ns(&self) -> u64 {
        self.end_ns
    }

    /// The piece that holds this time, or their number.
    pub(super) fn index_of_time(&self, ns: u64) -> usize {
        self.spans.partition_point(|span| span.end_ns <= ns)
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

impl Span {
    fn new(piece: &Piece, begin_ns: u64, begin_mass: f64) -> Span {
        let [from, to] = [piece.from, piece.to].map(|rate| bounded(rate) / NS_PER_S);
        let end_ns = begin_ns.saturating_add(piece.length_ns);
        let length = (end_ns - begin_ns).max(1) as f64;
        let end_mass = begin_mass + (from + to) / 2.0 * length;
        Span { begin_ns, end_ns, begin_mass, end_mass, from, half_slope: (to - from) / 2.0 / length }
    }

    /// For a time in the piece.
    pub(super) fn mass_at(&self, ns: u64) -> f64 {
        let into = ns.saturating_sub(self.begin_ns) as f64;
        self.begin_mass + into * (self.from + into * self.half_slope)
    }

    /// For a mass in the piece; rounded to a nanosecond.
    pub(super) fn time_of(&self, mass: f64) -> u64 {
        let mass = mass - self.begin_mass;
        if mass <= 0.0 {
            return self.begin_ns;
        }
        // mass = from * t + half_slope * t², solved in the form that loses no digits for a small slope and doesn't
        // divide by a slope of zero. Where a fall ends at zero, rounding may put the root's argument below zero.
        let end_rate = (self.from * self.from + 4.0 * self.half_slope * mass).max(0.0).sqrt();
        let into = 2.0 * mass / (self.from + end_rate);
        self.begin_ns.saturating_add(into.round() as u64).min(self.end_ns)
    }

    fn rate_at(&self, ns: u64) -> f64 {
        self.from + 2.0 * self.half_slope * ns.saturating_sub(self.begin_ns) as f64
    }
}

fn bounded(rate: f64) -> f64 {
    if rate.is_nan() { 0.0 } else { rate.clamp(0.0, RATE_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn piece(seconds: f64, from: f64, to: f64) -> Piece {
        Piece { length_ns: (seconds * S as f64) as u64, from, to }
    }

    #[test]
    fn a_flat_rate_is_a_straight_line() {
        let profile = Profile::new(vec![piece(2.0, 1_000.0, 1_000.0)]);
        assert_eq!(profile.end_ns(), 2 * S);
        assert!((profile.mass() - 2_000.0).abs() < 1e-9);
        for n in 0..2_000 {
            assert_eq!(profile.time_of(n as f64), Some(n * 1_000_000));
            assert!((profile.mass_at(n * 1_000_000) - n as f64).abs() < 1e-9);
        }
        assert_eq!(profile.time_of(2_000.0), None, "the end isn't part of it");
        assert_eq!(profile.time_of(1e12), None);
        assert_eq!([profile.rate_at(0), profile.rate_at(S), profile.rate_at(2 * S)], [1_000.0, 1_000.0, 0.0]);
    }

    #[test]
    fn a_ramp_from_zero_and_one_to_zero_mirror_each_other() {
        let up = Profile::new(vec![piece(10.0, 0.0, 200.0)]);
        let down = Profile::new(vec![piece(10.0, 200.0, 0.0)]);
        // mass = 10 t²: at 1 s 10, at 5 s 250, at 10 s 1000.
        assert_eq!(up.time_of(0.0), Some(0));
        assert_eq!(up.time_of(10.0), Some(S));
        assert_eq!(up.time_of(250.0), Some(5 * S));
        assert_eq!(down.time_of(1_000.0 - 250.0), Some(5 * S));
        assert_eq!(down.time_of(1_000.0 - 10.0), Some(9 * S));
        assert_eq!(down.time_of(1_000.0), None);
        assert!((up.rate_at(5 * S) - 100.0).abs() < 1e-9);
        // Just before the end the time goes with the root of what is left, and must not be no number.
        let last = down.time_of(1_000.0 - 1e-9).unwrap();
        assert!((9 * S..10 * S).contains(&last), "{last}");
    }

    #[test]
    fn the_last_moment_of_a_fall_to_zero_is_near_its_end_or_none() {
        for rate in 1..2_000 {
            let fall = Profile::new(vec![piece(1.0, f64::from(rate), 0.0)]);
            let last = fall.time_of(fall.mass().next_down());
            assert!(last.is_none_or(|last| (S - S / 1_000..S).contains(&last)), "{rate}: {last:?}");
        }
    }

    #[test]
    fn what_rounds_to_the_end_is_past_it() {
        let profile = Profile::new(vec![piece(1.0, 1_000.0, 1_000.0)]);
        assert_eq!(profile.time_of(999.999_999), Some(S - 1));
        assert_eq!(profile.time_of(999.999_999_9), None);
    }

    #[test]
    fn a_pause_between_two_pieces_holds_nothing() {
        let profile =
            Profile::new(vec![piece(1.0, 10.0, 10.0), piece(5.0, 0.0, 0.0), piece(1.0, 10.0, 10.0)]);
        assert_eq!(profile.time_of(9.0), Some(900_000_000));
        assert_eq!(profile.time_of(10.0), Some(6 * S));
        assert_eq!(profile.time_of(11.0), Some(6 * S + S / 10));
        assert_eq!(profile.mass_at(3 * S), 10.0);
        assert_eq!(profile.rate_at(3 * S), 0.0);
    }

    #[test]
    fn what_offers_nothing_is_never_due() {
        for pieces in
            [vec![], vec![piece(0.0, 5.0, 5.0)], vec![piece(3.0, 0.0, 0.0)], vec![piece(1.0, f64::NAN, -4.0)]]
        {
            let profile = Profile::new(pieces);
            assert_eq!(profile.mass(), 0.0);
            assert_eq!(profile.time_of(0.0), None);
            assert_eq!(profile.mass_at(S), 0.0);
        }
    }

    #[test]
    fn an_hour_at_a_million_is_exact_to_the_nanosecond() {
        let profile = Profile::new(vec![piece(3_600.0, 1e6, 1e6)]);
        for n in [1u64, 999_999, 1_000_000_000, 3_599_999_999] {
            assert_eq!(profile.time_of(n as f64), Some(n * 1_000), "{n}");
        }
    }

    /// The integral by many small steps, each taken at its middle.
    fn integral(pieces: &[Piece], until_ns: u64) -> f64 {
        let mut sum = 0.0;
        let mut begin = 0;
        for piece in pieces {
            let length = piece.length_ns.min(until_ns.saturating_sub(begin));
            let steps = 1_000;
            for step in 0..steps {
                let middle = (f64::from(step) + 0.5) / f64::from(steps) * length as f64;
                let rate = piece.from + (piece.to - piece.from) * middle / piece.length_ns as f64;
                sum += rate * length as f64 / f64::from(steps) / 1e9;
            }
            begin += piece.length_ns;
        }
        sum
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let rate = prop_oneof![1 => Just(0.0), 4 => 0.0..1e6];
        let piece =
            (1u64..20 * S, rate.clone(), rate, any::<bool>()).prop_map(|(length_ns, from, to, flat)| Piece {
                length_ns,
                from,
                to: if flat { from } else { to },
            });
        prop::collection::vec(piece, 1..5)
    }

    proptest! {
        #[test]
        fn mass_is_the_integral_of_the_rate(pieces in pieces(), part in 0.0..=1.0) {
            let profile = Profile::new(pieces.clone());
            let at = (profile.end_ns() as f64 * part) as u64;
            let expected = integral(&pieces, at);
            prop_assert!((profile.mass_at(at) - expected).abs() <= 1e-9 * (1.0 + profile.mass()), "{at}");
        }

        #[test]
        fn time_is_the_inverse_of_mass(pieces in pieces(), part in 0.0..1.0) {
            let profile = Profile::new(pieces);
            let mass = profile.mass() * part;
            if let Some(at) = profile.time_of(mass) {
                // As exact as a whole nanosecond allows: by the rate of the nanosecond before and behind.
                let room = 1e-9 * (1.0 + profile.mass());
                prop_assert!(profile.mass_at(at.saturating_sub(1)) <= mass + room);
                prop_assert!(profile.mass_at(at + 1) >= mass - room);
            }
        }

        #[test]
        fn time_never_goes_back(pieces in pieces(), one in 0.0..1.0, two in 0.0..1.0) {
            let profile = Profile::new(pieces);
            let (low, high) = (f64::min(one, two), f64::max(one, two));
            let times = [low, high].map(|part| profile.time_of(part * profile.mass()).unwrap_or(u64::MAX));
            prop_assert!(times[0] <= times[1].saturating_add(1));
        }
    }
}
