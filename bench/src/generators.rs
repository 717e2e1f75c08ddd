//! `bench generators`: what a request costs the generator, ours beside wrk, driving the same server.
//!
//! The server has one core, the generator another. A generator's CPU time is read from outside, in the middle of its
//! run, as everybody's is; its requests are those it counts itself. Our server is the target, with the engine that
//! uses the kernel least, so that the generator shows.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::child::Child;
use crate::contender::{self, CONTENDERS};
use crate::failure::Failure;
use crate::loadgen::{self, Loadgen, Pace};
use crate::report::{self, Table, ends, median};
use crate::stats::Spread;
use crate::wrk::{Load, Wrk};
use crate::{proc, request, rounds};

/// The target's name among the contenders.
const TARGET: &str = "corelane-uring";

/// At both ends of a run, left out of its CPU time: starting, connecting and reporting. A share of its time, and at
/// most so long.
const MARGIN_MAX: Duration = Duration::from_millis(500);
const MARGIN_SHARE: u32 = 4;
/// More than anybody reaches: the schedule is always behind, so that an open loop is as fast as it can be.
const BEYOND_REACH: f64 = 1.6;
/// Where the own lag is looked at, as a share of what the closed loop reaches.
const HALF: f64 = 0.5;

/// Options of `bench generators`.
#[derive(Args, Debug)]
#[group(id = "generators")]
pub(crate) struct Options {
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    #[command(flatten)]
    pace: rounds::Options,
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

type Series = rounds::Series<Driver, Sample>;

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = options.pace.begin()?;
    let cores = &options.pace.cores;
    let bench = Bench {
        wrk: Wrk::find(cores.client_core)?,
        // It pins its lane itself; its main thread runs where there is room, as for a user.
        loadgen: Loadgen::find(cores.client_core, format!("{},{}", cores.server_core, cores.client_core))?,
        options,
    };
    let mut series: Vec<Series> = DRIVERS.map(Series::new).into();
    let mut reached = 0.0;
    let broken = options.pace.go(
        Duration::from_secs(options.pace.seconds()),
        &mut series,
        |driver| driver.name().to_owned(),
        |&driver| {
            let sample = bench.measure(driver, reached)?;
            if driver == (Driver::Closed { engine: "uring" }) {
                reached = sample.per_second;
            }
            Ok(sample)
        },
    )?;
    let results = series.iter().map(|one| json(one, &series)).collect::<Vec<_>>();
    let mut notes = notes(options);
    notes.extend(broken.0.iter().cloned());
    let name = options.pace.name_of("generators");
    report::publish(&options.pace.report, &machine, &name, &[table(&series)], &notes, &json!(results))?;
    broken.outcome()
}

struct Bench<'a> {
    wrk: Wrk,
    loadgen: Loadgen,
    options: &'a Options,
}

impl Bench<'_> {
    fn measure(&self, driver: Driver, reached: f64) -> Result<Sample, Failure> {
        let Options { pace, connections, .. } = self.options;
        let target = CONTENDERS.iter().find(|contender| contender.name == TARGET);
        let target: &contender::Contender = target.ok_or_else(|| Failure::setup("the target has no name"))?;
        let server = target.start(&pace.cores.server_core.to_string())?;
        request::check(server.address)?;

        let wrk_load = Load { connections: *connections, depth: 1 };
        let load = self.load(driver, reached);
        let generator = match load {
            None => self.wrk.start(server.address, wrk_load, pace.seconds())?,
            Some(load) => self.loadgen.start(server.address, load)?,
        };
        let whole = Duration::from_secs(pace.seconds());
        let margin = MARGIN_MAX.min(whole / MARGIN_SHARE);
        thread::sleep(margin);
        let (began, before) = (Instant::now(), self.cpu(&generator, &server.child)?);
        thread::sleep(whole - 2 * margin);
        let (time, after) = (began.elapsed().as_secs_f64(), self.cpu(&generator, &server.child)?);
        let (per_second, lag_us) = match load {
            None => (self.wrk.finish(generator, pace.seconds())?.per_second(), None),
            Some(load) => {
                let outcome = self.loadgen.finish(generator, load)?;
                (outcome.per_second, Some(outcome.own_lag.p999_us))
            }
        };
        let share = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / time;
        Ok(Sample {
            per_second,
            cpu_us: share(before.0, after.0) / per_second.max(1.0) * 1e6,
            server_busy: share(before.1, after.1),
            lag_us: lag_us.filter(|_| driver == Driver::Half),
        })
    }

    /// `None` for wrk.
    fn load(&self, driver: Driver, reached: f64) -> Option<loadgen::Load> {
        let (engine, pace) = match driver {
            Driver::Wrk => return None,
            Driver::Closed { engine } => (engine, Pace::Closed),
            Driver::Open => ("uring", Pace::Spinning { rate: reached * BEYOND_REACH }),
            Driver::Half => ("uring", Pace::Spinning { rate: reached * HALF }),
        };
        let (connections, seconds) = (self.options.connections, self.options.pace.seconds());
        Some(loadgen::Load { engine, connections, seconds, warmup_seconds: 0, pace })
    }

    fn cpu(&self, generator: &Child, server: &Child) -> Result<(Duration, Duration), Failure> {
        Ok((proc::cpu_time(generator.pid())?, proc::cpu_time(server.pid())?))
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
        let (rate, cpu) = (one.spread(|sample| sample.per_second), one.spread(|sample| sample.cpu_us));
        let spins = one.who == Driver::Half;
        table.row(vec![
            one.who.name().into(),
            median(rate, 0),
            ends(rate, 0),
            median(over_wrk(one, all, |sample| sample.per_second).filter(|_| !spins), 2),
            median(cpu, 2),
            ends(cpu, 2),
            median(over_wrk(one, all, |sample| sample.cpu_us).filter(|_| !spins), 2),
            median(one.spread(|sample| sample.server_busy), 2),
            median(lag(one), 1),
        ]);
    }
    table
}

fn lag(one: &Series) -> Option<Spread> {
    Spread::of(one.samples.iter().filter_map(|sample| sample.lag_us))
}

/// Within each round.
fn over_wrk(one: &Series, all: &[Series], value: fn(&Sample) -> f64) -> Option<Spread> {
    one.over(all.iter().find(|each| each.who == Driver::Wrk)?, value)
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
    let spread = |value: fn(&Sample) -> f64| one.spread(value).map(Spread::json);
    json!({
        "generator": one.who.name(),
        "requests_per_second": spread(|sample| sample.per_second),
        "requests_per_second_over_wrk": over_wrk(one, all, |sample| sample.per_second).map(Spread::json),
        "cpu_us_per_request": spread(|sample| sample.cpu_us),
        "cpu_over_wrk": over_wrk(one, all, |sample| sample.cpu_us).map(Spread::json),
        "server_busy": spread(|sample| sample.server_busy),
        "own_lag_p999_us": lag(one).map(Spread::json),
    })
}
