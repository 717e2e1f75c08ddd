//! `bench compare scale`: one lane and two, and a model of more.
//!
//! In: our server with a lane on each core. Out: CPU per request with one lane and with two, which tells whether lanes
//! cost each other anything; requests per second where the generator has a core of its own besides; and, by a model
//! that is written beside its numbers, what more lanes would give.

use clap::Args;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::speed::START;
use crate::contender::{self, Contender, Run};
use crate::drive::loadgen::{Load, Loadgen, Pace};
use crate::drive::{self, Shape};
use crate::failure::Failure;
use crate::field::Who;
use crate::report::{Found, Table, ends, median};
use crate::results::{BUSY, CPU, ERRORS, P99, RATE, Row, Sample, find};
use crate::stats::Spread;
use crate::{request, rounds};

/// For each lane, of what one lane reaches: the generator shares a core with the second, and both must have room.
const SHARE: f64 = 0.15;

/// Each has three measurements.
const ROUNDS_MAX: u32 = 3;

/// For each lane: enough that a hash leaves none of two without work.
const CONNECTIONS: u32 = 32;

/// The cases.
const ONE: &str = "1 lane";
const TWO: &str = "2 lanes";

/// What the model is asked.
const LANES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const DEALT: [usize; 3] = [64, 512, 8192];

/// So many deals are averaged; the seed makes them the same everywhere.
const DEALS: u32 = 400;
const SEED: u64 = 1;

/// Options of `bench compare scale`.
#[derive(Args, Debug)]
#[group(id = "scale")]
pub(super) struct Options {
    #[command(flatten)]
    who: Who,
}

impl Options {
    /// Does it measure less than it does by itself?
    pub(super) fn is_partial(&self) -> bool {
        self.who.is_partial()
    }
}

type Series = rounds::Series<&'static Contender, [Sample; 2]>;

/// Measures, and adds the model.
pub(super) fn run(pace: &rounds::Options, options: &Options) -> Result<Found, Failure> {
    let core = pace.cores.client_core;
    let loadgen = Loadgen::find(core, core.to_string())?;
    let field = contender::select(Run::Scale, &options.who.only)?;
    let mut series: Vec<Series> = field.present.iter().map(|&contender| Series::new(contender)).collect();
    let broken = rounds::go(
        pace.rounds().min(ROUNDS_MAX),
        (pace.window() + pace.warmup() + START) * 3,
        &mut series,
        |contender| contender.name.clone(),
        |contender| visit(contender, &loadgen, pace),
    )?;

    let mut rows = Vec::new();
    for one in &series {
        for (at, case) in [ONE, TWO].into_iter().enumerate() {
            let samples = one.samples.iter().map(move |samples| &samples[at]);
            rows.push(one.who.row(case, &lanes(pace, at + 1)).filled(samples));
        }
    }
    let mut found = Found { broken, ..Found::default() };
    found.tables.push(table(&rows));
    found.tables.push(model_table());
    found.notes.push(explain(pace));
    found.notes.push(ASSUMPTIONS.to_owned());
    found.notes.extend(field.skipped);
    found.rows = rows;
    Ok(found)
}

/// The cores of so many lanes.
fn lanes(pace: &rounds::Options, lanes: usize) -> String {
    let (one, other) = (pace.cores.server_core, pace.cores.client_core);
    if lanes == 1 { one.to_string() } else { format!("{one},{other}") }
}

/// The same rate and the same connections for each lane: fewer would mean more wake-ups for a request.
fn visit(contender: &Contender, loadgen: &Loadgen, pace: &rounds::Options) -> Result<[Sample; 2], Failure> {
    let measure = |count: u32, how: Pace| {
        let shape = Shape { connections: CONNECTIONS * count, depth: 1 };
        let server = contender.start(&lanes(pace, count as usize))?;
        request::check(server.address)?;
        let (window, warmup, asks) = (pace.window(), pace.warmup(), contender.asks());
        let load = Load { engine: "uring", shape, window, warmup, pace: how, asks };
        drive::measure(loadgen, &server, &load)
    };
    let reached = measure(1, Pace::Closed)?.get(RATE).copied().unwrap_or_default();
    let at = |count: u32| measure(count, Pace::Sleeping { rate: reached * SHARE * f64::from(count) });
    Ok([at(1)?, at(2)?])
}

fn table(all: &[Row]) -> Table {
    let head = [
        "contender",
        "lanes",
        "req/s",
        "CPU µs/req",
        "[min..max]",
        "× 1 lane",
        "[min..max]",
        "cores used",
        "p99 µs",
        "errors",
    ];
    let mut table = Table::new(&head).titled("One lane, and two with twice the rate and the connections");
    for row in all {
        let cpu = row.spread(CPU);
        let over = find(all, &row.contender, ONE).and_then(|one| row.over(one, CPU));
        table.row(vec![
            row.contender.clone(),
            row.case.clone(),
            median(row.spread(RATE), 0),
            median(cpu, 2),
            ends(cpu, 2),
            median(over, 2),
            ends(over, 2),
            median(row.spread(BUSY), 2),
            median(row.spread(P99), 0),
            format!("{:.0}", row.numbers(ERRORS).iter().sum::<f64>()),
        ]);
    }
    table
}

fn explain(pace: &rounds::Options) -> String {
    let percent = SHARE * 100.0;
    format!(
        "For each lane {CONNECTIONS} connections and, open loop, {percent:.0} % of what one lane reaches in a closed loop. One lane is on core {}; two are \
         on cores {}, the second of which the generator shares: that costs p99, and CPU in cold caches, but what lanes cost each \
         other (locks, shared lines) would show in CPU per request. Both cores at full speed can't be shown with the generator \
         on the same two.",
        lanes(pace, 1),
        lanes(pace, 2)
    )
}

/// What the model takes for granted.
const ASSUMPTIONS: &str = "The model: lanes share nothing, so a lane does what one lane does, on a core of its own and with requests \
     that all cost the same; all connections are alike; plain SO_REUSEPORT deals them by a hash, which is taken as fair dice. \
     Then N lanes do N times one lane's requests if connections are even, and as many as the fullest lane allows if every \
     connection must be served alike: N over the fullest lane's share. Not in it: the network card and its queues, memory \
     bandwidth, cores that get slower when all are busy, and kernel locks; so it is what the server leaves possible, and not \
     what a machine reaches.";

/// How many times one lane's requests so many lanes do.
fn model_table() -> Table {
    let head: Vec<String> = ["lanes".to_owned(), "even".to_owned()]
        .into_iter()
        .chain(DEALT.iter().map(|connections| format!("{connections} connections")))
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head).titled("Model: how many times one lane's requests");
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(SEED);
    for lanes in LANES {
        let cells = DEALT.iter().map(|&connections| {
            let speedups =
                (0..DEALS).map(|_| connections as f64 / fullest(lanes, connections, &mut dice) as f64);
            median(Spread::of(speedups), 1)
        });
        table.row([lanes.to_string(), format!("{lanes}.0")].into_iter().chain(cells).collect());
    }
    table
}

/// Connections of the fullest lane, once dealt.
fn fullest(lanes: usize, connections: usize, dice: &mut Xoshiro256PlusPlus) -> usize {
    let mut held = vec![0; lanes];
    for _ in 0..connections {
        held[dice.random_range(0..lanes)] += 1;
    }
    held.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_holds_them_all_and_no_lane_less_than_its_share() {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(SEED);
        assert_eq!(fullest(1, 64, &mut dice), 64);
        for lanes in LANES {
            assert!(fullest(lanes, 512, &mut dice) >= 512_usize.div_ceil(lanes));
        }
    }

    #[test]
    fn more_connections_are_dealt_more_evenly() {
        let text = model_table().text();
        let last: Vec<f64> =
            text.lines().last().unwrap().split_whitespace().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(last[..2], [128.0, 128.0]);
        assert!(last[2] < last[3] && last[3] < last[4] && last[4] < 128.0, "{last:?}");
        assert_eq!(model_table().text(), text, "the same dice, the same numbers");
    }
}
