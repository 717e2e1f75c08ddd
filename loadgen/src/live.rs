//! What a user sees while a run goes on: a line that moves on a terminal, plain lines elsewhere.
//!
//! In: intervals. Out: text on stderr, a few times a second on a terminal, once a second elsewhere.

use crate::job::Job;
use crate::model::Interval;
use crate::run::Observer;
use crate::timeline::Timeline;
use crate::units::{format_count, format_ns, format_rate};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two updates of a terminal: drawing is work, perhaps on a lane's core.
const REDRAW_EVERY: Duration = Duration::from_millis(250);
/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// The live view.
pub struct Live {
    view: View,
    /// Stands in front: which of several runs.
    label: String,
    total: Option<Duration>,
    began: Instant,
    drawn: Instant,
}

enum View {
    Silent,
    Lines,
    Terminal(ProgressBar),
}

impl Live {
    /// Silent if it is to be `quiet`.
    pub fn new(quiet: bool) -> Live {
        let view = match (quiet, io::stderr().is_terminal()) {
            (true, _) => View::Silent,
            (false, false) => View::Lines,
            (false, true) => View::Terminal(ProgressBar::hidden()),
        };
        let now = Instant::now();
        Live { view, label: String::new(), total: None, began: now, drawn: now }
    }

    /// Names the next run.
    pub fn label(&mut self, label: impl Into<String>) {
        self.label = label.into();
    }

    /// A line of its own, above what moves.
    pub fn say(&self, text: &str) {
        match &self.view {
            View::Silent => {}
            View::Lines => to_stderr(&format!("{text}\n")),
            View::Terminal(bar) if bar.is_hidden() => to_stderr(&format!("{text}\n")),
            View::Terminal(bar) => bar.println(text),
        }
    }
}

impl Observer for Live {
    fn begins(&mut self, job: &Job) {
        (self.began, self.drawn) = (Instant::now(), Instant::now());
        self.total = job.requests.is_none().then_some(job.duration + job.warmup);
        if let View::Terminal(bar) = &mut self.view {
            let length = match (self.total, job.requests) {
                (Some(total), _) => total.as_millis() as u64,
                (None, requests) => requests.unwrap_or(0),
            };
            *bar = ProgressBar::new(length.max(1));
            let style = ProgressStyle::with_template("{prefix}{bar:24} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(self.label.clone());
            bar.set_message(if job.warmup.is_zero() { "" } else { "warming up" });
        }
    }

    fn interval(&mut self, interval: &Interval, so_far: &Timeline) {
        let now = Instant::now();
        let every = if matches!(self.view, View::Terminal(_)) { REDRAW_EVERY } else { LINE_EVERY };
        if matches!(self.view, View::Silent) || now < self.drawn + every {
            return;
        }
        self.drawn += every;
        let so_far = &so_far.so_far();
        match &self.view {
            View::Silent => {}
            View::Lines => {
                let seconds = now.duration_since(self.began).as_secs();
                to_stderr(&format!("{}{seconds:>4} s  {}\n", self.label, told(interval, so_far)));
            }
            View::Terminal(bar) => {
                let place = match self.total {
                    Some(_) => now.duration_since(self.began).as_millis() as u64,
                    None => so_far.completed + so_far.errors,
                };
                bar.set_position(place);
                bar.set_message(told(interval, so_far));
            }
        }
    }

    fn ends(&mut self) {
        if let View::Terminal(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

/// A reader of stderr that has gone is no reason to end: the result goes elsewhere.
pub(crate) fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The rate now, the percentiles so far.
fn told(interval: &Interval, so_far: &Interval) -> String {
    let rate = interval.completed as f64 * 1e9 / interval.length_ns.max(1) as f64;
    let [p50, _, p99, p999, max] = so_far.response.map(format_ns);
    let errors = format_count(so_far.errors);
    format!("{:>6}/s  p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}  errors {errors}", format_rate(rate))
}
