//! `bench lanes`: what it does to p99 how connections are spread over lanes (`--accept`), in a model of queues.
//!
//! In: a list of cases. Out: a table for each load, and all numbers as JSON. No server is started, and the machine doesn't matter: the
//! same seeds give the same numbers everywhere. What it costs to deal a connection is measured by `bench compare accept`.

mod model;

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::report::{self, Found, Progress, Table};
use crate::stats::Spread;
use model::{Busy, Outcome, Rule, Setup};

const LANES: [usize; 4] = [4, 16, 64, 128];
const CONNECTIONS_PER_LANE: [usize; 4] = [2, 8, 32, 128];
const LOADS: [f64; 2] = [0.5, 0.8];
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

/// Options of `bench lanes`.
#[derive(Args, Debug)]
#[group(id = "lanes")]
pub(crate) struct Options {
    /// A tenth of the requests: to see that it works
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    report: report::Options,
}

/// A case under both rules: for each, what came of each seed.
struct Row {
    setup: Setup,
    hash: Vec<Outcome>,
    deal: Vec<Outcome>,
}

/// Simulates, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = Machine::ask();
    let requests = if options.quick { 50_000 } else { 500_000 };
    let setups = cases(requests);
    let expected = Duration::from_millis(if options.quick { 50 } else { 500 });
    let mut progress = Progress::new(setups.len(), expected);
    let mut rows = Vec::new();
    for setup in setups {
        progress.step(&name(&setup));
        let under = |rule| SEEDS.map(|seed| model::run(&setup, rule, seed)).to_vec();
        rows.push(Row { setup, hash: under(Rule::Hash), deal: under(Rule::Deal) });
    }
    drop(progress);
    let notes = [
        "Each lane serves one request at a time; a request takes one service time, and waits for those before it on its lane. \
         Connections ask at random (Poisson). Most: connections of the lane that has the most, over the mean. Times are in service \
         times, medians over the seeds. `overload`: a lane gets more than it can do, and its queue grows without end.",
        "hash: at random, as SO_REUSEPORT does, and as a network card does for `cpu`. deal: to the lane that has the fewest.",
    ];
    let found = Found {
        tables: LOADS.iter().map(|&load| table(&rows, load)).collect(),
        notes: notes.map(str::to_owned).to_vec(),
        results: json!(rows.iter().map(json).collect::<Vec<_>>()),
        ..Found::default()
    };
    report::publish(&options.report, &machine, if options.quick { "lanes-quick" } else { "lanes" }, found)
}

fn cases(requests: usize) -> Vec<Setup> {
    let mut cases = Vec::new();
    for load in LOADS {
        for lanes in LANES {
            for connections_per_lane in CONNECTIONS_PER_LANE {
                let setup = Setup { lanes, connections_per_lane, busy: Busy::Equally, load, requests };
                cases.push(setup);
            }
        }
        // Dealing counts connections, and knows nothing of what they will ask.
        let busy = Busy::Unequally;
        cases.extend([8, 128].map(|each| Setup {
            lanes: 16,
            connections_per_lane: each,
            busy,
            load,
            requests,
        }));
    }
    cases
}

fn name(setup: &Setup) -> String {
    let Setup { lanes, connections_per_lane, busy, .. } = setup;
    let busy = if *busy == Busy::Equally { String::new() } else { format!(", {}", busy.name()) };
    format!("{lanes} lanes, {} connections{busy}", lanes * connections_per_lane)
}

fn table(rows: &[Row], load: f64) -> Table {
    let head =
        ["case", "most, hash", "deal", "p50, hash", "deal", "p99, hash", "deal", "p99.9, hash", "deal"];
    let mut table = Table::new(&head).titled(format!("All lanes at {} %", load * 100.0));
    for row in rows.iter().filter(|row| row.setup.load == load) {
        let both = |number: fn(&Outcome) -> f64, is_time: bool| {
            [&row.hash, &row.deal].map(|outcomes| match is_time && is_overloaded(outcomes) {
                true => "overload".to_owned(),
                false => format!("{:.2}", median(outcomes, number)),
            })
        };
        let cells = [
            both(|outcome| outcome.most, false),
            both(|outcome| outcome.quantiles[0], true),
            both(|outcome| outcome.quantiles[1], true),
            both(|outcome| outcome.quantiles[2], true),
        ];
        table.row(std::iter::once(name(&row.setup)).chain(cells.into_iter().flatten()).collect());
    }
    table
}

/// More often than not.
fn is_overloaded(outcomes: &[Outcome]) -> bool {
    median(outcomes, |outcome| outcome.busiest) >= 1.0
}

fn median(outcomes: &[Outcome], number: fn(&Outcome) -> f64) -> f64 {
    Spread::of(outcomes.iter().map(number)).map_or(f64::NAN, |spread| spread.median)
}

fn json(row: &Row) -> serde_json::Value {
    let all = |outcomes: &[Outcome]| outcomes.iter().map(Outcome::json).collect::<Vec<_>>();
    json!({
        "lanes": row.setup.lanes,
        "connections_per_lane": row.setup.connections_per_lane,
        "busy": row.setup.busy.name(),
        "load": row.setup.load,
        "requests": row.setup.requests,
        "hash": all(&row.hash),
        "deal": all(&row.deal),
    })
}
