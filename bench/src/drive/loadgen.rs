//! corelane-loadgen as the generator: one run of it, and what it recorded.
//!
//! In: a server's address, and how hard to drive it. Out: what its JSON says of the run. Every answer is checked by the
//! generator; a wrong one is a failure here, whatever the numbers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::Shape;
use crate::child::{Child, TempDir};
use crate::failure::Failure;
use crate::field;
use crate::request::{ANSWER_BODY, Asks, BODY};

/// Added to the asked duration before a generator that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);

/// It says with 4 that its run was invalid, as one is at full speed, or on a core that it shares. Wrong answers are 5.
const CODES: [i32; 2] = [0, 4];

/// Sums are drawn from so many: few enough that a server's cache holds them after the warm-up, as it would popular
/// ones; many enough that no branch predictor learns them. What a cache costs where it doesn't help shows in the row
/// of the server without one.
pub(crate) const KEYS: u32 = 1_000;

/// The generator, found, and with a place for its files.
#[derive(Debug)]
pub(crate) struct Loadgen {
    program: PathBuf,
    directory: TempDir,
    core: usize,
    /// Where its main thread may run, which only collects: a list as taskset takes it.
    allowed: String,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) engine: &'static str,
    pub(crate) shape: Shape,
    pub(crate) window: Duration,
    /// In front, unmeasured.
    pub(crate) warmup: Duration,
    pub(crate) pace: Pace,
    pub(crate) asks: Asks,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// When an answer is there.
    Closed,
    /// By a schedule of so many per second, with the clock watched before each, on a core of the generator's own.
    Spinning { rate: f64 },
    /// By a schedule, sleeping in between: the core is shared with what it must not take time from.
    Sleeping { rate: f64 },
}

/// What it recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Right answers to what was sent in the window, however late.
    pub(crate) answers: u64,
    /// Right answers within the window.
    pub(crate) per_second: f64,
    pub(crate) window: Duration,
    /// Not answered, or wrongly; requests of the window.
    pub(crate) errors: u64,
    /// From due to complete.
    pub(crate) response: Percentiles,
    /// From the hand-over to the kernel to complete.
    pub(crate) service: Percentiles,
    pub(crate) own_lag: Percentiles,
}

/// In µs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Where it is, or what builds it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    field::built("corelane-loadgen", "cargo build --release -p loadgen")
}

impl Loadgen {
    pub(crate) fn find(core: usize, allowed: String) -> Result<Self, Failure> {
        Ok(Self { program: program()?, directory: TempDir::new()?, core, allowed })
    }

    /// Drives a server, and says how it went.
    pub(crate) fn drive(&self, server: SocketAddr, load: &Load) -> Result<Outcome, Failure> {
        let generator = self.start(server, load)?;
        self.finish(generator, load)
    }

    /// Begins to drive a server.
    pub(crate) fn start(&self, server: SocketAddr, load: &Load) -> Result<Child, Failure> {
        let output = self.directory.path().join("output");
        Child::start(&self.program, &self.arguments(server, load), &self.allowed, &output)
    }

    /// Waits for its end, and reads what it recorded.
    pub(crate) fn finish(&self, mut generator: Child, load: &Load) -> Result<Outcome, Failure> {
        let within = load.window + load.warmup + GRACE;
        generator.finish_with(within, &CODES).map_err(|failure| failure.of("corelane-loadgen"))?;
        let text = fs::read_to_string(self.json())?;
        let run = serde_json::from_str(&text).map_err(|error| Failure::run(format!("its JSON: {error}")))?;
        read(&run).ok_or_else(|| Failure::run("corelane-loadgen's JSON is not as expected"))
    }

    fn arguments(&self, server: SocketAddr, load: &Load) -> Vec<String> {
        let mut arguments = vec!["--quiet".to_owned()];
        let mut option = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
        option("--connections", &load.shape.connections.to_string());
        option("--pipeline", &load.shape.depth.to_string());
        option("--duration", &format!("{}ms", load.window.as_millis()));
        option("--warmup", &format!("{}ms", load.warmup.as_millis()));
        option("--cores", &self.core.to_string());
        option("--engine", load.engine);
        // CPU is looked at from here.
        option("--pid", "off");
        option("--json", &self.json().display().to_string());
        match load.pace {
            Pace::Closed => {}
            Pace::Spinning { rate } => option("--rate", &format!("{rate:.0}")),
            Pace::Sleeping { rate } => {
                option("--rate", &format!("{rate:.0}"));
                option("--spin", "0us");
            }
        }
        match load.asks {
            Asks::Sums => option("--keys", &KEYS.to_string()),
            Asks::Fixed => {
                option("--workload", "requests");
                option("--method", "POST");
                option("--header", "host: localhost");
                option("--header", "content-type: application/json");
                option("--body", BODY);
                option("--expect-status", "200");
                option("--expect-body", &String::from_utf8_lossy(ANSWER_BODY));
            }
        }
        arguments.push(format!("http://{server}/add"));
        arguments
    }

    fn json(&self) -> PathBuf {
        self.directory.path().join("run.json")
    }
}

fn read(run: &Value) -> Option<Outcome> {
    let (counts, window_ns) = (&run["counts"], run["window_ns"].as_u64().filter(|&ns| ns > 0)?);
    let count = |name: &str| counts[name].as_u64();
    Some(Outcome {
        answers: count("completed")?,
        per_second: count("completed_in_window")? as f64 * 1e9 / window_ns as f64,
        window: Duration::from_nanos(window_ns),
        errors: count("wrong")? + count("wrong_outside")? + count("failed")?,
        response: percentiles(&run["response"])?,
        service: percentiles(&run["service"])?,
        own_lag: percentiles(&run["own_lag"])?,
    })
}

fn percentiles(latency: &Value) -> Option<Percentiles> {
    let all = latency["percentiles_ns"].as_array()?;
    let at = |wanted: f64| {
        let near = |each: &&Value| each[0].as_f64().is_some_and(|percent| (percent - wanted).abs() < 0.001);
        Some(all.iter().find(near)?[1].as_f64()? / 1e3)
    };
    Some(Percentiles { p50_us: at(50.0)?, p99_us: at(99.0)?, p999_us: at(99.9)? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded() -> Value {
        let latency = |from: u64| json!({ "percentiles_ns": [[50.0, from], [99.0, from * 10], [99.9, from * 20], [100.0, from * 90]] });
        json!({
            "window_ns": 2_000_000_000_u64,
            "counts": { "completed": 1001, "completed_in_window": 1000, "wrong": 0, "wrong_outside": 1, "failed": 2 },
            "response": latency(5_000), "service": latency(4_000), "own_lag": latency(1_000),
        })
    }

    #[test]
    fn a_recorded_run_is_read_in_microseconds_and_seconds() {
        let outcome = read(&recorded()).unwrap();
        assert_eq!((outcome.answers, outcome.errors), (1001, 3));
        assert!((outcome.per_second - 500.0).abs() < 1e-9);
        assert_eq!(outcome.response, Percentiles { p50_us: 5.0, p99_us: 50.0, p999_us: 100.0 });
        assert_eq!((outcome.service.p50_us, outcome.own_lag.p99_us), (4.0, 10.0));
    }

    #[test]
    fn a_run_that_lacks_a_number_is_no_result() {
        let mut run = recorded();
        run["response"]["percentiles_ns"] = json!([[50.0, 1]]);
        assert_eq!(read(&run), None);
        assert_eq!(read(&json!({})), None);
    }

    #[test]
    fn an_open_loop_on_a_shared_core_sleeps_between_requests() {
        let loadgen =
            Loadgen { program: "x".into(), directory: TempDir::new().unwrap(), core: 1, allowed: "1".into() };
        let server = "127.0.0.1:80".parse().unwrap();
        let load = |pace| Load {
            engine: "uring",
            shape: Shape { connections: 64, depth: 1 },
            window: Duration::from_secs(3),
            warmup: Duration::from_millis(500),
            pace,
            asks: Asks::Sums,
        };
        let line = |load: Load| loadgen.arguments(server, &load).join(" ");
        assert!(line(load(Pace::Sleeping { rate: 99.6 })).contains("--rate 100 --spin 0us"));
        assert!(!line(load(Pace::Spinning { rate: 99.6 })).contains("--spin"));
        let closed = line(load(Pace::Closed));
        assert!(
            !closed.contains("--rate") && closed.ends_with("--keys 1000 http://127.0.0.1:80/add"),
            "{closed}"
        );
        assert!(
            closed.contains("--connections 64 --pipeline 1 --duration 3000ms --warmup 500ms --cores 1"),
            "{closed}"
        );
        let fixed = line(Load { asks: Asks::Fixed, ..load(Pace::Closed) });
        assert!(fixed.contains("--expect-status 200 --expect-body {\"result\":3} http://"), "{fixed}");
    }
}
