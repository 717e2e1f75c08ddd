//! The load: how much, of what, from where. Shared by `run`, `search` and `ab`.

use super::values::{Duration, Rate};
use super::{LOAD, MACHINE, REQUESTS, usage};
use crate::process::Which;
use crate::schedule::ArrivalKind;
use crate::workload::{Kind, Statuses};
use clap::Args;
use net::command_line::EngineChoice;
use net::percore::Cores;
use std::path::PathBuf;
use std::time;

/// A step is read from the intervals that lie wholly in it.
const STEP_MIN: time::Duration = time::Duration::from_millis(100);
/// Histograms tell times up to 137 s apart.
const TIMEOUT_MAX: time::Duration = time::Duration::from_secs(120);

/// How much, of what, from where.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// Connections of all lanes together
    #[arg(short, long, value_name = "N", default_value = "64", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// How long to measure
    #[arg(short, long, value_name = "TIME", default_value = "10s", help_heading = LOAD)]
    pub duration: Duration,
    /// Measure so many requests instead
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// Open loop: requests per second in all, 50k; a ramp, 10k:200k. Without: as fast as answers come
    #[arg(short, long, value_name = "RATE", help_heading = LOAD)]
    pub rate: Option<Rate>,
    /// Climb the ramp in so many held steps
    #[arg(long, value_name = "N", requires = "rate", conflicts_with = "requests", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub steps: Option<u16>,
    /// Gaps between requests: poisson, as from independent users, or constant
    #[arg(long, value_name = "KIND", default_value = "poisson", help_heading = LOAD)]
    pub arrivals: ArrivalKind,
    /// In front, unmeasured [default: 1s; 0s with --requests]
    #[arg(long, value_name = "TIME", help_heading = LOAD)]
    pub warmup: Option<Duration>,
    /// Requests in flight on a connection
    #[arg(long, value_name = "N", default_value = "1", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub pipeline: u16,
    /// For an answer; then it counts as failed
    #[arg(long, value_name = "TIME", default_value = "2s", help_heading = LOAD)]
    pub timeout: Duration,
    /// Open connections at this rate, while running
    #[arg(long, value_name = "RATE", help_heading = LOAD)]
    pub connections_per_second: Option<Rate>,
    /// Close a connection after so many
    #[arg(long, value_name = "N", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub requests_per_connection: Option<u64>,
    /// Of arrivals and contents: the same again
    #[arg(long, value_name = "N", default_value = "1", help_heading = LOAD)]
    pub seed: u64,

    /// add: sums, each checked; ledger: unique sums; requests: as given below [default: add for .../add]
    #[arg(long, value_name = "KIND", help_heading = REQUESTS)]
    pub workload: Option<Kind>,
    /// Method [default: GET; POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = REQUESTS)]
    pub method: Option<String>,
    /// Field, 'name: value'; may be repeated
    #[arg(short = 'H', long, value_name = "FIELD", help_heading = REQUESTS)]
    pub header: Vec<String>,
    /// Body. Here, in fields and URLs: {{seq}} {{random:1..9}} {{key}} {{line}}
    #[arg(short, long, value_name = "TEXT", conflicts_with = "body_file", help_heading = REQUESTS)]
    pub body: Option<String>,
    /// Body from a file
    #[arg(long, value_name = "FILE", help_heading = REQUESTS)]
    pub body_file: Option<PathBuf>,
    /// Each line of a file in turn: the body, or {{line}} in it
    #[arg(long, value_name = "FILE", help_heading = REQUESTS)]
    pub body_lines: Option<PathBuf>,
    /// Draw {{key}}, or the operands of add, from so many
    #[arg(long, value_name = "N", help_heading = REQUESTS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: Option<u64>,
    /// Popularity of keys: 0 is even, 1 as on the web
    #[arg(long, value_name = "S", default_value = "0", requires = "keys", help_heading = REQUESTS)]
    pub zipf: f64,
    /// Right answers have: 200, 2xx, 200,404 [default: 2xx]
    #[arg(long, value_name = "LIST", help_heading = REQUESTS)]
    pub expect_status: Option<Statuses>,
    /// Right answers have this body
    #[arg(long, value_name = "TEXT", help_heading = REQUESTS)]
    pub expect_body: Option<String>,
    /// Right answers have these members
    #[arg(long, value_name = "JSON", value_parser = json, help_heading = REQUESTS)]
    pub expect_json: Option<serde_json::Value>,

    /// A lane on each: 0,2-5, all, or auto: those that the target isn't pinned to
    #[arg(long, value_name = "LIST", default_value = "auto", help_heading = MACHINE)]
    pub cores: CoresChoice,
    /// auto, uring or epoll
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = MACHINE)]
    pub engine: EngineChoice,
    /// Whose CPU to count: auto, off, PID,PID, a unit, a cgroup
    #[arg(long, value_name = "WHOSE", default_value = "auto", help_heading = MACHINE)]
    pub pid: Which,
    /// Watch the clock so long before a request is due: sleeping is late by more
    #[arg(long, value_name = "TIME", default_value = "100us", help_heading = MACHINE)]
    pub spin: Duration,
}

/// `--cores`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoresChoice {
    /// All but those that the target's threads are pinned to.
    Auto,
    /// These.
    These(Cores),
}

impl std::str::FromStr for CoresChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<CoresChoice, String> {
        if text == "auto" { Ok(CoresChoice::Auto) } else { text.parse().map(CoresChoice::These) }
    }
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| format!("no JSON: {e}; write it as in {{\"result\": 3}}"))
}

impl LoadOptions {
    /// What clap can't see in one value alone.
    pub(super) fn check(&self) -> Result<(), clap::Error> {
        let between = |name: &str, time: Duration, min: time::Duration, max: time::Duration| {
            if (min..=max).contains(&time.0) {
                return Ok(());
            }
            let show = humantime::format_duration;
            Err(usage(format!("--{name} must lie between {} and {}", show(min), show(max))))
        };
        between(
            "duration",
            self.duration,
            time::Duration::from_millis(100),
            time::Duration::from_secs(7 * 86_400),
        )?;
        between("timeout", self.timeout, time::Duration::from_millis(1), TIMEOUT_MAX)?;
        between("warmup", self.warmup(), time::Duration::ZERO, time::Duration::from_secs(3600))?;
        between("spin", self.spin, time::Duration::ZERO, time::Duration::from_millis(10))?;
        if !(0.0..=10.0).contains(&self.zipf) {
            return Err(usage("--zipf must lie between 0 and 10"));
        }
        match (self.rate, self.steps, self.requests) {
            (Some(rate), Some(_), _) if rate.from == rate.to => {
                Err(usage("--steps climb a ramp: give --rate as FROM:TO, as in --rate 10k:200k"))
            }
            (Some(rate), _, Some(_)) if rate.from != rate.to => {
                Err(usage("a ramp takes its time: give --duration instead of --requests"))
            }
            (_, Some(steps), _) if self.duration.0 / u32::from(steps) < STEP_MIN => {
                Err(usage("so many --steps are too short: each needs 100ms of --duration"))
            }
            _ if self.connections_per_second.is_some_and(|rate| rate.from != rate.to || rate.from < 0.01) => {
                Err(usage("--connections-per-second is one rate of at least 0.01, as in 100"))
            }
            _ => Ok(()),
        }
    }

    /// What is left out in front.
    pub fn warmup(&self) -> Duration {
        let default =
            if self.requests.is_some() { time::Duration::ZERO } else { time::Duration::from_secs(1) };
        self.warmup.unwrap_or(Duration(default))
    }
}
