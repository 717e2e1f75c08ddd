//! The numbers that are compared: one of each measure per round, or per slice of a run.
//!
//! In: the runs of both sides. Out: the samples of both, made in the same way on both sides. Never: samples of
//! which one side's are exact and the other's read from bands, or one side's slices longer than the other's.

use super::ROUNDS_MIN;
use crate::model::{Interval, Run, band_floor_ns};
use crate::units::format_ns;

/// The percentiles of a sample, as an [`Interval`] has them; the last is the maximum.
pub(super) const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];
/// A slice is at least so long: shorter ones are too much like their neighbours.
const SLICE_NS_MIN: u64 = 1_000_000_000;
/// The slices that a run is cut into if it is long enough. More would be shorter and depend more on each other.
const SLICES: u64 = 20;
/// A percentile is judged if so many requests of a sample lie above it; with fewer it's a few requests' luck.
const TAIL_MIN: f64 = 10.0;

/// One side's numbers. Only CPU has fewer than the others.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Response time in ns at each of [`QUANTILES`], of those samples in which any request ended.
    pub(super) times: [Vec<f64>; 5],
    /// Requests that ended, of the same samples.
    pub(super) ended: Vec<f64>,
    /// Completed per second.
    pub(super) rate: Vec<f64>,
    /// Due per second.
    pub(super) offered: Vec<f64>,
    /// Failed and wrong, as a share.
    pub(super) errors: Vec<f64>,
    /// The same of all samples together.
    pub(super) error_share: f64,
    /// The server's CPU time per completed request in ns; one for each run in which it is known.
    pub(super) cpu: Vec<f64>,
}

impl Samples {
    /// The samples of both sides, and a note on what they can't show.
    pub(super) fn of_both(a: &[Run], b: &[Run]) -> ((Samples, Samples), Option<String>) {
        if a.len().min(b.len()) >= ROUNDS_MIN {
            return ((Samples::of_rounds(a), Samples::of_rounds(b)), None);
        }
        let length_ns = slice_length(a.iter().chain(b));
        let cut = |runs: &[Run]| -> Vec<Vec<Vec<Interval>>> {
            runs.iter().map(|run| slices(run, length_ns).map(<[Interval]>::to_vec).collect()).collect()
        };
        let (slices_a, slices_b) = (cut(a), cut(b));
        // A percentile of one interval is exact, of several it is read from bands: the same for both sides.
        let exact = slices_a.iter().chain(&slices_b).flatten().all(|slice| slice.len() == 1);
        let of = |runs: &[Run], slices: &[Vec<Vec<Interval>>]| {
            let mut samples =
                Samples { cpu: cpu(runs), error_share: error_share(runs), ..Samples::default() };
            slices.iter().flatten().for_each(|slice| samples.add_slice(slice, exact));
            samples
        };
        ((of(a, &slices_a), of(b, &slices_b)), Some(note(a.len(), b.len(), length_ns)))
    }

    fn of_rounds(runs: &[Run]) -> Samples {
        let mut samples = Samples { cpu: cpu(runs), error_share: error_share(runs), ..Samples::default() };
        for run in runs {
            samples.rate.push(run.rate());
            samples.offered.push(run.offered_rate());
            samples.errors.push(run.error_share());
            if run.response.count() > 0 {
                samples.add_times(QUANTILES.map(|q| run.response.at(q) as f64), run.response.count() as f64);
            }
        }
        samples
    }

    fn add_slice(&mut self, slice: &[Interval], exact: bool) {
        let sum = |of: fn(&Interval) -> u64| slice.iter().map(of).sum::<u64>() as f64;
        let seconds = sum(|interval| interval.length_ns) / 1e9;
        let (completed, errors) = (sum(|interval| interval.completed), sum(|interval| interval.errors));
        let ended = completed + errors;
        self.rate.push(completed / seconds);
        self.offered.push(sum(|interval| interval.offered) / seconds);
        self.errors.push(if ended > 0.0 { errors / ended } else { 0.0 });
        // A slice in which nothing ended has no times; those that it held up are in the slice where they end.
        if ended > 0.0 {
            let times = if exact { slice[0].response.map(|ns| ns as f64) } else { times_of_bands(slice) };
            self.add_times(times, ended);
        }
    }

    fn add_times(&mut self, times: [f64; 5], ended: f64) {
        self.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
        self.ended.push(ended);
    }

    /// Whether the percentile at this place of [`QUANTILES`] rests on enough requests in the middle sample. The
    /// maximum rests on one by its nature.
    pub(super) fn is_deep_enough(&self, place: usize) -> bool {
        let beyond = 1.0 - QUANTILES[place];
        let ended = crate::stats::median(&self.ended).unwrap_or(0.0);
        // A thousandth of room for 1 − 0.999 not being exactly that.
        beyond == 0.0 || beyond * ended * 1.001 >= TAIL_MIN
    }
}

fn cpu(runs: &[Run]) -> Vec<f64> {
    let per_request = |run: &Run| {
        let completed = run.counts.completed_in_window;
        run.target.as_ref().filter(|_| completed > 0).map(|target| target.cpu_ns as f64 / completed as f64)
    };
    runs.iter().filter_map(per_request).collect()
}

fn error_share(runs: &[Run]) -> f64 {
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>() as f64;
    let offered = sum(|run| run.counts.offered);
    if offered == 0.0 { 0.0 } else { sum(|run| run.counts.failed + run.counts.wrong) / offered }
}

fn note(a: usize, b: usize, length_ns: u64) -> String {
    let runs = match (a, b) {
        (1, 1) => "one run each".to_string(),
        _ if a == b => format!("{a} runs each"),
        _ => format!("runs: {a} against {b}"),
    };
    let length = format_ns(length_ns);
    format!(
        "{runs}, cut into slices of {length}: what differs from one start to the next is not seen; use ab for that"
    )
}

/// So long that the shortest run has [`SLICES`], and no shorter than [`SLICE_NS_MIN`].
fn slice_length<'a>(runs: impl Iterator<Item = &'a Run>) -> u64 {
    let length = |run: &Run| run.intervals.iter().map(|interval| interval.length_ns).sum::<u64>();
    (runs.map(length).min().unwrap_or(0) / SLICES).max(SLICE_NS_MIN)
}

/// Groups of intervals that are together as long as a slice; a shorter rest at the end is left out.
fn slices(run: &Run, length_ns: u64) -> impl Iterator<Item = &[Interval]> {
    // Intervals end when a lane looks at the clock, so a hundredth is no difference.
    let enough_ns = length_ns - length_ns / 100;
    let mut rest = &run.intervals[..];
    std::iter::from_fn(move || {
        let mut sum_ns = 0;
        let count = 1 + rest.iter().position(|interval| {
            sum_ns += interval.length_ns;
            sum_ns >= enough_ns
        })?;
        let slice;
        (slice, rest) = rest.split_at(count);
        Some(slice)
    })
}

/// Percentiles of several intervals together, from their bands: inside of a band the times are taken to be spread
/// evenly on the logarithmic scale. Off by at most a band, 15 %, and by the same on both sides if they are alike.
/// (The median of the intervals' percentiles would be finer, and would hide a stall in one of them.)
fn times_of_bands(slice: &[Interval]) -> [f64; 5] {
    let mut bands = vec![0u64; slice.iter().map(|interval| interval.bands.len()).max().unwrap_or(0)];
    for interval in slice {
        bands.iter_mut().zip(&interval.bands).for_each(|(sum, count)| *sum += count);
    }
    let max = slice.iter().map(|interval| interval.response[4]).max().unwrap_or(0) as f64;
    QUANTILES.map(|quantile| if quantile < 1.0 { quantile_of_bands(&bands, quantile).min(max) } else { max })
}

fn quantile_of_bands(bands: &[u64], quantile: f64) -> f64 {
    let mut rank = quantile * bands.iter().sum::<u64>() as f64;
    for (band, &count) in bands.iter().enumerate() {
        let count = count as f64;
        if rank <= count && count > 0.0 {
            let (low, high) = (band_floor_ns(band).max(1.0), band_floor_ns(band + 1));
            return low * (high / low).powf(rank / count);
        }
        rank -= count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn interval(length_ms: u64, completed: u64, response_ns: u64) -> Interval {
        let band = (1..).take_while(|&band| band_floor_ns(band) <= response_ns as f64).count();
        let mut bands = vec![0; band + 1];
        bands[band] = completed;
        let length_ns = length_ms * 1_000_000;
        Interval {
            length_ns,
            offered: completed,
            completed,
            response: [response_ns; 5],
            bands,
            ..Interval::default()
        }
    }

    fn run(intervals: Vec<Interval>) -> Run {
        Run { intervals, target: None, ..example::run() }
    }

    fn both(a: &Run, b: &Run) -> (Samples, Samples) {
        Samples::of_both(std::slice::from_ref(a), std::slice::from_ref(b)).0
    }

    #[test]
    fn a_long_run_is_cut_into_twenty_slices_and_a_short_one_into_seconds() {
        for (seconds, slices) in [(60, 20), (30, 20), (20, 20), (10, 10), (4, 4)] {
            let run = run(vec![interval(100, 500, 70_000); seconds * 10]);
            assert_eq!(both(&run, &run).0.rate, vec![5_000.0; slices], "{seconds} s");
        }
    }

    #[test]
    fn the_shorter_run_sets_the_length_for_both() {
        let (short, long) =
            (run(vec![interval(500, 500, 70_000); 20]), run(vec![interval(500, 500, 70_000); 80]));
        let (a, b) = both(&short, &long);
        assert_eq!((a.rate.len(), b.rate.len()), (10, 40));
    }

    #[test]
    fn slices_of_one_interval_are_exact_only_if_they_are_on_both_sides() {
        let (whole, halves) =
            (run(vec![interval(1_000, 100, 70_123); 8]), run(vec![interval(500, 50, 70_123); 16]));
        assert_eq!(both(&whole, &whole).0.times[2], [70_123.0; 8]);
        let (a, b) = both(&whole, &halves);
        assert_eq!(a.times, b.times);
        assert_ne!(a.times[0], [70_123.0; 8]);
    }

    #[test]
    fn what_the_bands_give_is_within_a_band_of_the_truth() {
        let run = example::run();
        let samples = both(&run, &run).0;
        // One of sixty intervals has a pause in it, which is most of the whole's far tail and not of the middle
        // slice's.
        for (place, within) in [(0, 0.03), (1, 0.03), (2, 0.06), (3, 0.5)] {
            let truth = run.response.at(QUANTILES[place]) as f64;
            let ours = crate::stats::median(&samples.times[place]).unwrap();
            assert!((ours / truth).ln().abs() < within, "{}: {ours} against {truth}", QUANTILES[place]);
        }
    }

    #[test]
    fn a_stall_in_one_interval_shows_in_its_slice() {
        let mut intervals = vec![interval(100, 1_000, 70_000); 100];
        intervals[42] = interval(100, 1_000, 9_000_000);
        let run = run(intervals);
        let samples = both(&run, &run).0;
        assert!(samples.times[2][4] > 8_000_000.0, "{:?}", samples.times[2]);
        assert_eq!(samples.times[4][4], 9_000_000.0);
        assert!(samples.times[2][5] < 80_000.0);
    }

    #[test]
    fn a_slice_in_which_nothing_ended_has_a_rate_of_zero_and_no_times() {
        let mut intervals = vec![interval(1_000, 1_000, 70_000); 10];
        intervals[3] = Interval { length_ns: 1_000_000_000, ..Interval::default() };
        let run = run(intervals);
        let samples = both(&run, &run).0;
        assert_eq!(samples.rate[3], 0.0);
        assert_eq!((samples.rate.len(), samples.times[0].len()), (10, 9));
        assert!(samples.times[0].iter().all(|&time| time == 70_000.0));
    }

    #[test]
    fn a_percentile_needs_ten_requests_beyond_it() {
        let deep = |completed| {
            let run = run(vec![interval(1_000, completed, 70_000); 10]);
            let samples = both(&run, &run).0;
            [0, 1, 2, 3, 4].map(|place| samples.is_deep_enough(place))
        };
        assert_eq!(deep(10_000), [true, true, true, true, true]);
        assert_eq!(deep(9_900), [true, true, true, false, true]);
        assert_eq!(deep(990), [true, true, false, false, true]);
    }

    #[test]
    fn no_intervals_are_no_samples() {
        let (none, some) = (run(vec![]), run(vec![interval(1_000, 1_000, 70_000); 10]));
        let (a, b) = both(&none, &some);
        assert_eq!((a.rate.len(), b.rate.len()), (0, 10));
        assert_eq!(both(&run(vec![interval(0, 0, 0); 3]), &some).0.rate.len(), 0);
    }
}
