//! `bench server`: what a request costs each server, driven by wrk, round after round.
//!
//! One lane on one core, the generator on another. Rounds go over all contenders before the next begins, so that
//! a slow minute of the machine slows everyone; a ratio is taken within a round, and its median over rounds.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::contender::{self, Contender, Run};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::report::{self, Progress, Table};
use crate::stats::Spread;
use crate::wrk::{Load, Outcome, Wrk};
use crate::{child, proc, request};

/// The depth of the pipelined loads.
const PIPELINED: u32 = 16;

/// The peer whose numbers ours are set beside.
const RIVAL: &str = "may_minihttp";

/// Options of `bench server`.
#[derive(Args, Debug)]
#[group(id = "server")]
pub(crate) struct Options {
    /// Rounds over all contenders
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    connections: Vec<u32>,
    /// Also with 16 requests at a time on each connection
    #[arg(long)]
    pipeline: bool,
    /// 2 rounds of 1 second at 64 connections: to see that it works
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "connections"])]
    quick: bool,
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    #[command(flatten)]
    cores: Cores,
    #[command(flatten)]
    report: report::Options,
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

/// All measurements of one contender under one load, one per round.
#[derive(Debug)]
struct Series {
    contender: &'static Contender,
    load: Load,
    samples: Vec<Sample>,
}

impl Series {
    fn each(&self, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(value).collect()
    }

    fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.outcome.errors).sum()
    }
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err(Failure::setup(
            "a floor without optimisation is no floor: use cargo run --release -p bench",
        ));
    }
    options.cores.check()?;
    child::stop_flag();
    let wrk = Wrk::find(options.cores.client_core)?;
    let field = contender::select(Run::Server, &options.only)?;
    let machine = Machine::ask();

    let (series, failed) = measure(options, &wrk, &field.present)?;

    let mut notes = explain(options);
    notes.extend(against_rival(&series));
    notes.extend(field.skipped);
    notes.extend(failed.iter().cloned());
    let name = if options.quick { "server-quick" } else { "server" };
    let results = series.iter().map(|one| json(one, &series, options)).collect::<Vec<_>>();
    report::publish(&options.report, &machine, name, &table(&series), &notes, &json!(results))?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::run("not everyone could be measured")) }
}

/// All rounds. A contender that breaks is left out from there on, with a line that says why; the others go on.
fn measure(
    options: &Options,
    wrk: &Wrk,
    field: &[&'static Contender],
) -> Result<(Vec<Series>, Vec<String>), Failure> {
    let (rounds, seconds) = if options.quick { (2, 1) } else { (options.rounds, options.seconds) };
    let loads = loads(options);
    let mut failed = Vec::new();
    let mut series: Vec<Series> = field
        .iter()
        .flat_map(|contender| loads.iter().map(|&load| Series { contender, load, samples: Vec::new() }))
        .collect();

    let steps = rounds as usize * field.len();
    let mut progress = Progress::new(steps, Duration::from_secs(seconds * loads.len() as u64));
    for round in 1..=rounds {
        for contender in field {
            progress.step(&format!("round {round} of {rounds}: {}", contender.name));
            let mut own: Vec<_> =
                series.iter_mut().filter(|one| one.contender.name == contender.name).collect();
            match visit(contender, &mut own, wrk, options, seconds) {
                Ok(()) => {}
                Err(Failure::Run(message)) => {
                    failed.push(format!("FAILED {}: {message}", contender.name));
                    series.retain(|one| one.contender.name != contender.name);
                }
                Err(other) => return Err(other),
            }
        }
    }
    Ok((series, failed))
}

/// One contender's turn in a round: started, checked, measured under each load, ended.
fn visit(
    contender: &Contender,
    own: &mut [&mut Series],
    wrk: &Wrk,
    options: &Options,
    seconds: u64,
) -> Result<(), Failure> {
    // Failed in an earlier round, and said so then.
    if own.is_empty() {
        return Ok(());
    }
    let server = contender.start(&options.cores.server_core.to_string())?;
    request::check(server.address)?;
    for series in own {
        let before = proc::cpu_time(server.child.pid())?;
        let outcome = wrk.drive(server.address, series.load, seconds)?;
        let cpu = proc::cpu_time(server.child.pid())?.saturating_sub(before);
        if outcome.answers == 0 {
            return Err(Failure::run(format!("no answers at {} connections", series.load)));
        }
        series.samples.push(Sample { outcome, cpu });
    }
    Ok(())
}

fn loads(options: &Options) -> Vec<Load> {
    let connections = if options.quick { &[64][..] } else { &options.connections };
    let depths = if options.pipeline { &[1, PIPELINED][..] } else { &[1] };
    let at_depth = |&depth| connections.iter().map(move |&connections| Load { connections, depth });
    depths.iter().flat_map(at_depth).collect()
}

fn table(all: &[Series]) -> Table {
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
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|one| (one.load.depth, one.load.connections));
    for one in sorted {
        let median = |value: fn(&Sample) -> f64| Spread::of(one.each(value));
        let (rate, cpu) = (median(|sample| sample.outcome.per_second()), median(Sample::cpu_us));
        let show = |spread: Option<Spread>, digits: usize| {
            spread.map_or("–".into(), |spread| format!("{:.digits$}", spread.median))
        };
        table.row(vec![
            one.contender.name.into(),
            one.load.to_string(),
            show(rate, 0),
            show(over_floor(one, all, |sample| sample.outcome.per_second()), 2),
            show(cpu, 3),
            cpu.map_or("–".into(), |cpu| format!("[{:.3}..{:.3}]", cpu.min, cpu.max)),
            show(over_floor(one, all, Sample::cpu_us), 2),
            show(median(Sample::busy), 2),
            show(latency(one, |outcome| outcome.p50_us), 0),
            show(latency(one, |outcome| outcome.p99_us), 0),
            one.errors().to_string(),
        ]);
    }
    table
}

/// A percentile over the rounds; `None` with pipelining (see `Outcome`).
fn latency(one: &Series, percentile: fn(&Outcome) -> u64) -> Option<Spread> {
    let percentiles = one.each(|sample| percentile(&sample.outcome) as f64);
    Spread::of(percentiles).filter(|_| one.load.depth == 1)
}

/// Ratios to the contender's own floor, within each round; `None` where that floor was not measured.
fn over_floor(one: &Series, all: &[Series], value: fn(&Sample) -> f64) -> Option<Spread> {
    over(one, one.contender.floor?, all, value)
}

fn over(one: &Series, other: &str, all: &[Series], value: fn(&Sample) -> f64) -> Option<Spread> {
    let other = all.iter().find(|each| each.contender.name == other && each.load == one.load)?;
    Spread::of_ratios(&one.each(value), &other.each(value))
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
fn against_rival(all: &[Series]) -> Vec<String> {
    let ours = all.iter().filter(|one| one.contender.name.starts_with("corelane"));
    ours.filter_map(|one| {
        let rate = over(one, RIVAL, all, |sample| sample.outcome.per_second())?;
        let cpu = over(one, RIVAL, all, Sample::cpu_us)?;
        Some(format!(
            "{} at {}: {:.2} [{:.2}..{:.2}] × the requests of {RIVAL}, at {:.2} [{:.2}..{:.2}] × its CPU per request.",
            one.contender.name, one.load, rate.median, rate.min, rate.max, cpu.median, cpu.min, cpu.max
        ))
    })
    .collect()
}

fn json(one: &Series, all: &[Series], options: &Options) -> Value {
    let spread = |value: fn(&Sample) -> f64| Spread::of(one.each(value)).map(Spread::json);
    json!({
        "contender": one.contender.name,
        "command": one.contender.command(&options.cores.server_core.to_string()),
        "floor": one.contender.floor,
        "connections": one.load.connections,
        "depth": one.load.depth,
        "requests_per_second": spread(|sample| sample.outcome.per_second()),
        "requests_per_second_over_floor":
            over_floor(one, all, |sample| sample.outcome.per_second()).map(Spread::json),
        "cpu_us_per_request": spread(Sample::cpu_us),
        "cpu_over_floor": over_floor(one, all, Sample::cpu_us).map(Spread::json),
        "server_busy": spread(Sample::busy),
        "p50_us": latency(one, |outcome| outcome.p50_us).map(Spread::json),
        "p99_us": latency(one, |outcome| outcome.p99_us).map(Spread::json),
        "errors": one.errors(),
        "rounds": one.samples.iter().map(|sample| json!({
            "answers": sample.outcome.answers,
            "duration_us": sample.outcome.duration_us,
            "cpu_us": sample.cpu.as_micros() as u64,
        })).collect::<Vec<_>>(),
    })
}
