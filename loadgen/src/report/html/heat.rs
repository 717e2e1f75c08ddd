//! Latency over time as a heat map: slices across, bands of response time upwards, colour for how many requests.
//!
//! In: the bands of the intervals. Out: a chart. A map shows what lines hide: two modes, a stall that returns.
//! Never: more cells than a page can carry: neighbours are drawn as one.

use super::scale::{Scale, tick_time};
use super::svg::{Label, Plot};
use super::time::{Time, add_bands};
use crate::model::{BANDS_PER_DECADE, Interval, Run, band_floor_ns};
use crate::units::{format_count, format_ns};
use std::fmt::Write as _;

const HEIGHT: u32 = 260;
/// Shades, from one request to the most in a cell, by equal factors.
const LEVELS: usize = 8;
/// Strokes of the map: some 8 bytes each.
const STROKES_MAX: usize = 6_000;

/// The chart with its key; nothing if no bands were recorded.
pub(super) fn chart(run: &Run, slices_max: usize) -> Option<String> {
    let mut slices_max = slices_max;
    loop {
        let map = Map::of(Time::of(run, slices_max)?)?;
        let (paths, strokes) = map.paths();
        if strokes <= STROKES_MAX || slices_max <= 8 {
            return Some(map.draw(&paths));
        }
        slices_max = map.time.slices.len() / 2;
    }
}

struct Map {
    time: Time,
    /// The lowest and the highest band with a request in it.
    low: usize,
    high: usize,
    /// The most requests in a cell.
    most: u64,
}

impl Map {
    fn of(time: Time) -> Option<Map> {
        let mut all = Vec::new();
        for slice in &time.slices {
            add_bands(&mut all, &slice.bands);
        }
        let low = all.iter().position(|&count| count > 0)?;
        let high = all.iter().rposition(|&count| count > 0)?;
        let most = time.slices.iter().flat_map(|slice| &slice.bands).copied().max()?;
        // One row above the highest, so that it doesn't stick to the edge.
        Some(Map { time, low, high: high + 1, most })
    }

    fn rows(&self) -> usize {
        self.high + 1 - self.low
    }

    /// The same steps as the rows: a band is as high as any other.
    fn scale(&self) -> Scale {
        let floor = |band: usize| match band {
            0 => band_floor_ns(1) / 10f64.powf(1.0 / f64::from(BANDS_PER_DECADE)),
            band => band_floor_ns(band),
        };
        Scale::Log { from: floor(self.low), to: floor(self.high + 1) }
    }

    fn level(&self, count: u64) -> usize {
        match count {
            0 => 0,
            count if self.most == 1 || count == self.most => LEVELS,
            count => 1 + ((count as f64).ln() / (self.most as f64).ln() * LEVELS as f64) as usize,
        }
        .min(LEVELS)
    }

    /// One path per shade, of upright strokes, each over neighbours of the same shade; and how many strokes.
    fn paths(&self) -> (String, usize) {
        let mut paths = [const { String::new() }; LEVELS];
        let mut strokes = 0;
        for (column, slice) in self.time.slices.iter().enumerate() {
            let mut band = self.high;
            while band >= self.low {
                let level = self.level(slice.bands.get(band).copied().unwrap_or(0));
                let top = self.high - band;
                let mut length = 1;
                while band > self.low && self.level(slice.bands.get(band - 1).copied().unwrap_or(0)) == level
                {
                    band -= 1;
                    length += 1;
                }
                if level > 0 {
                    let _ = write!(paths[level - 1], "M{column} {top}v{length}");
                    strokes += 1;
                }
                match band.checked_sub(1) {
                    Some(below) => band = below,
                    None => break,
                }
            }
        }
        let mut drawn = String::new();
        for (index, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let _ = write!(drawn, r#"<path class="h{}" d="{path}"/>"#, index + 1);
        }
        (drawn, strokes)
    }

    fn draw(&self, paths: &str) -> String {
        let scale = self.scale();
        let mut plot = Plot::new(HEIGHT);
        // The last slice may be shorter than the others, and is cut off at the window's end.
        let nominal = self.time.slices.first().map_or(0.0, |slice| self.time.place(slice.length_ns));
        let columns = if nominal > 0.0 { 1.0 / nominal } else { 1.0 };
        plot.stretched("heat", columns, self.rows(), paths);
        plot.y_axis(scale, 7, tick_time);
        self.time.axis(&mut plot, true);
        let mut labels = Vec::new();
        for (name, index) in [("p50", 0), ("p99", 2)] {
            let lines = self.time.lines(|slice| {
                let ended = slice.bands.iter().any(|&count| count > 0);
                ended.then(|| scale.place(slice.response[index] as f64))
            });
            lines.iter().for_each(|line| plot.line("casing", line));
            lines.iter().for_each(|line| plot.line("line ink", line));
            let end = lines.last().and_then(|line| line.last());
            labels.extend(end.map(|&(_, y)| Label { class: "ink", text: name.into(), y }));
        }
        plot.labels(labels);
        self.time.hovers(&mut plot, said);
        let most = format_count(self.most);
        let slices = self.time.slices.len();
        let summary =
            format!("Heat map of response times over {slices} slices of time, at most {most} in a cell");
        let shades: String = (1..=LEVELS).map(|level| format!(r#"<b class="k{level}"></b>"#)).collect();
        let shades = format!(r#"<span class="ramp">{shades}</span>"#);
        let note = self.time.note();
        let key = format!(r#"<div class="key"><span>requests in a cell: 1{shades}{most}</span>{note}</div>"#);
        key + &plot.finish("", &summary)
    }
}

fn said(slice: &Interval) -> String {
    let [p50, _, p99, _, max] = slice.response.map(format_ns);
    format!("p50 {p50}, p99 {p99}, max {max}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn map(bands: &[&[u64]]) -> Map {
        let intervals = bands.iter().enumerate().map(|(index, bands)| Interval {
            at_ns: index as u64,
            length_ns: 1,
            bands: bands.to_vec(),
            ..Interval::default()
        });
        let run = Run { intervals: intervals.collect(), ..example::run() };
        Map::of(Time::of(&run, 100).unwrap()).unwrap()
    }

    #[test]
    fn a_cell_is_where_its_slice_and_its_band_are() {
        let map = map(&[&[0, 0, 5], &[0, 0, 0, 5, 5]]);
        assert_eq!((map.low, map.high, map.rows()), (2, 5, 4));
        let (paths, strokes) = map.paths();
        assert_eq!(paths, r#"<path class="h8" d="M0 3v1M1 1v2"/>"#);
        assert_eq!(strokes, 2);
    }

    #[test]
    fn shades_go_by_factors_and_one_request_is_seen() {
        let map = map(&[&[1, 10, 100, 1_000]]);
        assert_eq!([0, 1, 10, 100, 1_000].map(|count| map.level(count)), [0, 1, 3, 6, 8]);
    }

    #[test]
    fn a_line_over_the_map_has_the_map_s_scale() {
        let map = map(&[&[0, 1, 1]]);
        // Rows: bands 1, 2 and the free one above; band 2 begins a third up.
        assert!((map.scale().place(band_floor_ns(2)) - 1.0 / 3.0).abs() < 1e-9);
    }
}
