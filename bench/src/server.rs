//! `bench server`: what a request costs each server, driven by wrk, round after round.
//!
//! One lane on one core, the generator on another. In: the contenders that belong to it (`contender.rs`). Out: a row
//! for each under each load, beside its floor.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::contender::{self, Contender, Run};
use crate::failure::Failure;
use crate::report::{self, Table, ends, median};
use crate::rounds;
use crate::stats::Spread;
use crate::wrk::{Load, Outcome, Wrk};
use crate::{proc, request};

/// The depth of the pipelined loads.
const PIPELINED: u32 = 16;

/// The peer whose numbers ours are set beside.
const RIVAL: &str = "may_minihttp";

/// Options of `bench server`.
#[derive(Args, Debug)]
#[group(id = "server")]
pub(crate) struct Options {
    /// Numbers of connections [default: 64,256; 64 if quick]
    #[arg(long, value_delimiter = ',')]
    connections: Vec<u32>,
    /// Also with 16 requests at a time on each connection
    #[arg(long)]
    pipeline: bool,
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    #[command(flatten)]
    pace: rounds::Options,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    outcome: Outcome,
    cpu: Duration,
}

impl Sample {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.answers.max(1) as f64
    }

    /// How much of its core the server used: near 1, it was the limit; else wrk was.
    fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.duration_us as f64
    }
}

/// Of each contender, in each round a sample under each load.
type Series = rounds::Series<&'static Contender, Vec<Sample>>;

/// One contender under one load, which stands at this place among all loads.
#[derive(Clone, Copy)]
struct Case<'a> {
    one: &'a Series,
    all: &'a [Series],
    load: Load,
    at: usize,
}

impl Case<'_> {
    fn spread(&self, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        self.one.spread(|samples| value(&samples[self.at]))
    }

    /// Ratios to another under the same load, within each round; `None` where that one was not measured.
    fn over(&self, other: &str, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        let other = self.all.iter().find(|each| each.who.name == other)?;
        self.one.over(other, |samples| value(&samples[self.at]))
    }

    fn over_floor(&self, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        self.over(self.one.who.floor?, value)
    }

    /// A percentile over the rounds; `None` with pipelining (see `Outcome`).
    fn latency(&self, percentile: fn(&Outcome) -> u64) -> Option<Spread> {
        self.spread(|sample| percentile(&sample.outcome) as f64).filter(|_| self.load.depth == 1)
    }

    fn errors(&self) -> u64 {
        self.one.samples.iter().map(|samples| samples[self.at].outcome.errors).sum()
    }
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = options.pace.begin()?;
    let wrk = Wrk::find(options.pace.cores.client_core)?;
    let field = contender::select(Run::Server, &options.only)?;

    let loads = loads(options);
    let mut series: Vec<Series> = field.present.iter().map(|&contender| Series::new(contender)).collect();
    let broken = options.pace.go(
        Duration::from_secs(options.pace.seconds() * loads.len() as u64),
        &mut series,
        |contender| contender.name.to_owned(),
        |contender| visit(contender, &loads, &wrk, options),
    )?;

    let cases = cases(&series, &loads);
    let mut notes = explain(options);
    notes.extend(against_rival(&cases));
    notes.extend(field.skipped);
    notes.extend(broken.0.iter().cloned());
    let results = cases.iter().map(|&case| json(case, options)).collect::<Vec<_>>();
    let name = options.pace.name_of("server");
    report::publish(&options.pace.report, &machine, &name, &[table(&cases)], &notes, &json!(results))?;
    broken.outcome()
}

/// One contender's turn in a round: started, checked, measured under each load, ended.
fn visit(
    contender: &Contender,
    loads: &[Load],
    wrk: &Wrk,
    options: &Options,
) -> Result<Vec<Sample>, Failure> {
    let server = contender.start(&options.pace.cores.server_core.to_string())?;
    request::check(server.address)?;
    let measure = |&load: &Load| {
        let before = proc::cpu_time(server.child.pid())?;
        let outcome = wrk.drive(server.address, load, options.pace.seconds())?;
        let cpu = proc::cpu_time(server.child.pid())?.saturating_sub(before);
        match outcome.answers {
            0 => Err(Failure::run(format!("no answers at {load} connections"))),
            _ => Ok(Sample { outcome, cpu }),
        }
    };
    loads.iter().map(measure).collect()
}

/// By load, and then in the order of the contenders.
fn cases<'a>(all: &'a [Series], loads: &[Load]) -> Vec<Case<'a>> {
    let of_load = |(at, &load): (usize, &Load)| all.iter().map(move |one| Case { one, all, load, at });
    loads.iter().enumerate().flat_map(of_load).collect()
}

fn loads(options: &Options) -> Vec<Load> {
    let connections = match &options.connections[..] {
        [] if options.pace.quick => &[64][..],
        [] => &[64, 256],
        asked => asked,
    };
    let depths = if options.pipeline { &[1, PIPELINED][..] } else { &[1] };
    let at_depth = |&depth| connections.iter().map(move |&connections| Load { connections, depth });
    depths.iter().flat_map(at_depth).collect()
}

fn table(cases: &[Case<'_>]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "connections",
        "req/s",
        "of floor",
        "CPU µs/req",
        "[min..max]",
        "× floor",
        "busy",
        "p50 µs",
        "p99 µs",
        "errors",
    ]);
    for case in cases {
        let cpu = case.spread(Sample::cpu_us);
        table.row(vec![
            case.one.who.name.into(),
            case.load.to_string(),
            median(case.spread(|sample| sample.outcome.per_second()), 0),
            median(case.over_floor(|sample| sample.outcome.per_second()), 2),
            median(cpu, 3),
            ends(cpu, 3),
            median(case.over_floor(Sample::cpu_us), 2),
            median(case.spread(Sample::busy), 2),
            median(case.latency(|outcome| outcome.p50_us), 0),
            median(case.latency(|outcome| outcome.p99_us), 0),
            case.errors().to_string(),
        ]);
    }
    table
}

fn explain(options: &Options) -> Vec<String> {
    let mut notes = vec![
        "Medians over rounds; ratios are within a round, to the floor of the same kernel interface. CPU is the \
         server's (all tasks, schedstat) divided by the answers that wrk counted. busy: the share of its core that \
         the server used; below 0.95 the limit was elsewhere (wrk, or a neighbour), and req/s says little."
            .to_owned(),
    ];
    if options.pipeline {
        notes.push(format!(
            "× {PIPELINED}: that many requests at a time on each connection; wrk's percentiles mean nothing there."
        ));
    }
    notes
}

/// Our numbers beside the rival's, for each load.
fn against_rival(cases: &[Case<'_>]) -> Vec<String> {
    let ours = cases.iter().filter(|case| case.one.who.name.starts_with("corelane"));
    ours.filter_map(|case| {
        let rate = case.over(RIVAL, |sample| sample.outcome.per_second())?;
        let cpu = case.over(RIVAL, Sample::cpu_us)?;
        Some(format!(
            "{} at {}: {:.2} [{:.2}..{:.2}] × the requests of {RIVAL}, at {:.2} [{:.2}..{:.2}] × its CPU per request.",
            case.one.who.name, case.load, rate.median, rate.min, rate.max, cpu.median, cpu.min, cpu.max
        ))
    })
    .collect()
}

fn json(case: Case<'_>, options: &Options) -> Value {
    let spread = |value: fn(&Sample) -> f64| case.spread(value).map(Spread::json);
    let samples = case.one.samples.iter().map(|samples| &samples[case.at]);
    json!({
        "contender": case.one.who.name,
        "command": case.one.who.command(&options.pace.cores.server_core.to_string()),
        "floor": case.one.who.floor,
        "connections": case.load.connections,
        "depth": case.load.depth,
        "requests_per_second": spread(|sample| sample.outcome.per_second()),
        "requests_per_second_over_floor":
            case.over_floor(|sample| sample.outcome.per_second()).map(Spread::json),
        "cpu_us_per_request": spread(Sample::cpu_us),
        "cpu_over_floor": case.over_floor(Sample::cpu_us).map(Spread::json),
        "server_busy": spread(Sample::busy),
        "p50_us": case.latency(|outcome| outcome.p50_us).map(Spread::json),
        "p99_us": case.latency(|outcome| outcome.p99_us).map(Spread::json),
        "errors": case.errors(),
        "rounds": samples.map(|sample| json!({
            "answers": sample.outcome.answers,
            "duration_us": sample.outcome.duration_us,
            "cpu_us": sample.cpu.as_micros() as u64,
        })).collect::<Vec<_>>(),
    })
}
