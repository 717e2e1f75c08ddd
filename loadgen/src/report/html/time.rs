//! What the charts over time share: the slices of the window, and the axis below them.
//!
//! In: a run's intervals. Out: at most so many slices as a chart has room for. Never: an averaged percentile: slices
//! that are drawn as one show the highest of theirs, and the chart says so.

use super::scale::Scale;
use super::svg::{Plot, Point};
use crate::model::{Interval, Run};
use crate::report::{seconds, trimmed};

/// Slices that still are some pixels wide.
pub(super) const SLICES_MAX: usize = 240;
/// Parts of the width that say something when looked at closely.
const HOVERS_MAX: usize = 80;

/// The window over time.
pub(super) struct Time {
    pub(super) slices: Vec<Interval>,
    /// Intervals in a slice.
    pub(super) merged: usize,
    window_ns: f64,
}

impl Time {
    /// Nothing, if nothing was recorded over time.
    pub(super) fn of(run: &Run, slices_max: usize) -> Option<Time> {
        let last = run.intervals.last()?;
        let window_ns = (last.at_ns + last.length_ns).max(1) as f64;
        let merged = run.intervals.len().div_ceil(slices_max.max(1));
        let slices = run.intervals.chunks(merged).map(merge).collect();
        Some(Time { slices, merged, window_ns })
    }

    /// Where a moment is on the axis.
    pub(super) fn place(&self, ns: u64) -> f64 {
        ns as f64 / self.window_ns
    }

    /// Where a slice's middle is.
    pub(super) fn middle(&self, slice: &Interval) -> f64 {
        (slice.at_ns as f64 + slice.length_ns as f64 / 2.0) / self.window_ns
    }

    /// The axis; `name` below the last chart of a group.
    pub(super) fn axis(&self, plot: &mut Plot, name: bool) {
        let scale = Scale::Linear { from: 0.0, to: self.window_ns / 1e9 };
        for (index, tick) in scale.ticks(8).into_iter().enumerate() {
            plot.x_tick(scale.place(tick), &format!("{} s", trimmed(tick, 3)), index % 2 == 0);
        }
        if name {
            plot.x_name("time since the window began");
        }
    }

    /// Lines of a value of each slice, from edge to edge; one ends where there is no value, and the next begins where
    /// there is one again.
    pub(super) fn lines(&self, value: impl Fn(&Interval) -> Option<f64>) -> Vec<Vec<Point>> {
        let mut lines: Vec<Vec<Point>> = Vec::new();
        let mut goes_on = false;
        for slice in &self.slices {
            let Some(y) = value(slice) else {
                goes_on = false;
                continue;
            };
            let end = (self.place(slice.at_ns + slice.length_ns), y);
            match lines.last_mut().filter(|_| goes_on) {
                Some(line) => {
                    // The last end was only there for the case that nothing follows.
                    line.pop();
                    line.extend([(self.middle(slice), y), end]);
                }
                None => lines.push(vec![(self.place(slice.at_ns), y), (self.middle(slice), y), end]),
            }
            goes_on = true;
        }
        lines
    }

    /// What `text` says of every slice; of neighbours alike, where there are many slices, of every few.
    pub(super) fn hovers(&self, plot: &mut Plot, text: impl Fn(&Interval) -> String) {
        for group in self.slices.chunks(self.slices.len().div_ceil(HOVERS_MAX)) {
            let whole = merge(group);
            let end = whole.at_ns + whole.length_ns;
            let title = format!("{}: {}", seconds(whole.at_ns), text(&whole));
            plot.hover(self.place(whole.at_ns), self.place(end), &title);
        }
    }

    /// What a reader must know of slices that stand for several intervals, for a chart's key.
    pub(super) fn note(&self) -> String {
        match self.merged {
            0 | 1 => String::new(),
            merged => {
                format!("<span>each step is {merged} slices, with the highest of their percentiles</span>")
            }
        }
    }
}

/// Per second.
pub(super) fn rate(count: u64, slice: &Interval) -> f64 {
    if slice.length_ns == 0 { 0.0 } else { count as f64 * 1e9 / slice.length_ns as f64 }
}

/// Neighbours as one: counts are added, of percentiles the highest stays.
fn merge(intervals: &[Interval]) -> Interval {
    let mut whole = Interval::default();
    for (index, part) in intervals.iter().enumerate() {
        if index == 0 {
            whole.at_ns = part.at_ns;
        }
        whole.length_ns += part.length_ns;
        whole.offered += part.offered;
        whole.sent += part.sent;
        whole.completed += part.completed;
        whole.errors += part.errors;
        whole.response = std::array::from_fn(|n| whole.response[n].max(part.response[n]));
        whole.own_lag = std::array::from_fn(|n| whole.own_lag[n].max(part.own_lag[n]));
        add_bands(&mut whole.bands, &part.bands);
    }
    whole
}

/// Adds the second's counts to the first's.
pub(super) fn add_bands(whole: &mut Vec<u64>, part: &[u64]) {
    if whole.len() < part.len() {
        whole.resize(part.len(), 0);
    }
    for (sum, count) in whole.iter_mut().zip(part) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn slices_lose_no_request_and_average_no_percentile() {
        let run = example::run();
        let time = Time::of(&run, 7).unwrap();
        assert_eq!((time.slices.len(), time.merged), (7, 9));
        let offered: u64 = time.slices.iter().map(|slice| slice.offered).sum();
        assert_eq!(offered, run.counts.offered);
        let banded: u64 = time.slices.iter().flat_map(|slice| &slice.bands).sum();
        assert_eq!(banded, run.response.count());
        let highest = run.intervals[..9].iter().map(|interval| interval.response[2]).max().unwrap();
        assert_eq!(time.slices[0].response[2], highest);
        assert_eq!(time.place(run.window_ns), 1.0);
    }

    #[test]
    fn a_line_ends_where_nothing_is_known() {
        let slice = |at_ns, offered| Interval { at_ns, length_ns: 10, offered, ..Interval::default() };
        let intervals = vec![slice(0, 1), slice(10, 2), slice(20, 0), slice(30, 3)];
        let time = Time::of(&crate::model::Run { intervals, ..example::run() }, 100).unwrap();
        let lines = time.lines(|slice| (slice.offered > 0).then_some(slice.offered as f64));
        let first = vec![(0.0, 1.0), (0.125, 1.0), (0.375, 2.0), (0.5, 2.0)];
        assert_eq!(lines, [first, vec![(0.75, 3.0), (0.875, 3.0), (1.0, 3.0)]]);
    }

    #[test]
    fn without_intervals_there_is_no_time() {
        let run = crate::model::Run { intervals: Vec::new(), ..example::run() };
        assert!(Time::of(&run, 100).is_none());
    }
}
