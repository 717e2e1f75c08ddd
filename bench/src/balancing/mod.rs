//! `bench balancing`: how the balancer's rules share requests out, in a model of queues. No server is
//! started, and the machine doesn't matter: the same seeds give the same numbers everywhere.
//!
//! In: a list of cases. Out: a table for each question that a user has, all numbers as JSON, and a chart.

mod cases;
mod chart;
mod model;
mod tables;
mod trouble;

use std::time::Duration;

use balancer::config::Balance;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::report::{self, Chart, Found, Progress};
use cases::Case;
use model::Outcome;

/// The rules, and their names in the balancer's options.
const RULES: [(Balance, &str); 7] = [
    (Balance::Random, "random"),
    (Balance::RoundRobin, "round-robin"),
    (Balance::WeightedRoundRobin, "weighted-round-robin"),
    (Balance::Adaptive, "adaptive"),
    (Balance::TwoChoices, "two-choices"),
    (Balance::LeastRequests, "least-requests"),
    (Balance::HotCold, "hot-cold"),
];

/// With so many requests in flight for each worker at the end of a run, queues grow without end: no quantile
/// means anything.
const OVERLOADED: f64 = 10.0;

/// Options of `bench balancing`.
#[derive(Args, Debug)]
#[group(id = "balancing")]
pub(crate) struct Options {
    /// A sixth of the requests, one seed: to see that it works
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    report: report::Options,
}

/// A case under all rules, in their order.
struct Row {
    case: Case,
    outcomes: Vec<Outcome>,
}

/// Simulates, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = Machine::ask();
    let seeds: &[u64] = if options.quick { &[1] } else { &[1, 2, 3] };
    let cases = cases::all(options.quick);
    let mut progress =
        Progress::new(cases.len(), Duration::from_millis(if options.quick { 400 } else { 4_000 }));
    let mut rows = Vec::new();
    for case in cases {
        progress.step(&case.name());
        let mut outcomes = Vec::new();
        for (balance, _) in RULES {
            let runs = seeds.iter().map(|&seed| model::run(&case.setup, balance, seed));
            outcomes.push(Outcome::median(&runs.collect::<Vec<_>>()));
        }
        rows.push(Row { case, outcomes });
    }
    drop(progress);
    publish(options, &machine, &rows)
}

fn publish(options: &Options, machine: &Machine, rows: &[Row]) -> Result<(), Failure> {
    let name = if options.quick { "balancing-quick" } else { "balancing" };
    let notes = [
        "Times are 50, 99 and 99.9 % quantiles in mean service times, medians over the seeds. Each server \
         has four workers and a queue; requests come at random (Poisson) to any lane; service times are \
         exponential but where it is said otherwise; there is no network. `overload`: some queue grows \
         without end.",
        "Who gets the most: what the server that got the most requests got, over an equal share; in brackets \
         the share of all requests that failed.",
    ];
    let found = Found {
        tables: tables::of(rows),
        charts: vec![Chart { name: "", title: chart::TITLE.to_owned(), svg: chart::draw(rows) }],
        notes: notes.map(str::to_owned).into(),
        results: rows.iter().map(json).collect(),
        ..Found::default()
    };
    report::publish(&options.report, machine, name, found)
}

fn json(row: &Row) -> serde_json::Value {
    let setup = &row.case.setup;
    let outcomes: serde_json::Map<String, serde_json::Value> = RULES
        .iter()
        .zip(&row.outcomes)
        .map(|((_, name), outcome)| ((*name).to_owned(), outcome.json()))
        .collect();
    json!({
        "servers": setup.servers,
        "lanes": setup.lanes,
        "load": setup.load,
        "trouble": setup.trouble.name(),
        "requests": setup.requests,
        "rules": outcomes,
    })
}
