//! The window in slices: of all lanes, in order, and never more than can be drawn.
//!
//! In: each lane's slices, as they end. Out: intervals of all lanes together. Never: grows with the run's length.

use crate::model::Interval;
use crate::record::Slice;
use std::collections::BTreeMap;

/// More would not be seen in a chart; when there are more, each two become one.
const SLICES_MAX: usize = 240;

/// Slices of all lanes.
pub struct Timeline {
    interval_ns: u64,
    /// How far each lane has come: its slices below this index are here.
    come: Vec<u64>,
    /// Not yet complete.
    waiting: BTreeMap<u64, Box<Slice>>,
    /// Index of the next slice that will be complete.
    next: u64,
    /// Complete; each holds `factor` intervals but the last, which may hold fewer.
    kept: Vec<Slice>,
    factor: u64,
    /// All that is complete.
    so_far: Slice,
}

impl Timeline {
    /// For so many lanes.
    pub fn new(lanes: usize, interval_ns: u64) -> Timeline {
        Timeline {
            interval_ns,
            come: vec![0; lanes],
            waiting: BTreeMap::new(),
            next: 0,
            kept: Vec::new(),
            factor: 1,
            so_far: Slice::new(),
        }
    }

    /// All that is complete, as one interval.
    pub fn so_far(&self) -> Interval {
        self.so_far.interval(0, (self.next * self.interval_ns).max(1))
    }

    /// Takes a lane's slice; gives the intervals that are complete now, and the slice back, for reuse.
    pub fn add(
        &mut self,
        lane: usize,
        index: u64,
        mut slice: Box<Slice>,
    ) -> (Vec<Interval>, Option<Box<Slice>>) {
        self.come[lane] = self.come[lane].max(index + 1);
        let spare = match self.waiting.get_mut(&index) {
            Some(waiting) => {
                waiting.add(&slice);
                slice.clear();
                Some(slice)
            }
            None => {
                self.waiting.insert(index, slice);
                None
            }
        };
        (self.complete_passed(), spare)
    }

    /// A lane has ended: it has passed all that is still to come from others. Gives the intervals that are complete
    /// now.
    pub fn over(&mut self, lane: usize) -> Vec<Interval> {
        self.come[lane] = u64::MAX;
        self.complete_passed()
    }

    /// Nothing more comes: what waits is complete. The window is `window_ns` long.
    pub fn finish(mut self, window_ns: u64) -> Vec<Interval> {
        self.complete(self.end());
        let length = self.interval_ns * self.factor;
        let interval = |(n, slice): (usize, &Slice)| {
            let at = n as u64 * length;
            slice.interval(at, window_ns.saturating_sub(at).min(length).max(1))
        };
        self.kept.iter().enumerate().map(interval).collect()
    }

    /// Behind the last slice that came.
    fn end(&self) -> u64 {
        self.waiting.keys().next_back().map_or(self.next, |last| last + 1)
    }

    /// What every lane has passed.
    fn complete_passed(&mut self) -> Vec<Interval> {
        let passed = self.come.iter().copied().min().unwrap_or(0);
        self.complete(passed.min(self.end()))
    }

    /// A lane that was held up hands over several slices as one: those before it are empty.
    fn complete(&mut self, end: u64) -> Vec<Interval> {
        let mut intervals = Vec::new();
        while self.next < end {
            let slice = self.waiting.remove(&self.next).map(|slice| *slice).unwrap_or_default();
            intervals.push(slice.interval(self.next * self.interval_ns, self.interval_ns));
            self.so_far.add(&slice);
            self.keep(slice);
            self.next += 1;
        }
        intervals
    }

    fn keep(&mut self, slice: Slice) {
        match self.kept.last_mut() {
            Some(last) if !self.next.is_multiple_of(self.factor) => last.add(&slice),
            _ => self.kept.push(slice),
        }
        if self.kept.len() > SLICES_MAX {
            let mut pairs = std::mem::take(&mut self.kept).into_iter();
            while let Some(mut one) = pairs.next() {
                if let Some(other) = pairs.next() {
                    one.add(&other);
                }
                self.kept.push(one);
            }
            self.factor *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(sent: u64) -> Box<Slice> {
        let mut slice = Box::new(Slice::new());
        slice.sent = sent;
        slice
    }

    #[test]
    fn an_interval_is_complete_when_every_lane_has_passed_it() {
        let mut line = Timeline::new(2, 10);
        assert!(line.add(0, 0, slice(1)).0.is_empty());
        assert!(line.add(0, 1, slice(2)).0.is_empty());
        // Held up: its first slice holds what happened in the first two.
        let (done, spare) = line.add(1, 1, slice(5));
        assert_eq!(
            done.iter().map(|interval| (interval.at_ns, interval.sent)).collect::<Vec<_>>(),
            [(0, 1), (10, 7)]
        );
        assert_eq!(spare.unwrap().sent, 0);
        assert!(line.add(1, 2, slice(3)).0.is_empty());
        let all = line.finish(25);
        assert_eq!(all.iter().map(|interval| interval.sent).collect::<Vec<_>>(), [1, 7, 3]);
        assert_eq!(all[2].length_ns, 5);
    }

    #[test]
    fn a_lane_that_has_ended_holds_nobody_up() {
        let mut line = Timeline::new(2, 10);
        line.add(0, 0, slice(1));
        assert_eq!(line.add(1, 0, slice(1)).0.len(), 1);
        assert!(line.add(1, 1, slice(2)).0.is_empty());
        let done = line.over(0);
        assert_eq!(
            done.iter().map(|interval| (interval.at_ns, interval.sent)).collect::<Vec<_>>(),
            [(10, 2)]
        );
        assert_eq!(line.add(1, 3, slice(4)).0.len(), 2, "the one before is empty");
        assert!(line.over(1).is_empty());
        assert_eq!(line.finish(40).iter().map(|interval| interval.sent).collect::<Vec<_>>(), [2, 2, 0, 4]);
    }

    #[test]
    fn a_long_run_keeps_few_slices_and_loses_nothing() {
        let mut line = Timeline::new(1, 10);
        for index in 0..10_000 {
            line.add(0, index, slice(1));
        }
        let all = line.finish(100_000);
        assert!((SLICES_MAX / 2..=SLICES_MAX).contains(&all.len()), "{}", all.len());
        assert_eq!(all.iter().map(|interval| interval.sent).sum::<u64>(), 10_000);
        let length: u64 = all.iter().map(|interval| interval.length_ns).sum();
        assert_eq!(length, 100_000);
        assert!(all.iter().rev().skip(1).all(|interval| interval.sent * 10 == interval.length_ns));
    }
}
