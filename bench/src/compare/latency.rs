//! `bench compare latency`: how long an answer takes when requests come by themselves, and not when one is free.
//!
//! In: what each contender reaches in a closed loop, measured first. Out: its percentiles at shares of that, and at half
//! of what the slowest reaches, where rows compare; then one connection, with and without busy polling (`spin.rs`).
//! Open loop: a request's time counts from when it was due, whatever held it up.

use clap::Args;

use super::speed::START;
use super::{spin, tables};
use crate::contender::{self, Contender, Run};
use crate::drive::loadgen::{Load, Loadgen, Pace};
use crate::drive::{self, Shape};
use crate::failure::Failure;
use crate::field::Who;
use crate::report::{Found, Table, ends, median};
use crate::results::{Better, CPU, ERRORS, P50, P99, P999, RATE, Row, Sample, Sort, cases};
use crate::stats::Spread;
use crate::{request, rounds, versions};

/// Of a saturation.
const SHARES_PERCENT: [u32; 3] = [10, 50, 80];

/// The share of the slowest one's, at which all are measured.
const COMMON_PERCENT: u32 = 50;

/// The case of that share, which aims name.
pub(crate) const COMMON: &str = "50 % of the slowest";

/// Rounds that find out what each one reaches: the rates need not be exact.
const SATURATION_ROUNDS: u32 = 2;

/// Connections of a run that is to be compared with others.
pub(super) const CONNECTIONS: u32 = 64;

/// Options of `bench compare latency`.
#[derive(Args, Debug)]
#[group(id = "latency")]
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

/// A contender, and the rates at which it is measured.
#[derive(Clone, Copy, Debug)]
struct Rated {
    contender: &'static Contender,
    /// Requests per second that it reached, and that the slowest did.
    own: f64,
    slowest: f64,
}

impl Rated {
    /// With the names of their cases.
    fn rates(&self) -> Vec<(String, f64)> {
        let share = |whole: f64, percent: u32| whole * f64::from(percent) / 100.0;
        let own = SHARES_PERCENT.map(|percent| (format!("{percent} % of its own"), share(self.own, percent)));
        own.into_iter().chain([(COMMON.to_owned(), share(self.slowest, COMMON_PERCENT))]).collect()
    }
}

/// Measures.
pub(super) fn run(pace: &rounds::Options, options: &Options) -> Result<Found, Failure> {
    let core = pace.cores.client_core;
    let loadgen = Loadgen::find(core, core.to_string())?;
    let field = contender::select(Run::Latency, &options.who.only)?;
    let visit = Visit { loadgen, pace, connections: options.connections };

    let mut reached: Vec<rounds::Series<&'static Contender, Sample>> =
        field.present.iter().map(|&contender| rounds::Series::new(contender)).collect();
    let each = pace.window() + pace.warmup() + START;
    let name = |contender: &&Contender| format!("{}: what it reaches", contender.name);
    let counted = SATURATION_ROUNDS.min(pace.rounds());
    let mut broken = rounds::go(counted, each + START, &mut reached, name, |contender| {
        Ok(visit.at(contender, &[Pace::Closed])?.remove(0))
    })?;

    let rated = rated(&reached);
    let mut series: Vec<rounds::Series<Rated, Vec<Sample>>> =
        rated.into_iter().map(rounds::Series::new).collect();
    let guess = each * (SHARES_PERCENT.len() as u32 + 1) + START;
    let name = |rated: &Rated| rated.contender.name.clone();
    let more = pace.go(guess, &mut series, name, |rated| {
        let paces: Vec<_> = rated.rates().into_iter().map(|(_, rate)| Pace::Spinning { rate }).collect();
        visit.at(rated.contender, &paces)
    })?;
    broken.0.extend(more.0);

    let rows = rows(&series, &pace.cores.server_core.to_string());
    let mut found = Found { broken, ..Found::default() };
    describe(&rows, &mut found);
    found.notes.extend(versions::note(field.present.iter().map(|contender| contender.version())));
    found.notes.extend(field.skipped);
    found.rows = rows;
    spin::run(pace, &options.who.only, &mut found)?;
    Ok(found)
}

/// What all visits have in common.
struct Visit<'a> {
    loadgen: Loadgen,
    pace: &'a rounds::Options,
    connections: u32,
}

impl Visit<'_> {
    /// A contender, fresh, driven at each of these.
    fn at(&self, contender: &Contender, paces: &[Pace]) -> Result<Vec<Sample>, Failure> {
        let server = contender.start(&self.pace.cores.server_core.to_string())?;
        request::check(server.address)?;
        let measure = |&pace: &Pace| {
            let shape = Shape { connections: self.connections, depth: 1 };
            let (window, warmup, asks) = (self.pace.window(), self.pace.warmup(), contender.asks());
            let load = Load { engine: "uring", shape, window, warmup, pace, asks };
            drive::measure(&self.loadgen, &server, &load)
        };
        paces.iter().map(measure).collect()
    }
}

fn rated(reached: &[rounds::Series<&'static Contender, Sample>]) -> Vec<Rated> {
    let own = |one: &rounds::Series<_, Sample>| {
        Spread::of(one.samples.iter().filter_map(|sample| sample.get(RATE).copied()))
            .map(|spread| spread.median)
    };
    let slowest = reached.iter().filter_map(own).fold(f64::INFINITY, f64::min);
    reached.iter().filter_map(|one| Some(Rated { contender: one.who, own: own(one)?, slowest })).collect()
}

fn rows(series: &[rounds::Series<Rated, Vec<Sample>>], cores: &str) -> Vec<Row> {
    let cases = series.first().map(|one| one.who.rates()).unwrap_or_default();
    let of_case = |(at, (case, _)): (usize, &(String, f64))| {
        let row = |one: &rounds::Series<Rated, Vec<Sample>>| {
            // Beside what was reached stands what was asked for.
            let rate = one.who.rates()[at].1;
            let with_rate = |samples: &Vec<Sample>| {
                let mut sample = samples[at].clone();
                sample.insert(OFFERED, rate);
                sample
            };
            let samples: Vec<Sample> = one.samples.iter().map(with_rate).collect();
            one.who.contender.row(case.as_str(), cores).filled(samples.iter())
        };
        series.iter().map(row).collect::<Vec<_>>()
    };
    cases.iter().enumerate().flat_map(of_case).collect()
}

/// Requests per second that the schedule asked for.
const OFFERED: &str = "offered_per_second";

fn describe(rows: &[Row], found: &mut Found) {
    for case in cases(rows) {
        found.tables.push(table(rows, case).titled(format!("Open loop at {case}")));
    }
    let title = "Response times in µs at half of what the slowest contender reaches";
    let below = "open loop: from when a request was due; each line of the scale is ten times the one below";
    found.charts.push(tables::percentiles(rows, COMMON, "percentiles", title.into(), below));
    found.notes.push(
        "Open loop, requests due at random (Poisson), the generator watching the clock on a core of its own; times are from \
         due to complete, medians over rounds. Shares of its own: of what this contender reached in a closed loop just before. \
         50 % of the slowest: the same rate for everybody. × peer: p99 over that of the best peer in the round. reached: right \
         answers per second over the rate; below 0.98 it was no such load."
            .to_owned(),
    );
    found.notes.extend(lowest(rows));
}

fn table(all: &[Row], case: &str) -> Table {
    let head = [
        "contender",
        "rate/s",
        "reached",
        "p50 µs",
        "p99 µs",
        "[min..max]",
        "× peer",
        "p99.9 µs",
        "[min..max]",
        "CPU µs/req",
        "errors",
    ];
    let mut table = Table::new(&head);
    for row in all.iter().filter(|row| row.case == case) {
        let (p99, p999) = (row.spread(P99), row.spread(P999));
        table.row(vec![
            row.contender.clone(),
            median(row.spread(OFFERED), 0),
            median(ratio(row, RATE, OFFERED), 2),
            median(row.spread(P50), 0),
            median(p99, 0),
            ends(p99, 0),
            median(row.over_best_peer(all, P99, Better::Less), 2),
            median(p999, 0),
            ends(p999, 0),
            median(row.spread(CPU), 2),
            format!("{:.0}", row.numbers(ERRORS).iter().sum::<f64>()),
        ]);
    }
    table
}

fn ratio(row: &Row, one: &str, other: &str) -> Option<Spread> {
    Spread::of_ratios(row.numbers(one), row.numbers(other))
}

/// Whose p99 is the lowest of those that anybody would use.
fn lowest(rows: &[Row]) -> Option<String> {
    let users = rows.iter().filter(|row| row.case == COMMON && row.sort != Sort::Floor);
    let p99 = |row: &Row| row.spread(P99).map_or(f64::INFINITY, |spread| spread.median);
    let first = users.min_by(|one, other| p99(one).total_cmp(&p99(other)))?;
    Some(format!("Lowest p99 at {COMMON}: {}, {:.0} µs.", first.contender, p99(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, own: f64, p99: &[f64]) -> rounds::Series<Rated, Vec<Sample>> {
        let contender = contender::named(name).unwrap();
        let who = Rated { contender, own, slowest: 1000.0 };
        let sample = |p99: f64| Sample::from([(RATE, 500.0), (P99, p99), (ERRORS, 0.0)]);
        let samples = p99.iter().map(|&p99| vec![sample(p99); 4]).collect();
        rounds::Series { who, samples }
    }

    #[test]
    fn everybody_is_measured_at_shares_of_its_own_and_at_one_common_rate() {
        let rates = series("nginx", 2000.0, &[]).who.rates();
        let numbers: Vec<f64> = rates.iter().map(|(_, rate)| *rate).collect();
        assert_eq!(numbers, [200.0, 1000.0, 1600.0, 500.0]);
        assert_eq!(rates[3].0, COMMON);
    }

    #[test]
    fn the_slowest_sets_the_common_rate() {
        let one = |name: &str, rate| rounds::Series {
            who: contender::named(name).unwrap(),
            samples: vec![Sample::from([(RATE, rate)])],
        };
        let rated = rated(&[one("nginx", 300.0), one("hyper", 200.0)]);
        assert!(rated.iter().all(|rated| rated.slowest == 200.0));
        assert_eq!(rated[0].own, 300.0);
    }

    #[test]
    fn rows_say_who_is_lowest_and_what_was_reached() {
        let rows =
            rows(&[series("nginx", 1000.0, &[90.0, 110.0]), series("floor-ring", 2000.0, &[5.0, 5.0])], "0");
        assert_eq!(rows.len(), 8);
        assert_eq!(lowest(&rows).unwrap(), format!("Lowest p99 at {COMMON}: nginx, 100 µs."));
        let text = table(&rows, COMMON).text();
        let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells[..6], ["nginx", "500", "1.00", "–", "100", "[90..110]"]);
    }
}
