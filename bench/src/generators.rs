//! `bench generators`: what a request costs the generator, ours beside wrk, driving the same server.
//!
//! The server has one core, the generator another. A generator's CPU time is read from outside, in the middle of its
//! run, as everybody's is; its requests are those it counts itself. Our server is the target, with the engine that
//! uses the kernel least, so that the generator shows.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::child::{self, Child, TempDir};
use crate::contender::{self, CONTENDERS, find_built};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::report::{self, Progress, Table};
use crate::stats::Spread;
use crate::wrk::{Load, Wrk};
use crate::{proc, request};

/// The target's name among the contenders.
const TARGET: &str = "corelane-uring";
const LOADGEN: &str = "corelane-loadgen";

/// At both ends of a run, left out of its CPU time: starting, connecting and reporting.
const MARGIN: Duration = Duration::from_millis(500);
/// Added to the asked duration before a generator that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);
/// More than anybody reaches: the schedule is always behind, so that an open loop is as fast as it can be.
const BEYOND_REACH: f64 = 1.6;
/// Where the own lag is looked at, as a share of what the closed loop reaches.
const HALF: f64 = 0.5;
/// Our generator says so when its run was invalid, as one is at full speed.
const LOADGEN_CODES: [i32; 2] = [0, 4];

/// Options of `bench generators`.
#[derive(Args, Debug)]
#[group(id = "generators")]
pub(crate) struct Options {
    /// Rounds over all generators
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..))]
    seconds: u64,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    #[command(flatten)]
    cores: Cores,
    #[command(flatten)]
    report: report::Options,
}

/// Who drives, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// wrk, which checks nothing.
    Wrk,
    /// Ours in a closed loop, each answer checked.
    Closed { engine: &'static str },
    /// Ours in an open loop that can't keep its schedule.
    Open,
    /// Ours in an open loop at half of what its closed loop reached in this round.
    Half,
}

const DRIVERS: [Driver; 5] = [
    Driver::Wrk,
    Driver::Closed { engine: "uring" },
    Driver::Closed { engine: "epoll" },
    Driver::Open,
    Driver::Half,
];

impl Driver {
    fn name(self) -> &'static str {
        match self {
            Driver::Wrk => "wrk, closed loop",
            Driver::Closed { engine: "uring" } => "loadgen uring, closed loop",
            Driver::Closed { .. } => "loadgen epoll, closed loop",
            Driver::Open => "loadgen uring, open loop at full speed",
            Driver::Half => "loadgen uring, open loop at half",
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    per_second: f64,
    /// CPU of the generator for a request; with what it spins, where it does.
    cpu_us: f64,
    /// Share of its core that the server used.
    server_busy: f64,
    /// p99.9 of the own lag, where there is one.
    lag_us: Option<f64>,
}

#[derive(Debug)]
struct Series {
    driver: Driver,
    samples: Vec<Sample>,
}

impl Series {
    fn each(&self, value: fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(value).collect()
    }
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err(Failure::setup(
            "only an optimised build says anything: use cargo run --release -p bench",
        ));
    }
    options.cores.check()?;
    child::stop_flag();
    let bench = Bench {
        wrk: Wrk::find(options.cores.client_core)?,
        loadgen: find_built(LOADGEN).ok_or_else(|| {
            Failure::setup("corelane-loadgen is not built; cargo build --release -p loadgen")
        })?,
        directory: TempDir::new()?,
        options,
    };
    let machine = Machine::ask();
    let mut series = DRIVERS.map(|driver| Series { driver, samples: Vec::new() });
    let mut progress =
        Progress::new(options.rounds as usize * DRIVERS.len(), Duration::from_secs(options.seconds));
    for round in 1..=options.rounds {
        let mut reached = 0.0;
        for one in &mut series {
            progress.step(&format!("round {round} of {}: {}", options.rounds, one.driver.name()));
            let sample =
                bench.measure(one.driver, reached).map_err(|failure| failure.of(one.driver.name()))?;
            if one.driver == (Driver::Closed { engine: "uring" }) {
                reached = sample.per_second;
            }
            one.samples.push(sample);
        }
    }
    drop(progress);
    let results = series.iter().map(|one| json(one, &series)).collect::<Vec<_>>();
    report::publish(
        &options.report,
        &machine,
        "generators",
        &table(&series),
        &notes(options),
        &json!(results),
    )
}

struct Bench<'a> {
    wrk: Wrk,
    loadgen: PathBuf,
    directory: TempDir,
    options: &'a Options,
}

impl Bench<'_> {
    fn measure(&self, driver: Driver, reached: f64) -> Result<Sample, Failure> {
        let Options { cores, seconds, connections, .. } = self.options;
        let target = CONTENDERS.iter().find(|contender| contender.name == TARGET);
        let target: &contender::Contender = target.ok_or_else(|| Failure::setup("the target has no name"))?;
        let server = target.start(&cores.server_core.to_string())?;
        request::check(server.address)?;
        let url = format!("http://{}/add", server.address);
        let generator = match driver {
            Driver::Wrk => {
                let load = Load { connections: *connections, depth: 1 };
                self.wrk.start(server.address, load, *seconds)?
            }
            Driver::Closed { engine } => self.loadgen(engine, None, &url)?,
            Driver::Open => self.loadgen("uring", Some(reached * BEYOND_REACH), &url)?,
            Driver::Half => self.loadgen("uring", Some(reached * HALF), &url)?,
        };
        thread::sleep(MARGIN);
        let (began, before) = (Instant::now(), self.cpu(&generator, &server.child)?);
        thread::sleep(Duration::from_secs(*seconds) - 2 * MARGIN);
        let (time, after) = (began.elapsed().as_secs_f64(), self.cpu(&generator, &server.child)?);
        let (per_second, lag_us) = self.finish(driver, generator)?;
        let share = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / time;
        Ok(Sample {
            per_second,
            cpu_us: share(before.0, after.0) / per_second.max(1.0) * 1e6,
            server_busy: share(before.1, after.1),
            lag_us,
        })
    }

    fn cpu(&self, generator: &Child, server: &Child) -> Result<(Duration, Duration), Failure> {
        Ok((proc::cpu_time(generator.pid())?, proc::cpu_time(server.pid())?))
    }

    fn loadgen(&self, engine: &str, rate: Option<f64>, url: &str) -> Result<Child, Failure> {
        let core = self.options.cores.client_core.to_string();
        let json = self.directory.path().join("run.json");
        let mut arguments: Vec<String> = vec!["--quiet".into(), "--warmup".into(), "0s".into()];
        for (name, value) in [
            ("--connections", self.options.connections.to_string()),
            ("--duration", format!("{}s", self.options.seconds)),
            ("--cores", core.clone()),
            ("--engine", engine.to_owned()),
            ("--json", json.display().to_string()),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        if let Some(rate) = rate {
            arguments.extend(["--rate".to_owned(), format!("{rate:.0}")]);
        }
        arguments.push(url.to_owned());
        // It pins its lane itself; its main thread, which only collects, runs where there is room, as for a user.
        let cores = format!("{},{core}", self.options.cores.server_core);
        Child::start(&self.loadgen, &arguments, &cores, &self.directory.path().join("output"))
    }

    /// Requests per second, and p99.9 of the own lag in µs.
    fn finish(&self, driver: Driver, mut generator: Child) -> Result<(f64, Option<f64>), Failure> {
        if driver == Driver::Wrk {
            let outcome = self.wrk.finish(generator, self.options.seconds)?;
            return Ok((outcome.per_second(), None));
        }
        let within = Duration::from_secs(self.options.seconds) + GRACE;
        generator.finish_with(within, &LOADGEN_CODES)?;
        let text = std::fs::read_to_string(self.directory.path().join("run.json"))?;
        let run: Value = serde_json::from_str(&text).map_err(|e| Failure::run(format!("its JSON: {e}")))?;
        let completed = run["counts"]["completed_in_window"].as_f64();
        let window = run["window_ns"].as_f64();
        let (Some(completed), Some(window)) = (completed, window) else {
            return Err(Failure::run("its JSON has no counts"));
        };
        let percentiles = run["own_lag"]["percentiles_ns"].as_array();
        let lag = percentiles
            .into_iter()
            .flatten()
            .find(|each| each[0].as_f64().is_some_and(|q| (q - 99.9).abs() < 0.001));
        let lag_us = lag.and_then(|each| each[1].as_f64()).map(|ns| ns / 1e3);
        Ok((completed * 1e9 / window, lag_us.filter(|_| driver == Driver::Half)))
    }
}

fn table(all: &[Series]) -> Table {
    let mut table = Table::new(&[
        "generator",
        "req/s",
        "[min..max]",
        "× wrk",
        "CPU µs/req",
        "[min..max]",
        "× wrk",
        "server busy",
        "own lag p99.9 µs",
    ]);
    for one in all {
        let rate = Spread::of(one.each(|sample| sample.per_second));
        let cpu = Spread::of(one.each(|sample| sample.cpu_us));
        let show = |spread: Option<Spread>, digits: usize| {
            spread.map_or("–".into(), |spread| format!("{:.digits$}", spread.median))
        };
        let ends = |spread: Option<Spread>, digits: usize| {
            spread
                .map_or("–".into(), |spread| format!("[{:.digits$}..{:.digits$}]", spread.min, spread.max))
        };
        let spins = one.driver == Driver::Half;
        table.row(vec![
            one.driver.name().into(),
            show(rate, 0),
            ends(rate, 0),
            show(over_wrk(one, all, |sample| sample.per_second).filter(|_| !spins), 2),
            show(cpu, 2),
            ends(cpu, 2),
            show(over_wrk(one, all, |sample| sample.cpu_us).filter(|_| !spins), 2),
            show(Spread::of(one.each(|sample| sample.server_busy)), 2),
            show(lag(one), 1),
        ]);
    }
    table
}

fn lag(one: &Series) -> Option<Spread> {
    Spread::of(one.samples.iter().filter_map(|sample| sample.lag_us))
}

/// Within each round.
fn over_wrk(one: &Series, all: &[Series], value: fn(&Sample) -> f64) -> Option<Spread> {
    let wrk = all.iter().find(|each| each.driver == Driver::Wrk)?;
    Spread::of_ratios(&one.each(value), &wrk.each(value))
}

fn notes(options: &Options) -> Vec<String> {
    vec![format!(
        "{} connections to {TARGET} on one core, the generator on another; medians over rounds, ratios within a \
         round. CPU is the generator's, all of its threads, from the middle of its run. wrk checks no answer; ours \
         makes each request anew, checks each sum, and records four instants of it. An open loop at full speed is \
         offered {BEYOND_REACH} × what the closed loop reached; at half it spins before each request, so that its CPU \
         says nothing.",
        options.connections
    )]
}

fn json(one: &Series, all: &[Series]) -> Value {
    let spread = |value: fn(&Sample) -> f64| Spread::of(one.each(value)).map(Spread::json);
    json!({
        "generator": one.driver.name(),
        "requests_per_second": spread(|sample| sample.per_second),
        "requests_per_second_over_wrk": over_wrk(one, all, |sample| sample.per_second).map(Spread::json),
        "cpu_us_per_request": spread(|sample| sample.cpu_us),
        "cpu_over_wrk": over_wrk(one, all, |sample| sample.cpu_us).map(Spread::json),
        "server_busy": spread(|sample| sample.server_busy),
        "own_lag_p999_us": lag(one).map(Spread::json),
    })
}
