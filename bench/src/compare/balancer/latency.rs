//! The latency that a proxy adds: response times through it, minus those of the backend alone at the same rate.
//!
//! In: what each proxy reached. Out: tables, at shares of each one's own saturation, and of the slowest one's, so that
//! rows compare. Open loop: a request's time counts from when it was due. Through and direct are measured one after the
//! other, with the same arrivals, and subtracted within a round.

use std::time::Duration;

use super::Bench;
use super::backend::Transport;
use super::cpu::Reached;
use super::proxies::Proxy;
use crate::compare::speed::START;
use crate::drive::loadgen::Pace;
use crate::failure::Failure;
use crate::report::{Found, Table, ends, median};
use crate::results::{ERRORS, P50, P99, P999, RATE, Row, Sample, cases};
use crate::rounds;

/// Of a saturation.
const SHARES_PERCENT: [u32; 3] = [10, 50, 80];

/// The share of the slowest one's, at which all are measured.
const COMMON_PERCENT: u32 = 50;

/// Each takes two measurements at four rates: more rounds would be a run of their own.
const ROUNDS_MAX: u32 = 3;

/// Besides those of the way through: the backend alone, and the difference.
const DIRECT_P50: &str = "direct_p50_us";
const DIRECT_P99: &str = "direct_p99_us";
const ADDED_P50: &str = "added_p50_us";
const ADDED_P99: &str = "added_p99_us";
const REACHED: &str = "reached";
const OFFERED: &str = "offered_per_second";

/// A proxy, and the rates at which it is measured.
#[derive(Clone, Copy, Debug)]
struct Who {
    proxy: &'static Proxy,
    /// Requests per second that it reached, and that the slowest did.
    own: f64,
    slowest: f64,
}

impl Who {
    /// With the names of their cases. A quick look has the common one alone.
    fn rates(&self, is_quick: bool) -> Vec<(String, f64)> {
        let share = |whole: f64, percent: u32| whole * f64::from(percent) / 100.0;
        let own = SHARES_PERCENT.map(|percent| (format!("{percent} % of its own"), share(self.own, percent)));
        let common = (format!("{COMMON_PERCENT} % of the slowest"), share(self.slowest, COMMON_PERCENT));
        own.into_iter().filter(|_| !is_quick).chain([common]).collect()
    }
}

type Series = rounds::Series<Who, Vec<Sample>>;

/// Measures those who reached something, and adds their tables.
pub(super) fn run(bench: &Bench<'_>, reached: &Reached, found: &mut Found) -> Result<(), Failure> {
    let measured = || bench.field.present.iter().filter(|proxy| proxy.is_in_everything());
    let own = |proxy: &Proxy| reached.get(proxy.name.as_str()).copied();
    let slowest = measured().filter_map(|proxy| own(proxy)).fold(f64::INFINITY, f64::min);
    let who = measured().filter_map(|&proxy| Some(Who { proxy, own: own(proxy)?, slowest }));
    let mut series: Vec<Series> = who.map(Series::new).collect();
    let rates = series.first().map_or(0, |one| one.who.rates(bench.pace.quick).len()) as u32;
    let guess =
        START * 2 + (bench.pace.window() + bench.pace.warmup() + Duration::from_millis(50)) * 2 * rates;
    let name = |who: &Who| format!("{}, added latency", who.proxy.name);
    let counted = bench.pace.rounds().min(ROUNDS_MAX);
    let broken = rounds::go(counted, guess, &mut series, name, |who| visit(bench, who))?;
    found.broken.0.extend(broken.0);

    let measured = to_rows(&series, bench.pace.quick);
    for case in cases(&measured) {
        found.tables.push(table(&measured, case).titled(format!("Added latency at {case}")));
    }
    found.notes.push(format!(
        "Added: response time (from due to complete) through the proxy, minus that of the backend alone at the same rate \
         with the same arrivals, {ROUNDS_MAX} rounds at most. reached: right answers per second within the window, of the \
         rate; below 0.98 it was no such load."
    ));
    found.rows.extend(measured);
    Ok(())
}

/// One visit: at each rate the backend alone, then through the proxy.
fn visit(bench: &Bench<'_>, who: &Who) -> Result<Vec<Sample>, Failure> {
    let (backend, server) = bench.start(who.proxy, Transport::Tcp)?;
    let measure = |(_, rate): (String, f64)| {
        let pace = if bench.shares_core() { Pace::Sleeping { rate } } else { Pace::Spinning { rate } };
        let load = bench.load(pace);
        let direct = bench.loadgen.drive(backend.direct(), &load)?;
        let through = bench.loadgen.drive(server.address, &load)?;
        let (one, other) = (through.response, direct.response);
        Ok(Sample::from([
            (OFFERED, rate),
            (RATE, through.per_second),
            (REACHED, through.per_second / rate),
            (ERRORS, (through.errors + direct.errors) as f64),
            (P50, one.p50_us),
            (P99, one.p99_us),
            (P999, one.p999_us),
            (DIRECT_P50, other.p50_us),
            (DIRECT_P99, other.p99_us),
            (ADDED_P50, one.p50_us - other.p50_us),
            (ADDED_P99, one.p99_us - other.p99_us),
        ]))
    };
    who.rates(bench.pace.quick).into_iter().map(measure).collect()
}

fn to_rows(series: &[Series], is_quick: bool) -> Vec<Row> {
    let cases = series.first().map(|one| one.who.rates(is_quick)).unwrap_or_default();
    let of_case = |(at, (case, _)): (usize, &(String, f64))| {
        let row = |one: &Series| {
            one.who.proxy.row(case.as_str()).filled(one.samples.iter().map(|samples| &samples[at]))
        };
        series.iter().map(row).collect::<Vec<_>>()
    };
    cases.iter().enumerate().flat_map(of_case).collect()
}

fn table(all: &[Row], case: &str) -> Table {
    let mut table = Table::new(&[
        "contender",
        "rate/s",
        "reached",
        "direct p50 µs",
        "added p50 µs",
        "[min..max]",
        "direct p99 µs",
        "added p99 µs",
        "[min..max]",
        "p99.9 µs",
        "errors",
    ]);
    for row in all.iter().filter(|row| row.case == case) {
        let (p50, p99) = (row.spread(ADDED_P50), row.spread(ADDED_P99));
        table.row(vec![
            row.contender.clone(),
            median(row.spread(OFFERED), 0),
            median(row.spread(REACHED), 2),
            median(row.spread(DIRECT_P50), 0),
            median(p50, 0),
            ends(p50, 0),
            median(row.spread(DIRECT_P99), 0),
            median(p99, 0),
            ends(p99, 0),
            median(row.spread(P999), 0),
            format!("{:.0}", row.numbers(ERRORS).iter().sum::<f64>()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::proxies::PROXIES;
    use super::*;

    #[test]
    fn a_quick_look_has_the_rate_where_rows_compare() {
        let who = Who { proxy: &PROXIES[0], own: 2000.0, slowest: 1000.0 };
        let rates = |is_quick| who.rates(is_quick).into_iter().map(|(_, rate)| rate).collect::<Vec<_>>();
        assert_eq!(rates(false), [200.0, 1000.0, 1600.0, 500.0]);
        assert_eq!(rates(true), [500.0]);
    }

    #[test]
    fn what_is_added_is_a_difference_within_each_round() {
        let who = Who { proxy: &PROXIES[0], own: 2000.0, slowest: 1000.0 };
        let sample = |added| {
            Sample::from([(OFFERED, 500.0), (REACHED, 1.0), (ADDED_P50, added), (ADDED_P99, 2.0 * added)])
        };
        let series =
            [Series { who, samples: vec![vec![sample(16.0)], vec![sample(18.0)], vec![sample(17.0)]] }];
        let rows = to_rows(&series, true);
        let text = table(&rows, "50 % of the slowest").text();
        let cells: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells[1..9], ["500", "1.00", "–", "17", "[16..18]", "–", "34", "[32..36]"]);
    }
}
