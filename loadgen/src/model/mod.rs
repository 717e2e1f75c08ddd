//! What was measured, as plain data: written as JSON, read again, judged, compared and drawn.
//!
//! In: what the lanes recorded. Out: everything that a report needs; nothing is measured or computed after this but
//! from here, so that a recorded run tells the same as the live one. Times are nanoseconds, rates are per second.

pub mod example;
mod histogram;

pub use histogram::{Latency, TIME_MAX_NS};

use serde::{Deserialize, Serialize};

/// Raised when an older reader would misunderstand what is written.
pub const FORMAT: u32 = 1;

/// A recorded file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`] of the writer.
    pub corelane_loadgen: u32,
    /// What was done.
    #[serde(flatten)]
    pub content: Content,
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// One measurement.
    Run(Box<Run>),
    /// A search for the highest rate that meets a target.
    Search(Box<Search>),
    /// A comparison of two targets, or of recorded runs.
    Comparison(Box<Comparison>),
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What was asked for.
    pub setup: Setup,
    /// Where it ran.
    pub machine: Machine,
    /// When the measured window began: milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Length of the measured window, which begins behind the warm-up.
    pub window_ns: u64,
    /// Requests whose due time lies in the window, and what became of them.
    pub counts: Counts,
    /// Answers by status class or kind of error, with an example of each; the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// Answers by status code, ascending.
    pub statuses: Vec<(u16, u64)>,
    /// From due to complete: what a user sees. Without a right answer it is at least the time limit.
    pub response: Latency,
    /// From the hand-over to the kernel to complete: what the server and the wires did.
    pub service: Latency,
    /// From when it could be sent (due, and a connection free) to the hand-over: the generator's own lateness.
    pub own_lag: Latency,
    /// From due until a connection was free.
    pub connection_wait: Latency,
    /// From asking for a connection until it was open; all connections of the run.
    pub connect: Latency,
    /// The window in slices, in order, none missing.
    pub intervals: Vec<Interval>,
    /// How each lane fared.
    pub lanes: Vec<LaneUse>,
    /// The served process, where it is on this machine.
    pub target: Option<TargetUse>,
    /// How the arrivals came out; open loop only.
    pub arrivals: Option<Arrivals>,
    /// Requests in flight, averaged over the window's time.
    pub in_flight_mean: f64,
    /// The same by Little's law: the rate at which requests were sent, times how long each was in flight in the window.
    #[serde(default)]
    pub in_flight_by_times: f64,
    /// What the ledger found.
    pub ledger: Option<Ledger>,
    /// Ended before its time.
    pub interrupted: bool,
    /// Whether the run may be believed, point by point.
    pub checks: Vec<Check>,
    /// Whether the targets were met.
    pub slos: Vec<SloResult>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// The command line, so that it can be pasted into a shell.
    pub command: String,
    /// Version of this program.
    pub version: String,
    /// The URLs with their weights.
    pub urls: Vec<(String, f64)>,
    /// The address that was connected to.
    pub address: String,
    /// How requests come to be due.
    pub load: Load,
    /// `add`, `ledger` or `requests`.
    pub workload: String,
    /// Connections of all lanes together.
    pub connections: u64,
    /// Requests of one connection that may be in flight at once.
    pub pipeline: u64,
    /// After so many requests a connection is closed and made anew; 0 is never.
    pub requests_per_connection: u64,
    /// Discarded in front of the window.
    pub warmup_ns: u64,
    /// For an answer.
    pub timeout_ns: u64,
    /// Of the arrivals and of everything random in the requests.
    pub seed: u64,
    /// `uring` or `epoll`.
    pub engine: String,
    /// The cores of the lanes.
    pub cores: Vec<usize>,
}

/// How requests come to be due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "loop", rename_all = "snake_case")]
pub enum Load {
    /// Closed loop: the next one when an answer is there.
    #[default]
    Closed,
    /// Open loop: by a schedule that doesn't wait for answers.
    Open {
        /// `poisson` or `constant`.
        arrivals: String,
        /// Rate over the window: its pieces in order. A piece rises or falls in a straight line.
        pieces: Vec<Piece>,
    },
}

/// A piece of the offered rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// How long.
    pub length_ns: u64,
    /// Requests per second at its begin, all lanes together.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Host name.
    pub host: String,
    /// `Linux 6.18.1`.
    pub kernel: String,
    /// The CPU's name.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Frequency governor; `none` where there is none (virtual machines).
    pub governor: String,
    /// What the clock is read from: `tsc`, `kvm-clock`, …
    pub clocksource: String,
}

/// Requests of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Due in the window.
    pub offered: u64,
    /// Of these, handed to the kernel.
    pub sent: u64,
    /// Of these, answered whole and as expected.
    pub completed: u64,
    /// Expected answers that came inside the window, also to what was due before it: the throughput counts these.
    pub completed_in_window: u64,
    /// Answered whole, but not with what was expected (wrong sum, status or body).
    pub wrong: u64,
    /// Wrong answers to what was due before the window.
    #[serde(default)]
    pub wrong_outside: u64,
    /// Not answered: timeouts, resets, refused connections, malformed answers.
    pub failed: u64,
    /// Of the failed: because no answer came in time.
    pub timeouts: u64,
    /// Bytes sent and received, by all that was measured.
    pub sent_bytes: u64,
    /// See `sent_bytes`.
    pub received_bytes: u64,
    /// Connections that were opened, with those before the window.
    pub connections_opened: u64,
}

/// A kind of error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// A few words: `connection refused`, `wrong answer`, `status 503`.
    pub kind: String,
    /// How often, in the window.
    pub count: u64,
    /// One of them.
    pub example: String,
}

/// A slice of the window, by when things happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// From the window's begin.
    pub at_ns: u64,
    /// Its length.
    pub length_ns: u64,
    /// Requests that fell due in it.
    pub offered: u64,
    /// Handed to the kernel in it.
    pub sent: u64,
    /// Answered as expected in it.
    pub completed: u64,
    /// Failed or wrong in it.
    pub errors: u64,
    /// Response time of what ended in it: p50, p90, p99, p99.9, max.
    pub response: [u64; 5],
    /// Own lag of what was sent in it: p50, p99, max.
    pub own_lag: [u64; 3],
    /// Response times of what ended in it, counted in the bands of [`band_floor_ns`], up to the last band that is
    /// not empty.
    pub bands: Vec<u64>,
}

/// Bands of response time per factor of ten.
pub const BANDS_PER_DECADE: u32 = 16;
/// The last band reaches from about 866 s to for ever.
pub const BANDS: usize = 128;

/// Where a band begins: 1 µs for the second; the first takes all below.
pub fn band_floor_ns(band: usize) -> f64 {
    if band == 0 { 0.0 } else { 1_000.0 * 10f64.powf((band - 1) as f64 / f64::from(BANDS_PER_DECADE)) }
}

/// How a lane fared over the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneUse {
    /// The core it is pinned to.
    pub core: usize,
    /// Share of the window that its thread was at work: on the CPU, without waiting in a spin.
    pub busy: f64,
    /// Share of the window that its thread could have run and did not: others had the core. What an answer waits
    /// then looks like the server's time.
    #[serde(default)]
    pub held_up: f64,
    /// CPU time of its thread, with spins.
    pub cpu_ns: u64,
    /// Requests it completed.
    pub completed: u64,
}

/// The served process over the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetUse {
    /// Its processes: a name and how they were found.
    pub name: String,
    /// Process ids.
    pub pids: Vec<u32>,
    /// CPU time used by all its threads.
    pub cpu_ns: u64,
    /// CPUs that its busy threads were seen on.
    pub cpus: Vec<usize>,
    /// Looks at which one of its busy threads was on a core of ours, out of all looks at busy threads.
    pub looks_on_our_cores: u64,
    /// See there.
    pub looks: u64,
}

/// How the arrivals came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Coefficient of variation of the gaps in the schedule, in units of the rate at that moment: 1 for Poisson,
    /// 0 for constant.
    pub asked: f64,
    /// The same of the moments at which requests could be and were sent: due plus own lag. Gaps of one lane.
    pub sent: f64,
    /// Gaps counted.
    pub gaps: u64,
}

/// What the ledger found: every request has a sum of its own, so that an answer tells which request it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The answer to another request that was in flight.
    pub swapped: u64,
    /// The answer to a request that had been answered before.
    pub duplicated: u64,
    /// The answer to a request of another lane or another run.
    pub misrouted: u64,
    /// An answer to no request there ever was.
    pub corrupted: u64,
    /// Requests to which no answer came, right or wrong.
    pub lost: u64,
}

/// One reason to believe a run, or not to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A few words: `rate reached`.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, with numbers.
    pub found: String,
    /// What was wanted.
    pub wanted: String,
    /// What helps, where it failed.
    pub help: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// The run is invalid.
    Fail,
    /// Does not apply, or can't be known here.
    Unknown,
}

/// A target and whether it was met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloResult {
    /// As it was given: `p99<1ms`.
    pub slo: String,
    /// What was measured, as text with its unit: `0.82 ms`.
    pub found: String,
    /// Met. Says nothing while the run is invalid.
    pub met: bool,
}

impl Run {
    /// Whether it was judged, and no check failed.
    pub fn is_valid(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.outcome != Outcome::Fail)
    }

    /// Completed answers per second of the window.
    pub fn rate(&self) -> f64 {
        per_second(self.counts.completed_in_window, self.window_ns)
    }

    /// Requests that fell due per second of the window.
    pub fn offered_rate(&self) -> f64 {
        per_second(self.counts.offered, self.window_ns)
    }

    /// Failed and wrong, out of all that were offered; zero of none.
    pub fn error_share(&self) -> f64 {
        let bad = self.counts.failed + self.counts.wrong;
        if self.counts.offered == 0 { 0.0 } else { bad as f64 / self.counts.offered as f64 }
    }
}

fn per_second(count: u64, time_ns: u64) -> f64 {
    if time_ns == 0 { 0.0 } else { count as f64 * 1e9 / time_ns as f64 }
}

/// A search for the highest rate that meets a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Search {
    /// What had to hold, as given: `p99<1ms`.
    pub slos: Vec<String>,
    /// The percentile that is drawn (0.99), and its limit, of the first target that is about a percentile.
    pub quantile: f64,
    /// See there.
    pub limit_ns: u64,
    /// What the closed loop reached, as the upper end of the search.
    pub ceiling: f64,
    /// The ramp that brackets the answer: rate and response time at the percentile.
    pub ramp: Vec<(f64, u64)>,
    /// Held trials, in the order they ran.
    pub trials: Vec<Trial>,
    /// What came of it.
    pub answer: Answer,
    /// The last trial that met the target, whole; else the last trial.
    pub run: Run,
}

/// One held rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Offered, per second.
    pub rate: f64,
    /// Completed, per second.
    pub completed: f64,
    /// Length of its window.
    pub window_ns: u64,
    /// Response time at the search's percentile: measured, and its interval.
    pub response_ns: u64,
    /// Low end of the interval.
    pub low_ns: u64,
    /// High end of the interval.
    pub high_ns: u64,
    /// What it says about the rate.
    pub result: TrialResult,
    /// Why, if it did not meet the target.
    pub why: String,
}

/// What a trial says about its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialResult {
    /// Every target was met.
    Met,
    /// The server missed one, or fell behind.
    Missed,
    /// The generator could not do it: says nothing about the server.
    Invalid,
}

/// The highest rate that meets the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The estimate, per second; `None` if no rate met the target.
    pub rate: Option<f64>,
    /// The interval's ends.
    pub low: f64,
    /// See there.
    pub high: f64,
    /// The generator, not the server, set the limit: the answer is a lower bound.
    pub limited_by_generator: bool,
    /// In words: `184k ± 3k req/s at p99 < 1 ms`.
    pub words: String,
}

/// Two sides, each measured several times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The first, the baseline.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// What was compared, in the order to be shown.
    pub rows: Vec<Row>,
    /// Differences between the sides that have nothing to do with the target: machine, options, versions.
    pub differences: Vec<String>,
    /// A run of either side was invalid: nothing is concluded.
    pub invalid: Vec<String>,
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    /// URL or file.
    pub name: String,
    /// Each measured once by itself, in order: rounds, or slices of a recorded run.
    pub samples: u64,
    /// All rounds merged.
    pub response: Latency,
    /// One of its runs, for set-up and machine.
    pub run: Run,
}

/// One measure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `p99`, `rate`, `server CPU per request`.
    pub measure: String,
    /// Median of the first side's samples, in `unit`.
    pub a: f64,
    /// Median of the second side's samples.
    pub b: f64,
    /// `ns`, `/s` or `share`.
    pub unit: String,
    /// b over a, and its 95 % interval.
    pub ratio: f64,
    /// See there.
    pub low: f64,
    /// See there.
    pub high: f64,
    /// Of the rank test (Mann-Whitney, two-sided).
    pub p_value: f64,
    /// The smallest difference that so many samples of such spread would have shown, as a share: 0.04 is 4 %.
    pub detectable: f64,
    /// The second against the first.
    pub word: Word,
}

/// What may be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The second side is better.
    Better,
    /// The second side is worse.
    Worse,
    /// No detectable difference.
    Same,
    /// Too few samples to say anything.
    Unsaid,
}
