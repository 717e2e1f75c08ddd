//! A run that was recorded, and what must be true of each, however busy the machine was.
//!
//! In: what the binary wrote as JSON, and its exit code. Out: the [`Run`], checked: its numbers add up, and its verdict
//! agrees with the exit code.

use super::tool::{Ended, tool};
use loadgen::model::{Content, Document, FORMAT, Run};

/// A run, and how the binary that made it ended.
pub struct Measured {
    pub run: Run,
    pub ended: Ended,
}

/// Measures `url` by one engine with these options, which give the length. There is no warm-up unless they say so.
pub fn measure(engine: &str, url: &str, options: &[&str]) -> Measured {
    let mut args = vec!["--engine", engine, "--json", "-", "--quiet"];
    if !options.contains(&"--warmup") {
        args.extend(["--warmup", "0s"]);
    }
    args.extend(options);
    args.push(url);
    let ended = tool(&args);
    let run = run_of(&ended.stdout, &ended.stderr);
    must_add_up(&run);
    assert_eq!(ended.code, Some(exit_code(&run)), "{}", ended.stderr);
    Measured { run, ended }
}

impl Measured {
    /// Errors of this kind.
    pub fn errors(&self, kind: &str) -> u64 {
        let errors = self.run.errors.iter().filter(|error| error.kind == kind);
        errors.map(|error| error.count).sum()
    }
}

/// The run that stands in `text`.
pub fn run_of(text: &str, stderr: &str) -> Run {
    match content_of(text, stderr) {
        Content::Run(run) => *run,
        other => panic!("no run: {other:?}"),
    }
}

/// What stands in `text`.
pub fn content_of(text: &str, stderr: &str) -> Content {
    let document: Document =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}\n{stderr}"));
    assert_eq!(document.corelane_loadgen, FORMAT);
    document.content
}

/// What `docs` and `--help` say of exit codes: wrong answers count most, then doubts, then targets.
pub fn exit_code(run: &Run) -> i32 {
    match run {
        _ if run.counts.wrong > 0 => 5,
        _ if !run.is_valid() => 4,
        _ if run.slos.iter().any(|slo| !slo.met) => 3,
        _ => 0,
    }
}

/// Every request that was due has one end, and every number that is said twice is the same.
pub fn must_add_up(run: &Run) {
    let counts = &run.counts;
    let ended = counts.completed + counts.wrong + counts.failed;
    assert_eq!(counts.offered, ended, "{counts:?}");
    assert_eq!(run.service.count(), counts.sent, "each that was sent has an end");
    assert_eq!(run.response.count(), ended, "failed ones count in the tail");
    // Who interrupts takes back what was in flight, but not how late it had been sent.
    let taken_back = if run.interrupted { run.setup.connections * run.setup.pipeline } else { 0 };
    assert!(run.own_lag.count() >= counts.sent && run.own_lag.count() <= counts.sent + taken_back);
    assert_eq!(run.connection_wait.count(), run.own_lag.count());
    assert!(counts.sent <= counts.offered && counts.timeouts <= counts.failed, "{counts:?}");
    assert_eq!(run.connect.count(), counts.connections_opened);
    let answers: u64 = run.statuses.iter().map(|(_, count)| count).sum();
    assert_eq!(answers, counts.completed + counts.wrong, "{:?}", run.statuses);
    let errors: u64 = run.errors.iter().map(|error| error.count).sum();
    assert!(errors >= counts.failed + counts.wrong, "{:?}", run.errors);
    let of_lanes: u64 = run.lanes.iter().map(|lane| lane.completed).sum();
    assert_eq!(of_lanes, counts.completed);
    assert_eq!(run.lanes.len(), run.setup.cores.len());
    must_have_all_intervals(run);
}

fn must_have_all_intervals(run: &Run) {
    let mut at = 0;
    for interval in &run.intervals {
        assert_eq!(interval.at_ns, at, "none is missing");
        at += interval.length_ns;
    }
    assert_eq!(at, run.window_ns, "they are the window");
    let sum = |of: fn(&loadgen::model::Interval) -> u64| run.intervals.iter().map(of).sum::<u64>();
    assert_eq!(sum(|interval| interval.offered), run.counts.offered);
    // What was sent late, behind the window's end, is in none; what was due before the window and sent in it is.
    let late = run.connection_wait.0.max() > 0;
    assert!(late || sum(|interval| interval.sent) <= run.counts.sent + run.setup.connections);
    assert_eq!(sum(|interval| interval.completed), run.counts.completed_in_window);
    let banded = sum(|interval| interval.bands.iter().sum());
    assert!(banded <= run.response.count(), "{banded} in bands");
}
