//! `bench compare loadgen`: what a request costs the generator, ours beside others, driving the same server.
//!
//! The server has one core, the generator another. Twice: against the floor, which leaves the generator most room, and
//! against our server, where ours checks sums. In: the generators that are installed. Out: a row for each against each
//! target. A generator's requests are those it counts itself; its CPU is read from outside, as everybody's is.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Args;
use net::engine::Engine;

use super::latency::CONNECTIONS;
use super::speed::START;
use super::tables;
use crate::child::Child;
use crate::contender::{self, Contender, RING_FLOOR};
use crate::drive::h2load::{self, H2load};
use crate::drive::loadgen::{self, Load, Loadgen, Pace};
use crate::drive::oha::{self, Oha};
use crate::drive::wrk::{self, Wrk};
use crate::drive::{self, Shape};
use crate::failure::Failure;
use crate::field::{self, Candidate, Who};
use crate::report::{Found, Table, ends, median};
use crate::results::{BUSY, CPU, ERRORS, RATE, Row, Sample, Sort, cases, find};
use crate::{request, rounds};

/// Our server, as a target: with the engine that uses the kernel least, so that the generator shows.
pub(crate) const OUR_SERVER: &str = "corelane-uring";

/// More than anybody reaches: the schedule is always behind, so that an open loop is as fast as it can be.
const BEYOND_REACH: f64 = 1.6;
/// Where the own lag is looked at, as a share of what the closed loop reaches.
const HALF: f64 = 0.5;

/// p99.9 of the own lag.
pub(crate) const LAG: &str = "own_lag_p999_us";

/// Options of `bench compare loadgen`.
#[derive(Args, Debug)]
#[group(id = "loadgen")]
pub(super) struct Options {
    /// Connections
    #[arg(long, default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    #[command(flatten)]
    who: Who,
}

impl Options {
    /// Does it measure less than it does by itself, or something else?
    pub(super) fn is_partial(&self) -> bool {
        self.who.is_partial() || self.connections != CONNECTIONS
    }
}

/// What sort of generator, and how it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wrk,
    H2load,
    Oha,
    /// Each answer is checked.
    Closed {
        engine: &'static str,
    },
    /// A schedule that can't be kept.
    Open,
    /// A schedule at half of what the closed loop reached just before.
    Half,
}

/// One row of the table.
#[derive(Debug)]
struct Driver {
    name: String,
    kind: Kind,
}

/// Names that aims use.
pub(crate) const WRK: &str = "wrk";
pub(crate) const CLOSED: &str = "loadgen-uring";
pub(crate) const OPEN: &str = "loadgen-open";
pub(crate) const AT_HALF: &str = "loadgen-half";

/// Everyone, in the order of the result; `Half` behind the closed loop that it is half of.
static DRIVERS: LazyLock<Vec<Driver>> = LazyLock::new(|| {
    let row = |name: &str, kind| Driver { name: name.to_owned(), kind };
    let mut all = vec![row(WRK, Kind::Wrk), row("h2load", Kind::H2load), row("oha", Kind::Oha)];
    // Those that `auto` chooses.
    let ours =
        Engine::ALL.iter().map(|engine| engine.name()).filter(|name| matches!(*name, "uring" | "epoll"));
    all.extend(ours.map(|engine| row(&format!("loadgen-{engine}"), Kind::Closed { engine })));
    all.extend([row(OPEN, Kind::Open), row(AT_HALF, Kind::Half)]);
    all
});

impl Candidate for Driver {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match self.kind {
            Kind::Wrk => wrk::program(),
            Kind::H2load => h2load::program(),
            Kind::Oha => oha::program(),
            Kind::Closed { .. } | Kind::Open | Kind::Half => loadgen::program(),
        }
    }
}

type Target = &'static Contender;
type Series = rounds::Series<(&'static Driver, Target), Sample>;

/// Measures.
pub(super) fn run(pace: &rounds::Options, options: &Options) -> Result<Found, Failure> {
    let field = field::select(&DRIVERS.iter().collect::<Vec<_>>(), &options.who.only)?;
    let targets = [contender::named(RING_FLOOR)?, contender::named(OUR_SERVER)?];
    let bench = Bench { pace, connections: options.connections };

    let pairs = targets.iter().flat_map(|&target| field.present.iter().map(move |&driver| (driver, target)));
    let mut series: Vec<Series> = pairs.map(Series::new).collect();
    // What the closed loop reached against this target in this round.
    let mut reached = None;
    let broken = pace.go(
        pace.window() + pace.warmup() + START * 2,
        &mut series,
        |(driver, target)| format!("{} against {}", driver.name, target.name),
        |&(driver, target)| {
            let sample = bench.measure(driver.kind, target, reached)?;
            if driver.name == CLOSED {
                reached = sample.get(RATE).copied();
            }
            Ok(sample)
        },
    )?;

    let rows: Vec<Row> = series.iter().map(row).collect();
    let mut found = Found { broken, ..Found::default() };
    for case in cases(&rows) {
        found
            .tables
            .push(table(&rows, case).titled(format!("Against {case}, {} connections", options.connections)));
        let name = if case == RING_FLOOR { "floor" } else { "server" };
        let title = format!("CPU of the generator per request in µs, against {case}");
        let below = "less is better; loadgen-half spins, so that its CPU says nothing";
        found.charts.push(tables::bars(&rows, case, (CPU, 2), name, title, below));
    }
    found.notes.push(explain());
    found.notes.extend(field.skipped);
    found.rows = rows;
    Ok(found)
}

fn explain() -> String {
    format!(
        "The generator has a core of its own; CPU is its own (all threads, schedstat), from the middle of its run, over the \
         answers that it counts. The floor answers fixed bytes and is told how long this generator's requests are. wrk, h2load \
         and oha send one fixed request and check no body. Ours compares every answer of the floor with the right one, makes \
         each request to our server anew and checks its sum, and records four instants of each: in a closed loop under its \
         engine's name, and in an open loop on uring. loadgen-open is offered {BEYOND_REACH} × what the closed loop reached, \
         loadgen-half {HALF} ×. server busy: the share of its core that the target used; near 1 it was the limit. wrk takes whole seconds."
    )
}

struct Bench<'a> {
    pace: &'a rounds::Options,
    connections: u32,
}

impl Bench<'_> {
    fn measure(&self, kind: Kind, target: Target, reached: Option<f64>) -> Result<Sample, Failure> {
        let core = self.pace.cores.client_core;
        let shape = Shape { connections: self.connections, depth: 1 };
        let window = self.pace.window();
        match kind {
            Kind::Wrk => {
                let (wrk, window) = (Wrk::find(core)?, wrk::window(window));
                let start = |at, connections| wrk.start(at, Shape { connections, depth: 1 }, window);
                self.other(target, window, start, |child| wrk.finish(child, window))
            }
            Kind::H2load => {
                let h2load = H2load::find(core)?;
                let start = |at, connections| h2load.start(at, connections, window);
                self.other(target, window, start, |child| h2load.finish(child, window))
            }
            Kind::Oha => {
                let oha = Oha::find(core)?;
                let start = |at, connections| oha.start(at, connections, window);
                self.other(target, window, start, |child| oha.finish(child, window))
            }
            Kind::Closed { engine } => self.ours(target, engine, shape, Pace::Closed),
            Kind::Open => self.at(target, shape, reached, BEYOND_REACH),
            Kind::Half => self.at(target, shape, reached, HALF),
        }
    }

    /// One of others, against a fresh target.
    fn other(
        &self,
        target: Target,
        window: Duration,
        start: impl Fn(std::net::SocketAddr, u32) -> Result<Child, Failure>,
        finish: impl FnOnce(Child) -> Result<drive::Counted, Failure>,
    ) -> Result<Sample, Failure> {
        let more = match target.sort() {
            Sort::Floor => {
                let bytes = drive::request_bytes(|at| start(at, 1))?;
                vec!["--request-bytes".to_owned(), bytes.to_string()]
            }
            _ => vec![],
        };
        let server = target.start_with(&self.pace.cores.server_core.to_string(), &more)?;
        let generator = start(server.address, self.connections)?;
        let busy = drive::middle(&[&generator, &server.child], Duration::ZERO, window)?;
        let counted = finish(generator)?;
        Ok(sample(counted.per_second, &busy, counted.errors))
    }

    fn at(&self, target: Target, shape: Shape, reached: Option<f64>, share: f64) -> Result<Sample, Failure> {
        let reached =
            reached.ok_or_else(|| Failure::run(format!("{CLOSED} has to be measured before it")))?;
        self.ours(target, "uring", shape, Pace::Spinning { rate: reached * share })
    }

    fn ours(
        &self,
        target: Target,
        engine: &'static str,
        shape: Shape,
        pace: Pace,
    ) -> Result<Sample, Failure> {
        let (core, server_core) = (self.pace.cores.client_core, self.pace.cores.server_core);
        // It pins its lane itself; its main thread runs where there is room, as for a user.
        let loadgen = Loadgen::find(core, format!("{server_core},{core}"))?;
        let server = target.start(&server_core.to_string())?;
        request::check(server.address)?;
        let (window, warmup) = (self.pace.window(), self.pace.warmup());
        let load = Load { engine, shape, window, warmup, pace, asks: target.asks() };
        let generator = loadgen.start(server.address, &load)?;
        let busy = drive::middle(&[&generator, &server.child], warmup, window)?;
        let outcome = loadgen.finish(generator, &load)?;
        let mut sample = sample(outcome.per_second, &busy, outcome.errors);
        sample.insert(LAG, outcome.own_lag.p999_us);
        Ok(sample)
    }
}

/// `busy` is the generator's, then the server's.
fn sample(per_second: f64, busy: &[f64], errors: u64) -> Sample {
    Sample::from([
        (RATE, per_second),
        (CPU, busy[0] * 1e6 / per_second.max(1.0)),
        (BUSY, busy[1]),
        (ERRORS, errors as f64),
    ])
}

fn row(one: &Series) -> Row {
    let (driver, target) = one.who;
    let is_ours = !matches!(driver.kind, Kind::Wrk | Kind::H2load | Kind::Oha);
    let row = Row {
        contender: driver.name.clone(),
        sort: if is_ours { Sort::Ours } else { Sort::Peer },
        case: target.name.clone(),
        floor: None,
        command: String::new(),
        rounds: [].into(),
    };
    row.filled(one.samples.iter())
}

fn table(all: &[Row], case: &str) -> Table {
    let head = [
        "generator",
        "req/s",
        "[min..max]",
        "× wrk",
        "CPU µs/req",
        "[min..max]",
        "× wrk",
        "server busy",
        "own lag p99.9 µs",
        "errors",
    ];
    let mut table = Table::new(&head);
    for row in all.iter().filter(|row| row.case == case) {
        let (rate, cpu) = (row.spread(RATE), row.spread(CPU));
        let over_wrk = |quantity| {
            let wrk = find(all, WRK, case).filter(|_| row.contender != AT_HALF)?;
            row.over(wrk, quantity)
        };
        table.row(vec![
            row.contender.clone(),
            median(rate, 0),
            ends(rate, 0),
            median(over_wrk(RATE), 2),
            median(cpu, 2),
            ends(cpu, 2),
            median(over_wrk(CPU), 2),
            median(row.spread(BUSY), 2),
            // A closed loop is never late.
            median(row.spread(LAG).filter(|_| row.contender == AT_HALF), 1),
            format!("{:.0}", row.numbers(ERRORS).iter().sum::<f64>()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_aims_use_are_there() {
        for name in [WRK, CLOSED, OPEN, AT_HALF] {
            assert!(DRIVERS.iter().any(|driver| driver.name == name), "{name}");
        }
    }

    #[test]
    fn a_generator_is_set_in_proportion_to_wrk_unless_it_spins() {
        let target = contender::named(RING_FLOOR).unwrap();
        let one = |name: &str, rate| {
            let driver = DRIVERS.iter().find(|driver| driver.name == name).unwrap();
            row(&Series { who: (driver, target), samples: vec![sample(rate, &[0.5, 0.9], 0)] })
        };
        let rows = [one(WRK, 100_000.0), one(CLOSED, 200_000.0), one(AT_HALF, 100_000.0)];
        let text = table(&rows, RING_FLOOR).text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[2].contains("[200000..200000]   2.00        2.50  [2.50..2.50]   0.50"), "{text}");
        assert!(lines[3].contains("[100000..100000]      –"), "{text}");
    }
}
