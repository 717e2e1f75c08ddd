//! Requests over time: offered, sent, completed, and what went wrong; and below, how late the generator was itself.
//!
//! In: the intervals. Out: two charts that share their axis. A gap between offered and sent is the generator's, or
//! there was no free connection; a gap between sent and completed is the server's.

use super::scale::{Scale, tick_rate, tick_time};
use super::svg::{Label, Plot, Point};
use super::time::{SLICES_MAX, Time, rate};
use crate::model::{Interval, Run};
use crate::report::{plural, rate as shown};
use crate::units::format_ns;

const HEIGHT: u32 = 220;
const LAG_HEIGHT: u32 = 110;

const KEY: &str = concat!(
    r#"<span class="offered"><i></i><span>offered</span></span>"#,
    r#"<span class="sent"><i class="dashed"></i><span>sent</span></span>"#,
    r#"<span class="done"><i></i><span>completed</span></span>"#,
    r#"<span class="late"><i class="box"></i>"#,
    "<span>not sent yet: generator late, or connections busy</span></span>",
    r#"<span class="behind"><i class="box"></i><span>not answered yet: server behind</span></span>"#,
    r#"<span class="bad"><i class="box"></i><span>errors</span></span>"#
);

/// Rates over time; nothing if nothing was recorded over time.
pub(super) fn chart(run: &Run) -> Option<String> {
    let time = Time::of(run, SLICES_MAX)?;
    let most = time.slices.iter().map(|slice| {
        [slice.offered, slice.sent, slice.completed]
            .map(|count| rate(count, slice))
            .into_iter()
            .fold(0.0, f64::max)
    });
    let scale = Scale::from_zero(most.fold(0.0, f64::max));
    let line = |count: fn(&Interval) -> u64| {
        let lines = time.lines(|slice| Some(scale.place(rate(count(slice), slice))));
        lines.into_iter().next().unwrap_or_default()
    };
    let offered = line(|slice| slice.offered);
    let sent = line(|slice| slice.sent);
    let completed = line(|slice| slice.completed);

    let mut plot = Plot::new(HEIGHT);
    plot.y_axis(scale, 5, tick_rate);
    time.axis(&mut plot, false);
    plot.area("late", &higher(&offered, &sent), &sent);
    plot.area("behind", &higher(&sent, &completed), &completed);
    plot.line("line offered", &offered);
    plot.line("line dash sent", &sent);
    plot.line("line done", &completed);
    for slice in time.slices.iter().filter(|slice| slice.errors > 0) {
        plot.foot("err", time.place(slice.at_ns), time.place(slice.at_ns + slice.length_ns));
    }
    time.hovers(&mut plot, said);
    let summary = format!(
        "Rates over time: offered {}, completed {} over the whole window",
        shown(run.offered_rate()),
        shown(run.rate())
    );
    Some(format!(r#"<div class="key">{KEY}{}</div>{}"#, time.note(), plot.finish(" flat", &summary)))
}

/// The first line where it is over the second, else the second.
fn higher(upper: &[Point], lower: &[Point]) -> Vec<Point> {
    upper.iter().zip(lower).map(|(a, b)| (a.0, a.1.max(b.1))).collect()
}

fn said(slice: &Interval) -> String {
    let [offered, sent, completed] =
        [slice.offered, slice.sent, slice.completed].map(|count| shown(rate(count, slice)));
    let errors = plural(slice.errors, "error", "errors");
    format!("offered {offered}, sent {sent}, completed {completed}, {errors}")
}

/// The generator's own lateness over time; nothing if nothing was sent.
pub(super) fn lag_chart(run: &Run) -> Option<String> {
    let time = Time::of(run, SLICES_MAX)?;
    if time.slices.iter().all(|slice| slice.sent == 0) {
        return None;
    }
    let seen = |index: usize| time.slices.iter().map(move |slice| slice.own_lag[index] as f64);
    let scale = Scale::of_times(seen(0).fold(f64::MAX, f64::min), seen(2).fold(0.0, f64::max));
    let mut plot = Plot::new(LAG_HEIGHT);
    plot.y_axis(scale, 4, tick_time);
    time.axis(&mut plot, true);
    let mut labels = Vec::new();
    for (index, name, class) in [(2, "max", "thin lag"), (1, "p99", "line lag"), (0, "p50", "thin lag")] {
        let lines = time.lines(|slice| (slice.sent > 0).then(|| scale.place(slice.own_lag[index] as f64)));
        lines.iter().for_each(|line| plot.line(class, line));
        labels.extend(lines.last().and_then(|line| line.last()).map(|&(_, y)| Label {
            class: "lag",
            text: name.into(),
            y,
        }));
    }
    plot.labels(labels);
    time.hovers(&mut plot, |slice| {
        let [p50, p99, max] = slice.own_lag.map(format_ns);
        format!("own lag p50 {p50}, p99 {p99}, max {max}")
    });
    let max = format_ns(run.own_lag.0.max());
    Some(plot.finish("", &format!("Own lag of the generator over time; its maximum is {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_shaded() {
        let upper = [(0.0, 0.5), (1.0, 0.2)];
        let lower = [(0.0, 0.4), (1.0, 0.3)];
        assert_eq!(higher(&upper, &lower), [(0.0, 0.5), (1.0, 0.3)]);
    }
}
